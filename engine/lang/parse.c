/* SPDX-License-Identifier: Apache-2.0 */
/*
 * parse.c - expressions, statements and clauses: recursive descent, operators by precedence.
 *
 * A parenthesis that may open a cast is decided by looking ahead, and by asking whether the word
 * inside names a type only when nothing else tells: the kernel's types are costly to read.
 */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "lang/compile.h"

#define MAX_DESC 1024 /* bytes of a probe description */

/* ---- making nodes -------------------------------------------------------------------------- */

struct dt_node *dt_node_new(struct dt_compile *c, enum dt_nop op, struct dt_loc loc)
{
	struct dt_node *n = dt_arena_new(c->a, struct dt_node);

	n->op = op;
	n->loc = loc;
	c->nnodes++;
	return n;
}

static struct dt_node *parent(struct dt_compile *c, struct dt_node *n, const struct dt_node *child)
{
	if (child && child->height >= n->height)
		n->height = (u16)(child->height + 1);
	if (n->height > DT_MAX_HEIGHT)
		dt_syntax(c, D_SYNTAX, n->loc,
			  "expression is too complicated: more than %d operators in a row",
			  DT_MAX_HEIGHT);
	return n;
}

static struct dt_node *unary(struct dt_compile *c, enum dt_nop op, struct dt_loc loc,
			     struct dt_node *l)
{
	struct dt_node *n;

	if (!l)
		return NULL;
	n = dt_node_new(c, op, dt_loc_span(loc, l->loc));
	n->l = l;
	return parent(c, n, l);
}

static struct dt_node *binary(struct dt_compile *c, enum dt_nop op, struct dt_node *l,
			      struct dt_node *r)
{
	struct dt_node *n;

	if (!l || !r)
		return NULL;
	n = dt_node_new(c, op, dt_loc_span(l->loc, r->loc));
	n->l = l;
	n->r = r;
	return parent(c, parent(c, n, l), r);
}

bool dt_enter(struct dt_compile *c)
{
	if (c->depth >= DT_MAX_DEPTH) {
		dt_syntax(c, D_SYNTAX, dt_peek(c, 0)->loc, "too deeply nested: more than %d levels",
			  DT_MAX_DEPTH);
		return false;
	}
	c->depth++;
	return true;
}

void dt_leave(struct dt_compile *c)
{
	c->depth--;
}

/* ---- primary and postfix expressions ------------------------------------------------------- */

/* Arguments up to the closing token, which is taken. */
static bool parse_args(struct dt_compile *c, struct dt_node *n, enum dt_tok close)
{
	DT_VEC(struct dt_node *) args = { 0 };
	struct dt_node *arg;

	if (!dt_accept(c, close)) {
		do {
			arg = dt_parse_assign(c);
			if (!arg)
				return false;
			*dt_vec_push(c->a, &args) = arg;
			parent(c, n, arg);
		} while (dt_accept(c, T_COMMA));
		if (!dt_expect(c, close))
			return false;
	}
	n->args = args.v;
	n->nargs = args.n;
	n->loc = dt_loc_span(n->loc, c->last);
	return true;
}

static struct dt_node *parse_call(struct dt_compile *c, struct dt_token *name)
{
	struct dt_node *n = dt_node_new(c, N_CALLNAME, name->loc);

	n->str = name->str;
	dt_next(c); /* ( */
	return parse_args(c, n, T_RPAR) ? n : NULL;
}

/* self->x, this->x */
static struct dt_node *parse_scoped(struct dt_compile *c)
{
	struct dt_token scope = dt_next(c);
	struct dt_node *n;

	if (!dt_expect(c, T_ARROW))
		return NULL;
	if (dt_peek(c, 0)->tok != T_IDENT)
		return dt_unexpected(c, "the name of a variable");
	n = dt_node_new(c, N_IDENT, dt_loc_span(scope.loc, dt_peek(c, 0)->loc));
	n->str = dt_next(c).str;
	n->val = scope.tok == TOK_KW(SELF) ? DT_SELF : DT_THIS;
	return n;
}

static struct dt_node *parse_ident(struct dt_compile *c)
{
	struct dt_token t = dt_next(c);
	struct dt_node *n;

