/* SPDX-License-Identifier: Apache-2.0 */
/* The input as a mangled name. */
#include "proc/symbols.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char name[2048], text[4096];

	if (size >= sizeof(name))
		return 0;
	memcpy(name, data, size);
	name[size] = '\0';
	if (!dt_demangle(name, text, sizeof(text)))
		return 0;
	for (const char *c = text; *c; c++)
		if ((u8)*c < 0x20 || *c == 0x7f)
			__builtin_trap();
	return 0;
}
