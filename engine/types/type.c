/* SPDX-License-Identifier: Apache-2.0 */
/*
 * type.c - the type graph: making types, D's fixed types, finding types by name, telling them
 * apart.
 */
#include <stdlib.h>
#include <string.h>

#include "types/btf.h"
#include "types/types.h"

#define TYPEDEFS_DEEP 64 /* more than that in a row is a cycle, or meant to look like one */
#define COMPARISONS 1000

/* ---- making types ---------------------------------------------------------------------------- */

struct dt_type *dt_type_new(struct dt_types *ts, enum dt_kind kind, const char *name)
{
	struct dt_type *t = dt_arena_new(&ts->arena, struct dt_type);

	if (!t)
		return NULL;
	t->kind = kind;
	t->owner = ts;
	if (name) {
		t->name = dt_arena_strdup(&ts->arena, name);
		if (!t->name)
			return NULL;
	}
	return t;
}

struct dt_type *dt_type_pointer(struct dt_types *ts, struct dt_type *to)
{
	struct dt_type *t;

	if (to->ptr_to)
		return to->ptr_to;
	t = dt_type_new(ts, DT_POINTER, NULL);
	if (!t)
		return NULL;
	t->ref = to;
	t->size = 8;
	t->complete = true;
	to->ptr_to = t;
	return t;
}

struct dt_type *dt_type_array(struct dt_types *ts, struct dt_type *elem, u64 nelems)
{
	struct dt_type *t = dt_type_new(ts, DT_ARRAY, NULL);

	if (!t)
		return NULL;
	t->ref = elem;
	t->nelems = nelems;
	t->complete = true;
	if (__builtin_mul_overflow(nelems, dt_type_size(elem), &t->size))
		t->size = 0;
	return t;
}

struct dt_type *dt_type_int(struct dt_types *ts, u64 size, bool is_signed)
{
	static const u8 by_size[][2] = {
		[1] = { DT_T_UCHAR, DT_T_CHAR },
		[2] = { DT_T_USHORT, DT_T_SHORT },
		[4] = { DT_T_UINT, DT_T_INT },
		[8] = { DT_T_ULONG, DT_T_LONG },
	};

	if (size >= DT_NELEM(by_size) || !by_size[size][is_signed])
		return ts->basic[is_signed ? DT_T_LONG : DT_T_ULONG];
	return ts->basic[by_size[size][is_signed]];
}

/* ---- D's fixed types ------------------------------------------------------------------------- */

static const struct {
	enum dt_basic id;
	enum dt_kind kind;
	const char *name;
	u8 size;
	bool is_signed;
} base_types[] = {
	{ DT_T_VOID, DT_VOID, "void", 0, false },
	{ DT_T_CHAR, DT_INT, "char", 1, true },
	{ DT_T_SCHAR, DT_INT, "signed char", 1, true },
	{ DT_T_UCHAR, DT_INT, "unsigned char", 1, false },
	{ DT_T_SHORT, DT_INT, "short", 2, true },
	{ DT_T_USHORT, DT_INT, "unsigned short", 2, false },
	{ DT_T_INT, DT_INT, "int", 4, true },
	{ DT_T_UINT, DT_INT, "unsigned int", 4, false },
	{ DT_T_LONG, DT_INT, "long", 8, true },
	{ DT_T_ULONG, DT_INT, "unsigned long", 8, false },
	{ DT_T_LLONG, DT_INT, "long long", 8, true },
	{ DT_T_ULLONG, DT_INT, "unsigned long long", 8, false },
	{ DT_T_BOOL, DT_INT, "_Bool", 1, false },
	{ DT_T_FLOAT, DT_FLOAT, "float", 4, true },
	{ DT_T_DOUBLE, DT_FLOAT, "double", 8, true },
	{ DT_T_LDOUBLE, DT_FLOAT, "long double", 16, true },
	{ DT_T_STRING, DT_STRING, "string", 0, false },
	{ DT_T_STACK, DT_STACK, "stack", 0, false },
	{ DT_T_SYMADDR, DT_SYMADDR, "_symaddr", 8, false },
	{ DT_T_USYMADDR, DT_USYMADDR, "_usymaddr", 16, false },
	{ DT_T_DYN, DT_DYN, "<DYN>", 0, false },
	{ DT_T_POISON, DT_POISON, "<error>", 0, false },
};

