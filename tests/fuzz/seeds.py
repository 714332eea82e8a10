"""Where fuzzing starts: inputs that reach deep, and those that once found something."""

from __future__ import annotations

import zlib
from typing import Final

from anyio_websocket.testing import handshake_request

from ..support.frames import (
    BINARY,
    CLOSE,
    CONTINUATION,
    PING,
    PONG,
    TEXT,
    close_payload,
    frame,
)

_MASK: Final = b"\1\2\3\4"
_OFFER: Final = b"Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits"


def _deflated(data: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-12)
    return (packer.compress(data) + packer.flush(zlib.Z_SYNC_FLUSH))[:-4]


def _frames(mask: bytes | None) -> list[bytes]:
    return [
        frame(TEXT, "wörld".encode(), mask=mask) + frame(BINARY, b"\0", mask=mask),
        frame(TEXT, b"w\xc3", fin=False, mask=mask)
        + frame(PING, b"ping", mask=mask)
        + frame(CONTINUATION, b"\xb6rld", mask=mask),
        frame(PONG, b"", mask=mask)
        + frame(CLOSE, close_payload(1014, "why"), mask=mask)
        + frame(TEXT, b"behind", mask=mask),
        frame(BINARY, bytes(500), mask=mask) + frame(BINARY, bytes(1001), mask=mask),
        frame(BINARY, b"", fin=False, mask=mask) * 21,
        b"\x82" + bytes([0x7F | (0x80 if mask else 0)]) + b"\x7f" + b"\xff" * 11,
        b"".join(
            frame(TEXT if i == 0 else CONTINUATION, b"", fin=False, rsv=4, mask=mask)
            for i in range(2)
        ),
    ]


def _compressed(mask: bytes | None) -> list[bytes]:
    data = _deflated(b"hello " * 30)
    return [
        frame(TEXT, data, rsv=4, mask=mask) * 2,
        frame(TEXT, data[:5], fin=False, rsv=4, mask=mask)
        + frame(PING, b"", mask=mask)
        + frame(CONTINUATION, data[5:], mask=mask),
        frame(BINARY, _deflated(bytes(100_000)), rsv=4, mask=mask),
        frame(BINARY, b"\3\0", rsv=4, mask=mask) * 2,
        # No UTF-8 and too long: which of them it was depended on how it was cut.
        frame(TEXT, _deflated(b"\xc3\xc3" + bytes(2000)), rsv=4, mask=mask),
        *_frames(mask),
    ]


_POST: Final = b"POST / HTTP/1.1\r\nHost: x\r\n"
_CHUNKED: Final = _POST + b"Transfer-Encoding: chunked\r\n\r\n"
_ANSWER: Final = (
    b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
    b"Connection: Upgrade\r\nSec-WebSocket-Accept: ACCEPT\r\n"
)

SEEDS: Final[dict[str, list[bytes]]] = {
    "request": [
        handshake_request(),
        handshake_request(
            _OFFER, b"Sec-WebSocket-Protocol: chat, other", b"Cookie: a=b"
        ),
        handshake_request(b"Origin: https://example.org", host=b"example.org:443")
        + b"\x81\x80",
        handshake_request(
            b"Origin: http://[::1]:80", b"Sec-Fetch-Site: same-origin", host=b"x"
        ),
        handshake_request(b'Sec-WebSocket-Extensions: x; a="b, \\"c", y; "z'),
        handshake_request(line=b"GET ws://example.org/a%20b?c#d HTTP/1.1"),
        handshake_request(line=b"HEAD http://[::1]:8000?c HTTP/1.1"),
        b"\r\n" + handshake_request(),
        handshake_request(b"Content-Length: 5") + b"hello",
        handshake_request(b"X:" + b"x" * 9000),
        handshake_request(*[b"X: x"] * 101),
        b"\x16\x03\x01\x02\x00\x01",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    ],
    "plain request": [
        handshake_request(),
        b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n",
        b"OPTIONS * HTTP/1.0\r\n\r\n",
        b"HEAD http://x:1/a HTTP/1.1\r\nHost: y\r\nUpgrade: h2c, websocket\r\n\r\n",
        _POST + b"Content-Length: 5\r\nExpect: 100-continue\r\n\r\nhelloGET / HTTP/1.1",
        _POST + b"Content-Length: 000101\r\n\r\n",
        _POST + b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        _CHUNKED + b"2;a=b\r\nhe\r\n03 \r\nllo\r\n0\r\nTrailer: x\r\n y\r\n\r\n",
        _CHUNKED + b"64\r\n" + bytes(100) + b"\r\n1\r\nx\r\n0\r\n\r\n",
        _CHUNKED + b"1\r\nx\r\n" * 100 + b"0\r\n\r\n",
        # Too much around a body.
        _CHUNKED + b"1;" + b"x" * 4700 + b"\r\ny\r\n0\r\n\r\n",
        _CHUNKED + b"ffffffffffffffffffff\r\nx\r\n",
    ],
    "response": [
        _ANSWER + b"\r\n\x81\x02hi",
        b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" + _ANSWER + b"\r\n",
        _ANSWER + b"Sec-WebSocket-Extensions: permessage-deflate\r\n\r\n",
        _ANSWER + b"Sec-WebSocket-Protocol: chat\r\n\r\n",
        b"HTTP/1.1 403 No\r\nContent-Length: 4\r\n\r\nbody",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
        b"HTTP/1.0 404\r\n\r\nto the end",
        b"SSH-2.0-OpenSSH\r\n",
        b"HTTP\nto the",  # was refused with another reason if cut behind the line
    ],
    "frames to a server": _frames(_MASK),
    "frames to a client": _frames(None),
    "compressed frames to a server": _compressed(_MASK),
    "compressed frames to a client": _compressed(None),
    **{
        f"parts, {kind}": [
            bytes([way]) + seed
            for way in ways
            for seed in (_frames if kind == "wsproto" else _compressed)(mask)
        ]
        # The first message in parts, skipped or joined. wsproto takes a while.
        for kind, mask, ways in (
            ("C", _MASK, (0, 1, 2)),
            ("undecoded", None, (0, 1, 2)),
            ("wsproto", _MASK, (1,)),
        )
    },
    **{
        f"out of memory, {kind}, {side}": [
            step.to_bytes(2, "little") + seed
            for step in (3, 30)
            for seed in (_frames if kind == "wsproto" else _compressed)(mask)
        ]
        for kind in ("C", "Python", "wsproto")
        for side, mask in (("server", _MASK), ("client", None))
    },
    "extensions": [
        b"permessage-deflate",
        b"permessage-deflate; client_max_window_bits; server_max_window_bits=10",
        b'permessage-deflate; server_no_context_takeover; client_max_window_bits="9"',
        b"permessage-deflate; server_max_window_bits=8, x-other; a=b;;, permessage-x",
    ],
    "url": [
        b"ws://user:password@example.org:80/path?query#fragment",
        b"wss://[::1]:443",
        "ws://b\u00fccher.example/\u00fc\u00fc?x".encode(),
        b"http://example.org:70000/",
        b"ws:///nowhere",
        b"ws://&&&&&&&&&&@&&'&&&&&&&&&&&&\"",  # the userinfo is in the host as well
    ],
}
