"""Fails when a sub-package has less branch coverage than it must have."""

from __future__ import annotations

import json
import sys
from collections import defaultdict
from pathlib import Path, PurePath

FLOOR = 90.0


def main(report: str) -> int:
    """Print the coverage of each sub-package and compare it with the floor."""
    covered: defaultdict[str, int] = defaultdict(int)
    wanted: defaultdict[str, int] = defaultdict(int)
    for name, file in json.loads(Path(report).read_text("utf-8"))["files"].items():
        parts = PurePath(name).parts
        inside = parts[parts.index("aweigh") + 1 :]
        package = ".".join(inside[:-1][:2]) or "aweigh"
        summary = file["summary"]
        covered[package] += summary["covered_lines"] + summary["covered_branches"]
        wanted[package] += summary["num_statements"] + summary["num_branches"]
    low = 0
    for package in sorted(filter(wanted.__getitem__, wanted)):
        percent = 100.0 * covered[package] / wanted[package]
        below = percent < FLOOR
        low += below
        print(f"{package:24} {percent:6.1f} %{'  below the floor' if below else ''}")
    if low:
        print(f"{low} sub-packages have less than {FLOOR:.0f} % branch coverage")
    return 1 if low else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
