/* SPDX-License-Identifier: Apache-2.0 */
/*
 * callback.c - what the library calls, and how it reaches Python.
 *
 * Records go to callback(probe, rec): the library formats what printf() and its kin say (we answer
 * DTRACE_CONSUME_THIS and take the text from the buffered handler, or from a memory file where that does not
 * work), all else is converted from the raw bytes.  A firing ends with rec None.  An exception makes the library
 * stop its walk and is found by the method that started it.
 */
#include "state.h"

#include <stdlib.h>
#include <string.h>

int py_notify(PyObject *callback, PyObject **args, size_t n)
{
	PyObject *r;

#if !defined(Py_LIMITED_API) || Py_LIMITED_API >= 0x030c0000
	r = PyObject_Vectorcall(callback, args + 1, n | PY_VECTORCALL_ARGUMENTS_OFFSET, NULL);
#else
	r = PyObject_CallFunctionObjArgs(callback, args[1], n > 1 ? args[2] : NULL,
					 n > 2 ? args[3] : NULL, NULL);
#endif
	if (!r)
		return -1;
	Py_DECREF(r);
	return 0;
}

/* ---- records ------------------------------------------------------------------------------------ */

/* callback(probe, rec); takes rec over, which may be NULL after a failure. */
static bool deliver(struct py_call *call, PyObject *rec)
{
	PyObject *args[3] = { NULL, call->probe, rec };
	int rc;

	if (!rec)
		return false;
	rc = py_notify(call->callback, args, 2);
	Py_DECREF(rec);
	return rc == 0;
}

/* All records of a firing come with the same dict, so what a callback does to it lasts for this firing only. */
static bool have_probe(struct py_call *call, const dtrace_probedata_t *data)
{
	if (!call->probe)
		call->probe = py_probe(call->self, data->dtpda_pdesc);
	return call->probe;
}

static bool deliver_text(struct py_call *call, const char *s, size_t n)
{
	return deliver(call, py_text(s, n));
}

/* All text since the last time; the file starts over. */
static bool flush_memfile(struct py_call *call)
{
	struct consumer *self = call->self;
	off_t end;

	if (fflush(self->memfile) != 0 || (end = ftello(self->memfile)) < 0 ||
	    fseeko(self->memfile, 0, SEEK_SET) < 0)
		return PyErr_NoMemory();
	return end == 0 || deliver_text(call, self->mem, (size_t)end);
}

bool py_flush_text(struct py_call *call)
{
	struct consumer *self = call->self;
	size_t n = self->textlen;

	if (!call->printing)
		return true;
	call->printing = false;
	if (self->memfile)
		return flush_memfile(call);
	if (n == 0)
		return true;
	self->textlen = 0;
	return deliver_text(call, self->text, n);
}

static int last(const dtrace_probedata_t *data, const dtrace_recdesc_t *rec)
{
	const dtrace_eprobedesc_t *e = data->dtpda_edesc;

	return rec + 1 >= e->dtepd_rec + e->dtepd_nrecs;
}

PyObject *py_record(struct py_call *call, const dtrace_probedata_t *data, const dtrace_recdesc_t *rec)
{
	size_t size = data->dtpda_edesc->dtepd_size;

	if (rec->dtrd_action == DTRACEACT_TRACEMEM)
		return py_tracemem(rec, last(data, rec) ? NULL : rec + 1, data->dtpda_data, size);
	return py_datum(call->self, rec, data->dtpda_data, size);
}

void py_note_exit(struct consumer *self, const dtrace_probedata_t *data, const dtrace_recdesc_t *rec)
{
	int32_t status = 0;

	if (rec->dtrd_size >= sizeof(status))
		memcpy(&status, data->dtpda_data + rec->dtrd_offset, sizeof(status));
	self->exit_status = status;
	self->exited = true;
}

