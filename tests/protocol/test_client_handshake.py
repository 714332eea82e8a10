"""The client's side of the opening handshake, on bytes."""

from __future__ import annotations

import tracemalloc
from contextlib import suppress
from typing import ClassVar

import h11
import pytest
from hypothesis import given
from hypothesis import strategies as st
from wsproto.extensions import Extension

from anyio_websocket._protocol import (
    Accepted,
    ClientHandshake,
    Extensions,
    HandshakeFailure,
    Rejected,
    Request,
)
from anyio_websocket.testing import handshake_response
from anyio_websocket.testing._handshakes import KEY, accept_of

from ..support.requests import cuts, serve

NO_EXTENSIONS = Extensions()
SAMPLE_ACCEPT = b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo="  # of RFC 6455 section 1.3


def ask(*lines: bytes, offer: list[str] | None = None) -> ClientHandshake:
    return ClientHandshake(
        host="example.org", target="/a?b", subprotocols=offer, extra_headers=None
    )


def answered(
    make: bytes | None = None,
    *lines: bytes,
    before: bytes = b"",
    rest: bytes = b"",
    offer: list[str] | None = None,
) -> Accepted | Rejected | None:
    """Respond to a client in several ways, and require the same outcome of all."""
    outcomes: list[Accepted | Rejected | None] = []
    for cut in range(3):
        handshake = ask(offer=offer)
        answer = (
            handshake_response(handshake.request(), *lines) if make is None else make
        )
        data = before + answer + rest
        outcome = None
        for chunk in list(cuts(data))[cut]:
            if isinstance(outcome, Accepted):
                outcome = outcome._replace(trailing=outcome.trailing + chunk)
            elif outcome is None:
                outcome = handshake.receive_data(chunk)
        outcomes.append(outcome)
    assert outcomes[0] == outcomes[1] == outcomes[2]
    return outcomes[0]


def fails(
    make: bytes | None = None,
    *lines: bytes,
    before: bytes = b"",
    offer: list[str] | None = None,
    match: str | None = None,
) -> None:
    with pytest.raises(HandshakeFailure, match=match):
        answered(make, *lines, before=before, offer=offer)


def test_the_request_of_a_client() -> None:
    handshake = ClientHandshake(
        host="example.org:8000",
        target="/a?b",
        subprotocols=["chat", "superchat"],
        extra_headers=[("X-Text", "é"), (b"x-bytes", b"1"), (b"x-bytes", b"2")],
    )
    server = h11.Connection(h11.SERVER)
    server.receive_data(handshake.request())
    event = server.next_event()
    assert isinstance(event, h11.Request)
    assert (event.method, event.target) == (b"GET", b"/a?b")
    headers = [(bytes(name), bytes(value)) for name, value in event.headers]
    key = dict(headers)[b"sec-websocket-key"]
    assert headers == [
        (b"host", b"example.org:8000"),
        (b"upgrade", b"websocket"),
        (b"connection", b"Upgrade"),
        (b"sec-websocket-key", key),
        (b"sec-websocket-version", b"13"),
        (b"sec-websocket-protocol", b"chat, superchat"),
        (b"x-text", b"\xe9"),
        (b"x-bytes", b"1"),
        (b"x-bytes", b"2"),
    ]
    assert handshake.target == "/a?b"
    assert isinstance(serve(handshake.request())[1], Request)


def test_an_extra_host_replaces_ours() -> None:
    handshake = ClientHandshake(
        host="example.org", target="/", extra_headers=[("host", "other")]
    )
    assert handshake.request().lower().count(b"host:") == 1
    assert b"other" in handshake.request()
    with pytest.raises(ValueError, match="one Host"):
        ClientHandshake(
            host="x", target="/", extra_headers=[("host", "a"), ("Host", "b")]
        )


@pytest.mark.parametrize("offer", [[""], ["a b"], ["a,b"], ["é"], ["a", "a"]])
def test_B8_invalid_subprotocols_are_an_error(offer: list[str]) -> None:
    with pytest.raises(ValueError, match="subprotocol"):
        ask(offer=offer)


@pytest.mark.parametrize("offer", ["chat", [b"chat"], [5]])
def test_B8_subprotocols_of_the_wrong_type(offer: list[str]) -> None:
    with pytest.raises(TypeError, match="subprotocol"):
        ask(offer=offer)


def test_a_response_that_accepts() -> None:
    assert answered(None, b"X: y", b"Set-Cookie: a=b") == Accepted(
        None, ((b"x", b"y"), (b"set-cookie", b"a=b")), NO_EXTENSIONS, b""
    )
    outcome = answered(None, b"Sec-WebSocket-Protocol: b", offer=["a", "b"])
    assert outcome == Accepted("b", (), NO_EXTENSIONS, b"")


def test_the_accept_key_of_the_rfc() -> None:
    assert accept_of(KEY) == SAMPLE_ACCEPT


