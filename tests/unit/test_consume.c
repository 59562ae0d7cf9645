/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The consumer by itself: rings and states in plain memory, written as programs would; hashes in the kernel
 * where this process may make them.
 */
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <time.h>
#include <unistd.h>

#include "consume2/buckets.h"
#include "consume2/consume.h"
#include "load/live.h"
#include "test.h"

#define NCPUS 2
#define CAP 4096
#define SLACK 512
#define STATE 16384

/* ---- an object and a kernel, made up ----------------------------------------------------------- */

static dtrace_hdl_t H;
static struct dt_object O;
static struct dt_live L;
static struct dt_live_map M[3];
static u8 *rings, *states;
static struct dt_datum d_int = { .kind = DT_D_INT, .size = 4, .text = "x" };
static struct dt_datum d_str = { .kind = DT_D_STR, .off = 4, .size = 16 };
static struct dt_datum d_name = { .kind = DT_D_PROBENAME };
static struct dt_datum d_none = { .kind = DT_D_NONE };
static struct dt_datum d_u64 = { .kind = DT_D_UINT, .size = 8 };
static struct dt_clause clauses[4];
static struct dt_epid epids[4];
static dtrace_recdesc_t recs[4][4];
static struct dt_aggspec aggs[16];
static dtrace_recdesc_t aggrecs[16][4];
static struct dt_datum aggkeys[16][2];

static dtrace_recdesc_t rec(int action, const struct dt_datum *d, u32 size, u32 off,
			    const void *format)
{
	return (dtrace_recdesc_t){ .dtrd_action = (dtrace_actkind_t)action,
				   .dtrd_size = size,
				   .dtrd_offset = off,
				   .dtrd_format = format,
				   .dtrd_uarg = (uintptr_t)d };
}

static void epid(u32 n, u32 nrecs, u32 size, u32 shown, bool direct)
{
	clauses[n].index = n;
	epids[n] = (struct dt_epid){
		.epid = n + 1, .clause = &clauses[n], .size = size, .shown_size = shown, .direct = direct
	};
	epids[n].desc = (dtrace_eprobedesc_t){ .dtepd_epid = n + 1,
					       .dtepd_size = shown,
					       .dtepd_nrecs = (int)nrecs,
					       .dtepd_rec = recs[n] };
}

static void agg(u32 n, const char *name, int func, enum dt_aggstore store, u32 off, u32 nwords,
		u32 shown)
{
	aggs[n] = (struct dt_aggspec){ .name = name,
				       .varid = n + 1,
				       .func = func,
				       .store = store,
				       .off = off,
				       .nwords = nwords,
				       .map = -1,
				       .bucket_off = -1,
				       .keys = aggkeys[n] };
	aggrecs[n][0] = rec(DTRACEACT_DIFEXPR, NULL, 8, 0, NULL);
	aggrecs[n][1] = rec(func, NULL, shown, 8, NULL);
	aggs[n].desc = (dtrace_aggdesc_t){ .dtagd_name = name,
					   .dtagd_varid = n + 1,
					   .dtagd_id = n + 1,
					   .dtagd_nrecs = 2,
					   .dtagd_rec = aggrecs[n] };
	aggs[n].shown_size = 8 + shown;
	O.naggs = DT_MAX(O.naggs, n + 1);
}

static void agg_key(u32 n, struct dt_datum d, u32 shown)
{
	dtrace_recdesc_t value = aggrecs[n][1];

	aggkeys[n][0] = d;
	aggs[n].nkeys = 1;
	aggrecs[n][1] = rec(DTRACEACT_DIFEXPR, &aggkeys[n][0], shown, 8, NULL);
	value.dtrd_offset = 8 + DT_ROUNDUP(shown, 8);
	aggrecs[n][2] = value;
	aggs[n].desc.dtagd_nrecs = 3;
	aggs[n].shown_size += DT_ROUNDUP(shown, 8);
}

static void setup(void)
{
	memset(&H, 0, sizeof(H));
	memset(&O, 0, sizeof(O));
	for (size_t i = 0; i < DT_NOPTS; i++)
		H.opts.val[i] = DTRACEOPT_UNSET;
	dt_probes_init(&H.probes, &H.err);
	dt_arena_init(&O.arena);
	rings = calloc(NCPUS, DT_RING_DATA + CAP + SLACK);
	states = calloc(NCPUS, STATE);
	M[0] = (struct dt_live_map){
		.fd = -1, .mem = rings, .stride = DT_RING_DATA + CAP + SLACK, .nelems = NCPUS
	};
	M[1] = (struct dt_live_map){ .fd = -1, .mem = states, .stride = STATE, .nelems = NCPUS };
	M[2].fd = -1;
	O.nmaps = 3;
	O.epids = epids;
	O.nepids = 0;
	O.aggs = aggs;
	O.ring_map = 0;
	O.state_map = 1;
	O.globals_map = O.doorbell_map = -1;
	O.max_record = 256;
	L = (struct dt_live){ .obj = &O, .ncpus = NCPUS, .maps = M, .ring_cap = CAP };
	H.obj = &O;
	H.live = &L;
	H.ksyms = dt_ksyms_new(&H.err);
	H.usyms = dt_usyms_new();
}

