/*
 * A flow: the part of a connection that the compiled part knows, as a type that Connection inherits.
 * Here are its attributes and their bounds; portable/ documents each.
 */
#include "_fastpath.h"

/* The limited API has no access to the type's slots; these are looked up once. */
static allocfunc allocate;

static void release_slot_byte(Flow *flow)
{
	if (flow->slot_byte)
		PyBuffer_Release(flow->slot_byte);
	PyMem_Free(flow->slot_byte);
	flow->slot_byte = NULL;
}

static PyObject *get_slot_byte(Flow *flow, void *closure)
{
	return Py_NewRef(flow->slot_byte ? flow->slot_byte->obj : Py_None);
}

static int set_slot_byte(Flow *flow, PyObject *value, void *closure)
{
	Py_buffer *slot_byte;

	if (!value || value == Py_None) {
		release_slot_byte(flow);
		return 0;
	}
	slot_byte = PyMem_Calloc(1, sizeof *slot_byte);
	if (!slot_byte) {
		PyErr_NoMemory();
		return -1;
	}
	if (PyObject_GetBuffer(value, slot_byte, PyBUF_WRITABLE) < 0) {
		PyMem_Free(slot_byte);
		return -1;
	}
	release_slot_byte(flow);
	flow->slot_byte = slot_byte;
	if (slot_byte->len == 1)
		return 0;
	release_slot_byte(flow);
	PyErr_SetString(PyExc_ValueError, "a slot byte is one byte");
	return -1;
}

static int set_prefix(Flow *flow, PyObject *value, void *closure)
{
	PyObject *before = flow->prefix;

	if (!value || !PyBytes_Check(value) || PyBytes_Size(value) > LONGEST_PREFIX) {
		PyErr_SetString(PyExc_ValueError, "a prefix is bytes, and at most 1024 of them");
		return -1;
	}
	flow->prefix = Py_NewRef(value);
	Py_XDECREF(before);
	return 0;
}

static PyObject *get_prefix(Flow *flow, void *closure)
{
	return Py_NewRef(flow->prefix);
}

static int set_totals(Flow *flow, PyObject *value, void *closure)
{
	Totals *before = flow->totals;

	if (value && value != Py_None && !PyObject_TypeCheck(value, totals_type)) {
		PyErr_SetString(PyExc_TypeError, "totals are a Totals");
		return -1;
	}
	flow->totals = value && value != Py_None ? (Totals *)Py_NewRef(value) : NULL;
	Py_XDECREF((PyObject *)before);
	return 0;
}

static PyObject *get_totals(Flow *flow, void *closure)
{
	return Py_NewRef(flow->totals ? (PyObject *)flow->totals : Py_None);
}

/* An attribute that is an int with bounds; the numbers are in its closure. */
struct bounds {
	const char *name;
	size_t offset;
	long low, high;
};

static const struct bounds fd_bounds = {"fd", offsetof(Flow, fd), -1, INT_MAX};
static const struct bounds kind_bounds = {"kind", offsetof(Flow, kind), PYTHON, SEQPACKET};

static PyObject *get_int(Flow *flow, void *closure)
{
	return PyLong_FromLong(*(int *)((char *)flow + ((struct bounds *)closure)->offset));
}

static int set_int(Flow *flow, PyObject *value, void *closure)
{
	const struct bounds *bounds = closure;
	long number = value ? PyLong_AsLong(value) : bounds->low - 1;

	if (PyErr_Occurred())
		return -1;
	if (number < bounds->low || number > bounds->high) {
		PyErr_Format(PyExc_ValueError, "%s is outside %ld to %ld", bounds->name,
			     bounds->low, bounds->high);
		return -1;
	}
	*(int *)((char *)flow + bounds->offset) = number;
	return 0;
}

static int set_read_size(Flow *flow, PyObject *value, void *closure)
{
	Py_ssize_t size = value ? PyLong_AsSsize_t(value) : -1;

	if (PyErr_Occurred())
		return -1;
	if (size < 1 || size > LONGEST_READ) {
		PyErr_SetString(PyExc_ValueError, "read_size is outside 1 to LONGEST_READ");
		return -1;
	}
	flow->read_size = size;
	return 0;
}

static PyObject *get_read_size(Flow *flow, void *closure)
{
	return PyLong_FromSsize_t(flow->read_size);
}

static PyObject *new_flow(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
	Flow *flow = (Flow *)allocate(type, 0);

	if (!flow)
		return NULL;
	flow->prefix = PyBytes_FromStringAndSize(NULL, 0);
	flow->fd = -1;
	flow->read_size = 1;
	flow->atomic_size = PY_SSIZE_T_MAX;
	return (PyObject *)flow;
}

PyDoc_STRVAR(doc, "See localechod.echo.portable.");

