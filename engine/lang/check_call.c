/* SPDX-License-Identifier: Apache-2.0 */
/*
 * check_call.c - calls: subroutines and actions, their arguments, and which may follow which in a
 * clause.
 */
#include <string.h>

#include "lang/compile.h"

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

/* ---- arguments by letter (subrs.def) ------------------------------------------------------- */

/* An argument made what its letter says; false: it cannot be. */
static bool fit_arg(struct dt_compile *c, struct dt_node **arg, char letter)
{
	struct dt_node *n = *arg;

	switch (letter) {
	case 's':
		if (dt_is_zero(n)) /* NULL */
			return true;
		if (!dt_stringable(n))
			return false;
		*arg = dt_to_string(c, n);
		return true;
	case 'k': return n->op == N_INT && fit_arg(c, arg, 'i');
	case 'i':
		if (!dt_type_is_int(n->type))
			return false;
		*arg = dt_cast(c, n, dt_type_int(c->ts, 8, dt_type_is_signed(n->type)));
		return true;
	case 'p':
		*arg = dt_decay(c, n);
		if (dt_type_is_int((*arg)->type))
			*arg = dt_cast(c, *arg, dt_basic(c, DT_T_UINTPTR));
		return dt_type_is_scalar((*arg)->type);
	case 'S':
		if (dt_type_is_string(n->type))
			return true;
		return fit_arg(c, arg, 'P');
	case 'P': *arg = dt_decay(c, n); return dt_type_is_pointer((*arg)->type) || dt_is_zero(n);
	default: return !is_kind(n, DT_VOID) && !is_kind(n, DT_DYN);
	}
}

static const char *letter_text(char letter)
{
	switch (letter) {
	case 's': return "const char *";
	case 'i': return "integer";
	case 'k': return "integer constant";
	case 'p': return "pointer or integer";
	case 'S':
	case 'P': return "pointer";
	default: return "value";
	}
}

static const char *hint(const struct dt_node *n, char letter)
{
	if (letter != 's')
		return "";
	return dt_is_user_pointer(n->type) ? "; use copyinstr( )" :
	       dt_type_is_scalar(n->type)  ? "; use stringof( ) or copyinstr( )" :
					     "";
}

static bool count_ok(struct dt_compile *c, const char *name, u32 nargs, u32 least, u32 most,
		     struct dt_loc loc)
{
	if (nargs >= least && nargs <= most)
		return true;
	dt_err(c, D_PROTO_LEN, loc, "%s( ) prototype mismatch: %u arg%s passed, %s%u expected",
	       name, nargs, nargs == 1 ? "" : "s",
	       least == most ? "" :
	       nargs < least ? "at least " :
			       "at most ",
	       nargs < least ? least : most);
	return false;
}

static struct dt_node *void_arg(struct dt_compile *c, const char *name, u32 i, struct dt_node *n)
{
	dt_err(c, D_PROTO_ARG, n->loc,
	       "%s( ) argument #%u is incompatible with prototype: %s( ) gives no value", name,
	       i + 1, n->str);
	return dt_poison(c, n);
}

/* All arguments checked and fitted; false: reported. */
static bool fit_args(struct dt_compile *c, const char *name, const char *letters, u32 least,
		     struct dt_node **args, u32 nargs, struct dt_loc loc)
{
	bool ok = count_ok(c, name, nargs, least, (u32)strlen(letters), loc), good;
	struct dt_node *was;
	u32 i;

	for (i = 0; i < nargs; i++) {
		args[i] = dt_is_void_call(args[i]) ? void_arg(c, name, i, args[i]) :
						     dt_check_expr(c, args[i]);
		good = !dt_is_poison(args[i]);
		ok &= good;
		if (!good || i >= strlen(letters))
			continue;
		was = args[i];
		if (fit_arg(c, &args[i], letters[i]))
			continue;
		dt_err(c, D_PROTO_ARG, was->loc,
		       "%s( ) argument #%u is incompatible with prototype: prototype: %s, argument: %s%s",
		       name, i + 1, letter_text(letters[i]), dt_tstr(c, was->type),
		       hint(was, letters[i]));
		ok = false;
	}
	return ok;
}