/* Sizes as Linux has them where the systems that DTrace comes from differ. */
static const struct {
	enum dt_basic id;
	const char *name;
	enum dt_basic means;
} fixed_typedefs[] = {
	{ DT_T_INT8, "int8_t", DT_T_CHAR },
	{ DT_T_INT16, "int16_t", DT_T_SHORT },
	{ DT_T_INT32, "int32_t", DT_T_INT },
	{ DT_T_INT64, "int64_t", DT_T_LONG },
	{ DT_T_UINT8, "uint8_t", DT_T_UCHAR },
	{ DT_T_UINT16, "uint16_t", DT_T_USHORT },
	{ DT_T_UINT32, "uint32_t", DT_T_UINT },
	{ DT_T_UINT64, "uint64_t", DT_T_ULONG },
	{ DT_T_INTPTR, "intptr_t", DT_T_LONG },
	{ DT_T_UINTPTR, "uintptr_t", DT_T_ULONG },
	{ DT_T_SIZE, "size_t", DT_T_ULONG },
	{ DT_T_SSIZE, "ssize_t", DT_T_LONG },
	{ DT_T_PTRDIFF, "ptrdiff_t", DT_T_LONG },
	{ DT_T_UCHAR_T, "uchar_t", DT_T_UCHAR },
	{ DT_T_USHORT_T, "ushort_t", DT_T_USHORT },
	{ DT_T_UINT_T, "uint_t", DT_T_UINT },
	{ DT_T_ULONG_T, "ulong_t", DT_T_ULONG },
	{ DT_T_ULONGLONG_T, "u_longlong_t", DT_T_ULLONG },
	{ DT_T_ID, "id_t", DT_T_UINT },
	{ DT_T_PID, "pid_t", DT_T_INT },
	{ DT_T_UID, "uid_t", DT_T_UINT },
	{ DT_T_GID, "gid_t", DT_T_UINT },
};

static int make_base_types(struct dt_types *ts)
{
	struct dt_type *t;
	size_t i;

	for (i = 0; i < DT_NELEM(base_types); i++) {
		t = dt_type_new(ts, base_types[i].kind, base_types[i].name);
		if (!t)
			return -1;
		t->size = base_types[i].size;
		t->is_signed = base_types[i].is_signed;
		t->is_bool = base_types[i].id == DT_T_BOOL;
		t->complete = true;
		ts->basic[base_types[i].id] = t;
	}
	return 0;
}

static int make_typedefs(struct dt_types *ts)
{
	struct dt_type *t;
	size_t i;

	for (i = 0; i < DT_NELEM(fixed_typedefs); i++) {
		t = dt_type_new(ts, DT_TYPEDEF, fixed_typedefs[i].name);
		if (!t)
			return -1;
		t->ref = ts->basic[fixed_typedefs[i].means];
		t->size = t->ref->size;
		t->complete = true;
		ts->basic[fixed_typedefs[i].id] = t;
		if (dt_htab_put(&ts->typedefs, t->name, t))
			return -1;
	}
	return dt_htab_put(&ts->typedefs, "string", ts->basic[DT_T_STRING]);
}

int dt_types_init(struct dt_types *ts, const char *btf_path)
{
	memset(ts, 0, sizeof(*ts));
	dt_arena_init(&ts->arena);
	if (btf_path) {
		ts->btf_path = dt_arena_strdup(&ts->arena, btf_path);
		if (!ts->btf_path)
			goto fail;
	}
	if (make_base_types(ts) || make_typedefs(ts))
		goto fail;
	return 0;
fail:
	dt_types_fini(ts);
	return -1;
}

