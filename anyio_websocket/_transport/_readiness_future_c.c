/* A socket's bytes as a future of asyncio in C, with the same results as
   _readiness_future_py.py, which says what it is for.

   A message that comes alone spends more time in what asyncio asks of its future, and in
   the coroutines that wait for it, than in reading and writing. What is rare is left to
   AsyncioReadiness, the class in Python that is derived from this one.

   It uses the limited API of CPython 3.11, so that one wheel works with every later
   version. On Windows a socket is no file descriptor, and Python does it. */

#define Py_LIMITED_API 0x030B0000
#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <stddef.h>
#include <structmember.h>

#ifndef _WIN32

#include <errno.h>
#include <sys/socket.h>

/* Those of _adaptive_reads.py. */
#define MAX_FULL_READS 8
#define SMALL_READ_SIZE 66048

/* Bytes. After a read that brought more, the next one is the socket's own recv(). This
   allocates for as much as is asked for, and then copies nothing. */
#define SHORT_SIZE 4096

/* What is short is read into this, by one thread at a time: the one that has the GIL. It
   is not released, because the socket is non-blocking. */
static char shared_buffer[SMALL_READ_SIZE];

typedef struct {
    PyObject_HEAD
    PyObject *loop;
    PyObject *socket;
    PyObject *wakeup;       /* what to call, if a task waits; otherwise None */
    PyObject *context;      /* that task's */
    PyObject *data;         /* the outcome; it and the error are None until then */
    PyObject *error;
    PyObject *may_be_reset; /* True or False. An object, as Python sets it faster then */
    Py_ssize_t size;        /* bytes that the task asks for; 0 for none, see readable() */
    Py_ssize_t full_reads;
    Py_ssize_t last_size;
    char is_bulk;
    char is_registered;
    char tells_no_reset;
    char blocking;          /* _asyncio_future_blocking */
} Future;

/* The awaitable that receive() returns. */
typedef struct {
    PyObject_HEAD
    Future *future; /* NULL at the end */
    Py_ssize_t size;
    char is_waiting;
} Receiving;

/* What is looked up once. The module refuses to be imported by a second interpreter of the
   process, so there is one of each. */
static struct {
    PyObject *receiving_type;
    PyObject *transport_lost;
    PyObject *read_failed;
    PyObject *nothing; /* b"" */
    PyObject *fileno, *forget_if_reset, *look, *recv, *register_, *run, *wake_soon;
} the;

static void
set(PyObject **place, PyObject *value)
{
    PyObject *old = *place;

    *place = Py_NewRef(value);
    Py_XDECREF(old);
}

/* -- reading -------------------------------------------------------------- */

/* Return the socket's file descriptor, -1 with an exception set if that fails. It is
   asked each time: if somebody closes the socket, its number may soon be another's. */
static int
descriptor_of(PyObject *socket)
{
    PyObject *number = PyObject_CallMethodObjArgs(socket, the.fileno, NULL);
    long fd;

    if (number == NULL)
        return -1;
    fd = PyLong_AsLong(number);
    Py_DECREF(number);
    if (fd == -1 && !PyErr_Occurred()) {
        errno = EBADF;
        PyErr_SetFromErrno(PyExc_OSError);
    }
    return (int)fd;
}

/* Do what socket.recv() does, by way of the shared buffer. */
static PyObject *
receive_short(PyObject *socket, Py_ssize_t asked)
{
    int fd = descriptor_of(socket);
    ssize_t got;

    if (fd < 0)
        return NULL;
    got = recv(fd, shared_buffer, (size_t)asked, 0);
    if (got < 0)
        return PyErr_SetFromErrno(PyExc_OSError);
    return PyBytes_FromStringAndSize(shared_buffer, got);
}

static PyObject *
receive_long(PyObject *socket, Py_ssize_t asked)
{
    PyObject *result, *size = PyLong_FromSsize_t(asked);

    if (size == NULL)
        return NULL;
    result = PyObject_CallMethodObjArgs(socket, the.recv, size, NULL);
    Py_DECREF(size);
    return result;
}

