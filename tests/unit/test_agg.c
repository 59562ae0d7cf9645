/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_agg.c - aggregations: snapshots that lose nothing, clearing, removing, orders, text.  Cells
 * are in plain memory; hashes are the kernel's, where this process may make some.
 */
#include <bpf/bpf.h>
#include <errno.h>
#include <unistd.h>

#include "consume/buckets.h"
#include "fakelive.h"
#include "test.h"

#define STATE 65536
#define NAGGS 12

static struct dt_aggspec specs[NAGGS];
static dtrace_recdesc_t recs[NAGGS][6];
static struct dt_datum keys[NAGGS][4];
static struct dt_mapspec maps[FAKE_MAPS];
static u32 state_top;

static dtrace_hdl_t *open_fake(void)
{
	static const struct dt_provider sys = { .name = "syscall" };
	dtrace_hdl_t *h = fake_open(2, 0, 0, STATE);
	struct dt_attach model = { .kind = DT_AT_RAW_TP, .nkeys = 16 }, *at;

	at = dt_probes_add_attach(&h->probes, &model);
	dt_probes_add(&h->probes, &sys, 10, "vmlinux", "read", "entry", at, 1, NULL);
	dt_probes_add(&h->probes, &sys, 11, "vmlinux", "read", "return", at, 2, NULL);
	dt_probes_add(&h->probes, &sys, 12, "vmlinux", "write", "entry", at, 3, NULL);
	memset(specs, 0, sizeof(specs));
	state_top = DT_ST_FIXED;
	h->obj->aggs = specs;
	h->obj->maps = maps;
	h->obj->nmaps = FAKE_MAPS;
	return h;
}

static u32 words_of(int func)
{
	return func == DTRACEAGG_STDDEV                              ? 4 :
	       func == DTRACEAGG_COUNT || func >= DTRACEAGG_QUANTIZE ? 1 :
								       2;
}

static u32 shown_words(const struct dt_aggspec *a)
{
	switch (a->func) {
	case DTRACEAGG_AVG: return 2;
	case DTRACEAGG_STDDEV: return 4;
	case DTRACEAGG_QUANTIZE: return 127;
	case DTRACEAGG_LQUANTIZE: return 1 + a->nbuckets;
	case DTRACEAGG_LLQUANTIZE: return 2 + a->nbuckets / 2;
	default: return 1;
	}
}

static u32 shown_key(const struct dt_datum *d)
{
	return d->kind == DT_D_PROBEFUNC ? DTRACE_FUNCNAMELEN :
	       d->kind >= DT_D_PROBEPROV ? 64 :
					   d->size;
}

/* As the generator lays aggregations out. */
static struct dt_aggspec *add(dtrace_hdl_t *h, const char *name, int func, enum dt_aggstore store,
			      const struct dt_datum *k, u32 nkeys, const s64 *param)
{
	u32 i = h->obj->naggs++, off = 0, shown = 8;
	struct dt_aggspec *a = &specs[i];
	dtrace_recdesc_t *r = recs[i];
	bool dist = func >= DTRACEAGG_QUANTIZE;

	*a = (struct dt_aggspec){ .name = name,
				  .varid = i + 1,
				  .func = func,
				  .store = store,
				  .map = -1,
				  .bucket_off = -1,
				  .nkeys = nkeys,
				  .keys = keys[i] };
	if (param)
		memcpy(a->param, param, sizeof(a->param));
	if (func == DTRACEAGG_QUANTIZE)
		a->nbuckets = 127;
	else if (func == DTRACEAGG_LQUANTIZE)
		a->nbuckets = dt_lquantize_nbuckets(param[0], param[1], param[2]);
	else if (func == DTRACEAGG_LLQUANTIZE)
		a->nbuckets = dt_llquantize_nbuckets(param[0], param[1], param[2], param[3]);
	r[0] = (dtrace_recdesc_t){ .dtrd_action = DTRACEACT_DIFEXPR, .dtrd_size = 8 };
	for (u32 n = 0; n < nkeys; n++) {
		u32 size = k[n].kind >= DT_D_PROBEPROV ? 4 : k[n].size;

		off = DT_ROUNDUP(off, DT_MIN(size, 8u));
		keys[i][n] = k[n];
		keys[i][n].off = off;
		keys[i][n].size = size;
		off += size;
		r[n + 1] = (dtrace_recdesc_t){ .dtrd_action = DTRACEACT_DIFEXPR,
					       .dtrd_offset = shown,
					       .dtrd_size = shown_key(&k[n]),
					       .dtrd_uarg = (uintptr_t)&keys[i][n] };
		shown = DT_ROUNDUP(shown + shown_key(&k[n]), 8u);
	}
	if (dist) {
		off = DT_ROUNDUP(off, 4u);
		a->bucket_off = (s32)off;
		off += 4;
	}
	a->cpu_off = DT_ROUNDUP(off, 4u);
	a->keysize = a->cpu_off + 4;
	a->nwords = !dist ? words_of(func) : store == DT_AGG_HASH ? 1 : a->nbuckets;
	r[nkeys + 1] = (dtrace_recdesc_t){ .dtrd_action = (dtrace_actkind_t)func,
					   .dtrd_offset = shown,
					   .dtrd_size = shown_words(a) * 8 };
	a->shown_size = shown + shown_words(a) * 8;
	a->desc = (dtrace_aggdesc_t){ .dtagd_name = name,
				      .dtagd_varid = i + 1,
				      .dtagd_id = i + 1,
				      .dtagd_size = a->shown_size,
				      .dtagd_nrecs = (int)nkeys + 2,
				      .dtagd_rec = r };
	if (store != DT_AGG_HASH) {
		a->off = state_top;
		state_top += a->nwords * 8 * (store == DT_AGG_DENSE ? 4 : 1);
		CHECK(state_top <= STATE);
	}
	return a;
}

