# What _send_kernels_py.py has, which documents it.

from collections.abc import Callable
from typing import Any, TypeVar

_F = TypeVar("_F", bound=Callable[..., Any])

class OutboxFields:
    __slots__ = (
        "_batch",
        "_batch_is_scheduled",
        "_batch_size",
        "_fairness",
        "_lock",
        "_ping",
        "_pong",
        "_quick_replies_needed",
        "_turn",
        "bytes_sent",
        "checked_since_receive",
        "direct",
        "last_yield",
        "masked",
        "more_expected",
        "reply_due",
    )

def quick_sends(
    function: _F,
    monotonic: Callable[[], float],
    max_sends: int,
    max_stretch: float,
    max_batch: int,
    max_message: int,
    /,
) -> _F: ...
