/*
 * The compiled loop of the data plane: it reads, answers and counts the common case without running
 * Python code for each message. Anything else is returned to Python, which can do all of it if this
 * module is absent (fastpath.py): new clients, end of file, errors, replies that do not fit,
 * incomplete and overlong messages, other framings.
 *
 * The interpreter's lock is not released around the system calls: every descriptor here is
 * non-blocking, and the daemon has one thread.
 */
#include "_fastpath_flow.h"

#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>

enum {
	EVENTS = 64,         /* of one epoll_wait(2) */
	LONGEST_REPLY = 1 << 18,
};

/* The reply to one message is the bytes that were read, after a prefix in the same memory. */
static char memory[LONGEST_PREFIX + LONGEST_READ];
static char *const data = memory + LONGEST_PREFIX;
static char replies[LONGEST_REPLY];

static PyObject *str_take, *str_on_sent, *str_fail, *str_end;

static void mark(Flow *flow, unsigned char state)
{
	if (flow->slot_byte)
		*(volatile unsigned char *)flow->slot_byte->buf = state;
}

/* Each returns what the method returned, or NULL with its exception. */

static PyObject *failed(Flow *flow)
{
	PyObject *type, *error, *traceback, *result;

	PyErr_SetFromErrno(PyExc_OSError);
	PyErr_Fetch(&type, &error, &traceback);
	PyErr_NormalizeException(&type, &error, &traceback);
	result = PyObject_CallMethodOneArg((PyObject *)flow, str_fail, error);
	Py_XDECREF(type);
	Py_XDECREF(error);
	Py_XDECREF(traceback);
	return result;
}

static PyObject *taken(Flow *flow, Py_ssize_t size)
{
	PyObject *bytes = PyBytes_FromStringAndSize(data, size), *result;

	if (!bytes)
		return NULL;
	result = PyObject_CallMethodOneArg((PyObject *)flow, str_take, bytes);
	Py_DECREF(bytes);
	return result;
}

static PyObject *unsent(Flow *flow, const char *reply, Py_ssize_t size, Py_ssize_t sent)
{
	PyObject *bytes = PyBytes_FromStringAndSize(reply, size), *number = PyLong_FromSsize_t(sent);
	PyObject *result = NULL;

	if (bytes && number)
		result = PyObject_CallMethodObjArgs((PyObject *)flow, str_on_sent, bytes, number, NULL);
	Py_XDECREF(bytes);
	Py_XDECREF(number);
	return result;
}

/* Write the prefix before each of the lines that were read; the caller has checked the size. */
static void put_before_each(const char *prefix, Py_ssize_t prefix_size, Py_ssize_t size)
{
	const char *line = data, *end = data + size;
	char *out = replies;

	while (line < end) {
		const char *next = (const char *)memchr(line, '\n', end - line) + 1;

		memcpy(out, prefix, prefix_size);
		memcpy(out + prefix_size, line, next - line);
		out += prefix_size + (next - line);
		line = next;
	}
}

static Py_ssize_t lines_in(Py_ssize_t size)
{
	Py_ssize_t count = 0;

	for (Py_ssize_t at = 0; at < size; at++)
		count += data[at] == '\n';
	return count;
}

/* Serve a flow that is readable. */
static PyObject *serve(Flow *flow, double now)
{
	const char *prefix = PyBytes_AS_STRING(flow->prefix), *reply = data;
	Py_ssize_t prefix_size = PyBytes_GET_SIZE(flow->prefix), count = 1;
	Py_ssize_t size, length, sent;

	if (flow->kind != SEQPACKET) /* of records the kernel keeps the boundaries */
		mark(flow, BUSY);
	size = recv(flow->fd, data, flow->read_size, 0);
	if (size < 0 && errno != EAGAIN)
		return failed(flow);
	if (size < 0) {
		mark(flow, BOUNDARY);
		Py_RETURN_NONE;
	}
	if (size == 0 && flow->kind != SEQPACKET)
		return PyObject_CallMethodNoArgs((PyObject *)flow, str_end);
	if (flow->kind == LINES) {
		/* No line is too long if all of them together are not longer than the limit. */
		if (data[size - 1] != '\n' || size - 1 > flow->limit)
			return taken(flow, size);
		count = lines_in(size);
		if (size + count * prefix_size > LONGEST_REPLY)
			return taken(flow, size);
	} else if (flow->kind == SEQPACKET && size > flow->limit) {
		return taken(flow, size);
	}
	length = size + count * prefix_size;
	if (prefix_size && count == 1) {
		memcpy(data - prefix_size, prefix, prefix_size);
		reply = data - prefix_size;
	} else if (prefix_size) {
		put_before_each(prefix, prefix_size, size);
		reply = replies;
	}
	flow->active_at = now;
	flow->received += size;
	flow->fast_messages += count;
	/* Before the reply: the send wakes the client, so a kill is most likely right after it. */
	mark(flow, length > flow->atomic_size ? UNSENT : BOUNDARY);
	sent = send(flow->fd, reply, length, MSG_NOSIGNAL);
	if (sent < 0 && errno != EAGAIN)
		return failed(flow);
	if (sent > 0)
		flow->sent += sent;
	if (sent != length)
		return unsent(flow, reply, length, sent);
	if (length > flow->atomic_size)
		mark(flow, BOUNDARY);
	Py_RETURN_NONE;
}

