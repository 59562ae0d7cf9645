/* SPDX-License-Identifier: Apache-2.0 */
#include "kernel.h"

#include <stdlib.h>
#include <string.h>

#include "types/btf.h"

#define VOID_POINTER 6
#define DISK_POINTER 10
#define STRINGS 2048
#define WORDS 1024

struct blob {
	u32 words[WORDS];
	u32 nwords, ntypes;
	char strs[STRINGS];
	u32 nstrs;
	u32 first_type, first_str; /* a module's go on from the kernel's */
	u8 data[24 + sizeof(u32) * WORDS + STRINGS];
	size_t size;
};

static struct blob kernel = { .nstrs = 1 }, module;
static struct blob *k; /* the one being made */

static void put(u32 word)
{
	if (k->nwords == WORDS)
		abort();
	k->words[k->nwords++] = word;
}

static u32 str(const char *s)
{
	u32 off = k->first_str + k->nstrs;

	if (!*s)
		return 0;
	if (k->nstrs + strlen(s) + 1 > STRINGS)
		abort();
	strcpy(k->strs + k->nstrs, s);
	k->nstrs += (u32)strlen(s) + 1;
	return off;
}

static u32 type(const char *name, u32 kind, u32 vlen, u32 size)
{
	put(str(name));
	put(kind << 24 | vlen);
	put(size);
	return k->first_type + ++k->ntypes;
}

static u32 integer(const char *name, u32 bytes, u32 encoding)
{
	u32 id = type(name, DT_BTF_INT, 0, bytes);

	put(encoding << 24 | bytes * 8);
	return id;
}

static u32 pointer(u32 to)
{
	return type("", DT_BTF_PTR, 0, to);
}

static u32 array(u32 of, u32 index, u32 n)
{
	u32 id = type("", DT_BTF_ARRAY, 0, 0);

	put(of);
	put(index);
	put(n);
	return id;
}

static void member(const char *name, u32 t, u32 byte)
{
	put(str(name));
	put(t);
	put(byte * 8);
}

static void enumerator(const char *name, u32 value)
{
	put(str(name));
	put(value);
}

/* params end with ~0 */
static u32 proto(u32 ret, const u32 *params)
{
	u32 n = 0, id, i;

	while (params[n] != ~0u)
		n++;
	id = type("", DT_BTF_FUNC_PROTO, n, ret);
	for (i = 0; i < n; i++) {
		put(params[i] ? str("p") : 0);
		put(params[i]);
	}
	return id;
}

#define PROTO(ret, ...) proto(ret, (const u32[]){ __VA_ARGS__, ~0u })

static void tracepoint(const char *name, u32 proto_id)
{
	u32 p = pointer(proto_id);

	type(name, DT_BTF_TYPEDEF, 0, p);
}

/* Threads, for the events that proc and sched derive their probes from. */
static void make_tasks(u32 t_int, u32 t_bool, u32 t_name, u32 t_void_p)
{
	u32 t_uint = integer("unsigned int", 4, 0), t_task = k->ntypes + 1, t_task_p = t_task + 1, p;

	type("task_struct", DT_BTF_STRUCT, 6, 48);
	member("pid", t_int, 0);
	member("tgid", t_int, 4);
	member("comm", t_name, 8);
	member("nvcsw", t_int, 24);
	member("nivcsw", t_int, 28);
	member("real_parent", t_task_p, 32);
	pointer(t_task);
	p = PROTO(0, t_void_p, t_task_p, t_task_p);
	tracepoint("btf_trace_sched_process_fork", p);
	p = PROTO(0, t_void_p, t_bool, t_task_p, t_task_p, t_uint);
	tracepoint("btf_trace_sched_switch", p);
}

