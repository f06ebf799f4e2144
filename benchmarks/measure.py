"""Timing, in turns so that drift of the machine hits both sides, and tables."""

from __future__ import annotations

import argparse
import os
import platform
import re
import statistics
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

__all__ = [
    "alternate",
    "chosen",
    "environ",
    "machine",
    "peak_mib",
    "process_seconds",
    "table",
]


def environ(**changes: str) -> dict[str, str]:
    """Return the environment with changes.

    Bytecode may be written: an installed package has it, and a process that compiles
    every module anew is not what users start.
    """
    kept = dict(os.environ)  # noqa: TID251 - benchmarks are applications
    kept.pop("PYTHONDONTWRITEBYTECODE", None)
    return kept | changes


def alternate(
    sides: Mapping[str, Callable[[], float]], rounds: int
) -> dict[str, list[float]]:
    """Run the sides in turn, after one round that does not count."""
    for side in sides.values():
        side()
    seconds: dict[str, list[float]] = {name: [] for name in sides}
    for _ in range(rounds):
        for name, side in sides.items():
            seconds[name].append(side())
    return seconds


def process_seconds(command: Sequence[str], env: Mapping[str, str]) -> float:
    """Time a process from start to end; its output is thrown away."""
    started = time.perf_counter()
    subprocess.run(command, env=env, check=True, capture_output=True)
    return time.perf_counter() - started


def chosen(known: Mapping[str, object]) -> Callable[[str], list[str]]:
    """Return a type of command line arguments: some of these names, in their order."""

    def read(text: str) -> list[str]:
        names = [name for name in known if name in text.split(",")]
        if len(names) != len(set(text.split(","))):
            raise argparse.ArgumentTypeError(f"choose from {','.join(known)}")
        return names

    return read


def peak_mib() -> float:
    """Return the most memory that this process ever had."""
    status = Path("/proc/self/status").read_text("utf-8")
    match = re.search(r"VmHWM:\s*(\d+) kB", status)
    return int(match[1]) / 1024 if match else 0.0


def machine() -> str:
    """Describe the machine in a line."""
    return (
        f"{os.cpu_count()} cores, Linux {platform.release()}, "
        f"Python {platform.python_version()}"
    )


def table(
    title: str, seconds: Mapping[str, Sequence[float]], reference: str
) -> list[str]:
    """Return a markdown table of milliseconds, and ratios of medians to a reference."""
    base = statistics.median(seconds[reference])
    lines = [
        f"### {title}",
        "",
        f"| | median ms | min | max | ratio to {reference} |",
        "|---|---|---|---|---|",
    ]
    for name, values in seconds.items():
        middle = statistics.median(values)
        low, high = min(values) * 1000, max(values) * 1000
        lines.append(
            f"| {name} | {middle * 1000:.3g} | {low:.3g} | {high:.3g} "
            f"| {middle / base:.2f} |"
        )
    return [*lines, ""]