/* ---- subroutines --------------------------------------------------------------------------- */

static u32 result_bound(const struct dt_node *n)
{
	const struct dt_node *a = n->nargs ? n->args[0] : NULL;
	u64 both;

	switch (n->subr->id) {
	case DT_S_BASENAME: return a->strbound ? DT_MAX(a->strbound, 2u) : 0; /* "" gives "." */
	case DT_S_DIRNAME: return a->strbound ? DT_MAX(a->strbound, 2u) : 0;
	case DT_S_SUBSTR:
	case DT_S_TOLOWER:
	case DT_S_TOUPPER:
	case DT_S_STRCHR:
	case DT_S_STRRCHR:
	case DT_S_STRSTR: return a->strbound;
	case DT_S_STRJOIN:
		both = (u64)a->strbound + n->args[1]->strbound;
		return a->strbound && n->args[1]->strbound && both <= UINT32_MAX ? (u32)both - 1 : 0;
	default: return 0;
	}
}

static struct dt_node *check_subr(struct dt_compile *c, struct dt_node *n, const struct dt_subr *s)
{
	bool ok = fit_args(c, s->name, s->args, s->minargs, n->args, n->nargs, n->loc);
	struct dt_type *t = dt_type_text(c, s->type);

	if (s->flags & DT_SF_PENDING)
		dt_pend(c, n->loc, s->name, NULL);
	if (!ok || !t)
		return dt_poison(c, n);
	n->op = N_CALL;
	n->subr = s;
	if (dt_type_is_string(t))
		n->strbound = result_bound(n);
	return typed(n, t);
}

/* ---- stack() and sym() families ------------------------------------------------------------ */

static bool positive_const(const struct dt_node *n)
{
	return n->op == N_INT && dt_type_is_int(n->type) && (s64)n->val > 0;
}

static bool check_stack(struct dt_compile *c, const struct dt_action *act, struct dt_node **args,
			u32 nargs, struct dt_loc loc)
{
	bool user = act->id != DT_A_STACK;
	u32 i;

	if (nargs > (user ? 2u : 1u)) {
		dt_err(c, user ? D_USTACK_PROTO : D_STACK_PROTO, loc,
		       "%s( ) prototype mismatch: too many arguments", act->name);
		return false;
	}
	for (i = 0; i < nargs; i++) {
		args[i] = dt_check_expr(c, args[i]);
		if (dt_is_poison(args[i]))
			return false;
		if (i == 0 && !(positive_const(args[0]) && args[0]->val <= INT32_MAX)) {
			dt_err(c, user ? D_USTACK_FRAMES : D_STACK_SIZE, args[0]->loc,
			       "%s( ) argument #1 must be a non-zero positive integer constant",
			       act->name);
			return false;
		}
		if (i == 1 && !(args[1]->op == N_INT && dt_type_is_int(args[1]->type) &&
				args[1]->val <= INT32_MAX)) {
			dt_err(c, D_USTACK_STRSIZE, args[1]->loc,
			       "%s( ) argument #2 must be a positive integer constant", act->name);
			return false;
		}
	}
	return true;
}

static bool is_stack(const struct dt_action *act)
{
	return act->id == DT_A_STACK || act->id == DT_A_USTACK || act->id == DT_A_JSTACK;
}

static enum dt_basic key_type(const struct dt_action *act)
{
	switch (act->id) {
	case DT_A_STACK:
	case DT_A_USTACK:
	case DT_A_JSTACK: return DT_T_STACK;
	case DT_A_SYM:
	case DT_A_FUNC:
	case DT_A_MOD: return DT_T_SYMADDR;
	default: return DT_T_USYMADDR;
	}
}

