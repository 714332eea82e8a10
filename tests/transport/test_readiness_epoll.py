"""One epoll object for the sockets that no task reads, on trio."""

from __future__ import annotations

import errno
import os
import select
import socket
from collections.abc import Callable, Generator

import anyio
import pytest

trio = pytest.importorskip("trio")
if not hasattr(select, "epoll"):
    pytest.skip("this system has no epoll", allow_module_level=True)

from anyio_websocket._transport import _readiness_epoll  # noqa: E402
from anyio_websocket._transport._readiness_epoll import socket_watch  # noqa: E402
from anyio_websocket._transport._readiness_trio import TrioReadiness  # noqa: E402

from ..support.frames import PING, PONG, TEXT, frame  # noqa: E402
from ..support.peer import over_socket  # noqa: E402
from ..support.sockets import read  # noqa: E402

MASK = b"\1\2\3\4"


class Counter:
    """A watcher that counts, and reads nothing."""

    def __init__(self, *, goes_on: bool = True) -> None:
        self.goes_on = goes_on
        self.calls = 0
        self.is_unwatched = False

    def on_readable(self) -> bool:
        self.calls += 1
        return self.goes_on

    def on_unwatched(self) -> None:
        self.is_unwatched = True


@pytest.fixture
def sockets() -> Generator[tuple[socket.socket, socket.socket]]:
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    with ours, theirs:
        yield ours, theirs


Pair = tuple[socket.socket, socket.socket]


async def until(condition: Callable[[], object]) -> None:
    """Wait until something is so, however long the machine has no time for us."""
    with trio.fail_after(30):
        while not condition():
            await trio.sleep(0.001)


def test_E18_a_socket_is_watched_until_the_watcher_wants_no_more(sockets: Pair) -> None:
    ours, theirs = sockets

    async def main() -> None:
        readiness, watcher = TrioReadiness(ours), Counter()
        assert readiness.watch(watcher)
        theirs.send(b"x")
        await until(lambda: watcher.calls > 2)  # nothing was read
        watcher.goes_on = False
        calls = watcher.calls
        await until(lambda: watcher.calls > calls)
        await trio.sleep(0.02)
        assert watcher.calls == calls + 1
        assert await readiness.receive(10) == b"x"
        readiness.close()

    trio.run(main)


def test_E18_a_socket_that_a_task_reads_is_left_to_it(sockets: Pair) -> None:
    ours, theirs = sockets

    async def main() -> None:
        readiness, watcher = TrioReadiness(ours), Counter()
        assert readiness.watch(watcher)
        await until(lambda: watcher.calls)
        calls = watcher.calls
        received: list[bytes | None] = []

        async def receive() -> None:
            received.append(await readiness.receive(10))

        async with trio.open_nursery() as nursery:
            readiness._full_reads = 0
            nursery.start_soon(receive)
            await trio.testing.wait_all_tasks_blocked()
            theirs.send(b"x")
        assert received == [b"x"]
        await trio.sleep(0.02)
        assert watcher.calls <= calls + 2  # looked at after the task went
        readiness.close()

    trio.run(main)


def test_F16_a_descriptor_of_a_socket_that_was_closed(sockets: Pair) -> None:
    # Closed by somebody else, so that nobody could take its entry away.
    ours, theirs = sockets

    async def main() -> None:
        first, unused = TrioReadiness(ours), Counter()
        first.watch(unused)
        await until(lambda: unused.calls)  # it was looked at, and entered
        other, peer = socket.socketpair()
        number = os.dup2(other.fileno(), ours.detach())  # closes what had it
        again = socket.socket(fileno=number)
        with again, other, peer:
            again.setblocking(False)
            second, watcher = TrioReadiness(again), Counter()
            second.watch(watcher)
            await until(lambda: watcher.calls)
            calls = watcher.calls
            unused_calls = unused.calls
            peer.send(b"x")
            await until(lambda: watcher.calls > calls)
            assert unused.calls == unused_calls
            second.close()

    trio.run(main)
    theirs.close()


def test_E18_a_socket_that_cannot_be_entered(sockets: Pair) -> None:
    ours, _ = sockets

    async def main() -> None:
        readiness, watcher = TrioReadiness(ours), Counter()
        readiness.watch(watcher)
        ours.close()  # or the system allows no more entries
        await until(lambda: watcher.is_unwatched)
        assert not readiness.watch(watcher)

    trio.run(main)


class Closer(Counter):
    """A watcher that closes sockets."""

    def __init__(self, *closes: TrioReadiness) -> None:
        super().__init__()
        self._closes = closes

    def on_readable(self) -> bool:
        for readiness in self._closes:
            readiness.close()
        return super().on_readable()


