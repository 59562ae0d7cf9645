/* SPDX-License-Identifier: Apache-2.0 */
/*
 * syscalls.c - how often a command makes which system call, and how long they take: aggregations read by the
 * program itself.
 *
 *	syscalls command [argument...]
 */
#include <dtrace.h>

#include <stdlib.h>
#include <string.h>

static const char program[] = "syscall:::entry /pid == $target/ { self->from = timestamp; }\n"
			      "syscall:::return /self->from/\n"
			      "{\n"
			      "	@calls[probefunc] = count();\n"
			      "	@time[probefunc] = quantize(timestamp - self->from);\n"
			      "	self->from = 0;\n"
			      "}\n";

static int fail(dtrace_hdl_t *h, const char *what)
{
	fprintf(stderr, "syscalls: %s: %s\n", what, dtrace_errmsg(h, dtrace_errno(h)));
	dtrace_close(h);
	return 1;
}

/* The last record is the value, those between the first and it are the keys. */
static const dtrace_recdesc_t *value_of(const dtrace_aggdata_t *d)
{
	return &d->dtada_desc->dtagd_rec[d->dtada_desc->dtagd_nrecs - 1];
}

static void show_buckets(const int64_t *count)
{
	for (int b = 0; b < DTRACE_QUANTIZE_NBUCKETS; b++)
		if (count[b])
			printf("    from %12lld ns %10lld\n",
			       (long long)DTRACE_QUANTIZE_BUCKETVAL(b), (long long)count[b]);
}

static int show(const dtrace_aggdata_t *d, void *arg)
{
	const dtrace_recdesc_t *key = &d->dtada_desc->dtagd_rec[1], *value = value_of(d);
	int64_t words[DTRACE_QUANTIZE_NBUCKETS];
	int64_t *total = arg;

	memcpy(words, d->dtada_data + value->dtrd_offset, value->dtrd_size);
	if (value->dtrd_action == DTRACEAGG_COUNT) {
		printf("%-32.*s %10lld\n", (int)key->dtrd_size, d->dtada_data + key->dtrd_offset,
		       (long long)words[0]);
		*total += words[0];
	} else {
		printf("%.*s\n", (int)key->dtrd_size, d->dtada_data + key->dtrd_offset);
		show_buckets(words);
	}
	return DTRACE_AGGWALK_REMOVE;
}

static int count_rows(const dtrace_aggdata_t *d, void *arg)
{
	++*(int *)arg;
	return DTRACE_AGGWALK_NEXT;
}

int main(int argc, char **argv)
{
	struct ps_prochandle *p;
	dtrace_prog_t *prog;
	dtrace_hdl_t *h;
	int64_t total = 0;
	int err, rv, left = 0;

	if (argc < 2) {
		fprintf(stderr, "usage: syscalls command [argument...]\n");
		return 2;
	}
	h = dtrace_open(DTRACE_VERSION, 0, &err);
	if (!h) {
		fprintf(stderr, "syscalls: %s\n", dtrace_errmsg(NULL, err));
		return 1;
	}
	p = dtrace_proc_create(h, argv[1], argv + 1);
	if (!p)
		return fail(h, argv[1]);
	prog = dtrace_program_strcompile(h, program, DTRACE_PROBESPEC_NAME, 0, 0, NULL);
	if (!prog || dtrace_program_exec(h, prog, NULL) < 0)
		return fail(h, "program");
	if (dtrace_go(h) < 0)
		return fail(h, "cannot trace");
	dtrace_proc_continue(h, p);
	do {
		dtrace_sleep(h);
		rv = dtrace_work(h, NULL, NULL, NULL, NULL);
	} while (rv == DTRACE_WORKSTATUS_OKAY);
	if (rv < 0 || dtrace_aggregate_snap(h) < 0)
		return fail(h, "tracing ended");
	if (dtrace_aggregate_walk_valvarrevsorted(h, show, &total) < 0)
		return fail(h, "aggregations");
	dtrace_aggregate_walk(h, count_rows, &left);
	printf("%lld system calls, %d rows left\n", (long long)total, left);
	dtrace_close(h);
	return 0;
}
