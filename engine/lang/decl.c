/* SPDX-License-Identifier: Apache-2.0 */
/*
 * decl.c - C declarations to types: specifiers ("unsigned long", "struct s { ... }") and
 * declarators ("*a[4]", D's "a[int, string]").
 *
 * A declarator is read from its name outwards into a list of steps (array of, pointer to ...),
 * which then wrap the specifiers' type from the far end of the list.
 */
#include <string.h>

#include "lang/compile.h"

/* ---- names of types ------------------------------------------------------------------------ */

static const char *unscoped(const char *name)
{
	const char *tick = strrchr(name, '`');

	return tick ? tick + 1 : name;
}

/* The module that a name is looked up in: NULL for names without one, and for the kernel itself. */
static const char *module_of(struct dt_compile *c, const char *name)
{
	size_t n = (size_t)(unscoped(name) - name);

	return n > 1 ? dt_arena_strndup(c->a, name, n - 1) : NULL;
}

struct dt_type *dt_find_type(struct dt_compile *c, const char *name)
{
	const char *mod = module_of(c, name);
	struct dt_type *t;

	name = unscoped(name);
	t = mod ? dt_types_lookup_in(c->ts, mod, name) : NULL;
	if (t)
		return t;
	t = dt_htab_get(&c->names.typedefs, name);
	if (t)
		return t;
	dt_lib_need(c, name);
	return dt_types_lookup(c->ts, name);
}

struct dt_type *dt_find_tag(struct dt_compile *c, const char *tagged)
{
	struct dt_type *t = dt_htab_get(&c->names.tags, tagged);

	if (t)
		return t;
	dt_lib_need(c, tagged);
	return dt_types_lookup(c->ts, tagged);
}

static struct dt_type *fwd_new(struct dt_compile *c, enum dt_kw word, const char *name)
{
	struct dt_type *t = dt_type_new(c->ts, DT_FWD, name);

	t->is_enum_fwd = word == KW_ENUM;
	t->is_union_fwd = word == KW_UNION;
	return t;
}

static const char *tagged_name(struct dt_compile *c, enum dt_kw word, const char *name)
{
	return dt_arena_printf(c->a, "%s %s", dt_keywords[word].word, name);
}

/* What a table says is a pointer to something unknown here is a pointer all the same. */
static struct dt_type *unknown_text(struct dt_compile *c, const char *text)
{
	const char *star = strchr(text, '*');
	struct dt_type *t;
	char name[64];
	int len = 0;

	if (!star)
		return NULL;
	t = sscanf(text, "struct %63[A-Za-z0-9_]%n", name, &len) == 1 ? fwd_new(c, KW_STRUCT, name) :
	    sscanf(text, "const struct %63[A-Za-z0-9_]%n", name, &len) == 1 ?
									fwd_new(c, KW_STRUCT, name) :
									dt_basic(c, DT_T_VOID);
	for (; star; star = strchr(star + 1, '*'))
		t = dt_type_pointer(c->ts, t);
	return t;
}

/* "struct x *" of what the program itself declares. */
static struct dt_type *declared_text(struct dt_compile *c, const char *text)
{
	size_t stars = 0, n = strlen(text);
	struct dt_type *t;
	const char *base;

	for (; n && (text[n - 1] == '*' || text[n - 1] == ' '); n--)
		stars += text[n - 1] == '*';
	base = dt_arena_strndup(c->a, text, n);
	t = dt_htab_get(strchr(base, ' ') ? &c->names.tags : &c->names.typedefs, base);
	for (; t && stars; stars--)
		t = dt_type_pointer(c->ts, t);
	return t;
}

struct dt_type *dt_type_text(struct dt_compile *c, const char *text)
{
	struct dt_type *t = declared_text(c, text);
	size_t n = strlen(text);

	if (t)
		return t;
	while (n && (text[n - 1] == '*' || text[n - 1] == ' '))
		n--;
	dt_lib_need(c, dt_arena_strndup(c->a, text, n));
	t = dt_find_tag(c, text);
	return t ? t : unknown_text(c, text);
}

/* A name that stands where a type or a value may: values seen before come first, then types.
 * The kernel's types are asked last, as that may mean to read them all. */
static bool names_type(struct dt_compile *c, const char *name)
{
	u64 argn;

	if (dt_htab_get(&c->names.typedefs, name))
		return true;
	if (dt_htab_get(&c->names.mentioned, name) || dt_bind_inline(c, name) ||
	    dt_bind_builtin(name, &argn) || dt_bind_var(c, DT_GLOBAL, name, c->last, false) ||
	    dt_bind_subr(name) || dt_bind_action(name))
		return false;
	return dt_find_type(c, name) != NULL;
}

