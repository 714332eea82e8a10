"""An open connection for the duration of a block, and how the block ends.

In: a function that starts the connection. Out: the connection; when the block is left,
it is closed, and the exception that matters most comes out.
"""

from __future__ import annotations

import math
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager

from anyio import current_effective_deadline, get_cancelled_exc_class

from .._connection import ConnectionCore, WebSocketConnection
from .._errors import DisconnectionTimeout
from .._settings import ConnectionSettings
from .._types import Nursery
from ._nursery import PrivateNursery

Start = Callable[[Nursery], Awaitable[tuple[ConnectionCore, WebSocketConnection]]]


@asynccontextmanager
async def open_in_block(
    start: Start, server: str, settings: ConnectionSettings
) -> AsyncGenerator[WebSocketConnection]:
    """Keep a connection open while a block runs; see `open_websocket`.

    :param start: starts the connection in a nursery; if it raises, nothing is left
    :param server: the server's address, for errors
    :param settings: the connection's
    :raises DisconnectionTimeout: if the block ended without an exception, and the
        server did not finish the closing handshake

    """
    async with PrivateNursery() as nursery:
        core, connection = await start(nursery)
        try:
            yield connection
        except BaseException as exc:
            # The connection is closed even if this is cancelled, and the block's
            # exception matters more than one of closing.
            try:
                if isinstance(exc, Exception):
                    await core.close(1000, "")
                else:
                    await core.abort()
            except Exception:
                pass
            except get_cancelled_exc_class():
                # A cancelled scope cancels the task again when it waits again. But
                # asyncio's Task.cancel() does not, and Ctrl-C calls that.
                if current_effective_deadline() > -math.inf:
                    raise
            raise
        # After an explicit aclose() in the block, nothing is left that can time out.
        was_open = not core.close_state.closed
        await core.close(1000, "")
    if was_open and core.close_state.timed_out:
        raise DisconnectionTimeout(
            f"the server at {server} did not finish the closing handshake "
            f"within {settings.disconnect_timeout} seconds (disconnect_timeout)"
        )
