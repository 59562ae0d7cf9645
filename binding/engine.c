/* SPDX-License-Identifier: Apache-2.0 */
/*
 * engine.c - the table of the libdtrace that this build of the binding speaks to.
 *
 * The embedded engine is linked in and has every row.  The system's libdtrace has the classic ones; should it be
 * one that has more, weak references find out when the module is loaded.
 */
#include "state.h"

#ifndef PY_ORACLE /* whose table is in oracle.c */

#ifdef PY_SYSTEM_LIBDTRACE
#define EMBEDDED false
#ifdef __ELF__
#pragma weak dtrace_proc_getpid
#pragma weak dtrace_diag_get
#pragma weak dtrace_rec_kind
#pragma weak dtrace_pollfd
#pragma weak dtrace_work_due
#pragma weak dtrace_wakeup
#pragma weak dtrace_forked
#pragma weak dtrace_verifier_log
#pragma weak dtrace_disassemble
#pragma weak dtrace_feature_iter
#pragma weak dtrace_aggregate_describe
#pragma weak dtrace_enabling
#pragma weak dtrace_proc_status
#pragma weak dtrace_output
#pragma weak dtrace_engine_version
#define OPTIONAL(f) f
#else
#define OPTIONAL(f) NULL
#endif
#else
#define EMBEDDED true
#define OPTIONAL(f) f
#endif

/* FreeBSD's takes a function for the child to call, too. */
static struct ps_prochandle *proc_create(dtrace_hdl_t *h, const char *file, char *const argv[])
{
#if defined(PY_SYSTEM_LIBDTRACE) && defined(__FreeBSD__)
	return dtrace_proc_create(h, file, argv, NULL, NULL);
#else
	return dtrace_proc_create(h, file, argv);
#endif
}

static const char *d_version(void)
{
	return _dtrace_version;
}

const struct py_engine py_engine = {
	.name = PY_ENGINE_NAME,
	.d_version = d_version,
	.buffered = EMBEDDED,
	.fork_safe = EMBEDDED,
	.open = dtrace_open,
	.close = dtrace_close,
	.errnum = dtrace_errno,
	.errmsg = dtrace_errmsg,
	.setopt = dtrace_setopt,
	.getopt = dtrace_getopt,
	.strcompile = dtrace_program_strcompile,
	.exec = dtrace_program_exec,
	.go = dtrace_go,
	.stop = dtrace_stop,
	.status = dtrace_status,
	.sleep = dtrace_sleep,
	.work = dtrace_work,
	.handle_err = dtrace_handle_err,
	.handle_drop = dtrace_handle_drop,
	.handle_buffered = dtrace_handle_buffered,
	.aggregate_snap = dtrace_aggregate_snap,
	.aggregate_clear = dtrace_aggregate_clear,
	.aggregate_walk = dtrace_aggregate_walk,
	.addr2str = dtrace_addr2str,
	.uaddr2str = dtrace_uaddr2str,
	.fcompile = dtrace_program_fcompile,
	.program_info = dtrace_program_info,
	.program_header = dtrace_program_header,
	.program_link = dtrace_program_link,
	.stmt_iter = dtrace_stmt_iter,
	.probe_iter = dtrace_probe_iter,
	.probe_info = dtrace_probe_info,
	.attr2str = dtrace_attr2str,
	.aggregate_print = dtrace_aggregate_print,
	.aggregate_walk_sorted = dtrace_aggregate_walk_sorted,
	.handle_proc = dtrace_handle_proc,
	.handle_setopt = dtrace_handle_setopt,
	.proc_create = proc_create,
	.proc_grab = dtrace_proc_grab,
	.proc_continue = dtrace_proc_continue,
	.proc_getpid = OPTIONAL(dtrace_proc_getpid),
	.diag_get = OPTIONAL(dtrace_diag_get),
	.rec_kind = OPTIONAL(dtrace_rec_kind),
	.pollfd = OPTIONAL(dtrace_pollfd),
	.work_due = OPTIONAL(dtrace_work_due),
	.wakeup = OPTIONAL(dtrace_wakeup),
	.forked = OPTIONAL(dtrace_forked),
	.verifier_log = OPTIONAL(dtrace_verifier_log),
	.disassemble = OPTIONAL(dtrace_disassemble),
	.feature_iter = OPTIONAL(dtrace_feature_iter),
	.aggregate_describe = OPTIONAL(dtrace_aggregate_describe),
	.enabling = OPTIONAL(dtrace_enabling),
	.proc_status = OPTIONAL(dtrace_proc_status),
	.output = OPTIONAL(dtrace_output),
	.version = OPTIONAL(dtrace_engine_version),
};

#endif
