/* Masking, parsing and building frames in C, with the same results as _kernels_py.py.

   It uses the limited API of CPython 3.11, so that one wheel works with every later
   version. No function keeps any state between calls. */

#define Py_LIMITED_API 0x030B0000
#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include "_frame.h"

#define RSV1 0x40

/* Return the bytes of a mask key, or NULL with an exception set. */
static const char *
key_bytes(PyObject *key)
{
    char *bytes;
    Py_ssize_t size;

    if (PyBytes_AsStringAndSize(key, &bytes, &size) < 0)
        return NULL;
    if (size != KEY_SIZE) {
        PyErr_SetString(PyExc_ValueError, "a mask key has four bytes");
        return NULL;
    }
    return bytes;
}

static PyObject *
kernels_mask(PyObject *module, PyObject *const *args, Py_ssize_t count)
{
    const char *key;
    PyObject *result = NULL;
    Py_buffer data;

    if (count != 2) {
        PyErr_SetString(PyExc_TypeError, "mask() takes data and key");
        return NULL;
    }
    key = key_bytes(args[1]);
    if (key == NULL || PyObject_GetBuffer(args[0], &data, PyBUF_SIMPLE) < 0)
        return NULL;
    result = PyBytes_FromStringAndSize(NULL, data.len);
    if (result != NULL)
        apply_mask(PyBytes_AsString(result), data.buf, data.len, key);
    PyBuffer_Release(&data);
    return result;
}

static PyObject *
kernels_mask_into(PyObject *module, PyObject *const *args, Py_ssize_t count)
{
    const char *key;
    Py_ssize_t at, start, size;
    Py_buffer target, data;

    if (count != 6) {
        PyErr_SetString(PyExc_TypeError,
                        "mask_into() takes target, at, data, start, size and key");
        return NULL;
    }
    at = PyLong_AsSsize_t(args[1]);
    start = PyLong_AsSsize_t(args[3]);
    size = PyLong_AsSsize_t(args[4]);
    if (PyErr_Occurred())
        return NULL;
    key = key_bytes(args[5]);
    if (key == NULL || PyObject_GetBuffer(args[2], &data, PyBUF_SIMPLE) < 0)
        return NULL;
    if (PyObject_GetBuffer(args[0], &target, PyBUF_WRITABLE) < 0) {
        PyBuffer_Release(&data);
        return NULL;
    }
    if (at < 0 || start < 0 || size < 0 || at > target.len || start > data.len ||
        size > target.len - at || size > data.len - start)
        PyErr_SetString(PyExc_ValueError, "a piece must be inside of both");
    else
        apply_mask((char *)target.buf + at, (char *)data.buf + start, size, key);
    PyBuffer_Release(&target);
    PyBuffer_Release(&data);
    if (PyErr_Occurred())
        return NULL;
    return Py_NewRef(Py_None);
}

/* Return whether `in` starts with a complete message in a single frame, whose reserved
   bits are `rsv`. If so, `start` is the offset of the mask key (or of the payload, if
   there is no mask), and `length` that of the payload. */
static int
is_whole_message(const unsigned char *in, Py_ssize_t available, int rsv, int mask_bit,
                 Py_ssize_t max_size, Py_ssize_t *start, Py_ssize_t *length)
{
    int size, i;
    uint64_t value;

    if (available < 2 ||
        (in[0] != (WHOLE_TEXT | rsv) && in[0] != (WHOLE_BINARY | rsv)) ||
        (in[1] & MASKED) != mask_bit)
        return 0;
    value = in[1] & ~MASKED;
    *start = 2;
    if (value > 125) {
        size = value == 126 ? 2 : 8;
        if (available < 2 + size)
            return 0;
        for (i = 0, value = 0; i < size; i++)
            value = value << 8 | in[2 + i];
        if (value < (size == 2 ? 126u : 65536u))
            return 0;
        *start += size;
    }
    if (value > (uint64_t)max_size)
        return 0;
    *length = (Py_ssize_t)value;
    return *length <= available - *start - (mask_bit ? KEY_SIZE : 0);
}

static int
is_ascii(const char *in, Py_ssize_t size)
{
    uint64_t word, all = 0;
    Py_ssize_t i;

    for (i = 0; i + 8 <= size; i += 8) {
        memcpy(&word, in + i, 8);
        all |= word;
    }
    for (; i < size; i++)
        all |= (unsigned char)in[i];
    return !(all & 0x8080808080808080u);
}

