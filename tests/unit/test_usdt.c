/* SPDX-License-Identifier: Apache-2.0 */
/* Operands and notes of static probes, and instructions that probes do not get along with. */
#include <string.h>

#include "probe/probe.h"
#include "proc/symbols.h"
#include "test.h"

enum { AX = 80, BX = 40, CX = 88, DX = 96, SI = 104, DI = 112, BP = 32, SP = 152, IP = 128 };
#define NO DT_UARG_NOREG
#define REG DT_UARG_REG
#define MEM DT_UARG_MEM
#define CONST DT_UARG_CONST
#define S DT_UARG_SIGNED
#define H DT_UARG_HIGH

static int symbol(void *arg, const char *name, size_t len, u64 *vaddr)
{
	*vaddr = 0x4000;
	return len == 3 && strncmp(name, "sym", 3) == 0 ? 0 : -1;
}

static const struct {
	const char *text;
	struct dt_uarg want;
} good[] = {
	{ "-4@%edi", { 0, DI, NO, REG, 0, 4, S } },
	{ "8@%rdi", { 0, DI, NO, REG, 0, 8, 0 } },
	{ "2@%ax", { 0, AX, NO, REG, 0, 2, 0 } },
	{ "1@%ah", { 0, AX, NO, REG, 0, 1, H } },
	{ "-1@%dh", { 0, DX, NO, REG, 0, 1, S | H } },
	{ "1@%sil", { 0, SI, NO, REG, 0, 1, 0 } },
	{ "1@%bpl", { 0, BP, NO, REG, 0, 1, 0 } },
	{ "8@%r8", { 0, 72, NO, REG, 0, 8, 0 } },
	{ "4@%r10d", { 0, 56, NO, REG, 0, 4, 0 } },
	{ "-2@%r15w", { 0, 0, NO, REG, 0, 2, S } },
	{ "1@%r9b", { 0, 64, NO, REG, 0, 1, 0 } },
	{ "8@-8(%rbp)", { -8, BP, NO, MEM, 0, 8, 0 } },
	{ "8@(%rsp)", { 0, SP, NO, MEM, 0, 8, 0 } },
	{ "-4@0x10(%r12)", { 16, 24, NO, MEM, 0, 4, S } },
	{ "4@4(%rax,%rbx)", { 4, AX, BX, MEM, 0, 4, 0 } },
	{ "4@-4(%rax,%rcx,8)", { -4, AX, CX, MEM, 3, 4, 0 } },
	{ "4@8(,%rcx,4)", { 8, NO, CX, MEM, 2, 4, 0 } },
	{ "4@$5", { 5, NO, NO, CONST, 0, 4, 0 } },
	{ "-8@$-1", { -1, NO, NO, CONST, 0, 8, S } },
	{ "8@$0xffffffffffffffff", { -1, NO, NO, CONST, 0, 8, 0 } },
	{ "8@sym(%rip)", { 0x3000, IP, NO, MEM, 0, 8, 0 } },
	{ "8@sym+8(%rip)", { 0x3008, IP, NO, MEM, 0, 8, 0 } },
	{ "8@8+sym(%rip)", { 0, NO, NO, 0, 0, 8, 0 } },
	{ "8@sym", { 0x3000, IP, NO, MEM, 0, 8, 0 } },
	{ "8@sym-1(%rax)", { 0x3fff, AX, NO, MEM, 0, 8, 0 } },
	{ "%rax", { 0, AX, NO, REG, 0, 8, 0 } },
	{ "$7", { 7, NO, NO, CONST, 0, 8, 0 } },
};

static const char *const bad[] = {
	"3@%rax",
	"8@",
	"@%rax",
	"8@%",
	"8@%xyz",
	"8@%r16",
	"8@%r7",
	"8@%r8x",
	"8f@%xmm0",
	"8@5(%rax",
	"8@5%rax)",
	"8@(%rax,%rbx,3)",
	"8@nosym(%rip)",
	"8@$",
	"8@$5x",
	"8@%rax%rbx",
	"9999999999999999999999@%rax",
	"--4@%rax",
	"8@%fs:8(%rax)",
	"8@(,,)",
	"8@)(",
	"8@$sym",
};

static void test_operands(void)
{
	struct dt_uargs a;

	for (size_t i = 0; i < DT_NELEM(good); i++) {
		dt_operands_parse(good[i].text, 0x1000, symbol, NULL, &a);
		CHECK(a.n == 1 && memcmp(&a.arg[0], &good[i].want, sizeof(a.arg[0])) == 0);
		if (memcmp(&a.arg[0], &good[i].want, sizeof(a.arg[0])) != 0)
			fprintf(stderr, "%s\n", good[i].text);
	}
	for (size_t i = 0; i < DT_NELEM(bad); i++) {
		dt_operands_parse(bad[i], 0x1000, symbol, NULL, &a);
		CHECK(a.n == 1 && a.arg[0].kind == DT_UARG_NONE);
	}
	dt_operands_parse("  8@%rdi   -4@$-3 ", 0, NULL, NULL, &a);
	CHECK(a.n == 2 && a.arg[1].disp == -3);
	dt_operands_parse("", 0, NULL, NULL, &a);
	CHECK(a.n == 0);
	dt_operands_parse("$1 $2 $3 $4 $5 $6 $7 $8 $9 $10 $11 $12", 0, NULL, NULL, &a);
	CHECK(a.n == DT_MAXARGS && a.arg[9].disp == 10);
}

