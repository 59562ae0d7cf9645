/* SPDX-License-Identifier: Apache-2.0 */
/*
 * shape.c - what the firings of one enabling have in common: which records hold values, and of what kind.
 *
 * Found out once per enabling, so that a firing costs no more than its values.
 */
#include "state.h"

#include <stdlib.h>
#include <string.h>

/* Enablings are small numbers; one beyond this has something wrong with it and is not kept apart. */
#define SHAPES_MAX (1u << 22)

static bool grow(struct consumer *self, dtrace_epid_t epid)
{
	size_t n = self->nshapes ? self->nshapes : 16;
	struct py_shape **grown;

	if (epid < self->nshapes)
		return true;
	while (n <= epid)
		n *= 2;
	grown = realloc(self->shapes, n * sizeof(struct py_shape *));
	if (!grown)
		return false;
	memset(grown + self->nshapes, 0, (n - self->nshapes) * sizeof(struct py_shape *));
	self->shapes = grown;
	self->nshapes = n;
	return true;
}

/* A value, if the record has one. */
static void add_item(struct py_shape *s, const dtrace_recdesc_t *rec, const dtrace_recdesc_t *next)
{
	dtrace_reckind_t k = { .dtrk_kind = DTRACE_DATA_NONE, .dtrk_size = rec->dtrd_size };
	struct py_item *item = &s->items[s->nitems];

	*item = (struct py_item){
		.rec = rec,
		.next = next,
		.memory = rec->dtrd_action == DTRACEACT_TRACEMEM,
	};
	item->guessed = !py_engine.rec_kind || py_engine.rec_kind(rec, &k) < 0;
	if (item->guessed && rec->dtrd_size == 0)
		return;
	item->kind = item->memory ? DTRACE_DATA_BYTES : k.dtrk_kind;
	item->name = k.dtrk_name;
	item->size = k.dtrk_size <= rec->dtrd_size ? k.dtrk_size : rec->dtrd_size;
	if (item->memory || item->guessed || item->kind != DTRACE_DATA_NONE)
		s->nitems++;
}

static void add_record(struct py_shape *s, const dtrace_recdesc_t *rec, const dtrace_recdesc_t *next)
{
	switch (py_way_of(rec)) {
	case PY_WAY_PRINT:
		s->prints = true;
		s->plain = false;
		if (rec->dtrd_action == DTRACEACT_PRINTF)
			add_item(s, rec, next);
		break;
	case PY_WAY_DATUM: add_item(s, rec, next); break;
	case PY_WAY_EXIT: s->exit = rec; break;
	default:
		if (rec->dtrd_action != DTRACEACT_TRACEMEM_DYNSIZE)
			s->plain = false; /* an action of the library's */
	}
}

static void shape_free(struct py_shape *s)
{
	if (!s)
		return;
	Py_XDECREF(s->type);
	if (s->gathered)
		py_gathered_free(s->gathered);
	free(s->items);
	free(s);
}

static struct py_shape *shape_new(const dtrace_eprobedesc_t *e)
{
	struct py_shape *s = calloc(1, sizeof(*s));
	int n = e->dtepd_nrecs;

	if (!s)
		return NULL;
	s->items = calloc((size_t)n + 1, sizeof(*s->items));
	if (!s->items) {
		free(s);
		return NULL;
	}
	s->epid = e->dtepd_epid;
	s->recs = e->dtepd_rec;
	s->nrecs = n;
	s->plain = true;
	for (int i = 0; i < n; i++)
		add_record(s, &e->dtepd_rec[i], i + 1 < n ? &e->dtepd_rec[i + 1] : NULL);
	return s;
}

struct py_shape *py_shape_of(struct consumer *self, const dtrace_probedata_t *data)
{
	const dtrace_eprobedesc_t *e = data->dtpda_edesc;
	dtrace_epid_t epid = e->dtepd_epid < SHAPES_MAX ? e->dtepd_epid : 0;

	if (!grow(self, epid))
		return NULL;
	if (!self->shapes[epid])
		self->shapes[epid] = shape_new(e);
	return self->shapes[epid];
}

void py_shapes_clear(struct consumer *self)
{
	for (size_t i = 0; i < self->nshapes; i++)
		shape_free(self->shapes[i]);
	free(self->shapes);
	self->shapes = NULL;
	self->nshapes = 0;
}

static PyObject *expression(const struct py_item *item)
{
	return item->name ? py_text(item->name, strlen(item->name)) : Py_NewRef(Py_None);
}

static PyObject *expressions(const struct py_shape *s)
{
	PyObject *t = PyTuple_New(s->nitems);

	for (int i = 0; t && i < s->nitems; i++) {
		PyObject *text = expression(&s->items[i]);

		if (!text) {
			Py_DECREF(t);
			return NULL;
		}
		PY_TUPLE_SET(t, i, text);
	}
	return t;
}

PyObject *py_shape_facts(struct consumer *self, const struct py_shape *s)
{
	dtrace_enabling_t e = { .dten_probes = "" };

	if (self->h && py_engine.enabling && py_engine.enabling(self->h, s->epid, &e) < 0)
		e = (dtrace_enabling_t){ .dten_probes = "" };
	return Py_BuildValue("INiN", (unsigned int)s->epid,
			     py_text(e.dten_probes, strlen(e.dten_probes)), e.dten_line,
			     expressions(s));
}
