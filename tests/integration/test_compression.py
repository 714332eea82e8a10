"""permessage-deflate and other extensions over whole connections, on both sides."""

from __future__ import annotations

import tracemalloc
import zlib
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial
from typing import Any

import anyio
import pytest
import wsproto.extensions
from wsproto.frame_protocol import Opcode, RsvBits

from anyio_websocket import (
    CloseReason,
    ConnectionClosed,
    HandshakeError,
    PerMessageDeflate,
    WebSocketConnection,
    WebSocketRequest,
    connect_websocket,
    connect_websocket_url,
    open_websocket,
    open_websocket_url,
    serve_websocket,
)
from anyio_websocket.testing import MemoryStream, ScriptedPeer

from ..support.frames import BINARY, CLOSE, CONTINUATION, PING, PONG, TEXT
from ..support.hostile_work import bomb
from ..support.peer import client_of_raw_server, linked, server_of_raw_client
from ..support.streams import hang

RSV1 = 4
AGREED = b"permessage-deflate; server_max_window_bits=12; client_max_window_bits=12"
HEADER = b"Sec-WebSocket-Extensions: " + AGREED

Opened = tuple[WebSocketConnection, ScriptedPeer, MemoryStream]
Opener = Callable[..., Awaitable[Opened]]


@pytest.fixture(params=[client_of_raw_server, server_of_raw_client], ids=["c", "s"])
def opener(request: pytest.FixtureRequest) -> Opener:
    """Either side with compression, against a peer by hand."""
    return partial(request.param, compression=True, lines=[HEADER])


def deflated(data: bytes) -> bytes:
    stream = zlib.compressobj(wbits=-12)
    return (stream.compress(data) + stream.flush(zlib.Z_SYNC_FLUSH))[:-4]


# -- what is agreed on ---------------------------------------------------------


@pytest.mark.virtual_time
@pytest.mark.parametrize(
    ("client", "server", "agreed"),
    [
        (None, None, None),
        (True, None, None),
        (None, True, None),
        (False, True, None),
        (True, True, PerMessageDeflate()),
        (
            PerMessageDeflate(client_max_window_bits=9, level=1),
            PerMessageDeflate(server_no_context_takeover=True),
            PerMessageDeflate(
                server_no_context_takeover=True, client_max_window_bits=9
            ),
        ),
    ],
)
async def test_what_is_agreed_on(
    client: PerMessageDeflate | bool | None,
    server: PerMessageDeflate | bool | None,
    agreed: PerMessageDeflate | None,
) -> None:
    async with linked(
        client={"compression": client}, server={"compression": server}
    ) as (one, other):
        assert other.compression == agreed
        assert (one.compression is None) == (agreed is None)
        for message in ("text " * 100, "wörld", "", b"", b"\0" * 100_000):
            for _ in range(2):
                await one.send_message(message)
                assert await other.get_message() == message
                await other.send_message(message)
                assert await one.get_message() == message


async def test_every_function_that_opens() -> None:
    seen: list[PerMessageDeflate | None] = []

    async def handler(request: WebSocketRequest) -> None:
        ws = await request.accept()
        seen.append(ws.compression)
        async for message in ws:
            await ws.send_message(message)

    async def check(ws: WebSocketConnection) -> None:
        assert ws.compression == PerMessageDeflate()
        await ws.send_message("hello hello hello")
        assert await ws.get_message() == "hello hello hello"

    async with anyio.create_task_group() as tasks:
        server = await tasks.start(
            partial(serve_websocket, compression=PerMessageDeflate()),
            *(handler, "127.0.0.1", 0, None),
        )
        address: Any = ("127.0.0.1", server.port, "/")
        url = f"ws://127.0.0.1:{server.port}/"
        how: Any = {"compression": True}
        async with open_websocket(*address, use_ssl=False, **how) as ws:
            await check(ws)
        async with open_websocket_url(url, **how) as ws:
            await check(ws)
        async with await connect_websocket(tasks, *address, use_ssl=False, **how) as ws:
            await check(ws)
        async with await connect_websocket_url(tasks, url, **how) as ws:
            await check(ws)
        tasks.cancel_scope.cancel()
    assert seen == [PerMessageDeflate()] * 4


