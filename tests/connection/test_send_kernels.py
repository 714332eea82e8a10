"""What sends in one step: the same names in C and in Python."""

from __future__ import annotations

from time import monotonic

import pytest

from anyio_websocket._connection import _send_kernels_py

try:
    from anyio_websocket._connection import _send_kernels_c as in_c
except ImportError:
    in_c = None  # type: ignore[assignment]


def test_python_adds_nothing() -> None:
    function = test_python_adds_nothing
    assert _send_kernels_py.quick_sends(function, monotonic, 1, 1.0, 1, 1) is function


@pytest.mark.skipif(not hasattr(in_c, "OutboxFields"), reason="not built")
def test_fields() -> None:
    fields = vars(in_c.OutboxFields).keys() - vars(object).keys() - {"__module__"}
    assert sorted(fields) == [*_send_kernels_py.OutboxFields.__slots__]
