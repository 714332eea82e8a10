"""Messages in parts: fuzzed with blocks that are left at each moment."""

from __future__ import annotations

from typing import Any, NamedTuple

from anyio_websocket._protocol import Close, Engine, Part, Paused
from anyio_websocket._protocol._codec import Codec
from anyio_websocket._protocol._engine import Event, Failure

# What to do with a message: take its parts, skip or join the rest of it after the first
# one, or have it whole at once.
_SKIP, _JOIN, _WHOLE = 1, 2, 3


class _Beginning(NamedTuple):
    """What came of a message whose rest was skipped."""

    data: Any


class _Receiver:
    """Does as `Reader` does for the tasks that receive in parts.

    :param codec: where the messages come from
    :param ways: its bits say what to do with each message

    """

    def __init__(self, codec: Codec, ways: int) -> None:
        self._engine = Engine(codec)
        self._ways = ways
        self._parts: list[Part] = []
        self.messages: list[object] = []
        self.others: list[Event] = []
        self._begin()

    def receive(self, data: bytes) -> None:
        engine = self._engine
        engine.receive_data(data)
        while True:
            event: Event | None
            if found := engine.take_messages(1):
                (event,) = found
            elif (event := engine.next_event()) is None:
                return
            if isinstance(event, Part):
                self._take(event)
            elif isinstance(event, str | bytes):
                self._end(event)
            elif event is not Paused.PAUSED:
                self.others.append(event)

    def _way(self) -> int:
        return self._ways >> 2 * (len(self.messages) % 4) & 3

    def _begin(self) -> None:
        if self._way() != _WHOLE:
            self._engine.begin_parts()

    def _end(self, message: object) -> None:
        self._parts = []
        self.messages.append(message)
        self._begin()

    def _take(self, part: Part) -> None:
        self._parts.append(part)
        way = self._way()
        if part.is_last:
            self._end(self._joined())
        elif way == _SKIP:
            self._engine.skip_parts()
            self._end(_Beginning(self._joined()))
        elif way == _JOIN:
            self._engine.join_parts(part.payload())

    def _joined(self) -> Any:
        found: list[Any] = [part.data for part in self._parts]
        return type(found[0])().join(found)


def compare_parts(whole: Codec, codec: Codec, ways: int, wire: list[bytes]) -> None:
    """Demand the same of a codec, in parts and whole.

    :param whole: another codec of the same kind
    :param ways: what to do with each message

    """
    expected = _Receiver(whole, 0xFF)
    receiver = _Receiver(codec, ways)
    for data in wire:
        expected.receive(data)
        receiver.receive(data)
    assert receiver.others == expected.others
    ends = [event for event in expected.others if isinstance(event, Close | Failure)]
    assert len(ends) <= 1
    found = receiver.messages
    # Of the last one there may be no more than its beginning.
    assert 0 <= len(found) - len(expected.messages) <= 1
    for message, right in zip(found, expected.messages, strict=False):
        if isinstance(message, _Beginning):
            assert isinstance(right, str | bytes)
            assert right[: len(message.data)] == message.data
        else:
            assert message == right
    for message in found[len(expected.messages) :]:
        assert isinstance(message, _Beginning)
