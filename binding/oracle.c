/* SPDX-License-Identifier: Apache-2.0 */
/*
 * oracle.c - the table of engine.c for the libdtrace of Oracle's dtrace-utils 2.x for Linux.
 *
 * That library has the classic calls with structures of its own.  The binding sees a classic one: a handle is a
 * struct adapter, and what callbacks get is laid out anew as the classic structures have it.  <dtrace.h> is the
 * library's here; the classic API has names that begin with classic_ (classic.py makes them of our headers).
 */
#include <sys/param.h>

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <dtrace.h>

#include "classic.h"

/* A statement's records, as the classic API describes an enabling. */
struct enabling {
	uint64_t stid;
	const dtrace_datadesc_t *of;
	classic_eprobedesc_t desc;
	struct enabling *next;
};

struct aggregation {
	int64_t varid;
	classic_aggdesc_t desc;
	uint32_t words_off;
	struct aggregation *next;
};

struct process {
	pid_t pid;
	struct dtrace_proc *proc;
	struct process *next;
};

struct adapter {
	dtrace_hdl_t *h;
	bool ready; /* dtrace_init() was called */
	struct enabling *enablings;
	struct aggregation *aggregations;
	struct process *processes;
	classic_handle_err_f *on_err;
	classic_handle_drop_f *on_drop;
	classic_handle_proc_f *on_proc;
	classic_handle_setopt_f *on_setopt;
	void *err_arg, *drop_arg, *proc_arg, *setopt_arg;
	uint32_t nenablings;
	char *row; /* an aggregation's row, laid out */
	size_t rowsize;
	const char **argv; /* of the last probe_info() */
};

#define ADAPTER(h) ((struct adapter *)(h))
#define HANDLE(a) ((classic_hdl_t *)(a))

static int on_err(const dtrace_errdata_t *d, void *arg);

/* ---- life --------------------------------------------------------------------------------------- */

static classic_hdl_t *open_handle(int version, int flags, int *err)
{
	struct adapter *a = calloc(1, sizeof(*a));

	(void)version;
	if (!a) {
		*err = ENOMEM; /* of errno(3): codes below 1000 are */
		return NULL;
	}
	a->h = dtrace_open(DTRACE_VERSION, flags & 0, err);
	if (a->h)
		return HANDLE(a);
	free(a);
	return NULL;
}

static void free_descriptions(struct adapter *a)
{
	while (a->enablings) {
		struct enabling *e = a->enablings;

		a->enablings = e->next;
		free(e->desc.dtepd_rec);
		free(e);
	}
	while (a->aggregations) {
		struct aggregation *g = a->aggregations;

		a->aggregations = g->next;
		free(g->desc.dtagd_rec);
		free(g);
	}
}

static void close_handle(classic_hdl_t *h)
{
	struct adapter *a = ADAPTER(h);

	while (a->processes) {
		struct process *p = a->processes;

		a->processes = p->next;
		dtrace_proc_release(a->h, p->proc);
		free(p);
	}
	dtrace_close(a->h);
	free_descriptions(a);
	free(a->row);
	free(a->argv);
	free(a);
}

static int errnum(classic_hdl_t *h)
{
	return dtrace_errno(ADAPTER(h)->h);
}

static const char *errmsg(classic_hdl_t *h, int error)
{
	return dtrace_errmsg(h ? ADAPTER(h)->h : NULL, error);
}

static int setopt(classic_hdl_t *h, const char *name, const char *value)
{
	return dtrace_setopt(ADAPTER(h)->h, name, value);
}

static int getopt_(classic_hdl_t *h, const char *name, classic_optval_t *value)
{
	dtrace_optval_t v;

	if (dtrace_getopt(ADAPTER(h)->h, name, &v) < 0)
		return -1;
	*value = v;
	return 0;
}

static const char *version(void)
{
	return _dtrace_version;
}

/* What options have to come before, and all else after. */
static int ready(struct adapter *a)
{
	if (a->ready)
		return 0;
	a->ready = true;
	if (dtrace_init(a->h) < 0)
		return -1;
	return a->on_err ? dtrace_handle_err(a->h, on_err, a) :
			   0; /* compiles a clause, so it comes here */
}

