/* SPDX-License-Identifier: Apache-2.0 */
/*
 * types.h - the type graph: D's own types, C declarations of D programs, and kernel types from BTF.
 *
 * A struct dt_types lives as long as its handle: programs on one handle share types.  Kernel types are
 * made lazily: dt_types_lookup() asks the BTF reader, which converts one type and leaves members of
 * pointer type as forward references until someone looks through them (dt_type_resolve,
 * dt_type_member).  Types are compared with dt_type_same / dt_type_compat, never by pointer.
 */
#ifndef DT_TYPES_H
#define DT_TYPES_H

#include "base/base.h"

enum dt_kind {
	DT_VOID,
	DT_INT,     /* char, short, ... _Bool too; size 1, 2, 4, 8 */
	DT_FLOAT,   /* float, double, long double */
	DT_ENUM,    /* size 1-8, is_signed */
	DT_POINTER, /* ref */
	DT_ARRAY,   /* ref, nelems (0: unknown) */
	DT_STRUCT,
	DT_UNION,
	DT_FWD,      /* an incomplete struct, union or enum: resolve by name */
	DT_TYPEDEF,  /* ref */
	DT_FUNC,     /* ref: result; params */
	DT_STRING,   /* D string; its size is option strsize, or bound when known smaller */
	DT_STACK,    /* result of stack() and ustack() */
	DT_SYMADDR,  /* result of sym(), mod(), func(): u64 */
	DT_USYMADDR, /* result of usym() ...: u64 process id, u64 address */
	DT_DYN,      /* <DYN>: associative array, translated object without a type */
	DT_POISON    /* after an error; compatible with everything */
};

struct dt_type;

struct dt_member {
	const char *name; /* "" for an anonymous struct or union */
	struct dt_type *type;
	u32 bit_off;  /* from the start of the struct */
	u16 bit_size; /* bit-fields; 0 otherwise */
};

struct dt_enumval {
	const char *name;
	s64 val;
};

struct dt_type {
	enum dt_kind kind;
	bool is_signed;
	bool is_bool;
	bool is_const;
	bool is_userland; /* an address in the traced process: needs copyin */
	bool complete; /* members are loaded; struct, union, enum of the kernel: dt_type_resolve() does it */
	u8 is_enum_fwd;  /* FWD: of an enum */
	u8 is_union_fwd; /* FWD: of a union */
	bool is_begun; /* FWD: of a type whose declaration is being read: the kernel's is not meant */
	u16 align;     /* cache of dt_type_align; 0: not known yet */
	u64 size;      /* bytes; STRING: 0 (ask the compilation) */
	const char *name; /* "int", "task_struct" (without struct), typedef name; NULL: anonymous */
	struct dt_type *ref;
	u64 nelems; /* ARRAY */
	struct dt_member *members;
	u32 nmembers; /* members or enumerators */
	struct dt_enumval *enumvals;
	struct dt_type **params;
	u32 nparams;
	bool varargs;
	struct dt_btf *btf;
	u32 btf_id; /* kernel type this came from (after stripping nothing), in btf; 0: none */
	struct dt_types *owner;
	struct dt_type *ptr_to; /* cache: pointer to this */
};

/* D's fixed types: indexes for dt_type_basic(). */
enum dt_basic {
	DT_T_VOID,
	DT_T_CHAR,
	DT_T_SCHAR,
	DT_T_UCHAR,
	DT_T_SHORT,
	DT_T_USHORT,
	DT_T_INT,
	DT_T_UINT,
	DT_T_LONG,
	DT_T_ULONG,
	DT_T_LLONG,
	DT_T_ULLONG,
	DT_T_BOOL,
	DT_T_FLOAT,
	DT_T_DOUBLE,
	DT_T_LDOUBLE,
	DT_T_INT8,
	DT_T_INT16,
	DT_T_INT32,
	DT_T_INT64, /* the typedefs int8_t ... */
	DT_T_UINT8,
	DT_T_UINT16,
	DT_T_UINT32,
	DT_T_UINT64,
	DT_T_INTPTR,
	DT_T_UINTPTR,
	DT_T_SIZE,
	DT_T_SSIZE,
	DT_T_PTRDIFF,
	DT_T_UCHAR_T,
	DT_T_USHORT_T,
	DT_T_UINT_T,
	DT_T_ULONG_T,
	DT_T_ULONGLONG_T,
	DT_T_ID,
	DT_T_PID,
	DT_T_UID,
	DT_T_GID,
	DT_T_STRING,
	DT_T_STACK,
	DT_T_SYMADDR,
	DT_T_USYMADDR,
	DT_T_DYN,
	DT_T_POISON,
	DT_T_NBASIC
};

struct dt_btf; /* one BTF blob, opened lazily */

struct dt_btf_module {
	const char *name;
	struct dt_btf *btf; /* NULL: not opened yet */
	bool failed;
};

struct dt_types {
	struct dt_arena arena;
	struct dt_type *basic[DT_T_NBASIC];
	struct dt_htab tags;        /* "struct x", "union y", "enum z" declared in D */
	struct dt_htab typedefs;    /* declared in D, and the fixed ones */
	struct dt_htab enumerators; /* name -> struct dt_enumconst */
	const char *btf_path;       /* NULL: none; normally /sys/kernel/btf/vmlinux */
	struct dt_btf *btf;         /* opened at the first need */
	bool btf_failed;
	DT_VEC(struct dt_btf_module) modules;
	bool modules_listed;
};

struct dt_enumconst {
	s64 val;
	struct dt_type *type;
};

