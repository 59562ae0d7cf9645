/* SPDX-License-Identifier: Apache-2.0 */
/*
 * state.h - everything the binding's files share: the engine's table, the module's state, a consumer, and
 * one use of the library.
 *
 * The binding knows a libdtrace by <dtrace.h> alone, and calls it through one table of function pointers.  These
 * sources are compiled once per engine, each with its own table (-DPY_ENGINE=embedded, system, or fake: the module
 * is called _embedded and so on); all else is the same.  What only some engines offer is an optional row: NULL where it is lacking.
 */
#ifndef PY_STATE_H
#define PY_STATE_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>

#include "engine.h"

#define PY_STRING_(x) #x
#define PY_STRING(x) PY_STRING_(x)
#define PY_ENGINE_NAME PY_STRING(PY_ENGINE)

#if PY_VERSION_HEX < 0x030a0000
#error "Python 3.10 or later is needed"
#endif

/* ---- the module --------------------------------------------------------------------------------- */

struct consumer;

/* All consumers there are, for a forked child; without a GIL they come and go at any time.  Consumers may outlive the
 * module when the interpreter ends: each of them keeps this. */
struct py_registry {
	atomic_int refs;
	struct consumer *consumers;
	PyThread_type_lock lock;
};

struct py_registry *py_registry_new(void); /* NULL with an exception */
void py_registry_unref(struct py_registry *r);

struct py_state {
	struct py_registry *registry;
	PyTypeObject *consumer_type, *record_type, *frame_type, *column_type;
	/* of the Python module dtrace._errors, shared by all engines */
	PyObject *error, *compile_error, *load_error;
	PyObject *drop_warning, *fault_warning;
	PyObject *diagnostic, *drop, *fault;
	/* of dtrace._events */
	PyObject *probe_class, *event_class, *field_names;
	/* the keys of a probe's dict */
	PyObject *provider, *module, *function, *name;
	/* (low, high) of each bucket of quantize() */
	PyObject *quantize_range[DTRACE_QUANTIZE_NBUCKETS];
};

/* ---- a consumer ------------------------------------------------------------------------------------ */

struct py_call;
struct py_stream;
struct py_shape;

struct consumer {
	PyObject_HEAD struct py_state *st;
	struct py_registry *registry; /* NULL: not among its consumers */
	struct consumer *next, **at;
	dtrace_hdl_t *h; /* NULL: closed */
	pid_t pid;       /* who opened it: a forked child must leave it alone */
	bool foreign;    /* this is a forked child's copy */

	PyObject *module; /* st lives as long; when Python ends, modules are cleared before what they made */
	PyThread_type_lock lock;
	atomic_ulong owner;           /* thread that holds the lock, 0: none */
	struct py_call *call;         /* the innermost use of the library, NULL outside */
	bool stop_later, close_later; /* asked for inside a callback */

	PyObject *on_drop, *on_error; /* callables or NULL */
	uint64_t drops, faults;
	int exit_status;
	bool exited;

	PyObject **probes; /* by probe id: the dict handed out, as a template; NULL: not met yet */
	PyObject **probe_names; /* by probe id: the Probe of its events */
	size_t nprobes;

	struct py_shape **shapes; /* by enabling */
	size_t nshapes;
	PyObject *events; /* what events() has gathered */

	FILE *memfile; /* engines without a working buffered handler */
	char *mem;
	size_t memlen;
	char *text; /* buffered text of the record being printed */
	size_t textlen, textcap;

	struct py_command *command; /* NULL: not used by the command line */
};

PyTypeObject *py_consumer_type(PyObject *module);
/* In a forked child: let go of what the parent's consumers have. */
void py_consumers_forked(struct py_state *st);

/* ---- one use of the library (call.c) ----------------------------------------------------------------- */

/*
 * Between py_call_begin and py_call_end the library works without the GIL.  Callbacks come from inside it:
 * the first one takes the GIL with py_call_gil and it is kept until the end, since taking it per record costs more
 * than all else.
 */
struct py_call {
	struct consumer *self;
	PyThreadState *released;  /* NULL: we have the GIL */
	struct py_call *outer;    /* we are inside a callback of this one */
	const char *name;         /* of the method */
	PyObject *callback;       /* borrowed */
	struct py_stream *stream; /* of write() */
	PyObject *probe;          /* the dict of the firing being consumed */
	struct py_shape *shape;   /* events(): of the firing, and */
	PyObject *event;          /* what is made of it */
	bool gathering;           /* this is events() */
	bool printing;            /* the library was asked to print a record */
	bool json;                /* of show_json(): text goes there */
	unsigned int count;       /* callbacks so far */
};

enum py_nesting {
	PY_OUTER,  /* not from inside any callback of this consumer */
	PY_RECORD, /* also from inside consume()'s callback */
	PY_NESTED, /* also from inside any callback */
};

