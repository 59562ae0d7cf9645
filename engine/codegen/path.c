/* SPDX-License-Identifier: Apache-2.0 */
/*
 * path.c - the path of a file, and the arguments of the running process.
 *
 * A path is put together from its end: name by name up the tree of directory entries, and from the root of each file
 * system to where it is mounted, until the process's own root.  Both are bodies of bpf_loop(), as in rt.c.
 */
#include "codegen/gen.h"
#include "codegen/rt.h"

enum { PATH_BODY = 1000, EXECARGS_BODY }; /* beside rt.h's kinds */

#define PATH_ROOM 4096 /* a path, and its NUL at the end */
#define NAME_ROOM 256
#define PATH_STEPS 2048

struct body {
	vreg idx, ctx;
	struct dt_loc loc;
};

static struct mem word(const struct body *b, u32 n)
{
	return (struct mem){ b->ctx, n * 8 };
}

static struct ir_func *make_body(struct gen *g, int kind, const char *name, struct dt_loc loc, u32 limit,
				 void (*fn)(struct gen *g, const struct body *b, u32 limit))
{
	struct ir_func *saved = g->f, *f;
	struct body b = { .loc = loc };
	struct ir_insn *e;

	for (u32 k = 0; k < g->rt.n; k++)
		if (g->rt.v[k].kind == kind && g->rt.v[k].b1 == limit)
			return g->rt.v[k].f;
	f = g->f = ir_func_new(g->prog, name);
	b.idx = ir_reg(f);
	b.ctx = ir_reg(f);
	e = ir_emit(g->prog, f, IR_ENTRY);
	e->nargs = 2;
	e->args = dt_arena_alloc(g->arena, 2 * sizeof(*e->args));
	e->args[0] = a_reg(b.idx);
	e->args[1] = a_reg(b.ctx);
	fn(g, &b, limit);
	g->f = saved;
	*dt_vec_push(g->arena, &g->rt) = (struct rt_use){ .kind = kind, .b1 = limit, .f = f };
	return f;
}

/* ---- paths --------------------------------------------------------------------------------------------- */

enum path_word { P_BUF, P_DENTRY, P_MNT, P_ROOT_DENTRY, P_ROOT_MNT, P_POS, P_PSEUDO, P_WORDS };

/* The root of a mounted file system: go on where it is mounted. */
static void climb_mount(struct gen *g, const struct body *b)
{
	u32 mnt = g_kernel_offset(g, b->loc, "struct mount", "mnt"), go = ir_label(g->f);
	u32 up = g_kernel_offset(g, b->loc, "struct mount", "mnt_parent");
	u32 point = g_kernel_offset(g, b->loc, "struct mount", "mnt_mountpoint");
	vreg at = e_ld(g, word(b, P_MNT), 8);
	vreg parent = g_read_kernel(g, (struct mem){ at, (s64)up - mnt }, 8);

	e_st(g, word(b, P_MNT), 8, e_alui(g, IR_ADD, parent, mnt));
	e_jcc(g, BPF_JNE, e_alui(g, IR_ADD, parent, mnt), at, go);
	e_ret(g, 1); /* the topmost */
	e_label(g, go);
	e_st(g, word(b, P_DENTRY), 8, g_read_kernel(g, (struct mem){ at, (s64)point - mnt }, 8));
	e_ret(g, 0);
}

/* "/name" in front of what there is. */
static void put_name(struct gen *g, const struct body *b, u32 done)
{
	u32 d_name = g_kernel_offset(g, b->loc, "struct dentry", "d_name");
	u32 q_len = g_kernel_offset(g, b->loc, "struct qstr", "len");
	u32 q_name = g_kernel_offset(g, b->loc, "struct qstr", "name");
	struct mem name = mem_fp(ir_slot(g->f, 8)), len = mem_fp(ir_slot(g->f, 8));
	u32 some = ir_label(g->f), fits = ir_label(g->f);
	vreg d = e_ld(g, word(b, P_DENTRY), 8);

	e_call(g, BPF_FUNC_probe_read_kernel, a_mem(name), a_imm(8), a_mem((struct mem){ d, d_name + q_name }));
	e_call(g, BPF_FUNC_probe_read_kernel, a_mem(len), a_imm(4), a_mem((struct mem){ d, d_name + q_len }));
	e_jcci(g, BPF_JNE, e_ld(g, len, 4), 0, some);
	e_jmp(g, done);
	e_label(g, some);
	vreg n = e_alui(g, IR_AND, e_ld(g, len, 4), NAME_ROOM - 1);
	vreg pos = e_alui(g, IR_ADD, e_alu(g, IR_SUB, e_ld(g, word(b, P_POS), 8), n), -1);

	e_jcci(g, BPF_JLT, pos, PATH_ROOM, fits);
	e_jmp(g, done);
	e_label(g, fits);
	vreg p = e_alu(g, IR_ADD, e_ld(g, word(b, P_BUF), 8), pos);

	e_st(g, word(b, P_POS), 8, pos);
	e_sti(g, (struct mem){ p, 0 }, 1, '/');
	e_call(g, BPF_FUNC_probe_read_kernel, a_mem((struct mem){ p, 1 }), a_reg(n), a_reg(e_ld(g, name, 8)));
}

