/* SPDX-License-Identifier: Apache-2.0 */
/*
 * convert.c - BTF types as our types, no more of them than somebody looks at.
 *
 * Structs, unions and enums come as shells: name and size, no members.  dt_type_resolve() of a
 * shell loads its members, whose structs are shells again.  Everything between shells (pointers,
 * arrays, typedefs, prototypes) is converted at once, which ends, since well-formed C types are
 * cyclic through structs only; a malformed cycle, and whatever else makes no sense, becomes void.
 */
#include <string.h>

#include "types/btf.h"
#include "types/types.h"

#define DEEP 64

static struct dt_type *convert(struct dt_types *ts, struct dt_btf *b, u32 id, int deep);

/* A type that another one mentions: never NULL. */
static struct dt_type *mentioned(struct dt_types *ts, struct dt_btf *b, u32 id, int deep)
{
	struct dt_type *t = id ? convert(ts, b, id, deep + 1) : NULL;

	return t ? t : ts->basic[DT_T_VOID];
}

static struct dt_type *blank(struct dt_types *ts, enum dt_kind kind, u32 id,
			     const struct dt_btf_view *v)
{
	struct dt_type *t = dt_arena_new(&ts->arena, struct dt_type);

	if (!t)
		return NULL;
	t->kind = kind;
	t->owner = ts;
	t->btf = v->btf;
	t->btf_id = id;
	t->name = *v->name ? v->name : NULL; /* the blob lives as long as the types do */
	return t;
}

/* ---- leaves ---------------------------------------------------------------------------------- */

#define INT_SIGNED 1
#define INT_BOOL 4

static u32 int_bits(const struct dt_btf_view *v)
{
	return dt_btf_word(v, 0, 1, 0) & 0xff;
}

static u32 int_bit_off(const struct dt_btf_view *v)
{
	return dt_btf_word(v, 0, 1, 0) >> 16 & 0xff;
}

/* Compilers have names of their own for the base types: "long unsigned int".  char is D's, which is
 * signed, though the kernel is built with an unsigned one. */
static struct dt_type *base_type(struct dt_types *ts, const struct dt_btf_view *v, bool is_signed)
{
	struct dt_type *t = dt_types_base(ts, v->name);

	if (!t || t->kind != DT_INT || t->size != v->size)
		return NULL;
	return t->is_signed == is_signed || t == ts->basic[DT_T_CHAR] ? t : NULL;
}

static struct dt_type *conv_int(struct dt_types *ts, u32 id, const struct dt_btf_view *v, int deep)
{
	u32 encoding = dt_btf_word(v, 0, 1, 0) >> 24 & 0xf;
	bool is_signed = encoding & INT_SIGNED;
	struct dt_type *t;

	if (v->size == 16) { /* __int128: bytes to look at, no number to count with */
		t = blank(ts, DT_TYPEDEF, id, v);
		if (!t)
			return NULL;
		t->ref = dt_type_array(ts, dt_type_int(ts, 8, is_signed), 2);
		t->size = 16;
		t->complete = true;
		return t->ref ? t : NULL;
	}
	if (v->size != 1 && v->size != 2 && v->size != 4 && v->size != 8)
		return NULL;
	t = *v->name && !(encoding & INT_BOOL) ? base_type(ts, v, is_signed) : NULL;
	if (t)
		return t;
	if (encoding & INT_BOOL && v->size == 1)
		return ts->basic[DT_T_BOOL];
	t = blank(ts, DT_INT, id, v);
	if (!t)
		return NULL;
	t->size = v->size;
	t->is_signed = is_signed;
	t->is_bool = encoding & INT_BOOL;
	t->complete = true;
	if (!t->name)
		t->name = dt_type_int(ts, v->size, is_signed)->name;
	return t;
}

static struct dt_type *conv_float(struct dt_types *ts, u32 id, const struct dt_btf_view *v, int deep)
{
	switch (v->size) {
	case 4: return ts->basic[DT_T_FLOAT];
	case 8: return ts->basic[DT_T_DOUBLE];
	case 16: return ts->basic[DT_T_LDOUBLE];
	default: return NULL;
	}
}

static struct dt_type *conv_shell(struct dt_types *ts, u32 id, const struct dt_btf_view *v, int deep)
{
	struct dt_type *t = blank(ts, v->kind == DT_BTF_UNION ? DT_UNION : DT_STRUCT, id, v);

	if (t)
		t->size = v->size;
	return t;
}

static struct dt_type *conv_enum(struct dt_types *ts, u32 id, const struct dt_btf_view *v, int deep)
{
	struct dt_type *t;

