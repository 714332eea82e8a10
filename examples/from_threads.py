"""Use a connection from a program that is not asynchronous."""

import sys

from anyio.from_thread import start_blocking_portal

from anyio_websocket import open_websocket_url


def main(url: str, backend: str) -> None:
    with (
        start_blocking_portal(backend) as portal,
        portal.wrap_async_context_manager(open_websocket_url(url)) as ws,
    ):
        portal.call(ws.send_message, "hello")
        print(portal.call(ws.get_message))


if __name__ == "__main__":
    main(sys.argv[1], (sys.argv[2:] or ["asyncio"])[0])
