/* SPDX-License-Identifier: Apache-2.0 */
/*
 * probe.c - the registry of probes: who asks for a description gets the probes that match, and
 * providers are asked first to create what might.
 *
 * Descriptions with a literal function and name go through a hash of those two; all others walk the
 * table of ids, which is a few pointer comparisons per probe.
 */
#include <stdlib.h>
#include <string.h>

#include "probe/probe.h"
#include "types/btf.h"

int dt_probes_init(struct dt_probes *ps, struct dt_error *err)
{
	memset(ps, 0, sizeof(*ps));
	dt_arena_init(&ps->arena);
	ps->err = err;
	ps->next_id = DT_ID_OTHER;
	return 0;
}

void dt_probes_fini(struct dt_probes *ps)
{
	free(ps->byid);
	free(ps->index);
	dt_tracepoints_fini(ps->tracepoints);
	dt_kfuncs_fini(ps->kfuncs);
	dt_arena_fini(&ps->arena);
	memset(ps, 0, sizeof(*ps));
}

void dt_probes_rescan(struct dt_probes *ps)
{
	if (ps->types)
		dt_types_rescan(ps->types);
	if (ps->tracepoints)
		dt_tracepoints_rescan(ps->tracepoints);
	if (ps->kfuncs)
		dt_kfuncs_rescan(ps->kfuncs);
}

static int no_memory(struct dt_probes *ps)
{
	return dt_fail(ps->err, EDT_NOMEM, "%s", dt_errstr(EDT_NOMEM));
}

/* ---- adding ---------------------------------------------------------------------------------- */

struct dt_attach *dt_probes_add_attach(struct dt_probes *ps, const struct dt_attach *model)
{
	struct dt_attach *at = dt_arena_new(&ps->arena, struct dt_attach);
	struct dt_attach **slot = at ? dt_vec_push(&ps->arena, &ps->attaches) : NULL;

	if (!slot) {
		no_memory(ps);
		return NULL;
	}
	*at = *model;
	at->index = ps->attaches.n - 1;
	*slot = at;
	return at;
}

struct dt_attach *dt_probes_attach_of(struct dt_probes *ps, const struct dt_attach *model)
{
	u32 i;

	for (i = 0; i < ps->attaches.n; i++)
		if (ps->attaches.v[i]->abi == model->abi)
			return ps->attaches.v[i];
	return dt_probes_add_attach(ps, model);
}

static bool have_id(struct dt_probes *ps, u32 id)
{
	u32 n = DT_MAX(ps->nbyid * 2, (u32)DT_ID_OTHER + 64);
	struct dt_probe **byid;

	if (id < ps->nbyid)
		return true;
	if (id > UINT32_MAX / 2)
		return false;
	n = DT_MAX(n, id + 1);
	byid = realloc(ps->byid, n * sizeof(struct dt_probe *));
	if (!byid)
		return false;
	memset(byid + ps->nbyid, 0, (n - ps->nbyid) * sizeof(struct dt_probe *));
	ps->byid = byid;
	ps->nbyid = n;
	return true;
}

struct dt_probe *dt_probes_add(struct dt_probes *ps, const struct dt_provider *prov, u32 id,
			       const char *mod, const char *func, const char *name,
			       struct dt_attach *at, u32 key, const void *priv)
{
	struct dt_probe *p, **slot;

	if (!id)
		id = ps->next_id;
	if (!have_id(ps, id)) {
		no_memory(ps);
		return NULL;
	}
	if (ps->byid[id])
		return dt_fail_null(ps->err, EDT_BADPROBE, "probe id %u of %s:%s:%s:%s is taken",
				    id, prov->name, mod, func, name);
	p = dt_arena_new(&ps->arena, struct dt_probe);
	slot = p ? dt_vec_push(&ps->arena, &ps->list) : NULL;
	if (!slot) {
		no_memory(ps);
		return NULL;
	}
	*p = (struct dt_probe){
		.id = id,
		.prov = prov,
		.provider = prov->name,
		.mod = mod,
		.func = func,
		.name = name,
		.at = at,
		.key = key,
		.priv = priv,
	};
	*slot = ps->byid[id] = p;
	ps->next_id += id == ps->next_id;
	return p;
}

/* ---- the index ------------------------------------------------------------------------------- */

