/* SPDX-License-Identifier: Apache-2.0 */
/*
 * aggregate.c - the rows of aggregations on the consumer's side.
 *
 * A row is what the user knows by its keys as shown; several keys of the kernel's may be one row
 * (probes with the same function name, buckets of a distribution).  Its words are in cells: kern is
 * what the kernel has, base what clear() or a removal took off; the user sees the difference, so
 * that nothing that is counted meanwhile gets lost.  min() and max() know no difference: there the
 * kernel's words are reset instead.
 *
 * Rows and cells come from an arena and are found by open addressing; what is dropped is used
 * again.
 */
#include <stdlib.h>
#include <string.h>

#include "consume2/buckets.h"
#include "consume2/consume.h"

/* ---- tables ------------------------------------------------------------------------------------
 * */

static void tab_put(struct dt_aggtab *t, u32 hash, void *item)
{
	u32 i = hash & (t->cap - 1);

	while (t->v[i].item)
		i = (i + 1) & (t->cap - 1);
	t->v[i] = (struct dt_aggslot){ hash, item };
	t->n++;
}

/* Room for one more. */
static int tab_reserve(struct dt_aggtab *t)
{
	struct dt_aggtab bigger = { .cap = t->cap ? t->cap * 2 : 64 };

	if (t->n < t->cap / 4 * 3)
		return 0;
	if (bigger.cap <= t->cap)
		return -1;
	bigger.v = calloc(bigger.cap, sizeof(*bigger.v));
	if (!bigger.v)
		return -1;
	for (u32 i = 0; i < t->cap; i++)
		if (t->v[i].item)
			tab_put(&bigger, t->v[i].hash, t->v[i].item);
	free(t->v);
	*t = bigger;
	return 0;
}

static void tab_empty(struct dt_aggtab *t)
{
	if (t->v)
		memset(t->v, 0, t->cap * sizeof(*t->v));
	t->n = 0;
}

/* ---- memory ------------------------------------------------------------------------------------
 * */

/* Chains go through the first word of what is free. */
static void *alloc_from(struct dt_arena *arena, void **chain, size_t size)
{
	void *p = *chain;

	if (!p)
		return dt_arena_alloc(arena, size);
	memcpy(chain, p, sizeof(*chain));
	memset(p, 0, size);
	return p;
}

static void free_to(void **chain, void *p)
{
	memcpy(p, chain, sizeof(*chain));
	*chain = p;
}

static struct dt_aggcell *new_cell(struct dt_agg *a, struct dt_aggrow *row, u32 bucket)
{
	struct dt_aggcell *c = alloc_from(&a->arena, &a->freecells,
					  sizeof(*c) + 2 * (size_t)a->ncellwords * sizeof(u64));

	if (!c)
		return NULL;
	c->row = row;
	c->bucket = bucket;
	c->next = row->cells;
	row->cells = c;
	return c;
}

static int list_reserve(struct dt_agg *a)
{
	u32 cap = a->listcap ? a->listcap * 2 : 64;
	struct dt_aggrow **v;

	if (a->nlist < a->listcap)
		return 0;
	v = realloc(a->list, cap * sizeof(*v));
	if (!v)
		return -1;
	a->list = v;
	a->listcap = cap;
	return 0;
}

/* ---- rows and cells ----------------------------------------------------------------------------
 * */

static struct dt_aggrow *find_row(const struct dt_agg *a, u32 hash)
{
	u32 i;

	if (!a->rows.n)
		return NULL;
	for (i = hash & (a->rows.cap - 1); a->rows.v[i].item; i = (i + 1) & (a->rows.cap - 1)) {
		struct dt_aggrow *r = a->rows.v[i].item;

		if (a->rows.v[i].hash == hash && memcmp(r->key, a->scratch, a->keybytes) == 0)
			return r;
	}
	return NULL;
}

struct dt_aggrow *dt_agg_find(const struct dt_agg *a)
{
	return find_row(a, dt_hash(a->scratch, a->keybytes));
}

/* Processes that keys speak of may be gone when somebody wants to see names. */
static void learn_processes(dtrace_hdl_t *h, const struct dt_agg *a)
{
	for (u32 k = 0; k < a->spec->nkeys; k++) {
		const struct dt_datum *d = &a->spec->keys[k];
		u64 pid;

		if (d->kind != DT_D_USTACK && (d->kind < DT_D_USYM || d->kind > DT_D_UADDR))
			continue;
		memcpy(&pid, a->scratch + a->spec->desc.dtagd_rec[k + 1].dtrd_offset - 8,
		       sizeof(pid));
		dt_consumer_learn(h, pid);
	}
}

