"""A handshake over a request that another HTTP client sends.

In: a URL and the options; then the response, and the stream that it came over. Out: the
headers to send, and a connection.

The other client connects, through its proxy and with its certificates; it adds its
cookies, and follows redirects. What is left is to make the headers of the handshake, to
check the response, and to go on over the stream.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import AbstractAsyncContextManager
from typing import Unpack

from .._connection import ConnectionCore, WebSocketConnection, observer_of
from .._errors import HandshakeError
from .._keywords import checked, with_options
from .._options import ClientStreamOptions
from .._protocol import ClientHandshake, HandshakeFailure, Rejected
from .._settings import ClientStreamSettings
from .._transport import AnyStream, transport_of
from .._types import Header, Nursery, bytes_of, check_is_nursery
from . import _url
from ._block import open_in_block
from ._connector import start_connection
from ._handshake import rejection


class Upgrade:
    """One attempt to open a connection, whose request somebody else sends.

    :param url: the URL of the request
    :param settings: the options, checked
    :raises ValueError: if the URL is not valid

    """

    def __init__(self, url: object, settings: ClientStreamSettings) -> None:
        target = _url.parse(url)
        self.settings = settings
        #: the server's address, for errors
        self.server = _url.authority(target.host, target.port)
        self._handshake = ClientHandshake(
            host=_url.host_header(target.host, target.port, is_secure=target.is_secure),
            target=target.resource,
            subprotocols=settings.subprotocols,
            extra_headers=settings.identity.headers(target.credentials),
            extensions=settings.negotiable,
        )
        self._is_finished = False

    def headers(self) -> list[tuple[bytes, bytes]]:
        """Return the headers to send, without the Host, which the client writes."""
        return self._handshake.fields()[1:]

    def redirected(self, server: str, target: str) -> None:
        """Note where the last request went, if the other client followed redirects."""
        self.server = server
        self._handshake.target = target

    async def finish(
        self,
        nursery: Nursery,
        stream: AnyStream,
        status: int,
        headers: Iterable[Header],
        trailing: bytes,
    ) -> tuple[ConnectionCore, WebSocketConnection]:
        """Check the response and start the connection; see `ClientUpgrade.finish`."""
        transport = transport_of(stream)
        try:
            if self._is_finished:
                raise RuntimeError(
                    "make a new ClientUpgrade for each attempt to connect"
                )
            check_is_nursery(nursery, "finish", "its first argument")
            if not isinstance(status, int):  # pyright: ignore[reportUnnecessaryIsInstance]
                raise TypeError(f"status must be an int, not {type(status).__name__}")
            trailing = bytes_of("trailing", trailing)
            self._is_finished = True
            fields = [(_lower(name), _to_bytes(value)) for name, value in headers]
            if status != 101:
                raise self.rejected(status, fields, trailing)
            try:
                accepted = self._handshake.check_upgrade(fields, trailing)
            except HandshakeFailure as exc:
                text = f"the handshake with the server at {self.server} failed: {exc}"
                raise HandshakeError(text) from None
        except BaseException as exc:
            if isinstance(exc, HandshakeError):
                observer_of(self.settings).failed(exc)
            await transport.abort()
            raise
        return await start_connection(
            nursery, transport, accepted, self._handshake.target, self.settings
        )

    def rejected(
        self, status: int, headers: list[tuple[bytes, bytes]], body: bytes
    ) -> HandshakeError:
        """Make the exception for a response that is not 101."""
        response = Rejected(status, tuple(headers), body)
        return rejection(response, self._handshake, self.server)

    def open(
        self, stream: AnyStream, headers: Iterable[Header]
    ) -> AbstractAsyncContextManager[WebSocketConnection]:
        """Check a response with status 101, and open the connection for a block."""
        return open_in_block(
            lambda nursery: self.finish(nursery, stream, 101, headers, b""),
            self.server,
            self.settings,
        )


class ClientUpgrade:
    """A WebSocket over a request that another HTTP client sends (RFC 6455 section 4.1).

    Send a ``GET`` request with `headers` by that client, in HTTP/1.1, and pass on to
    `finish` what came back. One object serves one attempt.

    The options are described in `ClientStreamOptions` and `ConnectionOptions`. The
    other client is responsible for the time until the response; ``connect_timeout`` is
    not used.

    :param url: the ``ws:`` or ``wss:`` URL of the request
    :raises ValueError: if the URL or an option has a value that cannot work
    :raises TypeError: if an option has the wrong type, or does not exist

    """

    @with_options(ClientStreamOptions, ClientStreamSettings)
    def __init__(self, url: str, **options: Unpack[ClientStreamOptions]) -> None:
        settings = checked(ClientStreamSettings, ClientUpgrade.__init__, options)
        self._upgrade = Upgrade(url, settings)

    @property
    def headers(self) -> list[tuple[str, str]]:
        """The headers to send: those of the handshake, and those of the options.

        ``Host`` is not one of them.
        """
        return [
            (name.decode("ascii"), value.decode("latin-1"))
            for name, value in self._upgrade.headers()
        ]

    async def finish(
        self,
        nursery: Nursery,
        stream: AnyStream,
        status: int,
        headers: Iterable[Header],
        trailing: bytes = b"",
    ) -> WebSocketConnection:
        """Check the response and open the connection.

        From now on the stream belongs to the connection: it is closed with it, and also
        if this raises.

        :param nursery: an anyio task group or a trio nursery, where the connection
            lives until it is closed
        :param stream: the stream that the response came over: an
            :class:`anyio.abc.ByteStream` or a ``trio.abc.Stream``
        :param status: the status of the response
        :param headers: its headers, as pairs of ``bytes`` or of ``str``
        :param trailing: what was received after the head of the response: the first
            frames, or the body of a rejection
        :raises ConnectionRejected: if the status is not 101
        :raises HandshakeError: if the response is not valid
        :raises RuntimeError: if it was called before
        :raises TypeError: if an argument has the wrong type

        """
        _, connection = await self._upgrade.finish(
            nursery, stream, status, headers, trailing
        )
        return connection


def _to_bytes(text: str | bytes) -> bytes:
    return text.encode("latin-1") if isinstance(text, str) else bytes(text)


def _lower(name: str | bytes) -> bytes:
    return _to_bytes(name).lower()
