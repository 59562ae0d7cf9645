/* SPDX-License-Identifier: Apache-2.0 */
/*
 * subrs_net.c - addresses as text.
 *
 * Texts of bytes come from tables; what was written so far is kept in a word in scratch.
 */
#include "codegen/rt.h"

#define AF_INET_ 2
#define AF_INET6_ 10
#define TEXT_BYTES 64 /* more than any address needs: 8 * 5, or 6 * 5 + 16 */

/* ---- IPv4 ------------------------------------------------------------------------------------------------ */

/* For each byte "N." in 4 bytes, then the length in 4 */
static struct mem octets(struct gen *g)
{
	u8 t[256][8] = { { 0 } };

	for (u32 v = 0; v < 256; v++) {
		u8 len = 0;

		if (v >= 100)
			t[v][len++] = (u8)('0' + v / 100);
		if (v >= 10)
			t[v][len++] = (u8)('0' + v / 10 % 10);
		t[v][len++] = (u8)('0' + v % 10);
		t[v][len++] = '.';
		t[v][4] = len;
	}
	return g_rodata_mem(g, g_rodata(g, t, sizeof(t), 8));
}

/* The 4 bytes at addr to out + at, with a NUL in place of the last dot. */
static void put_ipv4(struct gen *g, struct mem addr, vreg table, vreg out, vreg at)
{
	vreg p = e_alu(g, IR_ADD, out, at);

	for (u32 k = 0; k < 4; k++) {
		vreg v = e_ld(g, mem_add(addr, k), 1);
		vreg row = e_alu(g, IR_ADD, table, e_alui(g, IR_SHL, v, 3));

		e_st(g, (struct mem){ p, 0 }, 4, e_ld(g, (struct mem){ row, 0 }, 4));
		p = e_alu(g, IR_ADD, p, e_alui(g, IR_AND, e_ld(g, (struct mem){ row, 4 }, 4), 7));
	}
	e_sti(g, (struct mem){ p, -1 }, 1, 0);
}

static void text_to(struct gen *g, struct mem text, struct mem dst, u32 size)
{
	e_call(g, BPF_FUNC_probe_read_kernel_str, a_mem(dst), a_imm(DT_MIN(size, TEXT_BYTES)),
	       a_mem(text));
}

static void ipv4(struct gen *g, const struct dt_node *n, u32 arg, struct mem dst, u32 size)
{
	struct mem addr = g_tmp(g, 8), text = mem_add(g_tmp(g, TEXT_BYTES + 8), 8);

	subr_fetch(g, n, arg, 0, addr, 4);
	put_ipv4(g, addr, e_addr(g, octets(g)), e_addr(g, text), e_movi(g, 0));
	text_to(g, text, dst, size);
}

void into_inet_ntoa(struct gen *g, const struct dt_node *n, struct mem dst, u32 size)
{
	ipv4(g, n, 0, dst, size);
}

/* ---- IPv6 ------------------------------------------------------------------------------------------------ */

/* The run of zeros in progress, the longest (of two at least), whether the end is an IPv4 address, text made */
enum { V6_RUN, V6_BEST, V6_BEST_LEN, V6_V4, V6_TO, V6_WORDS };

static vreg group(struct gen *g, const struct rt_body *b, u32 k, vreg at)
{
	vreg p = e_alu(g, IR_ADD, rt_ptr(g, b, k), e_alui(g, IR_SHL, at, 1));

	return e_alui(g, IR_BSWAP, e_ld(g, (struct mem){ p, 0 }, 2), 16);
}

static void stop_from(struct gen *g, vreg idx, s64 n)
{
	u32 in = ir_label(g->f);

	e_jcci(g, BPF_JLT, idx, n, in);
	rt_stop(g);
	e_label(g, in);
}

