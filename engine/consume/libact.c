/* SPDX-License-Identifier: Apache-2.0 */
/*
 * libact.c - actions of the consumer: what a D program asks to be done to aggregations when the
 * record is reached.
 */
#include "consume/consume.h"

struct job {
	dtrace_hdl_t *h;
	const struct dt_aggact *act;
	s64 number;
};

/* ---- what is done to a row ------------------------------------------------------------------- */

static int clear_row(const dtrace_aggdata_t *d, void *arg)
{
	return DTRACE_AGGWALK_CLEAR;
}

static int normalize_row(const dtrace_aggdata_t *d, void *arg)
{
	const struct job *j = arg;

	((dtrace_aggdata_t *)(uintptr_t)d)->dtada_normal = (u64)j->number;
	return DTRACE_AGGWALK_NORMALIZE;
}

static int denormalize_row(const dtrace_aggdata_t *d, void *arg)
{
	return DTRACE_AGGWALK_DENORMALIZE;
}

static int trunc_row(const dtrace_aggdata_t *d, void *arg)
{
	u64 *keep = arg;

	if (!*keep)
		return DTRACE_AGGWALK_REMOVE;
	(*keep)--;
	return DTRACE_AGGWALK_NEXT;
}

/* ---- actions --------------------------------------------------------------------------------- */

static int each_row(struct job *j, dtrace_aggregate_f *f)
{
	for (u32 i = 0; i < j->act->naggs; i++)
		if (dt_agg_walk(j->h, j->act->aggs[i], DT_ORDER_ANY, f, j) < 0)
			return -1;
	return 0;
}

static int act_clear(struct job *j)
{
	return each_row(j, clear_row);
}

static int act_normalize(struct job *j)
{
	return j->number ? each_row(j, normalize_row) : dt_set_errno(j->h, EDT_BADNORMAL);
}

static int act_denormalize(struct job *j)
{
	return each_row(j, denormalize_row);
}

static int act_trunc(struct job *j)
{
	for (u32 i = 0; i < j->act->naggs; i++) {
		u64 keep = j->number < 0 ? -(u64)j->number : (u64)j->number;

		if (dt_agg_walk(j->h, j->act->aggs[i], j->number < 0 ? DT_ORDER_UP : DT_ORDER_DOWN,
				trunc_row, &keep) < 0)
			return -1;
	}
	return 0;
}

static int act_pending(struct job *j)
{
	return dt_fail(&j->h->err, EDT_BADSETOPT, "ftruncate() and setopt() are not supported yet");
}

static int (*const acts[])(struct job *j) = {
	[DT_ACT_CLEAR] = act_clear,         [DT_ACT_TRUNC] = act_trunc,
	[DT_ACT_NORMALIZE] = act_normalize, [DT_ACT_DENORMALIZE] = act_denormalize,
	[DT_ACT_FTRUNCATE] = act_pending,   [DT_ACT_SETOPT] = act_pending,
};

int dt_libact(dtrace_hdl_t *h, FILE *fp, const dtrace_probedata_t *data,
	      const dtrace_recdesc_t *rec, int nrecs)
{
	struct dt_item it = dt_item_of(rec, data->dtpda_data);
	struct job j = { .h = h,
			 .act = dt_aggact_of(rec),
			 .number = rec->dtrd_size ? dt_item_int(&it) : 0 };

	if (rec->dtrd_arg >= DT_NELEM(acts) || !acts[rec->dtrd_arg] || !j.act)
		return dt_set_errno(h, EDT_BADAGG);
	if (!h->aggs)
		return 1;
	if (dt_consumer_freshen(h) < 0)
		return -1;
	return acts[rec->dtrd_arg](&j) < 0 ? -1 : 1;
}