enum py_way py_way_of(const dtrace_recdesc_t *rec)
{
	switch (rec->dtrd_action) {
	case DTRACEACT_DIFEXPR:
	case DTRACEACT_TRACEMEM:
	case DTRACEACT_STACK:
	case DTRACEACT_USTACK:
	case DTRACEACT_JSTACK:
	case DTRACEACT_SYM:
	case DTRACEACT_MOD:
	case DTRACEACT_USYM:
	case DTRACEACT_UMOD:
	case DTRACEACT_UADDR: return PY_WAY_DATUM;
	case DTRACEACT_EXIT: return PY_WAY_EXIT;
	case DTRACEACT_PRINTF:
	case DTRACEACT_PRINTA:
#ifdef DTRACEACT_PRINT
	case DTRACEACT_PRINT:
#endif
	case DTRACEACT_SYSTEM:
	case DTRACEACT_FREOPEN: return PY_WAY_PRINT;
	default: return PY_WAY_SKIP; /* raise(), stop() and such leave records that say nothing */
	}
}

int py_on_probe(const dtrace_probedata_t *data, void *arg)
{
	(void)data;
	(void)arg;
	return DTRACE_CONSUME_THIS;
}

static int end_of_firing(struct py_call *call)
{
	bool ok;

	Py_INCREF(Py_None);
	ok = deliver(call, Py_None);
	Py_CLEAR(call->probe);
	return ok ? DTRACE_CONSUME_NEXT : DTRACE_CONSUME_ABORT;
}

int py_on_record(const dtrace_probedata_t *data, const dtrace_recdesc_t *rec, void *arg)
{
	struct py_call *call = arg;
	enum py_way way;

	if (!py_call_gil(call) || !have_probe(call, data) || !py_flush_text(call))
		return DTRACE_CONSUME_ABORT;
	if (!rec)
		return end_of_firing(call);
	way = py_way_of(rec);
	if (way == PY_WAY_PRINT) {
		call->printing = true;
		return DTRACE_CONSUME_THIS;
	}
	if (way == PY_WAY_EXIT)
		py_note_exit(call->self, data, rec);
	if (way == PY_WAY_DATUM && !deliver(call, py_record(call, data, rec)) && PyErr_Occurred())
		return DTRACE_CONSUME_ABORT;
	return DTRACE_CONSUME_NEXT;
}

/* freopen() in the D program sends what follows elsewhere. */
static FILE *py_output(const struct py_call *call)
{
	return py_engine.output ? py_engine.output(call->self->h, call->stream->fp) :
				  call->stream->fp;
}

/* The library writes; the GIL is not needed. */
int py_on_written(const dtrace_probedata_t *data, const dtrace_recdesc_t *rec, void *arg)
{
	struct py_call *call = arg;

	if (!rec) {
		if (!call->stream->quiet)
			fputc('\n', py_output(call));
		return DTRACE_CONSUME_NEXT;
	}
	if (rec->dtrd_action != DTRACEACT_EXIT)
		return DTRACE_CONSUME_THIS;
	py_note_exit(call->self, data, rec);
	return DTRACE_CONSUME_NEXT;
}

/* ---- text ----------------------------------------------------------------------------------------- */

static bool text_append(struct consumer *self, const char *s, size_t n)
{
	if (n > self->textcap - self->textlen) {
		size_t cap = (self->textlen + n) * 2;
		char *grown = realloc(self->text, cap);

		if (!grown)
			return PyErr_NoMemory();
		self->text = grown;
		self->textcap = cap;
	}
	memcpy(self->text + self->textlen, s, n);
	self->textlen += n;
	return true;
}

/* printf() gives its text in one piece, which is handed on at once; printa() in many, which are gathered. */
int py_on_buffered(const dtrace_bufdata_t *buf, void *arg)
{
	struct consumer *self = arg;
	struct py_call *call = self->call;
	const dtrace_recdesc_t *rec = buf->dtbda_recdesc;
	const char *s = buf->dtbda_buffered;
	size_t n = strlen(s);
	bool ok;

	if (call && call->json)
		py_json_text(self->command, s, n);
	if (!call || !call->printing)
		return DTRACE_HANDLE_OK;
	if (!py_call_gil(call))
		return DTRACE_HANDLE_ABORT;
	if (!call->gathering && rec && rec->dtrd_action == DTRACEACT_PRINTF && self->textlen == 0) {
		call->printing = false;
		ok = deliver_text(call, s, n);
	} else {
		ok = text_append(self, s, n);
	}
	return ok ? DTRACE_HANDLE_OK : DTRACE_HANDLE_ABORT;
}

