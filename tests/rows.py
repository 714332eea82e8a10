"""What the library promises about bad input, faults and load, and which tests show it.

In: the names of the tests; ``test_A3_headers`` is about row A3, and
``test_A3_C1_to_C5_mistakes`` about six rows. Out: the page
``docs/topics/reliability.rst``, which ``python tests/rows.py`` writes anew.
"""

from __future__ import annotations

import re
from collections import defaultdict
from pathlib import Path
from typing import Final

TESTS: Final = Path(__file__).parent
PAGE: Final = TESTS.parent / "docs" / "topics" / "reliability.rst"

_NAME: Final = re.compile(
    r"^(?:async )?def (test_((?:(?:to_)?[A-H]\d+_)+)\w+)", re.MULTILINE
)
_ROWS: Final = re.compile(r"([A-H])(\d+)_(?:to_\1(\d+)_)?")

# What comes in, and what happens then.
ROWS: Final[dict[str, dict[str, tuple[str, str]]]] = {
    "The opening handshake, on the server": {
        "A1": (
            "nothing comes, or a byte now and then; TLS that stalls",
            (
                "dropped when ``connect_timeout`` is over, counted from the connection "
                "and not moved by bytes; less than 32 KiB are kept"
            ),
        ),
        "A2": (
            "the client leaves before or in its request",
            "task and socket are free at once; logged as DEBUG",
        ),
        "A3": (
            (
                "a request line over 8 KiB; a header over 8 KiB, headers over 16 KiB "
                "together, or over 100 of them; in one read or byte by byte"
            ),
            "414 or 431, in linear time",
        ),
        "A4": ("something else than HTTP", "400 or dropped"),
        "A5": (
            (
                "another method, HTTP/1.0, a version header that is missing, repeated "
                "or not 13, a Host that is missing or repeated"
            ),
            "405, 505, 400 or 426, 400",
        ),
        "A6": (
            "``Connection`` and ``Upgrade`` as lists, over several lines, in any case",
            "taken if the exact token is among them, else 400",
        ),
        "A7": (
            "a body, a bare LF, a folded header, a space before a colon, NUL or CR",
            "400, and nothing read behind it",
        ),
        "A8": (
            "a ``Sec-WebSocket-Key`` that is missing, repeated or not 16 bytes",
            "400",
        ),
        "A9": (
            "bytes that are not ASCII in any header of the handshake",
            "400; other headers reach the application as bytes",
        ),
        "A10": (
            "nonsense in extension offers, hundreds of them, thousands of commas",
            "those are declined; the answer never exceeds the settings",
        ),
        "A11": ("an ``Origin`` that may not connect", "403 before the handler"),
        "A12": (
            "a handler answers with what cannot be sent",
            "``ValueError`` before a byte is written; the client gets 500",
        ),
        "A13": (
            "frames behind the request, before it is answered",
            "at most one read is kept; all of it arrives, in order",
        ),
        "A14": (
            "a handler that does not answer, or a client that does not read",
            "500; or the end within ``connect_timeout``",
        ),
        "A15": (
            "a target that is absolute, ``*``, too long, or without a slash",
            "reduced to its path, or 400",
        ),
    },
    "The opening handshake, on the client": {
        "B1": (
            "anything stalls: look-up, TCP, TLS, HTTP",
            "`ConnectionTimeout`, one deadline for all of it; nothing is left behind",
        ),
        "B2": ("the server leaves before its answer", "`HandshakeError` at once"),
        "B3": (
            "an answer that is no HTTP, or has no end",
            "`HandshakeError` after 16 KiB at the most",
        ),
        "B4": (
            "a refusal with any body: huge, endless, chunked, slow",
            "`ConnectionRejected` with the beginning of the body, within the deadline",
        ),
        "B5": ("a redirect", "not followed"),
        "B6": (
            "an answer that was not asked for: accept token, extensions, subprotocol",
            "`HandshakeError`, and the socket is closed",
        ),
        "B7": ("100 or 103 before the answer", "skipped"),
        "B8": (
            "arguments that cannot be sent",
            "``ValueError`` before the look-up; no secret in its text",
        ),
        "B9": ("frames right behind the answer", "delivered in order"),
        "B10": (
            "a wrong certificate, a wrong name, no TLS at all",
            (
                "an error with the cause; nothing but a context of your own turns "
                "verification off"
            ),
        ),
    },
    "Frames": {
        "C1": (
            "wrong masking, opcodes, reserved bits, control frames, lengths",
            "closed with 1002, and told so",
        ),
        "C2": (
            "a continuation of nothing, a message inside of another, a Close inside",
            "1002; 1002; a normal close",
        ),
        "C3": (
            "text that is not UTF-8",
            "1007 by the end of the frame; a text cut anywhere is fine",
        ),
        "C4": (
            "a length over the limit, up to 2\\ :sup:`64`",
            "1009 at the header, with nothing stored",
        ),
        "C5": ("a Close with half a code, a code of nobody's", "1002 or 1007"),
        "C6": ("the end in the middle of a frame or message", "1006; no half message"),
        "C7": ("mask keys", "random, and a new one for each frame"),
        "C8": ("anything behind a Close or an error", "not parsed, not kept"),
        "C9": ("the same bytes, cut anywhere", "the same result"),
    },
    "Messages and compression": {
        "D1": (
            "a message over ``max_message_size``, plain, in fragments or inflated",
            (
                "exactly the limit passes, a byte more is 1009; three times the limit "
                "is the most memory that it takes"
            ),
        ),
        "D2": (
            "endless fragments",
            "no memory for each, 1008 above 131 072, linear time",
        ),
        "D3": ("a large frame byte by byte", "twice its size in memory"),
        "D4": ("compressed frames that were not agreed on", "1002"),
        "D5": ("control frames inside of a compressed message", "the message is whole"),
        "D6": ("damaged or truncated deflate data", "1007 or 1002, never a message"),
        "D7": (
            "a send that is cancelled after compressing",
            "cannot be: who compresses writes next",
        ),
        "D8": ("any windows, any takeover", "both sides use what was agreed on"),
        "D9": ("idle connections with compression", "64 KiB each with the defaults"),
        "D10": (
            "secrets beside text of an attacker's",
            "``compress=False`` for a message; see `PerMessageDeflate`",
        ),
    },
    "Control frames, keepalive, closing": {
        "E1": (
            "a peer that never answers our Close, or floods instead",
            "``aclose()`` returns within ``disconnect_timeout``",
        ),
        "E2": (
            "a peer that says Close and keeps TCP open",
            "closed after two seconds",
        ),
        "E3": (
            "a flood of Pings, with Pongs read or not",
            "one Pong waits at the most; reading never waits for writing",
        ),
        "E4": (
            "a peer that is gone; one that is slow; an application that does not read",
            (
                "closed within ``ping_interval`` and ``ping_timeout``; not closed; not "
                "closed"
            ),
        ),
        "E5": (
            "an error while the peer goes on sending",
            "our Close reaches it, and the socket is closed",
        ),
        "E6": (
            "pings: at the end, cancelled, twice the same, too long, unknown Pongs",
            "`ConnectionClosed`; forgotten; ``ValueError``; ignored",
        ),
        "E7": (
            "both close at once; an end without Close; TLS without close_notify",
            "each side keeps the code it got; else 1006",
        ),
        "E8": (
            "anything that arrives while we close",
            "ignored; a sender gets `ConnectionClosed`",
        ),
        "E9": (
            "``aclose()`` twice, from many tasks, or cancelled",
            "all return when it is closed; cancelled, it is closed at once",
        ),
        "E10": (
            "close codes and reasons that may not be sent",
            "``ValueError``, or the reason is cut between characters",
        ),
        "E11": (
            "a server stops, or is cancelled",
            "1001 to each client, 503 to handshakes, then the handlers end, in time",
        ),
        "E12": (
            "a handler returns, raises, or loses its connection",
            "1000; logged and 1011; quiet",
        ),
    },
    "Cancellation and concurrency": {
        "F1": ("``get_message()`` is cancelled", "no message is lost or doubled"),
        "F2": ("``send_message()`` is cancelled in the queue", "nothing is sent"),
        "F3": (
            "``send_message()`` is cancelled in its frame",
            "the frame is finished; over a stream of yours the connection ends (1006)",
        ),
        "F4": ("many tasks send, ping and close", "whole frames, in order"),
        "F5": (
            "a peer, or our application, does not read",
            "sending waits, TCP stops the peer, and memory is bounded",
        ),
        "F6": (
            "blocks are left by cancellation, errors, or several at once",
            "promptly, and with the user's own exception",
        ),
        "F7": (
            "the network fails at any call, in any way",
            "only our exceptions, and nothing is left behind",
        ),
        "F8": (
            "bursts of tiny frames",
            "the other tasks have their turn all the time",
        ),
    },
    "Servers under load": {
        "G1": (
            "no more file descriptors or buffers; clients that vanish in accept",
            "logged, and accepting goes on",
        ),
        "G2": ("bad clients, failing handlers", "nobody else notices"),
        "G3": (
            "more clients than ``max_connections`` or ``max_pending_handshakes``",
            "they wait outside; who is inside does not notice",
        ),
        "G4": ("thousands of idle connections", "20 KiB each at the most"),
        "G5": (
            "connections come and go, half of them rudely",
            "memory, descriptors and tasks stay level",
        ),
        "G6": ("any way to the end", "no task, no socket and no warning is left"),
        "G7": ("all clients connect again at once", "`reconnect_delays` spreads them"),
        "G8": (
            "hostile text in what is logged",
            "escaped; no headers, no payloads, no secrets",
        ),
    },
    "Mistakes of the application": {
        "H1": (
            "messages of wrong types, lone surrogates, odd memoryviews",
            "an error before anything changes; the next message is sent",
        ),
        "H2": (
            "any call after the end",
            "`ConnectionClosed` with the code",
        ),
        "H3": ("settings that cannot work", "``ValueError`` when they are made"),
    },
}

