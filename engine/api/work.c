/* SPDX-License-Identifier: Apache-2.0 */
/*
 * work.c - from dtrace_go() to the last record.
 *
 *   go    generate, load and attach (programs look at the activity word in the globals and do nothing yet), fire
 *         BEGIN on this thread, then set the word: every probe is live at the same moment
 *   work  status and drops, aggregations, records
 *   stop  clear the word, detach, fire END
 *
 * Records are in memory that is mapped here, so a pass over them needs no system call, and each dtrace_work()
 * makes one.  The rates say how long dtrace_sleep() sleeps at most; a buffer half full, exit(), the end of
 * a process under control and dtrace_wakeup() end it before.
 */
#include <bpf/libbpf.h>
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>

#include "api/handle.h"

static u64 now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (u64)ts.tv_sec * 1000000000u + (u64)ts.tv_nsec;
}

/* ---- go -------------------------------------------------------------------------------------------------------- */

/* Kinds of attach points with cookies; kernels that we do not know to lack them are taken to have them. */
static u32 cookies(const dtrace_hdl_t *h)
{
	u32 kinds = 1u << DT_AT_KPROBE | 1u << DT_AT_KRETPROBE;

	return dt_feature_assumed(h, DT_FEAT_RAW_TP_COOKIE) ? kinds | 1u << DT_AT_RAW_TP : kinds;
}

static bool enables(const dtrace_hdl_t *h, enum dt_attach_kind kind)
{
	u32 i, k;

	for (i = 0; i < h->clauses.n; i++)
		for (k = 0; k < h->clauses.v[i]->probes.n; k++)
			if (h->clauses.v[i]->probes.v[k]->at->kind == kind)
				return true;
	return false;
}

static bool enables_functions(const dtrace_hdl_t *h)
{
	return enables(h, DT_AT_KPROBE) || enables(h, DT_AT_KRETPROBE);
}

static u32 typed_ways(const dtrace_hdl_t *h)
{
	u32 kinds = dt_feature_assumed(h, DT_FEAT_TP_BTF) ? 1u << DT_AT_TP_BTF : 0;

	return dt_feature_assumed(h, DT_FEAT_FENTRY) ?
		       kinds | 1u << DT_AT_FENTRY | 1u << DT_AT_FEXIT :
		       kinds;
}

static struct dt_genopts genopts(const dtrace_hdl_t *h)
{
	int ncpus = libbpf_num_possible_cpus();

	return (struct dt_genopts){
		.strsize = h->env.strsize,
		.stackframes = dt_opt_u32(h, DT_OPT_STACKFRAMES, 1, 1024),
		.jstackframes = dt_opt_u32(h, DT_OPT_JSTACKFRAMES, 1, 1024),
		.jstackstrsize = dt_opt_u32(h, DT_OPT_JSTACKSTRSIZE, 0, 32 << 10),
		.ustackunwind = dt_opt_u32(h, DT_OPT_USTACKUNWIND, 0, 64 << 10),
		.ustackframes = dt_opt_u32(h, DT_OPT_USTACKFRAMES, 1, 1024),
		.maxframes = dt_opt_u32(h, DT_OPT_MAXFRAMES, 1, 1024),
		.scratchsize = dt_opt_u32(h, DT_OPT_SCRATCHSIZE, 0, DT_SCRATCH_WINDOW),
		.dynvarsize = (u64)dt_opt(h, DT_OPT_DYNVARSIZE),
		.aggsize = (u64)dt_opt(h, DT_OPT_AGGSIZE),
		.aggpercpu = dt_opt(h, DT_OPT_AGGPERCPU) != 0,
		.temporal = dt_opt(h, DT_OPT_TEMPORAL) != 0,
		.bufpolicy = (enum dt_bufpolicy)dt_opt(h, DT_OPT_BUFPOLICY),
		.cpu = dt_opt(h, DT_OPT_CPU) == DTRACEOPT_UNSET ? -1 : dt_opt(h, DT_OPT_CPU),
		.nspec = dt_opt_u32(h, DT_OPT_NSPEC, 0, DT_NSPEC_MAX),
		.ncpus = ncpus > 0 ? (u32)ncpus : 1,
		.has_task_btf = dt_feature_assumed(h, DT_FEAT_TASK_BTF),
		.has_loop = dt_feature_assumed(h, DT_FEAT_LOOP),
		.cookies = cookies(h),
		.typed = typed_ways(h),
	};
}

