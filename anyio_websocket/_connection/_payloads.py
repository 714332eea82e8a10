"""What users send, checked: messages and the payloads of Pings and Pongs.

What a method was called with comes in. What the codec frames comes out: ``str`` for a
text and ``bytes`` for a binary message. What cannot be sent raises here, before
anything is sent.
"""

from __future__ import annotations

from typing import cast

from .._protocol import MAX_CONTROL_PAYLOAD

Buffer = bytes | bytearray | memoryview


def payload_of(message: object, text: bool | None) -> str | bytes:
    """Check a message.

    :param message: what the user passed
    :param text: whether to make it a text message or not; ``None`` goes by the type
    :raises ValueError: if it cannot be sent

    """
    if isinstance(message, str):
        if text is False:
            return message.encode()
        if not message.isascii():
            message.encode()
        return message
    if isinstance(message, bytes | bytearray | memoryview):
        data = (
            message
            if isinstance(message, bytes)
            else _bytes_of(cast("bytearray | memoryview", message))
        )
        return data.decode() if text else data
    # Type hints do not keep anything out.
    raise ValueError(
        "message must be str, bytes, bytearray or memoryview, not "
        f"{type(message).__name__}"
    )


def _bytes_of(buffer: Buffer) -> bytes:
    if isinstance(buffer, bytes):
        return buffer
    if isinstance(buffer, memoryview) and (buffer.ndim != 1 or buffer.itemsize != 1):
        raise ValueError(
            "a memoryview message must be one-dimensional with items of one byte, not "
            f"{buffer.ndim}-dimensional with items of {buffer.itemsize}"
        )
    return bytes(buffer)


def control_payload(payload: Buffer | None, *, default: bytes) -> bytes:
    """Check the payload of a Ping or a Pong; ``None`` is replaced by the default."""
    if payload is None:
        return default
    if isinstance(payload, bytes | bytearray | memoryview):  # pyright: ignore[reportUnnecessaryIsInstance]
        data = _bytes_of(payload)
    else:  # type hints do not keep anything out
        raise ValueError(
            f"payload must be a bytes-like object, not {type(payload).__name__}"
        )
    if len(data) > MAX_CONTROL_PAYLOAD:
        raise ValueError(
            f"payload must be at most {MAX_CONTROL_PAYLOAD} bytes, not {len(data)}"
        )
    return data