@pytest.mark.virtual_time
async def test_B6_a_response_that_was_not_offered() -> None:
    async with anyio.create_task_group() as tasks:
        for answer, text in (
            (b"permessage-deflate", "server_max_window_bits is missing"),
            (b"permessage-deflate; server_max_window_bits=7", "not a number from 8"),
            (b"permessage-bzip2", "was not offered"),
        ):
            line = b"Sec-WebSocket-Extensions: " + answer
            with pytest.raises(HandshakeError, match=text):
                await client_of_raw_server(tasks, lines=[line], compression=True)


@pytest.mark.virtual_time
async def test_A10_an_invalid_offer_is_declined() -> None:
    async with anyio.create_task_group() as tasks:
        line = b"Sec-WebSocket-Extensions: permessage-deflate; server_max_window_bits=x"
        connection, peer, _ = await server_of_raw_client(
            tasks, lines=[line], compression=True
        )
        assert connection.compression is None
        await connection.send_message("x" * 100)
        assert (await peer.receive_frame()).payload == b"x" * 100
        tasks.cancel_scope.cancel()


@pytest.mark.virtual_time
async def test_H3_settings() -> None:
    async with anyio.create_task_group() as tasks:
        for opener in (client_of_raw_server, server_of_raw_client):
            wrong: Any = "deflate"
            with pytest.raises(TypeError, match="compression must be"):
                await opener(tasks, compression=wrong)
        tasks.cancel_scope.cancel()


# -- messages ------------------------------------------------------------------


@pytest.mark.virtual_time
async def test_what_is_on_the_wire(opener: Opener) -> None:
    async with anyio.create_task_group() as tasks:
        connection, peer, _ = await opener(tasks)
        inflate = zlib.decompressobj(-12)
        for _ in range(3):
            await connection.send_message("message message message")
            sent = await peer.receive_frame()
            assert (sent.opcode, sent.rsv) == (TEXT, RSV1)
            plain = inflate.decompress(sent.payload + b"\0\0\xff\xff")
            assert plain == b"message message message"
        tasks.cancel_scope.cancel()


@pytest.mark.virtual_time
async def test_D10_one_message_is_sent_uncompressed(opener: Opener) -> None:
    async with anyio.create_task_group() as tasks:
        connection, peer, _ = await opener(tasks)
        await connection.send_message("secret", compress=False)
        sent = await peer.receive_frame()
        assert (sent.rsv, sent.payload) == (0, b"secret")
        await connection.send_message("x", compress=True)
        assert (await peer.receive_frame()).rsv == RSV1
        tasks.cancel_scope.cancel()


@pytest.mark.virtual_time
async def test_D5_control_frames_inside_of_a_message(opener: Opener) -> None:
    async with anyio.create_task_group() as tasks:
        connection, peer, _ = await opener(tasks)
        blob = deflated(b"hello hello hello")
        await peer.send_frame(TEXT, blob[:4], fin=False, rsv=RSV1)
        await peer.send_frame(PING, b"1")
        await peer.send_frame(CONTINUATION, blob[4:])
        assert await connection.get_message() == "hello hello hello"
        assert (await peer.receive_frame()).opcode == PONG
        tasks.cancel_scope.cancel()


@pytest.mark.virtual_time
@pytest.mark.parametrize(
    ("rsv", "payload", "code"),
    [
        (RSV1, b"\xff\xff", 1007),  # D6
        (RSV1, deflated(b"hello")[:-2], 1007),
        (2, b"hello", 1002),  # D4
    ],
)
async def test_D4_D6_bad_compressed_frames_are_rejected(
    opener: Opener, rsv: int, payload: bytes, code: int
) -> None:
    async with anyio.create_task_group() as tasks:
        connection, peer, _ = await opener(tasks)
        await peer.send_frame(BINARY, payload, rsv=rsv)
        with pytest.raises(ConnectionClosed) as caught:
            await connection.get_message()
        assert caught.value.reason is not None
        assert caught.value.reason.code == code
        frame = await peer.receive_frame()
        assert (frame.opcode, frame.payload[:2]) == (CLOSE, code.to_bytes(2, "big"))
        tasks.cancel_scope.cancel()


