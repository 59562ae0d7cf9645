/* SPDX-License-Identifier: Apache-2.0 */
/*
 * asm.c - from allocated linear form to struct bpf_insn.
 *
 * Scratch: r0 and r5.  A spilled operand is loaded into one of them, a spilled result is made in r0.
 *
 * A jump reaches 32767 instructions.  One that would not get to its label in time is led to an island: a jump of its
 * own, placed between two instructions that are jumped over it.
 */
#include <string.h>

#include "codegen/ir.h"

#define FAR 28000 /* a jump this old needs an island */

struct fixup {
	u32 insn, label;
	bool done; /* leads to an island */
};
struct callfix {
	u32 insn, func;
};

struct as {
	struct ir_prog *p;
	struct ir_func *f;
	struct dt_arena *arena;
	DT_VEC(struct bpf_insn) code;
	DT_VEC(struct dt_loc) locs;
	DT_VEC(struct dt_reloc) relocs;
	DT_VEC(struct dt_patch) patches;
	DT_VEC(struct fixup) fixups;
	DT_VEC(struct callfix) calls;
	u32 oldest; /* of fixups: all before it are placed */
	s32 *labels;
	u32 *starts;
	bool callbacks;
	struct dt_loc loc;
};

static struct bpf_insn *put(struct as *s, u8 code, u8 dst, u8 src, s32 off, s32 imm)
{
	struct bpf_insn *i = dt_vec_push(s->arena, &s->code);

	i->code = code;
	i->dst_reg = dst & 0xf;
	i->src_reg = src & 0xf;
	i->off = (s16)off;
	i->imm = imm;
	*dt_vec_push(s->arena, &s->locs) = s->loc;
	return i;
}

static void mov(struct as *s, u8 dst, u8 src)
{
	if (dst != src)
		put(s, BPF_ALU64 | BPF_MOV | BPF_X, dst, src, 0, 0);
}

static void movi(struct as *s, u8 dst, s64 imm)
{
	if (imm == (s32)imm) {
		put(s, BPF_ALU64 | BPF_MOV | BPF_K, dst, 0, 0, (s32)imm);
	} else if ((u64)imm <= UINT32_MAX) {
		put(s, BPF_ALU | BPF_MOV | BPF_K, dst, 0, 0, (s32)imm);
	} else {
		put(s, BPF_LD | BPF_DW | BPF_IMM, dst, 0, 0, (s32)imm);
		put(s, 0, 0, 0, 0, (s32)((u64)imm >> 32));
	}
}

static void ld_map(struct as *s, u8 dst, u8 pseudo, u32 map, s32 off)
{
	struct dt_reloc *r = dt_vec_push(s->arena, &s->relocs);

	r->insn = s->code.n;
	r->map = map;
	put(s, BPF_LD | BPF_DW | BPF_IMM, dst, pseudo, 0, 0);
	put(s, 0, 0, 0, 0, off);
}

static u8 mem_size(u8 bytes)
{
	return bytes == 8 ? BPF_DW : bytes == 4 ? BPF_W : bytes == 2 ? BPF_H : BPF_B;
}

static s16 loc_of(const struct as *s, vreg r)
{
	return s->f->loc[r];
}

/* The register that holds a value, loaded into scratch when it lives on the stack. */
static u8 use(struct as *s, vreg r, u8 scratch)
{
	if (!r)
		return 10;
	s16 loc = loc_of(s, r);

	if (loc >= 0 && loc < 10)
		return (u8)loc;
	if (loc == IR_LOC_NONE) {
		s->p->error = "internal: a register is used that was never set";
		return 0;
	}
	put(s, BPF_LDX | BPF_DW | BPF_MEM, scratch, 10, loc, 0);
	return scratch;
}

/* The register to make a result in. */
static u8 def(const struct as *s, vreg r)
{
	s16 loc = loc_of(s, r);

	return loc >= 0 && loc < 10 ? (u8)loc : 0;
}

static void finish(struct as *s, vreg r)
{
	s16 loc = loc_of(s, r);

	if (loc < 0)
		put(s, BPF_STX | BPF_DW | BPF_MEM, 10, 0, loc, 0);
}

/* ---- moves that must look simultaneous --------------------------------------------------------- */

