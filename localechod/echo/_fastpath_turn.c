/* Serves the descriptors that are ready, and waits for them. */
#include "_fastpath_poller.h"

#include <math.h>
#include <sched.h>
#include <sys/time.h>
#include <time.h>

/*
 * Seconds. After a sleep that was shorter, the next one begins so much later: to be woken up takes
 * about as long, and costs the client more than the message.
 */
static const double SHORT_SLEEP = 10e-6;

double monotonic(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return time.tv_sec + time.tv_nsec / 1e9;
}

/* Tell the reactor that a handler has raised. -1: an exception that is not for it. */
int give_up(Poller *poller, int fd, PyObject *handler)
{
	PyObject *type, *error, *traceback, *number = PyLong_FromLong(fd), *result = NULL;

	if (!PyErr_ExceptionMatches(PyExc_Exception)) {
		Py_XDECREF(number);
		return -1;
	}
	PyErr_Fetch(&type, &error, &traceback);
	PyErr_NormalizeException(&type, &error, &traceback);
	if (traceback)
		PyException_SetTraceback(error, traceback);
	if (number)
		result = PyObject_CallMethodObjArgs((PyObject *)root_of(poller), str_handler_failed,
						    number, handler, error, NULL);
	Py_XDECREF(number);
	Py_XDECREF(type);
	Py_XDECREF(error);
	Py_XDECREF(traceback);
	if (!result)
		PyErr_WriteUnraisable(handler);
	Py_XDECREF(result);
	return 0;
}

/* Remember that a foreign descriptor is ready. */
static int note(Poller *root, int fd, uint32_t events)
{
	struct entry *entry = &root->entries[fd];

	if (!entry->ready) {
		if (root->count == root->waiting_size) {
			int size = root->waiting_size ? 2 * root->waiting_size : 16;
			int *waiting = PyMem_Malloc(size * sizeof *waiting);

			if (!waiting) {
				PyErr_NoMemory();
				return -1;
			}
			for (int at = 0; at < root->count; at++)
				waiting[at] = root->waiting[(root->first + at) % root->waiting_size];
			PyMem_Free(root->waiting);
			root->waiting = waiting;
			root->waiting_size = size;
			root->first = 0;
		}
		root->waiting[(root->first + root->count++) % root->waiting_size] = fd;
	}
	entry->ready |= events;
	return 0;
}

/* Serve one event of an entry; return how many it counts for, or -1 with an exception. */
static int serve(Poller *poller, const struct entry *entry, const struct epoll_event *event)
{
	int fd = (uint32_t)event->data.u64, served = 1;
	PyObject *handler = entry->handler, *result = NULL, *events;

	if (entry->sort == FOREIGN)
		return note(root_of(poller), fd, event->events) < 0 ? -1 : 1;
	Py_INCREF(handler);
	if (entry->sort == CHILD) {
		served = turn((Poller *)handler, CHILD_BATCH, 0);
		Py_DECREF(handler);
		return served;
	}
	if (entry->sort == FLOW) {
		result = serve_flow(poller, (Flow *)handler, event->events, root_of(poller)->now);
	} else {
		events = PyLong_FromUnsignedLong(event->events);
		if (events)
			result = PyObject_CallMethodObjArgs(handler, str_serve, events, NULL);
		Py_XDECREF(events);
	}
	if (result && PyLong_Check(result) && PyLong_AsLong(result) >= 0)
		served = PyLong_AsLong(result);
	Py_XDECREF(result);
	if (PyErr_Occurred() && give_up(poller, fd, handler) < 0)
		served = -1;
	Py_DECREF(handler);
	return served;
}

/* Serve one event, and count the time since `clock` for its child; see serve. */
static int serve_timed(Poller *poller, const struct entry *entry, const struct epoll_event *event,
		       double *clock)
{
	Poller *child = entry->owner->root ? entry->owner : NULL;
	double began = *clock;
	int served;

	Py_XINCREF((PyObject *)child); /* a handler may close its endpoint */
	served = serve(poller, entry, event);
	*clock = monotonic();
	if (child)
		spend(child, *clock - began);
	Py_XDECREF((PyObject *)child);
	return served;
}

int serve_quiet(Poller *root)
{
	struct epoll_event events[BATCH];
	int count = epoll_wait(root->epoll, events, BATCH, 0), served = 0;
	double clock = monotonic();

	if (count < 0 && errno != EINTR) {
		PyErr_SetFromErrno(PyExc_OSError);
		return -1;
	}
	for (int at = 0; at < count; at++) {
		struct entry *entry = entry_for(root, &events[at]);
		int more;

		if (!entry || entry->sort == FOREIGN || is_busy(payer(entry)) || !has_time(payer(entry)))
			continue;
		more = serve_timed(root, entry, &events[at], &clock);
		if (more < 0)
			return -1;
		served += more;
	}
	return served;
}

