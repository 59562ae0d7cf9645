/* SPDX-License-Identifier: Apache-2.0 */
/* proto.c - prototypes of functions and tracepoints out of BTF, and their types as text. */
#include <string.h>

#include "types/btf.h"
#include "types/types.h"

#define DEEP 16

bool dt_btf_proto(struct dt_btf *b, u32 id, struct dt_btf_proto *out)
{
	struct dt_btf_view v;
	int deep;
	u32 i;

	for (deep = 0; deep < DEEP && dt_btf_type(b, id, &v); deep++, id = v.size)
		if (v.kind != DT_BTF_FUNC && v.kind != DT_BTF_TYPEDEF && v.kind != DT_BTF_PTR)
			break;
	if (deep == DEEP || !dt_btf_type(b, id, &v) || v.kind != DT_BTF_FUNC_PROTO)
		return false;
	*out = (struct dt_btf_proto){ .id = id, .ret = v.size, .n = v.vlen };
	if (v.vlen && !dt_btf_word(&v, v.vlen - 1, 2, 1)) { /* "..." */
		out->varargs = true;
		out->n--;
	}
	for (i = 0; i < out->n && i < DT_BTF_MAXPARAMS; i++)
		out->param[i] = dt_btf_word(&v, i, 2, 1);
	return true;
}

/* What is below the qualifiers. */
static u32 strip(struct dt_btf *b, u32 id, struct dt_btf_view *v, bool *is_const, bool *is_user)
{
	int deep;

	for (deep = 0; deep < DEEP && dt_btf_type(b, id, v); deep++, id = v->size) {
		if (v->kind == DT_BTF_CONST)
			*is_const = true;
		else if (v->kind == DT_BTF_TYPE_TAG)
			*is_user |= strcmp(v->name, "user") == 0;
		else if (v->kind != DT_BTF_VOLATILE && v->kind != DT_BTF_RESTRICT)
			break;
	}
	return id;
}

static const char *word_of(int kind, const struct dt_btf_view *v)
{
	switch (kind) {
	case DT_BTF_STRUCT: return "struct ";
	case DT_BTF_UNION: return "union ";
	case DT_BTF_ENUM:
	case DT_BTF_ENUM64: return "enum ";
	case DT_BTF_FWD: return v->kflag ? "union " : "struct ";
	case DT_BTF_INT:
	case DT_BTF_FLOAT:
	case DT_BTF_TYPEDEF: return "";
	default: return NULL;
	}
}

/* Pointers to what has no name are shown as pointers to void, and other things without a name as numbers. */
static const char *make_text(struct dt_btf *b, u32 id, struct dt_arena *a, bool *user)
{
	static const char stars[DEEP + 1] = "****************";
	bool is_const = false, is_user = false;
	struct dt_btf_view v = { 0 };
	int ptrs = 0;

	id = strip(b, id, &v, &is_const, &is_user);
	for (; id && v.kind == DT_BTF_PTR && ptrs < DEEP; ptrs++) {
		u32 to = v.size;

		is_const = false;
		memset(&v, 0, sizeof(v));
		id = strip(b, to, &v, &is_const, &is_user);
	}
	*user = is_user && ptrs;
	const char *word = id ? word_of(v.kind, &v) : NULL;

	if (!id || (ptrs && (!word || !*v.name)))
		return ptrs ? dt_arena_printf(a, "%svoid %.*s", is_const ? "const " : "", ptrs,
					      stars) :
			      "void";
	if (!word || !*v.name)
		return "uint64_t";
	return dt_arena_printf(a, "%s%s%s%s%.*s", is_const && ptrs ? "const " : "", word, v.name,
			       ptrs ? " " : "", ptrs, stars);
}

/* Many functions have arguments of few types. */
const char *dt_btf_text(struct dt_btf *b, u32 id, struct dt_arena *a, bool *user)
{
	struct dt_btf_text *known = dt_btf_text_slot(b, id);

	if (!known)
		return make_text(b, id, a, user);
	if (!known->text)
		known->text = make_text(b, id, a, &known->user);
	*user = known->user;
	return known->text;
}
