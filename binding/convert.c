/* SPDX-License-Identifier: Apache-2.0 */
/*
 * convert.c - raw bytes of records and aggregations to Python objects.
 *
 * The kind of a datum is told by the engine or, for a libdtrace that does not, guessed from action and size as
 * other bindings do.  Each kind is a row in a table.  Text from traced programs may hold any bytes: it is read
 * as UTF-8 with surrogateescape, so nothing is lost.
 */
#include "state.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

PyObject *py_text(const char *s, size_t n)
{
	return PyUnicode_DecodeUTF8(s, (Py_ssize_t)n, "surrogateescape");
}

/* ---- probes ------------------------------------------------------------------------------------- */

/* Probe ids are small numbers.  One beyond this is not remembered. */
#define PROBES_MAX (1u << 22)

static int dict_set(PyObject *dict, PyObject *key, const char *s, size_t max)
{
	_cleanup_pyref_ PyObject *v = py_text(s, strnlen(s, max));

	return v ? PyDict_SetItem(dict, key, v) : -1;
}

static PyObject *probe_new(struct py_state *st, const dtrace_probedesc_t *d)
{
	PyObject *dict = PyDict_New();

	if (dict && dict_set(dict, st->provider, d->dtpd_provider, sizeof(d->dtpd_provider)) == 0 &&
	    dict_set(dict, st->module, d->dtpd_mod, sizeof(d->dtpd_mod)) == 0 &&
	    dict_set(dict, st->function, d->dtpd_func, sizeof(d->dtpd_func)) == 0 &&
	    dict_set(dict, st->name, d->dtpd_name, sizeof(d->dtpd_name)) == 0)
		return dict;
	Py_XDECREF(dict);
	return NULL;
}

static bool probes_grow(struct consumer *self, dtrace_id_t id)
{
	size_t n = self->nprobes ? self->nprobes : 64;
	PyObject **grown;

	while (n <= id)
		n *= 2;
	grown = realloc(self->probes, n * sizeof(PyObject *));
	if (!grown)
		return PyErr_NoMemory();
	memset(grown + self->nprobes, 0, (n - self->nprobes) * sizeof(PyObject *));
	self->probes = grown;
	grown = realloc(self->probe_names, n * sizeof(PyObject *));
	if (!grown)
		return PyErr_NoMemory();
	memset(grown + self->nprobes, 0, (n - self->nprobes) * sizeof(PyObject *));
	self->probe_names = grown;
	self->nprobes = n;
	return true;
}

PyObject *py_probe(struct consumer *self, const dtrace_probedesc_t *desc)
{
	dtrace_id_t id = desc->dtpd_id;

	if (id >= PROBES_MAX)
		return probe_new(self->st, desc);
	if (id >= self->nprobes && !probes_grow(self, id))
		return NULL;
	if (!self->probes[id])
		self->probes[id] = probe_new(self->st, desc);
	return self->probes[id] ? PyDict_Copy(self->probes[id]) : NULL;
}

static PyObject *probe_name_new(struct py_state *st, const dtrace_probedesc_t *d)
{
	return PyObject_CallFunction(
		st->probe_class, "NNNN",
		py_text(d->dtpd_provider, strnlen(d->dtpd_provider, sizeof(d->dtpd_provider))),
		py_text(d->dtpd_mod, strnlen(d->dtpd_mod, sizeof(d->dtpd_mod))),
		py_text(d->dtpd_func, strnlen(d->dtpd_func, sizeof(d->dtpd_func))),
		py_text(d->dtpd_name, strnlen(d->dtpd_name, sizeof(d->dtpd_name))));
}

PyObject *py_probe_name(struct consumer *self, const dtrace_probedesc_t *desc)
{
	dtrace_id_t id = desc->dtpd_id;

	if (id >= PROBES_MAX)
		return probe_name_new(self->st, desc);
	if (id >= self->nprobes && !probes_grow(self, id))
		return NULL;
	if (!self->probe_names[id])
		self->probe_names[id] = probe_name_new(self->st, desc);
	return Py_XNewRef(self->probe_names[id]);
}

