/* SPDX-License-Identifier: Apache-2.0 */
/*
 * libdir.c - the user's own D libraries (options libdir and syslibdir, dtrace -L): every NAME.d of these folders is
 * compiled before the first program.
 *
 * A library that says "#pragma D depends_on library OTHER.d" comes after OTHER.d, wherever that is.  One that depends on
 * a provider, a module or a library that is not here is left out; anything else that is wrong with a library is an
 * error.  The libraries of this engine are not files: see lang/library.c.
 */
#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "api/handle.h"

struct lib {
	const char *path, *name;
	struct dt_str text;
	DT_VEC(const char *) needs; /* names of libraries */
	enum { NEW, WAITING, DONE } state;
};

struct libs {
	struct dt_arena a;
	DT_VEC(struct lib) v;
};

/* ---- finding them -------------------------------------------------------------------------------------------- */

/* The word at s; where it ends. */
static const char *next_word(struct dt_arena *a, const char *s, const char **word)
{
	size_t n;

	s += strspn(s, " \t\"");
	n = strcspn(s, " \t\"\r\n");
	*word = dt_arena_strndup(a, s, n);
	return s + n;
}

/* A line of the form #pragma D depends_on library NAME */
static const char *library_needed(struct dt_arena *a, const char *line)
{
	static const char *const words[] = { "pragma", "D", "depends_on", "library" };
	const char *word;
	size_t i;

	line += strspn(line, " \t");
	if (*line++ != '#')
		return NULL;
	for (i = 0; i < DT_NELEM(words); i++) {
		line = next_word(a, line, &word);
		if (!word || strcmp(word, words[i]) != 0)
			return NULL;
	}
	next_word(a, line, &word);
	return word && *word ? word : NULL;
}

static int find_needs(dtrace_hdl_t *h, struct libs *l, struct lib *lib)
{
	const char *line = dt_str_cstr(&lib->text), *need, **slot;

	while (line) {
		need = library_needed(&l->a, line);
		slot = need ? dt_vec_push(&l->a, &lib->needs) : NULL;
		if (need && !slot)
			return dt_set_errno(h, EDT_NOMEM);
		if (slot)
			*slot = need;
		line = strchr(line, '\n');
		line = line ? line + 1 : NULL;
	}
	return 0;
}

static int read_lib(dtrace_hdl_t *h, struct libs *l, const char *dir, const char *name)
{
	struct lib *lib = dt_vec_push(&l->a, &l->v);
	_cleanup_fclose_ FILE *f = NULL;
	int err;

	if (!lib)
		return dt_set_errno(h, EDT_NOMEM);
	lib->path = dt_arena_printf(&l->a, "%s/%s", dir, name);
	lib->name = dt_arena_strdup(&l->a, name);
	if (!lib->path || !lib->name)
		return dt_set_errno(h, EDT_NOMEM);
	f = fopen(lib->path, "re");
	err = f ? dt_read_all(f, &lib->text) : errno;
	if (err)
		return dt_fail(&h->err, EDT_FIO, "D library %s: %s", lib->path, dt_errstr(err));
	return find_needs(h, l, lib);
}

static bool is_library(const struct dirent *e)
{
	size_t n = strlen(e->d_name);

	return n > 2 && strcmp(e->d_name + n - 2, ".d") == 0 && e->d_name[0] != '.';
}

static int pick(const struct dirent *e)
{
	return is_library(e);
}

static int read_dir(dtrace_hdl_t *h, struct libs *l, const char *dir)
{
	struct dirent **list = NULL;
	int n = scandir(dir, &list, pick, alphasort), i, rv = 0;

	if (n < 0 && errno == ENOENT)
		return 0; /* as if it were empty */
	if (n < 0)
		return dt_fail(&h->err, errno, "D libraries in %s: %s", dir, dt_errstr(errno));
	for (i = 0; i < n; i++) {
		rv = rv ? rv : read_lib(h, l, dir, list[i]->d_name);
		free(list[i]);
	}
	free(list);
	return rv;
}

/* ---- compiling them, in order ------------------------------------------------------------------------------------ */

static struct lib *find(struct libs *l, const char *name)
{
	u32 i;

	for (i = 0; i < l->v.n; i++)
		if (strcmp(l->v.v[i].name, name) == 0)
			return &l->v.v[i];
	return NULL;
}

static int compile_one(dtrace_hdl_t *h, struct libs *l, struct lib *lib)
{
	struct dt_program *p = dt_program_new(&h->env, lib->path, dt_str_cstr(&lib->text),
					      lib->text.len, DTRACE_PROBESPEC_NAME);
	u32 cflags = h->env.cflags;
	int rv;

	if (!p)
		return dt_set_errno(h, EDT_NOMEM);
	p->userlib = true;
	h->compiling = true;
	h->env.cflags |= DTRACE_C_EMPTY | DTRACE_C_ARGREF;
	rv = dt_program_compile(p, DT_STAGE_CHECK);
	h->env.cflags = cflags;
	h->compiling = false;
	if (rv == 0)
		return dt_userlib_add(&h->syms, lib->name) < 0 ? dt_set_errno(h, EDT_NOMEM) :
								 dt_keep_program(h, p);
	if (p->diags.list.n && p->diags.list.v[0].tag == D_PRAGMA_DEPEND) {
		dt_program_free(p); /* what it is about is not here */
		return 0;
	}
	dt_compile_failed(h, p);
	return -1;
}

static int compile_lib(dtrace_hdl_t *h, struct libs *l, struct lib *lib)
{
	struct lib *other;
	u32 i;

	if (lib->state == DONE)
		return 0;
	if (lib->state == WAITING)
		return dt_fail(&h->err, EDT_COMPILER,
			       "D library %s depends on itself, by way of others", lib->path);
	lib->state = WAITING;
	for (i = 0; i < lib->needs.n; i++) {
		other = find(l, lib->needs.v[i]);
		if (other && compile_lib(h, l, other) < 0)
			return -1;
	}
	lib->state = DONE;
	return compile_one(h, l, lib);
}

static int read_all(dtrace_hdl_t *h, struct libs *l)
{
	const char *sys = dt_opt_text(h, DT_OPT_SYSLIBDIR);
	u32 i;

	if (sys && read_dir(h, l, sys) < 0)
		return -1;
	for (i = 0; i < h->opts.given.n; i++)
		if (h->opts.given.v[i].id == DT_OPT_LIBDIR &&
		    read_dir(h, l, h->opts.given.v[i].text) < 0)
			return -1;
	return 0;
}

int dt_libdirs_load(dtrace_hdl_t *h)
{
	struct libs l = { 0 };
	int rv;
	u32 i;

	if (h->libdirs_loaded || (h->env.cflags & DTRACE_C_NOLIBS))
		return 0;
	dt_arena_init(&l.a);
	rv = read_all(h, &l);
	for (i = 0; rv == 0 && i < l.v.n; i++)
		rv = compile_lib(h, &l, &l.v.v[i]);
	for (i = 0; i < l.v.n; i++)
		dt_str_fini(&l.v.v[i].text);
	dt_arena_fini(&l.a);
	h->libdirs_loaded = rv == 0;
	return rv;
}
