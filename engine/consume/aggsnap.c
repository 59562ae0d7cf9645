/* SPDX-License-Identifier: Apache-2.0 */
/*
 * aggsnap.c - a snapshot: what the kernel has gathered since the last one is added to the rows.
 *
 * Reading destroys nothing.  Keys whose row was removed and that gather nothing any more are taken
 * out of the kernel's hash before they fill it in a long run with changing keys; looking and
 * deleting is one step there, and what had come in meanwhile is counted.
 */
#include <bpf/bpf.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "consume/consume.h"

#define BATCH_BYTES (1u << 20)
#define BATCH_LEAST 64u
#define BATCH_MOST 16384u
#define BATCH_LIMIT \
	(1u << 24) /* entries of one bucket of a hash: beyond this something is broken */

/* ---- values of many CPUs -> one -------------------------------------------------------------- */

static bool better(const struct dt_agg *a, u64 v, u64 than)
{
	return a->spec->func == DTRACEAGG_MIN ? (s64)v<(s64)than : (s64)v>(s64) than;
}

static u64 load(const u64 *p)
{
	return __atomic_load_n(p, __ATOMIC_RELAXED);
}

static void merge(const struct dt_agg *a, u64 *to, const u64 *v)
{
	u32 n = a->spec->nwords;
	u64 low;

	if (dt_agg_is_minmax(a->spec->func)) {
		if (load(&v[1]) && (!to[1] || better(a, load(&v[0]), to[0]))) {
			to[0] = load(&v[0]);
			to[1] = 1;
		}
		return;
	}
	for (u32 i = 0; i < n; i++)
		to[i] += load(&v[i]);
	if (a->spec->func != DTRACEAGG_STDDEV)
		return;
	low = load(&v[2]);
	if (to[2] < low) /* the sum of squares has 128 bits */
		to[3]++;
}

/* ---- one source's value -> its row ----------------------------------------------------------- */

static bool is_nothing(const u64 *v, u32 n)
{
	for (u32 i = 0; i < n; i++)
		if (v[i])
			return false;
	return true;
}

static u32 bucket_of(const struct dt_agg *a, const struct dt_src *s)
{
	u32 b = 0;

	if (a->spec->bucket_off >= 0)
		memcpy(&b, dt_src_key(a, s) + a->spec->bucket_off, 4);
	return b;
}

static void add_words(const struct dt_agg *a, u64 *v, const struct dt_src *s, const u64 *cur)
{
	const u64 *last = dt_src_last(s);
	u64 before = v[DT_MIN(2u, a->words - 1)], delta;

	if (dt_agg_is_dist(a->spec->func) && !a->direct) {
		v[bucket_of(a, s)] += cur[0] - last[0];
		return;
	}
	for (u32 i = 0; i < a->words; i++)
		v[i] += cur[i] - last[i];
	if (a->spec->func != DTRACEAGG_STDDEV)
		return;
	delta = cur[2] - last[2];
	v[3] -= cur[2] < last[2];        /* borrow of the difference */
	v[3] += before + delta < before; /* carry of the sum */
}

/* has: is there a value already? */
static void add_best(const struct dt_agg *a, u64 *v, bool has, u64 value)
{
	if (!has || better(a, value, v[0]))
		v[0] = value;
}

/* Option aggpercpu: the same once more for the source's own CPU. */
static void add_to_cpu(const struct dt_agg *a, struct dt_row *r, const struct dt_src *s,
		       const u64 *cur)
{
	u32 cpu;
	u64 *v;

	memcpy(&cpu, dt_src_key(a, s) + a->spec->cpu_off, sizeof(cpu));
	if (cpu >= (u32)a->ncpus)
		return;
	v = r->v + a->words + (size_t)cpu * (a->words + 1);
	if (dt_agg_is_minmax(a->spec->func))
		add_best(a, v, v[a->words], cur[0]);
	else
		add_words(a, v, s, cur);
	v[a->words] = 1;
}

/* 0, -1 without memory. */
static int take(struct dt_aggs *as, struct dt_agg *a, struct dt_src *s, const u64 *cur, bool fresh)
{
	u64 *last = dt_src_last(s);
	size_t size = (size_t)a->spec->nwords * 8;
	struct dt_row *r;

	s->idle = !fresh && !memcmp(last, cur, size);
	if (s->idle || (dt_agg_is_minmax(a->spec->func) && !cur[1]))
		return 0;
	r = dt_src_row(as, a, s);
	if (!r)
		return dt_set_errno(as->h, EDT_NOMEM);
	if (a->ncpus)
		add_to_cpu(a, r, s, cur);
	if (dt_agg_is_minmax(a->spec->func)) {
		add_best(a, r->v, r->has, cur[0]);
		r->has = true;
	} else {
		add_words(a, r->v, s, cur);
	}
	memcpy(last, cur, size);
	return 0;
}

