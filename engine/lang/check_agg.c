/* SPDX-License-Identifier: Apache-2.0 */
/*
 * check_agg.c - @name[keys] = function(arguments): one function, one list of keys, one set of
 * parameters per aggregation, whatever clause feeds it.
 */
#include <string.h>

#include "lang/compile.h"

/* ---- constant parameters ------------------------------------------------------------------- */

static bool constant(struct dt_compile *c, const struct dt_stmt *s, u32 i, const char *what,
		     enum dt_tag tag, s64 *val)
{
	const struct dt_node *n = s->args[i];

	*val = (s64)n->val;
	if (n->op == N_INT && dt_type_is_int(n->type))
		return true;
	dt_err(c, tag, n->loc, "%s( ) argument #%u (%s) must be an integer constant", s->act->name,
	       i + 1, what);
	return false;
}

static bool in_range(struct dt_compile *c, const struct dt_stmt *s, u32 i, const char *what,
		     enum dt_tag tag, s64 val, s64 min, s64 max)
{
	if (val >= min && val <= max)
		return true;
	dt_err(c, tag, s->args[i]->loc, "%s( ) argument #%u (%s) must be from %lld to %lld",
	       s->act->name, i + 1, what, (long long)min, (long long)max);
	return false;
}

static bool lquantize_params(struct dt_compile *c, const struct dt_stmt *s, s64 *p)
{
	s64 levels;

	p[2] = 1;
	if (!constant(c, s, 1, "base", D_LQUANT_BASETYPE, &p[0]) ||
	    !in_range(c, s, 1, "base", D_LQUANT_BASEVAL, p[0], INT32_MIN, INT32_MAX) ||
	    !constant(c, s, 2, "limit", D_LQUANT_LIMTYPE, &p[1]) ||
	    !in_range(c, s, 2, "limit", D_LQUANT_LIMVAL, p[1], INT32_MIN, INT32_MAX))
		return false;
	if (p[0] >= p[1]) {
		dt_err(c, D_LQUANT_MISMATCH, s->args[1]->loc,
		       "lquantize( ) base (argument #2) must be less than limit (argument #3)");
		return false;
	}
	if (s->nargs > 3) {
		if (!constant(c, s, 3, "step", D_LQUANT_STEPTYPE, &p[2]))
			return false;
		if (p[2] <= 0) {
			dt_err(c, D_LQUANT_STEPTYPE, s->args[3]->loc,
			       "lquantize( ) argument #4 (step) must be a non-zero positive integer constant");
			return false;
		}
		if (!in_range(c, s, 3, "step", D_LQUANT_STEPVAL, p[2], 1, UINT16_MAX))
			return false;
	}
	levels = (p[1] - p[0]) / p[2];
	if (levels == 0)
		dt_err(c, D_LQUANT_STEPLARGE, s->args[3]->loc,
		       "lquantize( ) step (argument #4) is too large: there must be at least one level");
	else if (levels > UINT16_MAX)
		dt_err(c, D_LQUANT_STEPSMALL, s->args[s->nargs > 3 ? 3 : 2]->loc,
		       "lquantize( ) step is too small: more than %d levels", UINT16_MAX);
	return levels > 0 && levels <= UINT16_MAX;
}

/* Steps cut each order of magnitude evenly: they divide the factor, or are a multiple of it that
 * divides a power of it. */
static bool steps_ok(s64 factor, s64 steps)
{
	s64 order = factor;

	if (steps <= factor)
		return factor % steps == 0;
	while (order < steps)
		order *= factor;
	return steps % factor == 0 && order % steps == 0;
}

static bool power_fits(s64 factor, s64 exponent)
{
	s64 v = 1;

	while (exponent-- > 0)
		if (__builtin_mul_overflow(v, factor, &v))
			return false;
	return true;
}

static bool llquantize_params(struct dt_compile *c, const struct dt_stmt *s, s64 *p)
{
	if (!constant(c, s, 1, "factor", D_LLQUANT_FACTORTYPE, &p[0]) ||
	    !in_range(c, s, 1, "factor", D_LLQUANT_FACTORVAL, p[0], 2, UINT16_MAX) ||
	    !constant(c, s, 2, "low magnitude", D_LLQUANT_LMAGTYPE, &p[1]) ||
	    !in_range(c, s, 2, "low magnitude", D_LLQUANT_LMAGVAL, p[1], 0, 63) ||
	    !constant(c, s, 3, "high magnitude", D_LLQUANT_HMAGTYPE, &p[2]) ||
	    !in_range(c, s, 3, "high magnitude", D_LLQUANT_HMAGVAL, p[2], p[1], 63) ||
	    !constant(c, s, 4, "steps", D_LLQUANT_STEPTYPE, &p[3]) ||
	    !in_range(c, s, 4, "steps", D_LLQUANT_STEPVAL, p[3], 1, UINT16_MAX))
		return false;
	if (!power_fits(p[0], p[2] + 1)) {
		dt_err(c, D_LLQUANT_HMAGVAL, s->args[3]->loc,
		       "llquantize( ) high magnitude (argument #4) is too big: %lld^%lld does not fit 64 bits",
		       (long long)p[0], (long long)p[2] + 1);
		return false;
	}
	if (!steps_ok(p[0], p[3])) {
		dt_err(c, D_LLQUANT_STEPVAL, s->args[4]->loc,
		       "llquantize( ) steps (argument #5) must divide a power of the factor evenly");
		return false;
	}
	return true;
}

