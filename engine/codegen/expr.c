/* SPDX-License-Identifier: Apache-2.0 */
/*
 * expr.c - scalar expressions.
 *
 * Every value is kept in a 64-bit register, sign- or zero-extended as its type says ("normalized"); operands
 * arrive already converted to a common type (the checker put casts in), so an operation works in 64 bits and
 * normalizes its result when the type is narrower.
 */
#include <string.h>

#include "codegen/gen.h"

vreg g_norm(struct gen *g, vreg v, u32 size, bool is_signed)
{
	u32 shift = 64 - size * 8;

	if (size >= 8 || !size)
		return v;
	if (!is_signed && size == 4)
		return e_zext32(g, v);
	if (!is_signed)
		return e_alui(g, IR_AND, v, (INT64_C(1) << size * 8) - 1);
	return e_alui(g, IR_SAR, e_alui(g, IR_SHL, v, shift), shift);
}

static vreg norm_to(struct gen *g, vreg v, const struct dt_type *t)
{
	u32 size = (u32)dt_type_size(t);

	return g_norm(g, v, size ? size : 8, dt_type_is_signed(t));
}

/* ---- what comes first -------------------------------------------------------------------------------
 *
 * Of two operands the one that needs more registers is computed first, so that deep expressions hold few values at
 * a time: a + (b + (c + ...)) works from the inside out.  Only where nobody can tell the difference.
 */

/* Subroutines whose calls have an order: the others only compute. */
static bool is_ordered(int id)
{
	return id == DT_S_BCOPY || id == DT_S_COPYINTO || id == DT_S_STRTOK || id == DT_S_SPECULATION;
}

static bool has_effect(const struct dt_node *n)
{
	switch (n->op) {
	case N_ASSIGN:
	case N_OPASSIGN:
	case N_PREINC:
	case N_PREDEC:
	case N_POSTINC:
	case N_POSTDEC: return true;
	case N_CALL: return !n->subr || is_ordered(n->subr->id);
	default: return false;
	}
}

#define WEIGHT_DEPTH 24 /* look no deeper: what is there weighs much */

/* Registers that a tree needs at a time, about. */
static u32 weight(const struct dt_node *n, u32 depth)
{
	u32 a, b;

	if (!n)
		return 0;
	if (depth == WEIGHT_DEPTH)
		return WEIGHT_DEPTH;
	if (n->op == N_COND) {
		u32 c = weight(n->l, depth + 1);

		a = weight(n->r, depth + 1);
		b = weight(n->c, depth + 1);
		return DT_MAX(c, a == b ? a + 1 : DT_MAX(a, b));
	}
	a = weight(n->l, depth + 1);
	b = weight(n->r, depth + 1);
	for (u32 k = 0; k < n->nargs; k++)
		a = DT_MAX(a, weight(n->args[k], depth + 1));
	a = a == b ? a + 1 : DT_MAX(a, b);
	return DT_MAX(a, 1);
}

bool g_right_first(const struct dt_node *l, const struct dt_node *r)
{
	return weight(r, 0) > weight(l, 0) && !node_uses(l, has_effect) && !node_uses(r, has_effect);
}

static void operands(struct gen *g, const struct dt_node *n, vreg *a, vreg *b)
{
	bool right_first = g_right_first(n->l, n->r);

	if (right_first)
		*b = g_expr(g, n->r);
	*a = g_expr(g, n->l);
	if (!right_first)
		*b = g_expr(g, n->r);
}

/* ---- built-in variables -------------------------------------------------------------------------------- */

vreg g_current_task_btf(struct gen *g)
{
	return e_call0(g, BPF_FUNC_get_current_task_btf);
}

vreg g_pid_tgid(struct gen *g)
{
	return e_call0(g, BPF_FUNC_get_current_pid_tgid);
}

const struct dt_node *g_other_thread(const struct gen *g)
{
	return g->errinfo ? NULL : g->clause->task;
}

