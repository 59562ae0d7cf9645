/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes as BTF: every type converted, completed, measured, printed and compared; names looked
 * up. */
#include <stddef.h>
#include <stdint.h>

#include "types/btf.h"
#include "types/types.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define MAX_MEMBERS 64 /* per type: the input is small, the same members again teach nothing */

static void look_at(struct dt_types *ts, struct dt_type *t)
{
	char buf[200];
	u64 off;
	u32 i;

	dt_type_str(t, buf, sizeof(buf));
	dt_type_size(t);
	dt_type_align(t);
	dt_type_is_stringlike(t);
	t = dt_type_resolve(t);
	if (!t)
		return;
	for (i = 0; t->members && i < t->nmembers && i < MAX_MEMBERS; i++)
		dt_type_str(t->members[i].type, buf, sizeof(buf));
	for (i = 0; t->enumvals && i < t->nmembers; i++)
		if (!t->enumvals[i].name)
			__builtin_trap();
	dt_type_member(t, "a", &off);
}

static void look_up(struct dt_types *ts)
{
	static const char *const names[] = { "struct a", "union a", "enum a", "a", "a *" };
	struct dt_type *t;
	s64 val;
	u32 i;

	for (i = 0; i < DT_NELEM(names); i++)
		dt_types_lookup(ts, names[i]);
	for (i = 0; i < 6; i++) /* often enough for an index */
		dt_btf_find(ts->btf, "a", DT_BTF_TYPEDEF);
	dt_types_enumerator(ts, "a", &val, &t);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct dt_types ts;
	u32 id, n;

	if (dt_types_init(&ts, NULL))
		return 0;
	ts.btf = dt_btf_open_mem(data, size, NULL);
	n = ts.btf ? dt_btf_ntypes(ts.btf) : 0;
	for (id = 1; id <= n; id++) {
		look_at(&ts, dt_types_from_btf(&ts, id));
		dt_type_same(dt_types_from_btf(&ts, id), dt_types_from_btf(&ts, n - id + 1));
	}
	if (n)
		look_up(&ts);
	dt_types_fini(&ts);
	return 0;
}
