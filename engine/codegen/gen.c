/* SPDX-License-Identifier: Apache-2.0 */
/*
 * gen.c - clauses in, programs out: one BPF program per attach point.
 *
 * A program finds out which of its probes fired (the key: a system call number, say), looks up the bit mask
 * of clauses that want this probe, and runs them in program order.  Layout of the shared
 * maps is decided before any code is made, so that all programs agree.
 */
#include <stdlib.h>
#include <string.h>

#include "codegen/gen.h"

int g_fail(struct gen *g, const struct dt_loc *loc, const char *fmt, ...)
{
	char text[512];
	va_list ap;
	int line = 0, col = 0;

	if (g->failed)
		return -1;
	g->failed = true;
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	if (loc && loc->src)
		dt_loc_pos(loc, &line, &col);
	if (line)
		return dt_fail(g->err, EDT_COMPILER, "line %d: %s", line, text);
	return dt_fail(g->err, EDT_COMPILER, "%s", text);
}

u32 g_type_size(const struct gen *g, const struct dt_type *t)
{
	u32 size = (u32)dt_type_size(t);

	return !size && dt_type_is_string(t) ? g->strsize : size;
}

/* ---- maps ------------------------------------------------------------------------------------------ */

u32 g_add_map(struct gen *g, const struct dt_mapspec *m)
{
	*dt_vec_push(g->arena, &g->maps) = *m;
	return g->maps.n - 1;
}

static int get_map(struct gen *g, int *slot, const struct dt_mapspec *m)
{
	if (*slot < 0)
		*slot = (int)g_add_map(g, m);
	return *slot;
}

int g_map_state(struct gen *g)
{
	return get_map(g, &g->map_state,
		       &(struct dt_mapspec){ .name = "dt_state",
					     .role = DT_MAP_STATE,
					     .type = BPF_MAP_TYPE_ARRAY,
					     .key_size = 4,
					     .flags = BPF_F_MMAPABLE,
					     .per_cpu_elems = true });
}

int g_map_ring(struct gen *g)
{
	return get_map(g, &g->map_ring,
		       &(struct dt_mapspec){ .name = "dt_ring",
					     .role = DT_MAP_RING,
					     .type = BPF_MAP_TYPE_ARRAY,
					     .key_size = 4,
					     .flags = BPF_F_MMAPABLE,
					     .per_cpu_elems = true });
}

int g_map_globals(struct gen *g)
{
	return get_map(g, &g->map_globals,
		       &(struct dt_mapspec){ .name = "dt_globals",
					     .role = DT_MAP_GLOBALS,
					     .type = BPF_MAP_TYPE_ARRAY,
					     .key_size = 4,
					     .max_entries = 1,
					     .flags = BPF_F_MMAPABLE });
}

int g_map_rodata(struct gen *g)
{
	return get_map(g, &g->map_rodata,
		       &(struct dt_mapspec){ .name = "dt_rodata",
					     .role = DT_MAP_RODATA,
					     .type = BPF_MAP_TYPE_ARRAY,
					     .key_size = 4,
					     .max_entries = 1,
					     .flags = BPF_F_RDONLY_PROG });
}

int g_map_doorbell(struct gen *g)
{
	return get_map(g, &g->map_doorbell,
		       &(struct dt_mapspec){ .name = "dt_doorbell",
					     .role = DT_MAP_DOORBELL,
					     .type = BPF_MAP_TYPE_RINGBUF,
					     .max_entries = 4096 });
}

int g_map_python(struct gen *g)
{
	return get_map(g, &g->map_python,
		       &(struct dt_mapspec){ .name = "dt_python",
					     .role = DT_MAP_PYTHON,
					     .type = BPF_MAP_TYPE_LRU_HASH,
					     .key_size = 4,
					     .value_size = sizeof(struct dt_py_layout),
					     .max_entries = 4096 });
}

int g_map_spec(struct gen *g)
{
	return get_map(g, &g->map_spec,
		       &(struct dt_mapspec){ .name = "dt_spec",
					     .role = DT_MAP_SPEC,
					     .type = BPF_MAP_TYPE_ARRAY,
					     .key_size = 4,
					     .flags = BPF_F_MMAPABLE,
					     .per_cpu_elems = true });
}

int g_map_vtime(struct gen *g)
{
	return get_map(g, &g->map_vtime,
		       &(struct dt_mapspec){ .name = "dt_vtime",
					     .role = DT_MAP_SELF,
					     .type = BPF_MAP_TYPE_TASK_STORAGE,
					     .key_size = 4,
					     .value_size = 8,
					     .flags = BPF_F_NO_PREALLOC,
					     .needs_btf = true });
}

