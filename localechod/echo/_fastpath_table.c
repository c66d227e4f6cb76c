/* The registered descriptors of a poller and its children: one table, in the root. */
#include "_fastpath_poller.h"

struct entry *entry_of(Poller *poller, int fd)
{
	Poller *root = root_of(poller);

	return fd >= 0 && fd < root->size && root->entries[fd].handler ? &root->entries[fd] : NULL;
}

static int make_space(Poller *root, int fd)
{
	size_t size = root->size ? root->size : 64;
	struct entry *entries;

	if (fd < root->size)
		return 0;
	while (size <= (size_t)fd)
		size *= 2;
	entries = PyMem_Realloc(root->entries, size * sizeof *entries);
	if (!entries) {
		PyErr_NoMemory();
		return -1;
	}
	memset(entries + root->size, 0, (size - root->size) * sizeof *entries);
	root->entries = entries;
	root->size = size;
	return 0;
}

/* Whether it is in the root's epoll, and belongs to a child. */
static int of_child(const struct entry *entry)
{
	return entry->direct || entry->sort == CHILD;
}

/* epoll_ctl(2) for a registered descriptor. -1: an exception. */
int control(int operation, int fd, struct entry *entry)
{
	uint64_t data = (uint64_t)entry->number << 32 | (uint32_t)fd;
	struct epoll_event event = {entry->events, {.u64 = data}};
	Poller *root = root_of(entry->owner), *poller = entry->direct ? root : entry->owner;

	if (root->paused && of_child(entry))
		return 0; /* it is not in the epoll */
	if (epoll_ctl(poller->epoll, operation, fd, &event) == 0)
		return 0;
	PyErr_SetFromErrno(PyExc_OSError);
	return -1;
}

static int open_child(Poller *child);

/* FOREIGN to CHILD, or -1 for a poller that is not the child whose epoll this descriptor is. */
static int sort_of(Poller *poller, int fd, PyObject *handler)
{
	const Poller *child = (Poller *)handler;

	if (handler == Py_None)
		return FOREIGN;
	if (PyObject_TypeCheck(handler, flow_type))
		return FLOW;
	if (!PyObject_TypeCheck(handler, poller_type))
		return HANDLER;
	return child->root == poller && child->epoll == fd ? CHILD : -1;
}

int add(Poller *poller, int fd, uint32_t events, PyObject *handler)
{
	Poller *root = root_of(poller);
	int direct = poller->root && poller->direct < CHILD_BATCH, sort = sort_of(poller, fd, handler);
	struct entry entry = {
		.owner = poller, .number = root->number + 1, .events = events, .sort = sort,
		.direct = direct,
	};

	if (fd < 0 || sort < 0 || root->epoll < 0 || entry_of(root, fd)) {
		PyErr_Format(PyExc_ValueError, "descriptor %d cannot be registered", fd);
		return -1;
	}
	if (!direct && poller->epoll < 0 && open_child(poller) < 0)
		return -1;
	/* Before there is space for it: a number that is no descriptor may be very large. */
	if (control(EPOLL_CTL_ADD, fd, &entry) < 0)
		return -1;
	if (make_space(root, fd) < 0) {
		epoll_ctl((direct ? root : poller)->epoll, EPOLL_CTL_DEL, fd, NULL);
		return -1;
	}
	entry.handler = Py_NewRef(handler);
	root->entries[fd] = entry;
	root->number++;
	poller->direct += direct;
	return 0;
}

/* Make the epoll of a child, which has more descriptors than the root's epoll takes from it. */
static int open_child(Poller *child)
{
	int error;

	child->epoll = epoll_create1(EPOLL_CLOEXEC);
	if (child->epoll < 0) {
		PyErr_SetFromErrno(PyExc_OSError);
		return -1;
	}
	error = add(child->root, child->epoll, EPOLLIN, (PyObject *)child);
	if (error < 0) {
		close(child->epoll);
		child->epoll = -1;
	}
	return error;
}

void forget(Poller *poller, int fd)
{
	struct entry *entry = entry_of(poller, fd);
	PyObject *handler;

	if (!entry)
		return;
	handler = entry->handler;
	entry->handler = NULL;
	entry->owner->direct -= entry->direct;
	Py_DECREF(handler);
}

/* Forget every descriptor that was registered here; a child's may be in the root's epoll. */
void forget_all(Poller *self)
{
	Poller *root = root_of(self);

	for (int fd = 0; fd < root->size; fd++) {
		struct entry *entry = entry_of(root, fd);

		if (!entry || (self->root && entry->owner != self))
			continue;
		if (self->root)
			epoll_ctl(entry->direct ? root->epoll : self->epoll, EPOLL_CTL_DEL, fd, NULL);
		forget(root, fd);
	}
}

/* Take the descriptors of all children out of the epoll, or put them back. NULL: an exception. */
PyObject *control_children(Poller *self, int operation)
{
	for (int fd = 0; fd < self->size; fd++) {
		struct entry *entry = entry_of(self, fd);

		if (entry && of_child(entry) && control(operation, fd, entry) < 0)
			return NULL;
	}
	Py_RETURN_NONE;
}
