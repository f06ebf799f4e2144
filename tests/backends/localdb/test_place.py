"""Tests of LocalDB in places that are not as they should be."""

import asyncio
import errno
import fcntl
import os
import sqlite3
import stat
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aweigh.backends.localdb import place as places
from aweigh.backends.localdb.faults import Fault, StrangeError, classify
from aweigh.backends.localdb.lock import SideLock
from aweigh.events import Event, Warned
from aweigh.memory import Table, record_key
from tests.backends.localdb.support import (
    NOBODY,
    database,
    file_in,
    fill,
    finish,
    record,
    start,
)


async def warnings_of_use(path: Path) -> list[str]:
    """Remember and recall a record, which must succeed; return what was warned."""
    events: list[Event] = []
    async with database(path, listener=events.append) as db:
        await db.recall(Table.IMAGES, record_key("other"))
        await db.remember([record("a")])
        await db.remember([record("b")])
        assert await db.recall(Table.IMAGES, record_key("a")) is not None
        await db.forget(Table.IMAGES, [record_key("a")])
        assert await db.recall(Table.IMAGES, record_key("a")) is None
    assert all(isinstance(event, Warned) for event in events)
    return [event.message for event in events if isinstance(event, Warned)]


async def test_modes_are_private_from_the_start(tmp_path: Path) -> None:
    """The directory is 0700 and every file 0600, whatever the umask."""
    before = os.umask(0)
    try:
        async with database(tmp_path / "x" / "c") as db:
            await db.remember([record("a")])
            found = {
                file.name: stat.S_IMODE(file.stat().st_mode)
                for file in (tmp_path / "x" / "c").iterdir()
            }
    finally:
        os.umask(before)
    assert len(found) == 5
    assert set(found.values()) == {0o600}
    assert stat.S_IMODE((tmp_path / "x" / "c").stat().st_mode) == 0o700


async def test_write_ahead_log_on_local_disks(tmp_path: Path) -> None:
    """On a local disk the journal is a write-ahead log, synced as SQLite advises."""
    async with database(tmp_path) as db:
        await db.remember([record("a")])
        worker = db._access._current
        assert worker is not None
        pragmas = await worker.run(
            lambda handle: [
                handle.execute(f"PRAGMA {name}").fetchone()[0]
                for name in ("journal_mode", "synchronous", "auto_vacuum")
            ]
        )
        assert pragmas == ["wal", 1, 2]


async def test_directory_that_others_may_write_is_not_used(tmp_path: Path) -> None:
    """Where others could plant a file, memory lives in memory only."""
    (tmp_path / "c").mkdir()
    (tmp_path / "c").chmod(0o777)
    (message,) = await warnings_of_use(tmp_path / "c")
    assert "can be written by other users" in message
    assert list((tmp_path / "c").iterdir()) == []


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to give files away")
@pytest.mark.parametrize("what", ["directory", "file"])
async def test_another_owners_database_is_not_used(tmp_path: Path, what: str) -> None:
    """What belongs to another user is neither read nor written."""
    path = tmp_path / "c"
    async with database(path) as db:
        await db.remember([record("a", b"theirs")])
    os.chown(path if what == "directory" else file_in(path), NOBODY, NOBODY)
    (message,) = await warnings_of_use(path)
    assert f"belongs to user {NOBODY}" in message