u32 g_rodata(struct gen *g, const void *p, u32 n, u32 align)
{
	u32 off;

	while (g->rodata.n % align)
		*dt_vec_push(g->arena, &g->rodata) = 0;
	off = g->rodata.n;
	for (u32 k = 0; k < n; k++)
		*dt_vec_push(g->arena, &g->rodata) = ((const u8 *)p)[k];
	return off;
}

static struct mem mapval(struct gen *g, int map, u32 off)
{
	struct ir_insn *i = ir_emit(g->prog, g->f, IR_MAPVAL);

	i->imm = map;
	i->off = (s32)off;
	i->d = ir_reg(g->f);
	return (struct mem){ i->d, 0 };
}

struct mem g_rodata_mem(struct gen *g, u32 off)
{
	return mapval(g, g_map_rodata(g), off);
}

struct mem g_globals_mem(struct gen *g, u32 off)
{
	return mapval(g, g_map_globals(g), off);
}

struct mem g_state_mem(struct gen *g, u32 off)
{
	g_map_state(g);
	return (struct mem){ g->st, off };
}

/* ---- scratch: a bump allocator over the program's part of state --------------------------------------- */

struct mem g_tmp(struct gen *g, u32 size)
{
	u32 at = g->tmp;

	g->tmp += DT_ROUNDUP(size, 8);
	g->scratch_max = DT_MAX(g->scratch_max, g->tmp);
	return g_state_mem(g, at);
}

struct mem g_keep(struct gen *g, u32 size)
{
	struct mem m = g_tmp(g, size);

	g->keep = g->tmp;
	g->keep_max = DT_MAX(g->keep_max, g->keep);
	return m;
}

struct mem g_zeros(struct gen *g, u32 size)
{
	static const u8 zeros[64];

	if (g->zeros_len < size) {
		g->zeros_off = g_rodata(g, zeros, 0, 8);
		g->zeros_len = size;
		while (g->rodata.n < g->zeros_off + size)
			g_rodata(g, zeros, sizeof(zeros), 1);
	}
	return g_rodata_mem(g, g->zeros_off);
}

void e_zero(struct gen *g, struct mem m, u32 size)
{
	if (size > 64) { /* one helper call copies from constant zeros */
		e_call(g, BPF_FUNC_probe_read_kernel, a_mem(m), a_imm(size), a_mem(g_zeros(g, size)));
		return;
	}
	u32 at = 0;

	for (; at + 8 <= size; at += 8)
		e_sti(g, mem_add(m, at), 8, 0);
	for (; at < size; at++)
		e_sti(g, mem_add(m, at), 1, 0);
}

/* Programs on user code run with preemption on: the next thread may come along the same way. */
static bool is_preemptible(enum dt_attach_kind kind)
{
	return kind == DT_AT_UPROBE;
}

bool g_preemptible(const struct gen *g)
{
	return is_preemptible(g->set->kind);
}

bool g_nesting(const struct gen *g)
{
	return g->nrecorders > 1;
}

/* ---- which probe fired ----------------------------------------------------------------------------------- */

bool g_single_probe(const struct gen *g, const struct dt_probe **p)
{
	if (!g->ac || g->ac->probes.n != 1 || g->ac->late)
		return false;
	*p = g->ac->probes.v[0];
	return true;
}

vreg g_probe_id(struct gen *g)
{
	const struct at_set *s = g->set;
	const struct dt_probe *p;

	if (g_single_probe(g, &p))
		return e_movi(g, p->id);
	if (s->affine) {
		vreg v = s->id_mul == 1 ? g->key : e_alui(g, IR_MUL, g->key, s->id_mul);

		return s->id_add ? e_alui(g, IR_ADD, v, s->id_add) : v;
	}
	struct mem m = g_table_mem(g, s->id_off);

	return e_ld(g, (struct mem){ e_alu(g, IR_ADD, m.p, e_alui(g, IR_SHL, g_key_index(g), 2)), 0 },
		    4);
}

static void find_affine(const struct gen *g, struct at_set *s)
{
	struct dt_probe **v = s->probes.v;

	u32 first = g_probe_key(g, s, v[0]),
	    second = s->probes.n > 1 ? g_probe_key(g, s, v[1]) : first;

	s->affine = true;
	s->id_mul = 1;
	if (second != first)
		s->id_mul = (v[1]->id - v[0]->id) / (second - first);
	s->id_add = v[0]->id - s->id_mul * first;
	for (u32 k = 0; k < s->probes.n; k++)
		if (v[k]->id != s->id_mul * g_probe_key(g, s, v[k]) + s->id_add)
			s->affine = false;
}

