"""Tutorial, step 1: a server that answers each message."""

import anyio

from anyio_websocket import WebSocketRequest, serve_websocket


async def handler(request: WebSocketRequest) -> None:
    ws = await request.accept()
    async for message in ws:
        await ws.send_message(f"You said {message!r}.")


anyio.run(serve_websocket, handler, "127.0.0.1", 8765, None)
