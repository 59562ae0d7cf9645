/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cpp.c - the C preprocessor, run on a program before it is compiled (option cpp, dtrace -C).
 *
 * A program of the system, "cpp" or what option cpppath names.  It reads the program from its standard input
 * and marks in what it writes which line of which file comes next: the lexer understands these marks (pragma.c),
 * so messages name the places that the user knows.  Nothing of it lies in the file system.
 */
#include <errno.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "api/handle.h"

#define NOT_FOUND 127 /* exit status of one that has gone between looking and running */

extern char **environ;

/* ---- the command line -------------------------------------------------------------------------------------- */

struct args {
	struct dt_arena *a;
	DT_VEC(const char *) v;
	bool failed;
};

static void add(struct args *args, const char *text)
{
	const char **slot = text ? dt_vec_push(args->a, &args->v) : NULL;

	if (slot)
		*slot = text;
	else
		args->failed = true;
}

static void add_all(struct args *args, const dtrace_hdl_t *h)
{
	static const struct {
		enum dt_optid id;
		const char *flag;
	} flags[] = {
		{ DT_OPT_DEFINE, "-D" },
		{ DT_OPT_UNDEF, "-U" },
		{ DT_OPT_INCDIR, "-I" },
		{ DT_OPT_CPPARGS, "" },
	};
	u32 i;
	size_t k;

	for (i = 0; i < h->opts.given.n; i++)
		for (k = 0; k < DT_NELEM(flags); k++)
			if (h->opts.given.v[i].id == flags[k].id)
				add(args, dt_arena_printf(args->a, "%s%s", flags[k].flag,
							  h->opts.given.v[i].text));
}

/* What the degree of conformance (option stdc, dtrace -X) asks of the preprocessor. */
static const char *conformance(const char *degree)
{
	if (!degree)
		return NULL;
	return degree[0] == 'c' ? "-std=c99" : degree[0] == 'a' ? NULL : "-traditional-cpp";
}

static void make_args(struct args *args, const dtrace_hdl_t *h, const char *path, const char *dir)
{
	/* words that some preprocessors take for macros of their own; the compiler's own words in headers of the
	 * system; those of the headers that are nothing but functions */
	static const char *const words[] = { "-Ulinux",
					     "-Uunix",
					     "-Ui386",
					     "-D__SUNW_D=1",
					     "-D__attribute__(x)=",
					     "-D__extension__=",
					     "-D__restrict=",
					     "-D__inline=",
					     "-D__signed__=signed",
					     "-D__asm__(x)=",
					     "-D_BITS_BYTESWAP_H=1",
					     "-D_BITS_UINTN_IDENTITY_H=1" };
	const char *std = conformance(dt_opt_text(h, DT_OPT_STDC)), **end;

	add(args, path);
	for (size_t i = 0; i < DT_NELEM(words); i++)
		add(args, words[i]);
	add(args, dt_arena_printf(args->a, "-D__SUNW_D_VERSION=0x%08x", dt_version_number(h)));
	if (std)
		add(args, std);
	if (dt_opt(h, DT_OPT_CPPHDRS))
		add(args, "-H");
	if (dir) {
		add(args, "-iquote");
		add(args, dir);
	}
	add_all(args, h);
	add(args, "-");
	end = dt_vec_push(args->a, &args->v);
	args->failed = args->failed || !end;
}

/* ---- running it -------------------------------------------------------------------------------------------- */

struct pipes {
	int in, out, err;
};

static int write_all(int fd, const char *s, size_t n)
{
	ssize_t done;

	for (; n; s += done, n -= (size_t)done) {
		done = write(fd, s, n);
		if (done < 0 && errno != EINTR)
			return -1;
		done = DT_MAX(done, 0);
	}
	return 0;
}

/* The program without its first line when that is for the system's eyes ("#!"). */
static int put_program(int fd, const char *text, size_t len)
{
	const char *end =
		len > 1 && text[0] == '#' && text[1] == '!' ? memchr(text, '\n', len) : NULL;
	size_t skip = end ? (size_t)(end - text) : 0;

	if (write_all(fd, text + skip, len - skip) < 0 || lseek(fd, 0, SEEK_SET) < 0)
		return -1;
	return 0;
}

static int get_text(int fd, struct dt_str *out)
{
	char buf[16384];
	ssize_t n;

	if (lseek(fd, 0, SEEK_SET) < 0)
		return -1;
	while ((n = read(fd, buf, sizeof(buf))) > 0)
		dt_str_putn(out, buf, (size_t)n);
	return n < 0 || out->failed ? -1 : 0;
}