static u64 *cell(dtrace_hdl_t *h, const struct dt_aggspec *a, int cpu, u32 row)
{
	return (u64 *)(void *)((u8 *)dt_live_state(h->live, cpu) + a->off) + (size_t)row * a->nwords;
}

static void start(dtrace_hdl_t *h)
{
	h->aggs = dt_aggs_new(h, h->obj);
	if (!CHECK(h->aggs))
		fprintf(stderr, "%s\n", h->err.msg);
}

/* ---- walks that write down what they saw ----------------------------------------------------- */

struct seen {
	char log[4096];
	size_t n;
	int rows, rv;
	u64 normal;
};

static void note(struct seen *s, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	if (s->n < sizeof(s->log))
		s->n += (size_t)vsnprintf(s->log + s->n, sizeof(s->log) - s->n, fmt, ap);
	va_end(ap);
}

static void note_key(struct seen *s, const dtrace_aggdata_t *d, int i)
{
	const dtrace_recdesc_t *r = &d->dtada_desc->dtagd_rec[i];
	const char *p = d->dtada_data + r->dtrd_offset;

	if (((const struct dt_datum *)(uintptr_t)r->dtrd_uarg)->kind == DT_D_STR)
		note(s, "%.*s,", (int)r->dtrd_size, p);
	else if (r->dtrd_size == 8)
		note(s, "%lld,", *(const long long *)(const void *)p);
	else if (r->dtrd_size == 4)
		note(s, "%d,", *(const int *)(const void *)p);
	else
		note(s, "%.*s,", (int)r->dtrd_size, p);
}

static void note_row(struct seen *s, const dtrace_aggdata_t *d)
{
	const dtrace_recdesc_t *r = &d->dtada_desc->dtagd_rec[d->dtada_desc->dtagd_nrecs - 1];
	const u64 *v = (const u64 *)(const void *)(d->dtada_data + r->dtrd_offset);

	for (int i = 1; i < d->dtada_desc->dtagd_nrecs - 1; i++)
		note_key(s, d, i);
	if (r->dtrd_action < DTRACEAGG_QUANTIZE)
		for (u32 i = 0; i < r->dtrd_size / 8; i++)
			note(s, "%s%lld", i ? ":" : "", (long long)v[i]);
	else
		for (u32 i = r->dtrd_action != DTRACEAGG_QUANTIZE; i < r->dtrd_size / 8; i++)
			if (v[i])
				note(s, "[%u]%lld", i, (long long)v[i]);
}

static int on_row(const dtrace_aggdata_t *d, void *arg)
{
	struct seen *s = arg;

	s->rows++;
	note(s, "%s=", d->dtada_desc->dtagd_name);
	note_row(s, d);
	note(s, " ");
	CHECK(d->dtada_size == d->dtada_desc->dtagd_size);
	CHECK_INT(*(const s64 *)(const void *)d->dtada_data, d->dtada_desc->dtagd_varid);
	if (s->normal)
		((dtrace_aggdata_t *)(uintptr_t)d)->dtada_normal = s->normal;
	return s->rv;
}

static void rows_are(dtrace_hdl_t *h, dtrace_aggregate_walk_f *walk, int rv, const char *want)
{
	struct seen s = { .rv = rv };

	CHECK_INT(walk(h, on_row, &s), 0);
	CHECK_STR(s.log, want);
}

static void snap_is(dtrace_hdl_t *h, const char *want)
{
	CHECK_INT(dtrace_aggregate_snap(h), 0);
	rows_are(h, dtrace_aggregate_walk_keysorted, DTRACE_AGGWALK_NEXT, want);
}

static void text_is(dtrace_hdl_t *h, const char *want)
{
	char *text = NULL;
	size_t n = 0;
	FILE *fp = open_memstream(&text, &n);

	CHECK_INT(dtrace_aggregate_print(h, fp, NULL), 0);
	fclose(fp);
	CHECK_STR(text, want);
	free(text);
}

/* ---- cells ----------------------------------------------------------------------------------- */