/* ---- programs ----------------------------------------------------------------------------------- */

/* Compile flags and probe specifications have the classic numbers. */
static classic_prog_t *strcompile(classic_hdl_t *h, const char *text, classic_probespec_t spec,
				  unsigned int flags, int argc, char *const argv[])
{
	struct adapter *a = ADAPTER(h);

	if (ready(a) < 0)
		return NULL;
	return (classic_prog_t *)dtrace_program_strcompile(a->h, text, (dtrace_probespec_t)spec,
							   flags, argc, argv);
}

static classic_prog_t *fcompile(classic_hdl_t *h, FILE *fp, unsigned int flags, int argc,
				char *const argv[])
{
	struct adapter *a = ADAPTER(h);

	if (ready(a) < 0)
		return NULL;
	return (classic_prog_t *)dtrace_program_fcompile(a->h, fp, flags, argc, argv);
}

static classic_attribute_t attribute(dtrace_attribute_t t)
{
	return (classic_attribute_t){ t.dtat_name, t.dtat_data, t.dtat_class };
}

static void take_info(classic_proginfo_t *to, const dtrace_proginfo_t *i)
{
	*to = (classic_proginfo_t){
		.dpi_descattr = attribute(i->dpi_descattr),
		.dpi_stmtattr = attribute(i->dpi_stmtattr),
		.dpi_aggregates = i->dpi_aggregates,
		.dpi_recgens = i->dpi_recgens,
		.dpi_matches = i->dpi_matches,
		.dpi_speculations = i->dpi_speculations,
	};
}

static int program_exec(classic_hdl_t *h, classic_prog_t *prog, classic_proginfo_t *info)
{
	dtrace_proginfo_t i = { 0 };
	int rc = dtrace_program_exec(ADAPTER(h)->h, (dtrace_prog_t *)prog, &i);

	if (info)
		take_info(info, &i);
	return rc;
}

static void program_info(classic_hdl_t *h, classic_prog_t *prog, classic_proginfo_t *info)
{
	dtrace_proginfo_t i = { 0 };

	dtrace_program_info(ADAPTER(h)->h, (dtrace_prog_t *)prog, &i);
	take_info(info, &i);
}

static int go(classic_hdl_t *h)
{
	struct adapter *a = ADAPTER(h);

	return ready(a) < 0 ? -1 : dtrace_go(a->h, 0);
}

static int stop(classic_hdl_t *h)
{
	return dtrace_stop(ADAPTER(h)->h);
}

static int status(classic_hdl_t *h)
{
	return dtrace_status(ADAPTER(h)->h);
}

/* The library itself waits, inside of dtrace_work(). */
static void sleep_a_little(classic_hdl_t *h)
{
	static const struct timespec ts = { 0, 20 * 1000 * 1000 };

	(void)h;
	nanosleep(&ts, NULL);
}

/* ---- probes ------------------------------------------------------------------------------------- */

static void put_name(char *to, size_t size, const char *from)
{
	snprintf(to, size, "%s", from ? from : "");
}

static void take_probe(classic_probedesc_t *to, const dtrace_probedesc_t *p)
{
	to->dtpd_id = p->id;
	put_name(to->dtpd_provider, sizeof(to->dtpd_provider), p->prv);
	put_name(to->dtpd_mod, sizeof(to->dtpd_mod), p->mod);
	put_name(to->dtpd_func, sizeof(to->dtpd_func), p->fun);
	put_name(to->dtpd_name, sizeof(to->dtpd_name), p->prb);
}

static dtrace_probedesc_t give_probe(const classic_probedesc_t *p)
{
	return (dtrace_probedesc_t){ p->dtpd_id, p->dtpd_provider, p->dtpd_mod, p->dtpd_func,
				     p->dtpd_name };
}

struct stmt_walk {
	struct adapter *a;
	classic_prog_t *prog;
	classic_stmt_f *f;
	void *arg;
};

