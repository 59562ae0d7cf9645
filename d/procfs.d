/* SPDX-License-Identifier: Apache-2.0 */
/*
 * procfs.d - processes and threads, as their thread's task_struct shows them.
 *
 * Sizes are in KiB, times in nanoseconds; what Linux has no notion of is 0.  The arguments of a process lie in its own
 * memory, which can be read while it runs: of another one there is only the name.  Of a member that is given several
 * times, the first one counts that this kernel's types allow.
 */

typedef struct lwpsinfo {
	int pr_flag;
	id_t pr_lwpid;
	uintptr_t pr_addr;
	uintptr_t pr_wchan;
	char pr_stype;
	char pr_state;
	char pr_sname;
	char pr_nice;
	short pr_syscall;
	char pr_oldpri;
	char pr_cpu;
	int pr_pri;
	ushort_t pr_pctcpu;
	uint64_t pr_start;
	uint64_t pr_time;
	char pr_clname[8];
	char pr_name[16];
	int pr_onpro;
	int pr_bindpro;
	int pr_bindpset;
	int pr_lgrp;
} lwpsinfo_t;

typedef struct psinfo {
	int pr_nlwp;
	pid_t pr_pid;
	pid_t pr_ppid;
	pid_t pr_pgid;
	pid_t pr_sid;
	uid_t pr_uid;
	uid_t pr_euid;
	gid_t pr_gid;
	gid_t pr_egid;
	uintptr_t pr_addr;
	size_t pr_size;
	size_t pr_rssize;
	int pr_ttydev;
	ushort_t pr_pctcpu;
	ushort_t pr_pctmem;
	uint64_t pr_start;
	uint64_t pr_time;
	uint64_t pr_ctime;
	char pr_fname[16];
	char pr_psargs[80];
	int pr_wstat;
	int pr_argc;
	uintptr_t pr_argv;
	uintptr_t pr_envp;
	char pr_dmodel;
	int pr_taskid;
	int pr_projid;
	int pr_nzomb;
	int pr_poolid;
	int pr_zoneid;
	int pr_contract;
	lwpsinfo_t pr_lwp;
} psinfo_t;

inline char SSLEEP = 1;
inline char SRUN = 2;
inline char SZOMB = 3;
inline char SSTOP = 4;
inline char SIDL = 5;
inline char SONPROC = 6;
inline char SWAIT = 7;

inline char PR_MODEL_UNKNOWN = 0;
inline char PR_MODEL_ILP32 = 1;
inline char PR_MODEL_LP64 = 2;

inline int PR_STOPPED = 0x00000001;
inline int PR_ISTOP = 0x00000002;
inline int PR_DSTOP = 0x00000004;
inline int PR_ASLEEP = 0x00000080;
inline int PR_ISSYS = 0x00001000;
inline int PR_ORPHAN = 0x00004000;
inline int PR_IDLE = 0x10000000;

/* Faults, as args[0] of proc:::fault has them. */
inline int FLTILL = 1;
inline int FLTPRIV = 2;
inline int FLTBPT = 3;
inline int FLTTRACE = 4;
inline int FLTACCESS = 5;
inline int FLTBOUNDS = 6;
inline int FLTIOVF = 7;
inline int FLTIZDIV = 8;
inline int FLTFPE = 9;
inline int FLTSTACK = 10;
inline int FLTPAGE = 11;

/* Signals by which the kernel tells of faults: ILL 4, TRAP 5, BUS 7, FPE 8, SEGV 11. */
inline int __isfault[int sig] = sig < 12 && (1 << sig & 0x9b0);
inline int __fault[int sig, int code] =
	sig == 4 ? (code == 5 || code == 6 ? FLTPRIV : FLTILL) :
	sig == 5 ? (code == 2 ? FLTTRACE : FLTBPT) :
	sig == 7 ? FLTACCESS :
	sig == 8 ? (code == 1 ? FLTIZDIV : code == 2 ? FLTIOVF : FLTFPE) :
	(code == 2 ? FLTACCESS : FLTBOUNDS);

/* A task's exit_code as proc:::exit has it: CLD_EXITED, CLD_KILLED, CLD_DUMPED. */
inline int __exitcode[int code] = !(code & 0x7f) ? 1 : code & 0x80 ? 3 : 2;

/* Bits of a task's __state and exit_state: interruptible 1, uninterruptible 2, stopped 4, traced 8, dead 0x10,
 * zombie 0x20, parked 0x40, new 0x800, idle 0x402; running is 0. */
