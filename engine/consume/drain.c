/* SPDX-License-Identifier: Apache-2.0 */
/*
 * drain.c - one pass over all rings: records in order of time, each to the probe callback, then
 * datum by datum to the record callback or to the printer, then NULL for the end of the firing.
 *
 * Callbacks see the ring's own memory when the record is laid out as it is shown; otherwise it is
 * laid out in the consumer's scratch.  BEGIN comes first and END last because time says so; without
 * timestamps (temporal off) their rings are read first and last.
 */
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "consume/consume.h"

#define FINAL_ROUNDS 8
#define FINAL_WAITS 50   /* a program cut off in the middle of a record gets this many times ... */
#define FINAL_WAIT_US 20 /* ... this long to finish it */

struct pass {
	dtrace_hdl_t *h;
	struct dt_consumer *c;
	FILE *fp;
	dtrace_consume_probe_f *pf;
	dtrace_consume_rec_f *rf;
	void *arg;
	bool final, temporal, flow;
	bool overwritten; /* policy ring */
	u64 until;        /* newer records wait for the next pass */
	u32 max;          /* largest possible record */
	dtrace_probedata_t pd;
};

/* ---- life ------------------------------------------------------------------------------------ */

static void init_cursor(struct dt_consumer *c, int cpu)
{
	struct dt_cursor *cur = &c->cursors[cpu];
	struct dt_ring_hdr *ring = dt_live_ring(c->h->live, cpu);

	cur->cpu = cpu;
	cur->ring = ring;
	if (!ring)
		return;
	cur->data = (u8 *)ring + DT_RING_DATA;
	cur->cap = dt_live_ring_cap(c->h->live);
	cur->slack = c->h->obj->ring_slack;
	cur->pos = cur->done = ring->tail;
}

/* Layouts come from the generator, but everything here relies on them: look once, not at each
 * record. */
static int check_layouts(dtrace_hdl_t *h, struct dt_consumer *c)
{
	const struct dt_object *o = h->obj;

	for (u32 i = 0; i < o->nepids; i++) {
		const struct dt_epid *e = &o->epids[i];

		for (int k = 0; k < e->desc.dtepd_nrecs; k++) {
			const dtrace_recdesc_t *r = &e->desc.dtepd_rec[k];
			const struct dt_datum *d = (const struct dt_datum *)(uintptr_t)r->dtrd_uarg;

			if (r->dtrd_size > e->shown_size ||
			    r->dtrd_offset > e->shown_size - r->dtrd_size)
				return dt_set_errno(h, EDT_DOFFSET);
			if (d && (d->size > e->size || d->off > e->size - d->size))
				return dt_set_errno(h, EDT_DOFFSET);
			if (d && dt_kind_has_pid(d->kind))
				c->has_pid[i] = true;
			if (d && d->unwind)
				dt_usyms_unwind_on(h->usyms);
		}
	}
	return 0;
}

static u32 largest_shown(const struct dt_object *o)
{
	u32 max = 8;

	for (u32 i = 0; i < o->nepids; i++)
		max = DT_MAX(max, o->epids[i].shown_size);
	return max;
}

struct dt_consumer *dt_consumer_new(dtrace_hdl_t *h)
{
	struct dt_consumer *c = calloc(1, sizeof(*c));
	size_t n;

	if (!c)
		return dt_fail_null(&h->err, EDT_NOMEM, "%s", "");
	c->h = h;
	c->ncpus = dt_live_ncpus(h->live);
	n = (size_t)DT_MAX(c->ncpus, 1);
	c->cursors = calloc(n, sizeof(*c->cursors));
	c->merge.v = calloc(n, sizeof(struct dt_cursor *));
	c->told = calloc(n, sizeof(*c->told));
	c->shown = calloc(1, largest_shown(h->obj));
	c->has_pid = calloc(h->obj->nepids + 1, sizeof(*c->has_pid));
	if (!c->cursors || !c->merge.v || !c->told || !c->shown || !c->has_pid) {
		dt_set_errno(h, EDT_NOMEM);
		dt_consumer_free(c);
		return NULL;
	}
	if (check_layouts(h, c) < 0) {
		dt_consumer_free(c);
		return NULL;
	}
	for (int cpu = 0; cpu < c->ncpus; cpu++)
		init_cursor(c, cpu);
	return c;
}