static void path_body(struct gen *g, const struct body *b, u32 unused)
{
	u32 walk = ir_label(g->f), named = ir_label(g->f), stop = ir_label(g->f), real = ir_label(g->f);
	u32 d_parent = g_kernel_offset(g, b->loc, "struct dentry", "d_parent");
	u32 mnt_root = g_kernel_offset(g, b->loc, "struct vfsmount", "mnt_root");
	struct mem parent = mem_fp(ir_slot(g->f, 8));

	(void)unused;
	e_jcc(g, BPF_JNE, e_ld(g, word(b, P_DENTRY), 8), e_ld(g, word(b, P_ROOT_DENTRY), 8), walk);
	e_jcc(g, BPF_JEQ, e_ld(g, word(b, P_MNT), 8), e_ld(g, word(b, P_ROOT_MNT), 8), stop);
	e_label(g, walk);
	vreg top = g_read_kernel(g, (struct mem){ e_ld(g, word(b, P_MNT), 8), mnt_root }, 8);

	e_jcc(g, BPF_JNE, top, e_ld(g, word(b, P_DENTRY), 8), named);
	climb_mount(g, b);
	e_label(g, named);
	e_call(g, BPF_FUNC_probe_read_kernel, a_mem(parent), a_imm(8),
	       a_mem((struct mem){ e_ld(g, word(b, P_DENTRY), 8), d_parent }));
	/* its own parent, but no root: a pipe, a socket ... which has no place in the tree */
	e_jcc(g, BPF_JNE, e_ld(g, parent, 8), e_ld(g, word(b, P_DENTRY), 8), real);
	e_sti(g, word(b, P_PSEUDO), 8, 1);
	put_name(g, b, stop);
	e_jmp(g, stop);
	e_label(g, real);
	put_name(g, b, stop);
	e_st(g, word(b, P_DENTRY), 8, e_ld(g, parent, 8));
	e_ret(g, 0);
	e_label(g, stop);
	e_ret(g, 1);
}

/* Where the walk ends: the process's root; nowhere special for __rootpath(). */
static void set_root(struct gen *g, const struct dt_node *n, s32 block)
{
	u32 fs = g_kernel_offset(g, n->loc, "struct task_struct", "fs");
	u32 root = g_kernel_offset(g, n->loc, "struct fs_struct", "root");
	u32 mnt = g_kernel_offset(g, n->loc, "struct path", "mnt");
	u32 dentry = g_kernel_offset(g, n->loc, "struct path", "dentry");

	if (n->subr->id == DT_S_ROOTPATH)
		return;
	vreg p = g_read_kernel(g, (struct mem){ e_call0(g, BPF_FUNC_get_current_task), fs }, 8);

	e_call(g, BPF_FUNC_probe_read_kernel, a_fp(block + P_ROOT_MNT * 8), a_imm(8),
	       a_mem((struct mem){ p, root + mnt }));
	e_call(g, BPF_FUNC_probe_read_kernel, a_fp(block + P_ROOT_DENTRY * 8), a_imm(8),
	       a_mem((struct mem){ p, root + dentry }));
}