static u32 hash_of(const char *func, const char *name)
{
	return dt_hash(func, strlen(func)) * 31 + dt_hash(name, strlen(name));
}

static void index_add(struct dt_probes *ps, struct dt_probe *p)
{
	struct dt_probe **head = &ps->index[hash_of(p->func, p->name) & (ps->nindex - 1)];

	p->chain = *head;
	*head = p;
}

/* Bring the index up to date: probes are put in when somebody needs it, not when they are made. */
static bool index_all(struct dt_probes *ps)
{
	struct dt_probe **index;
	u32 n = ps->nindex ? ps->nindex : 64;

	while (n < ps->list.n)
		n *= 2;
	if (n != ps->nindex) {
		index = calloc(n, sizeof(struct dt_probe *));
		if (!index)
			return false;
		free(ps->index);
		ps->index = index;
		ps->nindex = n;
		ps->nindexed = 0;
	}
	while (ps->nindexed < ps->list.n)
		index_add(ps, ps->list.v[ps->nindexed++]);
	return true;
}

struct dt_probe *dt_probes_find(struct dt_probes *ps, const char *prov, const char *mod,
				const char *func, const char *name)
{
	struct dt_probe *p;

	if (!index_all(ps))
		return NULL;
	for (p = ps->index[hash_of(func, name) & (ps->nindex - 1)]; p; p = p->chain)
		if (strcmp(p->name, name) == 0 && strcmp(p->func, func) == 0 &&
		    strcmp(p->mod, mod) == 0 && strcmp(p->provider, prov) == 0)
			return p;
	return NULL;
}

/* ---- matching -------------------------------------------------------------------------------- */

struct dt_field dt_field_of(const char *pattern)
{
	struct dt_field f = { pattern, DT_FIELD_GLOB };

	if (!*pattern || strcmp(pattern, "*") == 0)
		f.how = DT_FIELD_ANY;
	else if (dt_glob_is_literal(pattern))
		f.how = DT_FIELD_LITERAL;
	return f;
}

bool dt_field_match(const struct dt_field *f, const char *text)
{
	switch (f->how) {
	case DT_FIELD_ANY: return true;
	case DT_FIELD_LITERAL: return strcmp(f->pattern, text) == 0;
	default: return dt_glob_match(f->pattern, text);
	}
}

struct matcher {
	struct dt_field prov, mod, func, name;
	/* what the last probes had: neighbours share their strings */
	const char *last_name;
	bool last_hit;
};

static bool name_matches(struct matcher *m, const char *name)
{
	if (name != m->last_name) {
		m->last_name = name;
		m->last_hit = dt_field_match(&m->name, name);
	}
	return m->last_hit;
}

static bool mod_matches(const struct matcher *m, const struct dt_probe *p)
{
	if (dt_field_match(&m->mod, p->mod))
		return true;
	return p->prov->mod_matches && p->prov->mod_matches(p, m->mod.pattern);
}

static bool matches(struct matcher *m, const struct dt_probe *p)
{
	return name_matches(m, p->name) && dt_field_match(&m->func, p->func) &&
	       dt_field_match(&m->prov, p->provider) && mod_matches(m, p);
}

static bool may_provide(const struct dt_provider *prov, const struct dt_pdesc *d)
{
	return prov->accepts ? prov->accepts(prov, d->prov) : dt_glob_match(d->prov, prov->name);
}

/* numbered: no providers but those whose probes have ids of their own. */
static int provide(struct dt_probes *ps, const struct dt_pdesc *d, bool numbered)
{
	const struct dt_provider *const *prov;

	for (prov = dt_providers; *prov; prov++)
		if ((!numbered || (*prov)->numbered) && may_provide(*prov, d) &&
		    (*prov)->provide(ps, *prov, d))
			return -1;
	return 0;
}

static int by_id(const void *a, const void *b)
{
	const struct dt_probe *const *x = a, *const *y = b;

	return (*x)->id<(*y)->id ? -1 : (*x)->id>(*y)->id;
}

