"""The plot of `bench_bundle`: a panel for each tree, a bar for each side."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from benchmarks.bars import Panel, Series, draw
from benchmarks.bundles.report import TreeFigures
from benchmarks.bundles.sides import PHASES, SIDES
from benchmarks.bundles.trees import TREES

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["plot"]

_COLOURS: Final = {
    "ours": "#0072b2",
    "walk": "#56b4e9",
    "git": "#555555",
    "tar1": "#bbbbbb",
    "tar3": "#888888",
    "flyte": "#d55e00",
    "ray": "#e69f00",
    "dvc": "#009e73",
    "modal": "#cc79a7",
}


def plot(results: Sequence[dict[str, Any]]) -> str:
    """Return an SVG with a panel for each tree; empty without results."""
    found = [figures for name in TREES if (figures := TreeFigures(name, results)).sides]
    series = {side: Series(one.title, _COLOURS[side]) for side, one in SIDES.items()}
    panels = [_panel(figures) for figures in found]
    return draw("Milliseconds of each phase and side", series, panels)


def _panel(figures: TreeFigures) -> Panel:
    rows = [
        (
            PHASES[phase],
            {
                side: [seconds * 1000 for seconds in values]
                for side in figures.sides
                if (values := figures.values(phase, side))
            },
        )
        for phase in figures.phases
    ]
    title = f"{TREES[figures.name].title}: milliseconds"
    return Panel(title, rows, is_dense=True)
