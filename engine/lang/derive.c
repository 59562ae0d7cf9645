/* SPDX-License-Identifier: Apache-2.0 */
/*
 * derive.c - clauses of derived probes: what the program says about proc:::exit becomes a clause about the kernel's
 * event, with a condition in front and D expressions for its arguments (probe.h: struct dt_derived).
 *
 * A clause whose descriptions match several kinds of probes is made once for each: a copy of its tree as it was parsed,
 * checked with that kind's arguments.  So is one whose descriptions give args[] different types.  All copies say the
 * same, so the first one that is wrong is the only one reported.
 */
#include <ctype.h>
#include <string.h>

#include "lang/compile.h"

/* ---- D text of a table ---------------------------------------------------------------------- */

static struct dt_node *parse_text(struct dt_compile *c, const char *text)
{
	struct dt_source *src = dt_arena_new(c->a, struct dt_source);
	struct dt_lexer was = c->lx;
	struct dt_loc last = c->last;
	u32 nlook = c->nlook, depth = c->depth;
	struct dt_node *n;

	src->text = text;
	src->len = strlen(text);
	c->lx = (struct dt_lexer){ .src = src, .text = text, .len = (u32)src->len, .line = 1 };
	c->nlook = c->depth = 0;
	n = dt_parse_expr(c);
	if (n && !dt_expect(c, T_EOF))
		n = NULL;
	c->lx = was;
	c->last = last;
	c->nlook = nlook;
	c->depth = depth;
	return n;
}

/* "struct task_struct *prev": where the name starts. */
static const char *name_of(const char *decl)
{
	const char *s = decl + strlen(decl);

	while (s > decl && (isalnum((unsigned char)s[-1]) || s[-1] == '_'))
		s--;
	return s;
}

static const char *type_of(struct dt_compile *c, const char *decl)
{
	size_t n = (size_t)(name_of(decl) - decl);

	while (n && decl[n - 1] == ' ')
		n--;
	return dt_arena_strndup(c->a, decl, n);
}

/* The event's argument i. */
static struct dt_node *param(struct dt_compile *c, const char *decl, u32 i, struct dt_loc loc)
{
	struct dt_node *n = dt_node_new(c, N_ARG, loc);

	n->val = i;
	n->type = dt_type_text(c, type_of(c, decl));
	n->checked = true;
	if (n->type)
		return n;
	dt_err(c, D_ARGS_TYPE, loc, "failed to resolve the type of the argument: %s", decl);
	return dt_poison(c, n);
}

struct dt_node *dt_derived_expr(struct dt_compile *c, const char *text, struct dt_loc loc)
{
	const struct dt_derived *row = c->clause->derived;
	struct dt_subst s[DT_MAXARGS];
	struct dt_node *n = parse_text(c, text);
	u32 ns = 0, limit = c->inline_limit;

	if (!n)
		return dt_poison(c, dt_node_new(c, N_POISON, loc));
	for (; row && ns < DT_MAXARGS && row->params[ns]; ns++) {
		s[ns].name = name_of(row->params[ns]);
		s[ns].by = param(c, row->params[ns], ns, loc);
	}
	c->inline_limit = UINT32_MAX;
	c->expanding++;
	n = dt_check_expr(c, dt_clone(c, n, s, ns, &loc));
	c->expanding--;
	c->inline_limit = limit;
	return n;
}

struct dt_node *dt_derived_param(struct dt_compile *c, struct dt_node *n)
{
	const struct dt_derived *row = c->clause ? c->clause->derived : NULL;
	u32 i;

	for (i = 0; row && i < DT_MAXARGS && row->params[i]; i++)
		if (strcmp(name_of(row->params[i]), n->str + 8) == 0)
			return param(c, row->params[i], i, n->loc);
	dt_err(c, D_IDENT_UNDEF, n->loc, "%s: the probe's event has no such argument", n->str);
	return dt_poison(c, n);
}

