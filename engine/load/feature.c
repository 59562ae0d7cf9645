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

static const struct {
	const char *name;
	bool (*probe)(void);
} features[DT_NFEATS] = {
	[DT_FEAT_BTF] = { "kernel type information (BTF)", has_btf },
	[DT_FEAT_RAW_TP] = { "raw tracepoints", has_raw_tp },
	[DT_FEAT_RAW_TP_COOKIE] = { "cookies of raw tracepoints", has_raw_tp_cookie },
	[DT_FEAT_TASK_STORAGE] = { "task storage maps", has_task_storage },
	[DT_FEAT_TASK_BTF] = { "typed current task", has_task_btf },
	[DT_FEAT_LOOP] = { "bpf_loop", has_loop },
	[DT_FEAT_BATCH] = { "batched map access", has_batch },
	[DT_FEAT_UPROBE_MULTI] = { "links of many uprobes", has_uprobe_multi },
	[DT_FEAT_TEST_RUN] = { "test runs of raw tracepoint programs", has_test_run },
};

bool dt_feature(dtrace_hdl_t *h, enum dt_feature f)
{
	if (!h->features[f])
		h->features[f] = features[f].probe() ? 1 : -1;
	return h->features[f] > 0;
}

const char *dt_feature_name(enum dt_feature f)
{
	return features[f].name;
}