/* Return the payload of a frame at `in` for which is_whole_message() returned `start`
   and `length`, without its mask. */
static PyObject *
unmasked_payload(const char *in, int mask_bit, Py_ssize_t start, Py_ssize_t length)
{
    PyObject *bytes = PyBytes_FromStringAndSize(NULL, length);

    if (bytes == NULL)
        return NULL;
    in += start;
    if (mask_bit)
        apply_mask(PyBytes_AsString(bytes), in + KEY_SIZE, length, in);
    else
        memcpy(PyBytes_AsString(bytes), in, (size_t)length);
    return bytes;
}

/* Return the message in a frame at `in` for which is_whole_message() returned `start`
   and `length`; a text as bytes if `undecoded`. Return NULL without an exception if it
   is a text that is not UTF-8. */
static PyObject *
decode_message(const char *in, int mask_bit, Py_ssize_t start, Py_ssize_t length,
               int undecoded)
{
    const char *payload = in + start;
    PyObject *bytes = NULL, *text;

    if (mask_bit || undecoded || in[0] != (char)WHOLE_TEXT) {
        bytes = unmasked_payload(in, mask_bit, start, length);
        if (bytes == NULL)
            return NULL;
        payload = PyBytes_AsString(bytes);
    }
    if (in[0] != (char)WHOLE_TEXT || (undecoded && is_ascii(payload, length)))
        return bytes;
    text = PyUnicode_DecodeUTF8(payload, length, NULL);
    if (undecoded && text != NULL) {
        Py_DECREF(text);
        return bytes;
    }
    Py_XDECREF(bytes);
    if (text == NULL && PyErr_ExceptionMatches(PyExc_UnicodeDecodeError))
        PyErr_Clear(); /* FrameCodec.next() finds it too, and says what is wrong */
    return text;
}

/* What the functions that take messages begin with, see _kernels_py.py. */
typedef struct {
    char *buffer;
    Py_ssize_t size;
    Py_ssize_t start;
    int mask_bit;
    Py_ssize_t max_size;
} Received;

/* Parse the first four arguments. Return 0 with an exception set if they are wrong. */
static int
parse_received(PyObject *const *args, Received *in)
{
    if (PyBytes_AsStringAndSize(args[0], &in->buffer, &in->size) < 0)
        return 0;
    in->start = PyLong_AsSsize_t(args[1]);
    in->mask_bit = (int)PyLong_AsLong(args[2]);
    in->max_size = PyLong_AsSsize_t(args[3]);
    if (PyErr_Occurred())
        return 0;
    if (in->start < 0 || in->start > in->size || in->max_size < 0) {
        PyErr_SetString(PyExc_ValueError, "start must be inside the buffer");
        return 0;
    }
    return 1;
}

static PyObject *
take(PyObject *const *args, Py_ssize_t count, int undecoded)
{
    Received in;
    char *frame;
    Py_ssize_t max_count, start, length;
    PyObject *messages, *message;

    if (count != 5) {
        PyErr_SetString(PyExc_TypeError,
                        "it takes buffer, start, mask_bit, max_size and max_count");
        return NULL;
    }
    if (!parse_received(args, &in))
        return NULL;
    max_count = PyLong_AsSsize_t(args[4]);
    if (PyErr_Occurred())
        return NULL;
    messages = PyList_New(0);
    if (messages == NULL)
        return NULL;
    while (max_count-- > 0) {
        frame = in.buffer + in.start;
        if (!is_whole_message((unsigned char *)frame, in.size - in.start, 0,
                              in.mask_bit, in.max_size, &start, &length))
            break;
        message = decode_message(frame, in.mask_bit, start, length, undecoded);
        if (message == NULL) {
            if (PyErr_Occurred())
                goto error;
            break;
        }
        if (PyList_Append(messages, message) < 0) {
            Py_DECREF(message);
            goto error;
        }
        Py_DECREF(message);
        in.start += start + (in.mask_bit ? KEY_SIZE : 0) + length;
    }
    return Py_BuildValue("Nn", messages, in.start);
error:
    Py_DECREF(messages);
    return NULL;
}

static PyObject *
kernels_take_messages(PyObject *module, PyObject *const *args, Py_ssize_t count)
{
    return take(args, count, 0);
}

