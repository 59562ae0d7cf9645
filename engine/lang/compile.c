/* SPDX-License-Identifier: Apache-2.0 */
/*
 * compile.c - a program from text to checked tree: the order of the stages, findings, and the one
 * place where running out of memory ends up.
 */
#include <stdlib.h>
#include <string.h>

#include "lang/compile.h"

/* ---- findings ------------------------------------------------------------------------------ */

void *dt_err(struct dt_compile *c, enum dt_tag tag, struct dt_loc loc, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	dt_diag_vadd(&c->p->diags, tag, loc, fmt, ap);
	va_end(ap);
	return NULL;
}

void *dt_syntax(struct dt_compile *c, enum dt_tag tag, struct dt_loc loc, const char *fmt, ...)
{
	va_list ap;

	if (c->lx.dead)
		return NULL;
	c->lx.dead = true;
	va_start(ap, fmt);
	dt_diag_vadd(&c->p->diags, tag, loc, fmt, ap);
	va_end(ap);
	return NULL;
}

void dt_pend(struct dt_compile *c, struct dt_loc loc, const char *what, const char *why)
{
	struct dt_pending *p = dt_vec_push(c->a, &c->pending);

	p->loc = loc;
	p->what = what;
	p->why = why;
}

static void report_pending(struct dt_compile *c)
{
	u32 i;

	for (i = 0; i < c->pending.n && !c->env->allow_pending; i++)
		dt_err(c, D_UNKNOWN, c->pending.v[i].loc, "%s( ) is not %s%s", c->pending.v[i].what,
		       c->pending.v[i].why ? "possible here: " : "supported yet",
		       c->pending.v[i].why ? c->pending.v[i].why : "");
}

const char *dt_tstr(struct dt_compile *c, const struct dt_type *t)
{
	char buf[256];

	return t ? dt_arena_strdup(c->a, dt_type_str(t, buf, sizeof(buf))) : "<unknown>";
}

_Noreturn void dt_oom(struct dt_compile *c)
{
	longjmp(*c->a->oom, 1);
}

void dt_put(struct dt_compile *c, struct dt_htab *t, const char *key, void *val)
{
	if (dt_htab_put(t, key, val))
		dt_oom(c);
}

/* ---- programs ------------------------------------------------------------------------------ */

struct dt_program *dt_program_new(struct dt_env *env, const char *name, const char *text,
				  size_t len, dtrace_probespec_t spec)
{
	struct dt_program *p;

	if (len >= UINT32_MAX / 2)
		return NULL;
	p = calloc(1, sizeof(*p));
	if (!p)
		return NULL;
	dt_arena_init(&p->arena);
	p->env = env;
	p->spec = spec;
	p->diags.arena = &p->arena;
	p->src.len = len;
	p->src.text = dt_arena_strndup(&p->arena, text, len);
	p->src.name = name ? dt_arena_strdup(&p->arena, name) : NULL;
	if (!p->src.text || (name && !p->src.name)) {
		dt_program_free(p);
		return NULL;
	}
	return p;
}

void dt_program_free(struct dt_program *p)
{
	if (!p)
		return;
	dt_arena_fini(&p->arena);
	free(p);
}

/* ---- the stages ---------------------------------------------------------------------------- */

static void check_empty(struct dt_compile *c)
{
	if (!c->items && !c->declared && !c->p->diags.list.n && !(c->env->cflags & DTRACE_C_EMPTY))
		dt_err(c, D_EMPTY, dt_lex_loc(c, 0, 0), "empty D program");
}

static void check_macros(struct dt_compile *c)
{
	int i;

	if (c->p->library)
		return;
	for (i = 1; i < c->env->argc && !(c->env->cflags & DTRACE_C_ARGREF); i++)
		if (!c->argused[i])
			dt_err(c, D_MACRO_UNUSED, dt_lex_loc(c, 0, 0),
			       "extraneous argument '%s' ($%d is not referenced)", c->env->argv[i],
			       i);
}

static void parse(struct dt_compile *c)
{
	c->inline_limit = UINT32_MAX;
	dt_parse(c);
	c->p->items = c->items;
	check_empty(c);
	if (!c->p->diags.list.n)
		check_macros(c);
}

static void check(struct dt_compile *c)
{
	dt_check(c);
	if (!c->p->diags.list.n)
		report_pending(c);
}

static const struct {
	enum dt_stage stage;
	void (*run)(struct dt_compile *c);
} stages[] = {
	{ DT_STAGE_PARSE, parse },
	{ DT_STAGE_CHECK, check },
};

static void run_type(struct dt_compile *c, struct dt_type **type)
{
	c->inline_limit = UINT32_MAX;
	*type = dt_parse_type(c);
	if (*type && !c->p->diags.list.n)
		dt_expect(c, T_EOF);
	if (!c->p->diags.list.n)
		dt_names_publish(c);
}

static void run(struct dt_compile *c, enum dt_stage upto, struct dt_type **type)
{
	size_t i;

	dt_lex_init(c);
	c->argused = dt_arena_alloc(c->a, (size_t)DT_MAX(c->env->argc, 1) * sizeof(*c->argused));
	if (type) {
		run_type(c, type);
		return;
	}
	for (i = 0; i < DT_NELEM(stages) && stages[i].stage <= upto; i++) {
		stages[i].run(c);
		if (c->p->diags.list.n)
			return;
	}
	if (upto >= DT_STAGE_CHECK)
		dt_names_publish(c);
}

/* An arena of the handle's that, while we compile, ends at our exit. */
struct guard {
	struct dt_arena *a;
	jmp_buf *was;
};

static void guard(struct guard *g, struct dt_arena *a, jmp_buf *exit)
{
	g->a = a;
	g->was = a->oom;
	a->oom = exit;
}

static void unguard(struct guard *g)
{
	g->a->oom = g->was;
}

/* type: the text is one, which goes there; NULL: it is a program. */
static int compile(struct dt_program *p, enum dt_stage upto, struct dt_type **type)
{
	struct dt_env *env = p->env;
	struct dt_compile *c = dt_arena_new(&p->arena, struct dt_compile);
	struct guard guards[3];
	jmp_buf oom;

	if (!c) {
		p->out_of_memory = true;
		return -1;
	}
	c->p = p;
	c->env = env;
	c->a = &p->arena;
	c->ts = env->types;
	c->st = env->syms;
	c->tail = &c->items;
	c->inline_seq = p->library ? (p->library - 1) * DT_LIB_INLINES : env->syms->ninlines;
	guard(&guards[0], &p->arena, &oom);
	guard(&guards[1], &env->types->arena, &oom);
	guard(&guards[2], &env->syms->arena, &oom);
	if (!setjmp(oom))
		run(c, upto, type);
	else
		p->out_of_memory = true;
	unguard(&guards[0]);
	unguard(&guards[1]);
	unguard(&guards[2]);
	dt_names_fini(&c->names);
	return p->diags.list.n || p->out_of_memory ? -1 : 0;
}

int dt_program_compile(struct dt_program *p, enum dt_stage upto)
{
	return compile(p, upto, NULL);
}

struct dt_type *dt_program_type(struct dt_program *p)
{
	struct dt_type *t = NULL;

	return compile(p, DT_STAGE_CHECK, &t) < 0 ? NULL : t;
}
