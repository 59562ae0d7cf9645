/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The program whose functions and static probes the end-to-end tests trace.  Commands come on standard input, a line
 * each; every answer is "ok" and a value.
 *
 *	args N              eight_args(1, 2 ... 8) N times
 *	value X             twice(X), which is answered
 *	text WORD           take_text(WORD)
 *	nested N            outer() calls middle() calls inner(), N times
 *	threads T N         T threads, twice() N times each
 *	fork N              a child that calls twice() N times
 *	load PATH           dlopen()
 *	plugin N            plugin_work(i) of the library loaded last, for i < N
 *	unload              dlclose()
 *	many                each of 4096 functions once
 *	address NAME        of twice or text
 */
#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define NOINLINE __attribute__((noinline, noclone))

NOINLINE long eight_args(long a, long b, long c, long d, long e, long f, long g, long h)
{
	__asm__ volatile("" ::: "memory");
	return a + 2 * b + 3 * c + 4 * d + 5 * e + 6 * f + 7 * g + 8 * h;
}

NOINLINE long twice(long x)
{
	__asm__ volatile("" ::: "memory");
	return 2 * x;
}

NOINLINE long take_text(const char *s)
{
	__asm__ volatile("" ::: "memory");
	return (long)strlen(s);
}

NOINLINE void inner(void)
{
	__asm__ volatile("" ::: "memory");
}

NOINLINE void middle(void)
{
	inner();
	__asm__ volatile("");
}

NOINLINE void outer(void)
{
	middle();
	__asm__ volatile("");
}

/* Two functions of one name: this one and that of the plugin are in different files. */
NOINLINE static long same_name(long x)
{
	__asm__ volatile("" ::: "memory");
	return x + 1;
}

#define F1(n) \
	NOINLINE void many_##n(void) \
	{ \
		__asm__ volatile("" ::: "memory"); \
	}
#define F8(n) F1(n##0) F1(n##1) F1(n##2) F1(n##3) F1(n##4) F1(n##5) F1(n##6) F1(n##7)
#define F64(n) F8(n##0) F8(n##1) F8(n##2) F8(n##3) F8(n##4) F8(n##5) F8(n##6) F8(n##7)
#define F512(n) F64(n##0) F64(n##1) F64(n##2) F64(n##3) F64(n##4) F64(n##5) F64(n##6) F64(n##7)
#define F4096() F512(0) F512(1) F512(2) F512(3) F512(4) F512(5) F512(6) F512(7)
/* clang-format off */
F4096()
/* clang-format on */

#define C1(n) many_##n();
#define C8(n) C1(n##0) C1(n##1) C1(n##2) C1(n##3) C1(n##4) C1(n##5) C1(n##6) C1(n##7)
#define C64(n) C8(n##0) C8(n##1) C8(n##2) C8(n##3) C8(n##4) C8(n##5) C8(n##6) C8(n##7)
#define C512(n) C64(n##0) C64(n##1) C64(n##2) C64(n##3) C64(n##4) C64(n##5) C64(n##6) C64(n##7)

static char text[] = "text in the target";
static void *library;

static void *thread_main(void *arg)
{
	for (long i = 0; i < (long)arg; i++)
		twice(i);
	return NULL;
}

static long do_args(long n, const char *word)
{
	long sum = 0;

	for (long i = 0; i < n; i++)
		sum += eight_args(1, 2, 3, 4, 5, 6, 7, 8);
	return sum;
}

static long do_value(long n, const char *word)
{
	return twice(n);
}

static long do_text(long n, const char *word)
{
	return take_text(word);
}

static long do_nested(long n, const char *word)
{
	for (long i = 0; i < n; i++)
		outer();
	return same_name(n);
}

static long do_threads(long n, const char *word)
{
	long count = atol(word);
	pthread_t t[64];

	if (count > 64)
		return -1;
	for (long i = 0; i < count; i++)
		pthread_create(&t[i], NULL, thread_main, (void *)n);
	for (long i = 0; i < count; i++)
		pthread_join(t[i], NULL);
	return count * n;
}

static long do_fork(long n, const char *word)
{
	int status;
	pid_t pid = fork();

	if (pid == 0) {
		thread_main((void *)n);
		_exit(7);
	}
	waitpid(pid, &status, 0);
	return WEXITSTATUS(status);
}

static long do_load(long n, const char *word)
{
	library = dlopen(word, RTLD_NOW);
	return library != NULL;
}

static long do_plugin(long n, const char *word)
{
	long (*work)(long) = (long (*)(long))dlsym(library, "plugin_work");
	long sum = 0;

	for (long i = 0; i < n; i++)
		sum += work(i);
	return sum;
}

static long do_unload(long n, const char *word)
{
	return dlclose(library);
}

static long do_many(long n, const char *word)
{
	C512(0) C512(1) C512(2) C512(3) C512(4) C512(5) C512(6) C512(7);
	return 4096;
}

static long do_address(long n, const char *word)
{
	return strcmp(word, "text") == 0 ? (long)text : (long)twice;
}

static const struct {
	const char *name;
	long (*run)(long n, const char *word);
} commands[] = {
	{ "args", do_args },     { "value", do_value },     { "text", do_text },
	{ "nested", do_nested }, { "fork", do_fork },       { "threads", do_threads },
	{ "load", do_load },     { "many", do_many },       { "plugin", do_plugin },
	{ "unload", do_unload }, { "address", do_address },
};

static void answer(long value)
{
	printf("ok %ld\n", value);
	fflush(stdout);
}

int main(int argc, char **argv)
{
	char name[32], word[4096];
	long n;

	if (argc > 2) { /* one command from the command line, for processes that are created */
		n = atol(argv[2]);
		for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++)
			if (strcmp(argv[1], commands[i].name) == 0)
				commands[i].run(n, argv[2]);
		return 0;
	}
	answer(0);
	while (scanf("%31s %4095s", name, word) == 2) {
		n = atol(word);
		if (strcmp(name, "threads") == 0 && scanf("%ld", &n) != 1)
			return 1;
		for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++)
			if (strcmp(name, commands[i].name) == 0)
				answer(commands[i].run(n, word));
	}
	return 0;
}
