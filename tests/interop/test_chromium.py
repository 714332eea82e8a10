"""A browser as the client: a page, served here, opens WebSockets to our server."""

from __future__ import annotations

import http.server
import json
import shutil
import threading
from collections.abc import Generator
from http import HTTPStatus
from typing import Any, NamedTuple

import pytest

from .javascript import NODE, messages, visited
from .ours import Way, receive_their_client
from .peer import PATIENCE, Tls, Visit

FLAGS = [
    "--headless",
    "--no-sandbox",
    "--no-first-run",
    "--no-proxy-server",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-dev-shm-usage",  # which is small in a container
    "--disable-gpu",
    "--disable-quic",
    "--disable-sync",
    "--ignore-certificate-errors",  # the tests' authority is not one of the browser's
]

# The visit is the one that Node.js makes as well. Messages come as text: the driver
# looks at every element of what is no text.
SCRIPT = """
    const [url, messages, done] = arguments;
    import("/visit.mjs")
        .then(({ opened, visit }) =>
            visit(() => opened(new WebSocket(url)), JSON.parse(messages)))
        .then(JSON.stringify)
        .then(done, (error) => done(`failed: ${error.message ?? error.type}`));
"""


class Page(NamedTuple):
    driver: Any
    origin: str

    def visit(self, url: str, tls: Tls | None) -> Visit:
        result = self.driver.execute_async_script(SCRIPT, url, json.dumps(messages()))
        assert not result.startswith("failed"), result
        return visited(json.loads(result))


@pytest.fixture(scope="module")
def origin() -> Generator[str]:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Files) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()


class _Files(http.server.BaseHTTPRequestHandler):
    """An empty page for whatever it is asked, and the script that the page needs."""

    def do_GET(self) -> None:
        is_script = self.path == "/visit.mjs"
        body = (NODE / "visit.mjs").read_bytes() if is_script else b"<!doctype html>"
        self.send_response(HTTPStatus.OK)
        self.send_header(
            "Content-Type", f"text/{'javascript' if is_script else 'html'}"
        )
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture(scope="module")
def page(origin: str, tmp_path_factory: pytest.TempPathFactory) -> Generator[Page]:
    webdriver = pytest.importorskip("selenium.webdriver")
    chromium = _installed("chromium")
    # Named, so that Selenium does not go and get one.
    service = webdriver.ChromeService(executable_path=_installed("chromedriver"))
    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    for flag in [*FLAGS, f"--user-data-dir={tmp_path_factory.mktemp('chromium')}"]:
        options.add_argument(flag)
    driver = webdriver.Chrome(options, service)
    try:
        driver.set_script_timeout(PATIENCE)
        driver.get(origin)
        yield Page(driver, origin)
    finally:
        driver.quit()


def _installed(program: str) -> str:
    path = shutil.which(program)
    if path is None:
        pytest.skip(f"{program} is not installed")
    return path


async def test_our_server_and_a_browser(page: Page, way: Way) -> None:
    await receive_their_client(page.visit, way, compresses=True, origin=page.origin)
