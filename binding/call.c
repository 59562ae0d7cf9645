/* SPDX-License-Identifier: Apache-2.0 */
/*
 * call.c - entering and leaving the library: the consumer's lock and the GIL.
 *
 * A handle takes one call at a time, so each consumer has a lock.  It is held across callbacks; the thread that
 * holds it may call some methods again from inside them.  Nothing waits for the lock with the GIL held, and
 * nothing waits for the GIL that could not get it: so there is no order to deadlock on.
 */
#include "state.h"

#include <string.h>
#include <unistd.h>

/* After how many callbacks others get the GIL and signals are looked at, where the callbacks are such that the
 * interpreter does not do so itself (builtins). */
#define YIELD_EVERY 1024

bool py_nested(struct consumer *self)
{
	return atomic_load_explicit(&self->owner, memory_order_relaxed) ==
	       PyThread_get_thread_ident();
}

static bool usable(struct consumer *self)
{
	if (!self->h || self->close_later)
		return py_raise_text(self->st, "the consumer is closed");
	return true;
}

static bool nesting_fits(struct consumer *self, const char *method, enum py_nesting nesting)
{
	struct py_call *call = self->call;

	if (nesting == PY_NESTED)
		return true;
	if (nesting == PY_RECORD && call && !call->outer && strcmp(call->name, "consume") == 0)
		return true;
	return py_raise_text(self->st, "%s() cannot be called from inside a callback of %s()",
			     method, call ? call->name : method);
}

/* Wait in slices, so that signals are seen. */
static bool wait_for_lock(struct consumer *self)
{
	for (;;) {
		PyLockStatus got;

		Py_BEGIN_ALLOW_THREADS got = PyThread_acquire_lock_timed(self->lock, 100 * 1000, 1);
		Py_END_ALLOW_THREADS if (got == PY_LOCK_ACQUIRED) return true;
		if (PyErr_CheckSignals() < 0)
			return false;
	}
}

static bool belongs_to_another(struct consumer *self)
{
	return py_raise_text(self->st, "the consumer belongs to another process (%d)",
			     (int)self->pid);
}

bool py_lock(struct consumer *self, const char *method, enum py_nesting nesting)
{
	if (self->h && self->pid != getpid())
		return belongs_to_another(self);
	if (py_nested(self))
		return usable(self) && nesting_fits(self, method, nesting);
	if (!PyThread_acquire_lock(self->lock, NOWAIT_LOCK) && !wait_for_lock(self))
		return false;
	atomic_store_explicit(&self->owner, PyThread_get_thread_ident(), memory_order_relaxed);
	if (usable(self))
		return true;
	py_unlock(self);
	return false;
}

void py_unlock(struct consumer *self)
{
	if (self->call) /* taken further out */
		return;
	atomic_store_explicit(&self->owner, 0, memory_order_relaxed);
	PyThread_release_lock(self->lock);
}

void py_call_begin(struct py_call *call, struct consumer *self, const char *name, PyObject *callback)
{
	*call = (struct py_call){
		.self = self,
		.outer = self->call,
		.name = name,
		.callback = callback,
	};
	self->call = call;
	call->released = PyEval_SaveThread();
}

void py_call_end(struct py_call *call)
{
	if (call->released)
		PyEval_RestoreThread(call->released);
	call->released = NULL;
	Py_CLEAR(call->probe);
	call->self->call = call->outer;
}

bool py_call_gil(struct py_call *call)
{
	if (call->released) {
		PyEval_RestoreThread(call->released);
		call->released = NULL;
	}
	/* What a callback raised at the end of a firing could not be told to the library there. */
	if (PyErr_Occurred())
		return false;
	if (call->self->foreign) /* the callback forked, and here is the child */
		return belongs_to_another(call->self);
	if (++call->count % YIELD_EVERY)
		return true;
	Py_BEGIN_ALLOW_THREADS Py_END_ALLOW_THREADS return PyErr_CheckSignals() == 0;
}

void py_close(struct consumer *self)
{
	dtrace_hdl_t *h = self->h;

	py_command_closing(self);
	self->h = NULL;
	/* A handle that was in use as the process forked may be in any state. */
	if (!h || (self->pid != getpid() && (!py_engine.fork_safe || self->call)))
		return;
	Py_BEGIN_ALLOW_THREADS py_engine.close(h);
	Py_END_ALLOW_THREADS
}

static int stop_now(struct consumer *self)
{
	struct py_call call;
	int rc;

	py_call_begin(&call, self, "stop", NULL);
	rc = py_engine.stop(self->h);
	py_call_end(&call);
	return rc;
}

static int settle(struct consumer *self)
{
	int rc = 0;

	if (self->stop_later && stop_now(self) < 0) {
		py_raise(self);
		rc = -1;
	}
	if (self->close_later)
		py_close(self);
	self->stop_later = self->close_later = false;
	return rc;
}

int py_call_settle(struct consumer *self)
{
	int rc;

	if (self->call || (!self->stop_later && !self->close_later))
		return 0;
#if PY_VERSION_HEX >= 0x030c0000
	PyObject *first = PyErr_GetRaisedException();

	rc = settle(self);
	if (first)
		PyErr_SetRaisedException(first);
#else
	PyObject *type, *value, *traceback;

	PyErr_Fetch(&type, &value, &traceback);
	rc = settle(self);
	if (type)
		PyErr_Restore(type, value, traceback);
#endif
	return rc;
}

PyObject *py_finish(struct consumer *self, bool ok)
{
	if (py_call_settle(self) < 0 || PyErr_Occurred())
		ok = false;
	py_unlock(self);
	return ok ? Py_NewRef(Py_None) : NULL;
}
