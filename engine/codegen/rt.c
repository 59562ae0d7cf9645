/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rt.c - BPF functions made on demand: bodies of bpf_loop() over strings.
 *
 * The verifier looks at a callback once, however often it runs, so strings may be as long as the kernel lets maps
 * be.  A callback gets the index and the address of a block of words in its caller's frame.  It finds strings
 * by index only (never by a counter kept in the block), which keeps the verifier's bounds simple.
 */
#include "codegen/gen.h"
#include "codegen/rt.h"

struct rt_body {
	vreg idx, ctx;
};

static struct ir_func *begin(struct gen *g, const char *name, struct rt_body *b, struct ir_func **saved)
{
	struct ir_insn *e;

	*saved = g->f;
	g->f = ir_func_new(g->prog, name);
	b->idx = ir_reg(g->f);
	ir_pin(g->prog, g->f, b->idx);
	b->ctx = ir_reg(g->f);
	e = ir_emit(g->prog, g->f, IR_ENTRY);
	e->nargs = 2;
	e->args = dt_arena_alloc(g->arena, 2 * sizeof(*e->args));
	e->args[0] = a_reg(b->idx);
	e->args[1] = a_reg(b->ctx);
	return g->f;
}

static struct mem word(const struct rt_body *b, u32 n)
{
	return (struct mem){ b->ctx, n * 8 };
}

/* The idx-th byte of the string whose address is word n; 0 past its bound. */
static vreg byte_at(struct gen *g, const struct rt_body *b, u32 n, u32 bound)
{
	vreg c = e_movi(g, 0);
	u32 past = ir_label(g->f);

	e_jcci(g, BPF_JGE, b->idx, bound, past);
	vreg p = e_alu(g, IR_ADD, e_ld(g, word(b, n), 8), b->idx);

	e_set(g, c, e_ld(g, (struct mem){ p, 0 }, 1));
	e_label(g, past);
	return c;
}

/* words: s1, s2, result */
static void body_strcmp(struct gen *g, const struct rt_body *b, u32 b1, u32 b2)
{
	u32 differ = ir_label(g->f), less = ir_label(g->f), go = ir_label(g->f);
	vreg c1 = byte_at(g, b, 0, b1), c2 = byte_at(g, b, 1, b2);

	e_jcc(g, BPF_JNE, c1, c2, differ);
	e_jcci(g, BPF_JNE, c1, 0, go);
	e_ret(g, 1);
	e_label(g, differ);
	e_jcc(g, BPF_JLT, c1, c2, less);
	e_sti(g, word(b, 2), 8, 1);
	e_ret(g, 1);
	e_label(g, less);
	e_sti(g, word(b, 2), 8, -1);
	e_ret(g, 1);
	e_label(g, go);
	e_ret(g, 0);
}

/* words: s, start of the last component, its end, 1 after a slash */
static void body_basename(struct gen *g, const struct rt_body *b, u32 bound, u32 unused)
{
	(void)unused;
	u32 text = ir_label(g->f), slash = ir_label(g->f), inside = ir_label(g->f);
	vreg c = byte_at(g, b, 0, bound);

	e_jcci(g, BPF_JNE, c, 0, text);
	e_ret(g, 1);
	e_label(g, text);
	e_jcci(g, BPF_JEQ, c, '/', slash);
	e_jcci(g, BPF_JEQ, e_ld(g, word(b, 3), 8), 0, inside);
	e_st(g, word(b, 1), 8, b->idx);
	e_label(g, inside);
	e_st(g, word(b, 2), 8, e_alui(g, IR_ADD, b->idx, 1));
	e_sti(g, word(b, 3), 8, 0);
	e_ret(g, 0);
	e_label(g, slash);
	e_sti(g, word(b, 3), 8, 1);
	e_ret(g, 0);
}

