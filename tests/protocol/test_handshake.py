"""The opening handshake on bytes: rows A and B of the fault table, both sides."""

from __future__ import annotations

import tracemalloc
from collections.abc import Iterator
from contextlib import suppress

import h11
import pytest
from hypothesis import given
from hypothesis import strategies as st

from anyio_websocket._protocol import (
    Accepted,
    ClientHandshake,
    Extensions,
    HandshakeFailure,
    Origins,
    Rejected,
    Rejection,
    Request,
    ServerHandshake,
)

from ..support.costs import grows_linearly
from ..support.peer import KEY, accept_of, request, response

NO_EXTENSIONS = Extensions()
SAMPLE_ACCEPT = b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo="  # of RFC 6455 section 1.3


def cuts(data: bytes) -> Iterator[list[bytes]]:
    """Cut bytes in several ways; none of them may make a difference."""
    yield [data]
    yield [data[i : i + 1] for i in range(len(data))]
    yield [data[: len(data) // 2], data[len(data) // 2 :]]


def serve(
    data: bytes, origins: list[str] | str | None = None
) -> tuple[ServerHandshake, Request | Rejection | None]:
    """Feed a server in several ways, and demand one outcome."""
    outcomes: list[tuple[ServerHandshake, Request | Rejection | None]] = []
    for chunks in cuts(data):
        handshake = ServerHandshake(origins=Origins(origins))
        outcome = None
        for chunk in chunks:
            assert outcome is None or isinstance(outcome, Rejection)
            if outcome is None:
                outcome = handshake.receive_data(chunk)
        outcomes.append((handshake, outcome))
    assert all(outcome == outcomes[0][1] for _, outcome in outcomes)
    return outcomes[0]


def accepted(data: bytes, origins: list[str] | str | None = None) -> Request:
    _, outcome = serve(data, origins)
    assert isinstance(outcome, Request), outcome
    return outcome


def refused(
    data: bytes, status_code: int, origins: list[str] | str | None = None
) -> dict[str, str]:
    """Demand a refusal; return the headers of its answer."""
    _, outcome = serve(data, origins)
    assert isinstance(outcome, Rejection), outcome
    assert outcome.status_code == status_code, outcome
    client = h11.Connection(h11.CLIENT)
    client.send(h11.Request(method="GET", target="/", headers=[("Host", "x")]))
    client.send(h11.EndOfMessage())
    client.receive_data(outcome.response)
    answer = client.next_event()
    assert isinstance(answer, h11.Response)
    assert answer.status_code == status_code
    body = client.next_event()
    assert isinstance(body, h11.Data)
    assert bytes(body.data).decode().strip() == outcome.reason
    assert isinstance(client.next_event(), h11.EndOfMessage)
    headers = {bytes(k).decode(): bytes(v).decode() for k, v in answer.headers}
    assert headers["connection"] == "close"
    assert "content-length" in headers
    return headers


# -- A: the server's side ------------------------------------------------------


def test_a_request_and_its_answer() -> None:
    handshake, outcome = serve(
        request(
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
    assert agreed == NO_EXTENSIONS


def test_A3_long_request_line() -> None:
    fits = b"GET /" + b"x" * (8192 - 16) + b" HTTP/1.1"
    assert len(fits) == 8190  # and CR LF
    accepted(request(line=fits))
    refused(request(line=b"GET /" + b"x" * (8192 - 15) + b" HTTP/1.1"), 414)
    refused(b"GET /" + b"x" * 9000, 414)


def test_A3_long_head() -> None:
    lines = [b"X: " + b"x" * 8000, b"Y: " + b"y" * 8000]
    accepted(request(*lines))
    refused(request(*lines, b"Z: " + b"z" * 500), 431)
    refused(request(*lines)[:-2] + b"Z: " + b"z" * 500, 431)  # not even complete


@pytest.mark.parametrize("count", [101, 128, 5000])
def test_A3_headers_too_many(count: int) -> None:
    accepted(request(*[b"X%d: v" % i for i in range(95)]))  # and five of its own
    refused(request(*[b"X%d: v" % i for i in range(count - 5)]), 431)


def test_A3_cpu_is_linear_byte_by_byte() -> None:
    def head(size: int) -> None:
        data = request(*[b"X: " + b"x" * 997] * (size // 1000))
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
def test_A4_not_http(data: bytes) -> None:
    refused(data, 400)


def test_A4_tls_is_refused_at_its_first_byte() -> None:
    assert isinstance(
        ServerHandshake(origins=Origins(None)).receive_data(b"\x16"), Rejection
    )


def test_A5_method() -> None:
    for method in (b"POST", b"HEAD", b"CONNECT", b"get", b"BREW"):
        assert refused(request(line=method + b" / HTTP/1.1"), 405)["allow"] == "GET"


def test_A5_http_version() -> None:
    for version in (b"1.0", b"0.9", b"2.0"):
        refused(request(line=b"GET / HTTP/" + version), 505)
    refused(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505)  # A4: HTTP/2's preface


def test_A5_websocket_version() -> None:
    refused(request(version=None), 400)
    for version in (b"8", b"14", b"", b"13, 14", b"x"):
        headers = refused(request(version=version), 426)
        assert headers["sec-websocket-version"] == "13"
    refused(request(b"Sec-WebSocket-Version: 13"), 426)


def test_A5_host() -> None:
    refused(request(host=None), 400)
    refused(request(b"Host: example.org"), 400)
    refused(request(host=b""), 400)


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
def test_A6_token_lists(connection: bytes, upgrade: bytes) -> None:
    accepted(request(connection=connection, upgrade=upgrade))


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
def test_A6_tokens_that_are_not_there(
    connection: bytes | None, upgrade: bytes | None
) -> None:
    refused(request(connection=connection, upgrade=upgrade), 400)


@pytest.mark.parametrize(
    "data",
    [
        request(b"Content-Length: 5") + b"hello",
        request(b"Content-Length: abc"),
        request(b"Content-Length: 0", b"Content-Length: 5"),
        request(b"Transfer-Encoding: chunked") + b"0\r\n\r\n",
        request(b"Transfer-Encoding: identity"),
        request().replace(b"\r\n", b"\n"),
        request(b"X: 1\n"),
        request(b"X: 1", b" folded"),
        request(b"X: 1", b"\tfolded"),
        request(b"X : 1"),
        request(b"X: a\0b"),
        request(b"X: a\rb"),
        request(b"X"),
        request(b": value"),
        request(b"X: 1\r"),
        b"GET / HTTP/1.1\nHost: x\n\n",
    ],
)
def test_A7_smuggling(data: bytes) -> None:
    refused(data, 400)


def test_A7_an_empty_body_is_none() -> None:
    accepted(request(b"Content-Length: 0"))


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
def test_A8_keys(key: bytes | None) -> None:
    refused(request(key=key), 400)


def test_A8_huge_key() -> None:
    refused(request(key=b"A" * 15_000), 431)


@pytest.mark.parametrize(
    "data",
    [
        request(host="café".encode()),
        request(host=b"xn--111"),
        request(host=b"xn--\xff"),
        request(host=b"a b"),
        request(host=b"a/b"),
        request(host=b"[::1"),
        request(host=b"example.org:99999"),
        request(host=b"example.org:x"),
        request(connection=b"Upgrade, \xff"),
        request(upgrade=b"websocket, \xff"),
        request(b"Sec-WebSocket-Protocol: caf\xe9"),
        request(b"Sec-WebSocket-Protocol: a b"),
        request(b"Sec-WebSocket-Extensions: \xe9"),
        request(b"Origin: \xe9"),
        request(line="GET /é HTTP/1.1".encode()),
    ],
)
def test_A9_bytes_that_do_not_belong(data: bytes) -> None:
    refused(data, 400)


def test_A9_hosts_that_are_fine() -> None:
    for host in (b"x", b"x.:80", b"[::1]:8000", b"xn--caf-dma.example", b"a_b:0"):
        assert accepted(request(host=host)).host == host.decode()


def test_A9_other_headers_are_bytes() -> None:
    assert (b"x", b"caf\xe9") in accepted(request(b"X: caf\xe9")).headers


def test_A10_extensions_are_no_reason_to_refuse() -> None:
    for offer in (
        b"permessage-deflate; client_max_window_bits=abc",
        b'permessage-deflate; server_max_window_bits="10"',
        b"permessage-deflate; a; a; a=99",
        b", ".join([b"x"] * 500),
        b"," * 8000,
        b";;;===,,,",
    ):
        handshake, outcome = serve(request(b"Sec-WebSocket-Extensions: " + offer))
        assert isinstance(outcome, Request)
        assert b"Extensions" not in handshake.accept()[0]


def test_A10_cpu_is_linear() -> None:
    def offers(size: int) -> None:
        for element in (b",", b"x;", b"permessage-deflate; a=b,"):
            offer = (element * size)[: 4000 * size // 1000]
            _, outcome = serve(request(b"Sec-WebSocket-Extensions: " + offer))
            assert isinstance(outcome, Request)

    assert grows_linearly(offers, 1000)


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
def test_A11_same_host(origin: bytes, host: bytes) -> None:
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
def test_A11_other_hosts(origin: bytes, host: bytes) -> None:
    refused(request(b"Origin: " + origin, host=host), 403)


def test_A11_odd_host() -> None:
    # It is a host as far as HTTP goes, but no URL can name it.
    refused(request(b"Origin: http://x", host=b"[1.2]"), 403)


def test_A11_listed_origins() -> None:
    origins = ["https://example.org", "http://localhost:3000", "null"]
    for origin in (b"https://example.org:443", b"HTTP://LOCALHOST:3000", b"null"):
        accepted(request(b"Origin: " + origin, host=b"other"), origins)
    for origin in (b"http://example.org", b"http://localhost", b"https://other"):
        refused(request(b"Origin: " + origin, host=b"other"), 403, origins)
    accepted(request(), origins)  # no browser
    accepted(request(b"Origin: http://evil.example"), "*")
    refused(request(b"Origin: a", b"Origin: a"), 400, "*")


@pytest.mark.parametrize("origin", ["example.org", "", "http://x/path", "http://[x"])
def test_A11_settings_that_are_no_origins(origin: str) -> None:
    with pytest.raises(ValueError, match="not an origin"):
        Origins([origin])


def test_A11_settings_of_the_wrong_type() -> None:
    with pytest.raises(TypeError, match="origins must be"):
        Origins("https://example.org")
    with pytest.raises(TypeError, match="origin must be"):
        Origins([b"https://example.org"])  # type: ignore[list-item]


def test_A12_subprotocol_not_proposed() -> None:
    handshake, _ = serve(request(b"Sec-WebSocket-Protocol: a, b"))
    with pytest.raises(ValueError, match=r"'c' is not among .*: a, b"):
        handshake.accept(subprotocol="c")
    handshake, _ = serve(request())
    with pytest.raises(ValueError, match="none"):
        handshake.accept(subprotocol="a")


BAD_HEADERS: list[tuple[object, object]] = [
    (b"X", b"a\r\nb"),
    ("X", "a\nb"),
    (b"X", b"a\0b"),
    (b"X Y", b"a"),
    (b"", b"a"),
    ("X", "\u20ac"),
    ("\u20ac", "x"),
    (b"Sec-WebSocket-Accept", b"x"),
    (b"sec-websocket-protocol", b"x"),
    (b"Sec-WebSocket-Extensions", b"x"),
    (b"Content-Length", b"5"),
    (b"transfer-encoding", b"chunked"),
    (b"Connection", b"close"),
    ("UPGRADE", "h2c"),
]


@pytest.mark.parametrize(("name", "value"), BAD_HEADERS)
def test_A12_B8_headers_that_may_not_be_sent(name: object, value: object) -> None:
    headers: list[tuple[bytes, bytes]] = [(name, value)]  # type: ignore[list-item]
    handshake, _ = serve(request())
    with pytest.raises(ValueError):  # noqa: PT011 - of several kinds
        handshake.accept(extra_headers=headers)
    with pytest.raises(ValueError):  # noqa: PT011
        handshake.reject(400, extra_headers=headers)
    with pytest.raises(ValueError):  # noqa: PT011
        ClientHandshake(host="x", target="/", extra_headers=headers)


def test_A12_B8_errors_do_not_tell_values() -> None:
    for value in ("secret\n", "secret\u20ac"):
        with pytest.raises(ValueError, match="Authorization") as caught:
            ClientHandshake(
                host="x", target="/", extra_headers=[("Authorization", value)]
            )
        assert "secret" not in str(caught.value)
        assert caught.value.__cause__ is None


def test_A12_headers_of_the_wrong_type() -> None:
    with pytest.raises(TypeError, match="must be bytes or str"):
        ClientHandshake(host="x", target="/", extra_headers=[("a", 5)])  # type: ignore[list-item]


def test_reject() -> None:
    handshake, _ = serve(request())
    assert handshake.reject(401, extra_headers=[("X", "y")], body=b"no") == (
        b"HTTP/1.1 401 Unauthorized\r\n"
        b"Connection: close\r\nContent-Length: 2\r\nX: y\r\n\r\nno"
    )
    assert b"Content-Length: 0\r\n" in handshake.reject(200)
    assert handshake.reject(799).startswith(b"HTTP/1.1 799 \r\n")
    assert b"Content-Length" not in handshake.reject(204)


@pytest.mark.parametrize("status_code", [0, 100, 101, 103, 199, 1000, -1])
def test_A12_status_that_does_not_refuse(status_code: int) -> None:
    handshake, _ = serve(request())
    with pytest.raises(ValueError, match=str(status_code)):
        handshake.reject(status_code)


def test_A12_body_where_none_may_be() -> None:
    handshake, _ = serve(request())
    for status_code in (204, 304):
        with pytest.raises(ValueError, match="no body"):
            handshake.reject(status_code, body=b"x")
    for wrong in ("400", True, None):
        with pytest.raises(TypeError):
            handshake.reject(wrong)  # type: ignore[arg-type]
    with pytest.raises(TypeError):
        handshake.reject(400, body="text")  # type: ignore[arg-type]


def test_A13_what_follows_the_request_is_kept() -> None:
    for chunk in (b"", b"\x81\x85", b"second GET / HTTP/1.1\r\n\r\n", bytes(8000)):
        handshake = ServerHandshake(origins=Origins(None))
        assert isinstance(handshake.receive_data(request() + chunk), Request)
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
def test_A15_targets(target: bytes, path: str) -> None:
    assert accepted(request(line=b"GET " + target + b" HTTP/1.1")).target == path


@pytest.mark.parametrize(
    "target", [b"*", b"a", b"ftp://x/", b"/a#b", b"http:///a", b"?", b"/\x7f"]
)
def test_A15_targets_that_are_none(target: bytes) -> None:
    refused(request(line=b"GET " + target + b" HTTP/1.1"), 400)


@given(st.binary(max_size=300))
def test_A_noise_never_raises(data: bytes) -> None:
    for prefix in (b"", b"GET / HTTP/1.1\r\n", request()[:-2]):
        for suffix in (b"", b"\r\n\r\n"):
            handshake = ServerHandshake(origins=Origins(None))
            whole = handshake.receive_data(prefix + data + suffix)
            if not isinstance(whole, Request):  # else what follows is frames
                serve(prefix + data + suffix)


@given(
    st.lists(
        st.sampled_from(request(b"Origin: http://x", b"X: y").split(b"\r\n"))
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


# -- B: the client's side ------------------------------------------------------


def ask(*lines: bytes, offer: list[str] | None = None) -> ClientHandshake:
    return ClientHandshake(
        host="example.org", target="/a?b", subprotocols=offer, extra_headers=None
    )


def answered(
    make: bytes | None = None,
    *lines: bytes,
    before: bytes = b"",
    rest: bytes = b"",
    offer: list[str] | None = None,
) -> Accepted | Rejected | None:
    """Answer a client in several ways, and demand one outcome."""
    outcomes: list[Accepted | Rejected | None] = []
    for cut in range(3):
        handshake = ask(offer=offer)
        answer = response(handshake.request(), *lines) if make is None else make
        data = before + answer + rest
        outcome = None
        for chunk in list(cuts(data))[cut]:
            if isinstance(outcome, Accepted):
                outcome = outcome._replace(trailing=outcome.trailing + chunk)
            elif outcome is None:
                outcome = handshake.receive_data(chunk)
        outcomes.append(outcome)
    assert outcomes[0] == outcomes[1] == outcomes[2]
    return outcomes[0]


def fails(
    make: bytes | None = None,
    *lines: bytes,
    before: bytes = b"",
    offer: list[str] | None = None,
    match: str | None = None,
) -> None:
    with pytest.raises(HandshakeFailure, match=match):
        answered(make, *lines, before=before, offer=offer)


def test_what_a_client_asks() -> None:
    handshake = ClientHandshake(
        host="example.org:8000",
        target="/a?b",
        subprotocols=["chat", "superchat"],
        extra_headers=[("X-Text", "é"), (b"x-bytes", b"1"), (b"x-bytes", b"2")],
    )
    server = h11.Connection(h11.SERVER)
    server.receive_data(handshake.request())
    event = server.next_event()
    assert isinstance(event, h11.Request)
    assert (event.method, event.target) == (b"GET", b"/a?b")
    headers = [(bytes(name), bytes(value)) for name, value in event.headers]
    key = dict(headers)[b"sec-websocket-key"]
    assert headers == [
        (b"host", b"example.org:8000"),
        (b"upgrade", b"websocket"),
        (b"connection", b"Upgrade"),
        (b"sec-websocket-key", key),
        (b"sec-websocket-version", b"13"),
        (b"sec-websocket-protocol", b"chat, superchat"),
        (b"x-text", b"\xe9"),
        (b"x-bytes", b"1"),
        (b"x-bytes", b"2"),
    ]
    assert handshake.target == "/a?b"
    assert isinstance(serve(handshake.request())[1], Request)


def test_settled_8_host_replaces_ours() -> None:
    handshake = ClientHandshake(
        host="example.org", target="/", extra_headers=[("host", "other")]
    )
    assert handshake.request().lower().count(b"host:") == 1
    assert b"other" in handshake.request()
    with pytest.raises(ValueError, match="one Host"):
        ClientHandshake(
            host="x", target="/", extra_headers=[("host", "a"), ("Host", "b")]
        )


@pytest.mark.parametrize("offer", [[""], ["a b"], ["a,b"], ["é"], ["a", "a"]])
def test_B8_subprotocols_that_cannot_be(offer: list[str]) -> None:
    with pytest.raises(ValueError, match="subprotocol"):
        ask(offer=offer)


@pytest.mark.parametrize("offer", ["chat", [b"chat"], [5]])
def test_B8_subprotocols_of_the_wrong_type(offer: list[str]) -> None:
    with pytest.raises(TypeError, match="subprotocol"):
        ask(offer=offer)


def test_accepted() -> None:
    assert answered(None, b"X: y", b"Set-Cookie: a=b") == Accepted(
        None, ((b"x", b"y"), (b"set-cookie", b"a=b")), NO_EXTENSIONS, b""
    )
    outcome = answered(None, b"Sec-WebSocket-Protocol: b", offer=["a", "b"])
    assert outcome == Accepted("b", (), NO_EXTENSIONS, b"")


def test_accept_of_the_rfc() -> None:
    assert accept_of(KEY) == SAMPLE_ACCEPT


def test_B9_frames_glued_to_the_101() -> None:
    assert answered(rest=b"\x81\x02hi") == Accepted(
        None, (), NO_EXTENSIONS, b"\x81\x02hi"
    )


@pytest.mark.parametrize(
    "data",
    [
        b"SSH-2.0-OpenSSH_9.2\r\n\r\n",
        b"\x15\x03\x01\x00\x02\x02",
        b"<html></html>",
        b"HTTP/1.1\r\n\r\n",
        b"HTTP/3.0 200 OK\r\n\r\n",
        b"HTTP/1.1 101 X\nUpgrade: websocket\n\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 101,
        b"HTTP/1.1 200 OK\r\nX: " + b"y" * 20_000,
    ],
)
def test_B3_garbage(data: bytes) -> None:
    fails(data, match=r"HTTP/1\.1")


def test_B3_http_1_0() -> None:
    handshake = ask()
    answer = response(handshake.request()).replace(b"HTTP/1.1", b"HTTP/1.0", 1)
    with pytest.raises(HandshakeFailure):
        handshake.receive_data(answer)


def test_B3_a_header_bomb_costs_no_memory() -> None:
    handshake = ask()
    tracemalloc.start()
    try:
        with pytest.raises(HandshakeFailure):
            handshake.receive_data(b"HTTP/1.1 200 OK\r\n")
            for _ in range(100):
                handshake.receive_data(b"X: y\r\n" * 10)
        assert tracemalloc.get_traced_memory()[1] < 100_000
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    ("head", "body", "expected"),
    [
        (b"Content-Length: 5", b"hello", b"hello"),
        (b"Content-Length: 0", b"", b""),
        (b"Transfer-Encoding: chunked", b"2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n", b"hello"),
        (b"Transfer-Encoding: chunked", b"2\r\nhe\r\nbroken\r\n", b"he"),
        (b"Content-Length: 200000", b"x" * 200_000, b"x" * 65536),
    ],
)
def test_B4_rejections(head: bytes, body: bytes, expected: bytes) -> None:
    outcome = answered(b"HTTP/1.1 403 No\r\nX: y\r\n" + head + b"\r\n\r\n" + body)
    name, value = head.split(b": ")
    assert outcome == Rejected(403, ((b"x", b"y"), (name.lower(), value)), expected)


def test_B4_a_body_that_ends_with_the_stream() -> None:
    handshake = ask()
    assert handshake.partial_rejection() is None
    assert handshake.receive_data(b"HTTP/1.1 500 Oops\r\n\r\nhe") is None
    assert handshake.partial_rejection() == Rejected(500, (), b"he")
    assert handshake.receive_data(b"llo") is None
    assert handshake.receive_eof() == Rejected(500, (), b"hello")


def test_B4_an_endless_body_is_cut() -> None:
    handshake = ask()
    assert handshake.receive_data(b"HTTP/1.1 200 OK\r\n\r\n") is None
    for _ in range(65535):
        assert handshake.receive_data(b"x") is None
    outcome = handshake.receive_data(b"xy")
    assert isinstance(outcome, Rejected)
    assert len(outcome.body) == 65536


def test_B5_a_redirect_is_a_rejection() -> None:
    outcome = answered(
        b"HTTP/1.1 302 Found\r\nLocation: ws://x/\r\nContent-Length: 0\r\n\r\n"
    )
    assert isinstance(outcome, Rejected)
    assert outcome.status_code == 302


def test_B2_eof_before_the_answer() -> None:
    whole = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
    for cut in range(len(whole)):
        handshake = ask()
        assert handshake.receive_data(whole[:cut]) is None
        with pytest.raises(HandshakeFailure, match="closed the connection"):
            handshake.receive_eof()


@pytest.mark.parametrize(
    "lines",
    [
        (b"Sec-WebSocket-Accept: " + SAMPLE_ACCEPT,),
        (b"Sec-WebSocket-Protocol: a",),
        (b"Sec-WebSocket-Extensions: permessage-deflate",),
        (b"Sec-WebSocket-Extensions: x; y=z",),
        (b"Sec-WebSocket-Extensions: \xe9",),
        (b"Sec-WebSocket-Protocol: \xe9",),
    ],
)
def test_B6_answers_that_are_wrong(lines: tuple[bytes, ...]) -> None:
    fails(None, *lines)


@pytest.mark.parametrize(
    "chosen",
    [
        (b"Sec-WebSocket-Protocol: c",),
        (b"Sec-WebSocket-Protocol: A",),
        (b"Sec-WebSocket-Protocol: a, b",),
        (b"Sec-WebSocket-Protocol: a", b"Sec-WebSocket-Protocol: b"),
    ],
)
def test_B6_subprotocols_that_were_not_offered(chosen: tuple[bytes, ...]) -> None:
    fails(None, *chosen, offer=["a", "b"], match="subprotocol")


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"Upgrade: websocket\r\n", b""),
        (b"Connection: Upgrade\r\n", b""),
        (b"Upgrade: websocket", b"Upgrade: h2c"),
        (b"Connection: Upgrade", b"Connection: close"),
        (b"Sec-WebSocket-Accept: ", b"Sec-WebSocket-Accept: x"),
        (b"Sec-WebSocket-Accept", b"X-Accept"),
        (b"Upgrade: websocket", b"Upgrade: \xe9"),
    ],
)
def test_B6_what_a_101_must_say(old: bytes, new: bytes) -> None:
    handshake = ask()
    answer = response(handshake.request())
    assert old in answer
    with pytest.raises(HandshakeFailure):
        handshake.receive_data(answer.replace(old, new, 1))


def test_B7_interim_answers_are_skipped() -> None:
    interim = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early\r\nLink: </x>\r\n\r\n"
    assert isinstance(answered(before=interim * 5), Accepted)
    fails(before=interim * 6, match="interim")
    handshake = ask()
    assert handshake.receive_data(interim) is None
    with pytest.raises(HandshakeFailure, match="before it responded"):
        handshake.receive_eof()
    assert handshake.partial_rejection() is None


@given(st.binary(max_size=200))
def test_B_noise_raises_nothing_else(data: bytes) -> None:
    for prefix in (b"", b"HTTP/1.1 ", b"HTTP/1.1 101 X\r\n", b"HTTP/1.1 400 X\r\n"):
        for suffix in (b"", b"\r\n\r\n"):
            handshake = ask(offer=["a"])
            try:
                outcome = handshake.receive_data(prefix + data + suffix)
                if outcome is None:
                    handshake.receive_eof()
            except HandshakeFailure:
                pass


@given(st.lists(st.binary(max_size=30), max_size=5), st.booleans())
def test_B_noisy_headers_raise_nothing_else(lines: list[bytes], glue: bool) -> None:
    handshake = ask(offer=["a"])
    names = [b"Sec-WebSocket-Extensions: ", b"Sec-WebSocket-Protocol: ", b"Upgrade: "]
    extra = [names[i % 3] + line if glue else line for i, line in enumerate(lines)]
    with suppress(HandshakeFailure):
        handshake.receive_data(response(handshake.request(), *extra))