static void start(void)
{
	H.consumer = dt_consumer_new(&H);
	H.aggs = dt_aggs_new(&H, &O);
	CHECK(H.consumer && H.aggs);
}

static void teardown(void)
{
	dt_consumer_free(H.consumer);
	dt_aggs_free(H.aggs);
	dt_ksyms_free(H.ksyms);
	dt_usyms_free(H.usyms);
	dt_probes_fini(&H.probes);
	dt_str_fini(&H.buffered);
	free(rings);
	free(states);
	if (M[2].fd >= 0)
		close(M[2].fd);
}

/* ---- a writer ---------------------------------------------------------------------------------- */

static bool put(int cpu, u32 flags, u32 id, u32 probe, u64 ts, const void *payload, u32 n)
{
	struct dt_ring_hdr *r = dt_live_ring(&L, cpu);
	u32 size = DT_ROUNDUP(DT_REC_HDR + n, 8);
	u8 *at = (u8 *)r + DT_RING_DATA + (r->head & (CAP - 1));
	struct dt_rec_hdr h = { .size = size | flags, .epid = id, .ts = ts, .probe = probe };

	if (r->head + size - r->tail > CAP) {
		r->drops++;
		return false;
	}
	r->head += size;
	for (u32 i = 0; i < size; i++)
		if (at[i])
			return CHECK(!"the ring is clean where nobody wrote");
	memcpy(at, &h, sizeof(h));
	if (payload)
		memcpy(at + sizeof(h), payload, n);
	return true;
}

struct int_str {
	s32 x;
	char s[20];
};

static void put_int(int cpu, u32 probe, u64 ts, s32 x)
{
	struct int_str p = { .x = x, .s = "text" };

	put(cpu, DT_REC_COMMIT, 1, probe, ts, &p, 24);
}

/* ---- a reader ---------------------------------------------------------------------------------- */

static char seen[8192];
static int answer = DTRACE_CONSUME_THIS, probe_answer = DTRACE_CONSUME_THIS;

static int on_probe(const dtrace_probedata_t *d, void *arg)
{
	snprintf(seen + strlen(seen), sizeof(seen) - strlen(seen), "[%d %s", d->dtpda_cpu,
		 d->dtpda_pdesc->dtpd_name);
	if (dt_opt(&H, DT_OPT_FLOWINDENT) > 0)
		snprintf(seen + strlen(seen), sizeof(seen) - strlen(seen), "%s%d", d->dtpda_prefix,
			 d->dtpda_indent);
	return probe_answer;
}

static int on_rec(const dtrace_probedata_t *d, const dtrace_recdesc_t *r, void *arg)
{
	s32 x;

	if (!r) {
		strcat(seen, "]");
		return 0;
	}
	memcpy(&x, d->dtpda_data + r->dtrd_offset, sizeof(x));
	snprintf(seen + strlen(seen), sizeof(seen) - strlen(seen), " %x", r->dtrd_action);
	if (r->dtrd_uarg == (uintptr_t)&d_int)
		snprintf(seen + strlen(seen), sizeof(seen) - strlen(seen), "=%d", x);
	return answer;
}

static char *text;
static size_t textlen;

static int drain(bool final)
{
	FILE *fp = open_memstream(&text, &textlen);
	int rval;

	seen[0] = '\0';
	rval = dt_drain(&H, fp, on_probe, on_rec, NULL, final);
	fclose(fp);
	return rval;
}

#define CHECK_TEXT(want) (CHECK_STR(text, want), free(text), text = NULL)

/* ---- records ----------------------------------------------------------------------------------- */

static void one_epid(void)
{
	recs[0][0] = rec(DTRACEACT_DIFEXPR, &d_int, 4, 0, NULL);
	recs[0][1] = rec(DTRACEACT_DIFEXPR, &d_str, 16, 4, NULL);
	epid(0, 2, 24, 24, true);
	O.nepids = 1;
}

static void test_order(void)
{
	setup();
	one_epid();
	start();
	put_int(0, 2, 50, 9); /* END */
	put_int(1, 1, 10, 1);
	put_int(1, 3, 30, 3);
	put(1, DT_REC_COMMIT | DT_REC_DISCARD, 1, 1, 35, NULL, 40);
	put_int(1, 3, 60, 4);
	CHECK_INT(drain(true), 0);
	CHECK_STR(seen, "[1 BEGIN 1=1 1][1 ERROR 1=3 1][1 ERROR 1=4 1][0 END 1=9 1]");
	CHECK_TEXT(
		"          1  text                                       3  text                             "
		"          4  text                                       9  text                             ");
	CHECK_INT(drain(true), 0);
	CHECK_STR(seen, "");
	free(text);

	/* newer than the pass: later; not committed: the end of its ring */
	answer = DTRACE_CONSUME_NEXT;
	put_int(0, 1, UINT64_MAX - 1, 5);
	put_int(1, 1, 70, 6);
	put(1, 0, 1, 1, 71, NULL, 24);
	put_int(1, 1, 72, 7);
	CHECK_INT(drain(false), 0);
	CHECK_STR(seen, "[1 BEGIN 1=6 1]");
	CHECK_TEXT("");
	CHECK_INT(drain(true), 0);
	CHECK_STR(seen, "[0 BEGIN 1=5 1]");
	free(text);
	answer = DTRACE_CONSUME_THIS;
	teardown();
}