	if (dt_peek(c, 0)->tok == T_LPAR)
		return parse_call(c, &t);
	if (t.tok != T_IDENT)
		return NULL;
	n = dt_node_new(c, N_IDENT, t.loc);
	n->str = t.str;
	n->slen = t.slen;
	n->val = DT_GLOBAL;
	dt_put(c, &c->names.mentioned, t.str, c);
	return n;
}

static struct dt_node *parse_literal(struct dt_compile *c)
{
	struct dt_token t = dt_next(c);
	struct dt_node *n = dt_node_new(c,
					t.tok == T_INT ? N_INT :
					t.tok == T_STR ? N_STR :
							 N_AGG,
					t.loc);

	n->val = t.val;
	n->str = t.str;
	n->slen = t.slen;
	if (t.tok == T_INT)
		n->type = dt_basic(c, t.itype);
	return n;
}

static struct dt_node *parse_parens(struct dt_compile *c)
{
	struct dt_loc open = dt_next(c).loc;
	struct dt_node *n = dt_parse_expr(c);

	if (!n || !dt_expect(c, T_RPAR))
		return NULL;
	n->paren = true;
	n->loc = dt_loc_span(open, c->last);
	return n;
}

/* xlate < type > ( expression ) */
static struct dt_node *parse_xlate(struct dt_compile *c)
{
	struct dt_node *n = dt_node_new(c, N_XLATE, dt_next(c).loc);

	if (!dt_expect(c, T_LT))
		return NULL;
	n->dtype = dt_parse_type(c);
	if (!n->dtype || !dt_expect(c, T_GT) || !dt_expect(c, T_LPAR))
		return NULL;
	n->l = dt_parse_expr(c);
	if (!n->l || !dt_expect(c, T_RPAR))
		return NULL;
	n->loc = dt_loc_span(n->loc, c->last);
	return parent(c, n, n->l);
}

/* offsetof ( type , member.member ) */
static struct dt_node *parse_offsetof(struct dt_compile *c)
{
	struct dt_node *n = dt_node_new(c, N_OFFSETOF, dt_next(c).loc);
	const char *path = "";

	if (!dt_expect(c, T_LPAR))
		return NULL;
	n->dtype = dt_parse_type(c);
	if (!n->dtype || !dt_expect(c, T_COMMA))
		return NULL;
	do {
		if (dt_peek(c, 0)->tok != T_IDENT && dt_peek(c, 0)->tok < T_KEYWORD)
			return dt_unexpected(c, "the name of a member");
		path = dt_arena_printf(c->a, "%s%s%s", path, *path ? "." : "",
				       dt_member_name(c, dt_next(c).str));
	} while (dt_accept(c, T_DOT));
	if (!dt_expect(c, T_RPAR))
		return NULL;
	n->str = path;
	n->loc = dt_loc_span(n->loc, c->last);
	return n;
}

static struct dt_node *parse_primary(struct dt_compile *c)
{
	switch (dt_peek(c, 0)->tok) {
	case T_INT:
	case T_STR:
	case T_AGG: return parse_literal(c);
	case T_IDENT: return parse_ident(c);
	case T_LPAR: return parse_parens(c);
	case TOK_KW(SELF):
	case TOK_KW(THIS): return parse_scoped(c);
	case TOK_KW(XLATE): return parse_xlate(c);
	case TOK_KW(OFFSETOF): return parse_offsetof(c);
	case TOK_KW(RETURN):
		if (dt_peek(c, 1)->tok == T_LPAR)
			return parse_ident(c);
		break;
	default: break;
	}
	return dt_unexpected(c, "an expression");
}

static struct dt_node *parse_member(struct dt_compile *c, struct dt_node *l)
{
	enum dt_tok tok = dt_next(c).tok;
	struct dt_node *n;

	if (dt_peek(c, 0)->tok != T_IDENT && dt_peek(c, 0)->tok < T_KEYWORD)
		return dt_unexpected(c, "the name of a member");
	n = unary(c, tok == T_ARROW ? N_ARROW : N_DOT, l->loc, l);
	n->str = dt_member_name(c, dt_next(c).str);
	n->loc = dt_loc_span(l->loc, c->last);
	return n;
}

static struct dt_node *parse_subscript(struct dt_compile *c, struct dt_node *l)
{
	struct dt_node *n;