struct dt_aggrow *dt_agg_row(dtrace_hdl_t *h, struct dt_agg *a)
{
	u32 hash = dt_hash(a->scratch, a->keybytes);
	struct dt_aggrow *r = find_row(a, hash);

	if (r)
		return r;
	if (tab_reserve(&a->rows) < 0 || list_reserve(a) < 0)
		return NULL;
	r = alloc_from(&a->arena, &a->freerows, sizeof(*r) + a->keybytes);
	if (!r)
		return NULL;
	r->hash = hash;
	r->normal = a->normal;
	memcpy(r->key, a->scratch, a->keybytes);
	tab_put(&a->rows, hash, r);
	a->list[a->nlist++] = r;
	learn_processes(h, a);
	return r;
}

static u32 cell_hash(const struct dt_aggrow *row, u32 bucket)
{
	struct {
		u64 row, bucket;
	} key = { (uintptr_t)row, bucket };

	return dt_hash(&key, sizeof(key));
}

static struct dt_aggcell *find_cell(const struct dt_agg *a, const struct dt_aggrow *row, u32 bucket,
				    u32 hash)
{
	u32 i;

	if (!a->cells.n)
		return NULL;
	for (i = hash & (a->cells.cap - 1); a->cells.v[i].item; i = (i + 1) & (a->cells.cap - 1)) {
		struct dt_aggcell *c = a->cells.v[i].item;

		if (c->row == row && c->bucket == bucket)
			return c;
	}
	return NULL;
}

struct dt_aggcell *dt_agg_cell(struct dt_agg *a, struct dt_aggrow *row, u32 bucket)
{
	struct dt_aggcell *c;
	u32 hash;

	if (!a->dist)
		return row->cells ? row->cells : new_cell(a, row, 0);
	hash = cell_hash(row, bucket);
	c = find_cell(a, row, bucket, hash);
	if (c)
		return c;
	if (tab_reserve(&a->cells) < 0)
		return NULL;
	c = new_cell(a, row, bucket);
	if (c)
		tab_put(&a->cells, hash, c);
	return c;
}

/* ---- dropping ----------------------------------------------------------------------------------
 * */

static void free_row(struct dt_agg *a, struct dt_aggrow *r)
{
	struct dt_aggcell *next;

	for (struct dt_aggcell *c = r->cells; c; c = next) {
		next = c->next;
		free_to(&a->freecells, c);
	}
	free_to(&a->freerows, r);
}

/* The tables are made anew: nothing can be taken out of open addressing, and there are often many.
 * */
static void fill_tables(struct dt_agg *a)
{
	tab_empty(&a->rows);
	tab_empty(&a->cells);
	for (u32 i = 0; i < a->nlist; i++) {
		struct dt_aggrow *r = a->list[i];

		tab_put(&a->rows, r->hash, r);
		for (struct dt_aggcell *c = r->cells; a->dist && c; c = c->next)
			tab_put(&a->cells, cell_hash(r, c->bucket), c);
	}
}

void dt_agg_drop(struct dt_agg *a, bool (*gone)(const struct dt_agg *a, const struct dt_aggrow *r))
{
	u32 n = 0;

	for (u32 i = 0; i < a->nlist; i++) {
		struct dt_aggrow *r = a->list[i];

		if (gone(a, r))
			free_row(a, r);
		else
			a->list[n++] = r;
	}
	if (n == a->nlist)
		return;
	a->nlist = n;
	fill_tables(a);
}

/* ---- life --------------------------------------------------------------------------------------
 * */

bool dt_agg_is_minmax(const struct dt_agg *a)
{
	return a->spec->func == DTRACEAGG_MIN || a->spec->func == DTRACEAGG_MAX;
}

static int make_thresholds(struct dt_agg *a)
{
	const s64 *p = a->spec->param;

	if (a->spec->func != DTRACEAGG_LLQUANTIZE)
		return 0;
	a->nthresholds = a->spec->nbuckets / 2;
	a->thresholds = calloc(a->nthresholds + 1, sizeof(*a->thresholds));
	if (!a->thresholds)
		return -1;
	dt_llquantize_thresholds(p[0], p[1], p[2], p[3], a->thresholds, a->nthresholds);
	return 0;
}

