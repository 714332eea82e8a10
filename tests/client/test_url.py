"""URLs, hosts, ports and resources as users write them, and the errors they get."""

from __future__ import annotations

from typing import Any

import pytest

from anyio_websocket._client import _url
from anyio_websocket._client._url import Target


@pytest.mark.parametrize(
    ("url", "target"),
    [
        ("ws://example.org", Target("example.org", 80, "/", False)),
        ("wss://example.org", Target("example.org", 443, "/", True)),
        ("WSS://Example.org:8443/A?b", Target("example.org", 8443, "/A?b", True)),
        ("ws://x/p?", Target("x", 80, "/p?", False)),
        ("ws://x?q=1", Target("x", 80, "/?q=1", False)),
        ("ws://x/p?a?b", Target("x", 80, "/p?a?b", False)),
        ("ws://x/p#fragment?no", Target("x", 80, "/p", False)),
        ("ws://[::1]:8000/", Target("::1", 8000, "/", False)),
        ("ws://127.0.0.1/%20", Target("127.0.0.1", 80, "/%20", False)),
        ("ws://x/é?ü", Target("x", 80, "/%C3%A9?%C3%BC", False)),
        ("ws://bücher.example/", Target("bücher.example", 80, "/", False)),
    ],
)
def test_parse(url: str, target: Target) -> None:
    assert _url.parse(url) == target


def test_what_is_in_front_of_the_host_is_decoded() -> None:
    target = _url.parse("wss://us%65r:se%3Acret@x/p")
    assert target[:4] == ("x", 443, "/p", True)
    assert target.credentials is not None
    assert target.credentials.user == b"user"
    assert target.credentials.password == b"se:cret"
    assert "cret" not in repr(target)
    for bad in ("ws://a%3Ab:secret@x", "ws://%FF:secret@x", "ws://a:secret%00@x"):
        with pytest.raises(ValueError, match="in the URL") as caught:
            _url.parse(bad)
        assert "secret" not in str(caught.value)


def test_parse_accepts_any_object_whose_str_is_a_url() -> None:
    class Url:
        def __str__(self) -> str:
            return "ws://x/p"

    assert _url.parse(Url()) == Target("x", 80, "/p", False)


