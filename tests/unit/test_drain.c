/* SPDX-License-Identifier: Apache-2.0 */
/* test_drain.c - records of rings in plain memory: order, callbacks, text, faults, drops,
 * damage. */
#include <time.h>

#include "fakelive.h"
#include "test.h"

#define CAP 4096
#define SLACK 256

/* ---- an object: what the generator would have made ------------------------------------------- */

static struct dt_datum d_i32 = { .kind = DT_D_INT, .off = 0, .size = 4 };
static struct dt_datum d_str = { .kind = DT_D_STR, .off = 8, .size = 16 };
static struct dt_datum d_u64 = { .kind = DT_D_UINT, .off = 24, .size = 8 };
static struct dt_datum d_func = { .kind = DT_D_PROBEFUNC };
static struct dt_datum d_none = { .kind = DT_D_NONE };
static struct dt_datum d_bytes = { .kind = DT_D_BYTES, .off = 8, .size = 16 };

#define REC(act, datum, off, bytes) \
	{ .dtrd_action = (act), \
	  .dtrd_offset = (off), \
	  .dtrd_size = (bytes), \
	  .dtrd_uarg = (uintptr_t)&(datum) }

enum { TRACE = 1, PRINTF, FUNC, EMPTY, QUIET, NOARGS, MEM, NEPIDS = MEM };

static dtrace_recdesc_t r_trace[] = { REC(DTRACEACT_DIFEXPR, d_i32, 0, 4),
				      REC(DTRACEACT_DIFEXPR, d_str, 8, 16),
				      REC(DTRACEACT_DIFEXPR, d_u64, 24, 8) };
static dtrace_recdesc_t r_printf[] = { REC(DTRACEACT_PRINTF, d_i32, 0, 4),
				       REC(DTRACEACT_PRINTF, d_str, 8, 16),
				       REC(DTRACEACT_DIFEXPR, d_u64, 24, 8) };
static dtrace_recdesc_t r_func[] = { REC(DTRACEACT_DIFEXPR, d_func, 0, DTRACE_FUNCNAMELEN),
				     REC(DTRACEACT_DIFEXPR, d_u64, DTRACE_FUNCNAMELEN, 8) };
static dtrace_recdesc_t r_noargs[] = { REC(DTRACEACT_PRINTF, d_none, 0, 0) };
static dtrace_recdesc_t r_mem[] = { REC(DTRACEACT_TRACEMEM, d_bytes, 8, 16),
				    REC(DTRACEACT_TRACEMEM_DYNSIZE, d_u64, 24, 8) };

static struct dt_epid epids[NEPIDS];
static struct dt_clause clause = { .index = 4 };
static struct dt_source source = { .text = "BEGIN\n{\n\t*0;\n}\n", .len = 15 };
static struct dt_fault_site fault_at;

struct payload {
	s32 i;
	s32 pad;
	char s[16];
	u64 u;
};

static void epid(u32 id, dtrace_recdesc_t *recs, int n, u32 size, u32 shown, bool direct)
{
	epids[id - 1] = (struct dt_epid){
		.epid = id,
		.clause = &clause,
		.size = size,
		.shown_size = shown,
		.direct = direct,
		.quiet = id == QUIET,
		.desc = { .dtepd_epid = id, .dtepd_size = shown, .dtepd_nrecs = n, .dtepd_rec = recs },
	};
}

