/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cfi.h - call frame information: how to get from a frame to its caller without frame pointers.
 *
 * The rules are those that compilers write into .eh_frame for exceptions, so nearly every program has them.  What they
 * are applied to is a copy of the registers and of the stack's top, taken when the probe fired.
 */
#ifndef DT_CFI_H
#define DT_CFI_H

#include "base/base.h"

/* Registers by DWARF's numbers for x86-64: rax rdx rcx rbx rsi rdi rbp rsp r8-r15, return address. */
#define DT_CFI_NREGS 17
#define DT_CFI_RBP 6
#define DT_CFI_RSP 7
#define DT_CFI_PC 16

struct dt_cfi;

/* data: the contents of .eh_frame, on the heap, taken; vaddr: where it lies in the file's address space.  What is
 * damaged in it is left out.  NULL: no memory; data is freed. */
struct dt_cfi *dt_cfi_new(u8 *data, u64 size, u64 vaddr);
void dt_cfi_free(struct dt_cfi *c);
size_t dt_cfi_bytes(const struct dt_cfi *c);

/* Memory of the process that was copied. */
struct dt_cfi_stack {
	const u8 *data;
	u64 base, size;
};
struct dt_cfi_frame {
	u64 reg[DT_CFI_NREGS]; /* values as in the process */
	u32 known;             /* a bit for each that has one */
	bool interrupted;      /* reg[PC] is where a signal came, not behind a call */
};
/* From a frame to its caller's.  vaddr: the frame's pc in the file's address space.  0; 1: this was the outermost; -1:
 * there are no rules for this pc, or they ask for what was not copied. */
int dt_cfi_step(const struct dt_cfi *c, u64 vaddr, const struct dt_cfi_stack *s,
		struct dt_cfi_frame *f);
/* The same by the frame pointer, for code without rules. */
int dt_cfi_step_fp(const struct dt_cfi_stack *s, struct dt_cfi_frame *f);

#endif