static void test_notes(void)
{
	static const u8 desc[] = "\x10\x20\0\0\0\0\0\0\x08\0\0\0\0\0\0\0\x40\0\0\0\0\0\0\0"
				 "prov\0name\0"
				 "8@%rax";
	struct dt_elfnote n = { 3, 8, sizeof(desc), "stapsdt", desc, 0x18 };
	struct dt_usdtnote out;

	CHECK(dt_usdt_note(&n, &out) == 0);
	CHECK(out.vaddr == 0x2020 && out.counter == 0x50); /* moved by 0x10 */
	CHECK_STR(out.prov, "prov");
	CHECK_STR(out.name, "name");
	CHECK_STR(out.args, "8@%rax");
	n.base = 0;
	CHECK(dt_usdt_note(&n, &out) == 0 && out.vaddr == 0x2010);
	for (u32 size = 0; size < sizeof(desc); size++) {
		n.descsz = size;
		CHECK(dt_usdt_note(&n, &out) < 0);
	}
	n.descsz = sizeof(desc);
	n.type = 4;
	CHECK(dt_usdt_note(&n, &out) < 0);
	n.type = 3;
	n.namesz = 7;
	CHECK(dt_usdt_note(&n, &out) < 0);
}

static void test_instructions(void)
{
#define OK(bytes) CHECK(dt_insn_probeable((const u8 *)(bytes), sizeof(bytes) - 1))
#define NOT(bytes) CHECK(!dt_insn_probeable((const u8 *)(bytes), sizeof(bytes) - 1))
	OK("\x55");                      /* push %rbp */
	OK("\xf3\x0f\x1e\xfa");          /* endbr64 */
	OK("\x48\x89\xf8");              /* mov %rdi,%rax */
	OK("\x66\x0f\x6e\xc6");          /* movd %esi,%xmm0 */
	NOT("\xc5\xf9\x6e\xc6");         /* vmovd %esi,%xmm0: refused */
	NOT("\xc5\xfd\x74\xda");         /* vpcmpeqb: taken for a jump */
	NOT("\x62\xe2\x7d\x28\x7a\xc6"); /* vpbroadcastb: the same */
	OK("\xc5\xf8\x28\xc1");          /* vmovaps */
	OK("\xc4\xe2\x7b\xf7\xc7");      /* sarx */
	NOT("\xc4\xe2\x7d\x78\xc0");     /* vpbroadcastb */
	NOT("\xc4\xe2");                 /* cut off */
	NOT("\xf0\xff\x0f");             /* lock decl */
	NOT("\xcc");
}

static void test_lengths(void)
{
	static const struct {
		const char *code;
		size_t n, len;
	} rows[] = {
#define ROW(bytes, len) { bytes, sizeof(bytes) - 1, len }
		ROW("\x90", 1),
		ROW("\x48\x8b\x44\x24\x08", 5),            /* mov 8(%rsp),%rax */
		ROW("\x48\xb8\1\2\3\4\5\6\7\10", 10),      /* movabs */
		ROW("\x66\xb8\1\2", 4),                    /* mov $,%ax */
		ROW("\xe8\1\2\3\4", 5),                    /* call */
		ROW("\x0f\x84\1\2\3\4", 6),                /* je */
		ROW("\xf7\x05\1\2\3\4\5\6\7\10", 10),      /* testl $,(%rip) */
		ROW("\xf7\xd8", 2),                        /* neg */
		ROW("\xf6\xc1\1", 3),                      /* test $1,%cl */
		ROW("\x66\x2e\x0f\x1f\x84\0\0\0\0\0", 10), /* nopw cs:0(%rax,%rax) */
		ROW("\x0f\x3a\x0f\xc1\4", 5),              /* palignr */
		ROW("\xc5\xf8\x77", 3),                    /* vzeroupper */
		ROW("\xc4\xe3\x7d\x39\xc1\1", 6),          /* vextracti128 */
		ROW("\x62\xf1\xfd\x48\x6f\x46\1", 7),      /* vmovdqa64 64(%rsi),%zmm0 */
		ROW("\x8f\xe8\x78\xc2\xec\x0e", 0),        /* XOP */
		ROW("\x06", 0),
		ROW("\x48", 0),
		ROW("\x48\x8b\x44\x24", 0), /* cut off */
		ROW("", 0),
	};

	for (size_t i = 0; i < DT_NELEM(rows); i++)
		CHECK_INT(dt_insn_len((const u8 *)rows[i].code, rows[i].n), rows[i].len);
}

int main(void)
{
	test_lengths();
	test_operands();
	test_notes();
	test_instructions();
	return test_status();
}
