/*
 * Datagrams answered without a step of Python for each, as long as nothing out of the ordinary
 * happens; see datagram.py, which does whatever else there is to do. One by one and not by
 * recvmmsg(2): a batch gains little where many wait, and where few do it waits for itself.
 */
#define PY_SSIZE_T_CLEAN
#define _GNU_SOURCE
#include <Python.h>

#include <errno.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

enum {
	LONGEST_PREFIX = 1024,
	LONGEST_READ = 1 << 17,
	NAMES = 4096, /* remembered at most; send_budget.py forgets them */
};

/* A reply is what was received, behind a prefix put before it in the same memory. */
static char memory[LONGEST_PREFIX + LONGEST_READ];
static char *const data = memory + LONGEST_PREFIX;

/* struct cmsghdr and struct ucred, and no room beside them: the kernel closes passed descriptors. */
static union {
	struct cmsghdr header;
	char room[CMSG_SPACE(sizeof(struct ucred))];
} control;

static struct sockaddr_un from;

/* A name as Python's recvmsg has it: bytes for an abstract one, text for a path, None for none. */
static PyObject *name_of(socklen_t length)
{
	const char *name = from.sun_path;
	Py_ssize_t size = (Py_ssize_t)length - (Py_ssize_t)offsetof(struct sockaddr_un, sun_path);

	if (size <= 0)
		return Py_NewRef(Py_None);
	/* A path of all 108 bytes counts with a NUL for which there is no room; unix(7). */
	if (size > (Py_ssize_t)sizeof from.sun_path)
		size = sizeof from.sun_path;
	if (!name[0])
		return PyBytes_FromStringAndSize(name, size);
	return PyUnicode_DecodeFSDefaultAndSize(name, strnlen(name, size));
}

/* What Python is to answer: the message, its sender's credentials and name. */
static PyObject *left_over(Py_ssize_t size, const struct msghdr *message)
{
	struct ucred peer = {0, -1, -1};
	PyObject *name = name_of(message->msg_namelen);

	if (!name)
		return NULL;
	if (message->msg_controllen >= CMSG_LEN(sizeof peer))
		memcpy(&peer, CMSG_DATA(&control.header), sizeof peer);
	return Py_BuildValue("y#(iII)N", data, size, peer.pid, peer.uid, peer.gid, name);
}

/* As _cost in send_budget.py: at least what a reply takes of the send buffer. */
static Py_ssize_t cost(Py_ssize_t size)
{
	return 2 * size + 1280 < size + 8192 ? 2 * size + 1280 : size + 8192;
}

/* Remember who is answered: 1; 0 where there is no room for one more name; -1: an exception. */
static int remember(PyObject *answered, socklen_t length)
{
	PyObject *name = name_of(length);
	int known;

	if (!name)
		return -1;
	if (PySet_GET_SIZE(answered) < NAMES)
		known = PySet_Add(answered, name) < 0 ? -1 : 1;
	else
		known = PySet_Contains(answered, name);
	Py_DECREF(name);
	return known;
}

PyDoc_STRVAR(answer_doc, "See localechod.echo.datagram.fastpath.");

static PyObject *answer(PyObject *module, PyObject *args)
{
	PyObject *sock, *answered, *rest = NULL;
	const char *prefix;
	Py_ssize_t prefix_size, limit, most, slack, messages = 0, received = 0, delivered = 0;
	int fd;

	if (!PyArg_ParseTuple(args, "Oy#nnnO!", &sock, &prefix, &prefix_size, &limit, &most, &slack,
			      &PySet_Type, &answered))
		return NULL;
	fd = PyObject_AsFileDescriptor(sock);
	if (fd < 0)
		return NULL;
	if (prefix_size > LONGEST_PREFIX || limit >= LONGEST_READ) {
		PyErr_SetString(PyExc_ValueError, "there is no room for such datagrams");
		return NULL;
	}
	memcpy(data - prefix_size, prefix, prefix_size);
	while (messages < most) {
		/* One byte more than allowed shows that a datagram was longer. */
		struct iovec place = {data, limit + 1};
		struct msghdr message = {
			.msg_name = &from, .msg_namelen = sizeof from,
			.msg_iov = &place, .msg_iovlen = 1,
			.msg_control = &control, .msg_controllen = sizeof control,
		};
		Py_ssize_t size = recvmsg(fd, &message, MSG_DONTWAIT), sent;
		Py_ssize_t length = prefix_size + size;
		/* A path may lead elsewhere by now, and an empty reply hides others: send_budget.py, pinned_senders.py */
		int abstract = message.msg_namelen > offsetof(struct sockaddr_un, sun_path)
			       && !from.sun_path[0];
		int known = 0;

		if (size < 0 && errno == EAGAIN)
			break;
		if (size < 0)
			return PyErr_SetFromErrno(PyExc_OSError);
		if (abstract && size <= limit && length && cost(length) <= slack)
			known = remember(answered, message.msg_namelen);
		if (known < 0)
			return NULL;
		if (!known) {
			rest = left_over(size, &message);
			if (!rest)
				return NULL;
			break;
		}
		slack -= cost(length);
		messages++;
		received += size;
		sent = sendto(fd, data - prefix_size, length, MSG_DONTWAIT, (struct sockaddr *)&from,
			      message.msg_namelen);
		if (sent < 0) {
			rest = PyLong_FromLong(errno);
			break;
		}
		delivered += sent;
	}
	if (!rest)
		rest = Py_NewRef(Py_None);
	return Py_BuildValue("nnnnN", messages, received, delivered, slack, rest);
}

static PyMethodDef functions[] = {
	{"answer", answer, METH_VARARGS, answer_doc},
	{NULL, NULL, 0, NULL},
};

static struct PyModuleDef definition = {
	PyModuleDef_HEAD_INIT, "_fastpath_datagrams", answer_doc, -1, functions, NULL, NULL, NULL, NULL,
};

PyMODINIT_FUNC PyInit__fastpath_datagrams(void)
{
	return PyModule_Create(&definition);
}
