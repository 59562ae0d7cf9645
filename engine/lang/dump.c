/* SPDX-License-Identifier: Apache-2.0 */
/*
 * dump.c - the tree as text, for golden files and curious eyes: a node per line, its parts below
 * it, indented.
 */
#include <string.h>

#include "lang/compile.h"

static const char *const op_names[N_NOPS] = {
	[N_IDENT] = "ident",
	[N_SIZEOF] = "sizeof",
	[N_OFFSETOF] = "offsetof",
	[N_STRINGOF] = "stringof",
	[N_XLATE] = "xlate",
	[N_ARROW] = "->",
	[N_DOT] = ".",
	[N_SUBSCRIPT] = "[]",
	[N_CALLNAME] = "call",
	[N_INT] = "int",
	[N_STR] = "str",
	[N_BUILTIN] = "builtin",
	[N_ARG] = "arg",
	[N_VAR] = "var",
	[N_ASSOC] = "assoc",
	[N_KSYM] = "ksym",
	[N_CALL] = "call",
	[N_NEG] = "neg",
	[N_BITNOT] = "~",
	[N_LOGNOT] = "!",
	[N_DEREF] = "deref",
	[N_ADDROF] = "addrof",
	[N_MEMBER] = "member",
	[N_INDEX] = "index",
	[N_MUL] = "*",
	[N_DIV] = "/",
	[N_MOD] = "%",
	[N_ADD] = "+",
	[N_SUB] = "-",
	[N_SHL] = "<<",
	[N_SHR] = ">>",
	[N_AND] = "&",
	[N_XOR] = "^",
	[N_OR] = "|",
	[N_LT] = "<",
	[N_LE] = "<=",
	[N_GT] = ">",
	[N_GE] = ">=",
	[N_EQ] = "==",
	[N_NE] = "!=",
	[N_LAND] = "&&",
	[N_LXOR] = "^^",
	[N_LOR] = "||",
	[N_COND] = "?:",
	[N_ASSIGN] = "=",
	[N_OPASSIGN] = "op=",
	[N_PREINC] = "++pre",
	[N_PREDEC] = "--pre",
	[N_POSTINC] = "post++",
	[N_POSTDEC] = "post--",
	[N_COMMA] = ",",
	[N_CAST] = "cast",
	[N_AGG] = "agg",
	[N_POISON] = "poison",
};

static void line(struct dt_str *out, int depth)
{
	while (depth-- > 0)
		dt_str_puts(out, "  ");
}

static void quoted(struct dt_str *out, const char *s, size_t n)
{
	dt_str_putc(out, '"');
	for (; n; n--, s++) {
		if (*s == '"' || *s == '\\')
			dt_str_printf(out, "\\%c", *s);
		else if (*s == '\n')
			dt_str_puts(out, "\\n");
		else if ((unsigned char)*s < ' ' || (unsigned char)*s >= 0x7f)
			dt_str_printf(out, "\\x%02x", (unsigned char)*s);
		else
			dt_str_putc(out, *s);
	}
	dt_str_putc(out, '"');
}

static void type(struct dt_str *out, const struct dt_type *t)
{
	char buf[256];

	dt_str_puts(out, dt_type_str(t, buf, sizeof(buf)));
}

static const char *const scopes[] = { [DT_GLOBAL] = "", [DT_THIS] = "this->", [DT_SELF] = "self->" };

static void int_value(struct dt_str *out, const struct dt_node *n)
{
	if (n->checked && !dt_type_is_signed(n->type))
		dt_str_printf(out, " %llu", (unsigned long long)n->val);
	else
		dt_str_printf(out, " %lld", (long long)n->val);
}

