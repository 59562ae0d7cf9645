/* SPDX-License-Identifier: Apache-2.0 */
/*
 * aggsort.c - walks over rows: unsorted, sorted by value, key and variable in every combination,
 * and joined.
 *
 * A walk takes its rows first, so that callbacks may do what they like: rows removed meanwhile are
 * stepped over.
 */
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "consume/consume.h"

/* ---- what rows are sorted by ----------------------------------------------------------------- */

enum by { BY_NONE, BY_VAR, BY_VALUE, BY_KEY };

struct order {
	struct dt_aggs *as;
	enum by by[3];
	bool reverse;    /* all of it */
	bool reverse_vk; /* values and keys, not variables */
	int keypos;      /* the key to begin with */
};

/* A row with its value as a number. long double holds any 64-bit integer exactly. */
struct elem {
	struct dt_row *row;
	long double major;
	s64 minor;
	u32 pos; /* joined walks: which of the aggregations */
};

static long double bucket_value(const struct dt_agg *a, u32 b)
{
	const s64 *p = a->spec->param;
	s64 middle;

	switch (a->spec->func) {
	case DTRACEAGG_QUANTIZE: return DTRACE_QUANTIZE_BUCKETVAL((int)b);
	case DTRACEAGG_LQUANTIZE:
		return b ? (long double)p[0] + ((long double)b - 1) * (p[2] ? p[2] : 1) :
			   (long double)p[0] - 1;
	default:
		middle = (s64)b - a->nthresholds;
		return middle > 0 ? (long double)a->thresholds[middle - 1] :
		       middle < 0 ? -(long double)a->thresholds[-middle - 1] :
				    0;
	}
}

static u32 zero_bucket(const struct dt_agg *a)
{
	const s64 *p = a->spec->param;
	s64 step = p[2] ? p[2] : 1, b;

	switch (a->spec->func) {
	case DTRACEAGG_QUANTIZE: return DTRACE_QUANTIZE_ZEROBUCKET;
	case DTRACEAGG_LQUANTIZE:
		b = p[0] > 0 ? 0 : -p[0] / step + 1;
		return (u32)DT_MIN(b, (s64)a->spec->nbuckets - 1);
	default: return a->nthresholds;
	}
}

static void weigh_dist(struct elem *e, const struct dt_agg *a, const u64 *v)
{
	e->major = 0;
	for (u32 b = 0; b < a->words; b++)
		if (v[b])
			e->major += bucket_value(a, b) * (s64)v[b];
	e->minor = (s64)v[zero_bucket(a)];
}

static void weigh(struct elem *e)
{
	const u64 *v = e->row->v;

	switch (e->row->agg->spec->func) {
	case DTRACEAGG_COUNT: e->major = v[0]; break;
	case DTRACEAGG_AVG: e->major = v[0] ? (s64)v[1] / (s64)v[0] : 0; break;
	case DTRACEAGG_STDDEV: e->major = dt_stddev(v, 1); break;
	case DTRACEAGG_QUANTIZE:
	case DTRACEAGG_LQUANTIZE:
	case DTRACEAGG_LLQUANTIZE: weigh_dist(e, e->row->agg, v); break;
	default: e->major = (s64)v[0];
	}
}

#define CMP(a, b) ((a) < (b) ? -1 : (a) > (b))

/* ---- comparing keys -------------------------------------------------------------------------- */

static struct dt_item key_item(const struct dt_row *r, u32 i)
{
	const struct dt_datum *d = &r->agg->spec->keys[i];

	return (struct dt_item){ d->kind, (const char *)r->key + d->off, d->size, d->type };
}

/* A text that may lack its NUL: into buf. */
static const char *key_text(struct dt_aggs *as, const struct dt_item *it, size_t *len)
{
	const char *s = it->p;
	u32 id;

	if (it->kind < DT_D_PROBEPROV) {
		*len = strnlen(s, it->size);
		return s;
	}
	memcpy(&id, it->p, sizeof(id));
	s = dt_probe_text(as->h, id, it->kind);
	*len = strlen(s);
	return s;
}

