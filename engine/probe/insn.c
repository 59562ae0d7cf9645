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
