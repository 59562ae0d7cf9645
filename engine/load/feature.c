/* SPDX-License-Identifier: Apache-2.0 */
/*
 * feature.c - what this kernel can do: a row is a name and a function that tries it.
 *
 * The answer is kept on the handle.  Nothing is tried before somebody asks, and on the way to dtrace_go() nobody
 * asks: the engine assumes what every supported kernel has, and looks here when a program was refused.
 * Never compare version numbers: distributions carry features backwards.
 */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "load/live.h"

/* A descriptor, or -1. */
static int load(const struct bpf_insn *insns, u32 n)
{
	struct dt_bpf_prog p = { .type = BPF_PROG_TYPE_RAW_TRACEPOINT,
				 .name = "dt_feature",
				 .insns = insns,
				 .ninsns = n };
	struct dt_funcs f;
	int fd = -1;

	if (dt_funcs_init(&f, insns, n) == 0) {
		p.btf_fd = f.btf_fd;
		p.func_info = f.info;
		p.nfunc_info = f.n;
		fd = dt_bpf_prog_load(&p);
		dt_funcs_fini(&f);
	}
	return fd;
}

static bool loads(const struct bpf_insn *insns, u32 n)
{
	_cleanup_fd_ int fd = load(insns, n);

	return fd >= 0;
}

/* r0 = 0; exit */
#define RETURN_0 \
	{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0 }, \
	{ \
		.code = BPF_JMP | BPF_EXIT \
	}

static bool has_btf(void)
{
	return access("/sys/kernel/btf/vmlinux", R_OK) == 0;
}

static bool has_raw_tp(void)
{
	static const struct bpf_insn insns[] = { RETURN_0 };

	return loads(insns, DT_NELEM(insns));
}

static bool has_helper(s32 helper)
{
	const struct bpf_insn insns[] = {
		{ .code = BPF_JMP | BPF_CALL, .imm = helper },
		RETURN_0,
	};

	return loads(insns, DT_NELEM(insns));
}

static bool has_raw_tp_cookie(void)
{
	return has_helper(BPF_FUNC_get_attach_cookie);
}

static bool has_task_btf(void)
{
	return has_helper(BPF_FUNC_get_current_task_btf);
}

static bool has_task_storage(void)
{
	static const struct dt_mapspec m = { .name = "dt_feature",
					     .role = DT_MAP_SELF,
					     .type = BPF_MAP_TYPE_TASK_STORAGE,
					     .key_size = 4,
					     .value_size = 8,
					     .flags = BPF_F_NO_PREALLOC };
	_cleanup_fd_ int fd = dt_map_create_self(&m);

	return fd >= 0;
}

/* bpf_loop(0, callback, NULL, 0): the callback is a subprogram behind the exit. */
static bool has_loop(void)
{
	static const struct bpf_insn insns[] = {
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_1 },
		{ .code = BPF_LD | BPF_IMM | BPF_DW,
		  .dst_reg = BPF_REG_2,
		  .src_reg = BPF_PSEUDO_FUNC,
		  .imm = 6 },
		{ 0 },
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_3 },
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_4 },
		{ .code = BPF_JMP | BPF_CALL, .imm = BPF_FUNC_loop },
		RETURN_0,
		RETURN_0, /* the callback; imm above counts from the instruction after ld_imm64's first */
	};

	return loads(insns, DT_NELEM(insns));
}

/* Kernels that do not know such programs may load them all the same, for other places. */
static bool has_sleepable(void)
{
	static const struct bpf_insn insns[] = { RETURN_0 };
	const struct dt_bpf_prog p = { .type = BPF_PROG_TYPE_RAW_TRACEPOINT,
				       .name = "dt_feature",
				       .insns = insns,
				       .ninsns = DT_NELEM(insns),
				       .btf_fd = -1,
				       .sleepable = true };
	_cleanup_fd_ int fd = dt_bpf_prog_load(&p);
	_cleanup_fd_ int link = fd < 0 ? -1 : dt_bpf_raw_tp_open("sys_enter", fd, 0);

	return link >= 0;
}

static bool has_batch(void)
{
	struct dt_mapspec m = { .name = "dt_feature",
				.type = BPF_MAP_TYPE_HASH,
				.key_size = 8,
				.value_size = 8,
				.max_entries = 1 };
	_cleanup_fd_ int fd = dt_bpf_map_create(&m, -1, 0, 0);

	return fd >= 0 && dt_bpf_map_batch_probe(fd) == 0;
}

static bool has_test_run(void)
{
	static const struct bpf_insn insns[] = { RETURN_0 };
	_cleanup_fd_ int fd = load(insns, DT_NELEM(insns));

	return fd >= 0 && dt_bpf_test_run(fd, NULL, 0) == 0;
}

/* Programs for such links load everywhere: a link tells.  A kernel that knows them looks at the file, and a
 * folder is none. */
