/* SPDX-License-Identifier: Apache-2.0 */
/*
 * proc.c - the life of processes and threads, and signals.
 *
 * lwp- probes fire for every thread, the first one of a process too.
 */
#include "providers/derived.h"

#define FORK TP("sched_process_fork", "struct task_struct *parent", "struct task_struct *child")
#define SWITCH \
	TP("sched_switch", "_Bool preempt", "struct task_struct *prev", "struct task_struct *next")
#define SYS_ENTER TP("sys_enter", "struct pt_regs *regs", "long nr")
#define SYS_EXIT TP("sys_exit", "struct pt_regs *regs", "long ret")
#define SIGNAL \
	TP("signal_generate", "int sig", "uint64_t info", "struct task_struct *task", "int group", \
	   "int result")

/* It never ran: who was switched out once has been counted. */
#define FIRST_RUN "next->pid && !next->nvcsw && !next->nivcsw"

/* The last thread ends.  Kernels that do not say so: the thread that the process has its number from, unless another one
 * takes over that number in execve(). */
#define HOW(task) "__exitcode[" task "->exit_code]"
#define LEADER_ENDS "task->pid == task->tgid && !task->signal->group_exec_task"

/* A fault of the thread's own: the kernel sends it a signal and says where. */
#define FAULTED \
	"task == __running && info > 1 && ((struct kernel_siginfo *)info)->si_code > 0 && __isfault[sig]"

static const struct dt_derived rows[] = {
	{ .prov = "proc",
	  .name = "create",
	  FORK,
	  .when = "child->pid == child->tgid",
	  .args = { PROC("child") } },
	{ .prov = "proc", .name = "lwp-create", FORK, .args = { LWP("child"), PROC("child") } },
	{ .prov = "proc",
	  .name = "start",
	  SWITCH,
	  .task = "next",
	  .when = FIRST_RUN " && next->pid == next->tgid" },
	{ .prov = "proc", .name = "lwp-start", SWITCH, .task = "next", .when = FIRST_RUN },
	{ .prov = "proc",
	  .name = "exec",
	  SYS_ENTER,
	  .when = "__isexec[nr]",
	  .args = { { "string", "uint64_t", "__sysarg[regs, __isexecat[nr]]",
		      "copyinstr(__sysarg[regs, __isexecat[nr]])" } } },
	{ .prov = "proc",
	  .name = "exec-failure",
	  SYS_EXIT,
	  .when = "ret < 0 && __isexec[__sysnr[regs]]",
	  .args = { VALUE("int", "(int)-ret") } },
	{ .prov = "proc", .name = "exec-success", TP("sched_process_exec", "struct task_struct *task") },
	{ .prov = "proc",
	  .name = "exit",
	  TP("sched_process_exit", "struct task_struct *task", "_Bool last"),
	  .when = "last",
	  .args = { VALUE("int", HOW("task")) } },
	{ .prov = "proc",
	  .name = "exit",
	  TP("sched_process_exit", "struct task_struct *task"),
	  .when = LEADER_ENDS,
	  .args = { VALUE("int", HOW("task")) } },
	{ .prov = "proc", .name = "lwp-exit", TP("sched_process_exit", "struct task_struct *task") },
	{ .prov = "proc",
	  .name = "fault",
	  SIGNAL,
	  .when = FAULTED,
	  .args = { VALUE("int", "__fault[sig, ((struct kernel_siginfo *)info)->si_code]"),
		    VALUE("siginfo_t *", "(siginfo_t *)info") } },
	{ .prov = "proc",
	  .name = "signal-send",
	  SIGNAL,
	  .args = { LWP("task"), PROC("task"), VALUE("int", "sig") } },
	{ .prov = "proc",
	  .name = "signal-discard",
	  SIGNAL,
	  .when = "result == 1",
	  .args = { LWP("task"), PROC("task"), VALUE("int", "sig") } },
	{ .prov = "proc",
	  .name = "signal-handle",
	  TP("signal_deliver", "int sig", "struct kernel_siginfo *info", "struct k_sigaction *action"),
	  .when = "(uintptr_t)action->sa.sa_handler > 1",
	  .args = { VALUE("int", "sig"), VALUE("siginfo_t *", "(siginfo_t *)(uintptr_t)info"),
		    VALUE("void *", "(void *)(uintptr_t)action->sa.sa_handler") } },
	{ .prov = "proc",
	  .name = "signal-clear",
	  SYS_EXIT,
	  .when = "ret > 0 && __issigwait[__sysnr[regs]]",
	  .args = { VALUE("int", "(int)ret") } },
	{ .name = NULL },
};

DT_DERIVED_PROVIDER(proc, "proc", rows);