static bool is_type_keyword(enum dt_tok tok)
{
	switch (tok) {
	case TOK_KW(CHAR):
	case TOK_KW(CONST):
	case TOK_KW(DOUBLE):
	case TOK_KW(ENUM):
	case TOK_KW(FLOAT):
	case TOK_KW(INT):
	case TOK_KW(LONG):
	case TOK_KW(SHORT):
	case TOK_KW(SIGNED):
	case TOK_KW(STRING):
	case TOK_KW(STRUCT):
	case TOK_KW(UNION):
	case TOK_KW(UNSIGNED):
	case TOK_KW(VOID):
	case TOK_KW(VOLATILE):
	case TOK_KW(RESTRICT):
	case TOK_KW(BOOL): return true;
	default: return false;
	}
}

bool dt_is_typename(struct dt_compile *c, u32 ahead)
{
	const struct dt_token *t = dt_peek(c, ahead);

	return is_type_keyword(t->tok) || (t->tok == T_IDENT && names_type(c, t->str));
}

/* ---- specifiers ---------------------------------------------------------------------------- */

struct spec_words {
	u8 n_signed, n_unsigned, n_short, n_long;
	enum dt_basic base; /* when has_base and no named type */
	bool has_base;
	struct dt_type *named;
};

static const struct {
	enum dt_tok tok;
	enum dt_class cls;
} classes[] = {
	{ TOK_KW(TYPEDEF), CL_TYPEDEF },   { TOK_KW(EXTERN), CL_EXTERN },
	{ TOK_KW(STATIC), CL_STATIC },     { TOK_KW(AUTO), CL_AUTO },
	{ TOK_KW(REGISTER), CL_REGISTER }, { TOK_KW(SELF), CL_SELF },
	{ TOK_KW(THIS), CL_THIS },         { TOK_KW(INLINE), CL_INLINE },
};

static const struct {
	enum dt_tok tok;
	enum dt_basic base;
} bases[] = {
	{ TOK_KW(VOID), DT_T_VOID },     { TOK_KW(CHAR), DT_T_CHAR },
	{ TOK_KW(INT), DT_T_INT },       { TOK_KW(FLOAT), DT_T_FLOAT },
	{ TOK_KW(DOUBLE), DT_T_DOUBLE }, { TOK_KW(BOOL), DT_T_BOOL },
	{ TOK_KW(STRING), DT_T_STRING },
};

static bool spec_class(struct dt_compile *c, struct dt_specs *s)
{
	enum dt_tok tok = dt_peek(c, 0)->tok;
	size_t i;

	for (i = 0; i < DT_NELEM(classes); i++) {
		if (classes[i].tok != tok)
			continue;
		if (s->cls != CL_NONE)
			dt_err(c, D_DECL_CLASS, dt_peek(c, 0)->loc,
			       "only one storage class is allowed in a declaration");
		s->cls = classes[i].cls;
		dt_next(c);
		return true;
	}
	return false;
}

static void *bad_combo(struct dt_compile *c, struct dt_loc loc)
{
	return dt_err(c, D_DECL_COMBO, loc, "invalid combination of types");
}

static bool spec_base(struct dt_compile *c, struct spec_words *w)
{
	enum dt_tok tok = dt_peek(c, 0)->tok;
	size_t i;

	for (i = 0; i < DT_NELEM(bases); i++) {
		if (bases[i].tok != tok)
			continue;
		if (w->has_base || w->named)
			bad_combo(c, dt_peek(c, 0)->loc);
		w->base = bases[i].base;
		w->has_base = true;
		dt_next(c);
		return true;
	}
	return false;
}

static bool spec_attr(struct dt_compile *c, struct spec_words *w)
{
	switch (dt_peek(c, 0)->tok) {
	case TOK_KW(SIGNED): w->n_signed += w->n_signed < 9; break;
	case TOK_KW(UNSIGNED): w->n_unsigned += w->n_unsigned < 9; break;
	case TOK_KW(SHORT): w->n_short += w->n_short < 9; break;
	case TOK_KW(LONG): w->n_long += w->n_long < 9; break;
	case TOK_KW(CONST):
	case TOK_KW(VOLATILE):
	case TOK_KW(RESTRICT): break;
	default: return false;
	}
	dt_next(c);
	return true;
}

static struct dt_type *parse_sou(struct dt_compile *c, enum dt_kw word, const char *mod);
static struct dt_type *parse_enum(struct dt_compile *c, const char *mod);

