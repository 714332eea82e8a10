"""Through HTTP proxies, with TLS in every place, and proxies that are hostile."""

from __future__ import annotations

import base64
import ssl
import traceback
from typing import Any

import anyio
import pytest
from anyio.abc import ByteStream

from anyio_websocket import (
    ConnectionRejected,
    ConnectionTimeout,
    HandshakeError,
    ProxyError,
    connect_websocket_url,
    open_websocket,
    open_websocket_url,
)
from anyio_websocket._client._http_proxy import TunnelRequest, TunnelResponse
from anyio_websocket._protocol import HandshakeFailure
from anyio_websocket._transport import _connect
from anyio_websocket.testing import ScriptedPeer

from ..support.forward_proxies import http_proxy, proxying, saying
from ..support.servers import serving
from ..support.sockets import resetting_server

SECRET = base64.b64encode(b"me:secret").decode()


@pytest.mark.parametrize("own", [False, True])
@pytest.mark.parametrize("tls_with_server", [False, True])
@pytest.mark.parametrize("tls_with_proxy", [False, True])
async def test_a_tunnel(
    tls_with_proxy: bool,
    tls_with_server: bool,
    own: bool,
    server_tls: ssl.SSLContext,
    client_tls: ssl.SSLContext,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(_connect, "can_wait_for_sockets", lambda: own)
    proxy_tls = server_tls if tls_with_proxy else None
    async with (
        serving(tls=server_tls if tls_with_server else None) as port,
        proxying(http_proxy, proxy_tls) as proxy,
    ):
        scheme = "https" if tls_with_proxy else "http"
        options: dict[str, Any] = {
            "proxy": f"{scheme}://me:s%65cret@localhost:{proxy.port}",
            "proxy_ssl": client_tls if tls_with_proxy else None,
        }
        use_ssl = client_tls if tls_with_server else False
        async with open_websocket(
            "localhost", port, "/", use_ssl=use_ssl, **options
        ) as ws:
            await ws.send_message(b"x" * 2**20)
            assert await ws.get_message() == b"x" * 2**20
        (head,) = proxy.asked
        lines = head.split(b"\r\n")
        assert lines[0] == f"CONNECT localhost:{port} HTTP/1.1".encode()
        assert f"Host: localhost:{port}".encode() in lines
        assert f"Proxy-Authorization: Basic {SECRET}".encode() in lines
        assert any(line.startswith(b"User-Agent: anyio_websocket/") for line in lines)


async def test_the_environment_names_a_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    async with serving() as port, proxying(http_proxy) as proxy:
        monkeypatch.setenv("all_proxy", f"127.0.0.1:{proxy.port}")
        monkeypatch.setenv("no_proxy", "")
        url = f"ws://echo.test:{port}"
        async with anyio.create_task_group() as tasks:
            ws = await connect_websocket_url(tasks, url, user_agent=None)
            await ws.send_message("hello")
            assert await ws.get_message() == "hello"
            await ws.aclose()
        assert b"User-Agent" not in proxy.asked[0]
        extra = {"User-Agent": "for the server"}
        async with open_websocket_url(url, user_agent="me ", extra_headers=extra):
            assert b"User-Agent: me\r\n" in proxy.asked.pop() + b"\r\n"
        async with open_websocket_url(f"ws://127.0.0.1:{port}"):
            assert len(proxy.asked) == 1  # never for this machine
        with pytest.raises(HandshakeError):
            async with open_websocket_url(url, proxy=None):
                raise AssertionError
        monkeypatch.setenv("no_proxy", "test")
        with pytest.raises(HandshakeError):
            async with open_websocket_url(url):
                raise AssertionError
        assert len(proxy.asked) == 1


async def error_of(
    port: int, url: str = "ws://echo.test/?secret", **options: Any
) -> Any:
    """Fail with a proxy that has a password; return the error, which is whole."""
    proxy = options.pop("proxy", f"http://me:secret@127.0.0.1:{port}")
    with pytest.raises(HandshakeError) as caught:
        async with open_websocket_url(url, proxy=proxy, **options):
            raise AssertionError
    error = caught.value
    for text in (
        str(error),
        repr(error),
        "".join(traceback.format_exception_only(error)),
    ):
        assert "secret" not in text
        assert SECRET not in text
    assert f"the server at echo.test:{443 if 'wss' in url else 80}" in str(error)
    assert f"://127.0.0.1:{port}" in str(error)
    async with anyio.create_task_group() as tasks:
        with pytest.raises((type(error), OSError)) as raw:
            await connect_websocket_url(tasks, url, proxy=proxy, **options)
    if isinstance(raw.value, OSError):  # TLS with the server failed
        assert raw.value.args == getattr(error.__cause__, "args", None)
    else:
        assert str(raw.value) == str(error)
    return error


@pytest.mark.parametrize(
    ("answer", "text", "status"),
    [
        (
            b"HTTP/1.1 407 secret\r\nContent-Length: 99\r\n\r\n",
            "the proxy answered 407 (Proxy Authentication Required). It wants a user",
            407,
        ),
        (b"HTTP/1.0 502 x\r\n\r\n", "the proxy answered 502 (Bad Gateway)", 502),
        (b"HTTP/1.1 699 x\r\n\r\n", "the proxy answered 699", 699),
        (b"HTTP/1.1 302 x\r\nLocation: http://a\r\n\r\n", "answered 302 (Found)", 302),
        (b"\5\0", "the proxy's response is not HTTP/1.1", None),
        (b"HTTP/1.1 200 OK\r\nA: " + b"b" * 9000, "response is too large", None),
        (b"HTTP/1.1 100 Wait\r\n\r\n" * 11, "more than 10 interim responses", None),
        (b"", "the proxy closed the connection before it responded", None),
        (b"HTTP/1.1 200", "the proxy closed the connection before it", None),
    ],
)
async def test_a_proxy_that_makes_no_tunnel(
    answer: bytes, text: str, status: int | None
) -> None:
    async with proxying(saying(answer)) as proxy:
        error = await error_of(proxy.port, max_head_size=1024)
        assert type(error) is ProxyError
        assert text in str(error)
        assert error.status_code == status


async def test_what_comes_behind_the_response_is_the_servers() -> None:
    busy = b"HTTP/1.1 503 Busy\r\nContent-Length: 4\r\n\r\nbusy"
    ok = b"HTTP/1.1 200 OK\r\n\r\n"
    async with proxying(saying(ok + busy)) as proxy:
        error = await error_of(proxy.port)
        assert isinstance(error, ConnectionRejected)
        assert (error.status_code, error.body) == (503, b"busy")
        error = await error_of(proxy.port, "wss://echo.test/?secret")
        assert isinstance(error.__cause__, ssl.SSLError)
    # What is not complete yet is completed.
    async with proxying(_late(ok + busy[:10], busy[10:])) as proxy:
        assert (await error_of(proxy.port)).body == b"busy"


def _late(first: bytes, second: bytes) -> Any:
    async def answer(stream: ByteStream, asked: list[Any]) -> None:
        peer = ScriptedPeer(stream, is_client=False)
        await peer.receive_head()
        await stream.send(first)
        await peer.receive_head()  # the request to upgrade
        await stream.send(second)

    return answer


async def test_the_proxy_cannot_be_reached(port: int) -> None:
    error = await error_of(port)
    assert type(error) is ProxyError
    assert "the proxy cannot be reached" in str(error)
    assert isinstance(error.__cause__, OSError)


async def test_tls_with_the_proxy_fails(
    client_tls: ssl.SSLContext, server_tls: ssl.SSLContext
) -> None:
    async with proxying(http_proxy, server_tls) as proxy:
        url = f"https://me:secret@127.0.0.1:{proxy.port}"
        error = await error_of(proxy.port, proxy=url)
        assert "the TLS handshake with the proxy failed" in str(error)
        assert isinstance(error.__cause__, ssl.SSLCertVerificationError)
    async with proxying(saying(b"")) as proxy:
        url = f"https://me:secret@127.0.0.1:{proxy.port}"
        error = await error_of(proxy.port, proxy=url, proxy_ssl=client_tls)
        assert "the proxy closed the connection during the TLS hand" in str(error)


async def test_a_reset_by_the_proxy() -> None:
    async with resetting_server(lambda asked: b"") as port:
        error = await error_of(port)
        assert type(error) is ProxyError
        assert "the connection to the proxy was lost" in str(error)
        assert isinstance(error.__cause__, OSError)


@pytest.mark.parametrize("data", [b"", b"HTTP/1.1 100 Wait\r\n\r\nHTTP/1.1 2"])
async def test_connecting_has_one_deadline(data: bytes) -> None:
    async with proxying(saying(data or b"H", then_wait=True)) as proxy:
        error = await error_of(proxy.port, connect_timeout=0.05)
        assert type(error) is ConnectionTimeout


# -- the request, without I/O ------------------------------------------------


def asked(authority: str = "example.org:443") -> TunnelRequest:
    return TunnelRequest(authority, [(b"User-Agent", b"me")], 65536)


def test_the_request() -> None:
    assert asked("[::1]:80").data == (
        b"CONNECT [::1]:80 HTTP/1.1\r\nHost: [::1]:80\r\nUser-Agent: me\r\n\r\n"
    )


@pytest.mark.parametrize(
    "head",
    [
        b"HTTP/1.0 200 Connection established\r\n\r\n",
        b"HTTP/1.1 200 \r\nContent-Length: 5\r\n\r\n",  # which means nothing here
        b"HTTP/1.1 299 Whatever\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 204 Fine\r\n\r\n",
    ],
)
def test_an_open_tunnel(head: bytes) -> None:
    request = asked()
    assert request.receive_data(head[:9]) is None
    response = request.receive_data(head[9:] + b"early")
    assert response is not None
    assert response.is_open
    assert response.trailing == b"early"


@pytest.mark.parametrize("status", [301, 407, 502])
def test_a_refusal(status: int) -> None:
    """Its body is not waited for."""
    head = b"HTTP/1.1 %d No\r\nContent-Length: 99\r\n\r\n" % status
    response = asked().receive_data(head)
    assert response == TunnelResponse(status, b"")
    assert not response.is_open


def test_no_response() -> None:
    with pytest.raises(HandshakeFailure, match="the proxy's response is not HTTP"):
        asked().receive_data(b"\x05\x00")
    with pytest.raises(HandshakeFailure, match="the proxy's response is not HTTP"):
        asked().receive_data(b"HTTP/1.1 101 Switching Protocols\r\n\r\n")
