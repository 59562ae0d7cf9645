/* SPDX-License-Identifier: Apache-2.0 */
/*
 * profile.c - timers: profile-RATE fires on every CPU, tick-RATE on one.
 *
 * Some rates are always there, to be listed and matched by globs; any other comes to be when a
 * description names it literally.
 */
#include <string.h>

#include "probe/probe.h"

#define SHORTEST_NS 200000 /* 5000 hz: above, a machine would do little else */

static const struct {
	const char *prefix;
	size_t len;
	bool all_cpus;
} kinds[] = {
	{ "profile-", 8, true },
	{ "tick-", 5, false },
};

static const char *const predefined[] = {
	"profile-97",   "profile-199",  "profile-499", "profile-997", "profile-1999",
	"profile-4001", "profile-4999", "tick-1",      "tick-10",     "tick-100",
	"tick-500",     "tick-1000",    "tick-5000",
};

/* What the name says, if it is a name of ours. */
static bool parse_name(const char *name, struct dt_attach *at)
{
	size_t i;

	*at = (struct dt_attach){ .kind = DT_AT_TIMER, .abi = DT_ABI_PROFILE, .nkeys = 1 };
	for (i = 0; i < DT_NELEM(kinds); i++) {
		if (strncmp(name, kinds[i].prefix, kinds[i].len) != 0)
			continue;
		at->all_cpus = kinds[i].all_cpus;
		return !dt_rate_parse(name + kinds[i].len, &at->period_ns) &&
		       at->period_ns >= SHORTEST_NS;
	}
	return false;
}

/* id 0: the next free one. */
static int add(struct dt_probes *ps, const struct dt_provider *self, u32 id, const char *name)
{
	struct dt_attach model, *at;

	if (!parse_name(name, &model))
		return 0;
	at = dt_probes_add_attach(ps, &model);
	return at && dt_probes_add(ps, self, id, "", "", name, at, 0, NULL) ? 0 : -1;
}

static int add_new(struct dt_probes *ps, const struct dt_provider *self, const char *name)
{
	struct dt_attach model;
	char *copy;

	if (!parse_name(name, &model) || dt_probes_find(ps, self->name, "", "", name))
		return 0;
	copy = dt_arena_strdup(&ps->arena, name);
	if (!copy)
		return dt_fail(ps->err, EDT_NOMEM, "%s", dt_errstr(EDT_NOMEM));
	return add(ps, self, 0, copy);
}

static int provide(struct dt_probes *ps, const struct dt_provider *self, const struct dt_pdesc *d)
{
	struct dt_field name = dt_field_of(d->name);
	u32 i, id;

	if (!dt_glob_match(d->mod, "") || !dt_glob_match(d->func, ""))
		return 0;
	for (i = 0; i < DT_NELEM(predefined); i++) {
		id = DT_ID_PROFILE + i;
		if (id < ps->nbyid && ps->byid[id])
			continue;
		if (dt_field_match(&name, predefined[i]) && add(ps, self, id, predefined[i]))
			return -1;
	}
	return name.how == DT_FIELD_LITERAL ? add_new(ps, self, d->name) : 0;
}

/* arg0 to arg2 are there, untyped. */
static int args(struct dt_probes *ps, const struct dt_probe *p, struct dt_probe_args *out)
{
	return 0;
}

static const struct dt_stability stability = {
	.mod = DT_ATTR(UNSTABLE, UNSTABLE, UNKNOWN),
	.func = DT_ATTR(PRIVATE, PRIVATE, UNKNOWN),
	.name = DT_ATTR(EVOLVING, EVOLVING, COMMON),
	.args = DT_ATTR(EVOLVING, EVOLVING, COMMON),
};

const struct dt_provider dt_provider_profile = {
	.name = "profile",
	.attr = DT_ATTR(EVOLVING, EVOLVING, COMMON),
	.stability = &stability,
	.numbered = true,
	.provide = provide,
	.args = args,
};
