"""The addresses of connections and listeners, as users see them."""

# Without lazy annotations, which typing.get_type_hints() would look up in the public
# module that the class is shown to be of.

from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Any, cast


class Endpoint:
    """One end of a TCP connection, or a listening port.

    Two endpoints are equal if their address, port and use of TLS are.

    :param address: the IP address, as text, number or :mod:`ipaddress` object
    :param port: the TCP port
    :param is_ssl: whether TLS is used
    :raises ValueError: if the address is not an IP address

    """

    #: the IP address
    address: IPv4Address | IPv6Address
    #: the TCP port
    port: int
    #: whether TLS is used
    is_ssl: bool

    def __init__(
        self, address: str | int | IPv4Address | IPv6Address, port: int, is_ssl: bool
    ) -> None:
        self.address = ip_address(address)
        self.port = port
        self.is_ssl = is_ssl

    @property
    def url(self) -> str:
        """The endpoint as a URL, such as ``ws://127.0.0.1:8000``.

        A port that is the scheme's default is left out.
        """
        scheme, default = ("wss", 443) if self.is_ssl else ("ws", 80)
        # RFC 3986 section 3.2.2: IPv6 literals go in brackets.
        host = f"[{self.address}]" if self.address.version == 6 else f"{self.address}"
        port = "" if self.port == default else f":{self.port}"
        return f"{scheme}://{host}{port}"

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Endpoint):
            return NotImplemented
        return (self.address, self.port, self.is_ssl) == (
            other.address,
            other.port,
            other.is_ssl,
        )

    def __hash__(self) -> int:
        return hash((self.address, self.port, self.is_ssl))

    def __repr__(self) -> str:
        return (
            f'{type(self).__name__}(address="{self.address}", '
            f"port={self.port}, is_ssl={self.is_ssl})"
        )


def endpoint_of(address: Any, *, is_ssl: bool) -> Endpoint | str | None:
    """Convert a socket's address to what users see.

    :param address: what ``getsockname()`` or ``getpeername()`` returned, or ``None``
    :param is_ssl: whether TLS is used
    :return: an endpoint for TCP; the path of a UNIX socket, if it has one; else
        ``None``

    """
    if isinstance(address, tuple):
        # A link-local IPv6 address may have a zone, as in fe80::1%eth0.
        host, port, *_ = cast("tuple[Any, ...]", address)
        return Endpoint(host, port, is_ssl)
    if isinstance(address, bytes):
        address = address.decode(errors="backslashreplace")
    return address or None


def address_of(endpoint: Endpoint | str) -> tuple[str, int] | None:
    """Convert an address to a pair of host and port, as sockets have it.

    :param endpoint: an endpoint, or whatever else a stream is called
    :return: ``None`` if it is not one of TCP

    """
    if isinstance(endpoint, Endpoint):
        return str(endpoint.address), endpoint.port
    return None
