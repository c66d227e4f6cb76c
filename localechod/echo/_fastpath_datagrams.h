/* A datagram, and what is known of its sender; see _fastpath_senders.c. */
#ifndef FASTPATH_DATAGRAMS_H
#define FASTPATH_DATAGRAMS_H

#include "_fastpath.h"

#include <sys/socket.h>
#include <sys/un.h>

/* A datagram. Its reply is the bytes that were received, after a prefix in the same memory. */
struct datagram {
	char prefix[LONGEST_PREFIX];
	char data[LONGEST_READ];
	struct sockaddr_un from;
	/* For these two alone: the kernel closes passed descriptors that do not fit. */
	union {
		struct cmsghdr header;
		char space[CMSG_SPACE(2 * sizeof(long)) + CMSG_SPACE(sizeof(struct ucred))];
	} control;
	struct ucred peer;
	double sent_at;
	struct iovec in, out;
};

/* See Proof in portable/. */
typedef struct {
	PyObject_HEAD
	int probe;
	unsigned uid;
	double until, checked;
	PyObject *marker;
} Proof;

extern PyTypeObject *proof_type;

PyObject *name_of(const struct sockaddr_un *from, socklen_t length);
void read_control(struct datagram *slot, struct mmsghdr *message);
int is_fresh(const struct datagram *slot, double fresh);
int is_proven(PyObject *proofs, PyObject *name, const struct datagram *slot, socklen_t length,
	      PyObject *renew);

#endif
