/* SPDX-License-Identifier: Apache-2.0 */
/*
 * agg.c - aggregations: where their values live and how a clause updates them.
 *
 * No key: words in each CPU's state, no look-up at all.  Keys that only name the firing probe, at one attach point:
 * a row per probe, found by arithmetic.  Everything else: a hash with the smallest key that will do;
 * distributions there keep one bucket per entry, the bucket's number being part of the key.
 *
 * The CPU's number is part of a hash's key too, so that no two CPUs write one entry.  A per-CPU hash would do the same,
 * but its entries are slow to make (20 us) and to free, and a snapshot of it copies a value for every CPU there
 * is, used or not.
 */
#include <string.h>

#include "codegen/gen.h"
#include "consume/buckets.h"

/* ---- layout ---------------------------------------------------------------------------------------------- */

static bool is_dist(int func)
{
	return func == DTRACEAGG_QUANTIZE || func == DTRACEAGG_LQUANTIZE ||
	       func == DTRACEAGG_LLQUANTIZE;
}

static u32 value_words(int func)
{
	switch (func) {
	case DTRACEAGG_SUM:
	case DTRACEAGG_MIN:
	case DTRACEAGG_MAX:
	case DTRACEAGG_AVG: return 2;
	case DTRACEAGG_STDDEV: return 4;
	default: return 1;
	}
}

static bool is_probe_text(const struct dt_node *n)
{
	return n->op == N_BUILTIN && (n->builtin->flags & DT_BF_PROBE);
}

/* One use of an aggregation: widen what is known about its keys. */
static void see_use(struct gen *g, const struct dt_stmt *s)
{
	struct agg_use *u = &g->agguse[s->agg->varid - 1];
	struct dt_aggspec *a = &g->o->aggs[s->agg->varid - 1];

	if (!u->seen) {
		u->seen = true;
		u->at = g->set;
		u->probe_keys_only = s->nkeys > 0;
		a->nkeys = s->nkeys;
		a->keys = dt_arena_alloc(g->arena, (s->nkeys + 1) * sizeof(*a->keys));
	} else if (u->at != g->set) {
		u->shared = true;
	}
	for (u32 k = 0; k < s->nkeys && k < a->nkeys; k++) {
		struct dt_datum d = { 0 };

		g_datum_of(g, s->keys[k], &d);
		if (!is_probe_text(s->keys[k]))
			u->probe_keys_only = false;
		if (d.kind == DT_D_INT || d.kind == DT_D_UINT) {
			d.size = (u32)dt_type_size(s->agg->keys[k]);
			d.kind = dt_type_is_signed(s->agg->keys[k]) ? DT_D_INT : DT_D_UINT;
		}
		if (!a->keys[k].kind || d.size > a->keys[k].size)
			a->keys[k] = d;
		else if (a->keys[k].kind != d.kind && a->keys[k].kind != DT_D_STR &&
			 dt_type_is_string(s->keys[k]->type))
			a->keys[k] = d;
	}
}

static void see_stmts(struct gen *g, const struct dt_stmt *s)
{
	for (; s; s = s->next) {
		if (s->kind == S_AGG)
			see_use(g, s);
		see_stmts(g, s->then_);
		see_stmts(g, s->else_);
	}
}

/* A key that is a probe's name in one clause and some other string elsewhere is a string everywhere. */
static void unify_probe_keys(struct gen *g, const struct dt_stmt *s)
{
	for (; s; s = s->next) {
		for (u32 k = 0; s->kind == S_AGG && k < s->nkeys; k++) {
			struct dt_datum *d = &g->o->aggs[s->agg->varid - 1].keys[k], mine = { 0 };

			g_datum_of(g, s->keys[k], &mine);
			if (d->kind != mine.kind && dt_type_is_string(s->keys[k]->type)) {
				d->kind = DT_D_STR;
				d->size = DT_MAX(d->size, g_str_bound(g, s->keys[k]));
				g->agguse[s->agg->varid - 1].probe_keys_only = false;
			}
		}
		unify_probe_keys(g, s->then_);
		unify_probe_keys(g, s->else_);
	}
}

