/* Sending a message in C, if nothing waits. _send_kernels_py.py does without.

   What quick_sends() is given looks like the function that it returns, and what a call
   of that returns looks like the coroutine of the function. When it is awaited, it first
   tries to send: if all conditions of `Outbox.start_send` hold, it frames the message,
   and adds it to the batch, or sends it with one call of the kernel. In every other case
   it makes the coroutine and leads to it. It does so too if it is used in another way.

   It uses the limited API of CPython 3.11, so that one wheel works with every later
   version. On Windows a socket is no file descriptor, and Python does it. */

#define Py_LIMITED_API 0x030B0000
#define PY_SSIZE_T_CLEAN
#include <Python.h>

#ifndef _WIN32

#include <errno.h>
#include <stddef.h>
#include <structmember.h>
#include <sys/socket.h>
#include <time.h>

#include "../_protocol/_frame.h"
#include "_fields.h"

#define ON_STACK 2048 /* bytes; a frame up to this size needs no object */

/* Attributes of other objects than those in _fields.h. */
#define FOR_EACH_NAME(DO)                                                              \
    DO(_core) DO(_descriptor) DO(_readiness) DO(close) DO(cr_await) DO(locked)         \
    DO(may_be_reset) DO(outbox) DO(unsent)

#define NAME_INDEX(name) NAME_##name,
enum {
    FOR_EACH_NAME(NAME_INDEX) NAMES,
    FIELDS_TYPE = NAMES,
    BUDGET_TYPE,
    YIELD_TYPE,
    FUNCTION_TYPE,
    CALL_TYPE,
    METHOD_TYPE,    /* types.MethodType */
    TRACKING_DEPTH, /* sys.get_coroutine_origin_tracking_depth */
    SEEN, /* classes of the first three types, NULL until there was one */
    OBJECTS = SEEN + 3
};

typedef struct {
    PyObject *objects[OBJECTS];
} State;

typedef struct {
    PyObject_HEAD
    PyObject *function, *monotonic;
    Py_ssize_t max_sends, max_batch, max_message;
    double max_stretch;
    PyObject *weak_references;
} Function;

typedef struct {
    PyObject_HEAD
    Function *callee;
    PyObject *connection, *message;
    PyObject *coroutine; /* NULL until it is needed */
    int may_try;         /* whether nobody has used it yet, nor seen the coroutine */
    int is_over; /* whether the message was sent, or failed, without the coroutine */
    PyObject *weak_references;
} Call;

#define TYPE_OF(object) Py_TYPE((PyObject *)(object))
#define STATE_OF(object) ((State *)PyType_GetModuleState(TYPE_OF(object)))
#define NAME(name) (state->objects[NAME_##name])
#define FIELD(name) (outbox->fields[OUTBOX_##name])
#define IS(object, type) \
    is_of(object, state->objects[type], &state->objects[SEEN + type - FIELDS_TYPE])

/* -- sending ------------------------------------------------------------------

   The functions that ask something return "no" if they fail, with an exception set,
   which try_send() clears: Python finds it again, and says what is wrong. It leaves one
   that a signal raised, such as KeyboardInterrupt: nobody would find that again. */

/* Return a number of at least 0, -1 if there is none. */
static Py_ssize_t
number_in(PyObject *object, PyObject *name)
{
    PyObject *value = PyObject_GetAttr(object, name);
    Py_ssize_t result = value == NULL ? -1 : PyLong_AsSsize_t(value);

    Py_XDECREF(value);
    return result;
}

static int
is_empty(PyObject *object, PyObject *name)
{
    PyObject *value = PyObject_GetAttr(object, name);
    int result = value != NULL && PyObject_Size(value) == 0;

    Py_XDECREF(value);
    return result;
}

static int
is_free(State *state, PyObject *lock)
{
    PyObject *is_locked;

    if (lock == Py_None) /* nearly always */
        return 1;
    is_locked = PyObject_CallMethodObjArgs(lock, NAME(locked), NULL);
    Py_XDECREF(is_locked);
    return is_locked == Py_False;
}

