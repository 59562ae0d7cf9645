/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An ELF file of the input's making: read, then asked for addresses.
 */
#include "proc/symbols.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct dt_bytes in = { .fd = -1, .mem = data, .size = size, .unwind = true };
	struct dt_elf *e = dt_elf_read(&in);
	u64 vaddr;

	if (!e)
		return 0;
	for (u64 off = 0; off < size; off += 1 + size / 16) {
		if (dt_elf_vaddr(e, off, off & 1, &vaddr) < 0)
			vaddr = off;
		dt_addrtab_find(&e->syms, vaddr);
	}
	for (u32 i = 0; i < DT_MIN(e->syms.n, 16u); i++)
		if (!dt_addrtab_find(&e->syms, e->syms.v[i].addr) && e->syms.v[i].size)
			__builtin_trap(); /* a symbol covers its own start */
	dt_elf_free(e);
	return 0;
}