void py_probes_clear(struct consumer *self)
{
	for (size_t i = 0; i < self->nprobes; i++) {
		Py_CLEAR(self->probes[i]);
		Py_CLEAR(self->probe_names[i]);
	}
	free(self->probes);
	free(self->probe_names);
	self->probes = self->probe_names = NULL;
	self->nprobes = 0;
}

/* ---- symbols -------------------------------------------------------------------------------------- */

#define KERNEL ((pid_t) - 1)

enum form { FORM_FULL, FORM_NAME, FORM_MODULE };

static int resolve(struct consumer *self, pid_t pid, uint64_t addr, char *buf, int size)
{
	if (pid == KERNEL)
		return py_engine.addr2str(self->h, addr, buf, size);
	return py_engine.uaddr2str(self->h, pid, addr, buf, size);
}

/* MOD`SYM+0xOFF as asked for: what of s is meant. */
static const char *symbol_form(const char *s, enum form form, size_t *n)
{
	static const char unknown[] = "<unknown>";
	const char *end;

	if (form == FORM_MODULE) {
		end = strchr(s, '`');
		*n = end ? (size_t)(end - s) : sizeof(unknown) - 1;
		return end ? s : unknown;
	}
	end = form == FORM_NAME ? strrchr(s, '+') : NULL;
	if (!end || strncmp(end, "+0x", 3) != 0)
		end = s + strlen(s);
	*n = (size_t)(end - s);
	return s;
}

static PyObject *symbol(struct consumer *self, pid_t pid, uint64_t addr, enum form form)
{
	char buf[512], *s = buf;
	int n = resolve(self, pid, addr, buf, sizeof(buf));
	const char *text;
	PyObject *r;
	size_t len;

	if (n >= (int)sizeof(buf)) {
		s = malloc((size_t)n + 1);
		if (!s)
			return PyErr_NoMemory();
		n = resolve(self, pid, addr, s, n + 1);
	}
	if (n < 0)
		snprintf(s, sizeof(buf), "0x%llx", (unsigned long long)addr);
	text = symbol_form(s, form, &len);
	r = py_text(text, len);
	if (s != buf)
		free(s);
	return r;
}

static enum form form_of(dtrace_datakind_t kind)
{
	switch (kind) {
	case DTRACE_DATA_SYM:
	case DTRACE_DATA_USYM: return FORM_NAME;
	case DTRACE_DATA_MOD:
	case DTRACE_DATA_UMOD: return FORM_MODULE;
	default: return FORM_FULL;
	}
}

/* Texts longer than the buffer are cut. */
size_t py_symbol_text(struct consumer *self, dtrace_datakind_t kind, pid_t pid, uint64_t addr,
		      char *buf, size_t size, const char **s)
{
	size_t n;

	if (resolve(self, pid, addr, buf, (int)size) < 0)
		snprintf(buf, size, "0x%llx", (unsigned long long)addr);
	*s = symbol_form(buf, form_of(kind), &n);
	return n;
}

/* ---- the kinds -------------------------------------------------------------------------------------- */

static uint64_t load64(const char *p)
{
	uint64_t v;

	memcpy(&v, p, sizeof(v));
	return v;
}

static uint64_t load_uint(const char *p, uint32_t size)
{
	uint32_t v;

	if (size == sizeof(uint64_t))
		return load64(p);
	memcpy(&v, p, sizeof(v));
	return v;
}

static PyObject *from_bytes(struct consumer *self, const char *p, uint32_t size)
{
	return PyBytes_FromStringAndSize(p, (Py_ssize_t)size);
}

#define LOAD(type, convert) \
	do { \
		type v; \
		memcpy(&v, p, sizeof(v)); \
		return convert(v); \
	} while (0)

static PyObject *from_int(struct consumer *self, const char *p, uint32_t size)
{
	switch (size) {
	case 1: LOAD(int8_t, PyLong_FromLong);
	case 2: LOAD(int16_t, PyLong_FromLong);
	case 4: LOAD(int32_t, PyLong_FromLong);
	case 8: LOAD(int64_t, PyLong_FromLongLong);
	default: return from_bytes(self, p, size);
	}
}

