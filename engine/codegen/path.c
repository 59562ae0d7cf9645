/* SPDX-License-Identifier: Apache-2.0 */
/*
 * path.c - the path of a file, and the arguments of the running process.
 *
 * The kernel's own helper for paths may not be called from most programs, so we do what it does: from the file's
 * directory entry up to the root of the process, through mount points.  Names are written from the end of a
 * buffer towards its start.
 */
#include <string.h>

#include "codegen/rt.h"

#define PATH_ROOM 4096 /* a path, and its NUL at the end */
#define NAME_ROOM 256
#define PATH_STEPS 2048
#define BUF_ROOM (PATH_ROOM + NAME_ROOM + 8)

enum path_word {
	P_DENTRY,
	P_MNT, /* struct vfsmount */
	P_ROOT_DENTRY,
	P_ROOT_MNT,
	P_POS,    /* where the text starts so far */
	P_PSEUDO, /* 1: the entry stands alone: a pipe, a socket ... */
	P_TEXT,
	P_WORDS
};

/* ---- the way up ------------------------------------------------------------------------------------------ */

/* The root of a mounted file system: go on where it is mounted. */
static void climb_mount(struct gen *g, struct mem w, vreg at, struct dt_loc loc)
{
	u32 mnt = g_kernel_offset(g, loc, "struct mount", "mnt"), go = ir_label(g->f);
	u32 up = g_kernel_offset(g, loc, "struct mount", "mnt_parent");
	u32 point = g_kernel_offset(g, loc, "struct mount", "mnt_mountpoint");
	vreg parent = g_read_kernel(g, (struct mem){ at, (s64)up - mnt }, 8);
	vreg next = e_alui(g, IR_ADD, parent, mnt);

	e_jcc(g, BPF_JNE, next, at, go);
	rt_stop(g); /* the topmost */
	e_label(g, go);
	rt_set(g, w, P_MNT, next);
	rt_set(g, w, P_DENTRY, g_read_kernel(g, (struct mem){ at, (s64)point - mnt }, 8));
	rt_next(g);
}

static vreg name_of(struct gen *g, vreg dentry, struct dt_loc loc)
{
	u32 off = g_kernel_offset(g, loc, "struct dentry", "d_name") +
		  g_kernel_offset(g, loc, "struct qstr", "name");

	return g_read_kernel(g, (struct mem){ dentry, off }, 8);
}

/* "/name" in front of what there is (at 0). */
static void put_name(struct gen *g, const struct rt_body *b, struct mem w, vreg dentry,
		     struct dt_loc loc)
{
	u32 q_len = g_kernel_offset(g, loc, "struct dentry", "d_name") +
		    g_kernel_offset(g, loc, "struct qstr", "len");
	u32 fits = ir_label(g->f);
	vreg name = name_of(g, dentry, loc);
	vreg n = e_alui(g, IR_AND, g_read_kernel(g, (struct mem){ dentry, q_len }, 4), NAME_ROOM - 1);
	vreg pos = e_bounded(g, e_alui(g, IR_ADD, e_alu(g, IR_SUB, rt_word(g, w, P_POS), n), -1));

	e_jcci(g, BPF_JLT, pos, PATH_ROOM, fits);
	rt_stop(g);
	e_label(g, fits);
	vreg p = e_alu(g, IR_ADD, rt_ptr(g, b, 0), pos);

	rt_set(g, w, P_POS, pos);
	e_sti(g, (struct mem){ p, 0 }, 1, '/');
	e_call(g, BPF_FUNC_probe_read_kernel, a_mem((struct mem){ p, 1 }), a_reg(n), a_reg(name));
}

