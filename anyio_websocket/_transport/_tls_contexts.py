"""Whether a TLS context can work, and whether ALPN agreed on what a WebSocket needs.

Both are said where they can be known first, in words that say what to do.
"""

from __future__ import annotations

import ssl
from contextlib import suppress


def check_alpn(protocol: str | None) -> None:
    """Check what ALPN agreed on: it must be HTTP/1.1, which a WebSocket begins with.

    :raises ssl.SSLError: if it is another protocol

    """
    if protocol not in (None, "http/1.1"):
        raise ssl.SSLError(
            f"ALPN agreed on {protocol!r}, and a WebSocket needs 'http/1.1': offer "
            "only this with SSLContext.set_alpn_protocols()"
        )


def check_ssl_context(
    context: object, *, server_side: bool = False, name: str = "ssl_context"
) -> ssl.SSLContext:
    """Return a user's TLS context unchanged.

    :param context: the context that the user passed, if it is not ``None``
    :param server_side: whether it is used by a server
    :param name: the name of the argument; errors have it
    :raises TypeError: if it is not an `ssl.SSLContext`; a false value such as ``False``
        or ``""`` must not mean "no TLS"
    :raises ValueError: if it cannot work on this side, or is that of a server and has
        no certificate

    """
    if not isinstance(context, ssl.SSLContext):
        kind = type(context).__name__  # a URL may have a password in it
        raise TypeError(f"{name} must be an ssl.SSLContext or None, not {kind}")
    if not server_side:
        if context.protocol == ssl.PROTOCOL_TLS_SERVER:
            raise ValueError(
                f"{name} is that of a server (PROTOCOL_TLS_SERVER); a client needs "
                "ssl.create_default_context(), or one of ssl.PROTOCOL_TLS_CLIENT"
            )
        return context
    if context.protocol == ssl.PROTOCOL_TLS_CLIENT:
        raise ValueError(
            f"{name} is that of a client (PROTOCOL_TLS_CLIENT); a server needs "
            "ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), and a certificate from "
            "load_cert_chain()"
        )
    if _lacks_certificate(context):
        raise ValueError(
            f"{name} has no certificate: call its load_cert_chain() before it is "
            "passed to a server"
        )
    return context


def _lacks_certificate(context: ssl.SSLContext) -> bool:
    """Say whether a server's context certainly has no certificate.

    A context cannot be asked for its certificate. So it is given a client's first
    message, in memory (1 ms). Without a certificate OpenSSL finds no cipher to use.
    """
    # The callback may change the context for each client; ciphers without certificates
    # need none.
    if context.sni_callback is not None or any(
        "PSK" in cipher["name"] or cipher["name"].startswith(("ADH", "AECDH"))
        for cipher in context.get_ciphers()
    ):
        return False
    client_context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client_context.check_hostname = False
    client_context.verify_mode = ssl.CERT_NONE
    client_context.set_ciphers("ALL:@SECLEVEL=0")
    hello = ssl.MemoryBIO()
    client = client_context.wrap_bio(ssl.MemoryBIO(), hello)
    server = context.wrap_bio(hello, ssl.MemoryBIO(), server_side=True)
    with suppress(ssl.SSLWantReadError):
        client.do_handshake()
    reason: str | None = None
    try:
        server.do_handshake()
    except ssl.SSLError as exc:  # SSLWantReadError if it waits for the client
        reason = exc.reason
    # OpenSSL does not speak TLS 1.3 without a certificate.
    return reason == "NO_SHARED_CIPHER" or (
        reason == "UNSUPPORTED_PROTOCOL"
        and context.minimum_version == ssl.TLSVersion.TLSv1_3
    )
