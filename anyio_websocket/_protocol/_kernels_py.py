"""The innermost loops in Python: masks (RFC 6455 section 5.3), and whole frames.

In: buffers, payloads and keys. Out: payloads and messages; frames. ``_speedups.c`` says
the same in C, and ``_loops`` chooses.
"""

from __future__ import annotations

from typing import Final

# bytes; what is masked at once. Larger payloads are taken in blocks of it, which keeps
# the scratch memory small and, being reused by malloc, free of page faults: 1 MiB
# takes 1.0 ms so, and up to 1.8 ms at once (CPython 3.11 and 3.13).
BLOCK: Final = 65536

WHOLE_TEXT: Final = 0x81  # first byte of a frame: FIN, no reserved bit, and an opcode
WHOLE_BINARY: Final = 0x82
MASKED: Final = 0x80  # of its second byte, which for the rest is a length

_SHORT: Final = 125  # bytes; the longest payload that needs no extended length

# bytes; below it one XOR of two large integers is faster than four passes of
# translate() over every fourth byte (CPython 3.11 and 3.13: even at about 2.5 KiB)
_XOR_LIMIT: Final = 2048
_REPEATS: Final = [(size + 3) // 4 for size in range(_SHORT + 1)]
_SHORT_HEADS: Final = {
    first: [bytes((first, size)) for size in range(_SHORT + 1)]
    for first in (WHOLE_TEXT, WHOLE_BINARY)
}
_XOR_TABLES: Final = [bytes(i ^ key for i in range(256)) for key in range(256)]


def mask(data: bytes, key: bytes) -> bytes | bytearray:
    """Mask or unmask a piece of a payload.

    :param data: the piece, best of at most ``BLOCK`` bytes
    :param key: the four bytes of the mask, turned to where the piece starts

    """
    size = len(data)
    if size < _XOR_LIMIT:
        return _xor(data, (key * (size // 4 + 1))[:size])
    result = bytearray(size)
    for i in range(4):
        result[i::4] = data[i::4].translate(_XOR_TABLES[key[i]])
    return result


def _xor(data: bytes, mask: bytes) -> bytes:
    number = int.from_bytes(data, "little") ^ int.from_bytes(mask, "little")
    return number.to_bytes(len(data), "little")


def take_messages(
    buffer: bytes, start: int, mask_bit: int, limit: int, most: int
) -> tuple[list[str | bytes], int]:
    """Take messages out of a buffer, as long as each is whole and in a single frame.

    What is not that simple is for others to take, or to complain of.

    :param buffer: what was received
    :param start: where in there a frame starts
    :param mask_bit: ``MASKED`` if it has to be masked, else 0
    :param limit: bytes that a message may have
    :param most: messages to take
    :return: the messages, and where in the buffer the frame of the last one ends

    """
    messages: list[str | bytes] = []
    size = len(buffer)
    for _ in range(most):
        if size - start < 2:
            break
        first = buffer[start]
        length = buffer[start + 1] ^ mask_bit  # over 127 if that is wrong
        # Longer ones are few, and most of them are not at hand as a whole.
        if length > _SHORT or length > limit or first not in (WHOLE_TEXT, WHOLE_BINARY):
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


def frame_unmasked(message: bytes | str) -> bytes:
    """Put a message into a frame without a mask.

    :param message: the message
    :raises UnicodeEncodeError: if it is a text with lone surrogates

    """
    first = WHOLE_BINARY
    if isinstance(message, str):
        first = WHOLE_TEXT
        message = message.encode()
    length = len(message)
    if length <= _SHORT:
        return _SHORT_HEADS[first][length] + message
    return frame_header(first, length) + message


def frame_header(first: int, length: int, bit: int = 0) -> bytes:
    """Make the head of a frame, without its mask.

    :param first: its first byte
    :param length: bytes of its payload
    :param bit: ``MASKED`` if it has a mask, else 0

    """
    if length <= _SHORT:
        return bytes((first, bit | length))
    if length < 65536:
        return bytes((first, bit | 126)) + length.to_bytes(2, "big")
    return bytes((first, bit | 127)) + length.to_bytes(8, "big")


def make_frame(first: int, payload: bytes | str, key: bytes | None) -> bytes:
    """Put a frame together.

    :param first: its first byte
    :param payload: what is in it, not masked yet; a text is encoded
    :param key: the mask, ``None`` for none
    :raises UnicodeEncodeError: if the text has lone surrogates

    """
    if isinstance(payload, str):
        payload = payload.encode()
    length = len(payload)
    head = frame_header(first, length, 0 if key is None else MASKED)
    if key is None:
        return head + payload
    if length <= _SHORT:
        return head + key + _xor(payload, (key * _REPEATS[length])[:length])
    blocks: list[bytes | bytearray] = [head, key]
    blocks += (
        mask(payload[start : start + BLOCK], key)
        for start in range(0, length, BLOCK)  # a multiple of four: the key stays
    )
    return b"".join(blocks)
