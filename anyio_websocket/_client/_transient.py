"""Which errors are worth another attempt, and how long the server asks to wait.

In: what ended an attempt to connect, or a connection. Out: whether the same may work
later, and the least seconds until then.
"""

from __future__ import annotations

import errno
import random
import socket
import ssl
import time
from typing import Final

from .._errors import (
    CloseCode,
    ConnectionClosed,
    ConnectionRejected,
    ConnectionTimeout,
    DisconnectionTimeout,
    HandshakeError,
    ProxyError,
)

_TRANSIENT_CODES: Final = frozenset(
    {
        CloseCode.GOING_AWAY,
        CloseCode.ABNORMAL_CLOSURE,
        CloseCode.INTERNAL_ERROR,
        CloseCode.SERVICE_RESTART,
        CloseCode.TRY_AGAIN_LATER,
        CloseCode.BAD_GATEWAY,
    }
)
# Besides 5xx: Request Timeout, Too Early, Too Many Requests
_TRANSIENT_STATUSES: Final = frozenset({408, 425, 429})
# Not Implemented, HTTP Version Not Supported: these stay as they are.
_LASTING_STATUSES: Final = frozenset({501, 505})
# The network's errors that have no exception class of their own. Not every system
# knows each of them.
_TRANSIENT_NUMBERS: Final = frozenset(
    getattr(errno, name)
    for name in (
        *("EADDRNOTAVAIL", "EHOSTDOWN", "EHOSTUNREACH", "ENETDOWN", "ENETRESET"),
        *("ENETUNREACH", "ENONET"),
    )
    if hasattr(errno, name)
)
# TLS that broke off. What else TLS complains of is how one side is set up.
_TRANSIENT_TLS: Final = (
    ssl.SSLEOFError,
    ssl.SSLSyscallError,
    ssl.SSLZeroReturnError,
)

# What no network causes. A stream of the user's, or an extension, that raises one of
# these has a bug. Other libraries have classes of their own for a lost connection, and
# uvloop raises RuntimeError for one.
_BUGS: Final = (
    *(ArithmeticError, AssertionError, AttributeError, BufferError, ImportError),
    *(LookupError, MemoryError, NameError, NotImplementedError, RecursionError),
    *(ReferenceError, SyntaxError, TypeError, ValueError),
)

# Seconds. IANA's registry refers to the text that registered the codes: after 1012 a
# client should wait for a random time between 5 and 30 seconds. For 1013 it has no
# number, only that the server is overloaded.
_RESTART: Final = (5.0, 30.0)
_OVERLOAD: Final = (30.0, 90.0)
# Clients that got the same Retry-After are not to return at the same moment.
_SPREAD: Final = 5.0
MAX_RETRY_AFTER: Final = 3600.0


def is_transient(error: Exception) -> bool:
    """Say whether it is worth connecting again after an error.

    It is after

    - the close codes 1001, 1006, 1011, 1012, 1013 and 1014: the server goes away, is
      overloaded or has failed, or the connection was lost;
    - a rejection by the server or by a proxy with status 408, 425, 429 or 5xx, except
      501 and 505;
    - `ConnectionTimeout`, and any other `HandshakeError` that the network causes, or a
      server or a proxy that is just ending: an address that does not answer, a name
      that cannot be resolved, the file of a UNIX socket that is not there, a response
      that is not valid;
    - the errors of the network that `connect_websocket` raises as they are:
      `ConnectionError`, `TimeoutError`, a failed look-up, an unreachable network.

    It is not after anything else. A rejection with status 401, 403, 404 or 407, or a
    certificate that cannot be verified, or the refusal of a SOCKS proxy
    (`ProxyError.refused`), does not go away by itself. With close code 1000, or without
    a code (1005), the peer has said that it is done. With others (1002, 1003, 1007 to
    1010, and 3000 to 4999) it, or this side, has refused what it was sent.
    `DisconnectionTimeout` comes when the work is done already.

    Nor is it if this side failed, because it would fail again. That is 1006 because
    ``on_ping`` or ``on_pong`` raised, or because framing or decoding messages did, as
    an extension may, or for lack of memory; a stream of yours that raised an exception
    like `TypeError` or `ValueError` (``__cause__``), which no network causes; and a
    client of httpx that speaks HTTP/2, or that has a header that cannot be sent.

    :param error: what was raised by an attempt to connect, or by a connection
    :return: ``False`` for whatever is not listed above

    """
    if isinstance(error, ConnectionClosed):
        if error._failed_here or _is_bug(error.__cause__):  # pyright: ignore[reportPrivateUsage]
            return False
        return error.reason is not None and error.reason.code in _TRANSIENT_CODES
    if isinstance(error, ConnectionRejected | ProxyError) and (
        (status := error.status_code) is not None
    ):
        if status in _TRANSIENT_STATUSES:
            return True
        return 500 <= status <= 599 and status not in _LASTING_STATUSES
    if isinstance(error, ConnectionTimeout):
        return True
    if isinstance(error, DisconnectionTimeout):
        return False
    if isinstance(error, ProxyError) and error.refused:
        return False
    if isinstance(error, HandshakeError):
        if error._is_mistake or _is_bug(error.__cause__):  # pyright: ignore[reportPrivateUsage]
            return False
        cause = system_error(error.__cause__)
        # The file of a UNIX socket is gone while its server restarts. Where nothing
        # connects, a file that is missing is another matter.
        return (
            cause is None or isinstance(cause, FileNotFoundError) or _is_network(cause)
        )
    return isinstance(error, OSError) and _is_network(error)


