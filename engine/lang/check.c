/* SPDX-License-Identifier: Apache-2.0 */
/*
 * check.c - types of expressions: every operand is converted by explicit casts to what its operator
 * works in.
 *
 * A wrong expression becomes a poisoned node, whose type fits everywhere, so that one mistake gives
 * one message.
 */
#include <string.h>

#include "lang/compile.h"

#define MAX_CHECK_DEPTH 1500

/* ---- small helpers ------------------------------------------------------------------------- */

struct dt_type *dt_basic(struct dt_compile *c, enum dt_basic b)
{
	return dt_type_basic(c->ts, b);
}

struct dt_node *dt_poison(struct dt_compile *c, struct dt_node *n)
{
	n->op = N_POISON;
	n->type = dt_basic(c, DT_T_POISON);
	n->checked = true;
	return n;
}

bool dt_is_poison(const struct dt_node *n)
{
	return n->op == N_POISON || (n->type && n->type->kind == DT_POISON);
}

bool dt_is_zero(const struct dt_node *n)
{
	return n->op == N_INT && n->val == 0;
}

struct dt_node *dt_int_node(struct dt_compile *c, u64 val, struct dt_type *type, struct dt_loc loc)
{
	struct dt_node *n = dt_node_new(c, N_INT, loc);

	n->val = val;
	n->type = type;
	n->checked = true;
	return n;
}

static struct dt_node *typed(struct dt_node *n, struct dt_type *t)
{
	n->type = t;
	n->checked = true;
	return n;
}

static bool is_kind(const struct dt_node *n, enum dt_kind kind)
{
	const struct dt_type *t = dt_type_resolve(n->type);

	return t && t->kind == kind;
}

bool dt_is_user_pointer(const struct dt_type *t)
{
	const struct dt_type *r = dt_type_resolve((struct dt_type *)t);

	return r && r->kind == DT_POINTER && r->ref && r->ref->is_userland;
}

/* The lvalue lies in the traced process: an array in it has nothing that the kernel could read. */
static bool in_userland(const struct dt_node *n)
{
	for (; n; n = n->l) {
		if (n->op == N_DEREF || (n->op == N_INDEX && dt_type_is_pointer(n->l->type)))
			return dt_is_user_pointer(n->l->type);
		if (n->op != N_MEMBER && n->op != N_INDEX)
			return false;
	}
	return false;
}

bool dt_stringable(const struct dt_node *n)
{
	if (dt_type_is_string(n->type))
		return true;
	return dt_type_is_stringlike(n->type) && !dt_is_user_pointer(n->type) && !in_userland(n);
}

static const char *const op_texts[N_NOPS] = {
	[N_NEG] = "-",      [N_BITNOT] = "~",     [N_LOGNOT] = "!",  [N_DEREF] = "*",
	[N_ADDROF] = "&",   [N_MUL] = "*",        [N_DIV] = "/",     [N_MOD] = "%",
	[N_ADD] = "+",      [N_SUB] = "-",        [N_SHL] = "<<",    [N_SHR] = ">>",
	[N_AND] = "&",      [N_XOR] = "^",        [N_OR] = "|",      [N_LT] = "<",
	[N_LE] = "<=",      [N_GT] = ">",         [N_GE] = ">=",     [N_EQ] = "==",
	[N_NE] = "!=",      [N_LAND] = "&&",      [N_LXOR] = "^^",   [N_LOR] = "||",
	[N_COND] = "?:",    [N_ASSIGN] = "=",     [N_PREINC] = "++", [N_PREDEC] = "--",
	[N_POSTINC] = "++", [N_POSTDEC] = "--",   [N_COMMA] = ",",   [N_ARROW] = "->",
	[N_DOT] = ".",      [N_SUBSCRIPT] = "[]",
};

const char *dt_op_text(enum dt_nop op)
{
	return op < N_NOPS && op_texts[op] ? op_texts[op] : "operator";
}

static const char *assign_text(struct dt_compile *c, const struct dt_node *n)
{
	return n->op == N_OPASSIGN ? dt_arena_printf(c->a, "%s=", dt_op_text((enum dt_nop)n->val)) :
				     dt_op_text(n->op);
}

static struct dt_node *incompat(struct dt_compile *c, struct dt_node *n, const struct dt_node *l,
				const struct dt_node *r, const char *op)
{
	dt_err(c, D_OP_INCOMPAT, n->loc, "operands have incompatible types: \"%s\" %s \"%s\"",
	       dt_tstr(c, l->type), op, dt_tstr(c, r->type));
	return dt_poison(c, n);
}

struct dt_var *dt_temp_var(struct dt_compile *c, struct dt_type *type)
{
	struct dt_var *v = dt_arena_new(&c->st->arena, struct dt_var);
	char name[24];

	snprintf(name, sizeof(name), "$%u", c->ntemps++);
	v->name = dt_arena_strdup(&c->st->arena, name);
	v->scope = DT_THIS;
	v->type = type;
	v->is_macro_temp = true;
	v->map = -1;
	v->id = c->st->thisvars.n + c->names.thisvars.n;
	*dt_vec_push(c->a, &c->names.thisvars) = v;
	return v;
}

struct dt_node *dt_var_node(struct dt_compile *c, struct dt_var *v, struct dt_loc loc)
{
	struct dt_node *n = dt_node_new(c, N_VAR, loc);

	n->var = v;
	n->lvalue = true;
	return typed(n, v->type);
}

/* ---- conversions --------------------------------------------------------------------------- */

struct dt_type *dt_promote(struct dt_compile *c, const struct dt_node *n)
{
	u64 size = dt_type_size(n->type);
	bool is_signed = dt_type_is_signed(n->type);

	if (n->op == N_MEMBER && n->bit_size && n->bit_size < 32)
		return dt_basic(c, DT_T_INT);
	if (size < 4)
		return dt_basic(c, DT_T_INT);
	return dt_type_int(c->ts, size, is_signed);
}

