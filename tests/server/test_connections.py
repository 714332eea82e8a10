"""The set of a server's open connections."""

from __future__ import annotations

import anyio
import pytest

from anyio_websocket import WebSocketConnection, WebSocketRequest, WebSocketServer
from anyio_websocket.testing import MemoryListener, handshake_request

from ..support.memory_servers import accepted_client, raw_client


@pytest.mark.virtual_time
async def test_the_set_is_always_up_to_date() -> None:
    handled: list[WebSocketConnection] = []
    go_on = anyio.Event()

    async def handler(asked: WebSocketRequest) -> None:
        if asked.path == "/undecided":
            await go_on.wait()
        handled.append(await asked.accept())
        await handled[-1].wait_closed()
        await anyio.sleep(1)  # a connection that is closed counts no more

    listener = MemoryListener()
    server = WebSocketServer(handler, [listener])
    connections = server.connections
    assert not connections
    async with anyio.create_task_group() as tasks:
        await tasks.start(server.run)
        undecided = await raw_client(
            listener, handshake_request(line=b"GET /undecided HTTP/1.1")
        )
        peers = [await accepted_client(listener) for _ in range(3)]
        assert len(connections) == 3
        one, two, *_ = handled
        assert set(connections) == set(handled)
        assert one in connections
        something: object = peers[0]
        assert something not in connections
        assert repr(connections) == "<3 open connections>"
        assert connections == server.connections == frozenset(handled)
        # It is no snapshot; what is made of it is one.
        rest = connections - {one}
        assert isinstance(rest, frozenset)
        assert one not in rest
        for ws in connections:
            if ws is not two:
                async with anyio.create_task_group() as closing:
                    closing.start_soon(ws.aclose)
                    await anyio.wait_all_tasks_blocked()
                    assert ws not in connections  # it is closing
                    closing.cancel_scope.cancel()
        assert connections == {two}
        go_on.set()
        assert (await undecided.receive_head()).startswith(b"HTTP/1.1 101 ")
        assert connections == {two, handled[-1]}
        tasks.cancel_scope.cancel()
        for peer in (undecided, *peers):
            await peer.stream.aclose()
    assert not connections
