/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The loader by itself: objects made by hand, loaded, attached and read back on the running kernel.
 * Needs the privilege to load programs; is skipped without.
 */
#include <errno.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "load/live.h"
#include "test.h"

#define LD_MAP(reg, pseudo) \
	{ .code = BPF_LD | BPF_IMM | BPF_DW, .dst_reg = (reg), .src_reg = (pseudo) }, { 0 }
#define MOV_REG(to, from) \
	{ .code = BPF_ALU64 | BPF_MOV | BPF_X, .dst_reg = (to), .src_reg = (from) }
#define MOV_IMM(to, n) { .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = (to), .imm = (n) }
#define ADD_IMM(to, n) { .code = BPF_ALU64 | BPF_ADD | BPF_K, .dst_reg = (to), .imm = (n) }
#define CALL(f) { .code = BPF_JMP | BPF_CALL, .imm = (f) }
#define EXIT { .code = BPF_JMP | BPF_EXIT }

/* (*(u64 *)state[cpu]->off)++ when activity is set; with_begin: whatever activity is. */
#define CELL 64
static struct bpf_insn count_insns[] = {
	/* 0 */ LD_MAP(BPF_REG_1, BPF_PSEUDO_MAP_VALUE),
	/* 2 */ { .code = BPF_LDX | BPF_MEM | BPF_DW, .dst_reg = BPF_REG_2, .src_reg = BPF_REG_1 },
	/* 3 */ { .code = BPF_JMP | BPF_JEQ | BPF_K, .dst_reg = BPF_REG_2, .off = 10 },
	/* 4 */ CALL(BPF_FUNC_get_smp_processor_id),
	/* 5 */ { .code = BPF_STX | BPF_MEM | BPF_W, .dst_reg = BPF_REG_10, .src_reg = BPF_REG_0, .off = -4 },
	/* 6 */ MOV_REG(BPF_REG_2, BPF_REG_10),
	/* 7 */ ADD_IMM(BPF_REG_2, -4),
	/* 8 */ LD_MAP(BPF_REG_1, BPF_PSEUDO_MAP_FD),
	/* 10 */ CALL(BPF_FUNC_map_lookup_elem),
	/* 11 */ { .code = BPF_JMP | BPF_JEQ | BPF_K, .dst_reg = BPF_REG_0, .off = 2 },
	/* 12 */ MOV_IMM(BPF_REG_1, 1),
	/* 13 */
	{ .code = BPF_STX | BPF_ATOMIC | BPF_DW,
	  .dst_reg = BPF_REG_0,
	  .src_reg = BPF_REG_1,
	  .off = CELL,
	  .imm = BPF_ADD },
	/* 14 */ MOV_IMM(BPF_REG_0, 0),
	/* 15 */ EXIT,
};
static struct dt_reloc count_relocs[] = { { 0, 0 }, { 8, 1 } };

static struct dt_attach at_begin = { .kind = DT_AT_BEGIN };
static struct dt_attach at_sys = { .kind = DT_AT_RAW_TP, .target = "sys_enter" };
static struct dt_attach at_tick = { .kind = DT_AT_TIMER, .period_ns = 1000000, .all_cpus = true };
static struct dt_attach at_none = { .kind = DT_AT_RAW_TP, .target = "no_such_tracepoint" };

static struct dt_mapspec maps[] = {
	{ .name = "dt_globals",
	  .role = DT_MAP_GLOBALS,
	  .type = BPF_MAP_TYPE_ARRAY,
	  .key_size = 4,
	  .value_size = 64,
	  .max_entries = 1,
	  .flags = BPF_F_MMAPABLE },
	{ .name = "dt_state",
	  .role = DT_MAP_STATE,
	  .type = BPF_MAP_TYPE_ARRAY,
	  .key_size = 4,
	  .value_size = 128,
	  .per_cpu_elems = true,
	  .flags = BPF_F_MMAPABLE },
	{ .name = "dt ring/1",
	  .role = DT_MAP_RING,
	  .type = BPF_MAP_TYPE_ARRAY,
	  .key_size = 4,
	  .per_cpu_elems = true,
	  .flags = BPF_F_MMAPABLE },
	{ .name = "dt_bell", .role = DT_MAP_DOORBELL, .type = BPF_MAP_TYPE_RINGBUF, .max_entries = 4096 },
	{ .name = "dt_ro",
	  .role = DT_MAP_RODATA,
	  .type = BPF_MAP_TYPE_ARRAY,
	  .key_size = 4,
	  .value_size = 16,
	  .max_entries = 1,
	  .flags = BPF_F_RDONLY_PROG,
	  .init = "0123456789abcdef" },
	{ .name = "dt_self",
	  .role = DT_MAP_SELF,
	  .type = BPF_MAP_TYPE_TASK_STORAGE,
	  .key_size = 4,
	  .value_size = 24,
	  .flags = BPF_F_NO_PREALLOC,
	  .needs_btf = true },
	{ .name = "dt_agg",
	  .role = DT_MAP_AGG,
	  .type = BPF_MAP_TYPE_PERCPU_HASH,
	  .key_size = 16,
	  .value_size = 8,
	  .max_entries = 1024 },
};
static struct dt_aggspec aggs[] = {
	{ .name = "lo", .func = DTRACEAGG_MIN, .store = DT_AGG_CELL, .off = 72, .nwords = 1 },
	{ .name = "hi", .func = DTRACEAGG_MAX, .store = DT_AGG_DENSE, .off = 80, .nrows = 2, .nwords = 1 },
};

