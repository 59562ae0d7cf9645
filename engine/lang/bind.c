/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bind.c - what names mean: probe descriptions to probes, identifiers to variables, built-ins,
 * functions.
 *
 * A program's new names are looked up before the handle's and join them only when it compiles.
 */
#include <stdlib.h>
#include <string.h>

#include "lang/compile.h"

/* ---- tables -------------------------------------------------------------------------------- */

const struct dt_builtin dt_builtins[] = {
	{ "", DT_B_NONE, "void", 0, 0 },
#define BUILTIN(name, id, type, bound, flags) { name, DT_B_##id, type, bound, flags },
#include "lang/builtins.def"
#undef BUILTIN
};

const struct dt_subr dt_subrs[] = {
	{ "", DT_S_NONE, "void", "", 0, 0 },
#define SUBR(name, id, type, args, minargs, flags) { name, DT_S_##id, type, args, minargs, flags },
#include "lang/subrs.def"
#undef SUBR
};

const struct dt_action dt_actions[] = {
	{ "", DT_A_NONE, DTRACEACT_NONE, 0 },
#define ACTION(name, id, kind, flags) { name, DT_A_##id, kind, flags },
#include "lang/actions.def"
#undef ACTION
};

static bool same(const char *a, const char *b)
{
	return a[0] == b[0] && strcmp(a, b) == 0;
}

const struct dt_builtin *dt_bind_builtin(const char *name, u64 *argn)
{
	int i;

	*argn = 0;
	if (strncmp(name, "arg", 3) == 0 && name[3] >= '0' && name[3] <= '9' && !name[4]) {
		*argn = (u64)(name[3] - '0');
		return &dt_builtins[DT_B_ARG];
	}
	for (i = 1; i < DT_B_N; i++)
		if (same(dt_builtins[i].name, name))
			return &dt_builtins[i];
	return NULL;
}

const struct dt_subr *dt_bind_subr(const char *name)
{
	int i;

	for (i = 1; i < DT_S_N; i++)
		if (same(dt_subrs[i].name, name))
			return &dt_subrs[i];
	return NULL;
}

const struct dt_action *dt_bind_action(const char *name)
{
	int i;

	for (i = 1; i < DT_A_N; i++)
		if (same(dt_actions[i].name, name))
			return &dt_actions[i];
	return NULL;
}

/* ---- the handle's names -------------------------------------------------------------------- */

void dt_symtab_init(struct dt_symtab *st)
{
	memset(st, 0, sizeof(*st));
	dt_arena_init(&st->arena);
	st->ninlines = dt_nlibraries * DT_LIB_INLINES;
}

void dt_symtab_fini(struct dt_symtab *st)
{
	dt_htab_fini(&st->globals);
	dt_htab_fini(&st->self);
	dt_htab_fini(&st->aggs);
	dt_htab_fini(&st->inlines);
	dt_htab_fini(&st->bindings);
	dt_htab_fini(&st->attrs);
	dt_htab_fini(&st->userlibs);
	dt_arena_fini(&st->arena);
	memset(st, 0, sizeof(*st));
}

int dt_userlib_add(struct dt_symtab *st, const char *name)
{
	const char *kept = dt_arena_strdup(&st->arena, name);

	return kept ? dt_htab_put(&st->userlibs, kept, st) : -1;
}

/* ---- variables ----------------------------------------------------------------------------- */

static struct dt_var *find_var(struct dt_compile *c, enum dt_scope scope, const char *name)
{
	struct dt_var *v;

	switch (scope) {
	case DT_THIS: return dt_htab_get(&c->names.this_, name);
	case DT_SELF:
		v = dt_htab_get(&c->names.self, name);
		return v ? v : dt_htab_get(&c->st->self, name);
	default:
		v = dt_htab_get(&c->names.globals, name);
		return v ? v : dt_htab_get(&c->st->globals, name);
	}
}

static struct dt_var *make_var(struct dt_compile *c, enum dt_scope scope, const char *name,
			       struct dt_loc loc)
{
	struct dt_var *v = dt_arena_new(&c->st->arena, struct dt_var);

