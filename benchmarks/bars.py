"""Bars on a logarithmic scale, as plain SVG."""

from __future__ import annotations

import math
import statistics
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

__all__ = ["Panel", "Series", "draw"]

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


@dataclass(frozen=True, slots=True)
class Panel:
    """Bars that share a scale.

    Attributes:
        title: What is above them.
        rows: Groups of bars, each with its name and, by series, what was measured.
        is_dense: Whether a group has room only for the series that it has.
    """

    title: str
    rows: Sequence[tuple[str, Mapping[str, Sequence[float]]]]
    is_dense: bool = False

    def slots(self, row: Mapping[str, Sequence[float]]) -> list[str]:
        """Return the series that a group has room for."""
        if self.is_dense:
            return list(row)
        return list(dict.fromkeys(name for _, one in self.rows for name in one))

    def height(self) -> float:
        """Return how much room it takes."""
        bars = sum(len(self.slots(row)) * _BAR + _GAP for _, row in self.rows)
        return _HEAD + bars + 20


@dataclass(frozen=True, slots=True)
class Series:
    """What bars of one colour are.

    Attributes:
        title: Its name in the legend.
        colour: As SVG has it.
    """

    title: str
    colour: str


def draw(label: str, series: Mapping[str, Series], panels: Sequence[Panel]) -> str:
    """Return an SVG of panels, one below the other; empty without any."""
    if not panels:
        return ""
    legend, top = _legend(series)
    body: list[str] = []
    for panel in panels:
        body += _panel(panel, series, top)
        top += panel.height()
    # A background of its own: pages may be dark.
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {top:g}" '
        f'role="img" aria-label="{label}">'
        f"<style>{_STYLE}</style>"
        f'<rect class="bg" width="{_WIDTH}" height="{top:g}"/>'
    )
    return "\n".join([head, *legend, *body, "</svg>", ""])


def _legend(series: Mapping[str, Series]) -> tuple[list[str], float]:
    lines = []
    left, top = 16, 12
    for one in series.values():
        width = 45 + 7 * len(one.title)
        if left + width > _WIDTH:
            left, top = 16, top + 20
        lines += [
            f'<rect x="{left}" y="{top}" width="12" height="12" fill="{one.colour}"/>',
            f'<text x="{left + 17}" y="{top + 11}">{one.title}</text>',
        ]
        left += width
    return lines, top + 28.0


def _panel(panel: Panel, series: Mapping[str, Series], top: float) -> Iterator[str]:
    medians = [statistics.median(v) for _, row in panel.rows for v in row.values()]
    low = math.floor(math.log10(min(medians)))
    high = max(low + 1, math.ceil(math.log10(max(medians))))
    bottom = top + panel.height() - 20

    def place(value: float) -> float:
        return _LEFT + _SCALE * (math.log10(value) - low) / (high - low)

    yield f'<text class="t" x="16" y="{top + 20:g}">{panel.title}</text>'
    for power in range(low, high + 1):
        x = place(10.0**power)
        yield (
            f'<line class="g" x1="{x:g}" x2="{x:g}" y1="{top + 34:g}" y2="{bottom:g}"/>'
            f'<text class="n" x="{x:g}" y="{top + 28:g}" text-anchor="middle">'
            f"{10.0**power:g}</text>"
        )
    y = top + _HEAD
    for title, row in panel.rows:
        slots = panel.slots(row)
        middle = y + _BAR * len(slots) / 2 + 4
        yield (
            f'<text x="{_LEFT - 10}" y="{middle:g}" text-anchor="end">{title}</text>'
        )
        for number, name in enumerate(slots):
            if name in row:
                values, colour = row[name], series[name].colour
                yield _bar(values, colour, y + number * _BAR, place(10.0**low), place)
        y += _BAR * len(slots) + _GAP


def _bar(
    values: Sequence[float],
    colour: str,
    top: float,
    start: float,
    place: Callable[[float], float],
) -> str:
    value = statistics.median(values)
    end, low, high = place(value), place(min(values)), place(max(values))
    return (
        f'<rect x="{start:.1f}" y="{top:g}" width="{end - start:.1f}" '
        f'height="{_BAR - 2}" fill="{colour}"/>'
        f'<line stroke="#222" x1="{low:.1f}" x2="{high:.1f}" '
        f'y1="{top + 6:g}" y2="{top + 6:g}"/>'
        f'<text class="n" x="{max(end, high) + 5:.1f}" y="{top + 10:g}">'
        f"{value:.3g}</text>"
    )
