"""Which pages of real browsers our server lets in, directly and through proxies."""

from __future__ import annotations

import logging
import ssl
from collections.abc import AsyncGenerator, Generator
from contextlib import AbstractContextManager, asynccontextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import anyio
import anyio.to_thread
import pytest
import trustme

from anyio_websocket import ConnectionClosed, WebSocketRequest, serve_websocket

from .browsers import OTHER_SITE, SITE, Browser
from .pages import serving_pages
from .peer import PATIENCE
from .proxies import PROXIES, proxying

# The code of the CloseEvent is all that a script learns of a refusal.
SCRIPT = """
    const [url, done] = arguments;
    const socket = new WebSocket(url);
    socket.onopen = () => socket.send("hello");
    socket.onmessage = (event) => { done(event.data); socket.close(); };
    socket.onclose = (event) => done(`closed with ${event.code}`);
"""
IN = "hello"
OUT = "closed with 1006"

# https://nginx.org/en/docs/http/websocket.html: the upstream becomes the Host.
NGINX_DOCUMENTATION = """
location /ws {
    proxy_pass http://127.0.0.1:8000;
    proxy_http_version 1.1;
    proxy_set_header Upgrade $http_upgrade;
    proxy_set_header Connection "upgrade";
}
"""
# The Host without its port, as in many tutorials.
NGINX_TUTORIALS = NGINX_DOCUMENTATION.replace("}", "proxy_set_header Host $host; }")
APACHE_DEFAULT = 'ProxyPass "/ws" "http://127.0.0.1:8000/ws" upgrade=websocket'


@pytest.fixture(scope="module")
def site_tls(
    authority: trustme.CA, tmp_path_factory: pytest.TempPathFactory
) -> tuple[ssl.SSLContext, Path]:
    """A certificate for the pages' sites, as a context and as a file."""
    certificate = authority.issue_cert(SITE, OTHER_SITE)
    path = tmp_path_factory.mktemp("site") / "site.pem"
    certificate.private_key_and_cert_chain_pem.write_to_path(path)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    certificate.configure_cert(context)
    return context, path


@pytest.fixture(scope="module")
def tls_page_port(site_tls: tuple[ssl.SSLContext, Path]) -> Generator[int]:
    with serving_pages(site_tls[0]) as port:
        yield port


class Visits(NamedTuple):
    """Our server, and a browser that visits it."""

    port: int
    requests: list[WebSocketRequest]
    browser: Browser

    async def connect(self, page: str, url: str) -> str:
        """Open a page, and a WebSocket from it; return what the page was told."""

        def connect() -> str:
            self.browser.open(page)
            return self.browser.run(SCRIPT, url)

        with anyio.fail_after(PATIENCE):
            return await anyio.to_thread.run_sync(connect)


@asynccontextmanager
async def visited(
    browser: Browser, tls: ssl.SSLContext | None = None, port: int = 0, **options: Any
) -> AsyncGenerator[Visits]:
    requests: list[WebSocketRequest] = []

    async def echo(request: WebSocketRequest) -> None:
        requests.append(request)
        ws = await request.accept()
        with suppress(ConnectionClosed):
            while True:
                await ws.send_message(await ws.get_message())

    async with anyio.create_task_group() as tasks:
        serve = partial(serve_websocket, echo, "127.0.0.1", port, tls, **options)
        yield Visits((await tasks.start(serve)).port, requests, browser)
        tasks.cancel_scope.cancel()


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [
        record.getMessage()
        for record in caplog.records
        if record.name == "anyio_websocket" and record.levelno == logging.WARNING
    ]


