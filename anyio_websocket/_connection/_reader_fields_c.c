/* Taking the next message, and waiting for it, in C. _reader_fields_py.py does without.

   take_next() does what Reader.take() does for a message that was decoded with the one
   before it, as nearly all of a burst are. In every other case it calls that.

   A message that comes alone is waited for in two coroutines, Reader.message() and
   Reader.receive(), whose frames take longer than the message. next_message() returns an
   object that does the same where nothing else is to be done: no other task waits, nothing
   was received already, the connection is open, and the socket is one of asyncio's whose
   future is in C. What came is given to Reader.take_received(). In every other case, and
   whenever something else than bytes comes, Reader.message() goes on.

   It uses the limited API of CPython 3.11, so that one wheel works with every later
   version. */

#define Py_LIMITED_API 0x030B0000
#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <stddef.h>
#include <structmember.h>

#include "_fields.h"

/* The attributes of a reader that are used here. In Python they are slots. */
#define FOR_EACH_FIELD(DO)                                                             \
    DO(_ahead) DO(_connection) DO(_fairness) DO(_future) DO(_inbox) DO(_last_yield)    \
    DO(_outbox) DO(_others) DO(_receive_size) DO(_receivers) DO(_state) DO(_undecoded) \
    DO(_was_full) DO(_woken) DO(reading) DO(reads_begun)
/* Those of other objects, and the reader's methods. */
#define FOR_EACH_NAME(DO)                                                              \
    DO(MAX_STRETCH) DO(_batch) DO(_gave_up) DO(_go_on) DO(_lost) DO(_on_left)          \
    DO(_pass_on) DO(close) DO(end_batch) DO(message) DO(messages) DO(monotonic)        \
    DO(more_expected) DO(on_unread) DO(on_watchlist) DO(reason) DO(receive) DO(take)   \
    DO(take_received) DO(throw)

#define FULL_READ 66048 /* that of _reader.py */
#define LIMIT 100       /* that of _fairness.py */

#define FIELD_INDEX(name) FIELD_##name,
#define NAME_INDEX(name) NAME_##name,
enum { FOR_EACH_FIELD(FIELD_INDEX) FIELDS };
enum {
    FOR_EACH_NAME(NAME_INDEX) NAMES,
    FIELDS_TYPE = NAMES,
    WAITING_TYPE,
    LOST,     /* TransportLost */
    FAIRNESS, /* the module */
    INBOX_TYPE,
    NEEDED,
    OUTBOX_TYPE = NEEDED, /* NULL where _send_kernels_c has none, as on Windows */
    BUDGET_TYPE,
    YIELD_TYPE,
    SEEN, /* classes of the last four types, NULL until there was one */
    OBJECTS = SEEN + 4
};

typedef struct {
    PyObject *objects[OBJECTS];
} State;

typedef struct {
    PyObject_HEAD
    PyObject *fields[FIELDS];
} Reader;

/* The attribute of an inbox that is used here. */
typedef struct {
    PyObject_HEAD
    PyObject *messages;
} InboxFields;

/* What next_message() returns. */
typedef struct {
    PyObject_HEAD
    Reader *reader;      /* NULL at the end */
    PyObject *receiving; /* of the future, while the task waits for it */
    PyObject *coroutine; /* of Reader._go_on(), once that has taken over */
} Waiting;

#define TYPE_OF(object) Py_TYPE((PyObject *)(object))
#define STATE_OF(object) ((State *)PyType_GetModuleState(TYPE_OF(object)))
#define NAME(name) (state->objects[NAME_##name])
#define FIELD(name) (reader->fields[FIELD_##name])
#define IS(object, type) \
    is_of(object, state->objects[type], &state->objects[SEEN + type - INBOX_TYPE])

/* Say whether an attribute is true: 1, 0, or -1 with an exception set. */
static int
is_true(PyObject *object, PyObject *name)
{
    PyObject *value = PyObject_GetAttr(object, name);
    int result = value == NULL ? -1 : PyObject_IsTrue(value);

    Py_XDECREF(value);
    return result;
}

/* Say whether there are messages in the inbox: 1, 0, or -1 with an exception set. */
static int
has_messages(State *state, PyObject *inbox)
{
    if (IS(inbox, INBOX_TYPE) && ((InboxFields *)inbox)->messages != NULL)
        return PyObject_IsTrue(((InboxFields *)inbox)->messages);
    return is_true(inbox, NAME(messages));
}

