"""The plugin of anyio_websocket for pytest: its fixtures.

pytest imports it at every start in an environment where anyio_websocket is installed.
So it imports nothing of the package until a fixture is used: pytest would start later,
and coverage would miss what is imported before it begins to measure. A module inside of
the package would import all of it.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from anyio_websocket.testing._fixtures import OpenPair, Serve


@pytest.fixture
async def websocket_pair() -> AsyncGenerator[OpenPair]:
    """Connect in memory: ``client, server = await websocket_pair(**options)``."""
    from anyio_websocket.testing._fixtures import opening_pairs

    async with opening_pairs() as open_pair:
        yield open_pair


@pytest.fixture
async def serve_in_memory() -> AsyncGenerator[Serve]:
    """Serve in memory: ``connect = await serve_in_memory(handler, **options)``."""
    from anyio_websocket.testing._fixtures import serving

    async with serving() as serve:
        yield serve