static int on_stmt(dtrace_hdl_t *h, dtrace_prog_t *prog, dtrace_stmtdesc_t *s, void *arg)
{
	struct stmt_walk *w = arg;
	classic_ecbdesc_t ecb = { 0 };
	classic_stmtdesc_t stmt = {
		.dtsd_ecbdesc = &ecb,
		.dtsd_descattr = attribute(s->dtsd_descattr),
		.dtsd_stmtattr = attribute(s->dtsd_stmtattr),
	};

	(void)h;
	(void)prog;
	take_probe(&ecb.dted_probe, &s->dtsd_ecbdesc->dted_probe);
	return w->f(HANDLE(w->a), w->prog, &stmt, w->arg);
}

static int stmt_iter(classic_hdl_t *h, classic_prog_t *prog, classic_stmt_f *f, void *arg)
{
	struct stmt_walk w = { ADAPTER(h), prog, f, arg };

	return dtrace_stmt_iter(w.a->h, (dtrace_prog_t *)prog, on_stmt, &w);
}

struct probe_walk {
	struct adapter *a;
	classic_probe_f *f;
	void *arg;
};

static int on_probe(dtrace_hdl_t *h, const dtrace_probedesc_t *p, void *arg)
{
	struct probe_walk *w = arg;
	classic_probedesc_t desc;

	(void)h;
	take_probe(&desc, p);
	return w->f(HANDLE(w->a), &desc, w->arg);
}

static int probe_iter(classic_hdl_t *h, const classic_probedesc_t *pattern, classic_probe_f *f,
		      void *arg)
{
	struct adapter *a = ADAPTER(h);
	struct probe_walk w = { a, f, arg };
	dtrace_probedesc_t p;

	if (ready(a) < 0)
		return -1;
	if (pattern)
		p = give_probe(pattern);
	return dtrace_probe_iter(a->h, pattern ? &p : NULL, on_probe, &w);
}

/* Types are known to the library as numbers in a CTF dictionary only; their texts stay empty. */
static int probe_info(classic_hdl_t *h, const classic_probedesc_t *desc, classic_probeinfo_t *out)
{
	struct adapter *a = ADAPTER(h);
	dtrace_probedesc_t p = give_probe(desc);
	dtrace_probeinfo_t i = { 0 };
	int argc;

	if (ready(a) < 0 || dtrace_probe_info(a->h, &p, &i) < 0)
		return -1;
	argc = i.dtp_argc > 0 ? i.dtp_argc : 0;
	free(a->argv);
	a->argv = calloc((size_t)argc + 1, sizeof(*a->argv));
	if (!a->argv)
		return -1;
	for (int n = 0; n < argc; n++)
		a->argv[n] = "";
	*out = (classic_probeinfo_t){ attribute(i.dtp_attr), attribute(i.dtp_arga), a->argv, argc };
	return 0;
}

static char *attr2str(classic_attribute_t t, char *buf, size_t size)
{
	return dtrace_attr2str((dtrace_attribute_t){ t.dtat_name, t.dtat_data, t.dtat_class }, buf,
			       size);
}

/* ---- records ------------------------------------------------------------------------------------ */

/* Action numbers are the classic ones, but for what tracemem() says of its size. */
static classic_recdesc_t take_rec(const dtrace_recdesc_t *r)
{
	bool is_size = r->dtrd_action == DTRACEACT_TRACEMEM &&
		       (r->dtrd_arg == DTRACE_TRACEMEM_SIZE || r->dtrd_arg == DTRACE_TRACEMEM_SSIZE);

	return (classic_recdesc_t){
		.dtrd_action = is_size ? CLASSICACT_TRACEMEM_DYNSIZE : r->dtrd_action,
		.dtrd_size = r->dtrd_size,
		.dtrd_offset = r->dtrd_offset,
		.dtrd_alignment = r->dtrd_alignment,
		.dtrd_format = r->dtrd_format,
		.dtrd_arg = r->dtrd_arg,
	};
}

static struct enabling *enabling_new(struct adapter *a, uint64_t stid, const dtrace_datadesc_t *d)
{
	struct enabling *e = calloc(1, sizeof(*e));
	classic_recdesc_t *recs = calloc((size_t)d->dtdd_nrecs + 1, sizeof(*recs));
	uint32_t size = 0;

