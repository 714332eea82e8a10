"""Tutorial, steps 3 and 4: a poll that everybody sees live."""

import json
from collections import Counter
from functools import partial
from pathlib import Path

import anyio

from anyio_websocket import (
    HTTPRequest,
    HTTPResponse,
    WebSocketConnection,
    WebSocketRequest,
    broadcast,
    serve_websocket,
)

CHOICES = ["tea", "coffee", "water"]
PAGE = Path(__file__).with_name("poll.html").read_bytes()

votes = Counter(dict.fromkeys(CHOICES, 0))
watchers: set[WebSocketConnection] = set()


async def page(request: HTTPRequest) -> HTTPResponse:
    if request.path != "/":
        return HTTPResponse(404)
    return HTTPResponse(200, PAGE, {"Content-Type": "text/html"})


async def poll(request: WebSocketRequest) -> None:
    ws = await request.accept()
    watchers.add(ws)
    try:
        await ws.send_json(votes)
        async for choice in ws:
            if choice not in CHOICES:
                await ws.aclose(4000, f"choose one of {', '.join(CHOICES)}")
                return
            votes[str(choice)] += 1
            broadcast(watchers, json.dumps(votes))
    finally:
        watchers.remove(ws)


async def main() -> None:
    serve = partial(serve_websocket, http_handler=page, max_message_size=100)
    await serve(poll, "127.0.0.1", 8765, None)


if __name__ == "__main__":
    try:
        anyio.run(main)
    except* KeyboardInterrupt:
        print("stopped")
