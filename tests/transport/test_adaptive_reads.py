"""How much a socket is asked for, and when it is read without waiting."""

from __future__ import annotations

from typing import Any

from anyio_websocket._transport._adaptive_reads import SMALL_READ_SIZE, AdaptiveReads

LARGE = 2 * SMALL_READ_SIZE


class Socket:
    """A socket that has so many bytes at each read."""

    def __init__(self, *sizes: int) -> None:
        self.sizes = list(sizes)
        self.asked: list[int] = []

    def recv(self, size: int) -> bytes:
        self.asked.append(size)
        return bytes(min(size, self.sizes.pop(0)))


def reads_of(sock: Any) -> AdaptiveReads:
    return AdaptiveReads(sock)


def test_large_reads_follow_large_reads() -> None:
    sock = Socket(10, LARGE, LARGE, LARGE, 10, 10, LARGE)
    reads = reads_of(sock)
    while sock.sizes:
        reads._read(LARGE)
    small = SMALL_READ_SIZE
    # The first short read is the rest of what came in large ones, the second is not.
    assert sock.asked == [small, small, LARGE, LARGE, LARGE, LARGE, small]


def test_no_more_is_asked_for_than_wanted() -> None:
    sock = Socket(LARGE)
    assert len(reads_of(sock)._read(100)) == 100
    assert sock.asked == [100]


def test_full_reads_are_counted_and_the_first_read_need_not_wait() -> None:
    sock = Socket(100, 100, 99, 100)
    reads = reads_of(sock)
    counts = [reads._full_reads]
    while sock.sizes:
        reads._read(100)
        counts.append(reads._full_reads)
    assert counts == [1, 2, 3, 0, 1]
