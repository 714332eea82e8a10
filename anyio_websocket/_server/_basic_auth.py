"""A handler that lets in whoever has a password, by HTTP's Basic scheme (RFC 7617)."""

from __future__ import annotations

import hashlib
import inspect
from collections.abc import Awaitable, Callable, Mapping
from functools import wraps
from typing import Any, cast

from .._protocol import basic_challenge, check_basic, parse_basic
from ._check_handler import check_handlers
from ._request import WebSocketRequest

Check = Callable[[str, str], bool | Awaitable[bool]]


def basic_auth(
    handler: Callable[..., Awaitable[object]],
    credentials: tuple[str, str] | Mapping[str, str] | Check,
    *,
    realm: str = "WebSocket",
) -> Callable[..., Awaitable[None]]:
    """Make a handler that asks for a user name and a password first (RFC 7617).

    The handler is called for clients that send the right ones, with the user's name in
    `WebSocketRequest.username`. All others are sent a response with status 401. It can
    be a `Router`, or the handler of one path of a `Router`.

    Passwords are compared in a time that does not tell how much of one is right, nor
    whether there is such a user. They are neither logged nor shown by errors. Without
    TLS everybody on the way can read them, and nothing limits how many of them a client
    may try.

    :param handler: called as ``await handler(request)``
    :param credentials: a pair of a name and a password; or a mapping of names to
        passwords, which is looked at for each request; or a function, plain or async,
        that is called with the name and the password, and returns whether they are
        right. A plain function must not wait: hash in a thread
    :param realm: what the password is for; browsers show it
    :return: a handler
    :raises ValueError: if a name has a colon, which cannot be sent, or if the realm is
        not ASCII
    :raises TypeError: if an argument is of the wrong type

    """
    check_handlers(handler)
    challenge = basic_challenge(realm)
    check = _check_of(credentials)

    @wraps(handler, updated=())
    async def authenticated(request: WebSocketRequest, **parameters: Any) -> None:
        given = parse_basic(request.header("authorization") or "")
        if given is not None:
            is_right = check(*given)
            if inspect.isawaitable(is_right):
                is_right = await is_right
            if not isinstance(is_right, bool):  # pyright: ignore[reportUnnecessaryIsInstance]
                raise TypeError(
                    "the function that checks credentials must return True or False, "
                    f"not {type(is_right).__name__}"
                )
            if is_right:
                request.username = given[0]
                await handler(request, **parameters)
                return
        reason = (
            "it needs a user name and a password"
            if given is None
            else "the user name or the password is wrong"
        )
        await request.reject(
            401,
            extra_headers=[
                (b"WWW-Authenticate", challenge),
                (b"Content-Type", b"text/plain; charset=utf-8"),
            ],
            body=f"{reason}\n".encode(),
        )

    return authenticated


def _check_of(credentials: object) -> Check:
    if isinstance(credentials, tuple):
        return _pair_check(*_checked_pair(cast("tuple[object, ...]", credentials)))
    if isinstance(credentials, Mapping):
        passwords = cast("Mapping[str, str]", credentials)
        for pair in passwords.items():
            _checked_pair(pair)
        return _mapping_check(passwords)
    if callable(credentials):
        return cast("Check", credentials)
    # Not shown, as it may be a password.
    raise TypeError(
        "credentials must be a pair of a user name and a password, a mapping of user "
        "names to passwords, or a function of both, not "
        f"{type(credentials).__name__}"
    )


def _checked_pair(pair: tuple[object, ...]) -> tuple[str, str]:
    if len(pair) != 2 or not all(isinstance(part, str) for part in pair):
        kinds = ", ".join(type(part).__name__ for part in pair)
        raise TypeError(
            f"credentials must be a user name and a password, both str, not ({kinds})"
        )
    user, password = cast("tuple[str, str]", pair)
    check_basic(user, "credentials")
    return user, password


def _pair_check(user: str, password: str) -> Check:
    def check(given_user: str, given_password: str) -> bool:
        # Both are compared in any case.
        return _are_equal(given_user, user) & _are_equal(given_password, password)

    return check


def _mapping_check(passwords: Mapping[str, str]) -> Check:
    def check(user: str, given: str) -> bool:
        password = passwords.get(user)
        # An unknown user takes the same time.
        is_equal = _are_equal(given, "" if password is None else password)
        return is_equal & (password is not None)

    return check


def _are_equal(one: str, other: str) -> bool:
    import hmac  # takes a hundredth of the package's import time; few need it

    # compare_digest() tells lengths apart; hashes have one length.
    digests = (hashlib.sha256(text.encode()).digest() for text in (one, other))
    return hmac.compare_digest(*digests)
