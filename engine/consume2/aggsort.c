/* SPDX-License-Identifier: Apache-2.0 */
/*
 * aggsort.c - walks over aggregations, and their orders.
 *
 * A walk takes the visible rows as they are, puts them in order, and shows them one by one in a
 * scratch that lives as long as the walk; what the callback wants done with a row is done at once.
 * Rows are not dropped during walks (only snapshots do that), so the list of them stays good.
 */
#include <stdlib.h>
#include <string.h>

#include "consume2/consume.h"

/* ---- comparing ---------------------------------------------------------------------------------
 * */

static struct dt_value key_at(const struct dt_aggent *e, u32 k)
{
	const dtrace_recdesc_t *r = &e->agg->spec->desc.dtagd_rec[k + 1];
	struct dt_value v = {
		.kind = e->agg->spec->keys[k].kind,
		.data = e->row->key + (r->dtrd_offset - 8),
		.size = r->dtrd_size,
	};

	if (v.kind >= DT_D_PROBEPROV)
		v.kind = DT_D_STR;
	return v;
}

#define CMP(a, b) ((a) < (b) ? -1 : (a) > (b))

static int cmp_text(const struct dt_value *a, const struct dt_value *b)
{
	size_t n = strnlen(a->data, a->size), m = strnlen(b->data, b->size);
	int c = memcmp(a->data, b->data, DT_MIN(n, m));

	return c ? CMP(c, 0) : CMP(n, m);
}

/* Process ids and addresses: word by word. */
static int cmp_words(const struct dt_value *a, const struct dt_value *b)
{
	u32 n = DT_MIN(a->size, b->size) / 8;

	for (u32 i = 0; i < n; i++) {
		u64 x, y;

		memcpy(&x, (const char *)a->data + (size_t)i * 8, sizeof(x));
		memcpy(&y, (const char *)b->data + (size_t)i * 8, sizeof(y));
		if (x != y)
			return CMP(x, y);
	}
	return CMP(a->size, b->size);
}

static int cmp_value(const struct dt_value *a, const struct dt_value *b)
{
	s64 x, y;
	int c;

	if (dt_value_is_int(a) && dt_value_is_int(b)) {
		x = dt_value_int(a);
		y = dt_value_int(b);
		if (dt_value_signed(a) || dt_value_signed(b))
			return CMP(x, y);
		return CMP((u64)x, (u64)y);
	}
	if (a->kind != b->kind)
		return CMP(a->kind, b->kind);
	if (a->kind == DT_D_STR)
		return cmp_text(a, b);
	if (a->kind >= DT_D_STACK)
		return cmp_words(a, b);
	c = memcmp(a->data, b->data, DT_MIN(a->size, b->size));
	return c ? CMP(c, 0) : CMP(a->size, b->size);
}

/* Key columns in turn, from column keypos on. */
static int cmp_keys(const struct dt_aggent *a, const struct dt_aggent *b, u32 keypos)
{
	u32 n = a->agg->spec->nkeys;

	if (n != b->agg->spec->nkeys)
		return CMP(n, b->agg->spec->nkeys);
	for (u32 i = 0; i < n; i++) {
		u32 k = (i + keypos) % n;
		struct dt_value x = key_at(a, k), y = key_at(b, k);
		int c = cmp_value(&x, &y);

		if (c)
			return c;
	}
	return 0;
}

static int cmp_weights(const struct dt_weight *a, const struct dt_weight *b)
{
	if (a->v != b->v)
		return CMP(a->v, b->v);
	return CMP(a->zero, b->zero);
}

/* Values of different functions do not compare: the functions do. */
static int cmp_vals(const struct dt_aggent *a, const struct dt_aggent *b)
{
	if (a->agg->spec->func != b->agg->spec->func)
		return CMP(a->agg->spec->func, b->agg->spec->func);
	return cmp_weights(&a->w, &b->w);
}

static int cmp_vars(const struct dt_aggent *a, const struct dt_aggent *b)
{
	return CMP(a->agg->spec->varid, b->agg->spec->varid);
}

static int cmp_entries(const void *pa, const void *pb, void *arg)
{
	const struct dt_order *o = arg;
	const struct dt_aggent *a = o->swap ? pb : pa, *b = o->swap ? pa : pb;
	int c = o->by_var ? cmp_vars(a, b) : 0;

	if (c)
		return c;
	c = o->by_key ? cmp_keys(a, b, o->keypos) : cmp_vals(a, b);
	if (!c)
		c = o->by_key ? cmp_vals(a, b) : cmp_keys(a, b, o->keypos);
	if (!c)
		c = cmp_vars(a, b);
	return o->reverse ? -c : c;
}