static PyObject *from_uint(struct consumer *self, const char *p, uint32_t size)
{
	switch (size) {
	case 1: LOAD(uint8_t, PyLong_FromLong);
	case 2: LOAD(uint16_t, PyLong_FromLong);
	case 4: LOAD(uint32_t, PyLong_FromUnsignedLong);
	case 8: LOAD(uint64_t, PyLong_FromUnsignedLongLong);
	default: return from_bytes(self, p, size);
	}
}

static PyObject *from_float(struct consumer *self, const char *p, uint32_t size)
{
	switch (size) {
	case sizeof(float): LOAD(float, PyFloat_FromDouble);
	case sizeof(double): LOAD(double, PyFloat_FromDouble);
#if __SIZEOF_LONG_DOUBLE__ > __SIZEOF_DOUBLE__
	case sizeof(long double): LOAD(long double, PyFloat_FromDouble);
#endif
	default: return from_bytes(self, p, size);
	}
}

static PyObject *from_str(struct consumer *self, const char *p, uint32_t size)
{
	return py_text(p, strnlen(p, size));
}

static PyObject *frames(struct consumer *self, pid_t pid, const char *p, size_t n)
{
	PyObject *list;

	for (size_t i = 0; i < n; i++) /* a short stack ends with zero */
		if (load64(p + i * 8) == 0)
			n = i;
	list = PyList_New((Py_ssize_t)n);
	for (size_t i = 0; list && i < n; i++) {
		PyObject *frame = symbol(self, pid, load64(p + i * 8), FORM_FULL);

		if (!frame) {
			Py_DECREF(list);
			return NULL;
		}
		PY_LIST_SET(list, (Py_ssize_t)i, frame);
	}
	return list;
}

static PyObject *from_stack(struct consumer *self, const char *p, uint32_t size)
{
	return frames(self, KERNEL, p, size / 8);
}

static PyObject *from_ustack(struct consumer *self, const char *p, uint32_t size)
{
	if (size < 8)
		return PyList_New(0);
	return frames(self, (pid_t)load64(p), p + 8, size / 8 - 1);
}

static PyObject *kernel_symbol(struct consumer *self, const char *p, uint32_t size, enum form form)
{
	if (size < 8)
		return from_bytes(self, p, size);
	return symbol(self, KERNEL, load64(p), form);
}

static PyObject *user_symbol(struct consumer *self, const char *p, uint32_t size, enum form form)
{
	if (size < 16)
		return from_bytes(self, p, size);
	return symbol(self, (pid_t)load64(p), load64(p + 8), form);
}

static PyObject *from_sym(struct consumer *self, const char *p, uint32_t size)
{
	return kernel_symbol(self, p, size, FORM_NAME);
}

static PyObject *from_mod(struct consumer *self, const char *p, uint32_t size)
{
	return kernel_symbol(self, p, size, FORM_MODULE);
}

static PyObject *from_usym(struct consumer *self, const char *p, uint32_t size)
{
	return user_symbol(self, p, size, FORM_NAME);
}

static PyObject *from_umod(struct consumer *self, const char *p, uint32_t size)
{
	return user_symbol(self, p, size, FORM_MODULE);
}

static PyObject *from_uaddr(struct consumer *self, const char *p, uint32_t size)
{
	return user_symbol(self, p, size, FORM_FULL);
}

typedef PyObject *converter(struct consumer *self, const char *p, uint32_t size);

static converter *const converters[] = {
	[DTRACE_DATA_INT] = from_int,     [DTRACE_DATA_UINT] = from_uint,
	[DTRACE_DATA_PTR] = from_uint,    [DTRACE_DATA_STR] = from_str,
	[DTRACE_DATA_BYTES] = from_bytes, [DTRACE_DATA_FLOAT] = from_float,
	[DTRACE_DATA_STACK] = from_stack, [DTRACE_DATA_USTACK] = from_ustack,
	[DTRACE_DATA_SYM] = from_sym,     [DTRACE_DATA_MOD] = from_mod,
	[DTRACE_DATA_USYM] = from_usym,   [DTRACE_DATA_UMOD] = from_umod,
	[DTRACE_DATA_UADDR] = from_uaddr,
};

