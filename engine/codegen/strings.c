/* SPDX-License-Identifier: Apache-2.0 */
/*
 * strings.c - string expressions.
 *
 * A string is a place in memory that the verifier knows plus the number of bytes that may be read there.
 * Constants, variables and built-ins are used where they are; what is computed goes to scratch or straight to
 * its destination (a record, a key).  Copying is the kernel's probe_read_*_str, which also measures.
 */
#include <string.h>

#include "codegen/gen.h"
#include "codegen/rt.h"

static u32 cap(const struct gen *g, u32 n)
{
	return n && n < g->strsize ? n : g->strsize;
}

/* Places for strings come in few sizes, so that there are few loops over them (rt.c) in a program. */
static u32 padded(const struct gen *g, u32 bound)
{
	u32 n = 16;

	while (n < bound)
		n *= 2;
	return cap(g, n);
}

/* ---- names of the firing probe ---------------------------------------------------------------------- */

static const char *probe_text(const struct dt_probe *p, int id)
{
	switch (id) {
	case DT_B_PROBEPROV: return p->provider;
	case DT_B_PROBEMOD: return p->mod;
	case DT_B_PROBEFUNC: return p->func;
	default: return p->name;
	}
}

static bool is_probe_text(const struct dt_node *n)
{
	return n->op == N_BUILTIN && (n->builtin->flags & DT_BF_PROBE);
}

/* Longest text over the clause's probes, and whether all are the same. */
static u32 probe_text_bound(const struct gen *g, int id, const char **only)
{
	u32 longest = 1;

	if (g->ac->late) {
		*only = NULL;
		return id == DT_B_PROBEFUNC ? DTRACE_FUNCNAMELEN : DTRACE_NAMELEN;
	}
	*only = g->ac->probes.n ? probe_text(g->ac->probes.v[0], id) : "";
	for (u32 k = 0; k < g->ac->probes.n; k++) {
		const char *s = probe_text(g->ac->probes.v[k], id);

		longest = DT_MAX(longest, (u32)strlen(s) + 1);
		if (*only && strcmp(s, *only) != 0)
			*only = NULL;
	}
	return longest;
}

static struct sval literal(struct gen *g, const char *s, u32 len)
{
	if (len > g->strsize - 1)
		len = g->strsize - 1;
	u32 bound = padded(g, len + 1);
	char *copy = dt_arena_alloc(g->arena, bound);

	memcpy(copy, s, len);
	return (struct sval){ g_rodata_mem(g, g_rodata(g, copy, bound, 8)), bound, copy, len };
}

/* From a table that the consumer fills as probes come. */
static struct sval late_string(struct gen *g, int id, u32 bound)
{
	struct dt_userset *u = g->set->user;
	struct dt_usertext *t = NULL;

	for (u32 k = 0; k < u->texts.n && !t; k++)
		if (u->texts.v[k].id == id)
			t = &u->texts.v[k];
	if (!t) {
		t = dt_vec_push(g->arena, &u->texts);
		*t = (struct dt_usertext){ .off = DT_ROUNDUP(g->globals_top, 8),
					   .row = DT_MAX(DTRACE_FUNCNAMELEN, DTRACE_NAMELEN),
					   .id = id };
		g->globals_top = t->off + t->row * u->nkeys;
	}
	struct mem m = g_globals_mem(g, t->off);
	vreg p = e_alu(g, IR_ADD, m.p, e_alui(g, IR_MUL, g_key_index(g), t->row));

	return (struct sval){ .m = { p, 0 }, .bound = DT_MIN(DT_ROUNDUP(bound, 8), t->row) };
}

static struct sval probe_string(struct gen *g, const struct dt_node *n)
{
	const char *only;
	u32 bound = probe_text_bound(g, n->builtin->id, &only);

	if (only)
		return literal(g, only, (u32)strlen(only));
	if (g->set->user)
		return late_string(g, n->builtin->id, bound);
	u32 row = DT_ROUNDUP(bound, 8), size = row * g_table_rows(g->set);
	u8 *table = dt_arena_alloc(g->arena, size);

	for (u32 k = 0; k < g->set->probes.n; k++) {
		const struct dt_probe *p = g->set->probes.v[k];
		const char *s = probe_text(p, n->builtin->id);

		if (strlen(s) < row)
			memcpy(table + (size_t)g_probe_key(g, g->set, p) * row, s, strlen(s) + 1);
	}
	struct mem m = g_rodata_mem(g, g_rodata(g, table, size, 8));
	vreg p = e_alu(g, IR_ADD, m.p, e_alui(g, IR_MUL, g_key_index(g), row));