@pytest.mark.parametrize("what", ["fifo", "directory", "symlink", "no directory"])
async def test_something_else_in_place_of_the_file(tmp_path: Path, what: str) -> None:
    """What is no regular file is left alone, and never blocks."""
    match what:
        case "fifo":
            os.mkfifo(file_in(tmp_path))
        case "directory":
            file_in(tmp_path).mkdir()
        case "symlink":
            file_in(tmp_path).symlink_to(tmp_path / "nowhere")
        case _:
            tmp_path.rmdir()
            tmp_path.touch()
    (message,) = await warnings_of_use(tmp_path)
    assert message.startswith("no cache: ")
    tmp_path.unlink() if what == "no directory" else None


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to become somebody else")
@pytest.mark.parametrize("made", ["nothing", "database"])
def test_read_only_directory(made: str) -> None:
    """A user who cannot write has an in-memory cache, and hears of it once."""
    with tempfile.TemporaryDirectory() as directory:  # tmp_path is for root only
        path = Path(directory)
        if made == "database":
            fill(path, 1)
        for file in (path, *path.iterdir()):
            os.chown(file, NOBODY, NOBODY)
        path.chmod(0o555)
        code, out, err = finish(start("use-as", path, str(NOBODY)))
        assert (code, err) == (0, "")
        warning, found = out.splitlines()
        assert "no cache: " in warning
        assert found == "found one"


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """Return a directory on a file system of its own with room for very little."""
    if os.geteuid() != 0:
        pytest.skip("needs root to mount a small file system")
    path = tmp_path / "small"
    path.mkdir(mode=0o700)
    options = "size=192k,mode=0700"
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", path], check=True)
    yield path
    subprocess.run(["umount", "-l", path], check=True)


async def test_disk_full(small_disk: Path) -> None:
    """A full disk costs the cache and one warning, and what was read stays right."""
    events: list[Event] = []
    async with database(small_disk, listener=events.append) as db:
        for n in range(60):
            await db.remember([record(f"{n}", bytes([n]) * 4000)])
        for n in range(60):
            found = await db.recall(Table.IMAGES, record_key(f"{n}"))
            assert found is not None
            assert found.value == bytes([n]) * 4000
        assert db.stats.lost > 0
    assert len(events) == 1
    async with database(small_disk) as db:
        assert len(await db.rows(Table.IMAGES)) > 0


async def test_disk_full_from_the_start(small_disk: Path) -> None:
    """Without room for a first page there is no cache and one warning."""
    filler = small_disk / "filler"
    with pytest.raises(OSError, match="No space left"):
        filler.write_bytes(b"x" * (1 << 20))
    assert len(await warnings_of_use(small_disk / "c")) == 1


async def test_network_file_system_gets_a_rollback_journal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a network file system there is no write-ahead log; an old one is undone."""
    async with database(tmp_path) as db:
        await db.remember([record("a")])
    mounts = tmp_path / "mountinfo"
    mounts.write_text("36 35 0:50 / / rw - nfs4 server:/home rw\n")
    monkeypatch.setattr(places, "_MOUNTS", mounts)
    async with database(tmp_path) as db:
        assert await db.recall(Table.IMAGES, record_key("a")) is None
        await db.remember([record("b")])
        db._known.clear()
        assert await db.recall(Table.IMAGES, record_key("a")) is not None
        assert await db.recall(Table.IMAGES, record_key("b")) is not None
        assert not file_in(tmp_path).with_name("aweigh-v1.db-wal").exists()
    connection = sqlite3.connect(file_in(tmp_path))
    assert connection.execute("PRAGMA journal_mode").fetchall() == [("delete",)]
    connection.close()
    monkeypatch.setattr(places, "_MOUNTS", tmp_path / "absent")
    async with database(tmp_path) as db:
        assert await db.recall(Table.IMAGES, record_key("a")) is not None


async def test_without_advisory_locks_a_rollback_journal_must_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where flock is not supported, SQLite's own locks and journal serve."""

    def refuse(_fd: int, _operation: int) -> None:
        raise OSError(errno.ENOLCK, "no locks")

    monkeypatch.setattr(fcntl, "flock", refuse)
    assert await warnings_of_use(tmp_path) == []
    connection = sqlite3.connect(file_in(tmp_path))
    assert connection.execute("PRAGMA journal_mode").fetchall() == [("delete",)]
    connection.close()


async def test_lock_file_that_cannot_be_opened(tmp_path: Path) -> None:
    """A lock that is no file means no cache and one warning."""
    (tmp_path / "aweigh-v1.lock").mkdir()
    assert len(await warnings_of_use(tmp_path)) == 1


async def test_lock_file_removed_by_hand_is_made_anew(tmp_path: Path) -> None:
    """A process that waits for a removed lock file ends up with the new one."""
    path = tmp_path / "lock"
    holder, waiter = SideLock(path), SideLock(path)
    assert holder.acquire()
    waiting = asyncio.create_task(waiter.wait(5))
    await asyncio.sleep(0.05)
    path.unlink()
    holder.release()
    assert await waiting
    assert waiter.acquire()
    assert not holder.acquire()
    waiter.release()
    assert holder.acquire()
    holder.release()


