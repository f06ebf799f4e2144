"""Uploading 10 000 files of 4 KB: cold and warm, beside tar with zstd, and Flyte.

Run: python -m benchmarks.bench_bundle [ROUNDS] [FILES]. Needs GNU tar, zstd and uv;
Flyte is installed into benchmarks/.envs/flyte when it is not there yet. Each
measurement is a process of its own; times are measured inside it, so interpreter start
does not count.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from random import Random

from aweigh import Settings, open_session
from benchmarks.measure import alternate, environ, machine, table

_FLYTE_ENV = Path(__file__).parent / ".envs" / "flyte"
_FLYTE = """
import json, pathlib, resource, sys, tempfile, time
from flyte._code_bundle._packaging import create_bundle, list_files_to_bundle
from flyte._code_bundle._ignore import GitIgnore, StandardIgnore
source = pathlib.Path(sys.argv[1])
began = time.perf_counter()
files, digest = list_files_to_bundle(source, False, GitIgnore, StandardIgnore)
if sys.argv[2] == "cold":
    with tempfile.TemporaryDirectory() as output:
        create_bundle(source, pathlib.Path(output), files, digest)
seconds = time.perf_counter() - began
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
print(json.dumps({"seconds": seconds, "peak_mib": peak, "files": len(files)}))
"""


def make_tree(root: Path, files: int) -> None:
    """Write files that look like source code, 100 in each directory."""
    random = Random(1)
    words = ["import", "return", "self", "def", "value", "for", "in", "range", "None"]
    words += [f"name_{number}" for number in range(500)]
    for number in range(files):
        folder = root / f"d{number // 100:04}"
        folder.mkdir(parents=True, exist_ok=True)
        text = " ".join(random.choices(words, k=600))[:4096]
        (folder / f"module_{number:06}.py").write_text(text)


async def largest_gap(stop: asyncio.Event) -> float:
    """Return the longest time the event loop kept a 1 ms ticker waiting, in ms."""
    worst = 0.0
    while not stop.is_set():
        before = time.perf_counter()
        await asyncio.sleep(0.001)
        worst = max(worst, time.perf_counter() - before - 0.001)
    return worst * 1000


async def upload_once(root: Path, state: Path) -> dict[str, float]:
    """Upload in a new session, with a directory as the store."""
    settings = Settings(cache_dir=state / "cache", data_dir=state / "data")
    stop = asyncio.Event()
    ticker = asyncio.create_task(largest_gap(stop))
    await asyncio.sleep(0.05)
    async with open_session(settings) as session:
        began = time.perf_counter()
        bundle = await session.upload_bundle(root)
        seconds = time.perf_counter() - began
    stop.set()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {
        "seconds": seconds,
        "gap_ms": await ticker,
        "peak_mib": peak,
        "sent": bundle.uploaded_bytes,
        "files": bundle.files,
    }


class Sides:
    """What is measured, each run in a process of its own."""

    def __init__(self, root: Path, state: Path) -> None:
        """Measure on this tree."""
        self.root = root
        self.state = state
        self.figures: dict[str, list[dict[str, float]]] = {}

    def _run(self, name: str, command: list[str]) -> float:
        ran = subprocess.run(
            command, check=True, capture_output=True, text=True, env=environ()
        )
        figures: dict[str, float] = json.loads(ran.stdout.splitlines()[-1])
        self.figures.setdefault(name, []).append(figures)
        return figures["seconds"]

    def _aweigh(self, name: str) -> float:
        module = [sys.executable, "-m", "benchmarks.bench_bundle"]
        return self._run(name, [*module, "--once", str(self.root), str(self.state)])

    def cold(self) -> float:
        """Upload with empty memory and an empty store."""
        shutil.rmtree(self.state, ignore_errors=True)
        self.state.mkdir()
        return self._aweigh("aweigh cold")

    def warm(self) -> float:
        """Upload again."""
        return self._aweigh("aweigh warm")

    def edited(self) -> float:
        """Upload after one file was edited."""
        path = next(self.root.glob("d*/*.py"))
        path.write_text(f"edited = {time.time_ns()}\n")
        return self._aweigh("aweigh, one file edited")

    def tar(self) -> float:
        """Pack with the tools of the system; says nothing about what is there."""
        output = self.state.with_suffix(".tar.zst")
        began = time.perf_counter()
        with output.open("wb") as file:
            packing = subprocess.Popen(
                ["tar", "-C", str(self.root), "-cf", "-", "."], stdout=subprocess.PIPE
            )
            subprocess.run(
                ["zstd", "-T0", "-1", "-q"],
                stdin=packing.stdout,
                stdout=file,
                check=True,
            )
            packing.communicate()
        return time.perf_counter() - began

    def flyte(self, what: str) -> float:
        """List, digest and, when cold, pack with Flyte's own code, without a store."""
        python = str(_FLYTE_ENV / "bin" / "python")
        command = [python, "-c", _FLYTE, str(self.root), what]
        return self._run(f"Flyte {what}", command)


def install_flyte() -> bool:
    """Make Flyte's environment; False where that is not possible."""
    python = _FLYTE_ENV / "bin" / "python"
    with suppress(subprocess.CalledProcessError):
        if not python.exists():
            subprocess.run(["uv", "venv", "-q", str(_FLYTE_ENV)], check=True)
        if not list(_FLYTE_ENV.glob("lib/python*/site-packages/flyte")):
            install = ["uv", "pip", "install", "-q", "--python", str(python), "flyte"]
            subprocess.run(install, check=True)
        return True
    return False


def details(figures: dict[str, list[dict[str, float]]]) -> list[str]:
    """Return a markdown table of the other figures, medians."""
    lines = [
        "| | largest loop gap of a run, median ms | of all runs | peak MiB | bytes |",
        "|---|---|---|---|---|",
    ]
    for side, runs in figures.items():
        gaps = [run["gap_ms"] for run in runs if "gap_ms" in run]
        cells = (
            [f"{statistics.median(gaps):.1f}", f"{max(gaps):.1f}"] if gaps else [""] * 2
        )
        for key in ("peak_mib", "sent"):
            values = [run[key] for run in runs if key in run]
            cells.append(f"{statistics.median(values):.0f}" if values else "")
        lines.append(f"| {side} | {' | '.join(cells)} |")
    return lines


def main() -> None:
    """Measure and print, or upload once for a measurement."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("rounds", nargs="?", type=int, default=7)
    parser.add_argument("files", nargs="?", type=int, default=10_000)
    parser.add_argument("--once", nargs=2, metavar=("ROOT", "STATE"))
    arguments = parser.parse_args()
    if arguments.once:
        root, state = map(Path, arguments.once)
        print(json.dumps(asyncio.run(upload_once(root, state))))
        return
    with tempfile.TemporaryDirectory() as folder:
        sides = Sides(Path(folder) / "code", Path(folder) / "state")
        make_tree(sides.root, arguments.files)
        # Files younger than 2 s are read again: that is not what is measured.
        time.sleep(3)
        measured = {"aweigh cold": sides.cold, "aweigh warm": sides.warm}
        measured["tar + zstd -1"] = sides.tar
        if install_flyte():
            measured["Flyte cold"] = lambda: sides.flyte("cold")
            measured["Flyte warm"] = lambda: sides.flyte("warm")
        measured["aweigh, one file edited"] = sides.edited
        seconds = alternate(measured, arguments.rounds)
    title = f"{arguments.files} files of 4 KB"
    print(machine(), "", *table(title, seconds, "aweigh cold"), sep="\n")
    print("", *details(sides.figures), sep="\n")


if __name__ == "__main__":
    main()
