"""WebSockets through clients of httpx and httpx2."""

from __future__ import annotations

import importlib
import ssl
from base64 import b64encode
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import anyio
import pytest
from anyio.abc import ByteStream, SocketAttribute
from anyio.streams.tls import TLSAttribute, TLSListener

from anyio_websocket import (
    ConnectionRejected,
    ConnectionTimeout,
    Endpoint,
    HandshakeError,
    ProxyError,
    WebSocketEvent,
    WebSocketRequest,
    is_transient,
)
from anyio_websocket.httpx import _ClientStream, open_websocket
from anyio_websocket.testing import ScriptedPeer, handshake_response

from .support.frames import TEXT
from .support.servers import answering, raw_server, serving, silent


@pytest.fixture(params=["httpx", "httpx2"])
def package(request: pytest.FixtureRequest) -> Any:
    return importlib.import_module(request.param)


def client_of(package: Any, **options: Any) -> Any:
    # Unless TLS is used, the client need not load the system's certificates.
    return package.AsyncClient(**{"trust_env": False, "verify": False} | options)


async def test_the_client_connects(package: Any) -> None:
    seen: list[WebSocketRequest] = []

    async def handle(request: WebSocketRequest) -> None:
        seen.append(request)
        chosen = "b" if request.proposed_subprotocols else None
        connection = await request.accept(subprotocol=chosen)
        async for message in connection:
            await connection.send_message(message)

    async with serving(handle, compression=True) as port:
        async with client_of(
            package,
            base_url=f"ws://name:word@127.0.0.1:{port}/api/",
            headers={"User-Agent": "mine", "Connection": "keep-alive"},
            cookies={"c": "1"},
            params={"q": "2"},
        ) as client:
            async with open_websocket(
                client,
                "feed",
                subprotocols=["a", "b"],
                extra_headers=[("X", "1"), ("X", "2")],
                compression=True,
            ) as connection:
                large = "x" * 200_000
                await connection.send_message(large)
                assert await connection.get_message() == large
                await connection.ping()
                assert connection.path == "/api/feed?q=2"
                assert connection.subprotocol == "b"
                assert connection.compression is not None
                assert connection.remote == Endpoint("127.0.0.1", port, False)
            assert connection.closed is not None
            assert connection.closed.code == 1000
            # The client is as it was.
            async with open_websocket(client, f"ws://127.0.0.1:{port}/") as connection:
                await connection.ping()
    request, other = seen
    assert request.header("user-agent") == "mine"
    assert request.header("cookie") == "c=1"
    assert request.header("authorization") == "Basic bmFtZTp3b3Jk"
    assert [value for name, value in request.headers if name == b"x"] == [b"1", b"2"]
    assert other.path == "/?q=2"


