"""Pass on the texts of one server to another one, without ever decoding them."""

import sys

import anyio

from anyio_websocket import open_websocket_url


async def main(source: str, destination: str) -> None:
    async with (
        open_websocket_url(source, decode_text=False) as source_ws,
        open_websocket_url(destination) as destination_ws,
    ):
        async for text in source_ws:  # bytes
            await destination_ws.send_message(text, text=True)


if __name__ == "__main__":
    anyio.run(main, sys.argv[1], sys.argv[3], backend=sys.argv[2])
