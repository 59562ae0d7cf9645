/* SPDX-License-Identifier: Apache-2.0 */
/*
 * command.c - what the command line needs of a consumer beyond the classic one: programs compiled first and enabled
 * later, facts about programs and probes, processes, and signals that end the tracing.
 *
 * Output is in show.c.
 */
#include "command.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

struct py_command *py_command_of(struct consumer *self)
{
	if (!self->command) {
		self->command = calloc(1, sizeof(*self->command));
		if (!self->command)
			PyErr_NoMemory();
	}
	return self->command;
}

/* The fake engine of the tests is the one without. */
static bool lacks(struct consumer *self, bool has)
{
	return !has && !py_raise_text(self->st, "the %s engine cannot do this", py_engine.name);
}

struct py_command *py_command_enter(struct consumer *self, const char *method, bool has)
{
	struct py_command *cmd;

	if (lacks(self, has) || !py_lock(self, method, PY_OUTER))
		return NULL;
	cmd = py_command_of(self);
	if (!cmd)
		py_unlock(self);
	return cmd;
}

int py_command_traverse(struct consumer *self, visitproc visit, void *arg)
{
	if (self->command)
		Py_VISIT(self->command->on_process);
	return 0;
}

void py_command_clear(struct consumer *self)
{
	if (self->command)
		Py_CLEAR(self->command->on_process);
}

void py_command_free(struct consumer *self)
{
	struct py_command *cmd = self->command;

	if (!cmd)
		return;
	if (cmd->out)
		fclose(cmd->out);
	free(cmd->probe_text);
	free(cmd->progs);
	free(cmd->procs);
	free(cmd);
	self->command = NULL;
}

/* ---- arguments -------------------------------------------------------------------------------------------------- */

/* A sequence of str, as the operating system has them; n of them and a NULL.  NULL with an exception. */
static char **strings(PyObject *sequence, int *n)
{
	Py_ssize_t len = PySequence_Size(sequence);
	char **argv = len < 0 ? NULL : calloc((size_t)len + 1, sizeof(*argv));

	*n = 0;
	if (!argv)
		return len < 0 ? NULL : (PyErr_NoMemory(), NULL);
	for (Py_ssize_t i = 0; i < len; i++) {
		_cleanup_pyref_ PyObject *item = PySequence_GetItem(sequence, i), *bytes = NULL;

		if (!item || !PyUnicode_FSConverter(item, &bytes))
			break;
		argv[i] = strdup(PyBytes_AsString(bytes));
		if (!argv[i]) {
			PyErr_NoMemory();
			break;
		}
		*n = (int)i + 1;
	}
	return argv;
}

static void strings_free(char **argv)
{
	for (size_t i = 0; argv && argv[i]; i++)
		free(argv[i]);
	free(argv);
}

/* ---- programs --------------------------------------------------------------------------------------------------- */

static bool remember(struct py_command *cmd, dtrace_prog_t *prog)
{
	dtrace_prog_t **grown = realloc(cmd->progs, (cmd->nprogs + 1) * sizeof(*grown));

	if (!grown)
		return PyErr_NoMemory();
	cmd->progs = grown;
	grown[cmd->nprogs++] = prog;
	return true;
}

struct source {
	const char *text; /* NULL: from fd */
	int fd;           /* ours to close; -1: none */
	int spec;
	unsigned int flags;
	int argc;
	char **argv;
};

static dtrace_prog_t *compile_source(struct consumer *self, const struct source *s)
{
	dtrace_prog_t *prog;
	FILE *fp;

	if (s->text)
		return py_engine.strcompile(self->h, s->text, (dtrace_probespec_t)s->spec, s->flags,
					    s->argc, s->argv);
	fp = s->fd < 0 ? NULL : fdopen(s->fd, "r");
	if (!fp)
		return NULL;
	prog = py_engine.fcompile(self->h, fp, s->flags, s->argc, s->argv);
	fclose(fp);
	return prog;
}