static bool has_uprobe_multi(void)
{
	static const struct bpf_insn insns[] = { RETURN_0 };
	static const u64 off = 0;
	const struct dt_bpf_prog p = { .type = BPF_PROG_TYPE_KPROBE,
				       .attach_type = DT_BPF_UPROBE_MULTI,
				       .name = "dt_feature",
				       .insns = insns,
				       .ninsns = DT_NELEM(insns),
				       .btf_fd = -1 };
	const struct dt_bpf_uprobes u = { .path = "/", .offs = &off, .n = 1 };
	_cleanup_fd_ int fd = dt_bpf_prog_load(&p);
	_cleanup_fd_ int link = fd < 0 ? -1 : dt_bpf_uprobe_multi(fd, &u);

	return fd >= 0 && (link >= 0 || errno == EBADF);
}

/* ---- programs that are made for one function or tracepoint -------------------------------------------------- */

static const struct bpf_insn nothing[] = { RETURN_0 };

/* A function that is there to be attached to, and one that nobody gets to see called. */
static const char *const harmless[] = { "bpf_fentry_test1", "kernel_halt" };

static bool attaches_typed(dtrace_hdl_t *h, u32 attach_type, const char *name, int kind)
{
	struct dt_btf *b = dt_types_btf(&h->types);
	struct dt_bpf_prog p = { .type = BPF_PROG_TYPE_TRACING,
				 .name = "dt_feature",
				 .insns = nothing,
				 .ninsns = DT_NELEM(nothing),
				 .attach_type = attach_type };
	_cleanup_fd_ int prog = -1;
	_cleanup_fd_ int link = -1;

	p.attach_btf_id = b ? dt_btf_find(b, name, kind) : 0;
	errno = ENOENT;
	if (p.attach_btf_id)
		prog = dt_bpf_prog_load(&p);
	if (prog >= 0)
		link = dt_bpf_raw_tp_open(NULL, prog, 0);
	return link >= 0;
}

static bool has_tp_btf(dtrace_hdl_t *h)
{
	return attaches_typed(h, BPF_TRACE_RAW_TP, "btf_trace_cpu_idle", DT_BTF_TYPEDEF) ||
	       (errno == ENOENT &&
		attaches_typed(h, BPF_TRACE_RAW_TP, "btf_trace_sched_process_exit", DT_BTF_TYPEDEF));
}

static bool has_fentry(dtrace_hdl_t *h)
{
	return attaches_typed(h, BPF_TRACE_FENTRY, harmless[0], DT_BTF_FUNC) ||
	       (errno == ENOENT && attaches_typed(h, BPF_TRACE_FENTRY, harmless[1], DT_BTF_FUNC));
}

static bool kprobe_multi(const char *function)
{
	struct dt_bpf_prog p = { .type = BPF_PROG_TYPE_KPROBE,
				 .name = "dt_feature",
				 .insns = nothing,
				 .ninsns = DT_NELEM(nothing),
				 .attach_type = BPF_TRACE_KPROBE_MULTI };
	_cleanup_fd_ int prog = dt_bpf_prog_load(&p);
	_cleanup_fd_ int link =
		prog < 0 ? -1 : dt_bpf_link_kprobes(prog, &function, NULL, NULL, 1, false);

	return link >= 0;
}

static bool has_kprobe_multi(void)
{
	return kprobe_multi(harmless[0]) || (errno == ESRCH && kprobe_multi(harmless[1]));
}

static bool kprobe(const char *function)
{
	_cleanup_fd_ int fd = dt_perf_open_kprobe(function, false);

	return fd >= 0;
}

static bool has_kprobe(void)
{
	return kprobe(harmless[0]) || kprobe(harmless[1]);
}

/* At the start of our own file, where no code is. */
static bool has_uprobe(void)
{
	static const u64 zero;
	const struct dt_bpf_uprobes u = {
		.path = "/proc/self/exe", .offs = &zero, .cookies = &zero, .n = 1, .pid = getpid()
	};
	struct dt_bpf_prog p = { .type = BPF_PROG_TYPE_KPROBE,
				 .name = "dt_feature",
				 .insns = nothing,
				 .ninsns = DT_NELEM(nothing) };
	_cleanup_fd_ int prog = dt_bpf_prog_load(&p);
	_cleanup_fd_ int link = prog < 0 ? -1 : dt_bpf_uprobe_perf(prog, &u);

	return link >= 0;
}

/* ---- helpers of destructive actions ------------------------------------------------------------------------ */

static bool has_send_signal(void)
{
	static const struct bpf_insn insns[] = {
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_1 },
		{ .code = BPF_JMP | BPF_CALL, .imm = BPF_FUNC_send_signal },
		RETURN_0,
	};

	return loads(insns, DT_NELEM(insns));
}

static bool has_write_user(void)
{
	static const struct bpf_insn insns[] = {
		/* probe_write_user(NULL, a word of the stack, 8) */
		{ .code = BPF_ST | BPF_MEM | BPF_DW, .dst_reg = BPF_REG_10, .off = -8 },
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_1 },
		{ .code = BPF_ALU64 | BPF_MOV | BPF_X, .dst_reg = BPF_REG_2, .src_reg = BPF_REG_10 },
		{ .code = BPF_ALU64 | BPF_ADD | BPF_K, .dst_reg = BPF_REG_2, .imm = -8 },
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_3, .imm = 8 },
		{ .code = BPF_JMP | BPF_CALL, .imm = BPF_FUNC_probe_write_user },
		RETURN_0,
	};

	return loads(insns, DT_NELEM(insns));
}

