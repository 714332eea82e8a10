"""How many clients of one address a server has at once.

An address that has enough is refused before anything is done for its client: no task,
no TLS, no request is read, nothing is written. So a flood from one address costs one
accept(2) and one close(2) each, and takes no place that others need. A response with
status 429 would cost all that this is to save.

**What counts as one address.** With IPv4, the address. With IPv6, the network of 64
bits that it is in: this is what one customer or one machine has at least (RFC 4291
section 2.5.1, RFC 6177), and whoever has it can use any of its addresses. An IPv4
address that a socket for both shows as IPv6 is IPv4. Link-local addresses are all in
the same network, and count by themselves.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from ipaddress import IPv4Address, IPv6Address
from typing import Final

from anyio import current_time

from .._endpoint import Endpoint
from .._log import LogThrottle
from .._protocol import name_of

_logger = logging.getLogger("anyio_websocket")

LOG_INTERVAL: Final = 60.0  # seconds between two warnings

#: an IPv4 address, the first half of an IPv6 address, or a link-local one
Source = IPv4Address | IPv6Address | int


class AddressLimit:
    """Counts clients by their addresses.

    :param limit: how many each address may have
    :param on_full: see `Admission`

    """

    def __init__(self, limit: int, on_full: Callable[[str], object]) -> None:
        self._limit = limit
        self._on_full = on_full
        self._clients: dict[Source, int] = {}  # no address that has none
        self._log = LogThrottle(LOG_INTERVAL, current_time)

    def enter(self, remote: Endpoint | str) -> Source | None:
        """Count a client, unless its address has enough.

        :param remote: the client's address; one that is no IP address has no limit
        :return: what to pass to `leave`; ``None`` if there is nothing to count
        :raises TooManyError: if it is refused

        """
        source = source_of(remote)
        if source is None:
            return None
        count = self._clients.get(source, 0)
        if count >= self._limit:
            if self._log.allows():
                _logger.warning(
                    "%s: refused, because its address has %d connections, as many as "
                    "max_connections_per_address allows",
                    *(name_of(remote), count),
                )
                self._on_full("max_connections_per_address")
            raise TooManyError
        self._clients[source] = count + 1
        return source

    def leave(self, source: Source) -> None:
        """Count a client no longer.

        :param source: what `enter` returned

        """
        self._clients[source] -= 1
        if not self._clients[source]:
            del self._clients[source]


class TooManyError(Exception):
    """A client's address has as many connections as it may have."""


def source_of(remote: Endpoint | str) -> Source | None:
    """Return what counts as one address; ``None`` if it is no IP address."""
    if not isinstance(remote, Endpoint):
        return None
    address = remote.address
    if isinstance(address, IPv4Address):
        return address
    if address.ipv4_mapped is not None:
        return address.ipv4_mapped
    return address if address.is_link_local else int(address) >> 64
