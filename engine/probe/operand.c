/* SPDX-License-Identifier: Apache-2.0 */
/*
 * operand.c - where static probes say that their arguments are: "-4@%edi 8@-8(%rbp) 4@$5", operands of x86-64 assembly,
 * each with the size of the value in front, negative when it is signed.
 *
 * Files are hostile: what is not understood is an argument that is 0.
 */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "probe/probe.h"

struct text {
	const char *p, *end; /* one operand */
	bool bad;
};

/* ---- registers ------------------------------------------------------------------------------------------------ */

/* Offsets in struct pt_regs. */
static const struct {
	char name[3]; /* without r, e in front */
	u16 off;
} legacy[] = { { "ax", 80 },  { "bx", 40 }, { "cx", 88 },  { "dx", 96 }, { "si", 104 },
	       { "di", 112 }, { "bp", 32 }, { "sp", 152 }, { "ip", 128 } };
static const u16 numbered[8] = { 72, 64, 56, 48, 24, 16, 8, 0 }; /* r8 ... */
#define REG_IP 128

static bool legacy_reg(const char *s, size_t n, u16 *off, bool *high)
{
	char name[3] = { 0 };

	if (n == 3 && (s[0] == 'r' || s[0] == 'e')) {
		memcpy(name, s + 1, 2);
	} else if (n == 3 && s[2] == 'l') { /* sil */
		memcpy(name, s, 2);
	} else if (n == 2 && (s[1] == 'l' || s[1] == 'h') && strchr("abcd", s[0])) { /* al, ah */
		name[0] = s[0];
		name[1] = 'x';
		*high = s[1] == 'h';
	} else if (n == 2) {
		memcpy(name, s, 2);
	}
	for (size_t i = 0; i < DT_NELEM(legacy); i++)
		if (strcmp(name, legacy[i].name) == 0) {
			*off = legacy[i].off;
			return true;
		}
	return false;
}

static bool numbered_reg(const char *s, size_t n, u16 *off)
{
	u32 number = 0;
	size_t i = 1;

	for (; i < n && i < 3 && isdigit((unsigned char)s[i]); i++)
		number = number * 10 + (u32)(s[i] - '0');
	if (i == 1 || number < 8 || number > 15)
		return false;
	if (i < n && !(i + 1 == n && strchr("dwb", s[i])))
		return false;
	*off = numbered[number - 8];
	return true;
}

/* "%rdi": behind it. */
static u16 take_reg(struct text *t, bool *high)
{
	const char *s = t->p + 1;
	u16 off = DT_UARG_NOREG;

	*high = false;
	if (t->p == t->end || *t->p != '%') {
		t->bad = true;
		return off;
	}
	for (t->p = s; t->p < t->end && isalnum((unsigned char)*t->p); t->p++)
		;
	size_t n = (size_t)(t->p - s);

	if (!(n && s[0] == 'r' && numbered_reg(s, n, &off)) && !legacy_reg(s, n, &off, high))
		t->bad = true;
	return off;
}

/* ---- numbers and symbols ------------------------------------------------------------------------------------------ */

static bool at(const struct text *t, char c)
{
	return t->p < t->end && *t->p == c;
}

static bool accept(struct text *t, char c)
{
	if (!at(t, c))
		return false;
	t->p++;
	return true;
}

/* An operand ends within a NUL-terminated text, behind a character that is in no number. */
static s64 take_number(struct text *t)
{
	bool negative = accept(t, '-');
	char *end;
	u64 v;

	if (!negative)
		accept(t, '+');
	if (t->p == t->end || !isdigit((unsigned char)*t->p)) {
		t->bad = true;
		return 0;
	}
	v = strtoull(t->p, &end, 0);
	if (end > t->end) {
		t->bad = true;
		return 0;
	}
	t->p = end;
	return (s64)(negative ? 0 - v : v);
}

static bool is_symbol_char(char c)
{
	return isalnum((unsigned char)c) || (c && strchr("_.$@", c));
}

struct context {
	u64 pc; /* the probe's address in the file */
	int (*symbol)(void *arg, const char *name, size_t len, u64 *vaddr);
	void *arg;
};

