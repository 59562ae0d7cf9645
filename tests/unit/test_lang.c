/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_lang.c - the front end as a library: what programs on one handle share, what a program that
 * fails leaves behind (nothing), and the trees that the generator relies on.  The language itself
 * is tested by tests/golden.
 */
#include "lang/compile.h"
#include "test.h"

struct world {
	struct dt_types types;
	struct dt_error err;
	struct dt_probes probes;
	struct dt_symtab syms;
	struct dt_env env;
};

static void world_init(struct world *w)
{
	memset(w, 0, sizeof(*w));
	CHECK(dt_types_init(&w->types, NULL) == 0);
	CHECK(dt_probes_init(&w->probes, &w->err) == 0);
	dt_symtab_init(&w->syms);
	w->env.types = &w->types;
	w->env.probes = &w->probes;
	w->env.syms = &w->syms;
	w->env.strsize = 256;
	w->env.target = -1;
}

static void world_fini(struct world *w)
{
	dt_symtab_fini(&w->syms);
	dt_probes_fini(&w->probes);
	dt_types_fini(&w->types);
}

static struct dt_program *compile_as(struct world *w, const char *text, dtrace_probespec_t spec,
				     int want)
{
	struct dt_program *p = dt_program_new(&w->env, NULL, text, strlen(text), spec);
	struct dt_str out = { 0 };
	u32 i;

	CHECK(p != NULL);
	if (dt_program_compile(p, DT_STAGE_CHECK) == want)
		return p;
	for (i = 0; i < p->diags.list.n; i++)
		dt_diag_render(&p->diags.list.v[i], &out);
	fprintf(stderr, "compiling gave not %d:\n%s\n%s", want, text, dt_str_cstr(&out));
	dt_str_fini(&out);
	test_failures++;
	return p;
}

static struct dt_program *compile(struct world *w, const char *text)
{
	return compile_as(w, text, DTRACE_PROBESPEC_NAME, 0);
}

/* The text must not compile, for this reason. */
static void refuses(struct world *w, const char *text, const char *tag)
{
	struct dt_program *p = compile_as(w, text, DTRACE_PROBESPEC_NAME, -1);

	if (CHECK(p->diags.list.n > 0))
		CHECK_STR(dt_tag_name(p->diags.list.v[0].tag), tag);
	dt_program_free(p);
}

static void accepts(struct world *w, const char *text)
{
	dt_program_free(compile(w, text));
}

/* The first statement of the first clause. */
static const struct dt_stmt *first(const struct dt_program *p)
{
	return p->clauses.n ? p->clauses.v[0]->stmts : NULL;
}

/* ---- programs on one handle ---------------------------------------------------------------- */

static void test_shared_names(void)
{
	struct world w;

	world_init(&w);
	accepts(&w,
		"BEGIN { x = 1; self->s = \"a\"; names[\"k\"] = 2; @a = count(); @b[1] = sum(2); }");
	accepts(&w,
		"END { trace(x); trace(self->s); trace(names[\"q\"]); printa(@a); @b[3] = sum(4); }");
	refuses(&w, "END { x = \"string\"; }", "D_OP_INCOMPAT");
	refuses(&w, "END { names[1] = 2; }", "D_PROTO_ARG");
	refuses(&w, "END { @a = sum(1); }", "D_AGG_REDEF");
	CHECK_INT(w.syms.aggvars.n, 2);
	CHECK_INT(w.syms.aggvars.v[1]->varid, 2);
	CHECK_INT(w.syms.vars.n, 3);
	CHECK_INT(w.syms.vars.v[2]->id, 2);
	accepts(&w, "END { @c = count(); y = 1; }");
	CHECK_INT(w.syms.aggvars.v[2]->varid, 3);
	CHECK_INT(w.syms.vars.v[3]->id, 3);
	world_fini(&w);
}

/* this-> variables belong to one program. */
static void test_this_is_local(void)
{
	struct world w;

	world_init(&w);
	accepts(&w, "BEGIN { this->x = 1; } END { trace(this->x); }");
	refuses(&w, "BEGIN { trace(this->x); }", "D_VAR_UNDEF");
	accepts(&w, "BEGIN { this->x = \"other type\"; }");
	CHECK_INT(w.syms.thisvars.n, 2);
	world_fini(&w);
}

