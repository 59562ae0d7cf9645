/* SPDX-License-Identifier: Apache-2.0 */
/*
 * check_ref.c - what stands for memory or a name: variables, built-ins, kernel symbols, members,
 * elements.
 */
#include <stdlib.h>
#include <string.h>

#include "lang/compile.h"

static struct dt_node *typed(struct dt_node *n, struct dt_type *t)
{
	n->type = t;
	n->checked = true;
	return n;
}

static struct dt_node *scoped_err(struct dt_compile *c, struct dt_node *n, enum dt_tag tag,
				  const char *fmt, const char *what)
{
	dt_err(c, tag, n->loc, fmt, what);
	return dt_poison(c, n);
}

static const char *var_text(struct dt_compile *c, enum dt_scope scope, const char *name)
{
	return scope == DT_SELF ? dt_arena_printf(c->a, "self->%s", name) :
	       scope == DT_THIS ? dt_arena_printf(c->a, "this->%s", name) :
				  name;
}

/* ---- memory of the traced process ---------------------------------------------------------- */

struct dt_type *dt_userland(struct dt_compile *c, struct dt_type *t)
{
	struct dt_type *copy;

	if (!t || t->is_userland)
		return t;
	dt_type_resolve(t);
	copy = dt_arena_new(&c->ts->arena, struct dt_type);
	*copy = *t;
	copy->is_userland = true;
	copy->ptr_to = NULL;
	return copy;
}

/* What lies behind this lvalue: user memory is reached through a pointer marked so. */
static bool reached_by_user_pointer(const struct dt_node *n)
{
	while (n->op == N_MEMBER || (n->op == N_INDEX && dt_type_is_array(n->l->type)))
		n = n->l;
	return (n->op == N_DEREF || n->op == N_INDEX) && dt_is_user_pointer(n->l->type);
}

/* Pointers found in user memory point to user memory. */
static struct dt_type *type_in_place(struct dt_compile *c, const struct dt_node *n, struct dt_type *t)
{
	const struct dt_type *r = dt_type_resolve(t);

	if (r->kind != DT_POINTER || !r->ref || !reached_by_user_pointer(n))
		return t;
	return dt_type_pointer(c->ts, dt_userland(c, r->ref));
}

/* ---- kernel symbols ------------------------------------------------------------------------ */

static const struct kvar {
	const char *name, *type;
} kvars[] = {
#define KVAR(name, type) { name, type },
#include "lang/kvars.def"
#undef KVAR
};

static int by_name(const void *key, const void *row)
{
	return strcmp(key, ((const struct kvar *)row)->name);
}

/* "char [64]" is an array, anything else a type that tables know. */
static struct dt_type *known_type(struct dt_compile *c, const char *name)
{
	const struct kvar *k = bsearch(name, kvars, DT_NELEM(kvars), sizeof(*k), by_name);
	const char *bracket = k ? strchr(k->type, '[') : NULL;
	struct dt_type *t;

	if (!k)
		return NULL;
	t = dt_type_text(c, bracket ?
				    dt_arena_strndup(c->a, k->type, (size_t)(bracket - 1 - k->type)) :
				    k->type);
	return t && bracket ? dt_type_array(c->ts, t, strtoul(bracket + 1, NULL, 10)) : t;
}

static const struct dt_type *symbol_type(struct dt_compile *c, const char *mod, const char *name)
{
	struct dt_btf *b = *mod ? dt_types_module(c->ts, mod) : NULL;
	u32 id;

	b = b ? b : dt_types_btf(c->ts);
	id = b ? dt_btf_find(b, name, DT_BTF_VAR) : 0;
	return id ? dt_types_from(c->ts, b, id) : known_type(c, name);
}

/* mod`sym; want_type false: only its address is of interest. */
static struct dt_node *check_symbol(struct dt_compile *c, struct dt_node *n, bool want_type)
{
	const char *tick = strrchr(n->str, '`'), *name = tick + 1;
	const char *mod = dt_arena_strndup(c->a, n->str, (size_t)(tick - n->str));
	struct dt_type *t;

