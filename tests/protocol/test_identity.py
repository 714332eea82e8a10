"""Who a client says it is: credentials, cookies and the rest, as headers."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from anyio_websocket._protocol import Credentials, Identity, credentials_of_url
from anyio_websocket._protocol._identity import check_basic


def headers(from_url: Credentials | None = None, **options: Any) -> dict[bytes, bytes]:
    fields = Identity(**options).headers(from_url)
    assert len(dict(fields)) == len(fields)
    return dict(fields)


def test_each_option_is_a_header() -> None:
    assert headers() == {}
    assert headers(user_agent="me/1.0 (test)") == {b"User-Agent": b"me/1.0 (test)"}
    for origin in ("https://example.org:8443", "null", "chrome-extension://abc"):
        assert headers(origin=origin) == {b"Origin": origin.encode()}
    assert headers(cookies={}) == {}
    cookies = {"a": "1", "b": "", "c": '"x, y" =\\z'}
    assert headers(cookies=cookies) == {b"Cookie": b'a=1; b=; c="x, y" =\\z'}
    # The examples of RFC 7617 sections 2 and 2.1.
    for user, password, encoded in (
        ("Aladdin", "open sesame", b"QWxhZGRpbjpvcGVuIHNlc2FtZQ=="),
        ("test", "123\u00a3", b"dGVzdDoxMjPCow=="),
    ):
        given = headers(auth=(user, password))
        assert given == {b"Authorization": b"Basic " + encoded}


def test_headers_of_the_user_come_last_and_win() -> None:
    extra = [("user-agent", "mine"), ("X-A", "b")]
    assert Identity(
        user_agent="me", cookies={"a": "b"}, extra_headers=extra
    ).headers() == [
        (b"Cookie", b"a=b"),
        (b"user-agent", b"mine"),
        (b"X-A", b"b"),
    ]


def test_another_server_sees_no_secret() -> None:
    identity = Identity(
        auth=("user", "secret"),
        cookies={"a": "secret"},
        origin="https://example.org",
        user_agent="me",
        extra_headers={"X-Api-Key": "secret"},
    )
    assert identity.public_headers() == [
        (b"User-Agent", b"me"),
        (b"Origin", b"https://example.org"),
    ]
    assert len(identity.headers()) == 5


def test_what_the_url_says_is_used_if_nothing_else_is_said() -> None:
    of_url = credentials_of_url("us%40er:p%3Aw%C3%A9", "the URL")
    assert of_url is not None
    assert (of_url.user, of_url.password) == (b"us@er", "p:wé".encode())
    basic = b"Basic " + base64.b64encode("us@er:p:wé".encode())
    assert headers(of_url) == {b"Authorization": basic}
    assert headers(of_url, auth=("a", "b"))[b"Authorization"] != basic
    bearer = {"Authorization": "Bearer x"}
    assert headers(of_url, extra_headers=bearer) == {b"Authorization": b"Bearer x"}
    for nothing in ("", ":"):
        assert credentials_of_url(nothing, "the URL") is None
    only_name = credentials_of_url("user", "the URL")
    assert only_name is not None
    assert only_name.password == b""


@pytest.mark.parametrize(
    ("options", "error", "text"),
    [
        ({"auth": "user:secret"}, TypeError, "auth must be a pair of str"),
        ({"auth": ("user", b"secret")}, TypeError, "auth must be a pair of str"),
        ({"auth": ("secret:", "")}, ValueError, "in auth must not have a colon"),
        ({"auth": ("user", "secret\n")}, ValueError, "control characters"),
        ({"auth": ("user", "secret\ud800")}, ValueError, "cannot be encoded"),
        ({"user_agent": b"secret"}, TypeError, "user_agent must be a str or None"),
        ({"user_agent": ""}, ValueError, "user_agent must be of visible ASCII"),
        ({"user_agent": "secret\r\n"}, ValueError, "user_agent must be of visible"),
        ({"user_agent": "secr\u00e9t"}, ValueError, "user_agent must be of visible"),
        (
            {"user_agent": "secret\n", "extra_headers": {"User-Agent": "me"}},
            ValueError,
            "user_agent must be of visible",
        ),
        ({"origin": "https://secret/"}, ValueError, "origin must be like"),
        ({"origin": "https://me@secret"}, ValueError, "origin must be like"),
        ({"origin": "secret"}, ValueError, "origin must be like"),
        ({"origin": 5}, TypeError, "origin must be a str or None, not int"),
        ({"cookies": "a=secret"}, TypeError, "mapping of names to values, not str"),
        ({"cookies": {"a": 5}}, TypeError, "mapping of str to str"),
        ({"cookies": {b"a": "secret"}}, TypeError, "mapping of str to str"),
        ({"cookies": {"secret ": "b"}}, ValueError, "not a token of HTTP"),
        ({"cookies": {"a": "x; b=secret"}}, ValueError, "value of cookie 'a' has"),
        ({"cookies": {"a": "secret\r\n"}}, ValueError, "value of cookie 'a' has"),
        ({"cookies": {"a": "s\u00e9cret"}}, ValueError, "percent-encode it"),
        ({"cookies": {"a": " secret"}}, ValueError, "value of cookie 'a' has"),
        ({"cookies": {"a": "secret "}}, ValueError, "value of cookie 'a' has"),
        (
            {"auth": ("a", "secret"), "extra_headers": {"authorization": "secret"}},
            ValueError,
            "extra_headers has Authorization, and so has auth",
        ),
        (
            {"cookies": {"a": "secret"}, "extra_headers": {"COOKIE": "secret"}},
            ValueError,
            "extra_headers has Cookie, and so has cookies",
        ),
        (
            {"origin": "https://secret", "extra_headers": {"Origin": "secret"}},
            ValueError,
            "extra_headers has Origin, and so has origin",
        ),
    ],
)
def test_what_cannot_be_sent(
    options: dict[str, Any], error: type[Exception], text: str
) -> None:
    with pytest.raises(error, match=text) as caught:
        Identity(**options)
    assert "secret" not in str(caught.value)
    assert caught.value.__cause__ is None


@pytest.mark.parametrize("userinfo", ["secret%FF", "secret:%80", "user:secret%0A"])
def test_userinfo_that_cannot_be_sent(userinfo: str) -> None:
    with pytest.raises(
        ValueError, match="user name or the password in the URL"
    ) as caught:
        credentials_of_url(userinfo, "the URL")
    assert "secret" not in str(caught.value)


def test_credentials_are_not_shown() -> None:
    credentials = Credentials("user", "secret")
    assert "secret" not in f"{credentials!r} {credentials}"
    assert "secret" not in repr(Identity(auth=("user", "secret")))
    with pytest.raises(ValueError, match="must not have a colon"):
        check_basic("a:b", "the URL")
