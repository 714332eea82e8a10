"""Our server on a UNIX socket, behind proxies that run as another user."""

from __future__ import annotations

import tempfile
from collections.abc import Generator
from functools import partial
from pathlib import Path

import anyio
import anyio.to_thread
import pytest

from anyio_websocket import WebSocketServer, open_websocket_url, serve_websocket_unix

from ..support.servers import echo
from .proxies import proxying

# How each is told of a UNIX socket; our how-to page says the same.
UPSTREAMS = {"nginx": "unix:{}", "haproxy": "unix@{}", "caddy": "unix/{}"}


@pytest.fixture
def open_folder() -> Generator[Path]:
    """A folder that others may look into: nginx is started by root, and changes."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        yield folder


@pytest.mark.parametrize("proxy", UPSTREAMS)
async def test_a_unix_socket_behind_a_proxy(
    proxy: str, tmp_path: Path, open_folder: Path, port: int
) -> None:
    path = open_folder / "app.sock"
    async with anyio.create_task_group() as tasks:
        server: WebSocketServer = await tasks.start(
            partial(serve_websocket_unix, echo, path, mode=0o666)
        )
        upstream = UPSTREAMS[proxy].format(path)
        manager = proxying(proxy, tmp_path, port, port, upstream=upstream)
        site_port = await anyio.to_thread.run_sync(manager.__enter__)
        try:
            async with open_websocket_url(f"ws://127.0.0.1:{site_port}/ws") as ws:
                await ws.send_message("hello")
                assert await ws.get_message() == "hello"
                tasks.start_soon(partial(server.aclose, 1012, drain=0.1))
                await ws.wait_closed()
                assert ws.closed is not None
                assert ws.closed.code == 1012
        finally:
            with anyio.CancelScope(shield=True):
                await anyio.to_thread.run_sync(manager.__exit__, None, None, None)
    assert not await anyio.Path(path).exists()