/* Upper to lower case or back; words: s, destination */
static void body_case(struct gen *g, const struct rt_body *b, u32 bound, u32 first)
{
	u32 in = ir_label(g->f), same = ir_label(g->f), go = ir_label(g->f);

	e_jcci(g, BPF_JLT, b->idx, bound, in);
	e_ret(g, 1);
	e_label(g, in);
	vreg c = e_mov(g, byte_at(g, b, 0, bound));
	vreg to = e_alu(g, IR_ADD, e_ld(g, word(b, 1), 8), b->idx);

	e_jcci(g, BPF_JLT, c, first, same);
	e_jcci(g, BPF_JGT, c, first + 25, same);
	e_set(g, c, e_alui(g, IR_XOR, c, 0x20));
	e_label(g, same);
	e_st(g, (struct mem){ to, 0 }, 1, c);
	e_jcci(g, BPF_JNE, c, 0, go);
	e_ret(g, 1);
	e_label(g, go);
	e_ret(g, 0);
}

/* First or (last != 0) last position of a character; words: s, character, result */
static void body_chr(struct gen *g, const struct rt_body *b, u32 bound, u32 last)
{
	u32 other = ir_label(g->f), go = ir_label(g->f);
	vreg c = byte_at(g, b, 0, bound);

	e_jcc(g, BPF_JNE, c, e_ld(g, word(b, 1), 8), other);
	e_st(g, word(b, 2), 8, b->idx);
	if (!last)
		e_ret(g, 1);
	e_label(g, other);
	e_jcci(g, BPF_JNE, c, 0, go);
	e_ret(g, 1);
	e_label(g, go);
	e_ret(g, 0);
}

/* Does the second string stand at the start of the first? words: at, sub, result */
static void body_match(struct gen *g, const struct rt_body *b, u32 bound, u32 unused)
{
	u32 more = ir_label(g->f), go = ir_label(g->f);
	vreg c2 = byte_at(g, b, 1, bound);

	(void)unused;
	e_jcci(g, BPF_JNE, c2, 0, more);
	e_sti(g, word(b, 2), 8, 1);
	e_ret(g, 1);
	e_label(g, more);
	e_jcc(g, BPF_JEQ, byte_at(g, b, 0, bound), c2, go);
	e_ret(g, 1);
	e_label(g, go);
	e_ret(g, 0);
}

/* words: s, sub, first or last position allowed, result.  b1: bytes of s to search, b2: of sub; what s points
 * to must have room for both. */
static void find(struct gen *g, const struct rt_body *b, u32 b1, u32 b2, bool last)
{
	u32 in = ir_label(g->f), try = ir_label(g->f), no = ir_label(g->f), go = ir_label(g->f);
	s32 block = ir_slot(g->f, 24);

	e_jcci(g, BPF_JLT, b->idx, b1, in);
	e_ret(g, 1);
	e_label(g, in);
	vreg limit = e_ld(g, word(b, 2), 8);

	if (last) {
		e_jcc(g, BPF_JLE, b->idx, limit, try);
		e_ret(g, 1);
	} else {
		e_jcc(g, BPF_JGE, b->idx, limit, try);
		e_jmp(g, no);
	}
	e_label(g, try);
	e_st(g, mem_fp(block), 8, e_alu(g, IR_ADD, e_ld(g, word(b, 0), 8), b->idx));
	e_st(g, mem_fp(block + 8), 8, e_ld(g, word(b, 1), 8));
	e_sti(g, mem_fp(block + 16), 8, 0);
	rt_loop(g, b2, RT_MATCH, b2, 0, block);
	e_jcci(g, BPF_JEQ, e_ld(g, mem_fp(block + 16), 8), 0, no);
	e_st(g, word(b, 3), 8, b->idx);
	if (!last)
		e_ret(g, 1);
	e_label(g, no);
	e_jcci(g, BPF_JNE, byte_at(g, b, 0, b1), 0, go);
	e_ret(g, 1);
	e_label(g, go);
	e_ret(g, 0);
}

static void body_index(struct gen *g, const struct rt_body *b, u32 b1, u32 b2)
{
	find(g, b, b1, b2, false);
}

static void body_rindex(struct gen *g, const struct rt_body *b, u32 b1, u32 b2)
{
	find(g, b, b1, b2, true);
}