/* Printable up to a NUL: what a libdtrace that does not tell would print as a string. */
static bool looks_like_text(const char *p, uint32_t size)
{
	size_t n = strnlen(p, size);

	if (n == size)
		return false;
	for (size_t i = 0; i < n; i++)
		if ((unsigned char)p[i] < ' ' && !strchr("\t\n\r\f\v\b\a\033", p[i]))
			return false;
	return true;
}

dtrace_datakind_t py_guess(const dtrace_recdesc_t *rec, const char *p)
{
	switch (rec->dtrd_action) {
	case DTRACEACT_STACK: return DTRACE_DATA_STACK;
	case DTRACEACT_USTACK:
	case DTRACEACT_JSTACK: return DTRACE_DATA_USTACK;
	case DTRACEACT_SYM: return DTRACE_DATA_SYM;
	case DTRACEACT_MOD: return DTRACE_DATA_MOD;
	case DTRACEACT_USYM: return DTRACE_DATA_USYM;
	case DTRACEACT_UMOD: return DTRACE_DATA_UMOD;
	case DTRACEACT_UADDR: return DTRACE_DATA_UADDR;
	default: break;
	}
	switch (rec->dtrd_size) {
	case 1:
	case 2:
	case 4:
	case 8: return DTRACE_DATA_INT;
	default: return looks_like_text(p, rec->dtrd_size) ? DTRACE_DATA_STR : DTRACE_DATA_BYTES;
	}
}

bool py_within(const dtrace_recdesc_t *rec, size_t size)
{
	return rec->dtrd_offset <= size && rec->dtrd_size <= size - rec->dtrd_offset;
}

static PyObject *outside(void)
{
	PyErr_SetString(PyExc_SystemError, "libdtrace described a record beyond the end of its data");
	return NULL;
}

PyObject *py_datum(struct consumer *self, const dtrace_recdesc_t *rec, const char *base, size_t size)
{
	const char *p = base + rec->dtrd_offset;
	dtrace_reckind_t k = { .dtrk_size = rec->dtrd_size };

	if (!py_within(rec, size))
		return outside();
	if (!py_engine.rec_kind || py_engine.rec_kind(rec, &k) < 0)
		k.dtrk_kind = py_guess(rec, p);
	if (k.dtrk_kind == DTRACE_DATA_NONE)
		return NULL;
	if (k.dtrk_size > rec->dtrd_size ||
	    (size_t)k.dtrk_kind >= sizeof(converters) / sizeof(converters[0]))
		return outside();
	return converters[k.dtrk_kind](self, p, k.dtrk_size);
}

uint32_t py_tracemem_size(const dtrace_recdesc_t *rec, const dtrace_recdesc_t *next,
			  const char *base, size_t size)
{
	uint64_t shown = rec->dtrd_size;

	if (next && next->dtrd_action == DTRACEACT_TRACEMEM_DYNSIZE &&
	    (next->dtrd_size == 4 || next->dtrd_size == 8) && py_within(next, size))
		shown = load_uint(base + next->dtrd_offset, next->dtrd_size);
	return shown < rec->dtrd_size ? (uint32_t)shown : rec->dtrd_size;
}

PyObject *py_tracemem(const dtrace_recdesc_t *rec, const dtrace_recdesc_t *next, const char *base,
		      size_t size)
{
	if (!py_within(rec, size))
		return outside();
	return PyBytes_FromStringAndSize(base + rec->dtrd_offset,
					 (Py_ssize_t)py_tracemem_size(rec, next, base, size));
}

/* ---- aggregations: single values --------------------------------------------------------------------- */

int64_t py_word(const struct py_words *w, size_t i)
{
	return (int64_t)load64(w->p + i * 8);
}

int64_t py_normalized(int64_t v, int64_t normal)
{
	return normal == 1 || (normal == -1 && v == INT64_MIN) ? v : v / normal;
}

