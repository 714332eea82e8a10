"""The plots beside the report."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import matplotlib as mpl
from processes import IN_C
from report import OURS, Section
from tables import slug

mpl.use("Agg")

from matplotlib import pyplot as plt  # after use(): there may be no screen
from matplotlib.ticker import MaxNLocator

mpl.rcParams |= {
    "font.size": 7,
    "axes.titlesize": 8,
    "savefig.dpi": 160,
}
WIDTH = 7  # inches

OURS_COLOR, OTHER_COLOR = "#d1495b", "#8d99ae"
# Plots of how long a round trip takes, by section.
LATENCIES = {"Echo": "latency.png", "Busy connections": "busy-connections-latency.png"}


def draw(sections: Sequence[Section], folder: Path) -> None:
    """Draw the plots of all sections into a folder."""
    for section in sections:
        if section.title == "Growth":
            _lines(section, folder / "growth.png")
            continue
        path = folder / f"{slug(section.title)}.png"
        _bars(section, path, section.least, section.unit)
        if section.title in LATENCIES:
            _bars(
                *(section, folder / LATENCIES[section.title]),
                partial(section.median, what="p99"),
                "µs, 99 of 100 round trips",
            )


def _bars(section: Section, path: Path, value: Callable[..., float], unit: str) -> None:
    """Draw bars; each column has its own scale because of orders of magnitude.

    The figure is as wide as a page of the documentation, so that its text is legible.
    """
    figure, panels = plt.subplots(
        *(1, len(section.columns)),
        figsize=(WIDTH, 0.19 * len(section.subjects) + 1.2),
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
        panel.bar_label(bars, map(_number, values), padding=2)
        for subject in section.subjects:
            if subject.name == IN_C:  # the limit
                panel.axvline(value(subject, column), color="black", lw=0.8, ls="--")
        panel.margins(x=0.45, y=0.02)
        panel.set_title(column)
        panel.tick_params(left=False)
        panel.xaxis.set_major_locator(MaxNLocator(2))
        panel.spines[["top", "right"]].set_visible(False)
    panels[0][0].invert_yaxis()
    figure.supxlabel(unit)
    figure.savefig(path, bbox_inches="tight")
    plt.close(figure)


def _number(value: float) -> str:
    return f"{value:.0f}" if value >= 100 else f"{value:.3g}"


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
    figure.savefig(path, bbox_inches="tight")
    plt.close(figure)
