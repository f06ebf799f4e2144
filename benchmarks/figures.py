"""Figures of runs by phase and side, and the tables that any of them can have."""

from __future__ import annotations

import json
import statistics
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Iterable, Iterator, Sequence

__all__ = ["Figures", "checked", "head", "write_report"]


class Figures:
    """What was measured, by phase and side.

    Args:
        name: What was measured.
        runs: The results, each of one phase and side.
        phases: The phases there are, in order.
        sides: The sides there are, in order.
    """

    def __init__(
        self,
        name: str,
        runs: Sequence[dict[str, Any]],
        *,
        phases: Iterable[str],
        sides: Iterable[str],
    ) -> None:
        """Leave out the phases and sides of which there is nothing."""
        self.name = name
        self.runs = runs
        self.phases = [one for one in phases if one in {run["phase"] for run in runs}]
        self.sides = [one for one in sides if one in {run["side"] for run in runs}]

    def values(self, phase: str, side: str, key: str = "seconds") -> list[float]:
        """Return what was measured, empty when nothing was."""
        return [
            one[key]
            for one in self.runs
            if one["phase"] == phase and one["side"] == side and key in one
        ]

    def median(self, phase: str, side: str, key: str = "seconds") -> float | None:
        """Return the middle of what was measured."""
        values = self.values(phase, side, key)
        return statistics.median(values) if values else None

    def ratio(self, phase: str, side: str, other: str = "ours") -> float | None:
        """Return how many times as long a side took as another."""
        mine, theirs = self.median(phase, side), self.median(phase, other)
        return mine / theirs if mine is not None and theirs else None

    @property
    def most_runs(self) -> int:
        """How often the side that ran most often went through a phase."""
        return max(
            len(self.values(phase, side))
            for phase in self.phases
            for side in self.sides
        )


def head(results: Sequence[dict[str, Any]], key: str) -> list[str]:
    """Say where and when the results were measured, and what failed."""
    lines = sorted({f"{one['machine']}; {one['date']}" for one in results})
    failed = [one for one in results if one["kind"] == "failed"]
    return lines + [
        f"failed: {one[key]} {one['phase']} {one['side']}" for one in failed
    ]


def checked(checks: Iterable[tuple[str, str, bool]]) -> Iterator[str]:
    """Return the table of targets, and whether they are met."""
    yield "| target | measured | met |"
    yield "|---|---|---|"
    for text, value, is_met in checks:
        yield f"| {text} | {value} | {'yes' if is_met else 'no'} |"
    yield ""


def write_report(
    arguments: argparse.Namespace,
    report: Callable[[Sequence[dict[str, Any]]], list[str]],
    plot: Callable[[Sequence[dict[str, Any]]], str],
) -> None:
    """Print the tables of the results in ``--report`` and draw ``--plot``."""
    with arguments.report.open() as lines:
        results = [json.loads(line) for line in lines]
    print("\n".join(report(results)))
    if picture := plot(results):
        arguments.plot.parent.mkdir(parents=True, exist_ok=True)
        arguments.plot.write_text(picture)
