"""A warm `prepare` as a whole process, beside the least that could answer the same.

Run with the services of `.ci/setup`: python -m benchmarks.bench_process [ROUNDS]. The
reference is a script that runs asyncio, reads one row of the same database with
aiosqlite, and walks the same tree with `os.scandir`, a stat for each file.
"""

from __future__ import annotations

import asyncio
import resource
import sys
import tempfile
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from aweigh import ImageSpec, Settings, prepare
from benchmarks.measure import alternate, environ, machine, process_seconds, table
from tests.services import Services, find_services

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_REFERENCE = """
import asyncio, os, sys
import aiosqlite
async def read(database):
    async with aiosqlite.connect(database) as db:
        async with db.execute("SELECT * FROM sqlite_master LIMIT 1") as rows:
            return await rows.fetchone()
def walk(root):
    folders = [root]
    while folders:
        with os.scandir(folders.pop()) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    folders.append(entry.path)
                else:
                    entry.stat(follow_symlinks=False)
async def main():
    await asyncio.gather(read(sys.argv[1]), asyncio.to_thread(walk, sys.argv[2]))
asyncio.run(main())
"""
_API = """
import asyncio, sys
from aweigh import ImageSpec, prepare
ready = asyncio.run(prepare(ImageSpec.from_toml(sys.argv[1]), sys.argv[2]))
assert ready.image.origin == ready.bundle.origin == "recalled", ready
"""
_PROJECT = """
[tool.aweigh.image]
name = "bench/process"
base = "{base}"
env = {{ BENCH = "process" }}
"""
_TREES = (200, 10_000)
_PER_FOLDER = 20


def write_tree(root: Path, files: int) -> None:
    """Write small source files, so many to a folder."""
    for number in range(files):
        folder = root / f"package{number // _PER_FOLDER:03}"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"module{number}.py").write_text(f"NUMBER = {number}\n")


def cpu_seconds(command: Sequence[str], env: Mapping[str, str]) -> float:
    """Return what a process used of the processors, by itself and for itself."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    process_seconds(command, env)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    used = after.ru_utime - before.ru_utime
    return used + after.ru_stime - before.ru_stime


def compare(
    work: Path, project: Path, files: int, rounds: int, env: Mapping[str, str]
) -> list[str]:
    """Make a tree warm, and time everybody with it."""
    tree = work / f"tree{files}"
    write_tree(tree, files)
    settings = Settings.load(environ=env)
    asyncio.run(prepare(ImageSpec.from_toml(project), tree, settings=settings))
    (database,) = settings.cache_dir.glob("*.db")
    python, quiet = sys.executable, (str(project), str(tree))
    commands = {
        "python -c pass": (python, "-c", "pass"),
        "the reference": (python, "-c", _REFERENCE, str(database), str(tree)),
        "await prepare(...)": (python, "-c", _API, *quiet),
        "aweigh prepare": (python, "-m", "aweigh", "prepare", "-q", *quiet),
    }
    lines = []
    for what, timed in (("wall", process_seconds), ("CPU", cpu_seconds)):
        sides = {name: partial(timed, each, env) for name, each in commands.items()}
        seconds = alternate(sides, rounds)
        title = f"Warm process, {files:,} files, {what} time"
        lines += table(title, seconds, "the reference")
    return lines


def measure(services: Services, rounds: int) -> list[str]:
    """Return the tables of every size of tree."""
    with tempfile.TemporaryDirectory() as name:
        work = Path(name)
        project = work / "pyproject.toml"
        project.write_text(_PROJECT.format(base=services.base))
        env = environ(
            AWEIGH_CACHE_DIR=str(work / "cache"),
            AWEIGH_STORE=(work / "store").as_uri(),
            AWEIGH_REGISTRY=services.registry,
            AWEIGH_ENGINE=services.engine,
        )
        lines = []
        for files in _TREES:
            lines += compare(work, project, files, rounds, env)
        return lines


def main(rounds: int) -> None:
    """Print the tables."""
    services = find_services()
    if services is None:
        sys.exit("the services are not running: sudo .ci/setup")
    print(f"{machine()}; {rounds} rounds\n")
    print("\n".join(measure(services, rounds)))


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 11)
