"""Rows B, and rows E as clients see them: servers that mean no good.

In: the path that a client asks for, which names the trap. Out: what became of a client
of ours that fell into it: ``BrokenPromise`` unless it ended as it should, and in time.
"""

from __future__ import annotations

import random
import ssl
from collections import defaultdict
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final

import anyio
from anyio.abc import SocketAttribute, SocketStream

from anyio_websocket import (
    ConnectionClosed,
    ConnectionRejected,
    ConnectionTimeout,
    DisconnectionTimeout,
    HandshakeError,
    open_websocket,
)
from anyio_websocket._settings import LINGER_TIMEOUT
from anyio_websocket.testing import ScriptedPeer, handshake_response

from ...support.frames import CLOSE, TEXT, close_payload, frame
from ..settings import SLACK
from .script import LOST, BrokenPromise, dribbled, leave_with_a_reset

CONNECT_TIMEOUT: Final = 8.0  # seconds, of the client
DISCONNECT_TIMEOUT: Final = 4.0
MAX_BODY: Final = 65536  # bytes that are kept of a refusal
GOOD: Final = b"<101>"  # stands for a good response without its empty line
LAST: Final = frame(TEXT, b"last", mask=None)

Play = Callable[[ScriptedPeer, bytes], Awaitable[None]]


@dataclass(frozen=True)
class Trap:
    """Something that a server does to a client.

    :param play: does it, once it has read the request that it is given
    :param error: what the client must end with; ``None`` if it gets on
    :param status: and with which refusal
    :param seconds: in which time
    :param options: how the client connects

    """

    play: Play
    error: type[Exception] | None
    status: int
    seconds: float
    options: dict[str, Any]


#: by the name of the row
TRAPS: Final[dict[str, list[Trap]]] = defaultdict(list)


def catches(
    row: str,
    error: type[Exception] | None,
    *,
    status: int = 0,
    seconds: float = 0,
    **options: Any,
) -> Callable[[Play], Play]:
    """Enlist a trap for a row of the contract."""

    def enlist(play: Play) -> Play:
        TRAPS[row].append(Trap(play, error, status, seconds, options))
        return play

    return enlist


# -- the two sides -------------------------------------------------------------


@asynccontextmanager
async def serve_traps(on_broken: Callable[[str], None]) -> AsyncGenerator[int]:
    """Serve all traps on a port while the block lasts.

    :param on_broken: called with a promise that was broken
    """

    async def handle(stream: SocketStream) -> None:
        async with stream:
            peer = ScriptedPeer(stream, is_client=False)
            try:
                trap, request = await _asked_for(peer)
                await trap.play(peer, request)
                with anyio.fail_after(trap.seconds + DISCONNECT_TIMEOUT + SLACK):
                    await _is_left(peer, answers_close=trap.error is None)
            except TimeoutError:
                on_broken("a client left its socket open")
            except (*LOST, anyio.ClosedResourceError):
                pass

    listener = await anyio.create_tcp_listener(local_host="127.0.0.1")
    async with listener, anyio.create_task_group() as tasks:
        tasks.start_soon(listener.serve, handle)
        yield listener.extra(SocketAttribute.local_port)
        tasks.cancel_scope.cancel()


async def _is_left(peer: ScriptedPeer, *, answers_close: bool) -> None:
    if answers_close:
        while (await peer.receive_frame()).opcode != CLOSE:
            pass
        await peer.send_close(1000)
        return
    while True:
        await peer.stream.receive()


async def _asked_for(peer: ScriptedPeer) -> tuple[Trap, bytes]:
    # TLS asks for nothing: its first byte tells that it is there.
    peer.buffer += await peer.stream.receive()
    if peer.buffer[0] == 0x16:
        return random.choice(TRAPS["B10"]), b""
    request = await peer.receive_head()
    _, row, number = request.split(b" ", 2)[1].split(b"/")
    return TRAPS[row.decode()][int(number)], request


async def fall_into(row: str, number: int, port: int) -> None:
    """Have a client of ours fall into a trap.

    :param row: of the contract
    :param number: which of its traps
    :param port: where they are
    :raises BrokenPromise: if it does not end as it should

    """
    trap = TRAPS[row][number]
    options = {
        "use_ssl": False,
        "connect_timeout": CONNECT_TIMEOUT,
        "disconnect_timeout": DISCONNECT_TIMEOUT,
        **trap.options,
    }
    ended: Exception | None = None
    started = anyio.current_time()
    try:
        async with open_websocket(
            *("127.0.0.1", port, f"/{row}/{number}"), **options
        ) as ws:
            if await ws.get_message() != "last":
                raise BrokenPromise("it received what was not sent")
    except (HandshakeError, ConnectionClosed, ValueError) as exc:
        ended = exc
    took = anyio.current_time() - started
    if type(ended) is not trap.error and trap.error is not None:
        raise BrokenPromise(f"{ended!r} instead of {trap.error.__name__}")
    if trap.error is None and ended is not None:
        raise BrokenPromise(f"{ended!r} instead of a message")
    if isinstance(ended, ConnectionRejected) and (
        ended.status_code != trap.status or len(ended.body or b"") > MAX_BODY
    ):
        raise BrokenPromise(f"{ended!r} instead of {trap.status}")
    if not trap.seconds - 0.1 < took < trap.seconds + SLACK:
        raise BrokenPromise(f"it took {took:.1f} s instead of {trap.seconds} s")


