/* SPDX-License-Identifier: Apache-2.0 */
/*
 * printf.c - printf() and printa() formats: each class of conversions has a row that turns a value
 * into text. The checker has compared formats with arguments; still nothing here depends on that.
 */
#include <string.h>
#include <time.h>

#include "consume2/consume.h"

/* One conversion at work. */
struct job {
	dtrace_hdl_t *h;
	struct dt_str *out;
	const struct dt_conv *conv;
	int width, prec; /* what is in force; width >= 0, prec -1: none */
	bool left;
	const struct dt_value *v;
};

/* ---- helpers -----------------------------------------------------------------------------------
 * */

/* "%-#0" LENGTH CONV with width and precision as arguments. */
static const char *spec_of(const struct job *j, char *buf, const char *length, char conv)
{
	const struct dt_conv *c = j->conv;
	char *p = buf;

	*p++ = '%';
	if (j->left)
		*p++ = '-';
	if (c->zero)
		*p++ = '0';
	if (c->plus)
		*p++ = '+';
	if (c->space)
		*p++ = ' ';
	if (c->alt)
		*p++ = '#';
	if (c->group)
		*p++ = '\'';
	p = stpcpy(p, "*.*");
	p = stpcpy(p, length);
	*p++ = conv;
	*p = '\0';
	return buf;
}
#define SPEC_MAX 24

static void put_padded(const struct job *j, const char *s, size_t len)
{
	size_t n = j->prec >= 0 ? DT_MIN(len, (size_t)j->prec) : len;
	size_t pad = (size_t)j->width > n ? (size_t)j->width - n : 0;

	if (pad && !j->left)
		dt_str_printf(j->out, "%*s", (int)pad, "");
	dt_str_putn(j->out, s, n);
	if (pad && j->left)
		dt_str_printf(j->out, "%*s", (int)pad, "");
}

static void put_escaped(struct dt_str *out, u8 c)
{
	static const char names[] = "\a\b\f\n\r\t\v\\", letters[] = "abfnrtv\\";
	const char *at = c ? strchr(names, c) : NULL;

	if (at) {
		dt_str_putc(out, '\\');
		dt_str_putc(out, letters[at - names]);
	} else if (c == 0) {
		dt_str_puts(out, "\\0");
	} else if (c < 0x20 || c >= 0x7f) {
		dt_str_printf(out, "\\%03o", c);
	} else {
		dt_str_putc(out, (char)c);
	}
}

static void put_utf8(struct dt_str *out, u32 c)
{
	if (c < 0x80) {
		dt_str_putc(out, (char)c);
	} else if (c < 0x800) {
		dt_str_putc(out, (char)(0xc0 | c >> 6));
		dt_str_putc(out, (char)(0x80 | (c & 0x3f)));
	} else if (c < 0x10000) {
		dt_str_putc(out, (char)(0xe0 | c >> 12));
		dt_str_putc(out, (char)(0x80 | (c >> 6 & 0x3f)));
		dt_str_putc(out, (char)(0x80 | (c & 0x3f)));
	} else if (c < 0x110000) {
		dt_str_putc(out, (char)(0xf0 | c >> 18));
		dt_str_putc(out, (char)(0x80 | (c >> 12 & 0x3f)));
		dt_str_putc(out, (char)(0x80 | (c >> 6 & 0x3f)));
		dt_str_putc(out, (char)(0x80 | (c & 0x3f)));
	} else {
		dt_str_putc(out, '?');
	}
}

/* ---- conversions -------------------------------------------------------------------------------
 * */

static u32 forced_size(const struct dt_conv *c, u32 size)
{
	if (strcmp(c->size, "hh") == 0)
		return 1;
	if (c->size[0] == 'h')
		return 2;
	return c->size[0] == 'l' ? 8 : DT_MIN(size, 8u);
}

static u64 cut_to(u64 n, u32 size)
{
	return size >= 8 ? n : n & ((UINT64_C(1) << size * 8) - 1);
}

static int conv_int(struct job *j)
{
	long long n = dt_value_int(j->v);
	char spec[SPEC_MAX], conv = j->conv->conv;

	if (conv == 'c') {
		dt_str_printf(j->out, spec_of(j, spec, "", 'c'), j->width, -1, (int)n);
		return 0;
	}
	if (conv == 'C') {
		struct dt_str text = { 0 };

		put_escaped(&text, (u8)n);
		put_padded(j, dt_str_cstr(&text), text.len);
		dt_str_fini(&text);
		return 0;
	}
	if (conv == 'd' || conv == 'i')
		conv = dt_value_is_int(j->v) && !dt_value_signed(j->v) ? 'u' : 'd';
	if (conv != 'd')
		n = (long long)cut_to((u64)n, forced_size(j->conv, j->v->size));
	dt_str_printf(j->out, spec_of(j, spec, "ll", conv), j->width, j->prec, n);
	return 0;
}

