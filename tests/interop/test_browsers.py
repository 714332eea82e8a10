"""Browsers as clients: a page, served here, opens WebSockets to our server."""

from __future__ import annotations

import json

from .browsers import Browser
from .javascript import messages, visited
from .ours import Way, receive_their_client
from .peer import Tls, Visit

# The visit is the one that Node.js makes as well.
SCRIPT = """
    const [url, messages, done] = arguments;
    import("/visit.mjs")
        .then(({ opened, visit }) =>
            visit(() => opened(new WebSocket(url)), JSON.parse(messages)))
        .then(JSON.stringify)
        .then(done, (error) => done(`failed: ${error.message ?? error.type}`));
"""


async def test_our_server_and_a_browser(
    browser: Browser, page_port: int, way: Way
) -> None:
    origin = f"http://127.0.0.1:{page_port}"

    def visit(url: str, tls: Tls | None) -> Visit:
        browser.open(origin)
        result = browser.run(SCRIPT, url, json.dumps(messages()))
        assert not result.startswith("failed"), result
        return visited(json.loads(result))

    await receive_their_client(visit, way, compresses=True, origin=origin)
