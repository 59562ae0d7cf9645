/* SPDX-License-Identifier: Apache-2.0 */
/*
 * aggsnap.c - from the kernel's memory to rows.
 *
 * A scan visits every entry of an aggregation with the words of all CPUs merged: words in the
 * mapped state, or the entries of a per-CPU hash, many by one system call.  A snapshot is such a
 * scan and destroys nothing. Entries of removed rows that have not changed since are then taken out
 * of the kernel's map; what was counted up to that very moment is not lost, as the kernel gives the
 * last value of what it deletes.
 */
#include <bpf/bpf.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "consume2/consume.h"

/* An entry of a removed row: what the snapshot read. */
struct kept {
	struct dt_aggcell *cell;
	u64 w[4];
};

struct scan {
	dtrace_hdl_t *h;
	struct dt_aggs *s;
	struct dt_agg *a;
	int fd; /* HASH */
	/* An entry: its row's key is in a->scratch; key: the kernel's, NULL in mapped memory, where `off` (in each
	 * CPU's state) says where it is.  0, -1 without memory. */
	int (*visit)(struct scan *sc, u32 bucket, const u64 *w, const void *key, size_t off);
	/* entries of removed rows */
	u8 *keys;
	struct kept *kept;
	u32 n, cap;
};

/* ---- keys --------------------------------------------------------------------------------------
 * */

/* A key as shown: the bytes behind a string's end are nobody's. */
static void show_key(struct scan *sc, const dtrace_recdesc_t *r, const struct dt_datum *d,
		     const u8 *from)
{
	u8 *to = sc->a->scratch + r->dtrd_offset - 8;
	u32 n = DT_MIN(d->size, r->dtrd_size);

	if (d->kind == DT_D_STR)
		n = (u32)strnlen((const char *)from, n);
	memcpy(to, from, n);
	memset(to + n, 0, r->dtrd_size - n);
}

static void show_probe(struct scan *sc, const dtrace_recdesc_t *r, enum dt_datakind kind,
		       const struct dt_probe *p)
{
	char *to = (char *)sc->a->scratch + r->dtrd_offset - 8;
	const char *text = dt_probe_text(p, kind);
	size_t n = strnlen(text, r->dtrd_size - 1);

	memcpy(to, text, n);
	memset(to + n, 0, r->dtrd_size - n);
}

/* All keys of an entry; from NULL: they are all about one probe. */
static void show_keys(struct scan *sc, const u8 *from, u32 probe)
{
	const struct dt_aggspec *spec = sc->a->spec;

	for (u32 k = 0; k < spec->nkeys; k++) {
		const dtrace_recdesc_t *r = &spec->desc.dtagd_rec[k + 1];
		const struct dt_datum *d = &spec->keys[k];

		if (!r->dtrd_size)
			continue;
		if (d->kind >= DT_D_PROBEPROV) {
			if (from)
				memcpy(&probe, from + d->off, sizeof(probe));
			show_probe(sc, r, d->kind, dt_probes_byid(&sc->h->probes, probe));
		} else if (from) {
			show_key(sc, r, d, from + d->off);
		}
	}
}

/* ---- mapped words ------------------------------------------------------------------------------
 * */

static u64 *words_at(struct scan *sc, u32 cpu, size_t off)
{
	u8 *state = dt_live_state(sc->h->live, (int)cpu);

	return state ? (u64 *)(void *)(state + off) : NULL;
}

/* The words of all CPUs; false: no CPU has anything. */
static bool merge_words(struct scan *sc, size_t off, u64 out[4])
{
	u32 n = sc->a->ncellwords;
	bool any = false;

	memset(out, 0, 4 * sizeof(*out));
	for (u32 cpu = 0; cpu < sc->s->ncpus; cpu++) {
		u64 *from = words_at(sc, cpu, off), w[4];

		for (u32 i = 0; from && i < n; i++)
			w[i] = __atomic_load_n(&from[i], __ATOMIC_RELAXED);
		if (!from || (dt_agg_is_minmax(sc->a) ? !w[1] : dt_words_zero(w, n)))
			continue;
		dt_words_add(sc->a->spec->func, out, w, n);
		any = true;
	}
	return any;
}