/* Receive. Return NULL without an exception if there is nothing now. */
static PyObject *
read_now(Future *self, Py_ssize_t size)
{
    PyObject *data;
    Py_ssize_t asked = size, got;

    if (!self->is_bulk && asked > SMALL_READ_SIZE)
        asked = SMALL_READ_SIZE;
    if (self->is_bulk || self->last_size > SHORT_SIZE)
        data = receive_long(self->socket, asked);
    else
        data = receive_short(self->socket, asked);
    if (data == NULL) {
        if (PyErr_ExceptionMatches(PyExc_BlockingIOError))
            PyErr_Clear();
        return NULL;
    }
    got = PyBytes_Size(data);
    /* As in _adaptive_reads.py: the rest of full reads tells nothing of what follows. */
    self->is_bulk = got >= SMALL_READ_SIZE || (self->is_bulk && self->full_reads);
    self->full_reads = got == asked ? self->full_reads + 1 : 0;
    self->last_size = got;
    set(&self->may_be_reset, Py_True);
    return data;
}

/* Return the exception that is set, and clear it. */
static PyObject *
take_exception(void)
{
    PyObject *type, *exception, *traceback;

    PyErr_Fetch(&type, &exception, &traceback);
    PyErr_NormalizeException(&type, &exception, &traceback);
    if (traceback != NULL)
        PyException_SetTraceback(exception, traceback);
    Py_XDECREF(traceback);
    Py_DECREF(type);
    return exception;
}

/* If an Exception is set, raise TransportLost from it. */
static void
raise_lost(void)
{
    PyObject *cause, *lost;

    if (!PyErr_ExceptionMatches(PyExc_Exception))
        return; /* cancelled, for example */
    cause = take_exception();
    lost = PyObject_CallFunctionObjArgs(the.transport_lost, the.read_failed, NULL);
    if (lost != NULL) {
        PyException_SetContext(lost, Py_NewRef(cause));
        PyException_SetCause(lost, Py_NewRef(cause));
        PyErr_SetObject(the.transport_lost, lost);
        Py_DECREF(lost);
    }
    Py_DECREF(cause);
}

static PyObject *
future_on_readable(Future *self, PyObject *Py_UNUSED(ignored))
{
    PyObject *data, *wakeup, *result;

    if (self->wakeup == Py_None)
        return PyObject_CallMethodObjArgs((PyObject *)self, the.look, NULL);
    data = self->size ? read_now(self, self->size) : Py_NewRef(the.nothing);
    if (data == NULL) {
        if (!PyErr_Occurred())
            return Py_NewRef(Py_None);
        if (!PyErr_ExceptionMatches(PyExc_OSError))
            return NULL;
        Py_DECREF(self->error);
        self->error = take_exception();
        return PyObject_CallMethodObjArgs((PyObject *)self, the.wake_soon, NULL);
    }
    set(&self->data, data);
    Py_DECREF(data);
    wakeup = self->wakeup;
    self->wakeup = Py_NewRef(Py_None);
    result = PyObject_CallMethodObjArgs(self->context, the.run, wakeup, self,
                                        NULL);
    Py_DECREF(wakeup);
    return result;
}

/* -- the future ----------------------------------------------------------- */

static PyObject *
future_get_loop(Future *self, PyObject *Py_UNUSED(ignored))
{
    return Py_NewRef(self->loop);
}

static PyObject *
future_add_done_callback(Future *self, PyObject *const *args, Py_ssize_t count,
                         PyObject *names)
{
    if (count != 1 || names == NULL || PyTuple_Size(names) != 1) {
        PyErr_SetString(PyExc_TypeError,
                        "add_done_callback() takes a callback and context=");
        return NULL;
    }
    set(&self->wakeup, args[0]);
    set(&self->context, args[1]);
    return Py_NewRef(Py_None);
}

static PyObject *
future_done(Future *self, PyObject *Py_UNUSED(ignored))
{
    return PyBool_FromLong(self->wakeup == Py_None);
}

static PyObject *
future_result(Future *self, PyObject *Py_UNUSED(ignored))
{
    PyObject *error = self->error;

    if (error == Py_None)
        return Py_NewRef(Py_None);
    self->error = Py_NewRef(Py_None);
    PyErr_SetObject((PyObject *)Py_TYPE(error), error);
    Py_DECREF(error);
    return NULL;
}

static PyObject *
new_receiving(Future *self, Py_ssize_t size)
{
    PyTypeObject *type = (PyTypeObject *)the.receiving_type;
    Receiving *receiving = PyObject_GC_New(Receiving, type);

    if (receiving != NULL) {
        receiving->future = (Future *)Py_NewRef((PyObject *)self);
        receiving->size = size;
        receiving->is_waiting = 0;
        PyObject_GC_Track((PyObject *)receiving);
    }
    return (PyObject *)receiving;
}

