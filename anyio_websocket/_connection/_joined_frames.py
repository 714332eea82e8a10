"""Several frames in one piece, so that one write sends them."""

from __future__ import annotations

from collections.abc import Callable, Sequence, Sized
from typing import Final, TypeVar

from .._protocol import Frame

MAX_SIZE: Final = 131_072  # bytes that are collected before they are written
# These two bound how long other tasks wait for a piece: to make a frame takes half a
# microsecond, and to compress one three, and 26 more for each kilobyte.
MAX_FRAMES: Final = 1000
MAX_PAYLOAD: Final = MAX_SIZE  # bytes or characters, before they are compressed

_T = TypeVar("_T", bound=Sized)


def join_frames(
    frame: Callable[[_T], Frame], payloads: Sequence[_T], start: int
) -> tuple[bytes, bytes, int]:
    """Make frames of payloads, as many as fit into one piece.

    The next ones must be made when this piece is written: a compressor may not see a
    message that is not sent.

    :param start: the index of the first payload
    :return: the piece, in two parts if its last payload is large; and the index of the
        payload after it
    """
    frames: list[bytes] = []
    second = b""
    size = payload_size = 0
    end = start
    while (
        end < len(payloads)
        and not second
        and size < MAX_SIZE
        and payload_size < MAX_PAYLOAD
        and len(frames) < MAX_FRAMES
    ):
        payload = payloads[end]
        end += 1
        data = frame(payload)
        if isinstance(data, tuple):
            data, second = data
        frames.append(data)
        size += len(data)
        payload_size += len(payload)
    return b"".join(frames), second, end