static void test_cells(void)
{
	dtrace_hdl_t *h = open_fake();
	struct dt_aggspec *c = add(h, "c", DTRACEAGG_COUNT, DT_AGG_CELL, NULL, 0, NULL);
	struct dt_aggspec *s = add(h, "s", DTRACEAGG_SUM, DT_AGG_CELL, NULL, 0, NULL);
	struct dt_aggspec *a = add(h, "a", DTRACEAGG_AVG, DT_AGG_CELL, NULL, 0, NULL);
	struct dt_aggspec *mn = add(h, "mn", DTRACEAGG_MIN, DT_AGG_CELL, NULL, 0, NULL);
	struct dt_aggspec *mx = add(h, "mx", DTRACEAGG_MAX, DT_AGG_CELL, NULL, 0, NULL);

	start(h);
	snap_is(h, "");
	cell(h, c, 0, 0)[0] = 3;
	cell(h, c, 1, 0)[0] = 4;
	cell(h, s, 1, 0)[0] = (u64)-10, cell(h, s, 1, 0)[1] = 1;
	cell(h, a, 0, 0)[0] = 2, cell(h, a, 0, 0)[1] = 31;
	cell(h, mn, 0, 0)[0] = 5, cell(h, mn, 0, 0)[1] = 1;
	cell(h, mn, 1, 0)[0] = (u64)-5, cell(h, mn, 1, 0)[1] = 1;
	cell(h, mx, 1, 0)[0] = (u64)-7, cell(h, mx, 1, 0)[1] = 1;
	snap_is(h, "c=7 s=-10 a=2:31 mn=-5 mx=-7 ");
	snap_is(h, "c=7 s=-10 a=2:31 mn=-5 mx=-7 ");
	dtrace_aggregate_clear(h);
	rows_are(h, dtrace_aggregate_walk_sorted, 0, "c=0 s=0 a=0:0 mn=0 mx=0 ");
	snap_is(h, "c=0 s=0 a=0:0 mn=0 mx=0 ");
	cell(h, c, 0, 0)[0] += 2;
	cell(h, mn, 0, 0)[0] = 9, cell(h, mn, 0, 0)[1] = 1; /* a program finds `seen` cleared */
	cell(h, mx, 0, 0)[0] = (u64)-9, cell(h, mx, 0, 0)[1] = 1;
	snap_is(h, "c=2 s=0 a=0:0 mn=9 mx=-9 ");
	rows_are(h, dtrace_aggregate_walk_sorted, DTRACE_AGGWALK_REMOVE, "c=2 s=0 a=0:0 mn=9 mx=-9 ");
	rows_are(h, dtrace_aggregate_walk_sorted, 0, "");
	snap_is(h, "");
	cell(h, s, 0, 0)[1] = 1; /* sum(0) is a value */
	cell(h, c, 1, 0)[0] += 1;
	cell(h, mx, 1, 0)[0] = 1, cell(h, mx, 1, 0)[1] = 1;
	snap_is(h, "c=1 s=0 mx=1 ");
	fake_close(h);
}

static void test_stddev(void)
{
	dtrace_hdl_t *h = open_fake();
	struct dt_aggspec *a = add(h, "d", DTRACEAGG_STDDEV, DT_AGG_CELL, NULL, 0, NULL);
	u64 *p = cell(h, a, 0, 0), *q = cell(h, a, 1, 0);

	start(h);
	/* the low words of two CPUs overflow into the high one; so does what comes later */
	p[0] = 1, p[1] = 1, p[2] = UINT64_MAX, p[3] = 1;
	q[0] = 1, q[1] = 2, q[2] = 2, q[3] = 0;
	snap_is(h, "d=2:3:1:2 ");
	p[0] = 2, p[2] = 4, p[3] = 2; /* +5 */
	snap_is(h, "d=3:3:6:2 ");
	memset(p, 0, 32), memset(q, 0, 32);
	fake_close(h);

	h = open_fake();
	a = add(h, "d", DTRACEAGG_STDDEV, DT_AGG_CELL, NULL, 0, NULL);
	start(h);
	p = cell(h, a, 0, 0);
	for (s64 v = 1; v <= 9; v++)
		p[0]++, p[1] += (u64)(v * 1000), p[2] += (u64)(v * v * 1000000);
	CHECK_INT(dtrace_aggregate_snap(h), 0);
	text_is(h, "             2581\n");
	fake_close(h);
}

/* A program cell's worth of a distribution from C's own bucket functions. */
static void fill(dtrace_hdl_t *h, const struct dt_aggspec *a, int cpu, s64 v, s64 n)
{
	const s64 *p = a->param;
	u64 t[512], mag = v < 0 ? -(u64)v : (u64)v;
	u32 b, k = 0, nt;

	if (a->func == DTRACEAGG_QUANTIZE) {
		b = dt_quantize_bucket(v);
	} else if (a->func == DTRACEAGG_LQUANTIZE) {
		b = dt_lquantize_bucket(v, p[0], p[1], p[2]);
	} else {
		nt = dt_llquantize_thresholds(p[0], p[1], p[2], p[3], t, 512);
		while (k < nt && t[k] <= mag)
			k++;
		b = v < 0 ? nt - k : nt + k;
	}
	cell(h, a, cpu, 0)[b] += (u64)n;
}

#define BARS "@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@"
#define HEAD "\n           value  ------------- Distribution ------------- count    \n"

static void test_quantize(void)
{
	dtrace_hdl_t *h = open_fake();
	struct dt_aggspec *a = add(h, "q", DTRACEAGG_QUANTIZE, DT_AGG_CELL, NULL, 0, NULL);

	start(h);
	fill(h, a, 0, 2, 1), fill(h, a, 1, 4, 1), fill(h, a, 0, 5, 1), fill(h, a, 1, 8, 1);
	snap_is(h, "q=[65]1[66]2[67]1 ");
	text_is(h, HEAD "               1 |                                         0        \n"
			"               2 |@@@@@@@@@@                               1        \n"
			"               4 |@@@@@@@@@@@@@@@@@@@@                     2        \n"
			"               8 |@@@@@@@@@@                               1        \n"
			"              16 |                                         0        \n\n");
	dtrace_aggregate_clear(h);
	text_is(h, HEAD "              -1 |                                         0        \n"
			"               0 |                                         0        \n"
			"               1 |                                         0        \n\n");
	fill(h, a, 0, -1, -3); /* weights may be negative */
	CHECK_INT(dtrace_aggregate_snap(h), 0);
	text_is(h, HEAD "              -2                                         | 0        \n"
			"              -1 " BARS "| -3       \n"
			"               0                                         | 0        \n\n");
	fill(h, a, 0, 4, 3);
	fill(h, a, 0, 8, 6);
	CHECK_INT(dtrace_aggregate_snap(h), 0);
	text_is(h, HEAD "              -2                     |                     0        \n"
			"              -1                @@@@@|                     -3       \n"
			"               0                     |                     0        \n"
			"               1                     |                     0        \n"
			"               2                     |                     0        \n"
			"               4                     |@@@@@                3        \n"
			"               8                     |@@@@@@@@@@           6        \n"
			"              16                     |                     0        \n\n");
	fake_close(h);
}

