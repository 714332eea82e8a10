"""Connect through a command, as with the ProxyCommand of ssh."""

import sys

import anyio
from anyio.abc import ByteStream, ByteStreamConnectable
from anyio.streams.stapled import StapledByteStream

from anyio_websocket import open_websocket_url


class Command(ByteStreamConnectable):
    """Makes a stream of a command, such as "ssh -W server:80 gateway"."""

    def __init__(self, *command: str) -> None:
        self.command = command

    async def connect(self) -> ByteStream:
        # It ends when its input does, which is when the connection is closed.
        process = await anyio.open_process(self.command, stderr=None)
        assert process.stdin is not None
        assert process.stdout is not None
        return StapledByteStream(process.stdin, process.stdout)


async def main(url: str, *command: str) -> None:
    async with open_websocket_url(url, via=Command(*command)) as ws:
        await ws.send_message("hello")
        print(await ws.get_message())


if __name__ == "__main__":
    anyio.run(main, sys.argv[1], *sys.argv[3:], backend=sys.argv[2])
