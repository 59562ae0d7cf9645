/* SPDX-License-Identifier: Apache-2.0 */
/*
 * consume.h - what the files of consume/ share.
 *
 *   ring.c       the per-CPU rings: reading, giving room back, merging by time
 *   drain.c      records -> probe callback, record callbacks, end of firing
 *   spec.c       committed speculations
 *   flow.c       entry and return: indentation
 *   drops.c      counters of lost data -> drop handler; fault records -> error handler
 *   out.c        where text goes: a FILE, or the buffered handler
 *   print.c      default text of one record
 *   printf.c     formats
 *   stack.c      symbols and stacks
 *   python.c     frames of CPython among a stack's
 *   typed.c      print(): values by their types
 *   libact.c     clear, trunc, normalize, denormalize
 *   aggregate.c  the consumer's rows: made, cleared, removed, encoded
 *   slots.c      hash -> row, hash -> source
 *   aggsnap.c    kernel values -> rows
 *   aggsort.c    walks
 *   aggprint.c   rows as text
 *   dist.c       distributions as text
 */
#ifndef DT_CONSUME_H
#define DT_CONSUME_H

#include "api/handle.h"
#include "base/fmt.h"

/* ---- one datum, wherever it came from -------------------------------------------------------- */

struct dt_item {
	enum dt_datakind kind;
	const char *p;
	u32 size;
	const struct dt_type *type; /* NULL: not known */
};
/* The datum of a record or key; base is dtpda_data or dtada_data. */
struct dt_item dt_item_of(const dtrace_recdesc_t *rec, const char *base);
/* The aggregations of a PRINTA or LIBACT record; NULL: it is none. */
const struct dt_aggact *dt_aggact_of(const dtrace_recdesc_t *rec);
s64 dt_item_int(const struct dt_item *it);         /* by size and sign; 0 for what is no integer */
u64 dt_item_word(const struct dt_item *it, u32 n); /* the n-th u64; 0 beyond the end */
size_t dt_item_strlen(const struct dt_item *it);   /* bytes before the NUL or the end */
bool dt_item_is_text(const struct dt_item *it);

/* Processes looked at in one pass: each once is enough. */
struct dt_learnt {
	pid_t v[64];
};

/* ---- ring.c ---------------------------------------------------------------------------------- */

/* Where the reader stands in one CPU's ring during a pass. */
struct dt_cursor {
	struct dt_ring_hdr *ring;
	u8 *data;
	u64 cap;
	u32 slack; /* bytes behind cap that a record may run into */
	u64 pos;   /* bytes read, this pass's included */
	u64 head;  /* as seen when the pass began */
	u64 done;  /* what tail was last set to */
	u64 ts;    /* of the record at pos */
	u32 inner; /* bytes of the bundle at pos that were dealt with */
	int cpu;
	/* flow.c */
	u32 last_epid, last_probe;
	int indent;
};

enum dt_peek { DT_PEEK_NONE, DT_PEEK_RECORD, DT_PEEK_CORRUPT };
/* Begin a pass: look at head.  False when there is nothing to read; damage shows at the
 * first peek. */
bool dt_cursor_begin(struct dt_cursor *c);
/* The record at pos, when it is complete and makes sense; discarded ones are stepped over. max:
 * largest possible size. */
enum dt_peek dt_cursor_peek(struct dt_cursor *c, u32 max, struct dt_rec_hdr **rec);
/* Policy ring: go to the oldest record that was not overwritten. */
void dt_cursor_find_oldest(struct dt_cursor *c, u32 max);
/* Step over the record that peek gave, size bytes; gives room back now and then. */
void dt_cursor_step(struct dt_cursor *c, u32 size);
/* Clear what was read and let the writer have it. */
void dt_cursor_publish(struct dt_cursor *c);
/* Lose everything up to head: the ring makes no sense. */
void dt_cursor_resync(struct dt_cursor *c);

/* A binary heap of cursors, oldest record on top. */
struct dt_merge {
	struct dt_cursor **v;
	u32 n;
};
void dt_merge_push(struct dt_merge *m, struct dt_cursor *c);
void dt_merge_fix_top(struct dt_merge *m); /* the top's ts has grown */
void dt_merge_pop(struct dt_merge *m);

/* ---- spec.c ---------------------------------------------------------------------------------- */