struct move {
	u8 dst, src;
};

static bool is_source(const struct move *m, u32 n, u32 except, u8 reg)
{
	for (u32 k = 0; k < n; k++)
		if (k != except && m[k].src == reg)
			return true;
	return false;
}

static void parallel_moves(struct as *s, struct move *m, u32 n)
{
	while (n) {
		u32 k;

		for (k = 0; k < n; k++)
			if (m[k].dst == m[k].src || !is_source(m, n, k, m[k].dst))
				break;
		if (k < n) {
			mov(s, m[k].dst, m[k].src);
			m[k] = m[--n];
			continue;
		}
		u8 src = m[0].src; /* a cycle: park one source */

		mov(s, 0, src);
		for (k = 0; k < n; k++)
			if (m[k].src == src)
				m[k].src = 0;
	}
}

/* ---- instructions ------------------------------------------------------------------------------- */

static const u8 alu_codes[IR_NOPS] = {
	[IR_ADD] = BPF_ADD, [IR_SUB] = BPF_SUB, [IR_MUL] = BPF_MUL,  [IR_DIV] = BPF_DIV,
	[IR_MOD] = BPF_MOD, [IR_AND] = BPF_AND, [IR_OR] = BPF_OR,    [IR_XOR] = BPF_XOR,
	[IR_SHL] = BPF_LSH, [IR_SHR] = BPF_RSH, [IR_SAR] = BPF_ARSH,
};

static bool commutes(u8 op)
{
	return op == IR_ADD || op == IR_MUL || op == IR_AND || op == IR_OR || op == IR_XOR;
}

static void patched(struct as *s, const struct ir_insn *i)
{
	if (!i->patch)
		return;
	struct dt_patch *p = dt_vec_push(s->arena, &s->patches);

	p->insn = s->code.n;
	p->kind = (enum dt_patch_kind)(i->patch - 1);
}

static void asm_alu(struct as *s, const struct ir_insn *i)
{
	u8 op = BPF_ALU64 | alu_codes[i->op], d = def(s, i->d);

	if (!i->b && i->imm == (s32)i->imm) {
		mov(s, d, use(s, i->a, 0));
		patched(s, i);
		put(s, op | BPF_K, d, 0, 0, (s32)i->imm);
		finish(s, i->d);
		return;
	}
	u8 b = 5;

	if (i->b)
		b = use(s, i->b, 5);
	else
		movi(s, 5, i->imm);
	if (b != d || loc_of(s, i->a) == b) {
		mov(s, d, use(s, i->a, 0));
		put(s, op | BPF_X, d, b, 0, 0);
	} else if (commutes(i->op)) {
		put(s, op | BPF_X, d, use(s, i->a, 0), 0, 0);
	} else {
		mov(s, 0, use(s, i->a, 0));
		put(s, op | BPF_X, 0, b, 0, 0);
		mov(s, d, 0);
	}
	finish(s, i->d);
}

static void asm_store(struct as *s, const struct ir_insn *i)
{
	u8 base = use(s, i->a, 5), size = mem_size(i->size);

	if (i->b) {
		put(s, BPF_STX | size | BPF_MEM, base, use(s, i->b, 0), i->off, 0);
	} else if (i->imm == (s32)i->imm || i->size <= 4) {
		put(s, BPF_ST | size | BPF_MEM, base, 0, i->off, (s32)i->imm);
	} else {
		movi(s, 0, i->imm);
		put(s, BPF_STX | size | BPF_MEM, base, 0, i->off, 0);
	}
}

static void asm_atomic(struct as *s, const struct ir_insn *i)
{
	u8 size = mem_size(i->size);

	if (i->op == IR_XADD) {
		u8 base = use(s, i->a, 5);

		put(s, BPF_STX | BPF_ATOMIC | size, base, use(s, i->b, 0), i->off, BPF_ADD);
		return;
	}
	/* r0 is both the expected and the old value */
	if (loc_of(s, i->c) < 0 && loc_of(s, i->a) < 0) {
		s->p->error = "internal: no register for an atomic operation";
		return;
	}
	mov(s, 0, use(s, i->b, 0));
	u8 base = use(s, i->a, 5), src = use(s, i->c, 5);

	put(s, BPF_STX | BPF_ATOMIC | size, base, src, i->off, BPF_CMPXCHG);
	mov(s, def(s, i->d), 0);
	finish(s, i->d);
}

