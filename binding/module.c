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
	const char *version = py_engine.version ? py_engine.version() : py_engine.d_version;

	if (PyModule_AddStringConstant(module, "ENGINE", py_engine.name) < 0)
		return -1;
	return PyModule_AddStringConstant(module, "ENGINE_VERSION", version);
}

static int module_exec(PyObject *module)
{
	struct py_state *st = PyModule_GetState(module);

	if (py_errors_import(st) < 0 || py_quantize_ranges(st) < 0)
		return -1;
	if (intern(&st->provider, "provider") < 0 || intern(&st->module, "module") < 0 ||
	    intern(&st->function, "function") < 0 || intern(&st->name, "name") < 0)
		return -1;
	st->consumer_type = py_consumer_type(module);
	if (!st->consumer_type || PyModule_AddType(module, st->consumer_type) < 0)
		return -1;
	return add_versions(module);
}

/* Every reference the state has, for the three functions below. */
#define EACH_REF(st, op) \
	do { \
		op((st)->consumer_type); \
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
	module_clear(module);
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