/* words: s, end of the last component seen, end of what is before it, 1 after a slash, start of the last one */
static void body_dirname(struct gen *g, const struct rt_body *b, u32 bound, u32 unused)
{
	u32 text = ir_label(g->f), slash = ir_label(g->f), inside = ir_label(g->f);
	vreg c = byte_at(g, b, 0, bound);

	(void)unused;
	e_jcci(g, BPF_JNE, c, 0, text);
	e_ret(g, 1);
	e_label(g, text);
	e_jcci(g, BPF_JEQ, c, '/', slash);
	e_jcci(g, BPF_JEQ, e_ld(g, word(b, 3), 8), 0, inside);
	e_st(g, word(b, 2), 8, e_ld(g, word(b, 1), 8));
	e_st(g, word(b, 4), 8, b->idx);
	e_label(g, inside);
	e_st(g, word(b, 1), 8, e_alui(g, IR_ADD, b->idx, 1));
	e_sti(g, word(b, 3), 8, 0);
	e_ret(g, 0);
	e_label(g, slash);
	e_sti(g, word(b, 3), 8, 1);
	e_ret(g, 0);
}

/* Digits from the right into 64 bytes; words: value, base, buffer, index of the last digit made */
static void body_digits(struct gen *g, const struct rt_body *b, u32 unused1, u32 unused2)
{
	u32 in = ir_label(g->f), decimal = ir_label(g->f), go = ir_label(g->f);

	(void)unused1;
	(void)unused2;
	e_jcci(g, BPF_JLT, b->idx, 64, in);
	e_ret(g, 1);
	e_label(g, in);
	vreg v = e_ld(g, word(b, 0), 8), base = e_ld(g, word(b, 1), 8);
	vreg c = e_mov(g, e_alui(g, IR_ADD, e_alu(g, IR_MOD, v, base), '0'));

	e_jcci(g, BPF_JLE, c, '9', decimal);
	e_set(g, c, e_alui(g, IR_ADD, c, 'a' - '9' - 1));
	e_label(g, decimal);
	vreg at = e_alu(g, IR_SUB, e_movi(g, 63), b->idx);

	e_st(g, (struct mem){ e_alu(g, IR_ADD, e_ld(g, word(b, 2), 8), at), 0 }, 1, c);
	e_st(g, word(b, 3), 8, b->idx);
	vreg rest = e_alu(g, IR_DIV, v, base);

	e_st(g, word(b, 0), 8, rest);
	e_jcci(g, BPF_JNE, rest, 0, go);
	e_ret(g, 1);
	e_label(g, go);
	e_ret(g, 0);
}

/* c is a digit's value below base, or control goes to bad. */
static vreg digit_value(struct gen *g, vreg c, vreg base, u32 bad)
{
	u32 decimal = ir_label(g->f);
	vreg d = e_mov(g, e_alui(g, IR_SUB, c, '0'));

	e_jcci(g, BPF_JLE, d, 9, decimal);
	e_set(g, d, e_alui(g, IR_SUB, e_alui(g, IR_OR, c, 0x20), 'a'));
	e_jcci(g, BPF_JGT, d, 25, bad);
	e_set(g, d, e_alui(g, IR_ADD, d, 10));
	e_label(g, decimal);
	e_jcc(g, BPF_JGE, d, base, bad);
	return d;
}

/* words: s, base, value, 1 once a sign or digit was seen, 1 when negative */
static void body_number(struct gen *g, const struct rt_body *b, u32 bound, u32 unused)
{
	u32 digits = ir_label(g->f), sign = ir_label(g->f), plus = ir_label(g->f), skip = ir_label(g->f),
	    bad = ir_label(g->f);
	vreg c = byte_at(g, b, 0, bound);

	(void)unused;
	e_jcci(g, BPF_JNE, e_ld(g, word(b, 3), 8), 0, digits);
	e_jcci(g, BPF_JEQ, c, ' ', skip);
	e_jcci(g, BPF_JEQ, c, '\t', skip);
	e_jcci(g, BPF_JEQ, c, '\n', skip);
	e_sti(g, word(b, 3), 8, 1);
	e_jcci(g, BPF_JEQ, c, '-', sign);
	e_jcci(g, BPF_JEQ, c, '+', plus);
	e_label(g, digits);
	vreg base = e_ld(g, word(b, 1), 8), d = digit_value(g, c, base, bad);

	e_st(g, word(b, 2), 8, e_alu(g, IR_ADD, e_alu(g, IR_MUL, e_ld(g, word(b, 2), 8), base), d));
	e_ret(g, 0);
	e_label(g, sign);
	e_sti(g, word(b, 4), 8, 1);
	e_label(g, plus);
	e_label(g, skip);
	e_ret(g, 0);
	e_label(g, bad);
	e_ret(g, 1);
}

