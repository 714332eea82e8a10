"""A request that wants no WebSocket, and the response to it."""

from __future__ import annotations

import pytest

from anyio_websocket import HandshakeError, HTTPResponse
from anyio_websocket.testing._plain_exchange import PlainExchange

HEAD = b"HTTP/1.1 200 \r\nContent-Length: 5\r\nConnection: close\r\nX-A: b\r\n\r\n"


def exchange(method: str = "GET", body: bytes = b"") -> PlainExchange:
    return PlainExchange(method, "localhost", "/a?b", {"X-C": "d"}, body)


def test_requests() -> None:
    assert (
        exchange().request == b"GET /a?b HTTP/1.1\r\nHost: localhost\r\nX-C: d\r\n\r\n"
    )
    assert exchange("POST", b"hello").request == (
        b"POST /a?b HTTP/1.1\r\nHost: localhost\r\nX-C: d\r\nContent-Length: 5\r\n\r\n"
        b"hello"
    )


@pytest.mark.parametrize("size", [1, 1000])
def test_a_response_in_pieces(size: int) -> None:
    it = exchange()
    wire = b"HTTP/1.1 103 Early Hints\r\n\r\n" + HEAD + b"hello"
    pieces = [wire[i : i + size] for i in range(0, len(wire), size)]
    assert [it.receive_data(piece) for piece in pieces[:-1]] == [None] * len(pieces[1:])
    assert it.receive_data(pieces[-1]) == HTTPResponse(200, b"hello", [("x-a", "b")])


def test_a_response_without_a_body() -> None:
    assert exchange("HEAD").receive_data(HEAD) == HTTPResponse(200, b"", {"x-a": "b"})
    assert exchange().receive_data(b"HTTP/1.1 204 \r\n\r\n") == HTTPResponse(204)


@pytest.mark.parametrize(
    ("wire", "text"),
    [
        (b"", "closed without a response"),
        (b"\x81\x00 \r\n\r\n", "not valid"),
        (HEAD + b"hel", "not valid"),
    ],
)
def test_no_response(wire: bytes, text: str) -> None:
    it = exchange()
    with pytest.raises(HandshakeError, match=text):
        for data in (wire, b"") if wire else (b"",):
            assert it.receive_data(data) is None


def test_what_cannot_be_sent() -> None:
    for method, path, headers in (
        ("G T", "/", {}),
        ("GET", "/ü", {}),
        ("GET", "/a b", {}),
        ("GET", "/", {"X": "a\nb"}),
        ("GET", "/", {"Upgrade": "websocket"}),
    ):
        with pytest.raises(ValueError, match=r"cannot be sent|header"):
            PlainExchange(method, "localhost", path, headers, b"")
