"""Origins: which web pages may connect."""

from __future__ import annotations

import pytest

from anyio_websocket._protocol import Origins

from ..support.peer import request
from ..support.requests import accepted, rejected


@pytest.mark.parametrize(
    ("origin", "host"),
    [
        (b"http://example.org", b"example.org"),
        (b"https://example.org", b"example.org"),
        (b"https://EXAMPLE.org:443", b"example.ORG"),
        (b"http://example.org", b"example.org:80"),
        (b"http://example.org:8000", b"example.org:8000"),
        (b"http://[::1]:8000", b"[::1]:8000"),
    ],
)
def test_A11_pages_of_the_same_host_may_connect(origin: bytes, host: bytes) -> None:
    data = request(b"Origin: " + origin, host=host)
    assert accepted(data).origin == origin.decode()


@pytest.mark.parametrize(
    ("origin", "host"),
    [
        (b"http://evil.example", b"example.org"),
        (b"http://example.org.evil.example", b"example.org"),
        (b"http://example.org:8001", b"example.org:8000"),
        (b"https://example.org", b"example.org:80"),
        (b"http://user@example.org", b"example.org"),
        (b"http://example.org/path", b"example.org"),
        (b"http://[::1", b"example.org"),
        (b"null", b"example.org"),
        (b"null", b"null"),
        (b"example.org", b"example.org"),
        (b"", b"example.org"),
        (b"http://example.org:99999", b"example.org"),
        (b"http://example.org", b"%"),
    ],
)
def test_A11_pages_of_other_hosts_are_rejected(origin: bytes, host: bytes) -> None:
    rejected(request(b"Origin: " + origin, host=host), 403)


def test_A11_a_host_that_no_url_can_have() -> None:
    # It is a valid host for HTTP, but no URL can have it.
    rejected(request(b"Origin: http://x", host=b"[1.2]"), 403)


def test_A11_listed_origins_may_connect() -> None:
    origins = ["https://example.org", "http://localhost:3000", "null"]
    for origin in (b"https://example.org:443", b"HTTP://LOCALHOST:3000", b"null"):
        accepted(request(b"Origin: " + origin, host=b"other"), origins)
    for origin in (b"http://example.org", b"http://localhost", b"https://other"):
        rejected(request(b"Origin: " + origin, host=b"other"), 403, origins)
    accepted(request(), origins)  # no browser
    accepted(request(b"Origin: http://evil.example"), "*")
    rejected(request(b"Origin: a", b"Origin: a"), 400, "*")


@pytest.mark.parametrize("origin", ["example.org", "", "http://x/path", "http://[x"])
def test_A11_invalid_origins_are_an_error(origin: str) -> None:
    with pytest.raises(ValueError, match="not an origin"):
        Origins([origin])


def test_A11_origins_of_the_wrong_type() -> None:
    with pytest.raises(TypeError, match="origins must be"):
        Origins("https://example.org")
    with pytest.raises(TypeError, match="origin must be"):
        Origins([b"https://example.org"])  # type: ignore[list-item]


@pytest.mark.parametrize(
    "origin",
    [
        b"http://exam\tple.org",
        b"http://example.org?",
        b"http://example.org#",
        b"http://@example.org",
        b"http://example.org:0",
        b"http://:80",
        b"http:example.org",
    ],
)
def test_A11_origins_that_a_lenient_parser_would_accept(origin: bytes) -> None:
    rejected(request(b"Origin: " + origin), 403)


def test_A11_international_origins_may_be_listed() -> None:
    origins = Origins(["https://bücher.example:8443"])
    assert origins.allow("https://xn--bcher-kva.example:8443", "x")
    assert not origins.allow("https://bucher.example:8443", "x")
    upper = Origins(["https://BÜCHER.example:8443"])
    assert upper.allow("https://xn--bcher-kva.example:8443", "x")


@pytest.mark.parametrize(
    ("scheme", "port"), [("http", 80), ("https", 443), ("ws", 80), ("wss", 443)]
)
def test_A11_schemes_have_default_ports(scheme: str, port: int) -> None:
    origins = Origins([f"{scheme}://example.org"])
    assert origins.allow(f"{scheme}://example.org:{port}", "x")
    assert not origins.allow(f"{scheme}://example.org:{port + 1}", "x")
