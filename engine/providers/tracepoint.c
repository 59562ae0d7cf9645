/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tracepoint.c - sdt and rawtp: the kernel's tracepoints, each under the name of its group of events.
 *
 * BTF says which tracepoints there are and what their arguments are: each has a typedef btf_trace_NAME of a pointer to
 * a function, whose first parameter is not an argument.  Their groups are in tracefs only; a tracepoint that is
 * no event has the module that it is in for a group.  A description with a literal name costs one look-up; others
 * make the whole table.
 */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "probe/probe.h"
#include "types/btf.h"

#define KERNEL "vmlinux"
#define PREFIX "btf_trace_"
#define PREFIX_LEN (sizeof(PREFIX) - 1)

enum { SDT, RAWTP, NPROVIDERS };

struct tracepoint {
	const char *name, *group;
	const char *module; /* NULL: the kernel */
	struct dt_btf *btf;
	u32 id; /* the typedef's */
	struct dt_btf_proto proto;
	bool grouped; /* group is an event's */
	bool made[NPROVIDERS];
};

struct dt_tracepoints {
	struct dt_htab byname;
	DT_VEC(struct tracepoint *) list;
	const char *events; /* lines of GROUP:NAME; "" when they cannot be read; NULL: not read yet */
	bool all;
};

void dt_tracepoints_fini(struct dt_tracepoints *t)
{
	if (t)
		dt_htab_fini(&t->byname);
}

void dt_tracepoints_rescan(struct dt_tracepoints *t)
{
	t->events = NULL;
	t->all = false;
}

static int no_memory(struct dt_probes *ps)
{
	return dt_fail(ps->err, EDT_NOMEM, "%s", dt_errstr(EDT_NOMEM));
}

/* ---- groups -------------------------------------------------------------------------------------------- */

static const char *events(struct dt_probes *ps, struct dt_tracepoints *t)
{
	_cleanup_free_ char *text = NULL;

	if (t->events)
		return t->events;
	if (ps->sources.tracefs)
		text = ps->sources.tracefs(ps->sources.arg, "available_events");
	t->events = text ? dt_arena_strdup(&ps->arena, text) : NULL;
	if (!t->events)
		t->events = "";
	return t->events;
}

/* The line whose event has this name, its group up to the colon; NULL: none. */
static const char *find_event(const char *text, const char *name, size_t *group_len)
{
	size_t len = strlen(name);
	const char *p, *line;

	for (p = strstr(text, name); p; p = strstr(p + 1, name)) {
		if (p == text || p[-1] != ':' || (p[len] != '\n' && p[len]))
			continue;
		for (line = p - 1; line > text && line[-1] != '\n'; line--)
			;
		*group_len = (size_t)(p - 1 - line);
		return line;
	}
	return NULL;
}

/* ---- the table ----------------------------------------------------------------------------------------- */

static struct tracepoint *add(struct dt_probes *ps, struct dt_tracepoints *t, struct dt_btf *b,
			      const char *module, u32 id)
{
	struct dt_btf_proto proto;
	struct tracepoint *tp, **slot;
	struct dt_btf_view v;

	if (!dt_btf_type(b, id, &v) || !dt_btf_proto(b, id, &proto) || !proto.n)
		return NULL;
	tp = dt_arena_new(&ps->arena, struct tracepoint);
	slot = tp ? dt_vec_push(&ps->arena, &t->list) : NULL;
	if (!slot || dt_htab_put(&t->byname, v.name + PREFIX_LEN, tp) < 0) {
		no_memory(ps);
		return NULL;
	}
	tp->name = v.name + PREFIX_LEN;
	tp->group = module;
	tp->module = b == dt_types_btf(ps->types) ? NULL : module;
	tp->btf = b;
	tp->id = id;
	tp->proto = proto;
	return *slot = tp;
}

/* A group that the table does not share with its neighbours is copied. */
static int set_group(struct dt_probes *ps, struct tracepoint *tp, const char *line, size_t len,
		     const char **last)
{
	if (!*last || strncmp(*last, line, len) != 0 || (*last)[len])
		*last = dt_arena_strndup(&ps->arena, line, len);
	if (!*last)
		return no_memory(ps);
	tp->group = *last;
	tp->grouped = true;
	return 0;
}

