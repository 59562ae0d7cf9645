/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The input as the Python frames of a jstack() record, and as a table of lines.
 */
#include <stdlib.h>
#include <string.h>

#include "consume/consume.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static dtrace_hdl_t *h;
	u64 pcs[4] = { 0x1000, 0x2000, 0x3000, 0 }, out[16];
	struct dt_raw_python *raw;
	char text[600];
	u32 n;

	if (!h)
		h = dtrace_open(DTRACE_VERSION, DTRACE_O_NODEV, NULL);
	if (!h || size < sizeof(*raw))
		return 0;
	raw = malloc(size);
	if (!raw)
		return 0;
	memcpy(raw, data, size);
	n = dt_python_merge(h, 0, raw, (u32)(size - sizeof(*raw)), pcs, 4, out, DT_NELEM(out));
	if (n > DT_NELEM(out))
		__builtin_trap();
	for (u32 i = 0; i < n; i++) {
		dtrace_uaddr2str(h, 0, out[i], text, sizeof(text));
		for (const char *c = text; *c; c++)
			if ((u8)*c < 0x20)
				__builtin_trap();
	}
	free(raw);
	for (u32 unit = 0; unit < 64; unit++)
		if (dt_python_line(data, size, 1, unit) > INT32_MAX)
			__builtin_trap();
	return 0;
}
