"""The contract about bad input, faults and load, and which tests show each row.

A test belongs to the rows in its name: ``test_A3_headers`` shows row A3, and
``test_A3_C1_to_C5_mistakes`` shows six rows. ``python tests/rows.py`` writes the page
``docs/topics/reliability.rst``.
"""

from __future__ import annotations

import re
from collections import defaultdict
from functools import cache
from pathlib import Path
from typing import Final

TESTS: Final = Path(__file__).parent
PAGE: Final = TESTS.parent / "docs" / "topics" / "reliability.rst"

_NAME: Final = re.compile(
    r"^(?:async )?def (test_((?:(?:to_)?[A-H]\d+_)+)\w+)", re.MULTILINE
)
_ROWS: Final = re.compile(r"([A-H])(\d+)_(?:to_\1(\d+)_)?")

# What happens, and what the library does then.
ROWS: Final[dict[str, dict[str, tuple[str, str]]]] = {
    "The opening handshake, on the server": {
        "A1": (
            (
                "the client sends nothing, or a byte now and then, or its TLS "
                "handshake stalls"
            ),
            (
                "it is disconnected when `~ConnectionOptions.connect_timeout` is over. "
                "The time counts from the moment it was accepted, and received bytes "
                "do not extend it. What was received of its request is kept, with an "
                "eighth more, and less than 32 KiB besides"
            ),
        ),
        "A2": (
            "the client disconnects before or during its request",
            "the task ends and the socket is closed at once. It is logged as DEBUG",
        ),
        "A3": (
            (
                "the request line or a header is over 16 KiB, the whole head is over "
                "64 KiB, there are more than 128 headers, or more than 128 "
                "subprotocols, whether they arrive in one read or byte by byte"
            ),
            "414 for the request line, else 431, after work linear in the input",
        ),
        "A4": (
            "the client does not speak HTTP",
            "400, or it is disconnected",
        ),
        "A5": (
            (
                "the method is not GET; the request is HTTP/1.0; the version header is "
                "missing; it is repeated or not 13; ``Host`` is missing or repeated"
            ),
            "405; 505; 400; 426; 400",
        ),
        "A6": (
            (
                "``Connection`` and ``Upgrade`` are lists, spread over several header "
                "lines, in any case"
            ),
            "accepted if the exact token is among the elements, else 400",
        ),
        "A7": (
            (
                "the request has a body, a bare LF, a folded header, a space before a "
                "colon, NUL or a stray CR. If there is an "
                "`~ServerOptions.http_handler`, a request for something else may have "
                "a body; it has Content-Length and Transfer-Encoding, or any "
                "Transfer-Encoding in HTTP/1.0; the body is malformed; it is too "
                "large, or there is too much around its chunks; another request "
                "follows it"
            ),
            (
                "400, and nothing after it is parsed. 400; 400; 413; that one is never "
                "read. There is one answer, which is not lost to a reset"
            ),
        ),
        "A8": (
            "``Sec-WebSocket-Key`` is missing, repeated, or does not encode 16 bytes",
            "400",
        ),
        "A9": (
            "a header of the handshake has bytes that are not ASCII",
            "400. Other headers reach the application as bytes",
        ),
        "A10": (
            (
                "extension offers are malformed, or come by the hundred, or with "
                "thousands of commas"
            ),
            (
                "such offers are declined, and all after the first 128. The response "
                "never grants more than the server's settings allow"
            ),
        ),
        "A11": (
            "the ``Origin`` may not connect",
            "403, and the handler is not called",
        ),
        "A12": (
            "the handler passes something that cannot be sent in a response",
            (
                "``ValueError`` before a byte is written. The client gets a 500. It is "
                "the same with an `~ServerOptions.http_handler`"
            ),
        ),
        "A13": (
            "the client sends frames before its request is answered",
            "at most one read is kept. All of it is delivered, in order",
        ),
        "A14": (
            "the handler does not answer; the client does not read the response",
            "500; the connection is closed within `~ConnectionOptions.connect_timeout`",
        ),
        "A15": (
            "the request target is absolute, ``*``, too long, or lacks the slash",
            "an absolute target is reduced to its path, the others get an error status",
        ),
        "A16": (
            "an empty line comes before the request line",
            "it is ignored, once",
        ),
        "A17": (
            "cookies and tokens make a head of 9 to 20 KB, or larger",
            (
                "accepted up to `~ConnectionOptions.max_head_size`, 64 KiB by default. "
                "The limits of a line and of the number of headers follow from it, and "
                "row A3 holds above them"
            ),
        ),
        "A18": (
            (
                "the ``Origin`` is an http page and the server itself speaks TLS; its "
                "scheme is another, such as ``chrome-extension``; it is "
                "``http://[::1]evil.org``; the target is absolute and names another "
                "host than ``Host``"
            ),
            (
                "403, if it is not in ``origins``; 403, likewise; 403; the host of the "
                "target counts"
            ),
        ),
        "A19": (
            (
                "a page of the same host connects from another port; a page that the "
                "browser itself calls same-origin (``Sec-Fetch-Site``) connects "
                "through a proxy that replaces ``Host``; a page of any other host "
                "connects; ``origins`` has an element that no page can match"
            ),
            (
                "accepted; accepted; 403, if it is not in ``origins``; ``ValueError`` "
                "that says why"
            ),
        ),
        "A20": (
            (
                "the method is HEAD; a quoted string in ``Sec-WebSocket-Extensions`` "
                "has a comma; the status that a handler rejects with is an ``int`` "
                "that prints as something else; a handler chooses a subprotocol that "
                "the client did not propose"
            ),
            (
                "405 without a body; it is one offer; digits are sent; the error names "
                "no subprotocol of the client"
            ),
        ),
        "A21": (
            "a request is rejected because of its ``Origin``",
            (
                "the body of the 403, and a WARNING at most once a minute, name the "
                "``Origin``, the ``Host`` and what the operator can do. Both are "
                "escaped"
            ),
        ),
    },
    "The opening handshake, on the client": {
        "B1": (
            "anything stalls: name resolution, TCP, TLS or HTTP",
            (
                "`ConnectionTimeout`. One deadline covers all steps, and no socket and "
                "no task is left behind"
            ),
        ),
        "B2": (
            "the server disconnects before its response is complete",
            "`HandshakeError` at once",
        ),
        "B3": (
            "the response is not HTTP, or its head never ends",
            "`HandshakeError` after at most `~ConnectionOptions.max_head_size` bytes",
        ),
        "B4": (
            (
                "the server rejects the request with a body that is huge, endless, "
                "chunked or slow"
            ),
            "`ConnectionRejected` with the beginning of the body, within the deadline",
        ),
        "B5": (
            "the server redirects",
            (
                "`ConnectionRejected`. With `~ClientOptions.max_redirects`, the client "
                "follows: to the same origin, or to others without credentials; never "
                "from TLS to no TLS"
            ),
        ),
        "B6": (
            (
                "the response has a wrong accept token, or an extension or subprotocol "
                "that the client did not offer"
            ),
            "`HandshakeError`, and the socket is closed",
        ),
        "B7": (
            "an interim response (100, 103) comes before the final one",
            "it is skipped",
        ),
        "B8": (
            "arguments cannot be sent",
            "``ValueError`` before the name is resolved. Its text contains no secret",
        ),
        "B9": (
            "frames arrive together with the response",
            "they are delivered in order",
        ),
        "B10": (
            (
                "the certificate is invalid or for another name, or the server does "
                "not speak TLS"
            ),
            (
                "an error with the cause. Only an SSL context that you pass in can "
                "turn verification off"
            ),
        ),
        "B11": (
            "the port is 443 for ``ws:``, or 80 for ``wss:``",
            "``Host`` names it; it is left out only if it is the scheme's default",
        ),
        "B12": (
            "the host of a ``wss:`` URL is a name with its final dot",
            ("SNI and the certificate are without the dot, ``Host`` and DNS have it"),
        ),
        "B13": (
            (
                "a URL has a backslash in front of its path; the host has a user name; "
                "a host, a resource, the name of a header or a subprotocol is invalid"
            ),
            (
                "``ValueError`` that names the parameter and shows no value that may "
                "be a secret. Nothing is sent"
            ),
        ),
        "B14": (
            "a ``wss:`` URL is opened without a context",
            (
                "the default context is made once in a process, and in a worker "
                "thread, so that loading the certificates holds up nothing"
            ),
        ),
        "B15": (
            (
                "a TLS context cannot work: it is that of the other side, or that of "
                "a server without a certificate; ALPN agrees on h2; clients fail in "
                "the TLS handshake"
            ),
            (
                "``ValueError`` at the call; the handshake fails, and the error says "
                "why; a WARNING at most once a minute"
            ),
        ),
    },
    "Frames": {
        "C1": (
            (
                "masking, opcode, reserved bits, a control frame or the encoding of a "
                "length is wrong"
            ),
            "closed with 1002",
        ),
        "C2": (
            (
                "a continuation frame continues nothing; a message begins inside "
                "another one; a Close frame arrives inside a message"
            ),
            "1002; 1002; a normal close",
        ),
        "C3": (
            "a text message is not UTF-8",
            (
                "1007, at the end of the frame at the latest. A character may be cut "
                "by the boundary of frames or reads"
            ),
        ),
        "C4": (
            (
                "a frame announces a length over the limit, up to 2\\ :sup:`64`\\ , "
                "and sends no payload"
            ),
            "1009 as soon as the header is there. Nothing is stored",
        ),
        "C5": (
            "a Close frame has one byte of a code, or a code that may not be sent",
            "1002, or 1007 if its text is not UTF-8",
        ),
        "C6": (
            "the stream ends in the middle of a frame or of a message",
            "1006. Half a message is never delivered",
        ),
        "C7": (
            "mask keys",
            "they are random, with a new one for each frame",
        ),
        "C8": (
            "anything arrives after a Close frame or after an error",
            "it is neither parsed nor kept",
        ),
        "C9": (
            "the same bytes arrive, cut anywhere",
            "the result is the same",
        ),
    },
    "Messages and compression": {
        "D1": (
            (
                "a message is over `~ConnectionOptions.max_message_size`, as one "
                "frame, in fragments, or once it is decompressed"
            ),
            (
                "a message of exactly the limit is delivered, one byte more closes "
                "with 1009. A message takes at most 2.4 times the limit in "
                "memory; a text that is not ASCII may take more, see D11"
            ),
        ),
        "D2": (
            "a message of endless fragments",
            (
                "a fragment costs no memory of its own, the work is linear, and more "
                "than 131 072 fragments close with 1008"
            ),
        ),
        "D3": (
            "a large frame arrives byte by byte",
            "it takes at most twice its size in memory",
        ),
        "D4": (
            "compressed frames that were not negotiated",
            "1002",
        ),
        "D5": (
            "control frames between the fragments of a compressed message",
            "the message stays intact",
        ),
        "D6": (
            "compressed data are damaged or truncated",
            "1007 or 1002, and never a message",
        ),
        "D7": (
            "a send is cancelled between compressing and writing",
            (
                "this cannot happen: the task that compresses a message writes it as "
                "its next step"
            ),
        ),
        "D8": (
            "any combination of window sizes and context takeover",
            "both sides use what was negotiated",
        ),
        "D9": (
            "connections with compression are idle",
            "at most 64 KiB each, with the default settings",
        ),
        "D10": (
            "a message has a secret together with text that an attacker chose",
            (
                "``compress=False`` sends it uncompressed; `PerMessageDeflate` "
                "explains why that is needed"
            ),
        ),
        "D11": (
            (
                "a text takes the most memory that a text can: it is ASCII except for "
                "two characters, one of them beyond the BMP at its end"
            ),
            (
                "while it is decoded it takes seven times the limit, and four times "
                "until the application lets it go: CPython stores each character of "
                "such a text in four bytes"
            ),
        ),
        "D12": (
            (
                "``extensions=``: a message comes in tiny pieces; an extension makes "
                "it longer; wsproto's own deflate is passed"
            ),
            (
                "pieces take no memory of their own; what the extension returns is "
                "counted, but only the extension can bound it; ``ValueError`` that "
                "says to use ``compression=``"
            ),
        ),
    },
    "Control frames, keepalive, closing": {
        "E1": (
            "the peer never replies to a Close frame, or keeps sending data instead",
            "``aclose()`` returns within `~ConnectionOptions.disconnect_timeout`",
        ),
        "E2": (
            "the peer sends a Close frame but keeps the TCP connection open",
            "closed after two seconds",
        ),
        "E3": (
            "the peer sends a flood of Pings, whether or not it reads the Pongs",
            "at most one Pong is queued. Reading never waits for writing",
        ),
        "E4": (
            "the peer is gone; the peer is slow; the application does not read",
            (
                "closed within `~ConnectionOptions.ping_interval` plus "
                "`~ConnectionOptions.ping_timeout`; not closed; not closed"
            ),
        ),
        "E5": (
            "the peer breaks the protocol and keeps sending",
            "a Close frame with the code reaches it, and the socket is closed",
        ),
        "E6": (
            (
                "the connection ends while a ping waits; the ping is cancelled; its "
                "payload is in use already, or too long; a Pong answers no ping"
            ),
            "`ConnectionClosed`; it is forgotten; ``ValueError``; ignored",
        ),
        "E7": (
            (
                "both sides close at once; the stream ends after the closing "
                "handshake; it ends without a Close frame; TLS ends without "
                "``close_notify``"
            ),
            (
                "each side keeps the code that it received; so it does here; 1006; as "
                "if the stream had ended without TLS"
            ),
        ),
        "E8": (
            "something arrives, or is sent, while the connection is closing",
            "received data are ignored. A sender gets `ConnectionClosed`",
        ),
        "E9": (
            "``aclose()`` is called twice, by many tasks, or is cancelled",
            (
                "every call returns when the connection is closed. A cancelled call "
                "closes it at once"
            ),
        ),
        "E10": (
            "the application passes a close code or a reason that may not be sent",
            "``ValueError``. A reason that is too long is cut between two characters",
        ),
        "E11": (
            "a server is stopped or cancelled",
            (
                "open connections get 1001 and pending requests a 503. Then the "
                "handlers end, within the time limit. With ``drain`` and ``spread``, "
                "connections are left in peace first, and then closed one after "
                "another; handshakes are finished meanwhile"
            ),
        ),
        "E12": (
            "a handler returns; raises; loses its connection",
            "closed with 1000; logged and closed with 1011; nothing is logged",
        ),
        "E13": (
            (
                "sending fails, or the stream is reset, while bytes of the peer are "
                "unread: its last messages, a Close frame"
            ),
            (
                "what can be read without waiting is read first. The messages are "
                "delivered, and a Close frame found there says why the connection "
                "ended; only without one is it 1006. What does not fit into the queue "
                "is delivered to a task that goes on receiving"
            ),
        ),
        "E14": (
            "the peer's Close frame has no code, as if a page calls ``close()``",
            "``async for`` ends, as after 1000 and 1001",
        ),
        "E15": (
            (
                "this side closes, and the peer's reply has another code or reason "
                "while the handler cleans up"
            ),
            (
                "the handler's `ConnectionClosed` is that of its own connection, so "
                "nothing is logged. That of another connection is an error even if the "
                "reason is equal"
            ),
        ),
        "E16": (
            (
                "a client fills the queue of a handler that does not read, and leaves: "
                "it closes, is reset, or its machine vanishes"
            ),
            (
                "noticed within `~ConnectionOptions.ping_interval` and "
                "`~ConnectionOptions.ping_timeout`: the handler is told, and the place "
                "is free. What the client sent can still be received. A client that is "
                "alive is not judged (row E4). A machine that vanished is noticed on "
                "Linux; over a custom stream without a socket, only a failed Ping tells"
            ),
        ),
        "E17": (
            (
                "the application is slow, and the peer goes on sending short messages "
                "and Pings"
            ),
            (
                "Pings are answered, and Pongs and a Close frame are seen, until the "
                "messages that wait take 1 MiB of memory. With "
                "`~ConnectionOptions.message_queue_size` it is until one message more "
                "than that is complete"
            ),
        ),
        "E18": (
            (
                "a Ping, a Close frame or a message comes while no task of the "
                "application receives: it waits for something else, computes between "
                "two waits, or only sends"
            ),
            (
                "while the event loop is free, the Pong or the answer leaves within "
                "20 ms (99 of 100), from the first moment of the connection on. "
                "Reading stops when the queue is full, and goes on when there is room. "
                "A peer that is silent then is noticed too (row E4)"
            ),
        ),
        "E19": (
            (
                "the peer replies to the Close frame in time, but keeps the TCP "
                "connection open"
            ),
            (
                "no `DisconnectionTimeout`. Closed after two seconds, and within "
                "`~ConnectionOptions.disconnect_timeout`"
            ),
        ),
        "E20": (
            "a server is stopped with ``aclose(timeout=0)``",
            (
                "each client is sent the Close frame, in one write that does not wait, "
                "before its handler is cancelled"
            ),
        ),
    },
    "Cancellation and concurrency": {
        "F1": (
            "``get_message()`` is cancelled",
            "no message is lost or delivered twice",
        ),
        "F2": (
            "``send_message()`` is cancelled before its frame is begun",
            "nothing is sent",
        ),
        "F3": (
            "``send_message()`` is cancelled in the middle of its frame",
            (
                "the frame is completed in the background. Over a stream that you "
                "passed in, the connection ends with 1006"
            ),
        ),
        "F4": (
            "many tasks send, ping and close at once",
            "frames are whole and in order",
        ),
        "F5": (
            "the peer does not read; the application does not read",
            "sending waits; TCP stops the peer. Memory is bounded in both cases",
        ),
        "F6": (
            (
                "the block of ``open_websocket()`` is left by a cancellation, by an "
                "error, or by several at once"
            ),
            "it is left promptly, with the exception of the application",
        ),
        "F7": (
            "the network fails at any call, in any way",
            "only exceptions of the library are raised, and nothing is left behind",
        ),
        "F8": (
            "one connection receives bursts of tiny frames",
            "the other tasks keep running in between",
        ),
        "F9": (
            (
                "the application computes between sends: progress reports, replies to "
                "requests that came together"
            ),
            (
                "a message is with the kernel when ``send_message()`` returns, or "
                "behind bytes that the kernel did not take. Only while more received "
                "messages wait, and the application has replied to several within a "
                "millisecond each, replies share a system call. One that takes longer "
                "ends that"
            ),
        ),
        "F10": (
            (
                "the block or the handler ends with an exception, or is cancelled, "
                "right after messages were sent"
            ),
            "what was sent is written, as far as the kernel takes it without a wait",
        ),
        "F11": (
            "messages are sent or received in a scope that is cancelled",
            (
                "only replies that follow their message within a millisecond are sent. "
                "Every other send looks for the cancellation first. A task that has "
                "computed for a millisecond meets a checkpoint at each call, so that "
                "the event loop sees its deadline"
            ),
        ),
        "F12": (
            (
                "one peer makes work: a kilobyte that decompresses to a megabyte, many "
                "in a read, fragments by the hundred thousand, empty blocks of "
                "deflate, short TLS records, key updates"
            ),
            (
                "no other task waits longer than 10 ms of CPU time, as long as "
                "`~ConnectionOptions.max_message_size` is not raised. Work is counted, "
                "not messages, and in between other tasks run"
            ),
        ),
        "F13": (
            "a TLS 1.3 peer asks for key updates without end, and reads nothing",
            "the connection is lost once 64 KiB of answers are unsent",
        ),
        "F14": (
            (
                "inside the block of ``open_websocket()`` an `asyncio.TaskGroup` "
                "cancels the task, or a timeout does, and the program goes on"
            ),
            (
                "the block is left as if nothing had been: the library never cancels "
                "the task that runs it"
            ),
        ),
        "F15": (
            (
                "a nested loop, as of ``nest_asyncio`` or a debugger, runs in a task "
                "that a message woke"
            ),
            "it works as in a task that a future of asyncio woke",
        ),
        "F16": (
            (
                "a new connection gets the descriptor of one that was aborted while a "
                "task still waits to send on it"
            ),
            "the new one is not disturbed",
        ),
        "F18": (
            (
                "a connection is aborted or cancelled while a child that was forked "
                "has its descriptor too"
            ),
            "the peer sees the end at once",
        ),
        "F19": (
            (
                "the block of `open_websocket` is entered in one task and left in "
                "another: fixtures, generators that are not exhausted"
            ),
            "the connection is closed as usual, and no task is cancelled",
        ),
        "F20": (
            "a handler is slow while asyncio is in debug mode",
            "the log names the task of the handler",
        ),
    },
    "Servers under load": {
        "G1": (
            (
                "the process has no file descriptors or buffers left, or a client "
                "disappears while it is accepted"
            ),
            "logged, and the server goes on accepting",
        ),
        "G2": (
            "clients misbehave, or handlers fail",
            "other connections are not affected",
        ),
        "G3": (
            (
                "there are more clients than `~ServerOptions.max_connections` or "
                "`~ServerOptions.max_pending_handshakes` allow, or more of one address "
                "than `~ServerOptions.max_connections_per_address` allows"
            ),
            (
                "new clients wait to be accepted; those of an address that has too "
                "many are disconnected. Open connections are not affected"
            ),
        ),
        "G4": (
            "thousands of connections are idle",
            "at most 20 KiB each",
        ),
        "G5": (
            "clients come and go, and half of them do not close properly",
            "memory, file descriptors and tasks do not grow",
        ),
        "G6": (
            "a connection or a server ends in any way",
            "no task, no socket and no warning is left",
        ),
        "G7": (
            "all clients reconnect at once",
            "`reconnect_delays` spreads them out",
        ),
        "G8": (
            "what is logged contains text that a peer chose",
            (
                "it is escaped. Payloads and secrets are never logged, nor headers "
                "except for the ``Origin`` and the ``Host`` of row A21"
            ),
        ),
        "G9": (
            (
                "a handler is cancelled with ``Task.cancel()``, awaits a future that "
                "was cancelled, or raises a group with a ``CancelledError`` in it; a "
                "handler raises ``SystemExit``"
            ),
            (
                "only its own connection ends, with 1011 or 500, logged once; "
                "the server ends, and all clients are told at once"
            ),
        ),
        "G10": (
            (
                "memory runs out, an extension raises, or there is a bug, while a "
                "connection is read from in the background, pinged or closed, or a "
                "request is read; while a task of the application receives or sends"
            ),
            (
                "it is logged with its traceback, and only that connection ends "
                "(1006); the task gets the exception, and the connection ends. No "
                "later call returns a message of which a part is missing"
            ),
        ),
        "G11": (
            (
                "a listener of the user raises for one client (``SSLEOFError``, "
                "``TimeoutError``, ``BrokenResourceError``, a reset without "
                "``errno``); a stream of the user returns what is no bytes-like "
                "object, or more than it was asked for"
            ),
            (
                "the next client is accepted at once; the stream is broken; the rest "
                "is kept for the next read"
            ),
        ),
        "G12": (
            "one client holds thousands of connections and sends no request",
            (
                "others get in: when a slot is needed, the oldest client without a "
                "complete request is dropped, after a quarter of a second at the least"
            ),
        ),
        "G13": (
            "a peer refuses to read for ever while something is to be sent to it",
            (
                "after `~ConnectionOptions.send_timeout` the connection ends with "
                "1006, its senders get `ConnectionClosed`, and the memory is free. A "
                "slow peer is left alone"
            ),
        ),
        "G14": (
            (
                "a client is given a nursery that takes no tasks: none at all, an "
                "``asyncio.TaskGroup``, one that has ended"
            ),
            (
                "``TypeError`` or ``RuntimeError`` before anything is sent. If the "
                "nursery ends while the client connects, the socket is closed"
            ),
        ),
        "G15": (
            "what is logged contains the address of a UNIX socket",
            "it is escaped as well",
        ),
    },
    "Mistakes of the application": {
        "H1": (
            (
                "a message has the wrong type, a lone surrogate, or is a memoryview "
                "that is not a sequence of bytes"
            ),
            "an error before anything changes. The next message is sent",
        ),
        "H2": (
            "any method is called after the connection has ended",
            "`ConnectionClosed` with the close code",
        ),
        "H3": (
            "an option has an impossible value",
            "``ValueError`` at the call",
        ),
        "H4": (
            "a typed program passes on the ``task_status`` of anyio or of trio",
            "mypy and pyright accept it in their strict modes",
        ),
        "H5": (
            "a program compares ``closed.code``, or asks for its ``name`` or ``value``",
            "registered codes are members of `CloseCode`, whichever side closed",
        ),
        "H6": (
            "a library imports trio_websocket, or its private module, by itself",
            "it runs if ``sys.modules`` has both names, as the migration guide shows",
        ),
        "H7": (
            "a handler returns without ``accept()`` or ``reject()``",
            "500, and an ERROR that names the handler and says so",
        ),
        "H8": (
            (
                "a server is given the TLS context of a client, or one without a "
                "certificate"
            ),
            (
                "``ValueError`` at the call, which names ``PROTOCOL_TLS_SERVER`` or "
                "``load_cert_chain``"
            ),
        ),
        "H9": (
            "``extra_headers`` is a mapping; has another shape",
            (
                "it is taken, by clients and by `~WebSocketRequest.accept` and "
                "`~WebSocketRequest.reject`; ``TypeError`` that shows which shape is "
                "wanted, and no values"
            ),
        ),
        "H10": (
            (
                "a nursery is missing; a handler cannot be awaited; ``async with`` is "
                "forgotten; a port follows a URL"
            ),
            "an error at the call that says what to write",
        ),
        "H11": (
            (
                "a client cannot connect or is rejected; a URL is wrong; its scheme is "
                "not the server's; its certificate is not trusted"
            ),
            (
                "the error names the server and the path, without user name, password "
                "and query; the URL as well; what to do; what to do"
            ),
        ),
        "H12": (
            "`ConnectionClosed` is shown in a traceback or in a log",
            (
                "a sentence says which side closed, with which code and reason. For "
                "1006 it says why: an error of the network, the keepalive, a send that "
                "was cancelled, or that the peer ended the stream. What the peer chose "
                "is quoted"
            ),
        ),
        "H13": (
            "the port is in use; a request is rejected",
            "the error names the address; it is logged once",
        ),
        "H14": (
            "Ctrl-C ends the server of the README",
            "it ends quietly",
        ),
        "H15": (
            "a typed program asks for the peer's address, the host or a header",
            "there is an attribute whose type needs no cast, also when it is closed",
        ),
    },
}

_HEAD: Final = """\
.. Written by tests/rows.py; change it there.

.. currentmodule:: anyio_websocket

Reliability
===========

No input, stall, cancellation or load on one connection may harm another connection,
lose data, leak resources or hang. This page is the contract, row by row: what may
happen, what the library does then, and which tests show it. A test that does I/O runs
on asyncio and on trio.

Where a row lists several cases, separated by semicolons, the results follow in the same
order.

"Closed with" a code, or the code alone, means: the library parses nothing more, sends a
Close frame with that code and half-closes the stream. It reads and drops what still
arrives for a short time, and then closes the socket. Tasks that wait for a message get
those that were complete before, and then `ConnectionClosed`. 1006 means that no Close
frame was received.

Three more checks run for as long as you like. ``nox -s fuzz`` generates input that no
test contains. ``nox -s soak`` replays the faults of rows A to E for a long time while
honest clients are connected, to find what only shows after hours. ``nox -s churn``
connects and disconnects clients by the hundred thousand. Their latest reports are
``tests/fuzz/report.md``, ``tests/soak/report.md`` and ``tests/soak/churn.md``.
"""


@cache
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
    """Return the text of the page."""
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
