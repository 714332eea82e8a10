"""Redirects: which are followed, where to, and what a server is told then."""

from __future__ import annotations

import ssl
from typing import Any

import anyio
import pytest
from anyio.abc import ByteStream

from anyio_websocket import (
    ConnectionRejected,
    HandshakeError,
    WebSocketRequest,
    connect_websocket_url,
    open_websocket,
    open_websocket_url,
)
from anyio_websocket._client import _url
from anyio_websocket._client._dial import Dialer
from anyio_websocket._client._redirects import Redirects
from anyio_websocket._settings import ClientSettings

from ..support.forward_proxies import http_proxy, proxying
from ..support.servers import answering, raw_server, serving

# -- where to ------------------------------------------------------------------


def led(location: bytes, url: str, *, cross_origin: bool = True) -> _url.Target:
    response = ConnectionRejected(302, ((b"location", location),))
    redirects = Redirects(1, cross_origin=cross_origin)
    return redirects.next(response, _url.parse(url))


@pytest.mark.parametrize(
    ("location", "url"),
    [
        (b"/b", "ws://x:1/b"),
        (b"b?c=%20d#e", "ws://x:1/a/b?c=%20d"),
        (b"?c", "ws://x:1/a/?c"),
        (b"", "ws://x:1/a/?q"),
        (b"#f", "ws://x:1/a/?q"),
        (b"../../b", "ws://x:1/b"),
        (b"/a b\xc3\xa9", "ws://x:1/a%20b%C3%A9"),
        (b"//X:1/b", "ws://x:1/b"),
        (b"http://x:1", "ws://x:1/"),
        (b"WS://x:1/b", "ws://x:1/b"),
        (b"/b@c", "ws://x:1/b@c"),
        (b"/\\evil.test", "ws://x:1/\\evil.test"),
    ],
)
def test_B5_the_same_origin(location: bytes, url: str) -> None:
    target = led(location, "ws://me:secret@x:1/a/?q", cross_origin=False)
    assert target[:4] == _url.parse(url)[:4]
    assert target.credentials is not None


@pytest.mark.parametrize(
    ("location", "url"),
    [
        (b"wss://x/b", "wss://x/b"),
        (b"https://x", "wss://x/"),
        (b"//y/b", "ws://y/b"),
        (b"ws://x:2", "ws://x:2/"),
        (b"http://[::1]:80/", "ws://[::1]/"),
    ],
)
def test_B5_another_origin(location: bytes, url: str) -> None:
    start = "ws://me:secret@x/"
    assert led(location, start) == _url.parse(url)
    with pytest.raises(ConnectionRejected) as caught:
        led(location, start, cross_origin=False)
    target = _url.parse(url)
    named = _url.authority(target.host, target.port)
    assert named in str(caught.value.from_server("x", "/"))


@pytest.mark.parametrize(
    ("location", "reason"),
    [
        (b"ws://x", "from wss: to ws:"),
        (b"http://x", "from wss: to ws:"),
        (b"wss://secret@x", "a user name or a password"),
        (b"//a:secret@y/", "a user name or a password"),
        (b"//:@y/", "a user name or a password"),
        (b"ftp://secret/", "no URL of a server"),
        (b"javascript:secret", "no URL of a server"),
        (b"wss:secret", "not a valid URL"),
        (b"wss:///secret", "not a valid URL"),
        (b"//secret:99999/", "not a valid URL"),
        (b"//sec\xc3\xa9ret/", "not a valid URL"),
        (b"//[secret/", "not a valid URL"),
        (b"//\\secret/", "not a valid URL"),
    ],
)
def test_B5_what_is_never_followed(location: bytes, reason: str) -> None:
    with pytest.raises(ConnectionRejected) as caught:
        led(location, "wss://x/")
    text = str(caught.value.from_server("x:443", "/"))
    assert text.startswith("the server at x:443 answered 302 to the request for /. The")
    assert reason in text
    assert "secret" not in text


