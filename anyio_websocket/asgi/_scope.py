"""What an application is told of a request: its ``scope``.

HTTP and WebSocket, version 2.5, of ASGI.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import unquote

from anyio import TypedAttributeProvider
from anyio.abc import SocketAttribute

from .._endpoint import Endpoint, address_of
from .._plain_http import HTTPRequest
from .._server import WebSocketRequest, received_head
from ._application import ASGI_VERSION, Scope
from ._tls import tls_extension

SPEC_VERSION: Final = "2.5"


def websocket_scope(
    request: WebSocketRequest, state: Mapping[str, Any] | None, root_path: str
) -> Scope:
    """Describe a request for a WebSocket.

    :param state: what the lifespan left; each request has a copy
    :param root_path: where the application is

    """
    head = received_head(request)
    extensions: dict[str, Any] = {"websocket.http.response": {}}
    if (tls := tls_extension(request)) is not None:
        extensions["tls"] = tls
    return {
        "type": "websocket",
        **_common("wss" if tls else "ws", request.path, state, root_path),
        "http_version": head.http_version.decode(),
        "headers": list(head.headers),
        "client": request.remote_address,
        "server": request.local_address or unix_path(request),
        "subprotocols": list(request.proposed_subprotocols),
        "extensions": extensions,
    }


def http_scope(
    request: HTTPRequest, state: Mapping[str, Any] | None, root_path: str
) -> Scope:
    """Describe any other request; see `websocket_scope`."""
    is_ssl = isinstance(request.remote, Endpoint) and request.remote.is_ssl
    return {
        "type": "http",
        **_common("https" if is_ssl else "http", request.target, state, root_path),
        "http_version": "1.1",
        "method": request.method,
        "headers": list(request.headers),
        "client": address_of(request.remote),
        "server": address_of(request.local) or _path_in(request.local),
        "extensions": {},
    }


def _common(
    scheme: str, target: str, state: Mapping[str, Any] | None, root_path: str
) -> Scope:
    path, _, query = target.partition("?")
    return {
        "asgi": {"version": ASGI_VERSION, "spec_version": SPEC_VERSION},
        "scheme": scheme,
        "path": unquote(path),
        "raw_path": path.encode(),
        "query_string": query.encode(),
        "root_path": root_path,
        "state": dict(state or {}),
    }


def _path_in(local: Endpoint | str) -> tuple[str, None] | None:
    is_path = isinstance(local, str) and local.startswith("/")
    return (str(local), None) if is_path else None


def unix_path(provider: TypedAttributeProvider) -> tuple[str, None] | None:
    """Return where a server listens on a UNIX socket; ``None`` if it does not.

    :param provider: what knows the attributes of the stream

    """
    address: Any = provider.extra(SocketAttribute.local_address, None)
    if isinstance(address, bytes):  # a name that is not in the file system
        address = address.decode(errors="surrogateescape")
    return (address, None) if isinstance(address, str) and address else None