	if (!*name || strchr(mod, '`'))
		return scoped_err(c, n, D_IDENT_UNDEF, "failed to resolve %s: not a kernel symbol",
				  n->str);
	if (!c->env->ksym || c->env->ksym(c->env->arg, mod, name, &n->val))
		return scoped_err(c, n, D_IDENT_UNDEF, "failed to resolve %s: unknown symbol",
				  n->str);
	t = (struct dt_type *)symbol_type(c, mod, name);
	if (!t && want_type)
		return scoped_err(
			c, n, D_SYM_NOTYPES,
			"no type information is available for %s: only its address (&) can be used",
			n->str);
	dt_attr_use(c, n->str);
	n->op = N_KSYM;
	n->lvalue = true;
	return typed(n, t ? t : dt_basic(c, DT_T_VOID));
}

/* ---- identifiers --------------------------------------------------------------------------- */

static struct dt_node *check_builtin(struct dt_compile *c, struct dt_node *n,
				     const struct dt_builtin *b, u64 argn)
{
	struct dt_type *t;
	struct dt_node *e;

	if (b->flags & DT_BF_ARRAY)
		return scoped_err(c, n, D_ARR_BADREF, "%s[ ] is an array: it needs an index",
				  b->name);
	if (b->flags & DT_BF_PENDING && !c->env->allow_pending)
		return scoped_err(c, n, D_VAR_UNSUP, "variable %s is not supported yet", b->name);
	e = dt_derived_builtin(c, n, b, argn);
	if (e)
		return e;
	dt_attr_use(c, b->name);
	t = dt_type_text(c, b->type);
	if (!t)
		return scoped_err(c, n, D_UNKNOWN, "the type of %s is not known", b->name);
	n->op = N_BUILTIN;
	n->builtin = b;
	n->val = argn;
	n->strbound = b->strbound;
	return typed(n, t);
}

static struct dt_node *use_var(struct dt_compile *c, struct dt_node *n, struct dt_var *v)
{
	if (!v->type)
		return scoped_err(c, n, D_VAR_UNDEF, "%s has not yet been declared or assigned",
				  var_text(c, v->scope, v->name));
	if (v->type->kind == DT_POISON)
		return dt_poison(c, n);
	n->op = N_VAR;
	n->var = v;
	n->lvalue = !v->assoc;
	return typed(n, v->assoc ? dt_basic(c, DT_T_DYN) : v->type);
}

/* A name that stands for nothing is reported once. */
static struct dt_node *undefined(struct dt_compile *c, struct dt_node *n, enum dt_tag tag,
				 const char *fmt)
{
	enum dt_scope scope = (enum dt_scope)n->val;
	struct dt_var *v = dt_bind_var(c, scope, n->str, n->loc, true);

	v->type = dt_basic(c, DT_T_POISON);
	return scoped_err(c, n, tag, fmt, var_text(c, scope, n->str));
}

static struct dt_node *check_enumerator(struct dt_compile *c, struct dt_node *n)
{
	struct dt_type *t;
	s64 val;

	if (strcmp(n->str, "NULL") == 0)
		return dt_int_node(c, 0, dt_type_pointer(c->ts, dt_basic(c, DT_T_VOID)), n->loc);
	if (!dt_bind_enumerator(c, n->str, &val, &t))
		return NULL;
	t = dt_basic(c, val > INT32_MAX || val < INT32_MIN ? DT_T_LONG : DT_T_INT);
	return dt_int_node(c, (u64)val, t, n->loc);
}

static struct dt_node *check_global(struct dt_compile *c, struct dt_node *n)
{
	struct dt_inline *in = dt_bind_inline(c, n->str);
	struct dt_var *v = in ? NULL : dt_bind_var(c, DT_GLOBAL, n->str, n->loc, false);
	const struct dt_builtin *b;
	struct dt_node *e;
	u64 argn;

