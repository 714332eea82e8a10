"""WebSockets over the connections of an httpx or httpx2 client.

In: an ``AsyncClient`` and a URL. Out: a connection that was opened through it, with its
proxy, its certificates, its cookies, its auth and its redirects.

This module imports neither library, so it works with the one that the application has.
The extra ``httpx`` of this package installs httpx.
"""

from __future__ import annotations

import re
import sys
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import (
    AbstractAsyncContextManager,
    asynccontextmanager,
    suppress,
)
from typing import Any, Final, Protocol, Unpack

from anyio import CancelScope, EndOfStream, move_on_after
from anyio.abc import ByteStream, SocketAttribute
from anyio.streams.tls import TLSAttribute

from ._client import Opening, Upgrade, mistake, refusal, system_error
from ._connection import WebSocketConnection, observer_of
from ._errors import ConnectionTimeout, HandshakeError, ProxyError
from ._keywords import checked, with_options
from ._options import ClientStreamOptions
from ._settings import ClientStreamSettings

__all__ = ["open_websocket"]

_PACKAGES: Final = ("httpx", "httpx2")
_SCHEMES: Final = {"http": "ws", "https": "wss", "ws": "ws", "wss": "wss"}
_BACK: Final = {"ws": "http", "wss": "https"}
_PORTS: Final = {"http": 80, "https": 443}
_HTTP2: Final = (
    "HTTP/2 cannot upgrade to a WebSocket: if the client was made with http2=True, use "
    "one with http2=False"
)
_MAX_BODY: Final = 65_536  # bytes of the body that a rejection keeps


class Client(Protocol):
    """An ``httpx.AsyncClient`` or an ``httpx2.AsyncClient``."""

    @property
    def auth(self) -> Any: ...

    @property
    def base_url(self) -> Any: ...

    def build_request(
        self, method: str, url: Any, *, headers: Any, timeout: Any
    ) -> Any: ...

    async def send(self, request: Any, *, stream: bool, auth: Any) -> Any: ...


@with_options(ClientStreamOptions, ClientStreamSettings)
def open_websocket(
    client: Client, url: str, **options: Unpack[ClientStreamOptions]
) -> AbstractAsyncContextManager[WebSocketConnection]:
    """Open a connection through an httpx client for the duration of a block.

    The client connects and sends the request, so its proxies, certificates, cookies,
    headers, auth and event hooks count, and it follows redirects if it was made with
    ``follow_redirects=True``. Its timeouts do not count: ``connect_timeout`` is for all
    of it, redirects and the wait for a place in the client's pool too, and an open
    connection may be silent for as long as its keepalive allows. It takes one of the
    client's connections until the block is left.

    The client must speak HTTP/1.1 with the server: with ``http2=True`` it may choose
    HTTP/2, which has no Upgrade, and then this raises `HandshakeError`.

    Otherwise this is `~anyio_websocket.open_websocket_url`. The options are described
    in `~anyio_websocket.ClientStreamOptions` and `~anyio_websocket.ConnectionOptions`.
    By default no ``User-Agent`` of ours is sent, but the client's. The credentials of
    ``auth``, of ``extra_headers`` or in the URL are sent instead of the client's.

    :param client: an ``AsyncClient`` of httpx or httpx2; it stays open
    :param url: a ``ws:``, ``wss:``, ``http:`` or ``https:`` URL, which may be relative
        to the client's ``base_url``
    :raises ValueError: if the URL is not valid, or an option has a value that cannot
        work; nothing was sent
    :raises TypeError: if an argument has the wrong type, or does not exist
    :raises HandshakeError: if the connection could not be made; ``__cause__`` is the
        client's error
    :raises ProxyError: if the client could not connect through its proxy
    :raises ConnectionTimeout: if it was not open within ``connect_timeout``
    :raises ConnectionRejected: if the server responded with another status than 101
    :raises DisconnectionTimeout: if the block ended without an exception, and the
        server did not finish the closing handshake within ``disconnect_timeout``

    """
    package = _package_of(client)
    options.setdefault("user_agent", None)
    settings = checked(ClientStreamSettings, open_websocket, options)
    try:
        given = package.URL(str(url))
        if not (given.scheme or client.base_url.scheme):
            raise ValueError("the URL is relative, and the client has no base_url")
        request = client.build_request(
            "GET",
            _with_scheme(given, _BACK),
            headers=[("Accept-Encoding", "identity")],
            timeout=None,
        )
    except package.InvalidURL:
        # Neither the URL nor the client's text about it, which may have a password.
        raise ValueError("the URL is not valid") from None
    # The client's base_url may have a scheme of ours.
    request.url = _with_scheme(request.url, _BACK)
    if request.url.scheme not in _SCHEMES:
        raise ValueError("the URL must begin with ws:, wss:, http: or https:")
    authority = request.url.netloc.decode("ascii")
    if userinfo := request.url.userinfo.decode("ascii"):
        # The client would log it, and send it in place of auth.
        request.url = request.url.copy_with(username=None, password=None)
        if given.userinfo or client.auth is None:
            authority = f"{userinfo}@{authority}"
    resource = request.url.raw_path.decode("ascii")
    scheme = _SCHEMES[request.url.scheme]
    upgrade = Upgrade(f"{scheme}://{authority}{resource}", settings)
    headers = upgrade.headers()
    request.headers.update(headers)
    auth = package.USE_CLIENT_DEFAULT
    if any(name.lower() == b"authorization" for name, _ in headers):
        auth = package.Auth()  # adds nothing to the request
    return Opening(
        lambda: _open(client, package, request, upgrade, auth), "open_websocket"
    )


