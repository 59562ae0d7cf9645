/* SPDX-License-Identifier: Apache-2.0 */
/*
 * aggvalue.c - the arithmetic of aggregations: adding and subtracting words, and what users see of
 * them.
 */
#include <string.h>

#include "consume2/buckets.h"
#include "consume2/consume.h"

__extension__ typedef unsigned __int128 u128;
__extension__ typedef __int128 s128;

/* ---- words -------------------------------------------------------------------------------------
 * */

static u128 wide(const u64 *w)
{
	return (u128)w[1] << 64 | w[0];
}

static void set_wide(u64 *w, u128 v)
{
	w[0] = (u64)v;
	w[1] = (u64)(v >> 64);
}

static void merge(int func, u64 *to, const u64 *from)
{
	bool better = func == DTRACEAGG_MIN ? (s64)from[0] < (s64)to[0] : (s64)from[0] > (s64)to[0];

	if (from[1] && (!to[1] || better)) {
		to[0] = from[0];
		to[1] = 1;
	}
}

void dt_words_add(int func, u64 *to, const u64 *from, u32 n)
{
	switch (func) {
	case DTRACEAGG_MIN:
	case DTRACEAGG_MAX: merge(func, to, from); return;
	case DTRACEAGG_STDDEV:
		set_wide(to + 2, wide(to + 2) + wide(from + 2));
		n = 2;
		break;
	default: break;
	}
	for (u32 i = 0; i < n; i++)
		to[i] += from[i];
}

void dt_words_sub(int func, u64 *from, const u64 *what, u32 n)
{
	if (func == DTRACEAGG_MIN || func == DTRACEAGG_MAX)
		return;
	if (func == DTRACEAGG_STDDEV) {
		set_wide(from + 2, wide(from + 2) - wide(what + 2));
		n = 2;
	}
	for (u32 i = 0; i < n; i++)
		from[i] -= what[i];
}

bool dt_words_zero(const u64 *w, u32 n)
{
	for (u32 i = 0; i < n; i++)
		if (w[i])
			return false;
	return true;
}

void dt_cell_words(const struct dt_agg *a, const struct dt_aggcell *c, u64 out[4])
{
	u32 n = DT_MIN(a->ncellwords, 4u);

	memset(out, 0, 4 * sizeof(*out));
	if (c->gen == a->gen)
		memcpy(out, c->w, n * sizeof(*out));
	dt_words_sub(a->spec->func, out, c->w + a->ncellwords, n);
}

bool dt_row_unchanged(const struct dt_agg *a, const struct dt_aggrow *row)
{
	u64 w[4];

	for (const struct dt_aggcell *c = row->cells; c; c = c->next) {
		dt_cell_words(a, c, w);
		if (dt_agg_is_minmax(a) ? w[1] != 0 : !dt_words_zero(w, 4))
			return false;
	}
	return true;
}

/* ---- as shown ----------------------------------------------------------------------------------
 * */

static u64 argument_word(const struct dt_aggspec *s)
{
	if (s->func == DTRACEAGG_LQUANTIZE)
		return (u64)(u16)(s->param[2] ? s->param[2] : 1) << 48 |
		       (u64)(u16)(s->nbuckets - 2) << 32 | (u32)s->param[0];
	return (u64)(u16)s->param[0] << 48 | (u64)(u16)s->param[1] << 32 |
	       (u64)(u16)s->param[2] << 16 | (u16)s->param[3];
}

/* Where a bucket's count is among the shown words. llquantize is shown one-sided: everything below
 * the first threshold, negative or not, is its first row. */
static u32 shown_word(const struct dt_agg *a, u32 bucket)
{
	switch (a->spec->func) {
	case DTRACEAGG_LQUANTIZE: return 1 + bucket;
	case DTRACEAGG_LLQUANTIZE:
		return bucket <= a->nthresholds ? 1 : 1 + bucket - a->nthresholds;
	default: return bucket;
	}
}

static void show_dist(const struct dt_agg *a, const struct dt_aggrow *row, u64 *out, u32 nwords)
{
	u64 w[4];

	if (a->spec->func != DTRACEAGG_QUANTIZE)
		out[0] = argument_word(a->spec);
	for (const struct dt_aggcell *c = row ? row->cells : NULL; c; c = c->next) {
		u32 at = shown_word(a, c->bucket);

		dt_cell_words(a, c, w);
		if (at < nwords)
			out[at] += w[0];
	}
}

