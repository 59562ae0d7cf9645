/* SPDX-License-Identifier: Apache-2.0 */
#include "kernel.h"

#include <stdlib.h>
#include <string.h>

#include "types/btf.h"

#define NTYPES 64
#define STRINGS 2048
#define WORDS 1024

static struct {
	u32 words[WORDS];
	u32 nwords, ntypes;
	char strs[STRINGS];
	u32 nstrs;
	u8 blob[24 + sizeof(u32) * WORDS + STRINGS];
	size_t size;
} k;

static void put(u32 word)
{
	if (k.nwords == WORDS)
		abort();
	k.words[k.nwords++] = word;
}

static u32 str(const char *s)
{
	u32 off = k.nstrs;

	if (!*s)
		return 0;
	if (off + strlen(s) + 1 > STRINGS)
		abort();
	strcpy(k.strs + off, s);
	k.nstrs += (u32)strlen(s) + 1;
	return off;
}

static u32 type(const char *name, u32 kind, u32 vlen, u32 size)
{
	put(str(name));
	put(kind << 24 | vlen);
	put(size);
	return ++k.ntypes;
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

static void make_types(void)
{
	u32 t_int = integer("int", 4, 1), t_ulong = integer("long unsigned int", 8, 0);
	u32 t_char = integer("char", 1, 1), t_bool = integer("_Bool", 1, 4);
	u32 t_name = array(t_char, t_int, 16), t_void_p = pointer(0);
	u32 t_const_char = type("", DT_BTF_CONST, 0, t_char), t_text = pointer(t_const_char);
	u32 t_disk = k.ntypes + 1, t_disk_p = t_disk + 1, p;

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
}

static void make_blob(void)
{
	u32 header[6] = { 0x0001eb9f, 24, 0, 0, 0, 0 };

	if (k.size)
		return;
	k.nstrs = 1;
	make_types();
	header[3] = header[4] = k.nwords * (u32)sizeof(u32);
	header[5] = k.nstrs;
	memcpy(k.blob, header, sizeof(header));
	memcpy(k.blob + 24, k.words, header[3]);
	memcpy(k.blob + 24 + header[3], k.strs, k.nstrs);
	k.size = 24 + header[3] + k.nstrs;
}

static char *tracefs(void *arg, const char *file)
{
	(void)arg;
	if (strcmp(file, "available_events") == 0)
		return strdup("syscalls:sys_enter_disk_start\ndisk:disk_start\nother:disk_startx\n"
			      "disk:disk_done\n");
	return NULL;
}

int kernel_init(struct dt_types *ts, struct dt_probes *ps)
{
	make_blob();
	ts->btf = dt_btf_open_mem(k.blob, k.size);
	ps->types = ts;
	ps->sources = (struct dt_sources){ .tracefs = tracefs };
	return ts->btf ? 0 : -1;
}
