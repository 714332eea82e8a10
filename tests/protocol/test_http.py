"""Heads and headers of HTTP/1.1, as both handshakes read and write them."""

from __future__ import annotations

import re

import pytest

from anyio_websocket._protocol import (
    ClientHandshake,
    HandshakeFailure,
    Origins,
    PlainRequest,
    Rejected,
    Rejection,
    Request,
    ServerHandshake,
)
from anyio_websocket._protocol._http import (
    REQUEST_LINE,
    REQUEST_START,
    STATUS_LINE,
    STATUS_START,
    BadHead,
    HeadReader,
    serialize_response,
)
from anyio_websocket.testing import handshake_request, handshake_response

from ..support.costs import grows_linearly
from ..support.requests import serve


def server(
    data: bytes, *, size: int | None = None
) -> Request | PlainRequest | Rejection | None:
    """Feed a server in pieces until it returns something."""
    handshake = ServerHandshake(origins=Origins(None))
    for start in range(0, len(data), size or len(data)):
        outcome = handshake.receive_data(data[start : start + (size or len(data))])
        if outcome is not None:
            return outcome
    return None


def client(*, host: str = "example.org", target: str = "/") -> ClientHandshake:
    return ClientHandshake(host=host, target=target)


@pytest.mark.parametrize("size", [1, 7, None])
@pytest.mark.parametrize(
    "line",
    [b"SSH-2.0-OpenSSH_9.2\r\n", b"GET /\r\n", b"220 mail ESMTP\r\n", b"\x16\x03\x01"],
)
def test_A4_noise_is_rejected_before_its_head_ends(
    line: bytes, size: int | None
) -> None:
    outcome = server(line, size=size)
    assert isinstance(outcome, Rejection)
    assert outcome.status_code == 400


@pytest.mark.parametrize(
    "line",
    [
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"220 mail ESMTP\r\n",
        b"h",
        b"HTTP/2",
        b"\x15\x03",
        b"HTTP/1.1 OK\r\n",
    ],
)
@pytest.mark.parametrize("whole", [True, False])
def test_B3_noise_fails_before_its_head_ends(line: bytes, whole: bool) -> None:
    handshake = client()
    chunks = [line] if whole else [line[i : i + 1] for i in range(len(line))]
    if line == b"HTTP/2":  # all of it may still be the start of a status line
        chunks.append(b" 200 OK\r\n")
    with pytest.raises(HandshakeFailure, match="not HTTP"):
        for chunk in chunks:
            handshake.receive_data(chunk)


@pytest.mark.measured
def test_A3_a_first_line_without_spaces_costs_linear_time() -> None:
    def line(size: int) -> None:
        reader = HeadReader(REQUEST_LINE, REQUEST_START)
        for _ in range(size):
            reader.feed(b"A")

    assert grows_linearly(line, 4000)


@pytest.mark.parametrize(
    ("start_line", "start", "data"),
    [
        (REQUEST_LINE, REQUEST_START, b"GET / HTTP/1.1\r\nA: b\r\n\r\n"),
        (STATUS_LINE, STATUS_START, b"HTTP/1.1 200\r\n\r\n"),
        (STATUS_LINE, STATUS_START, b"HTTP/1.0 999 caf\xe9 x\r\nA: b\r\n\r\n"),
    ],
)
def test_a_head_is_found_wherever_it_is_cut(
    start_line: re.Pattern[bytes], start: re.Pattern[bytes], data: bytes
) -> None:
    for cut in range(len(data)):
        reader = HeadReader(start_line, start)
        assert reader.feed(data[:cut]) is None
        assert reader.feed(data[cut:] + b"rest\r\n") == data
        assert reader.trailing == b"rest\r\n"


