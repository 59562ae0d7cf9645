/* SPDX-License-Identifier: Apache-2.0 */
/*
 * task.c - built-in variables about the running thread: its stacks, its registers, where it belongs.
 *
 * What is a member of a kernel structure is written in D, in the libraries of d/; here is what needs the kernel's help.
 */
#include "codegen/gen.h"

#define STACK_MOST 127 /* frames that the kernel walks (kernel.perf_event_max_stack) */

u32 g_kernel_offset(struct gen *g, struct dt_loc loc, const char *type, const char *member)
{
	struct dt_type *t = dt_types_lookup(g->env->types, type);
	u64 bits = 0;

	if (!t || !dt_type_member(dt_type_resolve(t), member, &bits))
		g_fail(g, &loc, "the kernel's type information (BTF) has no %s in %s", member, type);
	return (u32)(bits / 8);
}

vreg g_read_kernel(struct gen *g, struct mem m, u32 size)
{
	s32 slot = ir_slot(g->f, 8);

	e_call(g, BPF_FUNC_probe_read_kernel, a_fp(slot), a_imm(size), a_mem(m));
	return e_ld(g, mem_fp(slot), size);
}

/* ---- stacks -------------------------------------------------------------------------------------------- */

/* At a function's first instruction the caller's frame is still the current one, so that walking frame pointers
 * passes the caller over; its address is on top of the stack.  Newer kernels know, but for functions without a
 * frame of their own. */
void g_user_stack(struct gen *g, struct mem m, u32 frames)
{
	u32 passed_over = ir_label(g->f), done = ir_label(g->f);

	if (!g_at_entry(g) || frames < 3) {
		e_call(g, BPF_FUNC_get_stack, a_reg(g->ctx), a_mem(m), a_imm(frames * 8),
		       a_imm(BPF_F_USER_STACK));
		return;
	}
	vreg caller = g_return_address(g);

	e_sti(g, mem_add(m, 16), 8, 0);
	e_call(g, BPF_FUNC_get_stack, a_reg(g->ctx), a_mem(mem_add(m, 8)), a_imm((frames - 1) * 8),
	       a_imm(BPF_F_USER_STACK));
	e_jcc(g, BPF_JNE, e_ld(g, mem_add(m, 16), 8), caller, passed_over);
	e_call(g, BPF_FUNC_get_stack, a_reg(g->ctx), a_mem(m), a_imm(frames * 8),
	       a_imm(BPF_F_USER_STACK));
	e_jmp(g, done);
	e_label(g, passed_over);
	e_st(g, m, 8, e_ld(g, mem_add(m, 8), 8));
	e_st(g, mem_add(m, 8), 8, caller);
	e_label(g, done);
}

/* A thread that is not running has its stack as it was left. */
vreg g_kernel_stack(struct gen *g, struct mem m, u32 frames)
{
	if (g_other_thread(g))
		return e_call(g, BPF_FUNC_get_task_stack, a_reg(g_thread_btf(g)), a_mem(m),
			      a_imm(frames * 8), a_imm(0));
	return e_call(g, BPF_FUNC_get_stack, a_reg(g->ctx), a_mem(m), a_imm(frames * 8),
		      a_imm(g_machinery_frames(g)));
}

/* Frames to m; bytes, negative when there is no such stack. */
static vreg get_stack(struct gen *g, struct mem m, u32 frames, bool user)
{
	if (!user)
		return g_kernel_stack(g, m, frames);
	return e_call(g, BPF_FUNC_get_stack, a_reg(g->ctx), a_mem(m), a_imm(frames * 8),
		      a_imm(BPF_F_USER_STACK));
}

vreg g_caller(struct gen *g, const struct dt_node *n)
{
	struct mem m = g_tmp(g, 16);

	if (n->builtin->id == DT_B_UCALLER && g_at_entry(g))
		return g_return_address(g);
	e_sti(g, mem_add(m, 8), 8, 0);
	get_stack(g, m, 2, n->builtin->id == DT_B_UCALLER);
	return e_ld(g, mem_add(m, 8), 8);
}

vreg g_stackdepth(struct gen *g, const struct dt_node *n)
{
	struct mem m = g_tmp(g, STACK_MOST * 8);
	vreg size = e_mov(g, get_stack(g, m, STACK_MOST, n->builtin->id == DT_B_USTACKDEPTH));
	u32 ok = ir_label(g->f);

	e_jcci(g, BPF_JSGE, size, 0, ok);
	e_seti(g, size, 0);
	e_label(g, ok);
	return e_alui(g, IR_SHR, size, 3);
}

/* ---- user registers -------------------------------------------------------------------------------------- */

/* Those that the kernel saves when it is entered, in the order of struct pt_regs. */
#define SAVED_REGS 21

static const char *const segments[DT_NUREGS - SAVED_REGS] = { "fsbase", "gsbase",  "ds",
							      "es",     "fsindex", "gsindex" };

static vreg segment(struct gen *g, const struct dt_node *n, const char *member)
{
	u32 off = g_kernel_offset(g, n->loc, "struct task_struct", "thread") +
		  g_kernel_offset(g, n->loc, "struct thread_struct", member);
	vreg task = e_call0(g, BPF_FUNC_get_current_task);

	return g_read_kernel(g, (struct mem){ task, off }, member[2] == 'b' ? 8 : 2);
}

