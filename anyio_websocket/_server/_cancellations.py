"""Which parts of an exception, or of a group of them, are cancellations."""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

from anyio import get_cancelled_exc_class


def consists_of(condition: Callable[[BaseException], bool], exc: BaseException) -> bool:
    """Say whether a condition holds for an exception, or for all of a group."""
    if isinstance(exc, BaseExceptionGroup):
        group = cast("BaseExceptionGroup[BaseException]", exc)
        return all(consists_of(condition, inner) for inner in group.exceptions)
    return condition(exc)


def is_cancellation(exc: BaseException) -> bool:
    return isinstance(exc, get_cancelled_exc_class())


def is_error_or_cancellation(exc: BaseException) -> bool:
    return isinstance(exc, Exception) or is_cancellation(exc)


def without_cancellations(exc: BaseException) -> BaseException | None:
    if isinstance(exc, BaseExceptionGroup):
        group = cast("BaseExceptionGroup[BaseException]", exc)
        return group.split(is_cancellation)[1]
    return None
