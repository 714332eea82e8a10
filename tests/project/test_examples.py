"""What the README and examples/ show is run, as it stands."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import shutil
import signal
import subprocess
import sys
from base64 import b64encode
from collections.abc import Awaitable, Callable
from pathlib import Path

import anyio
import httpx
import pytest

from anyio_websocket import (
    CloseReason,
    ConnectionClosed,
    ConnectionRejected,
    WebSocketRequest,
    __version__,
    open_websocket_url,
)

from ..support.examples import output_of, wait_for_port
from ..support.forward_proxies import Answer, http_proxy, proxying, saying
from ..support.servers import serving

ROOT = Path(__file__).parents[2]
# Lines of what is a whole client of a protocol, and of what needs several machines.
LONGER = {"devtools.py": 100, "guest.py": 100, "room.py": 250}
BACKENDS = ["asyncio", "trio"] if importlib.util.find_spec("trio") else ["asyncio"]


def test_echo() -> None:
    shown = output_of(ROOT / "examples" / "echo.py", *BACKENDS)
    assert re.sub(r"\d+\.\d\d ms", "T ms", shown) == "".join(
        f"-- on {backend}\n"
        "echoed: 'hello'\n"
        "echoed: 'wörld'\n"
        "echoed: b'\\x00\\x01\\x02'\n"
        "ping: T ms\n"
        "closed: CloseReason<code=1000, name=NORMAL_CLOSURE, reason='bye'>\n"
        for backend in BACKENDS
    )


def test_reconnect(tmp_path: Path, port: int) -> None:
    example = (ROOT / "examples" / "reconnect.py").read_text("utf-8")
    assert "PORT: Final = 8765" in example
    program = tmp_path / "reconnect.py"
    program.write_text(example.replace("8765", str(port)), "utf-8")
    shown = output_of(program, *BACKENDS)
    assert shown == "".join(
        f"-- on {backend}\n"
        "received: hello\n"
        "again, because the peer closed the connection with code 1001 (GOING_AWAY), "
        "reason 'new version'\n"
        "received: here I am again\n"
        for backend in BACKENDS
    )


@pytest.mark.skipif(sys.platform == "win32", reason="no signals to send")
@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_stopping(backend: str, number: int) -> None:
    server = subprocess.Popen(
        [sys.executable, str(ROOT / "examples" / "stopping.py"), backend],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )

    async def client(port: int) -> CloseReason | None:
        async with open_websocket_url(f"ws://127.0.0.1:{port}/") as ws:
            await ws.send_message("hello")
            assert await ws.get_message() == "hello"
            server.send_signal(number)
            with anyio.fail_after(10), pytest.raises(ConnectionClosed):
                await ws.get_message()
        return ws.closed

    try:
        assert server.stdout is not None
        port = int(server.stdout.readline().rpartition(" ")[2])
        closed = anyio.run(client, port)
        output, errors = server.communicate(timeout=60)
    finally:
        server.kill()
    assert closed == CloseReason(1012, "back in a minute")
    assert output == "all clients are gone\n"
    assert errors == ""
    assert server.returncode == 0


def run_with(
    server: Callable[[str], Awaitable[None]],
) -> None:
    """Run a server, which runs an example on each event loop."""
    for backend in BACKENDS:
        anyio.run(server, backend)


def run_with_port(
    name: str, backend: str, client: Callable[[int], Awaitable[None]]
) -> None:
    """Run an example that serves, and a client of the port that it prints."""
    server = subprocess.Popen(
        [sys.executable, str(ROOT / "examples" / name), backend],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert server.stdout is not None
        anyio.run(client, int(server.stdout.readline().rpartition(" ")[2]))
        assert server.poll() is None
    finally:
        server.kill()
        _, errors = server.communicate(timeout=60)
    assert "Traceback" not in errors


async def run_example(name: str, *arguments: str, **environment: str) -> str:
    result = await anyio.run_process(
        [sys.executable, str(ROOT / "examples" / name), *arguments],
        env=os.environ | environment,
    )
    return result.stdout.decode().replace("\r\n", "\n")


def test_through_a_proxy() -> None:
    async def run(backend: str, answer: Answer) -> str:
        async with serving() as port, proxying(answer) as proxy:
            return await run_example(
                "through_a_proxy.py",
                *(f"ws://echo.test:{port}", f"http://127.0.0.1:{proxy.port}"),
                backend,
            )

    for backend in BACKENDS:
        assert anyio.run(run, backend, http_proxy) == "hello\n"
    refusing = saying(b"HTTP/1.1 407 No\r\n\r\n")
    shown = anyio.run(run, "asyncio", refusing)
    assert shown == "the proxy wants a user name and a password\n"
    shown = anyio.run(run, "asyncio", saying(b"HTTP/1.1 502 No\r\n\r\n"))
    assert "the proxy answered 502 (Bad Gateway)" in shown


def test_login() -> None:
    async def server(backend: str) -> None:
        logins: list[str | None] = []
        agents: list[str | None] = []

        async def handler(request: WebSocketRequest) -> None:
            agents.append(request.header("user-agent"))
            logins.append(request.header("authorization") or request.header("cookie"))
            if len(logins) == 2:
                await request.reject(401)
            else:
                await (await request.accept()).send_message("welcome")

        secrets = {"PASSWORD": "secret", "TOKEN": "secret", "SESSION": "secret"}
        async with serving(handler) as port:
            url = f"ws://127.0.0.1:{port}/chat"
            shown = await run_example("login.py", url, backend, **secrets)
        basic = "Basic " + b64encode(b"me:secret").decode()
        assert logins == [basic, "Bearer secret", "session=secret"]
        ours = f"anyio_websocket/{__version__}"
        assert agents == ["demo/1", ours, ours]
        assert shown.splitlines() == [
            "welcome",
            f"the server at 127.0.0.1:{port} answered 401 to the request for /chat",
            "welcome",
        ]

    run_with(server)


def test_redirects() -> None:
    async def handler(request: WebSocketRequest) -> None:
        location = {"/a": "b", "/c": "//other.test/"}.get(request.path)
        if location is None:
            await request.accept()
        else:
            await request.reject(302, extra_headers={"Location": location})

    async def server(backend: str) -> None:
        async with serving(handler) as port:
            url = f"ws://127.0.0.1:{port}"
            shown = await run_example("redirects.py", f"{url}/a", backend)
            assert shown == "connected to /b\n"
            shown = await run_example("redirects.py", f"{url}/c", backend)
            assert "it leads to another origin, ws://other.test:80" in shown

    run_with(server)


@pytest.mark.parametrize("backend", BACKENDS)
def test_json_rpc(backend: str) -> None:
    shown = output_of(ROOT / "examples" / "json_rpc.py", backend)
    assert shown.splitlines() == [
        "3",
        "WÖRLD",
        "{'code': -32601, 'message': 'Method not found'}",
        "Parse error",
    ]


def test_upload(tmp_path: Path) -> None:
    content = bytes(range(256)) * 1000
    (tmp_path / "file").write_bytes(content)

    async def handler(request: WebSocketRequest) -> None:
        ws = await request.accept()
        message = await ws.get_message()
        await ws.send_message(f"{len(message)} bytes, {message == content}")

    async def server(backend: str) -> None:
        async with serving(handler) as port:
            url = f"ws://127.0.0.1:{port}"
            path = str(tmp_path / "file")
            shown = await run_example("upload.py", url, backend, path)
        assert shown == "the server says: 256000 bytes, True\n"

    run_with(server)


def test_download(tmp_path: Path) -> None:
    content = bytes(range(256)) * 8000

    async def handler(request: WebSocketRequest) -> None:
        ws = await request.accept()
        await ws.send_message(content)
        await ws.send_message("that was all")

    async def server(backend: str) -> None:
        async with serving(handler) as port:
            url = f"ws://127.0.0.1:{port}"
            path = tmp_path / f"file-{backend}"
            shown = await run_example("download.py", url, backend, str(path))
        assert shown == "the server says: that was all\n"
        assert path.read_bytes() == content

    run_with(server)


def test_pings() -> None:
    async def handler(request: WebSocketRequest) -> None:
        ws = await request.accept()
        await ws.ping(b"alive?")
        await ws.send_message("yes")

    async def server(backend: str) -> None:
        async with serving(handler) as port:
            shown = await run_example("pings.py", f"ws://127.0.0.1:{port}", backend)
        assert shown == "pinged: alive?\nreceived: yes\n"

    run_with(server)


def test_over_httpx() -> None:
    async def server(backend: str) -> None:
        async with serving() as port:
            url = f"http://127.0.0.1:{port}/api/"
            assert await run_example("over_httpx.py", url, backend) == "hello\n"

    run_with(server)


@pytest.mark.parametrize("backend", BACKENDS)
def test_rooms(backend: str) -> None:
    async def client(port: int) -> None:
        url = f"ws://127.0.0.1:{port}"
        protocols = ["chat.v1", "chat.v2"]
        async with (
            open_websocket_url(f"{url}/rooms/7", subprotocols=protocols) as one,
            open_websocket_url(f"{url}/rooms/7") as other,
        ):
            assert one.subprotocol == "chat.v2"
            assert other.subprotocol is None
            await other.send_message("hello")
            assert await other.get_message() == "room 7: 'hello'"
            with pytest.raises(ConnectionRejected, match="answered 401"):
                async with open_websocket_url(f"{url}/status"):
                    pass
            async with open_websocket_url(
                f"{url}/status", auth=("ann", "secret")
            ) as status:
                assert await status.get_message() == "ann, guests: Counter({7: 2})"
        with pytest.raises(ConnectionRejected, match="answered 404"):
            async with open_websocket_url(f"{url}/rooms/x"):
                pass

    run_with_port("rooms.py", backend, client)


@pytest.mark.parametrize("backend", BACKENDS)
def test_prices(backend: str) -> None:
    async def client(port: int) -> None:
        url = f"ws://127.0.0.1:{port}"
        async with (
            open_websocket_url(f"{url}/acme") as one,
            open_websocket_url(f"{url}/acme") as other,
            open_websocket_url(f"{url}/initech") as third,
        ):
            price = (await third.get_json())["initech"]
            assert abs((await third.get_json())["initech"] - price) == 1
            seen = [await one.get_message() for _ in range(5)]
            # All subscribers get the same.
            while await other.get_message() != seen[-1]:
                pass
        with pytest.raises(ConnectionRejected, match="answered 404"):
            async with open_websocket_url(f"{url}/unknown"):
                pass

    run_with_port("prices.py", backend, client)


@pytest.mark.parametrize("backend", BACKENDS)
def test_inside_h11(backend: str) -> None:
    async def client(port: int) -> None:
        async with open_websocket_url(f"ws://127.0.0.1:{port}/") as ws:
            await ws.send_message("hello")
            assert await ws.get_message() == "hello"
        with pytest.raises(ConnectionRejected, match="answered 403"):
            async with open_websocket_url(f"ws://127.0.0.1:{port}/", origin="http://x"):
                pass
        async with httpx.AsyncClient(trust_env=False) as pages:
            h2c = {"Connection": "Upgrade", "Upgrade": "h2c"}
            page = await pages.get(f"http://127.0.0.1:{port}/", headers=h2c)
        assert (page.status_code, page.text) == (200, "This is a page.\n")

    run_with_port("inside_h11.py", backend, client)


def test_market_data() -> None:
    async def server(backend: str) -> None:
        async def exchange(request: WebSocketRequest) -> None:
            assert request.header("authorization") == "Bearer secret"
            connection = await request.accept()
            assert json.loads(await connection.get_message())["after"] == 0
            for number in (1, 2):
                trade = {"number": number, "price": 100 + number}
                await connection.send_message(json.dumps(trade))

        async with serving(exchange) as port:
            url = f"ws://127.0.0.1:{port}/"
            shown = await run_example("market_data.py", url, backend)
            assert shown == "2 trades, the last at 102\n"

    run_with(server)


def test_orders() -> None:
    async def server(backend: str) -> None:
        logins: list[object] = []

        async def exchange(request: WebSocketRequest) -> None:
            connection = await request.accept()
            logins.append(await connection.get_json())
            number = (await connection.get_json())["order"]
            if len(logins) == 1:
                await connection.aclose(1001)
                return
            while True:
                await connection.send_json({"confirmed": number})
                number = (await connection.get_json())["order"]

        async with serving(exchange, handler_errors="raise") as port:
            url = f"ws://127.0.0.1:{port}/"
            shown = await run_example("orders.py", url, backend)
        assert shown == "confirmed: 1\nconfirmed: 2\nconfirmed: 3\n"
        assert logins == [{"login": "me"}] * 2

    run_with(server)


def test_relay() -> None:
    async def server(backend: str) -> None:
        async def handler(request: WebSocketRequest) -> None:
            ws = await request.accept()
            if request.path == "/source":
                await ws.send_messages(["wörld", "", "x"])
            else:
                got.extend([text async for text in ws])

        got: list[str | bytes] = []
        async with serving(handler) as port:
            url = f"ws://127.0.0.1:{port}"
            await run_example("relay.py", f"{url}/source", backend, f"{url}/other")
        assert got == ["wörld", "", "x"]

    run_with(server)


def test_many() -> None:
    async def server(backend: str) -> None:
        async def handler(request: WebSocketRequest) -> None:
            ws = await request.accept()
            await ws.send_message("1000")
            got.extend([await ws.get_message() for _ in range(1000)])

        got: list[str | bytes] = []
        async with serving(handler) as port:
            await run_example("many.py", f"ws://127.0.0.1:{port}", backend)
        assert got == [f"row {number}" for number in range(1000)]

    run_with(server)


def test_facts() -> None:
    async def server(backend: str) -> None:
        async def handler(request: WebSocketRequest) -> None:
            ws = await request.accept(extra_headers={"X-Version": "7"})
            await ws.send_message("hello")
            await ws.aclose(4000, "bye")

        async with serving(handler) as port:
            shown = await run_example("facts.py", f"ws://127.0.0.1:{port}", backend)
        assert shown.splitlines() == [
            "the server answered 101, version 7",
            "received: hello",
            f"not a normal end: {CloseReason(4000, 'bye')!r}",
            "safe to send again",
        ]

    run_with(server)


# Does what "ssh -W" does, without the encryption.
TUNNEL = """
import os, socket, sys, threading
peer = socket.create_connection(("127.0.0.1", int(sys.argv[1])))
def send():
    while data := os.read(0, 65536):
        peer.sendall(data)
    peer.shutdown(socket.SHUT_WR)
