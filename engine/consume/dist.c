/* SPDX-License-Identifier: Apache-2.0 */
/*
 * dist.c - distributions as text: a row per bucket, a bar as long as its share.
 *
 * Shown are the buckets with something in them and one more on each side.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "consume/consume.h"

#define BAR 40

struct dist {
	const struct dt_agg *agg;
	const u64 *v;             /* all buckets, negative ones too */
	u32 first, last;          /* buckets that may be shown */
	u32 quiet_from, quiet_to; /* shown when there is nothing */
	bool mirrored;            /* llquantize with negative values */
	s64 normal;
	long double total;
	bool positive, negative; /* counts: weights may be below zero */
};

/* ---- names of buckets ------------------------------------------------------------------------ */

static void name_quantize(const struct dist *d, u32 b, char *buf, size_t n)
{
	snprintf(buf, n, "%" PRId64, DTRACE_QUANTIZE_BUCKETVAL((int)b));
}

static void name_lquantize(const struct dist *d, u32 b, char *buf, size_t n)
{
	const s64 *p = d->agg->spec->param;
	s64 step = p[2] ? p[2] : 1;

	if (!b)
		snprintf(buf, n, "< %" PRId64, p[0]);
	else
		snprintf(buf, n, b == d->agg->words - 1 ? ">= %" PRId64 : "%" PRId64,
			 (s64)((u64)p[0] + ((u64)b - 1) * (u64)step));
}

static void name_llquantize(const struct dist *d, u32 b, char *buf, size_t n)
{
	const u64 *t = d->agg->thresholds;
	u32 middle = d->agg->nthresholds;

	if (b == middle)
		snprintf(buf, n, d->mirrored ? "abs() < %" PRIu64 : "< %" PRIu64, t[0]);
	else if (b > middle)
		snprintf(buf, n, b == 2 * middle ? ">= %" PRIu64 : "%" PRIu64, t[b - middle - 1]);
	else
		snprintf(buf, n, b == 0 ? "<= -%" PRIu64 : "-%" PRIu64, t[middle - b - 1]);
}

/* ---- rows ------------------------------------------------------------------------------------ */

static long double magnitude(s64 v)
{
	return v < 0 ? -(long double)v : (long double)v;
}

static void put_n(struct dt_str *out, char c, u32 n)
{
	while (n--)
		dt_str_putc(out, c);
}

static u32 bar_length(const struct dist *d, s64 v, u32 len)
{
	u32 n = d->total > 0 ? (u32)(magnitude(v) * len / d->total + 0.5L) : 0;

	return DT_MIN(n, len);
}

static void put_bar(struct dt_str *out, const struct dist *d, s64 v)
{
	u32 len = d->positive && d->negative ? BAR / 2 : BAR, n = bar_length(d, v, len);

	if (!d->negative) {
		dt_str_putc(out, '|');
		put_n(out, '@', n);
		dt_put_spaces(out, len - n);
	} else if (!d->positive) {
		dt_put_spaces(out, len - n);
		put_n(out, '@', n);
		dt_str_putc(out, '|');
	} else { /* a line in the middle, bars to both sides */
		dt_put_spaces(out, v <= 0 ? len - n : len);
		put_n(out, '@', v <= 0 ? n : 0);
		dt_str_putc(out, '|');
		put_n(out, '@', v <= 0 ? 0 : n);
		dt_put_spaces(out, v <= 0 ? len : len - n);
	}
}

static s64 normalized(s64 v, s64 normal)
{
	return normal == -1 ? (s64) - (u64)v : v / normal;
}

static void put_row(struct dt_str *out, const struct dist *d, u32 b,
		    void (*name)(const struct dist *d, u32 b, char *buf, size_t n))
{
	char text[64];

	name(d, b, text, sizeof(text));
	dt_str_printf(out, "%16s ", text);
	put_bar(out, d, (s64)d->v[b]);
	dt_str_printf(out, " %-9" PRId64 "\n", normalized((s64)d->v[b], d->normal));
}

/* ---- what is to be shown --------------------------------------------------------------------- */

static void narrow(struct dist *d)
{
	u32 lo = d->first, hi = d->last;

	while (lo <= hi && !d->v[lo])
		lo++;
	if (lo > hi) {
		d->first = d->quiet_from;
		d->last = DT_MIN(d->quiet_to, d->last);
		return;
	}
	while (!d->v[hi])
		hi--;
	d->first = lo > d->first ? lo - 1 : lo;
	d->last = hi < d->last ? hi + 1 : hi;
}

static void sum_up(struct dist *d)
{
	for (u32 b = d->first; b <= d->last; b++) {
		s64 v = (s64)d->v[b];

		d->positive |= v > 0;
		d->negative |= v < 0;
		d->total += magnitude(v);
	}
}

static void limits(struct dist *d)
{
	const struct dt_agg *a = d->agg;
	u32 middle = a->nthresholds;

	d->last = a->words - 1;
	d->quiet_to = 2;
	if (a->spec->func == DTRACEAGG_QUANTIZE) {
		d->quiet_from = DTRACE_QUANTIZE_ZEROBUCKET - 1;
		d->quiet_to = DTRACE_QUANTIZE_ZEROBUCKET + 1;
	}
	if (a->spec->func != DTRACEAGG_LLQUANTIZE)
		return;
	for (u32 b = 0; b < middle; b++)
		d->mirrored |= d->v[b] != 0;
	d->first = d->mirrored ? 0 : middle;
	d->quiet_from = middle;
	d->quiet_to = middle + 2;
}

void dt_put_dist(dtrace_hdl_t *h, struct dt_str *out, const dtrace_aggdata_t *data)
{
	const struct dt_aggview *view = dt_view_of(data);
	struct dist d = { .agg = view->agg,
			  .normal = data->dtada_normal ? (s64)data->dtada_normal : 1 };
	_cleanup_free_ u64 *zeros = NULL;

	if (!view->row) {
		zeros = calloc(d.agg->words, sizeof(*zeros));
		out->failed |= !zeros;
	}
	d.v = view->row ? view->row->v : zeros;
	if (!d.v)
		return;
	limits(&d);
	narrow(&d);
	sum_up(&d);
	dt_str_printf(out, "\n%16s %41s %-9s\n", "value",
		      "------------- Distribution -------------", "count");
	for (u32 b = d.first; b <= d.last; b++)
		put_row(out, &d, b,
			d.agg->spec->func == DTRACEAGG_QUANTIZE  ? name_quantize :
			d.agg->spec->func == DTRACEAGG_LQUANTIZE ? name_lquantize :
								   name_llquantize);
}
