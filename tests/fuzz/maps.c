/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The input as the text of /proc/PID/maps, and as a perf map.
 */
#include "proc/symbols.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int row(const struct dt_maprow *r, void *arg)
{
	u64 *sum = arg;

	if (r->end <= r->start)
		__builtin_trap();
	*sum += strlen(r->path);
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *text = (const char *)data;
	struct dt_addrtab t = { 0 };
	u64 sum = 0;

	dt_maps_parse(text, size, row, &sum);
	if (dt_perfmap_parse(text, size / 2, &t) > size / 2)
		__builtin_trap();
	dt_perfmap_parse(text + size / 2, size - size / 2, &t);
	for (u32 i = 0; i < DT_MIN(t.n, 64u); i++) {
		const struct dt_addrsym *s = dt_addrtab_find(&t, t.v[i].addr);

		if (!s)
			__builtin_trap();
		for (const char *c = dt_addrtab_name(&t, s); *c; c++)
			if ((u8)*c < 0x20)
				__builtin_trap();
	}
	dt_addrtab_fini(&t);
	return 0;
}