threading.Thread(target=send, daemon=True).start()
while data := peer.recv(65536):
    os.write(1, data)
"""


def test_by_command() -> None:
    async def server(backend: str) -> None:
        async with serving() as port:
            command = (sys.executable, "-c", TUNNEL, str(port))
            url = "ws://echo.test/"
            shown = await run_example("by_command.py", url, backend, *command)
        assert shown == "hello\n"

    run_with(server)


@pytest.mark.parametrize("backend", BACKENDS)
def test_metrics(backend: str) -> None:
    shown = output_of(ROOT / "examples" / "metrics.py", backend)
    (resource,) = json.loads(shown)["resource_metrics"]
    (scope,) = resource["scope_metrics"]
    found = {
        metric["name"]: metric["data"]["data_points"] for metric in scope["metrics"]
    }
    assert found["websocket.server.connections"][0]["value"] == 0
    sent, received = found["websocket.server.io"]
    assert sent["attributes"] == {"network.io.direction": "transmit"}
    assert (sent["value"], received["value"]) == (7 + 4, 11 + 8)
    (duration,) = found["websocket.server.connection.duration"]
    assert duration["attributes"] == {"websocket.close.code": 1000}
    assert duration["count"] == 1


@pytest.mark.parametrize("backend", BACKENDS)
def test_structured_log(backend: str) -> None:
    server = subprocess.Popen(
        [sys.executable, str(ROOT / "examples" / "structured_log.py"), backend],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert server.stdout is not None
    lines: list[dict[str, object]] = []

    async def clients(port: int) -> None:
        assert server.stdout is not None
        url = f"ws://127.0.0.1:{port}"
        async with open_websocket_url(url) as ws:
            lines.append(json.loads(server.stdout.readline()))
            await ws.aclose(4000)
        lines.append(json.loads(server.stdout.readline()))
        with pytest.raises(ConnectionRejected):
            async with open_websocket_url(f"{url}/no"):
                raise AssertionError
        lines.extend(json.loads(server.stdout.readline()) for _ in range(2))

    try:
        anyio.run(clients, int(server.stdout.readline()))
    finally:
        server.kill()
        server.communicate()
    opened, closed, logged, rejected = lines
    assert (opened["event"], opened["level"]) == ("open", "info")
    assert (closed["event"], closed["code"]) == ("close", 4000)
    assert opened["connection"] == closed["connection"] == "server-0"
    assert "returned without calling request.accept()" in str(logged["event"])
    assert logged["level"] == "error"
    assert (rejected["event"], rejected["status"]) == ("reject", 500)


def test_every_example_is_short_and_has_a_test() -> None:
    tests = "".join(path.read_text("utf-8") for path in (ROOT / "tests").rglob("*.py"))
    for path in (ROOT / "examples").rglob("*.py"):
        limit = LONGER.get(path.name, 60)
        assert len(path.read_text("utf-8").splitlines()) < limit, path
        # It is run by this name, or loaded.
        assert re.search(rf'"(\w+/)*{path.name}"', tests), path


def test_readme(tmp_path: Path, port: int) -> None:
    readme = (ROOT / "README.md").read_text("utf-8")
    programs = dict(re.findall(r"<!-- (\w+) -->\n```python\n(.+?)```", readme, re.S))
    for name, program in programs.items():
        # As short as promised, not counting blank lines.
        assert len([line for line in program.splitlines() if line]) <= 10, name
    for name in ("client", "server"):
        assert "8765" in programs[name]
        (tmp_path / f"{name}.py").write_text(programs[name].replace("8765", str(port)))
    server = subprocess.Popen([sys.executable, str(tmp_path / "server.py")])
    try:
        wait_for_port(port, server)
        client = subprocess.run(
            [sys.executable, str(tmp_path / "client.py")],
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        )
    finally:
        server.terminate()
        server.wait(60)
    assert client.stdout == "hello\n"
    assert client.stderr == ""


def test_secure(tmp_path: Path) -> None:
    # The certificate is made as the page says.
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed")
    script = ROOT / "docs" / "howto" / "tls" / "certificate.sh"
    subprocess.run(["sh", str(script)], cwd=tmp_path, check=True, capture_output=True)
    for backend in BACKENDS:
        shown = subprocess.check_output(
            [sys.executable, str(ROOT / "examples" / "secure.py"), backend],
            cwd=tmp_path,
            text=True,
            timeout=60,
        )
        assert shown == "TLSv1.3: 'hello'\n"