translator lwpsinfo_t < struct task_struct *T > {
	pr_flag = (T->__state & 0xc ? PR_STOPPED : 0) | (T->__state & 0x3 ? PR_ASLEEP : 0) |
		(T->flags & 0x200000 ? PR_ISSYS : 0) | (T->flags & 0x2 ? PR_IDLE : 0);
	pr_lwpid = T->pid;
	pr_addr = (uintptr_t)T;
	pr_wchan = 0;
	pr_stype = 0;
	pr_state = T->exit_state ? SZOMB : T->__state & 0xc ? SSTOP : T->__state & 0x800 ? SIDL :
		T->__state & 0x43 ? SSLEEP : T->on_cpu ? SONPROC : SRUN;
	pr_sname = T->exit_state ? 'Z' : T->__state & 0xc ? 'T' : T->__state & 0x800 ? 'I' :
		T->__state & 0x43 ? 'S' : T->on_cpu ? 'O' : 'R';
	pr_nice = T->static_prio - 120;
	pr_syscall = T == __running ? (short)uregs[15] : 0;
	pr_oldpri = 0;
	pr_cpu = 0;
	pr_pri = T->prio;
	pr_pctcpu = 0;
	pr_start = walltimestamp - timestamp + T->start_time;
	pr_time = T->se.sum_exec_runtime;
	pr_clname = T->policy == 0 ? "TS" : T->policy == 1 ? "FF" : T->policy == 2 ? "RR" :
		T->policy == 3 ? "B" : T->policy == 5 ? "IDL" : T->policy == 6 ? "DLN" :
		T->policy == 7 ? "EXT" : "?";
	pr_name = stringof(T->comm);
	pr_onpro = T->thread_info.cpu;
	pr_bindpro = T->nr_cpus_allowed == 1 ? (int)T->thread_info.cpu : -1;
	pr_bindpset = -1;
	pr_lgrp = 0;
};

translator psinfo_t < struct task_struct *T > {
	pr_nlwp = T->signal->nr_threads;
	pr_pid = T->tgid;
	pr_ppid = T->real_parent->tgid;
	pr_pgid = T->signal->pids[2]->numbers[0].nr;
	pr_sid = T->signal->pids[3]->numbers[0].nr;
	pr_uid = T->real_cred->uid.val;
	pr_euid = T->real_cred->euid.val;
	pr_gid = T->real_cred->gid.val;
	pr_egid = T->real_cred->egid.val;
	pr_addr = (uintptr_t)T;
	pr_size = T->mm ? T->mm->total_vm * 4 : 0;
	pr_rssize = T->mm ? 4 * (T->mm->rss_stat[0].count + T->mm->rss_stat[1].count +
		T->mm->rss_stat[3].count) : 0;
	pr_rssize = T->mm ? 4 * (T->mm->rss_stat.count[0].counter + T->mm->rss_stat.count[1].counter +
		T->mm->rss_stat.count[3].counter) : 0;
	pr_ttydev = T->signal->tty ? (T->signal->tty->driver->major << 20) +
		T->signal->tty->driver->minor_start + T->signal->tty->index : -1;
	pr_pctcpu = 0;
	pr_pctmem = 0;
	pr_start = walltimestamp - timestamp + T->group_leader->start_time;
	pr_time = T->signal->sum_sched_runtime + T->se.sum_exec_runtime;
	pr_ctime = T->signal->cutime + T->signal->cstime;
	pr_fname = stringof(T->group_leader->comm);
	pr_psargs = T->mm && T->mm == __running->mm ? substr(execargs, 0, 79) :
		stringof(T->group_leader->comm);
	pr_wstat = T->exit_code;
	pr_argc = T->mm && T->mm == __running->mm ? *(int *)copyin(T->mm->start_stack, 4) : 0;
	pr_argv = T->mm ? T->mm->start_stack + 8 : 0;
	pr_envp = T->mm && T->mm == __running->mm ?
		T->mm->start_stack + 16 + 8 * *(int *)copyin(T->mm->start_stack, 4) : 0;
	pr_dmodel = T->mm && T->mm->task_size < 0x100000000 ? PR_MODEL_ILP32 : PR_MODEL_LP64;
	pr_taskid = 0;
	pr_projid = 0;
	pr_nzomb = 0;
	pr_poolid = 0;
	pr_zoneid = 0;
	pr_contract = 0;
	pr_lwp = xlate <lwpsinfo_t>(T);
};

inline psinfo_t *curpsinfo = xlate <psinfo_t *>(curthread);
inline lwpsinfo_t *curlwpsinfo = xlate <lwpsinfo_t *>(curthread);

/* The process in its own pid namespace, and that namespace's inode, as in /proc/self/ns/pid. */
inline pid_t nspid =
	curthread->group_leader->thread_pid->numbers[curthread->group_leader->thread_pid->level].nr;
inline uint64_t nsid =
	curthread->thread_pid->numbers[curthread->thread_pid->level].ns->ns.inum;

/* The id of the container that the process runs in: 64 hexadecimal digits in the name of its cgroup, alone or as in
 * "docker-ID.scope"; "" outside of containers. */
inline string __cgroup_name = stringof(curthread->cgroups->dfl_cgrp->kn->name);
inline string __scope_id[string name] = substr(name, strlen(name) - 70, 64);
inline string container =
	strlen(__cgroup_name) == 64 ? __cgroup_name :
	strlen(__cgroup_name) > 70 && substr(__cgroup_name, -6) == ".scope" &&
	substr(__cgroup_name, strlen(__cgroup_name) - 71, 1) == "-" ? __scope_id[__cgroup_name] :
	"";
