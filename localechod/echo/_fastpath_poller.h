/*
 * The poller: one epoll for the data plane and for the event loop, and a turn for every endpoint.
 * portable/poller.py documents each method. An event has the descriptor and the number of its
 * registration, so that an event of a descriptor that was closed in the same turn reaches no later
 * one.
 *
 * _fastpath_table.c keeps the registered descriptors, _fastpath_turn.c serves those that are ready,
 * _fastpath_shares.c has the share of each endpoint, _fastpath_accept.c accepts clients, and
 * _fastpath_poller.c makes it a type.
 */
#ifndef LOCALECHOD_FASTPATH_POLLER_H
#define LOCALECHOD_FASTPATH_POLLER_H

#include "_fastpath.h"

#include <sys/epoll.h>

enum sort { FOREIGN, HANDLER, FLOW, CHILD };

struct entry {
	PyObject *handler; /* NULL: not registered */
	Poller *owner;     /* where it was registered; borrowed, and closed after it */
	uint32_t number;   /* of the registration */
	uint32_t events;   /* that are waited for */
	uint16_t ready;    /* events of a foreign descriptor that are to be returned */
	uint8_t sort;
	uint8_t direct; /* whether it is in the epoll of the root */
};

struct Poller {
	PyObject_HEAD
	int epoll;           /* -1: closed, or not needed yet */
	int direct;          /* of a child: how many of its descriptors are in the root's epoll */
	struct Poller *root; /* NULL in the root itself */
	double now, busy_poll, served_at, slept; /* slept: how long, the last time */
	double alarm; /* seconds; negative: the timer runs; 0: none */
	int sleeping; /* whether it waits in the kernel for events, and for nothing else */
	/* Of a child: seconds that it has had in a turn, the `now` of that turn, and seconds before. */
	double spent, spent_at, spent_last, spent_before;
	/* Only in the root: all descriptors, and the foreign ones that are ready, in a ring. */
	struct entry *entries;
	int size, interrupted, paused;
	uint32_t number;
	int *waiting;
	int waiting_size, first, count;
};

extern PyTypeObject *poller_type;

static inline Poller *root_of(Poller *poller)
{
	return poller->root ? poller->root : poller;
}

/* In _fastpath_table.c. -1, or NULL without "no exception": an exception. */
struct entry *entry_of(Poller *poller, int fd); /* NULL, no exception: it is not registered */
int control(int operation, int fd, struct entry *entry);
int add(Poller *poller, int fd, uint32_t events, PyObject *handler);
void forget_all(Poller *poller);
PyObject *control_children(Poller *root, int operation);

/* In _fastpath_shares.c. */

/* The entry of an event; NULL, no exception: it was closed in this turn. */
struct entry *entry_for(Poller *poller, const struct epoll_event *event);

/* Whose time an event takes. */
Poller *payer(const struct entry *entry);

/* Count time of this turn for a child. */
void spend(Poller *child, double seconds);

/* Whether a child has not had all of its time in this turn; the root always has time. */
int has_time(const Poller *child);

/*
 * Whether a child has taken half of its time or more in the last two turns that it had before this
 * one. The scheduler may stop this process in one turn of any child.
 */
int is_busy(const Poller *child);

/* Sort events, and return how many of the first are of children that are not busy. */
int put_quiet_first(Poller *root, struct epoll_event *events, int count);

/*
 * Let what a child has served wait behind what it had no time for: an epoll returns ready descriptors
 * in turn, but it counts those as served that it has returned. -1: an exception.
 */
int requeue(Poller *poller, const struct epoll_event *events, int count, uint64_t skipped);

/* In _fastpath_turn.c. */
int serve_quiet(Poller *root);
int turn(Poller *poller, int most, int milliseconds);
int give_up(Poller *poller, int fd, PyObject *handler);
PyObject *wait_for_foreign(Poller *root, PyObject *timeout);

/* In _fastpath_accept.c. */
PyObject *accept_clients(Poller *poller, PyObject *args);

#endif
