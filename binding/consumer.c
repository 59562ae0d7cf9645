/* SPDX-License-Identifier: Apache-2.0 */
/*
 * consumer.c - the type Consumer: a libdtrace handle as a Python object.
 *
 * Each method takes the consumer's lock, calls the library with the GIL released where that may take time, and
 * turns a failure into an exception.  sleep() alone waits without the lock, on a duplicate of the poll
 * descriptor, so that other threads can stop or close the consumer meanwhile.
 */
#include "state.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <math.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "docstrings.h"

/* ---- life --------------------------------------------------------------------------------------- */

/* libdtrace leaves the sizes of buffers to its consumers; an engine that has sizes of its own knows better. */
static int default_size(dtrace_hdl_t *h, const char *option)
{
	dtrace_optval_t v = DTRACEOPT_UNSET;

	if (py_engine.getopt(h, option, &v) == 0 && v != DTRACEOPT_UNSET && v != 0)
		return 0;
	return py_engine.setopt(h, option, "4m");
}

/* What every consumer wants, before anybody else sets options. */
static int set_up(struct consumer *self)
{
	dtrace_hdl_t *h = self->h;

	if (default_size(h, "bufsize") < 0 || default_size(h, "aggsize") < 0 ||
	    py_engine.handle_err(h, py_on_error, self) < 0 ||
	    py_engine.handle_drop(h, py_on_drop, self) < 0 ||
	    py_engine.handle_buffered(h, py_on_buffered, self) < 0) {
		py_raise(self);
		return -1;
	}
	if (py_engine.buffered)
		return 0;
	self->memfile = open_memstream(&self->mem, &self->memlen);
	if (!self->memfile) {
		PyErr_NoMemory();
		return -1;
	}
	return 0;
}

struct py_registry *py_registry_new(void)
{
	struct py_registry *r = calloc(1, sizeof(*r));

	if (r)
		r->lock = PyThread_allocate_lock();
	if (!r || !r->lock) {
		free(r);
		PyErr_NoMemory();
		return NULL;
	}
	atomic_init(&r->refs, 1);
	return r;
}

void py_registry_unref(struct py_registry *r)
{
	if (atomic_fetch_sub(&r->refs, 1) != 1)
		return;
	PyThread_free_lock(r->lock);
	free(r);
}

static void register_consumer(struct consumer *self)
{
	struct py_registry *r = self->registry = self->st->registry;

	atomic_fetch_add(&r->refs, 1);
	PyThread_acquire_lock(r->lock, WAIT_LOCK);
	self->next = r->consumers;
	self->at = &r->consumers;
	if (self->next)
		self->next->at = &self->next;
	r->consumers = self;
	PyThread_release_lock(r->lock);
}

static void unregister_consumer(struct consumer *self)
{
	struct py_registry *r = self->registry;

	if (!r)
		return;
	PyThread_acquire_lock(r->lock, WAIT_LOCK);
	*self->at = self->next;
	if (self->next)
		self->next->at = self->at;
	PyThread_release_lock(r->lock);
	self->registry = NULL;
	py_registry_unref(r);
}

void py_consumers_forked(struct py_state *st)
{
	pid_t pid = getpid();

#ifdef Py_GIL_DISABLED
	/* a thread that is no more may have had the old one */
	st->registry->lock = PyThread_allocate_lock();
#endif
	for (struct consumer *c = st->registry->consumers; c; c = c->next) {
		if (c->pid == pid || c->foreign)
			continue;
		c->foreign = true;
		if (c->h && py_engine.forked)
			py_engine.forked(c->h);
	}
}

static int open_handle(struct consumer *self)
{
	dtrace_hdl_t *h;
	int err = 0;

	Py_BEGIN_ALLOW_THREADS h = py_engine.open(DTRACE_VERSION, 0, &err);
	Py_END_ALLOW_THREADS if (!h)
	{
		py_raise_open(self->st, err);
		return -1;
	}
	self->h = h;
	self->pid = getpid();
	register_consumer(self);
	return set_up(self);
}

static bool callable_or_none(PyObject *o, const char *name, PyObject **out)
{
	if (!o || o == Py_None)
		return true;
	if (!PyCallable_Check(o)) {
		PyErr_Format(PyExc_TypeError, "%s must be callable or None", name);
		return false;
	}
	Py_INCREF(o);
	*out = o;
	return true;
}

