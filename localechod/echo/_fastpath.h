/*
 * Shared by the files of the compiled part: the values that Python has as well, the types, and the
 * functions. The module exports each of these values, and tests/unit/test_echo_fastpath.py compares
 * them with those in fastpath.py, persist/crash_slots.py and datagram/send_budget.py.
 *
 * Only the limited API is used, so that one file serves Python 3.11 and later. No format of arguments
 * has a length ("y#"): compiled with the headers of Python 3.13, it raises SystemError on older ones.
 */
#ifndef LOCALECHOD_FASTPATH_H
#define LOCALECHOD_FASTPATH_H

#define Py_LIMITED_API 0x030b0000
#define _GNU_SOURCE
#include <Python.h>

#include <errno.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <structmember.h>
#include <unistd.h>

enum {
	/* The sizes of buffers, in bytes. */
	LONGEST_PREFIX = 1024,
	LONGEST_READ = 1 << 17,
	/* Names of datagram senders that are remembered at most; send_budget.py forgets them. */
	MOST_NAMES = 4096,
	/* For so long after a check of a proof there is no other; portable/datagrams.py. */
	CHECK_MICROSECONDS = 1000,
	/* Events of one turn: of all descriptors, and of one child. */
	BATCH = 64,
	CHILD_BATCH = 16,
	/* Microseconds of one turn, for one child. */
	CHILD_TIME = 1000,
};

/* The kind of a flow; see fastpath.py. */
enum { PYTHON, CHUNKS, LINES, SEQPACKET };

/* The states of a crash slot that are written here; see crash_slots.py. */
enum { BOUNDARY = 1, BUSY = 3, UNSENT = 4 };

/* See Totals in portable/. */
typedef struct {
	PyObject_HEAD
	unsigned long long messages, received_bytes, sent_bytes;
} Totals;

/* See Flow in portable/, which documents each attribute. */
typedef struct {
	PyObject_HEAD
	int fd, kind;
	int pid;
	unsigned uid, gid, events;
	Py_ssize_t read_size, limit, atomic_size;
	unsigned long long fast_messages, received, sent;
	double accepted_at, active_at;
	Py_buffer *slot_byte; /* or NULL */
	PyObject *prefix;
	/* These are NULL for None. */
	Totals *totals;
	PyObject *port, *slot, *sock, *framer, *unsent, *afterwards;
} Flow;

/* See Poller in portable/. */
typedef struct Poller Poller;

/* Interned names of the methods that are called. */
extern PyObject *str_serve, *str_handler_failed, *str_take, *str_on_sent, *str_fail, *str_end, *str_closed;

extern PyTypeObject *flow_type, *totals_type;

PyTypeObject *make_totals_type(PyObject *module);
PyTypeObject *make_flow_type(PyObject *module);
PyTypeObject *make_poller_type(PyObject *module);
PyTypeObject *make_proof_type(PyObject *module);

/* Read and answer as the flow is ready, or let Python do it. NULL: an exception. */
PyObject *serve_flow(Poller *poller, Flow *flow, uint32_t events, double now);

/* Forget a descriptor that is about to be closed, which takes it out of the epoll. */
void forget(Poller *poller, int fd);

/* Seconds of CLOCK_MONOTONIC. */
double monotonic(void);

PyObject *answer_datagrams(PyObject *module, PyObject *args);

#endif
