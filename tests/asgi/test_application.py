"""What applications send, and what is wrong with it."""

from __future__ import annotations

from typing import Any

import pytest

from anyio_websocket import CloseReason, asgi
from anyio_websocket.asgi._application import Response, headers_of

START = "http.response.start"
BODY = "http.response.body"


def test_a_response_in_parts() -> None:
    response = Response(
        {
            "type": START,
            "status": 201,
            "headers": [
                [b"x", b"1"],
                (b"Content-Length", b"7"),
                (b"transfer-encoding", b"chunked"),
                (b"connection", b"close"),
                (b"x", b"2"),
            ],
        },
        6,
    )
    assert response.status_code == 201
    assert response.headers == [(b"x", b"1"), (b"x", b"2")]
    for part in (b"ab", bytearray(b"cd"), memoryview(b"ef")):
        response.add({"type": BODY, "body": part, "more_body": True})
        assert not response.is_complete
    with pytest.raises(RuntimeError, match=r"more than 6 bytes: .* cannot be a stream"):
        response.add({"type": BODY, "body": b"g"})
    with pytest.raises(TypeError, match=r'"body" of http.response.body must be bytes'):
        response.add({"type": BODY, "body": "g"})
    response.add({"type": BODY})
    assert response.is_complete
    assert response.body == b"abcdef"


def test_no_headers() -> None:
    assert headers_of({"type": "websocket.accept"}) == []
    assert headers_of({"type": "websocket.accept", "headers": None}) == []


@pytest.mark.parametrize("pair", [("secret", b"1"), (b"x", "secret"), "ab", (b"x",)])
def test_headers_are_bytes(pair: Any) -> None:
    with pytest.raises(TypeError, match="must be pairs of bytes") as caught:
        headers_of({"type": "websocket.accept", "headers": [pair]})
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("name", ["handler", "http_handler", "lifespan"])
def test_what_is_no_application(name: str) -> None:
    with pytest.raises(TypeError, match=rf"^{name}\(\) needs an ASGI application"):
        getattr(asgi, name)("module:app")


def test_an_error_that_asgi_knows() -> None:
    error = asgi.ClientDisconnected("gone", CloseReason(1006, None))
    assert isinstance(error, OSError)
    assert str(error) == "gone"
    assert error.reason == CloseReason(1006, None)