static dtrace_hdl_t *open_fake(int ncpus)
{
	dtrace_hdl_t *h = fake_open(ncpus, CAP, SLACK, DT_ST_FIXED);
	struct dt_attach model = { .kind = DT_AT_RAW_TP, .nkeys = 16 }, *at;
	char err[64];

	static const struct dt_provider sys = { .name = "syscall" }, own = { .name = "dtrace" };

	at = dt_probes_add_attach(&h->probes, &model);
	dt_probes_add(&h->probes, &own, 1, "", "", "BEGIN", at, 1, NULL);
	dt_probes_add(&h->probes, &own, 2, "", "", "END", at, 2, NULL);
	dt_probes_add(&h->probes, &sys, 10, "vmlinux", "read", "entry", at, 3, NULL);
	dt_probes_add(&h->probes, &sys, 11, "vmlinux", "read", "return", at, 4, NULL);
	dt_probes_add(&h->probes, &sys, 12, "vmlinux", "write", "entry", at, 5, NULL);
	epid(TRACE, r_trace, 3, sizeof(struct payload), sizeof(struct payload), true);
	epid(PRINTF, r_printf, 3, sizeof(struct payload), sizeof(struct payload), true);
	epid(FUNC, r_func, 2, sizeof(struct payload), DTRACE_FUNCNAMELEN + 8, false);
	epid(EMPTY, NULL, 0, 0, 0, true);
	epid(QUIET, NULL, 0, 0, 0, true);
	epid(NOARGS, r_noargs, 1, 0, 0, true);
	epid(MEM, r_mem, 2, sizeof(struct payload), sizeof(struct payload), true);
	r_printf[0].dtrd_format = r_printf[1].dtrd_format =
		dt_fmt_parse("<%5d|%-6s>", err, sizeof(err));
	r_noargs[0].dtrd_format = dt_fmt_parse("hello\n", err, sizeof(err));
	fault_at.loc = (struct dt_loc){ .src = &source, .off = 9, .len = 2 };
	h->obj->epids = epids;
	h->obj->nepids = NEPIDS;
	h->obj->faults = &fault_at;
	h->obj->nfaults = 1;
	h->obj->max_record = h->obj->ring_slack = SLACK;
	h->obj->ring_map = 0;
	h->obj->state_map = 1;
	h->consumer = dt_consumer_new(h);
	CHECK(h->consumer);
	return h;
}

static void close_fake(dtrace_hdl_t *h)
{
	dt_fmt_free((struct dt_fmt *)(uintptr_t)r_printf[0].dtrd_format);
	dt_fmt_free((struct dt_fmt *)(uintptr_t)r_noargs[0].dtrd_format);
	fake_close(h);
}

static bool put(dtrace_hdl_t *h, int cpu, u32 id, u32 probe, u64 ts, s32 i, const char *s, u64 u)
{
	struct payload p = { .i = i, .u = u };

	snprintf(p.s, sizeof(p.s), "%s", s);
	return fake_put(h, cpu, id, probe, ts, &p, epids[id - 1].size, DT_REC_COMMIT);
}

/* ---- callbacks that write down what they saw ------------------------------------------------- */

struct seen {
	char log[8192];
	size_t n;
	int probe_rv, rec_rv;
	int fail_at; /* the firing at which probe_rv or rec_rv is given; 0: always */
	int firings;
};

static void note(struct seen *s, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	if (s->n < sizeof(s->log))
		s->n += (size_t)vsnprintf(s->log + s->n, sizeof(s->log) - s->n, fmt, ap);
	va_end(ap);
}

static int on_probe(const dtrace_probedata_t *d, void *arg)
{
	struct seen *s = arg;

	s->firings++;
	note(s, "[%d:%s:%s@%d", d->dtpda_cpu, d->dtpda_pdesc->dtpd_func, d->dtpda_pdesc->dtpd_name,
	     (int)d->dtpda_timestamp);
	return s->probe_rv && (!s->fail_at || s->fail_at == s->firings) ? s->probe_rv :
									  DTRACE_CONSUME_THIS;
}

static int on_rec(const dtrace_probedata_t *d, const dtrace_recdesc_t *rec, void *arg)
{
	struct seen *s = arg;
	const char *p;

	if (!rec) {
		note(s, "]");
		return DTRACE_CONSUME_ERROR; /* does not matter */
	}
	p = d->dtpda_data + rec->dtrd_offset;
	if (rec->dtrd_action == DTRACEACT_PRINTF)
		note(s, " f");
	else if (rec->dtrd_size == 4)
		note(s, " %d", *(const s32 *)(const void *)p);
	else if (rec->dtrd_size == 8)
		note(s, " %d", (int)*(const u64 *)(const void *)p);
	else
		note(s, " %.16s", p);
	return s->rec_rv;
}

static int drain(dtrace_hdl_t *h, struct seen *s, bool final)
{
	return dt_drain(h, NULL, on_probe, on_rec, s, final);
}

#define TAKE \
	(struct seen) \
	{ \
		.rec_rv = DTRACE_CONSUME_NEXT \
	}

/* ---- order ----------------------------------------------------------------------------------- */

