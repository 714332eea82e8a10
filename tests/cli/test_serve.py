"""``serve``."""

from __future__ import annotations

import os
import signal
import socket
import ssl
import sys
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import anyio
import pytest
import trustme
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)

from anyio_websocket import ConnectionClosed, open_websocket_url

from ..support.commands import ended, pipe

ENDS_BY_SIGNAL = pytest.mark.skipif(sys.platform == "win32", reason="no signals")


@asynccontextmanager
async def served(monkeypatch: pytest.MonkeyPatch, *options: str) -> AsyncGenerator[str]:
    """Run ``serve``; the block gets the URL that it tells, and a signal ends it."""
    ends: list[tuple[int, str]] = []

    async def command() -> None:
        ends.append(await ended("serve", "--port", "0", *options))

    with pipe() as (output, stdout):
        monkeypatch.setattr(sys, "stdout", stdout)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(command)
            line = await anyio.to_thread.run_sync(output.readline)
            assert line.startswith("listening on ")
            yield line.removeprefix("listening on ").rstrip("\n")
            os.kill(os.getpid(), signal.SIGTERM)
    assert ends == [(0, "")]


@ENDS_BY_SIGNAL
async def test_echo(monkeypatch: pytest.MonkeyPatch) -> None:
    async with served(monkeypatch, "--max-size", "5") as url:
        async with open_websocket_url(url, subprotocols=["one", "two"]) as client:
            assert client.subprotocol == "one"
            for message in ("hello", b"\xff"):
                await client.send_message(message)
                assert await client.get_message() == message
            await client.send_message("longer")
            with pytest.raises(ConnectionClosed, match="1009"):
                await client.get_message()


@ENDS_BY_SIGNAL
async def test_broadcast(monkeypatch: pytest.MonkeyPatch) -> None:
    async with served(monkeypatch, "--broadcast") as url, AsyncExitStack() as stack:
        one, other, third = [
            await stack.enter_async_context(open_websocket_url(url)) for _ in range(3)
        ]
        await third.aclose()
        await one.send_message("hello")
        for client in (one, other):
            assert await client.get_message() == "hello"
        assert one.subprotocol is None


@ENDS_BY_SIGNAL
async def test_tls(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    authority: trustme.CA,
    client_tls: ssl.SSLContext,
) -> None:
    certificate = authority.issue_cert("127.0.0.1")
    both, key = str(tmp_path / "both.pem"), str(tmp_path / "key.pem")
    certificate.private_key_and_cert_chain_pem.write_to_path(both)
    certificate.private_key_pem.write_to_path(key)
    for files in (["--certfile", both], ["--certfile", both, "--keyfile", key]):
        async with served(monkeypatch, *files) as url:
            assert url.startswith("wss://127.0.0.1:")
            async with open_websocket_url(url, client_tls) as client:
                await client.send_message("hello")
                assert await client.get_message() == "hello"


async def test_what_cannot_be_served(tmp_path: Path, authority: trustme.CA) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        code, error = await ended("serve", "--port", str(port))
    assert code == 1
    assert error.startswith(f"cannot listen on 127.0.0.1, port {port}: ")
    missing = str(tmp_path / "missing.pem")
    code, error = await ended("serve", "--certfile", missing)
    assert code == 2
    assert error == (
        "cannot use the files of --certfile and --keyfile: No such file or directory"
    )
    public, locked = tmp_path / "public.pem", tmp_path / "locked.pem"
    authority.cert_pem.write_to_path(str(public))
    locked.write_bytes(
        load_pem_private_key(authority.private_key_pem.bytes(), None).private_bytes(
            Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"secret")
        )
    )
    files = ["--certfile", str(public)]
    for key in ([], ["--keyfile", str(locked)]):
        code, error = await ended("serve", *files, *key)
        assert code == 2
        assert "they are not a certificate and its key, without a password" in error
    assert await ended("serve", "--keyfile", "x") == (2, "--keyfile needs --certfile")
