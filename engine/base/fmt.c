/* SPDX-License-Identifier: Apache-2.0 */
/* fmt.c - the parser of printf() formats. */
#include <stdlib.h>
#include <string.h>

#include "base/fmt.h"

/* conv, class, sizes it takes (each in turn, separated by blanks; "" means none but the plain form) */
static const struct {
	char conv;
	enum dt_conv_class cls;
	const char *sizes;
} convs[] = {
	{ 'd', DT_CONV_INT, "hh h l ll" }, { 'i', DT_CONV_INT, "hh h l ll" },
	{ 'o', DT_CONV_INT, "hh h l ll" }, { 'u', DT_CONV_INT, "hh h l ll" },
	{ 'x', DT_CONV_INT, "hh h l ll" }, { 'X', DT_CONV_INT, "hh h l ll" },
	{ 'c', DT_CONV_INT, "l w" },       { 'C', DT_CONV_INT, "l w" },
	{ 'p', DT_CONV_PTR, "" },          { 'a', DT_CONV_ADDR, "" },
	{ 'A', DT_CONV_UADDR, "" },        { 's', DT_CONV_STR, "l w" },
	{ 'S', DT_CONV_STR, "l w" },       { 'T', DT_CONV_TIME, "" },
	{ 'Y', DT_CONV_TIME, "" },         { 'k', DT_CONV_STACK, "" },
	{ 'e', DT_CONV_FLOAT, "L" },       { 'E', DT_CONV_FLOAT, "L" },
	{ 'f', DT_CONV_FLOAT, "L" },       { 'g', DT_CONV_FLOAT, "L" },
	{ 'G', DT_CONV_FLOAT, "L" },
};

struct parser {
	const char *text, *p;
	struct dt_fmt *f;
	u32 cap;
	char *err;
	size_t errsize;
};

static int fail(struct parser *ps, const char *fmt, ...) DT_PRINTF(2, 3);
static int fail(struct parser *ps, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(ps->err, ps->errsize, fmt, ap);
	va_end(ap);
	return -1;
}

static struct dt_conv *add(struct parser *ps)
{
	if (ps->f->n == ps->cap) {
		u32 cap = ps->cap ? ps->cap * 2 : 8;
		struct dt_conv *v = realloc(ps->f->conv, cap * sizeof(*v));

		if (!v)
			return NULL;
		ps->f->conv = v;
		ps->cap = cap;
	}
	struct dt_conv *c = &ps->f->conv[ps->f->n++];

	memset(c, 0, sizeof(*c));
	c->width = c->prec = -1;
	return c;
}

/* Literal text up to the next conversion; "%%" becomes one '%', in place in the copy. */
static void parse_literal(struct parser *ps, struct dt_conv *c)
{
	char *to = (char *)ps->p;

	c->text = ps->p;
	while (*ps->p && !(ps->p[0] == '%' && ps->p[1] != '%')) {
		if (ps->p[0] == '%')
			ps->p++;
		*to++ = *ps->p++;
	}
	c->textlen = (size_t)(to - c->text);
}

static bool parse_flag(struct dt_conv *c, char ch)
{
	switch (ch) {
	case '-': return c->left = true;
	case '0': return c->zero = true;
	case '+': return c->plus = true;
	case ' ': return c->space = true;
	case '#': return c->alt = true;
	case '\'': return c->group = true;
	case '?': return c->ptrwidth = true;
	case '@': return c->agg = true;
	default: return false;
	}
}

static void parse_flags(struct parser *ps, struct dt_conv *c)
{
	while (parse_flag(c, *ps->p))
		ps->p++;
}

#define MAX_NUMBER 65536 /* widths beyond this are a mistake, and would only fill memory */

