/* SPDX-License-Identifier: Apache-2.0 */
/*
 * subrs_path.c - subroutines on path names, and the path of a file that the kernel has open.
 */
#include "codegen/rt.h"

/* ---- basename, dirname ----------------------------------------------------------------------------------- */

/* "." for the empty path, "/" for one of slashes only; goes to some when `found` is not 0. */
static void no_component(struct gen *g, struct sval s, struct mem dst, vreg found, u32 some, u32 end)
{
	u32 slashes = ir_label(g->f);

	e_jcci(g, BPF_JNE, found, 0, some);
	e_jcci(g, BPF_JNE, e_ld(g, s.m, 1), 0, slashes);
	g_put_literal(g, dst, ".", 1);
	e_jmp(g, end);
	e_label(g, slashes);
	g_put_literal(g, dst, "/", 1);
	e_jmp(g, end);
	e_label(g, some);
}

/* The last component's start and end, the end of the one before it, whether a slash was just seen */
enum { COMP_START, COMP_END, COMP_BEFORE, COMP_SLASH, COMP_WORDS };

static void body_component(struct gen *g, const struct rt_body *b, u32 bound, u32 unused)
{
	u32 text = ir_label(g->f), slash = ir_label(g->f), inside = ir_label(g->f);
	struct mem w = rt_own_words(g, b);
	vreg c = rt_byte(g, b, 0, b->idx, bound);

	(void)unused;
	e_jcci(g, BPF_JNE, c, 0, text);
	rt_stop(g);
	e_label(g, text);
	e_jcci(g, BPF_JEQ, c, '/', slash);
	e_jcci(g, BPF_JEQ, rt_word(g, w, COMP_SLASH), 0, inside);
	rt_set(g, w, COMP_BEFORE, rt_word(g, w, COMP_END));
	rt_set(g, w, COMP_START, b->idx);
	e_label(g, inside);
	rt_step(g, w, COMP_END, b->idx, 1);
	rt_seti(g, w, COMP_SLASH, 0);
	rt_next(g);
	e_label(g, slash);
	rt_seti(g, w, COMP_SLASH, 1);
	rt_next(g);
}

static struct mem last_component(struct gen *g, struct sval s)
{
	static const struct rt_kind kind = { "component", body_component };
	struct mem w = rt_words(g, NULL, 0, COMP_WORDS);

	rt_seti(g, w, COMP_SLASH, 1);
	rt_loop(g, s.bound, &kind, s.bound, 0, w, &s.m, 1);
	return w;
}

void into_basename(struct gen *g, const struct dt_node *n, struct mem dst, u32 size)
{
	struct sval s = subr_str_arg(g, n, 0);
	u32 some = ir_label(g->f), end = ir_label(g->f);
	struct mem w = last_component(g, s);
	vreg from = rt_word(g, w, COMP_START), to = rt_word(g, w, COMP_END);

	no_component(g, s, dst, to, some, end);
	g_slice(g, dst, size, s, from, e_alu(g, IR_SUB, to, from));
	e_label(g, end);
}

void into_dirname(struct gen *g, const struct dt_node *n, struct mem dst, u32 size)
{
	struct sval s = subr_str_arg(g, n, 0);
	u32 some = ir_label(g->f), end = ir_label(g->f), top = ir_label(g->f), inner = ir_label(g->f);
	struct mem w = last_component(g, s);
	vreg dir = rt_word(g, w, COMP_BEFORE), start = rt_word(g, w, COMP_START);

	no_component(g, s, dst, rt_word(g, w, COMP_END), some, end);
	e_jcci(g, BPF_JNE, dir, 0, inner);
	e_jcci(g, BPF_JNE, start, 0, top);
	g_put_literal(g, dst, ".", 1);
	e_jmp(g, end);
	e_label(g, top);
	g_put_literal(g, dst, "/", 1);
	e_jmp(g, end);
	e_label(g, inner);
	g_slice(g, dst, size, s, e_movi(g, 0), dir);
	e_label(g, end);
}

/* ---- cleanpath ------------------------------------------------------------------------------------------- */

/* What was read since the last character that is in the result; BACK: "/.." takes a component away */
enum { CLEAN_TEXT, CLEAN_SLASH, CLEAN_DOT, CLEAN_DOTS, CLEAN_BACK };
enum { CLEAN_AT, CLEAN_TO, CLEAN_STATE, CLEAN_WORDS };

struct clean {
	struct mem w;
	vreg at, to, out; /* positions of reading and writing, and where the latter is */
};

static void clean_put(struct gen *g, const struct clean *c, u32 size, u32 text, u32 len)
{
	e_sti(g, (struct mem){ c->out, 0 }, size, text);
	rt_step(g, c->w, CLEAN_TO, c->to, len);
}

static void clean_state(struct gen *g, const struct clean *c, u32 state)
{
	rt_seti(g, c->w, CLEAN_STATE, state);
	rt_next(g);
}

static void clean_take(struct gen *g, const struct clean *c, u32 state)
{
	rt_step(g, c->w, CLEAN_AT, c->at, 1);
	clean_state(g, c, state);
}

