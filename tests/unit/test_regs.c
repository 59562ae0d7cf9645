/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Register allocation and assembly: random functions in linear form are run twice, by an interpreter of the linear
 * form and by one of the BPF that came out, and must agree.  Calls clobber r0-r5 in the second, so a value
 * kept in the wrong place shows.
 */
#include <stdlib.h>
#include <string.h>

#include "codegen/ir.h"
#include "test.h"

#define NREGS 40
#define SLOT_BYTES 64

static u64 seed;

static u64 rnd(void)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return seed;
}

/* What the "helper" of the test gives back: depends on all arguments and their order. */
static u64 helper(const u64 *a, u32 n)
{
	u64 h = 1469598103934665603u;

	for (u32 k = 0; k < n; k++)
		h = (h ^ a[k]) * 1099511628211u + k;
	return h;
}

static u64 alu(u8 op, u64 a, u64 b)
{
	switch (op) {
	case BPF_ADD: return a + b;
	case BPF_SUB: return a - b;
	case BPF_MUL: return a * b;
	case BPF_DIV: return b ? a / b : 0;
	case BPF_MOD: return b ? a % b : a;
	case BPF_AND: return a & b;
	case BPF_OR: return a | b;
	case BPF_XOR: return a ^ b;
	case BPF_LSH: return a << (b & 63);
	case BPF_RSH: return a >> (b & 63);
	case BPF_ARSH: return (u64)((s64)a >> (b & 63));
	default: return b;
	}
}

static bool holds(u8 cond, u64 a, u64 b)
{
	switch (cond) {
	case BPF_JEQ: return a == b;
	case BPF_JNE: return a != b;
	case BPF_JGT: return a > b;
	case BPF_JSLT: return (s64)a < (s64)b;
	default: return (s64)a >= (s64)b;
	}
}

static const u8 ir_alu[] = {
	[IR_ADD] = BPF_ADD, [IR_SUB] = BPF_SUB, [IR_MUL] = BPF_MUL, [IR_DIV] = BPF_DIV,
	[IR_MOD] = BPF_MOD, [IR_AND] = BPF_AND, [IR_OR] = BPF_OR,   [IR_XOR] = BPF_XOR,
	[IR_SHL] = BPF_LSH, [IR_SHR] = BPF_RSH, [IR_SAR] = BPF_ARSH
};

static u64 run_ir(const struct ir_func *f, const u64 *args)
{
	u64 *r = calloc(f->nregs + 1, sizeof(*r)), a[5], out = 0;
	u8 mem[SLOT_BYTES];

	for (u32 k = 0; k < f->n; k++) {
		const struct ir_insn *i = &f->v[k];
		u64 b = i->b ? r[i->b] : (u64)i->imm;

		if (i->op >= IR_ADD && i->op <= IR_SAR) {
			r[i->d] = alu(ir_alu[i->op], r[i->a], b);
			continue;
		}
		switch (i->op) {
		case IR_ENTRY:
			for (u32 j = 0; j < i->nargs; j++)
				r[i->args[j].r] = args[j];
			break;
		case IR_MOVI: r[i->d] = (u64)i->imm; break;
		case IR_MOV: r[i->d] = r[i->a]; break;
		case IR_NEG: r[i->d] = -r[i->a]; break;
		case IR_ZEXT32: r[i->d] = (u32)r[i->a]; break;
		case IR_ST: memcpy(mem + SLOT_BYTES + i->off, &b, 8); break;
		case IR_LD: memcpy(&r[i->d], mem + SLOT_BYTES + i->off, 8); break;
		case IR_JCC:
			if (holds(i->cond, r[i->a], b))
				while (f->v[k].op != IR_LABEL || f->v[k].label != i->label)
					k++;
			break;
		case IR_CALL:
			for (u32 j = 0; j < i->nargs; j++)
				a[j] = i->args[j].kind == IR_A_IMM ?
					       (u64)i->args[j].imm :
					       r[i->args[j].r] + (u64)i->args[j].imm;
			r[i->d] = helper(a, i->nargs);
			break;
		case IR_RET:
			out = i->a ? r[i->a] : (u64)i->imm;
			k = f->n;
			break;
		default: break;
		}
	}
	free(r);
	return out;
}