static void test_lquantize(void)
{
	dtrace_hdl_t *h = open_fake();
	struct dt_aggspec *a =
		add(h, "l", DTRACEAGG_LQUANTIZE, DT_AGG_CELL, NULL, 0, (s64[4]){ 3, 7, 3 });

	start(h);
	fill(h, a, 0, 2, 1), fill(h, a, 0, 4, 1), fill(h, a, 0, 5, 1), fill(h, a, 0, 8, 1);
	snap_is(h, "l=[1]1[2]2[3]1 ");
	text_is(h, HEAD "             < 3 |@@@@@@@@@@                               1        \n"
			"               3 |@@@@@@@@@@@@@@@@@@@@                     2        \n"
			"            >= 6 |@@@@@@@@@@                               1        \n\n");
	fake_close(h);
}

static int first_word(const dtrace_aggdata_t *d, void *arg)
{
	const dtrace_recdesc_t *r = &d->dtada_desc->dtagd_rec[d->dtada_desc->dtagd_nrecs - 1];

	memcpy(arg, d->dtada_data + r->dtrd_offset, 8);
	return DTRACE_AGGWALK_NEXT;
}

static void test_llquantize(void)
{
	dtrace_hdl_t *h = open_fake();
	struct dt_aggspec *a =
		add(h, "ll", DTRACEAGG_LLQUANTIZE, DT_AGG_CELL, NULL, 0, (s64[4]){ 10, 2, 3, 10 });
	u64 word = 0;

	start(h);
	fill(h, a, 0, 0, 1), fill(h, a, 0, 50, 1), fill(h, a, 0, 100, 2), fill(h, a, 1, 10000, 2);
	snap_is(h, "ll=[1]2[2]2[20]2 ");
	dtrace_aggregate_walk(h, first_word, &word);
	CHECK_INT(DTRACE_LLQUANTIZE_FACTOR(word), 10);
	CHECK_INT(DTRACE_LLQUANTIZE_LOW(word), 2);
	CHECK_INT(DTRACE_LLQUANTIZE_HIGH(word), 3);
	CHECK_INT(DTRACE_LLQUANTIZE_NSTEP(word), 10);
	text_is(h, HEAD "           < 100 |@@@@@@@@@@@@@                            2        \n"
			"             100 |@@@@@@@@@@@@@                            2        \n"
			"             200 |                                         0        \n"
			"             300 |                                         0        \n"
			"             400 |                                         0        \n"
			"             500 |                                         0        \n"
			"             600 |                                         0        \n"
			"             700 |                                         0        \n"
			"             800 |                                         0        \n"
			"             900 |                                         0        \n"
			"            1000 |                                         0        \n"
			"            2000 |                                         0        \n"
			"            3000 |                                         0        \n"
			"            4000 |                                         0        \n"
			"            5000 |                                         0        \n"
			"            6000 |                                         0        \n"
			"            7000 |                                         0        \n"
			"            8000 |                                         0        \n"
			"            9000 |                                         0        \n"
			"        >= 10000 |@@@@@@@@@@@@@                            2        \n\n");
	fill(h, a, 0, -500, 4);
	snap_is(h, "ll=[1]6[2]2[20]2 ");
	fake_close(h);

	h = open_fake();
	a = add(h, "ll", DTRACEAGG_LLQUANTIZE, DT_AGG_CELL, NULL, 0, (s64[4]){ 10, 0, 0, 10 });
	start(h);
	fill(h, a, 0, -2, 1), fill(h, a, 0, 0, 1), fill(h, a, 0, 1, 2);
	CHECK_INT(dtrace_aggregate_snap(h), 0);
	text_is(h, HEAD "              -3 |                                         0        \n"
			"              -2 |@@@@@@@@@@                               1        \n"
			"              -1 |                                         0        \n"
			"       abs() < 1 |@@@@@@@@@@                               1        \n"
			"               1 |@@@@@@@@@@@@@@@@@@@@                     2        \n"
			"               2 |                                         0        \n\n");
	fake_close(h);
}

/* ---- rows named by probes -------------------------------------------------------------------- */

