/* SPDX-License-Identifier: Apache-2.0 */
/*
 * btf.c - reads BTF, the kernel's type information, out of a buffer.
 *
 * Opening checks the header only.  A walk over the types makes the table of their offsets, as far
 * as somebody asked yet; a malformed type ends the walk, and what came before it stays usable.
 * Names are found by a scan over the types of one kind: programs ask for a handful of names, and a
 * scan costs less than an index of 60,000 functions.  Whoever asks more often gets an index of that
 * kind.
 *
 * The blob of a kernel module goes on where vmlinux's ends: its ids and string offsets count from there, and what is
 * below is the base's.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "types/btf.h"

#define BTF_MAGIC 0xeb9f
#define BTF_HDR_MIN 24
#define BTF_TYPE_HDR 12
#define SCANS_BEFORE_INDEX 4
#define BTF_FILE_MAX ((size_t)512 * 1024 * 1024)

/* Ids by name: open addressing, 0 is a free slot. */
struct name_index {
	u32 *id;
	u32 *item; /* enumerators: which of the enum's */
	u32 cap;
};

struct dt_btf {
	const u8 *types;
	u32 types_len;
	const char *strs;
	u32 strs_len;
	struct dt_btf *base; /* NULL: none */
	u32 first;           /* types of the base: our ids are above */
	u32 first_str;       /* bytes of the base's strings */
	u32 *off;            /* of type first + 1 + index in types */
	u32 ntypes;          /* walked so far, without the base's */
	u32 next_off;        /* where the walk goes on */
	u32 max_types;       /* more do not fit */
	bool walked;         /* to the end */
	u8 scans[DT_BTF_NKINDS];
	struct name_index index[DT_BTF_NKINDS];
	struct name_index enumerators;
	struct dt_type **slots;
	struct dt_btf_text *texts;
	void *mapped, *owned; /* the blob, when it is ours */
	size_t mapped_len;
};

/* ---- reading --------------------------------------------------------------------------------- */

static u32 word_at(const void *p)
{
	u32 w;

	memcpy(&w, p, sizeof(w));
	return w;
}

const char *dt_btf_str(const struct dt_btf *b, u32 off)
{
	if (off < b->first_str)
		return dt_btf_str(b->base, off);
	off -= b->first_str;
	return off < b->strs_len ? b->strs + off : "";
}

/* Bytes that follow a type's header: a fixed part and a part per vlen. */
static const struct {
	u8 fixed, per_item;
	bool known;
} layouts[DT_BTF_NKINDS] = {
	[DT_BTF_INT] = { 4, 0, true },        [DT_BTF_PTR] = { 0, 0, true },
	[DT_BTF_ARRAY] = { 12, 0, true },     [DT_BTF_STRUCT] = { 0, 12, true },
	[DT_BTF_UNION] = { 0, 12, true },     [DT_BTF_ENUM] = { 0, 8, true },
	[DT_BTF_FWD] = { 0, 0, true },        [DT_BTF_TYPEDEF] = { 0, 0, true },
	[DT_BTF_VOLATILE] = { 0, 0, true },   [DT_BTF_CONST] = { 0, 0, true },
	[DT_BTF_RESTRICT] = { 0, 0, true },   [DT_BTF_FUNC] = { 0, 0, true },
	[DT_BTF_FUNC_PROTO] = { 0, 8, true }, [DT_BTF_VAR] = { 4, 0, true },
	[DT_BTF_DATASEC] = { 0, 12, true },   [DT_BTF_FLOAT] = { 0, 0, true },
	[DT_BTF_DECL_TAG] = { 4, 0, true },   [DT_BTF_TYPE_TAG] = { 0, 0, true },
	[DT_BTF_ENUM64] = { 0, 12, true },
};

static u32 info_kind(u32 info)
{
	return (info >> 24) & 0x1f;
}

