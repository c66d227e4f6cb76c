/*
 * Datagrams answered without running Python code for each; anything out of the ordinary is returned
 * to datagram/server.py. Where many wait, a batch of them is received by one recvmmsg(2) and
 * answered by one sendmmsg(2). Where few do, they are answered one by one: a batch would delay the
 * first reply, and so the next message of its receiver.
 */
#include "_fastpath_datagrams.h"

enum { MOST_AT_ONCE = 32 };

static struct datagram slots[MOST_AT_ONCE];
static struct mmsghdr incoming[MOST_AT_ONCE], outgoing[MOST_AT_ONCE];

/* What a call returns, and what it may still do. */
struct turn {
	Py_ssize_t prefix_size, limit, slack, messages, received, sent;
	PyObject *answered, *failures, *rest; /* the lists are NULL while they are empty */
	PyObject *ours, *proofs, *renew;
	double fresh;
};

/* Append to a list, which is made for its first item; most calls have none. -1: an exception. */
static int append(PyObject **list, PyObject *item)
{
	int failed = -1;

	if (item && !*list)
		*list = PyList_New(0);
	if (item && *list)
		failed = PyList_Append(*list, item);
	Py_XDECREF(item);
	return failed;
}

/* Leave a datagram to Python: the message, its sender's credentials and name. */
static int leave(struct turn *turn, const struct datagram *slot, const struct mmsghdr *message)
{
	PyObject *name = name_of(&slot->from, message->msg_hdr.msg_namelen);
	PyObject *data = PyBytes_FromStringAndSize(slot->data, message->msg_len);

	if (!name || !data) {
		Py_XDECREF(name);
		Py_XDECREF(data);
		return -1;
	}
	return append(&turn->rest, Py_BuildValue("N(iII)Nd", data, slot->peer.pid, slot->peer.uid,
						slot->peer.gid, name, slot->sent_at));
}

/* As send_cost in send_budget.py: bytes that a reply takes of the send buffer, or fewer. */
static Py_ssize_t cost(Py_ssize_t size)
{
	return 2 * size + 1280 < size + 8192 ? 2 * size + 1280 : size + 8192;
}

/* Remember the name of a sender that is answered: 1; 0 for one name too many; -1: an exception. */
static int remember(PyObject *answered, PyObject *name)
{
	if (PySet_Size(answered) < MOST_NAMES)
		return PySet_Add(answered, name) < 0 ? -1 : 1;
	return PySet_Contains(answered, name);
}

/*
 * Whether a datagram can be answered here: 1, 0, or -1 with an exception. Not one from a path, which
 * may name another socket by now (pinned_senders.py), nor with an empty reply, which hides others
 * (send_budget.py), nor one that comes from an endpoint of ours.
 */
static int is_ordinary(const struct turn *turn, const struct datagram *slot,
		       const struct mmsghdr *message)
{
	socklen_t named = message->msg_hdr.msg_namelen;
	Py_ssize_t length = turn->prefix_size + message->msg_len;
	PyObject *name;
	int ordinary;

	if (named <= offsetof(struct sockaddr_un, sun_path) || slot->from.sun_path[0])
		return 0;
	if (message->msg_len > turn->limit || !length || cost(length) > turn->slack)
		return 0;
	name = name_of(&slot->from, named);
	if (!name)
		return -1;
	ordinary = PySet_Contains(turn->ours, name);
	if (ordinary >= 0)
		ordinary = !ordinary;
	if (ordinary > 0 && !is_fresh(slot, turn->fresh))
		ordinary = is_proven(turn->proofs, name, slot, named, turn->renew);
	if (ordinary > 0)
		ordinary = remember(turn->answered, name);
	Py_DECREF(name);
	return ordinary;
}

/* Space for the time only where it comes, or passed descriptors would have it: see portable/. */
static void prepare(const struct turn *turn, int count, const char *prefix)
{
	size_t control = turn->fresh < 0 ? CMSG_SPACE(sizeof(struct ucred)) : sizeof slots->control;

	for (int at = 0; at < count; at++) {
		struct datagram *slot = &slots[at];
		struct msghdr *message = &incoming[at].msg_hdr;

		/* One byte more than allowed shows that a datagram was longer. */
		slot->in = (struct iovec){slot->data, turn->limit + 1};
		*message = (struct msghdr){
			.msg_name = &slot->from, .msg_namelen = sizeof slot->from,
			.msg_iov = &slot->in, .msg_iovlen = 1,
			.msg_control = &slot->control, .msg_controllen = control,
		};
		memcpy(slot->data - turn->prefix_size, prefix, turn->prefix_size);
	}
}

/* Receive at most so many: how many, 0 if none waits, -1 for an error. */
static int receive(int fd, int count)
{
	Py_ssize_t size;

	if (count > 1)
		return recvmmsg(fd, incoming, count, MSG_DONTWAIT, NULL);
	size = recvmsg(fd, &incoming[0].msg_hdr, MSG_DONTWAIT);
	incoming[0].msg_len = size;
	return size < 0 ? -1 : 1;
}

