/* SPDX-License-Identifier: Apache-2.0 */
/*
 * print.c - a record as text when no consumer wants it otherwise: trace() in columns, blocks for
 * memory and stacks.  Text of traced processes is written as it is; whoever owns a terminal escapes
 * it.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "consume/consume.h"

/* ---- items ----------------------------------------------------------------------------------- */

struct dt_item dt_item_of(const dtrace_recdesc_t *rec, const char *base)
{
	const struct dt_datum *d = (const struct dt_datum *)(uintptr_t)rec->dtrd_uarg;
	struct dt_item it = { .p = base + rec->dtrd_offset, .size = rec->dtrd_size };

	if (!d) {
		it.kind = it.size <= 8 ? DT_D_INT : DT_D_BYTES;
		return it;
	}
	it.kind = d->kind;
	it.type = d->type;
	return it;
}

const struct dt_aggact *dt_aggact_of(const dtrace_recdesc_t *rec)
{
	const struct dt_datum *d = (const struct dt_datum *)(uintptr_t)rec->dtrd_uarg;

	return d ? d->act : NULL;
}

u64 dt_item_word(const struct dt_item *it, u32 n)
{
	u64 w = 0;

	if (n < it->size / 8)
		memcpy(&w, it->p + (size_t)n * 8, 8);
	return w;
}

s64 dt_item_int(const struct dt_item *it)
{
	bool sign = it->kind == DT_D_INT;
	u64 w = 0;

	switch (it->size) {
	case 1: w = *(const u8 *)it->p; return sign ? (s8)w : (s64)w;
	case 2: memcpy(&w, it->p, 2); return sign ? (s16)w : (s64)w;
	case 4: memcpy(&w, it->p, 4); return sign ? (s32)w : (s64)w;
	default:
		/* symbols of a process: the address is the second word */
		return (s64)dt_item_word(it, dt_kind_has_pid(it->kind) ? 1 : 0);
	}
}

size_t dt_item_strlen(const struct dt_item *it)
{
	return strnlen(it->p, it->size);
}

bool dt_item_is_text(const struct dt_item *it)
{
	return it->kind == DT_D_STR || it->kind >= DT_D_PROBEPROV ||
	       (it->kind == DT_D_BYTES && it->type && dt_type_is_stringlike(it->type));
}

/* ---- hex dump -------------------------------------------------------------------------------- */

#define PER_ROW 16
#define MARGIN "     "

static void put_dump_row(struct dt_str *out, const u8 *p, size_t off, size_t n)
{
	dt_str_printf(out, MARGIN "%5zx:", off);
	for (size_t i = 0; i < PER_ROW; i++)
		if (i < n)
			dt_str_printf(out, " %02x", p[off + i]);
		else
			dt_str_puts(out, "   ");
	dt_str_puts(out, "  ");
	for (size_t i = 0; i < n; i++) {
		u8 c = p[off + i];

		dt_str_putc(out, c < 0x20 || c > 0x7e ? '.' : (char)c);
	}
	dt_str_putc(out, '\n');
}

void dt_put_hexdump(struct dt_str *out, const void *p, size_t n)
{
	dt_str_puts(out, "\n" MARGIN "      ");
	for (int i = 0; i < PER_ROW; i++)
		dt_str_printf(out, "  %x", i);
	dt_str_puts(out, "  0123456789abcdef\n");
	for (size_t off = 0; off < n; off += PER_ROW)
		put_dump_row(out, p, off, DT_MIN(n - off, (size_t)PER_ROW));
}

/* ---- trace() --------------------------------------------------------------------------------- */

/* Columns of integers by size. */
static u32 int_width(u32 size, bool is_signed)
{
	switch (size) {
	case 1: return 3;
	case 2: return 5;
	case 4: return 10;
	default: return is_signed ? 19 : 20;
	}
}

static void put_int(struct dt_str *out, const struct dt_item *it, bool quiet)
{
	bool sign = it->kind == DT_D_INT;
	s64 v = dt_item_int(it);
	struct dt_str s = { 0 };

	if (quiet) {
		sign ? dt_put_s64(out, v) : dt_put_u64(out, (u64)v);
		return;
	}
	sign ? dt_put_s64(&s, v) : dt_put_u64(&s, (u64)v);
	dt_str_putc(out, ' ');
	dt_put_padded(out, dt_str_cstr(&s), s.len, int_width(it->size, sign), false);
	dt_str_fini(&s);
}