	if (!e || !recs) {
		free(e);
		free(recs);
		return NULL;
	}
	for (int i = 0; i < d->dtdd_nrecs; i++) {
		recs[i] = take_rec(&d->dtdd_recs[i]);
		if (recs[i].dtrd_offset + recs[i].dtrd_size > size)
			size = recs[i].dtrd_offset + recs[i].dtrd_size;
	}
	*e = (struct enabling){
		.stid = stid,
		.of = d,
		.desc = { .dtepd_epid = ++a->nenablings,
			  .dtepd_size = size,
			  .dtepd_nrecs = d->dtdd_nrecs,
			  .dtepd_rec = recs },
		.next = a->enablings,
	};
	return a->enablings = e;
}

/* The one of a firing; those of a program are few.  NULL: no memory. */
static struct enabling *enabling_of(struct adapter *a, uint64_t stid, const dtrace_datadesc_t *d)
{
	for (struct enabling *e = a->enablings; e; e = e->next)
		if (e->stid == stid && e->of == d && e->desc.dtepd_nrecs == d->dtdd_nrecs)
			return e;
	return enabling_new(a, stid, d);
}

struct consumption {
	struct adapter *a;
	classic_consume_probe_f *on_probe;
	classic_consume_rec_f *on_rec;
	void *arg;
};

static int consume_code(int classic)
{
	return classic == CLASSIC_CONSUME_ABORT ? DTRACE_CONSUME_ABORT : classic;
}

/* The library's data pointer is at the record that it hands over; the classic one where offsets count from. */
static bool take_firing(struct adapter *a, const dtrace_probedata_t *d, const dtrace_recdesc_t *rec,
			classic_probedesc_t *probe, classic_probedata_t *out,
			struct enabling **enabling)
{
	*enabling = enabling_of(a, (uint64_t)d->dtpda_stid, d->dtpda_ddesc);
	if (!*enabling)
		return false;
	take_probe(probe, d->dtpda_pdesc);
	*out = (classic_probedata_t){
		.dtpda_handle = HANDLE(a),
		.dtpda_edesc = &(*enabling)->desc,
		.dtpda_pdesc = probe,
		.dtpda_cpu = (int)d->dtpda_cpu,
		.dtpda_data = d->dtpda_data - (rec ? rec->dtrd_offset : 0),
		.dtpda_flow = (classic_flowkind_t)d->dtpda_flow,
		.dtpda_prefix = d->dtpda_prefix,
		.dtpda_indent = d->dtpda_indent,
	};
	return true;
}

static int consume_probe(const dtrace_probedata_t *d, void *arg)
{
	struct consumption *c = arg;
	classic_probedesc_t probe;
	classic_probedata_t data;
	struct enabling *e;

	if (!c->on_probe)
		return DTRACE_CONSUME_THIS;
	if (!take_firing(c->a, d, NULL, &probe, &data, &e))
		return DTRACE_CONSUME_ABORT;
	return consume_code(c->on_probe(&data, c->arg));
}

static int consume_rec(const dtrace_probedata_t *d, const dtrace_recdesc_t *rec, void *arg)
{
	struct consumption *c = arg;
	classic_probedesc_t probe;
	classic_probedata_t data;
	struct enabling *e;
	ptrdiff_t i = rec ? rec - d->dtpda_ddesc->dtdd_recs : 0;

	if (!take_firing(c->a, d, rec, &probe, &data, &e) || i < 0 || i > e->desc.dtepd_nrecs)
		return DTRACE_CONSUME_ABORT;
	return consume_code(c->on_rec(&data, rec ? &e->desc.dtepd_rec[i] : NULL, c->arg));
}

static classic_workstatus_t work(classic_hdl_t *h, FILE *fp, classic_consume_probe_f *pf,
				 classic_consume_rec_f *rf, void *arg)
{
	struct consumption c = { ADAPTER(h), pf, rf, arg };

	return (classic_workstatus_t)dtrace_work(c.a->h, fp, consume_probe, consume_rec, &c);
}

