/* SPDX-License-Identifier: Apache-2.0 */
/*
 * late.c - probes that come while tracing runs: a process that a description speaks of has loaded another file.
 *
 * The mappings of such processes are looked at now and then.  When there are other files in them, the descriptions
 * are matched again; what is new gets a row in the tables of its attach point (codegen/object.h: struct
 * dt_userset), and then it is attached.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "api/handle.h"
#include "load/live.h"

struct dt_lateproc {
	pid_t pid;
	u64 files; /* stands for those that it maps */
	struct dt_lateproc *next;
};

struct finding {
	dtrace_hdl_t *h;
	const struct dt_userset *u;
	const struct dt_clause *clause;
	struct dt_probe **v; /* not attached yet */
	u32 n, cap;
	bool full;
};

static u8 *globals_of(const dtrace_hdl_t *h)
{
	return h->live->maps[h->obj->globals_map].mem;
}

/* ---- tables ------------------------------------------------------------------------------------------------ */

static void set_rows(dtrace_hdl_t *h, const struct dt_attach *at, const struct dt_probe *p)
{
	for (u32 i = 0; i < h->obj->naggs; i++) {
		struct dt_aggspec *a = &h->obj->aggs[i];

		if (a->store == DT_AGG_DENSE && a->at == at && p->key < a->nrows)
			a->row_probe[p->key] = p->id;
	}
}

/* The clause's bit of the probe's mask; true when the probe is new to all clauses. */
static bool set_mask(struct finding *f, const struct dt_probe *p)
{
	u64 *mask = (u64 *)(void *)(globals_of(f->h) + f->u->mask_off) +
		    (size_t)p->key * f->u->mask_words;
	bool known = false;

	for (u32 w = 0; w < f->u->mask_words; w++)
		known = known || mask[w];
	for (u32 c = 0; c < f->u->nclauses; c++)
		if (f->u->clauses[c] == f->clause)
			__atomic_fetch_or(&mask[c / 64], UINT64_C(1) << c % 64, __ATOMIC_RELEASE);
	return !known;
}

static bool has_room(const struct finding *f, const struct dt_probe *p)
{
	const struct dt_uprobe *u = p->priv;

	if (p->key >= f->u->nkeys)
		return false;
	for (u32 i = 0; f->u->nuargs && i < u->sites.n; i++)
		if (u->sites.v[i].uargs >= f->u->nuargs)
			return false;
	return true;
}

static int see_probe(struct dt_probe *p, void *arg)
{
	struct finding *f = arg;
	u32 cap = f->cap ? f->cap * 2 : 64;
	void *v;

	if (p->at != f->u->at)
		return 0;
	if (!has_room(f, p)) {
		f->full = true;
		return 0;
	}
	if (f->n == f->cap) {
		v = realloc(f->v, cap * sizeof(struct dt_probe *));
		if (!v)
			return dt_set_errno(f->h, EDT_NOMEM);
		f->v = v;
		f->cap = cap;
	}
	dt_userset_fill(f->h->live, f->u, p);
	set_rows(f->h, f->u->at, p);
	if (set_mask(f, p))
		f->v[f->n++] = p;
	return 0;
}

/* ---- matching ------------------------------------------------------------------------------------------------ */

static int prog_of(const dtrace_hdl_t *h, const struct dt_attach *at)
{
	for (u32 i = 0; i < h->obj->nprogs; i++)
		if (h->obj->progs[i].at == at)
			return h->live->progs[i];
	return -1;
}

static const struct dt_userset *set_of(const dtrace_hdl_t *h, const struct dt_attach *at)
{
	for (u32 i = 0; i < h->obj->usersets.n; i++)
		if (h->obj->usersets.v[i]->at == at && h->obj->usersets.v[i]->late)
			return h->obj->usersets.v[i];
	return NULL;
}

static int match(dtrace_hdl_t *h, const struct dt_clause *c, const struct dt_late *late)
{
	struct finding f = { .h = h, .clause = c, .u = set_of(h, late->at) };
	int rv = 0;

	if (!f.u)
		return 0;
	if (dt_probes_match(&h->probes, &late->desc, see_probe, &f) < 0)
		rv = -1;
	else if (f.n)
		rv = dt_uprobes_attach(h, h->live, late->at, prog_of(h, late->at), f.v, f.n);
	if (rv == 0 && f.full)
		rv = dt_fail(&h->err, EDT_BPF,
			     "%s:%s:%s:%s: more probes came while tracing than there is room for",
			     late->desc.prov, late->desc.mod, late->desc.func, late->desc.name);
	free(f.v);
	return rv;
}

/* ---- now and then ------------------------------------------------------------------------------------------------ */

/* Whether a process has other files than the last time. */
static bool has_changed(dtrace_hdl_t *h, pid_t pid)
{
	struct dt_lateproc *p = h->lateprocs;
	u64 files = dt_users_files(h->users, pid);

	while (p && p->pid != pid)
		p = p->next;
	if (!p && (p = calloc(1, sizeof(*p)))) {
		p->pid = pid;
		p->next = h->lateprocs;
		h->lateprocs = p;
	}
	if (!p || !files || p->files == files)
		return false;
	p->files = files;
	return true;
}

static pid_t process_of(const struct dt_pdesc *d)
{
	size_t i = strlen(d->prov);

	while (i > 0 && d->prov[i - 1] >= '0' && d->prov[i - 1] <= '9')
		i--;
	return (pid_t)strtol(d->prov + i, NULL, 10);
}

static int match_process(dtrace_hdl_t *h, pid_t pid)
{
	for (u32 i = 0; i < h->clauses.n; i++) {
		const struct dt_clause *c = h->clauses.v[i];

		for (u32 k = 0; k < c->late.n; k++)
			if (process_of(&c->late.v[k].desc) == pid && match(h, c, &c->late.v[k]) < 0)
				return -1;
	}
	return 0;
}

/* It may end in the middle of it, which is no failure. */
static int check_process(dtrace_hdl_t *h, pid_t pid)
{
	struct dt_error before = h->err;

	if (match_process(h, pid) == 0)
		return 0;
	if (dt_users_files(h->users, pid))
		return -1;
	h->err = before;
	return 0;
}

int dt_late_check(dtrace_hdl_t *h)
{
	pid_t last = 0;

	for (u32 i = 0; i < h->clauses.n; i++)
		for (u32 k = 0; k < h->clauses.v[i]->late.n; k++) {
			pid_t pid = process_of(&h->clauses.v[i]->late.v[k].desc);

			if (pid == last)
				continue;
			last = pid;
			if (has_changed(h, pid) && check_process(h, pid) < 0)
				return -1;
		}
	return 0;
}

bool dt_late_any(const dtrace_hdl_t *h)
{
	for (u32 i = 0; i < h->clauses.n; i++)
		if (h->clauses.v[i]->late.n)
			return true;
	return false;
}

void dt_late_free(dtrace_hdl_t *h)
{
	struct dt_lateproc *p;

	while ((p = h->lateprocs)) {
		h->lateprocs = p->next;
		free(p);
	}
}
