/* SPDX-License-Identifier: Apache-2.0 */
/*
 * aggprint.c - aggregations as text: in columns, or as printa()'s format says.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "consume/consume.h"

/* ---- values as numbers ----------------------------------------------------------------------- */

typedef unsigned __int128 u128;

static u64 square_root(u128 v)
{
	u64 root = 0;

	for (int bit = 63; bit >= 0; bit--) {
		u64 with = root | UINT64_C(1) << bit;

		if ((u128)with * with <= v)
			root = with;
	}
	return root;
}

static s64 divide(s64 v, s64 by)
{
	return by == -1 ? (s64) - (u64)v : by ? v / by : v;
}

/* sqrt(average of squares - square of average), all of the normalized values */
u64 dt_stddev(const u64 *w, u64 normal)
{
	u128 squares = (u128)w[3] << 64 | w[2], mean2;
	s64 avg;
	u64 n = w[0], mean;

	if (!n)
		return 0;
	if (!normal)
		normal = 1;
	squares = squares / normal / normal / n;
	avg = divide(divide((s64)w[1], (s64)normal), (s64)n);
	mean = avg < 0 ? -(u64)avg : (u64)avg;
	mean2 = (u128)mean * mean;
	return squares > mean2 ? square_root(squares - mean2) : 0;
}

static s64 scalar(int func, const u64 *w, s64 normal)
{
	switch (func) {
	case DTRACEAGG_AVG: return w[0] ? divide(divide((s64)w[1], normal), (s64)w[0]) : 0;
	case DTRACEAGG_STDDEV: return (s64)dt_stddev(w, (u64)normal);
	default: return divide((s64)w[0], normal);
	}
}

s64 dt_agg_scalar(const dtrace_aggdata_t *d)
{
	const dtrace_aggdesc_t *desc = d->dtada_desc;
	const dtrace_recdesc_t *rec = &desc->dtagd_rec[desc->dtagd_nrecs - 1];
	u64 w[4] = { 0 };

	memcpy(w, d->dtada_data + rec->dtrd_offset, DT_MIN(rec->dtrd_size, (u32)sizeof(w)));
	return scalar((int)rec->dtrd_action, w, d->dtada_normal ? (s64)d->dtada_normal : 1);
}

/* ---- columns --------------------------------------------------------------------------------- */

static int key_width(u32 size)
{
	switch (size) {
	case 1: return 3;
	case 2: return 5;
	case 4: return 8;
	default: return 16;
	}
}

static void put_text_column(struct dt_str *out, const char *s, size_t n)
{
	dt_str_puts(out, "  ");
	dt_put_padded(out, s, n, 50, true);
}

static void put_symbol_column(dtrace_hdl_t *h, struct dt_str *out, const struct dt_item *it)
{
	struct dt_str s = { 0 };

	dt_put_symbol(h, &s, it);
	put_text_column(out, dt_str_cstr(&s), s.len);
	out->failed |= s.failed;
	dt_str_fini(&s);
}

static void put_key(dtrace_hdl_t *h, struct dt_str *out, const struct dt_item *it)
{
	if (dt_item_is_text(it)) {
		put_text_column(out, it->p, dt_item_strlen(it));
		return;
	}
	switch (it->kind) {
	case DT_D_NONE: break;
	case DT_D_INT:
		dt_str_printf(out, " %*" PRId64, key_width(it->size), dt_item_int(it));
		break;
	case DT_D_UINT:
		dt_str_printf(out, " %*" PRIu64, key_width(it->size), (u64)dt_item_int(it));
		break;
	case DT_D_PTR: dt_str_printf(out, " %#16" PRIx64, (u64)dt_item_int(it)); break;
	case DT_D_STACK:
	case DT_D_USTACK:
		dt_put_stack(h, out, it, dt_opt_u32(h, DT_OPT_STACKINDENT, 0, 1024));
		break;
	case DT_D_BYTES:
	case DT_D_FLOAT: dt_put_hexdump(out, it->p, it->size); break;
	default: put_symbol_column(h, out, it);
	}
}