vreg g_thread_btf(struct gen *g)
{
	const struct dt_node *task = g_other_thread(g);

	return task ? g_typed_arg(g, (u32)task->val) : g_current_task_btf(g);
}

vreg g_thread(struct gen *g)
{
	return g_other_thread(g) ? e_launder(g, g_thread_btf(g)) :
				   e_call0(g, BPF_FUNC_get_current_task);
}

static vreg other_number(struct gen *g, const char *member)
{
	u32 off = g_kernel_offset(g, g_other_thread(g)->loc, "struct task_struct", member);

	return g_read_kernel(g, (struct mem){ g_thread(g), off }, 4);
}

vreg g_thread_id(struct gen *g)
{
	return g_other_thread(g) ? other_number(g, "pid") : e_zext32(g, g_pid_tgid(g));
}

vreg g_thread_tgid(struct gen *g)
{
	return g_other_thread(g) ? other_number(g, "tgid") : g_tgid(g);
}

vreg g_tgid(struct gen *g)
{
	return e_alui(g, IR_SHR, g_pid_tgid(g), 32);
}

/* The error number of the system call that returns: -value when value is in -4095 ... -1. */
static vreg gen_errno(struct gen *g, const struct dt_node *n)
{
	vreg d = e_movi(g, 0);
	u32 ok = ir_label(g->f);

	(void)n;
	if (g->errinfo || g->set->abi != DT_ABI_SYS_EXIT)
		return d;
	vreg v = e_ld(g, (struct mem){ g->ctx, 8 }, 8);

	e_jcci(g, BPF_JLT, v, -4095, ok);
	e_set(g, d, e_neg(g, v));
	e_label(g, ok);
	return d;
}

/* Follow members of the current thread by name through BTF; *size of the last one. */
static vreg task_field(struct gen *g, const struct dt_node *n, const char *const *path)
{
	struct dt_type *t = dt_types_lookup(g->env->types, "struct task_struct");
	vreg p = e_call0(g, BPF_FUNC_get_current_task);
	s32 slot = ir_slot(g->f, 8);

	for (; *path; path++) {
		u64 bits = 0;
		const struct dt_member *m = t ? dt_type_member(t, *path, &bits) : NULL;

		if (!m) {
			g_fail(g, &n->loc,
			       "%s needs the kernel's type information (BTF), which has no %s",
			       n->builtin->name, *path);
			return p;
		}
		u32 size = (u32)dt_type_size(m->type);

		if (size > 8)
			size = 8;
		e_call(g, BPF_FUNC_probe_read_kernel, a_fp(slot), a_imm(size),
		       a_mem((struct mem){ p, (s64)(bits / 8) }));
		p = e_ld(g, mem_fp(slot), size);
		t = dt_type_resolve(m->type);
		if (t->kind == DT_POINTER)
			t = dt_type_resolve(t->ref);
	}
	return p;
}

static vreg gen_ppid(struct gen *g, const struct dt_node *n)
{
	static const char *const path[] = { "real_parent", "tgid", NULL };

	return task_field(g, n, path);
}

static vreg gen_walltime(struct gen *g, const struct dt_node *n)
{
	(void)n;
	return e_alu(g, IR_ADD, g->ts, e_ld(g, g_globals_mem(g, DT_GL_WALLOFF), 8));
}

static vreg gen_timestamp(struct gen *g, const struct dt_node *n)
{
	(void)n;
	return g->ts;
}

static vreg gen_pid(struct gen *g, const struct dt_node *n)
{
	(void)n;
	return g_tgid(g);
}

static vreg gen_tid(struct gen *g, const struct dt_node *n)
{
	(void)n;
	return e_zext32(g, g_pid_tgid(g));
}

static vreg gen_uid(struct gen *g, const struct dt_node *n)
{
	(void)n;
	return e_zext32(g, e_call0(g, BPF_FUNC_get_current_uid_gid));
}

