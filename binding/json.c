/* SPDX-License-Identifier: Apache-2.0 */
/*
 * json.c - records as JSON, a line for each firing, and aggregations as rows for Python to write.
 *
 * Numbers and strings become text right here, all other kinds of data by way of the Python objects that consume() would
 * give.  What printf() and the like say comes from the buffered handler and is a string.
 */
#include "command.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* ---- strings ---------------------------------------------------------------------------------------------------- */

/* Bytes of the UTF-8 character at s; 0 where there is none. */
static size_t character(const unsigned char *s, size_t n)
{
	size_t want = s[0] < 0x80 ? 1 : s[0] >= 0xf0 ? 4 : s[0] >= 0xe0 ? 3 : 2;

	if (want == 1)
		return 1;
	if (s[0] < 0xc2 || s[0] > 0xf4 || want > n)
		return 0;
	for (size_t i = 1; i < want; i++)
		if ((s[i] & 0xc0) != 0x80)
			return 0;
	/* overlong, surrogates, beyond Unicode */
	if ((s[0] == 0xe0 && s[1] < 0xa0) || (s[0] == 0xed && s[1] > 0x9f) ||
	    (s[0] == 0xf0 && s[1] < 0x90) || (s[0] == 0xf4 && s[1] > 0x8f))
		return 0;
	return want;
}

static bool is_plain(unsigned char c)
{
	return c >= 0x20 && c < 0x7f && c != '"' && c != '\\';
}

static void put_odd(FILE *out, unsigned char c)
{
	switch (c) {
	case '"':
	case '\\': fprintf(out, "\\%c", c); break;
	case '\n': fputs("\\n", out); break;
	case '\t': fputs("\\t", out); break;
	default: fprintf(out, "\\u%04x", c);
	}
}

/* The inside of a string.  Controls, those beyond ASCII too, are escaped: lines may be shown on a terminal. */
static void put_inside(FILE *out, const char *text, size_t n)
{
	const unsigned char *s = (const unsigned char *)text, *end = s + n;

	while (s < end) {
		const unsigned char *from = s;
		size_t len;

		while (s < end && is_plain(*s))
			s++;
		fwrite(from, 1, (size_t)(s - from), out);
		if (s == end)
			break;
		len = character(s, (size_t)(end - s));
		if (len == 0)
			fputs("\\ufffd", out);
		else if (len == 1)
			put_odd(out, *s);
		else if (len == 2 && s[0] == 0xc2 && s[1] < 0xa0)
			put_odd(out, s[1]);
		else
			fwrite(s, 1, len, out);
		s += len ? len : 1;
	}
}

static void put_string(FILE *out, const char *s, size_t n)
{
	fputc('"', out);
	put_inside(out, s, n);
	fputc('"', out);
}

static void put_field(FILE *out, const char *name, const char *value, size_t max)
{
	fprintf(out, "\"%s\":", name);
	put_string(out, value, strnlen(value, max));
}

/* ---- Python objects --------------------------------------------------------------------------------------------- */

static bool put_object(FILE *out, PyObject *o);

static bool put_str(FILE *out, PyObject *o)
{
	_cleanup_pyref_ PyObject *bytes = PyUnicode_AsEncodedString(o, "utf-8", "surrogateescape");

	if (!bytes)
		return false;
	put_string(out, PyBytes_AsString(bytes), (size_t)PyBytes_Size(bytes));
	return true;
}

static bool put_list(FILE *out, PyObject *o)
{
	fputc('[', out);
	for (Py_ssize_t i = 0; i < PyList_Size(o); i++) {
		if (i)
			fputc(',', out);
		if (!put_object(out, PyList_GetItem(o, i)))
			return false;
	}
	fputc(']', out);
	return true;
}

static bool put_bytes(FILE *out, PyObject *o)
{
	const unsigned char *s = (const unsigned char *)PyBytes_AsString(o);

	fputs("{\"bytes\":\"", out);
	for (Py_ssize_t i = 0; i < PyBytes_Size(o); i++)
		fprintf(out, "%02x", s[i]);
	fputs("\"}", out);
	return true;
}

static bool put_number(FILE *out, PyObject *o)
{
	_cleanup_pyref_ PyObject *text = PyObject_Repr(o);
	const char *s = text ? PyUnicode_AsUTF8AndSize(text, NULL) : NULL;

	if (!s)
		return false;
	/* JSON has no names for nan and inf */
	fputs(strpbrk(s, "nai") ? "null" : s, out);
	return true;
}

static bool put_object(FILE *out, PyObject *o)
{
	if (PyUnicode_Check(o))
		return put_str(out, o);
	if (PyList_Check(o))
		return put_list(out, o);
	if (PyBytes_Check(o))
		return put_bytes(out, o);
	if (o == Py_None)
		return fputs("null", out) >= 0;
	return put_number(out, o);
}

/* ---- records ---------------------------------------------------------------------------------------------------- */

static void next_item(struct py_command *cmd)
{
	if (cmd->items++)
		fputc(',', cmd->out);
}

