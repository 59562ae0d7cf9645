/* SPDX-License-Identifier: Apache-2.0 */
/*
 * advance.c - from the first instruction of a new program to where its libraries are there.
 *
 * A process that we created stands at the end of execve(), where only the program and the dynamic linker are mapped.
 * When a description asks for its functions, it is run to the place that the option evaltime names: a breakpoint
 * there, by ptrace, which is gone again before anybody sees it.  The dynamic linker calls _dl_debug_state() for
 * debuggers when all libraries are mapped and none of their code has run (preinit); the entry of the program comes when
 * their constructors have run (postinit); then main().
 */
#include "proc/proc.h"
#include "proc/symbols.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

#define R_STATE 24     /* offset of r_state in struct r_debug */
#define CONSISTENT 0   /* RT_CONSISTENT of r_state */
#define MAX_STOPS 4096 /* signals and breakpoints on the way */

struct run {
	pid_t pid;
	u64 base, entry; /* of the dynamic linker (0: none), of the program */
	u64 at, state;   /* where to stop; where r_state is (0: the first time will do) */
	long word;       /* what was there */
};

/* ---- where -------------------------------------------------------------------------------------------------- */

static int read_auxv(struct run *r)
{
	char path[32];
	Elf64_auxv_t v[64];
	ssize_t n;
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/auxv", (int)r->pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	n = fd < 0 ? -1 : read(fd, v, sizeof(v));
	dt_cleanup_close(&fd);
	for (ssize_t i = 0; i < n / (ssize_t)sizeof(v[0]); i++) {
		if (v[i].a_type == AT_BASE)
			r->base = v[i].a_un.a_val;
		else if (v[i].a_type == AT_ENTRY)
			r->entry = v[i].a_un.a_val;
	}
	return r->entry ? 0 : -1;
}

/* The file that is mapped at an address, and how far its addresses are moved. */
struct mapped {
	u64 addr, bias;
	pid_t pid;
	struct dt_elf *elf;
};

static int see_row(const struct dt_maprow *row, void *arg)
{
	struct mapped *m = arg;
	_cleanup_fd_ int path = -1, fd = -1;
	struct stat st;
	u64 vaddr;

	if (m->addr < row->start || m->addr >= row->end)
		return 0;
	path = dt_locate_mapped(m->pid, row, &st);
	fd = path < 0 ? -1 : dt_reopen(path);
	m->elf = fd < 0 ? NULL : dt_elf_open(fd, row->path, false);
	if (!m->elf || !m->elf->is64 || dt_elf_vaddr(m->elf, row->off, row->exec, &vaddr) < 0)
		return -1;
	m->bias = row->start - vaddr;
	return 1;
}

static int find_mapped(struct mapped *m)
{
	char path[32];
	size_t len;
	_cleanup_free_ char *text = NULL;

	snprintf(path, sizeof(path), "/proc/%d/maps", (int)m->pid);
	text = dt_read_text(path, 1 << 20, &len);
	return text && dt_maps_parse(text, len, see_row, m) == 1 ? 0 : -1;
}

static u64 symbol_in(const struct mapped *m, const char *name)
{
	const struct dt_addrtab *t = &m->elf->syms;

	for (u32 i = 0; i < t->n; i++)
		if (strcmp(dt_addrtab_name(t, &t->v[i]), name) == 0)
			return t->v[i].addr + m->bias;
	return 0;
}

static void find_place(struct run *r, enum dt_evaltime when)
{
	struct mapped m = { .pid = r->pid, .addr = when == DT_EVAL_MAIN ? r->entry : r->base };

	r->at = r->entry;
	if (when == DT_EVAL_POSTINIT || !m.addr)
		return;
	if (find_mapped(&m) < 0) {
		dt_elf_free(m.elf);
		return;
	}
	if (when == DT_EVAL_MAIN) {
		r->at = symbol_in(&m, "main");
	} else {
		r->at = symbol_in(&m, "_dl_debug_state");
		r->state = symbol_in(&m, "_r_debug");
		r->state += r->state ? R_STATE : 0;
	}
	dt_elf_free(m.elf);
	if (r->at)
		return;
	r->at = r->entry; /* without symbols: as far as we know how to get */
	r->state = 0;
}

