"""Requests that somebody else parsed, held against those that are parsed here."""

from __future__ import annotations

from typing import Any

import h11
import pytest
from hypothesis import given
from hypothesis import strategies as st

from anyio_websocket._protocol import (
    Extensions,
    Http2Response,
    Origins,
    Rejection,
    Request,
    ServerHandshake,
    parsed_head,
)
from anyio_websocket.testing import handshake_request
from anyio_websocket.testing._handshakes import KEY


def new_handshake() -> ServerHandshake:
    return ServerHandshake(
        origins=Origins(None), extensions=Extensions.from_arguments(True)
    )


def checked(
    headers: Any, method: Any = "GET", target: Any = "/", http_version: Any = "1.1"
) -> tuple[ServerHandshake, Request | Rejection]:
    handshake = new_handshake()
    head = parsed_head(method, target, headers, http_version)
    return handshake, handshake.check_parsed(head, b"")


def good_headers(*more: tuple[Any, Any]) -> list[tuple[Any, Any]]:
    return [
        ("Host", "example.org"),
        ("UPGRADE", "websocket"),
        ("Connection", "keep-alive, Upgrade"),
        ("Sec-WebSocket-Key", KEY.decode()),
        ("Sec-WebSocket-Version", "13"),
        *more,
    ]


REQUESTS = {
    "plain": handshake_request(),
    "all": handshake_request(
        b"Cookie: a=b",
        b"Sec-WebSocket-Protocol: a, b",
        b"Sec-WebSocket-Extensions: permessage-deflate",
        b"Origin: http://example.org",
        b"X-Latin: \xe9 \xff",
        line=b"GET /a%20b?c=d HTTP/1.1",
    ),
    "absolute": handshake_request(line=b"GET ws://other.test:81/x HTTP/1.1"),
    "HTTP/1.0": handshake_request(line=b"GET / HTTP/1.0"),
    "POST": handshake_request(line=b"POST / HTTP/1.1"),
    "HEAD": handshake_request(line=b"HEAD / HTTP/1.1"),
    "CONNECT": handshake_request(line=b"CONNECT example.org:80 HTTP/1.1"),
    "body": handshake_request(b"Content-Length: 1"),
    "chunks": handshake_request(b"Transfer-Encoding: chunked"),
    "no upgrade": handshake_request(upgrade=None),
    "h2c": handshake_request(upgrade=b"h2c"),
    "no connection": handshake_request(connection=b"keep-alive"),
    "no version": handshake_request(version=None),
    "old version": handshake_request(version=b"8"),
    "two versions": handshake_request(b"Sec-WebSocket-Version: 13"),
    "joined versions": handshake_request(version=b"13, 13"),
    "no key": handshake_request(key=None),
    "short key": handshake_request(key=b"AAAA"),
    "two keys": handshake_request(b"Sec-WebSocket-Key: " + KEY),
    "joined keys": handshake_request(key=KEY + b", " + KEY),
    "foreign origin": handshake_request(b"Origin: http://evil.test"),
    "two origins": handshake_request(b"Origin: http://a", b"Origin: http://b"),
    "bad subprotocol": handshake_request(b"Sec-WebSocket-Protocol: a b"),
    "obs-text in Origin": handshake_request(b"Origin: http://\xe9"),
    "bad host": handshake_request(host=b"a b"),
    "bad target": handshake_request(line=b"GET * HTTP/1.1"),
}


@pytest.mark.parametrize("data", REQUESTS.values(), ids=REQUESTS)
@pytest.mark.parametrize("as_text", [True, False])
def test_the_outcome_is_that_of_our_own_parser(data: bytes, as_text: bool) -> None:
    connection = h11.Connection(h11.SERVER)
    connection.receive_data(data)
    event = connection.next_event()
    assert isinstance(event, h11.Request)
    headers: Any = event.headers.raw_items()
    if as_text:
        headers = ((k.decode(), v.decode("latin-1")) for k, v in headers)
    ours, theirs = new_handshake(), new_handshake()
    head = parsed_head(event.method, event.target, headers, event.http_version)
    outcome = theirs.check_parsed(head, b"frames")
    assert outcome == ours.receive_data(data + b"frames")
    assert theirs.rejected == ours.rejected == isinstance(outcome, Rejection)
    if not theirs.rejected:
        assert theirs.accept() == ours.accept()
        assert theirs.trailing == ours.trailing == b"frames"