struct search {
	struct dt_probes *ps;
	struct dt_tracepoints *t;
	const char *type; /* the typedef's name */
	struct tracepoint *found;
};

static int find_in(const char *module, struct dt_btf *b, void *arg)
{
	struct search *s = arg;
	u32 id = dt_btf_find(b, s->type, DT_BTF_TYPEDEF);

	s->found = id ? add(s->ps, s->t, b, module, id) : NULL;
	return s->found != NULL;
}

/* By its types alone; modules: also those of modules, which means to open all of them. */
static struct tracepoint *find_typed(struct dt_probes *ps, struct dt_tracepoints *t,
				     const char *name, bool modules)
{
	struct tracepoint *tp = dt_htab_get(&t->byname, name);
	char type[PREFIX_LEN + DTRACE_NAMELEN];
	struct search s = { ps, t, type, NULL };

	if (tp || t->all)
		return tp;
	snprintf(type, sizeof(type), PREFIX "%s", name);
	find_in(KERNEL, dt_types_btf(ps->types), &s);
	if (!s.found && modules)
		dt_types_each_module(ps->types, find_in, &s);
	return s.found;
}

/* With its group.  sure: the name is meant for a tracepoint, even if no event has it. */
static struct tracepoint *find_one(struct dt_probes *ps, struct dt_tracepoints *t, const char *name,
				   bool sure)
{
	struct tracepoint *tp = find_typed(ps, t, name, false);
	const char *line, *group = NULL;
	size_t len;

	if (t->all || (tp && tp->grouped))
		return tp;
	line = find_event(events(ps, t), name, &len);
	if (!tp && (line || sure))
		tp = find_typed(ps, t, name, true);
	return tp && line && set_group(ps, tp, line, len, &group) ? NULL : tp;
}

static int all_of(const char *module, struct dt_btf *b, void *arg)
{
	struct dt_probes *ps = arg;
	struct dt_tracepoints *t = ps->tracepoints;
	struct dt_btf_view v;
	u32 id;

	for (id = dt_btf_next(b, 0, DT_BTF_TYPEDEF, PREFIX); id;
	     id = dt_btf_next(b, id, DT_BTF_TYPEDEF, PREFIX))
		if (dt_btf_type(b, id, &v) && !dt_htab_get(&t->byname, v.name + PREFIX_LEN) &&
		    !add(ps, t, b, module, id) && ps->err->code == EDT_NOMEM)
			return -1;
	return 0;
}

/* Give the events' groups out, and their order to the table; what is no event comes after them. */
static int sort_out(struct dt_probes *ps, struct dt_tracepoints *t)
{
	struct tracepoint **sorted = dt_arena_alloc(&ps->arena, (t->list.n + 1) * sizeof(*sorted)),
			  *tp;
	const char *line, *colon, *end, *group = NULL;
	struct dt_htab seen = { 0 };
	char name[DTRACE_NAMELEN];
	u32 n = 0, i;
	int rv = sorted ? 0 : no_memory(ps);

	for (line = events(ps, t); !rv && *line; line = end + (*end != '\0')) {
		end = strchrnul(line, '\n');
		colon = memchr(line, ':', (size_t)(end - line));
		if (!colon || (size_t)(end - colon) > sizeof(name))
			continue;
		memcpy(name, colon + 1, (size_t)(end - colon) - 1);
		name[end - colon - 1] = '\0';
		tp = dt_htab_get(&t->byname, name);
		if (!tp || dt_htab_get(&seen, tp->name))
			continue;
		rv = dt_htab_put(&seen, tp->name, tp);
		if (!rv)
			rv = set_group(ps, tp, line, (size_t)(colon - line), &group);
		sorted[n++] = tp;
	}
	for (i = 0; !rv && i < t->list.n; i++)
		if (!dt_htab_get(&seen, t->list.v[i]->name))
			sorted[n++] = t->list.v[i];
	dt_htab_fini(&seen);
	if (!rv)
		t->list.v = sorted;
	return rv;
}

static int find_all(struct dt_probes *ps, struct dt_tracepoints *t)
{
	if (t->all)
		return 0;
	if (all_of(KERNEL, dt_types_btf(ps->types), ps) ||
	    dt_types_each_module(ps->types, all_of, ps) || sort_out(ps, t))
		return -1;
	t->all = true;
	return 0;
}