static void body_path(struct gen *g, const struct rt_body *b, u32 unused1, u32 unused2)
{
	const struct dt_loc loc = g->prog->loc;
	u32 walk = ir_label(g->f), named = ir_label(g->f), real = ir_label(g->f),
	    some = ir_label(g->f);
	u32 d_parent = g_kernel_offset(g, loc, "struct dentry", "d_parent");
	u32 mnt_root = g_kernel_offset(g, loc, "struct vfsmount", "mnt_root");
	struct mem w = rt_own_words(g, b);
	vreg dentry = rt_word(g, w, P_DENTRY), mnt = rt_word(g, w, P_MNT);

	(void)unused1;
	(void)unused2;
	e_jcc(g, BPF_JNE, dentry, rt_word(g, w, P_ROOT_DENTRY), walk);
	e_jcc(g, BPF_JNE, mnt, rt_word(g, w, P_ROOT_MNT), walk);
	rt_stop(g);
	e_label(g, walk);
	e_jcc(g, BPF_JNE, g_read_kernel(g, (struct mem){ mnt, mnt_root }, 8), dentry, named);
	climb_mount(g, w, mnt, loc);
	e_label(g, named);
	vreg parent = g_read_kernel(g, (struct mem){ dentry, d_parent }, 8);

	e_jcci(g, BPF_JNE, parent, 0, some);
	rt_stop(g);
	e_label(g, some);
	e_jcc(g, BPF_JNE, parent, dentry, real);
	rt_seti(g, w, P_PSEUDO, 1);
	rt_stop(g);
	e_label(g, real);
	rt_set(g, w, P_DENTRY, parent);
	put_name(g, b, w, dentry, loc);
	rt_next(g);
}

/* The root of the process: there the walk ends. */
static void set_root(struct gen *g, struct mem w, struct dt_loc loc)
{
	u32 fs = g_kernel_offset(g, loc, "struct task_struct", "fs");
	u32 root = g_kernel_offset(g, loc, "struct fs_struct", "root");
	u32 mnt = g_kernel_offset(g, loc, "struct path", "mnt");
	u32 dentry = g_kernel_offset(g, loc, "struct path", "dentry");
	vreg p = g_read_kernel(g, (struct mem){ g_thread(g), fs }, 8);

	rt_set(g, w, P_ROOT_MNT, g_read_kernel(g, (struct mem){ p, root + mnt }, 8));
	rt_set(g, w, P_ROOT_DENTRY, g_read_kernel(g, (struct mem){ p, root + dentry }, 8));
}

static struct mem path_words(struct gen *g, vreg dentry, vreg mnt)
{
	struct mem w = rt_words(g, (const vreg[]){ dentry, mnt }, 2, P_WORDS - 2);

	rt_seti(g, w, P_POS, PATH_ROOM - 1);
	return w;
}

static void walk_up(struct gen *g, struct mem w, struct mem buf)
{
	static const struct rt_kind kind = { "path", body_path };

	e_sti(g, mem_add(buf, PATH_ROOM - 1), 1, 0);
	rt_loop(g, PATH_STEPS, &kind, 0, 0, w, &buf, 1);
}

static void copy_from(struct gen *g, struct mem dst, u32 size, struct mem buf, vreg pos)
{
	vreg from = e_alu(g, IR_ADD, e_addr(g, buf), g_at_most(g, pos, PATH_ROOM - 1));

	e_call(g, BPF_FUNC_probe_read_kernel_str, a_mem(dst), a_imm(DT_MIN(size, PATH_ROOM)),
	       a_reg(from));
}

/* ---- __path(mnt, dentry), __rootpath ------------------------------------------------------------------------ */

/* What has no place in the tree shows its name alone. */
void g_into_path(struct gen *g, const struct dt_node *n, struct mem dst, u32 size)
{
	struct mem buf = g_tmp(g, BUF_ROOM);
	vreg mnt = g_expr(g, n->args[0]), dentry = g_expr(g, n->args[1]);
	struct mem w = path_words(g, dentry, mnt);
	u32 some = ir_label(g->f), unknown = ir_label(g->f), end = ir_label(g->f),
	    pseudo = ir_label(g->f);

	if (n->subr->id != DT_S_ROOTPATH)
		set_root(g, w, n->loc);
	walk_up(g, w, buf);
	e_jcci(g, BPF_JNE, rt_word(g, w, P_PSEUDO), 0, pseudo);
	e_jcci(g, BPF_JNE, rt_word(g, w, P_POS), PATH_ROOM - 1, some);
	e_jcci(g, BPF_JEQ, rt_word(g, w, P_DENTRY), 0, unknown);
	g_put_literal(g, dst, "/", 1);
	e_jmp(g, end);
	e_label(g, pseudo);
	vreg rc = e_call(g, BPF_FUNC_probe_read_kernel_str, a_mem(dst),
			 a_imm(DT_MIN(size, NAME_ROOM)),
			 a_reg(name_of(g, rt_word(g, w, P_DENTRY), n->loc)));

	e_jcci(g, BPF_JSGT, rc, 1, end);
	e_label(g, unknown);
	g_put_literal(g, dst, size > 9 ? "<unknown>" : "", size > 9 ? 9 : 0);
	e_jmp(g, end);
	e_label(g, some);
	copy_from(g, dst, size, buf, rt_word(g, w, P_POS));
	e_label(g, end);
}

