/* SPDX-License-Identifier: Apache-2.0 */
/*
 * uprobe.c - places in files with code to a program: one link for all places of a file in a process, where the
 * kernel has such links, else a perf event for each place.
 *
 * A file is attached to by its descriptor (/proc/self/fd/N): its name may be gone, or mean another file to us than to
 * the process that runs it.  The kernel takes all places of a link or none.  When it refuses, the link is halved until the
 * places that cannot be probed are alone; these are left out, as long as others are left.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "load/live.h"

struct place {
	const struct dt_ufile *file;
	u64 off, counter, cookie;
	pid_t pid;
	const struct dt_probe *probe;
};

struct attaching {
	dtrace_hdl_t *h;
	struct dt_live *l;
	const struct dt_attach *at;
	int prog;
	u64 *offs, *counters, *cookies;
	u32 total, attached;
	const struct place *refused; /* the first, and why */
	int err;
};

static int by_file(const void *a, const void *b)
{
	const struct place *p = a, *q = b;

	if (p->file != q->file)
		return p->file < q->file ? -1 : 1;
	if (p->pid != q->pid)
		return p->pid < q->pid ? -1 : 1;
	return p->off < q->off ? -1 : p->off > q->off;
}

static u32 count_places(struct dt_probe *const *probes, u32 n)
{
	u32 count = 0;

	for (u32 i = 0; i < n; i++)
		count += ((const struct dt_uprobe *)probes[i]->priv)->sites.n;
	return count;
}

static void list_places(struct place *v, struct dt_probe *const *probes, u32 n)
{
	for (u32 i = 0; i < n; i++) {
		const struct dt_uprobe *u = probes[i]->priv;

		for (u32 k = 0; k < u->sites.n; k++)
			*v++ = (struct place){ .file = u->sites.v[k].file,
					       .off = u->sites.v[k].off,
					       .counter = u->sites.v[k].counter,
					       .cookie = (u64)u->sites.v[k].uargs << 32 |
							 probes[i]->key,
					       .pid = u->pid,
					       .probe = probes[i] };
	}
}

/* ---- one file in one process ------------------------------------------------------------------------------ */

static int link_places(struct attaching *a, const struct place *p, u32 n)
{
	char path[32];
	struct dt_bpf_uprobes u = { .path = path,
				    .offs = a->offs,
				    .cookies = a->cookies,
				    .n = n,
				    .pid = p->pid,
				    .on_return = a->at->on_return };

	snprintf(path, sizeof(path), "/proc/self/fd/%d", p->file->fd);
	for (u32 i = 0; i < n; i++) {
		a->offs[i] = p[i].off;
		a->counters[i] = p[i].counter;
		a->cookies[i] = p[i].cookie;
		if (p[i].counter)
			u.counters = a->counters;
	}
	return dt_feature(a->h, DT_FEAT_UPROBE_MULTI) ? dt_bpf_uprobe_multi(a->prog, &u) :
							dt_bpf_uprobe_perf(a->prog, &u);
}

/* Reasons that have nothing to do with the place. */
static bool is_general(int err)
{
	return err == EPERM || err == EACCES || err == EMFILE || err == ENFILE || err == ENOMEM ||
	       err == ESRCH;
}

/* Perf events take a descriptor each.  The limit that programs start with is there for those that use select();
 * it is raised only when somebody asks for more probes than it allows. */
static bool raise_limit(u32 more)
{
	struct rlimit r;

	if (getrlimit(RLIMIT_NOFILE, &r) < 0 || r.rlim_cur >= r.rlim_max)
		return false;
	r.rlim_cur = r.rlim_max - r.rlim_cur > more ? r.rlim_cur + more : r.rlim_max;
	return setrlimit(RLIMIT_NOFILE, &r) == 0;
}

static int attach_places(struct attaching *a, const struct place *p, u32 n)
{
	bool whole = n == 1 || dt_feature(a->h, DT_FEAT_UPROBE_MULTI);
	int fd = whole ? link_places(a, p, n) : -1;

	if (whole && fd < 0 && errno == EMFILE && raise_limit(a->total + 64))
		fd = link_places(a, p, n);
	if (fd >= 0) {
		a->attached += n;
		return dt_fds_add(&a->l->links, fd);
	}
	if (whole && (n == 1 || is_general(errno))) {
		a->err = a->refused ? a->err : errno;
		a->refused = a->refused ? a->refused : p;
		return is_general(errno) ? -1 : 0;
	}
	if (attach_places(a, p, n / 2) < 0)
		return -1;
	return attach_places(a, p + n / 2, n - n / 2);
}

