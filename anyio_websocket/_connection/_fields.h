/* Objects of Python classes in which more than one module in C looks for attributes.

   Their base classes are in _send_kernels_c.c, so each attribute is at a known place. To
   look for it by name takes a hundred instructions, and ten of that are a tenth of a
   message of 125 bytes. */

#ifndef ANYIO_WEBSOCKET_FIELDS_H
#define ANYIO_WEBSOCKET_FIELDS_H

#include "_objects.h"

/* The attributes of an outbox that are used in C. In Python they are slots. */
#define FOR_EACH_OUTBOX_FIELD(DO)                                                      \
    DO(_batch) DO(_batch_is_scheduled) DO(_batch_size) DO(_fairness) DO(_lock)         \
    DO(_ping) DO(_pong) DO(_quick_replies_needed) DO(_turn) DO(bytes_sent)             \
    DO(checked_since_receive) DO(direct) DO(last_yield) DO(masked) DO(more_expected)   \
    DO(reply_due)

#define OUTBOX_FIELD_INDEX(name) OUTBOX_##name,
enum { FOR_EACH_OUTBOX_FIELD(OUTBOX_FIELD_INDEX) OUTBOX_FIELDS };

typedef struct {
    PyObject_HEAD
    PyObject *fields[OUTBOX_FIELDS];
} OutboxFields;

/* Those of a FairnessBudget. */
typedef struct {
    PyObject_HEAD
    PyObject *events, *gives_way, *sends;
} BudgetFields;

/* That of a LastYield. */
typedef struct {
    PyObject_HEAD
    PyObject *time;
} YieldFields;

/* Say whether an object is of a type. `seen` is the class of the last one that was. It is
   the same one nearly always, and then its bases need not be looked at. */
static int
is_of(PyObject *object, PyObject *type, PyObject **seen)
{
    PyObject *its_class = (PyObject *)Py_TYPE(object);

    if (its_class == *seen)
        return 1;
    if (!PyObject_TypeCheck(object, (PyTypeObject *)type))
        return 0;
    put(seen, Py_NewRef(its_class));
    return 1;
}

#endif
