/* SPDX-License-Identifier: Apache-2.0 */
/*
 * formats.c - format objects for consumers: made from text, they print the records of a firing in place of the
 * D program's own.  dtrd_format of a record is such an object too.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "api/handle.h"
#include "consume/consume.h"

void *dtrace_printf_create(dtrace_hdl_t *h, const char *format)
{
	char why[256] = "";
	struct dt_fmt *f = dt_fmt_parse(format, why, sizeof(why)), **slot;

	if (!f)
		return why[0] ? dt_fail_null(&h->err, EDT_BADCONV, "%s", why) :
				dt_set_errno_null(h, EDT_NOMEM);
	slot = dt_vec_push(&h->arena, &h->fmts);
	if (!slot) {
		dt_fmt_free(f);
		return dt_set_errno_null(h, EDT_NOMEM);
	}
	return *slot = f;
}

void *dtrace_printa_create(dtrace_hdl_t *h, const char *format)
{
	return dtrace_printf_create(h, format);
}

size_t dtrace_printf_format(dtrace_hdl_t *h, void *format, char *buf, size_t size)
{
	const struct dt_fmt *f = format;

	return (size_t)snprintf(buf, size, "%s", f ? f->text : "");
}

/* All records inside of the data? */
static int check(dtrace_hdl_t *h, const dtrace_recdesc_t *rec, unsigned int nrecs, size_t len)
{
	for (unsigned int i = 0; i < nrecs; i++)
		if (rec[i].dtrd_size > len || rec[i].dtrd_offset > len - rec[i].dtrd_size)
			return dt_set_errno(h, EDT_DOFFSET);
	return 0;
}

static int flush(dtrace_hdl_t *h, FILE *fp, const dtrace_probedata_t *data,
		 const dtrace_recdesc_t *rec)
{
	return fp ? 0 : dt_buffered_flush(h, data, rec, NULL, 0);
}

int dtrace_fprintf(dtrace_hdl_t *h, FILE *fp, void *format, const dtrace_probedata_t *data,
		   const dtrace_recdesc_t *rec, unsigned int nrecs, const void *buf, size_t len)
{
	const struct dt_fmt *f = format;
	struct dt_fmtargs args = { .base = buf, .rec = rec, .nrecs = (int)nrecs };
	struct dt_str *out;

	if (!f)
		return dt_fail(&h->err, EDT_BADCONV, "There is no format");
	if (check(h, rec, nrecs, len) < 0 || !(out = dt_out(h, fp)))
		return -1;
	if (dt_format(h, out, f, &args) < 0) {
		dt_str_reset(out);
		return -1;
	}
	if (dt_out_end(h, fp, out) < 0 || flush(h, fp, data, rec) < 0)
		return -1;
	return DT_MAX(args.next, 1); /* a printf() without arguments has a record too */
}

int dtrace_fprinta(dtrace_hdl_t *h, FILE *fp, void *format, const dtrace_probedata_t *data,
		   const dtrace_recdesc_t *rec, unsigned int nrecs, const void *buf, size_t len)
{
	const struct dt_aggact *own;
	struct dt_aggact act;

	own = nrecs && rec->dtrd_action == DTRACEACT_PRINTA ? dt_aggact_of(rec) : NULL;
	if (!own)
		return dt_set_errno(h, EDT_BADAGG);
	act = *own;
	act.fmt = format;
	return dt_printa(h, fp, &act) < 0 || flush(h, fp, data, rec) < 0 ? -1 : 1;
}

/* As a record of that action whose format is ours. */
static int act(dtrace_hdl_t *h, FILE *fp, dtrace_actkind_t action, void *format,
	       const dtrace_probedata_t *data, const dtrace_recdesc_t *rec, unsigned int nrecs,
	       const void *buf, size_t len)
{
	_cleanup_free_ dtrace_recdesc_t *own = NULL;
	dtrace_probedata_t pd;

	if (!format || !data || !nrecs)
		return dt_set_errno(h, EINVAL);
	if (check(h, rec, nrecs, len) < 0)
		return -1;
	own = malloc(nrecs * sizeof(*own));
	if (!own)
		return dt_set_errno(h, EDT_NOMEM);
	memcpy(own, rec, nrecs * sizeof(*own));
	own->dtrd_action = action;
	own->dtrd_format = format;
	pd = *data;
	pd.dtpda_data = (char *)(uintptr_t)buf;
	return dt_print_record(h, fp, &pd, own, (int)nrecs);
}

int dtrace_system(dtrace_hdl_t *h, FILE *fp, void *format, const dtrace_probedata_t *data,
		  const dtrace_recdesc_t *rec, unsigned int nrecs, const void *buf, size_t len)
{
	return act(h, fp, DTRACEACT_SYSTEM, format, data, rec, nrecs, buf, len);
}

int dtrace_freopen(dtrace_hdl_t *h, FILE *fp, void *format, const dtrace_probedata_t *data,
		   const dtrace_recdesc_t *rec, unsigned int nrecs, const void *buf, size_t len)
{
	return act(h, fp, DTRACEACT_FREOPEN, format, data, rec, nrecs, buf, len);
}
