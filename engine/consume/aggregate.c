/* SPDX-License-Identifier: Apache-2.0 */
/*
 * aggregate.c - rows and sources (consume.h tells what they are): made, found, cleared, removed,
 * shown.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "consume/buckets.h"
#include "consume/consume.h"

#define PROBE_IDS (1u << 22) /* ids beyond this are not probes */

bool dt_agg_is_dist(int func)
{
	return func == DTRACEAGG_QUANTIZE || func == DTRACEAGG_LQUANTIZE ||
	       func == DTRACEAGG_LLQUANTIZE;
}

bool dt_agg_is_minmax(int func)
{
	return func == DTRACEAGG_MIN || func == DTRACEAGG_MAX;
}

/* ---- hashing --------------------------------------------------------------------------------- */

static u64 mix(u64 a, u64 b)
{
	unsigned __int128 m = (unsigned __int128)a * b;

	return (u64)m ^ (u64)(m >> 64);
}

static u64 hash_bytes(u64 seed, const u8 *p, size_t n)
{
	u64 h = seed ^ n, w;

	for (; n >= 8; p += 8, n -= 8) {
		memcpy(&w, p, 8);
		h = mix(h ^ w, UINT64_C(0x9e3779b97f4a7c15));
	}
	w = 0;
	if (n)
		memcpy(&w, p, n);
	return mix(h ^ w, UINT64_C(0xd6e8feb86659fd93));
}

static u32 fold(u64 h)
{
	return (u32)(h ^ h >> 32);
}

/* What is behind the prefix is zero in the keys of rows. */
static u32 hash_row(const struct dt_aggs *as, const struct dt_agg *a, const u8 *key)
{
	return fold(hash_bytes(as->seed, key, a->prefix));
}

static u32 hash_src(const struct dt_aggs *as, const struct dt_agg *a, const u8 *key)
{
	u64 row = hash_bytes(as->seed, key, a->prefix);

	return fold(hash_bytes(row, key + a->prefix, a->srckey - a->prefix));
}

/* ---- sources --------------------------------------------------------------------------------- */

struct dt_src *dt_agg_src(const struct dt_agg *a, u32 i)
{
	return (struct dt_src *)(void *)(a->slab + (size_t)i * a->stride);
}

u64 *dt_src_last(const struct dt_src *s)
{
	return (u64 *)(void *)((u8 *)(uintptr_t)s + sizeof(*s));
}

u8 *dt_src_key(const struct dt_agg *a, const struct dt_src *s)
{
	return (u8 *)(dt_src_last(s) + a->spec->nwords);
}

static u32 src_index(const struct dt_agg *a, const struct dt_src *s)
{
	return (u32)((size_t)((const u8 *)s - a->slab) / a->stride);
}

struct dt_src *dt_src_find(const struct dt_aggs *as, const struct dt_agg *a, const void *key)
{
	u32 hash, at, i;

	if (a->direct) {
		memcpy(&i, key, sizeof(i));
		return a->direct[i] ? dt_agg_src(a, a->direct[i] - 1) : NULL;
	}
	hash = at = hash_src(as, a, key);
	while ((i = dt_slots_next(&a->srctable, hash, &at))) {
		struct dt_src *s = dt_agg_src(a, i - 1);

		if (!memcmp(dt_src_key(a, s), key, a->srckey))
			return s;
	}
	return NULL;
}

void dt_src_prefetch_slots(const struct dt_aggs *as, const struct dt_agg *a, const void *key)
{
	dt_slots_prefetch(&a->srctable, hash_src(as, a, key));
	dt_slots_prefetch(&a->rowtable, hash_row(as, a, key));
}

void dt_src_prefetch(const struct dt_aggs *as, const struct dt_agg *a, const void *key)
{
	u32 hash = hash_src(as, a, key), at = hash, i = dt_slots_next(&a->srctable, hash, &at);

	if (i)
		__builtin_prefetch(dt_agg_src(a, i - 1));
}

static bool grow_slab(struct dt_agg *a)
{
	u32 cap = a->capsrcs ? a->capsrcs * 2 : 16;
	u8 *slab;

	if (a->nsrcs < a->capsrcs)
		return true;
	if (cap > UINT32_MAX / 4)
		return false;
	slab = realloc(a->slab, cap * a->stride);
	if (!slab)
		return false;
	a->slab = slab;
	a->capsrcs = cap;
	return true;
}