static u32 add_globals(struct gen *g, u32 size)
{
	u32 off = DT_ROUNDUP(g->globals_top, 8);

	g->globals_top = off + size;
	return off;
}

/* The same tables, but in globals and with rows to spare. */
static void layout_late(struct gen *g, struct at_set *s, u32 *ids, u64 *masks)
{
	struct dt_userset *u = s->user;

	u->nkeys = g_table_rows(s);
	u->ids = ids;
	u->masks = masks;
	u->id_off = s->id_off = add_globals(g, u->nkeys * (u32)sizeof(*ids));
	u->mask_words = s->mask_words;
	u->mask_off = s->mask_off = add_globals(g, u->nkeys * s->mask_words * (u32)sizeof(*masks));
	u->nclauses = s->clauses.n;
	u->clauses = dt_arena_alloc(g->arena, (u->nclauses + 1) * sizeof(*u->clauses));
	for (u32 c = 0; c < s->clauses.n; c++)
		u->clauses[c] = s->clauses.v[c].clause;
}

/* Constant tables of a many-key attach point: clause masks and, when ids follow no rule, probe ids. */
static void layout_tables(struct gen *g, struct at_set *s)
{
	u32 n = g_table_rows(s);

	if (n <= 1)
		return;
	if (!s->user)
		find_affine(g, s);
	if (s->probes.n == 1 && !s->user)
		return;
	u32 *ids = s->affine ? NULL : dt_arena_alloc(g->arena, n * sizeof(*ids));

	for (u32 k = 0; ids && k < s->probes.n; k++)
		ids[g_probe_key(g, s, s->probes.v[k])] = s->probes.v[k]->id;
	s->mask_words = DT_ROUNDUP(s->clauses.n, 64) / 64;
	u64 *mask = dt_arena_alloc(g->arena, (size_t)n * s->mask_words * sizeof(*mask));

	for (u32 c = 0; c < s->clauses.n; c++) {
		struct at_clause *ac = &s->clauses.v[c];

		ac->all = ac->probes.n == s->probes.n && !s->user;
		for (u32 k = 0; k < ac->probes.n; k++)
			mask[g_probe_key(g, s, ac->probes.v[k]) * s->mask_words + c / 64] |=
				UINT64_C(1) << c % 64;
	}
	if (s->user) {
		layout_late(g, s, ids, mask);
		return;
	}
	if (ids)
		s->id_off = g_rodata(g, ids, n * (u32)sizeof(*ids), 8);
	s->mask_off = g_rodata(g, mask, n * s->mask_words * (u32)sizeof(*mask), 8);
}

struct mem g_table_mem(struct gen *g, u32 off)
{
	return g->set->user ? g_globals_mem(g, off) : g_rodata_mem(g, off);
}

/* The key as an index.  It was compared with nkeys already; the mask says so again to verifiers that forgot (see
 * ir_pin), for which tables have room up to the next power of two. */
vreg g_key_index(struct gen *g)
{
	return e_alui(g, IR_AND, g->key, (s64)g_table_rows(g->set) - 1);
}

u32 g_table_rows(const struct at_set *s)
{
	u32 n = 1;

	while (n < s->nkeys)
		n *= 2;
	return n;
}

u32 g_probe_key(const struct gen *g, const struct at_set *s, const struct dt_probe *p)
{
	return s->shared ? g->slot[p->at->index] : p->key;
}

/* The mask word of clauses 64 * word ...; its base pointer stays valid: key is bounded. */
static vreg mask_word(struct gen *g, u32 word)
{
	const struct at_set *s = g->set;
	struct mem m = g_table_mem(g, s->mask_off + word * 8);
	vreg off = e_alui(g, IR_MUL, g_key_index(g), s->mask_words * 8);

	return e_ld(g, (struct mem){ e_alu(g, IR_ADD, m.p, off), 0 }, 8);
}

static void test_bit(struct gen *g, vreg mask, u32 bit, u32 iffalse)
{
	if (bit < 31) {
		u32 yes = ir_label(g->f);

		e_jcci(g, BPF_JSET, mask, 1 << bit, yes);
		e_jmp(g, iffalse);
		e_label(g, yes);
	} else {
		vreg b = e_alui(g, IR_AND, e_alui(g, IR_SHR, mask, bit), 1);

		e_jcci(g, BPF_JEQ, b, 0, iffalse);
	}
}

/* Memory of this CPU's that a program works in must not meet another thread on its way through the same program. */
static bool stays_alone(const struct gen *g)
{
	return g_preemptible(g) && g->opts->preempt_disable && g->opts->preempt_enable;
}

