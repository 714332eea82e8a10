"""What a peer can make a whole connection spend.

The protocol's modules have tests to the byte; here is all that a connection
adds. What the peer sends lies in the stream before anything is measured, because that
is the network's memory and not ours.
"""

from __future__ import annotations

import random
import zlib
from collections.abc import Callable

import anyio
import pytest

from anyio_websocket import ConnectionClosed, wrap_server_stream
from anyio_websocket.testing import (
    MemoryStream,
    ScriptedPeer,
    handshake_request,
    memory_stream_pair,
)

from ..support.costs import traced
from ..support.frames import BINARY, CONTINUATION, TEXT
from ..support.peer import Opener

pytestmark = [pytest.mark.virtual_time, pytest.mark.measured]

LIMIT = 2**20  # bytes
CAPACITY = 4 * LIMIT  # bytes of a stream
# bytes; a read of the stream's is copied twice in there, and asyncio's debug mode keeps
# tracebacks of what waits
OTHERS = 3 * 65536
MARGIN = 65536  # bytes, of the contract
NOISE = random.Random(5).randbytes(LIMIT + 1)


async def laid_out(peer: ScriptedPeer, wire: bytes) -> None:
    """Have bytes on the way before anybody reads."""
    assert isinstance(peer.stream, MemoryStream)
    peer.stream.max_send = len(wire)
    await peer.stream.send(wire)


def whole(peer: ScriptedPeer, size: int) -> bytes:
    return peer.frame(BINARY, NOISE[:size])


def in_fragments(peer: ScriptedPeer, size: int) -> bytes:
    pieces = [NOISE[i : min(i + 50_000, size)] for i in range(0, size, 50_000)]
    return b"".join(
        peer.frame(CONTINUATION if i else BINARY, piece, fin=i == len(pieces) - 1)
        for i, piece in enumerate(pieces)
    )


def compressed(peer: ScriptedPeer, size: int) -> bytes:
    packer = zlib.compressobj(wbits=-12)
    data = packer.compress(NOISE[:size]) + packer.flush(zlib.Z_SYNC_FLUSH)
    return peer.frame(BINARY, data[:-4], rsv=4)


EXTENSION = b"Sec-WebSocket-Extensions: permessage-deflate; server_max_window_bits=12"


@pytest.mark.parametrize("frames", [whole, in_fragments, compressed])
@pytest.mark.parametrize("too_many", [0, 1])
async def test_D1_memory_of_a_message(
    opener: Opener, frames: Callable[[ScriptedPeer, int], bytes], too_many: int
) -> None:
    deflates = frames is compressed
    async with anyio.create_task_group() as tasks:
        connection, peer, _ = await opener(
            tasks,
            capacity=CAPACITY,
            lines=[EXTENSION] if deflates else [],
            compression=deflates,
            max_message_size=LIMIT,
        )
        await laid_out(peer, frames(peer, LIMIT + too_many))
        with traced() as memory:
            if too_many:
                with pytest.raises(ConnectionClosed) as caught:
                    await connection.get_message()
            else:
                assert len(await connection.get_message()) == LIMIT
        assert memory.peak <= 3 * LIMIT + MARGIN + OTHERS
        if too_many:
            assert caught.value.reason is not None
            assert caught.value.reason.code == 1009
        tasks.cancel_scope.cancel()


async def test_D2_memory_of_many_fragments(opener: Opener) -> None:
    count = 30_000
    async with anyio.create_task_group() as tasks:
        connection, peer, _ = await opener(tasks, capacity=CAPACITY)
        fragment = peer.frame(CONTINUATION, b"ab", fin=False)
        wire = peer.frame(BINARY, b"ab", fin=False) + fragment * count
        await laid_out(peer, wire + peer.frame(CONTINUATION))
        with traced() as memory:
            assert await connection.get_message() == b"ab" * (count + 1)
        # An object for each would be a megabyte. The stream's own buffer counts once it
        # is cut to half.
        assert memory.peak <= 2 * (2 * count) + len(wire) // 2 + MARGIN + OTHERS
        tasks.cancel_scope.cancel()


async def test_D3_memory_of_tiny_reads(opener: Opener) -> None:
    size = 4096
    async with anyio.create_task_group() as tasks:
        connection, peer, stream = await opener(tasks)
        stream.max_receive = 1
        await laid_out(peer, peer.frame(TEXT, b"x" * size))
        with traced() as memory:
            assert len(await connection.get_message()) == size
        # An object for each read would be twice as much as that.
        assert memory.peak <= 2 * size + MARGIN
        tasks.cancel_scope.cancel()


async def test_A13_memory_of_frames_before_the_response() -> None:
    ours, theirs = memory_stream_pair(CAPACITY)
    peer = ScriptedPeer(theirs, is_client=True)
    count = 10_000
    wire = handshake_request() + b"".join(
        peer.frame(TEXT, b"%d" % i * 20) for i in range(count)
    )
    await laid_out(peer, wire)
    async with anyio.create_task_group() as tasks:
        with traced() as memory:
            asked = await wrap_server_stream(tasks, ours)
            await anyio.sleep(5)  # for the handler is undecided
        assert len(wire) - len(ours._incoming.data) <= 65536
        assert memory.peak <= 65536 + MARGIN
        connection = await asked.accept()
        for i in range(count):
            assert await connection.get_message() == f"{i}" * 20
        tasks.cancel_scope.cancel()
