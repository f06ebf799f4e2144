"""Markdown tables of the results of `bench_layers`."""

from __future__ import annotations

import statistics
from typing import TYPE_CHECKING, Any, Final

from benchmarks.figures import Figures, checked, head
from benchmarks.layers.rounds import PHASES
from benchmarks.layers.sets import SETS, SIDES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

__all__ = ["SetFigures", "report"]

_MB: Final = 1_000_000
_MEMORY_MIB: Final = 300 * _MB / (1 << 20)


class SetFigures(Figures):
    """The results of one set, by phase and side."""

    def __init__(self, name: str, results: Sequence[dict[str, Any]]) -> None:
        """Choose this set's results."""
        super().__init__(
            name,
            [one for one in results if one["set"] == name and one["kind"] == "build"],
            phases=PHASES,
            sides=SIDES,
        )
        self.imports = [
            one for one in results if one["set"] == name and one["kind"] == "import"
        ]

    def peak(self, key: str) -> float:
        """Return the largest of a figure of ours, in all phases."""
        return max((one[key] for one in self.runs if key in one), default=0.0)

    def largest_child(self) -> str:
        """Name the child with the largest peak."""
        found = [one for one in self.runs if "child" in one]
        largest = max(found, key=lambda one: float(one["child_mib"]), default={})
        return str(largest.get("child", ""))


def report(results: Sequence[dict[str, Any]]) -> list[str]:
    """Return all tables."""
    lines = head(results, "set")
    for name in SETS:
        figures = SetFigures(name, results)
        if figures.phases:
            lines += ["", *_set(figures)]
    return lines


def _set(figures: SetFigures) -> Iterator[str]:
    chosen = SETS[figures.name]
    first = ", ".join((*chosen.packages, chosen.upgrade[0]))
    yield f"### {figures.name}: {first}"
    yield ""
    yield (
        f"Added: {chosen.add}; upgraded: {chosen.upgrade[1]}. Seconds, median of "
        f"{figures.most_runs} (min to max); 2x is twice as long as ours."
    )
    yield ""
    yield from _table(figures, _seconds)
    yield "Pushed, MB (blobs that were uploaded, and manifests), median:"
    yield ""
    yield from _table(figures, _pushed)
    yield from _download(figures)
    yield from _imports(figures)
    yield from checked(_checks(figures))


def _table(
    figures: SetFigures, cell: Callable[[SetFigures, str, str], str]
) -> Iterator[str]:
    yield "| | " + " | ".join(SIDES[side] for side in figures.sides) + " |"
    yield "|---" * (len(figures.sides) + 1) + "|"
    for phase in figures.phases:
        cells = (cell(figures, phase, side) for side in figures.sides)
        yield f"| {PHASES[phase].title} | {' | '.join(cells)} |"
    yield ""


def _seconds(figures: SetFigures, phase: str, side: str) -> str:
    values = figures.values(phase, side)
    if not values:
        return ""
    middle = statistics.median(values)
    text = f"{middle:.2f} ({min(values):.2f} to {max(values):.2f})"
    ratio = figures.ratio(phase, side)
    return text if side == "ours" or ratio is None else f"{text}, {ratio:.1f}x"


def _pushed(figures: SetFigures, phase: str, side: str) -> str:
    middle = figures.median(phase, side, "pushed_bytes")
    return "" if middle is None else f"{middle / _MB:.3f}"


def _download(figures: SetFigures) -> Iterator[str]:
    if not {"cold", "warm"} <= set(figures.phases):
        return
    yield "Download: `cold` takes longer than with cached wheels by"
    yield ""
    yield "| | seconds (medians) | MB from the index |"
    yield "|---|---|---|"
    for side in figures.sides:
        cold, warm = figures.median("cold", side), figures.median("warm", side)
        size = figures.median("cold", side, "index_bytes")
        if cold is not None and warm is not None and size is not None:
            yield f"| {SIDES[side]} | {cold - warm:.2f} | {size / _MB:.1f} |"
    yield ""


def _imports(figures: SetFigures) -> Iterator[str]:
    if not figures.imports:
        return
    modules = ", ".join(SETS[figures.name].modules)
    yield f"`import {modules}` in a fresh container, seconds:"
    yield ""
    yield "| | import: median | min | max | container: median |"
    yield "|---|---|---|---|---|"
    for side in figures.sides:
        inner = [one["seconds"] for one in figures.imports if one["side"] == side]
        outer = [one["wall"] for one in figures.imports if one["side"] == side]
        if inner:
            yield (
                f"| {SIDES[side]} | {statistics.median(inner):.2f} | {min(inner):.2f} "
                f"| {max(inner):.2f} | {statistics.median(outer):.2f} |"
            )
    yield ""


def _checks(figures: SetFigures) -> Iterator[tuple[str, str, bool]]:
    for phase, side, least in (("add", "b", 10.0), ("add", "a", 30.0)):
        ratio = figures.ratio(phase, side)
        if ratio is not None:
            text = f"add a light package: {least:.0f}x faster than ({side})"
            yield text, f"{ratio:.1f}x", ratio >= least
    add, fresh = figures.median("add", "ours"), figures.median("fresh", "ours")
    planning = figures.median("fresh", "ours", "planning")
    if add is not None and fresh is not None and planning is not None:
        yield (
            "fresh machine: 2x of adding, plus resolving",
            f"{fresh:.2f} s; 2 x {add:.2f} + {planning:.2f} s",
            fresh <= 2 * add + planning,
        )
    for phase in ("add", "fresh"):
        size = figures.median(phase, "ours", "pushed_bytes")
        if size is not None:
            text = f"{PHASES[phase].title}: below 1 MB pushed"
            yield text, f"{size / _MB:.3f} MB", size < _MB
    cold = figures.ratio("cold", "ours", "a")
    if cold is not None:
        yield "cold: below 0.5x of (a)", f"{cold:.2f}x", cold < 0.5
    yield from _comparisons(figures)


def _comparisons(figures: SetFigures) -> Iterator[tuple[str, str, bool]]:
    times = {
        side: statistics.median(found)
        for side in ("ours", "a")
        if (found := [o["seconds"] for o in figures.imports if o["side"] == side])
    }
    if len(times) == 2:
        ratio = times["ours"] / times["a"]
        yield "import: not slower than (a)", f"{ratio:.2f}x", ratio <= 1.0
    for title, key in (("process", "peak_mib"), ("largest child", "child_mib")):
        peak = figures.peak(key)
        if peak:
            shown = f" (`{figures.largest_child()}`)" if key == "child_mib" else ""
            text = f"peak memory of the {title} below 300 MB"
            yield text, f"{peak:.0f} MiB{shown}", peak < _MEMORY_MIB
