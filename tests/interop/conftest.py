"""The ways to talk: plain and with TLS, with compression or without; browsers."""

from __future__ import annotations

import ssl
from collections.abc import Generator
from importlib import import_module
from typing import Any

import pytest
import trustme

from .browsers import BROWSERS, Browser
from .ours import FORGETFUL, Way
from .pages import serving_pages
from .peer import Tls

COMPRESSION = {"off": None, "on": True, "forgetful": FORGETFUL}


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Keep what uses the same browser in one process, so that it is started once.

    The mark ``xdist_group`` says the same, but pytest-xdist 3.8 does not see it under
    pytest 9.2 (https://github.com/pytest-dev/pytest-xdist/issues/1386).
    """

    def scope_of(nodeid: str) -> str:
        first = nodeid.partition("[")[2].partition("-")[0]
        return first if first in BROWSERS else nodeid

    scheduler = import_module("xdist.scheduler").LoadScopeScheduling(config, log)
    scheduler._split_scope = scope_of
    return scheduler


@pytest.fixture(scope="session")
def tls(
    authority: trustme.CA,
    server_tls: ssl.SSLContext,
    client_tls: ssl.SSLContext,
    tmp_path_factory: pytest.TempPathFactory,
) -> Tls:
    folder = tmp_path_factory.mktemp("tls")
    certificate = authority.issue_cert("localhost", "127.0.0.1")
    certificate.private_key_and_cert_chain_pem.write_to_path(folder / "server.pem")
    authority.cert_pem.write_to_path(folder / "authority.pem")
    return Tls(server_tls, client_tls, folder / "authority.pem", folder / "server.pem")


@pytest.fixture(
    params=["plain-off", "plain-on", "plain-forgetful", "tls-off", "tls-on"]
)
def way(request: pytest.FixtureRequest, tls: Tls) -> Way:
    transport, compression = request.param.split("-")
    return Way(tls if transport == "tls" else None, COMPRESSION[compression])


@pytest.fixture(scope="session", params=sorted(BROWSERS))
def browser(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Generator[Browser]:
    with BROWSERS[request.param](tmp_path_factory.mktemp(request.param)) as browser:
        yield browser


@pytest.fixture(scope="session")
def page_port() -> Generator[int]:
    with serving_pages() as port:
        yield port
