"""What fails with a proxy, before it is known to which connection that happens."""

from __future__ import annotations

from http import HTTPStatus


class ProxyFailure(Exception):
    """A proxy did not connect.

    :param reason: what happened, as a sentence that begins with "the proxy"
    :param status_code: the status with which an HTTP proxy responded
    :param refused: whether a SOCKS proxy refused, and would refuse again

    """

    def __init__(
        self, reason: str, status_code: int | None = None, *, refused: bool = False
    ) -> None:
        super().__init__(reason)
        self.status_code = status_code
        self.refused = refused


def refusal(status_code: int) -> str:
    """Say that an HTTP proxy refused.

    :param status_code: the status with which it responded

    """
    # Not the phrase that the proxy sent, which may be anything.
    try:
        phrase = f" ({HTTPStatus(status_code).phrase})"
    except ValueError:
        phrase = ""
    text = f"the proxy answered {status_code}{phrase}"
    if status_code == HTTPStatus.PROXY_AUTHENTICATION_REQUIRED:
        text += ". It wants a user name and a password, in its URL"
    return text
