/* SPDX-License-Identifier: Apache-2.0 */
/*
 * subrs_str.c - subroutines on strings, and between numbers and text.
 *
 * Positions and lengths are as in Perl's functions of the same names.  Searching takes time in proportion to the
 * strings' lengths, whatever is in them (Knuth, Morris, Pratt): both may come from a process that means no good.
 */
#include "codegen/rt.h"

/* ---- measuring ------------------------------------------------------------------------------------------- */

static vreg length_of(struct gen *g, struct sval s)
{
	if (s.lit)
		return e_movi(g, s.litlen);
	return g_copy_len(g, g_tmp(g, s.bound), s.bound, s.m);
}

vreg subr_strlen(struct gen *g, const struct dt_node *n)
{
	return length_of(g, subr_str_arg(g, n, 0));
}

/* The smaller / the larger of two signed numbers. */
static vreg smin(struct gen *g, vreg a, vreg b)
{
	vreg d = e_mov(g, a);
	u32 ok = ir_label(g->f);

	e_jcc(g, BPF_JSLE, d, b, ok);
	e_set(g, d, b);
	e_label(g, ok);
	return d;
}

static vreg smax0(struct gen *g, vreg a)
{
	vreg d = e_mov(g, a);
	u32 ok = ir_label(g->f);

	e_jcci(g, BPF_JSGE, d, 0, ok);
	e_seti(g, d, 0);
	e_label(g, ok);
	return d;
}

/* A position that counts from the end when it is negative, as one from the start. */
static vreg from_start(struct gen *g, vreg pos, vreg len)
{
	vreg d = e_mov(g, pos);
	u32 ok = ir_label(g->f);

	e_jcci(g, BPF_JSGE, d, 0, ok);
	e_set(g, d, e_alu(g, IR_ADD, d, len));
	e_label(g, ok);
	return d;
}

void into_substr(struct gen *g, const struct dt_node *n, struct mem dst, u32 size)
{
	struct sval s = subr_str_arg(g, n, 0);
	vreg pos = g_expr(g, n->args[1]);
	vreg count = n->nargs > 2 ? g_expr(g, n->args[2]) : 0;
	vreg len = length_of(g, s);
	vreg start = from_start(g, pos, len), end = e_mov(g, len);

	if (count) {
		u32 drop = ir_label(g->f), have = ir_label(g->f), sum = ir_label(g->f);
		vreg more = e_mov(g, count);

		e_jcci(g, BPF_JSLT, count, 0, drop);
		e_jcci(g, BPF_JSLT, start, 0, sum);
		e_set(g, more,
		      g_at_most(g, more, s.bound)); /* the sum might be too large for a number */
		e_label(g, sum);
		e_set(g, end, e_alu(g, IR_ADD, start, more));
		e_jmp(g, have);
		e_label(g, drop);
		e_set(g, end, e_alu(g, IR_ADD, len, count));
		e_label(g, have);
		end = smin(g, end, len);
	}
	start = smax0(g, start);
	g_slice(g, dst, size, s, start, e_alu(g, IR_SUB, end, start));
}

/* ---- case ------------------------------------------------------------------------------------------------ */

/* Letters from `first` on to the other case; at 0: source, 1: destination. */
static void body_case(struct gen *g, const struct rt_body *b, u32 bound, u32 first)
{
	u32 in = ir_label(g->f), same = ir_label(g->f), go = ir_label(g->f);

	e_jcci(g, BPF_JLT, b->idx, bound, in);
	rt_stop(g);
	e_label(g, in);
	vreg c = e_mov(g, rt_byte(g, b, 0, b->idx, bound));
	vreg to = e_alu(g, IR_ADD, rt_ptr(g, b, 1), b->idx);

	e_jcci(g, BPF_JLT, c, first, same);
	e_jcci(g, BPF_JGT, c, first + 25, same);
	e_set(g, c, e_alui(g, IR_XOR, c, 0x20));
	e_label(g, same);
	e_st(g, (struct mem){ to, 0 }, 1, c);
	e_jcci(g, BPF_JNE, c, 0, go);
	rt_stop(g);
	e_label(g, go);
	rt_next(g);
}

