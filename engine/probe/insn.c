/* SPDX-License-Identifier: Apache-2.0 */
/*
 * insn.c - instructions of x86-64, as far as probes on them are concerned.
 */
#include <string.h>

#include "probe/probe.h"

/*
 * The kernel takes the opcode of an instruction with a VEX or EVEX prefix for that of an old one: it refuses some
 * without need, and, worse, emulates others as the jumps, calls and pushes that they are not: a probe on
 * vpbroadcastb (opcode 0x7a) makes a conditional jump of it.  A bit for each opcode, 32 to a row: those that it runs as
 * they are.
 */
static const u32 vex_ok[8] = {
	0x3f3f3f3f, /* 00-1f, without 0f */
	0x3f3f3f3f, /* 20-3f */
	0xff00ffff, /* 40-5f, without 50-57 */
	0x00000ff8, /* 60-7f, without 70-7f */
	0xfbfefffb, /* 80-9f, without 90 */
	0xffffffff, /* a0-bf */
	0xff8f0fff, /* c0-df */
	0xf3ec000f, /* e0-ff, without e8, e9, eb */
};

static bool is_one_of(const char *set, u8 b)
{
	return b && strchr(set, b) != NULL;
}

bool dt_insn_probeable(const u8 *code, size_t n)
{
	size_t i = 0, op;

	while (i < n && is_one_of("\x64\x65\x66\x67\xf2\xf3", code[i]))
		i++;
	if (i == n)
		return true;
	if (is_one_of("\x26\x2e\x36\x3e\xf0", code[i])) /* other segments, lock: refused */
		return false;
	switch (code[i]) {
	case 0xc5: op = i + 2; break;
	case 0xc4: op = i + 3; break;
	case 0x62: op = i + 4; break;
	case 0xcc: return false; /* somebody's breakpoint */
	default: return true;
	}
	return op < n && (vex_ok[code[op] / 32] >> code[op] % 32 & 1);
}

/* ---- lengths ------------------------------------------------------------------------------------------------- */

/* What follows an opcode: M a ModRM byte; then an immediate: b 1 byte, w 2, z 4 (2 with prefix 66), v as z but 8 with
 * REX.W, o an address of 8 (4 with prefix 67), j 4 always, e 3.  '-' nothing, 'x' no instruction.  Two characters
 * an opcode. */
static const char *const one_byte[16] = {
	"M-M-M-M-b-z-xxxxM-M-M-M-b-z-xxxx", "M-M-M-M-b-z-xxxxM-M-M-M-b-z-xxxx",
	"M-M-M-M-b-z-xxxxM-M-M-M-b-z-xxxx", "M-M-M-M-b-z-xxxxM-M-M-M-b-z-xxxx",
	"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx", "--------------------------------",
	"xxxxxxM-xxxxxxxxz-Mzb-Mb--------", "b-b-b-b-b-b-b-b-b-b-b-b-b-b-b-b-",
	"MbMzxxMbM-M-M-M-M-M-M-M-M-M-M-M-", "--------------------xx----------",
	"o-o-o-o---------b-z-------------", "b-b-b-b-b-b-b-b-v-v-v-v-v-v-v-v-",
	"MbMbw---xxxxMbMze---w-----b-xx--", "M-M-M-M-xxxxxx--M-M-M-M-M-M-M-M-",
	"b-b-b-b-b-b-b-b-j-j-xxb---------", "xx--xxxx----M-M-------------M-M-",
};
static const char *const two_byte[16] = {
	"M-M-M-M-xx----------xx--xxM---Mb", "M-M-M-M-M-M-M-M-M-M-M-M-M-M-M-M-",
	"M-M-M-M-xxxxxxxxM-M-M-M-M-M-M-M-", "------------xx--xxxxxxxxxxxxxxxx",
	"M-M-M-M-M-M-M-M-M-M-M-M-M-M-M-M-", "M-M-M-M-M-M-M-M-M-M-M-M-M-M-M-M-",
	"M-M-M-M-M-M-M-M-M-M-M-M-M-M-M-M-", "MbMbMbMbM-M-M---M-M-M-M-M-M-M-M-",
	"j-j-j-j-j-j-j-j-j-j-j-j-j-j-j-j-", "M-M-M-M-M-M-M-M-M-M-M-M-M-M-M-M-",
	"------M-MbM-xxxx------M-MbM-M-M-", "M-M-M-M-M-M-M-M-M-M-MbM-M-M-M-M-",
	"M-M-MbM-MbMbMbM-----------------", "M-M-M-M-M-M-M-M-M-M-M-M-M-M-M-M-",
	"M-M-M-M-M-M-M-M-M-M-M-M-M-M-M-M-", "M-M-M-M-M-M-M-M-M-M-M-M-M-M-M-M-",
};

