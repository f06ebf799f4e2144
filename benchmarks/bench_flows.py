"""From calling `run` to the program's first line: ours beside engines and schedulers.

Run with nothing else running; needs the services of `.ci/setup` and a `docker` client:

    python -m benchmarks.bench_flows --runs 7

Everybody runs the same program, whose first line is a mark that changes with each
edit: who shows an old mark fails. Sides take turns. Three phases: nothing changed, one
line of the code edited, and one light package added.

- `ours` calls `session.run` in a process that goes on, as an orchestrator's does; `cli`
  is `aweigh run` from starting Python on. Both push to the registry and pull from it.
- `docker` is `docker run` of an image that was built before the clock started: the
  floor. `build` builds it with BuildKit while the clock runs, with uv and cache mounts;
  `copied` does so with a Dockerfile that copies the code before it installs.
- `ray` submits a job to a cluster that is up, `prefect` runs a deployment with a server
  and a process worker that are up. Neither starts a container, and neither installs
  packages here: they have no third phase.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import uuid
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Final

from benchmarks.flows.sides import Case, Place, opened
from benchmarks.layers.engine import Engine
from benchmarks.layers.rounds import installer
from benchmarks.measure import chosen, machine, table
from tests.services import find_services

if TYPE_CHECKING:
    from collections.abc import Mapping

    from benchmarks.flows.sides import Side

_SIDES: Final = ("docker", "ours", "cli", "build", "copied", "ray", "prefect")
_TITLES: Final = {
    "warm": "Nothing changed",
    "edit": "One line of the code edited",
    "add": "One light package added",
}
_LIGHT: Final = (
    "humanize==4.13.0",
    "tabulate==0.9.0",
    "toolz==1.0.0",
    "colorama==0.4.6",
    "idna==3.10",
    "six==1.17.0",
    "wcwidth==0.2.13",
    "attrs==25.3.0",
    "pyparsing==3.2.3",
    "packaging==25.0",
)
_FILES: Final = 200


class Program:
    """The code that is run: 200 modules and the one that is edited."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir()
        for number in range(_FILES - 2):
            text = f'"""Module {number}."""\n' + f"VALUE = {number}\n" * 100
            (folder / f"module_{number:03}.py").write_text(text)
        (folder / "flow.py").write_text(
            "from pathlib import Path\nfrom prefect import flow\n"
            "from mark import MARK\n@flow\ndef main():\n"
            "    Path(__file__).with_name('answer.txt').write_text(MARK)\n"
        )
        (folder / ".aweighignore").write_text("answer.txt\n")
        (folder / "main.py").write_text("from mark import MARK\nprint(MARK)\n")
        self.mark = ""
        self.edit()

    def edit(self) -> None:
        """Change one line."""
        self.mark = f"mark-{uuid.uuid4().hex[:12]}"
        (self.folder / "mark.py").write_text(f'MARK = "{self.mark}"\n')


def measure(
    sides: Mapping[str, Side], folder: Path, runs: int
) -> dict[str, dict[str, list[float]]]:
    """Run everybody through all phases, in turn."""
    seconds: dict[str, dict[str, list[float]]] = {
        phase: {name: [] for name in sides} for phase in _TITLES
    }
    program = Program(folder / "code")
    packages = ["iniconfig==2.1.0"]

    def take(phase: str, *, counts: bool = True) -> None:
        case = Case(
            directory=program.folder, mark=program.mark, packages=tuple(packages)
        )
        for name, side in sides.items():
            if phase == "add" and name in {"ray", "prefect"}:
                continue
            took = side.run(case)
            print(f"{phase:5} {name:8} {took * 1000:8.0f} ms", file=sys.stderr)
            if counts:
                seconds[phase][name].append(took)

    take("warm", counts=False)
    for _ in range(runs):
        take("warm")
    for _ in range(runs):
        program.edit()
        take("edit")
    for light in _LIGHT[:runs]:
        packages.append(light)
        take("add")
    return seconds


def report(seconds: Mapping[str, Mapping[str, list[float]]], runs: int) -> str:
    """Write the tables."""
    lines = [
        "## From `run` to the first line: `python -m benchmarks.bench_flows`",
        "",
        f"{machine()}; {runs} runs each, in turn; {_FILES} files of code.",
        "",
    ]
    for phase, title in _TITLES.items():
        measured = {name: one for name, one in seconds[phase].items() if one}
        lines += table(title, measured, "docker")
    return "\n".join(lines)


def main() -> None:
    """Measure and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=5, choices=range(1, 11))
    names = dict.fromkeys(_SIDES)
    parser.add_argument("--sides", type=chosen(names), default=list(_SIDES))
    parser.add_argument("--network", default="aweigh", help="the engine's, for docker")
    arguments = parser.parse_args()
    services = find_services()
    if services is None:
        parser.error("the services are not running: .ci/setup")
    with tempfile.TemporaryDirectory() as temporary, ExitStack() as stack:
        folder = Path(temporary)
        place = Place(
            services=services,
            folder=folder,
            uv=installer(Engine(services.engine)),
            network=arguments.network,
            token=uuid.uuid4().hex[:12],
        )
        sides = {
            name: stack.enter_context(opened(name, place)) for name in arguments.sides
        }
        print(report(measure(sides, folder, arguments.runs), arguments.runs))


if __name__ == "__main__":
    main()
