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

struct attaching {
	dtrace_hdl_t *h;
	struct dt_live *l;
	const struct dt_progspec *p;
	int prog;
};

/* Fired by dt_live_fire(), or called inside other programs. */
static int attach_nothing(struct attaching *a, const struct dt_attach *at, u64 cookie)
{
	return 0;
}

static int keep_link(struct attaching *a, int fd, const char *what, const char *target)
{
	if (fd >= 0 && dt_fds_add(&a->l->links, fd) == 0)
		return 0;
	return dt_live_fail(a->h, "%s '%s'", what, target);
}

static int attach_raw_tp(struct attaching *a, const struct dt_attach *at, u64 cookie)
{
	int fd = dt_bpf_raw_tp_open(at->target, a->prog, cookie);

	return keep_link(a, fd, "raw tracepoint", at->target);
}

static int attach_timer(struct attaching *a, const struct dt_attach *at, u64 cookie)
{
	return dt_timers_add(a->h, a->l, at, a->prog);
}

static int attach_uprobe(struct attaching *a, const struct dt_attach *at, u64 cookie)
{
	return a->p->nprobes ?
		       dt_uprobes_attach(a->h, a->l, at, a->prog, a->p->probes, a->p->nprobes) :
		       0;
}

/* The program was loaded for the place. */
static int attach_typed(struct attaching *a, const struct dt_attach *at, u64 cookie)
{
	return keep_link(a, dt_bpf_raw_tp_open(NULL, a->prog, cookie), "function or tracepoint",
			 at->target);
}

static bool is_return(const struct attaching *a)
{
	return a->p->kind == DT_AT_KRETPROBE;
}

static int attach_kprobe(struct attaching *a, const struct dt_attach *at, u64 cookie)
{
	_cleanup_fd_ int event = dt_perf_open_kprobe(at->target, is_return(a));
	int fd = event < 0 ? -1 : dt_bpf_link_perf(a->prog, event, cookie);

	return keep_link(a, fd, "function", at->target);
}

/* All functions of the program by one link. */
static int attach_kprobes(struct attaching *a)
{
	u32 n = a->p->ntargets, i;
	_cleanup_free_ const char **syms = calloc(n, sizeof(*syms));
	_cleanup_free_ u64 *cookies = calloc(n, sizeof(*cookies));
	char what[96];
	int fd;

	if (!syms || !cookies)
		return dt_fail(&a->h->err, EDT_NOMEM, "%s", dt_errstr(EDT_NOMEM));
	for (i = 0; i < n; i++) {
		syms[i] = a->p->targets[i]->target;
		cookies[i] = i;
	}
	fd = dt_bpf_link_kprobes(a->prog, syms, NULL, cookies, n, is_return(a));
	if (n > 1)
		snprintf(what, sizeof(what), "%u functions, among them", n);
	else
		snprintf(what, sizeof(what), "function");
	return keep_link(a, fd, what, syms[0]);
}

/* A program's targets one by one, or all of them at once where the kernel has a way to do so. */
static const struct {
	int (*one)(struct attaching *a, const struct dt_attach *at, u64 cookie);
	int (*all)(struct attaching *a);
	enum dt_feature all_if;
} ways[DT_AT_NKINDS] = {
	[DT_AT_BEGIN] = { attach_nothing },
	[DT_AT_END] = { attach_nothing },
	[DT_AT_ERROR] = { attach_nothing },
	[DT_AT_RAW_TP] = { attach_raw_tp },
	[DT_AT_TIMER] = { attach_timer },
	[DT_AT_TP_BTF] = { attach_typed },
	[DT_AT_FENTRY] = { attach_typed },
	[DT_AT_FEXIT] = { attach_typed },
	[DT_AT_UPROBE] = { attach_uprobe },
	[DT_AT_KPROBE] = { attach_kprobe, attach_kprobes, DT_FEAT_KPROBE_MULTI },
	[DT_AT_KRETPROBE] = { attach_kprobe, attach_kprobes, DT_FEAT_KPROBE_MULTI },
};

static int attach_prog(dtrace_hdl_t *h, struct dt_live *l, u32 i)
{
	const struct dt_progspec *p = &l->obj->progs[i];
	struct attaching a = { .h = h, .l = l, .p = p, .prog = l->progs[i] };
	u32 k;

	if ((size_t)p->kind >= DT_NELEM(ways) || !ways[p->kind].one)
		return dt_fail(&h->err, EDT_BPF, "attach points of kind %d cannot be attached",
			       p->kind);
	if (ways[p->kind].all && dt_feature(h, ways[p->kind].all_if))
		return ways[p->kind].all(&a);
	for (k = 0; k < p->ntargets; k++)
		if (ways[p->kind].one(&a, p->targets[k], k) < 0)
			return -1;
	return 0;
}

int dt_progs_attach(dtrace_hdl_t *h, struct dt_live *l)
{
	u32 i;

	dt_usersets_fill(l);
	for (i = 0; i < l->obj->nprogs; i++)
		if (attach_prog(h, l, i) < 0)
			return -1;
	return 0;
}