@pytest.mark.parametrize(
    "url",
    [
        "http://x",
        "x",
        "",
        "//x",
        "ws://",
        "ws:///p",
        "ws://x:0",
        "ws://x:65536",
        "ws://x:port",
        "ws://[::1",
        "ws://x/a b",
        "ws://x/a\r\nb",
        "ws://x/\x00",
        "ws://" + "a" * 64,
        "ws://a..b",
        "ws://-a",
        "ws://a b",
        "ws://x\ud800",
        "ws://\u2603-.example",
    ],
)
def test_B8_invalid_urls(url: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - of many kinds
        _url.parse(url)


@pytest.mark.parametrize(
    "url",
    [
        "ws://me:secret@x:0/",
        "http://me:secret@x/",
        "ws://me:secret@x:p/",
        "ws://me:secret/",  # "@x" is missing
    ],
)
def test_B8_errors_do_not_show_the_password_of_a_url(url: str) -> None:
    with pytest.raises(ValueError) as caught:  # noqa: PT011
        _url.parse(url)
    assert "secret" not in str(caught.value)
    assert caught.value.__suppress_context__ or caught.value.__context__ is None


def header(host: str, port: int = 80, *, is_secure: bool = False) -> str:
    return _url.host_header(host, port, is_secure=is_secure)


@pytest.mark.parametrize(
    ("host", "port", "expected"),
    [
        ("example.org", 80, "example.org"),
        ("example.org", 8000, "example.org:8000"),
        ("Example.ORG.", 80, "Example.ORG."),
        ("::1", 80, "[::1]"),
        ("0:0::1", 8000, "[::1]:8000"),
        ("fe80::1%eth0", 80, "[fe80::1]"),
        ("127.0.0.1", 1, "127.0.0.1:1"),
        ("_service.example", 65535, "_service.example:65535"),
        ("bücher.example", 80, "xn--bcher-kva.example"),
    ],
)
def test_host_header(host: str, port: int, expected: str) -> None:
    assert header(host, port) == expected


def test_B11_the_port_is_left_out_if_it_is_that_of_the_scheme() -> None:
    assert header("x", 80) == "x"
    assert header("x", 443, is_secure=True) == "x"
    assert header("x", 443) == "x:443"
    assert header("x", 80, is_secure=True) == "x:80"
    assert header("::1", 443) == "[::1]:443"


@pytest.mark.parametrize(
    ("host", "port"), [("x", 0), ("x", -1), ("x", 65536), ("", 80), ("a" * 255, 80)]
)
def test_B8_invalid_hosts_and_ports(host: str, port: int) -> None:
    with pytest.raises(ValueError):  # noqa: PT011
        header(host, port)


def test_B8_errors_do_not_show_the_password_of_a_host() -> None:
    with pytest.raises(ValueError, match="user name") as caught:
        header("me:secret@example.org")
    assert "secret" not in str(caught.value)


def test_errors_show_where_a_resource_is_wrong_and_not_the_rest() -> None:
    with pytest.raises(ValueError, match=r"has ' ' at index 14") as caught:
        _url.check_resource("/?token=secret and more")
    assert "secret" not in str(caught.value)
    with pytest.raises(TypeError, match="not bytes"):
        _url.check_resource(b"/?token=secret")  # type: ignore[arg-type]


@pytest.mark.parametrize(("host", "port"), [(b"x", 80), ("x", "80"), ("x", True)])
def test_hosts_and_ports_of_the_wrong_type(host: object, port: object) -> None:
    with pytest.raises(TypeError, match=r"^the \w+ must be an? \w+, not "):
        header(host, port)  # type: ignore[arg-type]


def test_the_longest_name_of_a_host() -> None:
    longest = ".".join(["a" * 63] * 3 + ["b" * 62])
    assert header(longest) == longest
    with pytest.raises(ValueError, match="not a valid name"):
        header(longest + "b")


def test_tls_name() -> None:
    assert _url.tls_name("straße.example") == "xn--strae-oqa.example"
    assert _url.tls_name("Example.org") == "Example.org"
    assert _url.tls_name("::1") == "::1"
    assert _url.tls_name("fe80::1%eth0") == "fe80::1"


@pytest.mark.parametrize("name", ["ws.example.test", "bücher.example", "localhost"])
def test_B12_tls_does_without_the_final_dot(name: str) -> None:
    assert _url.tls_name(name + ".") == _url.tls_name(name)
    assert header(name + ".") == header(name) + "."
    assert _url.parse(f"wss://{name}./").host == name + "."


@pytest.mark.parametrize(
    "url",
    [
        "ws://good.example\\@evil.example/",
        "ws://good.example\\.evil.example/",
        "ws://good.example:80\\@evil.example:80/",
        "wss://user\\:secret@evil.example/",
        "ws://example.org\\path",
        "ws://[::1]\\@evil.example/",
        "ws:\\\\example.org/",
        "ws:/\\example.org/",
    ],
)
def test_B13_a_backslash_in_front_of_the_path(url: str) -> None:
    with pytest.raises(
        ValueError, match=r"the URL has (a backslash|no host)"
    ) as caught:
        _url.parse(url)
    assert "secret" not in str(caught.value)


def test_B13_a_backslash_behind_the_host_is_sent() -> None:
    assert _url.parse("ws://x/a\\b?\\@y").host == "x"
    assert _url.parse("ws://x?\\@y").resource == "/?\\@y"


@pytest.mark.parametrize(
    ("host", "match"),
    [
        ("me:secret@example.org", "user name"),
        ("::1@secret", "user name"),
        ("wss://example.org/?token=secret", "':' at index 3"),
        ("example.org/?token=secret", "'/' at index 11"),
        ("example.org:secret", "':' at index 11: it must be a name or an IP address"),
        ("example.org\\secret", r"'\\\\' at index 11"),
        ("example.org\r\nX: secret", r"'\\r' at index 11"),
        ("[::1]", "without brackets"),
        ("-secret", "not a valid name"),
        ("secret..secret", "not a valid name"),
        ("secret" * 20, "not a valid name"),
        ("secret\u2603-.example", "not a valid international name"),
        (b"secret", "must be a str, not bytes"),
    ],
)
def test_B13_errors_name_the_host_and_do_not_show_it(host: Any, match: str) -> None:
    with pytest.raises((TypeError, ValueError), match=f"^the host .*{match}") as caught:
        header(host)
    assert "secret" not in str(caught.value)
    assert caught.value.__suppress_context__ or caught.value.__context__ is None
    with pytest.raises(TypeError, match=r"^the port must be an int, not str"):
        header("x", "secret")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "url", ["secret:x@y/?a://b", "secret", "secret://x", "://secret"]
)
def test_B13_only_what_is_a_scheme_is_shown(url: str) -> None:
    with pytest.raises(ValueError, match='URL scheme must be "ws" or "wss"') as caught:
        _url.parse(url)
    assert ("secret" in str(caught.value)) == url.startswith("secret://")


