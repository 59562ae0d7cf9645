/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vars.c - where variables live, and how memory of every kind is read and written.
 *
 *   global      fixed offset in the globals map: plain loads and stores
 *   this        the program's scratch in state
 *   self        one structure of all self-> scalars per thread, in task storage: one look-up per clause,
 *               freed by the kernel when the thread ends
 *   x[...]      a hash map per array; self->x[...] has the thread in its key, and so have self-> variables too
 *               large for task storage
 *
 * An absent element reads as zero.  Kernel and user memory is read by helpers, whose failure is a fault; typed
 * kernel pointers that the verifier follows (ADDR_BTF) are read by plain loads.
 */
#include "codegen/gen.h"

#define SELF_KEY_PREFIX 16 /* u64 task address, u64 thread id */

static u32 var_size(const struct gen *g, const struct dt_type *t)
{
	u32 size = g_type_size(g, t);

	return DT_ROUNDUP(size ? size : 8, 8);
}

static u32 assoc_key_size(const struct gen *g, const struct dt_var *v)
{
	u32 size = v->scope == DT_SELF ? SELF_KEY_PREFIX : 0;

	for (u32 k = 0; k < v->nkeys; k++)
		size += var_size(g, v->keys[k]);
	return size;
}

static u32 power_of_2(u32 n)
{
	u32 p = 8;

	while (p < n)
		p *= 2;
	return p;
}

static void add_assoc_map(struct gen *g, struct dt_var *v, u32 index)
{
	struct dt_mapspec m = {
		.role = DT_MAP_ASSOC,
		.type = BPF_MAP_TYPE_HASH,
		.key_size = v->keysize,
		.value_size = v->size,
		.flags = BPF_F_NO_PREALLOC,
		.index = index,
	};
	u64 entries = g->opts->dynvarsize / (m.key_size + m.value_size);

	m.max_entries = (u32)DT_MIN(DT_MAX(entries, 1), UINT32_C(1) << 24);
	snprintf(m.name, sizeof(m.name), "dt_assoc%u", index % 1000000);
	v->map = (int)g_add_map(g, &m);
}

/* A program may use 64 maps: many arrays share a map for each size of key and value, and begin their keys with
 * their number. */
static void share_assoc_map(struct gen *g, struct dt_var *v, u32 index)
{
	v->keysize = power_of_2(v->keysize + 8);
	v->size = power_of_2(v->size);
	v->off = index + 1;
	for (u32 k = 0; k < g->maps.n; k++) {
		const struct dt_mapspec *m = &g->maps.v[k];

		if (m->role != DT_MAP_ASSOC || m->key_size != v->keysize || m->value_size != v->size)
			continue;
		v->map = (int)k;
		return;
	}
	add_assoc_map(g, v, index);
}

#define ASSOC_OWN_MAP 16 /* arrays: when there are more, they share */

static void layout_assoc(struct gen *g, struct dt_var *v, u32 index, u32 narrays)
{
	v->keysize = assoc_key_size(g, v);
	v->size = var_size(g, v->type);
	v->off = 0;
	if (narrays > ASSOC_OWN_MAP)
		share_assoc_map(g, v, index);
	else
		add_assoc_map(g, v, index);
}

static void layout_scalar(struct gen *g, struct dt_var *v)
{
	u32 *top = v->scope == DT_GLOBAL ? &g->globals_top :
		   v->scope == DT_SELF   ? &g->self_size :
					   &g->this_size;

	v->size = var_size(g, v->type);
	v->keysize = 0;
	v->off = *top;
	*top += v->size;
}

#define SELF_MAX \
	(60u << 10) /* bytes of task storage: the kernel's limit is a little below 64 KiB */

void g_layout_vars(struct gen *g)
{
	struct dt_symtab *st = g->env->syms;
	u32 narrays = 0;

	for (u32 k = 0; k < st->vars.n; k++)
		narrays += st->vars.v[k]->assoc && st->vars.v[k]->type;
	for (u32 k = 0; k < st->vars.n; k++) {
		struct dt_var *v = st->vars.v[k];

		if (!v->type)
			continue;
		if (v->assoc ||
		    (v->scope == DT_SELF && g->self_size + var_size(g, v->type) > SELF_MAX))
			layout_assoc(g, v, k, narrays);
		else
			layout_scalar(g, v);
	}
	for (u32 k = 0; k < st->thisvars.n; k++)
		if (st->thisvars.v[k]->type)
			layout_scalar(g, st->thisvars.v[k]);
	if (g->self_size)
		g->map_self =
			(int)g_add_map(g, &(struct dt_mapspec){ .name = "dt_self",
								.role = DT_MAP_SELF,
								.type = BPF_MAP_TYPE_TASK_STORAGE,
								.key_size = 4,
								.value_size = g->self_size,
								.flags = BPF_F_NO_PREALLOC,
								.needs_btf = true });
}

