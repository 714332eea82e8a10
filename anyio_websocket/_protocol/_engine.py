"""One open connection without I/O: what the peer said, and what may still be said.

Received bytes become events; what the application wants to send becomes bytes.

Theory of operation
-------------------
A codec knows frames; the engine knows the conversation. Three facts describe it, and
each of them is set once: which Close was received, which Close was sent, and whether
the peer broke the protocol. The rest follows from them:

* After the peer's Close or its violation no more bytes are parsed. RFC 6455 section
  1.4 says that what comes after a Close is discarded, and section 7.1.7 that a failed
  connection must not process data. The same holds after any other exception out of the
  codec.
* After our Close nothing else is sent (section 5.5.1), so a Ping that is received
  then gets no Pong.
* A received Close gets one Close in reply, with the same code (section 5.5.1), unless
  we sent ours first.

Events are pulled one at a time, so that no more messages exist as objects than the
receiver has slots for. The others wait in the codec as bytes.
"""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Final, NamedTuple

from ._close import NO_STATUS_RCVD
from ._codec import Close, Codec, Frame, Paused, Ping, Pong, ProtocolViolation
from ._compressed_frames import DeflateCodec, UndecodedDeflateCodec
from ._counted import CountedCodec, MessageCounts
from ._extensions import Extensions
from ._frames import FrameCodec
from ._received_parts import Part, ReceivedParts
from ._undecoded import UndecodedCodec

# Fragments in one message. Autobahn sends 65 536. Fragments are joined as they come and
# take no memory of their own, so this only bounds the CPU time that one message takes.
MAX_FRAGMENTS: Final = 131_072

# characters or bytes; copying a message of this size costs more in page faults than in
# copying: a server's echo of 1 MiB takes 1290 us with the copy and 630 without
NO_COPY_SIZE: Final = 131_072


class Failure(NamedTuple):
    """The peer broke the protocol; everything that it sends after that is ignored."""

    code: int
    reason: str


Event = str | bytes | Part | Ping | Pong | Close | Paused | Failure