static int cmp_text(struct dt_aggs *as, const struct dt_item *l, const struct dt_item *r)
{
	size_t ln, rn;
	const char *ls = key_text(as, l, &ln), *rs = key_text(as, r, &rn);
	int c = memcmp(ls, rs, DT_MIN(ln, rn));

	return c ? c : CMP(ln, rn);
}

static int cmp_words(const struct dt_item *l, const struct dt_item *r)
{
	u32 n = DT_MIN(l->size, r->size) / 8;

	for (u32 i = 0; i < n; i++) {
		u64 a = dt_item_word(l, i), b = dt_item_word(r, i);

		if (a != b)
			return CMP(a, b);
	}
	return CMP(l->size, r->size);
}

static int cmp_bytes(const struct dt_item *l, const struct dt_item *r)
{
	int c = memcmp(l->p, r->p, DT_MIN(l->size, r->size));

	return c ? c : CMP(l->size, r->size);
}

static bool is_text(const struct dt_item *it)
{
	return it->kind == DT_D_STR || it->kind >= DT_D_PROBEPROV;
}

static int cmp_item(struct dt_aggs *as, const struct dt_item *l, const struct dt_item *r)
{
	if (is_text(l) || is_text(r))
		return is_text(l) && is_text(r) ? cmp_text(as, l, r) : CMP(l->kind, r->kind);
	switch (l->kind) {
	case DT_D_INT:
	case DT_D_UINT:
	case DT_D_PTR: {
		s64 a = dt_item_int(l), b = dt_item_int(r);

		return l->kind == DT_D_INT ? CMP(a, b) : CMP((u64)a, (u64)b);
	}
	case DT_D_NONE: return 0;
	case DT_D_BYTES:
	case DT_D_FLOAT: return cmp_bytes(l, r);
	default: return cmp_words(l, r);
	}
}

static int cmp_keys(const struct order *o, const struct dt_row *l, const struct dt_row *r)
{
	u32 n = DT_MIN(l->agg->spec->nkeys, r->agg->spec->nkeys);

	for (u32 i = 0; i < n; i++) {
		u32 k = (i + (u32)o->keypos) % n;
		struct dt_item a = key_item(l, k), b = key_item(r, k);
		int c = cmp_item(o->as, &a, &b);

		if (c)
			return c;
	}
	return CMP(l->agg->spec->nkeys, r->agg->spec->nkeys);
}

/* ---- comparing rows -------------------------------------------------------------------------- */

static int cmp_value(const struct elem *l, const struct elem *r)
{
	return l->major != r->major ? CMP(l->major, r->major) : CMP(l->minor, r->minor);
}

static int cmp_elem(const void *lp, const void *rp, void *arg)
{
	const struct elem *l = lp, *r = rp;
	const struct order *o = arg;
	int c = 0;

	for (size_t i = 0; i < DT_NELEM(o->by) && !c; i++)
		switch (o->by[i]) {
		case BY_VAR: c = CMP(l->row->agg->spec->varid, r->row->agg->spec->varid); break;
		case BY_VALUE: c = o->reverse_vk ? -cmp_value(l, r) : cmp_value(l, r); break;
		case BY_KEY:
			c = cmp_keys(o, l->row, r->row);
			c = o->reverse_vk ? -c : c;
			break;
		default: break;
		}
	return o->reverse ? -c : c;
}

/* ---- walking --------------------------------------------------------------------------------- */

struct walk {
	struct dt_aggs *as;
	struct elem *v;
	size_t n;
};

