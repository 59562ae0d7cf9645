/* SPDX-License-Identifier: Apache-2.0 */
/*
 * handle.h - struct dtrace_hdl and the seams between loading, consuming and the public entry points.
 * Only engine/load, engine/consume and engine/api include it; the compiler and the symbol code do not.
 */
#ifndef DT_HANDLE_H
#define DT_HANDLE_H

#include "base/base.h"
#include "codegen/object.h"
#include "dtrace.h"
#include "dtrace_ext.h"
#include "lang/lang.h"
#include "probe/probe.h"
#include "proc/proc.h"
#include "types/types.h"

/* ---- options: api/options.def has OPTION(ID, "name", kind, phase, default) per line ------------- */
enum dt_optid {
#define OPTION(id, name, kind, phase, dflt) DT_OPT_##id,
#include "api/options.def"
#undef OPTION
	DT_NOPTS
};
struct dt_given {
	enum dt_optid id;
	const char *text;
};
struct dt_options {
	s64 val[DT_NOPTS]; /* DTRACEOPT_UNSET: not set */
	DT_VEC(struct dt_given)
	given; /* values that are texts, in the order in which they were set */
};
enum dt_bufresize { DT_BUFRESIZE_AUTO, DT_BUFRESIZE_MANUAL };
/* The value in force: what was set, else the default.  Flags give 1 or 0, others DTRACEOPT_UNSET when they
 * have neither. */
s64 dt_opt(const dtrace_hdl_t *h, enum dt_optid id);
/* The text last given; NULL: none. */
const char *dt_opt_text(const dtrace_hdl_t *h, enum dt_optid id);

/* A number within bounds, whatever was asked for. */
u32 dt_opt_u32(const dtrace_hdl_t *h, enum dt_optid id, u32 least, u32 most);
u32 dt_opt_cflags(const dtrace_hdl_t *h); /* DTRACE_C_* of the compile-time flags */

/* ---- a compiled program -------------------------------------------------------------------------- */
struct dt_stmts; /* api/stmt.c */
struct dtrace_prog {
	struct dt_program *prog;
	bool enabled;
	struct dtrace_prog *next;
	struct dtrace_prog *added; /* by dtrace_stmt_add(): enabled together with this one */
	struct dt_stmts *stmts;    /* made when asked for */
};

/* ---- load/: the object in the kernel ---------------------------------------------------------------- */
struct dt_live; /* file descriptors and mappings; load/live.h */
/* Feature rows: name + probe function, cached; load/feature.c */
enum dt_feature {
	DT_FEAT_BTF,
	DT_FEAT_RAW_TP,
	DT_FEAT_RAW_TP_COOKIE,
	DT_FEAT_TP_BTF,
	DT_FEAT_FENTRY,
	DT_FEAT_KPROBE_MULTI,
	DT_FEAT_KPROBE,
	DT_FEAT_TASK_STORAGE,
	DT_FEAT_TASK_BTF,
	DT_FEAT_LOOP,
	DT_FEAT_SLEEPABLE,
	DT_FEAT_BATCH,
	DT_FEAT_TEST_RUN,
	DT_FEAT_UPROBE_MULTI,
	DT_FEAT_UPROBE,
	DT_FEAT_SEND_SIGNAL,
	DT_FEAT_WRITE_USER,
	DT_NFEATS
};
struct dt_featstate {
	s8 known;    /* 0: nobody asked; 1 it is there, -1 it is not */
	int refusal; /* errno of the kernel's answer; 0: it is there, or not known */
};
bool dt_feature(dtrace_hdl_t *h, enum dt_feature f);
/* Not yet known to be missing: for code that is made again when it turns out to be. */
bool dt_feature_assumed(const dtrace_hdl_t *h, enum dt_feature f);
/* Create maps, load programs, attach (programs are inert until activity is set). */
struct dt_live *dt_live_load(dtrace_hdl_t *h, const struct dt_object *o);
void dt_live_detach(struct dt_live *l); /* links only */
/* CPUs may have come and gone: clocks follow.  0 or -1. */
int dt_timers_follow(dtrace_hdl_t *h, struct dt_live *l);
void dt_live_free(struct dt_live *l);
/* In a forked child: give up the child's copies of descriptors and shared memory.  What was mapped reads as zeros
 * from now on and can be written without anybody else noticing. */
