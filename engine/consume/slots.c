/* SPDX-License-Identifier: Apache-2.0 */
/*
 * slots.c - a table from hashes to small numbers, by open addressing.
 *
 * With 100,000 keys it is memory that costs, not instructions: a look-up here touches one cache line, and what the
 * number stands for only when the whole hash fits.  Growing and emptying go through memory in order.
 */
#include <stdlib.h>
#include <string.h>

#include "consume/consume.h"

#define LEAST 64u
#define QUICKLY (1u << 16) /* up to here tables grow in larger steps */

static void put(struct dt_slots *t, struct dt_slot slot)
{
	u32 i = slot.hash;

	while (t->v[i & (t->size - 1)].ref)
		i++;
	t->v[i & (t->size - 1)] = slot;
}

bool dt_slots_reserve(struct dt_slots *t)
{
	struct dt_slots old = *t;
	u32 i;

	if (t->n < t->size / 4 * 3)
		return true;
	t->size = !old.size ? LEAST : old.size < QUICKLY ? old.size * 4 : old.size * 2;
	t->v = t->size > old.size ? calloc(t->size, sizeof(*t->v)) : NULL;
	if (!t->v) {
		*t = old;
		return false;
	}
	for (i = 0; i < old.size; i++)
		if (old.v[i].ref)
			put(t, old.v[i]);
	free(old.v);
	return true;
}

void dt_slots_add(struct dt_slots *t, u32 hash, u32 ref)
{
	put(t, (struct dt_slot){ hash, ref });
	t->n++;
}

struct dt_slot *dt_slots_at(const struct dt_slots *t, u32 hash, u32 ref)
{
	u32 i = hash;

	while (t->v[i & (t->size - 1)].ref != ref)
		i++;
	return &t->v[i & (t->size - 1)];
}

/* What follows moves up, unless it is at or before its own place then. */
void dt_slots_remove(struct dt_slots *t, u32 hash, u32 ref)
{
	u32 mask = t->size - 1, gap = (u32)(dt_slots_at(t, hash, ref) - t->v), i;

	for (i = (gap + 1) & mask; t->v[i].ref; i = (i + 1) & mask)
		if (((i - t->v[i].hash) & mask) >= ((i - gap) & mask)) {
			t->v[gap] = t->v[i];
			gap = i;
		}
	t->v[gap].ref = 0;
	t->n--;
}

void dt_slots_clear(struct dt_slots *t)
{
	if (t->v)
		memset(t->v, 0, (size_t)t->size * sizeof(*t->v));
	t->n = 0;
}

void dt_slots_fini(struct dt_slots *t)
{
	free(t->v);
	*t = (struct dt_slots){ 0 };
}