static void put_value(dtrace_hdl_t *h, struct dt_str *out, const dtrace_aggdata_t *d)
{
	int func = d->dtada_desc->dtagd_rec[d->dtada_desc->dtagd_nrecs - 1].dtrd_action;

	if (dt_agg_is_dist(func))
		dt_put_dist(h, out, d);
	else
		dt_str_printf(out, func == DTRACEAGG_STDDEV ? " %16" PRIu64 : " %16" PRId64,
			      dt_agg_scalar(d));
}

/* Option aggpercpu: what each CPU has of it. */
static void put_cpus(dtrace_hdl_t *h, struct dt_str *out, const dtrace_aggdata_t *d)
{
	const struct dt_aggview *view = dt_view_of(d);
	const struct dt_agg *a = view->agg;
	const u64 *v;

	for (int cpu = 0; view->row && cpu < a->ncpus; cpu++) {
		v = dt_row_cpu(view->row, cpu);
		if (!v)
			continue;
		dt_str_printf(out, "\n    [CPU %d]", cpu);
		if (dt_agg_is_dist(a->spec->func))
			dt_put_dist_words(h, out, a, v, d->dtada_normal);
		else
			dt_str_printf(out, " %16" PRId64,
				      scalar(a->spec->func, v,
					     d->dtada_normal ? (s64)d->dtada_normal : 1));
	}
}

/* ---- rows that are shown in one picture ------------------------------------------------------- */

static bool is_block(const dtrace_recdesc_t *rec)
{
	const struct dt_datum *d = (const struct dt_datum *)(uintptr_t)rec->dtrd_uarg;

	return d && (d->kind == DT_D_STACK || d->kind == DT_D_USTACK || d->kind == DT_D_BYTES ||
		     d->kind == DT_D_FLOAT);
}

/* A row's keys, side by side. */
static void put_plain_keys(dtrace_hdl_t *h, struct dt_str *out, const dtrace_aggdesc_t *desc,
			   const char *data)
{
	for (int i = 1; i < desc->dtagd_nrecs - 1; i++) {
		struct dt_item it = dt_item_of(&desc->dtagd_rec[i], data);

		if (i > 1)
			dt_str_putc(out, ' ');
		if (dt_item_is_text(&it))
			dt_put_text(out, it.p, dt_item_strlen(&it));
		else if (it.kind == DT_D_INT)
			dt_put_s64(out, dt_item_int(&it));
		else if (it.kind == DT_D_UINT)
			dt_put_u64(out, (u64)dt_item_int(&it));
		else if (it.kind == DT_D_PTR)
			dt_str_printf(out, "0x%" PRIx64, (u64)dt_item_int(&it));
		else
			dt_put_symbol(h, out, &it);
	}
}

/* Do the options ask for that, and do keys and values lend themselves to it? */
static bool wants_look(const dtrace_hdl_t *h, const struct dt_agg *a, struct dt_look *k)
{
	bool dist = dt_agg_is_dist(a->spec->func);

	for (u32 i = 0; i < a->spec->nkeys; i++)
		if (is_block(&a->desc.dtagd_rec[i + 1]))
			return false;
	k->hist = !dist && a->spec->nkeys && dt_opt(h, DT_OPT_AGGHIST);
	k->pack = dist && dt_opt(h, DT_OPT_AGGPACK);
	return k->hist || k->pack;
}

static void measure_row(dtrace_hdl_t *h, struct dt_look *k, const struct dt_row *r, char *buf)
{
	const struct dt_agg *a = r->agg;
	struct dt_str key = { .escape = dt_opt(h, DT_OPT_PRINTABLE) != 0 };

	dt_row_encode(h->aggs, a, r, buf);
	put_plain_keys(h, &key, &a->desc, buf);
	k->width = DT_MAX(k->width, (u32)DT_MIN(key.len, (size_t)60));
	dt_str_fini(&key);
	if (k->pack)
		dt_pack_measure(k, r->v);
	else
		dt_bar_add(h, scalar(a->spec->func, r->v, r->normal ? (s64)r->normal : 1),
			   &k->total, &k->positive, &k->negative);
}

