/* SPDX-License-Identifier: Apache-2.0 */
/*
 * arena.c - memory with one lifetime: chunks that only grow, freed together.
 *
 * Small requests are cut from the newest chunk; a request that would waste most of a chunk gets one
 * of its own, put behind the newest so that the rest of that one stays usable.  Chunks come zeroed
 * and nothing is used twice, so all that is handed out is zero.
 */
#include <setjmp.h>
#include <stdlib.h>
#include <string.h>

#include "base/base.h"

#define ALIGNMENT 16
#define FIRST_CHUNK ((size_t)4096)
#define MAX_CHUNK ((size_t)256 * 1024)

struct dt_arena_chunk {
	struct dt_arena_chunk *next;
	size_t used, size;
	char data[] __attribute__((aligned(ALIGNMENT)));
};

void dt_arena_init(struct dt_arena *a)
{
	memset(a, 0, sizeof(*a));
}

void dt_arena_fini(struct dt_arena *a)
{
	struct dt_arena_chunk *c = a->head, *next;

	for (; c; c = next) {
		next = c->next;
		free(c);
	}
	dt_arena_init(a);
}

static void *no_memory(struct dt_arena *a)
{
	if (a->oom)
		longjmp(*a->oom, 1);
	return NULL;
}

static struct dt_arena_chunk *chunk_new(size_t size)
{
	struct dt_arena_chunk *c = calloc(1, sizeof(*c) + size);

	if (c)
		c->size = size;
	return c;
}

/* A chunk with room for size bytes: chunks double, so that a small arena stays small. */
static struct dt_arena_chunk *chunk_add(struct dt_arena *a, size_t size)
{
	size_t next = a->head ? DT_MIN(DT_MAX(a->used, FIRST_CHUNK), MAX_CHUNK) : FIRST_CHUNK;
	bool alone = a->head && size > next / 4;
	struct dt_arena_chunk *c = chunk_new(alone ? size : DT_MAX(next, size));

	if (!c)
		return NULL;
	if (alone) {
		c->next = a->head->next;
		a->head->next = c;
	} else {
		c->next = a->head;
		a->head = c;
	}
	return c;
}

void *dt_arena_alloc(struct dt_arena *a, size_t size)
{
	struct dt_arena_chunk *c = a->head;
	void *p;

	if (size > PTRDIFF_MAX / 2)
		return no_memory(a);
	size = DT_ROUNDUP(DT_MAX(size, (size_t)1), ALIGNMENT);
	if (!c || c->size - c->used < size) {
		c = chunk_add(a, size);
		if (!c)
			return no_memory(a);
	}
	p = c->data + c->used;
	c->used += size;
	a->used += size;
	return p;
}

char *dt_arena_strndup(struct dt_arena *a, const char *s, size_t n)
{
	char *p = dt_arena_alloc(a, n + 1);

	if (p && n)
		memcpy(p, s, n);
	return p;
}

char *dt_arena_strdup(struct dt_arena *a, const char *s)
{
	return dt_arena_strndup(a, s, strlen(s));
}

char *dt_arena_printf(struct dt_arena *a, const char *fmt, ...)
{
	va_list ap;
	int n;
	char *p;

	va_start(ap, fmt);
	n = vsnprintf(NULL, 0, fmt, ap);
	va_end(ap);
	if (n < 0)
		return no_memory(a);
	p = dt_arena_alloc(a, (size_t)n + 1);
	if (!p)
		return NULL;
	va_start(ap, fmt);
	vsnprintf(p, (size_t)n + 1, fmt, ap);
	va_end(ap);
	return p;
}

void *dt_vec_grow(struct dt_arena *a, void *v, u32 n, u32 *cap, size_t elem)
{
	u32 newcap = *cap ? *cap * 2 : 8;
	void *p;

	if (newcap <= *cap || elem > PTRDIFF_MAX / newcap)
		return no_memory(a);
	p = dt_arena_alloc(a, newcap * elem);
	if (!p)
		return NULL;
	if (n)
		memcpy(p, v, n * elem);
	*cap = newcap;
	return p;
}

bool dt_vec_more(struct dt_arena *a, void *pv, u32 n, u32 *cap, size_t elem)
{
	void *v;

	memcpy(&v, pv, sizeof(v));
	v = dt_vec_grow(a, v, n, cap, elem);
	if (!v)
		return false;
	memcpy(pv, &v, sizeof(v));
	return true;
}