static bool spec_tagged(struct dt_compile *c, struct dt_specs *s, struct spec_words *w)
{
	enum dt_tok tok = dt_peek(c, 0)->tok;
	struct dt_loc loc = dt_peek(c, 0)->loc;
	struct dt_type *t;
	const char *mod;

	if (tok != TOK_KW(STRUCT) && tok != TOK_KW(UNION) && tok != TOK_KW(ENUM))
		return false;
	mod = module_of(c, dt_next(c).str); /* mod`struct x */
	t = tok == TOK_KW(ENUM) ? parse_enum(c, mod) :
				  parse_sou(c, tok == TOK_KW(STRUCT) ? KW_STRUCT : KW_UNION, mod);
	if (!t)
		t = dt_basic(c, DT_T_POISON);
	if (w->has_base || w->named)
		bad_combo(c, loc);
	w->named = t;
	s->tag_declared = t->name || t->kind == DT_ENUM;
	return true;
}

static bool spec_typedef(struct dt_compile *c, struct spec_words *w)
{
	const struct dt_token *t = dt_peek(c, 0);

	if (t->tok != T_IDENT || w->has_base || w->named || w->n_signed || w->n_unsigned ||
	    w->n_short || w->n_long)
		return false;
	if (strcmp(t->str, "userland") == 0 && dt_is_typename(c, 1)) {
		dt_next(c);
		return true;
	}
	w->named = dt_find_type(c, t->str);
	if (!w->named) {
		w->named = dt_basic(c, DT_T_POISON);
		dt_syntax(c, D_SYNTAX, t->loc,
			  "syntax error near \"%s\": there is no type of that name", t->str);
		return false;
	}
	dt_next(c);
	return true;
}

/* What short, long, signed and unsigned make of a base type. */
static struct dt_type *combine_int(struct dt_compile *c, const struct spec_words *w, struct dt_loc loc)
{
	static const enum dt_basic ints[][2] = {
		/* [short long long-long none][unsigned] */
		{ DT_T_INT, DT_T_UINT },
		{ DT_T_LONG, DT_T_ULONG },
		{ DT_T_LLONG, DT_T_ULLONG },
	};

	if ((w->n_signed && w->n_unsigned) || w->n_signed > 1 || w->n_unsigned > 1 ||
	    w->n_short > 1 || w->n_long > 2 || (w->n_short && w->n_long)) {
		bad_combo(c, loc);
		return dt_basic(c, DT_T_POISON);
	}
	if (w->n_short)
		return dt_basic(c, w->n_unsigned ? DT_T_USHORT : DT_T_SHORT);
	return dt_basic(c, ints[w->n_long][w->n_unsigned]);
}

static struct dt_type *combine(struct dt_compile *c, const struct spec_words *w, struct dt_loc loc)
{
	bool sign = w->n_signed || w->n_unsigned, size = w->n_short || w->n_long;

	if (!w->named && (!w->has_base || w->base == DT_T_INT))
		return combine_int(c, w, loc);
	if (!w->named && w->base == DT_T_CHAR && !size && !(w->n_signed && w->n_unsigned))
		return dt_basic(c, w->n_unsigned ? DT_T_UCHAR :
				   w->n_signed   ? DT_T_SCHAR :
						   DT_T_CHAR);
	if (!w->named && w->base == DT_T_DOUBLE && w->n_long == 1 && !w->n_short && !sign)
		return dt_basic(c, DT_T_LDOUBLE);
	if (!sign && !size)
		return w->named ? w->named : dt_basic(c, w->base);
	if (!w->named && w->base == DT_T_CHAR)
		dt_err(c, D_DECL_CHARATTR, loc,
		       "invalid type declaration: char is neither short nor long");
	else if (!w->named && w->base == DT_T_VOID)
		dt_err(c, D_DECL_VOIDATTR, loc,
		       "invalid type declaration: void has no size and no sign");
	else if (sign)
		dt_err(c, D_DECL_SIGNINT, loc,
		       "signed and unsigned may only be used with integer types");
	else
		dt_err(c, D_DECL_LONGINT, loc, "short and long may only be used with integer types");
	return dt_basic(c, DT_T_POISON);
}

bool dt_parse_specs(struct dt_compile *c, struct dt_specs *s)
{
	struct spec_words w = { 0 };
	struct dt_loc first = dt_peek(c, 0)->loc;
	bool any = false;

	memset(s, 0, sizeof(*s));
	while (spec_class(c, s) || spec_base(c, &w) || spec_attr(c, &w) || spec_tagged(c, s, &w) ||
	       spec_typedef(c, &w))
		any = true;
	s->loc = any ? dt_loc_span(first, c->last) : first;
	if (!w.has_base && !w.named && !w.n_signed && !w.n_unsigned && !w.n_short && !w.n_long) {
		if (!c->lx.dead)
			dt_unexpected(c, "a type");
		s->type = dt_basic(c, DT_T_POISON);
		return false;
	}
	s->type = combine(c, &w, s->loc);
	return !c->lx.dead;
}

