/* SPDX-License-Identifier: Apache-2.0 */
/*
 * show.c - text as dtrace(1) prints it.  The library prints what records hold; the heading, the column in front of each
 * firing and the end of its line are the consumer's.  No Python object is made of a record.
 */
#include "command.h"

#include <errno.h>
#include <fcntl.h>
#ifdef __GLIBC__
#include <stdio_ext.h>
#endif
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define BUFFER (64 << 10)

/* ---- the output ------------------------------------------------------------------------------------------------- */

/* A plain stream on a descriptor of its own: freopen() in a D program may turn it elsewhere. */
PyObject *Consumer_open_output(PyObject *o, PyObject *args)
{
	struct consumer *self = (struct consumer *)o;
	struct py_command *cmd;
	int fd, narrow, copy;
	FILE *fp;

	if (!PyArg_ParseTuple(args, "ip:open_output", &fd, &narrow))
		return NULL;
	copy = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	fp = copy < 0 ? NULL : fdopen(copy, "a");
	if (!fp) {
		PyErr_SetFromErrno(PyExc_OSError);
		if (copy >= 0)
			close(copy);
		return NULL;
	}
	cmd = py_command_enter(self, "open_output", true);
	if (!cmd) {
		fclose(fp);
		return NULL;
	}
	setvbuf(fp, NULL, _IOFBF, BUFFER);
#ifdef __GLIBC__
	__fsetlocking(fp, FSETLOCKING_BYCALLER); /* the consumer's lock is enough */
#endif
	if (cmd->out)
		fclose(cmd->out);
	cmd->out = fp;
	cmd->narrow = narrow;
	return py_finish(self, true);
}

bool py_command_has_output(struct consumer *self, struct py_command *cmd)
{
	return cmd->out || py_raise_text(self->st, "no output is open");
}

void py_command_flush(struct py_command *cmd)
{
	cmd->error = fflush(cmd->out) == 0 ? 0 : errno;
	clearerr(cmd->out);
}

bool py_command_flushed(const struct py_command *cmd)
{
	if (!cmd->error)
		return true;
	errno = cmd->error;
	return PyErr_Occurred() || PyErr_SetFromErrno(PyExc_OSError);
}

PyObject *Consumer_put(PyObject *o, PyObject *args)
{
	struct consumer *self = (struct consumer *)o;
	_cleanup_pyref_ PyObject *bytes = NULL;
	struct py_command *cmd;
	PyObject *text;
	bool ok;

	if (!PyArg_ParseTuple(args, "U:put", &text))
		return NULL;
	bytes = PyUnicode_EncodeFSDefault(text);
	if (!bytes || !py_lock(self, "put", PY_NESTED))
		return NULL;
	cmd = py_command_of(self);
	if (!cmd)
		return py_finish(self, false);
	ok = py_command_has_output(self, cmd);
	if (ok) {
		struct py_call call;

		py_call_begin(&call, self, "put", NULL);
		fwrite(PyBytes_AsString(bytes), 1, (size_t)PyBytes_Size(bytes), cmd->out);
		py_command_flush(cmd);
		py_call_end(&call);
		ok = py_command_flushed(cmd);
	}
	return py_finish(self, ok);
}

/* ---- firings ---------------------------------------------------------------------------------------------------- */

static bool is_set(dtrace_hdl_t *h, const char *option)
{
	dtrace_optval_t v = DTRACEOPT_UNSET;

	return py_engine.getopt(h, option, &v) == 0 && v != DTRACEOPT_UNSET;
}

static void refresh(struct py_command *cmd, dtrace_hdl_t *h)
{
	cmd->quiet = is_set(h, "quiet");
	cmd->flow = is_set(h, "flowindent");
	cmd->printable = is_set(h, "printable");
	cmd->fresh = true;
}

/* setopt() in a D program: the option changes when we have returned. */
static int on_setopt(const dtrace_setoptdata_t *data, void *arg)
{
	struct consumer *self = arg;

	(void)data;
	self->command->fresh = false;
	return DTRACE_HANDLE_OK;
}

static void heading(struct py_command *cmd)
{
	cmd->heading = true;
	if (cmd->flow && cmd->narrow)
		fprintf(cmd->out, "%-41s\n", "FUNCTION");
	else if (cmd->flow)
		fprintf(cmd->out, "%3s %-41s\n", "CPU", "FUNCTION");
	else if (cmd->narrow)
		fprintf(cmd->out, "%32s\n", "FUNCTION:NAME");
	else
		fprintf(cmd->out, "%3s %6s %32s\n", "CPU", "ID", "FUNCTION:NAME");
}

/* A number right-aligned in so many columns, and a blank; gives where it ends. */
static char *put_number(char *to, unsigned long n, int width)
{
	char digits[24];
	int len = 0;

	do
		digits[len++] = (char)('0' + n % 10);
	while (n /= 10);
	for (; width > len; width--)
		*to++ = ' ';
	while (len)
		*to++ = digits[--len];
	*to++ = ' ';
	return to;
}

