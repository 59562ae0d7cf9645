/* SPDX-License-Identifier: Apache-2.0 */
/*
 * stmt.c - programs as lists of statements: a statement is what one probe description of a clause does.
 *
 * The list is made when somebody asks for it and is for reading.  What consumers make themselves is a probe
 * description; adding it to a program compiles it as a clause of its own behind that program.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "api/handle.h"

struct stmt {
	dtrace_stmtdesc_t desc; /* first: what callers have a pointer to */
	dtrace_ecbdesc_t ecb;
	bool in_program;
};

struct dt_stmts {
	struct dt_arena arena;
	DT_VEC(struct stmt *) list;
};

void dt_stmts_free(struct dt_stmts *s)
{
	if (!s)
		return;
	dt_arena_fini(&s->arena);
	free(s);
}

/* ---- from the checked tree ------------------------------------------------------------------------------------- */

struct build {
	struct dt_stmts *s;
	dtrace_actdesc_t *first, *last;
	bool failed;
};

static u32 libact_of(const struct dt_action *a)
{
	static const struct {
		int id;
		u32 act;
	} rows[] = {
		{ DT_A_CLEAR, DT_ACT_CLEAR },         { DT_A_TRUNC, DT_ACT_TRUNC },
		{ DT_A_NORMALIZE, DT_ACT_NORMALIZE }, { DT_A_DENORMALIZE, DT_ACT_DENORMALIZE },
		{ DT_A_FTRUNCATE, DT_ACT_FTRUNCATE }, { DT_A_SETOPT, DT_ACT_SETOPT },
	};

	for (size_t k = 0; k < DT_NELEM(rows); k++)
		if (rows[k].id == a->id)
			return rows[k].act;
	return 0;
}

static void add_action(struct build *b, const struct dt_stmt *s)
{
	dtrace_actdesc_t *a = dt_arena_new(&b->s->arena, dtrace_actdesc_t);
	const struct dt_loc *l = &s->loc;
	const char *text = "";

	if (l->src && l->off + l->len <= l->src->len)
		text = dt_arena_strndup(&b->s->arena, l->src->text + l->off, l->len);
	if (!a || !text) {
		b->failed = true;
		return;
	}
	a->dtad_text = text;
	a->dtad_kind = s->act ? (dtrace_actkind_t)s->act->kind : DTRACEACT_NONE;
	a->dtad_ntuple = s->nkeys;
	a->dtad_arg = s->kind == S_AGG ? (u64)s->agg->varid : s->act ? libact_of(s->act) : 0;
	*(b->last ? &b->last->dtad_next : &b->first) = a;
	b->last = a;
}

static void add_actions(struct build *b, const struct dt_stmt *s)
{
	for (; s && !b->failed; s = s->next)
		if (s->kind == S_IF) {
			add_actions(b, s->then_);
			add_actions(b, s->else_);
		} else {
			add_action(b, s);
		}
}

static void copy_field(char *to, size_t size, const char *from)
{
	snprintf(to, size, "%s", from);
}

static bool add_clause(struct dt_stmts *s, const struct dt_clause *c)
{
	dtrace_attribute_t attr = dt_attr_stable;
	struct build b = { .s = s };

	add_actions(&b, c->stmts);
	for (u32 i = 0; i < c->probes.n; i++)
		dt_attr_least(&attr, c->probes.v[i]->prov->attr);
	for (u32 i = 0; i < c->descs.n && !b.failed; i++) {
		const struct dt_pdesc *d = &c->descs.v[i];
		struct stmt *st = dt_arena_new(&s->arena, struct stmt), **slot;

		slot = st ? dt_vec_push(&s->arena, &s->list) : NULL;
		if (!slot)
			return false;
		*slot = st;
		st->in_program = true;
		st->ecb.dted_pred = c->pred != NULL;
		st->ecb.dted_probe.dtpd_id = d->id;
		copy_field(st->ecb.dted_probe.dtpd_provider, DTRACE_PROVNAMELEN, d->prov);
		copy_field(st->ecb.dted_probe.dtpd_mod, DTRACE_MODNAMELEN, d->mod);
		copy_field(st->ecb.dted_probe.dtpd_func, DTRACE_FUNCNAMELEN, d->func);
		copy_field(st->ecb.dted_probe.dtpd_name, DTRACE_NAMELEN, d->name);
		st->desc = (dtrace_stmtdesc_t){ .dtsd_ecbdesc = &st->ecb,
						.dtsd_action = b.first,
						.dtsd_action_last = b.last,
						.dtsd_descattr = attr,
						.dtsd_stmtattr = c->attr };
	}
	return !b.failed;
}

static struct dt_stmts *statements(dtrace_prog_t *prog)
{
	struct dt_stmts *s = prog->stmts;

	if (s)
		return s;
	s = calloc(1, sizeof(*s));
	if (!s)
		return NULL;
	dt_arena_init(&s->arena);
	for (u32 i = 0; i < prog->prog->clauses.n; i++)
		if (!prog->prog->clauses.v[i]->copy && !add_clause(s, prog->prog->clauses.v[i])) {
			dt_stmts_free(s);
			return NULL;
		}
	return prog->stmts = s;
}

int dtrace_stmt_iter(dtrace_hdl_t *h, dtrace_prog_t *prog, dtrace_stmt_f *f, void *arg)
{
	dtrace_prog_t *q;
	int rv = 0;

	for (q = prog; q && !rv; q = q->added) {
		struct dt_stmts *s = statements(q);

		if (!s)
			return dt_set_errno(h, EDT_NOMEM);
		for (u32 i = 0; i < s->list.n && !rv; i++)
			rv = f(h, prog, &s->list.v[i]->desc, arg);
	}
	return rv;
}

/* ---- made by the consumer -------------------------------------------------------------------------------------- */

static struct stmt *stmt_of(dtrace_stmtdesc_t *d)
{
	return (struct stmt *)(void *)d;
}

dtrace_stmtdesc_t *dtrace_stmt_create(dtrace_hdl_t *h, const dtrace_ecbdesc_t *ecb)
{
	struct stmt *s = calloc(1, sizeof(*s));

	if (!s)
		return dt_set_errno_null(h, EDT_NOMEM);
	if (ecb)
		s->ecb = *ecb;
	s->ecb.dted_pred = 0;
	s->desc.dtsd_ecbdesc = &s->ecb;
	s->desc.dtsd_descattr = s->desc.dtsd_stmtattr = dt_attr_stable;
	return &s->desc;
}

void dtrace_stmt_destroy(dtrace_hdl_t *h, dtrace_stmtdesc_t *d)
{
	if (d && !stmt_of(d)->in_program)
		free(stmt_of(d));
}

int dtrace_stmt_add(dtrace_hdl_t *h, dtrace_prog_t *prog, dtrace_stmtdesc_t *d)
{
	struct stmt *s = stmt_of(d);
	char text[DTRACE_FULLNAMELEN + 16];
	dtrace_prog_t *add, **at;

	if (s->in_program)
		return dt_fail(&h->err, EINVAL, "The statement is part of a program");
	if (prog->enabled)
		return dt_fail(&h->err, EALREADY, "The program is enabled already");
	dtrace_desc2str(&s->ecb.dted_probe, text, sizeof(text));
	add = dt_compile_text(h, text, strlen(text), DTRACE_PROBESPEC_NAME, 0, 0, NULL);
	if (!add)
		return -1;
	for (at = &prog->added; *at; at = &(*at)->added)
		;
	*at = add;
	dtrace_stmt_destroy(h, d); /* its place is taken by what was compiled */
	return 0;
}
