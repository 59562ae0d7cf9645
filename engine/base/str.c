/* SPDX-License-Identifier: Apache-2.0 */
/*
 * str.c - text that grows.  Running out of memory is remembered in the string (failed), so that a
 * writer of many pieces need not look after each; what was written before stays readable.
 */
#include <stdlib.h>
#include <string.h>

#include "base/base.h"

void dt_str_fini(struct dt_str *b)
{
	free(b->s);
	memset(b, 0, sizeof(*b));
}

void dt_str_reset(struct dt_str *b)
{
	b->len = 0;
	b->failed = false;
	if (b->s)
		b->s[0] = '\0';
}

/* Room for n more bytes and the NUL. */
static bool reserve(struct dt_str *b, size_t n)
{
	size_t cap = b->cap ? b->cap : 64;
	char *s;

	if (b->failed)
		return false;
	if (n < b->cap - b->len)
		return true;
	if (n > PTRDIFF_MAX / 2 - b->len) {
		b->failed = true;
		return false;
	}
	while (cap - b->len <= n)
		cap *= 2;
	s = realloc(b->s, cap);
	if (!s) {
		b->failed = true;
		return false;
	}
	b->s = s;
	b->cap = cap;
	return true;
}

void dt_str_putn(struct dt_str *b, const char *s, size_t n)
{
	if (!reserve(b, n))
		return;
	if (n)
		memcpy(b->s + b->len, s, n);
	b->len += n;
	b->s[b->len] = '\0';
}

void dt_str_putc(struct dt_str *b, char c)
{
	dt_str_putn(b, &c, 1);
}

void dt_str_puts(struct dt_str *b, const char *s)
{
	dt_str_putn(b, s, strlen(s));
}

void dt_str_vprintf(struct dt_str *b, const char *fmt, va_list ap)
{
	va_list again;
	int n;

	if (!reserve(b, 64))
		return;
	va_copy(again, ap);
	n = vsnprintf(b->s + b->len, b->cap - b->len, fmt, ap);
	if (n < 0) {
		b->failed = true;
	} else if ((size_t)n >= b->cap - b->len && reserve(b, (size_t)n)) {
		vsnprintf(b->s + b->len, b->cap - b->len, fmt, again);
	}
	va_end(again);
	if (!b->failed)
		b->len += (size_t)n;
	b->s[b->len] = '\0';
}

void dt_str_printf(struct dt_str *b, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	dt_str_vprintf(b, fmt, ap);
	va_end(ap);
}

const char *dt_str_cstr(const struct dt_str *b)
{
	return b->s ? b->s : "";
}

char *dt_str_take(struct dt_str *b)
{
	char *s = b->failed ? NULL : b->s ? b->s : strdup("");

	if (b->failed)
		free(b->s);
	memset(b, 0, sizeof(*b));
	return s;
}
