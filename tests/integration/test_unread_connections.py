"""Connections that no task of the application reads: row E18, and its relatives."""

from __future__ import annotations

import asyncio
import socket
import ssl
import struct
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

import anyio
import anyio.lowlevel
import pytest
from anyio.abc import SocketAttribute, TaskGroup
from anyio.streams.tls import TLSStream

from anyio_websocket import CloseReason, ConnectionClosed, WebSocketConnection
from anyio_websocket._connection._fairness import LIMIT, FairnessBudget
from anyio_websocket._connection._reader import Reader
from anyio_websocket._transport import (
    SocketTransport,
    TlsTransport,
    _tls,
    transport_of,
)
from anyio_websocket._transport._sockets import configure_socket
from anyio_websocket._transport._tls_records import MAX_RECORDS
from anyio_websocket.testing import Frame, ScriptedPeer, memory_stream_pair

from ..support.backends import under_asyncio
from ..support.frames import CLOSE, CONTINUATION, PING, PONG, TEXT, close_payload, frame
from ..support.peer import over_transport
from ..support.tls_ends import pair

Ends = tuple[WebSocketConnection, ScriptedPeer]
Maker = Callable[..., Awaitable[Ends]]

MASK = b"\1\2\3\4"


@pytest.fixture(params=["socket", "tls", "stream"])
def connect(
    request: pytest.FixtureRequest,
    server_tls: ssl.SSLContext,
    client_tls: ssl.SSLContext,
) -> Maker:
    """Make a connection over each kind of transport, and its peer."""
    over: str = request.param
    is_client = over == "tls"  # so that there are both roles

    async def make(tasks: TaskGroup, **options: Any) -> Ends:
        if over == "stream":
            ours, theirs = memory_stream_pair()
            connection = over_transport(
                transport_of(ours), tasks, is_client=is_client, **options
            )
            return connection, ScriptedPeer(theirs, is_client=not is_client)
        sock, stream = await tcp_pair()
        tasks.start_soon(closed_in_the_end, stream)
        transport = SocketTransport(sock)
        if over == "socket":
            connection = over_transport(
                transport, tasks, is_client=is_client, **options
            )
            return connection, ScriptedPeer(stream, is_client=not is_client)
        secure = TlsTransport(
            transport,
            client_tls if is_client else server_tls,
            "127.0.0.1" if is_client else None,
        )
        async with anyio.create_task_group() as shaking:
            shaking.start_soon(secure.handshake)
            wrapped = await TLSStream.wrap(
                stream,
                server_side=is_client,
                hostname=None if is_client else "127.0.0.1",
                ssl_context=server_tls if is_client else client_tls,
                standard_compatible=False,
            )
        connection = over_transport(secure, tasks, is_client=is_client, **options)
        return connection, ScriptedPeer(wrapped, is_client=not is_client)

    return make


async def closed_in_the_end(stream: anyio.abc.SocketStream) -> None:
    try:
        await anyio.sleep_forever()
    finally:
        await anyio.aclose_forcefully(stream)


async def tcp_pair() -> tuple[socket.socket, anyio.abc.SocketStream]:
    """A socket, and a stream as its peer."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        stream = await anyio.connect_tcp("127.0.0.1", listener.getsockname()[1])
        sock, _ = listener.accept()
    configure_socket(sock)
    return sock, stream


@asynccontextmanager
async def plain(**options: Any) -> AsyncGenerator[Ends]:
    """A server's connection over a socket."""
    async with anyio.create_task_group() as tasks:
        sock, stream = await tcp_pair()
        async with stream:
            connection = over_transport(
                SocketTransport(sock), tasks, is_client=False, **options
            )
            yield connection, ScriptedPeer(stream, is_client=True)
            tasks.cancel_scope.cancel()


# -- Pings ------------------------------------------------------------------------


async def test_E18_pings_are_answered_from_the_first_moment_on(connect: Maker) -> None:
    async with anyio.create_task_group() as tasks:
        _, peer = await connect(tasks)
        with anyio.fail_after(5):
            for i in range(5):
                await peer.send_frame(PING, b"%d" % i)
                assert await peer.receive_frame() == Frame(PONG, b"%d" % i)
        tasks.cancel_scope.cancel()


