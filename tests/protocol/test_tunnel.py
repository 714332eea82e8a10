"""The request for a tunnel, and what a proxy may respond to it."""

from __future__ import annotations

import pytest

from anyio_websocket._protocol import HandshakeFailure, TunnelRequest, TunnelResponse


def asked(authority: str = "example.org:443") -> TunnelRequest:
    return TunnelRequest(authority, [(b"User-Agent", b"me")], 65536)


def test_the_request() -> None:
    assert asked("[::1]:80").data == (
        b"CONNECT [::1]:80 HTTP/1.1\r\nHost: [::1]:80\r\nUser-Agent: me\r\n\r\n"
    )


@pytest.mark.parametrize(
    "head",
    [
        b"HTTP/1.0 200 Connection established\r\n\r\n",
        b"HTTP/1.1 200 \r\nContent-Length: 5\r\n\r\n",  # which means nothing here
        b"HTTP/1.1 299 Whatever\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 204 Fine\r\n\r\n",
    ],
)
def test_an_open_tunnel(head: bytes) -> None:
    request = asked()
    assert request.receive_data(head[:9]) is None
    response = request.receive_data(head[9:] + b"early")
    assert response is not None
    assert response.is_open
    assert response.trailing == b"early"


@pytest.mark.parametrize("status", [301, 407, 502])
def test_a_refusal(status: int) -> None:
    """Its body is not waited for."""
    head = b"HTTP/1.1 %d No\r\nContent-Length: 99\r\n\r\n" % status
    response = asked().receive_data(head)
    assert response == TunnelResponse(status, b"")
    assert not response.is_open


def test_no_response() -> None:
    with pytest.raises(HandshakeFailure, match="the proxy's response is not HTTP"):
        asked().receive_data(b"\x05\x00")
    with pytest.raises(HandshakeFailure, match="the proxy's response is not HTTP"):
        asked().receive_data(b"HTTP/1.1 101 Switching Protocols\r\n\r\n")