/* Return what time.monotonic() does, infinity if that fails. */
static double
monotonic_of(Function *callee)
{
#ifdef __linux__
    /* The clock that it reads there. To call it takes 300 instructions more. */
    struct timespec now;

    if (clock_gettime(CLOCK_MONOTONIC, &now) == 0)
        return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
#endif
    {
        PyObject *number = PyObject_CallObject(callee->monotonic, NULL);
        double result = number == NULL ? Py_HUGE_VAL : PyFloat_AsDouble(number);

        Py_XDECREF(number);
        return result;
    }
}

/* Say whether the clock tells that other tasks ran a moment ago. */
static int
is_fresh(State *state, Function *callee, PyObject *last_yield)
{
    return IS(last_yield, YIELD_TYPE) &&
           monotonic_of(callee) - PyFloat_AsDouble(((YieldFields *)last_yield)->time) <
               callee->max_stretch;
}

/* Return the transport if frames need no more than a header, and perhaps a mask: NULL if
   they are compressed or counted, the transport is none of our own sockets, or the
   connection ends. Both references are borrowed from the outbox. */
static PyObject *
plain_transport(OutboxFields *outbox, PyObject **mask_keys)
{
    *mask_keys = NULL;
    if (FIELD(direct) != Py_None)
        return FIELD(direct);
    if (FIELD(masked) == Py_None)
        return NULL;
    *mask_keys = PyTuple_GetItem(FIELD(masked), 1);
    return PyTuple_GetItem(FIELD(masked), 0);
}

/* Say whether a frame of `size` bytes may be added to the batch. */
static int
may_collect(Function *callee, OutboxFields *outbox, Py_ssize_t size)
{
    return FIELD(_batch_is_scheduled) == Py_True &&
           PyLong_AsSsize_t(FIELD(_batch_size)) + size <= callee->max_batch;
}

/* Say whether nothing has to be written before a frame. */
static int
is_next(OutboxFields *outbox)
{
    return PyList_Size(FIELD(_batch)) == 0 && PyBytes_Size(FIELD(_ping)) == 0 &&
           PyBytes_Size(FIELD(_pong)) == 0;
}

/* Add a frame to the batch. Return 1, or 0 if memory is short. */
static int
collect(OutboxFields *outbox, PyObject *frame, Py_ssize_t size)
{
    PyObject *total = PyLong_FromSsize_t(PyLong_AsSsize_t(FIELD(_batch_size)) + size);

    if (total == NULL || PyList_Append(FIELD(_batch), frame) < 0) {
        Py_XDECREF(total);
        return 0;
    }
    put(&FIELD(_batch_size), total);
    return 1;
}

/* Send a frame, for which there is an object perhaps. Return 1 if all of it was taken,
   -1 with an exception set. Otherwise return 0, with the coroutine in `rest` that goes
   on. */
static int
send_frame(State *state, OutboxFields *outbox, PyObject *transport, int descriptor,
           const char *data, Py_ssize_t size, PyObject *frame, PyObject **rest)
{
    /* What may fail comes first: the message cannot be taken back. */
    PyObject *total = PyLong_FromSsize_t(PyLong_AsSsize_t(FIELD(bytes_sent)) + size);
    PyObject *readiness = PyObject_GetAttr(transport, NAME(_readiness));
    ssize_t sent;
    int error, result = 0;

    if (total == NULL || readiness == NULL)
        goto end;
    Py_BEGIN_ALLOW_THREADS
    sent = send(descriptor, data, (size_t)size, 0);
    error = errno;
    Py_END_ALLOW_THREADS
    if (sent == size) {
        put(&FIELD(bytes_sent), Py_NewRef(total));
        result = PyObject_SetAttr(readiness, NAME(may_be_reset), Py_False) < 0 ? -1 : 1;
        goto end;
    }
    if (sent >= 0 || error == EAGAIN || error == EWOULDBLOCK || error == EINTR)
        error = 0;
    if (frame == NULL)
        frame = PyBytes_FromStringAndSize(data, size);
    else
        Py_INCREF(frame);
    if (frame != NULL)
        *rest = PyObject_CallMethod((PyObject *)outbox, "sent_in_part", "Oni", frame,
                                    sent < 0 ? (Py_ssize_t)0 : sent, error);
    Py_XDECREF(frame);
    result = *rest == NULL ? -1 : 0;
end:
    Py_XDECREF(total);
    Py_XDECREF(readiness);
    return result;
}