static PyObject *
kernels_take_undecoded(PyObject *module, PyObject *const *args, Py_ssize_t count)
{
    return take(args, count, 1);
}

static PyObject *
kernels_take_compressed(PyObject *module, PyObject *const *args, Py_ssize_t count)
{
    Received in;
    char *frame;
    Py_ssize_t start, length;
    PyObject *payload;

    if (count != 4) {
        PyErr_SetString(PyExc_TypeError,
                        "it takes buffer, start, mask_bit and max_size");
        return NULL;
    }
    if (!parse_received(args, &in))
        return NULL;
    frame = in.buffer + in.start;
    if (!is_whole_message((unsigned char *)frame, in.size - in.start, RSV1, in.mask_bit,
                          in.max_size, &start, &length))
        return Py_NewRef(Py_None);
    payload = unmasked_payload(frame, in.mask_bit, start, length);
    if (payload == NULL)
        return NULL;
    in.start += start + (in.mask_bit ? KEY_SIZE : 0) + length;
    return Py_BuildValue("iNn", (unsigned char)frame[0], payload, in.start);
}

/* Build a frame around bytes, or around a text, which is encoded as UTF-8. NULL as `key`
   means no mask. */
static PyObject *
build_frame(long first, PyObject *message, const char *key)
{
    const char *payload;
    char *bytes;
    Py_ssize_t length;
    PyObject *result;

    if (PyUnicode_Check(message)) {
        payload = PyUnicode_AsUTF8AndSize(message, &length);
        if (payload == NULL)
            return NULL;
    }
    else {
        if (PyBytes_AsStringAndSize(message, &bytes, &length) < 0)
            return NULL;
        payload = bytes;
    }
    result = PyBytes_FromStringAndSize(NULL, header_size(length, key != NULL) + length);
    if (result != NULL)
        write_frame(PyBytes_AsString(result), (int)first, payload, length, key);
    return result;
}

static PyObject *
kernels_make_frame(PyObject *module, PyObject *const *args, Py_ssize_t count)
{
    const char *key = NULL;
    long first;

    if (count != 3) {
        PyErr_SetString(PyExc_TypeError, "make_frame() takes first, payload and key");
        return NULL;
    }
    first = PyLong_AsLong(args[0]);
    if (first == -1 && PyErr_Occurred())
        return NULL;
    if (args[2] != Py_None && (key = key_bytes(args[2])) == NULL)
        return NULL;
    return build_frame(first, args[1], key);
}

static PyObject *
kernels_frame_unmasked(PyObject *module, PyObject *message)
{
    long first = PyUnicode_Check(message) ? WHOLE_TEXT : WHOLE_BINARY;

    return build_frame(first, message, NULL);
}

static PyMethodDef methods[] = {
    {"mask", (PyCFunction)(void (*)(void))kernels_mask, METH_FASTCALL,
     "Mask or unmask a piece of a payload."},
    {"mask_into", (PyCFunction)(void (*)(void))kernels_mask_into, METH_FASTCALL,
     "Mask or unmask a piece of a payload, and write it to where it belongs."},
    {"take_messages", (PyCFunction)(void (*)(void))kernels_take_messages, METH_FASTCALL,
     "Take messages out of a buffer while they are complete and in a single frame."},
    {"take_undecoded", (PyCFunction)(void (*)(void))kernels_take_undecoded,
     METH_FASTCALL, "Do the same, and return texts as bytes."},
    {"take_compressed", (PyCFunction)(void (*)(void))kernels_take_compressed,
     METH_FASTCALL, "Take the payload of a compressed message in a single frame."},
    {"make_frame", (PyCFunction)(void (*)(void))kernels_make_frame, METH_FASTCALL,
     "Build a frame."},
    {"frame_unmasked", kernels_frame_unmasked, METH_O, "Frame a message without a mask."},
    {NULL, NULL, 0, NULL},
};

static PyModuleDef_Slot slots[] = {{0, NULL}};

static struct PyModuleDef definition = {
    PyModuleDef_HEAD_INIT,
    .m_name = "_kernels_c",
    .m_doc = "Masking, parsing and building frames in C.",
    .m_size = 0,
    .m_methods = methods,
    .m_slots = slots,
};

PyMODINIT_FUNC
PyInit__kernels_c(void)
{
    return PyModuleDef_Init(&definition);
}
