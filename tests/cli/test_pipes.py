"""``connect`` between files and pipes."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import AsyncGenerator
from contextlib import suppress
from typing import Any

import anyio
import pytest
from anyio.abc import ByteStream

from anyio_websocket import ConnectionClosed, WebSocketRequest
from anyio_websocket._cli import _stop
from anyio_websocket._cli._failure import Failure
from anyio_websocket._cli._formats import FORMATS
from anyio_websocket._cli._pipes import Pipes
from anyio_websocket._cli._streams import Output
from anyio_websocket.testing import websocket_pair

from ..support.commands import Commands, Ended, ended, pipe
from ..support.frames import TEXT
from ..support.servers import accepted, echo, raw_server, serving

if sys.platform != "win32":
    from ..support.terminals import terminal


async def three(request: WebSocketRequest) -> None:
    """Answer three messages, and close the connection."""
    connection = await request.accept()
    for _ in range(3):
        await connection.send_message(await connection.get_message())


async def test_lines_in_messages_out(command: Commands) -> None:
    async with serving(three) as port:
        url = f"ws://127.0.0.1:{port}"
        text = "wörld\n\n\x1b[1m\n".encode()
        assert await command("connect", url, given=text) == Ended(0, text)
        data = b"\xff\x00\n\r\nend"
        done = await command("connect", "--binary", url, given=data)
        assert done == Ended(0, data + b"\n")
        given = b'{ "a": 1.0 }\n"\\n"\nnull\n'
        done = await command("connect", "--json", url, given=given)
        assert done == Ended(0, given)


async def test_the_end_of_the_input_closes_after_what_was_sent(
    command: Commands,
) -> None:
    received: list[str | bytes] = []

    async def handler(request: WebSocketRequest) -> None:
        connection = await request.accept()
        received.extend([message async for message in connection])
        assert connection.closed is not None
        received.append(f"{connection.closed.code}")

    given = b"x" * 3_000_000 + b"\ntwo\n"
    async with serving(handler, max_message_size=10**7) as port:
        url = f"ws://127.0.0.1:{port}"
        done = await command("connect", "--wait", "0", url, given=given)
    assert done == Ended(0, b"")
    assert [len(message) for message in received] == [3_000_000, 3, 4]
    assert received[2] == "1000"


async def test_a_line_that_cannot_be_sent(command: Commands) -> None:
    async with serving(echo) as port:
        url = f"ws://127.0.0.1:{port}"
        options = ("--wait", "0")
        done = await command("connect", *options, url, given=b"one\n\xfftwo\nthree\n")
        why = "it is not UTF-8 (byte 0xff after 0 others); --binary sends any bytes"
        assert done.code == 4
        assert done.error == f"line 2 of the input was not sent: {why}"


async def test_the_server_ends_it(command: Commands) -> None:
    async def handler(request: WebSocketRequest) -> None:
        connection = await request.accept()
        await connection.send_message("bye")
        await connection.aclose(4000, "\x1b[2J\n")

    async with serving(handler) as port:
        url = f"ws://127.0.0.1:{port}"
        done = await command("connect", "--wait", "inf", url)
    closed = "the peer closed the connection with code 4000 (PRIVATE_RESERVED)"
    assert done == Ended(3, b"bye\n", f"{closed}, reason '\\x1b[2J\\n'")


@pytest.mark.virtual_time
async def test_input_that_was_not_sent() -> None:
    async with websocket_pair() as (client, server):

        async def lines() -> AsyncGenerator[bytes]:
            await server.send_message("bye")
            await server.aclose()
            yield b"one more"

        class SlowOutput(Output):
            async def write(self, data: bytes) -> None:
                assert data == b"bye\n"
                await anyio.sleep(1)  # meanwhile the connection is closed

        given: Any = lines()
        style = FORMATS["text"]
        pipes = Pipes(client, style, given, SlowOutput(None), shows=False)
        with pytest.raises(Failure, match="line 1 of the input was not sent: the conn"):
            await pipes.talk(1)


async def flood(request: WebSocketRequest) -> None:
    """Send and send."""
    connection = await request.accept()
    with suppress(ConnectionClosed):
        while True:
            await connection.send_message("x" * 1000)
    assert connection.closed is not None
    closed.append(connection.closed.code)


closed: list[int] = []


async def test_nobody_reads_the_output(monkeypatch: pytest.MonkeyPatch) -> None:
    with pipe() as (reader, stdout):
        reader.close()
        monkeypatch.setattr(sys, "stdin", None)
        monkeypatch.setattr(sys, "stdout", stdout)
        async with serving(flood) as port:
            url = f"ws://127.0.0.1:{port}"
            assert await ended("connect", "--wait", "inf", url) == (141, "")
    assert closed.pop() == 1000  # it was told


@pytest.mark.skipif(sys.platform == "win32", reason="no signals to send")
async def test_a_signal(monkeypatch: pytest.MonkeyPatch, command: Commands) -> None:
    async def handler(request: WebSocketRequest) -> None:
        connection = await request.accept()
        os.kill(os.getpid(), signal.SIGTERM)
        await connection.wait_closed()
        assert connection.closed is not None
        closed.append(connection.closed.code)

    async with serving(handler) as port:
        url = f"ws://127.0.0.1:{port}"
        assert await command("connect", "--wait", "inf", url) == Ended(143, b"")
    assert closed.pop() == 1000


@pytest.mark.parametrize(
    ("why", "expected"),
    [
        ("closed", (141, "")),
        ("full", (1, "the output cannot be written: ")),
        pytest.param(
            "signal",
            (130, ""),
            marks=pytest.mark.skipif(sys.platform == "win32", reason="no signals"),
        ),
    ],
)
async def test_a_server_that_does_not_answer_the_close(
    why: str, expected: tuple[int, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_stop, "CLOSE_TIMEOUT", 0.02)

    async def handler(stream: ByteStream) -> None:
        await (await accepted(stream)).send_frame(TEXT, b"hello")
        if why == "signal":
            os.kill(os.getpid(), signal.SIGINT)
        await anyio.sleep_forever()

    with pipe() as (reader, stdout):
        monkeypatch.setattr(sys, "stdin", None)
        monkeypatch.setattr(sys, "stdout", reader if why == "full" else stdout)
        if why == "closed":
            reader.close()
        with anyio.fail_after(5):
            async with raw_server(handler) as port:
                url = f"ws://127.0.0.1:{port}"
                code, error = await ended("connect", "--wait", "inf", url)
    assert code == expected[0]
    assert error.startswith(expected[1])


@pytest.mark.skipif(sys.platform == "win32", reason="no pseudo-terminals")
async def test_the_output_is_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    async def handler(request: WebSocketRequest) -> None:
        connection = await request.accept()
        await connection.send_message("\x1b[2Jhé")
        await connection.send_message(b"\x1b")

    with terminal() as (screen, _, stdout):
        monkeypatch.setattr(sys, "stdin", None)
        monkeypatch.setattr(sys, "stdout", stdout)
        async with serving(handler) as port:
            url = f"ws://127.0.0.1:{port}"
            assert await ended("connect", "--wait", "inf", url) == (0, "")
        await screen.until_lines(r"< \x1b[2Jhé", r"< b'\x1b'")
