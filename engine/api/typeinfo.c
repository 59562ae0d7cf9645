/* SPDX-License-Identifier: Apache-2.0 */
/* typeinfo.c - types for consumers: by name, by the text of a declaration, of a kernel symbol. */
#include <errno.h>
#include <string.h>

#include "api/handle.h"
#include "types/btf.h"

#define LANGUAGE "D" /* the object that D's own types belong to */
#define KERNEL "vmlinux"

static int tell(dtrace_hdl_t *h, struct dt_type *t, dtrace_typeinfo_t *out)
{
	const struct dt_type *r = dt_type_resolve(t);
	char text[512];
	const char *name = dt_arena_strdup(&h->arena, dt_type_str(t, text, sizeof(text)));
	u32 id = t->btf_id ? t->btf_id : r->btf_id;

	if (!name)
		return dt_set_errno(h, EDT_NOMEM);
	*out = (dtrace_typeinfo_t){
		.dtt_object = id ? KERNEL : LANGUAGE,
		.dtt_name = name,
		.dtt_type = t,
		.dtt_size = dt_type_size(r),
		.dtt_id = id,
		.dtt_flags = r->is_userland ? DTT_FL_USER : 0,
	};
	return 0;
}

/* ---- text ------------------------------------------------------------------------------------------------------ */

static struct dt_type *compile(dtrace_hdl_t *h, const char *text, size_t len)
{
	struct dt_program *p;
	struct dt_type *t;

	dt_program_free(h->failed);
	h->failed = NULL;
	h->err = (struct dt_error){ 0 };
	h->cflags = 0;
	h->env.argc = 0;
	h->env.refresh(h, &h->env);
	p = dt_program_new(&h->env, NULL, text, len, DTRACE_PROBESPEC_NONE);
	if (!p)
		return dt_set_errno_null(h, EDT_NOMEM);
	t = dt_program_type(p);
	if (!t)
		return dt_compile_failed(h, p);
	dt_program_free(p); /* names and types are the handle's by now */
	return t;
}

int dtrace_type_strcompile(dtrace_hdl_t *h, const char *text, dtrace_typeinfo_t *out)
{
	struct dt_type *t = text ? compile(h, text, strlen(text)) : NULL;

	if (!text)
		return dt_set_errno(h, EINVAL);
	return t ? tell(h, t, out) : -1;
}

int dtrace_type_fcompile(dtrace_hdl_t *h, FILE *fp, dtrace_typeinfo_t *out)
{
	struct dt_str text = { 0 };
	struct dt_type *t;
	int err = fp ? dt_read_all(fp, &text) : EINVAL;

	if (err) {
		dt_str_fini(&text);
		return dt_fail(&h->err, EDT_FIO, "Reading the type: %s", dt_errstr(err));
	}
	t = compile(h, dt_str_cstr(&text), text.len);
	dt_str_fini(&text);
	return t ? tell(h, t, out) : -1;
}

/* ---- names ----------------------------------------------------------------------------------------------------- */

/* Which objects have types: the kernel, and D itself.  0, or -1 with the reason why there are none. */
static int object_has_types(dtrace_hdl_t *h, const char *object)
{
	intptr_t n = (intptr_t)object;
	dtrace_objinfo_t info;

	if ((n > -16 && n < 16) || !strcmp(object, KERNEL) || !strcmp(object, LANGUAGE))
		return 0;
	if (dtrace_object_info(h, object, &info) < 0)
		return -1;
	return dt_fail(&h->err, EDT_NOCTF, "%s: %.64s", dt_errstr(EDT_NOCTF), object);
}

static bool wants_language(const char *object)
{
	intptr_t n = (intptr_t)object;

	return n > -16 && n < 16 ?
		       n == (intptr_t)DTRACE_OBJ_CDEFS || n == (intptr_t)DTRACE_OBJ_DDEFS :
		       !strcmp(object, LANGUAGE);
}

static bool wants_kernel(const char *object)
{
	intptr_t n = (intptr_t)object;

	return n > -16 && n < 16 ? n == (intptr_t)DTRACE_OBJ_KMODS : !strcmp(object, KERNEL);
}

int dtrace_lookup_by_type(dtrace_hdl_t *h, const char *object, const char *name,
			  dtrace_typeinfo_t *out)
{
	struct dt_type *t;

	if (object_has_types(h, object) < 0)
		return -1;
	t = name ? compile(h, name, strlen(name)) : NULL;
	if (!t || tell(h, t, out) < 0)
		return dt_fail(&h->err, EDT_NOTYPE, "%s: %.128s", dt_errstr(EDT_NOTYPE),
			       name ? name : "");
	if ((out->dtt_id && wants_language(object)) || (!out->dtt_id && wants_kernel(object)))
		return dt_fail(&h->err, EDT_NOTYPE, "%s: %.128s (it is one of %s)",
			       dt_errstr(EDT_NOTYPE), name, out->dtt_object);
	return 0;
}

/* ---- symbols --------------------------------------------------------------------------------------------------- */

/* What a variable is declared as, or a function's prototype; NULL: not known. */
static struct dt_type *kernel_symbol_type(dtrace_hdl_t *h, const char *name)
{
	static const int kinds[] = { DT_BTF_FUNC, DT_BTF_VAR };
	struct dt_btf *b = dt_types_btf(&h->types);
	struct dt_btf_view v;

	for (size_t k = 0; b && k < DT_NELEM(kinds); k++) {
		u32 id = dt_btf_find(b, name, kinds[k]);

		if (id && dt_btf_type(b, id, &v))
			return dt_types_from_btf(&h->types, v.size);
	}
	return NULL;
}

int dtrace_symbol_type(dtrace_hdl_t *h, const GElf_Sym *sym, const dtrace_syminfo_t *info,
		       dtrace_typeinfo_t *out)
{
	struct dt_type *t;

	if (!info || !info->dts_name || !info->dts_object)
		return dt_set_errno(h, EINVAL);
	if (strcmp(info->dts_object, KERNEL) != 0)
		return dt_fail(&h->err, EDT_NOCTF, "%s: %.64s", dt_errstr(EDT_NOCTF),
			       info->dts_object);
	t = kernel_symbol_type(h, info->dts_name);
	if (!t)
		return dt_fail(&h->err, EDT_NOTYPE, "%s: %.128s", dt_errstr(EDT_NOTYPE),
			       info->dts_name);
	return tell(h, t, out);
}
