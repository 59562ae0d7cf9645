/* SPDX-License-Identifier: Apache-2.0 */
/*
 * record.c - the principal buffer's writer side, and the actions that put data into it.
 *
 * A stretch of statements (segment) shares one record: claimed when its first recording action is reached, filled
 * in place (strings are read from the traced process straight into the ring), committed at the stretch's end
 * by the store of its first word.  record.h tells the protocol.
 */
#include <string.h>

#include "codegen/rt.h"

struct segment {
	struct dt_epid *epid;
	u32 next; /* record descriptor to fill next */
	vreg ring;
	bool urgent; /* ring the doorbell: exit(), and what shows or changes aggregations */
};

/* ---- what is recorded, and how ------------------------------------------------------------------------ */

bool g_stmts_record(const struct dt_stmt *s)
{
	for (; s; s = s->next) {
		if (s->kind == S_ACT && (s->act->flags & DT_AF_REC))
			return true;
		if (s->kind == S_IF && (g_stmts_record(s->then_) || g_stmts_record(s->else_)))
			return true;
	}
	return false;
}

static enum dt_datakind probe_kind(int id)
{
	switch (id) {
	case DT_B_PROBEPROV: return DT_D_PROBEPROV;
	case DT_B_PROBEMOD: return DT_D_PROBEMOD;
	case DT_B_PROBEFUNC: return DT_D_PROBEFUNC;
	default: return DT_D_PROBENAME;
	}
}

static u32 frames_of(const struct gen *g, const struct dt_node *n, u32 dflt)
{
	u32 frames = n->nargs && n->args[0]->op == N_INT ? (u32)n->args[0]->val : dflt;

	return DT_MIN(frames, g->opts->maxframes);
}

#define MOST_STRSIZE 32768u

/* Room for the names of Python frames, when they are wanted. */
static u32 strsize_of(const struct dt_node *n, u32 dflt)
{
	u64 size = n->nargs > 1 ? n->args[1]->val : dflt;

	return DT_ROUNDUP((u32)DT_MIN(size, (u64)MOST_STRSIZE), 8);
}

static void datum_of_action(struct gen *g, const struct dt_node *n, struct dt_datum *d)
{
	static const struct {
		int id;
		enum dt_datakind kind;
		u32 size;
	} rows[] = {
		{ DT_A_SYM, DT_D_SYM, 8 },      { DT_A_FUNC, DT_D_SYM, 8 },
		{ DT_A_MOD, DT_D_MOD, 8 },      { DT_A_USYM, DT_D_USYM, 16 },
		{ DT_A_UFUNC, DT_D_USYM, 16 },  { DT_A_UMOD, DT_D_UMOD, 16 },
		{ DT_A_UADDR, DT_D_UADDR, 16 },
	};

	if (n->act->id == DT_A_STACK) {
		d->kind = DT_D_STACK;
		d->arg = frames_of(g, n, g->opts->stackframes);
		d->size = (u32)d->arg * 8;
		return;
	}
	if (n->act->id == DT_A_USTACK || n->act->id == DT_A_JSTACK) {
		bool python = n->act->id == DT_A_JSTACK;

		d->kind = DT_D_USTACK;
		d->arg = frames_of(g, n, python ? g->opts->jstackframes : g->opts->ustackframes);
		d->size = (u32)d->arg * 8 + 8;
		d->strsize = strsize_of(n, python ? g->opts->jstackstrsize : 0);
		if (d->strsize)
			d->size += (u32)sizeof(struct dt_raw_python) + d->strsize + DT_PY_SLACK;
		return;
	}
	for (size_t k = 0; k < DT_NELEM(rows); k++)
		if (rows[k].id == n->act->id) {
			d->kind = rows[k].kind;
			d->size = rows[k].size;
		}
}

static const char *source_text(struct gen *g, const struct dt_loc *l)
{
	if (!l->src || l->off + l->len > l->src->len)
		return "";
	return dt_arena_strndup(g->arena, l->src->text + l->off, l->len);
}