/* ---- aggregations ------------------------------------------------------------------------------------ */

int py_on_aggregate(const dtrace_aggdata_t *agg, void *arg)
{
	struct py_call *call = arg;
	_cleanup_pyref_ PyObject *varid = NULL, *keys = NULL, *value = NULL;

	if (!py_call_gil(call))
		return DTRACE_AGGWALK_ABORT;
	varid = PyLong_FromLongLong(agg->dtada_desc->dtagd_varid);
	keys = py_agg_keys(call->self, agg);
	value = keys ? py_agg_value(call->self, agg) : NULL;
	if (!varid || !keys || !value)
		return DTRACE_AGGWALK_ABORT;
	if (py_notify(call->callback, (PyObject *[]){ NULL, varid, keys, value }, 3) < 0)
		return DTRACE_AGGWALK_ABORT;
	return DTRACE_AGGWALK_REMOVE;
}

/* ---- drops and faults ---------------------------------------------------------------------------------- */

/* Messages end with a newline; warnings and attributes do not. */
static PyObject *line_of(const char *msg)
{
	size_t n = msg ? strlen(msg) : 0;

	while (n > 0 && msg[n - 1] == '\n')
		n--;
	return py_text(msg ? msg : "", n);
}

/* handler(event), or a warning when there is no handler.  Takes event over. */
static int report(PyObject *handler, PyObject *warning, PyObject *event)
{
	_cleanup_pyref_ PyObject *e = event, *message = NULL;
	const char *text;

	if (!e)
		return DTRACE_HANDLE_ABORT;
	if (handler) {
		PyObject *args[2] = { NULL, e };
		_cleanup_pyref_ PyObject *callee = handler;

		Py_INCREF(callee);
		return py_notify(callee, args, 1) == 0 ? DTRACE_HANDLE_OK : DTRACE_HANDLE_ABORT;
	}
	message = PyObject_GetAttrString(e, "message");
	text = message ? PyUnicode_AsUTF8AndSize(message, NULL) : NULL;
	if (!text || PyErr_WarnEx(warning, text, 2) < 0)
		return DTRACE_HANDLE_ABORT;
	return DTRACE_HANDLE_OK;
}

int py_on_drop(const dtrace_dropdata_t *d, void *arg)
{
	struct consumer *self = arg;
	struct py_call *call = self->call;
	PyObject *event;

	self->drops += d->dtdda_drops;
	if (!call)
		return DTRACE_HANDLE_OK;
	if (!py_call_gil(call) || py_errors_import(self->st) < 0)
		return DTRACE_HANDLE_ABORT;
	event = PyObject_CallFunction(self->st->drop, "NiiKK", line_of(d->dtdda_msg), d->dtdda_cpu,
				      (int)d->dtdda_kind, (unsigned long long)d->dtdda_drops,
				      (unsigned long long)d->dtdda_total);
	return report(self->on_drop, self->st->drop_warning, event);
}

int py_on_error(const dtrace_errdata_t *d, void *arg)
{
	struct consumer *self = arg;
	struct py_call *call = self->call;
	PyObject *event;

	self->faults++;
	if (!call)
		return DTRACE_HANDLE_OK;
	if (!py_call_gil(call) || py_errors_import(self->st) < 0)
		return DTRACE_HANDLE_ABORT;
	event = PyObject_CallFunction(self->st->fault, "NNiiiiK", line_of(d->dteda_msg),
				      py_probe(self, d->dteda_pdesc), d->dteda_cpu, d->dteda_action,
				      d->dteda_offset, d->dteda_fault,
				      (unsigned long long)d->dteda_addr);
	return report(self->on_error, self->st->fault_warning, event);
}
