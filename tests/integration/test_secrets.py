"""What a client was given in confidence is in none of its errors, and in no log."""

from __future__ import annotations

import base64
import traceback
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from functools import partial
from typing import Any

import httpx
import pytest
from anyio.abc import ByteStream

from anyio_websocket import (
    Attempt,
    ClientUpgrade,
    WebSocketConnection,
    WebSocketError,
    open_reconnecting,
    open_websocket_url,
    reconnecting,
)
from anyio_websocket.httpx import open_websocket
from anyio_websocket.testing import ScriptedPeer, handshake_response

from ..support.forward_proxies import proxying, saying
from ..support.servers import answering, raw_server, silent

SECRET = "s3cr3t"
BASIC = base64.b64encode(f"me:{SECRET}".encode()).decode()
TOLD: dict[str, Any] = {
    "extra_headers": {"X-Key": SECRET},
    "cookies": {"id": SECRET},
}


def texts(error: BaseException) -> Iterator[str]:
    """Give all that a traceback, a log or a debugger shows of an exception."""
    yield "".join(traceback.format_exception_only(error))
    yield repr(error)
    part = error.__cause__
    if part is None and not error.__suppress_context__:
        part = error.__context__
    if part is not None:
        yield from texts(part)


def check(*given: object) -> None:
    for text in given:
        assert SECRET not in str(text)
        assert BASIC not in str(text)


def redirecting(location: str) -> Any:
    line = f"HTTP/1.1 302 {SECRET}\r\nLocation: {location}\r\n\r\n"
    return answering(line.encode())


async def closing(stream: ByteStream) -> None:
    peer = ScriptedPeer(stream, is_client=False)
    await stream.send(handshake_response(await peer.receive_head()))
    await peer.send_close(4000)
    await peer.receive_frame()


async def unasked(stream: ByteStream) -> None:
    peer = ScriptedPeer(stream, is_client=False)
    more = f"\r\nSec-WebSocket-Protocol: other\r\nSet-Cookie: a={SECRET}\r\n\r\n"
    accepted = handshake_response(await peer.receive_head()).removesuffix(b"\r\n\r\n")
    await stream.send(accepted + more.encode())


SERVERS: list[tuple[Callable[[ByteStream], Awaitable[None]], dict[str, Any]]] = [
    (
        answering(
            f"HTTP/1.1 401 {SECRET}\r\nSet-Cookie: a={SECRET}\r\n\r\n{SECRET}".encode()
        ),
        {},
    ),
    (answering(b""), {}),
    (answering(b"HTTP/2 what\r\n\r\n"), {}),
    (silent, {"connect_timeout": 0.02}),
    (redirecting(f"/?{SECRET}"), {}),
    (redirecting(f"/?{SECRET}"), {"max_redirects": 2}),
    (redirecting(f"//other.test/{SECRET}"), {"max_redirects": 2}),
    (redirecting(f"//me:{SECRET}@other.test"), {"max_redirects": 2}),
    (closing, {}),
    (unasked, {}),
]
PROXIES = [
    (f"http://me:{SECRET}@", f"HTTP/1.1 407 {SECRET}\r\n\r\n{SECRET}".encode()),
    (f"http://me:{SECRET}@", b""),
    (f"socks5h://me:{SECRET}@", b"\5\1"),  # it wants something else
    (f"socks4://{SECRET}@", b"\0\x5d" + bytes(6)),  # the wrong user
]


@asynccontextmanager
async def failing_ways() -> AsyncGenerator[list[tuple[str, dict[str, Any]]]]:
    """Run servers and proxies that fail; yield the URLs and options that lead there."""
    place = f"/chat?token={SECRET}"
    async with AsyncExitStack() as stack:
        ways: list[tuple[str, dict[str, Any]]] = []
        for handler, options in SERVERS:
            port = await stack.enter_async_context(raw_server(handler))
            ways.append((f"ws://me:{SECRET}@127.0.0.1:{port}{place}", options))
        for url, answer in PROXIES:
            proxy = await stack.enter_async_context(proxying(saying(answer)))
            options = {"proxy": f"{url}127.0.0.1:{proxy.port}"}
            ways.append((f"ws://me:{SECRET}@echo.test{place}", options))
        yield ways


async def read(connection: WebSocketConnection) -> None:
    check(repr(connection), connection)
    while True:
        await connection.get_message()


async def test_no_secret_in_an_error_or_in_the_log(
    port: int, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    seen: list[str] = []

    async def fail(
        opening: Callable[[], AbstractAsyncContextManager[WebSocketConnection]],
        *,
        in_a_block: bool = False,
    ) -> None:
        async def connect(attempt: Attempt) -> Any:
            check(repr(attempt))
            return opening()

        options: Any = {"attempts": 2, "delays": lambda: [0], "retry": lambda _: True}
        with pytest.raises(WebSocketError) as caught:
            if in_a_block:
                async with open_reconnecting(connect, on_connect=read, **options):
                    raise AssertionError
            await reconnecting(connect, read, **options)
        seen.extend(texts(caught.value))

    async with failing_ways() as ways:
        ways.append((f"ws://me:{SECRET}@127.0.0.1:{port}/?{SECRET}", {}))  # nobody
        for url, options in ways:
            await fail(partial(open_websocket_url, url, **TOLD | options))
        await fail(partial(open_websocket_url, ways[0][0], **TOLD), in_a_block=True)
        async with httpx.AsyncClient(
            auth=("me", SECRET), headers={"X": SECRET}, trust_env=False, verify=False
        ) as client:
            for url, _ in (ways[0], ways[1], ways[-1]):
                await fail(partial(open_websocket, client, url, **TOLD))
    check(repr(open_websocket_url(ways[0][0], **TOLD)))
    check(repr(ClientUpgrade(ways[0][0])), vars(ClientUpgrade(ways[0][0])))
    check(*seen)
    assert len(seen) >= 2 * len(ways)
    logged = [
        entry for entry in caplog.records if entry.name.startswith("anyio_websocket")
    ]
    assert len(logged) >= len(ways)
    check(*(entry.getMessage() for entry in logged))


@pytest.mark.parametrize("name", ["auth", "cookies", "extra_headers", "proxy"])
def test_no_secret_in_an_error_at_the_call(name: str) -> None:
    for value in (
        *(SECRET, SECRET.encode(), [SECRET], {"a": {SECRET}}, {"a": f"{SECRET}\n"}),
        *((SECRET, 5), (f"{SECRET}:", SECRET), (SECRET, f"{SECRET}\n"), (SECRET,) * 3),
        *([("X", f"{SECRET}\n")], [(f"{SECRET} ", "x")], {f"{SECRET} ": "x"}),
        *(f"http://me:{SECRET}@", f"http://x:{SECRET}/", f"http://me:{SECRET}@x/y"),
        *(f"//{SECRET}", f"socks4://me:{SECRET}@x", f"http://me:{SECRET}\n@x"),
    ):
        options: Any = {name: value}
        for call in (
            lambda: open_websocket_url("ws://example.org/", **options),  # noqa: B023
            lambda: ClientUpgrade("ws://example.org/", **options),  # noqa: B023
        ):
            try:
                call()
            except (TypeError, ValueError) as exc:
                check(*texts(exc))