void g_datum_of(struct gen *g, const struct dt_node *n, struct dt_datum *d)
{
	const struct dt_type *t = dt_type_resolve(n->type);

	d->type = n->type;
	d->text = source_text(g, &n->loc);
	if (n->op == N_CALL && !n->subr && n->act) {
		datum_of_action(g, n, d);
	} else if (n->op == N_BUILTIN && (n->builtin->flags & DT_BF_PROBE)) {
		d->kind = probe_kind(n->builtin->id);
		d->size = 0;
	} else if (t->kind == DT_STRING) {
		d->kind = DT_D_STR;
		d->size = g_str_bound(g, n);
	} else if (t->kind == DT_POINTER) {
		d->kind = DT_D_PTR;
		d->size = 8;
	} else if (t->kind == DT_FLOAT) {
		d->kind = DT_D_FLOAT;
		d->size = (u32)dt_type_size(t);
	} else if (dt_type_is_int(t) || t->kind == DT_SYMADDR) {
		d->kind = dt_type_is_signed(t) ? DT_D_INT : DT_D_UINT;
		d->size = t->kind == DT_SYMADDR ? 8 : (u32)dt_type_size(t);
	} else {
		d->kind = DT_D_BYTES;
		d->size = (u32)dt_type_size(t);
	}
}

u32 g_shown_size(const struct dt_datum *d)
{
	switch (d->kind) {
	case DT_D_PROBEPROV: return DTRACE_PROVNAMELEN;
	case DT_D_PROBEMOD: return DTRACE_MODNAMELEN;
	case DT_D_PROBEFUNC: return DTRACE_FUNCNAMELEN;
	case DT_D_PROBENAME: return DTRACE_NAMELEN;
	case DT_D_USTACK:
		return 8 + (u32)d->arg * (d->strsize ? 16 : 8); /* Python's frames among them */
	default: return d->size;
	}
}

static u32 align_of(u32 size)
{
	return size >= 8 ? 8 : size >= 4 ? 4 : size >= 2 ? 2 : 1;
}

void g_recdesc(dtrace_recdesc_t *r, const struct dt_datum *d, u32 shown_off)
{
	static const dtrace_actkind_t kinds[] = {
		[DT_D_STACK] = DTRACEACT_STACK, [DT_D_USTACK] = DTRACEACT_USTACK,
		[DT_D_SYM] = DTRACEACT_SYM,     [DT_D_MOD] = DTRACEACT_MOD,
		[DT_D_USYM] = DTRACEACT_USYM,   [DT_D_UMOD] = DTRACEACT_UMOD,
		[DT_D_UADDR] = DTRACEACT_UADDR,
	};

	r->dtrd_action = DTRACEACT_DIFEXPR;
	if ((size_t)d->kind < DT_NELEM(kinds) && kinds[d->kind])
		r->dtrd_action = kinds[d->kind];
	r->dtrd_size = g_shown_size(d);
	r->dtrd_offset = shown_off;
	r->dtrd_alignment = (u16)align_of(r->dtrd_size);
	r->dtrd_arg = d->arg;
	r->dtrd_uarg = (uintptr_t)d;
}

/* ---- layout: every clause's records, before any code ------------------------------------------------------ */

struct layout {
	struct gen *g;
	struct dt_epid *e;
	DT_VEC(dtrace_recdesc_t) recs;
	DT_VEC(struct dt_datum *) data;
	u32 off, shown;
};

/* With option ustackunwind, stacks in records (but not those in keys) come with what it takes to unwind them. */
static void add_raw_stack(const struct gen *g, struct dt_datum *d)
{
	if (d->kind != DT_D_USTACK || !g->opts->ustackunwind)
		return;
	d->unwind = DT_ROUNDUP(g->opts->ustackunwind, DT_UNWIND_PIECE);
	d->size += (u32)sizeof(struct dt_raw_ustack) + d->unwind;
}

static dtrace_recdesc_t *add_rec(struct layout *l, struct dt_datum *d, int action)
{
	add_raw_stack(l->g, d);

	u32 align = align_of(d->size), shown_align = align_of(g_shown_size(d));

	l->off = DT_ROUNDUP(l->off, align);
	d->off = l->off;
	l->off += d->size;
	l->shown = DT_ROUNDUP(l->shown, shown_align);
	dtrace_recdesc_t *r = dt_vec_push(l->g->arena, &l->recs);

	g_recdesc(r, d, l->shown);
	if (action)
		r->dtrd_action = (dtrace_actkind_t)action;
	if (d->off != l->shown || g_shown_size(d) != d->size)
		l->e->direct = false;
	l->shown += g_shown_size(d);
	*dt_vec_push(l->g->arena, &l->data) = d;
	return r;
}

static struct dt_datum *new_datum(struct layout *l)
{
	return dt_arena_new(l->g->arena, struct dt_datum);
}