/* Take the consumer's lock for a method; false with an exception if it is closed, belongs to another process, or
 * the method is called from inside a callback that it does not suit. */
bool py_lock(struct consumer *self, const char *method, enum py_nesting nesting);
void py_unlock(struct consumer *self);
/* Does this thread hold the lock: are we inside a callback? */
bool py_nested(struct consumer *self);

void py_call_begin(struct py_call *call, struct consumer *self, const char *name, PyObject *callback);
void py_call_end(struct py_call *call);
/* In a callback: get the GIL back; now and then let others have it, and look for signals.  False when an
 * exception is set, be it by an earlier callback: then the library's walk has to end. */
bool py_call_gil(struct py_call *call);
/* Do what was asked for inside a callback: stop, close.  The lock is held, the GIL too.  0 or -1; an exception
 * that is set stays. */
int py_call_settle(struct consumer *self);
/* The end of a method: settle and unlock.  None or, with the exception set, NULL. */
PyObject *py_finish(struct consumer *self, bool ok);
/* Close the handle; in a forked child only forget it. */
void py_close(struct consumer *self);

/* ---- callback.c ----------------------------------------------------------------------------------------- */

dtrace_consume_probe_f py_on_probe;
dtrace_consume_rec_f py_on_record;       /* arg: struct py_call */
dtrace_consume_rec_f py_on_written;      /* the same, for write() */
dtrace_aggregate_f py_on_aggregate;      /* arg: struct py_call */
dtrace_handle_buffered_f py_on_buffered; /* arg of the handlers: struct consumer */
dtrace_handle_drop_f py_on_drop;
dtrace_handle_err_f py_on_error;
/* How a record is treated, by its action. */
enum py_way { PY_WAY_DATUM, PY_WAY_PRINT, PY_WAY_EXIT, PY_WAY_SKIP };
enum py_way py_way_of(const dtrace_recdesc_t *rec);
/* The datum of a record, or NULL without an exception if there is nothing to hand over. */
PyObject *py_record(struct py_call *call, const dtrace_probedata_t *data,
		    const dtrace_recdesc_t *rec);
void py_note_exit(struct consumer *self, const dtrace_probedata_t *data, const dtrace_recdesc_t *rec);
/* Hand over what the library printed for the last record, if anything.  false with an exception. */
bool py_flush_text(struct py_call *call);

/* ---- shape.c: what the firings of one enabling have in common --------------------------------------------- */

struct py_item {
	const dtrace_recdesc_t *rec, *next; /* next: the record behind it or NULL */
	dtrace_datakind_t kind;
	uint32_t size;
	const char *name; /* the expression, or NULL */
	bool memory;      /* of tracemem() */
	bool guessed;     /* the library does not tell the kind */
};

struct py_gathered;

struct py_shape {
	dtrace_epid_t epid;
	const dtrace_recdesc_t *recs; /* the library's descriptions that this was made from */
	int nrecs;
	struct py_item *items; /* what has a value, in order */
	int nitems;
	const dtrace_recdesc_t *exit; /* or NULL */
	bool prints;                  /* the library makes a text of some of it */
	bool plain;                   /* all is in the record: the library need not go through it */
	PyObject *type;               /* of its events; NULL: not made yet */
	struct py_gathered *gathered; /* by collect() */
};

/* Made when first met.  NULL: no memory (no exception is set; the GIL is not needed). */
struct py_shape *py_shape_of(struct consumer *self, const dtrace_probedata_t *data);
void py_shapes_clear(struct consumer *self);
/* (enabling, probes, line, expressions): what the program says about it. */
PyObject *py_shape_facts(struct consumer *self, const struct py_shape *shape);

/* ---- event.c: firings as objects ---------------------------------------------------------------------------- */

PyTypeObject *py_record_type(PyObject *module);
/* What is in dtrace._events is there, too.  0 or -1. */
int py_events_import(struct py_state *st);
PyObject *py_events(struct consumer *self); /* a pass; the list that was gathered, or NULL */

/* ---- frame.c: columns, for everybody who understands Arrow or buffers ------------------------------------ */

enum py_colkind {
	/* formats of the Arrow C data interface */
	PY_COL_S8 = 'c',
	PY_COL_U8 = 'C',
	PY_COL_S16 = 's',
	PY_COL_U16 = 'S',
	PY_COL_S32 = 'i',
	PY_COL_U32 = 'I',
	PY_COL_S64 = 'l',
	PY_COL_U64 = 'L',
	PY_COL_F32 = 'f',
	PY_COL_F64 = 'g',
	PY_COL_TEXT = 'U',
	PY_COL_BYTES = 'Z',
	/* our own letters */
	PY_COL_TEXTS = '+', /* lists of texts */
	PY_COL_DICT = 'D',  /* 32-bit numbers of texts */
};

