"""What goes out with the next write of a connection."""

from __future__ import annotations

from .._transport import Transport
from ._send_kernels import OutboxFields


class Pending(OutboxFields):
    """Frames that are made and not yet written: the part of `Outbox` that keeps them.

    The batch goes first, because it was sent first. Then come a Ping and a Pong, and
    what is written with them. The Close is last: nothing may follow it.

    :param transport: where the bytes go

    """

    __slots__ = ("_close", "_transport", "pings_sent")  # and `OutboxFields`

    def __init__(self, transport: Transport) -> None:
        self._transport = transport
        self._batch: list[bytes] = []  # empty while a task holds the lock
        self._batch_size = 0  # bytes
        self._ping = b""  # the keepalive's; at most one is pending
        self._pong = b""  # at most one is pending
        self._close = b""  # at most one is ever sent
        #: bytes of frames that the transport has taken, to send them now or later
        self.bytes_sent: int = 0
        #: Pings that were written, those of the application included
        self.pings_sent: int = 0

    @property
    def has_pong(self) -> bool:
        """Whether a Pong is pending."""
        return bool(self._pong)

    @property
    def send_wait_seconds(self) -> float | None:
        """For how long the stream did not take all; ``None`` if nobody wants to know.

        See `TimedOutbox`.
        """
        return None

    def unsent_bytes(self) -> int:
        """Return how many bytes wait to be sent."""
        pending = len(self._ping) + len(self._pong) + len(self._close)
        return self._batch_size + pending + self._transport.unsent_bytes()

    def _has_pending(self) -> bool:
        return bool(self._batch or self._ping or self._pong or self._close)

    def _drop_batch(self) -> None:
        self._batch.clear()
        self._batch_size = 0

    def _write(self, data: bytes = b"", payload: bytes = b"") -> bool:
        """Write what is pending, and then some data; return whether all was taken."""
        if self._batch or self._pong or self._ping:
            data = b"".join([*self._batch, self._ping, self._pong, data])
            self._drop_batch()
            if self._ping:
                self.pings_sent += 1
            self._ping = self._pong = b""
        is_written = self._transport.write(data, payload)
        self.bytes_sent += len(data) + len(payload)
        return is_written

    def _write_with_close(self) -> bool:
        """Write all that is pending; return whether all was taken."""
        is_written = self._write(self._close)
        self._close = b""
        return is_written
