"""A market-data client that comes back, and neither loses nor doubles a trade."""

from __future__ import annotations

import json
import sys
from collections.abc import Awaitable, Callable
from typing import Any

import anyio

from anyio_websocket import Attempt, WebSocketConnection, reconnecting


class Market:
    """The trades of one symbol, in order, over as many connections as it takes."""

    def __init__(
        self, url: str, token: Callable[[], Awaitable[str]], symbol: str, **options: Any
    ) -> None:
        self.url, self.token, self.symbol, self.options = url, token, symbol, options
        self.trades: list[dict[str, Any]] = []

    async def follow(self) -> None:
        """Collect trades until the server is done, or says no (401)."""
        await reconnecting(self.connect, self.session)

    async def connect(self, attempt: Attempt) -> tuple[str, dict[str, Any]]:
        if attempt.error is not None:
            print(f"attempt {attempt.number}, after {attempt.error}")
        # Tokens expire, so each attempt gets a fresh one.
        headers = {"Authorization": f"Bearer {await self.token()}"}
        return self.url, {"extra_headers": headers, **self.options}

    async def session(self, connection: WebSocketConnection) -> None:
        # The server goes on after the last trade that is here.
        ask = {"symbol": self.symbol, "after": len(self.trades)}
        await connection.send_message(json.dumps(ask))
        async for message in connection:
            trade = json.loads(message)
            if trade["number"] != len(self.trades) + 1:
                raise ValueError("the server skips or repeats trades")
            self.trades.append(trade)


async def main(url: str) -> None:
    async def token() -> str:
        return "secret"  # ask the login service here

    market = Market(url, token, "ANYIO")
    await market.follow()
    print(f"{len(market.trades)} trades, the last at {market.trades[-1]['price']}")


if __name__ == "__main__":
    anyio.run(main, sys.argv[1], backend=(sys.argv[2:] or ["asyncio"])[0])