static void change_case(struct gen *g, const struct dt_node *n, struct mem dst, u32 size, u32 first)
{
	static const struct rt_kind kind = { "case", body_case };
	struct sval s = subr_str_arg(g, n, 0);
	u32 bound = DT_MIN(s.bound, size);

	rt_loop(g, bound, &kind, bound, first, rt_words(g, NULL, 0, 1),
		(const struct mem[]){ s.m, dst }, 2);
	e_sti(g, mem_add(dst, bound - 1), 1, 0);
}

void into_tolower(struct gen *g, const struct dt_node *n, struct mem dst, u32 size)
{
	change_case(g, n, dst, size, 'A');
}

void into_toupper(struct gen *g, const struct dt_node *n, struct mem dst, u32 size)
{
	change_case(g, n, dst, size, 'a');
}

/* ---- one character --------------------------------------------------------------------------------------- */

enum { CHR_C, CHR_AT, CHR_WORDS };

/* Where the character stands first or (last != 0) last. */
static void body_chr(struct gen *g, const struct rt_body *b, u32 bound, u32 last)
{
	u32 other = ir_label(g->f), go = ir_label(g->f);
	struct mem w = rt_own_words(g, b);
	vreg c = rt_byte(g, b, 0, b->idx, bound);

	e_jcc(g, BPF_JNE, c, rt_word(g, w, CHR_C), other);
	rt_set(g, w, CHR_AT, b->idx);
	if (!last)
		rt_stop(g);
	e_label(g, other);
	e_jcci(g, BPF_JNE, c, 0, go);
	rt_stop(g);
	e_label(g, go);
	rt_next(g);
}

static void rest_from_char(struct gen *g, const struct dt_node *n, struct mem dst, u32 size, u32 last)
{
	static const struct rt_kind kind = { "chr", body_chr };
	struct sval s = subr_str_arg(g, n, 0);
	vreg c = e_alui(g, IR_AND, g_expr(g, n->args[1]), 0xff);
	struct mem w = rt_words(g, &c, 1, CHR_WORDS - 1);

	rt_seti(g, w, CHR_AT, -1);
	rt_loop(g, s.bound, &kind, s.bound, last, w, &s.m, 1);
	g_slice(g, dst, size, s, rt_word(g, w, CHR_AT), e_movi(g, s.bound));
}

void into_strchr(struct gen *g, const struct dt_node *n, struct mem dst, u32 size)
{
	rest_from_char(g, n, dst, size, 0);
}

void into_strrchr(struct gen *g, const struct dt_node *n, struct mem dst, u32 size)
{
	rest_from_char(g, n, dst, size, 1);
}

/* ---- searching ------------------------------------------------------------------------------------------- */

/* A table says for each number of matched characters how many of them still match after the next shift. */
static u32 entry_size(u32 bound)
{
	return bound <= 0xffff ? 2 : 4;
}

static struct mem entry(struct gen *g, vreg table, vreg at, u32 bound)
{
	vreg off = e_alui(g, IR_SHL, at, bound <= 0xffff ? 1 : 2);

	return (struct mem){ e_alu(g, IR_ADD, table, off), 0 };
}

enum { TAB_AT, TAB_K, TAB_WORDS };

/* at 0: what is searched for, 1: its table */
static void body_table(struct gen *g, const struct rt_body *b, u32 bound, u32 unused)
{
	u32 in = ir_label(g->f), more = ir_label(g->f), differ = ir_label(g->f),
	    none = ir_label(g->f);
	struct mem w = rt_own_words(g, b);
	vreg q = rt_pos(g, w, TAB_AT), k = rt_pos(g, w, TAB_K), table = rt_ptr(g, b, 1);

	(void)unused;
	vreg c = rt_byte(g, b, 0, q, bound);

	e_jcci(g, BPF_JNE, c, 0, more);
	rt_stop(g);
	e_label(g, more);
	e_jcci(g, BPF_JGE, k, bound, none);
	e_jcci(g, BPF_JLT, q, bound, in);
	e_label(g, none);
	rt_stop(g);
	e_label(g, in);
	u32 put = ir_label(g->f), shift = ir_label(g->f);
	vreg value = e_movi(g, 0);

	e_jcc(g, BPF_JNE, rt_byte(g, b, 0, k, bound), c, differ);
	e_set(g, value, e_alui(g, IR_ADD, k, 1));
	e_jmp(g, put);
	e_label(g, differ);
	e_jcci(g, BPF_JNE, k, 0, shift);
	e_label(g, put);
	rt_set(g, w, TAB_K, value);
	e_st(g, mem_add(entry(g, table, q, bound), entry_size(bound)), entry_size(bound), value);
	rt_step(g, w, TAB_AT, q, 1);
	rt_next(g);
	e_label(g, shift);
	rt_set(g, w, TAB_K, e_ld(g, entry(g, table, k, bound), entry_size(bound)));
	rt_next(g);
}