static void enter(struct gen *g)
{
	if (stays_alone(g))
		e_calln(g, IR_CALLK, g->opts->preempt_disable, NULL, 0);
}

static void leave(struct gen *g)
{
	if (stays_alone(g))
		e_calln(g, IR_CALLK, g->opts->preempt_enable, NULL, 0);
	e_ret(g, 0);
}

static void run_clauses(struct gen *g)
{
	const struct at_set *s = g->set;
	vreg mask = 0;

	for (u32 c = 0; c < s->clauses.n && !g->failed; c++) {
		const struct at_clause *ac = &s->clauses.v[c];
		u32 next = ir_label(g->f);

		if (s->mask_words && !ac->all) {
			if (!mask || c % 64 == 0)
				mask = mask_word(g, c / 64);
			test_bit(g, mask, c % 64, next);
		} else if (c % 64 == 0) {
			mask = 0;
		}
		g_clause(g, ac);
		e_label(g, next);
		if (g->clause_may_exit &&
		    c + 1 < s->clauses.n) { /* exit(): no later clause of this firing */
			vreg x = e_ld(g, g_globals_mem(g, DT_GL_EXITED), 8);
			u32 go = ir_label(g->f);

			e_jcci(g, BPF_JEQ, x, 0, go);
			leave(g);
			e_label(g, go);
		}
	}
}

/* Leave when no clause wants this probe. */
static void dispatch(struct gen *g)
{
	const struct at_set *s = g->set;
	u32 wanted = ir_label(g->f), known = ir_label(g->f);

	g->key = s->shared ? e_call(g, BPF_FUNC_get_attach_cookie, a_reg(g->ctx)) : g_abi(g)->key(g);
	if (s->probes.n == 1 && !s->user) { /* no table for one */
		e_jcci(g, BPF_JEQ, g->key, s->probes.v[0]->key, known);
		e_ret(g, 0);
		e_label(g, known);
		return;
	}
	e_jcci(g, BPF_JLT, g->key, s->nkeys, known);
	e_ret(g, 0);
	e_label(g, known);
	if (s->shared) /* attached to nothing but what is wanted */
		return;
	for (u32 w = 0; w < s->mask_words; w++)
		e_jcci(g, BPF_JNE, mask_word(g, w), 0, wanted);
	e_ret(g, 0);
	e_label(g, wanted);
}

static void check_active(struct gen *g)
{
	u32 go = ir_label(g->f);
	vreg a = e_ld(g, g_globals_mem(g, DT_GL_ACTIVITY), 8);

	e_jcci(g, BPF_JEQ, a, DT_ACTIVE, go);
	e_ret(g, 0);
	e_label(g, go);
}

/* st = this CPU's state; taken out again when the program turns out not to need it. */
static void find_state(struct gen *g, u32 *from, u32 *to)
{
	u32 ok = ir_label(g->f);

	*from = g->f->n;
	g->st = e_call(g, BPF_FUNC_map_lookup_elem, a_map(g_map_state(g)), a_fp(g->cpu_slot));
	e_jcci(g, BPF_JNE, g->st, 0, ok);
	leave(g);
	e_label(g, ok);
	*to = g->f->n;
}

static bool reg_used(const struct ir_func *f, vreg r, u32 from)
{
	for (u32 k = from; k < f->n; k++) {
		const struct ir_insn *i = &f->v[k];

		if (i->op == IR_NOP)
			continue;
		if (i->a == r || i->b == r || i->c == r)
			return true;
		for (u32 j = 0; j < i->nargs; j++)
			if (i->args[j].r == r)
				return true;
	}
	return false;
}

static void drop_range(struct ir_func *f, u32 from, u32 to)
{
	for (u32 k = from; k < to; k++) {
		struct dt_loc loc = f->v[k].loc;

		memset(&f->v[k], 0, sizeof(f->v[k]));
		f->v[k].loc = loc;
	}
}

static bool uses_cpu_slot(const struct ir_func *f, s32 slot)
{
	for (u32 k = 0; k < f->n; k++)
		for (u32 j = 0; j < f->v[k].nargs; j++)
			if (f->v[k].args[j].kind == IR_A_FP && f->v[k].args[j].imm == slot &&
			    f->v[k].op == IR_CALL)
				return true;
	for (u32 k = 0; k < f->n; k++)
		if (f->v[k].op == IR_LD && !f->v[k].a && f->v[k].off == slot)
			return true;
	return false;
}

