"""Records, databases and programs for the tests of LocalDB."""

import asyncio
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from pathlib import Path

from aweigh.backends.localdb import LocalDB, open_localdb
from aweigh.events import Event, silent
from aweigh.memory import Record, Table, record_key

PROGRAMS = Path(__file__).with_name("programs.py")
NOBODY = 65534

UNMEASURED = ["env", "-u", "COVERAGE_PROCESS_CONFIG", "-u", "COVERAGE_PROCESS_START"]


def record(
    name: str,
    value: bytes = b"value",
    *,
    table: Table = Table.IMAGES,
    at: float | None = None,
    ttl: float = 1000.0,
) -> Record:
    """Return a record that was verified now, or at a given time."""
    now = time.time() if at is None else at
    return Record(
        table=table,
        key=record_key(name),
        value=value,
        created_at=now,
        verified_at=now,
        expires_at=now + ttl,
    )


def database(
    path: Path,
    *,
    listener: Callable[[Event], None] = silent,
    clock: Callable[[], float] = time.time,
    prune_probability: float = 0.0,
    lock_deadline: float = 2.0,
) -> AbstractAsyncContextManager[LocalDB]:
    """Open a database that never prunes by chance, unless told."""
    return open_localdb(
        path,
        listener=listener,
        clock=clock,
        prune_probability=prune_probability,
        lock_deadline=lock_deadline,
    )


def file_in(path: Path) -> Path:
    """Return the database file in a directory."""
    return path / "aweigh-v1.db"


def fill(path: Path, count: int, *, size: int = 200) -> list[Record]:
    """Make a database with some records, and close it."""
    records = [record(f"r{n}", bytes([n % 256]) * size) for n in range(count)]

    async def main() -> None:
        async with database(path) as db:
            await db.remember(records)

    asyncio.run(main())
    return records


def start(*arguments: str | Path, measured: bool = True) -> subprocess.Popen[str]:
    """Start one of the programs.

    Unmeasured, coverage leaves it alone: how long a process takes to exit must not
    include what coverage does then.
    """
    return subprocess.Popen(
        [*([] if measured else UNMEASURED), sys.executable, PROGRAMS, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def finish(
    program: subprocess.Popen[str], *, timeout: float = 60.0
) -> tuple[int, str, str]:
    """Wait for a program; return its exit code and what it wrote."""
    try:
        out, err = program.communicate(timeout=timeout)
    except subprocess.TimeoutExpired:
        program.kill()
        program.communicate()
        raise
    return program.returncode, out, err


def finish_all(programs: Sequence[subprocess.Popen[str]]) -> list[str]:
    """Wait for programs that must succeed silently; return what they printed."""
    results = [finish(program) for program in programs]
    for code, _, err in results:
        assert (code, err) == (0, ""), err
    return [out for _, out, _ in results]