/* Locked-down kernels let no program write to user memory. */
static bool can_write_user(dtrace_hdl_t *h)
{
	if (!h->obj->writes_user || dt_feature(h, DT_FEAT_WRITE_USER))
		return true;
	dt_fail(&h->err, EDT_BPF,
		"copyout() and copyoutstr() are not possible: this kernel does not let BPF programs "
		"write to user memory (it is locked down)");
	return false;
}

static bool traces_user_code(const dtrace_hdl_t *h)
{
	for (u32 i = 0; i < h->clauses.n; i++) {
		const struct dt_clause *c = h->clauses.v[i];

		if (c->late.n)
			return true;
		for (u32 k = 0; k < c->probes.n; k++)
			if (c->probes.v[k]->at->kind == DT_AT_UPROBE)
				return true;
	}
	return false;
}

/* Functions that programs on user code call, where there are any. */
static void find_kernel_functions(dtrace_hdl_t *h, struct dt_genopts *o)
{
	struct dt_btf *btf = traces_user_code(h) ? dt_types_btf(&h->types) : NULL;

	if (!btf)
		return;
	o->preempt_disable = dt_btf_find(btf, "bpf_preempt_disable", DT_BTF_FUNC);
	o->preempt_enable = dt_btf_find(btf, "bpf_preempt_enable", DT_BTF_FUNC);
}

static int generate_and_load(dtrace_hdl_t *h, const struct dt_genopts *o);

/* Once more, now that it is known that programs want to wait, and can. */
static int generate_sleepable(dtrace_hdl_t *h, const struct dt_genopts *o)
{
	struct dt_genopts sleepable = *o;

	dt_object_free(h->obj);
	h->obj = NULL;
	sleepable.sleepable = true;
	return generate_and_load(h, &sleepable);
}

static int generate_and_load(dtrace_hdl_t *h, const struct dt_genopts *o)
{
	bool show = h->env.cflags & DTRACE_C_DIFV || dt_opt(h, DT_OPT_DISASM) > 0;
	struct dt_str text = { 0 };

	h->obj = dt_generate(h->clauses.v, h->clauses.n, &h->env, o, &h->err, show ? 'a' : 0,
			     show ? &text : NULL);
	if (show)
		fputs(dt_str_cstr(&text), stderr);
	dt_str_fini(&text);
	if (!h->obj)
		return -1;
	if (h->obj->would_sleep && !o->sleepable && !o->no_direct && dt_feature(h, DT_FEAT_SLEEPABLE))
		return generate_sleepable(h, o);
	if (can_write_user(h))
		h->live = dt_live_load(h, h->obj);
	if (h->live)
		return 0;
	dt_object_free(h->obj);
	h->obj = NULL;
	return -1;
}

int dtrace_disassemble(dtrace_hdl_t *h, FILE *fp)
{
	struct dt_str text = { 0 };
	struct dt_object *obj;
	struct dt_genopts o;

	h->err = (struct dt_error){ 0 };
	h->env.refresh(h, &h->env);
	o = genopts(h);
	obj = dt_generate(h->clauses.v, h->clauses.n, &h->env, &o, &h->err, 'a', &text);
	if (obj && fputs(dt_str_cstr(&text), fp) == EOF)
		dt_fail(&h->err, errno, "writing the code: %s", dt_errstr(errno));
	dt_object_free(obj);
	dt_str_fini(&text);
	return h->err.code ? -1 : 0;
}

