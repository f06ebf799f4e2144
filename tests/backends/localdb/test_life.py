"""Tests of LocalDB's life: exit, fork, other loops, threads that must end."""

import asyncio
import threading
import time
from pathlib import Path

import pytest

from aweigh.memory import Table, record_key
from tests.backends.localdb.support import (
    database,
    file_in,
    finish,
    record,
    start,
)

EXITS = {
    "exit-returning": 0,
    "exit-raising": 3,
    "exit-collected": 0,
    "exit-interrupted": 130,
    "exit-abandoned": 0,
    "exit-in-thread": 0,
}


def recalled(path: Path, name: str) -> bytes | None:
    """Return what a new database recalls."""

    async def main() -> bytes | None:
        async with database(path) as db:
            found = await db.recall(Table.IMAGES, record_key(name))
            return found.value if found else None

    return asyncio.run(main())


@pytest.mark.parametrize(("program", "code"), EXITS.items())
def test_exit_with_an_open_database_is_quick_and_loses_nothing(
    tmp_path: Path, program: str, code: int
) -> None:
    """An open database never keeps the interpreter, and what was kept is kept."""
    before = time.monotonic()
    result, _, err = finish(start(program, tmp_path / "c", measured=False), timeout=10)
    assert result == code, err
    assert time.monotonic() - before < 3
    if program != "exit-abandoned":  # aiosqlite reports to a loop that is gone
        assert err == ""
    assert recalled(tmp_path / "c", "kept") == b"kept"


def test_interrupt_while_waiting_for_a_lock_exits_quickly(tmp_path: Path) -> None:
    """Ctrl-C does not wait for the lock's deadline."""
    (tmp_path / "c").mkdir(mode=0o700)
    holder = start("hold", tmp_path / "c", "flock")
    try:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        waiter = start("exit-contended", tmp_path / "c", measured=False)
        assert waiter.stdout is not None
        assert waiter.stdout.readline() == "started\n"
        before = time.monotonic()
        assert finish(waiter, timeout=10)[1:] == ("interrupted\n", "")
        assert time.monotonic() - before < 1.2
    finally:
        holder.kill()
        holder.communicate()


def test_forked_child_opens_its_own(tmp_path: Path) -> None:
    """A child reads and writes through its own connection; the parent goes on."""
    code, out, err = finish(start("fork", tmp_path / "c"), timeout=20)
    assert (code, err) == (0, "")
    assert sorted(out.splitlines()) == [
        "child kept",
        "parent child",
        "parent kept",
        "parent parent",
        "status 0",
    ]


def test_forked_child_does_not_keep_the_lock(tmp_path: Path) -> None:
    """A lock held during a fork is free when the parent gives it back."""
    assert finish(start("fork-holding", tmp_path / "c"), timeout=20) == (
        0,
        "free\n",
        "",
    )


def test_another_loop_is_told_so(tmp_path: Path) -> None:
    """Use in a second event loop raises a named error and hangs nothing."""
    code, out, err = finish(start("second-loop", tmp_path / "c"), timeout=10)
    assert (code, out, err) == (0, "WrongLoopError\n", "")


async def test_a_thousand_recalls_start_no_threads(tmp_path: Path) -> None:
    """However many ask, there are at most four threads of ours, and none afterwards."""
    before = threading.active_count()
    async with database(tmp_path / "c") as db:
        await db.remember([record("a")])
        db._known.clear()
        await asyncio.gather(
            *(db.recall(Table.IMAGES, record_key(f"{n}")) for n in range(1000)),
            *(db.remember([record(f"{n}")]) for n in range(100)),
        )
        assert threading.active_count() - before <= 4
    await _threads_end("_connection_worker_thread")


async def test_cancelled_opening_leaves_no_thread(tmp_path: Path) -> None:
    """Cancel the first recall at many instants: the worker thread always ends."""
    async with database(tmp_path / "c") as db:
        await db.remember([record("a")])
    for n in range(30):
        async with database(tmp_path / "c") as db:
            task = asyncio.create_task(db.recall(Table.IMAGES, record_key("a")))
            await asyncio.sleep(n * 0.0001)
            task.cancel()
            await asyncio.wait({task})
    await _threads_end("_connection_worker_thread")


async def test_closed_memory_keeps_nothing(tmp_path: Path) -> None:
    """After closing, everything is a miss and nothing is written or raised."""
    async with database(tmp_path / "c") as db:
        await db.remember([record("a")])
    await db.remember([record("b")])
    await db.forget(Table.IMAGES, [record_key("a")])
    assert await db.recall(Table.IMAGES, record_key("a")) is None
    assert await db.rows(Table.IMAGES) == []
    assert await db.clear() == 0
    await db.close()
    async with database(tmp_path / "c") as again:
        assert await again.recall(Table.IMAGES, record_key("a")) is not None
        assert await again.recall(Table.IMAGES, record_key("b")) is None


async def test_stopped_connection_is_a_memory_in_memory(tmp_path: Path) -> None:
    """When the interpreter's end has closed the connection, nothing is raised."""
    async with database(tmp_path / "c") as db:
        await db.remember([record("a")])
        worker = db._access._current
        assert worker is not None
        future = worker._connection.stop()
        assert future is not None
        await future
        db._known.clear()
        assert await db.recall(Table.IMAGES, record_key("a")) is None
        await db.remember([record("b")])
        assert await db.recall(Table.IMAGES, record_key("b")) is not None


async def _threads_end(name: str) -> None:
    def alive() -> list[threading.Thread]:
        return [thread for thread in threading.enumerate() if name in thread.name]

    for _ in range(100):
        if not alive():
            return
        await asyncio.sleep(0.01)
    assert alive() == []


def test_nothing_is_made_before_the_first_write(tmp_path: Path) -> None:
    """Recalling, forgetting, listing and clearing make neither file nor directory."""

    async def main() -> None:
        async with database(tmp_path / "c") as db:
            assert await db.recall(Table.IMAGES, record_key("a")) is None
            await db.forget(Table.IMAGES, [record_key("a")])
            assert await db.rows(Table.TREES) == []
            assert await db.clear() == 0
            assert await db.prune() == 0
            assert await db.size() == 0
        assert not (tmp_path / "c").exists()
        async with database(tmp_path / "c") as db:
            await db.remember([])
        assert not (tmp_path / "c").exists()

    asyncio.run(main())
    assert not file_in(tmp_path / "c").exists()


@pytest.mark.parametrize("everything", [False, True])
async def test_cancelled_while_a_write_waits_leaves_quickly(
    tmp_path: Path, *, everything: bool
) -> None:
    """Whoever is cancelled waits for a lock only briefly, not for its deadline."""
    async with database(tmp_path) as db:
        await db.remember([record("a")])

    async def use() -> None:
        async with database(tmp_path, lock_deadline=30) as db:
            await db.remember([record("b")])

    holder = start("hold", tmp_path, "flock")
    assert holder.stdout is not None
    holder.stdout.readline()
    task = asyncio.create_task(use())
    await asyncio.sleep(0.2)
    before = time.monotonic()
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for other in others if everything else {task}:
        other.cancel()
    await asyncio.wait({task})
    assert task.cancelled()
    assert time.monotonic() - before < 1.5
    holder.kill()
    finish(holder)