/* [symbol][+-number]: whether there was a symbol. */
static bool take_disp(struct text *t, const struct context *c, s64 *disp)
{
	const char *s = t->p;
	bool symbol = false;
	u64 vaddr = 0;

	if (t->p < t->end && (isalpha((unsigned char)*s) || *s == '_' || *s == '.')) {
		while (t->p < t->end && is_symbol_char(*t->p))
			t->p++;
		symbol = true;
		if (!c->symbol || c->symbol(c->arg, s, (size_t)(t->p - s), &vaddr) < 0)
			t->bad = true;
	}
	*disp = (s64)vaddr;
	while (t->p < t->end && !t->bad && (isdigit((unsigned char)*t->p) || at(t, '-') || at(t, '+')))
		*disp = (s64)((u64)*disp + (u64)take_number(t));
	return symbol;
}

/* ---- operands -------------------------------------------------------------------------------------------------------- */

/* (%base,%index,scale) */
static void take_memory(struct text *t, struct dt_uarg *a)
{
	static const u8 shifts[] = { [1] = 0, [2] = 1, [4] = 2, [8] = 3 };
	bool high;

	accept(t, '(');
	if (at(t, '%'))
		a->base = take_reg(t, &high);
	if (accept(t, ',')) {
		a->index = take_reg(t, &high);
		if (accept(t, ',')) {
			s64 scale = take_number(t);

			if (scale != 1 && scale != 2 && scale != 4 && scale != 8)
				t->bad = true;
			else
				a->scale = shifts[scale];
		}
	}
	if (!accept(t, ')'))
		t->bad = true;
}

static void take_address(struct text *t, const struct context *c, struct dt_uarg *a)
{
	bool symbol = take_disp(t, c, &a->disp);

	a->kind = DT_UARG_MEM;
	if (at(t, '('))
		take_memory(t, a);
	else if (!symbol)
		t->bad = true;
	/* Symbols are addresses in the file; the pc tells where that is loaded. */
	if (symbol && (a->base == REG_IP || a->base == DT_UARG_NOREG)) {
		a->base = REG_IP;
		a->disp = (s64)((u64)a->disp - c->pc);
	}
}

static void take_operand(struct text *t, const struct context *c, struct dt_uarg *a)
{
	bool high;

	if (accept(t, '$')) {
		a->kind = DT_UARG_CONST;
		a->disp = take_number(t);
	} else if (at(t, '%')) {
		a->kind = DT_UARG_REG;
		a->base = take_reg(t, &high);
		a->flags |= high ? DT_UARG_HIGH : 0;
	} else {
		take_address(t, c, a);
	}
	if (t->p != t->end)
		t->bad = true;
}

/* The size in front: "8@", "-4@"; floating point ("8f@") is in no register that we see. */
static void take_size(struct text *t, struct dt_uarg *a)
{
	const char *mark = memchr(t->p, '@', (size_t)(t->end - t->p));
	bool is_signed;
	s64 size;

	if (!mark || !(isdigit((unsigned char)*t->p) || *t->p == '-'))
		return;
	is_signed = *t->p == '-';
	size = take_number(t);
	size = is_signed ? -size : size;
	if (t->p != mark || (size != 1 && size != 2 && size != 4 && size != 8)) {
		t->bad = true;
		return;
	}
	t->p++;
	a->size = (u8)size;
	a->flags |= is_signed ? DT_UARG_SIGNED : 0;
}

void dt_operands_parse(const char *args, u64 pc,
		       int (*symbol)(void *arg, const char *name, size_t len, u64 *vaddr),
		       void *arg, struct dt_uargs *out)
{
	struct context c = { .pc = pc, .symbol = symbol, .arg = arg };

	memset(out, 0, sizeof(*out));
	for (const char *s = args; out->n < DT_MAXARGS;) {
		struct dt_uarg *a = &out->arg[out->n];
		struct text t;

		s += strspn(s, " \t");
		if (!*s)
			break;
		t = (struct text){ .p = s, .end = s + strcspn(s, " \t") };
		s = t.end;
		*a = (struct dt_uarg){ .base = DT_UARG_NOREG,
				       .index = DT_UARG_NOREG,
				       .size = sizeof(u64) };
		take_size(&t, a);
		if (!t.bad)
			take_operand(&t, &c, a);
		if (t.bad) {
			a->kind = DT_UARG_NONE;
			a->disp = 0;
			a->base = a->index = DT_UARG_NOREG;
			a->scale = 0;
		}
		out->n++;
	}
}