/* What the node says beside its parts. */
static void detail(struct dt_str *out, const struct dt_node *n)
{
	switch (n->op) {
	case N_IDENT: dt_str_printf(out, " %s%s", scopes[n->val], n->str); break;
	case N_INT: int_value(out, n); break;
	case N_STR:
		dt_str_putc(out, ' ');
		quoted(out, n->str, n->slen);
		break;
	case N_BUILTIN:
		if (n->builtin->id == DT_B_ARG)
			dt_str_printf(out, " arg%llu", (unsigned long long)n->val);
		else
			dt_str_printf(out, " %s", n->builtin->name);
		break;
	case N_ARG: dt_str_printf(out, " %llu", (unsigned long long)n->val); break;
	case N_VAR:
	case N_ASSOC: dt_str_printf(out, " %s%s", scopes[n->var->scope], n->var->name); break;
	case N_CALL: dt_str_printf(out, " %s", n->subr ? n->subr->name : n->act->name); break;
	case N_AGG: dt_str_printf(out, " @%s", n->str); break;
	case N_MEMBER:
		dt_str_printf(out, " %s @%llu", n->str, (unsigned long long)n->bit_off);
		if (n->bit_size)
			dt_str_printf(out, ":%u", n->bit_size);
		break;
	case N_OPASSIGN:
		dt_str_printf(out, " %s", op_names[n->val]);
		if (n->optype) {
			dt_str_puts(out, " in ");
			type(out, n->optype);
		}
		break;
	default:
		if (n->str)
			dt_str_printf(out, " %s", n->str);
		break;
	}
}

static void node(struct dt_str *out, const struct dt_node *n, int depth)
{
	u32 i;

	if (!n)
		return;
	line(out, depth);
	dt_str_puts(out, op_names[n->op] ? op_names[n->op] : "?");
	detail(out, n);
	if (n->dtype) {
		dt_str_puts(out, " <");
		type(out, n->dtype);
		dt_str_putc(out, '>');
	}
	if (n->type) {
		dt_str_puts(out, " : ");
		type(out, n->type);
		if (n->strbound)
			dt_str_printf(out, " (%u)", n->strbound);
		if (dt_is_user_pointer(n->type))
			dt_str_puts(out, " user");
	}
	dt_str_putc(out, '\n');
	node(out, n->l, depth + 1);
	node(out, n->r, depth + 1);
	node(out, n->c, depth + 1);
	for (i = 0; i < n->nargs; i++)
		node(out, n->args[i], depth + 1);
}

static void nodes(struct dt_str *out, const char *what, struct dt_node *const *v, u32 n, int depth)
{
	u32 i;

	if (!n)
		return;
	if (what) {
		line(out, depth);
		dt_str_printf(out, "%s\n", what);
		depth++;
	}
	for (i = 0; i < n; i++)
		node(out, v[i], depth);
}

static void stmts(struct dt_str *out, const struct dt_stmt *s, int depth);

static void stmt_act(struct dt_str *out, const struct dt_stmt *s, int depth)
{
	line(out, depth);
	dt_str_printf(out, "%s", s->act->name);
	if (s->format) {
		dt_str_putc(out, ' ');
		quoted(out, s->format, strlen(s->format));
	}
	dt_str_putc(out, '\n');
	nodes(out, NULL, s->args, s->nargs, depth + 1);
}

static void stmt_agg(struct dt_str *out, const struct dt_stmt *s, int depth)
{
	const struct dt_aggvar *a = s->agg;

	line(out, depth);
	dt_str_printf(out, "@%s = %s", a ? a->name : "?", s->act->name);
	if (a && s->act->kind == DTRACEAGG_LQUANTIZE)
		dt_str_printf(out, " %lld..%lld step %lld", (long long)a->param[0],
			      (long long)a->param[1], (long long)a->param[2]);
	if (a && s->act->kind == DTRACEAGG_LLQUANTIZE)
		dt_str_printf(out, " %lld^%lld..%lld^%lld steps %lld", (long long)a->param[0],
			      (long long)a->param[1], (long long)a->param[0],
			      (long long)a->param[2], (long long)a->param[3]);
	dt_str_putc(out, '\n');
	nodes(out, "keys", s->keys, s->nkeys, depth + 1);
	nodes(out, NULL, s->args, s->nargs, depth + 1);
}

