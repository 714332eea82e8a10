"""What a server's handshake makes of a request, whichever way it is cut."""

from __future__ import annotations

from collections.abc import Iterator

import h11

from anyio_websocket._protocol import (
    Origins,
    PlainRequest,
    Rejection,
    Request,
    ServerHandshake,
)

Heard = Request | PlainRequest | Rejection | None


def cuts(data: bytes) -> Iterator[list[bytes]]:
    """Cut bytes in several ways, which must not make a difference."""
    yield [data]
    yield [data[i : i + 1] for i in range(len(data))]
    yield [data[: len(data) // 2], data[len(data) // 2 :]]


def serve(
    data: bytes, origins: list[str] | str | None = None
) -> tuple[ServerHandshake, Heard]:
    """Feed a server in several ways, and require the same outcome of all."""
    outcomes: list[tuple[ServerHandshake, Heard]] = []
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


def rejected(
    data: bytes, status_code: int, origins: list[str] | str | None = None
) -> dict[str, str]:
    """Require a rejection with this status; return the headers of the response."""
    _, outcome = serve(data, origins)
    assert isinstance(outcome, Rejection), outcome
    assert outcome.status_code == status_code, outcome
    client = h11.Connection(h11.CLIENT)
    method = "HEAD" if data.startswith(b"HEAD ") else "GET"
    client.send(h11.Request(method=method, target="/", headers=[("Host", "x")]))
    client.send(h11.EndOfMessage())
    client.receive_data(outcome.response)
    response = client.next_event()
    assert isinstance(response, h11.Response)
    assert response.status_code == status_code
    if method == "GET":
        body = client.next_event()
        assert isinstance(body, h11.Data)
        assert bytes(body.data).decode().strip() == outcome.reason
    assert isinstance(client.next_event(), h11.EndOfMessage)
    headers = {bytes(k).decode(): bytes(v).decode() for k, v in response.headers}
    assert headers["connection"] == "close"
    assert "content-length" in headers
    assert headers["content-type"] == "text/plain; charset=utf-8"
    return headers