@pytest.mark.parametrize("when", ["listed", "readable"])
def test_E18_a_callback_closes_its_own_socket_and_the_next(
    sockets: Pair, when: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    ours, theirs = sockets
    other, peer = socket.socketpair()
    monkeypatch.setattr(_readiness_epoll, "MOST_AT_ONCE", 1 if when == "listed" else 2)

    async def main() -> None:
        both = TrioReadiness(ours), TrioReadiness(other)
        closers = [Closer(*both), Closer(*both)]
        watchers = closers if when == "listed" else [Counter(), Counter()]
        for readiness, watcher in zip(both, watchers, strict=True):
            assert readiness.watch(watcher)
            readiness.look_soon()  # it is listed already
        await until(lambda: any(watcher.calls for watcher in watchers))
        await trio.testing.wait_all_tasks_blocked()
        if when == "readable":
            for readiness, closer in zip(both, closers, strict=True):
                readiness._watcher = closer
            theirs.send(b"x")
            peer.send(b"x")
            await until(lambda: any(closer.calls for closer in closers))
            await trio.testing.wait_all_tasks_blocked()
        assert sum(closer.calls for closer in closers) == 1

    trio.run(main)
    with other, peer:
        pass


def test_E18_a_socket_is_closed_while_it_is_listed(sockets: Pair) -> None:
    ours, theirs = sockets

    async def main() -> None:
        readiness, watcher = TrioReadiness(ours), Counter()
        assert readiness.watch(watcher)
        readiness.close()
        theirs.send(b"x")
        await trio.sleep(0.05)
        assert watcher.calls == 0

    trio.run(main)


def test_E18_trio_ends_its_system_tasks(sockets: Pair) -> None:
    ours, _ = sockets
    watchers = [Counter() for _ in range(3)]
    other, peer = socket.socketpair()
    seen: list[bool] = []

    async def outlive() -> None:
        entered, listed = TrioReadiness(ours), TrioReadiness(other)
        entered.watch(watchers[0])
        await until(lambda: watchers[0].calls)
        listed.watch(watchers[1])
        both_are_watched.set()
        try:
            await trio.sleep_forever()
        finally:
            with trio.CancelScope(shield=True):
                await trio.testing.wait_all_tasks_blocked()
                seen.extend(watcher.is_unwatched for watcher in watchers)
                seen.append(entered.watch(watchers[2]))
                entered.close()

    both_are_watched = trio.Event()

    async def main() -> None:
        trio.lowlevel.spawn_system_task(outlive)
        await both_are_watched.wait()

    trio.run(main)
    with other, peer:
        assert seen == [True, True, False, False]


def test_E18_a_task_reads_until_trio_has_ended_its_system_tasks(sockets: Pair) -> None:
    ours, theirs = sockets
    watcher = Counter()
    received: list[bytes | None] = []

    async def outlive() -> None:
        readiness = TrioReadiness(ours)
        readiness._full_reads = 0
        readiness.watch(watcher)
        with trio.CancelScope(shield=True):
            received.append(await readiness.receive(10))
        readiness.close()

    async def main() -> None:
        trio.lowlevel.spawn_system_task(outlive)
        await trio.sleep(0.05)
        trio.lowlevel.spawn_system_task(write)

    async def write() -> None:
        with trio.CancelScope(shield=True):
            await trio.sleep(0.05)
            theirs.send(b"x")

    trio.run(main)
    assert received == [b"x"]
    assert watcher.is_unwatched


@pytest.mark.parametrize("error", [AttributeError("no epoll"), OSError("EMFILE")])
def test_E18_without_an_epoll_object(
    sockets: Pair, error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    # As on macOS and on Windows: the background task looks.
    ours, theirs = sockets

    class NoWatch:
        def __init__(self) -> None:
            raise error

    async def main() -> None:
        assert socket_watch() is None
        await expect_pongs(ours, theirs)

    monkeypatch.setattr(_readiness_epoll, "SocketWatch", NoWatch)
    trio.run(main)


def test_E18_without_room_in_the_epoll_object(
    sockets: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    ours, theirs = sockets
    epoll = select.epoll

    class NoRoom:
        """One that takes no entry: see ``/proc/sys/fs/epoll/max_user_watches``."""

        def __init__(self) -> None:
            self._epoll = epoll()
            self.fileno = self._epoll.fileno
            self.close = self._epoll.close

        def register(self, *_: object) -> None:
            raise OSError(errno.ENOSPC, "No space left on device")

    async def main() -> None:
        with monkeypatch.context() as patch:
            patch.setattr(select, "epoll", NoRoom)
            assert socket_watch() is not None
        await expect_pongs(ours, theirs)

    trio.run(main)


async def expect_pongs(ours: socket.socket, theirs: socket.socket) -> None:
    """Have Pings answered while no task reads, and messages kept."""
    pong = frame(PONG, b"p", mask=None)
    async with anyio.create_task_group() as tasks:
        connection = over_socket(ours, tasks, is_client=False)
        theirs.setblocking(False)
        with anyio.fail_after(5):
            for i in range(3):
                message, ping = (frame(op, b"p", mask=MASK) for op in (TEXT, PING))
                theirs.send(message * i + ping)
                assert await read(theirs, len(pong)) == pong
                for _ in range(i):
                    assert await connection.get_message() == "p"
        tasks.cancel_scope.cancel()