static PyObject *
future_receive(Future *self, PyObject *size)
{
    Py_ssize_t value = PyLong_AsSsize_t(size);

    if (value == -1 && PyErr_Occurred())
        return NULL;
    return new_receiving(self, value);
}

static PyObject *
future_await(Future *self)
{
    return new_receiving(self, 0);
}

static int
future_init(Future *self, PyObject *args, PyObject *kwargs)
{
    PyObject *loop, *socket;

    if (!PyArg_ParseTuple(args, "OO", &loop, &socket))
        return -1;
    set(&self->loop, loop);
    set(&self->socket, socket);
    set(&self->wakeup, Py_None);
    set(&self->context, Py_None);
    set(&self->data, Py_None);
    set(&self->error, Py_None);
    set(&self->may_be_reset, Py_False);
    self->full_reads = 1; /* see _adaptive_reads.py */
    return 0;
}

static int
future_traverse(Future *self, visitproc visit, void *arg)
{
    Py_VISIT(Py_TYPE((PyObject *)self));
    Py_VISIT(self->loop);
    Py_VISIT(self->socket);
    Py_VISIT(self->wakeup);
    Py_VISIT(self->context);
    Py_VISIT(self->data);
    Py_VISIT(self->error);
    return 0;
}

static int
future_clear(Future *self)
{
    Py_CLEAR(self->loop);
    Py_CLEAR(self->socket);
    Py_CLEAR(self->wakeup);
    Py_CLEAR(self->context);
    Py_CLEAR(self->data);
    Py_CLEAR(self->error);
    Py_CLEAR(self->may_be_reset);
    return 0;
}

static void
future_dealloc(Future *self)
{
    PyTypeObject *type = Py_TYPE((PyObject *)self);

    PyObject_GC_UnTrack(self);
    future_clear(self);
    ((freefunc)PyType_GetSlot(type, Py_tp_free))(self);
    Py_DECREF(type);
}

static PyMemberDef future_members[] = {
    {"_loop", T_OBJECT_EX, offsetof(Future, loop), READONLY, NULL},
    {"_socket", T_OBJECT_EX, offsetof(Future, socket), READONLY, NULL},
    {"_wakeup", T_OBJECT_EX, offsetof(Future, wakeup), 0, NULL},
    {"_context", T_OBJECT_EX, offsetof(Future, context), 0, NULL},
    {"_data", T_OBJECT_EX, offsetof(Future, data), 0, NULL},
    {"_error", T_OBJECT_EX, offsetof(Future, error), 0, NULL},
    {"may_be_reset", T_OBJECT_EX, offsetof(Future, may_be_reset), 0, NULL},
    {"_size", T_PYSSIZET, offsetof(Future, size), 0, NULL},
    {"_full_reads", T_PYSSIZET, offsetof(Future, full_reads), 0, NULL},
    {"_is_bulk", T_BOOL, offsetof(Future, is_bulk), 0, NULL},
    {"_is_registered", T_BOOL, offsetof(Future, is_registered), 0, NULL},
    {"_tells_no_reset", T_BOOL, offsetof(Future, tells_no_reset), 0, NULL},
    {"_asyncio_future_blocking", T_BOOL, offsetof(Future, blocking), 0, NULL},
    {NULL, 0, 0, 0, NULL},
};

