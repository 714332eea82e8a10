"""The command line: what it may have, and what ``--help`` says about it.

Arguments may be secrets: a URL with a password, a header with a token. argparse shows
what it does not understand, so the texts of its errors are replaced where they would.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Sequence
from typing import Final, NoReturn

from .. import __version__

PROGRAM: Final = "anyio-websocket"
MAX_SIZE: Final = 16_777_216  # bytes
WAIT: Final = 1.0  # seconds
PORT: Final = 8765
_COMMAND: Final = "COMMAND"

_EXIT_CODES: Final = """\
exit codes:
  0    done
  1    no connection, or nothing to listen on; ping: no Pong came
  2    the command line is wrong
  3    the connection was lost, or closed with an error
  4    a line of the input cannot be sent
  130  SIGINT (Ctrl-C), 143 SIGTERM; serve and ping end with 0 or 1 then
  141  nobody reads the output any more
"""


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Parse the arguments; exit with code 2 and one line if they are wrong.

    :param arguments: ``None`` for those of the process

    """
    parser = _parser()
    try:
        found, unknown = parser.parse_known_args(arguments)
    except argparse.ArgumentError as exc:
        if exc.argument_name != _COMMAND:
            parser.error(str(exc))
        # Maybe it is a URL, which may have a password.
        parser.error("the command must be connect, serve or ping, as in: connect URL")
    if unknown:
        what = "an unknown option" if unknown[0].startswith("-") else "an argument more"
        parser.error(f"there is {what}; an argument that has spaces needs quotes")
    return found


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        # That of --debug=VALUE ends with the value.
        option, extra, _ = message.partition("ignored explicit argument")
        if extra:
            message = f"{option}it takes no value"
        self.exit(2, f"{PROGRAM}: {message}; see {self.prog} --help\n")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        PROGRAM,
        description="Talk to WebSocket servers, or be one.",
        epilog=_EXIT_CODES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
        exit_on_error=False,
    )
    version = f"{PROGRAM} {__version__}"
    parser.add_argument("--version", action="version", version=version)
    _add_common(parser, backend="asyncio", debug=False)
    common = _Parser(add_help=False)
    # Not to replace what stands before the command.
    _add_common(common, backend=argparse.SUPPRESS, debug=argparse.SUPPRESS)
    client = _Parser(add_help=False)
    _add_client(client)
    sized = _Parser(add_help=False)
    sized.add_argument(
        "--max-size",
        type=_positive_int,
        default=MAX_SIZE,
        metavar="BYTES",
        help="the most that a received message may have; default 16 MiB",
    )

    commands = parser.add_subparsers(dest="command", metavar=_COMMAND, required=True)

    def add(name: str, text: str, *parents: _Parser) -> _Parser:
        added = commands.add_parser(
            name,
            help=text,
            description=f"{text[0].upper()}{text[1:]}.",
            parents=[*parents, common],
            allow_abbrev=False,
        )
        assert isinstance(added, _Parser)
        return added

    _add_connect(add("connect", "send lines, and show what is received", client, sized))
    _add_serve(add("serve", "serve WebSockets, to try clients with", sized))
    _add_ping(add("ping", "measure how long Pings to a server take", client))
    return parser


def _add_common(
    parser: argparse.ArgumentParser, *, backend: str, debug: bool | str
) -> None:
    parser.add_argument(
        "--backend",
        choices=["asyncio", "trio"],
        default=backend,
        help="the event loop; default asyncio",
    )
    parser.add_argument(
        "--debug",
        action="store_true",
        default=debug,
        help="show tracebacks, and all that the library logs",
    )


def _add_client(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "url",
        metavar="URL",
        help="begins with ws: or wss:, and may have user:password@ before its host",
    )
    parser.add_argument(
        "-H",
        "--header",
        dest="headers",
        type=_header,
        action="append",
        default=[],
        metavar="NAME:VALUE",
        help="a header to send; may be given several times",
    )
    parser.add_argument(
        "-s",
        "--subprotocol",
        dest="subprotocols",
        action="append",
        default=[],
        metavar="SUBPROTOCOL",
        help="a subprotocol to offer, the best first; may be given several times",
    )
    parser.add_argument(
        "--cafile",
        metavar="FILE",
        help="certificates to trust, in PEM, instead of those of the system",
    )
    parser.add_argument(
        "--insecure",
        action="store_true",
        help="trust any certificate: anybody on the way can read and change everything",
    )
    parser.add_argument(
        "--proxy",
        metavar="URL",
        help="a proxy, of http:, https:, socks4: or socks5:; none for none; by default "
        "the one that the environment names",
    )


def _add_connect(parser: argparse.ArgumentParser) -> None:
    formats = parser.add_mutually_exclusive_group()
    formats.add_argument(
        "--binary",
        dest="format",
        action="store_const",
        const="binary",
        default="text",
        help=r"send lines as binary messages; \x00 can be typed",
    )
    formats.add_argument(
        "--json",
        dest="format",
        action="store_const",
        const="json",
        help="send only lines that are JSON, and write each message as a line of JSON",
    )
    parser.add_argument(
        "--wait",
        type=_seconds,
        default=WAIT,
        metavar="SECONDS",
        help="after the end of the input, close the connection when nothing has been "
        "received for so long; default 1; inf waits for the server to close it",
    )


def _add_serve(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--host", default="127.0.0.1", help="where to listen; default 127.0.0.1"
    )
    parser.add_argument(
        "--port",
        type=_port,
        default=PORT,
        help=f"default {PORT}; 0 lets the system choose one",
    )
    what = parser.add_mutually_exclusive_group()
    what.add_argument(
        "--echo",
        action="store_true",
        help="send each message back to where it came from; the default",
    )
    what.add_argument(
        "--broadcast", action="store_true", help="send each message to all clients"
    )
    parser.add_argument(
        "--certfile", metavar="FILE", help="a certificate, in PEM: serve wss: with it"
    )
    parser.add_argument(
        "--keyfile", metavar="FILE", help="its key, if it is not in the same file"
    )


def _add_ping(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "-c",
        "--count",
        type=_positive_int,
        default=math.inf,
        help="how many Pings to send; by default, as many as until Ctrl-C",
    )
    parser.add_argument(
        "-i",
        "--interval",
        type=_interval,
        default=1.0,
        metavar="SECONDS",
        help="from one Ping to the next; default 1",
    )


def _header(text: str) -> tuple[str, str]:
    name, colon, value = text.partition(":")
    if not colon:
        raise argparse.ArgumentTypeError("it must be NAME:VALUE")
    return name.strip(), value.strip()


def _positive_int(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError("it must be a whole number, at least 1")
    return int(text)


def _port(text: str) -> int:
    if not text.isdecimal() or int(text) > 65_535:
        raise argparse.ArgumentTypeError("it must be a number from 0 to 65535")
    return int(text)


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1
    if not seconds >= 0:  # nan
        raise argparse.ArgumentTypeError("it must be a number of seconds")
    return seconds


def _interval(text: str) -> float:
    seconds = _seconds(text)
    if not 0.001 <= seconds <= 86_400:
        raise argparse.ArgumentTypeError("it must be from 0.001 to 86400 seconds")
    return seconds
