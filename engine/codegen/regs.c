/* SPDX-License-Identifier: Apache-2.0 */
/*
 * regs.c - linear scan register allocation.
 *
 * Requires that all jumps go forward.  r1-r4 hold values that do not live across a call, r6-r9 any value;
 * r0 and r5 are the assembler's scratch (call results, spilled operands, parallel moves).  When the pool
 * is empty the value that is needed last goes to a stack slot for its whole life.
 */
#include <stdlib.h>
#include <string.h>

#include "codegen/ir.h"

struct interval {
	vreg r;
	u32 start, end;
	bool across; /* a call lies strictly inside */
	bool pinned; /* must not live on the stack */
};

struct scan {
	struct ir_func *f;
	struct interval *iv; /* by register */
	struct interval **order;
	u32 n;
	struct interval **active;
	u32 nactive;
	u16 free_regs; /* bit per register */
	struct slot {
		u32 until; /* its last value's end */
		s16 off;
	} *slots;
	u32 nslots;
	u32 frame;
};

#define POOL_ANY ((1u << 6) | (1u << 7) | (1u << 8) | (1u << 9))
#define POOL_LOCAL ((1u << 1) | (1u << 2) | (1u << 3) | (1u << 4))
#define FRAME_MOST 32760u /* far beyond what the kernel takes: that is found out later */

static void touch(struct scan *s, vreg r, u32 at)
{
	struct interval *iv = &s->iv[r];

	if (!r)
		return;
	if (!iv->r) {
		iv->r = r;
		iv->start = at;
	}
	iv->end = at;
}

static bool is_call(const struct ir_insn *i)
{
	return i->op == IR_CALL || i->op == IR_CALLSUB || i->op == IR_CALLK;
}

static void find_intervals(struct scan *s)
{
	struct ir_func *f = s->f;

	for (u32 k = 0; k < f->n; k++) {
		struct ir_insn *i = &f->v[k];

		if (i->op == IR_NOP)
			continue;
		touch(s, i->a, k);
		touch(s, i->b, k);
		touch(s, i->c, k);
		for (u32 j = 0; j < i->nargs; j++) {
			touch(s, i->args[j].r, k);
			if (i->op == IR_ENTRY) /* all of them are written at once */
				touch(s, i->args[j].r, k + 1);
		}
		touch(s, i->d, k);
	}
}

/* Positions of calls, summed up, answer "is there a call strictly between" in constant time. */
static void mark_across(struct scan *s, struct dt_arena *a)
{
	struct ir_func *f = s->f;
	u32 *upto = dt_arena_alloc(a, (f->n + 1) * sizeof(u32)); /* calls before position k */

	for (u32 k = 0; k < f->n; k++)
		upto[k + 1] = upto[k] + is_call(&f->v[k]);
	for (vreg r = 1; r <= f->nregs; r++) {
		struct interval *iv = &s->iv[r];

		if (!iv->r || iv->end <= iv->start + 1)
			continue;
		iv->across = upto[iv->end] > upto[iv->start + 1];
	}
}

static int by_start(const void *x, const void *y)
{
	const struct interval *a = *(struct interval *const *)x, *b = *(struct interval *const *)y;

	if (a->start != b->start)
		return a->start < b->start ? -1 : 1;
	return a->r < b->r ? -1 : 1;
}

/* A place on the stack for all of a value's life, which may have begun long ago. */
static void give_slot(struct scan *s, const struct interval *iv)
{
	struct slot *slot = NULL;

	for (u32 k = 0; k < s->nslots && !slot; k++)
		if (s->slots[k].until <= iv->start)
			slot = &s->slots[k];
	if (!slot) {
		slot = &s->slots[s->nslots++];
		s->frame = DT_MIN(s->frame + 8, FRAME_MOST);
		slot->off = (s16) - (s32)s->frame;
	}
	slot->until = iv->end;
	s->f->loc[iv->r] = slot->off;
}

/* Values whose last use is here free their place for the result. */
static void expire(struct scan *s, u32 at)
{
	u32 keep = 0;

	for (u32 k = 0; k < s->nactive; k++) {
		struct interval *iv = s->active[k];
		s16 loc = s->f->loc[iv->r];

		if (iv->end > at) {
			s->active[keep++] = iv;
			continue;
		}
		if (loc >= 0)
			s->free_regs |= (u16)(1u << loc);
	}
	s->nactive = keep;
}

