/* SPDX-License-Identifier: Apache-2.0 */
/*
 * unit.c - what stands outside clauses: declarations of types and variables, inlines, translators.
 *
 * Types take effect at once, since parsing needs them; the rest becomes items that the checker
 * meets in program order.
 */
#include <string.h>

#include "lang/compile.h"

struct dt_item *dt_item_add(struct dt_compile *c, enum dt_item_kind kind)
{
	struct dt_item *it = dt_arena_new(c->a, struct dt_item);

	it->kind = kind;
	*c->tail = it;
	c->tail = &it->next;
	return it;
}

/* ---- inline -------------------------------------------------------------------------------- */

static void declare_inline(struct dt_compile *c, const struct dt_decl *d, struct dt_node *body)
{
	struct dt_inline *in = dt_arena_new(c->a, struct dt_inline);
	u32 i;

	in->name = d->name;
	in->loc = d->loc;
	in->type = d->type;
	in->array = d->assoc;
	in->params = d->knames;
	in->ptypes = d->keys;
	in->nparams = d->nkeys;
	in->body = body;
	for (i = 0; i < d->nkeys; i++)
		if (!d->knames[i])
			dt_err(c, D_DECL_PROTO_NAME, d->loc,
			       "parameter %u of inline %s needs a name", i + 1, d->name);
	in->hides = dt_bind_inline(c, d->name);
	if ((in->hides && (c->p->library || in->hides->seq >= dt_nlibraries * DT_LIB_INLINES)) ||
	    dt_declared_enumerator(c, d->name) || dt_bind_var(c, DT_GLOBAL, d->name, d->loc, false)) {
		dt_err(c, D_DECL_IDRED, d->loc, "identifier redeclared: %s", d->name);
		return;
	}
	in->seq = c->inline_seq++;
	dt_put(c, &c->names.inlines, in->name, in);
	dt_item_add(c, I_INLINE)->inl = in;
}

/* After the declarator: = expression ; */
static void parse_inline(struct dt_compile *c, const struct dt_decl *d)
{
	struct dt_node *body;

	if (!dt_expect(c, T_ASSIGN))
		return;
	body = dt_parse_assign(c);
	if (body && dt_expect(c, T_SEMI))
		declare_inline(c, d, body);
}

/* ---- variables and typedefs ---------------------------------------------------------------- */

/* A variable, unless it is something that no variable can be. */
static bool variable_ok(struct dt_compile *c, const struct dt_specs *s, const struct dt_decl *d)
{
	const struct dt_type *t = dt_type_resolve(d->type);

	if (s->cls == CL_THIS && d->assoc)
		dt_err(c, D_DECL_LOCASSC, d->loc,
		       "associative arrays cannot be this-> variables: %s", d->name);
	else if (t->kind == DT_VOID)
		dt_err(c, D_DECL_VOIDOBJ, d->loc, "cannot have a variable of type void: %s", d->name);
	else if (t->kind == DT_FWD)
		dt_err(c, D_DECL_INCOMPLETE, d->loc, "%s is of incomplete type %s", d->name,
		       dt_tstr(c, d->type));
	else if (t->kind == DT_ARRAY && !t->nelems)
		dt_err(c, D_DECL_ARRNULL, d->loc,
		       "the declaration of array %s needs a dimension or the types of its keys",
		       d->name);
	else
		return true;
	return false;
}

static void declare(struct dt_compile *c, const struct dt_specs *s, const struct dt_decl *d)
{
	struct dt_item *it;

	if (s->cls == CL_TYPEDEF) {
		dt_declare_typedef(c, d);
		return;
	}
	/* a prototype says that a function of the kernel exists: its address is asked from the
	 * kernel */
	if (dt_type_resolve(d->type)->kind == DT_FUNC || !variable_ok(c, s, d))
		return;
	it = dt_item_add(c, I_VAR);
	it->scope = s->cls == CL_SELF ? DT_SELF : s->cls == CL_THIS ? DT_THIS : DT_GLOBAL;
	it->decl = *d;
	if (it->scope == DT_GLOBAL)
		dt_put(c, &c->names.mentioned, d->name, c);
}

