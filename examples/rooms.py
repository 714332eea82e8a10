"""Rooms by their numbers, and one path that asks for a password."""

import sys
from collections import Counter

import anyio

from anyio_websocket import Router, WebSocketRequest, basic_auth, serve_websocket

PASSWORDS = {"ann": "secret"}  # from where you keep them
PROTOCOLS = ["chat.v2", "chat.v1"]  # the preferred one first

router = Router()
guests: Counter[int] = Counter()


@router.route("/rooms/<int:number>")
async def room(request: WebSocketRequest, number: int) -> None:
    subprotocol = request.select_subprotocol(PROTOCOLS)
    async with await request.accept(subprotocol=subprotocol) as connection:
        guests[number] += 1
        try:
            async for message in connection:
                await connection.send_message(f"room {number}: {message!r}")
        finally:
            guests[number] -= 1


async def status(request: WebSocketRequest) -> None:
    async with await request.accept() as connection:
        await connection.send_message(f"{request.username}, guests: {+guests}")


router.add("/status", basic_auth(status, PASSWORDS, realm="status"))


async def main() -> None:
    async with anyio.create_task_group() as tasks:
        server = await tasks.start(serve_websocket, router, "127.0.0.1", 0, None)
        print("port", server.port, flush=True)


if __name__ == "__main__":
    anyio.run(main, backend=(sys.argv[1:] or ["asyncio"])[0])