static int attach_all(struct attaching *a, const struct place *v, u32 n)
{
	u32 end;

	for (u32 i = 0; i < n; i = end) {
		for (end = i + 1; end < n && v[end].file == v[i].file && v[end].pid == v[i].pid;)
			end++;
		if (attach_places(a, v + i, end - i) < 0)
			return -1;
	}
	return 0;
}

static int fail(struct attaching *a)
{
	const struct dt_probe *p = a->refused ? a->refused->probe : NULL;

	errno = a->err;
	if (!p)
		return dt_live_fail(a->h, "attaching to user code");
	if (a->err == EMFILE)
		return dt_fail(&a->h->err, EDT_BPF,
			       "attaching to '%s': too many open files: this kernel wants a descriptor for each place "
			       "(raise RLIMIT_NOFILE)",
			       a->refused->file->path);
	if (a->err == ESRCH)
		return dt_fail(&a->h->err, EDT_BPF, "attaching to '%s': process %d has ended",
			       a->refused->file->path, (int)a->refused->pid);
	return dt_live_fail(a->h, "attaching %s:%s:%s:%s to '%s' at 0x%llx", p->provider, p->mod,
			    p->func, p->name, a->refused->file->path,
			    (unsigned long long)a->refused->off);
}

int dt_uprobes_attach(dtrace_hdl_t *h, struct dt_live *l, const struct dt_attach *at, int prog,
		      struct dt_probe *const *probes, u32 n)
{
	u32 count = count_places(probes, n);
	_cleanup_free_ struct place *v = malloc((count + 1) * sizeof(*v));
	_cleanup_free_ u64 *numbers = malloc(3 * (count + 1) * sizeof(*numbers));
	struct attaching a = { .h = h, .l = l, .at = at, .prog = prog, .total = count };

	if (!v || !numbers)
		return dt_fail(&h->err, EDT_NOMEM, "%s", dt_errstr(EDT_NOMEM));
	a.offs = numbers;
	a.counters = numbers + count;
	a.cookies = numbers + 2 * (size_t)count;
	list_places(v, probes, n);
	qsort(v, count, sizeof(*v), by_file);
	if (attach_all(&a, v, count) < 0 || (count && !a.attached))
		return fail(&a);
	return 0;
}

/* ---- tables in globals -------------------------------------------------------------------------------------- */

static const char *text_of(const struct dt_probe *p, int id)
{
	switch (id) {
	case DT_B_PROBEPROV: return p->provider;
	case DT_B_PROBEMOD: return p->mod;
	case DT_B_PROBEFUNC: return p->func;
	default: return p->name;
	}
}

static void fill_texts(u8 *globals, const struct dt_userset *u, const struct dt_probe *p)
{
	for (u32 i = 0; i < u->texts.n; i++) {
		const struct dt_usertext *t = &u->texts.v[i];

		snprintf((char *)globals + t->off + (size_t)t->row * p->key, t->row, "%s",
			 text_of(p, t->id));
	}
}

static void fill_late(struct dt_live *l, u8 *globals, const struct dt_userset *u)
{
	memcpy(globals + u->id_off, u->ids, u->nkeys * sizeof(*u->ids));
	memcpy(globals + u->mask_off, u->masks, (size_t)u->nkeys * u->mask_words * sizeof(*u->masks));
	for (u32 i = 0; i < l->obj->nprogs; i++)
		for (u32 k = 0; l->obj->progs[i].at == u->at && k < l->obj->progs[i].nprobes; k++)
			fill_texts(globals, u, l->obj->progs[i].probes[k]);
}

/* Rows of operands: those that there is room for. */
static void fill_uargs(u8 *globals, const struct dt_userset *u)
{
	struct dt_uarg(*row)[DT_MAXARGS] = (void *)(globals + u->uargs_off);

	if (!u->nuargs)
		return;
	for (u32 i = 0; i < u->at->uargs.n && i < u->nuargs; i++)
		memcpy(row[i], u->at->uargs.v[i].arg, sizeof(row[i]));
}

void dt_usersets_fill(struct dt_live *l)
{
	const struct dt_object *o = l->obj;
	u8 *globals = o->globals_map < 0 ? NULL : l->maps[o->globals_map].mem;

	for (u32 i = 0; globals && i < o->usersets.n; i++) {
		const struct dt_userset *u = o->usersets.v[i];

		if (u->late)
			fill_late(l, globals, u);
		fill_uargs(globals, u);
	}
}

void dt_userset_fill(struct dt_live *l, const struct dt_userset *u, const struct dt_probe *p)
{
	u8 *globals = l->maps[l->obj->globals_map].mem;

	((u32 *)(void *)(globals + u->id_off))[p->key] = p->id;
	fill_texts(globals, u, p);
	fill_uargs(globals, u);
}