static int scan_cell(struct scan *sc)
{
	u32 n = sc->a->dist ? sc->a->spec->nbuckets : 1;
	u64 w[4];

	for (u32 b = 0; b < n; b++) {
		size_t off = sc->a->spec->off + (size_t)b * 8;

		if (merge_words(sc, off, w) && sc->visit(sc, b, w, NULL, off) < 0)
			return -1;
	}
	return 0;
}

static int scan_dense(struct scan *sc)
{
	const struct dt_aggspec *spec = sc->a->spec;
	u64 w[4];

	for (u32 row = 0; row < spec->nrows; row++) {
		size_t off = spec->off + (size_t)row * spec->nwords * 8;

		if (!spec->row_probe[row] || !merge_words(sc, off, w))
			continue;
		show_keys(sc, NULL, spec->row_probe[row]);
		if (sc->visit(sc, 0, w, NULL, off) < 0)
			return -1;
	}
	return 0;
}

/* ---- hashes ------------------------------------------------------------------------------------
 * */

/* What a look-up gave for one key: n words of each CPU. */
static void merge_values(struct scan *sc, const u64 *values, u64 out[4])
{
	u32 n = sc->a->ncellwords;

	memset(out, 0, 4 * sizeof(*out));
	for (u32 cpu = 0; cpu < sc->s->ncpus; cpu++)
		dt_words_add(sc->a->spec->func, out, values + (size_t)cpu * n, n);
}

static int visit_entry(struct scan *sc, const u8 *key, const u64 *values)
{
	const struct dt_aggspec *spec = sc->a->spec;
	u32 bucket = 0;
	u64 w[4];

	if (sc->a->dist && spec->bucket_off >= 0) {
		memcpy(&bucket, key + spec->bucket_off, sizeof(bucket));
		if (bucket >= spec->nbuckets)
			return 0;
	}
	merge_values(sc, values, w);
	show_keys(sc, key, 0);
	return sc->visit(sc, bucket, w, key, 0);
}

static int no_memory(struct scan *sc)
{
	return dt_set_errno(sc->h, EDT_NOMEM);
}

static int hash_fail(struct scan *sc, int err)
{
	return dt_fail(&sc->h->err, EDT_BPF, "aggregation '@%s': %s", sc->a->spec->name,
		       dt_errstr(err));
}

static size_t value_bytes(const struct scan *sc)
{
	return (size_t)sc->s->ncpus * sc->a->ncellwords * sizeof(u64);
}

#define BATCH_BYTES (1u << 20)
#define ENOTSUPP_KERNEL 524 /* the kernel's own, unknown to errno.h */

static bool no_such_command(int err)
{
	return err == EINVAL || err == EOPNOTSUPP || err == ENOTSUPP_KERNEL;
}

struct batch {
	u8 *keys;
	u64 *values;
	u32 room, n;
	u64 at[2]; /* where the kernel is; opaque */
	bool started;
};

static int batch_size(struct scan *sc, struct batch *b, u32 room)
{
	free(b->keys);
	free(b->values);
	b->room = room;
	b->keys = malloc((size_t)room * sc->a->spec->keysize);
	b->values = malloc((size_t)room * value_bytes(sc));
	return b->keys && b->values ? 0 : no_memory(sc);
}

/* The next stretch of entries: 1, 0 when these are the last, or an errno value below 0. */
static int batch_next(struct scan *sc, struct batch *b)
{
	u64 next[2] = { 0 };
	int err;

	b->n = b->room;
	err = bpf_map_lookup_batch(sc->fd, b->started ? b->at : NULL, next, b->keys, b->values,
				   &b->n, NULL);
	if (err < 0 && err != -ENOENT)
		return err;
	memcpy(b->at, next, sizeof(next));
	b->started = true;
	return err == 0;
}

static int visit_batch(struct scan *sc, const struct batch *b)
{
	u32 keysize = sc->a->spec->keysize;
	size_t words = value_bytes(sc) / sizeof(u64);

	for (u32 i = 0; i < b->n; i++)
		if (visit_entry(sc, b->keys + (size_t)i * keysize, b->values + i * words) < 0)
			return -1;
	return 0;
}

