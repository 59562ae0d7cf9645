/* SPDX-License-Identifier: Apache-2.0 */
/*
 * consume.h - what the files of consume/ share.
 *
 *   drain.c      rings -> callbacks
 *   fault.c      fault records -> the error handler
 *   drops.c      drop counters -> the drop handler
 *   text.c       text -> file or buffered handler
 *   print.c      the default text of records
 *   printf.c     printf() and printa() formats
 *   stack.c      stacks and symbols as text
 *   libact.c     actions that the library performs: clear, trunc, normalize ...
 *   aggregate.c  the rows of aggregations: finding, clearing, removing
 *   aggsnap.c    kernel memory -> rows
 *   aggvalue.c   the words of a row -> what users see
 *   aggsort.c    the walks and their orders
 *   aggprint.c   rows as text
 *   hist.c       distributions as text
 */
#ifndef DT_CONSUME_H
#define DT_CONSUME_H

#include "api/handle.h"

/* ---- draining ----------------------------------------------------------------------------------
 * */

/* The reader's side of one CPU's ring. */
struct dt_reader {
	struct dt_ring_hdr *hdr; /* NULL: this CPU has no ring */
	u8 *data;
	u64 pos;      /* next byte to read; hdr->tail follows it */
	u64 head;     /* end of what this pass may read */
	bool corrupt; /* what is at pos makes no sense */
	/* flowindent */
	int indent;
	u32 last_epid, last_probe;
};

enum dt_drop_row { DT_DROP_AGG, DT_DROP_DYN, DT_DROP_SPEC, DT_DROP_DBLERR, DT_NDROP_ROWS };

#define DT_PDESC_SLOTS 64 /* a power of two */

struct dt_consumer {
	u32 ncpus;
	struct dt_reader *readers; /* one per possible CPU */
	u64 cap;                   /* bytes of a ring; a power of two */
	u32 max_record;
	u8 *learns;                               /* per epid: records hold user addresses */
	bool draining;                            /* a pass is under way */
	pid_t learnt;                             /* the process last looked at in this pass */
	char *scratch;                            /* a record laid out as callbacks see it */
	u64 *ring_drops;                          /* per CPU: reported */
	u64 *state_drops;                         /* per CPU and enum dt_drop_row: reported */
	dtrace_probedesc_t pdesc[DT_PDESC_SLOTS]; /* by probe id, modulo */
	struct dt_str text;                       /* of the record being printed */
};

/* The description of a probe; valid until that of another probe is asked for.  Never NULL. */
dtrace_probedesc_t *dt_consumer_pdesc(dtrace_hdl_t *h, u32 id);
/* A text field of a probe, as DT_D_PROBE* says; "" for no probe. */
const char *dt_probe_text(const struct dt_probe *p, enum dt_datakind kind);
/* What is known about process pid had better be learnt now. */
void dt_consumer_learn(dtrace_hdl_t *h, u64 pid);

/* How many records are handled in one step: printf() and its arguments, tracemem() and its size. */
int dt_rec_span(const dtrace_recdesc_t *rec, int nrecs);

/* A fault record for the error handler; 0 or -1. */
int dt_fault_report(dtrace_hdl_t *h, int cpu, u32 probe, const struct dt_rec_fault *f);

/* ---- text --------------------------------------------------------------------------------------
 * */

/* To fp or the buffered handler's text, as dt_printf(). */
int dt_emit(dtrace_hdl_t *h, FILE *fp, const struct dt_str *text);

/* A datum where it lies: size is what there is, not what there should be. */
struct dt_value {
	enum dt_datakind kind;
	const void *data;
	u32 size;
};
struct dt_value dt_value_of(const dtrace_recdesc_t *rec, const char *data);
/* Integers by size and sign; pointers, symbols: the address. */
s64 dt_value_int(const struct dt_value *v);
bool dt_value_signed(const struct dt_value *v);
bool dt_value_is_int(const struct dt_value *v); /* INT, UINT, PTR */

void dt_text_stack(dtrace_hdl_t *h, struct dt_str *out, const struct dt_value *v, int indent);
void dt_text_symbol(dtrace_hdl_t *h, struct dt_str *out, const struct dt_value *v);
void dt_text_hex(struct dt_str *out, const void *data, u32 size);
/* Bounded text: up to the NUL or size. */
void dt_text_str(struct dt_str *out, const char *s, u32 size);
/* The value as a key column of the default layout of aggregations. */
void dt_text_key(dtrace_hdl_t *h, struct dt_str *out, const struct dt_value *v);
/* The text of a format; args are in order, aggs what %@ takes.  0 or -1. */
struct dt_fmtargs {
	const struct dt_value *v;
	u32 n;
	const dtrace_aggdata_t *const *aggs;
	u32 naggs;
};
int dt_text_fmt(dtrace_hdl_t *h, struct dt_str *out, const struct dt_fmt *f,
		const struct dt_fmtargs *args);

/* ---- aggregations ------------------------------------------------------------------------------
 * */

/* The words of a row; distributions have a cell per bucket that was ever hit, all else has one. */
struct dt_aggcell {
	struct dt_aggcell *next; /* of the row */
	struct dt_aggrow *row;
	u32 bucket;
	u32 gen; /* of the snapshot that saw it last; else the kernel has nothing: kern counts as 0 */
	u64 w[]; /* kern[ncellwords], base[ncellwords] */
};

