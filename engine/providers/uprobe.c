/* SPDX-License-Identifier: Apache-2.0 */
/*
 * uprobe.c - functions of a file in all processes that run it, now and later:
 * uprobe:/usr/bin/bash:readline:entry.
 */
#include "providers/ufunc.h"

#include <string.h>

static int provide(struct dt_probes *ps, const struct dt_provider *self, const struct dt_pdesc *d)
{
	struct dt_uscope s = { .prov = self, .provname = self->name };

	ps->tag = D_PROC_LIB;
	if (d->mod[0] != '/') /* those that there are already */
		return 0;
	if (!ps->user)
		return dt_fail(ps->err, EDT_NOPROV, "there are no files to look at");
	s.file = ps->user->open(ps->user->arg, 0, d->mod);
	if (!s.file)
		return -1;
	s.mod = s.file->name;
	return dt_ufunc_provide(ps, &s, d);
}

static bool accepts(const struct dt_provider *self, const char *prov)
{
	return strcmp(prov, self->name) == 0;
}

const struct dt_provider dt_provider_uprobe = {
	.name = "uprobe",
	.attr = { DTRACE_STABILITY_UNSTABLE, DTRACE_STABILITY_UNSTABLE, DTRACE_CLASS_UNKNOWN },
	.provide = provide,
	.args = dt_ufunc_args,
	.accepts = accepts,
	.mod_matches = dt_uprobe_mod_matches,
};