static PyObject *Consumer_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
	static char *keywords[] = { (char *)"on_drop", (char *)"on_error", NULL };
	PyObject *on_drop = NULL, *on_error = NULL;
	allocfunc alloc = (allocfunc)PyType_GetSlot(type, Py_tp_alloc);
	struct consumer *self;

	if (!PyArg_ParseTupleAndKeywords(args, kwargs, "|$OO:Consumer", keywords, &on_drop, &on_error))
		return NULL;
	self = (struct consumer *)alloc(type, 0);
	if (!self)
		return NULL;
	self->st = PyType_GetModuleState(type);
	self->module = Py_XNewRef(PyType_GetModule(type));
	self->lock = PyThread_allocate_lock();
	if (!self->lock)
		PyErr_NoMemory();
	if (!self->lock || !callable_or_none(on_drop, "on_drop", &self->on_drop) ||
	    !callable_or_none(on_error, "on_error", &self->on_error) || open_handle(self) < 0) {
		Py_DECREF(self);
		return NULL;
	}
	return (PyObject *)self;
}

static int Consumer_traverse(PyObject *o, visitproc visit, void *arg)
{
	struct consumer *self = (struct consumer *)o;

	Py_VISIT(Py_TYPE(o));
	Py_VISIT(self->on_drop);
	Py_VISIT(self->on_error);
	Py_VISIT(self->events);
	return py_command_traverse(self, visit, arg);
}

static int Consumer_clear(PyObject *o)
{
	struct consumer *self = (struct consumer *)o;

	Py_CLEAR(self->on_drop);
	Py_CLEAR(self->on_error);
	Py_CLEAR(self->events);
	py_command_clear(self);
	return 0;
}

static void Consumer_dealloc(PyObject *o)
{
	struct consumer *self = (struct consumer *)o;
	PyTypeObject *type = Py_TYPE(o);
	freefunc release = (freefunc)PyType_GetSlot(type, Py_tp_free);
	PyObject *module = self->module;

	PyObject_GC_UnTrack(o);
	unregister_consumer(self);
	py_close(self);
	Consumer_clear(o);
	py_probes_clear(self);
	py_shapes_clear(self);
	py_command_free(self);
	if (self->memfile)
		fclose(self->memfile);
	free(self->mem);
	free(self->text);
	if (self->lock)
		PyThread_free_lock(self->lock);
	Py_XDECREF(module);
	release(o);
	Py_DECREF(type);
}

static PyObject *Consumer_close(PyObject *o, PyObject *unused)
{
	struct consumer *self = (struct consumer *)o;

	if (!self->h || self->close_later)
		Py_RETURN_NONE;
	if (self->pid != getpid()) {
		py_close(self);
		Py_RETURN_NONE;
	}
	if (!py_lock(self, "close", PY_NESTED)) {
		/* Another thread was first: all is as wanted. */
		if (!self->h)
			PyErr_Clear();
		return PyErr_Occurred() ? NULL : Py_NewRef(Py_None);
	}
	if (self->call) {
		self->close_later = true;
		Py_RETURN_NONE;
	}
	if (py_engine.wakeup)
		py_engine.wakeup(self->h);
	py_close(self);
	py_unlock(self);
	Py_RETURN_NONE;
}

/* ---- methods ------------------------------------------------------------------------------------------ */

/* $1, $2 ...: argv[1] on; argv[0] is empty.  NULL with an exception, or when there are none. */
static char **macro_args(PyObject *args, Py_ssize_t *n)
{
	char **argv;

	*n = args ? PySequence_Size(args) : 0;
	if (*n > 0 && PyUnicode_Check(args))
		PyErr_SetString(PyExc_TypeError, "args must be a sequence of str, not a str");
	if (*n <= 0 || PyErr_Occurred())
		return NULL;
	argv = calloc((size_t)*n + 2, sizeof(*argv));
	if (!argv) {
		PyErr_NoMemory();
		return NULL;
	}
	argv[0] = (char *)"";
	for (Py_ssize_t i = 0; i < *n; i++) {
		_cleanup_pyref_ PyObject *item = PySequence_GetItem(args, i);
		const char *s = item ? PyUnicode_AsUTF8AndSize(item, NULL) : NULL;

		argv[i + 1] = s ? strdup(s) : NULL;
		if (!argv[i + 1]) {
			if (!PyErr_Occurred())
				PyErr_NoMemory();
			break;
		}
	}
	return argv;
}

