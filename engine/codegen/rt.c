/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rt.c - BPF functions made on demand: bodies of bpf_loop().
 *
 * The verifier looks at a callback once, however often it runs, so strings may be as long as the kernel lets maps
 * be.  One function serves all loops of a program that are of the same kind and have the same bounds.
 */
#include "codegen/rt.h"

#define CTX_SIZE ((1 + RT_MAXPTRS) * 8)

/* ---- for bodies ------------------------------------------------------------------------------------------ */

struct mem rt_own_words(struct gen *g, const struct rt_body *b)
{
	return (struct mem){ e_ld(g, (struct mem){ b->ctx, 0 }, 8), 0 };
}

vreg rt_ptr(struct gen *g, const struct rt_body *b, u32 k)
{
	return e_ld(g, (struct mem){ b->ctx, 8 + k * 8 }, 8);
}

vreg rt_byte(struct gen *g, const struct rt_body *b, u32 k, vreg at, u32 bound)
{
	vreg c = e_movi(g, 0);
	u32 past = ir_label(g->f);

	e_jcci(g, BPF_JGE, at, bound, past);
	vreg p = e_alu(g, IR_ADD, rt_ptr(g, b, k), at);

	e_set(g, c, e_ld(g, (struct mem){ p, 0 }, 1));
	e_label(g, past);
	return c;
}

void rt_set(struct gen *g, struct mem words, u32 k, vreg v)
{
	e_st(g, mem_add(words, k * 8), 8, v);
}

void rt_seti(struct gen *g, struct mem words, u32 k, s64 v)
{
	e_sti(g, mem_add(words, k * 8), 8, v);
}

void rt_step(struct gen *g, struct mem words, u32 k, vreg v, s64 by)
{
	rt_set(g, words, k, e_alui(g, IR_ADD, v, by));
}

void rt_next(struct gen *g)
{
	e_ret(g, 0);
}

void rt_stop(struct gen *g)
{
	e_ret(g, 1);
}

static struct ir_func *make_func(struct gen *g, const struct rt_kind *kind, u32 b1, u32 b2)
{
	struct ir_func *saved = g->f, *f = ir_func_new(g->prog, kind->name);
	struct rt_body b;
	struct ir_insn *e;

	g->f = f;
	b.idx = ir_reg(f);
	ir_pin(g->prog, f, b.idx);
	b.ctx = ir_reg(f);
	e = ir_emit(g->prog, f, IR_ENTRY);
	e->nargs = 2;
	e->args = dt_arena_alloc(g->arena, 2 * sizeof(*e->args));
	e->args[0] = a_reg(b.idx);
	e->args[1] = a_reg(b.ctx);
	kind->body(g, &b, b1, b2);
	g->f = saved;
	return f;
}

static const struct ir_func *rt_func(struct gen *g, const struct rt_kind *kind, u32 b1, u32 b2)
{
	for (u32 k = 0; k < g->rt.n; k++)
		if (g->rt.v[k].kind == kind && g->rt.v[k].b1 == b1 && g->rt.v[k].b2 == b2)
			return g->rt.v[k].f;
	struct ir_func *f = make_func(g, kind, b1, b2);

	*dt_vec_push(g->arena, &g->rt) = (struct rt_use){ .kind = kind, .b1 = b1, .b2 = b2, .f = f };
	return f;
}

/* ---- for callers ----------------------------------------------------------------------------------------- */

struct mem rt_words(struct gen *g, const vreg *first, u32 n, u32 zeros)
{
	struct mem w = g_tmp(g, (n + zeros) * 8);

	for (u32 k = 0; k < n; k++)
		rt_set(g, w, k, first[k]);
	for (u32 k = n; k < n + zeros; k++)
		rt_seti(g, w, k, 0);
	return w;
}

vreg rt_word(struct gen *g, struct mem words, u32 k)
{
	return e_ld(g, mem_add(words, k * 8), 8);
}

vreg rt_pos(struct gen *g, struct mem words, u32 k)
{
	return e_bounded(g, rt_word(g, words, k));
}

void rt_loop(struct gen *g, u32 rounds, const struct rt_kind *kind, u32 b1, u32 b2,
	     struct mem words, const struct mem *ptrs, u32 nptrs)
{
	const struct ir_func *f = rt_func(g, kind, b1, b2);
	u32 frame = g->f->frame;
	s32 ctx = ir_slot(g->f, CTX_SIZE);

	e_st(g, mem_fp(ctx), 8, e_addr(g, words));
	for (u32 k = 0; k < nptrs && k < RT_MAXPTRS; k++)
		e_st(g, mem_fp(ctx + 8 + (s32)k * 8), 8, e_addr(g, ptrs[k]));
	e_call(g, BPF_FUNC_loop, a_imm(rounds), a_func(f), a_fp(ctx), a_imm(0));
	g->f->frame = frame;
}

/* ---- comparison ------------------------------------------------------------------------------------------ */

/* words: result */
static void body_strcmp(struct gen *g, const struct rt_body *b, u32 b1, u32 b2)
{
	u32 differ = ir_label(g->f), less = ir_label(g->f), go = ir_label(g->f);
	vreg c1 = rt_byte(g, b, 0, b->idx, b1), c2 = rt_byte(g, b, 1, b->idx, b2);

	e_jcc(g, BPF_JNE, c1, c2, differ);
	e_jcci(g, BPF_JNE, c1, 0, go);
	rt_stop(g);
	e_label(g, go);
	rt_next(g);
	e_label(g, differ);
	struct mem w = rt_own_words(g, b);

	e_jcc(g, BPF_JLT, c1, c2, less);
	rt_seti(g, w, 0, 1);
	rt_stop(g);
	e_label(g, less);
	rt_seti(g, w, 0, -1);
	rt_stop(g);
}

vreg rt_strcmp(struct gen *g, struct sval a, struct sval b)
{
	static const struct rt_kind kind = { "strcmp", body_strcmp };
	struct mem w = rt_words(g, NULL, 0, 1);

	rt_loop(g, DT_MAX(a.bound, b.bound), &kind, a.bound, b.bound, w,
		(const struct mem[]){ a.m, b.m }, 2);
	return rt_word(g, w, 0);
}