static void layout_printf(struct layout *l, const struct dt_stmt *s)
{
	struct gen *g = l->g;
	char why[256];
	struct dt_fmt *fmt = dt_fmt_parse(s->format, why, sizeof(why));

	if (!fmt) {
		g_fail(g, &s->loc, "%s", why);
		return;
	}
	*dt_vec_push(g->arena, &g->o->fmts) = fmt;
	for (u32 k = 0; k < s->nargs || k == 0; k++) {
		struct dt_datum *d = new_datum(l);

		if (s->nargs)
			g_datum_of(g, s->args[k], d);
		dtrace_recdesc_t *r = add_rec(l, d, s->act->kind);

		r->dtrd_format = fmt;
	}
}

static void layout_aggact(struct layout *l, const struct dt_stmt *s, u64 libact)
{
	struct gen *g = l->g;
	struct dt_aggact *a = dt_arena_new(g->arena, struct dt_aggact);
	struct dt_datum *d = new_datum(l);
	char why[256];

	a->aggs = dt_arena_alloc(g->arena, (s->nargs + 1) * sizeof(*a->aggs));
	for (u32 k = 0; k < s->nargs; k++)
		if (s->args[k]->op == N_AGG)
			a->aggs[a->naggs++] = (u32)(s->args[k]->agg->varid - 1);
		else {
			d->kind = DT_D_INT;
			d->size = 8;
		}
	if (s->format) {
		a->fmt = dt_fmt_parse(s->format, why, sizeof(why));
		if (!a->fmt) {
			g_fail(g, &s->loc, "%s", why);
			return;
		}
		*dt_vec_push(g->arena, &g->o->fmts) = a->fmt;
	}
	dtrace_recdesc_t *r = add_rec(l, d, s->act->kind);

	d->act = a;
	r->dtrd_format = a->fmt;
	r->dtrd_arg = libact ? libact : a->naggs ? (u64)a->aggs[0] + 1 : 0;
}

/* setopt(): the option and its value, each a record; that of no value is empty. */
static void layout_setopt(struct layout *l, const struct dt_stmt *s)
{
	for (u32 k = 0; k < 2; k++) {
		struct dt_datum *d = new_datum(l);

		if (k < s->nargs)
			g_datum_of(l->g, s->args[k], d);
		add_rec(l, d, DTRACEACT_LIBACT)->dtrd_arg = DT_ACT_SETOPT;
	}
}

static void layout_tracemem(struct layout *l, const struct dt_stmt *s)
{
	struct dt_datum *d = new_datum(l);

	d->kind = DT_D_BYTES;
	d->size = (u32)s->args[1]->val;
	d->arg = d->size;
	d->text = source_text(l->g, &s->args[0]->loc);
	add_rec(l, d, DTRACEACT_TRACEMEM);
	if (s->nargs > 2) {
		d = new_datum(l);
		d->kind = DT_D_UINT;
		d->size = 8;
		add_rec(l, d, DTRACEACT_TRACEMEM_DYNSIZE);
	}
}

/* print() of a pointer to a structure shows what is there. */
static const struct dt_type *print_pointee(const struct dt_node *n)
{
	const struct dt_type *t = dt_type_resolve(n->type);
	struct dt_type *to = t->kind == DT_POINTER ? dt_type_resolve(t->ref) : NULL;

	return to && dt_type_is_sou(to) ? to : NULL;
}

static void layout_print(struct layout *l, const struct dt_stmt *s)
{
	const struct dt_type *to = print_pointee(s->args[0]);
	struct dt_datum *d = new_datum(l);

	g_datum_of(l->g, s->args[0], d);
	if (to) {
		d->kind = DT_D_BYTES;
		d->type = to;
		d->size = 8 + (u32)dt_type_size(to);
		d->arg = 1;
	}
	add_rec(l, d, DTRACEACT_PRINT);
}

/* stack(), sym(x) ... as statements: an action node made of the statement. */
static struct dt_node *action_node(struct gen *g, const struct dt_stmt *s)
{
	struct dt_node *n = dt_arena_new(g->arena, struct dt_node);

	n->op = N_CALL;
	n->loc = s->loc;
	n->act = s->act;
	n->args = s->args;
	n->nargs = s->nargs;
	n->type = dt_type_basic(g->env->types, DT_T_STACK);
	return n;
}

