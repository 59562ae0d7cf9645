/* SPDX-License-Identifier: Apache-2.0 */
/*
 * drain.c - from the rings to the callbacks.
 *
 * A pass looks at every CPU's ring, and takes the oldest record among their fronts again and again
 * (option temporal; without it ring by ring).  A front is a committed record; a claimed one that is
 * not committed yet ends its ring for this pass.  The records of END wait until all others are
 * through.  Everything about a record is checked against the object before it is believed.
 */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "consume2/consume.h"

/* ---- life --------------------------------------------------------------------------------------
 * */

static bool holds_user_addresses(const struct dt_epid *e)
{
	for (int i = 0; i < e->desc.dtepd_nrecs; i++) {
		const struct dt_datum *d = (const void *)(uintptr_t)e->desc.dtepd_rec[i].dtrd_uarg;

		if (d && (d->kind == DT_D_USTACK || (d->kind >= DT_D_USYM && d->kind <= DT_D_UADDR)))
			return true;
	}
	return false;
}

static void look_at_epids(struct dt_consumer *c, const struct dt_object *o, u32 *largest)
{
	*largest = 0;
	for (u32 i = 0; i < o->nepids; i++) {
		*largest = DT_MAX(*largest, o->epids[i].shown_size);
		c->learns[i] = holds_user_addresses(&o->epids[i]);
	}
}

static void open_rings(dtrace_hdl_t *h, struct dt_consumer *c)
{
	c->cap = dt_live_ring_cap(h->live);
	c->max_record = DT_MAX(h->obj->max_record, DT_REC_HDR + (u32)sizeof(struct dt_rec_fault));
	for (u32 cpu = 0; cpu < c->ncpus; cpu++) {
		struct dt_reader *r = &c->readers[cpu];

		r->hdr = dt_live_ring(h->live, (int)cpu);
		if (!r->hdr)
			continue;
		r->data = (u8 *)r->hdr + DT_RING_DATA;
		r->pos = r->hdr->tail;
	}
}

struct dt_consumer *dt_consumer_new(dtrace_hdl_t *h)
{
	struct dt_consumer *c = calloc(1, sizeof(*c));
	int ncpus = dt_live_ncpus(h->live);
	u32 largest;

	if (!c)
		return dt_set_errno_null(h, EDT_NOMEM);
	c->ncpus = ncpus > 0 ? (u32)ncpus : 0;
	c->readers = calloc(c->ncpus + 1, sizeof(*c->readers));
	c->ring_drops = calloc(c->ncpus + 1, sizeof(*c->ring_drops));
	c->state_drops = calloc(c->ncpus + 1, DT_NDROP_ROWS * sizeof(*c->state_drops));
	c->learns = calloc(h->obj->nepids + 1, 1);
	if (c->readers && c->ring_drops && c->state_drops && c->learns) {
		look_at_epids(c, h->obj, &largest);
		open_rings(h, c);
		c->scratch = calloc(1, (size_t)largest + 8);
		if (c->scratch)
			return c;
	}
	dt_consumer_free(c);
	return dt_set_errno_null(h, EDT_NOMEM);
}

void dt_consumer_free(struct dt_consumer *c)
{
	if (!c)
		return;
	free(c->readers);
	free(c->ring_drops);
	free(c->state_drops);
	free(c->learns);
	free(c->scratch);
	dt_str_fini(&c->text);
	free(c);
}

/* ---- one ring ----------------------------------------------------------------------------------
 * */

/* The committed record at the reader's position, or NULL. */
static const struct dt_rec_hdr *front(const struct dt_consumer *c, struct dt_reader *r)
{
	while (r->hdr && !r->corrupt && r->pos < r->head) {
		u8 *at = r->data + (r->pos & (c->cap - 1));
		u32 word = __atomic_load_n((u32 *)(void *)at, __ATOMIC_ACQUIRE);
		u32 size = DT_REC_SIZE(word);

		if (!(word & DT_REC_COMMIT))
			return NULL;
		if (size < DT_REC_HDR || size % 8 || size > c->max_record || size > r->head - r->pos) {
			r->corrupt = true;
			return NULL;
		}
		if (!(word & DT_REC_DISCARD))
			return (const struct dt_rec_hdr *)(void *)at;
		r->pos += size;
	}
	return NULL;
}