	if (strncmp(n->str, "__event_", 8) == 0)
		return dt_derived_param(c, n);
	if (in) {
		dt_attr_use(c, n->str);
		return dt_expand_inline(c, in, n, NULL, 0);
	}
	if (v)
		return use_var(c, n, v);
	b = dt_bind_builtin(n->str, &argn);
	if (b)
		return check_builtin(c, n, b, argn);
	if (dt_bind_subr(n->str) || dt_bind_action(n->str))
		return scoped_err(c, n, D_IDENT_BADREF,
				  "function '%s' may not be referenced as a variable", n->str);
	e = check_enumerator(c, n);
	return e ? e : undefined(c, n, D_IDENT_UNDEF, "failed to resolve %s: unknown variable name");
}

struct dt_node *dt_check_ident(struct dt_compile *c, struct dt_node *n)
{
	struct dt_var *v;

	if (strchr(n->str, '`'))
		return n->val == DT_GLOBAL ?
			       check_symbol(c, n, true) :
			       scoped_err(c, n, D_SYM_BADREF, "%s: a symbol is no variable", n->str);
	if (n->val == DT_GLOBAL)
		return check_global(c, n);
	v = dt_bind_var(c, (enum dt_scope)n->val, n->str, n->loc, false);
	return v ? use_var(c, n, v) :
		   undefined(c, n, D_VAR_UNDEF, "%s has not yet been declared or assigned");
}

/* ---- arrays with an index: args[], uregs[], associative ones, inlines ---------------------- */

static bool check_args(struct dt_compile *c, struct dt_node *n)
{
	bool ok = true;
	u32 i;

	for (i = 0; i < n->nargs; i++) {
		n->args[i] = dt_is_void_call(n->args[i]) ? dt_void_key(c, n->args[i]) :
							   dt_check_expr(c, n->args[i]);
		ok &= !dt_is_poison(n->args[i]);
	}
	return ok;
}

static struct dt_node *translated_arg(struct dt_compile *c, struct dt_node *arg, int at)
{
	struct dt_node *x = dt_translated(c, arg, c->args.type[at]);

	if (dt_is_poison(x) || dt_has_xlator(c, x))
		return x;
	dt_err(c, D_ARGS_XLATOR, arg->loc, "translator for args[%d] from %s to %s is not defined",
	       at, dt_tstr(c, arg->type), c->args.type[at]);
	return dt_poison(c, x);
}

static struct dt_node *check_probe_arg(struct dt_compile *c, struct dt_node *n)
{
	struct dt_node *i = n->args[0];
	const char *native;
	struct dt_type *t;
	s64 at;

	if (i->op != N_INT || !dt_type_is_int(i->type))
		return scoped_err(c, n, D_ARGS_TYPE,
				  "index of args[ ] must be an integer constant%s", "");
	if (!dt_bind_args(c, n->loc))
		return dt_poison(c, n);
	at = (s64)i->val;
	if (at < 0 || at >= c->args.argc) {
		dt_err(c, D_ARGS_IDX, n->loc,
		       "index %lld is out of range for args[ ]: the probe has %d argument%s",
		       (long long)at, c->args.argc, c->args.argc == 1 ? "" : "s");
		return dt_poison(c, n);
	}
	if (c->clause->derived)
		return dt_derived_arg(c, (u32)at, n->loc);
	native = c->args.native[at] ? c->args.native[at] : c->args.type[at];
	t = c->args.known[at] ? c->args.known[at] : dt_type_text(c, native);
	if (!t)
		return scoped_err(c, n, D_ARGS_TYPE,
				  "failed to resolve the type of the argument: %s", native);
	if (c->args.userland[at] && dt_type_is_pointer(t))
		t = dt_type_pointer(c->ts, dt_userland(c, dt_type_resolve(t)->ref));
	n->op = N_ARG;
	n->val = (u64)c->args.from[at];
	n->l = NULL;
	n->nargs = 0;
	typed(n, t);
	return c->args.native[at] ? translated_arg(c, n, (int)at) : n;
}

