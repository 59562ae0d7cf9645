/* SPDX-License-Identifier: Apache-2.0 */
/*
 * addrtab.c - a sorted table of named addresses, for the kernel's symbols, ELF files and perf maps.
 *
 * Symbols are appended, sorted once, then found by binary search.  Sources are mostly in order already, or
 * grow at their end: sorting keeps the ordered front, sorts the rest and merges.
 */
#include "proc/symbols.h"

#include <stdlib.h>
#include <string.h>

#define MAX_SYMS (8u << 20)
#define MAX_NAMES (128u << 20)
#define PAGE 4096u
#define MAX_BACK 16 /* how many nearer symbols an enclosing one may be behind */

void dt_addrtab_fini(struct dt_addrtab *t)
{
	free(t->v);
	free(t->names);
	memset(t, 0, sizeof(*t));
}

size_t dt_addrtab_bytes(const struct dt_addrtab *t)
{
	return (size_t)t->cap * sizeof(*t->v) + t->room;
}

void dt_text_clean(char *s, size_t len)
{
	u8 *p = (u8 *)s;

	for (size_t i = 0; i < len; i++) {
		if (p[i] < 0x20 || p[i] == 0x7f) {
			p[i] = '?';
		} else if (p[i] == 0xc2 && i + 1 < len && p[i + 1] >= 0x80 && p[i + 1] < 0xa0) {
			p[i] = '?';
			p[++i] = '?';
		}
	}
}

static int grow_syms(struct dt_addrtab *t)
{
	u32 cap = t->cap ? t->cap * 2 : 256;
	struct dt_addrsym *v;

	if (t->n >= MAX_SYMS)
		return -1;
	v = realloc(t->v, cap * sizeof(*v));
	if (!v)
		return -1;
	t->v = v;
	t->cap = cap;
	return 0;
}

static int grow_names(struct dt_addrtab *t, size_t len)
{
	u32 room = t->room ? t->room : 4096;
	char *names;

	if (t->len + len >= MAX_NAMES)
		return -1;
	while (room < t->len + len)
		room *= 2;
	names = realloc(t->names, room);
	if (!names)
		return -1;
	t->names = names;
	t->room = room;
	return 0;
}

int dt_addrtab_add(struct dt_addrtab *t, const struct dt_addrsym *model, const char *name, size_t len)
{
	struct dt_addrsym *s;

	len = DT_MIN(len, (size_t)DT_ADDRTAB_NAME);
	if (t->n == t->cap && grow_syms(t) < 0)
		return -1;
	if (t->room - t->len < len + 1 && grow_names(t, len + 1) < 0)
		return -1;
	s = &t->v[t->n++];
	*s = *model;
	s->name = t->len;
	memcpy(t->names + t->len, name, len);
	dt_text_clean(t->names + t->len, len);
	t->names[t->len + len] = '\0';
	t->len += len + 1;
	return 0;
}

static int compare(const void *va, const void *vb)
{
	const struct dt_addrsym *a = va, *b = vb;

	if (a->addr != b->addr)
		return a->addr < b->addr ? -1 : 1;
	return a->rank > b->rank ? -1 : a->rank < b->rank;
}

/* v[0..k) and v[k..n) are in order each; the shorter tail is copied out and merged from the end. */
static int merge(struct dt_addrtab *t, u32 k)
{
	u32 rest = t->n - k, to = t->n;
	struct dt_addrsym *tail = malloc(rest * sizeof(*tail));

	if (!tail)
		return -1;
	memcpy(tail, t->v + k, rest * sizeof(*tail));
	while (rest > 0) {
		if (k > 0 && compare(&t->v[k - 1], &tail[rest - 1]) > 0)
			t->v[--to] = t->v[--k];
		else
			t->v[--to] = tail[--rest];
	}
	free(tail);
	return 0;
}

void dt_addrtab_sort(struct dt_addrtab *t)
{
	u32 k = t->n > 0;

	while (k < t->n && compare(&t->v[k - 1], &t->v[k]) <= 0)
		k++;
	if (k == t->n)
		return;
	qsort(t->v + k, t->n - k, sizeof(*t->v), compare);
	if (compare(&t->v[k - 1], &t->v[k]) > 0 && merge(t, k) < 0)
		qsort(t->v, t->n, sizeof(*t->v), compare);
}

/* The index of the first symbol at or above addr. */
static u32 lower(const struct dt_addrtab *t, u64 addr)
{
	u32 lo = 0, hi = t->n;

	while (lo < hi) {
		u32 mid = lo + (hi - lo) / 2;

		if (t->v[mid].addr < addr)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

static u32 above(const struct dt_addrtab *t, u64 addr)
{
	return addr == UINT64_MAX ? t->n : lower(t, addr + 1);
}

/* Without a size of its own a symbol ends at the next one; where that is another owner's, or there is
 * none, the end of the page behind it is as far as we trust it. */
u64 dt_addrtab_size(const struct dt_addrtab *t, const struct dt_addrsym *s)
{
	u32 next = above(t, s->addr);
	u64 size = 2 * PAGE - s->addr % PAGE;

	if (s->size)
		return s->size;
	if (next == t->n)
		return size;
	if (t->v[next].tag == s->tag)
		return t->v[next].addr - s->addr;
	return DT_MIN(size, t->v[next].addr - s->addr);
}

const struct dt_addrsym *dt_addrtab_find(const struct dt_addrtab *t, u64 addr)
{
	const struct dt_addrsym *best = NULL;
	u32 end = above(t, addr);

	for (int back = 0; end > 0 && back < MAX_BACK; back++) {
		const struct dt_addrsym *s = &t->v[lower(t, t->v[end - 1].addr)];

		/* Only the nearest may do without a size. */
		if (addr - s->addr < (back ? s->size : dt_addrtab_size(t, s))) {
			if (!t->newest)
				return s;
			if (!best || s->rank > best->rank)
				best = s;
		}
		end = (u32)(s - t->v);
	}
	return best;
}
