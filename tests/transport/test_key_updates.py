"""A TLS peer that asks for key updates, and reads none of the answers."""

from __future__ import annotations

import ssl

import pytest

from anyio_websocket._transport._interface import TransportLost
from anyio_websocket._transport._tls import TlsTransport
from anyio_websocket._transport._tls_records import MAX_UNSENT_ANSWERS

ANSWER = 27  # bytes of a record with a key update, about
RECORD = b"\x17\x03\x03\0\1x"


class _Below:
    """A socket that takes nothing, or everything."""

    def __init__(self) -> None:
        self.is_ssl = False
        self.unsent = b""
        self.takes = False

    def write(self, data: bytes) -> bool:
        if not self.takes:
            self.unsent += data
        return self.takes


class _Updates:
    """An ``SSLObject`` that answers a key update with each read."""

    def __init__(self, outgoing: ssl.MemoryBIO) -> None:
        self._outgoing = outgoing

    def read(self, size: int) -> bytes:
        self._outgoing.write(bytes(ANSWER))
        raise ssl.SSLWantReadError


@pytest.mark.parametrize("is_client", [False, True])
def test_F13_answers_that_the_peer_does_not_read(
    is_client: bool, server_tls: ssl.SSLContext, client_tls: ssl.SSLContext
) -> None:
    below = _Below()
    name = "localhost" if is_client else None
    context = client_tls if is_client else server_tls
    transport = TlsTransport(below, context, name)  # type: ignore[arg-type]
    transport._tls = _Updates(transport._outgoing)  # type: ignore[assignment]

    def read() -> None:
        assert transport._decrypt(RECORD, 100) is None

    below.takes = True
    for _ in range(10_000):  # a peer that reads may ask as often as it likes
        read()
    below.takes = False
    below.unsent = bytes(1_000_000)  # a message, which does not count
    for _ in range(MAX_UNSENT_ANSWERS // ANSWER):
        read()
    with pytest.raises(TransportLost, match="key updates"):
        transport._decrypt(RECORD, 100)
    assert len(below.unsent) <= 1_000_000 + MAX_UNSENT_ANSWERS + ANSWER


def test_F13_the_count_ends_when_the_peer_reads(server_tls: ssl.SSLContext) -> None:
    below = _Below()
    transport = TlsTransport(below, server_tls, None)  # type: ignore[arg-type]
    transport._tls = _Updates(transport._outgoing)  # type: ignore[assignment]
    for _ in range(5 * MAX_UNSENT_ANSWERS // ANSWER):
        assert transport._decrypt(RECORD, 100) is None
        if len(below.unsent) > MAX_UNSENT_ANSWERS // 2:
            below.unsent = b""


class _BrokenBelow(_Below):
    def write(self, data: bytes) -> bool:
        raise TransportLost("gone")


def test_E13_an_answer_that_cannot_be_written_loses_nothing(
    server_tls: ssl.SSLContext,
) -> None:
    transport = TlsTransport(_BrokenBelow(), server_tls, None)  # type: ignore[arg-type]

    class Message(_Updates):
        def read(self, size: int) -> bytes:
            self._outgoing.write(bytes(ANSWER))
            return b"last words"

    transport._tls = Message(transport._outgoing)  # type: ignore[assignment]
    assert transport._decrypt(RECORD, 100) == b"last words"