static void make_types(void)
{
	u32 t_int = integer("int", 4, 1), t_ulong = integer("long unsigned int", 8, 0);
	u32 t_char = integer("char", 1, 1), t_bool = integer("_Bool", 1, 4);
	u32 t_name = array(t_char, t_int, 16), t_void_p = pointer(0);
	u32 t_const_char = type("", DT_BTF_CONST, 0, t_char), t_text = pointer(t_const_char);
	u32 t_disk = k->ntypes + 1, t_disk_p = t_disk + 1, p;

	if (t_void_p != VOID_POINTER || t_disk_p != DISK_POINTER)
		abort();

	type("disk", DT_BTF_STRUCT, 4, 40);
	member("id", t_int, 0);
	member("name", t_name, 4);
	member("next", t_disk_p, 24);
	member("flags", t_ulong, 32);
	pointer(t_disk);
	p = PROTO(0, t_void_p, t_disk_p, t_int);
	tracepoint("btf_trace_disk_start", p);
	p = PROTO(0, t_void_p, t_disk_p, t_int, t_ulong);
	tracepoint("btf_trace_disk_done", p);
	p = PROTO(0, t_void_p, t_bool, t_text);
	tracepoint("btf_trace_bare_tp", p);
	p = PROTO(t_int, t_disk_p, t_text, t_ulong);
	type("disk_read", DT_BTF_FUNC, 0, p);
	p = PROTO(t_disk_p, t_int);
	type("disk_find", DT_BTF_FUNC, 0, p);
	p = PROTO(0, t_text, 0);
	type("disk_log", DT_BTF_FUNC, 0, p);
	make_tasks(t_int, t_bool, t_name, t_void_p);
	type("disk_state", DT_BTF_ENUM, 2, 4);
	enumerator("DISK_IDLE", 0);
	enumerator("DISK_BUSY", 1);
}

static void make_module_types(u32 t_disk_p, u32 t_void_p)
{
	u32 t_cache_p = k->first_type + 2, p;

	type("cache", DT_BTF_STRUCT, 2, 16);
	member("disk", t_disk_p, 0);
	member("next", t_cache_p, 8);
	pointer(k->first_type + 1);
	p = PROTO(0, t_void_p, t_cache_p);
	tracepoint("btf_trace_cache_hit", p);
	p = PROTO(t_disk_p, t_cache_p);
	type("cache_find", DT_BTF_FUNC, 0, p);
}

static void finish(void)
{
	u32 header[6] = { 0x0001eb9f, 24, 0, 0, 0, 0 };

	header[3] = header[4] = k->nwords * (u32)sizeof(u32);
	header[5] = k->nstrs;
	memcpy(k->data, header, sizeof(header));
	memcpy(k->data + 24, k->words, header[3]);
	memcpy(k->data + 24 + header[3], k->strs, k->nstrs);
	k->size = 24 + header[3] + k->nstrs;
}

static void make_blobs(void)
{
	if (kernel.size)
		return;
	k = &kernel;
	make_types();
	finish();
	k = &module;
	k->first_type = kernel.ntypes;
	k->first_str = kernel.nstrs;
	make_module_types(DISK_POINTER, VOID_POINTER);
	finish();
}

static char *tracefs(void *arg, const char *file)
{
	(void)arg;
	if (strcmp(file, "available_events") == 0)
		return strdup("syscalls:sys_enter_disk_start\ndisk:disk_start\nother:disk_startx\n"
			      "disk:disk_done\ncache:cache_hit\n");
	if (strcmp(file, "available_filter_functions") == 0)
		return strdup("disk_read\ntwin\ndisk_raw\ntwin\ndisk_log\ncache_find [cachemod]\n");
	return NULL;
}

int kernel_init(struct dt_types *ts, struct dt_probes *ps)
{
	struct dt_btf *m;

	make_blobs();
	ps->types = ts;
	ps->sources = (struct dt_sources){ .tracefs = tracefs };
	ts->btf = dt_btf_open_mem(kernel.data, kernel.size, NULL);
	m = ts->btf ? dt_btf_open_mem(module.data, module.size, ts->btf) : NULL;
	return m ? dt_types_add_module(ts, "cachemod", m) : -1;
}
