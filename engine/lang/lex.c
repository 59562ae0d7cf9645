/* SPDX-License-Identifier: Apache-2.0 */
/*
 * lex.c - characters to tokens, on demand.  Comments and control lines vanish here; macro variables
 * become literals.  Probe descriptions are not tokens: the parser takes their characters itself
 * (parse.c).
 */
#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "lang/compile.h"

const struct dt_keyword dt_keywords[KW_N] = {
#define KEYWORD(word, id, flags) [KW_##id] = { word, flags },
#include "lang/keywords.def"
#undef KEYWORD
};

/* Longest first where one begins another. */
static const struct {
	char text[4];
	enum dt_tok tok;
} puncts[] = {
	{ "<<=", T_SHLEQ }, { ">>=", T_SHREQ }, { "...", T_ELLIPSIS }, { "->", T_ARROW },
	{ "++", T_INC },    { "--", T_DEC },    { "<<", T_SHL },       { ">>", T_SHR },
	{ "<=", T_LE },     { ">=", T_GE },     { "==", T_EQ },        { "!=", T_NE },
	{ "&&", T_LAND },   { "^^", T_LXOR },   { "||", T_LOR },       { "+=", T_ADDEQ },
	{ "-=", T_SUBEQ },  { "*=", T_MULEQ },  { "/=", T_DIVEQ },     { "%=", T_MODEQ },
	{ "&=", T_ANDEQ },  { "^=", T_XOREQ },  { "|=", T_OREQ },      { "(", T_LPAR },
	{ ")", T_RPAR },    { "[", T_LBRAC },   { "]", T_RBRAC },      { "{", T_LBRACE },
	{ "}", T_RBRACE },  { ";", T_SEMI },    { ",", T_COMMA },      { "?", T_QUEST },
	{ ":", T_COLON },   { ".", T_DOT },     { "!", T_NOT },        { "~", T_TILDE },
	{ "*", T_STAR },    { "/", T_DIV },     { "%", T_MOD },        { "+", T_PLUS },
	{ "-", T_MINUS },   { "<", T_LT },      { ">", T_GT },         { "&", T_AND },
	{ "^", T_XOR },     { "|", T_OR },      { "=", T_ASSIGN },
};

static bool is_ident_start(int ch)
{
	return isalpha(ch) || ch == '_' || ch == '`';
}

static bool is_ident_char(int ch)
{
	return isalnum(ch) || ch == '_' || ch == '`';
}

void dt_lex_init(struct dt_compile *c)
{
	struct dt_lexer *lx = &c->lx;

	lx->src = &c->p->src;
	lx->text = lx->src->text;
	lx->len = (u32)lx->src->len;
	lx->line = 1;
	lx->fresh = true;
}

struct dt_loc dt_lex_loc(const struct dt_compile *c, u32 off, u32 len)
{
	const struct dt_lexer *lx = &c->lx;
	struct dt_loc loc = { lx->src, off, len, lx->shifted ? lx->line + lx->shift : 0 };

	return loc;
}

/* Character i bytes ahead; -1 at the end. */
static int at(const struct dt_lexer *lx, u32 i)
{
	return lx->len - lx->pos > i ? (unsigned char)lx->text[lx->pos + i] : -1;
}

/* ---- white space, comments, control lines -------------------------------------------------- */

static void newline(struct dt_lexer *lx)
{
	lx->line++;
	lx->fresh = true;
}

static void skip_line(struct dt_lexer *lx)
{
	while (at(lx, 0) != -1 && at(lx, 0) != '\n')
		lx->pos++;
}

static void skip_comment(struct dt_compile *c)
{
	struct dt_lexer *lx = &c->lx;
	struct dt_loc open = dt_lex_loc(c, lx->pos, 2);

	for (lx->pos += 2; at(lx, 0) != -1; lx->pos++) {
		if (at(lx, 0) == '*' && at(lx, 1) == '/') {
			lx->pos += 2;
			return;
		}
		if (at(lx, 0) == '/' && at(lx, 1) == '*') {
			dt_syntax(c, D_SYNTAX, dt_lex_loc(c, lx->pos, 2),
				  "/* encountered inside a comment");
			return;
		}
		if (at(lx, 0) == '\n')
			newline(lx);
	}
	dt_syntax(c, D_SYNTAX, open, "end of file encountered before matching */");
}

