"""Requests that want no WebSocket: what is served, and what is refused."""

from __future__ import annotations

import pytest

from anyio_websocket._protocol import Origins, PlainRequest, Rejection, ServerHandshake
from anyio_websocket.testing import handshake_request

from ..support.handshakes import hear_request

MAX_BODY = 100
HOST = b"Host: example.org"
CHUNKED = b"Transfer-Encoding: chunked"


def plain(line: bytes, *lines: bytes, body: bytes = b"") -> bytes:
    return b"\r\n".join([line, *lines]) + b"\r\n\r\n" + body


def heard(data: bytes) -> PlainRequest | Rejection:
    """Give the outcome, the same however the request is cut."""
    outcome = hear_request([data], max_body=MAX_BODY)
    single = [data[i : i + 1] for i in range(len(data))]
    assert hear_request(single, max_body=MAX_BODY) == outcome
    assert isinstance(outcome, PlainRequest | Rejection)
    return outcome


@pytest.mark.parametrize(
    ("data", "method", "target", "body"),
    [
        (plain(b"GET /a%20b?c=d HTTP/1.1", HOST), "GET", "/a%20b?c=d", b""),
        (plain(b"HEAD / HTTP/1.1", HOST), "HEAD", "/", b""),
        (plain(b"OPTIONS / HTTP/1.0"), "OPTIONS", "/", b""),  # HAProxy's default
        (plain(b"OPTIONS * HTTP/1.1", HOST), "OPTIONS", "*", b""),
        (plain(b"X-Y / HTTP/1.1", HOST), "X-Y", "/", b""),
        (b"\r\n" + plain(b"GET / HTTP/1.0", HOST), "GET", "/", b""),
        (
            plain(b"POST / HTTP/1.1", HOST, b"Content-Length: 5", body=b"hello"),
            *("POST", "/", b"hello"),
        ),
        (
            plain(b"GET / HTTP/1.0", b"content-length: 0100", body=bytes(100)),
            *("GET", "/", bytes(100)),
        ),
        (
            plain(
                *(b"PUT / HTTP/1.1", HOST, b"transfer-encoding: CHUNKED"),
                body=b"2;a=b\r\nhe\r\n03\r\nllo\r\n0\r\nTrailer: x\r\n\r\n",
            ),
            *("PUT", "/", b"hello"),
        ),
        # As many chunks as a body can have that is just not too large.
        (
            plain(
                *(b"PUT / HTTP/1.1", HOST, CHUNKED),
                body=b"1\r\nx\r\n" * MAX_BODY + b"0\r\n\r\n",
            ),
            *("PUT", "/", b"x" * MAX_BODY),
        ),
        # An upgrade to something else may be ignored (RFC 9110 section 7.8).
        (handshake_request(upgrade=b"h2c", key=None), "GET", "/", b""),
        (handshake_request(upgrade=None, key=None), "GET", "/", b""),
    ],
)
def test_A7_what_is_served(data: bytes, method: str, target: str, body: bytes) -> None:
    outcome = heard(data)
    assert isinstance(outcome, PlainRequest)
    assert (outcome.method, outcome.target, outcome.body) == (method, target, body)
    # What follows is dropped, even if it is another request.
    assert heard(data + b"GET /smuggled HTTP/1.1\r\n\r\n") == outcome


def test_headers_are_as_they_came() -> None:
    line, headers = b"GET http://x:1/a HTTP/1.1", [b"A: \xe9", b"Host: y", b"a: 2"]
    outcome = heard(plain(line, *headers))
    assert isinstance(outcome, PlainRequest)
    # RFC 9112 section 3.2.2: the host of the target replaces the header.
    assert outcome.headers == ((b"host", b"x:1"), (b"a", b"\xe9"), (b"a", b"2"))


@pytest.mark.parametrize(
    ("status_code", "data"),
    [
        # Two readers of these could see two ends of the request.
        (400, plain(b"POST / HTTP/1.1", HOST, b"Content-Length: 5", CHUNKED)),
        (400, plain(b"POST / HTTP/1.1", HOST, b"Content-Length: 0", CHUNKED)),
        (400, plain(b"POST / HTTP/1.0", HOST, CHUNKED)),
        (400, plain(b"POST / HTTP/1.1", HOST, CHUNKED, CHUNKED)),
        (400, plain(b"POST / HTTP/1.1", HOST, b"Transfer-Encoding: gzip, chunked")),
        (400, plain(b"POST / HTTP/1.1", HOST, b"Transfer-Encoding: identity")),
        (400, plain(b"POST / HTTP/1.1", HOST, b"Transfer-Encoding : chunked")),
        (
            400,
            plain(b"POST / HTTP/1.1", HOST, b"Content-Length: 1", b"Content-Length: 2"),
        ),
        (400, plain(b"POST / HTTP/1.1", HOST, b"Content-Length: 1, 2")),
        (400, plain(b"POST / HTTP/1.1", HOST, b"Content-Length: +5", body=b"hello")),
        (400, plain(b"POST / HTTP/1.1", HOST, b"Content-Length: -5", body=b"hello")),
        (400, plain(b"POST / HTTP/1.1", HOST, b"Content-Length: 0x5", body=b"hello")),
        (400, plain(b"POST / HTTP/1.1", HOST, b"Content-Length:" + b"9" * 5000)),
        *(
            (400, plain(b"POST / HTTP/1.1", HOST, CHUNKED, body=chunks))
            for chunks in (
                b"x\r\n",
                b"-1\r\nx\r\n",
                b"0x1\r\nx\r\n",
                b"2\r\nabc\r\n",
                b"2\r\nabX\n",
                b"2;a\nb\r\nab\r\n0\r\n\r\n",
                b"0\r\nno trailer\r\n\r\n",
            )
        ),
        # As with WebSockets.
        (400, plain(b"GET / HTTP/1.1")),
        (400, plain(b"GET / HTTP/1.0", HOST, HOST)),
        (400, plain(b"GET / HTTP/1.1", "Host: é".encode())),
        (400, plain(b"GET / HTTP/1.1", b"Host: a b")),
        (400, plain(b"GET / HTTP/1.1", HOST, b"A: b", b" folded")),
        (400, plain(b"GET / HTTP/1.1", HOST).replace(b"\r\n", b"\n")),
        (400, plain(b"GET / HTTP/1.1", HOST, b"A: b\0c")),
        (400, plain(b"GET * HTTP/1.1", HOST)),
        (400, plain(b"GET http://a[b/ HTTP/1.1", HOST)),
        (400, plain(b"OPTIONS nowhere HTTP/1.1", HOST)),
        (400, plain(b"GET / HTTP/1.1", HOST, b"Upgrade: \xe9")),
        (431, plain(b"GET / HTTP/1.1", HOST, *[b"A: b"] * 200)),
        (501, plain(b"CONNECT / HTTP/1.1", HOST)),
        (501, plain(b"CONNECT example.org:80 HTTP/1.1", HOST)),
        (505, plain(b"GET / HTTP/2.0", HOST)),
        (505, plain(b"GET / HTTP/1.2", HOST)),
        (505, plain(b"GET / HTTP/0.9", HOST)),
    ],
)
def test_A7_what_is_refused(status_code: int, data: bytes) -> None:
    outcome = heard(data)
    assert isinstance(outcome, Rejection)
    assert outcome.status_code == status_code
    assert b"\r\nConnection: close\r\n" in outcome.response


