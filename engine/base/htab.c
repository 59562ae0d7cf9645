/* SPDX-License-Identifier: Apache-2.0 */
/*
 * htab.c - names to pointers: open addressing with linear probing, a power of two of slots at most
 * three quarters full.  Nothing is ever removed; a replaced value keeps the first key.
 */
#include <stdlib.h>
#include <string.h>

#include "base/base.h"

/* Eight bytes at a time, one multiplication each: names are short and there are many of them. */
u32 dt_hash(const void *p, size_t n)
{
	const unsigned char *s = p;
	u64 h = 0x9e3779b97f4a7c15 ^ n, w;

	for (; n >= sizeof(w); n -= sizeof(w), s += sizeof(w)) {
		memcpy(&w, s, sizeof(w));
		h = (h ^ w) * 0xff51afd7ed558ccd;
		h ^= h >> 32;
	}
	if (n) {
		w = 0;
		memcpy(&w, s, n);
		h = (h ^ w) * 0xff51afd7ed558ccd;
		h ^= h >> 32;
	}
	h *= 0xc4ceb9fe1a85ec53;
	return (u32)(h >> 32);
}

void dt_htab_fini(struct dt_htab *t)
{
	free(t->ents);
	memset(t, 0, sizeof(*t));
}

/* The slot of key, or the free one where it would go.  There is always a free one. */
static struct dt_htab_ent *slot(const struct dt_htab *t, const char *key, u32 hash)
{
	u32 i = hash & (t->cap - 1);

	while (t->ents[i].key && (t->ents[i].hash != hash || strcmp(t->ents[i].key, key) != 0))
		i = (i + 1) & (t->cap - 1);
	return &t->ents[i];
}

void *dt_htab_get(const struct dt_htab *t, const char *key)
{
	if (!t->n)
		return NULL;
	return slot(t, key, dt_hash(key, strlen(key)))->val;
}

static int grow(struct dt_htab *t)
{
	struct dt_htab bigger = { .n = t->n, .cap = t->cap ? t->cap * 2 : 16 };
	u32 i;

	if (bigger.cap <= t->cap)
		return -1;
	bigger.ents = calloc(bigger.cap, sizeof(*bigger.ents));
	if (!bigger.ents)
		return -1;
	for (i = 0; i < t->cap; i++)
		if (t->ents[i].key)
			*slot(&bigger, t->ents[i].key, t->ents[i].hash) = t->ents[i];
	free(t->ents);
	*t = bigger;
	return 0;
}

int dt_htab_put(struct dt_htab *t, const char *key, void *val)
{
	u32 hash = dt_hash(key, strlen(key));
	struct dt_htab_ent *e;

	if (t->n >= t->cap / 4 * 3 && grow(t))
		return -1;
	e = slot(t, key, hash);
	if (!e->key) {
		e->key = key;
		e->hash = hash;
		t->n++;
	}
	e->val = val;
	return 0;
}
