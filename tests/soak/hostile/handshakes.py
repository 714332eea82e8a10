"""Rows A: clients that do not get as far as a connection, or get there oddly."""

from __future__ import annotations

import base64
import os
import random
from contextlib import AsyncExitStack, suppress
from typing import Final

import anyio
from anyio.abc import SocketAttribute

from ...support.frames import TEXT, Frame
from ...support.peer import KEY, RawPeer, request
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
        (request(line=get(b"/" + b"x" * 17_000)), (414,)),
        (request(b"X: " + b"x" * 17_000), (431,)),
        (request(*[b"X: " + b"x" * 16_000] * 5), (431,)),
        (request(*[b"X: x"] * 129), (431,)),
        (request(*[b"X: x"] * 5000), (431,)),
    ],
    "A4": [
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", (0, 400)),
        (b"SSH-2.0-OpenSSH_9.2\r\n\r\n", (400,)),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", (505,)),
        (b"\x00\xff" * 200, (0, 400)),
    ],
    "A5": [
        (request(line=b"POST / HTTP/1.1"), (405,)),
        (request(line=b"GET / HTTP/1.0"), (505,)),
        (request(version=None), (400,)),
        (request(version=b"8"), (426,)),
        (request(b"Sec-WebSocket-Version: 13"), (426,)),
        (request(host=None), (400,)),
        (request(b"Host: example.org"), (400,)),
    ],
    "A6": [
        (request(connection=b"notupgrade"), (400,)),
        (request(connection=None), (400,)),
        (request(upgrade=b"h2c"), (400,)),
    ],
    "A7": [
        (request(b"Content-Length: 10") + b"0123456789", (400,)),
        (request(b"Transfer-Encoding: chunked") + b"0\r\n\r\n", (400,)),
        (request().replace(b"\r\n", b"\n"), (400,)),
        (request(b"X: 1", b" folded"), (400,)),
        (request(b"X : 1"), (400,)),
        (request(b"X: a\0b"), (400,)),
        (request(b"X: a\rb"), (400,)),
    ],
    "A8": [
        (request(key=None), (400,)),
        (request(key=b""), (400,)),
        (request(key=KEY + b"\r\nSec-WebSocket-Key: " + KEY), (400,)),
        (request(key=b"not base64!"), (400,)),
        (request(key=base64.b64encode(bytes(15))), (400,)),
        (request(key=b"A" * 17_000), (431,)),
    ],
    "A9": [
        (request(host="café".encode()), (400,)),
        (request(connection=b"Upgrade, \xff"), (400,)),
        (request(upgrade=b"websocket, \xff"), (400,)),
        (request(b"Sec-WebSocket-Protocol: caf\xe9"), (400,)),
        (request(line=get(b"/\xff")), (400,)),
    ],
    "A11": [
        (request(b"Origin: http://evil.example"), (403,)),
        (request(b"Origin: null"), (403,)),
    ],
    # The handler tries what cannot be sent, and has no other answer.
    "A12": [(request(line=get(b"/unsendable")), (500,))],
    "A14": [(request(line=get(b"/unanswered")), (500,))],
    "A15": [
        (request(line=get(b"*")), (400,)),
        (request(line=get(b"no-slash")), (400,)),
        (request(line=get(b"ftp://x/")), (400,)),
        (request(line=get(b"/" + b"%zz" * 5600)), (414,)),
    ],
    "A16": [(b"\r\n\r\n" + request(), (400,))],
    "A17": [(request(*[b"Cookie: x=" + b"x" * 8000] * 9), (431,))],
    "A18": [
        (request(b"Origin: chrome-extension://example.org"), (403,)),
        (request(b"Origin: http://[::1]evil.org", host=b"[::1]"), (403,)),
        (request(b"Origin: https://example.org", line=get(b"ws://x/")), (403,)),
    ],
    "A19": [
        (request(b"Origin: https://x", b"Sec-Fetch-Site: cross-site"), (403,)),
    ],
    "A20": [(request(line=b"HEAD / HTTP/1.1"), (405,))],
    "A21": [(request(b'Origin: http://"\\' + b"x" * 8000), (403,))],
}

# Odd, and yet to be accepted.
ACCEPTED: Final[dict[str, list[bytes]]] = {
    "A6": [
        request(connection=b"keep-alive, Upgrade", upgrade=b"h2c, websocket"),
        request(b"Connection: UPGRADE", connection=b"close", upgrade=b"WebSocket"),
    ],
    "A10": [
        request(b"Sec-WebSocket-Extensions: " + offer)
        for offer in (
            b"permessage-deflate; client_max_window_bits=abc",
            b'permessage-deflate; server_max_window_bits="99"',
            b"permessage-deflate; a; a; a=99",
            b", ".join([b"x"] * 500),
            b"," * 8000,
        )
    ],
    "A15": [
        request(line=get(b"http://127.0.0.1/")),
        request(line=get(b"/%zz?%00")),
    ],
    "A16": [b"\r\n" + request()],
    "A17": [
        request(b"Cookie: x=" + b"x" * 9000, b"Authorization: x " + b"x" * 15_000),
    ],
    "A18": [request(b"Origin: https://x", line=get(b"http://x/"))],
    "A19": [
        request(b"Origin: https://example.org:8443"),
        request(b"Origin: https://x", b"Sec-Fetch-Site: same-origin"),
    ],
    "A20": [
        request(b'Sec-WebSocket-Extensions: x; a="b, permessage-deflate, c"'),
        request(b'Sec-WebSocket-Extensions: x; a="' + b',\\"' * 2000),
    ],
}


