/* The totals of an endpoint, to which each of its flows adds; portable/ documents them. */
#include "_fastpath.h"

#define TOTAL(name) {#name, T_ULONGLONG, offsetof(Totals, name), 0, NULL}

static PyMemberDef members[] = {
	TOTAL(messages), TOTAL(received_bytes), TOTAL(sent_bytes),
	{NULL},
};

PyDoc_STRVAR(doc, "See localechod.echo.portable.");

static PyType_Slot slots[] = {
	{Py_tp_doc, (void *)doc},
	{Py_tp_members, members},
	{0, NULL},
};

static PyType_Spec spec = {
	.name = "localechod.echo._fastpath.Totals",
	.basicsize = sizeof(Totals),
	.flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE,
	.slots = slots,
};

PyTypeObject *make_totals_type(PyObject *module)
{
	return (PyTypeObject *)PyType_FromModuleAndSpec(module, &spec, NULL);
}