@pytest.mark.parametrize(
    ("value", "received"),
    [
        ("  spaces\t ", b"spaces"),
        (b" \xe9 ", b"\xe9"),
        ("é", b"\xe9"),
        ("€ é", "€ é".encode()),  # decoded as UTF-8
        ("€ \udcff", "€ ".encode() + b"\xff"),  # as far as it was UTF-8
        (bytearray(b"x"), b"x"),
        (memoryview(b"x"), b"x"),
        ("", b""),
    ],
)
def test_values(value: Any, received: bytes) -> None:
    _, outcome = checked(good_headers(("X-It", value)))
    assert isinstance(outcome, Request)
    assert outcome.headers[-1] == (b"x-it", received)


def test_parts_of_any_kind() -> None:
    mapping = dict(good_headers())
    for parts in ((b"GET", b"/a?b", b"1.1"), ("GET", "/a?b", "HTTP/1.1")):
        _, outcome = checked(mapping, *parts)
        assert isinstance(outcome, Request)
        assert outcome.target == "/a?b"


@pytest.mark.parametrize(
    ("field", "reason"),
    [
        (("X", "a\r\nEvil: b"), "control characters"),
        (("X", b"a\0"), "control characters"),
        (("X: y", "a"), "name"),
        (("", "a"), "name"),
        (("Host", "example.org"), "one Host header"),
        (("Content-Length", "nonsense"), "body"),
    ],
)
def test_what_a_lenient_parser_lets_through(
    field: tuple[Any, Any], reason: str
) -> None:
    handshake, outcome = checked(good_headers(field))
    assert isinstance(outcome, Rejection)
    assert outcome.status_code == 400
    assert reason in outcome.reason
    assert b"Evil" not in outcome.response
    assert handshake.rejected


@pytest.mark.parametrize(
    ("target", "version", "status_code"),
    [
        ("/a b", "1.1", 400),
        ("/é", "1.1", 400),
        ("a", "1.1", 400),
        ("", "1.1", 400),
        ("/", "1.0", 505),
        ("/", "0.9", 505),
        ("/", "2.0", 505),  # a client may write it in a request line
    ],
)
def test_bad_targets_and_versions(target: str, version: str, status_code: int) -> None:
    _, outcome = checked(good_headers(), "GET", target, version)
    assert isinstance(outcome, Rejection)
    assert outcome.status_code == status_code


@pytest.mark.parametrize(
    ("parts", "error", "text"),
    [
        ((None, "/", [], "1.1"), TypeError, "method must be bytes or str, not NoneTy"),
        (("GET", 1, [], "1.1"), TypeError, "target must be bytes or str, not int"),
        (("GET", "/", [], 1.1), TypeError, "http_version must be .*, not float"),
        (("GET", "/", [], "3"), ValueError, "must be 1.1 or 2, not '3'"),
        (("GET", "/", None, "1.1"), TypeError, "headers must be like .*, not NoneType"),
        (("GET", "/", ["ab"], "1.1"), TypeError, "headers must be like .* a str in it"),
        (("GET", "/", [("a", 1)], "1.1"), TypeError, "a header must be .*, not int"),
        (("GET", "/", [(1, "a")], "1.1"), TypeError, "name must be .*, not int"),
        (("GET", "/", [("a", "\ud800")], "1.1"), ValueError, "surrogates"),
    ],
)
def test_wrong_types(parts: Any, error: type[Exception], text: str) -> None:
    with pytest.raises(error, match=text):
        parsed_head(*parts)


