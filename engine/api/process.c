/* SPDX-License-Identifier: Apache-2.0 */
/* process.c - processes created or grabbed for a handle: $target, and the end of tracing when all are gone. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "api/handle.h"

struct ps_prochandle {
	struct dt_proc *proc;
	struct ps_prochandle *next;
	bool created, gone;
	int status; /* of wait(2), once gone; -1: not known */
	u32 looks;  /* how often its mappings were looked at; LOOKS: enough */
	u64 next_look;
};

/*
 * A process may be over before the first stack of it is seen, and then nobody knows what its addresses were.  Those
 * under control are looked at while they are young, when the program has use for that.
 */
static const u64 look_after[] = { 0, 2000000, 8000000, 30000000, 100000000, 400000000 };
#define LOOKS DT_NELEM(look_after)

static bool wants_look(const dtrace_hdl_t *h, const struct ps_prochandle *p)
{
	return h->names_processes && !p->gone && p->looks < LOOKS;
}

void dt_procs_look(dtrace_hdl_t *h, u64 now)
{
	struct ps_prochandle *p;

	for (p = h->procs; p; p = p->next)
		if (wants_look(h, p) && now >= p->next_look) {
			dt_usyms_look(h->usyms, dt_proc_pid(p->proc));
			if (++p->looks < LOOKS)
				p->next_look = now + look_after[p->looks];
		}
}

u64 dt_procs_look_due(const dtrace_hdl_t *h)
{
	const struct ps_prochandle *p;
	u64 due = UINT64_MAX;

	for (p = h->procs; p; p = p->next)
		if (wants_look(h, p))
			due = DT_MIN(due, p->next_look);
	return due;
}

static int watch(dtrace_hdl_t *h, struct ps_prochandle *p)
{
	struct epoll_event ev = { .events = EPOLLIN };
	int fd = dt_proc_fd(p->proc);

	if (h->epoll_fd < 0 || fd < 0 || p->gone)
		return 0;
	if (epoll_ctl(h->epoll_fd, EPOLL_CTL_ADD, fd, &ev) < 0 && errno != EEXIST)
		return dt_fail(&h->err, errno, "watching process %d: %s", (int)dt_proc_pid(p->proc),
			       dt_errstr(errno));
	return 0;
}

/* Takes proc. */
static struct ps_prochandle *add(dtrace_hdl_t *h, struct dt_proc *proc, bool created)
{
	struct ps_prochandle *p = proc ? calloc(1, sizeof(*p)) : NULL;

	if (!proc)
		return NULL;
	if (!p) {
		dt_proc_release(proc, created);
		return dt_set_errno_null(h, EDT_NOMEM);
	}
	p->proc = proc;
	p->status = -1;
	p->created = created;
	p->next = h->procs;
	h->procs = p;
	h->target = dt_proc_pid(proc);
	if (watch(h, p) < 0) {
		dtrace_proc_release(h, p);
		return NULL;
	}
	return p;
}

/* ---- options setenv, unsetenv ---------------------------------------------------------------------------------- */

static bool names(const char *var, const char *name, size_t len)
{
	return !strncmp(var, name, len) && (!var[len] || var[len] == '=');
}

static u32 without(const char **env, u32 n, const char *name, size_t len)
{
	u32 i, kept = 0;

	for (i = 0; i < n; i++)
		if (!names(env[i], name, len))
			env[kept++] = env[i];
	return kept;
}

/* Our environment with what the options change, in the order they were given.  NULL: no memory. */
static const char **environment(const dtrace_hdl_t *h)
{
	u32 n = 0, i;
	const char **env;

	while (environ && environ[n])
		n++;
	env = calloc(n + h->opts.given.n + 1, sizeof(*env));
	if (!env)
		return NULL;
	if (n)
		memcpy(env, environ, n * sizeof(*env));
	for (i = 0; i < h->opts.given.n; i++) {
		const struct dt_given *g = &h->opts.given.v[i];

		if (g->id != DT_OPT_SETENV && g->id != DT_OPT_UNSETENV)
			continue;
		n = without(env, n, g->text, strcspn(g->text, "="));
		if (g->id == DT_OPT_SETENV)
			env[n++] = g->text;
	}
	env[n] = NULL;
	return env;
}