static PyObject *value_one(struct py_state *st, const struct py_words *w)
{
	return PyLong_FromLongLong(py_normalized(py_word(w, 0), w->normal));
}

static PyObject *value_avg(struct py_state *st, const struct py_words *w)
{
	int64_t count = py_word(w, 0), sum = py_word(w, 1);

	if (count == 0)
		return PyFloat_FromDouble(0);
	return PyFloat_FromDouble(
		(double)((long double)sum / (long double)count / (long double)w->normal));
}

/* n * squares - sum * sum for a sum of squares beyond 64 bits, in Python's integers. */
static double big_spread(uint64_t n, int64_t sum, uint64_t low, uint64_t high)
{
	char expr[128];
	_cleanup_pyref_ PyObject *squares = NULL, *count = PyLong_FromUnsignedLongLong(n);
	_cleanup_pyref_ PyObject *s = PyLong_FromLongLong(sum), *left = NULL, *right = NULL;
	_cleanup_pyref_ PyObject *diff = NULL, *divisor = NULL, *quotient = NULL;

	snprintf(expr, sizeof(expr), "%llx%016llx", (unsigned long long)high,
		 (unsigned long long)low);
	squares = PyLong_FromString(expr, NULL, 16);
	if (!squares || !count || !s)
		return -1;
	left = PyNumber_Multiply(squares, count);
	right = PyNumber_Multiply(s, s);
	diff = left && right ? PyNumber_Subtract(left, right) : NULL;
	divisor = PyNumber_Multiply(count, count);
	quotient = diff && divisor ? PyNumber_TrueDivide(diff, divisor) : NULL;
	return quotient ? PyFloat_AsDouble(quotient) : -1;
}

/* sqrt(squares / n - (sum / n)^2), as one exact difference over n^2. */
double py_stddev(const struct py_words *w)
{
	uint64_t n = (uint64_t)py_word(w, 0), low = (uint64_t)py_word(w, 2),
		 high = (uint64_t)py_word(w, 3);
	int64_t sum = py_word(w, 1);
	double variance = 0;

	if (n > 0 && high == 0) {
		uint64_t magnitude = sum < 0 ? -(uint64_t)sum : (uint64_t)sum;
		unsigned __int128 left = (unsigned __int128)low * n;
		unsigned __int128 right = (unsigned __int128)magnitude * magnitude;

		if (left > right)
			variance = (double)(left - right) / (double)n / (double)n;
	} else if (n > 0) {
		variance = big_spread(n, sum, low, high);
	}
	return variance > 0 ? sqrt(variance) / (double)w->normal : 0.0;
}

static PyObject *value_stddev(struct py_state *st, const struct py_words *w)
{
	double v = py_stddev(w);

	return PyErr_Occurred() ? NULL : PyFloat_FromDouble(v);
}

/* ---- aggregations: distributions ------------------------------------------------------------------------ */

static PyObject *pair(PyObject *a, PyObject *b)
{
	PyObject *t = a && b ? PyTuple_New(2) : NULL;

	if (!t) {
		Py_XDECREF(a);
		Py_XDECREF(b);
		return NULL;
	}
	PY_TUPLE_SET(t, 0, a);
	PY_TUPLE_SET(t, 1, b);
	return t;
}

static PyObject *range(int64_t low, int64_t high)
{
	return pair(PyLong_FromLongLong(low), PyLong_FromLongLong(high));
}

/* Append ((low, high), count); takes the range over. */
static bool row(PyObject *list, PyObject *low_high, int64_t count)
{
	PyObject *r = low_high ? pair(low_high, PyLong_FromLongLong(count)) : NULL;
	int rc = r ? PyList_Append(list, r) : -1;

	Py_XDECREF(r);
	return rc == 0;
}

/* A bucket is a row only when something is in it. */
static bool bucket(struct py_sink *sink, const struct py_words *w, size_t i, int64_t low, int64_t high)
{
	int64_t count = i < w->n ? py_word(w, i) : 0;

	return count == 0 || sink->put(sink, low, high, count, SIZE_MAX);
}

