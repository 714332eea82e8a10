"""The tasks that wait while another one reads from the connection."""

from __future__ import annotations

from anyio import Event, get_current_task

from ._reader_fields import ReaderFields


class Gate:
    """What other tasks wait at while a task, its owner, receives a message in parts."""

    __slots__ = ("_owner", "opened", "queue")

    def __init__(self) -> None:
        self._owner = get_current_task().id
        #: tasks that want the next message
        self.queue: list[Event] = []
        #: set when the gate opens
        self.opened = Event()

    def check_owner(self) -> None:
        """Raise an exception if the owner waits for itself."""
        if get_current_task().id == self._owner:
            raise RuntimeError(
                "a task cannot get another message within its own block of "
                "receive_fragments()"
            )


class WaitingTasks(ReaderFields):
    """The part of `Reader` that keeps the tasks which wait, and wakes them.

    ``_receivers`` want a message and are woken one by one, first come, first served. A
    task that was woken runs in one of the next passes of the scheduler. Until then it
    counts as ``_woken``, and no other task may take its message.

    ``_others`` (a ping that waits for its Pong, the background task's reader, a task
    that closes) are few, and check what they wait for whenever they are woken.

    While a task receives a message in parts there is a ``_gate``. Other tasks that want
    a message wait at it, and are in line when it opens. The owner of the gate counts as
    ``_woken``, so that no other task takes what comes.
    """

    __slots__ = ("_gate",)

    def __init__(self) -> None:
        # Lists while tasks wait, which few ever do: an empty list takes 72 bytes, and a
        # deque would allocate 64 slots at once.
        self._receivers: list[Event] | tuple[()] = ()
        self._others: list[Event] | tuple[()] = ()
        self._woken = 0
        self._gate: Gate | None = None

    async def _wait_in_line(self, gate: Gate | None = None) -> None:
        """Wait to be woken as one of the ``_receivers``.

        :param gate: where to wait until it opens

        """
        if gate is None:
            queue = self._receivers = self._receivers or []
        else:
            gate.check_owner()
            queue = gate.queue
        event = Event()
        queue.append(event)
        try:
            await event.wait()
        finally:
            if event.is_set():
                self._woken -= 1
            else:  # cancelled; the gate may have opened
                line = self._receivers
                (line if line and event in line else queue).remove(event)

    def _wake_receiver(self) -> None:
        if self._receivers:
            self._woken += 1
            self._receivers.pop(0).set()

    def _open_gate(self) -> None:
        if (gate := self._gate) is not None:
            self._receivers = [*self._receivers, *gate.queue]
            self._gate = None
            self._woken -= 1
            gate.opened.set()

    async def _wait_beside(self) -> None:
        self._others = self._others or []
        event = Event()
        queue = self._others
        queue.append(event)
        try:
            await event.wait()
        finally:
            if not event.is_set():  # cancelled
                queue.remove(event)

    def _wake_other(self) -> None:
        if self._others:
            self._others.pop(0).set()

    def _wake_others(self) -> None:
        while self._others:
            self._wake_other()

    def _wake_all(self) -> None:
        while self._receivers:
            self._wake_receiver()
        self._wake_others()
