"""Tests of what LocalDB remembers, recalls, forgets and prunes."""

import asyncio
import math
import sqlite3
import tempfile
import time
from dataclasses import replace
from itertools import chain
from pathlib import Path
from random import Random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from aweigh.backends.localdb import rows
from aweigh.memory import Memory, Record, Table, record_key
from tests.backends.localdb.support import database, file_in, finish, record, start

times = st.floats(allow_nan=False, allow_infinity=False)
records = st.builds(
    Record,
    table=st.sampled_from(Table),
    key=st.text("0123456789abcdef", min_size=1, max_size=64),
    value=st.binary(max_size=500),
    created_at=times,
    verified_at=times,
    expires_at=times,
)


def memory() -> sqlite3.Connection:
    """Return an empty database with our schema, in memory."""
    connection = sqlite3.connect(":memory:", isolation_level=None)
    for statement in chain.from_iterable(rows.MIGRATIONS):
        connection.execute(statement)
    return connection


@given(records)
def test_row_round_trip(original: Record) -> None:
    """Whatever goes into a row comes out of it, bit for bit."""
    connection = memory()
    rows.insert(connection, [original])
    row = rows.select(connection, original.table, original.key)
    assert row is not None
    assert rows.decode(original.table, original.key, row) == original
    connection.close()


@given(records, st.integers(0, 5), st.data())
def test_changed_row_is_no_record(
    original: Record, column: int, data: st.DataObject
) -> None:
    """Any other value in any column makes a row a miss."""
    connection = memory()
    rows.insert(connection, [original])
    row = rows.select(connection, original.table, original.key)
    connection.close()
    assert row is not None
    other = data.draw(
        st.one_of(st.text(), st.binary(), times, st.integers(), st.none())
    )
    changed = (*row[:column], other, *row[column + 1 :])
    if (type(other), other) == (type(row[column]), row[column]):
        return
    assert rows.decode(original.table, original.key, changed) is None
    for table in Table:
        if table is not original.table:
            assert rows.decode(table, original.key, row) is None