/* A speculation that the consumer fetched: its records, in the order they were made. */
struct dt_bundle {
	struct dt_bundle *next;
	u64 ts; /* of commit() */
	u32 n, at;
	u8 *mem;
	struct dt_speced {
		const struct dt_rec_hdr *rec;
		int cpu;
	} recs[];
};
struct dt_consumer;
/* Fetch what was committed, wait: for clauses that are still writing.  0, or -1 with EDT_NOMEM. */
int dt_spec_fetch(struct dt_consumer *c, bool wait);
void dt_bundle_free(struct dt_bundle *b);

/* ---- drain.c --------------------------------------------------------------------------------- */

struct dt_consumer {
	dtrace_hdl_t *h;
	int ncpus;
	struct dt_cursor *cursors; /* per CPU; ring NULL: none */
	struct dt_merge merge;
	struct dt_bundle *bundles;   /* oldest first */
	dtrace_probedesc_t **pdescs; /* by probe id, made when first seen */
	u32 npdescs;
	char *shown;   /* the record laid out for callbacks */
	bool *has_pid; /* by epid - 1: some datum names a process */
	struct dt_learnt learnt;
	struct dt_str text;         /* on its way to a FILE */
	struct dt_pythons *pythons; /* python.c; NULL: no jstack() */
	u64 stkstr, told_stkstr;    /* stacks with more names than room for them */
	bool busy;
	bool begun;   /* BEGIN's ring has been read */
	bool snapped; /* aggregations are fresh enough for this pass */
	/* drops already told, per CPU and kind */
	struct dt_told {
		u64 principal, agg;
	} *told;
	u64 told_dyn, told_spec, told_specbusy, told_specunavail, told_dbl;
	u64 told_missed;
};
/* An unknown id gives an empty description; NULL when memory ends. */
dtrace_probedesc_t *dt_consumer_pdesc(struct dt_consumer *c, u32 id);
/* What acts on aggregations wants to see them as they are, not as they were when aggrate last
 * passed: one snapshot per pass.  0 or -1. */
int dt_consumer_freshen(dtrace_hdl_t *h);

/* ---- flow.c ---------------------------------------------------------------------------------- */
/* Fill flow, prefix and indent of pd for the record of epid at the cursor; next: the record
 * behind it or NULL. */
void dt_flow_before(struct dt_cursor *c, dtrace_probedata_t *pd, u32 epid,
		    const struct dt_rec_hdr *next);
void dt_flow_after(struct dt_cursor *c, const dtrace_probedata_t *pd, u32 epid);

/* ---- drops.c --------------------------------------------------------------------------------- */
/* A record with epid 0: hand it to the error handler.  0, -1 (EDT_ERRABORT). */
int dt_fault_record(struct dt_consumer *c, int cpu, const struct dt_rec_hdr *rec);
/* An action of the consumer's failed: the error handler hears the reason.  0, -1 (EDT_ERRABORT). */
int dt_lib_error(dtrace_hdl_t *h, const dtrace_probedata_t *pd, const char *fmt, ...) DT_PRINTF(3, 4);

/* ---- out.c ----------------------------------------------------------------------------------- */
/* Text is added to what dt_out() gives and sent on its way by dt_out_end().  NULL:
 * EDT_NOBUFFERED. */
struct dt_str *dt_out(dtrace_hdl_t *h, FILE *fp);
int dt_out_end(dtrace_hdl_t *h, FILE *fp, struct dt_str *out);
/* freopen(): what is written from now on goes to that file; "" goes back.  ftruncate().  0, or -1 with errno. */
int dt_out_reopen(dtrace_hdl_t *h, FILE *fp, const char *name);
void dt_out_truncate(dtrace_hdl_t *h, FILE *fp);
int dt_out_flush(dtrace_hdl_t *h, FILE *fp); /* files of freopen(): a full disk shows here */
void dt_put_spaces(struct dt_str *out, size_t n);
/* Text in a field: width columns, left or right aligned. */
/* Text that others have chosen: names, strings. */
void dt_put_text(struct dt_str *out, const char *s, size_t n);
void dt_put_padded(struct dt_str *out, const char *s, size_t n, u32 width, bool left);
void dt_put_u64(struct dt_str *out, u64 v);
void dt_put_s64(struct dt_str *out, s64 v);

