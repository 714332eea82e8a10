"""What a client knows about its server, and about the end of the connection."""

import sys

import anyio

from anyio_websocket import ConnectionClosed, open_websocket_url


async def main(url: str) -> None:
    async with open_websocket_url(url) as ws:
        version = dict(ws.handshake_headers)[b"x-version"].decode()
        print(f"the server answered {ws.handshake_status}, version {version}")
        try:
            while True:
                print("received:", await ws.get_message())
        except ConnectionClosed as exc:
            print("a normal end:" if exc.clean else "not a normal end:", exc.received)
        try:
            await ws.send_message("thanks")
        except ConnectionClosed as exc:
            # Otherwise the server may have it already.
            print("safe to send again" if exc.nothing_sent else "ask the server")


if __name__ == "__main__":
    anyio.run(main, sys.argv[1], backend=(sys.argv[2:] or ["asyncio"])[0])
