/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The input as an ELF file with notes about static probes, as one note, and as the text of operands.
 */
#include <stdlib.h>
#include <string.h>

#include "probe/probe.h"
#include "proc/symbols.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int symbol(void *arg, const char *name, size_t len, u64 *vaddr)
{
	*vaddr = len;
	return len % 2 ? 0 : -1;
}

static void operands(const char *text)
{
	struct dt_uargs a;

	dt_operands_parse(text, 0x1000, symbol, NULL, &a);
	if (a.n > DT_MAXARGS)
		__builtin_trap();
	for (u32 i = 0; i < a.n; i++) {
		const struct dt_uarg *u = &a.arg[i];

		if (u->size != 1 && u->size != 2 && u->size != 4 && u->size != 8)
			__builtin_trap();
		if ((u->base != DT_UARG_NOREG && u->base > 160) ||
		    (u->index != DT_UARG_NOREG && u->index > 160) || u->scale > 3)
			__builtin_trap(); /* programs read there */
	}
}

static int see(const struct dt_elfnote *n, void *arg)
{
	struct dt_usdtnote u;

	if (dt_usdt_note(n, &u) == 0) {
		if (!*u.prov || !*u.name)
			__builtin_trap();
		operands(u.args);
	}
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct dt_bytes in = { .fd = -1, .mem = data, .size = size };
	struct dt_elfnote n = { 3, 8, (u32)size, "stapsdt", data, size };
	char *text = malloc(size + 1);

	dt_elf_notes(&in, see, NULL);
	see(&n, NULL);
	dt_insn_probeable(data, size);
	if (dt_insn_len(data, size) > size || dt_insn_len(data, size) > 15)
		__builtin_trap();
	if (text) {
		memcpy(text, data, size);
		text[size] = '\0';
		operands(text);
	}
	free(text);
	return 0;
}
