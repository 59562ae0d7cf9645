/* SPDX-License-Identifier: Apache-2.0 */
/* test_slots.c - the table from hashes to numbers, beside a list of what is in it. */
#include "consume/consume.h"
#include "test.h"

#define MOST 4000u

static bool finds(const struct dt_slots *t, u32 hash, u32 ref)
{
	u32 at = hash, got;

	while ((got = dt_slots_next(t, hash, &at)))
		if (got == ref)
			return true;
	return false;
}

static u32 next_random(u32 *state)
{
	*state = *state * 1664525u + 1013904223u;
	return *state >> 8;
}

/* Few different hashes, many, or such that all begin at the end of the table. */
static void test_table(u32 mask, u32 base)
{
	struct dt_slots t = { 0 };
	static u32 hashes[MOST + 1];
	static bool in[MOST + 1];
	u32 state = 1, n = 0;

	memset(in, 0, sizeof(in));
	CHECK(!finds(&t, 0, 1));
	for (u32 step = 0; step < 40000; step++) {
		u32 ref = next_random(&state) % MOST + 1;

		if (in[ref]) {
			CHECK(finds(&t, hashes[ref], ref));
			CHECK_INT(dt_slots_at(&t, hashes[ref], ref)->hash, hashes[ref]);
			dt_slots_remove(&t, hashes[ref], ref);
			n--;
		} else {
			hashes[ref] = base + (next_random(&state) & mask);
			CHECK(!finds(&t, hashes[ref], ref));
			CHECK(dt_slots_reserve(&t));
			dt_slots_add(&t, hashes[ref], ref);
			n++;
		}
		in[ref] = !in[ref];
		CHECK_INT(t.n, n);
	}
	for (u32 ref = 1; ref <= MOST; ref++)
		CHECK_INT(in[ref] && finds(&t, hashes[ref], ref), in[ref]);
	dt_slots_clear(&t);
	CHECK_INT(t.n, 0);
	for (u32 ref = 1; ref <= MOST; ref++)
		CHECK(!finds(&t, hashes[ref], ref));
	dt_slots_fini(&t);
}

int main(void)
{
	test_table(0xffffff, 0);
	test_table(0x3f, 0);
	test_table(0x3f, 0xffffffe0);
	return test_status();
}
