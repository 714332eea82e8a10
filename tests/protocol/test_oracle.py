"""`FrameCodec` and wsproto agree on arbitrary frames, cut anywhere.

Reviewed differences, which the generated frames do not contain:

* A frame that is not allowed at its place fails by its header, in wsproto by its first
  byte of payload.
* Close code 1014 was registered after RFC 6455. wsproto rejects it, we accept it.
* Compressed messages: wsproto's deflate accepts data that was cut short, and breaks a
  message with a Ping in it, so only complete and valid ones are compared.
"""

from __future__ import annotations

from collections.abc import Iterable

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from wsproto.extensions import PerMessageDeflate as WsprotoDeflate

from anyio_websocket._protocol import Close, PerMessageDeflate
from anyio_websocket._protocol._codec import Codec, ProtocolViolation, Received
from anyio_websocket._protocol._frames import FrameCodec
from anyio_websocket._protocol._wsproto import WsprotoCodec

from ..support.codecs import AT_ONCE, received
from ..support.frames import MASK, close_payload, cut, frame
from ..support.wires import frames

LIMIT = 300  # bytes
FRAGMENTS = 3
MORE = bytes(20)  # enough for a header and a byte of payload


Outcome = tuple[list[Received], int | None]


def outcome(
    codec: Codec,
    chunks: Iterable[bytes],
    at_once: int = AT_ONCE,
    *,
    together: bool = False,
) -> Outcome:
    """Return what a codec receives, and the code if it fails.

    :param at_once: how many messages to take at once
    :param together: whether to take them with the call that feeds

    """
    results: list[Received] = []
    for chunk in chunks:
        if together:
            messages, has_more = codec.take_received(chunk, at_once)
            results += messages
            assert len(messages) <= at_once
            assert has_more or not codec.has_more()
        else:
            codec.feed(chunk)
        try:
            for result in received(codec, at_once=at_once):
                results.append(result)
                if isinstance(result, Close):
                    return results, None  # bytes behind it are ignored
        except ProtocolViolation as exc:
            return results, exc.code
    return results, None


@pytest.mark.parametrize("is_client", [False, True])
@given(st.data())
def test_the_codecs_agree(is_client: bool, data: st.DataObject) -> None:
    wire = b"".join(data.draw(st.lists(frames(is_client), max_size=8)))
    places = data.draw(st.lists(st.integers(0, len(wire)), max_size=6))

    def result(
        make: type[WsprotoCodec | FrameCodec],
        *chunks: bytes,
        at_once: int = AT_ONCE,
        together: bool = False,
    ) -> Outcome:
        codec = make(
            is_client=is_client, max_message_size=LIMIT, max_fragments=FRAGMENTS
        )
        return outcome(codec, chunks, at_once, together=together)

    expected = result(WsprotoCodec, wire, MORE)
    for pieces in ([wire], cut(wire, places), cut(wire, range(len(wire)))):
        for make in (WsprotoCodec, FrameCodec):
            assert result(make, *pieces, MORE) == expected
        assert result(FrameCodec, *pieces, MORE, together=True) == expected
        # Also with next() for messages that take_messages() would return.
        assert result(FrameCodec, *pieces, MORE, at_once=0) == expected
    assert result(FrameCodec, wire) in (result(WsprotoCodec, wire), expected)


@pytest.mark.parametrize("is_client", [False, True])
def test_close_code_1014_is_accepted(is_client: bool) -> None:
    data = frame(8, close_payload(1014), mask=None if is_client else MASK)
    results = [
        outcome(make(is_client=is_client, max_message_size=9, max_fragments=9), [data])
        for make in (WsprotoCodec, FrameCodec)
    ]
    assert results == [([], 1002), ([Close(1014, "")], None)]


messages = st.lists(
    st.text(max_size=20) | st.binary(max_size=300) | st.just("é" * 40_000), max_size=5
)


@pytest.mark.parametrize("is_client", [False, True])
@given(messages)
@example(["", b"", "x" * 70_000, b"y" * 70_000])
def test_each_reads_what_the_other_frames(
    is_client: bool, sent: list[str | bytes]
) -> None:
    for sender in (WsprotoCodec, FrameCodec):
        for receiver in (WsprotoCodec, FrameCodec):
            one = sender(is_client=is_client, max_message_size=9, max_fragments=1)
            other = receiver(
                is_client=not is_client, max_message_size=2**20, max_fragments=1
            )
            wire = b"".join(map(one.frame_message, sent))
            assert outcome(other, [wire]) == (sent, None)


@pytest.mark.parametrize("is_client", [False, True])
@pytest.mark.parametrize("forgets", [False, True])
@given(messages)
def test_compressed_each_reads_what_the_other_frames(
    is_client: bool, forgets: bool, sent: list[str | bytes]
) -> None:
    def wsproto_codec(is_client: bool) -> Codec:
        extension = WsprotoDeflate(forgets, 12, forgets, 12)
        extension._enabled = True
        return WsprotoCodec(
            is_client=is_client,
            max_message_size=2**20,
            max_fragments=1,
            extensions=[extension],
        )

    def frame_codec(is_client: bool) -> Codec:
        return FrameCodec(
            is_client=is_client,
            max_message_size=2**20,
            max_fragments=1,
            deflate=PerMessageDeflate(forgets, forgets, threshold=0),
        )

    for sender, receiver in (
        (wsproto_codec, frame_codec),
        (frame_codec, wsproto_codec),
        (frame_codec, frame_codec),
    ):
        wire = b"".join(map(sender(is_client).frame_message, sent))
        assert outcome(receiver(not is_client), [wire]) == (sent, None)
