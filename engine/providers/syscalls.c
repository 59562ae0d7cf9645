/* SPDX-License-Identifier: Apache-2.0 */
/*
 * syscalls.c - the system calls of x86-64, generated facts (tools/gen-syscalls.py).  Calls that the
 * running kernel lacks are in too: their probes never fire, and to find out costs more than that
 * they are listed.
 */
#include "probe/probe.h"

const struct dt_syscall dt_syscalls[] = {
#define SYSCALL(nr, name, nargs, ...) { nr, name, "long", nargs, { __VA_ARGS__ } },
#include "providers/syscalls_x86_64.def"
#undef SYSCALL
};

const u32 dt_nsyscalls = DT_NELEM(dt_syscalls);

const u16 dt_compat_syscalls[DT_NCOMPAT] = {
#define COMPAT(nr, native, name) [nr] = 1 + (native),
#include "providers/syscalls_i386.def"
#undef COMPAT
};
