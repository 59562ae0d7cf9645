/* SPDX-License-Identifier: Apache-2.0 */
/*
 * maps.c - the text of /proc/PID/maps and of perf maps, parsed line by line; malformed lines are left out.
 *
 *	7f01b2c56000-7f01b2dac000 r-xp 00026000 fe:00 339380      /usr/lib/libc.so.6
 *	7f33d0a41000 1c3 py::fib:/home/me/fib.py
 */
#include "proc/symbols.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MAX_PATH_TEXT 4352 /* PATH_MAX, and some for " (deleted)" */

char *dt_read_text(const char *path, size_t limit, size_t *len)
{
	_cleanup_fd_ int fd = open(path, O_RDONLY | O_CLOEXEC);
	size_t room = 16384, n = 0;
	char *buf = fd < 0 ? NULL : malloc(room + 1);

	while (buf) {
		ssize_t got = read(fd, buf + n, DT_MIN(room, limit) - n);
		char *more;

		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0) {
			free(buf);
			return NULL;
		}
		n += (size_t)got;
		if (got == 0 || n == limit)
			break;
		if (n < room)
			continue;
		more = realloc(buf, room * 2 + 1);
		if (!more)
			free(buf);
		else
			room *= 2;
		buf = more;
	}
	if (buf)
		buf[n] = '\0';
	*len = n;
	return buf;
}

/* ---- reading a line from the left ---------------------------------------------------------------------- */

struct line {
	const char *p, *end;
	bool bad;
};

static int digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : 16;
}

static u64 number(struct line *l, int base)
{
	const char *first = l->p;
	u64 v = 0;

	for (; l->p < l->end && digit(*l->p) < base; l->p++) {
		if (v > (UINT64_MAX >> 4))
			l->bad = true;
		v = v * (u64)base + (u64)digit(*l->p);
	}
	l->bad |= l->p == first;
	return v;
}

static void expect(struct line *l, char c)
{
	if (l->p < l->end && *l->p == c)
		l->p++;
	else
		l->bad = true;
}

static void skip_blanks(struct line *l)
{
	while (l->p < l->end && *l->p == ' ')
		l->p++;
}

/* ---- maps ------------------------------------------------------------------------------------------------ */

/* The kernel writes a newline in a name as \012, and nothing else. */
static size_t unescape(const char *p, size_t len, char *to, size_t room)
{
	size_t n = 0;

	for (size_t i = 0; i < len && n < room; i++) {
		if (len - i >= 4 && memcmp(p + i, "\\012", 4) == 0) {
			to[n++] = '\n';
			i += 3;
		} else {
			to[n++] = p[i];
		}
	}
	return n;
}

static void take_path(struct line *l, struct dt_maprow *row, char *path)
{
	static const char gone[] = " (deleted)";
	const size_t ngone = sizeof(gone) - 1;
	size_t n = unescape(l->p, (size_t)(l->end - l->p), path, MAX_PATH_TEXT - 1);

	if (n > ngone && memcmp(path + n - ngone, gone, ngone) == 0) {
		row->deleted = true;
		n -= ngone;
	}
	path[n] = '\0';
	row->path = path;
}

static bool take_row(struct line *l, struct dt_maprow *row, char *path)
{
	row->start = number(l, 16);
	expect(l, '-');
	row->end = number(l, 16);
	expect(l, ' ');
	if (l->bad || row->end <= row->start || l->end - l->p < 5 || l->p[4] != ' ')
		return false;
	row->exec = l->p[2] == 'x';
	l->p += 5;
	row->off = number(l, 16);
	expect(l, ' ');
	row->major = (u32)number(l, 16);
	expect(l, ':');
	row->minor = (u32)number(l, 16);
	expect(l, ' ');
	row->ino = number(l, 10);
	if (l->bad || (l->p < l->end && *l->p != ' '))
		return false;
	skip_blanks(l);
	take_path(l, row, path);
	return true;
}

int dt_maps_parse(const char *text, size_t len, int (*cb)(const struct dt_maprow *row, void *arg),
		  void *arg)
{
	const char *end = text + len;
	char path[MAX_PATH_TEXT];

	while (text < end) {
		const char *nl = memchr(text, '\n', (size_t)(end - text));
		struct line l = { text, nl ? nl : end, false };
		struct dt_maprow row = { 0 };
		int rc = take_row(&l, &row, path) ? cb(&row, arg) : 0;

		if (rc)
			return rc;
		text = l.end + (nl != NULL);
	}
	return 0;
}

/* ---- perf maps ----------------------------------------------------------------------------------------------- */

static u64 hex_number(struct line *l)
{
	if (l->end - l->p > 2 && l->p[0] == '0' && (l->p[1] | 0x20) == 'x')
		l->p += 2;
	return number(l, 16);
}

static int take_symbol(struct line *l, struct dt_addrtab *t)
{
	struct dt_addrsym s = { .rank = t->n };
	u64 size;

	skip_blanks(l);
	s.addr = hex_number(l);
	expect(l, ' ');
	skip_blanks(l);
	size = hex_number(l);
	expect(l, ' ');
	if (l->bad || size == 0 || l->p == l->end)
		return 0;
	s.size = (u32)DT_MIN(size, (u64)UINT32_MAX);
	return dt_addrtab_add(t, &s, l->p, (size_t)(l->end - l->p));
}

size_t dt_perfmap_parse(const char *text, size_t len, struct dt_addrtab *t)
{
	const char *p = text, *nl;

	t->newest = true;
	while ((nl = memchr(p, '\n', len - (size_t)(p - text)))) {
		struct line l = { p, nl, false };

		if (take_symbol(&l, t) < 0)
			break;
		p = nl + 1;
	}
	dt_addrtab_sort(t);
	return (size_t)(p - text);
}