static struct dt_node *check_builtin_array(struct dt_compile *c, struct dt_node *n,
					   const struct dt_builtin *b)
{
	struct dt_node *other;

	if (n->nargs != 1)
		return scoped_err(c, n, D_PROTO_LEN, "%s[ ] takes one index", b->name);
	if (!check_args(c, n))
		return dt_poison(c, n);
	if (b->id == DT_B_ARGS)
		return check_probe_arg(c, n);
	if (!dt_type_is_int(n->args[0]->type))
		return scoped_err(c, n, D_PROTO_ARG, "the index of %s[ ] must be an integer",
				  b->name);
	if (n->args[0]->op == N_INT && n->args[0]->val >= DT_NUREGS)
		return scoped_err(c, n, D_REGS_IDX, "index out of range for %s[ ]", b->name);
	if (b->flags & DT_BF_PENDING && !c->env->allow_pending)
		return scoped_err(c, n, D_VAR_UNSUP, "variable %s[ ] is not supported yet", b->name);
	other = dt_derived_builtin(c, n, b, 0);
	if (other)
		return other;
	n->op = N_BUILTIN;
	n->builtin = b;
	n->l = dt_cast(c, n->args[0], dt_basic(c, DT_T_INT64));
	n->nargs = 0;
	return typed(n, dt_type_text(c, b->type));
}

static struct dt_node *check_assoc(struct dt_compile *c, struct dt_node *n, struct dt_var *v,
				   bool first)
{
	if (!check_args(c, n))
		return dt_poison(c, n);
	if (!dt_check_tuple(c, var_text(c, v->scope, v->name), &v->keys, &v->nkeys, first, n->args,
			    n->nargs, n->loc))
		return dt_poison(c, n);
	n->op = N_ASSOC;
	n->var = v;
	n->l = NULL;
	n->lvalue = true;
	return typed(n, v->type);
}

/* x[...] where x is a name that wants an index of its own kind; NULL: it is memory like any
 * other. */
static struct dt_node *check_named_array(struct dt_compile *c, struct dt_node *n)
{
	struct dt_node *name = n->l;
	struct dt_inline *in;
	const struct dt_builtin *b;
	struct dt_var *v;
	u64 argn;

	if (name->op != N_IDENT || name->checked || strchr(name->str, '`'))
		return NULL;
	in = name->val == DT_GLOBAL ? dt_bind_inline(c, name->str) : NULL;
	if (in && in->array)
		return check_args(c, n) ? dt_expand_inline(c, in, n, n->args, n->nargs) :
					  dt_poison(c, n);
	if (in)
		return NULL;
	v = dt_bind_var(c, (enum dt_scope)name->val, name->str, name->loc, false);
	if (v && v->assoc && !v->type)
		return scoped_err(c, n, D_VAR_UNDEF, "%s has not yet been declared or assigned",
				  var_text(c, v->scope, v->name));
	if (v && v->assoc)
		return v->type->kind == DT_POISON ? dt_poison(c, n) : check_assoc(c, n, v, false);
	b = v || name->val != DT_GLOBAL ? NULL : dt_bind_builtin(name->str, &argn);
	return b && b->flags & DT_BF_ARRAY ? check_builtin_array(c, n, b) : NULL;
}

static struct dt_node *index_array(struct dt_compile *c, struct dt_node *n, const struct dt_type *t)
{
	if (n->r->op == N_INT && t->nelems &&
	    (dt_type_is_signed(n->r->type) && (s64)n->r->val < 0 ? true : n->r->val >= t->nelems)) {
		dt_err(c, D_ARR_BOUNDS, n->loc, "index %lld is out of bounds of \"%s\"",
		       (long long)n->r->val, dt_tstr(c, n->l->type));
		return dt_poison(c, n);
	}
	n->lvalue = n->l->lvalue;
	typed(n, t->ref);
	n->type = type_in_place(c, n, n->type);
	return n;
}