/* ---- the table ------------------------------------------------------------------------------------------------ */

/* probe leaves errno when it says no.  instead: what happens without. */
static const struct {
	const char *name;
	bool (*probe)(void);
	const char *use, *instead;
	bool (*probe_on)(dtrace_hdl_t *h); /* the same, for those that look at the handle */
} features[DT_NFEATS] = {
	[DT_FEAT_BTF] = { "kernel type information (BTF)", has_btf,
			  "kernel types, arguments of sdt and fbt probes",
			  "no kernel types, no sdt and fbt probes" },
	[DT_FEAT_RAW_TP] = { "raw tracepoints", has_raw_tp,
			     "syscall, sdt and all that hangs on tracepoints",
			     "nothing can be traced" },
	[DT_FEAT_RAW_TP_COOKIE] = { "cookies of raw tracepoints", has_raw_tp_cookie,
				    "one program for many tracepoints",
				    "a program for each tracepoint" },
	[DT_FEAT_TP_BTF] = { "typed tracepoints", NULL, "plain loads through args[] of tracepoints",
			     "reads by helper calls", has_tp_btf },
	[DT_FEAT_FENTRY] = { "fentry and fexit", NULL, "fbt of few functions", "kprobes", has_fentry },
	[DT_FEAT_KPROBE_MULTI] = { "kprobe_multi links", has_kprobe_multi, "fbt of many functions",
				   "a kprobe for each function" },
	[DT_FEAT_KPROBE] = { "kprobes", has_kprobe, "fbt and rawfbt without the two above",
			     "no fbt and rawfbt probes but by the two above" },
	[DT_FEAT_TASK_STORAGE] = { "task storage maps", has_task_storage, "thread-local variables",
				   "programs with self-> variables are refused" },
	[DT_FEAT_TASK_BTF] = { "typed current task", has_task_btf, "plain loads through curthread",
			       "reads by helper calls" },
	[DT_FEAT_LOOP] = { "bpf_loop", has_loop, "subroutines on strings",
			   "programs with such subroutines are refused" },
	[DT_FEAT_SLEEPABLE] = { "system call programs that may sleep", has_sleepable,
				"memory of processes that must be fetched first",
				"a fault where it is not in memory" },
	[DT_FEAT_BATCH] = { "batched map access", has_batch, "reading aggregations",
			    "one system call for each key" },
	[DT_FEAT_UPROBE_MULTI] = { "links of many uprobes", has_uprobe_multi, "pid and USDT probes",
				   "an event for each place" },
	[DT_FEAT_UPROBE] = { "uprobes", has_uprobe, "pid and USDT probes without such links",
			     "no pid and USDT probes but by such links" },
	[DT_FEAT_TEST_RUN] = { "test runs of raw tracepoint programs", has_test_run,
			       "BEGIN and END", "programs with BEGIN or END are refused" },
	[DT_FEAT_SEND_SIGNAL] = { "signals from programs", has_send_signal, "raise(), stop()",
				  "programs with these actions are refused" },
	[DT_FEAT_WRITE_USER] = { "writing to user memory", has_write_user, "copyout(), copyoutstr()",
				 "programs with these actions are refused" },
};

bool dt_feature(dtrace_hdl_t *h, enum dt_feature f)
{
	struct dt_featstate *s = &h->features[f];
	bool yes;

	if (s->known)
		return s->known > 0;
	errno = 0;
	yes = features[f].probe_on ? features[f].probe_on(h) : features[f].probe();
	s->refusal = yes ? 0 : errno;
	s->known = yes ? 1 : -1;
	return yes;
}

bool dt_feature_assumed(const dtrace_hdl_t *h, enum dt_feature f)
{
	return h->features[f].known >= 0;
}

const char *dt_feature_name(enum dt_feature f)
{
	return features[f].name;
}

int dtrace_feature_iter(dtrace_hdl_t *h, int (*f)(dtrace_hdl_t *, const dtrace_feature_t *, void *),
			void *arg)
{
	dtrace_feature_t out;
	int i, rv;

	for (i = 0; i < DT_NFEATS; i++) {
		out = (dtrace_feature_t){
			.dtf_name = features[i].name,
			.dtf_use = features[i].use ? features[i].use : "",
			.dtf_instead = features[i].instead ? features[i].instead : "",
			.dtf_available = dt_feature(h, (enum dt_feature)i),
			.dtf_refusal = "",
		};
		if (!out.dtf_available && h->features[i].refusal)
			out.dtf_refusal = dt_errstr(h->features[i].refusal);
		rv = f(h, &out, arg);
		if (rv)
			return rv;
	}
	return 0;
}