/* ---- what a clause needs before it runs ------------------------------------------------------------- */

/* In a hash: an element of an array, or a thread's variable that is too large for task storage. */
static bool is_hashed(const struct dt_node *n)
{
	return (n->op == N_VAR || n->op == N_ASSOC) && n->var->keysize;
}

static bool is_self(const struct dt_node *n)
{
	return n->op == N_VAR && n->var->scope == DT_SELF && !is_hashed(n);
}

static const struct dt_node *lvalue_root(const struct dt_node *n)
{
	while (n->op == N_MEMBER || n->op == N_INDEX)
		n = n->l;
	return n;
}

static bool is_self_store(const struct dt_node *n)
{
	switch (n->op) {
	case N_ASSIGN:
	case N_OPASSIGN:
	case N_PREINC:
	case N_PREDEC:
	case N_POSTINC:
	case N_POSTDEC: return is_self(lvalue_root(n->l));
	default: return false;
	}
}

static bool is_timestamp(const struct dt_node *n)
{
	return n->op == N_BUILTIN &&
	       (n->builtin->id == DT_B_TIMESTAMP || n->builtin->id == DT_B_WALLTIMESTAMP);
}

static vreg self_get(struct gen *g, bool create)
{
	vreg task = g_thread_btf(g);

	return e_call(g, BPF_FUNC_task_storage_get, a_map(g->map_self), a_reg(task), a_imm(0),
		      a_imm(create ? BPF_LOCAL_STORAGE_GET_F_CREATE : 0));
}

static void make_self(struct gen *g, bool pred)
{
	if (pred) {
		if (node_uses(g->clause->pred, is_self))
			g->selfp = self_get(g, false);
		return;
	}
	bool create = stmts_use(g->clause->stmts, is_self_store);

	if (!g->selfp) {
		if (stmts_use(g->clause->stmts, is_self))
			g->selfp = self_get(g, create);
	} else if (create) {
		u32 have = ir_label(g->f);
		vreg p = e_mov(g, g->selfp);

		e_jcci(g, BPF_JNE, p, 0, have);
		e_set(g, p, self_get(g, true));
		e_label(g, have);
		g->selfp = p;
	}
}

static bool uses(struct gen *g, bool pred, bool (*test)(const struct dt_node *))
{
	return pred ? node_uses(g->clause->pred, test) : stmts_use(g->clause->stmts, test);
}

void g_clause_vars(struct gen *g, bool pred)
{
	if (!g->ts && (uses(g, pred, is_timestamp) ||
		       (!pred && g->opts->temporal &&
			(!g->clause->stmts || g_stmts_record(g->clause->stmts) ||
			 g_commits(g->clause->stmts)))))
		g->ts = e_call0(g, BPF_FUNC_ktime_get_ns);
	make_self(g, pred);
}

/* ---- addresses ---------------------------------------------------------------------------------------- */

static struct addr safe(struct mem m, u64 bound)
{
	return (struct addr){ .kind = ADDR_SAFE, .m = m, .bound = bound };
}

/* p when it is not null, else a stretch of zeros. */
static struct mem or_zeros(struct gen *g, struct mem m, u32 size)
{
	u32 null = ir_label(g->f);
	struct mem z = g_zeros(g, size);
	vreg p = e_mov(g, z.p);

	e_jcci(g, BPF_JEQ, m.p, 0, null);
	e_set(g, p, e_addr(g, m));
	e_label(g, null);
	return (struct mem){ p, 0 };
}

/* To be written: p when it is not null, else scratch, and what is written there is a drop. */
static struct mem or_scratch(struct gen *g, struct mem m, u32 size)
{
	u32 null = ir_label(g->f), end = ir_label(g->f);
	vreg p = ir_reg(g->f);