static void test_laps(void)
{
	setup();
	one_epid();
	start();
	H.opts.val[DT_OPT_TEMPORAL] = 0;
	answer = DTRACE_CONSUME_NEXT;
	for (int i = 0; i < 5000; i++) {
		char big[200] = { [8] = 1, [199] = 7 };

		put_int(0, 1, 0, i);
		put(0, DT_REC_COMMIT, 1, 1, 0, big, 200);
		if (i % 7 == 0) {
			CHECK_INT(drain(false), 0);
			free(text);
		}
	}
	CHECK_INT(drain(true), 0);
	free(text);
	CHECK_INT(dt_live_ring(&L, 0)->drops, 0);
	CHECK_INT(dt_live_ring(&L, 0)->head, dt_live_ring(&L, 0)->tail);
	/* rubbish loses what is there, and no more */
	put(0, DT_REC_COMMIT, 77, 1, 0, NULL, 24);
	CHECK_INT(drain(false), 0);
	CHECK_STR(seen, "");
	free(text);
	put_int(0, 1, 0, 42);
	CHECK_INT(drain(false), 0);
	CHECK_STR(seen, "[0 BEGIN 1=42 1]");
	free(text);
	answer = DTRACE_CONSUME_THIS;
	teardown();
}

static char heard[1024];
static int on_error(const dtrace_errdata_t *d, void *arg)
{
	strcpy(heard, d->dteda_msg);
	return DTRACE_HANDLE_OK;
}

static int on_drop(const dtrace_dropdata_t *d, void *arg)
{
	strcat(heard, d->dtdda_msg);
	return DTRACE_HANDLE_OK;
}

static void test_faults_and_drops(void)
{
	struct dt_rec_fault f = {
		.epid = 1, .action = 2, .offset = 0, .fault = DTRACEFLT_BADADDR, .addr = 0x10
	};
	static struct dt_source src = { .text = "BEGIN\n{\n*x", .len = 10 };
	static struct dt_loc faults[] = { { .src = &src, .off = 8, .len = 2 } };

	setup();
	one_epid();
	O.faults = faults;
	O.nfaults = 1;
	start();
	put(0, DT_REC_COMMIT, 0, 1, 5, &f, sizeof(f));
	CHECK_INT(drain(false), -1);
	free(text);
	CHECK_INT(H.err.code, EDT_ERRABORT);
	H.errhdlr = on_error;
	put(0, DT_REC_COMMIT, 0, 1, 5, &f, sizeof(f));
	CHECK_INT(drain(false), 0);
	free(text);
	CHECK_STR(heard,
		  "error in dt_clause_0 for probe ID 1 (dtrace:::BEGIN): invalid address (0x10) in "
		  "action #2 at line 3\n");
	dt_live_ring(&L, 1)->drops = 3;
	CHECK_INT(dt_drops_check(&H), -1);
	CHECK_INT(H.err.code, EDT_DROPABORT);
	CHECK_INT(dt_drops_check(&H), 0);
	H.drophdlr = on_drop;
	heard[0] = '\0';
	dt_live_ring(&L, 1)->drops = 4;
	*(u64 *)(void *)(states + DT_ST_AGGDROPS) = 2;
	*(u64 *)(void *)(states + DT_ST_DYNDROPS) = 5;
	*(u64 *)(void *)(states + STATE + DT_ST_DYNDROPS) = 6;
	CHECK_INT(dt_drops_check(&H), 0);
	CHECK_STR(heard,
		  "1 drop on CPU 1\n2 aggregation drops on CPU 0\n11 dynamic variable drops\n");
	H.errhdlr = NULL;
	teardown();
}

