"""Markdown tables of the results of `bench_bundle`."""

from __future__ import annotations

import statistics
from typing import TYPE_CHECKING, Any, Final

from benchmarks.bundles.sides import PHASES, SIDES
from benchmarks.bundles.trees import TREES
from benchmarks.figures import Figures, checked, head

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

__all__ = ["TreeFigures", "report"]

_MB: Final = 1_000_000
_MEMORY_MIB: Final = 200 * _MB / (1 << 20)
_GAP_MS: Final = 20.0
_EDIT_BYTES: Final = 256_000
_RATIOS: Final = (
    ("warm", "walk", 1.3, "warm: within 1.3x of scandir + stat"),
    ("cold", "tar3", 1.5, "cold: within 1.5x of GNU tar + zstd -3"),
)
_FASTER: Final = (
    ("warm", "dvc", 4.0, "warm: 4x faster than DVC"),
    ("warm", "flyte", 10.0, "warm: 10x faster than Flyte"),
    ("cold", "flyte", 7.0, "cold: 7x faster than Flyte"),
)


class TreeFigures(Figures):
    """The results on one tree, by phase and side."""

    def __init__(self, name: str, results: Sequence[dict[str, Any]]) -> None:
        """Choose this tree's results."""
        super().__init__(
            name,
            [one for one in results if one["tree"] == name and one["kind"] == "run"],
            phases=PHASES,
            sides=SIDES,
        )

    def most(self, side: str, key: str) -> float:
        """Return the largest of a figure of a side, in all phases."""
        values = [v for phase in PHASES for v in self.values(phase, side, key)]
        return max(values, default=0.0)


def report(results: Sequence[dict[str, Any]]) -> list[str]:
    """Return all tables."""
    lines = head(results, "tree")
    for name in TREES:
        figures = TreeFigures(name, results)
        if figures.sides:
            lines += ["", *_tree(figures)]
    return lines


def _tree(figures: TreeFigures) -> Iterator[str]:
    runs = figures.most_runs
    yield f"### {TREES[figures.name].title}"
    yield ""
    yield (
        f"Milliseconds, median of {runs} unless fewer are named (min to max); 2x is "
        "twice as long as ours."
    )
    yield ""
    yield from _table(figures, _milliseconds(runs))
    for title, cell in (
        ("CPU seconds, median:", _cpu),
        ("Largest gap of the event loop in ms, median of runs (worst):", _gap),
        ("Peak memory (VmHWM) in MiB, worst:", _peak),
        ("Bytes sent, median:", _sent),
    ):
        yield title
        yield ""
        yield from _table(figures, cell)
    yield from _notes(figures)
    yield from _targets(figures)


def _table(
    figures: TreeFigures, cell: Callable[[TreeFigures, str, str], str]
) -> Iterator[str]:
    rows = [
        (side, [cell(figures, phase, side) for phase in figures.phases])
        for side in figures.sides
    ]
    yield "| | " + " | ".join(PHASES[phase] for phase in figures.phases) + " |"
    yield "|---" * (len(figures.phases) + 1) + "|"
    for side, cells in rows:
        if any(cells):
            yield f"| {SIDES[side].title} | {' | '.join(cells)} |"
    yield ""


def _milliseconds(runs: int) -> Callable[[TreeFigures, str, str], str]:
    def cell(figures: TreeFigures, phase: str, side: str) -> str:
        values = [value * 1000 for value in figures.values(phase, side)]
        if not values:
            like = dict(SIDES[side].same).get(phase)
            return f"as {like}" if like else ""
        text = _short(statistics.median(values))
        if len(values) > 1:
            text += f" ({_short(min(values))} to {_short(max(values))})"
        ratio = figures.ratio(phase, side)
        if side != "ours" and ratio is not None:
            text += f", {ratio:.2g}x" if ratio < 10 else f", {ratio:.0f}x"
        return text if len(values) == runs else f"{text}, n={len(values)}"

    return cell


def _cpu(figures: TreeFigures, phase: str, side: str) -> str:
    middle = figures.median(phase, side, "cpu_seconds")
    return "" if middle is None else f"{middle:.3f}"


def _gap(figures: TreeFigures, phase: str, side: str) -> str:
    values = figures.values(phase, side, "gap_ms")
    if not values:
        return ""
    return f"{_short(statistics.median(values))} ({_short(max(values))})"


def _peak(figures: TreeFigures, phase: str, side: str) -> str:
    values = figures.values(phase, side, "peak_mib")
    return f"{max(values):.0f}" if values else ""


def _sent(figures: TreeFigures, phase: str, side: str) -> str:
    middle = figures.median(phase, side, "sent_bytes")
    return "" if middle is None else f"{middle:,.0f}"


def _short(value: float) -> str:
    return f"{value:.1f}" if value < 100 else f"{value:.0f}"


def _notes(figures: TreeFigures) -> Iterator[str]:
    idle = [
        value
        for phase in figures.phases
        for side in figures.sides
        for value in figures.values(phase, side, "idle_gap_ms")
    ]
    if idle:
        usual = statistics.median(idle)
        yield f"An idle loop of the same runs: {usual:.1f} ms ({max(idle):.1f})."
    again = [
        f"{SIDES[side].title} {_short(middle * 1000)} ms"
        for side in figures.sides
        if (middle := figures.median("warm", side, "again_seconds")) is not None
    ]
    if again:
        yield f"Warm, a second time in the same process: {', '.join(again)}."
    yield ""


def _targets(figures: TreeFigures) -> Iterator[str]:
    checks = [*_comparisons(figures), *_limits(figures)]
    if checks:
        yield from checked(checks)


def _comparisons(figures: TreeFigures) -> Iterator[tuple[str, str, bool]]:
    for phase, side, limit, text in _RATIOS:
        ratio = figures.ratio(phase, "ours", side)
        if ratio is not None:
            yield text, f"{ratio:.2f}x", ratio <= limit
    for phase, side, limit, text in _FASTER:
        ratio = figures.ratio(phase, side)
        if ratio is not None:
            yield text, f"{ratio:.1f}x", ratio >= limit
    warm, edit = figures.median("warm", "ours"), figures.median("edit", "ours")
    if warm and edit:
        yield "edit: within 1.5x of warm", f"{edit / warm:.2f}x", edit <= 1.5 * warm


def _limits(figures: TreeFigures) -> Iterator[tuple[str, str, bool]]:
    sent = figures.median("edit", "ours", "sent_bytes")
    if sent is not None:
        yield "edit: below 256 KB sent", f"{sent:,.0f} bytes", sent < _EDIT_BYTES
    again = figures.median("fresh", "ours", "sent_bytes")
    if again is not None:
        yield "fresh machine: nothing sent", f"{again:,.0f} bytes", again == 0
    gap, peak = figures.most("ours", "gap_ms"), figures.most("ours", "peak_mib")
    if gap:
        yield "largest loop gap of all runs below 20 ms", f"{gap:.1f} ms", gap < _GAP_MS
    if peak:
        yield "peak memory below 200 MB", f"{peak:.0f} MiB", peak < _MEMORY_MIB