static PyObject *compile(struct consumer *self, const struct source *s)
{
	struct py_command *cmd = py_command_enter(self, "compile", py_engine.fcompile);
	_cleanup_pyref_ PyObject *none = NULL;
	struct py_call call;
	dtrace_prog_t *prog;
	bool ok;

	if (!cmd)
		return NULL;
	py_call_begin(&call, self, "compile", NULL);
	prog = compile_source(self, s);
	py_call_end(&call);
	ok = prog ? remember(cmd, prog) : py_raise_compile(self) != NULL;
	none = py_finish(self, ok);
	return none ? PyLong_FromSize_t(cmd->nprogs - 1) : NULL;
}

PyObject *Consumer_compile(PyObject *o, PyObject *pyargs, PyObject *kwargs)
{
	static char *keywords[] = { (char *)"program", (char *)"spec", (char *)"flags",
				    (char *)"args", NULL };
	struct source s = { .fd = -1 };
	_cleanup_pyref_ PyObject *bytes = NULL;
	PyObject *program, *args, *made = NULL;

	if (!PyArg_ParseTupleAndKeywords(pyargs, kwargs, "OiIO:compile", keywords, &program,
					 &s.spec, &s.flags, &args))
		return NULL;
	s.argv = strings(args, &s.argc);
	if (PyErr_Occurred())
		goto out;
	if (PyLong_Check(program)) {
		s.fd = dup((int)PyLong_AsLong(program));
		if (s.fd < 0 && !PyErr_Occurred())
			PyErr_SetFromErrno(PyExc_OSError);
	} else if (PyUnicode_FSConverter(program, &bytes)) {
		s.text = PyBytes_AsString(bytes);
	}
	if (!PyErr_Occurred())
		made = compile((struct consumer *)o, &s);
out:
	strings_free(s.argv);
	return made;
}

static dtrace_prog_t *program_at(struct consumer *self, Py_ssize_t i)
{
	struct py_command *cmd = self->command;

	if (!cmd || i < 0 || (size_t)i >= cmd->nprogs)
		return py_raise_text(self->st, "there is no program %zd", i);
	return cmd->progs[i];
}

static PyObject *attribute(dtrace_attribute_t a)
{
	char buf[128];

	return PyUnicode_FromString(py_engine.attr2str(a, buf, sizeof(buf)) ? buf : "");
}

PyObject *Consumer_info(PyObject *o, PyObject *args)
{
	struct consumer *self = (struct consumer *)o;
	dtrace_proginfo_t info = { 0 };
	dtrace_prog_t *prog;
	Py_ssize_t i;

	if (!PyArg_ParseTuple(args, "n:info", &i) ||
	    !py_command_enter(self, "info", py_engine.program_info))
		return NULL;
	prog = program_at(self, i);
	if (prog)
		py_engine.program_info(self->h, prog, &info);
	py_unlock(self);
	if (!prog)
		return NULL;
	return Py_BuildValue("INN", info.dpi_matches, attribute(info.dpi_descattr),
			     attribute(info.dpi_stmtattr));
}

PyObject *Consumer_enable(PyObject *o, PyObject *args)
{
	struct consumer *self = (struct consumer *)o;
	_cleanup_pyref_ PyObject *none = NULL;
	dtrace_proginfo_t info = { 0 };
	dtrace_prog_t *prog;
	Py_ssize_t i;
	bool ok = false;

	if (!PyArg_ParseTuple(args, "n:enable", &i) || !py_command_enter(self, "enable", true))
		return NULL;
	prog = program_at(self, i);
	if (prog)
		ok = py_engine.exec(self->h, prog, &info) == 0 || py_raise(self);
	none = py_finish(self, ok);
	return none ? PyLong_FromUnsignedLong(info.dpi_matches) : NULL;
}

static bool write_header(struct consumer *self, int fd, const char *name)
{
	int copy = dup(fd);
	FILE *fp = copy < 0 ? NULL : fdopen(copy, "w");
	int rc;

	if (!fp) {
		PyErr_SetFromErrno(PyExc_OSError);
		if (copy >= 0)
			close(copy);
		return false;
	}
	rc = py_engine.program_header(self->h, fp, name);
	if (fclose(fp) != 0 && rc == 0)
		return PyErr_SetFromErrno(PyExc_OSError);
	return rc == 0 || py_raise(self);
}

PyObject *Consumer_header(PyObject *o, PyObject *args)
{
	struct consumer *self = (struct consumer *)o;
	const char *name;
	int fd;

	if (!PyArg_ParseTuple(args, "is:header", &fd, &name) ||
	    !py_command_enter(self, "header", py_engine.program_header))
		return NULL;
	return py_finish(self, write_header(self, fd, name));
}

