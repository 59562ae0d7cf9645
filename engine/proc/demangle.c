/* SPDX-License-Identifier: Apache-2.0 */
/*
 * demangle.c - names of C++ and Rust functions as their authors wrote them.
 *
 * libiberty does it.  Names come from files that the traced process may have written, and a short one can stand for a
 * text without end (references to parts of itself), so input and output are bounded: the output by leaving the
 * demangler from inside its callback.  It keeps all of its state on the stack.
 */
#include "proc/symbols.h"

#include <setjmp.h>
#include <string.h>

#ifdef HAVE_LIBIBERTY
#include <libiberty/demangle.h>

#define MOST_INPUT 1024

struct out {
	char *buf;
	size_t size, len;
	jmp_buf full;
};

static void collect(const char *s, size_t n, void *arg)
{
	struct out *o = arg;

	if (n >= o->size - o->len)
		longjmp(o->full, 1);
	if (n) /* pieces of nothing come as NULL */
		memcpy(o->buf + o->len, s, n);
	o->len += n;
}

/* _Z with an optional second underscore; _R; clang's blocks and clones are behind a '.'. */
static bool looks_mangled(const char *name)
{
	return name[0] == '_' &&
	       (name[1] == 'Z' || name[1] == 'R' || (name[1] == '_' && name[2] == 'Z'));
}

static int run(const char *name, struct out *o)
{
	if (setjmp(o->full))
		return 0;
	/* what the older Rust wrote looks like C++ with a hash at its end */
	if (rust_demangle_callback(name, DMGL_PARAMS, collect, o))
		return 1;
	o->len = 0;
	return name[1] != 'R' &&
	       cplus_demangle_v3_callback(name, DMGL_PARAMS | DMGL_ANSI, collect, o);
}

bool dt_demangle(const char *name, char *buf, size_t size)
{
	struct out o = { .buf = buf, .size = size };

	if (size < 2 || !looks_mangled(name) || strlen(name) > MOST_INPUT)
		return false;
	if (!run(name, &o) || !o.len)
		return false;
	buf[o.len] = '\0';
	dt_text_clean(buf, o.len);
	return true;
}

#else

bool dt_demangle(const char *name, char *buf, size_t size)
{
	return false;
}

#endif
