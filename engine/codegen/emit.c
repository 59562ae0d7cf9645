/* SPDX-License-Identifier: Apache-2.0 */
/* emit.c - one small function per instruction shape. */
#include <string.h>

#include "codegen/gen.h"

static struct ir_insn *ins(struct gen *g, enum ir_op op)
{
	return ir_emit(g->prog, g->f, op);
}

vreg e_movi(struct gen *g, s64 imm)
{
	struct ir_insn *i = ins(g, IR_MOVI);

	i->imm = imm;
	return i->d = ir_reg(g->f);
}

void e_seti(struct gen *g, vreg d, s64 imm)
{
	struct ir_insn *i = ins(g, IR_MOVI);

	i->imm = imm;
	i->d = d;
}

void e_set(struct gen *g, vreg d, vreg a)
{
	struct ir_insn *i = ins(g, IR_MOV);

	i->a = a;
	i->d = d;
}

vreg e_mov(struct gen *g, vreg a)
{
	vreg d = ir_reg(g->f);

	e_set(g, d, a);
	return d;
}

vreg e_alu(struct gen *g, enum ir_op op, vreg a, vreg b)
{
	struct ir_insn *i = ins(g, op);

	i->a = a;
	i->b = b;
	return i->d = ir_reg(g->f);
}

vreg e_alui(struct gen *g, enum ir_op op, vreg a, s64 imm)
{
	struct ir_insn *i = ins(g, op);

	i->a = a;
	i->imm = imm;
	return i->d = ir_reg(g->f);
}

vreg e_neg(struct gen *g, vreg a)
{
	return e_alui(g, IR_NEG, a, 0);
}

vreg e_zext32(struct gen *g, vreg a)
{
	return e_alui(g, IR_ZEXT32, a, 0);
}

/* Offsets in instructions have 16 bits. */
static struct mem near_mem(struct gen *g, struct mem m)
{
	if (m.off >= INT16_MIN && m.off + 8 <= INT16_MAX)
		return m;
	return (struct mem){ e_alui(g, IR_ADD, m.p, m.off), 0 };
}

vreg e_ld(struct gen *g, struct mem m, u32 size)
{
	m = near_mem(g, m);
	struct ir_insn *i = ins(g, IR_LD);

	i->a = m.p;
	i->off = (s32)m.off;
	i->size = (u8)size;
	return i->d = ir_reg(g->f);
}

void e_st(struct gen *g, struct mem m, u32 size, vreg v)
{
	m = near_mem(g, m);
	struct ir_insn *i = ins(g, IR_ST);

	i->a = m.p;
	i->b = v;
	i->off = (s32)m.off;
	i->size = (u8)size;
}

void e_sti(struct gen *g, struct mem m, u32 size, s64 imm)
{
	m = near_mem(g, m);
	struct ir_insn *i = ins(g, IR_ST);

	i->a = m.p;
	i->imm = imm;
	i->off = (s32)m.off;
	i->size = (u8)size;
}

void e_xadd(struct gen *g, struct mem m, vreg v)
{
	m = near_mem(g, m);
	struct ir_insn *i = ins(g, IR_XADD);

	i->a = m.p;
	i->b = v;
	i->off = (s32)m.off;
	i->size = 8;
}

vreg e_cmpxchg(struct gen *g, struct mem m, vreg expected, vreg want)
{
	m = near_mem(g, m);
	struct ir_insn *i = ins(g, IR_CMPXCHG);

	i->a = m.p;
	i->off = (s32)m.off;
	i->size = 8;
	i->b = expected;
	i->c = want;
	return i->d = ir_reg(g->f);
}

void e_jmp(struct gen *g, u32 label)
{
	ins(g, IR_JMP)->label = label;
}

void e_jcc(struct gen *g, u8 cond, vreg a, vreg b, u32 label)
{
	struct ir_insn *i = ins(g, IR_JCC);

	i->cond = cond;
	i->a = a;
	i->b = b;
	i->label = label;
}

void e_jcci(struct gen *g, u8 cond, vreg a, s64 imm, u32 label)
{
	struct ir_insn *i = ins(g, IR_JCC);

	i->cond = cond;
	i->a = a;
	i->imm = imm;
	i->label = label;
}

void e_label(struct gen *g, u32 label)
{
	ins(g, IR_LABEL)->label = label;
}

void e_ret(struct gen *g, s64 imm)
{
	ins(g, IR_RET)->imm = imm;
}

struct ir_arg a_reg(vreg r)
{
	return (struct ir_arg){ .kind = IR_A_REG, .r = r };
}

struct ir_arg a_mem(struct mem m)
{
	if (!m.p)
		return a_fp((s32)m.off);
	return (struct ir_arg){ .kind = m.off ? IR_A_REGOFF : IR_A_REG, .r = m.p, .imm = m.off };
}

struct ir_arg a_imm(s64 imm)
{
	return (struct ir_arg){ .kind = IR_A_IMM, .imm = imm };
}

struct ir_arg a_map(int map)
{
	return (struct ir_arg){ .kind = IR_A_MAP, .map = (u32)map };
}

struct ir_arg a_fp(s32 off)
{
	return (struct ir_arg){ .kind = IR_A_FP, .imm = off };
}

struct ir_arg a_func(const struct ir_func *f)
{
	return (struct ir_arg){ .kind = IR_A_FUNC, .imm = f->index };
}

vreg e_calln(struct gen *g, enum ir_op op, s64 which, const struct ir_arg *args, u32 n)
{
	struct ir_insn *i = ins(g, op);

	i->imm = which;
	i->nargs = (u8)n;
	if (n) {
		i->args = dt_arena_alloc(g->arena, n * sizeof(*args));
		memcpy(i->args, args, n * sizeof(*args));
	}
	return i->d = ir_reg(g->f);
}

struct mem mem_fp(s32 slot)
{
	return (struct mem){ 0, slot };
}

struct mem mem_add(struct mem m, s64 off)
{
	m.off += off;
	return m;
}

vreg e_addr(struct gen *g, struct mem m)
{
	if (!m.p) {
		struct ir_insn *i = ins(g, IR_FP);

		i->off = (s32)m.off;
		return i->d = ir_reg(g->f);
	}
	return m.off ? e_alui(g, IR_ADD, m.p, m.off) : m.p;
}

vreg e_bounded(struct gen *g, vreg v)
{
	vreg d = e_mov(g, v);

	ir_pin(g->prog, g->f, d);
	return d;
}

vreg e_launder(struct gen *g, vreg p)
{
	struct mem t = g_tmp(g, 8);

	e_st(g, t, 8, p);
	return e_ld(g, t, 8);
}
