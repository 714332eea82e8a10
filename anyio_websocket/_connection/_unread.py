"""What the peer sent before the stream was lost, and was not read yet."""

from __future__ import annotations

from typing import Final

from anyio import CancelScope
from anyio.lowlevel import checkpoint

from .._transport import Transport, TransportLost

# Of a socket, what the kernel has stored is read: 6 MiB at most on Linux, unless
# SO_RCVBUF says otherwise.
MAX_UNREAD: Final = 8 * 2**20  # bytes
# Of a stream there is no way to know how much is still to come.
MAX_UNREAD_OF_STREAM: Final = 2**20  # bytes
MAX_READS_OF_STREAM: Final = 64
READ_SIZE: Final = 131_000  # bytes
# Passes of the scheduler after which a stream has nothing to receive. One that has
# something takes a few: one for its checkpoint, one for the selector, two for TLS.
PASSES_FOR_A_READ: Final = 16


def read_unread(transport: Transport) -> bytes:
    """Read what a transport has received, without waiting; never raises."""
    pieces: list[bytes] = []
    size = 0
    try:
        while size < MAX_UNREAD and (data := transport.receive_now(READ_SIZE)):
            size += len(data)
            pieces.append(data)
    except TransportLost:
        pass
    return b"".join(pieces)


async def cancel_later(scope: CancelScope) -> None:
    """Cancel an attempt to receive, once it has waited long enough."""
    for _ in range(PASSES_FOR_A_READ):
        await checkpoint()
    scope.cancel()
