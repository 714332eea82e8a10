"""What the peer sent before the stream was lost, and was not read yet.

It is read once the connection is closing: messages may be in it, and a Close that says
why the peer ended the connection (RFC 6455 section 7.1.5).
"""

from __future__ import annotations

from typing import Final

from anyio import CancelScope, create_task_group
from anyio.lowlevel import checkpoint

from .._protocol import Engine
from .._transport import Transport, TransportLost
from ._close_state import CloseState
from ._reader import Reader

# Of a socket, what the kernel has stored is read: 6 MiB at most on Linux, unless
# SO_RCVBUF says otherwise.
READ_SIZE: Final = 131_072  # bytes
# Over TLS a read brings a hundred records at the most, and these can be short.
MAX_READS: Final = 64
# Of a stream there is no way to know how much is still to come.
MAX_UNREAD_OF_STREAM: Final = 2**20  # bytes
MAX_READS_OF_STREAM: Final = 64
# While no task reads. malloc has a block of this size ready.
READ_NOW_SIZE: Final = 65_536  # bytes
MAX_READS_IN_A_ROW: Final = 4  # then other tasks run
# Passes of the scheduler after which a stream has nothing to receive. One that has
# something takes a few: one for its checkpoint, one for the selector, two for TLS.
PASSES_FOR_A_READ: Final = 16


class Unread:
    """Reads what one connection has not read yet.

    :param transport: where it comes from
    :param engine: where it goes
    :param reader: decodes it
    :param state: says whether there is a connection

    """

    __slots__ = ("_engine", "_reader", "_state", "_transport")

    def __init__(
        self, transport: Transport, engine: Engine, reader: Reader, state: CloseState
    ) -> None:
        self._transport = transport
        self._engine = engine
        self._reader = reader
        self._state = state

    def read_now(self) -> bool:
        """Read and decode what is there, without waiting, while no task reads.

        :return: whether that was all; see `Reader.decode_now`

        """
        for _ in range(MAX_READS_IN_A_ROW):
            if not self._reader.decode_now():
                return False
            try:
                data = self._transport.receive_now(READ_NOW_SIZE)
            except TransportLost as exc:
                self._state.connection_lost(cause=exc.__cause__)
                return False
            if data is None:
                return True
            if not data:
                self._state.connection_lost()
                return False
            self._reader.feed(data)
        return False

    def drain(self) -> None:
        """Read what is there without waiting, and decode it up to the inbox' bounds.

        The rest stays in the engine as bytes, and `Reader.message` decodes it when
        there are free slots. The stream is lost, so no more can come, and the bytes are
        those that the kernel had stored.
        """
        if data := read_unread(self._transport):
            self._engine.receive_data(data)
        self._reader.decode_last()

    async def drain_stream(self) -> None:
        """Do what `drain` does, over a stream.

        A stream can be read only by waiting. So there are attempts to receive until one
        has waited for `PASSES_FOR_A_READ` passes of the scheduler. If another task is
        receiving already, it has the same time.
        """
        try:
            await self._drain_stream()
        finally:
            # This task was the one that reads, so it has to wake those that wait.
            if self._state.reason is not None:
                self._reader.on_closing()

    async def _drain_stream(self) -> None:
        reader = self._reader
        waited = size = reads = 0
        while (
            waited < PASSES_FOR_A_READ
            and reads < MAX_READS_OF_STREAM
            and size < MAX_UNREAD_OF_STREAM
        ):
            if self._state.closed or self._engine.close_received is not None:
                return
            if reader.reading:
                begun = reader.reads_begun
                await checkpoint()
                waited = waited + 1 if reader.reads_begun == begun else 0
                reads += reader.reads_begun - begun
                continue
            if not (received := await self._receive_and_decode()):
                break
            reads += 1
            size += received

    async def _receive_and_decode(self) -> int:
        """Attempt to receive, and decode what came; return how many bytes came."""
        size = 0
        error: Exception | None = None
        async with create_task_group() as tasks:
            tasks.start_soon(cancel_later, tasks.cancel_scope)
            received = await self._reader.receive()
            size = len(received)
            # Not when the group has ended, which takes a moment. Another task may
            # receive what follows meanwhile, and this one may be cancelled.
            try:
                if received:
                    self._reader.feed(received)
                    self._reader.decode_last()
            except Exception as exc:  # the group would wrap it
                error = exc
            tasks.cancel_scope.cancel()
        try:
            if error is not None:
                raise error
        finally:
            del error  # a cycle: its traceback refers to this frame
        return size

    async def receive_last(self) -> None:
        """Do whichever of the two the transport can."""
        if self._transport.survives_cancel:
            self.drain()
        else:
            await self.drain_stream()


def read_unread(transport: Transport) -> bytes:
    """Read what a transport has received, without waiting; never raises."""
    pieces: list[bytes] = []
    try:
        while len(pieces) < MAX_READS and (data := transport.receive_now(READ_SIZE)):
            pieces.append(data)
    except TransportLost:
        pass
    return b"".join(pieces)


async def cancel_later(scope: CancelScope) -> None:
    """Cancel an attempt to receive, once it has waited long enough."""
    for _ in range(PASSES_FOR_A_READ):
        await checkpoint()
    scope.cancel()
