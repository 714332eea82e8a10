"""Which lines of a server's log are promised, and how many of them."""

from __future__ import annotations

import logging
import ssl
from functools import partial

import anyio
import pytest

from anyio_websocket import serve_websocket
from anyio_websocket.testing import handshake_request

from ..rows import ROWS
from ..support.servers import connected, said
from .hostile.handshakes import get
from .log import PROMISED, read
from .server import handler

CLIENT = 'anyio_websocket:Endpoint(address="127.0.0.1", port=1, is_ssl=True): '
TLS = f"WARNING:{CLIENT}the TLS handshake failed: SSLError(1, '[SSL: HTTP_REQUEST]')\n"
TRACEBACK = f"""\
ERROR:{CLIENT}the handler raised
Traceback (most recent call last):
ValueError: x
"""


def test_what_is_not_promised_is_a_complaint() -> None:
    assert read(TRACEBACK + TLS, 1, 5) == ({"B15": 1}, TRACEBACK.splitlines())
    assert read("", 1, 5) == ({}, [])


def test_what_is_promised_comes_no_more_often() -> None:
    assert read(TLS * 4, 2, 61) == ({"B15": 4}, [])
    counts, complaints = read(TLS * 5, 2, 61)
    assert counts == {"B15": 5}
    assert complaints == ["5 lines of row B15 in 61 s"]


def test_promises_have_rows() -> None:
    rows = {row for rows in ROWS.values() for row in rows}
    assert {promise.row for promise in PROMISED} <= rows


async def test_A14_A21_B15_what_servers_write(
    server_tls: ssl.SSLContext, caplog: pytest.LogCaptureFixture
) -> None:
    """The lines are as they really are."""
    async with anyio.create_task_group() as tasks:
        for data, tls in (
            (handshake_request(line=get(b"/unanswered")), None),
            (handshake_request(b"Origin: http://evil.example"), None),
            (handshake_request(), server_tls),  # to a port that wants TLS
        ):
            serve = partial(serve_websocket, handler, "127.0.0.1", 0, tls)
            async with connected((await tasks.start(serve)).port, data) as peer:
                await peer.receive_all()
        tasks.cancel_scope.cancel()
    lines = [
        logging.Formatter(logging.BASIC_FORMAT).format(record)
        for record in said(caplog)
        if record.levelno >= logging.WARNING
    ]
    assert read("\n".join(lines), 1, 1) == ({"A14": 1, "A21": 1, "B15": 1}, [])