void dt_types_fini(struct dt_types *ts)
{
	u32 i;

	dt_htab_fini(&ts->tags);
	dt_htab_fini(&ts->typedefs);
	dt_htab_fini(&ts->enumerators);
	for (i = 0; i < ts->modules.n; i++)
		dt_btf_close(ts->modules.v[i].btf);
	dt_btf_close(ts->btf);
	dt_arena_fini(&ts->arena);
	memset(ts, 0, sizeof(*ts));
}

/* ---- declarations of D programs -------------------------------------------------------------- */

static void no_memory(struct dt_types *ts)
{
	if (ts->arena.oom)
		longjmp(*ts->arena.oom, 1);
}

static void add_name(struct dt_types *ts, struct dt_htab *tab, const char *name, void *val)
{
	char *key = dt_arena_strdup(&ts->arena, name);

	if (!key || dt_htab_put(tab, key, val))
		no_memory(ts);
}

void dt_types_add_tag(struct dt_types *ts, const char *tagged_name, struct dt_type *t)
{
	add_name(ts, &ts->tags, tagged_name, t);
}

void dt_types_add_typedef(struct dt_types *ts, const char *name, struct dt_type *t)
{
	add_name(ts, &ts->typedefs, name, t);
}

void dt_types_add_enumerator(struct dt_types *ts, const char *name, s64 val, struct dt_type *t)
{
	struct dt_enumconst *c = dt_arena_new(&ts->arena, struct dt_enumconst);

	if (!c)
		return;
	c->val = val;
	c->type = t;
	add_name(ts, &ts->enumerators, name, c);
}

/* ---- finding by name ------------------------------------------------------------------------- */

struct dt_btf *dt_types_btf(struct dt_types *ts)
{
	if (!ts->btf && !ts->btf_failed && ts->btf_path) {
		ts->btf = dt_btf_open(ts->btf_path, NULL);
		ts->btf_failed = !ts->btf;
	}
	return ts->btf;
}

static struct dt_type *find_in(struct dt_types *ts, struct dt_btf *b, const char *name, int kind)
{
	u32 id = b ? dt_btf_find(b, name, kind) : 0;

	return id ? dt_types_from(ts, b, id) : NULL;
}

static struct dt_type *find_btf(struct dt_types *ts, const char *name, int kind)
{
	return find_in(ts, dt_types_btf(ts), name, kind);
}

static const struct {
	const char *word;
	size_t len;
	int btf_kind;
} tag_words[] = {
	{ "struct ", 7, DT_BTF_STRUCT },
	{ "union ", 6, DT_BTF_UNION },
	{ "enum ", 5, DT_BTF_ENUM },
};

/* The base types' words in any order: each word counts in its own byte of a sum, and the sum names
 * the type. */
static const struct {
	const char *word;
	u32 weight;
} base_words[] = {
	{ "void", 0x1 },           { "char", 0x2 },          { "short", 0x10 },
	{ "int", 0x100 },          { "long", 0x1000 },       { "signed", 0x10000 },
	{ "__signed__", 0x10000 }, { "unsigned", 0x100000 }, { "_Bool", 0x4 },
	{ "float", 0x1000000 },    { "double", 0x2000000 },
};