/* Return the payload, and how many bytes it has, and the first byte of its frame. NULL
   if it has `max` bytes or more, and for a text that is no UTF-8. */
static const char *
payload_of(PyObject *message, Py_ssize_t max, Py_ssize_t *length, int *first)
{
    const char *payload = NULL;
    char *bytes;

    *first = WHOLE_TEXT;
    if (PyBytes_Check(message)) {
        *first = WHOLE_BINARY;
        if (PyBytes_AsStringAndSize(message, &bytes, length) == 0)
            payload = bytes;
    }
    else if (PyUnicode_GetLength(message) < max) {
        /* A long text would keep its UTF-8, which would take as much memory again. */
        payload = PyUnicode_AsUTF8AndSize(message, length);
    }
    return payload != NULL && *length < max ? payload : NULL;
}

/* Send a message, or add it to the batch. Return 1 if that was all, -1 with an exception
   set if it failed halfway. Otherwise return 0, with the coroutine in `rest` that goes
   on; without one, nothing has happened yet. */
static int
send_by(State *state, Function *callee, OutboxFields *outbox, PyObject *message,
        PyObject **rest)
{
    char on_stack[ON_STACK], *data = on_stack;
    const char *payload, *key = NULL;
    PyObject *transport, *mask_keys, *mask_key = NULL, *frame = NULL, *number = NULL;
    PyObject *same_keys;
    BudgetFields *budget = (BudgetFields *)FIELD(_fairness);
    Py_ssize_t length, size, sends, descriptor = -1;
    int first, collects, result = 0;

    if ((FIELD(reply_due) != Py_True && FIELD(more_expected) != Py_True) ||
        FIELD(_turn) != Py_None ||
        PyLong_AsLong(FIELD(_quick_replies_needed)) != 0 ||
        (transport = plain_transport(outbox, &mask_keys)) == NULL ||
        (payload = payload_of(message, callee->max_message, &length, &first)) == NULL)
        return 0;
    size = header_size(length, mask_keys != NULL) + length;
    collects = FIELD(more_expected) == Py_True;
    if (!(collects ? may_collect(callee, outbox, size) : is_next(outbox)))
        return 0;
    /* Some of what follows runs Python: a signal handler, or a finalizer, may then end
       the connection. To send, the GIL is released. */
    Py_INCREF(transport);
    Py_XINCREF(mask_keys);
    if (!is_free(state, FIELD(_lock)) ||
        !is_fresh(state, callee, FIELD(last_yield)) ||
        !is_empty(transport, NAME(unsent)) || !IS((PyObject *)budget, BUDGET_TYPE) ||
        (sends = PyLong_AsSsize_t(budget->sends)) < 0 || sends >= callee->max_sends)
        goto end;
    if (mask_keys != NULL) {
        mask_key = PyIter_Next(mask_keys);
        if (mask_key == NULL || PyBytes_Size(mask_key) != KEY_SIZE)
            goto end;
        key = PyBytes_AsString(mask_key);
    }
    if (plain_transport(outbox, &same_keys) != transport ||
        (!collects && (descriptor = number_in(transport, NAME(_descriptor))) < 0))
        goto end;
    if (collects || size > ON_STACK) {
        frame = PyBytes_FromStringAndSize(NULL, size);
        if (frame == NULL)
            goto end;
        data = PyBytes_AsString(frame);
    }
    write_frame(data, first, payload, length, key);
    number = PyLong_FromSsize_t(sends + 1);
    if (number == NULL)
        goto end;
    put(&budget->sends, Py_NewRef(number));
    put(&FIELD(reply_due), Py_NewRef(Py_False));
    put(&FIELD(checked_since_receive), Py_NewRef(Py_True));
    if (collects)
        result = collect(outbox, frame, size);
    else
        result = send_frame(state, outbox, transport, (int)descriptor, data, size, frame,
                            rest);
end:
    Py_XDECREF(number);
    Py_XDECREF(mask_key);
    Py_XDECREF(mask_keys);
    Py_XDECREF(frame);
    Py_DECREF(transport);
    return result;
}