static bool collect(struct walk *w, const struct dt_agg *a, u32 pos, bool weighed)
{
	struct elem *v;

	if (!a->nrows)
		return true;
	v = realloc(w->v, (w->n + a->nrows) * sizeof(*v));
	if (!v)
		return false;
	w->v = v;
	for (u32 i = 0; i < a->nrows; i++) {
		struct elem *e = &v[w->n];

		if (a->rows[i]->dead) /* removed by a walk that we are in */
			continue;
		w->n++;
		*e = (struct elem){ .row = a->rows[i], .pos = pos };
		if (weighed)
			weigh(e);
	}
	return true;
}

static void view_init(struct dt_aggview *view, struct dt_aggs *as, struct dt_agg *a,
		      struct dt_row *r, char *buf)
{
	*view = (struct dt_aggview){
		.data = { .dtada_handle = as->h,
			  .dtada_desc = &a->desc,
			  .dtada_data = buf,
			  .dtada_normal = r ? r->normal : 1,
			  .dtada_size = a->desc.dtagd_size,
			  .dtada_hash = r ? r->hash : 0 },
		.agg = a,
		.row = r,
	};
	dt_row_encode(as, a, r, buf);
}

/* Do what the callback asks for. */
static int obey(struct dt_aggs *as, int rv, const struct dt_aggview *view)
{
	struct dt_row *r = view->row && !view->row->dead ? view->row : NULL;

	switch (rv) {
	case DTRACE_AGGWALK_NEXT: return 0;
	case DTRACE_AGGWALK_CLEAR:
		if (r)
			dt_row_clear(as, r);
		return 0;
	case DTRACE_AGGWALK_NORMALIZE:
		if (!view->data.dtada_normal)
			return dt_set_errno(as->h, EDT_BADRVAL);
		if (r)
			r->normal = view->data.dtada_normal;
		return 0;
	case DTRACE_AGGWALK_DENORMALIZE:
		if (r)
			r->normal = 1;
		return 0;
	case DTRACE_AGGWALK_REMOVE:
		if (r)
			dt_row_remove(as, r);
		return 0;
	case DTRACE_AGGWALK_ABORT: return dt_set_errno(as->h, EDT_DIRABORT);
	case DTRACE_AGGWALK_ERROR: return -1; /* the callback has left its reason */
	default: return dt_set_errno(as->h, EDT_BADRVAL);
	}
}

static u32 largest(const struct dt_aggs *as)
{
	u32 n = 8;

	for (u32 i = 0; i < as->n; i++)
		n = DT_MAX(n, as->v[i].desc.dtagd_size);
	return n;
}

/* Option aggpercpu: room for a value of each CPU, zeros for those that have none. */
static char **percpu_new(const struct dt_aggs *as)
{
	size_t size = DT_ROUNDUP(largest(as), 8u), n = (size_t)as->ncpus;
	char **v = calloc(n, sizeof(*v) + size);

	for (size_t i = 0; v && i < n; i++)
		v[i] = (char *)(v + n) + i * size;
	return v;
}

static void percpu_fill(char **v, struct dt_aggview *view)
{
	const struct dt_agg *a = view->agg;

	if (!a->ncpus || !view->row)
		return;
	view->data.dtada_percpu = v;
	for (int cpu = 0; cpu < a->ncpus; cpu++) {
		const u64 *words = dt_row_cpu(view->row, cpu);

		if (words)
			dt_value_encode(a, words, (u64 *)(void *)v[cpu]);
		else
			memset(v[cpu], 0, a->value_size);
	}
}

static int visit(struct walk *w, dtrace_aggregate_f *f, void *arg)
{
	_cleanup_free_ char *buf = calloc(1, largest(w->as));
	bool apart = dt_opt(w->as->h, DT_OPT_AGGPERCPU) != 0;
	_cleanup_free_ char **percpu = apart ? percpu_new(w->as) : NULL;
	struct dt_aggview view;

	if (!buf || (apart && !percpu))
		return dt_set_errno(w->as->h, EDT_NOMEM);
	for (size_t i = 0; i < w->n; i++) {
		struct dt_row *r = w->v[i].row;

		if (r->dead)
			continue;
		view_init(&view, w->as, r->agg, r, buf);
		if (apart)
			percpu_fill(percpu, &view);
		if (obey(w->as, f(&view.data, arg), &view) < 0)
			return -1;
	}
	return 0;
}

