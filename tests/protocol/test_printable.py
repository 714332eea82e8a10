"""How logs and errors show what a peer has chosen."""

from __future__ import annotations

from typing import Any

import pytest

from anyio_websocket import Endpoint
from anyio_websocket._protocol._printable import name_of, printable


@pytest.mark.parametrize("size", [299, 300, 301, 100_000])
def test_a_long_text_is_shortened(size: int) -> None:
    text = printable("x" * size)
    assert text == repr("x" * size if size <= 300 else "x" * 300 + "...")


@pytest.mark.parametrize(
    ("remote", "name"),
    [
        (Endpoint("::1", 80, False), 'Endpoint(address="::1", port=80, is_ssl=False)'),
        ("/run/client", "/run/client"),
        ("/run/a\nERROR forged", r"'/run/a\nERROR forged'"),
        ("/run/\x1b[31m\u202e", r"'/run/\x1b[31m\u202e'"),
        ("/run/\udcff", r"'/run/\udcff'"),
        ("\0abstract", r"'\x00abstract'"),
    ],
)
def test_G15_how_a_peer_is_named(remote: Any, name: str) -> None:
    assert name_of(remote) == name