	e_jcci(g, BPF_JEQ, m.p, 0, null);
	e_set(g, p, e_addr(g, m));
	e_jmp(g, end);
	e_label(g, null);
	g_drop(g, DT_ST_DYNDROPS);
	struct mem t = g_tmp(g, size);

	e_zero(g, t, size);
	e_set(g, p, e_addr(g, t));
	e_label(g, end);
	return (struct mem){ p, 0 };
}

static void store_key(struct gen *g, const struct dt_node *n, const struct dt_type *t, struct mem at)
{
	u32 size = var_size(g, t);

	if (dt_type_is_string(t)) {
		e_zero(g, at, size);
		g_str_into(g, n, at, size);
	} else if (dt_type_is_scalar(t)) {
		e_st(g, at, 8, g_expr(g, n));
	} else {
		e_zero(g, at, size);
		g_copy(g, at, g_addr(g, n), g_type_size(g, t), n->loc);
	}
}

/* The key of x[...] in scratch. Keys are evaluated before they are stored, so that x[x[1]] works. */
static struct mem assoc_key(struct gen *g, const struct dt_node *n)
{
	const struct dt_var *v = n->var;
	struct mem key = g_tmp(g, v->keysize), at = key;
	bool writing = g->writing;

	g->writing = false;
	if (v->off) {
		e_sti(g, at, 8, v->off);
		at = mem_add(at, 8);
	}
	if (v->scope == DT_SELF) {
		e_st(g, at, 8, g_thread(g));
		e_st(g, mem_add(at, 8), 8, g_thread_id(g));
		at = mem_add(at, SELF_KEY_PREFIX);
	}
	for (u32 k = 0; k < v->nkeys; k++) {
		store_key(g, n->args[k], v->keys[k], at);
		at = mem_add(at, var_size(g, v->keys[k]));
	}
	e_zero(g, at, v->keysize - (u32)(at.off - key.off));
	g->writing = writing;
	return key;
}

static vreg assoc_find(struct gen *g, const struct dt_node *n, struct mem key)
{
	return e_call(g, BPF_FUNC_map_lookup_elem, a_map(n->var->map), a_mem(key));
}

static struct addr assoc_addr(struct gen *g, const struct dt_node *n)
{
	u32 size = n->var->size, have = ir_label(g->f);
	struct mem key = assoc_key(g, n);
	vreg p = e_mov(g, assoc_find(g, n, key));

	if (!g->writing)
		return safe(or_zeros(g, (struct mem){ p, 0 }, size), size);
	e_jcci(g, BPF_JNE, p, 0, have);
	e_call(g, BPF_FUNC_map_update_elem, a_map(n->var->map), a_mem(key), a_mem(g_zeros(g, size)),
	       a_imm(BPF_NOEXIST));
	e_set(g, p, assoc_find(g, n, key));
	e_label(g, have);
	return safe(or_scratch(g, (struct mem){ p, 0 }, size), size);
}

static struct addr var_addr(struct gen *g, const struct dt_node *n)
{
	const struct dt_var *v = n->var;
	struct mem m = { g->selfp, v->off };

	if (is_hashed(n))
		return assoc_addr(g, n);
	switch (v->scope) {
	case DT_GLOBAL: return safe(g_globals_mem(g, v->off), v->size);
	case DT_THIS: return safe(g_state_mem(g, g->scratch_base + v->off), v->size);
	case DT_SELF: break;
	}
	return safe(g->writing ? or_scratch(g, m, v->size) : or_zeros(g, m, v->size), v->size);
}

static void check_null(struct gen *g, struct addr *a, struct dt_loc loc)
{
	if (a->kind != ADDR_BTF || !a->maybe_null)
		return;
	g_fault_unless(g, BPF_JNE, a->m.p, 0, DTRACEFLT_BADADDR, 0, loc);
	a->maybe_null = false;
}

static struct addr addr_add(struct addr a, u64 off)
{
	a.m = mem_add(a.m, (s64)off);
	a.bound = a.bound > off ? a.bound - off : 0;
	return a;
}

/* l[r]: within D memory the index is checked, elsewhere the address is computed and the read will tell. */
static struct addr index_addr(struct gen *g, const struct dt_node *n)
{
	bool array = dt_type_is_array(n->l->type), index_first = g_right_first(n->l, n->r);
	vreg i = index_first ? g_expr(g, n->r) : 0;
	struct addr a = array ? g_addr(g, n->l) : g_ptr(g, n->l);
	u64 size = g_type_size(g, n->type);