/* __path(mnt, dentry) */
void g_into_path(struct gen *g, const struct dt_node *n, struct mem dst, u32 size)
{
	struct mem buf = g_tmp(g, PATH_ROOM + NAME_ROOM);
	vreg mnt = g_expr(g, n->args[0]), dentry = g_expr(g, n->args[1]);
	s32 block = rt_block(g, (const vreg[]){ e_addr(g, buf), dentry, mnt }, 3, P_WORDS - 3);
	u32 some = ir_label(g->f), unknown = ir_label(g->f), end = ir_label(g->f), fits = ir_label(g->f);

	e_sti(g, mem_add(buf, PATH_ROOM - 1), 1, 0);
	e_sti(g, mem_fp(block + P_POS * 8), 8, PATH_ROOM - 1);
	set_root(g, n, block);
	e_call(g, BPF_FUNC_loop, a_imm(PATH_STEPS),
	       a_func(make_body(g, PATH_BODY, "path", n->loc, 0, path_body)), a_fp(block), a_imm(0));
	e_jcci(g, BPF_JNE, rt_word(g, block, P_POS), PATH_ROOM - 1, some);
	e_jcci(g, BPF_JNE, rt_word(g, block, P_PSEUDO), 0, unknown);
	e_jcci(g, BPF_JEQ, rt_word(g, block, P_DENTRY), 0, unknown);
	g_put_literal(g, dst, "/", 1);
	e_jmp(g, end);
	e_label(g, unknown);
	g_put_literal(g, dst, size > 9 ? "<unknown>" : "", size > 9 ? 9 : 0);
	e_jmp(g, end);
	e_label(g, some);
	/* the name of what has no place stands without the slash */
	vreg skip = e_alui(g, IR_AND, rt_word(g, block, P_PSEUDO), 1);
	vreg pos = e_alu(g, IR_ADD, rt_word(g, block, P_POS), skip);

	e_jcci(g, BPF_JLT, pos, PATH_ROOM, fits);
	e_jmp(g, end);
	e_label(g, fits);
	vreg from = e_alu(g, IR_ADD, e_addr(g, buf), pos);

	e_call(g, BPF_FUNC_probe_read_kernel_str, a_mem(dst), a_imm(DT_MIN(size, PATH_ROOM)), a_reg(from));
	e_label(g, end);
}

/* ---- arguments of the process ----------------------------------------------------------------------------- */

enum args_word { A_BUF, A_LEN, A_WORDS };

/* A blank for each NUL but the last. */
static void execargs_body(struct gen *g, const struct body *b, u32 limit)
{
	u32 in = ir_label(g->f), go = ir_label(g->f), inside = ir_label(g->f);

	e_jcci(g, BPF_JLT, b->idx, limit, in);
	e_ret(g, 1);
	e_label(g, in);
	vreg p = e_alu(g, IR_ADD, e_ld(g, word(b, A_BUF), 8), b->idx);

	e_jcc(g, BPF_JLT, e_alui(g, IR_ADD, b->idx, 1), e_ld(g, word(b, A_LEN), 8), inside);
	e_ret(g, 1);
	e_label(g, inside);
	e_jcci(g, BPF_JNE, e_ld(g, (struct mem){ p, 0 }, 1), 0, go);
	e_sti(g, (struct mem){ p, 0 }, 1, ' ');
	e_label(g, go);
	e_ret(g, 0);
}

void g_into_execargs(struct gen *g, const struct dt_node *n, struct mem dst, u32 size)
{
	u32 start_off = g_kernel_offset(g, n->loc, "struct mm_struct", "arg_start");
	u32 end_off = g_kernel_offset(g, n->loc, "struct mm_struct", "arg_end");
	u32 mm_off = g_kernel_offset(g, n->loc, "struct task_struct", "mm");
	u32 none = ir_label(g->f), end = ir_label(g->f);
	vreg task = e_call0(g, BPF_FUNC_get_current_task);
	vreg mm = g_read_kernel(g, (struct mem){ task, mm_off }, 8);
	vreg start = g_read_kernel(g, (struct mem){ mm, start_off }, 8);
	vreg len = e_alu(g, IR_SUB, g_read_kernel(g, (struct mem){ mm, end_off }, 8), start);
	s32 block = rt_block(g, (const vreg[]){ e_addr(g, dst), len }, 2, 0);
	vreg n1 = g_at_most(g, len, size - 1);

	e_st(g, mem_fp(block + A_LEN * 8), 8, n1);
	e_jcci(g, BPF_JEQ, start, 0, none);
	vreg rc = e_call(g, BPF_FUNC_probe_read_user, a_mem(dst), a_reg(n1), a_reg(start));

	e_jcci(g, BPF_JNE, rc, 0, none);
	vreg n2 = g_at_most(g, rt_word(g, block, A_LEN), size - 1);

	e_sti(g, (struct mem){ e_alu(g, IR_ADD, e_addr(g, dst), n2), 0 }, 1, 0);
	e_call(g, BPF_FUNC_loop, a_imm(size),
	       a_func(make_body(g, EXECARGS_BODY, "execargs", n->loc, size, execargs_body)), a_fp(block),
	       a_imm(0));
	e_jmp(g, end);
	e_label(g, none); /* a kernel thread, or its memory is not there */
	e_call(g, BPF_FUNC_get_current_comm, a_mem(dst), a_imm(DT_MIN(size, 16)));
	e_label(g, end);
}
