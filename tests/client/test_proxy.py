"""Proxies as users name them, and what cannot work, at the call."""

from __future__ import annotations

import gc
import importlib.util
import pickle
import ssl
from typing import Any

import anyio
import pytest

from anyio_websocket import ProxyError, WebSocketRequest, open_websocket_url
from anyio_websocket._client import _proxy

from ..support.forward_proxies import Answer, http_proxy, proxying, socks_proxy
from ..support.servers import serving
from ..support.steps import cancelled_at
from ..support.sweeps import swept


@pytest.mark.parametrize(
    ("proxy", "text"),
    [
        ("example.org:8080", 'the URL scheme must be "http", "https", "socks4"'),
        ("ftp://secret@x", r'or "socks5h", not \'ftp\''),
        ("http://", "the URL has no host"),
        ("http://x/path", "a proxy's URL has no path"),
        ("http://x?secret", "a proxy's URL has no path"),
        ("http://x#secret", "a proxy's URL has no path"),
        ("http://x:0", "the port must be between"),
        ("http://a b", "the URL has spaces"),
        ("http://a..b", "the host is not a valid name"),
        ("http://sec%3Aret:secret@x", "must not have a colon"),
        ("http://secret:%FF@x", "not UTF-8"),
        ("http://secret:%0A@x", "control characters"),
        ("socks4://secret:secret@x", "SOCKS 4 knows user names and no passwords"),
        ("socks5://" + "secret" * 50 + "@x", "SOCKS 5 takes 255 bytes"),
    ],
)
def test_what_is_no_proxy(
    proxy: str, text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ValueError, match=f"^proxy: .*{text}") as caught:
        open_websocket_url("ws://x.test", proxy=proxy)
    assert "secret" not in str(caught.value)
    if "://" in proxy:
        monkeypatch.setenv("ALL_PROXY", proxy)
        with pytest.raises(ValueError, match=f"^all_proxy: .*{text}") as caught:
            open_websocket_url("ws://x.test")
        assert "secret" not in str(caught.value)


def test_options_that_contradict_each_other(
    client_tls: ssl.SSLContext,
    server_tls: ssl.SSLContext,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    via: Any = anyio.TCPConnectable("x.test", 80)
    for options, text in (
        ({"proxy": ""}, "proxy must not be empty"),
        ({"proxy": "http://x", "unix_path": "/a"}, "unix_path and proxy exclude"),
        ({"proxy": "http://x", "via": via}, "via and proxy exclude"),
        ({"proxy": None, "proxy_ssl": client_tls}, "for a proxy, and there is none"),
        ({"via": via, "proxy_ssl": client_tls}, "for a proxy, and there is none"),
        ({"proxy": "http://x", "proxy_ssl": client_tls}, "URL begins with https:"),
        ({"proxy": "https://x", "proxy_ssl": server_tls}, "proxy_ssl is that of a"),
    ):
        with pytest.raises(ValueError, match=text):
            open_websocket_url("ws://x.test", **options)
    for wrong in (False, 1, b"http://x"):
        with pytest.raises(TypeError, match="proxy must be a URL, None for no proxy, "):
            open_websocket_url("ws://x.test", proxy=wrong)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="proxy_ssl must be an ssl"):
        open_websocket_url("ws://x.test", proxy_ssl=True)  # type: ignore[arg-type]
    # What the environment says does not matter if the way is known, and may be a
    # proxy for which the context is not.
    monkeypatch.setenv("all_proxy", "nonsense://")
    open_websocket_url("ws://x.test", via=via)
    open_websocket_url("ws://x.test", unix_path="/a")
    open_websocket_url("ws://x.test", proxy="https://x", proxy_ssl=client_tls)
    monkeypatch.setenv("all_proxy", "http://x")
    open_websocket_url("ws://x.test", proxy_ssl=client_tls)


def test_socks_needs_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    open_websocket_url("ws://x.test", proxy="socks5://me:secret@p")
    monkeypatch.setattr(_proxy, "find_spec", lambda name: None)
    with pytest.raises(ImportError, match=r"install .*\[socks\]") as caught:
        open_websocket_url("ws://x.test", proxy="socks5://me:secret@p")
    assert str(caught.value).startswith("proxy names a SOCKS proxy")
    open_websocket_url("ws://x.test", proxy="http://p")
    monkeypatch.setenv("socks_proxy", "socks5://me:secret@p")
    with pytest.raises(ImportError, match=r"^socks_proxy names a SOCKS"):
        open_websocket_url("ws://x.test")


def test_socks_4_knows_no_ipv6() -> None:
    for scheme in ("socks4", "socks4a"):
        with pytest.raises(ValueError, match="SOCKS 4 cannot connect to IPv6"):
            open_websocket_url("ws://[2001:db8::1]", proxy=f"{scheme}://p")
    assert importlib.util.find_spec("socksio") is not None


def test_the_error_is_whole_after_pickling() -> None:
    for given in (ProxyError("no", 407), ProxyError("no", refused=True)):
        error = pickle.loads(pickle.dumps(given))
        assert (str(error), error.status_code) == ("no", given.status_code)
        assert error.refused is given.refused
    assert ProxyError("no").status_code is None
    assert not ProxyError("no").refused


@pytest.mark.sweep
@pytest.mark.parametrize(
    ("answer", "scheme"), [(http_proxy, "https"), (socks_proxy, "socks5h")]
)
async def test_F6_connecting_is_cancelled_at_every_step(
    answer: Answer, scheme: str, server_tls: ssl.SSLContext, client_tls: ssl.SSLContext
) -> None:
    """With TLS in TLS, and a redirect. A socket that stays open fails the test."""

    async def handler(request: WebSocketRequest) -> None:
        if request.path == "/a":
            await request.reject(302, extra_headers={"Location": "/b"})
        else:
            await request.accept()

    async def connect() -> None:
        async with open_websocket_url(
            f"wss://localhost:{port}/a",
            client_tls,
            proxy=f"{scheme}://me:secret@localhost:{proxy.port}",
            proxy_ssl=client_tls if scheme == "https" else None,
            max_redirects=1,
        ):
            pass

    proxy_tls = server_tls if scheme == "https" else None
    async with serving(handler, server_tls) as port:
        async with proxying(answer, proxy_tls) as proxy:
            with anyio.fail_after(20):
                count = await cancelled_at(None, connect())
                assert count > 10
                for at in swept(range(count)):
                    await cancelled_at(at, connect())
                await connect()
    gc.collect()
