/* SPDX-License-Identifier: Apache-2.0 */
/* fbt and rawfbt, on the kernel of tests/support/kernel.c. */
#include <string.h>

#include "kernel.h"
#include "test.h"
#include "types/btf.h"
#include "world.h"

static struct world w;

struct hits {
	struct dt_probe *v[32];
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

static void t_entry(void)
{
	struct hits h = match("fbt::disk_read:entry");
	struct dt_probe_args args;
	struct dt_attach *at;

	if (!CHECK_INT(h.n, 1))
		return;
	at = h.v[0]->at;
	CHECK_STR(h.v[0]->mod, "vmlinux");
	CHECK(at->kind == DT_AT_KPROBE && at->abi == DT_ABI_KPROBE && !at->module);
	CHECK_INT(dt_probe_args(&w.probes, h.v[0], &args), 0);
	CHECK_INT(args.argc, 3);
	CHECK_STR(args.type[0], "struct disk *");
	CHECK_STR(args.type[1], "const char *");
	CHECK_STR(args.type[2], "long unsigned int");
	dt_attach_resolve(at);
	CHECK(at->typed && at->nargs == 3 && at->pointers == 1 && at->returns);
}

static void t_return(void)
{
	struct hits h = match("fbt:vmlinux:disk_find:return");
	struct dt_probe_args args;

	if (!CHECK_INT(h.n, 1))
		return;
	CHECK(h.v[0]->at->kind == DT_AT_KRETPROBE);
	CHECK_INT(dt_probe_args(&w.probes, h.v[0], &args), 0);
	CHECK_INT(args.argc, 2);
	CHECK_STR(args.type[0], "int");
	CHECK_STR(args.type[1], "struct disk *");
	dt_attach_resolve(h.v[0]->at);
	CHECK(h.v[0]->at->pointers == 2 && h.v[0]->at->typed);
}

/* A function of any number of arguments, and without a value. */
static void t_odd(void)
{
	struct hits h = match("fbt::disk_log:return");
	struct dt_probe_args args;

	if (!CHECK_INT(h.n, 1))
		return;
	CHECK(dt_probe_args(&w.probes, h.v[0], &args) == 0 && args.argc == 1);
	dt_attach_resolve(h.v[0]->at);
	CHECK(!h.v[0]->at->typed && !h.v[0]->at->returns);
}

/* The file of tracefs lists disk_read, disk_log, disk_raw, twins of one name, and a module's cache_find. */
static void t_globs(void)
{
	CHECK_INT(match("fbt::disk_*:entry").n, 2); /* disk_find is described, and cannot be traced */
	CHECK_INT(match("fbt:::entry").n, 3);
	CHECK_INT(match("fbt:::").n, 6);
	CHECK_INT(match("fbt:cachemod::").n, 2);
	CHECK_INT(match("fbt:cache*:cache_f*:return").n, 1);
	CHECK_INT(match("fbt::twin:entry").n, 0);
	CHECK_INT(match("fbt::disk_*:middle").n, 0);
	CHECK_INT(match("rawfbt:::entry").n, 4); /* disk_raw too, but none of the twins */
	CHECK_INT(match("rawfbt::disk_raw:").n, 2);
	CHECK_INT(match("fbt::disk_raw:").n, 0);
}

static void t_literal(void)
{
	struct dt_probe_args args;
	struct hits h;

	CHECK_INT(match("fbt::disk_find:").n, 2); /* nobody asked tracefs */
	CHECK_INT(match("disk_find:entry").n, 2); /* fbt's and rawfbt's */
	h = match("fbt::cache_find:entry");
	CHECK(h.n == 1 && strcmp(h.v[0]->mod, "cachemod") == 0);
	CHECK(h.n == 1 && strcmp(h.v[0]->at->module, "cachemod") == 0);
	CHECK(h.n == 1 && !dt_probe_args(&w.probes, h.v[0], &args) &&
	      strcmp(args.type[0], "struct cache *") == 0);
	CHECK_INT(match("fbt:vmlinux:cache_find:entry").n, 0);
	h = match("rawfbt::disk_read:entry");
	CHECK(h.n == 1 && dt_probe_args(&w.probes, h.v[0], &args) == -1);
	if (h.n) {
		dt_attach_resolve(h.v[0]->at);
		CHECK(!h.v[0]->at->typed && h.v[0]->at->nargs == 3);
	}
	CHECK_INT(match("fbt::nothing:entry").n, 0);
}

static bool no_functions(void *arg)
{
	return false;
}

/* Where functions cannot be traced, only those who name the provider find them. */
static void t_hidden(void)
{
	w.probes.sources.traces_functions = no_functions;
	CHECK_INT(match("disk_read:entry").n, 0);
	CHECK_INT(match("fbt::disk_read:entry").n, 1);
	CHECK_INT(match("*fbt::disk_read:entry").n, 2);
}

static char *more(void *arg, const char *file)
{
	(void)arg;
	if (strcmp(file, "available_filter_functions") == 0)
		return strdup("disk_read\ndisk_log\ndisk_find\ncache_find [cachemod]\n");
	return NULL;
}

/* After an update there may be more; probes that were there stay what they were. */
static void t_rescan(void)
{
	u32 id = match("fbt::disk_read:entry").v[0]->id;

	CHECK_INT(match("fbt::disk_*:entry").n, 2);
	w.probes.sources.tracefs = more;
	CHECK_INT(match("fbt::disk_*:entry").n, 2);
	dt_probes_rescan(&w.probes);
	CHECK_INT(match("fbt::disk_*:entry").n, 3);
	CHECK_INT(match("fbt::disk_read:entry").v[0]->id, id);
	CHECK_INT(match("fbt:::entry").n, 4);
}

static void t_models(void)
{
	struct dt_attach at;

	CHECK(dt_kfunc_model(&w.probes, NULL, "disk_find", true, &at));
	CHECK(at.kind == DT_AT_KRETPROBE && strcmp(at.target, "disk_find") == 0 && at.btf_id);
	CHECK(dt_kfunc_model(&w.probes, "cachemod", "cache_find", false, &at));
	CHECK(at.kind == DT_AT_KPROBE && at.btf == dt_types_module(&w.types, "cachemod"));
	CHECK(!dt_kfunc_model(&w.probes, NULL, "cache_find", false, &at));
	CHECK(dt_tracepoint_model(&w.probes, "disk_done", &at));
	CHECK(at.kind == DT_AT_RAW_TP && at.nargs == 3);
	CHECK(!dt_tracepoint_model(&w.probes, "disk_undone", &at));
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
	with_world(t_entry);
	with_world(t_return);
	with_world(t_odd);
	with_world(t_globs);
	with_world(t_literal);
	with_world(t_hidden);
	with_world(t_rescan);
	with_world(t_models);
	return test_status();
}
