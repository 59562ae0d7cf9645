/* SPDX-License-Identifier: Apache-2.0 */
/*
 * drops.c - what went wrong while tracing: lost data as counted by the programs, and faults of
 * clauses.
 *
 * Counters only grow; the difference to what was told is told.  Without a handler either is the
 * end.
 */
#include <inttypes.h>
#include <string.h>

#include "consume/consume.h"

#define ALL_CPUS (-1)

/* ---- drops ----------------------------------------------------------------------------------- */

static const struct drop {
	dtrace_dropkind_t kind;
	const char *tag;
	const char *text; /* behind the number; "" or "s" goes to %s */
	const char *tail; /* behind that */
	bool per_cpu;
} drops[] = {
	{ DTRACEDROP_PRINCIPAL, "DTRACEDROP_PRINCIPAL", "drop%s", "", true },
	{ DTRACEDROP_AGGREGATION, "DTRACEDROP_AGGREGATION", "aggregation drop%s", "", true },
	{ DTRACEDROP_DYNAMIC, "DTRACEDROP_DYNAMIC", "dynamic variable drop%s", "", false },
	{ DTRACEDROP_DYNRINSE, "DTRACEDROP_DYNRINSE", "dynamic variable drop%s",
	  " with non-empty rinsing list", false },
	{ DTRACEDROP_DYNDIRTY, "DTRACEDROP_DYNDIRTY", "dynamic variable drop%s",
	  " with non-empty dirty list", false },
	{ DTRACEDROP_SPEC, "DTRACEDROP_SPEC", "speculative drop%s", "", false },
	{ DTRACEDROP_SPECBUSY, "DTRACEDROP_SPECBUSY", "failed speculation%s",
	  " (available buffer(s) still busy)", false },
	{ DTRACEDROP_SPECUNAVAIL, "DTRACEDROP_SPECUNAVAIL", "failed speculation%s",
	  " (no speculative buffer available)", false },
	{ DTRACEDROP_STKSTROVERFLOW, "DTRACEDROP_STKSTROVERFLOW",
	  "jstack()/ustack() string table overflow%s", "", false },
	{ DTRACEDROP_DBLERROR, "DTRACEDROP_DBLERROR", "error%s in ERROR probe enabling", "", false },
};

static void drop_message(dtrace_hdl_t *h, const struct drop *d, int cpu, u64 n, char *buf, size_t size)
{
	struct dt_str s = { 0 };

	if (dt_opt(h, DT_OPT_DROPTAGS))
		dt_str_printf(&s, "[%s] ", d->tag);
	dt_str_printf(&s, "%" PRIu64 " ", n);
	dt_str_printf(&s, d->text, n == 1 ? "" : "s");
	dt_str_puts(&s, d->tail);
	if (d->per_cpu)
		dt_str_printf(&s, " on CPU %d", cpu);
	snprintf(buf, size, "%s\n", dt_str_cstr(&s));
	dt_str_fini(&s);
}

/* Tell what total has over *told.  0 or -1. */
static int tell_as(dtrace_hdl_t *h, const struct drop *d, int cpu, u64 total, u64 *told)
{
	char msg[160];
	dtrace_dropdata_t data = {
		.dtdda_handle = h,
		.dtdda_cpu = cpu,
		.dtdda_kind = d->kind,
		.dtdda_drops = total - *told,
		.dtdda_total = total,
		.dtdda_msg = msg,
	};
	int rv;

	if (total == *told)
		return 0;
	*told = total;
	drop_message(h, d, cpu, data.dtdda_drops, msg, sizeof(msg));
	if (!h->drophdlr)
		return dt_fail(&h->err, EDT_DROPABORT, "%s: %.*s", dt_errstr(EDT_DROPABORT),
			       (int)strcspn(msg, "\n"), msg);
	rv = h->drophdlr(&data, h->droparg);
	if (rv == DTRACE_HANDLE_OK)
		return 0;
	return dt_set_errno(h, rv == DTRACE_HANDLE_ABORT ? EDT_DROPABORT : EDT_BADRVAL);
}

static int tell(dtrace_hdl_t *h, dtrace_dropkind_t kind, int cpu, u64 total, u64 *told)
{
	return tell_as(h, &drops[kind], cpu, total, told);
}

/* libdtrace has no kind for firings that never reached their program: they are principal drops with a text
 * of their own. */
