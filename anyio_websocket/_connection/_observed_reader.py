"""`ObservedReader`: tells the application of the peer's Pings and Pongs.

It is a class of its own, so that a connection whose application does not want to know
does not ask for each of them.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from types import TracebackType
from typing import cast

from .._protocol import Engine, Ping, Pong
from .._settings import ConnectionSettings, PingCallbacks
from .._transport import Transport
from ._background import BackgroundTask
from ._close_state import CloseState
from ._fairness import LIMIT, FairnessBudget
from ._outbox import Outbox
from ._reader import Reader
from ._watched import Watched


class ObservedReader(Reader):
    """A `Reader` that calls functions of the application.

    :param callbacks: what to call
    :param background: ends the connection if they raise

    """

    __slots__ = ("_background", "_callbacks")

    def __init__(
        self,
        transport: Transport,
        engine: Engine,
        outbox: Outbox,
        state: CloseState,
        fairness: FairnessBudget,
        connection: Watched,
        settings: ConnectionSettings,
        callbacks: PingCallbacks,
        background: BackgroundTask,
    ) -> None:
        super().__init__(
            transport, engine, outbox, state, fairness, connection, settings
        )
        self._callbacks = callbacks
        self._background = background

    def _handle_control(self, event: object) -> None:
        callbacks = self._callbacks
        if isinstance(event, Ping):
            if callbacks.auto_pong:
                super()._handle_control(event)
            else:
                self._fairness.events = LIMIT  # as if there was a Pong
            self._call("on_ping", callbacks.on_ping, event.payload)
        else:
            super()._handle_control(event)
            if isinstance(event, Pong):
                self._call("on_pong", callbacks.on_pong, event.payload)

    def _call(
        self, name: str, callback: Callable[[bytes], object] | None, payload: bytes
    ) -> None:
        if callback is None:
            return
        try:
            callback(payload)
        except Exception as exc:
            # Whichever task reads is not to blame, so it only sees that the connection
            # is closed.
            self._engine.fail()
            self._ahead = ()
            # Without this frame, which refers to what refers to the exception.
            traceback = cast("TracebackType", exc.__traceback__).tb_next
            self._state.callback_failed(name, exc)
            exc.__traceback__ = traceback
            job = partial(self._state.fail, exc)
            self._background.start_soon(job, self._state.fail)
