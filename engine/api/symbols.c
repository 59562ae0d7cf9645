/* SPDX-License-Identifier: Apache-2.0 */
/* symbols.c - names for addresses and addresses for names. */
#include <string.h>

#include "api/handle.h"

/* Option noresolve: the number will do. */
static bool wants_names(const dtrace_hdl_t *h)
{
	return !dt_opt(h, DT_OPT_NORESOLVE);
}

int dtrace_addr2str(dtrace_hdl_t *h, uint64_t addr, char *buf, int size)
{
	return dt_kaddr_str(wants_names(h) ? h->ksyms : NULL, addr, buf, size > 0 ? (size_t)size : 0);
}

int dtrace_uaddr2str(dtrace_hdl_t *h, pid_t pid, uint64_t addr, char *buf, int size)
{
	return dt_uaddr_str(wants_names(h) || DT_UADDR_IS_TEXT(addr) ? h->usyms : NULL, pid, addr,
			    buf, size > 0 ? (size_t)size : 0);
}

static void symbol(const struct dt_ksym *k, GElf_Sym *sym, dtrace_syminfo_t *info)
{
	if (sym) {
		memset(sym, 0, sizeof(*sym));
		sym->st_info = GELF_ST_INFO(STB_GLOBAL, STT_NOTYPE);
		sym->st_shndx = SHN_ABS;
		sym->st_value = k->addr;
		sym->st_size = k->size;
	}
	if (info)
		*info = (dtrace_syminfo_t){ .dts_object = k->mod, .dts_name = k->name };
}

/* DTRACE_OBJ_* are small numbers: any object. */
static const char *object_name(const char *object)
{
	intptr_t n = (intptr_t)object;

	return n > -16 && n < 16 ? NULL : object;
}

int dtrace_lookup_by_name(dtrace_hdl_t *h, const char *object, const char *name, GElf_Sym *sym,
			  dtrace_syminfo_t *info)
{
	struct dt_ksym k;

	if (dt_ksyms_by_name(h->ksyms, object_name(object), name, &k) < 0)
		return dt_set_errno(h, EDT_NOSYM);
	symbol(&k, sym, info);
	return 0;
}

int dtrace_lookup_by_addr(dtrace_hdl_t *h, GElf_Addr addr, GElf_Sym *sym, dtrace_syminfo_t *info)
{
	struct dt_ksym k;

	if (dt_ksyms_by_addr(h->ksyms, addr, &k) < 0)
		return dt_set_errno(h, EDT_NOSYMADDR);
	symbol(&k, sym, info);
	return 0;
}