/* The table of a constant, made now. */
static struct mem constant_table(struct gen *g, struct sval sub)
{
	u32 size = entry_size(sub.bound), n = sub.bound, k = 0;
	u32 *t = dt_arena_alloc(g->arena, n * sizeof(*t));
	u8 *bytes = dt_arena_alloc(g->arena, (size_t)n * size);

	for (u32 q = 1; q < sub.litlen; q++) {
		while (k && sub.lit[k] != sub.lit[q])
			k = t[k];
		k += sub.lit[k] == sub.lit[q];
		t[q + 1] = k;
	}
	for (u32 q = 0; q < n; q++)
		for (u32 i = 0; i < size; i++)
			bytes[q * size + i] = (u8)(t[q] >> i * 8);
	return g_rodata_mem(g, g_rodata(g, bytes, n * size, 8));
}

static struct mem table_of(struct gen *g, struct sval sub)
{
	static const struct rt_kind kind = { "table", body_table };

	if (sub.lit)
		return constant_table(g, sub);
	struct mem t = g_tmp(g, (sub.bound + 1) * entry_size(sub.bound)),
		   w = rt_words(g, NULL, 0, TAB_WORDS);

	rt_seti(g, w, TAB_AT, 1);
	e_sti(g, t, entry_size(sub.bound), 0);
	e_sti(g, mem_add(t, entry_size(sub.bound)), entry_size(sub.bound), 0);
	rt_loop(g, 2 * sub.bound, &kind, sub.bound, 0, w, (const struct mem[]){ sub.m, t }, 2);
	return t;
}

enum { FIND_LIMIT, FIND_RESULT, FIND_AT, FIND_MATCHED, FIND_WORDS };

/* at 0: what is searched, 1: what for, 2: its table.  The first place from the limit on, or the last one up to it. */
static void find(struct gen *g, const struct rt_body *b, u32 b1, u32 b2, bool last)
{
	u32 in = ir_label(g->f), part = ir_label(g->f), shift = ir_label(g->f), go = ir_label(g->f),
	    same = ir_label(g->f), end = ir_label(g->f), on = ir_label(g->f);
	struct mem w = rt_own_words(g, b);
	vreg at = rt_pos(g, w, FIND_AT), j = rt_pos(g, w, FIND_MATCHED), table = rt_ptr(g, b, 2);

	e_jcci(g, BPF_JLT, j, b2, in);
	e_label(g, end);
	rt_stop(g);
	e_label(g, in);
	vreg want = rt_byte(g, b, 1, j, b2);

	e_jcci(g, BPF_JNE, want, 0, part);
	vreg found = e_alu(g, IR_SUB, at, j), limit = rt_word(g, w, FIND_LIMIT);

	if (last) {
		e_jcc(g, BPF_JSLE, found, limit, go);
		rt_stop(g);
		e_label(g, go);
		rt_set(g, w, FIND_RESULT, found);
	} else {
		e_jcc(g, BPF_JSLT, found, limit, go);
		rt_set(g, w, FIND_RESULT, found);
		rt_stop(g);
		e_label(g, go);
	}
	e_jmp(g, shift);
	e_label(g, part);
	vreg c = rt_byte(g, b, 0, at, b1);

	e_jcc(g, BPF_JEQ, c, want, same);
	e_jcci(g, BPF_JNE, c, 0, on);
	rt_stop(g);
	e_label(g, same);
	rt_step(g, w, FIND_MATCHED, j, 1);
	rt_step(g, w, FIND_AT, at, 1);
	rt_next(g);
	e_label(g, on);
	e_jcci(g, BPF_JNE, j, 0, shift);
	rt_step(g, w, FIND_AT, at, 1);
	rt_next(g);
	e_label(g, shift);
	rt_set(g, w, FIND_MATCHED, e_ld(g, entry(g, table, j, b2), entry_size(b2)));
	rt_next(g);
}

