/* The parts of a frame (RFC 6455 section 5.2) that more than one module in C builds. */

#ifndef ANYIO_WEBSOCKET_FRAME_H
#define ANYIO_WEBSOCKET_FRAME_H

#include <stdint.h>
#include <string.h>

#define WHOLE_TEXT 0x81
#define WHOLE_BINARY 0x82
#define MASKED 0x80
#define KEY_SIZE 4

/* RFC 6455 section 5.3. Eight bytes at a time, which compilers can vectorize. */
static void
apply_mask(char *out, const char *in, Py_ssize_t size, const char *key)
{
    char twice[8];
    uint64_t mask, word;
    Py_ssize_t i;

    memcpy(twice, key, KEY_SIZE);
    memcpy(twice + KEY_SIZE, key, KEY_SIZE);
    memcpy(&mask, twice, 8);
    for (i = 0; i + 8 <= size; i += 8) {
        memcpy(&word, in + i, 8);
        word ^= mask;
        memcpy(out + i, &word, 8);
    }
    for (; i < size; i++)
        out[i] = in[i] ^ key[i % KEY_SIZE];
}

/* Return how many bytes the header of a frame takes. */
static Py_ssize_t
header_size(Py_ssize_t length, int is_masked)
{
    return 2 + (length < 126 ? 0 : length < 65536 ? 2 : 8) + (is_masked ? KEY_SIZE : 0);
}

/* Write a frame to `out`, which has room for it. NULL as `key` means no mask. */
static void
write_frame(char *out, int first, const char *payload, Py_ssize_t length,
            const char *key)
{
    int i, size = length < 126 ? 0 : length < 65536 ? 2 : 8;

    *out++ = (char)first;
    *out++ = (char)((key ? MASKED : 0) | (size == 0 ? length : size == 2 ? 126 : 127));
    for (i = size; i-- > 0;)
        *out++ = (char)((uint64_t)length >> 8 * i);
    if (key) {
        memcpy(out, key, KEY_SIZE);
        apply_mask(out + KEY_SIZE, payload, length, key);
    }
    else {
        memcpy(out, payload, (size_t)length);
    }
}

#endif
