/* SPDX-License-Identifier: Apache-2.0 */
/*
 * check_printf.c - formats against their arguments: printf, printa, system, freopen.
 */
#include <string.h>

#include "lang/compile.h"

static enum dt_kind kind_of(const struct dt_type *t)
{
	return dt_type_resolve((struct dt_type *)t)->kind;
}

/* ---- what a conversion takes --------------------------------------------------------------- */

static bool takes_int(const struct dt_type *t)
{
	return dt_type_is_int(t);
}

static bool takes_pointer(const struct dt_type *t)
{
	return dt_type_is_scalar(t) || dt_type_is_array(t);
}

static bool takes_addr(const struct dt_type *t)
{
	return dt_type_is_scalar(t) || kind_of(t) == DT_SYMADDR;
}

static bool takes_uaddr(const struct dt_type *t)
{
	return dt_type_is_scalar(t) || kind_of(t) == DT_USYMADDR;
}

static bool takes_string(const struct dt_type *t)
{
	return dt_type_is_string(t) ||
	       (dt_type_is_array(t) && dt_type_size(dt_type_resolve((struct dt_type *)t)->ref) == 1);
}

static bool takes_time(const struct dt_type *t)
{
	return dt_type_is_int(t) && dt_type_size(t) == 8;
}

static bool takes_stack(const struct dt_type *t)
{
	return kind_of(t) == DT_STACK;
}

static bool takes_float(const struct dt_type *t)
{
	return dt_type_is_float(t);
}

static bool takes_wide(const struct dt_type *t)
{
	return dt_type_is_int(t) || dt_type_is_array(t);
}

static const struct {
	bool (*takes)(const struct dt_type *t);
	const char *what;
} classes[] = {
	[DT_CONV_INT] = { takes_int, "an integer" },
	[DT_CONV_PTR] = { takes_pointer, "a pointer or an integer" },
	[DT_CONV_ADDR] = { takes_addr, "an address in the kernel" },
	[DT_CONV_UADDR] = { takes_uaddr, "an address in a process" },
	[DT_CONV_STR] = { takes_string, "a string or an array of char" },
	[DT_CONV_TIME] = { takes_time, "a 64-bit integer" },
	[DT_CONV_STACK] = { takes_stack, "a stack" },
	[DT_CONV_FLOAT] = { takes_float, "a floating-point value" },
	[DT_CONV_WIDE] = { takes_wide, "a wide character or string" },
};

static const char *conv_text(struct dt_compile *c, const struct dt_conv *v)
{
	return dt_arena_printf(c->a, "%%%s%s%c", v->agg ? "@" : "", v->size, v->conv);
}

static const char *hint(const struct dt_conv *v, const struct dt_type *t)
{
	if (v->cls == DT_CONV_STR && dt_type_is_scalar(t))
		return dt_is_user_pointer(t) ? "; use copyinstr( )" :
					       "; use stringof( ) or copyinstr( )";
	return v->cls == DT_CONV_INT && dt_type_is_pointer(t) ? "; use %p" : "";
}

/* A size modifier (h l ll) names the size of the integer. */
static bool size_ok(const struct dt_conv *v, const struct dt_type *t)
{
	u64 want = v->size[0] == 'l' ? 8 : v->size[1] == 'h' ? 1 : 2;

	return v->cls != DT_CONV_INT || !v->size[0] || v->size[0] == 'w' || v->agg ||
	       dt_type_size(t) == want;
}

static bool conv_ok(struct dt_compile *c, const struct dt_conv *v, const struct dt_type *t,
		    u32 argno, struct dt_loc loc, const char *name)
{
	if (t->kind == DT_POISON || (classes[v->cls].takes(t) && size_ok(v, t)))
		return true;
	dt_err(c, D_PRINTF_ARG_TYPE, loc,
	       "%s( ) argument #%u is incompatible with conversion %s, which takes %s%s: it is \"%s\"%s",
	       name, argno, conv_text(c, v), classes[v->cls].what,
	       classes[v->cls].takes(t) ? " of that size" : "", dt_tstr(c, t), hint(v, t));
	return false;
}

/* ---- the format ---------------------------------------------------------------------------- */

static void drop_first(struct dt_stmt *s)
{
	s->args++;
	s->nargs--;
}

const char *dt_take_format(struct dt_compile *c, struct dt_stmt *s)
{
	struct dt_node *n;

	if (!s->nargs)
		return dt_err(c, D_PROTO_LEN, s->loc,
			      "%s( ) prototype mismatch: 0 args passed, at least 1 expected",
			      s->act->name);
	n = dt_check_expr(c, s->args[0]);
	if (dt_is_poison(n))
		return NULL;
	if (n->op != N_STR)
		return dt_err(c, D_PRINTF_ARG_FMT, n->loc,
			      "%s( ) argument #1 must be a constant format string, not \"%s\"",
			      s->act->name, dt_tstr(c, n->type));
	if (!*n->str && s->act->id != DT_A_FREOPEN)
		return dt_err(c, D_PRINTF_FMT_EMPTY, n->loc, "%s( ) format string may not be empty",
			      s->act->name);
	if (s->act->id == DT_A_FREOPEN && !strcmp(n->str, "."))
		return dt_err(
			c, D_FREOPEN_INVALID, n->loc,
			"freopen( ) argument #1 cannot be \".\"; \"\" goes back to the first output");
	s->format = n->str;
	drop_first(s);
	return s->format;
}