static void body_index(struct gen *g, const struct rt_body *b, u32 b1, u32 b2)
{
	find(g, b, b1, b2, false);
}

static void body_rindex(struct gen *g, const struct rt_body *b, u32 b1, u32 b2)
{
	find(g, b, b1, b2, true);
}

static const struct rt_kind kind_index = { "index", body_index },
			    kind_rindex = { "rindex", body_rindex };

/* The place of a string that is not empty; -1: nowhere. */
static vreg search(struct gen *g, struct sval s, struct sval sub, bool last, vreg limit)
{
	const struct mem ptrs[] = { s.m, sub.m, table_of(g, sub) };
	struct mem w = rt_words(g, &limit, 1, FIND_WORDS - 1);

	rt_seti(g, w, FIND_RESULT, -1);
	rt_loop(g, 2 * s.bound + 2, last ? &kind_rindex : &kind_index, s.bound, sub.bound, w, ptrs,
		3);
	return rt_word(g, w, FIND_RESULT);
}

/* At or after, or at or before, `start` (0: not given). */
static vreg position(struct gen *g, struct sval s, struct sval sub, bool last, vreg start)
{
	u32 some = ir_label(g->f), done = ir_label(g->f);
	vreg result = e_movi(g, 0), limit = start ? start : e_movi(g, last ? (s64)s.bound : 0);

	if (!sub.lit)
		e_jcci(g, BPF_JNE, e_ld(g, sub.m, 1), 0, some);
	if (!sub.lit || !sub.litlen) { /* nothing is found at once, but not outside */
		e_set(g, result, smax0(g, smin(g, limit, length_of(g, s))));
		if (!sub.lit)
			e_jmp(g, done);
	}
	e_label(g, some);
	if (!sub.lit || sub.litlen)
		e_set(g, result, search(g, s, sub, last, limit));
	e_label(g, done);
	return result;
}

void into_strstr(struct gen *g, const struct dt_node *n, struct mem dst, u32 size)
{
	struct sval s = subr_str_arg(g, n, 0), sub = subr_str_arg(g, n, 1);

	g_slice(g, dst, size, s, position(g, s, sub, false, 0), e_movi(g, s.bound));
}

vreg subr_index(struct gen *g, const struct dt_node *n)
{
	struct sval s = subr_str_arg(g, n, 0), sub = subr_str_arg(g, n, 1);

	return position(g, s, sub, n->subr->id == DT_S_RINDEX,
			n->nargs > 2 ? g_expr(g, n->args[2]) : 0);
}

/* ---- tokens ---------------------------------------------------------------------------------------------- */

/* Mark the characters of a string; at 0: it, 1: 256 marks. */
static void body_mark(struct gen *g, const struct rt_body *b, u32 bound, u32 unused)
{
	u32 go = ir_label(g->f);
	vreg c = rt_byte(g, b, 0, b->idx, bound);

	(void)unused;
	e_jcci(g, BPF_JNE, c, 0, go);
	rt_stop(g);
	e_label(g, go);
	e_sti(g, (struct mem){ e_alu(g, IR_ADD, rt_ptr(g, b, 1), c), 0 }, 1, 1);
	rt_next(g);
}

static struct mem marks_of(struct gen *g, struct sval s)
{
	static const struct rt_kind kind = { "mark", body_mark };

	if (s.lit) {
		u8 marks[256] = { 0 };

		for (u32 k = 0; k < s.litlen; k++)
			marks[(u8)s.lit[k]] = 1;
		return g_rodata_mem(g, g_rodata(g, marks, sizeof(marks), 8));
	}
	struct mem t = g_tmp(g, 256);

	e_zero(g, t, 256);
	rt_loop(g, s.bound, &kind, s.bound, 0, rt_words(g, NULL, 0, 1),
		(const struct mem[]){ s.m, t }, 2);
	return t;
}