struct dt_aggrow {
	u32 hash;
	u32 gen;
	bool removed; /* the user does not see it */
	bool doomed;  /* purge what the kernel has of it */
	u64 normal;
	struct dt_aggcell *cells;
	u8 key[]; /* shown bytes from offset 8 up to the value */
};

/* Open addressing: an item's hash is in the slot. */
struct dt_aggslot {
	u32 hash;
	void *item;
};
struct dt_aggtab {
	struct dt_aggslot *v;
	u32 n, cap;
};

struct dt_agg {
	const struct dt_aggspec *spec;
	u32 keybytes; /* of shown data: from 8 to the value */
	u32 ncellwords;
	bool dist;
	bool printed; /* by printa(): not again at the end */
	u64 normal;
	u32 gen;
	struct dt_aggtab rows;  /* struct dt_aggrow */
	struct dt_aggtab cells; /* struct dt_aggcell, distributions only */
	struct dt_aggrow **list;
	u32 nlist, listcap;
	void *freerows, *freecells; /* chains through the first word */
	struct dt_arena arena;
	u8 *scratch;     /* keybytes, while looking for a row */
	bool unsettled;  /* there are doomed rows */
	u64 *thresholds; /* llquantize */
	u32 nthresholds;
};

struct dt_aggs {
	dtrace_hdl_t *h;
	u32 n;
	struct dt_agg *v; /* by varid - 1 */
	u32 ncpus;
	u32 walking; /* walks under way: rows must stay */
	bool slow;   /* no batch look-ups on this kernel */
};

struct dt_agg *dt_aggs_byid(dtrace_hdl_t *h, s64 varid); /* NULL with EDT_BADAGGVAR */
/* The row with the key in a->scratch, made when it is new; NULL: out of memory. */
struct dt_aggrow *dt_agg_row(dtrace_hdl_t *h, struct dt_agg *a);
struct dt_aggrow *dt_agg_find(const struct dt_agg *a); /* NULL: there is none */
struct dt_aggcell *dt_agg_cell(struct dt_agg *a, struct dt_aggrow *row, u32 bucket);
/* Drop the rows for which gone() says so. */
void dt_agg_drop(struct dt_agg *a, bool (*gone)(const struct dt_agg *a, const struct dt_aggrow *r));
bool dt_agg_is_minmax(const struct dt_agg *a);

/* clear(): values become zero; remove: rows vanish until the kernel counts on.  dt_agg_settle()
 * afterwards, once for any number of rows. */
void dt_agg_row_clear(struct dt_agg *a, struct dt_aggrow *row);
void dt_agg_row_remove(struct dt_agg *a, struct dt_aggrow *row);
int dt_agg_settle(dtrace_hdl_t *h, struct dt_agg *a);
/* Purge what the kernel has of doomed rows (min, max). */
int dt_agg_purge(dtrace_hdl_t *h, struct dt_agg *a);

/* ---- values (aggvalue.c) ---- */
void dt_words_add(int func, u64 *to, const u64 *from, u32 n); /* min, max: merges */
void dt_words_sub(int func, u64 *from, const u64 *what, u32 n);
bool dt_words_zero(const u64 *w, u32 n);
/* The words that the user sees of a cell. */
void dt_cell_words(const struct dt_agg *a, const struct dt_aggcell *c, u64 out[4]);
/* All cells are as they were at the last clear or remove. */
bool dt_row_unchanged(const struct dt_agg *a, const struct dt_aggrow *row);
/* shown_size bytes: id, keys, value. */
void dt_row_show(const struct dt_agg *a, const struct dt_aggrow *row, char *out);
/* One number of a value as shown, for sorting and printing; distributions: weight in the sum. */
s64 dt_value_quotient(u64 word, u64 normal, bool is_signed);
s64 dt_value_avg(const u64 *w, u64 normal);
u64 dt_value_stddev(const u64 *w, u64 normal);
struct dt_weight {
	long double v;
	s64 zero; /* distributions: the zero bucket */
};
struct dt_weight dt_row_weight(const struct dt_agg *a, const struct dt_aggrow *row);

/* ---- order (aggsort.c) ---- */
struct dt_order {
	bool by_var, by_key, reverse; /* reverse: within a variable */
	bool swap;                    /* the whole order backwards */
	u32 keypos;
};
struct dt_order dt_order_default(dtrace_hdl_t *h);
struct dt_aggent {
	struct dt_agg *agg;
	struct dt_aggrow *row;
	struct dt_weight w;
};
/* The visible rows of the aggregations, sorted when order is not NULL; on the heap. */
int dt_agg_entries(dtrace_hdl_t *h, struct dt_agg **aggs, u32 naggs, const struct dt_order *order,
		   struct dt_aggent **out, u32 *n);

/* ---- printing ---- */
/* The value column (normalized) of a row, without newline. */
void dt_text_aggval(dtrace_hdl_t *h, struct dt_str *out, const dtrace_aggdata_t *d);
/* %@ conversions: the value as one number; false for distributions. */
bool dt_aggdata_number(const dtrace_aggdata_t *d, s64 *out, bool *is_signed);
void dt_text_hist(dtrace_hdl_t *h, struct dt_str *out, const dtrace_aggdata_t *d);
int dt_printa(dtrace_hdl_t *h, FILE *fp, const dtrace_recdesc_t *rec);

#endif
