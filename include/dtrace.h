/* SPDX-License-Identifier: Apache-2.0 */
/*
 * dtrace.h - the libdtrace consumer API, classic signatures, over the embedded eBPF engine.
 *
 * The usual order of calls: dtrace_open, dtrace_setopt, dtrace_program_strcompile,
 * dtrace_program_exec, dtrace_go, then dtrace_sleep and dtrace_work until DTRACE_WORKSTATUS_DONE,
 * dtrace_aggregate_*, dtrace_close.  A handle may be used from several threads, one at a time:
 * calls on one handle must not overlap (dtrace_wakeup of dtrace_ext.h excepted); different handles
 * are independent.  Functions returning int give 0 for success and -1 with the reason in
 * dtrace_errno(), unless their comment says otherwise.  The library prints nothing by itself
 * and never exits.
 */
#ifndef DTRACE_H
#define DTRACE_H

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>
#include <gelf.h>
#include <dtrace_edt.h>

#ifdef __cplusplus
extern "C" {
#endif

#define DTRACE_VERSION 3 /* what dtrace_open() wants as its first argument */

/* ---- basic types ------------------------------------------------------------------------- */

typedef struct dtrace_hdl dtrace_hdl_t;
typedef struct dtrace_prog dtrace_prog_t;
typedef struct ps_prochandle dtrace_proc_t;

typedef uint32_t dtrace_id_t;   /* probe identifier, from 1 */
typedef uint32_t dtrace_epid_t; /* enabled probe (clause) identifier, from 1 */
typedef uint32_t dtrace_aggid_t;
typedef int64_t dtrace_aggvarid_t; /* aggregation variable, from 1 in program order */
typedef uint16_t dtrace_actkind_t; /* action code, DTRACEACT_* */
typedef int64_t dtrace_optval_t;
#define DTRACEOPT_UNSET ((dtrace_optval_t) - 2)

typedef uint8_t dtrace_stability_t;
typedef uint8_t dtrace_class_t;
#define DTRACE_STABILITY_INTERNAL 0
#define DTRACE_STABILITY_PRIVATE 1
#define DTRACE_STABILITY_OBSOLETE 2
#define DTRACE_STABILITY_EXTERNAL 3
#define DTRACE_STABILITY_UNSTABLE 4
#define DTRACE_STABILITY_EVOLVING 5
#define DTRACE_STABILITY_STABLE 6
#define DTRACE_STABILITY_STANDARD 7
#define DTRACE_STABILITY_MAX 7
#define DTRACE_CLASS_UNKNOWN 0
#define DTRACE_CLASS_CPU 1
#define DTRACE_CLASS_PLATFORM 2
#define DTRACE_CLASS_GROUP 3
#define DTRACE_CLASS_ISA 4
#define DTRACE_CLASS_COMMON 5
#define DTRACE_CLASS_MAX 5

typedef struct dtrace_attribute {
	dtrace_stability_t dtat_name;
	dtrace_stability_t dtat_data;
	dtrace_class_t dtat_class;
} dtrace_attribute_t;

#define DTRACE_PROVNAMELEN 64
#define DTRACE_MODNAMELEN 64
#define DTRACE_FUNCNAMELEN 192
#define DTRACE_NAMELEN 64
#define DTRACE_FULLNAMELEN \
	(DTRACE_PROVNAMELEN + DTRACE_MODNAMELEN + DTRACE_FUNCNAMELEN + DTRACE_NAMELEN + 4)
#define DTRACE_ARGTYPELEN 128

typedef struct dtrace_probedesc {
	dtrace_id_t dtpd_id;
	char dtpd_provider[DTRACE_PROVNAMELEN];
	char dtpd_mod[DTRACE_MODNAMELEN];
	char dtpd_func[DTRACE_FUNCNAMELEN];
	char dtpd_name[DTRACE_NAMELEN];
} dtrace_probedesc_t;

/* ---- actions ----------------------------------------------------------------------------- */

#define DTRACEACT_NONE 0
#define DTRACEACT_DIFEXPR 1 /* trace(), or an argument of printf() */
#define DTRACEACT_EXIT 2
#define DTRACEACT_PRINTF 3
#define DTRACEACT_PRINTA 4
#define DTRACEACT_LIBACT 5 /* clear, trunc, normalize ...: dtrd_arg is DT_ACT_* */
#define DTRACEACT_TRACEMEM 6
#define DTRACEACT_TRACEMEM_DYNSIZE 7
#define DTRACEACT_PRINT 8

#define DTRACEACT_PROC 0x0100
#define DTRACEACT_USTACK (DTRACEACT_PROC + 1)
#define DTRACEACT_JSTACK (DTRACEACT_PROC + 2)
#define DTRACEACT_USYM (DTRACEACT_PROC + 3)
#define DTRACEACT_UMOD (DTRACEACT_PROC + 4)
#define DTRACEACT_UADDR (DTRACEACT_PROC + 5)

#define DTRACEACT_PROC_DESTRUCTIVE 0x0200
#define DTRACEACT_STOP (DTRACEACT_PROC_DESTRUCTIVE + 1)
#define DTRACEACT_RAISE (DTRACEACT_PROC_DESTRUCTIVE + 2)
#define DTRACEACT_SYSTEM (DTRACEACT_PROC_DESTRUCTIVE + 3)
#define DTRACEACT_FREOPEN (DTRACEACT_PROC_DESTRUCTIVE + 4)

#define DTRACEACT_KERNEL 0x0400
#define DTRACEACT_STACK (DTRACEACT_KERNEL + 1)
#define DTRACEACT_SYM (DTRACEACT_KERNEL + 2)
#define DTRACEACT_MOD (DTRACEACT_KERNEL + 3)

#define DTRACEACT_KERNEL_DESTRUCTIVE 0x0500
#define DTRACEACT_BREAKPOINT (DTRACEACT_KERNEL_DESTRUCTIVE + 1)
#define DTRACEACT_PANIC (DTRACEACT_KERNEL_DESTRUCTIVE + 2)
#define DTRACEACT_CHILL (DTRACEACT_KERNEL_DESTRUCTIVE + 3)

#define DTRACEACT_SPECULATIVE 0x0600
#define DTRACEACT_SPECULATE (DTRACEACT_SPECULATIVE + 1)
#define DTRACEACT_COMMIT (DTRACEACT_SPECULATIVE + 2)
#define DTRACEACT_DISCARD (DTRACEACT_SPECULATIVE + 3)

#define DTRACEACT_AGGREGATION 0x0700
#define DTRACEAGG_COUNT (DTRACEACT_AGGREGATION + 1)
#define DTRACEAGG_MIN (DTRACEACT_AGGREGATION + 2)
#define DTRACEAGG_MAX (DTRACEACT_AGGREGATION + 3)
#define DTRACEAGG_AVG (DTRACEACT_AGGREGATION + 4)
#define DTRACEAGG_SUM (DTRACEACT_AGGREGATION + 5)
#define DTRACEAGG_STDDEV (DTRACEACT_AGGREGATION + 6)
#define DTRACEAGG_QUANTIZE (DTRACEACT_AGGREGATION + 7)
#define DTRACEAGG_LQUANTIZE (DTRACEACT_AGGREGATION + 8)
#define DTRACEAGG_LLQUANTIZE (DTRACEACT_AGGREGATION + 9)
#define DTRACEACT_ISAGG(act) (((act) & 0xff00) == DTRACEACT_AGGREGATION)

/* dtrd_arg of a DTRACEACT_LIBACT record */
#define DT_ACT_CLEAR 1
#define DT_ACT_TRUNC 2
#define DT_ACT_NORMALIZE 3
#define DT_ACT_DENORMALIZE 4
#define DT_ACT_FTRUNCATE 5
#define DT_ACT_SETOPT 6

/*
 * One datum of an enabling's record.  Stacks: DTRACEACT_STACK is dtrd_size/8 kernel PCs, zero
 * terminated; USTACK/JSTACK is a uint64_t process id, then user PCs.  A PC with 0x8001 in its upper
 * 16 bits stands for text, such as a Python frame of jstack(): dtrace_uaddr2str() gives it.  USYM, UMOD and UADDR are two
 * uint64_t: process id, address.  PRINT with dtrd_arg 1 is a uint64_t address, then the structure that was there.  TRACEMEM_DYNSIZE follows a TRACEMEM record and holds
 * the number of bytes to show.
 */
typedef struct dtrace_recdesc {
	dtrace_actkind_t dtrd_action; /* DTRACEACT_*, DTRACEAGG_* */
	uint32_t dtrd_size;           /* bytes */
	uint32_t dtrd_offset;         /* from dtpda_data or dtada_data */
	uint16_t dtrd_alignment;
	const void *dtrd_format; /* for PRINTF, PRINTA, SYSTEM, FREOPEN: a printf_create() object */
	uint64_t dtrd_arg;  /* LIBACT: DT_ACT_*; STACK/USTACK: frames; PRINTA: aggregation id */
	uint64_t dtrd_uarg; /* opaque; library use */
} dtrace_recdesc_t;

typedef struct dtrace_eprobedesc {
	dtrace_epid_t dtepd_epid;
	dtrace_id_t dtepd_probeid;
	uint64_t dtepd_uarg;
	uint32_t dtepd_size; /* bytes of data */
	int dtepd_nrecs;
	dtrace_recdesc_t *dtepd_rec;
} dtrace_eprobedesc_t;

typedef struct dtrace_aggdesc {
	const char *dtagd_name; /* without '@'; "_" for the bare one */
	dtrace_aggvarid_t dtagd_varid;
	int dtagd_flags;
	dtrace_aggid_t dtagd_id;
	dtrace_epid_t dtagd_epid;
	uint32_t dtagd_size; /* bytes of data */
	int dtagd_nrecs;
	dtrace_recdesc_t *dtagd_rec; /* [0] the variable id, [1..n-2] keys, [n-1] the value */
} dtrace_aggdesc_t;

/* ---- what callbacks receive ---------------------------------------------------------------- */

typedef enum { DTRACEFLOW_ENTRY = 0, DTRACEFLOW_RETURN = 1, DTRACEFLOW_NONE = 2 } dtrace_flowkind_t;

typedef struct dtrace_probedata {
	dtrace_hdl_t *dtpda_handle;
	dtrace_eprobedesc_t *dtpda_edesc;
	dtrace_probedesc_t *dtpda_pdesc;
	int dtpda_cpu;
	char *dtpda_data; /* the record; dtrd_offset counts from here */
	dtrace_flowkind_t dtpda_flow;
	const char *dtpda_prefix;
	int dtpda_indent;
	uint64_t dtpda_timestamp; /* CLOCK_MONOTONIC ns; 0 when option temporal is off */
} dtrace_probedata_t;

typedef int dtrace_consume_probe_f(const dtrace_probedata_t *, void *);
typedef int dtrace_consume_rec_f(const dtrace_probedata_t *, const dtrace_recdesc_t *, void *);

#define DTRACE_CONSUME_ERROR -1
#define DTRACE_CONSUME_THIS 0
#define DTRACE_CONSUME_NEXT 1
#define DTRACE_CONSUME_ABORT 2

typedef struct dtrace_aggdata {
	dtrace_hdl_t *dtada_handle;
	dtrace_aggdesc_t *dtada_desc;
	dtrace_eprobedesc_t *dtada_edesc;
	dtrace_probedesc_t *dtada_pdesc;
	char *dtada_data;      /* keys and value at the offsets of dtagd_rec */
	uint64_t dtada_normal; /* divide by this for display; 1 when not normalized */
	size_t dtada_size;     /* bytes at dtada_data */
	char **dtada_percpu;   /* per-CPU values when option aggpercpu is set, else NULL */
	uint64_t dtada_hash;
} dtrace_aggdata_t;

typedef int dtrace_aggregate_f(const dtrace_aggdata_t *, void *);
typedef int dtrace_aggregate_walk_f(dtrace_hdl_t *, dtrace_aggregate_f *, void *);
typedef int dtrace_aggregate_walk_joined_f(const dtrace_aggdata_t **, const int, void *);

#define DTRACE_AGGWALK_ERROR -1
#define DTRACE_AGGWALK_NEXT 0
#define DTRACE_AGGWALK_ABORT 1
#define DTRACE_AGGWALK_CLEAR 2
#define DTRACE_AGGWALK_NORMALIZE 3
#define DTRACE_AGGWALK_DENORMALIZE 4
#define DTRACE_AGGWALK_REMOVE 5

#define DTRACE_HANDLE_ABORT -1
#define DTRACE_HANDLE_OK 0

typedef enum {
	DTRACEDROP_PRINCIPAL = 0,
	DTRACEDROP_AGGREGATION,
	DTRACEDROP_DYNAMIC,
	DTRACEDROP_DYNRINSE,
	DTRACEDROP_DYNDIRTY,
	DTRACEDROP_SPEC,
	DTRACEDROP_SPECBUSY,
	DTRACEDROP_SPECUNAVAIL,
	DTRACEDROP_STKSTROVERFLOW,
	DTRACEDROP_DBLERROR
} dtrace_dropkind_t;

typedef struct dtrace_dropdata {
	dtrace_hdl_t *dtdda_handle;
	int dtdda_cpu;
	dtrace_dropkind_t dtdda_kind;
	uint64_t dtdda_drops; /* since the last report */
	uint64_t dtdda_total;
	const char *dtdda_msg; /* a line with its newline */
} dtrace_dropdata_t;

#define DTRACEFLT_UNKNOWN 0
#define DTRACEFLT_BADADDR 1
#define DTRACEFLT_BADALIGN 2
#define DTRACEFLT_ILLOP 3
#define DTRACEFLT_DIVZERO 4
#define DTRACEFLT_NOSCRATCH 5
#define DTRACEFLT_KPRIV 6
#define DTRACEFLT_UPRIV 7
#define DTRACEFLT_TUPOFLOW 8
#define DTRACEFLT_BADSTACK 9
#define DTRACEFLT_BADSIZE 10
#define DTRACEFLT_BADINDEX 11
#define DTRACEFLT_LIBRARY 1000

typedef struct dtrace_errdata {
	dtrace_hdl_t *dteda_handle;
	dtrace_eprobedesc_t *dteda_edesc;
	dtrace_probedesc_t *dteda_pdesc;
	int dteda_cpu;
	int dteda_action; /* index of the action in its clause, from 1; 0 the predicate */
	int dteda_offset; /* instruction of the clause */
	int dteda_fault;  /* DTRACEFLT_* */
	uint64_t dteda_addr;
	const char *dteda_msg; /* a line with its newline */
} dtrace_errdata_t;

typedef struct dtrace_setoptdata {
	dtrace_hdl_t *dtsda_handle;
	const dtrace_probedata_t *dtsda_probe;
	const char *dtsda_option;
	dtrace_optval_t dtsda_oldval;
	dtrace_optval_t dtsda_newval;
} dtrace_setoptdata_t;

#define DTRACE_BUFDATA_AGGKEY 1
#define DTRACE_BUFDATA_AGGVAL 2
#define DTRACE_BUFDATA_AGGFORMAT 4
#define DTRACE_BUFDATA_AGGLAST 8

typedef struct dtrace_bufdata {
	dtrace_hdl_t *dtbda_handle;
	const char *dtbda_buffered; /* the text, NUL terminated */
	dtrace_probedata_t *dtbda_probe;
	const dtrace_recdesc_t *dtbda_recdesc;
	const dtrace_aggdata_t *dtbda_aggdata;
	uint32_t dtbda_flags;
} dtrace_bufdata_t;

typedef int dtrace_handle_err_f(const dtrace_errdata_t *, void *);
typedef int dtrace_handle_drop_f(const dtrace_dropdata_t *, void *);
typedef int dtrace_handle_proc_f(struct ps_prochandle *, const char *, void *);
typedef int dtrace_handle_setopt_f(const dtrace_setoptdata_t *, void *);
typedef int dtrace_handle_buffered_f(const dtrace_bufdata_t *, void *);

/* ---- handles, errors, options --------------------------------------------------------------- */

#define DTRACE_O_NODEV 0x01 /* compile only: never touch the kernel's tracing */
#define DTRACE_O_NOSYS 0x02
#define DTRACE_O_LP64 0x04
#define DTRACE_O_ILP32 0x08

/* NULL on failure, the code in *errp when that is not NULL: EDT_VERSION, EINVAL (flags), EDT_DATAMODEL, EDT_NOMEM.
 * Opening needs no privilege; tracing does, and dtrace_go() says so. */
dtrace_hdl_t *dtrace_open(int version, int flags, int *errp);
int dtrace_init(dtrace_hdl_t *); /* no-op, for programs written for dtrace-utils */
/* Detaches all and frees what the handle's functions gave out; ends processes made by dtrace_proc_create().
 * NULL does nothing. */
void dtrace_close(dtrace_hdl_t *);
/* The code of the last failure: below 1000 of errno(3), from there on one of EDT_* (EDT_BASE of
 * libdtrace). */
int dtrace_errno(dtrace_hdl_t *);
/* A sentence.  The handle may be NULL for a failure of dtrace_open().  For the handle's last error it tells the
 * details, such as where the compiler stopped.  Valid until the next call on the handle. */
const char *dtrace_errmsg(dtrace_hdl_t *, int error);
const char *dtrace_faultstr(dtrace_hdl_t *, int fault); /* DTRACEFLT_* in words; never NULL */
const char *dtrace_subrstr(dtrace_hdl_t *, int subr);   /* a subroutine's name; "unknown" */

/* value NULL: the option without a value.  EDT_BADOPTNAME, EDT_BADOPTVAL; EDT_BADOPTCTX or EDT_ACTIVE when it is
 * too late for this one. */
int dtrace_setopt(dtrace_hdl_t *, const char *name, const char *value);
int dtrace_getopt(dtrace_hdl_t *, const char *name, dtrace_optval_t *value);
/* Options from the environment: with prefix "DTRACE_OPT_", variable DTRACE_OPT_BUFSIZE sets bufsize. */
int dtrace_setoptenv(dtrace_hdl_t *, const char *prefix);
int dtrace_update(dtrace_hdl_t *); /* kernel modules may have come and gone: read symbols again */
int dtrace_ctlfd(dtrace_hdl_t *); /* there is no device: what dtrace_pollfd() of dtrace_ext.h gives */

/* ---- programs --------------------------------------------------------------------------------- */

#define DTRACE_C_DIFV 0x0001
#define DTRACE_C_EMPTY 0x0002 /* an empty program is no error */
#define DTRACE_C_ZDEFS 0x0004 /* descriptions may match no probe */
#define DTRACE_C_EATTR 0x0008
#define DTRACE_C_CPP 0x0010 /* run the C preprocessor first */
#define DTRACE_C_KNODEF 0x0020
#define DTRACE_C_UNODEF 0x0040
#define DTRACE_C_PSPEC 0x0080 /* bare words are probe descriptions */
#define DTRACE_C_ETAGS 0x0100 /* "[D_TAG] " before messages */
#define DTRACE_C_ARGREF 0x0200
#define DTRACE_C_DEFARG 0x0800
#define DTRACE_C_NOLIBS 0x1000
#define DTRACE_C_CTL 0x2000

typedef enum {
	DTRACE_PROBESPEC_NONE = -1,
	DTRACE_PROBESPEC_PROVIDER = 0,
	DTRACE_PROBESPEC_MOD,
	DTRACE_PROBESPEC_FUNC,
	DTRACE_PROBESPEC_NAME
} dtrace_probespec_t;

typedef struct dtrace_proginfo {
	dtrace_attribute_t dpi_descattr;
	dtrace_attribute_t dpi_stmtattr;
	unsigned int dpi_aggregates;
	unsigned int dpi_recgens;
	unsigned int dpi_matches; /* probes matched */
	unsigned int dpi_speculations;
} dtrace_proginfo_t;

/* What one action of a clause is; more of them follow in dtad_next.  For reading only. */
typedef struct dtrace_actdesc {
	struct dtrace_actdesc *dtad_next;
	dtrace_actkind_t dtad_kind; /* DTRACEACT_*, DTRACEAGG_*; NONE: an expression */
	uint32_t dtad_ntuple;       /* keys of an aggregation */
	uint64_t dtad_arg;          /* the aggregation's variable id; of LIBACT: DT_ACT_* */
	const char *dtad_text;      /* the statement as the program has it */
} dtrace_actdesc_t;

/* A probe description of a clause. */
typedef struct dtrace_ecbdesc {
	dtrace_probedesc_t dted_probe; /* as written: fields may be empty or patterns */
	int dted_pred;                 /* there is a predicate */
	uint64_t dted_uarg;
} dtrace_ecbdesc_t;

/* One statement of a program: what a probe description of a clause does. */
typedef struct dtrace_stmtdesc {
	dtrace_ecbdesc_t *dtsd_ecbdesc;
	dtrace_actdesc_t *dtsd_action, *dtsd_action_last; /* NULL: the default action */
	void *dtsd_data;                                  /* the caller's */
	dtrace_attribute_t dtsd_descattr;                 /* the least stable of the probes */
	dtrace_attribute_t dtsd_stmtattr;
} dtrace_stmtdesc_t;

typedef int dtrace_stmt_f(dtrace_hdl_t *, dtrace_prog_t *, dtrace_stmtdesc_t *, void *);

/* NULL on failure, the reason in dtrace_errno(); argv[1..argc-1] are $1 ..., argv[0] is $0.  EDT_COMPILER: the
 * program is wrong, dtrace_errmsg() says where and why; EDT_ACTIVE after dtrace_go().  A program lives as
 * long as the handle. */
dtrace_prog_t *dtrace_program_strcompile(dtrace_hdl_t *, const char *text, dtrace_probespec_t,
					 unsigned int cflags, int argc, char *const argv[]);
dtrace_prog_t *dtrace_program_fcompile(dtrace_hdl_t *, FILE *, unsigned int cflags, int argc,
				       char *const argv[]);
/* Enable a program: its probes fire from dtrace_go() on.  The info may be NULL.  EALREADY: it is enabled;
 * EDT_DESTRUCTIVE: option destructive is not set; EDT_ACTIVE. */
int dtrace_program_exec(dtrace_hdl_t *, dtrace_prog_t *, dtrace_proginfo_t *);
void dtrace_program_info(dtrace_hdl_t *, dtrace_prog_t *, dtrace_proginfo_t *);

/* For C programs with static probes: the C header for the providers that the handle's programs declare, with a macro
 * PROVIDER_PROBE(...) and PROVIDER_PROBE_ENABLED() for each probe, in terms of <sys/sdt.h>; fname is what the header will
 * be called.  And the object file that such a program is linked with: it holds the counters that _ENABLED() reads.
 * The objects that have the probes in them are only looked at: they need no change. */
int dtrace_program_header(dtrace_hdl_t *, FILE *, const char *fname);
int dtrace_program_link(dtrace_hdl_t *, dtrace_prog_t *, unsigned int flags, const char *file,
			int objc, char *const objv[]);

/* Each clause's probe descriptions in program order.  The callback's first non-zero value ends the walk and is
 * returned.  Statements are the library's. */
int dtrace_stmt_iter(dtrace_hdl_t *, dtrace_prog_t *, dtrace_stmt_f *, void *);
/* A statement that records the default action at the probes of a description, to be added to a program.  NULL:
 * EDT_NOMEM.  The ecbdesc is copied; a predicate cannot be given. */
dtrace_stmtdesc_t *dtrace_stmt_create(dtrace_hdl_t *, const dtrace_ecbdesc_t *);
/* Takes a statement of dtrace_stmt_create() to the end of a program that is not enabled yet.  EDT_COMPILER when
 * its description matches no probe; EALREADY, EDT_ACTIVE; EINVAL for a statement that is in a program.  On
 * failure it is still the caller's. */
int dtrace_stmt_add(dtrace_hdl_t *, dtrace_prog_t *, dtrace_stmtdesc_t *);
void dtrace_stmt_destroy(dtrace_hdl_t *, dtrace_stmtdesc_t *); /* one that was not added */

/* DOF, the file format of other implementations' programs, has no use here: these fail with ENOTSUP. */
void *dtrace_dof_create(dtrace_hdl_t *, dtrace_prog_t *, unsigned int flags);
void dtrace_dof_destroy(dtrace_hdl_t *, void *);
void *dtrace_getopt_dof(dtrace_hdl_t *);
void *dtrace_geterr_dof(dtrace_hdl_t *);

/* ---- running ------------------------------------------------------------------------------------ */

typedef enum {
	DTRACE_STATUS_ERROR = -1,
	DTRACE_STATUS_NONE = 0,
	DTRACE_STATUS_OKAY = 1,
	DTRACE_STATUS_EXITED = 2,
	DTRACE_STATUS_FILLED = 3,
	DTRACE_STATUS_STOPPED = 4
} dtrace_status_t;

typedef enum {
	DTRACE_WORKSTATUS_ERROR = -1,
	DTRACE_WORKSTATUS_OKAY = 0,
	DTRACE_WORKSTATUS_DONE = 1
} dtrace_workstatus_t;

/* Load, attach, fire BEGIN.  EDT_ACCESS names the missing capability; EDT_BPF: the kernel refused a program,
 * dtrace_verifier_log() of dtrace_ext.h has its reasons; EDT_ACTIVE: a handle traces once. */
int dtrace_go(dtrace_hdl_t *);
/* Fire END, detach; records remain to be consumed.  EINVAL before dtrace_go(); a second time does nothing. */
int dtrace_stop(dtrace_hdl_t *);
void dtrace_sleep(dtrace_hdl_t *); /* until there is work or a rate has passed */
int dtrace_status(dtrace_hdl_t *); /* DTRACE_STATUS_*; drops are told to their handler */
/* What a main loop calls: status, drops, aggregations, and a pass over the records.  DONE after exit(), the end of
 * all processes under control, or dtrace_stop(), when everything was consumed.  The callbacks may be NULL: then
 * no record is shown.  Text goes to the stream or, when that is NULL, to the buffered handler
 * (EDT_NOBUFFERED without one).  EDT_DROPABORT, EDT_ERRABORT: drops or a fault without a handler for them;
 * EDT_DIRABORT: a callback wanted the end; EDT_BADRVAL: it returned no DTRACE_CONSUME_*. */
dtrace_workstatus_t dtrace_work(dtrace_hdl_t *, FILE *, dtrace_consume_probe_f *,
				dtrace_consume_rec_f *, void *arg);
/* The pass alone. */
int dtrace_consume(dtrace_hdl_t *, FILE *, dtrace_consume_probe_f *, dtrace_consume_rec_f *,
		   void *arg);

/* One handler of each sort per handle: EALREADY for a second one.  They are called from within dtrace_work(),
 * dtrace_consume(), dtrace_status() and the printing functions, and return DTRACE_HANDLE_OK or _ABORT. */
int dtrace_handle_err(dtrace_hdl_t *, dtrace_handle_err_f *, void *);
int dtrace_handle_drop(dtrace_hdl_t *, dtrace_handle_drop_f *, void *);
int dtrace_handle_proc(dtrace_hdl_t *, dtrace_handle_proc_f *, void *);
int dtrace_handle_setopt(dtrace_hdl_t *, dtrace_handle_setopt_f *, void *);
int dtrace_handle_buffered(dtrace_hdl_t *, dtrace_handle_buffered_f *, void *);

/* ---- aggregations ------------------------------------------------------------------------------- */

/* Read what the programs have counted since the last time. */
int dtrace_aggregate_snap(dtrace_hdl_t *);
void dtrace_aggregate_clear(dtrace_hdl_t *); /* all values to zero; the rows stay */
/* Each row of each aggregation as the last snapshot left them: in any order, or sorted.  The callback's value
 * (DTRACE_AGGWALK_*) says what becomes of the row, ABORT ends the walk.  EDT_BADRVAL for any other value,
 * EDT_DIRABORT for ERROR.
 *   sorted                  by variable, then value (or as options aggsort* say)
 *   keysorted, valsorted    by key, then value; by value, then key; the variable last
 *   keyvarsorted, valvarsorted  by variable first
 *   ...rev...               the other way round */
int dtrace_aggregate_walk(dtrace_hdl_t *, dtrace_aggregate_f *, void *);
/* Several aggregations with the same keys side by side: the callback gets n + 1 rows, [0] for the keys. */
int dtrace_aggregate_walk_joined(dtrace_hdl_t *, dtrace_aggvarid_t *, int,
				 dtrace_aggregate_walk_joined_f *, void *);
int dtrace_aggregate_walk_sorted(dtrace_hdl_t *, dtrace_aggregate_f *, void *);
int dtrace_aggregate_walk_keysorted(dtrace_hdl_t *, dtrace_aggregate_f *, void *);
int dtrace_aggregate_walk_valsorted(dtrace_hdl_t *, dtrace_aggregate_f *, void *);
int dtrace_aggregate_walk_keyvarsorted(dtrace_hdl_t *, dtrace_aggregate_f *, void *);
int dtrace_aggregate_walk_valvarsorted(dtrace_hdl_t *, dtrace_aggregate_f *, void *);
int dtrace_aggregate_walk_keyrevsorted(dtrace_hdl_t *, dtrace_aggregate_f *, void *);
int dtrace_aggregate_walk_valrevsorted(dtrace_hdl_t *, dtrace_aggregate_f *, void *);
int dtrace_aggregate_walk_keyvarrevsorted(dtrace_hdl_t *, dtrace_aggregate_f *, void *);
int dtrace_aggregate_walk_valvarrevsorted(dtrace_hdl_t *, dtrace_aggregate_f *, void *);
/* As text, those that no printa() has shown.  The walk is one of the above, NULL for walk_sorted. */
int dtrace_aggregate_print(dtrace_hdl_t *, FILE *, dtrace_aggregate_walk_f *);

#define DTRACE_QUANTIZE_NBUCKETS 127
#define DTRACE_QUANTIZE_ZEROBUCKET 63
/* The lower (for negative: upper) bound that names a quantize() bucket. */
#define DTRACE_QUANTIZE_BUCKETVAL(b) \
	((int64_t)((b) < DTRACE_QUANTIZE_ZEROBUCKET ? \
			   -(INT64_C(1) << (DTRACE_QUANTIZE_ZEROBUCKET - 1 - (b))) : \
		   (b) == DTRACE_QUANTIZE_ZEROBUCKET ? \
			   0 : \
			   INT64_C(1) << ((b) - DTRACE_QUANTIZE_ZEROBUCKET - 1)))
/* The first word of an lquantize() value. */
#define DTRACE_LQUANTIZE_STEP(x) ((uint16_t)((x) >> 48))
#define DTRACE_LQUANTIZE_LEVELS(x) ((uint16_t)((x) >> 32))
#define DTRACE_LQUANTIZE_BASE(x) ((int32_t)(x))
/* The first word of an llquantize() value. */
#define DTRACE_LLQUANTIZE_FACTOR(x) ((uint16_t)((x) >> 48))
#define DTRACE_LLQUANTIZE_LOW(x) ((uint16_t)((x) >> 32))
#define DTRACE_LLQUANTIZE_HIGH(x) ((uint16_t)((x) >> 16))
#define DTRACE_LLQUANTIZE_NSTEP(x) ((uint16_t)(x))

/* ---- formats ---------------------------------------------------------------------------------------- */

/*
 * Formats of printf() and printa(), to be used inside record callbacks instead of what the D program says: a record
 * of action PRINTF, PRINTA, SYSTEM or FREOPEN has its own format (NULL for a printa() without one) in dtrd_format.
 *
 * The objects live as long as the handle.  data may be NULL; buf and len are the firing's data, where dtrd_offset
 * counts from.  The printing functions return the number of records used, -1 on failure: EDT_DMISMATCH: the format
 * wants more records than there are; EDT_DOFFSET: a record lies outside of buf; EDT_BADAGG: no printa() record.
 */
void *dtrace_printf_create(dtrace_hdl_t *, const char *format); /* NULL: EDT_BADCONV */
void *dtrace_printa_create(dtrace_hdl_t *, const char *format);
/* The format's text; gives the length of the whole. */
size_t dtrace_printf_format(dtrace_hdl_t *, void *format, char *buf, size_t size);
int dtrace_fprintf(dtrace_hdl_t *, FILE *, void *format, const dtrace_probedata_t *data,
		   const dtrace_recdesc_t *rec, unsigned int nrecs, const void *buf, size_t len);
/* The aggregations of a printa() record in another format; NULL: in columns. */
int dtrace_fprinta(dtrace_hdl_t *, FILE *, void *format, const dtrace_probedata_t *data,
		   const dtrace_recdesc_t *rec, unsigned int nrecs, const void *buf, size_t len);

/* What the format and the records give is run as a command, or becomes the output as freopen() does.  data is needed. */
int dtrace_system(dtrace_hdl_t *, FILE *, void *format, const dtrace_probedata_t *data,
		  const dtrace_recdesc_t *rec, unsigned int nrecs, const void *buf, size_t len);
int dtrace_freopen(dtrace_hdl_t *, FILE *, void *format, const dtrace_probedata_t *data,
		   const dtrace_recdesc_t *rec, unsigned int nrecs, const void *buf, size_t len);

/* ---- processes ------------------------------------------------------------------------------------ */

/*
 * The last process created or grabbed is $target.  When all of a handle's processes have ended, so does tracing;
 * the handler of dtrace_handle_proc() is told about each.
 */
/* Start a program (found by PATH) that waits before its first instruction.  NULL: it cannot be started. */
struct ps_prochandle *dtrace_proc_create(dtrace_hdl_t *, const char *file, char *const argv[]);
/* Watch a process that runs; it is never stopped.  NULL with ESRCH when there is none.  flags: ignored. */
struct ps_prochandle *dtrace_proc_grab(dtrace_hdl_t *, pid_t, int flags);
struct ps_prochandle *dtrace_proc_grab_pid(dtrace_hdl_t *, pid_t, int flags); /* the same */
/* Forget it; one that was created here and still runs is killed. */
void dtrace_proc_release(dtrace_hdl_t *, struct ps_prochandle *);
void dtrace_proc_continue(dtrace_hdl_t *, struct ps_prochandle *); /* let a created one run */
pid_t dtrace_proc_getpid(dtrace_hdl_t *, struct ps_prochandle *);

/* ---- symbols and types ---------------------------------------------------------------------------- */

/* Objects: the kernel "vmlinux" and its modules, by name, or one of these. */
#define DTRACE_OBJ_EXEC ((const char *)0)
#define DTRACE_OBJ_RTLD ((const char *)1)
#define DTRACE_OBJ_CDEFS ((const char *)2) /* types of D programs */
#define DTRACE_OBJ_DDEFS ((const char *)3) /* the same */
#define DTRACE_OBJ_EVERY ((const char *)-1)
#define DTRACE_OBJ_KMODS ((const char *)-2) /* the kernel and its modules */
#define DTRACE_OBJ_UMODS ((const char *)-3)

typedef struct dtrace_syminfo {
	const char *dts_object;
	const char *dts_name;
	uint64_t dts_id; /* 0: not used */
} dtrace_syminfo_t;

#define DTT_FL_USER 1 /* an address in the traced process */

typedef struct dtrace_typeinfo {
	const char *dtt_object; /* "vmlinux"; "D" for types of the language and its programs */
	const char *dtt_name;   /* as D writes it: "struct task_struct *" */
	const void *dtt_type;   /* opaque: lives as long as the handle */
	uint64_t dtt_size;      /* bytes; 0: incomplete, void, a function */
	uint64_t dtt_id;        /* in the kernel's BTF; 0: none */
	unsigned int dtt_flags; /* DTT_FL_* */
} dtrace_typeinfo_t;

#define DTRACE_OBJ_F_KERNEL 1
#define DTRACE_OBJ_F_PRIMARY 2 /* the kernel itself */

typedef struct dtrace_objinfo {
	const char *dto_name; /* until the next call on the handle */
	const char *dto_file; /* its directory in sysfs; "" */
	int dto_id;           /* 0 the kernel, then as the kernel lists modules */
	unsigned int dto_flags;
	GElf_Addr dto_text_va; /* 0: the kernel does not tell */
	GElf_Xword dto_text_size;
	GElf_Addr dto_data_va;
	GElf_Xword dto_data_size;
	GElf_Addr dto_bss_va;
	GElf_Xword dto_bss_size;
} dtrace_objinfo_t;

/* "vmlinux`vfs_read+0x10", "libc.so.6`malloc": name of a kernel address, or of one in a process, which may have
 * ended if it was seen before; "0x1234" when there is none, and with option noresolve.  Both give the length of the whole text, which may be
 * more than size - 1. */
int dtrace_addr2str(dtrace_hdl_t *, uint64_t addr, char *buf, int size);
int dtrace_uaddr2str(dtrace_hdl_t *, pid_t, uint64_t addr, char *buf, int size);
/* Kernel symbols; object: a name or one of DTRACE_OBJ_*, which all mean any.  Either result may be NULL.  EDT_NOSYM,
 * EDT_NOSYMADDR.  Strings are valid until the next call on the handle. */
int dtrace_lookup_by_name(dtrace_hdl_t *, const char *object, const char *name, GElf_Sym *,
			  dtrace_syminfo_t *);
int dtrace_lookup_by_addr(dtrace_hdl_t *, GElf_Addr, GElf_Sym *, dtrace_syminfo_t *);
/* The type of a symbol.  EDT_NOCTF: there are no types of its object; EDT_NOTYPE: none of this symbol. */
int dtrace_symbol_type(dtrace_hdl_t *, const GElf_Sym *, const dtrace_syminfo_t *,
		       dtrace_typeinfo_t *);
/* A type by its name: D's own declarations, those of D libraries, the kernel's.  EDT_NOTYPE; EDT_NOMOD when there is
 * no such object, EDT_NOCTF when it has no types. */
int dtrace_lookup_by_type(dtrace_hdl_t *, const char *object, const char *name, dtrace_typeinfo_t *);
/* A type as a cast names it: "struct task_struct *", "int (*)(void)", "struct { int a; }".  EDT_COMPILER with
 * the compiler's reason. */
int dtrace_type_strcompile(dtrace_hdl_t *, const char *, dtrace_typeinfo_t *);
int dtrace_type_fcompile(dtrace_hdl_t *, FILE *, dtrace_typeinfo_t *);

typedef int dtrace_obj_f(dtrace_hdl_t *, const dtrace_objinfo_t *, void *);
/* The kernel and its modules.  The callback's first non-zero value ends the walk and is returned. */
int dtrace_object_iter(dtrace_hdl_t *, dtrace_obj_f *, void *);
int dtrace_object_info(dtrace_hdl_t *, const char *object, dtrace_objinfo_t *); /* EDT_NOMOD */

/* ---- probes --------------------------------------------------------------------------------------- */

typedef struct dtrace_probeinfo {
	dtrace_attribute_t dtp_attr;
	dtrace_attribute_t dtp_arga;
	const char *const *dtp_argv; /* C type names of args[], until the next call */
	int dtp_argc;
} dtrace_probeinfo_t;

typedef int dtrace_probe_f(dtrace_hdl_t *, const dtrace_probedesc_t *, void *);
/* The probes that a pattern matches, NULL for all.  The callback's first non-zero value ends the walk and is
 * returned.  EDT_NOPROBE when there is none. */
int dtrace_probe_iter(dtrace_hdl_t *, const dtrace_probedesc_t *pattern, dtrace_probe_f *, void *);
/* Stability and arguments of one probe.  EDT_NOPROBE; EDT_BADPGLOB: there are several. */
int dtrace_probe_info(dtrace_hdl_t *, const dtrace_probedesc_t *, dtrace_probeinfo_t *);
/* "provider:module:function:name", with fewer fields those on the right as spec says; a number is an id.
 * EDT_BADSPEC. */
int dtrace_str2desc(dtrace_hdl_t *, dtrace_probespec_t, const char *, dtrace_probedesc_t *);
/* With macro variables in it: $1, $target ...  EDT_BADSPCV. */
int dtrace_xstr2desc(dtrace_hdl_t *, dtrace_probespec_t, const char *, int argc, char *const argv[],
		     dtrace_probedesc_t *);
int dtrace_id2desc(dtrace_hdl_t *, dtrace_id_t, dtrace_probedesc_t *); /* EDT_BADID */
char *dtrace_desc2str(const dtrace_probedesc_t *, char *, size_t);     /* gives the buffer */
/* Names of the providers, at most n of them; gives how many there are. */
int dtrace_provider_modules(dtrace_hdl_t *, const char **names, int n);

/* "Evolving/Stable/ISA" and back: NULL, -1 when it makes no sense. */
char *dtrace_attr2str(dtrace_attribute_t, char *, size_t);
int dtrace_str2attr(const char *, dtrace_attribute_t *);
const char *dtrace_stability_name(dtrace_stability_t); /* NULL: no such */
const char *dtrace_class_name(dtrace_class_t);

extern const char _dtrace_version[]; /* "Sun D 1.x" */
extern int _dtrace_debug;

#ifdef __cplusplus
}
#endif
#endif