	if (v->size != 1 && v->size != 2 && v->size != 4 && v->size != 8)
		return NULL;
	t = blank(ts, DT_ENUM, id, v);
	if (!t)
		return NULL;
	t->size = v->size;
	t->is_signed = v->kflag;
	return t;
}

static struct dt_type *conv_fwd(struct dt_types *ts, u32 id, const struct dt_btf_view *v, int deep)
{
	struct dt_type *t = blank(ts, DT_FWD, id, v);

	if (t)
		t->is_union_fwd = v->kflag;
	return t;
}

/* ---- types made of types --------------------------------------------------------------------- */

static struct dt_type *conv_ptr(struct dt_types *ts, u32 id, const struct dt_btf_view *v, int deep)
{
	return dt_type_pointer(ts, mentioned(ts, v->btf, v->size, deep));
}

static struct dt_type *conv_array(struct dt_types *ts, u32 id, const struct dt_btf_view *v, int deep)
{
	return dt_type_array(ts, mentioned(ts, v->btf, dt_btf_word(v, 0, 3, 0), deep),
			     dt_btf_word(v, 0, 3, 2));
}

static struct dt_type *conv_typedef(struct dt_types *ts, u32 id, const struct dt_btf_view *v, int deep)
{
	struct dt_type *t = blank(ts, DT_TYPEDEF, id, v);

	if (!t)
		return NULL;
	t->ref = mentioned(ts, v->btf, v->size, deep);
	t->size = t->ref->size;
	t->complete = true;
	return t;
}

/* volatile, restrict, type tags: not seen by D */
static struct dt_type *conv_through(struct dt_types *ts, u32 id, const struct dt_btf_view *v, int deep)
{
	return mentioned(ts, v->btf, v->size, deep);
}

/* const matters to nothing but the text of the type; it is kept where a copy does not split a lazy
 * type. */
static struct dt_type *conv_const(struct dt_types *ts, u32 id, const struct dt_btf_view *v, int deep)
{
	struct dt_type *t = mentioned(ts, v->btf, v->size, deep), *copy;

	if (t->kind != DT_INT && t->kind != DT_POINTER)
		return t;
	copy = dt_arena_new(&ts->arena, struct dt_type);
	if (!copy)
		return t;
	*copy = *t;
	copy->is_const = true;
	copy->ptr_to = NULL;
	return copy;
}

static struct dt_type *conv_proto(struct dt_types *ts, u32 id, const struct dt_btf_view *v, int deep)
{
	struct dt_type *t = blank(ts, DT_FUNC, id, v);
	u32 i, n = v->vlen;

	if (!t)
		return NULL;
	t->complete = true;
	t->ref = mentioned(ts, v->btf, v->size, deep);
	if (n && !dt_btf_word(v, n - 1, 2, 1)) {
		t->varargs = true;
		n--;
	}
	t->params = n ? dt_arena_alloc(&ts->arena, n * sizeof(struct dt_type *)) : NULL;
	if (n && !t->params)
		return NULL;
	for (i = 0; i < n; i++)
		t->params[i] = mentioned(ts, v->btf, dt_btf_word(v, i, 2, 1), deep);
	t->nparams = n;
	return t;
}

/* ---- one type -------------------------------------------------------------------------------- */

static struct dt_type *(*const converters[DT_BTF_NKINDS])(struct dt_types *, u32,
							  const struct dt_btf_view *, int) = {
	[DT_BTF_INT] = conv_int,          [DT_BTF_PTR] = conv_ptr,
	[DT_BTF_ARRAY] = conv_array,      [DT_BTF_STRUCT] = conv_shell,
	[DT_BTF_UNION] = conv_shell,      [DT_BTF_ENUM] = conv_enum,
	[DT_BTF_ENUM64] = conv_enum,      [DT_BTF_FWD] = conv_fwd,
	[DT_BTF_TYPEDEF] = conv_typedef,  [DT_BTF_VOLATILE] = conv_through,
	[DT_BTF_CONST] = conv_const,      [DT_BTF_RESTRICT] = conv_through,
	[DT_BTF_FUNC] = conv_through,     [DT_BTF_FUNC_PROTO] = conv_proto,
	[DT_BTF_VAR] = conv_through,      [DT_BTF_FLOAT] = conv_float,
	[DT_BTF_TYPE_TAG] = conv_through,
};

static struct dt_type *convert(struct dt_types *ts, struct dt_btf *b, u32 id, int deep)
{
	struct dt_type **slot = dt_btf_slot(b, id), *t;
	struct dt_btf_view v;

