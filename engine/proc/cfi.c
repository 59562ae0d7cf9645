/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cfi.c - .eh_frame: an index of its entries, and the machine that runs their instructions (DWARF 5, section 6.4; the
 * differences of .eh_frame are in the Linux Standard Base).
 *
 * The file and the stack are the traced process's to write: every read is inside of what there is, every loop eats
 * input or has a bound, and whatever is not understood ends the walk, not us.
 */
#include "proc/cfi.h"

#include <stdlib.h>
#include <string.h>

#define MAX_ENTRIES (1u << 21)
#define MAX_EXPR_STEPS 512
#define EXPR_STACK 32
#define REMEMBERED 8

struct entry {
	u64 start, end; /* of the code it is for */
	u32 off;        /* of its length, in data */
};

struct dt_cfi {
	u8 *data;
	u64 size, vaddr;
	struct entry *v; /* by start */
	u32 n, cap;
};

/* ---- reading ----------------------------------------------------------------------------------------------- */

struct in {
	const u8 *p, *end;
	bool bad;
};

static u64 get(struct in *in, u32 size)
{
	u64 v = 0;

	if (in->bad || size > (size_t)(in->end - in->p)) {
		in->bad = true;
		in->p = in->end;
		return 0;
	}
	memcpy(&v, in->p, size);
	in->p += size;
	return v;
}

static s64 get_signed(struct in *in, u32 size)
{
	u64 v = get(in, size), sign = UINT64_C(1) << (size * 8 - 1);

	return size < 8 && v & sign ? (s64)(v | ~(sign | (sign - 1))) : (s64)v;
}

static u64 uleb(struct in *in)
{
	u64 v = 0;
	u32 shift = 0;
	u8 b;

	do {
		b = (u8)get(in, 1);
		if (shift < 64)
			v |= (u64)(b & 0x7f) << shift;
		shift += 7;
	} while (b & 0x80);
	return v;
}

static s64 sleb(struct in *in)
{
	u64 v = 0;
	u32 shift = 0;
	u8 b;

	do {
		b = (u8)get(in, 1);
		if (shift < 64)
			v |= (u64)(b & 0x7f) << shift;
		shift += 7;
	} while (b & 0x80);
	if (shift < 64 && b & 0x40)
		v |= UINT64_MAX << shift;
	return (s64)v;
}

static struct in sub(struct in *in, u64 len)
{
	struct in s = { .p = in->p };

	if (in->bad || len > (u64)(in->end - in->p)) {
		in->bad = s.bad = true;
		len = 0;
	}
	in->p += len;
	s.end = in->p;
	return s;
}

/* Pointer encodings. */
#define PE_OMIT 0xff
#define PE_FORMAT 0x0f
#define PE_BASE 0x70
#define PE_PCREL 0x10
#define PE_INDIRECT 0x80

static u64 get_format(struct in *in, u8 enc)
{
	static const u8 sizes[] = { [0x2] = 2, [0x3] = 4, [0x4] = 8, [0xa] = 2, [0xb] = 4, [0xc] = 8 };

	switch (enc & PE_FORMAT) {
	case 0x0: return get(in, 8);
	case 0x1: return uleb(in);
	case 0x9: return (u64)sleb(in);
	case 0x2:
	case 0x3:
	case 0x4: return get(in, sizes[enc & PE_FORMAT]);
	case 0xa:
	case 0xb:
	case 0xc: return (u64)get_signed(in, sizes[enc & PE_FORMAT]);
	default: in->bad = true; return 0;
	}
}

static u64 get_pointer(const struct dt_cfi *c, struct in *in, u8 enc)
{
	u64 at = c->vaddr + (u64)(in->p - c->data), v;

	if (enc == PE_OMIT)
		return 0;
	v = get_format(in, enc);
	if ((enc & PE_BASE) == PE_PCREL)
		return v + at;
	if (enc & (PE_BASE | PE_INDIRECT) & ~PE_PCREL)
		in->bad = true;
	return v;
}

/* ---- entries ------------------------------------------------------------------------------------------------- */

struct cie {
	u64 code_align;
	s64 data_align;
	u64 ra; /* number of the return address's register */
	u8 enc; /* of code addresses */
	bool has_augmentation, signal;
	struct in program;
};

