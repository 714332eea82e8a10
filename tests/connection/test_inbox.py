"""The inbox: order, and bounds by number and by memory."""

from __future__ import annotations

import math
import sys
import tracemalloc

import pytest

from anyio_websocket._connection._inbox import ENTRY_SIZE, Inbox


def test_order() -> None:
    inbox = Inbox(2, 1000)
    inbox.put("a")
    inbox.put(b"b")
    assert len(inbox.messages) == 2
    assert [inbox.pop(), inbox.pop()] == ["a", b"b"]
    assert len(inbox.messages) == 0


@pytest.mark.parametrize("number", [0, 1, 5])
def test_E17_bound_by_number(number: int) -> None:
    inbox = Inbox(number, 1000)
    for _ in range(number + 1):
        assert inbox.free_slots(0) > 0
        inbox.put("a")
    assert inbox.free_slots(0) <= 0
    inbox.pop()
    assert inbox.free_slots(0) > 0


def test_E17_bound_by_memory() -> None:
    size = sys.getsizeof(b"1") + ENTRY_SIZE
    inbox = Inbox(math.inf, 100 * size)
    for _ in range(99):
        inbox.put(b"1")
    assert inbox.free_slots(0) > 0
    inbox.put(b"1" * 10_000)  # one of the greatest size always gets through
    assert inbox.free_slots(0) <= 0
    inbox.clear()
    assert inbox.free_slots(0) > 0
    inbox.put("x" * 20 * size + "\N{GRINNING FACE}")  # four bytes for each character
    inbox.put("y" * 15 * size)
    assert inbox.free_slots(0) > 0
    inbox.put("y" * 15 * size)
    assert inbox.free_slots(0) <= 0


def test_a_popped_message_frees_its_bytes() -> None:
    inbox = Inbox(math.inf, sys.getsizeof(b"1234567890"))
    inbox.put(b"1234567890")
    assert inbox.free_slots(0) <= 0
    inbox.pop()
    assert inbox.free_slots(0) > 0
    inbox.put(b"")
    assert inbox.free_slots(0) > 0


def test_clearing_drops_messages_and_their_bytes() -> None:
    inbox = Inbox(3, 50)
    inbox.put(b"1234567890")
    inbox.clear()
    assert len(inbox.messages) == 0
    assert inbox.free_slots(0) == 4
    inbox.put(b"")  # nothing of the first is counted
    assert inbox.free_slots(0) > 0


def test_a_slot_for_each_receiver() -> None:
    inbox = Inbox(0, 100)
    inbox.put("a")
    assert inbox.free_slots(1) <= 0
    assert inbox.free_slots(2) > 0


@pytest.mark.parametrize("text", ["x%05d", "é%05d", "\N{GRINNING FACE}%05d", b"%07d"])
def test_E17_what_is_counted_is_what_it_takes(text: str | bytes) -> None:
    inbox = Inbox(math.inf, math.inf)
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        for i in range(20_000):
            inbox.put(text % i)
        after, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert inbox._bytes == pytest.approx(after - before, rel=0.02)
    while inbox.messages:
        inbox.pop()
    assert inbox._bytes == 0
