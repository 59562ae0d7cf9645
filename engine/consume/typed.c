/* SPDX-License-Identifier: Apache-2.0 */
/*
 * typed.c - what print() shows: a value as C would write it down, by its type.
 *
 *	(struct file *)0xffff888003a0c500 = {
 *		.f_mode = (fmode_t)29,
 *		.f_path = (struct path) {
 *			.dentry = (struct dentry *)0xffff888003c1a900,
 *		},
 *	}
 *
 * Members that are zero are left out.  The data are whatever memory held; the types are the kernel's or the
 * program's, whose layout need not fit the data, so each member is checked against what is there.
 */
#include <ctype.h>
#include <inttypes.h>
#include <string.h>

#include "consume/consume.h"

#define DEEPEST 10
#define PER_LINE 16 /* elements of an array of numbers */

struct show {
	dtrace_hdl_t *h;
	struct dt_str *out;
	int deep;
};

/* A value in memory: bits from p, of type t. */
struct value {
	const u8 *p;
	u32 size; /* bytes there are */
	struct dt_type *type;
	u32 bit_off, bit_size; /* a bit-field, from p; 0: none */
};

static void put_value(struct show *s, const struct value *v);

static void put_type(struct show *s, const struct dt_type *t)
{
	char text[512];

	dt_str_putc(s->out, '(');
	dt_str_puts(s->out, dt_type_str(t, text, sizeof(text)));
	dt_str_putc(s->out, ')');
}

static void put_indent(struct show *s)
{
	for (int i = 0; i < s->deep; i++)
		dt_str_putc(s->out, '\t');
}

/* ---- numbers ----------------------------------------------------------------------------------------------- */

static u64 sign_extend(u64 w, u32 bits)
{
	return bits && bits < 64 && w >> (bits - 1) & 1 ? w | UINT64_MAX << bits : w;
}

static u64 bits_of(const struct value *v)
{
	u64 w = 0;

	for (u32 i = 0; i < v->bit_size && i < 64; i++) {
		u32 at = v->bit_off + i;

		if (at / 8 < v->size)
			w |= (u64)(v->p[at / 8] >> at % 8 & 1) << i;
	}
	return w;
}

static u64 number_of(const struct value *v, const struct dt_type *t)
{
	u64 w = 0;
	u32 bits = v->bit_size ? v->bit_size : (u32)t->size * 8;

	if (v->bit_size)
		w = bits_of(v);
	else
		memcpy(&w, v->p, DT_MIN(DT_MIN(t->size, (u64)v->size), (u64)8));
	return t->is_signed ? sign_extend(w, bits) : w;
}

static void put_int(struct show *s, u64 w, const struct dt_type *t)
{
	if (t->is_bool)
		dt_str_puts(s->out, w ? "true" : "false");
	else if (t->is_signed)
		dt_put_s64(s->out, (s64)w);
	else
		dt_put_u64(s->out, w);
}

static void put_enum(struct show *s, u64 w, const struct dt_type *t)
{
	for (u32 i = 0; i < t->nmembers; i++)
		if ((u64)t->enumvals[i].val == w) {
			dt_str_puts(s->out, t->enumvals[i].name);
			return;
		}
	put_int(s, w, t);
}

static void put_float(struct show *s, const struct value *v, const struct dt_type *t)
{
	long double l = 0;
	double d;
	float f;

	if (t->size == sizeof(f) && v->size >= sizeof(f)) {
		memcpy(&f, v->p, sizeof(f));
		l = f;
	} else if (t->size == sizeof(d) && v->size >= sizeof(d)) {
		memcpy(&d, v->p, sizeof(d));
		l = d;
	} else if (v->size >= sizeof(l)) {
		memcpy(&l, v->p, sizeof(l));
	}
	dt_str_printf(s->out, "%Lg", l);
}

/* Functions of the kernel by name as well. */
static void put_pointer(struct show *s, u64 w, const struct dt_type *t)
{
	const struct dt_type *to = dt_type_resolve(t->ref);
	struct dt_ksym k;

	dt_str_printf(s->out, "0x%" PRIx64, w);
	if (!to || to->kind != DT_FUNC || !s->h->ksyms || dt_opt(s->h, DT_OPT_NORESOLVE))
		return;
	if (dt_ksyms_by_addr(s->h->ksyms, w, &k) == 0 && k.addr == w)
		dt_str_printf(s->out, " /* %s`%s */", k.mod, k.name);
}

/* ---- text -------------------------------------------------------------------------------------------------- */