static vreg gen_gid(struct gen *g, const struct dt_node *n)
{
	(void)n;
	return e_alui(g, IR_SHR, e_call0(g, BPF_FUNC_get_current_uid_gid), 32);
}

static vreg gen_cpu(struct gen *g, const struct dt_node *n)
{
	(void)n;
	return e_call0(g, BPF_FUNC_get_smp_processor_id);
}

static vreg gen_curthread(struct gen *g, const struct dt_node *n)
{
	(void)n;
	return e_call0(g, BPF_FUNC_get_current_task);
}

static vreg gen_id(struct gen *g, const struct dt_node *n)
{
	(void)n;
	return g->errinfo ? e_movi(g, 3) : g_probe_id(g);
}

static vreg gen_epid(struct gen *g, const struct dt_node *n)
{
	(void)n;
	return e_movi(g, g->epid);
}

static vreg gen_arg(struct gen *g, const struct dt_node *n)
{
	return g_raw_arg(g, (u32)n->val);
}

static vreg (*const builtin_gens[DT_B_N])(struct gen *g, const struct dt_node *n) = {
	[DT_B_ARG] = gen_arg,
	[DT_B_PID] = gen_pid,
	[DT_B_TID] = gen_tid,
	[DT_B_PPID] = gen_ppid,
	[DT_B_UID] = gen_uid,
	[DT_B_GID] = gen_gid,
	[DT_B_CPU] = gen_cpu,
	[DT_B_TIMESTAMP] = gen_timestamp,
	[DT_B_WALLTIMESTAMP] = gen_walltime,
	[DT_B_ERRNO] = gen_errno,
	[DT_B_CURTHREAD] = gen_curthread,
	[DT_B_RUNNING] = gen_curthread,
	[DT_B_ID] = gen_id,
	[DT_B_EPID] = gen_epid,
	[DT_B_CALLER] = g_caller,
	[DT_B_UCALLER] = g_caller,
	[DT_B_STACKDEPTH] = g_stackdepth,
	[DT_B_USTACKDEPTH] = g_stackdepth,
	[DT_B_UREGS] = g_uregs,
	[DT_B_CGROUP] = g_cgroup,
	[DT_B_VTIMESTAMP] = g_vtimestamp,
};

static vreg gen_builtin(struct gen *g, const struct dt_node *n)
{
	if (!builtin_gens[n->builtin->id]) {
		g_fail(g, &n->loc, "%s cannot be used here", n->builtin->name);
		return e_movi(g, 0);
	}
	return builtin_gens[n->builtin->id](g, n);
}

/* ---- arithmetic ------------------------------------------------------------------------------------------ */

static vreg abs_value(struct gen *g, vreg a)
{
	vreg d = e_mov(g, a);
	u32 pos = ir_label(g->f);

	e_jcci(g, BPF_JSGE, d, 0, pos);
	e_set(g, d, e_neg(g, d));
	e_label(g, pos);
	return d;
}

/* eBPF divides unsigned numbers only: divide magnitudes, then give the sign (of the dividend for %). */
static vreg signed_divide(struct gen *g, enum ir_op op, vreg a, vreg b)
{
	vreg sign = op == IR_DIV ? e_alu(g, IR_XOR, a, b) : a;
	vreg d = e_mov(g, e_alu(g, op, abs_value(g, a), abs_value(g, b)));
	u32 pos = ir_label(g->f);

	e_jcci(g, BPF_JSGE, sign, 0, pos);
	e_set(g, d, e_neg(g, d));
	e_label(g, pos);
	return d;
}

static vreg divide(struct gen *g, enum ir_op op, bool is_signed, vreg a, vreg b, struct dt_loc loc)
{
	g_fault_unless(g, BPF_JNE, b, 0, DTRACEFLT_DIVZERO, 0, loc);
	return is_signed ? signed_divide(g, op, a, b) : e_alu(g, op, a, b);
}