def _enlist() -> None:
    for row, cases in REFUSED.items():

        async def refused(
            peer: RawPeer, cases: list[tuple[bytes, tuple[int, ...]]] = cases
        ) -> None:
            data, statuses = random.choice(cases)
            await peer.stream.send(data)
            await hears_no(peer, *statuses)

        plays(row)(refused)
    for row, requests in ACCEPTED.items():

        async def accepted(peer: RawPeer, requests: list[bytes] = requests) -> None:
            await peer.stream.send(random.choice(requests))
            if b"Extensions" in await hears_yes(peer):
                raise BrokenPromise("an offer was taken that is none")
            await hears_echo(peer)

        plays(row)(accepted)


_enlist()


@plays("A1")
async def says_nothing(peer: RawPeer) -> None:
    await hears_the_end(peer, CONNECT_TIMEOUT)


@plays("A1")
async def drips(peer: RawPeer) -> None:
    async with anyio.create_task_group() as tasks:

        async def drip() -> None:
            with suppress(anyio.BrokenResourceError):
                await dribbled(peer, request(b"X: " + b"x" * 1000), 1, 0.3)

        tasks.start_soon(drip)
        await hears_the_end(peer, CONNECT_TIMEOUT)
        tasks.cancel_scope.cancel()


@plays("A1", "bare")
async def stalls_tls(peer: RawPeer) -> None:
    await peer.stream.send(random.choice((b"", b"\x16", b"\x16\x03\x01\x02\x00\x01")))
    await hears_the_end(peer, CONNECT_TIMEOUT)


@plays("G12", "crowded")
async def holds_many_silent_connections(peer: RawPeer) -> None:
    address = peer.stream.extra(SocketAttribute.remote_address)
    async with AsyncExitStack() as stack:
        for _ in range(3 * CROWD):
            silent = await anyio.connect_tcp(address[0], int(address[1]))
            await stack.enter_async_context(silent)
        honest = await anyio.connect_tcp(address[0], int(address[1]))
        await stack.enter_async_context(honest)
        other = RawPeer(honest, masks=True)
        await opened(other)
        await hears_echo(other)


@plays("A2")
async def leaves(peer: RawPeer) -> None:
    pass


@plays("A2")
async def leaves_in_the_request(peer: RawPeer) -> None:
    data = request()
    await peer.stream.send(data[: random.randrange(1, len(data))])


@plays("A2", "tcp")
async def resets_in_the_request(peer: RawPeer) -> None:
    await peer.stream.send(request()[: random.randrange(100)])
    await leave_with_a_reset(peer)


@plays("A2", "tcp")
async def hangs_up_in_the_request(peer: RawPeer) -> None:
    await peer.stream.send(request()[:50])
    hang_up(peer)
    await hears_the_end(peer, 0)


@plays("A2", "bare")
async def leaves_in_the_tls_handshake(peer: RawPeer) -> None:
    await peer.stream.send(b"\x16\x03\x01\x02\x00\x01")


@plays("A3")
async def dribbles_a_head_without_end(peer: RawPeer) -> None:
    data = request(*[b"X: " + b"x" * 4000] * 20)

    async def send() -> None:
        # It is refused before its end, and then the server goes.
        with suppress(anyio.BrokenResourceError):
            await dribbled(peer, data, 1000, 0.005)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(send)
        peer.buffer += await peer.stream.receive()
        tasks.cancel_scope.cancel()
    await hears_no(peer, 431)


@plays("A4", "bare")
async def speaks_no_tls(peer: RawPeer) -> None:
    await peer.stream.send(random.choice((request(), os.urandom(500), b"\x16" * 500)))
    await hears_the_end(peer, CONNECT_TIMEOUT)  # noise may look like half a hello


@plays("A13")
async def cannot_wait(peer: RawPeer) -> None:
    texts = [b"%d " % i + b"x" * random.randrange(2000) for i in range(20)]
    frames = b"".join(peer.frame(TEXT, text) for text in texts)
    await peer.stream.send(request(host=HOST) + frames)
    await hears_yes(peer)
    for text in texts:
        await hears(peer, Frame(TEXT, text))


@plays("A14")
async def leaves_the_handler_undecided(peer: RawPeer) -> None:
    await peer.stream.send(request(line=get(b"/undecided")))
    await anyio.sleep(random.uniform(0, 1))


@plays("A14")
async def leaves_at_the_answer(peer: RawPeer) -> None:
    await peer.stream.send(request())
    await peer.stream.receive()


@plays("A13")
@plays("A14")
async def asks_twice(peer: RawPeer) -> None:
    # What follows the request is frames, and this is none.
    await peer.stream.send(request() * 2)
    await hears_yes(peer)
    await hears_close(peer, 1002)
