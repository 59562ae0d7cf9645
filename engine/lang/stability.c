/* SPDX-License-Identifier: Apache-2.0 */
/*
 * stability.c - which version of D has a name (option version, #pragma D binding), and how stable it is
 * (#pragma D attributes, option amin).
 *
 * A name that is newer than the version asked for is no name at all: the lexer gives such words a blank at their end,
 * which no table has.  A program may then use the word for something of its own.
 */
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "lang/compile.h"

/* ---- versions --------------------------------------------------------------------------------------------------- */

#define V(major, minor, micro) ((u32)(major) << 24 | (u32)(minor) << 12 | (u32)(micro))

static const u32 versions[] = { V(1, 0, 0),  V(1, 1, 0),  V(1, 2, 0),  V(1, 2, 1),  V(1, 2, 2),
				V(1, 3, 0),  V(1, 4, 0),  V(1, 4, 1),  V(1, 5, 0),  V(1, 6, 0),
				V(1, 6, 1),  V(1, 6, 2),  V(1, 6, 3),  V(1, 6, 4),  V(1, 7, 0),
				V(1, 7, 1),  V(1, 8, 0),  V(1, 8, 1),  V(1, 9, 0),  V(1, 9, 1),
				V(1, 10, 0), V(1, 11, 0), V(1, 12, 0), V(1, 12, 1), V(1, 13, 0) };

u32 dt_version_newest(void)
{
	return versions[DT_NELEM(versions) - 1];
}

bool dt_version_parse(const char *s, u32 *out)
{
	unsigned int v[3] = { 0 };
	int n = 0;

	if (sscanf(s, "%3u.%4u%n.%4u%n", &v[0], &v[1], &n, &v[2], &n) < 2 || s[n] || v[0] > 255 ||
	    v[1] > 4095 || v[2] > 4095 || !(*s >= '0' && *s <= '9'))
		return false;
	*out = V(v[0], v[1], v[2]);
	return true;
}

bool dt_version_known(u32 version)
{
	size_t i;

	for (i = 0; i < DT_NELEM(versions); i++)
		if (versions[i] == version)
			return true;
	return false;
}

/* Names that came after 1.0; sorted. */
static const struct since {
	const char *name;
	u32 version;
} newer[] = {
	{ "fds", V(1, 2, 0) },        { "freopen", V(1, 1, 0) },    { "func", V(1, 2, 0) },
	{ "getf", V(1, 10, 0) },      { "htonl", V(1, 3, 0) },      { "htonll", V(1, 3, 0) },
	{ "htons", V(1, 3, 0) },      { "index", V(1, 1, 0) },      { "inet_ntoa", V(1, 5, 0) },
	{ "inet_ntoa6", V(1, 5, 0) }, { "inet_ntop", V(1, 5, 0) },  { "json", V(1, 11, 0) },
	{ "link_ntop", V(1, 5, 0) },  { "llquantize", V(1, 6, 4) }, { "mod", V(1, 2, 0) },
	{ "ntohl", V(1, 3, 0) },      { "ntohll", V(1, 3, 0) },     { "ntohs", V(1, 3, 0) },
	{ "print", V(1, 9, 0) },      { "rindex", V(1, 1, 0) },     { "setopt", V(1, 2, 0) },
	{ "stddev", V(1, 6, 0) },     { "strchr", V(1, 1, 0) },     { "strrchr", V(1, 1, 0) },
	{ "strstr", V(1, 1, 0) },     { "strtok", V(1, 1, 0) },     { "strtoll", V(1, 11, 0) },
	{ "substr", V(1, 1, 0) },     { "sym", V(1, 2, 0) },        { "threadname", V(1, 13, 0) },
	{ "tolower", V(1, 8, 0) },    { "toupper", V(1, 8, 0) },    { "uaddr", V(1, 2, 0) },
	{ "ucaller", V(1, 2, 0) },    { "ufunc", V(1, 2, 0) },      { "umod", V(1, 2, 0) },
	{ "usym", V(1, 2, 0) },
};

static int by_name(const void *key, const void *row)
{
	return strcmp(key, ((const struct since *)row)->name);
}

/* What #pragma D binding says, else the table; 0: it was always there. */
static u32 version_of(struct dt_compile *c, const char *name)
{
	const void *bound = dt_htab_get(&c->names.bindings, name);
	const struct since *row;

	bound = bound ? bound : dt_htab_get(&c->st->bindings, name);
	if (bound)
		return (u32)(uintptr_t)bound;
	row = bsearch(name, newer, DT_NELEM(newer), sizeof(*row), by_name);
	return row ? row->version : 0;
}

const char *dt_versioned(struct dt_compile *c, const char *name)
{
	if (!c->env->version || c->p->library || version_of(c, name) <= c->env->version)
		return name;
	return dt_arena_printf(c->a, "%s ", name);
}

const char *dt_member_name(struct dt_compile *c, const char *name)
{
	size_t n = strlen(name);

	return n && name[n - 1] == ' ' ? dt_arena_strndup(c->a, name, n - 1) : name;
}

/* ---- attributes -------------------------------------------------------------------------------------------------- */

const char *const dt_stabilities[] = {
	[DTRACE_STABILITY_INTERNAL] = "Internal", [DTRACE_STABILITY_PRIVATE] = "Private",
	[DTRACE_STABILITY_OBSOLETE] = "Obsolete", [DTRACE_STABILITY_EXTERNAL] = "External",
	[DTRACE_STABILITY_UNSTABLE] = "Unstable", [DTRACE_STABILITY_EVOLVING] = "Evolving",
	[DTRACE_STABILITY_STABLE] = "Stable",     [DTRACE_STABILITY_STANDARD] = "Standard",
};
const size_t dt_nstabilities = DT_NELEM(dt_stabilities);