void dt_live_disown(struct dt_live *l);
int dt_live_fire(dtrace_hdl_t *h, enum dt_attach_kind kind); /* BEGIN or END, on this thread */
u64 *dt_live_activity(struct dt_live *l); /* mapped globals: DT_GL_ACTIVITY; NULL: no globals */
u64 *dt_live_exited(struct dt_live *l);   /* mapped globals: DT_GL_EXITED */
void *dt_live_state(struct dt_live *l, int cpu); /* mapped state element */
struct dt_ring_hdr *dt_live_ring(struct dt_live *l, int cpu);
u64 dt_live_ring_cap(struct dt_live *l);
struct dt_spec_slot *dt_live_spec_slot(struct dt_live *l, u32 slot); /* NULL: nobody speculates */
struct dt_ring_hdr *dt_live_spec(struct dt_live *l, u32 slot, int cpu);
u64 dt_live_spec_cap(struct dt_live *l);
int dt_live_map_fd(struct dt_live *l, u32 map);
int dt_live_pollfd(struct dt_live *l); /* doorbell; -1: none */
void dt_live_drain_doorbell(struct dt_live *l);
/* Firings that the kernel did not run our programs for: a program is preemptible at some probes of Linux 7 and
 * later, and never runs twice at a time on one CPU. */
u64 dt_live_misses(struct dt_live *l);
int dt_live_ncpus(struct dt_live *l); /* possible CPUs = elements */

/* ---- consume/: records and aggregations -------------------------------------------------------------- */
struct dt_consumer; /* scratch for draining, flowindent state; consume/drain.c */
struct dt_aggs;     /* consumer side of aggregations; consume/aggregate.c */
struct dt_consumer *dt_consumer_new(dtrace_hdl_t *h);
void dt_consumer_free(struct dt_consumer *c);
/* One pass over all rings, merged by time when temporal.  final: everything, else what is older than the
 * pass's start.  0 or -1. */
int dt_drain(dtrace_hdl_t *h, FILE *fp, dtrace_consume_probe_f *pf, dtrace_consume_rec_f *rf,
	     void *arg, bool final);
bool dt_spec_waiting(dtrace_hdl_t *h); /* speculations are committed and not yet fetched */
/* exit() record seen: status EXITED.  Drop counters -> handlers; 0 or -1 (EDT_DROPABORT). */
int dt_drops_check(dtrace_hdl_t *h);
int dt_python_start(dtrace_hdl_t *h); /* consume/python.c: look for Python processes, when jstack() is used */
struct dt_aggs *dt_aggs_new(dtrace_hdl_t *h, const struct dt_object *o);
void dt_aggs_free(struct dt_aggs *a);
/* The default text of one record (trace, printf, printa, stack ...): what DTRACE_CONSUME_THIS does.
 * Gives the number of records used (printf takes all of its arguments), -1 on error. */
int dt_print_record(dtrace_hdl_t *h, FILE *fp, const dtrace_probedata_t *data,
		    const dtrace_recdesc_t *rec, int nrecs);
/* Library actions clear, trunc, normalize, denormalize, setopt, ftruncate; number of records used. */
int dt_libact(dtrace_hdl_t *h, FILE *fp, const dtrace_probedata_t *data,
	      const dtrace_recdesc_t *rec, int nrecs);
/* Some record or key is an address of a process. */
bool dt_names_processes(const struct dt_object *o);
/* Text out: to fp, or to the buffered handler when fp is NULL (EDT_NOBUFFERED without one). */
int dt_printf(dtrace_hdl_t *h, FILE *fp, const char *fmt, ...) DT_PRINTF(3, 4);
int dt_buffered_flush(dtrace_hdl_t *h, const dtrace_probedata_t *pd, const dtrace_recdesc_t *rec,
		      const dtrace_aggdata_t *agg, u32 flags);

/* ---- api/ ------------------------------------------------------------------------------------------------- */
/* Leave a bare code: its classic text is the message. -1. */
int dt_set_errno(dtrace_hdl_t *h, int code);
void *dt_set_errno_null(dtrace_hdl_t *h, int code);
/* Compile text without a name of its own; NULL and the reason. */
dtrace_prog_t *dt_compile_text(dtrace_hdl_t *h, const char *text, size_t len,
			       dtrace_probespec_t spec, u32 cflags, int argc, char *const argv[]);
void *dt_compile_failed(dtrace_hdl_t *h, struct dt_program *p); /* takes p; NULL */
void dt_stmts_free(struct dt_stmts *s);
int dt_read_all(FILE *fp, struct dt_str *text); /* 0 or an errno value */
/* The program as the C preprocessor makes it; dir: where its #include "..." are looked for first, or NULL.  0 or
 * -1 with one of EDT_CPP*. */
