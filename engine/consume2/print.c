/* SPDX-License-Identifier: Apache-2.0 */
/*
 * print.c - the default text of a record: what trace(), stack(), tracemem() ... look like when the
 * callback leaves it to the library.  Each kind of datum has a row that says how.
 */
#include <ctype.h>
#include <string.h>

#include "consume2/consume.h"

/* ---- values ------------------------------------------------------------------------------------
 * */

struct dt_value dt_value_of(const dtrace_recdesc_t *rec, const char *data)
{
	const struct dt_datum *d = (const void *)(uintptr_t)rec->dtrd_uarg;
	struct dt_value v = { .kind = d ? d->kind : DT_D_NONE,
			      .data = data + rec->dtrd_offset,
			      .size = rec->dtrd_size };

	if (v.kind >= DT_D_PROBEPROV)
		v.kind = DT_D_STR;
	return v;
}

bool dt_value_is_int(const struct dt_value *v)
{
	return v->kind == DT_D_INT || v->kind == DT_D_UINT || v->kind == DT_D_PTR;
}

bool dt_value_signed(const struct dt_value *v)
{
	return v->kind == DT_D_INT;
}

static s64 read_int(const void *data, u32 size, bool is_signed)
{
	union {
		u8 b;
		u16 h;
		u32 w;
		u64 d;
	} u = { 0 };

	memcpy(&u, data, DT_MIN(size, 8u));
	switch (size) {
	case 1: return is_signed ? (s8)u.b : u.b;
	case 2: return is_signed ? (s16)u.h : u.h;
	case 4: return is_signed ? (s32)u.w : (s64)u.w;
	default: return (s64)u.d;
	}
}

s64 dt_value_int(const struct dt_value *v)
{
	switch (v->kind) {
	case DT_D_USYM:
	case DT_D_UMOD:
	case DT_D_UADDR: return v->size >= 16 ? read_int((const char *)v->data + 8, 8, false) : 0;
	default: return read_int(v->data, v->size, v->kind == DT_D_INT);
	}
}

/* ---- pieces of text ----------------------------------------------------------------------------
 * */

void dt_text_str(struct dt_str *out, const char *s, u32 size)
{
	dt_str_putn(out, s, strnlen(s, size));
}

/* A block with a ruler above and characters beside. */
void dt_text_hex(struct dt_str *out, const void *data, u32 size)
{
	const u8 *b = data;

	dt_str_printf(out, "\n%11s", "");
	for (int i = 0; i < 16; i++)
		dt_str_printf(out, "  %x", (unsigned)i);
	dt_str_puts(out, "  0123456789abcdef\n");
	for (u32 at = 0; at < size; at += 16) {
		u32 n = DT_MIN(size - at, 16u);

		dt_str_printf(out, "%5s%5x:", "", at);
		for (u32 i = 0; i < 16; i++)
			if (i < n)
				dt_str_printf(out, " %02x", b[at + i]);
			else
				dt_str_puts(out, "   ");
		dt_str_puts(out, "  ");
		for (u32 i = 0; i < n; i++)
			dt_str_putc(out,
				    b[at + i] >= 0x20 && b[at + i] < 0x7f ? (char)b[at + i] : '.');
		dt_str_putc(out, '\n');
	}
}

/* Bytes that can only be meant as text: printable up to a NUL, and nothing but NULs from there. */
static bool looks_like_text(const u8 *b, u32 size)
{
	u32 i = 0;

	while (i < size && b[i] && (isprint(b[i]) || isspace(b[i])))
		i++;
	if (i == 0 || i == size)
		return false;
	while (i < size && !b[i])
		i++;
	return i == size;
}

/* ---- a row for each kind -----------------------------------------------------------------------
 * */

struct show {
	dtrace_hdl_t *h;
	struct dt_str *out;
	bool quiet, raw;
};