static void macro_args_free(char **argv)
{
	for (size_t i = 1; argv && argv[i]; i++)
		free(argv[i]);
	free(argv);
}

static bool compile(struct consumer *self, const char *program, int argc, char **argv)
{
	struct py_call call;
	dtrace_prog_t *prog;
	int rc = -1;

	py_call_begin(&call, self, "strcompile", NULL);
	prog = py_engine.strcompile(self->h, program, DTRACE_PROBESPEC_NAME, 0, argc, argv);
	if (prog)
		rc = py_engine.exec(self->h, prog, NULL);
	py_call_end(&call);
	if (!prog)
		return py_raise_compile(self);
	return rc == 0 ? true : py_raise(self) != NULL;
}

static PyObject *Consumer_strcompile(PyObject *o, PyObject *pyargs, PyObject *kwargs)
{
	static char *keywords[] = { (char *)"program", (char *)"args", NULL };
	struct consumer *self = (struct consumer *)o;
	const char *program;
	PyObject *args = NULL;
	char **argv;
	Py_ssize_t n;
	bool ok;

	if (!PyArg_ParseTupleAndKeywords(pyargs, kwargs, "s|O:strcompile", keywords, &program, &args))
		return NULL;
	argv = macro_args(args, &n);
	if (PyErr_Occurred() || !py_lock(self, "strcompile", PY_OUTER)) {
		macro_args_free(argv);
		return NULL;
	}
	ok = compile(self, program, argv ? (int)n + 1 : 0, argv);
	macro_args_free(argv);
	return py_finish(self, ok);
}

/* The text the library gets: None and True set an option that takes no value; numbers are written out. */
static PyObject *option_text(PyObject *value)
{
	double d;

	if (!value || value == Py_None || value == Py_True)
		return Py_NewRef(Py_None);
	if (value == Py_False)
		return PyUnicode_FromString("false");
	if (PyUnicode_Check(value))
		return Py_NewRef(value);
	if (PyLong_Check(value))
		return PyNumber_ToBase(value, 10);
	if (!PyFloat_Check(value)) {
		PyErr_Format(PyExc_TypeError,
			     "an option's value must be str, int, float, bool or None, not %R",
			     (PyObject *)Py_TYPE(value));
		return NULL;
	}
	d = PyFloat_AsDouble(value);
	if (isfinite(d) && d == floor(d)) {
		_cleanup_pyref_ PyObject *whole = PyLong_FromDouble(d);

		return whole ? PyNumber_ToBase(whole, 10) : NULL;
	}
	return PyObject_Repr(value);
}

static PyObject *Consumer_setopt(PyObject *o, PyObject *args, PyObject *kwargs)
{
	static char *keywords[] = { (char *)"option", (char *)"value", NULL };
	struct consumer *self = (struct consumer *)o;
	_cleanup_pyref_ PyObject *text = NULL;
	PyObject *value = NULL;
	const char *option, *s = NULL;

	if (!PyArg_ParseTupleAndKeywords(args, kwargs, "s|O:setopt", keywords, &option, &value))
		return NULL;
	text = option_text(value);
	if (!text || (text != Py_None && !(s = PyUnicode_AsUTF8AndSize(text, NULL))))
		return NULL;
	if (!py_lock(self, "setopt", PY_NESTED))
		return NULL;
	return py_finish(self, py_engine.setopt(self->h, option, s) == 0 || py_raise(self));
}

static PyObject *Consumer_go(PyObject *o, PyObject *unused)
{
	struct consumer *self = (struct consumer *)o;
	struct py_call call;
	int rc;

	if (!py_lock(self, "go", PY_OUTER))
		return NULL;
	py_call_begin(&call, self, "go", NULL);
	rc = py_engine.go(self->h);
	py_call_end(&call);
	return py_finish(self, rc == 0 || py_raise_go(self));
}

static PyObject *Consumer_stop(PyObject *o, PyObject *unused)
{
	struct consumer *self = (struct consumer *)o;
	struct py_call call;
	int rc;

	if (!py_lock(self, "stop", PY_NESTED))
		return NULL;
	if (self->call) {
		self->stop_later = true;
		Py_RETURN_NONE;
	}
	py_call_begin(&call, self, "stop", NULL);
	rc = py_engine.stop(self->h);
	py_call_end(&call);
	return py_finish(self, rc == 0 || py_raise(self));
}

