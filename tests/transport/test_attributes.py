"""What is known of sockets and of TLS, by anyio's typed attributes."""

from __future__ import annotations

import socket
import ssl
import sys
from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import anyio
import pytest
import trustme
from anyio import TypedAttributeLookupError
from anyio.abc import ByteStream, SocketAttribute
from anyio.streams.tls import TLSAttribute, TLSListener

from anyio_websocket import WebSocketRequest, open_websocket_url, wrap_server_stream
from anyio_websocket._transport import transport_of
from anyio_websocket._transport._attributes import socket_attributes
from anyio_websocket.testing import memory_stream_pair

from ..support.servers import serving


def known(sock: Any) -> dict[Any, Any]:
    return {key: value() for key, value in socket_attributes(sock).items()}


@pytest.mark.parametrize("family", [socket.AF_INET, socket.AF_INET6])
def test_tcp_sockets(family: socket.AddressFamily) -> None:
    host = "127.0.0.1" if family is socket.AF_INET else "::1"
    try:
        listener = socket.create_server((host, 0), family=family)
    except OSError:
        pytest.skip("this machine has no IPv6")
    with listener, socket.create_connection(listener.getsockname()[:2]) as client:
        server, (_, port, *_) = listener.accept()
        with server:
            assert known(server) == {
                SocketAttribute.family: family,
                SocketAttribute.local_address: listener.getsockname()[:2],
                SocketAttribute.local_port: listener.getsockname()[1],
                SocketAttribute.raw_socket: server,
                SocketAttribute.remote_address: (host, port),
                SocketAttribute.remote_port: port,
            }
            client.close()
        assert known(server) == {
            SocketAttribute.family: family,
            SocketAttribute.raw_socket: server,
        }


@pytest.mark.skipif(sys.platform == "win32", reason="no UNIX sockets")
def test_unix_sockets() -> None:
    one, other = socket.socketpair()
    with one, other:
        assert known(one) == {
            SocketAttribute.family: socket.AF_UNIX,
            SocketAttribute.local_address: "",
            SocketAttribute.raw_socket: one,
            SocketAttribute.remote_address: "",
        }


def test_streams_that_know_nothing() -> None:
    stream, _ = memory_stream_pair()
    assert transport_of(stream).extra_attributes == {}

    class Gone(type(stream)):  # type: ignore[misc]
        @property
        def extra_attributes(self) -> Any:
            raise OSError("the socket is closed")

    stream.__class__ = Gone
    assert transport_of(stream).extra_attributes == {}


class Unknown(anyio.TypedAttributeSet):
    """Nobody has it."""

    thing: int = anyio.typed_attribute()


@asynccontextmanager
async def by_our_sockets(tls: ssl.SSLContext, handler: Any) -> AsyncGenerator[int]:
    async with serving(handler, tls) as port:
        yield port


@asynccontextmanager
async def by_streams(tls: ssl.SSLContext, handler: Any) -> AsyncGenerator[int]:
    listener = await anyio.create_tcp_listener(local_host="127.0.0.1")

    async def serve(stream: ByteStream) -> None:
        async with anyio.create_task_group() as tasks:
            await handler(await wrap_server_stream(tasks, stream))

    served = TLSListener(listener, tls, standard_compatible=False)
    async with served, anyio.create_task_group() as tasks:
        tasks.start_soon(served.serve, serve)
        yield listener.extra(SocketAttribute.local_port)
        tasks.cancel_scope.cancel()


@pytest.mark.parametrize("serve", [by_our_sockets, by_streams])
async def test_the_certificate_of_a_client(
    serve: Callable[..., AbstractAsyncContextManager[int]], authority: trustme.CA
) -> None:
    server_tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("localhost").configure_cert(server_tls)
    authority.configure_trust(server_tls)
    server_tls.verify_mode = ssl.CERT_REQUIRED
    with_certificate = ssl.create_default_context()
    authority.configure_trust(with_certificate)
    authority.issue_cert("ann@example.org").configure_cert(with_certificate)
    seen: list[WebSocketRequest] = []

    async def handler(request: WebSocketRequest) -> None:
        certificate = request.extra(TLSAttribute.peer_certificate)
        assert certificate is not None
        assert certificate["subjectAltName"] == (("email", "ann@example.org"),)
        assert request.extra(TLSAttribute.peer_certificate_binary)
        assert request.extra(TLSAttribute.server_side) is True
        assert request.extra(TLSAttribute.standard_compatible) is False
        assert request.extra(TLSAttribute.tls_version).startswith("TLSv1.")
        assert isinstance(
            request.extra(TLSAttribute.ssl_object), ssl.SSLObject | ssl.SSLSocket
        )
        assert request.extra(SocketAttribute.family) == socket.AF_INET
        address = request.extra(SocketAttribute.remote_address)
        assert address == request.remote_address
        with pytest.raises(TypedAttributeLookupError):
            request.extra(Unknown.thing)
        assert request.extra(Unknown.thing, 7) == 7
        seen.append(request)
        await (await request.accept()).aclose()

    async with serve(server_tls, handler) as port:
        url = f"wss://localhost:{port}/"
        async with open_websocket_url(url, with_certificate) as connection:
            await connection.wait_closed()
    assert len(seen) == 1


def test_streams_of_trio(
    server_tls: ssl.SSLContext, client_tls: ssl.SSLContext
) -> None:
    trio = pytest.importorskip("trio")
    testing = pytest.importorskip("trio.testing")

    async def main() -> None:
        ours, theirs = testing.memory_stream_pair()
        assert transport_of(ours).extra_attributes == {}
        server = trio.SSLStream(theirs, server_tls, server_side=True)
        client = trio.SSLStream(ours, client_tls, server_hostname="localhost")
        async with trio.open_nursery() as nursery:
            nursery.start_soon(server.do_handshake)
            nursery.start_soon(client.do_handshake)
        found = transport_of(client).extra_attributes
        assert found[TLSAttribute.server_side]() is False
        assert found[TLSAttribute.peer_certificate]()["subject"]
        assert TLSAttribute.ssl_object not in found
        one, other = trio.socket.socketpair()
        with other:
            async with trio.SocketStream(one) as stream:
                found = transport_of(stream).extra_attributes
                assert found[SocketAttribute.family]() == one.family
                assert found[SocketAttribute.raw_socket]() is one

    trio.run(main)
