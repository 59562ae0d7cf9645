/* SPDX-License-Identifier: Apache-2.0 */
/*
 * libact.c - actions of the consumer: what a D program asks to be done to aggregations when the
 * record is reached.
 */
#include <stdlib.h>
#include <string.h>

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

static int (*const acts[])(struct job *j) = {
	[DT_ACT_CLEAR] = act_clear,
	[DT_ACT_TRUNC] = act_trunc,
	[DT_ACT_NORMALIZE] = act_normalize,
	[DT_ACT_DENORMALIZE] = act_denormalize,
};

/* ---- setopt() -------------------------------------------------------------------------------- */

static dtrace_optval_t option(dtrace_hdl_t *h, const char *name)
{
	dtrace_optval_t v = DTRACEOPT_UNSET;

	dtrace_getopt(h, name, &v);
	return v;
}

static int tell_changed(dtrace_hdl_t *h, const dtrace_probedata_t *pd, const char *name,
			dtrace_optval_t was)
{
	dtrace_setoptdata_t data = {
		.dtsda_handle = h,
		.dtsda_probe = pd,
		.dtsda_option = name,
		.dtsda_oldval = was,
		.dtsda_newval = option(h, name),
	};

	if (!h->setopthdlr || h->setopthdlr(&data, h->setoptarg) == DTRACE_HANDLE_OK)
		return 0;
	return dt_set_errno(h, EDT_DIRABORT);
}

/* A name and perhaps a value; without one the option is set to 1. */
static int set_option(dtrace_hdl_t *h, const dtrace_probedata_t *pd, const dtrace_recdesc_t *rec,
		      int nrecs)
{
	struct dt_item name = dt_item_of(&rec[0], pd->dtpda_data), value;
	_cleanup_free_ char *n = strndup(name.p, dt_item_strlen(&name));
	_cleanup_free_ char *v = NULL;
	dtrace_optval_t was;

	if (nrecs < 2 || rec[1].dtrd_action != DTRACEACT_LIBACT || rec[1].dtrd_arg != DT_ACT_SETOPT)
		return dt_set_errno(h, EDT_BADSETOPT);
	if (rec[1].dtrd_size) {
		value = dt_item_of(&rec[1], pd->dtpda_data);
		v = strndup(value.p, dt_item_strlen(&value));
	} else {
		v = strdup("1");
	}
	if (!n || !v)
		return dt_set_errno(h, EDT_NOMEM);
	was = option(h, n);
	if (dtrace_setopt(h, n, v) < 0) {
		if (dt_lib_error(h, pd, "couldn't set option \"%s\" to \"%s\": %s", n, v,
				 dtrace_errmsg(h, dtrace_errno(h))) < 0)
			return -1;
	} else if (tell_changed(h, pd, n, was) < 0) {
		return -1;
	}
	return 2;
}

int dt_libact(dtrace_hdl_t *h, FILE *fp, const dtrace_probedata_t *data,
	      const dtrace_recdesc_t *rec, int nrecs)
{
	struct dt_item it = dt_item_of(rec, data->dtpda_data);
	struct job j = { .h = h,
			 .act = dt_aggact_of(rec),
			 .number = rec->dtrd_size ? dt_item_int(&it) : 0 };

	if (rec->dtrd_arg == DT_ACT_SETOPT)
		return set_option(h, data, rec, nrecs);
	if (rec->dtrd_arg == DT_ACT_FTRUNCATE) {
		dt_out_truncate(h, fp);
		return 1;
	}
	if (rec->dtrd_arg >= DT_NELEM(acts) || !acts[rec->dtrd_arg] || !j.act)
		return dt_set_errno(h, EDT_BADAGG);
	if (!h->aggs)
		return 1;
	if (dt_consumer_freshen(h) < 0)
		return -1;
	return acts[rec->dtrd_arg](&j) < 0 ? -1 : 1;
}
