/* SPDX-License-Identifier: Apache-2.0 */
/*
 * subrs.c - D's subroutines: a row each.  String results are written to a destination the caller picks;
 * positions and searching follow Perl's functions of the same names.
 */
#include "codegen/gen.h"
#include "codegen/rt.h"

/* Positions as in Perl: negative ones count from the end, a negative length leaves that much off the end. */
static void into_substr(struct gen *g, const struct dt_node *n, struct mem dst, u32 size)
{
	struct sval s = g_str(g, n->args[0]);
	struct mem t = g_tmp(g, s.bound);
	vreg pos = e_mov(g, g_expr(g, n->args[1]));
	vreg count = n->nargs > 2 ? e_mov(g, g_expr(g, n->args[2])) : e_movi(g, size);
	vreg len = g_copy_len(g, t, s.bound, s.m);
	u32 from_start = ir_label(g->f), nonneg = ir_label(g->f);

	e_jcci(g, BPF_JSGE, pos, 0, from_start);
	e_set(g, pos, e_alu(g, IR_ADD, pos, len));
	e_jcci(g, BPF_JSGE, pos, 0, from_start);
	/* starts before the string: what reaches into it counts */
	e_jcci(g, BPF_JSLT, count, 0, from_start);
	e_set(g, count, e_alu(g, IR_ADD, count, pos));
	u32 some = ir_label(g->f);

	e_jcci(g, BPF_JSGT, count, 0, some);
	e_seti(g, count, 0);
	e_label(g, some);
	e_seti(g, pos, 0);
	e_label(g, from_start);
	e_jcci(g, BPF_JSGE, count, 0, nonneg);
	e_set(g, count, e_alu(g, IR_SUB, e_alu(g, IR_ADD, count, len), pos));
	e_label(g, nonneg);
	g_slice(g, dst, size, (struct sval){ .m = t, .bound = s.bound }, pos, count);
}


static u32 bound_arg0(struct gen *g, const struct dt_node *n)
{
	return g_str_bound(g, n->args[0]);
}

static u32 bound_path(struct gen *g, const struct dt_node *n)
{
	return DT_MAX(g_str_bound(g, n->args[0]), 2);
}

static u32 bound_number(struct gen *g, const struct dt_node *n)
{
	(void)g;
	(void)n;
	return 68; /* 64 binary digits, a prefix or sign, NUL */
}

/* ---- paths ------------------------------------------------------------------------------------------- */

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

static void into_basename(struct gen *g, const struct dt_node *n, struct mem dst, u32 size)
{
	struct sval s = g_str(g, n->args[0]);
	u32 some = ir_label(g->f), end = ir_label(g->f);
	s32 block = rt_block(g, (const vreg[]){ e_addr(g, s.m) }, 1, 3);

	e_sti(g, mem_fp(block + 24), 8, 1);
	rt_loop(g, s.bound, RT_BASENAME, s.bound, 0, block);
	vreg from = rt_word(g, block, 1), to = rt_word(g, block, 2);

	no_component(g, s, dst, to, some, end);
	g_slice(g, dst, size, s, from, e_alu(g, IR_SUB, to, from));
	e_label(g, end);
}