static struct dt_type *common(struct dt_compile *c, const struct dt_node *l, const struct dt_node *r)
{
	struct dt_type *a = dt_promote(c, l), *b = dt_promote(c, r);

	if (a->size != b->size)
		return a->size > b->size ? a : b;
	return a->is_signed ? b : a;
}

static bool same_values(const struct dt_type *a, const struct dt_type *b)
{
	const struct dt_type *x = dt_type_resolve((struct dt_type *)a);
	const struct dt_type *y = dt_type_resolve((struct dt_type *)b);

	return dt_type_is_int(x) && dt_type_is_int(y) && x->size == y->size &&
	       x->is_signed == y->is_signed && x->is_bool == y->is_bool;
}

struct dt_node *dt_cast(struct dt_compile *c, struct dt_node *n, struct dt_type *type)
{
	struct dt_node *cast;

	if (dt_is_poison(n) || type->kind == DT_POISON || n->type == type ||
	    same_values(n->type, type) ||
	    (n->op != N_INT && dt_type_is_pointer(n->type) && dt_type_same(n->type, type)))
		return n;
	cast = dt_node_new(c, N_CAST, n->loc);
	cast->l = n;
	return dt_fold(c, typed(cast, type));
}

struct dt_node *dt_to_string(struct dt_compile *c, struct dt_node *n)
{
	struct dt_node *cast;
	const struct dt_type *t = dt_type_resolve(n->type);

	if (dt_is_poison(n) || dt_type_is_string(n->type))
		return n;
	cast = dt_node_new(c, N_CAST, n->loc);
	cast->l = n;
	if (t->kind == DT_ARRAY && t->nelems < UINT32_MAX)
		cast->strbound = (u32)t->nelems;
	return typed(cast, dt_basic(c, DT_T_STRING));
}

struct dt_node *dt_decay(struct dt_compile *c, struct dt_node *n)
{
	const struct dt_type *t = dt_type_resolve(n->type);
	struct dt_type *elem;
	struct dt_node *a;

	if (!t || t->kind != DT_ARRAY)
		return n;
	elem = t->ref;
	if (in_userland(n))
		elem = dt_userland(c, elem);
	a = dt_node_new(c, N_ADDROF, n->loc);
	a->l = n;
	return typed(a, dt_type_pointer(c->ts, elem));
}

/* void * goes with all pointers, others with their like. */
static bool pointers_compat(const struct dt_type *a, const struct dt_type *b)
{
	const struct dt_type *x = dt_type_resolve((struct dt_type *)a),
			     *y = dt_type_resolve((struct dt_type *)b);
	const struct dt_type *p = dt_type_resolve(x->ref), *q = dt_type_resolve(y->ref);

	return !p || !q || p->kind == DT_VOID || q->kind == DT_VOID || dt_type_same(x, y);
}

static bool convert_pointer(struct dt_compile *c, struct dt_node **r, struct dt_type *type)
{
	*r = dt_decay(c, *r);
	if (dt_type_is_pointer((*r)->type) && !pointers_compat((*r)->type, type))
		return false;
	if (!dt_type_is_scalar((*r)->type))
		return false;
	*r = dt_cast(c, *r, type);
	return true;
}

bool dt_convert(struct dt_compile *c, struct dt_node **r, struct dt_type *type)
{
	const struct dt_type *t = dt_type_resolve(type);

	if (dt_is_poison(*r) || t->kind == DT_POISON)
		return true;
	switch (t->kind) {
	case DT_INT:
	case DT_ENUM:
		*r = dt_decay(c, *r);
		if (!dt_type_is_scalar((*r)->type))
			return false;
		*r = dt_cast(c, *r, type);
		return true;
	case DT_POINTER: return convert_pointer(c, r, type);
	case DT_STRING:
		if (dt_is_zero(*r)) /* clears */
			return true;
		if (!dt_stringable(*r))
			return false;
		*r = dt_to_string(c, *r);
		return true;
	case DT_STRUCT:
	case DT_UNION:
	case DT_ARRAY: return dt_is_zero(*r) || dt_type_same((*r)->type, type);
	case DT_STACK:
	case DT_SYMADDR:
	case DT_USYMADDR: return is_kind(*r, t->kind);
	default: return false;
	}
}

/* The type that a variable takes from its first assignment; NULL: none. */
struct dt_type *dt_infer(struct dt_compile *c, struct dt_node **r)
{
	const struct dt_type *t = dt_type_resolve((*r)->type);

	switch (t->kind) {
	case DT_ARRAY:
		if (dt_stringable(*r))
			*r = dt_to_string(c, *r);
		else
			*r = dt_decay(c, *r);
		return (*r)->type;
	case DT_INT:
	case DT_ENUM:
	case DT_POINTER:
	case DT_STRUCT:
	case DT_UNION:
	case DT_STACK:
	case DT_SYMADDR:
	case DT_USYMADDR:
	case DT_POISON: return (*r)->type;
	case DT_STRING: return dt_basic(c, DT_T_STRING);
	default: return NULL;
	}
}

/* ---- tuples of keys ------------------------------------------------------------------------ */

/* A key's type from its first use.  Integer keys of associative arrays get all 64 bits, as later
 * uses may be wider than the first; those of aggregations are shown, and keep their size. */
static struct dt_type *key_type(struct dt_compile *c, struct dt_node **arg, bool assoc)
{
	struct dt_type *t = dt_infer(c, arg);

	if (t && assoc && dt_type_is_int(t)) {
		t = dt_basic(c, dt_type_is_signed(t) ? DT_T_INT64 : DT_T_UINT64);
		*arg = dt_cast(c, *arg, t);
	}
	return t;
}

