"""The protocol without I/O: nothing here awaits, and nothing knows an event loop.

In: bytes and what the application wants. Out: events and bytes. These are the names
that the rooms upstairs may use.
"""

from __future__ import annotations

from ._client_handshake import Accepted, ClientHandshake, HandshakeFailure, Rejected
from ._codec import Close, Codec, Frame, Ping, Pong, ProtocolViolation, Received
from ._engine import (
    MAX_CONTROL_PAYLOAD,
    NO_COPY_SIZE,
    Engine,
    Event,
    Failure,
    close_code_to_send,
    close_reason_to_send,
    open_engine,
)
from ._extensions import Extensions
from ._frames import FrameCodec
from ._origins import Origins
from ._permessage_deflate import PerMessageDeflate
from ._server_handshake import Rejection, Request, ServerHandshake

__all__ = [
    "MAX_CONTROL_PAYLOAD",
    "NO_COPY_SIZE",
    "Accepted",
    "ClientHandshake",
    "Close",
    "Codec",
    "Engine",
    "Event",
    "Extensions",
    "Failure",
    "Frame",
    "FrameCodec",
    "HandshakeFailure",
    "Origins",
    "PerMessageDeflate",
    "Ping",
    "Pong",
    "ProtocolViolation",
    "Received",
    "Rejected",
    "Rejection",
    "Request",
    "ServerHandshake",
    "close_code_to_send",
    "close_reason_to_send",
    "open_engine",
]