static struct dt_fmt *parse_format(struct dt_compile *c, struct dt_stmt *s, struct dt_loc loc)
{
	char err[256] = "";
	struct dt_fmt *f = dt_fmt_parse(s->format, err, sizeof(err));

	if (!f)
		dt_err(c, D_SYNTAX, loc, "%s( ) format: %s", s->act->name, err);
	return f;
}

/* ---- printf -------------------------------------------------------------------------------- */

/* Where the walk over formats and arguments stands. */
struct walk {
	struct dt_stmt *s;
	u32 next; /* argument */
	bool stop;
};

static void take_dynamic(struct dt_compile *c, struct walk *w, const struct dt_conv *v,
			 const char *what)
{
	struct dt_stmt *s = w->s;
	struct dt_node **arg;

	if (w->next >= s->nargs) {
		dt_err(c, D_PRINTF_DYN_PROTO, s->loc,
		       "%s( ) prototype mismatch: conversion %s needs an argument for the %s *",
		       s->act->name, conv_text(c, v), what);
		w->stop = true;
		return;
	}
	arg = &s->args[w->next++];
	if (dt_is_poison(*arg))
		return;
	if (!dt_type_is_int((*arg)->type))
		dt_err(c, D_PRINTF_DYN_TYPE, (*arg)->loc,
		       "%s( ) argument #%u must be an integer for the %s *, not \"%s\"",
		       s->act->name, w->next + 1, what, dt_tstr(c, (*arg)->type));
	else
		*arg = dt_cast(c, *arg, dt_basic(c, DT_T_INT));
}

static void take_arg(struct dt_compile *c, struct walk *w, const struct dt_conv *v)
{
	struct dt_stmt *s = w->s;
	struct dt_node **arg;

	if (w->next >= s->nargs) {
		dt_err(c, D_PRINTF_ARG_PROTO, s->loc,
		       "%s( ) prototype mismatch: conversion %s needs an argument", s->act->name,
		       conv_text(c, v));
		w->stop = true;
		return;
	}
	arg = &s->args[w->next++];
	if (dt_is_poison(*arg) ||
	    !conv_ok(c, v, (*arg)->type, w->next + 1, (*arg)->loc, s->act->name))
		return;
	if (v->cls == DT_CONV_STR && dt_stringable(*arg))
		*arg = dt_to_string(c, *arg);
	else if (v->cls == DT_CONV_PTR)
		*arg = dt_decay(c, *arg);
}

static void check_conv(struct dt_compile *c, struct walk *w, const struct dt_conv *v)
{
	if (v->cls == DT_CONV_LITERAL || w->stop)
		return;
	if (v->agg) {
		dt_err(c, D_PRINTF_AGG_CONV, w->s->loc, "%s( ) conversion %s is only for printa( )",
		       w->s->act->name, conv_text(c, v));
		w->stop = true;
		return;
	}
	if (v->dynwidth)
		take_dynamic(c, w, v, "width");
	if (v->dynprec && !w->stop)
		take_dynamic(c, w, v, "precision");
	if (!w->stop)
		take_arg(c, w, v);
}

/* An action that gives no value. */
static bool is_void_action(const struct dt_node *n)
{
	const struct dt_action *act = n->op == N_CALLNAME ? dt_bind_action(n->str) : NULL;

	return act && !(act->flags & (DT_AF_KEY | DT_AF_AGG));
}

static struct dt_node *void_action(struct dt_compile *c, const struct dt_stmt *s, u32 i)
{
	dt_err(c, D_PRINTF_ARG_TYPE, s->args[i]->loc,
	       "%s( ) argument #%u: action %s( ) gives no value", s->act->name, i + 2,
	       s->args[i]->str);
	return dt_poison(c, s->args[i]);
}

void dt_check_printf(struct dt_compile *c, struct dt_stmt *s)
{
	struct walk w = { .s = s };
	struct dt_loc loc = s->nargs ? s->args[0]->loc : s->loc;
	struct dt_fmt *f;
	u32 i;

	if (!dt_take_format(c, s))
		return;
	for (i = 0; i < s->nargs; i++)
		s->args[i] = is_void_action(s->args[i]) ? void_action(c, s, i) :
							  dt_check_key(c, s->args[i]);
	f = parse_format(c, s, loc);
	if (!f)
		return;
	for (i = 0; i < f->n; i++)
		check_conv(c, &w, &f->conv[i]);
	if (!w.stop && w.next < s->nargs)
		dt_err(c, D_PRINTF_ARG_EXTRA, s->args[w.next]->loc,
		       "%s( ) prototype mismatch: only %u argument%s required by this format string",
		       s->act->name, f->nargs, f->nargs == 1 ? "" : "s");
	dt_fmt_free(f);
}

