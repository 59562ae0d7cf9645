/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The input as the contents of two rings (and where their heads are): whatever programs may have
 * left there, a pass neither reads nor writes beyond them, ends, and leaves rings that work.
 */
#include <stdlib.h>
#include <string.h>

#include "fakelive.h"

#define CAP 1024
#define RECORD 128
#define CPUS 2

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct dt_datum datum[] = {
	{ .kind = DT_D_INT, .off = 0, .size = 4 },
	{ .kind = DT_D_STR, .off = 8, .size = 16 },
	{ .kind = DT_D_PROBEFUNC },
	{ .kind = DT_D_USTACK, .off = 24, .size = 32 },
	{ .kind = DT_D_BYTES, .off = 56, .size = 16 },
	{ .kind = DT_D_UINT, .off = 72, .size = 8 },
};

#define REC(act, n, at, bytes) \
	{ .dtrd_action = (act), \
	  .dtrd_offset = (at), \
	  .dtrd_size = (bytes), \
	  .dtrd_uarg = (uintptr_t)&datum[n] }

static dtrace_recdesc_t direct[] = {
	REC(DTRACEACT_DIFEXPR, 0, 0, 4),           REC(DTRACEACT_DIFEXPR, 1, 8, 16),
	REC(DTRACEACT_USTACK, 3, 24, 32),          REC(DTRACEACT_TRACEMEM, 4, 56, 16),
	REC(DTRACEACT_TRACEMEM_DYNSIZE, 5, 72, 8),
};
static dtrace_recdesc_t laid_out[] = {
	REC(DTRACEACT_PRINTF, 0, 0, 4),
	REC(DTRACEACT_PRINTF, 1, 8, 16),
	REC(DTRACEACT_PRINTF, 2, 24, DTRACE_FUNCNAMELEN),
	REC(DTRACEACT_PRINTF, 0, 216, 4),
	REC(DTRACEACT_PRINTF, 5, 224, 8),
};

static void epid(struct dt_epid *e, u32 id, dtrace_recdesc_t *recs, int n, u32 size, u32 shown)
{
	*e = (struct dt_epid){
		.epid = id,
		.size = size,
		.shown_size = shown,
		.direct = recs == direct,
		.desc = { .dtepd_epid = id, .dtepd_size = shown, .dtepd_nrecs = n, .dtepd_rec = recs }
	};
}

static int on_probe(const dtrace_probedata_t *d, void *arg)
{
	return DTRACE_CONSUME_THIS;
}

static int on_rec(const dtrace_probedata_t *d, const dtrace_recdesc_t *rec, void *arg)
{
	return DTRACE_CONSUME_THIS;
}

static int on_err(const dtrace_errdata_t *e, void *arg)
{
	return strlen(e->dteda_msg) ? DTRACE_HANDLE_OK : DTRACE_HANDLE_ABORT;
}

static void fill(dtrace_hdl_t *h, int cpu, const uint8_t *data, size_t size)
{
	struct dt_ring_hdr *r = dt_live_ring(h->live, cpu);
	u32 word;

	if (size < 4)
		return;
	memcpy(&word, data, 4);
	r->tail = (word & 0xff) * 8;
	r->head = r->tail + (word >> 8) % (CAP + 64) / 8 * 8;
	memcpy((u8 *)r + DT_RING_DATA, data + 4, DT_MIN(size - 4, (size_t)(CAP + RECORD)));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	dtrace_hdl_t *h = fake_open(CPUS, CAP, RECORD, DT_ST_FIXED);
	struct dt_epid epids[3];
	struct dt_fault_site fault = { 0 };
	char err[64], *text = NULL;
	size_t n = 0;
	FILE *fp = open_memstream(&text, &n);
	struct dt_fmt *f = dt_fmt_parse("%*d %s %S %c %Y\n", err, sizeof(err));

	laid_out[0].dtrd_format = f;
	epid(&epids[0], 1, direct, 5, 80, 80);
	epid(&epids[1], 2, laid_out, 5, 80, 232);
	epid(&epids[2], 3, NULL, 0, 0, 0);
	h->obj->epids = epids;
	h->obj->nepids = 3;
	h->obj->faults = &fault;
	h->obj->nfaults = 1;
	h->obj->max_record = h->obj->ring_slack = RECORD;
	h->errhdlr = on_err;
	if (size) {
		h->opts.val[DT_OPT_TEMPORAL] = data[0] & 1 ? 1 : -1;
		h->opts.val[DT_OPT_FLOWINDENT] = data[0] & 2 ? 1 : -1;
		h->opts.val[DT_OPT_QUIET] = data[0] & 4 ? 1 : -1;
		fill(h, 0, data + 1, (size - 1) / 2);
		fill(h, 1, data + 1 + (size - 1) / 2, (size - 1) / 2);
	}
	h->consumer = dt_consumer_new(h);
	if (!h->consumer || !fp)
		abort();
	dt_drain(h, fp, on_probe, on_rec, NULL, false);
	for (int cpu = 0; cpu < CPUS; cpu++)
		if (dt_live_ring(h->live, cpu)->tail > dt_live_ring(h->live, cpu)->head)
			__builtin_trap();
	fclose(fp);
	free(text);
	fake_close(h);
	dt_fmt_free(f);
	return 0;
}