/* The object behind a pointer must have a size. */
static bool pointee_ok(struct dt_compile *c, struct dt_node *n, const struct dt_type *p,
		       const char *op)
{
	const struct dt_type *ref = dt_type_resolve(p->ref);

	if (!ref || ref->kind == DT_VOID)
		scoped_err(c, n, D_DEREF_VOID, "cannot dereference a pointer to void%s", "");
	else if (ref->kind == DT_FUNC)
		scoped_err(c, n, D_DEREF_FUNC, "cannot dereference a pointer to a function%s", "");
	else if (ref->kind == DT_FWD) {
		dt_err(c, D_OP_INCOMPLETE, n->loc,
		       "operator %s cannot be applied to a forward declaration: no %s definition is available",
		       op, dt_tstr(c, ref));
		dt_poison(c, n);
	} else {
		return true;
	}
	return false;
}

static struct dt_node *check_index(struct dt_compile *c, struct dt_node *n)
{
	const struct dt_type *t;

	n->l = dt_operand(c, n->l, "[]");
	if (!check_args(c, n) || dt_is_poison(n->l))
		return dt_poison(c, n);
	t = dt_type_resolve(n->l->type);
	if (t->kind != DT_ARRAY && t->kind != DT_POINTER)
		return scoped_err(c, n, D_ARR_BADREF,
				  "operator [] cannot be applied to \"%s\": it is not an array",
				  dt_tstr(c, n->l->type));
	if (n->nargs != 1)
		return scoped_err(c, n, D_ARR_BADREF, "an element of \"%s\" is found by one index",
				  dt_tstr(c, n->l->type));
	n->r = dt_decay(c, n->args[0]);
	n->nargs = 0;
	if (!dt_type_is_int(n->r->type))
		return scoped_err(c, n, D_OP_INT, "an index must be an integer, not \"%s\"",
				  dt_tstr(c, n->r->type));
	n->op = N_INDEX;
	n->r = dt_cast(c, n->r, dt_type_int(c->ts, 8, dt_type_is_signed(n->r->type)));
	if (t->kind == DT_ARRAY)
		return index_array(c, n, t);
	if (!pointee_ok(c, n, t, "[]"))
		return n;
	n->lvalue = true;
	typed(n, t->ref);
	n->type = type_in_place(c, n, n->type);
	return n;
}

struct dt_node *dt_check_subscript(struct dt_compile *c, struct dt_node *n)
{
	struct dt_node *found = check_named_array(c, n);

	if (found)
		return found;
	if (n->l->op == N_AGG || (n->l->op == N_SUBSCRIPT && n->l->l && n->l->l->op == N_AGG)) {
		if (n->l->op == N_SUBSCRIPT)
			return scoped_err(c, n, D_AGG_MDIM,
					  "improper use of two indexes: @%s takes one list of keys",
					  n->l->l->str);
		return typed(n, dt_basic(c, DT_T_DYN));
	}
	if (n->l->op == N_IDENT && n->l->val == DT_GLOBAL && !strchr(n->l->str, '`') &&
	    !n->l->checked && !dt_bind_var(c, DT_GLOBAL, n->l->str, n->loc, false) &&
	    dt_bind_action(n->l->str))
		return scoped_err(c, n, D_OP_ARRFUN,
				  "operator [] cannot be applied to function '%s'", n->l->str);
	return check_index(c, n);
}

/* ---- the left side of an assignment -------------------------------------------------------- */

static struct dt_node *not_lvalue(struct dt_compile *c, struct dt_node *n)
{
	return scoped_err(c, n, D_OP_LVAL,
			  "assignment requires a modifiable lvalue as an operand%s", "");
}

static struct dt_node *target_ident(struct dt_compile *c, struct dt_node *n)
{
	enum dt_scope scope = (enum dt_scope)n->val;
	struct dt_var *v;
	u64 argn;