static bool check_key_args(struct dt_compile *c, const struct dt_action *act, struct dt_node **args,
			   u32 nargs, struct dt_loc loc)
{
	return is_stack(act) ? check_stack(c, act, args, nargs, loc) :
			       fit_args(c, act->name, "p", 1, args, nargs, loc);
}

/* stack(), usym(x) ... as a value */
static struct dt_node *check_key_act(struct dt_compile *c, struct dt_node *n,
				     const struct dt_action *act)
{
	if (act->flags & DT_AF_PENDING)
		dt_pend(c, n->loc, act->name, NULL);
	if (!check_key_args(c, act, n->args, n->nargs, n->loc))
		return dt_poison(c, n);
	n->op = N_CALL;
	n->act = act;
	return typed(n, dt_basic(c, key_type(act)));
}

/* ---- calls in expressions ------------------------------------------------------------------ */

static struct dt_node *no_function(struct dt_compile *c, struct dt_node *n)
{
	const char *kind = NULL;
	u64 argn;

	if (dt_bind_inline(c, n->str))
		kind = "inline";
	else if (dt_bind_var(c, DT_GLOBAL, n->str, n->loc, false) || dt_bind_builtin(n->str, &argn))
		kind = "variable";
	if (kind)
		dt_err(c, D_FUNC_IDKIND, n->loc, "%s '%s' may not be referenced as a function",
		       kind, n->str);
	else
		dt_err(c, D_FUNC_UNDEF, n->loc, "undefined function name: %s", n->str);
	return dt_poison(c, n);
}

/* __first(a, b ...) of libraries: kernels differ, the first one that this one's types allow. */
static struct dt_node *check_first(struct dt_compile *c, struct dt_node *n)
{
	u32 before = c->p->diags.list.n, i;
	struct dt_node *e = NULL;

	for (i = 0; i < n->nargs; i++) {
		c->p->diags.list.n = before;
		e = dt_check_expr(c, n->args[i]);
		if (!dt_is_poison(e))
			return e;
	}
	return e ? e : no_function(c, n);
}

struct dt_node *dt_check_call(struct dt_compile *c, struct dt_node *n, bool key)
{
	const struct dt_subr *subr = dt_bind_subr(n->str);
	const struct dt_action *act = subr ? NULL : dt_bind_action(n->str);

	if (n->checked)
		return n;
	if (strcmp(n->str, "__first") == 0)
		return check_first(c, n);
	if (!dt_derived_call(c, n))
		return dt_poison(c, n);
	if (subr)
		return check_subr(c, n, subr);
	if (!act)
		return no_function(c, n);
	if (key && act->flags & DT_AF_KEY)
		return check_key_act(c, n, act);
	dt_err(c, D_CG_EXPR, n->loc, "%s %s( ) may not be called from a D expression (%s)",
	       act->flags & DT_AF_AGG ? "aggregating function" : "action", act->name,
	       act->flags & DT_AF_AGG ? "assign it to an aggregation: @name = ..." :
					"it must stand as a statement");
	return dt_poison(c, n);
}

/* ---- what may follow what ------------------------------------------------------------------ */

void dt_rule_rec(struct dt_compile *c, struct dt_loc loc, const char *what)
{
	if (c->did.commit)
		dt_err(c, D_DREC_COMM, loc, "%s( ) may not follow commit( ): it records data", what);
	c->did.rec = true;
}

static void rule_speculate(struct dt_compile *c, struct dt_loc loc)
{
	if (c->did.spec)
		dt_err(c, D_SPEC_SPEC, loc, "speculate( ) may not follow speculate( )");
	else if (c->did.commit)
		dt_err(c, D_SPEC_COMM, loc, "speculate( ) may not follow commit( )");
	else if (c->did.rec)
		dt_err(c, D_SPEC_DREC, loc, "speculate( ) may not follow data-recording actions");
	c->did.spec = true;
}