void dt_consumer_free(struct dt_consumer *c)
{
	if (!c)
		return;
	for (u32 i = 0; i < c->npdescs; i++)
		free(c->pdescs[i]);
	free(c->pdescs);
	while (c->bundles) {
		struct dt_bundle *b = c->bundles;

		c->bundles = b->next;
		dt_bundle_free(b);
	}
	free(c->cursors);
	free(c->merge.v);
	free(c->told);
	free(c->shown);
	free(c->has_pid);
	dt_str_fini(&c->text);
	free(c->pythons);
	free(c);
}

/* ---- probe descriptions, made when first seen ------------------------------------------------ */

#define PDESC_MAX (1u << 22) /* ids beyond this are not kept: no object has that many probes */

static bool pdescs_reach(struct dt_consumer *c, u32 id)
{
	u32 n = DT_MAX(64u, c->npdescs);
	dtrace_probedesc_t **v;

	if (id < c->npdescs)
		return true;
	while (n <= id)
		n *= 2;
	v = realloc(c->pdescs, n * sizeof(*v));
	if (!v)
		return false;
	memset(v + c->npdescs, 0, (n - c->npdescs) * sizeof(*v));
	c->pdescs = v;
	c->npdescs = n;
	return true;
}

dtrace_probedesc_t *dt_consumer_pdesc(struct dt_consumer *c, u32 id)
{
	struct dt_probe *p;
	dtrace_probedesc_t *d;

	if (id >= PDESC_MAX)
		id = 0;
	if (id < c->npdescs && c->pdescs[id])
		return c->pdescs[id];
	p = id ? dt_probes_byid(&c->h->probes, id) : NULL;
	if (!p && id)
		return dt_consumer_pdesc(c, 0);
	d = pdescs_reach(c, id) ? calloc(1, sizeof(*d)) : NULL;
	if (!d) {
		dt_set_errno(c->h, EDT_NOMEM);
		return NULL;
	}
	if (p)
		dt_probe_desc(p, d);
	return c->pdescs[id] = d;
}

/* ---- laying out ------------------------------------------------------------------------------ */

static const char *probe_text(const dtrace_probedesc_t *p, enum dt_datakind kind)
{
	switch (kind) {
	case DT_D_PROBEPROV: return p->dtpd_provider;
	case DT_D_PROBEMOD: return p->dtpd_mod;
	case DT_D_PROBEFUNC: return p->dtpd_func;
	default: return p->dtpd_name;
	}
}

static void lay_out(const struct pass *p, const struct dt_epid *e, const char *payload)
{
	for (int i = 0; i < e->desc.dtepd_nrecs; i++) {
		const dtrace_recdesc_t *r = &e->desc.dtepd_rec[i];
		const struct dt_datum *d = (const struct dt_datum *)(uintptr_t)r->dtrd_uarg;
		char *to = p->c->shown + r->dtrd_offset;

		if (!d || !r->dtrd_size)
			continue;
		if (d->kind >= DT_D_PROBEPROV)
			snprintf(to, r->dtrd_size, "%s", probe_text(p->pd.dtpda_pdesc, d->kind));
		else if (d->kind == DT_D_USTACK)
			p->c->stkstr += !dt_show_ustack(p->h, d, payload + d->off, to, r->dtrd_size);
		else
			memcpy(to, payload + d->off, DT_MIN(d->size, r->dtrd_size));
	}
}

/* ---- one record ------------------------------------------------------------------------------ */

static void learn_pids(struct pass *p, const struct dt_epid *e)
{
	for (int i = 0; i < e->desc.dtepd_nrecs; i++) {
		struct dt_item it = dt_item_of(&e->desc.dtepd_rec[i], p->pd.dtpda_data);

		dt_learn(p->h, &p->c->learnt, &it);
	}
}

/* How many records belong together: a format's arguments, a tracemem() and its size. */
static int span(const dtrace_recdesc_t *rec, int n)
{
	const struct dt_fmt *f = rec->dtrd_format;

	switch (rec->dtrd_action) {
	case DTRACEACT_PRINTF:
	case DTRACEACT_SYSTEM:
	case DTRACEACT_FREOPEN: return f ? (int)DT_MIN(DT_MAX(f->nargs, 1u), (u32)n) : 1;
	case DTRACEACT_TRACEMEM:
		return n > 1 && rec[1].dtrd_action == DTRACEACT_TRACEMEM_DYNSIZE ? 2 : 1;
	default: return 1;
	}
}

static int print(struct pass *p, const dtrace_recdesc_t *rec, int n)
{
	if (dt_print_record(p->h, p->fp, &p->pd, rec, n) < 0)
		return -1;
	return p->fp ? 0 : dt_buffered_flush(p->h, &p->pd, rec, NULL, 0);
}

