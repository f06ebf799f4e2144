"""Tests of LocalDB on damaged, replaced and hostile files: never a wrong answer."""

import asyncio
import os
import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path
from random import Random

import pytest

from aweigh.events import Event, Warned
from aweigh.memory import Record, Table, record_key
from tests.backends.localdb.support import (
    database,
    file_in,
    fill,
    finish_all,
    record,
    start,
)
from tests.services import setting

Damage = Callable[[Path], None]


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Record]]:
    """Return a directory with a sound database, and what is in it."""
    path = tmp_path_factory.mktemp("sound")
    return path, fill(path, 150)


def overwrite(offset: int, data: bytes) -> Damage:
    """Return a damage that writes bytes over a part of the file."""

    def damage(file: Path) -> None:
        content = bytearray(file.read_bytes())
        content[offset : offset + len(data)] = data
        file.write_bytes(content)

    return damage


def cut(size: int) -> Damage:
    """Return a damage that leaves the first bytes only."""
    return lambda file: os.truncate(file, size)


def run_sql(*statements: str) -> Damage:
    """Return a damage done in SQL."""

    def damage(file: Path) -> None:
        connection = sqlite3.connect(file, isolation_level=None)
        for statement in statements:
            connection.execute(statement)
        connection.close()

    return damage


def in_schema(old: bytes, new: bytes) -> Damage:
    """Return a damage to the schema's own text, which SQLite quotes in its errors."""

    def damage(file: Path) -> None:
        content = file.read_bytes()
        assert old in content
        file.write_bytes(content.replace(old, new))

    return damage


def other_database(file: Path) -> None:
    """Put another application's database in place."""
    file.unlink()
    run_sql("CREATE TABLE theirs (a)", "PRAGMA user_version = 9")(file)


# `make soak` asks for three hundred, and for races over every kind of damage.
FLIPPED = int(setting("AWEIGH_FLIPPED") or 50)

