"""An encrypted server and a client that trusts its certificate."""

import ssl
import sys

import anyio
from anyio.streams.tls import TLSAttribute

from anyio_websocket import WebSocketRequest, open_websocket_url, serve_websocket


async def echo(request: WebSocketRequest) -> None:
    version = request.extra(TLSAttribute.tls_version)
    ws = await request.accept()
    async for message in ws:
        await ws.send_message(f"{version}: {message!r}")


async def main() -> None:
    server_context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    server_context.load_cert_chain("certificate.pem", "key.pem")
    client_context = ssl.create_default_context(cafile="certificate.pem")

    async with anyio.create_task_group() as tasks:
        server = await tasks.start(
            serve_websocket, echo, "127.0.0.1", 0, server_context
        )
        url = f"wss://127.0.0.1:{server.port}/"
        async with open_websocket_url(url, client_context) as ws:
            await ws.send_message("hello")
            print(await ws.get_message())
        await server.aclose()


if __name__ == "__main__":
    anyio.run(main, backend=(sys.argv[1:] or ["asyncio"])[0])
