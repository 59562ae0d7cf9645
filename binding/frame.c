/* SPDX-License-Identifier: Apache-2.0 */
/*
 * frame.c - columns, for everybody who understands Arrow or buffers.
 *
 * A Frame is a set of columns of equal length that does not change any more; a Column is one of them.  Both offer
 * the Arrow PyCapsule interface; columns of numbers offer their memory as a buffer, too, so that NumPy
 * takes them without a copy.  What is exported keeps the memory by a count of its own: consumers of Arrow let go
 * of it when they like, with or without the GIL.
 *
 * There are no missing values.
 */
#include "state.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "docstrings.h"

/* ---- the Arrow C data interface, an ABI ------------------------------------------------------------ */

struct ArrowSchema {
	const char *format, *name, *metadata;
	int64_t flags, n_children;
	struct ArrowSchema **children, *dictionary;
	void (*release)(struct ArrowSchema *);
	void *private_data;
};

struct ArrowArray {
	int64_t length, null_count, offset, n_buffers, n_children;
	const void **buffers;
	struct ArrowArray **children, *dictionary;
	void (*release)(struct ArrowArray *);
	void *private_data;
};

struct ArrowArrayStream {
	int (*get_schema)(struct ArrowArrayStream *, struct ArrowSchema *out);
	int (*get_next)(struct ArrowArrayStream *, struct ArrowArray *out);
	const char *(*get_last_error)(struct ArrowArrayStream *);
	void (*release)(struct ArrowArrayStream *);
	void *private_data;
};

/* ---- columns being filled ----------------------------------------------------------------------------- */

static bool buf_reserve(struct py_buf *b, size_t more)
{
	size_t cap = b->cap ? b->cap : 256;
	char *grown;

	if (more <= b->cap - b->n)
		return true;
	while (cap - b->n < more)
		cap *= 2;
	grown = realloc(b->p, cap);
	if (!grown)
		return false;
	b->p = grown;
	b->cap = cap;
	return true;
}

static bool buf_put(struct py_buf *b, const void *p, size_t n)
{
	if (!buf_reserve(b, n))
		return false;
	if (n)
		memcpy(b->p + b->n, p, n);
	b->n += n;
	return true;
}

uint32_t py_colkind_size(enum py_colkind kind)
{
	switch (kind) {
	case PY_COL_S8:
	case PY_COL_U8: return 1;
	case PY_COL_S16:
	case PY_COL_U16: return 2;
	case PY_COL_S32:
	case PY_COL_U32:
	case PY_COL_F32: return 4;
	case PY_COL_S64:
	case PY_COL_U64:
	case PY_COL_F64: return 8;
	default: return 0;
	}
}

static void column_free(struct py_column *c)
{
	if (!c)
		return;
	column_free(c->child);
	free(c->name);
	free(c->data.p);
	free(c->offsets.p);
	free(c);
}

static bool put_offset(struct py_column *c, size_t at)
{
	int64_t offset = (int64_t)at;

	return buf_put(&c->offsets, &offset, sizeof(offset));
}

static struct py_column *column_new(enum py_colkind kind)
{
	struct py_column *c = calloc(1, sizeof(*c));
	bool ok = c;

	if (!c)
		return NULL;
	c->kind = kind;
	/* consumers may look at any buffer, be it empty */
	ok = buf_reserve(&c->data, 8);
	if (kind == PY_COL_TEXT || kind == PY_COL_BYTES || kind == PY_COL_TEXTS)
		ok = ok && put_offset(c, 0);
	if (kind == PY_COL_TEXTS || kind == PY_COL_DICT)
		ok = ok && (c->child = column_new(PY_COL_TEXT));
	if (ok)
		return c;
	column_free(c);
	return NULL;
}

struct py_columns *py_columns_new(void)
{
	struct py_columns *c = calloc(1, sizeof(*c));

	if (c)
		atomic_init(&c->refs, 1);
	return c;
}

static struct py_columns *columns_ref(struct py_columns *c)
{
	atomic_fetch_add_explicit(&c->refs, 1, memory_order_relaxed);
	return c;
}

void py_columns_unref(struct py_columns *c)
{
	if (atomic_fetch_sub_explicit(&c->refs, 1, memory_order_acq_rel) != 1)
		return;
	for (int i = 0; i < c->n; i++)
		column_free(c->v[i]);
	free(c->v);
	free(c);
}

struct py_column *py_columns_add(struct py_columns *c, enum py_colkind kind)
{
	struct py_column *col;