static int conv_ptr(struct job *j)
{
	char spec[SPEC_MAX];

	dt_str_printf(j->out, spec_of(j, spec, "ll", 'x'), j->width, j->prec,
		      (unsigned long long)dt_value_int(j->v));
	return 0;
}

static pid_t process_of(const struct job *j)
{
	u64 pid = j->h->target > 0 ? (u64)j->h->target : 0;

	if (j->v->kind >= DT_D_USYM && j->v->kind <= DT_D_UADDR && j->v->size >= sizeof(pid))
		memcpy(&pid, j->v->data, sizeof(pid));
	return pid <= INT32_MAX ? (pid_t)pid : 0;
}

static int conv_addr(struct job *j)
{
	bool user = j->conv->cls == DT_CONV_UADDR ||
		    (j->v->kind >= DT_D_USYM && j->v->kind <= DT_D_UADDR);
	u64 addr = (u64)dt_value_int(j->v);
	char text[1024];

	if (user)
		dt_uaddr_str(j->h->usyms, process_of(j), addr, text, sizeof(text));
	else
		dt_kaddr_str(j->h->ksyms, addr, text, sizeof(text));
	put_padded(j, text, strlen(text));
	return 0;
}

static int conv_stack(struct job *j)
{
	if (j->v->kind != DT_D_STACK && j->v->kind != DT_D_USTACK)
		return dt_set_errno(j->h, EDT_BADCONV);
	dt_text_stack(j->h, j->out, j->v, j->left ? j->width : 0);
	return 0;
}

/* Whatever it is, as text of its own. */
static void plain_text(struct job *j, struct dt_str *text)
{
	switch (j->v->kind) {
	case DT_D_STR:
	case DT_D_BYTES: dt_text_str(text, j->v->data, j->v->size); break;
	case DT_D_INT: dt_str_printf(text, "%lld", (long long)dt_value_int(j->v)); break;
	case DT_D_UINT: dt_str_printf(text, "%llu", (unsigned long long)dt_value_int(j->v)); break;
	case DT_D_PTR: dt_str_printf(text, "0x%llx", (unsigned long long)dt_value_int(j->v)); break;
	case DT_D_NONE:
	case DT_D_FLOAT: break;
	default: dt_text_symbol(j->h, text, j->v);
	}
}

static int conv_str(struct job *j)
{
	struct dt_str text = { 0 }, escaped = { 0 };
	const struct dt_str *t = &text;

	if (j->v->kind == DT_D_STACK || j->v->kind == DT_D_USTACK)
		return conv_stack(j);
	if (j->conv->conv == 's' && (j->v->kind == DT_D_STR || j->v->kind == DT_D_BYTES)) {
		put_padded(j, j->v->data, strnlen(j->v->data, j->v->size));
		return 0;
	}
	plain_text(j, &text);
	if (j->conv->conv == 'S') {
		for (size_t i = 0; i < text.len; i++)
			put_escaped(&escaped, (u8)text.s[i]);
		t = &escaped;
	}
	put_padded(j, dt_str_cstr(t), t->len);
	j->out->failed |= t->failed;
	dt_str_fini(&text);
	dt_str_fini(&escaped);
	return 0;
}

static int conv_time(struct job *j)
{
	s64 ns = dt_value_int(j->v);
	time_t sec = (time_t)(ns / 1000000000);
	char text[128];
	struct tm tm;

	if (!localtime_r(&sec, &tm) ||
	    !strftime(text, sizeof(text),
		      j->conv->conv == 'T' ? "%a, %d %b %G %T %Z" : "%Y %b %e %T", &tm))
		return dt_set_errno(j->h, EDT_BADCONV);
	put_padded(j, text, strlen(text));
	return 0;
}

static int conv_float(struct job *j)
{
	char spec[SPEC_MAX];
	long double ld = 0;
	double d;
	float f;

	if (dt_value_is_int(j->v)) {
		ld = (long double)dt_value_int(j->v);
	} else if (j->v->size == sizeof(f)) {
		memcpy(&f, j->v->data, sizeof(f));
		ld = (long double)f;
	} else if (j->v->size == sizeof(d)) {
		memcpy(&d, j->v->data, sizeof(d));
		ld = (long double)d;
	} else if (j->v->size == sizeof(ld)) {
		memcpy(&ld, j->v->data, sizeof(ld));
	}
	dt_str_printf(j->out, spec_of(j, spec, "L", j->conv->conv), j->width, j->prec, ld);
	return 0;
}