/* Do what send_by() does for a connection. */
static int
try_send(State *state, Call *call, PyObject **rest)
{
    PyObject *core = PyObject_GetAttr(call->connection, NAME(_core));
    PyObject *outbox = core == NULL ? NULL : PyObject_GetAttr(core, NAME(outbox));
    int result = 0;

    if (outbox != NULL && IS(outbox, FIELDS_TYPE))
        result = send_by(state, call->callee, (OutboxFields *)outbox, call->message, rest);
    Py_XDECREF(core);
    Py_XDECREF(outbox);
    if (result == 0 && PyErr_Occurred() != NULL) {
        if (!PyErr_ExceptionMatches(PyExc_Exception))
            return -1;
        PyErr_Clear();
    }
    return result;
}

/* -- what a call returns ------------------------------------------------------- */

/* Make the coroutine, and return -1 with an exception set if that fails. */
static int
make_coroutine(Call *call)
{
    call->coroutine = PyObject_CallFunctionObjArgs(
        call->callee->function, call->connection, call->message, NULL);
    return call->coroutine == NULL ? -1 : 0;
}

/* End the coroutine before it has begun, which runs nothing of it. */
static void
close_coroutine(Call *call)
{
    PyObject *error, *value, *traceback, *none;

    PyErr_Fetch(&error, &value, &traceback);
    none = PyObject_CallMethodObjArgs(call->coroutine,
                                      STATE_OF(call)->objects[NAME_close], NULL);
    if (none == NULL)
        PyErr_WriteUnraisable(call->coroutine);
    Py_XDECREF(none);
    PyErr_Restore(error, value, traceback);
}

/* Return the coroutine to somebody who may use it; that of a call that is over is
   closed. Return NULL with an exception set if it cannot be made. It is borrowed. */
static PyObject *
coroutine_of(Call *call)
{
    call->may_try = 0;
    if (call->coroutine == NULL && make_coroutine(call) == 0 && call->is_over)
        close_coroutine(call);
    return call->coroutine;
}

/* Two tasks cannot await one coroutine. What it awaits would be resumed by the other. */
static PyObject *
call_await(Call *call)
{
    PyObject *awaited;

    if (call->coroutine != NULL) {
        awaited = PyObject_GetAttr(call->coroutine, STATE_OF(call)->objects[NAME_cr_await]);
        if (awaited != NULL && awaited != Py_None)
            PyErr_SetString(PyExc_RuntimeError, "coroutine is being awaited already");
        Py_XDECREF(awaited);
        if (awaited != Py_None)
            return NULL;
    }
    return Py_NewRef((PyObject *)call);
}