_HEAD: Final = """\
.. Written by tests/rows.py; change it there.

.. currentmodule:: anyio_websocket

Reliability
===========

No input, stall, cancellation or load on one connection harms another, loses a byte,
leaks or hangs. This is the contract row by row: what may happen, what happens then, and
the tests that show it, each on asyncio and on trio where it does I/O.

"Closed with" a code means: nothing more is parsed, a Close with that code is sent, the
connection is half-closed, what still comes is read and dropped for a while, and then
the socket is closed. Whoever waits is given what was complete before, and then
`ConnectionClosed`.

Beyond the rows, ``nox -s fuzz`` looks for bytes that nobody thought of, ``nox -s soak``
plays rows A to E over and over among honest clients, for what only shows after a while,
and ``nox -s churn`` has clients come and go by the hundred thousand. Their last reports
are in ``tests/fuzz/report.md``, ``tests/soak/report.md`` and ``tests/soak/churn.md``.
"""


def shown_by() -> dict[str, list[str]]:
    """Find the tests of each row, as ``file::name``."""
    found: dict[str, list[str]] = defaultdict(list)
    for file in sorted(TESTS.rglob("test_*.py")):
        where = file.relative_to(TESTS).as_posix()
        for name, rows in _NAME.findall(file.read_text("utf-8")):
            for group, first, last in _ROWS.findall(rows):
                for number in range(int(first), int(last or first) + 1):
                    found[f"{group}{number}"].append(f"{where}::{name}")
    return found


def page() -> str:
    """Write the page."""
    tests = shown_by()
    lines = [_HEAD]
    for title, rows in ROWS.items():
        lines += [title, "-" * len(title), ""]
        for row, (fault, promise) in rows.items():
            lines += [
                f"**{row}.** {fault[0].upper()}{fault[1:]}.",
                f"    {promise[0].upper()}{promise[1:]}.",
                "",
                *(f"    - :file:`{test}`" for test in tests[row]),
                "",
            ]
    return "\n".join(lines)


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