/* ---- arguments ------------------------------------------------------------------------------ */

static struct dt_node *typed_value(struct dt_compile *c, const char *text, const char *type,
				   struct dt_loc loc)
{
	struct dt_node *n = dt_derived_expr(c, text, loc);
	struct dt_type *t = dt_type_text(c, type);

	if (dt_is_poison(n))
		return n;
	if (!t) {
		dt_err(c, D_ARGS_TYPE, loc, "failed to resolve the type of the argument: %s", type);
		return dt_poison(c, n);
	}
	return dt_type_is_string(t) ? dt_to_string(c, n) : dt_cast(c, n, t);
}

struct dt_node *dt_translated(struct dt_compile *c, struct dt_node *value, const char *type)
{
	struct dt_node *x = dt_node_new(c, N_XLATE, value->loc);

	if (dt_is_poison(value))
		return value;
	x->dtype = dt_type_text(c, type);
	if (!x->dtype) {
		dt_err(c, D_ARGS_TYPE, value->loc, "failed to resolve the type of the argument: %s",
		       type);
		return dt_poison(c, x);
	}
	x->l = value;
	x->type = dt_basic(c, DT_T_DYN);
	x->checked = true;
	return x;
}

struct dt_node *dt_derived_arg(struct dt_compile *c, u32 i, struct dt_loc loc)
{
	const struct dt_derived_arg *a = &c->clause->derived->args[i];

	if (a->value || !a->native)
		return typed_value(c, a->value ? a->value : a->expr, a->type, loc);
	return dt_translated(c, typed_value(c, a->expr, a->native, loc), a->type);
}

/* argN; NULL: the probe has no such argument, or one that is no number. */
static struct dt_node *derived_raw(struct dt_compile *c, u32 i, struct dt_loc loc)
{
	const struct dt_derived_arg *a = &c->clause->derived->args[i];
	struct dt_node *n;

	if (i >= DT_MAXARGS || !a->expr)
		return NULL;
	n = typed_value(c, a->expr, a->native ? a->native : a->type, loc);
	if (dt_is_poison(n) || dt_type_is_scalar(n->type))
		return dt_cast(c, n, dt_basic(c, DT_T_INT64));
	return NULL;
}

/* ---- another thread than the running one ------------------------------------------------------ */

/* What built-in variables say about the thread that the probe is about; no text: that cannot be known, since
 * its memory and registers are those of a thread that is not running. */
static const struct {
	int id;
	const char *text;
} of_task[] = {
	{ DT_B_CGROUP, NULL },
	{ DT_B_ERRNO, NULL },
	{ DT_B_EXECARGS,
	  "curthread->mm && curthread->mm == __running->mm ? execargs : stringof(curthread->comm)" },
	{ DT_B_EXECNAME, "stringof(curthread->comm)" },
	{ DT_B_GID, "curthread->cred->gid.val" },
	{ DT_B_PID, "curthread->tgid" },
	{ DT_B_PPID, "curthread->real_parent->tgid" },
	{ DT_B_THREADNAME, "stringof(curthread->comm)" },
	{ DT_B_TID, "curthread->pid" },
	{ DT_B_UCALLER, NULL },
	{ DT_B_UID, "curthread->cred->uid.val" },
	{ DT_B_UREGS, NULL },
	{ DT_B_USTACKDEPTH, NULL },
	{ DT_B_VTIMESTAMP, "curthread->se.sum_exec_runtime" },
};

static struct dt_node *not_of_task(struct dt_compile *c, struct dt_node *n, const char *name)
{
	const struct dt_derived *row = c->clause->derived;

	dt_err(c, D_VAR_UNSUP, n->loc,
	       "%s is not available in %s:::%s: the thread that it is about is not running yet",
	       name, row->prov, row->name);
	return dt_poison(c, n);
}

