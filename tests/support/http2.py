"""Both ends of a connection of HTTP/2, as somebody's server or client has it, by h2."""

from __future__ import annotations

from collections import deque
from typing import Any

import anyio
from anyio.abc import ByteStream
from h2 import events
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.settings import SettingCodes

Headers = list[tuple[bytes, bytes]]


class Http2Stream(ByteStream):
    """The data of one stream of HTTP/2, in both directions."""

    def __init__(self, owner: Http2Connection, number: int, headers: Headers) -> None:
        self._owner = owner
        self.number = number
        #: those that the other side sent
        self.headers = headers
        self.received = bytearray()
        self.has_ended = False  # the other side's data
        self.changed = anyio.Event()
        self._is_closed = False

    def change(self) -> None:
        self.changed.set()
        self.changed = anyio.Event()

    async def receive(self, max_bytes: int = 65536) -> bytes:
        while not self.received:
            if self.has_ended:
                raise anyio.EndOfStream
            await self.changed.wait()
        data = bytes(self.received[:max_bytes])
        del self.received[:max_bytes]
        await self._owner.acknowledge(len(data), self.number)
        return data

    async def send(self, item: bytes) -> None:
        while item:
            size = self._owner.room(self.number)
            if size == 0:
                await self.changed.wait()
            else:
                await self._owner.send(self.number, item[:size])
                item = item[size:]

    async def send_eof(self) -> None:
        if not self._is_closed:
            self._is_closed = True
            await self._owner.send(self.number, b"", end=True)

    async def aclose(self) -> None:
        await self.send_eof()


class Http2Connection:
    """A connection of HTTP/2 over a stream.

    :param stream: the stream below
    :param is_client: whether this side opens the streams

    """

    def __init__(self, stream: ByteStream, *, is_client: bool) -> None:
        self._below = stream
        self._h2 = H2Connection(H2Configuration(is_client, header_encoding=None))
        self._streams: dict[int, Http2Stream] = {}
        self._sending = anyio.Lock()
        self._opened: deque[Http2Stream] = deque()
        self._has_opened = anyio.Event()
        self._h2.initiate_connection()
        if not is_client:  # RFC 8441 section 3
            self._h2.update_settings({SettingCodes.ENABLE_CONNECT_PROTOCOL: 1})

    async def run(self) -> None:
        """Read until the other side leaves."""
        await self._flush()
        while True:
            try:
                data = await self._below.receive()
            except anyio.EndOfStream:
                return
            for event in self._h2.receive_data(data):
                self._handle(event)
            await self._flush()

    def _handle(self, event: Any) -> None:
        if isinstance(event, events.RequestReceived | events.ResponseReceived):
            stream = Http2Stream(self, event.stream_id, event.headers)
            self._streams[event.stream_id] = stream
            self._opened.append(stream)
            self._has_opened.set()
        elif isinstance(event, events.DataReceived):
            self._streams[event.stream_id].received += event.data
        elif isinstance(event, events.StreamEnded):
            self._streams[event.stream_id].has_ended = True
        for stream in self._streams.values():
            stream.change()

    async def next_stream(self) -> Http2Stream:
        """Return the next stream whose request, or response, has come."""
        while not self._opened:
            self._has_opened = anyio.Event()
            await self._has_opened.wait()
        return self._opened.popleft()

    async def request(self, headers: Headers) -> Http2Stream:
        """Send a request; return its stream when the response has come."""
        number = self._h2.get_next_available_stream_id()
        self._h2.send_headers(number, headers)
        await self._flush()
        return await self.next_stream()

    async def respond(self, number: int, status_code: int, headers: Headers) -> None:
        """Send the head of a response."""
        status = (b":status", b"%d" % status_code)
        self._h2.send_headers(number, [status, *headers])
        await self._flush()

    def room(self, number: int) -> int:
        """Say how many bytes can be sent now."""
        window = self._h2.local_flow_control_window(number)
        return min(window, self._h2.max_outbound_frame_size)

    async def send(self, number: int, data: bytes, *, end: bool = False) -> None:
        self._h2.send_data(number, data, end_stream=end)
        await self._flush()

    async def acknowledge(self, size: int, number: int) -> None:
        self._h2.acknowledge_received_data(size, number)
        await self._flush()

    async def _flush(self) -> None:
        async with self._sending:
            await self._below.send(self._h2.data_to_send())
