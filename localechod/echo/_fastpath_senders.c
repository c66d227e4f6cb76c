/*
 * The senders of datagrams: their names, credentials and times, and whether a name is proven to be
 * its sender's.
 */
#include "_fastpath_datagrams.h"

#include <time.h>

enum {
	LONGEST_MARKER = 64, /* one that is longer proves nothing */
	NO_USER = 65534, /* as in proven_senders.py */
};

/* A name as Python's recvmsg has it: bytes for an abstract one, text for a path, None for none. */
PyObject *name_of(const struct sockaddr_un *from, socklen_t length)
{
	const char *name = from->sun_path;
	Py_ssize_t size = (Py_ssize_t)length - (Py_ssize_t)offsetof(struct sockaddr_un, sun_path);

	if (size <= 0)
		return Py_NewRef(Py_None);
	/* The length of a path of 108 bytes includes a NUL that does not fit; unix(7). */
	if (size > (Py_ssize_t)sizeof from->sun_path)
		size = sizeof from->sun_path;
	if (!name[0])
		return PyBytes_FromStringAndSize(name, size);
	return PyUnicode_DecodeFSDefaultAndSize(name, strnlen(name, size));
}

/* The sender's credentials (nobody's without such a message), and when it sent (0: unknown). */
void read_control(struct datagram *slot, struct mmsghdr *message)
{
	struct msghdr *head = &message->msg_hdr;
	long stamp[2]; /* seconds and nanoseconds */

	slot->peer = (struct ucred){0, -1, -1};
	slot->sent_at = 0;
	for (struct cmsghdr *each = CMSG_FIRSTHDR(head); each; each = CMSG_NXTHDR(head, each)) {
		if (each->cmsg_level != SOL_SOCKET)
			continue;
		if (each->cmsg_type == SCM_CREDENTIALS && each->cmsg_len >= CMSG_LEN(sizeof slot->peer))
			memcpy(&slot->peer, CMSG_DATA(each), sizeof slot->peer);
		if (each->cmsg_type == SO_TIMESTAMPNS && each->cmsg_len >= CMSG_LEN(sizeof stamp)) {
			memcpy(stamp, CMSG_DATA(each), sizeof stamp);
			slot->sent_at = stamp[0] + stamp[1] / 1e9;
		}
	}
}

/* Whether a datagram was sent less than so many seconds ago. */
int is_fresh(const struct datagram *slot, double fresh)
{
	struct timespec time;
	double age;

	if (fresh <= 0 || slot->sent_at <= 0)
		return 0;
	clock_gettime(CLOCK_REALTIME, &time);
	age = time.tv_sec + time.tv_nsec / 1e9 - slot->sent_at;
	return age >= 0 && age < fresh;
}

/* Whether a connect shows that the socket with this name is the one that was proven. */
static int is_same(const Proof *proof, const struct sockaddr_un *from, socklen_t length)
{
	char unread[LONGEST_MARKER], *marker;
	Py_ssize_t size;

	if (PyBytes_AsStringAndSize(proof->marker, &marker, &size) < 0)
		return -1;
	if (connect(proof->probe, (const struct sockaddr *)from, length) < 0)
		return !size && errno == EPERM;
	return size && recv(proof->probe, unread, sizeof unread, MSG_PEEK | MSG_DONTWAIT) == size
	       && !memcmp(unread, marker, size);
}

/* The proof of a name; NULL without an exception: there is none. */
static Proof *proof_of(PyObject *proofs, PyObject *name)
{
	PyObject *proof = PyDict_GetItemWithError(proofs, name);

	if (!proof || PyObject_TypeCheck(proof, proof_type))
		return (Proof *)proof;
	PyErr_SetString(PyExc_TypeError, "a value of the proofs is no Proof");
	return NULL;
}

/* Whether the datagram is of the user whose socket has the name. */
static int is_theirs(const Proof *proof, const struct datagram *slot)
{
	return slot->peer.uid == proof->uid && (proof->uid != NO_USER || slot->peer.pid);
}

/*
 * Whether a name is that of its sender's own socket, as proven_senders.py has proven: 1, 0, or -1
 * with an exception. The proof of a connected client that has ended is renewed, which replaces it.
 */
int is_proven(PyObject *proofs, PyObject *name, const struct datagram *slot, socklen_t length,
	      PyObject *renew)
{
	Proof *proof = proof_of(proofs, name);
	double now = monotonic();
	int same;

	if (proof && is_theirs(proof, slot) && now >= proof->until && !PyBytes_Size(proof->marker)) {
		PyObject *uid = PyLong_FromUnsignedLong(proof->uid), *result = NULL;

		if (uid)
			result = PyObject_CallFunctionObjArgs(renew, name, uid, NULL);
		Py_XDECREF(uid);
		if (!result)
			return -1;
		Py_DECREF(result);
		proof = proof_of(proofs, name);
		now = monotonic();
	}
	if (!proof)
		return PyErr_Occurred() ? -1 : 0;
	if (!is_theirs(proof, slot) || now >= proof->until)
		return 0;
	if (now < proof->checked + CHECK_MICROSECONDS / 1e6)
		return 1;
	same = is_same(proof, &slot->from, length);
	if (same > 0 && !PyBytes_Size(proof->marker))
		proof->checked = now;
	return same;
}