static void show_int(struct show *s, const struct dt_value *v)
{
	static const int width[] = { [1] = 3, [2] = 5, [4] = 10, [8] = 19 };
	long long n = dt_value_int(v);
	int w = v->size < DT_NELEM(width) && width[v->size] ? width[v->size] : 19;

	if (v->kind == DT_D_UINT && v->size == 8)
		w = 20;
	if (s->quiet)
		dt_str_printf(s->out, v->kind == DT_D_INT ? "%lld" : "%llu", n);
	else
		dt_str_printf(s->out, v->kind == DT_D_INT ? " %*lld" : " %*llu", w, n);
}

static void show_ptr(struct show *s, const struct dt_value *v)
{
	char text[24];

	snprintf(text, sizeof(text), "0x%llx", (unsigned long long)dt_value_int(v));
	dt_str_printf(s->out, s->quiet ? "%s" : " %20s", text);
}

static void show_str(struct show *s, const struct dt_value *v)
{
	int n = (int)strnlen(v->data, v->size);

	dt_str_printf(s->out, s->quiet ? "%.*s" : "  %-33.*s", n, (const char *)v->data);
}

static void show_bytes(struct show *s, const struct dt_value *v)
{
	if (!s->raw && looks_like_text(v->data, v->size))
		show_str(s, v);
	else
		dt_text_hex(s->out, v->data, v->size);
}

static void show_float(struct show *s, const struct dt_value *v)
{
	long double ld = 0;
	double d = 0;
	float f = 0;

	if (v->size == sizeof(f)) {
		memcpy(&f, v->data, sizeof(f));
		ld = (long double)f;
	} else if (v->size == sizeof(d)) {
		memcpy(&d, v->data, sizeof(d));
		ld = (long double)d;
	} else if (v->size == sizeof(ld)) {
		memcpy(&ld, v->data, sizeof(ld));
	}
	dt_str_printf(s->out, s->quiet ? "%Lg" : " %20Lg", ld);
}

static void show_stack(struct show *s, const struct dt_value *v)
{
	dt_text_stack(s->h, s->out, v, (int)dt_opt_u32(s->h, DT_OPT_STACKINDENT, 0, 1024));
}

static void show_symbol(struct show *s, const struct dt_value *v)
{
	size_t before;

	if (!s->quiet)
		dt_str_puts(s->out, "  ");
	before = s->out->len;
	dt_text_symbol(s->h, s->out, v);
	if (!s->quiet && s->out->len - before < 50)
		dt_str_printf(s->out, "%*s", (int)(50 - (s->out->len - before)), "");
}

static void show_none(struct show *s, const struct dt_value *v)
{
}

typedef void show_f(struct show *s, const struct dt_value *v);
static show_f *const shows[] = {
	[DT_D_NONE] = show_none,   [DT_D_INT] = show_int,      [DT_D_UINT] = show_int,
	[DT_D_PTR] = show_ptr,     [DT_D_STR] = show_str,      [DT_D_BYTES] = show_bytes,
	[DT_D_FLOAT] = show_float, [DT_D_STACK] = show_stack,  [DT_D_USTACK] = show_stack,
	[DT_D_SYM] = show_symbol,  [DT_D_MOD] = show_symbol,   [DT_D_USYM] = show_symbol,
	[DT_D_UMOD] = show_symbol, [DT_D_UADDR] = show_symbol,
};

static void show(struct show *s, const struct dt_value *v)
{
	if ((size_t)v->kind < DT_NELEM(shows))
		shows[v->kind](s, v);
}

