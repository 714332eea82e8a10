"""The background task: reads connections while the application does not.

There is one for a server's connections, or for a client's one. It also runs the
keepalive and small jobs.

Theory of operation
-------------------
A task that waits for something of a connection reads from it (see ``_reader``). While
the application is busy elsewhere, or only sends, no task reads; Pings would not be
answered, and a Close would not be seen. Where the event loop says that something has
come, the connection is read at once (see ``_core``), and this task starts another one
only for what is left: to wait until the inbox has room, or to close.

Streams do not say it, and some systems do not either. Such a connection goes on the
watchlist whenever a task stops reading from it. While there is something on the list,
it is checked every ``TICK`` seconds. A connection that is being read then is taken off,
and one that is not gets a task that reads. So a connection in use is on the watchlist
nearly all the time, and a message costs no timer, no wake-up and not even a call.

The keepalive (see ``_keepalive``) runs between the same waits.

Small jobs that must not wait for the application, such as writing a Pong, run here too
(``start_soon``). They may be asked for by callbacks of the event loop, where no task
can be started. The background task is a single task of the server's or the user's
nursery, with a task group of its own. So it is the one that sees when the nursery is
cancelled, and then calls ``on_cancel``. It starts with the first connection, or with
the first ``retain()``, and ends with the last of them.
"""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable, Coroutine
from functools import partial
from typing import Any, Final

from anyio import CancelScope, Event, create_task_group, current_time
from anyio.abc import TaskGroup
from anyio.lowlevel import current_token

from .._settings import ConnectionSettings
from .._types import Nursery
from ._keepalive import Keepalive
from ._totals import UNUSED, Totals
from ._waiting_writes import WaitingWrites
from ._watched import Observes, Watched

# Seconds. A Ping or a Close over a stream goes unnoticed for so long. An idle
# connection costs nothing, because it is being read and on no watchlist.
TICK: Final = 0.01

Job = Callable[[], Coroutine[Any, Any, None]]
OnError = Callable[[Exception], Coroutine[Any, Any, None]]