static struct dt_src *src_alloc(struct dt_agg *a)
{
	struct dt_src *s;

	if (a->freesrc) {
		s = dt_agg_src(a, a->freesrc - 1);
		a->freesrc = s->next_free;
	} else {
		if (!grow_slab(a))
			return NULL;
		s = dt_agg_src(a, a->nsrcs++);
	}
	memset(s, 0, a->stride);
	s->used = true;
	a->nused++;
	return s;
}

struct dt_src *dt_src_add(struct dt_aggs *as, struct dt_agg *a, const void *key)
{
	struct dt_src *s = a->direct || dt_slots_reserve(&a->srctable) ? src_alloc(a) : NULL;
	u32 row;

	if (!s)
		return NULL;
	memcpy(dt_src_key(a, s), key, a->srckey);
	if (a->direct) {
		memcpy(&row, key, sizeof(row));
		a->direct[row] = src_index(a, s) + 1;
		return s;
	}
	a->ndetached++;
	s->hash = hash_src(as, a, key);
	dt_slots_add(&a->srctable, s->hash, src_index(a, s) + 1);
	return s;
}

static void unlink_src(struct dt_agg *a, struct dt_src *s)
{
	u32 row;

	if (a->direct) {
		memcpy(&row, dt_src_key(a, s), sizeof(row));
		a->direct[row] = 0;
		return;
	}
	dt_slots_remove(&a->srctable, s->hash, src_index(a, s) + 1);
}

static void leave_row(struct dt_agg *a, struct dt_src *s)
{
	u32 me = src_index(a, s) + 1, *at;

	if (!s->row)
		return;
	for (at = &s->row->src; *at != me; at = &dt_agg_src(a, *at - 1)->sibling)
		;
	*at = s->sibling;
	s->row = NULL;
}

void dt_src_free(struct dt_agg *a, struct dt_src *s)
{
	if (!s->row && !a->direct)
		a->ndetached--;
	leave_row(a, s);
	unlink_src(a, s);
	s->used = false;
	a->nused--;
	s->next_free = a->freesrc;
	a->freesrc = src_index(a, s) + 1;
}

/* ---- canonical keys: values that are shown alike are one ------------------------------------- */

const char *dt_probe_text(dtrace_hdl_t *h, u32 id, enum dt_datakind kind)
{
	const struct dt_probe *p = id && id < PROBE_IDS ? dt_probes_byid(&h->probes, id) : NULL;

	if (!p)
		return "";
	switch (kind) {
	case DT_D_PROBEPROV: return p->provider;
	case DT_D_PROBEMOD: return p->mod;
	case DT_D_PROBEFUNC: return p->func;
	default: return p->name;
	}
}

static bool canon_reach(struct dt_canon *c, u32 id)
{
	u32 n = DT_MAX(c->n, 256u), *ids;

	if (id < c->n)
		return true;
	while (n <= id)
		n *= 2;
	ids = realloc(c->ids, n * sizeof(*ids));
	if (!ids)
		return false;
	memset(ids + c->n, 0, (n - c->n) * sizeof(*ids));
	c->ids = ids;
	c->n = n;
	return true;
}

/* The first probe seen with the same text.  When memory ends each is its own, which shows rows
 * apart. */
static u32 canonical_probe(struct dt_aggs *as, enum dt_datakind kind, u32 id)
{
	struct dt_canon *c = &as->canon[kind - DT_D_PROBEPROV];
	const char *text;
	void *first;

	if (id >= PROBE_IDS || !canon_reach(c, id))
		return id;
	if (c->ids[id])
		return c->ids[id];
	text = dt_probe_text(as->h, id, kind);
	first = dt_htab_get(&c->names, text);
	c->ids[id] = first ? (u32)(uintptr_t)first : id;
	if (!first && id)
		dt_htab_put(&c->names, text, (void *)(uintptr_t)id);
	return c->ids[id];
}

