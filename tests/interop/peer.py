"""What is exchanged with another library, and how it is run beside our event loop.

In: what a library has to offer, as a `PythonPeer` says it. Out: a `Peer`.
"""

from __future__ import annotations

import queue
import random
import ssl
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Generator, Sequence
from contextlib import (
    AbstractAsyncContextManager,
    AbstractContextManager,
    contextmanager,
)
from functools import partial
from itertools import zip_longest
from pathlib import Path
from typing import Any, Final, NamedTuple, Protocol

import anyio
from anyio.from_thread import start_blocking_portal

Message = str | bytes

#: every library that can sends this text in these fragments
FRAGMENTED: Final = "fragments"
FRAGMENTS: Final = ("frag", "men", "ts")

_REPETITIVE: Final = "the same again and " * 1000
_HALF: Final = 2**19  # bytes
#: each is echoed before the next is sent
MESSAGES: Final[tuple[Message, ...]] = (
    "Grüße, 世界 🌍",
    bytes(range(256)),
    "",
    b"",
    FRAGMENTED,
    _REPETITIVE,
    random.Random(0).randbytes(_HALF) + bytes(_HALF),  # 1 MiB
    _REPETITIVE,  # so that a window which was not kept alike on both sides is noticed
)
LIMIT: Final = 2**21  # bytes; some libraries refuse a MiB if they are not told

#: what a client asks of a server: to ping it and to say so, and to close
PING_ME: Final = "ping me"
PONG_SEEN: Final = "pong seen"
CLOSE_ME: Final = "close me"

BY_SERVER: Final = 4002
BY_CLIENT: Final = 4001
REASON: Final = "as agreed: fertig ✓"

PATIENCE: Final = 30  # seconds; for what takes a tenth of one on a machine at rest


def changed(echoes: Sequence[Message]) -> list[int]:
    """List which messages did not come back as they were (a diff would take hours)."""
    pairs = enumerate(zip_longest(MESSAGES, echoes))
    return [number for number, (sent, echo) in pairs if sent != echo]


class Seen(NamedTuple):
    """How one side saw a connection: the code and the reason are the other side's."""

    compressed: bool
    code: int
    reason: str


class Tls(NamedTuple):
    """Contexts, and for who cannot use those the files that they were made from."""

    server: ssl.SSLContext
    client: ssl.SSLContext
    authority: Path
    certificate: Path  # with its key


class Server(NamedTuple):
    """A server of another library that is running."""

    port: int
    #: wait, blocking, for the next connection that ends
    seen: Callable[[], Seen]


class Visit(NamedTuple):
    """What a client of another library got from our server."""

    echoes: list[Message]
    seen: list[Seen]  # of a connection that the server closed, of one that it closed


class Peer(Protocol):
    """Another library; all that it does is done outside of the caller's thread."""

    compresses: bool
    #: the code with which it answers a Close, ``None`` for that of the Close
    answers: int | None

    def serving(self, tls: Tls | None) -> AbstractContextManager[Server]:
        """Run an echo server while the block lasts, with compression if it can."""
        ...

    def visit(self, url: str, tls: Tls | None) -> Visit:
        """Talk to our server, blocking, and offer compression if it can."""
        ...


class Connection(ABC):
    """A connection of a Python library, in the same words for each."""

    compressed: bool

    @abstractmethod
    async def send(self, message: Message) -> None:
        """Send a message; `FRAGMENTED` in `FRAGMENTS` where that is possible."""

    @abstractmethod
    async def receive(self) -> Message | None:
        """Return the next message, ``None`` when the connection is closed."""

    @abstractmethod
    async def ping(self) -> None:
        """Send a Ping, and wait for its Pong where that is possible."""

    @abstractmethod
    async def close(self, code: int, reason: str) -> None:
        """Close the connection with a closing handshake."""

    @abstractmethod
    def closed(self) -> tuple[int, str]:
        """Return code and reason of the Close that came from the other side."""

    def seen(self) -> Seen:
        return Seen(self.compressed, *self.closed())


Handle = Callable[[Connection], Awaitable[None]]


class PythonPeer(ABC):
    """A library that runs on an event loop, which gets a thread of its own."""

    backend: str
    compresses = True
    answers: int | None = None

    @abstractmethod
    def listen(
        self, tls: ssl.SSLContext | None, handle: Handle
    ) -> AbstractAsyncContextManager[int]:
        """Serve on a free port, which the block is told."""

    @abstractmethod
    def connect(
        self, url: str, tls: ssl.SSLContext | None
    ) -> AbstractAsyncContextManager[Connection]:
        """Connect to our server."""

    @contextmanager
    def serving(self, tls: Tls | None) -> Generator[Server]:
        seen: queue.SimpleQueue[Seen] = queue.SimpleQueue()

        async def handle(connection: Connection) -> None:
            await _echo(connection)
            seen.put(connection.seen())

        listening = self.listen(tls and tls.server, handle)
        with start_blocking_portal(self.backend) as portal:
            with portal.wrap_async_context_manager(listening) as port:
                yield Server(port, partial(seen.get, timeout=PATIENCE))

    def visit(self, url: str, tls: Tls | None) -> Visit:
        connect = partial(self.connect, url, tls and tls.client)
        return anyio.run(_visit, connect, backend=self.backend)


async def _echo(connection: Connection) -> None:
    while (message := await connection.receive()) is not None:
        if message == PING_ME:
            await connection.ping()
            await connection.send(PONG_SEEN)
        elif message == CLOSE_ME:
            await connection.close(BY_SERVER, REASON)
        else:
            await connection.send(message)


async def _visit(
    connect: Callable[[], AbstractAsyncContextManager[Connection]],
) -> Visit:
    echoes: list[Any] = []
    with anyio.fail_after(PATIENCE):
        async with connect() as connection:
            await connection.ping()
            for message in MESSAGES:
                await connection.send(message)
                echoes.append(await connection.receive())
            await connection.send(PING_ME)
            assert await connection.receive() == PONG_SEEN
            await connection.send(CLOSE_ME)
            assert await connection.receive() is None
            closed_by_server = connection.seen()
        async with connect() as connection:
            await connection.close(BY_CLIENT, REASON)
            closed_by_client = connection.seen()
    return Visit(echoes, [closed_by_server, closed_by_client])