static void rules(struct dt_compile *c, const struct dt_stmt *s)
{
	const struct dt_action *act = s->act;

	if (act->id == DT_A_SPECULATE)
		rule_speculate(c, s->loc);
	if (act->id == DT_A_COMMIT) {
		if (c->did.rec)
			dt_err(c, D_COMM_DREC, s->loc,
			       "commit( ) may not follow data-recording actions");
		c->did.commit = true;
	}
	if (c->did.spec && act->id == DT_A_EXIT)
		dt_err(c, D_EXIT_SPEC, s->loc, "exit( ) may not follow speculate( )");
	else if (c->did.spec && act->flags & DT_AF_DESTRUCTIVE)
		dt_err(c, D_ACT_SPEC, s->loc,
		       "%s( ) may not follow speculate( ): destructive actions cannot be undone",
		       act->name);
	if (act->flags & DT_AF_REC)
		dt_rule_rec(c, s->loc, act->name);
}

/* ---- actions as statements ----------------------------------------------------------------- */

static void act_trace(struct dt_compile *c, struct dt_stmt *s)
{
	struct dt_node *n;

	if (!count_ok(c, "trace", s->nargs, 1, 1, s->loc))
		return;
	if (dt_is_void_call(s->args[0])) {
		dt_err(c, D_TRACE_VOID, s->args[0]->loc,
		       "trace( ) may not be applied to a void expression: %s( )", s->args[0]->str);
		return;
	}
	n = s->args[0] = dt_check_expr(c, s->args[0]);
	if (dt_is_poison(n))
		return;
	if (is_kind(n, DT_VOID))
		dt_err(c, D_TRACE_VOID, n->loc, "trace( ) may not be applied to a void expression");
	else if (is_kind(n, DT_DYN))
		dt_err(c, D_TRACE_DYN, n->loc, "trace( ) may not be applied to a dynamic expression");
	else if (dt_type_is_array(n->type) && dt_stringable(n))
		s->args[0] = dt_to_string(c, n);
}

/* A pointer to a structure: that is what print() shows. */
static struct dt_type *struct_behind(const struct dt_node *n)
{
	const struct dt_type *t = dt_type_resolve(n->type);
	struct dt_type *to = t && t->kind == DT_POINTER ? dt_type_resolve(t->ref) : NULL;

	return to && dt_type_is_sou(to) ? to : NULL;
}

static void act_print(struct dt_compile *c, struct dt_stmt *s)
{
	const struct dt_type *t;
	struct dt_node *n;

	if (!count_ok(c, "print", s->nargs, 1, 1, s->loc))
		return;
	n = s->args[0] = dt_check_expr(c, s->args[0]);
	if (dt_is_poison(n))
		return;
	if (is_kind(n, DT_VOID) || is_kind(n, DT_DYN) || is_kind(n, DT_FUNC) ||
	    (n->op == N_CALL && !n->subr && n->act)) {
		dt_err(c, D_PROTO_ARG, n->loc,
		       "print( ) argument #1 must be a value or a pointer to a structure, not \"%s\"",
		       dt_tstr(c, n->type));
		return;
	}
	t = struct_behind(n);
	if (!t)
		t = dt_type_resolve(n->type);
	if (dt_type_is_string(t))
		return;
	if (!dt_type_size(t))
		dt_err(c, D_PRINT_SIZE, n->loc, "print( ) of an incomplete type: \"%s\"",
		       dt_tstr(c, t));
	else if (dt_type_size(t) > c->env->printsize)
		dt_err(c, D_PRINT_SIZE, n->loc,
		       "print( ) of \"%s\": its %llu bytes are more than option printsize (%u) allows",
		       dt_tstr(c, t), (unsigned long long)dt_type_size(t), c->env->printsize);
}

static void act_exit(struct dt_compile *c, struct dt_stmt *s)
{
	if (fit_args(c, "exit", "i", 1, s->args, s->nargs, s->loc))
		s->args[0] = dt_cast(c, s->args[0], dt_basic(c, DT_T_INT));
}

static void act_key(struct dt_compile *c, struct dt_stmt *s)
{
	check_key_args(c, s->act, s->args, s->nargs, s->loc);
}

