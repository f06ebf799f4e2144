"""The plot of `bench_layers`: bars on a logarithmic scale, as plain SVG."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final

from benchmarks.layers.report import Figures
from benchmarks.layers.rounds import PHASES
from benchmarks.layers.sets import SETS, SIDES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

__all__ = ["plot"]

_COLOURS: Final = {"ours": "#0072b2", "a": "#d55e00", "b": "#e69f00", "c": "#999999"}
_WIDTH: Final = 860
_LEFT: Final = 290
_SCALE: Final = 460
_BAR: Final = 14
_GAP: Final = 14
_HEAD: Final = 46
_STYLE: Final = (
    "text{font:13px system-ui,sans-serif;fill:#222}"
    ".n{font-size:11px}.t{font-weight:600;font-size:15px}"
    ".g{stroke:#ddd}rect.bg{fill:#fff}"
)


def plot(results: Sequence[dict[str, Any]]) -> str:
    """Return an SVG with a panel for each set; empty without results."""
    panels = [figures for name in SETS if (figures := Figures(name, results)).phases]
    if not panels:
        return ""
    body: list[str] = []
    top = 40.0
    for figures in panels:
        body += _panel(figures, top)
        top += _height(figures)
    # A background of its own: pages may be dark.
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {top:g}" '
        f'role="img" aria-label="Seconds of each phase and side">'
        f"<style>{_STYLE}</style>"
        f'<rect class="bg" width="{_WIDTH}" height="{top:g}"/>'
    )
    return "\n".join([head, *_legend(), *body, "</svg>", ""])


def _height(figures: Figures) -> float:
    return _HEAD + len(figures.phases) * (_BAR * len(figures.sides) + _GAP) + 20


def _legend() -> Iterator[str]:
    left = 16
    for side, title in SIDES.items():
        fill = _COLOURS[side]
        yield f'<rect x="{left}" y="12" width="12" height="12" fill="{fill}"/>'
        yield f'<text x="{left + 17}" y="23">{title}</text>'
        left += 45 + 7 * len(title)


def _panel(figures: Figures, top: float) -> Iterator[str]:
    medians = [
        middle
        for phase in figures.phases
        for side in figures.sides
        if (middle := figures.median(phase, side)) is not None
    ]
    low = math.floor(math.log10(min(medians)))
    high = max(low + 1, math.ceil(math.log10(max(medians))))
    bottom = top + _height(figures) - 20

    def place(seconds: float) -> float:
        return _LEFT + _SCALE * (math.log10(seconds) - low) / (high - low)

    chosen = SETS[figures.name]
    packages = ", ".join(
        one.partition("==")[0] for one in (*chosen.packages, chosen.upgrade[0])
    )
    yield f'<text class="t" x="16" y="{top + 20:g}">{packages}: seconds</text>'
    for power in range(low, high + 1):
        x = place(10.0**power)
        yield (
            f'<line class="g" x1="{x:g}" x2="{x:g}" y1="{top + 34:g}" y2="{bottom:g}"/>'
            f'<text class="n" x="{x:g}" y="{top + 28:g}" text-anchor="middle">'
            f"{10.0**power:g}</text>"
        )
    y = top + _HEAD
    for phase in figures.phases:
        yield from _bars(figures, phase, y, place(10.0**low), place)
        y += _BAR * len(figures.sides) + _GAP


def _bars(
    figures: Figures,
    phase: str,
    y: float,
    start: float,
    place: Callable[[float], float],
) -> Iterator[str]:
    middle = y + _BAR * len(figures.sides) / 2 + 4
    yield (
        f'<text x="{_LEFT - 10}" y="{middle:g}" text-anchor="end">'
        f"{PHASES[phase].title}</text>"
    )
    for number, side in enumerate(figures.sides):
        values = figures.values(phase, side)
        seconds = figures.median(phase, side)
        if seconds is None:
            continue
        top, end = y + number * _BAR, place(seconds)
        low, high = place(min(values)), place(max(values))
        yield (
            f'<rect x="{start:.1f}" y="{top:g}" width="{end - start:.1f}" '
            f'height="{_BAR - 2}" fill="{_COLOURS[side]}"/>'
            f'<line stroke="#222" x1="{low:.1f}" x2="{high:.1f}" '
            f'y1="{top + 6:g}" y2="{top + 6:g}"/>'
            f'<text class="n" x="{max(end, high) + 5:.1f}" y="{top + 10:g}">'
            f"{seconds:.3g}</text>"
        )
