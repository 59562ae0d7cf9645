/* SPDX-License-Identifier: Apache-2.0 */
/*
 * typestr.c - types as D and C write them.  A declarator wraps around its (absent) name, so the
 * text has a left part, written on the way in, and a right part, written on the way out.
 */
#include <string.h>

#include "types/types.h"

#define NESTING 32

struct out {
	char *buf;
	size_t size, len;
};

static void put(struct out *o, const char *s)
{
	size_t n = strlen(s), room = o->size - o->len - 1;

	n = DT_MIN(n, room);
	memcpy(o->buf + o->len, s, n);
	o->len += n;
	o->buf[o->len] = '\0';
}

static bool wraps(const struct dt_type *t)
{
	return t && (t->kind == DT_ARRAY || t->kind == DT_FUNC);
}

static const char *tag_word(const struct dt_type *t)
{
	switch (t->kind) {
	case DT_STRUCT: return "struct ";
	case DT_UNION: return "union ";
	case DT_ENUM: return "enum ";
	case DT_FWD: return t->is_enum_fwd ? "enum " : t->is_union_fwd ? "union " : "struct ";
	default: return "";
	}
}

static void left(struct out *o, const struct dt_type *t, int deep)
{
	if (!t) {
		put(o, "void");
		return;
	}
	if (deep > NESTING || o->len + 1 == o->size) {
		put(o, "...");
		return;
	}
	switch (t->kind) {
	case DT_POINTER:
		left(o, t->ref, deep + 1);
		put(o, o->len && o->buf[o->len - 1] == '*' ? "" : " ");
		put(o, wraps(t->ref) ? "(*" : "*");
		put(o, t->is_const ? " const" : "");
		break;
	case DT_ARRAY:
	case DT_FUNC: left(o, t->ref, deep + 1); break;
	default:
		put(o, t->is_const ? "const " : "");
		put(o, tag_word(t));
		put(o, t->name ? t->name : "(anonymous)");
	}
}

static void both(struct out *o, const struct dt_type *t, int deep);

static void params(struct out *o, const struct dt_type *t, int deep)
{
	u32 i;

	put(o, "(");
	for (i = 0; i < t->nparams && o->len + 1 < o->size; i++) {
		put(o, i ? ", " : "");
		both(o, t->params[i], deep + 1);
	}
	if (t->varargs)
		put(o, t->nparams ? ", ..." : "...");
	else if (!t->nparams)
		put(o, "void");
	put(o, ")");
}

static void right(struct out *o, const struct dt_type *t, int deep)
{
	char dim[32];

	if (!t || deep > NESTING || o->len + 1 == o->size)
		return;
	switch (t->kind) {
	case DT_POINTER: put(o, wraps(t->ref) ? ")" : ""); break;
	case DT_ARRAY:
		snprintf(dim, sizeof(dim), "%s[%llu]",
			 o->len && strchr("*)]", o->buf[o->len - 1]) ? "" : " ",
			 (unsigned long long)t->nelems);
		put(o, dim);
		break;
	case DT_FUNC:
		put(o, o->len && o->buf[o->len - 1] == ')' ? "" : " ");
		params(o, t, deep);
		break;
	default: return;
	}
	right(o, t->ref, deep + 1);
}

static void both(struct out *o, const struct dt_type *t, int deep)
{
	left(o, t, deep);
	right(o, t, deep);
}

const char *dt_type_str(const struct dt_type *t, char *buf, size_t size)
{
	struct out o = { buf, size, 0 };

	if (size) {
		buf[0] = '\0';
		both(&o, t, 0);
	}
	return buf;
}