static void each_clause(struct gen *g, void (*fn)(struct gen *g, const struct dt_stmt *s))
{
	for (u32 k = 0; k < g->sets.n; k++)
		for (u32 c = 0; c < g->sets.v[k].clauses.n; c++) {
			g->set = &g->sets.v[k];
			g->ac = &g->sets.v[k].clauses.v[c];
			fn(g, g->ac->clause->stmts);
		}
	g->set = NULL;
	g->ac = NULL;
}

static u32 key_bytes(const struct dt_datum *d)
{
	return d->kind >= DT_D_PROBEPROV ? 4 : d->size;
}

/* Largest first would pack best, but the order of keys is what readers of a dump expect. */
static void layout_keys(struct dt_aggspec *a)
{
	u32 off = 0;

	for (u32 k = 0; k < a->nkeys; k++) {
		u32 size = key_bytes(&a->keys[k]), align = size >= 8 ? 8 :
							   size >= 4 ? 4 :
							   size >= 2 ? 2 :
								       1;

		off = DT_ROUNDUP(off, align);
		a->keys[k].off = off;
		if (a->keys[k].kind >= DT_D_PROBEPROV)
			a->keys[k].size = 4;
		off += size;
	}
	a->bucket_off = -1;
	if (is_dist(a->func)) {
		off = DT_ROUNDUP(off, 4);
		a->bucket_off = (s32)off;
		off += 4;
	}
	a->cpu_off = DT_ROUNDUP(off, 4);
	a->keysize = a->cpu_off + 4;
}

static u32 shown_value_size(const struct dt_aggspec *a)
{
	switch (a->func) {
	case DTRACEAGG_AVG: return 16;
	case DTRACEAGG_STDDEV: return 32;
	case DTRACEAGG_QUANTIZE: return DTRACE_QUANTIZE_NBUCKETS * 8;
	case DTRACEAGG_LQUANTIZE: return (1 + a->nbuckets) * 8;
	case DTRACEAGG_LLQUANTIZE:
		return (1 + a->nbuckets / 2 + 1) * 8; /* one-sided: middle and positive buckets */
	default: return 8;
	}
}

static u32 shown_key_size(const struct dt_datum *d)
{
	return g_shown_size(d);
}

static void layout_desc(struct gen *g, struct dt_aggspec *a)
{
	dtrace_recdesc_t *r = dt_arena_alloc(g->arena, (a->nkeys + 2) * sizeof(*r));
	u32 off = 8;

	a->desc.dtagd_name = a->name;
	a->desc.dtagd_varid = a->varid;
	a->desc.dtagd_id = (dtrace_aggid_t)a->varid;
	a->desc.dtagd_nrecs = (int)a->nkeys + 2;
	a->desc.dtagd_rec = r;
	r[0] = (dtrace_recdesc_t){ .dtrd_action = DTRACEACT_DIFEXPR,
				   .dtrd_size = 8,
				   .dtrd_alignment = 8 };
	for (u32 k = 0; k < a->nkeys; k++) {
		off = DT_ROUNDUP(off, 8);
		g_recdesc(&r[k + 1], &a->keys[k], off);
		off += shown_key_size(&a->keys[k]);
	}
	off = DT_ROUNDUP(off, 8);
	r[a->nkeys + 1] = (dtrace_recdesc_t){ .dtrd_action = (dtrace_actkind_t)a->func,
					      .dtrd_size = shown_value_size(a),
					      .dtrd_offset = off,
					      .dtrd_alignment = 8 };
	a->shown_size = off + shown_value_size(a);
	a->desc.dtagd_size = a->shown_size;
}

static void layout_cell(struct gen *g, struct dt_aggspec *a)
{
	a->store = DT_AGG_CELL;
	a->nwords = is_dist(a->func) ? a->nbuckets : value_words(a->func);
	a->off = g->state_top;
	g->state_top += a->nwords * 8;
}

static void layout_dense(struct gen *g, struct dt_aggspec *a, const struct at_set *set)
{
	a->store = DT_AGG_DENSE;
	a->at = set->at;
	a->nwords = value_words(a->func);
	a->nrows = g_table_rows(set);
	a->row_probe = dt_arena_alloc(g->arena, a->nrows * sizeof(u32));
	for (u32 k = 0; k < set->probes.n; k++)
		a->row_probe[g_probe_key(g, set, set->probes.v[k])] = set->probes.v[k]->id;
	a->off = g->state_top;
	g->state_top += a->nrows * a->nwords * 8;
}