static PySendResult
call_send(Call *call, PyObject *value, PyObject **result)
{
    PyObject *rest = NULL;
    int outcome;

    if (call->may_try && value == Py_None) {
        call->may_try = 0;
        outcome = try_send(STATE_OF(call), call, &rest);
        if (outcome != 0 || rest != NULL) {
            call->is_over = 1;
            if (call->coroutine != NULL)
                close_coroutine(call);
            put(&call->coroutine, rest);
        }
        if (outcome > 0)
            *result = Py_NewRef(Py_None);
        if (outcome != 0)
            return outcome > 0 ? PYGEN_RETURN : PYGEN_ERROR;
    }
    if (coroutine_of(call) == NULL)
        return PYGEN_ERROR;
    return PyIter_Send(call->coroutine, value, result);
}

/* What the interpreter calls instead from 3.12 on. */
static PyObject *
call_next(Call *call)
{
    PyObject *result = NULL;

    if (call_send(call, Py_None, &result) == PYGEN_RETURN)
        Py_CLEAR(result); /* it is None: NULL without an exception says that */
    return result;
}

static PyObject *
call_getattr(Call *call, PyObject *name)
{
    PyObject *coroutine = coroutine_of(call);

    return coroutine == NULL ? NULL : PyObject_GetAttr(coroutine, name);
}

static PyObject *
call_repr(Call *call)
{
    PyObject *coroutine = coroutine_of(call);

    return coroutine == NULL ? NULL : PyObject_Repr(coroutine);
}

static int
call_traverse(Call *call, visitproc visit, void *arg)
{
    Py_VISIT(TYPE_OF(call));
    Py_VISIT(call->callee);
    Py_VISIT(call->connection);
    Py_VISIT(call->message);
    Py_VISIT(call->coroutine);
    return 0;
}

/* The others take part in no cycle that this one is not in. */
static int
call_clear(Call *call)
{
    Py_CLEAR(call->coroutine);
    return 0;
}

static void
call_dealloc(Call *call)
{
    PyTypeObject *type = TYPE_OF(call);
    PyObject *error, *value, *traceback;

    PyObject_GC_UnTrack(call);
    if (call->weak_references != NULL)
        PyObject_ClearWeakRefs((PyObject *)call);
    if (call->may_try && call->coroutine == NULL) {
        /* The coroutine warns that it was never awaited. */
        PyErr_Fetch(&error, &value, &traceback);
        if (make_coroutine(call) < 0)
            PyErr_WriteUnraisable(call->callee->function);
        Py_CLEAR(call->coroutine);
        PyErr_Restore(error, value, traceback);
    }
    Py_XDECREF(call->coroutine);
    Py_XDECREF((PyObject *)call->callee);
    Py_XDECREF(call->connection);
    Py_XDECREF(call->message);
    PyObject_GC_Del(call);
    Py_DECREF(type);
}

static PyMemberDef call_members[] = {
    {"__weaklistoffset__", T_PYSSIZET, offsetof(Call, weak_references), READONLY, NULL},
    {NULL, 0, 0, 0, NULL},
};

static PyType_Slot call_slots[] = {
    {Py_tp_members, call_members},
    {Py_am_await, call_await},
    {Py_am_send, call_send},
    {Py_tp_iternext, call_next},
    {Py_tp_getattro, call_getattr},
    {Py_tp_repr, call_repr},
    {Py_tp_traverse, call_traverse},
    {Py_tp_clear, call_clear},
    {Py_tp_dealloc, call_dealloc},
    {0, NULL},
};

static PyType_Spec call_spec = {
    .name = "anyio_websocket._connection._send_kernels_c.Call",
    .basicsize = sizeof(Call),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .slots = call_slots,
};

/* -- the function -------------------------------------------------------------- */

/* Return a call, or NULL with an exception set. */
static PyObject *
new_call(State *state, Function *function, PyObject *connection, PyObject *message)
{
    PyTypeObject *type = (PyTypeObject *)state->objects[CALL_TYPE];
    PyObject *depth = PyObject_CallObject(state->objects[TRACKING_DEPTH], NULL);
    Call *call = depth == NULL ? NULL : (Call *)PyType_GenericAlloc(type, 0);

    if (call != NULL) {
        call->callee = (Function *)Py_NewRef((PyObject *)function);
        call->connection = Py_NewRef(connection);
        call->message = Py_NewRef(message);
        call->may_try = 1;
        /* In asyncio's debug mode coroutines know where they were made. */
        if (PyLong_AsLong(depth) != 0 && make_coroutine(call) < 0) {
            call->may_try = 0;
            Py_CLEAR(call);
        }
    }
    Py_XDECREF(depth);
    return (PyObject *)call;
}

