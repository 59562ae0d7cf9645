/* SPDX-License-Identifier: Apache-2.0 */
/* fail.c - the world said no: a code and a sentence, left where the owner of the error will find
 * them. */
#include <errno.h>
#include <string.h>

#include "base/base.h"

static const char *const edt_text[] = {
#define EDT(name, text) [EDT_##name - EDT_BASE - 1] = text,
#include "base/edt.def"
#undef EDT
};
_Static_assert(DT_NELEM(edt_text) == EDT_END - EDT_BASE - 1, "edt.def and dtrace_edt.h differ");

const char *dt_errstr(int code)
{
	if (code > EDT_BASE && code < EDT_END)
		return edt_text[code - EDT_BASE - 1];
	if (code == 0)
		return "No error";
	if (code < 0 ||
	    code > EHWPOISON) /* strerror() of numbers beyond the last is not constant text */
		return "Unknown error";
	return strerror(code);
}

static void vfail(struct dt_error *e, int code, const char *fmt, va_list ap)
{
	if (!e)
		return;
	vsnprintf(e->msg, sizeof(e->msg), fmt, ap);
	e->code = code;
}

int dt_fail(struct dt_error *e, int code, const char *fmt, ...)
{
	int saved = errno;
	va_list ap;

	va_start(ap, fmt);
	vfail(e, code, fmt, ap);
	va_end(ap);
	errno = saved;
	return -1;
}

void *dt_fail_null(struct dt_error *e, int code, const char *fmt, ...)
{
	int saved = errno;
	va_list ap;

	va_start(ap, fmt);
	vfail(e, code, fmt, ap);
	va_end(ap);
	errno = saved;
	return NULL;
}
