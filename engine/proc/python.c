/* SPDX-License-Identifier: Apache-2.0 */
/*
 * python.c - where a CPython process keeps its threads and frames.
 *
 * From 3.13 on the interpreter tells: its runtime state starts with a table of offsets.  For 3.11 and 3.12 they
 * are rows here.  A version that is not known has no layout, and its stacks no Python frames.
 *
 * Which line an instruction belongs to is said by a table of the code object: an entry for each stretch of instructions,
 * whose first byte (the only one with the highest bit set) tells the kind of entry and the length of the stretch; how many
 * lines further it is follows from the kind, or is a number behind it.
 */
#include "base/record.h"
#include "proc/proc.h"
#include "proc/symbols.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define DIRECT UINT64_MAX

struct version {
	u32 version;      /* PY_VERSION_HEX >> 16 */
	u64 interpreters; /* of the first in the runtime state; the main one is next to it */
	struct dt_py_layout layout;
};

static const struct version known[] = {
	{ 0x030b,
	  40,
	  { .threads = 16,
	    .next = 8,
	    .native_id = 160,
	    .frame = 56,
	    .cframe = 8,
	    .previous = 48,
	    .code = 32,
	    .flag = 68,
	    .bottom = 0,
	    .qualname = 128,
	    .filename = 112,
	    .firstline = 72,
	    .ascii = 48,
	    .state = 32,
	    .ascii_bit = 1 << 6,
	    .instr = 56,
	    .bytecode = 184,
	    .linetable = 136,
	    .bytes_size = 16,
	    .bytes_text = 32 } },
	{ 0x030c,
	  40,
	  { .threads = 72,
	    .next = 8,
	    .native_id = 144,
	    .frame = 56,
	    .cframe = 0,
	    .previous = 8,
	    .code = 0,
	    .flag = 70,
	    .bottom = 3,
	    .qualname = 128,
	    .filename = 112,
	    .firstline = 68,
	    .ascii = 40,
	    .state = 32,
	    .ascii_bit = 1 << 6,
	    .instr = 56,
	    .bytecode = 192,
	    .linetable = 136,
	    .bytes_size = 16,
	    .bytes_text = 32 } },
};

/* ---- the interpreter's own table --------------------------------------------------------------------------------- */

#define COOKIE "xdebugpy"
#define TABLE_WORDS 96

#define WORD_FREE 2 /* there is no global lock */

/* Where in the table (in words) things are said to be. */
struct table {
	u32 version;
	u32 bottom;                    /* frames owned by this or more are none */
	u32 ascii_bit, ascii_bit_free; /* of the build without a global lock */
	u8 interpreters, threads, next, frame, native_id, previous, code, instr, owner, filename,
		qualname, linetable, firstline, bytecode, bytes_size, bytes_text, state, ascii;
};

static const struct table tables[] = {
	{ .version = 0x030d,
	  .bottom = 3,
	  .ascii_bit = 1 << 6,
	  .interpreters = 5,
	  .threads = 9,
	  .next = 21,
	  .frame = 23,
	  .native_id = 25,
	  .previous = 29,
	  .code = 30,
	  .instr = 31,
	  .owner = 33,
	  .filename = 35,
	  .qualname = 37,
	  .linetable = 38,
	  .firstline = 39,
	  .bytecode = 43,
	  .bytes_size = 65,
	  .bytes_text = 66,
	  .state = 68,
	  .ascii = 70 },
	{ .version = 0x030e,
	  .bottom = 3,
	  .ascii_bit = 1 << 6,
	  .ascii_bit_free = 1 << 12,
	  .interpreters = 5,
	  .threads = 9,
	  .next = 24,
	  .frame = 26,
	  .native_id = 28,
	  .previous = 32,
	  .code = 33,
	  .instr = 34,
	  .owner = 36,
	  .filename = 40,
	  .qualname = 42,
	  .linetable = 43,
	  .firstline = 44,
	  .bytecode = 48,
	  .bytes_size = 75,
	  .bytes_text = 76,
	  .state = 78,
	  .ascii = 80 },
};

static bool from_table(const struct table *t, const u64 *w, struct dt_py_layout *l, u64 *interpreters)
{
	*interpreters = w[t->interpreters];
	*l = (struct dt_py_layout){ .threads = w[t->threads],
				    .next = w[t->next],
				    .native_id = w[t->native_id],
				    .frame = w[t->frame],
				    .cframe = DIRECT,
				    .previous = w[t->previous],
				    .code = w[t->code],
				    .flag = w[t->owner],
				    .bottom = t->bottom,
				    .qualname = w[t->qualname],
				    .filename = w[t->filename],
				    .firstline = w[t->firstline],
				    .ascii = w[t->ascii],
				    .state = w[t->state],
				    .ascii_bit = w[WORD_FREE] ? t->ascii_bit_free : t->ascii_bit,
				    .instr = w[t->instr],
				    .bytecode = w[t->bytecode],
				    .linetable = w[t->linetable],
				    .bytes_size = w[t->bytes_size],
				    .bytes_text = w[t->bytes_text] };
	return true;
}

