"""What either side makes of handshakes: any bytes, cut anywhere."""

from __future__ import annotations

import hashlib
from base64 import b64encode
from collections.abc import Callable, Iterable

from anyio_websocket._protocol import (
    Accepted,
    ClientHandshake,
    Extensions,
    HandshakeFailure,
    Origins,
    PlainRequest,
    Rejected,
    Rejection,
    Request,
    ServerHandshake,
)


def hear_request(parts: Iterable[bytes], max_body: int | None = None) -> object:
    """Say what a server makes of a request; anything undocumented is raised.

    :param max_body: bytes of the body of a request that wants no WebSocket; ``None`` if
        such requests are not served

    """
    handshake = ServerHandshake(
        origins=Origins(None),
        extensions=Extensions.from_arguments(True),
        max_body=max_body,
    )
    rest = iter(parts)
    outcome = None
    for part in rest:
        outcome = handshake.receive_data(part)
        while outcome is None and handshake.has_more:
            outcome = handshake.receive_data(b"")
        if outcome is not None:
            break
    if outcome is None:
        return None
    if isinstance(outcome, Rejection):
        assert 400 <= outcome.status_code <= 505
        assert outcome.response.startswith(b"HTTP/1.1 %d " % outcome.status_code)
        return outcome
    if isinstance(outcome, PlainRequest):
        assert max_body is not None
        assert len(outcome.body) <= max_body
        assert handshake.interim_response() == b""
        return outcome
    assert isinstance(outcome, Request)
    answer, agreed = handshake.accept()
    assert answer.startswith(b"HTTP/1.1 101 ")
    assert answer.count(b"\r\n\r\n") == 1
    return outcome, answer, agreed, handshake.trailing + b"".join(rest)


def answered(data: bytes, cut: Callable[[bytes], Iterable[bytes]] | None) -> object:
    """Say what a client makes of an answer; anything undocumented is raised."""
    handshake = ClientHandshake(
        host="example.org",
        target="/",
        subprotocols=["chat"],
        extra_headers=None,
        extensions=Extensions.from_arguments(True),
    )
    key = handshake.request().split(b"Sec-WebSocket-Key: ")[1].split(b"\r\n")[0]
    guid = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
    accept = b64encode(hashlib.sha1(key + guid).digest())
    parts = [data.replace(b"ACCEPT", accept)]
    if cut is not None:  # the same for every key
        parts = [part for whole in data.split(b"ACCEPT") for part in (accept, whole)]
        parts = [piece for part in parts[1:] for piece in cut(part)]

    def seen(outcome: object) -> str:
        return repr(outcome).replace(accept.decode(), "ACCEPT")

    try:
        rest = iter(parts)
        for part in rest:
            outcome = handshake.receive_data(part)
            if isinstance(outcome, Accepted):
                trailing = outcome.trailing + b"".join(rest)
                return seen(outcome._replace(trailing=trailing))
            if outcome is not None:
                break
        else:
            outcome = handshake.receive_eof()
    except HandshakeFailure as exc:
        return seen(exc)
    assert isinstance(outcome, Rejected)
    return seen(outcome)
