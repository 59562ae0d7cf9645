/* SPDX-License-Identifier: Apache-2.0 */
/* errors.c - the last error of a handle, and names for numbers. */
#include <string.h>

#include "api/handle.h"

int dt_set_errno(dtrace_hdl_t *h, int code)
{
	return dt_fail(&h->err, code, "%s", "");
}

void *dt_set_errno_null(dtrace_hdl_t *h, int code)
{
	dt_set_errno(h, code);
	return NULL;
}

int dtrace_errno(dtrace_hdl_t *h)
{
	return h->err.code;
}

/* The sentence when it is about the last error, else what the code says by itself. */
const char *dtrace_errmsg(dtrace_hdl_t *h, int error)
{
	if (h && error == h->err.code && h->err.msg[0])
		return h->err.msg;
	return dt_errstr(error);
}

const char *dtrace_faultstr(dtrace_hdl_t *h, int fault)
{
	static const struct {
		int fault;
		const char *text;
	} faults[] = {
		{ DTRACEFLT_BADADDR, "invalid address" },
		{ DTRACEFLT_BADALIGN, "invalid alignment" },
		{ DTRACEFLT_ILLOP, "illegal operation" },
		{ DTRACEFLT_DIVZERO, "divide-by-zero" },
		{ DTRACEFLT_NOSCRATCH, "out of scratch space" },
		{ DTRACEFLT_KPRIV, "invalid kernel access" },
		{ DTRACEFLT_UPRIV, "invalid user access" },
		{ DTRACEFLT_TUPOFLOW, "tuple stack overflow" },
		{ DTRACEFLT_BADSTACK, "bad stack" },
		{ DTRACEFLT_BADSIZE, "invalid size" },
		{ DTRACEFLT_BADINDEX, "invalid index" },
		{ DTRACEFLT_LIBRARY, "library-level fault" },
	};
	size_t i;

	for (i = 0; i < DT_NELEM(faults); i++)
		if (faults[i].fault == fault)
			return faults[i].text;
	return "unknown fault";
}

/* Numbers of subroutines are rows of subrs.def, from 1. */
const char *dtrace_subrstr(dtrace_hdl_t *h, int subr)
{
	static const char *const names[] = {
		"unknown",
#define SUBR(name, id, type, args, minargs, flags) [DT_S_##id] = name,
#include "lang/subrs.def"
#undef SUBR
	};

	return subr > 0 && (size_t)subr < DT_NELEM(names) ? names[subr] : names[0];
}

int _dtrace_debug;
const char _dtrace_version[] = "Sun D 1.13";

u32 dt_version_number(const dtrace_hdl_t *h)
{
	s64 set = h->opts.val[DT_OPT_VERSION];

	return set == DTRACEOPT_UNSET ? dt_version_newest() : (u32)set;
}

const char *dtrace_engine_version(void)
{
	return "0.1.0";
}
