/* SPDX-License-Identifier: Apache-2.0 */
/* test_buckets.c - which bucket of a distribution a value falls into. */
#include "consume/buckets.h"
#include "test.h"

static void test_quantize(void)
{
	static const s64 edges[] = { 1, 2, 3, 4, 5, 7, 8, 31, 32, 1000000, INT64_MAX };

	CHECK_INT(dt_quantize_bucket(0), 63);
	for (size_t i = 0; i < sizeof(edges) / sizeof(edges[0]); i++) {
		s64 v = edges[i];
		u32 up = dt_quantize_bucket(v), down = dt_quantize_bucket(-v);

		CHECK(DTRACE_QUANTIZE_BUCKETVAL((int)up) <= v);
		CHECK(up == 126 || DTRACE_QUANTIZE_BUCKETVAL((int)up + 1) > v);
		CHECK(DTRACE_QUANTIZE_BUCKETVAL((int)down) >= -v);
		CHECK(down == 0 || DTRACE_QUANTIZE_BUCKETVAL((int)down - 1) < -v);
	}
	CHECK_INT(dt_quantize_bucket(-32), dt_quantize_bucket(-63));
	CHECK_INT(dt_quantize_bucket(-31), dt_quantize_bucket(-16));
	CHECK_INT(dt_quantize_bucket(INT64_MIN), 0);
	CHECK_INT(dt_quantize_bucket(INT64_MAX), 126);
}

static void test_lquantize(void)
{
	CHECK_INT(dt_lquantize_nbuckets(3, 7, 3), 3);
	CHECK_INT(dt_lquantize_bucket(2, 3, 7, 3), 0);
	CHECK_INT(dt_lquantize_bucket(3, 3, 7, 3), 1);
	CHECK_INT(dt_lquantize_bucket(5, 3, 7, 3), 1);
	CHECK_INT(dt_lquantize_bucket(6, 3, 7, 3), 2); /* the dropped tail */
	CHECK_INT(dt_lquantize_bucket(8, 3, 7, 3), 2);
	CHECK_INT(dt_lquantize_bucket(INT64_MIN, -10, 10, 1), 0);
	CHECK_INT(dt_lquantize_bucket(INT64_MAX, -10, 10, 1), 21);
	CHECK_INT(dt_lquantize_bucket(-10, -10, 10, 1), 1);
	CHECK_INT(dt_lquantize_bucket(9, -10, 10, 1), 20);
}

/* The bucket by the definition: which thresholds are not above the magnitude. */
static u32 llq(s64 v, s64 factor, s64 low, s64 high, s64 steps)
{
	u64 t[256], mag = v < 0 ? -(u64)v : (u64)v;
	u32 n = dt_llquantize_thresholds(factor, low, high, steps, t, 256), k = 0;

	while (k < n && t[k] <= mag)
		k++;
	return v < 0 ? n - k : n + k;
}

static void test_llquantize(void)
{
	u64 t[256];
	u32 n = dt_llquantize_thresholds(10, 0, 1, 20, t, 256);

	CHECK_INT(n, 28); /* 1..9, 10, 15 ... 95, 100 */
	CHECK_INT(t[0], 1);
	CHECK_INT(t[8], 9);
	CHECK_INT(t[9], 10);
	CHECK_INT(t[10], 15);
	CHECK_INT(t[26], 95);
	CHECK_INT(t[27], 100);
	CHECK_INT(dt_llquantize_nbuckets(10, 0, 1, 20), 57);
	CHECK_INT(llq(0, 10, 0, 1, 20), 28);
	CHECK_INT(llq(14, 10, 0, 1, 20), 28 + 10);
	CHECK_INT(llq(-14, 10, 0, 1, 20), 28 - 10);
	CHECK_INT(llq(100, 10, 0, 1, 20), 56);
	CHECK_INT(llq(INT64_MIN, 10, 0, 1, 20), 0);
	n = dt_llquantize_thresholds(10, 2, 3, 10, t, 256);
	CHECK_INT(n, 19); /* 100 ... 900, 1000 ... 9000, 10000 */
	CHECK_INT(t[0], 100);
	CHECK_INT(t[8], 900);
	CHECK_INT(t[9], 1000);
	CHECK_INT(t[18], 10000);
	for (u32 i = 1; i < n; i++)
		CHECK(t[i] > t[i - 1]);
}

int main(void)
{
	test_quantize();
	test_lquantize();
	test_llquantize();
	return test_status();
}
