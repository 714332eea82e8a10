"""Events of a server, and what the library logs itself, as JSON lines of structlog."""

import logging
import sys
from functools import partial

import anyio
import structlog
from structlog.typing import Processor

from anyio_websocket import WebSocketEvent, WebSocketRequest, serve_websocket

SHARED: list[Processor] = [
    structlog.processors.TimeStamper(fmt="iso"),
    structlog.stdlib.add_log_level,
]


def configure() -> None:
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            structlog.processors.JSONRenderer(), foreign_pre_chain=SHARED
        )
    )
    logging.basicConfig(handlers=[handler], level=logging.INFO)
    logging.getLogger("anyio_websocket.access").disabled = True  # events say the same
    wrap = structlog.stdlib.ProcessorFormatter.wrap_for_formatter
    structlog.configure(
        [*SHARED, wrap], logger_factory=structlog.stdlib.LoggerFactory()
    )


def on_event(event: WebSocketEvent) -> None:
    log = structlog.get_logger("websocket").bind(status=event.status_code)
    if event.remote is not None:
        log = log.bind(peer=str(event.remote))
    if event.connection is not None:
        log = log.bind(connection=str(event.connection))
        if event.closed is not None:
            log = log.bind(code=event.closed.code, seconds=event.duration)
    log.info(event.kind, error=event.error and str(event.error))


async def handler(request: WebSocketRequest) -> None:
    if request.path == "/":  # otherwise the library rejects it, and logs why
        await (await request.accept()).get_message()


async def main() -> None:
    async with anyio.create_task_group() as tasks:
        serve = partial(serve_websocket, handler, on_event=on_event)
        server = await tasks.start(serve, "127.0.0.1", 0, None)
        print(server.port, flush=True)


if __name__ == "__main__":
    configure()
    anyio.run(main, backend=(sys.argv[1:] or ["asyncio"])[0])
