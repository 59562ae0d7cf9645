/* SPDX-License-Identifier: Apache-2.0 */
/*
 * flow.c - option flowindent: which firings open and close a function, and how far in that puts
 * them.
 *
 * Each CPU has its own depth.  Several clauses of one firing are one step: the second clause of an
 * entry does not go deeper, and only the last clause of a return comes back.
 */
#include <string.h>

#include "consume/consume.h"

#define STEP 2

static bool is_or_ends(const char *name, const char *word, const char *suffix)
{
	size_t n = strlen(name), s = strlen(suffix);

	return !strcmp(name, word) || (n > s && !strcmp(name + n - s, suffix));
}

static dtrace_flowkind_t kind_of(const dtrace_probedesc_t *p)
{
	if (is_or_ends(p->dtpd_name, "entry", "-entry"))
		return DTRACEFLOW_ENTRY;
	if (is_or_ends(p->dtpd_name, "return", "-return"))
		return DTRACEFLOW_RETURN;
	return DTRACEFLOW_NONE;
}

void dt_flow_before(struct dt_cursor *c, dtrace_probedata_t *pd, u32 epid,
		    const struct dt_rec_hdr *next)
{
	static const char *const prefix[][2] = {
		[DTRACEFLOW_ENTRY] = { " -> ", " => " },
		[DTRACEFLOW_RETURN] = { " <- ", " <= " },
		[DTRACEFLOW_NONE] = { "| ", "| " },
	};
	dtrace_flowkind_t kind = kind_of(pd->dtpda_pdesc);
	u32 probe = pd->dtpda_pdesc->dtpd_id;

	if (kind == DTRACEFLOW_ENTRY && c->last_epid && c->last_epid != epid && c->last_probe == probe)
		kind = DTRACEFLOW_NONE;
	if (kind == DTRACEFLOW_RETURN && next && next->epid && next->epid != epid &&
	    next->probe == probe)
		kind = DTRACEFLOW_NONE;
	if (kind == DTRACEFLOW_RETURN)
		c->indent = DT_MAX(c->indent - STEP, 0);
	pd->dtpda_flow = kind;
	pd->dtpda_prefix = prefix[kind][!strcmp(pd->dtpda_pdesc->dtpd_provider, "syscall")];
	pd->dtpda_indent = c->indent;
}

void dt_flow_after(struct dt_cursor *c, const dtrace_probedata_t *pd, u32 epid)
{
	if (pd->dtpda_flow == DTRACEFLOW_ENTRY && c->indent < INT32_MAX - STEP)
		c->indent += STEP;
	c->last_epid = epid;
	c->last_probe = pd->dtpda_pdesc->dtpd_id;
}