	if (n->r->op == N_INT && (s64)n->r->val >= 0 &&
	    (a.kind != ADDR_SAFE || (size && n->r->val < a.bound / size)))
		return addr_add(a, n->r->val * size);
	i = e_bounded(g, index_first ? i : g_expr(g, n->r));

	if (a.kind == ADDR_SAFE) {
		u64 count = size ? a.bound / size : 0;

		g_fault_unless(g, BPF_JLT, i, (s64)DT_MAX(count, 1), DTRACEFLT_BADINDEX, i, n->loc);
		vreg off = e_alui(g, IR_MUL, i, (s64)size);

		a.m = (struct mem){ e_alu(g, IR_ADD, e_addr(g, a.m), off), 0 };
		a.bound = size;
		return a;
	}
	vreg base = e_addr(g, a.m);

	if (a.kind == ADDR_BTF) {
		base = e_launder(g, base);
		a.kind = ADDR_KERN;
	}
	a.m = (struct mem){ e_alu(g, IR_ADD, base, e_alui(g, IR_MUL, i, (s64)size)), 0 };
	return a;
}

struct addr g_addr(struct gen *g, const struct dt_node *n)
{
	switch (n->op) {
	case N_VAR: return var_addr(g, n);
	case N_ASSOC: return assoc_addr(g, n);
	case N_DEREF: return g_ptr(g, n->l);
	case N_MEMBER: {
		struct addr a = g_addr(g, n->l);

		check_null(g, &a, n->loc);
		return addr_add(a, n->bit_off / 8);
	}
	case N_INDEX: return index_addr(g, n);
	case N_KSYM: return (struct addr){ .kind = ADDR_KERN, .m = { e_movi(g, (s64)n->val), 0 } };
	case N_ASSIGN: g_assign(g, n); return g_addr(g, n->l);
	case N_COMMA: g_effect(g, n->l); return g_addr(g, n->r);
	case N_CAST: return g_addr(g, n->l);
	case N_COND: {
		struct mem t = g_tmp(g, g_type_size(g, n->type));
		u32 yes = ir_label(g->f), no = ir_label(g->f), end = ir_label(g->f);

		g_cond(g, n->l, yes, no, true);
		e_label(g, yes);
		g_copy(g, t, g_addr(g, n->r), g_type_size(g, n->type), n->loc);
		e_jmp(g, end);
		e_label(g, no);
		g_copy(g, t, g_addr(g, n->c), g_type_size(g, n->type), n->loc);
		e_label(g, end);
		return safe(t, g_type_size(g, n->type));
	}
	default:
		g_fail(g, &n->loc, "this expression has no address");
		return safe((struct mem){ e_movi(g, 0), 0 }, 0);
	}
}

static bool pointee_is_struct(const struct dt_type *t)
{
	t = dt_type_resolve((struct dt_type *)t);
	return t->kind == DT_POINTER && t->ref && dt_type_is_sou(dt_type_resolve(t->ref));
}

/* Only plain members of structures: in unions the verifier may see another type than we do. */
static bool is_plain_path(const struct dt_node *n)
{
	for (; n->op == N_MEMBER; n = n->l)
		if (dt_type_resolve(n->l->type)->kind != DT_STRUCT || n->bit_size)
			return false;
	return n->op == N_DEREF;
}

static struct addr member_ptr(struct gen *g, const struct dt_node *n)
{
	struct addr a = g_addr(g, n);

	if (a.kind == ADDR_BTF) {
		check_null(g, &a, n->loc);
		return (struct addr){ .kind = ADDR_BTF,
				      .m = { e_ld(g, a.m, 8), 0 },
				      .maybe_null = true };
	}
	return (struct addr){ .kind = ADDR_KERN, .m = { g_load(g, a, n->type, n->loc), 0 } };
}

static bool is_userland(const struct dt_type *t)
{
	t = dt_type_resolve((struct dt_type *)t);
	return t->kind == DT_POINTER && t->ref && t->ref->is_userland;
}

struct addr g_ptr(struct gen *g, const struct dt_node *n)
{
	bool direct = g->opts->has_task_btf && !g->opts->no_direct;

