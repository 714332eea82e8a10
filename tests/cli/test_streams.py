"""The standard streams, as pipes, files and worse."""

from __future__ import annotations

import os
import sys
import threading
from pathlib import Path

import anyio
import pytest

from anyio_websocket._cli import _streams
from anyio_websocket._cli._failure import ExitCode, Failure
from anyio_websocket._cli._streams import Lines, Output, in_thread, is_terminal

from ..support.commands import pipe


@pytest.mark.parametrize("size", [1, 3, 100])
async def test_lines_come_whole(size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_streams, "_CHUNK", size)
    with pipe() as (reader, writer):
        assert not is_terminal(reader)
        os.write(writer.fileno(), b"one\n\ntwo\r\n\xff")
        writer.close()
        lines = Lines(reader)
        assert [line async for line in lines] == [b"one", b"", b"two\r", b"\xff"]
        assert [line async for line in lines] == []


async def test_no_input_and_no_output() -> None:
    assert [line async for line in Lines(None)] == []
    await Output(None).write(b"lost")
    assert not is_terminal(None)


@pytest.mark.skipif(sys.platform == "win32", reason="no such pipes and files")
async def test_the_other_end_makes_the_stream_non_blocking() -> None:
    with pipe() as (reader, writer):
        for stream in (reader, writer):
            os.set_blocking(stream.fileno(), False)
        lines, output = Lines(reader), Output(writer)
        line = b"x" * 500_000  # more than a pipe holds
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(output.write, line + b"\n")
            assert await anext(lines) == line


@pytest.mark.skipif(sys.platform == "win32", reason="no such pipes and files")
async def test_what_cannot_be_read_or_written(tmp_path: Path) -> None:
    with pipe() as (reader, writer):
        reader.close()
        with pytest.raises(Failure) as failed:
            await Output(writer).write(b"x")
        assert (failed.value.code, str(failed.value)) == (ExitCode.OUTPUT_CLOSED, "")
        with pytest.raises(Failure, match="cannot be read: Bad file descriptor"):
            await anext(Lines(writer))
    with pipe() as (reader, _):
        with pytest.raises(Failure, match="cannot be written: Bad file") as failed:
            await Output(reader).write(b"x")
        assert failed.value.code == ExitCode.FAILED


def test_a_thread_may_outlive_the_event_loop() -> None:
    blocked, threads = threading.Event(), set(threading.enumerate())

    async def main() -> None:
        with anyio.move_on_after(0.01):
            await in_thread(blocked.wait)

    anyio.run(main)
    (thread,) = set(threading.enumerate()) - threads
    assert thread.daemon
    blocked.set()
    thread.join(5)
    assert not thread.is_alive()
