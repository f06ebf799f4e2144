"""Small programs that use LocalDB, for tests that need other processes."""

import asyncio
import fcntl
import os
import signal
import sqlite3
import sys
import threading
import time
import warnings
from collections.abc import Callable
from pathlib import Path

from aweigh.backends.localdb import LocalDB, open_localdb
from aweigh.events import Event
from aweigh.memory import Record, Table, record_key


def record(name: str) -> Record:
    """Return a record whose value is its name."""
    now = time.time()
    return Record(
        table=Table.IMAGES,
        key=record_key(name),
        value=name.encode(),
        created_at=now,
        verified_at=now,
        expires_at=now + 1000,
    )


def say(text: str) -> None:
    """Print a line at once."""
    print(text, flush=True)


def hear(event: Event) -> None:
    """Print an event."""
    say(f"event {event}")


kept: list[object] = []


async def left_open(path: str) -> LocalDB:
    """Use a database and never close it."""
    context = open_localdb(Path(path), listener=hear, prune_probability=0.0)
    db = await context.__aenter__()
    kept.extend((context, db))
    await db.remember([record("kept")])
    return db


async def write(path: str, name: str, count: str) -> None:
    """Write records, saying each one that was acknowledged."""
    async with open_localdb(Path(path), listener=hear, lock_deadline=20) as db:
        say("ready")
        for n in range(int(count)):
            before = time.monotonic()
            await db.remember([record(f"{name}-{n}-a"), record(f"{name}-{n}-b")])
            say(f"{name}-{n} {time.monotonic() - before:.4f}")


async def survive(path: str, name: str) -> None:
    """Read and write in a database that may be damaged; never mind what happens."""
    async with open_localdb(Path(path), listener=hear, lock_deadline=20) as db:
        for n in range(20):
            await db.recall(Table.IMAGES, record_key(f"r{n}"))
            await db.remember([record(f"{name}-{n}")])
            say(f"ack {name}-{n}")


async def use(path: str) -> None:
    """Write and read one record, saying what comes back."""
    async with open_localdb(Path(path), listener=hear) as db:
        await db.remember([record("one")])
        found = await db.recall(Table.IMAGES, record_key("one"))
        say(f"found {found.value.decode() if found else None}")


async def use_as(path: str, user: str) -> None:
    """Do so as another user; the interpreter itself may be root's alone."""
    Path(path).as_uri()  # Python 3.13 imports modules for it, which root can read
    os.setegid(int(user))
    os.seteuid(int(user))
    await use(path)
    os.seteuid(0)


async def forget(path: str, name: str) -> None:
    """Forget a record that another process remembers."""
    async with open_localdb(Path(path), listener=hear) as db:
        await db.forget(Table.IMAGES, [record_key(name)])


def hold(path: str, what: str) -> None:
    """Hold a lock until killed: the side file's or SQLite's own."""
    if what == "flock":
        descriptor = os.open(Path(path) / "aweigh-v1.lock", os.O_RDWR | os.O_CREAT)
        fcntl.flock(descriptor, fcntl.LOCK_EX)
    else:
        connection = sqlite3.connect(Path(path) / "aweigh-v1.db", isolation_level=None)
        connection.execute("BEGIN IMMEDIATE")
    say("held")
    signal.pause()


def exit_returning(path: str) -> None:
    """Return from main with an open database."""
    asyncio.run(left_open(path))


def exit_raising(path: str) -> None:
    """Raise out of main with an open database."""
    asyncio.run(left_open(path))
    raise SystemExit(3)


def exit_collected(path: str) -> None:
    """Let an open database be collected."""
    asyncio.run(left_open(path))
    kept.clear()


def exit_interrupted(path: str) -> None:
    """Be interrupted in the middle of a stream of writes."""

    async def main() -> None:
        db = await left_open(path)
        threading.Timer(0.1, os.kill, (os.getpid(), signal.SIGINT)).start()
        while True:
            await db.remember([record("more")])

    try:
        asyncio.run(main())
    except KeyboardInterrupt:
        sys.exit(130)