static PyObject *
function_call(Function *function, PyObject *args, PyObject *kwargs)
{
    PyObject *message;

    if (kwargs == NULL && PyTuple_Size(args) == 2) {
        message = PyTuple_GetItem(args, 1);
        if (PyBytes_CheckExact(message) || PyUnicode_CheckExact(message))
            return new_call(STATE_OF(function), function, PyTuple_GetItem(args, 0),
                            message);
    }
    return PyObject_Call(function->function, args, kwargs);
}

static PyObject *
function_get(Function *function, PyObject *object, PyObject *type)
{
    PyObject *bind = STATE_OF(function)->objects[METHOD_TYPE];

    if (object == NULL)
        return Py_NewRef((PyObject *)function);
    return PyObject_CallFunctionObjArgs(bind, (PyObject *)function, object, NULL);
}

/* Functions are copied and pickled by name. */
static PyObject *
function_reduce(Function *function, PyObject *protocol)
{
    return PyObject_GetAttrString(function->function, "__qualname__");
}

/* It has all attributes of the function in Python, and those below. */
static PyObject *
function_getattr(Function *function, PyObject *name)
{
    PyObject *value;

    if (PyUnicode_CompareWithASCIIString(name, "__reduce_ex__") == 0)
        return PyObject_GenericGetAttr((PyObject *)function, name);
    value = PyObject_GetAttr(function->function, name);
    if (value == NULL && PyErr_ExceptionMatches(PyExc_AttributeError)) {
        PyErr_Clear();
        value = PyObject_GenericGetAttr((PyObject *)function, name);
    }
    return value;
}

static PyObject *
function_repr(Function *function)
{
    return PyObject_Repr(function->function);
}

/* It is never cleared, because a call of it may outlive that: as for a tuple, what it
   refers to breaks the cycles. */
static int
function_traverse(Function *function, visitproc visit, void *arg)
{
    Py_VISIT(TYPE_OF(function));
    Py_VISIT(function->function);
    Py_VISIT(function->monotonic);
    return 0;
}

static void
function_dealloc(Function *function)
{
    PyTypeObject *type = TYPE_OF(function);

    PyObject_GC_UnTrack(function);
    if (function->weak_references != NULL)
        PyObject_ClearWeakRefs((PyObject *)function);
    Py_XDECREF(function->function);
    Py_XDECREF(function->monotonic);
    PyObject_GC_Del(function);
    Py_DECREF(type);
}

static PyMethodDef function_methods[] = {
    {"__reduce_ex__", (PyCFunction)function_reduce, METH_O, NULL},
    {NULL, NULL, 0, NULL},
};

static PyMemberDef function_members[] = {
    {"__weaklistoffset__", T_PYSSIZET, offsetof(Function, weak_references), READONLY,
     NULL},
    {"__wrapped__", T_OBJECT_EX, offsetof(Function, function), READONLY, NULL},
    {"max_stretch", T_DOUBLE, offsetof(Function, max_stretch), 0, NULL}, /* for tests */
    {NULL, 0, 0, 0, NULL},
};

static PyType_Slot function_slots[] = {
    {Py_tp_members, function_members},
    {Py_tp_methods, function_methods},
    {Py_tp_call, function_call},
    {Py_tp_descr_get, function_get},
    {Py_tp_getattro, function_getattr},
    {Py_tp_repr, function_repr},
    {Py_tp_traverse, function_traverse},
    {Py_tp_dealloc, function_dealloc},
    {0, NULL},
};