def test_B5_none_is_followed_by_default() -> None:
    dialer = Dialer.for_url(_url.parse("ws://x/"), None, ClientSettings())
    for status in range(200, 600):
        with pytest.raises(ConnectionRejected) as caught:
            dialer.follow(ConnectionRejected(status).from_server("x:80", "/"))
        text = f"the server at x:80 answered {status} to the request for /"
        if status in (301, 302, 303, 307, 308):
            text += ". The redirect was not followed: max_redirects=1 would allow one"
        assert str(caught.value) == text


def test_B5_what_is_no_redirect() -> None:
    for status, headers in (
        (200, ((b"location", b"/"),)),
        (300, ((b"location", b"/"),)),
        (304, ((b"location", b"/"),)),
        (302, ()),
        (302, ((b"location", b"/"), (b"location", b"/"))),
    ):
        response = ConnectionRejected(status, headers)
        with pytest.raises(ConnectionRejected) as caught:
            Redirects(1, cross_origin=True).next(response, _url.parse("ws://x"))
        assert caught.value is response


def test_a_zone_stays() -> None:
    assert led(b"/b", "ws://[fe80::1%25eth0]/").host == "fe80::1%eth0"


# -- going there ---------------------------------------------------------------


class Site:
    """A server that redirects by path, and keeps the requests."""

    def __init__(self, **redirects: str) -> None:
        self.redirects = redirects
        self.requests: list[WebSocketRequest] = []

    async def handle(self, request: WebSocketRequest) -> None:
        self.requests.append(request)
        location = self.redirects.get(request.path.strip("/"))
        if location is None:
            await request.accept()
            return
        status = [301, 302, 303, 307, 308][len(self.requests) % 5]
        await request.reject(status, extra_headers=[("Location", location)])

    def told(self, *names: str) -> list[tuple[bool, ...]]:
        """Say for each request which of these headers it had."""
        return [tuple(r.header(n) is not None for n in names) for r in self.requests]


async def test_B5_a_chain() -> None:
    site = Site(a="b", b="/c", c="?done")
    async with serving(site.handle) as port:
        url = f"ws://me:secret@127.0.0.1:{port}/a"
        options: dict[str, Any] = {
            "cookies": {"a": "b"},
            "extra_headers": {"X-Api-Key": "secret"},
        }
        async with open_websocket_url(url, max_redirects=3, **options) as ws:
            assert ws.path == "/c?done"
        assert [r.path for r in site.requests] == ["/a", "/b", "/c", "/c?done"]
        names = ("authorization", "cookie", "x-api-key")
        assert site.told(*names) == [(True, True, True)] * 4
        with pytest.raises(ConnectionRejected) as caught:
            async with open_websocket_url(url, max_redirects=2, **options):
                raise AssertionError
        assert str(caught.value).endswith("it is one more than max_redirects=2")
        assert "secret" not in str(caught.value)
        async with anyio.create_task_group() as tasks:
            with pytest.raises(ConnectionRejected) as caught:
                await connect_websocket_url(tasks, url, **options)
        assert " to the request for /a. The redirect was not f" in str(caught.value)


async def test_B5_credentials_stay_with_the_first_server(
    server_tls: ssl.SSLContext, client_tls: ssl.SSLContext
) -> None:
    there = Site()
    async with serving(there.handle, server_tls, origins="*") as other_port:
        here = Site(a="b", b=f"https://localhost:{other_port}/x")
        there.redirects["x"] = "y"
        async with serving(here.handle, server_tls, origins="*") as port:
            async with open_websocket(
                *("127.0.0.1", port, "/a"),
                use_ssl=client_tls,
                auth=("me", "secret"),
                cookies={"a": "secret"},
                extra_headers={"X-Api-Key": "secret", "Host": "example.org"},
                origin="https://127.0.0.1",
                max_redirects=5,
                cross_origin_redirects=True,
                server_hostname="localhost",
                subprotocols=["chat"],
            ) as ws:
                assert ws.path == "/y"
    names = ("authorization", "cookie", "x-api-key", "origin", "user-agent")
    assert here.told(*names) == [(True,) * 5] * 2
    assert there.told(*names) == [(False, False, False, True, True)] * 2
    assert {r.host for r in there.requests} == {f"localhost:{other_port}"}
    assert {r.proposed_subprotocols for r in there.requests} == {("chat",)}