/* ---- the functions ------------------------------------------------------------------------- */

struct function {
	int kind;
	u32 least, most;   /* arguments */
	u32 nparams;       /* constants after the value */
	enum dt_tag proto; /* wrong number of arguments */
	bool (*params)(struct dt_compile *c, const struct dt_stmt *s, s64 *p);
	enum dt_tag match[4]; /* a parameter differs from the first use's */
};

static const struct function functions[] = {
	{ .kind = DTRACEAGG_COUNT, .most = 0, .proto = D_PROTO_LEN },
	{ .kind = DTRACEAGG_MIN, .least = 1, .most = 1, .proto = D_PROTO_LEN },
	{ .kind = DTRACEAGG_MAX, .least = 1, .most = 1, .proto = D_PROTO_LEN },
	{ .kind = DTRACEAGG_AVG, .least = 1, .most = 1, .proto = D_PROTO_LEN },
	{ .kind = DTRACEAGG_SUM, .least = 1, .most = 1, .proto = D_PROTO_LEN },
	{ .kind = DTRACEAGG_STDDEV, .least = 1, .most = 1, .proto = D_PROTO_LEN },
	{ .kind = DTRACEAGG_QUANTIZE, .least = 1, .most = 2, .proto = D_QUANT_PROTO },
	{ .kind = DTRACEAGG_LQUANTIZE,
	  .least = 3,
	  .most = 5,
	  .nparams = 3,
	  .proto = D_PROTO_LEN,
	  .params = lquantize_params,
	  .match = { D_LQUANT_MATCHBASE, D_LQUANT_MATCHLIM, D_LQUANT_MATCHSTEP } },
	{ .kind = DTRACEAGG_LLQUANTIZE,
	  .least = 5,
	  .most = 6,
	  .nparams = 4,
	  .proto = D_PROTO_LEN,
	  .params = llquantize_params,
	  .match = { D_LLQUANT_MATCHFACTOR, D_LLQUANT_MATCHLMAG, D_LLQUANT_MATCHHMAG,
		     D_LLQUANT_MATCHSTEPS } },
};

static const struct function *find_function(int kind)
{
	size_t i;

	for (i = 0; functions[i].kind != kind; i++)
		;
	return &functions[i];
}

static bool check_args(struct dt_compile *c, struct dt_stmt *s, const struct function *f)
{
	bool ok = true;
	u32 i;

	if (s->nargs < f->least || s->nargs > f->most) {
		dt_err(c, s->nargs ? f->proto : D_PROTO_LEN, s->loc,
		       "%s( ) prototype mismatch: %u arg%s passed, %s%u expected", s->act->name,
		       s->nargs, s->nargs == 1 ? "" : "s",
		       f->least == f->most ? "" :
		       s->nargs < f->least ? "at least " :
					     "at most ",
		       s->nargs < f->least ? f->least : f->most);
		return false;
	}
	for (i = 0; i < s->nargs; i++) {
		s->args[i] = dt_check_expr(c, s->args[i]);
		ok &= !dt_is_poison(s->args[i]);
	}
	return ok;
}

static struct dt_node *wide(struct dt_compile *c, struct dt_node *n)
{
	return dt_cast(c, n, dt_type_int(c->ts, 8, dt_type_is_signed(n->type)));
}

/* What is counted, and by how much: args becomes { value [, increment] }. */
static bool check_value(struct dt_compile *c, struct dt_stmt *s, const struct function *f)
{
	struct dt_node *inc = s->nargs > 1 + f->nparams ? s->args[1 + f->nparams] : NULL;

	if (!s->nargs)
		return true;
	if (!dt_type_is_scalar(s->args[0]->type)) {
		dt_err(c, D_AGG_SCALAR, s->args[0]->loc,
		       "%s( ) argument #1 must be of scalar type, not \"%s\"", s->act->name,
		       dt_tstr(c, s->args[0]->type));
		return false;
	}
	s->args[0] = wide(c, s->args[0]);
	s->nargs = 1;
	if (!inc)
		return true;
	if (!dt_type_is_int(inc->type)) {
		dt_err(c, f->proto == D_QUANT_PROTO ? D_QUANT_PROTO : D_PROTO_ARG, inc->loc,
		       "the increment of %s( ) must be an integer, not \"%s\"", s->act->name,
		       dt_tstr(c, inc->type));
		return false;
	}
	s->args[1] = wide(c, inc);
	s->nargs = 2;
	return true;
}

