/* SPDX-License-Identifier: Apache-2.0 */
/*
 * python.c - jstack(): the frames of CPython's interpreter, read while the thread stands still at the probe.
 *
 * The consumer keeps a map from processes to where their interpreter keeps things (struct dt_py_layout), which differs
 * between versions.  From there: the main interpreter's thread states, the one of this thread by its id, and its
 * chain of frames.  Names go into the record one behind the other.  Everything read is the process's; a read that
 * fails gives zeros, and a zero ends the walk.
 */
#include "codegen/rt.h"

#define MOST_THREADS 1024
#define NAME_BYTES 128
#define FILE_BYTES 256

#define FIELD(f) ((s64)offsetof(struct dt_py_layout, f))

static vreg layout_word(struct gen *g, vreg layout, s64 field)
{
	return e_ld(g, (struct mem){ layout, field }, 8);
}

static vreg user_read(struct gen *g, vreg addr, u32 size)
{
	u32 frame = g->f->frame;
	s32 slot = ir_slot(g->f, 8);
	vreg v;

	e_call(g, BPF_FUNC_probe_read_user, a_fp(slot), a_imm(size),
	       a_reg(addr)); /* zeros when it fails */
	v = e_ld(g, mem_fp(slot), size);
	g->f->frame = frame;
	return v;
}

/* What is at an offset, which the layout knows, from addr. */
static vreg user_field(struct gen *g, vreg addr, vreg layout, s64 field, u32 size)
{
	return user_read(g, e_alu(g, IR_ADD, addr, layout_word(g, layout, field)), size);
}

/* ---- the thread ---------------------------------------------------------------------------------------------- */

enum { THREAD_AT, THREAD_ID, THREAD_FOUND, THREAD_WORDS };

static void body_thread(struct gen *g, const struct rt_body *b, u32 b1, u32 b2)
{
	struct mem w = rt_own_words(g, b);
	u32 end = ir_label(g->f), found = ir_label(g->f);
	vreg layout = rt_ptr(g, b, 0), at = rt_word(g, w, THREAD_AT);

	e_jcci(g, BPF_JEQ, at, 0, end);
	vreg id = user_field(g, at, layout, FIELD(native_id), 8);

	e_jcc(g, BPF_JEQ, id, rt_word(g, w, THREAD_ID), found);
	rt_set(g, w, THREAD_AT, user_field(g, at, layout, FIELD(next), 8));
	rt_next(g);
	e_label(g, found);
	rt_seti(g, w, THREAD_FOUND, 1);
	e_label(g, end);
	rt_stop(g);
}

/* The thread's number in its own pid namespace, as gettid() gives it. */
static vreg own_tid(struct gen *g, struct dt_loc loc)
{
	u32 numbers = g_kernel_offset(g, loc, "struct pid", "numbers");
	u32 each = (u32)dt_type_size(dt_types_lookup(g->env->types, "struct upid"));
	vreg task = e_call0(g, BPF_FUNC_get_current_task);
	vreg pid = g_read_kernel(
		g, (struct mem){ task, g_kernel_offset(g, loc, "struct task_struct", "thread_pid") },
		8);
	vreg level = g_read_kernel(
		g, (struct mem){ pid, g_kernel_offset(g, loc, "struct pid", "level") }, 4);
	vreg at = e_alu(g, IR_ADD, pid, e_alui(g, IR_MUL, level, DT_MAX(each, 1)));

	return g_read_kernel(
		g, (struct mem){ at, numbers + g_kernel_offset(g, loc, "struct upid", "nr") }, 4);
}

/* ---- names --------------------------------------------------------------------------------------------------- */

