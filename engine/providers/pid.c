/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pid.c - functions of one process: pid123:libc.so.6:malloc:entry.
 *
 * The process's program is module a.out, and goes by its own name too; other files by their base name,
 * without version (libc), or by path, which also means a file that is not loaded yet.
 */
#include "providers/ufunc.h"

#include <string.h>

struct walk {
	struct dt_probes *ps;
	const struct dt_pdesc *d;
	struct dt_uscope scope;
	struct dt_ufile *by_path; /* the description's module is a path: not met yet */
};

static int provide_in(struct walk *w, struct dt_ufile *f, const char *mod)
{
	w->scope.file = f;
	w->scope.mod = mod;
	return dt_ufunc_provide(w->ps, &w->scope, w->d);
}

static int see_object(struct dt_ufile *f, bool exe, void *arg)
{
	struct walk *w = arg;

	if (f == w->by_path)
		w->by_path = NULL;
	if (exe && dt_glob_match(w->d->mod, "a.out"))
		return provide_in(w, f, "a.out");
	if (!dt_umod_matches(f, w->d->mod))
		return 0;
	return provide_in(w, f, exe ? "a.out" : f->name);
}

static int provide_process(pid_t pid, void *arg)
{
	struct walk *w = arg;
	const struct dt_user *u = w->ps->user;
	char name[32];

	snprintf(name, sizeof(name), "pid%d", (int)pid);
	w->scope.provname = dt_uprobe_str(w->ps, name);
	w->scope.pid = pid;
	if (!w->scope.provname)
		return -1;
	w->ps->tag = D_PROC_LIB;
	if (w->d->mod[0] == '/' && dt_glob_is_literal(w->d->mod)) {
		w->by_path = u->open(u->arg, pid, w->d->mod);
		if (!w->by_path)
			return -1;
	}
	w->ps->tag = D_PROC_GRAB;
	if (u->objects(u->arg, pid, see_object, w) < 0)
		return -1;
	/* not loaded, or not yet */
	return w->by_path ? provide_in(w, w->by_path, w->by_path->name) : 0;
}

static int provide(struct dt_probes *ps, const struct dt_provider *self, const struct dt_pdesc *d)
{
	struct walk w = { .ps = ps, .d = d, .scope.prov = self };

	return dt_uprov_provide(ps, self, d, provide_process, &w);
}

static int late(struct dt_probes *ps, const struct dt_provider *self, const struct dt_pdesc *d,
		int (*cb)(struct dt_attach *at, void *arg), void *arg)
{
	size_t n;

	return dt_umod_is_program(d) || dt_uprov_pid(d->prov, &n) < 0 ?
		       0 :
		       dt_ufunc_late(ps, d, cb, arg);
}

const struct dt_provider dt_provider_pid = {
	.name = "pid",
	.attr = { DTRACE_STABILITY_UNSTABLE, DTRACE_STABILITY_UNSTABLE, DTRACE_CLASS_UNKNOWN },
	.provide = provide,
	.args = dt_ufunc_args,
	.accepts = dt_uprov_accepts,
	.mod_matches = dt_uprobe_mod_matches,
	.late = late,
};