	dt_next(c); /* [ */
	if (dt_peek(c, 0)->tok == T_RBRAC)
		return dt_unexpected(c, "an index or key");
	n = unary(c, N_SUBSCRIPT, l->loc, l);
	return parse_args(c, n, T_RBRAC) ? n : NULL;
}

static struct dt_node *parse_postincdec(struct dt_compile *c, struct dt_node *l)
{
	struct dt_node *n = unary(c, dt_peek(c, 0)->tok == T_INC ? N_POSTINC : N_POSTDEC, l->loc, l);

	n->loc = dt_loc_span(l->loc, dt_next(c).loc);
	return n;
}

static struct dt_node *parse_postfix(struct dt_compile *c)
{
	struct dt_node *n = parse_primary(c);

	while (n && !c->lx.dead) {
		switch (dt_peek(c, 0)->tok) {
		case T_ARROW:
		case T_DOT: n = parse_member(c, n); break;
		case T_LBRAC: n = parse_subscript(c, n); break;
		case T_INC:
		case T_DEC: n = parse_postincdec(c, n); break;
		case T_LPAR:
			return dt_syntax(c, D_FUNC_IDENT, n->loc,
					 "only a name can be called as a function");
		default: return n;
		}
	}
	return n;
}

/* ---- casts and unary operators ------------------------------------------------------------- */

/* May a unary expression begin with this token? */
enum start {
	START_NO,
	START_YES,
	START_PERHAPS
}; /* perhaps: it may be a binary operator as well */
static enum start starts_unary(enum dt_tok tok)
{
	switch (tok) {
	case T_INT:
	case T_STR:
	case T_IDENT:
	case T_AGG:
	case T_NOT:
	case T_TILDE:
	case TOK_KW(SELF):
	case TOK_KW(THIS):
	case TOK_KW(XLATE):
	case TOK_KW(OFFSETOF):
	case TOK_KW(SIZEOF):
	case TOK_KW(STRINGOF): return START_YES;
	case T_LPAR:
	case T_MINUS:
	case T_PLUS:
	case T_STAR:
	case T_AND:
	case T_INC:
	case T_DEC: return START_PERHAPS;
	default: return START_NO;
	}
}

/* "(" is next: does it open a cast? */
static bool is_cast(struct dt_compile *c)
{
	const struct dt_token *t = dt_peek(c, 1);
	u32 i = 2;

	if (t->tok != T_IDENT)
		return t->tok > T_KEYWORD && dt_is_typename(c, 1);
	switch (dt_peek(c, 2)->tok) {
	case T_RPAR:
		switch (starts_unary(dt_peek(c, 3)->tok)) {
		case START_NO: return false;
		case START_YES: return true;
		default: return dt_is_typename(c, 1);
		}
	case T_STAR:
		while (i < 6 && dt_peek(c, i)->tok == T_STAR)
			i++;
		return dt_peek(c, i)->tok == T_RPAR;
	case T_LPAR: return dt_peek(c, 3)->tok == T_STAR && dt_peek(c, 4)->tok == T_RPAR;
	case TOK_KW(CONST):
	case TOK_KW(VOLATILE): return true;
	default: return false;
	}
}

static struct dt_node *parse_unary(struct dt_compile *c);

static struct dt_node *parse_cast(struct dt_compile *c)
{
	struct dt_loc open = dt_next(c).loc;
	struct dt_type *t = dt_parse_type(c);
	struct dt_node *n;

	if (!t || !dt_expect(c, T_RPAR))
		return NULL;
	n = unary(c, N_CAST, open, parse_unary(c));
	if (n)
		n->dtype = t;
	return n;
}

static struct dt_node *parse_sizeof(struct dt_compile *c)
{
	struct dt_loc loc = dt_next(c).loc;
	struct dt_node *n;

	if (dt_peek(c, 0)->tok != T_LPAR || !dt_is_typename(c, 1))
		return unary(c, N_SIZEOF, loc, parse_unary(c));
	dt_next(c);
	n = dt_node_new(c, N_SIZEOF, loc);
	n->dtype = dt_parse_type(c);
	if (!n->dtype || !dt_expect(c, T_RPAR))
		return NULL;
	n->loc = dt_loc_span(loc, c->last);
	return n;
}

