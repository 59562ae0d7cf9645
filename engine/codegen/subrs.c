/* SPDX-License-Identifier: Apache-2.0 */
/*
 * subrs.c - D's subroutines: a row each, and those that are about memory.  Strings are written to a destination
 * that the caller picks.
 */
#include "codegen/rt.h"

/* ---- arguments ------------------------------------------------------------------------------------------- */

bool subr_is_null(const struct dt_node *n)
{
	return n->op == N_INT && n->val == 0;
}

struct sval subr_str_arg(struct gen *g, const struct dt_node *n, u32 k)
{
	if (subr_is_null(n->args[k]))
		g_fault_unless(g, BPF_JNE, e_movi(g, 0), 0, DTRACEFLT_BADADDR, 0, n->args[k]->loc);
	return g_str(g, n->args[k]);
}

vreg subr_const_or(struct gen *g, const struct dt_node *n, u32 k, s64 absent)
{
	return n->nargs > k ? g_expr(g, n->args[k]) : e_movi(g, absent);
}

/* Memory of ours that is too small for what is read there: as any memory of the kernel. */
static struct addr as_kernel(struct gen *g, struct addr a)
{
	a.m = (struct mem){ e_launder(g, e_addr(g, a.m)), 0 };
	a.kind = ADDR_KERN;
	return a;
}

void subr_fetch(struct gen *g, const struct dt_node *n, u32 k, u32 off, struct mem dst, u32 size)
{
	struct addr a = g_ptr(g, n->args[k]);

	if (a.kind == ADDR_SAFE && a.bound < (u64)off + size)
		a = as_kernel(g, a);
	a.m = mem_add(a.m, off);
	g_copy(g, dst, a, size, n->args[k]->loc);
}

/* ---- scratch --------------------------------------------------------------------------------------------- */

#define LEAST_DYNAMIC \
	4096 /* room for what is measured only at run time, or strsize or scratchsize if that is more */

/* A number of bytes: max when it is a constant (dyn 0), else dyn, at most max. */
struct size {
	u32 max;
	vreg dyn;
};

static struct size size_arg(struct gen *g, const struct dt_node *n)
{
	struct size s = { .max = DT_MAX(DT_MAX(g->strsize, LEAST_DYNAMIC), g->opts->scratchsize) };

	if (n->op == N_INT && n->val > 0 && n->val <= DT_SCRATCH_WINDOW) {
		s.max = (u32)n->val;
		return s;
	}
	s.dyn = e_bounded(g, g_expr(g, n));
	g_fault_unless(g, BPF_JLE, s.dyn, s.max, DTRACEFLT_NOSCRATCH, 0, n->loc);
	return s;
}

static struct ir_arg size_of(struct size s)
{
	return s.dyn ? a_reg(s.dyn) : a_imm(s.max);
}

static void copy_bytes(struct gen *g, bool user, struct mem dst, struct size size, vreg from,
		       struct dt_loc loc)
{
	if (user) {
		g_read_user(g, dst, size_of(size), from, loc);
		return;
	}
	vreg rc = e_call(g, BPF_FUNC_probe_read_kernel, a_mem(dst), size_of(size), a_reg(from));

	g_fault_unless(g, BPF_JEQ, rc, 0, DTRACEFLT_BADADDR, from, loc);
}

struct addr g_subr_ptr(struct gen *g, const struct dt_node *n)
{
	bool copyin = n->subr->id == DT_S_COPYIN;
	vreg from = copyin ? g_expr(g, n->args[0]) : 0;
	struct size size = size_arg(g, n->args[copyin ? 1 : 0]);
	struct addr a = { .kind = ADDR_SAFE, .m = g_keep(g, size.max), .bound = size.max };

	if (copyin)
		copy_bytes(g, true, a.m, size, from, n->loc);
	else
		e_zero(g, a.m, size.max);
	return a;
}

static vreg subr_pointer(struct gen *g, const struct dt_node *n)
{
	return e_launder(g, e_addr(g, g_subr_ptr(g, n).m));
}

static vreg subr_copyinto(struct gen *g, const struct dt_node *n)
{
	vreg from = g_expr(g, n->args[0]);
	struct size size = size_arg(g, n->args[1]);
	struct mem dst = g_writable(g, g_ptr(g, n->args[2]), size.max, size.dyn, n->args[2]->loc);

	copy_bytes(g, true, dst, size, from, n->loc);
	return e_movi(g, 0);
}

