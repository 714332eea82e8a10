"""Listening on a UNIX socket, and what becomes of its file.

In: a path. Out: a listener, which removes the file when it is closed.
"""

from __future__ import annotations

import errno
import os
import socket
import stat
from contextlib import suppress
from typing import Final

from .._transport import SocketTransportListener, check_unix_path

_FUNCTION: Final = "serve_websocket_unix()"

_IN_USE: Final = "another server listens there; stop it, or choose another path"
# What connecting gives if somebody listens, if only with a full queue.
_LISTENS: Final = frozenset({0, errno.EAGAIN, errno.EWOULDBLOCK, errno.EINPROGRESS})


class UnixListener(SocketTransportListener):
    """Accepts connections on a UNIX socket, and removes its file in the end.

    :param sock: the socket, which listens
    :param path: its path

    """

    def __init__(self, sock: socket.socket, path: str) -> None:
        super().__init__(sock)
        self._path = path if _is_abstract(path) else os.path.abspath(path)
        self._file = _file_at(self._path)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._path!r})"

    async def aclose(self) -> None:
        # While the socket listens: who finds the file afterwards would take it for that
        # of a server that was killed. And while it is open, no other file gets its
        # number.
        with suppress(OSError):  # a file that is left is replaced by the next server
            if self._file is not None and self._file == _file_at(self._path):
                os.unlink(self._path)
        self._file = None
        await super().aclose()


def check_path(path: str | os.PathLike[str]) -> str:
    """Check the path of a UNIX socket that a user passed.

    :raises ValueError: if it cannot be one on this system
    :raises TypeError: if it is not a path

    """
    text = os.fspath(path)
    if not isinstance(text, str):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise TypeError(f"{_FUNCTION}: path must be a str, not {type(text).__name__}")
    if text == "":
        raise ValueError(f"{_FUNCTION}: path must not be empty")
    if "\0" in text[1:]:  # a leading one is Linux's "abstract"
        raise ValueError(f"{_FUNCTION}: path has a NUL in it")
    check_unix_path(text, f"{_FUNCTION}: path")
    return text


def listen_on_path(path: str, mode: int | None, backlog: int) -> UnixListener:
    """Listen on a UNIX socket.

    :param path: its path, checked
    :param mode: the permissions of its file; ``None`` leaves them to the umask
    :param backlog: how many connections may wait
    :raises OSError: if that is not possible; the text says why

    """
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    is_bound = False
    try:
        sock.setblocking(False)
        _remove_what_was_left(path)
        sock.bind(path)
        is_bound = True
        if mode is not None and not _is_abstract(path):
            os.chmod(path, mode)
        sock.listen(backlog)  # nobody can connect before this
        return UnixListener(sock, path)
    except BaseException as exc:
        sock.close()
        if is_bound and not _is_abstract(path):
            os.unlink(path)
        if isinstance(exc, OSError):
            # bind() does not say more.
            known = {
                errno.ENOENT: "its directory does not exist; make it",
                errno.EADDRINUSE: _IN_USE,
            }
            why = exc.strerror if exc.filename else known.get(exc.errno or 0)
            text = f"cannot listen on the UNIX socket {path!r}: {why or exc.strerror}"
            raise OSError(exc.errno, text) from exc
        raise


def _remove_what_was_left(path: str) -> None:
    """Remove the file of a server that was killed.

    :raises OSError: if it is something else

    """
    file = _status_of(path)
    if file is None:
        return
    if not stat.S_ISSOCK(file.st_mode):
        why = "there is a file that is not a socket; remove it, or choose another path"
        raise OSError(errno.EADDRINUSE, why, path)
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.setblocking(False)
        code = probe.connect_ex(path)
    if code in _LISTENS:
        raise OSError(errno.EADDRINUSE, _IN_USE, path)
    if code != errno.ECONNREFUSED:
        raise OSError(code, os.strerror(code), path)
    os.unlink(path)


def _file_at(path: str) -> tuple[int, int] | None:
    """Tell one file from another one with the same path."""
    file = _status_of(path)
    return None if file is None else (file.st_dev, file.st_ino)


def _status_of(path: str) -> os.stat_result | None:
    if _is_abstract(path):
        return None
    try:
        return os.lstat(path)
    except FileNotFoundError:
        return None


def _is_abstract(path: str) -> bool:
    return path.startswith("\0")
