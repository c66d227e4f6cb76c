/* The poller as a type; see _fastpath_poller.h. */
#include "_fastpath_poller.h"

PyTypeObject *poller_type;

/* A descriptor, or events: false with an exception if it is none. */
static int convert(PyObject *number, int *result)
{
	long value = PyLong_AsLong(number);

	if (value == -1 && PyErr_Occurred())
		return 0;
	if (value < -1 || value > INT_MAX) {
		PyErr_Format(PyExc_OverflowError, "%ld is no descriptor, and no events", value);
		return 0;
	}
	*result = value;
	return 1;
}

static struct entry *registered(Poller *poller, int fd)
{
	struct entry *entry = entry_of(poller, fd);

	if (!entry)
		PyErr_Format(PyExc_KeyError, "descriptor %d", fd);
	return entry;
}

static PyObject *register_(Poller *self, PyObject *const *args, Py_ssize_t count)
{
	int fd, events;

	if (count != 3) {
		PyErr_SetString(PyExc_TypeError, "register(fd, events, handler)");
		return NULL;
	}
	if (!convert(args[0], &fd) || !convert(args[1], &events) || add(self, fd, events, args[2]) < 0)
		return NULL;
	Py_RETURN_NONE;
}

static PyObject *modify(Poller *self, PyObject *const *args, Py_ssize_t count)
{
	struct entry *entry;
	int fd, events;

	if (count != 2) {
		PyErr_SetString(PyExc_TypeError, "modify(fd, events)");
		return NULL;
	}
	if (!convert(args[0], &fd) || !convert(args[1], &events))
		return NULL;
	entry = registered(self, fd);
	if (!entry)
		return NULL;
	entry->events = events;
	if (control(EPOLL_CTL_MOD, fd, entry) < 0)
		return NULL;
	Py_RETURN_NONE;
}

static PyObject *unregister(Poller *self, PyObject *number)
{
	struct entry *entry;
	int fd, error;

	if (!convert(number, &fd))
		return NULL;
	entry = registered(self, fd);
	if (!entry)
		return NULL;
	error = control(EPOLL_CTL_DEL, fd, entry);
	forget(self, fd);
	if (error < 0)
		return NULL;
	Py_RETURN_NONE;
}

static PyObject *pause_method(Poller *self, PyObject *unused)
{
	Poller *root = root_of(self);
	PyObject *result = root->paused ? Py_NewRef(Py_None) : control_children(root, EPOLL_CTL_DEL);

	root->paused = 1;
	return result;
}

static PyObject *resume_method(Poller *self, PyObject *unused)
{
	Poller *root = root_of(self);

	if (!root->paused)
		Py_RETURN_NONE;
	root->paused = 0;
	return control_children(root, EPOLL_CTL_ADD);
}

static int contains(Poller *self, PyObject *number)
{
	int fd;

	return convert(number, &fd) ? entry_of(self, fd) != NULL : -1;
}

static PyObject *turn_method(Poller *self, PyObject *unused)
{
	int served = turn(self, self->root ? CHILD_BATCH : BATCH, 0);

	return served < 0 ? NULL : PyLong_FromLong(served);
}

static PyObject *serve_quiet_method(Poller *self, PyObject *unused)
{
	int served = serve_quiet(root_of(self));

	return served < 0 ? NULL : PyLong_FromLong(served);
}

static PyObject *interrupt(Poller *self, PyObject *unused)
{
	root_of(self)->interrupted = 1;
	Py_RETURN_NONE;
}

static PyObject *get_now(Poller *self, void *closure)
{
	return PyFloat_FromDouble(root_of(self)->now);
}

static PyObject *new_poller(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
	Poller *poller = (Poller *)((allocfunc)PyType_GetSlot(type, Py_tp_alloc))(type, 0);

	if (poller)
		poller->epoll = -1;
	return (PyObject *)poller;
}

static int init_poller(Poller *self, PyObject *args, PyObject *kwargs)
{
	static char *words[] = {"parent", "busy_poll", NULL};
	PyObject *parent = Py_None;

	if (!PyArg_ParseTupleAndKeywords(args, kwargs, "|Od", words, &parent, &self->busy_poll))
		return -1;
	if (self->epoll >= 0 || self->root || (parent != Py_None && !PyObject_TypeCheck(parent, poller_type))) {
		PyErr_SetString(PyExc_TypeError, "Poller(parent=None, busy_poll=0.0)");
		return -1;
	}
	self->now = monotonic();
	self->slept = 1; /* as if it had been long */
	if (parent != Py_None) {
		self->root = (Poller *)Py_NewRef((PyObject *)root_of((Poller *)parent));
		return 0;
	}
	self->epoll = epoll_create1(EPOLL_CLOEXEC);
	if (self->epoll >= 0)
		return 0;
	PyErr_SetFromErrno(PyExc_OSError);
	return -1;
}