/* ---- running ------------------------------------------------------------------------------------------------- */

static int wait_stop(pid_t pid, int *status)
{
	pid_t got;

	do {
		got = waitpid(pid, status, __WALL);
	} while (got < 0 && errno == EINTR);
	return got == pid && WIFSTOPPED(*status) ? 0 : -1;
}

static int set_word(const struct run *r, long word)
{
	return ptrace(PTRACE_POKETEXT, r->pid, (void *)(uintptr_t)r->at, (void *)word) < 0 ? -1 : 0;
}

static int arm(const struct run *r)
{
	return set_word(r, (r->word & ~0xffl) | 0xcc);
}

static bool is_there(const struct run *r)
{
	long word;

	if (!r->state)
		return true;
	errno = 0;
	word = ptrace(PTRACE_PEEKDATA, r->pid, (void *)(uintptr_t)r->state, NULL);
	return errno || (u32)word == CONSISTENT;
}

/* Stopped behind the breakpoint: back to it, with the instruction that belongs there. */
static int leave_breakpoint(const struct run *r)
{
	struct user_regs_struct regs;

	if (ptrace(PTRACE_GETREGS, r->pid, NULL, &regs) < 0 || regs.rip != r->at + 1)
		return 1;
	regs.rip = r->at;
	if (ptrace(PTRACE_SETREGS, r->pid, NULL, &regs) < 0 || set_word(r, r->word) < 0)
		return -1;
	return 0;
}

static int step_over(const struct run *r)
{
	int status;

	if (ptrace(PTRACE_SINGLESTEP, r->pid, NULL, NULL) < 0 || wait_stop(r->pid, &status) < 0)
		return -1;
	return arm(r);
}

/* Up to the place.  Signals on the way are passed on. */
static int run_to(const struct run *r)
{
	int status, sig = 0;

	for (u32 i = 0; i < MAX_STOPS; i++, sig = 0) {
		if (ptrace(PTRACE_CONT, r->pid, NULL, (void *)(intptr_t)sig) < 0 ||
		    wait_stop(r->pid, &status) < 0)
			return -1;
		if (status >> 16) /* a stop of the tracing's own */
			continue;
		sig = WSTOPSIG(status);
		if (sig != SIGTRAP)
			continue;
		switch (leave_breakpoint(r)) {
		case 1: continue; /* another one: the program's */
		case 0: break;
		default: return -1;
		}
		if (is_there(r))
			return 0;
		if (step_over(r) < 0)
			return -1;
	}
	return -1;
}

static int run_program(struct run *r, enum dt_evaltime when)
{
	find_place(r, when);
	errno = 0;
	r->word = ptrace(PTRACE_PEEKTEXT, r->pid, (void *)(uintptr_t)r->at, NULL);
	if (errno || arm(r) < 0)
		return -1;
	return run_to(r);
}

int dt_proc_run_to(pid_t pid, enum dt_evaltime when)
{
	struct run r = { .pid = pid };
	int status, rv;

	if (when == DT_EVAL_EXEC || read_auxv(&r) < 0)
		return 0;
	if (when == DT_EVAL_PREINIT && !r.base) /* linked statically: all is there */
		return 0;
	if (ptrace(PTRACE_SEIZE, pid, NULL, NULL) < 0)
		return -1;
	rv = ptrace(PTRACE_INTERRUPT, pid, NULL, NULL) < 0 || wait_stop(pid, &status) < 0 ?
		     -1 :
		     run_program(&r, when);
	/* Its group never left the stop, so that it stands still again; should a SIGCONT have come, this stops it. */
	kill(pid, SIGSTOP);
	ptrace(PTRACE_DETACH, pid, NULL, NULL);
	return rv;
}