static bool first_tuple(struct dt_compile *c, const char *what, struct dt_type ***keys, u32 *nkeys,
			struct dt_node **args, u32 nargs)
{
	struct dt_type **t = dt_arena_alloc(&c->st->arena, nargs * sizeof(*t));
	bool ok = true;
	u32 i;

	for (i = 0; i < nargs; i++) {
		t[i] = key_type(c, &args[i], *what != '@');
		if (!t[i]) {
			dt_err(c, D_KEY_TYPE, args[i]->loc,
			       "%s expression may not be used as key #%u of %s[ ]",
			       dt_tstr(c, args[i]->type), i + 1, what);
			t[i] = dt_basic(c, DT_T_POISON);
			ok = false;
		}
	}
	*keys = t;
	*nkeys = nargs;
	return ok;
}

struct dt_node *dt_void_key(struct dt_compile *c, struct dt_node *n)
{
	dt_err(c, D_KEY_TYPE, n->loc, "%s( ) gives no value: it may not be used as a key", n->str);
	return dt_poison(c, n);
}

bool dt_check_tuple(struct dt_compile *c, const char *what, struct dt_type ***keys, u32 *nkeys,
		    bool first, struct dt_node **args, u32 nargs, struct dt_loc loc)
{
	bool ok = true;
	u32 i;

	if (first)
		return first_tuple(c, what, keys, nkeys, args, nargs);
	if (nargs != *nkeys) {
		dt_err(c, D_PROTO_LEN, loc, "%s[ ] prototype mismatch: %u key%s passed, %u expected",
		       what, nargs, nargs == 1 ? "" : "s", *nkeys);
		return false;
	}
	for (i = 0; i < nargs; i++) {
		if (dt_convert(c, &args[i], (*keys)[i]) &&
		    !(dt_type_is_string((*keys)[i]) && dt_is_zero(args[i])))
			continue;
		dt_err(c, D_PROTO_ARG, args[i]->loc,
		       "%s[ ] key #%u is incompatible with prototype: prototype: %s, argument: %s",
		       what, i + 1, dt_tstr(c, (*keys)[i]), dt_tstr(c, args[i]->type));
		ok = false;
	}
	return ok;
}

/* ---- operators ----------------------------------------------------------------------------- */

struct dt_node *dt_operand(struct dt_compile *c, struct dt_node *n, const char *op)
{
	const struct dt_action *act = n->op == N_CALLNAME ? dt_bind_action(n->str) : NULL;

	if (act) {
		dt_err(c, D_OP_ACT, n->loc, "operator %s cannot be applied to %s %s( )", op,
		       act->flags & DT_AF_AGG ? "aggregating function" : "action", act->name);
		return dt_poison(c, n);
	}
	return dt_check_expr(c, n);
}

/* Both operands checked; false: poison. */
static bool operands(struct dt_compile *c, struct dt_node *n)
{
	n->l = dt_operand(c, n->l, dt_op_text(n->op));
	n->r = dt_operand(c, n->r, dt_op_text(n->op));
	return !dt_is_poison(n->l) && !dt_is_poison(n->r);
}

static bool is_int(const struct dt_node *n)
{
	return dt_type_is_int(n->type);
}

static bool is_pointer(const struct dt_node *n)
{
	return dt_type_is_pointer(n->type);
}

/* Does it step by whole objects?  false (reported): what it points to has no size.  vfptr: the tag for void and
 * functions. */
static bool can_step(struct dt_compile *c, const struct dt_node *p, struct dt_loc loc,
		     const char *op, enum dt_tag vfptr)
{
	const struct dt_type *t = dt_type_resolve(p->type), *ref = dt_type_resolve(t->ref);
	bool void_or_function = !ref || ref->kind == DT_VOID || ref->kind == DT_FUNC;

	if (!void_or_function && dt_type_size(ref))
		return true;
	dt_err(c, void_or_function ? vfptr : D_OP_INCOMPLETE, loc,
	       "operator %s cannot be applied to \"%s\": the size of what it points to is not known%s",
	       op, dt_tstr(c, p->type), void_or_function ? "; cast it to char *" : "");
	return false;
}

static struct dt_node *check_step(struct dt_compile *c, struct dt_node *n)
{
	if (!can_step(c, n->l, n->loc, dt_op_text(n->op), D_OP_INCOMPAT))
		return dt_poison(c, n);
	n->r = dt_cast(c, n->r, dt_type_int(c->ts, 8, dt_type_is_signed(n->r->type)));
	return typed(n, n->l->type);
}

static struct dt_node *check_difference(struct dt_compile *c, struct dt_node *n)
{
	if (!pointers_compat(n->l->type, n->r->type))
		return incompat(c, n, n->l, n->r, "-");
	if (!can_step(c, n->l, n->loc, "-", D_OP_INCOMPAT) ||
	    !can_step(c, n->r, n->loc, "-", D_OP_INCOMPAT))
		return dt_poison(c, n);
	return typed(n, dt_basic(c, DT_T_LONG));
}

static struct dt_node *no_floats(struct dt_compile *c, struct dt_node *n, const char *op)
{
	dt_err(c, D_OP_ARITH, n->loc, "operator %s: D has no floating-point arithmetic", op);
	return dt_poison(c, n);
}

static struct dt_node *not_arith(struct dt_compile *c, struct dt_node *n, const char *op)
{
	bool additive = n->op == N_ADD || n->op == N_SUB;
	bool integral = n->op != N_MUL && n->op != N_DIV;

	if (dt_type_is_float(n->l->type) || (n->r && dt_type_is_float(n->r->type)))
		return no_floats(c, n, op);
	if (additive)
		return incompat(c, n, n->l, n->r, op);
	dt_err(c, integral ? D_OP_INT : D_OP_ARITH, n->loc,
	       "operator %s requires operands of %s type, not \"%s\" and \"%s\"", op,
	       integral ? "integral" : "arithmetic", dt_tstr(c, n->l->type), dt_tstr(c, n->r->type));
	return dt_poison(c, n);
}

