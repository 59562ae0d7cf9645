/* SPDX-License-Identifier: Apache-2.0 */
/*
 * floor.c - loads one program of floor.bpf.c and does with its data what the benchmark asks: the least that a tracer
 * has to do, in C with libbpf.
 *
 *	floor OBJECT begin | syscalls SECONDS		start, do it, stop, as a process
 *	floor OBJECT time begin | syscalls ROUNDS	the same in this process; prints ns per round
 *	floor OBJECT run count|execname|quantize|trace|printf
 *	floor OBJECT file OUT				trace, as lines of text, to OUT
 *	floor OBJECT keys				then the rows per second of one batch look-up
 *
 * The last three print `ready` when they trace, go on until standard input ends, and then print a line of JSON:
 * `seen` is the number of firings they know of.
 */
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include "floor.h"

static const char *object_path;
static FILE *out; /* where records are written as text; NULL: nowhere */
static unsigned long nrecords;

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1e9 + t.tv_nsec;
}

static void fail(const char *what)
{
	perror(what);
	exit(1);
}

/* Loads `floor_NAME` alone, and without the maps that it does not use. */
static struct bpf_object *load(const char *name, struct bpf_link **link)
{
	char full[64];
	struct bpf_program *p, *found = NULL;
	struct bpf_map *m;
	struct bpf_object *o = bpf_object__open_file(object_path, NULL);
	const char *map = strcmp(name, "begin") == 0    ? ".bss" :
			  strcmp(name, "syscalls") == 0 ? "calls" :
			  strcmp(name, "count") == 0    ? "counts" :
			  strcmp(name, "execname") == 0 ? "comms" :
			  strcmp(name, "quantize") == 0 ? "buckets" :
			  strcmp(name, "keys") == 0     ? "sizes" :
							  "ring";

	if (!o)
		fail(object_path);
	snprintf(full, sizeof(full), "floor_%s", name);
	bpf_object__for_each_program(p, o)
	{
		bool wanted = strcmp(bpf_program__name(p), full) == 0;
		bpf_program__set_autoload(p, wanted);
		if (wanted)
			found = p;
	}
	bpf_object__for_each_map(m, o)
	{
		if (!strstr(bpf_map__name(m), map))
			bpf_map__set_autocreate(m, false);
	}
	if (!found || bpf_object__load(o) != 0)
		fail(full);
	if (link) {
		*link = bpf_program__attach(found);
		if (!*link)
			fail("attach");
	} else { /* BEGIN: fired once, by a test run */
		LIBBPF_OPTS(bpf_test_run_opts, run);
		if (bpf_prog_test_run_opts(bpf_program__fd(found), &run) != 0)
			fail("test run");
	}
	return o;
}

static void unload(struct bpf_object *o, struct bpf_link *link)
{
	bpf_link__destroy(link);
	bpf_object__close(o);
}

static int map_fd(struct bpf_object *o, const char *name)
{
	return bpf_map__fd(bpf_object__find_map_by_name(o, name));
}

/* The sum of one element over all CPUs. */
static unsigned long sum_cell(int fd, const void *key)
{
	int ncpu = libbpf_num_possible_cpus();
	unsigned long *v = calloc(ncpu, sizeof(*v)), sum = 0;

	if (v && bpf_map_lookup_elem(fd, key, v) == 0) {
		for (int i = 0; i < ncpu; i++)
			sum += v[i];
	}
	free(v);
	return sum;
}

static unsigned long sum_array(int fd, unsigned int n)
{
	unsigned long sum = 0;

	for (unsigned int i = 0; i < n; i++)
		sum += sum_cell(fd, &i);
	return sum;
}

static unsigned long sum_hash(int fd, size_t keysize)
{
	char key[64], *prev = NULL;
	unsigned long sum = 0;

	(void)keysize;
	while (bpf_map_get_next_key(fd, prev, key) == 0) {
		sum += sum_cell(fd, key);
		prev = key;
	}
	return sum;
}

static void start_stop(const char *what, double seconds)
{
	if (strcmp(what, "begin") == 0) {
		unload(load("begin", NULL), NULL);
		return;
	}
	struct bpf_link *link;
	struct bpf_object *o = load("syscalls", &link);
	if (seconds > 0)
		usleep(seconds * 1e6);
	unsigned long sum = sum_array(map_fd(o, "calls"), FLOOR_NCALLS);
	if (seconds > 0)
		printf("%lu\n", sum);
	unload(o, link);
}

