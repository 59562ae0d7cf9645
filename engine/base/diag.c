/* SPDX-License-Identifier: Apache-2.0 */
/*
 * diag.c - findings about a D program: where, which tag, what; and their two renderings,
 * libdtrace's one line and the excerpt with a caret.  Program text and file names may hold
 * anything, and findings end up on terminals, so whatever is not printable leaves here as \xNN.
 */
#include <string.h>

#include "base/base.h"

static const char *const tag_names[] = {
	[D_NONE] = "D_NONE",
#define TAG(name) [D_##name] = "D_" #name,
#include "base/errtags.def"
#undef TAG
};

const char *dt_tag_name(enum dt_tag tag)
{
	return (unsigned int)tag < D_NTAGS ? tag_names[tag] : "D_UNKNOWN";
}

/* ---- places ---------------------------------------------------------------------------------- */

struct dt_loc dt_loc_span(struct dt_loc first, struct dt_loc last)
{
	u32 end = last.off + last.len;

	if (!first.src)
		return last;
	if (first.src == last.src && end > first.off + first.len)
		first.len = end - first.off;
	return first;
}

/* The source line around a location: first byte, length without the newline. */
static size_t line_around(const struct dt_loc *l, size_t *len)
{
	const struct dt_source *s = l->src;
	size_t off = DT_MIN((size_t)l->off, s->len), start = off;
	const char *end = off < s->len ? memchr(s->text + off, '\n', s->len - off) : NULL;

	while (start > 0 && s->text[start - 1] != '\n')
		start--;
	*len = (end ? (size_t)(end - s->text) : s->len) - start;
	return start;
}

void dt_loc_pos(const struct dt_loc *l, int *line, int *col)
{
	size_t start, len, i;

	*line = *col = 0;
	if (!l->src)
		return;
	start = line_around(l, &len);
	*col = (int)(DT_MIN((size_t)l->off, l->src->len) - start) + 1;
	*line = l->line;
	if (*line)
		return;
	for (i = 0, *line = 1; i < start; i++)
		*line += l->src->text[i] == '\n';
}

/* ---- printable text -------------------------------------------------------------------------- */

static bool is_continuation(unsigned char c)
{
	return (c & 0xc0) == 0x80;
}

/* Bytes of the UTF-8 character at s, 0 when it is none or one that must not reach a terminal:
 * controls, and the marks that turn the direction of what follows. */
static size_t utf8_printable(const char *text, size_t n)
{
	static const u32 least[] = { 0, 0, 0x80, 0x800, 0x10000 };
	const unsigned char *s = (const unsigned char *)text;
	size_t want = s[0] >= 0xf0 ? 4 : s[0] >= 0xe0 ? 3 : 2, i;
	u32 c = s[0] & (0xffu >> (want + 1));

	if (s[0] < 0xc2 || s[0] > 0xf4 || want > n)
		return 0;
	for (i = 1; i < want; i++) {
		if (!is_continuation(s[i]))
			return 0;
		c = c << 6 | (s[i] & 0x3f);
	}
	if (c < least[want] || c < 0xa0 || c > 0x10ffff || (c >= 0xd800 && c <= 0xdfff))
		return 0;
	if ((c >= 0x202a && c <= 0x202e) || (c >= 0x2066 && c <= 0x2069))
		return 0;
	return want;
}

/* Tabs stay (and count as one). */
size_t dt_str_printable(struct dt_str *out, const char *s, size_t n, bool lines)
{
	size_t i = 0, cols = 0, len;

	while (i < n) {
		len = (unsigned char)s[i] < 0x80 ? 0 : utf8_printable(s + i, n - i);
		if (len || s[i] == '\t' || (lines && s[i] == '\n') || (s[i] >= ' ' && s[i] < 0x7f)) {
			dt_str_putn(out, s + i, DT_MAX(len, (size_t)1));
			i += DT_MAX(len, (size_t)1);
			cols++;
		} else {
			dt_str_printf(out, "\\x%02x", (unsigned char)s[i++]);
			cols += 4;
		}
	}
	return cols;
}

static size_t put_printable(struct dt_str *out, const char *s, size_t n)
{
	return dt_str_printable(out, s, n, false);
}

/* ---- the list -------------------------------------------------------------------------------- */

