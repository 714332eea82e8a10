"""Which errors are worth another attempt, and for how long to wait."""

from __future__ import annotations

import errno
import socket
import ssl
import time
from email.utils import formatdate

import anyio
import pytest

from anyio_websocket import (
    CloseReason,
    ConnectionClosed,
    ConnectionRejected,
    ConnectionTimeout,
    DisconnectionTimeout,
    HandshakeError,
    ProxyError,
    is_transient,
)
from anyio_websocket._client._transient import MAX_RETRY_AFTER, asked_wait, retry_after


def caused_by(cause: BaseException) -> HandshakeError:
    error = HandshakeError("could not connect")
    error.__cause__ = cause
    return error


def test_close_codes() -> None:
    transient = {
        code
        for code in (*range(1000, 1016), 3000, 4000, 4999)
        if is_transient(ConnectionClosed(CloseReason(code, None)))
    }
    assert transient == {1001, 1006, 1011, 1012, 1013, 1014}
    assert not is_transient(ConnectionClosed(None))


@pytest.mark.parametrize(
    ("cause", "expected"),
    [
        (None, True),  # the stream ended
        (ConnectionResetError(), True),
        (anyio.BrokenResourceError(), True),
        (RuntimeError("unable to perform operation, the handler is closed"), True),
        (type("TunnelLost", (Exception,), {})(), True),  # of another library
        (ssl.SSLError("bad record mac"), True),
        (ssl.SSLCertVerificationError(), True),  # which is a ValueError as well
        (TypeError("a bug"), False),
        (ValueError("a bug"), False),
        (NotImplementedError(), False),
        (MemoryError(), False),
    ],
)
def test_what_broke_the_stream(cause: Exception | None, expected: bool) -> None:
    closed = ConnectionClosed(CloseReason(1006, None))
    closed.__cause__ = cause
    assert is_transient(closed) is expected
    if not isinstance(cause, OSError | None):
        assert is_transient(caused_by(cause)) is expected


def test_an_error_of_the_network_in_the_middle() -> None:
    """Some streams put an exception of their own around it."""
    wrapped = ValueError("the tunnel is closed")
    wrapped.__cause__ = BrokenPipeError()
    assert is_transient(caused_by(wrapped))


def test_statuses() -> None:
    transient = {
        status for status in range(200, 600) if is_transient(ConnectionRejected(status))
    }
    assert transient == {408, 425, 429, *range(500, 600)} - {501, 505}
    assert is_transient(ProxyError("busy", 503))
    assert not is_transient(ProxyError("who are you?", 407))
    assert is_transient(ProxyError("it is not there"))


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (ProxyError("no answer"), True),
        (ProxyError("its server is down", 502), True),
        (ProxyError("a password", 407), False),
        (ProxyError("a password", refused=True), False),
        (ConnectionTimeout(), True),
        (DisconnectionTimeout(), False),
        (HandshakeError("the server closed the connection before it responded"), True),
        (ConnectionResetError(), True),
        (TimeoutError(), True),
        (socket.gaierror(socket.EAI_NONAME, "unknown"), True),
        (OSError(errno.ENETUNREACH, "no network"), True),
        (OSError("none of its 2 addresses answers"), True),
        (ssl.SSLEOFError(), True),
        (ssl.SSLCertVerificationError(), False),
        (ssl.SSLError("wrong version number"), False),
        (PermissionError(errno.EACCES, "a firewall"), False),
        (FileNotFoundError(errno.ENOENT, "of the session"), False),
        (OSError(errno.EMFILE, "too many open files"), False),
        (ValueError(), False),
    ],
)
def test_other_errors(error: Exception, expected: bool) -> None:
    assert is_transient(error) is expected
    if isinstance(error, FileNotFoundError):
        assert is_transient(caused_by(error))  # of a UNIX socket whose server restarts
    elif isinstance(error, OSError):
        assert is_transient(caused_by(error)) is expected


NOW = b"Thu, 26 Nov 2026 12:00:00 GMT"


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (b"120", 120),
        (b"0", 0),
        (b"9" * 5000, MAX_RETRY_AFTER),
        (b"Thu, 26 Nov 2026 12:00:30 GMT", 30),
        (b"Fri, 27 Nov 2026 12:00:30 GMT", MAX_RETRY_AFTER),
        (b"Thu, 26 Nov 2026 11:00:00 GMT", 0),
        (b"Thu, 26 Nov 99999 11:00:00 GMT", 0),
        (b"soon", 0),
        (b"-1", 0),
        (b"1e3", 0),
        (b"\xff", 0),
        (b"", 0),
    ],
)
def test_retry_after(value: bytes, seconds: float) -> None:
    assert retry_after(((b"date", NOW), (b"retry-after", value))) == seconds


def test_retry_after_by_our_clock() -> None:
    then = formatdate(time.time() + 300, usegmt=True).encode()
    assert retry_after(((b"retry-after", then),)) == pytest.approx(300, abs=5)
    assert retry_after(()) == 0


@pytest.mark.parametrize(
    ("error", "least", "most"),
    [
        (ConnectionRejected(503, ((b"retry-after", b"60"),)), 60, 65),
        (ConnectionRejected(503), 0, 0),
        (ConnectionClosed(CloseReason(1012, None)), 5, 30),
        (ConnectionClosed(CloseReason(1013, None)), 30, 90),
        (ConnectionClosed(CloseReason(1001, None)), 0, 0),
        (ConnectionClosed(None), 0, 0),
        (OSError(), 0, 0),
    ],
)
def test_what_the_server_asks_for(error: Exception, least: float, most: float) -> None:
    waits = [asked_wait(error) for _ in range(200)]
    assert least <= min(waits) <= max(waits) <= most
    # By chance, so that not all clients return at the same moment.
    assert max(waits) - min(waits) >= 0.8 * (most - least)