	if (n->op == N_BUILTIN && n->builtin->id == DT_B_CURTHREAD && direct)
		return (struct addr){ .kind = ADDR_BTF, .m = { g_current_task_btf(g), 0 } };
	if (n->op == N_ARG && direct && g_arg_is_typed(g, (u32)n->val) &&
	    pointee_is_struct(n->type) && !is_userland(n->type))
		return (struct addr){ .kind = ADDR_BTF,
				      .m = { g_typed_arg(g, (u32)n->val), 0 },
				      .maybe_null = true };
	if (n->op == N_CALL && n->subr && (n->subr->id == DT_S_COPYIN || n->subr->id == DT_S_ALLOCA))
		return g_subr_ptr(g, n);
	if (n->op == N_ADDROF)
		return g_addr(g, n->l);
	if (n->op == N_CAST && dt_type_is_pointer(n->l->type)) {
		struct addr a = g_ptr(g, n->l);

		if (a.kind == ADDR_BTF && !dt_type_same(n->type, n->l->type))
			a.kind = ADDR_KERN;
		if (a.kind == ADDR_KERN && is_userland(n->type))
			a.kind = ADDR_USER;
		return a;
	}
	if (dt_type_is_array(n->type))
		return g_addr(g, n);
	if (n->op == N_MEMBER && direct && pointee_is_struct(n->type) && is_plain_path(n))
		return member_ptr(g, n);
	return (struct addr){ .kind = is_userland(n->type) ? ADDR_USER : ADDR_KERN,
			      .m = { g_expr(g, n), 0 } };
}

/* ---- loads ---------------------------------------------------------------------------------------------- */

void g_copy(struct gen *g, struct mem dst, struct addr a, u32 size, struct dt_loc loc)
{
	check_null(g, &a, loc);
	if (a.kind == ADDR_SAFE && size <= 64) {
		u32 at = 0;

		for (u32 w = 8; w; w /= 2)
			for (; at + w <= size; at += w)
				e_st(g, mem_add(dst, at), w, e_ld(g, mem_add(a.m, at), w));
		return;
	}
	vreg src = e_addr(g, a.m);

	if (a.kind == ADDR_USER) {
		g_read_user(g, dst, a_imm(size), src, loc);
		return;
	}
	vreg rc = e_call(g, BPF_FUNC_probe_read_kernel, a_mem(dst), a_imm(size), a_reg(src));

	if (a.kind != ADDR_SAFE)
		g_fault_unless(g, BPF_JEQ, rc, 0, DTRACEFLT_BADADDR, src, loc);
}

vreg g_load(struct gen *g, struct addr a, const struct dt_type *t, struct dt_loc loc)
{
	u32 size = g_type_size(g, t);

	if (!size || size > 8 || (size & (size - 1))) {
		g_fail(g, &loc, "a value of %u bytes cannot be used as a number", size);
		return e_movi(g, 0);
	}
	check_null(g, &a, loc);
	vreg v;

	if (a.kind == ADDR_SAFE || a.kind == ADDR_BTF) {
		v = e_ld(g, a.m, size);
	} else {
		s32 slot = ir_slot(g->f, 8);

		g_copy(g, mem_fp(slot), a, size, loc);
		v = e_ld(g, mem_fp(slot), size);
	}
	return dt_type_is_signed(t) && size < 8 ? g_norm(g, v, size, true) : v;
}

/* The storage unit that holds a bit-field: its byte offset, size and the field's shift in it. */
static void bit_unit(const struct dt_node *n, u64 *byte, u32 *size, u32 *shift)
{
	*size = (u32)dt_type_size(n->type);
	if (*size == 0 || *size > 8)
		*size = 8;
	*byte = n->bit_off / (*size * 8) * *size;
	*shift = (u32)(n->bit_off - *byte * 8);
	if (*shift + n->bit_size > *size * 8) { /* packed across units */
		*byte = n->bit_off / 8;
		*shift = n->bit_off % 8;
		*size = 8;
	}
}

static vreg take_bits(struct gen *g, const struct dt_node *n, vreg v, u32 shift)
{
	v = e_alui(g, IR_SHL, v, 64 - shift - n->bit_size);
	return e_alui(g, dt_type_is_signed(n->type) ? IR_SAR : IR_SHR, v, 64 - n->bit_size);
}