def exit_contended(path: str) -> None:
    """Be interrupted while a write waits for a lock that another process holds."""

    async def main() -> None:
        async with open_localdb(Path(path), listener=hear, lock_deadline=30) as db:
            say("started")
            threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGINT)).start()
            await db.remember([record("late")])

    try:
        asyncio.run(main())
    except KeyboardInterrupt:
        say("interrupted")


def exit_abandoned(path: str) -> None:
    """Close the loop while a write is on its way."""
    loop = asyncio.new_event_loop()
    db = loop.run_until_complete(left_open(path))
    task = loop.create_task(db.remember([record("unheard")]))
    loop.run_until_complete(asyncio.sleep(0))
    kept.append(task)
    loop.close()


def exit_in_thread(path: str) -> None:
    """Leave a database open in the loop of another thread."""
    thread = threading.Thread(target=asyncio.run, args=(left_open(path),))
    thread.start()
    thread.join()


def fork(path: str) -> None:
    """Use an inherited database in a forked child while the parent goes on."""

    async def child(db: LocalDB) -> None:
        found = await db.recall(Table.IMAGES, record_key("kept"))
        await db.remember([record("child")])
        await db.close()
        say(f"child {found.value.decode() if found else None}")

    async def parent(db: LocalDB) -> None:
        await db.remember([record("parent")])
        for name in ("kept", "child", "parent"):
            found = await db.recall(Table.IMAGES, record_key(name))
            say(f"parent {found.value.decode() if found else None}")
        await db.close()

    loop = asyncio.new_event_loop()
    db = loop.run_until_complete(left_open(path))
    pid = os.fork()
    if pid == 0:
        asyncio.run(child(db))
        return  # through the interpreter's whole finalisation
    _, status = os.waitpid(pid, 0)
    say(f"status {status}")
    loop.run_until_complete(parent(db))
    loop.close()


def fork_holding(path: str) -> None:
    """Fork while the side lock is held: the child must not keep it."""

    async def main() -> None:
        db = await left_open(path)
        assert await db._access._lock.wait(1)
        pid = os.fork()
        if pid == 0:
            signal.pause()
            os._exit(0)
        db._access.abandon()
        await db.remember([record("after")])
        other = Path(path) / "aweigh-v1.lock"
        with other.open("rb+") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)  # noqa: ASYNC222  # it is dead
        await db.close()
        say("free")

    asyncio.run(main())


def second_loop(path: str) -> None:
    """Use one database in two loops, one after the other."""
    loop = asyncio.new_event_loop()
    db = loop.run_until_complete(left_open(path))
    try:
        asyncio.run(db.remember([record("other")]))
    except Exception as error:  # noqa: BLE001  # its name is what the test is about
        say(type(error).__name__)
    loop.run_until_complete(db.close())
    loop.close()


PROGRAMS: dict[str, Callable[..., object]] = {
    "write": write,
    "survive": survive,
    "use-as": use_as,
    "forget": forget,
    "hold": hold,
    "exit-returning": exit_returning,
    "exit-raising": exit_raising,
    "exit-collected": exit_collected,
    "exit-interrupted": exit_interrupted,
    "exit-contended": exit_contended,
    "exit-abandoned": exit_abandoned,
    "exit-in-thread": exit_in_thread,
    "fork": fork,
    "fork-holding": fork_holding,
    "second-loop": second_loop,
}

if __name__ == "__main__":
    # Python 3.12 warns of what these programs do on purpose.
    warnings.filterwarnings("ignore", ".*use of fork", DeprecationWarning)
    program = PROGRAMS[sys.argv[1]]
    result = program(*sys.argv[2:])
    if asyncio.iscoroutine(result):
        asyncio.run(result)
