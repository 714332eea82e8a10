"""Endpoints: addresses as users and URLs have them."""

from __future__ import annotations

from ipaddress import ip_address

import pytest

from anyio_websocket import Endpoint
from anyio_websocket._endpoint import address_of, endpoint_of


@pytest.mark.parametrize(
    ("address", "port", "is_ssl", "url"),
    [
        ("127.0.0.1", 80, False, "ws://127.0.0.1"),
        ("127.0.0.1", 80, True, "wss://127.0.0.1:80"),
        ("127.0.0.1", 443, True, "wss://127.0.0.1"),
        ("127.0.0.1", 443, False, "ws://127.0.0.1:443"),
        ("::1", 8000, False, "ws://[::1]:8000"),
        ("::1", 443, True, "wss://[::1]"),
        (0x7F000001, 1, False, "ws://127.0.0.1:1"),
    ],
)
def test_url(address: str | int, port: int, is_ssl: bool, url: str) -> None:
    endpoint = Endpoint(address, port, is_ssl)
    assert endpoint.url == url
    assert endpoint.address == ip_address(address)
    assert (endpoint.port, endpoint.is_ssl) == (port, is_ssl)


def test_equality_and_repr() -> None:
    endpoint = Endpoint("127.0.0.1", 80, False)
    assert endpoint == Endpoint("127.0.0.1", 80, False)
    assert hash(endpoint) == hash(Endpoint("127.0.0.1", 80, False))
    assert endpoint != Endpoint("127.0.0.1", 81, False)
    assert endpoint != "ws://127.0.0.1"
    assert (endpoint == "ws://127.0.0.1") is False  # and not None
    assert repr(endpoint) == 'Endpoint(address="127.0.0.1", port=80, is_ssl=False)'


def test_endpoints() -> None:
    assert endpoint_of(("::1", 80, 0, 0), is_ssl=False) == Endpoint("::1", 80, False)
    assert endpoint_of(("fe80::1%lo", 80), is_ssl=True) == Endpoint(
        "fe80::1%lo", 80, True
    )
    assert endpoint_of("/run/socket", is_ssl=False) == "/run/socket"
    assert endpoint_of(b"\0abstract", is_ssl=False) == "\0abstract"
    assert endpoint_of("", is_ssl=False) is None
    assert endpoint_of(None, is_ssl=False) is None


def test_H15_pairs() -> None:
    assert address_of(Endpoint("127.0.0.1", 80, False)) == ("127.0.0.1", 80)
    assert address_of(Endpoint("fe80::1%lo", 80, True)) == ("fe80::1%lo", 80)
    assert address_of("/run/socket") is None