static void test_actions(void)
{
	char why[128];
	struct dt_fmt *fmt = dt_fmt_parse("<%d|%-6s|%s>\n", why, sizeof(why));
	struct dt_fmt *plain = dt_fmt_parse("100%%\n", why, sizeof(why));
	static struct dt_datum d_mem = { .kind = DT_D_BYTES, .off = 0, .size = 20 };
	char mem[20] = "abc\1";

	setup();
	recs[0][0] = rec(DTRACEACT_PRINTF, &d_int, 4, 0, fmt);
	recs[0][1] = rec(DTRACEACT_PRINTF, &d_str, 16, 4, fmt);
	recs[0][2] = rec(DTRACEACT_PRINTF, &d_name, 64, 24, fmt);
	recs[0][3] = rec(DTRACEACT_PRINTF, &d_none, 0, 88, plain);
	epid(0, 4, 24, 88, false);
	recs[1][0] = rec(DTRACEACT_TRACEMEM, &d_mem, 20, 0, NULL);
	epid(1, 1, 24, 24, true);
	epid(2, 0, 0, 0, true);
	O.nepids = 3;
	start();
	put_int(0, 1, 1, -7);
	put(0, DT_REC_COMMIT, 3, 1, 2, "", 0);
	put(0, DT_REC_COMMIT, 2, 1, 3, mem, 20);
	CHECK_INT(drain(false), 0);
	CHECK_STR(seen, "[0 BEGIN 3=-7 3][0 BEGIN][0 BEGIN 6]");
	CHECK_TEXT("<-7|text  |BEGIN>\n100%\n\n"
		   "             0  1  2  3  4  5  6  7  8  9  a  b  c  d  e  f  0123456789abcdef\n"
		   "         0: 61 62 63 01 00 00 00 00 00 00 00 00 00 00 00 00  abc.............\n"
		   "        10: 00 00 00 00                                      ....\n");
	answer = DTRACE_CONSUME_ABORT;
	put_int(0, 1, 4, 1);
	put_int(0, 1, 5, 2);
	CHECK_INT(drain(false), -1);
	CHECK_INT(H.err.code, EDT_DIRABORT);
	free(text);
	answer = DTRACE_CONSUME_NEXT;
	CHECK_INT(drain(false), 0);
	CHECK_STR(seen, "[0 BEGIN 3=2 3]");
	free(text);
	answer = 77;
	put_int(0, 1, 4, 1);
	CHECK_INT(drain(false), -1);
	CHECK_INT(H.err.code, EDT_BADRVAL);
	free(text);
	answer = DTRACE_CONSUME_THIS;
	CHECK_INT(dt_drain(&H, NULL, on_probe, on_rec, NULL, true), 0);
	put_int(0, 1, 4, 1);
	CHECK_INT(dt_drain(&H, NULL, on_probe, on_rec, NULL, true), -1);
	CHECK_INT(H.err.code, EDT_NOBUFFERED);
	dt_fmt_free(fmt);
	dt_fmt_free(plain);
	teardown();
}

/* ---- formats ----------------------------------------------------------------------------------- */

static void format(const char *fmt, const struct dt_value *v, u32 n, const char *want)
{
	char why[128];
	struct dt_fmt *f = dt_fmt_parse(fmt, why, sizeof(why));
	struct dt_fmtargs args = { .v = v, .n = n };
	struct dt_str out = { 0 };

	if (!CHECK(f))
		return;
	CHECK_INT(dt_text_fmt(&H, &out, f, &args), 0);
	CHECK_STR(dt_str_cstr(&out), want);
	dt_str_fini(&out);
	dt_fmt_free(f);
}

static void test_formats(void)
{
	s64 n = -5, w = -8, t = 1000000000;
	u8 b = 0xff;
	double d = 2.5;
	struct dt_value i = { DT_D_INT, &n, 8 }, u = { DT_D_UINT, &n, 4 }, c = { DT_D_INT, &b, 1 },
			s = { DT_D_STR, "he\nllo", 3 }, p = { DT_D_PTR, &w, 8 },
			f = { DT_D_FLOAT, &d, 8 }, time_ = { DT_D_UINT, &t, 8 };
	struct dt_value star[] = { { DT_D_INT, &w, 8 }, s };

	setup();
	setenv("TZ", "UTC", 1);
	tzset();
	format("%d %i", (struct dt_value[]){ i, i }, 2, "-5 -5");
	format("%d", &u, 1, "4294967291");
	format("%x %o", (struct dt_value[]){ c, c }, 2, "ff 377");
	format("%hhx|%x", (struct dt_value[]){ i, i }, 2, "fb|fffffffffffffffb");
	format("%+5d|%-5d|%05d", (struct dt_value[]){ i, i, i }, 3, "   -5|-5   |-0005");
	format("%#x %X", (struct dt_value[]){ c, c }, 2, "0xff FF");
	format("%s|%5s|%-5s|%.1s|%S", (struct dt_value[]){ s, s, s, s, s }, 5,
	       "he\n|  he\n|he\n  |h|he\\n");
	format("%*s|", star, 2, "he\n     |");
	format("%p|%?p|", (struct dt_value[]){ p, u }, 2, "fffffffffffffff8|        fffffffb|");
	format("%C %c", (struct dt_value[]){ c, { DT_D_INT, "A", 1 } }, 2, "\\377 A");
	format("%f %.1e", (struct dt_value[]){ f, f }, 2, "2.500000 2.5e+00");
	format("%Y|%T", (struct dt_value[]){ time_, time_ }, 2,
	       "1970 Jan  1 00:00:01|Thu, 01 Jan 1970 00:00:01 UTC");
	format("a%%b", NULL, 0, "a%b");
	start();
	teardown();
}

/* ---- aggregations in memory -------------------------------------------------------------------- */

static u64 *cell(int cpu, u32 off)
{
	return (u64 *)(void *)(states + (size_t)cpu * STATE + off);
}