static int agg_init(struct dt_agg *a, const struct dt_aggspec *spec)
{
	const dtrace_recdesc_t *value = &spec->desc.dtagd_rec[spec->desc.dtagd_nrecs - 1];

	a->spec = spec;
	a->dist = spec->func == DTRACEAGG_QUANTIZE || spec->func == DTRACEAGG_LQUANTIZE ||
		  spec->func == DTRACEAGG_LLQUANTIZE;
	a->ncellwords = a->dist ? 1 : spec->nwords;
	a->keybytes = value->dtrd_offset - 8;
	a->normal = 1;
	a->gen = 1; /* cells start at 0: never seen */
	dt_arena_init(&a->arena);
	a->scratch = calloc(1, (size_t)a->keybytes + 8);
	return a->scratch ? make_thresholds(a) : -1;
}

static void agg_fini(struct dt_agg *a)
{
	free(a->rows.v);
	free(a->cells.v);
	free(a->list);
	free(a->scratch);
	free(a->thresholds);
	dt_arena_fini(&a->arena);
}

struct dt_aggs *dt_aggs_new(dtrace_hdl_t *h, const struct dt_object *o)
{
	struct dt_aggs *s = calloc(1, sizeof(*s));
	int ncpus = dt_live_ncpus(h->live);

	if (!s)
		return dt_set_errno_null(h, EDT_NOMEM);
	s->h = h;
	s->ncpus = ncpus > 0 ? (u32)ncpus : 0;
	s->v = calloc(o->naggs + 1, sizeof(*s->v));
	for (u32 i = 0; s->v && i < o->naggs; i++) {
		s->n = i + 1;
		if (agg_init(&s->v[i], &o->aggs[i]) == 0)
			continue;
		dt_aggs_free(s);
		return dt_set_errno_null(h, EDT_NOMEM);
	}
	if (s->v)
		return s;
	dt_aggs_free(s);
	return dt_set_errno_null(h, EDT_NOMEM);
}

void dt_aggs_free(struct dt_aggs *s)
{
	if (!s)
		return;
	for (u32 i = 0; i < s->n; i++)
		agg_fini(&s->v[i]);
	free(s->v);
	free(s);
}

struct dt_agg *dt_aggs_byid(dtrace_hdl_t *h, s64 varid)
{
	if (!h->aggs || varid < 1 || varid > (s64)h->aggs->n)
		return dt_set_errno_null(h, EDT_BADAGGVAR);
	return &h->aggs->v[varid - 1];
}

/* ---- clear and remove --------------------------------------------------------------------------
 * */

void dt_agg_row_clear(struct dt_agg *a, struct dt_aggrow *row)
{
	u32 n = a->ncellwords;

	for (struct dt_aggcell *c = row->cells; c; c = c->next) {
		if (c->gen == a->gen && !dt_agg_is_minmax(a))
			memcpy(c->w + n, c->w, n * sizeof(u64));
		else
			memset(c->w + n, 0, n * sizeof(u64));
		if (dt_agg_is_minmax(a))
			c->gen = 0;
	}
	if (dt_agg_is_minmax(a))
		row->doomed = a->unsettled = true;
}

void dt_agg_row_remove(struct dt_agg *a, struct dt_aggrow *row)
{
	dt_agg_row_clear(a, row);
	row->removed = true;
	row->normal = a->normal;
}

int dt_agg_settle(dtrace_hdl_t *h, struct dt_agg *a)
{
	int rval;

	if (!a->unsettled)
		return 0;
	rval = dt_agg_purge(h, a);
	for (u32 i = 0; i < a->nlist; i++)
		a->list[i]->doomed = false;
	a->unsettled = false;
	return rval;
}

void dtrace_aggregate_clear(dtrace_hdl_t *h)
{
	for (u32 k = 0; h->aggs && k < h->aggs->n; k++) {
		struct dt_agg *a = &h->aggs->v[k];

		for (u32 i = 0; i < a->nlist; i++)
			if (!a->list[i]->removed)
				dt_agg_row_clear(a, a->list[i]);
		dt_agg_settle(h, a);
	}
}
