/* SPDX-License-Identifier: Apache-2.0 */
/*
 * printf.c - a parsed format and its arguments -> text.
 *
 * Arguments are records or the keys of a row; '%@' takes results of aggregations.  A class of
 * conversions is a row below.  The arguments' sizes and signs are the data's own: %d of an unsigned
 * value is unsigned.
 */
#include <inttypes.h>
#include <string.h>
#include <time.h>

#include "consume/consume.h"

#define MAX_FIELD 65536 /* '*' is data: do not let it fill memory */

struct field {
	const struct dt_conv *c;
	int width; /* negative: left aligned */
	int prec;  /* -1: none */
	struct dt_item it;
	u64 normal;
};

static bool is_left(const struct field *f)
{
	return f->c->left || f->width < 0;
}

static u32 columns(const struct field *f)
{
	u32 w = (u32)(f->width < 0 ? -f->width : f->width);

	return w ? w : f->c->ptrwidth ? 16 : 0;
}

static void put_text(struct dt_str *out, const struct field *f, const char *s, size_t n)
{
	dt_put_padded(out, s, n, columns(f), is_left(f));
}

/* Text that was made in s. */
static void put_made(struct dt_str *out, const struct field *f, struct dt_str *s)
{
	put_text(out, f, dt_str_cstr(s), s->len);
	out->failed |= s->failed;
	dt_str_fini(s);
}

/* ---- numbers --------------------------------------------------------------------------------- */

/* The C conversion with the same flags; size is "ll", "L" ... */
static void spec_of(const struct field *f, const char *size, char conv, char *buf, size_t n)
{
	const struct dt_conv *c = f->c;

	snprintf(buf, n, "%%%s%s%s%s%s%s*.*%s%c", is_left(f) ? "-" : "", c->zero ? "0" : "",
		 c->plus ? "+" : "", c->space ? " " : "", c->alt ? "#" : "", c->group ? "'" : "",
		 size, conv);
}

static bool is_plain(const struct field *f)
{
	const struct dt_conv *c = f->c;

	return !f->width && f->prec < 0 && !c->zero && !c->plus && !c->space && !c->alt &&
	       !c->group && !c->ptrwidth;
}

/* The value cut to the size that the conversion or, without one, the argument has. */
static u64 sized(const struct field *f, bool is_signed)
{
	u64 v = (u64)dt_item_int(&f->it);
	u32 size = f->it.size;

	if (!strcmp(f->c->size, "h"))
		size = 2;
	else if (!strcmp(f->c->size, "hh"))
		size = 1;
	else if (f->c->size[0])
		size = 8;
	switch (size) {
	case 1: return is_signed ? (u64)(s8)v : (u8)v;
	case 2: return is_signed ? (u64)(s16)v : (u16)v;
	case 4: return is_signed ? (u64)(s32)v : (u32)v;
	default: return v;
	}
}

static void put_number(struct dt_str *out, const struct field *f, u64 v, char conv)
{
	char spec[24];

	if (is_plain(f) && conv == 'd')
		dt_put_s64(out, (s64)v);
	else if (is_plain(f) && conv == 'u')
		dt_put_u64(out, v);
	else {
		spec_of(f, "ll", conv, spec, sizeof(spec));
		dt_str_printf(out, spec, (int)columns(f), f->prec, (unsigned long long)v);
	}
}

static void put_char(struct dt_str *out, const struct field *f)
{
	char ch = (char)dt_item_int(&f->it);

	put_text(out, f, &ch, 1);
}

/* A byte as in a C literal. */
static void put_escaped(struct dt_str *out, u8 ch)
{
	static const char plain[] = "abfnrtv\\\"", meant[] = "\a\b\f\n\r\t\v\\\"";
	const char *p = ch ? strchr(meant, ch) : NULL;

	if (p)
		dt_str_printf(out, "\\%c", plain[p - meant]);
	else if (!ch)
		dt_str_puts(out, "\\0");
	else if (ch < 0x20 || ch > 0x7e)
		dt_str_printf(out, "\\%03o", ch);
	else
		dt_str_putc(out, (char)ch);
}

static void put_escaped_char(struct dt_str *out, const struct field *f)
{
	struct dt_str s = { 0 };

	put_escaped(&s, (u8)dt_item_int(&f->it));
	put_made(out, f, &s);
}

static void conv_int(dtrace_hdl_t *h, struct dt_str *out, const struct field *f)
{
	char conv = f->c->conv == 'i' ? 'd' : f->c->conv;
	bool is_signed = conv == 'd' && f->it.kind != DT_D_UINT && f->it.kind != DT_D_PTR;

	if (conv == 'c')
		put_char(out, f);
	else if (conv == 'C')
		put_escaped_char(out, f);
	else
		put_number(out, f, sized(f, is_signed), conv == 'd' && !is_signed ? 'u' : conv);
}

