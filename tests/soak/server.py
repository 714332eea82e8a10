"""The server that is soaked: echoes, and says on ``/stats`` how many tasks it has.

``python -m tests.soak.server LOOP PORT``; it prints its port, and SIGTERM stops it.
"""

from __future__ import annotations

import logging
import signal
import sys

import anyio
from anyio.lowlevel import current_token

from anyio_websocket import ConnectionClosed, WebSocketRequest, serve_websocket


def tasks_now() -> int:
    """Count the tasks of the event loop."""
    trio = sys.modules.get("trio")
    if trio is not None and trio.lowlevel.in_trio_run():
        return int(trio.lowlevel.current_statistics().tasks_living)
    asyncio = sys.modules["asyncio"]
    return len(asyncio.all_tasks(current_token().native_token))


async def handler(request: WebSocketRequest) -> None:
    ws = await request.accept()
    if request.path == "/stats":
        await ws.send_message(str(tasks_now()))
        return
    try:
        async for message in ws:
            await ws.send_message(message)
    except ConnectionClosed:
        pass  # the rude half


async def main(port: int) -> None:
    async with anyio.create_task_group() as tasks:
        server = await tasks.start(
            *(serve_websocket, handler, "127.0.0.1", port, None),
        )
        print(server.port, flush=True)
        with anyio.open_signal_receiver(signal.SIGTERM) as signals:
            async for _ in signals:
                tasks.cancel_scope.cancel()
                return


if __name__ == "__main__":
    logging.basicConfig(level=logging.WARNING)
    loop = sys.argv[1]
    anyio.run(
        main,
        int(sys.argv[2]),
        backend="trio" if loop == "trio" else "asyncio",
        backend_options={"use_uvloop": True} if loop == "uvloop" else {},
    )