def test_B9_frames_behind_the_101_are_kept() -> None:
    assert answered(rest=b"\x81\x02hi") == Accepted(
        None, (), NO_EXTENSIONS, b"\x81\x02hi"
    )


@pytest.mark.parametrize(
    "data",
    [
        b"SSH-2.0-OpenSSH_9.2\r\n\r\n",
        b"\x15\x03\x01\x00\x02\x02",
        b"<html></html>",
        b"HTTP/1.1\r\n\r\n",
        b"HTTP/3.0 200 OK\r\n\r\n",
        b"HTTP/1.1 101 X\nUpgrade: websocket\n\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n",
    ],
)
def test_B3_a_response_must_be_http_1_1(data: bytes) -> None:
    fails(data, match=r"HTTP/1\.1")


@pytest.mark.parametrize("name", ["bearer secret", "secret,", "s\xe9cret", ""])
def test_B13_errors_do_not_show_subprotocols(name: str) -> None:
    with pytest.raises(ValueError, match=r"^element 1 of subprotocols is") as caught:
        ask(offer=["chat", name])
    assert not name or name not in str(caught.value)
    with pytest.raises(TypeError, match=r"subprotocol must be a str, not bytes$"):
        ask(offer=[b"secret"])  # type: ignore[list-item]


@pytest.mark.parametrize(
    "host",
    ["me:secret@x", "secret/", "secret\\", "secret x", "x:secret", "", "x\r\nY: z"],
)
def test_B13_a_host_that_is_none(host: str) -> None:
    with pytest.raises(ValueError, match=r"^the host ") as caught:
        ClientHandshake(host=host, target="/")
    assert "secret" not in str(caught.value)
    assert caught.value.__suppress_context__ or caught.value.__context__ is None


def test_B13_a_user_name_in_the_header_host() -> None:
    with pytest.raises(ValueError, match=r"^Host in extra_headers .* user") as caught:
        ClientHandshake(
            host="x", target="/", extra_headers=[("Host", "me:secret@example.org")]
        )
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    "data",
    [
        b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 129,
        b"HTTP/1.1 200 OK\r\nX: " + b"y" * 20_000,
        b"HTTP/1.1 200 " + b"y" * 20_000,
        b"HTTP/1.1 103 X\r\n\r\nHTTP/1.1 200 OK\r\nX: " + b"y" * 20_000,
    ],
)
def test_B3_A17_a_response_is_too_large(data: bytes) -> None:
    fails(data, match=r"is too large: .*\(max_head_size=65536\)")


def test_B3_an_upgrade_over_http_1_0_fails() -> None:
    handshake = ask()
    answer = handshake_response(handshake.request()).replace(
        b"HTTP/1.1", b"HTTP/1.0", 1
    )
    with pytest.raises(HandshakeFailure):
        handshake.receive_data(answer)


@pytest.mark.measured
def test_B3_a_header_bomb_costs_no_memory() -> None:
    handshake = ask()
    tracemalloc.start()
    try:
        with pytest.raises(HandshakeFailure):
            handshake.receive_data(b"HTTP/1.1 200 OK\r\n")
            for _ in range(100):
                handshake.receive_data(b"X: y\r\n" * 10)
        assert tracemalloc.get_traced_memory()[1] < 100_000
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    ("head", "body", "expected"),
    [
        (b"Content-Length: 5", b"hello", b"hello"),
        (b"Content-Length: 0", b"", b""),
        (b"Transfer-Encoding: chunked", b"2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n", b"hello"),
        (b"Transfer-Encoding: chunked", b"2\r\nhe\r\nbroken\r\n", b"he"),
        (b"Content-Length: 200000", b"x" * 200_000, b"x" * 65536),
    ],
    ids=["whole", "empty", "chunked", "broken", "long"],
)
def test_B4_rejections(head: bytes, body: bytes, expected: bytes) -> None:
    outcome = answered(b"HTTP/1.1 403 No\r\nX: y\r\n" + head + b"\r\n\r\n" + body)
    name, value = head.split(b": ")
    assert outcome == Rejected(403, ((b"x", b"y"), (name.lower(), value)), expected)


def test_B4_a_body_that_ends_with_the_stream() -> None:
    handshake = ask()
    assert handshake.partial_rejection() is None
    assert handshake.receive_data(b"HTTP/1.1 500 Oops\r\n\r\nhe") is None
    assert handshake.partial_rejection() == Rejected(500, (), b"he")
    assert handshake.receive_data(b"llo") is None
    assert handshake.receive_eof() == Rejected(500, (), b"hello")


def test_B4_an_endless_body_is_cut() -> None:
    handshake = ask()
    assert handshake.receive_data(b"HTTP/1.1 200 OK\r\n\r\n") is None
    for _ in range(65535):
        assert handshake.receive_data(b"x") is None
    outcome = handshake.receive_data(b"xy")
    assert isinstance(outcome, Rejected)
    assert len(outcome.body) == 65536


