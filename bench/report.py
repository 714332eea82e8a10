"""The report: a table per section, and a table of targets beside what was measured."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from importlib.metadata import version

from figures import Sample
from processes import BEFORE, IN_C, IN_PYTHON, Subject, machine

OURS = "anyio_websocket"
ON_ONE_CORE = ", load on the same core"
DEFLATE_LEVELS = {
    level: f"Echo with permessage-deflate at level {level}{ON_ONE_CORE}"
    for level in (1, 6)
}
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
the same number of bytes. "C" is a program in C that does no more than wait, receive,
unmask and send; no server can take less. "In Python" is without the functions in C, and
"before" is the earlier version that `--before` names.""",
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
    f"Echo over TLS{ON_ONE_CORE}": "The same, with the load on the core of the server.",
    "Echo with permessage-deflate": """The same, compressed with the default settings of
each library, by the zlib of the standard library. The load compresses each of its
messages without context takeover.""",
    DEFLATE_LEVELS[1]: """The same at level 1 of zlib, with a window of 15 bits and the
memory level 8: what aiohttp does, and has no option for.""",
    DEFLATE_LEVELS[6]: """The same at level 6: what picows.websockets does.""",
    "Busy connections": """CPU time of the server per message of 16 bytes, while all
connections are busy: each sends the next message when the one before has come back. The
column is the number of connections.""",
    "Opening and closing": """CPU time of the server per connection: it accepts the
connection and does the opening and the closing handshake. The column is the number of
connections.""",
    "Opening and closing over TLS": """The same with the handshake of TLS 1.3. "Resumed"
is with the session of an earlier connection, which saves the certificate and its
signature.""",
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


ABOUT_TARGETS = """Each value of anyio_websocket as a ratio to another one of the same
run: to one library, or to the best of several, which is the one that is named."""


@dataclass(frozen=True)
class Goal:
    """A target: our value, at most so much of the best of others."""

    title: str
    column: str
    ours: Subject
    theirs: tuple[Subject, ...]
    ratio: float
    theirs_column: str = ""


ASYNCIO, UVLOOP, TRIO = (Subject(OURS, loop) for loop in ("asyncio", "uvloop", "trio"))
OWN = (ASYNCIO, UVLOOP, TRIO)
IDLE = {ASYNCIO: 8.0, UVLOOP: 8.0, TRIO: 8.5}  # KiB of an idle connection, at most
NOT_SLOWER = 1.05  # for the noise between two measurements of the same code
Ratios = tuple[tuple[Sequence[Subject], float], ...]  # the others, and at most so much


def _picows(loop: str) -> list[Subject]:
    return [Subject("picows.websockets", loop)]


def _websockets(loop: str) -> list[Subject]:
    return [Subject("websockets", loop)]


def _aiohttp(loop: str) -> list[Subject]:
    return [Subject("aiohttp", loop)]


def _peers(loop: str) -> list[Subject]:
    """Return the others with coroutines on an event loop."""
    if loop == "trio":
        return [*_websockets("trio"), Subject("trio-websocket", "trio")]
    return [*_picows(loop), *_aiohttp(loop), *_websockets(loop)]