int dt_types_init(struct dt_types *ts, const char *btf_path);
void dt_types_fini(struct dt_types *ts);

static inline struct dt_type *dt_type_basic(struct dt_types *ts, enum dt_basic b)
{
	return ts->basic[b];
}
/* The integer type of that size and sign: (4, true) -> int, (8, false) -> unsigned long. */
struct dt_type *dt_type_int(struct dt_types *ts, u64 size, bool is_signed);
struct dt_type *dt_type_pointer(struct dt_types *ts, struct dt_type *to);
struct dt_type *dt_type_array(struct dt_types *ts, struct dt_type *elem, u64 nelems);
struct dt_type *dt_type_new(struct dt_types *ts, enum dt_kind kind, const char *name); /* blank */
/* A string that lies in memory, as a member or element does: it has a size. */
struct dt_type *dt_type_string(struct dt_types *ts, u32 size);
/* Add a struct/union/enum ("struct x") or typedef declared by a D program. */
void dt_types_add_tag(struct dt_types *ts, const char *tagged_name, struct dt_type *t);
void dt_types_add_typedef(struct dt_types *ts, const char *name, struct dt_type *t);
void dt_types_add_enumerator(struct dt_types *ts, const char *name, s64 val, struct dt_type *t);
/* Lay out a struct or union whose members (with bit_size) are set: offsets and size as the C ABI does. */
void dt_type_layout(struct dt_type *t);

/* "struct task_struct", "union u", "enum e" or a typedef/base name ("long unsigned int" in any order);
 * const, volatile, restrict around it and stars behind it are understood, so that the type texts of probe
 * arguments can be looked up; NULL when there is none.  D's own declarations win over the kernel's. */
struct dt_type *dt_types_lookup(struct dt_types *ts, const char *name);
/* An enumerator: D's, then the kernel's.  False when there is none. */
bool dt_types_enumerator(struct dt_types *ts, const char *name, s64 *val, struct dt_type **type);

/* Strip typedefs, complete forward references if the world knows them, load members.  NULL gives NULL. */
struct dt_type *dt_type_resolve(struct dt_type *t);
/* The member called name, also inside anonymous members; bit_off is from t's start.  NULL: none. */
const struct dt_member *dt_type_member(struct dt_type *t, const char *name, u64 *bit_off);

bool dt_type_is_int(const struct dt_type *t); /* INT or ENUM, through typedefs */
bool dt_type_is_float(const struct dt_type *t);
bool dt_type_is_pointer(const struct dt_type *t); /* POINTER through typedefs */
bool dt_type_is_array(const struct dt_type *t);
bool dt_type_is_sou(const struct dt_type *t);    /* struct or union */
bool dt_type_is_string(const struct dt_type *t); /* D string */
bool dt_type_is_scalar(const struct dt_type *t); /* int, enum, pointer */
bool dt_type_is_signed(const struct dt_type *t);
bool dt_type_is_stringlike(const struct dt_type *t); /* string, char *, char[] */
u64 dt_type_size(const struct dt_type *t);           /* through typedefs; 0 for void, string, fwd */
u64 dt_type_align(const struct dt_type *t);
bool dt_type_same(const struct dt_type *a, const struct dt_type *b);
/* Text as D writes it: "struct task_struct *", "char [16]", "uint32_t". */
const char *dt_type_str(const struct dt_type *t, char *buf, size_t size);

/* ---- BTF (btf.c): also usable alone, for function prototypes ------------------------------------------ */
/* base: what the blob goes on from, vmlinux for those of modules; NULL: nothing.  NULL with errno. */
struct dt_btf *dt_btf_open(const char *path, struct dt_btf *base);
struct dt_btf *dt_btf_open_mem(const void *data, size_t n,
			       struct dt_btf *base); /* copies nothing; data outlives it */
void dt_btf_close(struct dt_btf *b);
enum {
	DT_BTF_INT = 1,
	DT_BTF_STRUCT = 4,
	DT_BTF_UNION = 5,
	DT_BTF_ENUM = 6,
	DT_BTF_TYPEDEF = 8,
	DT_BTF_FUNC = 12,
	DT_BTF_FUNC_PROTO = 13,
	DT_BTF_VAR = 14
};
/* 0: none; not in the base. */
u32 dt_btf_find(struct dt_btf *b, const char *name, int btf_kind);
struct dt_btf *dt_types_btf(struct dt_types *ts); /* opens it; NULL when there is none */
struct dt_type *dt_types_from_btf(struct dt_types *ts, u32 btf_id); /* vmlinux's */
struct dt_type *dt_types_from(struct dt_types *ts, struct dt_btf *b, u32 id);

/* ---- the types of kernel modules (module.c) ------------------------------------------------------------ */
/* Opens them; "vmlinux" is the kernel itself.  NULL: there is no such module, or it has none. */
struct dt_btf *dt_types_module(struct dt_types *ts, const char *name);
/* "struct x" or a typedef name as a module has it; mod NULL: as any module has it.  NULL: not known. */
struct dt_type *dt_types_lookup_in(struct dt_types *ts, const char *mod, const char *name);
/* All modules with types, by name; the callback's non-zero value ends it and is returned. */
int dt_types_each_module(struct dt_types *ts,
			 int (*f)(const char *name, struct dt_btf *b, void *arg), void *arg);
/* Modules may have come: look again at the next question. */
void dt_types_rescan(struct dt_types *ts);
/* Types that are in no file; btf becomes the registry's.  -1: out of memory. */
int dt_types_add_module(struct dt_types *ts, const char *name, struct dt_btf *btf);

#endif
