"""Messages that are sent without waiting: written at once, or else queued.

What comes in are the messages of broadcasts, whose caller waits for no peer. They go to
the transport, at once or after what goes before them.

Theory of operation
-------------------
Nearly always nothing waits for the peer, and the message is written. Otherwise it waits
in a queue, up to the limit that the caller sets:

- while earlier bytes are unsent, or a task holds the lock: whoever gets the lock next
  writes the queue first, and what it came for after that. When the lock is released and
  nobody waits for it, the queue is written at once. So messages of one task keep their
  order, whichever way they are sent. A task that waits for the lock may be overtaken;
- while a message is being sent in fragments: until its last one (RFC 6455 section 5.4).

A task that sends writes the queue once and waits no longer for it than for its own
message. Else broadcasts that come as fast as the peer reads would keep it for ever.

A frame that other connections are sent too is queued as it is, so that it is in memory
once. Any other is made when it is written, as everywhere: a compressor may not see a
message before those that go out before it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any, TypeVar

from .._transport import SocketTransport, Transport, TransportLost
from ._background import BackgroundTask
from ._close_state import CloseState
from ._turns import Turns

_T = TypeVar("_T")


class QueuedMessages(Turns, ABC):
    """The part of `Outbox` that sends without waiting.

    :param transport: where the bytes go
    :param state: says whether anything may still be sent
    :param background: runs the jobs that write what no other task writes

    """

    __slots__ = (
        "_background",
        "_queue",
        "_queue_size",
        "_state",
        "has_job",
        "mid_message",
    )
    bytes_sent: int  # of `Pending`, said again for pyright's --verifytypes

    def __init__(
        self, transport: Transport, state: CloseState, background: BackgroundTask
    ) -> None:
        super().__init__(transport)
        self._state = state
        self._background = background
        #: whether a job of the background task will flush
        self.has_job: bool = False
        #: the transport, if a frame needs nothing but a header before it is sent there;
        #: set by `ConnectionCore`, and removed when the connection ends
        self.direct: SocketTransport | None = None
        #: the same of a client, with the mask keys that are to be used
        self.masked: tuple[SocketTransport, Iterator[bytes]] | None = None
        # A list while there is something: an empty one takes 56 bytes.
        self._queue: list[tuple[Callable[[Any], bytes], Any]] | tuple[()] = ()
        self._queue_size = 0  # bytes, without headers
        #: whether fragments were sent of a message, and its last one was not; set by
        #: `SentFragments`
        self.mid_message: bool = False

    def send_or_queue(
        self, frame: Callable[[_T], bytes], payload: _T, size: int, limit: float
    ) -> bool | None:
        """Send a message without waiting.

        :param frame: makes the frame, when it can be written
        :param payload: what goes into it
        :param size: its bytes
        :param limit: bytes that may wait for the peer, with this message, if something
            waits already
        :return: ``False`` if more would wait. ``None`` if the connection has ended, or
            was found lost

        """
        transport = self._transport
        if self._state.reason is not None:
            return None
        if (
            transport.unsent
            or (self._lock is not None and self._lock.locked())
            or self.mid_message
        ):
            waiting = self.unsent_bytes()
            if waiting and waiting + size > limit:
                return False
            self._queue = self._queue or []
            self._queue.append((frame, payload))
            self._queue_size += size
            if not self.mid_message:
                self._flush_in_background()
            return True
        try:
            is_written = self._write(frame(payload))
        except Exception as exc:
            self._not_written(exc)
            return None
        if not is_written:
            self._flush_in_background()
        return True

    def was_sent_directly(self, data: bytes, sent: int) -> bool:
        """Take note that `send_each` could not send all; never raises.

        :param data: the frame
        :param sent: bytes
        :return: ``False`` if nothing was sent: the socket is full, or broken

        """
        if not sent:
            self.bytes_sent -= len(data)
            return False
        assert self.direct is not None
        self.direct.keep_rest(data, sent)
        self._flush_in_background()
        return True

    def unsent_bytes(self) -> int:
        return super().unsent_bytes() + self._queue_size

    def end_message(self) -> None:
        """Go on after the last fragment of a message."""
        self.mid_message = False
        self._write_queue_if_free()

    def _write_queue(self) -> None:
        """Write the queue, unless a message is sent in fragments."""
        if self._queue and not self.mid_message:
            queue = self._queue
            self.drop_queue()
            self._write(b"".join([frame(payload) for frame, payload in queue]))

    def _write_queue_if_free(self) -> None:
        """Write the queue if nothing goes before it; never raises.

        What goes before it is followed by another call of this, or by a job.
        """
        if (
            self._queue
            and not (self._is_locked() or self._transport.unsent)
            and self._state.reason is None
        ):
            try:
                self._write_queue()
            except Exception as exc:
                self._not_written(exc)
        if self._transport.unsent:
            self._flush_in_background()

    def _write_with_close(self) -> bool:
        if self._close:  # nothing may follow it, nor go before the last fragment
            self._write_queue()
            self.drop_queue()
        return super()._write_with_close()

    def drop_queue(self) -> None:
        """Forget the queue."""
        self._queue = ()
        self._queue_size = 0

    def _not_written(self, error: Exception) -> None:
        """End this connection, and no other, because a message cannot be written."""
        try:
            if not isinstance(error, TransportLost):
                raise error
            self._state.write_failed(error.__cause__)
        except Exception as exc:  # memory is short, an extension raised, a bug
            self._state.sending_failed(exc)
            self._background.start_soon(
                partial(self._state.fail, exc), self._state.fail
            )

    @abstractmethod
    def _flush_in_background(self) -> None:
        """Have a job write what is pending, unless there is one."""
        ...


def direct_transports(
    outboxes: Sequence[QueuedMessages], size: int
) -> tuple[list[SocketTransport], list[int], list[int]]:
    """Find the connections for which a frame needs nothing but a call of the socket.

    Few objects are looked at: those of thousands of connections are not in the
    processor's cache, and fetching one takes as long as ten steps of Python. Bytes are
    unsent only while a task has the lock, or there is a job.

    :param size: bytes of the frame, which are counted as sent
    :return: the transports, the indexes of their outboxes, and those of the others
    """
    transports: list[SocketTransport] = []
    found: list[int] = []
    others: list[int] = []
    for index, outbox in enumerate(outboxes):
        if (
            (direct := outbox.direct) is None
            or outbox.has_job
            or outbox._batch_size  # pyright: ignore[reportPrivateUsage]
            or outbox._turn is not None  # pyright: ignore[reportPrivateUsage]
            or (
                (lock := outbox._lock) is not None  # pyright: ignore[reportPrivateUsage]
                and lock.locked()
            )
        ):
            others.append(index)
        else:
            transports.append(direct)
            found.append(index)
            outbox.bytes_sent += size
    return transports, found, others
