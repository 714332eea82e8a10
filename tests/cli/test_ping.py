"""``ping``."""

from __future__ import annotations

import os
import re
import signal
import sys

import anyio
import pytest
from anyio.abc import ByteStream

from anyio_websocket import WebSocketRequest
from anyio_websocket._cli import _ping, _stop
from anyio_websocket._cli._ping import Pings, name_of
from anyio_websocket._cli._streams import Output
from anyio_websocket.testing import websocket_pair

from ..support.commands import Commands, Ended, ended, pipe
from ..support.frames import PING, PONG
from ..support.servers import accepted, raw_server, serving


def without_times(output: bytes) -> list[str]:
    text = re.sub(r"\d+\.\d{3}", "T", output.decode())
    return re.sub(r"time \d+ ms", "time T ms", text).splitlines()


async def talkative(request: WebSocketRequest) -> None:
    """Send messages in front of the Pongs."""
    connection = await request.accept()
    for _ in range(20):
        await connection.send_message("x" * 100_000)
    await connection.wait_closed()


async def test_statistics(command: Commands) -> None:
    async with serving(talkative) as port:
        url = f"ws://127.0.0.1:{port}"
        done = await command("ping", "-c", "2", "-i", "0.01", f"{url}/?token=secret")
    assert (done.code, done.error) == (0, "")
    first, second, *rest = without_times(done.output)
    # On a busy machine both may come at once.
    pongs = {f"pong from {url}: seq={number} time=T ms" for number in (1, 2)}
    assert {first, second} == pongs
    assert rest == [
        f"--- {url} ping statistics ---",
        "2 pings sent, 2 pongs received, 0% lost, time T ms",
        "rtt min/avg/max/mdev = T/T/T/T ms",
    ]


async def test_no_pong_comes(
    command: Commands, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_ping, "LINGER", 0.01)

    async def handler(request: WebSocketRequest) -> None:
        connection = await request.accept(auto_pong=False, on_ping=lambda payload: None)
        await connection.wait_closed()

    async with serving(handler) as port:
        url = f"ws://127.0.0.1:{port}"
        done = await command("ping", "-c", "1", url)
    assert (done.code, done.error) == (1, "")
    assert without_times(done.output) == [
        f"--- {url} ping statistics ---",
        "1 pings sent, 0 pongs received, 100% lost, time T ms",
    ]


async def test_the_connection_ends(command: Commands) -> None:
    async def handler(request: WebSocketRequest) -> None:
        connection = await request.accept(auto_pong=False, on_ping=lambda payload: None)
        await connection.aclose(1001)

    async with serving(handler) as port:
        done = await command("ping", f"ws://127.0.0.1:{port}")
    assert done.code == 3
    assert done.error == "the peer closed the connection with code 1001 (GOING_AWAY)"
    assert b"1 pings sent, 0 pongs received" in done.output


@pytest.mark.skipif(sys.platform == "win32", reason="no signals to send")
async def test_ctrl_c_ends_it_with_the_statistics(command: Commands) -> None:
    async def handler(request: WebSocketRequest) -> None:
        pinged = anyio.Event()
        connection = await request.accept(on_ping=lambda payload: pinged.set())
        await pinged.wait()
        await connection.ping()  # when this is answered, our Pong has been read
        os.kill(os.getpid(), signal.SIGINT)
        await connection.wait_closed()

    async with serving(handler) as port:
        done = await command("ping", "-i", "60", f"ws://127.0.0.1:{port}")
    assert (done.code, done.error) == (0, "")
    assert b"1 pings sent, 1 pongs received, 0% lost" in done.output


async def test_a_server_that_does_not_answer_the_close(
    command: Commands, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_stop, "CLOSE_TIMEOUT", 0.02)

    async def handler(stream: ByteStream) -> None:
        peer = await accepted(stream)
        await peer.send_frame(PONG, (await peer.expect_frame(PING)).payload)
        await anyio.sleep_forever()

    async with raw_server(handler) as port:
        with anyio.fail_after(5):
            done = await command("ping", "-c", "1", f"ws://127.0.0.1:{port}")
    assert (done.code, done.error) == (0, "")
    assert b"1 pings sent, 1 pongs received, 0% lost" in done.output


@pytest.mark.skipif(sys.platform == "win32", reason="no signals to send")
async def test_ctrl_c_before_there_is_a_connection(command: Commands) -> None:
    async def handler(stream: ByteStream) -> None:
        os.kill(os.getpid(), signal.SIGINT)
        await anyio.sleep_forever()

    async with raw_server(handler) as port:
        done = await command("ping", f"ws://127.0.0.1:{port}")
    assert done == Ended(130, b"")


async def test_nobody_reads_the_output(monkeypatch: pytest.MonkeyPatch) -> None:
    with pipe() as (reader, stdout):
        reader.close()
        monkeypatch.setattr(sys, "stdout", stdout)
        async with serving() as port:
            assert await ended("ping", f"ws://127.0.0.1:{port}") == (141, "")


async def test_nothing_sent() -> None:
    async with websocket_pair() as (client, _):
        lines = Pings(client, Output(None)).summary().splitlines()
    assert lines[0] == f"--- {name_of(client.remote)} ping statistics ---"
    assert lines[1].startswith("0 pings sent, 0 pongs received, 0% lost, time ")
    assert name_of("/run/socket") == "/run/socket"
