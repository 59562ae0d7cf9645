/* SPDX-License-Identifier: Apache-2.0 */
/*
 * dtrace.c - the probes of tracing itself: BEGIN, END and ERROR.  The consumer fires the first two
 * on its own thread; ERROR fires inside whatever program a clause faulted in.
 */
#include "probe/probe.h"

static const struct {
	u32 id;
	const char *name;
	enum dt_attach_kind kind;
	enum dt_abi abi;
} probes[] = {
	{ DT_ID_BEGIN, "BEGIN", DT_AT_BEGIN, DT_ABI_NONE },
	{ DT_ID_END, "END", DT_AT_END, DT_ABI_NONE },
	{ DT_ID_ERROR, "ERROR", DT_AT_ERROR, DT_ABI_ERROR },
};

static int provide(struct dt_probes *ps, const struct dt_provider *self, const struct dt_pdesc *d)
{
	struct dt_attach *at, model;
	size_t i;

	if (ps->nbyid && ps->byid[DT_ID_ERROR])
		return 0;
	for (i = 0; i < DT_NELEM(probes); i++) {
		if (ps->nbyid && ps->byid[probes[i].id])
			continue;
		model = (struct dt_attach){ .kind = probes[i].kind, .abi = probes[i].abi, .nkeys = 1 };
		at = dt_probes_add_attach(ps, &model);
		if (!at ||
		    !dt_probes_add(ps, self, probes[i].id, "", "", probes[i].name, at, 0, NULL))
			return -1;
	}
	return 0;
}

/* ERROR: arg1 the clause's epid, arg2 the action, arg3 where in it, arg4 the fault, arg5 the
 * address; arg0 is 0. */
static int args(struct dt_probes *ps, const struct dt_probe *p, struct dt_probe_args *out)
{
	static const char *const error[] = { "int", "uint32_t", "int", "int", "int", "uint64_t" };
	size_t i;

	if (p->id != DT_ID_ERROR)
		return 0;
	for (i = 0; i < DT_NELEM(error); i++)
		out->type[i] = error[i];
	out->argc = DT_NELEM(error);
	return 0;
}

static const struct dt_stability stability = {
	.mod = DT_ATTR(PRIVATE, PRIVATE, UNKNOWN),
	.func = DT_ATTR(PRIVATE, PRIVATE, UNKNOWN),
	.name = DT_ATTR(STABLE, STABLE, COMMON),
	.args = DT_ATTR(STABLE, STABLE, COMMON),
};

const struct dt_provider dt_provider_dtrace = {
	.name = "dtrace",
	.attr = DT_ATTR(STABLE, STABLE, COMMON),
	.stability = &stability,
	.numbered = true,
	.provide = provide,
	.args = args,
};