async def test_lock_waiters_share_one_thread(tmp_path: Path) -> None:
    """An abandoned wait leaves one thread, which serves whoever waits next."""
    path = tmp_path / "lock"
    holder, waiter = SideLock(path), SideLock(path)
    assert holder.acquire()
    threads = threading.active_count()
    for _ in range(3):
        assert not await waiter.wait(0.02)
    assert threading.active_count() == threads + 1
    waiting = asyncio.create_task(waiter.wait(5))
    await asyncio.sleep(0.02)
    holder.release()
    assert await waiting
    assert await waiter.wait(0)
    assert not holder.acquire()
    waiter.abandon()
    assert holder.acquire()
    assert not await waiter.wait(0.02)
    holder.release()  # the thread gets it now, and nobody wants it
    deadline = time.monotonic() + 2
    while threading.active_count() > threads:
        assert time.monotonic() < deadline
        await asyncio.sleep(0.01)
    assert holder.acquire()
    holder.release()


def test_file_system_type_is_that_of_the_deepest_mount() -> None:
    """The longest mount point wins, the later of two equal ones, escapes decoded."""
    mounts = r"""
1 0 8:1 / / rw - ext4 /dev/sda rw
2 1 0:1 / /home rw shared:1 - nfs4 server:/home rw
3 2 0:2 / /home/my\040dir rw - tmpfs tmpfs rw
4 1 0:3 / /mnt rw - ext4 /dev/sdb rw
5 4 0:4 / /mnt rw master:2 - fuse.sshfs host: rw
garbage
"""
    assert places.filesystem_type("/usr", mounts) == "ext4"
    assert places.filesystem_type("/home", mounts) == "nfs4"
    assert places.filesystem_type("/homely", mounts) == "ext4"
    assert places.filesystem_type("/home/me/cache", mounts) == "nfs4"
    assert places.filesystem_type("/home/my dir/x", mounts) == "tmpfs"
    assert places.filesystem_type("/mnt/x", mounts) == "fuse.sshfs"
    assert places.filesystem_type("/", "") == ""


@given(st.text(), st.text())
def test_any_mount_table_is_read(path: str, mounts: str) -> None:
    """No text of a mount table makes trouble."""
    assert isinstance(places.filesystem_type(path, mounts), str)


@pytest.mark.parametrize(
    ("name", "fault"),
    [
        ("SQLITE_BUSY", Fault.BUSY),
        ("SQLITE_BUSY_SNAPSHOT", Fault.BUSY),
        ("SQLITE_LOCKED", Fault.BUSY),
        ("SQLITE_CORRUPT", Fault.DAMAGED),
        ("SQLITE_CORRUPT_INDEX", Fault.DAMAGED),
        ("SQLITE_NOTADB", Fault.DAMAGED),
        ("SQLITE_IOERR_SHORT_READ", Fault.DAMAGED),
        ("SQLITE_READONLY_DBMOVED", Fault.DAMAGED),
        ("SQLITE_ERROR", Fault.DAMAGED),
        ("SQLITE_READONLY_DIRECTORY", Fault.BROKEN),
        ("SQLITE_CANTOPEN", Fault.BROKEN),
        ("SQLITE_FULL", Fault.BROKEN),
        ("SQLITE_IOERR_WRITE", Fault.BROKEN),
        ("SQLITE_PROTOCOL", Fault.BROKEN),
        ("SQLITE_AUTH", Fault.BROKEN),
        ("unknown", Fault.BROKEN),
        ("", Fault.BROKEN),
    ],
)
def test_errors_are_classified_by_name(name: str, fault: Fault) -> None:
    """SQLite's error name says whether to wait, to start afresh or to do without."""
    error = sqlite3.OperationalError("text does not matter")
    if name:
        error.sqlite_errorname = name
    assert classify(error) is fault
    assert classify(StrangeError()) is Fault.DAMAGED
