"""What a connection asks of the network, and the one exception for its failures.

There are two kinds of transport: over a socket (`_sockets`, and `_tls` on top of it),
and over a stream of anyio or trio (`_streams`).
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from contextlib import AbstractContextManager
from typing import Any, Final, Protocol

from .._endpoint import Endpoint
from ._attributes import Attributes

# Seconds. A connection that no task reads is looked at after so long at most, where the
# event loop does not tell at once that something has come.
LOOK_INTERVAL: Final = 0.01


class TransportLost(Exception):
    """The transport broke, or was closed meanwhile; ``__cause__`` says how."""


class Watcher(Protocol):
    """Reads what has come while no task reads. No method ever raises."""

    def on_readable(self) -> bool:
        """Receive without waiting; no task is in `Transport.receive`.

        :return: whether to go on; if not, `Transport.watch` has to be called again
        """
        ...

    def on_unwatched(self) -> None:
        """Do without these calls: the event loop is about to end."""
        ...


class Transport(Protocol):
    """What a connection needs of the network.

    One task at a time may receive, and one may send. A method that fails because of
    the network raises `TransportLost`. `receive_now` may only be called if
    ``survives_cancel``.
    """

    #: whether bytes travel over TLS, as far as the stream says
    is_ssl: bool
    #: whether the next `flush` sends what a cancelled one did not. If not, there is no
    #: way to know how much of it was sent, and nothing may be sent after it
    survives_cancel: bool

    @property
    def peer_active(self) -> bool:
        """Whether there was a sign of life from the peer since this was cleared.

        The task that receives sets it with each read. The transport sets it for signs
        that this task does not see: bytes of an incomplete TLS record, and bytes that
        the peer takes of a large write.
        """
        ...

    @peer_active.setter
    def peer_active(self, peer_active: bool) -> None: ...

    @property
    def local(self) -> Endpoint | str:
        """This side's address, or a text if there is none."""
        ...

    @property
    def remote(self) -> Endpoint | str:
        """The peer's address, or a text if there is none."""
        ...

    @property
    def extra_attributes(self) -> Attributes:
        """What is known of the transport, by anyio's typed attributes."""
        ...

    def receive(self, max_bytes: int | None) -> Coroutine[Any, Any, bytes | None]:
        """Return some bytes, ``b""`` at the end, ``None`` after `interrupt`.

        If it is cancelled, no bytes are lost: the next call returns them.

        :param max_bytes: the largest number of bytes to return; ``None`` lets the
            transport choose

        """
        ...

    def receive_now(self, max_bytes: int) -> bytes | None:
        """Return what can be received without waiting, even if a task is in `receive`.

        Only if ``survives_cancel``: streams have no such call.

        :return: ``None`` if there is nothing now, ``b""`` at the end

        """
        ...

    def receive_into(self, place: memoryview) -> int:
        """Receive what has come, as far as there is place for it, without waiting.

        No task may be in `receive`.

        :return: how many bytes came; 0 also at the end, which `receive` tells, and
            always if the transport cannot do without a copy

        """
        ...

    def watch(self, watcher: Watcher) -> bool:
        """Call back when there is something to receive and no task is in `receive`.

        :return: ``False`` if the transport cannot, and so will not call

        """
        ...

    def look_soon(self) -> None:
        """Call the watcher within `LOOK_INTERVAL`, even if nothing comes."""
        ...

    def has_left(self, seconds: float | None) -> bool:
        """Say whether the peer has left, as far as that is known without reading.

        :param seconds: for how long the peer's machine may have acknowledged nothing;
            ``None`` if it is not to be judged

        """
        ...

    def interrupt(self) -> None:
        """Make ``receive()`` return ``None`` if a task is in there."""
        ...

    def write(self, data: bytes, payload: bytes = b"") -> bool:
        """Send as much as can be sent without waiting.

        :param data: the bytes to send
        :param payload: bytes to send after them; passed separately so that a large
            payload is not copied
        :return: whether everything was sent; if not, `flush` sends the rest

        """
        ...

    @property
    def unsent(self) -> bytes | memoryview:
        """What `write` could not send, and `flush` will."""
        ...

    def unsent_bytes(self) -> int:
        """Return how many bytes are not sent yet, those in `flush` included."""
        ...

    async def flush(self) -> None:
        """Send what is unsent, waiting for the peer to take it."""
        ...

    def progress(self) -> object:
        """Return something that changes whenever the peer takes bytes.

        :return: ``None`` if nothing waits to be sent

        """
        ...

    def call_soon(self, callback: Callable[[], None]) -> bool:
        """Call back in the scheduler's next pass.

        :return: ``False`` if there is no way to, and so no call

        """
        ...

    async def send_eof(self) -> bool:
        """Half-close if the transport can.

        :return: whether it did

        """
        ...

    def linger(self, seconds: float) -> AbstractContextManager[object]:
        """Return a block for the end of the stream, which takes so long at most.

        In it, the stream is half-closed, received from and closed. When the time is
        over, the block is cancelled, or ``receive()`` returns ``None``.
        """
        ...

    async def aclose(self) -> None:
        """Close the transport in its normal way."""
        ...

    async def abort(self) -> None:
        """Close the transport without waiting for the peer; never raises."""
        ...


async def send(transport: Transport, data: bytes) -> None:
    """Send all of some bytes, waiting for the peer to take them if necessary."""
    if not transport.write(data):
        await transport.flush()
