/* SPDX-License-Identifier: Apache-2.0 */
/*
 * aggprint.c - rows of aggregations as text: printa(), with and without a format, and what is
 * printed at the end of programs that did not print themselves.
 */
#include <stdlib.h>
#include <string.h>

#include "consume2/consume.h"

/* ---- values ------------------------------------------------------------------------------------
 * */

static const dtrace_recdesc_t *value_rec(const dtrace_aggdata_t *d)
{
	return &d->dtada_desc->dtagd_rec[d->dtada_desc->dtagd_nrecs - 1];
}

bool dt_aggdata_number(const dtrace_aggdata_t *d, s64 *out, bool *is_signed)
{
	const dtrace_recdesc_t *r = value_rec(d);
	const u64 *w = (const u64 *)(const void *)(d->dtada_data + r->dtrd_offset);

	*is_signed = r->dtrd_action != DTRACEAGG_COUNT && r->dtrd_action != DTRACEAGG_STDDEV;
	switch (r->dtrd_action) {
	case DTRACEAGG_COUNT:
	case DTRACEAGG_SUM:
	case DTRACEAGG_MIN:
	case DTRACEAGG_MAX:
		*out = dt_value_quotient(w[0], d->dtada_normal, *is_signed);
		return true;
	case DTRACEAGG_AVG: *out = dt_value_avg(w, d->dtada_normal); return true;
	case DTRACEAGG_STDDEV: *out = (s64)dt_value_stddev(w, d->dtada_normal); return true;
	default: return false;
	}
}

void dt_text_aggval(dtrace_hdl_t *h, struct dt_str *out, const dtrace_aggdata_t *d)
{
	bool is_signed;
	s64 n;

	if (!dt_aggdata_number(d, &n, &is_signed))
		dt_text_hist(h, out, d);
	else
		dt_str_printf(out, is_signed ? " %16lld" : " %16llu", (long long)n);
}

/* ---- rows --------------------------------------------------------------------------------------
 * */

struct job {
	dtrace_hdl_t *h;
	FILE *fp;
	const dtrace_recdesc_t *rec; /* printa's; NULL: none */
	const struct dt_fmt *fmt;    /* NULL: default layout */
	const struct dt_agg *only;   /* of a walk over all; NULL: what was not printed yet */
	struct dt_str text;
	struct dt_value *keys;
	u32 nkeys;
};

/* Files get rows in one piece; the buffered handler wants to know what each part is. */
static int part(struct job *j, const dtrace_aggdata_t *d, u32 flags)
{
	if (j->fp && !(flags & DTRACE_BUFDATA_AGGLAST))
		return 0;
	if (dt_emit(j->h, j->fp, &j->text) < 0)
		return -1;
	dt_str_reset(&j->text);
	return j->fp ? 0 : dt_buffered_flush(j->h, NULL, j->rec, d, flags);
}

static struct dt_value key_value(const dtrace_aggdata_t *d, u32 k)
{
	return dt_value_of(&d->dtada_desc->dtagd_rec[k + 1], d->dtada_data);
}

static u32 key_count(const dtrace_aggdata_t *d)
{
	return (u32)d->dtada_desc->dtagd_nrecs - 2;
}

static int default_row(struct job *j, const dtrace_aggdata_t *keys,
		       const dtrace_aggdata_t *const *aggs, u32 n)
{
	for (u32 k = 0; k < key_count(keys); k++) {
		struct dt_value v = key_value(keys, k);

		dt_text_key(j->h, &j->text, &v);
		if (part(j, keys, DTRACE_BUFDATA_AGGKEY) < 0)
			return -1;
	}
	for (u32 i = 0; i < n; i++) {
		dt_text_aggval(j->h, &j->text, aggs[i]);
		if (part(j, aggs[i], DTRACE_BUFDATA_AGGVAL) < 0)
			return -1;
	}
	dt_str_putc(&j->text, '\n');
	return part(j, aggs[n - 1], DTRACE_BUFDATA_AGGLAST);
}