vreg g_arith(struct gen *g, enum dt_nop op, const struct dt_type *t, vreg a, vreg b, struct dt_loc loc)
{
	bool sgn = dt_type_is_signed(t);
	vreg v;

	switch (op) {
	case N_MUL: v = e_alu(g, IR_MUL, a, b); break;
	case N_ADD: v = e_alu(g, IR_ADD, a, b); break;
	case N_SUB: v = e_alu(g, IR_SUB, a, b); break;
	case N_SHL: v = e_alu(g, IR_SHL, a, b); break;
	case N_SHR: return e_alu(g, sgn ? IR_SAR : IR_SHR, a, b);
	case N_DIV: v = divide(g, IR_DIV, sgn, a, b, loc); break;
	case N_MOD: v = divide(g, IR_MOD, sgn, a, b, loc); break;
	case N_AND: return e_alu(g, IR_AND, a, b);
	case N_OR: return e_alu(g, IR_OR, a, b);
	case N_XOR: return e_alu(g, IR_XOR, a, b);
	default: g_fail(g, &loc, "internal: operator %d has no code", op); return a;
	}
	return norm_to(g, v, t);
}

/* Operations with a constant that fits the instruction need no register for it. */
static bool arith_const(struct gen *g, const struct dt_node *n, vreg a, s64 c, vreg *out)
{
	static const u8 ops[N_NOPS] = {
		[N_ADD] = IR_ADD, [N_SUB] = IR_SUB, [N_MUL] = IR_MUL, [N_AND] = IR_AND,
		[N_OR] = IR_OR,   [N_XOR] = IR_XOR, [N_SHL] = IR_SHL, [N_SHR] = IR_SHR,
		[N_DIV] = IR_DIV, [N_MOD] = IR_MOD,
	};
	bool sgn = dt_type_is_signed(n->type);
	u8 op = ops[n->op];

	if (!op || c != (s32)c || ((op == IR_DIV || op == IR_MOD) && (sgn || c <= 0)))
		return false;
	if ((op == IR_SHL || op == IR_SHR) && (c < 0 || c > 63))
		return false;
	if (op == IR_SHR && sgn)
		op = IR_SAR;
	*out = norm_to(g, e_alui(g, op, a, c), n->type);
	return true;
}

static u64 pointee_size(struct gen *g, const struct dt_type *t)
{
	u64 size = g_type_size(g, dt_type_resolve((struct dt_type *)t)->ref);

	return size ? size : 1;
}

static vreg pointer_arith(struct gen *g, const struct dt_node *n)
{
	vreg a, b;

	operands(g, n, &a, &b);
	if (dt_type_is_pointer(n->r->type)) {
		u64 size = pointee_size(g, n->l->type);
		vreg d = e_alu(g, IR_SUB, a, b);

		return size == 1 ? d : signed_divide(g, IR_DIV, d, e_movi(g, (s64)size));
	}
	u64 size = pointee_size(g, n->type);

	if (size != 1)
		b = e_alui(g, IR_MUL, b, (s64)size);
	return e_alu(g, n->op == N_ADD ? IR_ADD : IR_SUB, a, b);
}

static vreg gen_binary(struct gen *g, const struct dt_node *n)
{
	vreg a, b;

	if ((n->op == N_ADD || n->op == N_SUB) &&
	    (dt_type_is_pointer(n->type) || dt_type_is_pointer(n->l->type)))
		return pointer_arith(g, n);
	if (n->r->op == N_INT) {
		vreg out;

		a = g_expr(g, n->l);
		if (arith_const(g, n, a, (s64)n->r->val, &out))
			return out;
		b = g_expr(g, n->r);
	} else {
		operands(g, n, &a, &b);
	}
	return g_arith(g, n->op, n->type, a, b, n->loc);
}

static vreg gen_neg(struct gen *g, const struct dt_node *n)
{
	return norm_to(g, e_neg(g, g_expr(g, n->l)), n->type);
}

