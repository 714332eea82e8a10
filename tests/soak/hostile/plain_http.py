"""Rows A of plain HTTP: clients that want no WebSocket, and no good either."""

from __future__ import annotations

import random
from contextlib import suppress
from typing import Final

import anyio
from anyio.abc import SocketAttribute

from anyio_websocket.testing import ScriptedPeer

from ..settings import CONNECT_TIMEOUT, CROWD
from .script import (
    LOST,
    BrokenPromise,
    dribbled,
    hears_no,
    hears_the_end,
    plays,
    within,
)

_HOST: Final = b"Host: 127.0.0.1\r\n"
_POST: Final = b"POST / HTTP/1.1\r\n" + _HOST
_CHUNKED: Final = _POST + b"Transfer-Encoding: chunked\r\n\r\n"
_HEAD: Final = b"HEAD /healthz HTTP/1.0\r\n\r\n"

_REFUSED: Final[list[tuple[bytes, int]]] = [
    (_POST + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\nhello", 400),
    (_POST + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello!", 400),
    (_POST + b"Transfer-Encoding: gzip, chunked\r\n\r\n", 400),
    (_POST.replace(b"1.1", b"1.0") + b"Transfer-Encoding: chunked\r\n\r\n", 400),
    (_CHUNKED + b"not a number\r\n", 400),
    (_CHUNKED + b"2\r\nabc\r\n", 400),
    (_CHUNKED + b"0\r\nno trailer\r\n\r\n", 400),
    (_CHUNKED + b"ffffffffffffffffffff\r\n" + bytes(70_000), 413),
    (_CHUNKED + b"1;" + b"x" * 500_000, 413),
    (_CHUNKED + b"0\r\n" + b"a: b\r\n" * 80_000, 413),
    (_POST + b"Content-Length: 65537\r\nExpect: 100-continue\r\n\r\n", 413),
    (b"CONNECT 127.0.0.1:80 HTTP/1.1\r\n" + _HOST + b"\r\n", 501),
    (b"GET / HTTP/2.0\r\n" + _HOST + b"\r\n", 505),
]


@plays("A7")
async def is_refused(peer: ScriptedPeer) -> None:
    data, status = random.choice(_REFUSED)
    with suppress(anyio.BrokenResourceError):  # it need not take all of it
        await peer.stream.send(data)
    await hears_no(peer, status)


@plays("A7")
async def sends_more_than_it_said(peer: ScriptedPeer) -> None:
    body = random.randbytes(random.choice((0, 5, 65_536)))
    head = b"Content-Length: %d\r\n\r\n" % len(body)
    await peer.stream.send(_POST + head + body + b"GET /smuggled HTTP/1.1\r\n\r\n")
    answer = await _hears_all(peer)
    if not answer.startswith(b"HTTP/1.1 200 ") or not answer.endswith(
        b"\r\n\r\n" + body
    ):
        raise BrokenPromise(f"something else than the echo: {answer[:100]!r}")


@plays("A7")
async def never_ends_its_body(peer: ScriptedPeer) -> None:
    await peer.stream.send(_POST + b"Content-Length: 100000000\r\n\r\n")

    async def send() -> None:
        with suppress(anyio.BrokenResourceError):
            while True:
                await peer.stream.send(bytes(1000))
                await anyio.sleep(0.01)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(send)
        await hears_no(peer, 413)
        tasks.cancel_scope.cancel()


@plays("A1")
async def drips_its_body(peer: ScriptedPeer) -> None:
    await peer.stream.send(_POST + b"Content-Length: 1000\r\n\r\n")
    async with anyio.create_task_group() as tasks:

        async def drip() -> None:
            with suppress(anyio.BrokenResourceError):
                await dribbled(peer, bytes(1000), 1, 0.3)

        tasks.start_soon(drip)
        await hears_the_end(peer, CONNECT_TIMEOUT)
        tasks.cancel_scope.cancel()


@plays("A2")
async def leaves_in_its_body(peer: ScriptedPeer) -> None:
    await peer.stream.send(_CHUNKED + b"5\r\nhe")


@plays("A14")
async def does_not_wait_for_the_answer(peer: ScriptedPeer) -> None:
    await peer.stream.send(b"GET /undecided HTTP/1.0\r\n\r\n")


@plays("A20", "crowded")
async def asks_for_heads_all_at_once(peer: ScriptedPeer) -> None:
    address = peer.stream.extra(SocketAttribute.remote_address)

    async def ask() -> None:
        stream = await anyio.connect_tcp(address[0], int(address[1]))
        async with stream:
            await stream.send(_HEAD)
            answer = await _hears_all(ScriptedPeer(stream, is_client=True))
        # Others may have wanted its place, if it had that for long enough.
        if answer and not (
            answer.startswith(b"HTTP/1.1 200 ") and answer.endswith(b"\r\n\r\n")
        ):
            raise BrokenPromise(f"no answer to HEAD: {answer[:100]!r}")

    async with anyio.create_task_group() as tasks:
        for _ in range(3 * CROWD):
            tasks.start_soon(ask)


async def _hears_all(peer: ScriptedPeer) -> bytes:
    with within(0, "the answer"), suppress(*LOST):
        while True:
            peer.buffer += await peer.stream.receive()
    return bytes(peer.buffer)
