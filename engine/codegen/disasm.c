/* SPDX-License-Identifier: Apache-2.0 */
/* disasm.c - a program's instructions as text, one per line, with the names of maps and helpers. */
#include "codegen/ir.h"

static const char *const helper_names[] = {
#define FN(x, ...) [BPF_FUNC_##x] = #x,
	FN(map_lookup_elem) FN(map_update_elem) FN(map_delete_elem) FN(ktime_get_ns)
		FN(get_prandom_u32) FN(get_smp_processor_id) FN(get_current_pid_tgid)
			FN(get_current_uid_gid) FN(get_current_comm) FN(get_current_task)
				FN(get_current_task_btf) FN(task_pt_regs) FN(task_storage_get)
					FN(probe_read_kernel) FN(probe_read_kernel_str)
						FN(probe_read_user) FN(probe_read_user_str)
							FN(copy_from_user) FN(get_stack)
								FN(ringbuf_output) FN(loop)
#undef FN
};

const char *dt_bpf_helper_name(u32 id)
{
	return id < DT_NELEM(helper_names) && helper_names[id] ? helper_names[id] : "helper";
}

static const char *const alu_ops[16] = {
	"+=", "-=", "*=", "/=", "|=", "&=", "<<=", ">>=", "neg", "%=", "^=", "=", "s>>=", "end",
};
static const char *const jump_ops[16] = {
	"goto", "==", ">", ">=", "&", "!=", "s>", "s>=", "call", "exit", "<", "<=", "s<", "s<=",
};
static const char *const sizes[4] = { "u32", "u16", "u8", "u64" };

static const char *map_of(const struct dt_progspec *s, const struct dt_object *o, u32 insn)
{
	for (u32 k = 0; k < s->nrelocs; k++)
		if (s->relocs[k].insn == insn && s->relocs[k].map < o->nmaps)
			return o->maps[s->relocs[k].map].name;
	return "?";
}

static const char *patch_of(const struct dt_progspec *s, u32 insn)
{
	static const char *const names[] = {
		[DT_PATCH_RING_MASK] = "ring mask", [DT_PATCH_RING_CAP] = "ring size"
	};

	for (u32 k = 0; k < s->npatches; k++)
		if (s->patches[k].insn == insn)
			return names[s->patches[k].kind];
	return NULL;
}

static void put_src(const struct dt_progspec *s, u32 k, struct dt_str *out)
{
	const struct bpf_insn *i = &s->insns[k];
	const char *patch = patch_of(s, k);

	if (BPF_SRC(i->code) == BPF_X)
		dt_str_printf(out, "r%u", i->src_reg);
	else if (patch)
		dt_str_printf(out, "<%s>", patch);
	else
		dt_str_printf(out, "%d", i->imm);
}

static void put_alu(const struct dt_progspec *s, u32 k, struct dt_str *out)
{
	const struct bpf_insn *i = &s->insns[k];
	char r = BPF_CLASS(i->code) == BPF_ALU ? 'w' : 'r';
	u8 op = BPF_OP(i->code) >> 4;

	if (BPF_OP(i->code) == BPF_NEG) {
		dt_str_printf(out, "%c%u = -%c%u", r, i->dst_reg, r, i->dst_reg);
	} else if (BPF_OP(i->code) == BPF_END) {
		dt_str_printf(out, "r%u = be%d r%u", i->dst_reg, i->imm, i->dst_reg);
	} else {
		dt_str_printf(out, "%c%u %s ", r, i->dst_reg, alu_ops[op]);
		put_src(s, k, out);
	}
}

static void put_jump(const struct dt_progspec *s, u32 k, struct dt_str *out)
{
	const struct bpf_insn *i = &s->insns[k];

	switch (BPF_OP(i->code)) {
	case BPF_EXIT: dt_str_puts(out, "exit"); return;
	case BPF_CALL:
		if (i->src_reg == BPF_PSEUDO_CALL)
			dt_str_printf(out, "call function at %u", k + 1 + (u32)i->imm);
		else
			dt_str_printf(out, "call %s", dt_bpf_helper_name((u32)i->imm));
		return;
	case BPF_JA: dt_str_printf(out, "goto %u", k + 1 + (u32)i->off); return;
	default:
		dt_str_printf(out, "if r%u %s ", i->dst_reg, jump_ops[BPF_OP(i->code) >> 4]);
		put_src(s, k, out);
		dt_str_printf(out, " goto %u", k + 1 + (u32)i->off);
	}
}

static void put_load(const struct dt_progspec *s, const struct dt_object *o, u32 k, struct dt_str *out)
{
	const struct bpf_insn *i = &s->insns[k];

	switch (i->src_reg) {
	case BPF_PSEUDO_MAP_FD:
		dt_str_printf(out, "r%u = map %s", i->dst_reg, map_of(s, o, k));
		return;
	case BPF_PSEUDO_MAP_VALUE:
		dt_str_printf(out, "r%u = %s + %d", i->dst_reg, map_of(s, o, k), i[1].imm);
		return;
	case BPF_PSEUDO_FUNC:
		dt_str_printf(out, "r%u = function at %u", i->dst_reg, k + 1 + (u32)i->imm);
		return;
	default:
		dt_str_printf(out, "r%u = %lld", i->dst_reg,
			      (long long)((u64)(u32)i->imm | (u64)(u32)i[1].imm << 32));
	}
}

static void put_store(const struct bpf_insn *i, struct dt_str *out)
{
	const char *size = sizes[BPF_SIZE(i->code) >> 3];

	if (BPF_MODE(i->code) == BPF_ATOMIC && i->imm == BPF_CMPXCHG)
		dt_str_printf(out, "r0 = cmpxchg %s [r%u%+d], r0, r%u", size, i->dst_reg, i->off,
			      i->src_reg);
	else if (BPF_MODE(i->code) == BPF_ATOMIC)
		dt_str_printf(out, "atomic %s [r%u%+d] += r%u", size, i->dst_reg, i->off, i->src_reg);
	else if (BPF_CLASS(i->code) == BPF_STX)
		dt_str_printf(out, "%s [r%u%+d] = r%u", size, i->dst_reg, i->off, i->src_reg);
	else
		dt_str_printf(out, "%s [r%u%+d] = %d", size, i->dst_reg, i->off, i->imm);
}

static bool is_function_start(const struct dt_progspec *s, u32 insn, const char **name)
{
	for (u32 k = 0; k < s->nfuncs; k++)
		if (s->funcs[k].insn == insn) {
			*name = s->funcs[k].name;
			return true;
		}
	return false;
}

void dt_bpf_disasm(const struct dt_progspec *s, const struct dt_object *o, struct dt_str *out)
{
	const char *name;

	for (u32 k = 0; k < s->ninsns; k++) {
		const struct bpf_insn *i = &s->insns[k];

		if (is_function_start(s, k, &name))
			dt_str_printf(out, "%s:\n", name);
		dt_str_printf(out, "%5u  ", k);
		switch (BPF_CLASS(i->code)) {
		case BPF_ALU:
		case BPF_ALU64: put_alu(s, k, out); break;
		case BPF_JMP:
		case BPF_JMP32: put_jump(s, k, out); break;
		case BPF_LDX:
			dt_str_printf(out, "r%u = %s [r%u%+d]", i->dst_reg,
				      sizes[BPF_SIZE(i->code) >> 3], i->src_reg, i->off);
			break;
		case BPF_LD:
			put_load(s, o, k, out);
			k++;
			break;
		default: put_store(i, out);
		}
		dt_str_putc(out, '\n');
	}
}