	if (!slot || deep > DEEP || !dt_btf_type(b, id, &v))
		return NULL;
	if (*slot)
		return *slot;
	if (!converters[v.kind])
		return NULL;
	*slot = ts->basic[DT_T_VOID]; /* what a cycle finds */
	t = converters[v.kind](ts, id, &v, deep);
	*slot = t;
	return t;
}

struct dt_type *dt_types_from(struct dt_types *ts, struct dt_btf *b, u32 id)
{
	jmp_buf *oom = ts->arena.oom;
	struct dt_type *t;

	ts->arena.oom = NULL; /* half a conversion must not stay behind */
	t = convert(ts, b, id, 0);
	ts->arena.oom = oom;
	return t;
}

struct dt_type *dt_types_from_btf(struct dt_types *ts, u32 btf_id)
{
	return dt_types_btf(ts) ? dt_types_from(ts, ts->btf, btf_id) : NULL;
}

/* ---- members --------------------------------------------------------------------------------- */

/* A bit-field the old way: the width is the integer type's. */
static void old_bitfield(struct dt_btf *b, u32 id, struct dt_member *m)
{
	struct dt_btf_view v;
	int deep;

	for (deep = 0; dt_btf_type(b, id, &v) && deep < DEEP; deep++) {
		if (v.kind == DT_BTF_INT) {
			if (int_bits(&v) == v.size * 8 && !int_bit_off(&v))
				return;
			m->bit_size = (u16)int_bits(&v);
			m->bit_off += int_bit_off(&v);
			return;
		}
		if (v.kind != DT_BTF_TYPEDEF && v.kind != DT_BTF_CONST && v.kind != DT_BTF_VOLATILE)
			return;
		id = v.size;
	}
}

/* A bit-field wider than its type or spread over more than eight bytes, or of a type that has no
 * bits, is none that can be read. */
static void check_bitfield(struct dt_types *ts, struct dt_member *m)
{
	if (!m->bit_size || (dt_type_is_int(m->type) && m->bit_size <= dt_type_size(m->type) * 8 &&
			     m->bit_off % 8 + m->bit_size <= 64))
		return;
	m->bit_size = 0;
	m->type = ts->basic[DT_T_VOID];
}

static void load_members(struct dt_type *t, const struct dt_btf_view *v)
{
	struct dt_types *ts = t->owner;
	struct dt_member *m;
	u32 i, off, id;

	t->members = v->vlen ? dt_arena_alloc(&ts->arena, v->vlen * sizeof(*t->members)) : NULL;
	if (!t->members)
		return;
	for (i = 0; i < v->vlen; i++) {
		m = &t->members[i];
		m->name = dt_btf_str(v->btf, dt_btf_word(v, i, 3, 0));
		id = dt_btf_word(v, i, 3, 1);
		off = dt_btf_word(v, i, 3, 2);
		m->bit_off = v->kflag ? off & 0xffffff : off;
		m->bit_size = v->kflag ? off >> 24 : 0;
		m->type = mentioned(ts, v->btf, id, 0);
		if (!v->kflag)
			old_bitfield(v->btf, id, m);
		check_bitfield(ts, m);
	}
	t->nmembers = v->vlen;
}

static void load_enumerators(struct dt_type *t, const struct dt_btf_view *v)
{
	u32 i, words = v->kind == DT_BTF_ENUM ? 2 : 3;
	struct dt_types *ts = t->owner;

	t->enumvals = v->vlen ? dt_arena_alloc(&ts->arena, v->vlen * sizeof(*t->enumvals)) : NULL;
	if (!t->enumvals)
		return;
	for (i = 0; i < v->vlen; i++) {
		t->enumvals[i].name = dt_btf_str(v->btf, dt_btf_word(v, i, words, 0));
		t->enumvals[i].val = dt_btf_enum_value(v, i);
	}
	t->nmembers = v->vlen;
}

void dt_btf_complete(struct dt_type *t)
{
	struct dt_types *ts = t->owner;
	jmp_buf *oom = ts->arena.oom;
	struct dt_btf_view v;

	if (!t->btf || !dt_btf_type(t->btf, t->btf_id, &v))
		return;
	ts->arena.oom = NULL;
	t->complete = true;
	if (t->kind == DT_STRUCT || t->kind == DT_UNION)
		load_members(t, &v);
	else if (t->kind == DT_ENUM)
		load_enumerators(t, &v);
	ts->arena.oom = oom;
}
