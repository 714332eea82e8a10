"""What a peer has chosen, as logs and errors show it."""

from __future__ import annotations

from typing import Final

_MAX_SHOWN: Final = 300  # characters; a DNS name has 253 at the most


def printable(text: str) -> str:
    """Quote a peer's text, shortened, and escaped so that it forges no lines."""
    short = text if len(text) <= _MAX_SHOWN else f"{text[:_MAX_SHOWN]}..."
    return ascii(short)


def name_of(peer: object) -> str:
    """Name a peer for the log, quoted if it could be taken for something else.

    A client chooses the path of its UNIX socket, which may have line breaks in it.

    :param peer: the address of the peer, or whatever else its stream is called

    """
    name = str(peer)
    return name if name.isascii() and name.isprintable() else printable(name)
