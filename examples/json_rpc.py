"""JSON-RPC 2.0: a server with two methods, and a client that calls them."""

import sys
from collections.abc import Callable
from typing import Any

import anyio

from anyio_websocket import (
    WebSocketConnection,
    WebSocketRequest,
    open_websocket_url,
    serve_websocket,
)

METHODS: dict[str, Callable[..., Any]] = {
    "add": lambda a, b: a + b,
    "upper": lambda text: text.upper(),
}


async def handler(request: WebSocketRequest) -> None:
    ws = await request.accept()
    while True:
        try:
            call = await ws.get_json()
        except ValueError:  # it was no JSON; the connection goes on
            error = {"code": -32700, "message": "Parse error"}
            await ws.send_json({"jsonrpc": "2.0", "id": None, "error": error})
            continue
        reply = {"jsonrpc": "2.0", "id": call["id"]}
        if method := METHODS.get(call["method"]):
            reply["result"] = method(*call["params"])
        else:
            reply["error"] = {"code": -32601, "message": "Method not found"}
        await ws.send_json(reply)


async def call(ws: WebSocketConnection, method: str, *params: Any) -> Any:
    await ws.send_json({"jsonrpc": "2.0", "id": 1, "method": method, "params": params})
    reply = await ws.get_json()
    return reply.get("result", reply.get("error"))


async def main() -> None:
    async with anyio.create_task_group() as tasks:
        server = await tasks.start(serve_websocket, handler, "127.0.0.1", 0, None)
        async with open_websocket_url(f"ws://127.0.0.1:{server.port}/") as ws:
            print(await call(ws, "add", 1, 2))
            print(await call(ws, "upper", "wörld"))
            print(await call(ws, "lower", "wörld"))
            await ws.send_message("no JSON")
            print((await ws.get_json())["error"]["message"])
        tasks.cancel_scope.cancel()


if __name__ == "__main__":
    anyio.run(main, backend=(sys.argv[1:] or ["asyncio"])[0])