@pytest.mark.parametrize("between", ["computes", "sends", "receives"])
async def test_E18_a_ping_while_the_application_does_something_else(
    connect: Maker, between: str
) -> None:
    async with anyio.create_task_group() as tasks:
        connection, peer = await connect(tasks)

        async def application() -> None:
            while True:
                if between == "sends":
                    await connection.send_message("tick")
                elif between == "receives":
                    with anyio.move_on_after(0.001):
                        await connection.get_message()
                await anyio.sleep(0.001)

        tasks.start_soon(application)
        with anyio.fail_after(10):
            for i in range(20):
                await peer.send_frame(PING, b"%d" % i)
                while (got := await peer.receive_frame()).opcode != PONG:
                    assert got.payload == b"tick"
                assert got.payload == b"%d" % i
        tasks.cancel_scope.cancel()


@pytest.mark.parametrize("count", [1, 5, 300])
async def test_E18_a_ping_right_behind_messages(connect: Maker, count: int) -> None:
    # One message is taken, and the rest came in the same read.
    async with anyio.create_task_group() as tasks:
        connection, peer = await connect(tasks)
        await peer.send_frame(PING)
        assert await peer.receive_frame() == Frame(PONG, b"")
        frames = b"".join(peer.frame(TEXT, b"%d" % i) for i in range(count))
        tasks.start_soon(peer.stream.send, frames + peer.frame(PING, b"behind"))
        assert await connection.get_message() == "0"
        with anyio.fail_after(5):
            assert await peer.receive_frame() == Frame(PONG, b"behind")
            for i in range(1, count):
                assert await connection.get_message() == str(i)
        tasks.cancel_scope.cancel()


async def test_E18_a_ping_behind_more_than_one_read(connect: Maker) -> None:
    # More than is read at once, decoded at once, and left in the memory of TLS.
    async with anyio.create_task_group() as tasks:
        connection, peer = await connect(tasks, receive_buffer_size=4000)
        frames = b"".join(peer.frame(TEXT, b"x" * 1000) for _ in range(400))
        tasks.start_soon(peer.stream.send, frames + peer.frame(PING, b"behind"))
        assert await connection.get_message() == "x" * 1000
        with anyio.fail_after(10):
            assert await peer.receive_frame() == Frame(PONG, b"behind")
        for _ in range(399):
            assert await connection.get_message() == "x" * 1000
        tasks.cancel_scope.cancel()


async def test_E18_a_ping_that_came_with_the_handshake(connect: Maker) -> None:
    async with anyio.create_task_group() as tasks:
        connection, peer = await connect(tasks)
        ping = peer.frame(PING, b"early")
        sock, stream = await tcp_pair()
        late = ScriptedPeer(stream, is_client=peer.is_client)
        over_transport(
            SocketTransport(sock),
            tasks,
            is_client=connection._core.is_client,
            trailing=ping,
        )
        async with stream:
            with anyio.fail_after(5):
                assert await late.receive_frame() == Frame(PONG, b"early")
            tasks.cancel_scope.cancel()


async def test_E18_each_of_many_connections_is_read(connect: Maker) -> None:
    async with anyio.create_task_group() as tasks:
        ends = [await connect(tasks) for _ in range(30)]
        with anyio.fail_after(10):
            for _ in range(2):
                for _, peer in ends:
                    await peer.send_frame(PING, b"p")
                for _, peer in ends:
                    assert await peer.receive_frame() == Frame(PONG, b"p")
        tasks.cancel_scope.cancel()


# -- messages, and a Close --------------------------------------------------------


async def test_E18_messages_keep_their_order(connect: Maker) -> None:
    # Some are taken by a task that waits, some come meanwhile; many waits are
    # cancelled, some of them in the same moment as their message comes.
    async with anyio.create_task_group() as tasks:
        connection, peer = await connect(tasks)

        async def send() -> None:
            for i in range(300):
                await peer.send_frame(TEXT, b"%d" % i)
                if i % 3 == 0:
                    await anyio.sleep(0.001)

        received: list[str | bytes] = []
        tasks.start_soon(send)
        with anyio.fail_after(30):
            while len(received) < 300:
                with anyio.move_on_after(0.0005 * (len(received) % 4 + 1)):
                    received.append(await connection.get_message())
                await anyio.sleep(0.0003 * (len(received) % 5))
        assert received == [str(i) for i in range(300)]
        tasks.cancel_scope.cancel()


async def test_E18_a_close_is_answered(connect: Maker) -> None:
    async with anyio.create_task_group() as tasks:
        connection, peer = await connect(tasks)
        with anyio.fail_after(5):
            await peer.send_frame(TEXT, b"last")
            await peer.send_close(4000, "enough")
            assert await peer.receive_frame() == Frame(
                CLOSE, close_payload(4000, "enough")
            )
            await peer.stream.aclose()
            await connection.wait_closed()
        assert connection.closed == CloseReason(4000, "enough")
        assert await connection.get_message() == "last"
        tasks.cancel_scope.cancel()


