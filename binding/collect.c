/* SPDX-License-Identifier: Apache-2.0 */
/*
 * collect.c - firings and rows of aggregations as columns: no Python object per record.
 *
 * Firings are read without the GIL: each enabling has its columns (time, CPU, the number of the probe among those
 * met, then its values), which grow until collected() takes them.  Probes become words in dictionaries then.
 */
#include "state.h"

#include <stdlib.h>
#include <string.h>

enum { COL_TIME, COL_CPU, COL_PROBE, NFIXED };

/* ---- one enabling's columns ----------------------------------------------------------------------- */

/* The probes met: what rows of COL_PROBE are indexes of.  Kept beside the columns they belong to. */
struct met {
	uint32_t n, cap;
	dtrace_probedesc_t *v;
	uint32_t *byid; /* probe id -> index + 1 */
	uint32_t nbyid;
	uint32_t last; /* index */
	dtrace_id_t last_id;
};

struct py_gathered {
	struct py_columns *columns;
	struct met met;
};

#define IDS_MAX (1u << 22)

static bool ids_reach(struct met *m, dtrace_id_t id)
{
	uint32_t n = m->nbyid ? m->nbyid : 256, *grown;

	if (id < m->nbyid)
		return true;
	while (n <= id)
		n *= 2;
	grown = realloc(m->byid, n * sizeof(*grown));
	if (!grown)
		return false;
	memset(grown + m->nbyid, 0, (n - m->nbyid) * sizeof(*grown));
	m->byid = grown;
	m->nbyid = n;
	return true;
}

static bool meet(struct met *m, const dtrace_probedesc_t *d)
{
	if (m->n == m->cap) {
		uint32_t cap = m->cap ? m->cap * 2 : 4;
		dtrace_probedesc_t *grown = realloc(m->v, cap * sizeof(*grown));

		if (!grown)
			return false;
		m->v = grown;
		m->cap = cap;
	}
	m->v[m->n++] = *d;
	return true;
}

/* The index of a probe among those met; false: no memory. */
static bool met_index(struct met *m, const dtrace_probedesc_t *d, uint32_t *index)
{
	dtrace_id_t id = d->dtpd_id < IDS_MAX ? d->dtpd_id : 0;

	if (!m->n || id != m->last_id) {
		if (!ids_reach(m, id) || (!m->byid[id] && !meet(m, d)))
			return false;
		if (!m->byid[id])
			m->byid[id] = m->n;
		m->last = m->byid[id] - 1;
		m->last_id = id;
	}
	*index = m->last;
	return true;
}

static enum py_colkind number_kind(dtrace_datakind_t kind, uint32_t size)
{
	static const char ints[] = { [1] = 'c', [2] = 's', [4] = 'i', [8] = 'l' };
	static const char uints[] = { [1] = 'C', [2] = 'S', [4] = 'I', [8] = 'L' };
	const char *table = kind == DTRACE_DATA_INT ? ints : uints;

	if (size < sizeof(ints) && table[size])
		return (enum py_colkind)table[size];
	return PY_COL_BYTES;
}

static enum py_colkind colkind_of(const struct py_item *item)
{
	switch (item->kind) {
	case DTRACE_DATA_INT:
	case DTRACE_DATA_UINT:
	case DTRACE_DATA_PTR: return number_kind(item->kind, item->size);
	case DTRACE_DATA_FLOAT: return item->size == sizeof(float) ? PY_COL_F32 : PY_COL_F64;
	case DTRACE_DATA_STACK:
	case DTRACE_DATA_USTACK: return PY_COL_TEXTS;
	case DTRACE_DATA_BYTES:
	case DTRACE_DATA_NONE: return PY_COL_BYTES;
	default: return PY_COL_TEXT;
	}
}

static struct py_gathered *gathered_of(struct py_shape *shape, const dtrace_probedata_t *data)
{
	struct py_gathered *g = shape->gathered;
	bool ok;

