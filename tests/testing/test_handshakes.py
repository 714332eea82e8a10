"""The two heads of a handshake by hand."""

from __future__ import annotations

import pytest

from anyio_websocket.testing import handshake_request, handshake_response
from anyio_websocket.testing._handshakes import KEY, accept_of


def test_handshakes_of_the_rfc() -> None:
    # RFC 6455 section 1.3
    assert accept_of(KEY) == b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
    request = handshake_request(b"Origin: http://example.com", host=None)
    assert b"Origin: http://example.com\r\n\r\n" in request
    assert b"Host" not in request
    response = handshake_response(request, b"Sec-WebSocket-Protocol: chat")
    assert b"Sec-WebSocket-Accept: " + accept_of(KEY) in response
    assert response.endswith(b"\r\nSec-WebSocket-Protocol: chat\r\n\r\n")


def test_a_request_without_a_key_cannot_be_accepted() -> None:
    with pytest.raises(ValueError, match="Sec-WebSocket-Key"):
        handshake_response(handshake_request(key=None))