	if (strchr(n->str, '`'))
		return scoped_err(c, n, D_OP_WRITE, "the kernel's %s cannot be written to", n->str);
	if (scope == DT_GLOBAL && dt_bind_inline(c, n->str))
		return not_lvalue(c, n);
	v = dt_bind_var(c, scope, n->str, n->loc, false);
	if (!v && scope == DT_GLOBAL && dt_bind_builtin(n->str, &argn))
		return scoped_err(c, n, D_OP_WRITE, "built-in variable %s cannot be written to",
				  n->str);
	if (!v && scope == DT_GLOBAL && (dt_bind_subr(n->str) || dt_bind_action(n->str)))
		return scoped_err(c, n, D_IDENT_BADREF,
				  "function '%s' may not be referenced as a variable", n->str);
	if (!v && scope == DT_GLOBAL && dt_declared_enumerator(c, n->str))
		return not_lvalue(c, n);
	if (!v)
		v = dt_bind_var(c, scope, n->str, n->loc, true);
	if (v->type && v->type->kind == DT_POISON)
		return dt_poison(c, n);
	if (v->assoc)
		return scoped_err(c, n, D_OP_DYN,
				  "associative array %s cannot be assigned as a whole",
				  var_text(c, scope, v->name));
	n->op = N_VAR;
	n->var = v;
	n->lvalue = true;
	return typed(n, v->type);
}

/* x[k] = ...; NULL: x is memory */
static struct dt_node *target_assoc(struct dt_compile *c, struct dt_node *n)
{
	struct dt_node *name = n->l;
	enum dt_scope scope = (enum dt_scope)name->val;
	struct dt_var *v;
	u64 argn;

	if (name->op != N_IDENT || strchr(name->str, '`') ||
	    (scope == DT_GLOBAL &&
	     (dt_bind_inline(c, name->str) || dt_bind_action(name->str) || dt_bind_subr(name->str))))
		return NULL;
	v = dt_bind_var(c, scope, name->str, name->loc, false);
	if (v)
		return NULL; /* known: as when read */
	if (scope == DT_GLOBAL && dt_bind_builtin(name->str, &argn))
		return scoped_err(c, n, D_OP_WRITE, "built-in variable %s cannot be written to",
				  name->str);
	if (scope == DT_THIS)
		return scoped_err(c, n, D_ARR_LOCAL, "%s may not be used as an associative array",
				  var_text(c, scope, name->str));
	v = dt_bind_var(c, scope, name->str, name->loc, true);
	v->assoc = true;
	n = check_assoc(c, n, v, true);
	if (dt_is_poison(n))
		v->type = dt_basic(c, DT_T_POISON);
	return n;
}

/* May this lvalue be written?  Variables may; memory behind pointers that the kernel gave may
 * not. */
static bool writable(const struct dt_node *n)
{
	for (; n; n = n->l) {
		switch (n->op) {
		case N_VAR:
		case N_ASSOC: return true;
		case N_BUILTIN:
		case N_ARG:
		case N_KSYM: return false;
		case N_CALL: return true; /* scratch memory */
		case N_DEREF:
		case N_INDEX:
			if (dt_is_user_pointer(n->l->type))
				return false;
			break;
		default: break;
		}
	}
	return true;
}

struct dt_node *dt_check_target(struct dt_compile *c, struct dt_node *n)
{
	struct dt_node *assoc;

	if (n->op == N_IDENT && !n->checked)
		return target_ident(c, n);
	if (n->op == N_SUBSCRIPT) {
		assoc = target_assoc(c, n);
		if (assoc)
			return assoc;
	}
	n = dt_check_expr(c, n);
	if (dt_is_poison(n))
		return n;
	if (!n->lvalue)
		return not_lvalue(c, n);
	if (!writable(n))
		return scoped_err(c, n, D_OP_WRITE,
				  "memory of the kernel or of a process cannot be written to%s", "");
	return n;
}

/* ---- members ------------------------------------------------------------------------------- */

static struct dt_node *deref_node(struct dt_compile *c, struct dt_node *p)
{
	struct dt_node *n = dt_node_new(c, N_DEREF, p->loc);

