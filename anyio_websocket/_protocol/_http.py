"""What both handshakes need of HTTP/1.1: checking headers, and serializing heads.

A head is a start line and the header lines up to the empty line. The functions check
the values of headers, those that were received and those that an application wants to
send.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from http import HTTPStatus
from typing import Final, cast

# The names that nearly every request and response has. A connection keeps its headers;
# with these it shares one copy of the name among all connections.
COMMON_NAMES: Final = {
    name: name
    for name in (
        *(b"accept-encoding", b"accept-language", b"authorization", b"cache-control"),
        *(b"connection", b"cookie", b"date", b"host", b"origin", b"pragma"),
        *(b"sec-websocket-accept", b"sec-websocket-extensions", b"sec-websocket-key"),
        *(b"sec-websocket-protocol", b"sec-websocket-version", b"server"),
        *(b"upgrade", b"user-agent"),
    )
}

TCHAR: Final = rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]"  # RFC 9110 section 5.6.2
TOKEN: Final = re.compile(TCHAR + rb"+")

Headers = Sequence[tuple[bytes, bytes]]
Fields = dict[bytes, list[bytes]]
ExtraHeaders = (
    Iterable[tuple[bytes, bytes] | tuple[str, str]]
    | Mapping[str, str]
    | Mapping[bytes, bytes]
    | None
)

# RFC 9110 section 5.5: visible bytes with spaces and tabs between them
FIELD_VALUE: Final = re.compile(
    rb"(?:[\x21-\x7e\x80-\xff](?:[\t\x20-\x7e\x80-\xff]*[\x21-\x7e\x80-\xff])?)?"
)

# An element of a comma-separated header. A quoted string that is not closed takes all
# that follows, so the pattern never has to go back, and takes linear time.
_LIST_ELEMENT: Final = re.compile(r'(?:[^,"]|"(?:[^"\\]|\\.)*(?:"|\\?\Z))+')

TARGET: Final = re.compile(r"/[\x21\x22\x24-\x7e]*")  # no space, no fragment
_ABSOLUTE: Final = re.compile(r"(?:https?|wss?)://([^/?#]+)(.*)", re.IGNORECASE)
_HOST: Final = re.compile(
    r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._~!$&'()*+,;=%-]+)(?::([0-9]{0,5}))?"
)

# Headers that the library writes itself, and why an application cannot set them.
_RESERVED_NAMES: Final = {
    b"connection": "the library sets it",
    b"content-length": "it follows from the body",
    b"transfer-encoding": "it follows from the body",
    b"upgrade": "the library sets it",
    b"sec-websocket-protocol": "use the argument for subprotocols",
}

BODILESS: Final = frozenset({204, 304})  # RFC 9110 section 8.6


class BadHead(Exception):
    """The peer's head breaks a rule of HTTP, or exceeds a limit.

    :param status_code: the status with which a server responds
    :param reason: what is wrong, in a text without bytes of the peer's
    :param headers: what such a response must have besides

    """

    def __init__(
        self, status_code: int, reason: str, *headers: tuple[bytes, bytes]
    ) -> None:
        super().__init__(status_code, reason)
        self.status_code = status_code
        self.reason = reason
        self.headers = headers


def parse_target(target: str) -> tuple[str, str | None]:
    """Take a request target apart.

    :return: the path with the query; and the host of a target that is a whole URL,
        with its port if it has one, which replaces the Host header then
    :raises BadHead: if the target has no path

    """
    host: str | None = None
    # RFC 9112 section 3.2.2: a server must accept the absolute form as well.
    if not target.startswith("/") and (absolute := _ABSOLUTE.fullmatch(target)):
        host, path = absolute.groups()
        target = path if path.startswith("/") else f"/{path}"
    if not TARGET.fullmatch(target):
        raise BadHead(400, "the target is not a path")
    return target, host


def check_host(host: str) -> None:
    """Check the value of a Host header.

    :raises BadHead: if it is not a host with an optional port

    """
    match = _HOST.fullmatch(host)
    if match is None or int(match.group(2) or 0) > 65535:
        raise BadHead(400, "Host is not a host")
    if "xn--" in host.lower():
        import idna  # takes 5 % of the package's import time, and few hosts need it

        try:
            idna.decode(match.group(1))
        except UnicodeError:
            raise BadHead(400, "Host is not a valid international name") from None


def validate_headers(
    headers: ExtraHeaders, argument: str = "extra_headers"
) -> list[tuple[bytes, bytes]]:
    """Return an application's extra headers as bytes.

    :param argument: what the application calls them; errors name it
    :raises ValueError: if a name or a value cannot be sent, or if the handshake sets
        that header itself; the text shows no values because they may be secrets
    :raises TypeError: if they are not pairs, or a name or a value is neither ``bytes``
        nor ``str``

    """
    checked: list[tuple[bytes, bytes]] = []
    if headers is None:
        return checked
    for index, (name, value) in enumerate(header_pairs(headers, argument)):
        key = _encoded(name, "a header's name")
        if not TOKEN.fullmatch(key):  # not shown: it may be a whole line, with a token
            raise ValueError(
                f"the name of header {index} in {argument} is not a token of HTTP"
            )
        data = _encoded(value, f"the value of header {name!r}").strip(b" \t")
        if not FIELD_VALUE.fullmatch(data):
            raise ValueError(f"the value of header {name!r} has control characters")
        lower = key.lower()
        if lower in _RESERVED_NAMES or lower.startswith(b"sec-websocket-"):
            reason = _RESERVED_NAMES.get(lower, "the library sets it")
            raise ValueError(f"header {name!r} may not be given: {reason}")
        checked.append((key, data))
    return checked


def header_pairs(headers: object, argument: str) -> Iterator[tuple[object, object]]:
    """Take apart what a user passed as headers: names and values, not checked.

    :param argument: its name, for errors
    :raises TypeError: if it is neither a mapping nor made of pairs

    """
    if isinstance(headers, Mapping):
        yield from cast("Mapping[object, object]", headers).items()
        return
    # Of what is wrong, only the type is shown: a value may be a secret.
    kind = type(headers).__name__
    if isinstance(headers, str | bytes) or not isinstance(headers, Iterable):
        raise _wrong_shape(argument, kind)
    for pair in cast("Iterable[object]", headers):
        # A str of two characters could be unpacked, too.
        if isinstance(pair, str | bytes) or not isinstance(pair, Iterable):
            given = f"{kind} with a {type(pair).__name__} in it"
            raise _wrong_shape(argument, given)
        items = tuple(cast("Iterable[object]", pair))
        if len(items) != 2:
            given = f"{kind} with {len(items)} items instead of a pair"
            raise _wrong_shape(argument, given)
        yield items[0], items[1]


def _wrong_shape(argument: str, given: str) -> TypeError:
    return TypeError(
        f'{argument} must be like [("Name", "value")] or {{"Name": "value"}}, '
        f"not {given}"
    )


def _encoded(text: object, what: str) -> bytes:
    if isinstance(text, bytes):
        return text
    if not isinstance(text, str):
        raise TypeError(f"{what} must be bytes or str, not {type(text).__name__}")
    try:
        return text.encode("latin-1")
    except UnicodeEncodeError:
        raise ValueError(f"{what} has characters outside latin-1") from None


def group_headers(headers: Headers) -> Fields:
    """Group the values of headers by their names, which are in lower case."""
    fields: Fields = {}
    for name, value in headers:
        fields.setdefault(name, []).append(value)
    return fields


def header_value(headers: Headers, name: str | bytes) -> str | None:
    """Return the value of a header; see `WebSocketRequest.header`."""
    wanted = (name.encode() if isinstance(name, str) else name).lower()
    values = [value for key, value in headers if key == wanted]
    return b", ".join(values).decode("latin-1") if values else None


def parse_list(fields: Fields, name: bytes) -> list[str]:
    """Return the elements of a comma-separated header, of all its lines.

    A comma in a quoted string separates nothing (RFC 9110 section 5.6.1).

    :raises UnicodeDecodeError: if a value is not ASCII

    """
    return [
        element
        for value in fields.get(name, ())
        for part in _split_list(value.decode("ascii"))
        if (element := part.strip(" \t"))
    ]


def _split_list(value: str) -> list[str]:
    return _LIST_ELEMENT.findall(value) if '"' in value else value.split(",")


def has_token(fields: Fields, name: bytes, token: str) -> bool:
    """Say whether a comma-separated header has a token, which is in lower case."""
    values = fields.get(name, ())
    if len(values) == 1 and values[0].lower() == token.encode():  # as most clients do
        return True
    return any(element.lower() == token for element in parse_list(fields, name))


def is_token(text: str) -> bool:
    """Say whether a text is a token of HTTP (RFC 9110 section 5.6.2)."""
    return text.isascii() and TOKEN.fullmatch(text.encode()) is not None


def check_response(status_code: int, body: bytes | None) -> None:
    """Check what an application wants to respond, after which the connection closes.

    :raises ValueError: if the status is not that of a final response, or if a response
        with this status cannot have the body
    :raises TypeError: if the status is not an int, or the body is not ``bytes``

    """
    if not isinstance(status_code, int) or isinstance(status_code, bool):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise TypeError(f"the status must be an int, not {status_code!r}")
    if not 200 <= status_code <= 999:
        raise ValueError(f"status {status_code} does not end a request: use 200 to 999")
    if not isinstance(body, bytes | None):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise TypeError(
            f"the body must be bytes, not {type(body).__name__}"
            + ": encode it" * isinstance(body, str)
        )
    if status_code in BODILESS and body:
        raise ValueError(f"a response with status {status_code} has no body")


def serialize_response(
    status_code: int,
    extra: Headers,
    body: bytes | None,
    *,
    to_head: bool = False,
) -> bytes:
    """Serialize a response after which the connection is closed.

    :param status_code: the status, 200 to 999
    :param extra: headers to add, checked already
    :param body: the body; ``None`` sends an empty one
    :param to_head: whether the method was HEAD: then the length of the body is sent,
        but not the body (RFC 9110 section 9.3.2). If the body is empty, it may have
        been left out already, and nobody knows the length of that of a GET (section
        8.6)
    :raises ValueError: see `check_response`
    :raises TypeError: see `check_response`

    """
    check_response(status_code, body)
    headers = [(b"Connection", b"close")]
    if status_code not in BODILESS and (body or not to_head):
        headers.append((b"Content-Length", b"%d" % len(body or b"")))
    try:
        phrase = HTTPStatus(status_code).phrase
    except ValueError:  # a status that is not registered
        phrase = ""
    # As a number, because a subclass of int may have a text of its own.
    start = b"HTTP/1.1 %d %b" % (status_code, phrase.encode())
    head = serialize_head(start, [*headers, *extra])
    return head if to_head or body is None else head + body


def serialize_head(start_line: bytes, headers: Headers) -> bytes:
    """Serialize a head; its parts were checked already."""
    lines = [start_line, *[b"%b: %b" % field for field in headers], b"", b""]
    return b"\r\n".join(lines)