CONNECT: list[tuple[Any, Any]] = [
    (":method", "CONNECT"),
    (":protocol", "websocket"),
    (":scheme", "https"),
    (":path", "/chat?a"),
    (":authority", "example.org"),
    ("sec-websocket-version", "13"),
    ("sec-websocket-protocol", "a, b"),
    ("sec-websocket-extensions", "permessage-deflate"),
    ("origin", "https://example.org"),
]


def without(name: str, *more: tuple[str, str]) -> list[tuple[Any, Any]]:
    return [*(field for field in CONNECT if field[0] != name), *more]


def test_extended_connect() -> None:
    fields = [("host", "other.test"), *CONNECT]
    handshake, outcome = checked(fields, "CONNECT", "/chat?a", "2")
    assert outcome == Request(
        "/chat?a",
        ((b"sec-websocket-version", b"13"), (b"origin", b"https://example.org")),
        ("a", "b"),
        "example.org",
        "https://example.org",
    )
    response, agreed = handshake.accept(
        subprotocol="b", extra_headers=[("Server", "me")]
    )
    assert agreed.deflate is not None
    assert isinstance(response, Http2Response)
    assert (response, response.status_code) == (b"", 200)
    assert [name for name, _ in response.headers] == [
        b"sec-websocket-protocol",
        b"server",
        b"sec-websocket-extensions",
    ]
    for status_code, body, size in ((403, b"no", [b"2"]), (404, None, [b"0"])):
        response = handshake.reject(status_code, body=body)
        assert isinstance(response, Http2Response)
        assert (response, response.status_code) == (body or b"", status_code)
        assert [v for k, v in response.headers if k == b"content-length"] == size
    response = handshake.reject(204)
    assert isinstance(response, Http2Response)
    assert response.headers == []
    with pytest.raises(ValueError, match="200 to 999"):
        handshake.reject(101)
    with_host = without(":authority", ("host", "example.org"))
    assert isinstance(checked(with_host, "CONNECT", "/", "2")[1], Request)


@pytest.mark.parametrize(
    ("fields", "method", "status_code"),
    [
        (CONNECT, "GET", 405),
        (CONNECT, "HEAD", 405),
        (without(":protocol"), "CONNECT", 501),
        (without(":protocol", (":protocol", "connect-udp")), "CONNECT", 501),
        (without(":authority"), "CONNECT", 400),
        (without("sec-websocket-version"), "CONNECT", 400),
        (
            without("sec-websocket-version", ("sec-websocket-version", "8")),
            "CONNECT",
            400,
        ),
        (without("origin", ("origin", "https://evil.test")), "CONNECT", 403),
        ([*CONNECT, ("x y", "z")], "CONNECT", 400),
    ],
)
def test_extended_connect_that_is_not_valid(
    fields: Any, method: str, status_code: int
) -> None:
    _, outcome = checked(fields, method, "/", "2")
    assert isinstance(outcome, Rejection)
    assert outcome.status_code == status_code
    response = outcome.response
    assert isinstance(response, Http2Response)
    assert response.status_code == status_code
    assert response == (b"" if method == "HEAD" else f"{outcome.reason}\n".encode())
    names = {name for name, _ in response.headers}
    assert names >= {b"content-type", b"content-length"}
    assert not names & {b"connection", b"upgrade"}


TEXTS = st.text(max_size=20) | st.binary(max_size=20)


@given(
    st.lists(st.tuples(TEXTS, TEXTS) | st.sampled_from(good_headers()), max_size=9),
    TEXTS | st.sampled_from(["GET", "HEAD"]),
    TEXTS | st.just("/"),
)
def test_noise_is_rejected(headers: Any, method: Any, target: Any) -> None:
    try:
        handshake, outcome = checked(headers, method, target)
    except UnicodeEncodeError:
        return  # some of it is no text
    if isinstance(outcome, Rejection):
        assert 400 <= outcome.status_code <= 505
        assert outcome.response.startswith(b"HTTP/1.1 %d " % outcome.status_code)
    else:
        assert handshake.accept()[0].count(b"\r\n\r\n") == 1
