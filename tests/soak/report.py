"""What a soak has shown, as a page and a plot.

In: a run that is over. Out: ``report.md`` and ``soak.png``.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING

from .process import conditions

if TYPE_CHECKING:
    from .run import Soak


def write(soak: Soak, clients: str, out: Path) -> None:
    """Write both.

    :param soak: the run
    :param clients: the event loop of the clients
    :param out: the folder
    """
    text = "\n".join(_lines(soak, clients))
    (out / "report.md").write_text(text, encoding="utf-8")
    plot(soak, out / "soak.png")


def _lines(soak: Soak, clients: str) -> Iterator[str]:
    from .run import ATTACKERS, CLIENTS, TRAPPED

    loops = [course.server.loop for course in soak.courses]
    attacks = sum(course.played.total() for course in soak.courses)
    yield "# Servers among many clients"
    yield ""
    yield f"`nox -s soak -- {soak.seconds:.0f} {' '.join(loops)}`, {conditions()}."
    yield ""
    yield (
        f"{CLIENTS} clients, in one process on {clients}: {ATTACKERS} of them played "
        f"{attacks} attacks, {TRAPPED} fell into {soak.trapped.total()} traps, the "
        f"others had {soak.messages} messages echoed in order, over "
        f"{soak.connections} connections."
    )
    if soak.unjudged:
        yield (
            "Scripts that did not end as they should while the clients' own process "
            f"was late, and are not counted: {soak.unjudged}."
        )
    yield ""
    yield "## Broken promises"
    yield ""
    yield from [f"- {n} times: {t}" for t, n in soak.broken.most_common()] or ["None."]
    yield ""
    yield "## Time that an echo took"
    yield ""
    yield "Of a burst of one or five messages of up to 50 kB, in ms."
    yield ""
    yield "| server | median | p99 | p99.9 | longest |"
    yield "| --- | ---: | ---: | ---: | ---: |"
    for course in soak.courses:
        values = [course.percentile(part) for part in (0.5, 0.01, 0.001, 0)]
        yield f"| {course.server.loop} | {' | '.join(map(str, values))} |"
    yield ""
    yield "## Restart"
    yield ""
    for course in soak.courses:
        if (it := course.restart) is not None:
            yield (
                f"- {course.server.loop}: {it.clients} honest clients were connected; "
                f"{course.told} heard of the end while they were (1001). It stopped "
                f"within {it.stopped:.1f} s, and had 95 % of them again {it.back:.1f} "
                "s after its start."
            )
    yield ""
    yield "## What it took"
    yield ""
    yield "![resident memory, tasks and p99 over time](soak.png)"
    for course in soak.courses:
        yield ""
        yield f"### The server on {course.server.loop}"
        yield ""
        yield "| second | start | resident, MiB | descriptors | tasks | p99, ms |"
        yield "| ---: | ---: | ---: | ---: | ---: | ---: |"
        for m in course.moments[:: max(1, len(course.moments) // 12)]:
            yield (
                f"| {m.at:.0f} | {m.life} | {m.sample.resident:.1f} | "
                f"{m.sample.descriptors} | {m.sample.tasks} | {m.p99:.0f} |"
            )
    yield ""
    yield "### The clients"
    yield ""
    yield "| second | resident, MiB | descriptors | tasks |"
    yield "| ---: | ---: | ---: | ---: |"
    for at, sample in soak.ours[:: max(1, len(soak.ours) // 12)]:
        yield (
            f"| {at:.0f} | {sample.resident:.1f} | {sample.descriptors} | "
            f"{sample.tasks} |"
        )
    yield ""
    yield "## Rows that were played"
    yield ""
    yield "How often; see `docs/topics/reliability.rst` for what they are."
    yield ""
    rows = {row for course in soak.courses for row in course.played} | {*soak.trapped}
    yield f"| row | {' | '.join(f'against {loop}' for loop in loops)} | on a client |"
    yield "| --- |" + " ---: |" * (len(loops) + 1)
    for row in sorted(rows, key=lambda row: (row[0], int(row[1:]))):
        counts = [course.played[row] for course in soak.courses]
        cells = [str(count or "") for count in (*counts, soak.trapped[row])]
        yield f"| {row} | {' | '.join(cells)} |"
    told = [course.told for course in soak.courses]
    yield f"| E11 | {' | '.join(map(str, told))} | |"
    yield ""
    yield "## Promised lines in the servers' logs"
    yield ""
    yield "By the row that promises them. Every other line is a broken promise."
    yield ""
    yield f"| row | {' | '.join(loops)} |"
    yield "| --- |" + " ---: |" * len(loops)
    for row in sorted({row for c in soak.courses for row in c.server.promised}):
        counts = [course.server.promised[row] for course in soak.courses]
        yield f"| {row} | {' | '.join(map(str, counts))} |"
    yield ""


def plot(soak: Soak, path: Path) -> None:
    """Draw memory, tasks and latency over time."""
    from matplotlib import pyplot

    figure, panels = pyplot.subplots(3, sharex=True, figsize=(9, 7.5))
    memory, tasks, latency = panels
    colors = ["tab:blue", "tab:orange", "tab:green"]
    for course, color in zip(soak.courses, colors, strict=False):
        label = f"server, {course.server.loop}"
        for life, group in groupby(course.moments, key=lambda moment: moment.life):
            moments = list(group)
            at = [moment.at for moment in moments]
            style = {"color": color, "label": label if life == 1 else None}
            memory.plot(at, [m.sample.resident for m in moments], **style)
            tasks.plot(at, [m.sample.tasks for m in moments], **style)
            latency.plot(at, [m.p99 for m in moments], linewidth=0.9, **style)
            if life > 1:
                for panel in panels:
                    panel.axvline(at[0], color=color, linestyle=":", linewidth=1)
    at = [at for at, _ in soak.ours]
    style = {"color": "tab:gray", "label": "clients"}
    memory.plot(at, [sample.resident for _, sample in soak.ours], **style)
    tasks.plot(at, [sample.tasks for _, sample in soak.ours], **style)
    memory.set_ylabel("resident, MiB")
    tasks.set_ylabel("tasks")
    latency.set_ylabel("p99 of an echo, ms")
    latency.set_xlabel("seconds; dotted: the server is back after its restart")
    for panel in panels:
        panel.set_ylim(bottom=0)
        panel.grid(alpha=0.3)
        panel.margins(x=0.01)
    memory.legend(loc="lower right", ncols=len(colors) + 1, fontsize="small")
    figure.suptitle(f"{soak.seconds:.0f} seconds among a thousand clients")
    figure.tight_layout()
    figure.savefig(path, dpi=100)
    pyplot.close(figure)