	return (struct sval){ .m = { p, 0 }, .bound = bound };
}

/* ---- sizes ---------------------------------------------------------------------------------------------- */

u32 g_str_bound(struct gen *g, const struct dt_node *n)
{
	const char *only;

	if (n->op == N_STR)
		return cap(g, n->slen + 1);
	if (is_probe_text(n))
		return cap(g, probe_text_bound(g, n->builtin->id, &only));
	if (n->op == N_COND)
		return DT_MAX(g_str_bound(g, n->r), g_str_bound(g, n->c));
	if (n->op == N_CALL && n->subr && n->subr->id == DT_S_STRJOIN)
		return cap(g, g_str_bound(g, n->args[0]) + g_str_bound(g, n->args[1]) - 1);
	if (n->op == N_CALL && n->subr && g_subr_str(n->subr->id) && g_subr_str(n->subr->id)->bound)
		return cap(g, g_subr_str(n->subr->id)->bound(g, n));
	return cap(g, n->strbound);
}

/* ---- producers: each writes at most size bytes, NUL included, to dst ------------------------------------- */

static void copy_str(struct gen *g, struct mem dst, u32 size, struct mem src)
{
	e_call(g, BPF_FUNC_probe_read_kernel_str, a_mem(dst), a_imm(size), a_mem(src));
}

/* Length of a string, and a copy of it at dst. */
vreg g_copy_len(struct gen *g, struct mem dst, u32 size, struct mem src)
{
	vreg n = e_mov(g, e_call(g, BPF_FUNC_probe_read_kernel_str, a_mem(dst), a_imm(size),
				 a_mem(src)));
	u32 ok = ir_label(g->f);

	e_jcci(g, BPF_JSGT, n, 0, ok);
	e_seti(g, n, 1);
	e_label(g, ok);
	return e_alui(g, IR_ADD, n, -1);
}

/* v, but at most max (unsigned), in a form that the verifier understands. */
vreg g_at_most(struct gen *g, vreg v, u32 max)
{
	vreg d = e_bounded(g, v);
	u32 ok = ir_label(g->f);

	e_jcci(g, BPF_JLE, d, max, ok);
	e_seti(g, d, max);
	e_label(g, ok);
	return d;
}

static void into_copyinstr(struct gen *g, const struct dt_node *n, struct mem dst, u32 size)
{
	vreg addr = g_expr(g, n->args[0]);
	struct ir_arg len = a_imm(size);

	/* the limit does not count the NUL */
	if (n->nargs > 1 && n->args[1]->op == N_INT)
		len = a_imm((s64)DT_MIN(n->args[1]->val, size - 1) + 1);
	else if (n->nargs > 1)
		len = a_reg(e_alui(g, IR_ADD, g_at_most(g, g_expr(g, n->args[1]), size - 1), 1));
	g_read_user_text(g, dst, len, addr, n->loc);
}

static void into_cast(struct gen *g, const struct dt_node *n, struct mem dst, u32 size)
{
	const struct dt_node *l = n->l;

	if (dt_type_is_string(l->type)) {
		g_str_into(g, l, dst, size);
		return;
	}
	bool array = dt_type_is_array(l->type);
	struct addr a = array ? g_addr(g, l) : g_ptr(g, l);
	u64 limit = array && dt_type_size(l->type) ? dt_type_size(l->type) : size;

	bool bounded = array;

	if (a.kind == ADDR_SAFE && a.bound) {
		limit = DT_MIN(limit, a.bound);
		bounded = true;
	}
	if (a.kind == ADDR_BTF && a.maybe_null)
		g_fault_unless(g, BPF_JNE, a.m.p, 0, DTRACEFLT_BADADDR, 0, n->loc);
	/* what is full has no NUL: one byte more is asked for, so that the copy ends with one */
	u32 want = (u32)DT_MIN(limit + (bounded ? 1 : 0), size);
	vreg src = e_addr(g, a.m);

	if (a.kind == ADDR_USER) {
		g_read_user_text(g, dst, a_imm(want), src, n->loc);
		return;
	}
	vreg rc = e_call(g, BPF_FUNC_probe_read_kernel_str, a_mem(dst), a_imm(want), a_reg(src));

	g_fault_unless(g, BPF_JSGE, rc, 0, DTRACEFLT_BADADDR, src, n->loc);
}