struct py_buf {
	char *p;
	size_t n, cap;
};

struct py_column {
	char *name;
	enum py_colkind kind;
	bool hidden; /* not for others: what exact arithmetic needs */
	size_t n;
	struct py_buf data;      /* numbers, or the bytes of texts */
	struct py_buf offsets;   /* TEXT, BYTES, TEXTS: n + 1 times 64 bits */
	struct py_column *child; /* TEXTS: all texts; DICT: the texts that are numbered */
};

struct py_columns {
	atomic_int refs;
	int n, cap;
	struct py_column **v;
	size_t rows;
};

struct py_columns *py_columns_new(void);
void py_columns_unref(struct py_columns *c);
/* A new column; NULL: no memory. */
struct py_column *py_columns_add(struct py_columns *c, enum py_colkind kind);
bool py_column_name(struct py_column *c, const char *name);
/* Append.  False: no memory.  Texts: whatever is no UTF-8 is replaced, as others rely on it. */
bool py_column_put(struct py_column *c, const void *p, size_t size);
bool py_column_put_s64(struct py_column *c, int64_t v);
bool py_column_put_f64(struct py_column *c, double v);
bool py_column_put_text(struct py_column *c, const char *s, size_t n);
/* TEXTS: the texts put into child since the last time are one list. */
bool py_column_end_list(struct py_column *c);
uint32_t py_colkind_size(enum py_colkind kind); /* of a number; 0: none */

int py_frame_types(PyObject *module, struct py_state *st);
/* Takes the columns over, which must all be as long as rows says. */
PyObject *py_frame(struct py_state *st, struct py_columns *c);

/* ---- collect.c: firings and rows of aggregations as columns ------------------------------------------------ */

dtrace_consume_probe_f py_on_collected;
dtrace_consume_rec_f py_on_passed;
/* [(enabling, probes, line, expressions, frame)] of what was collected, which is forgotten. */
PyObject *py_collected(struct consumer *self);
void py_gathered_free(struct py_gathered *g);
/* [(name, varid, function, parameters, expressions, frame)]; remove: rows are taken out. */
PyObject *py_aggregations(struct consumer *self, bool remove);

/* ---- stream.c --------------------------------------------------------------------------------------------- */

struct py_stream {
	FILE *fp;
	int fd;               /* what fp writes to */
	int error;            /* errno of the first failure */
	struct py_call *call; /* NULL: outside the library */
	bool quiet;           /* no newline after each firing */
};

/* A stream to where file, a Python file or a descriptor, writes.  false with an exception. */
bool py_stream_open(struct py_stream *stream, PyObject *file);
/* Write what is left. */
void py_stream_close(struct py_stream *stream);

/* ---- convert.c -------------------------------------------------------------------------------------------- */

PyObject *py_text(const char *s, size_t n);
/* A new dict of provider, module, function, name. */
PyObject *py_probe(struct consumer *self, const dtrace_probedesc_t *desc);
void py_probes_clear(struct consumer *self);
/* What a record or key holds, as int, float, str, bytes or list.  base has size bytes. */
PyObject *py_datum(struct consumer *self, const dtrace_recdesc_t *rec, const char *base, size_t size);
/* The bytes of a tracemem() record; next is the record behind it or NULL. */
PyObject *py_tracemem(const dtrace_recdesc_t *rec, const dtrace_recdesc_t *next, const char *base,
		      size_t size);
PyObject *py_agg_keys(struct consumer *self, const dtrace_aggdata_t *agg);
PyObject *py_agg_value(struct consumer *self, const dtrace_aggdata_t *agg);
/* What a library that does not tell kinds would print the record as. */
dtrace_datakind_t py_guess(const dtrace_recdesc_t *rec, const char *p);
/* How many of its bytes a tracemem() record shows. */
uint32_t py_tracemem_size(const dtrace_recdesc_t *rec, const dtrace_recdesc_t *next,
			  const char *base, size_t size);
bool py_within(const dtrace_recdesc_t *rec, size_t size);
/* A symbol as the kinds from SYM on have it, or a frame, into buf; its length there. */
size_t py_symbol_text(struct consumer *self, dtrace_datakind_t kind, pid_t pid, uint64_t addr,
		      char *buf, size_t size, const char **s);
/* The Probe of an event; a new reference. */
PyObject *py_probe_name(struct consumer *self, const dtrace_probedesc_t *desc);