static struct dt_node *check_arith(struct dt_compile *c, struct dt_node *n)
{
	struct dt_type *t;

	if (!operands(c, n))
		return dt_poison(c, n);
	if (n->op == N_ADD || n->op == N_SUB) {
		n->l = dt_decay(c, n->l);
		n->r = dt_decay(c, n->r);
		if (is_pointer(n->l) && is_int(n->r))
			return check_step(c, n);
		if (is_pointer(n->l) && is_pointer(n->r) && n->op == N_SUB)
			return check_difference(c, n);
		if (n->op == N_ADD && is_int(n->l) && is_pointer(n->r)) {
			struct dt_node *p = n->r;

			n->r = n->l;
			n->l = p;
			return check_step(c, n);
		}
	}
	if (!is_int(n->l) || !is_int(n->r))
		return not_arith(c, n, dt_op_text(n->op));
	if ((n->op == N_DIV || n->op == N_MOD) && dt_is_zero(n->r)) {
		dt_err(c, D_DIV_ZERO, n->loc, "expression contains division by zero");
		return dt_poison(c, n);
	}
	t = common(c, n->l, n->r);
	n->l = dt_cast(c, n->l, t);
	n->r = dt_cast(c, n->r, t);
	return dt_fold(c, typed(n, t));
}

static struct dt_node *check_shift(struct dt_compile *c, struct dt_node *n)
{
	if (!operands(c, n))
		return dt_poison(c, n);
	if (!is_int(n->l) || !is_int(n->r))
		return not_arith(c, n, dt_op_text(n->op));
	n->l = dt_cast(c, n->l, dt_promote(c, n->l));
	return dt_fold(c, typed(n, dt_promote(c, n->l)));
}

/* No string: NULL and 0 stand for an empty one. */
static struct dt_node *null_string(struct dt_compile *c, struct dt_node *n)
{
	struct dt_node *s;

	if (!dt_is_zero(n))
		return n;
	s = dt_node_new(c, N_STR, n->loc);
	s->str = "";
	s->strbound = 1;
	return typed(s, dt_basic(c, DT_T_STRING));
}

/* By content, that is: two pointers to char are pointers. */
static bool compare_as_strings(const struct dt_node *l, const struct dt_node *r)
{
	return dt_stringable(l) && dt_stringable(r) &&
	       (dt_type_is_string(l->type) || dt_type_is_string(r->type) ||
		(dt_type_is_array(l->type) && dt_type_is_array(r->type)));
}

/* A name behind an enum and == is one of its own, whatever else has that name. */
static struct dt_node *own_enumerator(struct dt_compile *c, const struct dt_node *l,
				      struct dt_node *n)
{
	const struct dt_type *t = dt_type_resolve(l->type);
	u32 i;

	if (!t || t->kind != DT_ENUM || n->op != N_IDENT || n->checked || n->val != DT_GLOBAL)
		return n;
	for (i = 0; i < t->nmembers; i++) {
		if (strcmp(t->enumvals[i].name, n->str) != 0)
			continue;
		if (!dt_bind_var(c, DT_GLOBAL, n->str, n->loc, false))
			return dt_int_node(c, (u64)t->enumvals[i].val, dt_basic(c, DT_T_INT), n->loc);
		dt_err(c, D_IDENT_AMBIG, n->loc,
		       "%s is an enumerator of \"%s\" and a variable: which one is meant?", n->str,
		       dt_tstr(c, l->type));
		return dt_poison(c, n);
	}
	return n;
}

static struct dt_node *check_compare(struct dt_compile *c, struct dt_node *n)
{
	struct dt_type *t;

	n->l = dt_operand(c, n->l, dt_op_text(n->op));
	n->r = own_enumerator(c, n->l, n->r);
	if (!operands(c, n))
		return dt_poison(c, n);
	if (dt_type_is_string(n->l->type))
		n->r = null_string(c, n->r);
	else if (dt_type_is_string(n->r->type))
		n->l = null_string(c, n->l);
	if (compare_as_strings(n->l, n->r)) {
		n->l = dt_to_string(c, n->l);
		n->r = dt_to_string(c, n->r);
		return typed(n, dt_basic(c, DT_T_INT));
	}
	n->l = dt_decay(c, n->l);
	n->r = dt_decay(c, n->r);
	if (is_int(n->l) && is_int(n->r)) {
		t = common(c, n->l, n->r);
	} else if (dt_type_is_scalar(n->l->type) && dt_type_is_scalar(n->r->type) &&
		   !(is_pointer(n->l) && is_pointer(n->r) &&
		     !pointers_compat(n->l->type, n->r->type))) {
		t = is_pointer(n->l) ? n->l->type : n->r->type;
	} else {
		if (dt_type_is_float(n->l->type) || dt_type_is_float(n->r->type))
			return no_floats(c, n, dt_op_text(n->op));
		return incompat(c, n, n->l, n->r, dt_op_text(n->op));
	}
	n->l = dt_cast(c, n->l, t);
	n->r = dt_cast(c, n->r, t);
	return dt_fold(c, typed(n, dt_basic(c, DT_T_INT)));
}

static struct dt_node *check_logical(struct dt_compile *c, struct dt_node *n)
{
	if (!operands(c, n))
		return dt_poison(c, n);
	if (!dt_type_is_scalar(n->l->type) || !dt_type_is_scalar(n->r->type)) {
		dt_err(c, D_OP_SCALAR, n->loc,
		       "operator %s requires operands of scalar type, not \"%s\" and \"%s\"",
		       dt_op_text(n->op), dt_tstr(c, n->l->type), dt_tstr(c, n->r->type));
		return dt_poison(c, n);
	}
	return dt_fold(c, typed(n, dt_basic(c, DT_T_INT)));
}

static struct dt_node *check_unary(struct dt_compile *c, struct dt_node *n)
{
	bool scalar = n->op == N_LOGNOT;

