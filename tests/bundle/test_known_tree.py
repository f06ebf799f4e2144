"""What is remembered of a tree in several rows: together true, or read again."""

import sqlite3
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from aweigh.backends.localdb import LocalDB, open_localdb
from aweigh.bundle.bundle import Origin
from aweigh.bundle.known_tree import KnownTree, recall_tree, tree_key
from aweigh.bundle.scanner import bundle_rules
from aweigh.events import Event, TreeScanned
from aweigh.memory import Record, Table
from aweigh.tree import clock
from aweigh.tree.scan import scan
from tests.bundle.helpers import Bench, DictMemory

FOLDERS = 40


@pytest.fixture(autouse=True)
def _small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let files count as old enough at once, and pieces be small."""
    monkeypatch.setattr(clock, "_MARGIN", -3_600_000_000_000)
    monkeypatch.setitem(scan.__kwdefaults__ or {}, "piece", 2048)


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A tree with several pieces."""
    root = tmp_path / "root"
    for number in range(FOLDERS):
        (root / f"d{number:02}").mkdir(parents=True)
        (root / f"d{number:02}" / "a.py").write_text(f"a = {number}\n")
        (root / f"d{number:02}" / "b.py").write_text("b\n")
    return root


def pieces(memory: DictMemory) -> dict[str, Record]:
    """The rows of trees, by key, without the first and those of packs."""
    rows = (row for (table, _), row in memory.rows.items() if table is Table.TREES)
    return {row.key: row for row in rows if row.value.startswith(b"aweigh-tree")}


def read(bench: Bench) -> int:
    """How many files the last scan read."""
    last = bench.told(TreeScanned)[-1]
    assert isinstance(last, TreeScanned)
    return last.read


