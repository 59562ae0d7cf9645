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
 *	probes N            static probes of provider target, N times: see do_probes()
 *	many                each of 1024 functions once
 *	address NAME        of twice or text
 */
#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "usdt.h"

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
#define F1024() F512(0) F512(1)
/* clang-format off */
F1024()
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

COUNTER(target_guarded_counter);
static volatile int word_in_memory = -5;
static volatile unsigned char bytes[8] = { 10, 11, 12, 13, 14, 15, 16, 17 };
static long guarded;

NOINLINE static void fire(long n)
{
	volatile long local = n * 100;
	char name[] = "fired";

	/* registers of every width, signed and not */
	PROBE(target, registers, 0, "8@%0 -4@%k0 4@%k0 -2@%w0 1@%b0 1@%h0",
	      "a"(0xfffffff0fffff2f1 + n * 0));
	PROBE(target, constants, 0, "-4@$-3 8@$0x10 1@$300 -8@$-9223372036854775808", "r"(n));
	PROBE(target, memory, 0,
	      "8@%0 -4@word_in_memory(%%rip) 1@bytes+3(%%rip) 1@2(%1,%2) 1@(%1,%2,4)", "m"(local),
	      "r"(bytes), "r"(1L));
	PROBE(target, text, 0, "8@%0", "r"(name));
	PROBE(target, nothing, 0, "8f@%%xmm0 8@%%unknown 8@5(%%rax 8@$7", "r"(n));
	PROBE(target, no__size, 0, "%0 $5", "r"(n));
	if (target_guarded_counter) {
		guarded++;
		PROBE(target, guarded, target_guarded_counter, "8@%0", "r"(n));
	}
}

/* One probe at two places, with operands of different kinds. */
NOINLINE static void fire_twice(long n)
{
	volatile long local = n + 1;

	PROBE(target, twice, 0, "8@%0", "r"(n));
	PROBE(target, twice, 0, "8@%0", "m"(local));
}

static long do_probes(long n, const char *word)
{
	for (long i = 0; i < n; i++) {
		fire(i);
		fire_twice(i);
	}
	return guarded;
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
	C512(0) C512(1);
	return 1024;
}

static long do_address(long n, const char *word)
{
	return strcmp(word, "text") == 0 ? (long)text : (long)twice;
}

static const struct {
	const char *name;
	long (*run)(long n, const char *word);
} commands[] = {
	{ "args", do_args },     { "value", do_value },   { "text", do_text },
	{ "nested", do_nested }, { "fork", do_fork },     { "threads", do_threads },
	{ "load", do_load },     { "many", do_many },     { "plugin", do_plugin },
	{ "probes", do_probes }, { "unload", do_unload }, { "address", do_address },
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