@pytest.mark.parametrize(
    "body",
    [
        plain(b"Content-Length: 101"),  # before the body comes
        plain(b"Content-Length: 99999999999999999999"),
        plain(CHUNKED, body=b"65\r\n" + bytes(101)),
        plain(CHUNKED, body=b"33\r\n%b\r\n" % bytes(51) * 2),
        # More around the body than a body pays for.
        plain(CHUNKED, body=b"1;" + b"x" * 5000),
        plain(CHUNKED, body=b"1;xxxxxx\r\nx\r\n" * 99 + b"1;" + b"x" * 5000),
        plain(CHUNKED, body=b"0\r\n" + b"a: b\r\n" * 900),
        # It would be all right if it were all read at once.
        plain(CHUNKED, body=b"1;" + b"x" * 20_000 + b"\r\nx\r\n0\r\n\r\n"),
    ],
)
def test_A7_bodies_that_are_too_large(body: bytes) -> None:
    outcome = heard(b"POST / HTTP/1.1\r\nHost: x\r\n" + body)
    assert isinstance(outcome, Rejection)
    assert outcome.status_code == 413
    assert outcome.reason.endswith("(max_request_body=100)")


def test_no_body_is_allowed() -> None:
    for length, kind in ((0, PlainRequest), (1, Rejection)):
        data = plain(b"POST / HTTP/1.1", HOST, b"Content-Length: %d" % length)
        assert isinstance(hear_request([data], max_body=0), kind)


@pytest.mark.parametrize(
    ("status_code", "data"),
    [
        (400, handshake_request(upgrade=None)),  # a proxy did not pass it on
        (400, handshake_request(connection=None)),
        (400, handshake_request(key=None)),
        (400, handshake_request(upgrade=b"h2c")),
        (400, handshake_request(b"Content-Length: 5") + b"hello"),
        (405, handshake_request(line=b"POST / HTTP/1.1")),
        (505, handshake_request(line=b"GET / HTTP/1.0")),
        (426, handshake_request(version=b"8")),
        (403, handshake_request(b"Origin: https://elsewhere.example")),
    ],
)
def test_A7_requests_for_a_websocket_are_judged_as_ever(
    status_code: int, data: bytes
) -> None:
    outcome = heard(data)
    assert isinstance(outcome, Rejection)
    assert outcome.status_code == status_code
    assert hear_request([data]) == outcome


def test_a_websocket_is_opened_as_ever() -> None:
    assert hear_request([handshake_request()], max_body=MAX_BODY) == hear_request(
        [handshake_request()]
    )


@pytest.mark.parametrize(
    ("data", "waits"),
    [
        (
            plain(
                b"PUT / HTTP/1.1", HOST, b"Content-Length: 5", b"Expect: 100-Continue"
            ),
            1,
        ),
        (plain(b"PUT / HTTP/1.1", HOST, CHUNKED, b"Expect: 100-continue"), 1),
        (plain(b"PUT / HTTP/1.1", HOST, b"Content-Length: 5"), 0),
        (
            plain(
                b"PUT / HTTP/1.0", HOST, b"Content-Length: 5", b"Expect: 100-continue"
            ),
            0,
        ),
        # It did not wait.
        (
            plain(
                *(b"PUT / HTTP/1.1", HOST, b"Content-Length: 5"),
                *(b"Expect: 100-continue",),
                body=b"he",
            ),
            0,
        ),
        (handshake_request()[:-2], 0),
    ],
)
def test_a_client_that_waits_for_a_100(data: bytes, waits: int) -> None:
    handshake = ServerHandshake(origins=Origins(None), max_body=MAX_BODY)
    assert handshake.interim_response() == b""
    assert handshake.receive_data(data) is None
    assert handshake.interim_response() == b"HTTP/1.1 100 Continue\r\n\r\n" * waits
    assert handshake.interim_response() == b""
