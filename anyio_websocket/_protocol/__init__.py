"""The protocol without I/O: nothing here awaits, and nothing knows an event loop.

Bytes and the application's wishes go in; events and bytes come out. The other folders
may use the names below, and only those.
"""

from __future__ import annotations

from ._basic_auth import basic_challenge, parse_basic
from ._client_handshake import (
    Accepted,
    ClientHandshake,
    Rejected,
    check_subprotocols,
    first_proposed,
)
from ._close import close_code_to_send, close_reason_to_send
from ._codec import (
    MAX_CONTROL_PAYLOAD,
    REST_AT_ONCE,
    Close,
    Frame,
    Paused,
    Ping,
    Pong,
)
from ._counted import MessageCounts
from ._engine import NO_COPY_SIZE, Engine, Failure, open_engine
from ._extensions import Extension, Extensions
from ._head_reader import MAX_HEAD_SIZE
from ._http import (
    check_response,
    header_value,
    serialize_response,
    validate_headers,
)
from ._http2_response import Http2Response
from ._identity import Credentials, Identity, check_basic, credentials_of_url
from ._kernels import frame_unmasked
from ._origins import Origins
from ._parsed_request import parsed_head
from ._permessage_deflate import PerMessageDeflate
from ._plain_request import PlainRequest
from ._printable import name_of, printable
from ._received_parts import Part
from ._request_head import RequestHead
from ._responses import HandshakeFailure, ResponseReader
from ._server_handshake import Rejection, ServerHandshake
from ._upgrade_request import Request

__all__ = [
    "MAX_CONTROL_PAYLOAD",
    "MAX_HEAD_SIZE",
    "NO_COPY_SIZE",
    "REST_AT_ONCE",
    "Accepted",
    "ClientHandshake",
    "Close",
    "Credentials",
    "Engine",
    "Extension",
    "Extensions",
    "Failure",
    "Frame",
    "HandshakeFailure",
    "Http2Response",
    "Identity",
    "MessageCounts",
    "Origins",
    "Part",
    "Paused",
    "PerMessageDeflate",
    "Ping",
    "PlainRequest",
    "Pong",
    "Rejected",
    "Rejection",
    "Request",
    "RequestHead",
    "ResponseReader",
    "ServerHandshake",
    "basic_challenge",
    "check_basic",
    "check_response",
    "check_subprotocols",
    "close_code_to_send",
    "close_reason_to_send",
    "credentials_of_url",
    "first_proposed",
    "frame_unmasked",
    "header_value",
    "name_of",
    "open_engine",
    "parse_basic",
    "parsed_head",
    "printable",
    "serialize_response",
    "validate_headers",
]
