/* SPDX-License-Identifier: Apache-2.0 */
/*
 * xlate.c - inlines and translators, by substitution: the tree as it was parsed is copied to the
 * place of use, names replaced by the arguments, and checked there.
 *
 * An argument with calls or effects is put into a this-> variable of its own first, so that it
 * happens once.
 */
#include <string.h>

#include "lang/compile.h"

#define MAX_EXPANDING 64

/* ---- copying trees ------------------------------------------------------------------------- */

struct cloner {
	struct dt_compile *c;
	struct dt_arena *a;
	const struct dt_subst *subst;
	u32 nsubst;
	const struct dt_loc *loc; /* NULL: keep */
	bool strings;             /* copy them too: the copy outlives the program */
};

static const struct dt_subst *find_subst(const struct cloner *k, const struct dt_node *n)
{
	u32 i;

	if (n->op != N_IDENT || n->checked || n->val != DT_GLOBAL)
		return NULL;
	for (i = 0; i < k->nsubst; i++)
		if (strcmp(k->subst[i].name, n->str) == 0)
			return &k->subst[i];
	return NULL;
}

static struct dt_node *clone(const struct cloner *k, const struct dt_node *n)
{
	const struct dt_subst *s;
	struct cloner plain;
	struct dt_node *m;
	u32 i;

	if (!n)
		return NULL;
	s = find_subst(k, n);
	if (s) {
		plain = *k;
		plain.nsubst = 0;
		return clone(&plain, s->by);
	}
	m = dt_arena_new(k->a, struct dt_node);
	k->c->nnodes++;
	*m = *n;
	if (k->loc)
		m->loc = *k->loc;
	if (k->strings && n->str)
		m->str = dt_arena_strdup(k->a, n->str);
	m->l = clone(k, n->l);
	m->r = clone(k, n->r);
	m->c = clone(k, n->c);
	m->args = n->nargs ? dt_arena_alloc(k->a, n->nargs * sizeof(*m->args)) : NULL;
	for (i = 0; i < n->nargs; i++)
		m->args[i] = clone(k, n->args[i]);
	return m;
}

struct dt_node *dt_clone(struct dt_compile *c, const struct dt_node *n, const struct dt_subst *s,
			 u32 ns, const struct dt_loc *loc)
{
	const struct cloner k = { .c = c, .a = c->a, .subst = s, .nsubst = ns, .loc = loc };

	return clone(&k, n);
}

/* A copy for the handle. */
static struct dt_node *keep(struct dt_compile *c, const struct dt_node *n)
{
	static const struct dt_loc nowhere = { 0 };
	const struct cloner k = { .c = c, .a = &c->st->arena, .loc = &nowhere, .strings = true };

	return clone(&k, n);
}

/* ---- arguments ----------------------------------------------------------------------------- */

/* May the expression be evaluated several times? */
static bool is_plain(const struct dt_node *n)
{
	u32 i;

	if (!n)
		return true;
	if (n->op == N_CALL || n->op == N_ASSIGN || n->op == N_OPASSIGN ||
	    (n->op >= N_PREINC && n->op <= N_POSTDEC))
		return false;
	for (i = 0; i < n->nargs; i++)
		if (!is_plain(n->args[i]))
			return false;
	return is_plain(n->l) && is_plain(n->r) && is_plain(n->c);
}

/* What replaces a parameter; *before gets the assignment that has to come first. */
static struct dt_node *actual(struct dt_compile *c, struct dt_node *arg, struct dt_type *type,
			      struct dt_node **before)
{
	struct dt_node *a, *seq, *var;

	if (is_plain(arg))
		return arg;
	var = dt_var_node(c, dt_temp_var(c, type), arg->loc);
	a = dt_node_new(c, N_ASSIGN, arg->loc);
	a->l = var;
	a->r = arg;
	a->type = type;
	a->checked = true;
	if (*before) {
		seq = dt_node_new(c, N_COMMA, arg->loc);
		seq->l = *before;
		seq->r = a;
		seq->type = type;
		seq->checked = true;
		a = seq;
	}
	*before = a;
	return var;
}

static struct dt_node *after(struct dt_compile *c, struct dt_node *before, struct dt_node *n)
{
	struct dt_node *seq;