async def test_E18_the_end_of_the_stream_is_seen(connect: Maker) -> None:
    async with anyio.create_task_group() as tasks:
        connection, peer = await connect(tasks)
        await peer.stream.aclose()
        with anyio.fail_after(5):
            await connection.wait_closed()
        assert connection.closed is not None
        assert connection.closed.code == 1006
        tasks.cancel_scope.cancel()


async def test_E18_a_close_that_a_task_has_read_is_answered(connect: Maker) -> None:
    # That task does not close.
    async with anyio.create_task_group() as tasks:
        connection, peer = await connect(tasks)

        async def read() -> None:
            with suppress(ConnectionClosed):
                await connection.get_message()
            await anyio.sleep_forever()

        tasks.start_soon(read)
        await anyio.wait_all_tasks_blocked()
        with anyio.fail_after(5):
            await peer.send_close(1000)
            assert await peer.receive_frame() == Frame(CLOSE, close_payload(1000))
            await peer.stream.aclose()
            await connection.wait_closed()
        tasks.cancel_scope.cancel()


# -- a full inbox -----------------------------------------------------------------


async def test_E18_a_full_inbox_stops_the_reading(connect: Maker) -> None:
    async with anyio.create_task_group() as tasks:
        connection, peer = await connect(tasks, message_queue_size=2)
        with anyio.fail_after(10):
            for _ in range(3):  # again and again
                frames = b"".join(peer.frame(TEXT, b"%d" % i) for i in range(10))
                await peer.stream.send(frames + peer.frame(PING, b"behind"))
                for i in range(7):
                    assert await connection.get_message() == str(i)
                    with anyio.move_on_after(0.02) as scope:
                        await peer.receive_frame()
                    assert scope.cancelled_caught
                assert await connection.get_message() == "7"
                assert await peer.receive_frame() == Frame(PONG, b"behind")
                assert await connection.get_message() == "8"
                assert await connection.get_message() == "9"
        tasks.cancel_scope.cancel()


async def test_E18_a_full_inbox_and_a_task_that_waits_for_a_pong() -> None:
    async with plain(message_queue_size=0) as (connection, peer):
        await peer.send_frame(TEXT, b"1")
        await peer.send_frame(TEXT, b"2")
        await anyio.sleep(0.05)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(connection.ping, b"p")
            assert await peer.receive_frame() == Frame(PING, b"p")
            await peer.send_frame(PONG, b"p")
            with anyio.fail_after(5):
                assert await connection.get_message() == "1"
                assert await connection.get_message() == "2"


@pytest.mark.measured
async def test_E18_a_connection_that_is_not_read_takes_no_cpu_time(
    connect: Maker,
) -> None:
    async with anyio.create_task_group() as tasks:
        ends = [await connect(tasks, message_queue_size=2) for _ in range(20)]
        for _, peer in ends:  # ten of them are full, and more waits in their sockets
            await peer.stream.send(peer.frame(TEXT, b"x") * 2)
        for _, peer in ends[::2]:
            await peer.stream.send(peer.frame(TEXT, b"x") * 20)
        await anyio.sleep(0.1)
        before = time.process_time()
        await anyio.sleep(0.5)
        assert time.process_time() - before < 0.05
        tasks.cancel_scope.cancel()


# -- in every moment --------------------------------------------------------------


async def test_E18_a_wait_that_is_cancelled_when_its_message_comes(
    connect: Maker,
) -> None:
    async with anyio.create_task_group() as tasks:
        connection, peer = await connect(tasks)
        for i in range(20):
            async with anyio.create_task_group() as waiting:
                received: list[str | bytes] = []

                async def wait(received: list[str | bytes] = received) -> None:
                    received.append(await connection.get_message())

                waiting.start_soon(wait)
                await anyio.wait_all_tasks_blocked()
                await peer.send_frame(TEXT, b"%d" % i)
                for _ in range(i % 4):
                    await anyio.lowlevel.checkpoint()
                waiting.cancel_scope.cancel()
            await peer.send_frame(PING, b"%d" % i)
            with anyio.fail_after(5):
                assert await peer.receive_frame() == Frame(PONG, b"%d" % i)
                assert received == [str(i)] or await connection.get_message() == str(i)
        tasks.cancel_scope.cancel()