	v->name = dt_arena_strdup(&c->st->arena, name);
	v->scope = scope;
	v->loc = loc;
	v->map = -1;
	if (scope == DT_THIS) {
		v->id = c->st->thisvars.n + c->names.thisvars.n;
		*dt_vec_push(c->a, &c->names.thisvars) = v;
	} else {
		v->id = c->st->vars.n + c->names.vars.n;
		*dt_vec_push(c->a, &c->names.vars) = v;
	}
	dt_put(c,
	       scope == DT_THIS ? &c->names.this_ :
	       scope == DT_SELF ? &c->names.self :
				  &c->names.globals,
	       v->name, v);
	return v;
}

struct dt_var *dt_bind_var(struct dt_compile *c, enum dt_scope scope, const char *name,
			   struct dt_loc loc, bool create)
{
	struct dt_var *v = find_var(c, scope, name);

	return v || !create ? v : make_var(c, scope, name, loc);
}

struct dt_aggvar *dt_bind_agg(struct dt_compile *c, const char *name, struct dt_loc loc, bool create)
{
	struct dt_aggvar *a = dt_htab_get(&c->names.aggs, name);

	if (!a)
		a = dt_htab_get(&c->st->aggs, name);
	if (a || !create)
		return a;
	a = dt_arena_new(&c->st->arena, struct dt_aggvar);
	a->name = dt_arena_strdup(&c->st->arena, name);
	a->loc = loc;
	*dt_vec_push(c->a, &c->names.aggvars) = a;
	a->varid = (s64)c->st->aggvars.n + c->names.aggvars.n;
	dt_put(c, &c->names.aggs, a->name, a);
	return a;
}

struct dt_inline *dt_bind_inline(struct dt_compile *c, const char *name)
{
	struct dt_inline *in = dt_htab_get(&c->names.inlines, name);

	if (!in)
		in = dt_htab_get(&c->st->inlines, name);
	if (!in && dt_lib_need(c, name))
		in = dt_htab_get(&c->st->inlines, name);
	while (in && in->seq >= c->inline_limit)
		in = in->hides;
	return in;
}

bool dt_declared_enumerator(struct dt_compile *c, const char *name)
{
	return dt_htab_get(&c->names.enums, name) || dt_htab_get(&c->ts->enumerators, name);
}

bool dt_bind_enumerator(struct dt_compile *c, const char *name, s64 *val, struct dt_type **type)
{
	const struct dt_enumconst *k = dt_htab_get(&c->names.enums, name);

	if (!k)
		return dt_types_enumerator(c->ts, name, val, type);
	*val = k->val;
	*type = k->type;
	return true;
}

/* ---- probes -------------------------------------------------------------------------------- */

struct matching {
	struct dt_compile *c;
	struct dt_clause *cl;
	const struct dt_pdesc *desc;
};

static int add_probe(struct dt_probe *p, void *arg)
{
	struct matching *m = arg;

	*dt_vec_push(m->c->a, &m->cl->probes) = p;
	return 0;
}

static int by_id(const void *a, const void *b)
{
	const struct dt_probe *const *p = a, *const *q = b;

	return ((*p)->id > (*q)->id) - ((*p)->id < (*q)->id);
}

static void no_match(struct dt_compile *c, const struct dt_pdesc *d, struct dt_loc loc)
{
	if (d->id)
		dt_err(c, D_PDESC_ZERO, loc, "probe identifier %u does not match any probes", d->id);
	else
		dt_err(c, D_PDESC_ZERO, loc,
		       "probe description %s:%s:%s:%s does not match any probes", d->prov, d->mod,
		       d->func, d->name);
}

static int add_late(struct dt_attach *at, void *arg)
{
	struct matching *m = arg;
	struct dt_late *late = dt_vec_push(m->c->a, &m->cl->late);

	late->desc = *m->desc;
	late->at = at;
	return 0;
}

static int match_desc(struct dt_compile *c, const struct dt_pdesc *d, struct matching *m)
{
	m->desc = d;
	c->env->probes->tag = D_NONE;
	if (dt_probes_match(c->env->probes, d, add_probe, m) < 0)
		return -1;
	return dt_probes_late(c->env->probes, d, add_late, m);
}

