"""The extension tls, made of what Python knows of TLS."""

from __future__ import annotations

import ssl
from typing import Any

import pytest
import trustme
from anyio.streams.tls import TLSAttribute

from anyio_websocket.asgi._tls import distinguished_name, tls_extension

from ..support.attributes import Known


def test_without_tls_there_is_none() -> None:
    assert tls_extension(Known({})) is None


@pytest.mark.parametrize(
    ("version", "cipher", "expected"),
    [
        ("TLSv1.3", ("TLS_AES_128_GCM_SHA256", "TLSv1.3", 128), (0x0304, 0x1301)),
        ("TLSv1.2", ("ECDHE-RSA-AES128-GCM-SHA256", "", 1), (0x0303, 0xC02F)),
        ("TLSv9", ("NEW", "", 1), (None, None)),
        ("TLSv1.3", None, (0x0304, None)),
    ],
)
def test_versions_and_ciphers(version: str, cipher: Any, expected: Any) -> None:
    found = tls_extension(
        Known({TLSAttribute.tls_version: version, TLSAttribute.cipher: cipher})
    )
    assert found == {
        "server_cert": None,
        "client_cert_chain": [],
        "client_cert_name": None,
        "client_cert_error": None,
        "tls_version": expected[0],
        "cipher_suite": expected[1],
    }


def test_the_certificate_of_a_client() -> None:
    pem = trustme.CA().issue_cert("ann").cert_chain_pems[0].bytes().decode()
    found = tls_extension(
        Known(
            {
                TLSAttribute.tls_version: "TLSv1.3",
                TLSAttribute.cipher: ("TLS_AES_128_GCM_SHA256", "TLSv1.3", 128),
                TLSAttribute.peer_certificate_binary: ssl.PEM_cert_to_DER_cert(pem),
                TLSAttribute.peer_certificate: {
                    "subject": ((("commonName", "ann"),),),
                },
            }
        )
    )
    assert found is not None
    assert [text.split() for text in found["client_cert_chain"]] == [pem.split()]
    assert found["client_cert_name"] == "CN=ann"


@pytest.mark.parametrize(
    ("subject", "text"),
    [
        ((), ""),
        (
            (
                (("countryName", "DE"),),
                (("organizationName", "A, B"), ("organizationalUnitName", "x+y")),
                (("commonName", "ann"),),
            ),
            r"CN=ann,O=A\, B+OU=x\+y,C=DE",
        ),
        (((("emailAddress", "a@b"),),), "emailAddress=a@b"),
        (((("commonName", " #a "),),), r"CN=\ #a\ "),
        (((("commonName", '#"<;>\\'),),), r"CN=\#\"\<\;\>\\"),
        (((("commonName", "a\0b"),),), r"CN=a\00b"),
    ],
)
def test_names(subject: Any, text: str) -> None:
    assert distinguished_name({"subject": subject}) == text
