"""Starting TLS as a client, over any transport that is connected.

In: a transport, and what was received over it already. Out: a transport over TLS.
"""

from __future__ import annotations

import ssl

import anyio
from anyio.streams.tls import TLSAttribute, TLSStream

from ._interface import Transport, TransportLost
from ._streams import StreamTransport
from ._tls import TlsTransport
from ._tls_contexts import check_alpn


async def start_tls(
    transport: Transport, context: ssl.SSLContext, server_name: str, received: bytes
) -> Transport:
    """Do the TLS handshake with a server.

    If this raises, the transport is closed.

    :param transport: the connection; TLS may run over it already, with a proxy
    :param context: the TLS context
    :param server_name: the name that the server's certificate must have
    :param received: bytes that came already, which belong to TLS
    :raises ssl.SSLError: if the handshake fails
    :raises TransportLost: if the connection breaks, or the peer closes it

    """
    try:
        if isinstance(transport, StreamTransport):
            return await _over_stream(transport, context, server_name, received)
        tls = TlsTransport(transport, context, server_name, received)
        await tls.handshake()
        return tls
    except BaseException:
        await transport.abort()
        raise


async def _over_stream(
    transport: StreamTransport,
    context: ssl.SSLContext,
    server_name: str,
    received: bytes,
) -> Transport:
    # How much of a write was sent is not known of a stream, so anyio's TLS will do.
    # Imported when it is needed: few clients have TLS over a stream.
    from anyio.streams.buffered import BufferedByteStream

    stream, rest = transport.release()
    buffered = BufferedByteStream(stream)
    buffered.feed_data(received + rest)
    try:
        tls = await TLSStream.wrap(
            buffered,
            hostname=server_name,
            ssl_context=context,
            standard_compatible=False,
        )
    except (anyio.EndOfStream, anyio.BrokenResourceError) as exc:
        raise TransportLost("the stream broke in the TLS handshake") from exc
    check_alpn(tls.extra(TLSAttribute.alpn_protocol))
    return StreamTransport(tls)
