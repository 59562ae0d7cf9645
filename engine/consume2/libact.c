/* SPDX-License-Identifier: Apache-2.0 */
/* libact.c - actions that the library performs when their record comes by: a row each. */
#include <stdlib.h>
#include <string.h>

#include "consume2/consume.h"

struct job {
	dtrace_hdl_t *h;
	struct dt_agg *agg; /* the first of the action's; NULL: none */
	bool has_number;
	s64 number;
};

static int act_clear(struct job *j)
{
	for (u32 i = 0; i < j->agg->nlist; i++)
		if (!j->agg->list[i]->removed)
			dt_agg_row_clear(j->agg, j->agg->list[i]);
	return dt_agg_settle(j->h, j->agg);
}

/* Keep the top n, of negative n the bottom: rows come smallest first. */
static int act_trunc(struct job *j)
{
	struct dt_order by_value = { 0 };
	struct dt_aggent *v;
	u64 keep = j->number < 0 ? -(u64)j->number : (u64)j->number;
	u32 n, first, last;

	if (dt_agg_entries(j->h, &j->agg, 1, keep ? &by_value : NULL, &v, &n) < 0)
		return -1;
	keep = DT_MIN(keep, (u64)n);
	first = j->number < 0 ? (u32)keep : 0;
	last = j->number < 0 ? n : n - (u32)keep;
	for (u32 i = first; i < last; i++)
		dt_agg_row_remove(j->agg, v[i].row);
	free(v);
	return dt_agg_settle(j->h, j->agg);
}

static void set_normal(struct dt_agg *a, u64 normal)
{
	a->normal = normal;
	for (u32 i = 0; i < a->nlist; i++)
		a->list[i]->normal = normal;
}

static int act_normalize(struct job *j)
{
	if (!j->has_number || j->number <= 0)
		return dt_set_errno(j->h, EDT_BADNORMAL);
	set_normal(j->agg, (u64)j->number);
	return 0;
}

static int act_denormalize(struct job *j)
{
	set_normal(j->agg, 1);
	return 0;
}

static const struct {
	int (*perform)(struct job *j); /* NULL: pending */
	const char *name;
} rows[] = {
	[DT_ACT_CLEAR] = { act_clear, "clear" },
	[DT_ACT_TRUNC] = { act_trunc, "trunc" },
	[DT_ACT_NORMALIZE] = { act_normalize, "normalize" },
	[DT_ACT_DENORMALIZE] = { act_denormalize, "denormalize" },
	[DT_ACT_FTRUNCATE] = { NULL, "ftruncate" },
	[DT_ACT_SETOPT] = { NULL, "setopt" },
};

int dt_libact(dtrace_hdl_t *h, FILE *fp, const dtrace_probedata_t *data,
	      const dtrace_recdesc_t *rec, int nrecs)
{
	const struct dt_aggact *act = rec->dtrd_format;
	struct dt_value v = dt_value_of(rec, data->dtpda_data);
	struct job j = { .h = h, .has_number = v.kind != DT_D_NONE };
	u64 n = rec->dtrd_arg;

	if (n >= DT_NELEM(rows) || !rows[n].name)
		return dt_fail(&h->err, EDT_BADCONV, "Library action %llu is not known",
			       (unsigned long long)n);
	if (!rows[n].perform)
		return dt_fail(&h->err, EDT_BADCONV, "%s() is not available in this version",
			       rows[n].name);
	if (j.has_number)
		j.number = dt_value_int(&v);
	if (!act || !act->naggs)
		return dt_set_errno(h, EDT_BADAGG);
	j.agg = dt_aggs_byid(h, (s64)act->aggs[0] + 1);
	return !j.agg || rows[n].perform(&j) < 0 ? -1 : 1;
}
