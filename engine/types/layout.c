/* SPDX-License-Identifier: Apache-2.0 */
/*
 * layout.c - sizes, alignments and members: the x86-64 (LP64) C ABI.
 */
#include <string.h>

#include "types/types.h"

#define NESTING 64 /* structs by value in structs */
#define ANONYMOUS_DEEP 32
#define SEARCH 100000 /* members looked at for one name; structs inside themselves end here */

/* Completing a type is caching what the world knows, not changing it. */
static struct dt_type *resolved(const struct dt_type *t)
{
	return dt_type_resolve((struct dt_type *)t);
}

u64 dt_type_size(const struct dt_type *t)
{
	u64 size;

	for (; t && t->kind == DT_TYPEDEF; t = t->ref)
		;
	if (t && t->kind == DT_FWD)
		t = resolved(t);
	if (!t || t->kind == DT_FWD)
		return 0;
	if (t->kind == DT_ARRAY && !t->size && t->nelems &&
	    !__builtin_mul_overflow(t->nelems, dt_type_size(t->ref), &size))
		return size;
	return t->size;
}

static u64 align_of(const struct dt_type *type, int deep);

static u64 members_align(const struct dt_type *t, int deep)
{
	u64 align = 1, a;
	u32 i;

	for (i = 0; i < t->nmembers; i++) {
		if (t->members[i].bit_size && !*t->members[i].name)
			continue;
		a = align_of(t->members[i].type, deep);
		align = DT_MAX(align, a);
	}
	return align;
}

static u64 align_of(const struct dt_type *type, int deep)
{
	struct dt_type *t = resolved(type);
	u64 align;

	for (; t && t->kind == DT_ARRAY; t = resolved(t->ref))
		;
	if (!t || deep > NESTING)
		return 1;
	if (t->align)
		return t->align;
	switch (t->kind) {
	case DT_STRUCT:
	case DT_UNION:
		if (!t->complete)
			return 1;
		t->align = 1; /* for a malformed struct that is inside itself */
		align = members_align(t, deep + 1);
		break;
	case DT_FWD: return 1;
	case DT_USYMADDR: align = 8; break;
	default: align = t->size ? DT_MIN(t->size, (u64)16) : 1;
	}
	t->align = (u16)align;
	return align;
}

u64 dt_type_align(const struct dt_type *t)
{
	return align_of(t, 0);
}

/* A member without a name that is no struct or union is C's "int : 0": the next bit-field starts a
 * new unit. */
static bool is_zero_width(const struct dt_member *m)
{
	return !*m->name && !m->bit_size && !dt_type_is_sou(m->type);
}

/* First bit for a member when those before end at bit `at`. */
static u64 place(const struct dt_member *m, u64 at, u64 size, u64 align)
{
	if (!m->bit_size)
		return DT_ROUNDUP(at, align * 8);
	if (size && at / (size * 8) != (at + m->bit_size - 1) / (size * 8))
		return DT_ROUNDUP(at, size * 8);
	return at;
}

void dt_type_layout(struct dt_type *t)
{
	u64 at = 0, end = 0, align = 1, size, a;
	struct dt_member *m;

	for (m = t->members; m < t->members + t->nmembers; m++) {
		size = dt_type_size(m->type);
		a = dt_type_align(m->type);
		if (is_zero_width(m)) {
			at = DT_ROUNDUP(at, a * 8);
			m->bit_off = (u32)at;
			continue;
		}
		at = t->kind == DT_UNION ? 0 : place(m, at, size, a);
		m->bit_off = (u32)at;
		at += m->bit_size ? m->bit_size : size * 8;
		end = DT_MAX(end, at);
		if (*m->name || !m->bit_size)
			align = DT_MAX(align, a);
	}
	t->size = DT_ROUNDUP(DT_ROUNDUP(end, 8) / 8, align);
	t->align = (u16)align;
	t->complete = true;
}

static const struct dt_member *find_member(struct dt_type *t, const char *name, u64 *bit_off,
					   u32 *left, int deep)
{
	const struct dt_member *m, *found;
	u64 inner;
	u32 i;

	t = dt_type_resolve(t);
	if (!t || deep > ANONYMOUS_DEEP || (t->kind != DT_STRUCT && t->kind != DT_UNION))
		return NULL;
	for (i = 0; i < t->nmembers && *left; i++) {
		--*left;
		m = &t->members[i];
		if (*m->name && strcmp(m->name, name) == 0) {
			*bit_off = m->bit_off;
			return m;
		}
		if (*m->name || m->bit_size)
			continue;
		found = find_member(m->type, name, &inner, left, deep + 1);
		if (found) {
			*bit_off = m->bit_off + inner;
			return found;
		}
	}
	return NULL;
}

const struct dt_member *dt_type_member(struct dt_type *t, const char *name, u64 *bit_off)
{
	u32 left = SEARCH;

	return *name ? find_member(t, name, bit_off, &left, 0) : NULL;
}
