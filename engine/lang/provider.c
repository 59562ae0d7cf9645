/* SPDX-License-Identifier: Apache-2.0 */
/*
 * provider.c - provider P { probe f(T a : X b) : (X a); ... };  what static probes of a program pass, and as what
 * clauses see it.
 *
 * Probes of P's processes ("P1234") take their args[] from the declaration: input parameters have the types that
 * the traced program passes, output parameters those that clauses see, made from the input parameter of the same name
 * (or place, when they have none) by a translator.
 */
#include <ctype.h>
#include <string.h>

#include "lang/compile.h"

#define MAX_PROBE_ARGS 32

/* A list of parameters as it is read. */
struct params {
	DT_VEC(struct dt_type *) types;
	DT_VEC(const char *) names;
	DT_VEC(struct dt_type *) to; /* NULL: not translated one by one */
};

static void parse_params(struct dt_compile *c, struct params *p, bool output)
{
	struct dt_specs s;
	struct dt_decl d, to;

	if (!dt_expect(c, T_LPAR) || dt_accept(c, T_RPAR))
		return;
	do {
		memset(&to, 0, sizeof(to));
		if (!dt_parse_specs(c, &s) || !dt_parse_declarator(c, &s, &d))
			return;
		if (!output && dt_accept(c, T_COLON) &&
		    (!dt_parse_specs(c, &s) || !dt_parse_declarator(c, &s, &to)))
			return;
		if (dt_type_resolve(d.type)->kind == DT_VOID)
			continue;
		*dt_vec_push(c->a, &p->types) = d.type;
		*dt_vec_push(c->a, &p->names) = d.name;
		*dt_vec_push(c->a, &p->to) = to.type;
	} while (dt_accept(c, T_COMMA));
	dt_expect(c, T_RPAR);
}

/* ---- the declaration ----------------------------------------------------------------------------------------- */

/* An output parameter comes from the input parameter of its name, else from that in its place. */
static u32 find_input(struct dt_compile *c, const struct params *in, const char *name, u32 at,
		      struct dt_loc loc)
{
	u32 i;

	for (i = 0; name && i < in->names.n; i++)
		if (in->names.v[i] && strcmp(in->names.v[i], name) == 0)
			return i;
	if (name || at >= in->types.n)
		dt_err(c, D_PROV_PRXLATOR, loc,
		       "output parameter %u%s%s%s of the probe has no input parameter that it could be made of",
		       at + 1, name ? " (" : "", name ? name : "", name ? ")" : "");
	return at < in->types.n ? at : 0;
}

static struct dt_probeparam *add_param(struct dt_compile *c, struct dt_probedecl *p, bool output)
{
	struct dt_arena *a = &c->st->arena;

	return output ? dt_vec_push(a, &p->out) : dt_vec_push(a, &p->in);
}

static void set_params(struct dt_compile *c, struct dt_probedecl *p, const struct params *in,
		       const struct params *out, struct dt_loc loc)
{
	struct dt_probeparam *x;
	bool one_by_one = false;
	u32 i;

	for (i = 0; i < in->types.n; i++) {
		x = add_param(c, p, false);
		x->type = in->types.v[i];
		x->name = in->names.v[i] ? dt_arena_strdup(&c->st->arena, in->names.v[i]) : NULL;
		x->from = i;
		one_by_one |= in->to.v[i] != NULL;
	}
	for (i = 0; one_by_one && !out->types.n && i < in->types.n; i++) {
		x = add_param(c, p, true);
		x->type = in->to.v[i] ? in->to.v[i] : in->types.v[i];
		x->from = i;
	}
	for (i = 0; i < out->types.n; i++) {
		x = add_param(c, p, true);
		x->type = out->types.v[i];
		x->from = find_input(c, in, out->names.v[i], i, loc);
	}
}

static struct dt_probedecl *find_probe(const struct dt_provdecl *pv, const char *name)
{
	u32 i;

	for (i = 0; i < pv->probes.n; i++)
		if (strcmp(pv->probes.v[i].name, name) == 0)
			return &pv->probes.v[i];
	return NULL;
}

static bool parse_probe(struct dt_compile *c, struct dt_provdecl *pv)
{
	struct params in = { 0 }, out = { 0 };
	struct dt_probedecl *p;
	struct dt_token name;

	if (!dt_expect(c, TOK_KW(PROBE)))
		return false;
	if (dt_peek(c, 0)->tok != T_IDENT)
		return dt_unexpected(c, "the name of a probe");
	name = dt_next(c);
	if (name.slen >= DTRACE_NAMELEN)
		dt_err(c, D_PROV_BADNAME, name.loc, "probe name is too long: %s", name.str);
	if (find_probe(pv, name.str))
		dt_err(c, D_PROV_PRDUP, name.loc, "probe redeclared: %s", name.str);
	parse_params(c, &in, false);
	if (dt_accept(c, T_COLON))
		parse_params(c, &out, true);
	if (in.types.n > MAX_PROBE_ARGS || out.types.n > MAX_PROBE_ARGS)
		dt_err(c, D_PROV_PRARGLEN, name.loc, "probe %s has more than %d arguments",
		       name.str, MAX_PROBE_ARGS);
	p = dt_vec_push(&c->st->arena, &pv->probes);
	p->name = dt_arena_strdup(&c->st->arena, name.str);
	set_params(c, p, &in, &out, name.loc);
	return dt_expect(c, T_SEMI);
}

/* ---- two declarations of one provider -------------------------------------------------------------------------- */