async def test_a_small_tree_is_one_row(
    tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Besides the row that says which packs are in the store."""
    monkeypatch.setitem(scan.__kwdefaults__ or {}, "piece", 1 << 20)
    bench = Bench()
    await bench.upload(tree)
    assert pieces(bench.memory) == {}
    assert sum(table is Table.TREES for table, _ in bench.memory.rows) == 2
    await bench.upload(tree)
    assert read(bench) == 0


async def test_an_unchanged_large_tree_is_recalled_and_writes_nothing(
    tree: Path,
) -> None:
    """From all its rows."""
    bench = Bench()
    first = await bench.upload(tree)
    assert len(pieces(bench.memory)) > 3
    before = dict(bench.memory.rows)
    second = await bench.upload(tree)
    assert (second.origin, second.digest) == (Origin.RECALLED, first.digest)
    assert read(bench) == 0
    assert bench.memory.rows == before


async def test_an_edit_writes_the_piece_it_is_in(tree: Path) -> None:
    """And the first row, which names all."""
    bench = Bench()
    await bench.upload(tree)
    before = pieces(bench.memory)
    bench.now += 60
    (tree / "d20/b.py").write_text("edited\n")
    await bench.upload(tree)
    after = pieces(bench.memory)
    assert before.keys() == after.keys()
    assert sum(before[key] != after[key] for key in before) == 1
    await bench.upload(tree)
    assert read(bench) == 0


async def test_pieces_grow_not_too_old(tree: Path) -> None:
    """An edit writes pieces again that would expire much earlier than the others."""
    bench = Bench()
    await bench.upload(tree)
    bench.now += bench.policy.ttl * 0.6
    (tree / "d20/b.py").write_text("edited\n")
    await bench.upload(tree)
    assert {row.verified_at for row in pieces(bench.memory).values()} == {bench.now}


@pytest.mark.parametrize("damage", ["gone", "other", "empty"])
async def test_a_lost_piece_is_read_again(tree: Path, damage: str) -> None:
    """Only what was in it; the bundle is the same and next time all is known."""
    bench = Bench()
    first = await bench.upload(tree)
    rows = pieces(bench.memory)
    keys = list(rows)
    for key, other in zip(keys, [*keys[1:], keys[0]], strict=True):
        if damage == "gone":
            del bench.memory.rows[Table.TREES, key]
        else:
            value = rows[other].value if damage == "other" else b""
            row = replace(rows[key], value=value)
            bench.memory.rows[Table.TREES, key] = row
        second = await bench.upload(tree)
        assert second.digest == first.digest
        assert 0 < read(bench) < 2 * FOLDERS
        await bench.upload(tree)
        assert read(bench) == 0


async def test_two_writers_at_once_never_make_a_wrong_digest(tree: Path) -> None:
    """Each writes what it changed; rows of both remain, and that is noticed."""
    bench = Bench()
    await bench.upload(tree)
    uploader = bench.uploader()

    async def upload() -> list[Record]:
        uploaded = await uploader.upload(tree, memory=bench.memory, size_limit=None)
        return uploaded.records

    (tree / "d05/b.py").write_text("one\n")
    mine = await upload()
    (tree / "d05/b.py").write_text("b\n")
    (tree / "d35/b.py").write_text("other\n")
    theirs = await upload()
    for order in ((mine, theirs), (theirs, mine)):
        for records in order:
            await bench.memory.remember(records)
        for text in ("b\n", "one\n"):
            (tree / "d05/b.py").write_text(text)
            found = await bench.upload(tree)
            assert found.digest == (await Bench().upload(tree)).digest
            await bench.upload(tree)
            assert read(bench) == 0


async def test_growing_and_shrinking(tree: Path) -> None:
    """Rows that are no longer named do no harm, and expire."""
    bench = Bench()
    await bench.upload(tree)
    many = len(pieces(bench.memory))
    for number in range(3, FOLDERS):
        for name in ("a.py", "b.py"):
            (tree / f"d{number:02}" / name).unlink()
        (tree / f"d{number:02}").rmdir()
    small = await bench.upload(tree)
    assert read(bench) == 0
    assert small.files == 6
    assert len(pieces(bench.memory)) == many
    for number in range(3, FOLDERS):
        (tree / f"d{number:02}").mkdir()
        (tree / f"d{number:02}" / "c.py").write_text("c\n")
    large = await bench.upload(tree)
    assert (large.files, read(bench)) == (6 + FOLDERS - 3, FOLDERS - 3)
    await bench.upload(tree)
    assert read(bench) == 0


@pytest.mark.parametrize("value", [b"", b"x", bytes(36), bytes(32) + b"\0\0\0\2x"])
async def test_a_first_row_that_is_none(value: bytes, tree: Path) -> None:
    """Too short, or with other pieces than it says: nothing, or nothing of use."""
    bench = Bench()
    key = tree_key(tree, bundle_rules(tree, (), ()), follow=False)
    row = Record(
        table=Table.TREES,
        key=key,
        value=value,
        created_at=bench.now,
        verified_at=bench.now,
        expires_at=bench.now + 60,
    )
    await bench.memory.remember([row])
    assert (await bench.upload(tree)).files == 2 * FOLDERS
    assert read(bench) == 2 * FOLDERS
    await bench.upload(tree)
    assert read(bench) == 0


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[LocalDB]:
    """A memory on disk."""

    def listen(event: Event, /) -> None:
        raise AssertionError(event)

    async with open_localdb(
        tmp_path / "cache", listener=listen, prune_probability=0.0
    ) as opened:
        yield opened


async def remember(database: LocalDB, root: Path) -> tuple[str, KnownTree]:
    """Scan and remember a tree, as an upload does."""
    rules = bundle_rules(root, (), ())
    key = tree_key(root, rules, follow=False)
    found = scan(root, rules)
    known = KnownTree.of(found, next(e.digest for e in found.entries if e.digest))
    await database.remember(known.records(key, None, now=1e9, ttl=1e12))
    return key, known


async def test_pieces_come_back_from_disk(tree: Path, database: LocalDB) -> None:
    """Written in one transaction, recalled one by one."""
    key, known = await remember(database, tree)
    assert database.stats.transactions == 1
    again = await recall_tree(database, key)
    assert again is not None
    assert (again.digest, again.pieces) == (known.digest, known.pieces)
    assert known.records(key, again, now=1e9, ttl=1e12)[1:] == []
    other = tree_key(tree / "d00", bundle_rules(tree, (), ()), follow=False)
    assert await recall_tree(database, other) is None


async def test_a_flipped_bit_on_disk_loses_its_piece(
    tree: Path, database: LocalDB, tmp_path: Path
) -> None:
    """Also one in a digest, which no comparison with the tree would show."""
    key, known = await remember(database, tree)
    (path,) = (tmp_path / "cache").glob("aweigh-v*.db")
    with sqlite3.connect(path) as connection:
        select = "SELECT rowid, value FROM trees WHERE length(value) > 300"
        rows = connection.execute(select).fetchall()
        assert len(rows) == len(known.pieces)
        rowid, value = rows[1]
        flipped = value[:-1] + bytes([value[-1] ^ 1])
        update = "UPDATE trees SET value = ? WHERE rowid = ?"
        connection.execute(update, (flipped, rowid))
    connection.close()
    again = await recall_tree(database, key)
    assert again is not None
    assert [len(piece.body) > 0 for piece in again.pieces].count(False) == 1
    found = scan(tree, bundle_rules(tree, (), ()), remembered=again.pieces)
    assert not found.unchanged
    assert 0 < found.read < 2 * FOLDERS
