"""Measures anyio_websocket beside other libraries, and writes down what it found.

``python run.py --help`` tells what can be asked for. The report and its plots go beside
this file. A section is measured in rounds, in which all libraries take turns: where the
machine is slower for a while, it is so for all of them. Servers and clients run on one
core, and their load on another; what that costs by itself is seen beside a section in
which both share a core.
"""

from __future__ import annotations

from argparse import ArgumentDefaultsHelpFormatter, ArgumentParser, Namespace
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import figures
import plots
import trustme
from clients import CLIENTS
from figures import FLOOR, Sample
from load import DEFLATE, ECHO, Shape
from processes import HERE, Process, Subject, pin, started
from report import ON_ONE_CORE, OURS, Measure, Section, written
from rich.progress import Progress
from servers import SERVERS

LIBRARIES = [
    Subject(name, loop)
    for name, loops in SERVERS.items()
    for loop in loops
    if name != FLOOR
]
ALL = [
    *LIBRARIES,
    *(Subject(FLOOR, loop) for loop in SERVERS[FLOOR]),
    *(Subject(OURS, loop, pure=True) for loop in SERVERS[OURS]),
]
OWN = [subject for subject in LIBRARIES if subject.name == OURS]
# The others do not compress.
COMPRESSING = [s for s in LIBRARIES if s.name not in ("picows", "trio-websocket")]
CALLERS = [Subject(name, loop) for name, loops in CLIENTS.items() for loop in loops]
# These open thousands of connections for each sample.
COSTLY = {"Memory", "Growth"}
TLS = [shape for shape in ECHO if shape.name in ("16 B", "125 B x 100", "64 KiB")]


def server(subject: Subject, *options: str) -> AbstractContextManager[Process]:
    """Run a server."""
    words = (subject.name, subject.loop, *options)
    return started("servers.py", *words, pure=subject.pure)


@contextmanager
def echoing(
    seconds: float,
    subjects: Sequence[Subject],
    shapes: Sequence[Shape],
    *options: str,
    certificate: Path | None = None,
    core: int = 0,
) -> Iterator[Measure]:
    """Have all servers run, and measure one after the other; the load is on a core."""
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
    """Have a server run on a core for clients to be measured with."""
    named = {shape.name: shape for shape in shapes}
    with started("load.py", core=core) as peer:
        yield lambda subject, column: figures.client(
            subject, named[column], seconds, peer
        )


@contextmanager
def afresh(
    figure: Callable[[Process, str], Sample], *options: str
) -> Iterator[Measure]:
    """Start a server for each sample."""

    def measure(subject: Subject, column: str) -> Sample:
        with server(subject, *options) as process:
            return figure(process, column)

    yield measure


def sections(args: Namespace, certificate: Path) -> list[Section]:
    """Say what there is to measure."""
    seconds: float = args.seconds
    crowd: int = args.crowd
    few = max(1, crowd // 3)
    return [
        Section("Echo", "µs", ALL, names(ECHO), echoing(seconds, ALL, ECHO)),
        Section(
            f"Echo{ON_ONE_CORE}",
            "µs",
            ALL,
            names(ECHO),
            echoing(seconds, ALL, ECHO, core=-1),
        ),
        Section("Clients", "µs", CALLERS, names(ECHO), calling(seconds, ECHO)),
        Section(
            f"Clients{ON_ONE_CORE}",
            "µs",
            CALLERS,
            names(ECHO),
            calling(seconds, ECHO, core=-1),
        ),
        Section(
            "Echo over TLS",
            "µs",
            LIBRARIES,
            names(TLS),
            echoing(seconds, LIBRARIES, TLS, certificate=certificate),
        ),
        Section(
            "Echo with permessage-deflate",
            "µs",
            COMPRESSING,
            names(DEFLATE),
            echoing(seconds, COMPRESSING, DEFLATE, "deflate"),
        ),
        Section(
            "Opening and closing",
            "µs",
            LIBRARIES,
            [str(few)],
            afresh(lambda process, _: figures.handshakes(process, few)),
        ),
        Section(
            "Memory",
            "KiB",
            LIBRARIES,
            [str(crowd)],
            afresh(lambda process, _: figures.memory(process, crowd)),
        ),
        Section(
            "Broadcast",
            "µs",
            LIBRARIES,
            [str(few)],
            afresh(lambda process, _: figures.broadcast(process, few), "broadcast"),
        ),
        Section(
            "Growth",
            "µs",
            OWN,
            [str(10**n) for n in range(9) if 10**n <= args.most],
            afresh(lambda process, n: figures.growth(process, int(n), seconds)),
        ),
        Section("Importing", "ms", LIBRARIES, ["import"], importing()),
    ]


def names(shapes: Sequence[Shape]) -> list[str]:
    """Name the columns of some shapes."""
    return [shape.name for shape in shapes]


@contextmanager
def importing() -> Iterator[Measure]:
    """Need nothing that runs."""
    yield lambda subject, column: figures.importing(subject)


def main() -> None:
    """Measure what is asked for, and write it down."""
    parser = ArgumentParser(
        description=(__doc__ or "").partition("\n")[0],
        formatter_class=ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument("--rounds", type=int, default=5, help="samples of each figure")
    parser.add_argument("--seconds", type=float, default=0.3, help="that one takes")
    parser.add_argument("--crowd", type=int, default=3000, help="idle connections")
    parser.add_argument("--most", type=int, default=10_000, help="for growth")
    parser.add_argument("--only", action="append", help="the title of a section")
    parser.add_argument("--out", type=Path, default=HERE, help="where to write")
    args = parser.parse_args()
    pin(0, 0)
    with TemporaryDirectory() as folder:
        certificate = Path(folder, "certificate.pem")
        authority = trustme.CA()
        identity = authority.issue_cert("127.0.0.1")
        # One file for both ends: the key, the chain, and whom to trust.
        identity.private_key_and_cert_chain_pem.write_to_path(certificate)
        authority.cert_pem.write_to_path(certificate, append=True)
        wanted = [
            section
            for section in sections(args, certificate)
            if not args.only or section.title in args.only
        ]
        with Progress() as progress:
            for section in wanted:
                measure(section, args.rounds, progress)
    args.out.mkdir(exist_ok=True)
    (args.out / "report.md").write_text(written(wanted, args.rounds, args.seconds))
    plots.draw(wanted, args.out)


def measure(section: Section, rounds: int, progress: Progress) -> None:
    """Fill a section with samples."""
    if section.title in COSTLY:
        rounds = min(rounds, 3)
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
