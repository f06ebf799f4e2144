"""Runs every benchmark beside its peers, and puts what was measured into RESULTS.md.

Run with nothing else running; needs the services of `.ci/setup` (`make bench` starts
them): `python -m benchmarks.results`, or with the names of some sections.

A section's figures stand between two comments; what is written around them stays, and
is for people to correct. The tests name each page that still quotes an older figure.
"""

from __future__ import annotations

import argparse
import datetime as dt
import subprocess
import sys
from pathlib import Path
from typing import Final

from benchmarks.measure import chosen, environ, machine

__all__ = ["SECTIONS", "replaced"]

_HERE: Final = Path(__file__).parent
_RESULTS: Final = _HERE / "RESULTS.md"
_RAW: Final = _HERE / ".envs"
# Those that large trees do not keep busy for an hour.
_PATIENT: Final = "ours,walk,git,tar3,dvc"
# The commands of each section, of which the last one prints what is to be kept.
SECTIONS: Final[dict[str, tuple[str, ...]]] = {
    "check": ("bench_check 15",),
    "warm": ("bench_warm 15",),
    "localdb": ("bench_localdb 5",),
    "layers": (
        "bench_layers --sets science --runs 3 --prune --results {raw}",
        "bench_layers --report {raw} --plot {raw}.svg",
    ),
    "bundles": (
        "bench_bundle --trees 200,10k --runs 5 --results {raw}",
        f"bench_bundle --trees big,100k --runs 2 --sides {_PATIENT} --results {{raw}}",
        "bench_bundle --report {raw}",
    ),
    "flows": ("bench_flows --runs 5",),
    "process": ("bench_process 15",),
}


def measured(section: str) -> str:
    """Run the commands of a section and return what the last one prints.

    Raises:
        subprocess.CalledProcessError: One failed; it has said why.
    """
    _RAW.mkdir(exist_ok=True)
    raw = _RAW / f"{section}-{dt.datetime.now(dt.UTC):%Y%m%dT%H%M%S}.jsonl"
    *before, last = (each.format(raw=raw).split() for each in SECTIONS[section])
    for command in before:
        subprocess.run(_python(command), env=environ(), check=True)
    ran = subprocess.run(
        _python(last), env=environ(), check=True, stdout=subprocess.PIPE, text=True
    )
    print(ran.stdout, flush=True)
    # Some say how far they are before the first table.
    start = ran.stdout.index("\n### ") if "\n### " in ran.stdout else 0
    stamp = f"{machine()}; {dt.date.today()}"  # noqa: DTZ011 - for people here
    return f"{stamp}\n\n{ran.stdout[start:].strip()}\n"


def _python(command: list[str]) -> list[str]:
    return [sys.executable, "-m", f"benchmarks.{command[0]}", *command[1:]]


def replaced(text: str, section: str, figures: str) -> str:
    """Put figures between the comments of a section.

    Raises:
        ValueError: The section has none.
    """
    head, end = f"<!-- measured: {section} -->\n", "<!-- end -->"
    before, _, rest = text.partition(head)
    _, found, after = rest.partition(end)
    if not found:
        raise ValueError(f"{_RESULTS.name} has no place for {section}")
    return f"{before}{head}\n{figures}\n{found}{after}"


def main() -> int:
    """Measure; say which sections failed, and keep what they had."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "sections", type=chosen(SECTIONS), nargs="?", default=list(SECTIONS)
    )
    failed: list[str] = []
    for section in parser.parse_args().sections:
        try:
            figures = measured(section)
        except subprocess.CalledProcessError as error:
            print(f"{section}: {error}", file=sys.stderr, flush=True)
            failed.append(section)
            continue
        _RESULTS.write_text(replaced(_RESULTS.read_text(), section, figures))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
