/*
 * A flow: the part of a connection that the compiled loop knows, as a type that Connection
 * inherits. Here are its attributes and their bounds; fastpath.py documents each.
 */
#ifndef LOCALECHOD_FLOW_H
#define LOCALECHOD_FLOW_H

#include "_fastpath.h"

#include <structmember.h>

typedef struct {
	PyObject_HEAD
	int fd, kind;
	Py_ssize_t read_size, limit, atomic_size;
	PyObject *prefix;
	Py_buffer *slot_byte; /* or NULL */
	unsigned long long fast_messages, received, sent;
	double accepted_at, active_at;
} Flow;

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
	if (!value || !PyBytes_Check(value) || PyBytes_GET_SIZE(value) > LONGEST_PREFIX) {
		PyErr_SetString(PyExc_ValueError, "a prefix is bytes, and at most 1024 of them");
		return -1;
	}
	Py_SETREF(flow->prefix, Py_NewRef(value));
	return 0;
}

static PyObject *get_prefix(Flow *flow, void *closure)
{
	return Py_NewRef(flow->prefix);
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
	Flow *flow = (Flow *)type->tp_alloc(type, 0);

	if (!flow)
		return NULL;
	flow->prefix = PyBytes_FromStringAndSize(NULL, 0);
	flow->fd = -1;
	flow->read_size = 1;
	flow->atomic_size = PY_SSIZE_T_MAX;
	return (PyObject *)flow;
}

static void free_flow(Flow *flow)
{
	release_slot_byte(flow);
	Py_XDECREF(flow->prefix);
	Py_TYPE(flow)->tp_free((PyObject *)flow);
}

static PyMemberDef members[] = {
	{"fd", T_INT, offsetof(Flow, fd), 0, NULL},
	{"kind", T_INT, offsetof(Flow, kind), 0, NULL},
	{"limit", T_PYSSIZET, offsetof(Flow, limit), 0, NULL},
	{"atomic_size", T_PYSSIZET, offsetof(Flow, atomic_size), 0, NULL},
	{"fast_messages", T_ULONGLONG, offsetof(Flow, fast_messages), 0, NULL},
	{"received", T_ULONGLONG, offsetof(Flow, received), 0, NULL},
	{"sent", T_ULONGLONG, offsetof(Flow, sent), 0, NULL},
	{"accepted_at", T_DOUBLE, offsetof(Flow, accepted_at), 0, NULL},
	{"active_at", T_DOUBLE, offsetof(Flow, active_at), 0, NULL},
	{NULL},
};

static PyGetSetDef properties[] = {
	{"prefix", (getter)get_prefix, (setter)set_prefix, NULL, NULL},
	{"read_size", (getter)get_read_size, (setter)set_read_size, NULL, NULL},
	{"slot_byte", (getter)get_slot_byte, (setter)set_slot_byte, NULL, NULL},
	{NULL},
};

static PyTypeObject FlowType = {
	PyVarObject_HEAD_INIT(NULL, 0)
	.tp_name = "localechod.echo._fastpath.Flow",
	.tp_basicsize = sizeof(Flow),
	.tp_flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE,
	.tp_doc = PyDoc_STR("See localechod.echo.fastpath."),
	.tp_new = new_flow,
	.tp_dealloc = (destructor)free_flow,
	.tp_members = members,
	.tp_getset = properties,
};

#endif