PyObject *Consumer_link(PyObject *o, PyObject *args)
{
	struct consumer *self = (struct consumer *)o;
	_cleanup_pyref_ PyObject *file = NULL;
	dtrace_prog_t *prog;
	PyObject *objects;
	char **objv;
	Py_ssize_t i;
	int objc;
	bool ok = false;

	if (!PyArg_ParseTuple(args, "nO&O:link", &i, PyUnicode_FSConverter, &file, &objects))
		return NULL;
	objv = strings(objects, &objc);
	if (PyErr_Occurred() || !py_command_enter(self, "link", py_engine.program_link)) {
		strings_free(objv);
		return NULL;
	}
	prog = program_at(self, i);
	if (prog)
		ok = py_engine.program_link(self->h, prog, 0, PyBytes_AsString(file), objc, objv) ==
			     0 ||
		     py_raise(self);
	strings_free(objv);
	return py_finish(self, ok);
}

PyObject *Consumer_getopt(PyObject *o, PyObject *args)
{
	struct consumer *self = (struct consumer *)o;
	dtrace_optval_t v = DTRACEOPT_UNSET;
	_cleanup_pyref_ PyObject *none = NULL;
	const char *name;
	bool ok;

	if (!PyArg_ParseTuple(args, "s:getopt", &name) || !py_lock(self, "getopt", PY_NESTED))
		return NULL;
	ok = py_engine.getopt(self->h, name, &v) == 0 || py_raise(self);
	none = py_finish(self, ok);
	if (!none)
		return NULL;
	return v == DTRACEOPT_UNSET ? Py_NewRef(Py_None) : PyLong_FromLongLong(v);
}

/* ---- probes ----------------------------------------------------------------------------------------------------- */

static PyObject *text_of(const char *s)
{
	return py_text(s, strlen(s));
}

static PyObject *probe_tuple(const dtrace_probedesc_t *p)
{
	return Py_BuildValue("INNNN", (unsigned int)p->dtpd_id, text_of(p->dtpd_provider),
			     text_of(p->dtpd_mod), text_of(p->dtpd_func), text_of(p->dtpd_name));
}

static bool field(char *to, size_t size, const char *from)
{
	size_t n = strlen(from);

	if (n >= size) {
		PyErr_SetString(PyExc_ValueError, "a field of a probe description is too long");
		return false;
	}
	memcpy(to, from, n + 1);
	return true;
}

bool py_probe_pattern(PyObject *pattern, dtrace_probedesc_t *p)
{
	const char *prov, *mod, *func, *name;
	unsigned int id;

	memset(p, 0, sizeof(*p));
	if (!PyArg_ParseTuple(pattern, "Issss", &id, &prov, &mod, &func, &name))
		return false;
	p->dtpd_id = id;
	return field(p->dtpd_provider, sizeof(p->dtpd_provider), prov) &&
	       field(p->dtpd_mod, sizeof(p->dtpd_mod), mod) &&
	       field(p->dtpd_func, sizeof(p->dtpd_func), func) &&
	       field(p->dtpd_name, sizeof(p->dtpd_name), name);
}

static int add_probe(dtrace_hdl_t *h, const dtrace_probedesc_t *p, void *arg)
{
	struct py_call *call = arg;
	_cleanup_pyref_ PyObject *tuple = NULL;

	(void)h;
	if (!py_call_gil(call))
		return 1;
	tuple = probe_tuple(p);
	return !tuple || PyList_Append(call->callback, tuple) < 0;
}

PyObject *Consumer_probes(PyObject *o, PyObject *args)
{
	struct consumer *self = (struct consumer *)o;
	_cleanup_pyref_ PyObject *none = NULL;
	PyObject *pattern, *list;
	dtrace_probedesc_t p;
	struct py_call call;
	int rc;

	if (!PyArg_ParseTuple(args, "O!:probes", &PyTuple_Type, &pattern) ||
	    !py_probe_pattern(pattern, &p) || !py_command_enter(self, "probes", py_engine.probe_iter))
		return NULL;
	list = PyList_New(0);
	py_call_begin(&call, self, "probes", list);
	rc = list ? py_engine.probe_iter(self->h, &p, add_probe, &call) : 0;
	py_call_end(&call);
	none = py_finish(self, list && (rc == 0 || py_raise(self)));
	if (!none)
		Py_CLEAR(list);
	return list;
}

