/* What the modules in C do with the objects that they keep, in their state and in the
   fields of their types. */

#ifndef ANYIO_WEBSOCKET_OBJECTS_H
#define ANYIO_WEBSOCKET_OBJECTS_H

/* Put an object into a field, which takes the reference. */
static void
put(PyObject **field, PyObject *value)
{
    PyObject *old = *field;

    *field = value;
    Py_XDECREF(old);
}

/* Visit them for the garbage collector. */
static int
visit_all(PyObject **objects, int count, visitproc visit, void *arg)
{
    int i;

    for (i = 0; i < count; i++)
        Py_VISIT(objects[i]);
    return 0;
}

static int
clear_all(PyObject **objects, int count)
{
    int i;

    for (i = 0; i < count; i++)
        Py_CLEAR(objects[i]);
    return 0;
}

/* Return something that is in another module, NULL with an exception set if it is not. */
static PyObject *
imported(const char *module_name, const char *name)
{
    PyObject *module = PyImport_ImportModule(module_name);
    PyObject *result = module == NULL ? NULL : PyObject_GetAttrString(module, name);

    Py_XDECREF(module);
    return result;
}

#endif