/* at 0: address */
static void body_zeros(struct gen *g, const struct rt_body *b, u32 unused1, u32 unused2)
{
	u32 zero = ir_label(g->f), longer = ir_label(g->f);
	struct mem w = rt_own_words(g, b);

	(void)unused1;
	(void)unused2;
	stop_from(g, b->idx, 8);
	e_jcci(g, BPF_JEQ, group(g, b, 0, b->idx), 0, zero);
	rt_seti(g, w, V6_RUN, 0);
	rt_next(g);
	e_label(g, zero);
	vreg run = e_alui(g, IR_ADD, rt_word(g, w, V6_RUN), 1);

	rt_set(g, w, V6_RUN, run);
	e_jcc(g, BPF_JGT, run, rt_word(g, w, V6_BEST_LEN), longer);
	rt_next(g);
	e_label(g, longer);
	rt_set(g, w, V6_BEST_LEN, run);
	rt_set(g, w, V6_BEST, e_alui(g, IR_ADD, e_alu(g, IR_SUB, b->idx, run), 1));
	rt_next(g);
}

/* 16 bits as 1 to 4 hexadecimal digits and a colon, at p; the length of that. */
static vreg put_group(struct gen *g, vreg v, vreg p)
{
	/* each nibble in a byte of its own, the highest in the lowest byte */
	vreg x = e_alu(g, IR_OR, e_alui(g, IR_SHR, v, 8),
		       e_alui(g, IR_SHL, e_alui(g, IR_AND, v, 0xff), 16));

	x = e_alu(g, IR_OR, e_alui(g, IR_AND, e_alui(g, IR_SHR, x, 4), 0x0f000f),
		  e_alui(g, IR_SHL, e_alui(g, IR_AND, x, 0x0f000f), 8));
	/* 10 to 15 have bit 4 set after adding 6: 39 more leads from behind '9' to 'a' */
	vreg letters = e_alui(g, IR_AND, e_alui(g, IR_SHR, e_alui(g, IR_ADD, x, 0x06060606), 4),
			      0x01010101);

	x = e_alui(g, IR_ADD, e_alu(g, IR_ADD, x, e_alui(g, IR_MUL, letters, 39)), 0x30303030);
	vreg n = e_movi(g, 1);

	for (u32 k = 1; k < 4; k++)
		n = e_alu(g, IR_ADD, n,
			  e_alui(g, IR_SHR, e_alui(g, IR_ADD, v, 0x10000 - (INT64_C(1) << k * 4)),
				 16));
	vreg skip = e_alui(g, IR_SHL, e_alui(g, IR_SUB, e_neg(g, n), -4), 3);

	x = e_alu(g, IR_SHR, x, e_alui(g, IR_AND, skip, 31));
	n = e_alui(g, IR_AND, n, 7);
	e_st(g, (struct mem){ p, 0 }, 4, x);
	e_sti(g, (struct mem){ e_alu(g, IR_ADD, p, n), 0 }, 2, ':');
	return e_alui(g, IR_ADD, n, 1);
}

