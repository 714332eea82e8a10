"""A client that logs in: as a user, with a token, and with a cookie."""

import os
import sys

import anyio

from anyio_websocket import ClientOptions, ConnectionRejected, open_websocket_url


async def main(url: str) -> None:
    as_user: ClientOptions = {
        "auth": ("me", os.environ["PASSWORD"]),
        "user_agent": "demo/1",
    }
    with_token: ClientOptions = {
        "extra_headers": {"Authorization": f"Bearer {os.environ['TOKEN']}"}
    }
    with_cookie: ClientOptions = {"cookies": {"session": os.environ["SESSION"]}}
    for login in (as_user, with_token, with_cookie):
        try:
            async with open_websocket_url(url, **login) as ws:
                print(await ws.get_message())
        except ConnectionRejected as exc:
            if exc.status_code != 401:
                raise
            print(exc)


if __name__ == "__main__":
    anyio.run(main, sys.argv[1], backend=(sys.argv[2:] or ["asyncio"])[0])