static int to_do = DTRACE_AGGWALK_NEXT;
static int on_agg(const dtrace_aggdata_t *d, void *arg)
{
	const dtrace_recdesc_t *r = &d->dtada_desc->dtagd_rec[d->dtada_desc->dtagd_nrecs - 1];
	s64 v;

	memcpy(&v, d->dtada_data + r->dtrd_offset, sizeof(v));
	snprintf(seen + strlen(seen), sizeof(seen) - strlen(seen), "%s=%lld ",
		 d->dtada_desc->dtagd_name, (long long)v);
	return to_do;
}

static const char *walked(void)
{
	seen[0] = '\0';
	CHECK_INT(dtrace_aggregate_snap(&H), 0);
	CHECK_INT(dtrace_aggregate_walk_sorted(&H, on_agg, NULL), 0);
	return seen;
}

static void printed(dtrace_aggregate_walk_f *f)
{
	FILE *fp = open_memstream(&text, &textlen);

	CHECK_INT(dtrace_aggregate_print(&H, fp, f), 0);
	fclose(fp);
}

static void test_cells(void)
{
	setup();
	agg(0, "c", DTRACEAGG_COUNT, DT_AGG_CELL, 64, 1, 8);
	agg(1, "mn", DTRACEAGG_MIN, DT_AGG_CELL, 72, 2, 8);
	agg(2, "mx", DTRACEAGG_MAX, DT_AGG_CELL, 88, 2, 8);
	agg(3, "av", DTRACEAGG_AVG, DT_AGG_CELL, 104, 2, 16);
	agg(4, "sd", DTRACEAGG_STDDEV, DT_AGG_CELL, 120, 4, 32);
	start();
	CHECK_STR(walked(), "");
	*cell(0, 64) = 3;
	*cell(1, 64) = 4;
	cell(1, 72)[0] = (u64)-3;
	cell(1, 72)[1] = 1;
	cell(0, 72)[0] = INT64_MAX;
	cell(0, 88)[0] = (u64)INT64_MIN;
	cell(0, 88)[1] = 1;
	cell(0, 104)[0] = 2;
	cell(0, 104)[1] = 31;
	memcpy(cell(0, 120), (u64[]){ 2, (u64)-20, 300, 0 },
	       32); /* -5, -15: 25 + 225 = 250; 300 for fun */
	memcpy(cell(1, 120), (u64[]){ 1, (u64)-10, 100, 0 }, 32);
	CHECK_STR(walked(), "c=7 mn=-3 mx=-9223372036854775808 av=2 sd=3 ");
	printed(NULL);
	CHECK_TEXT("                7\n               -3\n -9223372036854775808\n               15\n"
		   "                5\n");
	/* clear: zeros, then only what is new */
	dtrace_aggregate_clear(&H);
	CHECK_INT(cell(1, 72)[1], 0);
	CHECK_STR(walked(), "c=0 mn=0 mx=0 av=0 sd=0 ");
	*cell(1, 64) = 6;
	cell(1, 72)[0] = 12;
	cell(1, 72)[1] = 1;
	cell(1, 104)[0] = 1;
	cell(1, 104)[1] = 8;
	CHECK_STR(walked(), "c=2 mn=12 mx=0 av=1 sd=0 ");
	/* remove: nothing, until there is more */
	to_do = DTRACE_AGGWALK_REMOVE;
	walked();
	to_do = DTRACE_AGGWALK_NEXT;
	CHECK_STR(walked(), "");
	*cell(0, 64) = 4;
	cell(0, 88)[0] = 5;
	cell(0, 88)[1] = 1;
	CHECK_STR(walked(), "c=1 mx=5 ");
	to_do = DTRACE_AGGWALK_ABORT;
	CHECK_INT(dtrace_aggregate_walk(&H, on_agg, NULL), -1);
	CHECK_INT(H.err.code, EDT_DIRABORT);
	to_do = DTRACE_AGGWALK_NEXT;
	teardown();
}