def _goals() -> Iterator[Goal]:
    limit = [Subject(IN_C, "epoll")]
    rows: list[tuple[str, Sequence[str], tuple[Ratios, Ratios, Ratios]]] = [
        (
            f"Echo{ON_ONE_CORE}",
            ["16 B"],
            (
                ((_picows("asyncio"), 0.95), (limit, 1.6)),
                ((_picows("uvloop"), 0.95), (_aiohttp("uvloop"), 0.9), (limit, 1.35)),
                ((_websockets("trio"), 0.22),),
            ),
        ),
        (
            "Echo",
            ["16 B"],
            (
                ((_picows("asyncio"), 1.0), (limit, 1.2)),
                ((_picows("uvloop"), 1.0),),
                ((_websockets("trio"), 0.4),),
            ),
        ),
        (
            f"Echo{ON_ONE_CORE}",
            ["125 B x 100", "4 KiB x 32"],
            (
                ((_picows("asyncio"), 0.45),),
                ((_picows("uvloop"), 0.45),),
                ((_picows("asyncio"), 0.5),),
            ),
        ),
        (
            f"Echo{ON_ONE_CORE}",
            ["64 KiB"],
            (
                ((_peers("asyncio"), 0.97),),
                ((_peers("uvloop"), 0.97),),
                ((_peers("asyncio"), 1.0),),
            ),
        ),
        (
            f"Echo{ON_ONE_CORE}",
            ["1 MiB"],
            (
                ((_peers("asyncio"), 1.0),),
                ((_peers("uvloop"), 1.0),),
                ((_peers("asyncio"), 1.0),),
            ),
        ),
        (
            f"Echo over TLS{ON_ONE_CORE}",
            ["16 B", "64 KiB"],
            (
                ((_picows("asyncio"), 1.0),),
                ((_picows("uvloop"), 1.0),),
                ((_websockets("trio"), 0.45),),
            ),
        ),
        (
            "Opening and closing",
            [""],
            (
                ((_aiohttp("asyncio"), 1.0),),
                ((_aiohttp("uvloop"), 1.1),),
                ((_websockets("trio"), 0.5),),
            ),
        ),
        *(
            (
                title,
                ["1 KiB of JSON", "1 KiB of JSON x 32"],
                (
                    ((_peers("asyncio"), 0.9),),
                    ((_peers("uvloop"), 0.9),),
                    ((_websockets("trio"), 0.5),),
                ),
            )
            for title in DEFLATE_LEVELS.values()
        ),
        (
            "Importing",
            [""],
            (
                ((_websockets("asyncio"), 1.3),),
                (),
                (([Subject("trio-websocket", "trio")], 1.15),),
            ),
        ),
        *(
            (
                title,
                ["16 B", "125 B x 100", "4 KiB x 32", "64 KiB", "1 MiB"],
                (
                    ((_peers("asyncio"), 1.0),),
                    ((_peers("uvloop"), 1.0),),
                    ((_peers("trio"), 1.0),),
                ),
            )
            for title in (f"Clients{ON_ONE_CORE}", "Clients")
        ),
    ]
    for title, columns, of_each in rows:
        for column in columns:
            for ours, ratios in zip(OWN, of_each, strict=True):
                for theirs, ratio in ratios:
                    yield Goal(title, column, ours, tuple(theirs), ratio)
    for ours in OWN:
        pure = Subject(OURS, ours.loop, IN_PYTHON)
        title = f"Echo{ON_ONE_CORE}"
        yield Goal(title, "16 B", pure, tuple(_websockets(ours.loop)), 1.0)
        yield Goal(title, "125 B x 100", pure, (ours,), 2.2)
        before = Subject(OURS, ours.loop, BEFORE)
        for title in ("Echo", f"Echo{ON_ONE_CORE}"):
            yield Goal(title, "16 B", ours, (before,), NOT_SLOWER)
        loop = "asyncio" if ours is TRIO else ours.loop
        yield Goal("Broadcast", "", ours, (Subject("picows", loop),), 0.70)
        yield Goal("Growth", "10000", ours, (ours,), 1.3, "10")
        name, columns = "Beside health checks", ("2000 a second", "0 a second")
        yield Goal(name, columns[0], ours, (ours,), 1.2, columns[1])


GOALS = tuple(_goals())


def written(
    sections: Sequence[Section], rounds: int, seconds: float, load: float
) -> str:
    """Return the text of the report.

    :param load: the load average of the machine before anything was measured
    """
    packages = ", ".join(f"{name} {version(name)}" for name in PACKAGES)
    parts = [
        "# What a message costs",
        f"""Measured by `nox -s bench`, {rounds} rounds of {seconds:g} s per value, or
fewer where one takes long; each round measures every library once. {machine()};
load average {load:.1f} when it began. {packages}. A value is the minimum of the
rounds, with the median in parentheses; lower is better.""",
    ]
    for section in sections:
        parts += [f"## {section.title} ({section.unit})", ABOUT[section.title]]
        parts.append(_values(section))
        if any(sample.p99 for all_ in section.samples.values() for sample in all_):
            parts += [
                "Time until all messages came back: median / 99th percentile, µs.",
                _latencies(section),
            ]
    parts += ["## Targets", ABOUT_TARGETS, _targets(sections)]
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
        others = [subject for subject in goal.theirs if subject in section.subjects]
        if goal.ours not in section.subjects or not others:
            continue
        other = goal.theirs_column or column
        best = min(others, key=lambda subject: section.least(subject, other))
        theirs = f"{best} at {other}" if other != column else str(best)
        least = section.least(goal.ours, column) / section.least(best, other)
        median = section.median(goal.ours, column) / section.median(best, other)
        rows.append(
            [
                *(f"{goal.title}: {column}", str(goal.ours), theirs),
                *(f"{goal.ratio:.2f}", f"{least:.2f} ({median:.2f})"),
                _mark(is_met=least <= goal.ratio),
            ]
        )
    if memory := titled.get("Memory"):
        for subject in memory.subjects:
            if subject in IDLE:
                least = memory.least(subject, memory.columns[0])
                rows.append(
                    [
                        *("Memory", str(subject), "KiB", f"{IDLE[subject]:.2f}"),
                        *(f"{least:.2f}", _mark(is_met=least <= IDLE[subject])),
                    ]
                )
    return _table(["value", "of", "to", "at most", "measured", "met"], rows)


def _mark(*, is_met: bool) -> str:
    return "yes" if is_met else "**no**"