static void asm_jump(struct as *s, const struct ir_insn *i)
{
	struct fixup fix = { .label = i->label };
	u8 a, b;

	if (i->op == IR_JMP) {
		fix.insn = s->code.n;
		put(s, BPF_JMP | BPF_JA, 0, 0, 0, 0);
	} else if (i->b || i->imm != (s32)i->imm) {
		a = use(s, i->a, 0);
		b = 5;
		if (i->b)
			b = use(s, i->b, 5);
		else
			movi(s, 5, i->imm);
		fix.insn = s->code.n;
		put(s, BPF_JMP | i->cond | BPF_X, a, b, 0, 0);
	} else {
		a = use(s, i->a, 0);
		patched(s, i);
		fix.insn = s->code.n;
		put(s, BPF_JMP | i->cond | BPF_K, a, 0, 0, (s32)i->imm);
	}
	*dt_vec_push(s->arena, &s->fixups) = fix;
}

static void asm_arg(struct as *s, const struct ir_arg *a, u8 dst)
{
	switch (a->kind) {
	case IR_A_REG:
	case IR_A_REGOFF:
		if (loc_of(s, a->r) < 0)
			use(s, a->r, dst);
		if (a->kind == IR_A_REGOFF && a->imm)
			put(s, BPF_ALU64 | BPF_ADD | BPF_K, dst, 0, 0, (s32)a->imm);
		break;
	case IR_A_IMM: movi(s, dst, a->imm); break;
	case IR_A_MAP: ld_map(s, dst, BPF_PSEUDO_MAP_FD, a->map, 0); break;
	case IR_A_MAPVAL: ld_map(s, dst, BPF_PSEUDO_MAP_VALUE, a->map, (s32)a->imm); break;
	case IR_A_FP:
		mov(s, dst, 10);
		put(s, BPF_ALU64 | BPF_ADD | BPF_K, dst, 0, 0, (s32)a->imm);
		break;
	case IR_A_FUNC: {
		struct callfix c = { s->code.n, (u32)a->imm };

		*dt_vec_push(s->arena, &s->calls) = c;
		s->callbacks = true;
		put(s, BPF_LD | BPF_DW | BPF_IMM, dst, BPF_PSEUDO_FUNC, 0, 0);
		put(s, 0, 0, 0, 0, 0);
		break;
	}
	}
}

static void asm_call(struct as *s, const struct ir_insn *i)
{
	struct move m[IR_MAXARGS];
	u32 n = 0;

	for (u32 k = 0; k < i->nargs; k++)
		if (i->args[k].kind <= IR_A_REGOFF && loc_of(s, i->args[k].r) >= 0)
			m[n++] = (struct move){ (u8)(k + 1), use(s, i->args[k].r, 0) };
	parallel_moves(s, m, n);
	for (u32 k = 0; k < i->nargs; k++)
		asm_arg(s, &i->args[k], (u8)(k + 1));
	if (i->op == IR_CALLSUB) {
		struct callfix c = { s->code.n, (u32)i->imm };

		*dt_vec_push(s->arena, &s->calls) = c;
		put(s, BPF_JMP | BPF_CALL, 0, BPF_PSEUDO_CALL, 0, 0);
	} else {
		u8 kind = i->op == IR_CALLK ? BPF_PSEUDO_KFUNC_CALL : 0;

		put(s, BPF_JMP | BPF_CALL, 0, kind, 0, (s32)i->imm);
	}
	if (i->d && loc_of(s, i->d) != IR_LOC_NONE) {
		mov(s, def(s, i->d), 0);
		finish(s, i->d);
	}
}

static void asm_entry(struct as *s, const struct ir_insn *i)
{
	struct move m[IR_MAXARGS];
	u32 n = 0;

	for (u32 k = 0; k < i->nargs; k++) {
		s16 loc = loc_of(s, i->args[k].r);

		if (loc < 0)
			put(s, BPF_STX | BPF_DW | BPF_MEM, 10, (u8)(k + 1), loc, 0);
		else if (loc < 10)
			m[n++] = (struct move){ (u8)loc, (u8)(k + 1) };
	}
	parallel_moves(s, m, n);
}

