"""What a connection asks of the network, and the one exception for its failures.

In: nothing. Out: ``Transport``, which sockets and streams are adapted to.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any, Protocol

from .._endpoint import Endpoint


class TransportLost(Exception):
    """The stream broke, or was closed under us; ``__cause__`` says how."""


class Transport(Protocol):
    """What a connection needs of the network.

    One task at a time may receive, and one may send. Everything raises `TransportLost`
    for any failure of the stream, and coroutines nothing else but cancellation.
    """

    #: whether bytes travel over TLS, as far as the stream tells
    is_ssl: bool
    #: whether what a cancelled `flush` left is still sent by the next one; where not,
    #: nothing sent makes sense any more after it
    survives_cancel: bool

    @property
    def peer_active(self) -> bool:
        """Whether the peer was heard since somebody cleared this.

        Set by who is given what the peer said, and by the transport where nobody is.
        """
        ...

    @peer_active.setter
    def peer_active(self, peer_active: bool) -> None: ...

    @property
    def local(self) -> Endpoint | str:
        """This side's address, or a text where there is none."""
        ...

    @property
    def remote(self) -> Endpoint | str:
        """The peer's address, or a text where there is none."""
        ...

    def receive(self, max_bytes: int | None) -> Coroutine[Any, Any, bytes | None]:
        """Return some bytes, ``b""`` at the end, ``None`` if interrupted.

        Cancelling loses none.
        """
        ...

    def interrupt(self) -> None:
        """Make ``receive()`` return, if a task is in there."""
        ...

    def write(self, data: bytes, payload: bytes = b"") -> bool:
        """Send what can be sent without waiting; say whether that is all.

        If not, the rest is kept for ``flush()``.

        :param data: the bytes
        :param payload: more of them, which need not be copied behind the others
        """
        ...

    @property
    def unsent(self) -> bytes | memoryview:
        """What waits for ``flush()``."""
        ...

    async def flush(self) -> None:
        """Send the rest, waiting for the peer to take it."""
        ...

    def call_soon(self, callback: Callable[[], None]) -> bool:
        """Call in the next pass of the scheduler; ``False`` if there is no way to."""
        ...

    async def send_eof(self) -> bool:
        """Half-close if the stream can; say whether it did."""
        ...

    async def aclose(self) -> None:
        """Close the stream its own way."""
        ...

    async def abort(self) -> None:
        """Close the stream without waiting for anybody; never raises."""
        ...


async def send(transport: Transport, data: bytes) -> None:
    """Send all of some bytes."""
    if not transport.write(data):
        await transport.flush()