@settings(max_examples=20, suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(st.lists(records, max_size=8), times)
def test_recalled_is_what_was_remembered_or_nothing(
    batch: list[Record], now: float
) -> None:
    """The last record of a key is recalled when it is fresh, and nothing else."""
    last = {(item.table, item.key): item for item in batch}

    async def main(path: Path) -> None:
        async with database(path, clock=lambda: now) as db:
            await db.remember(batch)
            db._known.clear()
            for (table, key), expected in last.items():
                fresh = rows.is_answer(expected, now)
                found = await db.recall(table, key)
                assert found == (expected if fresh else None)

    with tempfile.TemporaryDirectory() as directory:
        asyncio.run(main(Path(directory)))


async def test_forgotten_is_not_recalled(tmp_path: Path) -> None:
    """Forgetting drops these keys of this table, and no others."""
    async with database(tmp_path) as db:
        as_memory: Memory = db
        a, b = record("a"), record("b")
        in_trees = replace(a, table=Table.TREES)
        await as_memory.remember([a, b, in_trees])
        await as_memory.forget(Table.IMAGES, [a.key, "unknown"])
        await as_memory.forget(Table.IMAGES, [])
        db._known.clear()
        assert await db.recall(Table.IMAGES, a.key) is None
        assert await db.recall(Table.IMAGES, b.key) == b
        assert await db.recall(Table.TREES, a.key) == in_trees


async def test_records_that_cannot_be_kept_do_not_spoil_the_others(
    tmp_path: Path,
) -> None:
    """Times that are no numbers and keys that are no text are left out."""
    good = record("good")
    bad = [
        replace(record("nan"), expires_at=math.nan),
        replace(record("inf"), verified_at=math.inf),
        replace(record("key"), key="\ud800"),
    ]
    async with database(tmp_path) as db:
        await db.remember([*bad, good])
        assert await db.recall(Table.IMAGES, good.key) == good
        assert len(await db.rows(Table.IMAGES)) == 1
        assert db.stats.written == 1


@pytest.mark.parametrize(
    ("step", "hit"),
    [(0, True), (-59, True), (-61, False), (99, True), (101, False), (-86400, False)],
)
async def test_clock_steps_lead_to_misses_at_worst(
    tmp_path: Path, step: float, *, hit: bool
) -> None:
    """A clock that goes back or forward never makes a record fresh for ever."""
    now = 1_000_000.0
    async with database(tmp_path, clock=lambda: now + step) as db:
        remembered = record("a", at=now, ttl=100)
        await db.remember([remembered])
        assert await db.recall(Table.IMAGES, remembered.key) == (
            remembered if hit else None
        )
        db._known.clear()
        assert (await db.recall(Table.IMAGES, remembered.key) is not None) is hit


async def test_times_must_make_sense(tmp_path: Path) -> None:
    """A record with an endless life, or made in the future, is no answer."""
    now = 1_000_000.0
    endless = replace(record("a", at=-1e308), expires_at=1e308)
    assert math.isinf(endless.expires_at - endless.verified_at)
    unborn = replace(record("b", at=now), created_at=now + 1000)
    async with database(tmp_path, clock=lambda: now) as db:
        await db.remember([endless, unborn])
        assert await db.recall(Table.IMAGES, endless.key) is None
        assert await db.recall(Table.IMAGES, unborn.key) is None


async def test_queued_writes_share_transactions(tmp_path: Path) -> None:
    """A thousand concurrent writes need a few transactions, and all are kept."""
    async with database(tmp_path) as db:
        await asyncio.gather(*(db.remember([record(f"{n}")]) for n in range(1000)))
        assert db.stats.transactions <= 10
        assert len(await db.rows(Table.IMAGES)) == 1000


async def test_one_remember_is_one_transaction(tmp_path: Path) -> None:
    """Records that are remembered together appear together."""
    async with database(tmp_path) as writer, database(tmp_path) as reader:
        await writer.remember([record("seed")])
        batches = [[record(f"{b}-{n}") for n in range(300)] for b in range(5)]
        writing = asyncio.gather(*(writer.remember(batch) for batch in batches))
        while not writing.done():
            assert len(await reader.rows(Table.IMAGES)) % 300 == 1
        await writing
        assert len(await reader.rows(Table.IMAGES)) == 1501


async def test_listing_and_size(tmp_path: Path) -> None:
    """Rows are listed without values, expired ones too; the size is that on disk."""
    async with database(tmp_path) as db:
        old, new = record("a", b"x" * 10, at=1000.0), record("b", b"x" * 20)
        await db.remember([new, old])
        listed = await db.rows(Table.IMAGES)
        assert [(row.key, row.size) for row in listed] == [(old.key, 10), (new.key, 20)]
        assert listed[0].verified_at == 1000.0
        on_disk = sum(
            path.stat().st_size for path in tmp_path.iterdir() if ".db" in path.name
        )
        assert await db.size() == on_disk > 20_000


async def test_prune_deletes_all_that_expired(tmp_path: Path) -> None:
    """Pruning deletes every expired row of every table and nothing fresh."""
    async with database(tmp_path) as db:
        expired = [
            record(f"{n}", at=1000.0, table=table)
            for n in range(150)
            for table in Table
        ]
        fresh = record("fresh")
        await db.remember([*expired, fresh])
        assert await db.prune() == len(expired)
        assert await db.prune() == 0
        assert db.stats.pruned == len(expired)
        assert await db.recall(Table.IMAGES, fresh.key) == fresh


async def test_clear_empties_tables_and_gives_space_back(tmp_path: Path) -> None:
    """Clearing some tables leaves the others; clearing all shrinks the file."""
    async with database(tmp_path) as db:
        for table in Table:
            await db.remember(
                [record(f"{n}", b"x" * 9000, table=table) for n in range(100)]
            )
        full = await db.size()
        assert await db.clear([Table.IMAGES]) == 100
        assert await db.recall(Table.IMAGES, record_key("1")) is None
        assert await db.recall(Table.TREES, record_key("1")) is not None
        assert await db.clear() == 100 * (len(Table) - 1)
        assert await db.size() < full / 10
        assert await db.recall(Table.TREES, record_key("1")) is None


async def test_recalls_prune_by_chance(tmp_path: Path) -> None:
    """A recall deletes at most 200 expired rows, beside the answer."""
    async with database(tmp_path, prune_probability=1.0) as db:
        await db.remember([record(f"{n}", at=1000.0) for n in range(450)])
        left = []
        for _ in range(4):
            assert await db.recall(Table.IMAGES, record_key("other")) is None
            left.append(len(await db.rows(Table.IMAGES)))
        assert left == [250, 50, 0, 0]


async def test_pruning_is_skipped_when_the_lock_is_contended(tmp_path: Path) -> None:
    """Nobody waits for a pruning step."""
    async with database(tmp_path, prune_probability=1.0) as db:
        await db.remember([record("old", at=1000.0)])
        holder = start("hold", tmp_path, "flock")
        assert holder.stdout is not None
        holder.stdout.readline()
        before = time.monotonic()
        await db.recall(Table.IMAGES, record_key("other"))
        assert len(await db.rows(Table.IMAGES)) == 1
        assert time.monotonic() - before < 0.5
        holder.kill()
        finish(holder)
        await db.recall(Table.IMAGES, record_key("other"))
        assert await db.rows(Table.IMAGES) == []


async def test_asking_again_costs_no_trip(tmp_path: Path) -> None:
    """A hot loop is served from memory, in microseconds."""
    async with database(tmp_path) as db:
        remembered = record("a")
        await db.remember([remembered])
        await db.recall(Table.IMAGES, remembered.key)
        before = time.perf_counter()
        for _ in range(1000):
            assert await db.recall(Table.IMAGES, remembered.key) is not None
        assert time.perf_counter() - before < 0.1
        assert db.stats.known >= 999


async def test_another_ones_forgetting_is_seen_within_two_seconds(
    tmp_path: Path,
) -> None:
    """What another process forgets is soon no longer answered from memory."""
    async with database(tmp_path) as db:
        remembered = record("a")
        await db.remember([remembered])
        assert await db.recall(Table.IMAGES, remembered.key) == remembered
        assert finish(start("forget", tmp_path, "a"))[0] == 0
        deadline = time.monotonic() + 2
        while await db.recall(Table.IMAGES, remembered.key) is not None:
            assert time.monotonic() < deadline
            await asyncio.sleep(0.02)


async def test_memory_is_bounded(tmp_path: Path) -> None:
    """Old and large records leave memory, not the disk."""
    async with database(tmp_path) as db:
        large = record("large", b"x" * 300_000)
        await db.remember([large, *(record(f"{n}") for n in range(5000))])
        assert len(db._known._records) == 4096
        assert await db.recall(Table.IMAGES, large.key) == large
        assert await db.recall(Table.IMAGES, record_key("0")) is not None


async def test_cancelled_writes_happen_and_leave_nothing_open(tmp_path: Path) -> None:
    """After 200 random cancellations everything is written and the lock is free."""
    dice = Random(7)  # noqa: S311
    async with database(tmp_path) as db, database(tmp_path) as neighbour:
        await db.remember([record("seed")])
        waits = []

        async def write_beside() -> None:
            for n in range(50):
                before = time.monotonic()
                await neighbour.remember([record(f"beside-{n}")])
                waits.append(time.monotonic() - before)
                await asyncio.sleep(0.002)

        beside = asyncio.create_task(write_beside())
        for n in range(200):
            action = dice.choice(("remember", "recall", "forget"))
            task = asyncio.create_task(
                db.remember([record(f"s-{n}")])
                if action == "remember"
                else db.recall(Table.IMAGES, record_key(f"x{n}"))
                if action == "recall"
                else db.forget(Table.IMAGES, [record_key(f"x{n}")])
            )
            await asyncio.sleep(dice.choice((0, 0, 0.0001, 0.0005, 0.001)))
            task.cancel()
        await beside
        await db.remember([record("last")])
        worker = db._access._current
        assert worker is not None
        assert not await worker.run(lambda handle: handle.in_transaction)
        assert db.stats.lost == neighbour.stats.lost == 0
        assert max(waits) < 0.5
        kept = {row.key for row in await db.rows(Table.IMAGES)}
        assert {record_key("last"), record_key("beside-49")} <= kept


async def test_cancelled_remember_is_written(tmp_path: Path) -> None:
    """Once called, the write happens though the caller is cancelled at once."""
    async with database(tmp_path) as db:
        task = asyncio.create_task(db.remember([record("a")]))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    async with database(tmp_path) as db:
        assert await db.recall(Table.IMAGES, record_key("a")) is not None


async def test_cancelling_everything_still_writes(tmp_path: Path) -> None:
    """A loop that cancels all its tasks loses no write that was asked for."""
    async with database(tmp_path) as db:
        await db.remember([record("seed")])
        asked = [asyncio.create_task(db.remember([record(f"{n}")])) for n in range(50)]
        await asyncio.sleep(0)
        for task in asyncio.all_tasks() - {asyncio.current_task()}:
            task.cancel()
        await asyncio.wait(asked)
    async with database(tmp_path) as db:
        assert len(await db.rows(Table.IMAGES)) == 51


async def test_two_versions_take_turns(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A newer minor upgrades at its first write, and the older goes on using it."""
    async with database(tmp_path) as older:
        await older.remember([record("a")])
        newer_steps = (
            *rows.MIGRATIONS,
            ("ALTER TABLE images ADD COLUMN note TEXT NOT NULL DEFAULT ''",),
        )
        with monkeypatch.context() as patch:
            patch.setattr(rows, "MIGRATIONS", newer_steps)
            async with database(tmp_path) as newer:
                assert await newer.recall(Table.IMAGES, record_key("a")) is not None
                assert _minor(tmp_path) == len(rows.MIGRATIONS) - 1
                await newer.remember([record("b")])
                assert _minor(tmp_path) == len(rows.MIGRATIONS)
        older._known.clear()
        await older.remember([record("c")])
        for name in "abc":
            assert await older.recall(Table.IMAGES, record_key(name)) is not None
    async with database(tmp_path) as late:
        await late.remember([record("d")])
        assert len(await late.rows(Table.IMAGES)) == 4
    assert _minor(tmp_path) == len(rows.MIGRATIONS) + 1


async def test_a_file_from_before_a_table_was_added(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it lacks is a miss that harms nothing; the first write adds it."""
    with monkeypatch.context() as patch:
        patch.setattr(rows, "MIGRATIONS", rows.MIGRATIONS[:1])
        async with database(tmp_path) as older:
            await older.remember([record("a")])
    assert _minor(tmp_path) == 1
    warned: list[object] = []
    async with database(tmp_path, listener=warned.append) as db:
        assert await db.recall(Table.LOCKS, record_key("a")) is None
        assert await db.rows(Table.LOCKS) == []
        assert await db.recall(Table.IMAGES, record_key("a")) is not None
        await db.remember([record("b", table=Table.LOCKS)])
        assert await db.recall(Table.LOCKS, record_key("b")) is not None
        assert await db.recall(Table.IMAGES, record_key("a")) is not None
    assert warned == []
    assert _minor(tmp_path) == len(rows.MIGRATIONS)


def _minor(path: Path) -> int:
    connection = sqlite3.connect(file_in(path))
    ((minor,),) = connection.execute("PRAGMA user_version").fetchall()
    connection.close()
    return int(minor)


async def test_what_another_has_just_made_is_seen(tmp_path: Path) -> None:
    """Who found no database and waited for another process looks again."""
    async with database(tmp_path) as waits, database(tmp_path) as builds:
        assert await waits.recall(Table.IMAGES, record_key("a")) is None
        await builds.remember([record("a")])
        await asyncio.sleep(0.1)
        assert await waits.recall(Table.IMAGES, record_key("a")) is not None
