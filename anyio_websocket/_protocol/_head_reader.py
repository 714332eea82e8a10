"""Collecting a received head of HTTP/1.1 line by line, within limits.

Received bytes come in. A head whose lines are well formed comes out: a start line and
the header lines up to the empty line. What is in the lines is for h11 to check.
"""

from __future__ import annotations

import re
from typing import Final

from ._http import TCHAR, BadHead

# RFC 9112 sections 3 and 4
REQUEST_LINE: Final = re.compile(TCHAR + rb"+ [^ ]+ HTTP/[0-9]\.[0-9]")
REQUEST_START: Final = re.compile(TCHAR)
STATUS_LINE: Final = re.compile(rb"HTTP/1\.[0-9] [1-9][0-9]{2}(?: .*)?")
STATUS_START: Final = re.compile(rb"H(?:\Z|T(?:\Z|T(?:\Z|P(?:\Z|/))))")

# bytes; cookies and tokens make heads of 9 to 20 KB, which the 16 KiB of most libraries
# do not hold
MAX_HEAD_SIZE: Final = 65536
# What follows from the size of the whole, with the least of each: 16 KiB for a line and
# 128 headers by default. One header must not take all. Headers are counted because the
# objects of a short one take more memory than its bytes.
_LINES_IN_A_HEAD: Final = 4
_BYTES_FOR_A_HEADER: Final = 512
_LEAST_LINE: Final = 8192
_LEAST_HEADERS: Final = 100


class HeadReader:
    """Collects the head of a request or of a response, line by line.

    It is stricter than h11, which accepts folded lines and lines that end in a bare
    LF: requests are smuggled where two parsers see different lines. Each byte is
    looked at once, however small the pieces are in which it is received.

    :param start_line: a pattern for the whole first line, without its line end
    :param start: a pattern for its first bytes, so that a peer which does not speak
        HTTP and never ends a line is found out early
    :param blank_line: whether one empty line may come first and is ignored (RFC 9112
        section 2.2)
    :param max_size: bytes of the whole head; a line may have a quarter of it, or 8 KiB
        if that is more, and there may be one header for each 512 bytes, or 100

    """

    __slots__ = (
        "_beginning",
        "_blank_line",
        "_buffer",
        "_fields",
        "_line",
        "_max_headers",
        "_max_line",
        "_max_size",
        "_scanned",
        "_start",
        "_start_line",
    )

    def __init__(
        self,
        start_line: re.Pattern[bytes],
        start: re.Pattern[bytes],
        *,
        blank_line: bool = False,
        max_size: int = MAX_HEAD_SIZE,
    ) -> None:
        self._max_size = max_size
        self._max_line = max(max_size // _LINES_IN_A_HEAD, _LEAST_LINE)
        self._max_headers = max(max_size // _BYTES_FOR_A_HEADER, _LEAST_HEADERS)
        self._start_line = start_line
        self._start = start
        self._blank_line = blank_line
        self._beginning = b""  # of the head, once it is complete
        self._buffer = bytearray()
        self._line = 0  # offset at which the current line starts
        self._scanned = 0  # offset up to which there is no further line end
        self._fields = -1  # header lines so far; -1 before the start line

    def feed(self, data: bytes) -> bytes | None:
        """Add received bytes; return the head once it is complete.

        :raises BadHead: as soon as the bytes cannot become a valid head

        """
        buffer = self._buffer
        if not buffer and (head := self._whole_head(data)) is not None:
            return head
        buffer += data
        if self._blank_line and buffer:
            if len(buffer) == 1 and buffer.startswith(b"\r"):
                return None
            self._blank_line = False
            if buffer.startswith(b"\r\n"):
                del buffer[:2]
        if self._fields < 0 and buffer and not self._start.match(buffer):
            raise BadHead(400, "this is not HTTP")
        while True:
            end = buffer.find(b"\n", self._scanned)
            if end < 0:
                self._scanned = len(buffer)
                self._check_size(len(buffer))
                return None
            self._check_size(end + 1)
            line = bytes(buffer[self._line : end])
            if not line.endswith(b"\r") or line.count(b"\r") > 1 or b"\0" in line:
                raise BadHead(
                    400, "a line does not end in CR LF, or has a stray CR or NUL"
                )
            self._line = self._scanned = end + 1
            if len(line) == 1:
                head = bytes(buffer[: self._line])
                # The caller has it, and a handler may take long to accept a request.
                self._beginning = head[:8]
                self._buffer = buffer[self._line :]
                return head
            if line[0] in b" \t":
                raise BadHead(400, "a header is folded")
            if self._fields < 0 and not self._start_line.fullmatch(
                line, 0, len(line) - 1
            ):
                raise BadHead(400, "this is not HTTP")
            self._fields += 1
            if self._fields > self._max_headers:
                raise self._too_large(431, f"more than {self._max_headers} headers")

    def _whole_head(self, data: bytes) -> bytes | None:
        """Return a head that comes in one piece and is short, as nearly all are.

        It is held against the same rules, for all lines at once, which takes a sixth of
        the time. If it breaks one, `feed` finds out which.
        """
        end = data.find(b"\r\n\r\n") + 4
        if not 4 < end <= min(_LEAST_LINE, self._max_size):
            return None
        head = data[:end]
        lines = head.count(b"\n")
        if (
            not head.count(b"\r") == head.count(b"\r\n") == lines <= _LEAST_HEADERS
            or b"\0" in head
            or b"\n " in head
            or b"\n\t" in head
            or not self._start_line.fullmatch(head, 0, head.find(b"\r"))
        ):
            return None
        self._beginning = head[:8]
        self._buffer += data[end:]
        return head

    def starts_with(self, start: bytes) -> bool:
        """Say whether the head, which may be incomplete, starts with these bytes.

        :param start: eight bytes at most

        """
        return (self._beginning or self._buffer).startswith(start)

    @property
    def trailing(self) -> bytes:
        """The bytes that were received after the head."""
        return bytes(self._buffer)

    def _check_size(self, end: int) -> None:
        if end - self._line > self._max_line:
            start = self._fields < 0
            what = "the first line" if start else "a header"
            raise self._too_large(
                414 if start else 431, f"{what} is longer than {self._max_line} bytes"
            )
        if end > self._max_size:
            raise self._too_large(
                431, f"the head is longer than {self._max_size} bytes"
            )

    def _too_large(self, status_code: int, reason: str) -> BadHead:
        # The reason is all that the operator sees of it, so it names the option.
        return BadHead(status_code, f"{reason} (max_head_size={self._max_size})")
