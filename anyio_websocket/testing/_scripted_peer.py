"""A peer that does what a test says, byte by byte, and checks what it is sent.

In: a stream to the connection under test. Out: frames that were expected, or an
`AssertionError` that says what was expected and what came.
"""

from __future__ import annotations

import math
from collections import deque

from anyio import EndOfStream, move_on_after
from anyio.abc import AsyncResource, ByteStream

from ._frames import (
    SHOWN,
    Frame,
    Opcode,
    close_payload,
    frame_bytes,
    take_frame,
    written_out,
)
from ._handshakes import handshake_request, handshake_response

_MASK = b"\x05\x06\x07\x08"
_REMEMBERED = 5  # frames that a failure tells of


class ScriptedPeer(AsyncResource):
    """One end of a WebSocket by hand, for what no well-behaved library does.

    It knows frames, but no protocol: it answers nothing by itself, and sends what it is
    told, also what is forbidden. What ``expect_...`` does not find is an
    `AssertionError`.

    ``async with`` closes the stream in the end.

    :param stream: the stream, such as one end of `memory_stream_pair`, or that of
        `InMemoryClient.stream`
    :param is_client: whether it plays the client, which masks its frames and sends the
        request; default ``False``, it plays the server
    :param timeout: seconds that ``expect_...`` wait at most; default 10. ``None`` sets
        no limit. What is not called ``expect_...`` waits as long as it takes

    """

    def __init__(
        self,
        stream: ByteStream,
        *,
        is_client: bool = False,
        timeout: float | None = 10,
    ) -> None:
        #: the stream
        self.stream: ByteStream = stream
        #: whether it plays the client
        self.is_client: bool = is_client
        #: bytes that were received, and that no method has returned yet
        self.buffer: bytearray = bytearray()
        self._timeout = timeout
        self._last: Frame | None = None
        self._before: deque[Frame] = deque(maxlen=_REMEMBERED)

    def __repr__(self) -> str:
        role = "client" if self.is_client else "server"
        return f"<{type(self).__name__} as {role}, {len(self.buffer)} bytes unread>"

    # -- sending ---------------------------------------------------------------

    async def send_bytes(self, data: bytes) -> None:
        """Send bytes as they are."""
        await self.stream.send(data)

    async def send_frame(
        self,
        opcode: int,
        payload: bytes | str = b"",
        *,
        fin: bool = True,
        rsv: int = 0,
        mask: bytes | None = None,
    ) -> None:
        """Send a frame; the arguments are those of `frame`."""
        await self.stream.send(self.frame(opcode, payload, fin=fin, rsv=rsv, mask=mask))

    async def send_close(self, code: int, reason: str = "") -> None:
        """Send a Close with a code, whichever it is."""
        await self.send_frame(Opcode.CLOSE, close_payload(code, reason))

    def frame(
        self,
        opcode: int,
        payload: bytes | str = b"",
        *,
        fin: bool = True,
        rsv: int = 0,
        mask: bytes | None = None,
    ) -> bytes:
        """Build a frame as this side sends them, to send several in one write.

        :param opcode: an `Opcode`, or another number below 16
        :param payload: the payload; a ``str`` is encoded as UTF-8
        :param fin: whether it is the last frame of its message
        :param rsv: the three reserved bits as a number; 4 is RSV1
        :param mask: the mask key, four bytes; ``b""`` does not mask; ``None`` masks if
            this is the client, as the protocol wants it

        """
        if mask is None and self.is_client:
            mask = _MASK
        return frame_bytes(opcode, payload, fin=fin, rsv=rsv, mask=mask or None)

    async def half_close(self) -> None:
        """Say that nothing more comes; what the other side sends can still be read."""
        await self.stream.send_eof()

    async def aclose(self) -> None:
        """Close the stream."""
        await self.stream.aclose()

    # -- receiving -------------------------------------------------------------

    async def receive_frame(self) -> Frame:
        """Receive the next frame, whatever it is.

        :raises anyio.EndOfStream: if the stream ends before it is complete

        """
        if self._last is not None:
            self._before.append(self._last)
            self._last = None
        while (frame := take_frame(self.buffer)) is None:
            self.buffer += await self.stream.receive()
        self._last = frame
        return frame

    async def receive_head(self) -> bytes:
        """Receive the head of a request or a response, up to its empty line.

        :raises anyio.EndOfStream: if the stream ends before it is complete

        """
        while b"\r\n\r\n" not in self.buffer:
            self.buffer += await self.stream.receive()
        head, _, rest = bytes(self.buffer).partition(b"\r\n\r\n")
        self.buffer[:] = rest
        return head + b"\r\n\r\n"

    async def receive_all(self) -> bytes:
        """Receive what comes until the end of the stream."""
        while True:
            try:
                self.buffer += await self.stream.receive()
            except EndOfStream:
                return bytes(self.buffer)

    async def receive_frames(self) -> list[Frame]:
        """Receive the frames that come until the end of the stream.

        :raises AssertionError: if it ends within a frame

        """
        rest = bytearray(await self.receive_all())
        frames: list[Frame] = []
        while (frame := take_frame(rest)) is not None:
            frames.append(frame)
        if rest:
            raise AssertionError(f"the stream ended within a frame: {_hex(rest)}")
        return frames

    # -- expecting -------------------------------------------------------------

    async def expect_frame(
        self,
        opcode: int,
        payload: bytes | str | None = None,
        *,
        fin: bool = True,
        rsv: int = 0,
    ) -> Frame:
        """Receive the next frame, which must be this one.

        :param opcode: an `Opcode`, or another number below 16
        :param payload: what it must contain; ``None``, anything
        :param fin: whether it must be the last frame of its message
        :param rsv: the three reserved bits as a number; 4 is RSV1, which says
            "compressed"
        :raises AssertionError: if another frame comes, if none comes within
            ``timeout``, or if the stream ends or breaks

        """
        if isinstance(payload, str):
            payload = payload.encode()
        text = written_out(opcode, payload, fin=fin, rsv=rsv)
        frame = await self._next(text)
        if payload is None:
            payload = frame.payload
        if frame != (opcode, payload, fin, rsv):
            difference = _difference(payload, frame.payload)
            raise self._failure(text, f"this came: {frame}{difference}")
        return frame

    async def expect_close(
        self, code: int | None = None, reason: str | None = None
    ) -> Frame:
        """Receive the next frame, which must be a Close.

        :param code: the code that it must have; ``None``, any or none
        :param reason: the text that it must have; ``None``, any or none
        :raises AssertionError: as with `expect_frame`

        """
        text = "Close"
        if code is not None:
            text += f" {code}"
        if reason is not None:
            text += f" {reason!r}"
        frame = await self._next(text)
        is_right = (
            frame.opcode == Opcode.CLOSE
            and frame.fin
            and frame.rsv == 0
            and code in (None, int.from_bytes(frame.payload[:2]))
            and reason in (None, frame.payload[2:].decode(errors="replace"))
        )
        if not is_right:
            raise self._failure(text, f"this came: {frame}")
        return frame

    async def expect_end(self) -> None:
        """Wait for the end of the stream, before which nothing more may come.

        :raises AssertionError: if a frame comes, if there is no end within
            ``timeout``, or if the stream breaks

        """
        text = "the end of the stream"
        frame = await self._within_timeout(text)
        if frame is not None:
            raise self._failure(text, f"this came: {frame}")
        if self.buffer:
            raise self._failure(text, f"it ended within a frame: {_hex(self.buffer)}")

    # -- the handshake ---------------------------------------------------------

    async def handshake(self, *lines: bytes, path: str = "/") -> bytes:
        """Do this side's part of the handshake (RFC 6455 section 4).

        `handshake_request` and `handshake_response` make what is sent, and they can
        make it wrong: then send it by `send_bytes`.

        :param lines: headers to send besides, such as
            ``b"Sec-WebSocket-Protocol: chat"``
        :param path: what the client requests, with the query if there is one
        :return: the head that the other side sent
        :raises AssertionError: if this is the client, and the server rejects it

        """
        if not self.is_client:
            request = await self.receive_head()
            await self.stream.send(handshake_response(request, *lines))
            return request
        line = f"GET {path} HTTP/1.1".encode("ascii")
        await self.stream.send(handshake_request(*lines, line=line))
        response = await self.receive_head()
        if not response.startswith(b"HTTP/1.1 101 "):
            head = response.decode("latin-1").strip().replace("\r\n", "\n  ")
            raise AssertionError(
                f"expected a response with status 101, but this came:\n  {head}"
            )
        return response

    # -- how it fails ----------------------------------------------------------

    async def _next(self, text: str) -> Frame:
        frame = await self._within_timeout(text)
        if frame is None:
            rest = f" within a frame: {_hex(self.buffer)}" if self.buffer else ""
            raise self._failure(text, f"the stream ended{rest}")
        return frame

    async def _within_timeout(self, text: str) -> Frame | None:
        """Receive a frame; ``None`` if the stream ends."""
        seconds = math.inf if self._timeout is None else self._timeout
        with move_on_after(seconds):
            try:
                return await self.receive_frame()
            except EndOfStream:
                return None
            except Exception as exc:
                raise self._failure(text, f"the stream broke: {exc!r}") from exc
        rest = f" but a part: {_hex(self.buffer)}" if self.buffer else ""
        raise self._failure(text, f"nothing came within {seconds:g} seconds{rest}")

    def _failure(self, expected: str, came: str) -> AssertionError:
        text = f"expected {expected}, but {came}"
        if self._before:
            text += f"\nreceived before: {'; '.join(map(str, self._before))}"
        return AssertionError(text)


def _difference(one: bytes, other: bytes) -> str:
    """Say where long payloads differ, which otherwise might look the same."""
    if one == other or max(len(one), len(other)) <= SHOWN:
        return ""
    pairs = enumerate(zip(one, other, strict=False))
    same = next((i for i, (a, b) in pairs if a != b), min(len(one), len(other)))
    return (
        f"\nof {len(one)} bytes that were expected and {len(other)} that came, the "
        f"first {same} are the same"
    )


def _hex(data: bytes | bytearray) -> str:
    shown = data[:32].hex(" ")
    return shown if len(data) <= 32 else f"{shown}... ({len(data)} bytes)"
