"""Both ends of a connection, for tests of code that is given one."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Unpack

from .._client import open_over
from .._connection import WebSocketConnection
from .._keywords import checked, with_options
from .._options import ClientStreamOptions, ConnectionOptions, ServerOptions
from .._server import WebSocketRequest
from .._settings import ClientStreamSettings, ConnectionSettings
from ._serve import HOST, InMemoryClient, serve_in_memory


@with_options(ConnectionOptions, ConnectionSettings)
def websocket_pair(
    *,
    client: ClientStreamOptions | None = None,
    server: ServerOptions | None = None,
    **options: Unpack[ConnectionOptions],
) -> AbstractAsyncContextManager[tuple[WebSocketConnection, WebSocketConnection]]:
    """Connect a client and a server in memory for the duration of a block.

    The handshake is a real one; of the subprotocols that the client offers, the server
    chooses the first. Leaving the block closes the connection with code 1000, or at
    once if the block is cancelled.

    The options are for both ends. They are described in
    `~anyio_websocket.ConnectionOptions`.

    :param client: options of the client alone, see
        `~anyio_websocket.ClientStreamOptions`
    :param server: options of the server alone, see `~anyio_websocket.ServerOptions`
    :raises ValueError: if an option has a value that cannot work
    :raises TypeError: if an option has the wrong type, or does not exist

    """
    checked(ConnectionSettings, websocket_pair, options)
    of_client: ClientStreamOptions = {**options, **(client or {})}
    of_server: ServerOptions = {**options, **(server or {})}
    settings = checked(ClientStreamSettings, InMemoryClient.__call__, of_client)
    accepted: list[WebSocketConnection] = []

    async def accept(request: WebSocketRequest) -> None:
        chosen = (*request.proposed_subprotocols, None)[0]
        accepted.append(await request.accept(subprotocol=chosen))
        await accepted[0].wait_closed()

    return _pair(serve_in_memory(accept, **of_server), settings, accepted)


@asynccontextmanager
async def _pair(
    serving: AbstractAsyncContextManager[InMemoryClient],
    settings: ClientStreamSettings,
    accepted: list[WebSocketConnection],
) -> AsyncGenerator[tuple[WebSocketConnection, WebSocketConnection]]:
    async with (
        serving as connect,
        open_over(connect.stream, HOST, "/", settings, "websocket_pair") as client,
    ):
        yield client, accepted[0]
