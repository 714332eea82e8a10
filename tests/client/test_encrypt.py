"""The context that is kept for TLS, and what a TLS handshake ends with."""

from __future__ import annotations

import ssl
import threading
import time

import anyio
import pytest

from anyio_websocket import (
    ConnectionTimeout,
    HandshakeError,
    open_websocket,
    open_websocket_url,
)
from anyio_websocket._client import _encrypt


@pytest.mark.parametrize("by_url", [False, True])
async def test_B14_the_default_context_is_made_once_and_in_a_thread(
    by_url: bool, port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    made_in: list[int] = []

    def create_default_context() -> ssl.SSLContext:
        made_in.append(threading.get_ident())
        time.sleep(0.05)  # the others come meanwhile
        return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)

    monkeypatch.setattr(_encrypt, "_default_contexts", [])
    monkeypatch.setattr(ssl, "create_default_context", create_default_context)

    async def attempt() -> None:
        if by_url:
            with pytest.raises(HandshakeError):
                async with open_websocket_url(f"wss://127.0.0.1:{port}/"):
                    pass
        else:
            with pytest.raises(HandshakeError):
                async with open_websocket("127.0.0.1", port, "/", use_ssl=True):
                    pass

    await attempt()
    async with anyio.create_task_group() as tasks:
        for _ in range(5):
            tasks.start_soon(attempt)
    assert len(made_in) == 1
    assert made_in != [threading.get_ident()]


async def test_B14_the_first_clients_come_together(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(_encrypt, "_default_contexts", [])
    contexts: list[ssl.SSLContext] = []

    async def get() -> None:
        contexts.append(await _encrypt.default_context())

    async with anyio.create_task_group() as tasks:
        for _ in range(5):
            tasks.start_soon(get)
    assert len(contexts) == 5
    assert len(set(contexts)) == 1
    assert contexts[0].check_hostname
    assert contexts[0].verify_mode == ssl.CERT_REQUIRED


async def test_B14_a_slow_trust_store_counts_as_connecting(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    released = threading.Event()
    monkeypatch.setattr(_encrypt, "_make_default_context", released.wait)
    monkeypatch.setattr(_encrypt, "_default_contexts", [])
    try:
        with pytest.raises(ConnectionTimeout):
            async with open_websocket_url("wss://127.0.0.1:1/", connect_timeout=0.1):
                pass
    finally:
        released.set()
