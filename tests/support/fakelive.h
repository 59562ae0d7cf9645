/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fakelive.h - the loader's side of the consumer, in plain memory: rings that tests write like a
 * BPF program would, states, and descriptors of real maps where the test has made some.  For one .c
 * file of a program; it takes the place of engine/load/live.c there.
 */
#ifndef FAKELIVE_H
#define FAKELIVE_H

#include <stdlib.h>
#include <string.h>

#include "api/handle.h"

#define FAKE_CPUS 4
#define FAKE_MAPS 8

struct dt_live {
	int ncpus;
	u64 cap;
	u32 slack;
	u8 *rings[FAKE_CPUS], *states[FAKE_CPUS];
	size_t state_size;
	int fds[FAKE_MAPS];
	struct dt_spec_slot *slots; /* obj->nspec of them, and as many buffers of each CPU */
	u8 *specs;
};

struct dt_spec_slot *dt_live_spec_slot(struct dt_live *l, u32 slot);

struct dt_ring_hdr *dt_live_ring(struct dt_live *l, int cpu)
{
	return cpu < FAKE_CPUS ? (struct dt_ring_hdr *)(void *)l->rings[cpu] : NULL;
}

void *dt_live_state(struct dt_live *l, int cpu)
{
	return cpu < FAKE_CPUS ? l->states[cpu] : NULL;
}

u64 dt_live_ring_cap(struct dt_live *l)
{
	return l->cap;
}

int dt_live_ncpus(struct dt_live *l)
{
	return l->ncpus;
}

u64 dt_live_misses(struct dt_live *l)
{
	return 0;
}

int dt_live_map_fd(struct dt_live *l, u32 map)
{
	return map < FAKE_MAPS ? l->fds[map] : -1;
}

static size_t fake_spec_stride(const struct dt_live *l)
{
	return DT_RING_DATA + l->cap + l->slack;
}

static u32 fake_nspec; /* speculations of the handle that is open */

struct dt_spec_slot *dt_live_spec_slot(struct dt_live *l, u32 slot)
{
	return slot < fake_nspec ? &l->slots[slot] : NULL;
}

struct dt_ring_hdr *dt_live_spec(struct dt_live *l, u32 slot, int cpu)
{
	return (void *)(l->specs + (slot * FAKE_CPUS + (u32)cpu) * fake_spec_stride(l));
}

u64 dt_live_spec_cap(struct dt_live *l)
{
	return l->cap;
}

/* Let the handle have n speculations. */
static inline void fake_speculations(dtrace_hdl_t *h, u32 n)
{
	h->obj->nspec = fake_nspec = n;
	h->live->slots = calloc(n, sizeof(*h->live->slots));
	h->live->specs = calloc((size_t)n * FAKE_CPUS, fake_spec_stride(h->live));
}

/* A handle with nothing but options, probes and the fake. */
static dtrace_hdl_t *fake_open(int ncpus, u64 cap, u32 slack, size_t state_size)
{
	dtrace_hdl_t *h = calloc(1, sizeof(*h));
	struct dt_live *l = calloc(1, sizeof(*l));

	for (size_t i = 0; i < DT_NOPTS; i++)
		h->opts.val[i] = DTRACEOPT_UNSET;
	dt_probes_init(&h->probes, &h->err);
	h->target = h->saved_fd = -1;
	h->live = l;
	h->obj = calloc(1, sizeof(*h->obj));
	fake_nspec = 0;
	l->ncpus = ncpus;
	l->cap = cap;
	l->slack = slack;
	l->state_size = state_size;
	for (int i = 0; i < FAKE_MAPS; i++)
		l->fds[i] = -1;
	for (int i = 0; i < ncpus && i < FAKE_CPUS; i++) {
		l->rings[i] = cap ? calloc(1, DT_RING_DATA + cap + slack) : NULL;
		l->states[i] = state_size ? calloc(1, state_size) : NULL;
	}
	return h;
}

static void fake_close(dtrace_hdl_t *h)
{
	dt_consumer_free(h->consumer);
	dt_aggs_free(h->aggs);
	for (int i = 0; i < FAKE_CPUS; i++) {
		free(h->live->rings[i]);
		free(h->live->states[i]);
	}
	free(h->live->slots);
	free(h->live->specs);
	free(h->live);
	free(h->obj);
	dt_probes_fini(&h->probes);
	dt_ksyms_free(h->ksyms);
	dt_usyms_free(h->usyms);
	dt_str_fini(&h->buffered);
	free(h);
}

/* What a program does: claim, fill, commit.  False: no room.  flags 0 leaves the record claimed
 * only. */
static inline bool fake_put_to(dtrace_hdl_t *h, struct dt_ring_hdr *r, u32 epid, u32 probe, u64 ts,
			       const void *data, u32 size, u32 flags)
{
	u32 total = DT_REC_HDR + size;
	struct dt_rec_hdr *rec = (void *)((u8 *)r + DT_RING_DATA + (r->head & (h->live->cap - 1)));

	if (r->head + total - r->tail > h->live->cap) {
		r->drops++;
		return false;
	}
	r->head += total;
	if (!flags)
		return true;
	rec->epid = epid;
	rec->probe = probe;
	rec->ts = ts;
	if (size)
		memcpy(rec + 1, data, size);
	__atomic_store_n(&rec->size, total | flags, __ATOMIC_RELEASE);
	return true;
}

static inline bool fake_put(dtrace_hdl_t *h, int cpu, u32 epid, u32 probe, u64 ts, const void *data,
			    u32 size, u32 flags)
{
	return fake_put_to(h, dt_live_ring(h->live, cpu), epid, probe, ts, data, size, flags);
}

#endif