static int64_t quantize_low(size_t i)
{
	if (i >= DTRACE_QUANTIZE_ZEROBUCKET)
		return DTRACE_QUANTIZE_BUCKETVAL(i);
	return i == 0 ? INT64_MIN : 2 * DTRACE_QUANTIZE_BUCKETVAL(i) + 1;
}

static int64_t quantize_high(size_t i)
{
	int64_t v = DTRACE_QUANTIZE_BUCKETVAL(i);

	return i > DTRACE_QUANTIZE_ZEROBUCKET ? v + (v - 1) : v;
}

int py_quantize_ranges(struct py_state *st)
{
	for (size_t i = 0; i < DTRACE_QUANTIZE_NBUCKETS; i++) {
		st->quantize_range[i] = range(quantize_low(i), quantize_high(i));
		if (!st->quantize_range[i])
			return -1;
	}
	return 0;
}

static bool fill_quantize(struct py_sink *sink, const struct py_words *w)
{
	for (size_t i = 0; i < DTRACE_QUANTIZE_NBUCKETS && i < w->n; i++) {
		int64_t count = py_word(w, i);

		if (count && !sink->put(sink, quantize_low(i), quantize_high(i), count, i))
			return false;
	}
	return true;
}

/* The first word tells base, step and levels; then: below base, the levels, from the limit on. */
static bool fill_lquantize(struct py_sink *sink, const struct py_words *w)
{
	uint64_t arg = (uint64_t)py_word(w, 0);
	int64_t base = DTRACE_LQUANTIZE_BASE(arg), step = DTRACE_LQUANTIZE_STEP(arg);
	size_t levels = DTRACE_LQUANTIZE_LEVELS(arg);
	const struct py_words b = { w->p + 8, w->n - 1, w->normal };

	if (!bucket(sink, &b, 0, INT64_MIN, base - 1))
		return false;
	for (size_t i = 1; i <= levels; i++, base += step)
		if (!bucket(sink, &b, i, base, base + step - 1))
			return false;
	return bucket(sink, &b, levels + 1, base, INT64_MAX);
}

/* The first word tells factor, magnitudes and steps; then: below factor^low, each magnitude in equal parts,
 * from factor^(high + 1) on. */
static bool fill_llquantize(struct py_sink *sink, const struct py_words *w)
{
	uint64_t arg = (uint64_t)py_word(w, 0);
	int64_t factor = DTRACE_LLQUANTIZE_FACTOR(arg), steps = DTRACE_LLQUANTIZE_NSTEP(arg);
	unsigned int low = DTRACE_LLQUANTIZE_LOW(arg), high = DTRACE_LLQUANTIZE_HIGH(arg);
	const struct py_words b = { w->p + 8, w->n - 1, w->normal };
	int64_t value = 1, next;
	size_t i = 1;

	if (factor < 2 || steps < 1 || high > 63)
		return outside();
	for (unsigned int order = 0; order < low; order++)
		if (__builtin_mul_overflow(value, factor, &value))
			return outside();
	if (!bucket(sink, &b, 0, 0, value - 1))
		return false;
	for (unsigned int order = low; order <= high; order++) {
		int64_t step;

		if (__builtin_mul_overflow(value, factor, &next))
			return outside();
		step = next > steps ? next / steps : 1;
		for (; value < next && i < b.n; value += step)
			if (!bucket(sink, &b, i++, value, value + step - 1))
				return false;
		value = next;
	}
	return bucket(sink, &b, i, value, INT64_MAX);
}

/* ---- aggregations: by function ------------------------------------------------------------------------- */

struct aggfunc {
	unsigned int words; /* at least */
	PyObject *(*value)(struct py_state *st, const struct py_words *w);
	bool (*fill)(struct py_sink *sink, const struct py_words *w);
};

#define AGG(action) ((action) - DTRACEACT_AGGREGATION)

