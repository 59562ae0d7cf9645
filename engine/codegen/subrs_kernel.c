/* SPDX-License-Identifier: Apache-2.0 */
/*
 * subrs_kernel.c - subroutines that look into the kernel's structures: processes, open files, locks.
 *
 * Where members are is asked of the kernel's type information.
 */
#include <string.h>

#include "codegen/rt.h"

/* ---- members --------------------------------------------------------------------------------------------- */

/* Offset of a member "a.b" of t; NULL: there is none, else its type. */
static const struct dt_type *member_at(struct dt_type *t, const char *path, u32 *off)
{
	char name[64];
	u64 bits;

	for (*off = 0; t && *path; path += *path == '.') {
		size_t len = strcspn(path, ".");

		if (len >= sizeof(name))
			return NULL;
		memcpy(name, path, len);
		name[len] = '\0';
		path += len;
		const struct dt_member *m = dt_type_member(dt_type_resolve(t), name, &bits);

		if (!m)
			return NULL;
		*off += (u32)(bits / 8);
		t = m->type;
	}
	return t;
}

/* ---- processes and files ---------------------------------------------------------------------------------- */

#define MAX_ANCESTORS 4096

enum { KIN_TASK, KIN_PID, KIN_FOUND, KIN_TMP, KIN_WORDS };

/* Up the tree of processes; the first task is its own parent. */
static void body_ancestor(struct gen *g, const struct rt_body *b, u32 parent_off, u32 tgid_off)
{
	u32 other = ir_label(g->f), go = ir_label(g->f);
	struct mem w = rt_own_words(g, b), tmp = mem_add(w, KIN_TMP * 8);
	vreg task = rt_word(g, w, KIN_TASK);

	e_call(g, BPF_FUNC_probe_read_kernel, a_mem(tmp), a_imm(4),
	       a_mem((struct mem){ task, tgid_off }));
	e_jcc(g, BPF_JNE, e_ld(g, tmp, 4), rt_word(g, w, KIN_PID), other);
	rt_seti(g, w, KIN_FOUND, 1);
	rt_stop(g);
	e_label(g, other);
	e_call(g, BPF_FUNC_probe_read_kernel, a_mem(tmp), a_imm(8),
	       a_mem((struct mem){ task, parent_off }));
	vreg parent = e_ld(g, tmp, 8);

	rt_set(g, w, KIN_TASK, parent);
	e_jcc(g, BPF_JNE, parent, task, go);
	rt_stop(g);
	e_label(g, go);
	rt_next(g);
}

vreg subr_progenyof(struct gen *g, const struct dt_node *n)
{
	static const struct rt_kind kind = { "ancestor", body_ancestor };
	vreg pid = e_zext32(g, g_expr(g, n->args[0]));
	u32 parent = g_kernel_offset(g, n->loc, "struct task_struct", "real_parent");
	u32 tgid = g_kernel_offset(g, n->loc, "struct task_struct", "tgid");
	struct mem w = rt_words(g, (const vreg[]){ g_thread(g), pid }, 2, KIN_WORDS - 2);

	rt_loop(g, MAX_ANCESTORS, &kind, parent, tgid, w, NULL, 0);
	return rt_word(g, w, KIN_FOUND);
}

/* current->files->fdt->fd[n]; NULL when there is no such file */
vreg subr_getf(struct gen *g, const struct dt_node *n)
{
	u32 files = g_kernel_offset(g, n->loc, "struct task_struct", "files");
	u32 table = g_kernel_offset(g, n->loc, "struct files_struct", "fdt");
	u32 max = g_kernel_offset(g, n->loc, "struct fdtable", "max_fds");
	u32 array = g_kernel_offset(g, n->loc, "struct fdtable", "fd");
	u32 none = ir_label(g->f);
	vreg fd = g_expr(g, n->args[0]), file = e_movi(g, 0), p = g_thread(g);

	p = g_read_kernel(g, (struct mem){ p, files }, 8);
	p = g_read_kernel(g, (struct mem){ p, table }, 8);
	e_jcc(g, BPF_JGE, fd, g_read_kernel(g, (struct mem){ p, max }, 4), none);
	p = g_read_kernel(g, (struct mem){ p, array }, 8);
	p = e_alu(g, IR_ADD, p, e_alui(g, IR_SHL, fd, 3));
	e_set(g, file, g_read_kernel(g, (struct mem){ p, 0 }, 8));
	e_label(g, none);
	return file;
}