/* Inlines, translators and types outlive the program that declared them, its text included. */
static void test_library(void)
{
	struct world w;
	struct dt_program *p;

	world_init(&w);
	accepts(&w, "typedef struct raw { int v; struct raw *next; } raw_t; enum { SEVEN = 7 };"
		    "typedef struct nice { int value; string text; } nice_t;"
		    "inline int BIT = 4; inline int shl[int n] = n << BIT;"
		    "translator nice_t < raw_t *R > { value = R->v + shl[1]; text = \"t\"; };"
		    "inline nice_t *nice = xlate < nice_t * > ((raw_t *)arg0);");
	p = compile(
		&w,
		"BEGIN { x = nice->value; trace(SEVEN); y = shl[pid]; trace(((raw_t *)arg1)->next->v); }");
	if (CHECK(first(p) != NULL))
		CHECK_INT(first(p)->expr->r->op, N_ADD);
	dt_program_free(p);
	refuses(&w, "inline int BIT = 5; BEGIN { }", "D_DECL_IDRED");
	refuses(&w, "struct raw { int z; }; BEGIN { }", "D_DECL_TYPERED");
	refuses(&w, "BEGIN { trace(nice->nothing); }", "D_XLATE_NOCONV");
	world_fini(&w);
}

/* A tag known by name only is completed by a later program. */
static void test_forward_across_programs(void)
{
	struct world w;

	world_init(&w);
	accepts(&w,
		"struct later; struct holder { struct later *p; }; BEGIN { h = (struct holder *)arg0; }");
	refuses(&w, "BEGIN { trace(h->p->x); }", "D_OP_INCOMPLETE");
	refuses(&w, "struct later { int x; }; BEGIN { trace(nope); }", "D_IDENT_UNDEF");
	refuses(&w, "BEGIN { trace(h->p->x); }", "D_OP_INCOMPLETE");
	accepts(&w, "struct later { int x; }; BEGIN { }");
	accepts(&w, "BEGIN { trace(h->p->x); }");
	world_fini(&w);
}

static void test_failure_leaves_nothing(void)
{
	struct world w;

	world_init(&w);
	refuses(&w,
		"typedef int num_t; struct s { int a; }; enum { RED }; inline int TEN = 10; int g;"
		"translator struct s < int I > { a = I; };"
		"BEGIN { x = 1; self->y = 2; this->z = 3; @a = count(); trace(nope); }",
		"D_IDENT_UNDEF");
	CHECK_INT(w.syms.vars.n, 0);
	CHECK_INT(w.syms.thisvars.n, 0);
	CHECK_INT(w.syms.aggvars.n, 0);
	CHECK_INT(w.syms.globals.n, 0);
	CHECK_INT(w.syms.inlines.n, 0);
	CHECK(w.syms.xlators == NULL);
	refuses(&w, "num_t n;", "D_SYNTAX");
	refuses(&w, "BEGIN { trace(RED); }", "D_IDENT_UNDEF");
	accepts(&w,
		"typedef long num_t; struct s { string b; }; BEGIN { x = \"now a string\"; @a = sum(1); }");
	world_fini(&w);
}

/* ---- probes -------------------------------------------------------------------------------- */

static void test_matching(void)
{
	struct world w;
	struct dt_program *p;
	const struct dt_clause *cl;
	u32 i;

	world_init(&w);
	p = compile(&w, "syscall::read:entry, syscall::*:entry, BEGIN { }");
	cl = p->clauses.v[0];
	CHECK(cl->probes.n > 300);
	if (CHECK_INT(p->clauses.n, 2)) { /* read is matched twice */
		CHECK_INT(p->clauses.v[1]->probes.n, 1);
		CHECK(p->clauses.v[1]->copy && !cl->copy);
	}
	CHECK_INT(p->nmatches, cl->probes.n + 1);
	for (i = 1; i < cl->probes.n; i++)
		CHECK(cl->probes.v[i - 1]->id < cl->probes.v[i]->id);
	dt_program_free(p);

	refuses(&w, "syscall::nosuch:entry { }", "D_PDESC_ZERO");
	w.env.cflags = DTRACE_C_ZDEFS;
	accepts(&w, "syscall::nosuch:entry { }");
	world_fini(&w);
}