/* Join in scratch that has room for both whole parts (the verifier adds up maxima), then cut. */
static struct sval join(struct gen *g, const struct dt_node *n)
{
	u32 b1 = g_str_bound(g, n->args[0]), b2 = g_str_bound(g, n->args[1]);
	bool right_first = g_right_first(n->args[0], n->args[1]);
	struct sval s1, s2;

	if (right_first)
		s2 = subr_str_arg(g, n, 1);
	s1 = subr_str_arg(g, n, 0);
	if (!right_first)
		s2 = subr_str_arg(g, n, 1);
	u32 bound = padded(g, cap(g, b1 + b2 - 1));
	struct mem t = g_tmp(g, DT_MAX(b1 + b2, bound));
	vreg len = g_at_most(g, g_copy_len(g, t, b1, s1.m), b1 - 1);
	struct mem rest = { e_alu(g, IR_ADD, e_addr(g, t), len), 0 };

	copy_str(g, rest, b2, s2.m);
	if (b1 + b2 - 1 > g->strsize)
		e_sti(g, mem_add(t, g->strsize - 1), 1, 0);
	return (struct sval){ .m = t, .bound = cap(g, b1 + b2 - 1) };
}

static void into_strjoin(struct gen *g, const struct dt_node *n, struct mem dst, u32 size)
{
	copy_str(g, dst, size, join(g, n).m);
}

/* src[from, from + count) to dst; the numbers may be anything. */
void g_slice(struct gen *g, struct mem dst, u32 size, struct sval src, vreg from, vreg count)
{
	u32 empty = ir_label(g->f), end = ir_label(g->f);

	from = e_bounded(g, from);
	e_jcci(g, BPF_JGE, from, src.bound, empty);
	e_jcci(g, BPF_JSLE, count, 0, empty);
	vreg n = e_alui(g, IR_ADD, g_at_most(g, count, size - 1), 1);
	vreg p = e_alu(g, IR_ADD, e_addr(g, src.m), from);

	e_call(g, BPF_FUNC_probe_read_kernel_str, a_mem(dst), a_reg(n), a_reg(p));
	e_jmp(g, end);
	e_label(g, empty);
	e_sti(g, dst, 1, 0);
	e_label(g, end);
}

void g_put_literal(struct gen *g, struct mem dst, const char *s, u32 len)
{
	for (u32 k = 0; k <= len; k++)
		e_sti(g, mem_add(dst, k), 1, k < len ? s[k] : 0);
}

static void into_cond(struct gen *g, const struct dt_node *n, struct mem dst, u32 size)
{
	u32 yes = ir_label(g->f), no = ir_label(g->f), end = ir_label(g->f);

	g_cond(g, n->l, yes, no, true);
	e_label(g, yes);
	g_str_into(g, n->r, dst, size);
	e_jmp(g, end);
	e_label(g, no);
	g_str_into(g, n->c, dst, size);
	e_label(g, end);
}

static void into_execname(struct gen *g, const struct dt_node *n, struct mem dst, u32 size)
{
	(void)n;
	e_call(g, BPF_FUNC_get_current_comm, a_mem(dst), a_imm(DT_MIN(size, 16)));
}

static into_f *subr_into(const struct dt_node *n)
{
	switch (n->subr->id) {
	case DT_S_COPYINSTR: return into_copyinstr;
	case DT_S_STRJOIN: return into_strjoin;
	case DT_S_PATH:
	case DT_S_ROOTPATH: return g_into_path;
	default: return g_subr_str(n->subr->id) ? g_subr_str(n->subr->id)->into : NULL;
	}
}

static into_f *producer(const struct dt_node *n)
{
	if (n->op == N_CAST)
		return into_cast;
	if (n->op == N_COND)
		return into_cond;
	if (n->op == N_CALL && n->subr)
		return subr_into(n);
	if (n->op == N_BUILTIN &&
	    (n->builtin->id == DT_B_EXECNAME || n->builtin->id == DT_B_THREADNAME))
		return into_execname;
	if (n->op == N_BUILTIN && n->builtin->id == DT_B_EXECARGS)
		return g_into_execargs;
	return NULL;
}

/* ---- the two entry points ---------------------------------------------------------------------------------- */

/* A string in memory: a member, an element, what a pointer points to. */
static struct sval string_at(struct gen *g, const struct dt_node *n)
{
	struct addr a = g_addr(g, n);
	u32 size = cap(g, g_type_size(g, n->type));

