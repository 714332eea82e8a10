"""The server's side of the opening handshake, on bytes."""

from __future__ import annotations

from typing import ClassVar

import pytest
from hypothesis import given
from hypothesis import strategies as st
from wsproto.extensions import Extension

from anyio_websocket._protocol import (
    Extensions,
    Origins,
    Rejection,
    Request,
    ServerHandshake,
)
from anyio_websocket.testing import handshake_request
from anyio_websocket.testing._handshakes import KEY

from ..support.costs import grows_linearly
from ..support.requests import accepted, rejected, serve

SAMPLE_ACCEPT = b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo="  # of RFC 6455 section 1.3


def test_a_request_and_its_response() -> None:
    handshake, outcome = serve(
        handshake_request(
            b"X-First: 1",
            b"Sec-WebSocket-Protocol: chat, superchat",
            b"Cookie: a=b",
            b"Sec-WebSocket-Protocol: third",
            b"Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits, x",
            b"X-Empty:",
            line=b"GET /a%20b?c=d&e HTTP/1.1",
        )
    )
    assert outcome == Request(
        "/a%20b?c=d&e",
        (
            (b"upgrade", b"websocket"),
            (b"connection", b"Upgrade"),
            (b"sec-websocket-key", KEY),
            (b"sec-websocket-version", b"13"),
            (b"x-first", b"1"),
            (b"cookie", b"a=b"),
            (b"x-empty", b""),
        ),
        ("chat", "superchat", "third"),
        "example.org",
        None,
    )
    assert handshake.trailing == b""
    answer, agreed = handshake.accept(
        subprotocol="superchat",
        extra_headers=[(b"X-Bytes", b"1"), ("X-Text", " é "), (b"X-None", b"")],
    )
    assert answer == (
        b"HTTP/1.1 101 Switching Protocols\r\n"
        b"Upgrade: websocket\r\n"
        b"Connection: Upgrade\r\n"
        b"Sec-WebSocket-Accept: " + SAMPLE_ACCEPT + b"\r\n"
        b"Sec-WebSocket-Protocol: superchat\r\n"
        b"X-Bytes: 1\r\n"
        b"X-Text: \xe9\r\n"
        b"X-None: \r\n\r\n"
    )
    assert agreed == Extensions()


def test_a_handshake_knows_that_it_has_rejected_the_request() -> None:
    handshake = ServerHandshake(origins=Origins(None))
    assert not handshake.rejected
    assert isinstance(handshake.receive_data(handshake_request()), Request)
    assert not handshake.rejected
    handshake = ServerHandshake(origins=Origins(None))
    assert isinstance(handshake.receive_data(handshake_request(host=None)), Rejection)
    assert handshake.rejected


def test_A3_long_request_line() -> None:
    fits = b"GET /" + b"x" * (16384 - 16) + b" HTTP/1.1"
    assert len(fits) == 16382  # and CR LF
    accepted(handshake_request(line=fits))
    rejected(handshake_request(line=b"GET /" + b"x" * (16384 - 15) + b" HTTP/1.1"), 414)
    rejected(b"GET /" + b"x" * 17000, 414)


def test_A3_long_head() -> None:
    lines = [b"X: " + b"x" * 16000] * 4
    accepted(handshake_request(*lines))
    rejected(handshake_request(*lines, b"Z: " + b"z" * 2000), 431)
    rejected(
        handshake_request(*lines)[:-2] + b"Z: " + b"z" * 2000, 431
    )  # not even complete


@pytest.mark.parametrize("count", [129, 200, 5000])
def test_A3_too_many_headers(count: int) -> None:
    accepted(
        handshake_request(*[b"X%d: v" % i for i in range(123)])
    )  # and five of its own
    rejected(handshake_request(*[b"X%d: v" % i for i in range(count - 5)]), 431)