static void layout_action(struct layout *l, const struct dt_stmt *s)
{
	struct dt_datum *d;

	switch (s->act->id) {
	case DT_A_PRINTF:
	case DT_A_SYSTEM:
	case DT_A_FREOPEN: layout_printf(l, s); return;
	case DT_A_PRINTA: layout_aggact(l, s, 0); return;
	case DT_A_CLEAR: layout_aggact(l, s, DT_ACT_CLEAR); return;
	case DT_A_TRUNC: layout_aggact(l, s, DT_ACT_TRUNC); return;
	case DT_A_NORMALIZE: layout_aggact(l, s, DT_ACT_NORMALIZE); return;
	case DT_A_DENORMALIZE: layout_aggact(l, s, DT_ACT_DENORMALIZE); return;
	case DT_A_FTRUNCATE: layout_aggact(l, s, DT_ACT_FTRUNCATE); return;
	case DT_A_SETOPT: layout_setopt(l, s); return;
	case DT_A_TRACEMEM: layout_tracemem(l, s); return;
	case DT_A_PRINT: layout_print(l, s); return;
	case DT_A_EXIT:
		d = new_datum(l);
		d->kind = DT_D_INT;
		d->size = 4;
		add_rec(l, d, DTRACEACT_EXIT);
		return;
	default: break;
	}
	d = new_datum(l);
	if (s->act->flags & DT_AF_KEY)
		g_datum_of(l->g, action_node(l->g, s), d);
	else if (s->nargs)
		g_datum_of(l->g, s->args[0], d);
	else
		g_fail(l->g, &s->loc, "%s() is not available in this version", s->act->name);
	add_rec(l, d, s->act->id == DT_A_TRACE ? 0 : s->act->kind);
}

static struct dt_epid *new_epid(struct gen *g, const struct dt_clause *c, const struct dt_stmt *first)
{
	struct dt_epid *e = dt_vec_push(g->arena, &g->epids);

	e->epid = g->epids.n;
	e->clause = c;
	e->first = first;
	e->direct = true;
	e->desc.dtepd_epid = e->epid;
	return e;
}

static bool splits(const struct dt_stmt *s)
{
	return s->kind == S_IF && (g_stmts_record(s->then_) || g_stmts_record(s->else_));
}

static void layout_run(struct gen *g, const struct dt_clause *c, const struct dt_stmt *first,
		       const struct dt_stmt *end)
{
	struct layout l = { .g = g };

	l.e = new_epid(g, c, first);
	for (const struct dt_stmt *s = first; s != end; s = s->next)
		if (s->kind == S_ACT && (s->act->flags & DT_AF_REC))
			layout_action(&l, s);
	l.e->size = DT_ROUNDUP(l.off, 8);
	l.e->shown_size = DT_ROUNDUP(l.shown, 8);
	l.e->desc.dtepd_size = l.e->shown_size;
	l.e->desc.dtepd_nrecs = (int)l.recs.n;
	l.e->desc.dtepd_rec = l.recs.v;
}

static void layout_list(struct gen *g, const struct dt_clause *c, const struct dt_stmt *s)
{
	while (s) {
		const struct dt_stmt *first = s;
		bool records = false;

		for (; s && !splits(s); s = s->next)
			records |= s->kind == S_ACT && (s->act->flags & DT_AF_REC);
		if (records)
			layout_run(g, c, first, s);
		if (s) {
			layout_list(g, c, s->then_);
			layout_list(g, c, s->else_);
			s = s->next;
		}
	}
}

void g_layout_records(struct gen *g)
{
	/* g_str_bound() of probe names looks at the clause's probes */
	for (u32 k = 0; k < g->nclauses && !g->failed; k++) {
		struct at_clause ac = { .clause = g->clauses[k] };
		u32 before = g->epids.n;

		ac.probes.v = g->clauses[k]->probes.v;
		ac.probes.n = g->clauses[k]->probes.n;
		ac.late = g->clauses[k]->late.n > 0;
		g->ac = &ac;
		layout_list(g, g->clauses[k], g->clauses[k]->stmts);
		if (g->epids.n == before)
			new_epid(g, g->clauses[k], NULL);
		g->ac = NULL;
	}
}

/* first NULL: the clause's own (first) one. */
struct dt_epid *g_epid_of(struct gen *g, const struct dt_clause *c, const struct dt_stmt *first)
{
	for (u32 k = 0; k < g->epids.n; k++)
		if (g->epids.v[k].clause == c && (!first || g->epids.v[k].first == first))
			return &g->epids.v[k];
	g_fail(g, &c->loc, "internal: a record without a layout");
	return &g->epids.v[0];
}

/* ---- storing one datum --------------------------------------------------------------------------------------- */

static void store_pid(struct gen *g, struct mem m)
{
	e_st(g, m, 8, g_thread_tgid(g));
}