/* Libraries are compiled when one of their names is asked for, and the names are the handle's then. */
static void test_dlibs(void)
{
	struct world w;
	char text[96];
	u32 i;

	world_init(&w);
	accepts(&w, "BEGIN { x = 1; self->EPERM = 2; this->cwd = 3; trace(x); exit(0); }");
	CHECK(w.syms.libs_loaded == 0);
	accepts(&w, "inline int twice = 2 * EPERM; BEGIN { trace(twice); }");
	CHECK(w.syms.libs_loaded == 1);
	accepts(&w, "BEGIN { trace(twice + ENOENT); trace(curcpu->cpu_id); }");
	refuses(&w, "BEGIN { EPERM = 1; }", "D_OP_LVAL");
	accepts(&w, "inline int ESRCH = 7; BEGIN { trace(ESRCH); }"); /* a program's own counts */
	refuses(&w, "inline int ESRCH = 8; BEGIN { }", "D_DECL_IDRED");
	for (i = 0; i < dt_nlibraries; i++) {
		snprintf(text, sizeof(text), "#pragma D depends_on library %s\nBEGIN { exit(0); }",
			 dt_libraries[i].name);
		accepts(&w, text);
		CHECK(w.syms.libs_loaded >> i & 1);
	}
	for (i = 0; i + 1 < dt_nlibnames; i++)
		CHECK(strcmp(dt_libnames[i].name, dt_libnames[i + 1].name) < 0);
	world_fini(&w);

	world_init(&w);
	w.env.cflags |= DTRACE_C_NOLIBS;
	refuses(&w, "BEGIN { trace(EPERM); }", "D_IDENT_UNDEF");
	CHECK(w.syms.libs_loaded == 0);
	world_fini(&w);
}

static void test_probespec(void)
{
	struct world w;
	struct dt_program *p;

	world_init(&w);
	p = compile_as(&w, "syscall", DTRACE_PROBESPEC_PROVIDER, 0);
	CHECK(p->clauses.v[0]->probes.n > 600);
	dt_program_free(p);
	p = compile_as(&w, "read { trace(1); }", DTRACE_PROBESPEC_FUNC, 0);
	CHECK_INT(p->clauses.v[0]->probes.n, 2);
	dt_program_free(p);
	world_fini(&w);
}

/* ---- what the generator relies on ---------------------------------------------------------- */

static void test_counts(void)
{
	struct world w;
	struct dt_program *p;

	world_init(&w);
	p = compile(
		&w,
		"BEGIN { trace(1); printf(\"x\"); @a = count(); x = 1; exit(0); } END { printa(@a); }");
	CHECK_INT(p->nrecs, 4);
	CHECK_INT(p->naggs, 1);
	CHECK_INT(p->clauses.n, 2);
	dt_program_free(p);
	world_fini(&w);
}

static void test_user_pointers(void)
{
	struct world w;
	struct dt_program *p;
	const struct dt_node *n;

	world_init(&w);
	p = compile(
		&w,
		"syscall::read:entry { x = args[1]; y = *x; } syscall::write:entry { trace(args[2]); }");
	n = first(p)->expr->r;
	CHECK_INT(n->op, N_ARG);
	CHECK_INT(n->val, 1);
	CHECK(n->type->ref->is_userland);
	CHECK(first(p)->next->expr->r->l->type->ref->is_userland);
	CHECK(p->clauses.v[0]->has_args_typed);
	dt_program_free(p);
	world_fini(&w);
}

/* An argument with an effect happens once. */
static void test_inline_temporaries(void)
{
	struct world w;
	struct dt_program *p;
	const struct dt_node *n;

	world_init(&w);
	p = compile(&w, "inline int sq[int n] = n * n; BEGIN { y = 1; x = sq[y++]; }");
	n = first(p)->next->expr->r;
	CHECK_INT(n->op, N_COMMA);
	CHECK_INT(n->l->op, N_ASSIGN);
	CHECK(n->l->l->var->is_macro_temp);
	CHECK_INT(n->r->op, N_MUL);
	dt_program_free(p);
	CHECK_INT(w.syms.thisvars.n, 1);
	world_fini(&w);
}

/* Nothing unresolved and no typeless value is left in a checked tree. */
static void check_tree(const struct dt_node *n)
{
	u32 i;

	if (!n)
		return;
	CHECK(n->op > N_MACRO && n->op != N_POISON);
	CHECK(n->type != NULL);
	CHECK(n->op != N_INT || n->checked);
	check_tree(n->l);
	check_tree(n->r);
	check_tree(n->c);
	for (i = 0; i < n->nargs; i++)
		check_tree(n->args[i]);
}

