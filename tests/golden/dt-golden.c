/* SPDX-License-Identifier: Apache-2.0 */
/*
 * dt-golden - what a stage of the compiler makes of a D program, on standard output.
 *
 * 	dt-golden STAGE FILE.d
 *
 * The world is the same on every machine: no kernel types, the built-in probes, a fixed process.
 * What a program needs beside its text stands in its first line: "// args: one two" gives $1 and
 * $2.  Exit status: 0, also when the program is wrong (stage diag shows how); 1 when it cannot be
 * read; 2 for wrong usage.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/base.h"
#include "codegen/object.h"
#include "lang/lang.h"
#include "world.h"

static int read_file(const char *path, struct dt_str *out)
{
	FILE *f = fopen(path, "r");
	char buf[4096];
	size_t n;

	if (!f)
		return -1;
	while ((n = fread(buf, 1, sizeof(buf), f)) > 0)
		dt_str_putn(out, buf, n);
	fclose(f);
	return out->failed ? -1 : 0;
}

/* ---- the stages ---------------------------------------------------------------------------- */

static void show_diags(const struct dt_program *p, struct dt_str *out)
{
	u32 i;

	for (i = 0; i < p->diags.list.n; i++)
		dt_diag_render(&p->diags.list.v[i], out);
}

static void stage_parse(struct world *w, struct dt_program *p, struct dt_str *out)
{
	(void)w;
	if (dt_program_compile(p, DT_STAGE_PARSE))
		show_diags(p, out);
	else
		dt_program_dump(p, out);
}

/* What is not built yet has a type all the same. */
static void stage_check(struct world *w, struct dt_program *p, struct dt_str *out)
{
	w->env.allow_pending = true;
	if (dt_program_compile(p, DT_STAGE_CHECK))
		show_diags(p, out);
	else
		dt_program_dump(p, out);
}

static void stage_diag(struct world *w, struct dt_program *p, struct dt_str *out)
{
	(void)w;
	dt_program_compile(p, DT_STAGE_CHECK);
	show_diags(p, out);
}

/* The generator's part, up to a stage of it. */
static void generate(struct world *w, struct dt_program *p, char upto, struct dt_str *out)
{
	struct dt_object *o;

	if (dt_program_compile(p, DT_STAGE_CHECK)) {
		show_diags(p, out);
		return;
	}
	o = dt_generate(p->clauses.v, p->clauses.n, &w->env, world_genopts(w), &w->err, upto, out);
	if (!o)
		dt_str_printf(out, "error: %s\n", w->err.msg);
	dt_object_free(o);
}

static void stage_gen(struct world *w, struct dt_program *p, struct dt_str *out)
{
	generate(w, p, 'g', out);
}

static void stage_regs(struct world *w, struct dt_program *p, struct dt_str *out)
{
	generate(w, p, 'r', out);
}

static void stage_asm(struct world *w, struct dt_program *p, struct dt_str *out)
{
	generate(w, p, 'a', out);
}

static const struct {
	const char *name;
	void (*run)(struct world *w, struct dt_program *p, struct dt_str *out);
} stages[] = {
	{ "parse", stage_parse }, { "check", stage_check }, { "diag", stage_diag },
	{ "gen", stage_gen },     { "regs", stage_regs },   { "asm", stage_asm },
};

static int usage(void)
{
	size_t i;

	fprintf(stderr, "usage: dt-golden STAGE FILE.d\nstages:");
	for (i = 0; i < sizeof(stages) / sizeof(stages[0]); i++)
		fprintf(stderr, " %s", stages[i].name);
	fprintf(stderr, "\n");
	return 2;
}

static int run(size_t stage, const char *path)
{
	struct dt_str text = { 0 }, out = { 0 };
	struct dt_program *p = NULL;
	struct world w = { 0 };
	int status = 1;

	if (read_file(path, &text)) {
		fprintf(stderr, "dt-golden: cannot read %s\n", path);
	} else if (!world_init(&w)) {
		world_begin(&w, dt_str_cstr(&text));
		p = dt_program_new(&w.env, path, dt_str_cstr(&text), text.len, DTRACE_PROBESPEC_NAME);
		if (p) {
			stages[stage].run(&w, p, &out);
			fwrite(dt_str_cstr(&out), 1, out.len, stdout);
			status = 0;
		}
	}
	dt_program_free(p);
	world_end(&w);
	world_fini(&w);
	dt_str_fini(&text);
	dt_str_fini(&out);
	return status;
}

int main(int argc, char **argv)
{
	size_t i;

	if (argc != 3)
		return usage();
	for (i = 0; i < sizeof(stages) / sizeof(stages[0]); i++)
		if (strcmp(stages[i].name, argv[1]) == 0)
			return run(i, argv[2]);
	return usage();
}
