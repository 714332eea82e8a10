"""Which parts of an exception, or of a group of them, are cancellations."""

from __future__ import annotations

import anyio

from anyio_websocket._server._cancellations import (
    consists_of,
    is_cancellation,
    is_error_or_cancellation,
    without_cancellations,
)


async def cancellation() -> BaseException:
    caught: list[BaseException] = []
    with anyio.CancelScope() as scope:
        scope.cancel()
        try:
            await anyio.sleep_forever()
        except BaseException as exc:
            caught.append(exc)
            raise
    return caught[0]


async def test_what_is_a_cancellation() -> None:
    cancelled, error = await cancellation(), ValueError()
    inner = BaseExceptionGroup("", [cancelled])
    assert consists_of(is_cancellation, cancelled)
    assert consists_of(is_cancellation, BaseExceptionGroup("", [cancelled, inner]))
    for other in (error, KeyboardInterrupt(), BaseExceptionGroup("", [inner, error])):
        assert not consists_of(is_cancellation, other)
    assert consists_of(is_error_or_cancellation, BaseExceptionGroup("", [inner, error]))
    assert not consists_of(
        is_error_or_cancellation, BaseExceptionGroup("", [error, SystemExit()])
    )


async def test_what_is_left_without_cancellations() -> None:
    cancelled, error = await cancellation(), ValueError()
    assert without_cancellations(error) is None
    assert without_cancellations(BaseExceptionGroup("", [cancelled])) is None
    group = without_cancellations(BaseExceptionGroup("", [cancelled, error]))
    assert isinstance(group, ExceptionGroup)
    assert group.exceptions == (error,)