static bool check_callback(PyObject *callback)
{
	if (PyCallable_Check(callback))
		return true;
	PyErr_Format(PyExc_TypeError, "callback must be callable, not %R",
		     (PyObject *)Py_TYPE(callback));
	return false;
}

static PyObject *Consumer_consume(PyObject *o, PyObject *callback)
{
	struct consumer *self = (struct consumer *)o;
	struct py_call call;
	dtrace_workstatus_t rc;
	_cleanup_pyref_ PyObject *none = NULL;

	if (!check_callback(callback) || !py_lock(self, "consume", PY_OUTER))
		return NULL;
	self->textlen = 0;
	py_call_begin(&call, self, "consume", callback);
	rc = py_engine.work(self->h, self->memfile, py_on_probe, py_on_record, &call);
	py_call_end(&call);
	none = py_finish(self, rc != DTRACE_WORKSTATUS_ERROR || py_raise(self));
	return none ? PyBool_FromLong(rc == DTRACE_WORKSTATUS_DONE) : NULL;
}

static bool is_quiet(struct consumer *self)
{
	dtrace_optval_t v = DTRACEOPT_UNSET;

	return py_engine.getopt(self->h, "quiet", &v) == 0 && v != DTRACEOPT_UNSET;
}

static dtrace_workstatus_t write_pass(struct consumer *self, struct py_stream *stream)
{
	struct py_call call;
	dtrace_workstatus_t rc;

	py_call_begin(&call, self, "write", NULL);
	call.stream = stream;
	stream->call = &call;
	stream->quiet = is_quiet(self);
	rc = py_engine.work(self->h, stream->fp, py_on_probe, py_on_written, &call);
	py_stream_close(stream);
	py_call_end(&call);
	if (stream->error && !PyErr_Occurred()) {
		errno = stream->error;
		PyErr_SetFromErrno(PyExc_OSError);
	}
	return rc;
}

static PyObject *Consumer_write(PyObject *o, PyObject *file)
{
	struct consumer *self = (struct consumer *)o;
	_cleanup_pyref_ PyObject *none = NULL;
	struct py_stream stream;
	dtrace_workstatus_t rc;

	if (!py_stream_open(&stream, file))
		return NULL;
	if (!py_lock(self, "write", PY_OUTER)) {
		py_stream_close(&stream);
		return NULL;
	}
	rc = write_pass(self, &stream);
	none = py_finish(self, rc != DTRACE_WORKSTATUS_ERROR || py_raise(self));
	return none ? PyBool_FromLong(rc == DTRACE_WORKSTATUS_DONE) : NULL;
}

static PyObject *Consumer_events(PyObject *o, PyObject *unused)
{
	struct consumer *self = (struct consumer *)o;
	_cleanup_pyref_ PyObject *none = NULL, *events = NULL;

	if (!py_lock(self, "events", PY_OUTER))
		return NULL;
	events = py_events(self);
	none = py_finish(self, events);
	return none ? Py_NewRef(events) : NULL;
}

static PyObject *Consumer_collect(PyObject *o, PyObject *unused)
{
	struct consumer *self = (struct consumer *)o;
	_cleanup_pyref_ PyObject *none = NULL;
	dtrace_workstatus_t rc;
	struct py_call call;

	if (!py_lock(self, "collect", PY_OUTER))
		return NULL;
	py_call_begin(&call, self, "collect", NULL);
	rc = py_engine.work(self->h, self->memfile, py_on_collected, py_on_passed, &call);
	py_call_end(&call);
	none = py_finish(self, rc != DTRACE_WORKSTATUS_ERROR || py_raise(self));
	return none ? PyBool_FromLong(rc == DTRACE_WORKSTATUS_DONE) : NULL;
}

static PyObject *Consumer_collected(PyObject *o, PyObject *unused)
{
	struct consumer *self = (struct consumer *)o;
	_cleanup_pyref_ PyObject *none = NULL, *list = NULL;

	if (!py_lock(self, "collected", PY_OUTER))
		return NULL;
	list = py_collected(self);
	none = py_finish(self, list);
	return none ? Py_NewRef(list) : NULL;
}