static void conv_ptr(dtrace_hdl_t *h, struct dt_str *out, const struct field *f)
{
	put_number(out, f, sized(f, false), 'x');
}

static void conv_float(dtrace_hdl_t *h, struct dt_str *out, const struct field *f)
{
	char spec[24];
	long double v = 0;
	double d;
	float s;

	if (f->it.kind != DT_D_FLOAT) {
		v = dt_item_int(&f->it);
	} else if (f->it.size == sizeof(s)) {
		memcpy(&s, f->it.p, sizeof(s));
		v = s;
	} else if (f->it.size == sizeof(d)) {
		memcpy(&d, f->it.p, sizeof(d));
		v = d;
	} else if (f->it.size == sizeof(v)) {
		memcpy(&v, f->it.p, sizeof(v));
	}
	spec_of(f, "L", f->c->conv, spec, sizeof(spec));
	dt_str_printf(out, spec, (int)columns(f), f->prec, v);
}

/* ---- text ------------------------------------------------------------------------------------ */

static bool is_symbol(enum dt_datakind kind)
{
	return kind >= DT_D_SYM && kind <= DT_D_UADDR;
}

static void conv_str(dtrace_hdl_t *h, struct dt_str *out, const struct field *f)
{
	size_t n = dt_item_strlen(&f->it);
	struct dt_str s = { 0 };

	if (is_symbol(f->it.kind)) {
		dt_put_symbol(h, &s, &f->it);
		put_made(out, f, &s);
		return;
	}
	if (f->prec >= 0)
		n = DT_MIN(n, (size_t)f->prec);
	if (f->c->conv == 's') {
		put_text(out, f, f->it.p, n);
		return;
	}
	for (size_t i = 0; i < n; i++)
		put_escaped(&s, (u8)f->it.p[i]);
	put_made(out, f, &s);
}

/* Units of 4 bytes (wchar_t) as UTF-8; those that are none become '?'. */
static void put_wide(struct dt_str *s, u32 ch)
{
	if (ch < 0x80) {
		dt_str_putc(s, (char)ch);
	} else if (ch < 0x800) {
		dt_str_putc(s, (char)(0xc0 | ch >> 6));
		dt_str_putc(s, (char)(0x80 | (ch & 0x3f)));
	} else if (ch < 0x10000 && (ch < 0xd800 || ch > 0xdfff)) {
		dt_str_putc(s, (char)(0xe0 | ch >> 12));
		dt_str_putc(s, (char)(0x80 | (ch >> 6 & 0x3f)));
		dt_str_putc(s, (char)(0x80 | (ch & 0x3f)));
	} else if (ch >= 0x10000 && ch < 0x110000) {
		dt_str_putc(s, (char)(0xf0 | ch >> 18));
		dt_str_putc(s, (char)(0x80 | (ch >> 12 & 0x3f)));
		dt_str_putc(s, (char)(0x80 | (ch >> 6 & 0x3f)));
		dt_str_putc(s, (char)(0x80 | (ch & 0x3f)));
	} else {
		dt_str_putc(s, '?');
	}
}

static void conv_wide(dtrace_hdl_t *h, struct dt_str *out, const struct field *f)
{
	bool one = f->c->conv == 'c' || f->c->conv == 'C';
	u32 n = one ? 1 : f->it.size / 4, ch;
	struct dt_str s = { 0 };

	if (!one && f->prec >= 0)
		n = DT_MIN(n, (u32)f->prec);
	for (u32 i = 0; i < n; i++) {
		if (one)
			ch = (u32)dt_item_int(&f->it);
		else
			memcpy(&ch, f->it.p + (size_t)i * 4, 4);
		if (!ch && !one)
			break;
		put_wide(&s, ch);
	}
	put_made(out, f, &s);
}

/* ---- addresses, stacks, times ---------------------------------------------------------------- */

static void conv_addr(dtrace_hdl_t *h, struct dt_str *out, const struct field *f)
{
	struct dt_str s = { 0 };

	if (f->it.kind == DT_D_MOD)
		dt_put_symbol(h, &s, &f->it);
	else
		dt_put_kaddr(h, &s, (u64)dt_item_int(&f->it));
	put_made(out, f, &s);
}

static void conv_uaddr(dtrace_hdl_t *h, struct dt_str *out, const struct field *f)
{
	bool own = dt_kind_has_pid(f->it.kind);
	struct dt_str s = { 0 };

	if (f->it.kind == DT_D_UMOD)
		dt_put_symbol(h, &s, &f->it);
	else
		dt_put_uaddr(h, &s, (pid_t)(own ? (s64)dt_item_word(&f->it, 0) : h->target),
			     (u64)dt_item_int(&f->it));
	put_made(out, f, &s);
}

