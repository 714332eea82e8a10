"""Rows A: clients that do not get as far as a connection, or get there oddly."""

from __future__ import annotations

import base64
import os
import random
from contextlib import AsyncExitStack, suppress
from typing import Final

import anyio
from anyio.abc import SocketAttribute

from anyio_websocket.testing import Frame, ScriptedPeer, handshake_request
from anyio_websocket.testing._handshakes import KEY

from ...support.frames import TEXT
from ..settings import CONNECT_TIMEOUT, CROWD
from .script import (
    BrokenPromise,
    dribbled,
    hang_up,
    hears,
    hears_close,
    hears_echo,
    hears_no,
    hears_the_end,
    hears_yes,
    leave_with_a_reset,
    opened,
    plays,
)

HOST: Final = b"127.0.0.1"


def get(target: bytes) -> bytes:
    """Build the line that asks for a target."""
    return b"GET " + target + b" HTTP/1.1"


# Said instead of a good request, and the statuses that may answer; 0 for none.
REFUSED: Final[dict[str, list[tuple[bytes, tuple[int, ...]]]]] = {
    "A3": [
        (handshake_request(line=get(b"/" + b"x" * 17_000)), (414,)),
        (handshake_request(b"X: " + b"x" * 17_000), (431,)),
        (handshake_request(*[b"X: " + b"x" * 16_000] * 5), (431,)),
        (handshake_request(*[b"X: x"] * 129), (431,)),
        (handshake_request(*[b"X: x"] * 5000), (431,)),
    ],
    "A4": [
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", (0, 400)),
        (b"SSH-2.0-OpenSSH_9.2\r\n\r\n", (400,)),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", (505,)),
        (b"\x00\xff" * 200, (0, 400)),
    ],
    "A5": [
        (handshake_request(line=b"POST / HTTP/1.1"), (405,)),
        (handshake_request(line=b"GET / HTTP/1.0"), (505,)),
        (handshake_request(version=None), (400,)),
        (handshake_request(version=b"8"), (426,)),
        (handshake_request(b"Sec-WebSocket-Version: 13"), (426,)),
        (handshake_request(host=None), (400,)),
        (handshake_request(b"Host: example.org"), (400,)),
    ],
    "A6": [
        (handshake_request(connection=b"notupgrade"), (400,)),
        (handshake_request(connection=None), (400,)),
        (handshake_request(upgrade=b"h2c"), (400,)),
    ],
    "A7": [
        (handshake_request(b"Content-Length: 10") + b"0123456789", (400,)),
        (handshake_request(b"Transfer-Encoding: chunked") + b"0\r\n\r\n", (400,)),
        (handshake_request().replace(b"\r\n", b"\n"), (400,)),
        (handshake_request(b"X: 1", b" folded"), (400,)),
        (handshake_request(b"X : 1"), (400,)),
        (handshake_request(b"X: a\0b"), (400,)),
        (handshake_request(b"X: a\rb"), (400,)),
    ],
    "A8": [
        (handshake_request(key=None), (400,)),
        (handshake_request(key=b""), (400,)),
        (handshake_request(key=KEY + b"\r\nSec-WebSocket-Key: " + KEY), (400,)),
        (handshake_request(key=b"not base64!"), (400,)),
        (handshake_request(key=base64.b64encode(bytes(15))), (400,)),
        (handshake_request(key=b"A" * 17_000), (431,)),
    ],
    "A9": [
        (handshake_request(host="café".encode()), (400,)),
        (handshake_request(connection=b"Upgrade, \xff"), (400,)),
        (handshake_request(upgrade=b"websocket, \xff"), (400,)),
        (handshake_request(b"Sec-WebSocket-Protocol: caf\xe9"), (400,)),
        (handshake_request(line=get(b"/\xff")), (400,)),
    ],
    "A11": [
        (handshake_request(b"Origin: http://evil.example"), (403,)),
        (handshake_request(b"Origin: null"), (403,)),
    ],
    # The handler tries what cannot be sent, and has no other answer.
    "A12": [(handshake_request(line=get(b"/unsendable")), (500,))],
    "A14": [(handshake_request(line=get(b"/unanswered")), (500,))],
    "A15": [
        (handshake_request(line=get(b"*")), (400,)),
        (handshake_request(line=get(b"no-slash")), (400,)),
        (handshake_request(line=get(b"ftp://x/")), (400,)),
        (handshake_request(line=get(b"/" + b"%zz" * 5600)), (414,)),
    ],
    "A16": [(b"\r\n\r\n" + handshake_request(), (400,))],
    "A17": [(handshake_request(*[b"Cookie: x=" + b"x" * 8000] * 9), (431,))],
    "A18": [
        (handshake_request(b"Origin: chrome-extension://example.org"), (403,)),
        (handshake_request(b"Origin: http://[::1]evil.org", host=b"[::1]"), (403,)),
        (
            handshake_request(b"Origin: https://example.org", line=get(b"ws://x/")),
            (403,),
        ),
    ],
    "A19": [
        (
            handshake_request(b"Origin: https://x", b"Sec-Fetch-Site: cross-site"),
            (403,),
        ),
    ],
    "A20": [(handshake_request(line=b"HEAD / HTTP/1.1"), (405,))],
    "A21": [(handshake_request(b'Origin: http://"\\' + b"x" * 8000), (403,))],
}