/* ---- entries -----------------------------------------------------------------------------------
 * */

static void apply_options(dtrace_hdl_t *h, struct dt_order *o)
{
	s64 keypos = dt_opt(h, DT_OPT_AGGSORTKEYPOS);

	o->reverse = dt_opt(h, DT_OPT_AGGSORTREV) > 0;
	o->keypos = keypos > 0 && keypos < UINT16_MAX ? (u32)keypos : 0;
}

struct dt_order dt_order_default(dtrace_hdl_t *h)
{
	struct dt_order o = { .by_var = true, .by_key = dt_opt(h, DT_OPT_AGGSORTKEY) > 0 };

	apply_options(h, &o);
	return o;
}

int dt_agg_entries(dtrace_hdl_t *h, struct dt_agg **aggs, u32 naggs, const struct dt_order *order,
		   struct dt_aggent **out, u32 *n)
{
	struct dt_order o = order ? *order : (struct dt_order){ 0 };
	struct dt_aggent *v;
	size_t most = 1;

	for (u32 k = 0; k < naggs; k++)
		most += aggs[k]->nlist;
	*n = 0;
	*out = v = malloc(most * sizeof(*v));
	if (!v)
		return dt_set_errno(h, EDT_NOMEM);
	for (u32 k = 0; k < naggs; k++)
		for (u32 i = 0; i < aggs[k]->nlist; i++) {
			struct dt_aggrow *r = aggs[k]->list[i];

			if (r->removed)
				continue;
			v[*n] = (struct dt_aggent){ .agg = aggs[k], .row = r };
			if (order)
				v[*n].w = dt_row_weight(aggs[k], r);
			(*n)++;
		}
	if (order)
		qsort_r(v, *n, sizeof(*v), cmp_entries, &o);
	return 0;
}

/* ---- one row shown -----------------------------------------------------------------------------
 * */

static void fill(dtrace_hdl_t *h, dtrace_aggdata_t *d, const struct dt_agg *a,
		 const struct dt_aggrow *row, char *data)
{
	dt_row_show(a, row, data);
	*d = (dtrace_aggdata_t){
		.dtada_handle = h,
		.dtada_desc = (dtrace_aggdesc_t *)(uintptr_t)&a->spec->desc,
		.dtada_data = data,
		.dtada_normal = row ? row->normal : a->normal,
		.dtada_size = a->spec->shown_size,
		.dtada_hash = row ? row->hash : 0,
	};
}

static int obey(dtrace_hdl_t *h, struct dt_agg *a, struct dt_aggrow *row, const dtrace_aggdata_t *d,
		int rval)
{
	switch (rval) {
	case DTRACE_AGGWALK_NEXT: return 0;
	case DTRACE_AGGWALK_CLEAR: dt_agg_row_clear(a, row); return 0;
	case DTRACE_AGGWALK_NORMALIZE: /* the callback has set dtada_normal */
		if (!d->dtada_normal || d->dtada_normal > INT64_MAX)
			return dt_set_errno(h, EDT_BADNORMAL);
		row->normal = d->dtada_normal;
		return 0;
	case DTRACE_AGGWALK_DENORMALIZE: row->normal = 1; return 0;
	case DTRACE_AGGWALK_REMOVE: dt_agg_row_remove(a, row); return 0;
	case DTRACE_AGGWALK_ABORT: return dt_set_errno(h, EDT_DIRABORT);
	case DTRACE_AGGWALK_ERROR: return -1;
	default: return dt_set_errno(h, EDT_BADRVAL);
	}
}

/* ---- walks -------------------------------------------------------------------------------------
 * */

struct walk {
	struct dt_agg **aggs;
	u32 naggs;
	char *data;
	struct dt_aggent *v;
	u32 n;
};

static int walk_init(dtrace_hdl_t *h, struct walk *w, const struct dt_order *order)
{
	size_t largest = 8;

	w->naggs = h->aggs->n;
	w->aggs = malloc((w->naggs + 1) * sizeof(*w->aggs));
	for (u32 k = 0; w->aggs && k < w->naggs; k++) {
		w->aggs[k] = &h->aggs->v[k];
		largest = DT_MAX(largest, (size_t)w->aggs[k]->spec->shown_size);
	}
	w->data = calloc(1, largest);
	if (!w->aggs || !w->data)
		return dt_set_errno(h, EDT_NOMEM);
	return dt_agg_entries(h, w->aggs, w->naggs, order, &w->v, &w->n);
}

static void walk_fini(struct walk *w)
{
	free(w->aggs);
	free(w->data);
	free(w->v);
}