static const struct {
	enum dt_tok tok;
	enum dt_nop op;
	u64 val;
} prefixes[] = {
	{ T_INC, N_PREINC, 0 },   { T_DEC, N_PREDEC, 0 }, { T_AND, N_ADDROF, 0 },
	{ T_STAR, N_DEREF, 0 },   { T_PLUS, N_NEG, 1 },   { T_MINUS, N_NEG, 0 },
	{ T_TILDE, N_BITNOT, 0 }, { T_NOT, N_LOGNOT, 0 }, { TOK_KW(STRINGOF), N_STRINGOF, 0 },
};

static struct dt_node *parse_prefix(struct dt_compile *c)
{
	enum dt_tok tok = dt_peek(c, 0)->tok;
	struct dt_node *n;
	struct dt_loc loc;
	size_t i;

	for (i = 0; i < DT_NELEM(prefixes); i++) {
		if (prefixes[i].tok != tok)
			continue;
		loc = dt_next(c).loc;
		n = unary(c, prefixes[i].op, loc, parse_unary(c));
		if (n)
			n->val = prefixes[i].val;
		return n;
	}
	if (tok == TOK_KW(SIZEOF))
		return parse_sizeof(c);
	if (tok == T_LPAR && is_cast(c))
		return parse_cast(c);
	return parse_postfix(c);
}

static struct dt_node *parse_unary(struct dt_compile *c)
{
	struct dt_node *n;

	if (!dt_enter(c))
		return NULL;
	n = parse_prefix(c);
	dt_leave(c);
	return n;
}

/* ---- binary operators, ?:, assignment ------------------------------------------------------ */

static const struct {
	enum dt_tok tok;
	enum dt_nop op;
	int prec;
} binaries[] = {
	{ T_STAR, N_MUL, 11 },  { T_DIV, N_DIV, 11 },  { T_MOD, N_MOD, 11 }, { T_PLUS, N_ADD, 10 },
	{ T_MINUS, N_SUB, 10 }, { T_SHL, N_SHL, 9 },   { T_SHR, N_SHR, 9 },  { T_LT, N_LT, 8 },
	{ T_LE, N_LE, 8 },      { T_GT, N_GT, 8 },     { T_GE, N_GE, 8 },    { T_EQ, N_EQ, 7 },
	{ T_NE, N_NE, 7 },      { T_AND, N_AND, 6 },   { T_XOR, N_XOR, 5 },  { T_OR, N_OR, 4 },
	{ T_LAND, N_LAND, 3 },  { T_LXOR, N_LXOR, 2 }, { T_LOR, N_LOR, 1 },
};

static int find_binary(enum dt_tok tok)
{
	size_t i;

	for (i = 0; i < DT_NELEM(binaries); i++)
		if (binaries[i].tok == tok)
			return (int)i;
	return -1;
}

static struct dt_node *parse_binary(struct dt_compile *c, int least)
{
	struct dt_node *l = parse_unary(c);
	int i;

	while (l && !c->lx.dead) {
		i = find_binary(dt_peek(c, 0)->tok);
		if (i < 0 || binaries[i].prec < least)
			return l;
		dt_next(c);
		l = binary(c, binaries[i].op, l, parse_binary(c, binaries[i].prec + 1));
	}
	return l;
}

static struct dt_node *parse_cond(struct dt_compile *c)
{
	struct dt_node *l = parse_binary(c, 1), *r, *n;

	if (!l || !dt_accept(c, T_QUEST))
		return l;
	if (!dt_enter(c))
		return NULL;
	r = dt_parse_expr(c);
	n = r && dt_expect(c, T_COLON) ? parse_cond(c) : NULL;
	dt_leave(c);
	if (!n)
		return NULL;
	l = binary(c, N_COND, l, r);
	l->c = n;
	l->loc = dt_loc_span(l->loc, n->loc);
	return parent(c, l, n);
}

static const struct {
	enum dt_tok tok;
	enum dt_nop op;
} assigns[] = {
	{ T_ASSIGN, N_ASSIGN }, { T_ADDEQ, N_ADD }, { T_SUBEQ, N_SUB }, { T_MULEQ, N_MUL },
	{ T_DIVEQ, N_DIV },     { T_MODEQ, N_MOD }, { T_ANDEQ, N_AND }, { T_XOREQ, N_XOR },
	{ T_OREQ, N_OR },       { T_SHLEQ, N_SHL }, { T_SHREQ, N_SHR },
};