static u64 run_bpf(const struct dt_progspec *p, const u64 *args, const u32 *nargs)
{
	u64 r[11] = { 0 };
	u8 mem[512];
	u32 call = 0;

	memset(mem, 0xa5, sizeof(mem));
	memcpy(&r[1], args, 3 * sizeof(u64));
	for (u32 pc = 0; pc < p->ninsns; pc++) {
		const struct bpf_insn *i = &p->insns[pc];
		u64 src = BPF_SRC(i->code) == BPF_X ? r[i->src_reg] : (u64)(s64)i->imm;
		u64 *d = &r[i->dst_reg];

		switch (BPF_CLASS(i->code)) {
		case BPF_ALU64:
			*d = BPF_OP(i->code) == BPF_NEG ? -*d : alu(BPF_OP(i->code), *d, src);
			break;
		case BPF_ALU:
			*d = (u32)src; /* mov only */
			break;
		case BPF_LD:
			*d = (u32)i->imm | (u64)(u32)i[1].imm << 32;
			pc++;
			break;
		case BPF_LDX:
			CHECK(i->src_reg == 10);
			memcpy(d, mem + 512 + i->off, 8);
			break;
		case BPF_STX: memcpy(mem + 512 + i->off, &r[i->src_reg], 8); break;
		case BPF_ST: {
			u64 v = (u64)(s64)i->imm;

			memcpy(mem + 512 + i->off, &v, 8);
			break;
		}
		default:
			if (BPF_OP(i->code) == BPF_EXIT)
				return r[0];
			if (BPF_OP(i->code) == BPF_CALL) {
				r[0] = helper(&r[1], nargs[call++ % 64]);
				for (int k = 1; k <= 5; k++)
					r[k] = 0xdeadbeefdeadbeef;
			} else if (BPF_OP(i->code) == BPF_JA || holds(BPF_OP(i->code), *d, src)) {
				pc += (u32)i->off;
			}
		}
	}
	fprintf(stderr, "the program ran off its end\n");
	test_failures++;
	return 0;
}

static vreg any(struct ir_func *f, u32 live)
{
	(void)f;
	return 1 + (vreg)(rnd() % live);
}

static s64 constant(void)
{
	switch (rnd() % 4) {
	case 0: return (s64)rnd();
	case 1: return (s64)(rnd() & 0xffffffff);
	default: return (s64)(rnd() % 64);
	}
}