struct dt_node *dt_derived_builtin(struct dt_compile *c, struct dt_node *n,
				   const struct dt_builtin *b, u64 argn)
{
	const struct dt_derived *row = c->clause ? c->clause->derived : NULL;
	struct dt_type *t = dt_type_text(c, b->type);
	struct dt_node *e;
	size_t i;

	if (!row)
		return NULL;
	if (b->id == DT_B_ARG) {
		e = derived_raw(c, (u32)argn, n->loc);
		return e ? e : dt_int_node(c, 0, t, n->loc);
	}
	if (!row->task)
		return NULL;
	if (b->id == DT_B_CURTHREAD)
		return dt_derived_expr(c, row->task, n->loc);
	for (i = 0; i < DT_NELEM(of_task); i++) {
		if (of_task[i].id != b->id)
			continue;
		if (of_task[i].text && (b->id != DT_B_EXECARGS || !c->expanding)) {
			e = dt_derived_expr(c, of_task[i].text, n->loc);
			dt_convert(c, &e, t);
			return e;
		}
		/* libraries look at the running thread's memory when it is the same as the other's */
		return c->expanding ? NULL : not_of_task(c, n, b->name);
	}
	return NULL;
}

bool dt_derived_call(struct dt_compile *c, const struct dt_node *n)
{
	static const char *const of_running[] = { "copyin",  "copyinstr",  "copyinto",
						  "copyout", "copyoutstr", "jstack",
						  "raise",   "stop",       "ustack" };
	const struct dt_derived *row = c->clause ? c->clause->derived : NULL;
	size_t i;

	for (i = 0; row && row->task && !c->expanding && i < DT_NELEM(of_running); i++)
		if (strcmp(of_running[i], n->str) == 0) {
			dt_err(c, D_VAR_UNSUP, n->loc,
			       "%s( ) is not available in %s:::%s: the thread that it is about is not running yet",
			       n->str, row->prov, row->name);
			return false;
		}
	return true;
}

/* ---- copies ----------------------------------------------------------------------------------- */

static struct dt_stmt *clone_stmts(struct dt_compile *c, const struct dt_stmt *s)
{
	struct dt_stmt *first = NULL, **tail = &first;

	for (; s; s = s->next) {
		struct dt_stmt *copy = dt_arena_new(c->a, struct dt_stmt);

		*copy = *s;
		copy->next = NULL;
		copy->expr = s->expr ? dt_clone(c, s->expr, NULL, 0, NULL) : NULL;
		copy->then_ = clone_stmts(c, s->then_);
		copy->else_ = clone_stmts(c, s->else_);
		*tail = copy;
		tail = &copy->next;
	}
	return first;
}

/* A copy for the probes of one kind, put behind `after`. */
static struct dt_item *add_copy(struct dt_compile *c, struct dt_item *after,
				const struct dt_clause *cl)
{
	struct dt_item *it = dt_arena_new(c->a, struct dt_item);

	it->kind = I_CLAUSE;
	it->clause = dt_arena_new(c->a, struct dt_clause);
	*it->clause = *cl;
	it->clause->copy = true;
	it->clause->pred = cl->pred ? dt_clone(c, cl->pred, NULL, 0, NULL) : NULL;
	it->clause->stmts = clone_stmts(c, cl->stmts);
	it->next = after->next;
	after->next = it;
	return it;
}

/* How many descriptions before this one have matched the same probe: they are in id order. */
static u32 round_of(const struct dt_clause *cl, u32 i)
{
	u32 n = 0;

	while (n < i && cl->matched[i - n - 1] == cl->matched[i])
		n++;
	return n;
}

/* The clause gets those of the matched probes that are of a kind with number i, and of its round. */
static void take(struct dt_compile *c, struct dt_clause *cl, u32 i)
{
	u32 k, round = round_of(cl, i);

	cl->derived = cl->matched[i]->derived;
	if (cl->derived || round) /* what comes late are events as they are */
		memset(&cl->late, 0, sizeof(cl->late));
	memset(&cl->probes, 0, sizeof(cl->probes));
	for (k = 0; k < cl->nmatched; k++)
		if (cl->matched[k]->derived == cl->derived && round_of(cl, k) == round)
			*dt_vec_push(c->a, &cl->probes) = cl->matched[k];
}