static vreg load_bits(struct gen *g, const struct dt_node *n)
{
	u64 byte;
	u32 size, shift;

	bit_unit(n, &byte, &size, &shift);
	struct addr a = g_addr(g, n->l);

	check_null(g, &a, n->loc);
	if (a.kind == ADDR_BTF) /* the verifier does not know bit-fields by our units */
		a.kind = ADDR_KERN;
	vreg v = g_load(g, addr_add(a, byte), dt_type_int(g->env->types, size, false), n->loc);

	return take_bits(g, n, v, shift);
}

static vreg self_load(struct gen *g, const struct dt_node *n)
{
	u32 null = ir_label(g->f);
	vreg d = e_movi(g, 0);

	if (!g->selfp)
		return d;
	e_jcci(g, BPF_JEQ, g->selfp, 0, null);
	e_set(g, d,
	      g_load(g, safe((struct mem){ g->selfp, n->var->off }, n->var->size), n->type, n->loc));
	e_label(g, null);
	return d;
}

static vreg assoc_load(struct gen *g, const struct dt_node *n)
{
	vreg p = assoc_find(g, n, assoc_key(g, n)), d = e_movi(g, 0);
	u32 null = ir_label(g->f);

	e_jcci(g, BPF_JEQ, p, 0, null);
	e_set(g, d, g_load(g, safe((struct mem){ p, 0 }, n->var->size), n->type, n->loc));
	e_label(g, null);
	return d;
}

vreg g_var_load(struct gen *g, const struct dt_node *n)
{
	if (is_hashed(n))
		return assoc_load(g, n);
	if (n->op == N_MEMBER && n->bit_size)
		return load_bits(g, n);
	if (is_self(n))
		return self_load(g, n);
	struct addr a = g_addr(g, n);
	vreg v = g_load(g, a, n->type, n->loc);

	/* a structure pointer read by a plain load is still a pointer to the verifier */
	if (a.kind == ADDR_BTF && dt_type_is_pointer(n->type))
		v = e_launder(g, v);
	return v;
}

/* ---- stores --------------------------------------------------------------------------------------------- */

enum lv_kind { LV_MEM, LV_SELF, LV_ASSOC };
struct lval {
	enum lv_kind kind;
	struct mem m; /* LV_SELF, LV_ASSOC: m.p may be null */
	struct mem key;
	const struct dt_node *n;
};

/* Memory that a D program may write through a pointer is its own scratch: find it again from the number.  Pointers
 * into it were made further up in the program. */
static struct mem find_scratch(struct gen *g, vreg addr, u32 size, vreg dyn, struct dt_loc loc)
{
	struct mem base = g_state_mem(g, g->scratch_base);
	u32 extent = g->this_size, most = dyn ? 0 : size;

	if (g->keep_max > g->scratch_base + extent)
		extent = g->keep_max - g->scratch_base;
	if (most > extent) { /* there is none */
		g_fault_unless(g, BPF_JNE, e_movi(g, 0), 0, DTRACEFLT_BADADDR, addr, loc);
		return base;
	}
	vreg off = e_bounded(g, e_alu(g, IR_SUB, addr, e_launder(g, e_addr(g, base))));

	g_fault_unless(g, BPF_JLE, off, extent - most, DTRACEFLT_BADADDR, addr, loc);
	if (dyn)
		g_fault_unless(g, BPF_JLE, e_alu(g, IR_ADD, off, dyn), extent, DTRACEFLT_BADADDR,
			       addr, loc);
	/* the verifier does not see that off and dyn together stay within */
	g->scratch_max = DT_MAX(g->scratch_max, g->scratch_base + extent + size);
	return (struct mem){ e_alu(g, IR_ADD, e_addr(g, base), off), 0 };
}

struct mem g_writable(struct gen *g, struct addr a, u32 size, vreg dyn, struct dt_loc loc)
{
	if (a.kind == ADDR_SAFE && dyn)
		g_fault_unless(g, BPF_JLE, dyn, (s64)a.bound, DTRACEFLT_BADADDR, 0, loc);
	if (a.kind == ADDR_SAFE && !dyn && size > a.bound)
		g_fail(g, &loc, "this memory has no room for %u bytes", size);
	if (a.kind == ADDR_SAFE)
		return a.m;
	if (a.kind == ADDR_USER || a.kind == ADDR_BTF) {
		g_fail(g, &loc, "this memory cannot be written");
		return a.m;
	}
	return find_scratch(g, e_addr(g, a.m), size, dyn, loc);
}

