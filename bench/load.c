/* SPDX-License-Identifier: Apache-2.0 */
/*
 * load.c - the workload of the benchmarks: system calls that do next to nothing, in known numbers.
 *
 *	load CPU burst CALL BURSTS CALLS PAUSE	bursts with a pause (in us) after each; says how long
 *						a call took in the median burst
 *	load CPU flood CALL SECONDS		as many calls as there can be
 *	load CPU rate CALL PER_SECOND SECONDS	that many a second, in small portions; what is late is made up for
 *	load CPU keys N				read(-1, buf, k) for each k below N
 *
 * CALL is getppid, or read: read(-1, buf, k) with k going round in 0 ... 65535.  Runs on that CPU alone.
 * Prints one line of JSON.
 */
#define _GNU_SOURCE
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum {
	WARM_UP = 500, /* calls in front of each burst that are not timed */
	PORTION = 100, /* calls between two looks at the clock */
};

static char buf[1 << 16];

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1e9 + t.tv_nsec;
}

static void call_getppid(long n)
{
	for (long i = 0; i < n; i++)
		syscall(SYS_getppid);
}

static void call_read(long n)
{
	for (long i = 0; i < n; i++)
		syscall(SYS_read, -1, buf, (size_t)(i * 61) & 0xffff);
}

static void (*find_call(const char *name))(long)
{
	if (strcmp(name, "getppid") == 0)
		return call_getppid;
	if (strcmp(name, "read") == 0)
		return call_read;
	fprintf(stderr, "load: no such call: %s\n", name);
	exit(2);
}

static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static void burst(void (*call)(long), int bursts, long calls, unsigned int pause)
{
	double *ns = calloc(bursts, sizeof(*ns));

	for (int i = 0; ns && i < bursts; i++) {
		call(WARM_UP);
		double start = now();
		call(calls);
		ns[i] = (now() - start) / calls;
		usleep(pause);
	}
	if (!ns)
		exit(1);
	qsort(ns, bursts, sizeof(*ns), by_value);
	printf("{\"median\": %.2f, \"min\": %.2f, \"calls\": %ld}\n", ns[bursts / 2], ns[0],
	       bursts * (calls + WARM_UP));
	free(ns);
}

static void flood(void (*call)(long), double seconds)
{
	double start = now(), end = start + seconds * 1e9, t;
	long calls = 0;

	do {
		call(1000);
		calls += 1000;
		t = now();
	} while (t < end);
	printf("{\"calls\": %ld, \"seconds\": %.4f}\n", calls, (t - start) / 1e9);
}

static void rate(void (*call)(long), double per_second, double seconds)
{
	double start = now(), end = start + seconds * 1e9, t = start;
	long calls = 0;

	while (t < end) {
		if (calls <= (t - start) / 1e9 * per_second) {
			call(PORTION);
			calls += PORTION;
		}
		t = now();
	}
	printf("{\"calls\": %ld, \"seconds\": %.4f}\n", calls, (t - start) / 1e9);
}

static void keys(long n)
{
	for (long i = 0; i < n; i++)
		syscall(SYS_read, -1, buf, (size_t)i);
	printf("{\"calls\": %ld}\n", n);
}

int main(int argc, char **argv)
{
	cpu_set_t cpus;

	if (argc < 4) {
		fprintf(stderr, "load: see the top of load.c\n");
		return 2;
	}
	CPU_ZERO(&cpus);
	CPU_SET(atoi(argv[1]), &cpus);
	if (sched_setaffinity(0, sizeof(cpus), &cpus) != 0) {
		perror("load: sched_setaffinity");
		return 1;
	}
	if (strcmp(argv[2], "burst") == 0 && argc == 7)
		burst(find_call(argv[3]), atoi(argv[4]), atol(argv[5]), atoi(argv[6]));
	else if (strcmp(argv[2], "flood") == 0 && argc == 5)
		flood(find_call(argv[3]), atof(argv[4]));
	else if (strcmp(argv[2], "rate") == 0 && argc == 6)
		rate(find_call(argv[3]), atof(argv[4]), atof(argv[5]));
	else if (strcmp(argv[2], "keys") == 0 && argc == 4)
		keys(atol(argv[3]));
	else
		return 2;
	return 0;
}
