"""A handler for each path."""

from __future__ import annotations

import logging
import subprocess
import sys
from base64 import b64encode
from functools import partial
from typing import Any

import pytest

from anyio_websocket import Router, WebSocketRequest, basic_auth, open_websocket_url
from anyio_websocket.testing import handshake_request

from ..support.memory_servers import raw_client, serving, status_of
from ..support.servers import serving as serving_tcp


async def show(request: WebSocketRequest, **parameters: Any) -> None:
    connection = await request.accept()
    await connection.send_message(repr(parameters))


def matched(router: Router, target: str) -> dict[str, Any] | None:
    found = router._match(target)
    return None if found is None else found[1]


async def test_routes() -> None:
    router = Router()

    @router.route("/rooms/<int:number>")
    async def room(request: WebSocketRequest, number: int) -> None:
        connection = await request.accept()
        await connection.send_message(f"room {number}")

    router.add("/rooms/lobby", partial(show, is_lobby=True))
    router.add("/admin/<name>", basic_auth(show, ("ann", "secret")))
    router.add("/", show)
    async with serving_tcp(router) as port:
        router.add("/late", show)  # while it serves
        for path, auth, message in (
            ("rooms/7?a=b", None, "room 7"),
            ("rooms/lobby", None, "{'is_lobby': True}"),
            ("", None, "{}"),
            ("late", None, "{}"),
            ("admin/x", ("ann", "secret"), "{'name': 'x'}"),
        ):
            url = f"ws://127.0.0.1:{port}/{path}"
            async with open_websocket_url(url, auth=auth) as connection:
                assert await connection.get_message() == message


@pytest.mark.virtual_time
async def test_no_route(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "anyio_websocket")
    router = Router()
    router.add("/admin", basic_auth(show, ("ann", "secret")))
    credentials = b"Authorization: Basic " + b64encode(b"ann:wrong")
    async with serving(router) as (listener, _):
        for line, status_code in (
            (b"GET /nothing HTTP/1.1", 404),
            (b"GET /%ff HTTP/1.1", 404),
            (b"GET /admin HTTP/1.1", 401),
        ):
            peer = await raw_client(listener, handshake_request(credentials, line=line))
            answer = await peer.receive_all()
            assert status_of(answer) == status_code
            await peer.stream.aclose()
    assert caplog.text.count("rejected with status 404") == 2  # each is logged once
    assert "wrong" not in caplog.text


def test_what_matches() -> None:
    router = Router()
    for template in (
        "/rooms/<int:number>",
        "/rooms/lobby",
        "/closed/",
        "/open",
        "/files/<path:name>",
        "/names/<name>",
        "/ü <x>",
    ):
        router.add(template, show)
    for target, parameters in (
        ("/rooms/7", {"number": 7}),
        ("/rooms/7/", {"number": 7}),
        ("/rooms/007?number=8", {"number": 7}),
        ("/rooms/lobby", {}),
        ("/rooms/%6cobby", {}),
        ("/closed", {}),
        ("/closed/?", {}),
        ("/open/", {}),
        ("/files/a/b%2Fc%20d", {"name": "a/b/c d"}),
        ("/names/%C3%A9%26%3F", {"name": "é&?"}),
        ("/names/100%", {"name": "100%"}),
        ("/names/a+b", {"name": "a+b"}),
        ("/names/..", {"name": ".."}),
        ("/%C3%BC%20x", {"x": "x"}),
    ):
        assert matched(router, target) == parameters, target
    for target in (
        *("/", "/rooms", "/rooms/", "/rooms/-1", "/rooms/x", "/rooms/7/8"),
        "/rooms/" + "9" * 10_000,  # more digits than Python makes an int of
        *("//open", "/%2Fopen", "/open//", "/Open", "/names/", "/files/"),
        *("/names/a/b", "/names/a%2Fb", "/names/%ff", "/open%00", "/open%3F"),
    ):
        assert matched(router, target) is None, target


async def no_parameter(request: WebSocketRequest) -> None:
    raise AssertionError


async def with_number(request: WebSocketRequest, *, number: int) -> None:
    raise AssertionError


@pytest.mark.parametrize(
    ("template", "handler", "error", "text"),
    [
        ("", show, ValueError, "'' is not valid: .* must start with a slash"),
        ("rooms", show, ValueError, "'rooms' is not valid: .* start with a slash"),
        ("/a?b", show, ValueError, "must be a path, without a query"),
        ("/<int:x", show, ValueError, "'/<int:x' is not valid: malformed"),
        ("/<foo:x>", show, ValueError, "not valid: the converter 'foo' does not exist"),
        ("/<int(y=1):x>", show, ValueError, "not valid: .* argument 'y'"),
        ("/<x>/<x>", show, ValueError, "not valid: .* 'x'"),
        ("/lobby", show, ValueError, "'/lobby' is equal to '/lobby', which has a h"),
        ("/lobby/", show, ValueError, "'/lobby/' is equal to '/lobby'"),
        ("/rooms/<int:x>", show, ValueError, "is equal to '/rooms/<int:number>'"),
        ("/names/<string:x>", show, ValueError, "is equal to '/names/<name>'"),
        (7, show, TypeError, "a template must be a str, not int"),
        ("/x", None, TypeError, "handler must be an async function"),
        ("/<x>", no_parameter, TypeError, r"handler\(request, x=\.\.\.\).*no_parame"),
        ("/x", with_number, TypeError, r"handler\(request\).* argument: 'number'"),
        ("/<x>", basic_auth(no_parameter, ("a", "b")), TypeError, "no_parameter"),
        ("/<request>", no_parameter, TypeError, "multiple values"),
    ],
)
def test_mistakes(
    template: Any, handler: Any, error: type[Exception], text: str
) -> None:
    router = Router()
    for other in ("/lobby", "/rooms/<int:number>", "/names/<name>"):
        router.add(other, show)
    with pytest.raises(error, match=text):
        router.add(template, handler)
    assert matched(router, "/lobby") == {}


def test_more_than_one_kind_of_handler() -> None:
    class Rooms:
        async def __call__(self, request: WebSocketRequest, number: int) -> None: ...

    router = Router()
    router.add("/a/<int:number>", Rooms())
    router.add("/b/<int:number>", partial(with_number))
    router.add("/c", Router())
    router.add("/d", getattr)  # whose parameters nobody knows
    forgotten: Any = with_number
    with pytest.raises(TypeError, match=r'@router.route\("/path"\), not function'):
        router.route(forgotten)


def test_werkzeug_is_imported_when_it_is_needed() -> None:
    program = """
import sys
from anyio_websocket import Router
print("werkzeug" in sys.modules)
Router()
print("werkzeug" in sys.modules)
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["False", "True"]


def test_without_werkzeug(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("anyio_websocket._server._router.find_spec", lambda name: None)
    with pytest.raises(ImportError, match=r"pip install anyio_websocket\[routing\]"):
        Router()
