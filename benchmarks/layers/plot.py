"""The plot of `bench_layers`: a panel for each set, a bar for each side."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from benchmarks.bars import Panel, Series, draw
from benchmarks.layers.report import SetFigures
from benchmarks.layers.rounds import PHASES
from benchmarks.layers.sets import SETS, SIDES

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["plot"]

_COLOURS: Final = {"ours": "#0072b2", "a": "#d55e00", "b": "#e69f00", "c": "#999999"}


def plot(results: Sequence[dict[str, Any]]) -> str:
    """Return an SVG with a panel for each set; empty without results."""
    found = [figures for name in SETS if (figures := SetFigures(name, results)).phases]
    series = {side: Series(title, _COLOURS[side]) for side, title in SIDES.items()}
    return draw("Seconds of each phase and side", series, list(map(_panel, found)))


def _panel(figures: SetFigures) -> Panel:
    chosen = SETS[figures.name]
    packages = ", ".join(
        one.partition("==")[0] for one in (*chosen.packages, chosen.upgrade[0])
    )
    rows = [
        (
            PHASES[phase].title,
            {
                side: values
                for side in figures.sides
                if (values := figures.values(phase, side))
            },
        )
        for phase in figures.phases
    ]
    return Panel(f"{packages}: seconds", rows)
