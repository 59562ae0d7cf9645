/* SPDX-License-Identifier: Apache-2.0 */
/*
 * picture.c - a process's mappings at one moment, out of the text of /proc/PID/maps.
 *
 * Kept are the mappings that can explain an address: those of files, of the kernel's own ("[heap]"), and
 * anonymous ones with code.  A file with code in it has an image, which its data mappings share.
 */
#include "proc/symbols.h"

#include <stdlib.h>
#include <string.h>

void dt_picture_free(struct dt_images *c, struct dt_picture *p)
{
	if (!p)
		return;
	for (u32 i = 0; i < p->n; i++)
		dt_image_put(c, p->v[i].image);
	free(p->v);
	free(p->text);
	free(p);
}

/* Offset of a copy of the text; 0 (the empty text) without memory. */
static u32 picture_text(struct dt_picture *p, const char *s)
{
	size_t n = strlen(s) + 1;
	u32 at = p->len, room = p->room ? p->room : 1024;
	char *text = p->text;

	while (room - p->len < n)
		room *= 2;
	if (room != p->room) {
		text = realloc(p->text, room);
		if (!text)
			return 0;
		p->text = text;
		p->room = room;
	}
	memcpy(text + at, s, n);
	dt_text_clean(text + at, n - 1);
	p->len += n;
	return at;
}

const struct dt_mapping *dt_picture_find(const struct dt_picture *p, u64 addr)
{
	u32 lo = 0, hi = p->n;

	while (lo < hi) {
		u32 mid = lo + (hi - lo) / 2;

		if (addr >= p->v[mid].end)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo < p->n && addr >= p->v[lo].start ? &p->v[lo] : NULL;
}

static bool same_file(const struct dt_mapping *m, const struct dt_maprow *row)
{
	return m->ino == row->ino && m->major == row->major && m->minor == row->minor;
}

/* The image of the row's file as a mapping close in front of it has it. */
static struct dt_image *near_image(const struct dt_picture *p, const struct dt_maprow *row)
{
	for (u32 i = p->n, back = 0; i-- > 0 && back < 64; back++)
		if (p->v[i].image && same_file(&p->v[i], row))
			return p->v[i].image;
	return NULL;
}

/* The same for what the picture before had at this address. */
static struct dt_image *old_image(const struct dt_picture *before, const struct dt_maprow *row)
{
	const struct dt_mapping *m = before ? dt_picture_find(before, row->start) : NULL;

	return m && same_file(m, row) ? m->image : NULL;
}

struct taking {
	struct dt_images *images;
	pid_t pid;
	struct dt_picture *p;
	const struct dt_picture *before; /* of the same program, or NULL */
};

static void take_names(struct dt_picture *p, struct dt_mapping *m, const char *path)
{
	const char *slash = *path == '/' ? strrchr(path, '/') : NULL;
	const struct dt_mapping *last = m > p->v ? m - 1 : NULL;

	if (!*path)
		return;
	if (last && m->ino && last->ino == m->ino && last->minor == m->minor &&
	    last->major == m->major) {
		m->path = last->path;
		m->object = last->object;
		return;
	}
	m->path = picture_text(p, path);
	m->object = slash && m->path ? m->path + (u32)(slash + 1 - path) : m->path;
}

/* Only files with code are worth opening; their data mappings share the image. */
static struct dt_image *take_image(const struct taking *t, const struct dt_maprow *row)
{
	struct dt_image *image;

	if (row->exec && strcmp(row->path, "[vdso]") == 0)
		return dt_images_vdso(t->images, t->pid, row);
	if (*row->path != '/' || !row->ino)
		return NULL;
	image = near_image(t->p, row);
	if (!image)
		image = old_image(t->before, row);
	if (image)
		dt_image_ref(image);
	else if (row->exec)
		image = dt_images_open(t->images, t->pid, row);
	return image;
}

static int take_row(const struct dt_maprow *row, void *arg)
{
	struct taking *t = arg;
	struct dt_picture *p = t->p;
	struct dt_mapping *m;

	/* Anonymous data explains nothing. And the kernel gives them in order. */
	if ((!*row->path && !row->exec) || (p->n && row->start < p->v[p->n - 1].end))
		return 0;
	if (p->n == p->cap) {
		u32 cap = p->cap ? p->cap * 2 : 64;

		m = realloc(p->v, cap * sizeof(*m));
		if (!m)
			return -1;
		p->v = m;
		p->cap = cap;
	}
	m = &p->v[p->n];
	*m = (struct dt_mapping){ row->start, row->end,   row->off, 0,         0,
				  row->major, row->minor, row->ino, row->exec, NULL };
	take_names(p, m, row->path);
	m->image = take_image(t, row);
	p->n++;
	return 0;
}

/* Mappings in front of the one with the code, which opened the file. */
static void share_images(struct dt_picture *p)
{
	for (u32 i = p->n; i-- > 1;) {
		struct dt_mapping *m = &p->v[i - 1], *next = &p->v[i];

		if (!m->image && m->ino && next->image && m->ino == next->ino &&
		    m->minor == next->minor && m->major == next->major) {
			m->image = next->image;
			dt_image_ref(m->image);
		}
	}
}

struct dt_picture *dt_picture_take(struct dt_images *c, pid_t pid, const struct dt_picture *before,
				   const char *text, size_t len)
{
	struct taking t = { .images = c, .pid = pid, .before = before };

	t.p = calloc(1, sizeof(*t.p));
	if (!t.p)
		return NULL;
	picture_text(t.p, "");
	if (t.p->text && dt_maps_parse(text, len, take_row, &t) == 0) {
		share_images(t.p);
		return t.p;
	}
	dt_picture_free(c, t.p);
	return NULL;
}

static const struct dt_mapping *next_code(const struct dt_picture *p, u32 *i)
{
	while (*i < p->n) {
		const struct dt_mapping *m = &p->v[(*i)++];

		if (m->exec && m->ino)
			return m;
	}
	return NULL;
}

bool dt_picture_same_code(const struct dt_picture *a, const struct dt_picture *b)
{
	u32 i = 0, j = 0;

	for (;;) {
		const struct dt_mapping *m = next_code(a, &i), *n = next_code(b, &j);

		if (!m || !n)
			return m == n;
		if (m->start != n->start || m->end != n->end || m->off != n->off ||
		    m->ino != n->ino || m->minor != n->minor || m->major != n->major)
			return false;
	}
}