def test_A3_the_limits_are_exact() -> None:
    fits = b"GET / HTTP/1.1\r\n"
    fits += (b"A: " + b"a" * 16379 + b"\r\n") + (b"B: " + b"b" * 16000 + b"\r\n") * 2
    fits += b"C: " + b"c" * (16384 - 5) + b"\r\n"
    fits += b"D: "
    fits += b"d" * (65536 - len(fits) - 4) + b"\r\n\r\n"
    assert len(fits) == 65536
    assert HeadReader(REQUEST_LINE, REQUEST_START).feed(fits) == fits
    for longer in (fits.replace(b"D: ", b"D:  "), fits.replace(b"A: ", b"A:  ")):
        with pytest.raises(BadHead) as caught:
            HeadReader(REQUEST_LINE, REQUEST_START).feed(longer)
        assert caught.value.status_code == 431
        assert "(max_head_size=65536)" in caught.value.reason


@pytest.mark.parametrize(
    ("size", "line", "headers"),
    [
        (1024, 8192, 100),
        (32768, 8192, 100),
        (51712, 12928, 101),
        (65536, 16384, 128),
        (2**20, 2**18, 2048),
    ],
)
def test_A17_line_and_count_follow_from_the_whole(
    size: int, line: int, headers: int
) -> None:
    def status(*lines: bytes) -> int:
        data = b"\r\n".join((b"GET / HTTP/1.1", *lines, b"", b""))
        reader = HeadReader(REQUEST_LINE, REQUEST_START, max_size=size)
        try:
            return 200 if reader.feed(data) == data else 0
        except BadHead as exc:
            return exc.status_code if f"(max_head_size={size})" in exc.reason else 0

    whole = size - len(b"GET / HTTP/1.1\r\n\r\n")
    longest = min(line, whole)
    assert status(b"A: " + b"x" * (longest - 5)) == 200
    assert status(b"A: " + b"x" * (longest - 4)) == 431
    assert status(*[b"A: "] * headers) == 200
    assert status(*[b"A: "] * (headers + 1)) == 431
    count, rest = divmod(whole, longest)
    full = [b"A: " + b"x" * (longest - 5)] * (count - 1)
    full.append(b"A: " + b"x" * (longest - 105))
    full.append(b"B: " + b"x" * (rest + 95))
    if len(full[-1]) + 2 <= line:
        assert status(*full) == 200
        assert status(*full[:-1], full[-1] + b"x") == 431


def test_A17_work_is_linear_however_large_heads_may_be() -> None:
    def head(size: int) -> None:
        reader = HeadReader(REQUEST_LINE, REQUEST_START, max_size=2**20)
        data = b"GET / HTTP/1.1\r\n" + b"X: y\r\n" * 1000 + b"Y: " + b"y" * size
        for i in range(0, len(data), 4):
            assert reader.feed(data[i : i + 4]) is None

    assert grows_linearly(head, 50_000)


@pytest.mark.parametrize("host", [None, b"a\r\nHost: b"])
def test_A5_the_reason_names_the_host_header(host: bytes | None) -> None:
    outcome = server(handshake_request(host=host))
    assert isinstance(outcome, Rejection)
    assert "Host" in outcome.reason


def test_A5_the_response_names_the_supported_version() -> None:
    outcome = server(handshake_request(version=b"8"))
    assert isinstance(outcome, Rejection)
    assert b"\r\nUpgrade: websocket\r\n" in outcome.response  # RFC 9110 15.5.22
    assert b"\r\nSec-WebSocket-Version: 13\r\n" in outcome.response


@pytest.mark.parametrize("target", [b"ws://example.org/a?b", b"WSS://x:8000/a?b"])
def test_A15_absolute_targets_may_have_websocket_schemes(target: bytes) -> None:
    outcome = server(handshake_request(line=b"GET " + target + b" HTTP/1.1"))
    assert isinstance(outcome, Request)
    assert outcome.target == "/a?b"


@pytest.mark.parametrize("host", ["", "x\r\nY: z", "a b", "é", "x\x7f"])
def test_B8_invalid_hosts_are_an_error(host: str) -> None:
    with pytest.raises(ValueError, match="Host") as caught:
        client(host=host)
    assert not host or host not in str(caught.value)


@pytest.mark.parametrize("target", ["", "a", "/a b", "/\r\n", "/é", "/a#b", "*"])
def test_B8_invalid_targets_are_an_error(target: str) -> None:
    with pytest.raises(ValueError, match="request line"):
        client(target=target)