static const struct {
	u32 sum;
	enum dt_basic id;
} base_sums[] = {
	{ 0x1, DT_T_VOID },          { 0x2, DT_T_CHAR },        { 0x10002, DT_T_SCHAR },
	{ 0x100002, DT_T_UCHAR },    { 0x4, DT_T_BOOL },        { 0x10, DT_T_SHORT },
	{ 0x110, DT_T_SHORT },       { 0x10010, DT_T_SHORT },   { 0x10110, DT_T_SHORT },
	{ 0x100010, DT_T_USHORT },   { 0x100110, DT_T_USHORT }, { 0x100, DT_T_INT },
	{ 0x10000, DT_T_INT },       { 0x10100, DT_T_INT },     { 0x100000, DT_T_UINT },
	{ 0x100100, DT_T_UINT },     { 0x1000, DT_T_LONG },     { 0x1100, DT_T_LONG },
	{ 0x11000, DT_T_LONG },      { 0x11100, DT_T_LONG },    { 0x101000, DT_T_ULONG },
	{ 0x101100, DT_T_ULONG },    { 0x2000, DT_T_LLONG },    { 0x2100, DT_T_LLONG },
	{ 0x12000, DT_T_LLONG },     { 0x12100, DT_T_LLONG },   { 0x102000, DT_T_ULLONG },
	{ 0x102100, DT_T_ULLONG },   { 0x1000000, DT_T_FLOAT }, { 0x2000000, DT_T_DOUBLE },
	{ 0x2001000, DT_T_LDOUBLE },
};

static u32 word_weight(const char *word, size_t len)
{
	size_t i;

	for (i = 0; i < DT_NELEM(base_words); i++)
		if (strlen(base_words[i].word) == len && memcmp(base_words[i].word, word, len) == 0)
			return base_words[i].weight;
	return 0;
}

struct dt_type *dt_types_base(struct dt_types *ts, const char *name)
{
	u32 sum = 0, words = 0, weight;
	size_t len, i;

	for (; *name; name += len + (name[len] == ' ')) {
		len = strcspn(name, " ");
		weight = word_weight(name, len);
		if (!weight || ++words > 4)
			return NULL;
		sum += weight;
	}
	for (i = 0; i < DT_NELEM(base_sums); i++)
		if (base_sums[i].sum == sum)
			return ts->basic[base_sums[i].id];
	return NULL;
}

/* A name without qualifiers and stars, words one blank apart. */
static struct dt_type *find_name(struct dt_types *ts, const char *name)
{
	struct dt_type *t, *kernel;
	size_t i;

	for (i = 0; i < DT_NELEM(tag_words); i++) {
		if (strncmp(name, tag_words[i].word, tag_words[i].len) != 0)
			continue;
		t = dt_htab_get(&ts->tags, name);
		if (t && t->kind != DT_FWD)
			return t;
		kernel = find_btf(ts, name + tag_words[i].len, tag_words[i].btf_kind);
		return kernel ? kernel : t;
	}
	t = dt_htab_get(&ts->typedefs, name);
	if (!t)
		t = dt_types_base(ts, name);
	return t ? t : find_btf(ts, name, DT_BTF_TYPEDEF);
}

static bool is_word_char(char c)
{
	return c && !strchr(" \t\r\n*", c);
}

static bool is_qualifier(const char *word, size_t len)
{
	static const char *const words[] = { "const", "volatile", "restrict", "userland" };
	size_t i;

	for (i = 0; i < DT_NELEM(words); i++)
		if (strlen(words[i]) == len && memcmp(words[i], word, len) == 0)
			return true;
	return false;
}

/* vmlinux`struct page, struct vmlinux`page: the kernel is the only module whose types we have. */
static bool strip_module(const char **word, size_t *len)
{
	static const char kernel[] = "vmlinux`";
	const size_t n = sizeof(kernel) - 1;

	if (*len >= n && memcmp(*word, kernel, n) == 0) {
		*word += n;
		*len -= n;
	}
	return !memchr(*word, '`', *len);
}

/* Split text into the name, put into words with one blank in between, and the number of stars. */
static bool normalise(const char *text, struct dt_str *words, u32 *stars)
{
	const char *word;
	size_t len;

	for (*stars = 0; *text; text++) {
		if (*text == '*')
			++*stars;
		if (!is_word_char(*text))
			continue;
		for (word = text, len = 0; is_word_char(word[len]); len++)
			;
		text += len - 1;
		if (is_qualifier(word, len))
			continue;
		if (*stars || !strip_module(&word, &len))
			return false;
		if (words->len && len)
			dt_str_putc(words, ' ');
		dt_str_putn(words, word, len);
	}
	return !words->failed && words->len > 0;
}

