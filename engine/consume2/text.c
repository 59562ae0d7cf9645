/* SPDX-License-Identifier: Apache-2.0 */
/*
 * text.c - where text goes: to the caller's file, or piece by piece to the buffered handler.
 */
#include <errno.h>

#include "consume2/consume.h"

static int no_handler(dtrace_hdl_t *h)
{
	return dt_set_errno(h, EDT_NOBUFFERED);
}

int dt_emit(dtrace_hdl_t *h, FILE *fp, const struct dt_str *text)
{
	if (text->failed)
		return dt_set_errno(h, EDT_NOMEM);
	if (!text->len)
		return 0;
	if (fp) {
		if (fwrite(text->s, 1, text->len, fp) == text->len)
			return 0;
		clearerr(fp);
		return dt_set_errno(h, errno ? errno : EDT_FIO);
	}
	if (!h->bufhdlr)
		return no_handler(h);
	dt_str_putn(&h->buffered, text->s, text->len);
	return h->buffered.failed ? dt_set_errno(h, EDT_NOMEM) : 0;
}

int dt_printf(dtrace_hdl_t *h, FILE *fp, const char *fmt, ...)
{
	va_list ap;
	int n = 0;

	va_start(ap, fmt);
	if (fp)
		n = vfprintf(fp, fmt, ap);
	else if (h->bufhdlr)
		dt_str_vprintf(&h->buffered, fmt, ap);
	va_end(ap);
	if (n < 0) {
		clearerr(fp);
		return dt_set_errno(h, errno ? errno : EDT_FIO);
	}
	if (!fp && !h->bufhdlr)
		return no_handler(h);
	return !fp && h->buffered.failed ? dt_set_errno(h, EDT_NOMEM) : 0;
}

int dt_buffered_flush(dtrace_hdl_t *h, const dtrace_probedata_t *pd, const dtrace_recdesc_t *rec,
		      const dtrace_aggdata_t *agg, u32 flags)
{
	dtrace_bufdata_t data = {
		.dtbda_handle = h,
		.dtbda_probe = (dtrace_probedata_t *)(uintptr_t)pd,
		.dtbda_recdesc = rec,
		.dtbda_aggdata = agg,
		.dtbda_flags = flags,
	};
	struct dt_str text = h->buffered;
	int rval;

	if (!text.len && !flags)
		return 0;
	if (!h->bufhdlr) {
		dt_str_reset(&h->buffered);
		return 0;
	}
	/* the handler may print: it gets a text of its own, and the room comes back after */
	h->buffered = (struct dt_str){ 0 };
	data.dtbda_buffered = dt_str_cstr(&text);
	rval = h->bufhdlr(&data, h->bufarg);
	if (h->buffered.s) {
		dt_str_fini(&text);
	} else {
		dt_str_reset(&text);
		h->buffered = text;
	}
	if (rval == DTRACE_HANDLE_OK)
		return 0;
	return dt_set_errno(h, rval == DTRACE_HANDLE_ABORT ? EDT_DIRABORT : EDT_BADRVAL);
}