static void put_float(struct dt_str *out, const struct dt_item *it, bool quiet)
{
	long double v = 0;
	float f;
	double d;

	if (it->size == sizeof(f)) {
		memcpy(&f, it->p, sizeof(f));
		v = f;
	} else if (it->size == sizeof(d)) {
		memcpy(&d, it->p, sizeof(d));
		v = d;
	} else if (it->size == sizeof(v)) {
		memcpy(&v, it->p, sizeof(v));
	}
	dt_str_printf(out, quiet ? "%Lg" : " %20Lg", v);
}

static void put_text(struct dt_str *out, const struct dt_item *it, bool quiet)
{
	if (!quiet)
		dt_str_puts(out, "  ");
	dt_put_padded(out, it->p, dt_item_strlen(it), quiet ? 0 : 33, true);
}

static void put_symbol(dtrace_hdl_t *h, struct dt_str *out, const struct dt_item *it)
{
	struct dt_str s = { 0 };

	dt_put_symbol(h, &s, it);
	dt_str_puts(out, "  ");
	dt_put_padded(out, dt_str_cstr(&s), s.len, 50, true);
	out->failed |= s.failed;
	dt_str_fini(&s);
}

static u32 stack_indent(const dtrace_hdl_t *h)
{
	return dt_opt_u32(h, DT_OPT_STACKINDENT, 0, 1024);
}

static void put_item(dtrace_hdl_t *h, struct dt_str *out, const struct dt_item *it)
{
	bool quiet = dt_opt(h, DT_OPT_QUIET) != 0;

	if ((it->kind == DT_D_BYTES || it->kind == DT_D_STR) && dt_opt(h, DT_OPT_RAWBYTES)) {
		dt_put_hexdump(out, it->p, it->size);
		return;
	}
	if (dt_item_is_text(it)) {
		put_text(out, it, quiet);
		return;
	}
	switch (it->kind) {
	case DT_D_NONE: break;
	case DT_D_INT:
	case DT_D_UINT: put_int(out, it, quiet); break;
	case DT_D_PTR:
		dt_str_printf(out, quiet ? "0x%" PRIx64 : " %#20" PRIx64, (u64)dt_item_int(it));
		break;
	case DT_D_FLOAT: put_float(out, it, quiet); break;
	case DT_D_STACK:
	case DT_D_USTACK: dt_put_stack(h, out, it, stack_indent(h)); break;
	case DT_D_BYTES: dt_put_hexdump(out, it->p, it->size); break;
	default: put_symbol(h, out, it);
	}
}

/* ---- one function per action ----------------------------------------------------------------- */

struct job {
	dtrace_hdl_t *h;
	FILE *fp;
	const dtrace_probedata_t *data;
	const dtrace_recdesc_t *rec;
	int nrecs;
};

static int print_nothing(const struct job *j)
{
	return 1;
}

static int print_datum(const struct job *j)
{
	struct dt_item it = dt_item_of(j->rec, j->data->dtpda_data);
	struct dt_str *out = dt_out(j->h, j->fp);

	if (!out)
		return -1;
	put_item(j->h, out, &it);
	return dt_out_end(j->h, j->fp, out) < 0 ? -1 : 1;
}

static int print_tracemem(const struct job *j)
{
	struct dt_item it = dt_item_of(j->rec, j->data->dtpda_data);
	struct dt_str *out = dt_out(j->h, j->fp);
	bool sized = j->nrecs > 1 && j->rec[1].dtrd_action == DTRACEACT_TRACEMEM_DYNSIZE;
	u64 n = it.size;

	if (!out)
		return -1;
	if (sized) {
		struct dt_item size = dt_item_of(&j->rec[1], j->data->dtpda_data);

		n = DT_MIN(n, (u64)dt_item_int(&size));
	}
	dt_put_hexdump(out, it.p, n);
	return dt_out_end(j->h, j->fp, out) < 0 ? -1 : 1 + sized;
}