/* Bytes of the type at off, 0 when it is not well-formed or not wholly there. */
static u32 type_bytes(const struct dt_btf *b, u32 off)
{
	u32 left = b->types_len - off, info, kind, n;

	if (left < BTF_TYPE_HDR)
		return 0;
	info = word_at(b->types + off + 4);
	kind = info_kind(info);
	if (kind >= DT_BTF_NKINDS || !layouts[kind].known)
		return 0;
	n = BTF_TYPE_HDR + layouts[kind].fixed + layouts[kind].per_item * (info & 0xffff);
	return n <= left ? n : 0;
}

/* Walk on until type id is in the table of offsets; false when there is none, or it is the base's. */
static bool have(struct dt_btf *b, u32 id)
{
	u32 n;

	id = id > b->first ? id - b->first : 0;
	while (b->ntypes < id && !b->walked) {
		n = type_bytes(b, b->next_off);
		if (n) {
			b->off[b->ntypes++] = b->next_off;
			b->next_off += n;
		} else {
			b->walked = true;
		}
	}
	return id && id <= b->ntypes;
}

u32 dt_btf_ntypes(struct dt_btf *b)
{
	have(b, UINT32_MAX);
	return b->first + b->ntypes;
}

bool dt_btf_type(struct dt_btf *b, u32 id, struct dt_btf_view *v)
{
	const u8 *p;
	u32 info;

	if (b->base && id <= b->first)
		return dt_btf_type(b->base, id, v);
	if (!have(b, id))
		return false;
	p = b->types + b->off[id - 1 - b->first];
	v->btf = b;
	info = word_at(p + 4);
	v->kind = (int)info_kind(info);
	v->kflag = info >> 31;
	v->vlen = info & 0xffff;
	v->size = word_at(p + 8);
	v->name = dt_btf_str(b, word_at(p));
	v->items = p + BTF_TYPE_HDR;
	return true;
}

u32 dt_btf_word(const struct dt_btf_view *v, u32 item, u32 nwords, u32 word)
{
	return word_at(v->items + 4 * ((size_t)item * nwords + word));
}

s64 dt_btf_enum_value(const struct dt_btf_view *v, u32 item)
{
	if (v->kind == DT_BTF_ENUM64)
		return (s64)((u64)dt_btf_word(v, item, 3, 2) << 32 | dt_btf_word(v, item, 3, 1));
	if (v->kflag)
		return (s32)dt_btf_word(v, item, 2, 1);
	return dt_btf_word(v, item, 2, 1);
}

/* ---- names ----------------------------------------------------------------------------------- */

static void index_fini(struct name_index *x)
{
	free(x->id);
	free(x->item);
	memset(x, 0, sizeof(*x));
}

/* Room for n names at half load. */
static bool index_init(struct name_index *x, u32 n, bool items)
{
	x->cap = 16;
	while (x->cap < n * 2)
		x->cap *= 2;
	x->id = calloc(x->cap, sizeof(*x->id));
	x->item = items ? calloc(x->cap, sizeof(*x->item)) : NULL;
	if (x->id && (x->item || !items))
		return true;
	index_fini(x);
	return false;
}

static const u8 *type_at(const struct dt_btf *b, u32 id)
{
	return b->types + b->off[id - 1 - b->first];
}

static bool kind_is(const struct dt_btf *b, u32 id, u32 kind)
{
	return info_kind(word_at(type_at(b, id) + 4)) == kind;
}

static const char *type_name(const struct dt_btf *b, u32 id)
{
	return dt_btf_str(b, word_at(type_at(b, id)));
}

static const char *enumerator_name(const struct dt_btf *b, u32 id, u32 item)
{
	const u8 *p = type_at(b, id);
	u32 bytes = layouts[info_kind(word_at(p + 4))].per_item;

	return dt_btf_str(b, word_at(p + BTF_TYPE_HDR + (size_t)item * bytes));
}

/* Where name is in the index, or the free place for it. */
static u32 index_place(const struct dt_btf *b, const struct name_index *x, const char *name)
{
	u32 i = dt_hash(name, strlen(name)) & (x->cap - 1);
	const char *other;

	for (; x->id[i]; i = (i + 1) & (x->cap - 1)) {
		other = x->item ? enumerator_name(b, x->id[i], x->item[i]) : type_name(b, x->id[i]);
		if (strcmp(other, name) == 0)
			break;
	}
	return i;
}