static bool seen_before(const struct dt_clause *cl, u32 i)
{
	u32 j, round = round_of(cl, i);

	for (j = 0; j < i; j++)
		if (cl->matched[j]->derived == cl->matched[i]->derived && round_of(cl, j) == round)
			return true;
	return false;
}

/* The item's clause becomes one for each kind; how many, and the last item of them. */
static u32 split_kinds(struct dt_compile *c, struct dt_item *it, struct dt_item **end)
{
	struct dt_clause *cl = it->clause, whole;
	struct dt_item *last = it;
	u32 i, n = 1;

	*end = it;
	dt_sort_matches(cl);
	cl->matched = cl->probes.v;
	cl->nmatched = cl->probes.n;
	if (!cl->nmatched)
		return 1;
	whole = *cl;
	for (i = 1; i < whole.nmatched; i++) {
		if (seen_before(&whole, i))
			continue;
		last = add_copy(c, last, &whole);
		take(c, last->clause, i);
		n++;
	}
	take(c, cl, 0);
	*end = last;
	return n;
}

static bool uses_args(const struct dt_node *n)
{
	u32 i;

	if (!n)
		return false;
	if (n->op == N_SUBSCRIPT && n->l->op == N_IDENT && n->l->val == DT_GLOBAL &&
	    strcmp(n->l->str, "args") == 0)
		return true;
	for (i = 0; i < n->nargs; i++)
		if (uses_args(n->args[i]))
			return true;
	return uses_args(n->l) || uses_args(n->r) || uses_args(n->c);
}

static bool stmts_use_args(const struct dt_stmt *s)
{
	for (; s; s = s->next)
		if (uses_args(s->expr) || stmts_use_args(s->then_) || stmts_use_args(s->else_))
			return true;
	return false;
}

static const struct dt_upto *upto(const struct dt_clause *whole, u32 i)
{
	static const struct dt_upto none = { 0 };

	return i ? &whole->upto.v[i - 1] : &none;
}

static bool desc_is_idle(const struct dt_clause *whole, u32 i)
{
	const struct dt_upto *from = upto(whole, i), *to = upto(whole, i + 1);

	return from->probes == to->probes && from->late == to->late;
}

/* The clause is left with what its description number i matches. */
static void take_desc(struct dt_compile *c, struct dt_clause *cl, const struct dt_clause *whole, u32 i)
{
	const struct dt_upto *from = upto(whole, i), *to = upto(whole, i + 1);
	u32 k;

	memset(&cl->probes, 0, sizeof(cl->probes));
	memset(&cl->late, 0, sizeof(cl->late));
	for (k = from->probes; k < to->probes; k++)
		*dt_vec_push(c->a, &cl->probes) = whole->probes.v[k];
	for (k = from->late; k < to->late; k++)
		*dt_vec_push(c->a, &cl->late) = whole->late.v[k];
}

/* args[] are something else for each description: each gets a clause of its own. */
static u32 split_descs(struct dt_compile *c, struct dt_item *it)
{
	const struct dt_clause whole = *it->clause;
	struct dt_item *end = it;
	u32 i, n = 0;

	for (i = 0; i < whole.upto.n; i++) {
		if (desc_is_idle(&whole, i))
			continue;
		it = n ? add_copy(c, end, &whole) : it;
		take_desc(c, it->clause, &whole, i);
		n += split_kinds(c, it, &end);
	}
	return n;
}

u32 dt_split_clause(struct dt_compile *c, struct dt_item *it)
{
	const struct dt_clause *cl = it->clause;
	struct dt_item *end;

	if (cl->upto.n > 1 && (uses_args(cl->pred) || stmts_use_args(cl->stmts)) &&
	    dt_args_differ(c, cl))
		return split_descs(c, it);
	return split_kinds(c, it, &end);
}