static void test_dense(void)
{
	dtrace_hdl_t *h = open_fake();
	struct dt_datum func = { .kind = DT_D_PROBEFUNC };
	static u32 probes[] = { 10, 11, 12, 0 };
	struct dt_aggspec *c = add(h, "c", DTRACEAGG_COUNT, DT_AGG_DENSE, &func, 1, NULL);
	struct dt_aggspec *m = add(h, "m", DTRACEAGG_MAX, DT_AGG_DENSE, &func, 1, NULL);

	c->nrows = m->nrows = 4;
	c->row_probe = m->row_probe = probes;
	start(h);
	cell(h, c, 0, 0)[0] = 1; /* read:entry and read:return are one row */
	cell(h, c, 1, 1)[0] = 2;
	cell(h, c, 1, 2)[0] = 5;
	cell(h, m, 0, 0)[0] = 4, cell(h, m, 0, 0)[1] = 1;
	cell(h, m, 0, 1)[0] = 6, cell(h, m, 0, 1)[1] = 1;
	snap_is(h, "c=read,3 c=write,5 m=read,6 ");
	rows_are(h, dtrace_aggregate_walk_valrevsorted, DTRACE_AGGWALK_REMOVE,
		 "m=read,6 c=write,5 c=read,3 ");
	snap_is(h, "");
	cell(h, c, 1, 1)[0]++;
	cell(h, m, 1, 1)[0] = 1, cell(h, m, 1, 1)[1] = 1;
	snap_is(h, "c=read,1 m=read,1 ");
	text_is(h, "  read                                                              1\n"
		   "  read                                                              1\n");
	fake_close(h);
}

/* ---- hashes ---------------------------------------------------------------------------------- */

#define NCPUS 2

static bool make_map(dtrace_hdl_t *h, struct dt_aggspec *a, u32 n)
{
	LIBBPF_OPTS(bpf_map_create_opts, o, .map_flags = BPF_F_NO_PREALLOC);
	int fd = bpf_map_create(BPF_MAP_TYPE_HASH, "t_agg", a->keysize, a->nwords * 8, n, &o);

	a->map = (int)(a - specs);
	h->live->fds[a->map] = fd;
	maps[a->map] = (struct dt_mapspec){ .role = DT_MAP_AGG, .max_entries = n };
	return fd >= 0;
}

/* What a program would do on one CPU. */
static void bump(dtrace_hdl_t *h, const struct dt_aggspec *a, const void *shown, u32 cpu, u64 v)
{
	u64 w[4] = { 0 };
	u8 key[256] = { 0 };

	memcpy(key, shown, a->cpu_off);
	memcpy(key + a->cpu_off, &cpu, 4);
	bpf_map_lookup_elem(h->live->fds[a->map], key, w);
	switch (a->func) {
	case DTRACEAGG_MIN:
		if (!w[1] || (s64)v < (s64)w[0])
			w[0] = v, w[1] = 1;
		break;
	case DTRACEAGG_AVG: w[0]++, w[1] += v; break;
	case DTRACEAGG_SUM:
		w[0] += v;
		w[1] = 1;
		break;
	default: w[0] += v;
	}
	CHECK_INT(bpf_map_update_elem(h->live->fds[a->map], key, w, BPF_ANY), 0);
}

static u32 map_keys(dtrace_hdl_t *h, const struct dt_aggspec *a)
{
	u8 key[256];
	void *prev = NULL;
	u32 n = 0;

	while (bpf_map_get_next_key(h->live->fds[a->map], prev, key) == 0) {
		prev = key;
		n++;
	}
	return n;
}

static void close_maps(dtrace_hdl_t *h)
{
	for (int i = 0; i < FAKE_MAPS; i++)
		if (h->live->fds[i] >= 0)
			close(h->live->fds[i]);
	fake_close(h);
}

static void test_hash(void)
{
	dtrace_hdl_t *h = open_fake();
	struct dt_datum k[] = { { .kind = DT_D_INT, .size = 4 }, { .kind = DT_D_STR, .size = 8 } };
	struct dt_aggspec *c = add(h, "c", DTRACEAGG_COUNT, DT_AGG_HASH, k, 2, NULL);
	struct dt_aggspec *m = add(h, "m", DTRACEAGG_MIN, DT_AGG_HASH, k, 1, NULL);
	struct {
		s32 i, pad;
		char s[8];
	} a = { 1, 0, "one" }, b = { -2, 0, "two" };

	make_map(h, c, 64);
	make_map(h, m, 64);
	start(h);
	bump(h, c, &a, 0, 3);
	bump(h, c, &a, NCPUS - 1, 2);
	bump(h, c, &b, 0, 1);
	bump(h, m, &a, 0, 7);
	snap_is(h, "c=-2,two,1 c=1,one,5 m=1,7 ");
	snap_is(h, "c=-2,two,1 c=1,one,5 m=1,7 ");
	dtrace_aggregate_clear(h);
	bump(h, c, &a, 0, 1);
	bump(h, m, &a, 0, 9); /* above what was the minimum before */
	snap_is(h, "c=-2,two,0 c=1,one,1 m=1,9 ");
	/* removed rows come back with what is new */
	rows_are(h, dtrace_aggregate_walk_keysorted, DTRACE_AGGWALK_REMOVE,
		 "c=-2,two,0 c=1,one,1 m=1,9 ");
	bump(h, c, &b, 0, 4);
	snap_is(h, "c=-2,two,4 ");
	bump(h, c, &a, 0, 6);
	bump(h, m, &a, 0, 11);
	snap_is(h, "c=-2,two,4 c=1,one,6 m=1,11 ");
	close_maps(h);
}