# -- the traps -----------------------------------------------------------------


@catches("B10", HandshakeError, use_ssl=ssl.create_default_context())
async def speaks_no_tls(peer: ScriptedPeer, request: bytes) -> None:
    await peer.stream.send(b"SSH-2.0-OpenSSH_9.2\r\n")


@catches("B10", HandshakeError, use_ssl=ssl.create_default_context())
async def leaves_the_tls_handshake(peer: ScriptedPeer, request: bytes) -> None:
    await peer.stream.send_eof()


@catches("B1", ConnectionTimeout, seconds=CONNECT_TIMEOUT)
async def says_nothing(peer: ScriptedPeer, request: bytes) -> None:
    pass


@catches("B1", ConnectionTimeout, seconds=CONNECT_TIMEOUT)
async def drips(peer: ScriptedPeer, request: bytes) -> None:
    await dribbled(peer, handshake_response(request), 1, 0.2)


@catches("B2", HandshakeError)
async def leaves(peer: ScriptedPeer, request: bytes) -> None:
    await peer.stream.send_eof()


@catches("B2", HandshakeError)
async def leaves_in_its_answer(peer: ScriptedPeer, request: bytes) -> None:
    await peer.stream.send(handshake_response(request)[:40])
    await peer.stream.send_eof()


@catches("B2", HandshakeError)
async def resets(peer: ScriptedPeer, request: bytes) -> None:
    await leave_with_a_reset(peer)


def _answers(row: str, error: type[Exception] | None, *answers: bytes) -> None:
    """Enlist servers that just answer something."""
    for answer in answers:
        status = int(answer[9:12]) if error is ConnectionRejected else 0

        @catches(row, error, status=status)
        async def answers_so(
            peer: ScriptedPeer, request: bytes, answer: bytes = answer
        ) -> None:
            await peer.stream.send(
                answer.replace(GOOD, handshake_response(request)[:-4])
            )


_answers(
    "B3",
    HandshakeError,
    b"SSH-2.0-OpenSSH_9.2\r\n\r\n",
    bytes(100),
    b"HTTP/1.1 200 OK\r\n" + b"X: x\r\n" * 20_000,
    b"HTTP/1.0 101 Switching Protocols\r\n\r\n",
)
_answers(
    "B4",
    ConnectionRejected,
    b"HTTP/1.1 403 Forbidden\r\nContent-Length: 5\r\n\r\nno no",
    b"HTTP/1.1 500 Oops\r\nContent-Length: 999999999\r\n\r\n" + bytes(100_000),
    b"HTTP/1.1 502 Bad\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
)
_answers(
    "B5",
    ConnectionRejected,
    b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n",
)
_answers(
    "B6",
    HandshakeError,
    b"HTTP/1.1 101 Fine\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n",
    GOOD + b"\r\nSec-WebSocket-Accept: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
    GOOD + b"\r\nSec-WebSocket-Extensions: permessage-deflate\r\n\r\n",
    GOOD + b"\r\nSec-WebSocket-Protocol: unasked\r\n\r\n",
)
_answers(
    "B7",
    None,
    b"HTTP/1.1 103 Early Hints\r\nLink: </>\r\n\r\n" + GOOD + b"\r\n\r\n" + LAST,
    b"HTTP/1.1 100 Continue\r\n\r\n" * 5 + GOOD + b"\r\n\r\n" + LAST,
)
_answers("B9", None, GOOD + b"\r\n\r\n" + LAST)


@catches("B4", ConnectionRejected, status=503, seconds=CONNECT_TIMEOUT)
async def refuses_slowly(peer: ScriptedPeer, request: bytes) -> None:
    await peer.stream.send(b"HTTP/1.1 503 Wait\r\nContent-Length: 1000\r\n\r\n")
    await dribbled(peer, bytes(1000), 1, 0.1)


@catches("B8", ValueError, extra_headers=[("X", "a\r\nb: c")])
async def is_never_asked(peer: ScriptedPeer, request: bytes) -> None:
    raise AssertionError


@catches("E1", DisconnectionTimeout, seconds=DISCONNECT_TIMEOUT)
async def answers_no_close(peer: ScriptedPeer, request: bytes) -> None:
    await peer.stream.send(handshake_response(request) + LAST)


@catches("E2", None, seconds=LINGER_TIMEOUT)
async def closes_and_stays(peer: ScriptedPeer, request: bytes) -> None:
    close = frame(CLOSE, close_payload(1000), mask=None)
    await peer.stream.send(handshake_response(request) + LAST + close)
    await anyio.sleep(LINGER_TIMEOUT + SLACK)


@catches("E2", ConnectionClosed, seconds=LINGER_TIMEOUT)
async def makes_a_mistake_and_stays(peer: ScriptedPeer, request: bytes) -> None:
    await peer.stream.send(handshake_response(request) + frame(3, mask=None))
    await anyio.sleep(LINGER_TIMEOUT + SLACK)


@catches("E19", None, seconds=LINGER_TIMEOUT / 2, disconnect_timeout=LINGER_TIMEOUT / 2)
async def replies_to_the_close_and_stays(peer: ScriptedPeer, request: bytes) -> None:
    await peer.stream.send(handshake_response(request) + LAST)
    while (await peer.receive_frame()).opcode != CLOSE:
        pass
    await peer.send_close(1000)
    await anyio.sleep(LINGER_TIMEOUT + SLACK)