/* The entry at off without its length; id: 0 for a CIE.  False: the end, or nonsense. */
static bool open_entry(const struct dt_cfi *c, u64 off, struct in *out, u64 *id_off, u32 *id,
		       u64 *next)
{
	struct in in = { .p = c->data + off, .end = c->data + c->size };
	u64 len;

	if (off >= c->size)
		return false;
	len = get(&in, 4);
	if (len == 0xffffffff)
		len = get(&in, 8);
	if (in.bad || !len)
		return false;
	*out = sub(&in, len);
	*next = (u64)(in.p - c->data);
	*id_off = (u64)(out->p - c->data);
	*id = (u32)get(out, 4);
	return !in.bad && !out->bad;
}

static void read_augmentation(const struct dt_cfi *c, struct cie *cie, const char *aug, struct in *in)
{
	struct in data = sub(in, uleb(in));
	u8 enc;

	for (aug++; *aug && !data.bad; aug++)
		switch (*aug) {
		case 'R': cie->enc = (u8)get(&data, 1); break;
		case 'L': get(&data, 1); break;
		case 'S': cie->signal = true; break;
		case 'P':
			enc = (u8)get(&data, 1);
			get_pointer(c, &data, enc & (u8)~PE_INDIRECT);
			break;
		default: return; /* the rest of the data is skipped by its length */
		}
}

static bool read_cie(const struct dt_cfi *c, u64 off, struct cie *cie)
{
	const char *aug;
	struct in in;
	u64 id_off, next;
	u32 id;
	u8 version;

	*cie = (struct cie){ .enc = 0 };
	if (!open_entry(c, off, &in, &id_off, &id, &next) || id)
		return false;
	version = (u8)get(&in, 1);
	if (version != 1 && version != 3)
		return false;
	aug = (const char *)in.p;
	while (get(&in, 1) && !in.bad)
		;
	if (in.bad)
		return false;
	cie->code_align = uleb(&in);
	cie->data_align = sleb(&in);
	cie->ra = version == 1 ? get(&in, 1) : uleb(&in);
	cie->has_augmentation = *aug == 'z';
	if (cie->has_augmentation)
		read_augmentation(c, cie, aug, &in);
	else if (*aug)
		return false;
	cie->program = in;
	return !in.bad;
}

/* What an FDE is for; its program. */
static bool read_fde(const struct dt_cfi *c, u64 off, struct cie *cie, struct entry *e,
		     struct in *program, u64 *next)
{
	struct in in;
	u64 id_off;
	u32 id;

	if (!open_entry(c, off, &in, &id_off, &id, next) || !id || id > id_off ||
	    !read_cie(c, id_off - id, cie))
		return false;
	e->off = (u32)off;
	e->start = get_pointer(c, &in, cie->enc);
	e->end = e->start + get_format(&in, cie->enc);
	if (cie->has_augmentation)
		sub(&in, uleb(&in));
	*program = in;
	return !in.bad && e->end > e->start;
}

static bool add_entry(struct dt_cfi *c, const struct entry *e)
{
	if (c->n == c->cap) {
		u32 cap = c->cap ? c->cap * 2 : 256;
		void *v = cap <= MAX_ENTRIES ? realloc(c->v, cap * sizeof(*c->v)) : NULL;

		if (!v)
			return false;
		c->v = v;
		c->cap = cap;
	}
	c->v[c->n++] = *e;
	return true;
}

static int by_start(const void *a, const void *b)
{
	const struct entry *x = a, *y = b;

	return x->start < y->start ? -1 : x->start > y->start;
}

struct dt_cfi *dt_cfi_new(u8 *data, u64 size, u64 vaddr)
{
	struct dt_cfi *c = size <= UINT32_MAX ? calloc(1, sizeof(*c)) : NULL;
	u64 off = 0, next, id_off;
	struct in in, program;
	struct entry e;
	struct cie cie;
	u32 id;

