"""Sending the same bytes over many sockets, in Python."""

from __future__ import annotations

from ._sockets import SocketTransport


def send_each(
    transports: list[SocketTransport], data: bytes, /
) -> list[tuple[int, int]]:
    """Send the same bytes over many sockets, as far as they take them at once.

    :param transports: of the sockets; nothing is unsent in any of them
    :return: the index of each that did not take everything, and how many bytes it took;
        see `SocketTransport.send_now` and ``keep_rest``

    """
    size = len(data)
    return [
        (index, sent)
        for index, transport in enumerate(transports)
        if (sent := transport.send_now(data)) != size
    ]
