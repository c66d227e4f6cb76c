/* The time that children have of a turn, and which of them are served first. */
#include "_fastpath_poller.h"

#include <math.h>

int has_time(const Poller *child)
{
	return !child->root || child->spent_at != child->root->now || child->spent < CHILD_TIME / 1e6;
}

int is_busy(const Poller *child)
{
	int is_in_turn = child->root && child->spent_at == child->root->now;
	double last = is_in_turn ? child->spent_last : child->spent;
	double before = is_in_turn ? child->spent_before : child->spent_last;

	return fmin(last, before) >= CHILD_TIME / 2e6;
}

void spend(Poller *child, double seconds)
{
	if (child->spent_at != child->root->now) {
		child->spent_before = child->spent_last;
		child->spent_last = child->spent;
		child->spent = 0;
	}
	child->spent_at = child->root->now;
	child->spent += seconds;
}

struct entry *entry_for(Poller *poller, const struct epoll_event *event)
{
	struct entry *entry = entry_of(poller, (uint32_t)event->data.u64);

	return entry && entry->number == event->data.u64 >> 32 ? entry : NULL;
}

Poller *payer(const struct entry *entry)
{
	return entry->sort == CHILD ? (Poller *)entry->handler : entry->owner;
}

int put_quiet_first(Poller *root, struct epoll_event *events, int count)
{
	struct epoll_event others[BATCH];
	int quiet = 0, busy = 0;

	for (int at = 0; at < count; at++) {
		struct entry *entry = entry_for(root, &events[at]);

		if (entry && is_busy(payer(entry)))
			others[busy++] = events[at];
		else
			events[quiet++] = events[at];
	}
	memcpy(events + quiet, others, busy * sizeof *others);
	return quiet;
}

int requeue(Poller *poller, const struct epoll_event *events, int count, uint64_t skipped)
{
	for (int at = 0; at < count; at++) {
		struct entry *entry = entry_for(poller, &events[at]);
		int fd = (uint32_t)events[at].data.u64;

		if (!entry || skipped >> at & 1 || has_time(payer(entry)))
			continue;
		if (control(EPOLL_CTL_DEL, fd, entry) < 0 || control(EPOLL_CTL_ADD, fd, entry) < 0) {
			PyObject *handler = Py_NewRef(entry->handler);
			int failed = give_up(poller, fd, handler);

			Py_DECREF(handler);
			if (failed < 0)
				return -1;
		}
	}
	return 0;
}
