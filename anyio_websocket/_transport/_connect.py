"""Connecting: to a host and port over TCP, to a UNIX socket, or by a user's object.

Over TCP it is decided here to which address a connection is made, by "Happy Eyeballs"
(RFC 8305). TLS and the opening handshake run over the transport that is returned.
"""

from __future__ import annotations

import errno
import os
import socket
from ipaddress import ip_address
from itertools import chain, zip_longest
from typing import Any, Final

import anyio
from anyio import create_task_group, move_on_after
from anyio.abc import ByteStreamConnectable

from ._interface import Transport
from ._readiness import can_wait_for_sockets
from ._sockets import SocketTransport, configure_socket
from ._streams import StreamTransport, transport_of

# Seconds until the next address is tried while the one before has not answered
# (RFC 8305 section 5, "Connection Attempt Delay").
CONNECTION_ATTEMPT_DELAY: Final = 0.25

# Seconds until a UNIX socket is tried again whose queue is full. Nothing tells when a
# place is free, so this is how long a client may come late.
FULL_QUEUE_DELAY: Final = 0.01

_IN_PROGRESS: Final = frozenset({errno.EINPROGRESS, errno.EWOULDBLOCK, errno.EAGAIN})


async def connect(host: str, port: int, local_host: str | None = None) -> Transport:
    """Connect to the first of a host's addresses that answers (RFC 8305).

    :param host: a name or an IP address
    :param port: the TCP port
    :param local_host: the IP address to connect from; ``None`` for any
    :raises OSError: if the name has no address, or none of its addresses answers

    """
    if not can_wait_for_sockets():
        return StreamTransport(
            await anyio.connect_tcp(host, port, local_host=local_host)
        )
    addresses = await _addresses(host, port)
    local: Any = None
    if local_host is not None:
        family, local = _numeric(local_host)
        addresses = [address for address in addresses if address[0] == family]
        if not addresses:
            raise OSError(f"it has no address of the family of {local_host}")
    if len(addresses) == 1:
        return SocketTransport(await _connect_one(*addresses[0], local))
    connected: list[socket.socket] = []  # two if they answer in the same moment
    errors: list[OSError] = []

    async def attempt(family: int, address: Any, done: anyio.Event) -> None:
        try:
            sock = await _connect_one(family, address, local)
        except OSError as exc:
            errors.append(exc)
            done.set()
            return
        connected.append(sock)
        tasks.cancel_scope.cancel()

    try:
        async with create_task_group() as tasks:
            for family, address in addresses:
                done = anyio.Event()
                tasks.start_soon(attempt, family, address, done)
                with move_on_after(CONNECTION_ATTEMPT_DELAY):
                    await done.wait()
        if not connected:
            causes = ExceptionGroup(f"{len(errors)} addresses were tried", errors)
            raise OSError(f"none of its {len(errors)} addresses answers") from causes
        return SocketTransport(connected.pop(0))
    finally:
        for sock in connected:
            sock.close()


def check_unix_path(path: str, name: str = "unix_path") -> None:
    """Check that this system can have a UNIX socket with such a path.

    :param path: the path
    :param name: what the user passed it as; errors have it
    :raises ValueError: if it has no UNIX sockets, as Windows, or if the path is too
        long for them

    """
    if not hasattr(socket, "AF_UNIX"):
        raise ValueError(f"{name} cannot work: Python has no UNIX sockets here")
    sock = socket.socket(socket.AF_UNIX)
    sock.close()
    try:
        # Each system has its own limit. Python compares with it before it finds that
        # the socket is closed, so this connects to nothing.
        sock.connect_ex(path)
    except OSError:
        raise ValueError(
            f"{name} is too long for a UNIX socket: {len(os.fsencode(path))} bytes"
        ) from None


async def connect_unix(path: str) -> Transport:
    """Connect to a UNIX socket.

    :param path: its path
    :raises OSError: if nobody listens there

    """
    if not can_wait_for_sockets():
        return StreamTransport(await anyio.connect_unix(path))
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        sock.setblocking(False)
        while code := sock.connect_ex(path):
            if code not in _IN_PROGRESS:
                raise OSError(code, _in_words(code))
            await anyio.sleep(FULL_QUEUE_DELAY)
        return SocketTransport(sock)
    except BaseException:
        sock.close()
        raise


def _in_words(code: int) -> str:
    # On Windows, os.strerror() does not know the errors of sockets.
    windows: dict[int, str] = getattr(socket, "errorTab", {})
    return windows.get(code, os.strerror(code)).rstrip(".")


async def connect_via(connectable: ByteStreamConnectable) -> Transport:
    """Let a user's object connect.

    :raises OSError: if it cannot
    :raises TypeError: if it returns no stream

    """
    try:
        return transport_of(await connectable.connect())
    except (
        anyio.EndOfStream,
        anyio.BrokenResourceError,
        anyio.ClosedResourceError,
    ) as exc:
        raise ConnectionError("the stream broke while it was made") from exc


def _numeric(host: str) -> tuple[int, Any]:
    """Return the family and the socket's address of an IP address."""
    ((family, _, _, _, address),) = socket.getaddrinfo(
        host, 0, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST
    )
    return family, address


async def _addresses(host: str, port: int) -> list[tuple[int, Any]]:
    """Look up a host's addresses, best first, IPv6 and IPv4 in turn."""
    try:
        is_ipv6 = ip_address(host).version == 6
    except ValueError:
        found = await anyio.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    else:
        if "%" not in host:
            family = socket.AF_INET6 if is_ipv6 else socket.AF_INET
            return [(family, (host, port))]
        found = await anyio.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    families: dict[int, list[tuple[int, Any]]] = {}
    for family, _, _, _, address in found:
        families.setdefault(family, []).append((family, address))
    return [
        address
        for address in chain.from_iterable(zip_longest(*families.values()))
        if address is not None
    ]


async def _connect_one(family: int, address: Any, local: Any) -> socket.socket:
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        configure_socket(sock)
        if local is not None:
            sock.bind(local)
        code = sock.connect_ex(address)
        if code in _IN_PROGRESS:
            await anyio.wait_writable(sock)
            code = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if code:
            raise OSError(code, f"{_in_words(code)}: {address[0]}")
        return sock
    except BaseException:
        sock.close()
        raise
