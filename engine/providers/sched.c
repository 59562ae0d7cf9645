/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sched.c - threads and processors: who runs, who waits for a processor, who sleeps.
 *
 * At one switch the probes of the thread that leaves come before those of the one that arrives.
 */
#include "providers/derived.h"

#define SWITCH \
	TP("sched_switch", "_Bool preempt", "struct task_struct *prev", \
	   "struct task_struct *next", "unsigned int state")

/* State 0 is running: it would go on if it could.  0x80 is dead. */
#define LEAVES_RUNNABLE "(preempt || state == 0)"

static const struct dt_derived rows[] = {
	{ .prov = "sched", .name = "preempt", SWITCH, .when = "prev->pid && " LEAVES_RUNNABLE },
	{ .prov = "sched", .name = "sleep", SWITCH, .when = "!preempt && state && !(state & 0x80)" },
	{ .prov = "sched", .name = "off-cpu", SWITCH, .args = { LWP("next"), PROC("next") } },
	{ .prov = "sched",
	  .name = "enqueue",
	  SWITCH,
	  .when = "prev->pid && " LEAVES_RUNNABLE,
	  .args = { LWP("prev"), PROC("prev"), CPUINFO("cpu"), VALUE("int", "(int)preempt") } },
	{ .prov = "sched",
	  .name = "dequeue",
	  SWITCH,
	  .when = "next->pid",
	  .args = { LWP("next"), PROC("next"), CPUINFO("cpu"), VALUE("int", "0") } },
	{ .prov = "sched", .name = "on-cpu", SWITCH, .task = "next" },
	{ .prov = "sched",
	  .name = "remain-cpu",
	  TP("sched_exit_tp", "_Bool switched"),
	  .when = "!switched" },
	{ .prov = "sched",
	  .name = "enqueue",
	  TP("sched_wakeup", "struct task_struct *task"),
	  .args = { LWP("task"), PROC("task"), CPUINFO("task->thread_info.cpu"), VALUE("int", "0") } },
	{ .prov = "sched",
	  .name = "enqueue",
	  TP("sched_wakeup_new", "struct task_struct *task"),
	  .args = { LWP("task"), PROC("task"), CPUINFO("task->thread_info.cpu"), VALUE("int", "0") } },
	/* From queue to queue: while it sleeps it is in none. */
	{ .prov = "sched",
	  .name = "dequeue",
	  TP("sched_migrate_task", "struct task_struct *task", "int to"),
	  .when = "task->on_rq",
	  .args = { LWP("task"), PROC("task"), CPUINFO("task->thread_info.cpu"), VALUE("int", "0") } },
	{ .prov = "sched",
	  .name = "enqueue",
	  TP("sched_migrate_task", "struct task_struct *task", "int to"),
	  .when = "task->on_rq",
	  .args = { LWP("task"), PROC("task"), CPUINFO("to"), VALUE("int", "0") } },
	{ .prov = "sched",
	  .name = "wakeup",
	  TP("sched_waking", "struct task_struct *task"),
	  .args = { LWP("task"), PROC("task") } },
	/* "Start scheduler-tick" of the thread that the clock finds */
	{ .prov = "sched",
	  .name = "tick",
	  TP("rcu_utilization", "char *what"),
	  .when = "*what == 'S' && what[6] == 's'",
	  .args = { LWP("curthread"), PROC("curthread") } },
	{ .prov = "sched",
	  .name = "surrender",
	  TP("sys_enter", "struct pt_regs *regs", "long nr"),
	  .when = "__isyield[nr]",
	  .args = { LWP("curthread"), PROC("curthread") } },
	{ .prov = "sched",
	  .name = "change-pri",
	  FUNCTION("set_user_nice", "struct task_struct *task", "long nice"),
	  .when = "nice >= -20 && nice < 20 && task->static_prio != 120 + nice",
	  .args = { LWP("task"), PROC("task"), VALUE("int", "(int)(120 + nice)") } },
	/* Policies 1 and 2 are real-time ones. */
	{ .prov = "sched",
	  .name = "change-pri",
	  FUNCTION("__sched_setscheduler", "struct task_struct *task", "struct sched_attr *attr"),
	  .args = { LWP("task"), PROC("task"),
		    VALUE("int", "attr->sched_policy == 1 || attr->sched_policy == 2 ?"
				 " 99 - (int)attr->sched_priority : 120 + attr->sched_nice") } },
	{ .prov = "sched",
	  .name = "change-pri",
	  TP("sched_pi_setprio", "struct task_struct *task", "uint64_t donor"),
	  .args = { LWP("task"), PROC("task"),
		    VALUE("int", "donor && ((struct task_struct *)donor)->prio < task->normal_prio ?"
				 " ((struct task_struct *)donor)->prio : task->normal_prio") } },
	{ .name = NULL },
};

DT_DERIVED_PROVIDER(sched, "sched", rows);