def test_check_resource() -> None:
    assert _url.check_resource("/a?b=%20") == "/a?b=%20"
    assert _url.check_resource("a") == "/a"
    assert _url.check_resource("") == "/"
    assert _url.check_resource("?a") == "/?a"
    for resource in ("/a b", "/a\r\nX: y", "/é", "/a#b", "/\x7f"):
        with pytest.raises(ValueError, match="resource"):
            _url.check_resource(resource)
    with pytest.raises(TypeError):
        _url.check_resource(b"/")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "url", ["ws://[v1.x]/", "ws://[::1]x/", "ws://x[::1]/", "ws://[127.0.0.1]/"]
)
def test_B8_brackets_without_an_address(url: str) -> None:
    with pytest.raises(ValueError, match="host"):
        _url.parse(url)


@pytest.mark.parametrize("zone", ["%25eth0", "%eth0"])
def test_the_zone_of_an_address_is_kept(zone: str) -> None:
    assert _url.parse(f"ws://[fe80::1{zone}]:1/").host == "fe80::1%eth0"


def test_B8_a_user_name_is_not_taken_for_a_scheme() -> None:
    with pytest.raises(ValueError, match="scheme") as caught:
        _url.parse("somebody:secret@example.org")
    assert "somebody" not in str(caught.value)


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("http://example.org/a?token=secret", "(in http://example.org/a)"),
        ("ws://example.org:99999/#secret", "(in ws://example.org:99999/)"),
        ("https://me:secret@example.org/", ""),
        ("http://me:sec/ret@example.org/", ""),
        ("example.org/secret?secret", "(in example.org)"),
        ("localhost:8765", "(in localhost:8765)"),
        ("10.0.0.1:8765/", "(in 10.0.0.1:8765)"),
        ("secret", ""),
        ("somebody:secret/path", ""),
        ("some.body:secret@example.org/path?token=secret", ""),
        ("example.org/path?secret@", ""),
        (f"example.org.{'secret' * 11}", ""),
        (f"eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.{'secret' * 7}", ""),
        ("ws://secret place/", ""),
    ],
)
def test_H11_errors_show_the_url_without_secrets(url: str, shown: str) -> None:
    with pytest.raises(ValueError, match="URL") as caught:
        _url.parse(url)
    assert str(caught.value).endswith(shown)
    assert ("(in" in str(caught.value)) == bool(shown)
    assert not any(part in str(caught.value) for part in ("secret", "sec/", "place"))