static PyObject *Consumer_aggregations(PyObject *o, PyObject *args, PyObject *kwargs)
{
	static char *keywords[] = { (char *)"remove", NULL };
	struct consumer *self = (struct consumer *)o;
	_cleanup_pyref_ PyObject *none = NULL, *list = NULL;
	int remove = 0;

	if (!PyArg_ParseTupleAndKeywords(args, kwargs, "|p:aggregations", keywords, &remove) ||
	    !py_lock(self, "aggregations", PY_OUTER))
		return NULL;
	list = py_aggregations(self, remove);
	none = py_finish(self, list);
	return none ? Py_NewRef(list) : NULL;
}

static PyObject *Consumer_aggwalk(PyObject *o, PyObject *callback)
{
	struct consumer *self = (struct consumer *)o;
	struct py_call call;
	int rc;

	if (!check_callback(callback) || !py_lock(self, "aggwalk", PY_RECORD))
		return NULL;
	py_call_begin(&call, self, "aggwalk", callback);
	rc = py_engine.aggregate_snap(self->h);
	if (rc == 0)
		rc = py_engine.aggregate_walk(self->h, py_on_aggregate, &call);
	py_call_end(&call);
	return py_finish(self, rc == 0 || py_raise(self));
}

/* The library zeroes what it has read, so what the kernel has counted up to now is read first. */
static PyObject *Consumer_aggclear(PyObject *o, PyObject *unused)
{
	struct consumer *self = (struct consumer *)o;
	struct py_call call;
	int rc;

	if (!py_lock(self, "aggclear", PY_RECORD))
		return NULL;
	py_call_begin(&call, self, "aggclear", NULL);
	rc = py_engine.aggregate_snap(self->h);
	if (rc == 0)
		py_engine.aggregate_clear(self->h);
	py_call_end(&call);
	return py_finish(self, rc == 0 || py_raise(self));
}

static PyObject *Consumer_aggmin(PyObject *o, PyObject *unused)
{
	return PyLong_FromLongLong(INT64_MIN);
}

static PyObject *Consumer_aggmax(PyObject *o, PyObject *unused)
{
	return PyLong_FromLongLong(INT64_MAX);
}

static PyObject *Consumer_version(PyObject *o, PyObject *unused)
{
	return PyUnicode_FromString(py_engine.d_version());
}

static PyObject *Consumer_fileno(PyObject *o, PyObject *unused)
{
	struct consumer *self = (struct consumer *)o;
	int fd;

	if (!py_lock(self, "fileno", PY_NESTED))
		return NULL;
	fd = py_engine.pollfd ? py_engine.pollfd(self->h) : -1;
	if (fd < 0)
		py_raise_text(self->st,
			      py_engine.pollfd ? "nothing to poll before go()" :
						 "the %s engine has no descriptor to poll",
			      py_engine.name);
	py_unlock(self);
	return fd < 0 ? NULL : PyLong_FromLong(fd);
}

/* ---- sleep ----------------------------------------------------------------------------------------------- */

#define NSEC INT64_C(1000000000)
/* How long a wait lasts at most before the world is looked at again: another thread's close() may have taken away
 * what would have woken us. */
#define SLICE (NSEC / 5)

static int64_t now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * NSEC + ts.tv_nsec;
}

/* INT64_MAX for None; false with an exception. */
static bool deadline_of(PyObject *timeout, int64_t *deadline)
{
	double seconds;

	*deadline = INT64_MAX;
	if (timeout == Py_None)
		return true;
	seconds = PyFloat_AsDouble(timeout);
	if (seconds == -1 && PyErr_Occurred())
		return false;
	if (isnan(seconds) || seconds < 0) {
		PyErr_SetString(PyExc_ValueError, "timeout must not be negative");
		return false;
	}
	if (seconds < 1e9)
		*deadline = now() + (int64_t)(seconds * (double)NSEC);
	return true;
}

/* Under the lock: when work is due and, as our own descriptor, what tells that it is due earlier. */
static bool prepare(struct consumer *self, int64_t *due, int *fd)
{
	bool ok = true;

	if (!py_lock(self, "sleep", PY_OUTER))
		return false;
	*fd = py_engine.pollfd(self->h);
	*due = *fd >= 0 && py_engine.work_due ? py_engine.work_due(self->h) : 0;
	if (*fd < 0)
		ok = py_raise_text(self->st, "nothing to wait for before go()");
	else if ((*fd = fcntl(*fd, F_DUPFD_CLOEXEC, 0)) < 0)
		ok = PyErr_SetFromErrno(PyExc_OSError);
	py_unlock(self);
	return ok;
}

