"""The tasks that wait while another one reads from the connection."""

from __future__ import annotations

from anyio import Event


class WaitingTasks:
    """The part of `Reader` that keeps the tasks which wait, and wakes them.

    ``_receivers`` want a message and are woken one by one, first come, first served. A
    task that was woken runs in one of the next passes of the scheduler. Until then it
    counts as ``_woken``, and no other task may take its message.

    ``_others`` (a ping that waits for its Pong, the background task's reader, a task
    that closes) are few, and check what they wait for whenever they are woken.
    """

    __slots__ = ("_others", "_receivers", "_woken")

    def __init__(self) -> None:
        # Lists while tasks wait, which few ever do: an empty list takes 72 bytes, and a
        # deque would allocate 64 slots at once.
        self._receivers: list[Event] | tuple[()] = ()
        self._others: list[Event] | tuple[()] = ()
        self._woken = 0

    async def _wait_in_line(self) -> None:
        self._receivers = self._receivers or []
        event = Event()
        try:
            await _wait(event, self._receivers)
        finally:
            self._woken -= event.is_set()

    def _wake_receiver(self) -> None:
        if self._receivers:
            self._woken += 1
            self._receivers.pop(0).set()

    async def _wait_beside(self) -> None:
        self._others = self._others or []
        await _wait(Event(), self._others)

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


async def _wait(event: Event, queue: list[Event]) -> None:
    queue.append(event)
    try:
        await event.wait()
    finally:
        if not event.is_set():  # cancelled
            queue.remove(event)
