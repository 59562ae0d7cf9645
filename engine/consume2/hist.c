/* SPDX-License-Identifier: Apache-2.0 */
/*
 * hist.c - distributions as text: a row for every bucket from one before the first that counted to
 * one after the last, with a bar of 40 columns.  Negative counts draw to the left.
 */
#include <stdlib.h>
#include <string.h>

#include "consume2/buckets.h"
#include "consume2/consume.h"

#define BAR 40
static const char bar_text[] = "@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@";
_Static_assert(sizeof(bar_text) == BAR + 1, "one character for each column");

/* A distribution made uniform: counts, and a label for each. */
struct hist {
	const struct dt_agg *agg;
	const u64 *count;
	u32 n;
	void (*label)(const struct hist *x, u32 i, char *buf, size_t size);
	u64 normal;
	long double total;
	bool positives, negatives;
	bool zoom;
};

static s64 count_of(const struct hist *x, u32 i)
{
	return (s64)x->count[i];
}

static void quantize_label(const struct hist *x, u32 i, char *buf, size_t size)
{
	snprintf(buf, size, "%lld", (long long)DTRACE_QUANTIZE_BUCKETVAL((int)i));
}

static void lquantize_label(const struct hist *x, u32 i, char *buf, size_t size)
{
	s64 base = x->agg->spec->param[0], step = x->agg->spec->param[2] ? x->agg->spec->param[2] : 1;

	if (i == 0)
		snprintf(buf, size, "< %lld", (long long)base);
	else
		snprintf(buf, size, i == x->n - 1 ? ">= %lld" : "%lld",
			 (long long)(base + ((s64)i - 1) * step));
}

static void llquantize_label(const struct hist *x, u32 i, char *buf, size_t size)
{
	const u64 *t = x->agg->thresholds;

	if (i == 0)
		snprintf(buf, size, "< %llu", (unsigned long long)t[0]);
	else
		snprintf(buf, size, i == x->n - 1 ? ">= %llu" : "%llu", (unsigned long long)t[i - 1]);
}

static void find_total(struct hist *x)
{
	for (u32 i = 0; i < x->n; i++) {
		long double c = (long double)count_of(x, i), size = c < 0 ? -c : c;

		x->positives |= c > 0;
		x->negatives |= c < 0;
		if (x->zoom)
			x->total = DT_MAX(x->total, size);
		else
			x->total += size;
	}
}

static int depth_of(const struct hist *x, s64 count, int columns)
{
	long double size = count < 0 ? -(long double)count : (long double)count;

	return x->total > 0 ? (int)(size * columns / x->total + 0.5L) : 0;
}

static void put_bar(const struct hist *x, struct dt_str *out, s64 count)
{
	const char *end = bar_text + BAR;
	int depth;

	if (!x->negatives) {
		depth = depth_of(x, count, BAR);
		dt_str_printf(out, "|%s%*s", end - depth, BAR - depth, "");
	} else if (!x->positives) {
		depth = depth_of(x, count, BAR);
		dt_str_printf(out, "%*s%s|", BAR - depth, "", end - depth);
	} else {
		depth = depth_of(x, count, BAR / 2);
		if (count < 0)
			dt_str_printf(out, "%*s%s|%*s", BAR / 2 - depth, "", end - depth, BAR / 2,
				      "");
		else
			dt_str_printf(out, "%*s|%s%*s", BAR / 2, "", end - depth, BAR / 2 - depth,
				      "");
	}
}

static void put_row(const struct hist *x, struct dt_str *out, u32 i)
{
	char label[40];

	x->label(x, i, label, sizeof(label));
	dt_str_printf(out, "%16s ", label);
	put_bar(x, out, count_of(x, i));
	dt_str_printf(out, " %-9lld\n", (long long)dt_value_quotient(x->count[i], x->normal, true));
}

/* The stretch of rows to show; of an empty distribution a few around where zero is. */
static void find_range(const struct hist *x, u32 *first, u32 *last)
{
	*first = 0;
	*last = x->n - 1;
	while (*first < x->n && !x->count[*first])
		(*first)++;
	if (*first == x->n) {
		u32 mid = x->n == DTRACE_QUANTIZE_NBUCKETS ? DTRACE_QUANTIZE_ZEROBUCKET : 1;

		*first = mid > 2 ? mid - 2 : 0;
		*last = DT_MIN(mid + (mid > 2 ? 2 : 1), x->n - 1);
		return;
	}
	while (!x->count[*last])
		(*last)--;
	*first -= *first > 0;
	*last += *last < x->n - 1;
}

static bool describe(struct hist *x, const dtrace_aggdata_t *d)
{
	const dtrace_recdesc_t *r = &d->dtada_desc->dtagd_rec[d->dtada_desc->dtagd_nrecs - 1];
	u32 words = r->dtrd_size / 8;

	x->count = (const u64 *)(const void *)(d->dtada_data + r->dtrd_offset);
	x->n = words;
	x->normal = d->dtada_normal;
	switch (r->dtrd_action) {
	case DTRACEAGG_QUANTIZE: x->label = quantize_label; return words > 0;
	case DTRACEAGG_LQUANTIZE: x->label = lquantize_label; break;
	case DTRACEAGG_LLQUANTIZE:
		x->label = llquantize_label;
		if (words < 3 || x->agg->nthresholds < words - 2)
			return false;
		break;
	default: return false;
	}
	x->count++; /* behind the argument word */
	x->n--;
	return words > 1;
}

void dt_text_hist(dtrace_hdl_t *h, struct dt_str *out, const dtrace_aggdata_t *d)
{
	struct hist x = { .agg = dt_aggs_byid(h, d->dtada_desc->dtagd_varid),
			  .zoom = dt_opt(h, DT_OPT_AGGZOOM) > 0 };
	u32 first, last;

	if (!x.agg || !describe(&x, d))
		return;
	find_total(&x);
	find_range(&x, &first, &last);
	dt_str_printf(out, "\n%16s %41s %-9s\n", "value",
		      "------------- Distribution -------------", "count");
	for (u32 i = first; i <= last; i++)
		put_row(&x, out, i);
}
