/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ufunc.c - probes that are places in files: what the providers of user level share.
 *
 * All entries of functions, in whatever files and processes, hang on one attach point, all returns on another, so
 * thousands of functions are one program.  A probe may have several places: a name that two functions of a file
 * have, a static probe that was inlined.
 */
#include "providers/ufunc.h"

#include <stdlib.h>
#include <string.h>

const struct dt_attach dt_on_uentry = { .kind = DT_AT_UPROBE,
					.abi = DT_ABI_UENTRY,
					.target = "uentry" };
const struct dt_attach dt_on_ureturn = {
	.kind = DT_AT_UPROBE, .abi = DT_ABI_URETURN, .target = "ureturn", .on_return = true
};

static const struct dt_attach on_insn = { .kind = DT_AT_UPROBE,
					  .abi = DT_ABI_UINSN,
					  .target = "uinsn" };

#define MAX_FUNCTION (1u << 20) /* bytes of a function whose instructions are told apart */

static int no_memory(struct dt_probes *ps)
{
	return dt_fail(ps->err, EDT_NOMEM, "%s", dt_errstr(EDT_NOMEM));
}

const char *dt_uprobe_str(struct dt_probes *ps, const char *s)
{
	char *copy = dt_arena_strdup(&ps->arena, s);

	if (!copy)
		no_memory(ps);
	return copy;
}

/* ---- places ----------------------------------------------------------------------------------------------- */

static int add_site(struct dt_probes *ps, struct dt_uprobe *u, const struct dt_usite *site)
{
	struct dt_usite *s;

	for (u32 i = 0; i < u->sites.n; i++)
		if (u->sites.v[i].file == site->file && u->sites.v[i].off == site->off)
			return 0;
	s = dt_vec_push(&ps->arena, &u->sites);
	if (!s)
		return no_memory(ps);
	*s = *site;
	return 0;
}

static struct dt_uprobe *new_probe(struct dt_probes *ps, const struct dt_uscope *s,
				   const char *func, const char *name, const struct dt_attach *model)
{
	struct dt_attach *at = dt_probes_attach_of(ps, model);
	struct dt_uprobe *u = dt_arena_new(&ps->arena, struct dt_uprobe);
	struct dt_probe *p;

	func = dt_uprobe_str(ps, func);
	name = dt_uprobe_str(ps, name);
	if (!at || !u || !func || !name) {
		no_memory(ps);
		return NULL;
	}
	u->pid = s->pid;
	u->program = s->program;
	p = dt_probes_add(ps, s->prov, 0, s->mod, func, name, at, at->nkeys, u);
	if (!p)
		return NULL;
	p->provider = s->provname;
	at->nkeys++;
	return u;
}

int dt_uprobe_add(struct dt_probes *ps, const struct dt_uscope *s, const char *func,
		  const char *name, const struct dt_attach *model, const struct dt_usite *site)
{
	struct dt_probe *p = dt_probes_find(ps, s->provname, s->mod, func, name);
	struct dt_uprobe *u =
		p ? (struct dt_uprobe *)(uintptr_t)p->priv : new_probe(ps, s, func, name, model);

	return u ? add_site(ps, u, site) : -1;
}

/* ---- what a description asks for ---------------------------------------------------------------------------- */

struct providing {
	struct dt_probes *ps;
	const struct dt_uscope *s;
	struct dt_field func, offsets;
	bool entry, ret;
	bool offset, each; /* the name is an offset; a pattern of such, in the function of this name */
	u64 at;
	u32 safe, unsafe; /* functions that match */
	/* of several names of one address that match, the best is taken */
	struct dt_ufunc best;
	char *name; /* best.name on the heap */
};

/* ---- instructions ------------------------------------------------------------------------------------------- */

static int fail_offset(struct providing *p, const struct dt_ufunc *fn, enum dt_tag tag,
		       const char *why)
{
	p->ps->tag = tag;
	return dt_fail(p->ps->err, EDT_BADPROBE, "%s of %s: offset 0x%llx %s", fn->name,
		       p->s->file->path, (unsigned long long)p->at, why);
}

static int add_insn(struct providing *p, const struct dt_ufunc *fn, const char *func, u64 name, u64 at)
{
	struct dt_usite site = { .file = p->s->file, .off = fn->off + at };
	char text[24];

	snprintf(text, sizeof(text), "%llx", (unsigned long long)name);
	return dt_uprobe_add(p->ps, p->s, func, text, &on_insn, &site);
}

/* The instruction at an offset of a function. */
static int add_at(struct providing *p, const struct dt_ufunc *fn, const u8 *code, size_t n,
		  const char *func, u64 name)
{
	u64 want = p->at, at = 0;
	size_t len = 1;

	while (at < want && at < n && len) {
		len = dt_insn_len(code + at, n - at);
		at += len;
	}
	if (at != want)
		return fail_offset(p, fn, D_PROC_ALIGN, "is not where an instruction starts");
	if (!dt_insn_len(code + at, n - at) || !dt_insn_probeable(code + at, n - at))
		return fail_offset(p, fn, D_PROC_ALIGN,
				   "has an instruction that the kernel cannot probe");
	return add_insn(p, fn, func, name, at);
}

