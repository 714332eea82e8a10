"""What may be in the command line, and what is said about what may not."""

from __future__ import annotations

import math
import re
from pathlib import Path

import pytest

from anyio_websocket import __version__
from anyio_websocket._cli._arguments import parse

SECRET = "s3cret"
URL = f"wss://me:{SECRET}@example.test/?token={SECRET}"


def test_connect() -> None:
    found = parse(["connect", URL])
    assert (found.url, found.format, found.wait) == (URL, "text", 1)
    assert (found.headers, found.subprotocols) == ([], [])
    assert (found.backend, found.debug) == ("asyncio", False)
    assert (found.cafile, found.insecure, found.proxy) == (None, False, None)
    options = "-H A:1 -H B:\tx:y -s one -s two --json --cafile F --insecure --wait inf"
    found = parse(["connect", *options.split(" "), "--proxy", "none", URL])
    assert found.headers == [("A", "1"), ("B", "x:y")]
    assert found.subprotocols == ["one", "two"]
    assert (found.format, found.wait, found.proxy) == ("json", math.inf, "none")
    assert (found.cafile, found.insecure) == ("F", True)
    assert parse(["connect", "--binary", URL]).format == "binary"


@pytest.mark.parametrize("place", [0, 1, 2])
def test_what_all_commands_have_may_stand_before_and_after_it(place: int) -> None:
    line = ["ping", URL]
    line[place:place] = ["--backend", "trio", "--debug"]
    found = parse(line)
    assert (found.backend, found.debug) == ("trio", True)


def test_serve_and_ping() -> None:
    found = parse(["serve"])
    assert (found.host, found.port, found.broadcast) == ("127.0.0.1", 8765, False)
    assert parse(["serve", "--port", "0", "--broadcast"]).broadcast
    found = parse(["ping", URL])
    assert (found.count, found.interval) == (math.inf, 1)
    found = parse(["ping", "-c", "3", "-i", "0.2", URL])
    assert (found.count, found.interval) == (3, 0.2)


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ([], "the following arguments are required: COMMAND"),
        ([URL], "the command must be connect, serve or ping, as in: connect URL"),
        (["--backend", "curio", "ping", URL], "invalid choice: 'curio'"),
        (["connect"], "the following arguments are required: URL"),
        (
            ["connect", "-H", f"Bearer {SECRET}", URL],
            "it must be NAME:VALUE",
        ),
        (["connect", "-H", "Authorization: Bearer", SECRET, URL], "needs quotes"),
        (["connect", f"--token={SECRET}", URL], "there is an unknown option"),
        ([f"--debug={SECRET}", "ping", URL], "argument --debug: it takes no value"),
        (["ping", f"--debug={SECRET}", URL], "argument --debug: it takes no value"),
        (["connect", f"--json={SECRET}", URL], "it takes no value"),
        (["connect", f"--head=A:{SECRET}", URL], "there is an unknown option"),
        (["connect", "--json", "--binary", URL], "not allowed with argument --json"),
        (["connect", "--wait", "long", URL], "it must be a number of seconds"),
        (["connect", "--wait", "nan", URL], "it must be a number of seconds"),
        (["connect", "--max-size", "0", URL], "a whole number, at least 1"),
        (["ping", "-c", "x", URL], "a whole number, at least 1"),
        (["ping", "-i", "0", URL], "from 0.001 to 86400 seconds"),
        (["serve", "--port", "65536"], "a number from 0 to 65535"),
    ],
)
def test_an_error_is_one_line_without_a_secret(
    line: list[str], why: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as exited:
        parse(line)
    assert exited.value.code == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.startswith("anyio-websocket: ")
    assert shown.err.count("\n") == 1
    assert why in shown.err
    assert SECRET not in shown.err


def test_help_and_version(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="0"):
        parse(["--version"])
    assert capsys.readouterr().out == f"anyio-websocket {__version__}\n"
    for command in ([], ["connect"], ["serve"], ["ping"]):
        with pytest.raises(SystemExit, match="0"):
            parse([*command, "--help"])
        assert "--backend" in capsys.readouterr().out


def test_the_reference_has_every_option(capsys: pytest.CaptureFixture[str]) -> None:
    reference = Path(__file__).parents[2] / "docs" / "reference" / "cli.rst"
    listed = set(re.findall(r"--?[a-zA-Z][a-z-]*", reference.read_text("utf-8")))
    for command in ([], ["connect"], ["serve"], ["ping"]):
        with pytest.raises(SystemExit, match="0"):
            parse([*command, "--help"])
        shown = re.findall(r"(?<![\w-])--?[a-zA-Z][a-z-]*", capsys.readouterr().out)
        assert set(shown) <= listed
