/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ring.c - the reader's side of the principal buffer; record.h tells the protocol.
 *
 * A pass sees what was claimed when it began.  Room is given back in bulk: everything read is
 * zeroed (so that a claimed record starts with a zero word), then tail moves.
 */
#include <string.h>

#include "consume/consume.h"

bool dt_cursor_begin(struct dt_cursor *c)
{
	if (!c->ring)
		return false;
	c->head = __atomic_load_n(&c->ring->head, __ATOMIC_ACQUIRE);
	return c->head != c->pos;
}

static struct dt_rec_hdr *record_at(const struct dt_cursor *c)
{
	return (struct dt_rec_hdr *)(void *)(c->data + (c->pos & (c->cap - 1)));
}

static bool makes_sense(const struct dt_cursor *c, u32 size, u32 max)
{
	return size >= DT_REC_HDR && size % 8 == 0 && size <= max && size <= c->head - c->pos;
}

enum dt_peek dt_cursor_peek(struct dt_cursor *c, u32 max, struct dt_rec_hdr **rec)
{
	while (c->pos != c->head) {
		struct dt_rec_hdr *r = record_at(c);
		u32 word;

		if (c->head - c->pos > c->cap)
			return DT_PEEK_CORRUPT;
		word = __atomic_load_n(&r->size, __ATOMIC_ACQUIRE);
		if (!word) /* claimed, not yet written */
			return DT_PEEK_NONE;
		if (!(word & DT_REC_COMMIT) || !makes_sense(c, DT_REC_SIZE(word), max))
			return DT_PEEK_CORRUPT;
		if (!(word & DT_REC_DISCARD)) {
			c->ts = r->ts;
			*rec = r;
			return DT_PEEK_RECORD;
		}
		dt_cursor_step(c, DT_REC_SIZE(word));
	}
	return DT_PEEK_NONE;
}

/* From at on, does one record follow the other up to head? */
static bool leads_to_head(const struct dt_cursor *c, u64 at, u32 max)
{
	while (at != c->head) {
		const struct dt_rec_hdr *r = (const void *)(c->data + (at & (c->cap - 1)));
		u32 word = __atomic_load_n(&r->size, __ATOMIC_ACQUIRE), size = DT_REC_SIZE(word);

		if (r->arg != (u32)(at >> 3))
			return false;
		if (!word) /* cut off in the middle of it */
			return true;
		if (!(word & DT_REC_COMMIT) || size < DT_REC_HDR || size % 8 || size > max ||
		    size > c->head - at)
			return false;
		at += size;
	}
	return true;
}

void dt_cursor_find_oldest(struct dt_cursor *c, u32 max)
{
	u64 at;

	if (c->head - c->pos <= c->cap)
		return;
	/* a record that the newest one does not reach */
	for (at = c->head - c->cap; at < c->head && !leads_to_head(c, at, max); at += 8)
		;
	c->pos = c->done = at;
	c->inner = 0;
}

void dt_cursor_step(struct dt_cursor *c, u32 size)
{
	c->pos += size;
	if (c->pos - c->done >= c->cap / 4)
		dt_cursor_publish(c);
}

void dt_cursor_publish(struct dt_cursor *c)
{
	u64 from = c->done & (c->cap - 1), n = c->pos - c->done, first = DT_MIN(n, c->cap - from);

	if (!n)
		return;
	memset(c->data + from, 0, first);
	memset(c->data, 0, n - first);
	/* the record that crossed the end lies in the slack: what it held must not show up in
	 * the next lap's */
	memset(c->data + c->cap, 0, DT_MIN(n - first, (u64)c->slack));
	c->done = c->pos;
	__atomic_store_n(&c->ring->tail, c->pos, __ATOMIC_RELEASE);
}

void dt_cursor_resync(struct dt_cursor *c)
{
	memset(c->data, 0, c->cap + c->slack);
	c->pos = c->done = c->head;
	c->inner = 0;
	__atomic_store_n(&c->ring->tail, c->pos, __ATOMIC_RELEASE);
}

/* ---- merging --------------------------------------------------------------------------------- */

static bool before(const struct dt_cursor *a, const struct dt_cursor *b)
{
	return a->ts < b->ts || (a->ts == b->ts && a->cpu < b->cpu);
}

static void swap(struct dt_merge *m, u32 i, u32 j)
{
	struct dt_cursor *c = m->v[i];

	m->v[i] = m->v[j];
	m->v[j] = c;
}

void dt_merge_push(struct dt_merge *m, struct dt_cursor *c)
{
	u32 i = m->n++;

	m->v[i] = c;
	for (; i && before(m->v[i], m->v[(i - 1) / 2]); i = (i - 1) / 2)
		swap(m, i, (i - 1) / 2);
}

void dt_merge_fix_top(struct dt_merge *m)
{
	u32 i = 0, best;

	for (;; i = best) {
		u32 l = 2 * i + 1, r = l + 1;

		best = i;
		if (l < m->n && before(m->v[l], m->v[best]))
			best = l;
		if (r < m->n && before(m->v[r], m->v[best]))
			best = r;
		if (best == i)
			return;
		swap(m, i, best);
	}
}

void dt_merge_pop(struct dt_merge *m)
{
	m->v[0] = m->v[--m->n];
	dt_merge_fix_top(m);
}
