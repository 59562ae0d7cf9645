/* SPDX-License-Identifier: Apache-2.0 */
/*
 * library.c - the libraries written in D: constants, translated structs and their translators,
 * variables that are expressions.
 *
 * Their texts are part of the engine (d/, tools/gen-dlibs.py).  A library is compiled into the
 * handle's names when a program uses one of its names that nobody else has declared, so programs
 * that need none pay one search in a table per unknown name.  What a library says is checked
 * where it is used: a kernel that lacks something makes that one use an error.
 */
#include <stdlib.h>
#include <string.h>

#include "lang/compile.h"

static int by_name(const void *key, const void *row)
{
	return strcmp(key, ((const struct dt_libname *)row)->name);
}

static bool is_loaded(const struct dt_compile *c, u32 lib)
{
	return c->st->libs_loaded >> lib & 1;
}

/* What a library's compilation found is the program's finding. */
static void report(struct dt_compile *c, const struct dt_program *p)
{
	dt_err(c, D_PRAGMA_DEPEND, c->last, "D library %s cannot be used here: %s", p->src.name,
	       p->diags.list.n ? p->diags.list.v[0].msg : "it does not compile");
}

/* Its names are the handle's then: nothing refers to the library's tree. */
static void load(struct dt_compile *c, u32 lib)
{
	const struct dt_library *l = &dt_libraries[lib];
	struct dt_program *p =
		dt_program_new(c->env, l->name, l->text, l->len, DTRACE_PROBESPEC_NAME);
	bool oom = !p;

	c->st->libs_loaded |= UINT64_C(1) << lib;
	if (p) {
		p->library = lib + 1;
		if (dt_program_compile(p, DT_STAGE_CHECK)) {
			oom = p->out_of_memory;
			if (!oom)
				report(c, p);
		}
	}
	dt_program_free(p);
	if (oom)
		dt_oom(c);
}

bool dt_lib_need(struct dt_compile *c, const char *name)
{
	const struct dt_libname *row;

	if (c->env->cflags & DTRACE_C_NOLIBS)
		return false;
	row = bsearch(name, dt_libnames, dt_nlibnames, sizeof(*row), by_name);
	if (!row || is_loaded(c, row->lib))
		return false;
	load(c, row->lib);
	return true;
}

static int find(const char *name)
{
	u32 i;

	for (i = 0; i < dt_nlibraries; i++)
		if (strcmp(dt_libraries[i].name, name) == 0)
			return (int)i;
	return -1;
}

bool dt_lib_exists(const char *name)
{
	return find(name) >= 0;
}

void dt_lib_load(struct dt_compile *c, const char *name)
{
	int lib = find(name);

	if (lib >= 0 && !is_loaded(c, (u32)lib) && !(c->env->cflags & DTRACE_C_NOLIBS))
		load(c, (u32)lib);
}