/* ---- d_path() -------------------------------------------------------------------------------------------- */

/* The first 8 bytes of a name with its NUL, as read from memory that was zero */
static s64 packed(const char *name)
{
	char text[8] = { 0 };
	s64 v;

	memcpy(text, name, DT_MIN(strlen(name), sizeof(text) - 1));
	memcpy(&v, text, sizeof(v));
	return v;
}

static u32 put_text(struct gen *g, struct mem at, const char *text)
{
	u32 len = (u32)strlen(text);

	g_put_literal(g, at, text, len);
	return len;
}

/* "what:[inode]" */
static void put_inode(struct gen *g, struct mem buf, const char *what, vreg dentry, struct dt_loc loc)
{
	u32 d_inode = g_kernel_offset(g, loc, "struct dentry", "d_inode");
	u32 i_ino = g_kernel_offset(g, loc, "struct inode", "i_ino");
	u32 len = put_text(g, buf, what);
	vreg inode = g_read_kernel(g, (struct mem){ dentry, d_inode }, 8);
	vreg end = subr_decimal(g, g_read_kernel(g, (struct mem){ inode, i_ino }, 8),
				mem_add(buf, len));

	e_sti(g, (struct mem){ end, 0 }, 2, ']');
}

/* The entry's name between two texts */
static void put_between(struct gen *g, struct mem buf, const char *before, const char *after,
			vreg dentry, struct dt_loc loc)
{
	struct mem at = mem_add(buf, put_text(g, buf, before));
	vreg n = g_copy_len(g, at, NAME_ROOM, (struct mem){ name_of(g, dentry, loc), 0 });

	put_text(g,
		 (struct mem){ e_alu(g, IR_ADD, e_addr(g, at), g_at_most(g, n, NAME_ROOM - 1)), 0 },
		 after);
}

/* Files without a path look as they do in /proc/PID/fd. */
static void pseudo_path(struct gen *g, struct mem buf, struct mem w, struct dt_loc loc)
{
	static const struct {
		const char *fs, *text;
		bool inode;
	} rows[] = {
		{ "pipefs", "pipe:[", true },
		{ "sockfs", "socket:[", true },
		{ "anon_inodefs", "anon_inode:", false },
	};
	u32 d_sb = g_kernel_offset(g, loc, "struct dentry", "d_sb");
	u32 s_type = g_kernel_offset(g, loc, "struct super_block", "s_type");
	u32 type_name = g_kernel_offset(g, loc, "struct file_system_type", "name");
	u32 done = ir_label(g->f);
	vreg dentry = rt_word(g, w, P_DENTRY);
	vreg type = g_read_kernel(
		g, (struct mem){ g_read_kernel(g, (struct mem){ dentry, d_sb }, 8), s_type }, 8);

	e_call(g, BPF_FUNC_probe_read_kernel_str, a_mem(mem_add(w, P_TEXT * 8)), a_imm(8),
	       a_reg(g_read_kernel(g, (struct mem){ type, type_name }, 8)));
	for (u32 k = 0; k < DT_NELEM(rows); k++) {
		u32 other = ir_label(g->f);

		e_jcc(g, BPF_JNE, rt_word(g, w, P_TEXT), e_movi(g, packed(rows[k].fs)), other);
		if (rows[k].inode)
			put_inode(g, buf, rows[k].text, dentry, loc);
		else
			put_between(g, buf, rows[k].text, "", dentry, loc);
		e_jmp(g, done);
		e_label(g, other);
	}
	put_between(g, buf, "/", " (deleted)", dentry, loc);
	e_label(g, done);
	rt_seti(g, w, P_POS, 0);
}

/* What is open but not in its directory any more says so. */
static void mark_deleted(struct gen *g, struct mem w, struct mem buf, struct dt_loc loc)
{
	static const char text[] = " (deleted)";
	u32 d_parent = g_kernel_offset(g, loc, "struct dentry", "d_parent");
	u32 pprev = g_kernel_offset(g, loc, "struct dentry", "d_hash") +
		    g_kernel_offset(g, loc, "struct hlist_bl_node", "pprev");
	u32 no = ir_label(g->f);
	vreg dentry = rt_word(g, w, P_DENTRY);

	e_jcci(g, BPF_JNE, g_read_kernel(g, (struct mem){ dentry, pprev }, 8), 0, no);
	e_jcc(g, BPF_JEQ, g_read_kernel(g, (struct mem){ dentry, d_parent }, 8), dentry, no);
	rt_seti(g, w, P_POS, PATH_ROOM - (s64)sizeof(text));
	put_text(g, mem_add(buf, PATH_ROOM - sizeof(text)), text);
	e_label(g, no);
}