static void take(struct dt_reader *r, const struct dt_rec_hdr *rec)
{
	r->pos += DT_REC_SIZE(rec->size);
}

/* Clear what was read, then give the room back. */
static void release(const struct dt_consumer *c, struct dt_reader *r)
{
	u64 tail = r->hdr->tail, first = tail;

	if (r->corrupt) { /* nothing after this point can be told apart: drop it all */
		r->pos = r->head;
		r->corrupt = false;
	}
	if (tail == r->pos)
		return;
	while (tail < r->pos) {
		u64 off = tail & (c->cap - 1), n = DT_MIN(r->pos - tail, c->cap - off);

		memset(r->data + off, 0, n);
		tail += n;
	}
	/* the last record of the lap may have run into the slack */
	if ((first & ~(c->cap - 1)) != (r->pos & ~(c->cap - 1)))
		memset(r->data + c->cap, 0, c->max_record);
	__atomic_store_n(&r->hdr->tail, r->pos, __ATOMIC_RELEASE);
}

/* Long passes give room back on the way. */
static void release_some(const struct dt_consumer *c, struct dt_reader *r)
{
	if (r->pos - r->hdr->tail >= c->cap / 4)
		release(c, r);
}

/* ---- what a record is about --------------------------------------------------------------------
 * */

const char *dt_probe_text(const struct dt_probe *p, enum dt_datakind kind)
{
	if (!p)
		return "";
	switch (kind) {
	case DT_D_PROBEPROV: return p->provider;
	case DT_D_PROBEMOD: return p->mod;
	case DT_D_PROBEFUNC: return p->func;
	default: return p->name;
	}
}

dtrace_probedesc_t *dt_consumer_pdesc(dtrace_hdl_t *h, u32 id)
{
	dtrace_probedesc_t *d = &h->consumer->pdesc[id % DT_PDESC_SLOTS];
	const struct dt_probe *p;

	if (d->dtpd_id == id && id)
		return d;
	memset(d, 0, sizeof(*d));
	p = dt_probes_byid(&h->probes, id);
	if (p)
		dt_probe_desc(p, d);
	d->dtpd_id = id;
	return d;
}

void dt_consumer_learn(dtrace_hdl_t *h, u64 pid)
{
	struct dt_consumer *c = h->consumer;

	if (!h->usyms || pid > INT32_MAX || (c && c->learnt == (pid_t)pid))
		return;
	if (c)
		c->learnt = (pid_t)pid;
	dt_usyms_learn(h->usyms, (pid_t)pid);
}

static void learn_processes(dtrace_hdl_t *h, const struct dt_epid *e, const char *data)
{
	for (int i = 0; i < e->desc.dtepd_nrecs; i++) {
		struct dt_value v = dt_value_of(&e->desc.dtepd_rec[i], data);
		u64 pid;

		if (v.size < sizeof(pid) ||
		    (v.kind != DT_D_USTACK && (v.kind < DT_D_USYM || v.kind > DT_D_UADDR)))
			continue;
		memcpy(&pid, v.data, sizeof(pid));
		dt_consumer_learn(h, pid);
	}
}

/* A record as callbacks see it, in the scratch. */
static char *lay_out(struct dt_consumer *c, const struct dt_epid *e, const struct dt_probe *p,
		     const char *payload)
{
	for (int i = 0; i < e->desc.dtepd_nrecs; i++) {
		const dtrace_recdesc_t *r = &e->desc.dtepd_rec[i];
		const struct dt_datum *d = (const void *)(uintptr_t)r->dtrd_uarg;
		char *to = c->scratch + r->dtrd_offset;

		if (!d || !r->dtrd_size || (u64)r->dtrd_offset + r->dtrd_size > e->shown_size)
			continue;
		if (d->kind >= DT_D_PROBEPROV)
			snprintf(to, r->dtrd_size, "%s", dt_probe_text(p, d->kind));
		else if ((u64)d->off + d->size <= e->size)
			memcpy(to, payload + d->off, DT_MIN(d->size, r->dtrd_size));
	}
	return c->scratch;
}