/* The text of a record comes in pieces: it ends where the next record begins. */
static void end_text(struct py_command *cmd)
{
	if (cmd->in_text)
		fputc('"', cmd->out);
	cmd->in_text = false;
}

void py_json_text(struct py_command *cmd, const char *s, size_t n)
{
	if (!cmd->in_text) {
		next_item(cmd);
		fputc('"', cmd->out);
		cmd->in_text = true;
	}
	put_inside(cmd->out, s, n);
}

/* What all firings of a probe have in common: made once for firings in a row. */
static bool have_probe_text(struct py_command *cmd, const dtrace_probedesc_t *p)
{
	FILE *out;

	if (cmd->probe_text && cmd->probe_id == p->dtpd_id)
		return true;
	free(cmd->probe_text);
	cmd->probe_text = NULL;
	out = open_memstream(&cmd->probe_text, &cmd->probe_textlen);
	if (!out)
		return false;
	fprintf(out, ",\"id\":%u,\"probe\":{", (unsigned int)p->dtpd_id);
	put_field(out, "provider", p->dtpd_provider, sizeof(p->dtpd_provider));
	fputc(',', out);
	put_field(out, "module", p->dtpd_mod, sizeof(p->dtpd_mod));
	fputc(',', out);
	put_field(out, "function", p->dtpd_func, sizeof(p->dtpd_func));
	fputc(',', out);
	put_field(out, "name", p->dtpd_name, sizeof(p->dtpd_name));
	fputs("},\"data\":[", out);
	cmd->probe_id = p->dtpd_id;
	return fclose(out) == 0 && cmd->probe_text;
}

static void put_integer(FILE *out, uint64_t v, bool negative)
{
	char digits[24], *at = digits + sizeof(digits);

	if (negative)
		v = -v;
	do
		*--at = (char)('0' + v % 10);
	while (v /= 10);
	if (negative)
		*--at = '-';
	fwrite(at, 1, (size_t)(digits + sizeof(digits) - at), out);
}

static int on_probe(const dtrace_probedata_t *d, void *arg)
{
	struct consumer *self = ((struct py_call *)arg)->self;
	struct py_command *cmd = self->command;
	FILE *out = cmd->out;

	if (!have_probe_text(cmd, d->dtpda_pdesc))
		return DTRACE_CONSUME_ABORT;
	cmd->items = 0;
	fputs("{\"type\":\"record\",", out);
#ifndef PY_SYSTEM_LIBDTRACE /* not everybody's have it */
	fputs("\"timestamp\":", out);
	put_integer(out, d->dtpda_timestamp, false);
	fputc(',', out);
#endif
	fputs("\"cpu\":", out);
	put_integer(out, (uint64_t)d->dtpda_cpu, false);
	fwrite(cmd->probe_text, 1, cmd->probe_textlen, out);
	return DTRACE_CONSUME_THIS;
}

static bool number(const dtrace_reckind_t *k, const char *at, int64_t *v)
{
	bool sign = k->dtrk_kind == DTRACE_DATA_INT;

	if (!sign && k->dtrk_kind != DTRACE_DATA_UINT && k->dtrk_kind != DTRACE_DATA_PTR)
		return false;
	switch (k->dtrk_size) {
	case 1: *v = sign ? *(const int8_t *)at : *(const uint8_t *)at; return true;
	case 2: {
		int16_t w;

		memcpy(&w, at, sizeof(w));
		*v = sign ? w : (uint16_t)w;
		return true;
	}
	case 4: {
		int32_t w;

		memcpy(&w, at, sizeof(w));
		*v = sign ? w : (int64_t)(uint32_t)w;
		return true;
	}
	case 8: memcpy(v, at, sizeof(*v)); return true;
	default: return false;
	}
}

/* Without Python; false: the kind is none of those. */
static bool put_simple(struct py_command *cmd, const dtrace_probedata_t *d,
		       const dtrace_recdesc_t *rec)
{
	const char *at = d->dtpda_data + rec->dtrd_offset;
	dtrace_reckind_t k;
	int64_t v;

	if (rec->dtrd_action != DTRACEACT_DIFEXPR || !py_engine.rec_kind ||
	    py_engine.rec_kind(rec, &k) < 0 ||
	    rec->dtrd_offset + (size_t)k.dtrk_size > d->dtpda_edesc->dtepd_size)
		return false;
	if (number(&k, at, &v)) {
		next_item(cmd);
		put_integer(cmd->out, (uint64_t)v, k.dtrk_kind == DTRACE_DATA_INT && v < 0);
		return true;
	}
	if (k.dtrk_kind != DTRACE_DATA_STR)
		return false;
	next_item(cmd);
	put_string(cmd->out, at, strnlen(at, k.dtrk_size));
	return true;
}

