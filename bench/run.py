"""Compare anyio_websocket with other libraries, and report what was measured.

``python run.py --help`` lists the options. A complete run writes the report and the
plots to this folder. A run of some sections or libraries prints its report instead, so
that it does not replace a complete one. Each section is measured in several rounds, and
each round measures every library once, so that a phase in which the machine is slow
affects all of them. The measured server or client runs on one core, and the load on
another. Waking a process on another core has a cost too, so some sections are measured
with both on the same core as well.
"""

from __future__ import annotations

import time
from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import figures
import plots
import psutil
import tables
import trustme
from clients import CLIENTS
from figures import FLOOR, Sample
from load import DEFLATE, ECHO, Shape
from processes import (
    BEFORE,
    HERE,
    IN_C,
    IN_PYTHON,
    ONE_BY_ONE,
    VARIANTS,
    Process,
    Subject,
    pin,
    started,
)
from report import DEFLATE_LEVELS, ON_ONE_CORE, OURS, Measure, Section, written
from rich.console import Console
from rich.progress import Progress
from servers import SERVERS

LIBRARIES = [
    Subject(name, loop)
    for name, loops in SERVERS.items()
    for loop in loops
    if name not in (FLOOR, IN_C)
]
ALL = [
    *LIBRARIES,
    *(Subject(name, loop) for name in (FLOOR, IN_C) for loop in SERVERS.get(name, ())),
    *(Subject(OURS, loop, IN_PYTHON) for loop in SERVERS[OURS]),
]
OWN = [subject for subject in LIBRARIES if subject.name == OURS]
EARLIER = [Subject(OURS, loop, BEFORE) for loop in SERVERS[OURS]]
CALLERS = [
    *(Subject(name, loop) for name, loops in CLIENTS.items() for loop in loops),
    *(Subject(OURS, loop, ONE_BY_ONE) for loop in CLIENTS[OURS]),
]
LIBRARY_NAMES = list(dict.fromkeys(subject.library for subject in [*ALL, *CALLERS]))
# The others have no compression.
COMPRESSING = [s for s in LIBRARIES if s.name not in ("picows", "trio-websocket")]
# aiohttp always compresses at level 1, and picows.websockets at level 6.
AT_LEVEL = {1: ("picows.websockets",), 6: ("aiohttp",)}
# trio-websocket answers nothing but WebSockets, and picows.websockets is of the same
# authors as picows.
ANSWERING = [
    s for s in LIBRARIES if s.name not in ("picows.websockets", "trio-websocket")
]
# At most so many rounds of what takes long: each sample of these opens thousands of
# connections, or is a process of its own.
ROUNDS = {
    **dict.fromkeys(("Clients", f"Clients{ON_ONE_CORE}"), 3),
    **dict.fromkeys(("Memory", "Broadcast among stuck peers", "Growth"), 2),
    "Beside health checks": 2,
}
TLS_HANDSHAKES = {"full": False, "resumed": True}
TLS = [shape for shape in ECHO if shape.name in ("16 B", "125 B x 100", "64 KiB")]


def server(subject: Subject, *options: str) -> AbstractContextManager[Process]:
    """Start the server of a library."""
    words = (subject.name, subject.loop, *options)
    return started("servers.py", *words, environment=subject.environment())


@contextmanager
def echoing(
    seconds: float,
    subjects: Sequence[Subject],
    shapes: Sequence[Shape],
    *options: str,
    certificate: Path | None = None,
    core: int = 0,
) -> Iterator[Measure]:
    """Start all servers, and measure one after the other, with the load on a core."""
    context = None
    if certificate is not None:
        options = (*options, "certificate", str(certificate))
        context = figures.client_context(certificate)
    named = {shape.name: shape for shape in shapes}
    with ExitStack() as stack:
        servers = {s: stack.enter_context(server(s, *options)) for s in subjects}
        pin(0, core)
        stack.callback(pin, 0, 0)
        yield lambda subject, column: figures.echo(
            servers[subject], named[column], seconds, context, raw=subject.name == FLOOR
        )


@contextmanager
def calling(
    seconds: float, shapes: Sequence[Shape], *, core: int = 0
) -> Iterator[Measure]:
    """Start a server on a core, for the clients that are measured."""
    named = {shape.name: shape for shape in shapes}
    with started("load.py", core=core) as peer:
        yield lambda subject, column: figures.client(
            subject, named[column], seconds, peer
        )


@contextmanager
def fresh_server(
    figure: Callable[[Process, str], Sample], *options: str
) -> Iterator[Measure]:
    """Start a new server for each sample."""

    def measure(subject: Subject, column: str) -> Sample:
        with server(subject, *options) as process:
            return figure(process, column)

    yield measure


