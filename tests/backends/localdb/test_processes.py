"""Tests of many processes on one LocalDB: nothing lost, nobody starved, kill -9."""

import asyncio
import os
import re
import signal
import sqlite3
import threading
import time
from pathlib import Path
from random import Random

import pytest

from aweigh.memory import Table, record_key
from tests.backends.localdb.support import (
    database,
    file_in,
    finish,
    finish_all,
    record,
    start,
)
from tests.services import setting

# `make soak` asks for a thousand.
KILL_ROUNDS = int(setting("AWEIGH_KILL_ROUNDS") or 20)
WHOLE_LINE = re.compile(r"^(k\d+-\d+-\d+) \d+\.\d{4}$", re.MULTILINE)


def kept(path: Path) -> set[str]:
    """Return the keys in a database, after checking all of it."""
    connection = sqlite3.connect(file_in(path))
    assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    keys = {key for (key,) in connection.execute("SELECT key FROM images")}
    connection.close()
    return keys


def test_eight_processes_lose_nothing(tmp_path: Path) -> None:
    """Eight processes make the database at once; every acknowledged write is in it."""
    path = tmp_path / "c"
    outs = finish_all([start("write", path, f"p{n}", "50") for n in range(8)])
    lines = [line.split() for out in outs for line in out.splitlines()[1:]]
    assert len(lines) == 400
    wanted = {record_key(f"{name}-{part}") for name, _ in lines for part in "ab"}
    assert kept(path) == wanted
    assert max(float(seconds) for _, seconds in lines) < 2
    assert not list(path.glob("*.corrupt-*"))


@pytest.mark.timeout(3600)  # for `make soak`
def test_killed_processes_lose_nothing_acknowledged(tmp_path: Path) -> None:
    """Four writers are killed in the middle, again and again: none lost, all whole."""
    dice = Random(11)  # noqa: S311
    path = tmp_path / "c"
    acknowledged = set()
    for number in range(KILL_ROUNDS):
        names = [f"k{number}-{writer}" for writer in range(4)]
        programs = [start("write", path, name, "100000") for name in names]
        for program in programs:
            assert program.stdout is not None
            assert program.stdout.readline() == "ready\n"
        for program in programs:
            threading.Timer(dice.random() * 0.08, program.kill).start()
        for program in programs:
            code, out, _ = finish(program)
            assert code == -signal.SIGKILL
            # Its first line may be a piece of one, for readline read ahead.
            acknowledged |= set(WHOLE_LINE.findall(out))
    keys = kept(path)
    assert len(acknowledged) > KILL_ROUNDS
    assert {record_key(f"{name}-{p}") for name in acknowledged for p in "ab"} <= keys
    assert len(keys) % 2 == 0  # a and b of one name come together
    assert not list(path.glob("*.corrupt-*"))


async def test_foreign_writer_is_waited_for_and_then_done_without(
    tmp_path: Path,
) -> None:
    """A foreign BEGIN IMMEDIATE delays writes by the deadline, and reads not at all."""
    async with database(tmp_path, lock_deadline=0.3) as db:
        await db.remember([record("a"), record("b")])
        holder = start("hold", tmp_path, "sqlite")
        assert holder.stdout is not None
        holder.stdout.readline()
        before = time.monotonic()
        forgetting = asyncio.gather(
            db.forget(Table.IMAGES, [record_key("a")]), db.remember([record("c")])
        )
        db._known.clear()
        assert await db.recall(Table.IMAGES, record_key("b")) is not None
        assert time.monotonic() - before < 0.25
        await forgetting
        assert 0.25 < time.monotonic() - before < 1.5
        assert db.stats.lost == 1
        assert await db.recall(Table.IMAGES, record_key("a")) is None
        assert len(await db.rows(Table.IMAGES)) == 2
        holder.kill()
        finish(holder)
    # What was forgotten in vain is deleted with the next write, or at closing.
    async with database(tmp_path) as db:
        assert await db.recall(Table.IMAGES, record_key("a")) is None
        assert len(await db.rows(Table.IMAGES)) == 1


async def test_stopped_lock_holder_delays_only_writes(tmp_path: Path) -> None:
    """A SIGSTOPped holder of the side lock costs a write its deadline, no more."""
    events: list[object] = []
    async with database(tmp_path, lock_deadline=0.3, listener=events.append) as db:
        await db.remember([record("a")])
        holder = start("hold", tmp_path, "flock")
        assert holder.stdout is not None
        holder.stdout.readline()
        os.kill(holder.pid, signal.SIGSTOP)
        threads = threading.active_count()
        for name in "bcd":
            before = time.monotonic()
            await db.remember([record(name)])
            assert 0.25 < time.monotonic() - before < 1
        assert threading.active_count() == threads + 1
        holder.kill()
        finish(holder)
        await db.remember([record("e")])
        assert db.stats.lost == 3
    assert events == []
    assert kept(tmp_path) == {record_key("a"), record_key("e")}


async def test_waiter_takes_over_at_once(tmp_path: Path) -> None:
    """When the holder is killed the waiting write goes on within 100 ms."""
    async with database(tmp_path, lock_deadline=10) as db:
        await db.remember([record("a")])
        holder = start("hold", tmp_path, "flock")
        assert holder.stdout is not None
        holder.stdout.readline()
        task = asyncio.create_task(db.remember([record("b")]))
        await asyncio.sleep(0.1)
        assert not task.done()
        holder.kill()
        before = time.monotonic()
        await task
        assert time.monotonic() - before < 0.1
        finish(holder)


@pytest.mark.parametrize("seed", range(3))
async def test_databases_in_one_process_exclude_each_other(
    tmp_path: Path, seed: int
) -> None:
    """Several databases of one process share the file like processes do."""

    async def write(number: int) -> None:
        async with database(tmp_path, lock_deadline=10) as db:
            for n in range(30):
                await db.remember([record(f"{seed}-{number}-{n}")])
            assert db.stats.lost == 0

    await asyncio.gather(*(write(number) for number in range(4)))
    assert len(kept(tmp_path)) == 120