static void asm_simple(struct as *s, const struct ir_insn *i)
{
	u8 d = i->d ? def(s, i->d) : 0;

	switch (i->op) {
	case IR_MOVI: movi(s, d, i->imm); break;
	case IR_MOV: mov(s, d, use(s, i->a, d)); break;
	case IR_NEG:
		mov(s, d, use(s, i->a, d));
		put(s, BPF_ALU64 | BPF_NEG, d, 0, 0, 0);
		break;
	case IR_ZEXT32: put(s, BPF_ALU | BPF_MOV | BPF_X, d, use(s, i->a, 0), 0, 0); break;
	case IR_BSWAP:
		mov(s, d, use(s, i->a, d));
		put(s, BPF_ALU | BPF_END | BPF_TO_BE, d, 0, 0, (s32)i->imm);
		break;
	case IR_LD:
		put(s, BPF_LDX | mem_size(i->size) | BPF_MEM, d, use(s, i->a, 5), i->off, 0);
		break;
	case IR_FP:
		mov(s, d, 10);
		put(s, BPF_ALU64 | BPF_ADD | BPF_K, d, 0, 0, i->off);
		break;
	case IR_MAPVAL: ld_map(s, d, BPF_PSEUDO_MAP_VALUE, (u32)i->imm, i->off); break;
	default: break;
	}
	finish(s, i->d);
}

static void asm_insn(struct as *s, const struct ir_insn *i)
{
	s->loc = i->loc;
	switch (i->op) {
	case IR_NOP: return;
	case IR_ENTRY: asm_entry(s, i); return;
	case IR_LABEL: s->labels[i->label] = (s32)s->code.n; return;
	case IR_ST: asm_store(s, i); return;
	case IR_XADD:
	case IR_CMPXCHG: asm_atomic(s, i); return;
	case IR_JMP:
	case IR_JCC: asm_jump(s, i); return;
	case IR_CALL:
	case IR_CALLK:
	case IR_CALLSUB: asm_call(s, i); return;
	case IR_RET:
		if (i->a)
			mov(s, 0, use(s, i->a, 0));
		else
			movi(s, 0, i->imm);
		put(s, BPF_JMP | BPF_EXIT, 0, 0, 0, 0);
		return;
	default:
		if (i->op >= IR_ADD && i->op <= IR_SAR)
			asm_alu(s, i);
		else
			asm_simple(s, i);
	}
}

static void set_jump(struct as *s, u32 insn, u32 target)
{
	s64 off = (s64)target - insn - 1;

	if (off != (s16)off)
		s->p->error = "internal: a branch is too long";
	s->code.v[insn].off = (s16)off;
}

static bool is_waiting(const struct as *s, const struct fixup *x)
{
	return !x->done && s->labels[x->label] < 0;
}

/* The jump to `label` among the islands from fixup `first` on; made if there is none yet. */
static u32 island(struct as *s, u32 first, u32 label)
{
	struct fixup fix = { s->code.n, label, false };

	for (u32 k = first; k < s->fixups.n; k++)
		if (s->fixups.v[k].label == label)
			return s->fixups.v[k].insn;
	put(s, BPF_JMP | BPF_JA, 0, 0, 0, 0);
	*dt_vec_push(s->arena, &s->fixups) = fix;
	return fix.insn;
}

/* Between two instructions: nothing is in r0 and r5. */
static void make_islands(struct as *s)
{
	while (s->oldest < s->fixups.n && !is_waiting(s, &s->fixups.v[s->oldest]))
		s->oldest++;
	if (s->oldest == s->fixups.n || s->code.n - s->fixups.v[s->oldest].insn < FAR)
		return;
	u32 over = s->code.n, n = s->fixups.n;

	put(s, BPF_JMP | BPF_JA, 0, 0, 0, 0);
	for (u32 k = s->oldest; k < n; k++) {
		if (!is_waiting(s, &s->fixups.v[k]) || over - s->fixups.v[k].insn < FAR / 2)
			continue;
		u32 to = island(s, n, s->fixups.v[k].label);

		s->fixups.v[k].done = true;
		set_jump(s, s->fixups.v[k].insn, to);
	}
	set_jump(s, over, s->code.n);
}