static const struct dt_attach *const to_begin = &at_begin, *const to_sys = &at_sys,
				     *const to_tick = &at_tick, *const to_none = &at_none;

static struct dt_progspec progspec(const struct dt_attach *const *at, u32 type)
{
	return (struct dt_progspec){
		.name = "dt-test:prog",
		.kind = (*at)->kind,
		.at = *at,
		.targets = at,
		.ntargets = 1,
		.prog_type = type,
		.insns = count_insns,
		.ninsns = DT_NELEM(count_insns),
		.relocs = count_relocs,
		.nrelocs = DT_NELEM(count_relocs),
	};
}

static struct dt_object object(struct dt_progspec *progs, u32 n)
{
	return (struct dt_object){
		.maps = maps,
		.nmaps = DT_NELEM(maps),
		.progs = progs,
		.nprogs = n,
		.aggs = aggs,
		.naggs = DT_NELEM(aggs),
		.max_record = 72,
		.ring_slack = 72,
		.spec_map = -1,
		.globals_map = 0,
		.state_map = 1,
		.ring_map = 2,
		.doorbell_map = 3,
	};
}

static void handle_init(dtrace_hdl_t *h)
{
	size_t i;

	memset(h, 0, sizeof(*h));
	for (i = 0; i < DT_NOPTS; i++)
		h->opts.val[i] = DTRACEOPT_UNSET;
}

static u64 counted(struct dt_live *l)
{
	u64 sum = 0;
	int cpu;

	for (cpu = 0; cpu < dt_live_ncpus(l); cpu++)
		sum += *(volatile u64 *)((char *)dt_live_state(l, cpu) + CELL);
	return sum;
}

static double since(const struct timespec *from)
{
	struct timespec to;

	clock_gettime(CLOCK_MONOTONIC, &to);
	return (double)(to.tv_sec - from->tv_sec) * 1e3 + (double)(to.tv_nsec - from->tv_nsec) / 1e6;
}

static void test_maps(dtrace_hdl_t *h, struct dt_live *l)
{
	int cpu;

	for (cpu = 0; cpu < dt_live_ncpus(l); cpu++) {
		const s64 *cell = (const s64 *)((char *)dt_live_state(l, cpu) + 72);
		struct dt_ring_hdr *r = dt_live_ring(l, cpu);

		for (int k = 0; k < 3; k++) /* all words of aggregations start at zero */
			CHECK_INT(cell[k], 0);
		CHECK(r != NULL);
		CHECK(r->head == 0 && r->wake_at == ~(u64)0);
		/* the whole ring is ours to touch */
		memset((char *)r + DT_RING_DATA, 0, dt_live_ring_cap(l) + 128);
	}
	CHECK(dt_live_state(l, dt_live_ncpus(l)) == NULL);
	CHECK(dt_live_pollfd(l) >= 0);
	dt_live_drain_doorbell(l);
	CHECK(dt_live_map_fd(l, 6) >= 0);
	CHECK(dt_live_map_fd(l, 7) < 0);
}

static void test_run(dtrace_hdl_t *h)
{
	struct dt_progspec progs[] = { progspec(&to_begin, BPF_PROG_TYPE_RAW_TRACEPOINT),
				       progspec(&to_sys, BPF_PROG_TYPE_RAW_TRACEPOINT),
				       progspec(&to_tick, BPF_PROG_TYPE_PERF_EVENT) };
	struct dt_object o = object(progs, 2);
	struct timespec t;
	u64 n;
	int i;

	h->live = dt_live_load(h, &o);
	if (!h->live && h->err.code == EDT_ACCESS)
		test_skip(h->err.msg);
	if (!CHECK(h->live != NULL)) {
		fprintf(stderr, "%s\n%s\n", h->err.msg, h->verifier_log ? h->verifier_log : "");
		return;
	}
	test_maps(h, h->live);
	for (i = 0; i < 100; i++)
		syscall(SYS_getppid);
	CHECK_INT(counted(h->live), 0);
	*dt_live_activity(h->live) = DT_ACTIVE;
	for (i = 0; i < 100; i++)
		syscall(SYS_getppid);
	n = counted(h->live);
	CHECK(n >= 100);
	dt_live_detach(h->live);
	n = counted(h->live);
	CHECK_INT(dt_live_fire(h, DT_AT_BEGIN), 0);
	CHECK_INT(counted(h->live), n + 1);
	CHECK_INT(dt_live_fire(h, DT_AT_END), 0);
	dt_live_free(h->live);

	/* a timer on all CPUs */
	o = object(progs + 2, 1);
	h->live = dt_live_load(h, &o);
	if (CHECK(h->live != NULL)) {
		*dt_live_activity(h->live) = DT_ACTIVE;
		clock_gettime(CLOCK_MONOTONIC, &t);
		while (counted(h->live) < 10 && since(&t) < 5000)
			usleep(1000);
		CHECK(counted(h->live) >= 10);
		dt_live_free(h->live);
	} else {
		fprintf(stderr, "%s\n", h->err.msg);
	}
	h->live = NULL;
}