/* Call a method that takes at most one argument; return 0, or -1 with an exception set. */
static int
call(void *object, PyObject *name, PyObject *argument)
{
    PyObject *result =
        PyObject_CallMethodObjArgs((PyObject *)object, name, argument, NULL);

    Py_XDECREF(result);
    return result == NULL ? -1 : 0;
}

/* -- what was decoded already ---------------------------------------------- */

/* Say whether the clock tells that other tasks ran a moment ago: 1, 0, or -1 with an
   exception set. */
static int
is_fresh(State *state, Reader *reader)
{
    PyObject *fairness = state->objects[FAIRNESS];
    PyObject *then = ((YieldFields *)FIELD(_last_yield))->time;
    PyObject *limit = PyObject_GetAttr(fairness, NAME(MAX_STRETCH));
    PyObject *now = PyObject_CallMethodObjArgs(fairness, NAME(monotonic), NULL);
    int result = -1;

    if (limit != NULL && now != NULL)
        result = PyFloat_AsDouble(now) - PyFloat_AsDouble(then) < PyFloat_AsDouble(limit);
    Py_XDECREF(limit);
    Py_XDECREF(now);
    return PyErr_Occurred() ? -1 : result;
}

/* Say whether the task may go on without letting others run, and count the message if
   it may: 1, 0, or -1 with an exception set. */
static int
spend(State *state, Reader *reader, OutboxFields *outbox)
{
    BudgetFields *budget = (BudgetFields *)FIELD(_fairness);
    Py_ssize_t events = PyLong_AsSsize_t(budget->events);
    PyObject *number;
    int fresh;

    if (events < 0 || events >= LIMIT)
        return PyErr_Occurred() ? -1 : 0;
    /* A task that has sent something since it took a message looked at the clock. */
    if (outbox->fields[OUTBOX_checked_since_receive] == Py_True)
        put(&outbox->fields[OUTBOX_checked_since_receive], Py_NewRef(Py_False));
    else if ((fresh = is_fresh(state, reader)) <= 0)
        return fresh;
    number = PyLong_FromSsize_t(events + 1);
    if (number == NULL)
        return -1;
    put(&budget->events, number);
    return 1;
}

/* Remove the first of the messages, and tell the outbox whether more come. */
static PyObject *
first_of(Reader *reader, OutboxFields *outbox, PyObject *messages)
{
    int has_more = PyList_Size(messages) > 1 || FIELD(_undecoded) != Py_False;
    PyObject *message = Py_NewRef(PyList_GetItem(messages, 0));

    put(&outbox->fields[OUTBOX_more_expected], Py_NewRef(has_more ? Py_True : Py_False));
    if (PyList_SetSlice(messages, 0, 1, NULL) < 0)
        Py_CLEAR(message);
    return message;
}

static PyObject *
fields_take_next(Reader *reader, PyTypeObject *defining_class, PyObject *const *args,
                 size_t count, PyObject *names)
{
    State *state = PyType_GetModuleState(defining_class);
    PyObject *ahead = FIELD(_ahead), *outbox = FIELD(_outbox);
    int is_ahead = PyList_Check(ahead) && PyList_Size(ahead) > 0;
    int others = has_messages(state, FIELD(_inbox));

    if (others < 0)
        return NULL;
    if (!is_ahead && !others && FIELD(_undecoded) == Py_False)
        return Py_NewRef(Py_None);
    if (!is_ahead || others || PyObject_IsTrue(FIELD(_receivers)) ||
        PyObject_IsTrue(FIELD(_woken)) || PyObject_IsTrue(FIELD(_others)) ||
        state->objects[YIELD_TYPE] == NULL || !IS(outbox, OUTBOX_TYPE) ||
        !IS(FIELD(_fairness), BUDGET_TYPE) || !IS(FIELD(_last_yield), YIELD_TYPE))
        return PyObject_CallMethodObjArgs((PyObject *)reader, NAME(take), NULL);
    switch (spend(state, reader, (OutboxFields *)outbox)) {
    case 1:
        return first_of(reader, (OutboxFields *)outbox, ahead);
    case 0:
        return Py_NewRef(Py_None);
    default:
        return NULL;
    }
}

/* -- before and after the read -------------------------------------------- */