static const struct aggfunc aggfuncs[] = {
	[AGG(DTRACEAGG_COUNT)] = { 1, .value = value_one },
	[AGG(DTRACEAGG_MIN)] = { 1, .value = value_one },
	[AGG(DTRACEAGG_MAX)] = { 1, .value = value_one },
	[AGG(DTRACEAGG_SUM)] = { 1, .value = value_one },
	[AGG(DTRACEAGG_AVG)] = { 2, .value = value_avg },
	[AGG(DTRACEAGG_STDDEV)] = { 4, .value = value_stddev },
	[AGG(DTRACEAGG_QUANTIZE)] = { 1, .fill = fill_quantize },
	[AGG(DTRACEAGG_LQUANTIZE)] = { 1, .fill = fill_lquantize },
	[AGG(DTRACEAGG_LLQUANTIZE)] = { 1, .fill = fill_llquantize },
};

static const struct aggfunc *aggfunc_of(const dtrace_recdesc_t *rec)
{
	size_t i = rec->dtrd_action - DTRACEACT_AGGREGATION;

	return i < sizeof(aggfuncs) / sizeof(aggfuncs[0]) && aggfuncs[i].words ? &aggfuncs[i] : NULL;
}

bool py_is_distribution(const dtrace_recdesc_t *rec)
{
	const struct aggfunc *f = aggfunc_of(rec);

	return f && f->fill;
}

bool py_buckets(const dtrace_recdesc_t *rec, const struct py_words *w, struct py_sink *sink)
{
	return aggfunc_of(rec)->fill(sink, w);
}

bool py_agg_words(struct consumer *self, const dtrace_aggdata_t *agg, struct py_words *w)
{
	const dtrace_aggdesc_t *d = agg->dtada_desc;
	const dtrace_recdesc_t *rec = &d->dtagd_rec[d->dtagd_nrecs - 1];
	const struct aggfunc *f = aggfunc_of(rec);

	*w = (struct py_words){ agg->dtada_data + rec->dtrd_offset, rec->dtrd_size / 8,
				agg->dtada_normal ? (int64_t)agg->dtada_normal : 1 };
	if (!f)
		return py_raise_text(self->st, "unsupported aggregating function 0x%x",
				     (int)rec->dtrd_action);
	if (!py_within(rec, agg->dtada_size) || w->n < f->words)
		return outside();
	return true;
}

struct rows {
	PyObject *list;
	int64_t normal;
};

static bool put_row(struct py_sink *sink, int64_t low, int64_t high, int64_t count, size_t i)
{
	const struct rows *r = sink->arg;
	PyObject *low_high;

	if (i < DTRACE_QUANTIZE_NBUCKETS)
		low_high = Py_NewRef(sink->st->quantize_range[i]);
	else
		low_high = range(low, high);
	return row(r->list, low_high, py_normalized(count, r->normal));
}

PyObject *py_agg_value(struct consumer *self, const dtrace_aggdata_t *agg)
{
	const dtrace_aggdesc_t *d = agg->dtada_desc;
	const dtrace_recdesc_t *rec = &d->dtagd_rec[d->dtagd_nrecs - 1];
	struct py_words w;
	struct rows r;
	struct py_sink sink = { put_row, self->st, &r };

	if (!py_agg_words(self, agg, &w))
		return NULL;
	if (!py_is_distribution(rec))
		return aggfunc_of(rec)->value(self->st, &w);
	r = (struct rows){ PyList_New(0), w.normal };
	if (r.list && py_buckets(rec, &w, &sink))
		return r.list;
	Py_XDECREF(r.list);
	return NULL;
}

PyObject *py_agg_keys(struct consumer *self, const dtrace_aggdata_t *agg)
{
	const dtrace_aggdesc_t *d = agg->dtada_desc;
	int n = d->dtagd_nrecs > 2 ? d->dtagd_nrecs - 2 : 0;
	PyObject *list = PyList_New(n);

	for (int i = 0; list && i < n; i++) {
		PyObject *key =
			py_datum(self, &d->dtagd_rec[1 + i], agg->dtada_data, agg->dtada_size);

		if (!key && !PyErr_Occurred())
			key = PyBytes_FromStringAndSize(NULL, 0);
		if (!key) {
			Py_DECREF(list);
			return NULL;
		}
		PY_LIST_SET(list, i, key);
	}
	return list;
}