static vreg gen_bitnot(struct gen *g, const struct dt_node *n)
{
	return norm_to(g, e_alui(g, IR_XOR, g_expr(g, n->l), -1), n->type);
}

/* ---- conditions ------------------------------------------------------------------------------------------- */

static u8 jump_code(enum dt_nop op, bool sgn)
{
	switch (op) {
	case N_LT: return sgn ? BPF_JSLT : BPF_JLT;
	case N_LE: return sgn ? BPF_JSLE : BPF_JLE;
	case N_GT: return sgn ? BPF_JSGT : BPF_JGT;
	case N_GE: return sgn ? BPF_JSGE : BPF_JGE;
	case N_NE: return BPF_JNE;
	default: return BPF_JEQ;
	}
}

static u8 negated(u8 code)
{
	static const u8 pairs[][2] = {
		{ BPF_JEQ, BPF_JNE },   { BPF_JGT, BPF_JLE },   { BPF_JGE, BPF_JLT },
		{ BPF_JSGT, BPF_JSLE }, { BPF_JSGE, BPF_JSLT },
	};

	for (size_t k = 0; k < DT_NELEM(pairs); k++) {
		if (pairs[k][0] == code)
			return pairs[k][1];
		if (pairs[k][1] == code)
			return pairs[k][0];
	}
	return code;
}

/* Where control goes on: the label that comes next needs no jump. */
static void branch(struct gen *g, u8 code, vreg a, vreg b, s64 imm, u32 iftrue, u32 iffalse,
		   bool true_next)
{
	u32 to = true_next ? iffalse : iftrue;

	if (true_next)
		code = negated(code);
	if (b)
		e_jcc(g, code, a, b, to);
	else
		e_jcci(g, code, a, imm, to);
}

static void cond_string(struct gen *g, const struct dt_node *n, u32 iftrue, u32 iffalse,
			bool true_next)
{
	if (n->op == N_EQ || n->op == N_NE) {
		bool eq = n->op == N_EQ;

		g_streq(g, n->l, n->r, eq ? iftrue : iffalse, eq ? iffalse : iftrue);
		return;
	}
	branch(g, jump_code(n->op, true), g_strcmp(g, n->l, n->r), 0, 0, iftrue, iffalse, true_next);
}

static void cond_compare(struct gen *g, const struct dt_node *n, u32 iftrue, u32 iffalse,
			 bool true_next)
{
	u8 code = jump_code(n->op, dt_type_is_signed(n->l->type));

	if (dt_type_is_string(n->l->type)) {
		cond_string(g, n, iftrue, iffalse, true_next);
		return;
	}
	if (n->r->op == N_INT && (s64)n->r->val == (s32)n->r->val) {
		branch(g, code, g_expr(g, n->l), 0, (s64)n->r->val, iftrue, iffalse, true_next);
	} else {
		vreg a, b;

		operands(g, n, &a, &b);
		branch(g, code, a, b, 0, iftrue, iffalse, true_next);
	}
}

/* Jump to iftrue or iffalse; one of them is placed right after (true_next says which). */
void g_cond(struct gen *g, const struct dt_node *n, u32 iftrue, u32 iffalse, bool true_next)
{
	u32 mid;

	switch (n->op) {
	case N_LT:
	case N_LE:
	case N_GT:
	case N_GE:
	case N_EQ:
	case N_NE: cond_compare(g, n, iftrue, iffalse, true_next); return;
	case N_LOGNOT: g_cond(g, n->l, iffalse, iftrue, !true_next); return;
	case N_LAND:
		mid = ir_label(g->f);
		g_cond(g, n->l, mid, iffalse, true);
		e_label(g, mid);
		g_cond(g, n->r, iftrue, iffalse, true_next);
		return;
	case N_LOR:
		mid = ir_label(g->f);
		g_cond(g, n->l, iftrue, mid, false);
		e_label(g, mid);
		g_cond(g, n->r, iftrue, iffalse, true_next);
		return;
	default:
		if (dt_type_is_string(n->type)) { /* true when not empty */
			struct sval s = g_str(g, n);

			branch(g, BPF_JNE, e_ld(g, s.m, 1), 0, 0, iftrue, iffalse, true_next);
			return;
		}
		branch(g, BPF_JNE, g_expr(g, n), 0, 0, iftrue, iffalse, true_next);
	}
}