# Odd, and yet to be accepted.
ACCEPTED: Final[dict[str, list[bytes]]] = {
    "A6": [
        handshake_request(connection=b"keep-alive, Upgrade", upgrade=b"h2c, websocket"),
        handshake_request(
            b"Connection: UPGRADE", connection=b"close", upgrade=b"WebSocket"
        ),
    ],
    "A10": [
        handshake_request(b"Sec-WebSocket-Extensions: " + offer)
        for offer in (
            b"permessage-deflate; client_max_window_bits=abc",
            b'permessage-deflate; server_max_window_bits="99"',
            b"permessage-deflate; a; a; a=99",
            b", ".join([b"x"] * 500),
            b"," * 8000,
        )
    ],
    "A15": [
        handshake_request(line=get(b"http://127.0.0.1/")),
        handshake_request(line=get(b"/%zz?%00")),
    ],
    "A16": [b"\r\n" + handshake_request()],
    "A17": [
        handshake_request(
            b"Cookie: x=" + b"x" * 9000, b"Authorization: x " + b"x" * 15_000
        ),
    ],
    "A18": [handshake_request(b"Origin: https://x", line=get(b"http://x/"))],
    "A19": [
        handshake_request(b"Origin: https://example.org:8443"),
        handshake_request(b"Origin: https://x", b"Sec-Fetch-Site: same-origin"),
    ],
    "A20": [
        handshake_request(b'Sec-WebSocket-Extensions: x; a="b, permessage-deflate, c"'),
        handshake_request(b'Sec-WebSocket-Extensions: x; a="' + b',\\"' * 2000),
    ],
}


def _enlist() -> None:
    for row, cases in REFUSED.items():

        async def refused(
            peer: ScriptedPeer, cases: list[tuple[bytes, tuple[int, ...]]] = cases
        ) -> None:
            data, statuses = random.choice(cases)
            await peer.stream.send(data)
            await hears_no(peer, *statuses)

        plays(row)(refused)
    for row, requests in ACCEPTED.items():

        async def accepted(
            peer: ScriptedPeer, requests: list[bytes] = requests
        ) -> None:
            await peer.stream.send(random.choice(requests))
            if b"Extensions" in await hears_yes(peer):
                raise BrokenPromise("an offer was taken that is none")
            await hears_echo(peer)

        plays(row)(accepted)


_enlist()


@plays("A1")
async def says_nothing(peer: ScriptedPeer) -> None:
    await hears_the_end(peer, CONNECT_TIMEOUT)