static void put_char(struct show *s, u8 ch, char quote)
{
	static const char plain[] = "abfnrtv\\", meant[] = "\a\b\f\n\r\t\v\\";
	const char *p = ch ? strchr(meant, ch) : NULL;

	if (p)
		dt_str_printf(s->out, "\\%c", plain[p - meant]);
	else if (ch == (u8)quote)
		dt_str_printf(s->out, "\\%c", ch);
	else if (ch < 0x20 || ch > 0x7e)
		dt_str_printf(s->out, "\\%03o", ch);
	else
		dt_str_putc(s->out, (char)ch);
}

/* As far as the NUL; when there is something behind it, all of it. */
static void put_string(struct show *s, const u8 *p, u64 n, bool whole)
{
	u64 len = strnlen((const char *)p, n);

	if (whole)
		for (u64 i = len; i < n; i++)
			if (p[i])
				len = i + 1;
	dt_str_putc(s->out, '"');
	for (u64 i = 0; i < len; i++)
		put_char(s, p[i], '"');
	dt_str_putc(s->out, '"');
}

static bool is_char(const struct dt_type *t)
{
	t = dt_type_resolve((struct dt_type *)(uintptr_t)t);
	return t && t->kind == DT_INT && t->size == 1 && t->is_signed && !t->is_bool;
}

static void put_number(struct show *s, const struct value *v, const struct dt_type *t)
{
	u64 w = number_of(v, t);

	if (t->kind == DT_ENUM) {
		put_enum(s, w, t);
	} else if (t->kind == DT_POINTER) {
		put_pointer(s, w, t);
	} else if (is_char(t) && !v->bit_size && (u8)w >= 0x20 && (u8)w < 0x7f) {
		dt_str_putc(s->out, '\'');
		put_char(s, (u8)w, '\'');
		dt_str_putc(s->out, '\'');
	} else {
		put_int(s, w, t);
	}
}

/* ---- structures -------------------------------------------------------------------------------------------- */

static bool all_zero(const u8 *p, u64 n)
{
	for (u64 i = 0; i < n; i++)
		if (p[i])
			return false;
	return true;
}

/* The member's place; false: it lies outside of the data. */
static bool member_of(const struct value *v, const struct dt_member *m, struct value *out)
{
	u64 size = dt_type_size(dt_type_resolve(m->type)), at = m->bit_off / 8;
	u64 bits = m->bit_size ? m->bit_off % 8 + m->bit_size : size * 8;

	if (at + (bits + 7) / 8 > v->size)
		return false;
	*out = (struct value){ .p = v->p + at,
			       .size = (u32)((bits + 7) / 8),
			       .type = m->type,
			       .bit_off = m->bit_size ? m->bit_off % 8 : 0,
			       .bit_size = m->bit_size };
	return true;
}

static bool is_zero(const struct value *v)
{
	return v->bit_size ? bits_of(v) == 0 : all_zero(v->p, v->size);
}

/* Members of nameless structs and unions stand among the others, as C lets them. */
static void put_members(struct show *s, const struct value *v, const struct dt_type *t, int nameless)
{
	for (u32 i = 0; i < t->nmembers && nameless < DEEPEST; i++) {
		const struct dt_member *m = &t->members[i];
		struct value mv;

		if (!member_of(v, m, &mv) || is_zero(&mv))
			continue;
		if (!*m->name && dt_type_is_sou(m->type)) {
			put_members(s, &mv, dt_type_resolve(m->type), nameless + 1);
			continue;
		}
		put_indent(s);
		dt_str_printf(s->out, ".%s = ", m->name);
		put_value(s, &mv);
		dt_str_puts(s->out, ",\n");
	}
}

static void put_struct(struct show *s, const struct value *v, const struct dt_type *t)
{
	if (all_zero(v->p, v->size)) {
		dt_str_puts(s->out, "{ }");
		return;
	}
	if (s->deep >= DEEPEST) {
		dt_str_puts(s->out, "{ ... }");
		return;
	}
	dt_str_puts(s->out, "{\n");
	s->deep++;
	put_members(s, v, t, 0);
	s->deep--;
	put_indent(s);
	dt_str_putc(s->out, '}');
}

/* ---- arrays ------------------------------------------------------------------------------------------------ */

static struct value element_of(const struct value *v, struct dt_type *elem, u32 size, u64 i)
{
	return (struct value){ .p = v->p + i * size, .size = size, .type = elem };
}

/* Up to the last that is not zero. */
static u64 used_elements(const struct value *v, u32 size, u64 n)
{
	while (n && all_zero(v->p + (n - 1) * size, size))
		n--;
	return n;
}