/* Option cpu: leave on any other. */
static void check_cpu(struct gen *g)
{
	u32 go;

	if (g->opts->cpu < 0)
		return;
	go = ir_label(g->f);
	e_jcci(g, BPF_JEQ, e_call0(g, BPF_FUNC_get_smp_processor_id), g->opts->cpu, go);
	e_ret(g, 0);
	e_label(g, go);
}

static void make_main(struct gen *g)
{
	u32 cpu_from, cpu_to, st_from, st_to, regs_from, regs_to;
	struct ir_insn *entry;
	bool pseudo = g->set->kind == DT_AT_BEGIN || g->set->kind == DT_AT_END;

	g->f = ir_func_new(g->prog, "main");
	g->ctx = ir_reg(g->f);
	entry = ir_emit(g->prog, g->f, IR_ENTRY);
	entry->nargs = 1;
	entry->args = dt_arena_new(g->arena, struct ir_arg);
	entry->args[0] = a_reg(g->ctx);
	g->errinfo = g->key = g->user_regs = g->compat = g->uarg_row = 0;
	g->sleeps = false;
	g->info_slot = 0;
	if (!pseudo) {
		check_active(g);
		check_cpu(g);
	}
	if (g->set->nkeys > 1)
		dispatch(g);
	regs_from = g->f->n;
	if (g_abi(g)->before)
		g_abi(g)->before(g);
	regs_to = g->f->n;
	enter(g);
	g->cpu_slot = ir_slot(g->f, 8);
	cpu_from = g->f->n;
	e_st(g, mem_fp(g->cpu_slot), 4, e_call0(g, BPF_FUNC_get_smp_processor_id));
	cpu_to = g->f->n;
	find_state(g, &st_from, &st_to);
	g_ring_once(g);
	run_clauses(g);
	leave(g);
	if (!reg_used(g->f, g->st, st_to))
		drop_range(g->f, st_from, st_to);
	if (g->user_regs && !reg_used(g->f, g->user_regs, regs_to))
		drop_range(g->f, regs_from, regs_to);
	if (!uses_cpu_slot(g->f, g->cpu_slot))
		drop_range(g->f, cpu_from, cpu_to);
}

static void make_program(struct gen *g, struct at_set *set, struct dt_progspec *spec, u32 index,
			 char upto, struct dt_str *dump)
{
	struct ir_prog *p = dt_arena_new(g->arena, struct ir_prog);

	p->arena = g->arena;
	g->prog = p;
	g->set = set;
	g->error_func = NULL;
	g->rt.v = NULL;
	g->rt.n = g->rt.cap = 0;
	g->scratch_base = g->state_top;
	g->scratch_max = g->tmp = g->keep = g->state_top + g->this_size;
	spec->kind = set->kind;
	spec->at = set->at;
	spec->targets = (const struct dt_attach *const *)set->targets.v;
	spec->ntargets = set->targets.n;
	spec->probes = set->probes.v;
	spec->nprobes = set->probes.n;
	spec->prog_type = g_abi(g)->prog_type;
	spec->attach_type = g_abi(g)->attach_type;
	g_prog_name(set, index, spec->name);
	make_main(g);
	if (g->error_func && !g->failed)
		g_make_error_func(g);
	spec->sleepable = g->sleeps;
	if (g->failed)
		return;
	g->state_top = g->scratch_max;
	for (u32 k = 0; k < p->nfuncs; k++)
		ir_dce(p->funcs[k], g->arena);
	g->o->maps = g->maps.v;
	g->o->nmaps = g->maps.n;
	if (dump && upto == 'g') {
		dt_str_printf(dump, "== %s\n", spec->name);
		ir_dump(p, g->o, false, dump);
	}
	for (u32 k = 0; k < p->nfuncs; k++)
		ir_regs(p->funcs[k], g->arena);
	if (dump && upto == 'r') {
		dt_str_printf(dump, "== %s\n", spec->name);
		ir_dump(p, g->o, true, dump);
	}
	if (ir_asm(p, spec) != 0)
		g_fail(g, &p->error_loc, "%s", p->error);
	if (dump && upto == 'a') {
		dt_str_printf(dump, "== %s\n", spec->name);
		dt_bpf_disasm(spec, g->o, dump);
	}
}

/* ---- who hangs where ------------------------------------------------------------------------------------- */

/* Attach points that one program could serve. */
struct alike {
	const struct dt_attach *at;
	u32 n;
	u32 set; /* 1 + the index of the one that they share, or 0 */
};

#define SHARE_FROM \
	8 /* so few have a program each: a program is not run for what happens while it runs */

struct grouping {
	u32 *set; /* by dt_attach.index: 1 + its index in gen.sets, or 0 */
	bool *seen;
	DT_VEC(struct alike) alike;
};

