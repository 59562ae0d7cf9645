/* SPDX-License-Identifier: Apache-2.0 */
/*
 * program.c - D text to a program on the handle, a program to enabled clauses.
 *
 * A program stays on the handle until that is closed, whether it is enabled or not: clauses, records and the
 * messages of the verifier point into its text.
 */
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "api/handle.h"

#define TEXT_MAX (256u << 20)

/* ---- compiling --------------------------------------------------------------------------------------------- */

static void env_prepare(dtrace_hdl_t *h, u32 cflags, int argc, char *const argv[])
{
	h->cflags = cflags;
	h->env.argc = argc > 0 && argv ? argc : 0;
	h->env.argv = argv;
	h->env.target = h->target;
	h->env.refresh(h, &h->env);
}

/* The first finding is the message; the others are there for dtrace_diag_get(). */
void *dt_compile_failed(dtrace_hdl_t *h, struct dt_program *p)
{
	bool tags = h->env.cflags & DTRACE_C_ETAGS;

	h->failed = p;
	if (p->diags.list.n) {
		dt_str_reset(&h->msg);
		dt_diag_oneline(&p->diags.list.v[0], tags, &h->msg);
		return dt_fail_null(&h->err, EDT_COMPILER, "%s", dt_str_cstr(&h->msg));
	}
	return h->err.code ? NULL : dt_set_errno_null(h, EDT_NOMEM);
}

static dtrace_prog_t *add_program(dtrace_hdl_t *h, struct dt_program *p)
{
	dtrace_prog_t *prog = calloc(1, sizeof(*prog));

	if (!prog) {
		dt_program_free(p);
		return dt_set_errno_null(h, EDT_NOMEM);
	}
	prog->prog = p;
	*h->progs_tail = prog;
	h->progs_tail = &prog->next;
	return prog;
}

int dt_keep_program(dtrace_hdl_t *h, struct dt_program *p)
{
	return add_program(h, p) ? 0 : -1;
}

/* Option tree: what the compiler makes of the program. */
static void show_tree(const struct dt_program *p)
{
	struct dt_str text = { 0 };

	dt_program_dump(p, &text);
	fputs(dt_str_cstr(&text), stderr);
	dt_str_fini(&text);
}

static dtrace_prog_t *compile_text(dtrace_hdl_t *h, const char *text, size_t len,
				   dtrace_probespec_t spec, bool script)
{
	struct dt_program *p = dt_program_new(&h->env, NULL, text, len, spec);
	int rv;

	if (!p)
		return h->err.code ? NULL : dt_set_errno_null(h, EDT_NOMEM);
	p->script = script;
	h->compiling = true;
	rv = dt_program_compile(p, DT_STAGE_CHECK);
	h->compiling = false;
	if (rv == 0 && dt_opt(h, DT_OPT_TREE) > 0)
		show_tree(p);
	return rv < 0 ? dt_compile_failed(h, p) : add_program(h, p);
}

/* dir: the folder of the file that the text comes from, "": not known, NULL: it comes from no file */
static dtrace_prog_t *compile(dtrace_hdl_t *h, const char *text, size_t len, dtrace_probespec_t spec,
			      u32 cflags, int argc, char *const argv[], const char *dir)
{
	struct dt_str made = { 0 };
	dtrace_prog_t *prog = NULL;

	dt_program_free(h->failed); /* its findings are no longer those of the last compilation */
	h->failed = NULL;
	if (h->active)
		return dt_set_errno_null(h, EDT_ACTIVE);
	h->err = (struct dt_error){ 0 };
	env_prepare(h, cflags, 0, NULL);
	if (dt_libdirs_load(h) < 0)
		return NULL;
	env_prepare(h, cflags, argc, argv);
	if (!(h->env.cflags & DTRACE_C_CPP))
		prog = compile_text(h, text, len, spec, dir != NULL);
	else if (dt_preprocess(h, text, len, dir && *dir ? dir : NULL, &made) == 0)
		prog = compile_text(h, dt_str_cstr(&made), made.len, spec, dir != NULL);
	dt_str_fini(&made);
	h->env.argc = 0;
	h->env.argv = NULL;
	return prog;
}

dtrace_prog_t *dt_compile_text(dtrace_hdl_t *h, const char *text, size_t len,
			       dtrace_probespec_t spec, u32 cflags, int argc, char *const argv[])
{
	return compile(h, text, len, spec, cflags, argc, argv, NULL);
}

dtrace_prog_t *dtrace_program_strcompile(dtrace_hdl_t *h, const char *text, dtrace_probespec_t spec,
					 unsigned int cflags, int argc, char *const argv[])
{
	if (!text || spec < DTRACE_PROBESPEC_NONE || spec > DTRACE_PROBESPEC_NAME)
		return dt_set_errno_null(h, EINVAL);
	return compile(h, text, strlen(text), spec, cflags, argc, argv, NULL);
}

int dt_read_all(FILE *fp, struct dt_str *text)
{
	char buf[16384];
	size_t n;

	while ((n = fread(buf, 1, sizeof(buf), fp)) > 0) {
		dt_str_putn(text, buf, n);
		if (text->failed || text->len > TEXT_MAX)
			return ENOMEM;
	}
	return ferror(fp) ? (errno ? errno : EIO) : 0;
}