struct dt_type *dt_types_lookup(struct dt_types *ts, const char *name)
{
	struct dt_type *t = NULL;
	struct dt_str words = { 0 };
	jmp_buf *oom = ts->arena.oom;
	u32 stars;

	ts->arena.oom = NULL; /* words has to be freed first */
	if (normalise(name, &words, &stars))
		for (t = find_name(ts, words.s); t && stars; stars--)
			t = dt_type_pointer(ts, t);
	dt_str_fini(&words);
	ts->arena.oom = oom;
	return t;
}

bool dt_types_enumerator(struct dt_types *ts, const char *name, s64 *val, struct dt_type **type)
{
	const struct dt_enumconst *c = dt_htab_get(&ts->enumerators, name);
	struct dt_btf_view v;
	struct dt_btf *b;
	u32 id, item;

	if (c) {
		*val = c->val;
		*type = c->type;
		return true;
	}
	b = dt_types_btf(ts);
	id = b ? dt_btf_find_enumerator(b, name, &item) : 0;
	if (!id || !dt_btf_type(b, id, &v))
		return false;
	*val = dt_btf_enum_value(&v, item);
	*type = dt_types_from_btf(ts, id);
	return *type != NULL;
}

/* ---- looking through names ------------------------------------------------------------------- */

/* Typedefs only: what the predicates need. */
static const struct dt_type *strip(const struct dt_type *t)
{
	int deep;

	for (deep = 0; t && t->kind == DT_TYPEDEF && deep < TYPEDEFS_DEEP; deep++)
		t = t->ref;
	return t;
}

/* b: a module's types, where they are looked for before the kernel's; NULL: none. */
static struct dt_type *find_tag(struct dt_types *ts, struct dt_btf *b, const char *word,
				const char *name, int btf_kind)
{
	struct dt_type *t = NULL;
	struct dt_str tag = { 0 };

	dt_str_puts(&tag, word);
	dt_str_puts(&tag, name);
	if (!tag.failed)
		t = dt_htab_get(&ts->tags, tag.s);
	dt_str_fini(&tag);
	if (t && t->kind != DT_FWD)
		return t;
	t = b && b != ts->btf ? find_in(ts, b, name, btf_kind) : NULL;
	return t ? t : find_btf(ts, name, btf_kind);
}

static struct dt_type *find_fwd(struct dt_type *t)
{
	struct dt_types *ts = t->owner;
	struct dt_type *found;

	if (!t->name || !ts)
		return NULL;
	if (t->is_enum_fwd)
		return find_tag(ts, t->btf, "enum ", t->name, DT_BTF_ENUM);
	found = t->is_union_fwd ? NULL : find_tag(ts, t->btf, "struct ", t->name, DT_BTF_STRUCT);
	return found ? found : find_tag(ts, t->btf, "union ", t->name, DT_BTF_UNION);
}

struct dt_type *dt_type_resolve(struct dt_type *t)
{
	struct dt_type *found;

	t = (struct dt_type *)strip(t);
	if (t && t->kind == DT_FWD) {
		found = t->ref || t->is_begun ? t->ref : find_fwd(t);
		if (!found)
			return t;
		t->ref = found;
		t = found;
	}
	if (t && !t->complete && t->btf_id)
		dt_btf_complete(t);
	return t;
}

/* ---- what a type is -------------------------------------------------------------------------- */

static bool is_kind(const struct dt_type *t, enum dt_kind kind)
{
	t = strip(t);
	return t && t->kind == kind;
}

bool dt_type_is_int(const struct dt_type *t)
{
	return is_kind(t, DT_INT) || is_kind(t, DT_ENUM);
}

bool dt_type_is_float(const struct dt_type *t)
{
	return is_kind(t, DT_FLOAT);
}

bool dt_type_is_pointer(const struct dt_type *t)
{
	return is_kind(t, DT_POINTER);
}