static void test_merge(void)
{
	dtrace_hdl_t *h = open_fake(3);
	struct seen s = TAKE;

	put(h, 0, TRACE, 10, 5, 1, "a", 2);
	put(h, 0, TRACE, 10, 30, 2, "b", 3);
	put(h, 1, FUNC, 12, 10, 0, "", 7);
	put(h, 1, EMPTY, 11, 40, 0, "", 0);
	put(h, 2, TRACE, 10, 20, -3, "c", 4);
	fake_put(h, 2, TRACE, 10, 21, NULL, 0, DT_REC_COMMIT | DT_REC_DISCARD);
	put(h, 2, QUIET, 10, 22, 0, "", 0);
	put(h, 2, PRINTF, 10, 50, 0, "", 9);
	CHECK_INT(drain(h, &s, false), 0);
	CHECK_STR(s.log, "[0:read:entry@5 1 a 2][1:write:entry@10 write 7][2:read:entry@20 -3 c 4]"
			 "[0:read:entry@30 2 b 3][1:read:return@40][2:read:entry@50 f 9]");
	s = TAKE;
	CHECK_INT(drain(h, &s, true), 0);
	CHECK_STR(s.log, "");
	close_fake(h);
}

static u64 now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (u64)ts.tv_sec * 1000000000u + (u64)ts.tv_nsec;
}

static void test_passes(void)
{
	dtrace_hdl_t *h = open_fake(2);
	struct seen s = TAKE;
	struct dt_ring_hdr *r = dt_live_ring(h->live, 1);

	put(h, 0, EMPTY, 10, 1, 0, "", 0);
	put(h, 0, EMPTY, 12, now() + 100000000000u, 0, "", 0); /* newer than the pass: the next one's */
	fake_put(h, 1, 0, 0, 0, NULL, 0, 0);                   /* claimed, not yet written */
	put(h, 1, EMPTY, 11, 2, 0, "", 0);
	CHECK_INT(drain(h, &s, false), 0);
	CHECK_STR(s.log, "[0:read:entry@1]");
	CHECK_INT(r->tail, 0);
	/* it gets done */
	struct dt_rec_hdr *rec = (void *)((u8 *)r + DT_RING_DATA);

	*rec = (struct dt_rec_hdr){
		.epid = EMPTY, .probe = 11, .ts = 1, .size = DT_REC_HDR | DT_REC_COMMIT
	};
	s = TAKE;
	CHECK_INT(drain(h, &s, false), 0);
	CHECK_STR(s.log, "[1:read:return@1][1:read:return@2]");
	CHECK_INT(r->tail, r->head);
	s = TAKE;
	CHECK_INT(drain(h, &s, true), 0);
	CHECK_INT(s.firings, 1);
	close_fake(h);
}

static void test_begin_end(void)
{
	dtrace_hdl_t *h = open_fake(3);
	struct seen s = TAKE;

	h->opts.val[DT_OPT_TEMPORAL] = -1;
	put(h, 0, EMPTY, 10, 0, 0, "", 0);
	put(h, 1, EMPTY, 1, 0, 0, "", 0);
	put(h, 1, EMPTY, 11, 0, 0, "", 0);
	put(h, 2, EMPTY, 12, 0, 0, "", 0);
	CHECK_INT(drain(h, &s, false), 0);
	CHECK(!strncmp(s.log, "[1::BEGIN@0]", 12));
	CHECK_INT(s.firings, 4);
	s = TAKE;
	put(h, 0, EMPTY, 10, 0, 0, "", 0);
	put(h, 0, EMPTY, 2, 0, 0, "", 0);
	put(h, 1, EMPTY, 11, 0, 0, "", 0);
	put(h, 2, EMPTY, 12, 0, 0, "", 0);
	CHECK_INT(drain(h, &s, true), 0);
	CHECK_INT(s.firings, 4);
	CHECK(s.n > 10 && !strcmp(s.log + s.n - 10, "[0::END@0]"));
	close_fake(h);
}

