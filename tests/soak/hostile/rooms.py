"""Row G13 again: members of a room who never read, and one whom they do not hold up."""

from __future__ import annotations

import random
from typing import Final

import anyio

from anyio_websocket.testing import ScriptedPeer

from ...support.frames import BINARY
from .script import BrokenPromise, next_frame, opened, plays, within

ROUNDS: Final = 10
SIZE: Final = 200_000  # bytes; enough of these fill what the system stores for a member


@plays("G13")
async def never_reads_in_a_room(peer: ScriptedPeer) -> None:
    await opened(peer, path=b"/room")
    await anyio.sleep(3)


@plays("G13")
async def is_in_a_room_with_those(peer: ScriptedPeer) -> None:
    """It hears at once what it says, and has to be heard by nobody else for that."""
    await opened(peer, path=b"/room")
    name = random.randbytes(16)
    for number in range(ROUNDS):
        message = name + bytes([number]) + bytes(SIZE)
        await peer.send_frame(BINARY, message)
        with within(1, "a broadcast"):
            while not (found := await next_frame(peer)).payload.startswith(name):
                if found.opcode != BINARY:
                    raise BrokenPromise(f"{found.opcode} in a room")
        if found.payload != message:
            raise BrokenPromise("another message than it sent")