static void test_sparse(void)
{
	dtrace_hdl_t *h = open_fake();
	struct dt_datum k = { .kind = DT_D_PROBEFUNC };
	struct dt_aggspec *q = add(h, "q", DTRACEAGG_QUANTIZE, DT_AGG_HASH, &k, 1, NULL);
	u32 keybuf[][2] = { { 10, 65 }, { 11, 65 }, { 10, 67 }, { 12, 63 }, { 12, 4000 } };

	make_map(h, q, 64);
	start(h);
	for (int i = 0; i < 5; i++)
		bump(h, q, keybuf[i], 0, (u64)i + 1);
	snap_is(h, "q=read,[65]3[67]3 q=write,[63]4 ");
	rows_are(h, dtrace_aggregate_walk_keysorted, DTRACE_AGGWALK_REMOVE,
		 "q=read,[65]3[67]3 q=write,[63]4 ");
	bump(h, q, keybuf[2], 0, 1);
	snap_is(h, "q=read,[67]1 ");
	snap_is(h, "q=read,[67]1 ");
	close_maps(h);
}

/* Changing keys for a long time: the kernel's map does not fill. */
static void test_churn(void)
{
	dtrace_hdl_t *h = open_fake();
	struct dt_datum k = { .kind = DT_D_UINT, .size = 8 };
	struct dt_aggspec *c = add(h, "c", DTRACEAGG_SUM, DT_AGG_HASH, &k, 1, NULL);
	u32 most = 0;

	make_map(h, c, 1024);
	start(h);
	for (u64 round = 0; round < 60; round++) {
		struct seen s = { .rv = DTRACE_AGGWALK_REMOVE };

		for (u64 i = 0; i < 100; i++) {
			u64 key = round * 60 + i;

			bump(h, c, &key, i % NCPUS, i);
		}
		CHECK_INT(dtrace_aggregate_snap(h), 0);
		if (round % 3 == 0)
			continue;
		s.n = sizeof(s.log);
		CHECK_INT(dtrace_aggregate_walk(h, on_row, &s), 0);
		most = DT_MAX(most, map_keys(h, c));
	}
	CHECK(most > 100 && most < 300);
	close_maps(h);
}

static int add_up(const dtrace_aggdata_t *d, void *arg)
{
	const dtrace_recdesc_t *r = &d->dtada_desc->dtagd_rec[2];
	u64 v;

	memcpy(&v, d->dtada_data + r->dtrd_offset, 8);
	*(u64 *)arg += v;
	return DTRACE_AGGWALK_REMOVE;
}

/* Whatever the order of events, snapshots and removals: each is counted once. */
static void test_exact(void)
{
	dtrace_hdl_t *h = open_fake();
	struct dt_datum k = { .kind = DT_D_UINT, .size = 8 };
	struct dt_aggspec *c = add(h, "c", DTRACEAGG_SUM, DT_AGG_HASH, &k, 1, NULL);
	u64 sent = 0, got = 0;

	make_map(h, c, 128); /* small: idle keys have to go */
	start(h);
	srand(1);
	for (int round = 0; round < 300; round++) {
		for (int i = 0; i < 20; i++) {
			u64 key = (u64)(rand() % 50), v = (u64)(rand() % 1000);

			bump(h, c, &key, (u32)(rand() % NCPUS), v);
			sent += v;
		}
		CHECK_INT(dtrace_aggregate_snap(h), 0);
		if (rand() % 2)
			CHECK_INT(dtrace_aggregate_walk(h, add_up, &got), 0);
	}
	CHECK_INT(dtrace_aggregate_snap(h), 0);
	CHECK_INT(dtrace_aggregate_walk(h, add_up, &got), 0);
	CHECK_INT(got, sent);
	close_maps(h);
}

struct picky {
	dtrace_hdl_t *h;
	u64 sum;
	int rows, every;
	bool deep;
};

/* Removes some rows; some callbacks look at everything there is themselves. */
static int remove_some(const dtrace_aggdata_t *d, void *arg)
{
	struct picky *p = arg, inner = { .h = p->h };

	p->sum += *(const u64 *)(const void *)(d->dtada_data + 16);
	if (p->deep && p->rows % 1000 == 0) {
		CHECK_INT(dtrace_aggregate_snap(p->h), 0);
		CHECK_INT(dtrace_aggregate_walk(p->h, remove_some, &inner), 0);
		CHECK_INT(inner.rows, 5000 - (p->rows + p->every - 1) / p->every);
	}
	p->rows++;
	return p->every && (p->rows - 1) % p->every == 0 ? DTRACE_AGGWALK_REMOVE :
							   DTRACE_AGGWALK_NEXT;
}

static void test_many(void)
{
	dtrace_hdl_t *h = open_fake();
	struct dt_datum k = { .kind = DT_D_INT, .size = 8 };
	struct dt_aggspec *c = add(h, "c", DTRACEAGG_COUNT, DT_AGG_HASH, &k, 1, NULL);
	struct picky p = { .h = h, .every = 3, .deep = true }, all = { .h = h };

	if (!make_map(h, c, 65536))
		goto out;
	start(h);
	for (s64 i = 0; i < 5000; i++)
		bump(h, c, &i, (u32)i % 2, (u64)i);
	for (s64 i = 0; i < 5000; i += 5)
		bump(h, c, &i, 1, 1);
	CHECK_INT(dtrace_aggregate_snap(h), 0);
	CHECK_INT(dtrace_aggregate_walk(h, remove_some, &p), 0);
	CHECK_INT(p.rows, 5000);
	CHECK_INT(p.sum, 5000 * 4999 / 2 + 1000);
	CHECK_INT(dtrace_aggregate_snap(h), 0);
	CHECK_INT(dtrace_aggregate_walk(h, remove_some, &all), 0);
	CHECK_INT(all.rows, 5000 - 1667);
	for (s64 i = 0; i < 5000; i++) /* rows that were removed come again with what is new */
		bump(h, c, &i, 0, 1);
	CHECK_INT(dtrace_aggregate_snap(h), 0);
	p = (struct picky){ .h = h, .every = 1 };
	CHECK_INT(dtrace_aggregate_walk(h, remove_some, &p), 0);
	CHECK_INT(p.rows, 5000);
	CHECK_INT(p.sum, all.sum + 5000);
	snap_is(h, "");
out:
	close_maps(h);
}

