"""Sec-WebSocket-Extensions: offers, responses, and the agreed extensions."""

from __future__ import annotations

from typing import Any

import pytest
import wsproto.extensions
from wsproto.extensions import Extension

from anyio_websocket._protocol import (
    Accepted,
    ClientHandshake,
    Extensions,
    HandshakeFailure,
    Origins,
    PerMessageDeflate,
    Request,
    ServerHandshake,
)
from anyio_websocket.testing import handshake_request, handshake_response

NOTHING = Extensions()


class Named(Extension):
    """An extension that does nothing, with the offers and responses of a test."""

    def __init__(self, name: str, *, says: Any = True) -> None:
        self.name = name
        self.says = says
        self.accepted: list[str] = []
        self.finalized: list[str] = []

    def offer(self) -> bool | str:
        result: bool | str = self.says
        return result

    def accept(self, offer: str) -> bool | str | None:
        self.accepted.append(offer)
        if isinstance(self.says, Exception):
            raise self.says
        result: bool | str | None = self.says
        return result

    def finalize(self, offer: str) -> None:
        self.finalized.append(offer)
        if offer.endswith("bad"):
            raise IndexError("a parameter is missing")


def offered(extensions: Extensions) -> bytes | None:
    """Return the header that a client sends."""
    handshake = ClientHandshake(host="x", target="/", extensions=extensions)
    return header_of(handshake.request())


def header_of(head: bytes) -> bytes | None:
    lines = [
        line.split(b": ", 1)[1]
        for line in head.split(b"\r\n")
        if line.lower().startswith(b"sec-websocket-extensions: ")
    ]
    assert len(lines) < 2
    return lines[0] if lines else None


def answered(wanted: Extensions, *offers: bytes) -> tuple[bytes | None, Extensions]:
    """Return the header that a server sends, and the extensions it agreed to."""
    handshake = ServerHandshake(origins=Origins(None), extensions=wanted)
    lines = [b"Sec-WebSocket-Extensions: " + offer for offer in offers]
    assert isinstance(handshake.receive_data(handshake_request(*lines)), Request)
    answer, taken = handshake.accept()
    return header_of(answer), taken


def agreed(wanted: Extensions, *answers: bytes) -> Extensions:
    """Return the extensions that a client agreed to after this response."""
    handshake = ClientHandshake(host="x", target="/", extensions=wanted)
    lines = [b"Sec-WebSocket-Extensions: " + answer for answer in answers]
    outcome = handshake.receive_data(handshake_response(handshake.request(), *lines))
    assert isinstance(outcome, Accepted)
    return outcome.extensions


# -- what a user wants ---------------------------------------------------------


def test_arguments_become_extensions() -> None:
    for nothing in (None, False):
        assert Extensions.from_arguments(nothing) == NOTHING
    assert Extensions.from_arguments(True).deflate == PerMessageDeflate()
    chosen = PerMessageDeflate(level=1)
    assert Extensions.from_arguments(chosen, []).deflate is chosen
    own = Named("x")
    assert Extensions.from_arguments(None, iter([own])) == Extensions(custom=(own,))


@pytest.mark.parametrize(
    "compression", [1, "deflate", PerMessageDeflate, -1.5, 0, "", []]
)
def test_H3_compression_of_the_wrong_type(compression: Any) -> None:
    with pytest.raises(TypeError, match="compression must be None, True or a PerMess"):
        Extensions.from_arguments(compression)


def test_H3_invalid_extensions_are_an_error() -> None:
    with pytest.raises(TypeError, match="not iterable"):
        Extensions.from_arguments(None, 0)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match=r"is not a wsproto\.extensions\.Extension"):
        Extensions.from_arguments(None, [Named])  # type: ignore[list-item]
    with pytest.raises(ValueError, match="two extensions have the same name"):
        Extensions.from_arguments(None, [Named("x"), Named("x")])
    for compression in (None, True):
        with pytest.raises(ValueError, match=r"^wsproto\.ext.*: use compression= inst"):
            Extensions.from_arguments(
                compression, [Named("x"), wsproto.extensions.PerMessageDeflate()]
            )
    with pytest.raises(ValueError, match="exclude each other"):
        Extensions.from_arguments(True, [Named("x")])


# -- a client ------------------------------------------------------------------


def test_offers() -> None:
    assert offered(NOTHING) is None
    assert offered(Extensions(PerMessageDeflate())) == (
        b"permessage-deflate; client_max_window_bits=12; server_max_window_bits=12, "
        b"permessage-deflate; server_no_context_takeover; client_max_window_bits=12"
    )
    own = (
        Named("a"),
        Named("b", says=False),
        Named("c", says="d=1"),
        Named("e", says=""),
    )
    assert offered(Extensions(custom=own)) == b"a, c; d=1, e"
    assert offered(Extensions(custom=(Named("b", says=False),))) is None


@pytest.mark.parametrize("bad", ["a\r\nX: y", "é", "a, b", "\0"])
def test_B8_invalid_extension_headers_are_an_error(bad: str) -> None:
    for extension in (Named("x", says=bad), Named(bad)):
        with pytest.raises(ValueError, match="cannot be sent in Sec-WebSocket-Ext"):
            offered(Extensions(custom=(extension,)))
    with pytest.raises(ValueError, match="cannot be sent in Sec-WebSocket-Ext"):
        answered(Extensions(custom=(Named("x", says=bad),)), b"x")


