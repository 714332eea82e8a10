"""Mistakes in calling the client's functions, named at the call."""

from __future__ import annotations

import asyncio
from typing import Any

import anyio
import pytest

from anyio_websocket import (
    WebSocketRequest,
    connect_websocket,
    connect_websocket_url,
    open_reconnecting,
    open_websocket,
    open_websocket_url,
    reconnecting,
    wrap_client_stream,
)
from anyio_websocket.testing import memory_stream_pair

from ..support.servers import serving

# -- nurseries of the user's that take no tasks --------------------------------


async def ended_nursery() -> Any:
    async with anyio.create_task_group() as tasks:
        pass
    return tasks


@pytest.mark.parametrize("wrong", [None, "tasks", object(), asyncio.TaskGroup()])
async def test_G14_what_is_not_a_nursery(wrong: Any) -> None:
    kind = type(wrong).__name__
    # Would they go as far as the network, they would raise OSError.
    for call in (
        connect_websocket(wrong, "127.0.0.1", 1, "/", use_ssl=False),
        connect_websocket(nursery=wrong, host="x", port=1, resource="", use_ssl=False),
        connect_websocket_url(wrong, "ws://127.0.0.1:1/"),
    ):
        with pytest.raises(TypeError, match=f"anyio task group or .* not .*{kind}$"):
            await call
    stream, _ = memory_stream_pair()
    with pytest.raises(TypeError, match=r"wrap_client_stream\(\) needs an anyio task"):
        await wrap_client_stream(wrong, stream, "x", "/")


async def test_G14_a_nursery_that_has_ended() -> None:
    for nursery in (await ended_nursery(), anyio.create_task_group()):
        with pytest.raises(RuntimeError, match="takes no tasks"):
            await connect_websocket(nursery, "127.0.0.1", 1, "/", use_ssl=False)
        with pytest.raises(RuntimeError, match="takes no tasks"):
            await connect_websocket_url(nursery, "ws://127.0.0.1:1/")


def test_G14_a_nursery_of_trio_that_has_ended() -> None:
    trio = pytest.importorskip("trio")

    async def main() -> None:
        async with trio.open_nursery() as nursery:
            pass
        with pytest.raises(RuntimeError, match="takes no tasks"):
            await connect_websocket_url(nursery, "ws://127.0.0.1:1/")
        with pytest.raises(TypeError, match=r"not trio\.NurseryManager"):
            await connect_websocket_url(trio.open_nursery(), "ws://127.0.0.1:1/")

    trio.run(main)


class EndsSoon:
    """A nursery that takes one task, and no more."""

    def __init__(self) -> None:
        self.taken = 0

    def start_soon(self, func: Any, /, *args: Any) -> None:
        self.taken += 1
        if self.taken > 1:
            raise RuntimeError("closed to new arrivals")


async def test_G14_a_nursery_that_ends_while_the_client_connects() -> None:
    lost = anyio.Event()

    async def handler(request: WebSocketRequest) -> None:
        ws = await request.accept()
        await ws.wait_closed()
        lost.set()

    async with serving(handler) as port:
        nursery = EndsSoon()
        with pytest.raises(RuntimeError, match="closed to new arrivals"):
            await connect_websocket(nursery, "127.0.0.1", port, "/", use_ssl=False)
        assert nursery.taken == 2
        with anyio.fail_after(5):
            await lost.wait()  # no socket is left open


async def test_H10_the_nursery_is_missing() -> None:
    secret = "ws://me:secret@127.0.0.1/"
    with pytest.raises(TypeError, match=r"connect_websocket_url.* not str$") as caught:
        await connect_websocket_url(secret)  # type: ignore[call-arg, arg-type]
    assert "secret" not in str(caught.value)
    with pytest.raises(TypeError, match=r"connect_websocket\(\) needs .* not str$"):
        await connect_websocket("x", 80, "/", use_ssl=False)  # type: ignore[call-arg, arg-type]
    async with anyio.create_task_group() as tasks:
        with pytest.raises(TypeError, match="'url'"):
            await connect_websocket_url(tasks)  # type: ignore[call-arg]


async def test_H10_a_port_behind_the_url() -> None:
    port: Any = 8765
    text = r'no port after the URL.*"ws://host:8765/"'
    with pytest.raises(TypeError, match=text):
        open_websocket_url("ws://127.0.0.1", port)
    async with anyio.create_task_group() as tasks:
        with pytest.raises(TypeError, match=text):
            await connect_websocket_url(tasks, "ws://127.0.0.1", port)


async def test_H10_without_async_with() -> None:
    opening: Any = open_websocket_url("ws://127.0.0.1:1/")
    advice = (
        r'write "async with open_websocket_url\(\.\.\.\) as connection:"; .* '
        r"use connect_websocket_url\(nursery, \.\.\.\)"
    )
    with pytest.raises(TypeError, match=f"cannot be awaited: {advice}"):
        await opening
    with pytest.raises(TypeError, match=f'is used with "with": {advice}'), opening:
        pass
    with pytest.raises(TypeError, match=f"no messages yet: {advice}"):
        async for _ in opening:
            pass
    for name in ("send_message", "get_message", "aclose", "closed"):
        with pytest.raises(AttributeError, match=f"'{name}' yet: {advice}"):
            getattr(opening, name)
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        _ = opening.nonsense
    other: Any = open_websocket("127.0.0.1", 1, "/", use_ssl=False)
    with pytest.raises(TypeError, match=r"use connect_websocket\(nursery, \.\.\.\)"):
        await other


async def test_H10_the_block_of_a_client_that_reconnects() -> None:
    opening: Any = open_reconnecting("ws://127.0.0.1:1/")
    advice = r'write "async with open_reconnecting\(\.\.\.\) as connection:"$'
    with pytest.raises(TypeError, match=advice):
        await opening
    with pytest.raises(AttributeError, match=advice):
        _ = opening.send_message


async def test_H10_entered_twice() -> None:
    async with serving() as port:
        opening = open_websocket("127.0.0.1", port, "/", use_ssl=False)
        async with opening:
            pass
        with pytest.raises(RuntimeError, match=r"call open_websocket\(\) again"):
            async with opening:
                pass


async def test_H10_neither_a_nursery_nor_another_argument() -> None:
    with pytest.raises(TypeError, match="nursery"):
        await connect_websocket_url(url="ws://localhost/")  # type: ignore[call-arg]


def test_H10_options_of_what_reconnects() -> None:
    async def session(connection: object) -> None:
        raise AssertionError

    url: Any = "ws://localhost/?secret"
    for call, names in (
        (lambda **options: reconnecting(url, session, **options), "connect, session, "),
        (lambda **options: open_reconnecting(url, **options), "connect, on_connect, "),
    ):
        with pytest.raises(TypeError) as caught:
            call(extra_headers={"Authorization": "secret"})
        text = str(caught.value)
        assert "got an unexpected keyword argument 'extra_headers'" in text
        assert f"It takes {names}" in text
        assert "and attempts. Options of the connection are returned by conn" in text
        assert "secret" not in text