/* A condition as 0 or 1. */
static vreg gen_bool(struct gen *g, const struct dt_node *n)
{
	u32 yes = ir_label(g->f), no = ir_label(g->f), end = ir_label(g->f);
	vreg d = ir_reg(g->f);

	g_cond(g, n, yes, no, true);
	e_label(g, yes);
	e_seti(g, d, 1);
	e_jmp(g, end);
	e_label(g, no);
	e_seti(g, d, 0);
	e_label(g, end);
	return d;
}

static vreg gen_lxor(struct gen *g, const struct dt_node *n)
{
	bool right_first = g_right_first(n->l, n->r);
	vreg a = gen_bool(g, right_first ? n->r : n->l), b = gen_bool(g, right_first ? n->l : n->r);

	return e_alu(g, IR_XOR, a, b);
}

/* The result's register is taken when the first arm is done: that is the one that needs more itself. */
static vreg gen_cond(struct gen *g, const struct dt_node *n)
{
	u32 yes = ir_label(g->f), no = ir_label(g->f), end = ir_label(g->f);
	bool no_first = weight(n->c, 0) > weight(n->r, 0);
	vreg d = ir_reg(g->f);

	g_cond(g, n->l, yes, no, !no_first);
	e_label(g, no_first ? no : yes);
	e_set(g, d, g_expr(g, no_first ? n->c : n->r));
	e_jmp(g, end);
	e_label(g, no_first ? yes : no);
	e_set(g, d, g_expr(g, no_first ? n->r : n->c));
	e_label(g, end);
	return d;
}

/* ---- assignment ------------------------------------------------------------------------------------------- */

struct change {
	enum dt_nop op;
	const struct dt_node *n;
	vreg operand;
	s64 step;
};

static vreg cast_value(struct gen *g, vreg v, const struct dt_type *from, const struct dt_type *to)
{
	u32 fs = (u32)dt_type_size(from), ts = (u32)dt_type_size(to);
	bool fsgn = dt_type_is_signed(from), tsgn = dt_type_is_signed(to);

	if (!ts || ts >= 8)
		return v;
	if (fs && (ts > fs ? (!fsgn || tsgn) : (ts == fs && fsgn == tsgn)))
		return v;
	return g_norm(g, v, ts, tsgn);
}

static vreg change_op(struct gen *g, vreg old, const void *arg)
{
	const struct change *c = arg;
	const struct dt_node *n = c->n;

	if (dt_type_is_pointer(n->l->type)) {
		u64 size = pointee_size(g, n->l->type);
		vreg b = size == 1 ? c->operand : e_alui(g, IR_MUL, c->operand, (s64)size);

		return e_alu(g, c->op == N_ADD ? IR_ADD : IR_SUB, old, b);
	}
	const struct dt_type *work = n->optype ? n->optype : n->l->type;
	vreg a = cast_value(g, old, n->l->type, work);

	return cast_value(g, g_arith(g, c->op, work, a, c->operand, n->loc), work, n->l->type);
}

static vreg change_step(struct gen *g, vreg old, const void *arg)
{
	const struct change *c = arg;

	return norm_to(g, e_alui(g, IR_ADD, old, c->step), c->n->l->type);
}

static vreg gen_opassign(struct gen *g, const struct dt_node *n)
{
	struct change c = { .op = (enum dt_nop)n->val, .n = n, .operand = g_expr(g, n->r) };

	return g_modify(g, n->l, change_op, &c, false);
}

