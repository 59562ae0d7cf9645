/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fold.c - operators on constants.  Constants are kept as their type holds them: cut to its size,
 * then sign or zero extended to 64 bits.  Shift counts are taken modulo 64, as the machine does.
 */
#include "lang/compile.h"

u64 dt_fold_value(const struct dt_type *t, u64 val)
{
	u64 size = dt_type_size(t);
	const struct dt_type *r = dt_type_resolve((struct dt_type *)t);
	u32 drop;

	if (r && r->is_bool)
		return val != 0;
	if (size == 0 || size >= 8)
		return val;
	drop = 64 - 8 * (u32)size;
	return dt_type_is_signed(t) ? (u64)((s64)(val << drop) >> drop) : val << drop >> drop;
}

static bool compare(enum dt_nop op, u64 l, u64 r, bool is_signed)
{
	bool less = is_signed ? (s64)l < (s64)r : l < r;

	switch (op) {
	case N_LT: return less;
	case N_LE: return less || l == r;
	case N_GT: return !less && l != r;
	case N_GE: return !less;
	case N_EQ: return l == r;
	default: return l != r;
	}
}

static u64 divide(enum dt_nop op, u64 l, u64 r, bool is_signed)
{
	if (is_signed && (s64)r == -1)
		return op == N_DIV ? -l : 0;
	if (op == N_DIV)
		return is_signed ? (u64)((s64)l / (s64)r) : l / r;
	return is_signed ? (u64)((s64)l % (s64)r) : l % r;
}

static u64 arith(enum dt_nop op, u64 l, u64 r, bool is_signed)
{
	switch (op) {
	case N_MUL: return l * r;
	case N_DIV:
	case N_MOD: return divide(op, l, r, is_signed);
	case N_ADD: return l + r;
	case N_SUB: return l - r;
	case N_SHL: return l << (r & 63);
	case N_SHR: return is_signed ? (u64)((s64)l >> (r & 63)) : l >> (r & 63);
	case N_AND: return l & r;
	case N_XOR: return l ^ r;
	default: return l | r;
	}
}

static struct dt_node *constant(struct dt_compile *c, struct dt_node *n, u64 val)
{
	return dt_int_node(c, dt_fold_value(n->type, val), n->type, n->loc);
}

static struct dt_node *fold_unary(struct dt_compile *c, struct dt_node *n)
{
	u64 v = n->l->val;

	switch (n->op) {
	case N_NEG: return constant(c, n, -v);
	case N_BITNOT: return constant(c, n, ~v);
	case N_LOGNOT: return constant(c, n, !v);
	case N_CAST: return constant(c, n, v);
	default: return n;
	}
}

struct dt_node *dt_fold(struct dt_compile *c, struct dt_node *n)
{
	u64 l, r;

	if (!n->l || n->l->op != N_INT || !dt_type_is_scalar(n->type))
		return n;
	if (n->op == N_COND)
		return n->l->val ? n->r : n->c;
	if (!n->r)
		return fold_unary(c, n);
	if (n->r->op != N_INT)
		return n;
	l = n->l->val;
	r = n->r->val;
	if (n->op >= N_MUL && n->op <= N_OR) {
		/* pointers step by what they point to: left to run time */
		if (dt_type_is_pointer(n->l->type) || ((n->op == N_DIV || n->op == N_MOD) && !r))
			return n;
		return constant(c, n, arith(n->op, l, r, dt_type_is_signed(n->type)));
	}
	if (n->op >= N_LT && n->op <= N_NE)
		return constant(c, n, compare(n->op, l, r, dt_type_is_signed(n->l->type)));
	switch (n->op) {
	case N_LAND: return constant(c, n, l && r);
	case N_LOR: return constant(c, n, l || r);
	case N_LXOR: return constant(c, n, !l != !r);
	default: return n;
	}
}
