"""Prints what the wheel takes to install and to import; runs where it is installed."""

from __future__ import annotations

import subprocess
import sys
import sysconfig
import time
from pathlib import Path

ROUNDS = 40
SHOWN = 6
PROGRAMS = {
    "python -c pass": "pass",
    "import asyncio": "import asyncio",
    "import aweigh": "import aweigh",
    "open_session, ImageSpec": "from aweigh import ImageSpec, Settings, open_session",
    "the command": "import aweigh.cli.main",
}


def main(wheel: str) -> None:
    """Print megabytes of each package, then milliseconds of each import."""
    print(f"{'wheel':24}{Path(wheel).stat().st_size / 1e6:8.1f} MB")
    folders = (sysconfig.get_path("purelib"), sysconfig.get_path("scripts"))
    parts = {
        str(part.relative_to(sys.prefix)): _bytes(part)
        for folder in folders
        for part in Path(folder).iterdir()
    }
    print(f"{'installed':24}{sum(parts.values()) / 1e6:8.1f} MB, of which")
    for name in sorted(parts, key=parts.__getitem__, reverse=True)[:SHOWN]:
        print(f"  {Path(name).name:22}{parts[name] / 1e6:8.1f} MB")
    times = _seconds()
    nothing = times["python -c pass"]
    for program, taken in times.items():
        print(f"{program:24}{taken * 1e3:8.1f} ms {taken / nothing:6.2f}x")


def _bytes(path: Path) -> int:
    files = path.rglob("*") if path.is_dir() else [path]
    return sum(file.lstat().st_size for file in files if file.is_file())


def _seconds() -> dict[str, float]:
    """Return the shortest time of each: what others do here only adds to it."""
    taken: dict[str, float] = dict.fromkeys(PROGRAMS, float("inf"))
    for _ in range(ROUNDS):
        for name, program in PROGRAMS.items():
            start = time.perf_counter()
            subprocess.run([sys.executable, "-c", program], check=True)
            taken[name] = min(taken[name], time.perf_counter() - start)
    return taken


if __name__ == "__main__":
    main(*sys.argv[1:])