/* ---- handlers ----------------------------------------------------------------------------------- */

static int on_err(const dtrace_errdata_t *d, void *arg)
{
	struct adapter *a = arg;
	classic_probedesc_t probe;
	classic_errdata_t e = {
		.dteda_handle = HANDLE(a),
		.dteda_pdesc = &probe,
		.dteda_cpu = (int)d->dteda_cpu,
		.dteda_action = d->dteda_action,
		.dteda_offset = d->dteda_offset,
		.dteda_fault = d->dteda_fault,
		.dteda_addr = d->dteda_addr,
		.dteda_msg = d->dteda_msg,
	};

	take_probe(&probe, d->dteda_pdesc);
	return a->on_err ? a->on_err(&e, a->err_arg) : DTRACE_HANDLE_ABORT;
}

static int on_drop(const dtrace_dropdata_t *d, void *arg)
{
	struct adapter *a = arg;
	classic_dropdata_t e = {
		.dtdda_handle = HANDLE(a),
		.dtdda_cpu = (int)d->dtdda_cpu,
		.dtdda_kind = (classic_dropkind_t)d->dtdda_kind,
		.dtdda_drops = d->dtdda_drops,
		.dtdda_total = d->dtdda_total,
		.dtdda_msg = d->dtdda_msg,
	};

	return a->on_drop ? a->on_drop(&e, a->drop_arg) : DTRACE_HANDLE_ABORT;
}

static void on_proc(pid_t pid, const char *err, void *arg)
{
	struct adapter *a = arg;
	struct process *p = a->processes;

	while (p && p->pid != pid)
		p = p->next;
	if (a->on_proc)
		a->on_proc((struct ps_prochandle *)(p ? p->proc : NULL), err, a->proc_arg);
}

static int on_setopt(const dtrace_setoptdata_t *d, void *arg)
{
	struct adapter *a = arg;
	classic_setoptdata_t e = {
		.dtsda_handle = HANDLE(a),
		.dtsda_option = d->dtsda_option,
		.dtsda_oldval = d->dtsda_oldval,
		.dtsda_newval = d->dtsda_newval,
	};

	return a->on_setopt ? a->on_setopt(&e, a->setopt_arg) : DTRACE_HANDLE_OK;
}

/* The library learns of it in ready(). */
static int handle_err(classic_hdl_t *h, classic_handle_err_f *f, void *arg)
{
	struct adapter *a = ADAPTER(h);

	a->on_err = f;
	a->err_arg = arg;
	return 0;
}

static int handle_drop(classic_hdl_t *h, classic_handle_drop_f *f, void *arg)
{
	struct adapter *a = ADAPTER(h);

	a->on_drop = f;
	a->drop_arg = arg;
	return dtrace_handle_drop(a->h, on_drop, a);
}

static int handle_proc(classic_hdl_t *h, classic_handle_proc_f *f, void *arg)
{
	struct adapter *a = ADAPTER(h);

	a->on_proc = f;
	a->proc_arg = arg;
	return dtrace_handle_proc(a->h, on_proc, a);
}

static int handle_setopt(classic_hdl_t *h, classic_handle_setopt_f *f, void *arg)
{
	struct adapter *a = ADAPTER(h);

	a->on_setopt = f;
	a->setopt_arg = arg;
	return dtrace_handle_setopt(a->h, on_setopt, a);
}

/* Text of trace() and printf() does not come that way: the binding uses a file in memory. */
static int handle_buffered(classic_hdl_t *h, classic_handle_buffered_f *f, void *arg)
{
	(void)h;
	(void)f;
	(void)arg;
	return 0;
}

/* ---- aggregations ------------------------------------------------------------------------------- */

/* In the order of the library's private numbers. */
static const classic_actkind_t aggfuncs[] = {
	CLASSICAGG_AVG,       CLASSICAGG_COUNT,  CLASSICAGG_LLQUANTIZE,
	CLASSICAGG_LQUANTIZE, CLASSICAGG_MAX,    CLASSICAGG_MIN,
	CLASSICAGG_QUANTIZE,  CLASSICAGG_STDDEV, CLASSICAGG_SUM,
};