static vreg gen_step(struct gen *g, const struct dt_node *n)
{
	bool dec = n->op == N_PREDEC || n->op == N_POSTDEC;
	struct change c = { .n = n, .step = dec ? -1 : 1 };

	if (dt_type_is_pointer(n->l->type))
		c.step *= (s64)pointee_size(g, n->l->type);
	return g_modify(g, n->l, change_step, &c, n->op == N_POSTINC || n->op == N_POSTDEC);
}

static vreg gen_assign(struct gen *g, const struct dt_node *n)
{
	if (!dt_type_is_scalar(n->type)) {
		g_assign(g, n);
		return e_movi(g, 0);
	}
	return g_store(g, n->l, g_expr(g, n->r));
}

/* ---- the rest --------------------------------------------------------------------------------------------- */

static vreg gen_int(struct gen *g, const struct dt_node *n)
{
	return e_movi(g, (s64)n->val);
}

/* A narrow argument occupies a full register of the probe; what is above its width is not ours. */
static vreg gen_typed_arg(struct gen *g, const struct dt_node *n)
{
	return norm_to(g, g_raw_arg(g, (u32)n->val), n->type);
}

static vreg gen_cast(struct gen *g, const struct dt_node *n)
{
	const struct dt_type *t = dt_type_resolve(n->type);

	if (t->kind == DT_VOID) {
		g_effect(g, n->l);
		return e_movi(g, 0);
	}
	if (t->is_bool)
		return gen_bool(g, n->l);
	if (dt_type_is_array(n->l->type) || dt_type_is_string(n->l->type)) {
		struct addr a = dt_type_is_string(n->l->type) ?
					(struct addr){ .m = g_str(g, n->l).m } :
					g_addr(g, n->l);

		return e_launder(g, e_addr(g, a.m));
	}
	return cast_value(g, g_expr(g, n->l), n->l->type, n->type);
}

static vreg gen_addrof(struct gen *g, const struct dt_node *n)
{
	struct addr a = g_addr(g, n->l);
	vreg v = e_addr(g, a.m);

	return a.kind == ADDR_SAFE || a.kind == ADDR_BTF ? e_launder(g, v) : v;
}

static vreg gen_comma(struct gen *g, const struct dt_node *n)
{
	g_effect(g, n->l);
	return g_expr(g, n->r);
}

static vreg gen_ksym(struct gen *g, const struct dt_node *n)
{
	struct addr a = { .kind = ADDR_KERN, .m = { e_movi(g, (s64)n->val), 0 } };

	return g_load(g, a, n->type, n->loc);
}

static vreg gen_call(struct gen *g, const struct dt_node *n)
{
	if (n->subr && (n->subr->id == DT_S_CHIP || n->subr->id == DT_S_LGRP))
		return g_cpu_place(g, n);
	if (n->subr)
		return g_subr(g, n);
	return g_expr(g, n->args[0]); /* sym(addr) and friends as a number: the address */
}

static vreg (*const gens[N_NOPS])(struct gen *g, const struct dt_node *n) = {
	[N_INT] = gen_int,       [N_BUILTIN] = gen_builtin, [N_ARG] = gen_typed_arg,
	[N_VAR] = g_var_load,    [N_ASSOC] = g_var_load,    [N_KSYM] = gen_ksym,
	[N_CALL] = gen_call,     [N_NEG] = gen_neg,         [N_BITNOT] = gen_bitnot,
	[N_LOGNOT] = gen_bool,   [N_DEREF] = g_var_load,    [N_ADDROF] = gen_addrof,
	[N_MEMBER] = g_var_load, [N_INDEX] = g_var_load,    [N_MUL] = gen_binary,
	[N_DIV] = gen_binary,    [N_MOD] = gen_binary,      [N_ADD] = gen_binary,
	[N_SUB] = gen_binary,    [N_SHL] = gen_binary,      [N_SHR] = gen_binary,
	[N_AND] = gen_binary,    [N_XOR] = gen_binary,      [N_OR] = gen_binary,
	[N_LT] = gen_bool,       [N_LE] = gen_bool,         [N_GT] = gen_bool,
	[N_GE] = gen_bool,       [N_EQ] = gen_bool,         [N_NE] = gen_bool,
	[N_LAND] = gen_bool,     [N_LXOR] = gen_lxor,       [N_LOR] = gen_bool,
	[N_COND] = gen_cond,     [N_ASSIGN] = gen_assign,   [N_OPASSIGN] = gen_opassign,
	[N_PREINC] = gen_step,   [N_PREDEC] = gen_step,     [N_POSTINC] = gen_step,
	[N_POSTDEC] = gen_step,  [N_COMMA] = gen_comma,     [N_CAST] = gen_cast,
};