#define AGG_BYTES_PER_KEY 32 /* aggsize / this: keys of a hash; 4m: 131072 ... */
#define AGG_CPUS 4           /* ... on each of so many CPUs */
#define AGGS_FULL_SIZE 8     /* hashes that large; more of them are smaller */
#define AGG_OWN_MAP 24       /* when there are more hashes, programs find them in maps of maps */

static void layout_hash(struct gen *g, struct dt_aggspec *a, u32 index)
{
	struct dt_mapspec m = {
		.role = DT_MAP_AGG,
		.type = BPF_MAP_TYPE_HASH,
		.key_size = a->keysize,
		.flags = BPF_F_NO_PREALLOC,
		.index = index,
	};
	u64 entries =
		g->opts->aggsize / AGG_BYTES_PER_KEY * DT_MIN(DT_MAX(g->opts->ncpus, 1), AGG_CPUS);

	entries /= 1 + g->naggmaps / AGGS_FULL_SIZE;

	a->store = DT_AGG_HASH;
	a->nwords = is_dist(a->func) ? 1 : value_words(a->func);
	m.value_size = a->nwords * 8;
	m.max_entries = (u32)DT_MIN(DT_MAX(entries, 1), UINT32_C(1) << 24);
	snprintf(m.name, sizeof(m.name), "dt_agg%u", index % 1000000);
	a->map = (int)g_add_map(g, &m);
}

/* A program may use 64 maps.  Hashes of one size of key and value share a map of maps, for which sizes of keys are
 * rounded up; the rest is zero. */
static void share_hash(struct gen *g, struct dt_aggspec *a, struct agg_use *u)
{
	struct dt_mapspec *m = &g->maps.v[a->map], *set = NULL;
	u32 size = 16;

	while (size < a->keysize)
		size *= 2;
	a->keysize = m->key_size = size;
	for (u32 k = 0; k < g->maps.n && !set; k++) {
		struct dt_mapspec *s = &g->maps.v[k];

		if (s->role == DT_MAP_AGGSET && g->maps.v[s->inner[0]].key_size == size &&
		    g->maps.v[s->inner[0]].value_size == m->value_size)
			set = s;
	}
	if (!set) {
		set = &g->maps.v[g_add_map(g, &(struct dt_mapspec){ .name = "dt_aggset",
								    .role = DT_MAP_AGGSET,
								    .type = BPF_MAP_TYPE_ARRAY_OF_MAPS,
								    .key_size = 4,
								    .value_size = 4 })];
		set->inner = dt_arena_alloc(g->arena, g->naggmaps * sizeof(*set->inner));
	}
	u->set = (int)(set - g->maps.v);
	u->slot = set->max_entries;
	set->inner[set->max_entries++] = (u32)a->map;
}

#define DENSE_MAX (512u << 10) /* bytes for each CPU: larger tables are hashes of what is there */

static bool needs_hash(const struct gen *g, const struct dt_aggspec *a, const struct agg_use *u)
{
	if (u->seen && g->opts->aggpercpu)
		return true;
	if (!u->seen || (!a->nkeys && a->nbuckets <= 4096))
		return false;
	return !u->probe_keys_only || u->shared || u->at->at->several || is_dist(a->func) ||
	       u->at->kind == DT_AT_ERROR ||
	       g_table_rows(u->at) * value_words(a->func) * 8 > DENSE_MAX;
}