static int settle_all(dtrace_hdl_t *h)
{
	int rval = 0;

	for (u32 k = 0; k < h->aggs->n; k++)
		if (dt_agg_settle(h, &h->aggs->v[k]) < 0)
			rval = -1;
	return rval;
}

static int walk_rows(dtrace_hdl_t *h, struct walk *w, dtrace_aggregate_f *func, void *arg)
{
	for (u32 i = 0; i < w->n; i++) {
		struct dt_aggent *e = &w->v[i];
		dtrace_aggdata_t d;

		if (e->row->removed) /* by the callback, in a walk of its own */
			continue;
		fill(h, &d, e->agg, e->row, w->data);
		if (obey(h, e->agg, e->row, &d, func(&d, arg)) < 0)
			return -1;
	}
	return 0;
}

static int walk(dtrace_hdl_t *h, const struct dt_order *order, dtrace_aggregate_f *func, void *arg)
{
	struct walk w = { 0 };
	int rval;

	if (!h->aggs)
		return 0;
	rval = walk_init(h, &w, order);
	if (rval == 0) {
		h->aggs->walking++;
		rval = walk_rows(h, &w, func, arg);
		h->aggs->walking--;
		if (!h->aggs->walking && settle_all(h) < 0)
			rval = -1;
	}
	walk_fini(&w);
	return rval;
}

int dtrace_aggregate_walk(dtrace_hdl_t *h, dtrace_aggregate_f *func, void *arg)
{
	return walk(h, NULL, func, arg);
}

int dtrace_aggregate_walk_sorted(dtrace_hdl_t *h, dtrace_aggregate_f *func, void *arg)
{
	struct dt_order o = dt_order_default(h);

	return walk(h, &o, func, arg);
}

static int walk_in_order(dtrace_hdl_t *h, struct dt_order o, dtrace_aggregate_f *func, void *arg)
{
	apply_options(h, &o);
	return walk(h, &o, func, arg);
}

#define WALK(name, ...) \
	int dtrace_aggregate_walk_##name(dtrace_hdl_t *h, dtrace_aggregate_f *func, void *arg) \
	{ \
		return walk_in_order(h, (struct dt_order){ __VA_ARGS__ }, func, arg); \
	}
WALK(keysorted, .by_key = true)
WALK(valsorted, .by_key = false)
WALK(keyvarsorted, .by_var = true, .by_key = true)
WALK(valvarsorted, .by_var = true)
WALK(keyrevsorted, .by_key = true, .swap = true)
WALK(valrevsorted, .swap = true)
WALK(keyvarrevsorted, .by_var = true, .by_key = true, .swap = true)
WALK(valvarrevsorted, .by_var = true, .swap = true)

/* ---- several aggregations row by row -----------------------------------------------------------
 * */

/* Rows with the same keys, one of each aggregation or NULL. */
struct bundle {
	struct dt_aggent any; /* one that is there: it has the keys */
	struct dt_weight w;   /* of the aggregation that rules the order */
	struct dt_aggrow **rows;
};

struct joined {
	dtrace_hdl_t *h;
	struct dt_agg **aggs;
	u32 n;
	struct dt_aggent *v;
	u32 nv;
	struct bundle *b;
	struct dt_aggrow **rows;
	u32 nb;
	struct dt_order order;
	dtrace_aggdata_t *data;
	const dtrace_aggdata_t **ptrs;
	char *shown;
};

static int cmp_bundles(const void *pa, const void *pb, void *arg)
{
	const struct dt_order *o = arg;
	const struct bundle *a = pa, *b = pb;
	int c = o->by_key ? cmp_keys(&a->any, &b->any, o->keypos) : cmp_weights(&a->w, &b->w);

	if (!c)
		c = o->by_key ? cmp_weights(&a->w, &b->w) : cmp_keys(&a->any, &b->any, o->keypos);
	return o->reverse ? -c : c;
}

/* The entries come sorted by key. */
static void make_bundles(struct joined *j, u32 ruler)
{
	for (u32 i = 0; i < j->nv; i++) {
		struct bundle *b = j->nb ? &j->b[j->nb - 1] : NULL;

		if (!b || cmp_keys(&b->any, &j->v[i], 0) != 0) {
			b = &j->b[j->nb];
			b->any = j->v[i];
			b->rows = j->rows + (size_t)j->nb++ * j->n;
		}
		for (u32 k = 0; k < j->n; k++)
			if (j->aggs[k] == j->v[i].agg)
				b->rows[k] = j->v[i].row;
		if (j->aggs[ruler] == j->v[i].agg)
			b->w = j->v[i].w;
	}
	qsort_r(j->b, j->nb, sizeof(*j->b), cmp_bundles, &j->order);
}