def _package_of(client: object) -> Any:
    for kind in type(client).__mro__:
        package = kind.__module__.partition(".")[0]
        if package in _PACKAGES:
            if kind.__name__ == "AsyncClient":
                return sys.modules[package]
            if kind.__name__ == "Client":
                raise TypeError(f"the client must be an {package}.AsyncClient")
    raise TypeError(
        "the client must be an AsyncClient of httpx or httpx2, not "
        f"{type(client).__name__}"
    )


def _with_scheme(url: Any, schemes: Mapping[str, str]) -> Any:
    if url.scheme in schemes:
        return url.copy_with(scheme=schemes[url.scheme])
    return url


@asynccontextmanager
async def _open(
    client: Client, package: Any, request: Any, upgrade: Upgrade, auth: Any
) -> AsyncGenerator[WebSocketConnection]:
    response: Any = None
    try:
        try:
            with move_on_after(upgrade.settings.connect_seconds) as scope:
                response = await _send(client, package, request, upgrade.server, auth)
            if response is None:
                raise ConnectionTimeout(
                    f"the connection to the server at {upgrade.server} was not open "
                    f"within {upgrade.settings.connect_timeout} seconds "
                    "(connect_timeout)"
                )
            if response.history:
                upgrade.redirected(*_place_of(response.url))
            stream = await _stream_of(response, upgrade, scope.deadline)
        except Exception as exc:
            observer_of(upgrade.settings).failed(exc)
            raise
        async with upgrade.open(stream, response.headers.raw) as connection:
            yield connection
    finally:
        if response is not None:
            await response.aclose()


def _place_of(url: Any) -> tuple[str, str]:
    """Return the address of the server, and path and query."""
    server = url.netloc.decode("ascii")
    if url.port is None:
        server += f":{_PORTS[url.scheme]}"
    return server, url.raw_path.decode("ascii")


async def _send(
    client: Client, package: Any, request: Any, server: str, auth: Any
) -> Any:
    text = f"the client could not connect to the server at {server}"
    try:
        return await client.send(request, stream=True, auth=auth)
    except package.ProxyError as exc:
        # The clients say it by the status and the phrase of an HTTP proxy. The phrase
        # may be anything, and the status says whether it is worth another attempt.
        if match := re.match(r"[1-9][0-9]{2}\b", str(exc)):
            status = int(match.group())
            raise ProxyError(f"{text}: {refusal(status)}", status) from exc
        raise ProxyError(f"{text}: {exc}") from exc
    except package.ProtocolError as exc:
        # What the client says may have a header's value in it.
        hint = "" if request.url.scheme == "http" else f". {_HTTP2}"
        # Servers reset a request over HTTP/2 that has the headers of HTTP/1.1.
        is_ours = isinstance(exc, package.LocalProtocolError)
        error = mistake if is_ours or "<StreamReset" in str(exc) else HandshakeError
        raise error(f"{text}: {type(exc).__name__}{hint}") from exc
    except package.RequestError as exc:
        # On trio the client's own error has no text.
        why = str(exc) or system_error(exc) or type(exc).__name__
        raise HandshakeError(f"{text}: {why}") from exc


async def _stream_of(response: Any, upgrade: Upgrade, deadline: float) -> ByteStream:
    """Return the stream behind a response with status 101.

    :raises ConnectionRejected: if it has another status
    :raises HandshakeError: if it came over HTTP/2, or there is no stream behind it

    """
    if response.http_version == "HTTP/2":
        raise mistake(
            f"the client speaks HTTP/2 with the server at {upgrade.server}. {_HTTP2}"
        )
    if response.status_code != 101:
        fields = [(name.lower(), value) for name, value in response.headers.raw]
        body = await _body_of(response, deadline)
        raise upgrade.rejected(response.status_code, fields, body)
    stream = response.extensions.get("network_stream")
    if stream is None:
        raise mistake("the client's transport gives no access to its stream")
    return _ClientStream(stream)


async def _body_of(response: Any, deadline: float) -> bytes:
    """Read the body of a rejection, until it is complete, too long or too late."""
    body = bytearray()
    # Whatever goes wrong does not change the rejection.
    with CancelScope(deadline=deadline) as scope, suppress(Exception):
        async for chunk in response.aiter_raw():
            body += chunk
            if len(body) >= _MAX_BODY:
                # Not "break": it would end none of the generators inside of this one.
                scope.cancel()
    return bytes(body[:_MAX_BODY])


class _ClientStream(ByteStream):
    """The stream of a client's connection, as anyio's.

    What it raises need not be anyio's: it ends the connection in any case.

    :param stream: httpcore's, which begins with what came with the response

    """

    def __init__(self, stream: Any) -> None:
        self._stream = stream

    async def receive(self, max_bytes: int = 65536) -> bytes:
        data: bytes = await self._stream.read(max_bytes)
        if not data:
            raise EndOfStream
        return data

    async def send(self, item: bytes) -> None:
        await self._stream.write(item)

    async def send_eof(self) -> None:
        raise NotImplementedError

    async def aclose(self) -> None:
        await self._stream.aclose()

    @property
    def extra_attributes(self) -> Mapping[Any, Callable[[], Any]]:
        get = self._stream.get_extra_info
        return {
            TLSAttribute.ssl_object: lambda: get("ssl_object"),
            SocketAttribute.local_address: lambda: get("client_addr"),
            SocketAttribute.remote_address: lambda: get("server_addr"),
            SocketAttribute.raw_socket: lambda: get("socket"),
        }
