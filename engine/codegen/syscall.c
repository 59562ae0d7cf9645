/* SPDX-License-Identifier: Apache-2.0 */
/*
 * syscall.c - which system call it is, and where its arguments are.
 *
 * 32-bit programs, and others by `int $0x80`, make system calls by numbers of their own and pass arguments in other
 * registers.  A call that we have by its name too is that probe's: its number is translated (probe/probe.h:
 * dt_compat_syscalls); others are nobody's.  The kernel's mark for such a call is in the task, and in the same place on
 * all kernels: to look it up in BTF would cost more than all the rest of starting.
 */
#include "codegen/gen.h"

#define NOBODYS (-1)
#define FEW 4 /* probes whose numbers are compared one by one */

static bool reads_directly(const struct gen *g)
{
	return g->opts->has_task_btf && !g->opts->no_direct;
}

/* The user registers saved on the kernel stack: once for each program. */
static vreg saved_regs(struct gen *g)
{
	if (!g->user_regs && reads_directly(g))
		g->user_regs = e_call(g, BPF_FUNC_task_pt_regs, a_reg(g_current_task_btf(g)));
	else if (!g->user_regs)
		g->user_regs = e_ld(g, (struct mem){ g->ctx, 0 }, 8);
	return g->user_regs;
}

static vreg saved_reg(struct gen *g, u32 off, u32 size)
{
	struct mem m = { saved_regs(g), off };

	return reads_directly(g) ? e_ld(g, m, size) : g_read_kernel(g, m, size);
}

/* ---- which call -------------------------------------------------------------------------------------------- */

/* Not 0: in a system call of 32-bit programs. */
static vreg is_compat(struct gen *g)
{
	vreg task = reads_directly(g) ? g_current_task_btf(g) : e_call0(g, BPF_FUNC_get_current_task);
	struct mem m = { task, DT_ARCH_TASK_STATUS };
	vreg status = reads_directly(g) ? e_ld(g, m, 4) : g_read_kernel(g, m, 4);

	return e_alui(g, IR_AND, status, DT_ARCH_TASK_COMPAT);
}

/* Of few probes: leave at once when no way of making a call gives the number that they have. */
static void leave_if_unwanted(struct gen *g, vreg nr)
{
	const struct at_set *s = g->set;
	u32 maybe = ir_label(g->f), k, c;

	for (k = 0; k < s->probes.n; k++) {
		e_jcci(g, BPF_JEQ, nr, s->probes.v[k]->key, maybe);
		for (c = 0; c < DT_NCOMPAT; c++)
			if (dt_compat_syscalls[c] == s->probes.v[k]->key + 1 &&
			    c != s->probes.v[k]->key)
				e_jcci(g, BPF_JEQ, nr, c, maybe);
	}
	e_ret(g, 0);
	e_label(g, maybe);
}

/* key = what the 32-bit number means, among few probes */
static void translate_few(struct gen *g, vreg nr, vreg key)
{
	const struct at_set *s = g->set;
	u32 found = ir_label(g->f), k, c;

	for (k = 0; k < s->probes.n; k++) {
		e_seti(g, key, s->probes.v[k]->key);
		for (c = 0; c < DT_NCOMPAT; c++)
			if (dt_compat_syscalls[c] == s->probes.v[k]->key + 1)
				e_jcci(g, BPF_JEQ, nr, c, found);
	}
	e_seti(g, key, NOBODYS);
	e_label(g, found);
}

/* ... by a table, whose 0 becomes NOBODYS */
static void translate(struct gen *g, vreg nr, vreg key)
{
	struct mem m =
		g_rodata_mem(g, g_rodata(g, dt_compat_syscalls, sizeof(dt_compat_syscalls), 8));
	u32 out = ir_label(g->f);

	e_seti(g, key, NOBODYS);
	e_jcci(g, BPF_JGE, nr, DT_NCOMPAT, out);
	vreg index = e_alui(g, IR_SHL, e_alui(g, IR_AND, nr, DT_NCOMPAT - 1), 1);
	vreg word = e_ld(g, (struct mem){ e_alu(g, IR_ADD, m.p, index), 0 }, 2);

	e_set(g, key, e_alui(g, IR_ADD, word, NOBODYS));
	e_label(g, out);
}

static vreg key_of(struct gen *g, vreg nr)
{
	bool few = g->set->probes.n <= FEW;
	u32 native = ir_label(g->f);
	vreg key;

	if (few)
		leave_if_unwanted(g, nr);
	key = e_mov(g, nr);
	g->compat = is_compat(g);
	e_jcci(g, BPF_JEQ, g->compat, 0, native);
	if (few)
		translate_few(g, nr, key);
	else
		translate(g, nr, key);
	e_label(g, native);
	return key;
}

vreg g_sys_enter_key(struct gen *g)
{
	return key_of(g, e_ld(g, (struct mem){ g->ctx, 8 }, 8));
}

vreg g_sys_exit_key(struct gen *g)
{
	return key_of(g, saved_reg(g, DT_ARCH_SYSCALL_NR, 8));
}

/* ---- arguments --------------------------------------------------------------------------------------------- */

/* Before it matters which arguments are asked for; it is left out when none is. */
void g_sys_find_regs(struct gen *g)
{
	saved_regs(g);
}

vreg g_sys_enter_arg(struct gen *g, u32 n)
{
	u32 compat = ir_label(g->f), done = ir_label(g->f);
	vreg d = e_movi(g, 0);

	if (n >= DT_NELEM(dt_arch_syscall_arg))
		return d;
	e_jcci(g, BPF_JNE, g->compat, 0, compat);
	e_set(g, d, saved_reg(g, dt_arch_syscall_arg[n], 8));
	e_jmp(g, done);
	e_label(g, compat);
	e_set(g, d, saved_reg(g, dt_arch_compat_arg[n], 4));
	e_label(g, done);
	return d;
}

vreg g_sys_exit_arg(struct gen *g, u32 n)
{
	return n < 2 ? e_ld(g, (struct mem){ g->ctx, 8 }, 8) : e_movi(g, 0);
}