static void control_line(struct dt_compile *c)
{
	struct dt_lexer *lx = &c->lx;
	u32 start = lx->pos;

	skip_line(lx);
	lx->fresh = false;
	if (start == 0 && lx->len > 1 && lx->text[1] == '!')
		return;
	dt_control_line(c, start, lx->pos - start);
}

void dt_lex_skip(struct dt_compile *c)
{
	struct dt_lexer *lx = &c->lx;
	int ch;

	while (!lx->dead && (ch = at(lx, 0)) != -1) {
		if (ch == '\n') {
			newline(lx);
			lx->pos++;
		} else if (isspace(ch)) {
			lx->pos++;
		} else if (ch == '/' && at(lx, 1) == '*') {
			skip_comment(c);
		} else if (ch == '/' && at(lx, 1) == '/') {
			skip_line(lx);
		} else if (ch == '#' && lx->fresh) {
			control_line(c);
		} else {
			return;
		}
	}
}

u32 dt_lex_blank(const struct dt_lexer *lx, u32 i)
{
	while (i < lx->len) {
		if (isspace((unsigned char)lx->text[i])) {
			i++;
		} else if (lx->text[i] == '/' && i + 1 < lx->len && lx->text[i + 1] == '*') {
			for (i += 3; i < lx->len && !(lx->text[i - 1] == '*' && lx->text[i] == '/');
			     i++)
				;
			i++;
		} else if (lx->text[i] == '/' && i + 1 < lx->len && lx->text[i + 1] == '/') {
			while (i < lx->len && lx->text[i] != '\n')
				i++;
		} else {
			break;
		}
	}
	return DT_MIN(i, lx->len);
}

/* A / in a predicate ends it when what follows cannot go on with an expression. */
static bool ends_predicate(const struct dt_lexer *lx)
{
	u32 i = dt_lex_blank(lx, lx->pos + 1);

	return i >= lx->len || strchr("{;/", lx->text[i]) != NULL;
}

/* ---- numbers ------------------------------------------------------------------------------- */

/* The first type that holds val, as C has it. */
static enum dt_basic int_type(u64 val, bool decimal, bool is_unsigned, int longs)
{
	static const struct {
		u64 max;
		enum dt_basic type;
		bool is_unsigned;
		int longs;
	} types[] = {
		{ INT32_MAX, DT_T_INT, false, 0 },   { UINT32_MAX, DT_T_UINT, true, 0 },
		{ INT64_MAX, DT_T_LONG, false, 1 },  { UINT64_MAX, DT_T_ULONG, true, 1 },
		{ INT64_MAX, DT_T_LLONG, false, 2 }, { UINT64_MAX, DT_T_ULLONG, true, 2 },
	};
	size_t i;

	for (i = 0; i < DT_NELEM(types); i++) {
		if (types[i].longs < longs || val > types[i].max)
			continue;
		if (types[i].is_unsigned ? !decimal || is_unsigned : !is_unsigned)
			return types[i].type;
	}
	return DT_T_NBASIC;
}

struct number {
	u64 val;
	enum dt_basic type;
	u32 len;
	enum dt_tag wrong; /* D_NONE: all right */
};

static int digit(int ch)
{
	return ch >= '0' && ch <= '9' ? ch - '0' : isxdigit(ch) ? tolower(ch) - 'a' + 10 : 99;
}

/* An integer constant at the start of s. */
static struct number read_number(const char *s, u32 n)
{
	struct number num = { 0 };
	bool hex = n > 2 && s[0] == '0' && (s[1] == 'x' || s[1] == 'X') &&
		   isxdigit((unsigned char)s[2]);
	u64 base = hex ? 16 : s[0] == '0' ? 8 : 10;
	bool over = false, bad = false, is_unsigned = false;
	u32 i = hex ? 2 : 0;
	int longs = 0;