static int tell_missed(dtrace_hdl_t *h)
{
	static const struct drop missed = { DTRACEDROP_PRINCIPAL, "DTRACEDROP_PRINCIPAL",
					    "missed firing%s",
					    " (the probe's program was running on that CPU already)",
					    false };
	struct dt_consumer *c = h->consumer;

	return tell_as(h, &missed, ALL_CPUS, dt_live_misses(h->live), &c->told_missed);
}

static u64 counter(const void *state, size_t off)
{
	return state ? __atomic_load_n((const u64 *)(const void *)((const u8 *)state + off),
				       __ATOMIC_RELAXED) :
		       0;
}

static int check_cpu(dtrace_hdl_t *h, int cpu)
{
	struct dt_told *told = &h->consumer->told[cpu];
	const struct dt_ring_hdr *ring = dt_live_ring(h->live, cpu);
	u64 lost = ring ? __atomic_load_n(&ring->drops, __ATOMIC_RELAXED) : 0;
	u64 agg = counter(dt_live_state(h->live, cpu), DT_ST_AGGDROPS);

	/* beyond the fill records are not wanted: they are no drops */
	if (dt_opt(h, DT_OPT_BUFPOLICY) != DT_BUFPOLICY_FILL &&
	    tell(h, DTRACEDROP_PRINCIPAL, cpu, lost, &told->principal) < 0)
		return -1;
	return tell(h, DTRACEDROP_AGGREGATION, cpu, agg, &told->agg);
}

static u64 all_cpus(dtrace_hdl_t *h, size_t off)
{
	u64 sum = 0;

	for (int cpu = 0; cpu < h->consumer->ncpus; cpu++)
		sum += counter(dt_live_state(h->live, cpu), off);
	return sum;
}

/* Records that found no room in their buffer, and attempts that failed. */
static u64 spec_drops(dtrace_hdl_t *h)
{
	u64 sum = all_cpus(h, DT_ST_SPECDROPS);

	for (int cpu = 0; cpu < h->consumer->ncpus; cpu++)
		for (u32 i = 0; i < h->obj->nspec; i++)
			sum += counter(dt_live_spec(h->live, i, cpu),
				       offsetof(struct dt_ring_hdr, drops));
	return sum;
}

int dt_drops_check(dtrace_hdl_t *h)
{
	struct dt_consumer *c = h->consumer;

	if (!c || !h->live)
		return 0;
	for (int cpu = 0; cpu < c->ncpus; cpu++)
		if (check_cpu(h, cpu) < 0)
			return -1;
	if (tell(h, DTRACEDROP_DYNAMIC, ALL_CPUS, all_cpus(h, DT_ST_DYNDROPS), &c->told_dyn) < 0 ||
	    tell(h, DTRACEDROP_SPEC, ALL_CPUS, spec_drops(h), &c->told_spec) < 0 ||
	    tell(h, DTRACEDROP_SPECBUSY, ALL_CPUS, all_cpus(h, DT_ST_SPECBUSY), &c->told_specbusy) <
		    0 ||
	    tell(h, DTRACEDROP_SPECUNAVAIL, ALL_CPUS, all_cpus(h, DT_ST_SPECUNAVAIL),
		 &c->told_specunavail) < 0)
		return -1;
	if (tell(h, DTRACEDROP_STKSTROVERFLOW, ALL_CPUS, c->stkstr, &c->told_stkstr) < 0)
		return -1;
	if (tell_missed(h) < 0)
		return -1;
	return tell(h, DTRACEDROP_DBLERROR, ALL_CPUS, all_cpus(h, DT_ST_DBLERRORS), &c->told_dbl);
}

/* ---- faults ---------------------------------------------------------------------------------- */

static void put_where(struct dt_str *s, u32 clause, u32 probe, const dtrace_probedesc_t *p)
{
	dt_str_printf(s, "error in dt_clause_%u for probe ID %u (%s:%s:%s:%s): ", clause, probe,
		      p->dtpd_provider, p->dtpd_mod, p->dtpd_func, p->dtpd_name);
}

static bool has_address(u32 fault)
{
	return fault == DTRACEFLT_BADADDR || fault == DTRACEFLT_BADALIGN ||
	       fault == DTRACEFLT_KPRIV || fault == DTRACEFLT_UPRIV;
}