static void time_rounds(const char *what, int rounds)
{
	printf("[");
	for (int i = 0; i < rounds; i++) {
		double start = now();
		start_stop(what, 0);
		printf("%s%.0f", i ? ", " : "", now() - start);
	}
	printf("]\n");
}

static int on_record(void *ctx, void *data, size_t size)
{
	const struct floor_trace *r = data;

	(void)ctx;
	(void)size;
	nrecords++;
	if (out)
		fprintf(out, "%ld\n", (long)r->value);
	return 0;
}

/* Until standard input ends; drains the ring, when there is one, every 10 ms. */
static void wait_for_end(struct ring_buffer *ring)
{
	struct pollfd in = { .fd = 0, .events = POLLIN };

	printf("ready\n");
	fflush(stdout);
	while (poll(&in, 1, ring ? 10 : -1) == 0)
		ring_buffer__consume(ring);
}

static void run(const char *what)
{
	bool records = strcmp(what, "trace") == 0 || strcmp(what, "printf") == 0;
	struct ring_buffer *ring = NULL;
	struct bpf_link *link;
	struct bpf_object *o = load(what, &link);
	unsigned long seen;

	if (records) {
		ring = ring_buffer__new(map_fd(o, "ring"), on_record, NULL, NULL);
		if (!ring)
			fail("ring buffer");
	}
	double start = now();
	wait_for_end(ring);
	if (records) {
		ring_buffer__consume(ring);
		seen = nrecords;
	} else if (strcmp(what, "count") == 0) {
		seen = sum_array(map_fd(o, "counts"), 1);
	} else if (strcmp(what, "quantize") == 0) {
		seen = sum_array(map_fd(o, "buckets"), 66);
	} else {
		seen = sum_hash(map_fd(o, "comms"), FLOOR_COMM);
	}
	if (out)
		fflush(out);
	printf("{\"seen\": %lu, \"seconds\": %.4f}\n", seen, (now() - start) / 1e9);
	ring_buffer__free(ring);
	unload(o, link);
}

static void keys(void)
{
	struct bpf_link *link;
	struct bpf_object *o = load("keys", &link);
	int fd = map_fd(o, "sizes"), ncpu = libbpf_num_possible_cpus();
	unsigned long *key = calloc(FLOOR_KEYS, sizeof(*key));
	unsigned long *value = calloc((size_t)FLOOR_KEYS * ncpu, sizeof(*value));
	unsigned int batch, count = FLOOR_KEYS;
	unsigned long sum = 0;

	if (!key || !value)
		fail("memory");
	wait_for_end(NULL);
	double start = now();
	bpf_map_lookup_batch(fd, NULL, &batch, key, value, &count, NULL);
	for (unsigned int i = 0; i < count; i++) {
		for (int c = 0; c < ncpu; c++)
			sum += value[(size_t)i * ncpu + c];
	}
	double seconds = (now() - start) / 1e9;
	printf("{\"rows\": %u, \"seen\": %lu, \"seconds\": %.6f}\n", count, sum, seconds);
	free(key);
	free(value);
	unload(o, link);
}

int main(int argc, char **argv)
{
	if (argc < 3) {
		fprintf(stderr, "floor: see the top of floor.c\n");
		return 2;
	}
	object_path = argv[1];
	const char *mode = argv[2], *arg = argc > 3 ? argv[3] : "";
	if (strcmp(mode, "begin") == 0 || strcmp(mode, "syscalls") == 0) {
		start_stop(mode, atof(arg));
	} else if (strcmp(mode, "time") == 0 && argc == 5) {
		time_rounds(arg, atoi(argv[4]));
	} else if (strcmp(mode, "run") == 0) {
		run(arg);
	} else if (strcmp(mode, "file") == 0) {
		out = fopen(arg, "w");
		if (!out)
			fail(arg);
		run("trace");
	} else if (strcmp(mode, "keys") == 0) {
		keys();
	} else {
		return 2;
	}
	return 0;
}
