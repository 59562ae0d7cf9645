/* SPDX-License-Identifier: Apache-2.0 */
/*
 * syscall.c - entry and return of every system call.
 *
 * All entries hang on one raw tracepoint, all returns on another: enabling one call or all of them
 * is one program and one attachment, and the number of the call tells the probes apart.  Ids derive
 * from the number.
 */
#include <string.h>

#include "probe/probe.h"

#define NKEYS 512 /* numbers of native calls are below; x32's start there */

enum { ENTRY, RETURN, NSIDES };

static const struct {
	const char *name;
	struct dt_attach at;
} sides[NSIDES] = {
	[ENTRY] = { "entry",
		    { .kind = DT_AT_RAW_TP,
		      .abi = DT_ABI_SYS_ENTER,
		      .target = "sys_enter",
		      .nkeys = NKEYS } },
	[RETURN] = { "return",
		     { .kind = DT_AT_RAW_TP,
		       .abi = DT_ABI_SYS_EXIT,
		       .target = "sys_exit",
		       .nkeys = NKEYS } },
};

static u32 id_of(const struct dt_syscall *s, int side)
{
	return DT_ID_SYSCALL + 2 * s->nr + (u32)side;
}

static bool is_made(const struct dt_probes *ps, u32 id)
{
	return id < ps->nbyid && ps->byid[id];
}

/* The attach point of a side: the one that an earlier probe has, or a new one. */
static struct dt_attach *attach_of(struct dt_probes *ps, int side)
{
	u32 i;

	for (i = 0; i < ps->attaches.n; i++)
		if (ps->attaches.v[i]->abi == sides[side].at.abi)
			return ps->attaches.v[i];
	return dt_probes_add_attach(ps, &sides[side].at);
}

static int provide_side(struct dt_probes *ps, const struct dt_provider *self,
			const struct dt_field *func, int side)
{
	struct dt_attach *at = NULL;
	const struct dt_syscall *s;

	for (s = dt_syscalls; s < dt_syscalls + dt_nsyscalls; s++) {
		if (is_made(ps, id_of(s, side)) || !dt_field_match(func, s->name))
			continue;
		if (!at)
			at = attach_of(ps, side);
		if (!at || !dt_probes_add(ps, self, id_of(s, side), "vmlinux", s->name,
					  sides[side].name, at, s->nr, s))
			return -1;
	}
	return 0;
}

static int provide(struct dt_probes *ps, const struct dt_provider *self, const struct dt_pdesc *d)
{
	struct dt_field func = dt_field_of(d->func), name = dt_field_of(d->name);
	int side;

	if (!dt_glob_match(d->mod, "vmlinux"))
		return 0;
	for (side = 0; side < NSIDES; side++)
		if (dt_field_match(&name, sides[side].name) && provide_side(ps, self, &func, side))
			return -1;
	return 0;
}

/* Pointer types that do not look it. */
static bool is_pointer(const char *type)
{
	static const char *const hidden[] = { "cap_user_header_t", "cap_user_data_t" };
	size_t i;

	for (i = 0; i < DT_NELEM(hidden); i++)
		if (strcmp(type, hidden[i]) == 0)
			return true;
	return strchr(type, '*') != NULL;
}

static int args(struct dt_probes *ps, const struct dt_probe *p, struct dt_probe_args *out)
{
	const struct dt_syscall *s = p->priv;
	int i;

	if (p->at->abi == DT_ABI_SYS_EXIT) { /* the value, twice: as return probes have it */
		out->argc = 2;
		out->type[0] = out->type[1] = s->ret;
		return 0;
	}
	out->argc = s->nargs;
	for (i = 0; i < s->nargs; i++) {
		out->type[i] = s->arg[i];
		out->userland[i] = is_pointer(s->arg[i]);
	}
	return 0;
}

static const struct dt_stability stability = {
	.mod = DT_ATTR(PRIVATE, PRIVATE, UNKNOWN),
	.func = DT_ATTR(UNSTABLE, UNSTABLE, ISA),
	.name = DT_ATTR(EVOLVING, EVOLVING, COMMON),
	.args = DT_ATTR(PRIVATE, PRIVATE, ISA),
};

const struct dt_provider dt_provider_syscall = {
	.name = "syscall",
	.attr = DT_ATTR(EVOLVING, EVOLVING, COMMON),
	.stability = &stability,
	.numbered = true,
	.provide = provide,
	.args = args,
};
