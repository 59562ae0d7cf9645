/* SPDX-License-Identifier: Apache-2.0 */
/* module.c - the BTF of kernel modules: a file each, beside vmlinux's, opened when first asked for. */
#include <dirent.h>
#include <stdlib.h>
#include <string.h>

#include "types/btf.h"
#include "types/types.h"

#define KERNEL "vmlinux"

int dt_types_add_module(struct dt_types *ts, const char *name, struct dt_btf *btf)
{
	const char *copy = dt_arena_strdup(&ts->arena, name);
	struct dt_btf_module *m = copy ? dt_vec_push(&ts->arena, &ts->modules) : NULL;

	if (!m)
		return -1;
	m->name = copy;
	m->btf = btf;
	return 0;
}

static struct dt_btf_module *find(struct dt_types *ts, const char *name)
{
	u32 i;

	for (i = 0; i < ts->modules.n; i++)
		if (strcmp(ts->modules.v[i].name, name) == 0)
			return &ts->modules.v[i];
	return NULL;
}

/* The directory that vmlinux is in, with the slash. */
static int folder_len(const struct dt_types *ts)
{
	const char *slash = ts->btf_path ? strrchr(ts->btf_path, '/') : NULL;

	return slash ? (int)(slash - ts->btf_path) + 1 : 0;
}

static struct dt_btf *open_module(struct dt_types *ts, struct dt_btf_module *m)
{
	char path[512];

	if (m->btf || m->failed)
		return m->btf;
	if (folder_len(ts) && dt_types_btf(ts)) {
		snprintf(path, sizeof(path), "%.*s%s", folder_len(ts), ts->btf_path, m->name);
		m->btf = dt_btf_open(path, ts->btf);
	}
	m->failed = !m->btf;
	return m->btf;
}

struct dt_btf *dt_types_module(struct dt_types *ts, const char *name)
{
	struct dt_btf_module *m;

	if (strcmp(name, KERNEL) == 0)
		return dt_types_btf(ts);
	m = find(ts, name);
	if (!m && *name && *name != '.' && !strchr(name, '/') && !dt_types_add_module(ts, name, NULL))
		m = &ts->modules.v[ts->modules.n - 1];
	return m ? open_module(ts, m) : NULL;
}

static int by_name(const void *a, const void *b)
{
	const struct dt_btf_module *x = a, *y = b;

	return strcmp(x->name, y->name);
}

/* No directory, no modules. */
static void list_modules(struct dt_types *ts)
{
	char path[512];
	struct dirent *e;
	DIR *d;

	if (ts->modules_listed || !folder_len(ts))
		return;
	ts->modules_listed = true;
	snprintf(path, sizeof(path), "%.*s", folder_len(ts), ts->btf_path);
	d = opendir(path);
	if (!d)
		return;
	while ((e = readdir(d)))
		if (e->d_name[0] != '.' && strcmp(e->d_name, KERNEL) != 0 && !find(ts, e->d_name) &&
		    dt_types_add_module(ts, e->d_name, NULL))
			break;
	closedir(d);
	if (ts->modules.n)
		qsort(ts->modules.v, ts->modules.n, sizeof(*ts->modules.v), by_name);
}

void dt_types_rescan(struct dt_types *ts)
{
	u32 i;

	ts->modules_listed = false;
	for (i = 0; i < ts->modules.n; i++)
		ts->modules.v[i].failed = false;
}

int dt_types_each_module(struct dt_types *ts,
			 int (*f)(const char *name, struct dt_btf *b, void *arg), void *arg)
{
	struct dt_btf *b;
	u32 i;
	int rv = 0;

	list_modules(ts);
	for (i = 0; i < ts->modules.n && !rv; i++) {
		b = open_module(ts, &ts->modules.v[i]);
		rv = b ? f(ts->modules.v[i].name, b, arg) : 0;
	}
	return rv;
}

/* ---- types by name ------------------------------------------------------------------------------------- */

static const struct {
	const char *word;
	int kind;
} words[] = {
	{ "struct ", DT_BTF_STRUCT },
	{ "union ", DT_BTF_UNION },
	{ "enum ", DT_BTF_ENUM },
	{ "", DT_BTF_TYPEDEF },
};

struct question {
	struct dt_types *ts;
	const char *name;
	struct dt_type *found;
};

static int look_up(const char *mod, struct dt_btf *b, void *arg)
{
	struct question *q = arg;
	size_t i, n;
	u32 id;

	for (i = 0; strncmp(q->name, words[i].word, n = strlen(words[i].word)) != 0; i++)
		;
	id = dt_btf_find(b, q->name + n, words[i].kind);
	q->found = id ? dt_types_from(q->ts, b, id) : NULL;
	return q->found != NULL;
}

struct dt_type *dt_types_lookup_in(struct dt_types *ts, const char *mod, const char *name)
{
	struct question q = { .ts = ts, .name = name };
	jmp_buf *oom = ts->arena.oom;
	struct dt_btf *b;

	ts->arena.oom = NULL; /* what is open has to be closed first */
	if (!mod)
		dt_types_each_module(ts, look_up, &q);
	else if ((b = dt_types_module(ts, mod)))
		look_up(mod, b, &q);
	ts->arena.oom = oom;
	return q.found;
}
