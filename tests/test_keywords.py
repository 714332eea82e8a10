"""Keyword arguments of public functions: their signatures, and errors at the call."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import pytest

from anyio_websocket import (
    ClientOptions,
    WebSocketServer,
    connect_websocket_url,
    open_websocket,
    open_websocket_url,
    wrap_client_stream,
    wrap_server_stream,
)
from anyio_websocket._settings import ClientStreamSettings, ConnectionSettings

from .support.options import FUNCTIONS, call, fields_of


@pytest.mark.parametrize(("function", "options", "settings"), FUNCTIONS)
def test_signatures_show_every_option(
    function: Callable[..., Any], options: Any, settings: type[ConnectionSettings]
) -> None:
    parameters = inspect.signature(function).parameters
    assert not any(p.kind is p.VAR_KEYWORD for p in parameters.values())
    defaults = fields_of(settings)
    for name, hint in options.__annotations__.items():
        parameter = parameters[name]
        assert parameter.kind is parameter.KEYWORD_ONLY
        assert parameter.default == defaults[name]
        assert parameter.annotation == getattr(hint, "__forward_arg__", hint)
    for name in parameters.keys() & defaults.keys():
        assert parameters[name].default == defaults[name]


@pytest.mark.parametrize("function", [function for function, *_ in FUNCTIONS])
def test_errors_name_the_function_and_the_option(function: Callable[..., Any]) -> None:
    name = function.__name__
    with pytest.raises(TypeError) as unknown:
        call(function, conect_timeout=5)  # disconnect_timeout is near, too
    assert str(unknown.value) == (
        f"{name}() got an unexpected keyword argument 'conect_timeout'. "
        "Did you mean 'connect_timeout'?"
    )
    with pytest.raises(TypeError, match=rf"^{name}\(\) got .* 'xyzzy'$"):
        call(function, xyzzy=5)
    with pytest.raises(ValueError) as value:  # noqa: PT011 - compared below
        call(function, ping_timeout=-5)
    assert str(value.value) == (
        f"{name}(): ping_timeout must be more than zero or None, not -5"
    )
    with pytest.raises(TypeError) as kind:
        call(function, connect_timeout="5")
    assert str(kind.value) == (
        f"{name}(): connect_timeout must be a number or None, not '5'"
    )
    with pytest.raises(ValueError, match=rf"^{name}\(\): max_message_size .* not 0$"):
        call(function, max_message_size=0)


def test_options_of_the_other_side_do_not_exist() -> None:
    with pytest.raises(TypeError, match="unexpected keyword argument 'origins'"):
        call(open_websocket_url, origins="*")
    with pytest.raises(TypeError, match="unexpected keyword argument 'subprotocols'"):
        call(WebSocketServer, subprotocols=[])
    with pytest.raises(TypeError, match="argument 'max_connections'"):
        call(wrap_server_stream, max_connections=5)
    # A stream is connected already.
    for option in (
        *(ClientOptions.__annotations__.keys() - fields_of(ClientStreamSettings)),
        *("ssl_context", "use_ssl"),
    ):
        with pytest.raises(
            TypeError,
            match=rf"^wrap_client_stream\(\) got .* '{option}'\. The stream or the H",
        ):
            call(wrap_client_stream, **{option: None})


def test_names_that_other_libraries_have() -> None:
    for function, name, ours in (
        (open_websocket_url, "ssl", "ssl_context"),
        (connect_websocket_url, "ssl", "ssl_context"),
        (open_websocket, "ssl", "use_ssl"),
        (open_websocket_url, "additional_headers", "extra_headers"),
        (open_websocket_url, "timeout", "connect_timeout"),
        (open_websocket_url, "max_size", "max_message_size"),
    ):
        with pytest.raises(TypeError, match=rf"'{name}'\. Did you mean '{ours}'\?$"):
            call(function, **{name: None})