/* Many laps, odd sizes: nothing is lost, and what the writer gets back is zero. */
static void test_wrap(void)
{
	dtrace_hdl_t *h = open_fake(1);
	struct dt_ring_hdr *r = dt_live_ring(h->live, 0);
	const u8 *data = (u8 *)r + DT_RING_DATA;
	u32 sent = 0, got = 0, dirty = 0;

	for (int lap = 0; lap < 400; lap++) {
		struct seen s = TAKE;

		for (int i = 0; i < lap % 90; i++)
			sent += put(h, 0, i % 3 ? TRACE : EMPTY, 10, sent, 1, "xxxxxxxxxxxxxxx",
				    ~0ull);
		s.n = sizeof(s.log); /* no log */
		CHECK_INT(drain(h, &s, false), 0);
		got += (u32)s.firings;
		CHECK_INT(r->tail, r->head);
		for (u32 i = 0; i < CAP + SLACK; i++)
			dirty += data[i] != 0;
	}
	CHECK(sent > 10000);
	CHECK_INT(got, sent);
	CHECK_INT(dirty, 0);
	close_fake(h);
}

/* ---- speculations ---------------------------------------------------------------------------- */

static void speculate(dtrace_hdl_t *h, u32 slot, int cpu, u64 gen, u64 ts, s32 i)
{
	struct dt_ring_hdr *r = dt_live_spec(h->live, slot, cpu);
	struct payload p = { .i = i };

	r->gen = gen;
	CHECK(fake_put_to(h, r, TRACE, 10, ts, &p, sizeof(p), DT_REC_COMMIT));
}

static u64 spec_word(u64 gen, u64 cpus, enum dt_spec_state state)
{
	return gen << DT_SPEC_GEN_SHIFT | cpus << DT_SPEC_CPUS_SHIFT | state;
}

/* What the consumer fetches: all CPUs' records, in their order, at the time of the commit. */
static void test_speculations(void)
{
	dtrace_hdl_t *h = open_fake(2);
	struct seen s = TAKE;

	fake_speculations(h, 3);
	speculate(h, 0, 0, 5, 10, 1);
	speculate(h, 0, 0, 5, 30, 3);
	speculate(h, 0, 1, 5, 20, 2);
	speculate(h, 1, 0, 7, 11, 90); /* still speculative */
	speculate(h, 2, 0, 1, 12, 91); /* of an older generation */
	speculate(h, 2, 1, 2, 13, 4);
	h->live->slots[0] = (struct dt_spec_slot){ spec_word(5, 2, DT_SPEC_COMMITTED), 100 };
	h->live->slots[1].word = spec_word(7, 1, DT_SPEC_ACTIVE);
	h->live->slots[2] = (struct dt_spec_slot){ spec_word(2, 1, DT_SPEC_COMMITTED), 50 };
	put(h, 0, TRACE, 12, 60, 5, "", 0);
	put(h, 1, TRACE, 12, 120, 6, "", 0);
	CHECK(dt_spec_waiting(h));
	CHECK_INT(drain(h, &s, false), 0);
	CHECK_STR(s.log, "[1:read:entry@13 4  0][0:write:entry@60 5  0]"
			 "[0:read:entry@10 1  0][1:read:entry@20 2  0][0:read:entry@30 3  0]"
			 "[1:write:entry@120 6  0]");
	CHECK_INT(h->live->slots[0].word, spec_word(5, 0, DT_SPEC_FREE));
	CHECK_INT(h->live->slots[1].word, spec_word(7, 1, DT_SPEC_ACTIVE));
	CHECK(!dt_spec_waiting(h));
	close_fake(h);
}

/* While a clause is writing the slot is left alone. */
static void test_speculation_being_written(void)
{
	dtrace_hdl_t *h = open_fake(1);
	struct seen s = TAKE;

	fake_speculations(h, 1);
	speculate(h, 0, 0, 1, 10, 1);
	dt_live_spec(h->live, 0, 0)->writers = 1;
	h->live->slots[0] = (struct dt_spec_slot){ spec_word(1, 1, DT_SPEC_COMMITTED), 20 };
	CHECK_INT(drain(h, &s, false), 0);
	CHECK_STR(s.log, "");
	CHECK(dt_spec_waiting(h));
	speculate(h, 0, 0, 1, 11, 2);
	dt_live_spec(h->live, 0, 0)->writers = 0;
	CHECK_INT(drain(h, &s, false), 0);
	CHECK_STR(s.log, "[0:read:entry@10 1  0][0:read:entry@11 2  0]");
	close_fake(h);
}

