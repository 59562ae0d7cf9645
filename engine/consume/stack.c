/* SPDX-License-Identifier: Apache-2.0 */
/*
 * stack.c - addresses as names: symbols of the kernel and of processes, and stacks of them.
 *
 * Symbols of a process can be had while it lives, so it is learnt when a record or key that names
 * it is first seen, long before somebody prints it.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "consume/consume.h"

bool dt_kind_has_pid(enum dt_datakind kind)
{
	return kind == DT_D_USTACK || kind == DT_D_USYM || kind == DT_D_UMOD || kind == DT_D_UADDR;
}

bool dt_names_processes(const struct dt_object *o)
{
	for (u32 i = 0; i < o->nepids; i++)
		for (int k = 0; k < o->epids[i].desc.dtepd_nrecs; k++) {
			const struct dt_datum *d =
				(const void *)(uintptr_t)o->epids[i].desc.dtepd_rec[k].dtrd_uarg;

			if (d && dt_kind_has_pid(d->kind))
				return true;
		}
	for (u32 i = 0; i < o->naggs; i++)
		for (u32 k = 0; k < o->aggs[i].nkeys; k++)
			if (dt_kind_has_pid(o->aggs[i].keys[k].kind))
				return true;
	return false;
}

static bool resolving(const dtrace_hdl_t *h)
{
	return !dt_opt(h, DT_OPT_NORESOLVE);
}

void dt_learn(dtrace_hdl_t *h, struct dt_learnt *seen, const struct dt_item *it)
{
	pid_t pid, *slot;

	if (!dt_kind_has_pid(it->kind) || !resolving(h) || !h->usyms)
		return;
	pid = (pid_t)dt_item_word(it, 0);
	slot = &seen->v[(u32)pid % DT_NELEM(seen->v)];
	if (pid <= 0 || *slot == pid)
		return;
	*slot = pid;
	dt_usyms_learn(h->usyms, pid);
}

/* ---- better stacks ----------------------------------------------------------------------------- */

/* As the kernel walked it or, when it was copied, by the files' rules. */
static u32 native_frames(dtrace_hdl_t *h, const struct dt_datum *d, pid_t pid, const char *stored,
			 u64 *pcs)
{
	const char *behind = stored + 8 + d->arg * 8;
	const struct dt_raw_ustack *raw = (const void *)(behind + dt_datum_python_size(d));
	u32 max = (u32)d->arg, n = 0;

	if (d->unwind)
		n = dt_usyms_unwind(h->usyms, pid, raw->regs, raw->base, raw->stack,
				    DT_MIN(raw->pieces * DT_UNWIND_PIECE, (u64)d->unwind), pcs, max);
	if (n > 1) /* else the kernel's walk is as good */
		return n;
	memcpy(pcs, stored + 8, (size_t)max * 8);
	return max;
}

bool dt_show_ustack(dtrace_hdl_t *h, const struct dt_datum *d, const char *stored, char *shown,
		    u32 size)
{
	const struct dt_raw_python *python = (const void *)(stored + 8 + d->arg * 8);
	u32 max = size / 8 - 1, n;
	u64 pid, *pcs;

	if (!d->unwind && !d->strsize) {
		memcpy(shown, stored, DT_MIN(size, d->size));
		return true;
	}
	memset(shown, 0, size);
	memcpy(shown, stored, 8);
	memcpy(&pid, stored, 8);
	pcs = calloc(d->arg + 1, sizeof(*pcs));
	if (!pcs)
		return true;
	n = native_frames(h, d, (pid_t)pid, stored, pcs);
	if (d->strsize) {
		dt_python_learn(h, (pid_t)pid);
		dt_python_merge(h, (pid_t)pid, python, d->strsize, pcs, n,
				(u64 *)(void *)(shown + 8), max);
	} else {
		memcpy(shown + 8, pcs, (size_t)DT_MIN(n, max) * 8);
	}
	free(pcs);
	return !d->strsize || !python->overflow;
}

/* ---- one address ----------------------------------------------------------------------------- */

static void put_hex(struct dt_str *out, u64 addr)
{
	dt_str_printf(out, "0x%" PRIx64, addr);
}

struct name {
	dtrace_hdl_t *h;
	pid_t pid;
	u64 addr;
};