static bool are_alike(const struct dt_attach *a, const struct dt_attach *b)
{
	return a->kind == b->kind && a->abi == b->abi && a->nargs == b->nargs;
}

static bool may_share(const struct gen *g, const struct dt_attach *at)
{
	return at->nkeys <= 1 && !at->several && (g->opts->cookies & (1u << at->kind));
}

static struct alike *alike_of(struct gen *g, struct grouping *gr, const struct dt_attach *at)
{
	for (u32 k = 0; k < gr->alike.n; k++)
		if (are_alike(gr->alike.v[k].at, at))
			return &gr->alike.v[k];
	struct alike *a = dt_vec_push(g->arena, &gr->alike);

	a->at = at;
	return a;
}

/* Count, before the first program is planned, what could share one. */
static void find_alike(struct gen *g, struct grouping *gr)
{
	for (u32 c = 0; c < g->nclauses; c++)
		for (u32 k = 0; k < g->clauses[c]->probes.n; k++) {
			struct dt_attach *at = g->clauses[c]->probes.v[k]->at;

			dt_attach_resolve(at);
			if (gr->seen[at->index] || !may_share(g, at))
				continue;
			gr->seen[at->index] = true;
			alike_of(g, gr, at)->n++;
		}
}

static u32 add_set(struct gen *g, struct dt_attach *at)
{
	struct at_set *s = dt_vec_push(g->arena, &g->sets);

	s->at = at;
	s->kind = at->kind;
	s->abi = at->abi;
	s->nkeys = DT_MAX(at->nkeys, 1u);
	return g->sets.n - 1;
}

static u32 add_target(struct gen *g, u32 set, struct dt_attach *at)
{
	struct at_set *s = &g->sets.v[set];

	g->slot[at->index] = s->targets.n;
	*dt_vec_push(g->arena, &s->targets) = at;
	if (s->shared)
		s->nkeys = s->targets.n;
	return set;
}

/* The set that the attach point is in, by index: growing moves them. */
static u32 set_of(struct gen *g, struct grouping *gr, struct dt_attach *at)
{
	u32 *known = &gr->set[at->index];
	struct alike *a = NULL;

	if (*known)
		return *known - 1;
	if (may_share(g, at))
		a = alike_of(g, gr, at);
	if (!a || a->n < SHARE_FROM) {
		*known = 1 + add_target(g, add_set(g, at), at);
	} else {
		if (!a->set) {
			a->set = 1 + add_set(g, at);
			g->sets.v[a->set - 1].shared = true;
		}
		*known = 1 + add_target(g, a->set - 1, at);
	}
	return *known - 1;
}

static struct at_clause *clause_in(struct gen *g, struct at_set *s, const struct dt_clause *c)
{
	if (s->clauses.n && s->clauses.v[s->clauses.n - 1].clause == c)
		return &s->clauses.v[s->clauses.n - 1];
	struct at_clause *ac = dt_vec_push(g->arena, &s->clauses);

	ac->clause = c;
	return ac;
}

static void collect_wanted(struct gen *g, struct at_set *s)
{
	u32 n = s->nkeys, key;
	struct dt_probe **by_key = dt_arena_alloc(g->arena, n * sizeof(*by_key));

	for (u32 c = 0; c < s->clauses.n; c++)
		for (u32 k = 0; k < s->clauses.v[c].probes.n; k++) {
			struct dt_probe *p = s->clauses.v[c].probes.v[k];

			key = g_probe_key(g, s, p);
			if (key < n)
				by_key[key] = p;
		}
	for (u32 k = 0; k < n; k++)
		if (by_key[k])
			*dt_vec_push(g->arena, &s->probes) = by_key[k];
}

/* Of one event the probes fire one after the other, each with all of its clauses. */
static void sort_by_probe(struct at_set *s)
{
	for (u32 c = 1; c < s->clauses.n; c++) {
		struct at_clause ac = s->clauses.v[c];
		u32 k = c;

		for (; k && s->clauses.v[k - 1].probes.v[0]->id > ac.probes.v[0]->id; k--)
			s->clauses.v[k] = s->clauses.v[k - 1];
		s->clauses.v[k] = ac;
	}
}

/* What the consumer has to know of an attach point of user level. */
static struct dt_userset *userset_of(struct gen *g, const struct dt_attach *at)
{
	struct dt_userset *u;

	for (u32 k = 0; k < g->o->usersets.n; k++)
		if (g->o->usersets.v[k]->at == at)
			return g->o->usersets.v[k];
	u = dt_arena_new(g->arena, struct dt_userset);
	u->at = at;
	*dt_vec_push(g->arena, &g->o->usersets) = u;
	return u;
}

