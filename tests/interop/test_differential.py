"""The same bytes to us and to the library websockets, without a network in between.

Either of the two may be wrong, so every difference was looked at:

Frames
    * A length that is not in its shortest form: 1002 here, as RFC 6455 section 5.2 has
      it; taken there.
    * A frame that breaks a rule and is over the limit, such as one whose length has its
      highest bit set: one side says 1002, the other 1009.
    * A frame that may not be where it is, or as it is: refused here by its header,
      there once it is complete.
    * A Close inside of a message: closes here, for section 5.4 lets control frames
      stand there; 1002 there.
    * A control frame inside of a message: it has a limit of its own here; there both
      together must not exceed the limit of a message, else 1009.
    * A Close with a wrong code and a reason that is not UTF-8: 1002 here, 1007 there.
    * Text that is not UTF-8: found here as it comes; there it is left to the layers
      above, for which this file decodes it.
    * Close code 1014 is no difference: it is registered, and both take it.

Requests
    * ``Host`` is not looked at there. Here it is needed, once, and has to be a host:
      the check of Origins compares with it.
    * ``Origin`` in bytes that are not ASCII: refused here, an opaque text there.
    * A target that is not a path, like ``*``, NUL or none at all, is refused here; one
      in absolute form is reduced to its path.
    * ``Upgrade: h2c, websocket``: taken here, as section 4.2.1 asks for a list that
      contains it; there it has to stand alone.
    * ``Content-Length: 00`` is a body of no bytes here, and not understood there.
    * Elements of ``Connection`` that are no tokens: only the one that counts matters
      here; there all of them do.
    * ``Sec-WebSocket-Protocol`` without any element: none here, not understood there.
    * The statuses of refusals, whether there is an answer at all, and when. Ours are
      those that the contract says, as soon as nothing can make a request of it.
    * Our limits on the whole head are smaller.

Answers
    * 1xx before the answer: skipped here, taken for a refusal there.
    * A status line that ends behind the status: taken here, as h11 does; refused there.
    * ``Connection`` as in requests.
    * ``Sec-WebSocket-Extensions`` without any element: none here, one too many there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import pytest
from hypothesis import event, given
from hypothesis import strategies as st

from anyio_websocket._protocol import (
    Accepted,
    ClientHandshake,
    Close,
    HandshakeFailure,
    Origins,
    PerMessageDeflate,
    Ping,
    PlainRequest,
    Pong,
    Rejection,
    Request,
    ServerHandshake,
)
from anyio_websocket._protocol._codec import ProtocolViolation, Received
from anyio_websocket._protocol._frames import FrameCodec
from anyio_websocket.testing._handshakes import accept_of

from ..support.codecs import next_of
from ..support.frames import MASK, close_payload, frame
from ..support.grammar import (
    any_answers,
    any_requests,
    cutter,
    right_answers,
    right_requests,
)
from ..support.wires import frames

pytest.importorskip("websockets", minversion="17")  # whose differences these are
from websockets.client import ClientProtocol
from websockets.extensions.permessage_deflate import (
    PerMessageDeflate as TheirDeflate,
)
from websockets.frames import Frame as TheirFrame
from websockets.frames import Opcode
from websockets.http11 import Request as TheirRequest
from websockets.protocol import OPEN, Protocol, Side, State
from websockets.server import ServerProtocol
from websockets.typing import Subprotocol
from websockets.uri import parse_uri

Cutter = Callable[[bytes], list[bytes]]
LIMIT = 300  # bytes
MORE = bytes(LIMIT + 20)  # completes any frame that is within the limit

# -- frames ---------------------------------------------------------------------------

# What was received, and what is wrong with what follows: its code, and our reason.
Outcome = tuple[list[Received], int | None, str]


def ours(
    is_client: bool, wires: Iterable[bytes], deflate: PerMessageDeflate | None = None
) -> Outcome:
    codec = FrameCodec(
        is_client=is_client,
        max_message_size=LIMIT,
        max_fragments=1000,
        deflate=deflate,
    )
    results: list[Received] = []
    try:
        for wire in wires:
            codec.feed(wire)
            while (result := next_of(codec)) is not None:
                results.append(result)
                if isinstance(result, Close):
                    return results, None, ""  # nothing counts after it
    except ProtocolViolation as exc:
        return results, exc.code, exc.reason
    return results, None, ""


def protocol(is_client: bool) -> Protocol:
    side = Side.CLIENT if is_client else Side.SERVER
    return Protocol(side, state=OPEN, max_size=LIMIT)


def theirs(peer: Protocol, wires: Iterable[bytes]) -> Outcome:
    for wire in wires:
        peer.receive_data(wire)
    results: list[Received] = []
    parts: list[bytes] = []
    is_text = False
    for found in peer.events_received():
        assert isinstance(found, TheirFrame)
        data = bytes(found.data)
        if found.opcode is Opcode.PING:
            results.append(Ping(data))
        elif found.opcode is Opcode.PONG:
            results.append(Pong(data))
        elif found.opcode is Opcode.CLOSE:
            assert peer.close_rcvd is not None
            results.append(Close(int(peer.close_rcvd.code), peer.close_rcvd.reason))
        else:
            if found.opcode is not Opcode.CONT:
                is_text = found.opcode is Opcode.TEXT
            parts.append(data)
            if found.fin:
                try:
                    results.append(
                        b"".join(parts).decode() if is_text else b"".join(parts)
                    )
                except UnicodeDecodeError:
                    return results, 1007, ""
                parts.clear()
    if peer.parser_exc is None:
        return results, None, ""
    assert peer.close_sent is not None
    return results, int(peer.close_sent.code), ""


def compare_frames(one: Outcome, other: Outcome) -> str:
    """Demand the same, or a difference of those above; say which."""
    (results, code, reason), (their_results, their_code, _) = one, other
    if (results, code) == (their_results, their_code):
        return "the same"
    assert their_results[: len(results)] == results[: len(their_results)]
    more, missing = their_results[len(results) :], results[len(their_results) :]
    if their_code == 1009 and missing:
        assert isinstance(missing[0], Ping | Pong | Close)
        return "a control frame counts towards the limit of a message"
    if reason in (
        "a length is not in its shortest form",
        "a control frame is longer than 125 bytes",  # or says so, in the long form
    ):
        return reason
    if reason == "a text message is not UTF-8":
        # There the message may still be incomplete, with control frames in it.
        assert all(isinstance(result, Ping | Pong | Close) for result in more)
        return reason
    if results and isinstance(results[-1], Close):
        assert their_results == results[:-1]
        assert their_code == 1002
        return "a Close inside of a message"
    assert more == []
    if their_code == 1007:
        assert code == 1002
        assert reason.startswith("a Close has code")
        return "a Close with two mistakes"
    # Two mistakes, or one in the header of a frame that there is never complete.
    assert (code, their_code) in ((1002, None), (1002, 1009), (1009, 1002))
    return f"{reason}; there: {their_code}"


@pytest.mark.parametrize("is_client", [False, True])
@given(st.data())
def test_C1_to_C6_C9_any_frames(is_client: bool, data: st.DataObject) -> None:
    wire = b"".join(data.draw(st.lists(frames(is_client), max_size=8)))
    one = ours(is_client, [wire, MORE])
    other = theirs(protocol(is_client), [wire, MORE])
    event(compare_frames(one, other))
    pieces = cutter(data)
    assert ours(is_client, [*pieces(wire), MORE]) == one
    assert theirs(protocol(is_client), [*pieces(wire), MORE]) == other


@pytest.mark.parametrize("is_client", [False, True])
def test_C5_both_take_1014(is_client: bool) -> None:
    wire = frame(8, close_payload(1014), mask=None if is_client else MASK)
    assert ours(is_client, [wire]) == ([Close(1014, "")], None, "")
    assert theirs(protocol(is_client), [wire]) == ours(is_client, [wire])


messages = st.lists(
    st.one_of(
        st.text(max_size=90),
        st.binary(max_size=LIMIT),
        st.integers(0, LIMIT).map(lambda size: b"a" * size),
        st.builds(Ping, st.binary(max_size=125)),
    ),
    max_size=8,
)


@pytest.mark.parametrize("is_client", [False, True])
@given(st.booleans(), st.booleans(), st.integers(9, 15), messages, st.data())
def test_D4_D5_D8_what_the_other_compresses(
    is_client: bool,
    client_forgets: bool,
    server_forgets: bool,
    bits: int,
    messages: list[str | bytes | Ping],
    data: st.DataObject,
) -> None:
    # is_client is who receives; each sends once as us and once as them.
    agreed = PerMessageDeflate(server_forgets, client_forgets, bits, bits, threshold=0)

    def peer(is_client: bool) -> Protocol:
        result = protocol(is_client)
        mine, other = client_forgets, server_forgets
        if not is_client:
            mine, other = other, mine
        result.extensions = [TheirDeflate(other, mine, bits, bits)]
        return result

    us = FrameCodec(
        is_client=not is_client,
        max_message_size=LIMIT,
        max_fragments=1000,
        deflate=agreed,
    )
    them = peer(not is_client)
    our_wire = b""
    for message in messages:
        if isinstance(message, Ping):
            our_wire += us.frame_ping(message.payload)
            them.send_ping(message.payload)
        else:
            our_wire += us.frame_message(message)
            payload = message.encode() if isinstance(message, str) else message
            opcode = Opcode.TEXT if isinstance(message, str) else Opcode.BINARY
            place = data.draw(st.integers(0, len(payload)))
            send = them.send_text if opcode is Opcode.TEXT else them.send_binary
            send(payload[:place], fin=False)
            them.send_ping(b"inside")
            them.send_continuation(payload[place:], fin=True)
    pieces = cutter(data)
    their_wire = b"".join(them.data_to_send())
    assert theirs(peer(is_client), pieces(our_wire)) == (messages, None, "")
    got, code, _ = ours(is_client, pieces(their_wire), agreed)
    assert [result for result in got if result != Ping(b"inside")] == messages
    assert code is None


# -- handshakes -----------------------------------------------------------------------


def complete(lines: list[bytes]) -> bytes:
    return b"\r\n".join([*lines, b"", b""])


def server_heard(wires: Iterable[bytes]) -> Request | PlainRequest | Rejection | None:
    handshake = ServerHandshake(origins=Origins("*"))
    for wire in wires:
        if (outcome := handshake.receive_data(wire)) is not None:
            return outcome
    return None


def their_server_heard(wires: Iterable[bytes]) -> TheirRequest | str | None:
    """Return the request, or why it is none; ``None`` if it is not complete."""
    peer = ServerProtocol()
    for wire in wires:
        peer.receive_data(wire)
    for request in peer.events_received()[:1]:  # frames may follow
        assert isinstance(request, TheirRequest)
        response = peer.accept(request)
        if response.status_code == 101:
            return request
        assert 400 <= response.status_code <= 505
    return None if peer.handshake_exc is None else explained(peer.handshake_exc)


def explained(exc: BaseException) -> str:
    return str(exc if exc.__cause__ is None else exc.__cause__)


def fields_of(request: Request | TheirRequest) -> list[tuple[bytes, bytes]]:
    """The headers of a request that both show."""
    if isinstance(request, Request):
        return list(request.headers)
    fields = (
        (name.lower().encode(), value.encode("latin-1"))
        for name, value in request.headers.raw_items()
    )
    ours_alone = (b"host", b"sec-websocket-extensions", b"sec-websocket-protocol")
    return [field for field in fields if field[0] not in ours_alone]


# Why we refuse what is taken there.
REFUSED_HERE = {
    "there must be one Host header",
    "Host is not a host",
    "Host is not a valid international name",
    "a header of the handshake is not ASCII",
    "the target is not a path",
    "the head is longer than 16384 bytes",
}
# How what is refused there begins that we take.
REFUSED_THERE = (
    "invalid Upgrade header: ",
    "unsupported request body",
    "invalid Connection header: expected ",
    "invalid Sec-WebSocket-Protocol header: expected token",
)


@given(st.one_of(any_requests, right_requests.map(complete)), st.data())
def test_A3_to_A9_A15_any_request(wire: bytes, data: st.DataObject) -> None:
    one = server_heard([wire])
    other = their_server_heard([wire])
    if isinstance(one, Request) and isinstance(other, TheirRequest):
        assert fields_of(one) == fields_of(other)
        assert one.target == other.path or other.path.endswith(one.target.lstrip("/"))
        event("taken")
    elif isinstance(one, Request):
        assert isinstance(other, str)
        assert other.startswith(REFUSED_THERE)
        event(f"taken here; there: {other}")
    elif isinstance(other, TheirRequest):
        assert isinstance(one, Rejection)
        is_path = other.path and other.path.isprintable()
        assert one.reason in REFUSED_HERE or not is_path
        event(f"taken there; here: {one.reason}")
    else:
        event("taken by none")
    pieces = cutter(data)
    assert server_heard(pieces(wire)) == one
    assert type(their_server_heard(pieces(wire))) is type(other)


def client_heard(wire: bytes, pieces: Cutter) -> tuple[bool, object]:
    """Say whether it is taken, and the subprotocol then, else why it is not."""
    handshake = ClientHandshake(host="example.org", target="/", subprotocols=["chat"])
    key = handshake.request().split(b"Sec-WebSocket-Key: ")[1].split(b"\r\n")[0]
    try:
        for piece in pieces(wire.replace(b"ACCEPT", accept_of(key))):
            outcome = handshake.receive_data(piece)
            if isinstance(outcome, Accepted):
                return True, outcome.subprotocol
            if outcome is not None:
                return False, "rejected"
    except HandshakeFailure as exc:
        return False, str(exc)
    return False, "not complete"


def their_client_heard(wire: bytes, pieces: Cutter) -> tuple[bool, object]:
    peer = ClientProtocol(
        parse_uri("ws://example.org/"), subprotocols=[Subprotocol("chat")]
    )
    for piece in pieces(wire.replace(b"ACCEPT", accept_of(peer.key.encode()))):
        peer.receive_data(piece)
    if peer.state is not State.CONNECTING and peer.handshake_exc is None:
        return True, peer.subprotocol
    return False, explained(peer.handshake_exc or Exception("not complete"))


@given(st.one_of(any_answers, right_answers.map(complete)), st.data())
def test_B3_B6_any_answer(wire: bytes, data: st.DataObject) -> None:
    one = client_heard(wire, lambda wire: [wire])
    other = their_client_heard(wire, lambda wire: [wire])
    if one[0] or other[0]:
        if one != other:
            assert one[0]
            assert isinstance(other[1], str)
            assert other[1].startswith(
                (
                    "invalid HTTP status line",
                    "invalid Connection header: expected ",
                    "no extensions supported",
                )
            )
        event("taken" if one == other else f"taken here; there: {other[1]}")
    else:
        event("taken by none")
    pieces = cutter(data)
    assert client_heard(wire, pieces)[0] == one[0]
    assert their_client_heard(wire, pieces)[0] == other[0]