	if (!before || dt_is_poison(n))
		return n;
	if (n->op == N_XLATE) { /* no value yet: its members are asked for */
		n->l = after(c, before, n->l);
		return n;
	}
	seq = dt_node_new(c, N_COMMA, n->loc);
	seq->l = before;
	seq->r = n;
	seq->type = n->type;
	seq->strbound = n->strbound;
	seq->checked = true;
	return seq;
}

/* A stand-in for a parameter while a declaration is checked; nobody allocates it. */
static struct dt_node *placeholder(struct dt_compile *c, struct dt_type *type, struct dt_loc loc)
{
	struct dt_var *v = dt_arena_new(c->a, struct dt_var);

	v->name = "?";
	v->scope = DT_THIS;
	v->type = type;
	return dt_var_node(c, v, loc);
}

/* ---- inlines ------------------------------------------------------------------------------- */

static struct dt_node *inline_body(struct dt_compile *c, struct dt_inline *in,
				   const struct dt_subst *s, u32 ns, const struct dt_loc *loc)
{
	struct dt_node *body = dt_clone(c, in->body, s, ns, loc);
	u32 limit = c->inline_limit;

	c->inline_limit = in->seq;
	c->expanding++;
	body = dt_check_expr(c, body);
	c->expanding--;
	c->inline_limit = limit;
	if (dt_is_poison(body) || body->op == N_XLATE)
		return body;
	if (!dt_convert(c, &body, in->type)) {
		dt_err(c, D_OP_INCOMPAT, body->loc,
		       "inline %s definition uses incompatible types: \"%s\" = \"%s\"", in->name,
		       dt_tstr(c, in->type), dt_tstr(c, body->type));
		return dt_poison(c, body);
	}
	return body;
}

struct dt_node *dt_expand_inline(struct dt_compile *c, struct dt_inline *in, struct dt_node *use,
				 struct dt_node **args, u32 nargs)
{
	struct dt_subst *s = dt_arena_alloc(c->a, nargs * sizeof(*s));
	struct dt_node *before = NULL, *body;
	struct dt_loc loc = use->loc;
	u32 i;

	if (in->bad)
		return dt_poison(c, use);
	if (in->array && !args) {
		dt_err(c, D_ARR_BADREF, loc, "inline %s[ ] needs %u argument%s", in->name,
		       in->nparams, in->nparams == 1 ? "" : "s");
		return dt_poison(c, use);
	}
	if (nargs != in->nparams) {
		dt_err(c, D_PROTO_LEN, loc,
		       "%s[ ] prototype mismatch: %u argument%s passed, %u expected", in->name,
		       nargs, nargs == 1 ? "" : "s", in->nparams);
		return dt_poison(c, use);
	}
	for (i = 0; i < nargs; i++) {
		if (!dt_convert(c, &args[i], in->ptypes[i])) {
			dt_err(c, D_PROTO_ARG, args[i]->loc,
			       "%s[ ] argument #%u is incompatible with prototype: prototype: %s, argument: %s",
			       in->name, i + 1, dt_tstr(c, in->ptypes[i]), dt_tstr(c, args[i]->type));
			return dt_poison(c, use);
		}
		s[i].name = in->params[i];
		s[i].by = actual(c, args[i], in->ptypes[i], &before);
	}
	body = inline_body(c, in, s, nargs, &loc);
	return after(c, before, body);
}

void dt_check_inline(struct dt_compile *c, struct dt_inline *in)
{
	struct dt_subst *s = dt_arena_alloc(c->a, in->nparams * sizeof(*s));
	u32 i;

	for (i = 0; i < in->nparams; i++) {
		s[i].name = in->params[i] ? in->params[i] : "";
		s[i].by = placeholder(c, in->ptypes[i], in->loc);
	}
	in->bad = dt_is_poison(inline_body(c, in, s, in->nparams, NULL));
}

struct dt_inline *dt_inline_publish(struct dt_compile *c, const struct dt_inline *in)
{
	struct dt_inline *copy = dt_arena_new(&c->st->arena, struct dt_inline);
	u32 i;

	*copy = *in;
	copy->name = dt_arena_strdup(&c->st->arena, in->name);
	memset(&copy->loc, 0, sizeof(copy->loc));
	copy->params = dt_arena_alloc(&c->st->arena, in->nparams * sizeof(*copy->params));
	copy->ptypes = dt_arena_alloc(&c->st->arena, in->nparams * sizeof(*copy->ptypes));
	for (i = 0; i < in->nparams; i++) {
		copy->params[i] = dt_arena_strdup(&c->st->arena, in->params[i]);
		copy->ptypes[i] = in->ptypes[i];
	}
	copy->body = keep(c, in->body);
	return copy;
}