/* ---- flowindent --------------------------------------------------------------------------------
 * */

static bool ends_in(const char *s, const char *word)
{
	size_t n = strlen(s), m = strlen(word);

	if (n < m || strcmp(s + n - m, word) != 0)
		return false;
	return n == m || s[n - m - 1] == '-';
}

static dtrace_flowkind_t flow_of(const dtrace_probedesc_t *p)
{
	if (ends_in(p->dtpd_name, "entry"))
		return DTRACEFLOW_ENTRY;
	return ends_in(p->dtpd_name, "return") ? DTRACEFLOW_RETURN : DTRACEFLOW_NONE;
}

/* Is the record behind this one of another clause of the same firing? */
static bool more_of_firing(const struct dt_consumer *c, const struct dt_reader *r,
			   const struct dt_rec_hdr *rec)
{
	struct dt_reader ahead = *r;
	const struct dt_rec_hdr *next;

	take(&ahead, rec);
	next = front(c, &ahead);
	return next && next->probe == rec->probe && next->epid != rec->epid && next->epid;
}

/* A second clause of an entry does not indent again, and all but the last clause of a return do not
 * yet. */
static void flowindent(const struct dt_consumer *c, struct dt_reader *r,
		       const struct dt_rec_hdr *rec, dtrace_probedata_t *data)
{
	bool sys = strcmp(data->dtpda_pdesc->dtpd_provider, "syscall") == 0;
	dtrace_flowkind_t flow = flow_of(data->dtpda_pdesc);

	if (flow == DTRACEFLOW_ENTRY && r->last_probe == rec->probe && r->last_epid != rec->epid)
		flow = DTRACEFLOW_NONE;
	if (flow == DTRACEFLOW_RETURN && more_of_firing(c, r, rec))
		flow = DTRACEFLOW_NONE;
	if (flow == DTRACEFLOW_RETURN && r->indent > 0)
		r->indent -= 2;
	data->dtpda_flow = flow;
	data->dtpda_indent = r->indent;
	data->dtpda_prefix = flow == DTRACEFLOW_ENTRY  ? sys ? " => " : " -> " :
			     flow == DTRACEFLOW_RETURN ? sys ? " <= " : " <- " :
							 "| ";
	if (flow == DTRACEFLOW_ENTRY)
		r->indent += 2;
	r->last_epid = rec->epid;
	r->last_probe = rec->probe;
}

/* ---- one record --------------------------------------------------------------------------------
 * */

struct pass {
	dtrace_hdl_t *h;
	struct dt_consumer *c;
	FILE *fp;
	dtrace_consume_probe_f *pf;
	dtrace_consume_rec_f *rf;
	void *arg;
	u64 limit;     /* nothing newer than this */
	bool hold_end; /* END's records are not for now */
	bool flow;
};

static int bad_return(dtrace_hdl_t *h, int rval)
{
	return dt_set_errno(h, rval == DTRACE_CONSUME_ABORT ? EDT_DIRABORT : EDT_BADRVAL);
}

int dt_rec_span(const dtrace_recdesc_t *rec, int nrecs)
{
	int n = 1;

	switch (rec->dtrd_action) {
	case DTRACEACT_PRINTF:
	case DTRACEACT_SYSTEM:
	case DTRACEACT_FREOPEN: {
		const struct dt_fmt *f = rec->dtrd_format;
		int most = f && f->nargs < INT16_MAX ? (int)f->nargs : 1;

		while (n < most && n < nrecs && rec[n].dtrd_format == f &&
		       rec[n].dtrd_action == rec->dtrd_action)
			n++;
		return n;
	}
	case DTRACEACT_TRACEMEM:
		return nrecs > 1 && rec[1].dtrd_action == DTRACEACT_TRACEMEM_DYNSIZE ? 2 : 1;
	default: return 1;
	}
}