	if (g)
		return g;
	g = calloc(1, sizeof(*g));
	if (!g)
		return NULL;
	g->columns = py_columns_new();
	ok = g->columns && py_columns_add(g->columns, PY_COL_S64) &&
	     py_columns_add(g->columns, PY_COL_S32) && py_columns_add(g->columns, PY_COL_U32);
	for (int i = 0; ok && i < shape->nitems; i++) {
		struct py_item *item = &shape->items[i];

		if (item->guessed && !item->memory) /* the first one decides */
			item->kind = py_guess(item->rec, data->dtpda_data + item->rec->dtrd_offset);
		ok = py_columns_add(g->columns, colkind_of(item)) != NULL;
	}
	if (!ok) {
		py_gathered_free(g);
		g = NULL;
	}
	shape->gathered = g;
	return g;
}

void py_gathered_free(struct py_gathered *g)
{
	if (g->columns)
		py_columns_unref(g->columns);
	free(g->met.v);
	free(g->met.byid);
	free(g);
}

/* ---- values ------------------------------------------------------------------------------------------ */

#define SYMBOL_MAX 4096
#define KERNEL ((pid_t) - 1)

static uint64_t load64(const char *p)
{
	uint64_t v;

	memcpy(&v, p, sizeof(v));
	return v;
}

static bool put_symbol(struct consumer *self, struct py_column *c, dtrace_datakind_t kind,
		       pid_t pid, uint64_t addr)
{
	char buf[SYMBOL_MAX];
	const char *s;
	size_t n = py_symbol_text(self, kind, pid, addr, buf, sizeof(buf), &s);

	return py_column_put_text(c, s, n);
}

static bool put_stack(struct consumer *self, struct py_column *c, dtrace_datakind_t kind,
		      const char *p, uint32_t size)
{
	pid_t pid = KERNEL;

	if (kind == DTRACE_DATA_USTACK && size >= 8) {
		pid = (pid_t)load64(p);
		p += 8;
		size -= 8;
	}
	for (; size >= 8 && load64(p); p += 8, size -= 8)
		if (!put_symbol(self, c->child, kind, pid, load64(p)))
			return false;
	return py_column_end_list(c);
}

static bool put_float(struct py_column *c, const char *p, uint32_t size)
{
	long double big;
	double v = 0;

	if (size == sizeof(float) || size == sizeof(double))
		return py_column_put(c, p, size);
	if (size == sizeof(big)) {
		memcpy(&big, p, sizeof(big));
		v = (double)big;
	}
	return py_column_put_f64(c, v);
}

static bool put_value(struct consumer *self, struct py_column *c, const struct py_item *item,
		      const char *base, size_t size)
{
	const char *p = base + item->rec->dtrd_offset;

	switch (item->kind) {
	case DTRACE_DATA_STR: return py_column_put_text(c, p, strnlen(p, item->size));
	case DTRACE_DATA_FLOAT: return put_float(c, p, item->size);
	case DTRACE_DATA_STACK:
	case DTRACE_DATA_USTACK: return put_stack(self, c, item->kind, p, item->size);
	case DTRACE_DATA_SYM:
	case DTRACE_DATA_MOD:
		if (item->size < 8)
			return py_column_put_text(c, "", 0);
		return put_symbol(self, c, item->kind, KERNEL, load64(p));
	case DTRACE_DATA_USYM:
	case DTRACE_DATA_UMOD:
	case DTRACE_DATA_UADDR:
		if (item->size < 16)
			return py_column_put_text(c, "", 0);
		return put_symbol(self, c, item->kind, (pid_t)load64(p), load64(p + 8));
	default: break;
	}
	if (item->memory)
		return py_column_put(c, p, py_tracemem_size(item->rec, item->next, base, size));
	return py_column_put(c, p, item->size);
}

