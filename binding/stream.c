/* SPDX-License-Identifier: Apache-2.0 */
/*
 * stream.c - a C stream to where a Python file writes, for write().
 *
 * It has a descriptor of its own, so that another thread may close the file meanwhile.  Where the C library has
 * streams with functions of our own, a signal's handler can run while a reader is slow, a descriptor that
 * does not block is waited for, and the first error is kept; elsewhere the stream is a plain one.
 */
#include "state.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#define BUFFER (64 << 10)

#ifdef __linux__
#include <stdio_ext.h>

/* Interrupted: do what the signal's handler wants.  False: it has raised. */
static bool go_on(struct py_call *call)
{
	bool ok;

	if (!call) /* being closed without having been used */
		return false;
	if (call->released)
		PyEval_RestoreThread(call->released);
	ok = PyErr_CheckSignals() == 0;
	if (call->released)
		call->released = PyEval_SaveThread();
	return ok;
}

static bool wait_for_room(int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLOUT };

	return poll(&p, 1, -1) >= 0 || errno == EINTR;
}

static ssize_t stream_write(void *cookie, const char *s, size_t n)
{
	struct py_stream *stream = cookie;
	size_t left = n;

	if (stream->call &&
	    stream->call->self->foreign) /* a forked child's copy of what the parent writes */
		return (ssize_t)n;
	while (left && !stream->error) {
		ssize_t done = write(stream->fd, s, left);

		if (done >= 0) {
			s += done;
			left -= (size_t)done;
		} else if ((errno != EAGAIN || !wait_for_room(stream->fd)) && errno != EINTR) {
			stream->error = errno;
		} else if (!go_on(stream->call)) {
			stream->error = EINTR;
		}
	}
	return left ? 0 : (ssize_t)n;
}

static int stream_close(void *cookie)
{
	const struct py_stream *stream = cookie;

	return close(stream->fd);
}

static FILE *open_stream(struct py_stream *stream)
{
	FILE *fp =
		fopencookie(stream, "w",
			    (cookie_io_functions_t){ .write = stream_write, .close = stream_close });

	if (fp)
		__fsetlocking(fp, FSETLOCKING_BYCALLER); /* nobody else knows it */
	return fp;
}
#else
static FILE *open_stream(struct py_stream *stream)
{
	return fdopen(stream->fd, "w");
}
#endif

/* A copy of the descriptor that file writes to, when what file itself holds back has been written. */
static int descriptor_of(PyObject *file)
{
	_cleanup_pyref_ PyObject *flushed = NULL;
	int fd, copy;

	if (!PyLong_Check(file)) {
		flushed = PyObject_CallMethod(file, "flush", NULL);
		if (!flushed)
			return -1;
	}
	fd = PyObject_AsFileDescriptor(file);
	copy = fd < 0 ? -1 : fcntl(fd, F_DUPFD_CLOEXEC, 0);
	if (fd >= 0 && copy < 0)
		PyErr_SetFromErrno(PyExc_OSError);
	return copy;
}

bool py_stream_open(struct py_stream *stream, PyObject *file)
{
	*stream = (struct py_stream){ .fd = descriptor_of(file) };
	if (stream->fd < 0)
		return false;
	stream->fp = open_stream(stream);
	if (!stream->fp) {
		PyErr_SetFromErrno(PyExc_OSError);
		close(stream->fd);
		return false;
	}
	setvbuf(stream->fp, NULL, _IOFBF, BUFFER);
	return true;
}

void py_stream_close(struct py_stream *stream)
{
	errno = 0;
	if (fclose(stream->fp) != 0 && !stream->error)
		stream->error = errno ? errno : EIO;
}