/* A value that is one of several constants. */
static bool is_choice(const struct dt_node *n)
{
	switch (n->op) {
	case N_COND:
	case N_LOGNOT:
	case N_LT:
	case N_LE:
	case N_GT:
	case N_GE:
	case N_EQ:
	case N_NE:
	case N_LAND:
	case N_LXOR:
	case N_LOR: return true;
	default: return false;
	}
}

/* Becomes a loop over a string. */
static bool may_loop(const struct dt_node *n)
{
	return n->op == N_CALL || (n->op >= N_LT && n->op <= N_NE && dt_type_is_string(n->l->type));
}

bool g_loops(const struct dt_stmt *s)
{
	bool found = node_uses(s->expr, may_loop);

	for (u32 k = 0; k < s->nargs && !found; k++)
		found = node_uses(s->args[k], may_loop);
	for (u32 k = 0; k < s->nkeys && !found; k++)
		found = node_uses(s->keys[k], may_loop);
	return found;
}

vreg g_expr(struct gen *g, const struct dt_node *n)
{
	u32 frame = g->f->frame;
	bool writing = g->writing;
	vreg v;

	if (g->failed)
		return e_movi(g, 0);
	if (!gens[n->op]) {
		g_fail(g, &n->loc, "this expression cannot be used as a number");
		return e_movi(g, 0);
	}
	g->writing = false;
	v = gens[n->op](g, n);
	g->writing = writing;
	if (g->loops &&
	    is_choice(n)) /* verifiers before Linux 6.2 follow each constant through each loop */
		v = e_launder(g, v);
	g->f->frame = frame; /* the value is in a register: what it took to make it is free */
	return v;
}

void g_effect(struct gen *g, const struct dt_node *n)
{
	if (n->op == N_ASSIGN) {
		g_assign(g, n);
	} else if (n->op == N_COMMA) {
		g_effect(g, n->l);
		g_effect(g, n->r);
	} else if (dt_type_is_string(n->type)) {
		g_str(g, n);
	} else if (dt_type_is_scalar(n->type) || dt_type_resolve(n->type)->kind == DT_VOID) {
		g_expr(g, n);
	}
}

/* ---- walks -------------------------------------------------------------------------------------------------- */

bool node_uses(const struct dt_node *n, bool (*test)(const struct dt_node *))
{
	if (!n)
		return false;
	if (test(n) || node_uses(n->l, test) || node_uses(n->r, test) || node_uses(n->c, test))
		return true;
	for (u32 k = 0; k < n->nargs; k++)
		if (node_uses(n->args[k], test))
			return true;
	return false;
}

static bool list_uses(struct dt_node *const *v, u32 n, bool (*test)(const struct dt_node *))
{
	for (u32 k = 0; k < n; k++)
		if (node_uses(v[k], test))
			return true;
	return false;
}

bool stmts_use(const struct dt_stmt *s, bool (*test)(const struct dt_node *))
{
	for (; s; s = s->next)
		if (node_uses(s->expr, test) || list_uses(s->args, s->nargs, test) ||
		    list_uses(s->keys, s->nkeys, test) || stmts_use(s->then_, test) ||
		    stmts_use(s->else_, test))
			return true;
	return false;
}
