"""Sockets of our own: connecting, accepting, and the transport over them.

In: addresses; a listening socket. Out: ``SocketTransport``, which sends without waiting
where it can, keeps what the network did not take, and half-closes.
"""

from __future__ import annotations

import errno
import socket
from collections.abc import Callable, Coroutine
from contextlib import suppress
from ipaddress import ip_address
from itertools import chain, zip_longest
from typing import Any, Final

import anyio
from anyio import create_task_group, move_on_after
from anyio.abc import SocketAttribute, SocketListener
from anyio.lowlevel import checkpoint

from ._endpoint import Endpoint
from ._readiness import readiness_of
from ._transport import TransportLost, endpoint_of

RECEIVE_SIZE: Final = 65536  # bytes, where the caller leaves it to us
# seconds until the next address is tried beside the one before (RFC 8305 section 5)
NEXT_ADDRESS: Final = 0.25

# whether one call can write from several places: not on Windows
CAN_GATHER: Final = hasattr(socket.socket, "sendmsg")

_IN_PROGRESS: Final = frozenset({errno.EINPROGRESS, errno.EWOULDBLOCK, errno.EAGAIN})


class SocketTransport:
    """A transport over a TCP socket.

    :param sock: a connected socket, which belongs to the transport from now on
    :param remote: the peer's address, ``None`` to ask the socket

    """

    __slots__ = (
        "_local",
        "_readiness",
        "_remote",
        "_socket",
        "heard",
        "is_ssl",
        "rest",
    )

    #: whether what a cancelled `flush` left is still sent by the next one
    keeps_rest = True

    def __init__(self, sock: socket.socket, remote: Any = None) -> None:
        #: whether bytes travel over TLS
        self.is_ssl: bool = False
        #: whether the peer was heard since somebody cleared this
        self.heard: bool = True
        self._socket = sock
        # Read now: after a reset the socket no longer knows it.
        self._remote = remote or _name(sock.getpeername)
        # Our own only once the socket is closed; it would cost memory in each.
        self._local: Any = None
        self._readiness = readiness_of(sock)
        #: what waits for `flush`
        self.rest: bytes | memoryview = b""

    @property
    def local(self) -> Endpoint | str:
        local = self._local or _name(self._socket.getsockname)
        return endpoint_of(local, is_ssl=self.is_ssl) or repr(self._socket)

    @property
    def remote(self) -> Endpoint | str:
        return endpoint_of(self._remote, is_ssl=self.is_ssl) or repr(self._socket)

    def receive(self, max_bytes: int | None) -> Coroutine[Any, Any, bytes | None]:
        # One coroutine less to go through, and to keep while a connection idles.
        return self._readiness.receive(max_bytes or RECEIVE_SIZE)

    def interrupt(self) -> None:
        self._readiness.interrupt()

    def write(self, data: bytes, payload: bytes = b"") -> bool:
        if self.rest:
            self.rest = b"".join((self.rest, data, payload))
            return False
        if payload and not CAN_GATHER:
            data += payload
            payload = b""
        size = len(data) + len(payload)
        try:
            if payload:
                sent = self._socket.sendmsg((data, payload))
            else:
                sent = self._socket.send(data)
        except BlockingIOError:
            sent = 0
        except OSError as exc:
            raise TransportLost("the socket broke while sending") from exc
        if sent == size:
            return True
        if sent < len(data):
            self.rest = memoryview(data + payload)[sent:]
        else:
            self.rest = memoryview(payload)[sent - len(data) :]
        return False

    async def flush(self) -> None:
        try:
            while self.rest:
                await self._readiness.writable()
                with suppress(BlockingIOError):
                    sent = self._socket.send(self.rest)
                    self.rest = self.rest[sent:] or b""  # an empty view keeps it all
                    self.heard = True  # for it took what was sent before
        except Exception as exc:
            raise TransportLost("the socket broke while sending") from exc

    def soon(self, callback: Callable[[], None]) -> bool:
        return self._readiness.soon(callback)

    async def send_eof(self) -> bool:
        try:
            self._socket.shutdown(socket.SHUT_WR)
        except OSError as exc:
            raise TransportLost("the socket broke while closing") from exc
        return True

    async def aclose(self) -> None:
        self._close()
        await checkpoint()

    async def abort(self) -> None:
        self._close()

    def _close(self) -> None:
        if self._socket.fileno() >= 0:
            self._local = _name(self._socket.getsockname)
            self._readiness.close()
            self._socket.close()
        self.rest = b""


def _name(method: Callable[[], Any]) -> Any:
    try:
        return method()
    except OSError:  # the peer is gone already
        return None


class OwnListener(SocketListener):
    """Accepts on a listening socket of anyio's, without making streams of it.

    :param listener: whose socket it is; nobody else may accept there

    """

    def __init__(self, listener: SocketListener) -> None:
        self._listener = listener
        self._socket: socket.socket = listener.extra(SocketAttribute.raw_socket)
        self._readiness = readiness_of(self._socket)

    @property
    def _raw_socket(self) -> socket.socket:
        return self._socket

    async def accept(self) -> SocketTransport:  # type: ignore[override]
        while True:
            # Even if there may be one already: who floods us with connections must not
            # keep their turn from the others.
            await self._readiness.readable()
            try:
                sock, address = self._socket.accept()
            except BlockingIOError:
                continue  # it is gone again, or another process has it
            return SocketTransport(_prepared(sock), address)

    async def aclose(self) -> None:
        self._readiness.close()
        await self._listener.aclose()


def _prepared(sock: socket.socket) -> socket.socket:
    try:
        sock.setblocking(False)
        # A frame is written whole, and shall not wait for the next one.
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    except OSError:  # EINVAL on macOS, where the peer is gone already
        sock.close()
        raise
    return sock


async def connect(host: str, port: int) -> SocketTransport:
    """Connect to the first of a host's addresses that answers (RFC 8305).

    :param host: a name or an IP address
    :param port: the TCP port
    :raises OSError: if none does

    """
    addresses = await _addresses(host, port)
    if len(addresses) == 1:
        return SocketTransport(await _connect(*addresses[0]))
    connected: list[socket.socket] = []  # more than one, if it is the same moment
    errors: list[OSError] = []

    async def attempt(family: int, address: Any, done: anyio.Event) -> None:
        try:
            sock = await _connect(family, address)
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
                with move_on_after(NEXT_ADDRESS):
                    await done.wait()
        if not connected:
            causes = ExceptionGroup(f"{len(errors)} addresses were tried", errors)
            raise OSError(f"none of its {len(errors)} addresses answers") from causes
        return SocketTransport(connected.pop(0))
    finally:
        for sock in connected:
            sock.close()


async def _addresses(host: str, port: int) -> list[tuple[int, Any]]:
    """Look a host up; its addresses take turns by family, best first."""
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


async def _connect(family: int, address: Any) -> socket.socket:
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        _prepared(sock)
        code = sock.connect_ex(address)
        if code in _IN_PROGRESS:
            await anyio.wait_writable(sock)
            code = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if code:
            raise OSError(code, f"{errno.errorcode.get(code, code)} from {address[0]}")
        return sock
    except BaseException:
        sock.close()
        raise