/* ---- translators --------------------------------------------------------------------------- */

static struct dt_xlator *search(struct dt_xlator *x, const struct dt_type *out,
				const struct dt_type *in, bool loose)
{
	for (; x; x = x->next)
		if (dt_type_same(x->out, out) &&
		    (dt_type_same(x->in, in) ||
		     (loose && dt_type_is_int(x->in) && dt_type_is_int(in))))
			return x;
	return NULL;
}

static struct dt_xlator *find_xlator(struct dt_compile *c, const struct dt_type *out,
				     const struct dt_type *in)
{
	struct dt_xlator *x = search(c->names.xlators, out, in, false);

	x = x ? x : search(c->st->xlators, out, in, false);
	x = x ? x : search(c->names.xlators, out, in, true);
	return x ? x : search(c->st->xlators, out, in, true);
}

/* The member's expression with the type that the output struct declares. */
static struct dt_node *member_value(struct dt_compile *c, const struct dt_xlator *x,
				    const struct dt_xmember *m, const struct dt_subst *s,
				    const struct dt_loc *loc)
{
	struct dt_node *e = dt_check_expr(c, dt_clone(c, m->expr, s, 1, loc));
	const struct dt_member *to;
	u64 bit_off;

	to = dt_type_member(dt_type_resolve(x->out), m->name, &bit_off);
	if (dt_is_poison(e) || !to || e->op == N_XLATE)
		return e;
	if (dt_type_is_array(to->type) && dt_type_is_stringlike(to->type) && dt_stringable(e))
		return dt_to_string(c, e);
	if (dt_convert(c, &e, to->type))
		return e;
	dt_err(c, D_XLATE_INCOMPAT, e->loc,
	       "translator member %s definition uses incompatible types: \"%s\" = \"%s\"", m->name,
	       dt_tstr(c, to->type), dt_tstr(c, e->type));
	return dt_poison(c, e);
}

static const struct dt_type *output_of(const struct dt_node *x)
{
	const struct dt_type *t = dt_type_resolve(x->dtype);

	return t->kind == DT_POINTER ? dt_type_resolve(t->ref) : t;
}

static const struct dt_xmember *find_member(const struct dt_xlator *x, const char *name)
{
	u32 i;

	for (i = 0; i < x->members.n; i++)
		if (strcmp(x->members.v[i].name, name) == 0)
			return &x->members.v[i];
	return NULL;
}

/* A library may translate to a struct that another one has. */
static bool need_xlator(struct dt_compile *c, const struct dt_node *x)
{
	const char *out = dt_tstr(c, x->dtype);
	int len = (int)strcspn(out, " *");

	return dt_lib_need(c, dt_arena_printf(c->a, "%.*s < %s", len, out, dt_tstr(c, x->l->type)));
}

/* From the libraries, perhaps. */
static struct dt_xlator *xlator_for(struct dt_compile *c, const struct dt_node *x,
				    const struct dt_type *out)
{
	struct dt_xlator *xl = find_xlator(c, out, x->l->type);

	return xl || !need_xlator(c, x) ? xl : find_xlator(c, out, x->l->type);
}

bool dt_has_xlator(struct dt_compile *c, const struct dt_node *x)
{
	const struct dt_type *out = output_of(x);

	return out && dt_type_is_sou(out) && xlator_for(c, x, out);
}

struct dt_xlator *dt_find_xlator(struct dt_compile *c, const struct dt_node *x)
{
	const struct dt_type *out = output_of(x);
	struct dt_xlator *xl;

	if (!out || !dt_type_is_sou(out))
		return dt_err(c, D_XLATE_SOU, x->loc,
			      "cannot translate to \"%s\": it is neither struct nor union",
			      dt_tstr(c, x->dtype));
	xl = xlator_for(c, x, out);
	if (!xl)
		return dt_err(c, D_XLATE_NONE, x->loc,
			      "cannot translate from \"%s\" to \"%s\": there is no translator",
			      dt_tstr(c, x->l->type), dt_tstr(c, out));
	return xl;
}