/* ---- struct, union, enum ------------------------------------------------------------------- */

/* A tag mentioned: known, or known from now on by name only. */
static struct dt_type *mention_tag(struct dt_compile *c, enum dt_kw word, const char *name,
				   const char *mod)
{
	const char *tagged = tagged_name(c, word, name);
	struct dt_type *t = mod ? dt_types_lookup_in(c->ts, mod, tagged) : NULL;

	t = t ? t : dt_find_tag(c, tagged);
	t = t ? t : dt_types_lookup_in(c->ts, NULL, tagged);
	if (!t) {
		t = fwd_new(c, word, name);
		dt_put(c, &c->names.tags, tagged, t);
	}
	return t;
}

/* Before the body: so that members may point to the type itself.  A tag that an earlier program
 * only mentioned is completed when this one's names are published. */
static struct dt_type *begin_tag(struct dt_compile *c, enum dt_kw word, const char *name,
				 struct dt_loc loc)
{
	const char *tagged = tagged_name(c, word, name);
	struct dt_type *t = dt_htab_get(&c->names.tags, tagged),
		       *old = dt_htab_get(&c->ts->tags, tagged);

	if (t && t->kind == DT_FWD && !t->ref) {
		t->is_begun = true;
		return t;
	}
	if (t || (old && old->kind != DT_FWD))
		dt_err(c, D_DECL_TYPERED, loc, "type redeclared: %s", tagged);
	t = fwd_new(c, word, name);
	t->is_begun = true;
	dt_put(c, &c->names.tags, tagged, t);
	return t;
}

static void end_tag(struct dt_compile *c, enum dt_kw word, struct dt_type *fwd, struct dt_type *t)
{
	if (!fwd)
		return;
	fwd->ref = t;
	dt_put(c, &c->names.tags, tagged_name(c, word, fwd->name), t);
}

typedef DT_VEC(struct dt_member) member_vec;

static bool has_member(const member_vec *v, const char *name)
{
	u32 i;

	for (i = 0; i < v->n; i++)
		if (*name && strcmp(v->v[i].name, name) == 0)
			return true;
	return false;
}

/* What lies in memory has a size, strings too. */
static struct dt_type *in_memory(struct dt_compile *c, struct dt_type *t)
{
	return dt_type_is_string(t) && !dt_type_size(t) ? dt_type_string(c->ts, c->env->strsize) : t;
}

static bool member_ok(struct dt_compile *c, const member_vec *v, const struct dt_decl *d)
{
	const struct dt_type *t = dt_type_resolve(d->type);
	const char *name = d->name ? d->name : "";

	if (has_member(v, name))
		dt_err(c, D_UNKNOWN, d->loc,
		       "failed to define member %s: there is one of that name", name);
	else if (d->assoc)
		dt_err(c, D_DECL_DYNOBJ, d->loc, "an associative array cannot be a member: %s", name);
	else if (t->kind == DT_VOID || t->kind == DT_FUNC)
		dt_err(c, D_DECL_VOIDOBJ, d->loc, "cannot have a member of type %s: %s",
		       dt_tstr(c, d->type), name);
	else if (t->kind == DT_FWD)
		dt_err(c, D_DECL_INCOMPLETE, d->loc, "incomplete type %s: %s", dt_tstr(c, d->type),
		       name);
	else
		return true;
	return false;
}

static u16 parse_bits(struct dt_compile *c, const struct dt_decl *d)
{
	struct dt_loc loc = dt_peek(c, 0)->loc;
	struct dt_node *n = dt_parse_assign(c);
	s64 bits;

	if (!dt_type_is_int(d->type))
		dt_err(c, D_DECL_BFTYPE, d->loc, "a bit-field must be of an integer type, not %s",
		       dt_tstr(c, d->type));
	else if (!n || !dt_const_expr(c, n, &bits) || bits < (d->name ? 1 : 0))
		dt_err(c, D_DECL_BFCONST, loc,
		       "the size of a bit-field must be a positive integer constant");
	else if ((u64)bits > dt_type_size(d->type) * 8)
		dt_err(c, D_DECL_BFSIZE, loc, "invalid size of a bit-field: %lld bits in %s",
		       (long long)bits, dt_tstr(c, d->type));
	else
		return (u16)bits;
	return 0;
}

