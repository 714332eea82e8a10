"""An HTTP server on h11 that answers plain requests, and takes WebSockets."""

import sys

import anyio
import h11
from anyio.abc import SocketAttribute, SocketStream, TaskGroup

from anyio_websocket import HandshakeError, accept_upgrade


async def serve_client(stream: SocketStream) -> None:
    async with stream, anyio.create_task_group() as tasks:
        http = h11.Connection(h11.SERVER)
        try:
            while (event := http.next_event()) is h11.NEED_DATA:
                http.receive_data(await stream.receive())
        except (anyio.EndOfStream, anyio.BrokenResourceError, h11.RemoteProtocolError):
            return
        assert isinstance(event, h11.Request)
        wanted = [value.lower() for name, value in event.headers if name == b"upgrade"]
        if any(b"websocket" in value for value in wanted):
            await echo(tasks, stream, event, http.trailing_data[0])
        else:
            body = b"This is a page.\n"
            size = [("Content-Length", str(len(body))), ("Connection", "close")]
            head = http.send(h11.Response(status_code=200, headers=size))
            assert head is not None
            await stream.send(head + body)


async def echo(
    tasks: TaskGroup, stream: SocketStream, event: h11.Request, trailing: bytes
) -> None:
    try:
        request = await accept_upgrade(
            tasks,
            stream,
            method=event.method,
            target=event.target,
            headers=event.headers,
            http_version=event.http_version,
            trailing=trailing,
        )
    except HandshakeError:
        return  # the client was told what is wrong with its request
    async with await request.accept() as connection:
        async for message in connection:
            await connection.send_message(message)


async def main() -> None:
    listener = await anyio.create_tcp_listener(local_host="127.0.0.1")
    print("port", listener.extra(SocketAttribute.local_port), flush=True)
    await listener.serve(serve_client)


if __name__ == "__main__":
    anyio.run(main, backend=(sys.argv[1:] or ["asyncio"])[0])
