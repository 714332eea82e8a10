"""Connecting again and again, until a session is done.

In: where to connect, and what to do with each connection. Out: what the session
returned, or the exception that is not worth another attempt.

It is a loop in the task of the caller, so each exception comes out where it belongs. It
is not an async generator (``async for connection in ...``), because that would have
to yield inside of a connection's block. A generator that is not exhausted leaves its
blocks in another task, or never.
"""

from __future__ import annotations

import inspect
import logging
import math
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Iterator, Mapping
from contextlib import AbstractAsyncContextManager
from typing import Any, Final, TypeVar, cast

import anyio

from .._connection import (
    WebSocketConnection,
    was_of_use,
    what_ended_the_loop,
)
from .._errors import WebSocketError
from .._settings import check
from . import _url
from ._misuse import takes_no_options
from ._open import open_websocket_url
from ._reconnect import reconnect_delays
from ._transient import asked_wait, is_transient

_logger = logging.getLogger("anyio_websocket")

_T = TypeVar("_T")
_NO_CONNECT: Final = "connect must be a URL or an async function of an Attempt"
_NO_SESSION: Final = "{name} must be an async function of a connection"
Block = AbstractAsyncContextManager[WebSocketConnection]


class Attempt:
    """An attempt to connect, as the function is told that says where to connect.

    :param number: 1 for the first one, and again for the first one after a connection
        that was of use; then 2, 3 and so on
    :param error: what ended the attempt or the connection before; ``None`` for the
        very first one

    """

    # Not a dataclass: making one takes longer than to import the rest of this module.
    __slots__ = ("error", "number")

    def __init__(self, number: int, error: Exception | None) -> None:
        #: 1 for the first attempt, and for the first after a connection of use
        self.number: int = number
        #: what ended the attempt or the connection before; ``None`` if there was none
        self.error: Exception | None = error

    def __repr__(self) -> str:
        # Not the error's text: what is not ours may have a token in it.
        error = None if self.error is None else type(self.error).__name__
        return f"Attempt(number={self.number}, error={error})"


Where = Callable[[Attempt], Awaitable[tuple[str, Mapping[str, object]] | Block]]


@takes_no_options
async def reconnecting(
    connect: str | Where,
    session: Callable[[WebSocketConnection], Awaitable[_T]],
    *,
    delays: Callable[[], Iterable[float]] = reconnect_delays,
    retry: Callable[[Exception], bool] = is_transient,
    attempts: float = math.inf,
) -> _T:
    """Run a session over a connection, and again over a new one when that is lost.

    The session is called with each connection, and subscribes to what it wants before
    it reads. When it returns, the connection is closed with code 1000, and this returns
    what the session did. When it raises, ``retry`` decides. So an ``async for`` over
    the messages that ends because the server goes away (1001) is not the end, though
    it raises nothing: ``retry`` decides about this as well.

    After an error that is worth another attempt, it waits. The wait is the next one of
    ``delays``, or what the server asks for if that is longer: ``Retry-After`` of a
    rejection, an hour at most, and up to 5 seconds at random; 5 to 30 seconds after
    close code 1012 (service restart); 30 to 90 after 1013 (try again later). After a
    connection that was of use, ``delays`` is called again and attempts are counted from
    1. It was of use if the server sent a message, or answered a Ping; a server that
    accepts connections and drops them at once is not taken for a healthy one.

    Each wait is logged with its reason on level INFO. If this is cancelled, the
    connection is closed at once, and nothing is left behind. What the session raises
    comes out as it is, even if it is an exception group: ``retry`` is asked about each
    exception in a group, and all of them must be worth another attempt. Exceptions
    that are not an `Exception`, such as `KeyboardInterrupt`, always come out.

    Several calls may run at the same time.

    :param connect: a ``ws:`` or ``wss:`` URL; or an async function that is called
        before each attempt with an `Attempt`, and returns a URL and a mapping of
        options of `open_websocket_url`, so that tokens are fresh. It may also return
        what `open_websocket` or a function like it returns
    :param session: an async function of a `WebSocketConnection`. It learns of a lost
        connection by a call of it, such as `WebSocketConnection.wait_closed`
    :param delays: a function that gives the seconds to wait before each attempt; when
        these end, the last error comes out
    :param retry: a plain function that says whether an exception of ``connect``, of
        connecting or of the session is worth another attempt
    :param attempts: how many attempts in a row may be without use before the last error
        comes out; `math.inf` sets no limit
    :return: what the session returned
    :raises ValueError: if the URL is not valid, or if ``attempts`` is not positive;
        nothing was sent
    :raises TypeError: if an argument has the wrong type
    :raises HandshakeError: if a connection cannot be made, and trying again is not
        worth it, or no attempt is left
    :raises ConnectionClosed: if the session raises it, and connecting again is not
        worth it, or no attempt is left

    """
    opened = opener(connect)
    check_arguments(delays, retry, attempts, session=session)
    waits = iter(delays())
    number = 1
    error: Exception | None = None
    try:
        while True:
            useful = False
            try:
                async with await opened(Attempt(number, error)) as connection:
                    try:
                        result = await called(session, "session", connection)
                    finally:
                        useful = was_of_use(connection)
                end = what_ended_the_loop(connection)
                if end is None or not retry(end):
                    return result
                error = end
            except Exception as exc:
                if not all(map(retry, _parts(exc))):
                    raise
                error = exc
            if useful:
                waits = iter(delays())
                number = 0
            wait = next(waits, None)
            if number >= attempts or wait is None:
                raise error
            number += 1
            wait = max(wait, *map(asked_wait, _parts(error)))
            _logger.info("connecting again in %.1f s: %s", wait, _in_words(error))
            await anyio.sleep(wait)
    finally:
        del error  # a cycle: its traceback refers to this frame