static void clean_text(struct gen *g, const struct clean *c, vreg ch)
{
	u32 slash = ir_label(g->f), end = ir_label(g->f);

	e_jcci(g, BPF_JEQ, ch, '/', slash);
	e_st(g, (struct mem){ c->out, 0 }, 1, ch);
	e_jcci(g, BPF_JEQ, ch, 0, end);
	rt_step(g, c->w, CLEAN_TO, c->to, 1);
	clean_take(g, c, CLEAN_TEXT);
	e_label(g, slash);
	clean_take(g, c, CLEAN_SLASH);
	e_label(g, end);
	rt_stop(g);
}

/* After "/" or "/.": another slash starts anew, another dot goes on, anything else was text. */
static void clean_slash(struct gen *g, const struct clean *c, vreg ch, u32 on, u32 size, u32 text,
			u32 len)
{
	u32 slash = ir_label(g->f), dot = ir_label(g->f);

	e_jcci(g, BPF_JEQ, ch, '/', slash);
	e_jcci(g, BPF_JEQ, ch, '.', dot);
	clean_put(g, c, size, text, len);
	clean_state(g, c, CLEAN_TEXT);
	e_label(g, slash);
	clean_take(g, c, CLEAN_SLASH);
	e_label(g, dot);
	clean_take(g, c, on);
}

static void clean_dots(struct gen *g, const struct clean *c, vreg ch)
{
	u32 back = ir_label(g->f);

	e_jcci(g, BPF_JEQ, ch, '/', back);
	e_jcci(g, BPF_JEQ, ch, 0, back);
	clean_put(g, c, 4, '/' | '.' << 8 | '.' << 16, 3);
	clean_state(g, c, CLEAN_TEXT);
	e_label(g, back);
	clean_state(g, c, CLEAN_BACK);
}

/* One character less; at a slash or the start this is done.  At the path's end a slash remains. */
static void clean_back(struct gen *g, const struct clean *c, vreg ch)
{
	u32 done = ir_label(g->f), on = ir_label(g->f);
	vreg p = e_mov(g, c->out);

	e_jcci(g, BPF_JEQ, c->to, 0, done);
	rt_step(g, c->w, CLEAN_TO, c->to, -1);
	e_set(g, p, e_alui(g, IR_ADD, c->out, -1));
	e_jcci(g, BPF_JEQ, e_ld(g, (struct mem){ p, 0 }, 1), '/', done);
	rt_next(g);
	e_label(g, done);
	e_jcci(g, BPF_JNE, ch, 0, on);
	e_sti(g, (struct mem){ p, 0 }, 2, '/');
	rt_stop(g);
	e_label(g, on);
	clean_state(g, c, CLEAN_TEXT);
}

/* at 0: path, 1: 8 bytes, room for the result and 8 more */
static void body_clean(struct gen *g, const struct rt_body *b, u32 bound, u32 unused)
{
	u32 in = ir_label(g->f), slash = ir_label(g->f), dot = ir_label(g->f),
	    dots = ir_label(g->f), back = ir_label(g->f);
	struct clean c = { .w = rt_own_words(g, b) };

	(void)unused;
	c.at = rt_pos(g, c.w, CLEAN_AT);
	c.to = rt_pos(g, c.w, CLEAN_TO);
	vreg state = rt_word(g, c.w, CLEAN_STATE), ch = rt_byte(g, b, 0, c.at, bound);

	e_jcci(g, BPF_JLT, c.to, bound, in);
	rt_stop(g);
	e_label(g, in);
	c.out = e_alui(g, IR_ADD, e_alu(g, IR_ADD, rt_ptr(g, b, 1), c.to), 8);
	e_jcci(g, BPF_JEQ, state, CLEAN_SLASH, slash);
	e_jcci(g, BPF_JEQ, state, CLEAN_DOT, dot);
	e_jcci(g, BPF_JEQ, state, CLEAN_DOTS, dots);
	e_jcci(g, BPF_JEQ, state, CLEAN_BACK, back);
	clean_text(g, &c, ch);
	e_label(g, slash);
	clean_slash(g, &c, ch, CLEAN_DOT, 1, '/', 1);
	e_label(g, dot);
	clean_slash(g, &c, ch, CLEAN_DOTS, 2, '/' | '.' << 8, 2);
	e_label(g, dots);
	clean_dots(g, &c, ch);
	e_label(g, back);
	clean_back(g, &c, ch);
}

/* Each character is read once, may be put back once and taken away once. */
void into_cleanpath(struct gen *g, const struct dt_node *n, struct mem dst, u32 size)
{
	static const struct rt_kind kind = { "cleanpath", body_clean };
	struct sval s = subr_str_arg(g, n, 0);
	struct mem t = g_tmp(g, s.bound + 16), w = rt_words(g, NULL, 0, CLEAN_WORDS);

	rt_loop(g, 4 * s.bound, &kind, s.bound, 0, w, (const struct mem[]){ s.m, t }, 2);
	e_call(g, BPF_FUNC_probe_read_kernel_str, a_mem(dst), a_imm(size), a_mem(mem_add(t, 8)));
}