	n->l = dt_operand(c, n->l, dt_op_text(n->op));
	if (dt_is_poison(n->l))
		return dt_poison(c, n);
	if (scalar ? !dt_type_is_scalar(n->l->type) : !is_int(n->l)) {
		dt_err(c,
		       scalar            ? D_OP_SCALAR :
		       n->op == N_BITNOT ? D_OP_INT :
					   D_OP_ARITH,
		       n->loc, "operator %s requires an operand of %s type, not \"%s\"",
		       n->op == N_NEG && n->val ? "+" : dt_op_text(n->op),
		       scalar            ? "scalar" :
		       n->op == N_BITNOT ? "integral" :
					   "arithmetic",
		       dt_tstr(c, n->l->type));
		return dt_poison(c, n);
	}
	if (scalar)
		return dt_fold(c, typed(n, dt_basic(c, DT_T_INT)));
	n->l = dt_cast(c, n->l, dt_promote(c, n->l));
	if (n->op == N_NEG && n->val) /* unary plus */
		return n->l;
	return dt_fold(c, typed(n, dt_promote(c, n->l)));
}

/* ---- ?: ------------------------------------------------------------------------------------ */

static u32 bound_of(const struct dt_node *a, const struct dt_node *b)
{
	return a->strbound && b->strbound ? DT_MAX(a->strbound, b->strbound) : 0;
}

/* The type of both branches, converted; NULL: they do not go together. */
static struct dt_type *join(struct dt_compile *c, struct dt_node *n)
{
	struct dt_type *t;

	if (is_kind(n->r, DT_VOID) && is_kind(n->c, DT_VOID))
		return n->r->type;
	if (dt_type_is_string(n->r->type))
		n->c = null_string(c, n->c);
	else if (dt_type_is_string(n->c->type))
		n->r = null_string(c, n->r);
	if (dt_stringable(n->r) && dt_stringable(n->c)) {
		n->r = dt_to_string(c, n->r);
		n->c = dt_to_string(c, n->c);
		n->strbound = bound_of(n->r, n->c);
		return dt_basic(c, DT_T_STRING);
	}
	if (dt_type_is_sou(n->r->type) && dt_type_same(n->r->type, n->c->type))
		return n->r->type;
	n->r = dt_decay(c, n->r);
	n->c = dt_decay(c, n->c);
	if (!dt_type_is_scalar(n->r->type) || !dt_type_is_scalar(n->c->type))
		return NULL;
	if (is_int(n->r) && is_int(n->c)) {
		t = common(c, n->r, n->c);
	} else {
		if (is_pointer(n->r) && is_pointer(n->c) && !pointers_compat(n->r->type, n->c->type))
			return NULL;
		t = is_pointer(n->r) ? n->r->type : n->c->type;
	}
	n->r = dt_cast(c, n->r, t);
	n->c = dt_cast(c, n->c, t);
	return t;
}

static struct dt_node *check_cond(struct dt_compile *c, struct dt_node *n)
{
	struct dt_type *t;

	n->l = dt_operand(c, n->l, "?:");
	n->r = dt_operand(c, n->r, "?:");
	n->c = dt_operand(c, n->c, "?:");
	if (dt_is_poison(n->l) || dt_is_poison(n->r) || dt_is_poison(n->c))
		return dt_poison(c, n);
	if (!dt_type_is_scalar(n->l->type)) {
		dt_err(c, D_OP_SCALAR, n->l->loc,
		       "the condition of ?: must be of scalar type, not \"%s\"",
		       dt_tstr(c, n->l->type));
		return dt_poison(c, n);
	}
	t = join(c, n);
	if (!t)
		return incompat(c, n, n->r, n->c, ":");
	return dt_fold(c, typed(n, t));
}

/* ---- assignment ---------------------------------------------------------------------------- */

/* A new variable whose first assignment went wrong must not be complained about again. */
static struct dt_node *poison_target(struct dt_compile *c, struct dt_node *n)
{
	if (n->l && n->l->var && !n->l->var->type)
		n->l->var->type = dt_basic(c, DT_T_POISON);
	return dt_poison(c, n);
}

static void set_var_type(struct dt_node *l, struct dt_type *t)
{
	l->var->type = t;
	l->type = t;
}

static struct dt_node *first_assign(struct dt_compile *c, struct dt_node *n)
{
	struct dt_type *t = dt_infer(c, &n->r);

	if (!t) {
		dt_err(c,
		       is_kind(n->r, DT_DYN)   ? D_OP_DYN :
		       is_kind(n->r, DT_FLOAT) ? D_OP_ARITH :
						 D_OP_INCOMPAT,
		       n->loc, "a value of type \"%s\" cannot be assigned to a variable",
		       dt_tstr(c, n->r->type));
		return poison_target(c, n);
	}
	set_var_type(n->l, t);
	return typed(n, t);
}

static struct dt_node *check_assign(struct dt_compile *c, struct dt_node *n)
{
	n->l = dt_check_target(c, n->l);
	n->r = dt_operand(c, n->r, "=");
	if (dt_is_poison(n->l) || dt_is_poison(n->r))
		return poison_target(c, n);
	if (!n->l->type)
		return first_assign(c, n);
	if (is_kind(n->r, DT_DYN)) {
		dt_err(c, D_OP_DYN, n->loc,
		       "operator = cannot be applied to a value of dynamic type");
		return dt_poison(c, n);
	}
	if (dt_type_is_array(n->l->type) && !dt_is_zero(n->r)) {
		dt_err(c, D_OP_ARRFUN, n->loc,
		       "operator = cannot be applied to an array (\"%s\"): assign its elements",
		       dt_tstr(c, n->l->type));
		return dt_poison(c, n);
	}
	if (!dt_convert(c, &n->r, n->l->type))
		return incompat(c, n, n->l, n->r, "=");
	return typed(n, n->l->type);
}