/* a + b = c is no sentence; (a + b) = c is one, though a wrong one. */
static bool may_be_assigned(const struct dt_node *n)
{
	return n->paren || !((n->op >= N_MUL && n->op <= N_COND) || n->op == N_CAST);
}

struct dt_node *dt_parse_assign(struct dt_compile *c)
{
	struct dt_node *l, *n = NULL;
	size_t i;

	if (!dt_enter(c))
		return NULL;
	l = parse_cond(c);
	for (i = 0; l && i < DT_NELEM(assigns); i++)
		if (assigns[i].tok == dt_peek(c, 0)->tok)
			break;
	if (!l || i == DT_NELEM(assigns)) {
		dt_leave(c);
		return l;
	}
	if (!may_be_assigned(l)) {
		dt_unexpected(c, "");
	} else {
		dt_next(c);
		n = binary(c, assigns[i].op == N_ASSIGN ? N_ASSIGN : N_OPASSIGN, l,
			   dt_parse_assign(c));
		if (n)
			n->val = assigns[i].op;
	}
	dt_leave(c);
	return n;
}

struct dt_node *dt_parse_expr(struct dt_compile *c)
{
	struct dt_node *l = dt_parse_assign(c);

	while (l && dt_accept(c, T_COMMA))
		l = binary(c, N_COMMA, l, dt_parse_assign(c));
	return l;
}

/* ---- statements ---------------------------------------------------------------------------- */

static struct dt_stmt *parse_stmts(struct dt_compile *c);

static struct dt_stmt *stmt_new(struct dt_compile *c, enum dt_stmt_kind kind, struct dt_loc loc)
{
	struct dt_stmt *s = dt_arena_new(c->a, struct dt_stmt);

	s->kind = kind;
	s->loc = loc;
	return s;
}

static struct dt_stmt *parse_stmt(struct dt_compile *c);

/* { ... } or one statement */
static struct dt_stmt *parse_branch(struct dt_compile *c)
{
	struct dt_stmt *s;

	if (!dt_accept(c, T_LBRACE))
		return dt_accept(c, T_SEMI) ? NULL : parse_stmt(c);
	s = parse_stmts(c);
	dt_expect(c, T_RBRACE);
	return s;
}

static struct dt_stmt *parse_if(struct dt_compile *c)
{
	struct dt_stmt *s = stmt_new(c, S_IF, dt_next(c).loc);

	if (!dt_enter(c))
		return s;
	if (dt_expect(c, T_LPAR)) {
		s->expr = dt_parse_expr(c);
		if (s->expr && dt_expect(c, T_RPAR)) {
			s->loc = dt_loc_span(s->loc, c->last);
			s->then_ = parse_branch(c);
			if (dt_accept(c, TOK_KW(ELSE)))
				s->else_ = parse_branch(c);
		}
	}
	dt_leave(c);
	return s;
}

/* One statement with its semicolon; the last one of a body needs none. */
static struct dt_stmt *parse_stmt(struct dt_compile *c)
{
	struct dt_stmt *s;
	struct dt_node *n;

	if (dt_peek(c, 0)->tok == TOK_KW(IF))
		return parse_if(c);
	n = dt_parse_expr(c);
	if (!n)
		return NULL;
	s = stmt_new(c, S_EXPR, n->loc);
	s->expr = n;
	if (dt_peek(c, 0)->tok != T_RBRACE)
		dt_expect(c, T_SEMI);
	return s;
}

/* Statements up to the closing brace, which is left. */
static struct dt_stmt *parse_stmts(struct dt_compile *c)
{
	struct dt_stmt *first = NULL, **tail = &first;

	while (!c->lx.dead && dt_peek(c, 0)->tok != T_RBRACE && dt_peek(c, 0)->tok != T_EOF) {
		if (dt_accept(c, T_SEMI))
			continue;
		*tail = parse_stmt(c);
		if (*tail)
			tail = &(*tail)->next;
	}
	return first;
}

/* ---- clauses ------------------------------------------------------------------------------- */

static bool is_desc_char(int ch)
{
	return isalnum(ch) || (ch && strchr("-$:_.`?*\\[]!+@~", ch));
}

/* A slash belongs to a description in its second field, behind a provider whose modules are files, when the field
 * starts with one; anywhere else a predicate begins. */