/* What commit() copied to the ring itself: records in one, also across passes that were cut short. */
static void test_bundle(void)
{
	dtrace_hdl_t *h = open_fake(1);
	struct {
		struct dt_rec_hdr a;
		struct payload pa;
		struct dt_rec_hdr b;
		struct payload pb;
	} in = { { DT_REC_COMMIT | (u32)(DT_REC_HDR + sizeof(struct payload)), TRACE, 1, 10, 0 },
		 { .i = 1 },
		 { DT_REC_COMMIT | (u32)(DT_REC_HDR + sizeof(struct payload)), TRACE, 2, 10, 0 },
		 { .i = 2 } };
	struct seen s = TAKE;

	h->obj->ring_slack = DT_REC_HDR + sizeof(in);
	fake_put(h, 0, DT_EPID_BUNDLE, 0, 50, &in, sizeof(in), DT_REC_COMMIT);
	put(h, 0, TRACE, 12, 60, 3, "", 0);
	s.probe_rv = DTRACE_CONSUME_ABORT;
	s.fail_at = 1;
	CHECK_INT(drain(h, &s, false), -1);
	CHECK_INT(drain(h, &s, false), 0);
	CHECK_STR(s.log, "[0:read:entry@1[0:read:entry@2 2  0][0:write:entry@60 3  0]");
	s = TAKE;
	in.a.size |= DT_REC_DISCARD;
	fake_put(h, 0, DT_EPID_BUNDLE, 0, 70, &in, sizeof(in), DT_REC_COMMIT);
	CHECK_INT(drain(h, &s, false), 0);
	CHECK_STR(s.log, "[0:read:entry@2 2  0]");
	in.b.size += 8;
	fake_put(h, 0, DT_EPID_BUNDLE, 0, 70, &in, sizeof(in), DT_REC_COMMIT);
	CHECK_INT(drain(h, &s, false), -1);
	CHECK_INT(h->err.code, EDT_DSIZE);
	close_fake(h);
}

/* ---- codes ----------------------------------------------------------------------------------- */

static void test_codes(void)
{
	static const struct {
		int probe, rec, err;
		const char *log;
	} rows[] = {
		{ DTRACE_CONSUME_NEXT, 0, 0, "[0:read:entry@1[0:read:entry@2" },
		{ DTRACE_CONSUME_ABORT, 0, EDT_DIRABORT, "[0:read:entry@1" },
		{ 77, 0, EDT_BADRVAL, "[0:read:entry@1" },
		{ 0, DTRACE_CONSUME_ABORT, EDT_DIRABORT, "[0:read:entry@1 5" },
		{ 0, 77, EDT_BADRVAL, "[0:read:entry@1 5" },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		dtrace_hdl_t *h = open_fake(1);
		struct seen s = { .probe_rv = rows[i].probe, .rec_rv = rows[i].rec };

		put(h, 0, TRACE, 10, 1, 5, "x", 6);
		put(h, 0, TRACE, 10, 2, 7, "y", 8);
		CHECK_INT(drain(h, &s, false), rows[i].err ? -1 : 0);
		CHECK_INT(h->err.code, rows[i].err);
		CHECK_STR(s.log, rows[i].log);
		/* the firing that stopped it is over */
		s = TAKE;
		CHECK_INT(drain(h, &s, false), 0);
		CHECK_STR(s.log, rows[i].err ? "[0:read:entry@2 7 y 8]" : "");
		close_fake(h);
	}
}

static int reenter(const dtrace_probedata_t *d, void *arg)
{
	struct seen s = TAKE;

	CHECK_INT(drain(d->dtpda_handle, &s, false), -1);
	CHECK_INT(s.firings, 0);
	return DTRACE_CONSUME_THIS;
}

static void test_reentry(void)
{
	dtrace_hdl_t *h = open_fake(1);
	struct seen s = TAKE;

	put(h, 0, EMPTY, 10, 1, 0, "", 0);
	CHECK_INT(dt_drain(h, NULL, reenter, on_rec, &s, false), 0);
	CHECK_STR(s.log, "]");
	close_fake(h);
}

/* ---- text ------------------------------------------------------------------------------------ */

static void text_is(dtrace_hdl_t *h, const char *want)
{
	struct seen s = { .rec_rv = DTRACE_CONSUME_THIS };
	char *text = NULL;
	size_t n = 0;
	FILE *fp = open_memstream(&text, &n);

	CHECK_INT(dt_drain(h, fp, on_probe, on_rec, &s, true), 0);
	fclose(fp);
	CHECK_STR(text, want);
	free(text);
}