vreg g_uregs(struct gen *g, const struct dt_node *n)
{
	const struct dt_node *i = n->l;

	if (!g->opts->has_task_btf) {
		g_fail(g, &n->loc, "uregs[ ] needs a kernel with the helper bpf_task_pt_regs");
		return e_movi(g, 0);
	}
	if (i->op == N_INT && i->val >= SAVED_REGS)
		return segment(g, n, segments[DT_MIN(i->val, DT_NUREGS - 1) - SAVED_REGS]);
	vreg index = i->op == N_INT ? 0 : g_expr(g, i);

	if (index)
		g_fault_unless(g, BPF_JLT, index, SAVED_REGS, DTRACEFLT_BADINDEX, index, n->loc);
	vreg regs = e_call(g, BPF_FUNC_task_pt_regs, a_reg(g_current_task_btf(g)));

	if (!index)
		return g_read_kernel(g, (struct mem){ regs, (s64)i->val * 8 }, 8);
	vreg at = e_alu(g, IR_ADD, e_launder(g, regs), e_alui(g, IR_SHL, index, 3));

	return g_read_kernel(g, (struct mem){ at, 0 }, 8);
}

/* ---- groups ---------------------------------------------------------------------------------------------- */

vreg g_cgroup(struct gen *g, const struct dt_node *n)
{
	(void)n;
	return e_call0(g, BPF_FUNC_get_current_cgroup_id);
}

/* ---- time on a processor --------------------------------------------------------------------------------- */

#define TICK \
	10000000 /* ns: the scheduler brings a running thread's time up to date at least so often */

/* A member of the running thread's scheduling entity. */
static vreg sched_word(struct gen *g, struct dt_loc loc, vreg task, const char *member)
{
	u32 off = g_kernel_offset(g, loc, "struct task_struct", "se") +
		  g_kernel_offset(g, loc, "struct sched_entity", member);
	struct mem m = { task, off };

	return g->opts->has_task_btf && !g->opts->no_direct ? e_ld(g, m, 8) : g_read_kernel(g, m, 8);
}

/* The scheduler adds to a thread's time at ticks and switches, and notes when by a clock of its own.  Programs
 * cannot read that clock, but it runs along with the monotonic one: the least difference ever seen, right after the
 * scheduler looked, is the distance between the two, and the rest is time since then.  It never exceeds
 * a tick, whatever happens to the clocks, and a thread's time never goes back. */
vreg g_vtimestamp(struct gen *g, const struct dt_node *n)
{
	struct mem dist = g_globals_mem(g, DT_GL_CLOCKOFF);
	vreg task = g_current_task_btf(g);
	u32 fresh = ir_label(g->f), less = ir_label(g->f), soon = ir_label(g->f);
	u32 later = ir_label(g->f), done = ir_label(g->f);
	vreg sum = sched_word(g, n->loc, task, "sum_exec_runtime");
	vreg ahead = e_alu(g, IR_SUB, e_call0(g, BPF_FUNC_ktime_get_ns),
			   sched_word(g, n->loc, task, "exec_start"));
	vreg least = e_mov(g, e_ld(g, dist, 8));

	e_jcci(g, BPF_JEQ, least, 0, fresh);
	e_jcc(g, BPF_JSLE, least, ahead, less);
	e_label(g, fresh);
	e_set(g, least, ahead);
	e_st(g, dist, 8, least);
	e_label(g, less);
	vreg since = e_mov(g, e_alu(g, IR_SUB, ahead, least));

	e_jcci(g, BPF_JLE, since, TICK, soon);
	e_seti(g, since, TICK);
	e_st(g, dist, 8, e_alui(g, IR_SUB, ahead, TICK));
	e_label(g, soon);
	vreg v = e_mov(g, e_alu(g, IR_ADD, sum, since));
	vreg last = e_call(g, BPF_FUNC_task_storage_get, a_map(g_map_vtime(g)), a_reg(task),
			   a_imm(0), a_imm(BPF_LOCAL_STORAGE_GET_F_CREATE));

	e_jcci(g, BPF_JEQ, last, 0, done);
	vreg before = e_ld(g, (struct mem){ last, 0 }, 8);

	e_jcc(g, BPF_JGE, v, before, later);
	e_set(g, v, before);
	e_label(g, later);
	e_st(g, (struct mem){ last, 0 }, 8, v);
	e_label(g, done);
	return v;
}

/* ---- processors ------------------------------------------------------------------------------------------ */

/* From a table made at compile time: a kernel without data symbols does not say. */
vreg g_cpu_place(struct gen *g, const struct dt_node *n)
{
	u32 ncpus = DT_MAX(g->opts->ncpus, 1), out = ir_label(g->f);
	u32 *table = dt_arena_alloc(g->arena, ncpus * sizeof(*table));

	for (u32 cpu = 0; cpu < ncpus; cpu++) {
		u32 chip = 0, node = 0;

		if (g->env->cpu_place && g->env->cpu_place(g->env->arg, cpu, &chip, &node) == 0)
			table[cpu] = n->subr->id == DT_S_CHIP ? chip : node;
	}
	struct mem m = g_rodata_mem(g, g_rodata(g, table, ncpus * (u32)sizeof(*table), 8));
	vreg d = e_movi(g, 0), cpu = e_bounded(g, g_expr(g, n->args[0]));

	e_jcci(g, BPF_JGE, cpu, ncpus, out);
	vreg p = e_alu(g, IR_ADD, e_addr(g, m), e_alui(g, IR_SHL, cpu, 2));

	e_set(g, d, e_ld(g, (struct mem){ p, 0 }, 4));
	e_label(g, out);
	return d;
}