/* The first of a name wins, as in a scan; the nameless are not found by name. */
static void index_put(const struct dt_btf *b, struct name_index *x, const char *name, u32 id, u32 item)
{
	u32 i;

	if (!*name)
		return;
	i = index_place(b, x, name);
	if (x->id[i])
		return;
	x->id[i] = id;
	if (x->item)
		x->item[i] = item;
}

static u32 scan(struct dt_btf *b, const char *name, u32 kind)
{
	u32 id;

	for (id = b->first + 1; have(b, id); id++)
		if (kind_is(b, id, kind) && strcmp(type_name(b, id), name) == 0)
			return id;
	return 0;
}

u32 dt_btf_next(struct dt_btf *b, u32 id, int kind, const char *prefix)
{
	size_t len = strlen(prefix);

	for (id = DT_MAX(id, b->first) + 1; have(b, id); id++)
		if (kind_is(b, id, (u32)kind) && strncmp(type_name(b, id), prefix, len) == 0)
			return id;
	return 0;
}

static bool index_kind(struct dt_btf *b, u32 kind)
{
	struct name_index *x = &b->index[kind];
	u32 id, n = 0;

	if (x->cap)
		return true;
	for (id = b->first + 1; have(b, id); id++)
		n += kind_is(b, id, kind);
	if (!index_init(x, n, false))
		return false;
	for (id = b->first + 1; have(b, id); id++)
		if (kind_is(b, id, kind))
			index_put(b, x, type_name(b, id), id, 0);
	return true;
}

static u32 find_kind(struct dt_btf *b, const char *name, u32 kind)
{
	struct name_index *x = &b->index[kind];

	if (!x->cap && b->scans[kind] < SCANS_BEFORE_INDEX) {
		b->scans[kind]++;
		return scan(b, name, kind);
	}
	if (!index_kind(b, kind))
		return scan(b, name, kind);
	return x->id[index_place(b, x, name)];
}

u32 dt_btf_find(struct dt_btf *b, const char *name, int btf_kind)
{
	u32 id;

	if (!*name || btf_kind <= 0 || btf_kind >= DT_BTF_NKINDS)
		return 0;
	id = find_kind(b, name, (u32)btf_kind);
	if (!id && btf_kind == DT_BTF_ENUM)
		id = find_kind(b, name, DT_BTF_ENUM64);
	return id;
}

static bool is_enum(const struct dt_btf *b, u32 id)
{
	return kind_is(b, id, DT_BTF_ENUM) || kind_is(b, id, DT_BTF_ENUM64);
}

static bool index_enumerators(struct dt_btf *b)
{
	u32 id, i, vlen, n = 0;

	if (b->enumerators.cap)
		return true;
	for (id = b->first + 1; have(b, id); id++)
		if (is_enum(b, id))
			n += word_at(type_at(b, id) + 4) & 0xffff;
	if (!index_init(&b->enumerators, n, true))
		return false;
	for (id = b->first + 1; have(b, id); id++) {
		if (!is_enum(b, id))
			continue;
		vlen = word_at(type_at(b, id) + 4) & 0xffff;
		for (i = 0; i < vlen; i++)
			index_put(b, &b->enumerators, enumerator_name(b, id, i), id, i);
	}
	return true;
}

u32 dt_btf_find_enumerator(struct dt_btf *b, const char *name, u32 *item)
{
	struct name_index *x = &b->enumerators;
	u32 i;

	if (!*name || !index_enumerators(b))
		return 0;
	i = index_place(b, x, name);
	*item = x->item[i];
	return x->id[i];
}

struct dt_type **dt_btf_slot(struct dt_btf *b, u32 id)
{
	if (b->base && id <= b->first)
		return dt_btf_slot(b->base, id);
	if (!have(b, id))
		return NULL;
	if (!b->slots)
		b->slots = calloc(b->max_types, sizeof(struct dt_type *));
	return b->slots ? &b->slots[id - 1 - b->first] : NULL;
}