/* The chain of one function and name, in id order: chains are short. */
static int match_chain(struct dt_probes *ps, struct matcher *m,
		       int (*cb)(struct dt_probe *p, void *arg), void *arg)
{
	u32 slot = hash_of(m->func.pattern, m->name.pattern) & (ps->nindex - 1), n = 0, i;
	struct dt_probe *p, **hits;
	int rv = 0;

	for (p = ps->index[slot]; p; p = p->chain)
		n += matches(m, p);
	if (!n)
		return 0;
	hits = malloc(n * sizeof(struct dt_probe *));
	if (!hits)
		return no_memory(ps);
	for (p = ps->index[slot], n = 0; p; p = p->chain)
		if (matches(m, p))
			hits[n++] = p;
	qsort(hits, n, sizeof(struct dt_probe *), by_id);
	for (i = 0; i < n && !rv; i++)
		rv = cb(hits[i], arg);
	free(hits);
	return rv;
}

static int match_all(struct dt_probes *ps, struct matcher *m,
		     int (*cb)(struct dt_probe *p, void *arg), void *arg)
{
	u32 id;
	int rv;

	for (id = 0; id < ps->nbyid; id++) {
		if (!ps->byid[id] || !matches(m, ps->byid[id]))
			continue;
		rv = cb(ps->byid[id], arg);
		if (rv)
			return rv;
	}
	return 0;
}

bool dt_is_provider(const char *pattern)
{
	const struct dt_provider *const *prov;

	for (prov = dt_providers; *prov; prov++)
		if (!(*prov)->accepts && dt_glob_match(pattern, (*prov)->name))
			return true;
	return false;
}

int dt_probes_match(struct dt_probes *ps, const struct dt_pdesc *d,
		    int (*cb)(struct dt_probe *p, void *arg), void *arg)
{
	struct matcher m = {
		.prov = dt_field_of(d->prov),
		.mod = dt_field_of(d->mod),
		.func = dt_field_of(d->func),
		.name = dt_field_of(d->name),
	};
	struct dt_probe *p;

	if (d->id) {
		p = dt_probes_byid(ps, d->id);
		return p ? cb(p, arg) : 0;
	}
	if (provide(ps, d, false))
		return -1;
	if (m.func.how == DT_FIELD_LITERAL && m.name.how == DT_FIELD_LITERAL && index_all(ps))
		return match_chain(ps, &m, cb, arg);
	return match_all(ps, &m, cb, arg);
}

int dt_probes_late(struct dt_probes *ps, const struct dt_pdesc *d,
		   int (*cb)(struct dt_attach *at, void *arg), void *arg)
{
	const struct dt_provider *const *prov;
	int rv = 0;

	for (prov = dt_providers; *prov && !rv; prov++)
		if ((*prov)->late && may_provide(*prov, d))
			rv = (*prov)->late(ps, *prov, d, cb, arg);
	return rv;
}

struct dt_probe *dt_probes_byid(struct dt_probes *ps, u32 id)
{
	static const struct dt_pdesc all = { .prov = "", .mod = "", .func = "", .name = "" };

	if ((id >= ps->nbyid || !ps->byid[id]) && provide(ps, &all, id < DT_ID_OTHER))
		return NULL;
	return id < ps->nbyid ? ps->byid[id] : NULL;
}

/* ---- prototypes ------------------------------------------------------------------------------------------- */

#define FENTRY_ARGS 6 /* what all kernels pass on */

static bool is_struct_pointer(struct dt_btf *b, u32 id)
{
	struct dt_btf_view v;
	bool pointer = false;

	while (dt_btf_type(b, id, &v) &&
	       (v.kind == DT_BTF_CONST || v.kind == DT_BTF_VOLATILE || v.kind == DT_BTF_RESTRICT ||
		v.kind == DT_BTF_TYPEDEF || v.kind == DT_BTF_TYPE_TAG ||
		(v.kind == DT_BTF_PTR && !pointer))) {
		pointer |= v.kind == DT_BTF_PTR;
		id = v.size;
	}
	return pointer && (v.kind == DT_BTF_STRUCT || v.kind == DT_BTF_UNION);
}

/* Passed in one register? */
static bool is_word(struct dt_btf *b, u32 id)
{
	struct dt_btf_view v;

	while (dt_btf_type(b, id, &v) &&
	       (v.kind == DT_BTF_CONST || v.kind == DT_BTF_VOLATILE || v.kind == DT_BTF_TYPEDEF))
		id = v.size;
	return dt_btf_type(b, id, &v) &&
	       (v.kind == DT_BTF_PTR ||
		((v.kind == DT_BTF_INT || v.kind == DT_BTF_ENUM || v.kind == DT_BTF_ENUM64) &&
		 v.size <= 8));
}