/* The first address seen in the same module. */
static u64 canonical_address(struct dt_aggs *as, const char *name, u64 addr)
{
	void *first = dt_htab_get(&as->mods, name);
	char *copy;

	if (first)
		return (u64)(uintptr_t)first;
	copy = dt_arena_strdup(&as->arena, name);
	if (copy && addr)
		dt_htab_put(&as->mods, copy, (void *)(uintptr_t)addr);
	return addr;
}

static void canon_kernel(struct dt_aggs *as, enum dt_datakind kind, u8 *p)
{
	struct dt_ksym k;
	u64 addr;

	memcpy(&addr, p, 8);
	if (!as->h->ksyms || dt_ksyms_by_addr(as->h->ksyms, addr, &k) < 0)
		return;
	addr = kind == DT_D_MOD ? canonical_address(as, k.mod, addr) : k.addr;
	memcpy(p, &addr, 8);
}

static void canon_user(struct dt_aggs *as, enum dt_datakind kind, u8 *p)
{
	struct dt_usym u;
	char name[512];
	u64 w[2];

	memcpy(w, p, 16);
	if (!as->h->usyms || (pid_t)w[0] <= 0 ||
	    dt_usyms_resolve(as->h->usyms, (pid_t)w[0], w[1], &u) < 0 || !u.known_object)
		return;
	if (kind == DT_D_UMOD) {
		snprintf(name, sizeof(name), "%d %s", (int)w[0], u.path ? u.path : u.object);
		w[1] = canonical_address(as, name, w[1]);
	} else if (*u.name) {
		w[1] -= u.offset;
	}
	memcpy(p, w, 16);
}

static void canonicalize(struct dt_aggs *as, const struct dt_datum *d, u8 *key)
{
	bool resolve = !dt_opt(as->h, DT_OPT_NORESOLVE);
	u8 *p = key + d->off;
	u32 id;

	switch (d->kind) {
	case DT_D_PROBEPROV:
	case DT_D_PROBEMOD:
	case DT_D_PROBEFUNC:
	case DT_D_PROBENAME:
		memcpy(&id, p, 4);
		id = canonical_probe(as, d->kind, id);
		memcpy(p, &id, 4);
		break;
	case DT_D_SYM:
	case DT_D_MOD:
		if (resolve)
			canon_kernel(as, d->kind, p);
		break;
	case DT_D_USYM:
	case DT_D_UMOD:
		if (resolve)
			canon_user(as, d->kind, p);
		break;
	default: break;
	}
}

static void make_row_key(struct dt_aggs *as, const struct dt_agg *a, const struct dt_src *s, u8 *key)
{
	const struct dt_aggspec *spec = a->spec;
	u32 row;

	if (a->direct)
		memset(key, 0, a->keylen);
	else
		memcpy(key, dt_src_key(a, s), a->keylen);
	if (!a->direct && spec->bucket_off >= 0)
		memset(key + spec->bucket_off, 0, 4);
	if (!a->direct)
		memset(key + spec->cpu_off, 0, 4);
	for (u32 i = 0; i < spec->nkeys; i++) {
		struct dt_item it = { .kind = spec->keys[i].kind,
				      .p = (const char *)key + spec->keys[i].off,
				      .size = spec->keys[i].size };

		if (spec->store == DT_AGG_DENSE) {
			memcpy(&row, dt_src_key(a, s), sizeof(row));
			memcpy(key + spec->keys[i].off, &spec->row_probe[row], 4);
		}
		dt_learn(as->h, &as->learnt, &it);
		canonicalize(as, &spec->keys[i], key);
	}
}

/* ---- rows ------------------------------------------------------------------------------------ */

static bool grow_rows(struct dt_agg *a)
{
	u32 cap = a->caprows ? a->caprows * 2 : 16;
	struct dt_row **v;

	if (a->nrows < a->caprows)
		return true;
	v = realloc(a->rows, cap * sizeof(*v));
	if (!v)
		return false;
	a->rows = v;
	a->caprows = cap;
	return true;
}

#define CHUNK (256u << 10)

struct dt_rowchunk {
	struct dt_rowchunk *next;
	u64 rows[];
};