static void put_numbers(struct show *s, const struct value *v, struct dt_type *elem, u32 size, u64 n)
{
	const struct dt_type *r = dt_type_resolve(elem);

	dt_str_putc(s->out, '{');
	for (u64 i = 0; i < n; i++) {
		struct value e = element_of(v, elem, size, i);

		if (i && i % PER_LINE == 0) {
			dt_str_putc(s->out, '\n');
			put_indent(s);
			dt_str_putc(s->out, '\t');
		} else {
			dt_str_putc(s->out, ' ');
		}
		if (r->kind == DT_FLOAT)
			put_float(s, &e, r);
		else
			put_number(s, &e, r);
		if (i + 1 < n)
			dt_str_putc(s->out, ',');
	}
	dt_str_puts(s->out, " }");
}

/* Those that are not zero, each on a line of its own. */
static void put_elements(struct show *s, const struct value *v, struct dt_type *elem, u32 size, u64 n)
{
	if (s->deep >= DEEPEST) {
		dt_str_puts(s->out, "{ ... }");
		return;
	}
	dt_str_puts(s->out, "{\n");
	s->deep++;
	for (u64 i = 0; i < n; i++) {
		struct value e = element_of(v, elem, size, i);

		if (all_zero(e.p, size))
			continue;
		put_indent(s);
		dt_str_printf(s->out, "[%" PRIu64 "] = ", i);
		put_value(s, &e);
		dt_str_puts(s->out, ",\n");
	}
	s->deep--;
	put_indent(s);
	dt_str_putc(s->out, '}');
}

static void put_array(struct show *s, const struct value *v, const struct dt_type *t)
{
	const struct dt_type *r = dt_type_resolve(t->ref);
	u64 size = r ? dt_type_size(r) : 0, n;

	if (!size || size > v->size) {
		dt_str_puts(s->out, "{ }");
		return;
	}
	n = used_elements(v, (u32)size, DT_MIN(t->nelems, v->size / size));
	if (is_char(r))
		put_string(s, v->p, n, true);
	else if (!n)
		dt_str_puts(s->out, "{ }");
	else if (dt_type_is_scalar(r) || r->kind == DT_FLOAT)
		put_numbers(s, v, t->ref, (u32)size, n);
	else
		put_elements(s, v, t->ref, (u32)size, n);
}

/* ---- any value --------------------------------------------------------------------------------------------- */

static void put_bare(struct show *s, const struct value *v)
{
	const struct dt_type *t = dt_type_resolve(v->type);

	switch (t->kind) {
	case DT_STRUCT:
	case DT_UNION: put_struct(s, v, t); break;
	case DT_ARRAY: put_array(s, v, t); break;
	case DT_STRING: put_string(s, v->p, v->size, false); break;
	case DT_FLOAT: put_float(s, v, t); break;
	case DT_INT:
	case DT_ENUM:
	case DT_POINTER: put_number(s, v, t); break;
	default: dt_str_puts(s->out, "?"); /* incomplete */
	}
}

static void put_value(struct show *s, const struct value *v)
{
	const struct dt_type *t = dt_type_resolve(v->type);

	put_type(s, v->type);
	if (t->kind == DT_STRUCT || t->kind == DT_UNION || t->kind == DT_ARRAY)
		dt_str_putc(s->out, ' ');
	put_bare(s, v);
}

/* A structure and where it was: the address is in front of it. */
static void put_pointee(struct show *s, const struct dt_item *it)
{
	struct value v = { .p = (const u8 *)it->p + 8,
			   .size = it->size - 8,
			   .type = (struct dt_type *)(uintptr_t)it->type };
	char text[512];

	dt_str_printf(s->out, "(%s *)0x%" PRIx64 " = ", dt_type_str(it->type, text, sizeof(text)),
		      dt_item_word(it, 0));
	put_bare(s, &v);
}

void dt_put_typed(dtrace_hdl_t *h, struct dt_str *out, const struct dt_item *it, bool pointee)
{
	struct show s = { .h = h, .out = out };
	struct value v = { .p = (const u8 *)it->p,
			   .size = it->size,
			   .type = (struct dt_type *)(uintptr_t)it->type };

	if (pointee && it->type && it->size >= 8) {
		put_pointee(&s, it);
	} else if (dt_item_is_text(it) && it->kind != DT_D_BYTES) {
		dt_str_puts(out, "(string)");
		put_string(&s, v.p, v.size, false);
	} else if (it->type && !dt_type_is_string(it->type)) {
		put_value(&s, &v);
	} else {
		dt_put_hexdump(out, it->p, it->size);
		return;
	}
	dt_str_putc(out, '\n');
}