/* The magnitudes of llquantize(): the library has steps - steps / factor buckets in each, and the same for
 * negative values in front; the classic encoding has one for all that is too small, and none that no number is in. */
struct llquantize {
	int64_t factor, steps;
	unsigned int low, high;
	size_t per; /* the library's buckets of a magnitude */
};

static struct llquantize llquantize_of(uint64_t sig)
{
	struct llquantize q = { DTRACE_LLQUANTIZE_FACTOR(sig), DTRACE_LLQUANTIZE_STEPS(sig),
				DTRACE_LLQUANTIZE_LMAG(sig), DTRACE_LLQUANTIZE_HMAG(sig), 0 };

	if (q.factor > 1 && q.steps > 0)
		q.per = (size_t)(q.steps - q.steps / q.factor);
	return q;
}

static int64_t power(int64_t base, unsigned int n)
{
	int64_t v = 1;

	while (n-- > 0)
		if (__builtin_mul_overflow(v, base, &v))
			return INT64_MAX;
	return v;
}

/* Classic buckets of the magnitude that ends at next. */
static size_t classic_per(const struct llquantize *q, int64_t next)
{
	int64_t n = next > q->steps ? q->steps : next;

	return (size_t)(n - n / q->factor);
}

static size_t classic_llwords(const struct llquantize *q)
{
	size_t n = 3; /* what they are, below, above */

	for (unsigned int m = q->low; m <= q->high; m++)
		n += classic_per(q, power(q->factor, m + 1));
	return n;
}

/* from: the library's buckets, n of them. */
static void put_llquantize(uint64_t *to, const uint64_t *from, size_t n, const struct llquantize *q)
{
	size_t middle = n / 2, at = 2;

	*to = (uint64_t)q->factor << 48 | (uint64_t)q->low << 32 | (uint64_t)q->high << 16 |
	      (uint64_t)q->steps;
	for (size_t i = 0; i <= middle; i++)
		to[1] += from[i];
	for (unsigned int m = q->low; m <= q->high; m++) {
		int64_t next = power(q->factor, m + 1);
		size_t per = classic_per(q, next), base = middle + 1 + (m - q->low) * q->per;

		/* where steps are smaller than 1, several of the library's buckets share a number */
		for (size_t i = 0; i < q->per && base + i < n - 1; i++)
			to[at + (per < q->per ? i * per / q->per : i)] += from[base + i];
		at += per;
	}
	to[at] = from[n - 1];
}

/* A generation number stands in front of the words. */
static size_t library_words(const dtrace_aggdesc_t *d)
{
	return d->dtagd_dsize / 8 ? d->dtagd_dsize / 8 - 1 : 0;
}

static size_t classic_words(const dtrace_aggdesc_t *d, classic_actkind_t func)
{
	struct llquantize q;

	if (func == CLASSICAGG_LQUANTIZE)
		return library_words(d) + 1;
	if (func != CLASSICAGG_LLQUANTIZE)
		return library_words(d);
	q = llquantize_of(d->dtagd_sig);
	return q.per && q.high < 64 ? classic_llwords(&q) : 0;
}

static struct aggregation *aggregation_new(struct adapter *a, const dtrace_aggdesc_t *d)
{
	struct aggregation *g = calloc(1, sizeof(*g));
	classic_recdesc_t *recs = calloc(d->dtagd_nkrecs + 2, sizeof(*recs));
	size_t func = (size_t)d->dtagd_drecs[0].dtrd_action - DTRACEACT_AGGREGATION;
	classic_recdesc_t *value = &recs[d->dtagd_nkrecs];