/* x += e and x++ make x a 64-bit integer when it is new. */
static void default_type(struct dt_compile *c, struct dt_node *l)
{
	if (!l->type)
		set_var_type(l, dt_basic(c, DT_T_INT64));
}

static struct dt_node *no_opassign(struct dt_compile *c, struct dt_node *n, const char *text)
{
	enum dt_nop op = (enum dt_nop)n->val;

	if (dt_type_is_float(n->l->type) || dt_type_is_float(n->r->type))
		return no_floats(c, n, text);
	if (op == N_ADD || op == N_SUB)
		return incompat(c, n, n->l, n->r, text);
	dt_err(c, op == N_MUL || op == N_DIV ? D_OP_ARITH : D_OP_INT, n->loc,
	       "operator %s requires operands of integral type, not \"%s\" and \"%s\"", text,
	       dt_tstr(c, n->l->type), dt_tstr(c, n->r->type));
	return dt_poison(c, n);
}

static struct dt_node *check_opassign(struct dt_compile *c, struct dt_node *n)
{
	enum dt_nop op = (enum dt_nop)n->val;
	const char *text = assign_text(c, n);

	n->l = dt_check_target(c, n->l);
	if (!dt_is_poison(n->l))
		default_type(c, n->l);
	n->r = dt_operand(c, n->r, text);
	if (dt_is_poison(n->l) || dt_is_poison(n->r))
		return dt_poison(c, n);
	if ((op == N_ADD || op == N_SUB) && is_pointer(n->l) && is_int(n->r)) {
		if (!can_step(c, n->l, n->loc, text, D_OP_VFPTR))
			return dt_poison(c, n);
		n->optype = n->l->type;
		n->r = dt_cast(c, n->r, dt_type_int(c->ts, 8, dt_type_is_signed(n->r->type)));
		return typed(n, n->l->type);
	}
	if (!is_int(n->l) || !is_int(n->r))
		return no_opassign(c, n, text);
	if ((op == N_DIV || op == N_MOD) && dt_is_zero(n->r)) {
		dt_err(c, D_DIV_ZERO, n->loc, "expression contains division by zero");
		return dt_poison(c, n);
	}
	if (op == N_SHL || op == N_SHR) {
		n->optype = dt_promote(c, n->l);
	} else {
		n->optype = common(c, n->l, n->r);
		n->r = dt_cast(c, n->r, n->optype);
	}
	return typed(n, n->l->type);
}

static struct dt_node *check_incdec(struct dt_compile *c, struct dt_node *n)
{
	n->l = dt_check_target(c, n->l);
	if (dt_is_poison(n->l))
		return dt_poison(c, n);
	default_type(c, n->l);
	if (!dt_type_is_scalar(n->l->type)) {
		dt_err(c, D_OP_SCALAR, n->loc,
		       "operator %s requires an operand of scalar type, not \"%s\"",
		       dt_op_text(n->op), dt_tstr(c, n->l->type));
		return dt_poison(c, n);
	}
	if (is_pointer(n->l) && !can_step(c, n->l, n->loc, dt_op_text(n->op), D_OP_VFPTR))
		return dt_poison(c, n);
	return typed(n, n->l->type);
}

static struct dt_node *check_comma(struct dt_compile *c, struct dt_node *n)
{
	if (!operands(c, n))
		return dt_poison(c, n);
	if (is_kind(n->l, DT_DYN) || is_kind(n->r, DT_DYN)) {
		dt_err(c, D_OP_DYN, n->loc,
		       "operator , cannot be applied to a value of dynamic type");
		return dt_poison(c, n);
	}
	n->strbound = n->r->strbound;
	return typed(n, n->r->type);
}

/* ---- casts --------------------------------------------------------------------------------- */

static bool castable(struct dt_compile *c, struct dt_node *n, const struct dt_type *to)
{
	switch (to->kind) {
	case DT_VOID: return true;
	case DT_INT:
	case DT_ENUM:
	case DT_POINTER: n->l = dt_decay(c, n->l); return dt_type_is_scalar(n->l->type);
	case DT_STRUCT:
	case DT_UNION: return false;
	default: return dt_type_same(n->l->type, to) && !is_kind(n->l, DT_DYN);
	}
}

static struct dt_node *check_stringof(struct dt_compile *c, struct dt_node *n)
{
	n->l = dt_operand(c, n->l, "stringof");
	if (dt_is_poison(n->l))
		return dt_poison(c, n);
	if (dt_stringable(n->l))
		return dt_to_string(c, n->l);
	/* an address in the kernel, of whatever type */
	if (dt_type_is_scalar(n->l->type) && !dt_is_user_pointer(n->l->type)) {
		n->op = N_CAST;
		n->dtype = NULL;
		return typed(n, dt_basic(c, DT_T_STRING));
	}
	dt_err(c, D_STRINGOF_TYPE, n->loc, "cannot apply stringof to a value of type %s%s",
	       dt_tstr(c, n->l->type),
	       dt_is_user_pointer(n->l->type) ? " in the traced process: use copyinstr( )" : "");
	return dt_poison(c, n);
}

static struct dt_node *check_cast(struct dt_compile *c, struct dt_node *n)
{
	const struct dt_type *to = dt_type_resolve(n->dtype);

	if (to->kind == DT_STRING)
		return check_stringof(c, n);
	n->l = dt_operand(c, n->l, "cast");
	if (dt_is_poison(n->l) || to->kind == DT_POISON)
		return dt_poison(c, n);
	if (!castable(c, n, to)) {
		dt_err(c, D_CAST_INVAL, n->loc, "invalid cast expression: \"%s\" to \"%s\"",
		       dt_tstr(c, n->l->type), dt_tstr(c, n->dtype));
		return dt_poison(c, n);
	}
	typed(n, n->dtype);
	n->dtype = NULL;
	if (to->kind == DT_VOID) { /* evaluated, then forgotten */
		n->op = N_COMMA;
		n->r = dt_int_node(c, 0, dt_basic(c, DT_T_INT), n->loc);
		return n;
	}
	return dt_fold(c, n);
}