static void parse_member(struct dt_compile *c, const struct dt_specs *s, member_vec *v)
{
	struct dt_decl d = { .type = s->type, .loc = dt_peek(c, 0)->loc };
	struct dt_member m = { 0 };
	bool ok;

	if (dt_peek(c, 0)->tok != T_COLON && !dt_parse_declarator(c, s, &d))
		return;
	if (!d.name && dt_peek(c, 0)->tok != T_COLON) {
		dt_err(c, D_DECL_MNAME, d.loc, "a member needs a name");
		return;
	}
	ok = member_ok(c, v, &d);
	if (dt_accept(c, T_COLON))
		m.bit_size = parse_bits(c, &d);
	m.name = d.name ? dt_arena_strdup(&c->ts->arena, dt_member_name(c, d.name)) : "";
	m.type = in_memory(c, d.type);
	if (ok)
		*dt_vec_push(c->a, v) = m;
}

static void parse_members(struct dt_compile *c, member_vec *v)
{
	struct dt_specs s;

	while (!dt_accept(c, T_RBRACE)) {
		if (!dt_parse_specs(c, &s))
			return;
		if (s.cls != CL_NONE)
			dt_err(c, D_DECL_BADCLASS, s.loc, "a member has no storage class");
		if (dt_accept(c, T_SEMI)) {
			if (dt_type_is_sou(s.type) && !s.type->name)
				*dt_vec_push(c->a, v) =
					(struct dt_member){ .name = "", .type = s.type };
			else
				dt_err(c, D_DECL_USELESS, s.loc, "useless declaration");
			continue;
		}
		do
			parse_member(c, &s, v);
		while (dt_accept(c, T_COMMA));
		if (!dt_expect(c, T_SEMI))
			return;
	}
}

/* A body without members. */
static void check_members(struct dt_compile *c, const char *what)
{
	if (dt_peek(c, 0)->tok == T_RBRACE)
		dt_unexpected(c, what);
}

static struct dt_type *parse_sou_body(struct dt_compile *c, enum dt_kw word, const char *name,
				      struct dt_loc loc)
{
	struct dt_type *fwd = name ? begin_tag(c, word, name, loc) : NULL, *t;
	member_vec v = { 0 };

	dt_next(c); /* { */
	if (!dt_enter(c))
		return NULL;
	check_members(c, "the type of a member");
	parse_members(c, &v);
	dt_leave(c);
	t = dt_type_new(c->ts, word == KW_UNION ? DT_UNION : DT_STRUCT, name);
	t->members = dt_arena_alloc(&c->ts->arena, v.n * sizeof(*v.v));
	if (v.n)
		memcpy(t->members, v.v, v.n * sizeof(*v.v));
	t->nmembers = v.n;
	dt_type_layout(t);
	end_tag(c, word, fwd, t);
	return t;
}

/* After struct or union. */
static struct dt_type *parse_sou(struct dt_compile *c, enum dt_kw word, const char *mod)
{
	const char *name = NULL;
	struct dt_loc loc = dt_peek(c, 0)->loc;

	if (dt_peek(c, 0)->tok == T_IDENT)
		name = unscoped(dt_next(c).str);
	if (dt_peek(c, 0)->tok == T_LBRACE)
		return parse_sou_body(c, word, name, loc);
	if (!name)
		return dt_unexpected(c, "a tag or {");
	/* "struct x;" is a type of its own even when the kernel has an x: but that is what
	 * people mean */
	return mention_tag(c, word, name, mod);
}

static void add_enumerator(struct dt_compile *c, struct dt_type *t, const char *name,
			   struct dt_loc loc, s64 val)
{
	struct dt_enumconst *k = dt_htab_get(&c->names.enums, name);

	if (k && k->type == t) {
		dt_err(c, D_UNKNOWN, loc,
		       "failed to define enumerator %s: there is one of that name", name);
		return;
	}
	if (dt_declared_enumerator(c, name) || dt_bind_inline(c, name)) {
		dt_err(c, D_DECL_IDRED, loc, "identifier redeclared: %s", name);
		return;
	}
	k = dt_arena_new(c->a, struct dt_enumconst);
	k->val = val;
	k->type = t;
	dt_put(c, &c->names.enums, name, k);
}

/* NAME [= constant]; the value that follows */
static s64 parse_enumerator(struct dt_compile *c, struct dt_type *t, s64 val)
{
	struct dt_token name = dt_next(c);
	struct dt_node *n;
	struct dt_loc loc = name.loc;
	bool given = dt_accept(c, T_ASSIGN);

	if (given) {
		loc = dt_peek(c, 0)->loc;
		n = dt_parse_assign(c);
		if (!n || !dt_const_expr(c, n, &val)) {
			dt_err(c, D_DECL_ENCONST, loc,
			       "the value of enumerator %s must be an integer constant", name.str);
			val = 0;
		}
	}
	if (val > INT32_MAX || val < INT32_MIN) {
		dt_err(c, D_DECL_ENOFLOW, loc, "the value of enumerator %s does not fit an int",
		       name.str);
		val = 0;
	}
	add_enumerator(c, t, name.str, name.loc, val);
	return val + 1;
}

