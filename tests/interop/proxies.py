"""Reverse proxies between a browser and our server: nginx, Apache, HAProxy, Caddy.

In: the port of a server, and of pages. Out: the port of a site that has both. The part
that forwards WebSockets is the snippet of our how-to page, or another one. A proxy that
is not installed is skipped by its name.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, NamedTuple

from ..support.ports import own_port
from .browsers import installed
from .peer import PATIENCE

SNIPPETS: Final = Path(__file__).parents[2] / "docs" / "howto" / "proxies"
_UPSTREAM: Final = "127.0.0.1:8000"  # in the snippets


class _Site(NamedTuple):
    """What a configuration is made of."""

    folder: Path
    port: int
    page_port: int
    snippet: Path
    certificate: Path | None  # with its key; ``None`` for a site without TLS


def _nginx(site: _Site) -> list[str]:
    tls = "" if site.certificate is None else "ssl"
    (site.folder / "nginx.conf").write_text(f"""
        daemon off;
        pid {site.folder}/nginx.pid;
        events {{}}
        http {{
            access_log off;
            client_body_temp_path {site.folder}/client;
            proxy_temp_path {site.folder}/proxy;
            fastcgi_temp_path {site.folder}/fastcgi;
            uwsgi_temp_path {site.folder}/uwsgi;
            scgi_temp_path {site.folder}/scgi;
            server {{
                listen 127.0.0.1:{site.port} {tls};
                {f"ssl_certificate {site.certificate};" if tls else ""}
                {f"ssl_certificate_key {site.certificate};" if tls else ""}
                location / {{ proxy_pass http://127.0.0.1:{site.page_port}; }}
                include {site.snippet};
            }}
        }}
    """)
    log = str(site.folder / "error.log")
    return ["nginx", "-p", str(site.folder), "-c", "nginx.conf", "-e", log]


def _apache(site: _Site) -> list[str]:
    modules = ["mpm_event", "authz_core", "proxy", "proxy_http"]
    tls = ""
    if site.certificate is not None:
        modules += ["socache_shmcb", "ssl"]
        tls = f"""
            SSLEngine on
            SSLCertificateFile {site.certificate}
        """
    loaded = [
        f"LoadModule {name}_module /usr/lib/apache2/modules/mod_{name}.so\n"
        for name in modules
    ]
    (site.folder / "apache.conf").write_text(
        "".join(loaded)
        + f"""
        ServerRoot {site.folder}
        ServerName localhost
        DefaultRuntimeDir {site.folder}
        PidFile {site.folder}/apache.pid
        ErrorLog {site.folder}/error.log
        Listen 127.0.0.1:{site.port}
        <VirtualHost 127.0.0.1:{site.port}>
            {tls}
            Include {site.snippet}
            ProxyPass "/" "http://127.0.0.1:{site.page_port}/"
        </VirtualHost>
        """
    )
    return ["apache2", "-f", str(site.folder / "apache.conf"), "-DFOREGROUND"]


def _haproxy(site: _Site) -> list[str]:
    tls = "" if site.certificate is None else f"ssl crt {site.certificate}"
    main = site.folder / "haproxy.cfg"
    main.write_text(f"""
defaults
    mode http
    timeout connect 5s
    timeout client 50s
    timeout server 50s

frontend site
    bind 127.0.0.1:{site.port} {tls}
    use_backend websockets if {{ path_beg /ws }}
    default_backend pages

backend pages
    server pages 127.0.0.1:{site.page_port}
""")
    return ["haproxy", "-db", "-f", str(main), "-f", str(site.snippet)]


def _caddy(site: _Site) -> list[str]:
    scheme, tls = "http", ""
    if site.certificate is not None:
        scheme, tls = "https", f"tls {site.certificate} {site.certificate}"
    (site.folder / "Caddyfile").write_text(f"""
        {{
            admin off
            auto_https off
            servers {{
                protocols h1 h2
            }}
        }}
        {scheme}://:{site.port} {{
            bind 127.0.0.1
            {tls}
            import {site.snippet}
            reverse_proxy 127.0.0.1:{site.page_port}
        }}
    """)
    config = str(site.folder / "Caddyfile")
    return ["caddy", "run", "--config", config, "--adapter", "caddyfile"]


PROXIES: Final[dict[str, tuple[str, Callable[[_Site], list[str]]]]] = {
    "nginx": ("nginx.conf", _nginx),
    "apache": ("apache.conf", _apache),
    "haproxy": ("haproxy.cfg", _haproxy),
    "caddy": ("Caddyfile", _caddy),
}


@contextmanager
def proxying(
    name: str,
    folder: Path,
    port: int,
    page_port: int,
    *,
    certificate: Path | None = None,
    snippet: str | None = None,
    upstream: str | None = None,
) -> Generator[int]:
    """Run a proxy while the block lasts; give the port of its site.

    :param name: a key of `PROXIES`
    :param folder: an empty folder
    :param port: where WebSockets go that come for ``/ws``
    :param page_port: where everything else goes
    :param certificate: of the site, with its key; ``None`` for a site without TLS
    :param snippet: how to forward WebSockets to ``127.0.0.1:8000``; ``None`` for what
        our how-to page says
    :param upstream: what to say there instead of the port

    """
    file, configure = PROXIES[name]
    if snippet is None:
        snippet = (SNIPPETS / file).read_text()
    assert _UPSTREAM in snippet
    snippet = snippet.replace(_UPSTREAM, upstream or f"127.0.0.1:{port}")
    (folder / "snippet").write_text(snippet)
    with own_port() as site_port:
        site = _Site(folder, site_port, page_port, folder / "snippet", certificate)
        with running(configure(site), folder, site_port):
            yield site_port


@contextmanager
def running(command: list[str], folder: Path, port: int) -> Generator[None]:
    """Run a proxy while the block lasts, from when its port is open.

    :param command: its program and the arguments; skipped if it is not installed
    :param folder: where it runs; what it says is written there
    :param port: the port that it opens

    """
    environment = {**os.environ, "XDG_CONFIG_HOME": str(folder), "HOME": str(folder)}
    program, *arguments = command
    with (
        (folder / "output").open("w") as output,
        subprocess.Popen(
            [installed(program), *arguments],
            cwd=folder,
            env={**environment, "XDG_DATA_HOME": str(folder)},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        ) as process,
    ):
        try:
            _wait_until_open(process, folder, port)
            yield
        finally:
            # With all its processes: it would wait for connections that the browser
            # keeps in reserve, Apache for ten seconds.
            os.killpg(process.pid, signal.SIGKILL)


def _wait_until_open(process: subprocess.Popen[bytes], folder: Path, port: int) -> None:
    for _ in range(PATIENCE * 20):
        try:
            socket.create_connection(("127.0.0.1", port)).close()
            return
        except ConnectionRefusedError:
            if process.poll() is not None:
                break
            time.sleep(0.05)
    text = (folder / "output").read_text()
    raise RuntimeError(f"{process.args!r} did not start: {text}")
