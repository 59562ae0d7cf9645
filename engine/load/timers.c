/* SPDX-License-Identifier: Apache-2.0 */
/*
 * timers.c - programs to clocks: profile-N on every CPU, tick-N on one of them.
 *
 * A processor that goes off-line takes its events along, and one that comes back does not bring them: now and then the
 * list of CPUs is read again, profile-N is attached to new ones and tick-N moves to another one.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "load/live.h"

struct following {
	dtrace_hdl_t *h;
	struct dt_timers *t;
	bool *online;
	bool failed;
};

static bool wanted(dtrace_hdl_t *h, int cpu)
{
	s64 only = dt_opt(h, DT_OPT_CPU);

	return only == DTRACEOPT_UNSET || only == cpu;
}

static int note_cpu(int cpu, void *arg)
{
	const struct following *f = arg;

	if (cpu < f->t->ncpus)
		f->online[cpu] = wanted(f->h, cpu);
	return 0;
}

static bool grow(struct dt_timers *t)
{
	u32 cap = t->cap ? t->cap * 2 : 8;
	struct dt_timer *v = t->n < t->cap ? t->v : realloc(t->v, cap * sizeof(*v));

	if (!v)
		return false;
	t->cap = t->n < t->cap ? t->cap : cap;
	t->v = v;
	return true;
}

static bool runs_on(const struct dt_timers *t, const struct dt_clock *c, int cpu)
{
	for (u32 i = 0; i < t->n; i++)
		if (t->v[i].clock == c && (cpu < 0 || t->v[i].cpu == cpu))
			return true;
	return false;
}

/* 0 also when the CPU has just gone. */
static int start_on(struct following *f, const struct dt_clock *c, int cpu)
{
	int fd = dt_perf_open_timer(c->at->sw_event, c->at->period_ns, cpu);

	if (fd < 0 && errno == ENODEV)
		return 0;
	if (fd < 0 || dt_perf_attach(fd, c->prog) < 0) {
		dt_live_fail(f->h, "timer of %llu ns on CPU %d",
			     (unsigned long long)c->at->period_ns, cpu);
		dt_cleanup_close(&fd);
		return -1;
	}
	if (!grow(f->t)) {
		close(fd);
		return dt_set_errno(f->h, EDT_NOMEM);
	}
	f->t->v[f->t->n++] = (struct dt_timer){ .clock = c, .cpu = cpu, .fd = fd };
	return 0;
}

static void stop_gone(struct following *f)
{
	struct dt_timers *t = f->t;
	u32 kept = 0;

	for (u32 i = 0; i < t->n; i++)
		if (f->online[t->v[i].cpu])
			t->v[kept++] = t->v[i];
		else
			close(t->v[i].fd);
	t->n = kept;
}

static int start_missing(struct following *f, const struct dt_clock *c)
{
	for (int cpu = 0; cpu < f->t->ncpus; cpu++) {
		if (!f->online[cpu] || runs_on(f->t, c, c->at->all_cpus ? cpu : -1))
			continue;
		if (start_on(f, c, cpu) < 0)
			return -1;
	}
	return 0;
}

int dt_timers_follow(dtrace_hdl_t *h, struct dt_live *l)
{
	struct dt_timers *t = &l->timers;
	struct following f = { .h = h, .t = t };
	_cleanup_free_ bool *online = NULL;

	if (!t->nclocks)
		return 0;
	online = f.online = calloc((size_t)t->ncpus, sizeof(*online));
	if (!online)
		return dt_set_errno(h, EDT_NOMEM);
	if (dt_cpus_each("online", note_cpu, &f) < 0)
		return dt_live_fail(h, "list of CPUs");
	if (t->online && !memcmp(t->online, online, (size_t)t->ncpus * sizeof(*online)))
		return 0;
	stop_gone(&f);
	for (u32 i = 0; i < t->nclocks; i++)
		if (start_missing(&f, t->clocks[i]) < 0)
			return -1;
	free(t->online);
	t->online = online;
	online = NULL;
	return 0;
}

int dt_timers_add(dtrace_hdl_t *h, struct dt_live *l, const struct dt_attach *at, int prog)
{
	struct dt_timers *t = &l->timers;
	struct dt_clock **v = realloc(t->clocks, (t->nclocks + 1) * sizeof(struct dt_clock *));
	struct dt_clock *c = v ? malloc(sizeof(*c)) : NULL;

	if (v)
		t->clocks = v;
	if (!c)
		return dt_set_errno(h, EDT_NOMEM);
	*c = (struct dt_clock){ .at = at, .prog = prog };
	t->clocks[t->nclocks++] = c;
	t->ncpus = l->ncpus;
	free(t->online); /* look again */
	t->online = NULL;
	if (dt_timers_follow(h, l) < 0)
		return -1;
	if (runs_on(t, c, -1))
		return 0;
	if (dt_opt(h, DT_OPT_CPU) != DTRACEOPT_UNSET)
		return dt_fail(&h->err, EDT_BPF, "timer: CPU %lld of option 'cpu' is not on-line",
			       (long long)dt_opt(h, DT_OPT_CPU));
	return dt_fail(&h->err, EDT_BPF, "timer: no CPU is on-line");
}

void dt_timers_close(struct dt_timers *t)
{
	for (u32 i = 0; i < t->n; i++)
		close(t->v[i].fd);
	for (u32 i = 0; i < t->nclocks; i++)
		free(t->clocks[i]);
	free(t->v);
	free(t->clocks);
	free(t->online);
	*t = (struct dt_timers){ 0 };
}
