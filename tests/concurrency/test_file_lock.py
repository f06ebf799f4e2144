"""The file lock between real processes: killed, stopped, forked and cancelled ones."""

# ruff: noqa: ASYNC222 - a test may look at files and poll

import asyncio
import errno
import fcntl
import json
import os
import random
import signal
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from aweigh.concurrency import file_lock
from aweigh.concurrency.file_lock import FileLock, Holder
from aweigh.errors import LockTimeoutError
from aweigh.events import Event, Waited, Warned, silent

SCRIPT = Path(__file__).with_name("lock_process.py")


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """Return a directory for lock files that does not exist yet."""
    return tmp_path / "cache" / "locks"


def start(mode: str, directory: Path, key: str = "key") -> subprocess.Popen[str]:
    """Start a process that uses the lock."""
    return subprocess.Popen(
        [sys.executable, SCRIPT, mode, directory, key],
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


@contextmanager
def holder(directory: Path, mode: str = "hold") -> Iterator[subprocess.Popen[str]]:
    """Run a process that holds the lock of `key`; end it and its children after."""
    with start(mode, directory) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "held\n"
            yield process
        finally:
            os.killpg(process.pid, signal.SIGKILL)


def is_free(directory: Path) -> bool:
    """Whether everybody else could lock `key` now: a lock belongs to its open file."""
    (path,) = directory.glob("*.lock")
    with path.open("rb") as other:
        try:
            fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True


def open_locks(directory: Path) -> int:
    """How many lock files this process has open."""
    links = []
    for link in Path("/proc/self/fd").iterdir():
        try:
            links.append(link.readlink())
        except FileNotFoundError:
            continue
    return sum(link.parent == directory for link in links)


async def test_holds_and_frees(directory: Path) -> None:
    """Inside the block nobody else gets the lock; afterwards anybody does."""
    lock = FileLock(directory, "key", purpose="building")
    began = time.time()
    for _ in range(2):
        async with lock.hold(listener=silent):
            assert not is_free(directory)
            (path,) = directory.glob("*.lock")
            note = json.loads(path.read_bytes())
            assert note["pid"] == os.getpid()
            assert note["host"] == os.uname().nodename
            assert note["purpose"] == "building"
            assert began - 1 < note["started"] < time.time() + 1
        assert is_free(directory)
        assert path.read_bytes() == b""
    assert open_locks(directory) == 0


async def test_files_are_private_and_keys_stay_inside(directory: Path) -> None:
    """The directory is 0700, files are 0600, and a key is never part of a path."""
    async with FileLock(directory, "../../\udcff", purpose="p").hold(listener=silent):
        (path,) = directory.iterdir()
        assert stat.S_IMODE(directory.stat().st_mode) == 0o700
        assert stat.S_IMODE(path.stat().st_mode) == 0o600


async def test_an_error_in_the_block_frees_the_lock(directory: Path) -> None:
    """The lock does not outlive a failure of the work, and the failure passes."""
    with pytest.raises(OSError, match="work"):
        async with FileLock(directory, "key", purpose="p").hold(listener=silent):
            raise OSError("work")
    assert is_free(directory)


async def test_keys_do_not_wait_for_each_other(directory: Path) -> None:
    """Two keys can be held at the same time."""
    async with (
        asyncio.timeout(5),
        FileLock(directory, "a", purpose="p").hold(listener=silent),
        FileLock(directory, "b", purpose="p").hold(listener=silent),
    ):
        assert open_locks(directory) == 2


def test_eight_processes_build_once(directory: Path) -> None:
    """Eight processes, ten keys: one holder at a time, and each thing built once."""
    directory.mkdir(parents=True, mode=0o700)
    processes = [start("build", directory) for _ in range(8)]
    said = [
        line for process in processes for line in process.communicate()[0].split("\n")
    ]
    assert all(process.returncode == 0 for process in processes)
    assert sorted(filter(None, said)) == [f"built {number}" for number in range(10)]


@pytest.mark.parametrize("mode", ["hold", "fork", "exec"])
async def test_takeover_from_a_killed_holder(directory: Path, mode: str) -> None:
    """Kill -9 frees the lock at once, also when children of the holder live on."""
    with holder(directory, mode) as process:
        events: list[Event] = []
        waiting = asyncio.create_task(_hold(directory, events))
        while not events:
            await asyncio.sleep(0.005)
        assert not is_free(directory)
        killed = time.perf_counter()
        process.kill()
        await asyncio.wait_for(waiting, 5)
        assert time.perf_counter() - killed < 0.25
    (event,) = events
    assert isinstance(event, Waited)
    assert event.purpose == "building train"
    assert event.holder == f"process {process.pid} on {os.uname().nodename}"
    assert event.seconds < 0.1


async def _hold(directory: Path, events: list[Event]) -> None:
    async with FileLock(directory, "key", purpose="mine").hold(listener=events.append):
        pass


async def test_deadline_names_a_stopped_holder(directory: Path) -> None:
    """A holder that hangs costs the deadline, and the error says which process."""
    with holder(directory) as process:
        process.send_signal(signal.SIGSTOP)
        lock = FileLock(directory, "key", purpose="mine")
        began = time.monotonic()
        with pytest.raises(
            LockTimeoutError, match=f"process {process.pid} on"
        ) as caught:
            async with lock.hold(listener=silent, wait_deadline=began + 0.05):
                pytest.fail("the lock is held")
        assert 0.05 <= time.monotonic() - began < 0.5
        assert caught.value.holder.startswith(f"process {process.pid} on")
        assert caught.value.seconds >= 0.04
        assert "building train" in str(caught.value)
        (path,) = directory.glob("*.lock")
        assert Holder.parse(path.read_bytes()) is not None, "a waiter erased the note"
        assert not is_free(directory)
        assert open_locks(directory) == 0


async def test_a_past_deadline_still_takes_a_free_lock(directory: Path) -> None:
    """The deadline limits waiting, not holding."""
    lock = FileLock(directory, "key", purpose="p")
    async with lock.hold(listener=silent, wait_deadline=0.0):
        assert not is_free(directory)


async def test_waiting_is_told_again_and_again(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A long wait is an event every few seconds, with the seconds so far."""
    monkeypatch.setattr(file_lock, "REPORT_SECONDS", 0.03)
    lock, events = FileLock(directory, "key", purpose="mine"), list[Event]()
    async with lock.hold(listener=silent):
        (path,) = directory.glob("*.lock")
        path.write_bytes(b'{"pid": 1, "host"')
        waiting = asyncio.create_task(_hold(directory, events))
        while len(events) < 3:
            await asyncio.sleep(0.005)
    await waiting
    waits = [event for event in events if isinstance(event, Waited)]
    assert waits[0].holder == "another process"
    assert waits[0].purpose == "mine"
    assert waits[0].seconds < waits[1].seconds < waits[2].seconds
    assert waits[2].seconds >= 0.06


async def test_waiters_leave_the_thread_pool_alone(directory: Path) -> None:
    """Many waiters occupy no thread, and all get their turn."""
    executor = ThreadPoolExecutor(2)
    asyncio.get_running_loop().set_default_executor(executor)
    lock, events = FileLock(directory, "key", purpose="p"), list[Event]()
    async with lock.hold(listener=silent):
        waiting = [asyncio.create_task(_hold(directory, events)) for _ in range(40)]
        while len(events) < 40:
            await asyncio.sleep(0.005)
        assert await asyncio.wait_for(asyncio.to_thread(lambda: "free"), 1) == "free"
    await asyncio.wait_for(asyncio.gather(*waiting), 10)
    assert open_locks(directory) == 0


@pytest.mark.parametrize("seed", range(4))
async def test_storm_of_cancellations_leaves_nothing_held(
    directory: Path, seed: int
) -> None:
    """Cancelled at random moments, nobody keeps the lock and never two hold it."""
    draw = random.Random(seed)  # noqa: S311 - a test
    lock = FileLock(directory, "key", purpose="p")
    inside = 0

    async def use() -> None:
        nonlocal inside
        async with lock.hold(listener=silent):
            inside += 1
            try:
                assert inside == 1
                await asyncio.sleep(draw.uniform(0, 0.002))
            finally:
                inside -= 1

    async def disturb(task: asyncio.Task[None]) -> None:
        for _ in range(draw.randrange(4)):
            await asyncio.sleep(0)
        await asyncio.sleep(draw.choice([0, 0.0001, 0.0003, 0.001, 0.01, 0.03]))
        task.cancel()

    tasks = [asyncio.create_task(use()) for _ in range(60)]
    await asyncio.gather(*map(disturb, draw.sample(tasks, 45)))
    for result in await asyncio.gather(*tasks, return_exceptions=True):
        assert result is None or isinstance(result, asyncio.CancelledError)
    await asyncio.get_running_loop().shutdown_default_executor()
    assert open_locks(directory) == 0
    assert is_free(directory)


async def test_cancelled_while_the_thread_opens(directory: Path) -> None:
    """A worker thread that comes too late does not take the lock for nobody."""
    lock = FileLock(directory, "key", purpose="p")
    entered = threading.Event()

    async def use() -> None:
        async with lock.hold(listener=silent):
            pytest.fail("cancelled before")

    executor = ThreadPoolExecutor(1, initializer=entered.set)
    asyncio.get_running_loop().set_default_executor(executor)
    with file_lock._guard:
        task = asyncio.create_task(use())
        while not entered.is_set():
            await asyncio.sleep(0.001)
        await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    await asyncio.get_running_loop().shutdown_default_executor()
    assert not directory.exists()


async def test_unusable_directories_warn_once(tmp_path: Path) -> None:
    """Where no lock file can be made, work goes on and one warning says so."""
    occupied = tmp_path / "file"
    occupied.touch()
    events: list[Event] = []
    done = 0
    for _ in range(2):
        async with FileLock(occupied, "key", purpose="p").hold(listener=events.append):
            done += 1
    assert done == 2
    assert [type(event) for event in events] == [Warned, Warned]
    assert str(tmp_path) in str(events[0])


async def test_file_systems_without_locks(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """ENOLCK, from the first try or from a later one, means going on unlocked."""
    events: list[Event] = []
    tries = iter([BlockingIOError(), OSError(errno.ENOLCK, "No locks available")])

    def flock(_fd: int, operation: int) -> None:
        if operation != fcntl.LOCK_UN:
            raise next(tries)

    monkeypatch.setattr("fcntl.flock", flock)
    await _hold(directory, events)
    assert [type(event) for event in events] == [Warned]
    assert "No locks available" in str(events[0])
    assert open_locks(directory) == 0


async def test_a_directory_of_somebody_else_is_not_used(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another user's directory could hold links to our files: nothing is opened."""
    monkeypatch.setattr("os.geteuid", lambda: os.getuid() + 1)
    events: list[Event] = []
    await _hold(directory, events)
    assert "another user" in str(events)
    assert list(directory.iterdir()) == []


async def test_links_are_not_followed(directory: Path) -> None:
    """A symlink in place of the lock file leaves its target as it was."""
    async with FileLock(directory, "key", purpose="p").hold(listener=silent):
        (path,) = directory.glob("*.lock")
    path.unlink()
    victim = directory.parent / "victim"
    victim.write_text("precious")
    path.symlink_to(victim)
    events: list[Event] = []
    await _hold(directory, events)
    assert [type(event) for event in events] == [Warned]
    assert victim.read_text() == "precious"


async def test_a_full_disk_costs_the_note_and_not_the_lock(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without room for the note the lock is held all the same."""

    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("os.pwrite", full)
    events: list[Event] = []
    async with FileLock(directory, "key", purpose="p").hold(listener=events.append):
        assert not is_free(directory)
    assert events == []


async def test_a_cleaned_directory_does_not_admit_two(directory: Path) -> None:
    """A waiter whose file was deleted locks the new one, which others see."""
    lock, events = FileLock(directory, "key", purpose="p"), list[Event]()
    inside, leave = asyncio.Event(), asyncio.Event()

    async def wait() -> None:
        async with lock.hold(listener=events.append):
            inside.set()
            await leave.wait()

    async with lock.hold(listener=silent):
        waiting = asyncio.create_task(wait())
        while not events:
            await asyncio.sleep(0.005)
        for path in directory.iterdir():
            path.unlink()
        directory.rmdir()
    await asyncio.wait_for(inside.wait(), 5)
    assert not is_free(directory)
    leave.set()
    await waiting
    assert is_free(directory)


@pytest.mark.parametrize(
    "note",
    [
        b"",
        b"{",
        b"[]",
        b'{"pid": "1", "host": "h", "purpose": "p", "started": 1}',
        b"[" * 100_000,
        b"\xff\xfe",
    ],
)
def test_damaged_notes_say_nothing(note: bytes) -> None:
    """A note that is not ours is no holder."""
    assert Holder.parse(note) is None


def test_notes_round_trip() -> None:
    """What a holder writes is what a waiter reads."""
    holder = Holder(pid=12, host="box", purpose="building \N{ANCHOR}", started=1.5)
    assert Holder.parse(holder.to_bytes()) == holder
    assert str(holder) == "process 12 on box"


# The worker thread is idle and the child ends at once.
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
async def test_parent_keeps_its_lock_when_a_forked_child_leaves(
    directory: Path,
) -> None:
    """A child that leaves the inherited block neither unlocks nor closes ours."""
    async with FileLock(directory, "key", purpose="p").hold(listener=silent):
        reader, writer = os.pipe()
        with closing(os.fdopen(reader)) as answers:
            child = os.fork()
            if child == 0:
                os.write(writer, b"%d" % open_locks(directory))
                os._exit(0)
            os.close(writer)
            os.waitpid(child, 0)
            assert answers.read() == "0"
        assert not is_free(directory)


async def test_directories_are_made_for_their_owner_alone(tmp_path: Path) -> None:
    """Whatever the umask: the cache directory above the locks is private too."""
    before = os.umask(0o002)
    try:
        lock = FileLock(tmp_path / "cache" / "locks", "key", purpose="testing")
        async with lock.hold(listener=silent):
            modes = [
                (tmp_path / name).stat().st_mode & 0o777
                for name in ("cache", "cache/locks")
            ]
    finally:
        os.umask(before)
    assert modes == [0o700, 0o700]
