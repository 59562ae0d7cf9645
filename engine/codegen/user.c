/* SPDX-License-Identifier: Apache-2.0 */
/*
 * user.c - reading the memory of the traced process.
 *
 * Programs may not wait, so a page that is not in memory cannot be read: a text that nobody has looked at yet, say.
 * Where the kernel lets the programs of system calls sleep, such a page is fetched and read once more.
 */
#include <string.h>

#include "codegen/gen.h"

static bool at_system_call(const struct gen *g)
{
	const char *target = g->set->at->target;

	return (g->set->kind == DT_AT_RAW_TP || g->set->kind == DT_AT_TP_BTF) && target &&
	       (!strcmp(target, "sys_enter") || !strcmp(target, "sys_exit"));
}

/* May it wait?  Asked where it matters, so that the loader learns that it does. */
static bool may_sleep(struct gen *g)
{
	if (!at_system_call(g))
		return false;
	g->o->would_sleep = true;
	if (g->opts->sleepable)
		g->sleeps = true;
	return g->opts->sleepable;
}

/* rc = the copy's result, which says whether it went well in the sign */
static vreg retry(struct gen *g, s32 helper, struct mem dst, struct ir_arg len, vreg from)
{
	bool text = helper == BPF_FUNC_probe_read_user_str;
	vreg rc = e_call(g, helper, a_mem(dst), len, a_reg(from)), last;
	u32 ok, k;

	if (!may_sleep(g))
		return rc;
	rc = e_mov(g, rc);
	ok = ir_label(g->f);
	e_jcci(g, BPF_JSGE, rc, 0, ok);
	if (!text) {
		e_set(g, rc, e_call(g, BPF_FUNC_copy_from_user, a_mem(dst), len, a_reg(from)));
		e_label(g, ok);
		return rc;
	}
	/* The pages of both ends; whether the last one is there matters to nobody but the text. */
	last = len.kind == IR_A_IMM ? e_alui(g, IR_ADD, from, len.imm - 1) :
				      e_alu(g, IR_ADD, from, len.r);
	for (k = 0; k < 2; k++)
		e_call(g, BPF_FUNC_copy_from_user, a_fp(ir_slot(g->f, 8)), a_imm(1),
		       a_reg(k ? last : from));
	e_set(g, rc, e_call(g, helper, a_mem(dst), len, a_reg(from)));
	e_label(g, ok);
	return rc;
}

/* A fault whose reason may be that nobody waited. */
static void fault_unless_read(struct gen *g, vreg rc, vreg from, struct dt_loc loc)
{
	g_fault_unless(g, BPF_JSGE, rc, 0, DTRACEFLT_BADADDR, from, loc);
	if (!g->errinfo)
		g->faults.v[g->faults.n - 1].unwaited = !g->sleeps;
}

void g_read_user(struct gen *g, struct mem dst, struct ir_arg len, vreg from, struct dt_loc loc)
{
	fault_unless_read(g, retry(g, BPF_FUNC_probe_read_user, dst, len, from), from, loc);
}

void g_read_user_text(struct gen *g, struct mem dst, struct ir_arg len, vreg from, struct dt_loc loc)
{
	fault_unless_read(g, retry(g, BPF_FUNC_probe_read_user_str, dst, len, from), from, loc);
}

vreg g_try_user(struct gen *g, struct mem dst, struct ir_arg len, vreg from)
{
	return retry(g, BPF_FUNC_probe_read_user, dst, len, from);
}
