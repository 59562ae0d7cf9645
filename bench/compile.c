/* SPDX-License-Identifier: Apache-2.0 */
/*
 * compile.c - how long the compiler takes, from text to BPF instructions, in nanoseconds.
 *
 *	compile ROUNDS
 *
 * Prints one JSON object: a list of ROUNDS figures per program.  Each is a compilation on a fresh handle's tables
 * (probes and types are there already, as they are in a process that compiles its second program); nothing
 * is loaded, so no privilege is needed.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "codegen/object.h"

static struct dt_types types;
static struct dt_probes probes;

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

/* ---- programs ----------------------------------------------------------------------------------- */

static void one_line(struct dt_str *s)
{
	dt_str_puts(s, "syscall:::entry { @[execname, probefunc] = count(); }");
}

static void small(struct dt_str *s)
{
	dt_str_puts(s, "syscall::read:entry /pid == 1/ { self->ts = timestamp; }\n"
		       "syscall::read:return /self->ts/ {\n"
		       "\t@[execname] = quantize(timestamp - self->ts);\n"
		       "\tprintf(\"%s %d\\n\", execname, arg0);\n"
		       "\tself->ts = 0;\n"
		       "}\n");
}

static void thousand(struct dt_str *s)
{
	for (int k = 0; k < 1000; k++)
		dt_str_printf(
			s,
			"syscall::%s:entry /pid == %d/ { @a%d[probefunc] = count(); trace(arg0 + %d); }\n",
			k % 2 ? "read" : "write", k, k % 8, k);
}

static void nested(struct dt_str *s)
{
	dt_str_puts(s, "BEGIN { x = 1; trace(");
	for (int k = 0; k < 60; k++)
		dt_str_puts(s, "(x + ");
	dt_str_puts(s, "1");
	for (int k = 0; k < 60; k++)
		dt_str_puts(s, ")");
	dt_str_puts(s, "); }");
}

static const struct {
	const char *name;
	void (*text)(struct dt_str *s);
} programs[] = {
	{ "one line", one_line },
	{ "two clauses", small },
	{ "nested 60 deep", nested },
	{ "1,000 clauses", thousand },
};

/* ---- measuring ---------------------------------------------------------------------------------- */

static int generate(struct dt_env *env, struct dt_program *p)
{
	const struct dt_genopts opts = { .strsize = 256,
					 .stackframes = 20,
					 .ustackframes = 20,
					 .dynvarsize = 1 << 20,
					 .aggsize = 4 << 20,
					 .temporal = true,
					 .ncpus = 2,
					 .has_task_btf = true,
					 .has_loop = true };
	struct dt_error err = { 0 };
	struct dt_object *o = dt_generate(p->clauses.v, p->clauses.n, env, &opts, &err, 0, NULL);

	if (!o)
		fprintf(stderr, "compile: %s\n", err.msg);
	dt_object_free(o);
	return o ? 0 : -1;
}

/* Nanoseconds, or -1. */
static double measure(const struct dt_str *text)
{
	struct dt_symtab syms;
	struct dt_env env = {
		.types = &types, .probes = &probes, .syms = &syms, .target = -1, .strsize = 256
	};
	struct dt_program *p;
	int rv = -1;
	double start, end;

	dt_symtab_init(&syms);
	start = now();
	p = dt_program_new(&env, NULL, text->s, text->len, DTRACE_PROBESPEC_NAME);
	if (p && dt_program_compile(p, DT_STAGE_CHECK) == 0)
		rv = generate(&env, p);
	end = now();
	if (p && p->diags.list.n)
		fprintf(stderr, "compile: %s\n", p->diags.list.v[0].msg);
	dt_program_free(p);
	dt_symtab_fini(&syms);
	return rv ? -1 : end - start;
}

int main(int argc, char **argv)
{
	int rounds = argc > 1 ? atoi(argv[1]) : 5;
	struct dt_error err = { 0 };

	if (dt_types_init(&types, NULL) || dt_probes_init(&probes, &err))
		return 1;
	for (size_t k = 0; k < DT_NELEM(programs); k++) {
		struct dt_str text = { 0 };

		programs[k].text(&text);
		printf("%s\"%s\": [", k ? "], " : "{", programs[k].name);
		for (int r = 0; r < rounds; r++) {
			double ns = measure(&text);

			if (ns < 0)
				return 1;
			printf("%s%.0f", r ? ", " : "", ns);
		}
		dt_str_fini(&text);
	}
	printf("]}\n");
	dt_probes_fini(&probes);
	dt_types_fini(&types);
	return 0;
}
