"""The file of a UNIX socket: who may replace it, and who removes it."""

from __future__ import annotations

import errno
import os
import socket
import stat
from pathlib import Path

import anyio
import pytest

from anyio_websocket._server import _unix_socket
from anyio_websocket._server._unix_socket import UnixListener, listen_on_path

pytestmark = pytest.mark.skipif(
    not hasattr(socket, "AF_UNIX"), reason="Python has no UNIX sockets"
)


def listen(path: Path, mode: int | None = None) -> UnixListener:
    return listen_on_path(str(path), mode, 5)


def left_at(path: Path, kind: int = socket.SOCK_STREAM) -> None:
    """Leave a socket as a server does that is killed."""
    with socket.socket(socket.AF_UNIX, kind) as sock:
        sock.bind(str(path))


async def test_permissions(tmp_path: Path) -> None:
    for mode in (0o600, 0o660, 0o000, None):
        path = tmp_path / "socket"
        listener = listen(path, mode)
        umask = os.umask(0)
        os.umask(umask)
        expected = 0o777 & ~umask if mode is None else mode
        assert stat.S_IMODE(path.stat().st_mode) == expected
        await listener.aclose()
        await listener.aclose()
        assert not path.exists()


async def test_what_a_killed_server_left_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "socket"
    left_at(path)
    listener = listen(path)
    assert path.is_socket()
    await listener.aclose()


async def test_a_server_that_listens_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "socket"
    listener = listen(path)
    with pytest.raises(
        OSError, match="another server listens there; stop it"
    ) as caught:
        listen(path)
    assert caught.value.errno == errno.EADDRINUSE
    assert str(path) in str(caught.value)
    assert path.is_socket()
    await listener.aclose()


async def test_what_cannot_be_listened_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "file"
    file.touch()
    with pytest.raises(OSError, match="a file that is not a socket; remove it"):
        listen(file)
    link = tmp_path / "link"
    link.symlink_to(tmp_path / "nowhere")
    with pytest.raises(OSError, match="a file that is not a socket; remove it"):
        listen(link)
    with pytest.raises(OSError, match="its directory does not exist; make it"):
        listen(tmp_path / "nowhere" / "socket")
    with pytest.raises(OSError, match="Not a directory"):
        listen(file / "socket")
    packets = tmp_path / "packets"
    left_at(packets, socket.SOCK_DGRAM)
    with monkeypatch.context() as patch:  # the file came between the look and bind()
        patch.setattr(_unix_socket, "_remove_what_was_left", lambda path: None)
        with pytest.raises(OSError, match="another server listens there"):
            listen(packets)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as other:
        packets.unlink()
        other.bind(str(packets))
        with pytest.raises(OSError, match="cannot listen on the UNIX socket") as caught:
            listen(packets)
        assert caught.value.errno == errno.EPROTOTYPE
    assert packets.is_socket()


async def test_nothing_is_left_if_it_fails_half_way(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "socket"

    def fail(path: str, mode: int) -> None:
        raise PermissionError(errno.EPERM, os.strerror(errno.EPERM), path)

    def interrupt(path: str, mode: int) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "chmod", fail)
    with pytest.raises(PermissionError, match=r"cannot listen .*: Operation not"):
        listen(path, 0o600)
    assert not path.exists()
    monkeypatch.setattr(os, "chmod", interrupt)
    with pytest.raises(KeyboardInterrupt):
        listen(path, 0o600)
    assert not path.exists()


async def test_another_file_is_not_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "socket"
    replaced, gone = listen(path), listen(tmp_path / "other")
    path.unlink()
    path.touch()
    await replaced.aclose()
    assert path.is_file()
    (tmp_path / "other").unlink()
    await gone.aclose()
    # A relative path is that of the directory where the server began.
    monkeypatch.chdir(tmp_path)
    listener = listen_on_path("relative", None, 5)
    monkeypatch.chdir("/")
    await listener.aclose()
    assert not (tmp_path / "relative").exists()
    with anyio.CancelScope() as scope:
        scope.cancel()
        await listener.aclose()
