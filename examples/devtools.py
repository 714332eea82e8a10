"""Look at web pages with Chromium, driven by its DevTools Protocol.

Run ``chromium --headless --remote-debugging-port=0``. It prints its address, for
``python devtools.py LOOP ADDRESS FOLDER URL ...``. All pages are open at once, over one
connection. Of each you see the title and what its scripts write to the console, and
find a picture in the folder.
"""

import sys
from base64 import b64decode
from collections.abc import Generator
from contextlib import contextmanager
from functools import partial
from itertools import count
from typing import Any

import anyio

from anyio_websocket import WebSocketConnection, open_websocket_url


class Browser:
    """Sends commands, and sorts what arrives: by the command's number or the page."""

    def __init__(self, connection: WebSocketConnection) -> None:
        self._connection = connection
        self._numbers = count(1)
        self._receivers: dict[int | str, Any] = {}

    async def read(self) -> None:
        while True:  # until the connection ends: that raises, and cancels all calls
            message = await self._connection.get_json()
            key = message["id"] if "id" in message else message.get("sessionId")
            if key in self._receivers:  # else whoever called was cancelled
                self._receivers[key].send_nowait(message)

    @contextmanager
    def receiving(self, key: int | str, limit: int) -> Generator[Any]:
        self._receivers[key], messages = anyio.create_memory_object_stream[Any](limit)
        with self._receivers[key], messages:
            try:
                yield messages
            finally:
                del self._receivers[key]

    async def call(self, method: str, page: str | None = None, **params: Any) -> Any:
        number = next(self._numbers)
        command: dict[str, Any] = {"id": number, "method": method, "params": params}
        if page is not None:
            command["sessionId"] = page
        with self.receiving(number, 1) as answers:
            await self._connection.send_json(command)
            answer = await answers.receive()
        if "error" in answer:
            raise RuntimeError(f"{method}: {answer['error']['message']}")
        return answer["result"]


async def visit(browser: Browser, url: str, picture: str) -> None:
    target = await browser.call("Target.createTarget", url="about:blank")
    session = await browser.call("Target.attachToTarget", **target, flatten=True)
    page = session["sessionId"]
    call = partial(browser.call, page=page)
    with browser.receiving(page, 1000) as events:
        await call("Page.enable")
        await call("Runtime.enable")
        opened = await call("Page.navigate", url=url)
        if "errorText" in opened:
            raise RuntimeError(f"{url}: {opened['errorText']}")
        async for event in events:
            if event["method"] == "Page.loadEventFired":
                break
            if event["method"] == "Runtime.consoleAPICalled":
                texts = [arg.get("value") for arg in event["params"]["args"]]
                print(f"{url} says", *texts)
        title = await call("Runtime.evaluate", expression="document.title")
        image = await call("Page.captureScreenshot")
    await anyio.Path(picture).write_bytes(b64decode(image["data"]))
    print(f"{url} is {title['result']['value']!r}, see {picture}")


async def main(address: str, folder: str, *urls: str) -> None:
    # A picture is a large message.
    async with open_websocket_url(address, max_message_size=2**26) as connection:
        browser = Browser(connection)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(browser.read)
            async with anyio.create_task_group() as visits:
                for number, url in enumerate(urls, 1):
                    visits.start_soon(visit, browser, url, f"{folder}/{number}.png")
            tasks.cancel_scope.cancel()


if __name__ == "__main__":
    anyio.run(partial(main, *sys.argv[2:]), backend=sys.argv[1])