/* A string as bytes: the number to be copied may be any, so they are read like memory that others own. */
static struct addr string_source(struct gen *g, const struct dt_node *n)
{
	u32 size = g_str_bound(g, n);
	struct mem text = g_tmp(g, size);

	e_zero(g, text, size);
	g_str_into(g, n, text, size);
	return (struct addr){ .kind = ADDR_KERN, .m = { e_launder(g, e_addr(g, text)), 0 } };
}

/* By way of a copy, since the two may overlap */
static vreg subr_bcopy(struct gen *g, const struct dt_node *n)
{
	struct addr src = dt_type_is_string(n->args[0]->type) ? string_source(g, n->args[0]) :
								g_ptr(g, n->args[0]);
	struct addr to = g_ptr(g, n->args[1]);
	struct size size = size_arg(g, n->args[2]);
	struct mem copy = g_tmp(g, size.max);

	if (src.kind == ADDR_BTF && src.maybe_null)
		g_fault_unless(g, BPF_JNE, src.m.p, 0, DTRACEFLT_BADADDR, 0, n->args[0]->loc);
	copy_bytes(g, src.kind == ADDR_USER, copy, size, e_addr(g, src.m), n->args[0]->loc);
	struct mem dst = g_writable(g, to, size.max, size.dyn, n->args[1]->loc);

	e_call(g, BPF_FUNC_probe_read_kernel, a_mem(dst), size_of(size), a_mem(copy));
	return e_movi(g, 0);
}

/* ---- writing to the traced process ------------------------------------------------------------------------ */

static void write_user(struct gen *g, vreg to, struct mem from, struct size size, struct dt_loc loc)
{
	u32 nothing = ir_label(g->f);

	g->o->writes_user = true;
	if (size.dyn)
		e_jcci(g, BPF_JLT, size.dyn, 1, nothing);
	vreg rc = e_call(g, BPF_FUNC_probe_write_user, a_reg(to), a_mem(from), size_of(size));

	g_fault_unless(g, BPF_JEQ, rc, 0, DTRACEFLT_BADADDR, to, loc);
	e_label(g, nothing);
}

void act_copyout(struct gen *g, const struct dt_stmt *s)
{
	struct addr src = g_ptr(g, s->args[0]);
	vreg to = g_expr(g, s->args[1]);
	struct size size = size_arg(g, s->args[2]);
	struct mem copy = g_tmp(g, size.max);

	if (src.kind == ADDR_BTF && src.maybe_null)
		g_fault_unless(g, BPF_JNE, src.m.p, 0, DTRACEFLT_BADADDR, 0, s->args[0]->loc);
	copy_bytes(g, src.kind == ADDR_USER, copy, size, e_addr(g, src.m), s->args[0]->loc);
	write_user(g, to, copy, size, s->loc);
}

/* At most max bytes, with the NUL when there is room for it. */
void act_copyoutstr(struct gen *g, const struct dt_stmt *s)
{
	u32 bound = g_str_bound(g, s->args[0]), fits = ir_label(g->f);
	struct mem str = g_tmp(g, bound), copy = g_tmp(g, bound);

	g_str_into(g, s->args[0], str, bound);
	vreg to = g_expr(g, s->args[1]), max = g_expr(g, s->args[2]);
	vreg len = e_alui(g, IR_ADD, g_copy_len(g, copy, bound, str), 1);
	struct size size = { .max = bound, .dyn = e_bounded(g, len) };

	e_jcc(g, BPF_JLE, size.dyn, max, fits);
	e_set(g, size.dyn, max);
	e_label(g, fits);
	u32 bounded = ir_label(g->f);

	e_jcci(g, BPF_JLE, size.dyn, bound, bounded);
	e_seti(g, size.dyn, bound);
	e_label(g, bounded);
	write_user(g, to, copy, size, s->loc);
}

/* ---- numbers --------------------------------------------------------------------------------------------- */

static vreg subr_rand(struct gen *g, const struct dt_node *n)
{
	return g_norm(g, e_call0(g, BPF_FUNC_get_prandom_u32), 4, dt_type_is_signed(n->type));
}

