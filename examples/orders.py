"""Send orders over whatever connection there is, until the exchange has them all."""

import sys
from contextlib import suppress
from functools import partial
from typing import Any

import anyio

from anyio_websocket import (
    ConnectionClosed,
    ReconnectingConnection,
    WebSocketConnection,
    open_reconnecting,
    reconnect_delays,
)


class Desk:
    """Keeps each order until the exchange, which knows its number, has confirmed it."""

    def __init__(self) -> None:
        self.pending: dict[int, dict[str, Any]] = {}

    async def log_in(self, connection: WebSocketConnection) -> None:
        await connection.send_json({"login": "me"})
        # What was sent on the last connection may be lost.
        for order in list(self.pending.values()):
            await connection.send_json(order)

    async def order(self, exchange: ReconnectingConnection, number: int) -> None:
        order = self.pending[number] = {"order": number}
        with suppress(ConnectionClosed):  # log_in() sends it again
            await exchange.send_json(order)


async def main(url: str) -> None:
    desk = Desk()
    async with open_reconnecting(
        url,
        on_connect=desk.log_in,
        delays=partial(reconnect_delays, first=0.1),  # it is the only client
    ) as exchange:
        for number in (1, 2, 3):
            await desk.order(exchange, number)
        while desk.pending:
            number = (await exchange.get_json())["confirmed"]
            if desk.pending.pop(number, None):
                print("confirmed:", number)


if __name__ == "__main__":
    anyio.run(main, sys.argv[1], backend=(sys.argv[2:] or ["asyncio"])[0])