/* One datum or action: how many records it took, -1. */
static int give_rec(struct pass *p, const dtrace_probedata_t *data, const dtrace_recdesc_t *rec,
		    int left)
{
	int n, rval;

	if (rec->dtrd_action == DTRACEACT_LIBACT)
		return dt_libact(p->h, p->fp, data, rec, left);
	rval = p->rf(data, rec, p->arg);
	if (rval == DTRACE_CONSUME_NEXT)
		return dt_rec_span(rec, left);
	if (rval != DTRACE_CONSUME_THIS)
		return bad_return(p->h, rval);
	n = dt_print_record(p->h, p->fp, data, rec, left);
	if (n < 0 || p->fp)
		return n;
	return dt_buffered_flush(p->h, data, rec, NULL, 0) < 0 ? -1 : n;
}

static int give_firing(struct pass *p, const dtrace_probedata_t *data)
{
	const dtrace_eprobedesc_t *e = data->dtpda_edesc;
	int rval = p->pf(data, p->arg);

	if (rval == DTRACE_CONSUME_NEXT)
		return 0;
	if (rval != DTRACE_CONSUME_THIS)
		return bad_return(p->h, rval);
	for (int i = 0; i < e->dtepd_nrecs;) {
		int n = give_rec(p, data, &e->dtepd_rec[i], e->dtepd_nrecs - i);

		if (n < 0)
			return -1;
		i += DT_MAX(n, 1);
	}
	p->rf(data, NULL, p->arg);
	return 0;
}

static int give(struct pass *p, struct dt_reader *r, const struct dt_rec_hdr *rec)
{
	int cpu = (int)(r - p->c->readers);
	struct dt_epid *e = &p->h->obj->epids[rec->epid - 1];
	char *payload = (char *)(uintptr_t)rec + DT_REC_HDR;
	dtrace_probedata_t data = {
		.dtpda_handle = p->h,
		.dtpda_edesc = &e->desc,
		.dtpda_pdesc = dt_consumer_pdesc(p->h, rec->probe),
		.dtpda_cpu = cpu,
		.dtpda_flow = DTRACEFLOW_NONE,
		.dtpda_prefix = "",
		.dtpda_timestamp = rec->ts,
	};

	e->desc.dtepd_probeid = rec->probe;
	data.dtpda_data = payload;
	if (!e->direct)
		data.dtpda_data =
			lay_out(p->c, e, dt_probes_byid(&p->h->probes, rec->probe), payload);
	if (p->c->learns[rec->epid - 1])
		learn_processes(p->h, e, data.dtpda_data);
	if (p->flow)
		flowindent(p->c, r, rec, &data);
	return give_firing(p, &data);
}

/* The record at the front of a ring, whatever it is; it is gone afterwards. */
static int handle_record(struct pass *p, struct dt_reader *r, const struct dt_rec_hdr *rec)
{
	u32 room = DT_REC_SIZE(rec->size) - DT_REC_HDR;
	int rval = 0;

	if (rec->epid == 0 && room >= sizeof(struct dt_rec_fault))
		rval = dt_fault_report(p->h, (int)(r - p->c->readers), rec->probe,
				       (const struct dt_rec_fault *)(const void *)(rec + 1));
	else if (rec->epid == 0 || rec->epid > p->h->obj->nepids ||
		 room < p->h->obj->epids[rec->epid - 1].size)
		r->corrupt = true;
	else if (!p->h->obj->epids[rec->epid - 1].quiet)
		rval = give(p, r, rec);
	if (!r->corrupt)
		take(r, rec);
	release_some(p->c, r);
	return rval;
}

/* ---- a pass ------------------------------------------------------------------------------------
 * */

