/* SPDX-License-Identifier: Apache-2.0 */
/*
 * spec.c - committed speculations that the programs left to the consumer: records of several CPUs, or too many for
 * the principal buffer at that moment.  They are copied and the slot is freed at once; the records are shown at the
 * time of the commit, in the order they were made.
 */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "consume/consume.h"

#define WAITS \
	50 /* for clauses that are still writing, when tracing has stopped: so many times ... */
#define WAIT_US 20 /* ... this long */

void dt_bundle_free(struct dt_bundle *b)
{
	free(b->mem);
	free(b);
}

static u64 load(const u64 *p)
{
	return __atomic_load_n(p, __ATOMIC_SEQ_CST);
}

/* One CPU's buffer of a slot, when it has records of this generation. */
static const struct dt_ring_hdr *buffer(const struct dt_consumer *c, u32 slot, int cpu, u64 gen)
{
	const struct dt_ring_hdr *r = dt_live_spec(c->h->live, slot, cpu);

	return r && load(&r->gen) == gen ? r : NULL;
}

static bool is_quiet(const struct dt_consumer *c, u32 slot)
{
	for (int cpu = 0; cpu < c->ncpus; cpu++) {
		const struct dt_ring_hdr *r = dt_live_spec(c->h->live, slot, cpu);

		if (r && load(&r->writers))
			return false;
	}
	return true;
}

static bool wait_quiet(const struct dt_consumer *c, u32 slot, bool wait)
{
	int waits = wait ? WAITS : 0;

	while (!is_quiet(c, slot)) {
		if (!waits--)
			return false;
		usleep(WAIT_US);
	}
	return true;
}

/* Records in len bytes at p; what makes no sense ends them.  out NULL: count only. */
static u32 split(const struct dt_object *o, const u8 *p, u64 len, int cpu, struct dt_speced *out)
{
	u32 n = 0;

	for (u64 at = 0; len - at >= DT_REC_HDR;) {
		const struct dt_rec_hdr *rec = (const void *)(p + at);
		u32 size = DT_REC_SIZE(rec->size);

		if (size < DT_REC_HDR || size > len - at || !(rec->size & DT_REC_COMMIT))
			break;
		if (!rec->epid || rec->epid > o->nepids ||
		    size != DT_REC_HDR + o->epids[rec->epid - 1].size)
			break;
		if (!(rec->size & DT_REC_DISCARD)) {
			if (out)
				out[n] = (struct dt_speced){ rec, cpu };
			n++;
		}
		at += size;
	}
	return n;
}

static int by_time(const void *a, const void *b)
{
	const struct dt_speced *x = a, *y = b;

	if (x->rec->ts != y->rec->ts)
		return x->rec->ts < y->rec->ts ? -1 : 1;
	if (x->cpu != y->cpu)
		return x->cpu < y->cpu ? -1 : 1;
	return x->rec < y->rec ? -1 : x->rec > y->rec;
}

/* All CPUs' records of a slot: *out NULL when there are none. */
static int gather(const struct dt_consumer *c, u32 slot, u64 gen, struct dt_bundle **out)
{
	u64 cap = dt_live_spec_cap(c->h->live) + c->h->obj->max_record, total = 0, at = 0;
	const struct dt_object *o = c->h->obj;
	struct dt_bundle *b;
	u32 n = 0;
	u8 *mem;

	*out = NULL;
	for (int cpu = 0; cpu < c->ncpus; cpu++) {
		const struct dt_ring_hdr *r = buffer(c, slot, cpu, gen);

		if (r)
			total += DT_MIN(load(&r->head), cap);
	}
	if (!total)
		return 0;
	mem = malloc(total);
	if (!mem)
		return -1;
	/* copied before it is looked at: every count below is of the same bytes */
	u64 *len = calloc((size_t)c->ncpus, sizeof(*len));

	for (int cpu = 0; len && cpu < c->ncpus; cpu++) {
		const struct dt_ring_hdr *r = buffer(c, slot, cpu, gen);

		len[cpu] = r ? DT_MIN(DT_MIN(load(&r->head), cap), total - at) : 0;
		if (len[cpu])
			memcpy(mem + at, (const u8 *)r + DT_RING_DATA, len[cpu]);
		n += split(o, mem + at, len[cpu], cpu, NULL);
		at += len[cpu];
	}
	b = len ? calloc(1, sizeof(*b) + n * sizeof(b->recs[0])) : NULL;
	if (!b) {
		free(len);
		free(mem);
		return -1;
	}
	b->mem = mem;
	at = 0;
	for (int cpu = 0; cpu < c->ncpus; cpu++) {
		b->n += split(o, mem + at, len[cpu], cpu, b->recs + b->n);
		at += len[cpu];
	}
	free(len);
	qsort(b->recs, b->n, sizeof(b->recs[0]), by_time);
	*out = b;
	return 0;
}

static void insert(struct dt_consumer *c, struct dt_bundle *b)
{
	struct dt_bundle **at = &c->bundles;

	while (*at && (*at)->ts <= b->ts)
		at = &(*at)->next;
	b->next = *at;
	*at = b;
}

static int fetch(struct dt_consumer *c, u32 i, struct dt_spec_slot *slot, u64 word)
{
	struct dt_bundle *b;

	if (gather(c, i, word >> DT_SPEC_GEN_SHIFT, &b) < 0)
		return dt_set_errno(c->h, EDT_NOMEM);
	if (b) {
		b->ts = load(&slot->ts);
		insert(c, b);
	}
	__atomic_store_n(&slot->word, word >> DT_SPEC_GEN_SHIFT << DT_SPEC_GEN_SHIFT,
			 __ATOMIC_SEQ_CST);
	return 0;
}

int dt_spec_fetch(struct dt_consumer *c, bool wait)
{
	struct dt_spec_slot *slot;

	for (u32 i = 0; (slot = dt_live_spec_slot(c->h->live, i)); i++) {
		u64 word = load(&slot->word);

		if (DT_SPEC_STATE(word) != DT_SPEC_COMMITTED || !wait_quiet(c, i, wait))
			continue;
		if (fetch(c, i, slot, word) < 0)
			return -1;
	}
	return 0;
}

bool dt_spec_waiting(dtrace_hdl_t *h)
{
	struct dt_spec_slot *slot;

	for (u32 i = 0; (slot = dt_live_spec_slot(h->live, i)); i++)
		if (DT_SPEC_STATE(load(&slot->word)) == DT_SPEC_COMMITTED)
			return true;
	return false;
}
