/* SPDX-License-Identifier: Apache-2.0 */
/*
 * btf.h - what the reader of BTF (btf.c) gives to the conversion into our types (convert.c).
 *
 * A blob is read where it lies; nothing in it is believed.  dt_btf_type() gives a checked view of
 * one type: its name is NUL terminated, its vlen items are all inside the blob.
 */
#ifndef DT_TYPES_BTF_H
#define DT_TYPES_BTF_H

#include "base/base.h"
#include "types/types.h"

/* Kinds beyond those of types.h. */
enum {
	DT_BTF_VOID = 0,
	DT_BTF_PTR = 2,
	DT_BTF_ARRAY = 3,
	DT_BTF_FWD = 7,
	DT_BTF_VOLATILE = 9,
	DT_BTF_CONST = 10,
	DT_BTF_RESTRICT = 11,
	DT_BTF_DATASEC = 15,
	DT_BTF_FLOAT = 16,
	DT_BTF_DECL_TAG = 17,
	DT_BTF_TYPE_TAG = 18,
	DT_BTF_ENUM64 = 19,
	DT_BTF_NKINDS = 20
};

struct dt_btf_view {
	int kind;
	bool kflag;
	u32 vlen;
	u32 size;           /* or the id of the type referred to */
	const char *name;   /* "" for none */
	const u8 *items;    /* what follows the header */
	struct dt_btf *btf; /* the blob that it is in: of a module's, perhaps the base */
};

bool dt_btf_type(struct dt_btf *b, u32 id, struct dt_btf_view *v);
u32 dt_btf_ntypes(struct dt_btf *b); /* ids are 1 ... ntypes, with the base's */
u32 dt_btf_word(const struct dt_btf_view *v, u32 item, u32 nwords, u32 word); /* of an item of nwords */
const char *dt_btf_str(const struct dt_btf *b, u32 off); /* "" when out of bounds */

/* The enum that has an enumerator of this name, and its item; 0: none. */
u32 dt_btf_find_enumerator(struct dt_btf *b, const char *name, u32 *item);
/* The value of an item of an ENUM or ENUM64. */
s64 dt_btf_enum_value(const struct dt_btf_view *v, u32 item);

/* The next type after id (0: the first) of a kind whose name begins with prefix; 0: none. */
u32 dt_btf_next(struct dt_btf *b, u32 id, int kind, const char *prefix);

/* The prototype of a FUNC, or of what a typedef or pointer leads to (proto.c).  False: it has none. */
#define DT_BTF_MAXPARAMS 16
struct dt_btf_proto {
	u32 id, ret; /* 0: void */
	u32 n;       /* parameters; the first DT_BTF_MAXPARAMS are in param[] */
	u32 param[DT_BTF_MAXPARAMS];
	bool varargs;
};
bool dt_btf_proto(struct dt_btf *b, u32 id, struct dt_btf_proto *out);
/* A type as C text, which dt_types_lookup() understands; *user: a pointer that is marked as one into a process.
 * NULL: out of memory.  The text is kept: the arena has to live as long as b is used. */
const char *dt_btf_text(struct dt_btf *b, u32 id, struct dt_arena *a, bool *user);

/* A slot per id for texts; NULL when out of memory or id is none. */
struct dt_btf_text {
	const char *text;
	bool user;
};
struct dt_btf_text *dt_btf_text_slot(struct dt_btf *b, u32 id);

/* A slot per id for whoever converts types; NULL when out of memory or id is none. */
struct dt_type **dt_btf_slot(struct dt_btf *b, u32 id);

/* "long unsigned int" and the like, words one blank apart; NULL: no base type (type.c). */
struct dt_type *dt_types_base(struct dt_types *ts, const char *name);

/* Load members or enumerators of a type that came from BTF (convert.c). */
void dt_btf_complete(struct dt_type *t);

#endif