/* Walk the rows of all aggregations, or of one. o NULL: in any order. */
static int walk(dtrace_hdl_t *h, s64 only, struct order *o, dtrace_aggregate_f *f, void *arg)
{
	struct dt_aggs *as = h->aggs;
	struct walk w = { .as = as };
	bool ok = true;
	int err;

	if (!as)
		return 0;
	for (u32 i = 0; i < as->n && ok; i++)
		if (only < 0 || only == i)
			ok = collect(&w, &as->v[i], 0, o);
	if (ok && o && w.n) {
		o->as = as;
		qsort_r(w.v, w.n, sizeof(*w.v), cmp_elem, o);
	}
	as->walking++;
	err = ok ? visit(&w, f, arg) : dt_set_errno(h, EDT_NOMEM);
	dt_aggs_unwalk(as);
	free(w.v);
	return err;
}

int dt_agg_walk(dtrace_hdl_t *h, u32 agg, enum dt_aggorder order, dtrace_aggregate_f *f, void *arg)
{
	struct order o = { .by = { BY_VALUE, BY_KEY }, .reverse = order == DT_ORDER_DOWN };

	return walk(h, agg, order == DT_ORDER_ANY ? NULL : &o, f, arg);
}

/* ---- the public walks ------------------------------------------------------------------------ */

int dtrace_aggregate_walk(dtrace_hdl_t *h, dtrace_aggregate_f *f, void *arg)
{
	return walk(h, -1, NULL, f, arg);
}

/* As the options say. */
static struct order order_of_options(const dtrace_hdl_t *h)
{
	bool key = dt_opt(h, DT_OPT_AGGSORTKEY) != 0;

	return (struct order){
		.by = { BY_VAR, key ? BY_KEY : BY_VALUE, key ? BY_VALUE : BY_KEY },
		.reverse_vk = dt_opt(h, DT_OPT_AGGSORTREV) != 0,
		.keypos = (int)dt_opt_u32(h, DT_OPT_AGGSORTKEYPOS, 0, 4096),
	};
}

int dtrace_aggregate_walk_sorted(dtrace_hdl_t *h, dtrace_aggregate_f *f, void *arg)
{
	struct order o = order_of_options(h);

	return walk(h, -1, &o, f, arg);
}

#define SORTED_WALK(name, back, ...) \
	int dtrace_aggregate_walk_##name(dtrace_hdl_t *h, dtrace_aggregate_f *f, void *arg) \
	{ \
		struct order o = { .by = { __VA_ARGS__ }, .reverse = back }; \
\
		return walk(h, -1, &o, f, arg); \
	}

SORTED_WALK(keysorted, false, BY_VAR, BY_KEY, BY_VALUE)
SORTED_WALK(valsorted, false, BY_VAR, BY_VALUE, BY_KEY)
SORTED_WALK(keyvarsorted, false, BY_KEY, BY_VAR, BY_VALUE)
SORTED_WALK(valvarsorted, false, BY_VALUE, BY_KEY, BY_VAR)
SORTED_WALK(keyrevsorted, true, BY_VAR, BY_KEY, BY_VALUE)
SORTED_WALK(valrevsorted, true, BY_VAR, BY_VALUE, BY_KEY)
SORTED_WALK(keyvarrevsorted, true, BY_KEY, BY_VAR, BY_VALUE)
SORTED_WALK(valvarrevsorted, true, BY_VALUE, BY_KEY, BY_VAR)

/* ---- what there is, before anything was counted ----------------------------------------------- */

