"""Which TLS sessions clients resume."""

from __future__ import annotations

import gc
import ssl
import weakref
from collections.abc import Callable
from contextlib import suppress

import pytest
import trustme
from anyio.streams.tls import TLSAttribute

from anyio_websocket._transport import _tls_sessions
from anyio_websocket._transport._interface import send
from anyio_websocket._transport._tls_sessions import (
    keep_session,
    session_key,
    take_session,
)

from ..support.tls_ends import pair


def client_context(authority: trustme.CA) -> ssl.SSLContext:
    context = ssl.create_default_context()
    authority.configure_trust(context)
    return context


def kept(client: ssl.SSLObject) -> None:
    """Keep the session of a client, which has verified what its context says now."""
    name = client.server_hostname
    assert name is not None
    keep_session(client, session_key(client.context, name))


def taken(context: ssl.SSLContext, name: str) -> ssl.SSLSession | None:
    return take_session(context, session_key(context, name))


def connected(
    client_tls: ssl.SSLContext, server_tls: ssl.SSLContext, name: str = "localhost"
) -> ssl.SSLObject:
    """Return a client in memory that has done the handshake, and received a byte."""
    to_client, to_server = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = client_tls.wrap_bio(
        *(to_client, to_server),
        server_hostname=name,
        session=take_session(client_tls, session_key(client_tls, name)),
    )
    server = server_tls.wrap_bio(to_server, to_client, server_side=True)
    for _ in range(2):
        for side in (client, server):
            with suppress(ssl.SSLWantReadError):
                side.do_handshake()
    server.write(b"x")
    assert client.read(10) == b"x"
    return client


async def test_a_client_resumes_the_session_of_its_last_connection(
    authority: trustme.CA, server_tls: ssl.SSLContext
) -> None:
    client_tls = client_context(authority)
    for is_resumed in (False, True, True):
        async with pair(client_tls, server_tls) as ends:
            await send(ends.server, b"bytes")
            assert await ends.client.receive(10) == b"bytes"
            attributes = ends.client.extra_attributes
            tls = attributes[TLSAttribute.ssl_object]()
            assert tls.session_reused is is_resumed
            await ends.client.aclose()


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_a_session_is_used_once(
    authority: trustme.CA, server_tls: ssl.SSLContext, version: ssl.TLSVersion
) -> None:
    client_tls = client_context(authority)
    client_tls.minimum_version = client_tls.maximum_version = version
    kept(connected(client_tls, server_tls))
    first, second = (connected(client_tls, server_tls) for _ in range(2))
    assert (first.session_reused, second.session_reused) == (True, False)
    kept(first)
    assert connected(client_tls, server_tls).session_reused


def _other_name(context: ssl.SSLContext) -> tuple[ssl.SSLContext, str]:
    return context, "127.0.0.1"


def _checked_more(context: ssl.SSLContext) -> tuple[ssl.SSLContext, str]:
    context.check_hostname = True
    context.verify_mode = ssl.CERT_REQUIRED
    return context, "localhost"


def _other_flags(context: ssl.SSLContext) -> tuple[ssl.SSLContext, str]:
    context.verify_flags ^= ssl.VERIFY_X509_STRICT
    return context, "localhost"


def _revoked_more(context: ssl.SSLContext) -> tuple[ssl.SSLContext, str]:
    trustme.CA().configure_trust(context)  # a list of revocations counts alike
    return context, "localhost"


@pytest.mark.parametrize(
    "change", [_other_name, _checked_more, _other_flags, _revoked_more]
)
def test_a_session_counts_for_what_was_verified(
    authority: trustme.CA,
    server_tls: ssl.SSLContext,
    change: Callable[[ssl.SSLContext], tuple[ssl.SSLContext, str]],
) -> None:
    client_tls = client_context(authority)
    client_tls.check_hostname = False
    client_tls.verify_mode = ssl.CERT_NONE
    kept(connected(client_tls, server_tls))
    context, name = change(client_tls)
    assert taken(context, name) is None


def test_other_contexts_do_not_resume_it(
    authority: trustme.CA, server_tls: ssl.SSLContext
) -> None:
    client_tls, other = client_context(authority), client_context(authority)
    kept(connected(client_tls, server_tls))
    assert not connected(other, server_tls).session_reused
    assert connected(client_tls, server_tls).session_reused


def test_what_is_not_kept(authority: trustme.CA, server_tls: ssl.SSLContext) -> None:
    client_tls = client_context(authority)
    # Before the handshake there is none.
    kept(
        client_tls.wrap_bio(
            ssl.MemoryBIO(), ssl.MemoryBIO(), server_hostname="localhost"
        )
    )
    client = connected(client_tls, server_tls)
    options = client_tls.options
    client_tls.options |= ssl.OP_NO_TICKET
    kept(client)
    client_tls.options = options
    assert taken(client_tls, "localhost") is None


def test_what_is_kept_is_not_resumed_once_tickets_are_off(
    authority: trustme.CA, server_tls: ssl.SSLContext
) -> None:
    client_tls = client_context(authority)
    kept(connected(client_tls, server_tls))
    client_tls.options |= ssl.OP_NO_TICKET
    assert not connected(client_tls, server_tls).session_reused


async def test_what_a_connection_verified_is_what_its_context_said_at_its_begin(
    authority: trustme.CA, server_tls: ssl.SSLContext
) -> None:
    client_tls = ssl.create_default_context()  # it does not trust the authority
    client_tls.check_hostname = False
    client_tls.verify_mode = ssl.CERT_NONE
    async with pair(client_tls, server_tls) as ends:
        await send(ends.server, b"bytes")
        assert await ends.client.receive(10) == b"bytes"
        client_tls.verify_mode = ssl.CERT_REQUIRED
        client_tls.check_hostname = True
        await ends.client.aclose()
    with pytest.raises(ExceptionGroup) as caught:
        async with pair(client_tls, server_tls):
            pass
    assert caught.group_contains(ssl.SSLCertVerificationError)


def test_few_are_kept_and_they_go_with_their_context(
    authority: trustme.CA, server_tls: ssl.SSLContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_tls_sessions, "MAX_SESSIONS", 1)
    client_tls = client_context(authority)
    for name in ("127.0.0.1", "localhost"):
        kept(connected(client_tls, server_tls, name))
    assert taken(client_tls, "127.0.0.1") is None
    kept(connected(client_tls, server_tls))
    context = weakref.ref(client_tls)
    del client_tls
    gc.collect()
    assert context() is None