/* Have SIGALRM interrupt a handler that the kernel keeps waiting; see alarm in portable/. */
static void start_alarm(Poller *poller)
{
	struct timeval period = {.tv_usec = (long)(poller->alarm * 1e6)};
	struct itimerval timer = {period, period};

	setitimer(ITIMER_REAL, &timer, NULL);
	poller->alarm = -poller->alarm;
}

/* Wait for events, and serve at most so many; return how many, or -1 with an exception. */
int turn(Poller *poller, int most, int milliseconds)
{
	struct epoll_event events[BATCH];
	int count, error, interrupted, quiet, served = 0;
	uint64_t skipped = 0; /* a bit for each event */
	double clock, looked;

	if (poller->root && poller->epoll < 0)
		return 0; /* all of its descriptors are in the epoll of the root */
	if (milliseconds) {
		poller->sleeping = 1;
		Py_BEGIN_ALLOW_THREADS
		count = epoll_wait(poller->epoll, events, most, milliseconds);
		Py_END_ALLOW_THREADS
	} else {
		count = epoll_wait(poller->epoll, events, most, 0);
	}
	error = errno;
	if (!poller->root)
		poller->now = monotonic();
	interrupted = count < 0 && error == EINTR ? PyErr_CheckSignals() : 0;
	poller->sleeping = 0;
	if (interrupted < 0)
		return -1;
	if (count < 0 && error == EINTR)
		return 0;
	if (count < 0) {
		errno = error;
		PyErr_SetFromErrno(PyExc_OSError);
		return -1;
	}
	/* Where nothing is ready, the time of a timer may have come, which releases something too. */
	if (poller->alarm > 0 && (count || milliseconds))
		start_alarm(poller);
	clock = looked = poller->root ? monotonic() : poller->now;
	quiet = poller->root ? count : put_quiet_first(poller, events, count);
	for (int at = 0; at < count; at++) {
		struct entry *entry;
		int more;

		if (at >= quiet && clock - looked >= CHILD_TIME / 2e6) {
			more = serve_quiet(poller);
			if (more < 0)
				return -1;
			served += more;
			looked = clock = monotonic();
		}
		entry = entry_for(poller, &events[at]);
		if (entry && !has_time(payer(entry))) {
			skipped |= (uint64_t)1 << at;
			continue;
		}
		more = entry ? serve_timed(poller, entry, &events[at], &clock) : 1;
		if (more < 0)
			return -1;
		served += more;
	}
	if (skipped && requeue(poller, events, count, skipped) < 0)
		return -1;
	return served;
}

/* The next foreign descriptor that is ready, with its events; NULL without an exception: none. */
static PyObject *next_foreign(Poller *self)
{
	while (self->count) {
		int fd = self->waiting[self->first];
		struct entry *entry = entry_of(self, fd);

		self->first = (self->first + 1) % self->waiting_size;
		self->count--;
		if (entry && entry->ready) { /* else it was unregistered meanwhile */
			int events = entry->ready;

			entry->ready = 0;
			return Py_BuildValue("ii", fd, events);
		}
	}
	return NULL;
}

/* For how long to sleep, in milliseconds, rounded up; -1: until something happens. */
static int sleep_for(Poller *self, double until, double now)
{
	if (self->count || self->interrupted || until <= now)
		return 0;
	if (now < self->served_at + fmax(self->busy_poll, self->slept < SHORT_SLEEP ? SHORT_SLEEP : 0))
		return 0;
	if (until - now > INT_MAX / 1000)
		return until == HUGE_VAL ? -1 : INT_MAX;
	return (int)ceil((until - now) * 1e3);
}

PyObject *wait_for_foreign(Poller *self, PyObject *timeout)
{
	double until = HUGE_VAL, now;

	if (self->root) {
		PyErr_SetString(PyExc_ValueError, "a child does not wait");
		return NULL;
	}
	self->interrupted = 0;
	now = monotonic();
	if (timeout != Py_None) {
		until = now + PyFloat_AsDouble(timeout);
		if (PyErr_Occurred())
			return NULL;
	}
	for (;;) {
		int milliseconds = sleep_for(self, until, now);
		double before = milliseconds ? monotonic() : 0;
		int served = turn(self, BATCH, milliseconds);
		PyObject *foreign;

		if (served < 0)
			return NULL;
		now = self->now;
		if (milliseconds)
			self->slept = now - before;
		if (served)
			self->served_at = now;
		foreign = next_foreign(self);
		if (foreign || PyErr_Occurred())
			return foreign;
		if (self->interrupted || now >= until)
			Py_RETURN_NONE;
		if (!milliseconds && !served) { /* the client may have to run on this processor */
			Py_BEGIN_ALLOW_THREADS
			sched_yield();
			Py_END_ALLOW_THREADS
		}
	}
}