int dtrace_aggregate_describe(dtrace_hdl_t *h, dtrace_aggregate_f *f, void *arg)
{
	struct dt_aggs *as = h->aggs;
	_cleanup_free_ char *buf = as ? calloc(1, DT_ROUNDUP((size_t)largest(as), 8u) + 8) : NULL;
	struct dt_aggview view;

	if (as && !buf)
		return dt_set_errno(h, EDT_NOMEM);
	for (u32 i = 0; as && i < as->n; i++) {
		if (!as->v[i].spec->func)
			continue;
		view_init(&view, as, &as->v[i], NULL, buf);
		if (f(&view.data, arg) == DTRACE_AGGWALK_ABORT)
			return dt_set_errno(h, EDT_DIRABORT);
	}
	return 0;
}

/* ---- joined: rows with equal keys of several aggregations side by side ----------------------- */

struct bundle {
	struct elem *first; /* one of its rows stands for the key */
	struct elem *e;     /* one per aggregation, row NULL: none */
};

struct join {
	struct dt_aggs *as;
	struct dt_agg **aggs;
	u32 n;
	struct order order;
	u32 sortpos;
	bool by_key;
	struct elem *slots;
	struct bundle *bundles;
	size_t nbundles;
};

static int cmp_joined_keys(const void *l, const void *r, void *arg)
{
	const struct join *j = arg;

	return cmp_keys(&j->order, ((const struct elem *)l)->row, ((const struct elem *)r)->row);
}

static int cmp_slot(const struct elem *l, const struct elem *r)
{
	static const struct elem zero;

	return cmp_value(l->row ? l : &zero, r->row ? r : &zero);
}

static int cmp_bundle_values(const struct join *j, const struct bundle *l, const struct bundle *r)
{
	int c = cmp_slot(&l->e[j->sortpos], &r->e[j->sortpos]);

	for (u32 i = 0; i < j->n && !c; i++)
		c = cmp_slot(&l->e[i], &r->e[i]);
	return c;
}

static int cmp_bundle(const void *lp, const void *rp, void *arg)
{
	const struct bundle *l = lp, *r = rp;
	const struct join *j = arg;
	int c = j->by_key ? 0 : cmp_bundle_values(j, l, r);

	if (!c)
		c = cmp_keys(&j->order, l->first->row, r->first->row);
	return j->order.reverse_vk ? -c : c;
}

/* Rows sorted by key -> bundles. */
static int make_bundles(struct join *j, struct walk *w)
{
	qsort_r(w->v, w->n, sizeof(*w->v), cmp_joined_keys, j);
	j->slots = calloc(w->n * j->n + 1, sizeof(*j->slots));
	j->bundles = calloc(w->n + 1, sizeof(*j->bundles));
	if (!j->slots || !j->bundles)
		return dt_set_errno(j->as->h, EDT_NOMEM);
	for (size_t i = 0; i < w->n; i++) {
		struct bundle *b = &j->bundles[j->nbundles];

		if (!i || cmp_joined_keys(&w->v[i - 1], &w->v[i], j)) {
			b->e = j->slots + j->nbundles * j->n;
			b->first = &w->v[i];
			j->nbundles++;
		} else {
			b--;
		}
		b->e[w->v[i].pos] = w->v[i];
	}
	qsort_r(j->bundles, j->nbundles, sizeof(*j->bundles), cmp_bundle, j);
	return 0;
}