void into_d_path(struct gen *g, const struct dt_node *n, struct mem dst, u32 size)
{
	u32 dentry = g_kernel_offset(g, n->loc, "struct path", "dentry");
	u32 mnt = g_kernel_offset(g, n->loc, "struct path", "mnt");
	u32 placed = ir_label(g->f), copy = ir_label(g->f);
	struct mem path = g_tmp(g, 16), buf = g_tmp(g, BUF_ROOM);

	subr_fetch(g, n, 0, 0, path, 16);
	struct mem w =
		path_words(g, e_ld(g, mem_add(path, dentry), 8), e_ld(g, mem_add(path, mnt), 8));

	set_root(g, w, n->loc);
	mark_deleted(g, w, buf, n->loc);
	walk_up(g, w, buf);
	e_jcci(g, BPF_JEQ, rt_word(g, w, P_PSEUDO), 0, placed);
	pseudo_path(g, buf, w, n->loc);
	e_jmp(g, copy);
	e_label(g, placed);
	e_jcci(g, BPF_JNE, rt_word(g, w, P_POS), PATH_ROOM - 1, copy);
	put_text(g, buf, "/"); /* the root itself */
	rt_seti(g, w, P_POS, 0);
	e_label(g, copy);
	copy_from(g, dst, size, buf, rt_word(g, w, P_POS));
}

/* ---- arguments of the process ----------------------------------------------------------------------------- */

/* A blank for each NUL but the last; words: length, at 0: text. */
static void body_execargs(struct gen *g, const struct rt_body *b, u32 limit, u32 unused)
{
	u32 in = ir_label(g->f), go = ir_label(g->f), inside = ir_label(g->f);

	(void)unused;
	e_jcci(g, BPF_JLT, b->idx, limit, in);
	rt_stop(g);
	e_label(g, in);
	vreg p = e_alu(g, IR_ADD, rt_ptr(g, b, 0), b->idx);

	e_jcc(g, BPF_JLT, e_alui(g, IR_ADD, b->idx, 1), rt_word(g, rt_own_words(g, b), 0), inside);
	rt_stop(g);
	e_label(g, inside);
	e_jcci(g, BPF_JNE, e_ld(g, (struct mem){ p, 0 }, 1), 0, go);
	e_sti(g, (struct mem){ p, 0 }, 1, ' ');
	e_label(g, go);
	rt_next(g);
}

void g_into_execargs(struct gen *g, const struct dt_node *n, struct mem dst, u32 size)
{
	static const struct rt_kind kind = { "execargs", body_execargs };
	u32 start_off = g_kernel_offset(g, n->loc, "struct mm_struct", "arg_start");
	u32 end_off = g_kernel_offset(g, n->loc, "struct mm_struct", "arg_end");
	u32 mm_off = g_kernel_offset(g, n->loc, "struct task_struct", "mm");
	u32 none = ir_label(g->f), end = ir_label(g->f);
	vreg task = e_call0(g, BPF_FUNC_get_current_task);
	vreg mm = g_read_kernel(g, (struct mem){ task, mm_off }, 8);
	vreg start = g_read_kernel(g, (struct mem){ mm, start_off }, 8);
	vreg len = e_alu(g, IR_SUB, g_read_kernel(g, (struct mem){ mm, end_off }, 8), start);
	vreg n1 = g_at_most(g, len, size - 1);
	struct mem w = rt_words(g, &n1, 1, 0);

	e_jcci(g, BPF_JEQ, start, 0, none);
	vreg rc = g_try_user(g, dst, a_reg(n1), start);

	e_jcci(g, BPF_JNE, rc, 0, none);
	vreg n2 = g_at_most(g, rt_word(g, w, 0), size - 1);

	e_sti(g, (struct mem){ e_alu(g, IR_ADD, e_addr(g, dst), n2), 0 }, 1, 0);
	rt_loop(g, size, &kind, size, 0, w, &dst, 1);
	e_jmp(g, end);
	e_label(g, none); /* a kernel thread, or its memory is not there */
	e_call(g, BPF_FUNC_get_current_comm, a_mem(dst), a_imm(DT_MIN(size, 16)));
	e_label(g, end);
}