static int traverse(Poller *self, visitproc visit, void *arg)
{
	for (int fd = 0; fd < self->size; fd++)
		Py_VISIT(self->entries[fd].handler);
	Py_VISIT(self->root);
	Py_VISIT(Py_TYPE((PyObject *)self));
	return 0;
}

static int clear(Poller *self)
{
	forget_all(self);
	return 0;
}

static PyObject *close_method(Poller *self, PyObject *unused)
{
	forget_all(self);
	if (self->epoll >= 0) {
		if (self->root)
			forget(self->root, self->epoll);
		close(self->epoll);
	}
	self->epoll = -1;
	Py_RETURN_NONE;
}

static void free_poller(Poller *self)
{
	PyTypeObject *type = Py_TYPE((PyObject *)self);
	freefunc release = (freefunc)PyType_GetSlot(type, Py_tp_free);

	PyObject_GC_UnTrack(self);
	forget_all(self);
	if (self->epoll >= 0)
		close(self->epoll);
	PyMem_Free(self->entries);
	PyMem_Free(self->waiting);
	Py_XDECREF((PyObject *)self->root);
	release(self);
	Py_DECREF(type);
}

PyDoc_STRVAR(doc, "See localechod.echo.portable.");

#define FAST(name, function) {name, (PyCFunction)(void (*)(void))function, METH_FASTCALL, doc}

static PyObject *get_served_at(Poller *self, void *closure)
{
	return PyFloat_FromDouble(self->served_at);
}

static PyObject *get_sleeping(Poller *self, void *closure)
{
	return PyBool_FromLong(self->sleeping);
}

static PyObject *get_alarm(Poller *self, void *closure)
{
	return PyFloat_FromDouble(self->alarm);
}

static int set_alarm(Poller *self, PyObject *value, void *closure)
{
	double seconds = value ? PyFloat_AsDouble(value) : 0;

	if (PyErr_Occurred())
		return -1;
	if (!value || self->root || !(seconds >= 0 && seconds < 1)) {
		PyErr_SetString(PyExc_ValueError, "alarm: 0 to 1 seconds, of a poller without a parent");
		return -1;
	}
	self->alarm = seconds;
	return 0;
}

static PyMethodDef methods[] = {
	FAST("register", register_),
	FAST("modify", modify),
	{"pause", (PyCFunction)pause_method, METH_NOARGS, doc},
	{"resume", (PyCFunction)resume_method, METH_NOARGS, doc},
	{"unregister", (PyCFunction)unregister, METH_O, doc},
	{"turn", (PyCFunction)turn_method, METH_NOARGS, doc},
	{"serve_quiet", (PyCFunction)serve_quiet_method, METH_NOARGS, doc},
	{"wait", (PyCFunction)wait_for_foreign, METH_O, doc},
	{"interrupt", (PyCFunction)interrupt, METH_NOARGS, doc},
	{"accept", (PyCFunction)accept_clients, METH_VARARGS, doc},
	{"close", (PyCFunction)close_method, METH_NOARGS, doc},
	{NULL},
};

static PyGetSetDef properties[] = {
	{"now", (getter)get_now, NULL, NULL, NULL},
	{"served_at", (getter)get_served_at, NULL, NULL, NULL},
	{"sleeping", (getter)get_sleeping, NULL, NULL, NULL},
	{"alarm", (getter)get_alarm, (setter)set_alarm, NULL, NULL},
	{NULL},
};

static PyType_Slot slots[] = {
	{Py_tp_doc, (void *)doc},
	{Py_tp_new, new_poller},
	{Py_tp_init, init_poller},
	{Py_tp_dealloc, free_poller},
	{Py_tp_traverse, traverse},
	{Py_tp_clear, clear},
	{Py_tp_methods, methods},
	{Py_tp_getset, properties},
	{Py_sq_contains, contains},
	{0, NULL},
};

static PyType_Spec spec = {
	.name = "localechod.echo._fastpath.Poller",
	.basicsize = sizeof(Poller),
	.flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE | Py_TPFLAGS_HAVE_GC,
	.slots = slots,
};

PyTypeObject *make_poller_type(PyObject *module)
{
	poller_type = (PyTypeObject *)PyType_FromModuleAndSpec(module, &spec, NULL);
	return poller_type;
}
