"""Programs that drive Chromium over our connection: our example, and Selenium.

Selenium's BiDi is made for trio_websocket, so it needs trio. Our example does not.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import anyio
import pytest

from anyio_websocket import HTTPRequest, HTTPResponse, WebSocketRequest

from ..support.ports import own_port
from ..support.servers import serving
from .browsers import CHROMIUM_FLAGS, debugged_chromium, installed

EXAMPLE = Path(__file__).parents[2] / "examples" / "devtools.py"
SELENIUM = Path(__file__).with_name("selenium_bidi.py")

# A client of our server, driven by our client. It is not loaded before its image is.
PAGE = """<!doctype html>
<meta charset="utf-8">
<title>{path} öffnet</title>
<script>
    const ws = new WebSocket(`ws://${{location.host}}{path}`);
    ws.onopen = () => ws.send("é");
    ws.onmessage = (event) => {{
        console.log("echoed", event.data, 42);
        ws.send("done");
    }};
</script>
<img src="{path}/image">
"""


class Site:
    """Pages whose script talks to us before they are loaded; one is never loaded."""

    def __init__(self) -> None:
        self.done = {path: anyio.Event() for path in ("/a", "/b", "/never")}

    async def websocket(self, request: WebSocketRequest) -> None:
        connection = await request.accept()
        await connection.send_message(await connection.get_message())
        assert await connection.get_message() == "done"
        self.done[request.path].set()

    async def page(self, request: HTTPRequest) -> HTTPResponse:
        if request.path in self.done:
            html = PAGE.format(path=request.path).encode()
            return HTTPResponse(200, html, {"Content-Type": "text/html"})
        page = request.path.removesuffix("/image")
        if page in self.done:  # browsers ask for icons as well
            await self.done[page].wait()
        if page == "/never":
            await anyio.sleep_forever()
        return HTTPResponse(404)


async def look(
    loop: str, folder: Path, address: str, chromium: subprocess.Popen[str]
) -> None:
    """Look at two pages at once, and at one while Chromium is killed."""
    site = Site()
    async with serving(site.websocket, http_handler=site.page) as port:

        def program(*paths: str) -> list[str]:
            urls = [f"http://127.0.0.1:{port}{path}" for path in paths]
            return [sys.executable, str(EXAMPLE), loop, address, str(folder), *urls]

        async def kill_it() -> None:
            await site.done["/never"].wait()
            chromium.kill()

        result = await anyio.run_process(program("/a", "/b"))
        lines = result.stdout.decode().splitlines()
        for number, path in enumerate(("/a", "/b"), 1):
            picture = folder / f"{number}.png"
            assert picture.read_bytes().startswith(b"\x89PNG\r\n\x1a\n")
            url = f"http://127.0.0.1:{port}{path}"
            said = lines.index(f"{url} says echoed é 42")
            assert lines[said:].count(f"{url} is '{path} öffnet', see {picture}") == 1
        assert len(lines) == 4
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(kill_it)
            result = await anyio.run_process(program("/never"), check=False)
        assert result.returncode == 1
        assert b"ConnectionClosed: " in result.stderr
        assert b"(1006)" in result.stderr


@pytest.mark.parametrize("loop", ["asyncio", "trio"])
def test_our_example_drives_chromium(loop: str, tmp_path: Path) -> None:
    with debugged_chromium(tmp_path) as (address, chromium):
        anyio.run(look, loop, tmp_path, address, chromium)


def test_selenium_bidi_runs_on_our_connection(tmp_path: Path) -> None:
    pytest.importorskip("selenium")
    programs = [installed("chromedriver"), installed("chromium")]
    with own_port() as port:
        result = subprocess.run(
            [
                *(sys.executable, str(SELENIUM), str(port), *programs),
                *(*CHROMIUM_FLAGS, f"--user-data-dir={tmp_path}"),
            ],
            capture_output=True,
            text=True,
            check=True,
        )
    assert result.stdout == "hello 42 anyio_websocket 1000\n"