/* Say whether Reader.message() would go straight to Reader.receive(). */
static int
is_plain(State *state, Reader *reader)
{
    PyObject *reason;
    int others, is_open;

    if (FIELD(_future) == Py_None || FIELD(reading) != Py_False ||
        FIELD(_undecoded) != Py_False || FIELD(_was_full) != Py_False ||
        PyObject_IsTrue(FIELD(_ahead)) || PyObject_IsTrue(FIELD(_receivers)) ||
        PyObject_IsTrue(FIELD(_woken)))
        return 0;
    others = has_messages(state, FIELD(_inbox));
    if (others)
        return others < 0 ? -1 : 0;
    reason = PyObject_GetAttr(FIELD(_state), NAME(reason));
    if (reason == NULL)
        return -1;
    is_open = reason == Py_None;
    Py_DECREF(reason);
    return is_open;
}

/* Do what Outbox.end_batch() does. */
static int
end_batch(State *state, Reader *reader)
{
    int has_batch = is_true(FIELD(_outbox), NAME(_batch));

    if (has_batch < 0)
        return -1;
    if (has_batch)
        return call(FIELD(_outbox), NAME(end_batch), NULL);
    return PyObject_SetAttr(FIELD(_outbox), NAME(more_expected), Py_False);
}

/* Begin to receive. Return -1 with an exception set if it fails. */
static int
begin(State *state, Waiting *self)
{
    Reader *reader = self->reader;
    Py_ssize_t begun = PyLong_AsSsize_t(FIELD(reads_begun));
    PyObject *count;

    if (begun < 0 || end_batch(state, reader) < 0)
        return -1;
    count = PyLong_FromSsize_t(begun + 1);
    if (count == NULL)
        return -1;
    put(&FIELD(reads_begun), count);
    self->receiving = PyObject_CallMethodObjArgs(FIELD(_future), NAME(receive),
                                                 FIELD(_receive_size), NULL);
    if (self->receiving == NULL)
        return -1;
    put(&FIELD(reading), Py_NewRef(Py_True));
    return 0;
}

/* Say that no task reads, to the connection too if it wants to know. */
static int
end(State *state, Waiting *self)
{
    Reader *reader = self->reader;
    int is_on_watchlist;

    Py_CLEAR(self->receiving);
    put(&FIELD(reading), Py_NewRef(Py_False));
    if (FIELD(_connection) == Py_None)
        return 0;
    is_on_watchlist = is_true(FIELD(_connection), NAME(on_watchlist));
    if (is_on_watchlist)
        return is_on_watchlist < 0 ? -1 : 0;
    return call(FIELD(_connection), NAME(on_unread), NULL);
}

/* Do what Reader.message() does when it is left. Keep the exception that is set, unless
   that raises another one. */
static void
give_up(State *state, Waiting *self)
{
    Reader *reader = self->reader;
    PyObject *type, *error, *traceback;

    PyErr_Fetch(&type, &error, &traceback);
    if ((self->receiving != NULL && end(state, self) < 0) ||
        call(reader, NAME(_gave_up), NULL) < 0) {
        Py_XDECREF(type);
        Py_XDECREF(error);
        Py_XDECREF(traceback);
    }
    else {
        PyErr_Restore(type, error, traceback);
    }
    self->reader = NULL;
    Py_DECREF((PyObject *)reader);
}

/* Return the message that these bytes begin with, NULL without an exception if there is
   none. */
static PyObject *
message_in(State *state, Waiting *self, PyObject *data)
{
    Reader *reader = self->reader;
    PyObject *message;
    Py_ssize_t size = PyBytes_Size(data);

    if (size >= FULL_READ || size == PyLong_AsSsize_t(FIELD(_receive_size)))
        put(&FIELD(_was_full), Py_NewRef(Py_True));
    if (end(state, self) < 0)
        return NULL;
    message =
        PyObject_CallMethodObjArgs((PyObject *)reader, NAME(take_received), data, NULL);
    if (message == Py_None) {
        Py_DECREF(message);
        return NULL;
    }
    if (message == NULL)
        return NULL;
    if ((FIELD(_undecoded) == Py_True && call(reader, NAME(_on_left), NULL) < 0) ||
        ((PyObject_IsTrue(FIELD(_receivers)) || PyObject_IsTrue(FIELD(_others))) &&
         call(reader, NAME(_pass_on), NULL) < 0)) {
        Py_DECREF(message);
        return NULL;
    }
    return message;
}

