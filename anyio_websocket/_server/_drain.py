"""How a server is left by its clients before it ends, so that nobody notices.

First they are left in peace, for those that leave by themselves. Then those that stay
are closed one after another, evenly, because each will connect to another server, and
this one must not be overrun.
"""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable
from functools import partial

from anyio import CancelScope, current_time, move_on_after

from .._connection import BackgroundTask
from .._settings import check


def check_times(drain: float, spread: float) -> None:
    """Check the arguments of `let_leave` that a user passed.

    :raises ValueError: if one has a value that cannot work
    :raises TypeError: if one has the wrong type

    """
    check("drain", drain, zero=True)
    check("spread", spread, zero=True)
    if spread == math.inf:
        raise ValueError("spread must be finite; drain may be math.inf")


async def let_leave(
    background: BackgroundTask,
    wait_empty: Callable[[], Awaitable[None]],
    code: int,
    text: str,
    *,
    drain: float,
    spread: float,
) -> None:
    """Wait for the clients to leave, then close those that have not, one by one.

    Returns when the last client is gone, or the time is over. It does not wait for
    closing handshakes: a slow client must not hold up the next.

    :param background: knows the connections, and closes them
    :param wait_empty: waits until the last client is gone
    :param code: the close code
    :param text: the close reason
    :param drain: seconds until the first is closed
    :param spread: seconds in which all of them are

    """
    with move_on_after(drain):
        await wait_empty()
        return
    connections = background.connections
    started = current_time()
    for number, connection in enumerate(connections):
        with CancelScope(deadline=started + spread * number / len(connections)):
            await wait_empty()
            return
        background.start_soon(partial(connection.close, code, text), connection.fail)
    # Those that were still in their handshake have the whole time, too.
    with CancelScope(deadline=started + spread):
        await wait_empty()