/* 1: there are no batches here. */
static int scan_batches(struct scan *sc, struct batch *b)
{
	size_t each = value_bytes(sc) + sc->a->spec->keysize;
	int more = 1;

	if (batch_size(sc, b, (u32)DT_MAX(BATCH_BYTES / each, (size_t)64)) < 0)
		return -1;
	while (more > 0) {
		more = batch_next(sc, b);
		if (more == -ENOSPC && b->room < 1u << 24) { /* a chain longer than our room */
			if (batch_size(sc, b, b->room * 4) < 0)
				return -1;
			more = 1;
			continue;
		}
		if (more < 0 && !b->started && no_such_command(-more))
			return 1;
		if (more < 0)
			return hash_fail(sc, -more);
		if (visit_batch(sc, b) < 0)
			return -1;
	}
	return 0;
}

/* One by one, for kernels without batches.  The next key is asked for before a visit may delete
 * this one. */
static int scan_singly(struct scan *sc, u8 *key, u8 *next, u64 *values)
{
	int more = bpf_map_get_next_key(sc->fd, NULL, key);

	while (more == 0) {
		more = bpf_map_get_next_key(sc->fd, key, next);
		if (bpf_map_lookup_elem(sc->fd, key, values) == 0 && visit_entry(sc, key, values) < 0)
			return -1;
		memcpy(key, next, sc->a->spec->keysize);
	}
	return 0;
}

static int scan_slowly(struct scan *sc)
{
	u8 *keys = calloc(2, sc->a->spec->keysize);
	u64 *values = calloc(1, value_bytes(sc));
	int rval = -1;

	if (keys && values)
		rval = scan_singly(sc, keys, keys + sc->a->spec->keysize, values);
	else
		no_memory(sc);
	free(keys);
	free(values);
	return rval;
}

static int scan_hash(struct scan *sc)
{
	struct batch b = { 0 };
	int rval = 1;

	if (sc->fd < 0)
		return 0;
	if (!sc->s->slow)
		rval = scan_batches(sc, &b);
	free(b.keys);
	free(b.values);
	if (rval <= 0)
		return rval;
	sc->s->slow = true;
	return scan_slowly(sc);
}

static int scan(struct scan *sc)
{
	switch (sc->a->spec->store) {
	case DT_AGG_CELL: return scan_cell(sc);
	case DT_AGG_DENSE: return scan_dense(sc);
	default: return scan_hash(sc);
	}
}

static struct scan scan_of(dtrace_hdl_t *h, struct dt_agg *a)
{
	return (struct scan){
		.h = h,
		.s = h->aggs,
		.a = a,
		.fd = a->spec->map >= 0 ? dt_live_map_fd(h->live, (u32)a->spec->map) : -1,
	};
}

/* ---- purging -----------------------------------------------------------------------------------
 * */

static int visit_purge(struct scan *sc, u32 bucket, const u64 *w, const void *key, size_t off)
{
	const struct dt_aggrow *row = dt_agg_find(sc->a);

	if (!row || !row->doomed)
		return 0;
	if (key) {
		if (bpf_map_delete_elem(sc->fd, key) < 0 && errno != ENOENT)
			return hash_fail(sc, errno);
		return 0;
	}
	for (u32 cpu = 0; cpu < sc->s->ncpus; cpu++) {
		u64 *words = words_at(sc, cpu, off);

		for (u32 i = sc->a->ncellwords; words && i > 0; i--) /* `seen` first */
			__atomic_store_n(&words[i - 1], 0, __ATOMIC_RELAXED);
	}
	return 0;
}

int dt_agg_purge(dtrace_hdl_t *h, struct dt_agg *a)
{
	struct scan sc = scan_of(h, a);

	sc.visit = visit_purge;
	return scan(&sc);
}

/* ---- the snapshot ------------------------------------------------------------------------------
 * */

/* An entry that may have to go. */
static int remember(struct scan *sc, struct dt_aggcell *c, const u64 *w, const void *key)
{
	u32 keysize = sc->a->spec->keysize;

	if (sc->n == sc->cap) {
		u32 cap = sc->cap ? sc->cap * 2 : 256;
		u8 *keys = realloc(sc->keys, (size_t)cap * keysize);
		struct kept *kept;

		if (!keys)
			return no_memory(sc);
		sc->keys = keys;
		kept = realloc(sc->kept, cap * sizeof(*kept));
		if (!kept)
			return no_memory(sc);
		sc->kept = kept;
		sc->cap = cap;
	}
	memcpy(sc->keys + (size_t)sc->n * keysize, key, keysize);
	sc->kept[sc->n].cell = c;
	memcpy(sc->kept[sc->n++].w, w, sizeof(sc->kept->w));
	return 0;
}