/* Functions of traced programs have the names that their makers liked. */
static char *put_name(const struct py_command *cmd, char *to, const char *s, size_t n)
{
	memcpy(to, s, n);
	for (size_t i = 0; cmd->printable && i < n; i++)
		if ((unsigned char)to[i] < 0x20 || to[i] == 0x7f)
			to[i] = '?';
	return to + n;
}

/* This is done for each firing: no printf(). */
static void line(const struct py_command *cmd, const dtrace_probedata_t *d)
{
	const dtrace_probedesc_t *p = d->dtpda_pdesc;
	size_t func = strlen(p->dtpd_func), name = strlen(p->dtpd_name);
	char buf[sizeof(p->dtpd_func) + sizeof(p->dtpd_name) + 128], *to = buf;

	if (!cmd->narrow) {
		to = put_number(to, (unsigned long)d->dtpda_cpu, 3);
		to = put_number(to, p->dtpd_id, 6);
	}
	for (size_t n = func + 1 + name; n < 32; n++)
		*to++ = ' ';
	to = put_name(cmd, to, p->dtpd_func, func);
	*to++ = ':';
	to = put_name(cmd, to, p->dtpd_name, name);
	*to++ = ' ';
	fwrite(buf, 1, (size_t)(to - buf), cmd->out);
}

static void flow_line(const struct py_command *cmd, const dtrace_probedata_t *d)
{
	const dtrace_probedesc_t *p = d->dtpda_pdesc;
	const char *prefix = d->dtpda_prefix ? d->dtpda_prefix : "";
	bool whole = d->dtpda_flow == DTRACEFLOW_NONE;
	char func[sizeof(p->dtpd_func)], name[sizeof(p->dtpd_name)];
	int width;

	*put_name(cmd, func, p->dtpd_func, strlen(p->dtpd_func)) = '\0';
	*put_name(cmd, name, p->dtpd_name, strlen(p->dtpd_name)) = '\0';
	if (!cmd->narrow)
		fprintf(cmd->out, "%3d ", d->dtpda_cpu);
	width = fprintf(cmd->out, "%*s%s%s%s%s", d->dtpda_indent, "", prefix, func,
			whole ? ":" : "", whole ? name : "");
	fprintf(cmd->out, "%*s", width < 41 ? 42 - width : 1, "");
}

static int on_probe(const dtrace_probedata_t *data, void *arg)
{
	struct consumer *self = ((struct py_call *)arg)->self;
	struct py_command *cmd = self->command;

	if (!cmd->fresh)
		refresh(cmd, self->h);
	if (cmd->quiet && !cmd->flow)
		return DTRACE_CONSUME_THIS;
	if (!cmd->heading)
		heading(cmd);
	cmd->flow ? flow_line(cmd, data) : line(cmd, data);
	return DTRACE_CONSUME_THIS;
}

static int on_record(const dtrace_probedata_t *data, const dtrace_recdesc_t *rec, void *arg)
{
	struct consumer *self = ((struct py_call *)arg)->self;
	struct py_command *cmd = self->command;

	if (!rec) {
		if (!cmd->fresh) /* setopt() in this firing */
			refresh(cmd, self->h);
		if (!cmd->quiet || cmd->flow)
			fputc('\n', cmd->out);
		return DTRACE_CONSUME_NEXT;
	}
	if (rec->dtrd_action != DTRACEACT_EXIT)
		return DTRACE_CONSUME_THIS;
	py_note_exit(self, data, rec);
	return DTRACE_CONSUME_NEXT;
}

static bool watch_options(struct consumer *self, struct py_command *cmd)
{
	if (!cmd->watching_options && py_engine.handle_setopt) {
		if (py_engine.handle_setopt(self->h, on_setopt, self) < 0)
			return py_raise(self);
		cmd->watching_options = true;
	}
	return true;
}

PyObject *Consumer_show(PyObject *o, PyObject *unused)
{
	struct consumer *self = (struct consumer *)o;
	struct py_command *cmd = py_command_enter(self, "show", true);
	dtrace_workstatus_t rc = DTRACE_WORKSTATUS_ERROR;
	_cleanup_pyref_ PyObject *none = NULL;
	struct py_call call;
	bool ok;

	if (!cmd)
		return NULL;
	ok = py_command_has_output(self, cmd) && watch_options(self, cmd);
	if (ok) {
		cmd->fresh = false;
		py_call_begin(&call, self, "show", NULL);
		rc = py_engine.work(self->h, cmd->out, on_probe, on_record, &call);
		py_command_flush(cmd);
		py_call_end(&call);
		ok = rc != DTRACE_WORKSTATUS_ERROR || py_raise(self);
		ok = py_command_flushed(cmd) && ok;
	}
	none = py_finish(self, ok);
	return none ? PyBool_FromLong(rc == DTRACE_WORKSTATUS_DONE) : NULL;
}