class Engine:
    """The conversation over one open connection.

    :param codec: the frames of this side of the connection

    """

    __slots__ = (
        "_codec",
        "_incoming",
        "bytes_received",
        "close_received",
        "close_sent",
        "failed",
        "frame_message",
        "take_messages",
    )

    def __init__(self, codec: Codec) -> None:
        self._codec = codec
        # What the peer sends goes through this. It is the codec, as a rule.
        self._incoming: Codec | ReceivedParts = codec
        # These two are the codec's own functions, which saves a call per message. The
        # others are methods: an attribute takes memory in each connection.
        #: return the next messages that are cheap to decode, at most as many as asked
        #: for; an empty list does not mean that there is no event
        self.take_messages: Callable[[int], list[str | bytes]] = codec.take_messages
        #: frame a message, which must be sent before the next one is framed
        self.frame_message: Callable[[str | bytes], bytes] = codec.framer()
        #: bytes that were received; they do not count once the peer has closed
        self.bytes_received: int = 0
        #: the peer's Close, once it was received
        self.close_received: Close | None = None
        #: our Close, once it was framed
        self.close_sent: Close | None = None
        #: whether the peer broke the protocol, or decoding raised something else
        self.failed: bool = False

    def frame(self, message: str | bytes) -> Frame:
        """Frame a message of any size, as `frame_message` and `frame_large` do."""
        if len(message) < NO_COPY_SIZE:
            return self.frame_message(message)
        return self._codec.frame_large(message)

    @property
    def mask_keys(self) -> Iterator[bytes] | None:
        """The mask keys, if `frame_message` adds a header and masks, and no more."""
        codec = self._codec
        return codec.plain_keys if isinstance(codec, FrameCodec) else None

    @property
    def counts(self) -> MessageCounts | None:
        """How many messages there were; ``None`` if they are not counted."""
        codec = self._codec
        return codec.counts if isinstance(codec, CountedCodec) else None

    def frame_large(self, message: str | bytes) -> Frame:
        """Frame a message of `NO_COPY_SIZE` or more, as `frame_message` does."""
        return self._codec.frame_large(message)

    def framer(self, compress: bool) -> Callable[[str | bytes], bytes]:
        """Return a function that frames messages, compressed or not.

        :param compress: whether to compress, if compression was negotiated

        """
        return partial(self._codec.frame_message, compress=compress)

    def frame_for_many(
        self, message: str | bytes, compress: bool | None, made: dict[object, bytes]
    ) -> bytes | None:
        """Frame a message that many connections are sent; see `Codec`."""
        return self._codec.frame_for_many(message, compress, made)

    def count_sent(self) -> None:
        """Count a message whose frame was made for many, if messages are counted."""
        if isinstance(self._codec, CountedCodec):
            self._codec.add_sent()

    def fragmenter(self, compress: bool | None) -> Callable[[str | bytes, bool], Frame]:
        """Return a function that frames one message in fragments; see `Codec`."""
        return self._codec.fragmenter(compress)

    def receive_data(self, data: bytes) -> None:
        """Add received bytes; they are ignored once the peer has closed or failed."""
        if self.close_received is None and not self.failed:
            self.bytes_received += len(data)
            try:
                self._incoming.feed(data)
            except BaseException:
                self.fail()
                raise

    def receive_rest(self, receive_into: Callable[[memoryview], int]) -> int:
        """Receive more of a large message straight to its place; see `Codec`."""
        if (
            self._incoming is not self._codec
            or self.close_received is not None
            or self.failed
        ):
            return 0
        size = self._codec.receive_rest(receive_into)
        self.bytes_received += size
        return size

    def take_received(
        self, data: bytes, max_count: int
    ) -> tuple[list[str | bytes], bool]:
        """Do what `receive_data` and `take_messages` do, in fewer calls.

        :return: the messages, and ``False`` if there is surely no event left

        """
        if self.close_received is not None or self.failed:
            return [], False
        self.bytes_received += len(data)
        try:
            return self._incoming.take_received(data, max_count)
        except BaseException:
            self.fail()
            raise

    def has_more(self) -> bool:
        """Say whether there may be another event in the bytes received so far."""
        return self._incoming.has_more()

    def next_event(self) -> Event | None:
        """Return the next event, ``None`` if more bytes are needed.

        `Paused.PAUSED` asks the caller to let other tasks run before the next call.
        """
        if self.close_received is not None or self.failed:
            return None
        try:
            event = self._incoming.next()
        except ProtocolViolation as violation:
            self.fail()
            return Failure(violation.code, violation.reason)
        except BaseException:  # out of memory, an extension that raises, Ctrl-C
            self.fail()
            raise
        if event.__class__ is Close:
            assert isinstance(event, Close)
            self.close_received = event
            self.take_messages = _no_messages
        return event

    def begin_parts(self) -> None:
        """Have the next message come as events of the kind `Part`."""
        if not isinstance(self._incoming, ReceivedParts):
            self._incoming = ReceivedParts(self._codec, self._on_end_of_parts)
        self._incoming.begin()
        self.take_messages = _no_messages

    def skip_parts(self) -> None:
        """Have no more parts of the message come, of which some were taken."""
        if isinstance(self._incoming, ReceivedParts):
            self._incoming.skip()

    def join_parts(self, payload: bytes) -> None:
        """Have the message come whole after all.

        :param payload: of its parts so far

        """
        if isinstance(self._incoming, ReceivedParts):
            self._incoming.join(payload)

    def _on_end_of_parts(self) -> None:
        self._incoming = self._codec
        if self.close_received is None and not self.failed:
            self.take_messages = self._codec.take_messages

    def fail(self) -> None:
        """Give out nothing more.

        After an exception out of the codec nobody knows how far it came: the next
        message might have the right length and the wrong bytes. `take_messages` is the
        codec's own, so its caller has to call this.
        """
        self.failed = True
        self.take_messages = _no_messages

    def frame_ping(self, payload: bytes) -> bytes:
        """Frame a Ping."""
        return self._codec.frame_ping(payload)

    def frame_pong(self, payload: bytes) -> bytes:
        """Frame a Pong; return nothing if our Close was framed already."""
        if self.close_sent is not None:
            return b""
        return self._codec.frame_pong(payload)

    def frame_close(self, code: int, reason: str) -> bytes:
        """Frame our Close and remember it; return nothing if there is one already.

        :param code: the close code; 1005 makes a Close without a code

        """
        if self.close_sent is not None:
            return b""
        self.close_sent = Close(code, reason)
        sent_code = None if code == NO_STATUS_RCVD else code
        return self._codec.frame_close(sent_code, reason)


def _no_messages(max_count: int) -> list[str | bytes]:
    """Replace the codec's `take_messages` once the peer has closed or failed."""
    return []


def open_engine(
    extensions: Extensions,
    *,
    is_client: bool,
    max_message_size: float,
    decode_text: bool = True,
    trailing: bytes = b"",
    message_counts: MessageCounts | None = None,
) -> Engine:
    """Make the engine of a connection whose handshake is done.

    :param extensions: the negotiated extensions
    :param is_client: which side this is
    :param max_message_size: bytes of payload in one received message
    :param decode_text: whether a received text becomes a ``str``, or bytes
    :param trailing: bytes that were received right after the peer's handshake
    :param message_counts: where the messages are counted, besides those of this engine;
        ``None`` counts none

    """
    codec: Codec
    if extensions.custom:
        # Imported here because few applications have custom extensions, and wsproto's
        # frames take a tenth of the package's import time.
        from ._wsproto import WsprotoCodec

        codec = WsprotoCodec(
            is_client=is_client,
            max_message_size=max_message_size,
            max_fragments=MAX_FRAGMENTS,
            extensions=extensions.custom,
            decode_text=decode_text,
        )
    else:
        make: type[FrameCodec] = FrameCodec if decode_text else UndecodedCodec
        if extensions.deflate is not None:
            make = DeflateCodec if decode_text else UndecodedDeflateCodec
        codec = make(
            is_client=is_client,
            max_message_size=max_message_size,
            max_fragments=MAX_FRAGMENTS,
            deflate=extensions.deflate,
        )
    if message_counts is not None:
        codec = CountedCodec(codec, message_counts)
    engine = Engine(codec)
    if trailing:
        engine.receive_data(trailing)
    return engine