static PyType_Spec function_spec = {
    .name = "anyio_websocket._connection._send_kernels_c.Function",
    .basicsize = sizeof(Function),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_METHOD_DESCRIPTOR |
             Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .slots = function_slots,
};

static PyObject *
sending_quick_sends(PyObject *module, PyObject *args)
{
    State *state = PyModule_GetState(module);
    PyObject *callable, *monotonic;
    Py_ssize_t max_sends, max_batch, max_message;
    double max_stretch;
    Function *function;

    if (!PyArg_ParseTuple(args, "OOndnn", &callable, &monotonic, &max_sends, &max_stretch,
                          &max_batch, &max_message))
        return NULL;
    function = (Function *)PyType_GenericAlloc(
        (PyTypeObject *)state->objects[FUNCTION_TYPE], 0);
    if (function != NULL) {
        function->function = Py_NewRef(callable);
        function->monotonic = Py_NewRef(monotonic);
        function->max_sends = max_sends;
        function->max_stretch = max_stretch;
        function->max_batch = max_batch;
        function->max_message = max_message;
    }
    return (PyObject *)function;
}

/* -- the bases of classes in Python -------------------------------------------- */

static int
fields_traverse(OutboxFields *outbox, visitproc visit, void *arg)
{
    Py_VISIT(TYPE_OF(outbox));
    return visit_all(outbox->fields, OUTBOX_FIELDS, visit, arg);
}

static int
fields_clear(OutboxFields *outbox)
{
    return clear_all(outbox->fields, OUTBOX_FIELDS);
}

static void
fields_dealloc(OutboxFields *outbox)
{
    PyTypeObject *type = TYPE_OF(outbox);

    PyObject_GC_UnTrack(outbox);
    fields_clear(outbox);
    PyObject_GC_Del(outbox);
    Py_DECREF(type);
}

