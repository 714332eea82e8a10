"""The load: the peer of the measured process, with raw frames over blocking sockets.

It uses none of the compared libraries, so no library is measured against itself, and
the load costs the same for all of them.

``python load.py`` is the server for the measured clients. It prints its port. A client
requests ``/SIZE/COUNT``, and for each COUNT messages that it sends the server replies
with COUNT messages of SIZE bytes.
"""

from __future__ import annotations

import json
import os
import select
import socket
import ssl
import struct
import threading
import zlib
from base64 import b64encode
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha1
from time import perf_counter_ns

KEY = b"dGhlIHNhbXBsZSBub25jZQ=="
GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
MASK = b"\x37\xfa\x21\x3d"
BINARY = 0x82
COMPRESSED_TEXT = 0xC1
CLOSE = 0x88
TIMEOUT = 30.0  # seconds of silence after which a server counts as dead


@dataclass(frozen=True)
class Shape:
    """What one round sends: a number of messages of the same size."""

    name: str
    size: int
    count: int = 1
    compressed: bool = False


ECHO = [
    Shape("16 B", 16),
    Shape("125 B x 100", 125, 100),
    Shape("4 KiB x 32", 4096, 32),
    Shape("64 KiB", 2**16),
    Shape("1 MiB", 2**20),
]
DEFLATE = [
    Shape("1 KiB of JSON", 1024, 1, True),
    Shape("1 KiB of JSON x 32", 1024, 32, True),
]


def header(first: int, length: int, masked: int = 0) -> bytes:
    """Return the header of a frame (RFC 6455 section 5.2), without the mask key."""
    if length < 126:
        return struct.pack("!BB", first, masked | length)
    if length < 2**16:
        return struct.pack("!BBH", first, masked | 126, length)
    return struct.pack("!BBQ", first, masked | 127, length)


