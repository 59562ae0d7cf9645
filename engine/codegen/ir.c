/* SPDX-License-Identifier: Apache-2.0 */
/* Building, cleaning and showing the linear form. */
#include <string.h>

#include "codegen/ir.h"

struct ir_func *ir_func_new(struct ir_prog *p, const char *name)
{
	struct ir_func *f = dt_arena_new(p->arena, struct ir_func);

	f->name = name;
	f->index = p->nfuncs;
	if (p->nfuncs == p->cap)
		p->funcs = dt_vec_grow(p->arena, p->funcs, p->nfuncs, &p->cap, sizeof(*p->funcs));
	p->funcs[p->nfuncs++] = f;
	return f;
}

struct ir_insn *ir_emit(struct ir_prog *p, struct ir_func *f, enum ir_op op)
{
	if (f->n == f->cap)
		f->v = dt_vec_grow(p->arena, f->v, f->n, &f->cap, sizeof(*f->v));
	struct ir_insn *i = &f->v[f->n++];

	memset(i, 0, sizeof(*i));
	i->op = op;
	i->loc = p->loc;
	return i;
}

void ir_pin(struct ir_prog *p, struct ir_func *f, vreg r)
{
	*dt_vec_push(p->arena, &f->pinned) = r;
}

s32 ir_slot(struct ir_func *f, u32 size)
{
	f->frame += DT_ROUNDUP(size, 8);
	f->frame_max = DT_MAX(f->frame_max, f->frame);
	return -(s32)f->frame;
}

static bool is_pure(const struct ir_insn *i)
{
	switch (i->op) {
	case IR_MOVI:
	case IR_MOV:
	case IR_NEG:
	case IR_ZEXT32:
	case IR_BSWAP:
	case IR_LD:
	case IR_FP:
	case IR_MAPVAL: return true;
	default: return i->op >= IR_ADD && i->op <= IR_SAR;
	}
}

static void count_uses(const struct ir_insn *i, u32 *uses, int by)
{
	uses[i->a] += by;
	uses[i->b] += by;
	uses[i->c] += by;
	if (i->op == IR_ENTRY)
		return;
	for (u32 k = 0; k < i->nargs; k++)
		uses[i->args[k].r] += by;
}

/* "t = a op b; d = t" with no other use of t: make it in d at once. */
static void join_moves(struct ir_func *f, const u32 *uses, struct dt_arena *a)
{
	u32 *defs = dt_arena_alloc(a, (f->nregs + 1) * sizeof(u32));
	struct ir_insn *prev = NULL;

	for (u32 k = 0; k < f->n; k++)
		defs[f->v[k].d]++;
	for (u32 k = 0; k < f->n; k++) {
		struct ir_insn *i = &f->v[k];

		if (i->op == IR_NOP)
			continue;
		if (i->op == IR_MOV && prev && prev->d == i->a && uses[i->a] == 1 && defs[i->a] == 1) {
			prev->d = i->d;
			i->op = IR_NOP;
			i->a = i->d = 0;
			continue;
		}
		prev = i;
	}
}

static void forget(struct ir_insn *i)
{
	i->op = IR_NOP;
	i->a = i->b = i->c = i->d = 0;
	i->nargs = 0;
}

/* What no jump leads to: the verifier refuses it.  All jumps go forward, so one pass tells. */
static void drop_unreachable(struct ir_func *f, struct dt_arena *a)
{
	bool *wanted = dt_arena_alloc(a, f->nlabels + 1), live = true;

	for (u32 k = 0; k < f->n; k++) {
		struct ir_insn *i = &f->v[k];

		if (i->op == IR_LABEL)
			live |= wanted[i->label];
		else if (!live)
			forget(i);
		if (i->op == IR_JMP || i->op == IR_JCC)
			wanted[i->label] = true;
		if (i->op == IR_JMP || i->op == IR_RET)
			live = false;
	}
}

/* Backwards, so that a chain of unused values goes in one pass.  A value with several definitions (the two arms
 * of ?:) is unused in all or in none. */
void ir_dce(struct ir_func *f, struct dt_arena *a)
{
	u32 *uses = dt_arena_alloc(a, (f->nregs + 1) * sizeof(u32));

	drop_unreachable(f, a);
	for (u32 k = 0; k < f->n; k++)
		count_uses(&f->v[k], uses, 1);
	for (u32 k = f->n; k-- > 0;) {
		struct ir_insn *i = &f->v[k];

		if (!is_pure(i) || uses[i->d])
			continue;
		count_uses(i, uses, -1);
		forget(i);
	}
	join_moves(f, uses, a);
}

/* ---- dump ------------------------------------------------------------------------------------- */

static const char *const op_names[] = {
#define X(op, name) name,
	DT_IR_OPS(X)
#undef X
};

static const char *cond_name(u8 cond)
{
	static const struct {
		u8 code;
		const char *name;
	} names[] = {
		{ BPF_JEQ, "==" }, { BPF_JNE, "!=" },  { BPF_JGT, ">u" }, { BPF_JGE, ">=u" },
		{ BPF_JLT, "<u" }, { BPF_JLE, "<=u" }, { BPF_JSGT, ">" }, { BPF_JSGE, ">=" },
		{ BPF_JSLT, "<" }, { BPF_JSLE, "<=" }, { BPF_JSET, "&" },
	};

	for (size_t k = 0; k < DT_NELEM(names); k++)
		if (names[k].code == cond)
			return names[k].name;
	return "?";
}

struct dumper {
	const struct ir_func *f;
	const struct dt_object *o;
	const struct ir_prog *p;
	bool regs;
	struct dt_str *out;
};