/* 1: there is work, 0: not yet, -1: a signal's handler raised. */
static int wait_slice(int fd, int64_t ns)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };
	int rc, ms = (int)((ns + 999999) / 1000000);

	Py_BEGIN_ALLOW_THREADS rc = poll(&p, 1, ms);
	Py_END_ALLOW_THREADS close(fd);
	if (rc < 0 && PyErr_CheckSignals() < 0)
		return -1;
	return rc > 0;
}

static PyObject *sleep_polling(struct consumer *self, int64_t deadline)
{
	int64_t due_at = INT64_MAX;

	for (bool first = true;; first = false) {
		int64_t due, t = now(), until;
		int fd, rc;

		if (!prepare(self, &due, &fd))
			return NULL;
		/* Once a rate has passed there is work, even if another thread has done it meanwhile. */
		if (due < INT64_MAX - t && t + due < due_at)
			due_at = t + due;
		if (t >= due_at || (t >= deadline && !first)) {
			close(fd);
			return PyBool_FromLong(t >= due_at);
		}
		until = due_at < deadline ? due_at : deadline;
		until = until > t ? until - t : 0;
		rc = wait_slice(fd, until < SLICE ? until : SLICE);
		if (rc)
			return rc < 0 ? NULL : PyBool_FromLong(1);
	}
}

/* The classic libdtrace: dtrace_sleep() knows the rates and cannot be told a timeout. */
static PyObject *sleep_classic(struct consumer *self, int64_t deadline)
{
	int64_t t = now();
	struct py_call call;

	if (!py_lock(self, "sleep", PY_OUTER))
		return NULL;
	py_call_begin(&call, self, "sleep", NULL);
	if (deadline == INT64_MAX || deadline - t > NSEC) {
		py_engine.sleep(self->h);
	} else if (deadline > t) {
		struct timespec ts = { (time_t)((deadline - t) / NSEC),
				       (long)((deadline - t) % NSEC) };

		nanosleep(&ts, NULL);
	}
	py_call_end(&call);
	py_unlock(self);
	return PyErr_CheckSignals() < 0 ? NULL : PyBool_FromLong(1);
}

static PyObject *Consumer_sleep(PyObject *o, PyObject *args, PyObject *kwargs)
{
	static char *keywords[] = { (char *)"timeout", NULL };
	struct consumer *self = (struct consumer *)o;
	PyObject *timeout = Py_None;
	int64_t deadline;

	if (!PyArg_ParseTupleAndKeywords(args, kwargs, "|O:sleep", keywords, &timeout) ||
	    !deadline_of(timeout, &deadline))
		return NULL;
	return py_engine.pollfd ? sleep_polling(self, deadline) : sleep_classic(self, deadline);
}

static PyObject *Consumer_wakeup(PyObject *o, PyObject *unused)
{
	struct consumer *self = (struct consumer *)o;

	if (!py_lock(self, "wakeup", PY_NESTED))
		return NULL;
	if (py_engine.wakeup)
		py_engine.wakeup(self->h);
	py_unlock(self);
	Py_RETURN_NONE;
}

static PyObject *Consumer_due(PyObject *o, PyObject *unused)
{
	struct consumer *self = (struct consumer *)o;
	double seconds = 0;

	if (!py_lock(self, "due", PY_NESTED))
		return NULL;
	if (py_engine.work_due)
		seconds = (double)py_engine.work_due(self->h) / (double)NSEC;
	py_unlock(self);
	return PyFloat_FromDouble(seconds);
}

/* ---- attributes -------------------------------------------------------------------------------------------- */

static PyObject *Consumer_status(PyObject *o, PyObject *unused)
{
	struct consumer *self = (struct consumer *)o;
	_cleanup_pyref_ PyObject *none = NULL;
	struct py_call call;
	int rc;

	if (!py_lock(self, "status", PY_OUTER))
		return NULL;
	py_call_begin(&call, self, "status", NULL);
	rc = py_engine.status(self->h);
	py_call_end(&call);
	none = py_finish(self, rc != DTRACE_STATUS_ERROR || py_raise(self));
	return none ? PyLong_FromLong(rc) : NULL;
}

static PyObject *get_closed(PyObject *o, void *unused)
{
	struct consumer *self = (struct consumer *)o;

	return PyBool_FromLong(!self->h || self->close_later);
}

