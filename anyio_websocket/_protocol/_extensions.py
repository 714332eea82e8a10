"""Which extensions a connection has (RFC 6455 section 9.1).

In: what a user wants, and the peer's Sec-WebSocket-Extensions. Out: ours, and what
holds then.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

from wsproto.extensions import Extension

from ._permessage_deflate import (
    BadDeflate,
    PerMessageDeflate,
    accept_response,
    make_offer,
    respond,
)

_MAX_SHOWN: Final = 60  # characters of the peer's that an exception tells
_HEADER: Final = re.compile(r"[\x20-\x2b\x2d-\x7e]+")  # a comma would be another one


class BadExtensions(Exception):
    """What a server answered is no answer to our offer; the text says why."""


class Extensions(NamedTuple):
    """The extensions of one connection: as wanted by one side, or as agreed on.

    There is either compression of our own or what a user brings along, for the two
    are framed by different codecs.

    """

    deflate: PerMessageDeflate | None = None
    custom: tuple[Extension, ...] = ()  # the user's

    @classmethod
    def from_arguments(
        cls,
        compression: PerMessageDeflate | bool | None,
        extensions: Iterable[Extension] | None = None,
    ) -> Extensions:
        """Check what a user asks for.

        :raises TypeError: if it is of the wrong kind
        :raises ValueError: if both are asked for, or one extension twice

        """
        if compression is True:
            compression = PerMessageDeflate()
        elif not compression:
            compression = None
        elif not isinstance(compression, PerMessageDeflate):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise TypeError(
                "compression must be None, True or a PerMessageDeflate, not "
                f"{compression!r}"
            )
        custom = tuple(extensions or ())
        for extension in custom:
            if not isinstance(extension, Extension):  # pyright: ignore[reportUnnecessaryIsInstance]
                raise TypeError(f"{extension!r} is no wsproto.extensions.Extension")
        if len({extension.name for extension in custom}) < len(custom):
            raise ValueError("there are two extensions of one name")
        if custom and compression is not None:
            raise ValueError(
                "compression and extensions exclude each other: wsproto, which carries "
                "extensions, has a PerMessageDeflate to put among them"
            )
        return cls(compression, custom)

    def offer(self) -> tuple[str, Extensions]:
        """Offer what may be offered.

        :return: a client's header, empty for none, and what is offered
        :raises ValueError: if an extension's offer cannot stand in a header

        """
        if self.deflate is not None:
            return make_offer(self.deflate), self
        words: list[str] = []
        offered: list[Extension] = []
        for extension in self.custom:
            parameters = extension.offer()
            if parameters is not False:
                words.append(_serialize(extension, parameters))
                offered.append(extension)
        return ", ".join(words), Extensions(custom=tuple(offered))

    def respond(self, offers: Sequence[str]) -> tuple[str, Extensions]:
        """Answer a client's offers, declining what cannot be taken.

        :return: the header, empty for none, and what holds
        :raises ValueError: if an extension's answer cannot stand in a header

        """
        if self.deflate is not None:
            found = respond(self.deflate, offers)
            if found is None:
                return "", NO_EXTENSIONS
            return found[0], Extensions(found[1])
        words: list[str] = []
        taken: list[Extension] = []
        for extension in self.custom:
            parameters = _accept_first(extension, offers)
            if parameters is not False:
                words.append(_serialize(extension, parameters))
                taken.append(extension)
        return ", ".join(words), Extensions(custom=tuple(taken))

    def accept_response(self, answers: Sequence[str]) -> Extensions:
        """Check what a server answered; these here are what was offered.

        :raises BadExtensions: if that is no answer to it

        """
        if self.deflate is not None:
            try:
                return Extensions(accept_response(self.deflate, answers))
            except BadDeflate as exc:
                raise BadExtensions(
                    f"the server's answer to permessage-deflate is wrong: {exc}"
                ) from None
        left = {extension.name: extension for extension in self.custom}
        taken: list[Extension] = []
        for text in answers:
            extension = left.pop(_name(text), None)
            if extension is None:
                raise BadExtensions(
                    f"the server chose extension {text[:_MAX_SHOWN]!r}, which was not "
                    "offered, or chose it twice"
                )
            try:
                extension.finalize(text)
            except Exception as exc:  # whatever it makes of a bad answer
                raise BadExtensions(
                    f"the server's answer to {extension.name} is wrong: {exc!r}"
                ) from exc
            taken.append(extension)
        return Extensions(custom=tuple(taken))


def _accept_first(extension: Extension, offers: Sequence[str]) -> bool | str:
    for text in offers:
        if _name(text) == extension.name:
            try:
                parameters = extension.accept(text)
            except Exception:  # on a client's nonsense, as wsproto's own does
                return False
            if parameters is not None and parameters is not False:
                return parameters
    return False


def _name(element: str) -> str:
    return element.split(";", 1)[0].strip(" \t")


def _serialize(extension: Extension, parameters: bool | str) -> str:
    text = extension.name
    if isinstance(parameters, str) and parameters:
        text += f"; {parameters}"
    if not _HEADER.fullmatch(text):
        raise ValueError(f"{text!r} cannot stand in Sec-WebSocket-Extensions")
    return text


NO_EXTENSIONS: Final = Extensions()