@pytest.mark.parametrize(
    "upgrade",
    [b"h2c, websocket", b"websocket\r\nUpgrade: h2c", b"websocket, websocket"],
)
def test_B6_an_upgrade_to_more_protocols_fails(upgrade: bytes) -> None:
    handshake = client()
    data = handshake_response(handshake.request())
    with pytest.raises(HandshakeFailure, match="Upgrade"):
        handshake.receive_data(data.replace(b": websocket", b": " + upgrade, 1))


@pytest.mark.parametrize("name", [b"Protocol", b"Extensions"])
def test_B6_failures_show_little_of_the_response(name: bytes) -> None:
    handshake = client()
    line = b"Sec-WebSocket-" + name + b": " + b"x" * 5000
    with pytest.raises(HandshakeFailure) as caught:
        handshake.receive_data(handshake_response(handshake.request(), line))
    assert len(str(caught.value)) < 200


def test_B4_a_body_in_single_bytes_is_complete() -> None:
    handshake = client()
    data = b"HTTP/1.1 503 No\r\nContent-Length: 3\r\n\r\nabc"
    outcomes = [handshake.receive_data(data[i : i + 1]) for i in range(len(data))]
    assert outcomes[:-1] == [None] * (len(data) - 1)
    assert outcomes[-1] == Rejected(503, ((b"content-length", b"3"),), b"abc")


def test_a_response_has_its_content_length() -> None:
    assert serialize_response(418, [(b"A", b"b")], b"tea") == (
        b"HTTP/1.1 418 I'm a Teapot\r\nConnection: close\r\nContent-Length: 3\r\n"
        b"A: b\r\n\r\ntea"
    )


# -- headers of an application ---------------------------------------------------


BAD_HEADERS: list[tuple[object, object]] = [
    (b"X", b"a\r\nb"),
    ("X", "a\nb"),
    (b"X", b"a\0b"),
    (b"X Y", b"a"),
    (b"", b"a"),
    ("X", "\u20ac"),
    ("\u20ac", "x"),
    (b"Sec-WebSocket-Accept", b"x"),
    (b"sec-websocket-protocol", b"x"),
    (b"Sec-WebSocket-Extensions", b"x"),
    (b"Content-Length", b"5"),
    (b"transfer-encoding", b"chunked"),
    (b"Connection", b"close"),
    ("UPGRADE", "h2c"),
]


@pytest.mark.parametrize(("name", "value"), BAD_HEADERS)
def test_A12_B8_invalid_and_reserved_headers_are_an_error(
    name: object, value: object
) -> None:
    headers: list[tuple[bytes, bytes]] = [(name, value)]  # type: ignore[list-item]
    handshake, _ = serve(handshake_request())
    with pytest.raises(ValueError):  # noqa: PT011 - of several kinds
        handshake.accept(extra_headers=headers)
    with pytest.raises(ValueError):  # noqa: PT011
        handshake.reject(400, extra_headers=headers)
    with pytest.raises(ValueError):  # noqa: PT011
        ClientHandshake(host="x", target="/", extra_headers=headers)


def test_A12_B8_errors_do_not_show_values() -> None:
    for value in ("secret\n", "secret\u20ac"):
        with pytest.raises(ValueError, match="Authorization") as caught:
            ClientHandshake(
                host="x", target="/", extra_headers=[("Authorization", value)]
            )
        assert "secret" not in str(caught.value)
        assert caught.value.__cause__ is None


@pytest.mark.parametrize("name", ["Authorization: secret", b"secret\r\nX", "secret é"])
def test_B13_errors_do_not_show_names_that_are_none(name: str | bytes) -> None:
    with pytest.raises(ValueError, match="header 1 in extra_headers") as caught:
        ClientHandshake(host="x", target="/", extra_headers=[("A", "b"), (name, "")])  # type: ignore[list-item]
    assert "secret" not in str(caught.value)


def test_A12_headers_of_the_wrong_type() -> None:
    with pytest.raises(TypeError, match="must be bytes or str"):
        ClientHandshake(host="x", target="/", extra_headers=[("a", 5)])  # type: ignore[list-item]
