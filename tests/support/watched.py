"""A connection that does nothing, for parts that are tested by themselves."""

from __future__ import annotations

from anyio_websocket._connection import Backlog, Totals


class StubConnection:
    """What a part of a connection calls back; see ``_connection._watched``."""

    on_watchlist = True
    is_read_in_background = False
    latency: float | None = None

    def on_unread(self) -> None:
        pass

    def look_later(self) -> None:
        pass

    async def read_in_background(self) -> bool:
        return False

    async def close(self, code: int, text: str) -> None:
        pass

    async def abort(self) -> None:
        pass

    async def fail(self, error: Exception) -> None:
        pass

    def send_keepalive(self) -> None:
        pass

    def is_alive(self) -> bool:
        return True

    def is_being_read(self) -> bool:
        return True

    async def close_if_dead(self) -> None:
        pass

    def on_closing(self) -> None:
        pass

    def before_lost(self) -> None:
        pass

    def has_left(self, seconds: float | None) -> bool:
        return False

    async def close_left(self) -> None:
        pass

    async def before_stream_lost(self) -> None:
        pass

    def before_abort(self) -> None:
        pass

    def on_closed(self) -> None:
        pass

    def add_to(self, totals: Totals) -> None:
        pass

    def add_backlog_to(self, backlog: Backlog) -> None:
        pass