static int joined_find(struct joined *j, const dtrace_aggvarid_t *ids)
{
	for (u32 k = 0; k < j->n; k++) {
		j->aggs[k] = dt_aggs_byid(j->h, ids[k]);
		if (!j->aggs[k])
			return -1;
		if (j->aggs[k]->spec->nkeys != j->aggs[0]->spec->nkeys)
			return dt_set_errno(j->h, EDT_BADAGGVAR);
	}
	return 0;
}

static int joined_alloc(struct joined *j)
{
	size_t shown = 8;

	for (u32 k = 0; k < j->n; k++)
		shown += DT_ROUNDUP((size_t)j->aggs[k]->spec->shown_size, 8);
	j->b = calloc((size_t)j->nv + 1, sizeof(*j->b));
	j->rows = calloc(((size_t)j->nv + 1) * j->n, sizeof(*j->rows));
	j->data = calloc(j->n, sizeof(*j->data));
	j->ptrs = calloc(j->n + 1, sizeof(*j->ptrs));
	j->shown = calloc(1, shown);
	if (j->b && j->rows && j->data && j->ptrs && j->shown)
		return 0;
	return dt_set_errno(j->h, EDT_NOMEM);
}

/* Data of all aggregations for one key; those without the key are zero, and borrow the keys. */
static void show_bundle(struct joined *j, const struct bundle *b)
{
	char *at = j->shown;

	for (u32 k = 0; k < j->n; k++) {
		const struct dt_aggspec *spec = j->aggs[k]->spec;

		memset(at, 0, spec->shown_size);
		fill(j->h, &j->data[k], j->aggs[k], b->rows[k], at);
		for (u32 i = 0; !b->rows[k] && i < spec->nkeys; i++) {
			const dtrace_recdesc_t *r = &spec->desc.dtagd_rec[i + 1];
			struct dt_value v = key_at(&b->any, i);

			memcpy(at + r->dtrd_offset, v.data, DT_MIN(v.size, r->dtrd_size));
		}
		j->ptrs[k + 1] = &j->data[k];
		if (j->aggs[k] == b->any.agg)
			j->ptrs[0] = &j->data[k];
		at += DT_ROUNDUP((size_t)spec->shown_size, 8);
	}
}

static int joined_walk(struct joined *j, dtrace_aggregate_walk_joined_f *func, void *arg)
{
	for (u32 i = 0; i < j->nb; i++) {
		int rval;

		show_bundle(j, &j->b[i]);
		rval = func(j->ptrs, (int)j->n + 1, arg);
		if (rval == DTRACE_AGGWALK_NEXT)
			continue;
		if (rval == DTRACE_AGGWALK_ERROR)
			return -1;
		return dt_set_errno(j->h, rval == DTRACE_AGGWALK_ABORT ? EDT_DIRABORT : EDT_BADRVAL);
	}
	return 0;
}

static int joined_run(struct joined *j, const dtrace_aggvarid_t *ids,
		      dtrace_aggregate_walk_joined_f *func, void *arg)
{
	struct dt_order by_key = { .by_key = true };
	s64 ruler = dt_opt(j->h, DT_OPT_AGGSORTPOS);
	int rval;

	if (joined_find(j, ids) < 0 ||
	    dt_agg_entries(j->h, j->aggs, j->n, &by_key, &j->v, &j->nv) < 0 || joined_alloc(j) < 0)
		return -1;
	j->order = dt_order_default(j->h);
	make_bundles(j, ruler > 0 && ruler < j->n ? (u32)ruler : 0);
	j->h->aggs->walking++;
	rval = joined_walk(j, func, arg);
	j->h->aggs->walking--;
	return rval;
}

/* The callback gets n + 1 pointers: the first has the keys, then come the aggregations in the order
 * of ids. */
int dtrace_aggregate_walk_joined(dtrace_hdl_t *h, dtrace_aggvarid_t *ids, int n,
				 dtrace_aggregate_walk_joined_f *func, void *arg)
{
	struct joined j = { .h = h, .n = (u32)n };
	int rval;

	if (n < 1 || n > 1024)
		return dt_set_errno(h, EDT_BADAGGVAR);
	j.aggs = calloc((size_t)n, sizeof(struct dt_agg *));
	if (!j.aggs)
		return dt_set_errno(h, EDT_NOMEM);
	rval = joined_run(&j, ids, func, arg);
	free(j.aggs);
	free(j.v);
	free(j.b);
	free(j.rows);
	free(j.data);
	free(j.ptrs);
	free(j.shown);
	return rval;
}