WHOLE = {
    "random": lambda file: file.write_bytes(Random(1).randbytes(60_000)),  # noqa: S311
    "text": lambda file: file.write_text("hello\n"),
    "header": overwrite(16, bytes(range(84))),
    "cut to half": lambda file: os.truncate(file, file.stat().st_size // 2),
    "cut to 100 bytes": cut(100),
    "cut in a page": cut(9_000),
    "cut to one page": cut(4096),
    "another application's": other_database,
    "a table is missing": run_sql("DROP TABLE images"),
    "a schema that is no text": in_schema(b"CREATE TABLE", b"CREATE\xe9TABLE"),
    "a column is missing": run_sql(
        "DROP INDEX images_expiry", "ALTER TABLE images DROP COLUMN expires_at"
    ),
}
for _start in (0, 18, 28, 36, 44, 56, 100, 104, 108, 120):
    WHOLE[f"noise from {_start}"] = overwrite(_start, Random(_start).randbytes(400))  # noqa: S311
RACED = list(WHOLE) if setting("AWEIGH_FLIPPED") else ["random", "cut in a page"]


@pytest.mark.parametrize("kind", WHOLE)
async def test_damaged_database_is_moved_aside_once(
    tmp_path: Path, sound: tuple[Path, list[Record]], kind: str
) -> None:
    """A damaged file gives no wrong answer, is moved aside, and a fresh one works."""
    directory, records = sound
    shutil.copy(file_in(directory), file_in(tmp_path))
    WHOLE[kind](file_in(tmp_path))
    events: list[Event] = []
    async with database(tmp_path, listener=events.append) as db:
        for expected in records:
            assert await db.recall(expected.table, expected.key) in (None, expected)
        await db.remember([record("new")])
        db._known.clear()
        assert await db.recall(Table.IMAGES, record_key("new")) is not None
    assert [type(event) for event in events] == [Warned]
    assert len(list(tmp_path.glob("aweigh-v1.db.corrupt-*"))) == 1
    async with database(tmp_path, listener=events.append) as db:
        assert await db.recall(Table.IMAGES, record_key("new")) is not None
    assert len(events) == 1


async def test_empty_file_is_an_empty_database(tmp_path: Path) -> None:
    """A file without a byte is a beginning, not a damage."""
    file_in(tmp_path).touch()
    events: list[Event] = []
    async with database(tmp_path, listener=events.append) as db:
        assert await db.recall(Table.IMAGES, record_key("a")) is None
        await db.remember([record("a")])
        db._known.clear()
        assert await db.recall(Table.IMAGES, record_key("a")) is not None
    assert events == []


@pytest.mark.parametrize("seed", range(FLIPPED))
async def test_flipped_bits_never_make_a_wrong_answer(
    tmp_path: Path, sound: tuple[Path, list[Record]], seed: int
) -> None:
    """Three flipped bits anywhere: right answers or misses, and the cache goes on."""
    directory, records = sound
    content = bytearray(file_in(directory).read_bytes())
    dice = Random(seed)  # noqa: S311
    for _ in range(3):
        content[dice.randrange(len(content))] ^= 1 << dice.randrange(8)
    file_in(tmp_path).write_bytes(content)
    async with database(tmp_path) as db:
        for expected in records:
            assert await db.recall(expected.table, expected.key) in (None, expected)
            db._known.clear()
        for table in Table:
            await db.rows(table)
        await db.remember([record("new")])
        assert await db.recall(Table.IMAGES, record_key("new")) is not None


@pytest.mark.parametrize("page", range(1, 8))
async def test_overwritten_pages_never_make_a_wrong_answer(
    tmp_path: Path, sound: tuple[Path, list[Record]], page: int
) -> None:
    """A page of noise in the middle: right answers or misses."""
    directory, records = sound
    shutil.copy(file_in(directory), file_in(tmp_path))
    overwrite(page * 4096, Random(page).randbytes(4096))(file_in(tmp_path))  # noqa: S311
    async with database(tmp_path) as db:
        for expected in records:
            assert await db.recall(expected.table, expected.key) in (None, expected)
        await db.remember([record("new")])
        assert await db.recall(Table.IMAGES, record_key("new")) is not None


async def test_damaged_row_is_a_miss_and_deleted(tmp_path: Path) -> None:
    """A readable row with another value is no answer, and soon no row."""
    async with database(tmp_path) as db:
        await db.remember([record("a"), record("b")])
        run_sql("UPDATE images SET value = x'00' WHERE rowid = 1")(file_in(tmp_path))
        db._known.clear()
        assert await db.recall(Table.IMAGES, record_key("a")) is None
        assert await db.recall(Table.IMAGES, record_key("b")) is not None
        assert db.stats.damaged == 1
    async with database(tmp_path) as db:
        assert len(await db.rows(Table.IMAGES)) == 1


async def test_rows_of_other_types_are_left_out(tmp_path: Path) -> None:
    """Listings leave out what is no row of ours."""
    async with database(tmp_path) as db:
        await db.remember([record("a"), record("b")])
        run_sql("UPDATE images SET created_at = 'x' WHERE rowid = 1")(file_in(tmp_path))
        assert len(await db.rows(Table.IMAGES)) == 1


@pytest.mark.parametrize("kind", RACED)
def test_eight_processes_meet_one_damaged_database(tmp_path: Path, kind: str) -> None:
    """One of them moves it aside, once; nothing acknowledged after that is lost."""
    fill(tmp_path, 100)
    WHOLE[kind](file_in(tmp_path))
    outs = finish_all([start("survive", tmp_path, f"p{n}") for n in range(8)])
    lines = [line for out in outs for line in out.splitlines()]
    moved = list(tmp_path.glob("aweigh-v1.db.corrupt-*"))
    assert len([name for name in moved if name.name[-1].isdigit()]) == 1
    acknowledged = [line.split()[1] for line in lines if line.startswith("ack")]
    assert len(acknowledged) == 160
    assert len(lines) == 161
    missing = asyncio.run(_missing(tmp_path, acknowledged))
    assert missing == []


async def _missing(path: Path, names: list[str]) -> list[str]:
    async with database(path) as db:
        return [
            name
            for name in names
            if await db.recall(Table.IMAGES, record_key(name)) is None
        ]


async def test_deleted_while_open_is_begun_anew(tmp_path: Path) -> None:
    """Writes never go to a file that is no longer at its path."""
    path = tmp_path / "c"
    async with database(path) as db:
        await db.remember([record("a")])
        for suffix in ("", "-wal", "-shm"):
            Path(f"{file_in(path)}{suffix}").unlink()
        await db.remember([record("b")])
        shutil.rmtree(path)
        await db.remember([record("c")])
        db._known.clear()
        assert await db.recall(Table.IMAGES, record_key("b")) is None
        assert await db.recall(Table.IMAGES, record_key("c")) is not None
    async with database(path) as db:
        assert await db.recall(Table.IMAGES, record_key("c")) is not None


async def test_replaced_while_open_is_noticed_by_reads(tmp_path: Path) -> None:
    """A reader follows the path to another file within two seconds, or to none."""
    path, other = tmp_path / "c", tmp_path / "o"
    async with database(other) as db:
        await db.remember([record("b")])
    async with database(path) as db:
        await db.remember([record("a")])
        assert await db.recall(Table.IMAGES, record_key("a")) is not None
        file_in(other).rename(file_in(path))
        for suffix in ("-wal", "-shm"):
            Path(f"{file_in(path)}{suffix}").unlink()
        await asyncio.sleep(1.05)
        assert await db.recall(Table.IMAGES, record_key("b")) is not None
        assert await db.recall(Table.IMAGES, record_key("a")) is None
        shutil.rmtree(path)
        await asyncio.sleep(1.05)
        assert await db.recall(Table.IMAGES, record_key("b")) is None
        assert not path.exists()
