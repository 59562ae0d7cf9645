/* SPDX-License-Identifier: Apache-2.0 */
/*
 * spec.c - speculations: speculation(), speculate(), commit(), discard().  record.h tells the protocol.
 *
 * A slot's word changes by compare-and-swap.  What may come between is another CPU counting itself as one that
 * has records, once per CPU and generation, so a few attempts are enough; should they not be,
 * the speculation is counted as dropped.
 */
#include "codegen/rt.h"

#define UNROLLED 8 /* slots that speculation() looks at without a loop */
#define ATTEMPTS_MAX 6

static u32 nspec(const struct gen *g)
{
	return g->opts->nspec;
}

static u32 attempts(const struct gen *g)
{
	return DT_MIN(DT_MAX(g->opts->ncpus, 2), ATTEMPTS_MAX);
}

/* The slots get their place in globals when the first program names one. */
static u32 slots_off(struct gen *g)
{
	struct dt_object *o = g->o;

	if (!o->spec_off) {
		o->nspec = nspec(g);
		o->spec_off = DT_ROUNDUP(g->globals_top, 16);
		g->globals_top = o->spec_off + DT_MAX(o->nspec, 1) * (u32)sizeof(struct dt_spec_slot);
		g_map_spec(g);
	}
	return o->spec_off;
}

static struct mem slot_at(struct gen *g, vreg i)
{
	struct mem m = g_globals_mem(g, slots_off(g));

	return (struct mem){ e_alu(g, IR_ADD, m.p, e_alui(g, IR_SHL, i, 4)), 0 };
}

/* The slot's index of an identifier that a D program gives; others go to `invalid`. */
static vreg index_of(struct gen *g, const struct dt_node *id, u32 invalid)
{
	vreg i = e_bounded(g, e_alui(g, IR_SUB, g_expr(g, id), 1));

	slots_off(g);
	if (!nspec(g))
		e_jmp(g, invalid);
	e_jcci(g, BPF_JGE, i, DT_MAX(nspec(g), 1), invalid);
	return i;
}

/* This CPU's buffer of a slot; never NULL. */
static vreg buffer_of(struct gen *g, vreg i, u32 failed)
{
	s32 at = ir_slot(g->f, 8);
	vreg cpu = e_ld(g, mem_fp(g->cpu_slot), 4);

	e_st(g, mem_fp(at), 4, e_alu(g, IR_ADD, e_alui(g, IR_MUL, cpu, DT_MAX(nspec(g), 1)), i));
	vreg buf = e_call(g, BPF_FUNC_map_lookup_elem, a_map(g_map_spec(g)), a_fp(at));

	e_jcci(g, BPF_JEQ, buf, 0, failed);
	return buf;
}

static struct mem word(vreg buf, size_t off)
{
	return (struct mem){ buf, (s64)off };
}

static vreg pinned(struct gen *g, vreg v)
{
	ir_pin(g->prog, g->f, v);
	return v;
}

static void unless_state(struct gen *g, vreg w, enum dt_spec_state state, u32 otherwise)
{
	e_jcci(g, BPF_JNE, e_alui(g, IR_AND, w, 0xff), (s64)state, otherwise);
}

static vreg gen_of(struct gen *g, vreg w)
{
	return e_alui(g, IR_SHR, w, DT_SPEC_GEN_SHIFT);
}

/* Out of the active state.  w: set to what the word was.  On to done when it was not active. */
static void leave(struct gen *g, struct mem slot, vreg w, enum dt_spec_state to, u32 done)
{
	u32 won = ir_label(g->f);

	for (u32 k = attempts(g); k; k--) {
		e_set(g, w, e_ld(g, slot, 8));
		unless_state(g, w, DT_SPEC_ACTIVE, done);
		vreg want = to == DT_SPEC_FREE ? e_alui(g, IR_SHL, gen_of(g, w), DT_SPEC_GEN_SHIFT) :
						 e_alui(g, IR_ADD, w, (s64)to - DT_SPEC_ACTIVE);

		e_jcc(g, BPF_JEQ, e_cmpxchg(g, slot, w, pinned(g, want)), w, won);
	}
	g_drop(g, DT_ST_SPECDROPS);
	e_jmp(g, done);
	e_label(g, won);
}

