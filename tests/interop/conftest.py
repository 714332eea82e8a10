"""The ways to talk: plain and with TLS, with compression or without; browsers."""

from __future__ import annotations

import ssl
from collections.abc import Generator

import pytest
import trustme

from .browsers import BROWSERS, Browser
from .ours import FORGETFUL, Way
from .pages import serving_pages
from .peer import Tls

COMPRESSION = {"off": None, "on": True, "forgetful": FORGETFUL}


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


# What uses the same browser stays in one process, so that it is started once.
@pytest.fixture(
    scope="session",
    params=[
        pytest.param(name, marks=pytest.mark.xdist_group(name))
        for name in sorted(BROWSERS)
    ],
)
def browser(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Generator[Browser]:
    with BROWSERS[request.param](tmp_path_factory.mktemp(request.param)) as browser:
        yield browser


@pytest.fixture(scope="session")
def page_port() -> Generator[int]:
    with serving_pages() as port:
        yield port
