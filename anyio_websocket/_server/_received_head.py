"""The head of a request as the client sent it: all headers, in their order.

`WebSocketRequest` leaves some out, as trio-websocket does. ASGI wants all of them.
"""

from __future__ import annotations

from .._protocol import RequestHead
from ._request import WebSocketRequest


def received_head(request: WebSocketRequest) -> RequestHead:
    """Return the head of a request that has not been accepted yet."""
    head = request._pending.handshake.head  # pyright: ignore[reportPrivateUsage]
    assert head is not None  # there is a request, so it was valid
    return head