static void into_dirname(struct gen *g, const struct dt_node *n, struct mem dst, u32 size)
{
	struct sval s = g_str(g, n->args[0]);
	u32 some = ir_label(g->f), end = ir_label(g->f), top = ir_label(g->f), inner = ir_label(g->f);
	s32 block = rt_block(g, (const vreg[]){ e_addr(g, s.m) }, 1, 4);

	e_sti(g, mem_fp(block + 24), 8, 1);
	rt_loop(g, s.bound, RT_DIRNAME, s.bound, 0, block);
	vreg dir = rt_word(g, block, 2), start = rt_word(g, block, 4);

	no_component(g, s, dst, rt_word(g, block, 1), some, end);
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

/* ---- case and searching -------------------------------------------------------------------------------- */

static void change_case(struct gen *g, const struct dt_node *n, struct mem dst, u32 size, u32 first)
{
	struct sval s = g_str(g, n->args[0]);
	u32 bound = DT_MIN(s.bound, size);
	s32 block = rt_block(g, (const vreg[]){ e_addr(g, s.m), e_addr(g, dst) }, 2, 0);

	rt_loop(g, bound, RT_CASE, bound, first, block);
}

static void into_tolower(struct gen *g, const struct dt_node *n, struct mem dst, u32 size)
{
	change_case(g, n, dst, size, 'A');
}

static void into_toupper(struct gen *g, const struct dt_node *n, struct mem dst, u32 size)
{
	change_case(g, n, dst, size, 'a');
}

/* The rest of the string from a character on; empty when there is none. */
static void rest_from_char(struct gen *g, const struct dt_node *n, struct mem dst, u32 size, u32 last)
{
	struct sval s = g_str(g, n->args[0]);
	vreg c = e_alui(g, IR_AND, g_expr(g, n->args[1]), 0xff);
	s32 block = rt_block(g, (const vreg[]){ e_addr(g, s.m), c }, 2, 1);

	e_sti(g, mem_fp(block + 16), 8, -1);
	rt_loop(g, s.bound, RT_CHR, s.bound, last, block);
	g_slice(g, dst, size, s, rt_word(g, block, 2), e_movi(g, s.bound));
}

static void into_strchr(struct gen *g, const struct dt_node *n, struct mem dst, u32 size)
{
	rest_from_char(g, n, dst, size, 0);
}

static void into_strrchr(struct gen *g, const struct dt_node *n, struct mem dst, u32 size)
{
	rest_from_char(g, n, dst, size, 1);
}

/* Where sub stands in s (a copy in scratch with room behind it, *copy), at or after / before `start`
 * (0: not given); -1 when nowhere. */
static vreg position(struct gen *g, const struct dt_node *n, bool last, vreg start, struct sval *copy)
{
	struct sval s = g_str(g, n->args[0]), sub = g_str(g, n->args[1]);
	struct mem t = g_tmp(g, s.bound + sub.bound);
	vreg len = g_copy_len(g, t, s.bound, s.m), result = e_mov(g, len);
	u32 search = ir_label(g->f), done = ir_label(g->f), below = ir_label(g->f);

	/* the start that is in force: within the string */
	vreg at = start ? e_mov(g, start) : last ? e_mov(g, len) : e_movi(g, 0);

	if (start && !last) {
		e_jcci(g, BPF_JSGE, at, 0, below);
		e_seti(g, at, 0);
		e_label(g, below);
	}
	e_jcci(g, BPF_JNE, e_ld(g, sub.m, 1), 0, search);
	/* nothing is found at the start itself, clamped */
	u32 short_ = ir_label(g->f), nonneg = ir_label(g->f);

	e_jcc(g, BPF_JSGT, at, len, short_);
	e_set(g, result, at);
	e_label(g, short_);
	e_jcci(g, BPF_JSGE, result, 0, nonneg);
	e_seti(g, result, 0);
	e_label(g, nonneg);
	e_jmp(g, done);
	e_label(g, search);
	e_seti(g, result, -1);
	if (last)
		e_jcci(g, BPF_JSLT, at, 0, done);
	s32 block = rt_block(g, (const vreg[]){ e_addr(g, t), e_addr(g, sub.m), at, result }, 4, 0);

	rt_loop(g, s.bound, last ? RT_RINDEX : RT_INDEX, s.bound, sub.bound, block);
	e_set(g, result, rt_word(g, block, 3));
	e_label(g, done);
	if (copy)
		*copy = (struct sval){ .m = t, .bound = s.bound };
	return result;
}

static void into_strstr(struct gen *g, const struct dt_node *n, struct mem dst, u32 size)
{
	struct sval s;
	vreg at = position(g, n, false, 0, &s);

	g_slice(g, dst, size, s, at, e_movi(g, s.bound));
}

static vreg subr_index(struct gen *g, const struct dt_node *n)
{
	return position(g, n, n->subr->id == DT_S_RINDEX, n->nargs > 2 ? g_expr(g, n->args[2]) : 0, NULL);
}

/* ---- numbers and text ----------------------------------------------------------------------------------- */

/* As the classic implementation: a sign in base 10, else the bits; "0x" and "0" in front of bases 16 and 8. */
static void into_lltostr(struct gen *g, const struct dt_node *n, struct mem dst, u32 size)
{
	vreg value = g_expr(g, n->args[0]), v = e_mov(g, value);
	vreg base = n->nargs > 1 ? g_expr(g, n->args[1]) : e_movi(g, 10);
	struct mem buf = g_tmp(g, 128), head = g_tmp(g, 8);
	u32 unsig = ir_label(g->f), sign = ir_label(g->f), oct = ir_label(g->f), hex = ir_label(g->f),
	    put = ir_label(g->f);

	g_fault_unless(g, BPF_JGE, base, 2, DTRACEFLT_ILLOP, base, n->loc);
	g_fault_unless(g, BPF_JLE, base, 36, DTRACEFLT_ILLOP, base, n->loc);
	vreg nhead = e_movi(g, 0);

	e_jcci(g, BPF_JEQ, base, 16, hex);
	e_jcci(g, BPF_JEQ, base, 8, oct);
	e_jcci(g, BPF_JNE, base, 10, unsig);
	e_jcci(g, BPF_JSLT, v, 0, sign);
	e_label(g, unsig);
	e_jmp(g, put);
	e_label(g, sign);
	e_set(g, v, e_neg(g, v));
	e_sti(g, head, 1, '-');
	e_seti(g, nhead, 1);
	e_jmp(g, put);
	e_label(g, hex);
	e_sti(g, head, 2, '0' | 'x' << 8);
	e_seti(g, nhead, 2);
	e_jmp(g, put);
	e_label(g, oct);
	e_jcci(g, BPF_JEQ, v, 0, put);
	e_sti(g, head, 1, '0');
	e_seti(g, nhead, 1);
	e_label(g, put);
	s32 block = rt_block(g, (const vreg[]){ v, base, e_addr(g, buf) }, 3, 1);

	e_sti(g, mem_add(buf, 64), 1, 0);
	rt_loop(g, 64, RT_DIGITS, 0, 0, block);
	/* the head, then the digits; the helper ends each with a NUL */
	vreg at = g_at_most(g, rt_word(g, block, 3), 63);
	vreg from = e_alu(g, IR_SUB, e_movi(g, 63), at);
	struct mem t = g_tmp(g, 80);

	e_st(g, t, 8, e_ld(g, head, 8));
	vreg nh = g_at_most(g, e_launder(g, nhead), 2);
	vreg to = e_alu(g, IR_ADD, e_addr(g, t), nh), src = e_alu(g, IR_ADD, e_addr(g, buf), from);

	e_call(g, BPF_FUNC_probe_read_kernel_str, a_reg(to), a_imm(66), a_reg(src));
	e_call(g, BPF_FUNC_probe_read_kernel_str, a_mem(dst), a_imm(DT_MIN(size, 68)), a_mem(t));
}

static vreg subr_strtoll(struct gen *g, const struct dt_node *n)
{
	struct sval s = g_str(g, n->args[0]);
	vreg base = n->nargs > 1 ? g_expr(g, n->args[1]) : e_movi(g, 10);
	u32 pos = ir_label(g->f);

	g_fault_unless(g, BPF_JGE, base, 2, DTRACEFLT_ILLOP, base, n->loc);
	g_fault_unless(g, BPF_JLE, base, 36, DTRACEFLT_ILLOP, base, n->loc);
	s32 block = rt_block(g, (const vreg[]){ e_addr(g, s.m), base }, 2, 3);

	rt_loop(g, s.bound, RT_NUMBER, s.bound, 0, block);
	vreg v = e_mov(g, rt_word(g, block, 2));

	e_jcci(g, BPF_JEQ, rt_word(g, block, 4), 0, pos);
	e_set(g, v, e_neg(g, v));
	e_label(g, pos);
	return v;
}

/* The kernel's dev_t: 12 bits of major number over 20 of minor. */
static vreg subr_getmajor(struct gen *g, const struct dt_node *n)
{
	return e_alui(g, IR_SHR, e_zext32(g, g_expr(g, n->args[0])), 20);
}

static vreg subr_getminor(struct gen *g, const struct dt_node *n)
{
	return e_alui(g, IR_AND, g_expr(g, n->args[0]), 0xfffff);
}

static bool task_offset(struct gen *g, const struct dt_node *n, const char *field, u32 *off)
{
	struct dt_type *t = dt_types_lookup(g->env->types, "struct task_struct");
	u64 bits;

	if (!t || !dt_type_member(t, field, &bits)) {
		g_fail(g, &n->loc, "%s() needs the kernel's type information (BTF)", n->subr->name);
		return false;
	}
	*off = (u32)(bits / 8);
	return true;
}

#define MAX_ANCESTORS 4096

static vreg subr_progenyof(struct gen *g, const struct dt_node *n)
{
	vreg pid = g_expr(g, n->args[0]);
	u32 parent = 0, tgid = 0;

	if (!task_offset(g, n, "real_parent", &parent) || !task_offset(g, n, "tgid", &tgid))
		return pid;
	s32 block = rt_block(g, (const vreg[]){ e_call0(g, BPF_FUNC_get_current_task), e_zext32(g, pid) }, 2, 1);

	rt_loop(g, MAX_ANCESTORS, RT_ANCESTOR, parent, tgid, block);
	return rt_word(g, block, 2);
}

static const struct subr_str str_rows[DT_S_N] = {
	[DT_S_SUBSTR] = { into_substr, bound_arg0 },	[DT_S_BASENAME] = { into_basename, bound_path },
	[DT_S_DIRNAME] = { into_dirname, bound_path },	[DT_S_TOLOWER] = { into_tolower, bound_arg0 },
	[DT_S_TOUPPER] = { into_toupper, bound_arg0 },	[DT_S_STRCHR] = { into_strchr, bound_arg0 },
	[DT_S_STRRCHR] = { into_strrchr, bound_arg0 },	[DT_S_STRSTR] = { into_strstr, bound_arg0 },
	[DT_S_LLTOSTR] = { into_lltostr, bound_number },
};

const struct subr_str *g_subr_str(int id)
{
	return str_rows[id].into ? &str_rows[id] : NULL;
}

/* ---- subroutines that give numbers -------------------------------------------------------------------------- */

static vreg subr_strlen(struct gen *g, const struct dt_node *n)
{
	struct sval s = g_str(g, n->args[0]);

	if (s.lit)
		return e_movi(g, s.litlen);
	return g_copy_len(g, g_tmp(g, s.bound), s.bound, s.m);
}

static vreg subr_rand(struct gen *g, const struct dt_node *n)
{
	return g_norm(g, e_call0(g, BPF_FUNC_get_prandom_u32), 4, dt_type_is_signed(n->type));
}

/* Network order: big endian. */
static vreg subr_swap(struct gen *g, const struct dt_node *n)
{
	return e_alui(g, IR_BSWAP, g_expr(g, n->args[0]), (s64)dt_type_size(n->type) * 8);
}

static vreg subr_pointer(struct gen *g, const struct dt_node *n)
{
	return e_launder(g, e_addr(g, g_subr_ptr(g, n).m));
}

static vreg (*const subr_gens[DT_S_N])(struct gen *g, const struct dt_node *n) = {
	[DT_S_STRLEN] = subr_strlen, [DT_S_RAND] = subr_rand,	  [DT_S_HTONS] = subr_swap,
	[DT_S_HTONL] = subr_swap,    [DT_S_HTONLL] = subr_swap,	  [DT_S_NTOHS] = subr_swap,
	[DT_S_NTOHL] = subr_swap,    [DT_S_NTOHLL] = subr_swap,	  [DT_S_COPYIN] = subr_pointer,
	[DT_S_ALLOCA] = subr_pointer, [DT_S_INDEX] = subr_index,	  [DT_S_RINDEX] = subr_index,
	[DT_S_STRTOLL] = subr_strtoll,
	[DT_S_GETMAJOR] = subr_getmajor,
	[DT_S_GETMINOR] = subr_getminor,
	[DT_S_PROGENYOF] = subr_progenyof,
};

vreg g_subr(struct gen *g, const struct dt_node *n)
{
	if (!subr_gens[n->subr->id]) {
		g_fail(g, &n->loc, "%s() is not available in this version", n->subr->name);
		return e_movi(g, 0);
	}
	return subr_gens[n->subr->id](g, n);
}

/* Scratch for size bytes until the clause ends; a size known only at run time is bounded by strsize. */
static struct addr scratch(struct gen *g, const struct dt_node *size, vreg *dyn)
{
	u32 max = g->strsize;

	*dyn = 0;
	if (size->op == N_INT && size->val > 0 && size->val <= DT_SCRATCH_WINDOW) {
		max = (u32)size->val;
	} else {
		*dyn = e_bounded(g, g_expr(g, size));
		g_fault_unless(g, BPF_JLE, *dyn, max, DTRACEFLT_NOSCRATCH, *dyn, size->loc);
	}
	return (struct addr){ .kind = ADDR_SAFE, .m = g_keep(g, max), .bound = max };
}

struct addr g_subr_ptr(struct gen *g, const struct dt_node *n)
{
	bool copyin = n->subr->id == DT_S_COPYIN;
	vreg from = copyin ? g_expr(g, n->args[0]) : 0, dyn;
	struct addr a = scratch(g, n->args[copyin ? 1 : 0], &dyn);

	if (!copyin) {
		e_zero(g, a.m, (u32)a.bound);
		return a;
	}
	vreg rc = e_call(g, BPF_FUNC_probe_read_user, a_mem(a.m), dyn ? a_reg(dyn) : a_imm((s64)a.bound),
			 a_reg(from));

	g_fault_unless(g, BPF_JEQ, rc, 0, DTRACEFLT_BADADDR, from, n->loc);
	return a;
}