/* ---- printa -------------------------------------------------------------------------------- */

static bool same_keys(const struct dt_aggvar *a, const struct dt_aggvar *b)
{
	u32 i;

	for (i = 0; i < a->nkeys; i++)
		if (!dt_type_same(a->keys[i], b->keys[i]))
			return false;
	return true;
}

static bool check_joined(struct dt_compile *c, const struct dt_aggvar *first,
			 const struct dt_aggvar *a, struct dt_loc loc)
{
	if (first->nkeys != a->nkeys)
		dt_err(c, D_PRINTA_AGGKEY, loc, "printa( ): @%s has %u key%s, but @%s has %u",
		       a->name, a->nkeys, a->nkeys == 1 ? "" : "s", first->name, first->nkeys);
	else if (!same_keys(first, a))
		dt_err(c, D_PRINTA_AGGPROTO, loc, "printa( ): the keys of @%s are not those of @%s",
		       a->name, first->name);
	else
		return true;
	return false;
}

static bool check_aggs(struct dt_compile *c, struct dt_stmt *s)
{
	struct dt_aggvar *first = NULL, *a;
	u32 i;

	if (!s->nargs) {
		dt_err(c, D_PRINTA_PROTO, s->loc,
		       "printa( ) prototype mismatch: an aggregation is expected");
		return false;
	}
	for (i = 0; i < s->nargs; i++) {
		a = dt_agg_arg(c, s, i, D_PRINTA_AGGARG, D_PRINTA_AGGBAD);
		if (!a)
			return false;
		if (first && !check_joined(c, first, a, s->args[i]->loc))
			return false;
		first = first ? first : a;
	}
	return true;
}

/* A * in a format of printa: the next key says how wide, or how precise. */
static bool take_key(struct dt_compile *c, const struct dt_stmt *s, const struct dt_conv *v,
		     const char *what, u32 *key)
{
	const struct dt_aggvar *a = s->args[0]->agg;

	if (*key >= a->nkeys) {
		dt_err(c, D_PRINTF_DYN_PROTO, s->loc,
		       "printa( ) prototype mismatch: conversion %s needs a key for the %s *",
		       conv_text(c, v), what);
		return false;
	}
	if (!dt_type_is_int(a->keys[*key])) {
		dt_err(c, D_PRINTF_DYN_TYPE, s->loc,
		       "printa( ): key #%u of @%s must be an integer for the %s *, not \"%s\"",
		       *key + 1, a->name, what, dt_tstr(c, a->keys[*key]));
		return false;
	}
	++*key;
	return true;
}

/* Conversions take the keys in turn, those with an @ the aggregations' values. */
static void check_printa_format(struct dt_compile *c, struct dt_stmt *s, const struct dt_fmt *f)
{
	const struct dt_aggvar *a = s->args[0]->agg;
	const struct dt_conv *v;
	u32 key = 0, values = 0;

	for (v = f->conv; v < f->conv + f->n; v++) {
		if (v->cls == DT_CONV_LITERAL)
			continue;
		if ((v->dynwidth && !take_key(c, s, v, "width", &key)) ||
		    (v->dynprec && !take_key(c, s, v, "precision", &key)))
			return;
		if (v->agg) {
			if (++values > s->nargs && s->nargs > 1) {
				dt_err(c, D_PRINTA_AGGPROTO, s->loc,
				       "printa( ) format has more %%@ conversions than there are aggregations");
				return;
			}
			if (!classes[v->cls].takes(dt_type_int(c->ts, 8, true))) {
				dt_err(c, D_PRINTF_ARG_TYPE, s->loc,
				       "printa( ): the value of an aggregation is a number, but conversion %s takes %s",
				       conv_text(c, v), classes[v->cls].what);
				return;
			}
		} else if (key >= a->nkeys) {
			dt_err(c, D_PRINTF_ARG_PROTO, s->loc,
			       "printa( ) conversion %s: @%s has only %u key%s", conv_text(c, v),
			       a->name, a->nkeys, a->nkeys == 1 ? "" : "s");
			return;
		} else {
			key++;
			if (!conv_ok(c, v, a->keys[key - 1], key, s->loc, "printa"))
				return;
		}
	}
}

void dt_check_printa(struct dt_compile *c, struct dt_stmt *s)
{
	struct dt_loc loc = s->nargs ? s->args[0]->loc : s->loc;
	struct dt_fmt *f;

	if (s->nargs && s->args[0]->op == N_INT) {
		dt_err(c, D_PRINTA_AGGARG, loc,
		       "printa( ) argument #1 must be a format or an aggregation");
		return;
	}
	if (s->nargs && s->args[0]->op != N_AGG &&
	    !(s->args[0]->op == N_SUBSCRIPT && s->args[0]->l->op == N_AGG) && !dt_take_format(c, s))
		return;
	if (!check_aggs(c, s) || !s->format)
		return;
	f = parse_format(c, s, loc);
	if (!f)
		return;
	check_printa_format(c, s, f);
	dt_fmt_free(f);
}