@pytest.mark.parametrize("auth", [None, ("me", "secret")])
async def test_credentials_in_the_url(
    package: Any, auth: Any, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    seen: list[WebSocketRequest] = []

    async def handle(request: WebSocketRequest) -> None:
        seen.append(request)
        await request.accept()

    async with serving(handle) as port, client_of(package) as client:
        url = f"ws://n%61me:secr%65t@127.0.0.1:{port}/"
        async with open_websocket(client, url, auth=auth):
            pass
    given = b"Basic " + b64encode(b"me:secret" if auth else b"name:secret")
    assert seen[0].header("authorization") == given.decode()
    assert "127.0.0.1" in caplog.text  # the client's log
    assert "secr" not in caplog.text


async def test_auth_redirects_and_what_is_glued_to_the_response(package: Any) -> None:
    async def answer(stream: ByteStream) -> None:
        peer = ScriptedPeer(stream, is_client=False)
        while True:
            head = await peer.receive_head()
            if b"token" not in head:
                await stream.send(b"HTTP/1.1 401 No\r\nContent-Length: 0\r\n\r\n")
            elif head.startswith(b"GET /old"):
                place = b"/no?secret" if b"?no" in head else b"/new?q"
                await stream.send(
                    b"HTTP/1.1 307 There\r\nLocation: %s\r\n"
                    b"Content-Length: 0\r\n\r\n" % place
                )
            elif head.startswith(b"GET /no?secret"):
                await stream.send(b"HTTP/1.1 403 No\r\nContent-Length: 0\r\n\r\n")
            else:
                assert head.startswith(b"GET /new?q ")
                glued = peer.frame(TEXT, b"first") + peer.frame(TEXT, b"second")
                await stream.send(handshake_response(head) + glued)
                frame = await peer.receive_frame()
                await peer.send_frame(frame.opcode, frame.payload)
                return

    class Auth(package.Auth):  # type: ignore[misc]
        def auth_flow(self, request: Any) -> Any:
            if (yield request).status_code == 401:
                request.headers["Authorization"] = "token"
                yield request

    async with raw_server(answer) as port:
        async with client_of(package, auth=Auth(), follow_redirects=True) as client:
            url = f"http://127.0.0.1:{port}/old"
            with pytest.raises(ConnectionRejected, match="403") as caught:
                async with open_websocket(client, f"{url}?no"):
                    raise AssertionError
            assert str(caught.value).endswith(
                f":{port} answered 403 to the request for /no"
            )
            async with open_websocket(client, url) as connection:
                assert connection.path == "/new?q"
                assert await connection.get_message() == "first"
                assert await connection.get_message() == "second"


async def test_a_redirect_to_a_default_port(package: Any) -> None:
    def answer(request: Any) -> Any:
        if request.url.path == "/":
            return package.Response(302, headers={"Location": "https://y/new"})
        return package.Response(403)

    transport = package.MockTransport(answer)
    async with client_of(package, transport=transport, follow_redirects=True) as client:
        with pytest.raises(ConnectionRejected, match=r"at y:443 .* for /new$"):
            async with open_websocket(client, "ws://x/"):
                raise AssertionError


async def test_credentials_of_the_call_win_over_those_of_the_client(
    package: Any,
) -> None:
    seen: list[str | None] = []

    async def handle(request: WebSocketRequest) -> None:
        seen.append(request.header("authorization"))
        await request.accept()

    async with serving(handle) as port:
        for auth in (("client", "word"), package.DigestAuth("client", "word"), None):
            host = f"127.0.0.1:{port}"
            base = f"ws://base:word@{host}/"
            async with client_of(package, auth=auth, base_url=base) as client:
                for url, options in (
                    ("/", {"extra_headers": [("Authorization", "Bearer token")]}),
                    (f"ws://url:word@{host}/", {}),
                    (f"ws://url:word@{host}/", {"auth": ("a", "b")}),
                    ("/", {"auth": ("a", "b")}),
                    ("/", {}),
                ):
                    async with open_websocket(client, url, **options):
                        pass
    ab = "Basic YTpi"  # a:b
    own = ["Bearer token", "Basic dXJsOndvcmQ=", ab, ab]
    client_word, base_word = "Basic Y2xpZW50OndvcmQ=", "Basic YmFzZTp3b3Jk"
    assert seen == [*own, client_word, *own, None, *own, base_word]


async def test_the_timeouts_of_the_client_do_not_count(package: Any) -> None:
    async with serving() as port:
        async with client_of(package, timeout=0.01) as client:
            url = f"ws://127.0.0.1:{port}/"
            async with open_websocket(client, url) as connection:
                await anyio.sleep(0.05)
                await connection.send_message("late")
                assert await connection.get_message() == "late"


@pytest.mark.parametrize(
    ("head", "body", "expected"),
    [
        (b"Content-Length: 4", b"body", b"body"),
        (b"Content-Length: 9", b"half", b"half"),
        (b"Content-Length: 90000", b"x" * 90_000, b"x" * 65_536),
    ],
)
async def test_rejections(
    package: Any, head: bytes, body: bytes, expected: bytes
) -> None:
    data = b"HTTP/1.1 403 No\r\nX-Why: me\r\n%s\r\n\r\n%s" % (head, body)
    ended = anyio.Event()

    async def answer(stream: ByteStream) -> None:
        await answering(data)(stream)
        if body == b"half":
            await stream.send_eof()
        try:
            await stream.receive()
        except (anyio.EndOfStream, anyio.BrokenResourceError):
            ended.set()

    async with raw_server(answer) as port, client_of(package) as client:
        url = f"ws://127.0.0.1:{port}/?secret=1"
        events: list[WebSocketEvent] = []
        with pytest.raises(ConnectionRejected) as caught:
            async with open_websocket(client, url, on_event=events.append):
                raise AssertionError
        assert [event.error for event in events] == [caught.value]
        assert caught.value.status_code == 403
        assert (b"x-why", b"me") in caught.value.headers
        assert caught.value.body == expected
        assert str(caught.value) == (
            f"the server at 127.0.0.1:{port} answered 403 to the request for /"
        )
        await client.aclose()
        with anyio.fail_after(5):
            await ended.wait()


@pytest.mark.virtual_time
async def test_a_rejection_whose_body_never_ends(package: Any) -> None:
    async def endless() -> AsyncGenerator[bytes]:
        yield b"wait"
        await anyio.sleep_forever()

    transport = package.MockTransport(
        lambda _: package.Response(403, content=endless())
    )
    async with client_of(package, transport=transport) as client:
        with pytest.raises(ConnectionRejected) as caught:
            async with open_websocket(client, "ws://x/", connect_timeout=0.02):
                raise AssertionError
    assert caught.value.body == b"wait"


async def test_failures(package: Any, port: int, client_tls: ssl.SSLContext) -> None:
    url = f"ws://127.0.0.1:{port}/?secret=1"

    async def failure(url: str = url, **options: Any) -> HandshakeError:
        client = client_of(package, **options.pop("client", {}))
        async with client:
            with pytest.raises(HandshakeError) as caught:
                async with open_websocket(client, url, **options):
                    raise AssertionError
        assert "secret" not in str(caught.value)
        return caught.value

    refused = await failure()
    assert f"could not connect to the server at 127.0.0.1:{port}: " in str(refused)
    assert isinstance(refused.__cause__, package.ConnectError)
    assert is_transient(refused)
    proxy = {"proxy": f"http://127.0.0.1:{port}"}
    assert isinstance(await failure(client=proxy), HandshakeError)

    def refuse(_: Any) -> Any:
        raise package.ProxyError("no answer")

    error = await failure(client={"transport": package.MockTransport(refuse)})
    assert isinstance(error, ProxyError)
    assert str(error).endswith(f"127.0.0.1:{port}: no answer")
    transport = package.MockTransport(lambda _: package.Response(101))
    error = await failure(client={"transport": transport})
    assert "gives no access to its stream" in str(error)
    assert not is_transient(error)
    async with raw_server(silent) as port:
        url = f"ws://127.0.0.1:{port}/"
        error = await failure(url, connect_timeout=0.05)
        assert isinstance(error, ConnectionTimeout)
        assert "0.05 seconds" in str(error)
        error = await failure(url, client={"headers": {"X": "secret\n"}})
        assert "LocalProtocolError" in str(error)
        assert not is_transient(error)
    async with raw_server(answering(b"HTTP/1.1 407 secret\r\n\r\n")) as port:
        proxy = {"proxy": f"http://127.0.0.1:{port}"}
        error = await failure("wss://localhost/", client=proxy)
        assert isinstance(error, ProxyError)
        assert error.status_code == 407
        assert not is_transient(error)
    async with raw_server(answering(b"HTTP/1.1 101 Other\r\n\r\n")) as port:
        error = await failure(f"ws://127.0.0.1:{port}/")
        assert "Upgrade header is not websocket" in str(error)
        assert is_transient(error)


@asynccontextmanager
async def tls_server(
    context: ssl.SSLContext, handler: Callable[[ByteStream], Awaitable[None]]
) -> AsyncGenerator[int]:
    tcp = await anyio.create_tcp_listener(local_host="127.0.0.1")
    listener = TLSListener(tcp, context, standard_compatible=False)
    async with listener, anyio.create_task_group() as tasks:
        tasks.start_soon(listener.serve, handler)
        yield tcp.extra(SocketAttribute.local_port)
        tasks.cancel_scope.cancel()


async def test_tls_and_http2(package: Any, authority: Any, client_tls: Any) -> None:
    import h2.config
    import h2.connection
    import h2.events

    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("localhost").configure_cert(context)
    context.set_alpn_protocols(["h2", "http/1.1"])
    replies = [False, True]

    async def serve_http2(stream: ByteStream) -> None:
        ssl_object = stream.extra(TLSAttribute.ssl_object)
        assert ssl_object.selected_alpn_protocol() == "h2"
        connection = h2.connection.H2Connection(
            h2.config.H2Configuration(client_side=False, validate_inbound_headers=False)
        )
        connection.initiate_connection()
        while True:
            await stream.send(connection.data_to_send())
            try:
                data = await stream.receive()
            except (anyio.EndOfStream, anyio.BrokenResourceError):
                await stream.aclose()
                return
            for event in connection.receive_data(data):
                if isinstance(event, h2.events.RequestReceived):
                    assert event.stream_id is not None
                    if replies.pop():
                        headers = [(":status", "200")]
                        connection.send_headers(event.stream_id, headers, True)
                    else:
                        connection.reset_stream(event.stream_id, 1)

    async with tls_server(context, serve_http2) as port:
        url = f"wss://localhost:{port}/"
        for _ in range(2):
            async with client_of(package, http2=True, verify=client_tls) as client:
                with pytest.raises(HandshakeError, match="HTTP/2 cannot") as caught:
                    async with open_websocket(client, url):
                        raise AssertionError
            assert not is_transient(caught.value)
        async with client_of(package, verify=True) as client:
            with pytest.raises(HandshakeError, match="CERTIFICATE_VERIFY") as caught:
                async with open_websocket(client, url):
                    raise AssertionError
            assert not is_transient(caught.value)


async def test_over_tls(package: Any, server_tls: Any, client_tls: Any) -> None:
    async with serving(tls=server_tls) as port:
        async with client_of(package, verify=client_tls) as client:
            url = f"wss://localhost:{port}/"
            async with open_websocket(client, url) as connection:
                await connection.send_message("hello")
                assert await connection.get_message() == "hello"
                assert isinstance(connection.remote, Endpoint)
                assert connection.remote.is_ssl


@pytest.mark.parametrize("is_open", [True, False])
async def test_cancelled_it_leaves_nothing(package: Any, is_open: bool) -> None:
    reached, ended = anyio.Event(), anyio.Event()

    async def wait(stream: ByteStream) -> None:
        peer = ScriptedPeer(stream, is_client=False)
        head = await peer.receive_head()
        if is_open:
            await stream.send(handshake_response(head))
        else:
            reached.set()
        await peer.receive_all()
        ended.set()

    async def hold(url: str) -> None:
        async with open_websocket(client, url):
            reached.set()
            await anyio.sleep_forever()

    with anyio.fail_after(10):
        async with raw_server(wait) as port, client_of(package) as client:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(hold, f"ws://127.0.0.1:{port}/")
                await reached.wait()
                tasks.cancel_scope.cancel()
            await ended.wait()


async def test_no_client_can_end_one_direction_alone() -> None:
    with pytest.raises(NotImplementedError):
        await _ClientStream(None).send_eof()


async def test_mistakes(package: Any) -> None:
    with package.Client() as client:
        with pytest.raises(TypeError, match=f"an {package.__name__}.AsyncClient$"):
            open_websocket(client, "ws://example.org/")
    with pytest.raises(TypeError, match="AsyncClient of httpx or httpx2, not str"):
        open_websocket("ws://example.org/", "x")  # type: ignore[arg-type]
    async with client_of(package, cookies={"a": "b"}) as client:
        with pytest.raises(ValueError, match=r"is relative, and .* has no base_url"):
            open_websocket(client, "/chat")
        for url in ("ftp://example.org/secret", "feed", "ws://secret:\n@x"):
            with pytest.raises(ValueError, match="the URL") as caught:
                open_websocket(client, url)
            assert "secret" not in str(caught.value)
        request: Any = package.Request("GET", "http://example.org/")
        with pytest.raises(TypeError, match=r"not Request$"):
            open_websocket(request, "ws://example.org/")
        with pytest.raises(TypeError, match="unexpected keyword"):
            open_websocket(client, "ws://example.org/", prxy=1)  # type: ignore[call-arg]