static void layout_agg(struct gen *g, u32 index)
{
	struct dt_aggspec *a = &g->o->aggs[index];
	const struct agg_use *u = &g->agguse[index];
	const struct dt_aggvar *v = g->env->syms->aggvars.v[index];

	a->name = v->name;
	a->varid = v->varid;
	a->func = v->func;
	a->map = -1;
	memcpy(a->param, v->param, sizeof(a->param));
	if (a->func == DTRACEAGG_QUANTIZE)
		a->nbuckets = DTRACE_QUANTIZE_NBUCKETS;
	else if (a->func == DTRACEAGG_LQUANTIZE)
		a->nbuckets = dt_lquantize_nbuckets(a->param[0], a->param[1], a->param[2]);
	else if (a->func == DTRACEAGG_LLQUANTIZE)
		a->nbuckets =
			dt_llquantize_nbuckets(a->param[0], a->param[1], a->param[2], a->param[3]);
	layout_keys(a);
	layout_desc(g, a);
	g->naggmaps += needs_hash(g, a, u);
}

static void layout_store(struct gen *g, u32 index)
{
	struct dt_aggspec *a = &g->o->aggs[index];
	struct agg_use *u = &g->agguse[index];

	u->set = -1;
	if (needs_hash(g, a, u))
		layout_hash(g, a, index);
	else if (u->seen && a->nkeys)
		layout_dense(g, a, u->at);
	else
		layout_cell(g, a);
}

void g_layout_aggs(struct gen *g)
{
	u32 n = g->env->syms->aggvars.n;

	g->o->naggs = n;
	g->o->aggs = dt_arena_alloc(g->arena, (n + 1) * sizeof(*g->o->aggs));
	g->agguse = dt_arena_alloc(g->arena, (n + 1) * sizeof(*g->agguse));
	each_clause(g, see_stmts);
	each_clause(g, unify_probe_keys);
	for (u32 k = 0; k < n; k++)
		layout_agg(g, k);
	for (u32 k = 0; k < n; k++)
		layout_store(g, k);
	for (u32 k = 0; k < n && g->naggmaps > AGG_OWN_MAP; k++)
		if (g->o->aggs[k].map >= 0)
			share_hash(g, &g->o->aggs[k], &g->agguse[k]);
}

/* ---- buckets ------------------------------------------------------------------------------------------------- */

/* A number that the verifier knows several exact values of would be followed once for each: pass it
 * through memory, where it becomes any number, and bound that. */
static vreg any_below(struct gen *g, vreg v, u32 n)
{
	vreg b = e_bounded(g, e_launder(g, v));
	u32 ok = ir_label(g->f);

	e_jcci(g, BPF_JLT, b, n, ok);
	e_seti(g, b, n - 1);
	e_label(g, ok);
	return b;
}

/* Buckets of 0 ... 255: 63 is zero, 64 + floor(log2 v) those above. */
static struct mem log_table(struct gen *g)
{
	static const u8 zero = DTRACE_QUANTIZE_ZEROBUCKET;
	u8 table[256] = { zero };

	if (!g->log_off) {
		for (u32 k = 1; k < 256; k++)
			table[k] = (u8)(zero + 32 - (u32)__builtin_clz(k));
		g->log_off = 1 + g_rodata(g, table, sizeof(table), 8);
	}
	return g_rodata_mem(g, g->log_off - 1);
}

/* The bucket of |v| by its highest byte, mirrored when v is negative: 62 - floor(log2 -v). */
static vreg quantize_bucket(struct gen *g, vreg v)
{
	vreg x = e_mov(g, v), base = e_movi(g, 0);
	u32 known = ir_label(g->f), nonneg = ir_label(g->f), done = ir_label(g->f);

	ir_pin(g->prog, g->f, x);
	e_jcci(g, BPF_JSGE, x, 0, nonneg);
	e_set(g, x, e_neg(g, x));
	e_label(g, nonneg);
	for (u32 bits = 32; bits >= 8; bits /= 2) {
		u32 next = ir_label(g->f);

		if (bits == 32)
			e_jcci(g, BPF_JEQ, e_alui(g, IR_SHR, x, 32), 0, next);
		else
			e_jcci(g, BPF_JLT, x, INT64_C(1) << bits, next);
		e_set(g, base, e_alui(g, IR_ADD, base, bits));
		e_set(g, x, e_alui(g, IR_SHR, x, bits));
		e_label(g, next);
	}
	struct mem t = log_table(g);
	vreg at = e_alu(g, IR_ADD, t.p, e_alui(g, IR_AND, x, 0xff));
	vreg b = e_alu(g, IR_ADD, e_ld(g, (struct mem){ at, t.off }, 1), base);

	ir_pin(g->prog, g->f, b);
	e_jcci(g, BPF_JSGE, v, 0, known);
	e_set(g, b, e_alu(g, IR_SUB, e_movi(g, 2 * DTRACE_QUANTIZE_ZEROBUCKET), b));
	e_jcci(g, BPF_JSGE, b, 0, known); /* INT64_MIN */
	e_seti(g, b, 0);
	e_label(g, known);
	e_jcci(g, BPF_JLT, b, DTRACE_QUANTIZE_NBUCKETS, done);
	e_seti(g, b, DTRACE_QUANTIZE_NBUCKETS - 1);
	e_label(g, done);
	return b;
}