static bool starts_path(const char *s, u32 n)
{
	static const char *const providers[] = { "pid", "uprobe:", "usdt:" };

	if (!n || s[n - 1] != ':' || memchr(s, ':', n - 1))
		return false;
	for (size_t i = 0; i < DT_NELEM(providers); i++)
		if (n > strlen(providers[i]) - (i > 0) &&
		    strncmp(s, providers[i], strlen(providers[i])) == 0)
			return true;
	return false;
}

/* Length of the probe description at the lexer's position; a comma inside brackets belongs to
 * it. */
static u32 scan_desc(const struct dt_lexer *lx)
{
	u32 i;
	bool set = false, path = false;

	for (i = lx->pos; i < lx->len; i++) {
		int ch = (unsigned char)lx->text[i];

		if (ch == '\\' && i + 1 < lx->len && isgraph((unsigned char)lx->text[i + 1]))
			i++;
		else if (ch == '[' || ch == ']')
			set = ch == '[';
		else if (ch == '/' && (path || starts_path(lx->text + lx->pos, i - lx->pos)))
			path = true;
		else if (path && ch == ':')
			path = false;
		else if (!is_desc_char(ch) && !(set && ch == ','))
			break;
	}
	return i - lx->pos;
}

/* A description with its macro variables put in; NULL: reported. */
static const char *expand_desc(struct dt_compile *c, const char *s, u32 n, struct dt_loc loc)
{
	const char *out = "", *text;
	u32 i, start;

	if (!memchr(s, '$', n))
		return dt_arena_strndup(c->a, s, n);
	for (i = 0; i < n;) {
		for (start = i; i < n && s[i] != '$'; i++)
			;
		out = dt_arena_printf(c->a, "%s%.*s", out, (int)(i - start), s + start);
		if (i == n)
			break;
		for (; i < n && s[i] == '$'; i++)
			;
		for (start = i; i < n && (isalnum((unsigned char)s[i]) || s[i] == '_'); i++)
			;
		if (i == start)
			return dt_err(
				c, D_SYNTAX, loc,
				"$ wants the name of a macro variable or the number of an argument");
		text = dt_macro_text(c, dt_arena_strndup(c->a, s + start, i - start), loc);
		if (!text)
			return NULL;
		out = dt_arena_printf(c->a, "%s%s", out, text);
	}
	return out;
}

static bool all_digits(const char *s)
{
	return *s && !s[strspn(s, "0123456789")];
}

static bool by_number(struct dt_pdesc *d, const char *text)
{
	char *end;
	unsigned long id = strtoul(text, &end, 10);

	if (!all_digits(text) || strlen(text) > 10 || id > UINT32_MAX || id == 0)
		return false;
	d->id = (u32)id;
	d->prov = d->mod = d->func = d->name = "";
	return true;
}

static void add_desc(struct dt_compile *c, struct dt_clause *cl, const char *s, u32 n,
		     struct dt_loc loc)
{
	dtrace_probespec_t spec =
		c->p->spec == DTRACE_PROBESPEC_NONE ? DTRACE_PROBESPEC_NAME : c->p->spec;
	const char *text, *why = "malformed";
	struct dt_pdesc d = { 0 };

	if (n > MAX_DESC) {
		dt_err(c, D_PDESC_INVAL, loc, "probe description is too long");
		return;
	}
	text = expand_desc(c, s, n, loc);
	if (!text)
		return;
	if (!by_number(&d, text) && dt_pdesc_parse(c->a, text, spec, &d, &why)) {
		dt_err(c, D_PDESC_INVAL, loc, "invalid probe description \"%s\": %s", text, why);
		return;
	}
	*dt_vec_push(c->a, &cl->descs) = d;
	*dt_vec_push(c->a, &cl->desclocs) = loc;
}

/* desc, desc ...: up to what follows them */
static bool parse_descs(struct dt_compile *c, struct dt_clause *cl)
{
	struct dt_lexer *lx = &c->lx;
	struct dt_loc loc;
	u32 n;

	for (;;) {
		dt_lex_skip(c);
		n = lx->dead ? 0 : scan_desc(lx);
		if (!n) {
			dt_unexpected(c, "a probe description");
			return false;
		}
		lx->fresh = false;
		loc = dt_lex_loc(c, lx->pos, n);
		cl->loc = cl->loc.src ? dt_loc_span(cl->loc, loc) : loc;
		add_desc(c, cl, lx->text + lx->pos, n, loc);
		lx->pos += n;
		dt_lex_skip(c);
		if (lx->dead || lx->pos >= lx->len || lx->text[lx->pos] != ',')
			return !lx->dead;
		lx->pos++;
	}
}