#define BARS "------------- Distribution -------------"
static void test_distributions(void)
{
	setup();
	agg(0, "q", DTRACEAGG_QUANTIZE, DT_AGG_CELL, 64, 127, 127 * 8);
	aggs[0].nbuckets = 127;
	agg(1, "l", DTRACEAGG_LQUANTIZE, DT_AGG_CELL, 2048, 3, 4 * 8);
	aggs[1].nbuckets = 3;
	memcpy(aggs[1].param, (s64[]){ 3, 7, 3, 0 }, 32);
	agg(2, "ll", DTRACEAGG_LLQUANTIZE, DT_AGG_CELL, 4096, 0, 0);
	memcpy(aggs[2].param, (s64[]){ 10, 2, 3, 10 }, 32);
	aggs[2].nwords = aggs[2].nbuckets = dt_llquantize_nbuckets(10, 2, 3, 10);
	aggrecs[2][1].dtrd_size = (1 + aggs[2].nbuckets / 2 + 1) * 8;
	aggs[2].shown_size = 8 + aggrecs[2][1].dtrd_size;
	start();
	for (int v = 2; v <= 8; v += v == 4 ? 1 : v == 5 ? 3 : 2) {
		cell(v & 1, 64)[dt_quantize_bucket(v)]++;
		cell(v & 1, 2048)[dt_lquantize_bucket(v, 3, 7, 3)]++;
	}
	u64 t[64];
	u32 n = dt_llquantize_thresholds(10, 2, 3, 10, t, 64);

	for (u64 v = 0; v < 10100; v += 50) {
		u32 k = 0;

		while (k < n && t[k] <= v)
			k++;
		cell(0, 4096)[n + k]++;
	}
	cell(1, 4096)[0]++; /* very negative: below the first threshold too */
	CHECK_INT(dtrace_aggregate_snap(&H), 0);
	printed(NULL);
	CHECK_STR(text, "\n           value  " BARS " count    \n"
			"               1 |                                         0        \n"
			"               2 |@@@@@@@@@@                               1        \n"
			"               4 |@@@@@@@@@@@@@@@@@@@@                     2        \n"
			"               8 |@@@@@@@@@@                               1        \n"
			"              16 |                                         0        \n\n"
			"\n           value  " BARS " count    \n"
			"             < 3 |@@@@@@@@@@                               1        \n"
			"               3 |@@@@@@@@@@@@@@@@@@@@                     2        \n"
			"            >= 6 |@@@@@@@@@@                               1        \n\n"
			"\n           value  " BARS " count    \n"
			"           < 100 |@                                        3        \n"
			"             100 |                                         2        \n"
			"             200 |                                         2        \n"
			"             300 |                                         2        \n"
			"             400 |                                         2        \n"
			"             500 |                                         2        \n"
			"             600 |                                         2        \n"
			"             700 |                                         2        \n"
			"             800 |                                         2        \n"
			"             900 |                                         2        \n"
			"            1000 |@@@@                                     20       \n"
			"            2000 |@@@@                                     20       \n"
			"            3000 |@@@@                                     20       \n"
			"            4000 |@@@@                                     20       \n"
			"            5000 |@@@@                                     20       \n"
			"            6000 |@@@@                                     20       \n"
			"            7000 |@@@@                                     20       \n"
			"            8000 |@@@@                                     20       \n"
			"            9000 |@@@@                                     20       \n"
			"        >= 10000 |                                         2        \n\n");
	free(text);
	teardown();
}

/* ---- rows by probe, joined printing, library actions ------------------------------------------- */

static void test_dense(void)
{
	static u32 probes[] = { 4, 5, 0, 6 }; /* two system calls: entry, return; entry */
	static u32 act_aggs[] = { 0, 1 };
	struct dt_aggact act = { .naggs = 2, .aggs = act_aggs };
	char why[128];

	setup();
	H.opts.val[DT_OPT_AGGSORTKEY] = 1;
	for (u32 k = 0; k < 2; k++) {
		agg(k, k ? "s" : "c", k ? DTRACEAGG_SUM : DTRACEAGG_COUNT, DT_AGG_DENSE,
		    64 + k * 32, 1, 8);
		agg_key(k, (struct dt_datum){ .kind = DT_D_PROBEFUNC, .size = 4 },
			DTRACE_FUNCNAMELEN);
		aggs[k].nrows = 4;
		aggs[k].row_probe = probes;
	}
	start();
	cell(0, 64)[0] = 1;
	cell(1, 64)[1] = 2;
	cell(1, 64)[3] = 5;
	cell(1, 96)[0] = (u64)-4;
	CHECK_STR(walked(), "c=3 c=5 s=-4 ");
	printed(NULL);
	CHECK_TEXT("  read                                                              3\n"
		   "  write                                                             5\n"
		   "  read                                                             -4\n");
	FILE *fp = open_memstream(&text, &textlen);
	dtrace_recdesc_t r = rec(DTRACEACT_PRINTA, &d_none, 0, 0, &act);
	dtrace_probedata_t pd = { .dtpda_data = (char *)states };

	CHECK_INT(dt_print_record(&H, fp, &pd, &r, 1), 1);
	act.fmt = dt_fmt_parse("%-6s%@d %@5d;", why, sizeof(why));
	CHECK_INT(dt_print_record(&H, fp, &pd, &r, 1), 1);
	/* normalize by 2, then keep one */
	u64 number = 2;

	pd.dtpda_data = (char *)&number;
	r = rec(DTRACEACT_LIBACT, &d_u64, 8, 0, &act);
	r.dtrd_arg = DT_ACT_NORMALIZE;
	CHECK_INT(dt_libact(&H, fp, &pd, &r, 1), 1);
	number = 1;
	r.dtrd_arg = DT_ACT_TRUNC;
	CHECK_INT(dt_libact(&H, fp, &pd, &r, 1), 1);
	number = 0;
	r.dtrd_arg = DT_ACT_NORMALIZE;
	CHECK_INT(dt_libact(&H, fp, &pd, &r, 1), -1);
	r = rec(DTRACEACT_PRINTA, &d_none, 0, 0, &act);
	CHECK_INT(dt_print_record(&H, fp, &pd, &r, 1), 1);
	fclose(fp);
	CHECK_TEXT(
		"\n  read                                                              3               -4\n"
		"  write                                                             5                0\n"
		"read  3    -4;write 5     0;"
		"read  0    -4;write 2     0;");
	CHECK_STR(walked(), "c=5 s=-4 ");
	printed(NULL);
	CHECK_TEXT("");
	dt_fmt_free(act.fmt);
	teardown();
}

