"""The one background task of a server or of a client's connection.

In: connections that nobody reads from. Out: somebody who does, for as long as nobody
else wants to.

Theory of operation
-------------------
Whoever waits for something of a connection reads from it (see ``_reader``). While the
application is busy elsewhere, or only sends, nobody does; pings would go unanswered
and a Close unseen. So a connection that is left alone comes on the attendant's list,
which it looks at every ``TICK`` while there is something on it. Who is read from then
is taken off; who is not, and was not since the last look, gets a reader. A connection
in use is on the list nearly all the time and
has nothing to say: no timer, no wake-up and not even a call for a message.

It also goes the rounds of the keepalive (see ``_keepalive``), with the same sleep.

The attendant also runs the small jobs that may not wait for the application, such as
writing a pong (``start_soon``). It is a single task of the nursery of the server or of
the user, with a task group of its own; so it is there that a cancellation of that
nursery is seen, and answered by ``farewell``. The task starts with the first member,
or with the first ``hold()``, and ends with the last of them.
"""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Final, Protocol

from anyio import CancelScope, Event, create_task_group, current_time
from anyio.abc import TaskGroup

from .._options import ConnectionSettings
from .._types import Nursery
from ._keepalive import Keepalive, Peer

# seconds; how long a ping or a Close may go unnoticed is one to two of these. An idle
# connection costs nothing, whatever the value, because its list is empty.
TICK: Final = 0.1

Job = Callable[[], Coroutine[Any, Any, None]]


class Member(Peer, Protocol):
    """A connection, as the attendant sees it. None of this ever raises."""

    #: whether `BackgroundTask.watch` need not be told again; the attendant's to set
    on_watchlist: bool

    def reads_begun(self) -> int:
        """Say how many times somebody began to read."""
        ...

    async def read_in_background(self) -> bool:
        """Do the application's part until it is back; say if it is away again."""
        ...

    async def abort(self) -> None:
        """End at once: nobody is left to look after it."""
        ...


class BackgroundTask:
    """Looks after the connections of a server, or after the one of a client.

    :param nursery: where the task is to live
    :param options: of its connections
    :param farewell: called, shielded, when the nursery is cancelled; ``None`` abandons
        every member

    """

    def __init__(
        self,
        nursery: Nursery,
        options: ConnectionSettings,
        *,
        on_cancel: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        self._nursery = nursery
        self._holds = 0
        self._on_cancel = on_cancel or self._abort_all
        self._keepalive = Keepalive(options)
        self._connections: dict[Member, None] = {}
        # and how many times it had been read at the last look; -1 before the first
        self._watchlist: dict[Member, int] = {}
        self._news = Event()
        self._idle = True  # nobody is on the list: asleep until there is news
        self._running = False
        self._tasks: TaskGroup | None = None
        self._jobs: list[Job] = []  # for when the task group is there

    @property
    def connections(self) -> tuple[Member, ...]:
        """The open connections."""
        return tuple(self._connections)

    def join(self, member: Member) -> None:
        """Look after a connection from now on; nobody reads from it yet."""
        self._connections[member] = None
        self._keepalive.join(member)
        self._start()
        self.watch(member)

    def leave(self, member: Member) -> None:
        """Look after a connection no longer: it is closed."""
        self._watchlist.pop(member, None)
        self._keepalive.leave(member)
        self._connections.pop(member, None)
        self._end_if_done()

    def hold(self) -> None:
        """Keep the task running, for there may be members later."""
        self._holds += 1
        self._start()

    def release(self) -> None:
        """Take one `hold` back."""
        self._holds -= 1
        self._end_if_done()

    def watch(self, member: Member) -> None:
        """Say that nobody reads from this connection now, unless it is watched."""
        member.on_watchlist = True
        self._watchlist[member] = -1
        if self._idle:
            self._news.set()

    def start_soon(self, job: Job) -> None:
        """Run a small job that never raises and that ends with its connection."""
        if self._tasks is None:
            self._jobs.append(job)
        else:
            self._tasks.start_soon(job)

    def _end_if_done(self) -> None:
        if not (self._connections or self._holds):
            self._news.set()

    def _start(self) -> None:
        if not self._running:
            self._running = True
            self._nursery.start_soon(self._run)

    async def _run(self) -> None:
        async with create_task_group() as tasks:
            self._tasks = tasks
            for job in self._jobs:
                tasks.start_soon(job)
            self._jobs.clear()
            try:
                while self._connections or self._holds:
                    await self._look_round(tasks)
            except BaseException:  # cancelled
                with CancelScope(shield=True):
                    await self._on_cancel()
                raise
            finally:
                self._running = False
                self._tasks = None
            # What still runs here serves connections that are closed.
            tasks.cancel_scope.cancel()

    async def _look_round(self, tasks: TaskGroup) -> None:
        self._news = Event()
        self._idle = not self._watchlist
        keepalive = self._keepalive.next_run()
        tick = math.inf if self._idle else current_time() + TICK
        with CancelScope(deadline=min(keepalive, tick)):
            await self._news.wait()
        if keepalive <= current_time():
            for peer in await self._keepalive.run():
                tasks.start_soon(peer.close_if_dead)
        if self._idle:
            return  # who has just come on the list is looked at in a tick
        for member, times in list(self._watchlist.items()):
            if member.is_being_read():
                del self._watchlist[member]
                member.on_watchlist = False
            elif member.reads_begun() != times:
                self._watchlist[member] = member.reads_begun()
            else:
                del self._watchlist[member]
                tasks.start_soon(self._read_in_background, member)

    async def _read_in_background(self, member: Member) -> None:
        away_again = False
        try:
            away_again = await member.read_in_background()
        finally:
            member.on_watchlist = False
            if away_again:
                self.watch(member)

    async def _abort_all(self) -> None:
        for member in self.connections:
            await member.abort()