	n->l = p;
	n->lvalue = true;
	return typed(n, dt_type_resolve(p->type)->ref);
}

/* The struct that the member is looked up in, as an lvalue; NULL: reported. */
static struct dt_node *member_base(struct dt_compile *c, struct dt_node *n)
{
	bool arrow = n->op == N_ARROW;
	const struct dt_type *t;
	struct dt_node *l = arrow ? dt_decay(c, n->l) : n->l;

	t = dt_type_resolve(l->type);
	if (arrow && t->kind != DT_POINTER) {
		scoped_err(c, n, D_OP_PTR, "operator -> must be applied to a pointer, not \"%s\"",
			   dt_tstr(c, l->type));
		return NULL;
	}
	if (arrow) {
		l = deref_node(c, l);
		t = dt_type_resolve(l->type);
	}
	if (!t || !dt_type_is_sou(t)) {
		dt_err(c, D_OP_SOU, n->loc,
		       "operator %s cannot be applied to \"%s\"; it must be applied to a %sstruct or union",
		       arrow ? "->" : ".", dt_tstr(c, n->l->type), arrow ? "pointer to a " : "");
		return NULL;
	}
	if (t->kind == DT_FWD) {
		dt_err(c, D_OP_INCOMPLETE, n->loc,
		       "operator %s cannot be applied to a forward declaration: no %s definition is available",
		       arrow ? "->" : ".", dt_tstr(c, t));
		return NULL;
	}
	return l;
}

struct dt_node *dt_check_member(struct dt_compile *c, struct dt_node *n)
{
	const struct dt_member *m;
	struct dt_node *base;
	u64 bit_off;

	n->l = dt_operand(c, n->l, dt_op_text(n->op));
	if (dt_is_poison(n->l))
		return dt_poison(c, n);
	if (n->l->op == N_XLATE)
		return dt_expand_xlate(c, n->l, n->str, n->loc);
	base = member_base(c, n);
	if (!base)
		return dt_poison(c, n);
	m = dt_type_member(dt_type_resolve(base->type), n->str, &bit_off);
	if (!m) {
		dt_err(c, D_TYPE_MEMBER, n->loc, "%s is not a member of %s", n->str,
		       dt_tstr(c, base->type));
		return dt_poison(c, n);
	}
	n->op = N_MEMBER;
	n->l = base;
	n->bit_off = bit_off;
	n->bit_size = m->bit_size;
	n->lvalue = base->lvalue;
	typed(n, m->type);
	n->type = type_in_place(c, n, n->type);
	return n;
}

/* ---- * and & ------------------------------------------------------------------------------- */

struct dt_node *dt_check_deref(struct dt_compile *c, struct dt_node *n)
{
	const struct dt_type *t;

	n->l = dt_operand(c, n->l, "*");
	if (dt_is_poison(n->l))
		return dt_poison(c, n);
	n->l = dt_decay(c, n->l);
	t = dt_type_resolve(n->l->type);
	if (t->kind != DT_POINTER)
		return scoped_err(c, n, D_DEREF_NONPTR,
				  "cannot dereference \"%s\": it is not a pointer",
				  dt_tstr(c, n->l->type));
	if (!pointee_ok(c, n, t, "*"))
		return n;
	n->lvalue = true;
	typed(n, t->ref);
	n->type = type_in_place(c, n, n->type);
	return n;
}

/* Is the lvalue part of a D variable?  Those have no address. */
static bool in_variable(const struct dt_node *n)
{
	while (n->op == N_MEMBER || (n->op == N_INDEX && dt_type_is_array(n->l->type)))
		n = n->l;
	return n->op == N_VAR || n->op == N_ASSOC;
}

struct dt_node *dt_check_addrof(struct dt_compile *c, struct dt_node *n)
{
	struct dt_type *t;