int dt_preprocess(dtrace_hdl_t *h, const char *text, size_t len, const char *dir, struct dt_str *out);
/* The user's D libraries, at the first need; 0 or -1. */
int dt_libdirs_load(dtrace_hdl_t *h);
/* Keep a program that was compiled, and is not to be enabled, with the handle; takes it.  0 or -1. */
int dt_keep_program(dtrace_hdl_t *h, struct dt_program *p);
/* The version of D in force: major << 24 | minor << 12 | micro. */
u32 dt_version_number(const dtrace_hdl_t *h);
/* Processes under control: those that exited meanwhile are reported to the handler; true when there were some
 * and none is left. */
bool dt_procs_check(dtrace_hdl_t *h);
/* Learn what they map, now and then while they are young; when to come again (CLOCK_MONOTONIC ns). */
void dt_procs_look(dtrace_hdl_t *h, u64 now);
u64 dt_procs_look_due(const dtrace_hdl_t *h);
int dt_procs_watch(dtrace_hdl_t *h); /* add all to epoll_fd */
void dt_procs_free(dtrace_hdl_t *h);
/* Run a created process to where its files are to be looked at. */
void dt_procs_advance(void *h, pid_t pid);
/* late.c: probes that come while tracing runs; -1 with the handle's error. */
bool dt_late_any(const dtrace_hdl_t *h);
int dt_late_check(dtrace_hdl_t *h);
void dt_late_free(dtrace_hdl_t *h);
struct dt_modlist; /* api/objects.c */
void dt_modlist_free(struct dt_modlist *l);
void dt_work_fini(dtrace_hdl_t *h); /* what dtrace_go() made */

/* ---- the handle -------------------------------------------------------------------------------------------- */
struct dtrace_hdl {
	int flags; /* DTRACE_O_* */
	struct dt_error err;
	struct dt_arena arena;
	struct dt_types types;
	struct dt_probes probes;
	struct dt_symtab syms;
	struct dt_env env;
	struct dt_options opts;
	struct dt_ksyms *ksyms;
	struct dt_usyms *usyms;
	struct dt_users *users;
	struct dt_lateproc *lateprocs; /* api/late.c */
	bool names_processes;          /* some record or key is an address of a process */
	u64 last_late;
	struct dt_user userops;
	struct dtrace_prog *progs, **progs_tail;
	DT_VEC(struct dt_clause *) clauses; /* enabled, in order */
	u32 nclauses_compiled;
	u32 cflags;                    /* DTRACE_C_* argument of the compilation under way */
	bool libdirs_loaded;           /* the user's D libraries are compiled */
	bool compiling;                /* a program, which may set options by #pragma */
	struct dt_probe_args infoargs; /* what dtrace_probe_info() last gave */
	s64 target;                    /* $target: last created or grabbed process, -1 */
	struct ps_prochandle *procs;   /* created and grabbed: api/process.c */

	/* after dtrace_go */
	bool active, stopped;
	struct dt_object *obj;
	struct dt_live *live;
	struct dt_consumer *consumer;
	struct dt_aggs *aggs;
	dtrace_status_t status;
	pid_t owner; /* who opened it or started it: a forked child must not disturb the tracing */
	bool polled; /* dtrace_pollfd() was asked for: dtrace_work() takes wake-ups */
	u64 last_switch, last_status, last_agg; /* CLOCK_MONOTONIC ns */
	int wake_fd;                            /* eventfd of dtrace_wakeup */
	int epoll_fd;                           /* doorbell, wake_fd, pidfds */
	struct dt_featstate features[DT_NFEATS];

	/* handlers */
	dtrace_handle_err_f *errhdlr;
	void *errarg;
	dtrace_handle_drop_f *drophdlr;
	void *droparg;
	dtrace_handle_proc_f *prochdlr;
	void *procarg;
	dtrace_handle_setopt_f *setopthdlr;
	void *setoptarg;
	dtrace_handle_buffered_f *bufhdlr;
	void *bufarg;
	FILE *redirect; /* freopen(): where text goes instead; NULL: where the consumer wants it */
	int saved_fd;   /* freopen() of a stream with a descriptor: what that was; -1 */
	struct dt_str buffered; /* text not yet handed to the buffered handler */

	/* text whose life ends at the next call */
	struct dt_str msg, diagtext;
	DT_VEC(struct dt_fmt *) fmts; /* of dtrace_printf_create() and _printa_create() */
	struct dt_modlist *mods;      /* what dtrace_object_info() last read */
	char *verifier_log;
	struct dt_program *failed; /* the last failed compilation: its findings */
};

#endif
