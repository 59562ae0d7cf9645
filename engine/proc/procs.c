/* SPDX-License-Identifier: Apache-2.0 */
/*
 * procs.c - processes under our control: created ones, and existing ones that are watched.
 *
 * A created process must stand still at the first instruction of its new program until tracing runs.  So
 * its exec is traced: the child asks for it, the kernel stops it at the end of execve(), and there it gets
 * a SIGSTOP in place of the tracing, which any thread of ours can end by SIGCONT.  That also tells
 * whether exec worked at all; the reason of a failure comes through a pipe that exec closes.
 *
 * The child stays in our process group, so a ^C reaches both.  We wait for our own children by number only,
 * and signals go through the pidfd, which no other process can inherit.
 */
#include "proc/proc.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

struct dt_proc {
	pid_t pid;
	int pidfd;
	bool created, advanced;
	enum dt_proc_state state;
	int status; /* of wait(2); -1: not known */
};

static int pidfd_open(pid_t pid)
{
	return (int)syscall(SYS_pidfd_open, pid, 0);
}

static int proc_signal(const struct dt_proc *p, int sig)
{
	return (int)syscall(SYS_pidfd_send_signal, p->pidfd, sig, NULL, 0);
}

static struct dt_proc *proc_new(pid_t pid, bool created)
{
	struct dt_proc *p = calloc(1, sizeof(*p));

	if (p)
		*p = (struct dt_proc){ .pid = pid,
				       .pidfd = pidfd_open(pid),
				       .created = created,
				       .state = DT_PROC_RUNNING,
				       .status = -1 };
	return p;
}

static void proc_free(struct dt_proc *p)
{
	if (p && p->pidfd >= 0)
		close(p->pidfd);
	free(p);
}

/* ---- in the child, between fork and exec: async-signal-safe calls only ------------------------------------ */

static void default_signals(void)
{
	struct sigaction sa = { .sa_handler = SIG_DFL };
	sigset_t none;

	for (int sig = 1; sig < _NSIG; sig++)
		sigaction(sig, &sa, NULL); /* fails for some, which have no other disposition */
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
}

static _Noreturn void child(const char *file, char *const argv[], char *const envp[], int report)
{
	int why;

	default_signals();
	if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) == 0) {
		execvpe(file, argv, envp);
		why = errno;
	} else {
		why = -errno; /* not the file's fault */
	}
	while (write(report, &why, sizeof(why)) < 0 && errno == EINTR)
		;
	_exit(127);
}

/* ---- in the parent ----------------------------------------------------------------------------------------- */

static pid_t wait_for(pid_t pid, int *status, int flags)
{
	pid_t got;

	do {
		got = waitpid(pid, status, flags);
	} while (got < 0 && errno == EINTR);
	return got;
}

/* With all signals blocked, so that no handler of ours runs in the child. */
static pid_t fork_child(const char *file, char *const argv[], char *const envp[], const int report[2])
{
	sigset_t all, old;
	pid_t pid;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	pid = fork();
	if (pid == 0)
		child(file, argv, envp, report[1]);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	return pid;
}

/* Until the SIGTRAP at the end of exec; signals that come before are passed on.  -1: the child has ended. */
static int wait_exec(pid_t pid)
{
	int status;

	for (;;) {
		if (wait_for(pid, &status, 0) != pid || !WIFSTOPPED(status))
			return -1;
		if (WSTOPSIG(status) == SIGTRAP)
			return 0;
		ptrace(PTRACE_CONT, pid, NULL, (void *)(intptr_t)WSTOPSIG(status));
	}
}

/* From the stop of the tracing to that of SIGSTOP, which comes before any instruction of the program. */
static int hand_over(pid_t pid)
{
	int status;

	if (kill(pid, SIGSTOP) < 0 || ptrace(PTRACE_DETACH, pid, NULL, NULL) < 0)
		return -1;
	return wait_for(pid, &status, WUNTRACED) == pid && WIFSTOPPED(status) ? 0 : -1;
}

static struct dt_proc *exec_failed(struct dt_error *err, const char *file, int report)
{
	int why = 0;