struct ps_prochandle *dtrace_proc_create(dtrace_hdl_t *h, const char *file, char *const argv[])
{
	_cleanup_free_ const char **env = environment(h);

	if (!env)
		return dt_set_errno_null(h, EDT_NOMEM);
	return add(h, dt_proc_create(&h->err, file, argv, (char *const *)(uintptr_t)env), true);
}

struct ps_prochandle *dtrace_proc_grab(dtrace_hdl_t *h, pid_t pid, int flags)
{
	return add(h, dt_proc_grab(&h->err, pid), false);
}

struct ps_prochandle *dtrace_proc_grab_pid(dtrace_hdl_t *h, pid_t pid, int flags)
{
	return dtrace_proc_grab(h, pid, flags);
}

void dtrace_proc_continue(dtrace_hdl_t *h, struct ps_prochandle *p)
{
	if (dt_proc_continue(p->proc) < 0)
		dt_fail(&h->err, errno, "continuing process %d: %s", (int)dt_proc_pid(p->proc),
			dt_errstr(errno));
}

pid_t dtrace_proc_getpid(dtrace_hdl_t *h, struct ps_prochandle *p)
{
	return dt_proc_pid(p->proc);
}

int dtrace_proc_status(dtrace_hdl_t *h, struct ps_prochandle *p)
{
	return p->gone ? p->status : -1;
}

static void unwatch(dtrace_hdl_t *h, struct ps_prochandle *p)
{
	int fd = dt_proc_fd(p->proc);

	if (h->epoll_fd >= 0 && fd >= 0)
		epoll_ctl(h->epoll_fd, EPOLL_CTL_DEL, fd, NULL);
}

/* A process that we started ends with us, unless it is a forked child of ours that cleans up. */
static void release(dtrace_hdl_t *h, struct ps_prochandle *p)
{
	unwatch(h, p);
	dt_proc_release(p->proc, p->created && getpid() == h->owner);
	free(p);
}

void dtrace_proc_release(dtrace_hdl_t *h, struct ps_prochandle *p)
{
	struct ps_prochandle **at;

	for (at = &h->procs; *at; at = &(*at)->next)
		if (*at == p) {
			*at = p->next;
			release(h, p);
			return;
		}
}

void dt_procs_free(dtrace_hdl_t *h)
{
	while (h->procs)
		dtrace_proc_release(h, h->procs);
}

int dt_procs_watch(dtrace_hdl_t *h)
{
	struct ps_prochandle *p;

	for (p = h->procs; p; p = p->next)
		if (watch(h, p) < 0)
			return -1;
	return 0;
}

static bool check(dtrace_hdl_t *h, struct ps_prochandle *p)
{
	int status;

	if (!p->gone && dt_proc_poll(p->proc, &status) >= DT_PROC_EXITED) {
		p->gone = true;
		p->status = status;
		unwatch(h, p);
		return true;
	}
	return false;
}

bool dt_procs_check(dtrace_hdl_t *h)
{
	struct ps_prochandle *p, *next;
	bool any = h->procs != NULL, left = false;

	for (p = h->procs; p; p = next) {
		bool ended = check(h, p);

		left = left || !p->gone;
		next = p->next; /* the handler may release p */
		if (ended && h->prochdlr)
			h->prochdlr(p, NULL, h->procarg);
	}
	return any && !left;
}

/* It is left where it is when it cannot be run to there: what it loads is then found while tracing runs. */
void dt_procs_advance(void *arg, pid_t pid)
{
	dtrace_hdl_t *h = arg;
	struct ps_prochandle *p;

	for (p = h->procs; p; p = p->next)
		if (p->created && !p->gone && dt_proc_pid(p->proc) == pid)
			dt_proc_advance(p->proc, (enum dt_evaltime)dt_opt(h, DT_OPT_EVALTIME));
}
