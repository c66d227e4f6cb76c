/* The proof of a sender; portable/ documents it. */
#include "_fastpath_datagrams.h"

PyTypeObject *proof_type;

static PyMemberDef members[] = {
	{"probe", T_INT, offsetof(Proof, probe), READONLY, NULL},
	{"marker", T_OBJECT_EX, offsetof(Proof, marker), READONLY, NULL},
	{"uid", T_UINT, offsetof(Proof, uid), READONLY, NULL},
	{"until", T_DOUBLE, offsetof(Proof, until), 0, NULL},
	{"checked", T_DOUBLE, offsetof(Proof, checked), 0, NULL},
	{NULL},
};

static int init(Proof *self, PyObject *args, PyObject *kwargs)
{
	static char *words[] = {"probe", "marker", "uid", "until", NULL};
	PyObject *marker, *old = self->marker;

	if (!PyArg_ParseTupleAndKeywords(args, kwargs, "iSId", words, &self->probe, &marker, &self->uid,
					 &self->until))
		return -1;
	self->marker = Py_NewRef(marker);
	Py_XDECREF(old);
	self->checked = -1;
	return 0;
}

static void free_proof(Proof *self)
{
	PyTypeObject *type = Py_TYPE((PyObject *)self);

	Py_XDECREF(self->marker);
	((freefunc)PyType_GetSlot(type, Py_tp_free))(self);
	Py_DECREF(type);
}

PyDoc_STRVAR(doc, "See localechod.echo.portable.");

static PyType_Slot slots[] = {
	{Py_tp_doc, (void *)doc},
	{Py_tp_init, init},
	{Py_tp_dealloc, free_proof},
	{Py_tp_members, members},
	{0, NULL},
};

static PyType_Spec spec = {
	.name = "localechod.echo._fastpath.Proof",
	.basicsize = sizeof(Proof),
	.flags = Py_TPFLAGS_DEFAULT,
	.slots = slots,
};

PyTypeObject *make_proof_type(PyObject *module)
{
	proof_type = (PyTypeObject *)PyType_FromModuleAndSpec(module, &spec, NULL);
	return proof_type;
}