static struct dt_type *parse_enum_body(struct dt_compile *c, const char *name, struct dt_loc loc)
{
	struct dt_type *fwd = name ? begin_tag(c, KW_ENUM, name, loc) : NULL;
	struct dt_type *t = dt_type_new(c->ts, DT_ENUM, name);
	DT_VEC(struct dt_enumval) vals = { 0 };
	s64 val = 0;

	t->size = 4;
	t->is_signed = true;
	t->complete = true;
	dt_next(c); /* { */
	check_members(c, "the name of an enumerator");
	while (dt_peek(c, 0)->tok == T_IDENT) {
		const char *id = dt_arena_strdup(&c->ts->arena, dt_peek(c, 0)->str);

		val = parse_enumerator(c, t, val);
		*dt_vec_push(&c->ts->arena, &vals) = (struct dt_enumval){ id, val - 1 };
		if (!dt_accept(c, T_COMMA))
			break;
	}
	if (!dt_expect(c, T_RBRACE))
		return NULL;
	t->enumvals = vals.v;
	t->nmembers = vals.n;
	end_tag(c, KW_ENUM, fwd, t);
	return t;
}

static struct dt_type *parse_enum(struct dt_compile *c, const char *mod)
{
	const char *name = NULL;
	struct dt_loc loc = dt_peek(c, 0)->loc;

	if (dt_peek(c, 0)->tok == T_IDENT)
		name = unscoped(dt_next(c).str);
	if (dt_peek(c, 0)->tok == T_LBRACE)
		return parse_enum_body(c, name, loc);
	return name ? mention_tag(c, KW_ENUM, name, mod) : dt_unexpected(c, "a tag or {");
}

/* ---- declarators --------------------------------------------------------------------------- */

enum step_kind { STEP_POINTER, STEP_ARRAY, STEP_ASSOC, STEP_FUNC };

struct step {
	enum step_kind kind;
	struct dt_loc loc;
	u64 nelems;
	struct dt_type **types; /* ASSOC, FUNC */
	const char **names;
	u32 ntypes;
	bool varargs;
};

struct declarator {
	const char *name;
	struct dt_loc loc;
	DT_VEC(struct step) steps;
};

#define MAX_STEPS 64

static struct step *add_step(struct dt_compile *c, struct declarator *d, enum step_kind kind,
			     struct dt_loc loc)
{
	struct step *s = dt_vec_push(c->a, &d->steps);

	if (d->steps.n > MAX_STEPS)
		dt_syntax(c, D_SYNTAX, loc, "declaration is too complicated");
	s->kind = kind;
	s->loc = loc;
	return s;
}

static bool named_before(const char *name, const char *const *names, u32 n)
{
	while (name && n--)
		if (names[n] && strcmp(names[n], name) == 0)
			return true;
	return false;
}

/* What no parameter or key can be. */
static void check_param(struct dt_compile *c, const struct dt_specs *specs, const struct dt_decl *d)
{
	if (specs->cls != CL_NONE && specs->cls != CL_REGISTER)
		dt_err(c, D_DECL_PARMCLASS, specs->loc, "a parameter has no storage class");
	if (d->assoc || dt_type_resolve(d->type)->kind == DT_DYN)
		dt_err(c, D_DECL_PROTO_TYPE, d->loc, "an associative array cannot be a parameter");
}

/* Parameter types up to the closing bracket: of functions, and keys of associative arrays. */
static void parse_params(struct dt_compile *c, struct step *s, enum dt_tok close)
{
	DT_VEC(struct dt_type *) types = { 0 };
	DT_VEC(const char *) names = { 0 };
	struct dt_specs specs;
	struct dt_decl d;
	bool array = close == T_RBRAC;

	do {
		if (dt_peek(c, 0)->tok == T_ELLIPSIS) {
			s->varargs = true;
			if (array || !types.n)
				dt_err(c, D_DECL_PROTO_VARARGS, dt_peek(c, 0)->loc,
				       array ? "the keys of an associative array cannot vary in number" :
					       "... must follow a parameter");
			dt_next(c);
			break;
		}
		if (!dt_parse_specs(c, &specs) || !dt_parse_declarator(c, &specs, &d))
			return;
		check_param(c, &specs, &d);
		if (named_before(d.name, names.v, names.n))
			dt_err(c, D_DECL_PROTO_NAME, d.loc, "two %s of the name %s",
			       array ? "keys" : "parameters", d.name);
		if (dt_type_resolve(d.type)->kind == DT_VOID &&
		    (array || types.n || d.name || dt_peek(c, 0)->tok == T_COMMA))
			dt_err(c, D_DECL_PROTO_VOID, specs.loc,
			       array ? "a key cannot be void" : "void must be the only parameter");
		*dt_vec_push(c->a, &types) = d.type;
		*dt_vec_push(c->a, &names) = d.name;
	} while (dt_accept(c, T_COMMA));
	dt_expect(c, close);
	if (!array && types.n == 1 && dt_type_resolve(types.v[0])->kind == DT_VOID)
		types.n = 0;
	s->types = types.v;
	s->names = names.v;
	s->ntypes = types.n;
}

