/* The least that an echo server can do: epoll, recv, unmask, send.

   It is the limit for the servers of the comparison, and no server for anybody. It
   checks nothing but that a frame is masked and complete, and it knows one key of a
   handshake, that of load.py. It prints its port and serves until it is killed. */

#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define BACKLOG 1024
#define BUFFER 65550 /* bytes: a message of 64 KiB, and the header of its frame */
#define CLOSE 8

static const char response[] =
    "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
    "Connection: Upgrade\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";

typedef struct {
    int fd, is_open;
    unsigned char *buffer;
    size_t room, size;
} Connection;

static void
fail(const char *what)
{
    perror(what);
    exit(1);
}

static int
send_all(int fd, const unsigned char *data, size_t size)
{
    while (size > 0) {
        ssize_t sent = send(fd, data, size, MSG_NOSIGNAL);
        if (sent >= 0) {
            data += sent;
            size -= (size_t)sent;
        }
        else if (errno == EAGAIN) {
            struct pollfd wait = {fd, POLLOUT, 0};
            poll(&wait, 1, -1);
        }
        else {
            return -1;
        }
    }
    return 0;
}

static void
unmask(unsigned char *payload, size_t size, const unsigned char *key)
{
    uint64_t mask, word;
    size_t i;

    memcpy(&mask, key, 4);
    memcpy((char *)&mask + 4, key, 4);
    for (i = 0; i + 8 <= size; i += 8) {
        memcpy(&word, payload + i, 8);
        word ^= mask;
        memcpy(payload + i, &word, 8);
    }
    for (; i < size; i++)
        payload[i] ^= key[i % 4];
}

/* Return the bytes of the frame at `in`, its header included, and the length of its
   payload; 0 if the header is incomplete. */
static size_t
frame_size(const unsigned char *in, size_t size, size_t *length)
{
    size_t more, i;

    if (size < 2)
        return 0;
    *length = in[1] & 0x7F;
    more = *length < 126 ? 0 : *length == 126 ? 2 : 8;
    if (size < 2 + more)
        return 0;
    if (more)
        for (i = 0, *length = 0; i < more; i++)
            *length = *length << 8 | in[2 + i];
    return 2 + more + 4 + *length;
}

/* Echo the frames that are complete, all with one call. Return -1 at the end. */
static int
echo(Connection *connection)
{
    unsigned char *buffer = connection->buffer, *out = NULL, *start = NULL, *payload;
    size_t at = 0, whole = 0, length, head;
    int is_last = 0;

    while (!is_last) {
        whole = frame_size(buffer + at, connection->size - at, &length);
        if (!whole || connection->size - at < whole)
            break;
        if (!(buffer[at + 1] & 0x80))
            return -1;
        is_last = (buffer[at] & 0x0F) == CLOSE;
        head = whole - 4 - length;
        payload = buffer + at + head + 4;
        unmask(payload, length, payload - 4);
        buffer[at + 1] &= 0x7F;
        memmove(buffer + at + 4, buffer + at, head);
        if (out == NULL)
            start = out = buffer + at + 4; /* the first frame stays where it is */
        else
            memmove(out, buffer + at + 4, head + length);
        out += head + length;
        at += whole;
        whole = 0;
    }
    if (out != NULL && send_all(connection->fd, start, (size_t)(out - start)) < 0)
        return -1;
    connection->size -= at;
    memmove(buffer, buffer + at, connection->size);
    if (whole > connection->room) {
        connection->room = whole;
        connection->buffer = realloc(buffer, whole);
        if (connection->buffer == NULL)
            fail("realloc");
    }
    return is_last ? -1 : 0;
}

static int
upgrade(Connection *connection)
{
    unsigned char *end =
        memmem(connection->buffer, connection->size, "\r\n\r\n", 4);

    if (end == NULL)
        return 0;
    connection->is_open = 1;
    connection->size -= (size_t)(end + 4 - connection->buffer);
    memmove(connection->buffer, end + 4, connection->size);
    return send_all(connection->fd, (const unsigned char *)response,
                    sizeof(response) - 1);
}

static void
on_readable(Connection *connection)
{
    ssize_t received = recv(connection->fd, connection->buffer + connection->size,
                            connection->room - connection->size, 0);

    if (received < 0 && errno == EAGAIN)
        return;
    if (received > 0) {
        connection->size += (size_t)received;
        if ((connection->is_open ? echo(connection) : upgrade(connection)) == 0)
            return;
    }
    close(connection->fd);
    free(connection->buffer);
    free(connection);
}

static void
on_connection(int listener, int epoll)
{
    int one = 1;
    struct epoll_event event = {.events = EPOLLIN};
    Connection *connection = calloc(1, sizeof(Connection));

    if (connection == NULL || (connection->buffer = malloc(BUFFER)) == NULL)
        fail("malloc");
    connection->room = BUFFER;
    connection->fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK);
    if (connection->fd < 0)
        fail("accept4");
    setsockopt(connection->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    event.data.ptr = connection;
    if (epoll_ctl(epoll, EPOLL_CTL_ADD, connection->fd, &event) < 0)
        fail("epoll_ctl");
}

int
main(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof(address);
    struct epoll_event event = {.events = EPOLLIN}, events[64];
    int listener = socket(AF_INET, SOCK_STREAM, 0), epoll = epoll_create1(0), count, i;

    if (listener < 0 || epoll < 0 ||
        bind(listener, (struct sockaddr *)&address, size) < 0 ||
        listen(listener, BACKLOG) < 0 ||
        getsockname(listener, (struct sockaddr *)&address, &size) < 0 ||
        epoll_ctl(epoll, EPOLL_CTL_ADD, listener, &event) < 0)
        fail("listener");
    printf("%d\n", ntohs(address.sin_port));
    fflush(stdout);
    while (1) {
        count = epoll_wait(epoll, events, 64, -1);
        for (i = 0; i < count; i++)
            if (events[i].data.ptr == NULL)
                on_connection(listener, epoll);
            else
                on_readable(events[i].data.ptr);
    }
}