static const struct dt_rec_hdr *wanted(const struct pass *p, struct dt_reader *r)
{
	const struct dt_rec_hdr *rec = front(p->c, r);

	if (!rec || rec->ts > p->limit || (p->hold_end && rec->probe == DT_ID_END))
		return NULL;
	return rec;
}

/* The ring with the oldest record, which is also given; *second: the time of the oldest elsewhere.
 * */
static struct dt_reader *oldest(const struct pass *p, const struct dt_rec_hdr **rec, u64 *second)
{
	struct dt_reader *best = NULL;
	u64 least = UINT64_MAX;

	*second = UINT64_MAX;
	for (u32 cpu = 0; cpu < p->c->ncpus; cpu++) {
		const struct dt_rec_hdr *f = wanted(p, &p->c->readers[cpu]);

		if (!f)
			continue;
		if (!best || f->ts < least) {
			*second = least;
			least = f->ts;
			best = &p->c->readers[cpu];
			*rec = f;
		} else {
			*second = DT_MIN(*second, f->ts);
		}
	}
	return best;
}

static int by_time(struct pass *p)
{
	const struct dt_rec_hdr *rec = NULL;
	struct dt_reader *r;
	u64 second;

	while ((r = oldest(p, &rec, &second))) {
		do {
			if (handle_record(p, r, rec) < 0)
				return -1;
			rec = wanted(p, r);
		} while (rec && rec->ts <= second);
	}
	return 0;
}

static int drain_ring(struct pass *p, struct dt_reader *r)
{
	const struct dt_rec_hdr *rec;

	while ((rec = wanted(p, r)))
		if (handle_record(p, r, rec) < 0)
			return -1;
	return 0;
}

static int by_ring(struct pass *p)
{
	for (u32 cpu = 0; cpu < p->c->ncpus; cpu++) { /* BEGIN was first, wherever that happened */
		const struct dt_rec_hdr *rec = wanted(p, &p->c->readers[cpu]);

		if (rec && rec->probe == DT_ID_BEGIN && drain_ring(p, &p->c->readers[cpu]) < 0)
			return -1;
	}
	for (u32 cpu = 0; cpu < p->c->ncpus; cpu++)
		if (drain_ring(p, &p->c->readers[cpu]) < 0)
			return -1;
	return 0;
}

static u64 now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (u64)ts.tv_sec * 1000000000u + (u64)ts.tv_nsec;
}

static void look_at_heads(struct dt_consumer *c)
{
	for (u32 cpu = 0; cpu < c->ncpus; cpu++) {
		struct dt_reader *r = &c->readers[cpu];

		if (r->hdr)
			r->head = __atomic_load_n(&r->hdr->head, __ATOMIC_ACQUIRE);
	}
}

int dt_drain(dtrace_hdl_t *h, FILE *fp, dtrace_consume_probe_f *pf, dtrace_consume_rec_f *rf,
	     void *arg, bool final)
{
	struct dt_consumer *c = h->consumer;
	bool temporal = dt_opt(h, DT_OPT_TEMPORAL) != 0;
	struct pass p = {
		.h = h,
		.c = c,
		.fp = fp,
		.pf = pf,
		.rf = rf,
		.arg = arg,
		.limit = final || !temporal ? UINT64_MAX : now_ns(),
		.hold_end = final,
		.flow = dt_opt(h, DT_OPT_FLOWINDENT) != 0,
	};
	int (*run)(struct pass *) = temporal ? by_time : by_ring;
	int rval;

	if (!c)
		return 0;
	if (c->draining)
		return dt_fail(&h->err, EDT_BUSY,
			       "Records cannot be consumed from within a callback");
	c->draining = true;
	c->learnt = 0;
	look_at_heads(c);
	rval = run(&p);
	if (rval == 0 && final) {
		p.hold_end = false;
		rval = run(&p);
	}
	for (u32 cpu = 0; cpu < c->ncpus; cpu++)
		if (c->readers[cpu].hdr)
			release(c, &c->readers[cpu]);
	c->draining = false;
	return rval;
}