#define LEAST_WIDTH 16

/* Look at all rows before the first is shown. */
static void measure(dtrace_hdl_t *h, struct dt_look *k, const struct dt_agg *a)
{
	_cleanup_free_ char *buf = NULL;

	*k = (struct dt_look){ .of = a, .first = UINT32_MAX };
	if (!wants_look(h, a, k))
		return;
	buf = calloc(1, a->desc.dtagd_size + 8);
	k->width = a->spec->nkeys ? LEAST_WIDTH : 0;
	for (u32 i = 0; buf && i < a->nrows; i++)
		if (!a->rows[i]->dead)
			measure_row(h, k, a->rows[i], buf);
}

/* ---- rows ------------------------------------------------------------------------------------ */

struct printing {
	dtrace_hdl_t *h;
	FILE *fp;
	const struct dt_fmt *fmt;
	struct dt_str *out;
	const dtrace_aggdata_t *row;
	struct dt_look look;
};

/* What was printed so far goes out on its own when a handler sorts it into keys and values. */
static int piece(struct printing *p, const dtrace_aggdata_t *d, const dtrace_recdesc_t *rec, u32 flags)
{
	return p->fp ? 0 : dt_buffered_flush(p->h, NULL, rec, d, flags);
}

static void mark_printed(const dtrace_aggdata_t *d)
{
	d->dtada_desc->dtagd_flags |= DT_AGD_PRINTED;
}

static void put_look_header(struct printing *p)
{
	const struct dt_look *k = &p->look;

	if (k->pack)
		dt_put_pack_header(p->out, k);
	else
		dt_str_printf(p->out, "\n%*s %41s %-9s\n", (int)k->width, "key",
			      "------------- Distribution -------------", "count");
}

/* A row of a picture. */
static int put_in_picture(struct printing *p, const dtrace_aggdata_t *d)
{
	const struct dt_aggview *view = dt_view_of(d);
	const dtrace_aggdesc_t *desc = d->dtada_desc;
	struct dt_str key = { .escape = p->out->escape };
	s64 v = view->row && p->look.hist ? dt_agg_scalar(d) : 0;
	int pad;

	put_plain_keys(p->h, &key, desc, d->dtada_data);
	pad = (int)p->look.width - (int)key.len;
	dt_put_spaces(p->out, pad > 0 ? (size_t)pad : 0);
	dt_str_putn(p->out, key.s, key.len);
	p->out->failed |= key.failed;
	dt_str_fini(&key);
	if (desc->dtagd_nrecs > 2 && piece(p, d, &desc->dtagd_rec[1], DTRACE_BUFDATA_AGGKEY) < 0)
		return -1;
	if (p->look.pack) {
		dt_put_pack(p->h, p->out, &p->look, view->row->v, d->dtada_normal);
	} else {
		dt_str_putc(p->out, ' ');
		dt_put_bar(p->h, p->out, &p->look, v);
		dt_str_printf(p->out, " %-9" PRId64 "\n", v);
	}
	mark_printed(d);
	if (piece(p, d, &desc->dtagd_rec[desc->dtagd_nrecs - 1], DTRACE_BUFDATA_AGGVAL) < 0)
		return -1;
	return piece(p, d, NULL, DTRACE_BUFDATA_AGGLAST);
}