#define AS_MEMBER(name)                                                                \
    {#name, T_OBJECT_EX,                                                               \
     offsetof(OutboxFields, fields) + OUTBOX_##name * sizeof(PyObject *), 0, NULL},

static PyMemberDef fields_members[] = {
    FOR_EACH_OUTBOX_FIELD(AS_MEMBER){NULL, 0, 0, 0, NULL}};

static PyType_Slot fields_slots[] = {
    {Py_tp_members, fields_members},
    {Py_tp_traverse, fields_traverse},
    {Py_tp_clear, fields_clear},
    {Py_tp_dealloc, fields_dealloc},
    {0, NULL},
};

static PyType_Spec fields_spec = {
    .name = "anyio_websocket._connection._send_kernels_c.OutboxFields",
    .basicsize = sizeof(OutboxFields),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_BASETYPE,
    .slots = fields_slots,
};

/* What these two refer to are numbers, and in no cycle. */
static void
free_numbers(PyObject *self)
{
    PyTypeObject *type = Py_TYPE(self);

    ((freefunc)PyType_GetSlot(type, Py_tp_free))(self);
    Py_DECREF(type);
}

static void
budget_dealloc(BudgetFields *budget)
{
    Py_XDECREF(budget->events);
    Py_XDECREF(budget->gives_way);
    Py_XDECREF(budget->sends);
    free_numbers((PyObject *)budget);
}

static PyMemberDef budget_members[] = {
    {"events", T_OBJECT_EX, offsetof(BudgetFields, events), 0, NULL},
    {"gives_way", T_OBJECT_EX, offsetof(BudgetFields, gives_way), 0, NULL},
    {"sends", T_OBJECT_EX, offsetof(BudgetFields, sends), 0, NULL},
    {NULL, 0, 0, 0, NULL},
};

static PyType_Slot budget_slots[] = {
    {Py_tp_members, budget_members},
    {Py_tp_dealloc, budget_dealloc},
    {0, NULL},
};

static PyType_Spec budget_spec = {
    .name = "anyio_websocket._connection._send_kernels_c.BudgetFields",
    .basicsize = sizeof(BudgetFields),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE,
    .slots = budget_slots,
};

static void
yield_dealloc(YieldFields *last_yield)
{
    Py_XDECREF(last_yield->time);
    free_numbers((PyObject *)last_yield);
}

static PyMemberDef yield_members[] = {
    {"time", T_OBJECT_EX, offsetof(YieldFields, time), 0, NULL},
    {NULL, 0, 0, 0, NULL},
};

static PyType_Slot yield_slots[] = {
    {Py_tp_members, yield_members},
    {Py_tp_dealloc, yield_dealloc},
    {0, NULL},
};

static PyType_Spec yield_spec = {
    .name = "anyio_websocket._connection._send_kernels_c.YieldFields",
    .basicsize = sizeof(YieldFields),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE,
    .slots = yield_slots,
};

/* -- the module ---------------------------------------------------------------- */

#define AS_STRING(name) #name,
static const char *const name_strings[] = {FOR_EACH_NAME(AS_STRING)};

static int
sending_exec(PyObject *module)
{
    State *state = PyModule_GetState(module);
    PyObject **objects = state->objects;
    int i;

    for (i = 0; i < NAMES; i++)
        objects[i] = PyUnicode_InternFromString(name_strings[i]);
    objects[FIELDS_TYPE] = PyType_FromModuleAndSpec(module, &fields_spec, NULL);
    objects[BUDGET_TYPE] = PyType_FromModuleAndSpec(module, &budget_spec, NULL);
    objects[YIELD_TYPE] = PyType_FromModuleAndSpec(module, &yield_spec, NULL);
    objects[FUNCTION_TYPE] = PyType_FromModuleAndSpec(module, &function_spec, NULL);
    objects[CALL_TYPE] = PyType_FromModuleAndSpec(module, &call_spec, NULL);
    objects[METHOD_TYPE] = imported("types", "MethodType");
    objects[TRACKING_DEPTH] = imported("sys", "get_coroutine_origin_tracking_depth");
    for (i = 0; i < SEEN; i++)
        if (objects[i] == NULL)
            return -1;
    for (i = FIELDS_TYPE; i <= YIELD_TYPE; i++)
        if (PyModule_AddType(module, (PyTypeObject *)objects[i]) < 0)
            return -1;
    return 0;
}

static int
sending_traverse(PyObject *module, visitproc visit, void *arg)
{
    State *state = PyModule_GetState(module);

    return visit_all(state->objects, OBJECTS, visit, arg);
}

static int
sending_clear(PyObject *module)
{
    State *state = PyModule_GetState(module);

    return clear_all(state->objects, OBJECTS);
}

static void
sending_free(void *module)
{
    sending_clear(module);
}

static PyMethodDef methods[] = {
    {"quick_sends", sending_quick_sends, METH_VARARGS, "See _send_kernels_py.py."},
    {NULL, NULL, 0, NULL},
};

static PyModuleDef_Slot module_slots[] = {{Py_mod_exec, sending_exec}, {0, NULL}};

static struct PyModuleDef definition = {
    PyModuleDef_HEAD_INIT,
    .m_name = "_send_kernels_c",
    .m_doc = "Sending a message in C, if nothing waits.",
    .m_size = sizeof(State),
    .m_methods = methods,
    .m_slots = module_slots,
    .m_traverse = sending_traverse,
    .m_clear = sending_clear,
    .m_free = sending_free,
};

#else

static PyModuleDef_Slot module_slots[] = {{0, NULL}};

static struct PyModuleDef definition = {
    PyModuleDef_HEAD_INIT,
    .m_name = "_send_kernels_c",
    .m_doc = "Sending a message in C, if nothing waits.",
    .m_slots = module_slots,
};

#endif

PyMODINIT_FUNC
PyInit__send_kernels_c(void)
{
    return PyModuleDef_Init(&definition);
}
