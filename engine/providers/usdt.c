/* SPDX-License-Identifier: Apache-2.0 */
/*
 * usdt.c - static probes that programs and libraries bring along, as notes of their files describe them.
 *
 *	python123:::function-entry            of one process; module and function are where they are
 *	python*:::function-entry              of all processes that there are
 *	usdt:/usr/bin/python3:python:gc-done  of a file, in all processes that run it: the function is the provider
 *
 * Two underscores in the name of a probe are a dash.
 */
#include "providers/ufunc.h"

#include <string.h>

static const struct dt_attach on_usdt = { .kind = DT_AT_UPROBE, .abi = DT_ABI_USDT, .target = "usdt" };

struct walk {
	struct dt_probes *ps;
	const struct dt_pdesc *d;
	struct dt_uscope scope;
};

/* ---- one note ---------------------------------------------------------------------------------------------- */

static void dashes(char *s)
{
	char *to = s;

	for (; *s; s++, to++) {
		*to = *s;
		if (s[0] == '_' && s[1] == '_') {
			*to = '-';
			s++;
		}
	}
	*to = '\0';
}

struct symbols {
	const struct dt_user *u;
	struct dt_ufile *file;
};

static int symbol(void *arg, const char *name, size_t len, u64 *vaddr)
{
	struct symbols *s = arg;

	return s->u->symbol(s->u->arg, s->file, name, len, vaddr);
}

/* The row of the attach point's table with these operands. */
static int find_uargs(struct dt_probes *ps, struct dt_ufile *f, const struct dt_unote *n, u32 *row)
{
	struct dt_attach *at = dt_probes_attach_of(ps, &on_usdt);
	struct symbols syms = { ps->user, f };
	struct dt_uargs uargs, *new;

	if (!at)
		return -1;
	dt_operands_parse(n->args, n->vaddr, symbol, &syms, &uargs);
	for (*row = 0; *row < at->uargs.n; (*row)++)
		if (at->uargs.v[*row].n == uargs.n &&
		    memcmp(at->uargs.v[*row].arg, uargs.arg, sizeof(uargs.arg)) == 0)
			return 0;
	new = dt_vec_push(&ps->arena, &at->uargs);
	if (!new)
		return dt_fail(ps->err, EDT_NOMEM, "%s", dt_errstr(EDT_NOMEM));
	*new = uargs;
	return 0;
}

static int add(struct walk *w, const struct dt_unote *n, const char *func, const char *name)
{
	struct dt_usite site = { .file = w->scope.file, .off = n->off, .counter = n->counter };

	if (find_uargs(w->ps, w->scope.file, n, &site.uargs) < 0)
		return -1;
	return dt_uprobe_add(w->ps, &w->scope, func, name, &on_usdt, &site);
}

/* ---- of processes -------------------------------------------------------------------------------------------- */

/* The provider of a note in this process, when the description wants it. */
static bool wants_provider(const struct walk *w, const struct dt_unote *n, char *full, size_t size)
{
	if ((size_t)snprintf(full, size, "%s%d", n->prov, (int)w->scope.pid) >= size)
		return false;
	return dt_glob_match(w->d->prov, full);
}

static int see_note(const struct dt_unote *n, void *arg)
{
	struct walk *w = arg;
	const struct dt_user *u = w->ps->user;
	char name[DTRACE_NAMELEN], full[DTRACE_PROVNAMELEN];
	struct dt_ufunc fn = { .name = "" };

	snprintf(name, sizeof(name), "%s", n->name);
	dashes(name);
	if (!wants_provider(w, n, full, sizeof(full)) || !dt_glob_match(w->d->name, name))
		return 0;
	if (u->function_at(u->arg, w->scope.file, n->vaddr, &fn) < 0)
		fn.name = "";
	if (!dt_glob_match(w->d->func, fn.name))
		return 0;
	w->scope.provname = dt_uprobe_str(w->ps, full);
	return w->scope.provname ? add(w, n, fn.name, name) : -1;
}

static int see_object(struct dt_ufile *f, bool exe, void *arg)
{
	struct walk *w = arg;
	const struct dt_user *u = w->ps->user;

	if (!dt_umod_matches(f, w->d->mod) && !(exe && strcmp(w->d->mod, "a.out") == 0))
		return 0;
	w->scope.file = f;
	w->scope.mod = f->name;
	w->scope.program = exe;
	return u->notes(u->arg, f, see_note, w);
}

