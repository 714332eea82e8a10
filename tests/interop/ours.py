"""Our side of the conversation: a client for their servers, a server for their clients.

In: a peer, and a way to talk to it. Out: assertions about what both sides saw.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractContextManager, asynccontextmanager, suppress
from functools import partial
from typing import NamedTuple, TypeVar

import anyio
import anyio.to_thread
import pytest

from anyio_websocket import (
    ConnectionClosed,
    PerMessageDeflate,
    WebSocketConnection,
    WebSocketRequest,
    open_websocket_url,
    serve_websocket,
)

from .peer import (
    BY_CLIENT,
    BY_SERVER,
    CLOSE_ME,
    MESSAGES,
    PATIENCE,
    PING_ME,
    PONG_SEEN,
    REASON,
    Message,
    Peer,
    Seen,
    Tls,
    Visit,
    changed,
)

_T = TypeVar("_T")

FORGETFUL = PerMessageDeflate(
    server_no_context_takeover=True, client_no_context_takeover=True
)


class Way(NamedTuple):
    """How to talk; the other side always compresses if it can and may."""

    tls: Tls | None
    compression: PerMessageDeflate | bool | None

    def url(self, port: int) -> str:
        return f"{'ws' if self.tls is None else 'wss'}://127.0.0.1:{port}/"

    def check(
        self,
        peer_compresses: bool,
        agreed: list[PerMessageDeflate | None],
        seen: list[Seen],
    ) -> None:
        """Check that compression was agreed on if both sides wanted it, else not."""
        expected = peer_compresses and self.compression is not None
        assert [compression is not None for compression in agreed] == [expected] * 2
        assert [connection.compressed for connection in seen] == [expected] * 2
        if expected and self.compression is FORGETFUL:
            for compression in agreed:
                assert compression is not None
                assert compression.server_no_context_takeover
                assert compression.client_no_context_takeover


async def visit_their_server(peer: Peer, way: Way) -> None:
    """Talk to a server of theirs, twice: it closes first, then we do."""
    async with _aside(peer.serving(way.tls)) as server:
        connect = partial(
            open_websocket_url,
            way.url(server.port),
            way.tls and way.tls.client,
            compression=way.compression,
        )
        async with connect() as first:
            await first.ping()
            echoes: list[Message] = []
            for message in MESSAGES:
                await first.send_message(message)
                echoes.append(await first.get_message())
            assert changed(echoes) == []
            await first.send_message(PING_ME)
            assert await first.get_message() == PONG_SEEN
            await first.send_message(CLOSE_ME)
            with pytest.raises(ConnectionClosed):
                await first.get_message()
        async with connect() as second:
            # Some servers do not call their handler if the Close is there already.
            await second.send_message(PING_ME)
            assert await second.get_message() == PONG_SEEN
            await second.aclose(BY_CLIENT, REASON)
        by_server, by_client = [
            await anyio.to_thread.run_sync(server.seen) for _ in range(2)
        ]
    way.check(
        peer.compresses, [first.compression, second.compression], [by_server, by_client]
    )
    assert _closed(first) == (BY_SERVER, REASON)
    assert by_server.code == BY_SERVER
    assert _closed(second)[0] == (peer.answers or BY_CLIENT)
    assert by_client[1:] == (BY_CLIENT, REASON)


@asynccontextmanager
async def _aside(manager: AbstractContextManager[_T]) -> AsyncGenerator[_T]:
    # Enter and leave in a thread: both block, and trio's thread must not block.
    value = await anyio.to_thread.run_sync(manager.__enter__)
    try:
        with anyio.fail_after(PATIENCE):
            yield value
    finally:
        with anyio.CancelScope(shield=True):
            await anyio.to_thread.run_sync(manager.__exit__, None, None, None)


async def receive_their_client(
    visit: Callable[[str, Tls | None], Visit],
    way: Way,
    *,
    compresses: bool,
    answers: int | None = None,
    origin: str | None = None,
) -> None:
    """Serve a client of theirs, twice: we close first, then it does."""
    received: list[Message] = []
    ended: list[WebSocketConnection] = []
    opened: list[WebSocketConnection] = []
    all_ended = anyio.Event()

    async def handler(request: WebSocketRequest) -> None:
        ws = await request.accept()
        opened.append(ws)
        with suppress(ConnectionClosed):
            while True:
                await _answer(ws, await ws.get_message(), received)
        ended.append(ws)
        if len(ended) == 2:
            all_ended.set()

    async with anyio.create_task_group() as tasks:
        server = await tasks.start(
            partial(
                serve_websocket,
                handler,
                "127.0.0.1",
                0,
                way.tls and way.tls.server,
                compression=way.compression,
                origins=None if origin is None else [origin],
            )
        )
        with anyio.fail_after(PATIENCE):
            echoes, (by_server, by_client) = await anyio.to_thread.run_sync(
                visit, way.url(server.port), way.tls
            )
            await all_ended.wait()
        tasks.cancel_scope.cancel()
    assert changed(received) == []
    assert changed(echoes) == []
    way.check(compresses, [ws.compression for ws in ended], [by_server, by_client])
    first, second = opened  # they may end in the other order
    assert _closed(first)[0] == (answers or BY_SERVER)
    assert by_server[1:] == (BY_SERVER, REASON)
    assert _closed(second) == (BY_CLIENT, REASON)
    assert by_client.code == BY_CLIENT


async def _answer(
    ws: WebSocketConnection, message: Message, received: list[Message]
) -> None:
    if message == PING_ME:
        await ws.ping()
        await ws.send_message(PONG_SEEN)
    elif message == CLOSE_ME:
        await ws.aclose(BY_SERVER, REASON)
    else:
        received.append(message)
        await ws.send_message(message)


def _closed(ws: WebSocketConnection) -> tuple[int, str | None]:
    assert ws.closed is not None
    return ws.closed.code, ws.closed.reason