static void resolve_jumps(struct as *s)
{
	for (u32 k = 0; k < s->fixups.n; k++) {
		struct fixup *x = &s->fixups.v[k];

		if (x->done)
			continue;
		if (s->labels[x->label] < 0) {
			s->p->error = "internal: a label was never placed";
			return;
		}
		set_jump(s, x->insn, (u32)s->labels[x->label]);
	}
	s->fixups.n = s->oldest = 0;
}

static void asm_func(struct as *s, struct ir_func *f)
{
	s->f = f;
	s->labels = dt_arena_alloc(s->arena, (f->nlabels + 1) * sizeof(*s->labels));
	memset(s->labels, 0xff, (f->nlabels + 1) * sizeof(*s->labels));
	s->starts[f->index] = s->code.n;
	for (u32 k = 0; k < f->n; k++) {
		asm_insn(s, &f->v[k]);
		make_islands(s);
	}
	resolve_jumps(s);
}

/* ---- the stack ------------------------------------------------------------------------------------- */

#define STACK_MAX 512u
#define FRAMES_MAX 8

/* Bytes of the deepest chain of calls from f on, as the verifier counts them. */
static u32 chain(const struct ir_prog *p, const struct ir_func *f, u32 depth)
{
	u32 below = 0;

	for (u32 k = 0; k < f->n && depth < FRAMES_MAX; k++) {
		const struct ir_insn *i = &f->v[k];

		if (i->op == IR_CALLSUB)
			below = DT_MAX(below, chain(p, p->funcs[i->imm], depth + 1));
		for (u32 j = 0; j < i->nargs && i->op == IR_CALL; j++)
			if (i->args[j].kind == IR_A_FUNC)
				below = DT_MAX(below, chain(p, p->funcs[i->args[j].imm], depth + 1));
	}
	return DT_ROUNDUP(DT_MAX(f->stack, 1u), 32) + below;
}

static bool touches(const struct ir_func *f, const struct ir_insn *i, s32 off)
{
	return (i->d && f->loc[i->d] == off) ||
	       (!i->a && i->off == off && (i->op == IR_ST || i->op == IR_LD));
}

/* The source of the first instruction that wants the last words of the largest frame. */
static struct dt_loc deepest(const struct ir_prog *p)
{
	const struct ir_func *f = p->funcs[0];

	for (u32 k = 1; k < p->nfuncs; k++)
		if (p->funcs[k]->stack > f->stack)
			f = p->funcs[k];
	for (u32 k = 0; k < f->n; k++)
		if (f->v[k].op != IR_NOP && touches(f, &f->v[k], -(s32)f->stack))
			return f->v[k].loc;
	return (struct dt_loc){ 0 };
}

static void check_stack(struct ir_prog *p)
{
	if (p->error || chain(p, p->funcs[0], 1) <= STACK_MAX)
		return;
	p->error =
		"too much is computed at once: it does not fit on the stack of 512 bytes that eBPF gives a program";
	p->error_loc = deepest(p);
}

int ir_asm(struct ir_prog *p, struct dt_progspec *spec)
{
	struct as s = { .p = p, .arena = p->arena };

	s.starts = dt_arena_alloc(p->arena, p->nfuncs * sizeof(*s.starts));
	spec->funcs = dt_arena_alloc(p->arena, p->nfuncs * sizeof(*spec->funcs));
	for (u32 k = 0; k < p->nfuncs; k++) {
		asm_func(&s, p->funcs[k]);
		spec->funcs[k].insn = s.starts[k];
		spec->funcs[k].name = p->funcs[k]->name;
	}
	for (u32 k = 0; k < s.calls.n; k++)
		s.code.v[s.calls.v[k].insn].imm =
			(s32)s.starts[s.calls.v[k].func] - (s32)s.calls.v[k].insn - 1;
	check_stack(p);
	spec->insns = s.code.v;
	spec->ninsns = s.code.n;
	spec->locs = s.locs.v;
	spec->relocs = s.relocs.v;
	spec->nrelocs = s.relocs.n;
	spec->patches = s.patches.v;
	spec->npatches = s.patches.n;
	spec->nfuncs = p->nfuncs;
	spec->needs_func_info = s.callbacks;
	return p->error ? -1 : 0;
}