PyObject *Consumer_probe_info(PyObject *o, PyObject *args)
{
	struct consumer *self = (struct consumer *)o;
	_cleanup_pyref_ PyObject *none = NULL, *types = NULL;
	dtrace_probeinfo_t info = { 0 };
	dtrace_probedesc_t p;
	PyObject *pattern;
	bool ok;

	if (!PyArg_ParseTuple(args, "O!:probe_info", &PyTuple_Type, &pattern) ||
	    !py_probe_pattern(pattern, &p) ||
	    !py_command_enter(self, "probe_info", py_engine.probe_info))
		return NULL;
	ok = py_engine.probe_info(self->h, &p, &info) == 0 || py_raise(self);
	types = ok ? PyList_New(0) : NULL;
	for (int i = 0; types && i < info.dtp_argc; i++) {
		_cleanup_pyref_ PyObject *type = text_of(info.dtp_argv[i] ? info.dtp_argv[i] : "");

		if (!type || PyList_Append(types, type) < 0)
			Py_CLEAR(types);
	}
	none = py_finish(self, ok);
	if (!none || !types)
		return NULL;
	return Py_BuildValue("NNO", attribute(info.dtp_attr), attribute(info.dtp_arga), types);
}

static int add_statement(dtrace_hdl_t *h, dtrace_prog_t *prog, dtrace_stmtdesc_t *s, void *arg)
{
	struct py_call *call = arg;
	_cleanup_pyref_ PyObject *tuple = probe_tuple(&s->dtsd_ecbdesc->dted_probe);

	(void)h;
	(void)prog;
	return tuple ? PyList_Append(call->callback, tuple) : -1;
}

PyObject *Consumer_statements(PyObject *o, PyObject *args)
{
	struct consumer *self = (struct consumer *)o;
	_cleanup_pyref_ PyObject *none = NULL;
	struct py_call call = { 0 };
	dtrace_prog_t *prog;
	PyObject *list = NULL;
	Py_ssize_t i;
	int rc = -1;

	if (!PyArg_ParseTuple(args, "n:statements", &i) ||
	    !py_command_enter(self, "statements", py_engine.stmt_iter))
		return NULL;
	prog = program_at(self, i);
	if (prog)
		list = call.callback = PyList_New(0);
	if (list)
		rc = py_engine.stmt_iter(self->h, prog, add_statement, &call);
	none = py_finish(self, list && (rc == 0 || py_raise(self)));
	if (!none)
		Py_CLEAR(list);
	return list;
}

/* ---- features of the kernel ------------------------------------------------------------------------------------- */

static int add_feature(dtrace_hdl_t *h, const dtrace_feature_t *f, void *arg)
{
	PyObject *list = arg;
	_cleanup_pyref_ PyObject *row =
		Py_BuildValue("sOzzz", f->dtf_name, f->dtf_available ? Py_True : Py_False,
			      f->dtf_use, f->dtf_instead, f->dtf_refusal);

	(void)h;
	return row ? PyList_Append(list, row) : -1;
}

PyObject *Consumer_features(PyObject *o, PyObject *unused)
{
	struct consumer *self = (struct consumer *)o;
	_cleanup_pyref_ PyObject *none = NULL;
	PyObject *list;

	if (!py_command_enter(self, "features", py_engine.feature_iter))
		return NULL;
	list = PyList_New(0);
	none = py_finish(self, list && (py_engine.feature_iter(self->h, add_feature, list) == 0 ||
					py_raise(self)));
	if (!none)
		Py_CLEAR(list);
	return list;
}

/* ---- processes -------------------------------------------------------------------------------------------------- */

static pid_t pid_of(struct consumer *self, struct ps_prochandle *p)
{
	return py_engine.proc_getpid ? py_engine.proc_getpid(self->h, p) : 0;
}