/* xlate<T>(e).m: reported reasons against it */
static const struct dt_xmember *choose(struct dt_compile *c, const struct dt_node *x,
				       const char *member, struct dt_loc loc, struct dt_xlator **xl)
{
	const struct dt_xmember *m;

	*xl = dt_find_xlator(c, x);
	if (!*xl)
		return NULL;
	m = find_member(*xl, member);
	if (!m)
		return dt_err(c, D_XLATE_NOCONV, loc,
			      "translator from \"%s\" to \"%s\" does not define member %s",
			      dt_tstr(c, (*xl)->in), dt_tstr(c, output_of(x)), member);
	return m;
}

/* A library may say in several ways what a member is, since kernels differ: the first one that fits. */
static struct dt_node *first_value(struct dt_compile *c, const struct dt_xlator *x,
				   const struct dt_xmember *m, const struct dt_subst *s,
				   const struct dt_loc *loc)
{
	u32 before = c->p->diags.list.n;
	struct dt_node *e = member_value(c, x, m, s, loc);
	const struct dt_xmember *other = m;

	while (dt_is_poison(e) && ++other < x->members.v + x->members.n) {
		if (strcmp(other->name, m->name) != 0)
			continue;
		c->p->diags.list.n = before;
		e = member_value(c, x, other, s, loc);
	}
	return e;
}

struct dt_node *dt_expand_xlate(struct dt_compile *c, struct dt_node *x, const char *member,
				struct dt_loc loc)
{
	struct dt_node *before = NULL, *e;
	struct dt_xlator *xl = NULL;
	const struct dt_xmember *m = choose(c, x, member, loc, &xl);
	struct dt_subst s;

	if (m && c->expanding >= MAX_EXPANDING)
		m = dt_err(c, D_UNKNOWN, loc, "translators are too deeply nested");
	if (!m || xl->bad)
		return dt_poison(c, x);
	s.name = xl->param;
	s.by = actual(c, dt_type_is_int(xl->in) ? dt_cast(c, x->l, xl->in) : x->l, xl->in, &before);
	c->expanding++;
	e = first_value(c, xl, m, &s, &loc);
	c->expanding--;
	return after(c, before, e);
}

static bool check_member(struct dt_compile *c, const struct dt_xlator *x, const struct dt_xmember *m)
{
	struct dt_subst s = { x->param, placeholder(c, x->in, x->loc) };
	u64 bit_off;

	if (!dt_type_member(dt_type_resolve(x->out), m->name, &bit_off)) {
		dt_err(c, D_XLATE_MEMB, m->loc, "translator member %s is not a member of \"%s\"",
		       m->name, dt_tstr(c, x->out));
		return false;
	}
	return !dt_is_poison(member_value(c, x, m, &s, NULL));
}

void dt_check_xlator(struct dt_compile *c, struct dt_xlator *x)
{
	u32 i;

	if (!dt_type_is_sou(x->out) || dt_type_resolve(x->out)->kind == DT_FWD) {
		dt_err(c, D_XLATE_SOU, x->loc,
		       "translator output type must be a struct or union, not \"%s\"",
		       dt_tstr(c, x->out));
		return;
	}
	if (search(c->names.xlators, x->out, x->in, false) ||
	    search(c->st->xlators, x->out, x->in, false)) {
		dt_err(c, D_XLATE_REDECL, x->loc,
		       "translator from \"%s\" to \"%s\" has already been declared",
		       dt_tstr(c, x->in), dt_tstr(c, x->out));
		return;
	}
	for (i = 0; i < x->members.n && !c->p->library; i++)
		if (!check_member(c, x, &x->members.v[i]))
			x->bad = true;
	x->next = c->names.xlators;
	c->names.xlators = x;
}

struct dt_xlator *dt_xlator_publish(struct dt_compile *c, const struct dt_xlator *x)
{
	struct dt_xlator *copy = dt_arena_new(&c->st->arena, struct dt_xlator);
	struct dt_xmember *m;
	u32 i;

	copy->out = x->out;
	copy->in = x->in;
	copy->param = dt_arena_strdup(&c->st->arena, x->param);
	for (i = 0; i < x->members.n; i++) {
		m = dt_vec_push(&c->st->arena, &copy->members);
		m->name = dt_arena_strdup(&c->st->arena, x->members.v[i].name);
		m->expr = keep(c, x->members.v[i].expr);
	}
	return copy;
}
