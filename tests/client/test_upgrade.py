"""A handshake over a request that another client sends."""

from __future__ import annotations

from typing import Any

import anyio
import pytest

from anyio_websocket import (
    ClientUpgrade,
    CloseReason,
    ConnectionRejected,
    HandshakeError,
    WebSocketConnection,
)
from anyio_websocket.testing import MemoryStream, ScriptedPeer, memory_stream_pair
from anyio_websocket.testing._handshakes import accept_of

pytestmark = pytest.mark.virtual_time

URL = "wss://name:word@example.org:8443/chat?token=secret"


def accepting(upgrade: ClientUpgrade, *more: tuple[str, str]) -> list[tuple[str, str]]:
    """Build the headers with which a server accepts."""
    key = dict(upgrade.headers)["Sec-WebSocket-Key"].encode()
    return [
        ("Upgrade", "websocket"),
        ("CONNECTION", "upgrade"),
        ("Sec-WebSocket-Accept", accept_of(key).decode()),
        *more,
    ]


def test_headers() -> None:
    upgrade = ClientUpgrade(
        URL,
        subprotocols=["a", "b"],
        extra_headers=[("X", "é")],
        compression=True,
        user_agent="me",
    )
    headers = dict(upgrade.headers)
    assert list(headers) == [
        "Upgrade",
        "Connection",
        "Sec-WebSocket-Key",
        "Sec-WebSocket-Version",
        "Sec-WebSocket-Protocol",
        "Sec-WebSocket-Extensions",
        "User-Agent",
        "Authorization",
        "X",
    ]
    assert headers["Sec-WebSocket-Protocol"] == "a, b"
    assert headers["Authorization"] == "Basic bmFtZTp3b3Jk"
    assert headers["X"] == "é"
    other = dict(ClientUpgrade(URL).headers)
    assert other["Sec-WebSocket-Key"] != headers["Sec-WebSocket-Key"]


async def finished(
    upgrade: ClientUpgrade, tasks: Any, headers: Any, trailing: bytes = b""
) -> tuple[WebSocketConnection, ScriptedPeer]:
    ours, theirs = memory_stream_pair()
    connection = await upgrade.finish(tasks, ours, 101, headers, trailing)
    return connection, ScriptedPeer(theirs, is_client=False)


@pytest.mark.parametrize("as_bytes", [True, False])
async def test_the_connection_goes_on_over_the_stream(as_bytes: bool) -> None:
    upgrade = ClientUpgrade(URL, subprotocols=["a"])
    headers: Any = accepting(upgrade, ("Sec-WebSocket-Protocol", "a"), ("X-Id", "1"))
    if as_bytes:
        headers = [(name.encode(), value.encode()) for name, value in headers]
    async with anyio.create_task_group() as tasks:
        connection, peer = await finished(upgrade, tasks, headers, b"\x81\x05glued")
        assert await connection.get_message() == "glued"
        await connection.send_message("hello")
        assert (await peer.receive_frame()).payload == b"hello"
        assert connection.path == "/chat?token=secret"
        assert connection.subprotocol == "a"
        assert connection.handshake_headers == ((b"x-id", b"1"),)
        tasks.start_soon(connection.aclose)
        await peer.send_close(1000)
        await connection.wait_closed()
        assert connection.closed == CloseReason(1000, None)


@pytest.mark.parametrize(
    ("status", "headers", "error", "text"),
    [
        (403, [("X-Why", "me")], ConnectionRejected, "answered 403 .* for /chat$"),
        (101, [], HandshakeError, "example.org:8443 failed: .*Upgrade header"),
        (101, [("Upgrade", "€")], UnicodeEncodeError, "latin-1"),
    ],
)
async def test_what_cannot_be_finished(
    status: int, headers: Any, error: type[Exception], text: str
) -> None:
    stream, _ = memory_stream_pair()
    async with anyio.create_task_group() as tasks:
        with pytest.raises(error, match=text) as caught:
            await ClientUpgrade(URL).finish(tasks, stream, status, headers, b"body")
    assert stream.closed
    if isinstance(caught.value, ConnectionRejected):
        assert caught.value.headers == ((b"x-why", b"me"),)
        assert caught.value.body == b"body"


async def test_one_object_serves_one_attempt() -> None:
    upgrade = ClientUpgrade(URL)
    stream: MemoryStream
    stream, _ = memory_stream_pair()
    async with anyio.create_task_group() as tasks:
        await finished(upgrade, tasks, accepting(upgrade))
        assert not stream.closed
        with pytest.raises(RuntimeError, match="a new ClientUpgrade for each attempt"):
            await upgrade.finish(tasks, stream, 101, accepting(upgrade))
        tasks.cancel_scope.cancel()
    assert stream.closed


async def test_mistakes() -> None:
    with pytest.raises(ValueError, match="URL scheme"):
        ClientUpgrade("http://example.org/")
    with pytest.raises(TypeError, match="unexpected keyword"):
        ClientUpgrade(URL, proxy=None)  # type: ignore[call-arg]
    with pytest.raises(TypeError, match="the stream must be"):
        await ClientUpgrade(URL).finish(None, None, 101, [])  # type: ignore[arg-type]
    async with anyio.create_task_group() as tasks:
        wrong: list[tuple[Any, Any, Any, str]] = [
            (None, 101, b"", "needs an anyio task group"),
            (tasks, "101", b"", "^status must be an int, not str$"),
            (tasks, 101, 3, "^trailing must be bytes, not int$"),
        ]
        for nursery, status, trailing, text in wrong:
            stream: MemoryStream
            stream, _ = memory_stream_pair()
            upgrade = ClientUpgrade(URL)
            headers = accepting(upgrade)
            with pytest.raises(TypeError, match=text):
                await upgrade.finish(nursery, stream, status, headers, trailing)
            assert stream.closed
