"""The server's side of the opening handshake (RFC 6455 section 4.2), without I/O.

It checks the request, and makes the response that the application decides on.
"""

from typing import Final, NamedTuple

from ._extensions import NO_EXTENSIONS, Extensions
from ._handshake_key import accept_key
from ._head_reader import MAX_HEAD_SIZE
from ._http import (
    BadHead,
    ExtraHeaders,
    serialize_head,
    serialize_response,
    validate_headers,
)
from ._http2_response import http2_head, http2_response
from ._origins import Origins
from ._parsed_request import check_fields
from ._plain_request import PlainRequest, PlainRequestReader, wants_websocket
from ._request_head import RequestHead, RequestReader
from ._upgrade_request import ForeignOrigin, Request, check_upgrade


class Rejection(NamedTuple):
    """An invalid request: send the response, then close the connection."""

    status_code: int
    response: bytes
    reason: str  # for the log
    is_origin: bool = False  # whether it is because of the Origin


_CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"


class ServerHandshake:
    """The server's side of one handshake.

    :param origins: which web pages may connect
    :param extensions: the extensions that the client may choose from
    :param is_ssl: whether the client speaks TLS with this server, not with a proxy
    :param max_head_size: bytes of the head of the request
    :param max_body: bytes of the body of a request that wants no WebSocket; ``None`` if
        such requests are not served

    """

    def __init__(
        self,
        *,
        origins: Origins,
        extensions: Extensions = NO_EXTENSIONS,
        is_ssl: bool = False,
        max_head_size: int = MAX_HEAD_SIZE,
        max_body: int | None = None,
    ) -> None:
        self._origins = origins
        self._extensions = extensions
        self._is_ssl = is_ssl
        self._max_body = max_body
        self._reader = RequestReader(max_head_size)
        self._trailing = b""
        self._is_http2 = False
        self._plain: PlainRequestReader | None = None
        self._key = b""
        self._subprotocols: tuple[str, ...] = ()
        self._offers: list[str] = []  # of extensions
        #: the head of the request as it was received, if it is valid
        self.head: RequestHead | None = None
        #: whether a response was made that rejects the request
        self.rejected: bool = False

    def receive_data(self, data: bytes) -> Request | PlainRequest | Rejection | None:
        """Add received bytes; return ``None`` until the request is complete.

        See `has_more`.
        """
        try:
            if self._plain is not None:
                return self._plain.feed(data)
            head = self._reader.feed(data)
            if head is None:
                return None
            if self._max_body is not None and not wants_websocket(head):
                self._plain = PlainRequestReader(head, self._max_body)
                return self._plain.feed(self._reader.trailing)
        except BadHead as exc:
            error = exc
        except UnicodeDecodeError:
            error = _not_ascii()
        else:
            return self.check(head)
        return self._rejection(error, is_head=self._reader.is_head)

    @property
    def has_more(self) -> bool:
        """Whether to go on with `receive_data` without waiting, once others have run.

        There are bytes of a body that were not parsed yet. So pass it ``b""``.
        """
        return self._plain is not None and self._plain.has_more

    def interim_response(self) -> bytes:
        """Return what the client waits for before it goes on; mostly ``b""``."""
        if self._plain is None or not self._plain.client_waits:
            return b""
        self._plain.client_waits = False
        return _CONTINUE

    def check_parsed(self, head: RequestHead, trailing: bytes) -> Request | Rejection:
        """Check a request that somebody else parsed.

        :param trailing: the bytes that were received after its head

        """
        self._trailing = trailing
        self._is_http2 = head.is_http2
        try:
            check_fields(head.headers)
        except BadHead as exc:
            return self._rejection(exc, is_head=head.method == b"HEAD")
        return self.check(head)

    def check(self, head: RequestHead) -> Request | Rejection:
        """Check a request whose head was parsed, here or by somebody else."""
        try:
            upgrade = check_upgrade(head, self._origins, is_ssl=self._is_ssl)
        except BadHead as exc:
            error = exc
        except UnicodeDecodeError:
            error = _not_ascii()
        else:
            self._key = upgrade.key
            self._offers = upgrade.offers
            self._subprotocols = upgrade.request.subprotocols
            self.head = head
            return upgrade.request
        return self._rejection(error, is_head=head.method == b"HEAD")

    @property
    def trailing(self) -> bytes:
        """The bytes that were received after the request: the first frames."""
        return self._trailing or self._reader.trailing

    def accept(
        self,
        *,
        subprotocol: str | None = None,
        extra_headers: ExtraHeaders = None,
        extensions: Extensions | None = None,
    ) -> tuple[bytes, Extensions]:
        """Make the response that opens the connection.

        :param subprotocol: one of the subprotocols that the client proposed; ``None``
            selects none
        :param extra_headers: headers to add to the response
        :param extensions: the extensions that the client may choose from; ``None``
            uses those of the constructor
        :return: the response, and the extensions that were agreed on
        :raises ValueError: if the client did not propose the subprotocol, or if a
            header may not be sent

        """
        headers: list[tuple[bytes, bytes]] = []
        if not self._is_http2:
            headers = [
                (b"Upgrade", b"websocket"),
                (b"Connection", b"Upgrade"),
                (b"Sec-WebSocket-Accept", accept_key(self._key)),
            ]
        if subprotocol is not None:
            if subprotocol not in self._subprotocols:
                raise ValueError(
                    f"subprotocol {subprotocol!r} is not among the "
                    f"{len(self._subprotocols)} that the client proposed"
                )
            headers.append((b"Sec-WebSocket-Protocol", subprotocol.encode()))
        headers += validate_headers(extra_headers)
        if extensions is None:
            extensions = self._extensions
        chosen, agreed = extensions.respond(self._offers)
        if chosen:
            headers.append((b"Sec-WebSocket-Extensions", chosen.encode()))
        if self._is_http2:
            return http2_head(200, headers), agreed
        return serialize_head(b"HTTP/1.1 101 Switching Protocols", headers), agreed

    def reject(
        self,
        status_code: int,
        *,
        extra_headers: ExtraHeaders = None,
        body: bytes | None = None,
    ) -> bytes:
        """Make the response that rejects the connection.

        :param status_code: the status, 200 to 999
        :param extra_headers: headers to add to the response
        :param body: the body; ``None`` sends an empty one
        :raises ValueError: if the status is not that of a final response, if a response
            with this status has no body, or if a header may not be sent
        :raises TypeError: if the status is not an int, or the body is not ``bytes``

        """
        respond = http2_response if self._is_http2 else serialize_response
        response = respond(status_code, validate_headers(extra_headers), body)
        self.rejected = True
        return response

    def _rejection(self, error: BadHead, *, is_head: bool) -> Rejection:
        fields = [(b"Content-Type", b"text/plain; charset=utf-8"), *error.headers]
        body = f"{error.reason}\n".encode()
        respond = http2_response if self._is_http2 else serialize_response
        response = respond(error.status_code, fields, body, to_head=is_head)
        self.rejected = True
        return Rejection(
            error.status_code, response, error.reason, isinstance(error, ForeignOrigin)
        )


def _not_ascii() -> BadHead:
    return BadHead(400, "a header of the handshake is not ASCII")
