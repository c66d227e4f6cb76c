/* Reads from a connection and answers it, as long as nothing out of the ordinary happens. */
#include "_fastpath.h"

#include <linux/sockios.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

enum { LONGEST_REPLY = 1 << 18 };

/* The reply to one message is the bytes that were read, after a prefix in the same memory. */
static char memory[LONGEST_PREFIX + LONGEST_READ];
static char *const data = memory + LONGEST_PREFIX;
static char replies[LONGEST_REPLY];

static void mark(Flow *flow, unsigned char state)
{
	if (flow->slot_byte)
		*(volatile unsigned char *)flow->slot_byte->buf = state;
}

/* Each returns what the method returned, or NULL with its exception. */

static PyObject *failed(Flow *flow)
{
	PyObject *error = PyObject_CallFunction(PyExc_OSError, "is", errno, strerror(errno));
	PyObject *result;

	if (!error)
		return NULL;
	result = PyObject_CallMethodObjArgs((PyObject *)flow, str_fail, error, NULL);
	Py_DECREF(error);
	return result;
}

static PyObject *taken(Flow *flow, Py_ssize_t size)
{
	PyObject *bytes = PyBytes_FromStringAndSize(data, size), *result;

	if (!bytes)
		return NULL;
	result = PyObject_CallMethodObjArgs((PyObject *)flow, str_take, bytes, NULL);
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

/*
 * At end of file nothing is unread or unsent. A socket that has been passed on is closed by Python,
 * and so is one whose peer has not read all: it lingers.
 */
static PyObject *ended(Poller *poller, Flow *flow)
{
	int fd = flow->fd, queued = 0;

	if (flow->sock || (ioctl(fd, SIOCOUTQ, &queued) == 0 && queued > 0))
		return PyObject_CallMethodObjArgs((PyObject *)flow, str_end, NULL);
	forget(poller, fd);
	close(fd);
	flow->fd = -1;
	flow->kind = PYTHON;
	return PyObject_CallMethodObjArgs((PyObject *)flow, str_closed, NULL);
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

/* Blocks whose count fits a byte: the compiler then compares 16 bytes at a time, and adds as many. */
static Py_ssize_t lines_in(Py_ssize_t size)
{
	enum { BLOCK = 240 };
	Py_ssize_t count = 0, at = 0;

	while (at < size) {
		Py_ssize_t end = size - at < BLOCK ? size : at + BLOCK;
		unsigned char some = 0;

		for (; at < end; at++)
			some += data[at] == '\n';
		count += some;
	}
	return count;
}

/* An empty record and end of file both read as 0 bytes; a record has its sender's credentials. */
static Py_ssize_t receive_record(Flow *flow, int *end)
{
	union {
		struct cmsghdr header;
		char space[CMSG_SPACE(sizeof(struct ucred))];
	} control;
	struct iovec place = {data, flow->read_size};
	struct msghdr message = {
		.msg_iov = &place, .msg_iovlen = 1,
		.msg_control = &control, .msg_controllen = sizeof control,
	};
	Py_ssize_t size = recvmsg(flow->fd, &message, 0);

	*end = size == 0 && !message.msg_controllen;
	return size;
}

/* Count for the flow, and for its endpoint. */

static void count_received(Flow *flow, Py_ssize_t size, Py_ssize_t messages)
{
	flow->received += size;
	flow->fast_messages += messages;
	if (flow->totals) {
		flow->totals->received_bytes += size;
		flow->totals->messages += messages;
	}
}

static void count_sent(Flow *flow, Py_ssize_t size)
{
	flow->sent += size;
	if (flow->totals)
		flow->totals->sent_bytes += size;
}

PyObject *serve_flow(Poller *poller, Flow *flow, uint32_t events, double now)
{
	Py_ssize_t prefix_size, count = 1, size, length, sent;
	const char *prefix, *reply = data;
	int end;

	if (flow->kind == PYTHON || !(events & EPOLLIN)) {
		PyObject *number = PyLong_FromUnsignedLong(events), *result = NULL;

		if (number)
			result = PyObject_CallMethodObjArgs((PyObject *)flow, str_serve, number, NULL);
		Py_XDECREF(number);
		return result;
	}
	if (flow->kind != SEQPACKET) { /* of its records the kernel keeps the boundaries */
		mark(flow, BUSY);
		size = recv(flow->fd, data, flow->read_size, 0);
		end = size == 0;
	} else if (events == EPOLLIN) { /* before EPOLLRDHUP there is no end of file */
		size = recv(flow->fd, data, flow->read_size, 0);
		end = 0;
	} else {
		size = receive_record(flow, &end);
	}
	if (size < 0 && errno != EAGAIN)
		return failed(flow);
	if (size < 0) {
		mark(flow, BOUNDARY);
		Py_RETURN_NONE;
	}
	if (end)
		return ended(poller, flow);
	prefix = PyBytes_AsString(flow->prefix);
	prefix_size = PyBytes_Size(flow->prefix);
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
	count_received(flow, size, count);
	/* Before the reply: the send wakes the client, so a kill is most likely right after it. */
	mark(flow, length > flow->atomic_size ? UNSENT : BOUNDARY);
	sent = send(flow->fd, reply, length, MSG_NOSIGNAL);
	if (sent < 0 && errno != EAGAIN)
		return failed(flow);
	if (sent > 0)
		count_sent(flow, sent);
	if (sent != length)
		return unsent(flow, reply, length, sent);
	if (length > flow->atomic_size)
		mark(flow, BOUNDARY);
	Py_RETURN_NONE;
}