/* A key is in the kernel a moment before its first value is; weighted distributions may stay
 * zero, and are. */
static bool is_worth_a_row(const struct dt_agg *a, const u64 *cur)
{
	return (dt_agg_is_dist(a->spec->func) && !a->direct) || !is_nothing(cur, a->spec->nwords);
}

static int take_key(struct dt_aggs *as, struct dt_agg *a, const void *key, const u64 *cur)
{
	struct dt_src *s = dt_src_find(as, a, key);

	if (s)
		return take(as, a, s, cur, false);
	if (!is_worth_a_row(a, cur))
		return 0;
	s = dt_src_add(as, a, key);
	if (!s)
		return dt_set_errno(as->h, EDT_NOMEM);
	return take(as, a, s, cur, true);
}

/* ---- cells ----------------------------------------------------------------------------------- */

static u64 *cell(const struct dt_aggs *as, const struct dt_agg *a, int cpu, u32 row)
{
	u8 *state = dt_live_state(as->h->live, cpu);

	return state ? (u64 *)(void *)(state + a->spec->off + (size_t)row * a->spec->nwords * 8) :
		       NULL;
}

static int snap_cells(struct dt_aggs *as, struct dt_agg *a)
{
	u32 rows = a->spec->store == DT_AGG_DENSE ? a->spec->nrows : 1;

	for (u32 row = 0; row < rows; row++) {
		memset(as->merged, 0, (size_t)a->spec->nwords * 8);
		for (int cpu = 0; cpu < as->ncpus; cpu++) {
			const u64 *v = cell(as, a, cpu, row);

			if (v)
				merge(a, as->merged, v);
		}
		if (take_key(as, a, &row, as->merged) < 0)
			return -1;
	}
	return 0;
}

/* ---- hashes ---------------------------------------------------------------------------------- */

static int map_fd(const struct dt_aggs *as, const struct dt_agg *a)
{
	return dt_live_map_fd(as->h->live, (u32)a->spec->map);
}

static int map_failed(const struct dt_aggs *as, const struct dt_agg *a)
{
	return dt_fail(&as->h->err, EDT_BPF, "reading aggregation '@%s': %s", a->spec->name,
		       dt_errstr(errno));
}

/* One CPU's value of one key: the CPU's number is part of the kernel's key, behind what is
 * shown. */
static int take_entry(struct dt_aggs *as, struct dt_agg *a, const u8 *key, const void *value)
{
	u32 bucket = 0;

	if (a->spec->bucket_off >= 0 && dt_agg_is_dist(a->spec->func)) {
		memcpy(&bucket, key + a->spec->bucket_off, 4);
		if (bucket >= a->spec->nbuckets)
			return 0;
	}
	return take_key(as, a, key, value);
}

static bool reserve(u8 **p, size_t *have, size_t want)
{
	u8 *bigger;

	if (want <= *have)
		return true;
	bigger = realloc(*p, want);
	if (!bigger)
		return false;
	*p = bigger;
	*have = want;
	return true;
}

/* Keys come in the kernel's order, which is none to us: what they need is fetched while others are dealt with. */
#define AHEAD 8u

static int take_batch(struct dt_aggs *as, struct dt_agg *a, u32 n, size_t value)
{
	size_t size = a->spec->keysize;

	for (u32 i = 0; i < n; i++) {
		if (n - i > 2 * AHEAD)
			dt_src_prefetch_slots(as, a, as->keys + (i + 2 * AHEAD) * size);
		if (n - i > AHEAD)
			dt_src_prefetch(as, a, as->keys + (i + AHEAD) * size);
		if (take_entry(as, a, as->keys + i * size, as->values + i * value) < 0)
			return -1;
	}
	return 0;
}

/* 1: this kernel does not do it. */
static int snap_batches(struct dt_aggs *as, struct dt_agg *a)
{
	size_t value = (size_t)a->spec->nwords * 8, entry = a->spec->keysize + value;
	u32 most = (u32)DT_MAX(DT_MIN(BATCH_BYTES / entry, (size_t)BATCH_MOST), (size_t)BATCH_LEAST),
	    n;
	u64 token = 0;
	bool first = true;
	int err;

	for (;;) {
		if (!reserve(&as->keys, &as->keys_size, (size_t)most * a->spec->keysize) ||
		    !reserve(&as->values, &as->values_size, most * value))
			return dt_set_errno(as->h, EDT_NOMEM);
		n = most;
		err = bpf_map_lookup_batch(map_fd(as, a), first ? NULL : &token, &token, as->keys,
					   as->values, &n, NULL);
		if (err && errno == ENOSPC && most < BATCH_LIMIT) { /* one bucket has more than that */
			most *= 2;
			continue;
		}
		if (err && errno == EINTR)
			continue;
		if (err && errno != ENOENT)
			return first ? 1 : map_failed(as, a);
		if (take_batch(as, a, DT_MIN(n, most), value) < 0)
			return -1;
		if (err)
			return 0;
		first = false;
	}
}