/* Copies a piece of the stack: words are its base and the number of pieces. */
static void body_stack(struct gen *g, const struct rt_body *b, u32 pieces, u32 unused)
{
	u32 past = ir_label(g->f);
	struct mem w = rt_own_words(g, b);

	e_jcci(g, BPF_JGE, b->idx, pieces, past);
	vreg off = e_alui(g, IR_SHL, b->idx, __builtin_ctz(DT_UNWIND_PIECE));
	vreg to = e_alu(g, IR_ADD, rt_ptr(g, b, 0), off);
	vreg from = e_alu(g, IR_ADD, e_ld(g, w, 8), off);
	vreg rc = e_call(g, BPF_FUNC_probe_read_user, a_reg(to), a_imm(DT_UNWIND_PIECE), a_reg(from));

	e_jcci(g, BPF_JNE, rc, 0, past);
	rt_set(g, w, 1, e_alui(g, IR_ADD, b->idx, 1));
	rt_next(g);
	e_label(g, past);
	rt_stop(g);
}

static void store_raw_stack(struct gen *g, const struct dt_node *n, const struct dt_datum *d,
			    struct mem m)
{
	static const struct rt_kind kind = { "stack", body_stack };
	struct mem to = mem_add(m, offsetof(struct dt_raw_ustack, stack));
	u32 pieces = d->unwind / DT_UNWIND_PIECE;

	if (!g->opts->has_task_btf || !g->opts->has_loop) {
		g_fail(g, &n->loc,
		       "option ustackunwind needs a kernel with bpf_task_pt_regs and bpf_loop");
		return;
	}
	vreg regs = e_call(g, BPF_FUNC_task_pt_regs, a_reg(g_current_task_btf(g)));

	e_call(g, BPF_FUNC_probe_read_kernel, a_mem(m), a_imm(offsetof(struct dt_raw_ustack, base)),
	       a_reg(regs));
	vreg base = e_alui(g, IR_AND, e_ld(g, mem_add(m, DT_ARCH_SP), 8), -DT_UNWIND_PIECE);
	struct mem w = rt_words(g, &base, 1, 1);

	e_st(g, mem_add(m, offsetof(struct dt_raw_ustack, base)), 8, base);
	rt_loop(g, pieces, &kind, pieces, 0, w, &to, 1);
	e_st(g, mem_add(m, offsetof(struct dt_raw_ustack, pieces)), 8, rt_word(g, w, 1));
}

static void store_action(struct gen *g, const struct dt_node *n, const struct dt_datum *d,
			 struct mem m, bool key)
{
	switch (d->kind) {
	case DT_D_STACK: g_kernel_stack(g, m, d->size / 8); return;
	case DT_D_USTACK:
		store_pid(g, m);
		g_user_stack(g, mem_add(m, 8), (u32)d->arg);
		m = mem_add(m, 8 + (s64)d->arg * 8);
		if (d->strsize)
			g_python_stack(g, n->loc, m, d->strsize, (u32)d->arg, !key);
		if (d->unwind)
			store_raw_stack(g, n, d, mem_add(m, (s64)dt_datum_python_size(d)));
		return;
	case DT_D_SYM:
	case DT_D_MOD: e_st(g, m, 8, g_expr(g, n->args[0])); return;
	default: e_st(g, mem_add(m, 8), 8, g_expr(g, n->args[0])); store_pid(g, m);
	}
}

void g_store_datum(struct gen *g, const struct dt_node *n, const struct dt_datum *d, struct mem m,
		   bool key)
{
	switch (d->kind) {
	case DT_D_INT:
	case DT_D_UINT:
	case DT_D_PTR: e_st(g, m, d->size, g_expr(g, n)); return;
	case DT_D_STR:
		if (key) /* what lies behind the NUL is part of the key */
			e_zero(g, m, d->size);
		g_str_into(g, n, m, d->size);
		return;
	case DT_D_PROBEPROV:
	case DT_D_PROBEMOD:
	case DT_D_PROBEFUNC:
	case DT_D_PROBENAME:
		if (key)
			e_st(g, m, 4, g_probe_id(g));
		return;
	case DT_D_BYTES:
	case DT_D_FLOAT: g_copy(g, m, g_addr(g, n), d->size, n->loc); return;
	case DT_D_NONE: return;
	default:
		if (key && (d->kind == DT_D_STACK || d->kind == DT_D_USTACK))
			e_zero(g, m, d->size);
		store_action(g, n, d, m, key);
	}
}

/* ---- claim and commit ------------------------------------------------------------------------------------------- */

static struct mem ring_word(vreg ring, size_t off)
{
	return (struct mem){ ring, (s64)off };
}

static struct ir_insn *last(struct gen *g)
{
	return &g->f->v[g->f->n - 1];
}

void g_patch(struct gen *g, enum dt_patch_kind kind)
{
	last(g)->patch = (u8)(1 + kind);
}

