/* Sending the same bytes over many sockets in C, with the same result as
   _send_each_py.py.

   It uses the limited API of CPython 3.11, so that one wheel works with every later
   version. On Windows a socket is no file descriptor, and Python does it. */

#define Py_LIMITED_API 0x030B0000
#define PY_SSIZE_T_CLEAN
#include <Python.h>

#ifndef _WIN32

#include <sys/socket.h>

typedef struct {
    int fd;       /* -1 if the socket is closed */
    ssize_t sent; /* bytes; -1 if it takes nothing */
} target;

/* Read the file descriptors of the sockets. Return -1 with an exception set if that
   fails. A call of each socket's fileno() would take a quarter of the time of all. */
static int
find_descriptors(PyObject *transports, target *targets, Py_ssize_t count)
{
    Py_ssize_t i;
    PyObject *name, *descriptor;

    name = PyUnicode_InternFromString("_descriptor");
    if (name == NULL)
        return -1;
    for (i = 0; i < count; i++) {
        descriptor = PyObject_GetAttr(PyList_GetItem(transports, i), name);
        if (descriptor == NULL)
            break;
        targets[i].fd = (int)PyLong_AsLong(descriptor);
        Py_DECREF(descriptor);
        if (targets[i].fd == -1 && PyErr_Occurred())
            break;
    }
    Py_DECREF(name);
    return i == count ? 0 : -1;
}

/* Return a list of those that did not take everything. */
static PyObject *
incomplete(const target *targets, Py_ssize_t count, Py_ssize_t size)
{
    Py_ssize_t i, sent;
    PyObject *pair, *result = PyList_New(0);

    for (i = 0; result != NULL && i < count; i++) {
        sent = targets[i].sent;
        if (sent == size)
            continue;
        pair = Py_BuildValue("(nn)", i, sent < 0 ? (Py_ssize_t)0 : sent);
        if (pair == NULL || PyList_Append(result, pair) < 0) {
            Py_DECREF(result);
            result = NULL;
        }
        Py_XDECREF(pair);
    }
    return result;
}

static PyObject *
send_each_in_c(PyObject *module, PyObject *const *args, Py_ssize_t count)
{
    char *data;
    Py_ssize_t i, size, number;
    target *targets;
    PyObject *result = NULL;

    if (count != 2 || !PyList_Check(args[0])) {
        PyErr_SetString(PyExc_TypeError, "send_each() takes a list and data");
        return NULL;
    }
    number = PyList_Size(args[0]);
    if (number < 0 || PyBytes_AsStringAndSize(args[1], &data, &size) < 0)
        return NULL;
    targets = PyMem_Malloc((size_t)(number + 1) * sizeof(target));
    if (targets == NULL)
        return PyErr_NoMemory();
    if (find_descriptors(args[0], targets, number) == 0) {
        /* Once for all of them: to release the GIL takes a part of the time of a short
           message. */
        Py_BEGIN_ALLOW_THREADS
        for (i = 0; i < number; i++)
            targets[i].sent =
                targets[i].fd < 0 ? -1 : send(targets[i].fd, data, (size_t)size, 0);
        Py_END_ALLOW_THREADS
        result = incomplete(targets, number, size);
    }
    PyMem_Free(targets);
    return result;
}

static PyMethodDef methods[] = {
    {"send_each", (PyCFunction)(void (*)(void))send_each_in_c, METH_FASTCALL,
     "Send the same bytes over many sockets, as far as they take them at once."},
    {NULL, NULL, 0, NULL},
};

#else

static PyMethodDef methods[] = {{NULL, NULL, 0, NULL}};

#endif

static PyModuleDef_Slot slots[] = {{0, NULL}};

static struct PyModuleDef definition = {
    PyModuleDef_HEAD_INIT,
    .m_name = "_send_each_c",
    .m_doc = "Sending the same bytes over many sockets in C.",
    .m_size = 0,
    .m_methods = methods,
    .m_slots = slots,
};

PyMODINIT_FUNC
PyInit__send_each_c(void)
{
    return PyModuleDef_Init(&definition);
}