/* As many rows again as there are, within bounds. */
static bool grow_chunks(struct dt_agg *a)
{
	u32 n = (u32)DT_MAX(DT_MIN((size_t)DT_MAX(a->nalloced, 4u), CHUNK / a->rowsize), (size_t)1);
	struct dt_rowchunk *c = calloc(1, sizeof(*c) + n * a->rowsize);

	if (!c)
		return false;
	c->next = a->chunks;
	a->chunks = c;
	a->chunk_at = (u8 *)c->rows;
	a->chunk_left = n;
	a->nalloced += n;
	return true;
}

static struct dt_row *row_alloc(struct dt_agg *a)
{
	struct dt_row *r = a->freerows;

	if (r) {
		a->freerows = r->next_free;
		memset(r, 0, a->rowsize);
		return r;
	}
	if (!a->chunk_left && !grow_chunks(a))
		return NULL;
	r = (struct dt_row *)(void *)a->chunk_at;
	a->chunk_at += a->rowsize;
	a->chunk_left--;
	return r;
}

static struct dt_row *row_new(struct dt_agg *a, const u8 *key, u32 hash)
{
	struct dt_row *r;

	if (!grow_rows(a) || !dt_slots_reserve(&a->rowtable))
		return NULL;
	r = row_alloc(a);
	if (!r)
		return NULL;
	r->agg = a;
	r->hash = hash;
	r->normal = 1;
	r->key = (u8 *)(r->v + a->allwords);
	memcpy(r->key, key, a->keylen);
	r->index = a->nrows;
	a->rows[a->nrows++] = r;
	dt_slots_add(&a->rowtable, hash, r->index + 1);
	return r;
}

static struct dt_row *row_find(const struct dt_agg *a, const u8 *key, u32 hash)
{
	u32 at = hash, i;

	while ((i = dt_slots_next(&a->rowtable, hash, &at))) {
		struct dt_row *r = a->rows[i - 1];

		if (!r->dead && !memcmp(r->key, key, a->keylen))
			return r;
	}
	return NULL;
}

struct dt_row *dt_src_row(struct dt_aggs *as, struct dt_agg *a, struct dt_src *s)
{
	struct dt_row *r;
	u32 hash;

	if (s->row)
		return s->row;
	make_row_key(as, a, s, as->rowkey);
	hash = hash_row(as, a, as->rowkey);
	r = row_find(a, as->rowkey, hash);
	if (!r)
		r = row_new(a, as->rowkey, hash);
	if (!r)
		return NULL;
	if (!a->direct)
		a->ndetached--;
	s->row = r;
	s->sibling = r->src;
	r->src = src_index(a, s) + 1;
	return r;
}

void dt_row_clear(struct dt_aggs *as, struct dt_row *r)
{
	struct dt_agg *a = r->agg;

	memset(r->v, 0, (size_t)a->allwords * 8);
	r->has = false;
	if (!dt_agg_is_minmax(a->spec->func))
		return;
	for (u32 i = r->src; i; i = dt_agg_src(a, i - 1)->sibling)
		dt_src_reset(as, a, dt_agg_src(a, i - 1));
}

/* Take the dead out, and the last of the living into each one's place. */
static void bury(struct dt_agg *a)
{
	bool all = a->ndead == a->nrows;
	u32 i;

	if (all)
		dt_slots_clear(&a->rowtable);
	for (i = a->nrows; a->ndead && i--;) {
		struct dt_row *r = a->rows[i], *other;

		if (!r->dead)
			continue;
		if (!all)
			dt_slots_remove(&a->rowtable, r->hash, i + 1);
		other = a->rows[--a->nrows];
		if (other != r) {
			dt_slots_at(&a->rowtable, other->hash, a->nrows + 1)->ref = i + 1;
			other->index = i;
			a->rows[i] = other;
		}
		r->next_free = a->freerows;
		a->freerows = r;
		a->ndead--;
	}
}

void dt_row_remove(struct dt_aggs *as, struct dt_row *r)
{
	struct dt_agg *a = r->agg;
	u32 i, next;

	r->dead = true; /* nobody finds it from now on */
	a->ndead++;
	for (i = r->src; i; i = next) {
		struct dt_src *s = dt_agg_src(a, i - 1);

		next = s->sibling;
		s->row = NULL;
		s->sibling = 0;
		if (!a->direct)
			a->ndetached++;
		if (dt_agg_is_minmax(a->spec->func))
			dt_src_retire(as, a, s);
	}
	r->src = 0;
	if (!as->walking)
		bury(a);
}