static bool put_firing(struct consumer *self, const struct py_shape *shape, struct py_gathered *g,
		       const dtrace_probedata_t *data)
{
	struct py_columns *c = g->columns;
	int64_t ts = (int64_t)data->dtpda_timestamp;
	int32_t cpu = data->dtpda_cpu;
	uint32_t probe;

	if (!met_index(&g->met, data->dtpda_pdesc, &probe) ||
	    !py_column_put(c->v[COL_TIME], &ts, sizeof(ts)) ||
	    !py_column_put(c->v[COL_CPU], &cpu, sizeof(cpu)) ||
	    !py_column_put(c->v[COL_PROBE], &probe, sizeof(probe)))
		return false;
	for (int i = 0; i < shape->nitems; i++)
		if (!py_within(shape->items[i].rec, data->dtpda_edesc->dtepd_size) ||
		    !put_value(self, c->v[NFIXED + i], &shape->items[i], data->dtpda_data,
			       data->dtpda_edesc->dtepd_size))
			return false;
	c->rows++;
	return true;
}

/* ---- a pass -------------------------------------------------------------------------------------------- */

static int no_memory(struct py_call *call)
{
	if (py_call_gil(call))
		PyErr_NoMemory();
	return DTRACE_CONSUME_ABORT;
}

int py_on_collected(const dtrace_probedata_t *data, void *arg)
{
	struct py_call *call = arg;
	struct py_shape *shape = py_shape_of(call->self, data);
	struct py_gathered *g = shape ? gathered_of(shape, data) : NULL;

	if (call->self->foreign)
		return py_call_gil(call) ? DTRACE_CONSUME_NEXT : DTRACE_CONSUME_ABORT;
	if (!g || !put_firing(call->self, shape, g, data))
		return no_memory(call);
	if (shape->exit)
		py_note_exit(call->self, data, shape->exit);
	return shape->plain ? DTRACE_CONSUME_NEXT : DTRACE_CONSUME_THIS;
}

/* Texts are not wanted; what the library does by itself, it does. */
int py_on_passed(const dtrace_probedata_t *data, const dtrace_recdesc_t *rec, void *arg)
{
	return DTRACE_CONSUME_NEXT;
}

/* ---- probes as words ------------------------------------------------------------------------------------- */

static const char *part_of(const dtrace_probedesc_t *d, int part)
{
	const char *const parts[] = { d->dtpd_provider, d->dtpd_mod, d->dtpd_func, d->dtpd_name };

	return parts[part];
}

struct word {
	const char *s;
	uint32_t probe;
};

static int by_text(const void *l, const void *r)
{
	return strcmp(((const struct word *)l)->s, ((const struct word *)r)->s);
}

/* A column of one part of the probes' names, each text once in the dictionary. */
static struct py_column *part_column(struct py_columns *c, const struct met *m, int part,
				     const uint32_t *probes)
{
	struct py_column *col = py_columns_add(c, PY_COL_DICT);
	struct word *words = calloc((size_t)m->n + 1, sizeof(*words));
	uint32_t *number = calloc((size_t)m->n + 1, sizeof(*number)), n = 0;
	bool ok = col && words && number;

	for (uint32_t i = 0; ok && i < m->n; i++)
		words[i] = (struct word){ part_of(&m->v[i], part), i };
	if (ok)
		qsort(words, m->n, sizeof(*words), by_text);
	for (uint32_t i = 0; ok && i < m->n; i++) {
		if (i == 0 || strcmp(words[i].s, words[i - 1].s) != 0) {
			ok = py_column_put_text(col->child, words[i].s, strlen(words[i].s));
			n++;
		}
		number[words[i].probe] = n - 1;
	}
	for (size_t i = 0; ok && i < c->rows; i++)
		ok = py_column_put(col, &number[probes[i]], sizeof(uint32_t));
	free(words);
	free(number);
	return ok ? col : NULL;
}