enum { TOK_AT, TOK_START, TOK_WORDS };

/* at 0: text, 1: marks of what separates */
static void body_token(struct gen *g, const struct rt_body *b, u32 bound, u32 unused)
{
	u32 text = ir_label(g->f), word = ir_label(g->f), on = ir_label(g->f), stop = ir_label(g->f);
	struct mem w = rt_own_words(g, b);
	vreg at = rt_pos(g, w, TOK_AT), start = rt_word(g, w, TOK_START),
	     c = rt_byte(g, b, 0, at, bound);

	(void)unused;
	e_jcci(g, BPF_JNE, c, 0, text);
	e_label(g, stop);
	rt_stop(g);
	e_label(g, text);
	vreg mark = e_ld(g, (struct mem){ e_alu(g, IR_ADD, rt_ptr(g, b, 1), c), 0 }, 1);

	e_jcci(g, BPF_JEQ, mark, 0, word);
	e_jcci(g, BPF_JSLT, start, 0, on); /* before the token */
	rt_stop(g);
	e_label(g, word);
	e_jcci(g, BPF_JSGE, start, 0, on);
	rt_set(g, w, TOK_START, at);
	e_label(g, on);
	rt_step(g, w, TOK_AT, at, 1);
	rt_next(g);
}

static bool is_strtok(const struct dt_node *n)
{
	return n->op == N_CALL && n->subr && n->subr->id == DT_S_STRTOK;
}

/* What is left of the clause's text: a word (0: no text yet, else 1 + where to go on), then the text. */
void g_strtok_begin(struct gen *g)
{
	if (!node_uses(g->clause->pred, is_strtok) && !stmts_use(g->clause->stmts, is_strtok))
		return;
	g->strtok = g_keep(g, 8 + g->strsize);
	e_sti(g, g->strtok, 8, 0);
}

void into_strtok(struct gen *g, const struct dt_node *n, struct mem dst, u32 size)
{
	static const struct rt_kind kind = { "token", body_token };
	struct mem next = g->strtok;
	struct sval text = { .m = mem_add(next, 8), .bound = g->strsize };

	if (subr_is_null(n->args[0])) {
		g_fault_unless(g, BPF_JNE, e_ld(g, next, 8), 0, DTRACEFLT_BADADDR, 0, n->loc);
	} else {
		struct sval s = g_str(g, n->args[0]); /* perhaps a token of what is there now */

		e_call(g, BPF_FUNC_probe_read_kernel_str, a_mem(text.m), a_imm(s.bound), a_mem(s.m));
		e_sti(g, next, 8, 1);
	}
	struct mem marks = marks_of(g, subr_str_arg(g, n, 1));
	vreg at = e_alui(g, IR_ADD, e_ld(g, next, 8), -1);
	struct mem w = rt_words(g, &at, 1, TOK_WORDS - 1);

	rt_seti(g, w, TOK_START, -1);
	rt_loop(g, text.bound, &kind, text.bound, 0, w, (const struct mem[]){ text.m, marks }, 2);
	vreg start = rt_word(g, w, TOK_START), end = rt_word(g, w, TOK_AT);

	rt_step(g, next, 0, end, 1);
	g_slice(g, dst, size, text, start, e_alu(g, IR_SUB, end, start));
}

/* ---- numbers and text ------------------------------------------------------------------------------------ */

static vreg base_arg(struct gen *g, const struct dt_node *n)
{
	vreg base = subr_const_or(g, n, 1, 10);

	if (n->nargs > 1) {
		g_fault_unless(g, BPF_JGE, base, 2, DTRACEFLT_ILLOP, 0, n->loc);
		g_fault_unless(g, BPF_JLE, base, 36, DTRACEFLT_ILLOP, 0, n->loc);
	}
	return base;
}

#define DIGITS 64

enum { DIG_VALUE, DIG_BASE, DIG_LAST, DIG_WORDS };