/* at 0: address, 1: text, 2: table for IPv4.  A group and a colon each; a colon for all groups of the longest run */
static void body_groups(struct gen *g, const struct rt_body *b, u32 unused1, u32 unused2)
{
	u32 text = ir_label(g->f), none = ir_label(g->f), room = ir_label(g->f),
	    v6 = ir_label(g->f), more = ir_label(g->f);
	struct mem w = rt_own_words(g, b);

	(void)unused1;
	(void)unused2;
	stop_from(g, b->idx, 8);
	vreg to = rt_pos(g, w, V6_TO), best = rt_word(g, w, V6_BEST),
	     in = e_alu(g, IR_SUB, b->idx, best);

	e_jcci(g, BPF_JLT, to, 8 * 5, room);
	rt_stop(g);
	e_label(g, room);
	vreg p = e_alu(g, IR_ADD, rt_ptr(g, b, 1), to);

	e_jcc(g, BPF_JGE, in, rt_word(g, w, V6_BEST_LEN), text);
	e_jcci(g, BPF_JNE, in, 0, none);
	u32 colon = ir_label(g->f);

	e_jcci(g, BPF_JNE, b->idx, 0, colon); /* at the start there is none yet */
	e_sti(g, (struct mem){ p, 0 }, 1, ':');
	e_sti(g, (struct mem){ p, 1 }, 2, ':');
	rt_step(g, w, V6_TO, to, 2);
	rt_next(g);
	e_label(g, colon);
	e_sti(g, (struct mem){ p, 0 }, 2, ':');
	rt_step(g, w, V6_TO, to, 1);
	e_label(g, none);
	rt_next(g);
	e_label(g, text);
	e_jcci(g, BPF_JNE, b->idx, 6, v6);
	e_jcci(g, BPF_JEQ, rt_word(g, w, V6_V4), 0, v6);
	put_ipv4(g, (struct mem){ rt_ptr(g, b, 0), 12 }, rt_ptr(g, b, 2), rt_ptr(g, b, 1), to);
	rt_stop(g);
	e_label(g, v6);
	rt_set(g, w, V6_TO, e_alu(g, IR_ADD, to, put_group(g, group(g, b, 0, b->idx), p)));
	e_jcci(g, BPF_JLT, b->idx, 7, more);
	/* no colon after the last group */
	vreg end = g_at_most(g, rt_word(g, w, V6_TO), 9 * 5);

	e_sti(g, (struct mem){ e_alui(g, IR_ADD, e_alu(g, IR_ADD, rt_ptr(g, b, 1), end), -1), 0 },
	      1, 0);
	e_label(g, more);
	rt_next(g);
}

/* An IPv4 address inside is shown as such, with what is before it; alone where `whole` (0: not given) is 0. */
static void ipv6(struct gen *g, const struct dt_node *n, u32 arg, vreg whole, struct mem dst, u32 size)
{
	static const struct rt_kind zeros = { "zeros", body_zeros },
				    groups = { "groups", body_groups };
	struct mem addr = g_tmp(g, 16), text = mem_add(g_tmp(g, TEXT_BYTES + 8), 8),
		   table = octets(g);
	struct mem w = rt_words(g, NULL, 0, V6_WORDS);
	u32 v6 = ir_label(g->f), compat = ir_label(g->f), v4 = ir_label(g->f),
	    alone = ir_label(g->f), some = ir_label(g->f), done = ir_label(g->f);

	subr_fetch(g, n, arg, 0, addr, 16);
	rt_loop(g, 8, &zeros, 0, 0, w, &addr, 1);
	vreg len = rt_word(g, w, V6_BEST_LEN);

	e_jcci(g, BPF_JGE, len, 2, some);
	rt_seti(g, w, V6_BEST, 8);
	rt_seti(g, w, V6_BEST_LEN, 0);
	e_label(g, some);
	e_jcci(g, BPF_JNE, rt_word(g, w, V6_BEST), 0, v6);
	e_jcci(g, BPF_JEQ, len, 6, compat);
	e_jcci(g, BPF_JNE, len, 5, v6);
	e_jcci(g, BPF_JEQ, e_ld(g, mem_add(addr, 10), 2), 0xffff, v4);
	e_jmp(g, v6);
	e_label(g, compat);
	e_label(g, v4);
	rt_seti(g, w, V6_V4, 1);
	if (whole)
		e_jcci(g, BPF_JEQ, whole, 0, alone);
	e_label(g, v6);
	rt_loop(g, 8, &groups, 0, 0, w, (const struct mem[]){ addr, text, table }, 3);
	if (whole) {
		e_jmp(g, done);
		e_label(g, alone);
		put_ipv4(g, mem_add(addr, 12), e_addr(g, table), e_addr(g, text), e_movi(g, 0));
	}
	e_label(g, done);
	text_to(g, text, dst, size);
}