static int visit_snap(struct scan *sc, u32 bucket, const u64 *w, const void *key, size_t off)
{
	struct dt_agg *a = sc->a;
	struct dt_aggrow *row = dt_agg_row(sc->h, a);
	struct dt_aggcell *c = row ? dt_agg_cell(a, row, bucket) : NULL;

	if (!c)
		return no_memory(sc);
	if (c->gen != a->gen) {
		c->gen = a->gen;
		memset(c->w, 0, a->ncellwords * sizeof(u64));
	}
	dt_words_add(a->spec->func, c->w, w, a->ncellwords);
	return row->removed && key ? remember(sc, c, w, key) : 0;
}

static void show_changed(struct dt_agg *a)
{
	for (u32 i = 0; i < a->nlist; i++)
		if (a->list[i]->removed && !dt_row_unchanged(a, a->list[i]))
			a->list[i]->removed = false;
}

/* Take an entry out of the map, with the last value it had. */
static int take_entry(struct scan *sc, const void *key, u64 *values)
{
	if (bpf_map_lookup_and_delete_elem(sc->fd, key, values) == 0)
		return 0;
	if (!no_such_command(errno) || bpf_map_lookup_elem(sc->fd, key, values) < 0)
		return -1;
	return bpf_map_delete_elem(sc->fd, key) < 0 ? -1 : 0;
}

/* The kernel's part of removed rows that did not change.  What was taken comes off on both sides;
 * had the entry grown since it was read, the difference is what users see. */
static int delete_removed(struct scan *sc)
{
	struct dt_agg *a = sc->a;
	u64 *values = calloc(1, value_bytes(sc) + 8), w[4];

	if (!values)
		return no_memory(sc);
	for (u32 i = 0; i < sc->n; i++) {
		struct dt_aggcell *c = sc->kept[i].cell;

		if (!c->row->doomed ||
		    take_entry(sc, sc->keys + (size_t)i * a->spec->keysize, values) < 0)
			continue;
		merge_values(sc, values, w);
		dt_words_sub(a->spec->func, c->w, sc->kept[i].w, a->ncellwords);
		dt_words_sub(a->spec->func, c->w + a->ncellwords, w, a->ncellwords);
	}
	free(values);
	return 0;
}

static bool gone(const struct dt_agg *a, const struct dt_aggrow *r)
{
	if (!r->removed || a->spec->store != DT_AGG_HASH)
		return false;
	for (const struct dt_aggcell *c = r->cells; c; c = c->next)
		if (c->gen == a->gen && !dt_words_zero(c->w, a->ncellwords))
			return false; /* the kernel still has something */
	return dt_row_unchanged(a, r);
}

static int forget_removed(struct scan *sc)
{
	struct dt_agg *a = sc->a;
	int rval = 0;

	show_changed(a);
	for (u32 i = 0; i < a->nlist; i++)
		a->list[i]->doomed = a->list[i]->removed;
	if (sc->n)
		rval = delete_removed(sc);
	for (u32 i = 0; i < a->nlist; i++)
		a->list[i]->doomed = false;
	show_changed(a);
	dt_agg_drop(a, gone);
	return rval;
}

static int snap(dtrace_hdl_t *h, struct dt_agg *a)
{
	struct scan sc = scan_of(h, a);
	int rval;

	if (!a->spec->func) /* named, never assigned to */
		return 0;
	if (++a->gen == 0)
		a->gen = 1;
	sc.visit = visit_snap;
	rval = scan(&sc);
	if (rval == 0)
		rval = forget_removed(&sc);
	free(sc.keys);
	free(sc.kept);
	return rval;
}

int dtrace_aggregate_snap(dtrace_hdl_t *h)
{
	if (!h->aggs)
		return 0;
	if (h->aggs->walking)
		return dt_fail(&h->err, EDT_BUSY,
			       "Aggregations cannot be read within a walk over them");
	if (h->consumer)
		h->consumer->learnt = 0;
	for (u32 i = 0; i < h->aggs->n; i++)
		if (snap(h, &h->aggs->v[i]) < 0)
			return -1;
	return 0;
}