/* time, cpu, values, four parts -> time, cpu, four parts, values */
static bool finish(struct py_gathered *g)
{
	static const char *const names[] = { "provider", "module", "function", "name" };
	struct py_columns *c = g->columns;
	struct py_column *probe = c->v[COL_PROBE], *parts[4];
	int values = c->n - NFIXED;

	for (int part = 0; part < 4; part++) {
		parts[part] = part_column(c, &g->met, part, (const uint32_t *)(void *)probe->data.p);
		if (!parts[part] || !py_column_name(parts[part], names[part]))
			return false;
	}
	memmove(&c->v[COL_PROBE + 4], &c->v[NFIXED], (size_t)values * sizeof(struct py_column *));
	memcpy(&c->v[COL_PROBE], parts, sizeof(parts));
	c->v[c->n - 1] = probe; /* not shown: it is only the others' */
	probe->hidden = true;
	return py_column_name(c->v[COL_TIME], "timestamp") &&
	       py_column_name(c->v[COL_CPU], "cpu") && py_column_name(probe, "_probe");
}

/* Name the columns from `first` on by what the program says that they are. */
static bool name_values(struct consumer *self, struct py_columns *c, int first, PyObject *texts,
			const char *unknown)
{
	_cleanup_pyref_ PyObject *names =
		PyObject_CallFunction(self->st->field_names, "Os", texts, unknown);
	Py_ssize_t n = names ? PyTuple_Size(names) : -1;

	for (Py_ssize_t i = 0; i < n; i++) {
		PyObject *name = PyTuple_GetItem(names, i);
		const char *s = name ? PyUnicode_AsUTF8AndSize(name, NULL) : NULL;

		if (!s)
			return false;
		if (!py_column_name(c->v[first + i], s))
			return PyErr_NoMemory();
	}
	return n >= 0;
}

static PyObject *collected_one(struct consumer *self, struct py_shape *shape)
{
	struct py_gathered *g = shape->gathered;
	_cleanup_pyref_ PyObject *facts = py_shape_facts(self, shape), *frame = NULL;
	PyObject *texts = facts ? PyTuple_GetItem(facts, 3) : NULL, *tail, *all;
	struct py_columns *c = g->columns;
	bool ok;

	shape->gathered = NULL;
	ok = texts && (finish(g) || PyErr_NoMemory()) &&
	     name_values(self, c, NFIXED + 3, texts, "value");
	g->columns = NULL;
	py_gathered_free(g);
	if (!ok) {
		py_columns_unref(c);
		return NULL;
	}
	frame = py_frame(self->st, c);
	tail = frame ? PyTuple_Pack(1, frame) : NULL;
	all = tail ? PySequence_Concat(facts, tail) : NULL;
	Py_XDECREF(tail);
	return all;
}

PyObject *py_collected(struct consumer *self)
{
	PyObject *list = py_events_import(self->st) < 0 ? NULL : PyList_New(0);

	for (size_t i = 0; list && i < self->nshapes; i++) {
		_cleanup_pyref_ PyObject *one = NULL;

		if (!self->shapes[i] || !self->shapes[i]->gathered)
			continue;
		one = collected_one(self, self->shapes[i]);
		if (!one || PyList_Append(list, one) < 0) {
			Py_DECREF(list);
			return NULL;
		}
	}
	return list;
}

/* ---- aggregations ------------------------------------------------------------------------------------------ */

/*
 * The columns of one aggregation: its keys, then what the function makes.  `value` is as displayed; words that exact
 * arithmetic needs and that `value` does not tell are there too, hidden where they are of no interest.
 */
struct aggregation {
	char *name;
	int64_t varid;
	uint16_t action;
	uint64_t parameters;
	int nkeys;
	struct py_item *keys;
	PyObject *texts;
	struct py_columns *columns;
	int normal; /* column of what the display divides by */
	bool normalized;
};

struct gathering {
	struct py_call *call;
	struct aggregation *v;
	int n;
	bool remove;
	struct aggregation *row; /* for the sink */
	int64_t divisor;
};

static void aggregation_free(struct aggregation *a)
{
	if (a->columns)
		py_columns_unref(a->columns);
	Py_XDECREF(a->texts);
	free(a->keys);
	free(a->name);
}