void dt_attach_resolve(struct dt_attach *at)
{
	bool tracepoint = at->kind == DT_AT_RAW_TP || at->kind == DT_AT_TP_BTF;
	struct dt_btf_proto proto;
	u32 i, skip = tracepoint;

	if (at->resolved || !at->btf || !dt_btf_proto(at->btf, at->btf_id, &proto))
		return;
	at->resolved = true;
	at->nargs = proto.n - skip;
	at->returns = proto.ret != 0;
	at->typed = !at->only_kprobe && !proto.varargs && proto.n <= DT_BTF_MAXPARAMS &&
		    (tracepoint || proto.n <= FENTRY_ARGS);
	for (i = skip; at->typed && i < proto.n; i++) {
		at->typed = is_word(at->btf, proto.param[i]);
		at->pointers |= (u32)is_struct_pointer(at->btf, proto.param[i]) << (i - skip);
	}
	if (at->kind == DT_AT_KRETPROBE) {
		at->typed &= !proto.ret || is_word(at->btf, proto.ret);
		at->pointers = (u32)is_struct_pointer(at->btf, proto.ret) << 1;
	}
}

/* ---- facts ----------------------------------------------------------------------------------- */

int dt_probe_args(struct dt_probes *ps, const struct dt_probe *p, struct dt_probe_args *out)
{
	int i;

	memset(out, 0, sizeof(*out));
	for (i = 0; i < DT_MAXARGS; i++)
		out->from[i] = i;
	return p->prov->args ? p->prov->args(ps, p, out) : -1;
}

int dt_btf_args(struct dt_probes *ps, struct dt_btf *b, const struct dt_btf_proto *proto, u32 skip,
		struct dt_probe_args *out)
{
	u32 n = DT_MIN(proto->n, (u32)DT_BTF_MAXPARAMS), i;

	for (i = skip; i < n && out->argc < DT_MAXARGS; i++) {
		struct dt_type *t = dt_types_from(ps->types, b, proto->param[i]);
		const char *text = dt_btf_text(b, proto->param[i], &ps->types->arena,
					       &out->userland[out->argc]);

		if (!text)
			return no_memory(ps);
		/* what is no number and no pointer is not looked into */
		out->known[out->argc] =
			t && dt_type_is_scalar(t) ? t : dt_type_basic(ps->types, DT_T_UINT64);
		out->type[out->argc++] = text;
	}
	return 0;
}

static dtrace_attribute_t attr_min(dtrace_attribute_t a, dtrace_attribute_t b)
{
	a.dtat_name = DT_MIN(a.dtat_name, b.dtat_name);
	a.dtat_data = DT_MIN(a.dtat_data, b.dtat_data);
	a.dtat_class = DT_MIN(a.dtat_class, b.dtat_class);
	return a;
}

dtrace_attribute_t dt_probe_attr(const struct dt_probe *p)
{
	const struct dt_stability *s = p->prov->stability;
	dtrace_attribute_t a = p->prov->attr;

	if (!s)
		return a;
	a = attr_min(a, s->name);
	if (*p->mod)
		a = attr_min(a, s->mod);
	return *p->func ? attr_min(a, s->func) : a;
}

dtrace_attribute_t dt_probe_args_attr(const struct dt_probe *p)
{
	return p->prov->stability ? p->prov->stability->args : p->prov->attr;
}

static void copy_field(char *to, size_t size, const char *from)
{
	size_t n = strnlen(from, size - 1);

	memcpy(to, from, n);
	to[n] = '\0';
}

void dt_probe_desc(const struct dt_probe *p, dtrace_probedesc_t *out)
{
	out->dtpd_id = p->id;
	copy_field(out->dtpd_provider, sizeof(out->dtpd_provider), p->provider);
	copy_field(out->dtpd_mod, sizeof(out->dtpd_mod), p->mod);
	copy_field(out->dtpd_func, sizeof(out->dtpd_func), p->func);
	copy_field(out->dtpd_name, sizeof(out->dtpd_name), p->name);
}
