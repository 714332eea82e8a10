"""The report: a table for each section, and what was to be reached beside what was."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from importlib.metadata import version

from figures import FLOOR, Sample
from processes import Subject, machine

OURS = "anyio_websocket"
ON_ONE_CORE = ", load on the same core"
PACKAGES = (
    *(OURS, "anyio", "trio", "uvloop", "aiohttp", "picows", "websockets"),
    "trio-websocket",
)
Measure = Callable[[Subject, str], Sample]


@dataclass
class Section:
    """One table.

    :param title: what it shows
    :param unit: of its values
    :param subjects: its rows
    :param columns: what is measured of each
    :param measuring: takes a sample, once it was entered
    :param samples: what was found, for each row and column

    """

    title: str
    unit: str
    subjects: Sequence[Subject]
    columns: Sequence[str]
    measuring: AbstractContextManager[Measure]
    samples: dict[tuple[Subject, str], list[Sample]] = field(default_factory=dict)

    def least(self, subject: Subject, column: str) -> float:
        """The smallest value that was measured."""
        return min(sample.value for sample in self.samples[subject, column])

    def median(self, subject: Subject, column: str, what: str = "value") -> float:
        """The median of what was measured."""
        samples = self.samples[subject, column]
        return float(statistics.median(getattr(sample, what) for sample in samples))


ABOUT = {
    "Echo": """CPU time of the server for each message that it sends back. "Bytes over
anyio" parses nothing: it is what the event loop's own streams take to receive and send
as many bytes. "In Python" is without the loops in C.""",
    f"Echo{ON_ONE_CORE}": """The same, with the load on the server's own core. Where
cores are virtual, to wake a process on another one takes an interrupt through the host,
which is charged to who wakes it: here it costs more than everything else that is done
for a short message, and is the same for all. Side by side nobody has to be woken so,
and what is left is what the library and the kernel's sockets take.""",
    "Clients": "CPU time of the client for one message there and one back.",
    f"Clients{ON_ONE_CORE}": "The same, with the server on the client's own core.",
    "Echo over TLS": "The same as the first, over TLS.",
    "Echo with permessage-deflate": """The same, compressed with each library's own
settings; zlib is the standard library's. The load's own messages are each compressed
afresh.""",
    "Opening and closing": """CPU time of the server for one connection: it is accepted,
opened and closed by both handshakes. The column is how many of them were measured.""",
    "Memory": "Resident memory of the server for each of so many idle connections.",
    "Broadcast": """CPU time of the server for each recipient, of so many, of a message
of 125 bytes.""",
    "Growth": """CPU time of the server for each message of 16 bytes at so many
connections, of which ten take turns and the others idle.""",
    "Importing": """CPU time of a Python that imports the event loop and what serves,
start of the interpreter included.""",
}


@dataclass(frozen=True)
class Goal:
    """How much of another's cost ours may have at the most."""

    title: str
    column: str
    ours: Subject
    theirs: Subject
    ratio: float
    theirs_column: str = ""


def _goals() -> Iterator[Goal]:
    asyncio, uvloop, trio = (Subject(OURS, x) for x in ("asyncio", "uvloop", "trio"))
    picows, picows_uvloop = Subject("picows", "asyncio"), Subject("picows", "uvloop")
    aiohttp = Subject("aiohttp", "asyncio")
    websockets_uvloop = Subject("websockets", "uvloop")
    websockets_trio = Subject("websockets", "trio")
    for column, ours, theirs, ratio in (
        ("16 B", asyncio, aiohttp, 0.60),
        ("16 B", asyncio, Subject(FLOOR, "asyncio"), 0.45),
        ("16 B", uvloop, websockets_uvloop, 0.70),
        ("16 B", uvloop, Subject(FLOOR, "uvloop"), 0.90),
        ("16 B", trio, websockets_trio, 0.40),
        ("16 B", trio, Subject("trio-websocket", "trio"), 0.40),
        ("16 B", trio, Subject(FLOOR, "trio"), 1.40),
        ("125 B x 100", asyncio, picows, 0.45),
        ("125 B x 100", uvloop, picows_uvloop, 0.45),
        ("125 B x 100", trio, picows, 0.45),
        ("4 KiB x 32", asyncio, picows, 0.70),
        ("4 KiB x 32", uvloop, picows_uvloop, 0.75),
        ("4 KiB x 32", trio, picows, 0.70),
        ("64 KiB", asyncio, aiohttp, 1.0),
        ("64 KiB", uvloop, websockets_uvloop, 0.70),
        ("64 KiB", trio, websockets_trio, 0.50),
        ("1 MiB", asyncio, picows, 1.1),
        ("1 MiB", uvloop, picows_uvloop, 1.1),
        ("1 MiB", trio, websockets_trio, 0.60),
    ):
        yield Goal("Echo", column, ours, theirs, ratio)
    for column, ratio in (("16 B", 1.2), ("125 B x 100", 1.8)):
        for ours in (asyncio, uvloop, trio):
            pure = Subject(OURS, ours.loop, pure=True)
            yield Goal("Echo", column, pure, ours, ratio)
            yield Goal("Echo", column, pure, Subject("websockets", ours.loop), 1.0)
    for column in ("16 B", "125 B x 100", "4 KiB x 32", "64 KiB", "1 MiB"):
        for ours in (asyncio, uvloop, trio):
            yield Goal("Clients", column, ours, Subject("websockets", ours.loop), 1.0)
            if ours is not trio:
                yield Goal("Clients", column, ours, Subject("aiohttp", ours.loop), 1.0)
        yield Goal("Clients", column, trio, Subject("trio-websocket", "trio"), 1.0)
    for ours in (asyncio, uvloop, trio):
        theirs = Subject("websockets", ours.loop)
        yield Goal("Opening and closing", "", ours, theirs, 0.75)
        yield Goal("Growth", "10000", ours, ours, 1.3, "10")


