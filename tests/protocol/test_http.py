"""Heads and headers of HTTP/1.1, as both handshakes read and write them."""

from __future__ import annotations

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
from anyio_websocket._protocol._http import serialize_response
from anyio_websocket.testing import handshake_request, handshake_response

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
