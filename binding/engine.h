/* SPDX-License-Identifier: Apache-2.0 */
/* engine.h - the libdtrace that a build of the binding speaks to, as one table. */
#ifndef PY_ENGINE_H
#define PY_ENGINE_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>

#include <dtrace.h>
#include <dtrace_ext.h>

struct py_engine {
	const char *name;
	const char *(*d_version)(void); /* "Sun D 1.x" */
	/* Text of printf() and the like reaches the buffered handler; if not, a memory file is used. */
	bool buffered;
	/* close() in a forked child frees what the child has and does not disturb its parent. */
	bool fork_safe;

	dtrace_hdl_t *(*open)(int version, int flags, int *err);
	void (*close)(dtrace_hdl_t *);
	int (*errnum)(dtrace_hdl_t *);
	const char *(*errmsg)(dtrace_hdl_t *, int);
	int (*setopt)(dtrace_hdl_t *, const char *, const char *);
	int (*getopt)(dtrace_hdl_t *, const char *, dtrace_optval_t *);
	dtrace_prog_t *(*strcompile)(dtrace_hdl_t *, const char *, dtrace_probespec_t, unsigned int,
				     int, char *const[]);
	int (*exec)(dtrace_hdl_t *, dtrace_prog_t *, dtrace_proginfo_t *);
	int (*go)(dtrace_hdl_t *);
	int (*stop)(dtrace_hdl_t *);
	int (*status)(dtrace_hdl_t *);
	void (*sleep)(dtrace_hdl_t *);
	dtrace_workstatus_t (*work)(dtrace_hdl_t *, FILE *, dtrace_consume_probe_f *,
				    dtrace_consume_rec_f *, void *);
	int (*handle_err)(dtrace_hdl_t *, dtrace_handle_err_f *, void *);
	int (*handle_drop)(dtrace_hdl_t *, dtrace_handle_drop_f *, void *);
	int (*handle_buffered)(dtrace_hdl_t *, dtrace_handle_buffered_f *, void *);
	int (*aggregate_snap)(dtrace_hdl_t *);
	void (*aggregate_clear)(dtrace_hdl_t *);
	int (*aggregate_walk)(dtrace_hdl_t *, dtrace_aggregate_f *, void *);
	int (*addr2str)(dtrace_hdl_t *, uint64_t, char *, int);
	int (*uaddr2str)(dtrace_hdl_t *, pid_t, uint64_t, char *, int);

	/* what a command line needs; the fake of the tests lacks it */
	dtrace_prog_t *(*fcompile)(dtrace_hdl_t *, FILE *, unsigned int, int, char *const[]);
	void (*program_info)(dtrace_hdl_t *, dtrace_prog_t *, dtrace_proginfo_t *);
	int (*program_header)(dtrace_hdl_t *, FILE *, const char *);
	int (*program_link)(dtrace_hdl_t *, dtrace_prog_t *, unsigned int, const char *, int,
			    char *const[]);
	int (*stmt_iter)(dtrace_hdl_t *, dtrace_prog_t *, dtrace_stmt_f *, void *);
	int (*probe_iter)(dtrace_hdl_t *, const dtrace_probedesc_t *, dtrace_probe_f *, void *);
	int (*probe_info)(dtrace_hdl_t *, const dtrace_probedesc_t *, dtrace_probeinfo_t *);
	char *(*attr2str)(dtrace_attribute_t, char *, size_t);
	int (*aggregate_print)(dtrace_hdl_t *, FILE *, dtrace_aggregate_walk_f *);
	int (*aggregate_walk_sorted)(dtrace_hdl_t *, dtrace_aggregate_f *, void *);
	int (*handle_proc)(dtrace_hdl_t *, dtrace_handle_proc_f *, void *);
	int (*handle_setopt)(dtrace_hdl_t *, dtrace_handle_setopt_f *, void *);
	struct ps_prochandle *(*proc_create)(dtrace_hdl_t *, const char *, char *const[]);
	struct ps_prochandle *(*proc_grab)(dtrace_hdl_t *, pid_t, int);
	void (*proc_continue)(dtrace_hdl_t *, struct ps_prochandle *);

	/* optional */
	pid_t (*proc_getpid)(dtrace_hdl_t *, struct ps_prochandle *);
	int (*diag_get)(dtrace_hdl_t *, int, dtrace_diag_t *);
	int (*rec_kind)(const dtrace_recdesc_t *, dtrace_reckind_t *);
	int (*pollfd)(dtrace_hdl_t *);
	int64_t (*work_due)(dtrace_hdl_t *);
	void (*wakeup)(dtrace_hdl_t *);
	void (*forked)(dtrace_hdl_t *);
	const char *(*verifier_log)(dtrace_hdl_t *);
	FILE *(*output)(dtrace_hdl_t *, FILE *); /* where freopen() sent it */
	int (*disassemble)(dtrace_hdl_t *, FILE *);
	int (*feature_iter)(dtrace_hdl_t *,
			    int (*)(dtrace_hdl_t *, const dtrace_feature_t *, void *), void *);
	int (*aggregate_describe)(dtrace_hdl_t *, dtrace_aggregate_f *, void *);
	int (*enabling)(dtrace_hdl_t *, dtrace_epid_t, dtrace_enabling_t *);
	int (*proc_status)(dtrace_hdl_t *, struct ps_prochandle *);
	const char *(*version)(void);
};

extern const struct py_engine py_engine;

#endif