/* Gives how many records were dealt with, -1 to stop. */
static int give_record(struct pass *p, const dtrace_recdesc_t *rec, int n)
{
	int used = span(rec, n);

	if (rec->dtrd_action == DTRACEACT_LIBACT) {
		used = dt_libact(p->h, p->fp, &p->pd, rec, n);
		p->flow = dt_opt(p->h, DT_OPT_FLOWINDENT) != 0; /* setopt() */
		return used;
	}
	if (rec->dtrd_action == DTRACEACT_PRINTA && dt_consumer_freshen(p->h) < 0)
		return -1;
	switch (p->rf(&p->pd, rec, p->arg)) {
	case DTRACE_CONSUME_THIS: return print(p, rec, used) < 0 ? -1 : used;
	case DTRACE_CONSUME_NEXT: return used;
	case DTRACE_CONSUME_ABORT: return dt_set_errno(p->h, EDT_DIRABORT);
	default: return dt_set_errno(p->h, EDT_BADRVAL);
	}
}

static int give_records(struct pass *p, const struct dt_epid *e)
{
	const dtrace_recdesc_t *rec = e->desc.dtepd_rec;
	int n = e->desc.dtepd_nrecs, used, i;

	for (i = 0; i < n; i += used) {
		used = give_record(p, &rec[i], n - i);
		if (used < 0)
			return -1;
	}
	p->rf(&p->pd, NULL, p->arg);
	return 0;
}

/* The record behind rec, for flow: only when it is there already. */
static const struct dt_rec_hdr *next_record(const struct dt_cursor *c, u32 size)
{
	u64 at = c->pos + size;
	const struct dt_rec_hdr *r = (const void *)(c->data + (at & (c->cap - 1)));

	if (c->head - at < DT_REC_HDR || c->head - at > c->cap)
		return NULL;
	return __atomic_load_n(&r->size, __ATOMIC_ACQUIRE) & DT_REC_COMMIT ? r : NULL;
}

static int fire(struct pass *p, struct dt_cursor *c, const struct dt_epid *e,
		const struct dt_rec_hdr *rec, const struct dt_rec_hdr *next)
{
	dtrace_probedata_t *pd = &p->pd;
	int rv;

	pd->dtpda_edesc = (dtrace_eprobedesc_t *)(uintptr_t)&e->desc;
	pd->dtpda_edesc->dtepd_probeid = rec->probe;
	pd->dtpda_pdesc = dt_consumer_pdesc(p->c, rec->probe);
	pd->dtpda_cpu = c->cpu;
	pd->dtpda_timestamp = p->temporal ? rec->ts : 0;
	pd->dtpda_data = (char *)(uintptr_t)(rec + 1);
	if (!pd->dtpda_pdesc)
		return -1;
	if (!e->direct) {
		lay_out(p, e, pd->dtpda_data);
		pd->dtpda_data = p->c->shown;
	}
	if (p->c->has_pid[e->epid - 1])
		learn_pids(p, e);
	if (p->flow)
		dt_flow_before(c, pd, e->epid, next);
	rv = p->pf(pd, p->arg);
	if (p->flow)
		dt_flow_after(c, pd, e->epid);
	switch (rv) {
	case DTRACE_CONSUME_THIS: return give_records(p, e);
	case DTRACE_CONSUME_NEXT: return 0;
	case DTRACE_CONSUME_ABORT: return dt_set_errno(p->h, EDT_DIRABORT);
	default: return dt_set_errno(p->h, EDT_BADRVAL);
	}
}

static int corrupt(struct pass *p, struct dt_cursor *c)
{
	dt_cursor_resync(c);
	return dt_fail(&p->h->err, EDT_DSIZE,
		       "the principal buffer of CPU %d makes no sense: its records "
		       "are lost",
		       c->cpu);
}

/* Does a record make sense?  Bundles are looked into later. */
static bool is_known(const struct pass *p, const struct dt_rec_hdr *rec)
{
	const struct dt_object *o = p->h->obj;
	u32 size = DT_REC_SIZE(rec->size), epid = rec->epid;

	if (epid == DT_EPID_BUNDLE)
		return true;
	if (epid > o->nepids)
		return false;
	return size == DT_REC_HDR + (epid ? o->epids[epid - 1].size : sizeof(struct dt_rec_fault));
}

static int deal_with(struct pass *p, struct dt_cursor *c, const struct dt_rec_hdr *rec,
		     const struct dt_rec_hdr *next)
{
	const struct dt_epid *e;

	if (!rec->epid)
		return dt_fault_record(p->c, c->cpu, rec);
	e = &p->h->obj->epids[rec->epid - 1];
	return e->quiet ? 0 : fire(p, c, e, rec, next);
}