void dt_row_show(const struct dt_agg *a, const struct dt_aggrow *row, char *out)
{
	const dtrace_recdesc_t *r = &a->spec->desc.dtagd_rec[a->spec->desc.dtagd_nrecs - 1];
	u64 id = (u64)a->spec->varid, w[4] = { 0 };
	u64 *value = (u64 *)(void *)(out + r->dtrd_offset);

	memcpy(out, &id, sizeof(id));
	if (row)
		memcpy(out + 8, row->key, a->keybytes);
	memset(value, 0, r->dtrd_size);
	if (a->dist) {
		show_dist(a, row, value, r->dtrd_size / 8);
		return;
	}
	if (row && row->cells)
		dt_cell_words(a, row->cells, w);
	if (dt_agg_is_minmax(a) && !w[1])
		w[0] = 0;
	memcpy(value, w, DT_MIN(r->dtrd_size, (u32)sizeof(w)));
}

/* ---- numbers -----------------------------------------------------------------------------------
 * */

s64 dt_value_quotient(u64 word, u64 normal, bool is_signed)
{
	if (normal <= 1)
		return (s64)word;
	if (!is_signed)
		return (s64)(word / normal);
	return (s64)((s128)(s64)word / (s128)normal);
}

s64 dt_value_avg(const u64 *w, u64 normal)
{
	s64 sum = dt_value_quotient(w[1], normal, true);

	return w[0] ? (s64)((s128)sum / (s128)w[0]) : 0;
}

static u64 square_root(u128 n)
{
	u64 root = 0;

	for (int bit = 63; bit >= 0; bit--) {
		u64 next = root | UINT64_C(1) << bit;

		if ((u128)next * next <= n)
			root = next;
	}
	return root;
}

/* The root of the mean of squares less the square of the mean, all in integers. */
u64 dt_value_stddev(const u64 *w, u64 normal)
{
	s64 mean = dt_value_avg(w, normal);
	u64 size = mean < 0 ? -(u64)mean : (u64)mean;
	u128 squares, of_mean = (u128)size * size;

	if (!w[0])
		return 0;
	squares = wide(w + 2) / DT_MAX(normal, 1u) / DT_MAX(normal, 1u) / w[0];
	return squares > of_mean ? square_root(squares - of_mean) : 0;
}

/* ---- weight: what rows are sorted by -----------------------------------------------------------
 * */

static s64 quantize_value(const struct dt_agg *a, u32 b)
{
	return DTRACE_QUANTIZE_BUCKETVAL((int)b);
}

static s64 lquantize_value(const struct dt_agg *a, u32 b)
{
	s64 step = a->spec->param[2] ? a->spec->param[2] : 1;

	return b == 0 ? a->spec->param[0] - 1 : a->spec->param[0] + ((s64)b - 1) * step;
}

static s64 llquantize_value(const struct dt_agg *a, u32 b)
{
	u32 n = a->nthresholds;

	if (b == n)
		return 0;
	return b > n ? (s64)a->thresholds[DT_MIN(b - n, n) - 1] : -(s64)a->thresholds[n - b - 1];
}

static struct dt_weight dist_weight(const struct dt_agg *a, const struct dt_aggrow *row)
{
	s64 (*value)(const struct dt_agg *, u32) =
		a->spec->func == DTRACEAGG_QUANTIZE  ? quantize_value :
		a->spec->func == DTRACEAGG_LQUANTIZE ? lquantize_value :
						       llquantize_value;
	struct dt_weight sum = { 0 };
	u64 w[4];

	for (const struct dt_aggcell *c = row->cells; c; c = c->next) {
		s64 at = value(a, c->bucket);

		dt_cell_words(a, c, w);
		sum.v += (long double)at * (long double)(s64)w[0];
		if (at == 0)
			sum.zero += (s64)w[0];
	}
	return sum;
}

struct dt_weight dt_row_weight(const struct dt_agg *a, const struct dt_aggrow *row)
{
	struct dt_weight r = { 0 };
	u64 w[4] = { 0 };

	if (!row)
		return r;
	if (a->dist)
		return dist_weight(a, row);
	if (row->cells)
		dt_cell_words(a, row->cells, w);
	switch (a->spec->func) {
	case DTRACEAGG_COUNT: r.v = (long double)w[0]; break;
	case DTRACEAGG_AVG: r.v = (long double)dt_value_avg(w, 1); break;
	case DTRACEAGG_STDDEV: r.v = (long double)dt_value_stddev(w, 1); break;
	case DTRACEAGG_MIN:
	case DTRACEAGG_MAX: r.v = w[1] ? (long double)(s64)w[0] : 0; break;
	default: r.v = (long double)(s64)w[0];
	}
	return r;
}