static vreg past(struct gen *g, vreg h, vreg n, u32 total)
{
	return n ? e_alu(g, IR_ADD, h, n) : e_alui(g, IR_ADD, h, total);
}

/* When a program that interrupted this one was faster, once more. */
vreg g_advance(struct gen *g, vreg ring, vreg h, vreg n, u32 total, u32 lost)
{
	vreg h2 = past(g, h, n, total);
	struct mem head = ring_word(ring, offsetof(struct dt_ring_hdr, head));

	if (!g_nesting(g)) {
		e_st(g, head, 8, h2);
		return h;
	}
	vreg cur = e_mov(g, h);
	u32 done = ir_label(g->f);

	for (int k = 0; k < 2; k++) {
		vreg old = e_cmpxchg(g, head, cur, k ? past(g, cur, n, total) : h2);

		e_jcc(g, BPF_JEQ, old, cur, done);
		if (k == 0)
			e_set(g, cur, old);
	}
	e_jmp(g, lost);
	e_label(g, done);
	return cur;
}

static vreg ring_lookup(struct gen *g)
{
	return e_call(g, BPF_FUNC_map_lookup_elem, a_map(g_map_ring(g)), a_fp(g->cpu_slot));
}

vreg g_find_ring(struct gen *g)
{
	u32 have = ir_label(g->f);

	if (g->ring_once && !g->errinfo)
		return g->ring_once;
	vreg ring = ring_lookup(g);

	e_jcci(g, BPF_JNE, ring, 0, have);
	e_jmp(g, g->end_label);
	e_label(g, have);
	return ring;
}

#define RING_ONCE 8 /* recording clauses from which on a program looks its ring up at the start */

/* The kernel takes time for each look-up it puts into a program, the more the larger the program is. */
void g_ring_once(struct gen *g)
{
	u32 n = 0, have;

	g->ring_once = 0;
	for (u32 k = 0; k < g->set->clauses.n; k++) {
		const struct dt_clause *c = g->set->clauses.v[k].clause;

		n += !c->stmts || g_stmts_record(c->stmts);
	}
	if (n < RING_ONCE)
		return;
	have = ir_label(g->f);
	g->ring_once = ring_lookup(g);
	e_jcci(g, BPF_JNE, g->ring_once, 0, have);
	e_ret(g, 0);
	e_label(g, have);
}

/* Count a drop.  When a buffer under policy fill is full for the first time the consumer hears of it at once. */
static void count_drop(struct gen *g, vreg ring)
{
	struct mem drops = ring_word(ring, offsetof(struct dt_ring_hdr, drops));
	vreg n = e_ld(g, drops, 8);

	e_st(g, drops, 8, e_alui(g, IR_ADD, n, 1));
	if (g->opts->bufpolicy == DT_BUFPOLICY_FILL && !g->speculating) {
		e_jcci(g, BPF_JNE, n, 0, g->end_label);
		g_doorbell(g);
	}
	e_jmp(g, g->end_label);
}

enum dt_patch_kind g_ring_room(const struct gen *g)
{
	bool end = !g->errinfo && g->set->kind == DT_AT_END;

	return g->opts->bufpolicy == DT_BUFPOLICY_FILL && !end ? DT_PATCH_RING_FILL :
								 DT_PATCH_RING_CAP;
}

bool g_overwrites(const struct gen *g)
{
	return g->opts->bufpolicy == DT_BUFPOLICY_RING && !g->speculating;
}

void g_place(struct gen *g, vreg rec, vreg at)
{
	struct mem m = { rec, DT_RING_DATA };

	if (!g_overwrites(g))
		return;
	e_sti(g, m, 4, 0);
	e_st(g, mem_add(m, offsetof(struct dt_rec_hdr, arg)), 4, e_alui(g, IR_SHR, at, 3));
}

static void claim(struct gen *g, u32 total)
{
	u32 room = ir_label(g->f), lost = ir_label(g->f), ok = ir_label(g->f);
	vreg ring = g->speculating ? g->spec : g_find_ring(g);
	vreg h = e_ld(g, ring_word(ring, offsetof(struct dt_ring_hdr, head)), 8);

	if (!g_overwrites(g)) {
		vreg t = e_ld(g, ring_word(ring, offsetof(struct dt_ring_hdr, tail)), 8);
		vreg n = e_alui(g, IR_ADD, e_alu(g, IR_SUB, h, t), total);

		e_jcci(g, BPF_JLE, n, 0, room);
		g_patch(g, g->speculating ? DT_PATCH_SPEC_CAP : g_ring_room(g));
		e_label(g, lost);
		count_drop(g, ring);
		e_label(g, room);
	}
	vreg at = g_advance(g, ring, h, 0, total, ok);
	vreg off = e_alui(g, IR_AND, at, 0);

	g_patch(g, g->speculating ? DT_PATCH_SPEC_MASK : DT_PATCH_RING_MASK);
	e_set(g, g->rec, e_alu(g, IR_ADD, ring, off));
	g_place(g, g->rec, at);
	e_seti(g, g->recsize, total);
	g->ring = ring;
	if (g_nesting(g)) { /* the second loser's way out, forward as all jumps are */
		u32 go = ir_label(g->f);

		e_jmp(g, go);
		e_label(g, ok);
		count_drop(g, ring);
		e_label(g, go);
	}
}

