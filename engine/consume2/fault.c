/* SPDX-License-Identifier: Apache-2.0 */
/* fault.c - what a clause could not do: a fault record becomes a sentence for the error handler. */
#include "consume2/consume.h"

static bool has_addr(u32 fault)
{
	switch (fault) {
	case DTRACEFLT_BADADDR:
	case DTRACEFLT_BADALIGN:
	case DTRACEFLT_KPRIV:
	case DTRACEFLT_UPRIV:
	case DTRACEFLT_BADSTACK: return true;
	default: return false;
	}
}

/* " in action #2 at line 7": what of it is known */
static void add_place(dtrace_hdl_t *h, struct dt_str *out, const struct dt_rec_fault *f)
{
	const struct dt_loc *loc = f->offset < h->obj->nfaults ? &h->obj->faults[f->offset] : NULL;
	int line = 0, col = 0;

	if (f->action)
		dt_str_printf(out, " in action #%u", f->action);
	else
		dt_str_puts(out, " in predicate");
	if (!loc || !loc->src)
		return;
	dt_loc_pos(loc, &line, &col);
	if (line <= 0)
		return;
	if (loc->src->name)
		dt_str_printf(out, " at %s:%d", loc->src->name, line);
	else
		dt_str_printf(out, " at line %d", line);
}

static void make_message(dtrace_hdl_t *h, struct dt_str *out, const struct dt_epid *e,
			 const dtrace_probedesc_t *pd, const struct dt_rec_fault *f)
{
	dt_str_printf(out, "error in dt_clause_%u for probe ID %u (%s:%s:%s:%s): %s",
		      e && e->clause ? e->clause->index : 0, pd->dtpd_id, pd->dtpd_provider,
		      pd->dtpd_mod, pd->dtpd_func, pd->dtpd_name, dtrace_faultstr(h, (int)f->fault));
	if (has_addr(f->fault))
		dt_str_printf(out, " (0x%llx)", (unsigned long long)f->addr);
	add_place(h, out, f);
	dt_str_putc(out, '\n');
}

int dt_fault_report(dtrace_hdl_t *h, int cpu, u32 probe, const struct dt_rec_fault *f)
{
	static const dtrace_eprobedesc_t none;
	struct dt_epid *e = f->epid && f->epid <= h->obj->nepids ? &h->obj->epids[f->epid - 1] : NULL;
	dtrace_eprobedesc_t edesc = e ? e->desc : none;
	dtrace_errdata_t data = {
		.dteda_handle = h,
		.dteda_edesc = &edesc,
		.dteda_pdesc = dt_consumer_pdesc(h, probe),
		.dteda_cpu = cpu,
		.dteda_action = (int)f->action,
		.dteda_offset = (int)f->offset,
		.dteda_fault = (int)f->fault,
		.dteda_addr = f->addr,
	};
	struct dt_str msg = { 0 };
	int rval;

	edesc.dtepd_probeid = probe;
	make_message(h, &msg, e, data.dteda_pdesc, f);
	data.dteda_msg = dt_str_cstr(&msg);
	if (!h->errhdlr) {
		dt_fail(&h->err, EDT_ERRABORT, "%s: %.*s", dt_errstr(EDT_ERRABORT),
			msg.len ? (int)msg.len - 1 : 0, dt_str_cstr(&msg));
		dt_str_fini(&msg);
		return -1;
	}
	rval = h->errhdlr(&data, h->errarg);
	dt_str_fini(&msg);
	if (rval == DTRACE_HANDLE_OK)
		return 0;
	return dt_set_errno(h, rval == DTRACE_HANDLE_ABORT ? EDT_ERRABORT : EDT_BADRVAL);
}