/* Without a second argument (or with 0) an embedded IPv4 address stands alone, as in the classic function. */
void into_inet_ntoa6(struct gen *g, const struct dt_node *n, struct mem dst, u32 size)
{
	ipv6(g, n, 0, subr_const_or(g, n, 1, 0), dst, size);
}

void into_inet_ntop(struct gen *g, const struct dt_node *n, struct mem dst, u32 size)
{
	const struct dt_node *f = n->args[0];
	u32 v6 = ir_label(g->f), done = ir_label(g->f);
	vreg af = g_expr(g, f);

	if (f->op == N_INT && f->val == AF_INET_) {
		ipv4(g, n, 1, dst, size);
		return;
	}
	if (f->op == N_INT && f->val == AF_INET6_) {
		ipv6(g, n, 1, 0, dst, size);
		return;
	}
	e_jcci(g, BPF_JEQ, af, AF_INET6_, v6);
	g_fault_unless(g, BPF_JEQ, af, AF_INET_, DTRACEFLT_ILLOP, 0, n->loc);
	ipv4(g, n, 1, dst, size);
	e_jmp(g, done);
	e_label(g, v6);
	ipv6(g, n, 1, 0, dst, size);
	e_label(g, done);
}

/* ---- link layer ------------------------------------------------------------------------------------------ */

#define ARPHRD_ETHER_ 1
#define ARPHRD_INFINIBAND_ 32
#define LINK_BYTES 20

/* Two digits and a colon for each byte; at 0: bytes, 1: text */
static void body_link(struct gen *g, const struct rt_body *b, u32 unused1, u32 unused2)
{
	(void)unused1;
	(void)unused2;
	stop_from(g, b->idx, LINK_BYTES);
	vreg v = e_ld(g, (struct mem){ e_alu(g, IR_ADD, rt_ptr(g, b, 0), b->idx), 0 }, 1);
	vreg x = e_alu(g, IR_OR, e_alui(g, IR_SHR, v, 4),
		       e_alui(g, IR_SHL, e_alui(g, IR_AND, v, 15), 8));
	vreg letters = e_alui(g, IR_AND, e_alui(g, IR_SHR, e_alui(g, IR_ADD, x, 0x0606), 4), 0x0101);
	vreg p = e_alu(g, IR_ADD, rt_ptr(g, b, 1), e_alui(g, IR_MUL, b->idx, 3));

	x = e_alui(g, IR_ADD, e_alu(g, IR_ADD, x, e_alui(g, IR_MUL, letters, 39)), 0x3a3030);
	e_st(g, (struct mem){ p, 0 }, 4, x);
	rt_next(g);
}

void into_link_ntop(struct gen *g, const struct dt_node *n, struct mem dst, u32 size)
{
	static const struct rt_kind kind = { "link", body_link };
	struct mem bytes = g_tmp(g, LINK_BYTES), text = g_tmp(g, LINK_BYTES * 3 + 8);
	struct mem w = rt_words(g, NULL, 0, 1);
	u32 ether = ir_label(g->f), done = ir_label(g->f);
	vreg type = g_expr(g, n->args[0]);

	e_jcci(g, BPF_JEQ, type, ARPHRD_ETHER_, ether);
	g_fault_unless(g, BPF_JEQ, type, ARPHRD_INFINIBAND_, DTRACEFLT_ILLOP, 0, n->loc);
	subr_fetch(g, n, 1, 0, bytes, LINK_BYTES);
	rt_loop(g, LINK_BYTES, &kind, 0, 0, w, (const struct mem[]){ bytes, text }, 2);
	e_sti(g, mem_add(text, LINK_BYTES * 3 - 1), 1, 0);
	e_jmp(g, done);
	e_label(g, ether);
	subr_fetch(g, n, 1, 0, bytes, 6);
	rt_loop(g, 6, &kind, 0, 0, w, (const struct mem[]){ bytes, text }, 2);
	e_sti(g, mem_add(text, 6 * 3 - 1), 1, 0);
	e_label(g, done);
	text_to(g, text, dst, size);
}
