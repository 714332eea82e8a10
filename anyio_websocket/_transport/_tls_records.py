"""Records that a TLS peer has sent become plaintext; nothing here waits.

In: bytes that were received. Out: what they decrypt to, up to a size; and over the
transport below, what TLS itself replies.

Theory of operation
-------------------
An ``ssl.SSLObject`` reads records from an ``ssl.MemoryBIO``. Decrypting takes time: a
record of one byte takes 1.2 us, and one that asks for new keys 23 us, so that a read of
128 KiB could be 0.1 s of work. So OpenSSL is given no more than `MAX_RECORDS` before
other tasks run. Where records end is in their headers, which are not encrypted (RFC
8446 section 5.1).

It is given one record at a time, for two more reasons. A ``MemoryBIO`` never gives
memory back: it would keep as much as the largest read of its connection. And a record
that was just copied is still in the processor's cache when it is decrypted.

Several records are joined once. To append each to those before it would copy the first
ones again and again.
"""

from __future__ import annotations

import ssl
from typing import Final

from ._interface import Transport, TransportLost

# Bytes. TLS 1.3 lets a peer ask for any number of key updates (RFC 8446 section 4.6.3),
# with 22 bytes each, and every answer is as long. An honest peer asks once in 2**24
# records, so a single answer waits at most.
MAX_UNSENT_ANSWERS: Final = 65_536

# Records that are decrypted in one turn, which takes 1.5 ms at the most.
MAX_RECORDS: Final = 64
# Bytes that are returned at once at most.
MAX_PLAINTEXT: Final = 131_072
_HEADER: Final = 5  # bytes; the last two are the length of what follows
_RECORD: Final = 16_384  # bytes of plaintext in a record (RFC 8446 section 5.1)


