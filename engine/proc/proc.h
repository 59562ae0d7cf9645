/* SPDX-License-Identifier: Apache-2.0 */
/*
 * proc.h - names for addresses, and processes under our control.
 *
 * ksym: /proc/kallsyms, read at the first need, sorted, shared by the handle.
 * usym: per process: /proc/PID/maps, ELF symbol tables (symtab, dynsym, debug files by build id), the vDSO,
 * /tmp/perf-PID.map.  What was learnt about a process is kept after its exit.  All that a process can
 * influence (ELF files, maps, perf maps) is hostile: every offset is checked, sizes are bounded, perf maps
 * are taken only when owned by the process's user or root and are regular files.
 */
#ifndef DT_PROC_H
#define DT_PROC_H

#include <sys/types.h>
#include "base/base.h"

/* ---- kernel symbols ---- */
struct dt_ksyms;
struct dt_ksyms *dt_ksyms_new(struct dt_error *err); /* cheap: reads nothing yet */
void dt_ksyms_free(struct dt_ksyms *k);
struct dt_ksym {
	const char *mod; /* "vmlinux" or the module's name; "bpf" for JITed programs */
	const char *name;
	u64 addr, size; /* size: distance to the next symbol, at most */
};
/* 0, or -1 when no symbol covers the address / has that name (mod NULL or "": any).  The strings are valid
 * until the next question. */
int dt_ksyms_by_addr(struct dt_ksyms *k, u64 addr, struct dt_ksym *out);
int dt_ksyms_by_name(struct dt_ksyms *k, const char *mod, const char *name, struct dt_ksym *out);
/* The kernel does not tell addresses to this process: all questions give -1. */
bool dt_ksyms_hidden(struct dt_ksyms *k);

/* A file of tracefs, wherever that is mounted, or even if it is not: on the heap, NUL-terminated.  NULL with errno. */
char *dt_tracefs_read(const char *file);

/* ---- user symbols ---- */
struct dt_usyms; /* all processes known to a handle */
struct dt_usyms *dt_usyms_new(void);
void dt_usyms_free(struct dt_usyms *u);
/* Learn a process's mappings while it lives (again when they may have changed); cheap when known and
 * unchanged.  0, or -1 when it is gone and was never known. */
int dt_usyms_learn(struct dt_usyms *u, pid_t pid);
/* The same, whether there is a sign of change or not: of a young process, which is still mapping files. */
int dt_usyms_look(struct dt_usyms *u, pid_t pid);
struct dt_usym {
	const char *object; /* basename of the mapped file; "[vdso]", "[heap]" ... or "perf" ; "" unknown */
	const char *path;
	const char *name; /* "" unknown */
	u64 offset;       /* from name's start; without a name: from the object's load address (file
			       offset based) */
	bool known_object;
};
/* Resolve; learns the process by itself.  -1 when nothing is known.  The strings are valid until the next
 * question; they hold no control characters. */
int dt_usyms_resolve(struct dt_usyms *u, pid_t pid, u64 addr, struct dt_usym *out);

/* The address of a symbol in the first object mapped for execution whose name `object` accepts. */
int dt_usyms_address(struct dt_usyms *u, pid_t pid, bool (*object)(const char *name),
		     const char *symbol, u64 *addr);
/* Text that stands for an address in stacks: dt_uaddr_str() gives it back. */
#define DT_UADDR_IS_TEXT(addr) ((addr) >> 48 == 0x8001)
u64 dt_usyms_text(struct dt_usyms *u, const char *text);
/* python.c: where a process's CPython keeps its frames; -1: it has none, or one of a version that is not known. */
struct dt_py_layout;
int dt_python_layout(struct dt_usyms *u, pid_t pid, struct dt_py_layout *out);
/* The line of an instruction, by a code object's table of lines and its first one; by what a record says of it
 * (DT_PY_UNIT_BITS), while the process is there.  0: it is not known. */
u32 dt_python_line(const u8 *table, size_t n, u32 first, u32 unit);
u32 dt_python_line_of(pid_t pid, const struct dt_py_layout *l, u64 where, u32 first);
/* Unwinding without frame pointers will be asked for: files are read with that in mind from now on. */
void dt_usyms_unwind_on(struct dt_usyms *u);
/* A process's stack, from registers (struct pt_regs) and a copy of the memory from base on, into pcs; gives how many
 * of them there are, at most max.  Where there are no rules for a piece of code, its frame pointer is tried. */
u32 dt_usyms_unwind(struct dt_usyms *u, pid_t pid, const u64 regs[21], u64 base, const void *stack,
		    size_t size, u64 *pcs, u32 max);

/* ---- text forms used by printing: length needed is returned, as snprintf does ---- */
/* mod`sym+0xoff, offset left out when 0; 0xADDR when unknown */
int dt_kaddr_str(struct dt_ksyms *k, u64 addr, char *buf, size_t size);
/* obj`sym+0xoff; obj`0xADDR when only the object is known; 0xADDR */
int dt_uaddr_str(struct dt_usyms *u, pid_t pid, u64 addr, char *buf, size_t size);

/* ---- files with code, for the providers of user level (struct dt_user, probe/probe.h) ---- */
struct dt_users;
struct dt_user;
struct dt_users *dt_users_new(struct dt_error *err);
void dt_users_free(struct dt_users *u);
void dt_users_ops(struct dt_users *u, struct dt_user *ops);
/* Called before the files of a process are looked at. */
void dt_users_before(struct dt_users *u, void (*fn)(void *arg, pid_t pid), void *arg);
/* A number that stands for the files with code that a process maps; 0: it is gone. */
u64 dt_users_files(struct dt_users *u, pid_t pid);

/* ---- processes: dtrace_proc_create and _grab ---- */
struct dt_proc; /* a ps_prochandle */
enum dt_proc_state { DT_PROC_STOPPED, DT_PROC_RUNNING, DT_PROC_EXITED, DT_PROC_LOST };
/* Fork and exec file (searched in PATH); the child waits, stopped at its first instruction after exec,
 * until dt_proc_continue(). Standard streams are inherited. */
/* envp NULL: our own environment */
struct dt_proc *dt_proc_create(struct dt_error *err, const char *file, char *const argv[],
			       char *const envp[]);
/* Watch an existing process (never stops it). */
struct dt_proc *dt_proc_grab(struct dt_error *err, pid_t pid);
int dt_proc_continue(struct dt_proc *p);
/* How far a created process is run before its functions are looked at: not at all, to where its libraries are mapped,
 * where their constructors have run, main(). */
enum dt_evaltime { DT_EVAL_EXEC, DT_EVAL_PREINIT, DT_EVAL_POSTINIT, DT_EVAL_MAIN };
/* For one that has not been continued; a second time nothing happens.  -1: it got elsewhere, or ended. */
int dt_proc_advance(struct dt_proc *p, enum dt_evaltime when);
int dt_proc_run_to(pid_t pid, enum dt_evaltime when); /* advance.c: a stopped child of ours */
/* A created process that still runs is left running (flag kill false) or killed. */
void dt_proc_release(struct dt_proc *p, bool kill);
pid_t dt_proc_pid(const struct dt_proc *p);
/* Non-blocking; *status is wait(2)'s for created ones, -1 when unknown. */
enum dt_proc_state dt_proc_poll(struct dt_proc *p, int *status);
int dt_proc_fd(const struct dt_proc *p); /* pidfd: readable at exit; -1: none */

#endif
