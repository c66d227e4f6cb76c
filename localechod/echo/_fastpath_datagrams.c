/*
 * Datagrams answered without running Python code for each; anything out of the ordinary is returned
 * to datagram/server.py. One by one and not by recvmmsg(2): measured, a batch gains little when
 * many datagrams wait, and delays the first reply when few do.
 */
#include "_fastpath.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

/* A reply is the bytes that were received, after a prefix in the same memory. */
static char memory[LONGEST_PREFIX + LONGEST_READ];
static char *const data = memory + LONGEST_PREFIX;

/* Space for the credentials alone: the kernel closes passed descriptors that do not fit. */
static union {
	struct cmsghdr header;
	char space[CMSG_SPACE(sizeof(struct ucred))];
} control;

static struct sockaddr_un from;

/* A name as Python's recvmsg has it: bytes for an abstract one, text for a path, None for none. */
static PyObject *name_of(socklen_t length)
{
	const char *name = from.sun_path;
	Py_ssize_t size = (Py_ssize_t)length - (Py_ssize_t)offsetof(struct sockaddr_un, sun_path);

	if (size <= 0)
		return Py_NewRef(Py_None);
	/* The length of a path of 108 bytes includes a NUL that does not fit; unix(7). */
	if (size > (Py_ssize_t)sizeof from.sun_path)
		size = sizeof from.sun_path;
	if (!name[0])
		return PyBytes_FromStringAndSize(name, size);
	return PyUnicode_DecodeFSDefaultAndSize(name, strnlen(name, size));
}

/* A datagram for Python to handle: the message, its sender's credentials and name. */
static PyObject *datagram(Py_ssize_t size, const struct msghdr *message)
{
	struct ucred peer = {0, -1, -1};
	PyObject *name = name_of(message->msg_namelen);

	if (!name)
		return NULL;
	if (message->msg_controllen >= CMSG_LEN(sizeof peer))
		memcpy(&peer, CMSG_DATA(&control.header), sizeof peer);
	return Py_BuildValue("y#(iII)N", data, size, peer.pid, peer.uid, peer.gid, name);
}

/* As send_cost in send_budget.py: bytes that a reply takes of the send buffer, or fewer. */
static Py_ssize_t cost(Py_ssize_t size)
{
	return 2 * size + 1280 < size + 8192 ? 2 * size + 1280 : size + 8192;
}

/* Remember the name of a sender that is answered: 1; 0 for one name too many; -1: an exception. */
static int remember(PyObject *answered, socklen_t length)
{
	PyObject *name = name_of(length);
	int known;

	if (!name)
		return -1;
	if (PySet_GET_SIZE(answered) < MOST_NAMES)
		known = PySet_Add(answered, name) < 0 ? -1 : 1;
	else
		known = PySet_Contains(answered, name);
	Py_DECREF(name);
	return known;
}

PyObject *answer_datagrams(PyObject *module, PyObject *args)
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
		PyErr_SetString(PyExc_ValueError, "the prefix or the limit is longer than the buffer");
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
		/* Not for a path, which may name another socket by now (pinned_senders.py), nor for
		   an empty reply, which hides others (send_budget.py). */
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
			rest = datagram(size, &message);
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