/* The width is how far in the frames stand, when left aligned. */
static void conv_stack(dtrace_hdl_t *h, struct dt_str *out, const struct field *f)
{
	if (f->it.kind == DT_D_STACK || f->it.kind == DT_D_USTACK)
		dt_put_stack(h, out, &f->it, is_left(f) ? columns(f) : 0);
}

static void conv_time(dtrace_hdl_t *h, struct dt_str *out, const struct field *f)
{
	u64 ns = (u64)dt_item_int(&f->it);
	time_t sec = (time_t)(ns / 1000000000u);
	struct tm tm;
	char text[128];
	size_t n = 0;

	if (localtime_r(&sec, &tm))
		n = f->c->conv == 'T' ? strftime(text, sizeof(text), "%a, %d %b %G %T %Z", &tm) :
					strftime(text, sizeof(text), "%Y %b %e %T", &tm);
	put_text(out, f, text, n);
}

static const struct {
	void (*put)(dtrace_hdl_t *h, struct dt_str *out, const struct field *f);
} classes[] = {
	[DT_CONV_INT] = { conv_int },     [DT_CONV_PTR] = { conv_ptr },
	[DT_CONV_ADDR] = { conv_addr },   [DT_CONV_UADDR] = { conv_uaddr },
	[DT_CONV_STR] = { conv_str },     [DT_CONV_TIME] = { conv_time },
	[DT_CONV_STACK] = { conv_stack }, [DT_CONV_FLOAT] = { conv_float },
	[DT_CONV_WIDE] = { conv_wide },
};

/* ---- arguments ------------------------------------------------------------------------------- */

static const dtrace_recdesc_t *next_arg(dtrace_hdl_t *h, struct dt_fmtargs *a)
{
	if (a->next < a->nrecs)
		return &a->rec[a->next++];
	dt_fail(&h->err, EDT_DMISMATCH, "a format wants more arguments than its record has");
	return NULL;
}

static int dynamic(dtrace_hdl_t *h, struct dt_fmtargs *a, int *out)
{
	const dtrace_recdesc_t *rec = next_arg(h, a);
	struct dt_item it;
	s64 v;

	if (!rec)
		return -1;
	it = dt_item_of(rec, a->base);
	v = dt_item_int(&it);
	*out = (int)DT_MAX(DT_MIN(v, (s64)MAX_FIELD), (s64)-MAX_FIELD);
	return 0;
}

static const dtrace_aggdata_t *next_result(dtrace_hdl_t *h, struct dt_fmtargs *a)
{
	if (a->naggs > 0) /* the last one serves again */
		return a->aggs[a->nextagg < a->naggs - 1 ? a->nextagg++ : a->naggs - 1];
	dt_set_errno(h, EDT_DMISMATCH);
	return NULL;
}

static int put_result(dtrace_hdl_t *h, struct dt_str *out, struct field *f, struct dt_fmtargs *a)
{
	const dtrace_aggdata_t *d = next_result(h, a);
	const dtrace_recdesc_t *rec;
	s64 v;

	if (!d)
		return -1;
	rec = &d->dtada_desc->dtagd_rec[d->dtada_desc->dtagd_nrecs - 1];
	if (dt_agg_is_dist(rec->dtrd_action)) {
		dt_put_dist(h, out, d);
	} else {
		v = dt_agg_scalar(d);
		f->it = (struct dt_item){ .kind = DT_D_INT, .p = (const char *)&v, .size = sizeof(v) };
		classes[f->c->cls].put(h, out, f);
	}
	return a->shown ? a->shown(a, rec, true) : 0;
}

static int put_conv(dtrace_hdl_t *h, struct dt_str *out, const struct dt_conv *c,
		    struct dt_fmtargs *a)
{
	struct field f = { .c = c, .width = DT_MAX(c->width, 0), .prec = c->prec };
	const dtrace_recdesc_t *rec;

	if (c->dynwidth && dynamic(h, a, &f.width) < 0)
		return -1;
	if (c->dynprec && dynamic(h, a, &f.prec) < 0)
		return -1;
	if (c->agg)
		return put_result(h, out, &f, a);
	rec = next_arg(h, a);
	if (!rec)
		return -1;
	f.it = dt_item_of(rec, a->base);
	classes[c->cls].put(h, out, &f);
	return a->shown ? a->shown(a, rec, false) : 0;
}

int dt_format(dtrace_hdl_t *h, struct dt_str *out, const struct dt_fmt *f, struct dt_fmtargs *a)
{
	for (u32 i = 0; i < f->n; i++) {
		const struct dt_conv *c = &f->conv[i];

		dt_str_putn(out, c->text, c->textlen);
		if (c->cls != DT_CONV_LITERAL && put_conv(h, out, c, a) < 0)
			return -1;
	}
	return 0;
}