static void parse_dimension(struct dt_compile *c, struct step *s)
{
	struct dt_loc loc = dt_peek(c, 0)->loc;
	struct dt_node *n = dt_parse_assign(c);
	s64 val;

	if (!n || !dt_const_expr(c, n, &val) || val <= 0)
		dt_err(c, D_DECL_ARRSUB, loc,
		       "a positive integer constant or a list of key types is expected as array dimension");
	else if (val > UINT32_MAX)
		dt_err(c, D_DECL_ARRBIG, loc, "array dimension is too big: at most %u elements",
		       UINT32_MAX);
	else
		s->nelems = (u64)val;
	if (!s->nelems)
		s->nelems = 1;
	dt_expect(c, T_RBRAC);
}

/* A storage class where a key's type belongs; self-> and this-> begin expressions. */
static bool is_class(struct dt_compile *c)
{
	size_t i;

	for (i = 0; i < DT_NELEM(classes); i++)
		if (classes[i].tok == dt_peek(c, 0)->tok)
			return dt_peek(c, 1)->tok != T_ARROW;
	return false;
}

static void parse_brackets(struct dt_compile *c, struct declarator *d)
{
	struct dt_loc loc = dt_next(c).loc;
	struct step s = { .kind = STEP_ARRAY, .loc = loc };

	if (dt_accept(c, T_RBRAC))
		;
	else if (dt_peek(c, 0)->tok == T_ELLIPSIS || is_class(c) || dt_is_typename(c, 0)) {
		s.kind = STEP_ASSOC;
		parse_params(c, &s, T_RBRAC);
	} else {
		parse_dimension(c, &s);
	}
	*add_step(c, d, s.kind, loc) = s;
}

static void parse_func(struct dt_compile *c, struct declarator *d)
{
	struct dt_loc loc = dt_next(c).loc;
	struct step s = { .kind = STEP_FUNC, .loc = loc };

	if (!dt_accept(c, T_RPAR))
		parse_params(c, &s, T_RPAR);
	*add_step(c, d, s.kind, loc) = s;
}

/* "(" begins a declarator in brackets, or the parameters of one without a name. */
static bool nested_declarator(struct dt_compile *c)
{
	const struct dt_token *t = dt_peek(c, 1);

	return t->tok == T_STAR || t->tok == T_LPAR || t->tok == T_LBRAC ||
	       (t->tok == T_IDENT && !dt_is_typename(c, 1));
}

static void parse_steps(struct dt_compile *c, struct declarator *d)
{
	struct dt_loc stars = dt_peek(c, 0)->loc;
	u32 npointers = 0;

	if (!dt_enter(c))
		return;
	for (;; dt_next(c)) {
		if (dt_peek(c, 0)->tok == T_STAR)
			npointers++;
		else if (dt_peek(c, 0)->tok != TOK_KW(CONST) &&
			 dt_peek(c, 0)->tok != TOK_KW(VOLATILE) &&
			 dt_peek(c, 0)->tok != TOK_KW(RESTRICT))
			break;
	}
	if (dt_peek(c, 0)->tok == T_IDENT) {
		d->name = dt_peek(c, 0)->str;
		d->loc = dt_next(c).loc;
	} else if (dt_peek(c, 0)->tok == T_LPAR && nested_declarator(c)) {
		dt_next(c);
		parse_steps(c, d);
		dt_expect(c, T_RPAR);
	}
	while (!c->lx.dead) {
		if (dt_peek(c, 0)->tok == T_LBRAC)
			parse_brackets(c, d);
		else if (dt_peek(c, 0)->tok == T_LPAR)
			parse_func(c, d);
		else
			break;
	}
	while (npointers-- && !c->lx.dead)
		add_step(c, d, STEP_POINTER, stars);
	dt_leave(c);
}

static struct dt_type *func_type(struct dt_compile *c, struct dt_type *result, const struct step *s)
{
	struct dt_type *t = dt_type_new(c->ts, DT_FUNC, NULL);