def sections(args: Namespace, certificate: Path) -> list[Section]:
    """Return the sections of the report, which are not measured yet."""
    seconds: float = args.seconds
    crowd: int = args.crowd
    few = max(1, crowd // 3)
    fewer = max(1, few // 3)
    rates = {"0 a second": 0, "2000 a second": 2000}
    busy = min(100, crowd)

    def chosen(subjects: Sequence[Subject]) -> list[Subject]:
        libraries = args.library or LIBRARY_NAMES
        earlier = EARLIER if args.before else []
        return [*(s for s in subjects if s.library in libraries), *earlier]

    everything, libraries = chosen(ALL), chosen(LIBRARIES)
    compressing, callers = chosen(COMPRESSING), chosen(CALLERS)
    return [
        Section(
            "Echo", "µs", everything, names(ECHO), echoing(seconds, everything, ECHO)
        ),
        Section(
            f"Echo{ON_ONE_CORE}",
            "µs",
            everything,
            names(ECHO),
            echoing(seconds, everything, ECHO, core=-1),
        ),
        Section("Clients", "µs", callers, names(ECHO), calling(seconds, ECHO)),
        Section(
            f"Clients{ON_ONE_CORE}",
            "µs",
            callers,
            names(ECHO),
            calling(seconds, ECHO, core=-1),
        ),
        Section(
            "Echo over TLS",
            "µs",
            libraries,
            names(TLS),
            echoing(seconds, libraries, TLS, certificate=certificate),
        ),
        Section(
            f"Echo over TLS{ON_ONE_CORE}",
            "µs",
            libraries,
            names(TLS),
            echoing(seconds, libraries, TLS, certificate=certificate, core=-1),
        ),
        Section(
            "Echo with permessage-deflate",
            "µs",
            compressing,
            names(DEFLATE),
            echoing(seconds, compressing, DEFLATE, "deflate"),
        ),
        *(
            Section(
                title,
                "µs",
                equal := [s for s in compressing if s.name not in AT_LEVEL[level]],
                names(DEFLATE),
                echoing(
                    *(seconds, equal, DEFLATE, "deflate", "level", str(level)), core=-1
                ),
            )
            for level, title in DEFLATE_LEVELS.items()
        ),
        Section(
            "Busy connections",
            "µs",
            libraries,
            [str(busy)],
            fresh_server(lambda process, _: figures.busy(process, busy, seconds)),
        ),
        Section(
            "Opening and closing",
            "µs",
            libraries,
            [str(few)],
            fresh_server(lambda process, _: figures.handshakes(process, few)),
        ),
        Section(
            "Opening and closing over TLS",
            "µs",
            libraries,
            list(TLS_HANDSHAKES),
            fresh_server(
                lambda process, kind: figures.handshakes(
                    process,
                    fewer,
                    figures.client_context(certificate),
                    resumed=TLS_HANDSHAKES[kind],
                ),
                *("certificate", str(certificate)),
            ),
        ),
        Section(
            "Memory",
            "KiB",
            libraries,
            [str(crowd)],
            fresh_server(lambda process, _: figures.memory(process, crowd)),
        ),
        Section(
            "Broadcast",
            "µs",
            libraries,
            [str(few)],
            fresh_server(
                lambda process, _: figures.broadcast(process, few), "broadcast"
            ),
        ),
        Section(
            "Broadcast among stuck peers",
            "KiB",
            chosen(OWN),
            [str(args.most)],
            fresh_server(
                lambda process, n: figures.stuck(process, int(n)), "broadcast"
            ),
        ),
        Section(
            "Growth",
            "µs",
            chosen(OWN),
            [str(10**n) for n in range(9) if 10**n <= args.most],
            fresh_server(lambda process, n: figures.growth(process, int(n), seconds)),
        ),
        Section(
            "Health checks",
            "µs",
            chosen(ANSWERING),
            [str(few)],
            fresh_server(
                lambda process, _: figures.health_checks(process, few), "health"
            ),
        ),
        Section(
            "Beside health checks",
            "µs",
            chosen(OWN),
            list(rates),
            fresh_server(
                lambda process, rate: figures.beside_health_checks(
                    process, rates[rate], few, 10 * seconds
                ),
                "health",
            ),
        ),
        Section("Importing", "ms", libraries, ["import"], importing()),
    ]


def names(shapes: Sequence[Shape]) -> list[str]:
    """Return the names of shapes, which are the columns of a table."""
    return [shape.name for shape in shapes]


@contextmanager
def importing() -> Iterator[Measure]:
    """Measure imports, which need no server."""
    yield lambda subject, column: figures.importing(subject)


def main() -> None:
    """Measure the selected sections, and report them."""
    args = arguments()
    load = psutil.getloadavg()[0]
    pin(0, 0)
    with TemporaryDirectory() as folder:
        certificate = Path(folder, "certificate.pem")
        wanted = selected(args, certificate)
        authority = trustme.CA()
        identity = authority.issue_cert("127.0.0.1")
        # One file for both sides: the key, the chain, and the authority to trust.
        identity.private_key_and_cert_chain_pem.write_to_path(certificate)
        authority.cert_pem.write_to_path(certificate, append=True)
        start = time.monotonic()
        with Progress(console=Console(stderr=True)) as progress:
            for number, section in enumerate(wanted, 1):
                measure(section, args.rounds, progress)
                minutes = (time.monotonic() - start) / 60
                progress.console.print(
                    f"{number} of {len(wanted)}, {minutes:.1f} min: {section.title}"
                )
    report = written(wanted, args.rounds, args.seconds, load)
    out: Path | None = args.out
    if out is None and not (args.only or args.library or args.column or args.before):
        out = HERE
    if out is None:
        print(report)
    else:
        out.mkdir(exist_ok=True)
        (out / "report.md").write_text(report)
        plots.draw(wanted, out)
    if out == HERE:
        tables.main()


def arguments() -> Namespace:
    """Read the command line."""
    parser = ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    for name, default, text in (
        ("--rounds", 4, "samples of each value, or fewer where one takes long"),
        ("--seconds", 0.15, "seconds per sample"),
        ("--crowd", 3000, "idle connections for memory"),
        ("--most", 10_000, "connections for growth, at most"),
    ):
        text += f" (default: {default})"
        parser.add_argument(name, type=type(default), default=default, help=text)
    parser.add_argument(
        "--only",
        action="append",
        default=[],
        metavar="TITLE",
        help="measure this section, such as Echo (repeatable; default: all)",
    )
    parser.add_argument(
        "--library",
        action="append",
        default=[],
        choices=LIBRARY_NAMES,
        metavar="NAME",
        help="measure this library, such as websockets (repeatable; default: all)",
    )
    parser.add_argument(
        "--column",
        action="append",
        default=[],
        metavar="NAME",
        help="measure this column of sections that have it, such as '16 B' (repeatable;"
        " default: all)",
    )
    parser.add_argument(
        "--before",
        type=Path,
        metavar="FOLDER",
        help="measure the earlier anyio_websocket in this folder as well; to make one:"
        " pip install --no-deps --target FOLDER git+file://CHECKOUT@REVISION",
    )
    parser.add_argument(
        "--out",
        type=Path,
        help="folder for the report and the plots; by default a complete run writes to"
        " the folder of run.py, and a run of a part, or with --before, prints"
        " its report",
    )
    args = parser.parse_args()
    if args.before:
        if not Path(args.before, OURS, "__init__.py").exists():
            parser.error(f"{args.before} has no {OURS}")
        VARIANTS[BEFORE] = {"PYTHONPATH": str(args.before.resolve())}
    every = sections(args, Path())
    titles = [section.title for section in every]
    columns = dict.fromkeys(column for section in every for column in section.columns)
    for name, given, known in (
        ("section", args.only, titles),
        ("column", args.column, columns),
    ):
        for word in given:
            if word not in known:
                parser.error(f"no {name} {word!r}; there are {'; '.join(known)}")
    return args


def selected(args: Namespace, certificate: Path) -> list[Section]:
    """Return the sections that the command line selects."""
    chosen = [
        section
        for section in sections(args, certificate)
        if section.subjects and (not args.only or section.title in args.only)
    ]
    for section in chosen:
        columns = [column for column in section.columns if column in args.column]
        section.columns = columns or section.columns
    return chosen


def measure(section: Section, rounds: int, progress: Progress) -> None:
    """Take the samples of a section."""
    rounds = min(rounds, ROUNDS.get(section.title, rounds))
    cells = [(s, column) for column in section.columns for s in section.subjects]
    task = progress.add_task(section.title, total=rounds * len(cells))
    with section.measuring as sample:
        for _ in range(rounds):
            for subject, column in cells:
                progress.update(task, description=f"{section.title}: {subject}")
                found = sample(subject, column)
                section.samples.setdefault((subject, column), []).append(found)
                progress.advance(task)


if __name__ == "__main__":
    main()