const char *const dt_classes[] = {
	[DTRACE_CLASS_UNKNOWN] = "Unknown",   [DTRACE_CLASS_CPU] = "CPU",
	[DTRACE_CLASS_PLATFORM] = "Platform", [DTRACE_CLASS_GROUP] = "Group",
	[DTRACE_CLASS_ISA] = "ISA",           [DTRACE_CLASS_COMMON] = "Common",
};
const size_t dt_nclasses = DT_NELEM(dt_classes);

/* The word up to the separator in the table; what follows the separator, NULL when there is no such word. */
static const char *word(const char *s, char sep, const char *const *table, size_t n, u8 *out)
{
	size_t len = 0, i;

	while (s[len] && s[len] != sep)
		len++;
	if (s[len] != sep)
		return NULL;
	for (i = 0; i < n; i++)
		if (strlen(table[i]) == len && !strncasecmp(table[i], s, len)) {
			*out = (u8)i;
			return s + len + (sep != '\0');
		}
	return NULL;
}

bool dt_attr_parse(const char *s, dtrace_attribute_t *a)
{
	s = s ? word(s, '/', dt_stabilities, dt_nstabilities, &a->dtat_name) : NULL;
	s = s ? word(s, '/', dt_stabilities, dt_nstabilities, &a->dtat_data) : NULL;
	s = s ? word(s, '\0', dt_classes, dt_nclasses, &a->dtat_class) : NULL;
	return s != NULL;
}

const dtrace_attribute_t dt_attr_stable = { DTRACE_STABILITY_STABLE, DTRACE_STABILITY_STABLE,
					    DTRACE_CLASS_COMMON };

void dt_attr_least(dtrace_attribute_t *least, dtrace_attribute_t a)
{
	least->dtat_name = DT_MIN(least->dtat_name, a.dtat_name);
	least->dtat_data = DT_MIN(least->dtat_data, a.dtat_data);
	least->dtat_class = DT_MIN(least->dtat_class, a.dtat_class);
}

/* What is not stable through and through. */
static const struct {
	const char *name;
	dtrace_attribute_t attr;
} attrs[] = {
	{ "curthread", { DTRACE_STABILITY_STABLE, DTRACE_STABILITY_PRIVATE, DTRACE_CLASS_COMMON } },
	{ "uregs", { DTRACE_STABILITY_STABLE, DTRACE_STABILITY_STABLE, DTRACE_CLASS_ISA } },
	{ "cgroup", { DTRACE_STABILITY_EVOLVING, DTRACE_STABILITY_EVOLVING, DTRACE_CLASS_COMMON } },
	{ "container", { DTRACE_STABILITY_EVOLVING, DTRACE_STABILITY_EVOLVING, DTRACE_CLASS_COMMON } },
	{ "execargs", { DTRACE_STABILITY_EVOLVING, DTRACE_STABILITY_EVOLVING, DTRACE_CLASS_COMMON } },
	{ "nsid", { DTRACE_STABILITY_EVOLVING, DTRACE_STABILITY_EVOLVING, DTRACE_CLASS_COMMON } },
	{ "nspid", { DTRACE_STABILITY_EVOLVING, DTRACE_STABILITY_EVOLVING, DTRACE_CLASS_COMMON } },
};

void dt_attr_use(struct dt_compile *c, const char *name)
{
	static const dtrace_attribute_t private = { DTRACE_STABILITY_PRIVATE,
						    DTRACE_STABILITY_PRIVATE, DTRACE_CLASS_UNKNOWN };
	const dtrace_attribute_t *said = dt_htab_get(&c->names.attrs, name);
	size_t i;

	if (!c->clause)
		return;
	said = said ? said : dt_htab_get(&c->st->attrs, name);
	for (i = 0; !said && i < DT_NELEM(attrs); i++)
		if (strcmp(attrs[i].name, name) == 0)
			said = &attrs[i].attr;
	if (!said && strchr(name, '`'))
		said = &private;
	if (said)
		dt_attr_least(&c->clause->attr, *said);
}

static bool is_less(dtrace_attribute_t a, dtrace_attribute_t least)
{
	return a.dtat_name < least.dtat_name || a.dtat_data < least.dtat_data ||
	       a.dtat_class < least.dtat_class;
}

static void demand(struct dt_compile *c, dtrace_attribute_t a, const char *what, struct dt_loc loc)
{
	if (is_less(a, c->env->amin))
		dt_err(c, D_ATTR_MIN, loc,
		       "attributes for %s (%s/%s/%s) are less than predefined minimum", what,
		       dt_stabilities[a.dtat_name], dt_stabilities[a.dtat_data],
		       dt_classes[a.dtat_class]);
}

void dt_attr_check(struct dt_compile *c, const struct dt_clause *cl)
{
	dtrace_attribute_t desc = dt_attr_stable;
	u32 i;

	if (!c->env->has_amin)
		return;
	for (i = 0; i < cl->probes.n; i++)
		dt_attr_least(&desc, cl->probes.v[i]->prov->attr);
	demand(c, desc, "the probe description", cl->loc);
	demand(c, cl->attr, "the predicate and actions", cl->loc);
}