static vreg lquantize_bucket(struct gen *g, const struct dt_aggspec *a, vreg v)
{
	s64 base = a->param[0], step = a->param[2] ? a->param[2] : 1;
	u32 levels = a->nbuckets - 2, low = ir_label(g->f), over = ir_label(g->f);
	s64 limit = base + (s64)levels * step;
	vreg b = e_movi(g, 0);

	e_jcci(g, BPF_JSLT, v, base, low);
	e_seti(g, b, levels + 1);
	e_jcci(g, BPF_JSGE, v, limit, over);
	vreg d = e_alui(g, IR_SUB, v, base);

	if (step != 1)
		d = e_alui(g, IR_DIV, d, step);
	e_set(g, b, e_alui(g, IR_ADD, d, 1));
	e_label(g, over);
	e_label(g, low);
	return any_below(g, b, a->nbuckets);
}

/* Branch-free binary search for the number of thresholds that are <= |v|: the verifier sees one path. */
static vreg llquantize_bucket(struct gen *g, const struct dt_aggspec *a, vreg v)
{
	u32 n = a->nbuckets / 2, size = 1;
	u64 *t;
	vreg x = e_mov(g, v), at = e_movi(g, 0);
	u32 pos = ir_label(g->f), nonneg = ir_label(g->f);

	while (size <= n)
		size *= 2;
	t = dt_arena_alloc(g->arena, size * 2 * sizeof(*t));
	for (u32 k = 0; k < size * 2; k++)
		t[k] = INT64_MAX;
	t[0] = 0;
	dt_llquantize_thresholds(a->param[0], a->param[1], a->param[2], a->param[3], t + 1, n);
	u32 table = g_rodata(g, t, size * 2 * (u32)sizeof(*t), 8);

	e_jcci(g, BPF_JSGE, x, 0, pos);
	e_set(g, x, e_neg(g, x));
	e_label(g, pos);
	for (u32 half = size / 2; half; half /= 2) {
		vreg probe = e_alui(g, IR_ADD, at, half);
		struct mem m = g_rodata_mem(g, table);
		vreg p = e_alu(g, IR_ADD, m.p, e_alui(g, IR_SHL, probe, 3));
		vreg less =
			e_alui(g, IR_SAR, e_alu(g, IR_SUB, x, e_ld(g, (struct mem){ p, 0 }, 8)), 63);

		/* less is all ones when x < threshold */
		at = e_alu(g, IR_ADD, at, e_alui(g, IR_AND, e_alui(g, IR_XOR, less, -1), half));
	}
	vreg b = e_mov(g, e_alui(g, IR_ADD, at, n));

	e_jcci(g, BPF_JSGE, v, 0, nonneg);
	e_set(g, b, e_alu(g, IR_SUB, e_movi(g, n), at));
	e_label(g, nonneg);
	return any_below(g, b, a->nbuckets);
}

static vreg bucket_of(struct gen *g, const struct dt_aggspec *a, vreg v)
{
	switch (a->func) {
	case DTRACEAGG_QUANTIZE: return quantize_bucket(g, v);
	case DTRACEAGG_LQUANTIZE: return lquantize_bucket(g, a, v);
	default: return llquantize_bucket(g, a, v);
	}
}

/* ---- updates --------------------------------------------------------------------------------------------------- */

struct update {
	const struct dt_aggspec *a;
	vreg v;      /* the value; distributions: unused */
	vreg incr;   /* 0: one */
	bool atomic; /* programs that may interrupt each other share the words */
};

