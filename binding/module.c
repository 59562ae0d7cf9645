/* SPDX-License-Identifier: Apache-2.0 */
/*
 * module.c - the extension module: one per engine, by multi-phase initialization, all state on the module.
 */
#include "state.h"

#include "docstrings.h"

static int intern(PyObject **where, const char *s)
{
	*where = PyUnicode_InternFromString(s);
	return *where ? 0 : -1;
}

static int add_versions(PyObject *module)
{
	const char *version = py_engine.version ? py_engine.version() : py_engine.d_version();

	if (PyModule_AddStringConstant(module, "ENGINE", py_engine.name) < 0)
		return -1;
	return PyModule_AddStringConstant(module, "ENGINE_VERSION", version);
}

/* ---- forked children -------------------------------------------------------------------------- */

static PyObject *after_fork(PyObject *ref, PyObject *unused)
{
	_cleanup_pyref_ PyObject *module = PyObject_CallNoArgs(ref);

	if (!module)
		return NULL;
	if (module != Py_None)
		py_consumers_forked(PyModule_GetState(module));
	Py_RETURN_NONE;
}

static PyMethodDef after_fork_def = { "after_fork", after_fork, METH_NOARGS, NULL };

/* What is registered stays for good: it must not keep the module. */
static int watch_forks(PyObject *module)
{
	_cleanup_pyref_ PyObject *ref = PyWeakref_NewRef(module, NULL), *os = NULL, *hook = NULL;
	_cleanup_pyref_ PyObject *kwargs = NULL, *args = NULL, *reg = NULL, *none = NULL;

	if (!py_engine.forked)
		return 0;
	hook = ref ? PyCFunction_New(&after_fork_def, ref) : NULL;
	os = hook ? PyImport_ImportModule("os") : NULL;
	reg = os ? PyObject_GetAttrString(os, "register_at_fork") : NULL;
	args = reg ? PyTuple_New(0) : NULL;
	kwargs = args ? Py_BuildValue("{sO}", "after_in_child", hook) : NULL;
	none = kwargs ? PyObject_Call(reg, args, kwargs) : NULL;
	return none ? 0 : -1;
}

static int module_exec(PyObject *module)
{
	struct py_state *st = PyModule_GetState(module);

	if (py_quantize_ranges(st) < 0)
		return -1;
	if (intern(&st->provider, "provider") < 0 || intern(&st->module, "module") < 0 ||
	    intern(&st->function, "function") < 0 || intern(&st->name, "name") < 0)
		return -1;
	st->registry = py_registry_new();
	if (!st->registry || watch_forks(module) < 0)
		return -1;
	st->consumer_type = py_consumer_type(module);
	st->record_type = st->consumer_type ? py_record_type(module) : NULL;
	if (!st->record_type || py_frame_types(module, st) < 0)
		return -1;
	if (PyModule_AddType(module, st->consumer_type) < 0 ||
	    PyModule_AddType(module, st->record_type) < 0 ||
	    PyModule_AddType(module, st->frame_type) < 0 ||
	    PyModule_AddType(module, st->column_type) < 0)
		return -1;
	return add_versions(module);
}

/* Every reference the state has, for the three functions below. */
#define EACH_REF(st, op) \
	do { \
		op((st)->consumer_type); \
		op((st)->record_type); \
		op((st)->frame_type); \
		op((st)->column_type); \
		op((st)->probe_class); \
		op((st)->event_class); \
		op((st)->field_names); \
		op((st)->error); \
		op((st)->compile_error); \
		op((st)->load_error); \
		op((st)->drop_warning); \
		op((st)->fault_warning); \
		op((st)->diagnostic); \
		op((st)->drop); \
		op((st)->fault); \
		op((st)->provider); \
		op((st)->module); \
		op((st)->function); \
		op((st)->name); \
		for (size_t i_ = 0; i_ < DTRACE_QUANTIZE_NBUCKETS; i_++) \
			op((st)->quantize_range[i_]); \
	} while (0)

static int module_traverse(PyObject *module, visitproc visit, void *arg)
{
	struct py_state *st = PyModule_GetState(module);

	if (st)
		EACH_REF(st, Py_VISIT);
	return 0;
}

static int module_clear(PyObject *module)
{
	struct py_state *st = PyModule_GetState(module);

	if (st)
		EACH_REF(st, Py_CLEAR);
	return 0;
}

static void module_free(void *module)
{
	struct py_state *st = PyModule_GetState(module);

	module_clear(module);
	if (st && st->registry)
		py_registry_unref(st->registry);
}

static PyModuleDef_Slot slots[] = {
	{ Py_mod_exec, (void *)module_exec },
#ifdef Py_mod_multiple_interpreters
	{ Py_mod_multiple_interpreters, Py_MOD_PER_INTERPRETER_GIL_SUPPORTED },
#endif
#ifdef Py_mod_gil
	{ Py_mod_gil, Py_MOD_GIL_NOT_USED },
#endif
	{ 0, NULL },
};

static struct PyModuleDef def = {
	PyModuleDef_HEAD_INIT,   .m_name = "dtrace._" PY_ENGINE_NAME,
	.m_doc = DOC_module,     .m_size = sizeof(struct py_state),
	.m_slots = slots,        .m_traverse = module_traverse,
	.m_clear = module_clear, .m_free = module_free,
};

#define INIT_(name) PyInit__##name
#define INIT(name) INIT_(name)

PyMODINIT_FUNC INIT(PY_ENGINE)(void);

PyMODINIT_FUNC INIT(PY_ENGINE)(void)
{
	return PyModuleDef_Init(&def);
}
