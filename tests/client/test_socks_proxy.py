"""Through SOCKS proxies of each version, and proxies that are hostile."""

from __future__ import annotations

import socket
from typing import Any

import anyio
import pytest
from anyio.abc import ByteStream

from anyio_websocket import (
    ConnectionTimeout,
    HandshakeError,
    ProxyError,
    is_transient,
    open_websocket_url,
)
from anyio_websocket._client import _connector

from ..support.forward_proxies import Asked, proxying, saying, socks_proxy
from ..support.servers import serving


@pytest.mark.parametrize(
    ("scheme", "host", "asked"),
    [
        ("socks4", "127.0.0.1", Asked(4, "127.0.0.1", 0)),
        ("socks4://me@", "ip4.test", Asked(4, "127.0.0.1", 0, b"me")),
        ("socks4a", "echo.test", Asked(4, "echo.test", 0)),
        ("socks4a", "127.0.0.1", Asked(4, "127.0.0.1", 0)),
        ("socks5", "127.0.0.1", Asked(5, "127.0.0.1", 0)),
        ("socks5", "ip6.test", Asked(5, "::1", 0)),
        ("socks5h", "echo.test", Asked(5, "echo.test", 0)),
        ("socks5h", "[::1]", Asked(5, "::1", 0)),
        (
            "socks5h://m%65:pass%3Aword@",
            "bücher.test",
            Asked(5, "xn--bcher-kva.test", 0, b"me", b"pass:word"),
        ),
    ],
)
async def test_each_version(
    scheme: str, host: str, asked: Asked, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked_up: list[str] = []
    real = anyio.getaddrinfo

    async def look_up(name: str, port: int, **options: Any) -> Any:
        looked_up.append(name)
        return await real({"ip6.test": "::1"}.get(name, "127.0.0.1"), port, **options)

    monkeypatch.setattr(anyio, "getaddrinfo", look_up)
    start = scheme if "://" in scheme else f"{scheme}://"
    async with serving() as port, proxying(socks_proxy) as proxy:
        async with open_websocket_url(
            f"ws://{host}:{port}", proxy=f"{start}127.0.0.1:{proxy.port}"
        ) as ws:
            await ws.send_message("hello")
            assert await ws.get_message() == "hello"
        assert proxy.asked == [asked._replace(port=port)]
    assert looked_up == [host] * host.startswith("ip")


def steps(*answers: bytes, chunk: int = 100) -> Any:
    """Answer each thing that is received with the next of these."""

    async def answer(stream: ByteStream, asked: list[Any]) -> None:
        for data in answers:
            asked.append(await stream.receive())
            for start in range(0, len(data), chunk):
                await stream.send(data[start : start + chunk])

    return answer


async def error_of(answer: Any, scheme: str, userinfo: str = "") -> HandshakeError:
    async with proxying(answer) as proxy:
        url = f"{scheme}://{userinfo}127.0.0.1:{proxy.port}"
        with pytest.raises(HandshakeError) as caught:
            async with open_websocket_url("ws://echo.test", proxy=url):
                raise AssertionError
    text = str(caught.value)
    assert "the server at echo.test:80 through the proxy at " in text
    assert f" {scheme}://127.0.0.1:{proxy.port}" in text
    assert "secret" not in text
    return caught.value


GRANTED = b"\5\0\0\1" + bytes(6)


@pytest.mark.parametrize(
    ("scheme", "answers", "text"),
    [
        ("socks4a", [b"\0\x5b" + bytes(6)], "answered: request rejected or failed"),
        ("socks4a", [b"\0\x5d" + bytes(6)], "answered: authentication failed"),
        ("socks4a", [b"\5\x5a" + bytes(6)], "the proxy's reply is not SOCKS 4"),
        ("socks4a", [b"HTTP/1.1 400"], "the proxy's reply is not SOCKS 4"),
        ("socks4a", [b"\0\x5a"], "the proxy closed the connection before it responded"),
        ("socks5h", [b""], "the proxy closed the connection before it responded"),
        ("socks5h", [b"HTTP/1.1 400"], "the proxy's reply is not SOCKS 5"),
        ("socks5h", [b"\5\xff"], "the proxy wants a user name and a password, in its"),
        ("socks5h", [b"\5\2"], "the proxy wants a user name and a password, in its"),
        ("socks5h", [b"\5\0", b"\5\5\0\1"], "the proxy answered: connection refused"),
        ("socks5h", [b"\5\0", b"\5\2\0\1"], "connection not allowed by ruleset"),
        ("socks5h", [b"\5\0", b"\5\7\0\1"], "answered: command not supported"),
        ("socks5h", [b"\5\0", b"\5\x08\0\1"], "address type not supported"),
        ("socks5h", [b"\5\0", b"\5\x63\0\1"], "the proxy answered with code 99"),
        ("socks5h", [b"\5\0", b"\4\0\0\1"], "the proxy's reply is not SOCKS 5"),
        ("socks5h", [b"\5\0", b"\5\0\0\2"], "the proxy's reply is not SOCKS 5"),
        ("socks5h", [b"\5\0", GRANTED[:-1]], "the proxy closed the connection before"),
    ],
)
async def test_a_proxy_that_does_not_connect(
    scheme: str, answers: list[bytes], text: str
) -> None:
    error = await error_of(steps(*answers), scheme)
    assert type(error) is ProxyError
    assert text in str(error)
    assert error.status_code is None
    lasting = ("authentication failed", "wants a user name", "not allowed", "supported")
    assert error.refused is any(words in str(error) for words in lasting)
    assert is_transient(error) is not error.refused


@pytest.mark.parametrize(
    ("answers", "text"),
    [
        ([b"\5\2", b"\1\1"], "did not accept the user name and the password"),
        ([b"\5\1"], "the proxy wants other credentials than"),
    ],
)
async def test_credentials_that_are_not_accepted(
    answers: list[bytes], text: str
) -> None:
    error = await error_of(steps(*answers), "socks5h", "me:secret@")
    assert type(error) is ProxyError
    assert text in str(error)
    assert not is_transient(error)


@pytest.mark.parametrize(
    ("scheme", "answers", "text"),
    [
        ("socks5h", [], "seconds (connect_timeout): the proxy gave no answer"),
        ("http", [], "seconds (connect_timeout): the proxy gave no answer"),
        ("socks5h", [b"\5\0", GRANTED], "seconds (connect_timeout)"),
        ("http", [b"HTTP/1.1 200 OK\r\n\r\n"], "seconds (connect_timeout)"),
    ],
)
async def test_who_does_not_answer_in_time(
    scheme: str, answers: list[bytes], text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An HTTP proxy waits for the rest of what it takes for a line, if it is SOCKS."""
    time_is_up = anyio.CancelScope()
    monkeypatch.setattr(_connector, "move_on_after", lambda seconds: time_is_up)

    async def answer(stream: ByteStream, asked: list[Any]) -> None:
        await steps(*answers)(stream, asked)
        await stream.receive()
        time_is_up.cancel()
        await anyio.sleep_forever()

    error = await error_of(answer, scheme)
    assert isinstance(error, ConnectionTimeout)
    assert str(error).endswith(text)


async def test_replies_in_pieces_and_early_bytes() -> None:
    """What follows the reply is the server's: here it answers before it is asked."""
    early = b"HTTP/1.1 429 Slow Down\r\nContent-Length: 0\r\n\r\n"
    error = await error_of(steps(b"\5\0", GRANTED + early, chunk=1), "socks5h")
    assert getattr(error, "status_code", None) == 429
    named = b"\5\0\0\3\4name\0\x50"
    error = await error_of(steps(b"\5\0", named + early), "socks5h")
    assert getattr(error, "status_code", None) == 429


async def test_a_name_without_an_address(monkeypatch: pytest.MonkeyPatch) -> None:
    async def look_up(*_: object, **__: object) -> Any:
        raise socket.gaierror(socket.EAI_NONAME, "no such name")

    monkeypatch.setattr(anyio, "getaddrinfo", look_up)
    error = await error_of(saying(b""), "socks5")
    assert isinstance(error.__cause__, socket.gaierror)
