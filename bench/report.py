"""The report: a table per section, and a table of targets beside what was measured."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from importlib.metadata import version

from figures import FLOOR, Sample
from processes import BEFORE, IN_PYTHON, Subject, machine

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

    :param title: the heading
    :param unit: the unit of the values
    :param subjects: the rows
    :param columns: the columns: what is measured of each row
    :param measuring: a context manager; it returns the function that takes a sample
    :param samples: the samples of each row and column

    """

    title: str
    unit: str
    subjects: Sequence[Subject]
    columns: Sequence[str]
    measuring: AbstractContextManager[Measure]
    samples: dict[tuple[Subject, str], list[Sample]] = field(default_factory=dict)

    def least(self, subject: Subject, column: str) -> float:
        """Return the minimum of the samples."""
        return min(sample.value for sample in self.samples[subject, column])

    def median(self, subject: Subject, column: str, what: str = "value") -> float:
        """Return the median of the samples."""
        samples = self.samples[subject, column]
        return float(statistics.median(getattr(sample, what) for sample in samples))


ABOUT = {
    "Echo": """CPU time of the server per message that it echoes. "Bytes over anyio"
parses nothing: it is the time in which the streams of the event loop receive and send
the same number of bytes. "In Python" is without the functions in C, and "before" is the
earlier version that `--before` names.""",
    f"Echo{ON_ONE_CORE}": """The same, with the load on the core of the server. On
virtual cores, waking a process on another core takes an interrupt through the host, and
the process that wakes it pays for that. For short messages this costs more than all the
rest, and is the same for all libraries. On one core there is no such interrupt, so
these values are the cost of the library and of the kernel's sockets.""",
    "Clients": """CPU time of the client per message sent and received. A client of
anyio_websocket sends the messages of a round with `send_messages()`. "One by one" is
one that sends each with `send_message()`, as the other libraries do.""",
    f"Clients{ON_ONE_CORE}": "The same, with the server on the core of the client.",
    "Echo over TLS": "The same as in the first section, over TLS.",
    "Echo with permessage-deflate": """The same, compressed with the default settings of
each library, by the zlib of the standard library. The load compresses each of its
messages without context takeover.""",
    "Opening and closing": """CPU time of the server per connection: it accepts the
connection and does the opening and the closing handshake. The column is the number of
connections.""",
    "Memory": """Resident memory of the server per idle connection. The column is the
number of connections.""",
    "Broadcast": """CPU time of the server per recipient, for a message of 125 bytes to
all clients. The column is the number of clients.""",
    "Broadcast among stuck peers": """One client in a hundred never reads. Resident
memory of the server that each of these takes, once they are too slow for broadcasts,
and the time until each of the others has a message of 125 bytes. The column is the
number of clients.""",
    "Growth": """CPU time of the server per message of 16 bytes, by the number of
connections. Ten connections take turns, and the others are idle.""",
    "Health checks": """CPU time of the server per health check: it accepts a
connection, answers `GET /healthz`, and closes it. The column is the number of
checks, one after the other.""",
    "Beside health checks": """How long busy connections wait for an echo, as the 99th
percentile, while health checks are made at the rate that is the column. There are a
third as many of them as `--crowd` says, 1000 by default, with 5 messages of 125 bytes a
second on each. It is `inf` if the server did not answer so many checks.""",
    "Importing": """CPU time of a Python process that imports the event loop and the
server of the library, including the start of the interpreter.""",
}


@dataclass(frozen=True)
class Goal:
    """A target: our value, at most so much of another one."""

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
    for column in ("125 B x 100", "4 KiB x 32"):
        for ours, loop, ratio in (
            (asyncio, "asyncio", 0.45),
            (uvloop, "uvloop", 0.45),
            (trio, "asyncio", 0.50),
        ):
            theirs = Subject("picows.websockets", loop)
            yield Goal("Echo", column, ours, theirs, ratio)
    for ours in (asyncio, uvloop, trio):
        before = Subject(OURS, ours.loop, BEFORE)
        yield Goal("Echo", "16 B", ours, before, NOT_SLOWER)
    for column, ratio in (("16 B", 1.2), ("125 B x 100", 1.8)):
        for ours in (asyncio, uvloop, trio):
            pure = Subject(OURS, ours.loop, IN_PYTHON)
            yield Goal("Echo", column, pure, ours, ratio)
            yield Goal("Echo", column, pure, Subject("websockets", ours.loop), 1.0)
    for column in ("16 B", "125 B x 100", "4 KiB x 32", "64 KiB", "1 MiB"):
        for ours in (asyncio, uvloop, trio):
            yield Goal("Clients", column, ours, Subject("websockets", ours.loop), 1.0)
            if ours is not trio:
                yield Goal("Clients", column, ours, Subject("aiohttp", ours.loop), 1.0)
        yield Goal("Clients", column, trio, Subject("trio-websocket", "trio"), 1.0)
    for ours in (asyncio, uvloop, trio):
        for loop in ("asyncio", "uvloop"):
            if ours is trio or ours.loop == loop:
                yield Goal("Broadcast", "", ours, Subject("picows", loop), 0.70)
        theirs = Subject("websockets", ours.loop)
        yield Goal("Opening and closing", "", ours, theirs, 0.75)
        yield Goal("Growth", "10000", ours, ours, 1.3, "10")
        name, columns = "Beside health checks", ("2000 a second", "0 a second")
        yield Goal(name, columns[0], ours, ours, 1.2, columns[1])


NOT_SLOWER = 1.05  # for the noise between two measurements of the same code
GOALS = tuple(_goals())
IDLE = 9.0  # KiB; the target for an idle connection


def written(sections: Sequence[Section], rounds: int, seconds: float) -> str:
    """Return the text of the report."""
    packages = ", ".join(f"{name} {version(name)}" for name in PACKAGES)
    parts = [
        "# What a message costs",
        f"""Measured by `nox -s bench`, {rounds} rounds of {seconds:g} s per value; each
round measures every library once. {machine()}. {packages}. A value is the minimum of
the rounds, with the median in parentheses; lower is better.""",
    ]
    for section in sections:
        parts += [f"## {section.title} ({section.unit})", ABOUT[section.title]]
        parts.append(_values(section))
        if any(sample.p99 for all_ in section.samples.values() for sample in all_):
            parts += [
                "Time until all messages came back: median / 99th percentile, µs.",
                _latencies(section),
            ]
    parts += ["## Targets", _targets(sections)]
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


def _targets(sections: Sequence[Section]) -> str:
    titled = {section.title: section for section in sections}
    rows = []
    for goal in GOALS:
        section = titled.get(goal.title)
        column = goal.column or (section.columns[0] if section else "")
        if section is None or column not in section.columns:
            continue
        if not {goal.ours, goal.theirs} <= set(section.subjects):
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
            if subject.library == OURS:
                least = section.least(subject, section.columns[0])
                rows.append(
                    [
                        *("Memory", str(subject), "KiB"),
                        *(f"{IDLE:.2f}", f"{least:.2f}", ""),
                        "yes" if least <= IDLE else "**no**",
                    ]
                )
    head = ["value", "of", "to", "target", "measured", "on one core", "reached"]
    return _table(head, rows)