/* Digits from the right; at 0: room for them */
static void body_digits(struct gen *g, const struct rt_body *b, u32 unused1, u32 unused2)
{
	u32 in = ir_label(g->f), decimal = ir_label(g->f), go = ir_label(g->f);
	struct mem w = rt_own_words(g, b);

	(void)unused1;
	(void)unused2;
	e_jcci(g, BPF_JLT, b->idx, DIGITS, in);
	rt_stop(g);
	e_label(g, in);
	vreg v = rt_word(g, w, DIG_VALUE), base = rt_word(g, w, DIG_BASE);
	vreg c = e_mov(g, e_alui(g, IR_ADD, e_alu(g, IR_MOD, v, base), '0'));

	e_jcci(g, BPF_JLE, c, '9', decimal);
	e_set(g, c, e_alui(g, IR_ADD, c, 'a' - '9' - 1));
	e_label(g, decimal);
	vreg at = e_alu(g, IR_SUB, e_movi(g, DIGITS - 1), b->idx);

	e_st(g, (struct mem){ e_alu(g, IR_ADD, rt_ptr(g, b, 0), at), 0 }, 1, c);
	rt_set(g, w, DIG_LAST, at);
	vreg rest = e_alu(g, IR_DIV, v, base);

	rt_set(g, w, DIG_VALUE, rest);
	e_jcci(g, BPF_JNE, rest, 0, go);
	rt_stop(g);
	e_label(g, go);
	rt_next(g);
}

/* What stands before the digits, and how many characters of it; takes the sign off v.  As the classic
 * implementation: base 10 has a sign, the others show the bits; 16 and 8 have their prefix. */
static vreg head_of(struct gen *g, vreg v, vreg base, struct mem head)
{
	u32 hex = ir_label(g->f), oct = ir_label(g->f), done = ir_label(g->f);
	vreg n = e_movi(g, 0);

	e_jcci(g, BPF_JEQ, base, 16, hex);
	e_jcci(g, BPF_JEQ, base, 8, oct);
	e_jcci(g, BPF_JNE, base, 10, done);
	e_jcci(g, BPF_JSGE, v, 0, done);
	e_set(g, v, e_neg(g, v));
	e_sti(g, head, 1, '-');
	e_seti(g, n, 1);
	e_jmp(g, done);
	e_label(g, hex);
	e_sti(g, head, 2, '0' | 'x' << 8);
	e_seti(g, n, 2);
	e_jmp(g, done);
	e_label(g, oct);
	e_jcci(g, BPF_JEQ, v, 0, done);
	e_sti(g, head, 1, '0');
	e_seti(g, n, 1);
	e_label(g, done);
	return g_at_most(g, e_launder(g, n), 2);
}

/* Where the digits of v begin; they end with a NUL. */
static vreg digits_of(struct gen *g, vreg v, vreg base)
{
	static const struct rt_kind kind = { "digits", body_digits };
	struct mem room = g_tmp(g, DIGITS + 8),
		   w = rt_words(g, (const vreg[]){ v, base }, 2, DIG_WORDS - 2);

	e_sti(g, mem_add(room, DIGITS), 1, 0);
	rt_loop(g, DIGITS, &kind, 0, 0, w, &room, 1);
	return e_alu(g, IR_ADD, e_addr(g, room), g_at_most(g, rt_word(g, w, DIG_LAST), DIGITS - 1));
}

void into_lltostr(struct gen *g, const struct dt_node *n, struct mem dst, u32 size)
{
	vreg v = e_mov(g, g_expr(g, n->args[0])), base = base_arg(g, n);
	struct mem text = g_tmp(g, DIGITS + 16);
	vreg to = e_alu(g, IR_ADD, e_addr(g, text), head_of(g, v, base, text));

	e_call(g, BPF_FUNC_probe_read_kernel_str, a_reg(to), a_imm(DIGITS + 1),
	       a_reg(digits_of(g, v, base)));
	e_call(g, BPF_FUNC_probe_read_kernel_str, a_mem(dst), a_imm(DT_MIN(size, DIGITS + 4)),
	       a_mem(text));
}