static int spawn(const struct pipes *p, char *const argv[], pid_t *pid)
{
	posix_spawn_file_actions_t files;
	posix_spawnattr_t attr;
	sigset_t none, pipe;
	int err;

	sigemptyset(&none);
	sigemptyset(&pipe);
	sigaddset(&pipe, SIGPIPE);
	if (posix_spawn_file_actions_init(&files))
		return ENOMEM;
	if (posix_spawnattr_init(&attr)) {
		posix_spawn_file_actions_destroy(&files);
		return ENOMEM;
	}
	err = posix_spawn_file_actions_adddup2(&files, p->in, STDIN_FILENO);
	err = err ? err : posix_spawn_file_actions_adddup2(&files, p->out, STDOUT_FILENO);
	err = err ? err : posix_spawn_file_actions_adddup2(&files, p->err, STDERR_FILENO);
	posix_spawnattr_setsigmask(&attr, &none);
	posix_spawnattr_setsigdefault(&attr, &pipe);
	posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
	err = err ? err : posix_spawnp(pid, argv[0], &files, &attr, argv, environ);
	posix_spawnattr_destroy(&attr);
	posix_spawn_file_actions_destroy(&files);
	return err;
}

static int not_started(dtrace_hdl_t *h, const char *path, int err)
{
	bool forking = err == EAGAIN || err == ENOMEM;
	int code = err == ENOENT ? EDT_CPPENT : forking ? EDT_CPPFORK : EDT_CPPEXEC;

	return dt_fail(&h->err, code, "%s: %s: %s", dt_errstr(code), path, dt_errstr(err));
}

/* What it complained about goes into the message. */
static int failed(dtrace_hdl_t *h, const char *path, int status, struct dt_str *err)
{
	size_t len = err->len;

	if (WIFEXITED(status) && WEXITSTATUS(status) == NOT_FOUND)
		return dt_fail(&h->err, EDT_CPPENT, "%s: %s", dt_errstr(EDT_CPPENT), path);
	while (len && strchr(" \n\t", err->s[len - 1]))
		len--;
	return dt_fail(&h->err, EDT_CPPERR, "%s: %s ended with %s %d%s%.*s", dt_errstr(EDT_CPPERR),
		       path, WIFSIGNALED(status) ? "signal" : "status",
		       WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status),
		       len ? ":\n" : "", (int)DT_MIN(len, 800u), dt_str_cstr(err));
}

static int run(dtrace_hdl_t *h, const struct pipes *p, char *const argv[], struct dt_str *out,
	       struct dt_str *err)
{
	int status = 0, why;
	pid_t pid;

	why = spawn(p, argv, &pid);
	if (why)
		return not_started(h, argv[0], why);
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return dt_fail(&h->err, EDT_CPPERR, "%s: %s: %s", dt_errstr(EDT_CPPERR),
				       argv[0], dt_errstr(errno));
	if (get_text(p->err, err) < 0 || get_text(p->out, out) < 0)
		return dt_fail(&h->err, EDT_CPPERR, "%s: its output cannot be read",
			       dt_errstr(EDT_CPPERR));
	if (status)
		return failed(h, argv[0], status, err);
	write_all(STDERR_FILENO, dt_str_cstr(err), err->len); /* warnings; names of headers */
	return 0;
}

int dt_preprocess(dtrace_hdl_t *h, const char *text, size_t len, const char *dir, struct dt_str *out)
{
	_cleanup_fd_ int in = memfd_create("program", MFD_CLOEXEC);
	_cleanup_fd_ int to = memfd_create("preprocessed", MFD_CLOEXEC);
	_cleanup_fd_ int err = memfd_create("messages", MFD_CLOEXEC);
	const char *path = dt_opt_text(h, DT_OPT_CPPPATH);
	struct pipes p = { in, to, err };
	struct dt_str messages = { 0 };
	struct dt_arena arena;
	struct args args = { .a = &arena };
	int rv;

	if (in < 0 || to < 0 || err < 0 || put_program(in, text, len) < 0)
		return dt_fail(&h->err, EDT_CPPFORK, "%s: %s", dt_errstr(EDT_CPPFORK),
			       dt_errstr(errno));
	dt_arena_init(&arena);
	make_args(&args, h, path ? path : "cpp", dir);
	rv = args.failed ? dt_set_errno(h, EDT_NOMEM) :
			   run(h, &p, (char *const *)args.v.v, out, &messages);
	dt_str_fini(&messages);
	dt_arena_fini(&arena);
	return rv;
}
