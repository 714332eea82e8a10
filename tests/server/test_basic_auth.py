"""Handlers that ask for a password first."""

from __future__ import annotations

import hmac
import logging
from base64 import b64encode
from collections.abc import Mapping
from typing import Any

import anyio
import pytest

from anyio_websocket import WebSocketRequest, basic_auth
from anyio_websocket._server import _basic_auth
from anyio_websocket.testing import handshake_request

from ..support.memory_servers import raw_client, serving, status_of

SECRET = "hüsh-hush"


def header(user: str, password: str) -> bytes:
    encoded = b64encode(f"{user}:{password}".encode())
    return b"Authorization: Basic " + encoded


async def welcome(request: WebSocketRequest) -> None:
    connection = await request.accept()
    await connection.send_message(f"welcome, {request.username}")


def plain_check(user: str, password: str) -> bool:
    return (user, password) == ("ann", SECRET)


async def async_check(user: str, password: str) -> bool:
    await anyio.sleep(1)
    return plain_check(user, password)


PASSWORDS = {"ann": SECRET, "bob": ""}


@pytest.mark.virtual_time
@pytest.mark.parametrize(
    "credentials",
    [("ann", SECRET), PASSWORDS, plain_check, async_check],
    ids=["pair", "mapping", "plain", "async"],
)
async def test_who_is_let_in(
    credentials: Any, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "anyio_websocket")
    handler = basic_auth(welcome, credentials, realm="the club")
    async with serving(handler) as (listener, _):
        peer = await raw_client(listener, handshake_request(header("ann", SECRET)))
        assert status_of(await peer.receive_head()) == 101
        assert (await peer.receive_frame()).payload == b"welcome, ann"
        await peer.stream.aclose()
        for lines, reason in (
            ([], b"needs a user name and a password"),
            ([header("ann", SECRET)] * 2, b"needs a user name and a password"),
            ([b"Authorization: Bearer x"], b"needs a user name and a password"),
            ([header("ann", "gu3ss")], b"user name or the password is wrong"),
            ([header("ann", "")], b"user name or the password is wrong"),
            ([header("eve", SECRET)], b"user name or the password is wrong"),
            ([header("eve", "")], b"user name or the password is wrong"),
        ):
            peer = await raw_client(listener, handshake_request(*lines))
            answer = await peer.receive_all()
            assert status_of(answer) == 401
            assert (
                b'\r\nWWW-Authenticate: Basic realm="the club", charset="UTF-8"\r\n'
            ) in answer
            assert reason in answer
            await peer.stream.aclose()
    assert caplog.text.count("rejected with status 401") == 7
    for secret in (SECRET, "gu3ss", "Basic"):
        assert secret not in caplog.text


@pytest.mark.virtual_time
async def test_a_mapping_is_looked_at_for_each_request() -> None:
    passwords = {"ann": "old"}
    async with serving(basic_auth(welcome, passwords)) as (listener, _):
        passwords["ann"] = "new"
        for password, status_code in (("old", 401), ("new", 101)):
            peer = await raw_client(
                listener, handshake_request(header("ann", password))
            )
            assert status_of(await peer.receive_head()) == status_code
            await peer.stream.aclose()


@pytest.mark.virtual_time
async def test_a_check_that_says_neither_yes_nor_no(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def check(user: str, password: str) -> Any:
        return "yes"  # such as a user's record; it may be that of nobody

    async with serving(basic_auth(welcome, check)) as (listener, _):
        peer = await raw_client(listener, handshake_request(header("ann", SECRET)))
        assert status_of(await peer.receive_all()) == 500
        await peer.stream.aclose()
    assert "must return True or False, not str" in caplog.text
    assert SECRET not in caplog.text


def test_an_unknown_user_takes_as_long(monkeypatch: pytest.MonkeyPatch) -> None:
    compared: list[tuple[int, int]] = []
    compare = hmac.compare_digest

    def noting(one: bytes, other: bytes) -> bool:
        compared.append((len(one), len(other)))
        return compare(one, other)

    monkeypatch.setattr(hmac, "compare_digest", noting)
    counts = set()
    for credentials in (("ann", SECRET), PASSWORDS):
        check: Any = _basic_auth._check_of(credentials)
        for given in (("ann", SECRET), ("ann", "x" * 99), ("eve", ""), ("", SECRET)):
            compared.clear()
            assert check(*given) == (given == ("ann", SECRET))
            counts.add((type(credentials), len(compared)))
            assert set(compared) == {(32, 32)}
    assert counts == {(tuple, 2), (dict, 1)}


class Vault(Mapping[str, str]):
    """A mapping of another kind."""

    def __getitem__(self, user: str) -> str:
        return PASSWORDS[user]

    def __iter__(self) -> Any:
        return iter(PASSWORDS)

    def __len__(self) -> int:
        return len(PASSWORDS)


@pytest.mark.parametrize(
    ("credentials", "error", "text"),
    [
        (("me",), TypeError, r"both str, not \(str\)"),
        (("me", b"secret"), TypeError, r"both str, not \(str, bytes\)"),
        ({"me": None}, TypeError, r"not \(str, NoneType\)"),
        (["me", "secret"], TypeError, "a function of both, not list"),
        ("me:secret", TypeError, "a function of both, not str"),
        (("m:e", "secret"), ValueError, "must not have a colon"),
        ({"m:e": "secret"}, ValueError, "must not have a colon"),
    ],
)
def test_credentials_that_cannot_work(
    credentials: Any, error: type[Exception], text: str
) -> None:
    with pytest.raises(error, match=text) as caught:
        basic_auth(welcome, credentials)
    assert "secret" not in str(caught.value)


def test_other_mistakes() -> None:
    assert basic_auth(welcome, Vault()).__name__ == "welcome"
    nothing: Any = None
    with pytest.raises(TypeError, match="handler must be an async function"):
        basic_auth(nothing, ("me", "secret"))
    with pytest.raises(ValueError, match="realm"):
        basic_auth(welcome, ("me", "secret"), realm="\n")