	if (c->n == c->cap) {
		int cap = c->cap ? c->cap * 2 : 8;
		struct py_column **grown = realloc(c->v, (size_t)cap * sizeof(struct py_column *));

		if (!grown)
			return NULL;
		c->v = grown;
		c->cap = cap;
	}
	col = column_new(kind);
	if (col)
		c->v[c->n++] = col;
	return col;
}

bool py_column_name(struct py_column *c, const char *name)
{
	char *copy = strdup(name);

	if (!copy)
		return false;
	free(c->name);
	c->name = copy;
	return true;
}

bool py_column_put(struct py_column *c, const void *p, size_t size)
{
	if (!buf_put(&c->data, p, size))
		return false;
	if (c->kind == PY_COL_BYTES && !put_offset(c, c->data.n))
		return false;
	c->n++;
	return true;
}

bool py_column_put_s64(struct py_column *c, int64_t v)
{
	return py_column_put(c, &v, sizeof(v));
}

bool py_column_put_f64(struct py_column *c, double v)
{
	return py_column_put(c, &v, sizeof(v));
}

bool py_column_end_list(struct py_column *c)
{
	if (!put_offset(c, c->child->n))
		return false;
	c->n++;
	return true;
}

/* ---- text --------------------------------------------------------------------------------------------- */

/* Length of the UTF-8 sequence at s (n bytes are there), 0 if there is none. */
static size_t sequence(const unsigned char *s, size_t n)
{
	static const struct {
		unsigned char mask, lead;
		uint32_t least;
	} forms[] = { { 0xe0, 0xc0, 0x80 }, { 0xf0, 0xe0, 0x800 }, { 0xf8, 0xf0, 0x10000 } };
	uint32_t code;

	if (s[0] < 0x80)
		return 1;
	for (size_t f = 0; f < 3; f++) {
		if ((s[0] & forms[f].mask) != forms[f].lead)
			continue;
		if (n < f + 2)
			return 0;
		code = s[0] & (unsigned char)~forms[f].mask;
		for (size_t i = 1; i < f + 2; i++) {
			if ((s[i] & 0xc0) != 0x80)
				return 0;
			code = code << 6 | (s[i] & 0x3f);
		}
		if (code < forms[f].least || code > 0x10ffff || (code >= 0xd800 && code < 0xe000))
			return 0;
		return f + 2;
	}
	return 0;
}

static size_t ascii_prefix(const char *s, size_t n)
{
	size_t i = 0;
	uint64_t w;

	for (; i + 8 <= n; i += 8) {
		memcpy(&w, s + i, 8);
		if (w & UINT64_C(0x8080808080808080))
			break;
	}
	while (i < n && (unsigned char)s[i] < 0x80)
		i++;
	return i;
}

bool py_column_put_text(struct py_column *c, const char *s, size_t n)
{
	static const char replacement[] = "\xef\xbf\xbd";
	size_t i = ascii_prefix(s, n);

	if (!buf_put(&c->data, s, i))
		return false;
	while (i < n) {
		size_t len = sequence((const unsigned char *)s + i, n - i);

		if (!buf_put(&c->data, len ? s + i : replacement, len ? len : 3))
			return false;
		i += len ? len : 1;
	}
	c->n++;
	return put_offset(c, c->data.n);
}

/* ---- schemas -------------------------------------------------------------------------------------------- */

struct schema_private {
	char *name;
	struct ArrowSchema *children, *pointers[];
};

static void schema_release(struct ArrowSchema *s)
{
	struct schema_private *p = s->private_data;

	for (int64_t i = 0; i < s->n_children; i++)
		if (s->children[i]->release)
			s->children[i]->release(s->children[i]);
	if (s->dictionary) {
		if (s->dictionary->release)
			s->dictionary->release(s->dictionary);
		free(s->dictionary);
	}
	if (p) {
		free(p->children);
		free(p->name);
	}
	free(p);
	s->release = NULL;
}

/* False: no memory; *s is to be released in any case. */
static bool schema_init(struct ArrowSchema *s, const char *format, const char *name, int64_t children)
{
	struct schema_private *p =
		calloc(1, sizeof(*p) + (size_t)children * sizeof(struct ArrowSchema *));

	*s = (struct ArrowSchema){ .format = format, .name = "", .release = schema_release };
	s->private_data = p;
	if (!p)
		return false;
	p->name = strdup(name);
	p->children = calloc((size_t)children + 1, sizeof(*p->children));
	if (!p->name || !p->children)
		return false;
	for (int64_t i = 0; i < children; i++)
		p->pointers[i] = &p->children[i];
	s->name = p->name;
	s->n_children = children;
	s->children = p->pointers;
	return true;
}

