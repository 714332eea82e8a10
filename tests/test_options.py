"""H3: settings that cannot work are refused where they are made."""

from __future__ import annotations

import math

import pytest

from anyio_websocket._options import ConnectionSettings


def test_defaults_are_valid() -> None:
    options = ConnectionSettings()
    assert options.connect_seconds == options.connect_timeout == 10
    assert options.disconnect_seconds == options.disconnect_timeout == 10


def test_no_limits() -> None:
    options = ConnectionSettings(math.inf, math.inf, None, None, None)
    assert options.connect_seconds == options.disconnect_seconds == math.inf
    assert ConnectionSettings(connect_timeout=math.inf, disconnect_timeout=math.inf)
    assert ConnectionSettings(message_queue_size=0).message_queue_size == 0


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("message_queue_size", [-1, math.nan]),
        ("max_message_size", [0, -1, math.nan]),
        ("receive_buffer_size", [0, -1]),
        ("connect_timeout", [0, -1, math.nan]),
        ("disconnect_timeout", [0, -0.1, math.nan]),
    ],
)
def test_H3_impossible_settings(name: str, values: list[float]) -> None:
    for value in values:
        with pytest.raises(ValueError, match=name):
            ConnectionSettings(**{name: value})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("message_queue_size", "1"),
        ("message_queue_size", None),
        ("max_message_size", True),
        ("receive_buffer_size", 1.5),
        ("connect_timeout", "10"),
        ("disconnect_timeout", b"10"),
    ],
)
def test_H3_wrong_types(name: str, value: object) -> None:
    with pytest.raises(TypeError, match=name):
        ConnectionSettings(**{name: value})  # type: ignore[arg-type]
