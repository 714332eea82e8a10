"""The entry point: runs a command, and says in one line why it failed."""

from __future__ import annotations

import importlib.util
import logging
import ssl
import sys
import traceback
from argparse import Namespace
from collections.abc import Awaitable, Callable, Generator, Sequence
from contextlib import contextmanager, suppress
from typing import Any, Final, cast

import anyio

from .. import (
    ConnectionClosed,
    ConnectionRejected,
    DisconnectionTimeout,
    HandshakeError,
    WebSocketError,
)
from ._arguments import PROGRAM, parse
from ._connect import connect
from ._failure import ExitCode, Failure
from ._ping import ping
from ._serve import serve
from ._shown import one_line
from ._stop import Stop, run_until_signal

_COMMANDS: Final[dict[str, Callable[[Namespace, Stop], Awaitable[int]]]] = {
    "connect": connect,
    "ping": ping,
    "serve": serve,
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit code.

    :param argv: the arguments; ``None`` for those of the process
    :raises SystemExit: for ``--help``, ``--version``, and what cannot be parsed

    """
    arguments = parse(argv)
    with logging_to_stderr(arguments):
        try:
            if importlib.util.find_spec(arguments.backend) is None:
                extra = "pip install 'anyio_websocket[trio]'"
                text = f"trio is not installed: {extra}"
                raise Failure(ExitCode.FAILED, text)
            return anyio.run(run, arguments, backend=arguments.backend)
        except (Exception, KeyboardInterrupt, BaseExceptionGroup) as exc:
            code, text = explained(exc)
            if arguments.debug:
                _say("\n".join(map(one_line, _traceback(exc))))
    if text:
        _say(one_line(text))
    return code


async def run(arguments: Namespace) -> int:
    """Run a command until it ends or a signal ends it; return its exit code."""
    command = _COMMANDS[arguments.command]
    return await run_until_signal(lambda stop: command(arguments, stop))


def explained(exc: BaseException) -> tuple[int, str]:
    """Return the exit code for an exception, and the line that says what happened."""
    match exc:
        case BaseExceptionGroup():
            return explained(cast("BaseException", exc.exceptions[0]))
        case Failure():
            return exc.code, str(exc)
        case KeyboardInterrupt():
            return 130, ""
        case ConnectionClosed() | DisconnectionTimeout():
            return ExitCode.LOST, str(exc)
        case HandshakeError(__cause__=ssl.SSLCertVerificationError() as cause):
            text = "the certificate of the server is not trusted: "
            hint = "; --cafile FILE trusts other ones, --insecure trusts any"
            return ExitCode.FAILED, f"{text}{cause.verify_message}{hint}"
        case ConnectionRejected(status_code=301 | 302 | 303 | 307 | 308 as status):
            # The library's own text names an option that the command line lacks.
            text = f"the server answered {status}, a redirect, which the command line "
            hint = "does not follow; connect to the URL that it leads to"
            return ExitCode.FAILED, f"{text}{hint}"
        case OSError(strerror=str(text)):
            return ExitCode.FAILED, text
        case WebSocketError() | OSError() | ImportError():
            return ExitCode.FAILED, str(exc)
        case _:
            text = f"unexpected {type(exc).__name__}: {exc}; --debug shows where"
            return ExitCode.FAILED, text


@contextmanager
def logging_to_stderr(arguments: Namespace) -> Generator[None]:
    """Have the library's log on stderr: warnings, a server's clients, or everything."""
    handler = logging.StreamHandler()
    handler.setFormatter(_Formatter(arguments.debug))
    logger = logging.getLogger("anyio_websocket")
    before = logger.level
    if arguments.debug:
        logger.setLevel(logging.DEBUG)
    elif arguments.command == "serve":
        logger.setLevel(logging.INFO)
    logger.addHandler(handler)
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(before)


class _Formatter(logging.Formatter):
    def __init__(self, debug: bool) -> None:
        super().__init__("%(asctime)s %(levelname)s %(message)s")
        self._debug = debug

    def formatException(self, ei: Any) -> str:
        return super().formatException(ei) if self._debug else ""


def _say(text: str) -> None:
    if sys.stderr is not None:
        with suppress(OSError):  # nobody reads that either
            sys.stderr.write(f"{PROGRAM}: {text}\n")


def _traceback(exc: BaseException) -> list[str]:
    return "".join(traceback.format_exception(exc)).splitlines()