#define LATE_UARGS 256 /* ways of passing arguments that may come while it runs */

const struct dt_userset *g_uargs(struct gen *g)
{
	const struct dt_attach *at = g->set->at;
	struct dt_userset *u = userset_of(g, at);

	if (u->nuargs)
		return u;
	u->nuargs = 1;
	while (u->nuargs < at->uargs.n + (u->late ? LATE_UARGS : 0))
		u->nuargs *= 2;
	u->uargs_off = add_globals(g, u->nuargs * DT_MAXARGS * (u32)sizeof(struct dt_uarg));
	return u;
}

#define LATE_KEYS 1024 /* probes that may come while it runs */

static void add_late(struct gen *g, struct grouping *gr, const struct dt_clause *c,
		     struct dt_attach *at)
{
	u32 set = set_of(g, gr, at); /* may move them */
	struct at_set *s = &g->sets.v[set];

	clause_in(g, s, c)->late = true;
	if (s->user)
		return;
	s->user = userset_of(g, at);
	s->user->late = true;
	s->nkeys = at->nkeys + LATE_KEYS;
}

static bool derefs_arg(const struct dt_node *n)
{
	return n->op == N_DEREF && n->l->op == N_ARG;
}

static bool set_derefs_args(const struct at_set *s)
{
	for (u32 k = 0; k < s->clauses.n; k++) {
		const struct dt_clause *c = s->clauses.v[k].clause;

		if (stmts_use(c->stmts, derefs_arg) || (c->pred && node_uses(c->pred, derefs_arg)))
			return true;
	}
	return false;
}

/* A program for one place can know the types of its arguments.  For functions this is also the cheapest way in;
 * for tracepoints it pays when arguments are looked into. */
static void refine(const struct gen *g, struct at_set *s)
{
	static const struct {
		enum dt_attach_kind from, to;
		enum dt_abi abi;
		bool if_used;
	} ways[] = {
		{ DT_AT_RAW_TP, DT_AT_TP_BTF, DT_ABI_TP_BTF, true },
		{ DT_AT_KPROBE, DT_AT_FENTRY, DT_ABI_FENTRY, false },
		{ DT_AT_KRETPROBE, DT_AT_FEXIT, DT_ABI_FEXIT, false },
	};

	for (size_t k = 0; k < DT_NELEM(ways); k++)
		if (s->kind == ways[k].from && (g->opts->typed & (1u << ways[k].to)) &&
		    !s->shared && s->nkeys == 1 && s->at->typed &&
		    (!ways[k].if_used || (!g->opts->no_direct && set_derefs_args(s)))) {
			s->kind = ways[k].to;
			s->abi = ways[k].abi;
			return;
		}
}

static void collect_sets(struct gen *g)
{
	u32 nattaches = g->env->probes->attaches.n + 1;
	struct grouping gr = { .set = dt_arena_alloc(g->arena, nattaches * sizeof(u32)),
			       .seen = dt_arena_alloc(g->arena, nattaches) };

	g->slot = dt_arena_alloc(g->arena, nattaches * sizeof(u32));
	find_alike(g, &gr);
	for (u32 c = 0; c < g->nclauses; c++) {
		const struct dt_clause *cl = g->clauses[c];

		for (u32 k = 0; k < cl->probes.n; k++) {
			struct dt_probe *p = cl->probes.v[k];
			u32 set = set_of(g, &gr, p->at);
			struct at_clause *ac = clause_in(g, &g->sets.v[set], cl);

			*dt_vec_push(g->arena, &ac->probes) = p;
		}
		for (u32 k = 0; k < cl->late.n; k++)
			add_late(g, &gr, cl, cl->late.v[k].at);
	}
	for (u32 k = 0; k < g->sets.n; k++) {
		struct at_set *s = &g->sets.v[k];

		if (s->at->several)
			sort_by_probe(s);
		collect_wanted(g, s);
		layout_tables(g, s);
		refine(g, s);
		if (s->kind == DT_AT_ERROR)
			g->error_set = s;
		else if (s->kind != DT_AT_BEGIN && s->kind != DT_AT_END)
			g->nrecorders += 1 + is_preemptible(s->kind);
	}
}

static void finish_maps(struct gen *g)
{
	for (u32 k = 0; k < g->maps.n; k++) {
		struct dt_mapspec *m = &g->maps.v[k];

		switch (m->role) {
		case DT_MAP_STATE: m->value_size = DT_ROUNDUP(g->state_top, 64); break;
		case DT_MAP_GLOBALS: m->value_size = DT_ROUNDUP(g->globals_top, 8); break;
		case DT_MAP_RODATA:
			m->value_size = DT_ROUNDUP(g->rodata.n + 8, 8);
			while (g->rodata.n < m->value_size)
				*dt_vec_push(g->arena, &g->rodata) = 0;
			m->init = g->rodata.v;
			break;
		default: break;
		}
	}
}

