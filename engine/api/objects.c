/* SPDX-License-Identifier: Apache-2.0 */
/* objects.c - the kernel and its modules: names, places, sizes. */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "api/handle.h"

#define NAME_MAX_MOD 64 /* the kernel's MODULE_NAME_LEN is 56 */

struct dt_modlist {
	struct mod {
		char name[NAME_MAX_MOD];
		char file[sizeof("/sys/module/") + NAME_MAX_MOD];
		u64 addr, size;
	} *v;
	u32 n, cap;
};

void dt_modlist_free(struct dt_modlist *l)
{
	if (!l)
		return;
	free(l->v);
	free(l);
}

static struct mod *push(struct dt_modlist *l)
{
	if (l->n == l->cap) {
		u32 cap = l->cap ? l->cap * 2 : 64;
		void *v = realloc(l->v, cap * sizeof(*l->v));

		if (!v)
			return NULL;
		l->v = v;
		l->cap = cap;
	}
	return memset(&l->v[l->n++], 0, sizeof(*l->v));
}

static u64 address_of(dtrace_hdl_t *h, const char *name)
{
	struct dt_ksym k;

	return dt_ksyms_by_name(h->ksyms, "vmlinux", name, &k) < 0 ? 0 : k.addr;
}

static int add_kernel(dtrace_hdl_t *h, struct dt_modlist *l)
{
	struct mod *m = push(l);
	u64 end;

	if (!m)
		return -1;
	strcpy(m->name, "vmlinux");
	m->addr = address_of(h, "_stext");
	end = address_of(h, "_etext");
	m->size = m->addr && end > m->addr ? end - m->addr : 0;
	return 0;
}

/* "name size refs users state 0xADDRESS" */
static int add_line(struct dt_modlist *l, const char *line)
{
	struct mod *m = push(l);
	u64 size = 0, addr = 0;

	if (!m)
		return -1;
	if (sscanf(line, "%63s %" SCNu64 " %*s %*s %*s %" SCNx64, m->name, &size, &addr) < 2) {
		l->n--;
		return 0;
	}
	snprintf(m->file, sizeof(m->file), "/sys/module/%s", m->name);
	m->size = size;
	m->addr = addr;
	return 0;
}

static int fill(dtrace_hdl_t *h, struct dt_modlist *l)
{
	_cleanup_fclose_ FILE *f =
		fopen("/proc/modules", "re"); /* a kernel without modules has none */
	_cleanup_free_ char *line = NULL;
	size_t cap = 0;

	if (add_kernel(h, l) < 0)
		return -1;
	while (f && getline(&line, &cap, f) > 0)
		if (add_line(l, line) < 0)
			return -1;
	return 0;
}

static struct dt_modlist *read_list(dtrace_hdl_t *h)
{
	struct dt_modlist *l = calloc(1, sizeof(*l));

	if (l && fill(h, l) == 0)
		return l;
	dt_modlist_free(l);
	return dt_set_errno_null(h, EDT_NOMEM);
}

static void tell(const struct mod *m, int id, dtrace_objinfo_t *out)
{
	*out = (dtrace_objinfo_t){
		.dto_name = m->name,
		.dto_file = m->file,
		.dto_id = id,
		.dto_flags = DTRACE_OBJ_F_KERNEL | (id ? 0 : DTRACE_OBJ_F_PRIMARY),
		.dto_text_va = m->addr,
		.dto_text_size = m->size,
	};
}

int dtrace_object_iter(dtrace_hdl_t *h, dtrace_obj_f *f, void *arg)
{
	struct dt_modlist *l = read_list(h); /* its own: the callback may ask for other objects */
	dtrace_objinfo_t info;
	int rv = 0;

	if (!l)
		return -1;
	for (u32 i = 0; i < l->n && !rv; i++) {
		tell(&l->v[i], (int)i, &info);
		rv = f(h, &info, arg);
	}
	dt_modlist_free(l);
	return rv;
}

/* DTRACE_OBJ_*, which are small numbers, stand for the kernel. */
static const char *name_of(const char *object)
{
	intptr_t n = (intptr_t)object;

	return n > -16 && n < 16 ? "vmlinux" : object;
}

int dtrace_object_info(dtrace_hdl_t *h, const char *object, dtrace_objinfo_t *out)
{
	const char *name = name_of(object);
	struct dt_modlist *l = read_list(h);

	if (!l)
		return -1;
	dt_modlist_free(h->mods);
	h->mods = l;
	for (u32 i = 0; i < l->n; i++)
		if (!strcmp(l->v[i].name, name)) {
			tell(&l->v[i], (int)i, out);
			return 0;
		}
	return dt_fail(&h->err, EDT_NOMOD, "%s: %.64s", dt_errstr(EDT_NOMOD), name);
}