struct insn {
	const u8 *p;
	size_t n, at;
	bool wide, operand16, address32; /* REX.W, prefixes 66 and 67 */
};

/* The next byte; what is behind the end makes the length too large. */
static u8 next(struct insn *i)
{
	return i->at < i->n ? i->p[i->at++] : (i->at = i->n + 1, (u8)0);
}

static void take_modrm(struct insn *i, u8 *modrm)
{
	u8 mod, rm, sib = 0;

	*modrm = next(i);
	mod = *modrm >> 6;
	rm = *modrm & 7;
	if (mod == 3)
		return;
	if (rm == 4)
		sib = next(i);
	if (mod == 1)
		i->at += 1;
	else if (mod == 2 || (mod == 0 && (rm == 5 || (rm == 4 && (sib & 7) == 5))))
		i->at += 4;
}

static size_t immediate(const struct insn *i, char kind)
{
	switch (kind) {
	case 'b': return 1;
	case 'w': return 2;
	case 'e': return 3;
	case 'j': return 4;
	case 'o': return i->address32 ? 4 : 8;
	case 'v': return i->wide ? 8 : i->operand16 ? 2 : 4;
	case 'z': return i->operand16 ? 2 : 4;
	default: return 0;
	}
}

/* Opcode and what follows by a table; false: no instruction. */
static bool by_table(struct insn *i, const char *const table[16], u8 op)
{
	const char *row = &table[op >> 4][2 * (op & 15)];
	char imm = row[0] == 'M' ? row[1] : row[0];
	u8 modrm = 0;

	if (row[0] == 'x')
		return false;
	if (row[0] == 'M')
		take_modrm(i, &modrm);
	if (table == one_byte && (op == 0xf6 || op == 0xf7) && (modrm & 0x38) <= 8) /* test */
		imm = op == 0xf6 ? 'b' : 'z';
	i->at += immediate(i, imm);
	return table != one_byte || op != 0x8f || (modrm & 0x38) == 0;
}

/* Maps of opcodes: 1 is 0f, 2 0f 38, 3 0f 3a; the others are EVEX's. */
static bool by_map(struct insn *i, u32 map, u8 op)
{
	u8 modrm;

	if (map == 1)
		return by_table(i, two_byte, op);
	if (map == 0 || map > 6 || map == 4)
		return false;
	take_modrm(i, &modrm);
	i->at += map == 3;
	return true;
}

static bool take_opcode(struct insn *i, u8 op)
{
	u8 b;

	switch (op) {
	case 0xc5: /* VEX, short */ next(i); return by_map(i, 1, next(i));
	case 0xc4:
		b = next(i);
		next(i);
		return by_map(i, b & 31, next(i));
	case 0x62: /* EVEX */
		b = next(i);
		next(i);
		next(i);
		return by_map(i, b & 7, next(i));
	case 0x0f: break;
	default: return by_table(i, one_byte, op);
	}
	op = next(i);
	if (op == 0x38 || op == 0x3a)
		return by_map(i, op == 0x38 ? 2 : 3, next(i));
	return by_map(i, 1, op);
}

#define INSN_MAX 15

size_t dt_insn_len(const u8 *code, size_t n)
{
	struct insn i = { .p = code, .n = DT_MIN(n, (size_t)INSN_MAX) };
	u8 op = next(&i);

	while (i.at <= i.n && is_one_of("\x26\x2e\x36\x3e\x64\x65\x66\x67\xf0\xf2\xf3", op)) {
		i.operand16 |= op == 0x66;
		i.address32 |= op == 0x67;
		op = next(&i);
	}
	if (op >> 4 == 4) { /* REX */
		i.wide = op & 8;
		op = next(&i);
	}
	return take_opcode(&i, op) && i.at <= i.n ? i.at : 0;
}