static int kernel_name(const struct name *n, char *buf, size_t size)
{
	return dt_kaddr_str(n->h->ksyms, n->addr, buf, size);
}

static int user_name(const struct name *n, char *buf, size_t size)
{
	return dt_uaddr_str(n->h->usyms, n->pid, n->addr, buf, size);
}

/* Names of C++ and Rust functions can be of any length. */
static void put_name(struct dt_str *out, const struct name *n,
		     int (*fn)(const struct name *n, char *buf, size_t size))
{
	char small[256];
	_cleanup_free_ char *big = NULL;
	int need = fn(n, small, sizeof(small));

	if (need < (int)sizeof(small)) {
		dt_put_text(out, small, strlen(small));
		return;
	}
	big = malloc((size_t)need + 1);
	if (big)
		fn(n, big, (size_t)need + 1);
	dt_put_text(out, big ? big : small, strlen(big ? big : small));
}

void dt_put_kaddr(dtrace_hdl_t *h, struct dt_str *out, u64 addr)
{
	struct name n = { h, 0, addr };

	if (h->ksyms && resolving(h))
		put_name(out, &n, kernel_name);
	else
		put_hex(out, addr);
}

void dt_put_uaddr(dtrace_hdl_t *h, struct dt_str *out, pid_t pid, u64 addr)
{
	struct name n = { h, pid, addr };

	if (h->usyms && pid > 0 && (resolving(h) || DT_UADDR_IS_TEXT(addr)))
		put_name(out, &n, user_name);
	else
		put_hex(out, addr);
}

/* ---- symbols and modules: no offsets --------------------------------------------------------- */

static void put_kernel_symbol(dtrace_hdl_t *h, struct dt_str *out, u64 addr, bool module)
{
	struct dt_ksym k;

	if (!h->ksyms || !resolving(h) || dt_ksyms_by_addr(h->ksyms, addr, &k) < 0)
		put_hex(out, addr);
	else if (module)
		dt_str_puts(out, k.mod);
	else
		dt_str_printf(out, "%s`%s", k.mod, k.name);
}

static void put_object_and_name(struct dt_str *out, const struct dt_usym *u, u64 addr)
{
	dt_put_text(out, u->object, strlen(u->object));
	dt_str_putc(out, '`');
	if (*u->name)
		dt_put_text(out, u->name, strlen(u->name));
	else
		put_hex(out, addr);
}

static void put_user_symbol(dtrace_hdl_t *h, struct dt_str *out, pid_t pid, u64 addr, bool module)
{
	struct dt_usym u;

	if (!h->usyms || pid <= 0 || !resolving(h) ||
	    dt_usyms_resolve(h->usyms, pid, addr, &u) < 0 || !u.known_object)
		put_hex(out, addr);
	else if (module)
		dt_put_text(out, u.object, strlen(u.object));
	else
		put_object_and_name(out, &u, addr);
}

void dt_put_symbol(dtrace_hdl_t *h, struct dt_str *out, const struct dt_item *it)
{
	u64 first = dt_item_word(it, 0), second = dt_item_word(it, 1);

	switch (it->kind) {
	case DT_D_SYM:
	case DT_D_MOD: put_kernel_symbol(h, out, first, it->kind == DT_D_MOD); break;
	case DT_D_UADDR: dt_put_uaddr(h, out, (pid_t)first, second); break;
	default: put_user_symbol(h, out, (pid_t)first, second, it->kind == DT_D_UMOD);
	}
}

/* ---- stacks ---------------------------------------------------------------------------------- */

void dt_put_stack(dtrace_hdl_t *h, struct dt_str *out, const struct dt_item *it, u32 indent)
{
	bool user = it->kind == DT_D_USTACK;
	pid_t pid = user ? (pid_t)dt_item_word(it, 0) : 0;
	u32 n = it->size / 8;
	u64 pc;

	dt_str_putc(out, '\n');
	for (u32 i = user; i < n && (pc = dt_item_word(it, i)); i++) {
		dt_put_spaces(out, indent);
		if (user)
			dt_put_uaddr(h, out, pid, pc);
		else
			dt_put_kaddr(h, out, pc);
		dt_str_putc(out, '\n');
	}
}
