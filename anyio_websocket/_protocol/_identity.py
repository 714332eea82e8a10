"""Who a client says it is: the headers for that, checked before anything is sent.

In: credentials, the name of the program, the origin and cookies, as a user passed them.
Out: headers for the request. Errors do not show values, which may be secrets.
"""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Mapping
from typing import Final, cast

from ._http import ExtraHeaders, is_token, validate_headers

# Patterns are compiled when they are first used: most clients use none of them.
_CONTROL: Final = r"[\x00-\x1f\x7f]"
_ORIGIN: Final = r"null|[A-Za-z][A-Za-z0-9+.-]*://[^\s/?#@\\]+"
# RFC 6265 section 4.1.1, and what servers set besides: clients return values as they
# came, so quotes, commas, backslashes and spaces inside pass. A semicolon would begin
# another one.
_COOKIE_VALUE: Final = r"(?:[!-:<-~](?:[ -:<-~]*[!-:<-~])?)?"

Field = tuple[bytes, bytes]


class Credentials:
    """A user's name and password; no text or ``repr`` shows them.

    :param user: the name
    :param password: the password, which may be empty
    :param what: where they are from, for errors
    :raises ValueError: if they cannot be sent

    """

    __slots__ = ("password", "user")

    def __init__(self, user: str, password: str, what: str = "auth") -> None:
        if re.search(_CONTROL, user + password):  # RFC 7617 section 2
            raise ValueError(f"{what} must not have control characters")
        try:
            self.user = user.encode()
            self.password = password.encode()
        except UnicodeEncodeError:
            raise ValueError(f"{what} cannot be encoded as UTF-8") from None

    def basic(self) -> bytes:
        """Return them for HTTP's Basic scheme (RFC 7617)."""
        return b"Basic " + b64encode(b"%b:%b" % (self.user, self.password))


def check_basic(user: str, what: str) -> None:
    """Check the name of a user for HTTP's Basic scheme.

    :raises ValueError: if it has a colon, behind which the password would begin

    """
    if ":" in user:
        raise ValueError(f"the user name in {what} must not have a colon (RFC 7617)")


def credentials_of_url(userinfo: str, what: str) -> Credentials | None:
    """Decode what a URL has in front of its ``@``.

    :param userinfo: percent-encoded
    :param what: what the URL is, for errors
    :return: ``None`` if there is nothing
    :raises ValueError: if it cannot be decoded, or cannot be sent

    """
    name, _, secret = userinfo.partition(":")
    if not (name or secret):
        return None
    from urllib.parse import unquote_to_bytes  # whoever parses a URL has imported it

    try:
        user, password = (unquote_to_bytes(part).decode() for part in (name, secret))
    except UnicodeError:
        raise ValueError(
            f"the user name or the password in {what} is not UTF-8 in percent-encoding"
        ) from None
    return Credentials(user, password, f"the user name or the password in {what}")


class Identity:
    """The headers that say who a client is, and those that the user added.

    :param auth: a user's name and password
    :param user_agent: the name of the program
    :param origin: the web page that a browser would name, for servers that check it
    :param cookies: names and values
    :param extra_headers: the user's own headers
    :raises ValueError: if a value cannot be sent, or if a header is given twice
    :raises TypeError: if a value has the wrong type

    """

    def __init__(
        self,
        *,
        auth: tuple[str, str] | None = None,
        user_agent: str | None = None,
        origin: str | None = None,
        cookies: Mapping[str, str] | None = None,
        extra_headers: ExtraHeaders = None,
    ) -> None:
        #: the user's own headers
        self.extra = validate_headers(extra_headers)
        given = {name.lower() for name, _ in self.extra}
        for option, value, header in (
            ("auth", auth, b"authorization"),
            ("origin", origin, b"origin"),
            ("cookies", cookies, b"cookie"),
        ):
            if value is not None and header in given:
                raise ValueError(
                    f"extra_headers has {header.decode().title()}, and so has "
                    f"{option}: pass one of them"
                )
        # What every server may know; the rest is for the one that it was meant for.
        self._public: list[Field] = []
        #: what a proxy is told, too; ``None`` for nothing
        self.user_agent: Field | None = None
        if user_agent is not None:
            self.user_agent = _field("user_agent", b"User-Agent", user_agent)
            if b"user-agent" not in given:
                self._public.append(self.user_agent)
        if origin is not None:
            self._public.append(_field("origin", b"Origin", origin))
            if not re.fullmatch(_ORIGIN, origin):
                raise ValueError(
                    'origin must be like "https://example.org", with a port if it is '
                    'not the default and without a path, or "null"'
                )
        self._private: list[Field] = []
        if cookies is not None and (cookie := _cookie(cookies)):
            self._private.append((b"Cookie", cookie))
        if auth is not None:
            self._private.append((b"Authorization", _checked_auth(auth).basic()))
        self._is_authorized = auth is not None or b"authorization" in given

    def headers(self, from_url: Credentials | None = None) -> list[Field]:
        """Return all headers for the server in the user's URL, before any redirect.

        :param from_url: the credentials in the server's URL, which are used if the
            user passed no others

        """
        private = self._private
        if from_url is not None and not self._is_authorized:
            private = [*private, (b"Authorization", from_url.basic())]
        return [*self._public, *private, *self.extra]

    def public_headers(self) -> list[Field]:
        """Return the headers that another server may see.

        None of the user's own: nobody but the user knows which of them are secrets.
        """
        return self._public


def _checked_auth(auth: object) -> Credentials:
    pair = cast("tuple[object, ...]", auth) if isinstance(auth, tuple) else ()
    if len(pair) != 2 or not all(isinstance(part, str) for part in pair):
        raise TypeError("auth must be a pair of str: (user, password)")
    user, password = cast("tuple[str, str]", pair)
    check_basic(user, "auth")
    return Credentials(user, password)


def _field(option: str, name: bytes, value: object) -> Field:
    if not isinstance(value, str):
        raise TypeError(f"{option} must be a str or None, not {type(value).__name__}")
    if not value or not value.isascii() or not value.isprintable():
        raise ValueError(f"{option} must be of visible ASCII, or None")
    return name, value.strip(" ").encode()


def _cookie(cookies: object) -> bytes:
    if not isinstance(cookies, Mapping):
        raise TypeError(
            "cookies must be a mapping of names to values, not "
            f"{type(cookies).__name__}"
        )
    pairs: list[str] = []
    for name, value in cast("Mapping[object, object]", cookies).items():
        if not isinstance(name, str) or not isinstance(value, str):
            raise TypeError("cookies must be a mapping of str to str")
        if not is_token(name):
            raise ValueError("the name of a cookie is not a token of HTTP")
        if not re.fullmatch(_COOKIE_VALUE, value):
            raise ValueError(
                f"the value of cookie {name!r} has characters that a cookie cannot "
                "have: percent-encode it"
            )
        pairs.append(f"{name}={value}")
    return "; ".join(pairs).encode()