static struct mem rec_word(struct gen *g, u32 off)
{
	return (struct mem){ g->rec, DT_RING_DATA + (s64)off };
}

void g_header(struct gen *g, vreg rec, u32 epid, vreg probe)
{
	struct mem m = { rec, DT_RING_DATA };

	if (g->opts->temporal) {
		if (!g->ts)
			g->ts = e_call0(g, BPF_FUNC_ktime_get_ns);
		e_st(g, mem_add(m, offsetof(struct dt_rec_hdr, ts)), 8, g->ts);
	}
	e_sti(g, mem_add(m, offsetof(struct dt_rec_hdr, epid)), 4, epid);
	e_st(g, mem_add(m, offsetof(struct dt_rec_hdr, probe)), 4, probe);
}

void g_doorbell(struct gen *g)
{
	e_call(g, BPF_FUNC_ringbuf_output, a_map(g_map_doorbell(g)), a_mem(g_globals_mem(g, 0)),
	       a_imm(8), a_imm(BPF_RB_FORCE_WAKEUP));
}

void g_wake(struct gen *g, vreg ring)
{
	struct mem wake = ring_word(ring, offsetof(struct dt_ring_hdr, wake_at));
	u32 quiet = ir_label(g->f);
	vreg h = e_ld(g, ring_word(ring, 0), 8);

	e_jcc(g, BPF_JLT, h, e_ld(g, wake, 8), quiet);
	e_sti(g, wake, 8, -1);
	g_doorbell(g);
	e_label(g, quiet);
}

static void commit(struct gen *g, u32 total, bool urgent)
{
	e_sti(g, rec_word(g, 0), 4, (s64)(s32)(total | DT_REC_COMMIT));
	if (urgent)
		g_doorbell(g);
	else if (!g->speculating && g->opts->bufpolicy == DT_BUFPOLICY_SWITCH)
		g_wake(g, g->ring);
	e_seti(g, g->rec, 0);
}

void g_discard(struct gen *g)
{
	u32 none = ir_label(g->f);

	if (!g->ring)
		return;
	e_jcci(g, BPF_JEQ, g->rec, 0, none);
	vreg w = e_alu(g, IR_OR, g->recsize, e_movi(g, DT_REC_COMMIT | DT_REC_DISCARD));

	e_st(g, rec_word(g, 0), 4, w);
	e_label(g, none);
}

void g_segment_begin(struct gen *g, const struct dt_stmt *first)
{
	struct segment *s = dt_arena_new(g->arena, struct segment);

	s->epid = g_epid_of(g, g->clause, first);
	g->seg = s;
	g->epid = s->epid->epid;
	claim(g, DT_REC_HDR + s->epid->size);
	s->ring = g->ring;
	g_header(g, g->rec, g->epid, g->errinfo ? e_movi(g, 3) : g_probe_id(g));
}

void g_segment_end(struct gen *g)
{
	commit(g, DT_REC_HDR + g->seg->epid->size, g->seg->urgent && !g->speculating);
	g->seg = NULL;
}

void g_fault_record(struct gen *g)
{
	static const u8 words[] = { 0, 8, 16 };
	u32 total = DT_REC_HDR + sizeof(struct dt_rec_fault);
	vreg probe = e_ld(g, (struct mem){ g->errinfo, sizeof(struct dt_rec_fault) }, 4);

	g->ts = 0;
	g->speculating = false;
	g->rec = e_movi(g, 0);
	g->recsize = e_movi(g, 0);
	claim(g, total);
	g_header(g, g->rec, 0, probe);
	for (size_t k = 0; k < DT_NELEM(words); k++)
		e_st(g, rec_word(g, DT_REC_HDR + words[k]), 8,
		     e_ld(g, (struct mem){ g->errinfo, words[k] }, 8));
	commit(g, total, false);
}