static void test_text(void)
{
	dtrace_hdl_t *h = open_fake(1);

	put(h, 0, TRACE, 10, 1, -5, "some text", 6);
	text_is(h, "         -5  some text                                            6");
	put(h, 0, PRINTF, 10, 1, -5, "abc", 6);
	text_is(h, "<   -5|abc   >                    6");
	put(h, 0, FUNC, 12, 1, -5, "abc", 6);
	text_is(h, "  write                                                6");
	put(h, 0, NOARGS, 12, 1, 0, "", 0);
	text_is(h, "hello\n");
	put(h, 0, MEM, 12, 1, 0, "abcdefgh", 5);
	text_is(h, "\n             0  1  2  3  4  5  6  7  8  9  a  b  c  d  e  f  0123456789abcdef\n"
		   "         0: 61 62 63 64 65                                   abcde\n");
	h->opts.val[DT_OPT_QUIET] = 1;
	put(h, 0, TRACE, 10, 1, -5, "some text", 6);
	text_is(h, "-5some text6");
	/* a text without its NUL ends with its room */
	put(h, 0, TRACE, 10, 1, 0, "", 0);
	struct dt_ring_hdr *r = dt_live_ring(h->live, 0);

	memset((u8 *)r + DT_RING_DATA + r->tail + DT_REC_HDR + 8, 'z', 16);
	text_is(h, "0zzzzzzzzzzzzzzzz0");
	close_fake(h);
}

static int on_text(const dtrace_bufdata_t *b, void *arg)
{
	struct seen *s = arg;

	note(s, "{%s:%d}", b->dtbda_buffered, b->dtbda_recdesc->dtrd_action);
	CHECK(b->dtbda_probe && b->dtbda_probe->dtpda_pdesc->dtpd_id == 10);
	return DTRACE_HANDLE_OK;
}

static void test_buffered(void)
{
	dtrace_hdl_t *h = open_fake(1);
	struct seen s = { .rec_rv = DTRACE_CONSUME_THIS };

	put(h, 0, PRINTF, 10, 1, 1, "x", 2);
	CHECK_INT(drain(h, &s, false), -1);
	CHECK_INT(h->err.code, EDT_NOBUFFERED);
	h->bufhdlr = on_text;
	h->bufarg = &s;
	s = (struct seen){ .rec_rv = DTRACE_CONSUME_THIS };
	put(h, 0, PRINTF, 10, 1, 1, "x", 2);
	CHECK_INT(drain(h, &s, false), 0);
	CHECK_STR(s.log, "[0:read:entry@1 f{<    1|x     >:3} 2{                    2:1}]");
	close_fake(h);
}

/* One conversion after the other. */
static void format_is(dtrace_hdl_t *h, const char *format, struct dt_datum *d, const void *data,
		      const char *want)
{
	dtrace_recdesc_t rec = REC(DTRACEACT_PRINTF, *d, 0, d->size);
	dtrace_probedata_t pd = { .dtpda_handle = h, .dtpda_data = (char *)(uintptr_t)data };
	char err[64], *text = NULL;
	size_t n = 0;
	FILE *fp = open_memstream(&text, &n);
	struct dt_fmt *f = dt_fmt_parse(format, err, sizeof(err));

	rec.dtrd_format = f;
	CHECK_INT(dt_print_record(h, fp, &pd, &rec, 1), 1);
	fclose(fp);
	CHECK_STR(text, want);
	free(text);
	dt_fmt_free(f);
}