/* ---- orders, actions, text ------------------------------------------------------------------- */

static dtrace_hdl_t *open_table(void)
{
	static const struct {
		s32 k, pad;
		char s[8];
		u64 n;
	} rows[] = { { 3, 0, "c", 10 }, { 1, 0, "b", 30 }, { 2, 0, "a", 20 }, { -5, 0, "d", 20 } };
	dtrace_hdl_t *h = open_fake();
	struct dt_datum k[] = { { .kind = DT_D_INT, .size = 4 }, { .kind = DT_D_STR, .size = 8 } };
	struct dt_aggspec *x = add(h, "x", DTRACEAGG_SUM, DT_AGG_HASH, k, 2, NULL);
	struct dt_aggspec *y = add(h, "y", DTRACEAGG_COUNT, DT_AGG_HASH, k, 2, NULL);

	make_map(h, x, 64);
	make_map(h, y, 64);
	start(h);
	for (int i = 0; i < 4; i++)
		bump(h, x, &rows[i], 0, rows[i].n);
	bump(h, y, &rows[0], 0, 7);
	bump(h, y, &rows[2], 0, 1);
	CHECK_INT(dtrace_aggregate_snap(h), 0);
	return h;
}

static void test_orders(void)
{
	dtrace_hdl_t *h = open_table();

	rows_are(h, dtrace_aggregate_walk_valsorted, 0,
		 "x=3,c,10 x=-5,d,20 x=2,a,20 x=1,b,30 y=2,a,1 y=3,c,7 ");
	rows_are(h, dtrace_aggregate_walk_keysorted, 0,
		 "x=-5,d,20 x=1,b,30 x=2,a,20 x=3,c,10 y=2,a,1 y=3,c,7 ");
	rows_are(h, dtrace_aggregate_walk_keyvarsorted, 0,
		 "x=-5,d,20 x=1,b,30 x=2,a,20 y=2,a,1 x=3,c,10 y=3,c,7 ");
	rows_are(h, dtrace_aggregate_walk_valvarsorted, 0,
		 "y=2,a,1 y=3,c,7 x=3,c,10 x=-5,d,20 x=2,a,20 x=1,b,30 ");
	rows_are(h, dtrace_aggregate_walk_valvarrevsorted, 0,
		 "x=1,b,30 x=2,a,20 x=-5,d,20 x=3,c,10 y=3,c,7 y=2,a,1 ");
	rows_are(h, dtrace_aggregate_walk_keyvarrevsorted, 0,
		 "y=3,c,7 x=3,c,10 y=2,a,1 x=2,a,20 x=1,b,30 x=-5,d,20 ");
	h->opts.val[DT_OPT_AGGSORTREV] = 1;
	rows_are(h, dtrace_aggregate_walk_sorted, 0,
		 "x=1,b,30 x=2,a,20 x=-5,d,20 x=3,c,10 y=3,c,7 y=2,a,1 ");
	h->opts.val[DT_OPT_AGGSORTREV] = DTRACEOPT_UNSET;
	h->opts.val[DT_OPT_AGGSORTKEY] = 1;
	h->opts.val[DT_OPT_AGGSORTKEYPOS] = 1;
	rows_are(h, dtrace_aggregate_walk_sorted, 0,
		 "x=2,a,20 x=1,b,30 x=3,c,10 x=-5,d,20 y=2,a,1 y=3,c,7 ");
	close_maps(h);
}

static int on_joined(const dtrace_aggdata_t **d, const int n, void *arg)
{
	struct seen *s = arg;

	CHECK_INT(n, 3);
	note_key(s, d[0], 1);
	for (int i = 1; i < n; i++) {
		const dtrace_recdesc_t *r = &d[i]->dtada_desc->dtagd_rec[3];

		note(s, " %lld",
		     *(const long long *)(const void *)(d[i]->dtada_data + r->dtrd_offset));
	}
	note(s, ";");
	return DTRACE_AGGWALK_NEXT;
}

static void test_joined(void)
{
	dtrace_hdl_t *h = open_table();
	dtrace_aggvarid_t both[] = { 1, 2 }, bad[] = { 1, 9 };
	struct seen s = { 0 };

	CHECK_INT(dtrace_aggregate_walk_joined(h, both, 2, on_joined, &s), 0);
	CHECK_STR(s.log, "3, 10 7;-5, 20 0;2, 20 1;1, 30 0;");
	h->opts.val[DT_OPT_AGGSORTPOS] = 1;
	s = (struct seen){ 0 };
	CHECK_INT(dtrace_aggregate_walk_joined(h, both, 2, on_joined, &s), 0);
	CHECK_STR(s.log, "-5, 20 0;1, 30 0;2, 20 1;3, 10 7;");
	CHECK_INT(dtrace_aggregate_walk_joined(h, bad, 2, on_joined, &s), -1);
	CHECK_INT(h->err.code, EDT_BADAGGVAR);
	close_maps(h);
}