struct dt_btf_text *dt_btf_text_slot(struct dt_btf *b, u32 id)
{
	if (b->base && id <= b->first)
		return dt_btf_text_slot(b->base, id);
	if (!have(b, id))
		return NULL;
	if (!b->texts)
		b->texts = calloc(b->max_types, sizeof(*b->texts));
	return b->texts ? &b->texts[id - 1 - b->first] : NULL;
}

/* ---- opening --------------------------------------------------------------------------------- */

/* The sections, after the header said where they are: inside the blob, strings ending in NUL. */
static bool set_sections(struct dt_btf *b, const u8 *data, size_t n)
{
	u64 hdr_len = word_at(data + 4), type_off = word_at(data + 8), str_off = word_at(data + 16);

	b->types_len = word_at(data + 12);
	b->strs_len = word_at(data + 20);
	if (hdr_len < BTF_HDR_MIN || hdr_len > n)
		return false;
	n -= hdr_len;
	if (type_off + b->types_len > n || str_off + b->strs_len > n)
		return false;
	b->types = data + hdr_len + type_off;
	b->strs = (const char *)data + hdr_len + str_off;
	return b->strs_len > 0 && b->strs[b->strs_len - 1] == '\0';
}

struct dt_btf *dt_btf_open_mem(const void *data, size_t n, struct dt_btf *base)
{
	const u8 *p = data;
	struct dt_btf *b;

	if (n < BTF_HDR_MIN || (p[0] | p[1] << 8) != BTF_MAGIC || p[2] != 1) {
		errno = EINVAL;
		return NULL;
	}
	b = calloc(1, sizeof(*b));
	if (!b)
		return NULL;
	if (!set_sections(b, p, n)) {
		free(b);
		errno = EINVAL;
		return NULL;
	}
	b->base = base;
	b->first = base ? dt_btf_ntypes(base) : 0;
	b->first_str = base ? base->first_str + base->strs_len : 0;
	b->max_types = b->types_len / BTF_TYPE_HDR + 1;
	b->off = malloc(b->max_types * sizeof(*b->off));
	if (!b->off) {
		free(b);
		return NULL;
	}
	return b;
}

/* Kernels before 6.16 do not map this file. */
static void *read_whole(int fd, size_t n)
{
	u8 *buf = malloc(n);
	size_t got = 0;
	ssize_t r;

	while (buf && got < n) {
		r = read(fd, buf + got, n - got);
		if (r < 0 && errno == EINTR)
			continue;
		if (r <= 0) {
			if (r == 0)
				errno = EIO;
			free(buf);
			return NULL;
		}
		got += (size_t)r;
	}
	return buf;
}

static struct dt_btf *open_fd(int fd, size_t n, struct dt_btf *base)
{
	struct dt_btf *b;
	void *p;

	p = mmap(NULL, n, PROT_READ, MAP_PRIVATE, fd, 0);
	if (p != MAP_FAILED) {
		b = dt_btf_open_mem(p, n, base);
		if (b) {
			b->mapped = p;
			b->mapped_len = n;
			return b;
		}
		munmap(p, n);
		return NULL;
	}
	p = read_whole(fd, n);
	b = p ? dt_btf_open_mem(p, n, base) : NULL;
	if (b)
		b->owned = p;
	else
		free(p);
	return b;
}

struct dt_btf *dt_btf_open(const char *path, struct dt_btf *base)
{
	_cleanup_fd_ int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct stat st;

	if (fd < 0 || fstat(fd, &st))
		return NULL;
	if (st.st_size <= 0 || (size_t)st.st_size > BTF_FILE_MAX) {
		errno = EINVAL;
		return NULL;
	}
	return open_fd(fd, (size_t)st.st_size, base);
}

void dt_btf_close(struct dt_btf *b)
{
	u32 i;

	if (!b)
		return;
	for (i = 0; i < DT_BTF_NKINDS; i++)
		index_fini(&b->index[i]);
	index_fini(&b->enumerators);
	free(b->off);
	free(b->slots);
	free(b->texts);
	if (b->mapped)
		munmap(b->mapped, b->mapped_len);
	free(b->owned);
	free(b);
}