	if (!c) {
		free(data);
		return NULL;
	}
	c->data = data;
	c->size = size;
	c->vaddr = vaddr;
	for (; open_entry(c, off, &in, &id_off, &id, &next); off = next)
		if (id && read_fde(c, off, &cie, &e, &program, &next) && !add_entry(c, &e))
			break;
	if (c->n)
		qsort(c->v, c->n, sizeof(*c->v), by_start);
	return c;
}

void dt_cfi_free(struct dt_cfi *c)
{
	if (!c)
		return;
	free(c->data);
	free(c->v);
	free(c);
}

size_t dt_cfi_bytes(const struct dt_cfi *c)
{
	return c ? sizeof(*c) + c->size + c->cap * sizeof(*c->v) : 0;
}

static const struct entry *find(const struct dt_cfi *c, u64 vaddr)
{
	u32 lo = 0, hi = c->n;

	while (lo < hi) {
		u32 mid = lo + (hi - lo) / 2;

		if (c->v[mid].start <= vaddr)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo && vaddr < c->v[lo - 1].end ? &c->v[lo - 1] : NULL;
}

/* ---- memory -------------------------------------------------------------------------------------------------- */

static bool load(const struct dt_cfi_stack *s, u64 addr, u32 size, u64 *v)
{
	*v = 0;
	if (addr < s->base || addr - s->base > s->size || size > s->size - (addr - s->base))
		return false;
	memcpy(v, s->data + (addr - s->base), size);
	return true;
}

/* ---- expressions --------------------------------------------------------------------------------------------- */

struct expr {
	const struct dt_cfi_stack *stack;
	const struct dt_cfi_frame *frame;
	u64 v[EXPR_STACK];
	u32 n;
	bool bad;
};

static u64 pop(struct expr *x)
{
	if (!x->n) {
		x->bad = true;
		return 0;
	}
	return x->v[--x->n];
}

static void push(struct expr *x, u64 v)
{
	if (x->n == EXPR_STACK)
		x->bad = true;
	else
		x->v[x->n++] = v;
}

static u64 peek(struct expr *x, u64 depth)
{
	if (depth >= x->n) {
		x->bad = true;
		return 0;
	}
	return x->v[x->n - 1 - depth];
}

static u64 reg_of(struct expr *x, u64 reg)
{
	if (reg >= DT_CFI_NREGS || !(x->frame->known >> reg & 1)) {
		x->bad = true;
		return 0;
	}
	return x->frame->reg[reg];
}

static void deref(struct expr *x, u32 size)
{
	u64 v = 0;

	if (!size || size > 8 || !load(x->stack, pop(x), size, &v))
		x->bad = true;
	push(x, v);
}

static void binary(struct expr *x, u8 op)
{
	u64 b = pop(x), a = pop(x);
	s64 sa = (s64)a, sb = (s64)b;

	switch (op) {
	case 0x1a: push(x, a & b); break;
	case 0x1b:
		if (!b || (sb == -1 && sa == INT64_MIN))
			x->bad = true;
		else
			push(x, (u64)(sa / sb));
		break;
	case 0x1c: push(x, a - b); break;
	case 0x1d:
		if (!b)
			x->bad = true;
		else
			push(x, a % b);
		break;
	case 0x1e: push(x, a * b); break;
	case 0x21: push(x, a | b); break;
	case 0x22: push(x, a + b); break;
	case 0x24: push(x, b < 64 ? a << b : 0); break;
	case 0x25: push(x, b < 64 ? a >> b : 0); break;
	case 0x26: push(x, (u64)(sa >> (b < 64 ? b : 63))); break;
	case 0x27: push(x, a ^ b); break;
	case 0x29: push(x, a == b); break;
	case 0x2a: push(x, sa >= sb); break;
	case 0x2b: push(x, sa > sb); break;
	case 0x2c: push(x, sa <= sb); break;
	case 0x2d: push(x, sa < sb); break;
	case 0x2e: push(x, a != b); break;
	default: x->bad = true;
	}
}

static void jump(struct in *in, const u8 *begin)
{
	s64 by = get_signed(in, 2);

	if (by < begin - in->p || by > in->end - in->p)
		in->bad = true;
	else
		in->p += by;
}

static void shuffle(struct expr *x, struct in *in, u8 op)
{
	u64 a, b, c;

	switch (op) {
	case 0x12: push(x, peek(x, 0)); break;                            /* dup */
	case 0x13: pop(x); break;                                         /* drop */
	case 0x14: push(x, peek(x, 1)); break;                            /* over */
	case 0x15: push(x, peek(x, get(in, 1))); break;                   /* pick */
	case 0x16: a = pop(x), b = pop(x), push(x, a), push(x, b); break; /* swap */
	default: /* rot */ a = pop(x), b = pop(x), c = pop(x); push(x, a), push(x, c), push(x, b);
	}
}

static void unary(struct expr *x, struct in *in, u8 op)
{
	u64 a = pop(x);

	switch (op) {
	case 0x19: push(x, (s64)a < 0 ? -a : a); break;
	case 0x1f: push(x, -a); break;
	case 0x20: push(x, ~a); break;
	default: push(x, a + uleb(in)); /* plus_uconst */
	}
}

static void constant(struct expr *x, struct in *in, u8 op)
{
	static const u8 sizes[] = { 1, 1, 2, 2, 4, 4, 8, 8 }; /* const1u const1s ... */

	if (op == 0x10)
		push(x, uleb(in));
	else if (op == 0x11)
		push(x, (u64)sleb(in));
	else if (op & 1)
		push(x, (u64)get_signed(in, sizes[op - 8]));
	else
		push(x, get(in, sizes[op - 8]));
}

static void operation(struct expr *x, struct in *in, const u8 *begin, u8 op)
{
	if (op >= 0x30 && op <= 0x4f) {
		push(x, op - 0x30u);           /* lit0 ... */
	} else if (op >= 0x70 && op <= 0x8f) { /* breg0 ... */
		push(x, reg_of(x, op - 0x70u) + (u64)sleb(in));
	} else if (op >= 0x08 && op <= 0x11) {
		constant(x, in, op);
	} else if (op >= 0x12 && op <= 0x17) {
		shuffle(x, in, op);
	} else if (op == 0x06) {
		deref(x, 8);
	} else if (op == 0x94) {
		deref(x, (u32)get(in, 1));
	} else if (op == 0x19 || op == 0x1f || op == 0x20 || op == 0x23) {
		unary(x, in, op);
	} else if (op == 0x2f) { /* skip */
		jump(in, begin);
	} else if (op == 0x28) { /* bra */
		if (pop(x))
			jump(in, begin);
		else
			get(in, 2);
	} else if (op == 0x92) { /* bregx */
		u64 reg = uleb(in);

		push(x, reg_of(x, reg) + (u64)sleb(in));
	} else if (op != 0x96) { /* nop */
		binary(x, op);
	}
}

/* with_cfa: the CFA is on the stack at first. */
static bool evaluate(struct in in, const struct dt_cfi_stack *s, const struct dt_cfi_frame *f,
		     bool with_cfa, u64 cfa, u64 *out)
{
	struct expr x = { .stack = s, .frame = f };
	const u8 *begin = in.p;

	if (with_cfa)
		push(&x, cfa);
	for (int steps = 0; in.p < in.end && !x.bad && !in.bad; steps++) {
		if (steps == MAX_EXPR_STEPS)
			return false;
		operation(&x, &in, begin, (u8)get(&in, 1));
	}
	*out = pop(&x);
	return !x.bad && !in.bad;
}

/* ---- rules --------------------------------------------------------------------------------------------------- */

enum how { SAME, UNDEFINED, AT_CFA, IS_CFA, REGISTER, AT_EXPR, IS_EXPR };

struct rule {
	enum how how;
	s64 n; /* offset, or register */
	struct in expr;
};

struct rules {
	u64 cfa_reg;
	s64 cfa_off;
	bool cfa_expr;
	struct in expr;
	struct rule reg[DT_CFI_NREGS];
};

struct machine {
	const struct cie *cie;
	u64 loc, until;
	struct rules now, initial, kept[REMEMBERED];
	u32 nkept;
};

static void set_rule(struct machine *m, u64 reg, enum how how, s64 n)
{
	if (reg < DT_CFI_NREGS)
		m->now.reg[reg] = (struct rule){ .how = how, .n = n };
}

static void set_expr(struct machine *m, struct in *in, enum how how)
{
	u64 reg = uleb(in);
	struct in expr = sub(in, uleb(in));

	if (reg < DT_CFI_NREGS)
		m->now.reg[reg] = (struct rule){ .how = how, .expr = expr };
}

static void restore(struct machine *m, u64 reg)
{
	if (reg < DT_CFI_NREGS)
		m->now.reg[reg] = m->initial.reg[reg];
}

static s64 factored(const struct machine *m, s64 n)
{
	return (s64)((u64)n * (u64)m->cie->data_align);
}

static void advance(struct machine *m, u64 n)
{
	m->loc += n * m->cie->code_align;
}

static void define_cfa(struct machine *m, u64 reg, s64 off)
{
	m->now.cfa_reg = reg;
	m->now.cfa_off = off;
	m->now.cfa_expr = false;
}

/* Those whose operation is the whole byte. */
static void extended(const struct dt_cfi *c, struct machine *m, struct in *in, u8 op)
{
	u64 reg;

	switch (op) {
	case 0x00: break;                                           /* nop */
	case 0x01: m->loc = get_pointer(c, in, m->cie->enc); break; /* set_loc */
	case 0x02: advance(m, get(in, 1)); break;                   /* advance_loc1 */
	case 0x03: advance(m, get(in, 2)); break;
	case 0x04: advance(m, get(in, 4)); break;
	case 0x05: /* offset_extended */
		reg = uleb(in);
		set_rule(m, reg, AT_CFA, factored(m, (s64)uleb(in)));
		break;
	case 0x06: restore(m, uleb(in)); break; /* restore_extended */
	case 0x07: set_rule(m, uleb(in), UNDEFINED, 0); break;
	case 0x08: set_rule(m, uleb(in), SAME, 0); break;
	case 0x09: /* register */
		reg = uleb(in);
		set_rule(m, reg, REGISTER, (s64)uleb(in));
		break;
	case 0x0a: /* remember_state */
		if (m->nkept == REMEMBERED)
			in->bad = true;
		else
			m->kept[m->nkept++] = m->now;
		break;
	case 0x0b: /* restore_state */
		if (!m->nkept)
			in->bad = true;
		else
			m->now = m->kept[--m->nkept];
		break;
	case 0x0c: /* def_cfa */
		reg = uleb(in);
		define_cfa(m, reg, (s64)uleb(in));
		break;
	case 0x0d: define_cfa(m, uleb(in), m->now.cfa_off); break; /* def_cfa_register */
	case 0x0e: m->now.cfa_off = (s64)uleb(in); break;          /* def_cfa_offset */
	case 0x0f:                                                 /* def_cfa_expression */
		m->now.cfa_expr = true;
		m->now.expr = sub(in, uleb(in));
		break;
	case 0x10: set_expr(m, in, AT_EXPR); break;
	case 0x11: /* offset_extended_sf */
		reg = uleb(in);
		set_rule(m, reg, AT_CFA, factored(m, sleb(in)));
		break;
	case 0x12: /* def_cfa_sf */
		reg = uleb(in);
		define_cfa(m, reg, factored(m, sleb(in)));
		break;
	case 0x13: m->now.cfa_off = factored(m, sleb(in)); break; /* def_cfa_offset_sf */
	case 0x14:                                                /* val_offset */
		reg = uleb(in);
		set_rule(m, reg, IS_CFA, factored(m, (s64)uleb(in)));
		break;
	case 0x15: /* val_offset_sf */
		reg = uleb(in);
		set_rule(m, reg, IS_CFA, factored(m, sleb(in)));
		break;
	case 0x16: set_expr(m, in, IS_EXPR); break;
	case 0x2e: uleb(in); break; /* GNU_args_size */
	default: in->bad = true;
	}
}

static bool run(const struct dt_cfi *c, struct machine *m, struct in in)
{
	while (in.p < in.end && !in.bad && m->loc <= m->until) {
		u8 op = (u8)get(&in, 1), low = op & 0x3f;

		switch (op >> 6) {
		case 1: advance(m, low); break;
		case 2: set_rule(m, low, AT_CFA, factored(m, (s64)uleb(&in))); break;
		case 3: restore(m, low); break;
		default: extended(c, m, &in, op);
		}
	}
	return !in.bad;
}

/* ---- a step -------------------------------------------------------------------------------------------------- */

static bool cfa_of(const struct rules *r, const struct dt_cfi_stack *s,
		   const struct dt_cfi_frame *f, u64 *cfa)
{
	if (r->cfa_expr)
		return evaluate(r->expr, s, f, false, 0, cfa);
	if (r->cfa_reg >= DT_CFI_NREGS || !(f->known >> r->cfa_reg & 1))
		return false;
	*cfa = f->reg[r->cfa_reg] + (u64)r->cfa_off;
	return true;
}

static bool value_of(const struct rule *r, u32 reg, u64 cfa, const struct dt_cfi_stack *s,
		     const struct dt_cfi_frame *f, u64 *v)
{
	u64 addr;

	switch (r->how) {
	case SAME: *v = f->reg[reg]; return f->known >> reg & 1;
	case AT_CFA: return load(s, cfa + (u64)r->n, 8, v);
	case IS_CFA: *v = cfa + (u64)r->n; return true;
	case REGISTER:
		if (r->n < 0 || r->n >= DT_CFI_NREGS)
			return false;
		*v = f->reg[r->n];
		return f->known >> r->n & 1;
	case AT_EXPR: return evaluate(r->expr, s, f, true, cfa, &addr) && load(s, addr, 8, v);
	case IS_EXPR: return evaluate(r->expr, s, f, true, cfa, v);
	default: return false;
	}
}

static int apply(const struct machine *m, const struct dt_cfi_stack *s, struct dt_cfi_frame *f)
{
	struct dt_cfi_frame up = { .interrupted = m->cie->signal };
	u64 cfa, v;

	if (m->cie->ra != DT_CFI_PC)
		return -1;
	if (m->now.reg[DT_CFI_PC].how == UNDEFINED)
		return 1;
	if (!cfa_of(&m->now, s, f, &cfa))
		return -1;
	for (u32 i = 0; i < DT_CFI_NREGS; i++) {
		const struct rule *r = &m->now.reg[i];

		if (i == DT_CFI_RSP && r->how == SAME) {
			v = cfa;
		} else if (!value_of(r, i, cfa, s, f, &v)) {
			continue;
		}
		up.reg[i] = v;
		up.known |= 1u << i;
	}
	if (!(up.known >> DT_CFI_PC & 1) || m->now.reg[DT_CFI_PC].how == SAME)
		return -1;
	*f = up;
	return up.reg[DT_CFI_PC] ? 0 : 1;
}

int dt_cfi_step(const struct dt_cfi *c, u64 vaddr, const struct dt_cfi_stack *s,
		struct dt_cfi_frame *f)
{
	const struct entry *e = find(c, vaddr);
	struct machine m = { .until = vaddr };
	struct in program;
	struct entry again;
	struct cie cie;
	u64 next;

	if (!e || !read_fde(c, e->off, &cie, &again, &program, &next))
		return -1;
	m.cie = &cie;
	m.loc = 0; /* the CIE's part holds everywhere */
	if (!run(c, &m, cie.program))
		return -1;
	m.initial = m.now;
	m.loc = again.start;
	if (!run(c, &m, program))
		return -1;
	return apply(&m, s, f);
}

int dt_cfi_step_fp(const struct dt_cfi_stack *s, struct dt_cfi_frame *f)
{
	u64 rbp = f->reg[DT_CFI_RBP], up, pc;

	if (!(f->known >> DT_CFI_RBP & 1) || rbp < f->reg[DT_CFI_RSP] || !load(s, rbp, 8, &up) ||
	    !load(s, rbp + 8, 8, &pc))
		return -1;
	*f = (struct dt_cfi_frame){ .known = 1u << DT_CFI_PC | 1u << DT_CFI_RSP | 1u << DT_CFI_RBP };
	f->reg[DT_CFI_PC] = pc;
	f->reg[DT_CFI_RSP] = rbp + 16;
	f->reg[DT_CFI_RBP] = up;
	return pc ? 0 : 1;
}