/* like(fd, pid, uid, gid, now) */
static PyObject *like(Flow *model, PyObject *args)
{
	int fd, pid;
	unsigned uid, gid;
	double now;
	Flow *flow;

	if (!PyArg_ParseTuple(args, "iiIId", &fd, &pid, &uid, &gid, &now))
		return NULL;
	flow = (Flow *)allocate(Py_TYPE((PyObject *)model), 0);
	if (!flow)
		return NULL;
	flow->fd = fd;
	flow->pid = pid;
	flow->uid = uid;
	flow->gid = gid;
	flow->accepted_at = flow->active_at = now;
	flow->kind = model->kind;
	flow->events = model->events;
	flow->read_size = model->read_size;
	flow->limit = model->limit;
	flow->atomic_size = PY_SSIZE_T_MAX;
	flow->prefix = Py_NewRef(model->prefix);
	Py_XINCREF(model->port);
	flow->port = model->port;
	Py_XINCREF((PyObject *)model->totals);
	flow->totals = model->totals;
	return (PyObject *)flow;
}

#define OBJECTS(flow) \
	{(PyObject **)&(flow)->totals, &(flow)->port, &(flow)->slot, &(flow)->sock, &(flow)->framer, \
	 &(flow)->unsent, &(flow)->afterwards}

static int traverse(Flow *flow, visitproc visit, void *arg)
{
	PyObject **objects[] = OBJECTS(flow);

	for (size_t at = 0; at < sizeof objects / sizeof *objects; at++)
		Py_VISIT(*objects[at]);
	Py_VISIT(Py_TYPE((PyObject *)flow));
	return 0;
}

static int clear(Flow *flow)
{
	PyObject **objects[] = OBJECTS(flow);

	for (size_t at = 0; at < sizeof objects / sizeof *objects; at++) {
		PyObject *object = *objects[at];

		*objects[at] = NULL;
		Py_XDECREF(object);
	}
	return 0;
}

static void free_flow(Flow *flow)
{
	PyTypeObject *type = Py_TYPE((PyObject *)flow);
	freefunc release = (freefunc)PyType_GetSlot(type, Py_tp_free);

	PyObject_GC_UnTrack(flow);
	clear(flow);
	release_slot_byte(flow);
	Py_XDECREF(flow->prefix);
	release(flow);
	Py_DECREF(type);
}

#define OBJECT(name) {#name, T_OBJECT, offsetof(Flow, name), 0, NULL}

static PyMemberDef members[] = {
	{"pid", T_INT, offsetof(Flow, pid), READONLY, NULL},
	{"uid", T_UINT, offsetof(Flow, uid), READONLY, NULL},
	{"gid", T_UINT, offsetof(Flow, gid), READONLY, NULL},
	{"events", T_UINT, offsetof(Flow, events), 0, NULL},
	{"limit", T_PYSSIZET, offsetof(Flow, limit), 0, NULL},
	{"atomic_size", T_PYSSIZET, offsetof(Flow, atomic_size), 0, NULL},
	{"fast_messages", T_ULONGLONG, offsetof(Flow, fast_messages), 0, NULL},
	{"received", T_ULONGLONG, offsetof(Flow, received), 0, NULL},
	{"sent", T_ULONGLONG, offsetof(Flow, sent), 0, NULL},
	{"accepted_at", T_DOUBLE, offsetof(Flow, accepted_at), 0, NULL},
	{"active_at", T_DOUBLE, offsetof(Flow, active_at), 0, NULL},
	OBJECT(port), OBJECT(slot), {"_sock", T_OBJECT, offsetof(Flow, sock), 0, NULL}, OBJECT(framer),
	OBJECT(unsent), OBJECT(afterwards),
	{NULL},
};

static PyGetSetDef properties[] = {
	{"fd", (getter)get_int, (setter)set_int, NULL, (void *)&fd_bounds},
	{"kind", (getter)get_int, (setter)set_int, NULL, (void *)&kind_bounds},
	{"prefix", (getter)get_prefix, (setter)set_prefix, NULL, NULL},
	{"read_size", (getter)get_read_size, (setter)set_read_size, NULL, NULL},
	{"totals", (getter)get_totals, (setter)set_totals, NULL, NULL},
	{"slot_byte", (getter)get_slot_byte, (setter)set_slot_byte, NULL, NULL},
	{NULL},
};

static PyMethodDef methods[] = {
	{"like", (PyCFunction)like, METH_VARARGS, doc},
	{NULL},
};

static PyType_Slot slots[] = {
	{Py_tp_doc, (void *)doc},
	{Py_tp_new, new_flow},
	{Py_tp_dealloc, free_flow},
	{Py_tp_traverse, traverse},
	{Py_tp_clear, clear},
	{Py_tp_members, members},
	{Py_tp_getset, properties},
	{Py_tp_methods, methods},
	{0, NULL},
};

static PyType_Spec spec = {
	.name = "localechod.echo._fastpath.Flow",
	.basicsize = sizeof(Flow),
	.flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE | Py_TPFLAGS_HAVE_GC,
	.slots = slots,
};

PyTypeObject *make_flow_type(PyObject *module)
{
	PyTypeObject *type = (PyTypeObject *)PyType_FromModuleAndSpec(module, &spec, NULL);

	if (type)
		allocate = (allocfunc)PyType_GetSlot(type, Py_tp_alloc);
	return type;
}
