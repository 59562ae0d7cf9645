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
#include "lang/lang.h"

#define MAX_ARGS 16

struct world {
	struct dt_types types;
	struct dt_error err;
	struct dt_probes probes;
	struct dt_symtab syms;
	struct dt_env env;
	char *argv[MAX_ARGS + 1];
	char *args_line;
};

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

/* ---- the world ----------------------------------------------------------------------------- */

static const struct {
	const char *name;
	u32 cflag;
} options[] = {
	{ "argref", DTRACE_C_ARGREF }, { "defaultargs", DTRACE_C_DEFARG },
	{ "empty", DTRACE_C_EMPTY },   { "zdefs", DTRACE_C_ZDEFS },
	{ "cpp", DTRACE_C_CPP },       { "quiet", 0 },
	{ "destructive", 0 },          { "bufsize", 0 },
};

static int set_option(void *arg, const char *name, const char *value, const char **err)
{
	struct world *w = arg;
	size_t i;

	if (strcmp(name, "strsize") == 0) {
		w->env.strsize = value ? (u32)strtoul(value, NULL, 10) : 256;
		return 0;
	}
	for (i = 0; i < sizeof(options) / sizeof(options[0]); i++) {
		if (strcmp(options[i].name, name) != 0)
			continue;
		w->env.cflags |= options[i].cflag;
		w->env.destructive |= strcmp(name, "destructive") == 0;
		return 0;
	}
	*err = "invalid option name";
	return -1;
}

static int find_symbol(void *arg, const char *mod, const char *name, u64 *addr)
{
	(void)arg;
	if (*mod && strcmp(mod, "vmlinux") != 0)
		return -1;
	if (strncmp(name, "no_", 3) == 0)
		return -1;
	*addr = 0xffffffff81000000;
	return 0;
}

static void set_args(struct world *w, const char *text)
{
	static const char mark[] = "// args: ";
	char *word, *save = NULL;

	w->env.argv = w->argv;
	w->argv[0] = (char *)"dt-golden";
	w->env.argc = 1;
	if (strncmp(text, mark, sizeof(mark) - 1) != 0)
		return;
	text += sizeof(mark) - 1;
	w->args_line = strndup(text, strcspn(text, "\n"));
	if (!w->args_line)
		return;
	for (word = strtok_r(w->args_line, " ", &save); word && w->env.argc < MAX_ARGS;
	     word = strtok_r(NULL, " ", &save))
		w->argv[w->env.argc++] = word;
}

static int world_init(struct world *w, const char *text)
{
	memset(w, 0, sizeof(*w));
	if (dt_types_init(&w->types, NULL))
		return -1;
	if (dt_probes_init(&w->probes, &w->err))
		return -1;
	dt_symtab_init(&w->syms);
	w->env = (struct dt_env){ .types = &w->types, .probes = &w->probes, .syms = &w->syms };
	w->env.arg = w;
	w->env.ksym = find_symbol;
	w->env.pragma_option = set_option;
	w->env.target = 1234;
	w->env.pid = 100;
	w->env.ppid = 1;
	w->env.pgid = 100;
	w->env.sid = 100;
	w->env.strsize = 256;
	set_args(w, text);
	return 0;
}

static void world_fini(struct world *w)
{
	dt_symtab_fini(&w->syms);
	dt_probes_fini(&w->probes);
	dt_types_fini(&w->types);
	free(w->args_line);
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

static const struct {
	const char *name;
	void (*run)(struct world *w, struct dt_program *p, struct dt_str *out);
} stages[] = {
	{ "parse", stage_parse },
	{ "check", stage_check },
	{ "diag", stage_diag },
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
	} else if (!world_init(&w, dt_str_cstr(&text))) {
		p = dt_program_new(&w.env, path, dt_str_cstr(&text), text.len, DTRACE_PROBESPEC_NAME);
		if (p) {
			stages[stage].run(&w, p, &out);
			fwrite(dt_str_cstr(&out), 1, out.len, stdout);
			status = 0;
		}
	}
	dt_program_free(p);
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