/* Network order: big endian. */
static vreg subr_swap(struct gen *g, const struct dt_node *n)
{
	return e_alui(g, IR_BSWAP, g_expr(g, n->args[0]), (s64)dt_type_size(n->type) * 8);
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

/* ---- rows ------------------------------------------------------------------------------------------------ */

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

static u32 bound_address(struct gen *g, const struct dt_node *n)
{
	(void)g;
	(void)n;
	return 64;
}

static const struct subr_str str_rows[DT_S_N] = {
	[DT_S_SUBSTR] = { into_substr, bound_arg0 },
	[DT_S_BASENAME] = { into_basename, bound_path },
	[DT_S_DIRNAME] = { into_dirname, bound_path },
	[DT_S_CLEANPATH] = { into_cleanpath, bound_path },
	[DT_S_D_PATH] = { into_d_path, NULL },
	[DT_S_TOLOWER] = { into_tolower, bound_arg0 },
	[DT_S_TOUPPER] = { into_toupper, bound_arg0 },
	[DT_S_STRCHR] = { into_strchr, bound_arg0 },
	[DT_S_STRRCHR] = { into_strrchr, bound_arg0 },
	[DT_S_STRSTR] = { into_strstr, bound_arg0 },
	[DT_S_STRTOK] = { into_strtok, NULL },
	[DT_S_LLTOSTR] = { into_lltostr, bound_number },
	[DT_S_JSON] = { into_json, bound_arg0 },
	[DT_S_INET_NTOA] = { into_inet_ntoa, bound_address },
	[DT_S_INET_NTOA6] = { into_inet_ntoa6, bound_address },
	[DT_S_INET_NTOP] = { into_inet_ntop, bound_address },
	[DT_S_LINK_NTOP] = { into_link_ntop, bound_address },
};

const struct subr_str *g_subr_str(int id)
{
	return str_rows[id].into ? &str_rows[id] : NULL;
}

static vreg subr_peek(struct gen *g, const struct dt_node *n)
{
	return g_peek_user(g, (struct mem){ g_expr(g, n->args[0]), 0 }, 8);
}

static vreg (*const number_rows[DT_S_N])(struct gen *g, const struct dt_node *n) = {
	[DT_S_STRLEN] = subr_strlen,
	[DT_S_INDEX] = subr_index,
	[DT_S_RINDEX] = subr_index,
	[DT_S_STRTOLL] = subr_strtoll,
	[DT_S_RAND] = subr_rand,
	[DT_S_HTONS] = subr_swap,
	[DT_S_HTONL] = subr_swap,
	[DT_S_HTONLL] = subr_swap,
	[DT_S_NTOHS] = subr_swap,
	[DT_S_NTOHL] = subr_swap,
	[DT_S_NTOHLL] = subr_swap,
	[DT_S_GETMAJOR] = subr_getmajor,
	[DT_S_GETMINOR] = subr_getminor,
	[DT_S_COPYIN] = subr_pointer,
	[DT_S_PEEK] = subr_peek,
	[DT_S_ALLOCA] = subr_pointer,
	[DT_S_COPYINTO] = subr_copyinto,
	[DT_S_BCOPY] = subr_bcopy,
	[DT_S_PROGENYOF] = subr_progenyof,
	[DT_S_GETF] = subr_getf,
	[DT_S_MUTEX_OWNED] = subr_mutex,
	[DT_S_MUTEX_OWNER] = subr_mutex,
	[DT_S_MUTEX_TYPE_ADAPTIVE] = subr_mutex,
	[DT_S_MUTEX_TYPE_SPIN] = subr_mutex,
	[DT_S_SPECULATION] = subr_speculation,
	[DT_S_RW_ISWRITER] = subr_rw,
	[DT_S_RW_READ_HELD] = subr_rw,
	[DT_S_RW_WRITE_HELD] = subr_rw,
};

vreg g_subr(struct gen *g, const struct dt_node *n)
{
	if (!number_rows[n->subr->id]) {
		g_fail(g, &n->loc, "%s() is not available in this version", n->subr->name);
		return e_movi(g, 0);
	}
	return number_rows[n->subr->id](g, n);
}
