"""How commands fail."""

from __future__ import annotations

from typing import Any

from anyio_websocket._cli._failure import ExitCode, Failure, first_failure


def test_one_of_several_failures_is_told() -> None:
    first = Failure(ExitCode.LOST, "first")
    inner: Any = BaseExceptionGroup("", [first, Failure(ExitCode.FAILED, "second")])
    assert first_failure(BaseExceptionGroup("", [inner])) is first
    assert str(first) == "first"
