"""What is said of TLS contexts that cannot work."""

from __future__ import annotations

import ssl

import pytest

from anyio_websocket._transport._tls_contexts import check_alpn, check_ssl_context


def test_B15_a_websocket_begins_with_http_1() -> None:
    check_alpn(None)
    check_alpn("http/1.1")
    with pytest.raises(ssl.SSLError, match="'h2'"):
        check_alpn("h2")


@pytest.mark.parametrize("server_side", [False, True])
def test_H8_B15_a_context_is_returned_or_refused(
    server_side: bool, client_tls: ssl.SSLContext, server_tls: ssl.SSLContext
) -> None:
    own, other = client_tls, server_tls
    if server_side:
        own, other = other, own
    assert check_ssl_context(own, server_side=server_side) is own
    with pytest.raises(ValueError, match=r"^mine is that of a"):
        check_ssl_context(other, server_side=server_side, name="mine")
    with pytest.raises(TypeError, match="not bool"):
        check_ssl_context(False, server_side=server_side)


@pytest.mark.parametrize("ciphers", ["PSK", "ADH:@SECLEVEL=0"])
def test_H8_a_server_may_do_without_a_certificate(ciphers: str) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    with pytest.raises(ValueError, match="load_cert_chain"):
        check_ssl_context(context, server_side=True)
    context.set_ciphers(ciphers)
    assert check_ssl_context(context, server_side=True) is context