def opener(connect: object) -> Callable[[Attempt], Awaitable[Block]]:
    """Make the function that begins each attempt.

    :param connect: what the user passed, see `reconnecting`
    :raises ValueError: if it is a URL that is not valid
    :raises TypeError: if it is neither a URL nor a function

    """
    if callable(connect):
        return _opener_of(connect)
    _check_was_not_called(connect, "connect")
    if isinstance(connect, AbstractAsyncContextManager):  # it serves one attempt
        raise TypeError(_NO_CONNECT)
    url = str(connect)
    _url.parse(url)

    async def to_url(_: Attempt) -> Block:
        return open_websocket_url(url)

    return to_url


def _opener_of(
    where: Callable[[Attempt], object],
) -> Callable[[Attempt], Awaitable[Block]]:
    async def afresh(attempt: Attempt) -> Block:
        coroutine = where(attempt)
        if not isinstance(coroutine, Coroutine):
            raise TypeError(_NO_CONNECT)
        found: object = cast("object", await coroutine)
        if isinstance(found, AbstractAsyncContextManager):
            return cast("Block", found)
        if (
            isinstance(found, tuple)
            and len(pair := cast("tuple[Any, ...]", found)) == 2
            and isinstance(pair[1], Mapping)
        ):
            url, options = cast("tuple[str, Mapping[str, Any]]", pair)
            return open_websocket_url(url, **options)
        # Not its repr: there may be a token in it.
        raise TypeError(
            "connect must return a pair of a URL and a mapping of options, or what "
            f"open_websocket() returns, not {type(cast('object', found)).__name__}"
        )

    return afresh


def called(
    function: Callable[[WebSocketConnection], Awaitable[_T]],
    name: str,
    connection: WebSocketConnection,
) -> Awaitable[_T]:
    """Call what a user passed as an async function.

    :param name: of the argument
    :raises TypeError: if it is not async, which cannot be seen before

    """
    awaitable = function(connection)
    if not isinstance(awaitable, Awaitable):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise TypeError(_NO_SESSION.format(name=name))
    return awaitable


def check_arguments(
    delays: object, retry: object, attempts: float, **functions: object
) -> None:
    """Check what `reconnecting` is passed, except for where to connect.

    :param functions: further arguments that have to be async functions, by name
    :raises ValueError: if ``attempts`` is not positive
    :raises TypeError: if an argument has the wrong type

    """
    for name, function in functions.items():
        _check_was_not_called(function, name)
        if not callable(function):
            raise TypeError(_NO_SESSION.format(name=name))
    if not callable(delays):
        raise TypeError(
            "delays must be a function that gives the waits, such as reconnect_delays "
            "without parentheses, or a lambda around a call of it"
        )
    if not callable(retry) or inspect.iscoroutinefunction(retry):
        raise TypeError(
            "retry must be a plain function of an exception, such as is_transient"
        )
    check("attempts", attempts)


def _check_was_not_called(function: object, name: str) -> None:
    if isinstance(function, Coroutine):
        function.close()  # it will never be awaited
        raise TypeError(
            f"{name} must be an async function, not what it returns: leave out the "
            "parentheses after its name"
        )


def _parts(error: Exception) -> Iterator[Exception]:
    """Give the exceptions in a group, or the one that is none."""
    if isinstance(error, ExceptionGroup):
        for part in cast("ExceptionGroup[Exception]", error).exceptions:
            yield from _parts(part)
    else:
        yield error


def _in_words(error: Exception) -> str:
    # What is not ours may have a token in its text.
    return "; ".join(
        str(part) if isinstance(part, WebSocketError) else type(part).__name__
        for part in _parts(error)
    )
