"""The exceptions and `CloseReason`: their attributes, and copying and pickling."""

from __future__ import annotations

import copy
import pickle

import pytest
import wsproto.frame_protocol

from anyio_websocket import (
    CloseCode,
    CloseReason,
    ConnectionClosed,
    ConnectionRejected,
    ConnectionTimeout,
    DisconnectionTimeout,
    HandshakeError,
    WebSocketError,
)


@pytest.mark.parametrize(
    ("code", "name"),
    [
        (1000, "NORMAL_CLOSURE"),
        (1001, "GOING_AWAY"),
        (1006, "ABNORMAL_CLOSURE"),
        (1014, "BAD_GATEWAY"),
        (1015, "TLS_HANDSHAKE_FAILED"),
        (1004, "RFC_RESERVED"),
        (2999, "RFC_RESERVED"),
        (3000, "IANA_RESERVED"),
        (3999, "IANA_RESERVED"),
        (4000, "PRIVATE_RESERVED"),
        (4999, "PRIVATE_RESERVED"),
        (999, "INVALID_CODE"),
        (5000, "INVALID_CODE"),
    ],
)
def test_close_reason_name(code: int, name: str) -> None:
    assert CloseReason(code, None).name == name


def test_close_reason() -> None:
    reason = CloseReason(1000, "bye")
    assert (reason.code, reason.reason) == (1000, "bye")
    assert repr(reason) == ("CloseReason<code=1000, name=NORMAL_CLOSURE, reason='bye'>")
    assert reason == CloseReason(1000, "bye")
    assert hash(reason) == hash(CloseReason(1000, "bye"))
    assert reason != CloseReason(1000, None)
    assert reason != (1000, "bye")
    with pytest.raises(AttributeError):
        reason.code = 1001  # type: ignore[misc]
    assert pickle.loads(pickle.dumps(reason)) == reason
    assert copy.deepcopy(reason) == reason


def test_H5_codes_are_members_of_an_enum() -> None:
    reason = CloseReason(1001, None)
    for twin in (reason, pickle.loads(pickle.dumps(reason)), copy.deepcopy(reason)):
        assert twin.code is CloseCode.GOING_AWAY
        assert isinstance(twin.code, CloseCode)
        assert (twin.code.value, twin.code.name) == (1001, "GOING_AWAY")
        assert (f"{twin.code}", str(twin.code), twin.code) == ("1001", "1001", 1001)
    assert CloseReason(CloseCode.GOING_AWAY, None) == reason
    for code in CloseCode:
        assert CloseReason(int(code), None).code is code
        assert CloseReason(code, None).name == code.name


@pytest.mark.parametrize("code", [999, 1004, 1016, 3000, 4999, 5000])
def test_H5_other_codes_are_plain_numbers(code: int) -> None:
    assert type(CloseReason(code, None).code) is int
    assert CloseReason(code, None).code == code


def test_H5_names_are_those_of_wsproto() -> None:
    theirs = {code.name: code.value for code in wsproto.frame_protocol.CloseReason}
    ours = {code.name: code.value for code in CloseCode}
    assert ours == theirs | {"BAD_GATEWAY": 1014}


def test_the_base_classes() -> None:
    for error in (ConnectionTimeout, DisconnectionTimeout, ConnectionRejected):
        assert issubclass(error, HandshakeError)
    assert issubclass(HandshakeError, WebSocketError)
    assert issubclass(ConnectionClosed, WebSocketError)
    assert not issubclass(ConnectionClosed, HandshakeError)


def test_connection_closed_can_be_copied_and_pickled() -> None:
    error = ConnectionClosed(CloseReason(1001, "gone"))
    assert repr(error) == f"ConnectionClosed<{error.reason!r}>"
    for twin in (pickle.loads(pickle.dumps(error)), copy.copy(error)):
        assert type(twin) is ConnectionClosed
        assert twin.reason == error.reason
    assert str(error) == str(error.reason)


def test_connection_closed_subclass_without_init() -> None:
    # Users have such classes: reason is a plain attribute that they set themselves.
    class Closed(ConnectionClosed):
        def __init__(self, reason: CloseReason) -> None:
            self.reason = reason

    error = Closed(CloseReason(1000, None))
    assert error.reason == CloseReason(1000, None)
    assert repr(error).startswith("Closed<CloseReason")


def test_connection_rejected_can_be_copied_and_shows_no_secrets() -> None:
    error = ConnectionRejected(401, ((b"set-cookie", b"secret"),), b"secret body")
    for twin in (pickle.loads(pickle.dumps(error)), copy.copy(error)):
        assert (twin.status_code, twin.headers, twin.body) == (
            401,
            ((b"set-cookie", b"secret"),),
            b"secret body",
        )
    assert repr(error) == "ConnectionRejected<status_code=401>"
    assert "401" in str(error)
    assert "secret" not in str(error)