	if (read(report, &why, sizeof(why)) != sizeof(why) || why == 0)
		return dt_fail_null(err, ECHILD, "'%s' ended before it was running", file);
	errno = abs(why);
	return dt_fail_null(
		err, abs(why),
		why > 0 ? "cannot run '%s': %m" : "cannot run '%s' under control: ptrace: %m", file);
}

static struct dt_proc *take_child(struct dt_error *err, const char *file, pid_t pid, int report)
{
	struct dt_proc *p;

	if (wait_exec(pid) < 0)
		return exec_failed(err, file, report);
	p = proc_new(pid, true);
	if (p && p->pidfd >= 0 && hand_over(pid) == 0) {
		p->state = DT_PROC_STOPPED;
		return p;
	}
	dt_fail(err, p ? errno : ENOMEM, "cannot take control of '%s': %m", file);
	kill(pid, SIGKILL);
	wait_for(pid, NULL, 0);
	proc_free(p);
	return NULL;
}

struct dt_proc *dt_proc_create(struct dt_error *err, const char *file, char *const argv[],
			       char *const envp[])
{
	char *const only_name[] = { (char *)file, NULL };
	struct dt_proc *p;
	int report[2];
	pid_t pid;

	if (pipe2(report, O_CLOEXEC) < 0)
		return dt_fail_null(err, errno, "cannot run '%s': pipe: %m", file);
	pid = fork_child(file, argv && argv[0] ? argv : only_name, envp ? envp : environ, report);
	close(report[1]);
	p = pid < 0 ? dt_fail_null(err, errno, "cannot run '%s': fork: %m", file) :
		      take_child(err, file, pid, report[0]);
	close(report[0]);
	return p;
}

struct dt_proc *dt_proc_grab(struct dt_error *err, pid_t pid)
{
	struct dt_proc *p = proc_new(pid, false);
	int why = errno;

	if (p && p->pidfd >= 0)
		return p;
	why = p ? why : ENOMEM;
	proc_free(p);
	errno = why;
	return dt_fail_null(err, why, "cannot grab process %d: %m", (int)pid);
}

int dt_proc_advance(struct dt_proc *p, enum dt_evaltime when)
{
	if (!p->created || p->state != DT_PROC_STOPPED || p->advanced)
		return 0;
	p->advanced = true;
	return dt_proc_run_to(p->pid, when);
}

int dt_proc_continue(struct dt_proc *p)
{
	if (p->state != DT_PROC_STOPPED)
		return 0;
	if (proc_signal(p, SIGCONT) < 0)
		return -1;
	p->state = DT_PROC_RUNNING;
	return 0;
}

/* The exit of a child of ours, without blocking; somebody else may have waited for it. */
static void reap(struct dt_proc *p)
{
	int status;
	pid_t got = wait_for(p->pid, &status, WNOHANG);

	if (got == 0)
		return;
	p->state = DT_PROC_EXITED;
	if (got == p->pid)
		p->status = status;
}

static void look(struct dt_proc *p)
{
	struct pollfd fd = { .fd = p->pidfd, .events = POLLIN };
	int n = poll(&fd, 1, 0);

	if (n > 0)
		p->state = DT_PROC_EXITED;
	else if (n < 0 && errno != EINTR)
		p->state = DT_PROC_LOST;
}

enum dt_proc_state dt_proc_poll(struct dt_proc *p, int *status)
{
	if (p->state == DT_PROC_RUNNING || p->state == DT_PROC_STOPPED) {
		if (p->created)
			reap(p);
		else
			look(p);
	}
	if (status)
		*status = p->status;
	return p->state;
}

void dt_proc_release(struct dt_proc *p, bool kill_it)
{
	if (!p)
		return;
	if (p->created && dt_proc_poll(p, NULL) != DT_PROC_EXITED) {
		if (!kill_it)
			dt_proc_continue(p);
		else if (proc_signal(p, SIGKILL) == 0)
			wait_for(p->pid, NULL, 0);
	}
	proc_free(p);
}

pid_t dt_proc_pid(const struct dt_proc *p)
{
	return p->pid;
}

int dt_proc_fd(const struct dt_proc *p)
{
	return p->pidfd;
}