static char parts[512];
static int on_buffered(const dtrace_bufdata_t *d, void *arg)
{
	snprintf(parts + strlen(parts), sizeof(parts) - strlen(parts), "%u:%s;", d->dtbda_flags,
		 d->dtbda_buffered);
	return DTRACE_HANDLE_OK;
}

static void test_buffered(void)
{
	setup();
	one_epid();
	agg(0, "c", DTRACEAGG_COUNT, DT_AGG_CELL, 64, 1, 8);
	H.bufhdlr = on_buffered;
	H.opts.val[DT_OPT_QUIET] = 1;
	start();
	put_int(0, 1, 1, -7);
	CHECK_INT(dt_drain(&H, NULL, on_probe, on_rec, NULL, true), 0);
	CHECK_STR(parts, "0:-7;0:text;");
	parts[0] = '\0';
	*cell(0, 64) = 3;
	dtrace_aggregate_snap(&H);
	CHECK_INT(dtrace_aggregate_print(&H, NULL, NULL), 0);
	CHECK_STR(parts, "2:                3;8:\n;");
	teardown();
}

/* ---- hashes in the kernel ---------------------------------------------------------------------- */

static double now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec * 1e3 + (double)ts.tv_nsec / 1e6;
}

static int ncpus_real;
static u64 values[1024];

static void store(u32 key, u32 bucket, u64 a, u64 b)
{
	u32 k[2] = { key, bucket };

	memset(values, 0, sizeof(values));
	values[0] = a;
	values[ncpus_real > 1 ? 1 : 0] += b;
	CHECK_INT(bpf_map_update_elem(M[2].fd, k, values, 0), 0);
}

static u32 entries(void)
{
	u32 n = 0, k[2], next[2];
	int more = bpf_map_get_next_key(M[2].fd, NULL, k);

	while (!more) {
		n++;
		more = bpf_map_get_next_key(M[2].fd, k, next);
		memcpy(k, next, sizeof(k));
	}
	return n;
}

static bool hash_setup(int func, u32 words, u32 shown)
{
	LIBBPF_OPTS(bpf_map_create_opts, opts, .map_flags = BPF_F_NO_PREALLOC);

	setup();
	L.ncpus = ncpus_real = libbpf_num_possible_cpus();
	M[0].nelems = M[1].nelems = NCPUS;
	M[2].fd = bpf_map_create(BPF_MAP_TYPE_PERCPU_HASH, "t", 8, words * 8, 200000, &opts);
	if (M[2].fd < 0)
		return false;
	agg(0, "h", func, DT_AGG_HASH, 0, words, shown);
	agg_key(0, (struct dt_datum){ .kind = DT_D_INT, .size = 4 }, 4);
	aggs[0].keysize = 8;
	aggs[0].map = 2;
	start();
	return true;
}

static int sum_rows(const dtrace_aggdata_t *d, void *arg)
{
	u64 *sum = arg, v;

	memcpy(&v, d->dtada_data + 16, sizeof(v));
	sum[0]++;
	sum[1] += v;
	return to_do;
}

static void test_hash(void)
{
	u64 sum[2] = { 0 };

	if (!hash_setup(DTRACEAGG_COUNT, 1, 8)) {
		printf("hashes: skipped\n");
		teardown();
		return;
	}
	store(1, 0, 1, 1);
	store(2, 0, 5, 0);
	CHECK_STR(walked(), "h=2 h=5 ");
	to_do = DTRACE_AGGWALK_REMOVE;
	walked();
	to_do = DTRACE_AGGWALK_NEXT;
	CHECK_INT(entries(), 2);
	store(2, 0, 5, 3); /* goes on counting */
	CHECK_STR(walked(), "h=3 ");
	CHECK_INT(entries(), 1);
	store(1, 0, 9, 0); /* anew */
	CHECK_STR(walked(), "h=3 h=9 ");
	dtrace_aggregate_clear(&H);
	CHECK_STR(walked(), "h=0 h=0 ");
	store(1, 0, 10, 0);
	CHECK_STR(walked(), "h=0 h=1 ");
	for (u32 i = 0; i < 100000; i++)
		store(i, 0, i, 1);
	double t0 = now();

	CHECK_INT(dtrace_aggregate_snap(&H), 0);
	double t1 = now();

	CHECK_INT(dtrace_aggregate_snap(&H), 0);
	double t2 = now();

	CHECK_INT(dtrace_aggregate_walk(&H, sum_rows, sum), 0);
	double t3 = now();

	CHECK_INT(sum[0], 100000);
	to_do = DTRACE_AGGWALK_REMOVE;
	CHECK_INT(dtrace_aggregate_walk_sorted(&H, sum_rows, sum), 0);
	double t4 = now();

	to_do = DTRACE_AGGWALK_NEXT;
	CHECK_INT(dtrace_aggregate_snap(&H), 0);
	double t5 = now();

	CHECK_INT(entries(), 0);
	CHECK_INT(H.aggs->v[0].nlist, 0);
	printf("100000 rows: first snapshot %.1f ms, again %.1f, walk %.1f, sorted %.1f, removal %.1f\n",
	       t1 - t0, t2 - t1, t3 - t2, t4 - t3, t5 - t4);
	for (u32 i = 0; i < 1000; i++)
		store(i, 0, i, 1);
	H.aggs->slow = true;
	memset(sum, 0, sizeof(sum));
	CHECK_INT(dtrace_aggregate_snap(&H), 0);
	CHECK_INT(dtrace_aggregate_walk(&H, sum_rows, sum), 0);
	CHECK_INT(sum[0], 1000);
	CHECK_INT(sum[1], 1000 + 999 * 500);
	teardown();
}