/* Plainer code is no smaller. */
static bool is_too_large(const char *log)
{
	return strstr(log, "program is too large") || strstr(log, "too complex") ||
	       strstr(log, "reached the limit");
}

/* Ask for what was taken for granted; true when something of it is missing. */
static bool assumed_too_much(dtrace_hdl_t *h)
{
	static const enum dt_feature assumed[] = { DT_FEAT_TASK_BTF, DT_FEAT_LOOP,
						   DT_FEAT_RAW_TP_COOKIE };
	bool missing = false;
	size_t i;

	for (i = 0; i < DT_NELEM(assumed); i++)
		missing |= !h->features[assumed[i]].known && !dt_feature(h, assumed[i]);
	if (enables_functions(h))
		missing |= !h->features[DT_FEAT_FENTRY].known && !dt_feature(h, DT_FEAT_FENTRY);
	return missing;
}

/* Refused by the verifier, or as something that this kernel does not let anybody do? */
static bool may_retry(const dtrace_hdl_t *h)
{
	return h->err.code == EDT_ACCESS ||
	       (h->err.code == EDT_BPF && h->verifier_log && !is_too_large(h->verifier_log));
}

/* Every supported kernel has what the fast code needs, but for some features of newer ones.  Code that is refused is
 * made again from what the kernel says it has, and then once more without plain loads of kernel memory. */
static int load(dtrace_hdl_t *h)
{
	struct dt_genopts o;

	h->env.refresh(h, &h->env);
	o = genopts(h);
	if (o.cpu >= (s64)o.ncpus)
		return dt_fail(&h->err, EDT_BADOPTVAL, "%s 'cpu': there are %u CPUs",
			       dt_errstr(EDT_BADOPTVAL), o.ncpus);
	find_kernel_functions(h, &o);
	if (generate_and_load(h, &o) == 0)
		return 0;
	if (!may_retry(h))
		return -1;
	if (assumed_too_much(h)) {
		o = genopts(h);
		find_kernel_functions(h, &o);
		if (generate_and_load(h, &o) == 0)
			return 0;
	}
	if (h->err.code != EDT_BPF)
		return -1;
	o.no_direct = true;
	o.preempt_disable = o.preempt_enable = 0;
	return generate_and_load(h, &o);
}

static int epoll_add(dtrace_hdl_t *h, int fd)
{
	struct epoll_event ev = { .events = EPOLLIN };

	if (fd < 0 || epoll_ctl(h->epoll_fd, EPOLL_CTL_ADD, fd, &ev) == 0)
		return 0;
	return dt_fail(&h->err, errno, "epoll: %s", dt_errstr(errno));
}

static int epoll_setup(dtrace_hdl_t *h)
{
	h->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (h->epoll_fd < 0)
		return dt_fail(&h->err, errno, "epoll: %s", dt_errstr(errno));
	if (epoll_add(h, h->wake_fd) < 0 || epoll_add(h, dt_live_pollfd(h->live)) < 0)
		return -1;
	return dt_procs_watch(h);
}

static void set_activity(dtrace_hdl_t *h, enum dt_activity a)
{
	u64 *activity = h->live ? dt_live_activity(h->live) : NULL;

	if (activity)
		__atomic_store_n(activity, a, __ATOMIC_SEQ_CST);
}

/* walltimestamp in programs is the monotonic clock plus this difference, which changes when the clock is set. */
static void refresh_wall_clock(dtrace_hdl_t *h)
{
	u64 *activity = dt_live_activity(h->live);
	struct timespec mono, real;

	if (!activity)
		return;
	clock_gettime(CLOCK_MONOTONIC, &mono);
	clock_gettime(CLOCK_REALTIME, &real);
	s64 diff = (s64)(real.tv_sec - mono.tv_sec) * 1000000000 + (real.tv_nsec - mono.tv_nsec);

	__atomic_store_n((s64 *)((u8 *)activity + DT_GL_WALLOFF), diff, __ATOMIC_RELAXED);
}