static const dtrace_recdesc_t *value_rec(const dtrace_aggdata_t *agg)
{
	return &agg->dtada_desc->dtagd_rec[agg->dtada_desc->dtagd_nrecs - 1];
}

static bool add_column(struct py_columns *c, enum py_colkind kind, const char *name, bool hidden)
{
	struct py_column *col = py_columns_add(c, kind);

	if (!col || !py_column_name(col, name))
		return PyErr_NoMemory();
	col->hidden = hidden;
	return true;
}

/* The columns behind the keys, by function. */
static bool add_value_columns(struct aggregation *a, const dtrace_recdesc_t *rec)
{
	static const char *const avg[] = { "count", "sum", NULL };
	static const char *const stddev[] = { "count", "sum", "_low", "_high", NULL };
	static const char *const dist[] = { "low", "high", "_count", NULL };
	static const char *const one[] = { "_value", NULL };
	const char *const *names = py_is_distribution(rec)              ? dist :
				   rec->dtrd_action == DTRACEAGG_AVG    ? avg :
				   rec->dtrd_action == DTRACEAGG_STDDEV ? stddev :
									  one;

	for (; *names; names++)
		if (!add_column(a->columns, PY_COL_S64, *names, **names == '_'))
			return false;
	a->normal = a->columns->n;
	return add_column(a->columns, PY_COL_S64, "_normal", true);
}

static bool add_key_columns(struct consumer *self, struct aggregation *a, const dtrace_aggdata_t *agg)
{
	const dtrace_aggdesc_t *d = agg->dtada_desc;

	a->nkeys = d->dtagd_nrecs > 2 ? d->dtagd_nrecs - 2 : 0;
	a->keys = calloc((size_t)a->nkeys + 1, sizeof(*a->keys));
	a->texts = PyTuple_New(a->nkeys);
	if (!a->keys)
		return PyErr_NoMemory();
	for (int i = 0; a->texts && i < a->nkeys; i++) {
		const dtrace_recdesc_t *rec = &d->dtagd_rec[1 + i];
		dtrace_reckind_t k = { .dtrk_kind = DTRACE_DATA_NONE, .dtrk_size = rec->dtrd_size };
		PyObject *text;

		if (!py_within(rec, agg->dtada_size))
			return PyErr_Format(PyExc_SystemError, "a key is beyond the end of its data");
		if (!py_engine.rec_kind || py_engine.rec_kind(rec, &k) < 0)
			k.dtrk_kind = py_guess(rec, agg->dtada_data + rec->dtrd_offset);
		a->keys[i] = (struct py_item){ .rec = rec, .kind = k.dtrk_kind, .size = k.dtrk_size };
		text = k.dtrk_name ? py_text(k.dtrk_name, strlen(k.dtrk_name)) : Py_NewRef(Py_None);
		if (!text)
			return false;
		PY_TUPLE_SET(a->texts, i, text);
		if (!py_columns_add(a->columns, colkind_of(&a->keys[i])))
			return PyErr_NoMemory();
	}
	return a->texts && name_values(self, a->columns, 0, a->texts, "key");
}

static struct aggregation *aggregation_new(struct gathering *g, const dtrace_aggdata_t *agg)
{
	struct aggregation *grown = realloc(g->v, (size_t)(g->n + 1) * sizeof(*grown)), *a;
	const dtrace_recdesc_t *rec = value_rec(agg);

	if (!grown)
		return PyErr_NoMemory(), NULL;
	g->v = grown;
	a = &g->v[g->n++];
	*a = (struct aggregation){
		.name = strdup(agg->dtada_desc->dtagd_name ? agg->dtada_desc->dtagd_name : "_"),
		.varid = agg->dtada_desc->dtagd_varid,
		.action = rec->dtrd_action,
		.columns = py_columns_new(),
	};
	if (!a->columns || !a->name)
		return PyErr_NoMemory(), NULL;
	if (py_is_distribution(rec) && rec->dtrd_action != DTRACEAGG_QUANTIZE)
		a->parameters = load64(agg->dtada_data + rec->dtrd_offset);
	if (!add_key_columns(g->call->self, a, agg) || !add_value_columns(a, rec))
		return NULL;
	return a;
}