static PyObject *get_drops(PyObject *o, void *unused)
{
	return PyLong_FromUnsignedLongLong(((struct consumer *)o)->drops);
}

static PyObject *get_faults(PyObject *o, void *unused)
{
	return PyLong_FromUnsignedLongLong(((struct consumer *)o)->faults);
}

static PyObject *get_exit_status(PyObject *o, void *unused)
{
	struct consumer *self = (struct consumer *)o;

	return self->exited ? PyLong_FromLong(self->exit_status) : Py_NewRef(Py_None);
}

/* ---- the type ------------------------------------------------------------------------------------------------- */

#define METHOD(name, flags) \
	{ #name, (PyCFunction)(void (*)(void))Consumer_##name, flags, DOC_Consumer_##name }
#define GETTER(name) { #name, get_##name, NULL, DOC_Consumer_##name, NULL }

static PyMethodDef methods[] = {
	METHOD(strcompile, METH_VARARGS | METH_KEYWORDS),
	METHOD(setopt, METH_VARARGS | METH_KEYWORDS),
	METHOD(go, METH_NOARGS),
	METHOD(consume, METH_O),
	METHOD(write, METH_O),
	METHOD(events, METH_NOARGS),
	METHOD(collect, METH_NOARGS),
	METHOD(collected, METH_NOARGS),
	METHOD(aggregations, METH_VARARGS | METH_KEYWORDS),
	METHOD(due, METH_NOARGS),
	METHOD(aggwalk, METH_O),
	METHOD(aggclear, METH_NOARGS),
	METHOD(aggmin, METH_NOARGS),
	METHOD(aggmax, METH_NOARGS),
	METHOD(stop, METH_NOARGS),
	METHOD(version, METH_NOARGS),
	METHOD(close, METH_NOARGS),
	METHOD(sleep, METH_VARARGS | METH_KEYWORDS),
	METHOD(wakeup, METH_NOARGS),
	METHOD(fileno, METH_NOARGS),
	METHOD(status, METH_NOARGS),
	METHOD(compile, METH_VARARGS | METH_KEYWORDS),
	METHOD(info, METH_VARARGS),
	METHOD(enable, METH_VARARGS),
	METHOD(header, METH_VARARGS),
	METHOD(link, METH_VARARGS),
	METHOD(statements, METH_VARARGS),
	METHOD(probes, METH_VARARGS),
	METHOD(probe_info, METH_VARARGS),
	METHOD(getopt, METH_VARARGS),
	METHOD(features, METH_NOARGS),
	METHOD(create, METH_VARARGS),
	METHOD(grab, METH_VARARGS),
	METHOD(resume, METH_NOARGS),
	METHOD(ended, METH_VARARGS),
	METHOD(open_output, METH_VARARGS),
	METHOD(put, METH_VARARGS),
	METHOD(list_probes, METH_VARARGS),
	METHOD(show, METH_NOARGS),
	METHOD(show_code, METH_VARARGS),
	METHOD(show_aggregations, METH_NOARGS),
	METHOD(show_json, METH_NOARGS),
	METHOD(rows, METH_NOARGS),
	METHOD(catch_signals, METH_VARARGS),
	{ NULL, NULL, 0, NULL },
};

static PyGetSetDef getters[] = {
	GETTER(closed),
	GETTER(drops),
	GETTER(faults),
	GETTER(exit_status),
	{ "caught", py_get_caught, NULL, DOC_Consumer_caught, NULL },
	{ NULL, NULL, NULL, NULL, NULL },
};

static PyType_Slot slots[] = {
	{ Py_tp_new, (void *)Consumer_new },
	{ Py_tp_dealloc, (void *)Consumer_dealloc },
	{ Py_tp_traverse, (void *)Consumer_traverse },
	{ Py_tp_clear, (void *)Consumer_clear },
	{ Py_tp_methods, methods },
	{ Py_tp_getset, getters },
	{ Py_tp_doc, (void *)DOC_Consumer },
	{ 0, NULL },
};

static PyType_Spec spec = {
	.name = "dtrace._" PY_ENGINE_NAME ".Consumer",
	.basicsize = sizeof(struct consumer),
	.flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_IMMUTABLETYPE,
	.slots = slots,
};

PyTypeObject *py_consumer_type(PyObject *module)
{
	return (PyTypeObject *)PyType_FromModuleAndSpec(module, &spec, NULL);
}
