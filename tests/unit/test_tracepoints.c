/* SPDX-License-Identifier: Apache-2.0 */
/* sdt and rawtp, on the kernel of tests/support/kernel.c. */
#include <string.h>

#include "kernel.h"
#include "test.h"
#include "world.h"

static struct world w;

struct hits {
	struct dt_probe *v[16];
	u32 n;
};

static int note(struct dt_probe *p, void *arg)
{
	struct hits *h = arg;

	if (h->n < DT_NELEM(h->v))
		h->v[h->n] = p;
	h->n++;
	return 0;
}

static struct hits match(const char *text)
{
	struct hits h = { 0 };
	struct dt_arena a;
	struct dt_pdesc d;
	const char *why;

	dt_arena_init(&a);
	if (CHECK_INT(dt_pdesc_parse(&a, text, DTRACE_PROBESPEC_NAME, &d, &why), 0))
		dt_probes_match(&w.probes, &d, note, &h);
	dt_arena_fini(&a);
	return h;
}

static void t_one(void)
{
	u64 bits = 0;
	struct hits h = match("sdt:disk::disk_start");
	struct dt_probe_args args;

	if (!CHECK_INT(h.n, 1))
		return;
	CHECK_STR(h.v[0]->mod, "disk");
	CHECK_STR(h.v[0]->func, "");
	CHECK_STR(h.v[0]->at->target, "disk_start");
	CHECK(h.v[0]->at->kind == DT_AT_RAW_TP && h.v[0]->at->nargs == 2);
	CHECK_INT(dt_probe_args(&w.probes, h.v[0], &args), 0);
	CHECK_INT(args.argc, 2);
	CHECK_STR(args.type[0], "struct disk *");
	CHECK_STR(args.type[1], "int");
	CHECK(args.known[0] && dt_type_member(dt_type_resolve(args.known[0]->ref), "flags", &bits));
	CHECK_INT(bits, 256);
	CHECK(args.from[1] == 1 && !args.userland[0]);
	CHECK_INT(match("sdt:disk::disk_start").v[0]->id, h.v[0]->id);
	CHECK_INT(match("sdt:other::disk_start").n, 0);
	CHECK_INT(match("sdt:disk:f:disk_start").n, 0);
	CHECK_INT(match("sdt:::disk").n, 0);
	CHECK_INT(match("sdt:::disk_startx").n, 0);
	CHECK_INT(match("sdt:::DISK_START").n, 0);
	CHECK_INT(match("disk_start").n, 2); /* both providers' */
}

/* A tracepoint that is no event has the kernel for a group. */
static void t_bare(void)
{
	struct hits h = match("rawtp:vmlinux::bare_tp");
	struct dt_probe_args args;

	if (!CHECK_INT(h.n, 1))
		return;
	CHECK_INT(dt_probe_args(&w.probes, h.v[0], &args), 0);
	CHECK_STR(args.type[0], "_Bool");
	CHECK_STR(args.type[1], "const char *");
}

/* A module's: its types are its own, and the kernel's below. */
static void t_module(void)
{
	struct hits h = match("sdt:cache::cache_hit");
	struct dt_probe_args args;
	const struct dt_member *m;
	struct dt_type *cache;
	u64 bits;

	if (!CHECK_INT(h.n, 1) || !CHECK_INT(dt_probe_args(&w.probes, h.v[0], &args), 0))
		return;
	CHECK_STR(args.type[0], "struct cache *");
	cache = dt_type_resolve(args.known[0]->ref);
	CHECK(cache && cache->kind == DT_STRUCT && cache->size == 16);
	m = dt_type_member(cache, "disk", &bits);
	CHECK(m && dt_type_member(dt_type_resolve(m->type->ref), "flags", &bits) != NULL);
	m = dt_type_member(cache, "next", &bits);
	CHECK(m && dt_type_resolve(m->type->ref) == cache);
	CHECK(dt_types_module(&w.types, "vmlinux") == w.types.btf);
	CHECK(dt_types_module(&w.types, "cachemod") != NULL);
	CHECK(dt_types_module(&w.types, "nomod") == NULL && dt_types_module(&w.types, "../x") == NULL);
}

/* One at a time or all at once: the same probes, each once, grouped as the events are. */
static void t_all(void)
{
	struct hits h = match("sdt:::");

	CHECK_INT(h.n, 6);
	CHECK_INT(match("sdt:disk::").n, 2);
	CHECK_INT(match("sdt:d*::*_done").n, 1);
	CHECK_INT(match("rawtp:::").n, 6);
	CHECK_INT(match("sdt:::*").n, 6);
}

static void t_order(void)
{
	struct hits h = match("sdt:::*");

	if (!CHECK_INT(h.n, 6))
		return;
	CHECK_STR(h.v[0]->name, "disk_start");
	CHECK_STR(h.v[1]->name, "disk_done");
	CHECK_STR(h.v[2]->name, "cache_hit");
	CHECK_STR(h.v[3]->name, "bare_tp");
}

static void t_no_sources(void)
{
	w.probes.sources = (struct dt_sources){ 0 };
	CHECK_INT(match("sdt:vmlinux::disk_start").n, 1);
	CHECK_INT(match("sdt:cachemod::cache_hit").n, 1);
	CHECK_INT(match("sdt:vmlinux::").n, 5);
	w.probes.types = NULL;
	CHECK_INT(match("sdt:::disk_done").n, 0);
	CHECK_INT(w.err.code, EDT_NOPROBE);
	CHECK(strstr(w.err.msg, "BTF") != NULL);
	w.err = (struct dt_error){ 0 };
	CHECK_INT(match("BEGIN").n, 1);
	CHECK_INT(w.err.code, 0);
}

static void with_world(void (*test)(void))
{
	if (!CHECK_INT(world_init(&w), 0))
		return;
	test();
	world_fini(&w);
}

int main(void)
{
	with_world(t_one);
	with_world(t_bare);
	with_world(t_module);
	with_world(t_all);
	with_world(t_order);
	with_world(t_no_sources);
	return test_status();
}