/* The next record of the bundle at c's position. */
static int take_inner(struct pass *p, struct dt_cursor *c, const struct dt_rec_hdr *bundle)
{
	u32 left = DT_REC_SIZE(bundle->size) - DT_REC_HDR - c->inner, size;
	const struct dt_rec_hdr *rec = (const void *)((const u8 *)(bundle + 1) + c->inner);
	int err = 0;

	if (left < DT_REC_HDR)
		return corrupt(p, c);
	size = DT_REC_SIZE(rec->size);
	if (size < DT_REC_HDR || size > left || rec->epid == DT_EPID_BUNDLE || !is_known(p, rec))
		return corrupt(p, c);
	if (!(rec->size & DT_REC_DISCARD))
		err = deal_with(p, c, rec, NULL);
	c->inner += size;
	if (size == left) {
		c->inner = 0;
		dt_cursor_step(c, DT_REC_SIZE(bundle->size));
	}
	return err;
}

/* One record from c, whatever it is. */
static int take(struct pass *p, struct dt_cursor *c, struct dt_rec_hdr *rec)
{
	u32 size = DT_REC_SIZE(rec->size);
	int err;

	if (!is_known(p, rec))
		return corrupt(p, c);
	if (rec->epid == DT_EPID_BUNDLE)
		return take_inner(p, c, rec);
	err = deal_with(p, c, rec, next_record(c, size));
	dt_cursor_step(c, size);
	return err;
}

/* Speculations that were committed before ts. */
static int take_bundles(struct pass *p, u64 ts)
{
	struct dt_bundle *b;

	while ((b = p->c->bundles) && b->ts <= ts) {
		while (b->at < b->n) {
			const struct dt_speced *s = &b->recs[b->at++];

			if (deal_with(p, &p->c->cursors[s->cpu], s->rec, NULL) < 0)
				return -1;
		}
		p->c->bundles = b->next;
		dt_bundle_free(b);
	}
	return 0;
}

/* ---- passes ---------------------------------------------------------------------------------- */

/* The next record of c for this pass: 1 and *rec, 0 for none, -1. */
static int peek(struct pass *p, struct dt_cursor *c, struct dt_rec_hdr **rec)
{
	int waits = p->final ? FINAL_WAITS : 0;

	for (;;) {
		switch (dt_cursor_peek(c, p->max, rec)) {
		case DT_PEEK_RECORD: return !p->temporal || (*rec)->ts <= p->until;
		case DT_PEEK_CORRUPT: return corrupt(p, c);
		default: break;
		}
		if (c->pos == c->head || !waits--)
			return 0;
		usleep(FINAL_WAIT_US);
	}
}

static bool begin(const struct pass *p, struct dt_cursor *c)
{
	if (!dt_cursor_begin(c))
		return false;
	if (p->overwritten)
		dt_cursor_find_oldest(c, p->max);
	return c->pos != c->head;
}

static int drain_one(struct pass *p, struct dt_cursor *c)
{
	struct dt_rec_hdr *rec;
	int more;

	while ((more = peek(p, c, &rec)) > 0)
		if (take(p, c, rec) < 0)
			return -1;
	return more;
}

static int drain_merged(struct pass *p)
{
	struct dt_merge *m = &p->c->merge;
	struct dt_rec_hdr *rec;
	int more;

	m->n = 0;
	for (int cpu = 0; cpu < p->c->ncpus; cpu++) {
		struct dt_cursor *c = &p->c->cursors[cpu];

		if (!begin(p, c))
			continue;
		more = peek(p, c, &rec);
		if (more < 0)
			return -1;
		if (more)
			dt_merge_push(m, c);
	}
	while (m->n) {
		struct dt_cursor *c = m->v[0];

		if (take_bundles(p, c->ts) < 0)
			return -1;
		if (dt_cursor_peek(c, p->max, &rec) != DT_PEEK_RECORD || take(p, c, rec) < 0)
			return -1;
		more = peek(p, c, &rec);
		if (more < 0)
			return -1;
		if (more)
			dt_merge_fix_top(m);
		else
			dt_merge_pop(m);
	}
	return take_bundles(p, p->until);
}

static bool is_pseudo(const struct pass *p, u32 probe, const char *name)
{
	const struct dt_probe *pr = probe ? dt_probes_byid(&p->h->probes, probe) : NULL;

	return pr && !strcmp(pr->name, name) && !strcmp(pr->provider, "dtrace");
}