def test_A3_too_many_subprotocols() -> None:
    for name in (b"a", b"a%d"):
        names = [name % i if b"%" in name else name for i in range(129)]
        accepted(
            handshake_request(
                b"Sec-WebSocket-Protocol: " + b",".join(names[:128]) + b",,"
            )
        )
        rejected(handshake_request(b"Sec-WebSocket-Protocol: " + b",".join(names)), 431)


@pytest.mark.measured
def test_A3_cpu_is_linear_byte_by_byte() -> None:
    def head(size: int) -> None:
        data = handshake_request(*[b"X: " + b"x" * 997] * (size // 1000))
        handshake = ServerHandshake(origins=Origins("*"))
        for i in range(len(data)):
            handshake.receive_data(data[i : i + 1])

    assert grows_linearly(head, 7500)


@pytest.mark.parametrize(
    "data",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",  # TLS
        b"SSH-2.0-OpenSSH_9.2\r\n\r\n",
        b"\x00\xff" * 20,
        b"\r\n\r\n",
        b" GET / HTTP/1.1\r\n\r\n",
        b"GET /\r\n\r\n",
        b"GET / FTP/1.1\r\n\r\n",
    ],
)
def test_A4_other_protocols_are_rejected(data: bytes) -> None:
    rejected(data, 400)


def test_A4_tls_is_rejected_at_its_first_byte() -> None:
    assert isinstance(
        ServerHandshake(origins=Origins(None)).receive_data(b"\x16"), Rejection
    )


def test_A5_the_method_must_be_get() -> None:
    for method in (b"POST", b"HEAD", b"CONNECT", b"get", b"BREW"):
        assert (
            rejected(handshake_request(line=method + b" / HTTP/1.1"), 405)["allow"]
            == "GET"
        )


def test_A5_the_http_version_must_be_1_1() -> None:
    for version in (b"1.0", b"0.9", b"2.0"):
        rejected(handshake_request(line=b"GET / HTTP/" + version), 505)
    rejected(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505)  # A4: HTTP/2's preface


def test_A5_the_websocket_version_must_be_13() -> None:
    rejected(handshake_request(version=None), 400)
    for version in (b"8", b"14", b"", b"13, 14", b"x"):
        headers = rejected(handshake_request(version=version), 426)
        assert headers["sec-websocket-version"] == "13"
    rejected(handshake_request(b"Sec-WebSocket-Version: 13"), 426)


def test_A5_there_must_be_one_host() -> None:
    rejected(handshake_request(host=None), 400)
    rejected(handshake_request(b"Host: example.org"), 400)
    rejected(handshake_request(host=b""), 400)


@pytest.mark.parametrize(
    ("connection", "upgrade"),
    [
        (b"keep-alive, Upgrade", b"websocket"),
        (b"upgrade", b"WebSocket"),
        (b"UPGRADE,,", b"h2c, websocket"),
        (b"keep-alive\r\nConnection: upgrade", b"h2c\r\nUpgrade: websocket"),
        (b"Upgrade\r\nConnection: keep-alive", b"websocket\r\nUpgrade: h2c"),
    ],
)
def test_A6_the_tokens_may_be_in_lists(connection: bytes, upgrade: bytes) -> None:
    accepted(handshake_request(connection=connection, upgrade=upgrade))


@pytest.mark.parametrize(
    ("connection", "upgrade"),
    [
        (None, b"websocket"),
        (b"Upgrade", None),
        (b"notupgrade", b"websocket"),
        (b"Upgrade", b"websocket2"),
        (b"Upgrade", b"h2c"),
        (b"keep-alive", b"websocket"),
        (b"", b""),
    ],
)
def test_A6_missing_tokens_are_rejected(
    connection: bytes | None, upgrade: bytes | None
) -> None:
    rejected(handshake_request(connection=connection, upgrade=upgrade), 400)


@pytest.mark.parametrize(
    "data",
    [
        handshake_request(b"Content-Length: 5") + b"hello",
        handshake_request(b"Content-Length: abc"),
        handshake_request(b"Content-Length: 0", b"Content-Length: 5"),
        handshake_request(b"Transfer-Encoding: chunked") + b"0\r\n\r\n",
        handshake_request(b"Transfer-Encoding: identity"),
        handshake_request().replace(b"\r\n", b"\n"),
        handshake_request(b"X: 1\n"),
        handshake_request(b"X: 1", b" folded"),
        handshake_request(b"X: 1", b"\tfolded"),
        handshake_request(b"X : 1"),
        handshake_request(b"X: a\0b"),
        handshake_request(b"X: a\rb"),
        handshake_request(b"X"),
        handshake_request(b": value"),
        handshake_request(b"X: 1\r"),
        b"GET / HTTP/1.1\nHost: x\n\n",
    ],
)
def test_A7_ambiguous_requests_are_rejected(data: bytes) -> None:
    rejected(data, 400)


def test_A7_an_empty_body_is_accepted() -> None:
    accepted(handshake_request(b"Content-Length: 0"))


@pytest.mark.parametrize(
    "key",
    [
        None,
        b"",
        b"!!!",
        b"dGhlIHNhbXBsZSBub25jZQ",
        b"dGhlIHNhbXBsZSBub25jZQ= =",
        b"dGhlIHNhbXBsZSBub25jZ2Vy",
        b"dGhlIHNhbXBsZQ==",
        KEY + b"\r\nSec-WebSocket-Key: " + KEY,
        KEY + b", " + KEY,
    ],
)
def test_A8_invalid_keys_are_rejected(key: bytes | None) -> None:
    rejected(handshake_request(key=key), 400)


def test_A8_a_huge_key_is_rejected() -> None:
    rejected(handshake_request(key=b"A" * 17_000), 431)


@pytest.mark.parametrize(
    "data",
    [
        handshake_request(host="café".encode()),
        handshake_request(host=b"xn--111"),
        handshake_request(host=b"xn--\xff"),
        handshake_request(host=b"a b"),
        handshake_request(host=b"a/b"),
        handshake_request(host=b"[::1"),
        handshake_request(host=b"example.org:65536"),
        handshake_request(host=b"example.org:99999"),
        handshake_request(host=b"example.org:x"),
        handshake_request(connection=b"Upgrade, \xff"),
        handshake_request(upgrade=b"websocket, \xff"),
        handshake_request(b"Sec-WebSocket-Protocol: caf\xe9"),
        handshake_request(b"Sec-WebSocket-Protocol: a b"),
        handshake_request(b"Sec-WebSocket-Extensions: \xe9"),
        handshake_request(b"Origin: \xe9"),
        handshake_request(line="GET /é HTTP/1.1".encode()),
    ],
)
def test_A9_invalid_bytes_in_handshake_headers_are_rejected(data: bytes) -> None:
    rejected(data, 400)


def test_A9_valid_hosts_are_accepted() -> None:
    for host in (
        b"x",
        b"x.:80",
        b"[::1]:8000",
        b"xn--caf-dma.example",
        b"a_b:0",
        b"x:65535",
    ):
        assert accepted(handshake_request(host=host)).host == host.decode()


def test_A9_other_headers_may_have_any_bytes() -> None:
    assert (b"x", b"caf\xe9") in accepted(handshake_request(b"X: caf\xe9")).headers


def test_A10_bad_offers_do_not_reject_the_request() -> None:
    for offer in (
        b"permessage-deflate; client_max_window_bits=abc",
        b'permessage-deflate; server_max_window_bits="10"',
        b"permessage-deflate; a; a; a=99",
        b", ".join([b"x"] * 500),
        b"," * 8000,
        b";;;===,,,",
        b"x," * 128 + b"permessage-deflate",
    ):
        handshake, outcome = serve(
            handshake_request(b"Sec-WebSocket-Extensions: " + offer)
        )
        assert isinstance(outcome, Request)
        assert b"Extensions" not in handshake.accept()[0]


@pytest.mark.measured
def test_A10_many_offers_take_linear_time() -> None:
    def offers(size: int) -> None:
        for element in (b",", b"x;", b"permessage-deflate; a=b,"):
            offer = (element * size)[: 4000 * size // 1000]
            _, outcome = serve(handshake_request(b"Sec-WebSocket-Extensions: " + offer))
            assert isinstance(outcome, Request)

    assert grows_linearly(offers, 1000)


def test_A12_a_subprotocol_must_have_been_proposed() -> None:
    handshake, _ = serve(handshake_request(b"Sec-WebSocket-Protocol: a, b"))
    with pytest.raises(ValueError, match="'c' is not among the 2 "):
        handshake.accept(subprotocol="c")
    handshake, _ = serve(handshake_request())
    with pytest.raises(ValueError, match="the 0 "):
        handshake.accept(subprotocol="a")


def test_a_response_that_rejects() -> None:
    handshake, _ = serve(handshake_request())
    assert handshake.reject(401, extra_headers=[("X", "y")], body=b"no") == (
        b"HTTP/1.1 401 Unauthorized\r\n"
        b"Connection: close\r\nContent-Length: 2\r\nX: y\r\n\r\nno"
    )
    assert b"Content-Length: 0\r\n" in handshake.reject(200)
    assert handshake.reject(200).endswith(b"\r\n\r\n")
    assert handshake.reject(999).startswith(b"HTTP/1.1 999 \r\n")
    assert b"Content-Length" not in handshake.reject(204)


@pytest.mark.parametrize("status_code", [0, 100, 101, 103, 199, 1000, -1])
def test_A12_a_rejection_has_a_final_status(status_code: int) -> None:
    handshake, _ = serve(handshake_request())
    with pytest.raises(ValueError, match=str(status_code)):
        handshake.reject(status_code)


def test_A12_some_statuses_have_no_body() -> None:
    handshake, _ = serve(handshake_request())
    for status_code in (204, 304):
        with pytest.raises(ValueError, match="no body"):
            handshake.reject(status_code, body=b"x")
    for wrong in ("400", True, None):
        with pytest.raises(TypeError):
            handshake.reject(wrong)  # type: ignore[arg-type]
    with pytest.raises(TypeError):
        handshake.reject(400, body="text")  # type: ignore[arg-type]


def test_A13_bytes_behind_the_request_are_kept() -> None:
    for chunk in (b"", b"\x81\x85", b"second GET / HTTP/1.1\r\n\r\n", bytes(8000)):
        handshake = ServerHandshake(origins=Origins(None))
        assert isinstance(handshake.receive_data(handshake_request() + chunk), Request)
        assert handshake.trailing == chunk


@pytest.mark.parametrize(
    ("target", "path"),
    [
        (b"/", "/"),
        (b"/a?b#".replace(b"#", b""), "/a?b"),
        (b"//a//", "//a//"),
        (b"/%00%zz", "/%00%zz"),
        (b"http://example.org/a?b", "/a?b"),
        (b"HTTPS://example.org", "/"),
        (b"http://example.org?q", "/?q"),
    ],
)
def test_A15_the_target_becomes_a_path(target: bytes, path: str) -> None:
    assert (
        accepted(handshake_request(line=b"GET " + target + b" HTTP/1.1")).target == path
    )


@pytest.mark.parametrize(
    "target", [b"*", b"a", b"ftp://x/", b"/a#b", b"http:///a", b"?", b"/\x7f"]
)
def test_A15_invalid_targets_are_rejected(target: bytes) -> None:
    rejected(handshake_request(line=b"GET " + target + b" HTTP/1.1"), 400)


@given(st.binary(max_size=300))
def test_A_noise_never_raises(data: bytes) -> None:
    for prefix in (b"", b"GET / HTTP/1.1\r\n", handshake_request()[:-2]):
        for suffix in (b"", b"\r\n\r\n"):
            handshake = ServerHandshake(origins=Origins(None))
            whole = handshake.receive_data(prefix + data + suffix)
            if not isinstance(whole, Request):  # else what follows is frames
                serve(prefix + data + suffix)


@given(
    st.lists(
        st.sampled_from(handshake_request(b"Origin: http://x", b"X: y").split(b"\r\n"))
        | st.binary(max_size=30),
        max_size=12,
    )
)
def test_A_shuffled_requests_never_raise(lines: list[bytes]) -> None:
    data = b"\r\n".join([*lines, b"", b""])
    if not isinstance(
        ServerHandshake(origins=Origins(None)).receive_data(data), Request
    ):
        serve(data)


def test_A16_one_line_break_before_the_request_line() -> None:
    assert accepted(b"\r\n" + handshake_request()) == accepted(handshake_request())
    assert serve(b"\r\n")[1] is None
    for wrong in (b"\r\n\r\n", b"\n", b"\rG", b"\r\r\n", b"\r\n\n"):
        rejected(wrong + handshake_request(), 400)


def test_A20_head_gets_no_body() -> None:
    for data, status_code in (
        (handshake_request(line=b"HEAD / HTTP/1.1"), 405),
        (handshake_request(line=b"HEAD / HTTP/1.0"), 505),
        (b"\r\n" + handshake_request(line=b"HEAD / HTTP/1.1", host=b"?"), 405),
        (handshake_request(b"X: " + b"x" * 17_000, line=b"HEAD / HTTP/1.1"), 431),
    ):
        _, outcome = serve(data)
        assert isinstance(outcome, Rejection)
        assert outcome.status_code == status_code
        assert outcome.response.endswith(b"\r\n\r\n")
        assert b"\r\nContent-Length: 0\r\n" not in outcome.response  # as for GET


def test_A20_a_comma_in_a_quoted_string() -> None:
    class Quoting(Extension):
        """Wants its parameter whole."""

        name = "x-quoting"
        seen: ClassVar[list[str]] = []

        def offer(self) -> bool | str:
            raise AssertionError

        def accept(self, offer: str) -> bool | str:
            self.seen.append(offer)
            return r'y="1,\"2"'

    def answered(offers: bytes) -> bytes:
        Quoting.seen.clear()
        handshake = ServerHandshake(
            origins=Origins(None), extensions=Extensions(custom=(Quoting(),))
        )
        data = handshake_request(b"Sec-WebSocket-Extensions: " + offers)
        assert isinstance(handshake.receive_data(data), Request)
        return handshake.accept()[0]

    answer = answered(rb'x-other; a="b, x-quoting", x-quoting; q="a,\",b";r , x-third')
    assert Quoting.seen == [r'x-quoting; q="a,\",b";r']
    assert rb'Sec-WebSocket-Extensions: x-quoting; y="1,\"2"' in answer
    for unclosed in (rb'x; "x-quoting, x-quoting', b'x; "\\'):
        answered(unclosed)
        assert Quoting.seen == []


@pytest.mark.measured
def test_A20_quoted_strings_take_linear_time() -> None:
    def offers(size: int) -> None:
        for element in (b'"', b'\\"', b'a"\\', b'"a",'):
            offer = (element * size)[: 4 * size]
            _, outcome = serve(handshake_request(b"Sec-WebSocket-Extensions: " + offer))
            assert isinstance(outcome, Request)

    assert grows_linearly(offers, 1000)


def test_A20_a_status_that_prints_itself() -> None:
    class Status(int):
        def __str__(self) -> str:
            return "evil\r\nX: y"

        __repr__ = __str__

        def __format__(self, spec: str) -> str:
            return str(self)

    handshake, _ = serve(handshake_request())
    assert handshake.reject(Status(404)).startswith(b"HTTP/1.1 404 Not Found\r\n")
    assert handshake.reject(Status(499)).startswith(b"HTTP/1.1 499 \r\n")


def test_A20_an_error_of_the_handler_names_nothing_of_the_client() -> None:
    handshake, _ = serve(
        handshake_request(b"Sec-WebSocket-Protocol: secret-token, chat")
    )
    with pytest.raises(ValueError, match="not among the 2") as caught:
        handshake.accept(subprotocol="wamp")
    assert "secret-token" not in str(caught.value)