/* ---- stack.c --------------------------------------------------------------------------------- */
/* STACK and USTACK: a newline, then a line per frame. */
void dt_put_stack(dtrace_hdl_t *h, struct dt_str *out, const struct dt_item *it, u32 indent);
/* SYM, MOD, USYM, UMOD, UADDR: name only, without padding. */
void dt_put_symbol(dtrace_hdl_t *h, struct dt_str *out, const struct dt_item *it);
void dt_put_kaddr(dtrace_hdl_t *h, struct dt_str *out, u64 addr);
void dt_put_uaddr(dtrace_hdl_t *h, struct dt_str *out, pid_t pid, u64 addr);
/* A stored stack as it is shown: size bytes of process id and frames.  False: some names of it found no room. */
bool dt_show_ustack(dtrace_hdl_t *h, const struct dt_datum *d, const char *stored, char *shown,
		    u32 size);
/* Remember the process that a datum names, while it lives, so that its symbols outlast it. */
void dt_learn(dtrace_hdl_t *h, struct dt_learnt *seen, const struct dt_item *it);
bool dt_kind_has_pid(enum dt_datakind kind);

/* ---- print.c --------------------------------------------------------------------------------- */
void dt_put_hexdump(struct dt_str *out, const void *p, size_t n);

/* ---- python.c -------------------------------------------------------------------------------- */
void dt_python_learn(dtrace_hdl_t *h, pid_t pid);
/* A stack and the Python frames that were stored with it into out; gives their number, at most max. */
u32 dt_python_merge(dtrace_hdl_t *h, pid_t pid, const struct dt_raw_python *raw, u32 strsize,
		    const u64 *pcs, u32 npcs, u64 *out, u32 max);

/* ---- typed.c --------------------------------------------------------------------------------- */
/* A line or more; pointee: the datum is an address and the structure that was there. */
void dt_put_typed(dtrace_hdl_t *h, struct dt_str *out, const struct dt_item *it, bool pointee);

/* ---- printf.c -------------------------------------------------------------------------------- */
/* What a format takes its arguments from: records (or an aggregation's keys), and results of
 * aggregations for %@. */
struct dt_fmtargs {
	const char *base;
	const dtrace_recdesc_t *rec;
	int nrecs, next;
	const dtrace_aggdata_t *const *aggs;
	int naggs, nextagg;
	/* called after each conversion with what it showed; NULL: not wanted. 0 or -1. */
	int (*shown)(struct dt_fmtargs *a, const dtrace_recdesc_t *rec, bool value);
	void *arg;
};
int dt_format(dtrace_hdl_t *h, struct dt_str *out, const struct dt_fmt *f, struct dt_fmtargs *a);

/* ---- slots.c --------------------------------------------------------------------------------- */

struct dt_slot {
	u32 hash, ref; /* ref 0: free */
};
struct dt_slots {
	struct dt_slot *v;
	u32 size, n; /* size: 0 or a power of 2; never quite full */
};
bool dt_slots_reserve(struct dt_slots *t); /* room for one more; false: no memory */
void dt_slots_add(struct dt_slots *t, u32 hash, u32 ref);
/* The slot of what was added, and is still there. */
struct dt_slot *dt_slots_at(const struct dt_slots *t, u32 hash, u32 ref);
void dt_slots_remove(struct dt_slots *t, u32 hash, u32 ref);
void dt_slots_clear(struct dt_slots *t);
void dt_slots_fini(struct dt_slots *t);

/* One after the other what has this hash; *at begins as the hash.  0: no more. */
static inline u32 dt_slots_next(const struct dt_slots *t, u32 hash, u32 *at)
{
	const struct dt_slot *s;

	if (!t->size)
		return 0;
	do
		s = &t->v[(*at)++ & (t->size - 1)];
	while (s->ref && s->hash != hash);
	return s->ref;
}

static inline void dt_slots_prefetch(const struct dt_slots *t, u32 hash)
{
	if (t->size)
		__builtin_prefetch(&t->v[hash & (t->size - 1)]);
}

/* ---- aggregations ---------------------------------------------------------------------------- */

/*
 * A row is what the user sees: one per set of shown keys.  A source is what the kernel has: one
 * hash entry (of a distribution, one bucket) or one cell.  Several sources may feed one row.
 * Kernel values only ever grow; a source remembers what was last seen, a snapshot adds the
 * difference to the row.  So reading destroys nothing, clearing a row is free, and nothing is lost
 * or counted twice.
 *
 * min and max do not add up: the row takes the better value, and clearing resets the kernel's.
 */