static bool has_exited(dtrace_hdl_t *h)
{
	u64 *exited = dt_live_exited(h->live);

	return exited && __atomic_load_n(exited, __ATOMIC_ACQUIRE);
}

static int start(dtrace_hdl_t *h)
{
	h->names_processes = !dt_opt(h, DT_OPT_NORESOLVE) && dt_names_processes(h->obj);
	h->consumer = dt_consumer_new(h);
	if (!h->consumer)
		return h->err.code ? -1 : dt_set_errno(h, EDT_NOMEM);
	h->aggs = dt_aggs_new(h, h->obj);
	if (!h->aggs)
		return h->err.code ? -1 : dt_set_errno(h, EDT_NOMEM);
	if (dt_python_start(h) < 0)
		return -1;
	refresh_wall_clock(h);
	if (epoll_setup(h) < 0 || dt_live_fire(h, DT_AT_BEGIN) < 0)
		return -1;
	if (!has_exited(h))
		set_activity(h, DT_ACTIVE);
	return 0;
}

int dtrace_go(dtrace_hdl_t *h)
{
	if (h->active)
		return dt_set_errno(h, EDT_ACTIVE);
	if (h->flags & DTRACE_O_NODEV)
		return dt_fail(&h->err, EDT_NOENT, "The handle was opened for compiling only");
	h->err = (struct dt_error){ 0 };
	h->owner = getpid();
	if (load(h) < 0)
		return -1;
	if (start(h) < 0) {
		dt_work_fini(h);
		return -1;
	}
	h->status = DTRACE_STATUS_OKAY;
	h->active = true;
	return 0;
}

void dt_work_fini(dtrace_hdl_t *h)
{
	if (getpid() == h->owner)
		set_activity(h, DT_INACTIVE);
	dt_live_free(h->live);
	dt_consumer_free(h->consumer);
	dt_aggs_free(h->aggs);
	dt_object_free(h->obj);
	dt_cleanup_close(&h->epoll_fd);
	h->live = NULL;
	h->consumer = NULL;
	h->aggs = NULL;
	h->obj = NULL;
	h->epoll_fd = -1;
}

void dtrace_forked(dtrace_hdl_t *h)
{
	if (h->live)
		dt_live_disown(h->live);
	dt_cleanup_close(&h->epoll_fd);
	dt_cleanup_close(&h->wake_fd);
	h->epoll_fd = h->wake_fd = -1;
}

/* ---- stop and status ------------------------------------------------------------------------------------------- */

int dtrace_stop(dtrace_hdl_t *h)
{
	if (!h->active)
		return dt_fail(&h->err, EINVAL, "Tracing is not active");
	if (h->stopped)
		return 0;
	h->stopped = true;
	if (getpid() != h->owner) { /* a forked child lets go of its copies, and no more */
		dt_live_detach(h->live);
		return 0;
	}
	set_activity(h, DT_INACTIVE);
	dt_live_detach(h->live);
	return dt_live_fire(h, DT_AT_END);
}

/* Stop because of what was seen; the records that are left come with the next pass. */
static int stop_with(dtrace_hdl_t *h, dtrace_status_t status)
{
	h->status = status;
	if (dtrace_stop(h) < 0)
		return DTRACE_STATUS_ERROR;
	return status;
}

static bool fill_policy(const dtrace_hdl_t *h)
{
	return dt_opt(h, DT_OPT_BUFPOLICY) == DT_BUFPOLICY_FILL;
}

/* Records stay where they are until tracing has stopped. */
static bool is_kept(const dtrace_hdl_t *h)
{
	return dt_opt(h, DT_OPT_BUFPOLICY) != DT_BUFPOLICY_SWITCH;
}

/* Under policy fill: did a record find no room? */
static bool has_filled(dtrace_hdl_t *h)
{
	int cpu;

	for (cpu = 0; fill_policy(h) && cpu < dt_live_ncpus(h->live); cpu++) {
		const struct dt_ring_hdr *r = dt_live_ring(h->live, cpu);

		if (r && __atomic_load_n(&r->drops, __ATOMIC_RELAXED))
			return true;
	}
	return false;
}

