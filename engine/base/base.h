/* SPDX-License-Identifier: Apache-2.0 */
/*
 * base.h - what every part of the engine stands on: memory, text, errors.
 *
 * Two kinds of failure.  The D program is wrong: a diagnostic (struct dt_diag) is added to the
 * compilation's list and the stage carries on with poison.  The world said no: dt_fail() leaves a code
 * and a sentence on the handle's struct dt_error and the function returns -1 or NULL.
 */
#ifndef DT_BASE_H
#define DT_BASE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "dtrace_edt.h"

typedef uint8_t u8;
typedef uint16_t u16;
typedef uint32_t u32;
typedef uint64_t u64;
typedef int8_t s8;
typedef int16_t s16;
typedef int32_t s32;
typedef int64_t s64;

#define DT_PRINTF(fmt, args) __attribute__((format(printf, fmt, args)))
#define DT_NELEM(a) (sizeof(a) / sizeof((a)[0]))
#define DT_MIN(a, b) ((a) < (b) ? (a) : (b))
#define DT_MAX(a, b) ((a) > (b) ? (a) : (b))
#define DT_ROUNDUP(x, align) (((x) + (align) - 1) / (align) * (align))

/* cleanup.h part: scope guards */
void dt_cleanup_free(void *pp); /* free(*(void **)pp) */
void dt_cleanup_close(int *fd); /* close(*fd) when >= 0 */
void dt_cleanup_fclose(FILE **f);
#define _cleanup_free_ __attribute__((cleanup(dt_cleanup_free)))
#define _cleanup_fd_ __attribute__((cleanup(dt_cleanup_close)))
#define _cleanup_fclose_ __attribute__((cleanup(dt_cleanup_fclose)))

/* ---- arena: memory with one lifetime, always zeroed ------------------------------------------- */

struct dt_arena {
	struct dt_arena_chunk *head;
	jmp_buf *oom; /* where to go when memory ends; NULL: dt_arena_alloc returns NULL */
	size_t used;
};

void dt_arena_init(struct dt_arena *a);
void dt_arena_fini(struct dt_arena *a);
void *dt_arena_alloc(struct dt_arena *a, size_t size); /* 16-byte aligned */
char *dt_arena_strdup(struct dt_arena *a, const char *s);
char *dt_arena_strndup(struct dt_arena *a, const char *s, size_t n);
char *dt_arena_printf(struct dt_arena *a, const char *fmt, ...) DT_PRINTF(2, 3);
#define dt_arena_new(a, type) ((type *)dt_arena_alloc((a), sizeof(type)))

/* A growing array in an arena: struct { T *v; u32 n, cap; }.  dt_vec_push gives the new (zeroed) element; NULL
 * when memory ends in an arena without oom, and then the array is as it was. */
#define DT_VEC(T) \
	struct { \
		T *v; \
		u32 n, cap; \
	}
void *dt_vec_grow(struct dt_arena *a, void *v, u32 n, u32 *cap, size_t elem);
bool dt_vec_more(struct dt_arena *a, void *pv, u32 n, u32 *cap, size_t elem); /* pv: &vec->v */
#define dt_vec_push(a, vec) \
	(((vec)->n < (vec)->cap || \
	  dt_vec_more((a), &(vec)->v, (vec)->n, &(vec)->cap, sizeof(*(vec)->v))) ? \
		 &(vec)->v[(vec)->n++] : \
		 NULL)

/* ---- str: text that grows on the heap; out of memory is sticky and makes dt_str_take give NULL ---- */

struct dt_str {
	char *s; /* NUL terminated once anything was added */
	size_t len, cap;
	bool failed;
	bool escape; /* what others have chosen is made printable when it is added: dt_put_text() */
};
void dt_str_fini(struct dt_str *b);
void dt_str_reset(struct dt_str *b);
void dt_str_putc(struct dt_str *b, char c);
void dt_str_puts(struct dt_str *b, const char *s);
void dt_str_putn(struct dt_str *b, const char *s, size_t n);
void dt_str_printf(struct dt_str *b, const char *fmt, ...) DT_PRINTF(2, 3);
void dt_str_vprintf(struct dt_str *b, const char *fmt, va_list ap);
const char *dt_str_cstr(const struct dt_str *b); /* never NULL */
char *dt_str_take(struct dt_str *b);             /* the text, to be freed; b is empty after */

