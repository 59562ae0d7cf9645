/* SPDX-License-Identifier: Apache-2.0 */
/* live.c - an object in the kernel: made in order, undone in reverse, and what the consumer may touch of it. */
#include <bpf/libbpf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "load/live.h"

#define FDS_MANY 100 /* a program of so many attachments may need a higher limit */

static u32 links_of(const struct dt_object *o)
{
	u32 i, n = 0;

	for (i = 0; i < o->nprogs; i++)
		n += 1 + o->progs[i].ntargets;
	return n;
}

int dt_live_fail(dtrace_hdl_t *h, const char *what, ...)
{
	int err = errno;
	const char *missing = err == EPERM || err == EACCES ? dt_caps_missing() : "";
	char object[256];
	va_list ap;

	va_start(ap, what);
	vsnprintf(object, sizeof(object), what, ap);
	va_end(ap);
	if (*missing)
		return dt_fail(&h->err, EDT_ACCESS, "%s: missing %s", dt_errstr(EDT_ACCESS), missing);
	if (err == EPERM) /* all capabilities, but only within a user namespace, seccomp or lockdown */
		return dt_fail(&h->err, EDT_ACCESS, "%s: the system does not permit %s",
			       dt_errstr(EDT_ACCESS), object);
	if (err == EMFILE && h->live)
		return dt_fail(&h->err, EDT_BPF,
			       "%s: %s: this enabling wants %u of them; see RLIMIT_NOFILE (ulimit -n)",
			       object, dt_errstr(err), links_of(h->live->obj));
	return dt_fail(&h->err, EDT_BPF, "%s: %s", object, dt_errstr(err));
}

/* ---- life ------------------------------------------------------------------------------------------------ */

static struct dt_live *live_new(dtrace_hdl_t *h, const struct dt_object *o)
{
	struct dt_live *l = calloc(1, sizeof(*l));
	u32 i;

	if (!l)
		return dt_fail_null(&h->err, EDT_NOMEM, "%s", "");
	l->obj = o;
	l->ncpus = libbpf_num_possible_cpus();
	l->maps = calloc(DT_MAX(o->nmaps, 1u), sizeof(*l->maps));
	l->progs = malloc(DT_MAX(o->nprogs, 1u) * sizeof(*l->progs));
	for (i = 0; l->maps && i < o->nmaps; i++)
		l->maps[i].fd = -1;
	for (i = 0; l->progs && i < o->nprogs; i++)
		l->progs[i] = -1;
	if (l->maps && l->progs && l->ncpus > 0)
		return l;
	if (l->ncpus <= 0)
		dt_fail(&h->err, EDT_FIO, "number of CPUs: %s", dt_errstr(-l->ncpus));
	else
		dt_fail(&h->err, EDT_NOMEM, "%s", "");
	dt_live_free(l);
	return NULL;
}

/* Each program and each attachment is a descriptor: the process's limit is raised while many are made. */
static bool raise_limit(const struct dt_object *o, struct rlimit *before)
{
	struct rlimit high;

	if (links_of(o) < FDS_MANY || getrlimit(RLIMIT_NOFILE, before) < 0)
		return false;
	high = (struct rlimit){ before->rlim_max, before->rlim_max };
	return before->rlim_cur < before->rlim_max && setrlimit(RLIMIT_NOFILE, &high) == 0;
}

static void move_up(int *fd, rlim_t above)
{
	int high = *fd < 0 || (rlim_t)*fd >= above ? -1 : fcntl(*fd, F_DUPFD_CLOEXEC, (int)above);

	if (high < 0)
		return;
	close(*fd);
	*fd = high;
}

/* They go to numbers above the limit, which then is what it was: for the process, little has changed. */
static void restore_limit(struct dt_live *l, const struct rlimit *before)
{
	u32 i;

	for (i = 0; i < l->links.n; i++)
		move_up(&l->links.v[i], before->rlim_cur);
	for (i = 0; i < l->obj->nprogs; i++)
		move_up(&l->progs[i], before->rlim_cur);
	setrlimit(RLIMIT_NOFILE, before);
}

static int load_and_attach(dtrace_hdl_t *h, struct dt_live *l)
{
	struct rlimit before;
	bool raised = raise_limit(l->obj, &before);
	int rv;

	rv = dt_maps_create(h, l) < 0 || dt_progs_load(h, l) < 0 || dt_progs_attach(h, l) < 0 ? -1 :
												0;
	if (raised)
		restore_limit(l, &before);
	return rv;
}

struct dt_live *dt_live_load(dtrace_hdl_t *h, const struct dt_object *o)
{
	struct dt_live *l = live_new(h, o);