	for (; i < n && (hex ? isxdigit((unsigned char)s[i]) : isdigit((unsigned char)s[i])); i++) {
		bad |= digit((unsigned char)s[i]) >= (int)base;
		over |= __builtin_mul_overflow(num.val, base, &num.val);
		over |= __builtin_add_overflow(num.val, (u64)digit((unsigned char)s[i]), &num.val);
	}
	if (i < n && (s[i] == 'u' || s[i] == 'U')) {
		is_unsigned = true;
		i++;
	}
	for (; i < n && longs < 2 && (s[i] == 'l' || s[i] == 'L'); i++)
		longs++;
	num.len = i;
	num.type = int_type(num.val, base == 10, is_unsigned, longs);
	if (bad)
		num.wrong = D_INT_DIGIT;
	else if (over || num.type == DT_T_NBASIC)
		num.wrong = D_INT_OFLOW;
	return num;
}

static void lex_number(struct dt_compile *c, struct dt_token *t)
{
	struct dt_lexer *lx = &c->lx;
	struct number num = read_number(lx->text + lx->pos, lx->len - lx->pos);
	u32 len = num.len;

	while (lx->pos + len < lx->len && is_ident_char((unsigned char)lx->text[lx->pos + len]))
		len++;
	t->loc.len = len;
	lx->pos += len;
	t->tok = T_INT;
	t->val = num.val;
	t->itype = num.type;
	if (len != num.len)
		dt_syntax(c, D_SYNTAX, t->loc, "'%.*s' is not a number", (int)DT_MIN(len, 60u),
			  lx->text + t->loc.off);
	else if (num.wrong == D_INT_DIGIT)
		dt_syntax(c, D_INT_DIGIT, t->loc,
			  "octal integer constant %.*s contains the digit 8 or 9",
			  (int)DT_MIN(len, 60u), lx->text + t->loc.off);
	else if (num.wrong)
		dt_syntax(c, D_INT_OFLOW, t->loc,
			  "integer constant %.*s cannot be represented in any built-in integral type",
			  (int)DT_MIN(len, 60u), lx->text + t->loc.off);
	else if (at(lx, 0) == '.' && isdigit(at(lx, 1)))
		dt_syntax(c, D_SYNTAX, t->loc, "D has no floating-point constants");
}

/* ---- strings and characters ---------------------------------------------------------------- */

static u32 octal(const char *s, u32 n, unsigned int *val)
{
	u32 i;

	for (*val = 0, i = 0; i < n && i < 3 && s[i] >= '0' && s[i] <= '7'; i++)
		*val = *val * 8 + (unsigned int)(s[i] - '0');
	return i;
}

static u32 hexadecimal(const char *s, u32 n, unsigned int *val)
{
	u32 i;

	for (*val = 0, i = 0; i < n && isxdigit((unsigned char)s[i]); i++)
		*val = *val * 16 + (unsigned int)digit((unsigned char)s[i]);
	return i;
}

u32 dt_unescape(const char *s, u32 n, char *out)
{
	static const char from[] = "abfnrtv\\\"'", to[] = "\a\b\f\n\r\t\v\\\"'";
	unsigned int val;
	const char *p;
	u32 i = 0, o = 0, len;

	while (i < n) {
		if (s[i] != '\\' || i + 1 == n) {
			out[o++] = s[i++];
			continue;
		}
		p = s[i + 1] ? strchr(from, s[i + 1]) : NULL;
		if (p) {
			out[o++] = to[p - from];
			i += 2;
			continue;
		}
		len = octal(s + i + 1, n - i - 1, &val);
		if (!len && s[i + 1] == 'x') {
			len = hexadecimal(s + i + 2, n - i - 2, &val);
			len += len ? 1 : 0;
		}
		if (len)
			out[o++] = (char)val;
		else
			out[o++] = '\\'; /* any other escape keeps its backslash */
		i += len + 1;
	}
	return o;
}

/* Length of a quoted text at pos with its quotes; 0: reported. */
static u32 quoted(struct dt_compile *c, char quote, enum dt_tag newline_tag, const char *what)
{
	struct dt_lexer *lx = &c->lx;
	u32 i;

	for (i = 1; at(lx, i) != -1 && at(lx, i) != quote; i++) {
		if (at(lx, i) == '\n') {
			dt_syntax(c, newline_tag, dt_lex_loc(c, lx->pos, i),
				  "newline encountered in %s constant", what);
			return 0;
		}
		if (at(lx, i) == '\\' && at(lx, i + 1) != -1 && at(lx, i + 1) != '\n')
			i++;
	}
	if (at(lx, i) == quote)
		return i + 1;
	dt_syntax(c, D_SYNTAX, dt_lex_loc(c, lx->pos, 1),
		  "end of file encountered before the %s constant closed", what);
	return 0;
}

