"""Options: their defaults, their checks, and the classes that describe them."""

from __future__ import annotations

import ast
import math
from pathlib import Path
from typing import Any

import pytest

import anyio_websocket
from anyio_websocket import (
    ClientOptions,
    ClientStreamOptions,
    PerMessageDeflate,
    ServerOptions,
    ServerStreamOptions,
    WebSocketServer,
    _options,
    open_websocket_url,
)
from anyio_websocket._settings import (
    ClientSettings,
    ClientStreamSettings,
    ConnectionSettings,
    ServerSettings,
)

from .support.options import FUNCTIONS, call, fields_of

# -- settings ------------------------------------------------------------------


def test_defaults_are_valid() -> None:
    settings = ConnectionSettings()
    assert settings.connect_seconds == settings.connect_timeout == 10
    assert settings.disconnect_seconds == settings.disconnect_timeout == 10
    assert not any(settings.negotiable)


def test_no_limits() -> None:
    settings = ConnectionSettings(
        message_queue_size=math.inf,
        max_message_size=math.inf,
        receive_buffer_size=None,
        connect_timeout=None,
        disconnect_timeout=None,
    )
    assert settings.connect_seconds == settings.disconnect_seconds == math.inf
    assert ConnectionSettings(connect_timeout=math.inf, disconnect_timeout=math.inf)
    assert ConnectionSettings(message_queue_size=0).message_queue_size == 0


def test_small_numbers() -> None:
    ConnectionSettings(max_message_size=1, receive_buffer_size=1, connect_timeout=0.001)
    ServerSettings(max_connections=1, max_pending_handshakes=1)


def test_settings_are_passed_by_name() -> None:
    for settings in (ConnectionSettings, ClientSettings, ServerSettings):
        with pytest.raises(TypeError, match="positional"):
            settings(16)  # type: ignore[call-arg]


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("message_queue_size", [-1, math.nan]),
        ("max_message_size", [0, -1, math.nan]),
        ("receive_buffer_size", [0, -1]),
        ("connect_timeout", [0, -1, math.nan]),
        ("max_head_size", [0, -1]),
        ("disconnect_timeout", [0, -0.1, math.nan]),
        ("send_timeout", [0, -1, math.nan]),
        ("ping_interval", [0, -1]),
        ("ping_timeout", [0, -1]),
    ],
)
def test_H3_impossible_settings(name: str, values: list[float]) -> None:
    for value in values:
        least = "zero or more" if name == "message_queue_size" else "more than zero"
        with pytest.raises(ValueError, match=f"^{name} must be {least}.*, not {value}"):
            ConnectionSettings(**{name: value})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("message_queue_size", "1"),
        ("message_queue_size", None),
        ("max_message_size", True),
        ("max_message_size", None),
        ("receive_buffer_size", 1.5),
        ("connect_timeout", "10"),
        ("max_head_size", None),
        ("max_head_size", 65536.0),
        ("disconnect_timeout", b"10"),
        ("send_timeout", "60"),
        ("ping_interval", [20]),
        ("ping_timeout", False),
        ("compression", "deflate"),
    ],
)
def test_H3_wrong_types(name: str, value: object) -> None:
    with pytest.raises(TypeError, match=f"^{name} must be .*, not ") as caught:
        ConnectionSettings(**{name: value})
    assert str(caught.value).endswith(f"not {value!r}")


def test_H3_A17_no_browser_could_connect_with_less() -> None:
    assert ServerSettings(max_head_size=1024).max_head_size == 1024
    with pytest.raises(
        ValueError, match=r"^max_head_size must be at least 1024, not 9"
    ):
        ServerSettings(max_head_size=9)


def test_settings_are_frozen() -> None:
    for settings in (ConnectionSettings(), ClientSettings(), ServerSettings()):
        with pytest.raises(AttributeError, match="max_message_size"):
            settings.max_message_size = 1
        assert settings.max_message_size == 2**20


def test_what_an_iterator_yields_is_kept() -> None:
    settings = ClientSettings(
        subprotocols=iter(["chat"]), extra_headers=iter([("X-A", "b")])
    )
    for _ in range(2):
        assert list(settings.subprotocols or ()) == ["chat"]
        assert list(settings.extra_headers or ()) == [(b"X-A", b"b")]


def test_compression_is_negotiable() -> None:
    assert ClientSettings(compression=True).negotiable.deflate == PerMessageDeflate()
    level = PerMessageDeflate(level=9)
    assert ServerSettings(compression=level).negotiable.deflate == level


# -- the public classes --------------------------------------------------------


def test_keys_are_the_fields_of_the_settings() -> None:
    assert ClientOptions.__optional_keys__ == fields_of(ClientSettings).keys()
    stream = fields_of(ClientStreamSettings).keys()
    assert ClientStreamOptions.__optional_keys__ == stream
    assert ServerOptions.__optional_keys__ == fields_of(ServerSettings).keys()
    shared = anyio_websocket.ConnectionOptions.__optional_keys__
    assert shared == fields_of(ConnectionSettings).keys()
    assert ServerStreamOptions.__optional_keys__ < ServerOptions.__optional_keys__


def test_the_classes_name_the_page_that_describes_their_keys() -> None:
    name = "docs/reference/options.rst"
    page = Path(__file__).parents[1].joinpath(name).read_text()
    for options in (anyio_websocket.ConnectionOptions, *(row[1] for row in FUNCTIONS)):
        assert name in str(options.__doc__)
        assert f".. autoclass:: {options.__name__}()" in page


