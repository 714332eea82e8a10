"""What an ``http_handler`` takes and returns."""

from __future__ import annotations

from typing import Any

import pytest

from anyio_websocket import Endpoint, HTTPRequest, HTTPResponse, healthz


def test_a_request() -> None:
    headers = ((b"host", b"x"), (b"a", b"\xe9"), (b"cookie", b"secret"), (b"a", b"2"))
    endpoint = Endpoint("192.0.2.1", 80, is_ssl=False)
    asked = HTTPRequest("POST", "/a%20b?token=c?d", headers, b"secret", endpoint)
    assert asked.path == "/a%20b"
    assert asked.header("Host") == asked.header(b"HOST") == "x"
    assert asked.header("a") == "é, 2"
    assert asked.header("b") is None
    assert asked.remote is endpoint
    assert repr(asked) == "HTTPRequest<method=POST, path=/a%20b>"
    assert HTTPRequest("OPTIONS", "*").path == "*"


def test_a_response() -> None:
    given = HTTPResponse(200, b"secret", {"Content-Type": "text/plain", "A": " é "})
    assert given.headers == ((b"Content-Type", b"text/plain"), (b"A", b"\xe9"))
    assert given.body == b"secret"
    assert repr(given) == "HTTPResponse<status_code=200>"
    assert given == HTTPResponse(200, b"secret", iter(given.headers))
    assert HTTPResponse(204) == HTTPResponse(204, b"", None)


@pytest.mark.parametrize(
    ("arguments", "error", "text"),
    [
        (("200",), TypeError, "status must be an int, not '200'"),
        ((True,), TypeError, "status must be an int"),
        ((101,), ValueError, "status 101 does not end a request: use 200 to 999"),
        ((1000,), ValueError, "use 200 to 999"),
        ((200, "text"), TypeError, "body must be bytes, not str: encode it"),
        ((200, bytearray()), TypeError, "body must be bytes, not bytearray$"),
        ((304, b"x"), ValueError, "a response with status 304 has no body"),
        ((200, b"", "A: b"), TypeError, "^headers must be like .* not str"),
        ((200, b"", ["A: b"]), TypeError, "^headers must be like .* with a str in"),
        ((200, b"", [(1, 2, 3)]), TypeError, "^headers must be like .* 3 items"),
        ((200, b"", {"A b": "secret"}), ValueError, "name of header 0 in headers is"),
        (
            (200, b"", {"A": "secret\r\nB: c"}),
            ValueError,
            "value of header 'A' has",
        ),
        ((200, b"", {"Content-Length": "5"}), ValueError, "it follows from the body"),
        (
            (200, b"", [(b"transfer-encoding", b"chunked")]),
            *(ValueError, "it follows from the body"),
        ),
        ((200, b"", {"connection": "close"}), ValueError, "the library sets it"),
        ((200, b"", {"Upgrade": "h2c"}), ValueError, "the library sets it"),
    ],
)
def test_A12_a_response_that_cannot_be_sent(
    arguments: Any, error: type[Exception], text: str
) -> None:
    with pytest.raises(error, match=text) as caught:
        HTTPResponse(*arguments)
    assert "secret" not in str(caught.value)


@pytest.mark.virtual_time
async def test_healthz() -> None:
    for target, status_code in (
        ("/healthz", 200),
        ("/healthz?x", 200),
        ("/", 404),
        ("*", 404),
        ("/healthz/", 404),
    ):
        for method in ("GET", "HEAD", "OPTIONS"):
            response = await healthz(HTTPRequest(method, target))
            assert response.status_code == status_code
            assert dict(response.headers)[b"Content-Type"].startswith(b"text/plain")