/* Those whose offsets match. */
static int add_each(struct providing *p, const struct dt_ufunc *fn, const u8 *code, size_t n)
{
	char text[24];
	size_t len;

	for (u64 at = 0; at < n && (len = dt_insn_len(code + at, n - at)) > 0; at += len) {
		snprintf(text, sizeof(text), "%llx", (unsigned long long)at);
		if (dt_field_match(&p->offsets, text) && dt_insn_probeable(code + at, n - at) &&
		    add_insn(p, fn, fn->name, at, at) < 0)
			return -1;
	}
	return 0;
}

/* func, name: as the probe is called. */
static int add_insns(struct providing *p, const struct dt_ufunc *fn, const char *func, u64 name)
{
	const struct dt_user *u = p->ps->user;
	size_t n = (size_t)DT_MIN(fn->size, (u64)MAX_FUNCTION);
	u8 *code;
	int rv;

	if (p->offset && p->at >= fn->size)
		return fail_offset(p, fn, D_PROC_OFF, "is not in the function");
	code = malloc(n + 1);
	if (!code)
		return no_memory(p->ps);
	n = u->code(u->arg, p->s->file, fn->vaddr, code, n);
	rv = p->offset ? add_at(p, fn, code, n, func, name) : add_each(p, fn, code, n);
	free(code);
	return rv;
}

/* Function -: an address in the file. */
static int add_address(struct providing *p)
{
	const struct dt_user *u = p->ps->user;
	u64 vaddr = p->at;
	struct dt_ufunc fn;

	if (u->function_at(u->arg, p->s->file, vaddr, &fn) < 0) {
		p->ps->tag = D_PROC_OFF;
		return dt_fail(p->ps->err, EDT_BADPROBE, "%s: no function is at 0x%llx",
			       p->s->file->path, (unsigned long long)vaddr);
	}
	p->at -= fn.vaddr;
	return add_insns(p, &fn, "-", vaddr);
}

/* ---- functions --------------------------------------------------------------------------------------------- */

static int add_function(struct providing *p, const struct dt_ufunc *fn)
{
	struct dt_usite site = { .file = p->s->file, .off = fn->off };

	if ((p->offset || p->each) && add_insns(p, fn, fn->name, p->at) < 0)
		return -1;
	if (fn->unsafe)
		return 0;
	if (p->entry && dt_uprobe_add(p->ps, p->s, fn->name, "entry", &dt_on_uentry, &site) < 0)
		return -1;
	if (p->ret && dt_uprobe_add(p->ps, p->s, fn->name, "return", &dt_on_ureturn, &site) < 0)
		return -1;
	return 0;
}

static int flush(struct providing *p)
{
	int rv = p->name ? add_function(p, &p->best) : 0;

	free(p->name);
	p->name = NULL;
	return rv;
}

static int see_function(const struct dt_ufunc *fn, void *arg)
{
	struct providing *p = arg;

	if (!dt_field_match(&p->func, fn->name))
		return 0;
	if (fn->unsafe && !p->offset && !p->each) {
		p->unsafe++;
		return 0;
	}
	p->safe++;
	if (p->func.how == DT_FIELD_LITERAL)
		return add_function(p, fn);
	if (p->name && p->best.vaddr != fn->vaddr && flush(p) < 0)
		return -1;
	if (p->name && p->best.rank >= fn->rank)
		return 0;
	free(p->name);
	p->name = strdup(fn->name);
	if (!p->name)
		return no_memory(p->ps);
	p->best = *fn;
	p->best.name = p->name;
	return 0;
}

/* Hexadecimal as probes are called: lower case, no zeros in front. */
static bool is_offset(const char *s, u64 *at)
{
	size_t n = strlen(s);

	if (!n || n > 16 || s[strspn(s, "0123456789abcdef")] || (n > 1 && *s == '0'))
		return false;
	*at = strtoull(s, NULL, 16);
	return true;
}

int dt_ufunc_provide(struct dt_probes *ps, const struct dt_uscope *s, const struct dt_pdesc *d)
{
	struct dt_field name = dt_field_of(d->name);
	struct providing p = { .ps = ps, .s = s, .func = dt_field_of(d->func) };
	int rv = 0;

	p.offsets = name;
	p.entry = dt_field_match(&name, "entry");
	p.ret = dt_field_match(&name, "return");
	p.offset = name.how == DT_FIELD_LITERAL && is_offset(d->name, &p.at);
	p.each = name.how != DT_FIELD_LITERAL && p.func.how == DT_FIELD_LITERAL;
	if (p.offset && strcmp(d->func, "-") == 0)
		return add_address(&p);
	if (p.entry || p.ret || p.offset || p.each)
		rv = ps->user->functions(ps->user->arg, s->file, see_function, &p);
	if (rv == 0)
		rv = flush(&p);
	free(p.name);
	if (rv == 0 && p.func.how == DT_FIELD_LITERAL && p.unsafe && !p.safe) {
		ps->tag = D_PROC_ALIGN;
		return dt_fail(ps->err, EDT_BADPROBE,
			       "%s of %s starts with an instruction that the kernel cannot probe",
			       d->func, s->file->path);
	}
	return rv;
}

