"""Opens one connection as a client, from dialing to the open connection.

In: where to connect, and the options. Out: a connection; or an exception, and then
nothing is left open.
"""

from __future__ import annotations

from anyio import move_on_after

from .._connection import (
    BackgroundTask,
    ConnectionCore,
    WebSocketConnection,
    observer_of,
    open_core,
)
from .._errors import ConnectionRejected, ConnectionTimeout
from .._protocol import Accepted, ClientHandshake
from .._settings import ClientStreamSettings
from .._transport import Transport
from .._types import Nursery
from . import _url
from ._dial import ConnectedStream, Dialer
from ._handshake import rejection, request_upgrade


class Connector:
    """Opens one connection.

    :param dialer: makes the transport, and knows what to request
    :param settings: the options, checked
    :raises ValueError: if host or resource cannot be sent
    :raises TypeError: if the resource is not a ``str``

    """

    def __init__(
        self,
        dialer: Dialer | ConnectedStream,
        settings: ClientStreamSettings,
    ) -> None:
        self.settings = settings
        self._go_to(dialer)

    def _go_to(self, dialer: Dialer | ConnectedStream) -> None:
        self.server = dialer.server
        self._dialer = dialer
        self._handshake = ClientHandshake(
            host=dialer.host_header,
            target=_url.check_resource(dialer.resource),
            subprotocols=self.settings.subprotocols,
            extra_headers=dialer.headers,
            extensions=self.settings.negotiable,
            max_head_size=self.settings.max_head_size,
        )

    async def connect(self, nursery: Nursery) -> WebSocketConnection:
        """Establish the connection, and start its background task in a nursery."""
        _, connection = await self.start(nursery, *await self.establish())
        return connection

    async def establish(self) -> tuple[Transport, Accepted]:
        """Dial and do the handshake, both within ``connect_timeout``.

        If this raises, the transport is closed.
        """
        try:
            return await self._establish()
        except Exception as exc:
            observer_of(self.settings).failed(exc)
            raise

    async def _establish(self) -> tuple[Transport, Accepted]:
        with move_on_after(self.settings.connect_seconds):
            while True:
                try:
                    return await self._try()
                except ConnectionRejected as rejected:
                    dialer = self._dialer.follow(rejected)
                    try:
                        self._go_to(dialer)
                    except ValueError as exc:  # a name that only looks like one
                        raise rejected.not_followed(str(exc)) from exc
        if partial := self._handshake.partial_rejection():
            # Only its body was slow.
            raise rejection(partial, self._handshake, self.server)
        raise ConnectionTimeout(
            f"the connection to the server at {self.server} was not open within "
            f"{self.settings.connect_timeout} seconds (connect_timeout)"
            + self._dialer.what_is_late()
        )

    async def _try(self) -> tuple[Transport, Accepted]:
        dialer = self._dialer
        transport, received = await dialer.dial()
        try:
            accepted = await request_upgrade(
                transport, self._handshake, dialer.server, received, dialer.redirects
            )
        except BaseException:
            await transport.abort()
            raise
        return transport, accepted

    async def start(
        self, nursery: Nursery, transport: Transport, accepted: Accepted
    ) -> tuple[ConnectionCore, WebSocketConnection]:
        """Start the background task of a connection that was established.

        If this raises, the transport is closed.
        """
        return await start_connection(
            nursery, transport, accepted, self._handshake.target, self.settings
        )


async def start_connection(
    nursery: Nursery,
    transport: Transport,
    accepted: Accepted,
    target: str,
    settings: ClientStreamSettings,
) -> tuple[ConnectionCore, WebSocketConnection]:
    """Start the background task of a connection whose handshake is done.

    If this raises, the transport is closed.

    :param nursery: where the task runs
    :param transport: the connection to the server
    :param accepted: what the server agreed to
    :param target: path and query of the request
    :param settings: the options, checked

    """
    observer = observer_of(settings)
    try:
        core = open_core(
            transport,
            accepted.extensions,
            BackgroundTask(nursery, settings, observer=observer),
            settings,
            is_client=True,
            trailing=accepted.trailing,
            callbacks=settings.ping_callbacks,
        )
    except BaseException:  # the nursery has ended meanwhile, or memory is short
        await transport.abort()
        raise
    try:
        connection = WebSocketConnection(
            core,
            path=target,
            subprotocol=accepted.subprotocol,
            compression=accepted.extensions.deflate,
            handshake_headers=accepted.headers,
        )
        observer.opened(core, connection)
    except BaseException:  # memory is short
        await core.abort()  # the background task ends with it
        raise
    return core, connection