async def test_E18_a_task_that_was_woken_and_has_not_run_is_not_overtaken() -> None:
    async with plain() as (connection, peer), anyio.create_task_group() as tasks:
        tasks.start_soon(connection.get_message)
        await anyio.wait_all_tasks_blocked()
        core = connection._core
        assert core.reader.reading
        assert not core.on_readable()  # as the event loop calls in this moment
        tasks.cancel_scope.cancel()
        with anyio.CancelScope(shield=True), anyio.fail_after(5):
            await peer.send_frame(PING)  # whoever comes next is told
            assert await peer.receive_frame() == Frame(PONG, b"")


async def test_E18_cancelled_between_the_bytes_and_their_messages(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # The budget is spent, so the task gives way before it decodes.
    async def give_way(*_: object) -> None:
        await anyio.sleep_forever()

    async with plain() as (connection, peer), anyio.create_task_group() as tasks:
        tasks.start_soon(connection.get_message)
        await anyio.wait_all_tasks_blocked()
        with monkeypatch.context() as patch:
            patch.setattr(FairnessBudget, "give_way", give_way)
            connection._core._fairness.events = LIMIT
            await peer.send_frame(PING, b"p")
            await anyio.wait_all_tasks_blocked()
        tasks.cancel_scope.cancel()
        with anyio.CancelScope(shield=True), anyio.fail_after(5):
            assert await peer.receive_frame() == Frame(PONG, b"p")


async def test_E18_a_codec_that_pauses() -> None:
    async with plain() as (connection, peer):
        fragments = peer.frame(CONTINUATION, b"x", fin=False) * 5000
        await peer.stream.send(
            peer.frame(TEXT, b"x", fin=False) + fragments + peer.frame(PING, b"p")
        )
        with anyio.fail_after(5):
            assert await peer.receive_frame() == Frame(PONG, b"p")
        await peer.send_frame(CONTINUATION, b"x")
        assert await connection.get_message() == "x" * 5002


async def test_E18_a_reset_while_a_task_gives_way() -> None:
    # libuv tells of it once, and in this moment nothing is read.
    async with plain() as (connection, peer):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(connection.get_message)
            await anyio.wait_all_tasks_blocked()
            await peer.send_frame(TEXT, b"first")
        core = connection._core
        core._fairness.gives_way = 1
        sock: socket.socket = peer.stream.extra(SocketAttribute.raw_socket)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        await peer.send_frame(TEXT, b"last")
        await peer.stream.aclose()
        await anyio.sleep(0.03)
        core._fairness.gives_way = 0
        with anyio.fail_after(5):
            assert await connection.get_message() == "last"
            with pytest.raises(ConnectionClosed):
                await connection.get_message()


async def test_E18_a_task_that_gives_way_is_not_overtaken() -> None:
    async with plain() as (connection, peer):
        core = connection._core
        core._fairness.gives_way = 1
        await peer.send_frame(PING, b"p")
        with anyio.move_on_after(0.05) as scope:
            await peer.receive_frame()
        assert scope.cancelled_caught
        core._fairness.gives_way = 0
        with anyio.fail_after(5):
            assert await peer.receive_frame() == Frame(PONG, b"p")


async def test_E18_closed_while_it_is_not_read(connect: Maker) -> None:
    # The next connections have the same descriptors.
    async with anyio.create_task_group() as tasks:
        for i in range(20):
            connection, peer = await connect(tasks)
            with anyio.fail_after(5):
                await peer.send_frame(PING, b"%d" % i)
                if i % 3:
                    assert await peer.receive_frame() == Frame(PONG, b"%d" % i)
            await connection._core.abort()
            with suppress(anyio.BrokenResourceError, OSError):
                await peer.stream.aclose()
        tasks.cancel_scope.cancel()


async def test_G10_what_decoding_raises_ends_one_connection(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    decode = Reader._fill_inbox

    def fail(reader: Reader) -> None:
        if reader is connection._core.reader:
            raise MemoryError
        decode(reader)

    async with plain() as (connection, peer), plain() as (_, other):
        monkeypatch.setattr(Reader, "_fill_inbox", fail)
        await peer.send_frame(PING)
        with anyio.fail_after(5):
            await connection.wait_closed()
            await other.send_frame(PING)
            assert await other.receive_frame() == Frame(PONG, b"")
        assert connection.closed is not None
        assert connection.closed.code == 1006


# -- what TLS has received, and the socket not any more ---------------------------


@pytest.mark.parametrize("is_cancelled", [False, True])
async def test_E18_records_that_wait_to_be_decrypted(
    client_tls: ssl.SSLContext,
    server_tls: ssl.SSLContext,
    is_cancelled: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with pair(client_tls, server_tls) as ends, anyio.create_task_group() as tasks:
        connection = over_transport(ends.server, tasks, is_client=False)
        async with anyio.create_task_group() as reading:

            async def read() -> None:
                for _ in range(MAX_RECORDS):
                    assert await connection.get_message() == "x"
                if is_cancelled:
                    await connection.get_message()

            reading.start_soon(read)
            await anyio.wait_all_tasks_blocked()
            for _ in range(MAX_RECORDS):
                ends.client._tls.write(frame(TEXT, b"x", mask=MASK))
            ends.client._tls.write(frame(PING, b"behind", mask=MASK))
            with monkeypatch.context() as patch:
                if is_cancelled:
                    patch.setattr(_tls, "checkpoint", anyio.sleep_forever)
                assert ends.client_socket.write(ends.client._outgoing.read())
                await anyio.wait_all_tasks_blocked()
            if is_cancelled:
                reading.cancel_scope.cancel()
        with anyio.fail_after(5):
            pong = await ends.client.receive(None)
        assert pong == frame(PONG, b"behind", mask=None)
        tasks.cancel_scope.cancel()


async def test_E18_records_that_came_with_the_handshake(
    client_tls: ssl.SSLContext, server_tls: ssl.SSLContext
) -> None:
    async with pair(client_tls, server_tls) as ends, anyio.create_task_group() as tasks:
        ends.client._tls.write(frame(PING, b"early", mask=MASK))
        ends.server._give(ends.client._outgoing.read())
        over_transport(ends.server, tasks, is_client=False)
        with anyio.fail_after(5):
            pong = await ends.client.receive(None)
        assert pong == frame(PONG, b"early", mask=None)
        tasks.cancel_scope.cancel()


# -- the keepalive ----------------------------------------------------------------


async def test_E4_a_peer_is_judged_while_no_task_reads(connect: Maker) -> None:
    async with anyio.create_task_group() as tasks:
        options = {"ping_interval": 0.2, "ping_timeout": 0.1}
        connection, peer = await connect(tasks, **options)
        living, other = await connect(tasks, **options)

        async def answer() -> None:
            with suppress(
                anyio.EndOfStream, anyio.BrokenResourceError, anyio.ClosedResourceError
            ):
                while (got := await other.receive_frame()).opcode == PING:
                    await other.send_frame(PONG, got.payload)

        tasks.start_soon(answer)
        with anyio.fail_after(5):
            await connection.wait_closed()
        assert connection.closed is not None
        assert "no sign of life" in str(connection.closed.reason)
        assert living.closed is None
        await peer.stream.aclose()
        tasks.cancel_scope.cancel()


# -- where a callback runs --------------------------------------------------------


@under_asyncio
async def test_E18_without_anyio_run() -> None:
    # A callback of asyncio runs in no task, and anyio cannot say which loop this is.
    async with plain(message_queue_size=0) as (connection, peer):
        await peer.stream.send(peer.frame(TEXT, b"1") + peer.frame(TEXT, b"2"))
        await asyncio.sleep(0.05)
        await peer.send_close(1000)
        assert await connection.get_message() == "1"
        assert await connection.get_message() == "2"
        assert await peer.receive_frame() == Frame(CLOSE, close_payload(1000))
        await peer.stream.aclose()
        await connection.wait_closed()


# -- how long it takes ------------------------------------------------------------


@pytest.mark.measured
@pytest.mark.parametrize("between", ["computes", "sends"])
async def test_E18_a_pong_leaves_within_20_ms(connect: Maker, between: str) -> None:
    rounds = 0  # in which the application ran

    async with anyio.create_task_group() as tasks:
        late = 0
        for _ in range(10):
            connection, peer = await connect(tasks)

            async def application(connection: WebSocketConnection = connection) -> None:
                nonlocal rounds
                while True:
                    rounds += 1
                    if between == "sends":
                        await connection.send_message("tick")
                    await anyio.sleep(0.001)

            async with anyio.create_task_group() as applications:
                applications.start_soon(application)
                for i in range(10):
                    await anyio.sleep(0.0013 * i)
                    begun, before = time.perf_counter(), rounds
                    await peer.send_frame(PING)
                    while (await peer.receive_frame()).opcode != PONG:
                        pass
                    delay = time.perf_counter() - begun
                    # A machine that has no time for us holds up the application, too.
                    late += delay >= 0.02 and rounds - before > 5
                applications.cancel_scope.cancel()
            await connection._core.abort()
            await anyio.aclose_forcefully(peer.stream)
        assert late <= 1  # of 100
        tasks.cancel_scope.cancel()
