"""Web pages for browsers: empty ones, and the script that a page may import.

In: a TLS context or none. Out: the port at which every path is a page.
"""

from __future__ import annotations

import http.server
import ssl
import threading
from collections.abc import Generator
from contextlib import contextmanager
from http import HTTPStatus

from .javascript import NODE


@contextmanager
def serving_pages(tls: ssl.SSLContext | None = None) -> Generator[int]:
    """Serve pages while the block lasts; give the port."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Pages) as server:
        if tls is not None:
            # The handshake must not keep the thread that accepts.
            server.socket = tls.wrap_socket(
                server.socket, server_side=True, do_handshake_on_connect=False
            )
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        yield server.server_address[1]
        server.shutdown()
        thread.join()


class _Pages(http.server.BaseHTTPRequestHandler):
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