static void random_insn(struct ir_prog *p, struct ir_func *f, u32 live, s32 slot, u32 *skip,
			u32 *nskip)
{
	static const u8 conds[] = { BPF_JEQ, BPF_JNE, BPF_JGT, BPF_JSLT, BPF_JSGE };
	u32 what = rnd() % 20;
	struct ir_insn *i;

	if (*nskip && --*nskip == 0)
		ir_emit(p, f, IR_LABEL)->label = *skip;
	if (what < 12) {
		i = ir_emit(p, f, (enum ir_op)(IR_ADD + rnd() % 11));
		i->a = any(f, live);
		if (rnd() % 3)
			i->b = any(f, live);
		else
			i->imm = i->op >= IR_SHL || i->op == IR_DIV || i->op == IR_MOD ?
					 1 + (s64)(rnd() % 62) :
					 constant();
	} else if (what < 14) {
		i = ir_emit(p, f, rnd() % 2 ? IR_MOV : IR_NEG);
		i->a = any(f, live);
	} else if (what == 14) {
		i = ir_emit(p, f, IR_ST);
		i->size = 8;
		i->off = slot + (s32)(rnd() % 8) * 8;
		if (rnd() % 2)
			i->b = any(f, live);
		else
			i->imm = constant();
		return;
	} else if (what == 15) {
		i = ir_emit(p, f, IR_LD);
		i->size = 8;
		i->off = slot + (s32)(rnd() % 8) * 8;
	} else if (what == 16 && !*nskip) {
		*skip = ir_label(f);
		*nskip = 1 + (u32)(rnd() % 6);
		i = ir_emit(p, f, IR_JCC);
		i->cond = conds[rnd() % 5];
		i->a = any(f, live);
		if (rnd() % 2)
			i->b = any(f, live);
		else
			i->imm = constant();
		i->label = *skip;
		return;
	} else if (what == 17) {
		i = ir_emit(p, f, IR_CALL);
		i->nargs = 5; /* always: the interpreter of BPF cannot tell */
		i->args = dt_arena_alloc(p->arena, 5 * sizeof(*i->args));
		for (int k = 0; k < 5; k++) {
			if (rnd() % 5 == 0)
				i->args[k] = (struct ir_arg){ .kind = IR_A_IMM, .imm = constant() };
			else
				i->args[k] = (struct ir_arg){ .kind = IR_A_REGOFF,
							      .r = any(f, live),
							      .imm = (s64)(rnd() % 100) };
		}
	} else {
		i = ir_emit(p, f, IR_MOVI);
		i->imm = constant();
	}
	i->d = any(f, live); /* redefine, so that lives overlap in every way */
}

static void one(u64 n, u32 length, u32 live)
{
	struct dt_arena a;
	struct ir_prog p = { .arena = &a };
	struct dt_progspec spec = { 0 };
	u64 args[3] = { n, ~n, n * 77 };
	u32 nargs[64], skip = 0, nskip = 0;

	dt_arena_init(&a);
	seed = n * 2654435761u + 12345;
	for (int k = 0; k < 64; k++)
		nargs[k] = 5;
	struct ir_func *f = ir_func_new(&p, "f");
	struct ir_insn *e = ir_emit(&p, f, IR_ENTRY);

	e->nargs = 3;
	e->args = dt_arena_alloc(&a, 3 * sizeof(*e->args));
	for (int k = 0; k < 3; k++)
		e->args[k] = (struct ir_arg){ .kind = IR_A_REG, .r = ir_reg(f) };
	while (f->nregs < live) {
		struct ir_insn *i = ir_emit(&p, f, IR_MOVI);

		i->imm = constant();
		i->d = ir_reg(f);
	}
	s32 slot = ir_slot(f, SLOT_BYTES);

	for (int k = 0; k < 8; k++) {
		struct ir_insn *i = ir_emit(&p, f, IR_ST);

		i->size = 8;
		i->off = slot + k * 8;
		i->imm = k;
	}
	for (u32 k = 0; k < length; k++)
		random_insn(&p, f, live, slot, &skip, &nskip);
	if (nskip)
		ir_emit(&p, f, IR_LABEL)->label = skip;
	vreg sum = ir_reg(f);
	struct ir_insn *i = ir_emit(&p, f, IR_MOVI);

	i->d = sum;
	for (vreg r = 1; r <= live; r += 1 + (vreg)(rnd() % 3)) {
		i = ir_emit(&p, f, IR_XOR);
		i->d = sum;
		i->a = sum;
		i->b = r;
	}
	ir_emit(&p, f, IR_RET)->a = sum;
	u64 want = run_ir(f, args);

	ir_dce(f, &a);
	CHECK(run_ir(f, args) == want);
	ir_regs(f, &a);
	CHECK(ir_asm(&p, &spec) == 0);
	u64 got = run_bpf(&spec, args, nargs);

	if (got != want)
		fprintf(stderr, "function %llu (%u instructions, %u values) differs\n",
			(unsigned long long)n, length, live);
	CHECK(got == want);
	dt_arena_fini(&a);
}

int main(void)
{
	for (u64 n = 1; n <= 3000 && !test_failures; n++)
		one(n, 5 + n % 120, 3 + n % NREGS);
	return test_status();
}