class BackgroundTask:
    """Reads the connections of a server, or the one of a client, in the background.

    :param nursery: where the task runs
    :param settings: of its connections
    :param on_cancel: called, in a shielded scope, when the nursery is cancelled;
        ``None`` aborts every connection
    :param observer: is told of connections that are closed; ``None`` if nobody is
    :param totals: what connections add their counts to when they are closed

    """

    def __init__(
        self,
        nursery: Nursery,
        settings: ConnectionSettings,
        *,
        on_cancel: Callable[[], Awaitable[None]] | None = None,
        observer: Observes | None = None,
        totals: Totals = UNUSED,
    ) -> None:
        self._nursery = nursery
        self._retained = 0
        self._on_cancel = on_cancel or self._abort_all
        #: is told of connections that are closed
        self.observer: Observes | None = observer
        self._keepalive = Keepalive(settings)
        #: the writes of its connections that have to wait
        self.writes: WaitingWrites = WaitingWrites(
            self.start_soon, settings.send_timeout
        )
        #: what its connections had counted when they were closed
        self.totals: Totals = totals
        self._connections: dict[Watched, None] = {}
        self._watchlist: dict[Watched, None] = {}
        self._wakeup = Event()
        self._wakes_at = math.inf  # unless it is woken
        self._idle = True  # the watchlist is empty: sleeping until the wake-up
        self._running = False
        self._tasks: TaskGroup | None = None
        self._jobs: list[Job] = []  # to be started

    @property
    def connections(self) -> tuple[Watched, ...]:
        """The open connections."""
        return tuple(self._connections)

    def add(self, connection: Watched) -> None:
        """Look after a connection from now on; no task reads from it yet."""
        self._connections[connection] = None
        self._keepalive.add(connection)
        self._start()
        if self._keepalive.next_run() < self._wakes_at:
            self._wakeup.set()

    def remove(self, connection: Watched) -> None:
        """Look after a connection no longer, because it is closed."""
        self._watchlist.pop(connection, None)
        self._keepalive.remove(connection)
        self._connections.pop(connection, None)
        self._end_if_unused()

    def retain(self) -> None:
        """Keep the task running until `release`: there may be connections later.

        :raises RuntimeError: if the nursery takes no tasks

        """
        self._start()
        self._retained += 1

    def release(self) -> None:
        """Undo one `retain`."""
        self._retained -= 1
        self._end_if_unused()

    def watch(self, connection: Watched) -> None:
        """Put a connection on the watchlist: no task reads from it now."""
        self._watchlist[connection] = None
        if self._idle:
            self._wakeup.set()

    def read(self, connection: Watched) -> None:
        """Have a task read a connection, or close it if it ended."""
        connection.is_read_in_background = True
        self.start_soon(partial(self._read_in_background, connection), connection.fail)

    def start_soon(self, job: Job, on_error: OnError) -> None:
        """Run a small job that ends with its connection.

        :param job: the job
        :param on_error: called with what the job raises, which is a lack of memory, an
            extension that raises, or a bug; ends the connection, and never raises

        """
        self._jobs.append(partial(_run_job, job, on_error))
        if self._tasks is None:
            return
        try:
            current_token()
        except RuntimeError:
            # A callback of asyncio, in a program without anyio.run(): anyio cannot tell
            # which event loop this is, and cannot start a task.
            self._wakeup.set()
        else:
            self._start_jobs(self._tasks)

    def _start_jobs(self, tasks: TaskGroup) -> None:
        jobs, self._jobs = self._jobs, []
        for job in jobs:
            tasks.start_soon(job)

    def _end_if_unused(self) -> None:
        if not (self._connections or self._retained):
            self._wakeup.set()

    def _start(self) -> None:
        if not self._running:
            self._nursery.start_soon(self._run)
            self._running = True

    async def _run(self) -> None:
        async with create_task_group() as tasks:
            self._tasks = tasks
            self._start_jobs(tasks)
            try:
                while self._connections or self._retained:
                    await self._run_once(tasks)
            except BaseException:  # cancelled
                with CancelScope(shield=True):
                    await self._on_cancel()
                raise
            finally:
                self._running = False
                self._tasks = None
                self._jobs.clear()
            # What still runs in the group belongs to connections that are closed.
            tasks.cancel_scope.cancel()

    async def _run_once(self, tasks: TaskGroup) -> None:
        self._wakeup = Event()
        self._start_jobs(tasks)
        self._idle = not self._watchlist
        next_keepalive = self._keepalive.next_run()
        next_check = math.inf if self._idle else current_time() + TICK
        self._wakes_at = min(next_keepalive, next_check)
        with CancelScope(deadline=self._wakes_at):
            await self._wakeup.wait()
        if next_keepalive <= current_time():
            dead, left, failed = await self._keepalive.run()
            for connection in dead:
                self.start_soon(connection.close_if_dead, connection.fail)
            for connection in left:
                self.start_soon(connection.close_left, connection.fail)
            for connection, error in failed:
                self.start_soon(partial(connection.fail, error), connection.fail)
        if not self._idle:  # what was just put on the watchlist is checked next time
            self._check_watchlist()

    def _check_watchlist(self) -> None:
        watchlist, self._watchlist = self._watchlist, {}
        for connection in watchlist:
            if connection.is_being_read():
                connection.on_watchlist = False
            # It stays marked as being on the watchlist while a task reads.
            elif not connection.is_read_in_background:
                self.read(connection)

    async def _read_in_background(self, connection: Watched) -> None:
        is_unread = False
        try:
            is_unread = await connection.read_in_background()
        finally:
            connection.on_watchlist = connection.is_read_in_background = False
            if is_unread:
                connection.on_unread()

    async def _abort_all(self) -> None:
        for connection in self.connections:
            await connection.abort()


async def _run_job(job: Job, on_error: OnError) -> None:
    """Run a job so that what it raises ends its connection, and no other."""
    try:
        await job()
    except Exception as exc:
        await on_error(exc)