struct dt_agg;
struct dt_row {
	struct dt_agg *agg;
	struct dt_row *next_free;
	u32 hash;
	u32 index; /* in agg->rows */
	u32 src;   /* first of its sources + 1 */
	bool has;  /* min, max: there is a value */
	bool dead; /* removed; its memory is in use until no walk is under way */
	u64 normal;
	u8 *key; /* agg->keylen bytes: the kernel's key without bucket, canonical */
	u64 v[]; /* agg->words; with option aggpercpu as many and a flag for each CPU */
};

struct dt_src {
	u32 hash;
	u32 next_free;      /* + 1 */
	u32 sibling;        /* next source of the same row + 1 */
	struct dt_row *row; /* NULL: was removed, nothing new since */
	bool used;
	bool idle; /* the last snapshot found nothing new */
		   /* then: u64 last[nwords], key bytes */
};

struct dt_agg {
	const struct dt_aggspec *spec;
	dtrace_aggdesc_t desc;     /* flags are ours to change */
	u32 words;                 /* u64 words of a row's value */
	u32 allwords;              /* with those of the CPUs */
	int ncpus;                 /* whose values are kept apart; 0: none */
	u32 keylen;                /* bytes of a row's key */
	u32 value_off, value_size; /* in the shown data */
	u64 *thresholds;           /* llquantize: spec->nbuckets / 2 of them */
	u32 nthresholds;
	/* rows */
	struct dt_row **rows;
	u32 nrows, caprows, ndead;
	struct dt_slots rowtable; /* index in rows + 1 */
	size_t rowsize;
	struct dt_row *freerows;
	struct dt_rowchunk *chunks; /* rows are carved from these */
	u32 chunk_left, nalloced;
	u8 *chunk_at;
	/* sources */
	u8 *slab;
	size_t stride;
	u32 nsrcs, capsrcs, freesrc; /* freesrc + 1 */
	struct dt_slots srctable;    /* source + 1 */
	u32 nused;                   /* sources in use */
	u32 ndetached; /* sources without a row, whose keys are still in the kernel's hash */
	u32 *direct;   /* CELL, DENSE: source + 1 of each row */
	u32 srckey;    /* bytes of a source's key */
	u32 prefix;    /* bytes of it that say which row it is; CPU and bucket follow */
};

/* Canonical probe ids: the first probe with the same text in that field. */
struct dt_canon {
	struct dt_htab names;
	u32 *ids; /* by probe id; 0: not looked at */
	u32 n;
};

struct dt_aggs {
	dtrace_hdl_t *h;
	const struct dt_object *o;
	struct dt_agg *v;
	u32 n;
	int ncpus;
	u64 seed; /* of hashes: keys are chosen by traced processes */
	int walking;
	struct dt_canon canon[4]; /* provider, module, function, name */
	struct dt_htab mods;      /* module name -> address that stands for it */
	struct dt_arena arena;    /* keys of the tables above */
	/* batch reading */
	u8 *keys, *values;
	size_t keys_size, values_size;
	u64 *merged; /* one value, all CPUs together */
	u64 *one;    /* one value of each CPU */
	u8 *rowkey;  /* scratch: a canonical key */
	struct dt_learnt learnt;
};

#define DT_AGD_PRINTED 0x1 /* dtagd_flags: printa() has shown it */

bool dt_agg_is_dist(int func);
bool dt_agg_is_minmax(int func);

/* aggregate.c */
struct dt_src *dt_agg_src(const struct dt_agg *a, u32 i);
u64 *dt_src_last(const struct dt_src *s);
u8 *dt_src_key(const struct dt_agg *a, const struct dt_src *s);
struct dt_src *dt_src_find(const struct dt_aggs *as, const struct dt_agg *a, const void *key);
/* Have the processor fetch what finding that key will read: first the tables, a little later the source. */
void dt_src_prefetch_slots(const struct dt_aggs *as, const struct dt_agg *a, const void *key);
void dt_src_prefetch(const struct dt_aggs *as, const struct dt_agg *a, const void *key);
/* NULL: no memory.  Sources move: older pointers to them are void. */
struct dt_src *dt_src_add(struct dt_aggs *as, struct dt_agg *a, const void *key);
void dt_src_free(struct dt_agg *a, struct dt_src *s);
/* The row that a source feeds, made when there is none.  NULL: no memory. */
struct dt_row *dt_src_row(struct dt_aggs *as, struct dt_agg *a, struct dt_src *s);
void dt_row_clear(struct dt_aggs *as, struct dt_row *r);
void dt_row_remove(struct dt_aggs *as, struct dt_row *r);
void dt_aggs_unwalk(struct dt_aggs *as); /* a walk has ended: free rows removed meanwhile */
/* Keys and value as libdtrace shows them, at buf (desc.dtagd_size bytes).  r NULL: a value of
 * zeros. */