	if (a.kind == ADDR_SAFE)
		return (struct sval){ .m = a.m, .bound = size };
	struct mem t = g_tmp(g, padded(g, size));
	vreg src = e_addr(g, a.m);
	vreg rc = e_call(g,
			 a.kind == ADDR_USER ? BPF_FUNC_probe_read_user_str :
					       BPF_FUNC_probe_read_kernel_str,
			 a_mem(t), a_imm(size), a_reg(src));

	g_fault_unless(g, BPF_JSGE, rc, 0, DTRACEFLT_BADADDR, src, n->loc);
	return (struct sval){ .m = t, .bound = size };
}

static struct sval str(struct gen *g, const struct dt_node *n)
{
	into_f *into = producer(n);

	if (g->failed)
		return literal(g, "", 0);
	if (n->op == N_CALL && n->subr && n->subr->id == DT_S_STRJOIN)
		return join(g, n);
	if (into) {
		u32 bound = padded(g, g_str_bound(g, n));
		struct mem t = g_tmp(g, bound);

		into(g, n, t, bound);
		return (struct sval){ .m = t, .bound = bound };
	}
	switch (n->op) {
	case N_STR: return literal(g, n->str, n->slen);
	case N_INT: /* NULL */ return literal(g, "", 0);
	case N_VAR:
	case N_ASSOC: return (struct sval){ .m = g_addr(g, n).m, .bound = g->strsize };
	case N_MEMBER:
	case N_INDEX:
	case N_DEREF: return string_at(g, n);
	case N_ASSIGN: g_assign(g, n); return g_str(g, n->l);
	case N_COMMA: g_effect(g, n->l); return g_str(g, n->r);
	case N_BUILTIN:
		if (is_probe_text(n))
			return probe_string(g, n);
		break;
	default: break;
	}
	g_fail(g, &n->loc, "this expression cannot be used as a string");
	return literal(g, "", 0);
}

struct sval g_str(struct gen *g, const struct dt_node *n)
{
	u32 frame = g->f->frame;
	bool writing = g->writing;
	struct sval s;

	g->writing = false;
	s = str(g, n);
	g->writing = writing;
	g->f->frame = frame; /* strings are never in the frame */
	return s;
}

void g_str_into(struct gen *g, const struct dt_node *n, struct mem dst, u32 size)
{
	into_f *into = producer(n);
	u32 frame = g->f->frame;

	if (g->failed)
		return;
	if (into) {
		into(g, n, dst, size);
		g->f->frame = frame;
		return;
	}
	struct sval s = g_str(g, n);

	if (s.lit && s.litlen < size && s.litlen < 16)
		g_put_literal(g, dst, s.lit, s.litlen);
	else
		copy_str(g, dst, DT_MIN(size, s.bound), s.m);
}

/* ---- comparison -------------------------------------------------------------------------------------------- */

vreg g_strcmp(struct gen *g, const struct dt_node *l, const struct dt_node *r)
{
	struct sval a = g_str(g, l), b = g_str(g, r);

	return rt_strcmp(g, a, b);
}

/* Against a constant: its bytes and the NUL, a word at a time. */
static void equals_literal(struct gen *g, struct sval s, const char *lit, u32 len, u32 iffalse)
{
	u32 n = len + 1, at = 0;

	for (u32 w = 8; w; w /= 2)
		for (; at + w <= n; at += w) {
			u64 want = 0;

			memcpy(&want, lit + at, DT_MIN(w, n - at));
			e_jcci(g, BPF_JNE, e_ld(g, mem_add(s.m, at), w), (s64)want, iffalse);
		}
}

void g_streq(struct gen *g, const struct dt_node *l, const struct dt_node *r, u32 iftrue, u32 iffalse)
{
	if (l->op == N_STR) {
		const struct dt_node *t = l;

		l = r;
		r = t;
	}
	struct sval a = g_str(g, l);

	if (r->op == N_STR) {
		u32 len = DT_MIN(r->slen, g->strsize - 1);

		if (len + 1 <= a.bound) {
			equals_literal(g, a, dt_arena_strndup(g->arena, r->str, len), len, iffalse);
			e_jmp(g, iftrue);
		} else {
			e_jmp(g, iffalse);
		}
		return;
	}
	vreg c = rt_strcmp(g, a, g_str(g, r));

	e_jcci(g, BPF_JEQ, c, 0, iftrue);
	e_jmp(g, iffalse);
}
