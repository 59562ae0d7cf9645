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
	struct dt_look look; /* the bars; counts may be below zero, as weights may */
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

static void name_bucket(const struct dist *d, u32 b, char *buf, size_t n)
{
	if (d->agg->spec->func == DTRACEAGG_QUANTIZE)
		name_quantize(d, b, buf, n);
	else if (d->agg->spec->func == DTRACEAGG_LQUANTIZE)
		name_lquantize(d, b, buf, n);
	else
		name_llquantize(d, b, buf, n);
}

/* ---- bars ------------------------------------------------------------------------------------ */

static bool is_utf8(const dtrace_hdl_t *h)
{
	const char *encoding = dt_opt_text(h, DT_OPT_ENCODING);

	return encoding && !strcmp(encoding, "utf8");
}

static long double magnitude(s64 v)
{
	return v < 0 ? -(long double)v : (long double)v;
}

static void put_n(struct dt_str *out, char c, u32 n)
{
	while (n--)
		dt_str_putc(out, c);
}

#define ZOOMED 0.95L /* the part of a bar that the largest value fills with option aggzoom */

void dt_bar_add(const dtrace_hdl_t *h, s64 v, long double *total, bool *positive, bool *negative)
{
	*positive |= v > 0;
	*negative |= v < 0;
	if (!dt_opt(h, DT_OPT_AGGZOOM))
		*total += magnitude(v);
	else if (magnitude(v) / ZOOMED > *total)
		*total = magnitude(v) / ZOOMED;
}

static u32 bar_length(const struct dt_look *k, s64 v, u32 len)
{
	u32 n = k->total > 0 ? (u32)(magnitude(v) * len / k->total + 0.5L) : 0;

	return DT_MIN(n, len);
}

/* Eighths of a column, where the terminal has such characters. */
static void put_fine_bar(struct dt_str *out, const struct dt_look *k, s64 v)
{
	static const char *const eighths[] = { "",       "\u258f", "\u258e", "\u258d",
					       "\u258c", "\u258b", "\u258a", "\u2589" };
	u32 n = bar_length(k, v, BAR * 8);

	dt_str_putc(out, '|');
	for (u32 i = 0; i < n / 8; i++)
		dt_str_puts(out, "\u2588");
	dt_str_puts(out, eighths[n % 8]);
	dt_put_spaces(out, BAR - (n + 7) / 8);
}

void dt_put_bar(dtrace_hdl_t *h, struct dt_str *out, const struct dt_look *k, s64 v)
{
	u32 len = k->positive && k->negative ? BAR / 2 : BAR, n = bar_length(k, v, len);

	if (!k->negative && is_utf8(h)) {
		put_fine_bar(out, k, v);
	} else if (!k->negative) {
		dt_str_putc(out, '|');
		put_n(out, '@', n);
		dt_put_spaces(out, len - n);
	} else if (!k->positive) {
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

static void put_row(dtrace_hdl_t *h, struct dt_str *out, const struct dist *d, u32 b)
{
	char text[64];

	name_bucket(d, b, text, sizeof(text));
	dt_str_printf(out, "%16s ", text);
	dt_put_bar(h, out, &d->look, (s64)d->v[b]);
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

static void sum_up(dtrace_hdl_t *h, struct dist *d)
{
	for (u32 b = d->first; b <= d->last; b++)
		dt_bar_add(h, (s64)d->v[b], &d->look.total, &d->look.positive, &d->look.negative);
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

void dt_put_dist_words(dtrace_hdl_t *h, struct dt_str *out, const struct dt_agg *a, const u64 *v,
		       u64 normal)
{
	struct dist d = { .agg = a, .v = v, .normal = normal ? (s64)normal : 1 };

	limits(&d);
	narrow(&d);
	sum_up(h, &d);
	dt_str_printf(out, "\n%16s %41s %-9s\n", "value",
		      "------------- Distribution -------------", "count");
	for (u32 b = d.first; b <= d.last; b++)
		put_row(h, out, &d, b);
}

void dt_put_dist(dtrace_hdl_t *h, struct dt_str *out, const dtrace_aggdata_t *data)
{
	const struct dt_aggview *view = dt_view_of(data);
	_cleanup_free_ u64 *zeros = NULL;

	if (!view->row) {
		zeros = calloc(view->agg->words, sizeof(*zeros));
		out->failed |= !zeros;
	}
	if (view->row || zeros)
		dt_put_dist_words(h, out, view->agg, view->row ? view->row->v : zeros,
				  data->dtada_normal);
}

/* ---- packed: a character per bucket ---------------------------------------------------------- */

void dt_pack_measure(struct dt_look *k, const u64 *v)
{
	struct dist d = { .agg = k->of, .v = v };

	limits(&d);
	narrow(&d);
	k->first = DT_MIN(k->first, d.first);
	k->last = DT_MAX(k->last, d.last);
}

/* The names of the buckets at both ends. */
static void ends(const struct dt_look *k, char *low, char *high, size_t n)
{
	struct dist d = { .agg = k->of, .mirrored = k->first < k->of->nthresholds };

	name_bucket(&d, k->first, low, n);
	name_bucket(&d, k->last, high, n);
}

static int at_least(const char *text, const char *title)
{
	return (int)DT_MAX(strlen(text), strlen(title));
}

void dt_put_pack_header(struct dt_str *out, const struct dt_look *k)
{
	char low[64], high[64];

	ends(k, low, high, sizeof(low));
	dt_str_printf(out, "\n%*s %*s .", (int)k->width, k->width ? "key" : "",
		      at_least(low, "min"), "min");
	put_n(out, '-', k->last - k->first + 1);
	dt_str_printf(out, ". %*s | count\n", -at_least(high, "max"), "max");
}

#define LAST(v) ((u32)DT_NELEM(v) - 1)

static void put_density(dtrace_hdl_t *h, struct dt_str *out, s64 v, long double total)
{
	static const char *const shades[] = { "\u2581", "\u2582", "\u2583", "\u2584",
					      "\u2585", "\u2586", "\u2587", "\u2588" };
	static const char ascii[] = "__xxxxXX", negative[] = "vvvvVV";
	long double part = total > 0 ? magnitude(v) / total : 0;

	if (!v)
		dt_str_putc(out, ' ');
	else if (v < 0)
		dt_str_putc(out, negative[(u32)(part * (sizeof(negative) - 2) + 0.5L)]);
	else if (is_utf8(h))
		dt_str_puts(out, shades[(u32)(part * LAST(shades) + 0.5L)]);
	else
		dt_str_putc(out, ascii[(u32)(part * (sizeof(ascii) - 2) + 0.5L)]);
}

void dt_put_pack(dtrace_hdl_t *h, struct dt_str *out, const struct dt_look *k, const u64 *v,
		 u64 normal)
{
	long double total = 0;
	bool positive = false, negative = false;
	char low[64], high[64];
	s64 count = 0;

	ends(k, low, high, sizeof(low));
	for (u32 b = k->first; b <= k->last; b++) {
		dt_bar_add(h, (s64)v[b], &total, &positive, &negative);
		count = (s64)((u64)count + v[b]);
	}
	dt_str_printf(out, " %*s :", at_least(low, "min"), low);
	for (u32 b = k->first; b <= k->last; b++)
		put_density(h, out, (s64)v[b], total);
	dt_str_printf(out, ": %*s | %" PRId64 "\n", -at_least(high, "max"), high,
		      normalized(count, normal ? (s64)normal : 1));
}