/* How a process has ended, in dtrace(1)'s words. */
static void end_message(struct consumer *self, struct ps_prochandle *p, char *buf, size_t size)
{
	int status = py_engine.proc_status ? py_engine.proc_status(self->h, p) : -1;
	int pid = (int)pid_of(self, p);

	if (status < 0 || (WIFEXITED(status) && WEXITSTATUS(status) == 0))
		snprintf(buf, size, "pid %d has exited", pid);
	else if (WIFEXITED(status))
		snprintf(buf, size, "pid %d exited with status %d", pid, WEXITSTATUS(status));
	else
#ifdef __GLIBC__
		snprintf(buf, size, "pid %d terminated by SIG%s", pid,
			 sigabbrev_np(WTERMSIG(status)));
#else
		snprintf(buf, size, "pid %d terminated by signal %d", pid, WTERMSIG(status));
#endif
}

/* callback(pid, message) */
static int on_process(struct ps_prochandle *p, const char *msg, void *arg)
{
	struct consumer *self = arg;
	struct py_call *call = self->call;
	PyObject *callback = self->command->on_process;
	_cleanup_pyref_ PyObject *r = NULL, *text = NULL;
	char ended[96];

	if (!call || !callback)
		return DTRACE_HANDLE_OK;
	if (!py_call_gil(call))
		return DTRACE_HANDLE_ABORT;
	if (!msg) {
		end_message(self, p, ended, sizeof(ended));
		msg = ended;
	}
	text = text_of(msg);
	r = text ? PyObject_CallFunction(callback, "iO", (int)pid_of(self, p), text) : NULL;
	return r ? DTRACE_HANDLE_OK : DTRACE_HANDLE_ABORT;
}

static bool watch_processes(struct consumer *self, struct py_command *cmd, PyObject *callback)
{
	Py_INCREF(callback);
	Py_XSETREF(cmd->on_process, callback);
	if (cmd->watching)
		return true;
	if (py_engine.handle_proc(self->h, on_process, self) < 0)
		return py_raise(self);
	return cmd->watching = true;
}

static bool add_process(struct consumer *self, struct py_command *cmd, struct ps_prochandle *p)
{
	struct ps_prochandle **grown;

	if (!p)
		return py_raise(self);
	grown = realloc(cmd->procs, (cmd->nprocs + 1) * sizeof(*grown));
	if (!grown)
		return PyErr_NoMemory();
	cmd->procs = grown;
	grown[cmd->nprocs++] = p;
	return true;
}

static PyObject *process_pid(struct consumer *self, struct py_command *cmd, bool ok)
{
	pid_t pid = ok ? pid_of(self, cmd->procs[cmd->nprocs - 1]) : 0;
	_cleanup_pyref_ PyObject *none = py_finish(self, ok);

	return none ? PyLong_FromLong(pid) : NULL;
}

PyObject *Consumer_create(PyObject *o, PyObject *args)
{
	struct consumer *self = (struct consumer *)o;
	struct ps_prochandle *p = NULL;
	PyObject *command, *callback;
	struct py_command *cmd;
	struct py_call call;
	char **argv;
	int argc;
	bool ok;

	if (!PyArg_ParseTuple(args, "OO:create", &command, &callback))
		return NULL;
	argv = strings(command, &argc);
	if (!PyErr_Occurred() && argc == 0)
		PyErr_SetString(PyExc_ValueError, "the command is empty");
	cmd = PyErr_Occurred() ? NULL : py_command_enter(self, "create", py_engine.proc_create);
	if (!cmd) {
		strings_free(argv);
		return NULL;
	}
	ok = watch_processes(self, cmd, callback);
	if (ok) {
		py_call_begin(&call, self, "create", NULL);
		p = py_engine.proc_create(self->h, argv[0], argv);
		py_call_end(&call);
		ok = add_process(self, cmd, p);
	}
	strings_free(argv);
	return process_pid(self, cmd, ok);
}

PyObject *Consumer_grab(PyObject *o, PyObject *args)
{
	struct consumer *self = (struct consumer *)o;
	struct ps_prochandle *p = NULL;
	struct py_command *cmd;
	struct py_call call;
	PyObject *callback;
	int pid;
	bool ok;

	if (!PyArg_ParseTuple(args, "iO:grab", &pid, &callback))
		return NULL;
	cmd = py_command_enter(self, "grab", py_engine.proc_grab);
	if (!cmd)
		return NULL;
	ok = watch_processes(self, cmd, callback);
	if (ok) {
		py_call_begin(&call, self, "grab", NULL);
		p = py_engine.proc_grab(self->h, (pid_t)pid, 0);
		py_call_end(&call);
		ok = add_process(self, cmd, p);
	}
	return process_pid(self, cmd, ok);
}