static void match(struct dt_compile *c, struct dt_clause *cl, const struct dt_pdesc *d,
		  struct dt_loc loc)
{
	struct matching m = { .c = c, .cl = cl };
	u32 before = cl->probes.n;
	struct dt_probe *p;

	if (d->id) {
		p = dt_probes_byid(c->env->probes, d->id);
		if (p)
			add_probe(p, &m);
	} else if (match_desc(c, d, &m) < 0) {
		dt_err(c, c->env->probes->tag ? c->env->probes->tag : D_PDESC_INVAL, loc,
		       "probe description %s:%s:%s:%s: %s", d->prov, d->mod, d->func, d->name,
		       c->env->probes->err ? c->env->probes->err->msg : "provider failed");
		return;
	}
	if (cl->probes.n == before && !(c->env->cflags & DTRACE_C_ZDEFS))
		no_match(c, d, loc);
}

void dt_bind_clause(struct dt_compile *c, struct dt_clause *cl)
{
	u32 i;

	for (i = 0; i < cl->descs.n; i++) {
		match(c, cl, &cl->descs.v[i], cl->desclocs.v[i]);
		*dt_vec_push(c->a, &cl->upto) = (struct dt_upto){ cl->probes.n, cl->late.n };
	}
	c->p->nmatches += cl->probes.n;
}

void dt_sort_matches(struct dt_clause *cl)
{
	if (cl->probes.n > 1)
		qsort(cl->probes.v, cl->probes.n, sizeof(*cl->probes.v), by_id);
}

/* ---- args[] -------------------------------------------------------------------------------- */

static bool same_text(const char *a, const char *b)
{
	return a == b || (a && b && strcmp(a, b) == 0);
}

/* What clauses see of them is the same.  Probes of one kind must have them in the same place, too. */
static bool same_args(const struct dt_probe_args *a, const struct dt_probe_args *b, bool one_kind)
{
	int i;

	if (a->argc != b->argc)
		return false;
	for (i = 0; i < a->argc; i++)
		if (a->userland[i] != b->userland[i] || !same_text(a->type[i], b->type[i]) ||
		    (one_kind && (a->from[i] != b->from[i] || !same_text(a->native[i], b->native[i]))))
			return false;
	return true;
}

static bool known_args(struct dt_compile *c, const struct dt_probe *p, struct dt_probe_args *out)
{
	memset(out, 0, sizeof(*out));
	return dt_declared_args(c, p, out) || (!dt_probe_args(c->env->probes, p, out) && out->argc);
}

bool dt_args_differ(struct dt_compile *c, const struct dt_clause *cl)
{
	struct dt_probe_args first, other;
	const struct dt_probe *p0 = NULL, *p;
	u32 i;

	for (i = 0; i < cl->upto.n; i++) {
		u32 from = i ? cl->upto.v[i - 1].probes : 0;

		if (from == cl->upto.v[i].probes)
			continue;
		p = cl->probes.v[from];
		if (!known_args(c, p, &other))
			other.argc = -1;
		if (!p0) {
			p0 = p;
			first = other;
		} else if (!same_args(&first, &other, p->derived == p0->derived)) {
			return true;
		}
	}
	return false;
}

static bool ask_args(struct dt_compile *c, struct dt_loc loc)
{
	const struct dt_clause *cl = c->clause;
	struct dt_probe_args first, other;
	u32 i;

	for (i = 0; cl && i < cl->nmatched; i++) {
		const struct dt_probe *p = cl->matched[i], *p0 = cl->matched[0];

		if (!known_args(c, p, &other)) {
			dt_err(c, D_ARGS_NONE, loc,
			       "args[ ] may not be referenced because %s:%s:%s:%s has no arguments of known types",
			       p->provider, p->mod, p->func, p->name);
			return false;
		}
		if (i == 0)
			first = other;
		if (!same_args(&first, &other, p->derived == p0->derived)) {
			dt_err(c, D_ARGS_MULTI, loc,
			       "args[ ] may not be referenced because the probe description matches probes with different arguments: %s:%s and %s:%s",
			       p0->func, p0->name, p->func, p->name);
			return false;
		}
		if (p == cl->probes.v[0])
			c->args = other;
	}
	if (i)
		return true;
	dt_err(c, D_ARGS_NONE, loc, "args[ ] may not be referenced because no probe is matched here");
	return false;
}

