/* SPDX-License-Identifier: Apache-2.0 */
/*
 * derived.c - providers whose probes have a meaning of their own, derived from events of the kernel: each row of a table
 * (struct dt_derived) says from which event, under which condition, with which arguments.
 *
 * Of several rows for one function and name the first one counts whose event this kernel has.  The probes of one event
 * share an attach point, and are made together so that their ids are in the order of the table.
 */
#include <string.h>

#include "providers/derived.h"
#include "types/types.h"

/* ---- what this kernel has -------------------------------------------------------------------- */

static u32 nparams(const struct dt_derived *row)
{
	u32 n = 0;

	while (n < DT_MAXARGS && row->params[n])
		n++;
	return n;
}

/* The tracepoint is there and has that many arguments at least, behind the one that is its own. */
static bool has_tracepoint(struct dt_types *ts, const struct dt_derived *row)
{
	struct dt_type *t;
	char name[128];

	snprintf(name, sizeof(name), "btf_trace_%s", row->target);
	t = dt_type_resolve(dt_types_lookup(ts, name));
	if (t && t->kind == DT_POINTER)
		t = dt_type_resolve(t->ref);
	return t && t->kind == DT_FUNC && t->nparams > nparams(row);
}

static bool has_function(struct dt_probes *ps, const struct dt_derived *row)
{
	struct dt_attach model;

	return ps->sources.traces_functions && ps->sources.traces_functions(ps->sources.arg) &&
	       dt_kfunc_model(ps, NULL, row->target, false, &model);
}

bool dt_derived_is_here(struct dt_probes *ps, const struct dt_derived *row)
{
	if (!ps->types || !dt_types_btf(ps->types))
		return false;
	switch (row->kind) {
	case DT_AT_TP_BTF: return has_tracepoint(ps->types, row);
	case DT_AT_KPROBE: return has_function(ps, row);
	default: return true;
	}
}

/* ---- making probes ---------------------------------------------------------------------------- */

static bool is_made(struct dt_probes *ps, const struct dt_derived *row)
{
	return dt_probes_find(ps, row->prov, "vmlinux", row->func ? row->func : row->target,
			      row->name);
}

static bool same_event(const struct dt_derived *a, const struct dt_derived *b)
{
	return a->kind == b->kind && strcmp(a->target, b->target) == 0 && nparams(a) == nparams(b);
}

static bool model_of(struct dt_probes *ps, const struct dt_derived *row, struct dt_attach *model)
{
	bool ok = true;

	switch (row->kind) {
	case DT_AT_TP_BTF:
		ok = dt_tracepoint_model(ps, row->target, model);
		model->kind = DT_AT_TP_BTF;
		model->abi = DT_ABI_TP_BTF;
		break;
	case DT_AT_KPROBE: ok = dt_kfunc_model(ps, NULL, row->target, false, model); break;
	default:
		*model = (struct dt_attach){ .kind = row->kind,
					     .abi = DT_ABI_PROFILE,
					     .sw_event = row->sw_event,
					     .period_ns = 1,
					     .all_cpus = true,
					     .nkeys = 1 };
	}
	model->several = true;
	return ok;
}

struct dt_attach *dt_derived_attach(struct dt_probes *ps, const struct dt_provider *self,
				    const struct dt_derived *row)
{
	struct dt_attach model = { 0 };
	u32 i;

	for (i = 0; i < ps->list.n; i++)
		if (ps->list.v[i]->prov == self && same_event(ps->list.v[i]->derived, row))
			return ps->list.v[i]->at;
	if (!model_of(ps, row, &model))
		return dt_fail_null(ps->err, EDT_NOPROBE, "there is no '%s' in this kernel",
				    row->target);
	return dt_probes_add_attach(ps, &model);
}

static int add(struct dt_probes *ps, const struct dt_provider *self, const struct dt_derived *row)
{
	struct dt_attach *at = dt_derived_attach(ps, self, row);
	struct dt_probe *p;

	if (!at)
		return -1;
	p = dt_probes_add(ps, self, 0, "vmlinux", row->func ? row->func : row->target, row->name,
			  at, 0, NULL);
	if (!p)
		return -1;
	p->derived = row;
	return 0;
}

/* All probes of the event that `wanted` hangs on. */
static int add_event(struct dt_probes *ps, const struct dt_provider *self,
		     const struct dt_derived *wanted)
{
	const struct dt_derived *row;

	for (row = self->rows; row->name; row++)
		if (same_event(row, wanted) && !is_made(ps, row) && dt_derived_is_here(ps, row) &&
		    add(ps, self, row))
			return -1;
	return 0;
}

int dt_derived_provide(struct dt_probes *ps, const struct dt_provider *self, const struct dt_pdesc *d)
{
	struct dt_field func = dt_field_of(d->func), name = dt_field_of(d->name);
	const struct dt_derived *row;

	if (!dt_glob_match(d->mod, "vmlinux"))
		return 0;
	for (row = self->rows; row->name; row++)
		if (dt_field_match(&name, row->name) &&
		    dt_field_match(&func, row->func ? row->func : row->target) &&
		    !is_made(ps, row) && dt_derived_is_here(ps, row) && add_event(ps, self, row))
			return -1;
	return 0;
}

int dt_derived_args(struct dt_probes *ps, const struct dt_probe *p, struct dt_probe_args *out)
{
	const struct dt_derived *row = p->derived;

	for (out->argc = 0; out->argc < DT_MAXARGS && row->args[out->argc].type; out->argc++) {
		out->type[out->argc] = row->args[out->argc].type;
		out->native[out->argc] = row->args[out->argc].native;
	}
	return 0;
}
