/* SPDX-License-Identifier: Apache-2.0 */
/*
 * abi.c - what a program gets from the event that it hangs on: a row per kind of context says what type of
 * program that takes, which of the attach point's probes fired, and where argN come from.
 */
#include "codegen/gen.h"

static vreg errinfo_arg(struct gen *g, u32 n)
{
	static const struct {
		u16 off, size;
	} field[] = { { 0, 0 },
		      { offsetof(struct dt_rec_fault, epid), 4 },
		      { offsetof(struct dt_rec_fault, action), 4 },
		      { offsetof(struct dt_rec_fault, offset), 4 },
		      { offsetof(struct dt_rec_fault, fault), 4 },
		      { offsetof(struct dt_rec_fault, addr), 8 } };

	if (n == 0 || n >= DT_NELEM(field))
		return e_movi(g, 0);
	return e_ld(g, (struct mem){ g->errinfo, field[n].off }, field[n].size);
}

/* ---- tracepoints ----------------------------------------------------------------------------------------- */

/* The verifier refuses to look past the arguments that there are. */
static vreg raw_tp_arg(struct gen *g, u32 n)
{
	return n < g->set->at->nargs ? e_ld(g, (struct mem){ g->ctx, n * 8 }, 8) : e_movi(g, 0);
}

/* ---- functions of the kernel ------------------------------------------------------------------------------- */

static vreg kprobe_arg(struct gen *g, u32 n)
{
	const u32 nregs = DT_NELEM(dt_arch_func_arg);

	if (n >= g->set->at->nargs)
		return e_movi(g, 0);
	if (n < nregs)
		return e_ld(g, (struct mem){ g->ctx, dt_arch_func_arg[n] }, 8);
	vreg sp = e_ld(g, (struct mem){ g->ctx, DT_ARCH_SP }, 8);

	return g_read_kernel(g, (struct mem){ sp, DT_ARCH_STACK_ARGS + (s64)(n - nregs) * 8 }, 8);
}

/* Of a return: arg0 would be the place in the function, which is not known; arg1 is the value. */
static vreg return_arg(struct gen *g, u32 n, s64 value_off)
{
	if (n == 1 && g->set->at->returns)
		return e_ld(g, (struct mem){ g->ctx, value_off }, 8);
	return e_movi(g, n == 0 ? -1 : 0);
}

static vreg kretprobe_arg(struct gen *g, u32 n)
{
	return return_arg(g, n, DT_ARCH_RETVAL);
}

static vreg fexit_arg(struct gen *g, u32 n)
{
	return return_arg(g, n, 8 * (s64)g->set->at->nargs);
}

/* ---- timers ---------------------------------------------------------------------------------------------- */

/* The event counts nanoseconds of its CPU and is due at every multiple of the period: what is above is lateness. */
static vreg lateness(struct gen *g)
{
	struct mem value = mem_fp(ir_slot(g->f, sizeof(struct bpf_perf_event_value)));
	vreg d = e_movi(g, 0);
	u32 skip = ir_label(g->f);
	vreg rc = e_call(g, BPF_FUNC_perf_prog_read_value, a_reg(g->ctx), a_mem(value),
			 a_imm(sizeof(struct bpf_perf_event_value)));

	e_jcci(g, BPF_JNE, rc, 0, skip);
	vreg count = e_ld(g, value, 8);

	e_set(g, d, e_alu(g, IR_MOD, count, e_movi(g, (s64)g->set->at->period_ns)));
	e_label(g, skip);
	return d;
}

/* arg0: the interrupted pc when it was in the kernel, arg1: when it was in user mode. */
static vreg profile_arg(struct gen *g, u32 n)
{
	if (n == 2)
		return lateness(g);
	vreg d = e_movi(g, 0);
	u32 skip = ir_label(g->f);

	if (n > 2)
		return d;
	vreg user =
		e_alui(g, IR_AND, e_ld(g, (struct mem){ g->ctx, DT_ARCH_CS }, 8), DT_ARCH_CS_USER);

	e_jcci(g, n == 0 ? BPF_JNE : BPF_JEQ, user, 0, skip);
	e_set(g, d, e_ld(g, (struct mem){ g->ctx, DT_ARCH_IP }, 8));
	e_label(g, skip);
	return d;
}

/* ---- user code -------------------------------------------------------------------------------------------- */

static vreg cookie(struct gen *g)
{
	return e_call(g, BPF_FUNC_get_attach_cookie, a_reg(g->ctx));
}

static vreg user_key(struct gen *g)
{
	return e_zext32(g, cookie(g));
}

/* What lies at an address of the process; 0 when it cannot be read. */
vreg g_peek_user(struct gen *g, struct mem m, u32 size)
{
	s32 slot = ir_slot(g->f, 8);

	e_sti(g, mem_fp(slot), 8, 0);
	e_call(g, BPF_FUNC_probe_read_user, a_fp(slot), a_imm(size), a_mem(m));
	return e_ld(g, mem_fp(slot), 8);
}

