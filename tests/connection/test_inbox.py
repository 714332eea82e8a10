"""The inbox: order, and bounds by number and by bytes."""

from __future__ import annotations

import math

from anyio_websocket._connection._inbox import Inbox


def test_order() -> None:
    inbox = Inbox(2, 100)
    inbox.put("a")
    inbox.put(b"b")
    assert len(inbox.messages) == 2
    assert [inbox.pop(), inbox.pop()] == ["a", b"b"]
    assert len(inbox.messages) == 0


def test_bound_by_number() -> None:
    inbox = Inbox(2, 100)
    inbox.put("a")
    assert inbox.free_slots(0) > 0
    inbox.put("b")
    assert inbox.free_slots(0) <= 0
    inbox.pop()
    assert inbox.free_slots(0) > 0


def test_bound_by_bytes() -> None:
    inbox = Inbox(math.inf, 10)
    inbox.put(b"123456789")
    assert inbox.free_slots(0) > 0  # one of the greatest size always gets through
    inbox.put(b"1")
    assert inbox.free_slots(0) <= 0
    inbox.clear()
    assert inbox.free_slots(0) > 0
    inbox.put("é" * 3)  # no ASCII: counted as what it may take in memory
    assert inbox.free_slots(0) <= 0


def test_bytes_and_ascii_text_are_counted_exactly() -> None:
    inbox = Inbox(math.inf, 10)
    inbox.put(b"\xff" * 5)
    inbox.put("x" * 4)
    assert inbox.free_slots(0) > 0
    inbox.put("x")
    assert inbox.free_slots(0) <= 0


def test_a_popped_message_frees_its_bytes() -> None:
    inbox = Inbox(math.inf, 10)
    inbox.put(b"1234567890")
    assert inbox.free_slots(0) <= 0
    inbox.pop()
    assert inbox.free_slots(0) > 0
    inbox.put(b"123456789")
    assert inbox.free_slots(0) > 0


def test_clearing_drops_messages_and_their_bytes() -> None:
    inbox = Inbox(3, 10)
    inbox.put(b"1234567890")
    inbox.clear()
    assert len(inbox.messages) == 0
    assert inbox.free_slots(0) == 3
    inbox.put(b"123456789")  # nothing of the first is counted
    assert inbox.free_slots(0) > 0


def test_rendezvous() -> None:
    inbox = Inbox(0, 100)
    assert inbox.free_slots(0) <= 0
    assert inbox.free_slots(1) > 0
    inbox.put("a")
    assert inbox.free_slots(1) <= 0
    assert inbox.free_slots(2) > 0
