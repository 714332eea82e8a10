"""JSON messages: the standard library's, other parsers', and what is no JSON."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest

from anyio_websocket import ConnectionClosed

from ..support.peer import linked

pytestmark = pytest.mark.virtual_time

OBJECT: Any = {"name": "wörld", "numbers": [1, 2.5, None, True]}


def dumps_bytes(obj: Any) -> bytes:  # as orjson and msgspec do
    return json.dumps(obj, ensure_ascii=False).encode()


def loads_bytes(message: str | bytes) -> Any:
    assert isinstance(message, bytes)
    return json.loads(message)


async def test_objects_are_sent_as_texts_and_received_from_both_kinds() -> None:
    async with linked(server={"decode_text": False}) as (client, server):
        await client.send_json(OBJECT)
        assert await server.get_message() == json.dumps(OBJECT).encode()
        await client.send_json(OBJECT, dumps=dumps_bytes)
        assert await server.get_json(loads=loads_bytes) == OBJECT
        await server.send_json(OBJECT, dumps=dumps_bytes)
        assert await client.get_message() == dumps_bytes(OBJECT).decode()
        await server.send_message(dumps_bytes(OBJECT))
        assert await client.get_json() == OBJECT


async def test_what_is_no_json_comes_out_and_the_connection_goes_on() -> None:
    async with linked() as (client, server):
        await client.send_message("{")
        with pytest.raises(json.JSONDecodeError):
            await server.get_json()
        with pytest.raises(TypeError, match="not JSON serializable"):
            await client.send_json(object())
        with pytest.raises(ValueError, match="not JSON compliant"):
            await client.send_json([float("nan")])
        wrongs: list[Any] = [1, ["{", "}"], {}]
        for wrong in wrongs:
            with pytest.raises(ValueError, match="dumps must return str or bytes"):
                await client.send_json(wrong, dumps=lambda obj: obj)
        with pytest.raises(UnicodeDecodeError):
            await client.send_json(1, dumps=lambda obj: b"\xff")
        await client.send_json(1)
        assert await server.get_json() == 1
        await client.aclose()
        with pytest.raises(ConnectionClosed):
            await server.get_json()


def test_json_is_imported_when_it_is_used() -> None:
    program = "import anyio_websocket, sys; assert 'json' not in sys.modules"
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)