/* The first ones are in registers, the others on the stack, behind the return address. */
static vreg uentry_arg(struct gen *g, u32 n)
{
	const u32 nregs = DT_NELEM(dt_arch_func_arg);

	if (n < nregs)
		return e_ld(g, (struct mem){ g->ctx, dt_arch_func_arg[n] }, 8);
	vreg sp = e_ld(g, (struct mem){ g->ctx, DT_ARCH_SP }, 8);

	return g_peek_user(g, (struct mem){ sp, DT_ARCH_STACK_ARGS + (s64)(n - nregs) * 8 }, 8);
}

static vreg ureturn_arg(struct gen *g, u32 n)
{
	if (n == 1)
		return e_ld(g, (struct mem){ g->ctx, DT_ARCH_RETVAL }, 8);
	return e_movi(g, n == 0 ? -1 : 0);
}

/* ---- static probes: a row of globals says where each argument is ----------------------------------------- */

static void usdt_row(struct gen *g)
{
	const struct dt_userset *u = g_uargs(g);
	struct mem m = g_globals_mem(g, u->uargs_off);
	vreg row = e_alui(g, IR_AND, e_alui(g, IR_SHR, cookie(g), 32), (s64)u->nuargs - 1);

	g->uarg_row =
		e_alu(g, IR_ADD, m.p, e_alui(g, IR_MUL, row, DT_MAXARGS * sizeof(struct dt_uarg)));
}

#define UARG(n, field) ((s64)((n) * sizeof(struct dt_uarg) + offsetof(struct dt_uarg, field)))

/* v += the register whose offset is in the row << the scale, when there is one. */
static void add_reg(struct gen *g, vreg v, vreg off, vreg scale)
{
	u32 none = ir_label(g->f);
	s32 slot = ir_slot(g->f, 8);

	e_jcci(g, BPF_JEQ, off, DT_UARG_NOREG, none);
	e_call(g, BPF_FUNC_probe_read_kernel, a_fp(slot), a_imm(8),
	       a_reg(e_alu(g, IR_ADD, g->ctx, off)));
	vreg r = e_ld(g, mem_fp(slot), 8);

	e_set(g, v, e_alu(g, IR_ADD, v, scale ? e_alu(g, IR_SHL, r, scale) : r));
	e_label(g, none);
}

/* v = size bytes at v, or 0 when they cannot be read */
static void load_user(struct gen *g, vreg v, vreg row_size)
{
	s32 slot = ir_slot(g->f, 8);
	u32 bad = ir_label(g->f);
	vreg size = e_bounded(g, row_size), addr = e_mov(g, v);

	e_sti(g, mem_fp(slot), 8, 0);
	e_jcci(g, BPF_JGT, size, 8, bad);
	e_call(g, BPF_FUNC_probe_read_user, a_fp(slot), a_reg(size), a_reg(addr));
	e_label(g, bad);
	e_set(g, v, e_ld(g, mem_fp(slot), 8));
}

static vreg usdt_arg(struct gen *g, u32 n)
{
	struct mem m = { g->uarg_row, 0 };
	u32 done = ir_label(g->f), fit = ir_label(g->f), low = ir_label(g->f),
	    is_signed = ir_label(g->f), loaded = ir_label(g->f);
	vreg v = e_movi(g, 0);

	vreg kind = e_ld(g, mem_add(m, UARG(n, kind)), 1);

	e_jcci(g, BPF_JEQ, kind, DT_UARG_NONE, done);
	e_set(g, v, e_ld(g, mem_add(m, UARG(n, disp)), 8));
	e_jcci(g, BPF_JEQ, kind, DT_UARG_CONST, fit);
	add_reg(g, v, e_ld(g, mem_add(m, UARG(n, base)), 2), 0);
	add_reg(g, v, e_ld(g, mem_add(m, UARG(n, index)), 2), e_ld(g, mem_add(m, UARG(n, scale)), 1));
	e_jcci(g, BPF_JNE, kind, DT_UARG_MEM, loaded);
	load_user(g, v, e_ld(g, mem_add(m, UARG(n, size)), 1));
	e_label(g, loaded);
	e_label(g, fit);
	vreg flags = e_ld(g, mem_add(m, UARG(n, flags)), 1);
	vreg unused =
		e_alui(g, IR_ADD,
		       e_neg(g, e_alui(g, IR_SHL, e_ld(g, mem_add(m, UARG(n, size)), 1), 3)), 64);

	e_jcci(g, BPF_JEQ, e_alui(g, IR_AND, flags, DT_UARG_HIGH), 0, low);
	e_set(g, v, e_alui(g, IR_SHR, v, 8));
	e_label(g, low);
	e_set(g, v, e_alu(g, IR_SHL, v, unused));
	e_jcci(g, BPF_JNE, e_alui(g, IR_AND, flags, DT_UARG_SIGNED), 0, is_signed);
	e_set(g, v, e_alu(g, IR_SHR, v, unused));
	e_jmp(g, done);
	e_label(g, is_signed);
	e_set(g, v, e_alu(g, IR_SAR, v, unused));
	e_label(g, done);
	return v;
}