void dt_aggs_unwalk(struct dt_aggs *as)
{
	if (--as->walking)
		return;
	for (u32 i = 0; i < as->n; i++)
		if (as->v[i].ndead)
			bury(&as->v[i]);
}

/* ---- showing --------------------------------------------------------------------------------- */

static void encode_key(struct dt_aggs *as, const struct dt_datum *d, const dtrace_recdesc_t *rec,
		       const u8 *key, char *buf)
{
	char *to = buf + rec->dtrd_offset;
	u32 id;

	if (d->kind == DT_D_USTACK && d->strsize) {
		dt_show_ustack(as->h, d, (const char *)key + d->off, to, rec->dtrd_size);
		return;
	}
	if (d->kind < DT_D_PROBEPROV) {
		memcpy(to, key + d->off, DT_MIN(d->size, rec->dtrd_size));
		return;
	}
	memcpy(&id, key + d->off, 4);
	if (rec->dtrd_size)
		snprintf(to, rec->dtrd_size, "%s", dt_probe_text(as->h, id, d->kind));
}

static u64 argument_word(const struct dt_agg *a)
{
	const s64 *p = a->spec->param;

	if (a->spec->func == DTRACEAGG_LQUANTIZE)
		return (u64)(p[2] ? p[2] : 1) << 48 | (u64)(a->spec->nbuckets - 2) << 32 | (u32)p[0];
	return (u64)p[0] << 48 | (u64)(u16)p[1] << 32 | (u64)(u16)p[2] << 16 | (u16)p[3];
}

/* One-sided: whatever is below the lowest order of magnitude, and what is negative, in the first
 * bucket. */
static void encode_llquantize(const struct dt_agg *a, const u64 *v, u64 *to)
{
	u32 middle = a->spec->nbuckets / 2;

	to[0] = 0;
	for (u32 i = 0; i <= middle; i++)
		to[0] += v[i];
	memcpy(to + 1, v + middle + 1, (size_t)middle * 8);
}

void dt_value_encode(const struct dt_agg *a, const u64 *v, u64 *to)
{
	switch (a->spec->func) {
	case DTRACEAGG_LQUANTIZE:
		to[0] = argument_word(a);
		memcpy(to + 1, v, (size_t)a->words * 8);
		break;
	case DTRACEAGG_LLQUANTIZE:
		to[0] = argument_word(a);
		encode_llquantize(a, v, to + 1);
		break;
	default: memcpy(to, v, (size_t)a->words * 8);
	}
}

u64 *dt_row_cpu(const struct dt_row *r, int cpu)
{
	const struct dt_agg *a = r->agg;
	u64 *v = (u64 *)(uintptr_t)r->v + a->words + (size_t)cpu * (a->words + 1);

	return cpu < a->ncpus && v[a->words] ? v : NULL;
}

void dt_row_encode(struct dt_aggs *as, const struct dt_agg *a, const struct dt_row *r, char *buf)
{
	const struct dt_aggspec *spec = a->spec;
	u64 *value = (u64 *)(void *)(buf + a->value_off);

	memcpy(buf + a->desc.dtagd_rec[0].dtrd_offset, &spec->varid, 8);
	for (u32 i = 0; r && i < spec->nkeys; i++)
		encode_key(as, &spec->keys[i], &a->desc.dtagd_rec[i + 1], r->key, buf);
	if (r) {
		dt_value_encode(a, r->v, value);
		return;
	}
	memset(value, 0, a->value_size);
	if (spec->func == DTRACEAGG_LQUANTIZE || spec->func == DTRACEAGG_LLQUANTIZE)
		value[0] = argument_word(a);
}

/* ---- life ------------------------------------------------------------------------------------ */

static u32 kernel_words(int func)
{
	switch (func) {
	case DTRACEAGG_COUNT: return 1;
	case DTRACEAGG_SUM:
	case DTRACEAGG_MIN:
	case DTRACEAGG_MAX:
	case DTRACEAGG_AVG: return 2;
	case DTRACEAGG_STDDEV: return 4;
	default: return 0;
	}
}

