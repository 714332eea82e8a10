"""A client that connects through a proxy, and says what is wrong if it cannot."""

import sys

import anyio

from anyio_websocket import HandshakeError, ProxyError, open_websocket_url


async def main(url: str, proxy: str) -> None:
    try:
        async with open_websocket_url(url, proxy=proxy) as connection:
            await connection.send_message("hello")
            print(await connection.get_message())
    except ProxyError as exc:  # the proxy: not there, or it refuses
        if exc.status_code == 407:
            print("the proxy wants a user name and a password")
        else:
            print(exc)
    except HandshakeError as exc:  # the server, as without a proxy
        print(exc)


if __name__ == "__main__":
    url, proxy, backend = sys.argv[1:]
    anyio.run(main, url, proxy, backend=backend)