def test_B5_a_redirect_is_a_rejection() -> None:
    outcome = answered(
        b"HTTP/1.1 302 Found\r\nLocation: ws://x/\r\nContent-Length: 0\r\n\r\n"
    )
    assert isinstance(outcome, Rejected)
    assert outcome.status_code == 302


def test_B2_the_stream_ends_before_the_response() -> None:
    whole = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
    for cut in range(len(whole)):
        handshake = ask()
        assert handshake.receive_data(whole[:cut]) is None
        with pytest.raises(HandshakeFailure, match="closed the connection"):
            handshake.receive_eof()


@pytest.mark.parametrize(
    "lines",
    [
        (b"Sec-WebSocket-Accept: " + SAMPLE_ACCEPT,),
        (b"Sec-WebSocket-Protocol: a",),
        (b"Sec-WebSocket-Extensions: permessage-deflate",),
        (b"Sec-WebSocket-Extensions: x; y=z",),
        (b"Sec-WebSocket-Extensions: \xe9",),
        (b"Sec-WebSocket-Protocol: \xe9",),
    ],
)
def test_B6_wrong_responses_fail(lines: tuple[bytes, ...]) -> None:
    fails(None, *lines)


@pytest.mark.parametrize(
    "chosen",
    [
        (b"Sec-WebSocket-Protocol: c",),
        (b"Sec-WebSocket-Protocol: A",),
        (b"Sec-WebSocket-Protocol: a, b",),
        (b"Sec-WebSocket-Protocol: a", b"Sec-WebSocket-Protocol: b"),
    ],
)
def test_B6_the_subprotocol_must_have_been_offered(chosen: tuple[bytes, ...]) -> None:
    fails(None, *chosen, offer=["a", "b"], match="subprotocol")


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"Upgrade: websocket\r\n", b""),
        (b"Connection: Upgrade\r\n", b""),
        (b"Upgrade: websocket", b"Upgrade: h2c"),
        (b"Connection: Upgrade", b"Connection: close"),
        (b"Sec-WebSocket-Accept: ", b"Sec-WebSocket-Accept: x"),
        (b"Sec-WebSocket-Accept", b"X-Accept"),
        (b"Upgrade: websocket", b"Upgrade: \xe9"),
    ],
)
def test_B6_headers_that_a_101_must_have(old: bytes, new: bytes) -> None:
    handshake = ask()
    answer = handshake_response(handshake.request())
    assert old in answer
    with pytest.raises(HandshakeFailure):
        handshake.receive_data(answer.replace(old, new, 1))


def test_B7_interim_responses_are_skipped() -> None:
    interim = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early\r\nLink: </x>\r\n\r\n"
    assert isinstance(answered(before=interim * 5), Accepted)
    fails(before=interim * 6, match="interim")
    handshake = ask()
    assert handshake.receive_data(interim) is None
    with pytest.raises(HandshakeFailure, match="before it responded"):
        handshake.receive_eof()
    assert handshake.partial_rejection() is None


@given(st.binary(max_size=200))
def test_B_noise_raises_nothing_else(data: bytes) -> None:
    for prefix in (b"", b"HTTP/1.1 ", b"HTTP/1.1 101 X\r\n", b"HTTP/1.1 400 X\r\n"):
        for suffix in (b"", b"\r\n\r\n"):
            handshake = ask(offer=["a"])
            try:
                outcome = handshake.receive_data(prefix + data + suffix)
                if outcome is None:
                    handshake.receive_eof()
            except HandshakeFailure:
                pass


@given(st.lists(st.binary(max_size=30), max_size=5), st.booleans())
def test_B_noisy_headers_raise_nothing_else(lines: list[bytes], glue: bool) -> None:
    handshake = ask(offer=["a"])
    names = [b"Sec-WebSocket-Extensions: ", b"Sec-WebSocket-Protocol: ", b"Upgrade: "]
    extra = [names[i % 3] + line if glue else line for i, line in enumerate(lines)]
    with suppress(HandshakeFailure):
        handshake.receive_data(handshake_response(handshake.request(), *extra))


def test_A20_a_quoted_comma_in_a_response() -> None:
    class Asking(Extension):
        name = "x-asking"
        seen: ClassVar[list[str]] = []

        def offer(self) -> bool | str:
            return 'q="1,2"'

        def finalize(self, offer: str) -> None:
            self.seen.append(offer)

    client = ClientHandshake(
        host="x",
        target="/",
        subprotocols=None,
        extra_headers=None,
        extensions=Extensions(custom=(Asking(),)),
    )
    answer = handshake_response(
        client.request(), b'Sec-WebSocket-Extensions: x-asking; q="3,4"'
    )
    assert isinstance(client.receive_data(answer), Accepted)
    assert Asking.seen == ['x-asking; q="3,4"']