async def test_B5_to_tls(server_tls: ssl.SSLContext) -> None:
    """There was no context, so the system's certificates count."""
    async with serving(Site().handle, server_tls) as tls_port:
        site = Site(a=f"wss://127.0.0.1:{tls_port}/")
        async with serving(site.handle) as port:
            with pytest.raises(HandshakeError, match=f"127.0.0.1:{tls_port}") as caught:
                async with open_websocket_url(
                    f"ws://127.0.0.1:{port}/a",
                    max_redirects=1,
                    cross_origin_redirects=True,
                ):
                    raise AssertionError
    assert isinstance(caught.value.__cause__, ssl.SSLCertVerificationError)


async def test_B5_the_body_of_a_redirect_is_not_waited_for() -> None:
    endless = b"HTTP/1.1 302 x\r\nLocation: /b\r\nContent-Length: 99\r\n\r\n"
    requests: list[ByteStream] = []

    async def handle(stream: ByteStream) -> None:
        requests.append(stream)
        if len(requests) == 1:
            await answering(endless, then_wait=True)(stream)
        await answering(b"HTTP/1.1 404 x\r\nContent-Length: 0\r\n\r\n")(stream)

    async with raw_server(handle) as port:
        with pytest.raises(ConnectionRejected, match=r"answered 404 to the .* /b$"):
            async with open_websocket_url(
                f"ws://127.0.0.1:{port}/a", max_redirects=1, connect_timeout=5
            ):
                raise AssertionError


async def test_B5_a_network_that_fails_behind_a_redirect(port: int) -> None:
    site = Site(a=f"ws://127.0.0.1:{port}/")
    async with serving(site.handle) as first:
        with pytest.raises(HandshakeError, match=f"127.0.0.1:{port}") as caught:
            async with open_websocket_url(
                f"ws://127.0.0.1:{first}/a",
                max_redirects=1,
                cross_origin_redirects=True,
            ):
                raise AssertionError
        assert isinstance(caught.value.__cause__, OSError)


async def test_B5_a_name_that_only_looks_like_an_international_one() -> None:
    site = Site(a="ws://xn--999999999/")
    async with serving(site.handle) as port:
        with pytest.raises(ConnectionRejected, match="not followed: the host cannot"):
            async with open_websocket_url(
                f"ws://127.0.0.1:{port}/a", max_redirects=1, cross_origin_redirects=True
            ):
                raise AssertionError


async def test_B5_each_server_has_its_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    site = Site()
    async with serving(site.handle) as port, proxying(http_proxy) as proxy:
        site.redirects["a"] = f"ws://other.test:{port}/"
        monkeypatch.setenv("all_proxy", f"http://127.0.0.1:{proxy.port}")
        options: dict[str, Any] = {"max_redirects": 1, "cross_origin_redirects": True}
        async with open_websocket_url(f"ws://127.0.0.1:{port}/a", **options) as ws:
            assert ws.path == "/"
        assert [head.split()[1] for head in proxy.asked] == [
            f"other.test:{port}".encode()
        ]
        monkeypatch.setenv("all_proxy", "nonsense://secret@x")
        with pytest.raises(ConnectionRejected, match="followed: all_proxy: the URL"):
            async with open_websocket_url(f"ws://127.0.0.1:{port}/a", **options):
                raise AssertionError


@pytest.mark.parametrize(
    ("options", "error", "text"),
    [
        ({"max_redirects": 11}, ValueError, "max_redirects must be at most 10, not 11"),
        ({"max_redirects": -1}, ValueError, "max_redirects must be zero or more"),
        ({"max_redirects": True}, TypeError, "max_redirects must be an int"),
        ({"cross_origin_redirects": 1}, TypeError, "must be a bool, not 1"),
        ({"cross_origin_redirects": True}, ValueError, "needs max_redirects, too"),
        (
            {
                "cross_origin_redirects": True,
                "max_redirects": 1,
                "unix_path": "/a",
            },
            ValueError,
            "cannot work with unix_path",
        ),
    ],
)
def test_options_that_cannot_work(
    options: dict[str, Any], error: type[Exception], text: str
) -> None:
    with pytest.raises(error, match=text):
        open_websocket_url("ws://x", **options)
