"""The standard streams: bytes in, bytes out, without blocking the event loop.

Reading and writing happen in threads. A pager that was left alone, or a terminal that
was stopped with Ctrl-S, can block a write for ever, and a pipe without an end a read.
So these are daemon threads, for which the process does not wait when it ends, unlike
anyio's. They use streams of their own without a buffer: a thread that holds the lock
of ``sys.stdout`` when the process ends makes Python abort.
"""

from __future__ import annotations

import errno
import io
import select
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from threading import Thread
from typing import Final, Self, TextIO, TypeVar, TypeVarTuple, cast

import anyio
from anyio.from_thread import run_sync
from anyio.lowlevel import current_token

from ._failure import ExitCode, Failure

_CHUNK: Final = 65_536  # bytes; what a pipe of Linux holds

_T = TypeVar("_T")
_Arguments = TypeVarTuple("_Arguments")


async def in_thread(
    function: Callable[[*_Arguments], _T], *arguments: *_Arguments
) -> _T:
    """Call a function that may block in a thread that nothing waits for at the end.

    If it is cancelled, the thread goes on, and what it returns is dropped.
    """
    future: Future[_T] = Future()
    done = anyio.Event()
    token = current_token()

    def run() -> None:
        try:
            future.set_result(function(*arguments))
        except BaseException as exc:
            future.set_exception(exc)
        with suppress(RuntimeError):  # the event loop has ended meanwhile
            run_sync(done.set, token=token)

    Thread(target=run, name=f"anyio_websocket {function.__name__}", daemon=True).start()
    await done.wait()
    return future.result()


class Lines:
    """The lines of a file, a pipe or a terminal, without their line breaks.

    :param stream: such as ``sys.stdin``; ``None`` if the process has none

    """

    def __init__(self, stream: TextIO | None) -> None:
        self._file = None if stream is None else _raw(stream, "rb")
        self._lines: deque[bytes] = deque()
        self._rest: list[bytes] = []  # of a line that has no end yet

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        """Return the next line; after the last, even if it has no end, stop.

        :raises Failure: if the input cannot be read

        """
        while not self._lines:
            if self._file is None:
                raise StopAsyncIteration
            try:
                chunk = await in_thread(_read, self._file)
            except OSError as exc:
                text = f"the input cannot be read: {exc.strerror}"
                raise Failure(ExitCode.BAD_INPUT, text) from exc
            first, *others = chunk.split(b"\n")
            self._rest.append(first)
            if not chunk:
                self._file = None
            if others or (not chunk and any(self._rest)):
                self._lines.append(b"".join(self._rest))
                self._lines.extend(others[:-1])
                self._rest = others[-1:]
        return self._lines.popleft()


class Output:
    """Where messages go, as bytes.

    :param stream: such as ``sys.stdout``; ``None`` if the process has none

    """

    def __init__(self, stream: TextIO | None) -> None:
        self._file = None if stream is None else _raw(stream, "wb")
        self._lock = anyio.Lock()

    async def write(self, data: bytes) -> None:
        """Write all of it.

        :raises Failure: if nobody reads it any more, or it cannot be written

        """
        if self._file is None:
            return
        try:
            async with self._lock:
                await in_thread(_write, self._file, data)
        except OSError as exc:
            # Windows has no EPIPE.
            if exc.errno in (errno.EPIPE, errno.EINVAL):
                raise Failure(ExitCode.OUTPUT_CLOSED, "") from exc
            text = f"the output cannot be written: {exc.strerror}"
            raise Failure(ExitCode.FAILED, text) from exc


def is_terminal(stream: TextIO | None) -> bool:
    """Say whether somebody sits in front of a stream."""
    return stream is not None and stream.isatty()


def _raw(stream: TextIO, mode: str) -> io.RawIOBase:
    # On Windows, this makes the stream of a console that takes and gives UTF-8.
    raw = open(stream.fileno(), mode, buffering=0, closefd=False)  # noqa: SIM115
    return cast(io.RawIOBase, raw)


def _read(file: io.RawIOBase) -> bytes:
    # The program on the other end may have made the stream non-blocking for both.
    while (chunk := file.read(_CHUNK)) is None:
        select.select([file], [], [])
    return chunk


def _write(file: io.RawIOBase, data: bytes) -> None:
    rest = memoryview(data)
    while rest:
        if (count := file.write(rest)) is None:
            select.select([], [file], [])
        else:
            rest = rest[count:]