static int see_process(pid_t pid, void *arg)
{
	struct walk *w = arg;
	struct dt_error before = *w->ps->err;
	const struct dt_user *u = w->ps->user;

	w->scope.pid = pid;
	if (u->objects(u->arg, pid, see_object, w) < 0)
		*w->ps->err = before; /* it ended meanwhile */
	return 0;
}

static int provide(struct dt_probes *ps, const struct dt_provider *self, const struct dt_pdesc *d)
{
	struct walk w = { .ps = ps, .d = d, .scope.prov = self };
	const struct dt_user *u = ps->user;
	size_t n;

	if (!u)
		return 0;
	w.scope.pid = dt_uprov_pid(d->prov, &n);
	if (w.scope.pid < 0)
		return u->processes(u->arg, see_process, &w);
	ps->tag = D_PROC_GRAB;
	return u->objects(u->arg, w.scope.pid, see_object, &w);
}

/* Any name with a process's number behind it, and patterns that look like one. */
static bool accepts(const struct dt_provider *self, const char *prov)
{
	size_t n;

	if (strncmp(prov, "pid", 3) == 0 || *prov == '*' || *prov == '?' || !*prov)
		return false;
	return dt_glob_is_literal(prov) ? dt_uprov_pid(prov, &n) > 0 : !dt_is_provider(prov);
}

static int late(struct dt_probes *ps, const struct dt_provider *self, const struct dt_pdesc *d,
		int (*cb)(struct dt_attach *at, void *arg), void *arg)
{
	struct dt_attach *at;
	size_t n;

	if (dt_umod_is_program(d) || dt_uprov_pid(d->prov, &n) < 0)
		return 0;
	at = dt_probes_attach_of(ps, &on_usdt);
	return at ? cb(at, arg) : -1;
}

/* ---- arguments --------------------------------------------------------------------------------------------------- */

/* What the first place says of them: number, size and sign. */
static int args(struct dt_probes *ps, const struct dt_probe *p, struct dt_probe_args *out)
{
	static const char *const types[2][9] = {
		{ [1] = "uint8_t", [2] = "uint16_t", [4] = "uint32_t", [8] = "uint64_t" },
		{ [1] = "int8_t", [2] = "int16_t", [4] = "int32_t", [8] = "int64_t" },
	};
	const struct dt_uprobe *u = p->priv;
	const struct dt_uargs *a = &p->at->uargs.v[u->sites.v[0].uargs];

	out->argc = (int)a->n;
	for (u32 i = 0; i < a->n; i++)
		out->type[i] = types[a->arg[i].flags & DT_UARG_SIGNED][a->arg[i].size];
	return 0;
}

const struct dt_provider dt_provider_usdt = {
	.name = "usdt<PID>",
	.attr = { DTRACE_STABILITY_UNSTABLE, DTRACE_STABILITY_UNSTABLE, DTRACE_CLASS_UNKNOWN },
	.provide = provide,
	.args = args,
	.accepts = accepts,
	.mod_matches = dt_uprobe_mod_matches,
	.late = late,
};

/* ---- of files ---------------------------------------------------------------------------------------------------- */

static int see_note_of_file(const struct dt_unote *n, void *arg)
{
	struct walk *w = arg;
	char name[DTRACE_NAMELEN];

	snprintf(name, sizeof(name), "%s", n->name);
	dashes(name);
	if (!dt_glob_match(w->d->func, n->prov) || !dt_glob_match(w->d->name, name))
		return 0;
	return add(w, n, n->prov, name);
}

static int provide_file(struct dt_probes *ps, const struct dt_provider *self,
			const struct dt_pdesc *d)
{
	struct walk w = { .ps = ps, .d = d, .scope = { .prov = self, .provname = self->name } };
	const struct dt_user *u = ps->user;

	ps->tag = D_PROC_LIB;
	if (d->mod[0] != '/')
		return 0;
	if (!u)
		return dt_fail(ps->err, EDT_NOPROV, "there are no files to look at");
	w.scope.file = u->open(u->arg, 0, d->mod);
	if (!w.scope.file)
		return -1;
	w.scope.mod = w.scope.file->name;
	return u->notes(u->arg, w.scope.file, see_note_of_file, &w);
}

static bool accepts_file(const struct dt_provider *self, const char *prov)
{
	return strcmp(prov, self->name) == 0;
}

const struct dt_provider dt_provider_usdt_file = {
	.name = "usdt",
	.attr = { DTRACE_STABILITY_UNSTABLE, DTRACE_STABILITY_UNSTABLE, DTRACE_CLASS_UNKNOWN },
	.provide = provide_file,
	.args = args,
	.accepts = accepts_file,
	.mod_matches = dt_uprobe_mod_matches,
};
