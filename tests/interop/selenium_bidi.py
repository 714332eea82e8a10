"""A program in which Selenium's BiDi runs on our connection, because we say so first.

Arguments: the port of chromedriver, its path, the path of Chromium, and its flags.
"""

from __future__ import annotations

import runpy
import sys
from pathlib import Path
from typing import Any

EXAMPLES = Path(__file__).parents[2] / "examples"


async def talk(driver: Any) -> list[object]:
    """Have a page run something; return what it said, and over what it came."""
    closed = sys.modules["trio_websocket"].ConnectionClosed
    async with driver.bidi_connection() as bidi:
        page, runtime = bidi.session, bidi.devtools.runtime
        await page.execute(runtime.enable())
        async with page.wait_for(runtime.ConsoleAPICalled) as event:
            await page.execute(runtime.evaluate("console.log('hello')"))
        result, _ = await page.execute(runtime.evaluate("6 * 7"))
        await page.ws.aclose()
        try:
            await page.execute(runtime.evaluate("1"))
        except closed as error:
            said = event.value.args[0].value
            return [said, result.value, type(page.ws).__module__, error.reason.code]
    raise AssertionError


def main(port: str, chromedriver: str, chromium: str, *flags: str) -> None:
    """Print what it said."""
    runpy.run_path(str(EXAMPLES / "aliases.py"))
    import trio
    from selenium import webdriver

    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    for flag in flags:
        options.add_argument(flag)
    service = webdriver.ChromeService(chromedriver, int(port))
    driver = webdriver.Chrome(options, service)
    try:
        print(*trio.run(talk, driver))  # noqa: T201
    finally:
        driver.quit()


if __name__ == "__main__":
    main(*sys.argv[1:])