/* ---- htab: name -> pointer; keys are not copied ----------------------------------------------------- */

struct dt_htab {
	struct dt_htab_ent {
		const char *key;
		void *val;
		u32 hash;
	} *ents;
	u32 n, cap;
};
void dt_htab_fini(struct dt_htab *t);
void *dt_htab_get(const struct dt_htab *t, const char *key);
int dt_htab_put(struct dt_htab *t, const char *key, void *val); /* replaces; -1 out of memory */
u32 dt_hash(const void *p, size_t n);

/* ---- the world said no --------------------------------------------------------------------------------- */

struct dt_error {
	int code;       /* EDT_* or an errno value */
	char msg[1024]; /* the sentence; "" means dt_errstr(code) */
};
/* Record and return -1.  %m works.  code < 1000 is an errno value. */
int dt_fail(struct dt_error *e, int code, const char *fmt, ...) DT_PRINTF(3, 4);
void *dt_fail_null(struct dt_error *e, int code, const char *fmt, ...) DT_PRINTF(3, 4);
const char *dt_errstr(int code); /* short classic text of an EDT_* or errno code */

/* Library error codes are in dtrace_edt.h; edt.def has their texts. */

/* ---- the D program is wrong --------------------------------------------------------------------------------- */

/* Compiler error tags; errtags.def has one TAG(NAME) per line, message texts stand where they are raised. */
enum dt_tag {
	D_NONE,
#define TAG(name) D_##name,
#include "base/errtags.def"
#undef TAG
	D_NTAGS
};
const char *dt_tag_name(enum dt_tag tag); /* "D_SYNTAX" */

/* A program text; lives as long as the compilation.  Lines are found by scanning. */
struct dt_source {
	const char *name; /* file name; NULL for a string */
	const char *text;
	size_t len;
};

/* A stretch of source. */
struct dt_loc {
	const struct dt_source *src; /* NULL: no position (built-in code) */
	u32 off, len;                /* bytes */
	s32 line; /* as #line or "# N" control lines say; 0: count from the text */
};
struct dt_loc dt_loc_span(struct dt_loc first, struct dt_loc last);
/* 1-based line and byte column of a location. */
void dt_loc_pos(const struct dt_loc *l, int *line, int *col);

struct dt_diag {
	enum dt_tag tag;
	struct dt_loc loc;
	const char *msg;
};

/* The list of findings of one compilation, in the compilation's arena. */
struct dt_diags {
	struct dt_arena *arena;
	DT_VEC(struct dt_diag) list;
};
void dt_diag_add(struct dt_diags *d, enum dt_tag tag, struct dt_loc loc, const char *fmt, ...)
	DT_PRINTF(4, 5);
void dt_diag_vadd(struct dt_diags *d, enum dt_tag tag, struct dt_loc loc, const char *fmt,
		  va_list ap);
/* The caret form: "FILE:LINE:COL: error: MSG [D_TAG]\n  N | source line\n    |  ^~~~\n".  Tabs in the
 * source line are kept in the caret line; control characters of the source are escaped. */
void dt_diag_render(const struct dt_diag *d, struct dt_str *out);
/* libdtrace's one line: "line N: MSG" or "\"FILE\", line N: MSG", with "[D_TAG] " in front when tags. */
/* Adds s with \xNN for what must not reach a terminal; lines: newlines stay.  The columns that it takes. */
size_t dt_str_printable(struct dt_str *out, const char *s, size_t n, bool lines);
void dt_diag_oneline(const struct dt_diag *d, bool tags, struct dt_str *out);

/* glob_match of probe descriptions: * ? [a-z] [!x] \x; the empty pattern matches anything. */
bool dt_glob_match(const char *pattern, const char *text);
bool dt_glob_is_literal(const char *pattern); /* no special character, not empty */

#endif