static int put_columns(struct printing *p, const dtrace_aggdata_t **data, int n)
{
	const dtrace_aggdesc_t *desc = data[0]->dtada_desc;
	const struct dt_aggview *view = dt_view_of(data[0]);

	if (n == 1 && view->row && p->look.of != view->agg) {
		measure(p->h, &p->look, view->agg);
		if (p->look.hist || p->look.pack)
			put_look_header(p);
	}
	if (n == 1 && view->row && (p->look.hist || p->look.pack))
		return put_in_picture(p, data[0]);

	for (int i = 1; i < desc->dtagd_nrecs - 1; i++) {
		struct dt_item it = dt_item_of(&desc->dtagd_rec[i], data[0]->dtada_data);

		put_key(p->h, p->out, &it);
		if (piece(p, data[0], &desc->dtagd_rec[i], DTRACE_BUFDATA_AGGKEY) < 0)
			return -1;
	}
	for (int i = n == 1 ? 0 : 1; i < n; i++) {
		const dtrace_aggdesc_t *own = data[i]->dtada_desc;

		put_value(p->h, p->out, data[i]);
		put_cpus(p->h, p->out, data[i]);
		mark_printed(data[i]);
		if (piece(p, data[i], &own->dtagd_rec[own->dtagd_nrecs - 1], DTRACE_BUFDATA_AGGVAL) <
		    0)
			return -1;
	}
	dt_str_putc(p->out, '\n');
	return piece(p, data[0], NULL, DTRACE_BUFDATA_AGGLAST);
}

static int shown(struct dt_fmtargs *a, const dtrace_recdesc_t *rec, bool value)
{
	struct printing *p = a->arg;

	return piece(p, p->row, rec,
		     (value ? DTRACE_BUFDATA_AGGVAL : DTRACE_BUFDATA_AGGKEY) |
			     DTRACE_BUFDATA_AGGFORMAT);
}

static int put_formatted(struct printing *p, const dtrace_aggdata_t **data, int n)
{
	const dtrace_aggdesc_t *desc = data[0]->dtada_desc;
	struct dt_fmtargs args = {
		.base = data[0]->dtada_data,
		.rec = desc->dtagd_rec + 1,
		.nrecs = desc->dtagd_nrecs - 2,
		.aggs = n == 1 ? data : data + 1,
		.naggs = n == 1 ? 1 : n - 1,
		.shown = shown,
		.arg = p,
	};

	p->row = data[0];
	for (int i = 0; i < args.naggs; i++)
		mark_printed(args.aggs[i]);
	if (dt_format(p->h, p->out, p->fmt, &args) < 0)
		return -1;
	return piece(p, data[0], NULL, DTRACE_BUFDATA_AGGFORMAT | DTRACE_BUFDATA_AGGLAST);
}

static int print_row(const dtrace_aggdata_t **data, const int n, void *arg)
{
	struct printing *p = arg;

	p->out = dt_out(p->h, p->fp);
	if (!p->out)
		return DTRACE_AGGWALK_ERROR;
	if ((p->fmt ? put_formatted(p, data, n) : put_columns(p, data, n)) < 0) {
		dt_str_reset(p->out);
		return DTRACE_AGGWALK_ERROR;
	}
	return dt_out_end(p->h, p->fp, p->out) < 0 ? DTRACE_AGGWALK_ERROR : DTRACE_AGGWALK_NEXT;
}

int dt_printa(dtrace_hdl_t *h, FILE *fp, const struct dt_aggact *act)
{
	struct printing p = { .h = h, .fp = fp, .fmt = act->fmt };

	if (dt_consumer_freshen(h) < 0)
		return -1;
	if (!p.fmt && dt_printf(h, fp, "\n") < 0)
		return -1;
	return h->aggs && act->naggs ? dt_aggs_walk(h, act->aggs, act->naggs, print_row, &p) : 0;
}

/* Only what no printa() has shown. */
static int print_unprinted(const dtrace_aggdata_t *d, void *arg)
{
	struct printing *p = arg;
	bool seen = d->dtada_desc->dtagd_flags & DT_AGD_PRINTED;
	int rv;

	if (seen)
		return DTRACE_AGGWALK_NEXT;
	rv = print_row(&d, 1, p);
	d->dtada_desc->dtagd_flags &= ~DT_AGD_PRINTED; /* its other rows, and the next time */
	return rv;
}

int dtrace_aggregate_print(dtrace_hdl_t *h, FILE *fp, dtrace_aggregate_walk_f *walk)
{
	struct printing p = { .h = h, .fp = fp };

	if (!walk)
		walk = dtrace_aggregate_walk_sorted;
	return walk(h, print_unprinted, &p);
}