def masked_frame(first: int, payload: bytes) -> bytes:
    """Return a frame as a client sends it."""
    mask = int.from_bytes((MASK * (len(payload) // 4 + 1))[: len(payload)])
    masked = (int.from_bytes(payload) ^ mask).to_bytes(len(payload))
    return header(first, len(payload), 0x80) + MASK + masked


def payload_of(shape: Shape) -> bytes:
    """Return a message: random bytes, or JSON that compresses well."""
    if not shape.compressed:
        return os.urandom(shape.size)
    rows = [{"id": i, "name": f"row {i}", "ok": i % 3 == 0} for i in range(shape.size)]
    return json.dumps(rows).encode()[: shape.size]


def compressed(payload: bytes) -> bytes:
    """Compress a payload for permessage-deflate (RFC 7692 section 7.2.1)."""
    deflate = zlib.compressobj(wbits=-12)
    return (deflate.compress(payload) + deflate.flush(zlib.Z_SYNC_FLUSH))[:-4]


@dataclass(frozen=True)
class Batch:
    """The bytes of a round.

    :param data: the frames to send
    :param count: the number of messages
    :param reply: bytes of the reply; 0 if they depend on the compressor of the server

    """

    data: bytes
    count: int
    reply: int


class Connection:
    """A client's connection.

    :param port: the port of a server on this machine
    :param context: the context for TLS; ``None`` does not use TLS
    :param session: of a TLS connection before, which is to be resumed
    :param deflate: whether to offer permessage-deflate, and to require it
    :param raw: whether the server only echoes bytes, without a handshake

    """

    def __init__(
        self,
        port: int,
        context: ssl.SSLContext | None = None,
        deflate: bool = False,
        raw: bool = False,
        session: ssl.SSLSession | None = None,
    ) -> None:
        sock = socket.create_connection(("127.0.0.1", port), TIMEOUT)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if context is not None:
            sock = context.wrap_socket(
                sock, server_hostname="127.0.0.1", session=session
            )
        self.socket = sock
        self._is_raw = raw
        self._buffer = bytearray(2**18)
        if not raw:
            self._handshake(port, deflate)

    def _handshake(self, port: int, deflate: bool) -> None:
        # Without context takeover the same frames can be sent many times.
        offer = "permessage-deflate; client_no_context_takeover; client_max_window_bits"
        self.socket.sendall(
            b"GET / HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nUpgrade: websocket\r\n"
            b"Connection: Upgrade\r\nSec-WebSocket-Key: %s\r\n"
            b"Sec-WebSocket-Version: 13\r\n"
            % (port, KEY)
            + (f"Sec-WebSocket-Extensions: {offer}\r\n" if deflate else "").encode()
            + b"\r\n"
        )
        head = b""
        while b"\r\n\r\n" not in head:
            head += self._received(4096)
        assert head.startswith(b"HTTP/1.1 101 "), head
        assert (b"permessage-deflate" in head) is deflate, head

    def _received(self, size: int) -> bytes:
        data = self.socket.recv(size)
        if not data:
            raise ConnectionError("the server has closed the connection")
        return data

    def close(self) -> None:
        """Close the socket, without a closing handshake."""
        self.socket.close()

    def closing_handshake(self) -> ssl.SSLSession | None:
        """Close the connection with a closing handshake.

        :return: the session, if it uses TLS

        """
        self.socket.sendall(masked_frame(CLOSE, struct.pack("!H", 1000)))
        while self.socket.recv(4096):
            pass
        session = getattr(self.socket, "session", None)
        self.socket.close()
        return session

    # -- rounds ----------------------------------------------------------------

    def rounds(self, batch: Batch, seconds: float) -> list[int]:
        """Repeat a round for some seconds.

        :return: the nanoseconds that each round took

        """
        took = []
        end = perf_counter_ns() + int(seconds * 1e9)
        while (start := perf_counter_ns()) < end:
            if batch.reply > 2**17:
                self._exchange(batch.data, batch.reply)
            else:
                self.socket.sendall(batch.data)
                if batch.reply:
                    self.skip(batch.reply)
                else:
                    for _ in self._frames(batch.count):
                        pass
            took.append(perf_counter_ns() - start)
        return took

    def batch(self, shape: Shape) -> Batch:
        """Make the bytes of a round, and check that the server echoes a message."""
        payload = payload_of(shape)
        if shape.compressed:
            frame = masked_frame(COMPRESSED_TEXT, compressed(payload))
            self.socket.sendall(frame)
            (got,) = self._frames(1)
            inflate = zlib.decompressobj(wbits=-15)
            got = inflate.decompress(got + b"\0\0\xff\xff")
            assert got == payload, "the server does not echo"
            return Batch(frame * shape.count, shape.count, 0)
        frame = masked_frame(BINARY, payload)
        expected = frame if self._is_raw else header(BINARY, shape.size) + payload
        self.socket.sendall(frame)
        got = self._exactly(len(expected))
        assert got == expected, "the server does not echo"
        return Batch(frame * shape.count, shape.count, len(expected) * shape.count)

    def skip(self, length: int) -> None:
        """Receive a number of bytes, and check that there are no more."""
        while length > 0:
            received = self.socket.recv_into(self._buffer)
            if not received:
                raise ConnectionError("the server has closed the connection")
            length -= received
        assert length == 0, "the server sent more than it received"

    def _exactly(self, length: int) -> bytes:
        data = b""
        while len(data) < length:
            data += self._received(length - len(data))
        return data

    def _exchange(self, data: bytes, reply: int) -> None:
        """Send and receive at the same time what exceeds the socket buffers."""
        self.socket.setblocking(False)
        view = memoryview(data)
        while reply > 0:
            readable, writable, _ = select.select(
                [self.socket], [self.socket] if view else [], [], TIMEOUT
            )
            if writable:
                view = view[self.socket.send(view) :]
            if readable:
                received = self.socket.recv_into(self._buffer)
                if not received:
                    raise ConnectionError("the server has closed the connection")
                reply -= received
            assert readable or writable, "the server is silent"
        self.socket.settimeout(TIMEOUT)

    def _frames(self, count: int) -> Iterator[bytes]:
        data = b""
        while count:
            while len(data) < 4:
                data += self._received(2**16)
            start, length = 2, data[1]
            if length == 126:
                start, length = 4, int.from_bytes(data[2:4])
            assert length < 2**16
            while len(data) < start + length:
                data += self._received(2**16)
            yield data[start : start + length]
            data = data[start + length :]
            count -= 1
        assert not data, "the server sent more than it received"


def serve() -> None:
    """Serve clients, one thread per client."""
    listener = socket.create_server(("127.0.0.1", 0))
    print(listener.getsockname()[1], flush=True)
    while True:
        sock, _ = listener.accept()
        threading.Thread(target=_serve, args=(sock,), daemon=True).start()


def _serve(sock: socket.socket) -> None:
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    with sock:
        head = b""
        while b"\r\n\r\n" not in head:
            head += sock.recv(4096)
        _, size, count = head.split(b" ", 2)[1].split(b"/")
        lines = dict(
            line.split(b": ", 1) for line in head.split(b"\r\n") if b": " in line
        )
        key = {name.lower(): value for name, value in lines.items()}
        accept = b64encode(sha1(key[b"sec-websocket-key"] + GUID).digest())
        sock.sendall(
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
            b"Connection: Upgrade\r\nSec-WebSocket-Accept: %s\r\n\r\n" % accept
        )
        reply = (header(BINARY, int(size)) + os.urandom(int(size))) * int(count)
        expected = len(masked_frame(BINARY, bytes(int(size)))) * int(count)
        buffer = bytearray(2**18)
        while True:
            remaining = expected
            while remaining > 0:
                received = sock.recv_into(buffer, min(remaining, len(buffer)))
                if not received:
                    return
                remaining -= received
                if remaining == expected - received and buffer[0] == CLOSE:
                    sock.sendall(header(CLOSE, 2) + struct.pack("!H", 1000))
                    return
            sock.sendall(reply)


if __name__ == "__main__":
    serve()