static void act_tracemem(struct dt_compile *c, struct dt_stmt *s)
{
	u32 i;

	if (s->nargs < 2 || s->nargs > 3) {
		dt_err(c, D_TRACEMEM_ARGS, s->loc,
		       "tracemem( ) prototype mismatch: expected 2 or 3 args, %u passed", s->nargs);
		return;
	}
	for (i = 0; i < s->nargs; i++) {
		s->args[i] = dt_check_expr(c, s->args[i]);
		if (dt_is_poison(s->args[i]))
			return;
	}
	if (dt_type_is_string(s->args[0]->type) || !fit_arg(c, &s->args[0], 'p'))
		dt_err(c, D_TRACEMEM_ADDR, s->args[0]->loc,
		       "tracemem( ) argument #1 must be a pointer or an integer, not \"%s\"",
		       dt_tstr(c, s->args[0]->type));
	else if (!positive_const(s->args[1]) || s->args[1]->val > INT32_MAX)
		dt_err(c, D_TRACEMEM_SIZE, s->args[1]->loc,
		       "tracemem( ) argument #2 must be a non-zero positive integer constant");
	else if (s->nargs == 3 && !fit_arg(c, &s->args[2], 'i'))
		dt_err(c, D_TRACEMEM_DYNSIZE, s->args[2]->loc,
		       "tracemem( ) argument #3 must be an integer, not \"%s\"",
		       dt_tstr(c, s->args[2]->type));
}

struct dt_aggvar *dt_agg_arg(struct dt_compile *c, struct dt_stmt *s, u32 i, enum dt_tag not_agg,
			     enum dt_tag undefined)
{
	struct dt_node *n = s->args[i];

	if (n->op != N_AGG)
		return dt_err(c, not_agg, n->loc, "%s( ) argument #%u must be an aggregation%s",
			      s->act->name, i + 1 + (s->format != NULL),
			      n->op == N_SUBSCRIPT && n->l->op == N_AGG ? " as a whole, without keys" :
									  "");
	n->agg = dt_bind_agg(c, n->str, n->loc, false);
	if (!n->agg || !n->agg->func)
		return dt_err(c, undefined, n->loc, "undefined aggregation: @%s", n->str);
	typed(n, dt_basic(c, DT_T_DYN));
	return n->agg;
}

static void scalar_arg(struct dt_compile *c, struct dt_stmt *s, u32 i, enum dt_tag tag)
{
	s->args[i] = dt_check_expr(c, s->args[i]);
	if (!dt_is_poison(s->args[i]) && !fit_arg(c, &s->args[i], 'i'))
		dt_err(c, tag, s->args[i]->loc, "%s( ) argument #%u must be an integer, not \"%s\"",
		       s->act->name, i + 1, dt_tstr(c, s->args[i]->type));
}

static void act_clear(struct dt_compile *c, struct dt_stmt *s)
{
	if (s->nargs == 1)
		dt_agg_arg(c, s, 0, D_CLEAR_AGGARG, D_CLEAR_AGGBAD);
	else
		dt_err(c, D_CLEAR_PROTO, s->loc,
		       "clear( ) prototype mismatch: %u args passed, 1 expected", s->nargs);
}

static void act_trunc(struct dt_compile *c, struct dt_stmt *s)
{
	if (s->nargs < 1 || s->nargs > 2)
		dt_err(c, D_TRUNC_PROTO, s->loc,
		       "trunc( ) prototype mismatch: %u args passed, 1 or 2 expected", s->nargs);
	else if (dt_agg_arg(c, s, 0, D_TRUNC_AGGARG, D_TRUNC_AGGBAD) && s->nargs == 2)
		scalar_arg(c, s, 1, D_TRUNC_SCALAR);
}