def mistake(text: str) -> HandshakeError:
    """Make the error for a client of another library that cannot work as it is."""
    error = HandshakeError(text)
    error._is_mistake = True  # pyright: ignore[reportPrivateUsage]
    return error


def _is_bug(cause: BaseException | None) -> bool:
    # If an error of the network is behind it, a library has put its own around that.
    return isinstance(cause, _BUGS) and system_error(cause) is None


def system_error(error: BaseException | None) -> OSError | None:
    """Find the error of the network or of TLS that is behind another library's.

    :param error: the exception, whose causes and contexts are searched; a library may
        have hidden them by ``from None``

    """
    while error is not None and not isinstance(error, OSError):
        error = error.__cause__ or error.__context__
    return error


def _is_network(error: OSError) -> bool:
    if isinstance(error, ssl.SSLError):
        return isinstance(error, _TRANSIENT_TLS)
    if isinstance(error, ConnectionError | TimeoutError | socket.gaierror):
        return True
    # If none of several addresses answers, that is an OSError without a number.
    return error.errno in _TRANSIENT_NUMBERS or (
        type(error) is OSError and error.errno is None
    )


def asked_wait(error: Exception) -> float:
    """Return how many seconds the server asks to wait, with some of chance.

    :param error: a rejection, which may have a Retry-After, or a close code
    :return: 0 if it asks for nothing

    """
    if isinstance(error, ConnectionRejected):
        seconds = retry_after(error.headers)
        return seconds + random.uniform(0.0, _SPREAD) if seconds > 0 else 0.0
    if isinstance(error, ConnectionClosed) and error.reason is not None:
        if error.reason.code == CloseCode.SERVICE_RESTART:
            return random.uniform(*_RESTART)
        if error.reason.code == CloseCode.TRY_AGAIN_LATER:
            return random.uniform(*_OVERLOAD)
    return 0.0


def retry_after(headers: tuple[tuple[bytes, bytes], ...]) -> float:
    """Return the seconds of Retry-After (RFC 9110 section 10.2.3).

    A date is compared with that of the response, because this machine's clock may be
    wrong.

    :return: between 0, which is also for a value that is not valid, and
        `MAX_RETRY_AFTER`

    """
    fields = dict(headers)
    value = fields.get(b"retry-after", b"")
    if value.isdigit():
        # int() refuses thousands of digits.
        return min(float(value), MAX_RETRY_AFTER)
    if (then := _timestamp(value)) is None:
        return 0.0
    now = _timestamp(fields.get(b"date", b""))
    if now is None:
        now = time.time()
    return min(max(then - now, 0.0), MAX_RETRY_AFTER)


def _timestamp(value: bytes) -> float | None:
    # Imported when it is needed: it takes a tenth of the time of the whole package.
    from email.utils import mktime_tz, parsedate_tz

    try:
        parsed = parsedate_tz(value.decode("latin-1"))
        return None if parsed is None else float(mktime_tz(parsed))
    except Exception:  # the server's bytes must not end the client
        return None
