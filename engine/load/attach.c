/* SPDX-License-Identifier: Apache-2.0 */
/* attach.c - programs to events: one function per kind of attach point. */
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "load/live.h"

int dt_fds_add(struct dt_fds *s, int fd)
{
	u32 cap = s->cap ? s->cap * 2 : 16;
	int *v = s->v;

	if (s->n == s->cap) {
		v = realloc(s->v, cap * sizeof(*v));
		if (!v) {
			close(fd);
			errno = ENOMEM;
			return -1;
		}
		s->v = v;
		s->cap = cap;
	}
	v[s->n++] = fd;
	return 0;
}

void dt_fds_close(struct dt_fds *s)
{
	while (s->n)
		close(s->v[--s->n]);
	free(s->v);
	*s = (struct dt_fds){ 0 };
}

/* Fired by dt_live_fire(), or called inside other programs. */
static int attach_nothing(dtrace_hdl_t *h, struct dt_live *l, const struct dt_attach *at, int prog)
{
	return 0;
}

static int attach_raw_tp(dtrace_hdl_t *h, struct dt_live *l, const struct dt_attach *at, int prog)
{
	int fd = dt_bpf_raw_tp_open(at->target, prog);

	if (fd < 0 || dt_fds_add(&l->links, fd) < 0)
		return dt_live_fail(h, "raw tracepoint '%s'", at->target);
	return 0;
}

struct timer {
	dtrace_hdl_t *h;
	struct dt_live *l;
	const struct dt_attach *at;
	int prog;
	bool attached, failed;
};

/* One CPU's timer: 0 go on with the next CPU, 1 enough, -1 failed. */
static int attach_timer_cpu(int cpu, void *arg)
{
	struct timer *t = arg;
	int fd = dt_perf_open_timer(t->at->period_ns, cpu);

	if (fd < 0 && errno == ENODEV) /* went off-line just now */
		return 0;
	t->failed = fd < 0 || dt_fds_add(&t->l->links, fd) < 0 || dt_perf_attach(fd, t->prog) < 0;
	if (t->failed)
		return dt_live_fail(t->h, "timer of %llu ns on CPU %d",
				    (unsigned long long)t->at->period_ns, cpu);
	t->attached = true;
	return t->at->all_cpus ? 0 : 1;
}

static int attach_timer(dtrace_hdl_t *h, struct dt_live *l, const struct dt_attach *at, int prog)
{
	struct timer t = { .h = h, .l = l, .at = at, .prog = prog };

	if (dt_cpus_each("online", attach_timer_cpu, &t) < 0)
		return t.failed ? -1 : dt_live_fail(h, "list of CPUs");
	return t.attached ? 0 : dt_fail(&h->err, EDT_BPF, "timer: no CPU is on-line");
}

static int (*const attach[])(dtrace_hdl_t *, struct dt_live *, const struct dt_attach *, int) = {
	[DT_AT_BEGIN] = attach_nothing, [DT_AT_END] = attach_nothing,
	[DT_AT_ERROR] = attach_nothing, [DT_AT_RAW_TP] = attach_raw_tp,
	[DT_AT_TIMER] = attach_timer,
};

int dt_progs_attach(dtrace_hdl_t *h, struct dt_live *l)
{
	u32 i;

	for (i = 0; i < l->obj->nprogs; i++) {
		const struct dt_attach *at = l->obj->progs[i].at;

		if ((size_t)at->kind >= DT_NELEM(attach))
			return dt_fail(&h->err, EDT_BPF,
				       "attach points of kind %d cannot be attached", at->kind);
		if (attach[at->kind](h, l, at, l->progs[i]) < 0)
			return -1;
	}
	return 0;
}