static bool same_probe(const struct dt_probedecl *a, const struct dt_probedecl *b)
{
	u32 i;

	if (!a || !b || a->in.n != b->in.n || a->out.n != b->out.n)
		return false;
	for (i = 0; i < a->in.n; i++)
		if (!dt_type_same(a->in.v[i].type, b->in.v[i].type))
			return false;
	for (i = 0; i < a->out.n; i++)
		if (!dt_type_same(a->out.v[i].type, b->out.v[i].type) ||
		    a->out.v[i].from != b->out.v[i].from)
			return false;
	return true;
}

static const struct dt_provdecl *find_in(const struct dt_provdecl *p, const char *name, size_t len)
{
	for (; p; p = p->next)
		if (strlen(p->name) == len && memcmp(p->name, name, len) == 0)
			return p;
	return NULL;
}

static const struct dt_provdecl *find_provider(struct dt_compile *c, const char *name, size_t len)
{
	const struct dt_provdecl *p = find_in(c->names.providers, name, len);

	return p ? p : find_in(c->st->providers, name, len);
}

static void compare(struct dt_compile *c, const struct dt_provdecl *is,
		    const struct dt_provdecl *was, struct dt_loc loc)
{
	u32 i;

	for (i = 0; i < is->probes.n; i++)
		if (!same_probe(&is->probes.v[i], find_probe(was, is->probes.v[i].name)))
			dt_err(c, D_PROV_INCOMPAT, loc,
			       "provider %s was declared before, with another probe %s", is->name,
			       is->probes.v[i].name);
}

static bool name_ok(const struct dt_token *name)
{
	return name->slen < DTRACE_PROVNAMELEN && !memchr(name->str, '`', name->slen) &&
	       !strchr("0123456789", name->str[name->slen - 1]);
}

void dt_parse_provider(struct dt_compile *c)
{
	struct dt_provdecl *pv = dt_arena_new(&c->st->arena, struct dt_provdecl);
	const struct dt_provdecl *was;
	struct dt_token name;

	dt_next(c);
	if (dt_peek(c, 0)->tok != T_IDENT) {
		dt_unexpected(c, "the name of a provider");
		return;
	}
	name = dt_next(c);
	if (!name_ok(&name))
		dt_err(c, D_PROV_BADNAME, name.loc,
		       "invalid provider name: %s (up to %d characters, not ending with a digit)",
		       name.str, DTRACE_PROVNAMELEN - 1);
	pv->name = dt_arena_strdup(&c->st->arena, name.str);
	if (!dt_expect(c, T_LBRACE))
		return;
	while (!dt_accept(c, T_RBRACE))
		if (!parse_probe(c, pv))
			return;
	if (!dt_expect(c, T_SEMI))
		return;
	was = find_provider(c, pv->name, strlen(pv->name));
	if (was) {
		compare(c, pv, was, name.loc);
	} else {
		pv->next = c->names.providers;
		c->names.providers = pv;
	}
	dt_item_add(c, I_PROVIDER)->provider = name.str;
}

/* ---- what probes' arguments are --------------------------------------------------------------------------------- */

/* "my-probe" is declared as my__probe. */
static bool is_named(const char *declared, const char *name)
{
	for (; *declared && *name; declared++, name++) {
		if (*name == '-' && declared[0] == '_' && declared[1] == '_')
			declared++;
		else if (*declared != *name)
			return false;
	}
	return !*declared && !*name;
}

/* Length of a provider's name without the process that it is about. */
static size_t without_pid(const char *name)
{
	size_t n = strlen(name);

	while (n && isdigit((unsigned char)name[n - 1]))
		n--;
	return n;
}

static const struct dt_probedecl *declaration_of(struct dt_compile *c, const struct dt_probe *p)
{
	const struct dt_provdecl *pv = find_provider(c, p->provider, without_pid(p->provider));
	u32 i;

	for (i = 0; pv && i < pv->probes.n; i++)
		if (is_named(pv->probes.v[i].name, p->name))
			return &pv->probes.v[i];
	return NULL;
}

static bool is_aggregate(const struct dt_type *t)
{
	const struct dt_type *r = dt_type_resolve((struct dt_type *)t);

	return dt_type_is_sou(r) || (r->kind == DT_POINTER && r->ref && dt_type_is_sou(r->ref));
}

bool dt_declared_args(struct dt_compile *c, const struct dt_probe *p, struct dt_probe_args *out)
{
	const struct dt_probedecl *d = declaration_of(c, p);
	const struct dt_probeparam *x;
	bool user;
	u32 i, n;

	n = d ? d->out.n ? d->out.n : d->in.n : 0;
	if (!n)
		return false;
	user = p->provider[without_pid(p->provider)] != '\0';
	/* what the kernel's own probes pass is known better */
	if (!user && !dt_probe_args(c->env->probes, p, out) && out->argc)
		return false;
	memset(out, 0, sizeof(*out));
	out->argc = (int)DT_MIN(n, (u32)DT_MAXARGS);
	for (i = 0; i < (u32)out->argc; i++) {
		struct dt_type *in;

		x = d->out.n ? &d->out.v[i] : &d->in.v[i];
		in = d->in.v[x->from].type;
		out->from[i] = (int)x->from;
		out->known[i] = in;
		out->type[i] = dt_tstr(c, x->type);
		out->userland[i] = user && dt_type_is_pointer(in);
		if (dt_type_same(in, x->type))
			continue;
		if (is_aggregate(x->type))
			out->native[i] = dt_tstr(c, in);
		else
			out->known[i] = x->type; /* another number */
	}
	return true;
}

void dt_providers_publish(struct dt_compile *c)
{
	struct dt_provdecl **tail = &c->names.providers;

	while (*tail)
		tail = &(*tail)->next;
	*tail = c->st->providers;
	c->st->providers = c->names.providers;
	c->names.providers = NULL;
}