/* Rows of one aggregation mostly come together. */
static struct aggregation *aggregation_of(struct gathering *g, const dtrace_aggdata_t *agg)
{
	int64_t varid = agg->dtada_desc->dtagd_varid;

	for (int i = g->n; i-- > 0;)
		if (g->v[i].varid == varid)
			return &g->v[i];
	return aggregation_new(g, agg);
}

static bool put_keys(struct consumer *self, struct aggregation *a, const dtrace_aggdata_t *agg)
{
	const dtrace_aggdesc_t *d = agg->dtada_desc;

	if (a->nkeys && d->dtagd_nrecs != a->nkeys + 2)
		return PyErr_Format(PyExc_SystemError, "an aggregation's keys have changed");
	for (int i = 0; i < a->nkeys; i++) {
		a->keys[i].rec = &d->dtagd_rec[1 + i];
		if (!py_within(a->keys[i].rec, agg->dtada_size))
			return PyErr_Format(PyExc_SystemError, "a key is beyond the end of its data");
		if (!put_value(self, a->columns->v[i], &a->keys[i], agg->dtada_data, agg->dtada_size))
			return PyErr_NoMemory();
	}
	return true;
}

static bool put_bucket(struct py_sink *sink, int64_t low, int64_t high, int64_t count, size_t i)
{
	struct gathering *g = ((void **)sink->arg)[0];
	const dtrace_aggdata_t *agg = ((void **)sink->arg)[1];
	struct aggregation *a = g->row;
	struct py_column **v = a->columns->v + a->nkeys;

	if (!put_keys(g->call->self, a, agg))
		return false;
	if (!py_column_put_s64(v[0], low) || !py_column_put_s64(v[1], high) ||
	    !py_column_put_s64(v[2], count) || !py_column_put_s64(v[3], g->divisor))
		return PyErr_NoMemory();
	a->columns->rows++;
	return true;
}

static bool put_words(struct gathering *g, struct aggregation *a, const dtrace_aggdata_t *agg,
		      const struct py_words *w)
{
	int n = a->normal - a->nkeys;

	if (!put_keys(g->call->self, a, agg))
		return false;
	for (int i = 0; i < n; i++)
		if (!py_column_put_s64(a->columns->v[a->nkeys + i], py_word(w, (size_t)i)))
			return PyErr_NoMemory();
	if (!py_column_put_s64(a->columns->v[a->normal], w->normal))
		return PyErr_NoMemory();
	a->columns->rows++;
	return true;
}

static int on_aggregate(const dtrace_aggdata_t *agg, void *arg)
{
	struct gathering *g = arg;
	struct aggregation *a;
	struct py_words w;
	struct py_sink sink = { put_bucket, g->call->self->st,
				(void *[]){ g, (void *)(uintptr_t)agg } };
	bool ok;

	if (!py_call_gil(g->call) || !py_agg_words(g->call->self, agg, &w))
		return DTRACE_AGGWALK_ABORT;
	a = g->row = aggregation_of(g, agg);
	if (!a)
		return DTRACE_AGGWALK_ABORT;
	g->divisor = w.normal;
	a->normalized |= w.normal != 1;
	if (py_is_distribution(value_rec(agg)))
		ok = py_buckets(value_rec(agg), &w, &sink);
	else
		ok = put_words(g, a, agg, &w);
	if (!ok)
		return DTRACE_AGGWALK_ABORT;
	return g->remove ? DTRACE_AGGWALK_REMOVE : DTRACE_AGGWALK_NEXT;
}