static void parse_predicate(struct dt_compile *c, struct dt_clause *cl)
{
	struct dt_loc open = dt_lex_loc(c, c->lx.pos, 1);

	c->lx.pos++;
	c->lx.in_pred = true;
	cl->pred = dt_parse_expr(c);
	if (cl->pred && dt_expect(c, T_EPRED))
		open = dt_loc_span(open, c->last);
	c->lx.in_pred = false;
	if (cl->pred && !c->lx.dead && dt_peek(c, 0)->tok != T_LBRACE)
		dt_syntax(c, D_SYNTAX, open,
			  "expected actions { } following probe description and predicate");
}

static void parse_clause(struct dt_compile *c)
{
	struct dt_clause *cl = dt_arena_new(c->a, struct dt_clause);
	int ch;

	if (!parse_descs(c, cl))
		return;
	if (c->p->userlib) {
		dt_syntax(c, D_SYNTAX, cl->loc, "a D library has declarations only, no clauses");
		return;
	}
	dt_item_add(c, I_CLAUSE)->clause = cl;
	*dt_vec_push(c->a, &c->p->clauses) = cl;
	ch = c->lx.pos < c->lx.len ? c->lx.text[c->lx.pos] : -1;
	if (ch == '/')
		parse_predicate(c, cl);
	if (c->lx.dead)
		return;
	if (ch == -1 || dt_accept(c, T_SEMI)) {
		if (c->p->script)
			dt_syntax(c, D_SYNTAX, cl->loc,
				  "expected a predicate or actions { } following the probe description");
		return;
	}
	if (!dt_accept(c, T_LBRACE)) {
		dt_unexpected(c, "a predicate or actions { } following the probe description");
		return;
	}
	cl->stmts = parse_stmts(c);
	dt_expect(c, T_RBRACE);
}

/* ---- the program --------------------------------------------------------------------------- */

static u32 word_length(const struct dt_lexer *lx)
{
	u32 i = lx->pos;

	while (i < lx->len && (isalnum((unsigned char)lx->text[i]) || lx->text[i] == '_'))
		i++;
	return i - lx->pos;
}

static bool is_decl_keyword(const char *s, u32 n)
{
	int i;

	for (i = 0; i < KW_N; i++)
		if (dt_keywords[i].flags & DT_KF_DECL && strlen(dt_keywords[i].word) == n &&
		    memcmp(dt_keywords[i].word, s, n) == 0)
			return true;
	return false;
}

/* A unit that starts with a declaration's keyword, or with a word followed by another ("uint64_t
 * total"), is a declaration; all others are clauses. */
static bool at_declaration(struct dt_compile *c)
{
	struct dt_lexer *lx = &c->lx;
	u32 n = scan_desc(lx), word = word_length(lx), i;
	int ch;

	if (word && is_decl_keyword(lx->text + lx->pos, word) &&
	    (n == word || !strchr(":-.[", lx->text[lx->pos + word])))
		return true;
	if (!word || isdigit((unsigned char)lx->text[lx->pos]))
		return lx->text[lx->pos] == '`';
	i = dt_lex_blank(lx, lx->pos + n);
	ch = i < lx->len ? (unsigned char)lx->text[i] : 0;
	return i > lx->pos + n && (isalpha(ch) || ch == '_' || ch == '*' || ch == '(');
}

void dt_parse(struct dt_compile *c)
{
	struct dt_lexer *lx = &c->lx;

	for (;;) {
		dt_lex_skip(c);
		if (lx->dead || lx->pos >= lx->len)
			return;
		if (lx->text[lx->pos] == ';')
			lx->pos++;
		else if (at_declaration(c))
			dt_parse_declaration(c);
		else
			parse_clause(c);
		if (c->nlook && !lx->dead && c->look[0].tok != T_EOF) {
			/* nothing may be read ahead here: the next unit may be probe text */
			lx->pos = c->look[0].loc.off;
		}
		c->nlook = 0;
	}
}
