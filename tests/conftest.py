"""Fixtures of all tests: the backends, and certificates for TLS."""

from __future__ import annotations

import gc
import math
import os
import signal
import ssl
from collections.abc import Generator
from typing import Any

import hypothesis
import pytest
import trustme

from .support import backends
from .support.peer import Opener, client_of_raw_server, server_of_raw_client
from .support.ports import own_port
from .support.stretch import set_max_stretch


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--loops",
        metavar="NAMES",
        help="run tests with I/O on these event loops alone, as asyncio,trio",
    )


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line(
        "markers",
        "virtual_time: run on backends whose clock jumps; streams in memory only",
    )
    config.addinivalue_line(
        "markers",
        "sweep: play scenarios over and over, with a fault in another place each time",
    )
    config.addinivalue_line(
        "markers", "measured: measure memory, CPU time or delays; not for coverage"
    )
    gc.disable()  # until all tests are collected: nearly all that is made stays
    # A shell that runs this in the background has it ignore Ctrl-C, and the programs
    # that tests start would inherit that.
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    # The tests name their proxies themselves.
    for name in [name for name in os.environ if name.lower().endswith("_proxy")]:
        del os.environ[name]
    # How long an example takes is the machine's business; pytest has a timeout.
    hypothesis.settings.register_profile("patient", deadline=None)
    hypothesis.settings.load_profile("patient")


def pytest_collection_finish() -> None:
    # What is there before the first test stays, and need not be searched by each of the
    # many collections that tests ask for: it was 100 ms for each.
    gc.collect()
    gc.freeze()
    gc.enable()


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "anyio_backend" in metafunc.fixturenames:
        virtual = metafunc.definition.get_closest_marker("virtual_time") is not None
        params = backends.params(virtual_time=virtual)
        loops = metafunc.config.getoption("--loops")
        if loops is not None:
            params = [param for param in params if param.id in loops.split(",")]
        metafunc.parametrize("anyio_backend", params, indirect=True)


@pytest.fixture
def anyio_backend(request: pytest.FixtureRequest) -> Any:
    return request.param()  # made for each test: clocks have a state


@pytest.fixture(autouse=True)
def _time_is_not_short(request: pytest.FixtureRequest) -> Generator[None]:
    """Have no task go through a checkpoint because the machine had no time for it.

    A process that is preempted for a millisecond is taken for one that computed. Tests
    of that set the time to 0, and what is measured is measured as it is.
    """
    with pytest.MonkeyPatch.context() as patch:
        if request.node.get_closest_marker("measured") is None:
            set_max_stretch(patch, math.inf)
        yield


@pytest.fixture(params=[client_of_raw_server, server_of_raw_client], ids=["c", "s"])
def opener(request: pytest.FixtureRequest) -> Opener:
    """Either side, against a peer by hand."""
    result: Opener = request.param
    return result


@pytest.fixture
def port() -> Generator[int]:
    """A port on which nobody listens, unless the test does."""
    with own_port() as port:
        yield port


@pytest.fixture(scope="session")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(scope="session")
def server_tls(authority: trustme.CA) -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("localhost", "127.0.0.1", "::1").configure_cert(context)
    return context


@pytest.fixture(scope="session")
def client_tls(authority: trustme.CA) -> ssl.SSLContext:
    context = ssl.create_default_context()
    authority.configure_trust(context)
    return context