PyObject *Consumer_resume(PyObject *o, PyObject *unused)
{
	struct consumer *self = (struct consumer *)o;
	struct py_command *cmd = py_command_enter(self, "resume", py_engine.proc_continue);

	if (!cmd)
		return NULL;
	for (size_t i = 0; i < cmd->nprocs; i++)
		py_engine.proc_continue(self->h, cmd->procs[i]);
	return py_finish(self, true);
}

PyObject *Consumer_ended(PyObject *o, PyObject *args)
{
	struct consumer *self = (struct consumer *)o;
	struct py_command *cmd = self->command;
	int pid, status = -1;

	if (!PyArg_ParseTuple(args, "i:ended", &pid) || lacks(self, py_engine.proc_status) ||
	    !py_lock(self, "ended", PY_NESTED))
		return NULL;
	for (size_t i = 0; cmd && i < cmd->nprocs; i++)
		if (pid_of(self, cmd->procs[i]) == pid)
			status = py_engine.proc_status(self->h, cmd->procs[i]);
	py_unlock(self);
	return status < 0 ? Py_NewRef(Py_None) : PyLong_FromLong(status);
}

/* ---- signals ---------------------------------------------------------------------------------------------------- */

/*
 * The first signal is noted and ends a sleep; from then on the signals have their default effect, so that a second one
 * ends the process whatever it is doing: an interpreter's handler would have to wait for the library to come back.
 */
#define MAXSIGNALS 8

static struct {
	volatile sig_atomic_t caught;
	dtrace_hdl_t *volatile handle; /* to wake */
	volatile int nsignals;
	int signals[MAXSIGNALS];
} interrupts;

static void on_signal(int sig)
{
	struct sigaction dflt = { .sa_handler = SIG_DFL };
	dtrace_hdl_t *h = interrupts.handle;
	int saved = errno;

	interrupts.caught = sig;
	for (int i = 0; i < interrupts.nsignals; i++)
		sigaction(interrupts.signals[i], &dflt, NULL);
	if (h && py_engine.wakeup)
		py_engine.wakeup(h);
	errno = saved;
}

static bool catch_one(int sig)
{
	struct sigaction old, new = { .sa_handler = on_signal, .sa_flags = SA_RESTART };

	if (sigaction(sig, NULL, &old) < 0)
		return PyErr_SetFromErrno(PyExc_OSError);
	if (old.sa_handler == SIG_IGN) /* a job of nohup, say */
		return true;
	if (interrupts.nsignals == MAXSIGNALS) {
		PyErr_SetString(PyExc_ValueError, "too many signals");
		return false;
	}
	interrupts.signals[interrupts.nsignals] = sig;
	interrupts.nsignals++;
	sigemptyset(&new.sa_mask);
	return sigaction(sig, &new, NULL) == 0 || PyErr_SetFromErrno(PyExc_OSError);
}

PyObject *Consumer_catch_signals(PyObject *o, PyObject *signals)
{
	struct consumer *self = (struct consumer *)o;
	bool ok = true;

	if (!py_command_enter(self, "catch_signals", true))
		return NULL;
	interrupts.caught = 0;
	interrupts.nsignals = 0;
	interrupts.handle = self->h;
	for (Py_ssize_t i = 0; ok && i < PyTuple_Size(signals); i++) {
		long sig = PyLong_AsLong(PyTuple_GetItem(signals, i));

		ok = (sig != -1 || !PyErr_Occurred()) && catch_one((int)sig);
	}
	return py_finish(self, ok);
}

PyObject *py_get_caught(PyObject *o, void *unused)
{
	return PyLong_FromLong(interrupts.caught);
}

void py_command_closing(struct consumer *self)
{
	if (self->h && interrupts.handle == self->h)
		interrupts.handle = NULL;
	if (self->command) {
		self->command->nprogs = 0;
		self->command->nprocs = 0;
	}
}