static void act_normalize(struct dt_compile *c, struct dt_stmt *s)
{
	u32 want = s->act->id == DT_A_NORMALIZE ? 2 : 1;

	if (s->nargs != want)
		dt_err(c, D_NORMALIZE_PROTO, s->loc,
		       "%s( ) prototype mismatch: %u args passed, %u expected", s->act->name,
		       s->nargs, want);
	else if (dt_agg_arg(c, s, 0, D_NORMALIZE_AGGARG, D_NORMALIZE_AGGBAD) && want == 2)
		scalar_arg(c, s, 1, D_NORMALIZE_SCALAR);
}

static void act_setopt(struct dt_compile *c, struct dt_stmt *s)
{
	fit_args(c, "setopt", "ss", 1, s->args, s->nargs, s->loc);
}

/* The others: arguments by letter. */
static const struct {
	int id;
	const char *letters;
	u32 least;
} plain[] = {
	{ DT_A_BREAKPOINT, "", 0 }, { DT_A_CHILL, "i", 1 },        { DT_A_COMMIT, "i", 1 },
	{ DT_A_COPYOUT, "Ppi", 3 }, { DT_A_COPYOUTSTR, "spi", 3 }, { DT_A_DISCARD, "i", 1 },
	{ DT_A_FTRUNCATE, "", 0 },  { DT_A_PANIC, "", 0 },         { DT_A_PCAP, "Pi", 2 },
	{ DT_A_PRINTM, "iP", 2 },   { DT_A_RAISE, "i", 1 },        { DT_A_RETURN, "i", 1 },
	{ DT_A_SPECULATE, "i", 1 }, { DT_A_STOP, "", 0 },
};

static void act_plain(struct dt_compile *c, struct dt_stmt *s)
{
	size_t i;

	for (i = 0; i < DT_NELEM(plain); i++)
		if (plain[i].id == s->act->id)
			fit_args(c, s->act->name, plain[i].letters, plain[i].least, s->args,
				 s->nargs, s->loc);
}

/* Why an action will not work on this system; NULL: it only is not built yet. */
static const char *why_never(const struct dt_action *act)
{
	switch (act->id) {
	case DT_A_BREAKPOINT: return "a BPF program cannot enter a kernel debugger";
	case DT_A_CHILL: return "a BPF program cannot make the processor wait";
	case DT_A_PANIC: return "a BPF program cannot stop the system";
	case DT_A_PRINTM: return "use tracemem( ), which shows memory of any size";
	default: return NULL;
	}
}

static const struct {
	int id;
	void (*fn)(struct dt_compile *c, struct dt_stmt *s);
} special[] = {
	{ DT_A_TRACE, act_trace },           { DT_A_EXIT, act_exit },
	{ DT_A_TRACEMEM, act_tracemem },     { DT_A_CLEAR, act_clear },
	{ DT_A_TRUNC, act_trunc },           { DT_A_NORMALIZE, act_normalize },
	{ DT_A_DENORMALIZE, act_normalize }, { DT_A_SETOPT, act_setopt },
	{ DT_A_PRINTF, dt_check_printf },    { DT_A_SYSTEM, dt_check_printf },
	{ DT_A_FREOPEN, dt_check_printf },   { DT_A_PRINTA, dt_check_printa },
	{ DT_A_PRINT, act_print },
};

void dt_check_act(struct dt_compile *c, struct dt_stmt *s, const struct dt_action *act)
{
	void (*fn)(struct dt_compile *, struct dt_stmt *) =
		act->flags & DT_AF_KEY ? act_key : act_plain;
	size_t i;

	if (!dt_derived_call(c, s->expr))
		return;
	s->kind = S_ACT;
	s->act = act;
	s->args = s->expr->args;
	s->nargs = s->expr->nargs;
	s->expr = NULL;
	rules(c, s);
	if (act->flags & DT_AF_PENDING)
		dt_pend(c, s->loc, act->name, why_never(act));
	if (act->flags & DT_AF_REC)
		c->p->nrecs++;
	for (i = 0; i < DT_NELEM(special); i++)
		if (special[i].id == act->id)
			fn = special[i].fn;
	fn(c, s);
}
