"""Negotiating the extensions of a connection (RFC 6455 section 9.1).

Options and the peer's Sec-WebSocket-Extensions become our Sec-WebSocket-Extensions, and
the extensions that both sides agreed on.
"""

import re
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from ._permessage_deflate import (
    BadDeflate,
    PerMessageDeflate,
    accept_response,
    make_offer,
    respond,
)

if TYPE_CHECKING:
    from wsproto.extensions import Extension as Extension
else:
    # Importing wsproto takes a tenth of the package's import time, and few
    # applications need it. At run time annotations such as those of
    # `open_websocket_url` evaluate to this.
    Extension = Any

MAX_SHOWN: Final = 60  # characters from the peer that an exception shows
# One element of the header. Commas separate elements, except in quoted strings.
# Compiled when it is used, for custom extensions.
_ELEMENT: Final = (
    r"(?:[\x20\x21\x23-\x2b\x2d-\x7e]"
    r'|"(?:[\x20\x21\x23-\x5b\x5d-\x7e]|\\[\x20-\x7e])*")+'
)


class BadExtensions(Exception):
    """The server's response does not fit our offer; the text says why."""


class Extensions(NamedTuple):
    """The extensions of one connection: those that one side wants, or the agreed ones.

    There is either the built-in compression or custom extensions, not both, because
    they are framed by different codecs.
    """

    deflate: PerMessageDeflate | None = None
    custom: tuple[Extension, ...] = ()  # the application's

    @classmethod
    def from_arguments(
        cls,
        compression: PerMessageDeflate | bool | None,
        extensions: Iterable[Extension] | None = None,
    ) -> "Extensions":
        """Check the options of an application.

        :param compression: the built-in compression; ``True`` uses the default
            parameters, ``None`` does not compress
        :param extensions: custom extensions; ``None`` uses none
        :raises TypeError: if an option has the wrong type
        :raises ValueError: if both options are given, if two extensions have the same
            name, or if one is wsproto's own compression

        """
        if compression is True:
            compression = PerMessageDeflate()
        elif compression is None or compression is False:
            compression = None
        elif not isinstance(compression, PerMessageDeflate):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise TypeError(
                "compression must be None, True or a PerMessageDeflate, not "
                f"{compression!r}"
            )
        custom = () if extensions is None else tuple(extensions)
        if custom:
            _check_types(custom)
        if len({extension.name for extension in custom}) < len(custom):
            raise ValueError("two extensions have the same name")
        if custom and compression is not None:
            raise ValueError(
                "compression and extensions exclude each other: pass one of them"
            )
        return cls(compression, custom)

    def offer(self) -> "tuple[str, Extensions]":
        """Make a client's offer.

        :return: the header, empty if there is nothing to offer, and the extensions
            that are offered
        :raises ValueError: if a custom extension's offer cannot be sent in a header

        """
        if self.deflate is not None:
            return make_offer(self.deflate), self
        elements: list[str] = []
        offered: list[Extension] = []
        for extension in self.custom:
            parameters = extension.offer()
            if parameters is not False:
                elements.append(_serialize(extension, parameters))
                offered.append(extension)
        return ", ".join(elements), Extensions(custom=tuple(offered))

    def respond(self, offers: Sequence[str]) -> "tuple[str, Extensions]":
        """Respond to a client's offers, and decline those that are not acceptable.

        :param offers: the elements of the client's Sec-WebSocket-Extensions
        :return: the header, empty if every offer is declined, and the agreed extensions
        :raises ValueError: if a custom extension's response cannot be sent in a header

        """
        if not offers:
            return "", NO_EXTENSIONS
        if self.deflate is not None:
            response = respond(self.deflate, offers)
            if response is None:
                return "", NO_EXTENSIONS
            element, agreed = response
            return element, Extensions(agreed)
        elements: list[str] = []
        accepted: list[Extension] = []
        for extension in self.custom:
            parameters = _accept_first(extension, offers)
            if parameters is not False:
                elements.append(_serialize(extension, parameters))
                accepted.append(extension)
        return ", ".join(elements), Extensions(custom=tuple(accepted))

    def accept_response(self, response: Sequence[str]) -> "Extensions":
        """Check a server's response to the offer of these extensions.

        :param response: the elements of the server's Sec-WebSocket-Extensions
        :return: the agreed extensions
        :raises BadExtensions: if the response does not fit the offer

        """
        if self.deflate is not None:
            try:
                return Extensions(accept_response(self.deflate, response))
            except BadDeflate as exc:
                raise BadExtensions(
                    f"the server's response to permessage-deflate is wrong: {exc}"
                ) from None
        offered = {extension.name: extension for extension in self.custom}
        accepted: list[Extension] = []
        for text in response:
            extension = offered.pop(_name(text), None)
            if extension is None:
                raise BadExtensions(
                    f"the server chose extension {text[:MAX_SHOWN]!r}, which was not "
                    "offered, or chose it twice"
                )
            try:
                extension.finalize(text)
            except Exception as exc:  # of any type: the code is not ours
                raise BadExtensions(
                    f"the server's response to {extension.name} is wrong: {exc!r}"
                ) from exc
            accepted.append(extension)
        return Extensions(custom=tuple(accepted))


def _check_types(extensions: tuple[object, ...]) -> None:
    from wsproto.extensions import Extension as Extension
    from wsproto.extensions import PerMessageDeflate as Unbounded

    for extension in extensions:
        if not isinstance(extension, Extension):
            raise TypeError(f"{extension!r} is not a wsproto.extensions.Extension")
        if isinstance(extension, Unbounded):
            # It inflates whatever it is given: 384 MiB from 127 KiB.
            raise ValueError(
                "wsproto.extensions.PerMessageDeflate does not limit what it inflates: "
                "use compression= instead"
            )


def _accept_first(extension: Extension, offers: Sequence[str]) -> bool | str:
    for text in offers:
        if _name(text) == extension.name:
            try:
                parameters = extension.accept(text)
            except Exception:  # on a bad offer, as wsproto's own extension does
                return False  # not asked again: its state is unknown
            if parameters is not None and parameters is not False:
                return parameters
    return False


def _name(element: str) -> str:
    return element.split(";", 1)[0].strip(" \t")


def _serialize(extension: Extension, parameters: bool | str) -> str:
    text = extension.name
    if isinstance(parameters, str) and parameters:
        text += f"; {parameters}"
    if not re.fullmatch(_ELEMENT, text):
        raise ValueError(f"{text!r} cannot be sent in Sec-WebSocket-Extensions")
    return text


NO_EXTENSIONS: Final = Extensions()