/* A str object as text at `to`; the bytes it took, NUL included. */
static vreg put_name(struct gen *g, vreg to, u32 size, vreg object, vreg layout)
{
	u32 none = ir_label(g->f), read = ir_label(g->f), end = ir_label(g->f);
	vreg n = e_movi(g, 1), bit = layout_word(g, layout, FIELD(ascii_bit));

	e_jcci(g, BPF_JEQ, object, 0, none);
	e_jcci(g, BPF_JEQ, bit, 0, read);
	vreg state = user_field(g, object, layout, FIELD(state), 4);

	e_jcci(g, BPF_JNE, e_alu(g, IR_AND, state, bit), 0, read);
	e_sti(g, (struct mem){ to, 0 }, 1, '?'); /* wider characters */
	e_sti(g, (struct mem){ to, 1 }, 1, 0);
	e_seti(g, n, 2);
	e_jmp(g, end);
	e_label(g, read);
	vreg text = e_alu(g, IR_ADD, object, layout_word(g, layout, FIELD(ascii)));
	vreg got = e_bounded(g, e_call(g, BPF_FUNC_probe_read_user_str, a_reg(to), a_imm(size),
				       a_reg(text)));

	e_jcci(g, BPF_JSLE, got, 0, none);
	e_jcci(g, BPF_JSGT, got, size, none);
	e_set(g, n, got);
	e_jmp(g, end);
	e_label(g, none);
	e_sti(g, (struct mem){ to, 0 }, 1, 0);
	e_seti(g, n, 1);
	e_label(g, end);
	return e_bounded(g, n);
}

/* ---- frames -------------------------------------------------------------------------------------------------- */

enum { FRAME_AT, FRAME_USED, FRAME_OVER, FRAME_WORDS };

/* Which instruction the frame is at: see DT_PY_UNIT_BITS.  The lines of a function's code are for the consumer. */
static vreg instruction(struct gen *g, vreg frame, vreg code, vreg layout)
{
	u32 fits = ir_label(g->f);
	vreg first = e_alu(g, IR_ADD, code, layout_word(g, layout, FIELD(bytecode)));
	vreg unit = e_alui(g, IR_SHR,
			   e_alu(g, IR_SUB, user_field(g, frame, layout, FIELD(instr), 8), first), 1);

	e_jcci(g, BPF_JLT, unit, DT_PY_UNIT_MAX, fits);
	e_seti(g, unit, DT_PY_UNIT_MAX);
	e_label(g, fits);
	return e_alu(g, IR_OR, e_alui(g, IR_SHL, code, DT_PY_UNIT_BITS), unit);
}

static void body_frame(struct gen *g, const struct rt_body *b, u32 strsize, u32 lines)
{
	struct mem w = rt_own_words(g, b);
	u32 end = ir_label(g->f), over = ir_label(g->f), frame = ir_label(g->f),
	    named = ir_label(g->f);
	vreg layout = rt_ptr(g, b, 0), at = rt_word(g, w, FRAME_AT), used = rt_pos(g, w, FRAME_USED);

	e_jcci(g, BPF_JEQ, at, 0, end);
	e_jcci(g, BPF_JGT, used, strsize, over);
	vreg flag = user_field(g, at, layout, FIELD(flag), 1);
	vreg owner = e_mov(g, flag);
	vreg code =
		e_alui(g, IR_AND, user_field(g, at, layout, FIELD(code), 8), -4); /* may be tagged */

	rt_set(g, w, FRAME_AT, user_field(g, at, layout, FIELD(previous), 8));
	vreg p = e_alu(g, IR_ADD, rt_ptr(g, b, 1), used);
	vreg bottom = layout_word(g, layout, FIELD(bottom)), mark = e_movi(g, 0);
	struct mem head = { p, 0 };

	e_jcci(g, BPF_JEQ, bottom, 0, frame);
	e_seti(g, flag, 0);
	e_jcc(g, BPF_JLT, owner, bottom, frame);
	/* no frame but where C called the interpreter */
	e_sti(g, head, 4, 0);
	e_sti(g, mem_add(head, 4), 4, DT_PY_BOTTOM);
	e_sti(g, mem_add(head, 8), 8, 0);
	rt_set(g, w, FRAME_USED, e_alui(g, IR_ADD, used, DT_PY_ENTRY));
	rt_next(g);
	e_label(g, frame);
	e_jcci(g, BPF_JEQ, flag, 0, named);
	e_seti(g, mark, DT_PY_LAST);
	e_label(g, named);
	e_st(g, head, 4, user_field(g, code, layout, FIELD(firstline), 4));
	e_st(g, mem_add(head, 4), 4, mark);
	if (lines)
		e_st(g, mem_add(head, 8), 8, instruction(g, at, code, layout));
	else
		e_sti(g, mem_add(head, 8), 8, 0);
	vreg q = e_alui(g, IR_ADD, p, DT_PY_ENTRY);
	vreg n = put_name(g, q, NAME_BYTES, user_field(g, code, layout, FIELD(qualname), 8), layout);

	e_jcci(g, BPF_JGT, n, NAME_BYTES, end);
	vreg n2 = put_name(g, e_alu(g, IR_ADD, q, n), FILE_BYTES,
			   user_field(g, code, layout, FIELD(filename), 8), layout);
	vreg total =
		e_alui(g, IR_ADD, e_alu(g, IR_ADD, e_alu(g, IR_ADD, used, n), n2), DT_PY_ENTRY + 7);

	total = e_alui(g, IR_AND, total, -8);
	e_jcci(g, BPF_JGT, total, strsize, over);
	rt_set(g, w, FRAME_USED, total);
	rt_next(g);
	e_label(g, over);
	rt_seti(g, w, FRAME_OVER, 1);
	e_label(g, end);
	rt_stop(g);
}