PyObject *Consumer_show_aggregations(PyObject *o, PyObject *unused)
{
	struct consumer *self = (struct consumer *)o;
	struct py_command *cmd =
		py_command_enter(self, "show_aggregations", py_engine.aggregate_print);
	struct py_call call;
	bool ok;
	int rc;

	if (!cmd)
		return NULL;
	ok = py_command_has_output(self, cmd);
	if (ok) {
		py_call_begin(&call, self, "show_aggregations", NULL);
		rc = py_engine.aggregate_snap(self->h);
		if (rc == 0)
			rc = py_engine.aggregate_print(self->h, cmd->out, NULL);
		py_command_flush(cmd);
		py_call_end(&call);
		ok = rc == 0 || py_raise(self);
		ok = py_command_flushed(cmd) && ok;
	}
	return py_finish(self, ok);
}

PyObject *Consumer_show_code(PyObject *o, PyObject *args)
{
	struct consumer *self = (struct consumer *)o;
	int fd, copy;
	FILE *fp;
	bool ok;

	if (!PyArg_ParseTuple(args, "i:show_code", &fd) ||
	    !py_command_enter(self, "show_code", py_engine.disassemble))
		return NULL;
	copy = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	fp = copy < 0 ? NULL : fdopen(copy, "w");
	if (!fp) {
		PyErr_SetFromErrno(PyExc_OSError);
		if (copy >= 0)
			close(copy);
		return py_finish(self, false);
	}
	ok = py_engine.disassemble(self->h, fp) == 0 || py_raise(self);
	if (fclose(fp) != 0 && ok)
		ok = PyErr_SetFromErrno(PyExc_OSError);
	return py_finish(self, ok);
}

/* ---- lists of probes -------------------------------------------------------------------------------------------- */

struct listing {
	const struct py_command *cmd;
	FILE *out;
	bool verbose;
	unsigned long n;
};

/* As three lines of words. */
static void put_attribute(FILE *out, const char *what, dtrace_attribute_t a)
{
	char buf[128] = "", *rest = buf;
	const char *name, *data;

	py_engine.attr2str(a, buf, sizeof(buf));
	name = strsep(&rest, "/");
	data = rest ? strsep(&rest, "/") : "";
	fprintf(out,
		"\n\t%s\n\t\tIdentifier Names: %s\n\t\tData Semantics:   %s\n\t\tDependency Class: %s\n",
		what, name, data, rest ? rest : "");
}

static void put_info(dtrace_hdl_t *h, FILE *out, const dtrace_probedesc_t *p)
{
	dtrace_probeinfo_t info;

	if (py_engine.probe_info(h, p, &info) < 0)
		return;
	put_attribute(out, "Probe Description Attributes", info.dtp_attr);
	put_attribute(out, "Argument Attributes", info.dtp_arga);
	fputs("\n\tArgument Types\n", out);
	if (info.dtp_argc <= 0)
		fputs("\t\tNone\n", out);
	for (int i = 0; i < info.dtp_argc; i++)
		fprintf(out, "\t\targs[%d]: %s\n", i, info.dtp_argv[i]);
	fputc('\n', out);
}

static int list_probe(dtrace_hdl_t *h, const dtrace_probedesc_t *p, void *arg)
{
	struct listing *l = arg;

	dtrace_probedesc_t shown = *p;

	put_name(l->cmd, shown.dtpd_mod, p->dtpd_mod, strlen(p->dtpd_mod));
	put_name(l->cmd, shown.dtpd_func, p->dtpd_func, strlen(p->dtpd_func));
	put_name(l->cmd, shown.dtpd_name, p->dtpd_name, strlen(p->dtpd_name));
	l->n++;
	fprintf(l->out, "%5u %10s %17s %33s %s\n", (unsigned int)p->dtpd_id, p->dtpd_provider,
		shown.dtpd_mod, shown.dtpd_func, shown.dtpd_name);
	if (l->verbose)
		put_info(h, l->out, p);
	return ferror(l->out);
}

PyObject *Consumer_list_probes(PyObject *o, PyObject *args)
{
	struct consumer *self = (struct consumer *)o;
	_cleanup_pyref_ PyObject *none = NULL;
	struct listing l = { 0 };
	dtrace_probedesc_t p;
	struct py_command *cmd;
	PyObject *pattern;
	struct py_call call;
	int rc, verbose;
	bool ok;

	if (!PyArg_ParseTuple(args, "O!p:list_probes", &PyTuple_Type, &pattern, &verbose) ||
	    !py_probe_pattern(pattern, &p))
		return NULL;
	cmd = py_command_enter(self, "list_probes", py_engine.probe_iter);
	if (!cmd)
		return NULL;
	ok = py_command_has_output(self, cmd);
	if (ok) {
		refresh(cmd, self->h);
		l.cmd = cmd;
		l.out = cmd->out;
		l.verbose = verbose;
		py_call_begin(&call, self, "list_probes", NULL);
		rc = py_engine.probe_iter(self->h, &p, list_probe, &l);
		py_command_flush(cmd);
		py_call_end(&call);
		ok = rc >= 0 || py_raise(self);
		ok = py_command_flushed(cmd) && ok;
	}
	none = py_finish(self, ok);
	return none ? PyLong_FromUnsignedLong(l.n) : NULL;
}
