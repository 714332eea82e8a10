"""Handshakes that a grammar makes, right ones and mutated ones, cut anywhere.

The rules are those of the fuzzing (``tests/fuzz/targets.py``): accepted, or refused as
documented, and the same however the bytes come. What the grammar adds is that what it
makes is nearly right, so that every rule is reached and not only the first.
"""

from __future__ import annotations

from hypothesis import event, given
from hypothesis import strategies as st

from anyio_websocket._protocol import (
    Accepted,
    ClientHandshake,
    Extensions,
    FrameCodec,
    Origins,
    PerMessageDeflate,
    Rejection,
    Request,
    ServerHandshake,
)

from ..support.grammar import (
    TOKENS,
    any_answers,
    any_requests,
    cutter,
    right_answers,
    right_requests,
)
from ..support.handshakes import answered, hear_request

LIMIT = 2**20  # bytes


@given(right_requests)
def test_A6_A9_A15_what_is_right_is_accepted(lines: list[bytes]) -> None:
    handshake = ServerHandshake(
        origins=Origins("*"), extensions=Extensions.from_arguments(True)
    )
    outcome = handshake.receive_data(b"\r\n".join([*lines, b"", b"behind"]))
    assert isinstance(outcome, Request)
    assert handshake.trailing == b"behind"
    assert outcome.target.startswith("/")
    assert set(outcome.subprotocols) <= {token.decode() for token in TOKENS}


@given(any_requests, st.data())
def test_A3_to_A11_A15_any_request(wire: bytes, data: st.DataObject) -> None:
    outcome = hear_request([wire])
    assert hear_request(cutter(data)(wire)) == outcome
    if isinstance(outcome, Rejection):
        event(f"{outcome.status_code} {outcome.reason}")
    else:
        event("not complete" if outcome is None else "accepted")


@given(right_answers)
def test_B6_what_is_right_is_accepted(lines: list[bytes]) -> None:
    wire = b"\r\n".join([*lines, b"", b"behind"])
    assert str(answered(wire, None)).startswith("Accepted(")


@given(any_answers, st.data())
def test_B2_B3_B6_B7_any_answer(wire: bytes, data: st.DataObject) -> None:
    outcome = answered(wire, None)
    assert answered(wire, cutter(data)) == outcome
    event(str(outcome)[:60])


bits = st.integers(9, 15)
settings_of_one = st.builds(
    PerMessageDeflate,
    *(st.booleans(), st.booleans(), bits, bits),
    *(st.sampled_from([1, 6, 9]), st.integers(1, 9), st.sampled_from([None, 0, 100])),
)
messages = st.lists(
    st.tuples(
        st.booleans(),  # whether it is the client's
        st.text(max_size=30)
        | st.binary(max_size=60)
        | st.integers(0, 5000).map(
            lambda size: b'{"id": 12345, "x": 0}' * (size // 20)
        ),
        st.sampled_from([None, None, True, False]),
    ),
    max_size=8,
)


@given(
    st.none() | settings_of_one,
    st.none() | settings_of_one,
    st.lists(st.sampled_from([token.decode() for token in TOKENS]), unique=True),
    messages,
    st.data(),
)
def test_D8_messages_behind_any_handshake(
    by_client: PerMessageDeflate | None,
    by_server: PerMessageDeflate | None,
    subprotocols: list[str],
    messages: list[tuple[bool, str | bytes, bool | None]],
    data: st.DataObject,
) -> None:
    asking = ClientHandshake(
        host="example.org",
        target="/",
        subprotocols=subprotocols,
        extensions=Extensions.from_arguments(by_client),
    )
    answering = ServerHandshake(
        origins=Origins(None), extensions=Extensions.from_arguments(by_server)
    )
    for piece in cutter(data)(asking.request()):
        request = answering.receive_data(piece)
    assert isinstance(request, Request)
    assert request.subprotocols == tuple(subprotocols)
    chosen = data.draw(st.sampled_from([None, *subprotocols]))
    answer, agreed_by_server = answering.accept(subprotocol=chosen)
    for piece in cutter(data)(answer):
        accepted = asking.receive_data(piece)
    assert isinstance(accepted, Accepted)
    assert accepted.subprotocol == chosen
    agreed = agreed_by_server.deflate, accepted.extensions.deflate
    assert (None not in agreed) == (None not in (by_client, by_server))
    server, client = (
        FrameCodec(
            is_client=is_client,
            max_message_size=LIMIT,
            max_fragments=1,
            deflate=deflate,
        )
        for is_client, deflate in zip((False, True), agreed, strict=True)
    )
    for is_clients, message, compress in messages:
        sender, receiver = (client, server) if is_clients else (server, client)
        got: list[object] = []
        for piece in cutter(data)(sender.frame_message(message, compress=compress)):
            receiver.feed(piece)
            while (result := receiver.next()) is not None:
                got.append(result)
        assert got == [message]
