/* SPDX-License-Identifier: Apache-2.0 */
/*
 * event.c - firings as objects: probe, CPU, time, values.
 *
 * Record is the C half of dtrace.Event: five members, no dictionary, kept from the garbage collector (it
 * cannot be part of a cycle: all it holds is immutable).  For each enabling dtrace._events makes a class
 * from both, which has the names.  A firing whose data is all in its record is dealt with in one callback;
 * where the library has to make a text of it, the text is gathered until the firing ends.
 */
#include "state.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <structmember.h>

#include "docstrings.h"

struct record {
	PyObject_HEAD PyObject *probe;
	PyObject *values;
	PyObject *text; /* str or None */
	unsigned long long timestamp;
	int cpu;
};

/* ---- the type ----------------------------------------------------------------------------------- */

static PyObject *Record_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
	static char *keywords[] = { (char *)"probe",  (char *)"cpu",  (char *)"timestamp",
				    (char *)"values", (char *)"text", NULL };
	allocfunc alloc = (allocfunc)PyType_GetSlot(type, Py_tp_alloc);
	PyObject *probe, *values, *text = Py_None;
	unsigned long long timestamp;
	struct record *r;
	int cpu;

	if (!PyArg_ParseTupleAndKeywords(args, kwargs, "OiKO!|O:Record", keywords, &probe, &cpu,
					 &timestamp, &PyTuple_Type, &values, &text))
		return NULL;
	r = (struct record *)alloc(type, 0);
	if (!r)
		return NULL;
	r->probe = Py_NewRef(probe);
	r->cpu = cpu;
	r->timestamp = timestamp;
	r->values = Py_NewRef(values);
	r->text = Py_NewRef(text);
	return (PyObject *)r;
}

static void Record_dealloc(PyObject *o)
{
	struct record *r = (struct record *)o;
	PyTypeObject *type = Py_TYPE(o);
	freefunc release = (freefunc)PyType_GetSlot(type, Py_tp_free);

	Py_XDECREF(r->probe);
	Py_XDECREF(r->values);
	Py_XDECREF(r->text);
	release(o);
	Py_DECREF(type);
}