static void check_stmts(const struct dt_stmt *s)
{
	u32 i;

	for (; s; s = s->next) {
		check_tree(s->expr);
		for (i = 0; i < s->nargs; i++)
			check_tree(s->args[i]);
		for (i = 0; i < s->nkeys; i++)
			check_tree(s->keys[i]);
		check_stmts(s->then_);
		check_stmts(s->else_);
	}
}

static void test_trees_are_plain(void)
{
	static const char text[] =
		"struct s { int a:3; char n[8]; struct s *p; short v[2]; };"
		"inline int N = 5; int vec[4]; string assoc[int];"
		"syscall::read:entry / args[0] > N && execname != \"x\" / {"
		" this->p = (struct s *)arg0; x = this->p->p->a + vec[N - 4] * -2; x <<= 2; y = x ? 1 : 2L;"
		" assoc[x] = stringof(this->p->n); if (x ^^ y) { trace(x++); } else { trace(sizeof(struct s)); }"
		" @[stack(3), usym(arg1), this->p->n] = lquantize(x, 0, 10, 2); z = (x, y); s = copyinstr(arg1);"
		" printf(\"%s %d %p %k\", strjoin(s, execname), offsetof(struct s, v), &this->p->v[1], ustack());"
		" self->q = timestamp; self->q = 0; assoc[1] = 0; tracemem(&this->p->v, 4); }";
	struct world w;
	struct dt_program *p;

	world_init(&w);
	p = compile(&w, text);
	check_tree(p->clauses.v[0]->pred);
	check_stmts(first(p));
	dt_program_free(p);
	world_fini(&w);
}

/* ---- limits -------------------------------------------------------------------------------- */

static char *repeat(const char *head, const char *what, int n, const char *tail)
{
	struct dt_str s = { 0 };

	dt_str_puts(&s, head);
	while (n-- > 0)
		dt_str_puts(&s, what);
	dt_str_puts(&s, tail);
	return s.s;
}

static void test_nesting(void)
{
	struct world w;
	char *deep, *text;

	world_init(&w);
	text = repeat("BEGIN { x = 1; x = ", "(1 + ", 200, "x");
	deep = repeat(text, ")", 200, "; }");
	accepts(&w, deep);
	free(deep);
	free(text);
	text = repeat("BEGIN { x = ", "(", 20000, "1; }");
	refuses(&w, text, "D_SYNTAX");
	free(text);
	text = repeat("BEGIN { x = ", "-~!", 20000, "1; }");
	refuses(&w, text, "D_SYNTAX");
	free(text);
	text = repeat("BEGIN { x = 1", "+ 1", 50000, "; }");
	refuses(&w, text, "D_SYNTAX");
	free(text);
	text = repeat("int ", "*", 50000, "x;");
	refuses(&w, text, "D_SYNTAX");
	free(text);
	text = repeat("BEGIN { x = 1; ", "if (x) ", 50000, "x = 2; }");
	refuses(&w, text, "D_SYNTAX");
	free(text);
	text = repeat("", "struct { ", 50000, "int x;");
	refuses(&w, text, "D_SYNTAX");
	free(text);
	world_fini(&w);
}

static void test_bytes(void)
{
	static const char nul[] = "BEGIN { x = 1; \0 }";
	struct world w;
	struct dt_program *p;

	world_init(&w);
	p = dt_program_new(&w.env, "nul.d", nul, sizeof(nul) - 1, DTRACE_PROBESPEC_NAME);
	CHECK_INT(dt_program_compile(p, DT_STAGE_CHECK), -1);
	dt_program_free(p);
	refuses(&w, "", "D_EMPTY");
	refuses(&w, "\xff\xfe", "D_SYNTAX");
	world_fini(&w);
}

int main(void)
{
	test_shared_names();
	test_this_is_local();
	test_library();
	test_forward_across_programs();
	test_failure_leaves_nothing();
	test_matching();
	test_dlibs();
	test_probespec();
	test_counts();
	test_user_pointers();
	test_inline_temporaries();
	test_trees_are_plain();
	test_nesting();
	test_bytes();
	return test_status();
}
