"""The mask keys of a client's frames."""

from __future__ import annotations

from itertools import islice

from anyio_websocket._protocol._mask_keys import mask_keys


def test_keys_have_four_bytes_and_do_not_repeat() -> None:
    keys = list(islice(mask_keys(), 1000))  # more than one block of them
    assert {len(key) for key in keys} == {4}
    # Of 2 ** 32 keys, two are the same once in 8000 runs, and three once in 10 ** 11.
    assert len(set(keys)) >= 998


def test_connections_do_not_share_keys() -> None:
    assert list(islice(mask_keys(), 4)) != list(islice(mask_keys(), 4))
