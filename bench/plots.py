"""The plots beside the report."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import matplotlib as mpl
from processes import IN_C
from report import OURS, Section

mpl.use("Agg")

from matplotlib import pyplot as plt  # after use(): there may be no screen

OURS_COLOR, OTHER_COLOR = "#d1495b", "#8d99ae"
# Plots of how long a round trip takes, by section.
LATENCIES = {"Echo": "latency.png", "Busy connections": "busy-connections-latency.png"}


def draw(sections: Sequence[Section], folder: Path) -> None:
    """Draw the plots of all sections into a folder."""
    for section in sections:
        if section.title == "Growth":
            _lines(section, folder / "growth.png")
            continue
        name = section.title.lower().replace(",", "").replace(" ", "-")
        _bars(section, folder / f"{name}.png", section.least, section.unit)
        if section.title in LATENCIES:
            _bars(
                *(section, folder / LATENCIES[section.title]),
                partial(section.median, what="p99"),
                "µs, 99 of 100 round trips",
            )


def _bars(section: Section, path: Path, value: Callable[..., float], unit: str) -> None:
    """Draw bars; each column has its own scale because of orders of magnitude."""
    figure, panels = plt.subplots(
        *(1, len(section.columns)),
        figsize=(3.2 * len(section.columns) + 2, 0.3 * len(section.subjects) + 1.2),
        sharey=True,
        squeeze=False,
    )
    names = [str(subject) for subject in section.subjects]
    colors = [
        OURS_COLOR if subject.name == OURS else OTHER_COLOR
        for subject in section.subjects
    ]
    for panel, column in zip(panels[0], section.columns, strict=True):
        values = [value(subject, column) for subject in section.subjects]
        bars = panel.barh(names, values, color=colors)
        panel.bar_label(bars, fmt="%.3g", padding=2, fontsize=8)
        for subject in section.subjects:
            if subject.name == IN_C:  # the limit
                panel.axvline(value(subject, column), color="black", lw=0.8, ls="--")
        panel.margins(x=0.2)
        panel.set_title(column)
        panel.set_xlabel(unit)
        panel.spines[["top", "right"]].set_visible(False)
    panels[0][0].invert_yaxis()
    figure.suptitle(section.title)
    figure.savefig(path, dpi=110, bbox_inches="tight")
    plt.close(figure)


def _lines(section: Section, path: Path) -> None:
    figure, panel = plt.subplots(figsize=(6, 4))
    for subject in section.subjects:
        panel.plot(
            [int(column) for column in section.columns],
            [section.least(subject, column) for column in section.columns],
            marker="o",
            label=str(subject),
        )
    panel.set_xscale("log")
    panel.set_ylim(bottom=0)
    panel.set_xlabel("connections")
    panel.set_ylabel("µs of CPU time per message of 16 B")
    panel.legend()
    panel.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=110, bbox_inches="tight")
    plt.close(figure)