/* ---- the table ------------------------------------------------------------------------------------------- */

static vreg no_arg(struct gen *g, u32 n)
{
	(void)n;
	return e_movi(g, 0);
}

static const struct abi abis[] = {
	[DT_ABI_NONE] = { .prog_type = BPF_PROG_TYPE_RAW_TRACEPOINT, .machinery = 1, .arg = no_arg },
	[DT_ABI_ERROR] = { .prog_type = BPF_PROG_TYPE_RAW_TRACEPOINT, .arg = no_arg },
	[DT_ABI_SYS_ENTER] = { .prog_type = BPF_PROG_TYPE_RAW_TRACEPOINT,
			       .machinery = 2,
			       .key = g_sys_enter_key,
			       .before = g_sys_find_regs,
			       .arg = g_sys_enter_arg },
	[DT_ABI_SYS_EXIT] = { .prog_type = BPF_PROG_TYPE_RAW_TRACEPOINT,
			      .machinery = 2,
			      .key = g_sys_exit_key,
			      .arg = g_sys_exit_arg },
	[DT_ABI_RAW_TP] = { .prog_type = BPF_PROG_TYPE_RAW_TRACEPOINT,
			    .machinery = 2,
			    .arg = raw_tp_arg },
	[DT_ABI_TP_BTF] = { .prog_type = BPF_PROG_TYPE_TRACING,
			    .attach_type = BPF_TRACE_RAW_TP,
			    .typed = true,
			    .machinery = 2,
			    .arg = raw_tp_arg },
	[DT_ABI_UENTRY] = { .prog_type = BPF_PROG_TYPE_KPROBE, .key = user_key, .arg = uentry_arg },
	[DT_ABI_URETURN] = { .prog_type = BPF_PROG_TYPE_KPROBE, .key = user_key, .arg = ureturn_arg },
	[DT_ABI_UINSN] = { .prog_type = BPF_PROG_TYPE_KPROBE, .key = user_key, .arg = no_arg },
	[DT_ABI_KPROBE] = { .prog_type = BPF_PROG_TYPE_KPROBE, .arg = kprobe_arg },
	[DT_ABI_KRETPROBE] = { .prog_type = BPF_PROG_TYPE_KPROBE, .arg = kretprobe_arg },
	[DT_ABI_FENTRY] = { .prog_type = BPF_PROG_TYPE_TRACING,
			    .attach_type = BPF_TRACE_FENTRY,
			    .typed = true,
			    .machinery = 2,
			    .arg = raw_tp_arg },
	[DT_ABI_FEXIT] = { .prog_type = BPF_PROG_TYPE_TRACING,
			   .attach_type = BPF_TRACE_FEXIT,
			   .typed = true,
			   .machinery = 2,
			   .arg = fexit_arg },
	[DT_ABI_USDT] = { .prog_type = BPF_PROG_TYPE_KPROBE,
			  .key = user_key,
			  .before = usdt_row,
			  .arg = usdt_arg },
	[DT_ABI_PROFILE] = { .prog_type = BPF_PROG_TYPE_PERF_EVENT, .arg = profile_arg },
};

const struct abi *g_abi(const struct gen *g)
{
	return &abis[g->set->abi];
}

bool g_arg_is_typed(struct gen *g, u32 n)
{
	return !g->errinfo && g_abi(g)->typed && n < 32 && (g->set->at->pointers >> n & 1);
}

vreg g_typed_arg(struct gen *g, u32 n)
{
	return g_abi(g)->arg(g, n);
}

vreg g_raw_arg(struct gen *g, u32 n)
{
	if (g->errinfo)
		return errinfo_arg(g, n);
	return g_arg_is_typed(g, n) ? e_launder(g, g_typed_arg(g, n)) : g_abi(g)->arg(g, n);
}

bool g_at_entry(const struct gen *g)
{
	return !g->errinfo && g->set->at->abi == DT_ABI_UENTRY;
}

vreg g_return_address(struct gen *g)
{
	vreg sp = e_ld(g, (struct mem){ g->ctx, DT_ARCH_SP }, 8);

	return g_peek_user(g, (struct mem){ sp, 0 }, 8);
}

u32 g_machinery_frames(const struct gen *g)
{
	return g_abi(g)->machinery;
}

void g_prog_name(const struct at_set *s, u32 index, char name[16])
{
	const struct dt_attach *at = s->at;

	static const char *const fixed[] = {
		[DT_AT_BEGIN] = "dt_begin", [DT_AT_END] = "dt_end", [DT_AT_ERROR] = "dt_error"
	};

	if ((size_t)at->kind < DT_NELEM(fixed))
		snprintf(name, 16, "%s", fixed[at->kind]);
	else if (s->shared)
		snprintf(name, 16, "dt_shared%u", index % 100000);
	else if (at->target)
		snprintf(name, 16, "dt_%.12s", at->target);
	else
		snprintf(name, 16, "dt_timer%u", index % 1000000);
}