/* ---- recording actions ------------------------------------------------------------------------------------------ */

static struct mem field(struct gen *g, const struct dt_datum *d)
{
	return rec_word(g, DT_REC_HDR + d->off);
}

static const struct dt_datum *next_datum(struct gen *g)
{
	const dtrace_eprobedesc_t *e = &g->seg->epid->desc;

	if ((int)g->seg->next >= e->dtepd_nrecs) {
		g_fail(g, NULL, "internal: more data than the record has room for");
		return (const struct dt_datum *)(uintptr_t)e->dtepd_rec[0].dtrd_uarg;
	}
	return (const struct dt_datum *)(uintptr_t)e->dtepd_rec[g->seg->next++].dtrd_uarg;
}

static void act_args(struct gen *g, const struct dt_stmt *s)
{
	if (!s->nargs)
		next_datum(g);
	for (u32 k = 0; k < s->nargs; k++) {
		const struct dt_datum *d = next_datum(g);

		g_store_datum(g, s->args[k], d, field(g, d), false);
	}
}

static void act_setopt(struct gen *g, const struct dt_stmt *s)
{
	act_args(g, s);
	if (s->nargs < 2)
		next_datum(g);
}

static void act_aggs(struct gen *g, const struct dt_stmt *s)
{
	const struct dt_datum *d = next_datum(g);

	g->seg->urgent = true;
	for (u32 k = 0; k < s->nargs; k++)
		if (s->args[k]->op != N_AGG && d->size == 8)
			e_st(g, field(g, d), 8, g_expr(g, s->args[k]));
}

static void act_exit(struct gen *g, const struct dt_stmt *s)
{
	const struct dt_datum *d = next_datum(g);
	struct mem gl = g_globals_mem(g, 0);

	e_st(g, field(g, d), 4, g_expr(g, s->args[0]));
	e_sti(g, mem_add(gl, DT_GL_ACTIVITY), 8, DT_DRAINING);
	e_sti(g, mem_add(gl, DT_GL_EXITED), 8, 1);
	g->seg->urgent = true;
}

static void act_tracemem(struct gen *g, const struct dt_stmt *s)
{
	const struct dt_datum *d = next_datum(g);
	const struct dt_node *n = s->args[0];
	struct addr a = dt_type_is_pointer(n->type) ?
				g_ptr(g, n) :
			dt_type_is_array(n->type) ?
				g_addr(g, n) :
				(struct addr){ .kind = ADDR_KERN, .m = { g_expr(g, n), 0 } };

	if (a.kind == ADDR_BTF)
		a.kind = ADDR_KERN;
	g_copy(g, field(g, d), a, d->size, n->loc);
	if (s->nargs > 2) {
		d = next_datum(g);
		e_st(g, field(g, d), 8, g_expr(g, s->args[2]));
	}
}

static void act_print(struct gen *g, const struct dt_stmt *s)
{
	const struct dt_datum *d = next_datum(g);
	const struct dt_node *n = s->args[0];
	struct addr a;

	if (!print_pointee(n)) {
		g_store_datum(g, n, d, field(g, d), false);
		return;
	}
	a = g_ptr(g, n);
	if (a.kind == ADDR_BTF)
		a.kind = ADDR_KERN;
	e_st(g, field(g, d), 8, e_addr(g, a.m));
	g_copy(g, mem_add(field(g, d), 8), a, d->size - 8, n->loc);
}

static void act_key(struct gen *g, const struct dt_stmt *s)
{
	const struct dt_datum *d = next_datum(g);

	g_store_datum(g, action_node(g, s), d, field(g, d), false);
}

void g_segment_stmt(struct gen *g, const struct dt_stmt *s)
{
	if (s->act->flags & DT_AF_KEY) {
		act_key(g, s);
		return;
	}
	switch (s->act->id) {
	case DT_A_TRACE:
	case DT_A_PRINTF:
	case DT_A_SYSTEM:
	case DT_A_FREOPEN: act_args(g, s); return;
	case DT_A_SETOPT: act_setopt(g, s); return;
	case DT_A_EXIT: act_exit(g, s); return;
	case DT_A_TRACEMEM: act_tracemem(g, s); return;
	case DT_A_PRINT: act_print(g, s); return;
	case DT_A_PRINTA:
	case DT_A_CLEAR:
	case DT_A_TRUNC:
	case DT_A_NORMALIZE:
	case DT_A_FTRUNCATE:
	case DT_A_DENORMALIZE: act_aggs(g, s); return;
	default: g_fail(g, &s->loc, "%s() is not available in this version", s->act->name);
	}
}