static void test_codes(void)
{
	dtrace_hdl_t *h = open_table();
	struct seen s = { .rv = DTRACE_AGGWALK_ABORT };

	CHECK_INT(dtrace_aggregate_walk(h, on_row, &s), -1);
	CHECK_INT(s.rows, 1);
	CHECK_INT(h->err.code, EDT_DIRABORT);
	s = (struct seen){ .rv = 99 };
	CHECK_INT(dtrace_aggregate_walk(h, on_row, &s), -1);
	CHECK_INT(h->err.code, EDT_BADRVAL);
	s = (struct seen){ .rv = DTRACE_AGGWALK_NORMALIZE, .normal = 10 };
	CHECK_INT(dtrace_aggregate_walk(h, on_row, &s), 0);
	text_is(h,
		"        3  c                                                                 1\n"
		"       -5  d                                                                 2\n"
		"        2  a                                                                 2\n"
		"        1  b                                                                 3\n"
		"        2  a                                                                 0\n"
		"        3  c                                                                 0\n");
	rows_are(h, dtrace_aggregate_walk_valsorted, DTRACE_AGGWALK_DENORMALIZE,
		 "x=3,c,10 x=-5,d,20 x=2,a,20 x=1,b,30 y=2,a,1 y=3,c,7 ");
	rows_are(h, dtrace_aggregate_walk_valsorted, DTRACE_AGGWALK_CLEAR,
		 "x=3,c,10 x=-5,d,20 x=2,a,20 x=1,b,30 y=2,a,1 y=3,c,7 ");
	rows_are(h, dtrace_aggregate_walk_keysorted, 0,
		 "x=-5,d,0 x=1,b,0 x=2,a,0 x=3,c,0 y=2,a,0 y=3,c,0 ");
	close_maps(h);
}

static void act(dtrace_hdl_t *h, int action, const char *format, u64 number, u32 naggs,
		const char *want)
{
	static u32 which[] = { 0, 1 };
	static struct dt_datum d = { .kind = DT_D_INT, .size = 8 };
	char err[64], *text = NULL;
	size_t n = 0;
	FILE *fp = open_memstream(&text, &n);
	struct dt_aggact a = { .naggs = naggs,
			       .aggs = which,
			       .fmt = format ? dt_fmt_parse(format, err, 64) : NULL };
	dtrace_recdesc_t rec = { .dtrd_action = action ? DTRACEACT_LIBACT : DTRACEACT_PRINTA,
				 .dtrd_size = 8,
				 .dtrd_arg = (u64)action,
				 .dtrd_uarg = (uintptr_t)&d };
	dtrace_probedata_t pd = { .dtpda_handle = h, .dtpda_data = (char *)&number };

	d.act = &a;
	if (action)
		CHECK_INT(dt_libact(h, fp, &pd, &rec, 1), 1);
	else
		CHECK_INT(dt_print_record(h, fp, &pd, &rec, 1), 1);
	fclose(fp);
	CHECK_STR(text, want);
	free(text);
	dt_fmt_free(a.fmt);
}

static void test_actions(void)
{
	dtrace_hdl_t *h = open_table();

	act(h, 0, "%3d %-2s %@d\n", 0, 1, "  3 c  10\n -5 d  20\n  2 a  20\n  1 b  30\n");
	act(h, 0, "%d: %@5u|%@d\n", 0, 2, "3:    10|7\n-5:    20|0\n2:    20|1\n1:    30|0\n");
	act(h, DT_ACT_NORMALIZE, NULL, 10, 1, "");
	act(h, 0, "%d=%@d ", 0, 1, "3=1 -5=2 2=2 1=3 ");
	act(h, DT_ACT_DENORMALIZE, NULL, 0, 1, "");
	act(h, DT_ACT_TRUNC, NULL, 2, 1, "");
	rows_are(h, dtrace_aggregate_walk_keysorted, 0, "x=1,b,30 x=2,a,20 y=2,a,1 y=3,c,7 ");
	text_is(h, ""); /* both were printed */
	act(h, DT_ACT_TRUNC, NULL, (u64)-1, 1, "");
	rows_are(h, dtrace_aggregate_walk_keysorted, 0, "x=2,a,20 y=2,a,1 y=3,c,7 ");
	act(h, 0, NULL, 0, 1,
	    "\n        2  a                                                                20\n");
	act(h, 0, NULL, 0, 2,
	    "\n        3  c                                                                 0"
	    "                7\n        2  a                                                         "
	    "       20                1\n");
	act(h, DT_ACT_CLEAR, NULL, 0, 2, "");
	rows_are(h, dtrace_aggregate_walk_keysorted, 0, "x=2,a,0 y=2,a,0 y=3,c,0 ");
	act(h, DT_ACT_TRUNC, NULL, 0, 2, "");
	rows_are(h, dtrace_aggregate_walk_keysorted, 0, "");
	close_maps(h);
}

int main(void)
{
	int fd;

	test_cells();
	test_stddev();
	test_quantize();
	test_lquantize();
	test_llquantize();
	test_dense();
	fd = bpf_map_create(BPF_MAP_TYPE_HASH, "t", 4, 8, 1, NULL);
	if (fd < 0) {
		if (!test_failures)
			test_skip("hashes need the right to make BPF maps");
		return test_status();
	}
	close(fd);
	test_hash();
	test_sparse();
	test_churn();
	test_exact();
	test_many();
	test_orders();
	test_joined();
	test_codes();
	test_actions();
	return test_status();
}
