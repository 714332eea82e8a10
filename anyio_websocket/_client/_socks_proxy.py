"""Through a SOCKS proxy: versions 4, 4a and 5 (RFC 1928, RFC 1929).

In: a connection to the proxy. Out: the same connection, which is now one to the server.
Every reply says how long it is, so no byte of the server's is read.

``socks4`` and ``socks5`` look the server's name up on this machine, ``socks4a`` and
``socks5h`` let the proxy do it, as in curl.
"""

from __future__ import annotations

import socket
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Final

import anyio
from socksio import (
    SOCKS4ARequest,
    SOCKS4Command,
    SOCKS4Reply,
    SOCKS4ReplyCode,
    SOCKS4Request,
    SOCKS5AType,
    SOCKS5AuthMethod,
    SOCKS5AuthMethodsRequest,
    SOCKS5Command,
    SOCKS5CommandRequest,
    SOCKS5ReplyCode,
    SOCKS5UsernamePasswordRequest,
    SOCKSError,
)

from .._protocol import Credentials
from .._transport import Transport, send
from ._proxy_failure import ProxyFailure

_SOCKS4_REPLY: Final = 8  # bytes

# Replies that stay as they are. The others are about the network, or say nothing.
_REFUSALS: Final = frozenset(
    {
        SOCKS4ReplyCode.AUTHENTICATION_FAILED,
        SOCKS5ReplyCode.CONNECTION_NOT_ALLOWED_BY_RULESET,
        SOCKS5ReplyCode.COMMAND_NOT_SUPPORTED,
        SOCKS5ReplyCode.ADDRESS_TYPE_NOT_SUPPORTED,
    }
)

# What an address of the proxy's, which nobody needs, takes in its reply: bytes.
_ADDRESS_SIZES: Final = {
    SOCKS5AType.IPV4_ADDRESS.value: 4,
    SOCKS5AType.IPV6_ADDRESS.value: 16,
}

Address = IPv4Address | IPv6Address


async def resolve(scheme: str, host: str, port: int) -> Address | None:
    """Find out what the proxy is to be told.

    :param scheme: the proxy's
    :param host: the server's name or IP address
    :param port: the server's port
    :return: an address; ``None`` if the proxy looks up the name
    :raises OSError: if the name has no address that can be used

    """
    try:
        return ip_address(host)
    except ValueError:
        if scheme in ("socks4a", "socks5h"):
            return None
    family = socket.AF_INET if scheme == "socks4" else socket.AF_UNSPEC
    found = await anyio.getaddrinfo(host, port, family=family, type=socket.SOCK_STREAM)
    return ip_address(found[0][4][0].partition("%")[0])


async def connect_by_socks4(
    transport: Transport,
    server: Address | str,
    port: int,
    credentials: Credentials | None,
) -> None:
    """Have a proxy connect to the server, by SOCKS 4 or 4a.

    :param transport: a new connection to the proxy
    :param server: the server's address, or its name if the proxy looks it up
    :param port: the server's port
    :param credentials: the user, whose password is not used
    :raises ProxyFailure: if the proxy does not connect
    :raises TransportLost: if the connection is lost

    """
    user = b"" if credentials is None else credentials.user
    connect = SOCKS4Command.CONNECT
    if isinstance(server, str):
        name = server.encode()
        request = SOCKS4ARequest(connect, port, name, user).dumps()
    else:
        request = SOCKS4Request(connect, port, server.packed, user).dumps()
    await send(transport, request)
    try:
        code = SOCKS4Reply.loads(await _exactly(transport, _SOCKS4_REPLY)).reply_code
    except SOCKSError:
        raise ProxyFailure("the proxy's reply is not SOCKS 4") from None
    if code is not SOCKS4ReplyCode.REQUEST_GRANTED:
        raise _failure(code)


async def connect_by_socks5(
    transport: Transport,
    server: Address | str,
    port: int,
    credentials: Credentials | None,
) -> None:
    """Have a proxy connect to the server, by SOCKS 5.

    :param transport: a new connection to the proxy
    :param server: the server's address, or its name if the proxy looks it up
    :param port: the server's port
    :param credentials: the user's name and password
    :raises ProxyFailure: if the proxy does not connect
    :raises TransportLost: if the connection is lost

    """
    await _authenticate(transport, credentials)
    if isinstance(server, str):
        kind, address = SOCKS5AType.DOMAIN_NAME, server.encode()
    else:
        is_ipv6 = server.version == 6
        kind = SOCKS5AType.IPV6_ADDRESS if is_ipv6 else SOCKS5AType.IPV4_ADDRESS
        address = server.packed
    request = SOCKS5CommandRequest(SOCKS5Command.CONNECT, kind, address, port)
    await send(transport, request.dumps())
    reply = await _exactly(transport, 4)  # version, code, reserved, kind of address
    _check_version(reply)
    try:
        code = SOCKS5ReplyCode(reply[1:2])
    except ValueError:
        raise ProxyFailure(f"the proxy answered with code {reply[1]}") from None
    if code is not SOCKS5ReplyCode.SUCCEEDED:
        raise _failure(code)
    kind_of_address = reply[3:]
    if kind_of_address == SOCKS5AType.DOMAIN_NAME.value:
        (size,) = await _exactly(transport, 1)
    elif kind_of_address in _ADDRESS_SIZES:
        size = _ADDRESS_SIZES[kind_of_address]
    else:
        raise ProxyFailure("the proxy's reply is not SOCKS 5")
    await _exactly(transport, size + 2)


async def _authenticate(transport: Transport, credentials: Credentials | None) -> None:
    methods = [SOCKS5AuthMethod.NO_AUTH_REQUIRED]
    if credentials is not None:
        methods.append(SOCKS5AuthMethod.USERNAME_PASSWORD)
    await send(transport, SOCKS5AuthMethodsRequest(methods).dumps())
    reply = await _exactly(transport, 2)
    _check_version(reply)
    method = reply[1:]
    if method == SOCKS5AuthMethod.NO_AUTH_REQUIRED.value:
        return
    if credentials is None or method != SOCKS5AuthMethod.USERNAME_PASSWORD.value:
        text = "the proxy wants a user name and a password, in its URL"
        if credentials is not None:
            text = "the proxy wants other credentials than a password"
        raise ProxyFailure(text, refused=True)
    request = SOCKS5UsernamePasswordRequest(credentials.user, credentials.password)
    await send(transport, request.dumps())
    # Some proxies answer with the version of SOCKS, and not with that of RFC 1929.
    if (await _exactly(transport, 2))[1] != 0:
        raise ProxyFailure(
            "the proxy did not accept the user name and the password", refused=True
        )


def _check_version(reply: bytes) -> None:
    if reply[0] != 5:
        raise ProxyFailure("the proxy's reply is not SOCKS 5")


async def _exactly(transport: Transport, size: int) -> bytes:
    data = b""
    while len(data) < size:
        more = await transport.receive(size - len(data))
        if not more:
            raise ProxyFailure("the proxy closed the connection before it responded")
        data += more
    return data


def _failure(code: SOCKS4ReplyCode | SOCKS5ReplyCode) -> ProxyFailure:
    words = code.name.lower().replace("_", " ")
    return ProxyFailure(f"the proxy answered: {words}", refused=code in _REFUSALS)
