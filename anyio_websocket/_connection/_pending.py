"""What goes out with the next write of a connection."""

from __future__ import annotations

from .._transport import Transport


class Pending:
    """Frames that are made and not yet written: the part of `Outbox` that keeps them.

    The batch goes first, because it was sent first. Then come a Ping and a Pong, and
    what is written with them. The Close is last: nothing may follow it.

    :param transport: where the bytes go

    """

    __slots__ = ("_batch", "_batch_size", "_close", "_ping", "_pong", "_transport")

    def __init__(self, transport: Transport) -> None:
        self._transport = transport
        self._batch: list[bytes] = []  # empty while a task holds the lock
        self._batch_size = 0  # bytes
        self._ping = b""  # the keepalive's; at most one is pending
        self._pong = b""  # at most one is pending
        self._close = b""  # at most one is ever sent

    @property
    def has_pong(self) -> bool:
        """Whether a Pong is pending."""
        return bool(self._pong)

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
            self._ping = self._pong = b""
        return self._transport.write(data, payload)

    def _write_with_close(self) -> bool:
        """Write all that is pending; return whether all was taken."""
        is_written = self._write(self._close)
        self._close = b""
        return is_written
