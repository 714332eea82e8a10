"""`sends_quickly`: the decorator of ``send_message()``.

Theory of operation
-------------------
To create a coroutine and to run it costs as much as to frame and to send a short
message. So where functions in C were built, a call returns an object that sends the
message when it is awaited, in one step, if nothing waits for anything. It is a reply,
other tasks ran within the last millisecond, nothing is unsent, no lock is held, the
frame needs nothing but a header and a mask, and the transport is one of our own
sockets.

In every other case the object makes the coroutine, and whoever awaits the object awaits
the coroutine. It makes it too if it is used in any other way: if somebody asks for an
attribute, or throws an exception into it, or drops it. So everything that one can do
with a coroutine can be done with it, and has the same outcome: a task of it, a warning
that it was never awaited, the frames in which it waits. Where coroutines are to know
where they were made (asyncio's debug mode), it is made with the object.
"""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic
from typing import Any, TypeVar

from .._protocol import NO_COPY_SIZE
from ._fairness import LIMIT, MAX_STRETCH
from ._joined_frames import MAX_SIZE
from ._send_kernels import quick_sends

_F = TypeVar("_F", bound=Callable[..., Any])


def sends_quickly(function: _F) -> _F:
    """Decorate ``send_message()``, which then sends in one step where it can."""
    return quick_sends(function, monotonic, LIMIT, MAX_STRETCH, MAX_SIZE, NO_COPY_SIZE)
