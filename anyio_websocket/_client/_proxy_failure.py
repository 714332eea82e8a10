"""What fails with a proxy, before it is known to which connection that happens."""

from __future__ import annotations


class ProxyFailure(Exception):
    """A proxy did not connect.

    :param reason: what happened, as a sentence that begins with "the proxy"
    :param status_code: the status with which an HTTP proxy responded

    """

    def __init__(self, reason: str, status_code: int | None = None) -> None:
        super().__init__(reason)
        self.status_code = status_code
