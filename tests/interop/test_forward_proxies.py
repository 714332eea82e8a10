"""Our client through the proxies that people run."""

from __future__ import annotations

from collections.abc import Generator

import pytest

from anyio_websocket import ProxyError, open_websocket_url

from ..support.servers import serving
from .forward_proxies import running
from .peer import Tls

# The proxy, and the URLs with which to use it.
WAYS = {
    "tinyproxy": ["http://me:secret@"],
    "squid": ["http://"],
    "squid-tls": ["https://"],
    "microsocks": ["socks5://me:secret@", "socks5h://me:secret@"],
    # Not 4a: to Dante 1.4.2 the name is an address, for curl too.
    "dante": ["socks4://", "socks5://", "socks5h://"],
}
REFUSALS = {
    "tinyproxy": ("http://me:wrong@", 401),
    "squid": None,
    "squid-tls": None,
    "microsocks": ("socks5h://me:wrong@", None),
    "dante": None,
}


@pytest.fixture(scope="module", params=sorted(WAYS))
def proxy(
    request: pytest.FixtureRequest,
    tls: Tls,
    tmp_path_factory: pytest.TempPathFactory,
) -> Generator[tuple[str, int]]:
    name: str = request.param
    with running(name, tmp_path_factory.mktemp(name), tls.certificate) as port:
        yield name, port


async def test_through_a_proxy(proxy: tuple[str, int], tls: Tls) -> None:
    name, proxy_port = proxy
    message = b"0123456789" * 100_000
    async with serving() as plain_port, serving(tls=tls.server) as tls_port:
        for start in WAYS[name]:
            proxy_ssl = tls.client if start == "https://" else None
            for url, context in (
                (f"ws://127.0.0.1:{plain_port}", None),
                (f"wss://localhost:{tls_port}", tls.client),
            ):
                async with open_websocket_url(
                    url,
                    context,
                    proxy=f"{start}127.0.0.1:{proxy_port}",
                    proxy_ssl=proxy_ssl,
                    connect_timeout=20,
                ) as ws:
                    await ws.send_message(message)
                    assert await ws.get_message() == message
                    await ws.aclose(4000, "bye")
                    assert ws.closed is not None
                    assert ws.closed.code == 4000


async def test_a_refusal(proxy: tuple[str, int], port: int) -> None:
    """Nobody listens where the proxy is to connect; then, the password is wrong."""
    name, proxy_port = proxy
    start = WAYS[name][0].replace("https", "http")
    if name != "squid-tls":
        with pytest.raises(ProxyError) as caught:
            async with open_websocket_url(
                f"ws://127.0.0.1:{port}", proxy=f"{start}127.0.0.1:{proxy_port}"
            ):
                raise AssertionError
        assert caught.value.status_code in (None, 500, 502, 503)
    if refusal := REFUSALS[name]:
        start, status = refusal
        with pytest.raises(ProxyError) as caught:
            async with open_websocket_url(
                f"ws://127.0.0.1:{port}", proxy=f"{start}127.0.0.1:{proxy_port}"
            ):
                raise AssertionError
        assert caught.value.status_code == status
        assert "wrong" not in str(caught.value)