	if (!l)
		return NULL;
	free(h->verifier_log);
	h->verifier_log = NULL;
	h->live = l; /* a child that another thread forks meanwhile finds what there is to let go of */
	if (load_and_attach(h, l) < 0) {
		h->live = NULL;
		dt_live_free(l);
		return NULL;
	}
	return l;
}

void dt_live_detach(struct dt_live *l)
{
	dt_fds_close(&l->links);
	dt_timers_close(&l->timers);
}

void dt_live_free(struct dt_live *l)
{
	u32 i;

	if (!l)
		return;
	dt_live_detach(l);
	for (i = 0; l->progs && i < l->obj->nprogs; i++)
		dt_cleanup_close(&l->progs[i]);
	free(l->progs);
	dt_maps_free(l);
	free(l);
}

void dt_live_disown(struct dt_live *l)
{
	u32 i;

	for (i = 0; i < l->links.n; i++)
		close(l->links.v[i]);
	l->links.n = 0;
	for (i = 0; i < l->timers.n; i++)
		close(l->timers.v[i].fd);
	l->timers.n = 0;
	for (i = 0; i < l->obj->nprogs; i++) {
		dt_cleanup_close(&l->progs[i]);
		l->progs[i] = -1;
	}
	dt_maps_disown(l);
}

/* ---- BEGIN and END ------------------------------------------------------------------------------------------ */

int dt_live_fire(dtrace_hdl_t *h, enum dt_attach_kind kind)
{
	static const u64 ctx[12]; /* as many arguments as a raw tracepoint may have */
	const struct dt_object *o = h->live->obj;
	u32 i;

	for (i = 0; i < o->nprogs; i++)
		if (o->progs[i].kind == kind &&
		    dt_bpf_test_run(h->live->progs[i], ctx, sizeof(ctx)) < 0)
			return dt_live_fail(h, "firing dtrace:::%s",
					    kind == DT_AT_BEGIN ? "BEGIN" : "END");
	return 0;
}

/* ---- shared memory ------------------------------------------------------------------------------------------- */

static void *elem(struct dt_live *l, int map, u32 i)
{
	if (map < 0 || !l->maps[map].mem || i >= l->maps[map].nelems)
		return NULL;
	return l->maps[map].mem + (size_t)i * l->maps[map].stride;
}

static u64 *global_word(struct dt_live *l, u32 off)
{
	u8 *p = elem(l, l->obj->globals_map, 0);

	return p ? (u64 *)(void *)(p + off) : NULL;
}

u64 *dt_live_activity(struct dt_live *l)
{
	return global_word(l, DT_GL_ACTIVITY);
}

u64 *dt_live_exited(struct dt_live *l)
{
	return global_word(l, DT_GL_EXITED);
}

void *dt_live_state(struct dt_live *l, int cpu)
{
	return elem(l, l->obj->state_map, (u32)cpu);
}

struct dt_ring_hdr *dt_live_ring(struct dt_live *l, int cpu)
{
	return elem(l, l->obj->ring_map, (u32)cpu);
}

u64 dt_live_ring_cap(struct dt_live *l)
{
	return l->ring_cap;
}

struct dt_spec_slot *dt_live_spec_slot(struct dt_live *l, u32 slot)
{
	if (l->obj->spec_map < 0 || slot >= l->obj->nspec)
		return NULL;
	return (void *)global_word(l, l->obj->spec_off + slot * (u32)sizeof(struct dt_spec_slot));
}

struct dt_ring_hdr *dt_live_spec(struct dt_live *l, u32 slot, int cpu)
{
	return elem(l, l->obj->spec_map, (u32)cpu * l->obj->nspec + slot);
}

u64 dt_live_spec_cap(struct dt_live *l)
{
	return l->spec_cap;
}

int dt_live_map_fd(struct dt_live *l, u32 map)
{
	return map < l->obj->nmaps ? l->maps[map].fd : -1;
}

int dt_live_ncpus(struct dt_live *l)
{
	return l->ncpus;
}

/* ---- the doorbell: what is in it does not matter, only that something is --------------------------------- */

int dt_live_pollfd(struct dt_live *l)
{
	return l->obj->doorbell_map < 0 ? -1 : l->maps[l->obj->doorbell_map].fd;
}

void dt_live_drain_doorbell(struct dt_live *l)
{
	u64 written;

	if (!l->bell_read || !l->bell_written)
		return;
	written = __atomic_load_n(l->bell_written, __ATOMIC_ACQUIRE);
	__atomic_store_n(l->bell_read, written, __ATOMIC_RELEASE);
}

u64 dt_live_misses(struct dt_live *l)
{
	u64 sum = 0;
	u32 i;

	for (i = 0; i < l->obj->nprogs; i++)
		if (l->progs[i] >= 0)
			sum += dt_bpf_prog_misses(l->progs[i]);
	return sum;
}
