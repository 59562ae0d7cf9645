/* SPDX-License-Identifier: Apache-2.0 */
/*
 * reckind.c - what a record is: the generator's datum, told in the public terms of dtrace_ext.h.
 */
#include "api/handle.h"

static const dtrace_datakind_t public_kind[] = {
	[DT_D_NONE] = DTRACE_DATA_NONE,     [DT_D_INT] = DTRACE_DATA_INT,
	[DT_D_UINT] = DTRACE_DATA_UINT,     [DT_D_PTR] = DTRACE_DATA_PTR,
	[DT_D_STR] = DTRACE_DATA_STR,       [DT_D_BYTES] = DTRACE_DATA_BYTES,
	[DT_D_FLOAT] = DTRACE_DATA_FLOAT,   [DT_D_STACK] = DTRACE_DATA_STACK,
	[DT_D_USTACK] = DTRACE_DATA_USTACK, [DT_D_SYM] = DTRACE_DATA_SYM,
	[DT_D_MOD] = DTRACE_DATA_MOD,       [DT_D_USYM] = DTRACE_DATA_USYM,
	[DT_D_UMOD] = DTRACE_DATA_UMOD,     [DT_D_UADDR] = DTRACE_DATA_UADDR,
	[DT_D_PROBEPROV] = DTRACE_DATA_STR, [DT_D_PROBEMOD] = DTRACE_DATA_STR,
	[DT_D_PROBEFUNC] = DTRACE_DATA_STR, [DT_D_PROBENAME] = DTRACE_DATA_STR,
};

int dtrace_rec_kind(const dtrace_recdesc_t *rec, dtrace_reckind_t *out)
{
	const struct dt_datum *d = (const struct dt_datum *)(uintptr_t)rec->dtrd_uarg;

	if (!d || DTRACEACT_ISAGG(rec->dtrd_action) || rec->dtrd_action == DTRACEACT_LIBACT)
		return -1;
	if ((size_t)d->kind >= DT_NELEM(public_kind))
		return -1;
	out->dtrk_kind = public_kind[d->kind];
	out->dtrk_size = rec->dtrd_size;
	out->dtrk_name = d->text && *d->text ? d->text : NULL;
	return 0;
}

/* From the first description to the end of the last. */
static const char *descriptions(dtrace_hdl_t *h, const struct dt_clause *c)
{
	const struct dt_loc *first = &c->desclocs.v[0], *last = &c->desclocs.v[c->desclocs.n - 1];
	u32 end = last->off + last->len;

	if (!c->desclocs.n || !first->src || first->src != last->src || end > first->src->len ||
	    end < first->off)
		return "";
	return dt_arena_strndup(&h->arena, first->src->text + first->off, end - first->off);
}

int dtrace_enabling(dtrace_hdl_t *h, dtrace_epid_t epid, dtrace_enabling_t *out)
{
	const struct dt_clause *c;
	int column;

	if (!h->obj || epid < 1 || epid > h->obj->nepids || !h->obj->epids[epid - 1].clause)
		return dt_set_errno(h, EDT_BADID);
	c = h->obj->epids[epid - 1].clause;
	out->dten_probes = descriptions(h, c);
	if (!out->dten_probes)
		return dt_set_errno(h, EDT_NOMEM);
	out->dten_line = 0;
	if (c->desclocs.n)
		dt_loc_pos(&c->desclocs.v[0], &out->dten_line, &column);
	return 0;
}