/* Does a record of that pseudo-probe wait in the ring?  Looks at the first one, or at all. */
static bool holds(const struct pass *p, const struct dt_cursor *from, const char *name, bool all)
{
	struct dt_cursor c = *from;
	struct dt_rec_hdr *rec;

	while (c.pos != c.head && c.head - c.pos <= c.cap) {
		u32 word;

		rec = (struct dt_rec_hdr *)(void *)(c.data + (c.pos & (c.cap - 1)));
		word = __atomic_load_n(&rec->size, __ATOMIC_ACQUIRE);
		if (DT_REC_SIZE(word) < DT_REC_HDR)
			return false;
		if (!(word & DT_REC_DISCARD) && is_pseudo(p, rec->probe, name))
			return true;
		if (!all)
			return false;
		c.pos += DT_REC_SIZE(word);
	}
	return false;
}

static int drain_by_cpu(struct pass *p)
{
	struct dt_consumer *c = p->c;
	int first = -1, last = -1, cpu;

	for (cpu = 0; cpu < c->ncpus; cpu++) {
		if (!begin(p, &c->cursors[cpu]))
			continue;
		if (!c->begun && holds(p, &c->cursors[cpu], "BEGIN", false))
			first = cpu;
		if (p->final && holds(p, &c->cursors[cpu], "END", true))
			last = cpu;
	}
	c->begun = true;
	if (first >= 0 && first != last && drain_one(p, &c->cursors[first]) < 0)
		return -1;
	for (cpu = 0; cpu < c->ncpus; cpu++)
		if (c->cursors[cpu].ring && cpu != last && drain_one(p, &c->cursors[cpu]) < 0)
			return -1;
	if (take_bundles(p, UINT64_MAX) < 0)
		return -1;
	return last < 0 ? 0 : drain_one(p, &c->cursors[last]);
}

static void publish_all(struct dt_consumer *c)
{
	for (int cpu = 0; cpu < c->ncpus; cpu++)
		if (c->cursors[cpu].ring)
			dt_cursor_publish(&c->cursors[cpu]);
}

static u64 now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (u64)ts.tv_sec * 1000000000u + (u64)ts.tv_nsec;
}

/* Programs that were under way when tracing stopped may have claimed more since. */
static bool more_claimed(const struct dt_consumer *c)
{
	for (int cpu = 0; cpu < c->ncpus; cpu++) {
		const struct dt_cursor *cur = &c->cursors[cpu];

		if (cur->ring && __atomic_load_n(&cur->ring->head, __ATOMIC_ACQUIRE) != cur->head)
			return true;
	}
	return false;
}

static int run(struct pass *p)
{
	int rounds = FINAL_ROUNDS;

	do {
		if (dt_spec_fetch(p->c, p->final) < 0)
			return -1;
		if ((p->temporal ? drain_merged(p) : drain_by_cpu(p)) < 0)
			return -1;
	} while (p->final && --rounds && more_claimed(p->c));
	return 0;
}

int dt_consumer_freshen(dtrace_hdl_t *h)
{
	struct dt_consumer *c = h->consumer;

	if (!h->aggs || (c && c->busy && c->snapped))
		return 0;
	if (c)
		c->snapped = true;
	return dtrace_aggregate_snap(h);
}

int dt_drain(dtrace_hdl_t *h, FILE *fp, dtrace_consume_probe_f *pf, dtrace_consume_rec_f *rf,
	     void *arg, bool final)
{
	struct dt_consumer *c = h->consumer;
	struct pass p = {
		.h = h,
		.c = c,
		.fp = fp,
		.pf = pf,
		.rf = rf,
		.arg = arg,
		.final = final,
		.temporal = dt_opt(h, DT_OPT_TEMPORAL) != 0,
		.flow = dt_opt(h, DT_OPT_FLOWINDENT) != 0,
		.overwritten = dt_opt(h, DT_OPT_BUFPOLICY) == DT_BUFPOLICY_RING,
		.until = final ? UINT64_MAX : now_ns(),
		.pd = { .dtpda_handle = h, .dtpda_flow = DTRACEFLOW_NONE },
	};
	int err;

	if (c->busy)
		return dt_fail(&h->err, EDT_BUSY, "records are being consumed already");
	p.max = h->obj->ring_slack;
	c->busy = true;
	c->snapped = false;
	memset(&c->learnt, 0, sizeof(c->learnt));
	err = run(&p);
	publish_all(c);
	if (dt_out_flush(h, fp) < 0)
		err = -1;
	c->busy = false;
	return err;
}