/* ---- the dispatch -------------------------------------------------------------------------- */

static struct dt_node *check_int(struct dt_compile *c, struct dt_node *n)
{
	n->val = dt_fold_value(n->type, n->val);
	return typed(n, n->type);
}

static struct dt_node *check_str(struct dt_compile *c, struct dt_node *n)
{
	n->strbound = n->slen + 1;
	return typed(n, dt_basic(c, DT_T_STRING));
}

static struct dt_node *check_agg_value(struct dt_compile *c, struct dt_node *n)
{
	return typed(n, dt_basic(c, DT_T_DYN));
}

static struct dt_node *check_xlate(struct dt_compile *c, struct dt_node *n)
{
	n->l = dt_check_expr(c, n->l);
	if (dt_is_poison(n->l) || !dt_find_xlator(c, n))
		return dt_poison(c, n);
	return typed(n, dt_basic(c, DT_T_DYN));
}

static struct dt_node *check_call_value(struct dt_compile *c, struct dt_node *n)
{
	return dt_check_call(c, n, false);
}

static struct dt_node *(*const checks[N_NOPS])(struct dt_compile *c, struct dt_node *n) = {
	[N_IDENT] = dt_check_ident,
	[N_SIZEOF] = dt_check_sizeof,
	[N_OFFSETOF] = dt_check_offsetof,
	[N_STRINGOF] = check_stringof,
	[N_XLATE] = check_xlate,
	[N_ARROW] = dt_check_member,
	[N_DOT] = dt_check_member,
	[N_SUBSCRIPT] = dt_check_subscript,
	[N_CALLNAME] = check_call_value,
	[N_INT] = check_int,
	[N_STR] = check_str,
	[N_NEG] = check_unary,
	[N_BITNOT] = check_unary,
	[N_LOGNOT] = check_unary,
	[N_DEREF] = dt_check_deref,
	[N_ADDROF] = dt_check_addrof,
	[N_MUL] = check_arith,
	[N_DIV] = check_arith,
	[N_MOD] = check_arith,
	[N_ADD] = check_arith,
	[N_SUB] = check_arith,
	[N_SHL] = check_shift,
	[N_SHR] = check_shift,
	[N_AND] = check_arith,
	[N_XOR] = check_arith,
	[N_OR] = check_arith,
	[N_LT] = check_compare,
	[N_LE] = check_compare,
	[N_GT] = check_compare,
	[N_GE] = check_compare,
	[N_EQ] = check_compare,
	[N_NE] = check_compare,
	[N_LAND] = check_logical,
	[N_LXOR] = check_logical,
	[N_LOR] = check_logical,
	[N_COND] = check_cond,
	[N_ASSIGN] = check_assign,
	[N_OPASSIGN] = check_opassign,
	[N_PREINC] = check_incdec,
	[N_PREDEC] = check_incdec,
	[N_POSTINC] = check_incdec,
	[N_POSTDEC] = check_incdec,
	[N_COMMA] = check_comma,
	[N_CAST] = check_cast,
	[N_AGG] = check_agg_value,
};

struct dt_node *dt_check_expr(struct dt_compile *c, struct dt_node *n)
{
	if (n->checked || n->op == N_POISON)
		return n;
	if (c->depth > MAX_CHECK_DEPTH || c->nnodes > DT_MAX_NODES) {
		if (!c->too_big)
			dt_err(c, D_UNKNOWN, n->loc,
			       "expression is too complicated when inlines and translators are put in");
		c->too_big = true;
		return dt_poison(c, n);
	}
	c->depth++;
	n = checks[n->op] ? checks[n->op](c, n) : dt_poison(c, n);
	c->depth--;
	return n;
}

bool dt_is_void_call(const struct dt_node *n)
{
	const struct dt_action *act = n->op == N_CALLNAME ? dt_bind_action(n->str) : NULL;

	return act && !(act->flags & DT_AF_KEY);
}

struct dt_node *dt_check_key(struct dt_compile *c, struct dt_node *n)
{
	return n->op == N_CALLNAME ? dt_check_call(c, n, true) : dt_check_expr(c, n);
}

bool dt_const_expr(struct dt_compile *c, struct dt_node *n, s64 *val)
{
	u32 before = c->p->diags.list.n;

	n = dt_check_expr(c, n);
	c->p->diags.list.n = before; /* the caller says what it wanted */
	*val = (s64)n->val;
	return n->op == N_INT && dt_type_is_int(n->type);
}

/* ---- statements and clauses ---------------------------------------------------------------- */

static void check_stmts(struct dt_compile *c, struct dt_stmt *s);

static const struct dt_node *agg_target(const struct dt_node *n)
{
	while (n->op == N_SUBSCRIPT)
		n = n->l;
	return n->op == N_AGG ? n : NULL;
}

static void check_value_stmt(struct dt_compile *c, struct dt_stmt *s)
{
	s->expr = dt_check_expr(c, s->expr);
	if (!dt_is_poison(s->expr) && is_kind(s->expr, DT_DYN))
		dt_err(c, D_CG_DYN, s->loc,
		       "an expression of dynamic type has no value: name one of its elements or members");
}

/* OPT ? printf(...) : 1 as a statement, where OPT is a constant: one branch is the statement, an action perhaps, and
 * the other one is not looked at. */
static struct dt_node *chosen_branch(struct dt_compile *c, struct dt_node *e)
{
	while (e->op == N_COND) {
		e->l = dt_operand(c, e->l, "?:");
		if (e->l->op != N_INT)
			break;
		e = e->l->val ? e->r : e->c;
	}
	return e;
}