static int pick(const struct scan *s, const struct interval *iv)
{
	u32 pool = iv->across ? POOL_ANY : POOL_LOCAL | POOL_ANY;
	u32 avail = s->free_regs & pool;
	u32 hint = s->f->hint[iv->r];

	if (!avail)
		return -1;
	if (hint & 0x100) { /* like another register */
		s16 loc = s->f->loc[hint >> 9];

		if (loc >= 0 && loc < 10 && (avail & (1u << loc)))
			return loc;
	} else if (hint && (avail & (1u << hint))) {
		return (int)hint;
	}
	if (!iv->across && (avail & POOL_LOCAL))
		avail &= POOL_LOCAL;
	return __builtin_ctz(avail);
}

/* No register is free: of the values that hold a usable one, the one needed last moves to the stack. */
static void spill(struct scan *s, struct interval *iv)
{
	u32 pool = iv->across ? POOL_ANY : POOL_LOCAL | POOL_ANY;
	struct interval *victim = iv;

	for (u32 k = 0; k < s->nactive; k++) {
		struct interval *a = s->active[k];
		s16 loc = s->f->loc[a->r];

		if (loc < 0 || !(pool & (1u << loc)) || a->pinned)
			continue;
		if (victim->pinned || a->end > victim->end)
			victim = a;
	}
	if (victim != iv)
		s->f->loc[iv->r] = s->f->loc[victim->r];
	give_slot(s, victim);
}

/* Prefer the argument register a value is made for, and the operand's register for a two-address result. */
static void find_hints(struct ir_func *f)
{
	for (u32 k = 0; k < f->n; k++) {
		struct ir_insn *i = &f->v[k];

		if (is_call(i))
			for (u32 j = 0; j < i->nargs && j < 4; j++)
				if (i->args[j].r && !f->hint[i->args[j].r])
					f->hint[i->args[j].r] = j + 1;
		if (i->d && i->a && !f->hint[i->d] &&
		    (i->op == IR_MOV || (i->op >= IR_ADD && i->op <= IR_BSWAP)))
			f->hint[i->d] = 0x100 | i->a << 9;
	}
}

void ir_regs(struct ir_func *f, struct dt_arena *a)
{
	struct scan s = { .f = f, .frame = f->frame_max, .free_regs = POOL_ANY | POOL_LOCAL };
	u32 nr = f->nregs + 1;

	s.iv = dt_arena_alloc(a, nr * sizeof(*s.iv));
	s.order = dt_arena_alloc(a, nr * sizeof(*s.order));
	s.active = dt_arena_alloc(a, nr * sizeof(*s.active));
	s.slots = dt_arena_alloc(a, nr * sizeof(*s.slots));
	f->loc = dt_arena_alloc(a, nr * sizeof(*f->loc));
	f->hint = dt_arena_alloc(a, nr * sizeof(*f->hint));
	for (vreg r = 0; r < nr; r++)
		f->loc[r] = IR_LOC_NONE;
	find_intervals(&s);
	mark_across(&s, a);
	for (u32 k = 0; k < f->pinned.n; k++)
		s.iv[f->pinned.v[k]].pinned = true;
	find_hints(f);
	for (vreg r = 1; r < nr; r++) {
		const struct interval *iv = &s.iv[r];

		/* what a call gives back and nobody wants needs no place */
		if (iv->r && !(iv->start == iv->end && is_call(&f->v[iv->start])))
			s.order[s.n++] = &s.iv[r];
	}
	qsort(s.order, s.n, sizeof(*s.order), by_start);
	for (u32 k = 0; k < s.n; k++) {
		struct interval *iv = s.order[k];

		expire(&s, iv->start);
		int reg = pick(&s, iv);

		if (reg >= 0) {
			f->loc[iv->r] = (s16)reg;
			s.free_regs &= (u16) ~(1u << reg);
		} else {
			spill(&s, iv);
		}
		s.active[s.nactive++] = iv;
	}
	f->stack = s.frame;
}