static u32 shown_words(const struct dt_agg *a)
{
	switch (a->spec->func) {
	case DTRACEAGG_LQUANTIZE: return 1 + a->spec->nbuckets;
	case DTRACEAGG_LLQUANTIZE: return 1 + a->spec->nbuckets / 2 + 1;
	default: return a->words;
	}
}

static bool fits(u32 off, u32 size, u32 in)
{
	return size <= in && off <= in - size;
}

/* Everything else relies on what is checked here. */
static bool spec_makes_sense(const struct dt_agg *a)
{
	const struct dt_aggspec *s = a->spec;
	const dtrace_recdesc_t *rec = s->desc.dtagd_rec;
	bool dist = dt_agg_is_dist(s->func), hash = s->store == DT_AGG_HASH;

	if (s->desc.dtagd_nrecs != (int)s->nkeys + 2 || (dist && !s->nbuckets) ||
	    (dist && hash && s->bucket_off < 0))
		return false;
	if (s->nwords != (!dist ? kernel_words(s->func) : hash ? 1 : s->nbuckets))
		return false;
	if (hash && (!fits(s->cpu_off, 4, s->keysize) ||
		     (s->bucket_off >= 0 && !fits((u32)s->bucket_off, 4, s->keysize))))
		return false;
	if (s->func == DTRACEAGG_QUANTIZE && s->nbuckets != DTRACE_QUANTIZE_NBUCKETS)
		return false;
	if (s->func == DTRACEAGG_LLQUANTIZE && s->nbuckets % 2 == 0)
		return false;
	for (u32 i = 0; i < s->nkeys; i++) {
		u32 size = s->keys[i].kind >= DT_D_PROBEPROV ? 4 : s->keys[i].size;

		if (!fits(s->keys[i].off, size, s->keysize) ||
		    !fits(rec[i + 1].dtrd_offset, rec[i + 1].dtrd_size, s->desc.dtagd_size))
			return false;
		if (s->store == DT_AGG_DENSE && s->keys[i].kind < DT_D_PROBEPROV)
			return false;
	}
	return fits(rec[0].dtrd_offset, 8, s->desc.dtagd_size) &&
	       fits(a->value_off, a->value_size, s->desc.dtagd_size) && a->value_off % 8 == 0 &&
	       a->value_size == shown_words(a) * 8;
}

static int make_thresholds(struct dt_agg *a)
{
	const s64 *p = a->spec->param;

	a->nthresholds = a->spec->nbuckets / 2;
	a->thresholds = calloc(a->nthresholds + 1, sizeof(*a->thresholds));
	if (!a->thresholds)
		return -1;
	dt_llquantize_thresholds(p[0], p[1], p[2], p[3], a->thresholds, a->nthresholds);
	return 0;
}

static int agg_init(dtrace_hdl_t *h, struct dt_agg *a, const struct dt_aggspec *spec)
{
	const dtrace_recdesc_t *value;
	u32 rows = spec->store == DT_AGG_DENSE ? spec->nrows : 1;

	a->spec = spec;
	a->desc = spec->desc;
	if (!spec->func) /* named, but never assigned */
		return 0;
	if (spec->desc.dtagd_nrecs < 2)
		return dt_set_errno(h, EDT_BADAGG);
	value = &spec->desc.dtagd_rec[spec->desc.dtagd_nrecs - 1];
	a->value_off = value->dtrd_offset;
	a->value_size = value->dtrd_size;
	a->words = dt_agg_is_dist(spec->func)                                  ? spec->nbuckets :
		   dt_agg_is_minmax(spec->func) || spec->func == DTRACEAGG_SUM ? 1 :
										 spec->nwords;
	if (dt_opt(h, DT_OPT_AGGPERCPU) && spec->store == DT_AGG_HASH)
		a->ncpus = dt_live_ncpus(h->live);
	a->allwords = a->words + (u32)a->ncpus * (a->words + 1);
	a->keylen = spec->keysize;
	a->srckey = spec->store == DT_AGG_HASH ? spec->keysize : 4;
	a->prefix = spec->store != DT_AGG_HASH ? a->keylen :
		    spec->bucket_off >= 0      ? DT_MIN((u32)spec->bucket_off, spec->cpu_off) :
						 spec->cpu_off;
	a->rowsize =
		DT_ROUNDUP(sizeof(struct dt_row) + (size_t)a->allwords * 8 + a->keylen, (size_t)8);
	a->stride = DT_ROUNDUP(sizeof(struct dt_src) + (size_t)spec->nwords * 8 + a->srckey, 8);
	if (!spec_makes_sense(a))
		return dt_fail(&h->err, EDT_BADAGG, "aggregation '@%s': its layout makes no sense",
			       spec->name);
	if (spec->store != DT_AGG_HASH)
		a->direct = calloc(DT_MAX(rows, 1u), sizeof(*a->direct));
	if ((spec->store != DT_AGG_HASH && !a->direct) ||
	    (spec->func == DTRACEAGG_LLQUANTIZE && make_thresholds(a) < 0))
		return dt_set_errno(h, EDT_NOMEM);
	return 0;
}