static void parse_declarators(struct dt_compile *c, const struct dt_specs *s)
{
	struct dt_decl d;

	do {
		if (!dt_parse_declarator(c, s, &d))
			return;
		if (!d.name) {
			if (dt_peek(c, 0)->tok == T_SEMI || dt_peek(c, 0)->tok == T_COMMA)
				dt_err(c, D_DECL_IDENT, d.loc, "a declaration needs a name");
			else
				dt_unexpected(c, "the name of a variable");
			continue;
		}
		if (s->cls == CL_INLINE) {
			parse_inline(c, &d);
			return;
		}
		if (dt_peek(c, 0)->tok == T_ASSIGN) {
			dt_syntax(c, D_SYNTAX, dt_peek(c, 0)->loc,
				  "syntax error near \"=\": a declaration cannot give a value; assign it in a clause");
			return;
		}
		declare(c, s, &d);
	} while (dt_accept(c, T_COMMA));
	dt_expect(c, T_SEMI);
}

/* ---- translator OUT < IN *name > { member = expression; ... }; ----------------------------- */

static bool parse_xmember(struct dt_compile *c, struct dt_xlator *x)
{
	struct dt_xmember m = { 0 };
	u32 i;

	m.loc = dt_peek(c, 0)->loc;
	if (dt_peek(c, 0)->tok != T_IDENT && dt_peek(c, 0)->tok < T_KEYWORD)
		return dt_unexpected(c, "the name of a member");
	m.name = dt_member_name(c, dt_next(c).str);
	if (!dt_expect(c, T_ASSIGN))
		return false;
	m.expr = dt_parse_assign(c);
	if (!m.expr || !dt_expect(c, T_SEMI))
		return false;
	for (i = 0; i < x->members.n; i++)
		if (strcmp(x->members.v[i].name, m.name) == 0 && !c->p->library)
			dt_err(c, D_XLATE_MEMB, m.loc, "member %s is translated twice", m.name);
	*dt_vec_push(c->a, &x->members) = m;
	return true;
}

static void parse_translator(struct dt_compile *c)
{
	struct dt_xlator *x = dt_arena_new(c->a, struct dt_xlator);
	struct dt_specs s;
	struct dt_decl d;

	x->loc = dt_next(c).loc;
	x->out = dt_parse_type(c);
	if (!x->out || !dt_expect(c, T_LT) || !dt_parse_specs(c, &s) ||
	    !dt_parse_declarator(c, &s, &d))
		return;
	if (!d.name) {
		dt_err(c, D_DECL_IDENT, d.loc, "the input of a translator needs a name");
		d.name = "";
	}
	x->in = d.type;
	x->param = d.name;
	x->loc = dt_loc_span(x->loc, c->last);
	if (!dt_expect(c, T_GT) || !dt_expect(c, T_LBRACE))
		return;
	while (!dt_accept(c, T_RBRACE))
		if (!parse_xmember(c, x))
			return;
	if (!dt_expect(c, T_SEMI))
		return;
	dt_item_add(c, I_XLATOR)->xl = x;
}

void dt_parse_declaration(struct dt_compile *c)
{
	enum dt_tok tok = dt_peek(c, 0)->tok;
	struct dt_specs s;

	c->declared = true;
	if (tok == TOK_KW(TRANSLATOR)) {
		parse_translator(c);
		return;
	}
	if (tok == TOK_KW(PROVIDER)) {
		dt_parse_provider(c);
		return;
	}
	if (!dt_parse_specs(c, &s))
		return;
	if (s.cls == CL_STATIC || s.cls == CL_AUTO || s.cls == CL_REGISTER)
		dt_err(c, D_DECL_BADCLASS, s.loc, "storage class %s has no meaning in D",
		       s.cls == CL_STATIC ? "static" :
		       s.cls == CL_AUTO   ? "auto" :
					    "register");
	if (dt_peek(c, 0)->tok == T_SEMI) {
		if (!s.tag_declared || s.cls != CL_NONE)
			dt_err(c, D_DECL_USELESS, s.loc, "useless declaration");
		dt_next(c);
		return;
	}
	parse_declarators(c, &s);
}
