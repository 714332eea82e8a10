"""Which proxy the environment names, for which server."""

from __future__ import annotations

import pytest

from anyio_websocket._client._environment import proxy_variable

PROXY = "http://proxy.test:3128"


def found(url: str = "wss://example.org:443", **environ: str) -> tuple[str, str] | None:
    scheme, _, rest = url.partition("://")
    host, _, port = rest.rpartition(":")
    return proxy_variable(host, int(port), is_secure=scheme == "wss", environ=environ)


def exempt(no_proxy: str, host: str, port: int = 443) -> bool:
    return found(f"wss://{host}:{port}", all_proxy=PROXY, no_proxy=no_proxy) is None


def test_the_best_variable_wins() -> None:
    assert found() is None
    everything = {
        f"{name}_proxy": f"http://{name}"
        for name in ("wss", "ws", "socks", "https", "http", "all")
    }
    for scheme, order in (
        ("wss", ["wss", "socks", "https", "all"]),
        ("ws", ["ws", "socks", "https", "http", "all"]),
    ):
        left = dict(everything)
        for name in order:
            variable = f"{name}_proxy"
            assert found(f"{scheme}://x:1", **left) == (variable, left.pop(variable))
        assert found(f"{scheme}://x:1", **left) is None


def test_lower_case_wins() -> None:
    assert found(HTTPS_PROXY=PROXY) == ("https_proxy", PROXY)
    assert found(HTTPS_PROXY="http://x", https_proxy=PROXY) == ("https_proxy", PROXY)
    assert found(HTTPS_PROXY=PROXY, https_proxy="") is None
    assert found(HTTPS_PROXY=PROXY, NO_PROXY="*") is None
    assert found(HTTPS_PROXY=PROXY, NO_PROXY="*", no_proxy="") is not None


def test_a_cgi_program_does_not_believe_its_clients() -> None:
    assert found("ws://x:80", HTTP_PROXY=PROXY) is not None
    assert found("ws://x:80", HTTP_PROXY=PROXY, REQUEST_METHOD="GET") is None
    assert found("ws://x:80", http_proxy=PROXY, REQUEST_METHOD="GET") is not None


@pytest.mark.parametrize(
    ("value", "url"),
    [
        (" proxy.test:3128 ", PROXY),
        ("socks://user:pw@x:1080/", "socks5h://user:pw@x:1080/"),
        ("SOCKS5://x", "SOCKS5://x"),
    ],
)
def test_what_is_written_instead_of_a_url(value: str, url: str) -> None:
    assert found(all_proxy=value) == ("all_proxy", url)


@pytest.mark.parametrize(
    "host",
    [
        *("localhost", "LOCALHOST.", "a.localhost", "127.0.0.1", "127.9.9.9", "::1"),
        *("::ffff:127.0.0.1", "0.0.0.0", "::", "0", "127.1", "0x7f.1", "0177.0.0.1"),
        *("2130706433", "127.1."),
    ],
)
def test_never_for_this_machine(host: str) -> None:
    assert exempt("", host)


@pytest.mark.parametrize(
    ("no_proxy", "host"),
    [
        ("*", "example.org"),
        ("a.test,example.org", "example.org"),
        ("a.test example.org", "EXAMPLE.org."),
        (" , EXAMPLE.org ,", "example.org"),
        ("example.org", "ws.example.org"),
        (".example.org", "ws.example.org"),
        (".example.org", "example.org"),
        ("*.example.org", "ws.example.org"),
        ("example.org.", "example.org"),
        ("example.org:443", "example.org"),
        ("192.0.2.0/24", "192.0.519"),
        ("bücher.example", "bücher.example"),
        ("xn--bcher-kva.example", "bücher.example"),
        ("192.0.2.7", "192.0.2.7"),
        ("192.0.2.7:443", "192.0.2.7"),
        ("192.0.2.0/24", "192.0.2.7"),
        ("192.0.2.7/24", "192.0.2.9"),
        ("2001:db8::/32", "2001:db8::7"),
        ("[2001:db8::7]", "2001:db8::7"),
        ("[2001:db8::7]:443", "2001:0db8::7"),
    ],
)
def test_servers_without_a_proxy(no_proxy: str, host: str) -> None:
    assert exempt(no_proxy, host)


@pytest.mark.parametrize(
    ("no_proxy", "host"),
    [
        ("", "example.org"),
        ("example.org", "myexample.org"),
        ("example.org", "example.org.test"),
        ("example.org:8443", "example.org"),
        ("example.org:99999", "example.org"),
        ("192.0.2.0/24", "192.0.3.7"),
        ("192.0.2.0/24", "2001:db8::7"),
        ("192.0.2.0/24", "192.0.2.7.example"),
        ("192.0.2.0/99", "192.0.2.7"),
        ("2.7", "192.0.2.7"),
        ("127.0.0.0/8", "0x7f.example"),
        ("[2001:db8::7]:80", "2001:db8::7"),
        ("..é", "example.org"),
    ],
)
def test_servers_with_a_proxy(no_proxy: str, host: str) -> None:
    assert not exempt(no_proxy, host)