GOALS = tuple(_goals())
IDLE = 9.0  # KiB of an idle connection, at the most


def written(sections: Sequence[Section], rounds: int, seconds: float) -> str:
    """Write the report."""
    packages = ", ".join(f"{name} {version(name)}" for name in PACKAGES)
    parts = [
        "# What a message costs",
        f"""Measured by `nox -s bench`, {rounds} rounds of {seconds:g} s for each value,
in which all take turns. {machine()}. {packages}. Values are minima of the rounds, with
their median in brackets; lower is better.""",
    ]
    for section in sections:
        parts += [f"## {section.title} ({section.unit})", ABOUT[section.title]]
        parts.append(_values(section))
        if any(sample.p99 for all_ in section.samples.values() for sample in all_):
            parts += [
                "Round trip of all messages of a round: median / 99th percentile, µs.",
                _latencies(section),
            ]
    parts += ["## What was to be reached", _reached(sections)]
    return "\n\n".join(parts) + "\n"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    ruler = ["---", *("---:" for _ in head[1:])]
    return "\n".join(f"| {' | '.join(row)} |" for row in (head, ruler, *rows))


def _number(value: float) -> str:
    return (
        f"{value:.2f}"
        if value < 10
        else f"{value:.1f}"
        if value < 100
        else f"{value:.0f}"
    )


def _values(section: Section) -> str:
    return _table(
        ["", *section.columns],
        [
            [
                str(subject),
                *(
                    f"{_number(section.least(subject, column))}"
                    f" ({_number(section.median(subject, column))})"
                    for column in section.columns
                ),
            ]
            for subject in section.subjects
        ],
    )


def _latencies(section: Section) -> str:
    return _table(
        ["", *section.columns],
        [
            [
                str(subject),
                *(
                    f"{_number(section.median(subject, column, 'p50'))}"
                    f" / {_number(section.median(subject, column, 'p99'))}"
                    for column in section.columns
                ),
            ]
            for subject in section.subjects
        ],
    )


def _reached(sections: Sequence[Section]) -> str:
    titled = {section.title: section for section in sections}
    rows = []
    for goal in GOALS:
        section = titled.get(goal.title)
        column = goal.column or (section.columns[0] if section else "")
        if section is None or column not in section.columns:
            continue
        other = goal.theirs_column or column
        theirs = f"{goal.theirs} at {other}" if other != column else str(goal.theirs)
        ratios = [
            (
                where.least(goal.ours, column) / where.least(goal.theirs, other),
                where.median(goal.ours, column) / where.median(goal.theirs, other),
            )
            for where in (section, titled.get(goal.title + ON_ONE_CORE))
            if where is not None
        ]
        shown = [f"{least:.2f} ({median:.2f})" for least, median in ratios]
        reached = [least <= goal.ratio for least, _ in ratios]
        rows.append(
            [
                f"{goal.title}, {column}",
                *(str(goal.ours), theirs, f"{goal.ratio:.2f}"),
                *(shown if len(shown) > 1 else [*shown, ""]),
                "yes" if reached[0] else "on one core" if any(reached) else "**no**",
            ]
        )
    if "Memory" in titled:
        section = titled["Memory"]
        for subject in section.subjects:
            if subject.name == OURS:
                least = section.least(subject, section.columns[0])
                rows.append(
                    [
                        *("Memory", str(subject), "KiB"),
                        *(f"{IDLE:.2f}", f"{least:.2f}", ""),
                        "yes" if least <= IDLE else "**no**",
                    ]
                )
    head = ["figure", "of", "to", "at most", "measured", "on one core", "reached"]
    return _table(head, rows)