/* The value of an aggregation: n words, and what the display divides by. */
struct py_words {
	const char *p;
	size_t n;
	int64_t normal;
};
/* Where the buckets of a distribution that have something in them go; i: of quantize(). */
struct py_sink {
	bool (*put)(struct py_sink *sink, int64_t low, int64_t high, int64_t count, size_t i);
	struct py_state *st;
	void *arg;
};
/* False with an exception: not a distribution, or one that makes no sense. */
bool py_buckets(const dtrace_recdesc_t *rec, const struct py_words *w, struct py_sink *sink);
bool py_is_distribution(const dtrace_recdesc_t *rec);
int64_t py_word(const struct py_words *w, size_t i);
int64_t py_normalized(int64_t v, int64_t normal);
double py_stddev(const struct py_words *w); /* with an exception when that fails */
/* The words of a row's value; false with an exception. */
bool py_agg_words(struct consumer *self, const dtrace_aggdata_t *agg, struct py_words *w);
/* The ranges of quantize() buckets, for module state. */
int py_quantize_ranges(struct py_state *st);

/* ---- errors.c --------------------------------------------------------------------------------------------- */

/* The classes are there.  0 or -1. */
int py_errors_import(struct py_state *st);
/* All give NULL with the exception set.  An exception that is already set stays. */
void *py_raise(struct consumer *self);
void *py_raise_open(struct py_state *st, int err);
void *py_raise_compile(struct consumer *self);
void *py_raise_go(struct consumer *self);
/* A failure that the binding itself found. */
void *py_raise_text(struct py_state *st, const char *format, ...);

/* ---- command.c: the part of a consumer that the command line uses ------------------------------------------ */

PyObject *Consumer_compile(PyObject *o, PyObject *args, PyObject *kwargs);
PyObject *Consumer_info(PyObject *o, PyObject *args);
PyObject *Consumer_header(PyObject *o, PyObject *args);
PyObject *Consumer_link(PyObject *o, PyObject *args);
PyObject *Consumer_statements(PyObject *o, PyObject *args);
PyObject *Consumer_enable(PyObject *o, PyObject *args);
PyObject *Consumer_probes(PyObject *o, PyObject *args);
PyObject *Consumer_probe_info(PyObject *o, PyObject *args);
PyObject *Consumer_getopt(PyObject *o, PyObject *args);
PyObject *Consumer_features(PyObject *o, PyObject *unused);
PyObject *Consumer_create(PyObject *o, PyObject *args);
PyObject *Consumer_grab(PyObject *o, PyObject *args);
PyObject *Consumer_resume(PyObject *o, PyObject *unused);
PyObject *Consumer_ended(PyObject *o, PyObject *args);
PyObject *Consumer_open_output(PyObject *o, PyObject *args);
PyObject *Consumer_put(PyObject *o, PyObject *args);
PyObject *Consumer_list_probes(PyObject *o, PyObject *args);
PyObject *Consumer_show_code(PyObject *o, PyObject *args);
PyObject *Consumer_show(PyObject *o, PyObject *unused);
PyObject *Consumer_show_aggregations(PyObject *o, PyObject *unused);
PyObject *Consumer_show_json(PyObject *o, PyObject *unused);
PyObject *Consumer_rows(PyObject *o, PyObject *unused);
PyObject *Consumer_catch_signals(PyObject *o, PyObject *signals);
PyObject *py_get_caught(PyObject *o, void *unused);
/* Before the handle goes. */
void py_command_closing(struct consumer *self);
int py_command_traverse(struct consumer *self, visitproc visit, void *arg);
void py_command_clear(struct consumer *self);
void py_command_free(struct consumer *self);
/* A piece of the text of a record, in show_json(). */
void py_json_text(struct py_command *cmd, const char *s, size_t n);

/* ---- small things -------------------------------------------------------------------------------------------- */

static inline void py_cleanup_ref(PyObject **p)
{
	Py_XDECREF(*p);
}
#define _cleanup_pyref_ __attribute__((cleanup(py_cleanup_ref)))

/* For objects just made, that nobody else has seen. */
/* The limited API lacks these. */
#ifndef Py_XSETREF
#define Py_XSETREF(dst, src) \
	do { \
		PyObject *old_ = (PyObject *)(dst); \
		(dst) = (src); \
		Py_XDECREF(old_); \
	} while (0)
#define Py_SETREF Py_XSETREF
#endif

#ifdef Py_LIMITED_API
#define PY_LIST_SET(list, i, v) PyList_SetItem(list, i, v)
#define PY_TUPLE_SET(tuple, i, v) PyTuple_SetItem(tuple, i, v)
#else
#define PY_LIST_SET(list, i, v) PyList_SET_ITEM(list, i, v)
#define PY_TUPLE_SET(tuple, i, v) PyTuple_SET_ITEM(tuple, i, v)
#endif

/* callback(args[1], ..., args[n]); args[0] is spare.  0 or -1. */
int py_notify(PyObject *callback, PyObject **args, size_t n);

#endif