/* Send prepared replies: how many, or -1 for an error of the first. */
static int transmit(int fd, int first, int count)
{
	Py_ssize_t size;

	if (count > 1)
		return sendmmsg(fd, outgoing + first, count, MSG_DONTWAIT);
	size = sendto(fd, slots[first].out.iov_base, slots[first].out.iov_len, MSG_DONTWAIT,
		      (struct sockaddr *)&slots[first].from, outgoing[first].msg_hdr.msg_namelen);
	outgoing[first].msg_len = size;
	return size < 0 ? -1 : 1;
}

/* Send the replies to the first datagrams; -1: an exception. */
static int reply(struct turn *turn, int fd, int count)
{
	for (int each = 0; each < count; each++) {
		struct datagram *slot = &slots[each];
		Py_ssize_t length = turn->prefix_size + incoming[each].msg_len;

		slot->out = (struct iovec){slot->data - turn->prefix_size, length};
		outgoing[each].msg_hdr = (struct msghdr){
			.msg_name = &slot->from, .msg_namelen = incoming[each].msg_hdr.msg_namelen,
			.msg_iov = &slot->out, .msg_iovlen = 1,
		};
		turn->messages++;
		turn->received += incoming[each].msg_len;
	}
	for (int at = 0; at < count;) {
		int sent = transmit(fd, at, count - at);

		if (sent < 0) {
			if (append(&turn->failures, PyLong_FromLong(errno)) < 0)
				return -1;
			sent = 1;
		} else {
			for (int each = at; each < at + sent; each++)
				turn->sent += outgoing[each].msg_len;
		}
		at += sent;
	}
	return 0;
}

/* Receive datagrams and answer the ordinary ones: whether to go on; -1: an exception. */
static int answer(struct turn *turn, int fd, int most, const char *prefix)
{
	int count, ordinary = 0, known = 1;

	prepare(turn, most, prefix);
	count = receive(fd, most);
	if (count < 0 && errno == EAGAIN)
		return 0;
	if (count < 0)
		return append(&turn->failures, PyLong_FromLong(errno));
	for (int at = 0; at < count; at++)
		read_control(&slots[at], &incoming[at]);
	/* After the first that is left to Python all others are, so that replies stay in order. */
	while (ordinary < count && known > 0) {
		known = is_ordinary(turn, &slots[ordinary], &incoming[ordinary]);
		if (known > 0)
			turn->slack -= cost(turn->prefix_size + incoming[ordinary].msg_len);
		ordinary += known > 0;
	}
	if (known < 0 || reply(turn, fd, ordinary) < 0)
		return -1;
	for (int at = ordinary; at < count; at++) {
		if (leave(turn, &slots[at], &incoming[at]) < 0)
			return -1;
	}
	/* More wait if a single one was found, or at least a quarter of a batch; batch_size.py. */
	return 4 * count >= most && ordinary == count && !turn->failures;
}

PyObject *answer_datagrams(PyObject *module, PyObject *args)
{
	struct turn turn = {0};
	PyObject *sock, *bytes, *none, *result = NULL;
	char *prefix;
	int fd, most, at_once, more = 1;

	if (!PyArg_ParseTuple(args, "OSninO!iO!O!dO", &sock, &bytes, &turn.limit, &most, &turn.slack,
			      &PySet_Type, &turn.answered, &at_once, &PySet_Type, &turn.ours,
			      &PyDict_Type, &turn.proofs, &turn.fresh, &turn.renew)
	    || PyBytes_AsStringAndSize(bytes, &prefix, &turn.prefix_size) < 0)
		return NULL;
	fd = PyObject_AsFileDescriptor(sock);
	if (fd < 0)
		return NULL;
	if (turn.prefix_size > LONGEST_PREFIX || turn.limit < 0 || turn.limit >= LONGEST_READ
	    || at_once < 1) {
		PyErr_SetString(PyExc_ValueError, "the prefix, the limit or the batch fits no buffer");
		return NULL;
	}
	at_once = at_once > MOST_AT_ONCE ? MOST_AT_ONCE : at_once;
	while (more > 0 && turn.messages < most) {
		Py_ssize_t left = most - turn.messages;

		more = answer(&turn, fd, left < at_once ? left : at_once, prefix);
	}
	none = PyTuple_New(0);
	if (none && more >= 0)
		result = Py_BuildValue("nnnnOO", turn.messages, turn.received, turn.sent, turn.slack,
				       turn.failures ? turn.failures : none,
				       turn.rest ? turn.rest : none);
	Py_XDECREF(none);
	Py_XDECREF(turn.failures);
	Py_XDECREF(turn.rest);
	return result;
}