static bool params_match(struct dt_compile *c, const struct dt_stmt *s, const struct function *f,
			 const s64 *p)
{
	static const char *const names[2][4] = { { "base", "limit", "step", "" },
						 { "factor", "low magnitude", "high magnitude",
						   "steps" } };
	u32 i;

	for (i = 0; i < f->nparams; i++) {
		if (s->agg->param[i] == p[i])
			continue;
		dt_err(c, f->match[i], s->loc,
		       "%s( ) %s does not match that of an earlier @%s: %lld, not %lld",
		       s->act->name, names[f->nparams == 4][i], s->agg->name,
		       (long long)s->agg->param[i], (long long)p[i]);
		return false;
	}
	return true;
}

/* ---- the statement ------------------------------------------------------------------------- */

static bool check_keys(struct dt_compile *c, struct dt_stmt *s)
{
	bool ok = true;
	u32 i;

	for (i = 0; i < s->nkeys; i++) {
		s->keys[i] = dt_is_void_call(s->keys[i]) ? dt_void_key(c, s->keys[i]) :
							   dt_check_key(c, s->keys[i]);
		ok &= !dt_is_poison(s->keys[i]);
	}
	return ok;
}

static void set_agg(struct dt_compile *c, struct dt_stmt *s, const struct function *f,
		    const char *name, struct dt_loc loc)
{
	struct dt_aggvar *a = s->agg = dt_bind_agg(c, name, loc, true);
	bool first = !a->func;
	s64 p[4] = { 0 };

	if (f->params && !f->params(c, s, p))
		return;
	if (!check_value(c, s, f))
		return;
	if (!first && a->func != f->kind) {
		dt_err(c, D_AGG_REDEF, s->loc,
		       "aggregation redefined: @%s = %s( ), before it was %s( )", name,
		       s->act->name, dt_agg_function_name(a->func));
		return;
	}
	if (first)
		memcpy(a->param, p, sizeof(p));
	else if (!params_match(c, s, f, p))
		return;
	if (dt_check_tuple(c, dt_arena_printf(c->a, "@%s", name), &a->keys, &a->nkeys, first,
			   s->keys, s->nkeys, loc))
		a->func = f->kind;
}

const char *dt_agg_function_name(int kind)
{
	int i;

	for (i = 1; i < DT_A_N; i++)
		if (dt_actions[i].flags & DT_AF_AGG && dt_actions[i].kind == kind)
			return dt_actions[i].name;
	return "?";
}

static void rules(struct dt_compile *c, const struct dt_stmt *s, const char *name)
{
	if (c->did.commit)
		dt_err(c, D_AGG_COMM, s->loc, "aggregating into @%s may not follow commit( )", name);
	else if (c->did.spec)
		dt_err(c, D_AGG_SPEC, s->loc, "aggregating into @%s may not follow speculate( )",
		       name);
}

void dt_check_agg(struct dt_compile *c, struct dt_stmt *s)
{
	struct dt_node *l = s->expr->l, *r = s->expr->r;
	const struct function *f;

	if (l->op == N_SUBSCRIPT) {
		s->keys = l->args;
		s->nkeys = l->nargs;
		l = l->l;
	}
	if (l->op != N_AGG) {
		dt_err(c, D_AGG_MDIM, s->expr->l->loc,
		       "improper use of two indexes: an aggregation takes one list of keys");
		return;
	}
	s->act = r->op == N_CALLNAME ? dt_bind_action(r->str) : NULL;
	if (!s->act && r->op == N_CALLNAME && !dt_bind_subr(r->str)) {
		dt_err(c, D_FUNC_UNDEF, r->loc, "undefined function name: %s", r->str);
		return;
	}
	if (!s->act || !(s->act->flags & DT_AF_AGG)) {
		dt_err(c, D_AGG_FUNC, r->loc,
		       "@%s must be assigned an aggregating function: count( ), sum( ), quantize( ) ...",
		       l->str);
		return;
	}
	s->kind = S_AGG;
	s->args = r->args;
	s->nargs = r->nargs;
	s->expr = NULL;
	c->p->naggs++;
	rules(c, s, l->str);
	f = find_function(s->act->kind);
	bool keys = check_keys(c, s), args = check_args(c, s, f); /* both tell what is wrong */

	if (keys && args)
		set_agg(c, s, f, l->str, l->loc);
	else
		dt_bind_agg(c, l->str, l->loc, true);
}