vreg subr_decimal(struct gen *g, vreg v, struct mem at)
{
	vreg len = e_call(g, BPF_FUNC_probe_read_kernel_str, a_mem(at), a_imm(DIGITS + 1),
			  a_reg(digits_of(g, v, e_movi(g, 10))));

	return e_alui(g, IR_ADD, e_alu(g, IR_ADD, e_addr(g, at), g_at_most(g, len, DIGITS + 1)), -1);
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

/* AT is where the next character is, the one behind a prefix, say; the place in the number is one of: */
enum { NUM_SPACE, NUM_SIGNED, NUM_DIGITS };
enum { NUM_BASE, NUM_AT, NUM_STATE, NUM_VALUE, NUM_NEG, NUM_WORDS };

/* "0x" before a hexadecimal digit, in base 16 */
static void skip_prefix(struct gen *g, const struct rt_body *b, struct mem w, vreg at, vreg c,
			u32 bound, u32 digits)
{
	u32 sixteen = ir_label(g->f);
	vreg base = rt_word(g, w, NUM_BASE);

	rt_seti(g, w, NUM_STATE, NUM_DIGITS);
	e_jcci(g, BPF_JNE, c, '0', digits);
	e_jcci(g, BPF_JEQ, base, 16, sixteen);
	e_jmp(g, digits);
	e_label(g, sixteen);
	vreg at1 = e_bounded(g, e_alui(g, IR_ADD, at, 1)),
	     at2 = e_bounded(g, e_alui(g, IR_ADD, at, 2));
	vreg x = e_alui(g, IR_OR, rt_byte(g, b, 0, at1, bound), 0x20);

	e_jcci(g, BPF_JNE, x, 'x', digits);
	digit_value(g, rt_byte(g, b, 0, at2, bound), base, digits);
	rt_step(g, w, NUM_AT, at, 2);
	rt_next(g);
}

static void body_number(struct gen *g, const struct rt_body *b, u32 bound, u32 unused)
{
	u32 start = ir_label(g->f), digits = ir_label(g->f), minus = ir_label(g->f),
	    sign = ir_label(g->f), skip = ir_label(g->f), bad = ir_label(g->f);
	struct mem w = rt_own_words(g, b);
	vreg at = rt_pos(g, w, NUM_AT), state = rt_word(g, w, NUM_STATE),
	     c = rt_byte(g, b, 0, at, bound);

	(void)unused;
	e_jcci(g, BPF_JEQ, state, NUM_DIGITS, digits);
	e_jcci(g, BPF_JNE, state, NUM_SPACE, start);
	e_jcci(g, BPF_JEQ, c, ' ', skip);
	e_jcci(g, BPF_JLE, e_alui(g, IR_SUB, c, '\t'), '\r' - '\t', skip);
	e_jcci(g, BPF_JEQ, c, '-', minus);
	e_jcci(g, BPF_JEQ, c, '+', sign);
	e_label(g, start);
	skip_prefix(g, b, w, at, c, bound, digits);
	e_label(g, digits);
	vreg base = rt_word(g, w, NUM_BASE), d = digit_value(g, c, base, bad);

	rt_set(g, w, NUM_VALUE,
	       e_alu(g, IR_ADD, e_alu(g, IR_MUL, rt_word(g, w, NUM_VALUE), base), d));
	rt_step(g, w, NUM_AT, at, 1);
	rt_next(g);
	e_label(g, minus);
	rt_seti(g, w, NUM_NEG, 1);
	e_label(g, sign);
	rt_seti(g, w, NUM_STATE, NUM_SIGNED);
	e_label(g, skip);
	rt_step(g, w, NUM_AT, at, 1);
	rt_next(g);
	e_label(g, bad);
	rt_stop(g);
}

vreg subr_strtoll(struct gen *g, const struct dt_node *n)
{
	static const struct rt_kind kind = { "number", body_number };
	struct sval s = subr_str_arg(g, n, 0);
	vreg base = base_arg(g, n);
	struct mem w = rt_words(g, &base, 1, NUM_WORDS - 1);
	u32 pos = ir_label(g->f);

	rt_loop(g, s.bound, &kind, s.bound, 0, w, &s.m, 1);
	vreg v = e_mov(g, rt_word(g, w, NUM_VALUE));

	e_jcci(g, BPF_JEQ, rt_word(g, w, NUM_NEG), 0, pos);
	e_set(g, v, e_neg(g, v));
	e_label(g, pos);
	return v;
}