/* A refused program: the sentence has the line, the attach point and the verifier's reason. */
static void test_refused(dtrace_hdl_t *h)
{
	static const struct dt_source src = { .text = "BEGIN\n{\n\toops;\n}\n", .len = 18 };
	struct bpf_insn insns[] = {
		MOV_IMM(BPF_REG_0, 0),
		{ .code = BPF_LDX | BPF_MEM | BPF_DW, .dst_reg = BPF_REG_1, .src_reg = BPF_REG_9 },
		EXIT,
	};
	struct dt_loc locs[3] = { { 0 }, { .src = &src, .off = 9, .len = 4 }, { 0 } };
	struct dt_progspec p = { .name = "bad",
				 .at = &at_begin,
				 .insns = insns,
				 .ninsns = 3,
				 .prog_type = BPF_PROG_TYPE_RAW_TRACEPOINT,
				 .locs = locs };
	struct dt_object o = object(&p, 1);

	CHECK(dt_live_load(h, &o) == NULL);
	CHECK_INT(h->err.code, EDT_BPF);
	CHECK_STR(h->err.msg,
		  "line 3: the kernel refused the program for dtrace:::BEGIN: R9 !read_ok");
	CHECK(h->verifier_log && strstr(h->verifier_log, "R9 !read_ok"));
}

static void test_no_tracepoint(dtrace_hdl_t *h)
{
	struct dt_progspec p = progspec(&to_none, BPF_PROG_TYPE_RAW_TRACEPOINT);
	struct dt_object o = object(&p, 1);

	CHECK(dt_live_load(h, &o) == NULL);
	CHECK_INT(h->err.code, EDT_BPF);
	CHECK_STR(h->err.msg, "raw tracepoint 'no_such_tracepoint': No such file or directory");
}

static void test_ring_size(dtrace_hdl_t *h, const char *bufsize, bool small, u64 want)
{
	struct dt_object o = object(NULL, 0);
	struct dt_epid epid = { .epid = 1 };
	struct dt_live *l;

	o.epids = &epid;
	o.nepids = 1;
	o.only_consumer_cpu = small;
	h->opts.val[DT_OPT_BUFSIZE] = DTRACEOPT_UNSET;
	if (bufsize)
		CHECK_INT(dtrace_setopt(h, "bufsize", bufsize), 0);
	l = dt_live_load(h, &o);
	if (!CHECK(l != NULL))
		return;
	CHECK_INT(dt_live_ring_cap(l), want);
	dt_live_free(l);
}

static void test_features(dtrace_hdl_t *h)
{
	int f;

	for (f = 0; f < DT_NFEATS; f++) {
		bool yes = dt_feature(h, (enum dt_feature)f);

		CHECK(dt_feature(h, (enum dt_feature)f) == yes);
		printf("%s: %s\n", dt_feature_name((enum dt_feature)f), yes ? "yes" : "no");
	}
	CHECK(dt_feature(h, DT_FEAT_RAW_TP));
	CHECK(dt_feature(h, DT_FEAT_TEST_RUN));
}

static void test_names(void)
{
	char name[BPF_OBJ_NAME_LEN];

	dt_bpf_name(name, "a-b:c d/é_very_long_name");
	CHECK_INT(strlen(name), BPF_OBJ_NAME_LEN - 1);
	CHECK(!strncmp(name, "a_b_c_d_", 8));
}

static int count_cpu(int cpu, void *arg)
{
	++*(int *)arg;
	return 0;
}

int main(void)
{
	static dtrace_hdl_t h;
	int n = 0;

	handle_init(&h);
	test_names();
	CHECK_INT(dt_cpus_each("online", count_cpu, &n), 0);
	CHECK_INT(n, sysconf(_SC_NPROCESSORS_ONLN));
	CHECK_INT(dt_cpus_each("no-such-list", count_cpu, &n), -1);
	test_run(&h);
	test_refused(&h);
	test_no_tracepoint(&h);
	test_ring_size(&h, "1m", true, 1 << 20);
	test_ring_size(&h, NULL, true, 64 << 10);
	test_ring_size(&h, "100000", false, 65536);
	test_ring_size(&h, "0", false, 512);
	test_features(&h);
	free(h.verifier_log);
	return test_status();
}
