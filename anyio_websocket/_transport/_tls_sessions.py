"""TLS sessions that clients resume, so that connecting again costs less.

In: the TLS object of a connection that ends. Out: its session, for the next connection
with the same context and to the same name.

When a session is resumed, the server sends no certificate: the one of the connection
before was verified. So what was verified is part of the key. Sessions are kept by their
context, because another one may trust other authorities, or have another certificate
of the client. Each is used once: whoever sees the same ticket twice knows that both
connections are of one client (RFC 8446 appendix C.4). Servers send new tickets on each
connection, in TLS 1.3 after the handshake, so the session is taken when it ends.
"""

from __future__ import annotations

import ssl
from typing import Final

# Names of servers for which a context keeps a session, at some KB each.
MAX_SESSIONS: Final = 64

# The attribute of a context. Sessions refer to it, so a WeakKeyDictionary would keep
# both for ever; a cycle is found by the garbage collector.
_ATTRIBUTE: Final = "_anyio_websocket_sessions"

_Key = tuple[object, ...]


def session_key(context: ssl.SSLContext, name: str) -> _Key:
    """Return what a connection that begins now verifies.

    OpenSSL copies it from the context then, and the context may change afterwards.
    """
    return (
        *(name, context.verify_mode, context.check_hostname, context.verify_flags),
        # A list of revoked certificates that is loaded counts as well.
        *context.cert_store_stats().values(),
    )


def take_session(context: ssl.SSLContext, key: _Key) -> ssl.SSLSession | None:
    """Return the session of the last connection to a server, and forget it."""
    sessions: dict[_Key, ssl.SSLSession] = getattr(context, _ATTRIBUTE, {})
    session = sessions.pop(key, None)
    return None if context.options & ssl.OP_NO_TICKET else session


def keep_session(tls: ssl.SSLObject, key: _Key) -> None:
    """Keep the session of a client's connection that ends, if it can be resumed.

    `ssl.OP_NO_TICKET` in the options of the context says that none is to be.

    :param key: what it has verified, of `session_key` when it began

    """
    session, context = tls.session, tls.context
    if session is None or not session.has_ticket or context.options & ssl.OP_NO_TICKET:
        return
    sessions: dict[_Key, ssl.SSLSession]
    sessions = vars(context).setdefault(_ATTRIBUTE, {})
    sessions[key] = session
    if len(sessions) > MAX_SESSIONS:
        # Threads may share the context: list() and pop() are one step each.
        sessions.pop(list(sessions)[0], None)  # noqa: RUF015
