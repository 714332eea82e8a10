"""A connection and somebody who types, in a terminal.

The line editor is prompt_toolkit's, which runs on asyncio alone. So it has an event
loop of its own, in a thread, whatever the connection runs on. It runs from the first
line to the last: between two of them there would be nobody to put what is received
above the line that is being typed.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any, Final, TextIO

import anyio
from anyio import CancelScope
from anyio.from_thread import run_sync
from anyio.lowlevel import EventLoopToken, current_token
from anyio.streams.memory import MemoryObjectSendStream

from .. import ConnectionClosed, WebSocketConnection
from ._failure import ExitCode, Failure
from ._formats import Format
from ._receiver import Messages, Receiver
from ._shown import shown
from ._streams import in_thread

if TYPE_CHECKING:
    from prompt_toolkit.buffer import Buffer

_PROMPT: Final = "> "
_PATIENCE: Final = 1.0  # seconds that a terminal may take for what is written at last


class LineEditor:
    """Edits lines at the bottom of a terminal, below what is shown meanwhile.

    :param stdin: the terminal
    :param stdout: the same, to write to
    :param parse: makes a message of a line; a ValueError leaves the line to be edited
    :raises Failure: if prompt_toolkit is not installed

    """

    def __init__(
        self, stdin: TextIO, stdout: TextIO, parse: Callable[[str], str | bytes]
    ) -> None:
        try:
            from prompt_toolkit import PromptSession
            from prompt_toolkit.input import create_input
            from prompt_toolkit.output import create_output
            from prompt_toolkit.renderer import CPR_Support
        except ImportError as exc:
            raise Failure(
                ExitCode.FAILED,
                "typing in a terminal needs the extra cli: "
                "pip install 'anyio_websocket[cli]'; pipes and files do without",
            ) from exc
        session: PromptSession[str] = PromptSession(
            _PROMPT,
            input=create_input(stdin),
            output=create_output(stdout),
            erase_when_done=True,
        )
        session.default_buffer.accept_handler = self._accept
        self._app = session.app
        # Otherwise the terminal is asked where its cursor is for each message, and has
        # a second to answer.
        self._app.renderer.cpr_support = CPR_Support.NOT_SUPPORTED
        self._parse = parse
        self._token: EventLoopToken | None = None
        self._loop: Any = None  # the editor's own
        self._started = anyio.Event()
        self._ended = anyio.Event()
        self._leaving = False
        self._running = CancelScope(shield=True)
        self._unseen: deque[tuple[str, anyio.Event | None]] = deque()
        self._typed: MemoryObjectSendStream[str | bytes] | None = None
        #: whether Ctrl-C ended it
        self.interrupted = False

    @asynccontextmanager
    async def editing(self) -> AsyncGenerator[AsyncIterator[str | bytes]]:
        """Have the editor run while the block does, and then leave the terminal.

        The block gets the messages that are typed, until Ctrl-D or Ctrl-C.
        """
        self._token = current_token()
        # Nobody types faster than they are sent for long.
        self._typed, typed = anyio.create_memory_object_stream[str | bytes](math.inf)
        async with typed, anyio.create_task_group() as tasks:
            tasks.start_soon(self._run, self._typed)
            try:
                await self._started.wait()
                yield typed
            finally:
                # The terminal is not to stay raw, whatever happens, unless it hangs.
                self._leaving = True
                self._call(self._leave)
                with anyio.move_on_after(_PATIENCE, shield=True):
                    await self._ended.wait()
                self._running.cancel()

    async def show(self, text: str) -> None:
        """Show a text above the line that is being typed; return when it is there.

        :param text: whole lines, without anything that the terminal would obey

        """
        if self._ended.is_set():
            await in_thread(self._write, text)
            return
        seen = anyio.Event()
        self._unseen.append((text, seen))
        self._call(self._show_now)
        await seen.wait()

    async def _run(self, typed: MemoryObjectSendStream[str | bytes]) -> None:
        with typed:
            try:
                with self._running:
                    self.interrupted = await in_thread(self._edit)
            finally:
                self._ended.set()
                self._started.set()
                # Who waits for that has been told by the end.
                self._set([seen for _, seen in self._unseen if seen is not None])

    def _call(self, function: Callable[[], None]) -> None:
        """Have the editor's thread call a function, unless it has ended."""
        if self._loop is not None:
            with suppress(RuntimeError):
                self._loop.call_soon_threadsafe(function, context=self._app.context)

    # -- in the editor's thread ------------------------------------------------

    def _edit(self) -> bool:
        try:
            self._app.run(
                pre_run=self._begin, set_exception_handler=False, handle_sigint=False
            )
        except EOFError:  # Ctrl-D
            return False
        except KeyboardInterrupt:
            return True
        return False

    def _begin(self) -> None:
        self._loop = self._app.loop
        run_sync(self._started.set, token=self._token)
        if self._leaving:
            self._leave()

    def _leave(self) -> None:
        with suppress(Exception):  # a plain one, if it is leaving already
            self._app.exit()

    def _accept(self, buffer: Buffer) -> bool:
        """Send what was typed; return whether it is to stay in the line."""
        try:
            message = self._parse(buffer.text)
        except ValueError as exc:
            self._unseen.append((f"not sent: {exc}\n", None))
            self._show_now()
            return True
        self._unseen.append((f"{_PROMPT}{shown(buffer.text)}\n", None))
        self._show_now()
        assert self._typed is not None
        run_sync(self._typed.send_nowait, message, token=self._token)
        return False

    def _show_now(self) -> None:
        # prompt_toolkit's run_in_terminal() leaves raw mode meanwhile. Then the
        # terminal itself echoes what is typed, and takes Ctrl-D for itself.
        self._app.renderer.erase()
        texts: list[str] = []
        shown: list[anyio.Event] = []
        while self._unseen:
            text, seen = self._unseen.popleft()
            texts.append(text)
            if seen is not None:
                shown.append(seen)
        self._write("".join(texts))
        self._app.invalidate()
        if shown:
            run_sync(self._set, shown, token=self._token)

    def _write(self, text: str) -> None:
        self._app.output.write(text.replace("\n", "\r\n"))
        self._app.output.flush()

    @staticmethod
    def _set(events: list[anyio.Event]) -> None:
        for event in events:
            event.set()


async def talk_in_terminal(
    connection: WebSocketConnection, style: Format, editor: LineEditor
) -> None:
    """Send what is typed, and show what is received, until either side has ended.

    :raises Failure: if the connection ends, and not normally

    """

    async def show(messages: Messages) -> None:
        texts = [f"< {style.shown(message)}\n" for message in messages]
        await editor.show("".join(texts))

    async def send(typed: AsyncIterator[str | bytes]) -> None:
        with suppress(ConnectionClosed):
            async for message in typed:
                await connection.send_message(message)
            receiver.end_after(0)

    receiver = Receiver(connection, show)
    subprotocol = connection.subprotocol
    chosen = "" if subprotocol is None else f" with the subprotocol {subprotocol}"
    async with editor.editing() as typed, anyio.create_task_group() as tasks:
        await editor.show(f"connected{chosen}; Ctrl-D closes the connection\n")
        tasks.start_soon(send, typed)
        await receiver.run()
        tasks.cancel_scope.cancel()
    if receiver.closed is not None:
        await editor.show(f"{receiver.closed}\n")