/* ---- what an earlier event has noted ------------------------------------------------------------ */

struct noting {
	struct dt_compile *c;
	struct dt_clause *cl;
	const struct dt_pdesc *desc;
	struct dt_loc loc;
};

static int note_probe(struct dt_probe *p, void *arg)
{
	struct noting *n = arg;
	struct dt_clause *cl = n->cl;

	*dt_vec_push(n->c->a, &cl->probes) = p;
	*dt_vec_push(n->c->a, &cl->descs) = *n->desc;
	*dt_vec_push(n->c->a, &cl->desclocs) = n->loc;
	cl->derived = p->derived;
	/* one probe of an event stands for the event */
	return p->derived ? 1 : 0;
}

static void note_probes(struct noting *n, const struct dt_note *note)
{
	struct dt_clause *cl = n->cl;

	for (n->desc = note->at; n->desc->prov; n->desc++)
		if (dt_probes_match(n->c->env->probes, n->desc, note_probe, n) < 0)
			return;
	dt_sort_matches(cl);
	cl->matched = cl->probes.v;
	cl->nmatched = cl->probes.n;
}

/* A clause of our own in front of the program, once in a compilation for each note. */
static void add_note(struct dt_compile *c, const struct dt_derived *row, const struct dt_note *note,
		     struct dt_loc loc)
{
	struct dt_item *it = dt_arena_new(c->a, struct dt_item);
	struct dt_clause *cl = dt_arena_new(c->a, struct dt_clause), *was = c->clause;
	struct dt_stmt *s = dt_arena_new(c->a, struct dt_stmt);
	struct noting n = { .c = c, .cl = cl, .loc = loc };

	note_probes(&n, note);
	if (!cl->nmatched && note->optional)
		return;
	if (!cl->nmatched) {
		dt_err(c, D_PDESC_ZERO, loc, "%s:::%s needs %s:%s:%s:%s, which is not here",
		       row->prov, row->name, note->at->prov, note->at->mod, note->at->func,
		       note->at->name);
		return;
	}
	cl->loc = s->loc = loc;
	cl->stmts = s;
	c->clause = cl;
	cl->pred = note->when ? dt_derived_expr(c, note->when, loc) : NULL;
	s->kind = S_EXPR;
	s->expr = dt_derived_expr(c, note->text, loc);
	c->clause = was;
	it->kind = I_CLAUSE;
	it->clause = cl;
	it->next = c->items;
	c->p->items = c->items = it;
}

static bool is_noted(const struct dt_compile *c, const struct dt_note *note)
{
	for (u32 i = 0; i < c->noted.n; i++)
		if (c->noted.v[i] == note)
			return true;
	return false;
}

void dt_note_clause(struct dt_compile *c, const struct dt_clause *cl)
{
	const struct dt_derived *row = cl->derived;

	for (u32 i = 0; row && row->notes && row->notes[i]; i++) {
		if (is_noted(c, row->notes[i]))
			continue;
		*dt_vec_push(c->a, &c->noted) = row->notes[i];
		add_note(c, row, row->notes[i], cl->loc);
	}
}

/* The event is the probe that the clause wants. */
void dt_guard_clause(struct dt_compile *c, struct dt_clause *cl)
{
	const struct dt_derived *row = cl->derived;
	struct dt_node *guard, *both;

	if (!row)
		return;
	if (row->task)
		cl->task = dt_derived_expr(c, row->task, cl->loc);
	if (!row->when)
		return;
	guard = dt_derived_expr(c, row->when, cl->loc);
	if (cl->pred && !dt_is_poison(guard)) {
		both = dt_node_new(c, N_LAND, cl->pred->loc);
		both->l = guard;
		both->r = cl->pred;
		both->type = dt_basic(c, DT_T_INT);
		both->checked = true;
		guard = both;
	}
	cl->pred = guard;
}
