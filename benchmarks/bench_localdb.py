"""LocalDB and locks between processes: waits, crowds and takeover after a kill.

Run: python -m benchmarks.bench_localdb [ROUNDS]
"""

from __future__ import annotations

import asyncio
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from aweigh.concurrency.file_lock import FileLock
from aweigh.events import silent
from benchmarks.measure import environ, machine

_WRITE = """
import asyncio, json, sys, time
from pathlib import Path
from aweigh.backends.localdb import open_localdb
from aweigh.events import silent
from aweigh.memory import Record, Table, record_key

def record(name):
    now = time.time()
    return Record(table=Table.IMAGES, key=record_key(name), value=name.encode(),
                  created_at=now, verified_at=now, expires_at=now + 1000)

async def main(path, name, count):
    waits = []
    async with open_localdb(Path(path), listener=silent, lock_deadline=20) as db:
        for n in range(int(count)):
            began = time.perf_counter()
            await db.remember([record(f"{name}-{n}")])
            waits.append(time.perf_counter() - began)
        lost = db.stats.lost
        found = await db.recall(Table.IMAGES, record_key(f"{name}-0"))
    print(json.dumps({"worst": max(waits), "lost": lost, "found": found is not None}))

asyncio.run(main(*sys.argv[1:]))
"""
_HOLD = """
import asyncio, sys
from pathlib import Path
from aweigh.concurrency.file_lock import FileLock
from aweigh.events import silent

async def main():
    lock = FileLock(Path(sys.argv[1]), "key", purpose="holding")
    async with lock.hold(listener=silent):
        print("held", flush=True)
        await asyncio.sleep(3600)

asyncio.run(main())
"""


def crowd(folder: Path, processes: int, writes: int) -> tuple[float, int]:
    """Let processes write at once; return the worst wait and how many failed."""
    env = environ()
    started = [
        subprocess.Popen(
            [sys.executable, "-c", _WRITE, str(folder), f"p{number}", str(writes)],
            env=env,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for number in range(processes)
    ]
    worst, failed = 0.0, 0
    for process in started:
        out, err = process.communicate()
        if process.returncode or err:
            failed += 1
            continue
        said = json.loads(out)
        worst = max(worst, said["worst"])
        failed += bool(said["lost"]) or not said["found"]
    return worst, failed


async def takeover(folder: Path) -> float:
    """Return the seconds from a holder's SIGKILL to the next holder."""
    holder = await asyncio.create_subprocess_exec(
        sys.executable, "-c", _HOLD, str(folder), stdout=asyncio.subprocess.PIPE
    )
    assert holder.stdout is not None
    await holder.stdout.readline()
    killed = 0.0

    async def kill() -> None:
        nonlocal killed
        await asyncio.sleep(0.2)
        killed = time.perf_counter()
        holder.kill()

    lock = FileLock(folder, "key", purpose="waiting")
    killing = asyncio.create_task(kill())
    async with lock.hold(listener=silent):
        seconds = time.perf_counter() - killed
    await killing
    await holder.wait()
    return seconds


def main(rounds: int) -> None:
    """Print a table."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        writers = [crowd(folder / f"w{n}", 8, 200) for n in range(rounds)]
        openers = [crowd(folder / f"o{n}", 200, 1) for n in range(2)]
        seconds = [asyncio.run(takeover(folder / "locks")) for _ in range(20)]
    rows = {
        f"8 processes x 200 writes, worst wait of {rounds} rounds": (
            max(worst for worst, _ in writers),
            sum(failed for _, failed in writers),
        ),
        "200 processes at once, each opens, writes and reads": (
            max(worst for worst, _ in openers),
            sum(failed for _, failed in openers),
        ),
        "lock after its holder's SIGKILL, median of 20": (
            statistics.median(seconds),
            0,
        ),
        "lock after its holder's SIGKILL, worst of 20": (max(seconds), 0),
    }
    print(f"{machine()}\n\n### LocalDB and locks between processes\n")
    print("| | ms | errors or lost rows |\n|---|---|---|")
    for label, (worst, failed) in rows.items():
        print(f"| {label} | {worst * 1000:.1f} | {failed} |")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 5)