/* Columns of aggregations are narrower for integers and wider for strings. */
void dt_text_key(dtrace_hdl_t *h, struct dt_str *out, const struct dt_value *v)
{
	static const int width[] = { [1] = 3, [2] = 5, [4] = 8, [8] = 16 };
	struct show s = { .h = h, .out = out, .raw = dt_opt(h, DT_OPT_RAWBYTES) > 0 };
	int w = v->size < DT_NELEM(width) && width[v->size] ? width[v->size] : 16;

	switch (v->kind) {
	case DT_D_INT: dt_str_printf(out, " %*lld", w, (long long)dt_value_int(v)); break;
	case DT_D_UINT: dt_str_printf(out, " %*llu", w, (unsigned long long)dt_value_int(v)); break;
	case DT_D_STR:
		dt_str_printf(out, "  %-50.*s", (int)strnlen(v->data, v->size),
			      (const char *)v->data);
		break;
	default: show(&s, v);
	}
}

/* ---- records -----------------------------------------------------------------------------------
 * */

struct job {
	dtrace_hdl_t *h;
	FILE *fp;
	const dtrace_probedata_t *data;
	const dtrace_recdesc_t *rec;
	int nrecs; /* that belong together */
	struct dt_str *out;
};

static int print_datum(struct job *j)
{
	struct dt_value v = dt_value_of(j->rec, j->data->dtpda_data);
	struct show s = { .h = j->h,
			  .out = j->out,
			  .quiet = dt_opt(j->h, DT_OPT_QUIET) > 0,
			  .raw = dt_opt(j->h, DT_OPT_RAWBYTES) > 0 };

	show(&s, &v);
	return 0;
}

static int print_tracemem(struct job *j)
{
	struct dt_value v = dt_value_of(j->rec, j->data->dtpda_data);

	if (j->nrecs > 1) {
		struct dt_value size = dt_value_of(&j->rec[1], j->data->dtpda_data);
		u64 n = (u64)dt_value_int(&size);

		v.size = (u32)DT_MIN(n, (u64)v.size);
	}
	dt_text_hex(j->out, v.data, v.size);
	return 0;
}

#define MAX_FMT_ARGS 256

static int print_printf(struct job *j)
{
	struct dt_value v[MAX_FMT_ARGS];
	struct dt_fmtargs args = { .v = v, .n = (u32)DT_MIN(j->nrecs, MAX_FMT_ARGS) };

	if (!j->rec->dtrd_format)
		return dt_set_errno(j->h, EDT_BADCONV);
	for (u32 i = 0; i < args.n; i++)
		v[i] = dt_value_of(&j->rec[i], j->data->dtpda_data);
	return dt_text_fmt(j->h, j->out, j->rec->dtrd_format, &args);
}

static int print_printa(struct job *j)
{
	return dt_printa(j->h, j->fp, j->rec);
}

static int print_nothing(struct job *j)
{
	return 0;
}

static int print_later(struct job *j)
{
	return dt_fail(&j->h->err, EDT_BADCONV, "Action 0x%x cannot be performed by this version",
		       j->rec->dtrd_action);
}

/* All that is not here is a datum. */
static const struct {
	int action;
	int (*print)(struct job *j);
} rows[] = {
	{ DTRACEACT_PRINTF, print_printf },     { DTRACEACT_PRINTA, print_printa },
	{ DTRACEACT_TRACEMEM, print_tracemem }, { DTRACEACT_EXIT, print_nothing },
	{ DTRACEACT_SYSTEM, print_later },  /* pending */
	{ DTRACEACT_FREOPEN, print_later }, /* pending */
	{ DTRACEACT_PRINT, print_later },   /* pending */
};

int dt_print_record(dtrace_hdl_t *h, FILE *fp, const dtrace_probedata_t *data,
		    const dtrace_recdesc_t *rec, int nrecs)
{
	int (*print)(struct job * j) = print_datum;
	struct job j = { h, fp, data, rec, dt_rec_span(rec, nrecs), &h->consumer->text };

	for (size_t i = 0; i < DT_NELEM(rows); i++)
		if (rows[i].action == rec->dtrd_action)
			print = rows[i].print;
	dt_str_reset(j.out);
	if (print(&j) < 0 || dt_emit(h, fp, j.out) < 0)
		return -1;
	return j.nrecs;
}