static void stmt_if(struct dt_str *out, const struct dt_stmt *s, int depth)
{
	line(out, depth);
	dt_str_puts(out, "if\n");
	node(out, s->expr, depth + 1);
	line(out, depth);
	dt_str_puts(out, "then\n");
	stmts(out, s->then_, depth + 1);
	if (!s->else_)
		return;
	line(out, depth);
	dt_str_puts(out, "else\n");
	stmts(out, s->else_, depth + 1);
}

static void stmts(struct dt_str *out, const struct dt_stmt *s, int depth)
{
	for (; s; s = s->next) {
		switch (s->kind) {
		case S_EXPR: node(out, s->expr, depth); break;
		case S_ACT: stmt_act(out, s, depth); break;
		case S_AGG: stmt_agg(out, s, depth); break;
		case S_IF: stmt_if(out, s, depth); break;
		}
	}
}

static void clause(struct dt_str *out, const struct dt_clause *cl)
{
	const struct dt_pdesc *d;

	dt_str_puts(out, "clause\n");
	for (d = cl->descs.v; d < cl->descs.v + cl->descs.n; d++) {
		if (d->id)
			dt_str_printf(out, "  probe %u\n", d->id);
		else
			dt_str_printf(out, "  probe %s:%s:%s:%s\n", d->prov, d->mod, d->func,
				      d->name);
	}
	if (cl->pred) {
		dt_str_puts(out, "  predicate\n");
		node(out, cl->pred, 2);
	}
	if (cl->stmts) {
		dt_str_puts(out, "  body\n");
		stmts(out, cl->stmts, 2);
	}
}

static void variable(struct dt_str *out, const struct dt_item *it)
{
	u32 i;

	dt_str_printf(out, "variable %s%s", scopes[it->scope], it->decl.name);
	for (i = 0; i < it->decl.nkeys; i++) {
		dt_str_puts(out, i ? ", " : "[");
		type(out, it->decl.keys[i]);
	}
	dt_str_puts(out, it->decl.assoc ? "] : " : " : ");
	type(out, it->decl.type);
	dt_str_putc(out, '\n');
}

static void inline_(struct dt_str *out, const struct dt_inline *in)
{
	u32 i;

	dt_str_printf(out, "inline %s", in->name);
	for (i = 0; i < in->nparams; i++) {
		dt_str_puts(out, i ? ", " : "[");
		type(out, in->ptypes[i]);
		dt_str_printf(out, " %s", in->params[i] ? in->params[i] : "");
	}
	dt_str_puts(out, in->array ? "] : " : " : ");
	type(out, in->type);
	dt_str_putc(out, '\n');
	node(out, in->body, 1);
}

static void xlator(struct dt_str *out, const struct dt_xlator *x)
{
	u32 i;

	dt_str_puts(out, "translator ");
	type(out, x->out);
	dt_str_puts(out, " < ");
	type(out, x->in);
	dt_str_printf(out, " %s >\n", x->param);
	for (i = 0; i < x->members.n; i++) {
		dt_str_printf(out, "  %s\n", x->members.v[i].name);
		node(out, x->members.v[i].expr, 2);
	}
}

void dt_program_dump(const struct dt_program *p, struct dt_str *out)
{
	const struct dt_item *it;

	for (it = p->items; it; it = it->next) {
		switch (it->kind) {
		case I_CLAUSE: clause(out, it->clause); break;
		case I_VAR: variable(out, it); break;
		case I_INLINE: inline_(out, it->inl); break;
		case I_XLATOR: xlator(out, it->xl); break;
		case I_PROVIDER: dt_str_printf(out, "provider %s\n", it->provider); break;
		}
	}
}
