"""Encrypting a connection: TLS with a server, or with a proxy, as its client.

In: a transport, connected. Out: a transport over TLS. The context with the system's
certificates is kept here, and what to do about errors of TLS is said here.
"""

from __future__ import annotations

import ssl
import threading
from typing import Final

from anyio import to_thread

from .._transport import Transport, TransportLost, start_tls

# What OpenSSL says to a server that answers in clear text.
_NOT_TLS: Final = ("WRONG_VERSION_NUMBER", "PACKET_LENGTH_TOO_LONG", "HTTP_REQUEST")
# X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT, ..._SELF_SIGNED_CERT_IN_CHAIN and
# ..._UNABLE_TO_GET_ISSUER_CERT_LOCALLY of OpenSSL
_UNKNOWN_ISSUER: Final = (18, 19, 20)


class ClosedInHandshake(Exception):
    """The peer closed the connection during the TLS handshake."""


async def encrypt(
    transport: Transport,
    context: ssl.SSLContext,
    server_name: str,
    received: bytes = b"",
) -> Transport:
    """Do the TLS handshake with a server or a proxy.

    If this raises, the transport is closed.

    :param transport: the connection
    :param context: the TLS context
    :param server_name: the name that the certificate must have
    :param received: what the peer has sent already
    :raises OSError: if TLS or the network fails
    :raises ClosedInHandshake: if the peer closes the connection

    """
    try:
        return await start_tls(transport, context, server_name, received)
    except TransportLost as exc:
        raise ClosedInHandshake from exc.__cause__ or exc


_default_contexts: Final[list[ssl.SSLContext]] = []  # one, once it is made
_lock: Final = threading.Lock()


async def default_context() -> ssl.SSLContext:
    """Return the context that verifies servers with the system's certificates.

    Loading them takes 20 ms or more. So they are loaded once in a process, and in a
    worker thread, where they hold up neither the event loop nor a client that tries to
    reconnect. A process that is to see changed certificates has to start again, or to
    pass a context.
    """
    if not _default_contexts:
        await to_thread.run_sync(_make_default_context, abandon_on_cancel=True)
    return _default_contexts[0]


def _make_default_context() -> None:
    with _lock:
        if not _default_contexts:
            context = ssl.create_default_context()
            context.set_alpn_protocols(["http/1.1"])
            _default_contexts.append(context)


def hint(error: OSError) -> str:
    """Say what to do if an error of TLS nearly always is the same mistake."""
    if isinstance(error, ssl.SSLCertVerificationError):
        if error.verify_code in _UNKNOWN_ISSUER:
            return (
                ". If you trust its certificate, pass an SSL context that has it: "
                'ssl.create_default_context(cafile="...")'
            )
    elif isinstance(error, ssl.SSLError) and getattr(error, "reason", None) in _NOT_TLS:
        return ". It does not speak TLS on this port: use ws:"
    return ""