static int snap_one_by_one(struct dt_aggs *as, struct dt_agg *a)
{
	u64 limit = (u64)as->o->maps[a->spec->map].max_entries * 2 + 16;
	void *prev = NULL;
	u8 *key;

	if (!reserve(&as->keys, &as->keys_size, (size_t)2 * a->spec->keysize))
		return dt_set_errno(as->h, EDT_NOMEM);
	key = as->keys + a->spec->keysize;
	while (limit-- && bpf_map_get_next_key(map_fd(as, a), prev, key) == 0) {
		prev = as->keys;
		memcpy(prev, key, a->spec->keysize);
		if (bpf_map_lookup_elem(map_fd(as, a), key, as->one) == 0 &&
		    take_entry(as, a, key, as->one) < 0)
			return -1;
		errno = ENOENT;
	}
	return errno == ENOENT ? 0 : map_failed(as, a);
}

/* Take the key out of the kernel.  False: it has gone by itself. */
static bool take_out(struct dt_aggs *as, struct dt_agg *a, const struct dt_src *s)
{
	const u8 *key = dt_src_key(a, s);
	int fd = map_fd(as, a);

	if (bpf_map_lookup_and_delete_elem(fd, key, as->one) == 0)
		return true;
	if (errno == ENOENT)
		return false;
	if (bpf_map_lookup_elem(fd, key, as->one) < 0)
		return false;
	bpf_map_delete_elem(fd, key);
	return true;
}

void dt_src_retire(struct dt_aggs *as, struct dt_agg *a, struct dt_src *s)
{
	if (a->direct) {
		dt_src_reset(as, a, s);
		return;
	}
	if (take_out(as, a, s))
		take(as, a, s, as->one, false);
	dt_src_free(a, s);
}

#define CROWDED 8 /* deleting begins when the map is full to this fraction */

/* Sources that had no row before this snapshot and got none by it.  While there is room they may
 * stay: programs find their keys again instead of making them anew. */
static void retire_idle(struct dt_aggs *as, struct dt_agg *a)
{
	u32 enough = as->o->maps[a->spec->map].max_entries / CROWDED;

	for (u32 i = 0; a->ndetached && a->nused > enough && i < a->nsrcs; i++) {
		struct dt_src *s = dt_agg_src(a, i);

		if (s->used && !s->row && s->idle)
			dt_src_retire(as, a, s);
	}
}

static int snap_hash(struct dt_aggs *as, struct dt_agg *a)
{
	int err = snap_batches(as, a);

	if (err > 0)
		err = snap_one_by_one(as, a);
	if (err == 0)
		retire_idle(as, a);
	return err;
}

/* ---- min, max -------------------------------------------------------------------------------- */

void dt_src_reset(struct dt_aggs *as, struct dt_agg *a, struct dt_src *s)
{
	u32 row;

	memset(dt_src_last(s), 0, (size_t)a->spec->nwords * 8);
	if (!a->direct) {
		memset(as->one, 0, (size_t)a->spec->nwords * 8);
		bpf_map_update_elem(map_fd(as, a), dt_src_key(a, s), as->one, BPF_EXIST);
		return;
	}
	memcpy(&row, dt_src_key(a, s), sizeof(row));
	for (int cpu = 0; cpu < as->ncpus; cpu++) {
		u64 *v = cell(as, a, cpu, row);

		if (v)
			__atomic_store_n(&v[1], 0, __ATOMIC_RELAXED);
	}
}

/* ---- all ------------------------------------------------------------------------------------- */

int dtrace_aggregate_snap(dtrace_hdl_t *h)
{
	struct dt_aggs *as = h->aggs;

	if (!as)
		return 0;
	memset(&as->learnt, 0, sizeof(as->learnt));
	for (u32 i = 0; i < as->n; i++) {
		struct dt_agg *a = &as->v[i];

		if (!a->spec->func)
			continue;
		if ((a->direct ? snap_cells(as, a) : snap_hash(as, a)) < 0)
			return -1;
	}
	return 0;
}