static const char *format_of(enum py_colkind kind)
{
	switch (kind) {
	case PY_COL_S8: return "c";
	case PY_COL_U8: return "C";
	case PY_COL_S16: return "s";
	case PY_COL_U16: return "S";
	case PY_COL_DICT:
	case PY_COL_S32: return "i";
	case PY_COL_U32: return "I";
	case PY_COL_S64: return "l";
	case PY_COL_U64: return "L";
	case PY_COL_F32: return "f";
	case PY_COL_F64: return "g";
	case PY_COL_TEXT: return "U";
	case PY_COL_BYTES: return "Z";
	default: return "+L";
	}
}

static bool column_schema(const struct py_column *c, struct ArrowSchema *s)
{
	bool is_list = c->kind == PY_COL_TEXTS;

	if (!schema_init(s, format_of(c->kind), c->name ? c->name : "", is_list))
		return false;
	if (is_list)
		return schema_init(s->children[0], "U", "item", 0);
	if (c->kind != PY_COL_DICT)
		return true;
	s->dictionary = calloc(1, sizeof(*s->dictionary));
	return s->dictionary && schema_init(s->dictionary, "U", "", 0);
}

static int shown(const struct py_columns *c)
{
	int n = 0;

	for (int i = 0; i < c->n; i++)
		n += !c->v[i]->hidden;
	return n;
}

static bool columns_schema(const struct py_columns *c, struct ArrowSchema *s)
{
	int64_t at = 0;

	if (!schema_init(s, "+s", "", shown(c)))
		return false;
	for (int i = 0; i < c->n; i++)
		if (!c->v[i]->hidden && !column_schema(c->v[i], s->children[at++]))
			return false;
	return true;
}

/* ---- arrays ------------------------------------------------------------------------------------------------ */

struct array_private {
	struct py_columns *keep;
	const void *buffers[3];
	struct ArrowArray *children, *pointers[];
};

static void array_release(struct ArrowArray *a)
{
	struct array_private *p = a->private_data;

	for (int64_t i = 0; i < a->n_children; i++)
		if (a->children[i]->release)
			a->children[i]->release(a->children[i]);
	if (a->dictionary) {
		if (a->dictionary->release)
			a->dictionary->release(a->dictionary);
		free(a->dictionary);
	}
	if (p) {
		py_columns_unref(p->keep);
		free(p->children);
	}
	free(p);
	a->release = NULL;
}

static bool array_init(struct ArrowArray *a, struct py_columns *keep, size_t length, int buffers,
		       int64_t children)
{
	struct array_private *p =
		calloc(1, sizeof(*p) + (size_t)children * sizeof(struct ArrowArray *));

	*a = (struct ArrowArray){ .length = (int64_t)length, .release = array_release };
	a->private_data = p;
	if (!p)
		return false;
	p->keep = columns_ref(keep);
	p->children = calloc((size_t)children + 1, sizeof(*p->children));
	if (!p->children)
		return false;
	for (int64_t i = 0; i < children; i++)
		p->pointers[i] = &p->children[i];
	a->n_buffers = buffers;
	a->buffers = p->buffers;
	a->n_children = children;
	a->children = p->pointers;
	return true;
}

static bool column_array(struct py_columns *keep, const struct py_column *c, size_t length,
			 struct ArrowArray *a)
{
	bool is_list = c->kind == PY_COL_TEXTS, offsets = c->offsets.p != NULL;

	if (!array_init(a, keep, length, is_list ? 2 : offsets ? 3 : 2, is_list))
		return false;
	a->buffers[1] = offsets ? c->offsets.p : c->data.p;
	if (offsets && !is_list)
		a->buffers[2] = c->data.p;
	if (is_list)
		return column_array(keep, c->child, c->child->n, a->children[0]);
	if (!c->child)
		return true;
	a->dictionary = calloc(1, sizeof(*a->dictionary));
	return a->dictionary && column_array(keep, c->child, c->child->n, a->dictionary);
}

static bool columns_array(struct py_columns *c, struct ArrowArray *a)
{
	int64_t at = 0;

	if (!array_init(a, c, c->rows, 1, shown(c)))
		return false;
	for (int i = 0; i < c->n; i++)
		if (!c->v[i]->hidden && !column_array(c, c->v[i], c->rows, a->children[at++]))
			return false;
	return true;
}