/* ---- speculation() --------------------------------------------------------------------------------------- */

/* Make the slot active under its next generation; to `taken` when it is not free. */
static void take_slot(struct gen *g, struct mem slot, vreg w, u32 taken)
{
	vreg next = e_alui(g, IR_ADD, gen_of(g, w), 1);
	vreg want = e_alui(g, IR_ADD, e_alui(g, IR_SHL, next, DT_SPEC_GEN_SHIFT), DT_SPEC_ACTIVE);

	e_jcc(g, BPF_JNE, e_cmpxchg(g, slot, w, pinned(g, want)), w, taken);
}

/* words: the identifier, or 0; committed slots seen */
static void body_speculation(struct gen *g, const struct rt_body *b, u32 b1, u32 b2)
{
	u32 taken = ir_label(g->f), used = ir_label(g->f), beyond = ir_label(g->f);
	struct mem words = rt_own_words(g, b);

	(void)b2;
	e_jcci(g, BPF_JGE, b->idx, b1, beyond);
	struct mem slot = slot_at(g, b->idx);
	vreg w = e_ld(g, slot, 8);

	unless_state(g, w, DT_SPEC_FREE, used);
	take_slot(g, slot, w, taken);
	rt_set(g, words, 0, e_alui(g, IR_ADD, b->idx, 1));
	rt_stop(g);
	e_label(g, used);
	unless_state(g, w, DT_SPEC_COMMITTED, taken);
	rt_seti(g, words, 1, 1);
	e_label(g, taken);
	rt_next(g);
	e_label(g, beyond);
	rt_stop(g);
}

static void look(struct gen *g, u32 i, vreg id, vreg busy, u32 found)
{
	u32 taken = ir_label(g->f), used = ir_label(g->f);
	struct mem slot = g_globals_mem(g, slots_off(g) + i * (u32)sizeof(struct dt_spec_slot));
	vreg w = e_ld(g, slot, 8);

	unless_state(g, w, DT_SPEC_FREE, used);
	take_slot(g, slot, w, taken);
	e_seti(g, id, i + 1);
	e_jmp(g, found);
	e_label(g, used);
	unless_state(g, w, DT_SPEC_COMMITTED, taken);
	e_seti(g, busy, 1);
	e_label(g, taken);
}

vreg subr_speculation(struct gen *g, const struct dt_node *n)
{
	static const struct rt_kind kind = { "speculation", body_speculation };
	vreg id = e_movi(g, 0), busy = e_movi(g, 0);
	u32 found = ir_label(g->f), unavailable = ir_label(g->f);

	(void)n;
	slots_off(g);
	if (nspec(g) <= UNROLLED) {
		for (u32 i = 0; i < nspec(g); i++)
			look(g, i, id, busy, found);
	} else {
		struct mem words = rt_words(g, NULL, 0, 2);

		rt_loop(g, nspec(g), &kind, nspec(g), 0, words, NULL, 0);
		e_set(g, id, rt_word(g, words, 0));
		e_set(g, busy, rt_word(g, words, 1));
		e_jcci(g, BPF_JNE, id, 0, found);
	}
	e_jcci(g, BPF_JEQ, busy, 0, unavailable);
	g_drop(g, DT_ST_SPECBUSY);
	e_jmp(g, found);
	e_label(g, unavailable);
	g_drop(g, DT_ST_SPECUNAVAIL);
	e_label(g, found);
	return id;
}

/* ---- speculate() ----------------------------------------------------------------------------------------- */

static bool has_act(const struct dt_stmt *s, int id)
{
	for (; s; s = s->next)
		if ((s->kind == S_ACT && s->act->id == id) || has_act(s->then_, id) ||
		    has_act(s->else_, id))
			return true;
	return false;
}