static PyMethodDef future_methods[] = {
    {"receive", (PyCFunction)future_receive, METH_O,
     "Return some bytes, see `Readiness`."},
    {"_on_readable", (PyCFunction)future_on_readable, METH_NOARGS,
     "Receive, and wake the task that waits."},
    {"get_loop", (PyCFunction)future_get_loop, METH_NOARGS, NULL},
    {"add_done_callback", (PyCFunction)(void (*)(void))future_add_done_callback,
     METH_FASTCALL | METH_KEYWORDS, NULL},
    {"done", (PyCFunction)future_done, METH_NOARGS, NULL},
    {"result", (PyCFunction)future_result, METH_NOARGS, NULL},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot future_slots[] = {
    {Py_tp_doc, "A socket's bytes as a future of asyncio."},
    {Py_tp_init, future_init},
    {Py_tp_dealloc, future_dealloc},
    {Py_tp_traverse, future_traverse},
    {Py_tp_clear, future_clear},
    {Py_tp_members, future_members},
    {Py_tp_methods, future_methods},
    {Py_am_await, future_await},
    {0, NULL},
};

static PyType_Spec future_spec = {
    .name = "anyio_websocket._transport._readiness_future_c.SocketFuture",
    .basicsize = sizeof(Future),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE | Py_TPFLAGS_HAVE_GC,
    .slots = future_slots,
};

/* -- the awaitable -------------------------------------------------------- */

static void
receiving_end(Receiving *self)
{
    Future *future = self->future;

    self->future = NULL;
    Py_XDECREF((PyObject *)future);
}

/* Begin: return the bytes if there are some, in `*data`, or the future to wait for. */
static PyObject *
receiving_begin(Receiving *self, PyObject **data)
{
    Future *future = self->future;
    PyObject *result;

    if (self->size && 0 < future->full_reads && future->full_reads <= MAX_FULL_READS) {
        *data = read_now(future, self->size);
        if (*data != NULL || PyErr_Occurred())
            return NULL;
    }
    if (self->size)
        future->full_reads = 0;
    future->size = self->size;
    if (future->tells_no_reset && future->may_be_reset == Py_True) {
        result = PyObject_CallMethodObjArgs((PyObject *)future,
                                            the.forget_if_reset, NULL);
        if (result == NULL)
            return NULL;
        Py_DECREF(result);
    }
    if (!future->is_registered) {
        result =
            PyObject_CallMethodObjArgs((PyObject *)future, the.register_, NULL);
        if (result == NULL)
            return NULL;
        Py_DECREF(result);
    }
    set(&future->data, Py_None);
    set(&future->error, Py_None);
    future->blocking = 1;
    self->is_waiting = 1;
    return Py_NewRef((PyObject *)future);
}

static PySendResult
receiving_send(Receiving *self, PyObject *Py_UNUSED(value), PyObject **result)
{
    Future *future = self->future;
    PyObject *data = NULL;

    *result = NULL;
    if (future == NULL) {
        PyErr_SetString(PyExc_RuntimeError, "cannot reuse already awaited receive()");
        return PYGEN_ERROR;
    }
    if (!self->is_waiting) {
        *result = receiving_begin(self, &data);
        if (*result != NULL)
            return PYGEN_NEXT;
    }
    else {
        data = future->data;
        future->data = Py_NewRef(Py_None);
    }
    if (data == NULL) {
        if (self->size)
            raise_lost();
        receiving_end(self);
        return PYGEN_ERROR;
    }
    receiving_end(self);
    *result = data;
    return PYGEN_RETURN;
}

static PyObject *
receiving_next(Receiving *self)
{
    PyObject *result;

    if (receiving_send(self, Py_None, &result) == PYGEN_RETURN) {
        /* No exception at all means None. */
        if (result != Py_None)
            PyErr_SetObject(PyExc_StopIteration, result);
        Py_DECREF(result);
        return NULL;
    }
    return result;
}

static PyObject *
receiving_send_method(Receiving *self, PyObject *value)
{
    PyObject *result = receiving_next(self);

    if (result == NULL && !PyErr_Occurred())
        PyErr_SetNone(PyExc_StopIteration);
    return result;
}

/* The task raises an exception where it waits: it was cancelled, or the read failed.
   It may be given as a class and a value, until CPython gives that up. */
static PyObject *
receiving_throw(Receiving *self, PyObject *args)
{
    PyObject *type, *value = NULL, *traceback;

    if (!PyArg_ParseTuple(args, "O|OO", &type, &value, &traceback))
        return NULL;
    receiving_end(self);
    if (PyExceptionInstance_Check(type))
        PyErr_SetObject(PyExceptionInstance_Class(type), type);
    else
        PyErr_SetObject(type, value);
    if (self->size && self->is_waiting)
        raise_lost();
    return NULL;
}

static PyObject *
receiving_close(Receiving *self, PyObject *Py_UNUSED(ignored))
{
    receiving_end(self);
    return Py_NewRef(Py_None);
}

static int
receiving_traverse(Receiving *self, visitproc visit, void *arg)
{
    Py_VISIT(Py_TYPE((PyObject *)self));
    Py_VISIT((PyObject *)self->future);
    return 0;
}

static int
receiving_clear(Receiving *self)
{
    receiving_end(self);
    return 0;
}

static void
receiving_dealloc(Receiving *self)
{
    PyTypeObject *type = Py_TYPE((PyObject *)self);

    PyObject_GC_UnTrack((PyObject *)self);
    receiving_end(self);
    PyObject_GC_Del(self);
    Py_DECREF(type);
}

static PyMethodDef receiving_methods[] = {
    {"send", (PyCFunction)receiving_send_method, METH_O, NULL},
    {"throw", (PyCFunction)receiving_throw, METH_VARARGS, NULL},
    {"close", (PyCFunction)receiving_close, METH_NOARGS, NULL},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot receiving_slots[] = {
    {Py_tp_dealloc, receiving_dealloc},
    {Py_tp_traverse, receiving_traverse},
    {Py_tp_clear, receiving_clear},
    {Py_tp_methods, receiving_methods},
    {Py_tp_iter, PyObject_SelfIter},
    {Py_tp_iternext, receiving_next},
    {Py_am_await, PyObject_SelfIter},
    {Py_am_send, receiving_send},
    {0, NULL},
};

static PyType_Spec receiving_spec = {
    .name = "anyio_websocket._transport._readiness_future_c.Receiving",
    .basicsize = sizeof(Receiving),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC |
             Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .slots = receiving_slots,
};

/* -- the module ----------------------------------------------------------- */

static int
take_name(PyObject **place, const char *name)
{
    Py_XDECREF(*place);
    *place = PyUnicode_InternFromString(name);
    return *place == NULL ? -1 : 0;
}

static int
take_attribute(PyObject **place, const char *module_name, const char *name)
{
    PyObject *module = PyImport_ImportModule(module_name);

    if (module == NULL)
        return -1;
    Py_XDECREF(*place);
    *place = PyObject_GetAttrString(module, name);
    Py_DECREF(module);
    return *place == NULL ? -1 : 0;
}

static int
check_interpreter(void)
{
    static int64_t first = -1;
    int64_t current = PyInterpreterState_GetID(PyInterpreterState_Get());

    if (first >= 0 && first != current) {
        PyErr_SetString(PyExc_ImportError, "another interpreter has imported it");
        return -1;
    }
    first = current;
    return 0;
}

static int
execute(PyObject *module)
{
    PyObject *future_type;

    if (check_interpreter() < 0 || take_name(&the.fileno, "fileno") < 0 ||
        take_name(&the.forget_if_reset, "_forget_if_reset") < 0 ||
        take_name(&the.look, "_look") < 0 || take_name(&the.recv, "recv") < 0 ||
        take_name(&the.register_, "_register") < 0 || take_name(&the.run, "run") < 0 ||
        take_name(&the.wake_soon, "_wake_soon") < 0 ||
        take_attribute(&the.transport_lost, "anyio_websocket._transport._interface",
                       "TransportLost") < 0 ||
        take_attribute(&the.read_failed, "anyio_websocket._transport._adaptive_reads",
                       "READ_FAILED") < 0)
        return -1;
    Py_XDECREF(the.nothing);
    the.nothing = PyBytes_FromStringAndSize(NULL, 0);
    Py_XDECREF(the.receiving_type);
    the.receiving_type = PyType_FromSpec(&receiving_spec);
    if (the.nothing == NULL || the.receiving_type == NULL)
        return -1;
    future_type = PyType_FromSpec(&future_spec);
    if (future_type == NULL)
        return -1;
    if (PyModule_AddObjectRef(module, "SocketFuture", future_type) < 0) {
        Py_DECREF(future_type);
        return -1;
    }
    Py_DECREF(future_type);
    return 0;
}

static PyModuleDef_Slot slots[] = {{Py_mod_exec, execute}, {0, NULL}};

#else

static PyModuleDef_Slot slots[] = {{0, NULL}};

#endif

static struct PyModuleDef definition = {
    PyModuleDef_HEAD_INIT,
    .m_name = "_readiness_future_c",
    .m_doc = "A socket's bytes as a future of asyncio in C.",
    .m_size = 0,
    .m_slots = slots,
};

PyMODINIT_FUNC
PyInit__readiness_future_c(void)
{
    return PyModuleDef_Init(&definition);
}
