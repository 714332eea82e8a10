"""What ``_send_kernels_c.c`` adds to the outbox, where it is not built: nothing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

_F = TypeVar("_F", bound=Callable[..., Any])


class OutboxFields:
    """What `ReaderFields` are for a `Reader`, for an `Outbox`."""

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


class BudgetFields:
    """The attributes of a `FairnessBudget`."""

    __slots__ = ("events", "gives_way", "sends")


class YieldFields:
    """The attribute of a `LastYield`."""

    __slots__ = ("time",)


def quick_sends(
    function: _F,
    monotonic: Callable[[], float],
    max_sends: int,
    max_stretch: float,
    max_batch: int,
    max_message: int,
    /,
) -> _F:
    """Have a call of ``send_message()`` send in one step if nothing waits.

    The conditions are those of `Outbox.start_send`, which the function calls. It is
    called in all other cases.

    :param function: the function of the class
    :param monotonic: the clock
    :param max_sends: see `LIMIT`
    :param max_stretch: see `MAX_STRETCH`
    :param max_batch: see `MAX_SIZE`
    :param max_message: see `NO_COPY_SIZE`

    """
    return function
