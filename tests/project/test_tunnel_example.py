"""examples/tunnel.py, in the process of the test: a tunnel has two ends."""

from __future__ import annotations

import runpy
from contextlib import ExitStack
from pathlib import Path

import anyio
import httpx
import pytest
from anyio.abc import SocketStream
from anyio.lowlevel import checkpoint

from anyio_websocket import CloseReason, healthz, open_websocket_url

from ..support.ports import own_port
from ..support.servers import serving

EXAMPLE = runpy.run_path(
    str(Path(__file__).parents[2].joinpath("examples", "tunnel.py"))
)


async def connect(port: int) -> SocketStream:
    """Connect as soon as somebody listens."""
    while True:
        try:
            return await anyio.connect_tcp("127.0.0.1", port)
        except OSError:
            await checkpoint()


async def test_a_tunnel_of_tcp(capsys: pytest.CaptureFixture[str]) -> None:
    with ExitStack() as ports:
        far, near, dead, last, nowhere = (
            ports.enter_context(own_port()) for _ in range(5)
        )
        async with (
            serving(http_handler=healthz) as server,
            anyio.create_task_group() as tasks,
        ):
            tasks.start_soon(EXAMPLE["serve"], far, f"127.0.0.1:{server}")
            tasks.start_soon(EXAMPLE["connect"], near, f"ws://127.0.0.1:{far}/")
            await (await connect(far)).aclose()
            await (await connect(near)).aclose()
            # A WebSocket inside a WebSocket, with more than fits on the way.
            async with open_websocket_url(f"ws://127.0.0.1:{near}/") as ws:
                for message in ("hello", "x" * 1_000_000):
                    async with anyio.create_task_group() as both:
                        both.start_soon(ws.send_message, message)
                        assert await ws.get_message() == message
            assert ws.closed == CloseReason(1000, None)
            async with httpx.AsyncClient(trust_env=False) as client:
                answer = await client.get(f"http://127.0.0.1:{near}/healthz")
                assert answer.status_code == 200
            # Nobody listens where the next one leads to.
            tasks.start_soon(EXAMPLE["serve"], dead, f"127.0.0.1:{nowhere}")
            await (await connect(dead)).aclose()
            tasks.start_soon(EXAMPLE["connect"], last, f"ws://127.0.0.1:{dead}/")
            async with await connect(last) as stream:
                with pytest.raises((anyio.EndOfStream, anyio.BrokenResourceError)):
                    await stream.receive()
            while "502" not in capsys.readouterr().out:
                await checkpoint()
            tasks.cancel_scope.cancel()
