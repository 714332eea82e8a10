"""The head of a response: interim ones before it, limits, and what follows it."""

from __future__ import annotations

import h11
import pytest

from anyio_websocket._protocol._responses import (
    MAX_INTERIM,
    HandshakeFailure,
    ResponseReader,
)

HEADERS = [("Host", "x"), ("Upgrade", "y"), ("Connection", "Upgrade")]
OK = b"HTTP/1.1 200 OK\r\n\r\n"


def reader(max_head_size: int = 65536) -> ResponseReader:
    connection = h11.Connection(h11.CLIENT)
    connection.send(h11.Request(method="GET", target="/", headers=HEADERS))
    connection.send(h11.EndOfMessage())
    return ResponseReader(connection, max_head_size, "gateway")


def test_a_response_byte_by_byte() -> None:
    responses = reader()
    data = b"HTTP/1.1 103 Early Hints\r\n\r\n" + OK
    for byte in data[:-1]:
        assert responses.feed(bytes([byte])) is None
    response = responses.feed(data[-1:])
    assert response is not None
    assert response.status_code == 200
    assert responses.trailing == b""


def test_what_follows_is_kept() -> None:
    responses = reader()
    response = responses.feed(b"HTTP/1.1 101 Go\r\n\r\nmore")
    assert response is not None
    assert response.status_code == 101
    assert responses.trailing == b"more"


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b"SSH-2.0-x\r\n", "the gateway's response is not HTTP/1.1: this is not HTTP"),
        (b"HTTP/1.1 200 OK\nA: b\n\n", "the gateway's response is not HTTP/1.1: a"),
        (b"HTTP/1.1 200 OK\r\nA b\r\n\r\n", "the gateway's response is not HTTP/1.1$"),
        (b"HTTP/1.1 200 OK\r\nA: " + b"b" * 70_000, "the gateway's response is too la"),
        (b"HTTP/1.1 100 Wait\r\n\r\n" * (MAX_INTERIM + 1), "more than 10 interim"),
    ],
)
def test_what_is_no_response(data: bytes, text: str) -> None:
    with pytest.raises(HandshakeFailure, match=text):
        reader().feed(data)