def test_the_response_of_a_server_is_checked() -> None:
    deflate = Extensions(PerMessageDeflate())
    assert agreed(deflate) == NOTHING
    assert agreed(
        deflate,
        b"permessage-deflate; server_max_window_bits=10; client_no_context_takeover",
    ) == Extensions(
        PerMessageDeflate(client_no_context_takeover=True, server_max_window_bits=10)
    )
    one, other = Named("a"), Named("b", says="c")
    assert agreed(Extensions(custom=(one, other)), b"b; d=e") == Extensions(
        custom=(other,)
    )
    assert (one.finalized, other.finalized) == ([], ["b; d=e"])
    assert agreed(Extensions(custom=(one, other)), b"b", b"a").custom == (other, one)
    assert agreed(Extensions(custom=(one,))) == NOTHING


@pytest.mark.parametrize(
    ("wanted", "answers"),
    [
        (NOTHING, [b"permessage-deflate"]),
        (Extensions(PerMessageDeflate()), [b"permessage-deflate"]),
        (Extensions(PerMessageDeflate()), [b"x"]),
        (
            Extensions(PerMessageDeflate()),
            [b"permessage-deflate; server_max_window_bits=9, x"],
        ),
        (
            Extensions(PerMessageDeflate()),
            [b"permessage-deflate; server_max_window_bits=9"] * 2,
        ),
        (Extensions(custom=(Named("a"),)), [b"b"]),
        (Extensions(custom=(Named("a"),)), [b"a, a"]),
        (Extensions(custom=(Named("a"),)), [b"A"]),
        (Extensions(custom=(Named("a"),)), [b"a; bad"]),
        (Extensions(custom=(Named("a", says=False),)), [b"a"]),
    ],
)
def test_B6_wrong_responses_fail(wanted: Extensions, answers: list[bytes]) -> None:
    with pytest.raises(HandshakeFailure) as caught:
        agreed(wanted, *answers)
    assert "the server" in str(caught.value)
    assert isinstance(caught.value.__cause__, IndexError) == (answers == [b"a; bad"])


def test_B6_the_text_of_a_failure_is_short() -> None:
    with pytest.raises(HandshakeFailure) as caught:
        agreed(NOTHING, b"x" * 5000)
    assert len(str(caught.value)) < 200


# -- a server ------------------------------------------------------------------


def test_A10_the_response_of_a_server() -> None:
    deflate = Extensions(PerMessageDeflate())
    assert answered(NOTHING, b"permessage-deflate") == (None, NOTHING)
    assert answered(deflate) == (None, NOTHING)
    assert answered(deflate, b"x", b"permessage-deflate; a=b") == (None, NOTHING)
    assert answered(
        deflate,
        b"permessage-deflate; nonsense",
        b"permessage-deflate; server_max_window_bits=9; client_max_window_bits, x",
    ) == (
        b"permessage-deflate; server_max_window_bits=9; client_max_window_bits=12",
        Extensions(PerMessageDeflate(server_max_window_bits=9)),
    )


def test_A10_the_response_of_custom_extensions() -> None:
    one = Named("a")
    other = Named("b", says="c=d")
    empty = Named("e", says="")
    unwilling = Named("f", says=None)
    broken = Named("g", says=ValueError("whatever"))
    wanted = Extensions(custom=(one, other, empty, unwilling, broken))
    header, taken = answered(wanted, b"g, f; 1, e, f; 2, b \t; x=y", b"g, b, a")
    assert header == b"a, b; c=d, e"
    assert taken == Extensions(custom=(one, other, empty))
    assert other.accepted == ["b \t; x=y"]
    assert unwilling.accepted == ["f; 1", "f; 2"]
    assert broken.accepted == ["g"]  # not asked again: its state is unknown
    assert answered(Extensions(custom=(one,)), b"b") == (None, NOTHING)


def test_extensions_of_one_response() -> None:
    handshake = ServerHandshake(
        origins=Origins(None), extensions=Extensions(PerMessageDeflate())
    )
    handshake.receive_data(
        handshake_request(b"Sec-WebSocket-Extensions: a, permessage-deflate")
    )
    own = Extensions(custom=(Named("a"),))
    answer, taken = handshake.accept(extensions=own)
    assert header_of(answer) == b"a"
    assert taken == own


def test_A10_wsprotos_own_deflate() -> None:
    theirs = wsproto.extensions.PerMessageDeflate
    for offer in (b"x=1", b"server_max_window_bits=abc", b'client_max_window_bits="9"'):
        deflate = theirs()
        header, taken = answered(
            Extensions(custom=(deflate,)), b"permessage-deflate; " + offer
        )
        assert (header is None) == (taken == NOTHING)
    for answer in (b"client_max_window_bits", b"client_max_window_bits=8"):
        with pytest.raises(HandshakeFailure):
            agreed(Extensions(custom=(theirs(),)), b"permessage-deflate; " + answer)
