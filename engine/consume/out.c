/* SPDX-License-Identifier: Apache-2.0 */
/*
 * out.c - where text goes.
 *
 * Printers add to a string.  With a FILE it is a scratch string, written in one go; without, it is
 * the handle's buffered text, which goes to the buffered handler record by record.  With the option printable, what
 * traced processes have chosen is escaped on its way there; what the D program says is not.
 *
 * freopen() of a stream with a descriptor puts the file behind the descriptor, so that what the consumer writes itself
 * follows; everything else is sent to the file from here.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "consume/consume.h"

struct dt_str *dt_out(dtrace_hdl_t *h, FILE *fp)
{
	struct dt_str *out = &h->buffered;

	if ((fp || h->redirect) && h->consumer) {
		out = &h->consumer->text;
		dt_str_reset(out);
	} else if (!fp && !h->bufhdlr) {
		dt_set_errno(h, EDT_NOBUFFERED);
		return NULL;
	}
	out->escape = dt_opt(h, DT_OPT_PRINTABLE) != 0;
	return out;
}

int dt_out_end(dtrace_hdl_t *h, FILE *fp, struct dt_str *out)
{
	size_t n = out->len;

	fp = dtrace_output(h, fp);
	if (out->failed) {
		dt_str_reset(out);
		return dt_set_errno(h, EDT_NOMEM);
	}
	if (!fp || !n)
		return 0;
	errno = 0;
	n -= fwrite(out->s, 1, n, fp);
	dt_str_reset(out);
	if (!n)
		return 0;
	clearerr(fp);
	return dt_fail(&h->err, errno ? errno : EDT_FIO, "writing output: %s",
		       dt_errstr(errno ? errno : EDT_FIO));
}

/* ---- freopen() ------------------------------------------------------------------------------- */

FILE *dtrace_output(dtrace_hdl_t *h, FILE *fp)
{
	return h->redirect ? h->redirect : fp;
}

static int go_back(dtrace_hdl_t *h, FILE *fp)
{
	int err = 0;

	if (h->redirect) {
		err = fclose(h->redirect);
		h->redirect = NULL;
	}
	if (h->saved_fd >= 0 && fp && fileno(fp) >= 0) {
		err = fflush(fp) || dup2(h->saved_fd, fileno(fp)) < 0 ? -1 : err;
		dt_cleanup_close(&h->saved_fd);
		h->saved_fd = -1;
	}
	return err;
}

static int swap_fd(dtrace_hdl_t *h, FILE *fp, int to)
{
	int fd = fileno(fp);

	fflush(fp);
	if (h->saved_fd < 0)
		h->saved_fd = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	return h->saved_fd < 0 || dup2(to, fd) < 0 ? -1 : 0;
}

int dt_out_reopen(dtrace_hdl_t *h, FILE *fp, const char *name)
{
	FILE *to;
	int err;

	if (!*name)
		return go_back(h, fp);
	to = fopen(name, "ae");
	if (!to)
		return -1;
	if (fp && fileno(fp) >= 0) {
		err = swap_fd(h, fp, fileno(to));
		fclose(to);
		return err;
	}
	err = h->redirect ? fclose(h->redirect) : 0;
	h->redirect = to;
	return err;
}

void dt_out_truncate(dtrace_hdl_t *h, FILE *fp)
{
	fp = dtrace_output(h, fp);
	if (!fp || fflush(fp) || fileno(fp) < 0)
		return;
	if (ftruncate(fileno(fp), 0) == 0) /* fails for what has no length: nothing to do */
		fseeko(fp, 0, SEEK_SET);
}

int dt_out_flush(dtrace_hdl_t *h, FILE *fp)
{
	if (!h->redirect && h->saved_fd < 0)
		return 0;
	fp = dtrace_output(h, fp);
	if (!fp || fflush(fp) == 0)
		return 0;
	clearerr(fp);
	return dt_fail(&h->err, errno ? errno : EDT_FIO, "writing output: %s", dt_errstr(errno));
}

int dt_printf(dtrace_hdl_t *h, FILE *fp, const char *fmt, ...)
{
	struct dt_str *out = dt_out(h, fp);
	va_list ap;

	if (!out)
		return -1;
	va_start(ap, fmt);
	dt_str_vprintf(out, fmt, ap);
	va_end(ap);
	return dt_out_end(h, fp, out);
}

int dt_buffered_flush(dtrace_hdl_t *h, const dtrace_probedata_t *pd, const dtrace_recdesc_t *rec,
		      const dtrace_aggdata_t *agg, u32 flags)
{
	dtrace_bufdata_t data = {
		.dtbda_handle = h,
		.dtbda_buffered = dt_str_cstr(&h->buffered),
		.dtbda_probe = (dtrace_probedata_t *)(uintptr_t)pd,
		.dtbda_recdesc = rec,
		.dtbda_aggdata = agg,
		.dtbda_flags = flags,
	};
	int rv;

	if (h->buffered.failed) {
		dt_str_reset(&h->buffered);
		return dt_set_errno(h, EDT_NOMEM);
	}
	if (!h->buffered.len)
		return 0;
	if (!h->bufhdlr)
		return dt_set_errno(h, EDT_NOBUFFERED);
	rv = h->bufhdlr(&data, h->bufarg);
	dt_str_reset(&h->buffered);
	if (rv == DTRACE_HANDLE_OK)
		return 0;
	return dt_set_errno(h, rv == DTRACE_HANDLE_ABORT ? EDT_DIRABORT : EDT_BADRVAL);
}

/* ---- pieces ---------------------------------------------------------------------------------- */

void dt_put_spaces(struct dt_str *out, size_t n)
{
	static const char blanks[] =
		"                                                                ";

	for (; n >= sizeof(blanks) - 1; n -= sizeof(blanks) - 1)
		dt_str_putn(out, blanks, sizeof(blanks) - 1);
	dt_str_putn(out, blanks, n);
}

void dt_put_padded(struct dt_str *out, const char *s, size_t n, u32 width, bool left)
{
	size_t pad = width > n ? width - n : 0;

	if (!left)
		dt_put_spaces(out, pad);
	dt_put_text(out, s, n);
	if (left)
		dt_put_spaces(out, pad);
}

void dt_put_text(struct dt_str *out, const char *s, size_t n)
{
	if (out->escape)
		dt_str_printable(out, s, n, true);
	else
		dt_str_putn(out, s, n);
}

void dt_put_u64(struct dt_str *out, u64 v)
{
	char digits[20], *p = digits + sizeof(digits);

	do
		*--p = (char)('0' + v % 10);
	while (v /= 10);
	dt_str_putn(out, p, (size_t)(digits + sizeof(digits) - p));
}

void dt_put_s64(struct dt_str *out, s64 v)
{
	if (v < 0)
		dt_str_putc(out, '-');
	dt_put_u64(out, v < 0 ? -(u64)v : (u64)v);
}
