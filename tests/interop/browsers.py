"""Real browsers, driven from here: Chromium and Firefox, without a window.

In: a page's address and a script. Out: what the script said. A browser that is not
installed is skipped by its name.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import threading
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, Protocol

import pytest

from ..support.ports import own_port
from .peer import PATIENCE

#: names that the browsers take for this machine, so that pages have real origins
SITE: Final = "site.example"
OTHER_SITE: Final = "other.example"

CHROMIUM_FLAGS: Final = [
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
    f"--host-resolver-rules=MAP {SITE} 127.0.0.1, MAP {OTHER_SITE} 127.0.0.1",
]

_FIREFOX_SETTINGS: Final = {
    "app.update.enabled": False,
    "browser.aboutwelcome.enabled": False,
    "browser.shell.checkDefaultBrowser": False,
    "browser.startup.page": 0,
    "datareporting.policy.dataSubmissionEnabled": False,
    "network.captive-portal-service.enabled": False,
    "network.connectivity-service.enabled": False,
    "network.dns.localDomains": f"{SITE},{OTHER_SITE}",
    "network.proxy.type": 0,
    "services.settings.server": "data:,#remote-settings-dummy/v1",
    "toolkit.telemetry.enabled": False,
}
_FIREFOX_LISTENS: Final = re.compile(r"WebDriver BiDi listening on (ws://\S+)")
_CHROMIUM_LISTENS: Final = re.compile(r"DevTools listening on (ws://\S+)")


class Browser(Protocol):
    """A running browser with one page."""

    @property
    def name(self) -> str:
        """Its name, a key of `BROWSERS`."""
        ...

    def open(self, url: str) -> None:
        """Go to a page, and wait until it is there."""
        ...

    def run(self, script: str, *arguments: str) -> str:
        """Run a function's body in the page.

        :param script: finds in ``arguments`` what is passed here, and behind it a
            function to call with the result, a text
        :return: that text

        """
        ...


def installed(program: str) -> str:
    """Find a program; skip the test if there is none."""
    # Debian keeps servers where only root's PATH leads.
    path = shutil.which(program) or shutil.which(program, path="/usr/sbin")
    if path is None:
        pytest.skip(f"{program} is not installed")
    return path


class _Chromium:
    name = "chromium"

    def __init__(self, driver: Any) -> None:
        self._driver = driver

    def open(self, url: str) -> None:
        self._driver.get(url)

    def run(self, script: str, *arguments: str) -> str:
        result: str = self._driver.execute_async_script(script, *arguments)
        return result


@contextmanager
def chromium(profile: Path) -> Generator[Browser]:
    """Run Chromium while the block lasts, driven by chromedriver."""
    webdriver = pytest.importorskip("selenium.webdriver")
    program = installed("chromium")
    options = webdriver.ChromeOptions()
    options.binary_location = program
    for flag in [*CHROMIUM_FLAGS, f"--user-data-dir={profile}"]:
        options.add_argument(flag)
    # Named, so that Selenium does not go and get one.
    chromedriver = installed("chromedriver")
    with own_port() as port:
        driver = webdriver.Chrome(options, webdriver.ChromeService(chromedriver, port))
        try:
            driver.set_script_timeout(PATIENCE)
            yield _Chromium(driver)
        finally:
            driver.quit()


@contextmanager
def debugged_chromium(profile: Path) -> Generator[tuple[str, subprocess.Popen[str]]]:
    """Run Chromium while the block lasts, driven by nobody; give its DevTools' URL."""
    own = [f"--user-data-dir={profile}", "--remote-debugging-port=0"]
    command = [installed("chromium"), *CHROMIUM_FLAGS, *own]
    with subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            yield _address(process, _CHROMIUM_LISTENS), process
        finally:
            process.kill()


class _Firefox:
    """A client of Firefox's WebDriver BiDi, which needs no program beside it."""

    name = "firefox"

    def __init__(self, connection: Any) -> None:
        self._connection = connection
        self._commands = 0
        self._call(
            "session.new", capabilities={"alwaysMatch": {"acceptInsecureCerts": True}}
        )
        tree = self._call("browsingContext.getTree")
        self._page = tree["contexts"][0]["context"]

    def open(self, url: str) -> None:
        self._call(
            "browsingContext.navigate", context=self._page, url=url, wait="complete"
        )

    def run(self, script: str, *arguments: str) -> str:
        outcome = self._call(
            "script.evaluate",
            expression=(
                "new Promise((done) => {(function () {"
                f"{script}}}).apply(null, [...{json.dumps(arguments)}, done])}})"
            ),
            target={"context": self._page},
            awaitPromise=True,
        )
        result: str = outcome["result"]["value"]
        return result

    def quit(self) -> None:
        self._call("browser.close")

    def _call(self, method: str, **params: Any) -> Any:
        self._commands += 1
        command = {"id": self._commands, "method": method, "params": params}
        self._connection.send(json.dumps(command))
        while True:  # events come in between
            answer = json.loads(self._connection.recv(timeout=PATIENCE))
            if answer.get("id") == self._commands:
                assert answer["type"] == "success", answer
                return answer["result"]


@contextmanager
def firefox(profile: Path) -> Generator[Browser]:
    """Run Firefox while the block lasts, driven by WebDriver BiDi."""
    client = pytest.importorskip("websockets.sync.client")
    settings = "".join(
        f"user_pref({json.dumps(name)}, {json.dumps(value)});\n"
        for name, value in _FIREFOX_SETTINGS.items()
    )
    (profile / "user.js").write_text(settings)
    command = [
        *(_firefox(), "--headless", "--no-remote", "--profile", str(profile)),
        *("--remote-debugging-port", "0"),
    ]
    with subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            url = f"{_address(process, _FIREFOX_LISTENS)}/session"
            # No Pings: their thread draws random numbers, and Hypothesis does not allow
            # that in tests that run meanwhile.
            options = {"proxy": None, "max_size": None, "ping_interval": None}
            with client.connect(url, **options) as connection:
                driver = _Firefox(connection)
                yield driver
                driver.quit()
            process.wait(PATIENCE)
        finally:
            process.kill()


def _address(process: subprocess.Popen[str], says: re.Pattern[str]) -> str:
    """Wait until a browser has said where it listens."""
    assert process.stderr is not None
    for line in process.stderr:
        match = says.search(line)
        if match is not None:
            # It must never wait for us to read what it complains about.
            threading.Thread(target=process.stderr.read, daemon=True).start()
            return match[1]
    raise RuntimeError(f"{process.args!r} did not start")


def _firefox() -> str:
    return shutil.which("firefox") or installed("firefox-esr")


BROWSERS: Final = {"chromium": chromium, "firefox": firefox}
