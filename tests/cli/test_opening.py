"""The options of a client."""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import Any

import anyio
import pytest
import trustme

from anyio_websocket import (
    DisconnectionTimeout,
    WebSocketConnection,
    WebSocketRequest,
)
from anyio_websocket._cli._arguments import parse
from anyio_websocket._cli._failure import ExitCode, Failure
from anyio_websocket._cli._opening import use_connection
from anyio_websocket._cli._stop import Stop

from ..support.commands import Commands, ended
from ..support.forward_proxies import http_proxy, proxying
from ..support.servers import never_closes, raw_server, serving

SECRET = "s3cret"


async def test_headers_subprotocols_and_password(command: Commands) -> None:
    async def handler(request: WebSocketRequest) -> None:
        connection = await request.accept(subprotocol="two")
        await connection.send_message(repr(request.proposed_subprotocols))
        for name in ("authorization", "a", "user-agent"):
            await connection.send_message(str(request.header(name)))

    async with serving(handler) as port:
        line = ["connect", "-s", "one", "-s", "two", "-H", "A:1", "--wait", "inf"]
        line += ["-H", "User-Agent:me"]
        done = await command(*line, f"ws://me:{SECRET}@127.0.0.1:{port}")
    assert (done.code, done.error) == (0, "")
    assert done.output.decode().splitlines() == [
        *("('one', 'two')", "Basic bWU6czNjcmV0", "1", "me")
    ]


async def test_tls(
    command: Commands, tmp_path: Path, authority: trustme.CA, server_tls: ssl.SSLContext
) -> None:
    certificates = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(str(certificates))
    (tmp_path / "none.pem").write_text("nothing")

    async def handler(request: WebSocketRequest) -> None:
        await (await request.accept()).send_message("hello")

    async with serving(handler, server_tls) as port:
        url = f"wss://127.0.0.1:{port}"
        line = ("connect", "--wait", "inf", url)
        for options in (["--cafile", str(certificates)], ["--insecure"]):
            done = await command(*line, *options)
            assert (done.code, done.output, done.error) == (0, b"hello\n", "")
        done = await command(*line)
        assert done.code == 1
        assert done.error.startswith("the certificate of the server is not trusted: ")
        assert done.error.endswith("--insecure trusts any")
    for file, why in (("none", "it has no certificates"), ("missing", "No such file")):
        done = await command(*line, "--cafile", str(tmp_path / f"{file}.pem"))
        assert done.code == 2
        assert done.error.startswith(f"cannot use the file of --cafile: {why}")
    done = await command("connect", "--insecure", "ws://127.0.0.1")
    assert done.code == 2
    assert done.error == "--cafile and --insecure are for URLs that begin with wss:"


async def test_proxy(command: Commands, monkeypatch: pytest.MonkeyPatch) -> None:
    async def handler(request: WebSocketRequest) -> None:
        await (await request.accept()).send_message("hello")

    async with serving(handler) as port, proxying(http_proxy) as proxy:
        url = f"http://me:{SECRET}@127.0.0.1:{proxy.port}"
        line = ("connect", "--wait", "inf", f"ws://echo.test:{port}")
        done = await command(*line, "--proxy", url)
        assert (done.code, done.output) == (0, b"hello\n")
    # One that is wrong is told, if it counts.
    monkeypatch.setenv("http_proxy", f"ftp://me:{SECRET}@127.0.0.1")
    done = await command("connect", "ws://nosuch.invalid")
    assert done.code == 2
    assert done.error.startswith("http_proxy: the URL scheme must be")
    done = await command("connect", "ws://nosuch.invalid", "--proxy", "none")
    assert done.code == 1
    assert done.error.startswith("could not connect to the server at nosuch.invalid:80")


@pytest.mark.parametrize(
    ("line", "code", "why"),
    [
        ([f"ws://me:{SECRET}@127.0.0.1:1/?{SECRET}"], 1, "could not connect to "),
        ([f"localhost/{SECRET}"], 2, 'the URL scheme must be "ws" or "wss"'),
        ([f"ws://a b:{SECRET}@h"], 2, "the URL has spaces or control characters"),
        (["-H", f"a b:{SECRET}", "ws://h"], 2, "the name of header 0 in "),
        (["-H", f"a:{SECRET}\x1b[m", "ws://h"], 2, "the value of header 'a' has"),
        (["-s", f"a {SECRET}", "ws://h"], 2, "element 0 of subprotocols is"),
        (["--proxy", f"me:{SECRET}@h", "ws://h"], 2, "proxy: the URL scheme must be "),
        (["--proxy", f"http://me:{SECRET}@127.0.0.1:1", "ws://h"], 1, "could not "),
    ],
)
def test_no_error_shows_a_secret(line: list[str], code: int, why: str) -> None:
    found, error = anyio.run(ended, "connect", *line)
    assert found == code
    assert error.startswith(why)
    assert SECRET not in error


async def test_a_message_that_is_too_large(command: Commands) -> None:
    async with serving() as port:
        line = ["connect", "--max-size", "4", f"ws://127.0.0.1:{port}"]
        done = await command(*line, given=b"hello\n")
    assert done.code == 3
    assert "1009 (MESSAGE_TOO_BIG)" in done.error
    assert done.error.endswith("; --max-size allows larger messages")


async def test_a_server_that_does_not_answer_the_close_hides_nothing() -> None:
    """An error of closing counts only if all was well until then."""
    wrong = Failure(ExitCode.BAD_INPUT, "line 1")

    async def use(how: str) -> tuple[Failure | None, Stop]:
        stop = Stop()

        async def talk(connection: WebSocketConnection) -> None:
            if how == "failed":
                raise wrong
            if how == "interrupted":
                stop.signal = 2

        line = parse(["connect", "--proxy", "none", f"ws://127.0.0.1:{port}"])
        options: Any = {"disconnect_timeout": 0.02}
        return await use_connection(talk, line, stop, **options), stop

    async with raw_server(never_closes) as port:
        assert (await use("failed"))[0] is wrong
        failure, stop = await use("interrupted")
        assert (failure, stop.exit_code) == (None, 130)
        with pytest.raises(DisconnectionTimeout, match=r"within 0\.02 seconds"):
            await use("well")