static void test_hash_minmax(void)
{
	if (!hash_setup(DTRACEAGG_MIN, 2, 8)) {
		teardown();
		return;
	}
	u32 k[2] = { 3, 0 };

	memset(values, 0, sizeof(values));
	values[0] = (u64)-9;
	values[1] = 1;
	if (ncpus_real > 1) {
		values[2] = 100;
		values[3] = 1;
	}
	CHECK_INT(bpf_map_update_elem(M[2].fd, k, values, 0), 0);
	CHECK_STR(walked(), "h=-9 ");
	dtrace_aggregate_clear(&H);
	CHECK_INT(entries(), 0);
	CHECK_STR(walked(), "h=0 ");
	values[0] = 7;
	CHECK_INT(bpf_map_update_elem(M[2].fd, k, values, 0), 0);
	CHECK_STR(walked(), "h=7 ");
	to_do = DTRACE_AGGWALK_REMOVE;
	walked();
	to_do = DTRACE_AGGWALK_NEXT;
	CHECK_INT(entries(), 0);
	CHECK_STR(walked(), "");
	CHECK_INT(H.aggs->v[0].nlist, 0);
	teardown();
}

static void test_hash_dist(void)
{
	if (!hash_setup(DTRACEAGG_QUANTIZE, 1, 127 * 8)) {
		teardown();
		return;
	}
	aggs[0].nbuckets = 127;
	aggs[0].bucket_off = 4;
	store(5, 63, 1, 0);
	store(5, 65, 0, 3);
	store(6, 60, 1, 1);
	store(6, 127, 1, 1); /* no such bucket */
	CHECK_INT(dtrace_aggregate_snap(&H), 0);
	printed(dtrace_aggregate_walk_keysorted);
	CHECK_TEXT("        5\n           value  " BARS " count    \n"
		   "              -1 |                                         0        \n"
		   "               0 |@@@@@@@@@@                               1        \n"
		   "               1 |                                         0        \n"
		   "               2 |@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@           3        \n"
		   "               4 |                                         0        \n\n"
		   "        6\n           value  " BARS " count    \n"
		   "              -8 |                                         0        \n"
		   "              -4 |@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@ 2        \n"
		   "              -2 |                                         0        \n\n");
	to_do = DTRACE_AGGWALK_REMOVE;
	walked();
	to_do = DTRACE_AGGWALK_NEXT;
	store(5, 65, 0, 4);
	CHECK_INT(dtrace_aggregate_snap(&H), 0);
	printed(NULL);
	CHECK_TEXT("        5\n           value  " BARS " count    \n"
		   "               1 |                                         0        \n"
		   "               2 |@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@ 1        \n"
		   "               4 |                                         0        \n\n");
	CHECK_INT(entries(), 3); /* two of row 5, and the impossible one */
	teardown();
}

static void test_flow(void)
{
	setup();
	epid(0, 0, 0, 0, true);
	epid(1, 0, 0, 0, true);
	O.nepids = 2;
	H.opts.val[DT_OPT_FLOWINDENT] = 1;
	start();
	put(0, DT_REC_COMMIT, 1, 4, 1, "",
	    0); /* read entry, twice; write entry and return; read return twice */
	put(0, DT_REC_COMMIT, 2, 4, 1, "", 0);
	put(0, DT_REC_COMMIT, 1, 6, 2, "", 0);
	put(0, DT_REC_COMMIT, 1, 7, 3, "", 0);
	put(0, DT_REC_COMMIT, 1, 5, 4, "", 0);
	put(0, DT_REC_COMMIT, 2, 5, 4, "", 0);
	put(0, DT_REC_COMMIT, 2, 1, 5, "", 0);
	CHECK_INT(drain(true), 0);
	CHECK_STR(seen,
		  "[0 entry => 0][0 entry| 2][0 entry => 2][0 return <= 2][0 return| 2][0 return <= 0]"
		  "[0 BEGIN| 0]");
	free(text);
	teardown();
}

int main(void)
{
	test_order();
	test_laps();
	test_faults_and_drops();
	test_actions();
	test_formats();
	test_cells();
	test_distributions();
	test_dense();
	test_buffered();
	test_flow();
	test_hash();
	test_hash_minmax();
	test_hash_dist();
	return test_status();
}
