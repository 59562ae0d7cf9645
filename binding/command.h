/* SPDX-License-Identifier: Apache-2.0 */
/*
 * command.h - what command.c and show.c share: the state behind the methods for the command line.
 */
#ifndef PY_COMMAND_H
#define PY_COMMAND_H

#include "state.h"

struct py_command {
	/* programs and processes by the number that Python has for them */
	dtrace_prog_t **progs;
	size_t nprogs;
	struct ps_prochandle **procs;
	size_t nprocs;
	PyObject *on_process;
	bool watching; /* the library knows our handler */

	FILE *out;    /* what show() and the like print to */
	int error;    /* errno of the last flush */
	bool narrow;  /* no columns CPU and ID */
	bool heading; /* the header has been printed */
	bool fresh;   /* the next three are as the options are */
	bool quiet, flow, printable;
	bool watching_options;

	/* show_json(), in a firing */
	unsigned int items; /* of its data so far */
	bool in_text;       /* the last one is a string that goes on */
	char *probe_text;   /* what is said of the probe probe_id */
	size_t probe_textlen;
	dtrace_id_t probe_id;
};

/* Made at the first need; NULL with an exception. */
struct py_command *py_command_of(struct consumer *self);
/* Take the lock for a method that needs an engine's function; NULL with an exception. */
struct py_command *py_command_enter(struct consumer *self, const char *method, bool has);
/* Is there an output?  Else an exception. */
bool py_command_has_output(struct consumer *self, struct py_command *cmd);
/* Still without the GIL: what was printed goes on its way. */
void py_command_flush(struct py_command *cmd);
/* Did it?  Else an OSError, if nothing worse was raised. */
bool py_command_flushed(const struct py_command *cmd);
/* A probe description from a tuple (id, provider, module, function, name). */
bool py_probe_pattern(PyObject *pattern, dtrace_probedesc_t *p);

#endif
