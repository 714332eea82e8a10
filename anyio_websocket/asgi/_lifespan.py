"""The lifespan of an ASGI application: it starts, serves, and shuts down.

Version 2.0 of ASGI's lifespan protocol.

The application runs in a task of its own beside the block. That task is shielded, so
that the application can shut down in peace when the block is cancelled, which is how
servers are stopped. It ends by itself, or is cancelled when it has had its time.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, Final

from anyio import (
    CancelScope,
    create_task_group,
    get_cancelled_exc_class,
    move_on_after,
    sleep_forever,
)
from anyio import Event as Signal

from .._settings import check
from ._application import (
    ASGI_VERSION,
    Application,
    Event,
    check_application,
    unexpected,
)

_logger = logging.getLogger("anyio_websocket")

SPEC_VERSION: Final = "2.0"


class LifespanError(RuntimeError):
    """An ASGI application could not start, or could not shut down.

    Its text has what the application said. ``__cause__`` is what the application
    raised, if it did.

    """


def lifespan(
    app: Application, *, shutdown_timeout: float | None = 60
) -> AbstractAsyncContextManager[dict[str, Any]]:
    """Have an ASGI application start and shut down around a block.

    Serve the application within the block::

        async with asgi.lifespan(app) as state:
            handler = asgi.handler(app, state=state)
            await serve_websocket(handler, "127.0.0.1", 8000, None)

    The block is entered when the application has started, and left when it has shut
    down, however the block ends. What the block raises comes out as it is. If the
    application's startup fails, or takes longer than you let it, the block is not
    entered. If the application ends with an exception while the block runs, the block
    is cancelled, because what the application has opened is closed then.

    An application that does not know the lifespan protocol says so by an exception, or
    by returning: the block is entered, and the exception is logged as a warning. ASGI
    has no other way for it, so an application whose startup goes wrong has to send
    ``lifespan.startup.failed``, as the frameworks do.

    It yields the ``state`` that the application has filled. Pass it to `handler` and
    `http_handler`.

    :param app: the application
    :param shutdown_timeout: seconds until an application that does not shut down is
        cancelled; default 60. ``None`` sets no limit. The time counts even if the block
        was cancelled, and keeps an application from holding up the end of the program
    :raises LifespanError: if the application says that its startup or its shutdown has
        failed, ends with an exception after its startup, does not shut down in time, or
        lets a cancellation out that is not of this block, such as that of a task of
        asyncio that it has cancelled and awaited. If the block has raised, that comes
        out, and this is logged
    :raises TypeError: if an argument has the wrong type
    :raises ValueError: if the timeout is not positive

    """
    check_application(app, "lifespan")
    check("lifespan(): shutdown_timeout", shutdown_timeout, none=True)
    return _lifespan(app, shutdown_timeout)


@asynccontextmanager
async def _lifespan(
    app: Application, shutdown_timeout: float | None
) -> AsyncGenerator[dict[str, Any]]:
    life = _Life(app)
    raised: BaseException | None = None
    async with create_task_group() as tasks:
        tasks.start_soon(life.run)
        try:
            if await life.has_started():
                with life.block:
                    yield life.state
        except BaseException as exc:
            raised = exc  # out of the group, whose exceptions are groups
        await life.end(shutdown_timeout)
    failure = life.failure()
    if raised is not None:
        if failure is not None:
            _logger.error("%s", failure, exc_info=life.error)
        try:
            raise raised
        finally:
            del raised  # a cycle: its traceback refers to this frame
    if failure is not None:
        raise failure from life.error


class _Life:
    """One life of an application.

    :param app: the application

    """

    def __init__(self, app: Application) -> None:
        self._app = app
        self._scope = CancelScope(shield=True)
        self._begun = Signal()  # it has started, has failed to, or has ended
        self._ending = Signal()  # it may be told to shut down
        self._ended = Signal()  # its task has
        self._is_asked = False  # whether it was told to start
        self._has_started = False
        self._is_told = False  # whether it was told to shut down
        self._done = Signal()  # it has said its last word
        self._is_late = False
        self._says: str | None = None  # why it has failed
        #: what it has raised
        self.error: BaseException | None = None
        #: what is cancelled if it ends too early
        self.block: CancelScope = CancelScope()
        #: what it leaves for its requests
        self.state: dict[str, Any] = {}

    async def run(self) -> None:
        """Call the application; this is the whole of its task."""
        scope = {
            "type": "lifespan",
            "asgi": {"version": ASGI_VERSION, "spec_version": SPEC_VERSION},
            "state": self.state,
        }
        try:
            with self._scope:
                await self._app(scope, self._receive, self._send)
        except Exception as exc:
            self.error = exc
        except get_cancelled_exc_class() as exc:
            # Nobody has cancelled this task, as its scope is shielded. It is from a
            # task of asyncio that the application has cancelled and then awaited. The
            # group would take it for its own.
            self.error = exc
        finally:
            self._begun.set()
            self._ended.set()
        if not self._ending.is_set() and self.failure() is not None:
            self.block.cancel()

    async def has_started(self) -> bool:
        """Wait until the application has started; say ``False`` if it has failed to."""
        await self._begun.wait()
        failed = self.failure() is not None
        if not failed and not self._has_started and self.error is not None:
            _logger.warning(
                "the ASGI application raised %r when it was to start, so it is served "
                "without a lifespan",
                self.error,
            )
        return not failed

    async def end(self, timeout: float | None) -> None:
        """Have the application shut down, and wait until its task has ended."""
        with CancelScope(shield=True):
            if not self._begun.is_set():
                self._scope.cancel()  # the block was cancelled before it was entered
            self._ending.set()
            with move_on_after(timeout) as limit:
                await self._ended.wait()
            if limit.cancelled_caught:
                self._is_late = not self._done.is_set()
                self._scope.cancel()
                await self._ended.wait()

    def failure(self) -> LifespanError | None:
        """Return what is wrong with the application; ``None`` if nothing is."""
        if self._says is not None:
            what = "shut down" if self._has_started else "start"
            return LifespanError(f"the ASGI application failed to {what}: {self._says}")
        if self._is_late:
            return LifespanError("the ASGI application did not shut down in time")
        # An exception before it has started may say that it knows no lifespan, but a
        # cancellation does not.
        if self.error is not None and (
            self._has_started or not isinstance(self.error, Exception)
        ):
            return LifespanError(f"the ASGI application raised {self.error!r}")
        return None

    async def _receive(self) -> Event:
        if not self._is_asked:
            self._is_asked = True
            return {"type": "lifespan.startup"}
        if not self._done.is_set():
            await self._ending.wait()
        if self._is_told:  # another task was, or this one, and it has to say so first
            await self._done.wait()
        if self._done.is_set():  # there is nothing more to wait for
            self._scope.cancel()
            await sleep_forever()
        self._is_told = True
        return {"type": "lifespan.shutdown"}

    async def _send(self, event: Mapping[str, Any]) -> None:
        kind = event["type"]
        if not self._has_started:
            expected = "lifespan.startup.complete", "lifespan.startup.failed"
        else:
            expected = "lifespan.shutdown.complete", "lifespan.shutdown.failed"
        if self._done.is_set() or kind not in expected:
            raise unexpected(kind, *expected)
        if kind == "lifespan.startup.complete":
            self._has_started = True
            self._begun.set()
            return
        self._done.set()
        if kind != "lifespan.shutdown.complete":
            self._says = event.get("message") or "it did not say why"
        self._begun.set()