static void put_reg(struct dumper *d, vreg r)
{
	if (!r) {
		dt_str_puts(d->out, "fp");
		return;
	}
	if (!d->regs || !d->f->loc) {
		dt_str_printf(d->out, "v%u", r);
		return;
	}
	s16 loc = d->f->loc[r];

	if (loc == IR_LOC_NONE)
		dt_str_puts(d->out, "-");
	else if (loc < 0)
		dt_str_printf(d->out, "[fp%d]", loc);
	else
		dt_str_printf(d->out, "r%d", loc);
}

static const char *map_name(const struct dumper *d, u32 map)
{
	return d->o && map < d->o->nmaps ? d->o->maps[map].name : "?";
}

static void put_arg(struct dumper *d, const struct ir_arg *a)
{
	switch (a->kind) {
	case IR_A_REG: put_reg(d, a->r); break;
	case IR_A_REGOFF:
		put_reg(d, a->r);
		dt_str_printf(d->out, "%+lld", (long long)a->imm);
		break;
	case IR_A_IMM: dt_str_printf(d->out, "%lld", (long long)a->imm); break;
	case IR_A_MAP: dt_str_printf(d->out, "map %s", map_name(d, a->map)); break;
	case IR_A_FP: dt_str_printf(d->out, "fp%+lld", (long long)a->imm); break;
	case IR_A_MAPVAL:
		dt_str_printf(d->out, "%s%+lld", map_name(d, a->map), (long long)a->imm);
		break;
	case IR_A_FUNC: dt_str_printf(d->out, "&%s", d->p->funcs[a->imm]->name); break;
	}
}

static void put_operand_b(struct dumper *d, const struct ir_insn *i)
{
	if (i->b)
		put_reg(d, i->b);
	else if (i->patch)
		dt_str_printf(d->out, "<patch %d>", i->patch - 1);
	else
		dt_str_printf(d->out, "%lld", (long long)i->imm);
}

static void put_mem(struct dumper *d, const struct ir_insn *i)
{
	dt_str_printf(d->out, "u%u [", i->size * 8);
	put_reg(d, i->a);
	dt_str_printf(d->out, "%+d]", i->off);
}

static void put_call(struct dumper *d, const struct ir_insn *i)
{
	dt_str_printf(d->out, "%s(",
		      i->op == IR_CALL  ? dt_bpf_helper_name((u32)i->imm) :
		      i->op == IR_CALLK ? "kernel" :
					  d->p->funcs[i->imm]->name);
	for (u32 k = 0; k < i->nargs; k++) {
		if (k)
			dt_str_puts(d->out, ", ");
		put_arg(d, &i->args[k]);
	}
	dt_str_putc(d->out, ')');
}

static void dump_insn(struct dumper *d, const struct ir_insn *i)
{
	struct dt_str *out = d->out;

	if (i->op == IR_LABEL) {
		dt_str_printf(out, "L%u:\n", i->label);
		return;
	}
	dt_str_putc(out, '\t');
	if (i->d) {
		put_reg(d, i->d);
		dt_str_puts(out, " = ");
	}
	dt_str_puts(out, op_names[i->op]);
	dt_str_putc(out, ' ');
	switch (i->op) {
	case IR_ENTRY:
		for (u32 k = 0; k < i->nargs; k++) {
			if (k)
				dt_str_puts(out, ", ");
			put_reg(d, i->args[k].r);
		}
		break;
	case IR_MOVI: dt_str_printf(out, "%lld", (long long)i->imm); break;
	case IR_LD: put_mem(d, i); break;
	case IR_ST:
	case IR_XADD:
		put_mem(d, i);
		dt_str_puts(out, ", ");
		put_operand_b(d, i);
		break;
	case IR_CMPXCHG:
		put_mem(d, i);
		dt_str_puts(out, ", ");
		put_reg(d, i->b);
		dt_str_puts(out, " -> ");
		put_reg(d, i->c);
		break;
	case IR_FP: dt_str_printf(out, "%+d", i->off); break;
	case IR_MAPVAL: dt_str_printf(out, "%s%+d", map_name(d, (u32)i->imm), i->off); break;
	case IR_JMP: dt_str_printf(out, "L%u", i->label); break;
	case IR_JCC:
		put_reg(d, i->a);
		dt_str_printf(out, " %s ", cond_name(i->cond));
		put_operand_b(d, i);
		dt_str_printf(out, " L%u", i->label);
		break;
	case IR_CALL:
	case IR_CALLK:
	case IR_CALLSUB: put_call(d, i); break;
	case IR_RET:
		if (i->a)
			put_reg(d, i->a);
		else
			dt_str_printf(out, "%lld", (long long)i->imm);
		break;
	case IR_BSWAP:
		put_reg(d, i->a);
		dt_str_printf(out, ", %lld", (long long)i->imm);
		break;
	default:
		if (i->a)
			put_reg(d, i->a);
		if (i->op >= IR_ADD && i->op <= IR_SAR) {
			dt_str_puts(out, ", ");
			put_operand_b(d, i);
		}
	}
	dt_str_putc(out, '\n');
}

void ir_dump(const struct ir_prog *p, const struct dt_object *o, bool with_regs, struct dt_str *out)
{
	for (u32 k = 0; k < p->nfuncs; k++) {
		struct dumper d = { p->funcs[k], o, p, with_regs, out };

		dt_str_printf(out, "%s:\n", p->funcs[k]->name);
		for (u32 j = 0; j < p->funcs[k]->n; j++)
			if (p->funcs[k]->v[j].op != IR_NOP)
				dump_insn(&d, &p->funcs[k]->v[j]);
	}
}