static void set_string(struct dt_compile *c, struct dt_token *t, const char *s, u32 n)
{
	char *buf = dt_arena_alloc(c->a, (size_t)n + 1);

	buf[dt_unescape(s, n, buf)] = '\0';
	t->tok = T_STR;
	t->str = buf;
	t->slen = (u32)strlen(buf); /* a string ends at its first NUL */
}

static void lex_string(struct dt_compile *c, struct dt_token *t)
{
	struct dt_lexer *lx = &c->lx;
	u32 len = quoted(c, '"', D_STR_NL, "string");

	if (!len)
		return;
	t->loc.len = len;
	set_string(c, t, lx->text + lx->pos + 1, len - 2);
	lx->pos += len;
}

static void lex_char(struct dt_compile *c, struct dt_token *t)
{
	struct dt_lexer *lx = &c->lx;
	u32 len = quoted(c, '\'', D_CHR_NL, "character"), n, i;
	char *buf;

	if (!len)
		return;
	t->loc.len = len;
	buf = dt_arena_alloc(c->a, len);
	n = dt_unescape(lx->text + lx->pos + 1, len - 2, buf);
	lx->pos += len;
	if (n == 0)
		dt_syntax(c, D_CHR_NULL, t->loc, "empty character constant");
	if (n > sizeof(t->val))
		dt_syntax(c, D_CHR_OFLOW, t->loc,
			  "character constant is too long: at most 8 characters fit");
	for (i = 0; i < n; i++)
		t->val = t->val << 8 | (unsigned char)buf[i];
	t->tok = T_INT;
	t->itype = int_type(t->val, false, false, 0);
}

/* ---- macro variables ----------------------------------------------------------------------- */

static const char *macro_number(struct dt_compile *c, const char *name)
{
	const struct dt_env *e = c->env;
	const struct {
		const char *name;
		s64 val;
	} vars[] = {
		{ "target", e->target < 0 ? 0 : e->target },
		{ "pid", e->pid },
		{ "ppid", e->ppid },
		{ "pgid", e->pgid },
		{ "sid", e->sid },
		{ "uid", e->uid },
		{ "euid", e->euid },
		{ "gid", e->gid },
		{ "egid", e->egid },
		{ "projid", 0 },
		{ "taskid", 0 },
	};
	size_t i;

	for (i = 0; i < DT_NELEM(vars); i++)
		if (strcmp(vars[i].name, name) == 0)
			return dt_arena_printf(c->a, "%lld", (long long)vars[i].val);
	return NULL;
}

const char *dt_macro_text(struct dt_compile *c, const char *name, struct dt_loc loc)
{
	const char *text;
	unsigned long n;
	char *end;

	if (!isdigit((unsigned char)*name)) {
		text = macro_number(c, name);
		return text ? text :
			      dt_err(c, D_MACRO_UNDEF, loc, "macro variable $%s is not defined",
				     name);
	}
	errno = 0;
	n = strtoul(name, &end, 10);
	if (*end || errno || n > 1000000)
		return dt_err(c, D_MACRO_OFLOW, loc, "macro argument $%s: no such number", name);
	if (n < (unsigned long)DT_MAX(c->env->argc, 0) && c->env->argv) {
		c->argused[n] = true;
		return c->env->argv[n];
	}
	if (c->env->cflags & DTRACE_C_DEFARG)
		return "";
	return dt_err(c, D_MACRO_UNDEF, loc, "macro argument $%s is not defined", name);
}

static bool is_identifier(const char *s)
{
	if (!is_ident_start((unsigned char)*s))
		return false;
	while (is_ident_char((unsigned char)*s))
		s++;
	return !*s;
}

static void word_token(struct dt_compile *c, struct dt_token *t, const char *s, u32 n);

