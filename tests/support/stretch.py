"""How long a task may go on without a checkpoint."""

from __future__ import annotations

import pytest

from anyio_websocket._connection import _outbox, _reader


def set_max_stretch(monkeypatch: pytest.MonkeyPatch, seconds: float) -> None:
    """Have a slow machine taken for a quick one (100 s), or a quick for a slow (0)."""
    for module in (_outbox, _reader):
        monkeypatch.setattr(module, "MAX_STRETCH", seconds)
