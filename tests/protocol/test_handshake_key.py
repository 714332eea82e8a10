"""Sec-WebSocket-Key and Sec-WebSocket-Accept."""

from __future__ import annotations

import base64

from anyio_websocket._protocol._handshake_key import accept_key, generate_key


def test_keys_are_16_random_bytes() -> None:
    keys = {generate_key() for _ in range(100)}
    assert len(keys) == 100
    assert {len(base64.b64decode(key, validate=True)) for key in keys} == {16}


def test_accept_of_the_rfc() -> None:
    # RFC 6455 section 1.3
    accept = accept_key(b"dGhlIHNhbXBsZSBub25jZQ==")
    assert accept == b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