/* One CPU's part of a value: agg->words, or NULL when it has none. */
u64 *dt_row_cpu(const struct dt_row *r, int cpu);
/* A value alone, as dt_row_encode() has it at value_off. */
void dt_value_encode(const struct dt_agg *a, const u64 *v, u64 *to);
void dt_row_encode(struct dt_aggs *as, const struct dt_agg *a, const struct dt_row *r, char *buf);
/* The text of a key that names a property of probe id. */
const char *dt_probe_text(dtrace_hdl_t *h, u32 id, enum dt_datakind kind);

/* What aggsort.c hands to callbacks: the row can be found again. */
struct dt_aggview {
	dtrace_aggdata_t data;
	struct dt_agg *agg;
	struct dt_row *row; /* NULL: zeros that stand in for a row */
};
static inline const struct dt_aggview *dt_view_of(const dtrace_aggdata_t *d)
{
	return (const struct dt_aggview *)(const void *)d;
}

/* aggsnap.c */
/* min, max: what the kernel holds is of no interest any more. */
void dt_src_reset(struct dt_aggs *as, struct dt_agg *a, struct dt_src *s);
/* The same for a source whose row was removed.  Values that were not seen yet become a new row.
 * Frees s. */
void dt_src_retire(struct dt_aggs *as, struct dt_agg *a, struct dt_src *s);

/* aggsort.c */
enum dt_aggorder { DT_ORDER_ANY, DT_ORDER_UP, DT_ORDER_DOWN };
/* Rows of one aggregation, by value. */
int dt_agg_walk(dtrace_hdl_t *h, u32 agg, enum dt_aggorder order, dtrace_aggregate_f *f, void *arg);
/* Rows of the aggregations of an action in printing order: one alone, or joined by their keys. */
int dt_aggs_walk(dtrace_hdl_t *h, const u32 *aggs, u32 n, dtrace_aggregate_walk_joined_f *f,
		 void *arg);

/* aggprint.c */
int dt_printa(dtrace_hdl_t *h, FILE *fp, const struct dt_aggact *act);
s64 dt_agg_scalar(const dtrace_aggdata_t *d); /* the displayed number: normalized */
/* 128-bit arithmetic of stddev(): words are count, sum, sum of squares low and high. */
u64 dt_stddev(const u64 *words, u64 normal);

/* How the rows of one aggregation are shown when they have something in common: options agghist, aggpack. */
struct dt_look {
	const struct dt_agg *of; /* whose rows were measured; NULL: none yet */
	bool hist, pack;
	u32 width;         /* of the column of keys */
	u32 first, last;   /* pack: buckets */
	long double total; /* hist: what a full bar stands for */
	bool positive, negative;
};

/* dist.c */
void dt_put_dist(dtrace_hdl_t *h, struct dt_str *out, const dtrace_aggdata_t *d);
void dt_put_dist_words(dtrace_hdl_t *h, struct dt_str *out, const struct dt_agg *a, const u64 *v,
		       u64 normal);
/* What a value adds to that which a full bar stands for: option aggzoom makes the longest bar nearly full. */
void dt_bar_add(const dtrace_hdl_t *h, s64 v, long double *total, bool *positive, bool *negative);
void dt_put_bar(dtrace_hdl_t *h, struct dt_str *out, const struct dt_look *look, s64 v);
/* aggpack: the buckets in use, the line above all rows, and one row's. */
void dt_pack_measure(struct dt_look *look, const u64 *v);
void dt_put_pack_header(struct dt_str *out, const struct dt_look *look);
void dt_put_pack(dtrace_hdl_t *h, struct dt_str *out, const struct dt_look *look, const u64 *v,
		 u64 normal);

#endif