static bool put_datum(struct py_call *call, const dtrace_probedata_t *d, const dtrace_recdesc_t *rec)
{
	struct py_command *cmd = call->self->command;
	_cleanup_pyref_ PyObject *o = NULL;

	if (put_simple(cmd, d, rec))
		return true;
	if (!py_call_gil(call))
		return false;
	o = py_record(call, d, rec);
	if (!o)
		return !PyErr_Occurred();
	next_item(cmd);
	return put_object(cmd->out, o);
}

static int on_record(const dtrace_probedata_t *d, const dtrace_recdesc_t *rec, void *arg)
{
	struct py_call *call = arg;
	struct py_command *cmd = call->self->command;

	end_text(cmd);
	if (!rec) {
		fputs("]}\n", cmd->out);
		return DTRACE_CONSUME_NEXT;
	}
	switch (py_way_of(rec)) {
	case PY_WAY_PRINT: return DTRACE_CONSUME_THIS;
	case PY_WAY_EXIT: py_note_exit(call->self, d, rec); break;
	case PY_WAY_DATUM:
		if (!put_datum(call, d, rec))
			return DTRACE_CONSUME_ABORT;
		break;
	default: break;
	}
	return DTRACE_CONSUME_NEXT;
}

PyObject *Consumer_show_json(PyObject *o, PyObject *unused)
{
	struct consumer *self = (struct consumer *)o;
	struct py_command *cmd = py_command_enter(self, "show_json", py_engine.buffered);
	dtrace_workstatus_t rc = DTRACE_WORKSTATUS_ERROR;
	_cleanup_pyref_ PyObject *none = NULL;
	struct py_call call;
	bool ok;

	if (!cmd)
		return NULL;
	ok = py_command_has_output(self, cmd);
	if (ok) {
		cmd->in_text = false;
		py_call_begin(&call, self, "show_json", NULL);
		call.json = true;
		rc = py_engine.work(self->h, NULL, on_probe, on_record, &call);
		py_command_flush(cmd);
		py_call_end(&call);
		ok = rc != DTRACE_WORKSTATUS_ERROR || py_raise(self);
		ok = py_command_flushed(cmd) && ok;
	}
	none = py_finish(self, ok);
	return none ? PyBool_FromLong(rc == DTRACE_WORKSTATUS_DONE) : NULL;
}

/* ---- aggregations ----------------------------------------------------------------------------------------------- */

static const char *const functions[] = { "",    "count",  "min",      "max",       "avg",
					 "sum", "stddev", "quantize", "lquantize", "llquantize" };

static const char *function_of(const dtrace_aggdesc_t *desc)
{
	const dtrace_recdesc_t *value = &desc->dtagd_rec[desc->dtagd_nrecs - 1];
	unsigned int n = value->dtrd_action - DTRACEACT_AGGREGATION;

	return desc->dtagd_nrecs > 0 && n < sizeof(functions) / sizeof(functions[0]) ? functions[n] :
										       "";
}

/* 'k' and 'u' for stacks of the kernel and of processes, '-' for everything else. */
static PyObject *kinds_of(const dtrace_aggdesc_t *desc)
{
	char kinds[64];
	int n = 0;

	for (int i = 1; i < desc->dtagd_nrecs - 1 && n < (int)sizeof(kinds); i++) {
		switch (desc->dtagd_rec[i].dtrd_action) {
		case DTRACEACT_STACK: kinds[n++] = 'k'; break;
		case DTRACEACT_USTACK:
		case DTRACEACT_JSTACK: kinds[n++] = 'u'; break;
		default: kinds[n++] = '-';
		}
	}
	return PyUnicode_FromStringAndSize(kinds, n);
}

static int add_row(const dtrace_aggdata_t *agg, void *arg)
{
	struct py_call *call = arg;
	const dtrace_aggdesc_t *desc = agg->dtada_desc;
	_cleanup_pyref_ PyObject *row = NULL;

	if (!py_call_gil(call))
		return DTRACE_AGGWALK_ABORT;
	row = Py_BuildValue("LssNNN", (long long)desc->dtagd_varid,
			    desc->dtagd_name ? desc->dtagd_name : "", function_of(desc),
			    kinds_of(desc), py_agg_keys(call->self, agg),
			    py_agg_value(call->self, agg));
	if (!row || PyList_Append(call->callback, row) < 0)
		return DTRACE_AGGWALK_ABORT;
	return DTRACE_AGGWALK_NEXT;
}

PyObject *Consumer_rows(PyObject *o, PyObject *unused)
{
	struct consumer *self = (struct consumer *)o;
	_cleanup_pyref_ PyObject *none = NULL;
	struct py_call call;
	PyObject *list;
	int rc = -1;

	if (!py_command_enter(self, "rows", py_engine.aggregate_walk_sorted))
		return NULL;
	list = PyList_New(0);
	py_call_begin(&call, self, "rows", list);
	if (list)
		rc = py_engine.aggregate_snap(self->h);
	if (rc == 0)
		rc = py_engine.aggregate_walk_sorted(self->h, add_row, &call);
	py_call_end(&call);
	none = py_finish(self, list && (rc == 0 || py_raise(self)));
	if (!none)
		Py_CLEAR(list);
	return list;
}
