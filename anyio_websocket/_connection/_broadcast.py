"""`broadcast`: one message to many connections, without waiting for any of them.

What comes in are users' connections and a message. What goes to each outbox is a frame,
which is the same object for all of them where that is possible.

Theory of operation
-------------------
Nothing here waits, so a slow peer holds up nobody. What a peer does not take at once
waits in this process, up to a limit, and a peer for which more would wait is slow
(``_queued_messages``). Everything that can be wrong with the arguments is found before
anything is sent. After that, what fails ends its own connection and no other.

The connections are copied first. What a lost connection had received is read at once,
and a function that the application has called for a Ping may change the set then.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, Literal

from anyio.lowlevel import checkpoint

from .._protocol import frame_unmasked
from .._record import record
from .._settings import check, check_flag
from .._transport import send_each
from ._connection import WebSocketConnection
from ._fairness import LIMIT, last_yield
from ._outbox import Outbox
from ._payloads import Buffer, payload_of
from ._queued_messages import direct_transports

BROADCAST_LIMIT: Final = 131_072  # bytes


@record()
class BroadcastReport:
    """What became of a broadcast. Each connection counts once.

    :param sent: connections that the message was sent to, or for which it waits behind
        what was sent before
    :param skipped: connections that do not get it: those that had ended or were found
        lost, and the slow ones unless they are disconnected
    :param disconnected: connections that were ended because they were slow
    :param slow: the slow ones, skipped or disconnected

    """

    sent: int
    skipped: int
    disconnected: int
    slow: tuple[WebSocketConnection, ...]


def broadcast(
    connections: Iterable[WebSocketConnection],
    message: str | Buffer,
    *,
    slow: Literal["skip", "disconnect"] = "skip",
    limit: float = BROADCAST_LIMIT,
    text: bool | None = None,
    compress: bool | None = None,
) -> BroadcastReport:
    """Send a message to many connections, without waiting for any of them.

    This is a plain function. It writes what each peer takes at once, and the rest waits
    in this process. So a peer that does not read delays no other. Messages that a task
    sends to a connection with this and with `~WebSocketConnection.send_message` arrive
    in the order of the calls. It may overtake messages of other tasks that still wait
    in ``send_message()``.

    A peer is slow if something waits for it already, and that and the message are more
    than ``limit`` bytes together. So at most ``limit`` bytes, or one message if that is
    longer, wait for each peer, beside the send buffer of the system's socket. A message
    that waits for many peers is in memory once, unless it is framed for each of them.

    A connection that has ended is skipped. A message that waits is lost if its
    connection is; `~WebSocketConnection.aclose` sends it before the Close. While a
    message is being sent in fragments, it waits until the last of them.

    The frame is made once for all connections of a server that use no compression, and
    once for those that compress alike without context takeover. Clients mask each frame
    (RFC 6455 section 5.3), so for their connections it is made for each.

    :param connections: the connections, for example a set; each time that one is in
        there it is sent the message. Of this thread only
    :param message: the message, of any size; a buffer may be changed afterwards
    :param slow: what to do about a slow peer. ``"skip"`` does not send it this message.
        ``"disconnect"`` ends its connection at once (1006), and frees what waits
    :param limit: bytes that may wait for each peer. It bounds the memory that a peer
        which does not read can take; `math.inf` does not
    :param text: see `~WebSocketConnection.send_message`
    :param compress: ``None`` compresses for connections without context takeover, from
        the ``threshold`` of `PerMessageDeflate` on, and sends it uncompressed to all
        others (RFC 7692 section 6 allows either). ``True`` compresses for all that can,
        with context takeover for each connection. ``False`` compresses for none
    :return: how many got it, and which were slow
    :raises ValueError: if the message cannot be sent, see
        `~WebSocketConnection.send_message`, or an argument has another value; nothing
        is sent then
    :raises TypeError: if something is of the wrong type; nothing is sent then
    :raises RuntimeError: if a connection belongs to another thread; nothing is sent
        then. Call it there: `anyio.from_thread.run_sync`

    """
    sending = _Broadcast(connections, message, slow, limit, text, compress)
    sending.send(0, sending.count)
    return sending.report()


async def broadcast_with_checkpoints(
    connections: Iterable[WebSocketConnection],
    message: str | Buffer,
    *,
    slow: Literal["skip", "disconnect"] = "skip",
    limit: float = BROADCAST_LIMIT,
    text: bool | None = None,
    compress: bool | None = None,
) -> BroadcastReport:
    """Do what `broadcast` does, and let other tasks run after every 100 connections.

    It waits for no peer either. A call of `broadcast` takes some milliseconds for each
    thousand connections, during which no other task runs.

    It goes through the connections as they were when it was called. If it is cancelled,
    those that it has come to get the message, and the others do not. If two tasks call
    it at the same time, some connections may get the one message first, and others the
    other.

    For the parameters and exceptions see `broadcast`.
    """
    sending = _Broadcast(connections, message, slow, limit, text, compress)
    for start in range(0, max(sending.count, 1), LIMIT):
        await checkpoint()
        last_yield().note()
        sending.send(start, start + LIMIT)
    return sending.report()


class _Broadcast:
    """One broadcast; for the parameters see `broadcast`."""

    def __init__(
        self,
        connections: Iterable[WebSocketConnection],
        message: str | Buffer,
        slow: Literal["skip", "disconnect"],
        limit: float,
        text: bool | None,
        compress: bool | None,
    ) -> None:
        if slow not in ("skip", "disconnect"):
            raise ValueError(f'slow must be "skip" or "disconnect", not {slow!r}')
        check("limit", limit, zero=True)
        for name, flag in (("text", text), ("compress", compress)):
            if flag is not None:
                check_flag(name, flag)
        payload = payload_of(message, text)
        self._message = payload
        self._connections, self._outboxes = _checked(connections)
        self._disconnects = slow == "disconnect"
        self._limit = limit
        self._compress = compress
        self._plain = frame_unmasked(payload)
        self._made: dict[object, bytes] = {None: self._plain}  # frames, by their kind
        self._ended = 0
        self._slow: list[WebSocketConnection] = []
        self.count = len(self._connections)

    def send(self, start: int, end: int) -> None:
        """Send the message to some of the connections."""
        connections = self._connections[start:end]
        outboxes = self._outboxes[start:end]
        # First those that need no more than the socket, and nothing else meanwhile:
        # what is done about a lost connection may call functions of the application.
        plain = self._plain
        transports, found, others = direct_transports(outboxes, len(plain))
        for number, sent in send_each(transports, plain):
            if not outboxes[found[number]].was_sent_directly(plain, sent):
                others.append(found[number])
        for index in others:
            self._send(connections[index])

    def _send(self, connection: WebSocketConnection) -> None:
        """Send the message to one connection, or queue it; see `QueuedMessages`."""
        core = connection._core  # pyright: ignore[reportPrivateUsage]
        plain, limit, engine = self._plain, self._limit, core.engine
        send_or_queue = core.outbox.send_or_queue
        if engine.frame_message is frame_unmasked:  # of a server, uncompressed
            is_sent = send_or_queue(bytes, plain, len(plain), limit)
        elif frame := engine.frame_for_many(self._message, self._compress, self._made):
            is_sent = send_or_queue(bytes, frame, len(frame), limit)
            if is_sent:
                engine.count_sent()
        else:
            make = engine.framer(self._compress is True)
            is_sent = send_or_queue(make, self._message, len(plain), limit)
        if is_sent is None:
            self._ended += 1
        elif not is_sent:
            self._slow.append(connection)
            if self._disconnects:
                core.end_slow()

    def report(self) -> BroadcastReport:
        """Say what became of it."""
        slow = len(self._slow)
        disconnected = slow if self._disconnects else 0
        return BroadcastReport(
            sent=self.count - self._ended - slow,
            skipped=self._ended + slow - disconnected,
            disconnected=disconnected,
            slow=tuple(self._slow),
        )


def _checked(
    connections: Iterable[WebSocketConnection],
) -> tuple[list[WebSocketConnection], list[Outbox]]:
    """Copy a user's connections, and return their outboxes as well."""
    if not isinstance(connections, Iterable):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise TypeError(
            "connections must be several connections, such as a set, not a "
            f"{type(connections).__name__}"
        )
    copied = list(connections)
    # One step for all of them, and then the next: so the processor fetches what is
    # inside of one connection while it works on another.
    try:
        cores = [connection._core for connection in copied]  # pyright: ignore[reportPrivateUsage]
    except AttributeError:
        wrong = {type(each) for each in copied} - {WebSocketConnection}
        names = ", ".join(sorted(kind.__name__ for kind in wrong))
        raise TypeError(
            f"connections must be WebSocketConnection objects, not {names}"
        ) from None
    outboxes = [core.outbox for core in cores]
    if {outbox.last_yield for outbox in outboxes} - {last_yield()}:
        raise RuntimeError(
            "broadcast() was called in another thread than that of a connection; "
            "anyio.from_thread.run_sync() calls it there"
        )
    return copied, outboxes
