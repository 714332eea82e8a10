"""Origins: which web pages may connect."""

from __future__ import annotations

import re

import pytest

from anyio_websocket._protocol import (
    Origins,
    Rejection,
    Request,
    ServerHandshake,
)
from anyio_websocket.testing import handshake_request

from ..support.requests import accepted, rejected, serve


@pytest.mark.parametrize(
    ("origin", "host"),
    [
        (b"http://example.org", b"example.org"),
        (b"https://example.org", b"example.org"),
        (b"https://EXAMPLE.org:443", b"example.ORG"),
        (b"http://example.org", b"example.org:80"),
        (b"http://example.org:8000", b"example.org:8000"),
        (b"http://[::1]:8000", b"[::1]:8000"),
        (b"http://[::1]", b"[0:0::1]"),
        (b"http://localhost:3000", b"localhost:8000"),
        (b"https://example.org:8443", b"example.org"),
        (b"https://example.org", b"example.org:80"),
        (b"https://example.org", b"example.org:"),
    ],
)
def test_A11_A19_pages_of_the_same_host_may_connect(origin: bytes, host: bytes) -> None:
    data = handshake_request(b"Origin: " + origin, host=host)
    assert accepted(data).origin == origin.decode()


@pytest.mark.parametrize(
    ("origin", "host"),
    [
        (b"http://evil.example", b"example.org"),
        (b"http://example.org.evil.example", b"example.org"),
        (b"http://[::1]evil.org", b"[::1]"),
        (b"http://evil.org[::1]", b"[::1]"),
        (b"http://[::1]:80evil.org", b"[::1]"),
        (b"http://[::g]", b"[::1]"),
        (b"chrome-extension://example.org", b"example.org"),
        (b"ftp://example.org", b"example.org"),
        (b"ws://example.org", b"example.org"),
        (b"file://example.org", b"example.org"),
        (b"file://", b"example.org"),
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
    rejected(handshake_request(b"Origin: " + origin, host=host), 403)


def test_A11_a_host_that_no_url_can_have() -> None:
    # It is a valid host for HTTP, but no URL can have it.
    rejected(handshake_request(b"Origin: http://x", host=b"[1.2]"), 403)


def test_A11_listed_origins_may_connect() -> None:
    origins = ["https://example.org", "http://localhost:3000", "null"]
    for origin in (b"https://example.org:443", b"HTTP://LOCALHOST:3000", b"null"):
        accepted(handshake_request(b"Origin: " + origin, host=b"other"), origins)
    for origin in (b"http://example.org", b"http://localhost", b"https://other"):
        rejected(handshake_request(b"Origin: " + origin, host=b"other"), 403, origins)
    accepted(handshake_request(), origins)  # no browser
    accepted(handshake_request(b"Origin: http://evil.example"), "*")
    rejected(handshake_request(b"Origin: a", b"Origin: a"), 400, "*")


@pytest.mark.parametrize(
    ("origin", "why"),
    [
        ("example.org", "use the form"),
        ("*.example.org", "use the form"),
        ("", "use the form"),
        ("http://[x", "use the form"),
        ("https://", "use the form"),
        ("https://x y", "use the form"),
        ("http://x/path", "no path, so use http://x"),
        ("https://example.org/", "no path, so use https://example.org"),
        ("http://x:80?", "no path, so use http://x:80"),
        ("https://me@example.org", "no user name"),
        ("https://example.org:0", "the port"),
        ("https://example.org:65536", "the port"),
        ("https://127.1", "4 octets"),
        ("https://0x7f.0.0.1", "decimal"),
        ("https://%65xample.org", "percent"),
        ("https://☃.example", "not allowed"),
        ("wss://example.org", "http or https"),
        ("file:///", "file://"),
        ("*", re.escape('origins="*"')),
        ("https://*", "whole labels"),
        ("https://www*.example.org", "whole labels"),
        ("https://*.example.org:*", "whole labels"),
        ("https://*.127.0.0.1", "no labels"),
        ("https://*.[::1]", "no labels"),
    ],
)
def test_A11_A19_origins_that_no_page_can_have_are_an_error(
    origin: str, why: str
) -> None:
    with pytest.raises(ValueError, match=f"not an origin of pages: .*{why}"):
        Origins([origin])


def test_A19_wildcards_stand_for_the_names_below() -> None:
    origins = ["https://*.example.org", "http://*.bücher.example:8000"]
    for origin in (
        b"https://www.example.org",
        b"https://a.b.example.org:443",
        b"http://x.xn--bcher-kva.example:8000",
    ):
        accepted(handshake_request(b"Origin: " + origin), origins)
    for origin in (
        b"https://example.org",
        b"https://.example.org.",
        b"https://evil-example.org",
        b"https://www.example.org.evil.example",
        b"https://www.example.org:8443",
        b"http://www.example.org",
        b"http://x.xn--bcher-kva.example",
    ):
        rejected(
            handshake_request(b"Origin: " + origin, host=b"example.org"), 403, origins
        )


def test_A19_other_schemes_may_be_listed() -> None:
    origins = ["null", "file://", "chrome-extension://abc", "http://127.0.0.1"]
    for origin in (b"null", b"file://", b"chrome-extension://abc", b"http://127.0.0.1"):
        accepted(handshake_request(b"Origin: " + origin), origins)
    rejected(handshake_request(b"Origin: chrome-extension://abcd"), 403, origins)


def test_A19_what_the_browser_calls_same_origin_may_connect() -> None:
    # Behind a proxy that replaces the Host.
    page = b"Origin: https://example.org"
    same = b"Sec-Fetch-Site: same-origin"
    accepted(handshake_request(page, same, host=b"127.0.0.1:8000"))
    for site in (b"same-site", b"cross-site", b"none", b"", b"SAME-ORIGIN"):
        rejected(
            handshake_request(page, b"Sec-Fetch-Site: " + site, host=b"127.0.0.1:8000"),
            403,
        )
    rejected(handshake_request(page, same, same, host=b"127.0.0.1:8000"), 403)
    # The application's list stands above it.
    rejected(handshake_request(page, same), 403, ["https://other.example"])


def test_A18_http_pages_may_not_connect_over_our_own_tls() -> None:
    def outcome(origin: bytes, origins: list[str] | None) -> object:
        handshake = ServerHandshake(origins=Origins(origins), is_ssl=True)
        return handshake.receive_data(handshake_request(b"Origin: " + origin))

    assert isinstance(outcome(b"https://example.org:8443", None), Request)
    refusal = outcome(b"http://example.org", None)
    assert isinstance(refusal, Rejection)
    assert refusal.status_code == 403
    assert "only https pages" in refusal.reason
    assert isinstance(outcome(b"http://example.org", ["http://example.org"]), Request)


def test_A18_the_authority_of_an_absolute_target_is_the_host() -> None:
    def asked(origin: bytes, authority: bytes) -> bytes:
        line = b"GET http://" + authority + b"/a HTTP/1.1"
        return handshake_request(b"Origin: " + origin, line=line, host=b"evil.example")

    outcome = accepted(asked(b"http://example.org", b"example.org:8000"))
    assert (outcome.host, outcome.target) == ("example.org:8000", "/a")
    rejected(asked(b"http://evil.example", b"example.org"), 403)
    for wrong in (b"user@example.org", b"example.org:99999", b"[x"):
        rejected(asked(b"http://example.org", wrong), 400)


@pytest.mark.parametrize("origins", [None, ["https://other.example"]])
def test_A21_a_rejection_says_what_to_do(origins: list[str] | None) -> None:
    data = handshake_request(b"Origin: https://example.org", host=b"127.0.0.1:8000")
    _, outcome = serve(data, origins)
    assert isinstance(outcome, Rejection)
    assert outcome.is_origin
    rejected(data, 403, origins)  # the body is the same
    for text in ("'https://example.org'", "'127.0.0.1:8000'", "origins="):
        assert text in outcome.reason
    assert ("proxy" in outcome.reason) is (origins is None)


def test_A21_a_rejection_is_escaped_and_not_endless() -> None:
    for origin in (b"http://x\"><script>\t'", b"null" * 1000):
        _, outcome = serve(handshake_request(b"Origin: " + origin))
        assert isinstance(outcome, Rejection)
        assert outcome.reason.isprintable()
        assert len(outcome.reason) < 1000
        assert 'origins="*"' in outcome.reason


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
    rejected(handshake_request(b"Origin: " + origin), 403)


def test_A11_international_origins_may_be_listed() -> None:
    origins = Origins(["https://bücher.example:8443"])
    assert origins.reason_to_reject("https://xn--bcher-kva.example:8443", "x") is None
    assert origins.reason_to_reject("https://bucher.example:8443", "x") is not None
    upper = Origins(["https://BÜCHER.example:8443"])
    assert upper.reason_to_reject("https://xn--bcher-kva.example:8443", "x") is None


@pytest.mark.parametrize(("scheme", "port"), [("http", 80), ("https", 443)])
def test_A11_schemes_have_default_ports(scheme: str, port: int) -> None:
    origins = Origins([f"{scheme}://example.org"])
    assert origins.reason_to_reject(f"{scheme}://example.org:{port}", "x") is None
    assert (
        origins.reason_to_reject(f"{scheme}://example.org:{port + 1}", "x") is not None
    )
