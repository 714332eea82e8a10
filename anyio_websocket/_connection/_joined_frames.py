"""Several frames in one piece, so that one write sends them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Final, TypeVar

from .._protocol import Frame

MAX_SIZE: Final = 131_072  # bytes that are collected before they are written
# Frames that are made before they are written. It bounds how long other tasks wait: to
# make one takes half a microsecond, or some of them if it is compressed.
MAX_FRAMES: Final = 1000

_T = TypeVar("_T")


def joined_frames(
    frame: Callable[[_T], Frame], payloads: Iterable[_T]
) -> Iterator[tuple[bytes, bytes]]:
    """Make frames of payloads, and yield as many at once as the bounds allow.

    The next ones are made when those before were written: a compressor must not see a
    message that is not sent.

    :return: bytes to be written, in two parts if a payload is large
    """
    frames: list[bytes] = []
    size = 0
    for payload in payloads:
        data = frame(payload)
        first, second = data if isinstance(data, tuple) else (data, b"")
        frames.append(first)
        size += len(first)
        if second or size >= MAX_SIZE or len(frames) >= MAX_FRAMES:
            yield b"".join(frames), second
            frames.clear()
            size = 0
    if frames:
        yield b"".join(frames), b""