/* -- the awaitable -------------------------------------------------------- */

/* Have Reader._go_on() do the rest. */
static PySendResult
go_on(State *state, Waiting *self, PyObject **result)
{
    self->coroutine =
        PyObject_CallMethodObjArgs((PyObject *)self->reader, NAME(_go_on), NULL);
    if (self->coroutine == NULL) {
        give_up(state, self);
        return PYGEN_ERROR;
    }
    return PyIter_Send(self->coroutine, Py_None, result);
}

/* Deal with what the future's awaitable has returned or raised. */
static PySendResult
received(State *state, Waiting *self, PySendResult how, PyObject **result)
{
    PyObject *data = *result, *error, *type, *traceback;
    int failed;

    if (how == PYGEN_NEXT)
        return how;
    *result = NULL;
    if (how == PYGEN_RETURN && data != Py_None && PyBytes_Size(data) > 0) {
        *result = message_in(state, self, data);
        Py_DECREF(data);
        if (*result != NULL) {
            Py_CLEAR(self->reader);
            return PYGEN_RETURN;
        }
        if (!PyErr_Occurred())
            return go_on(state, self, result);
    }
    else if (how == PYGEN_RETURN || PyErr_ExceptionMatches(state->objects[LOST])) {
        if (how == PYGEN_ERROR) {
            PyErr_Fetch(&type, &error, &traceback);
            PyErr_NormalizeException(&type, &error, &traceback);
            Py_XDECREF(type);
            Py_XDECREF(traceback);
            data = error;
        }
        failed = call(self->reader, NAME(_lost), data) < 0 || end(state, self) < 0;
        Py_DECREF(data);
        if (!failed)
            return go_on(state, self, result);
    }
    give_up(state, self);
    return PYGEN_ERROR;
}

static PySendResult
waiting_send(Waiting *self, PyObject *value, PyObject **result)
{
    State *state = STATE_OF(self);
    PySendResult how;

    *result = NULL;
    if (self->coroutine != NULL)
        return PyIter_Send(self->coroutine, value, result);
    if (self->reader == NULL) {
        PyErr_SetString(PyExc_RuntimeError, "cannot reuse already awaited message");
        return PYGEN_ERROR;
    }
    if (self->receiving == NULL && begin(state, self) < 0) {
        give_up(state, self);
        return PYGEN_ERROR;
    }
    how = PyIter_Send(self->receiving, Py_None, result);
    return received(state, self, how, result);
}

/* Return or raise as __next__() does. */
static PyObject *
as_next(PySendResult how, PyObject *result)
{
    PyObject *stop;

    if (how != PYGEN_RETURN)
        return result;
    stop = PyObject_CallFunctionObjArgs(PyExc_StopIteration, result, NULL);
    if (stop != NULL)
        PyErr_SetObject(PyExc_StopIteration, stop);
    Py_XDECREF(stop);
    Py_DECREF(result);
    return NULL;
}

static PyObject *
waiting_next(Waiting *self)
{
    PyObject *result;
    PySendResult how = waiting_send(self, Py_None, &result);

    return as_next(how, result);
}

static PyObject *
waiting_send_method(Waiting *self, PyObject *value)
{
    PyObject *result;
    PySendResult how = waiting_send(self, value, &result);

    return as_next(how, result);
}

/* Raise an exception where the task waits. */
static PyObject *
waiting_throw(Waiting *self, PyObject *args)
{
    State *state = STATE_OF(self);
    PyObject *method, *result = NULL;
    PySendResult how;

    if (self->coroutine == NULL && self->receiving == NULL) {
        /* It has not begun, or has ended: so does a coroutine that has not begun. */
        if (self->reader == NULL) {
            PyErr_SetString(PyExc_RuntimeError, "cannot reuse already awaited message");
            return NULL;
        }
        self->coroutine =
            PyObject_CallMethodObjArgs((PyObject *)self->reader, NAME(_go_on), NULL);
        if (self->coroutine == NULL)
            return NULL;
    }
    method = PyObject_GetAttr(self->coroutine ? self->coroutine : self->receiving,
                              NAME(throw));
    if (method != NULL)
        result = PyObject_Call(method, args, NULL);
    Py_XDECREF(method);
    if (self->coroutine != NULL)
        return result;
    /* That of the future raises it in any case. */
    how = received(state, self, PYGEN_ERROR, &result);
    return as_next(how, result);
}