static int format_row(struct job *j, const dtrace_aggdata_t *keys,
		      const dtrace_aggdata_t *const *aggs, u32 n)
{
	struct dt_fmtargs args = { .aggs = aggs, .naggs = n, .n = key_count(keys) };

	if (args.n > j->nkeys || !j->keys) {
		struct dt_value *v = realloc(j->keys, (args.n + 1) * sizeof(*v));

		if (!v)
			return dt_set_errno(j->h, EDT_NOMEM);
		j->keys = v;
		j->nkeys = args.n;
	}
	for (u32 k = 0; k < args.n; k++)
		j->keys[k] = key_value(keys, k);
	args.v = j->keys;
	if (dt_text_fmt(j->h, &j->text, j->fmt, &args) < 0)
		return -1;
	return part(j, aggs[0], DTRACE_BUFDATA_AGGFORMAT | DTRACE_BUFDATA_AGGLAST);
}

static int row(struct job *j, const dtrace_aggdata_t *keys, const dtrace_aggdata_t *const *aggs, u32 n)
{
	if (j->fmt)
		return format_row(j, keys, aggs, n);
	return default_row(j, keys, aggs, n);
}

static int print_one(const dtrace_aggdata_t *d, void *arg)
{
	struct job *j = arg;
	const struct dt_agg *a = dt_aggs_byid(j->h, d->dtada_desc->dtagd_varid);

	if (!a || (j->only ? a != j->only : a->printed))
		return DTRACE_AGGWALK_NEXT;
	return row(j, d, &d, 1) < 0 ? DTRACE_AGGWALK_ERROR : DTRACE_AGGWALK_NEXT;
}

static int print_joined(const dtrace_aggdata_t **d, const int n, void *arg)
{
	return row(arg, d[0], d + 1, (u32)n - 1) < 0 ? DTRACE_AGGWALK_ERROR : DTRACE_AGGWALK_NEXT;
}

/* ---- printa() ----------------------------------------------------------------------------------
 * */

static int print_all_rows(struct job *j, const struct dt_aggact *act)
{
	dtrace_aggvarid_t *ids = malloc((act->naggs + 1) * sizeof(*ids));
	int rval;

	if (!ids)
		return dt_set_errno(j->h, EDT_NOMEM);
	for (u32 i = 0; i < act->naggs; i++)
		ids[i] = (s64)act->aggs[i] + 1;
	if (act->naggs == 1) {
		j->only = dt_aggs_byid(j->h, ids[0]);
		rval = j->only ? dtrace_aggregate_walk_sorted(j->h, print_one, j) : -1;
	} else {
		rval = dtrace_aggregate_walk_joined(j->h, ids, (int)act->naggs, print_joined, j);
	}
	free(ids);
	return rval;
}

int dt_printa(dtrace_hdl_t *h, FILE *fp, const dtrace_recdesc_t *rec)
{
	const struct dt_aggact *act = rec->dtrd_format;
	struct job j = { .h = h, .fp = fp, .rec = rec };
	int rval = 0;

	if (!act || !act->naggs)
		return dt_set_errno(h, EDT_BADAGG);
	j.fmt = act->fmt;
	if (!j.fmt)
		rval = dt_printf(h, fp, "\n");
	if (rval == 0)
		rval = print_all_rows(&j, act);
	for (u32 i = 0; h->aggs && i < act->naggs; i++)
		if (act->aggs[i] < h->aggs->n)
			h->aggs->v[act->aggs[i]].printed = true;
	dt_str_fini(&j.text);
	free(j.keys);
	return rval;
}

/* ---- at the end --------------------------------------------------------------------------------
 * */

int dtrace_aggregate_print(dtrace_hdl_t *h, FILE *fp, dtrace_aggregate_walk_f *walk)
{
	struct job j = { .h = h, .fp = fp };
	int rval = (walk ? walk : dtrace_aggregate_walk_sorted)(h, print_one, &j);

	dt_str_fini(&j.text);
	free(j.keys);
	return rval;
}