bool dt_bind_args(struct dt_compile *c, struct dt_loc loc)
{
	if (!c->args_state)
		c->args_state = ask_args(c, loc) ? 1 : -1;
	return c->args_state > 0;
}

/* ---- all went well: names become the handle's ---------------------------------------------- */

#define for_each_ent(e, t) \
	for ((e) = (t)->ents; (e) && (e) < (t)->ents + (t)->cap; (e)++) \
		if ((e)->key)

static void publish_types(struct dt_compile *c)
{
	const struct dt_htab_ent *e;
	const struct dt_enumconst *k;
	struct dt_type *fwd;

	for_each_ent(e, &c->names.tags)
	{
		fwd = dt_htab_get(&c->ts->tags, e->key);
		if (fwd && fwd->kind == DT_FWD && !fwd->ref && fwd != e->val)
			fwd->ref = e->val;
		dt_types_add_tag(c->ts, e->key, e->val);
	}
	for_each_ent(e, &c->names.typedefs) dt_types_add_typedef(c->ts, e->key, e->val);
	for_each_ent(e, &c->names.enums)
	{
		k = e->val;
		dt_types_add_enumerator(c->ts, e->key, k->val, k->type);
	}
}

static void publish_inlines(struct dt_compile *c)
{
	const struct dt_htab_ent *e;
	struct dt_inline *in;
	struct dt_xlator *x, *copy;

	for_each_ent(e, &c->names.inlines)
	{
		in = dt_inline_publish(c, e->val);
		dt_put(c, &c->st->inlines, in->name, in);
	}
	if (!c->p->library)
		c->st->ninlines = c->inline_seq;
	for (x = c->names.xlators; x; x = x->next) {
		copy = dt_xlator_publish(c, x);
		copy->next = c->st->xlators;
		c->st->xlators = copy;
	}
}

static void publish_vars(struct dt_compile *c)
{
	struct dt_var *v;
	struct dt_aggvar *a;
	u32 i;

	for (i = 0; i < c->names.vars.n; i++) {
		v = c->names.vars.v[i];
		v->loc.src = NULL;
		*dt_vec_push(&c->st->arena, &c->st->vars) = v;
		dt_put(c, v->scope == DT_SELF ? &c->st->self : &c->st->globals, v->name, v);
	}
	for (i = 0; i < c->names.thisvars.n; i++)
		*dt_vec_push(&c->st->arena, &c->st->thisvars) = c->names.thisvars.v[i];
	for (i = 0; i < c->names.aggvars.n; i++) {
		a = c->names.aggvars.v[i];
		a->loc.src = NULL;
		*dt_vec_push(&c->st->arena, &c->st->aggvars) = a;
		dt_put(c, &c->st->aggs, a->name, a);
	}
}

/* What was said about versions and stability. */
static void publish_pragmas(struct dt_compile *c)
{
	const struct dt_htab_ent *e;
	dtrace_attribute_t *attr;

	for_each_ent(e, &c->names.bindings)
		dt_put(c, &c->st->bindings, dt_arena_strdup(&c->st->arena, e->key), e->val);
	for_each_ent(e, &c->names.attrs)
	{
		attr = dt_arena_new(&c->st->arena, dtrace_attribute_t);
		*attr = *(const dtrace_attribute_t *)e->val;
		dt_put(c, &c->st->attrs, dt_arena_strdup(&c->st->arena, e->key), attr);
	}
}

void dt_names_publish(struct dt_compile *c)
{
	publish_types(c);
	publish_inlines(c);
	publish_vars(c);
	publish_pragmas(c);
	dt_providers_publish(c);
}

void dt_names_fini(struct dt_newnames *n)
{
	dt_htab_fini(&n->tags);
	dt_htab_fini(&n->typedefs);
	dt_htab_fini(&n->enums);
	dt_htab_fini(&n->globals);
	dt_htab_fini(&n->self);
	dt_htab_fini(&n->this_);
	dt_htab_fini(&n->aggs);
	dt_htab_fini(&n->inlines);
	dt_htab_fini(&n->mentioned);
	dt_htab_fini(&n->bindings);
	dt_htab_fini(&n->attrs);
}