static int conv_wide(struct job *j)
{
	struct dt_str text = { 0 };
	const char *p = j->v->data;
	u32 c;

	if (j->conv->conv == 'c' || j->conv->conv == 'C') {
		put_utf8(&text, (u32)dt_value_int(j->v));
	} else {
		for (u32 at = 0; at + sizeof(c) <= j->v->size; at += sizeof(c)) {
			memcpy(&c, p + at, sizeof(c));
			if (!c)
				break;
			put_utf8(&text, c);
		}
	}
	put_padded(j, dt_str_cstr(&text), text.len);
	j->out->failed |= text.failed;
	dt_str_fini(&text);
	return 0;
}

static int (*const convs[])(struct job *j) = {
	[DT_CONV_INT] = conv_int,     [DT_CONV_PTR] = conv_ptr,     [DT_CONV_ADDR] = conv_addr,
	[DT_CONV_UADDR] = conv_addr,  [DT_CONV_STR] = conv_str,     [DT_CONV_TIME] = conv_time,
	[DT_CONV_STACK] = conv_stack, [DT_CONV_FLOAT] = conv_float, [DT_CONV_WIDE] = conv_wide,
};

static int run(struct job *j)
{
	if ((size_t)j->conv->cls >= DT_NELEM(convs) || !convs[j->conv->cls])
		return dt_set_errno(j->h, EDT_BADCONV);
	if (j->v->kind == DT_D_NONE)
		return dt_set_errno(j->h, EDT_DMISMATCH);
	return convs[j->conv->cls](j);
}

/* ---- %@ ----------------------------------------------------------------------------------------
 * */

static int conv_agg(struct job *j, const dtrace_aggdata_t *d)
{
	struct dt_value v = { .size = 8 };
	bool is_signed;
	s64 n;

	if (!dt_aggdata_number(d, &n, &is_signed)) {
		dt_text_hist(j->h, j->out, d);
		return 0;
	}
	v.kind = is_signed ? DT_D_INT : DT_D_UINT;
	v.data = &n;
	j->v = &v;
	return run(j);
}

/* ---- the whole format --------------------------------------------------------------------------
 * */

static const struct dt_value *next_arg(const struct dt_fmtargs *args, u32 *at)
{
	return *at < args->n ? &args->v[(*at)++] : NULL;
}

/* '*': an int of the arguments; its sign goes to *negative. */
static int dynamic(const struct dt_fmtargs *args, u32 *at, bool *negative)
{
	const struct dt_value *v = next_arg(args, at);
	s64 n = v ? dt_value_int(v) : 0;

	*negative = n < 0;
	n = n < 0 ? -DT_MAX(n, -65536) : n;
	return (int)DT_MIN(n, 65536);
}

static void set_width(struct job *j, const struct dt_fmtargs *args, u32 *at)
{
	const struct dt_conv *c = j->conv;
	bool negative = false;

	j->left = c->left;
	j->width = c->width < 0 ? (c->ptrwidth ? 16 : 0) : c->width;
	j->prec = c->prec;
	if (c->dynwidth) {
		j->width = dynamic(args, at, &negative);
		j->left |= negative;
	}
	if (c->dynprec) {
		j->prec = dynamic(args, at, &negative);
		if (negative)
			j->prec = -1;
	}
}

int dt_text_fmt(dtrace_hdl_t *h, struct dt_str *out, const struct dt_fmt *f,
		const struct dt_fmtargs *args)
{
	u32 at = 0, agg = 0;

	for (u32 i = 0; i < f->n; i++) {
		struct job j = { .h = h, .out = out, .conv = &f->conv[i] };
		int rval;

		dt_str_putn(out, j.conv->text, j.conv->textlen);
		if (j.conv->cls == DT_CONV_LITERAL)
			continue;
		set_width(&j, args, &at);
		if (j.conv->agg) {
			if (!args->naggs)
				return dt_set_errno(h, EDT_BADCONV);
			rval = conv_agg(&j, args->aggs[DT_MIN(agg, args->naggs - 1)]);
			agg++;
		} else {
			j.v = next_arg(args, &at);
			rval = j.v ? run(&j) : dt_set_errno(h, EDT_DMISMATCH);
		}
		if (rval < 0)
			return -1;
	}
	return 0;
}