#define MEMBER(name, type) \
	{ #name, type, offsetof(struct record, name), READONLY, DOC_Record_##name }

static PyMemberDef members[] = {
	MEMBER(probe, T_OBJECT_EX),  MEMBER(cpu, T_INT),        MEMBER(timestamp, T_ULONGLONG),
	MEMBER(values, T_OBJECT_EX), MEMBER(text, T_OBJECT_EX), { NULL, 0, 0, 0, NULL },
};

static PyType_Slot slots[] = {
	{ Py_tp_new, (void *)Record_new },
	{ Py_tp_dealloc, (void *)Record_dealloc },
	{ Py_tp_members, members },
	{ Py_tp_doc, (void *)DOC_Record },
	{ 0, NULL },
};

static PyType_Spec spec = {
	.name = "dtrace._" PY_ENGINE_NAME ".Record",
	.basicsize = sizeof(struct record),
	.flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE | Py_TPFLAGS_IMMUTABLETYPE,
	.slots = slots,
};

PyTypeObject *py_record_type(PyObject *module)
{
	return (PyTypeObject *)PyType_FromModuleAndSpec(module, &spec, NULL);
}

/* ---- what is Python code ------------------------------------------------------------------------------ */

/* Several threads may be the first one; what one of them has found stays. */
static void keep_first(struct py_state *st, PyObject **where, PyObject *found)
{
	PyThread_acquire_lock(st->registry->lock, WAIT_LOCK);
	if (!*where) {
		*where = found;
		found = NULL;
	}
	PyThread_release_lock(st->registry->lock);
	Py_XDECREF(found);
}

int py_events_import(struct py_state *st)
{
	const struct {
		const char *name;
		PyObject **where;
	} names[] = {
		{ "Probe", &st->probe_class },
		{ "event_class", &st->event_class },
		{ "field_names", &st->field_names }, /* the last one: with it, all are there */
	};
	_cleanup_pyref_ PyObject *module = NULL;

	if (st->field_names)
		return 0;
	module = PyImport_ImportModule("dtrace._events");
	for (size_t i = 0; module && i < sizeof(names) / sizeof(names[0]); i++) {
		PyObject *found = PyObject_GetAttrString(module, names[i].name);

		if (!found)
			return -1;
		keep_first(st, names[i].where, found);
	}
	return module ? 0 : -1;
}

/* ---- values --------------------------------------------------------------------------------------- */

/* What holds nothing that the garbage collector knows is none of its business: many events would keep it busy. */
static PyObject *untracked(PyObject *tuple)
{
	Py_ssize_t n = tuple ? PyTuple_Size(tuple) : 0;

	for (Py_ssize_t i = 0; i < n; i++) {
		PyObject *v = PyTuple_GetItem(tuple, i);

		if (PyType_HasFeature(Py_TYPE(v), Py_TPFLAGS_HAVE_GC) && PyObject_GC_IsTracked(v))
			return tuple;
	}
	if (n)
		PyObject_GC_UnTrack(tuple);
	return tuple;
}

/* Events do not change: a stack is a tuple. */
static PyObject *frozen(PyObject *v)
{
	PyObject *t;

	if (!v || !PyList_Check(v))
		return v;
	t = untracked(PyList_AsTuple(v));
	Py_DECREF(v);
	return t;
}

static PyObject *value(struct consumer *self, const struct py_item *item,
		       const dtrace_probedata_t *data)
{
	size_t size = data->dtpda_edesc->dtepd_size;

	if (item->memory)
		return py_tracemem(item->rec, item->next, data->dtpda_data, size);
	return frozen(py_datum(self, item->rec, data->dtpda_data, size));
}

static PyObject *values(struct consumer *self, const struct py_shape *shape,
			const dtrace_probedata_t *data)
{
	PyObject *t = PyTuple_New(shape->nitems);

	for (int i = 0; t && i < shape->nitems; i++) {
		PyObject *v = value(self, &shape->items[i], data);

		if (!v && !PyErr_Occurred())
			v = Py_NewRef(Py_None);
		if (!v) {
			Py_DECREF(t);
			return NULL;
		}
		PY_TUPLE_SET(t, i, v);
	}
	return untracked(t);
}

/* The class that has the names of this enabling's values. */
static PyTypeObject *event_type(struct consumer *self, struct py_shape *shape)
{
	_cleanup_pyref_ PyObject *facts = NULL;

	if (shape->type)
		return (PyTypeObject *)shape->type;
	facts = py_shape_facts(self, shape);
	if (facts)
		shape->type = PyObject_CallFunction(self->st->event_class, "OO",
						    (PyObject *)self->st->record_type, facts);
	return (PyTypeObject *)shape->type;
}

static PyObject *event(struct consumer *self, struct py_shape *shape, const dtrace_probedata_t *data)
{
	PyTypeObject *type = event_type(self, shape);
	allocfunc alloc = type ? (allocfunc)PyType_GetSlot(type, Py_tp_alloc) : NULL;
	struct record *r = alloc ? (struct record *)alloc(type, 0) : NULL;

	if (!r)
		return NULL;
	r->probe = py_probe_name(self, data->dtpda_pdesc);
	r->values = r->probe ? values(self, shape, data) : NULL;
	r->text = Py_NewRef(Py_None);
	r->cpu = data->dtpda_cpu;
	r->timestamp = data->dtpda_timestamp;
	if (!r->values) {
		Py_DECREF(r);
		return NULL;
	}
	if (!PyObject_GC_IsTracked(
		    r->values)) /* classes made by Python take part, whatever their base does */
		PyObject_GC_UnTrack(r);
	return (PyObject *)r;
}

/* ---- a pass ------------------------------------------------------------------------------------------ */

static bool gathered(struct py_call *call)
{
	int rc = PyList_Append(call->self->events, call->event);

	Py_CLEAR(call->event);
	return rc == 0;
}

static int on_firing(const dtrace_probedata_t *data, void *arg)
{
	struct py_call *call = arg;
	struct py_shape *shape;

	if (!py_call_gil(call))
		return DTRACE_CONSUME_ABORT;
	Py_CLEAR(call->event);
	shape = py_shape_of(call->self, data);
	if (!shape)
		PyErr_NoMemory();
	call->event = shape ? event(call->self, shape, data) : NULL;
	if (!call->event)
		return DTRACE_CONSUME_ABORT;
	if (shape->exit)
		py_note_exit(call->self, data, shape->exit);
	if (shape->plain)
		return gathered(call) ? DTRACE_CONSUME_NEXT : DTRACE_CONSUME_ABORT;
	call->shape = shape;
	call->self->textlen = 0;
	return DTRACE_CONSUME_THIS;
}

/* What the library has printed since the firing began. */
static PyObject *printed(struct consumer *self)
{
	off_t end;

	if (!self->memfile)
		return py_text(self->text, self->textlen);
	if (fflush(self->memfile) != 0 || (end = ftello(self->memfile)) < 0 ||
	    fseeko(self->memfile, 0, SEEK_SET) < 0)
		return PyErr_NoMemory();
	return py_text(self->mem, (size_t)end);
}

static void end_of_firing(struct py_call *call)
{
	struct record *r = (struct record *)call->event;

	call->printing = false;
	if (call->shape->prints) {
		PyObject *text = printed(call->self);

		if (!text)
			return;
		Py_DECREF(r->text);
		r->text = text;
	}
	gathered(call);
}

static int on_record(const dtrace_probedata_t *data, const dtrace_recdesc_t *rec, void *arg)
{
	struct py_call *call = arg;

	if (!py_call_gil(call))
		return DTRACE_CONSUME_ABORT;
	if (!rec) {
		end_of_firing(call);
		return DTRACE_CONSUME_NEXT;
	}
	if (py_way_of(rec) != PY_WAY_PRINT)
		return DTRACE_CONSUME_NEXT;
	call->printing = true;
	return DTRACE_CONSUME_THIS;
}

/* What was read before an exception is kept for the next call. */
PyObject *py_events(struct consumer *self)
{
	struct py_call call;
	dtrace_workstatus_t rc;
	PyObject *list;

	if (!self->events)
		self->events = PyList_New(0);
	if (!self->events || py_events_import(self->st) < 0)
		return NULL;
	py_call_begin(&call, self, "events", NULL);
	call.gathering = true;
	rc = py_engine.work(self->h, self->memfile, on_firing, on_record, &call);
	py_call_end(&call);
	Py_CLEAR(call.event);
	if (rc == DTRACE_WORKSTATUS_ERROR || PyErr_Occurred())
		return py_raise(self);
	list = self->events;
	self->events = NULL;
	return Py_BuildValue("NN", list, PyBool_FromLong(rc == DTRACE_WORKSTATUS_DONE));
}
