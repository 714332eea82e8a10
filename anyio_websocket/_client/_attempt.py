"""One attempt to open a connection as a client, from dialing to the open connection.

In: where to connect, and the options. Out: a connection; or an exception, and then
nothing is left open.
"""

from __future__ import annotations

from anyio import move_on_after

from .._connection import BackgroundTask, ConnectionCore, WebSocketConnection, open_core
from .._errors import ConnectionTimeout
from .._protocol import Accepted, ClientHandshake
from .._settings import ClientStreamSettings
from .._transport import Transport
from .._types import Nursery
from . import _url
from ._dial import ConnectedStream, Dialer
from ._handshake import rejection, request_upgrade


class Attempt:
    """One attempt to open a connection.

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
        self.server = dialer.server
        self.settings = settings
        self._dial = dialer.dial
        self._handshake = ClientHandshake(
            host=dialer.host_header,
            target=_url.check_resource(dialer.resource),
            subprotocols=settings.subprotocols,
            extra_headers=settings.identity.headers(dialer.credentials),
            extensions=settings.negotiable,
            max_head_size=settings.max_head_size,
        )

    async def connect(self, nursery: Nursery) -> WebSocketConnection:
        """Establish the connection, and start its background task in a nursery."""
        _, connection = await self.start(nursery, *await self.establish())
        return connection

    async def establish(self) -> tuple[Transport, Accepted]:
        """Dial and do the handshake, both within ``connect_timeout``.

        If this raises, the transport is closed.
        """
        transport: Transport | None = None
        try:
            with move_on_after(self.settings.connect_seconds):
                transport, received = await self._dial()
                return transport, await request_upgrade(
                    transport, self._handshake, self.server, received
                )
            if partial := self._handshake.partial_rejection():
                # Only its body was slow.
                raise rejection(partial, self._handshake, self.server)
            raise ConnectionTimeout(
                f"the connection to the server at {self.server} was not open within "
                f"{self.settings.connect_timeout} seconds (connect_timeout)"
            )
        except BaseException:
            if transport is not None:
                await transport.abort()
            raise

    async def start(
        self, nursery: Nursery, transport: Transport, accepted: Accepted
    ) -> tuple[ConnectionCore, WebSocketConnection]:
        """Start the background task of a connection that was established.

        If this raises, the transport is closed.
        """
        try:
            core = open_core(
                transport,
                accepted.extensions,
                BackgroundTask(nursery, self.settings),
                self.settings,
                is_client=True,
                trailing=accepted.trailing,
                callbacks=self.settings.ping_callbacks,
            )
            connection = WebSocketConnection(
                core,
                path=self._handshake.target,
                subprotocol=accepted.subprotocol,
                compression=accepted.extensions.deflate,
                handshake_headers=accepted.headers,
            )
        except BaseException:  # the nursery has ended meanwhile, or memory is short
            await transport.abort()
            raise
        return core, connection