#define LATE_NS 100000000ull /* between two looks for probes that have come */

static int check_late(dtrace_hdl_t *h, u64 now)
{
	if (!dt_late_any(h) || (h->last_late && now - h->last_late < LATE_NS))
		return 0;
	h->last_late = now;
	return dt_late_check(h);
}

int dtrace_status(dtrace_hdl_t *h)
{
	u64 now = now_ns();

	if (!h->active)
		return DTRACE_STATUS_NONE;
	if (h->stopped)
		return dt_drops_check(h) < 0 ? DTRACE_STATUS_ERROR : DTRACE_STATUS_STOPPED;
	dt_procs_look(h, now);
	if (dt_procs_check(h) || has_exited(h))
		return stop_with(h, DTRACE_STATUS_EXITED);
	if (check_late(h, now) < 0)
		return DTRACE_STATUS_ERROR;
	if (has_filled(h))
		return stop_with(h, DTRACE_STATUS_FILLED);
	if (h->last_status && now - h->last_status < (u64)dt_opt(h, DT_OPT_STATUSRATE))
		return DTRACE_STATUS_NONE;
	h->last_status = now;
	if (dt_timers_follow(h, h->live) < 0)
		return DTRACE_STATUS_ERROR;
	return dt_drops_check(h) < 0 ? DTRACE_STATUS_ERROR : DTRACE_STATUS_OKAY;
}

/* ---- consuming ------------------------------------------------------------------------------------------------- */

static int null_probe(const dtrace_probedata_t *data, void *arg)
{
	return DTRACE_CONSUME_THIS;
}

static int null_rec(const dtrace_probedata_t *data, const dtrace_recdesc_t *rec, void *arg)
{
	return DTRACE_CONSUME_NEXT;
}

int dtrace_consume(dtrace_hdl_t *h, FILE *fp, dtrace_consume_probe_f *pf, dtrace_consume_rec_f *rf,
		   void *arg)
{
	if (!h->active)
		return dt_fail(&h->err, EINVAL, "Tracing is not active");
	h->last_switch = now_ns();
	refresh_wall_clock(h);
	if (is_kept(h) && !h->stopped)
		return 0;
	return dt_drain(h, fp, pf ? pf : null_probe, rf ? rf : null_rec, arg, h->stopped);
}

static u64 agg_rate(const dtrace_hdl_t *h)
{
	return (u64)dt_opt(h, DT_OPT_AGGRATE);
}

/* The last snapshot is taken whatever the rate says: it is what gets printed. */
static int snap_if_due(dtrace_hdl_t *h)
{
	u64 now = now_ns();

	if (!h->obj->naggs || (!h->stopped && h->last_agg && now - h->last_agg < agg_rate(h)))
		return 0;
	h->last_agg = now;
	return dtrace_aggregate_snap(h);
}

static void take_wakeup(dtrace_hdl_t *h)
{
	u64 count;

	if (read(h->wake_fd, &count, sizeof(count)) < 0)
		return; /* there was none */
}

/* Ask for the doorbell when any buffer is half full; with switchrate 0, when there is anything.  True when one
 * is already. */
static bool arm_rings(dtrace_hdl_t *h)
{
	u64 least = dt_opt(h, DT_OPT_SWITCHRATE) ? dt_live_ring_cap(h->live) / 2 : 1;
	bool ready = false;
	int cpu;

	for (cpu = 0; !is_kept(h) && cpu < dt_live_ncpus(h->live); cpu++) {
		struct dt_ring_hdr *r = dt_live_ring(h->live, cpu);
		u64 at = r ? r->tail + least : 0;

		if (!r)
			continue;
		/* the writer moves head and then looks here: one of us sees the other */
		__atomic_store_n(&r->wake_at, at, __ATOMIC_SEQ_CST);
		ready |= __atomic_load_n(&r->head, __ATOMIC_SEQ_CST) >= at;
	}
	return ready;
}

