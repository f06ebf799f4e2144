"""Heavy Python images, changed in small ways: ours beside three Dockerfile orders.

Run with the services of `.ci/setup`, with nothing else running:

    python -m benchmarks.bench_layers --find-links DIR --runs 5 --prune

Every run is one side through one phase; sides take turns, and each run ends with an
independent `skopeo inspect` of the digest that was pushed. Results are appended to a
file as they come; `--report FILE` makes tables and a plot of such a file. `--quick` is
a self-check: a small set, one round.

Wheels come from an index on loopback that all sides share, so download time is what
loopback takes: it is in `cold` and `fresh`, and not in `warm`. Ours is a new Python
process from its start to its end. A peer is a BuildKit build through the engine's API
and a push by the engine, without the time of a client program. All have the same uv,
base, pinned versions, bytecode and registry.

The engine's cache is emptied for one round by names of its own: another cache mount,
and a comment in every command. Other builds are not slowed down by that, but a cache
with thousands of records slows all of them: `--prune` empties it, whoever made it. A
round removes what it left in the engine and, where it may, in the registry's storage.
"""

from __future__ import annotations

import argparse
import datetime as dt
import json
import signal
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from benchmarks.figures import write_report
from benchmarks.layers.engine import Engine
from benchmarks.layers.index import fetch, serving
from benchmarks.layers.plot import plot
from benchmarks.layers.report import report
from benchmarks.layers.rounds import PHASES, Bench, Round, import_times, installer
from benchmarks.layers.sets import SETS, SIDES
from benchmarks.measure import chosen, machine
from tests.services import find_services

if TYPE_CHECKING:
    from collections.abc import Sequence

_HERE: Final = Path(__file__).parent
_WHEELS: Final = _HERE / ".envs" / "wheels"
_RESULTS: Final = _HERE / ".envs" / "layers.jsonl"
_PLOT: Final = _HERE.parent / "docs" / "images" / "layers.svg"


def measure(arguments: argparse.Namespace, sets: Sequence[str]) -> None:
    """Run the rounds of all sets in turn."""
    services = find_services()
    if services is None:
        sys.exit("the services are not running: sudo .ci/setup")
    for name in sets:
        fetch(SETS[name].everything, arguments.wheels, arguments.find_links)
    engine = Engine(services.engine)
    with (
        serving(arguments.wheels) as index,
        tempfile.TemporaryDirectory(prefix="bench-layers-", dir=arguments.work) as work,
        arguments.results.open("a") as results,
    ):

        def note(result: dict[str, Any]) -> None:
            stamp = {"machine": machine(), "date": f"{dt.date.today()}"}  # noqa: DTZ011
            print(json.dumps(result | stamp), file=results, flush=True)
            shown = result.get("error") or f"{result['seconds']:8.2f} s"
            place = f"{result['set']} {result.get('phase', 'import')}"
            print(f"{place:16} {result['side']:4} {shown}", flush=True)

        bench = Bench(
            services=services,
            engine=engine,
            index=index,
            uv=installer(engine),
            work=Path(work),
            note=note,
        )
        for number in range(arguments.runs):
            for name in sets:
                one_round(bench, arguments, name, number)


def one_round(
    bench: Bench, arguments: argparse.Namespace, name: str, number: int
) -> None:
    """Run a round of a set and, in the first one, import what it made."""
    if arguments.prune:
        bench.engine.prune()
    current = Round(bench, name, number)
    try:
        current.run(arguments.phases, arguments.sides)
        if number == 0 and arguments.imports:
            images = {
                side: current.images[side, "cold"]
                for side in arguments.sides
                if side in ("ours", "a") and (side, "cold") in current.images
            }
            for result in import_times(bench, name, images, arguments.imports):
                bench.note(result)
    finally:
        current.clean()


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--runs", type=int, default=5, help="rounds of each set")
    add("--sets", type=chosen(SETS), default=["torch", "science"])
    add("--phases", type=chosen(PHASES), default=list(PHASES))
    add("--sides", type=chosen(SIDES), default=list(SIDES))
    add("--imports", type=int, default=5, help="imports of each image; 0 for none")
    add("--quick", action="store_true", help="the small set, one round")
    add(
        "--prune",
        action="store_true",
        help="empty the engine's whole build cache first",
    )
    add("--find-links", help="directory or page of wheels that no index has")
    add("--wheels", type=Path, default=_WHEELS, help="where wheels are kept")
    add("--results", type=Path, default=_RESULTS, help="what results are appended to")
    add("--work", type=Path, help="where caches of a round are (default: TMPDIR)")
    add("--report", type=Path, metavar="FILE", help="print tables of FILE, run nothing")
    add("--plot", type=Path, default=_PLOT, help="where --report writes the plot")
    return parser.parse_args()


def main() -> None:
    """Measure, or report."""
    arguments = _arguments()
    if arguments.report is None:
        if arguments.quick:
            arguments.runs, arguments.sets = 1, ["small"]
        arguments.results.parent.mkdir(parents=True, exist_ok=True)
        for number in (signal.SIGINT, signal.SIGTERM):
            # So that a round cleans up, also when a shell started us with & .
            signal.signal(number, signal.default_int_handler)
        measure(arguments, arguments.sets)
        return
    write_report(arguments, report, plot)


if __name__ == "__main__":
    main()
