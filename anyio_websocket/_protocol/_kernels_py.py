"""Masking (RFC 6455 section 5.3), and parsing and building whole frames, in Python.

``_kernels_c.c`` does the same in C, and ``_kernels`` selects one of the two.
"""

from __future__ import annotations

from typing import Final

# bytes that are masked at once. Larger payloads are masked in blocks of this size, so
# that malloc reuses the same small scratch memory, without page faults: 1 MiB takes
# 1.0 ms in blocks, and up to 1.8 ms in one go (CPython 3.11 and 3.13).
BLOCK: Final = 65536

WHOLE_TEXT: Final = 0x81  # first byte of a frame: FIN, no reserved bits, opcode
WHOLE_BINARY: Final = 0x82
COMPRESSED_TEXT: Final = WHOLE_TEXT | 0x40  # RSV1; RFC 7692 section 6
_COMPRESSED_BINARY: Final = WHOLE_BINARY | 0x40
MASKED: Final = 0x80  # a bit of the second byte, whose other bits are the length

_SHORT: Final = 125  # bytes; the longest payload without an extended length

# bytes; below this size one XOR of two large integers is faster than four passes of
# translate() over every fourth byte (CPython 3.11 and 3.13: equal at about 2.5 KiB)
_XOR_LIMIT: Final = 2048
_REPEATS: Final = [(size + 3) // 4 for size in range(_SHORT + 1)]
_SHORT_HEADERS: Final = {
    first: [bytes((first, size)) for size in range(_SHORT + 1)]
    for first in (WHOLE_TEXT, WHOLE_BINARY)
}
# A byte of value i becomes i ^ key. Made of large integers, as 65 536 small ones would
# take 3 ms of each import.
_BYTES: Final = int.from_bytes(bytes(range(256)), "little")
_ONES: Final = int.from_bytes(b"\1" * 256, "little")
_XOR_TABLES: Final = [
    (_BYTES ^ _ONES * key).to_bytes(256, "little") for key in range(256)
]


def mask(data: bytes, key: bytes, /) -> bytes | bytearray:
    """Mask or unmask a piece of a payload.

    :param data: the piece, preferably of at most ``BLOCK`` bytes
    :param key: the four bytes of the mask key, rotated to where the piece starts

    """
    size = len(data)
    if size < _XOR_LIMIT:
        return _xor(data, (key * (size // 4 + 1))[:size])
    result = bytearray(size)
    for i in range(4):
        result[i::4] = data[i::4].translate(_XOR_TABLES[key[i]])
    return result


def mask_into(
    target: memoryview,
    at: int,
    data: bytes | memoryview,
    start: int,
    size: int,
    key: bytes,
    /,
) -> None:
    """Mask or unmask a piece of a payload, and write it to where it belongs.

    :param target: what is written to
    :param at: offset in the target
    :param data: what has the piece in it; the target, if it is masked in its place
    :param start: offset of the piece
    :param size: bytes of the piece, preferably at most ``BLOCK``
    :param key: the four bytes of the mask key, rotated to where the piece starts

    """
    target[at : at + size] = mask(bytes(data[start : start + size]), key)


def _xor(data: bytes, mask: bytes) -> bytes:
    number = int.from_bytes(data, "little") ^ int.from_bytes(mask, "little")
    return number.to_bytes(len(data), "little")


def take_messages(
    buffer: bytes, start: int, mask_bit: int, max_size: int, max_count: int, /
) -> tuple[list[str | bytes], int]:
    """Take messages out of a buffer while they are complete and in a single frame.

    Stops at the first frame that is anything else, also at one that breaks a rule:
    ``FrameCodec.next()`` parses it, and says what is wrong.

    :param buffer: received bytes
    :param start: offset of a frame in the buffer
    :param mask_bit: ``MASKED`` if frames have to be masked, else 0
    :param max_size: bytes that a message may have
    :param max_count: how many messages to take at most
    :return: the messages, and the offset at which the frame of the last one ends

    """
    messages: list[str | bytes] = []
    size = len(buffer)
    for _ in range(max_count):
        if size - start < 2:
            break
        first = buffer[start]
        length = buffer[start + 1] ^ mask_bit  # over 127 if the mask bit is wrong
        # Longer messages are few, and most of them are not in the buffer completely.
        if (
            length > _SHORT
            or length > max_size
            or first not in (WHOLE_TEXT, WHOLE_BINARY)
        ):
            break
        begin = start + 6 if mask_bit else start + 2
        end = begin + length
        if end > size:
            break
        payload = buffer[begin:end]
        if mask_bit:
            mask = buffer[begin - 4 : begin] * _REPEATS[length]
            payload = _xor(payload, mask[:length])
        if first == WHOLE_BINARY:
            messages.append(payload)
        else:
            try:
                messages.append(payload.decode())
            except UnicodeDecodeError:
                break
        start = end
    return messages, start


def take_undecoded(
    buffer: bytes, start: int, mask_bit: int, max_size: int, max_count: int, /
) -> tuple[list[str | bytes], int]:
    """Do what `take_messages` does, and return texts as bytes."""
    messages, end = take_messages(buffer, start, mask_bit, max_size, max_count)
    return [m.encode() if isinstance(m, str) else m for m in messages], end


def take_compressed(
    buffer: bytes, start: int, mask_bit: int, max_size: int, /
) -> tuple[int, bytes, int] | None:
    """Take the payload of a compressed message that is complete, in a single frame.

    :param buffer: received bytes
    :param start: offset of a frame in the buffer
    :param mask_bit: ``MASKED`` if frames have to be masked, else 0
    :param max_size: bytes that the payload may have, less than 64 KiB
    :return: the first byte of the frame, the payload, and the offset at which the frame
        ends; ``None`` if it is anything else

    """
    available = len(buffer) - start
    if available < 2 or buffer[start] not in (COMPRESSED_TEXT, _COMPRESSED_BINARY):
        return None
    length = buffer[start + 1] ^ mask_bit  # over 127 if the mask bit is wrong
    begin = start + 2
    if length == 126 and available >= 4:
        length = int.from_bytes(buffer[begin : begin + 2], "big")
        begin += 2
        if length <= _SHORT:
            return None
    elif length > _SHORT:  # one of 64 bits is longer than `max_size`
        return None
    if mask_bit:
        begin += 4
    end = begin + length
    if length > max_size or end > len(buffer):
        return None
    payload = buffer[begin:end]
    if mask_bit:
        payload = bytes(mask(payload, buffer[begin - 4 : begin]))
    return buffer[start], payload, end


def frame_unmasked(message: bytes | str, /) -> bytes:
    """Frame a message without a mask.

    :param message: the message
    :raises UnicodeEncodeError: if it is a text with lone surrogates

    """
    first = WHOLE_BINARY
    if isinstance(message, str):
        first = WHOLE_TEXT
        message = message.encode()
    length = len(message)
    if length <= _SHORT:
        return _SHORT_HEADERS[first][length] + message
    return frame_header(first, length) + message


def frame_header(first: int, length: int, mask_bit: int = 0) -> bytes:
    """Return the header of a frame, without the mask key.

    :param first: the first byte of the frame
    :param length: bytes of payload
    :param mask_bit: ``MASKED`` if a mask key follows, else 0

    """
    if length <= _SHORT:
        return bytes((first, mask_bit | length))
    if length < 65536:
        return bytes((first, mask_bit | 126)) + length.to_bytes(2, "big")
    return bytes((first, mask_bit | 127)) + length.to_bytes(8, "big")


def make_frame(first: int, payload: bytes | str, key: bytes | None, /) -> bytes:
    """Build a frame.

    :param first: the first byte of the frame
    :param payload: the payload, not masked yet; a text is encoded
    :param key: the mask key; ``None`` builds a frame without a mask
    :raises UnicodeEncodeError: if the text has lone surrogates

    """
    if isinstance(payload, str):
        payload = payload.encode()
    length = len(payload)
    header = frame_header(first, length, 0 if key is None else MASKED)
    if key is None:
        return header + payload
    if length <= _SHORT:
        return header + key + _xor(payload, (key * _REPEATS[length])[:length])
    blocks: list[bytes | bytearray] = [header, key]
    blocks += (
        mask(payload[start : start + BLOCK], key)
        for start in range(
            0, length, BLOCK
        )  # each block starts at the key's first byte
    )
    return b"".join(blocks)
