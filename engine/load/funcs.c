/* SPDX-License-Identifier: Apache-2.0 */
/*
 * funcs.c - a subprogram may only be called back by the kernel (bpf_loop and friends) when type information
 * says that it is a static function, and then every subprogram needs an entry.  The kernel takes nothing from
 * the types beyond that, so one `static long f(void)` serves for all.
 */
#include <linux/btf.h>
#include <stdlib.h>
#include <string.h>

#include "load/live.h"

static bool is_ld_imm64(const struct bpf_insn *i)
{
	return i->code == (BPF_LD | BPF_IMM | BPF_DW);
}

static bool calls_back(const struct bpf_insn *insns, u32 n)
{
	u32 i;

	for (i = 0; i < n; i++) {
		if (is_ld_imm64(&insns[i]) && insns[i].src_reg == BPF_PSEUDO_FUNC)
			return true;
		i += is_ld_imm64(&insns[i]);
	}
	return false;
}

/* Where subprograms start: marks in starts[], the number of them. */
static u32 find_starts(const struct bpf_insn *insns, u32 n, u8 *starts)
{
	u32 i, count = 1;

	starts[0] = 1;
	for (i = 0; i < n; i++) {
		bool call = insns[i].code == (BPF_JMP | BPF_CALL) &&
			    insns[i].src_reg == BPF_PSEUDO_CALL;
		bool func = is_ld_imm64(&insns[i]) && insns[i].src_reg == BPF_PSEUDO_FUNC;
		s64 to = (s64)i + 1 + insns[i].imm;

		if ((call || func) && to >= 0 && to < (s64)n && !starts[to]) {
			starts[to] = 1;
			count++;
		}
		i += is_ld_imm64(&insns[i]);
	}
	return count;
}

static int load_type(void)
{
	static const char strings[] = "\0long\0f";
	static const struct {
		struct btf_header hdr;
		struct btf_type long_type; /* 1 */
		u32 long_bits;
		struct btf_type proto; /* 2 */
		struct btf_type func;  /* 3 */
		char strings[8];
	} btf = {
		.hdr = { .magic = BTF_MAGIC,
			 .version = BTF_VERSION,
			 .hdr_len = sizeof(btf.hdr),
			 .type_len = 3 * sizeof(struct btf_type) + 4,
			 .str_off = 3 * sizeof(struct btf_type) + 4,
			 .str_len = sizeof(strings) },
		.long_type = { .name_off = 1, .info = BTF_KIND_INT << 24, .size = 8 },
		.long_bits = BTF_INT_SIGNED << 24 | 64,
		.proto = { .info = BTF_KIND_FUNC_PROTO << 24, .type = 1 },
		.func = { .name_off = 6, .info = BTF_KIND_FUNC << 24 | BTF_FUNC_STATIC, .type = 2 },
		.strings = "\0long\0f",
	};

	_Static_assert(sizeof(strings) == sizeof(btf.strings), "the string section is all of it");
	return dt_bpf_btf_load(&btf, sizeof(btf));
}

int dt_funcs_init(struct dt_funcs *f, const struct bpf_insn *insns, u32 ninsns)
{
	_cleanup_free_ u8 *starts = NULL;
	u32 i, n;

	*f = (struct dt_funcs){ .btf_fd = -1 };
	if (!calls_back(insns, ninsns))
		return 0;
	starts = calloc(ninsns, 1);
	if (!starts)
		return -1;
	n = find_starts(insns, ninsns, starts);
	f->info = calloc(n, sizeof(*f->info));
	f->btf_fd = f->info ? load_type() : -1;
	if (f->btf_fd < 0) {
		dt_funcs_fini(f);
		return -1;
	}
	for (i = 0; i < ninsns; i++)
		if (starts[i])
			f->info[f->n++] = (struct bpf_func_info){ .insn_off = i, .type_id = 3 };
	return 0;
}

void dt_funcs_fini(struct dt_funcs *f)
{
	free(f->info);
	dt_cleanup_close(&f->btf_fd);
	*f = (struct dt_funcs){ .btf_fd = -1 };
}