void dt_diag_vadd(struct dt_diags *d, enum dt_tag tag, struct dt_loc loc, const char *fmt, va_list ap)
{
	struct dt_str raw = { 0 }, clean = { 0 };
	struct dt_diag add = { .tag = tag, .loc = loc, .msg = "out of memory" };
	struct dt_diag *slot;
	jmp_buf *oom = d->arena->oom;

	dt_str_vprintf(&raw, fmt, ap);
	put_printable(&clean, dt_str_cstr(&raw), raw.len);
	/* no way out of here by longjmp before the strings are freed */
	d->arena->oom = NULL;
	if (!raw.failed && !clean.failed) {
		char *msg = dt_arena_strndup(d->arena, dt_str_cstr(&clean), clean.len);

		add.msg = msg ? msg : add.msg;
	}
	d->arena->oom = oom;
	dt_str_fini(&raw);
	dt_str_fini(&clean);
	slot = dt_vec_push(d->arena, &d->list);
	if (slot)
		*slot = add;
}

void dt_diag_add(struct dt_diags *d, enum dt_tag tag, struct dt_loc loc, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	dt_diag_vadd(d, tag, loc, fmt, ap);
	va_end(ap);
}

/* ---- renderings ------------------------------------------------------------------------------ */

/* White space as wide as the first n bytes of the line when printed. */
static void put_indent(struct dt_str *out, const char *s, size_t n)
{
	struct dt_str shown = { 0 };
	size_t i, cols = 0, from = 0;

	for (i = 0; i <= n; i++) {
		if (i < n && s[i] != '\t')
			continue;
		for (cols = put_printable(&shown, s + from, i - from); cols; cols--)
			dt_str_putc(out, ' ');
		if (i < n)
			dt_str_putc(out, '\t');
		from = i + 1;
	}
	dt_str_fini(&shown);
}

static void put_underline(struct dt_str *out, const char *s, size_t n)
{
	struct dt_str shown = { 0 };
	size_t cols = put_printable(&shown, s, n);

	dt_str_putc(out, '^');
	for (; cols > 1; cols--)
		dt_str_putc(out, '~');
	dt_str_fini(&shown);
}

/* Trailing blanks of the underlined text are not worth underlining. */
static size_t underlined(const char *s, size_t len, size_t room)
{
	size_t n = DT_MIN(len, room);

	while (n > 1 && strchr(" \t\r", s[n - 1]))
		n--;
	return n;
}

static void put_excerpt(const struct dt_loc *l, int line, int col, struct dt_str *out)
{
	size_t len, start = line_around(l, &len), before = (size_t)col - 1;
	const char *text = l->src->text + start;

	if (len && text[len - 1] == '\r' && before < len)
		len--;
	dt_str_printf(out, "%4d | ", line);
	put_printable(out, text, len);
	dt_str_puts(out, "\n     | ");
	before = DT_MIN(before, len);
	put_indent(out, text, before);
	put_underline(out, text + before, underlined(text + before, l->len, len - before));
	dt_str_putc(out, '\n');
}

void dt_diag_render(const struct dt_diag *d, struct dt_str *out)
{
	int line, col;

	dt_loc_pos(&d->loc, &line, &col);
	if (d->loc.src && d->loc.src->name) {
		put_printable(out, d->loc.src->name, strlen(d->loc.src->name));
		dt_str_putc(out, ':');
	}
	if (d->loc.src)
		dt_str_printf(out, "%d:%d: ", line, col);
	dt_str_printf(out, "error: %s [%s]\n", d->msg, dt_tag_name(d->tag));
	if (d->loc.src)
		put_excerpt(&d->loc, line, col, out);
}

void dt_diag_oneline(const struct dt_diag *d, bool tags, struct dt_str *out)
{
	int line, col;

	dt_loc_pos(&d->loc, &line, &col);
	if (tags)
		dt_str_printf(out, "[%s] ", dt_tag_name(d->tag));
	if (d->loc.src && d->loc.src->name) {
		dt_str_putc(out, '"');
		put_printable(out, d->loc.src->name, strlen(d->loc.src->name));
		dt_str_puts(out, "\", ");
	}
	if (d->loc.src)
		dt_str_printf(out, "line %d: ", line);
	dt_str_puts(out, d->msg);
}