def test_every_option_is_described() -> None:
    """A string follows each key, and says the default that the settings have."""
    defaults = fields_of(ClientSettings) | fields_of(ServerSettings)
    described: set[str] = set()
    tree = ast.parse(Path(_options.__file__).read_text("utf-8"))
    for node in tree.body:
        if isinstance(node, ast.ClassDef) and node.name.endswith("Options"):
            for key, text in zip(node.body, node.body[1:], strict=False):
                if isinstance(key, ast.AnnAssign) and isinstance(key.target, ast.Name):
                    assert isinstance(text, ast.Expr), key.target.id
                    assert isinstance(text.value, ast.Constant)
                    words = " ".join(str(text.value.value).split())
                    assert "default" in words, key.target.id
                    default = defaults[key.target.id]
                    if default is not None:
                        shown = str(default).replace(
                            anyio_websocket.__version__, "<version>"
                        )
                        shown = shown.removesuffix(".0")
                        assert shown in words, key.target.id
                    described.add(key.target.id)
    assert described == defaults.keys()


# -- errors at the call --------------------------------------------------------


@pytest.mark.parametrize(
    ("option", "error", "text"),
    [
        ({"subprotocols": "chat"}, TypeError, "subprotocols must be a list"),
        ({"subprotocols": ["a b"]}, ValueError, "element 0 of subprotocols is not a"),
        (
            {"extra_headers": [("A b", "c")]},
            ValueError,
            "name of header 0 in extra_headers is not a token",
        ),
        ({"extensions": [object()]}, TypeError, "wsproto.extensions.Extension"),
        ({"compression": 5}, TypeError, "compression must be None, True or"),
        ({"auth": ("a:", "b")}, ValueError, "user name in auth must not have a colon"),
        ({"server_hostname": 5}, TypeError, "server_hostname must be a str or None"),
        ({"server_hostname": ""}, ValueError, "server_hostname must not be empty"),
        ({"unix_path": b"/x"}, TypeError, "unix_path must be a str or None, not bytes"),
        ({"unix_path": 5}, TypeError, "unix_path must be a str or None, not int"),
        ({"unix_path": "/a\0b"}, ValueError, "unix_path has a NUL in it"),
        ({"local_host": "localhost"}, ValueError, "must be an IP address, not 'local"),
        (
            {"via": "x:80"},
            TypeError,
            "ByteStreamConnectable or None, not str",
        ),
        (
            {"unix_path": Path("/a"), "local_host": "::1"},
            ValueError,
            "unix_path and local_host exclude each other",
        ),
    ],
)
def test_a_clients_options(
    option: dict[str, Any], error: type[Exception], text: str
) -> None:
    with pytest.raises(error, match=rf"^open_websocket_url\(\): .*{text}"):
        call(open_websocket_url, **option)


@pytest.mark.parametrize(
    ("option", "error", "text"),
    [
        ({"origins": "https://a.example"}, TypeError, "origins must be a list"),
        ({"origins": ["a.example"]}, ValueError, "'a.example' is no"),
        ({"handler_errors": "ignore"}, ValueError, 'handler_errors must be "log" or'),
        ({"max_connections": 0}, ValueError, "max_connections must be more than zero"),
        ({"max_pending_handshakes": 1.5}, TypeError, "must be an int or None"),
        ({"max_request_body": None}, TypeError, "max_request_body must be an int, not"),
        ({"max_request_body": -1}, ValueError, "max_request_body must be zero or more"),
    ],
)
def test_a_servers_options(
    option: dict[str, Any], error: type[Exception], text: str
) -> None:
    with pytest.raises(error, match=rf"^WebSocketServer\(\): .*{text}"):
        call(WebSocketServer, **option)


def test_errors_do_not_show_the_values_of_headers() -> None:
    for headers in (
        [("Authorization", "secret\n")],
        [("Authorization", "secret\u20ac")],
    ):
        with pytest.raises(ValueError, match="Authorization") as caught:
            call(open_websocket_url, extra_headers=headers)
        assert "secret" not in str(caught.value)
        assert "secret" not in repr(caught.value.__cause__)


def test_settings_do_not_show_headers() -> None:
    settings = ClientSettings(extra_headers=[("Authorization", "secret")])
    assert "secret" not in repr(settings)


@pytest.mark.parametrize(
    ("headers", "what"),
    [
        ("A: secret", "str$"),
        (5, "int$"),
        (["A: secret"], "list with a str in it$"),
        (["ab"], "list with a str in it$"),
        (("A", "secret"), "tuple with a str in it$"),
        ([("A", "secret", "secret")], "list with 3 items instead of a pair$"),
        ([{"A": "secret"}], "list with 1 items instead of a pair$"),
        ([None], "list with a NoneType in it$"),
    ],
)
def test_H9_headers_of_another_shape(headers: Any, what: str) -> None:
    shape = r'like \[\("Name", "value"\)\] or \{"Name": "value"\}, not '
    with pytest.raises(TypeError, match=shape + what) as caught:
        call(open_websocket_url, extra_headers=headers)
    assert "secret" not in str(caught.value)
    assert str(caught.value).startswith("open_websocket_url(): extra_headers must be")


def test_H9_a_mapping_is_checked_as_pairs_are() -> None:
    for headers in ({"A b": "c"}, {"A": "c\n"}, {"Upgrade": "x"}):
        with pytest.raises(ValueError, match="header"):
            call(open_websocket_url, extra_headers=headers)
    with pytest.raises(TypeError, match="value of header 'A' must be bytes or str"):
        call(open_websocket_url, extra_headers={"A": ["b"]})