/* Scratch for the widest of everything. */
static int make_scratch(struct dt_aggs *as)
{
	u32 words = 1, key = 1;

	for (u32 i = 0; i < as->n; i++) {
		words = DT_MAX(words, as->v[i].spec->nwords);
		key = DT_MAX(key, as->v[i].keylen);
	}
	as->merged = calloc(words, 8);
	as->one = calloc(words, 8);
	as->rowkey = calloc(1, key);
	return as->merged && as->one && as->rowkey ? 0 : dt_set_errno(as->h, EDT_NOMEM);
}

struct dt_aggs *dt_aggs_new(dtrace_hdl_t *h, const struct dt_object *o)
{
	struct dt_aggs *as = calloc(1, sizeof(*as));

	if (!as)
		return dt_fail_null(&h->err, EDT_NOMEM, "%s", "");
	as->h = h;
	as->o = o;
	as->ncpus = dt_live_ncpus(h->live);
	dt_arena_init(&as->arena);
	if (getrandom(&as->seed, sizeof(as->seed), GRND_NONBLOCK) != sizeof(as->seed))
		as->seed = (u64)(uintptr_t)as;
	as->v = calloc(o->naggs + 1, sizeof(*as->v));
	if (!as->v) {
		dt_set_errno(h, EDT_NOMEM);
		dt_aggs_free(as);
		return NULL;
	}
	for (as->n = 0; as->n < o->naggs; as->n++)
		if (agg_init(h, &as->v[as->n], &o->aggs[as->n]) < 0) {
			as->n++;
			dt_aggs_free(as);
			return NULL;
		}
	if (make_scratch(as) < 0) {
		dt_aggs_free(as);
		return NULL;
	}
	return as;
}

static void agg_fini(struct dt_agg *a)
{
	struct dt_rowchunk *c;

	while ((c = a->chunks)) {
		a->chunks = c->next;
		free(c);
	}
	free(a->rows);
	dt_slots_fini(&a->rowtable);
	free(a->slab);
	dt_slots_fini(&a->srctable);
	free(a->direct);
	free(a->thresholds);
}

void dt_aggs_free(struct dt_aggs *as)
{
	if (!as)
		return;
	for (u32 i = 0; i < as->n; i++)
		agg_fini(&as->v[i]);
	for (size_t i = 0; i < DT_NELEM(as->canon); i++) {
		dt_htab_fini(&as->canon[i].names);
		free(as->canon[i].ids);
	}
	dt_htab_fini(&as->mods);
	dt_arena_fini(&as->arena);
	free(as->v);
	free(as->keys);
	free(as->values);
	free(as->merged);
	free(as->one);
	free(as->rowkey);
	free(as);
}

void dtrace_aggregate_clear(dtrace_hdl_t *h)
{
	struct dt_aggs *as = h->aggs;

	for (u32 i = 0; as && i < as->n; i++)
		for (u32 k = 0; k < as->v[i].nrows; k++)
			if (!as->v[i].rows[k]->dead)
				dt_row_clear(as, as->v[i].rows[k]);
}