/* The folder of an open file, or "" when it has none. */
static void folder_of(FILE *fp, char *buf, size_t size)
{
	char link[40], *slash;
	ssize_t n;

	snprintf(link, sizeof(link), "/proc/self/fd/%d", fileno(fp));
	n = readlink(link, buf, size - 1);
	buf[DT_MAX(n, 0)] = '\0';
	slash = buf[0] == '/' ? strrchr(buf, '/') : NULL;
	buf[slash ? DT_MAX(slash - buf, 1) : 0] = '\0';
}

dtrace_prog_t *dtrace_program_fcompile(dtrace_hdl_t *h, FILE *fp, unsigned int cflags, int argc,
				       char *const argv[])
{
	struct dt_str text = { 0 };
	dtrace_prog_t *prog;
	int err = fp ? dt_read_all(fp, &text) : EINVAL;
	char dir[PATH_MAX] = "";

	if (err) {
		prog = dt_fail_null(&h->err, EDT_FIO, "Reading the program: %s", dt_errstr(err));
	} else {
		folder_of(fp, dir, sizeof(dir));
		prog = compile(h, dt_str_cstr(&text), text.len, DTRACE_PROBESPEC_NONE, cflags, argc,
			       argv, dir);
	}
	dt_str_fini(&text);
	return prog;
}

/* ---- facts about a program --------------------------------------------------------------------------------- */

static void add_info(const struct dt_program *p, dtrace_proginfo_t *info)
{
	u32 i, j;

	info->dpi_aggregates += p->naggs;
	info->dpi_recgens += p->nrecs;
	info->dpi_matches += p->nmatches;
	for (i = 0; i < p->clauses.n; i++) {
		dt_attr_least(&info->dpi_stmtattr, p->clauses.v[i]->attr);
		for (j = 0; j < p->clauses.v[i]->probes.n; j++)
			dt_attr_least(&info->dpi_descattr, p->clauses.v[i]->probes.v[j]->prov->attr);
	}
}

void dtrace_program_info(dtrace_hdl_t *h, dtrace_prog_t *prog, dtrace_proginfo_t *info)
{
	if (!info)
		return;
	*info = (dtrace_proginfo_t){ .dpi_descattr = dt_attr_stable, .dpi_stmtattr = dt_attr_stable };
	for (; prog; prog = prog->added)
		add_info(prog->prog, info);
}

/* ---- enabling -------------------------------------------------------------------------------------------------- */

static const struct dt_action *destructive_action(const struct dt_stmt *s)
{
	const struct dt_action *a = NULL;

	for (; s && !a; s = s->next) {
		if (s->act && (s->act->flags & DT_AF_DESTRUCTIVE))
			a = s->act;
		if (!a)
			a = destructive_action(s->then_);
		if (!a)
			a = destructive_action(s->else_);
	}
	return a;
}

static int check_destructive(dtrace_hdl_t *h, const struct dt_program *p)
{
	const struct dt_action *a = NULL;
	u32 i;

	if (dt_opt(h, DT_OPT_DESTRUCTIVE))
		return 0;
	for (i = 0; i < p->clauses.n && !a; i++)
		a = destructive_action(p->clauses.v[i]->stmts);
	return a ? dt_fail(&h->err, EDT_DESTRUCTIVE, "%s: %s()", dt_errstr(EDT_DESTRUCTIVE), a->name) :
		   0;
}

/* Room for n more, so that a program is enabled wholly or not at all. */
static int reserve_clauses(dtrace_hdl_t *h, u32 n)
{
	while (h->clauses.cap - h->clauses.n < n) {
		void *v = dt_vec_grow(&h->arena, h->clauses.v, h->clauses.n, &h->clauses.cap,
				      sizeof(void *));

		if (!v)
			return dt_set_errno(h, EDT_NOMEM);
		h->clauses.v = v;
	}
	return 0;
}

static void enable(dtrace_hdl_t *h, struct dtrace_prog *prog)
{
	const struct dt_program *p = prog->prog;
	u32 i;

	for (i = 0; i < p->clauses.n; i++) {
		p->clauses.v[i]->index = h->clauses.n;
		h->clauses.v[h->clauses.n++] = p->clauses.v[i];
	}
	prog->enabled = true;
}

int dtrace_program_exec(dtrace_hdl_t *h, dtrace_prog_t *prog, dtrace_proginfo_t *info)
{
	struct dtrace_prog *q;
	u32 n = 0;

	dtrace_program_info(h, prog, info);
	if (h->active)
		return dt_set_errno(h, EDT_ACTIVE);
	if (prog->enabled)
		return dt_fail(&h->err, EALREADY, "The program is enabled already");
	for (q = prog; q; q = q->added) {
		if (check_destructive(h, q->prog) < 0)
			return -1;
		n += q->prog->clauses.n;
	}
	if (reserve_clauses(h, n) < 0)
		return -1;
	for (q = prog; q; q = q->added)
		enable(h, q);
	return 0;
}