/* Arguments of functions have no types: they are argN. */
int dt_ufunc_args(struct dt_probes *ps, const struct dt_probe *p, struct dt_probe_args *out)
{
	return 0;
}

int dt_ufunc_late(struct dt_probes *ps, const struct dt_pdesc *d,
		  int (*cb)(struct dt_attach *at, void *arg), void *arg)
{
	static const struct {
		const char *name;
		const struct dt_attach *model;
	} sides[] = { { "entry", &dt_on_uentry }, { "return", &dt_on_ureturn } };
	struct dt_field name = dt_field_of(d->name);

	for (size_t i = 0; i < DT_NELEM(sides); i++) {
		struct dt_attach *at;
		int rv;

		if (!dt_field_match(&name, sides[i].name))
			continue;
		at = dt_probes_attach_of(ps, sides[i].model);
		if (!at)
			return -1;
		rv = cb(at, arg);
		if (rv)
			return rv;
	}
	return 0;
}

/* ---- names of files and processes ------------------------------------------------------------------------------ */

/* What follows the name of a library in the name of its file: ".so.6", "-2.36.so". */
static bool is_version(const char *s)
{
	return *s == '.' || (*s == '-' && s[1] >= '0' && s[1] <= '9');
}

bool dt_umod_matches(const struct dt_ufile *f, const char *pattern)
{
	size_t n = strlen(pattern);

	if (strchr(pattern, '/'))
		return (f->asked && strcmp(f->asked, pattern) == 0) ||
		       dt_glob_match(pattern, f->path);
	if (dt_glob_match(pattern, f->name))
		return true;
	return dt_glob_is_literal(pattern) && strncmp(f->name, pattern, n) == 0 &&
	       is_version(f->name + n);
}

bool dt_uprobe_mod_matches(const struct dt_probe *p, const char *pattern)
{
	const struct dt_uprobe *u = p->priv;

	if (u->program && strcmp(pattern, "a.out") == 0)
		return true;
	return u->sites.n && dt_umod_matches(u->sites.v[0].file, pattern);
}

bool dt_umod_is_program(const struct dt_pdesc *d)
{
	return strcmp(d->mod, "a.out") == 0 || strchr(d->mod, '/');
}

pid_t dt_uprov_pid(const char *prov, size_t *namelen)
{
	size_t n = strlen(prov), i = n;
	long pid = 0;

	while (i > 0 && prov[i - 1] >= '0' && prov[i - 1] <= '9')
		i--;
	if (i == n || i == 0 || n - i > 9 || !dt_glob_is_literal(prov))
		return -1;
	for (*namelen = i; i < n; i++)
		pid = pid * 10 + (prov[i] - '0');
	return (pid_t)pid;
}

bool dt_uprov_accepts(const struct dt_provider *self, const char *prov)
{
	const size_t len = strlen(self->name);
	size_t n;

	if (strncmp(prov, self->name, len) != 0 || !prov[len])
		return false;
	return !dt_glob_is_literal(prov) || (dt_uprov_pid(prov, &n) >= 0 && n == len);
}

struct providing_all {
	struct dt_probes *ps;
	const char *name, *pattern;
	int (*make)(pid_t pid, void *arg);
	void *arg;
};

static int see_process(pid_t pid, void *arg)
{
	const struct providing_all *all = arg;
	struct dt_error before = *all->ps->err;
	char name[32];

	snprintf(name, sizeof(name), "%s%d", all->name, (int)pid);
	if (dt_glob_match(all->pattern, name) && all->make(pid, all->arg) < 0)
		*all->ps->err = before;
	return 0;
}

int dt_uprov_provide(struct dt_probes *ps, const struct dt_provider *self, const struct dt_pdesc *d,
		     int (*make)(pid_t pid, void *arg), void *arg)
{
	struct providing_all all = {
		.ps = ps, .name = self->name, .pattern = d->prov, .make = make, .arg = arg
	};
	size_t n;
	pid_t pid = dt_uprov_pid(d->prov, &n);

	if (!ps->user) {
		ps->tag = D_PROC_GRAB;
		return dt_fail(ps->err, EDT_NOPROV, "there are no processes to look at");
	}
	return pid >= 0 ? make(pid, arg) : ps->user->processes(ps->user->arg, see_process, &all);
}