	t->ref = result;
	t->params = dt_arena_alloc(&c->ts->arena, s->ntypes * sizeof(*s->types));
	if (s->ntypes)
		memcpy(t->params, s->types, s->ntypes * sizeof(*s->types));
	t->nparams = s->ntypes;
	t->varargs = s->varargs;
	t->complete = true;
	return t;
}

static struct dt_type *array_type(struct dt_compile *c, struct dt_type *elem, const struct step *s)
{
	const struct dt_type *r = dt_type_resolve(elem);
	struct dt_type *t;

	if (r->kind == DT_VOID || r->kind == DT_FUNC) {
		dt_err(c, D_DECL_VOIDOBJ, s->loc, "cannot have an array of %s", dt_tstr(c, elem));
		return dt_basic(c, DT_T_POISON);
	}
	if (r->kind == DT_FWD && s->nelems) {
		dt_err(c, D_DECL_INCOMPLETE, s->loc, "cannot have an array of incomplete type %s",
		       dt_tstr(c, elem));
		return dt_basic(c, DT_T_POISON);
	}
	t = dt_type_array(c->ts, elem, s->nelems);
	if (s->nelems && dt_type_size(elem) &&
	    (dt_type_size(t) == 0 || dt_type_size(t) > UINT32_MAX)) {
		dt_err(c, D_DECL_ARRBIG, s->loc, "array is too big: %s", dt_tstr(c, t));
		return dt_basic(c, DT_T_POISON);
	}
	return t;
}

static struct dt_type *wrap(struct dt_compile *c, struct dt_type *t, const struct step *s)
{
	switch (s->kind) {
	case STEP_POINTER: return dt_type_pointer(c->ts, in_memory(c, t));
	case STEP_ARRAY: return array_type(c, in_memory(c, t), s);
	case STEP_FUNC: return func_type(c, t, s);
	default:
		dt_err(c, D_DECL_DYNOBJ, s->loc,
		       "an associative array stands for itself: there are no pointers to it or arrays of it");
		return t;
	}
}

bool dt_parse_declarator(struct dt_compile *c, const struct dt_specs *s, struct dt_decl *out)
{
	struct declarator d = { .loc = dt_peek(c, 0)->loc };
	const struct step *assoc;
	u32 i;

	parse_steps(c, &d);
	memset(out, 0, sizeof(*out));
	out->name = d.name;
	out->loc = d.loc;
	out->type = s->type;
	if (d.name && strchr(d.name, '`'))
		dt_err(c, D_DECL_SCOPE, d.loc,
		       "the scoping operator ` may not be used in the name of a declaration: %s",
		       d.name);
	for (i = d.steps.n; i-- > 1;)
		out->type = wrap(c, out->type, &d.steps.v[i]);
	if (d.steps.n && d.steps.v[0].kind != STEP_ASSOC) {
		out->type = wrap(c, out->type, &d.steps.v[0]);
	} else if (d.steps.n) {
		assoc = &d.steps.v[0];
		out->assoc = true;
		out->keys = assoc->types;
		out->knames = assoc->names;
		out->nkeys = assoc->ntypes;
	}
	return !c->lx.dead;
}

struct dt_type *dt_parse_type(struct dt_compile *c)
{
	struct dt_specs s;
	struct dt_decl d;

	if (!dt_parse_specs(c, &s) || !dt_parse_declarator(c, &s, &d))
		return NULL;
	if (d.name)
		return dt_syntax(c, D_SYNTAX, d.loc,
				 "syntax error near \"%s\": a type has no name here", d.name);
	if (s.cls != CL_NONE)
		dt_err(c, D_DECL_BADCLASS, s.loc, "a type has no storage class here");
	if (d.assoc)
		dt_err(c, D_DECL_DYNOBJ, d.loc, "the type of an associative array cannot be named");
	return d.type;
}

void dt_declare_typedef(struct dt_compile *c, const struct dt_decl *d)
{
	struct dt_type *old = dt_htab_get(&c->names.typedefs, d->name), *t;

	if (!old)
		old = dt_htab_get(&c->ts->typedefs, d->name);
	if (d->assoc) {
		dt_err(c, D_DECL_DYNOBJ, d->loc,
		       "the type of an associative array cannot be named: %s", d->name);
		return;
	}
	if (old && dt_type_same(old, d->type))
		return;
	if (old) {
		dt_err(c, D_DECL_TYPERED, d->loc, "type redeclared: %s is %s", d->name,
		       dt_tstr(c, old->ref));
		return;
	}
	t = dt_type_new(c->ts, DT_TYPEDEF, d->name);
	t->ref = d->type;
	t->complete = true;
	t->size = dt_type_size(d->type);
	dt_put(c, &c->names.typedefs, d->name, t);
}
