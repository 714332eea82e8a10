"""What an application is told of TLS: the extension ``tls`` of ASGI, version 0.2."""

from __future__ import annotations

import re
import ssl
from collections.abc import Mapping
from functools import cache
from typing import Any, Final, cast

from anyio import TypedAttributeProvider
from anyio.streams.tls import TLSAttribute

_VERSIONS: Final = {
    "TLSv1": 0x0301,
    "TLSv1.1": 0x0302,
    "TLSv1.2": 0x0303,
    "TLSv1.3": 0x0304,
}
# RFC 4514 section 3; what is not in it goes by the name that OpenSSL has for it.
_SHORT_NAMES: Final = {
    "commonName": "CN",
    "localityName": "L",
    "stateOrProvinceName": "ST",
    "organizationName": "O",
    "organizationalUnitName": "OU",
    "countryName": "C",
    "streetAddress": "STREET",
    "domainComponent": "DC",
    "userId": "UID",
}
_ESCAPED: Final = re.compile(r'[",+;<>\\]|\A[ #]| \Z')  # RFC 4514 section 2.4


def tls_extension(provider: TypedAttributeProvider) -> dict[str, Any] | None:
    """Return what is known of the client's TLS; ``None`` if it speaks none with us.

    :param provider: what knows the attributes of the stream

    """
    version: str | None = provider.extra(TLSAttribute.tls_version, None)
    if version is None:
        return None
    binary: bytes | None = provider.extra(TLSAttribute.peer_certificate_binary, None)
    certificate = cast(
        "Mapping[str, Any] | None", provider.extra(TLSAttribute.peer_certificate, None)
    )
    cipher: tuple[str, str, int] | None = provider.extra(TLSAttribute.cipher, None)
    return {
        "server_cert": None,  # Python does not tell its own
        "client_cert_chain": [] if not binary else [ssl.DER_cert_to_PEM_cert(binary)],
        "client_cert_name": distinguished_name(certificate) if certificate else None,
        "client_cert_error": None,  # then there would be no connection
        "tls_version": _VERSIONS.get(version),
        "cipher_suite": _cipher_suites().get(cipher[0]) if cipher else None,
    }


def distinguished_name(certificate: Mapping[str, Any]) -> str:
    """Return the subject of a certificate as a text (RFC 4514).

    :param certificate: what ``getpeercert()`` has returned

    """
    return ",".join(
        "+".join(
            f"{_SHORT_NAMES.get(name, name)}={_ESCAPED.sub(_escape, value)}"
            for name, value in names
        )
        for names in reversed(certificate.get("subject", ()))
    ).replace("\0", r"\00")


def _escape(match: re.Match[str]) -> str:
    return f"\\{match.group()}"


@cache
def _cipher_suites() -> dict[str, int]:
    """Return the numbers of all cipher suites by name, as IANA has them."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.set_ciphers("ALL")
    # OpenSSL puts the version of the protocol in front.
    return {cipher["name"]: cipher["id"] & 0xFFFF for cipher in context.get_ciphers()}