static void check_stmt(struct dt_compile *c, struct dt_stmt *s)
{
	struct dt_node *e = s->expr = chosen_branch(c, s->expr);
	const struct dt_node *agg;
	const struct dt_action *act = e->op == N_CALLNAME ? dt_bind_action(e->str) : NULL;

	if (e->op == N_ASSIGN && agg_target(e->l)) {
		dt_check_agg(c, s);
		return;
	}
	agg = agg_target(e);
	if (agg) {
		dt_err(c, D_AGG_NULL, s->loc, "expression has null effect: @%s", agg->str);
		return;
	}
	if (act && !(act->flags & DT_AF_AGG))
		dt_check_act(c, s, act);
	else
		check_value_stmt(c, s);
}

static void check_if(struct dt_compile *c, struct dt_stmt *s)
{
	s->expr = dt_check_expr(c, s->expr);
	if (!dt_is_poison(s->expr) && !dt_type_is_scalar(s->expr->type))
		dt_err(c, D_PRED_SCALAR, s->expr->loc,
		       "the condition of if must be of scalar type, not \"%s\"",
		       dt_tstr(c, s->expr->type));
	/* as if each block were a clause: speculate() reaches to its end, and its records are its own */
	struct dt_did before = c->did;

	check_stmts(c, s->then_);
	c->did = before;
	check_stmts(c, s->else_);
	c->did = before;
}

static void check_stmts(struct dt_compile *c, struct dt_stmt *s)
{
	for (; s; s = s->next) {
		if (s->kind == S_IF)
			check_if(c, s);
		else
			check_stmt(c, s);
	}
}

static void check_pred(struct dt_compile *c, struct dt_clause *cl)
{
	if (dt_is_void_call(cl->pred)) {
		dt_err(c, D_PRED_SCALAR, cl->pred->loc,
		       "predicate must be of scalar type: %s( ) gives no value", cl->pred->str);
		return;
	}
	cl->pred = dt_check_expr(c, cl->pred);
	if (dt_is_poison(cl->pred) || dt_type_is_scalar(cl->pred->type))
		return;
	dt_err(c, D_PRED_SCALAR, cl->pred->loc, "predicate must be of scalar type, not \"%s\"",
	       dt_tstr(c, cl->pred->type));
}

static void check_clause(struct dt_compile *c, struct dt_clause *cl)
{
	u32 before = c->p->diags.list.n;

	dt_note_clause(c, cl);
	c->clause = cl;
	c->args_state = 0;
	c->did = (struct dt_did){ 0 };
	cl->attr = dt_attr_stable;
	if (cl->pred)
		check_pred(c, cl);
	check_stmts(c, cl->stmts);
	if (c->p->diags.list.n == before)
		dt_guard_clause(c, cl);
	dt_attr_check(c, cl);
	cl->has_args_typed = c->args_state > 0;
	c->clause = NULL;
}

/* The clause of an item, and the copies of it that its probes ask for; the last of these items. */
static struct dt_item *check_copies(struct dt_compile *c, struct dt_item *it)
{
	u32 before = c->p->diags.list.n, nrecs, naggs, n;

	dt_bind_clause(c, it->clause);
	n = dt_split_clause(c, it);
	check_clause(c, it->clause);
	nrecs = c->p->nrecs;
	naggs = c->p->naggs;
	while (--n) {
		it = it->next;
		if (c->p->diags.list.n == before)
			check_clause(c, it->clause);
	}
	c->p->nrecs = nrecs;
	c->p->naggs = naggs;
	return it;
}

/* ---- declared variables -------------------------------------------------------------------- */

static bool same_var(const struct dt_var *v, const struct dt_decl *d)
{
	u32 i;

	if (!v->type || !dt_type_same(v->type, d->type) || v->assoc != d->assoc ||
	    v->nkeys != d->nkeys)
		return false;
	for (i = 0; i < d->nkeys; i++)
		if (!dt_type_same(v->keys[i], d->keys[i]))
			return false;
	return true;
}

static void check_var_decl(struct dt_compile *c, const struct dt_item *it)
{
	const struct dt_decl *d = &it->decl;
	struct dt_var *v = dt_bind_var(c, it->scope, d->name, d->loc, false);
	u64 argn;

	if (v && same_var(v, d))
		return;
	if (v || (it->scope == DT_GLOBAL &&
		  (dt_bind_builtin(d->name, &argn) || dt_bind_inline(c, d->name) ||
		   dt_declared_enumerator(c, d->name) || dt_bind_subr(d->name) ||
		   dt_bind_action(d->name)))) {
		dt_err(c, D_DECL_IDRED, d->loc, "identifier redeclared: %s", d->name);
		return;
	}
	v = dt_bind_var(c, it->scope, d->name, d->loc, true);
	v->type = d->type;
	v->declared = true;
	v->assoc = d->assoc;
	v->nkeys = d->nkeys;
	v->keys = dt_arena_alloc(&c->st->arena, d->nkeys * sizeof(*v->keys));
	if (d->nkeys)
		memcpy(v->keys, d->keys, d->nkeys * sizeof(*v->keys));
}

void dt_check(struct dt_compile *c)
{
	struct dt_item *it;

	c->depth = 0;
	c->p->clauses.n = 0;
	for (it = c->items; it; it = it->next) {
		c->inline_limit = UINT32_MAX;
		switch (it->kind) {
		case I_CLAUSE: it = check_copies(c, it); break;
		case I_VAR: check_var_decl(c, it); break;
		case I_INLINE:
			if (!c->p->library)
				dt_check_inline(c, it->inl);
			break;
		case I_XLATOR: dt_check_xlator(c, it->xl); break;
		case I_PROVIDER: break;
		}
	}
	for (it = c->items; it; it = it->next)
		if (it->kind == I_CLAUSE)
			*dt_vec_push(c->a, &c->p->clauses) = it->clause;
	dt_pragmas_check(c);
}