/* ---- capsules ----------------------------------------------------------------------------------------------- */

#define SCHEMA "arrow_schema"
#define ARRAY "arrow_array"
#define STREAM "arrow_array_stream"

/* What nobody has taken out of its capsule is released with it. */
#define CAPSULE(what, type, name) \
	static void what##_capsule_free(PyObject *capsule) \
	{ \
		struct type *p = PyCapsule_GetPointer(capsule, name); \
\
		if (p && p->release) \
			p->release(p); \
		free(p); \
	} \
\
	static struct type *what##_new(PyObject **capsule) \
	{ \
		struct type *p = calloc(1, sizeof(*p)); \
\
		*capsule = NULL; \
		if (p) \
			*capsule = PyCapsule_New(p, name, what##_capsule_free); \
		else \
			PyErr_NoMemory(); \
		if (*capsule) \
			return p; \
		free(p); \
		return NULL; \
	}

CAPSULE(schema, ArrowSchema, SCHEMA)
CAPSULE(array, ArrowArray, ARRAY)
CAPSULE(stream, ArrowArrayStream, STREAM)

/* column NULL: all. */
static PyObject *schema_capsule(const struct py_columns *c, const struct py_column *column)
{
	PyObject *capsule;
	struct ArrowSchema *s = schema_new(&capsule);

	if (!s || (column ? column_schema(column, s) : columns_schema(c, s)))
		return capsule;
	Py_DECREF(capsule);
	return PyErr_NoMemory();
}

static PyObject *array_capsule(struct py_columns *c, const struct py_column *column)
{
	PyObject *capsule;
	struct ArrowArray *a = array_new(&capsule);

	if (!a || (column ? column_array(c, column, c->rows, a) : columns_array(c, a)))
		return capsule;
	Py_DECREF(capsule);
	return PyErr_NoMemory();
}

static PyObject *both_capsules(struct py_columns *c, const struct py_column *column)
{
	PyObject *schema = schema_capsule(c, column);
	PyObject *array = schema ? array_capsule(c, column) : NULL;

	if (array)
		return Py_BuildValue("NN", schema, array);
	Py_XDECREF(schema);
	return NULL;
}

/* ---- streams: one batch ----------------------------------------------------------------------------------------- */

struct stream_private {
	struct py_columns *columns;
	bool done;
};

static int stream_schema(struct ArrowArrayStream *s, struct ArrowSchema *out)
{
	const struct stream_private *p = s->private_data;

	if (columns_schema(p->columns, out))
		return 0;
	out->release(out);
	return ENOMEM;
}

static int stream_next(struct ArrowArrayStream *s, struct ArrowArray *out)
{
	struct stream_private *p = s->private_data;

	*out = (struct ArrowArray){ 0 };
	if (p->done)
		return 0;
	if (!columns_array(p->columns, out)) {
		out->release(out);
		return ENOMEM;
	}
	p->done = true;
	return 0;
}

static const char *stream_error(struct ArrowArrayStream *s)
{
	return "out of memory";
}

static void stream_release(struct ArrowArrayStream *s)
{
	struct stream_private *p = s->private_data;

	py_columns_unref(p->columns);
	free(p);
	s->release = NULL;
}

static PyObject *stream_capsule(struct py_columns *c)
{
	struct stream_private *p = calloc(1, sizeof(*p));
	PyObject *capsule;
	struct ArrowArrayStream *s;

	if (!p)
		return PyErr_NoMemory();
	s = stream_new(&capsule);
	if (!s) {
		free(p);
		return NULL;
	}
	p->columns = columns_ref(c);
	*s = (struct ArrowArrayStream){ stream_schema, stream_next, stream_error, stream_release, p };
	return capsule;
}

/* ---- values as objects --------------------------------------------------------------------------------------- */

static PyObject *slice_of(const struct py_column *c, size_t i)
{
	int64_t from, to;

	memcpy(&from, c->offsets.p + i * 8, 8);
	memcpy(&to, c->offsets.p + (i + 1) * 8, 8);
	if (c->kind == PY_COL_BYTES)
		return PyBytes_FromStringAndSize(c->data.p + from, to - from);
	return PyUnicode_DecodeUTF8(c->data.p + from, to - from, NULL);
}

static PyObject *texts_of(const struct py_column *c, size_t i)
{
	int64_t from, to;
	PyObject *t;

	memcpy(&from, c->offsets.p + i * 8, 8);
	memcpy(&to, c->offsets.p + (i + 1) * 8, 8);
	t = PyTuple_New(to - from);
	for (int64_t k = from; t && k < to; k++) {
		PyObject *s = slice_of(c->child, (size_t)k);

		if (!s) {
			Py_DECREF(t);
			return NULL;
		}
		PY_TUPLE_SET(t, k - from, s);
	}
	return t;
}

#define NUMBER(type, convert) \
	do { \
		type v; \
		memcpy(&v, c->data.p + i * sizeof(v), sizeof(v)); \
		return convert(v); \
	} while (0)

static PyObject *value_at(const struct py_column *c, size_t i)
{
	uint32_t word;

	switch (c->kind) {
	case PY_COL_S8: NUMBER(int8_t, PyLong_FromLong);
	case PY_COL_U8: NUMBER(uint8_t, PyLong_FromLong);
	case PY_COL_S16: NUMBER(int16_t, PyLong_FromLong);
	case PY_COL_U16: NUMBER(uint16_t, PyLong_FromLong);
	case PY_COL_S32: NUMBER(int32_t, PyLong_FromLong);
	case PY_COL_U32: NUMBER(uint32_t, PyLong_FromUnsignedLong);
	case PY_COL_S64: NUMBER(int64_t, PyLong_FromLongLong);
	case PY_COL_U64: NUMBER(uint64_t, PyLong_FromUnsignedLongLong);
	case PY_COL_F32: NUMBER(float, PyFloat_FromDouble);
	case PY_COL_F64: NUMBER(double, PyFloat_FromDouble);
	case PY_COL_TEXTS: return texts_of(c, i);
	case PY_COL_DICT: memcpy(&word, c->data.p + i * 4, 4); return slice_of(c->child, word);
	default: return slice_of(c, i);
	}
}

/* Words of a dictionary are made once. */
static PyObject *words_of(const struct py_column *c)
{
	PyObject *words = PyTuple_New((Py_ssize_t)c->child->n);

	for (size_t i = 0; words && i < c->child->n; i++) {
		PyObject *s = slice_of(c->child, i);

		if (!s) {
			Py_DECREF(words);
			return NULL;
		}
		PY_TUPLE_SET(words, (Py_ssize_t)i, s);
	}
	return words;
}

static PyObject *list_of(const struct py_column *c, size_t rows)
{
	_cleanup_pyref_ PyObject *words = NULL;
	PyObject *list;

	if (c->kind == PY_COL_DICT && !(words = words_of(c)))
		return NULL;
	list = PyList_New((Py_ssize_t)rows);
	for (size_t i = 0; list && i < rows; i++) {
		uint32_t word = 0;
		PyObject *v;

		if (words)
			memcpy(&word, c->data.p + i * 4, 4);
		v = words ? Py_XNewRef(PyTuple_GetItem(words, word)) : value_at(c, i);
		if (!v) {
			Py_DECREF(list);
			return NULL;
		}
		PY_LIST_SET(list, (Py_ssize_t)i, v);
	}
	return list;
}

/* ---- Column ----------------------------------------------------------------------------------------------------- */

struct column_object {
	PyObject_HEAD struct py_columns *columns;
	const struct py_column *c;
	Py_ssize_t shape, stride;
};

static struct column_object *as_column(PyObject *o)
{
	return (struct column_object *)o;
}

static PyObject *column_object(struct py_state *st, struct py_columns *columns,
			       const struct py_column *c)
{
	allocfunc alloc = (allocfunc)PyType_GetSlot(st->column_type, Py_tp_alloc);
	struct column_object *o = (struct column_object *)alloc(st->column_type, 0);

	if (!o)
		return NULL;
	o->columns = columns_ref(columns);
	o->c = c;
	o->shape = (Py_ssize_t)columns->rows;
	o->stride = py_colkind_size(c->kind);
	return (PyObject *)o;
}

static void Column_dealloc(PyObject *o)
{
	PyTypeObject *type = Py_TYPE(o);
	freefunc release = (freefunc)PyType_GetSlot(type, Py_tp_free);

	if (as_column(o)->columns)
		py_columns_unref(as_column(o)->columns);
	release(o);
	Py_DECREF(type);
}

static Py_ssize_t Column_length(PyObject *o)
{
	return as_column(o)->shape;
}

static PyObject *Column_item(PyObject *o, Py_ssize_t i)
{
	if (i >= 0 && i < as_column(o)->shape)
		return value_at(as_column(o)->c, (size_t)i);
	PyErr_SetString(PyExc_IndexError, "column index out of range");
	return NULL;
}

static PyObject *Column_tolist(PyObject *o, PyObject *unused)
{
	return list_of(as_column(o)->c, as_column(o)->columns->rows);
}

static PyObject *Column___arrow_c_schema__(PyObject *o, PyObject *unused)
{
	return schema_capsule(NULL, as_column(o)->c);
}

static bool ignore_request(PyObject *args, PyObject *kwargs)
{
	static char *keywords[] = { (char *)"requested_schema", NULL };
	PyObject *requested;

	return PyArg_ParseTupleAndKeywords(args, kwargs, "|O", keywords, &requested);
}

static PyObject *Column___arrow_c_array__(PyObject *o, PyObject *args, PyObject *kwargs)
{
	if (!ignore_request(args, kwargs))
		return NULL;
	return both_capsules(as_column(o)->columns, as_column(o)->c);
}

static PyObject *Column_get_name(PyObject *o, void *unused)
{
	return PyUnicode_FromString(as_column(o)->c->name ? as_column(o)->c->name : "");
}

static PyObject *Column_get_format(PyObject *o, void *unused)
{
	return PyUnicode_FromString(format_of(as_column(o)->c->kind));
}

/* As the struct module has it. */
static const char *buffer_format(enum py_colkind kind)
{
	static const char of_arrow[] = "cCsSiIlLfg", of_struct[] = "b\0B\0h\0H\0i\0I\0q\0Q\0f\0d";
	const char *at = strchr(of_arrow, (int)kind);

	return of_struct + 2 * (at - of_arrow);
}

static int Column_getbuffer(PyObject *o, Py_buffer *view, int flags)
{
	struct column_object *self = as_column(o);

	if (!self->stride || (flags & PyBUF_WRITABLE)) {
		view->obj = NULL;
		PyErr_SetString(PyExc_BufferError, self->stride ? "columns cannot be written to" :
								  "this column has no numbers");
		return -1;
	}
	*view = (Py_buffer){
		.buf = self->c->data.p,
		.obj = Py_NewRef(o),
		.len = self->shape * self->stride,
		.itemsize = self->stride,
		.readonly = 1,
		.ndim = 1,
		.format = flags & PyBUF_FORMAT ? (char *)(uintptr_t)buffer_format(self->c->kind) :
						 NULL,
		.shape = flags & PyBUF_ND ? &self->shape : NULL,
		.strides = (flags & PyBUF_STRIDES) == PyBUF_STRIDES ? &self->stride : NULL,
	};
	return 0;
}

#define METHOD(type, name, flags) \
	{ #name, (PyCFunction)(void (*)(void))type##_##name, flags, DOC_##type##_##name }

static PyMethodDef column_methods[] = {
	METHOD(Column, tolist, METH_NOARGS),
	METHOD(Column, __arrow_c_schema__, METH_NOARGS),
	METHOD(Column, __arrow_c_array__, METH_VARARGS | METH_KEYWORDS),
	{ NULL, NULL, 0, NULL },
};

static PyGetSetDef column_getters[] = {
	{ "name", Column_get_name, NULL, DOC_Column_name, NULL },
	{ "format", Column_get_format, NULL, DOC_Column_format, NULL },
	{ NULL, NULL, NULL, NULL, NULL },
};

static PyType_Slot column_slots[] = {
	{ Py_tp_dealloc, (void *)Column_dealloc }, { Py_tp_methods, column_methods },
	{ Py_tp_getset, column_getters },          { Py_sq_length, (void *)Column_length },
	{ Py_sq_item, (void *)Column_item },       { Py_bf_getbuffer, (void *)Column_getbuffer },
	{ Py_tp_doc, (void *)DOC_Column },         { 0, NULL },
};

static PyType_Spec column_spec = {
	.name = "dtrace._" PY_ENGINE_NAME ".Column",
	.basicsize = sizeof(struct column_object),
	.flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_IMMUTABLETYPE | Py_TPFLAGS_DISALLOW_INSTANTIATION,
	.slots = column_slots,
};

/* ---- Frame -------------------------------------------------------------------------------------------------------- */

struct frame_object {
	PyObject_HEAD struct py_columns *columns;
	struct py_state *st;
};

static struct frame_object *as_frame(PyObject *o)
{
	return (struct frame_object *)o;
}

static PyObject *frame_alloc(PyTypeObject *type, struct py_state *st, struct py_columns *c)
{
	allocfunc alloc = (allocfunc)PyType_GetSlot(type, Py_tp_alloc);
	struct frame_object *o = (struct frame_object *)alloc(type, 0);

	if (!o) {
		py_columns_unref(c);
		return NULL;
	}
	o->columns = c;
	o->st = st;
	return (PyObject *)o;
}

PyObject *py_frame(struct py_state *st, struct py_columns *c)
{
	return frame_alloc(st->frame_type, st, c);
}

static void Frame_dealloc(PyObject *o)
{
	PyTypeObject *type = Py_TYPE(o);
	freefunc release = (freefunc)PyType_GetSlot(type, Py_tp_free);

	if (as_frame(o)->columns)
		py_columns_unref(as_frame(o)->columns);
	release(o);
	Py_DECREF(type);
}

/* ---- a Frame from Python's values ------------------------------------------------------------------------------ */

static bool put_number(struct py_column *c, PyObject *v)
{
	union {
		uint64_t u;
		int64_t s;
		double d;
	} n;

	if (c->kind == PY_COL_F64)
		n.d = PyFloat_AsDouble(v);
	else if (c->kind == PY_COL_U64)
		n.u = PyLong_AsUnsignedLongLong(v);
	else
		n.s = PyLong_AsLongLong(v);
	if (PyErr_Occurred())
		return false;
	return py_column_put(c, &n, sizeof(n)) || PyErr_NoMemory();
}

static bool put_str(struct py_column *c, PyObject *v)
{
	_cleanup_pyref_ PyObject *bytes = NULL;
	char *s;
	Py_ssize_t n;

	if (!PyUnicode_Check(v))
		return PyErr_Format(PyExc_TypeError, "str expected, not %R", (PyObject *)Py_TYPE(v));
	bytes = PyUnicode_AsEncodedString(v, "utf-8", "surrogateescape");
	if (!bytes || PyBytes_AsStringAndSize(bytes, &s, &n) < 0)
		return false;
	return py_column_put_text(c, s, (size_t)n) || PyErr_NoMemory();
}

static bool put_strs(struct py_column *c, PyObject *v)
{
	Py_ssize_t n = PySequence_Size(v);

	for (Py_ssize_t i = 0; i < n; i++) {
		_cleanup_pyref_ PyObject *item = PySequence_GetItem(v, i);

		if (!item || !put_str(c->child, item))
			return false;
	}
	return n >= 0 && (py_column_end_list(c) || PyErr_NoMemory());
}

static bool put_object(struct py_column *c, PyObject *v)
{
	char *s;
	Py_ssize_t n;

	switch (c->kind) {
	case PY_COL_TEXT: return put_str(c, v);
	case PY_COL_TEXTS: return put_strs(c, v);
	case PY_COL_BYTES:
		if (PyBytes_AsStringAndSize(v, &s, &n) < 0)
			return false;
		return py_column_put(c, s, (size_t)n) || PyErr_NoMemory();
	default: return put_number(c, v);
	}
}

static bool add_objects(struct py_columns *c, const char *name, const char *format, PyObject *values)
{
	char kind = strcmp(format, "+L") == 0 ? '+' : *format;
	Py_ssize_t n = PySequence_Size(values);
	struct py_column *col;

	if (n < 0)
		return false;
	if (!kind || (kind != '+' && format[1]) || !strchr("lLgUZ+", kind))
		return PyErr_Format(PyExc_ValueError, "unknown format %s", format);
	if (c->n > 0 && (size_t)n != c->rows)
		return PyErr_Format(PyExc_ValueError, "columns differ in length");
	c->rows = (size_t)n;
	col = py_columns_add(c, (enum py_colkind)kind);
	if (!col || !py_column_name(col, name))
		return PyErr_NoMemory();
	for (Py_ssize_t i = 0; i < n; i++) {
		_cleanup_pyref_ PyObject *item = PySequence_GetItem(values, i);

		if (!item || !put_object(col, item))
			return false;
	}
	return true;
}

static bool add_tuples(struct py_columns *c, PyObject *columns)
{
	Py_ssize_t n = PySequence_Size(columns);

	for (Py_ssize_t i = 0; i < n; i++) {
		_cleanup_pyref_ PyObject *item = PySequence_GetItem(columns, i);
		const char *name, *format;
		PyObject *values;

		if (!item || !PyArg_ParseTuple(item, "ssO", &name, &format, &values) ||
		    !add_objects(c, name, format, values))
			return false;
	}
	return n >= 0;
}

static PyObject *Frame_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
	static char *keywords[] = { (char *)"columns", NULL };
	struct py_columns *c;
	PyObject *columns;

	if (!PyArg_ParseTupleAndKeywords(args, kwargs, "O:Frame", keywords, &columns))
		return NULL;
	c = py_columns_new();
	if (!c)
		return PyErr_NoMemory();
	if (add_tuples(c, columns))
		return frame_alloc(type, PyType_GetModuleState(type), c);
	py_columns_unref(c);
	return NULL;
}

static Py_ssize_t Frame_length(PyObject *o)
{
	return (Py_ssize_t)as_frame(o)->columns->rows;
}

static PyObject *Frame_column(PyObject *o, PyObject *name)
{
	struct frame_object *self = as_frame(o);
	const char *s = PyUnicode_AsUTF8AndSize(name, NULL);

	if (!s)
		return NULL;
	for (int i = 0; i < self->columns->n; i++)
		if (self->columns->v[i]->name && strcmp(self->columns->v[i]->name, s) == 0)
			return column_object(self->st, self->columns, self->columns->v[i]);
	PyErr_SetObject(PyExc_KeyError, name);
	return NULL;
}

static PyObject *Frame_get_names(PyObject *o, void *unused)
{
	const struct py_columns *c = as_frame(o)->columns;
	PyObject *names = PyTuple_New(shown(c));
	Py_ssize_t at = 0;

	for (int i = 0; names && i < c->n; i++) {
		PyObject *name;

		if (c->v[i]->hidden)
			continue;
		name = PyUnicode_FromString(c->v[i]->name ? c->v[i]->name : "");
		if (!name) {
			Py_DECREF(names);
			return NULL;
		}
		PY_TUPLE_SET(names, at++, name);
	}
	return names;
}

static PyObject *Frame_get_nbytes(PyObject *o, void *unused)
{
	const struct py_columns *c = as_frame(o)->columns;
	size_t n = 0;

	for (int i = 0; i < c->n; i++)
		for (const struct py_column *col = c->v[i]; col; col = col->child)
			n += col->data.n + col->offsets.n;
	return PyLong_FromSize_t(n);
}

static PyObject *Frame___arrow_c_schema__(PyObject *o, PyObject *unused)
{
	return schema_capsule(as_frame(o)->columns, NULL);
}

static PyObject *Frame___arrow_c_array__(PyObject *o, PyObject *args, PyObject *kwargs)
{
	return ignore_request(args, kwargs) ? both_capsules(as_frame(o)->columns, NULL) : NULL;
}

static PyObject *Frame___arrow_c_stream__(PyObject *o, PyObject *args, PyObject *kwargs)
{
	return ignore_request(args, kwargs) ? stream_capsule(as_frame(o)->columns) : NULL;
}

static PyMethodDef frame_methods[] = {
	METHOD(Frame, column, METH_O),
	METHOD(Frame, __arrow_c_schema__, METH_NOARGS),
	METHOD(Frame, __arrow_c_array__, METH_VARARGS | METH_KEYWORDS),
	METHOD(Frame, __arrow_c_stream__, METH_VARARGS | METH_KEYWORDS),
	{ NULL, NULL, 0, NULL },
};

static PyGetSetDef frame_getters[] = {
	{ "names", Frame_get_names, NULL, DOC_Frame_names, NULL },
	{ "nbytes", Frame_get_nbytes, NULL, DOC_Frame_nbytes, NULL },
	{ NULL, NULL, NULL, NULL, NULL },
};

static PyType_Slot frame_slots[] = {
	{ Py_tp_new, (void *)Frame_new },
	{ Py_tp_dealloc, (void *)Frame_dealloc },
	{ Py_tp_methods, frame_methods },
	{ Py_tp_getset, frame_getters },
	{ Py_sq_length, (void *)Frame_length },
	{ Py_tp_doc, (void *)DOC_Frame },
	{ 0, NULL },
};

static PyType_Spec frame_spec = {
	.name = "dtrace._" PY_ENGINE_NAME ".Frame",
	.basicsize = sizeof(struct frame_object),
	.flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_IMMUTABLETYPE,
	.slots = frame_slots,
};

int py_frame_types(PyObject *module, struct py_state *st)
{
	st->column_type = (PyTypeObject *)PyType_FromModuleAndSpec(module, &column_spec, NULL);
	st->frame_type = (PyTypeObject *)PyType_FromModuleAndSpec(module, &frame_spec, NULL);
	return st->column_type && st->frame_type ? 0 : -1;
}
