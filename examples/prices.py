"""Prices for whoever subscribes, with a set of connections for each symbol.

A client connects to /acme. One that reads too slowly is disconnected, and gets the
present price when it connects again.
"""

import json
import random
import sys

import anyio

from anyio_websocket import (
    WebSocketConnection,
    WebSocketRequest,
    broadcast,
    serve_websocket,
)

prices = {"acme": 100, "initech": 200}
subscribers: dict[str, set[WebSocketConnection]] = {name: set() for name in prices}


async def subscribe(request: WebSocketRequest) -> None:
    symbol = request.path.strip("/")
    if symbol not in prices:
        await request.reject(404)
        return
    async with await request.accept() as connection:
        subscribers[symbol].add(connection)
        try:
            await connection.send_json({symbol: prices[symbol]})
            async for _ in connection:
                pass  # whatever a client says
        finally:
            subscribers[symbol].remove(connection)


async def publish() -> None:
    while True:
        await anyio.sleep(0.01)
        for symbol, connections in subscribers.items():
            prices[symbol] += random.choice((-1, 1))
            message = json.dumps({symbol: prices[symbol]})
            report = broadcast(connections, message, slow="disconnect", limit=65_536)
            for connection in report.slow:
                print("too slow:", connection.remote, flush=True)


async def main() -> None:
    async with anyio.create_task_group() as tasks:
        server = await tasks.start(serve_websocket, subscribe, "127.0.0.1", 0, None)
        tasks.start_soon(publish)
        print("port", server.port, flush=True)


if __name__ == "__main__":
    anyio.run(main, backend=(sys.argv[1:] or ["asyncio"])[0])
