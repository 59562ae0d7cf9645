/* SPDX-License-Identifier: Apache-2.0 */
/*
 * drops.c - what was lost.  Programs count in each CPU's ring and state; what came since the last
 * look goes to the drop handler, kind by kind.  Some kinds are told CPU by CPU, the others as one
 * number.
 */
#include <string.h>

#include "consume2/consume.h"

static const struct row {
	dtrace_dropkind_t kind;
	u32 off; /* in the state */
	bool per_cpu;
	const char *what;
} rows[DT_NDROP_ROWS] = {
	[DT_DROP_AGG] = { DTRACEDROP_AGGREGATION, DT_ST_AGGDROPS, true, "aggregation drop" },
	[DT_DROP_DYN] = { DTRACEDROP_DYNAMIC, DT_ST_DYNDROPS, false, "dynamic variable drop" },
	[DT_DROP_SPEC] = { DTRACEDROP_SPEC, DT_ST_SPECDROPS, false, "speculative drop" },
	[DT_DROP_DBLERR] = { DTRACEDROP_DBLERROR, DT_ST_DBLERRORS, false, "error" },
};

static int report(dtrace_hdl_t *h, const struct row *r, int cpu, u64 drops, u64 total)
{
	const char *suffix = r->kind == DTRACEDROP_DBLERROR ? " in ERROR probe enabling" : "";
	char msg[128], where[32] = "";
	dtrace_dropdata_t data = {
		.dtdda_handle = h,
		.dtdda_cpu = r->per_cpu ? cpu : -1,
		.dtdda_kind = r->kind,
		.dtdda_drops = drops,
		.dtdda_total = total,
		.dtdda_msg = msg,
	};
	int rval;

	if (r->per_cpu)
		snprintf(where, sizeof(where), " on CPU %d", cpu);
	snprintf(msg, sizeof(msg), "%llu %s%s%s%s\n", (unsigned long long)drops, r->what,
		 drops == 1 ? "" : "s", where, suffix);
	if (!h->drophdlr)
		return dt_fail(&h->err, EDT_DROPABORT, "%s: %.*s", dt_errstr(EDT_DROPABORT),
			       (int)strcspn(msg, "\n"), msg);
	rval = h->drophdlr(&data, h->droparg);
	if (rval == DTRACE_HANDLE_OK)
		return 0;
	return dt_set_errno(h, rval == DTRACE_HANDLE_ABORT ? EDT_DROPABORT : EDT_BADRVAL);
}

static int check_rings(dtrace_hdl_t *h, struct dt_consumer *c)
{
	static const struct row principal = { DTRACEDROP_PRINCIPAL, 0, true, "drop" };

	for (u32 cpu = 0; cpu < c->ncpus; cpu++) {
		const struct dt_ring_hdr *r = c->readers[cpu].hdr;
		u64 total = r ? __atomic_load_n(&r->drops, __ATOMIC_RELAXED) : 0;
		u64 drops = total - c->ring_drops[cpu];

		c->ring_drops[cpu] = total;
		if (drops && report(h, &principal, (int)cpu, drops, total) < 0)
			return -1;
	}
	return 0;
}

static int check_row(dtrace_hdl_t *h, struct dt_consumer *c, u32 n)
{
	u64 drops = 0, total = 0;

	for (u32 cpu = 0; cpu < c->ncpus; cpu++) {
		const u8 *state = dt_live_state(h->live, (int)cpu);
		u64 *seen = &c->state_drops[cpu * DT_NDROP_ROWS + n], now, more;

		if (!state)
			continue;
		now = __atomic_load_n((const u64 *)(const void *)(state + rows[n].off),
				      __ATOMIC_RELAXED);
		more = now - *seen;
		*seen = now;
		drops += more;
		total += now;
		if (rows[n].per_cpu && more && report(h, &rows[n], (int)cpu, more, now) < 0)
			return -1;
	}
	if (drops && !rows[n].per_cpu)
		return report(h, &rows[n], -1, drops, total);
	return 0;
}

int dt_drops_check(dtrace_hdl_t *h)
{
	struct dt_consumer *c = h->consumer;

	if (!c || !h->live)
		return 0;
	if (check_rings(h, c) < 0)
		return -1;
	for (u32 n = 0; n < DT_NDROP_ROWS; n++)
		if (check_row(h, c, n) < 0)
			return -1;
	return 0;
}