	if (!g || !recs || func >= sizeof(aggfuncs) / sizeof(aggfuncs[0])) {
		free(g);
		free(recs);
		return NULL;
	}
	for (unsigned int i = 0; i < d->dtagd_nkrecs; i++) /* the first key is the variable's id */
		recs[i] = take_rec(&d->dtagd_krecs[i]);
	g->varid = d->dtagd_varid;
	g->words_off = (d->dtagd_ksize + 7) / 8 * 8;
	value->dtrd_action = aggfuncs[func];
	value->dtrd_offset = g->words_off;
	value->dtrd_size = (uint32_t)classic_words(d, aggfuncs[func]) * 8;
	value->dtrd_alignment = 8;
	g->desc = (classic_aggdesc_t){
		.dtagd_name = d->dtagd_name,
		.dtagd_varid = d->dtagd_varid,
		.dtagd_id = (classic_aggid_t)d->dtagd_varid,
		.dtagd_size = g->words_off + value->dtrd_size,
		.dtagd_nrecs = (int)d->dtagd_nkrecs + 1,
		.dtagd_rec = recs,
	};
	g->next = a->aggregations;
	return a->aggregations = g;
}

static struct aggregation *aggregation_of(struct adapter *a, const dtrace_aggdesc_t *d)
{
	struct aggregation *g = a->aggregations;

	while (g && g->varid != d->dtagd_varid)
		g = g->next;
	return g ? g : aggregation_new(a, d);
}

static void put_words(uint64_t *to, const dtrace_aggdata_t *d, const classic_recdesc_t *value)
{
	const dtrace_aggdesc_t *desc = d->dtada_desc;
	const uint64_t *from = (const uint64_t *)(const void *)d->dtada_data + 1;
	size_t n = library_words(desc);
	struct llquantize q;

	switch (value->dtrd_action) {
	case CLASSICAGG_LQUANTIZE:
		*to++ = desc->dtagd_sig;
		memcpy(to, from, n * 8);
		break;
	case CLASSICAGG_LLQUANTIZE:
		q = llquantize_of(desc->dtagd_sig);
		if (n >= 3 && value->dtrd_size >= 24)
			put_llquantize(to, from, n, &q);
		break;
	default: memcpy(to, from, n * 8);
	}
}

static bool take_row(struct adapter *a, const dtrace_aggdata_t *d, struct aggregation *g)
{
	if (a->rowsize < g->desc.dtagd_size) {
		char *row = realloc(a->row, g->desc.dtagd_size);

		if (!row)
			return false;
		a->row = row;
		a->rowsize = g->desc.dtagd_size;
	}
	memset(a->row, 0, g->desc.dtagd_size);
	memcpy(a->row, d->dtada_key, d->dtada_desc->dtagd_ksize);
	put_words((uint64_t *)(void *)(a->row + g->words_off), d,
		  &g->desc.dtagd_rec[g->desc.dtagd_nrecs - 1]);
	return true;
}

struct aggregate_walk {
	struct adapter *a;
	classic_aggregate_f *f;
	void *arg;
};

static int walk_code(int classic)
{
	switch (classic) {
	case CLASSIC_AGGWALK_NEXT: return DTRACE_AGGWALK_NEXT;
	case CLASSIC_AGGWALK_NORMALIZE: return DTRACE_AGGWALK_NORMALIZE;
	case CLASSIC_AGGWALK_REMOVE: return DTRACE_AGGWALK_REMOVE;
	case CLASSIC_AGGWALK_ABORT: return DTRACE_AGGWALK_ABORT;
	default: return DTRACE_AGGWALK_ERROR;
	}
}

static int on_row(const dtrace_aggdata_t *d, void *arg)
{
	struct aggregate_walk *w = arg;
	struct aggregation *g = aggregation_of(w->a, d->dtada_desc);
	classic_aggdata_t row;

	if (!g || !take_row(w->a, d, g))
		return DTRACE_AGGWALK_ERROR;
	row = (classic_aggdata_t){
		.dtada_handle = HANDLE(w->a),
		.dtada_desc = &g->desc,
		.dtada_data = w->a->row,
		.dtada_normal = d->dtada_desc->dtagd_normal ? d->dtada_desc->dtagd_normal : 1,
		.dtada_size = g->desc.dtagd_size,
	};
	return walk_code(w->f(&row, w->arg));
}

static int aggregate_snap(classic_hdl_t *h)
{
	return dtrace_aggregate_snap(ADAPTER(h)->h);
}

static void aggregate_clear(classic_hdl_t *h)
{
	dtrace_aggregate_clear(ADAPTER(h)->h);
}