class TlsRecords:
    """What a TLS connection receives, in memory.

    :param below: the transport that carries the TLS records
    :param tls: decrypts
    :param incoming: the records that ``tls`` reads
    :param outgoing: the records that it writes
    :param received: records that were received already

    """

    __slots__ = (
        "_below",
        "_error",
        "_has_left",
        "_has_sent_eof",
        "_incoming",
        "_outgoing",
        "_record_left",
        "_records",
        "_tls",
        "_unsent_answers",
        "_waiting",
    )

    def __init__(
        self,
        below: Transport,
        tls: ssl.SSLObject,
        incoming: ssl.MemoryBIO,
        outgoing: ssl.MemoryBIO,
        received: bytes,
    ) -> None:
        self._below = below
        self._tls = tls
        self._incoming = incoming
        self._outgoing = outgoing
        self._waiting = received  # and OpenSSL was not given it yet
        self._record_left = 0  # bytes still to come of the record given last
        self._records = 0  # that were given in this turn
        # Whether `_decrypt` may return more before more is received.
        self._has_left = False
        self._error: ssl.SSLError | None = None  # comes behind what was returned
        self._has_sent_eof = False
        self._unsent_answers = 0  # bytes, since the peer last took everything

    def _give(self, received: bytes = b"") -> bool:
        """Give OpenSSL records for its handshake, as many as a turn may have.

        :return: whether there was anything to give

        """
        data = self._waiting + received
        start = end = self._records = 0
        while (end := self._end_of_record(data, start)) > start:
            start = end
        self._waiting = data[end:]
        self._incoming.write(data[:end])
        self._has_left = True
        return end > 0

    def _end_handshake(self) -> None:
        # What comes behind the handshake may have come with it.
        self._has_left = self._incoming.pending > 0 or len(self._waiting) >= _HEADER

    def _decrypt(self, received: bytes, size: int) -> bytes | None:
        """Decrypt what was received, and what was left before it.

        :param received: what was received now, which begins a new turn; nothing if the
            turn goes on
        :param size: bytes that may be returned
        :return: ``None`` if there is no data yet, ``b""`` at the end
        :raises TransportLost: if it is not TLS or was tampered with, or the peer makes
            us answer and does not read

        """
        length = len(received)
        try:
            if (
                length > _HEADER
                and length == _HEADER + (received[3] << 8 | received[4])
                and length <= size
                and not (self._record_left or self._has_left or self._waiting)
            ):
                # A single record, as is most often.
                self._incoming.write(received)
                return self._tls.read(length)
            return self._decrypt_several(received, min(size, MAX_PLAINTEXT))
        except ssl.SSLWantReadError:  # it has no data, or the rest is to come
            return None
        except ssl.SSLZeroReturnError:  # close_notify
            return b""
        except ssl.SSLError as exc:
            if not self._has_sent_eof:
                raise TransportLost("TLS broke while receiving") from exc
            # OpenSSL reads nothing any more once data has come after its close_notify.
            # Nobody wants that data, but it has to be taken: see `respond_and_close`.
            self._incoming.read()
            self._waiting = b""
            self._has_left = False
            return None
        finally:
            if self._outgoing.pending:  # a key update, an alert
                self._answer()

    def _decrypt_several(self, received: bytes, size: int) -> bytes | None:
        """Decrypt what is not a single record, as far as the turn goes.

        As much as possible: the reader is called once for each read from the network,
        not once for each record (of at most 16 KiB).
        """
        if self._error is not None:
            raise self._pop_error()
        if received:
            self._records = 0
        data = memoryview(self._waiting + received)
        end = 0
        room = size
        is_given = self._has_left  # whether OpenSSL may have a whole record
        is_over = False
        pieces: list[bytes] = []
        try:
            while room and not is_over:
                if not is_given:
                    start, end = end, self._end_of_record(data, end)
                    if start == end:
                        break
                    # A part as well: that it cannot be TLS is in the header.
                    self._incoming.write(data[start:end])
                try:
                    piece = self._tls.read(min(room, _RECORD))
                except ssl.SSLWantReadError:  # it is a part, or has no data
                    is_given = False
                else:
                    pieces.append(piece)
                    room -= len(piece)
                    is_given = not room or self._incoming.pending > 0
                    is_over = not piece  # close_notify; what follows is never taken
        except ssl.SSLError as exc:
            if not pieces:
                raise
            self._error = exc.with_traceback(None)
            is_over = True
        finally:
            if is_over:
                end = len(data)
            self._waiting = bytes(data[end:])
            if is_over:
                self._has_left = room < size
            else:
                self._has_left = is_given or len(self._waiting) >= _HEADER
        return b"".join(pieces) if pieces else None

    def _end_of_record(self, data: bytes | memoryview, start: int) -> int:
        """Return where a record ends, or what has come of it.

        :param start: where it begins, or goes on
        :return: ``start`` if its length is not known yet, or the turn is over

        """
        left = self._record_left
        if not left:
            if len(data) - start < _HEADER or self._records >= MAX_RECORDS:
                return start
            self._records += 1
            left = _HEADER + (data[start + 3] << 8 | data[start + 4])
        end = min(start + left, len(data))
        self._record_left = left - (end - start)
        return end

    def _pop_error(self) -> ssl.SSLError:
        error, self._error = self._error, None
        assert error is not None
        return error

    def _answer(self) -> None:
        """Send what TLS itself has to say, such as an answer to a key update.

        :raises TransportLost: if the peer makes us answer, and does not read

        """
        answer = self._outgoing.read()
        try:
            everything_sent = self._below.write(answer)
        except TransportLost:
            return  # what was received is still returned
        # Other unsent bytes belong to a message, and its sender waits for them.
        if everything_sent or len(self._below.unsent) <= len(answer):
            self._unsent_answers = 0
        if not everything_sent:
            self._unsent_answers += len(answer)
            if self._unsent_answers > MAX_UNSENT_ANSWERS:
                raise TransportLost(
                    "the TLS peer requests key updates and does not read the answers"
                )
