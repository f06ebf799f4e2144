"""Rows of the fault table about files and disks that no other test walks."""

import asyncio
import json
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest

from aweigh import Settings, open_session
from aweigh.backends.localdb import open_localdb
from aweigh.errors import StoreError
from aweigh.events import silent
from aweigh.memory import Table, record_key
from tests.backends.localdb.support import finish, record, start

DATABASE = "aweigh-v1.db"


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """Return a directory on a file system of 4 MiB; needs root, as CI is."""
    folder = tmp_path / "small"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(folder)]
    subprocess.run(mount, check=True)
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


async def test_row_4_no_space_in_the_store(small_disk: Path, tmp_path: Path) -> None:
    """A bundle that does not fit is an error that says so, and leaves nothing."""
    source = tmp_path / "src"
    source.mkdir()
    (source / "noise.bin").write_bytes(Random(4).randbytes(16 << 20))  # noqa: S311
    settings = Settings(
        cache_dir=tmp_path / "cache",
        data_dir=tmp_path / "data",
        store=(small_disk / "store").as_uri(),
    )
    async with open_session(settings) as session:
        with pytest.raises(StoreError) as caught:
            await session.upload_bundle(source)
        assert "space" in f"{caught.value} {caught.value.hint}"
        shown = list((small_disk / "store").rglob("manifest"))
        assert shown == []
        roomy = Settings(cache_dir=tmp_path / "cache", data_dir=tmp_path / "data")
    async with open_session(roomy) as session:
        assert (await session.upload_bundle(source)).origin == "uploaded"


@pytest.fixture(scope="module")
def torn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the directory of a writer that was killed with a journal behind it."""
    folder = tmp_path_factory.mktemp("torn")
    program = start("write", folder, "k", "400")
    assert program.stdout is not None
    lines = 0
    while lines < 200 and program.stdout.readline():
        lines += 1
    program.kill()
    finish(program)
    assert (folder / f"{DATABASE}-wal").stat().st_size > 0
    return folder


@pytest.mark.parametrize("seed", range(30))
async def test_row_14_power_loss_in_the_journal(
    torn: Path, tmp_path: Path, seed: int
) -> None:
    """A journal cut, zeroed or garbled at its end: whole transactions, or a miss.

    A stand-in for pulling the plug, which no test can: the last writes of the
    journal are not what was written.
    """
    for suffix in ("", "-wal"):
        shutil.copy(torn / f"{DATABASE}{suffix}", tmp_path / f"{DATABASE}{suffix}")
    journal = tmp_path / f"{DATABASE}-wal"
    content = journal.read_bytes()
    dice = Random(seed)  # noqa: S311
    kept = dice.randrange(len(content))
    lost = len(content) - kept
    tail = (b"", bytes(lost), dice.randbytes(lost))[seed % 3]
    journal.write_bytes(content[:kept] + tail)
    async with open_localdb(tmp_path, listener=silent) as db:
        found = [
            [
                await db.recall(Table.IMAGES, record_key(f"k-{n}-{part}"))
                for part in "ab"
            ]
            for n in range(400)
        ]
        await db.remember([record("after")])
    whole = [first is not None for first, _ in found]
    assert whole == [second is not None for _, second in found]
    assert whole == sorted(whole, reverse=True)
    for n, pair in enumerate(found):
        for part, row in zip("ab", pair, strict=True):
            assert row is None or row.value == f"k-{n}-{part}".encode()
    connection = sqlite3.connect(tmp_path / DATABASE)
    assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    connection.close()


WATCHED = """
import asyncio, json, os, sys
from pathlib import Path
import aweigh

opened = []

def watch(event, arguments):
    if event == "open" and str(arguments[0]).endswith((".db", "-wal", "-shm")):
        opened.append(str(arguments[0]))

async def main(code, cache, data):
    settings = aweigh.Settings(cache_dir=Path(cache), data_dir=Path(data))
    await aweigh.upload_bundle(code, settings=settings)

asyncio.run(main(*sys.argv[1:]))
sys.addaudithook(watch)
asyncio.run(main(*sys.argv[1:]))
print(json.dumps(opened))
"""


async def test_row_59_nobody_but_sqlite_opens_the_database(tmp_path: Path) -> None:
    """Closing a descriptor of our own would drop SQLite's locks on the file."""
    source = tmp_path / "src"
    source.mkdir()
    (source / "main.py").write_text("1")
    argv = [WATCHED, str(source), str(tmp_path / "c"), str(tmp_path / "d")]
    said = await asyncio.to_thread(
        subprocess.check_output, [sys.executable, "-c", *argv], timeout=60
    )
    assert json.loads(said) == []