static int aggregate_walk(classic_hdl_t *h, classic_aggregate_f *f, void *arg)
{
	struct aggregate_walk w = { ADAPTER(h), f, arg };

	return dtrace_aggregate_walk(w.a->h, on_row, &w);
}

static int aggregate_walk_sorted(classic_hdl_t *h, classic_aggregate_f *f, void *arg)
{
	struct aggregate_walk w = { ADAPTER(h), f, arg };

	/* the library does not export dtrace_aggregate_walk_sorted(), which this is by default */
	return dtrace_aggregate_walk_valvarsorted(w.a->h, on_row, &w);
}

/* The binding asks for the library's own order only. */
static int aggregate_print(classic_hdl_t *h, FILE *fp, classic_aggregate_walk_f *walk)
{
	return walk ? -1 : dtrace_aggregate_print(ADAPTER(h)->h, fp, NULL);
}

/* ---- symbols and processes ---------------------------------------------------------------------- */

static int addr2str(classic_hdl_t *h, uint64_t addr, char *buf, int size)
{
	return dtrace_addr2str(ADAPTER(h)->h, addr, buf, size);
}

static int uaddr2str(classic_hdl_t *h, pid_t pid, uint64_t addr, char *buf, int size)
{
	return dtrace_uaddr2str(ADAPTER(h)->h, pid, addr, buf, size);
}

static struct ps_prochandle *keep_process(struct adapter *a, struct dtrace_proc *proc)
{
	struct process *p = proc ? calloc(1, sizeof(*p)) : NULL;

	if (!p)
		return NULL;
	*p = (struct process){ dtrace_proc_getpid(a->h, proc), proc, a->processes };
	a->processes = p;
	return (struct ps_prochandle *)proc;
}

static struct ps_prochandle *proc_create(classic_hdl_t *h, const char *file, char *const argv[])
{
	struct adapter *a = ADAPTER(h);

	return ready(a) < 0 ? NULL : keep_process(a, dtrace_proc_create(a->h, file, argv, 0));
}

static struct ps_prochandle *proc_grab(classic_hdl_t *h, pid_t pid, int flags)
{
	struct adapter *a = ADAPTER(h);

	(void)flags;
	return ready(a) < 0 ? NULL : keep_process(a, dtrace_proc_grab_pid(a->h, pid, 0));
}

static void proc_continue(classic_hdl_t *h, struct ps_prochandle *p)
{
	dtrace_proc_continue(ADAPTER(h)->h, (struct dtrace_proc *)p);
}

static pid_t proc_getpid(classic_hdl_t *h, struct ps_prochandle *p)
{
	return dtrace_proc_getpid(ADAPTER(h)->h, (struct dtrace_proc *)p);
}

/* ---- the table ---------------------------------------------------------------------------------- */

const struct py_engine py_engine = {
	.name = "system",
	.d_version = version,
	.open = open_handle,
	.close = close_handle,
	.errnum = errnum,
	.errmsg = errmsg,
	.setopt = setopt,
	.getopt = getopt_,
	.strcompile = strcompile,
	.exec = program_exec,
	.go = go,
	.stop = stop,
	.status = status,
	.sleep = sleep_a_little,
	.work = work,
	.handle_err = handle_err,
	.handle_drop = handle_drop,
	.handle_buffered = handle_buffered,
	.aggregate_snap = aggregate_snap,
	.aggregate_clear = aggregate_clear,
	.aggregate_walk = aggregate_walk,
	.addr2str = addr2str,
	.uaddr2str = uaddr2str,
	.fcompile = fcompile,
	.program_info = program_info,
	.stmt_iter = stmt_iter,
	.probe_iter = probe_iter,
	.probe_info = probe_info,
	.attr2str = attr2str,
	.aggregate_print = aggregate_print,
	.aggregate_walk_sorted = aggregate_walk_sorted,
	.handle_proc = handle_proc,
	.handle_setopt = handle_setopt,
	.proc_create = proc_create,
	.proc_grab = proc_grab,
	.proc_continue = proc_continue,
	.proc_getpid = proc_getpid,
};
