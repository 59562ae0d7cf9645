/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The program that the end-to-end tests trace.  It does what it is told on standard input, a command a line, and
 * answers each with "ok" and perhaps a value; between commands it makes no system call but that read and
 * write on 0 and 1.
 *
 *	getppid N           getppid() N times
 *	read N SIZE         read SIZE bytes of /dev/zero N times; answers the descriptor
 *	badread N           read from descriptor -1 N times
 *	open N PATH         openat() PATH N times (and close what was opened)
 *	openptr N ADDR      openat() with the name at ADDR (hexadecimal), which may be no address
 *	sleep N MS          clock_nanosleep() N times
 *	threads T N         T threads, getppid() N times each
 *	nested N            getppid() N times from outer() / middle() / inner()
 *	burn MS             use the processor in burn_cpu()
 *	address NAME        the address of outer, of a text in memory (text) or of an int (number)
 *	forever             getppid() as fast as it goes, without an answer
 */
#include <fcntl.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define MAX_ARGS 4

static char text[] = "text in the workload";
static volatile int number = 9904;
static int zero_fd;

/* No library function in between: the caller is the innermost frame of its stack. */
static inline __attribute__((always_inline)) long raw_getppid(void)
{
	long r = SYS_getppid;

	__asm__ volatile("syscall" : "+a"(r) : : "rcx", "r11", "memory");
	return r;
}

__attribute__((noinline, noclone)) void inner(void)
{
	raw_getppid();
	__asm__ volatile("" : : "r"(__builtin_frame_address(0))); /* even a leaf needs a frame */
}

__attribute__((noinline, noclone)) void middle(void)
{
	inner();
	__asm__ volatile("");
}

__attribute__((noinline, noclone)) void outer(void)
{
	middle();
	__asm__ volatile("");
}

static uint64_t now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

__attribute__((noinline, noclone)) void burn_cpu(uint64_t until)
{
	static volatile uint64_t sink;

	while (now_ms() < until)
		for (int i = 0; i < 10000; i++)
			sink += (uint64_t)i * 7;
}

static void *thread_main(void *arg)
{
	for (long n = (long)(intptr_t)arg; n > 0; n--)
		raw_getppid();
	return NULL;
}

static long do_getppid(char **arg)
{
	for (long n = atol(arg[1]); n > 0; n--)
		syscall(SYS_getppid);
	return 0;
}

static long do_read(char **arg)
{
	static char buf[1 << 16];
	size_t size = strtoul(arg[2], NULL, 10);

	for (long n = atol(arg[1]); n > 0; n--)
		syscall(SYS_read, zero_fd, buf, size < sizeof(buf) ? size : sizeof(buf));
	return zero_fd;
}

static long do_badread(char **arg)
{
	for (long n = atol(arg[1]); n > 0; n--)
		syscall(SYS_read, -1, NULL, 0);
	return 0;
}

static void open_close(long n, const char *path)
{
	for (; n > 0; n--) {
		long fd = syscall(SYS_openat, AT_FDCWD, path, O_RDONLY);

		if (fd >= 0)
			syscall(SYS_close, fd);
	}
}

static long do_open(char **arg)
{
	open_close(atol(arg[1]), arg[2]);
	return 0;
}

static long do_openptr(char **arg)
{
	open_close(atol(arg[1]), (const char *)(uintptr_t)strtoull(arg[2], NULL, 16));
	return 0;
}

static long do_sleep(char **arg)
{
	struct timespec t = { 0, atol(arg[2]) * 1000000 };

	for (long n = atol(arg[1]); n > 0; n--)
		syscall(SYS_clock_nanosleep, CLOCK_MONOTONIC, 0, &t, NULL);
	return 0;
}

static long do_threads(char **arg)
{
	int n = atoi(arg[1]);
	pthread_t thread[64];

	if (n > 64)
		n = 64;
	for (int i = 0; i < n; i++)
		if (pthread_create(&thread[i], NULL, thread_main, (void *)(intptr_t)atol(arg[2])))
			exit(3);
	for (int i = 0; i < n; i++)
		pthread_join(thread[i], NULL);
	return 0;
}

static long do_nested(char **arg)
{
	for (long n = atol(arg[1]); n > 0; n--)
		outer();
	return 0;
}

static long do_burn(char **arg)
{
	burn_cpu(now_ms() + strtoul(arg[1], NULL, 10));
	return 0;
}

static long do_address(char **arg)
{
	if (strcmp(arg[1], "outer") == 0)
		return (long)(intptr_t)outer;
	return strcmp(arg[1], "text") == 0 ? (long)(intptr_t)text : (long)(intptr_t)&number;
}

static long do_forever(char **arg)
{
	while (arg)
		raw_getppid();
	return 0;
}

static const struct {
	const char *name;
	int nargs;
	long (*run)(char **arg);
} commands[] = {
	{ "getppid", 2, do_getppid }, { "read", 3, do_read },       { "badread", 2, do_badread },
	{ "open", 3, do_open },       { "openptr", 3, do_openptr }, { "sleep", 3, do_sleep },
	{ "threads", 3, do_threads }, { "nested", 2, do_nested },   { "burn", 2, do_burn },
	{ "address", 2, do_address }, { "forever", 1, do_forever },
};

static void obey(char *line)
{
	char *arg[MAX_ARGS] = { 0 }, *save, reply[64];
	int n = 0;

	for (char *p = strtok_r(line, " \n", &save); p && n < MAX_ARGS;
	     p = strtok_r(NULL, " \n", &save))
		arg[n++] = p;
	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
		if (n != commands[i].nargs || strcmp(arg[0], commands[i].name) != 0)
			continue;
		n = snprintf(reply, sizeof(reply), "ok %ld\n", commands[i].run(arg));
		if (write(1, reply, (size_t)n) != n)
			exit(2);
		return;
	}
	exit(4);
}

int main(void)
{
	char line[8192];
	ssize_t n;

	zero_fd = open("/dev/zero", O_RDONLY);
	if (write(1, "ok 0\n", 5) != 5)
		return 2;
	while ((n = read(0, line, sizeof(line) - 1)) > 0) {
		line[n] = '\0';
		obey(line);
	}
	return 0;
}