static PyObject *
waiting_close(Waiting *self, PyObject *Py_UNUSED(ignored))
{
    State *state = STATE_OF(self);

    if (self->coroutine != NULL)
        return PyObject_CallMethodObjArgs(self->coroutine, NAME(close), NULL);
    if (self->receiving != NULL)
        give_up(state, self);
    return PyErr_Occurred() ? NULL : Py_NewRef(Py_None);
}

static int
waiting_traverse(Waiting *self, visitproc visit, void *arg)
{
    Py_VISIT(TYPE_OF(self));
    Py_VISIT((PyObject *)self->reader);
    Py_VISIT(self->receiving);
    Py_VISIT(self->coroutine);
    return 0;
}

static int
waiting_clear(Waiting *self)
{
    Py_CLEAR(self->reader);
    Py_CLEAR(self->receiving);
    Py_CLEAR(self->coroutine);
    return 0;
}

static void
waiting_dealloc(Waiting *self)
{
    PyTypeObject *type = TYPE_OF(self);

    PyObject_GC_UnTrack((PyObject *)self);
    waiting_clear(self);
    PyObject_GC_Del(self);
    Py_DECREF(type);
}

static PyMethodDef waiting_methods[] = {
    {"send", (PyCFunction)waiting_send_method, METH_O, NULL},
    {"throw", (PyCFunction)waiting_throw, METH_VARARGS, NULL},
    {"close", (PyCFunction)waiting_close, METH_NOARGS, NULL},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot waiting_slots[] = {
    {Py_tp_dealloc, waiting_dealloc},
    {Py_tp_traverse, waiting_traverse},
    {Py_tp_clear, waiting_clear},
    {Py_tp_methods, waiting_methods},
    {Py_tp_iter, PyObject_SelfIter},
    {Py_tp_iternext, waiting_next},
    {Py_am_await, PyObject_SelfIter},
    {Py_am_send, waiting_send},
    {0, NULL},
};

static PyType_Spec waiting_spec = {
    .name = "anyio_websocket._connection._reader_fields_c.Waiting",
    .basicsize = sizeof(Waiting),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .slots = waiting_slots,
};

/* -- the base of the reader ----------------------------------------------- */

static PyObject *
fields_next_message(Reader *reader, PyTypeObject *defining_class, PyObject *const *args,
                    size_t count, PyObject *names)
{
    State *state = PyType_GetModuleState(defining_class);
    Waiting *waiting;
    int plain = is_plain(state, reader);

    if (plain < 0)
        return NULL;
    if (!plain)
        return PyObject_CallMethodObjArgs((PyObject *)reader, NAME(message), NULL);
    waiting = PyObject_GC_New(Waiting, (PyTypeObject *)state->objects[WAITING_TYPE]);
    if (waiting != NULL) {
        waiting->reader = (Reader *)Py_NewRef((PyObject *)reader);
        waiting->receiving = waiting->coroutine = NULL;
        PyObject_GC_Track((PyObject *)waiting);
    }
    return (PyObject *)waiting;
}

static int
fields_traverse(Reader *reader, visitproc visit, void *arg)
{
    Py_VISIT(TYPE_OF(reader));
    return visit_all(reader->fields, FIELDS, visit, arg);
}

static int
fields_clear(Reader *reader)
{
    return clear_all(reader->fields, FIELDS);
}

static void
fields_dealloc(Reader *reader)
{
    PyTypeObject *type = TYPE_OF(reader);

    PyObject_GC_UnTrack((PyObject *)reader);
    fields_clear(reader);
    PyObject_GC_Del(reader);
    Py_DECREF(type);
}

#define AS_MEMBER(name)                                                                \
    {#name, T_OBJECT_EX, offsetof(Reader, fields) + FIELD_##name * sizeof(PyObject *), \
     0, NULL},

static PyMemberDef fields_members[] = {FOR_EACH_FIELD(AS_MEMBER){NULL, 0, 0, 0, NULL}};

static PyMethodDef fields_methods[] = {
    {"next_message", (PyCFunction)(void (*)(void))fields_next_message,
     METH_METHOD | METH_FASTCALL | METH_KEYWORDS, "Wait for the next message."},
    {"take_next", (PyCFunction)(void (*)(void))fields_take_next,
     METH_METHOD | METH_FASTCALL | METH_KEYWORDS,
     "Return the next message if that takes no waiting."},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot fields_slots[] = {
    {Py_tp_members, fields_members},
    {Py_tp_methods, fields_methods},
    {Py_tp_traverse, fields_traverse},
    {Py_tp_clear, fields_clear},
    {Py_tp_dealloc, fields_dealloc},
    {0, NULL},
};

static PyType_Spec fields_spec = {
    .name = "anyio_websocket._connection._reader_fields_c.ReaderFields",
    .basicsize = sizeof(Reader),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_BASETYPE,
    .slots = fields_slots,
};

/* -- the base of the inbox -------------------------------------------------- */

/* Messages refer to nothing, so it is in no cycle. */
static void
inbox_dealloc(InboxFields *inbox)
{
    PyTypeObject *type = TYPE_OF(inbox);

    Py_XDECREF(inbox->messages);
    ((freefunc)PyType_GetSlot(type, Py_tp_free))(inbox);
    Py_DECREF(type);
}

static PyMemberDef inbox_members[] = {
    {"messages", T_OBJECT_EX, offsetof(InboxFields, messages), 0, NULL},
    {NULL, 0, 0, 0, NULL},
};

static PyType_Slot inbox_slots[] = {
    {Py_tp_members, inbox_members},
    {Py_tp_dealloc, inbox_dealloc},
    {0, NULL},
};

static PyType_Spec inbox_spec = {
    .name = "anyio_websocket._connection._reader_fields_c.InboxFields",
    .basicsize = sizeof(InboxFields),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE,
    .slots = inbox_slots,
};

/* -- the module ----------------------------------------------------------- */

#define AS_STRING(name) #name,
static const char *const name_strings[] = {FOR_EACH_NAME(AS_STRING)};

static int
receiving_exec(PyObject *module)
{
    const char *kernels = "anyio_websocket._connection._send_kernels_c";
    State *state = PyModule_GetState(module);
    PyObject **objects = state->objects;
    int i;

    for (i = 0; i < NAMES; i++)
        objects[i] = PyUnicode_InternFromString(name_strings[i]);
    objects[FIELDS_TYPE] = PyType_FromModuleAndSpec(module, &fields_spec, NULL);
    objects[WAITING_TYPE] = PyType_FromModuleAndSpec(module, &waiting_spec, NULL);
    objects[LOST] = imported("anyio_websocket._transport", "TransportLost");
    objects[FAIRNESS] = PyImport_ImportModule("anyio_websocket._connection._fairness");
    objects[INBOX_TYPE] = PyType_FromModuleAndSpec(module, &inbox_spec, NULL);
    for (i = 0; i < NEEDED; i++)
        if (objects[i] == NULL)
            return -1;
    if ((objects[OUTBOX_TYPE] = imported(kernels, "OutboxFields")) == NULL ||
        (objects[BUDGET_TYPE] = imported(kernels, "BudgetFields")) == NULL ||
        (objects[YIELD_TYPE] = imported(kernels, "YieldFields")) == NULL)
        PyErr_Clear(); /* then take_next() leaves all to Reader.take() */
    if (PyModule_AddType(module, (PyTypeObject *)objects[FIELDS_TYPE]) < 0)
        return -1;
    return PyModule_AddType(module, (PyTypeObject *)objects[INBOX_TYPE]);
}

static int
receiving_traverse(PyObject *module, visitproc visit, void *arg)
{
    State *state = PyModule_GetState(module);

    return visit_all(state->objects, OBJECTS, visit, arg);
}

static int
receiving_clear(PyObject *module)
{
    State *state = PyModule_GetState(module);

    return clear_all(state->objects, OBJECTS);
}

static PyModuleDef_Slot slots[] = {{Py_mod_exec, receiving_exec}, {0, NULL}};

static struct PyModuleDef definition = {
    PyModuleDef_HEAD_INIT,
    .m_name = "_reader_fields_c",
    .m_doc = "Taking the next message, and waiting for it, in C.",
    .m_size = sizeof(State),
    .m_slots = slots,
    .m_traverse = receiving_traverse,
    .m_clear = receiving_clear,
};

PyMODINIT_FUNC
PyInit__reader_fields_c(void)
{
    return PyModuleDef_Init(&definition);
}