bool g_commits(const struct dt_stmt *s)
{
	return has_act(s, DT_A_COMMIT);
}

void g_spec_begin(struct gen *g)
{
	g->speculating = false;
	g->spec = has_act(g->clause->stmts, DT_A_SPECULATE) ? e_movi(g, 0) : 0;
}

void g_spec_end(struct gen *g)
{
	u32 none = ir_label(g->f);

	if (!g->spec)
		return;
	e_jcci(g, BPF_JEQ, g->spec, 0, none);
	e_xadd(g, word(g->spec, offsetof(struct dt_ring_hdr, writers)), e_movi(g, -1));
	e_seti(g, g->spec, 0);
	e_label(g, none);
}

/* The first record here for this generation: empty the buffer, unless somebody is still writing for an older one,
 * and be counted. */
static void adopt(struct gen *g, struct mem slot, vreg w)
{
	struct mem drops = word(g->spec, offsetof(struct dt_ring_hdr, drops));
	u32 alone = ir_label(g->f);

	e_jcci(g, BPF_JEQ, e_ld(g, word(g->spec, offsetof(struct dt_ring_hdr, writers)), 8), 1,
	       alone);
	e_st(g, drops, 8, e_alui(g, IR_ADD, e_ld(g, drops, 8), 1));
	e_jmp(g, g->end_label);
	e_label(g, alone);
	e_sti(g, word(g->spec, offsetof(struct dt_ring_hdr, head)), 8, 0);
	e_st(g, word(g->spec, offsetof(struct dt_ring_hdr, gen)), 8, gen_of(g, w));
	e_xadd(g, slot, e_movi(g, 1 << DT_SPEC_CPUS_SHIFT));
	/* committed or discarded meanwhile? then nobody will look here */
	vreg now = e_ld(g, slot, 8);

	unless_state(g, now, DT_SPEC_ACTIVE, g->end_label);
	e_jcc(g, BPF_JNE, gen_of(g, now),
	      e_ld(g, word(g->spec, offsetof(struct dt_ring_hdr, gen)), 8), g->end_label);
}

/* An identifier that is not active ends the clause, as a full buffer does. */
void act_speculate(struct gen *g, const struct dt_stmt *s)
{
	u32 mine = ir_label(g->f);
	vreg i = index_of(g, s->args[0], g->end_label);
	struct mem slot = slot_at(g, i);
	vreg buf = buffer_of(g, i, g->end_label);

	e_xadd(g, word(buf, offsetof(struct dt_ring_hdr, writers)), e_movi(g, 1));
	e_set(g, g->spec, buf);
	vreg w = e_ld(g, slot, 8);

	unless_state(g, w, DT_SPEC_ACTIVE, g->end_label);
	e_jcc(g, BPF_JEQ, gen_of(g, w),
	      e_ld(g, word(g->spec, offsetof(struct dt_ring_hdr, gen)), 8), mine);
	adopt(g, slot, w);
	e_label(g, mine);
	g->speculating = true;
}

/* ---- commit(), discard() --------------------------------------------------------------------------------- */

