/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The input as call frame information: a word that says where code is looked for, the stack's 64 words, then .eh_frame.
 */
#include "proc/cfi.h"

#include <stdlib.h>
#include <string.h>

#define STACK 512
#define VADDR 0x2000

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct dt_cfi_stack s = { .base = 0x7000, .size = STACK };
	struct dt_cfi *c;
	u64 pc;
	u8 *copy;

	if (size < 8 + STACK)
		return 0;
	memcpy(&pc, data, 8);
	s.data = data + 8;
	size -= 8 + STACK;
	copy = malloc(size + 1);
	if (!copy)
		return 0;
	memcpy(copy, data + 8 + STACK, size);
	c = dt_cfi_new(copy, size, VADDR);
	for (int i = 0; c && i < 64; i++) {
		struct dt_cfi_frame f = { .known = (1u << DT_CFI_NREGS) - 1 };

		for (int r = 0; r < DT_CFI_NREGS; r++)
			f.reg[r] = s.base + 64 + (u64)r * 8;
		for (int n = 0; n < 8; n++)
			if (dt_cfi_step(c, pc + (u64)(i * 8 + n), &s, &f) != 0 &&
			    dt_cfi_step_fp(&s, &f) != 0)
				break;
	}
	dt_cfi_free(c);
	return 0;
}