/* Where the lvalue n, at a, is written. */
static struct mem writable(struct gen *g, struct addr a, u32 size, struct dt_loc loc)
{
	return a.kind == ADDR_SAFE ? a.m : g_writable(g, a, size, 0, loc);
}

/* size bytes to write at off of an lvalue in memory. */
static struct mem target(struct gen *g, const struct dt_node *n, u64 off, u32 size)
{
	bool writing = g->writing;
	struct addr a;

	g->writing = true; /* of absent elements the address is not that of zeros */
	a = addr_add(g_addr(g, n), off);
	g->writing = writing;
	return writable(g, a, size, n->loc);
}

static void lv_resolve(struct gen *g, const struct dt_node *n, struct lval *lv)
{
	lv->n = n;
	lv->kind = LV_MEM;
	if (is_self(n)) {
		lv->kind = LV_SELF;
		lv->m = (struct mem){ g->selfp, n->var->off };
	} else if (is_hashed(n)) {
		lv->kind = LV_ASSOC;
		lv->key = assoc_key(g, n);
		lv->m = (struct mem){ assoc_find(g, n, lv->key), 0 };
	} else {
		lv->m = target(g, n, 0, DT_MAX(g_type_size(g, n->type), 1));
	}
}

/* A value that is not in the map yet goes in from scratch; a full map is a drop. */
static void assoc_insert(struct gen *g, struct lval *lv, vreg v, u32 size)
{
	u32 ok = ir_label(g->f);
	struct mem t = g_tmp(g, lv->n->var->size);

	e_sti(g, t, 8, 0);
	e_st(g, t, size, v);
	vreg rc = e_call(g, BPF_FUNC_map_update_elem, a_map(lv->n->var->map), a_mem(lv->key),
			 a_mem(t), a_imm(BPF_ANY));

	e_jcci(g, BPF_JEQ, rc, 0, ok);
	g_drop(g, DT_ST_DYNDROPS);
	e_label(g, ok);
}

static void lv_store(struct gen *g, struct lval *lv, vreg v)
{
	u32 size = g_type_size(g, lv->n->type), absent = ir_label(g->f), done = ir_label(g->f);

	if (lv->kind == LV_MEM) {
		e_st(g, lv->m, size, v);
		return;
	}
	if (!lv->m.p)
		return;
	e_jcci(g, BPF_JEQ, lv->m.p, 0, absent);
	e_st(g, lv->m, size, v);
	e_jmp(g, done);
	e_label(g, absent);
	if (lv->kind == LV_ASSOC)
		assoc_insert(g, lv, v, size);
	else
		g_drop(g, DT_ST_DYNDROPS);
	e_label(g, done);
}

/* A bit-field to be written: its storage unit. */
struct field {
	const struct dt_node *n;
	struct mem m;
	u32 size, shift;
};

static struct field field_of(struct gen *g, const struct dt_node *n)
{
	struct field f = { .n = n };
	u64 byte;

	bit_unit(n, &byte, &f.size, &f.shift);
	f.m = target(g, n->l, byte, f.size);
	return f;
}

/* What the field then holds. */
static vreg store_bits(struct gen *g, const struct field *f, vreg v)
{
	u32 bits = f->n->bit_size;
	u64 ones = bits == 64 ? ~UINT64_C(0) : (UINT64_C(1) << bits) - 1;
	vreg rest = e_alu(g, IR_AND, e_ld(g, f->m, f->size), e_movi(g, (s64) ~(ones << f->shift)));
	vreg mine = e_alui(g, IR_SHL, e_alu(g, IR_AND, v, e_movi(g, (s64)ones)), f->shift);

	e_st(g, f->m, f->size, e_alu(g, IR_OR, rest, mine));
	return take_bits(g, f->n, v, 0);
}

vreg g_store(struct gen *g, const struct dt_node *n, vreg v)
{
	struct lval lv;

	if (n->op == N_MEMBER && n->bit_size) {
		struct field f = field_of(g, n);

		return store_bits(g, &f, v);
	}
	lv_resolve(g, n, &lv);
	lv_store(g, &lv, v);
	return v;
}

