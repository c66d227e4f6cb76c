/* Accepts clients of a listening socket, and serves each at once. */
#include "_fastpath_poller.h"

#include <sys/socket.h>

/* One client of a listener: 1; 0: none waits; -1: an exception. */
static int accept_one(Poller *self, int listener, PyObject *admit, int *fd)
{
	struct ucred peer = {0, -1, -1};
	socklen_t length = sizeof peer;
	PyObject *client;
	Flow *flow;

	*fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	if (*fd < 0 && errno == EAGAIN)
		return 0;
	if (*fd < 0) {
		PyErr_SetFromErrno(PyExc_OSError);
		return -1;
	}
	getsockopt(*fd, SOL_SOCKET, SO_PEERCRED, &peer, &length);
	client = PyObject_CallFunction(admit, "iiII", *fd, peer.pid, peer.uid, peer.gid);
	if (!client || !PyObject_TypeCheck(client, flow_type)) {
		close(*fd);
		Py_XDECREF(client);
		return client ? 1 : -1;
	}
	flow = (Flow *)client;
	if (flow->events & EPOLLRDHUP) /* of a seqpacket connection; see seqpacket.py */
		setsockopt(*fd, SOL_SOCKET, SO_PASSCRED, &(int){1}, sizeof(int));
	/* It has probably sent something already; it may also have left. */
	if (add(self, *fd, flow->events, client) < 0) {
		give_up(self, *fd, client);
	} else {
		PyObject *result = serve_flow(self, flow, flow->events, root_of(self)->now);

		if (!result)
			give_up(self, *fd, client);
		Py_XDECREF(result);
	}
	Py_DECREF(client);
	return PyErr_Occurred() ? -1 : 1;
}

/* accept(listener, admit, most, ceiling) */
PyObject *accept_clients(Poller *self, PyObject *args)
{
	int listener, most, ceiling, fd, accepted = 0;
	double until = monotonic() + CHILD_TIME / 1e6;
	PyObject *sock, *admit;

	if (!PyArg_ParseTuple(args, "OOii", &sock, &admit, &most, &ceiling))
		return NULL;
	listener = PyObject_AsFileDescriptor(sock);
	if (listener < 0)
		return NULL;
	while (accepted < most) {
		int found = accept_one(self, listener, admit, &fd);

		if (found < 0)
			return NULL;
		if (!found)
			break;
		accepted++;
		if (fd >= ceiling || monotonic() >= until)
			break;
	}
	return PyLong_FromLong(accepted);
}
