"""Uploading a directory: ours beside job launchers, DVC, git, tar and a plain walk.

Run with nothing else running; needs git, GNU tar and zstd:

    python -m benchmarks.bench_bundle --runs 7 --work DIR

Every run is one side in one phase on one tree, in a process of its own; sides take
turns. Times are taken inside the process, so that starting Python and imports do not
count; a program's time is all of it. The page cache is warm for everybody. Results are
appended to a file as they come; `--report FILE` makes tables and a plot of such a file.
`--quick` is a self-check: the small tree, one round.

Ours uploads to a directory. So do Flyte and Ray with their own code, as far as it goes
without a server; tar with zstd writes one file and knows nothing; DVC and Modal only
find out what they have. Each module of `benchmarks/bundles` says which functions it
calls. Peers live in environments below `benchmarks/.envs`, made when they are missing.

`--trees 1m --sides ours,walk` is a million files: for memory, and not a default.
"""

from __future__ import annotations

import argparse
import datetime as dt
import json
import signal
import tempfile
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from benchmarks.bundles.environments import PeerMissingError, interpreter
from benchmarks.bundles.plot import plot
from benchmarks.bundles.report import report
from benchmarks.bundles.rounds import Bench
from benchmarks.bundles.sides import PHASES, SIDES, How
from benchmarks.bundles.trees import TREES, Tree
from benchmarks.figures import write_report
from benchmarks.measure import chosen, machine

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from contextlib import AbstractContextManager

_HERE: Final = Path(__file__).parent
_RESULTS: Final = _HERE / ".envs" / "bundles.jsonl"
_PLOT: Final = _HERE.parent / "docs" / "images" / "bundles.svg"


def measure(arguments: argparse.Namespace) -> None:
    """Run the rounds of one tree after the other."""
    with _place(arguments.work) as work, arguments.results.open("a") as results:

        def note(result: dict[str, Any]) -> None:
            stamp = {"machine": machine(), "date": f"{dt.date.today()}"}  # noqa: DTZ011
            print(json.dumps(result | stamp), file=results, flush=True)
            shown = result.get("error") or f"{result['seconds'] * 1000:10.1f} ms"
            place = f"{result['tree']:5} {result['phase']:6} {result['side']:6}"
            print(f"{place} {shown}", flush=True)

        bench = Bench(
            work=Path(work),
            sides=list(_installed(arguments.sides)),
            patience=arguments.patience,
            note=note,
        )
        for name in arguments.trees:
            trees = Path(work) / "trees"
            trees.mkdir(parents=True, exist_ok=True)
            tree = Tree(name, trees)
            try:
                for number in range(arguments.runs):
                    bench.run(tree, number, arguments.phases)
            finally:
                bench.clean(tree)


def _installed(sides: Sequence[str]) -> Iterator[str]:
    """Leave out peers that cannot be installed, and say so."""
    for side in sides:
        try:
            if SIDES[side].how is How.PEER:
                interpreter(side)
            yield side
        except PeerMissingError as error:
            print(f"without {SIDES[side].title}: {error}")


def _place(work: Path | None) -> AbstractContextManager[str]:
    if work is None:
        return tempfile.TemporaryDirectory(prefix="bench-bundles-")
    return nullcontext(str(work.absolute()))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--runs", type=int, default=7, help="rounds of each tree")
    add("--trees", type=chosen(TREES), default=["200", "10k", "100k", "big"])
    add("--phases", type=chosen(PHASES), default=list(PHASES))
    add("--sides", type=chosen(SIDES), default=list(SIDES))
    add(
        "--patience",
        type=float,
        default=30.0,
        metavar="SECONDS",
        help="a side that takes longer in a phase does that only once",
    )
    add("--quick", action="store_true", help="the small tree, one round")
    add("--results", type=Path, default=_RESULTS, help="what results are appended to")
    add(
        "--work",
        type=Path,
        help="where trees are kept (default: a temporary directory)",
    )
    add("--report", type=Path, metavar="FILE", help="print tables of FILE, run nothing")
    add("--plot", type=Path, default=_PLOT, help="where --report writes the plot")
    return parser.parse_args()


def main() -> None:
    """Measure, or report."""
    arguments = _arguments()
    if arguments.report is None:
        if arguments.quick:
            arguments.runs, arguments.trees = 1, ["200"]
        arguments.results.parent.mkdir(parents=True, exist_ok=True)
        for number in (signal.SIGINT, signal.SIGTERM):
            # So that temporary trees are removed, also when a shell started us with & .
            signal.signal(number, signal.default_int_handler)
        measure(arguments)
        return
    write_report(arguments, report, plot)


if __name__ == "__main__":
    main()
