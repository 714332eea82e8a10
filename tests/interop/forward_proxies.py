"""Proxies that clients connect through: tinyproxy, Squid, microsocks and Dante.

A proxy that is not installed is skipped by its name.
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

from ..support.ports import HOST, own_port
from .browsers import installed
from .peer import PATIENCE


class _Place(NamedTuple):
    folder: Path
    port: int
    certificate: Path  # with its key


def _tinyproxy(place: _Place) -> list[str]:
    (place.folder / "conf").write_text(f"""
        Port {place.port}
        Listen {HOST}
        Timeout 600
        BasicAuth me secret
    """)
    return ["tinyproxy", "-d", "-c", str(place.folder / "conf")]


def _squid(place: _Place) -> list[str]:
    return _squid_at(place, f"http_port {HOST}:{place.port}")


def _squid_tls(place: _Place) -> list[str]:
    return _squid_at(
        place, f"https_port {HOST}:{place.port} tls-cert={place.certificate}"
    )


def _squid_at(place: _Place, listen: str) -> list[str]:
    (place.folder / "conf").write_text(f"""
        {listen}
        http_access allow localhost
        http_access deny all
        access_log none
        cache_log {place.folder}/log
        pid_filename none
        shutdown_lifetime 0 seconds
    """)
    return ["squid", "-N", "-f", str(place.folder / "conf")]


def _microsocks(place: _Place) -> list[str]:
    return ["microsocks", "-i", HOST, "-p", f"{place.port}", "-u", "me", "-P", "secret"]


def _dante(place: _Place) -> list[str]:
    (place.folder / "conf").write_text(f"""
        internal: {HOST} port = {place.port}
        external: {HOST}
        clientmethod: none
        socksmethod: none
        client pass {{ from: {HOST}/32 to: 0.0.0.0/0 }}
        socks pass {{ from: {HOST}/32 to: 0.0.0.0/0 }}
    """)
    return ["danted", "-f", str(place.folder / "conf")]


PROXIES: Final[dict[str, Callable[[_Place], list[str]]]] = {
    "tinyproxy": _tinyproxy,
    "squid": _squid,
    "squid-tls": _squid_tls,
    "microsocks": _microsocks,
    "dante": _dante,
}


@contextmanager
def running(name: str, folder: Path, certificate: Path) -> Generator[int]:
    """Run a proxy while the block lasts; yield its port."""
    with own_port() as port, (folder / "output").open("w") as output:
        program, *arguments = PROXIES[name](_Place(folder, port, certificate))
        folder.chmod(0o777)  # Squid changes its user
        with subprocess.Popen(
            [installed(program), *arguments],
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        ) as process:
            try:
                _wait_until_open(process, port, folder / "output")
                yield port
            finally:
                os.killpg(process.pid, signal.SIGKILL)


def _wait_until_open(process: subprocess.Popen[bytes], port: int, output: Path) -> None:
    for _ in range(PATIENCE * 20):
        try:
            socket.create_connection((HOST, port)).close()
            return
        except ConnectionRefusedError:
            if process.poll() is not None:
                break
            time.sleep(0.05)
    raise RuntimeError(f"{process.args!r} did not start: {output.read_text()}")