/* What END's clauses may record, under policy fill. */
static u32 end_reserve(const struct gen *g)
{
	u32 sum = 0;

	for (u32 k = 0; k < g->sets.n && g->opts->bufpolicy == DT_BUFPOLICY_FILL; k++)
		for (u32 c = 0; g->sets.v[k].kind == DT_AT_END && c < g->sets.v[k].clauses.n; c++)
			for (u32 e = 0; e < g->epids.n; e++)
				if (g->epids.v[e].clause == g->sets.v[k].clauses.v[c].clause)
					sum += DT_REC_HDR + g->epids.v[e].size;
	return DT_ROUNDUP(sum, 8);
}

static void finish_object(struct gen *g)
{
	struct dt_object *o = g->o;

	finish_maps(g);
	o->maps = g->maps.v;
	o->nmaps = g->maps.n;
	o->epids = g->epids.v;
	o->nepids = g->epids.n;
	o->faults = g->faults.v;
	o->nfaults = g->faults.n;
	o->ring_map = g->map_ring;
	o->state_map = g->map_state;
	o->globals_map = g->map_globals;
	o->doorbell_map = g->map_doorbell;
	o->only_consumer_cpu = g->nrecorders == 0;
	o->max_record = DT_REC_HDR + sizeof(struct dt_rec_fault);
	for (u32 k = 0; k < o->nepids; k++)
		o->max_record = DT_MAX(o->max_record, DT_REC_HDR + o->epids[k].size);
	o->spec_map = g->map_spec;
	o->end_reserve = end_reserve(g);
	o->ring_slack = o->max_record;
	if (g->map_spec >= 0)
		o->ring_slack = DT_MAX(o->ring_slack, DT_REC_HDR + DT_BUNDLE_MAX);
}

static void generate(struct gen *g, char upto, struct dt_str *dump)
{
	struct dt_object *o = g->o;

	g->map_state = g->map_ring = g->map_globals = g->map_rodata = -1;
	g->map_doorbell = g->map_self = g->map_spec = g->map_vtime = g->map_python = -1;
	g->strsize = DT_MAX(g->opts->strsize, 2);
	g->state_top = DT_ST_FIXED;
	g->globals_top = DT_GL_VARS;
	g_map_globals(g); /* activity is always there */
	collect_sets(g);
	g_layout_aggs(g);
	g_layout_vars(g);
	g_layout_records(g);
	o->progs = dt_arena_alloc(g->arena, (g->sets.n + 1) * sizeof(*o->progs));
	for (u32 k = 0; k < g->sets.n && !g->failed; k++)
		if (&g->sets.v[k] != g->error_set)
			make_program(g, &g->sets.v[k], &o->progs[o->nprogs++], k, upto, dump);
	if (!g->failed)
		finish_object(g);
}

/* Out of memory in the arena comes back here. */
static bool generate_guarded(struct gen *g, char upto, struct dt_str *dump)
{
	jmp_buf oom;

	if (setjmp(oom)) {
		g->arena->oom = NULL;
		dt_fail(g->err, EDT_NOMEM, "no memory for code generation");
		return false;
	}
	g->arena->oom = &oom;
	generate(g, upto, dump);
	g->arena->oom = NULL;
	return !g->failed;
}

struct dt_object *dt_generate(struct dt_clause *const *clauses, u32 nclauses, struct dt_env *env,
			      const struct dt_genopts *opts, struct dt_error *err, char upto,
			      struct dt_str *dump)
{
	struct dt_object *o = calloc(1, sizeof(*o));
	struct gen g = { .arena = NULL };

	if (!o)
		return dt_fail_null(err, EDT_NOMEM, "no memory for code generation");
	dt_arena_init(&o->arena);
	g.arena = &o->arena;
	g.env = env;
	g.opts = opts;
	g.err = err;
	g.o = o;
	g.clauses = (const struct dt_clause *const *)clauses;
	g.nclauses = nclauses;
	if (generate_guarded(&g, upto, dump))
		return o;
	dt_object_free(o);
	return NULL;
}

void dt_object_free(struct dt_object *o)
{
	if (!o)
		return;
	for (u32 k = 0; k < o->fmts.n; k++)
		dt_fmt_free(o->fmts.v[k]);
	dt_arena_fini(&o->arena);
	free(o);
}
