/* SPDX-License-Identifier: Apache-2.0 */
/*
 * clause.c - predicate, statements, and what happens when an expression faults.
 *
 * A fault writes what is known about it to a block in the frame, drops the clause's record and calls the
 * program's ERROR function, which records the fault and runs the clauses of dtrace:::ERROR right there, on the
 * thread that faulted.  The next clause then runs as if nothing had happened.
 */
#include <string.h>

#include "codegen/gen.h"

/* ---- faults --------------------------------------------------------------------------------------------- */

struct ir_func *g_error_func(struct gen *g)
{
	if (!g->error_func)
		g->error_func = ir_func_new(g->prog, "error");
	return g->error_func;
}

void g_fault(struct gen *g, int fault, vreg addr, struct dt_loc loc)
{
	g->may_fault = true;
	if (!g->errinfo) {
		struct mem m = mem_fp(g->info_slot);

		*dt_vec_push(g->arena, &g->faults) = (struct dt_fault_site){ .loc = loc };
		e_sti(g, mem_add(m, offsetof(struct dt_rec_fault, epid)), 4, g->epid);
		e_sti(g, mem_add(m, offsetof(struct dt_rec_fault, action)), 4, g->action);
		e_sti(g, mem_add(m, offsetof(struct dt_rec_fault, offset)), 4, g->faults.n - 1);
		e_sti(g, mem_add(m, offsetof(struct dt_rec_fault, fault)), 4, fault);
		if (addr)
			e_st(g, mem_add(m, offsetof(struct dt_rec_fault, addr)), 8, addr);
		else
			e_sti(g, mem_add(m, offsetof(struct dt_rec_fault, addr)), 8, 0);
	}
	e_jmp(g, g->fault_label);
}

void g_fault_unless(struct gen *g, u8 cond, vreg a, s64 imm, int fault, vreg addr, struct dt_loc loc)
{
	u32 ok = ir_label(g->f);

	e_jcci(g, cond, a, imm, ok);
	g_fault(g, fault, addr, loc);
	e_label(g, ok);
}

void g_drop(struct gen *g, u32 st_off)
{
	struct mem m = g_state_mem(g, st_off);

	e_st(g, m, 8, e_alui(g, IR_ADD, e_ld(g, m, 8), 1));
}

static void fault_tail(struct gen *g)
{
	g_discard(g);
	if (g->errinfo) { /* a fault in an ERROR clause */
		g_drop(g, DT_ST_DBLERRORS);
		return;
	}
	e_st(g, mem_fp(g->info_slot + (s32)sizeof(struct dt_rec_fault)), 8, g_probe_id(g));
	e_calln(g, IR_CALLSUB, g_error_func(g)->index,
		(const struct ir_arg[]){ a_reg(g->ctx), a_fp(g->info_slot), a_reg(g->st) }, 3);
}

static bool stmts_exit(const struct dt_stmt *s)
{
	for (; s; s = s->next)
		if ((s->kind == S_ACT && s->act->id == DT_A_EXIT) || stmts_exit(s->then_) ||
		    stmts_exit(s->else_))
			return true;
	return false;
}

static bool error_may_exit(const struct gen *g)
{
	if (!g->error_set)
		return false;
	for (u32 k = 0; k < g->error_set->clauses.n; k++)
		if (stmts_exit(g->error_set->clauses.v[k].clause->stmts))
			return true;
	return false;
}

/* ---- statements ------------------------------------------------------------------------------------------ */

static void gen_list(struct gen *g, const struct dt_stmt *s);

static void gen_if(struct gen *g, const struct dt_stmt *s)
{
	u32 yes = ir_label(g->f), no = ir_label(g->f), end = ir_label(g->f);

	g_cond(g, s->expr, yes, no, true);
	e_label(g, yes);
	gen_list(g, s->then_);
	e_jmp(g, end);
	e_label(g, no);
	gen_list(g, s->else_);
	e_label(g, end);
}

static void gen_stmt(struct gen *g, const struct dt_stmt *s)
{
	switch (s->kind) {
	case S_EXPR: g_effect(g, s->expr); break;
	case S_AGG: g_agg(g, s); break;
	case S_ACT:
		if (s->act->flags & DT_AF_REC)
			g_segment_stmt(g, s);
		else
			g_act(g, s);
		break;
	case S_IF: gen_if(g, s); break;
	}
}

