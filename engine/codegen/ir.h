/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ir.h - the linear form between the typed tree and BPF: BPF's own operations over any number of virtual
 * registers, three-address, with labels.
 *
 * All jumps go forward (loops exist only as bpf_loop callbacks, functions of their own), so a register is live
 * from its first definition to its last use in instruction order, and one linear scan allocates (regs.c).
 * Helper arguments may be constants, map references or stack addresses: they never occupy a register.
 */
#ifndef DT_IR_H
#define DT_IR_H

#include <linux/bpf.h>

#include "base/base.h"
#include "codegen/object.h"

typedef u32 vreg; /* 0: none */

/* op, dump name */
#define DT_IR_OPS(X) \
	X(NOP, "nop") \
	X(ENTRY, "entry") /* args[] (registers) = r1.. */ \
	X(LABEL, "label") /* imm */ \
	X(MOVI, "movi")   /* d = imm */ \
	X(MOV, "mov")     /* d = a */ \
	X(ADD, "add")     /* d = a op b, or imm when b is 0 */ \
	X(SUB, "sub") \
	X(MUL, "mul") \
	X(DIV, "div") /* unsigned, as MOD */ \
	X(MOD, "mod") \
	X(AND, "and") \
	X(OR, "or") \
	X(XOR, "xor") \
	X(SHL, "shl") \
	X(SHR, "shr") \
	X(SAR, "sar") \
	X(NEG, "neg")         /* d = -a */ \
	X(ZEXT32, "zext32")   /* d = (u32)a */ \
	X(BSWAP, "bswap")     /* d = a with its low imm (16, 32, 64) bits reversed, rest 0 */ \
	X(LD, "ld")           /* d = *(size)(a + off), zero-extended */ \
	X(ST, "st")           /* *(size)(a + off) = b, or imm when b is 0 */ \
	X(XADD, "xadd")       /* atomic *(size)(a + off) += b */ \
	X(CMPXCHG, "cmpxchg") /* atomic: d = old *(size)(a + off); if d == b then it becomes c */ \
	X(FP, "fp")           /* d = frame pointer + off */ \
	X(MAPVAL, "mapval")   /* d = address of map imm's value + off */ \
	X(JMP, "jmp")         /* to label imm2 */ \
	X(JCC, "jcc")         /* if a cond b (imm when b is 0) to label imm2 */ \
	X(CALL, "call")       /* d = helper imm(args) */ \
	X(CALLSUB, "callsub") /* d = function imm(args) */ \
	X(CALLK, "callk") /* d = function of the kernel's own, by its number in BTF, imm(args) */ \
	X(RET, "ret")     /* return a, or imm */

enum ir_op {
#define X(op, name) IR_##op,
	DT_IR_OPS(X)
#undef X
		IR_NOPS
};

/* Conditions are BPF's jump codes: BPF_JEQ, BPF_JNE, BPF_JGT, BPF_JSGT ... BPF_JSET */

enum ir_argkind { IR_A_REG, IR_A_REGOFF, IR_A_IMM, IR_A_MAP, IR_A_FP, IR_A_MAPVAL, IR_A_FUNC };
struct ir_arg {
	enum ir_argkind kind;
	vreg r;
	s64 imm; /* offset, constant, frame offset, function */
	u32 map;
};

#define IR_MAXARGS 5
struct ir_insn {
	u8 op, cond, size, nargs;
	vreg d, a, b, c;
	s32 off;
	s64 imm;
	u32 label;
	u8 patch; /* 1 + enum dt_patch_kind: the immediate is the loader's */
	struct ir_arg *args;
	struct dt_loc loc;
};

struct ir_func {
	const char *name;
	struct ir_insn *v;
	u32 n, cap;
	u32 nregs; /* highest virtual register */
	u32 nlabels;
	u32 frame;     /* bytes of stack taken by named slots now */
	u32 frame_max; /* and at most: slots come and go like calls */
	u32 index;
	DT_VEC(vreg) pinned; /* short-lived values that must stay in a register, see ir_pin() */
	/* after regs.c: */
	s16 *loc; /* per vreg: 0-9 register, below 0: frame offset of its spill slot, LOC_NONE */
	u32 *hint;
	u32 stack;       /* whole frame, 8-byte multiple */
	bool leaf_entry; /* reached by a call, not an entry point */
};
#define IR_LOC_NONE 100

/* One BPF program under construction: function 0 is the entry point. */
struct ir_prog {
	struct dt_arena *arena;
	struct ir_func **funcs;
	u32 nfuncs, cap;
	struct dt_loc loc; /* given to new instructions */
	const char *error; /* first thing that cannot be expressed; constant or arena text */
	struct dt_loc error_loc;
};

struct ir_func *ir_func_new(struct ir_prog *p, const char *name);
struct ir_insn *ir_emit(struct ir_prog *p, struct ir_func *f, enum ir_op op);
static inline vreg ir_reg(struct ir_func *f)
{
	return ++f->nregs;
}
static inline u32 ir_label(struct ir_func *f)
{
	return ++f->nlabels;
}
/* Never spill r.  For numbers that were just compared with a bound and are about to be added to a pointer: verifiers
 * before Linux 6.8 forget the bound of a value that lives on the stack. */
void ir_pin(struct ir_prog *p, struct ir_func *f, vreg r);
/* A frame slot of size bytes (8-byte multiple): its offset from the frame pointer.  It is free again when f->frame
 * is set back to what it was. */
s32 ir_slot(struct ir_func *f, u32 size);

/* Remove what is never reached, and computations whose results nobody uses. */
void ir_dce(struct ir_func *f, struct dt_arena *a);
/* Linear scan: fills loc[] and stack. */
void ir_regs(struct ir_func *f, struct dt_arena *a);
/* To bytes: insns, relocs, patches, locs of spec. 0, or -1 with p->error. */
int ir_asm(struct ir_prog *p, struct dt_progspec *spec);

void ir_dump(const struct ir_prog *p, const struct dt_object *o, bool with_regs, struct dt_str *out);
void dt_bpf_disasm(const struct dt_progspec *spec, const struct dt_object *o, struct dt_str *out);
const char *dt_bpf_helper_name(u32 id);

#endif
