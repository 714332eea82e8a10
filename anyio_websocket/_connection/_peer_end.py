"""What the reader does when the peer ends the connection: by a Close, or a mistake."""

from __future__ import annotations

from .._errors import CloseReason
from .._protocol import Close, Engine, Failure, close_reason_to_send
from ._close_state import CloseState
from ._outbox import Outbox


def end_by_peer(
    event: Close | Failure, engine: Engine, outbox: Outbox, state: CloseState
) -> None:
    """Record the end, and reply with our Close unless there is one already.

    :param event: what was received; nothing counts that the peer sends after it
    :param engine: frames our Close
    :param outbox: writes it as soon as possible
    :param state: where the reason is recorded. That comes first, because writing our
        Close may fail, which would make it 1006

    """
    reason = event.reason
    if isinstance(event, Close):
        received = CloseReason(event.code, reason or None)
        state.close_received(received)
        if state.sent is None:
            state.sent = received
    else:
        reason = close_reason_to_send(reason)
        state.sent = CloseReason(event.code, reason)
        state.begin(state.sent)
    outbox.send_close(engine.frame_close(event.code, reason))
