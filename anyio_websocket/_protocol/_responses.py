"""Reading the final response to a client's request, within limits.

A server answers a request to upgrade, and a proxy a request to connect. Whoever it is
may be hostile, so heads are limited, and so is the number of interim responses.
"""

from __future__ import annotations

from typing import Final

import h11

from ._head_reader import STATUS_LINE, STATUS_START, HeadReader
from ._http import BadHead

MAX_INTERIM: Final = 10  # interim (1xx) responses that are skipped

Response = h11.Response | h11.InformationalResponse


class HandshakeFailure(Exception):
    """The peer's bytes are not a valid response; the text says why."""


class ResponseReader:
    """Reads the response to one request, up to the end of its head.

    :param connection: h11's, which was given the request: it parses the head
    :param max_head_size: bytes of the head of a response
    :param sender: who responds, for errors

    """

    def __init__(
        self, connection: h11.Connection, max_head_size: int, sender: str
    ) -> None:
        self._connection = connection
        self._max_head_size = max_head_size
        self._sender = sender
        self._head = self._new_head()
        self._interim = 0

    def feed(self, data: bytes) -> Response | None:
        """Add received bytes; return the final response once its head is complete.

        A response with status 101 is final, too.

        :raises HandshakeFailure: if the bytes are not a valid response

        """
        while True:
            try:
                head = self._head.feed(data)
            except BadHead as exc:
                fault = "not HTTP/1.1" if exc.status_code == 400 else "too large"
                raise HandshakeFailure(
                    f"the {self._sender}'s response is {fault}: {exc.reason}"
                ) from None
            if head is None:
                return None
            response = self._parse(head)
            if response.status_code == 101 or response.status_code >= 200:
                return response
            # RFC 9110 section 15.2: interim responses may come before the final one.
            self._interim += 1
            if self._interim > MAX_INTERIM:
                raise HandshakeFailure(f"more than {MAX_INTERIM} interim responses")
            data = self.trailing
            self._head = self._new_head()

    @property
    def trailing(self) -> bytes:
        """The bytes that were received after the head."""
        return self._head.trailing

    def _new_head(self) -> HeadReader:
        return HeadReader(STATUS_LINE, STATUS_START, max_size=self._max_head_size)

    def _parse(self, head: bytes) -> Response:
        self._connection.receive_data(head)
        try:
            event = self._connection.next_event()
        except h11.RemoteProtocolError:
            raise HandshakeFailure(
                f"the {self._sender}'s response is not HTTP/1.1"
            ) from None
        assert isinstance(event, Response)
        return event