static void test_formats(void)
{
	dtrace_hdl_t *h = open_fake(1);
	struct dt_datum i8 = { .kind = DT_D_INT, .size = 1 }, u8_ = { .kind = DT_D_UINT, .size = 1 };
	struct dt_datum i32 = { .kind = DT_D_INT, .size = 4 },
			u32_ = { .kind = DT_D_UINT, .size = 4 };
	struct dt_datum i64 = { .kind = DT_D_INT, .size = 8 }, ptr = { .kind = DT_D_PTR, .size = 8 };
	struct dt_datum str = { .kind = DT_D_STR, .size = 12 },
			f64 = { .kind = DT_D_FLOAT, .size = 8 };
	s64 minus = -1, big = 123456789012345, when = 123790800 * 1000000000ll, code = '\n';
	double pi = 3.14159;

	setenv("TZ", "UTC0", 1);
	tzset();
	format_is(h, "%d", &i8, &minus, "-1");
	format_is(h, "%d", &u8_, &minus, "255");
	format_is(h, "%x", &i32, &minus, "ffffffff");
	format_is(h, "%u", &i32, &minus, "4294967295");
	format_is(h, "%d", &u32_, &minus, "4294967295");
	format_is(h, "%hd", &i64, &big, "-8327");
	format_is(h, "%lld", &i64, &big, "123456789012345");
	format_is(h, "%+08d|", &i32, &when, "-1535762432|");
	format_is(h, "%-6d|", &i8, &minus, "-1    |");
	format_is(h, "%06d|", &i8, &minus, "-00001|");
	format_is(h, "%#o", &u8_, &minus, "0377");
	format_is(h, "%p", &ptr, &big, "7048860ddf79");
	format_is(h, "%?p", &ptr, &big, "    7048860ddf79");
	format_is(h, "%c", &i32, &(s32){ 'A' }, "A");
	format_is(h, "%C", &i32, &code, "\\n");
	format_is(h, "%s", &str, "hello\0world", "hello");
	format_is(h, "%.3s|%%", &str, "hello\0world", "hel|%");
	format_is(h, "%-8s|", &str, "hello\0world", "hello   |");
	format_is(h, "%8s|", &str, "hello\0world", "   hello|");
	format_is(h, "%S", &str, "a\tb\x01\xff\0    ", "a\\tb\\001\\377");
	format_is(h, "%Y", &i64, &when, "1973 Dec  3 18:20:00");
	format_is(h, "%T", &i64, &when, "Mon, 03 Dec 1973 18:20:00 UTC");
	format_is(h, "%6.2f", &f64, &pi, "  3.14");
	format_is(h, "%a", &i64, &big, "0x7048860ddf79");
	format_is(h, "%A", &i64, &big, "0x7048860ddf79");
	close_fake(h);
}

/* ---- flow ------------------------------------------------------------------------------------ */

static int on_flow(const dtrace_probedata_t *d, void *arg)
{
	note(arg, "%d%s|", d->dtpda_indent, d->dtpda_prefix);
	return DTRACE_CONSUME_NEXT;
}

static void test_flow(void)
{
	dtrace_hdl_t *h = open_fake(1);
	struct seen s = TAKE;

	h->opts.val[DT_OPT_FLOWINDENT] = 1;
	put(h, 0, EMPTY, 1, 1, 0, "", 0);
	put(h, 0, EMPTY, 10, 2, 0, "", 0);
	put(h, 0, NOARGS, 10, 2, 0, "", 0); /* a second clause */
	put(h, 0, EMPTY, 12, 3, 0, "", 0);
	put(h, 0, EMPTY, 11, 4, 0, "", 0); /* more of this firing to come */
	put(h, 0, NOARGS, 11, 4, 0, "", 0);
	put(h, 0, EMPTY, 1, 5, 0, "", 0);
	put(h, 0, EMPTY, 11, 6, 0, "", 0);
	put(h, 0, EMPTY, 11, 7, 0, "", 0);
	CHECK_INT(dt_drain(h, NULL, on_flow, on_rec, &s, true), 0);
	CHECK_STR(s.log, "0| |0 => |2| |2 => |4| |2 <= |2| |0 <= |0 <= |");
	close_fake(h);
}

/* ---- faults and drops ------------------------------------------------------------------------ */

static int on_err(const dtrace_errdata_t *e, void *arg)
{
	note(arg, "{%d %d %d %d %s}", e->dteda_cpu, e->dteda_action, e->dteda_fault,
	     (int)e->dteda_addr, e->dteda_msg);
	CHECK_STR(e->dteda_pdesc->dtpd_func, "read");
	CHECK(e->dteda_edesc && e->dteda_edesc->dtepd_epid == TRACE);
	return DTRACE_HANDLE_OK;
}