@pytest.mark.measured
@pytest.mark.virtual_time
@pytest.mark.parametrize("limit", [2**20, 1000])
async def test_D1_a_bomb(opener: Opener, limit: int) -> None:
    async with anyio.create_task_group() as tasks:
        connection, peer, _ = await opener(
            tasks, capacity=2**20, max_message_size=limit
        )
        wire = peer.frame(BINARY, bomb(256), rsv=RSV1)

        async def send() -> None:
            with suppress(anyio.BrokenResourceError):  # it is not read to its end
                await peer.stream.send(wire)

        tracemalloc.start()
        try:
            tasks.start_soon(send)
            with pytest.raises(ConnectionClosed) as caught:
                await connection.get_message()
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
        assert caught.value.reason == CloseReason(
            1009, f"Exceeded maximum message size: {limit} bytes"
        )
        # The pipe between the two has a copy of the bomb, and is not ours.
        assert peak - len(wire) <= 3 * limit + 65536 + 65536
        tasks.cancel_scope.cancel()


@pytest.mark.virtual_time
async def test_D7_a_sender_that_gives_up_leaves_the_stream_whole() -> None:
    how = {"compression": True}
    # Without a queue the server reads one message ahead, and then no more.
    async with linked(
        capacity=2000, client=how, server={**how, "message_queue_size": 0}
    ) as (client, server):
        await client.send_message("the beginning")
        assert await server.get_message() == "the beginning"
        async with anyio.create_task_group() as tasks:
            big = bytes(range(256)) * 100 + zlib.compress(bytes(range(256)) * 999)
            incompressible = b"".join(
                zlib.crc32(bytes([i % 256, i // 256])).to_bytes(4, "big")
                for i in range(5000)
            )
            await client.send_message("read ahead")
            await anyio.sleep(1)
            tasks.start_soon(client.send_message, incompressible)
            await anyio.wait_all_tasks_blocked()
            for _ in range(5):  # these wait for their turn, and give up
                with anyio.move_on_after(0.01) as scope:
                    await client.send_message(big)
                assert scope.cancelled_caught
            assert await server.get_message() == "read ahead"
            assert await server.get_message() == incompressible
        for message in ("the beginning", big, "the end"):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(client.send_message, message)
                assert await server.get_message() == message


@pytest.mark.virtual_time
async def test_D7_a_sender_that_is_cancelled_while_writing(opener: Opener) -> None:
    async with anyio.create_task_group() as tasks:
        connection, _, stream = await opener(tasks)
        stream.before_send = hang
        with anyio.move_on_after(1):
            await connection.send_message("message")
        assert connection.closed is not None
        assert connection.closed.code == 1006
        with pytest.raises(ConnectionClosed):
            await connection.send_message("another")
        tasks.cancel_scope.cancel()


# -- extensions of users -------------------------------------------------------


class Upside(wsproto.extensions.Extension):
    """Turns payloads upside down, marked with the second reserved bit."""

    name = "x-upside"

    def __init__(self, *, willing: bool = True) -> None:
        self._willing = willing
        self._payload = bytearray()
        self._marked = False
        self.sent = 0  # frames

    def enabled(self) -> bool:
        return True

    def offer(self) -> bool | str:
        return self._willing

    def accept(self, offer: str) -> bool | str | None:
        return self._willing

    def finalize(self, offer: str) -> None: ...

    def frame_inbound_header(
        self, proto: Any, opcode: Opcode, rsv: RsvBits, payload_length: int
    ) -> RsvBits:
        self._marked = rsv.rsv2
        return RsvBits(False, rsv.rsv2, False)

    def frame_inbound_payload_data(self, proto: Any, data: bytes) -> bytes:
        if not self._marked:
            return data
        self._payload += data
        return b""

    def frame_inbound_complete(self, proto: Any, fin: bool) -> bytes | None:
        payload = bytes(reversed(self._payload))
        self._payload.clear()
        return payload if self._marked else None

    def frame_outbound(
        self, proto: Any, opcode: Opcode, rsv: RsvBits, data: bytes, fin: bool
    ) -> tuple[RsvBits, bytes]:
        if opcode.iscontrol():
            return rsv, data
        self.sent += 1
        return RsvBits(rsv.rsv1, True, rsv.rsv3), bytes(reversed(data))


@pytest.mark.virtual_time
async def test_a_custom_extension() -> None:
    ours, theirs = Upside(), Upside()
    async with linked(
        client={"extensions": [ours]}, accept={"extensions": [theirs]}
    ) as (one, other):
        assert one.compression is None
        assert other.compression is None
        for message in ("text", b"binary", "", b"x" * 100_000):
            await one.send_message(message, compress=True)
            assert await other.get_message() == message
            await other.send_message(message)
            assert await one.get_message() == message
        await one.ping()
        await one.aclose(4000, "done")
        with pytest.raises(ConnectionClosed):
            await other.get_message()
        assert other.closed == CloseReason(4000, "done")
    assert (ours.sent, theirs.sent) == (4, 4)


@pytest.mark.virtual_time
async def test_a_custom_extension_on_the_wire() -> None:
    async with anyio.create_task_group() as tasks:
        connection, peer, _ = await client_of_raw_server(
            tasks,
            lines=[b"Sec-WebSocket-Extensions: x-upside"],
            extensions=[Upside()],
            max_message_size=1000,
        )
        await connection.send_message("abc")
        sent = await peer.receive_frame()
        assert (sent.rsv, sent.payload) == (2, b"cba")
        await peer.send_frame(TEXT, b"zyx", rsv=2)
        assert await connection.get_message() == "xyz"
        await peer.send_frame(BINARY, bytes(1001), rsv=2)
        with pytest.raises(ConnectionClosed):
            await connection.get_message()
        assert connection.closed is not None
        assert connection.closed.code == 1009
        tasks.cancel_scope.cancel()


@pytest.mark.virtual_time
@pytest.mark.parametrize(
    ("client", "accept"),
    [
        ([Upside()], {}),
        ([], {"extensions": [Upside()]}),
        ([Upside()], {"extensions": [Upside(willing=False)]}),
        ([Upside(willing=False)], {"extensions": [Upside()]}),
        ([Upside()], {"extensions": []}),
    ],
)
async def test_an_extension_that_is_not_agreed_on_is_not_used(
    client: list[Upside], accept: dict[str, list[Upside]]
) -> None:
    async with linked(client={"extensions": client}, accept=accept) as (one, other):
        await one.send_message("text")
        assert await other.get_message() == "text"
        await other.send_message("answer")
        assert await one.get_message() == "answer"
    assert [upside.sent for upside in (*client, *accept.get("extensions", []))] in (
        [0],
        [0, 0],
    )


@pytest.mark.virtual_time
async def test_D12_wsprotos_own_deflate_is_refused() -> None:
    theirs = wsproto.extensions.PerMessageDeflate
    async with anyio.create_task_group() as tasks:
        with pytest.raises(ValueError, match="use compression= instead"):
            await client_of_raw_server(tasks, extensions=[theirs()])
        tasks.cancel_scope.cancel()


@pytest.mark.virtual_time
async def test_both_exclude_each_other() -> None:
    async with anyio.create_task_group() as tasks:
        with pytest.raises(ValueError, match="exclude each other"):
            await client_of_raw_server(tasks, compression=True, extensions=[Upside()])
        tasks.cancel_scope.cancel()