/* ---- probes -------------------------------------------------------------------------------------------- */

static struct dt_attach model_of(const struct tracepoint *tp)
{
	return (struct dt_attach){
		.kind = DT_AT_RAW_TP,
		.abi = DT_ABI_RAW_TP,
		.target = tp->name,
		.nargs = tp->proto.n - 1,
		.nkeys = 1,
		.module = tp->module,
		.btf = tp->btf,
		.btf_id = tp->id,
	};
}

static int make(struct dt_probes *ps, const struct dt_provider *self, struct tracepoint *tp)
{
	struct dt_attach model = model_of(tp), *at;
	bool *made = &tp->made[self == &dt_provider_rawtp];

	if (*made)
		return 0;
	*made = true;
	at = dt_probes_add_attach(ps, &model);
	return at && dt_probes_add(ps, self, 0, tp->group, "", tp->name, at, 0, tp) ? 0 : -1;
}

/* Tracepoints are in lower case: BEGIN and tick-1s are not looked for. */
static bool may_be_tracepoint(const char *name)
{
	for (; *name; name++)
		if (!islower((unsigned char)*name) && !isdigit((unsigned char)*name) && *name != '_')
			return false;
	return true;
}

static struct dt_tracepoints *table(struct dt_probes *ps)
{
	if (!ps->tracepoints)
		ps->tracepoints = dt_arena_new(&ps->arena, struct dt_tracepoints);
	if (!ps->tracepoints)
		no_memory(ps);
	return ps->tracepoints;
}

static int provide(struct dt_probes *ps, const struct dt_provider *self, const struct dt_pdesc *d)
{
	struct dt_field group = dt_field_of(d->mod), name = dt_field_of(d->name);
	struct dt_tracepoints *t;
	struct tracepoint *tp;
	u32 i;

	if (!dt_glob_match(d->func, "") ||
	    (name.how == DT_FIELD_LITERAL && !may_be_tracepoint(d->name)))
		return 0;
	if (!ps->types || !dt_types_btf(ps->types)) {
		if (strcmp(d->prov, self->name) != 0)
			return 0;
		return dt_fail(ps->err, EDT_NOPROBE,
			       "%s needs the kernel's type information (BTF), which is not readable",
			       self->name);
	}
	t = table(ps);
	if (!t)
		return -1;
	if (name.how == DT_FIELD_LITERAL) {
		tp = find_one(ps, t, d->name, strcmp(d->prov, self->name) == 0);
		return tp && dt_field_match(&group, tp->group) ? make(ps, self, tp) : 0;
	}
	if (find_all(ps, t))
		return -1;
	for (i = 0; i < t->list.n; i++)
		if (dt_field_match(&name, t->list.v[i]->name) &&
		    dt_field_match(&group, t->list.v[i]->group) && make(ps, self, t->list.v[i]))
			return -1;
	return 0;
}

bool dt_tracepoint_model(struct dt_probes *ps, const char *name, struct dt_attach *model)
{
	struct dt_tracepoints *t = ps->types && dt_types_btf(ps->types) ? table(ps) : NULL;
	struct tracepoint *tp = t ? find_typed(ps, t, name, true) : NULL;

	if (tp)
		*model = model_of(tp);
	return tp != NULL;
}

static int args(struct dt_probes *ps, const struct dt_probe *p, struct dt_probe_args *out)
{
	const struct tracepoint *tp = p->priv;

	return dt_btf_args(ps, tp->btf, &tp->proto, 1, out);
}

static const struct dt_stability stability = {
	.mod = DT_ATTR(PRIVATE, PRIVATE, UNKNOWN),
	.func = DT_ATTR(PRIVATE, PRIVATE, UNKNOWN),
	.name = DT_ATTR(PRIVATE, PRIVATE, ISA),
	.args = DT_ATTR(PRIVATE, PRIVATE, ISA),
};

const struct dt_provider dt_provider_sdt = {
	.name = "sdt",
	.attr = DT_ATTR(EVOLVING, EVOLVING, ISA),
	.stability = &stability,
	.provide = provide,
	.args = args,
};

const struct dt_provider dt_provider_rawtp = {
	.name = "rawtp",
	.attr = DT_ATTR(EVOLVING, EVOLVING, ISA),
	.stability = &stability,
	.provide = provide,
	.args = args,
};