static int parse_number(struct parser *ps, const char *what, int *out, bool *dynamic)
{
	s64 n = 0;

	if (*ps->p == '*') {
		ps->p++;
		*dynamic = true;
		ps->f->nargs++;
		return 0;
	}
	if (*ps->p < '0' || *ps->p > '9')
		return 0;
	for (; *ps->p >= '0' && *ps->p <= '9'; ps->p++) {
		n = n * 10 + (*ps->p - '0');
		if (n > MAX_NUMBER)
			return fail(ps, "the %s of a conversion is more than %d", what, MAX_NUMBER);
	}
	*out = (int)n;
	return 0;
}

static void parse_size(struct parser *ps, struct dt_conv *c)
{
	u32 n = 0;

	while (n < 2 && *ps->p && strchr("hlLw", *ps->p)) {
		if (n == 1 && (*ps->p != c->size[0] || c->size[0] == 'L' || c->size[0] == 'w'))
			break;
		c->size[n++] = *ps->p++;
	}
}

static bool size_allowed(const char *sizes, const char *size)
{
	size_t n = strlen(size);

	for (const char *s = sizes; *s; s += strcspn(s, " "), s += *s == ' ')
		if (strcspn(s, " ") == n && strncmp(s, size, n) == 0)
			return true;
	return n == 0;
}

/* %5% is a percent sign all the same: the last byte of the text in front, where the first one stood. */
static int parse_percent(struct parser *ps, struct dt_conv *c)
{
	((char *)c->text)[c->textlen++] = *ps->p++;
	return 0;
}

static int parse_conv(struct parser *ps, struct dt_conv *c)
{
	if (*ps->p == '%' && !c->dynwidth && !c->dynprec)
		return parse_percent(ps, c);
	for (size_t k = 0; k < DT_NELEM(convs); k++) {
		if (convs[k].conv != *ps->p)
			continue;
		if (!size_allowed(convs[k].sizes, c->size))
			return fail(ps, "conversion %%%s%c does not exist", c->size, *ps->p);
		c->conv = *ps->p++;
		c->cls = convs[k].cls;
		if (c->cls == DT_CONV_STR && c->size[0])
			c->cls = DT_CONV_WIDE;
		if ((c->conv == 'c' || c->conv == 'C') && c->size[0])
			c->cls = DT_CONV_WIDE;
		if (!c->agg)
			ps->f->nargs++;
		return 0;
	}
	if (!*ps->p)
		return fail(ps, "the format ends within a conversion");
	if ((u8)*ps->p < 0x20 || (u8)*ps->p > 0x7e)
		return fail(ps, "byte 0x%02x is not a conversion", (u8)*ps->p);
	return fail(ps, "%%%c is not a conversion", *ps->p);
}

static int parse_one(struct parser *ps)
{
	struct dt_conv *c = add(ps);

	if (!c)
		return fail(ps, "no memory for the format");
	parse_literal(ps, c);
	if (!*ps->p)
		return 0;
	c->off = (u32)(ps->p - ps->text);
	ps->p++;
	parse_flags(ps, c);
	if (parse_number(ps, "width", &c->width, &c->dynwidth) < 0)
		return -1;
	parse_flags(ps, c); /* %6@d */
	if (*ps->p == '.') {
		ps->p++;
		c->prec = 0;
		if (parse_number(ps, "precision", &c->prec, &c->dynprec) < 0)
			return -1;
		parse_flags(ps, c);
	}
	parse_size(ps, c);
	return parse_conv(ps, c);
}

struct dt_fmt *dt_fmt_parse(const char *format, char *err, size_t size)
{
	struct parser ps = { .err = err, .errsize = size, .f = calloc(1, sizeof(struct dt_fmt)) };

	if (ps.f)
		ps.f->text = strdup(format);
	if (!ps.f || !ps.f->text) {
		fail(&ps, "no memory for the format");
		dt_fmt_free(ps.f);
		return NULL;
	}
	ps.text = ps.p = ps.f->text;
	while (*ps.p)
		if (parse_one(&ps) < 0) {
			dt_fmt_free(ps.f);
			return NULL;
		}
	return ps.f;
}

void dt_fmt_free(struct dt_fmt *f)
{
	if (!f)
		return;
	free(f->conv);
	free(f->text);
	free(f);
}