/* Call a callback, or serve its flow here. */
static PyObject *call(PyObject *callback, uint32_t events, double now)
{
	PyObject *self = PyMethod_Check(callback) ? PyMethod_GET_SELF(callback) : NULL;
	PyObject *number, *result;

	if (self && PyObject_TypeCheck(self, &FlowType) && events & EPOLLIN) {
		Flow *flow = (Flow *)self;
		/* Not where the read may find end of file instead of a record. An event in the
		   round in which the connection was accepted may be for an earlier one that had
		   the same descriptor. */
		int record = events == EPOLLIN && now != flow->accepted_at;

		if (flow->kind != PYTHON && (flow->kind != SEQPACKET || record))
			return serve(flow, now);
	}
	number = PyLong_FromUnsignedLong(events);
	if (!number)
		return NULL;
	result = PyObject_CallOneArg(callback, number);
	Py_DECREF(number);
	return result;
}

PyDoc_STRVAR(dispatch_doc, "See localechod.echo.fastpath.");

static PyObject *dispatch(PyObject *module, PyObject *const *args, Py_ssize_t nargs)
{
	struct epoll_event ready[EVENTS];
	int epoll, batch, count, served = 0;
	double now;

	if (nargs != 4 || !PyDict_Check(args[1])) {
		PyErr_SetString(PyExc_TypeError, "dispatch(epoll, callbacks, batch, now)");
		return NULL;
	}
	epoll = PyObject_AsFileDescriptor(args[0]);
	batch = PyLong_AsLong(args[2]);
	now = PyFloat_AsDouble(args[3]);
	if (PyErr_Occurred())
		return NULL;
	count = epoll_wait(epoll, ready, batch < EVENTS ? batch : EVENTS, 0);
	if (count < 0)
		return errno == EINTR ? PyLong_FromLong(0) : PyErr_SetFromErrno(PyExc_OSError);
	for (int at = 0; at < count; at++) {
		PyObject *fd = PyLong_FromLong(ready[at].data.fd), *callback, *result;

		if (!fd)
			return NULL;
		callback = PyDict_GetItemWithError(args[1], fd);
		Py_DECREF(fd);
		if (!callback && PyErr_Occurred())
			return NULL;
		served++;
		if (!callback)
			continue; /* closed by a callback before it */
		Py_INCREF(callback);
		result = call(callback, ready[at].events, now);
		Py_DECREF(callback);
		if (!result)
			return NULL;
		if (PyLong_Check(result))
			served += PyLong_AsLong(result) - 1;
		Py_DECREF(result);
	}
	return PyLong_FromLong(served);
}

static PyMethodDef functions[] = {
	{"dispatch", (PyCFunction)(void (*)(void))dispatch, METH_FASTCALL, dispatch_doc},
	{"answer_datagrams", answer_datagrams, METH_VARARGS, dispatch_doc},
	{NULL},
};

#define CONSTANT(name) {#name, name}
static const struct {
	const char *name;
	long value;
} constants[] = {
	CONSTANT(LONGEST_PREFIX), CONSTANT(LONGEST_READ), CONSTANT(MOST_NAMES),
	CONSTANT(PYTHON), CONSTANT(CHUNKS), CONSTANT(LINES), CONSTANT(SEQPACKET),
	CONSTANT(BOUNDARY), CONSTANT(BUSY), CONSTANT(UNSENT),
};

static struct PyModuleDef definition = {
	PyModuleDef_HEAD_INIT, "_fastpath", dispatch_doc, -1, functions,
};

PyMODINIT_FUNC PyInit__fastpath(void)
{
	PyObject *module;

	str_take = PyUnicode_InternFromString("take");
	str_on_sent = PyUnicode_InternFromString("on_sent");
	str_fail = PyUnicode_InternFromString("fail");
	str_end = PyUnicode_InternFromString("end");
	if (!str_take || !str_on_sent || !str_fail || !str_end || PyType_Ready(&FlowType) < 0)
		return NULL;
	module = PyModule_Create(&definition);
	if (!module)
		return NULL;
	for (size_t at = 0; at < sizeof constants / sizeof *constants; at++) {
		if (PyModule_AddIntConstant(module, constants[at].name, constants[at].value) < 0)
			goto failed;
	}
	if (PyModule_AddObjectRef(module, "Flow", (PyObject *)&FlowType) < 0)
		goto failed;
	return module;
failed:
	Py_DECREF(module);
	return NULL;
}
