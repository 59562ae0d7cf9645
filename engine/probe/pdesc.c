/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pdesc.c - texts of probe descriptions, and of the rates that are names of timer probes.
 */
#include <ctype.h>
#include <limits.h>
#include <string.h>

#include "probe/probe.h"

#define NFIELDS 4

/* A description that is a number is a probe id. */
static bool parse_id(const char *s, size_t n, u32 *id)
{
	u64 val = 0;
	size_t i;

	for (i = 0; i < n; i++) {
		if (!isdigit((unsigned char)s[i]) || val > UINT32_MAX / 10)
			return false;
		val = val * 10 + (u64)(s[i] - '0');
	}
	*id = (u32)val;
	return val > 0 && val <= UINT32_MAX;
}

/* Cut s into fields, the last of them being the one that spec names. */
static int split(struct dt_arena *arena, const char *s, size_t n, int spec,
		 const char *field[NFIELDS], const char **why)
{
	static const size_t most[NFIELDS] = { DTRACE_PROVNAMELEN, DTRACE_MODNAMELEN,
					      DTRACE_FUNCNAMELEN, DTRACE_NAMELEN };
	const char *end = s + n, *start;
	int i;

	for (i = spec; i >= 0; i--, end = start - 1) {
		for (start = end; start > s && start[-1] != ':'; start--)
			;
		if ((size_t)(end - start) >= (*start == '/' ? PATH_MAX : most[i])) {
			*why = "a field is too long";
			return -1;
		}
		field[i] = dt_arena_strndup(arena, start, (size_t)(end - start));
		if (!field[i]) {
			*why = "out of memory";
			return -1;
		}
		if (start == s)
			return 0;
	}
	*why = "too many fields";
	return -1;
}

int dt_pdesc_parse(struct dt_arena *arena, const char *text, dtrace_probespec_t spec,
		   struct dt_pdesc *d, const char **why)
{
	const char *field[NFIELDS] = { "", "", "", "" };
	size_t n;

	*d = (struct dt_pdesc){ .prov = "", .mod = "", .func = "", .name = "" };
	*why = NULL;
	while (isspace((unsigned char)*text))
		text++;
	for (n = strlen(text); n && isspace((unsigned char)text[n - 1]); n--)
		;
	if (spec < DTRACE_PROBESPEC_PROVIDER || spec > DTRACE_PROBESPEC_NAME) {
		*why = "no kind of description is asked for";
		return -1;
	}
	if (spec == DTRACE_PROBESPEC_NAME && parse_id(text, n, &d->id))
		return 0;
	d->id = 0;
	if (split(arena, text, n, (int)spec, field, why))
		return -1;
	d->prov = field[0];
	d->mod = field[1];
	d->func = field[2];
	d->name = field[3];
	return 0;
}

/* ---- rates ----------------------------------------------------------------------------------- */

#define NSEC UINT64_C(1)
#define USEC (1000 * NSEC)
#define MSEC (1000 * USEC)
#define SEC (1000 * MSEC)

static const struct {
	const char *suffix;
	u64 ns; /* 0: a frequency */
} units[] = {
	{ "", 0 },
	{ "hz", 0 },
	{ "ns", NSEC },
	{ "nsec", NSEC },
	{ "us", USEC },
	{ "usec", USEC },
	{ "ms", MSEC },
	{ "msec", MSEC },
	{ "s", SEC },
	{ "sec", SEC },
	{ "m", 60 * SEC },
	{ "min", 60 * SEC },
	{ "h", 3600 * SEC },
	{ "hour", 3600 * SEC },
	{ "d", 86400 * SEC },
	{ "day", 86400 * SEC },
};

int dt_rate_parse(const char *text, u64 *period_ns)
{
	u64 n = 0, period;
	size_t i;

	if (!isdigit((unsigned char)*text))
		return -1;
	for (; isdigit((unsigned char)*text); text++)
		if (__builtin_mul_overflow(n, 10, &n) ||
		    __builtin_add_overflow(n, (u64)(*text - '0'), &n))
			return -1;
	for (i = 0; i < DT_NELEM(units) && strcmp(units[i].suffix, text) != 0; i++)
		;
	if (i == DT_NELEM(units) || n == 0)
		return -1;
	if (!units[i].ns)
		period = SEC / n;
	else if (__builtin_mul_overflow(n, units[i].ns, &period) || period > INT64_MAX)
		return -1;
	if (!period)
		return -1;
	*period_ns = period;
	return 0;
}