static int visit_bundles(struct join *j, dtrace_aggregate_walk_joined_f *f, void *arg)
{
	size_t size = DT_ROUNDUP((size_t)largest(j->as), 8u);
	_cleanup_free_ char *buf = calloc(j->n + 1, size);
	_cleanup_free_ struct dt_aggview *views = calloc(j->n + 1, sizeof(*views));
	_cleanup_free_ const dtrace_aggdata_t **data = calloc(j->n + 1, sizeof(dtrace_aggdata_t *));

	if (!buf || !views || !data)
		return dt_set_errno(j->as->h, EDT_NOMEM);
	for (size_t k = 0; k < j->nbundles; k++) {
		const struct bundle *b = &j->bundles[k];
		int rv;

		if (b->first->row->dead)
			continue;
		view_init(&views[0], j->as, b->first->row->agg, b->first->row, buf);
		data[0] = &views[0].data;
		for (u32 i = 0; i < j->n; i++) {
			struct dt_row *r = b->e[i].row && !b->e[i].row->dead ? b->e[i].row : NULL;

			view_init(&views[i + 1], j->as, j->aggs[i], r, buf + (i + 1) * size);
			data[i + 1] = &views[i + 1].data;
		}
		rv = f(data, (int)j->n + 1, arg);
		for (u32 i = 1; i <= j->n; i++)
			if (obey(j->as, rv, &views[i]) < 0)
				return -1;
	}
	return 0;
}

static int join(dtrace_hdl_t *h, struct dt_agg **aggs, u32 n, dtrace_aggregate_walk_joined_f *f,
		void *arg)
{
	struct join j = { .as = h->aggs, .aggs = aggs, .n = n, .order = order_of_options(h) };
	struct walk w = { .as = h->aggs };
	int err = 0;

	j.order.as = j.as;
	j.by_key = j.order.by[1] == BY_KEY;
	j.sortpos = dt_opt_u32(h, DT_OPT_AGGSORTPOS, 0, INT_MAX);
	if (j.sortpos >= n)
		j.sortpos = 0;
	for (u32 i = 0; i < n && !err; i++)
		if (!collect(&w, aggs[i], i, true))
			err = dt_set_errno(h, EDT_NOMEM);
	j.as->walking++;
	if (!err && w.n && (make_bundles(&j, &w) < 0 || visit_bundles(&j, f, arg) < 0))
		err = -1;
	dt_aggs_unwalk(j.as);
	free(w.v);
	free(j.slots);
	free(j.bundles);
	return err;
}

int dtrace_aggregate_walk_joined(dtrace_hdl_t *h, dtrace_aggvarid_t *vars, int n,
				 dtrace_aggregate_walk_joined_f *f, void *arg)
{
	_cleanup_free_ struct dt_agg **aggs = calloc((size_t)DT_MAX(n, 1), sizeof(struct dt_agg *));

	if (!aggs)
		return dt_set_errno(h, EDT_NOMEM);
	for (int i = 0; i < n; i++) {
		if (!h->aggs || vars[i] < 1 || vars[i] > h->aggs->n)
			return dt_set_errno(h, EDT_BADAGGVAR);
		aggs[i] = &h->aggs->v[vars[i] - 1];
		if (aggs[i]->spec->nkeys != aggs[0]->spec->nkeys)
			return dt_set_errno(h, EDT_BADAGGVAR);
	}
	return n > 0 ? join(h, aggs, (u32)n, f, arg) : 0;
}

struct single {
	dtrace_aggregate_walk_joined_f *f;
	void *arg;
};

static int call_joined(const dtrace_aggdata_t *d, void *arg)
{
	const struct single *s = arg;

	return s->f(&d, 1, s->arg);
}

int dt_aggs_walk(dtrace_hdl_t *h, const u32 *which, u32 n, dtrace_aggregate_walk_joined_f *f,
		 void *arg)
{
	struct order o = order_of_options(h);
	_cleanup_free_ dtrace_aggvarid_t *vars = NULL;

	if (n == 1)
		return walk(h, which[0], &o, call_joined, &(struct single){ f, arg });
	vars = calloc(n + 1, sizeof(*vars));
	if (!vars)
		return dt_set_errno(h, EDT_NOMEM);
	for (u32 i = 0; i < n; i++)
		vars[i] = (dtrace_aggvarid_t)which[i] + 1;
	return dtrace_aggregate_walk_joined(h, vars, (int)n, f, arg);
}