vreg g_modify(struct gen *g, const struct dt_node *n,
	      vreg (*fn)(struct gen *g, vreg old, const void *arg), const void *arg, bool want_old)
{
	struct lval lv;
	vreg old, new;

	if (n->op == N_MEMBER && n->bit_size) {
		struct field f = field_of(g, n);

		old = take_bits(g, n, e_ld(g, f.m, f.size), f.shift);
		new = store_bits(g, &f, fn(g, old, arg));
		return want_old ? old : new;
	}
	lv_resolve(g, n, &lv);
	if (lv.kind == LV_MEM) {
		old = g_load(g, safe(lv.m, 8), n->type, n->loc);
	} else {
		u32 null = ir_label(g->f);

		old = e_movi(g, 0);
		e_jcci(g, BPF_JEQ, lv.m.p, 0, null);
		e_set(g, old, g_load(g, safe(lv.m, 8), n->type, n->loc));
		e_label(g, null);
	}
	new = fn(g, old, arg);
	lv_store(g, &lv, new);
	return want_old ? old : new;
}

static bool is_zero(const struct dt_node *n)
{
	while (n->op == N_CAST)
		n = n->l;
	return n->op == N_INT && n->val == 0;
}

/* Strings and structures: built in place where nothing of the right side can be overwritten, else copied. */
static void fill(struct gen *g, const struct dt_node *r, struct mem dst, const struct dt_type *t)
{
	u32 size = g_type_size(g, t);

	if (dt_type_is_string(t)) {
		if (r->op == N_CALL && r->subr && r->subr->id != DT_S_COPYINSTR) {
			struct sval s = g_str(g, r);

			e_call(g, BPF_FUNC_probe_read_kernel_str, a_mem(dst),
			       a_imm(DT_MIN(size, s.bound)), a_mem(s.m));
		} else {
			g_str_into(g, r, dst, size);
		}
	} else {
		g_copy(g, dst, g_addr(g, r), size, r->loc);
	}
}

static void assign_big(struct gen *g, const struct dt_node *l, const struct dt_node *r)
{
	const struct dt_type *t = l->type;

	if (is_hashed(l)) {
		struct mem v = g_tmp(g, l->var->size);
		u32 ok = ir_label(g->f);

		e_zero(g, v, l->var->size);
		fill(g, r, v, t);
		struct mem key = assoc_key(g, l);
		vreg rc = e_call(g, BPF_FUNC_map_update_elem, a_map(l->var->map), a_mem(key),
				 a_mem(v), a_imm(BPF_ANY));

		e_jcci(g, BPF_JEQ, rc, 0, ok);
		g_drop(g, DT_ST_DYNDROPS);
		e_label(g, ok);
	} else if (is_self(l)) {
		u32 absent = ir_label(g->f), done = ir_label(g->f);

		e_jcci(g, BPF_JEQ, g->selfp, 0, absent);
		fill(g, r, (struct mem){ g->selfp, l->var->off }, t);
		e_jmp(g, done);
		e_label(g, absent);
		g_drop(g, DT_ST_DYNDROPS);
		e_label(g, done);
	} else {
		fill(g, r, target(g, l, 0, DT_MAX(g_type_size(g, t), 1)), t);
	}
}

/* x[...] = 0 and self->s = 0 free the element. */
static bool assign_zero(struct gen *g, const struct dt_node *l)
{
	if (is_hashed(l)) {
		struct mem key = assoc_key(g, l);

		e_call(g, BPF_FUNC_map_delete_elem, a_map(l->var->map), a_mem(key));
		return true;
	}
	if (dt_type_is_scalar(l->type))
		return false;
	if (is_self(l)) {
		u32 absent = ir_label(g->f);

		e_jcci(g, BPF_JEQ, g->selfp, 0, absent);
		e_zero(g, (struct mem){ g->selfp, l->var->off }, l->var->size);
		e_label(g, absent);
	} else {
		u32 size = g_type_size(g, l->type);

		e_zero(g, target(g, l, 0, DT_MAX(size, 1)), size);
	}
	return true;
}

void g_assign(struct gen *g, const struct dt_node *n)
{
	if (is_zero(n->r) && assign_zero(g, n->l))
		return;
	if (dt_type_is_scalar(n->l->type))
		g_store(g, n->l, g_expr(g, n->r));
	else
		assign_big(g, n->l, n->r);
}