/* An argument's text as a token: an integer (with a sign, perhaps), a name, or else a string. */
static void macro_token(struct dt_compile *c, struct dt_token *t, const char *text)
{
	bool sign = *text == '-' || *text == '+';
	struct number num;

	if (isdigit((unsigned char)text[sign])) {
		num = read_number(text + sign, (u32)strlen(text + sign));
		if (text[sign + num.len]) {
			set_string(c, t, text, (u32)strlen(text));
			return;
		}
		if (num.wrong == D_INT_DIGIT)
			dt_syntax(c, D_INT_DIGIT, t->loc, "macro argument %s is no octal number",
				  text);
		else if (num.wrong)
			dt_syntax(c, D_MACRO_OFLOW, t->loc,
				  "macro argument %s results in integer overflow", text);
		t->tok = T_INT;
		t->val = *text == '-' ? -num.val : num.val;
		t->itype = num.wrong ? DT_T_INT : num.type;
	} else if (is_identifier(text)) {
		word_token(c, t, text, (u32)strlen(text));
	} else if (!*text) { /* defaultargs */
		t->tok = T_INT;
		t->itype = DT_T_INT;
	} else {
		set_string(c, t, text, (u32)strlen(text));
	}
}

static void lex_macro(struct dt_compile *c, struct dt_token *t)
{
	struct dt_lexer *lx = &c->lx;
	bool quote = at(lx, 1) == '$';
	u32 start = quote ? 2 : 1, len = start;
	const char *text;

	while (at(lx, len) != -1 && (isalnum(at(lx, len)) || at(lx, len) == '_'))
		len++;
	t->loc.len = len;
	lx->pos += len;
	if (len == start) {
		dt_syntax(c, D_SYNTAX, t->loc,
			  "$ wants the name of a macro variable or the number of an argument");
		return;
	}
	text = dt_macro_text(c, dt_arena_strndup(c->a, lx->text + t->loc.off + start, len - start),
			     t->loc);
	if (!text)
		lx->dead = true;
	else if (quote)
		set_string(c, t, text, (u32)strlen(text));
	else
		macro_token(c, t, text);
}

/* ---- names --------------------------------------------------------------------------------- */

static enum dt_tok keyword(const char *s, u32 n)
{
	int i;

	for (i = 0; i < KW_N; i++)
		if (dt_keywords[i].word[0] == s[0] && strlen(dt_keywords[i].word) == n &&
		    memcmp(dt_keywords[i].word, s, n) == 0)
			return (enum dt_tok)(T_KEYWORD + 1 + i);
	return T_IDENT;
}

static void word_token(struct dt_compile *c, struct dt_token *t, const char *s, u32 n)
{
	const char *scope = memrchr(s, '`', n);
	u32 skip = scope ? (u32)(scope + 1 - s) : 0;

	/* mod`struct page: types all come from the kernel, so the module says nothing */
	t->tok = keyword(s + skip, n - skip);
	if (t->tok != T_IDENT && skip &&
	    !(t->tok == TOK_KW(STRUCT) || t->tok == TOK_KW(UNION) || t->tok == TOK_KW(ENUM)))
		t->tok = T_IDENT;
	t->str = dt_arena_strndup(c->a, s, n);
	if (t->tok == T_IDENT && !skip)
		t->str = dt_versioned(c, t->str);
	t->slen = n;
}

static void lex_word(struct dt_compile *c, struct dt_token *t)
{
	struct dt_lexer *lx = &c->lx;
	u32 n = 1;

	while (at(lx, n) != -1 && is_ident_char(at(lx, n)))
		n++;
	t->loc.len = n;
	word_token(c, t, lx->text + lx->pos, n);
	lx->pos += n;
}

static void lex_agg(struct dt_compile *c, struct dt_token *t)
{
	struct dt_lexer *lx = &c->lx;
	u32 n = 1;

	while (at(lx, n) != -1 && is_ident_char(at(lx, n)) && at(lx, n) != '`' &&
	       !(n == 1 && isdigit(at(lx, n))))
		n++;
	t->tok = T_AGG;
	t->loc.len = n;
	t->str = n == 1 ? "_" : dt_arena_strndup(c->a, lx->text + lx->pos + 1, n - 1);
	lx->pos += n;
}

