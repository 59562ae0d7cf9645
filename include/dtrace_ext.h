/* SPDX-License-Identifier: Apache-2.0 */
/*
 * dtrace_ext.h - what the embedded engine offers beyond libdtrace.
 *
 * A binding that must also work on a platform's own libdtrace looks these up and does without them.
 */
#ifndef DTRACE_EXT_H
#define DTRACE_EXT_H

#include <dtrace.h>

#ifdef __cplusplus
extern "C" {
#endif

/* One finding of the compiler.  Positions are in the text given to dtrace_program_strcompile. */
typedef struct dtrace_diag {
	const char *dtdg_tag;     /* "D_SYNTAX" */
	const char *dtdg_message; /* one line, no newline */
	const char *dtdg_file;    /* NULL for a string program */
	int dtdg_line;            /* from 1; 0 unknown */
	int dtdg_column;          /* from 1, in bytes; 0 unknown */
	int dtdg_length;          /* bytes to underline, at least 1 */
	const char *dtdg_text;    /* "3:3: error: ... [D_TAG]\n   3 | source\n     |  ^~~~\n" */
} dtrace_diag_t;

/* The n-th (from 0) finding of the last failed compilation; -1 when there is none.  The strings are
 * valid until the next call on the handle. */
int dtrace_diag_get(dtrace_hdl_t *, int n, dtrace_diag_t *);

/* A descriptor that polls readable when dtrace_work() has something to do, -1 before dtrace_go(). */
int dtrace_pollfd(dtrace_hdl_t *);

/* Nanoseconds until dtrace_work() is due by switchrate, aggrate or statusrate even if nothing happens;
 * 0 when it is due now. */
int64_t dtrace_work_due(dtrace_hdl_t *);

/* Ends a dtrace_sleep() in another thread, now or the next one.  Thread-safe, async-signal-safe. */
void dtrace_wakeup(dtrace_hdl_t *);

/* In a forked child: closes the child's copies of what traces, so that it ends with the parent, and leaves the
 * parent's tracing alone.  Nothing is freed: safe even when the handle was in use as the process forked.  The
 * handle is then good for dtrace_close() only, and for that only if it was not in use. */
void dtrace_forked(dtrace_hdl_t *);

/* Where text that is meant for a stream goes now: there, or to the file that freopen() in the D program opened. */
FILE *dtrace_output(dtrace_hdl_t *, FILE *);

/* Write the code that dtrace_go() would load for what is enabled, before or after it. */
int dtrace_disassemble(dtrace_hdl_t *, FILE *);

/* The verifier's log when dtrace_go() failed with EDT_BPF, else NULL. */
const char *dtrace_verifier_log(dtrace_hdl_t *);

/* A feature of the running kernel that the engine chooses by. */
typedef struct dtrace_feature {
	const char *dtf_name;    /* "fentry and fexit" */
	const char *dtf_use;     /* what it is for: "fbt of few functions" */
	const char *dtf_instead; /* what is done without it */
	int dtf_available;
	const char *dtf_refusal; /* what the kernel said, "" when it said nothing */
} dtrace_feature_t;

/* Tries all of them, which takes some milliseconds the first time.  A callback's non-zero value ends the iteration
 * and is returned. */
int dtrace_feature_iter(dtrace_hdl_t *, int (*)(dtrace_hdl_t *, const dtrace_feature_t *, void *),
			void *);

/* What a record or key is, which dtrd_action and dtrd_size alone do not tell. */
typedef enum dtrace_datakind {
	DTRACE_DATA_NONE, /* nothing to show */
	DTRACE_DATA_INT,  /* signed, 1 2 4 8 bytes */
	DTRACE_DATA_UINT,
	DTRACE_DATA_PTR,   /* an address, 8 bytes */
	DTRACE_DATA_STR,   /* text, NUL-terminated within its size */
	DTRACE_DATA_BYTES, /* struct, array, memory */
	DTRACE_DATA_FLOAT, /* 4 or 8 bytes, or a long double */
	DTRACE_DATA_STACK, /* see dtrace_recdesc_t for these */
	DTRACE_DATA_USTACK,
	DTRACE_DATA_SYM,
	DTRACE_DATA_MOD,
	DTRACE_DATA_USYM,
	DTRACE_DATA_UMOD,
	DTRACE_DATA_UADDR
} dtrace_datakind_t;

typedef struct dtrace_reckind {
	dtrace_datakind_t dtrk_kind;
	uint32_t dtrk_size;    /* bytes at dtrd_offset */
	const char *dtrk_name; /* the D expression as the program has it; NULL: not known */
} dtrace_reckind_t;

/* For records of dtrace_consume callbacks and keys of aggregations.  -1 when the record has no such datum
 * (an aggregation's value, a library action). */
int dtrace_rec_kind(const dtrace_recdesc_t *, dtrace_reckind_t *out);

/* What a record is of: the probe descriptions of its clause as the program has them, and their line (0: not
 * known).  -1 when there is no such enabling.  Valid until dtrace_close(). */
typedef struct dtrace_enabling {
	const char *dten_probes;
	int dten_line;
} dtrace_enabling_t;
int dtrace_enabling(dtrace_hdl_t *, dtrace_epid_t, dtrace_enabling_t *out);

/* Calls back for each aggregation of the enabled programs, whether it has rows or not: its data is that of a row
 * without keys and with a value of zeros.  The callback gives DTRACE_AGGWALK_NEXT, or _ABORT. */
int dtrace_aggregate_describe(dtrace_hdl_t *, dtrace_aggregate_f *, void *arg);

/* How a process made by dtrace_proc_create() has ended, as wait(2) tells it; -1: it has not, or nobody knows. */
int dtrace_proc_status(dtrace_hdl_t *, struct ps_prochandle *);

/* The version of this engine, "0.1.0". */
const char *dtrace_engine_version(void);

#ifdef __cplusplus
}
#endif
#endif