static void test_fault(void)
{
	dtrace_hdl_t *h = open_fake(1);
	struct dt_rec_fault f = {
		.epid = TRACE, .action = 1, .offset = 0, .fault = DTRACEFLT_BADADDR, .addr = 16
	};
	struct seen s = TAKE;

	fake_put(h, 0, 0, 10, 1, &f, sizeof(f), DT_REC_COMMIT);
	put(h, 0, EMPTY, 10, 2, 0, "", 0);
	CHECK_INT(drain(h, &s, false), -1);
	CHECK_INT(h->err.code, EDT_ERRABORT);
	CHECK_INT(drain(h, &s, false), 0);
	CHECK_STR(s.log, "[0:read:entry@2]");
	h->errhdlr = on_err;
	h->errarg = &s;
	s = TAKE;
	fake_put(h, 0, 0, 10, 1, &f, sizeof(f), DT_REC_COMMIT);
	f.epid = 99; /* nonsense is told, not believed */
	f.offset = 1 << 30;
	CHECK_INT(drain(h, &s, false), 0);
	CHECK(strstr(s.log, "{0 1 1 16 error "));
	CHECK(strstr(s.log, "(syscall:vmlinux:read:entry): invalid address (0x10)"));
	CHECK(strstr(s.log, "line 3"));
	close_fake(h);
}

static int on_drop(const dtrace_dropdata_t *d, void *arg)
{
	note(arg, "{%d %d %d %d %s}", d->dtdda_cpu, d->dtdda_kind, (int)d->dtdda_drops,
	     (int)d->dtdda_total, d->dtdda_msg);
	return DTRACE_HANDLE_OK;
}

static void test_drops(void)
{
	dtrace_hdl_t *h = open_fake(2);
	struct seen s = TAKE;

	CHECK_INT(dt_drops_check(h), 0);
	dt_live_ring(h->live, 1)->drops = 2;
	CHECK_INT(dt_drops_check(h), -1);
	CHECK_INT(h->err.code, EDT_DROPABORT);
	h->drophdlr = on_drop;
	h->droparg = &s;
	dt_live_ring(h->live, 1)->drops = 3;
	((u64 *)dt_live_state(h->live, 0))[DT_ST_AGGDROPS / 8] = 5;
	CHECK_INT(dt_drops_check(h), 0);
	CHECK(strstr(s.log, "{1 0 1 3 1 drop on CPU 1\n}"));
	CHECK(strstr(s.log, "{0 1 5 5 5 aggregation drops on CPU 0\n}"));
	s = TAKE;
	CHECK_INT(dt_drops_check(h), 0);
	CHECK_STR(s.log, "");
	((u64 *)dt_live_state(h->live, 0))[DT_ST_DYNDROPS / 8] = 1;
	h->opts.val[DT_OPT_DROPTAGS] = 1;
	CHECK_INT(dt_drops_check(h), 0);
	CHECK(strstr(s.log, "1 dynamic variable drop"));
	CHECK(strstr(s.log, "[DTRACEDROP_DYNAMIC]"));
	close_fake(h);
}

/* ---- damage ---------------------------------------------------------------------------------- */

static void test_damage(void)
{
	static const u32 words[] = { DT_REC_COMMIT,        DT_REC_COMMIT | 8,
				     DT_REC_COMMIT | 25,   DT_REC_COMMIT | 0x3ffffff8,
				     DT_REC_COMMIT | 4096, DT_REC_COMMIT | (DT_REC_HDR + 8) };

	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		for (u32 id = 0; id < 10; id++) {
			dtrace_hdl_t *h = open_fake(1);
			struct dt_ring_hdr *r = dt_live_ring(h->live, 0);
			struct dt_rec_hdr *rec = (void *)((u8 *)r + DT_RING_DATA);
			struct seen s = TAKE;

			put(h, 0, TRACE, 10, 1, 1, "", 1);
			rec->size = words[i];
			rec->epid = id;
			rec->probe = 0xffffffff;
			drain(h, &s, false);
			s = TAKE;
			drain(h, &s, true);
			/* the ring works again */
			put(h, 0, EMPTY, 10, 5, 0, "", 0);
			s = TAKE;
			CHECK_INT(drain(h, &s, true), 0);
			CHECK_STR(s.log, "[0:read:entry@5]");
			close_fake(h);
		}
}

int main(void)
{
	test_merge();
	test_passes();
	test_begin_end();
	test_wrap();
	test_speculations();
	test_speculation_being_written();
	test_bundle();
	test_codes();
	test_reentry();
	test_text();
	test_buffered();
	test_formats();
	test_flow();
	test_fault();
	test_drops();
	test_damage();
	return test_status();
}