/* Copy n bytes of records from buf to the ring, as one record; to `slow` when there is no room. */
static void copy_bundle(struct gen *g, vreg buf, vreg n, u32 slow)
{
	vreg ring = g_find_ring(g);
	vreg total = e_alui(g, IR_ADD, n, DT_REC_HDR);
	vreg h = e_ld(g, word(ring, offsetof(struct dt_ring_hdr, head)), 8);

	if (g->opts->bufpolicy != DT_BUFPOLICY_RING) {
		vreg t = e_ld(g, word(ring, offsetof(struct dt_ring_hdr, tail)), 8);
		u32 fits = ir_label(g->f);

		e_jcci(g, BPF_JLE, e_alu(g, IR_ADD, e_alu(g, IR_SUB, h, t), total), 0, fits);
		g_patch(g, g_ring_room(g));
		e_jmp(g, slow);
		e_label(g, fits);
	}
	vreg at = g_advance(g, ring, h, total, 0, slow);
	vreg off = e_alui(g, IR_AND, at, 0);

	g_patch(g, DT_PATCH_RING_MASK);
	vreg rec = e_alu(g, IR_ADD, ring, off);

	if (g->opts->bufpolicy == DT_BUFPOLICY_RING)
		e_sti(g, (struct mem){ rec, DT_RING_DATA }, 4, 0);
	vreg size = e_bounded(g, n);
	u32 small = ir_label(g->f);

	e_jcci(g, BPF_JLE, size, DT_BUNDLE_MAX, small); /* for the verifier, which forgets */
	e_seti(g, size, DT_BUNDLE_MAX);
	e_label(g, small);
	e_call(g, BPF_FUNC_probe_read_kernel, a_mem((struct mem){ rec, DT_RING_DATA + DT_REC_HDR }),
	       a_reg(size), a_mem(word(buf, DT_RING_DATA)));
	g_header(g, rec, DT_EPID_BUNDLE, e_movi(g, 0));
	if (g->opts->bufpolicy == DT_BUFPOLICY_RING)
		e_st(g, (struct mem){ rec, DT_RING_DATA + (s64)offsetof(struct dt_rec_hdr, arg) },
		     4, e_alui(g, IR_SHR, at, 3));
	e_st(g, (struct mem){ rec, DT_RING_DATA }, 4,
	     e_alu(g, IR_OR, total, e_movi(g, (s64)DT_REC_COMMIT)));
	if (g->opts->bufpolicy == DT_BUFPOLICY_SWITCH)
		g_wake(g, ring);
}

/* The slot is ours, and committed. */
static void publish(struct gen *g, vreg i, struct mem slot, vreg w, u32 slow)
{
	u32 done = ir_label(g->f);
	vreg ncpus = e_alui(g, IR_AND, e_alui(g, IR_SHR, w, DT_SPEC_CPUS_SHIFT), 0xffff);

	e_jcci(g, BPF_JEQ, ncpus, 0, done);
	e_jcci(g, BPF_JNE, ncpus, 1, slow);
	vreg buf = buffer_of(g, i, slow);

	e_jcc(g, BPF_JNE, e_ld(g, word(buf, offsetof(struct dt_ring_hdr, gen)), 8), gen_of(g, w),
	      slow);
	e_jcci(g, BPF_JNE, e_ld(g, word(buf, offsetof(struct dt_ring_hdr, writers)), 8), 0, slow);
	vreg n = e_ld(g, word(buf, offsetof(struct dt_ring_hdr, head)), 8);

	e_jcci(g, BPF_JEQ, n, 0, done);
	e_jcci(g, BPF_JGT, n, DT_BUNDLE_MAX, slow);
	copy_bundle(g, buf, n, slow);
	e_label(g, done);
	e_st(g, slot, 8, e_alui(g, IR_SHL, gen_of(g, w), DT_SPEC_GEN_SHIFT));
}

void act_commit(struct gen *g, const struct dt_stmt *s)
{
	u32 done = ir_label(g->f), slow = ir_label(g->f);
	vreg i = index_of(g, s->args[0], done);
	struct mem slot = slot_at(g, i);
	vreg w = e_movi(g, 0);

	if (g->opts->temporal)
		e_st(g, mem_add(slot, offsetof(struct dt_spec_slot, ts)), 8, g->ts);
	leave(g, slot, w, DT_SPEC_COMMITTED, done);
	publish(g, i, slot, w, slow);
	e_jmp(g, done);
	e_label(g, slow);
	g_doorbell(g);
	e_label(g, done);
}

void act_discard(struct gen *g, const struct dt_stmt *s)
{
	u32 done = ir_label(g->f);
	vreg i = index_of(g, s->args[0], done);

	leave(g, slot_at(g, i), e_movi(g, 0), DT_SPEC_FREE, done);
	e_label(g, done);
}