@asynccontextmanager
async def in_front(
    manager: AbstractContextManager[int],
) -> AsyncGenerator[int]:
    """Run a proxy without blocking the event loop while it starts and ends."""
    port = await anyio.to_thread.run_sync(manager.__enter__)
    try:
        yield port
    finally:
        with anyio.CancelScope(shield=True):
            await anyio.to_thread.run_sync(manager.__exit__, None, None, None)


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", SITE])
async def test_A19_a_page_from_another_port(
    browser: Browser, page_port: int, host: str
) -> None:
    async with visited(browser) as visits:
        page = f"http://{host}:{page_port}"
        url = f"ws://{host}:{visits.port}/"
        assert await visits.connect(page, url) == IN
        (request,) = visits.requests
        assert request.origin == page
        assert request.host == f"{host}:{visits.port}"


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", OTHER_SITE])
async def test_A19_A21_a_page_of_another_site(
    browser: Browser, page_port: int, host: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with visited(browser) as visits:
        page = f"http://{SITE}:{page_port}"
        assert await visits.connect(page, f"ws://{host}:{visits.port}/") == OUT
        assert visits.requests == []
        (text,) = warnings(caplog)
        assert f"'{page}'" in text
        assert f"'{host}:{visits.port}'" in text
        assert "origins=" in text


async def test_A18_http_and_https_pages_and_our_own_tls(
    browser: Browser,
    page_port: int,
    tls_page_port: int,
    site_tls: tuple[ssl.SSLContext, Path],
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with visited(browser, site_tls[0]) as visits:
        url = f"wss://{SITE}:{visits.port}/"
        assert await visits.connect(f"https://{SITE}:{tls_page_port}", url) == IN
        assert await visits.connect(f"http://{SITE}:{page_port}", url) == OUT
        (text,) = warnings(caplog)
        assert "only https pages" in text


async def test_A19_files_have_no_origin(browser: Browser, tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    page.write_text("<!doctype html>")
    async with visited(browser) as visits:
        url = f"ws://localhost:{visits.port}/"
        assert await visits.connect(page.as_uri(), url) == OUT
    async with visited(browser, origins=["null"]) as visits:
        url = f"ws://localhost:{visits.port}/"
        assert await visits.connect(page.as_uri(), url) == IN


@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.parametrize("proxy", PROXIES)
async def test_A19_through_a_proxy_as_our_page_says(
    browser: Browser,
    proxy: str,
    scheme: str,
    port: int,
    page_port: int,
    site_tls: tuple[ssl.SSLContext, Path],
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    certificate = site_tls[1] if scheme == "https" else None
    running = proxying(proxy, tmp_path, port, page_port, certificate=certificate)
    async with in_front(running) as site_port, visited(browser, port=port) as visits:
        page = f"{scheme}://{SITE}:{site_port}"
        url = f"{scheme.replace('http', 'ws')}://{SITE}:{site_port}/ws"
        assert await visits.connect(page, url) == IN
        (request,) = visits.requests
        assert request.host == f"{SITE}:{site_port}"
        assert request.origin == page
        assert warnings(caplog) == []
        # A page of another site comes the same way, and is told apart.
        foreign = f"http://{OTHER_SITE}:{page_port}"
        assert await visits.connect(foreign, url) == OUT
        (text,) = warnings(caplog)
        assert f"'{foreign}'" in text
        assert f"'{SITE}:{site_port}'" in text


async def test_A19_a_host_without_its_port(
    browser: Browser, port: int, page_port: int, tmp_path: Path
) -> None:
    running = proxying("nginx", tmp_path, port, page_port, snippet=NGINX_TUTORIALS)
    async with in_front(running) as site_port, visited(browser, port=port) as visits:
        page, url = f"http://{SITE}:{site_port}", f"ws://{SITE}:{site_port}/ws"
        assert await visits.connect(page, url) == IN
        assert visits.requests[0].host == SITE


@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.parametrize(
    ("proxy", "snippet"), [("nginx", NGINX_DOCUMENTATION), ("apache", APACHE_DEFAULT)]
)
async def test_A19_A21_a_proxy_that_names_the_upstream(
    browser: Browser,
    proxy: str,
    snippet: str,
    scheme: str,
    port: int,
    page_port: int,
    site_tls: tuple[ssl.SSLContext, Path],
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    certificate = site_tls[1] if scheme == "https" else None
    running = proxying(
        *(proxy, tmp_path, port, page_port), certificate=certificate, snippet=snippet
    )
    async with in_front(running) as site_port:
        page = f"{scheme}://{SITE}:{site_port}"
        url = f"{scheme.replace('http', 'ws')}://{SITE}:{site_port}/ws"
        async with visited(browser, port=port) as visits:
            # Firefox says over https that this is the page's own site.
            says_so = browser.name == "firefox" and scheme == "https"
            assert await visits.connect(page, url) == (IN if says_so else OUT)
            if not says_so:
                (text,) = warnings(caplog)
                assert f"'{page}'" in text
                assert f"'127.0.0.1:{port}'" in text
                assert "pass on the Host header" in text
            foreign = f"http://{OTHER_SITE}:{page_port}"
            assert await visits.connect(foreign, url) == OUT
        # What the warning says helps.
        async with visited(browser, port=port, origins=[page]) as visits:
            assert await visits.connect(page, url) == IN