static void lex_punct(struct dt_compile *c, struct dt_token *t)
{
	struct dt_lexer *lx = &c->lx;
	size_t i, len;

	if (at(lx, 0) == '/' && lx->in_pred && ends_predicate(lx)) {
		t->tok = T_EPRED;
		lx->pos++;
		return;
	}
	if (at(lx, 0) == '*' && at(lx, 1) == '/') {
		t->loc.len = 2;
		dt_syntax(c, D_SYNTAX, t->loc, "*/ encountered outside a comment");
		return;
	}
	for (i = 0; i < DT_NELEM(puncts); i++) {
		len = strlen(puncts[i].text);
		if (len > lx->len - lx->pos || memcmp(puncts[i].text, lx->text + lx->pos, len) != 0)
			continue;
		t->tok = puncts[i].tok;
		t->loc.len = (u32)len;
		lx->pos += (u32)len;
		return;
	}
	if (isprint(at(lx, 0)))
		dt_syntax(c, D_SYNTAX, t->loc, "syntax error near \"%c\"", at(lx, 0));
	else
		dt_syntax(c, D_SYNTAX, t->loc, "invalid character \\x%02x", at(lx, 0));
}

/* ---- the token stream ---------------------------------------------------------------------- */

static void lex(struct dt_compile *c, struct dt_token *t)
{
	struct dt_lexer *lx = &c->lx;
	int ch;

	memset(t, 0, sizeof(*t));
	if (!lx->dead)
		dt_lex_skip(c);
	t->loc = dt_lex_loc(c, lx->pos, 1);
	ch = lx->dead ? -1 : at(lx, 0);
	if (ch == -1) {
		t->loc.len = 0;
		return;
	}
	lx->fresh = false;
	if (isdigit(ch))
		lex_number(c, t);
	else if (is_ident_start(ch))
		lex_word(c, t);
	else if (ch == '"')
		lex_string(c, t);
	else if (ch == '\'')
		lex_char(c, t);
	else if (ch == '@')
		lex_agg(c, t);
	else if (ch == '$')
		lex_macro(c, t);
	else
		lex_punct(c, t);
	if (lx->dead)
		t->tok = T_EOF;
}

struct dt_token *dt_peek(struct dt_compile *c, u32 n)
{
	while (c->nlook <= n)
		lex(c, &c->look[c->nlook++]);
	if (c->lx.dead)
		c->look[n].tok = T_EOF;
	return &c->look[n];
}

struct dt_token dt_next(struct dt_compile *c)
{
	struct dt_token t = *dt_peek(c, 0);

	c->nlook--;
	memmove(&c->look[0], &c->look[1], c->nlook * sizeof(c->look[0]));
	c->last = t.loc;
	return t;
}

bool dt_accept(struct dt_compile *c, enum dt_tok tok)
{
	if (dt_peek(c, 0)->tok != tok)
		return false;
	dt_next(c);
	return true;
}

const char *dt_tok_text(enum dt_tok tok)
{
	size_t i;

	if (tok > T_KEYWORD)
		return dt_keywords[tok - T_KEYWORD - 1].word;
	for (i = 0; i < DT_NELEM(puncts); i++)
		if (puncts[i].tok == tok)
			return puncts[i].text;
	return tok == T_EPRED ? "/" : tok == T_IDENT ? "a name" : "end of input";
}

void *dt_unexpected(struct dt_compile *c, const char *wanted)
{
	const struct dt_token *t = dt_peek(c, 0);
	const char *and = *wanted ? ", expected " : "";

	if (t->tok == T_EOF)
		return dt_syntax(c, D_SYNTAX, t->loc,
				 "syntax error: unexpected end of input%s%s", and, wanted);
	if (t->tok > T_KEYWORD && dt_keywords[t->tok - T_KEYWORD - 1].flags & DT_KF_RESERVED)
		return dt_syntax(c, D_SYNTAX, t->loc,
				 "syntax error near \"%s\": the word is reserved%s", t->str,
				 t->tok == TOK_KW(FOR) || t->tok == TOK_KW(WHILE) ||
						 t->tok == TOK_KW(DO) ?
					 " (D has no loops)" :
					 "");
	return dt_syntax(c, D_SYNTAX, t->loc, "syntax error near \"%.*s\"%s%s",
			 (int)DT_MIN(t->loc.len, 60u), c->lx.text + t->loc.off, and, wanted);
}

bool dt_expect(struct dt_compile *c, enum dt_tok tok)
{
	char wanted[32];

	if (dt_accept(c, tok))
		return true;
	snprintf(wanted, sizeof(wanted), tok == T_IDENT ? "%s" : "\"%s\"", dt_tok_text(tok));
	dt_unexpected(c, wanted);
	return false;
}