static int print_typed(const struct job *j)
{
	struct dt_item it = dt_item_of(j->rec, j->data->dtpda_data);
	struct dt_str *out = dt_out(j->h, j->fp);

	if (!out)
		return -1;
	dt_put_typed(j->h, out, &it, j->rec->dtrd_arg != 0);
	return dt_out_end(j->h, j->fp, out) < 0 ? -1 : 1;
}

/* The record's format with its arguments: how many records that took, or -1. */
static int format(const struct job *j, struct dt_str *out)
{
	const struct dt_fmt *f = j->rec->dtrd_format;
	struct dt_fmtargs args = { .base = j->data->dtpda_data,
				   .rec = j->rec,
				   .nrecs = f && f->nargs ? j->nrecs : 0 };

	if (!f)
		return dt_set_errno(j->h, EDT_DMISMATCH);
	if (dt_format(j->h, out, f, &args) < 0)
		return -1;
	return DT_MAX(args.next, 1);
}

static int print_printf(const struct job *j)
{
	struct dt_str *out = dt_out(j->h, j->fp);
	int used;

	if (!out)
		return -1;
	used = format(j, out);
	if (used < 0) {
		dt_str_reset(out);
		return -1;
	}
	return dt_out_end(j->h, j->fp, out) < 0 ? -1 : used;
}

/* What was written before shows before. */
static int run_command(const struct job *j, const char *command)
{
	FILE *fp = dtrace_output(j->h, j->fp);

	if (fp)
		fflush(fp);
	if (system(command) != -1)
		return 0;
	return dt_lib_error(j->h, j->data, "couldn't run \"%s\": %s", command, dt_errstr(errno));
}

static int reopen(const struct job *j, const char *name)
{
	if (dt_out_reopen(j->h, j->fp, name) == 0)
		return 0;
	return dt_lib_error(j->h, j->data, "couldn't freopen \"%s\": %s", name, dt_errstr(errno));
}

/* system(), freopen(): what the format gives is a command, a file. */
static int do_formatted(const struct job *j, int (*act)(const struct job *j, const char *text))
{
	struct dt_str s = { 0 };
	int used = format(j, &s);

	if (used > 0 && s.failed)
		used = dt_set_errno(j->h, EDT_NOMEM);
	if (used > 0 && act(j, dt_str_cstr(&s)) < 0)
		used = -1;
	dt_str_fini(&s);
	return used;
}

static int do_system(const struct job *j)
{
	return do_formatted(j, run_command);
}

static int do_freopen(const struct job *j)
{
	return do_formatted(j, reopen);
}

static int print_printa(const struct job *j)
{
	const struct dt_aggact *act = dt_aggact_of(j->rec);

	if (!act)
		return dt_set_errno(j->h, EDT_BADAGG);
	return dt_printa(j->h, j->fp, act) < 0 ? -1 : 1;
}

static int do_libact(const struct job *j)
{
	return dt_libact(j->h, j->fp, j->data, j->rec, j->nrecs);
}

static const struct {
	dtrace_actkind_t action;
	int (*print)(const struct job *j);
} actions[] = {
	{ DTRACEACT_DIFEXPR, print_datum },     { DTRACEACT_PRINTF, print_printf },
	{ DTRACEACT_PRINTA, print_printa },     { DTRACEACT_LIBACT, do_libact },
	{ DTRACEACT_TRACEMEM, print_tracemem }, { DTRACEACT_STACK, print_datum },
	{ DTRACEACT_USTACK, print_datum },      { DTRACEACT_JSTACK, print_datum },
	{ DTRACEACT_SYM, print_datum },         { DTRACEACT_MOD, print_datum },
	{ DTRACEACT_USYM, print_datum },        { DTRACEACT_UMOD, print_datum },
	{ DTRACEACT_UADDR, print_datum },       { DTRACEACT_PRINT, print_typed },
	{ DTRACEACT_SYSTEM, do_system },        { DTRACEACT_FREOPEN, do_freopen },
};

int dt_print_record(dtrace_hdl_t *h, FILE *fp, const dtrace_probedata_t *data,
		    const dtrace_recdesc_t *rec, int nrecs)
{
	struct job j = { h, fp, data, rec, nrecs };

	for (size_t i = 0; i < DT_NELEM(actions); i++)
		if (actions[i].action == rec->dtrd_action)
			return actions[i].print(&j);
	return print_nothing(&j); /* exit(), raise() and such say nothing */
}
