"""The tables of the documentation and of README.md, from the report.

``python tables.py`` writes them again from ``report.md``, and so does a complete run of
the benchmark. Nobody types a figure, so what the pages say is what the report says. In
a table of libraries, the least value of each column is in bold.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
OURS = "anyio_websocket"
LOOPS = ("asyncio", "uvloop", "trio")
ONE_CORE = ", load on the same core"
# They show a limit, or the library in another way, and do not compete.
BESIDE = re.compile(rf"C,|bytes over anyio,|{OURS} (in Python|one by one),")
CALLBACKS = {"picows, asyncio", "picows, uvloop"}
# Their columns are numbers of connections, or compare the library with itself.
OWN = ("Broadcast among stuck peers", "Growth", "Beside health checks", "Targets")
# Whose round trips the page has as a table.
LATENCIES = ("Busy connections", "Broadcast among stuck peers")
# The columns of the short table: a section, its column if it has several, and a name.
SHORT = (
    (f"Echo{ONE_CORE}", "16 B", "16 B"),
    (f"Echo{ONE_CORE}", "125 B x 100", "125 B x 100"),
    (f"Echo{ONE_CORE}", "64 KiB", "64 KiB"),
    (f"Echo{ONE_CORE}", "1 MiB", "1 MiB"),
    (f"Echo over TLS{ONE_CORE}", "16 B", "16 B, TLS"),
    ("Opening and closing", "", "open, close"),
    ("Memory", "", "idle, KiB"),
)
SHORT_ROWS = (
    *(f"{OURS}, asyncio", f"{OURS}, trio", "picows, asyncio"),
    *("picows.websockets, asyncio", "aiohttp, asyncio", "websockets, asyncio"),
    *("websockets, trio", "trio-websocket, trio", "C, epoll"),
)
README_TABLE = re.compile(r"(?<=<!-- measured -->\n\n)(\|.+\n)+")
Cells = list[list[str]]


@dataclass
class Table:
    """A table of the report: the names of its columns, and its rows by their names."""

    columns: list[str]
    rows: dict[str, list[str]]

    def figure(self, row: str, column: str) -> str:
        """Return the minimum of a value as the report writes it."""
        place = self.columns.index(column) if column else 0
        return self.rows[row][place].partition(" (")[0]

    def best(self, column: str, rows: Iterable[str]) -> str:
        """Name the library that takes least, of those that compete."""
        competing = [row for row in rows if not BESIDE.match(row)]
        return min(competing, key=lambda row: float(self.figure(row, column)))


def slug(title: str) -> str:
    """Name the files of a section."""
    return title.lower().replace(",", "").replace(" ", "-")


def parsed(report: str) -> dict[str, list[Table]]:
    """Return the tables of each section of a report."""
    sections = {}
    for section in report.split("\n## ")[1:]:
        title = section.partition("\n")[0].partition(" (")[0]
        sections[title] = [
            _table(match[0]) for match in re.finditer(r"(?:^\|.*\n)+", section, re.M)
        ]
    return sections


def _table(text: str) -> Table:
    lines = [[cell.strip() for cell in x.split("|")[1:-1]] for x in text.splitlines()]
    if lines[0][0] == "value":  # the targets, whose first cells are not unique
        return Table(lines[0], {str(n): cells for n, cells in enumerate(lines[2:])})
    return Table(lines[0][1:], {cells[0]: cells[1:] for cells in lines[2:]})


def _values(table: Table, *, is_contest: bool) -> Cells:
    """Return a table of minima, as text in reStructuredText."""
    best = [
        table.best(column, table.rows) if is_contest else "" for column in table.columns
    ]
    rows = [
        [
            f"**{row}**" if row.startswith(OURS) else row,
            *(
                f"**{figure}**" if row == least else figure
                for column, least in zip(table.columns, best, strict=True)
                for figure in [table.figure(row, column)]
            ),
        ]
        for row in table.rows
    ]
    return [["", *table.columns], *rows]


def _latencies(table: Table) -> Cells:
    rows = [
        [f"**{row}**" if row.startswith(OURS) else row, *cells]
        for row, cells in table.rows.items()
    ]
    return [["", *table.columns], *rows]


def _short(sections: dict[str, list[Table]], bold: str = "**") -> Cells:
    tables = [(sections[title][0], column) for title, column, _ in SHORT]
    rows = []
    for row in SHORT_ROWS:
        cells = [f"{bold}{row}{bold}" if row.startswith(OURS) else row]
        for table, column in tables:
            figure = table.figure(row, column) if row in table.rows else ""
            least = table.best(column, SHORT_ROWS)
            cells.append(f"**{figure}**" if row == least else figure)
        if any(cells[1:]):
            rows.append(cells)
    return [["", *(name for *_, name in SHORT)], *rows]


def _ahead(sections: dict[str, list[Table]]) -> Cells:
    """Return a row for each value that another library has less of, on its loop.

    Callbacks are apart from coroutines, of which the best library is in the row.
    """
    rows = []
    for title, tables in sections.items():
        if title in OWN:
            continue
        for column in tables[0].columns:
            for loop in LOOPS:
                ours = f"{OURS}, {loop}"
                others = {row for row in tables[0].rows if row.endswith(loop)} - {ours}
                least = float(tables[0].figure(ours, column))
                for group in (others & CALLBACKS, others - CALLBACKS):
                    if not group:
                        continue
                    theirs = tables[0].best(column, sorted(group))
                    best = float(tables[0].figure(theirs, column))
                    if best < least:
                        cells = [f"{title}: {column}", theirs, f"{least / best:.2f}"]
                        rows.append(cells)
    return [["", "library", "ratio"], *(rows or [["none", "", ""]])]


def _targets(table: Table) -> Cells:
    """Return the targets of each value in a row, with a cell for each loop."""
    rows: dict[str, dict[str, list[str]]] = {}
    for value, of, to, most, measured, met in table.rows.values():
        name, loop = of.rsplit(", ", 1)
        variant = name.removeprefix(OURS)
        ratio = measured.partition(" (")[0]
        shown = ratio if met == "yes" else f"**{ratio}**"
        other = to.removesuffix(f", {loop}").replace(OURS, "our own")
        line = f"| {shown} / {most}, {other}"
        cells = rows.setdefault(f"{value}{variant and ','}{variant}", {})
        cells.setdefault(loop, []).append(line)
    return [
        ["", *LOOPS],
        *(
            [value, *("\n".join(cells.get(loop, [])) for loop in LOOPS)]
            for value, cells in rows.items()
        ),
    ]


def _csv(cells: Cells) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(cells)
    return text.getvalue()


def _markdown(cells: Sequence[Sequence[str]]) -> str:
    head, *rows = cells
    ruler = ["---", *("---:" for _ in head[1:])]
    return "".join(f"| {' | '.join(row)} |\n" for row in (head, ruler, *rows))


def written(report: str, readme: str) -> Iterator[tuple[str, str]]:
    """Yield the name, from the top of the repository, and the text of each file."""
    sections = parsed(report)
    folder = "bench/tables"
    _, how, *_ = report.split("\n\n")
    yield f"{folder}/how.rst", f"{how.replace('`', '``')}\n"
    for title, tables in sections.items():
        if title == "Targets":
            yield f"{folder}/targets.csv", _csv(_targets(tables[0]))
            continue
        values = _values(tables[0], is_contest=title not in OWN)
        yield f"{folder}/{slug(title)}.csv", _csv(values)
        if title in LATENCIES:
            latencies = _csv(_latencies(tables[1]))
            yield f"{folder}/{slug(title)}-latency.csv", latencies
    yield f"{folder}/ahead.csv", _csv(_ahead(sections))
    short = _short(sections)
    yield f"{folder}/short.csv", _csv(short)
    table = _markdown(_short(sections, bold=""))
    yield "README.md", README_TABLE.sub(lambda _: table, readme)


def main() -> None:
    """Write all tables."""
    report = Path(__file__).with_name("report.md").read_text("utf-8")
    readme = (ROOT / "README.md").read_text("utf-8")
    for name, text in written(report, readme):
        path = ROOT / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, "utf-8", newline="\n")


if __name__ == "__main__":
    main()