static bool is_record(const struct dt_stmt *s)
{
	return s->kind == S_ACT && (s->act->flags & DT_AF_REC);
}

/* A list is cut into stretches that fill one record each; an if that records by itself separates them. */
static void gen_list(struct gen *g, const struct dt_stmt *s)
{
	struct segment *outer = g->seg;
	bool speculating = g->speculating;
	const struct dt_stmt *first = s;
	u32 frame = g->f->frame;

	for (; s && !g->failed; s = s->next) {
		bool splits = s->kind == S_IF && g_stmts_record(s->then_ ? s->then_ : s->else_);

		splits = splits || (s->kind == S_IF && g_stmts_record(s->else_));
		g->tmp = g->keep;
		g->f->frame = frame;
		g->action++;
		g->loops = g_loops(s);
		g->prog->loc = s->loc;
		if (splits) {
			if (g->seg && g->seg != outer)
				g_segment_end(g);
			gen_if(g, s);
			first = s->next;
			continue;
		}
		if (is_record(s) && (!g->seg || g->seg == outer))
			g_segment_begin(g, first);
		gen_stmt(g, s);
	}
	if (g->seg && g->seg != outer)
		g_segment_end(g);
	if (g->speculating && !speculating) {
		g_spec_end(g);
		g->speculating = false;
	}
}

static void begin_clause(struct gen *g, const struct at_clause *ac)
{
	g->ac = ac;
	g->clause = ac->clause;
	g->epid = g_epid_of(g, ac->clause, NULL)->epid;
	g->action = 0;
	g->ts = g->selfp = 0;
	g->may_fault = false;
	g->clause_may_exit = stmts_exit(ac->clause->stmts);
	g->seg = NULL;
	g->ring = 0;
	g->loops = false;
	g->keep = g->tmp = g->scratch_base + g->this_size;
	g->end_label = ir_label(g->f);
	g->fault_label = ir_label(g->f);
	g->rec = e_movi(g, 0);
	g->recsize = e_movi(g, 0);
	if (!g->info_slot && !g->errinfo)
		g->info_slot = ir_slot(g->f, sizeof(struct dt_rec_fault) + 8);
	g->prog->loc = ac->clause->loc;
	g_strtok_begin(g);
	g_spec_begin(g);
}

void g_clause(struct gen *g, const struct at_clause *ac)
{
	const struct dt_clause *c = ac->clause;

	begin_clause(g, ac);
	if (c->pred) {
		u32 yes = ir_label(g->f);

		g->prog->loc = c->pred->loc;
		g_clause_vars(g, true);
		g_cond(g, c->pred, yes, g->end_label, true);
		e_label(g, yes);
	}
	g_clause_vars(g, false);
	if (c->stmts) {
		gen_list(g, c->stmts);
	} else {
		g_segment_begin(g, NULL);
		g_segment_end(g);
	}
	if (g->may_fault) {
		e_jmp(g, g->end_label);
		e_label(g, g->fault_label);
		fault_tail(g);
		if (!g->errinfo && error_may_exit(g))
			g->clause_may_exit = true;
	}
	e_label(g, g->end_label);
	g_spec_end(g);
	g->prog->loc = (struct dt_loc){ 0 };
}

/* ---- the ERROR function --------------------------------------------------------------------------------- */

void g_make_error_func(struct gen *g)
{
	struct ir_insn *entry;

	g->f = g->error_func;
	g->ctx = ir_reg(g->f);
	g->errinfo = ir_reg(g->f);
	g->st = ir_reg(g->f);
	g->key = g->user_regs = g->compat = g->uarg_row = 0;
	entry = ir_emit(g->prog, g->f, IR_ENTRY);
	entry->nargs = 3;
	entry->args = dt_arena_alloc(g->arena, 3 * sizeof(*entry->args));
	entry->args[0] = a_reg(g->ctx);
	entry->args[1] = a_reg(g->errinfo);
	entry->args[2] = a_reg(g->st);
	g->cpu_slot = ir_slot(g->f, 8);
	e_st(g, mem_fp(g->cpu_slot), 4, e_call0(g, BPF_FUNC_get_smp_processor_id));
	g->end_label = ir_label(g->f);
	g_fault_record(g);
	e_label(g, g->end_label);
	for (u32 k = 0; g->error_set && k < g->error_set->clauses.n; k++)
		g_clause(g, &g->error_set->clauses.v[k]);
	e_ret(g, 0);
}