static void put_place(struct dt_str *s, const struct dt_loc *l)
{
	int line = 0, col = 0;

	if (!l->src)
		return;
	dt_loc_pos(l, &line, &col);
	if (line && l->src->name)
		dt_str_printf(s, " at \"%s\", line %d", l->src->name, line);
	else if (line)
		dt_str_printf(s, " at line %d", line);
}

/* One that a process may well have. */
static bool is_user_address(u64 addr)
{
	return addr >= 0x10000 && addr < UINT64_C(1) << 47;
}

static void put_sentence(dtrace_hdl_t *h, struct dt_str *s, const struct dt_rec_fault *f,
			 const struct dt_epid *e, u32 probe, const dtrace_probedesc_t *p)
{
	const struct dt_object *o = h->obj;

	put_where(s, e && e->clause ? e->clause->index : f->epid - 1, probe, p);
	dt_str_puts(s, dtrace_faultstr(h, (int)f->fault));
	if (has_address(f->fault))
		dt_str_printf(s, " (0x%" PRIx64 ")", f->addr);
	if (f->action)
		dt_str_printf(s, " in action #%u", f->action);
	else
		dt_str_puts(s, " in predicate");
	if (f->offset < o->nfaults) {
		put_place(s, &o->faults[f->offset].loc);
		if (o->faults[f->offset].unwaited && is_user_address(f->addr))
			dt_str_puts(s, ": no such page, or not in memory yet");
	}
	dt_str_putc(s, '\n');
}

static int call_handler(dtrace_hdl_t *h, const dtrace_errdata_t *data)
{
	int rv;

	if (!h->errhdlr)
		return dt_fail(&h->err, EDT_ERRABORT, "%s: %.*s", dt_errstr(EDT_ERRABORT),
			       (int)strcspn(data->dteda_msg, "\n"), data->dteda_msg);
	rv = h->errhdlr(data, h->errarg);
	if (rv == DTRACE_HANDLE_OK)
		return 0;
	return dt_set_errno(h, rv == DTRACE_HANDLE_ABORT ? EDT_ERRABORT : EDT_BADRVAL);
}

int dt_fault_record(struct dt_consumer *c, int cpu, const struct dt_rec_hdr *rec)
{
	const struct dt_rec_fault *f = (const void *)(rec + 1);
	dtrace_hdl_t *h = c->h;
	struct dt_epid *e = f->epid && f->epid <= h->obj->nepids ? &h->obj->epids[f->epid - 1] : NULL;
	dtrace_probedesc_t *p = dt_consumer_pdesc(c, rec->probe);
	struct dt_str s = { 0 };
	int err;

	if (!p)
		return -1;
	if (e)
		e->desc.dtepd_probeid = rec->probe;
	put_sentence(h, &s, f, e, rec->probe, p);
	err = call_handler(h, &(dtrace_errdata_t){ .dteda_handle = h,
						   .dteda_edesc = e ? &e->desc : NULL,
						   .dteda_pdesc = p,
						   .dteda_cpu = cpu,
						   .dteda_action = (int)f->action,
						   .dteda_offset = (int)f->offset,
						   .dteda_fault = (int)f->fault,
						   .dteda_addr = f->addr,
						   .dteda_msg = dt_str_cstr(&s) });
	dt_str_fini(&s);
	return err;
}

int dt_lib_error(dtrace_hdl_t *h, const dtrace_probedata_t *pd, const char *fmt, ...)
{
	u32 epid = pd->dtpda_edesc->dtepd_epid;
	const struct dt_clause *clause =
		epid && epid <= h->obj->nepids ? h->obj->epids[epid - 1].clause : NULL;
	struct dt_str s = { 0 };
	va_list ap;
	int err;

	put_where(&s, clause ? clause->index : epid - 1, pd->dtpda_edesc->dtepd_probeid,
		  pd->dtpda_pdesc);
	va_start(ap, fmt);
	dt_str_vprintf(&s, fmt, ap);
	va_end(ap);
	dt_str_putc(&s, '\n');
	err = call_handler(h, &(dtrace_errdata_t){ .dteda_handle = h,
						   .dteda_edesc = pd->dtpda_edesc,
						   .dteda_pdesc = pd->dtpda_pdesc,
						   .dteda_cpu = pd->dtpda_cpu,
						   .dteda_action = -1,
						   .dteda_offset = -1,
						   .dteda_fault = DTRACEFLT_LIBRARY,
						   .dteda_msg = dt_str_cstr(&s) });
	dt_str_fini(&s);
	return err;
}