/* The innermost frame of a thread state. */
static vreg innermost(struct gen *g, vreg thread, vreg layout)
{
	vreg frame = e_mov(g, user_field(g, thread, layout, FIELD(frame), 8));
	u32 direct = ir_label(g->f);

	e_jcci(g, BPF_JEQ, layout_word(g, layout, FIELD(cframe)), -1, direct);
	e_set(g, frame, user_field(g, frame, layout, FIELD(cframe), 8));
	e_label(g, direct);
	return frame;
}

void g_python_stack(struct gen *g, struct dt_loc loc, struct mem m, u32 strsize, u32 frames,
		    bool lines)
{
	static const struct rt_kind thread_kind = { "pythread", body_thread };
	static const struct rt_kind frame_kind = { "pyframe", body_frame };
	struct mem text = mem_add(m, offsetof(struct dt_raw_python, text)), w, layout_mem;
	u32 none = ir_label(g->f), have = ir_label(g->f), frame = g->f->frame;
	s32 key = ir_slot(g->f, 8);
	vreg first[THREAD_WORDS];

	if (!g->opts->has_loop) {
		g_fail(g, &loc, "jstack() needs a kernel with the helper bpf_loop");
		return;
	}
	e_st(g, mem_fp(key), 4, g_tgid(g));
	vreg layout = e_call(g, BPF_FUNC_map_lookup_elem, a_map(g_map_python(g)), a_fp(key));

	e_jcci(g, BPF_JNE, layout, 0, have);
	e_jmp(g, none);
	e_label(g, have);
	layout_mem = (struct mem){ layout, 0 };
	vreg interp = user_read(g, layout_word(g, layout, FIELD(interp)), 8);

	first[THREAD_AT] = user_field(g, interp, layout, FIELD(threads), 8);
	first[THREAD_ID] = own_tid(g, loc);
	w = rt_words(g, first, THREAD_FOUND, 1);
	rt_loop(g, MOST_THREADS, &thread_kind, 0, 0, w, &layout_mem, 1);
	e_jcci(g, BPF_JEQ, rt_word(g, w, THREAD_FOUND), 0, none);
	first[FRAME_AT] = innermost(g, rt_word(g, w, THREAD_AT), layout);
	w = rt_words(g, first, FRAME_USED, 2);
	rt_loop(g, frames, &frame_kind, strsize, lines, w, (const struct mem[]){ layout_mem, text },
		2);
	e_st(g, mem_add(m, offsetof(struct dt_raw_python, used)), 4, rt_word(g, w, FRAME_USED));
	e_st(g, mem_add(m, offsetof(struct dt_raw_python, overflow)), 4, rt_word(g, w, FRAME_OVER));
	e_label(g, none);
	g->f->frame = frame;
}
