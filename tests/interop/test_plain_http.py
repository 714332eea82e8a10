"""Plain HTTP as others ask for it: browsers, HAProxy's health checks, proxies, curl."""

from __future__ import annotations

import csv
import http.client
import socket
import time
from contextlib import closing
from functools import partial
from pathlib import Path

import anyio
import anyio.to_thread
import pytest

from anyio_websocket import (
    HTTPRequest,
    HTTPResponse,
    open_websocket_url,
    serve_websocket,
)

from ..support.examples import copy_of_example, serving_example
from ..support.ports import own_port
from ..support.servers import echo
from .browsers import BROWSERS, Browser
from .peer import PATIENCE
from .proxies import PROXIES, proxying, running

# Waits until a line is on the page of the chat room.
HEARS = """
    const [line, done] = arguments;
    const look = () => {
        const items = [...document.querySelectorAll("li")];
        if (items.some((item) => item.textContent === line)) done(line);
        else setTimeout(look, 20);
    };
    look();
"""
SAYS = """
    const [line, done] = arguments;
    document.getElementById("text").value = line;
    document.querySelector("button").click();
    done(document.getElementById("text").value);
"""
LINES = ("hello from here", "<b>hello</b> & <script>alert(1)</script>")


def test_a_chat_room_and_its_page_in_two_browsers(
    tmp_path_factory: pytest.TempPathFactory, port: int
) -> None:
    folder = tmp_path_factory.mktemp
    with (
        serving_example("chat.py", folder("chat"), port),
        BROWSERS["chromium"](folder("chromium")) as one,
        BROWSERS["firefox"](folder("firefox")) as other,
    ):
        browsers: tuple[Browser, ...] = (one, other)
        for browser in browsers:
            browser.open(f"http://127.0.0.1:{port}/")
            browser.run(HEARS, "You are in the room.")
        for speaker, line in zip(browsers, LINES, strict=True):
            assert speaker.run(SAYS, line) == ""
            for browser in browsers:
                assert browser.run(HEARS, line) == line


# How HAProxy is told to ask, instead of the line in the example.
CHECKS = {
    "1.0": "option httpchk GET /healthz",
    "1.0 OPTIONS": "option httpchk OPTIONS /healthz HTTP/1.0",
    "1.1 HEAD": """option httpchk
    http-check send meth HEAD uri /healthz ver HTTP/1.1 hdr Host site.example
    http-check expect status 200""",
    "1.1 with a body": """option httpchk
    http-check send meth POST uri /healthz ver HTTP/1.1 hdr Host x body hello
    http-check expect status 200""",
}


@pytest.mark.parametrize("check", CHECKS)
def test_haproxy_checks_our_health(
    check: str, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, port: int
) -> None:
    admin = tmp_path_factory.mktemp("admin") / "socket"

    def last_check() -> str:
        """Ask HAProxy what it thinks of the server, and why."""
        with socket.socket(socket.AF_UNIX) as sock:
            sock.connect(str(admin))
            sock.sendall(b"show stat\n")
            answer = b"".join(iter(partial(sock.recv, 65536), b"")).decode()
        for row in csv.DictReader(answer.lstrip("# ").splitlines()):
            if row["svname"] == "one":
                return f"{row['status']} {row['check_status']} {row['check_code']}"
        raise AssertionError

    def wait_for(wanted: str) -> None:
        until = time.monotonic() + PATIENCE
        while (seen := last_check()) != wanted:
            assert time.monotonic() < until, seen
            time.sleep(0.05)

    async def visit(site_port: int) -> None:
        async with open_websocket_url(f"ws://127.0.0.1:{site_port}/") as ws:
            await ws.send_message("hello")
            assert await ws.get_message() == "hello"

    with own_port() as site_port:
        changes = {
            "127.0.0.1:8765": f"127.0.0.1:{port}",
            "127.0.0.1:8080": f"127.0.0.1:{site_port}",
            "option httpchk GET /healthz": CHECKS[check],
            "inter 1s": "inter 100ms",
            "defaults": f"global\n    stats socket {admin}\n\ndefaults",
        }
        config = copy_of_example("haproxy.cfg", tmp_path, changes)
        with (
            running(["haproxy", "-db", "-f", str(config)], tmp_path, site_port),
            serving_example("health_check.py", tmp_path, port) as server,
        ):
            wait_for("UP L7OK 200")
            anyio.run(visit, site_port)
            server.terminate()
            wait_for("DOWN L7STS 503")


@pytest.mark.parametrize("proxy", PROXIES)
async def test_a_page_and_its_websocket_through_a_proxy(
    proxy: str, tmp_path: Path, port: int
) -> None:
    asked: list[HTTPRequest] = []

    async def answer(request: HTTPRequest) -> HTTPResponse:
        asked.append(request)
        return HTTPResponse(200, request.body.upper(), {"X-Served-By": "us"})

    def ask(site_port: int, method: str) -> tuple[int, str | None, bytes]:
        # An iterable is sent in chunks.
        body = iter([b"hel", b"lo"]) if method == "POST" else None
        address = ("127.0.0.1", site_port)
        with closing(http.client.HTTPConnection(*address, timeout=PATIENCE)) as client:
            client.request(method, "/page?x=y", body=body)
            response = client.getresponse()
            served_by = response.getheader("X-Served-By")
            return response.status, served_by, response.read()

    async with anyio.create_task_group() as tasks:
        serve = partial(serve_websocket, http_handler=answer)
        await tasks.start(serve, echo, "127.0.0.1", port, None)
        manager = proxying(proxy, tmp_path, port, port)  # one server for both
        site_port = await anyio.to_thread.run_sync(manager.__enter__)
        try:
            for method, body in (("GET", b""), ("HEAD", b""), ("POST", b"HELLO")):
                seen = await anyio.to_thread.run_sync(ask, site_port, method)
                assert seen == (200, "us", body)
            async with open_websocket_url(f"ws://127.0.0.1:{site_port}/ws") as ws:
                await ws.send_message("hello")
                assert await ws.get_message() == "hello"
        finally:
            with anyio.CancelScope(shield=True):
                await anyio.to_thread.run_sync(manager.__exit__, None, None, None)
        tasks.cancel_scope.cancel()
    assert [(one.method, one.target) for one in asked] == [
        (method, "/page?x=y") for method in ("GET", "HEAD", "POST")
    ]