bool dt_type_is_array(const struct dt_type *t)
{
	return is_kind(t, DT_ARRAY);
}

bool dt_type_is_sou(const struct dt_type *t)
{
	t = strip(t);
	return t && (t->kind == DT_STRUCT || t->kind == DT_UNION ||
		     (t->kind == DT_FWD && !t->is_enum_fwd));
}

struct dt_type *dt_type_string(struct dt_types *ts, u32 size)
{
	struct dt_type *t = dt_type_new(ts, DT_STRING, "string");

	t->size = size;
	t->align = 1;
	t->complete = true;
	return t;
}

bool dt_type_is_string(const struct dt_type *t)
{
	return is_kind(t, DT_STRING);
}

bool dt_type_is_scalar(const struct dt_type *t)
{
	return dt_type_is_int(t) || dt_type_is_pointer(t);
}

bool dt_type_is_signed(const struct dt_type *t)
{
	t = strip(t);
	return t && t->is_signed;
}

/* char of either name; not what C calls an unsigned char, which holds bytes. */
static bool is_char(const struct dt_type *t)
{
	t = strip(t);
	return t && t->kind == DT_INT && t->size == 1 && t->is_signed && !t->is_bool;
}

bool dt_type_is_stringlike(const struct dt_type *t)
{
	t = strip(t);
	if (!t)
		return false;
	return t->kind == DT_STRING ||
	       ((t->kind == DT_POINTER || t->kind == DT_ARRAY) && is_char(t->ref));
}

/* ---- the same type? -------------------------------------------------------------------------- */

/* left: comparisons to go, as malformed prototypes can branch without end. */
static bool same(const struct dt_type *a, const struct dt_type *b, int *left);

static bool is_tagged(enum dt_kind k)
{
	return k == DT_STRUCT || k == DT_UNION || k == DT_ENUM || k == DT_FWD;
}

static enum dt_kind fwd_kind(const struct dt_type *t)
{
	if (t->kind != DT_FWD)
		return t->kind;
	return t->is_enum_fwd ? DT_ENUM : t->is_union_fwd ? DT_UNION : DT_STRUCT;
}

/* By tag, as two declarations of one struct are one type; without a tag by where it came from. */
static bool same_tagged(const struct dt_type *a, const struct dt_type *b)
{
	if (fwd_kind(a) != fwd_kind(b))
		return false;
	if (a->name && b->name)
		return strcmp(a->name, b->name) == 0;
	return !a->name && !b->name && a->btf_id && a->btf_id == b->btf_id && a->btf == b->btf;
}

static bool same_func(const struct dt_type *a, const struct dt_type *b, int *left)
{
	u32 i;

	if (a->nparams != b->nparams || a->varargs != b->varargs || !same(a->ref, b->ref, left))
		return false;
	for (i = 0; i < a->nparams; i++)
		if (!same(a->params[i], b->params[i], left))
			return false;
	return true;
}

static bool same(const struct dt_type *a, const struct dt_type *b, int *left)
{
	a = strip(a);
	b = strip(b);
	if (a == b)
		return true;
	if (!a || !b || --*left < 0)
		return false;
	if (a->kind == DT_POISON || b->kind == DT_POISON)
		return true;
	if (is_tagged(a->kind) && is_tagged(b->kind))
		return same_tagged(a, b);
	if (a->kind != b->kind)
		return false;
	switch (a->kind) {
	case DT_INT:
		return a->size == b->size && a->is_signed == b->is_signed && a->is_bool == b->is_bool;
	case DT_FLOAT: return a->size == b->size;
	case DT_POINTER: return same(a->ref, b->ref, left);
	case DT_ARRAY: return a->nelems == b->nelems && same(a->ref, b->ref, left);
	case DT_FUNC: return same_func(a, b, left);
	default: return true;
	}
}

bool dt_type_same(const struct dt_type *a, const struct dt_type *b)
{
	int left = COMPARISONS;

	return same(a, b, &left);
}