/* ---- locks ------------------------------------------------------------------------------------------------ */

static struct dt_type *pointee(const struct dt_node *arg)
{
	const struct dt_type *t = dt_type_resolve(arg->type);

	return t->kind == DT_POINTER && t->ref ? dt_type_resolve(t->ref) : NULL;
}

static bool is_called(const struct dt_type *t, const char *name)
{
	return t && t->name && strcmp(t->name, name) == 0;
}

/* The lock's word; what cannot be read is a fault. */
static vreg lock_word(struct gen *g, const struct dt_node *n, u32 off, u32 size)
{
	struct mem m = g_tmp(g, 8);

	subr_fetch(g, n, 0, off, m, size);
	return e_ld(g, m, size);
}

static vreg truth(struct gen *g, u8 cond, vreg a, vreg b, s64 imm)
{
	vreg d = e_movi(g, 1);
	u32 yes = ir_label(g->f);

	if (b)
		e_jcc(g, cond, a, b, yes);
	else
		e_jcci(g, cond, a, imm, yes);
	e_seti(g, d, 0);
	e_label(g, yes);
	return d;
}

/* The low bits of a mutex's owner are flags: 3 of struct mutex's own, 1 where it is made of an rt_mutex. */
static vreg mutex_owner(struct gen *g, const struct dt_node *n)
{
	struct dt_type *t = dt_types_lookup(g->env->types, "struct mutex");
	u32 off;

	if (t && member_at(t, "owner", &off))
		return e_alui(g, IR_AND, lock_word(g, n, off, 8), ~7);
	if (t && member_at(t, "rtmutex.owner", &off))
		return e_alui(g, IR_AND, lock_word(g, n, off, 8), ~1);
	g_kernel_offset(g, n->loc, "struct mutex", "owner");
	return e_movi(g, 0);
}

vreg subr_mutex(struct gen *g, const struct dt_node *n)
{
	const struct dt_type *t = pointee(n->args[0]);
	bool spin = is_called(t, "spinlock") || is_called(t, "raw_spinlock") ||
		    is_called(t, "qspinlock");

	switch (n->subr->id) {
	case DT_S_MUTEX_OWNER: return mutex_owner(g, n);
	case DT_S_MUTEX_OWNED: {
		vreg owner = mutex_owner(g, n);

		return truth(g, BPF_JEQ, owner, g_thread(g), 0);
	}
	default: /* no lock of the kernel is of one type now and of another later: the pointer's type tells */
		lock_word(g, n, 0, 4);
		return e_movi(g, spin == (n->subr->id == DT_S_MUTEX_TYPE_SPIN));
	}
}

/*
 * struct rw_semaphore: bit 0 of count a writer has it, bit 1 somebody waits, readers from bit 8 on.
 * rwlock_t (struct qrwlock): the low byte a writer has it, bit 8 one waits, readers from bit 9 on.
 */
static const struct rw_layout {
	const char *count;
	u32 size, shift;
	s64 held, held_or_wanted;
	u32 readers;
} rw_layouts[] = {
	{ "count", 8, 1, 1, 3, 8 },
	{ "raw_lock.cnts", 4, 0, 0xff, 0x1ff, 9 },
};

vreg subr_rw(struct gen *g, const struct dt_node *n)
{
	struct dt_type *t = pointee(n->args[0]);
	const struct rw_layout *l = NULL;
	u32 off = 0;

	if (is_called(t, "rw_semaphore") && member_at(t, "count", &off))
		l = &rw_layouts[0];
	else if (t && dt_type_is_sou(t) && member_at(t, "raw_lock.cnts", &off))
		l = &rw_layouts[1];
	if (!l) {
		g_fail(g, &n->loc,
		       "%s() needs a pointer to struct rw_semaphore or rwlock_t of this kernel",
		       n->subr->name);
		return e_movi(g, 0);
	}
	vreg v = lock_word(g, n, off, l->size);

	switch (n->subr->id) {
	case DT_S_RW_READ_HELD: /* the topmost bit of count says that it overflowed */
		v = e_alui(g, IR_SHR, e_alui(g, IR_SHL, v, l->shift), l->shift + l->readers);
		break;
	case DT_S_RW_WRITE_HELD:
		return truth(g, BPF_JEQ, e_alui(g, IR_AND, v, l->held), 0, l->held);
	default: v = e_alui(g, IR_AND, v, l->held_or_wanted); break;
	}
	return truth(g, BPF_JNE, v, 0, 0);
}
