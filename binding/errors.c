/* SPDX-License-Identifier: Apache-2.0 */
/*
 * errors.c - the library's failures as Python exceptions.
 *
 * The classes are Python code (dtrace._errors), so that they are the same for every engine, and imported at the first
 * need: a program that ends well starts without them.  Which one is raised
 * follows from what was tried: compiling gives a CompileError, go() a LoadError when the kernel's verifier left a
 * log, anything else a DTraceError.  Facts become arguments; the classes turn them into attributes.
 */
#include "state.h"

#include <string.h>

#define ERRORS "dtrace._errors"

int py_errors_import(struct py_state *st)
{
	const struct {
		const char *name;
		PyObject **where;
	} names[] = {
		{ "CompileError", &st->compile_error },
		{ "LoadError", &st->load_error },
		{ "DropWarning", &st->drop_warning },
		{ "FaultWarning", &st->fault_warning },
		{ "Diagnostic", &st->diagnostic },
		{ "make_drop", &st->drop },
		{ "Fault", &st->fault },
		{ "DTraceError", &st->error }, /* the last one: with it, all are there */
	};
	_cleanup_pyref_ PyObject *module = NULL;

	if (st->error)
		return 0;
	module = PyImport_ImportModule(ERRORS);
	if (!module)
		return -1;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		PyObject *found = PyObject_GetAttrString(module, names[i].name);

		if (!found)
			return -1;
		Py_XSETREF(*names[i].where, found);
	}
	return 0;
}

/* raise type(message, code, extra); steals message and extra, extra may be NULL. */
static void *raise_with(PyObject *type, PyObject *message, int code, PyObject *extra)
{
	_cleanup_pyref_ PyObject *exc = NULL;

	if (message && extra)
		exc = PyObject_CallFunction(type, "OiO", message, code, extra);
	else if (message)
		exc = PyObject_CallFunction(type, "Oi", message, code);
	Py_XDECREF(message);
	Py_XDECREF(extra);
	if (exc)
		PyErr_SetObject(type, exc);
	return NULL;
}

static PyObject *message_of(dtrace_hdl_t *h, int code)
{
	const char *msg = py_engine.errmsg(h, code);

	if (!msg)
		msg = "";
	return py_text(msg, strlen(msg));
}

void *py_raise(struct consumer *self)
{
	int code;

	if (PyErr_Occurred() || py_errors_import(self->st) < 0)
		return NULL;
	code = py_engine.errnum(self->h);
	return raise_with(self->st->error, message_of(self->h, code), code, NULL);
}

void *py_raise_open(struct py_state *st, int err)
{
	if (py_errors_import(st) < 0)
		return NULL;
	return raise_with(st->error, message_of(NULL, err), err, NULL);
}

static PyObject *diagnostic(struct py_state *st, const dtrace_diag_t *d)
{
	return PyObject_CallFunction(st->diagnostic, "zsiiisz", d->dtdg_tag, d->dtdg_message,
				     d->dtdg_line, d->dtdg_column, d->dtdg_length,
				     d->dtdg_text ? d->dtdg_text : "", d->dtdg_file);
}

static PyObject *diagnostics(struct consumer *self)
{
	PyObject *list = PyList_New(0);
	dtrace_diag_t d;

	if (!list || !py_engine.diag_get)
		return list;
	for (int i = 0; py_engine.diag_get(self->h, i, &d) == 0; i++) {
		_cleanup_pyref_ PyObject *item = diagnostic(self->st, &d);

		if (!item || PyList_Append(list, item) < 0) {
			Py_DECREF(list);
			return NULL;
		}
	}
	return list;
}

void *py_raise_compile(struct consumer *self)
{
	PyObject *message, *list;
	int code;

	if (PyErr_Occurred() || py_errors_import(self->st) < 0)
		return NULL;
	code = py_engine.errnum(self->h);
	message = message_of(self->h, code);
	list = diagnostics(self);
	if (!list) {
		Py_XDECREF(message);
		return NULL;
	}
	/* Not the program's fault: tracing has begun, say. */
	if (py_engine.diag_get && PyList_Size(list) == 0) {
		Py_DECREF(list);
		return raise_with(self->st->error, message, code, NULL);
	}
	return raise_with(self->st->compile_error, message, code, list);
}

void *py_raise_go(struct consumer *self)
{
	PyObject *message;
	const char *log;
	int code;

	if (PyErr_Occurred() || py_errors_import(self->st) < 0)
		return NULL;
	code = py_engine.errnum(self->h);
	message = message_of(self->h, code);
	log = py_engine.verifier_log ? py_engine.verifier_log(self->h) : NULL;
	if (!log)
		return raise_with(self->st->error, message, code, NULL);
	return raise_with(self->st->load_error, message, code, py_text(log, strlen(log)));
}

void *py_raise_text(struct py_state *st, const char *format, ...)
{
	PyObject *message;
	va_list ap;

	if (PyErr_Occurred() || py_errors_import(st) < 0)
		return NULL;
	va_start(ap, format);
	message = PyUnicode_FromFormatV(format, ap);
	va_end(ap);
	return raise_with(st->error, message, 0, NULL);
}