dtrace_workstatus_t dtrace_work(dtrace_hdl_t *h, FILE *fp, dtrace_consume_probe_f *pf,
				dtrace_consume_rec_f *rf, void *arg)
{
	int status;

	if (h->live)
		dt_live_drain_doorbell(h->live);
	if (h->polled)
		take_wakeup(h);
	status = dtrace_status(h);
	if (status == DTRACE_STATUS_ERROR)
		return DTRACE_WORKSTATUS_ERROR;
	if (h->active && snap_if_due(h) < 0)
		return DTRACE_WORKSTATUS_ERROR;
	if (dtrace_consume(h, fp, pf, rf, arg) < 0)
		return DTRACE_WORKSTATUS_ERROR;
	if (status >= DTRACE_STATUS_EXITED)
		return dt_drops_check(h) < 0 ? DTRACE_WORKSTATUS_ERROR : DTRACE_WORKSTATUS_DONE;
	if (h->polled)
		arm_rings(h);
	return DTRACE_WORKSTATUS_OKAY;
}

/* ---- waiting --------------------------------------------------------------------------------------------------- */

#define LEAST_WAIT 1000000 /* ns, when something is likely to be ready soon */

static s64 until(u64 last, u64 rate, u64 now)
{
	u64 at = last + rate;

	return !last || at <= now ? 0 : (s64)DT_MIN(at - now, (u64)INT64_MAX);
}

int64_t dtrace_work_due(dtrace_hdl_t *h)
{
	u64 now = now_ns(), switchrate = (u64)dt_opt(h, DT_OPT_SWITCHRATE);
	u64 statusrate = (u64)dt_opt(h, DT_OPT_STATUSRATE);
	s64 due;

	if (!h->active)
		return INT64_MAX;
	if (h->stopped || has_exited(h))
		return 0;
	due = statusrate || !h->last_status ? until(h->last_status, statusrate, now) : INT64_MAX;
	if (dt_late_any(h))
		due = DT_MIN(due, until(h->last_late, LATE_NS, now));
	if (dt_procs_look_due(h) != UINT64_MAX)
		due = DT_MIN(due, until(dt_procs_look_due(h), 0, now));
	if (!is_kept(h) && (switchrate || !h->last_switch))
		due = DT_MIN(due, until(h->last_switch, switchrate, now));
	if (!is_kept(h) && dt_spec_waiting(h)) /* a clause was still writing */
		due = DT_MIN(due, DT_MAX(dt_opt(h, DT_OPT_CLEANRATE), LEAST_WAIT));
	if (h->obj->naggs && (agg_rate(h) || !h->last_agg))
		due = DT_MIN(due, until(h->last_agg, agg_rate(h), now));
	return due;
}

void dtrace_sleep(dtrace_hdl_t *h)
{
	struct pollfd p = { .fd = h->epoll_fd, .events = POLLIN };
	struct timespec wait;
	s64 due;

	if (!h->active || h->stopped || arm_rings(h))
		return;
	due = dtrace_work_due(h);
	if (!due)
		return;
	wait.tv_sec = due / 1000000000;
	wait.tv_nsec = due % 1000000000;
	if (ppoll(&p, 1, &wait, NULL) > 0)
		take_wakeup(h);
}

void dtrace_wakeup(dtrace_hdl_t *h)
{
	static const u64 one = 1;
	int saved = errno;

	if (write(h->wake_fd, &one, sizeof(one)) < 0)
		errno = saved; /* EAGAIN: there are wake-ups enough */
}

int dtrace_pollfd(dtrace_hdl_t *h)
{
	if (!h->active || h->polled)
		return h->epoll_fd;
	h->polled = true;
	if (arm_rings(h))
		dtrace_wakeup(h);
	return h->epoll_fd;
}

int dtrace_ctlfd(dtrace_hdl_t *h)
{
	return dtrace_pollfd(h);
}

const char *dtrace_verifier_log(dtrace_hdl_t *h)
{
	return h->verifier_log;
}