/* Up the tree of processes; words: task, pid, result.  b1, b2: offsets of real_parent and tgid. */
static void body_ancestor(struct gen *g, const struct rt_body *b, u32 parent_off, u32 tgid_off)
{
	u32 other = ir_label(g->f), go = ir_label(g->f);
	s32 slot = ir_slot(g->f, 8);
	vreg task = e_ld(g, word(b, 0), 8);

	e_sti(g, mem_fp(slot), 8, 0);
	e_call(g, BPF_FUNC_probe_read_kernel, a_fp(slot), a_imm(4), a_mem((struct mem){ task, tgid_off }));
	e_jcc(g, BPF_JNE, e_ld(g, mem_fp(slot), 4), e_ld(g, word(b, 1), 8), other);
	e_sti(g, word(b, 2), 8, 1);
	e_ret(g, 1);
	e_label(g, other);
	e_sti(g, mem_fp(slot), 8, 0);
	e_call(g, BPF_FUNC_probe_read_kernel, a_fp(slot), a_imm(8), a_mem((struct mem){ task, parent_off }));
	vreg parent = e_ld(g, mem_fp(slot), 8);

	e_st(g, word(b, 0), 8, parent);
	e_jcc(g, BPF_JNE, parent, task, go); /* the first task is its own parent */
	e_ret(g, 1);
	e_label(g, go);
	e_ret(g, 0);
}

static const struct {
	const char *name;
	void (*body)(struct gen *g, const struct rt_body *b, u32 b1, u32 b2);
} bodies[] = {
	[RT_STRCMP] = { "strcmp", body_strcmp },     [RT_BASENAME] = { "basename", body_basename },
	[RT_CASE] = { "case", body_case },	     [RT_CHR] = { "chr", body_chr },
	[RT_MATCH] = { "match", body_match },	     [RT_INDEX] = { "index", body_index },
	[RT_RINDEX] = { "rindex", body_rindex },     [RT_DIRNAME] = { "dirname", body_dirname },
	[RT_DIGITS] = { "digits", body_digits },     [RT_NUMBER] = { "number", body_number },
	[RT_ANCESTOR] = { "ancestor", body_ancestor },
};

static struct ir_func *rt_func(struct gen *g, enum rt_kind kind, u32 b1, u32 b2)
{
	struct rt_body b;
	struct ir_func *saved;

	for (u32 k = 0; k < g->rt.n; k++)
		if (g->rt.v[k].kind == (int)kind && g->rt.v[k].b1 == b1 && g->rt.v[k].b2 == b2)
			return g->rt.v[k].f;
	struct ir_func *f = begin(g, bodies[kind].name, &b, &saved);

	bodies[kind].body(g, &b, b1, b2);
	g->f = saved;
	*dt_vec_push(g->arena, &g->rt) = (struct rt_use){ .kind = (int)kind, .b1 = b1, .b2 = b2, .f = f };
	return f;
}

void rt_loop(struct gen *g, u32 n, enum rt_kind kind, u32 b1, u32 b2, s32 block)
{
	e_call(g, BPF_FUNC_loop, a_imm(n), a_func(rt_func(g, kind, b1, b2)), a_fp(block), a_imm(0));
}

s32 rt_block(struct gen *g, const vreg *words, u32 n, u32 zeros)
{
	s32 block = ir_slot(g->f, (n + zeros) * 8);

	for (u32 k = 0; k < n; k++)
		e_st(g, mem_fp(block + (s32)k * 8), 8, words[k]);
	for (u32 k = n; k < n + zeros; k++)
		e_sti(g, mem_fp(block + (s32)k * 8), 8, 0);
	return block;
}

vreg rt_word(struct gen *g, s32 block, u32 n)
{
	return e_ld(g, mem_fp(block + (s32)n * 8), 8);
}

vreg rt_strcmp(struct gen *g, struct sval a, struct sval b)
{
	s32 block = rt_block(g, (const vreg[]){ e_addr(g, a.m), e_addr(g, b.m) }, 2, 1);

	rt_loop(g, DT_MAX(a.bound, b.bound), RT_STRCMP, a.bound, b.bound, block);
	return rt_word(g, block, 2);
}
