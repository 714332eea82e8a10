"""Handshakes from a grammar: valid ones, and some with one or two mistakes.

These are strategies for Hypothesis, of lines or of bytes. In a response ``ACCEPT``
stands for the accept key, which depends on the request.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from hypothesis import strategies as st

from anyio_websocket.testing._handshakes import KEY

from .frames import cut


def one_of(*values: bytes) -> st.SearchStrategy[bytes]:
    return st.sampled_from(values)


def listed(*values: bytes) -> st.SearchStrategy[bytes]:
    """Elements of a comma-separated header, in any valid form."""
    elements = st.lists(one_of(*values), max_size=3)
    return st.builds(bytes.join, one_of(b",", b", ", b" ,\t", b",,"), elements)


TOKENS = (b"chat", b"superchat", b"v1.json", b"!#$%&'*+-.^_`|~")
OFFERS = (
    b"permessage-deflate",
    b"permessage-deflate; client_max_window_bits",
    b"permessage-deflate;server_max_window_bits=10 ;client_no_context_takeover",
    b"permessage-deflate; server_max_window_bits=8",
    b"permessage-deflate; server_no_context_takeover",
    b"x-unknown; a=b",
)


class Part(NamedTuple):
    """A header of a handshake, with its valid and its invalid values."""

    name: bytes
    right: st.SearchStrategy[bytes]
    wrong: st.SearchStrategy[bytes]
    is_needed: bool = True


with_upgrade = st.builds(
    b"".join,
    st.tuples(
        one_of(b"", b"keep-alive, ", b",", b"x,"),
        one_of(b"Upgrade", b"upgrade", b"UPGRADE"),
        one_of(b"", b", keep-alive", b" ,"),
    ),
)
REQUEST = [
    Part(
        b"Host",
        one_of(
            b"example.org", b"example.org:80", b"[::1]:8000", b"xn--caf-dma.example"
        ),
        one_of(
            b"", b"a b", b"[::1", b"x:70000", b"xn--111", b"caf\xe9", b"a/b", b"a@b"
        ),
    ),
    Part(
        b"Upgrade",
        one_of(b"websocket", b"WebSocket", b"h2c, websocket"),
        one_of(b"", b"h2c", b"websocket2", b"web socket", b"\xff, websocket"),
    ),
    Part(b"Connection", with_upgrade, one_of(b"", b"close", b"notupgrade", b"\xff")),
    Part(
        b"Sec-WebSocket-Key",
        one_of(KEY, b"AAAAAAAAAAAAAAAAAAAAAA=="),
        one_of(b"", KEY[:-1], b"AAAA", KEY + b", " + KEY, b"!" * 24),
    ),
    Part(b"Sec-WebSocket-Version", one_of(b"13"), one_of(b"", b"8", b"13, 14", b"1 3")),
    Part(
        b"Sec-WebSocket-Protocol",
        listed(*TOKENS),
        one_of(b"a b", b"caf\xe9", b"(x)"),
        is_needed=False,
    ),
    Part(
        b"Sec-WebSocket-Extensions",
        listed(*OFFERS, b";;=,", b'"', b"permessage-deflate; a; a"),
        one_of(b"caf\xe9"),
        is_needed=False,
    ),
    Part(
        b"Origin",
        one_of(b"http://example.org", b"http://[::1]:8000", b"http://other"),
        one_of(b"\xff", b"null", b"http://[x"),
        is_needed=False,
    ),
    Part(
        b"Content-Length",
        one_of(b"0", b"00"),
        one_of(b"5", b"x", b"-0"),
        is_needed=False,
    ),
    Part(
        b"X", one_of(b"", b"y", b"caf\xe9", b"a\tb"), one_of(b"a\0b"), is_needed=False
    ),
]
ANSWER = [
    Part(
        b"Upgrade",
        one_of(b"websocket", b"WebSocket", b"websocket,"),
        one_of(b"", b"h2c, websocket", b"\xff"),
    ),
    Part(b"Connection", with_upgrade, one_of(b"", b"close", b"\xff")),
    Part(
        b"Sec-WebSocket-Accept",
        one_of(b"ACCEPT"),  # replaced by the right value
        one_of(b"", b"ACCEPT, ACCEPT", b"xACCEPT", b"\xff"),
    ),
    Part(
        b"Sec-WebSocket-Protocol",
        one_of(b"chat"),
        one_of(b"", b"Chat", b"chat, chat", b"other", b"\xff"),
        is_needed=False,
    ),
    Part(
        b"Sec-WebSocket-Extensions",
        one_of(
            b"permessage-deflate; server_max_window_bits=12",
            b"permessage-deflate; server_no_context_takeover",
        ),
        listed(*OFFERS, b";;", b"\xff"),
        is_needed=False,
    ),
    Part(b"X", one_of(b"", b"y", b"caf\xe9"), one_of(b"a\0b"), is_needed=False),
]


@st.composite
def heads(
    draw: st.DrawFn,
    start_lines: st.SearchStrategy[bytes],
    parts: list[Part],
    is_right: bool,
) -> list[bytes]:
    """Draw the lines of a head in any order; with at most one mistake, or none."""
    chosen = [part for part in parts if part.is_needed or draw(st.booleans())]
    wrong = None if is_right else draw(st.sampled_from([None, None, *chosen]))
    lines = [
        b"%b:%b%b%b"
        % (
            draw(one_of(part.name, part.name, part.name.lower(), part.name.title())),
            draw(one_of(b" ", b" ", b"", b"\t ")),
            draw(part.wrong if part is wrong else part.right),
            draw(one_of(b"", b"", b" ")),
        )
        for part in draw(st.permutations(chosen))
    ]
    return [draw(start_lines), *lines]


@st.composite
def mutated(draw: st.DrawFn, heads: st.SearchStrategy[list[bytes]]) -> bytes:
    """Draw a head with up to two changed lines and up to two changed places."""
    lines = draw(heads)
    end = b"\r\n"
    for _ in range(draw(st.integers(0, 2))):
        at = draw(st.integers(0, len(lines) - 1))
        how = draw(st.sampled_from(["drop", "repeat", "fold", "swap", "lf", "long"]))
        if how == "drop" and len(lines) > 1:
            del lines[at]
        elif how == "repeat":
            lines.insert(at, lines[at])
        elif how == "fold":
            lines[at] = draw(one_of(b" ", b"\t")) + lines[at]
        elif how == "swap":
            lines[at], lines[0] = lines[0], lines[at]
        elif how == "lf":
            end = b"\n"
        elif how == "long":
            lines[at] += b"x" * draw(st.sampled_from([4000, 8200]))
    data = bytearray(end.join([*lines, b"", b""]))
    for _ in range(draw(st.integers(0, 2))):
        at = draw(st.integers(0, len(data) - 1))
        data[at : at + draw(st.integers(0, 2))] = draw(
            one_of(b"", b"\0", b"\r", b"\n", b" ", b":", b",", b"\xff", b'"', b"x")
        )
    return bytes(data) + draw(st.binary(max_size=20))


right_requests = heads(
    one_of(b"GET / HTTP/1.1", b"GET /a?b=%00 HTTP/1.1", b"GET ws://x/y HTTP/1.1"),
    REQUEST,
    True,
)
any_requests = mutated(
    heads(
        one_of(
            *[b"GET / HTTP/1.1", b"GET /a?b HTTP/1.1", b"GET http://x HTTP/1.1"] * 3,
            *[b"POST / HTTP/1.1", b"GET / HTTP/1.0", b"GET * HTTP/1.1", b"GET /"],
            *[b"PRI * HTTP/2.0", b"GET /\xff HTTP/1.1", b"GET  / HTTP/1.1"],
        ),
        REQUEST,
        False,
    )
)
right_answers = heads(
    one_of(b"HTTP/1.1 101 Switching Protocols", b"HTTP/1.1 101 ", b"HTTP/1.1 101"),
    ANSWER,
    True,
)
any_answers = mutated(
    heads(
        one_of(
            *[b"HTTP/1.1 101 X", b"HTTP/1.1 101"] * 5,
            *[b"HTTP/1.0 101 X", b"HTTP/2 101", b"HTTP/1.1 1010 X", b"SSH-2.0"],
            *[b"HTTP/1.1 403 No", b"HTTP/1.1 302 X", b"HTTP/1.1 103 X"],
        ),
        ANSWER,
        False,
    )
)


def cutter(data: st.DataObject) -> Callable[[bytes], list[bytes]]:
    """Return a function that cuts bytes at drawn places."""

    def pieces(wire: bytes) -> list[bytes]:
        places = data.draw(st.lists(st.integers(0, len(wire)), max_size=8))
        return list(filter(None, cut(wire, places)))

    return pieces