	if (n->l->op == N_IDENT && n->l->val == DT_GLOBAL && strchr(n->l->str, '`'))
		n->l = check_symbol(c, n->l, false);
	else
		n->l = dt_operand(c, n->l, "&");
	if (dt_is_poison(n->l))
		return dt_poison(c, n);
	if (n->l->op == N_MEMBER && n->l->bit_size)
		return scoped_err(c, n, D_ADDROF_BITFIELD,
				  "cannot take the address of bit-field %s", n->l->str);
	if (n->l->op == N_VAR || n->l->op == N_ASSOC || in_variable(n->l))
		return scoped_err(c, n, D_ADDROF_VAR,
				  "cannot take the address of a D variable or built-in%s", "");
	if (n->l->op == N_BUILTIN || n->l->op == N_ARG)
		return scoped_err(c, n, D_ADDROF_VAR,
				  "cannot take the address of a D variable or built-in%s", "");
	if (!n->l->lvalue)
		return scoped_err(c, n, D_ADDROF_LVAL,
				  "unacceptable operand for unary & operator: it is not in memory%s",
				  "");
	if (n->l->op == N_DEREF)
		return n->l->l;
	t = n->l->type;
	if (reached_by_user_pointer(n->l))
		t = dt_userland(c, t);
	return typed(n, dt_type_pointer(c->ts, t));
}

/* ---- sizeof, offsetof ---------------------------------------------------------------------- */

struct dt_node *dt_check_sizeof(struct dt_compile *c, struct dt_node *n)
{
	struct dt_type *t = n->dtype;
	const struct dt_type *r;
	u64 size;

	if (!t) {
		n->l = dt_operand(c, n->l, "sizeof");
		if (dt_is_poison(n->l))
			return dt_poison(c, n);
		if (n->l->op == N_MEMBER && n->l->bit_size)
			return scoped_err(c, n, D_SIZEOF_BITFIELD,
					  "cannot apply sizeof to bit-field %s", n->l->str);
		t = n->l->type;
	}
	r = dt_type_resolve(t);
	if (r->kind == DT_POISON)
		return dt_poison(c, n);
	size = dt_type_size(t);
	if (!size && r->kind == DT_STRING)
		size = c->env->strsize;
	if (r->kind == DT_VOID || r->kind == DT_FUNC || r->kind == DT_FWD || r->kind == DT_DYN ||
	    r->kind == DT_STACK)
		return scoped_err(c, n, D_SIZEOF_TYPE,
				  "cannot apply sizeof to \"%s\": it has no known size",
				  dt_tstr(c, t));
	return dt_int_node(c, size, dt_basic(c, DT_T_SIZE), n->loc);
}

struct dt_node *dt_check_offsetof(struct dt_compile *c, struct dt_node *n)
{
	struct dt_type *t = n->dtype;
	const struct dt_member *m = NULL;
	u64 off = 0, bit_off;
	const char *p = n->str, *name;
	size_t len;

	for (;; p += len + 1) {
		if (!dt_type_is_sou(t))
			return scoped_err(c, n, D_OFFSETOF_TYPE,
					  "offsetof operand must be a struct or union, not \"%s\"",
					  dt_tstr(c, t));
		len = strcspn(p, ".");
		name = dt_arena_strndup(c->a, p, len);
		if (dt_type_resolve(t)->kind == DT_FWD)
			return scoped_err(c, n, D_OFFSETOF_TYPE,
					  "offsetof operand %s is of incomplete type", dt_tstr(c, t));
		m = dt_type_member(dt_type_resolve(t), name, &bit_off);
		if (!m) {
			dt_err(c, D_UNKNOWN, n->loc,
			       "failed to determine offset of %s: it is not a member of %s", name,
			       dt_tstr(c, t));
			return dt_poison(c, n);
		}
		off += bit_off;
		t = m->type;
		if (!p[len])
			break;
	}
	if (m->bit_size)
		return scoped_err(c, n, D_OFFSETOF_BITFIELD,
				  "cannot take the offset of bit-field %s", name);
	return dt_int_node(c, off / 8, dt_basic(c, DT_T_SIZE), n->loc);
}
