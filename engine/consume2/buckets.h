/* SPDX-License-Identifier: Apache-2.0 */
/*
 * buckets.h - the numbering of distribution buckets, shared by code generation and the consumer.
 *
 *   quantize    127 buckets: 63 is zero, 64 + floor(log2 v) for v > 0, 62 - floor(log2 -v) for v < 0
 *   lquantize   0: v < base; 1 ... levels: steps from base; levels + 1: v >= base + levels * step
 *   llquantize  thresholds t[0] < ... < t[n-1] (t[0] = factor^low, t[n-1] = factor^(high+1)); with
 *               k = how many thresholds are <= |v|: bucket n + k for v >= 0, n - k for v < 0; 2n + 1 buckets
 */
#ifndef DT_BUCKETS_H
#define DT_BUCKETS_H

#include "base/base.h"
#include "dtrace.h"

static inline u32 dt_quantize_bucket(s64 v)
{
	if (v == 0)
		return DTRACE_QUANTIZE_ZEROBUCKET;
	if (v > 0)
		return DTRACE_QUANTIZE_ZEROBUCKET + 1 + (63 - (u32)__builtin_clzll((u64)v));
	u32 log = 63 - (u32)__builtin_clzll(-(u64)v);

	return log > DTRACE_QUANTIZE_ZEROBUCKET - 1 ? 0 : DTRACE_QUANTIZE_ZEROBUCKET - 1 - log;
}

static inline u32 dt_lquantize_levels(s64 base, s64 limit, s64 step)
{
	return (u32)((limit - base) / (step ? step : 1));
}

static inline u32 dt_lquantize_nbuckets(s64 base, s64 limit, s64 step)
{
	return dt_lquantize_levels(base, limit, step) + 2;
}

static inline u32 dt_lquantize_bucket(s64 v, s64 base, s64 limit, s64 step)
{
	u32 levels = dt_lquantize_levels(base, limit, step);

	if (v < base)
		return 0;
	u64 d = ((u64)v - (u64)base) / (u64)(step ? step : 1);

	return d >= levels ? levels + 1 : 1 + (u32)d;
}

/* Fills at most max thresholds (t may be NULL) and gives their number. Each order of magnitude is cut into
 * `steps` linear parts, of which those below the previous order's end are left out; orders that hold fewer
 * than `steps` integers are cut by ones. */
static inline u32 dt_llquantize_thresholds(s64 factor, s64 low, s64 high, s64 steps, u64 *t, u32 max)
{
	u64 order = 1; /* factor^m */
	u32 n = 0;

	for (s64 m = 0; m < low; m++)
		order *= (u64)factor;
	for (s64 m = low; m <= high; m++) {
		u64 next = order * (u64)factor, step = next > (u64)steps ? next / (u64)steps : 1;

		for (u64 v = order; v < next; v += step, n++)
			if (t && n < max)
				t[n] = v;
		order = next;
	}
	if (t && n < max)
		t[n] = order;
	return n + 1;
}

static inline u32 dt_llquantize_nbuckets(s64 factor, s64 low, s64 high, s64 steps)
{
	return 2 * dt_llquantize_thresholds(factor, low, high, steps, NULL, 0) + 1;
}

#endif