/* So that what has counted nothing yet is there, too. */
static int on_description(const dtrace_aggdata_t *agg, void *arg)
{
	struct gathering *g = arg;

	if (!py_call_gil(g->call) || !aggregation_of(g, agg))
		return DTRACE_AGGWALK_ABORT;
	return DTRACE_AGGWALK_NEXT;
}

static int64_t at(const struct aggregation *a, int column, size_t row)
{
	return (int64_t)load64(a->columns->v[column]->data.p + row * 8);
}

/* The value as displayed, from the words. */
static bool put_displayed(struct aggregation *a, struct py_column *to, size_t row)
{
	int64_t w[4] = { 0 }, normal = at(a, a->normal, row);
	int n = a->normal - a->nkeys;

	for (int i = 0; i < n; i++)
		w[i] = at(a, a->nkeys + i, row);
	switch (a->action) {
	case DTRACEAGG_AVG:
		return py_column_put_f64(to, w[0] ? (double)((long double)w[1] / (long double)w[0] /
							     (long double)normal) :
						    0);
	case DTRACEAGG_STDDEV:
		return py_column_put_f64(
			to, py_stddev(&(struct py_words){ (const char *)w, 4, normal }));
	default: return py_column_put_s64(to, py_normalized(w[n - 1], normal));
	}
}

static bool is_float(const struct aggregation *a)
{
	return a->action == DTRACEAGG_AVG || a->action == DTRACEAGG_STDDEV;
}

/* Where nothing is divided, counts are what is displayed. */
static bool show_value(struct aggregation *a)
{
	struct py_columns *c = a->columns;
	int last = a->normal - 1;
	const char *name = c->v[last]->name[1] == 'c' ? "count" : "value";
	struct py_column *to;

	if (!a->normalized && !is_float(a)) {
		c->v[last]->hidden = false;
		return py_column_name(c->v[last], name) || PyErr_NoMemory();
	}
	if (!add_column(c, is_float(a) ? PY_COL_F64 : PY_COL_S64, is_float(a) ? "value" : name, false))
		return false;
	to = c->v[c->n - 1];
	for (size_t row = 0; row < c->rows; row++)
		if (!put_displayed(a, to, row))
			return PyErr_NoMemory();
	return !PyErr_Occurred();
}

static PyObject *aggregation_tuple(struct consumer *self, struct aggregation *a)
{
	struct py_columns *c = a->columns;
	PyObject *frame;

	if (!show_value(a))
		return NULL;
	a->columns = NULL;
	frame = py_frame(self->st, c);
	return frame ? Py_BuildValue("NLIKON", py_text(a->name, strlen(a->name)), (long long)a->varid,
				     (unsigned int)(a->action - DTRACEACT_AGGREGATION),
				     (unsigned long long)a->parameters, a->texts, frame) :
		       NULL;
}

static PyObject *tuples(struct consumer *self, struct gathering *g)
{
	PyObject *list = PyList_New(0);

	for (int i = 0; list && i < g->n; i++) {
		_cleanup_pyref_ PyObject *one = aggregation_tuple(self, &g->v[i]);

		if (!one || PyList_Append(list, one) < 0) {
			Py_DECREF(list);
			return NULL;
		}
	}
	return list;
}

PyObject *py_aggregations(struct consumer *self, bool remove)
{
	struct py_call call;
	struct gathering g = { .call = &call, .remove = remove };
	PyObject *list = NULL;
	int rc;

	if (py_events_import(self->st) < 0)
		return NULL;
	py_call_begin(&call, self, "aggregations", NULL);
	rc = py_engine.aggregate_snap(self->h);
	if (rc == 0 && py_engine.aggregate_describe)
		rc = py_engine.aggregate_describe(self->h, on_description, &g);
	if (rc == 0)
		rc = py_engine.aggregate_walk(self->h, on_aggregate, &g);
	py_call_end(&call);
	if (rc < 0 || PyErr_Occurred())
		py_raise(self);
	else
		list = tuples(self, &g);
	for (int i = 0; i < g.n; i++)
		aggregation_free(&g.v[i]);
	free(g.v);
	return list;
}
