/*
 * Shared by the files of the compiled part: the values that Python has as well, and a function. The
 * module exports each of these values, and tests/unit/test_echo_fastpath.py compares them with
 * those in fastpath.py, persist/crash_slots.py and datagram/send_budget.py.
 */
#ifndef LOCALECHOD_FASTPATH_H
#define LOCALECHOD_FASTPATH_H

#define PY_SSIZE_T_CLEAN
#define _GNU_SOURCE
#include <Python.h>

enum {
	/* The sizes of buffers, in bytes. */
	LONGEST_PREFIX = 1024,
	LONGEST_READ = 1 << 17,
	/* Names of datagram senders that are remembered at most; send_budget.py forgets them. */
	MOST_NAMES = 4096,
};

/* The kind of a flow; see fastpath.py. */
enum { PYTHON, CHUNKS, LINES, SEQPACKET };

/* The states of a crash slot that are written here; see crash_slots.py. */
enum { BOUNDARY = 1, BUSY = 3, UNSENT = 4 };

PyObject *answer_datagrams(PyObject *module, PyObject *args);

#endif
