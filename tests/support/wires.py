"""Drawing frames: right for the most part, and wrong in one place."""

from __future__ import annotations

import struct

from hypothesis import strategies as st

from .frames import MASK, frame

close_codes = st.integers(0, 65535) | st.integers(999, 1016) | st.integers(2998, 5001)
payloads = st.one_of(
    st.binary(max_size=12),
    st.text(max_size=6).map(str.encode),
    st.text(min_size=1, max_size=4).map(lambda text: text.encode()[1:]),
    st.text(min_size=1, max_size=4).map(lambda text: text.encode()[:-1]),
    st.builds(
        lambda code, reason: struct.pack("!H", code) + reason,
        close_codes.filter(lambda code: code != 1014),
        st.text(max_size=4).map(str.encode) | st.binary(max_size=3),
    ),
    st.integers(110, 320).map(lambda size: b"x" * size),
)


@st.composite
def frames(draw: st.DrawFn, is_client: bool) -> bytes:
    """Draw a frame, right for the most part."""
    odd = draw(st.integers(0, 30))
    opcode = draw(st.sampled_from([0, 0, 0, 1, 1, 2, 2, 8, 9, 10]))
    payload = draw(payloads)
    if opcode >= 8:
        # 1014 as the first two bytes of any Close; see above
        payload = payload[:125].replace(b"\x03\xf6", b"\x03\xe8")
    data = frame(
        draw(st.integers(0, 15)) if odd == 1 else opcode,
        payload,
        fin=draw(st.booleans()) if opcode < 8 or odd == 2 else True,
        rsv=draw(st.integers(0, 7)) if odd == 3 else 0,
        mask=None
        if is_client != (odd == 4)
        else draw(st.sampled_from([MASK, b"0123"])),
        length=draw(st.sampled_from([125, 126, 301, 70_000, 2**62, 2**63]))
        if odd == 5
        else None,
    )
    if odd == 6:  # a length that is not in its shortest form
        head = data[:1] + bytes([data[1] & 0x80 | 126, 0, data[1] & 0x7F])
        return head + data[2:]
    if odd == 7:
        return draw(st.binary(max_size=20))
    return data
