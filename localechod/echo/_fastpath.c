/*
 * The compiled part of the data plane; portable/ is the same in Python. It reads, answers and
 * counts the common case without running Python code for each message. Anything else is returned to
 * Python, which can do all of it if this module is absent: refused clients, errors, replies that do
 * not fit, incomplete and overlong messages, other framings.
 *
 * The interpreter's lock is released only where a wait may sleep: every other system call is on a
 * non-blocking descriptor, and the daemon has one thread.
 */
#include "_fastpath.h"

PyObject *str_serve, *str_handler_failed, *str_take, *str_on_sent, *str_fail, *str_end, *str_closed;

PyTypeObject *flow_type, *totals_type;

static const struct {
	PyObject **text;
	const char *name;
} names[] = {
	{&str_serve, "serve"},
	{&str_handler_failed, "handler_failed"},
	{&str_take, "take"},
	{&str_on_sent, "on_sent"},
	{&str_fail, "fail"},
	{&str_end, "end"},
	{&str_closed, "closed"},
};

#define CONSTANT(name) {#name, name}
static const struct {
	const char *name;
	long value;
} constants[] = {
	CONSTANT(LONGEST_PREFIX), CONSTANT(LONGEST_READ), CONSTANT(MOST_NAMES),
	CONSTANT(CHECK_MICROSECONDS), CONSTANT(BATCH), CONSTANT(CHILD_BATCH), CONSTANT(CHILD_TIME),
	CONSTANT(PYTHON), CONSTANT(CHUNKS), CONSTANT(LINES), CONSTANT(SEQPACKET),
	CONSTANT(BOUNDARY), CONSTANT(BUSY), CONSTANT(UNSENT),
};

PyDoc_STRVAR(doc, "See localechod.echo.portable.");

static PyMethodDef functions[] = {
	{"answer_datagrams", answer_datagrams, METH_VARARGS, doc},
	{NULL},
};

static struct PyModuleDef definition = {
	PyModuleDef_HEAD_INIT, "_fastpath", doc, -1, functions,
};

static int fill(PyObject *module)
{
	PyTypeObject *poller_type, *proof_type;

	for (size_t at = 0; at < sizeof names / sizeof *names; at++) {
		*names[at].text = PyUnicode_InternFromString(names[at].name);
		if (!*names[at].text)
			return -1;
	}
	for (size_t at = 0; at < sizeof constants / sizeof *constants; at++) {
		if (PyModule_AddIntConstant(module, constants[at].name, constants[at].value) < 0)
			return -1;
	}
	totals_type = make_totals_type(module);
	flow_type = make_flow_type(module);
	poller_type = make_poller_type(module);
	proof_type = make_proof_type(module);
	if (!totals_type || !flow_type || !poller_type || !proof_type)
		return -1;
	if (PyModule_AddType(module, totals_type) < 0 || PyModule_AddType(module, flow_type) < 0)
		return -1;
	if (PyModule_AddType(module, proof_type) < 0)
		return -1;
	return PyModule_AddType(module, poller_type);
}

PyMODINIT_FUNC PyInit__fastpath(void)
{
	PyObject *module = PyModule_Create(&definition);

	if (module && fill(module) < 0) {
		Py_DECREF(module);
		return NULL;
	}
	return module;
}