static void add_word(struct gen *g, const struct update *u, struct mem m, vreg v)
{
	if (u->atomic)
		e_xadd(g, m, v ? v : e_movi(g, 1));
	else if (v)
		e_st(g, m, 8, e_alu(g, IR_ADD, e_ld(g, m, 8), v));
	else
		e_st(g, m, 8, e_alui(g, IR_ADD, e_ld(g, m, 8), 1));
}

static void update_minmax(struct gen *g, const struct update *u, struct mem m)
{
	u32 set = ir_label(g->f), done = ir_label(g->f);

	e_jcci(g, BPF_JEQ, e_ld(g, mem_add(m, 8), 8), 0, set);
	vreg old = e_ld(g, m, 8);

	e_jcc(g, u->a->func == DTRACEAGG_MIN ? BPF_JSGE : BPF_JSLE, u->v, old, done);
	e_label(g, set);
	e_st(g, m, 8, u->v);
	e_sti(g, mem_add(m, 8), 8, 1);
	e_label(g, done);
}

/* The 128-bit square of v from 32-bit halves of its magnitude, added with carry. */
static void add_square(struct gen *g, const struct update *u, struct mem low)
{
	vreg x = e_mov(g, u->v);
	u32 pos = ir_label(g->f), nocarry = ir_label(g->f);

	e_jcci(g, BPF_JSGE, x, 0, pos);
	e_set(g, x, e_neg(g, x));
	e_label(g, pos);
	vreg l = e_zext32(g, x), h = e_alui(g, IR_SHR, x, 32);
	vreg mid = e_alu(g, IR_MUL, l, h); /* twice, shifted by 32 */
	vreg lo = e_alu(g, IR_MUL, l, l), hi = e_mov(g, e_alu(g, IR_MUL, h, h));
	vreg part = e_alui(g, IR_SHL, mid, 33);

	e_set(g, hi, e_alu(g, IR_ADD, hi, e_alui(g, IR_SHR, mid, 31)));
	vreg sum = e_alu(g, IR_ADD, lo, part);

	e_jcc(g, BPF_JGE, sum, part, nocarry);
	e_set(g, hi, e_alui(g, IR_ADD, hi, 1));
	e_label(g, nocarry);
	vreg old = e_ld(g, low, 8), total = e_alu(g, IR_ADD, old, sum);
	u32 nocarry2 = ir_label(g->f);

	e_jcc(g, BPF_JGE, total, old, nocarry2);
	e_set(g, hi, e_alui(g, IR_ADD, hi, 1));
	e_label(g, nocarry2);
	e_st(g, low, 8, total);
	e_st(g, mem_add(low, 8), 8, e_alu(g, IR_ADD, e_ld(g, mem_add(low, 8), 8), hi));
}

static void update(struct gen *g, const struct update *u, struct mem m)
{
	switch (u->a->func) {
	case DTRACEAGG_SUM: /* a sum may be zero and is still a value: see `seen` in object.h */
		add_word(g, u, m, u->v);
		e_sti(g, mem_add(m, 8), 8, 1);
		break;
	case DTRACEAGG_MIN:
	case DTRACEAGG_MAX: update_minmax(g, u, m); break;
	case DTRACEAGG_AVG:
		add_word(g, u, m, 0);
		add_word(g, u, mem_add(m, 8), u->v);
		break;
	case DTRACEAGG_STDDEV:
		add_word(g, u, m, 0);
		add_word(g, u, mem_add(m, 8), u->v);
		add_square(g, u, mem_add(m, 16));
		break;
	default: /* count, and the bucket of a distribution */ add_word(g, u, m, u->incr);
	}
}

static struct mem make_key(struct gen *g, const struct dt_aggspec *a, const struct dt_stmt *s)
{
	struct mem key = g_tmp(g, DT_MAX(a->keysize, 8));
	u32 end = 0;