@plays("A1")
async def drips(peer: ScriptedPeer) -> None:
    async with anyio.create_task_group() as tasks:

        async def drip() -> None:
            with suppress(anyio.BrokenResourceError):
                await dribbled(peer, handshake_request(b"X: " + b"x" * 1000), 1, 0.3)

        tasks.start_soon(drip)
        await hears_the_end(peer, CONNECT_TIMEOUT)
        tasks.cancel_scope.cancel()


@plays("A1", "bare")
async def stalls_tls(peer: ScriptedPeer) -> None:
    await peer.stream.send(random.choice((b"", b"\x16", b"\x16\x03\x01\x02\x00\x01")))
    await hears_the_end(peer, CONNECT_TIMEOUT)


@plays("G12", "crowded")
async def holds_many_silent_connections(peer: ScriptedPeer) -> None:
    address = peer.stream.extra(SocketAttribute.remote_address)
    async with AsyncExitStack() as stack:
        for _ in range(3 * CROWD):
            silent = await anyio.connect_tcp(address[0], int(address[1]))
            await stack.enter_async_context(silent)
        honest = await anyio.connect_tcp(address[0], int(address[1]))
        await stack.enter_async_context(honest)
        other = ScriptedPeer(honest, is_client=True)
        await opened(other)
        await hears_echo(other)


@plays("A2")
async def leaves(peer: ScriptedPeer) -> None:
    pass


@plays("A2")
async def leaves_in_the_request(peer: ScriptedPeer) -> None:
    data = handshake_request()
    await peer.stream.send(data[: random.randrange(1, len(data))])


@plays("A2", "tcp")
async def resets_in_the_request(peer: ScriptedPeer) -> None:
    await peer.stream.send(handshake_request()[: random.randrange(100)])
    await leave_with_a_reset(peer)


@plays("A2", "tcp")
async def hangs_up_in_the_request(peer: ScriptedPeer) -> None:
    await peer.stream.send(handshake_request()[:50])
    hang_up(peer)
    await hears_the_end(peer, 0)


@plays("A2", "bare")
async def leaves_in_the_tls_handshake(peer: ScriptedPeer) -> None:
    await peer.stream.send(b"\x16\x03\x01\x02\x00\x01")


@plays("A3")
async def dribbles_a_head_without_end(peer: ScriptedPeer) -> None:
    data = handshake_request(*[b"X: " + b"x" * 4000] * 20)

    async def send() -> None:
        # It is refused before its end, and then the server goes.
        with suppress(anyio.BrokenResourceError):
            await dribbled(peer, data, 5000, 0.005)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(send)
        peer.buffer += await peer.stream.receive()
        tasks.cancel_scope.cancel()
    await hears_no(peer, 431)


@plays("A4", "bare")
async def speaks_no_tls(peer: ScriptedPeer) -> None:
    await peer.stream.send(
        random.choice((handshake_request(), os.urandom(500), b"\x16" * 500))
    )
    await hears_the_end(peer, CONNECT_TIMEOUT)  # noise may look like half a hello


@plays("A13")
async def cannot_wait(peer: ScriptedPeer) -> None:
    texts = [b"%d " % i + b"x" * random.randrange(2000) for i in range(20)]
    frames = b"".join(peer.frame(TEXT, text) for text in texts)
    await peer.stream.send(handshake_request(host=HOST) + frames)
    await hears_yes(peer)
    for text in texts:
        await hears(peer, Frame(TEXT, text))


@plays("A14")
async def leaves_the_handler_undecided(peer: ScriptedPeer) -> None:
    await peer.stream.send(handshake_request(line=get(b"/undecided")))
    await anyio.sleep(random.uniform(0, 1))


@plays("A14")
async def leaves_at_the_answer(peer: ScriptedPeer) -> None:
    await peer.stream.send(handshake_request())
    await peer.stream.receive()


@plays("A13")
@plays("A14")
async def asks_twice(peer: ScriptedPeer) -> None:
    # What follows the request is frames, and this is none.
    await peer.stream.send(handshake_request() * 2)
    await hears_yes(peer)
    await hears_close(peer, 1002)