static bool read_table(int mem, u64 runtime, u32 version, struct dt_py_layout *l, u64 *interpreters)
{
	u64 w[TABLE_WORDS];

	if (!dt_read_memory(mem, runtime, w, sizeof(w)) || memcmp(w, COOKIE, 8) != 0)
		return false;
	for (size_t i = 0; i < DT_NELEM(tables); i++)
		if (tables[i].version == version && w[1] >> 16 == version)
			return from_table(&tables[i], w, l, interpreters);
	return false;
}

/* ---- a process ----------------------------------------------------------------------------------------------------- */

static bool is_python(const char *object)
{
	return strncmp(object, "python", 6) == 0 || strncmp(object, "libpython", 9) == 0;
}

static bool find_layout(int mem, u64 runtime, u32 version, struct dt_py_layout *out)
{
	u64 interpreters = 0;
	bool have = false;

	for (size_t i = 0; i < DT_NELEM(known) && !have; i++)
		if (known[i].version == version) {
			*out = known[i].layout;
			interpreters = known[i].interpreters;
			have = true;
		}
	if (!have && !read_table(mem, runtime, version, out, &interpreters))
		return false;
	out->interp = runtime + interpreters + 8; /* head, main */
	return true;
}

int dt_python_layout(struct dt_usyms *u, pid_t pid, struct dt_py_layout *out)
{
	u64 runtime, version_at, version;
	_cleanup_fd_ int mem = -1;

	if (dt_usyms_address(u, pid, is_python, "_PyRuntime", &runtime) < 0 ||
	    dt_usyms_address(u, pid, is_python, "Py_Version", &version_at) < 0)
		return -1;
	mem = dt_open_memory(pid);
	if (mem < 0 || !dt_read_memory(mem, version_at, &version, sizeof(version)))
		return -1;
	return find_layout(mem, runtime, (u32)(version >> 16), out) ? 0 : -1;
}

/* ---- lines ----------------------------------------------------------------------------------------------------------- */

#define MAX_LINETABLE ((u64)1 << 20)

enum { ENTRY_LINES = 10, ENTRY_NO_COLUMNS = 13, ENTRY_LONG = 14, ENTRY_NONE = 15 };

/* Six bits in each byte, the lowest first; more follow as long as bit 6 is set; in the end the lowest is the sign. */
static s64 signed_number(const u8 *p, const u8 *end)
{
	u64 v = 0;
	u32 shift = 0;

	for (; p < end && !(*p & 0x80) && shift < 36; shift += 6) {
		v |= (u64)(*p & 63) << shift;
		if (!(*p++ & 64))
			break;
	}
	return v & 1 ? -(s64)(v >> 1) : (s64)(v >> 1);
}

u32 dt_python_line(const u8 *table, size_t n, u32 first, u32 unit)
{
	const u8 *p = table, *end = table + n;
	s64 line = first;
	u32 at = 0;

	while (p < end && *p & 0x80) {
		u32 kind = *p >> 3 & 15, len = (*p & 7) + 1u;

		p++;
		if (kind >= ENTRY_LINES && kind < ENTRY_NO_COLUMNS)
			line += kind - ENTRY_LINES;
		else if (kind == ENTRY_NO_COLUMNS || kind == ENTRY_LONG)
			line += signed_number(p, end);
		if (unit - at < len)
			return kind != ENTRY_NONE && line > 0 && line <= INT32_MAX ? (u32)line : 0;
		at += len;
		while (p < end && !(*p & 0x80))
			p++;
	}
	return 0;
}

u32 dt_python_line_of(pid_t pid, const struct dt_py_layout *l, u64 where, u32 first)
{
	u64 code = where >> DT_PY_UNIT_BITS, object, size;
	u32 unit = where & DT_PY_UNIT_MAX, line;
	_cleanup_free_ u8 *table = NULL;
	_cleanup_fd_ int mem = -1;

	if (!code || unit == DT_PY_UNIT_MAX)
		return 0;
	mem = dt_open_memory(pid);
	/* something else may be there by now */
	if (mem < 0 || !dt_read_memory(mem, code + l->firstline, &line, 4) || line != first ||
	    !dt_read_memory(mem, code + l->linetable, &object, 8) ||
	    !dt_read_memory(mem, object + l->bytes_size, &size, 8) || size > MAX_LINETABLE)
		return 0;
	table = malloc(size + 1);
	if (!table || !dt_read_memory(mem, object + l->bytes_text, table, size))
		return 0;
	return dt_python_line(table, size, first, unit);
}