	for (u32 k = 0; k < a->nkeys; k++) {
		const struct dt_datum *d = &a->keys[k];

		while (end < d->off) /* padding is part of the key */
			e_sti(g, mem_add(key, end++), 1, 0);
		g_store_datum(g, s->keys[k], d, mem_add(key, d->off), true);
		end = d->off + key_bytes(d);
	}
	u32 stop = a->bucket_off >= 0 ? (u32)a->bucket_off : a->cpu_off;

	while (end < stop)
		e_sti(g, mem_add(key, end++), 1, 0);
	e_st(g, mem_add(key, a->cpu_off), 4, e_ld(g, mem_fp(g->cpu_slot), 4));
	e_zero(g, mem_add(key, a->cpu_off + 4), a->keysize - a->cpu_off - 4);
	return key;
}

/* The hash of an aggregation, as an argument. */
static struct ir_arg hash_map(struct gen *g, const struct dt_aggspec *a, u32 lost)
{
	const struct agg_use *u = &g->agguse[a->varid - 1];

	if (u->set < 0)
		return a_map(a->map);
	s32 slot = ir_slot(g->f, 8);

	e_sti(g, mem_fp(slot), 4, u->slot);
	vreg map = e_call(g, BPF_FUNC_map_lookup_elem, a_map(u->set), a_fp(slot));

	e_jcci(g, BPF_JEQ, map, 0, lost);
	return a_reg(map);
}

static void update_hash(struct gen *g, const struct update *u, struct mem key, vreg bucket)
{
	u32 have = ir_label(g->f), done = ir_label(g->f), lost = ir_label(g->f);

	if (bucket)
		e_st(g, mem_add(key, u->a->bucket_off), 4, bucket);
	struct ir_arg map = hash_map(g, u->a, lost);
	vreg v = e_mov(g, e_call(g, BPF_FUNC_map_lookup_elem, map, a_mem(key)));

	e_jcci(g, BPF_JNE, v, 0, have);
	e_call(g, BPF_FUNC_map_update_elem, map, a_mem(key), a_mem(g_zeros(g, u->a->nwords * 8)),
	       a_imm(BPF_NOEXIST));
	e_set(g, v, e_call(g, BPF_FUNC_map_lookup_elem, map, a_mem(key)));
	e_jcci(g, BPF_JNE, v, 0, have);
	e_label(g, lost);
	g_drop(g, DT_ST_AGGDROPS);
	e_jmp(g, done);
	e_label(g, have);
	update(g, u, (struct mem){ v, 0 });
	e_label(g, done);
}

/* The weight of a distribution's value; the constants of lquantize and llquantize are in param. */
static const struct dt_node *incr_arg(const struct dt_stmt *s, int func)
{
	return is_dist(func) && s->nargs > 1 ? s->args[1] : NULL;
}

void g_agg(struct gen *g, const struct dt_stmt *s)
{
	const struct dt_aggspec *a = &g->o->aggs[s->agg->varid - 1];
	const struct dt_node *incr = incr_arg(s, a->func);
	struct update u = { .a = a };
	struct mem key = { 0, 0 };
	vreg bucket = 0;

	if (a->store == DT_AGG_HASH) /* keys are evaluated before the value */
		key = make_key(g, a, s);

	u.atomic = (g->agguse[s->agg->varid - 1].shared || g_preemptible(g)) && g_nesting(g);
	if (s->nargs)
		u.v = g_expr(g, s->args[0]);
	if (incr)
		u.incr = g_expr(g, incr);
	if (is_dist(a->func))
		bucket = bucket_of(g, a, u.v);
	switch (a->store) {
	case DT_AGG_CELL: {
		struct mem m = g_state_mem(g, a->off);

		if (bucket)
			m = (struct mem){
				e_alu(g, IR_ADD, e_addr(g, m), e_alui(g, IR_SHL, bucket, 3)), 0
			};
		update(g, &u, m);
		break;
	}
	case DT_AGG_DENSE: {
		struct mem m = g_state_mem(g, a->off);

		if (a->nrows > 1)
			m = (struct mem){ e_alu(g, IR_ADD, g->st,
						e_alui(g, IR_MUL, g_key_index(g), a->nwords * 8)),
					  a->off };
		update(g, &u, m);
		break;
	}
	case DT_AGG_HASH: update_hash(g, &u, key, bucket); break;
	}
}
