"""A process that takes a file lock: `lock_process.py MODE DIRECTORY KEY`."""

import asyncio
import os
import subprocess
import sys
import time
from pathlib import Path

from aweigh.concurrency.file_lock import FileLock
from aweigh.events import silent


class LeftInChildError(Exception):
    """A forked child leaves the block that its parent entered."""


def say(text: str) -> None:
    """Tell the test how far we are."""
    print(text, flush=True)


async def stay(lock: FileLock, mode: str) -> None:
    """Hold the lock until killed, with a child where the mode says so."""
    try:
        async with lock.hold(listener=silent):
            if mode == "fork":
                if os.fork() == 0:
                    raise LeftInChildError  # noqa: TRY301
                await asyncio.sleep(0.05)
            if mode == "exec":
                subprocess.Popen(["sleep", "20"], close_fds=False)  # noqa: ASYNC220
            say("held")
            await asyncio.sleep(20)
    except LeftInChildError:
        time.sleep(20)  # noqa: ASYNC251 - the loop belongs to the parent


async def build(directory: Path, key: str) -> None:
    """Build ten things once among all processes; say `double` when two hold a lock."""
    for number in range(10):
        name = f"{key}-{number}"
        async with FileLock(directory, name, purpose="build").hold(listener=silent):
            inside = directory / f"{name}.inside"
            try:
                inside.touch(exist_ok=False)
            except FileExistsError:
                say("double")
            built = directory / f"{name}.built"
            if not built.exists():
                await asyncio.sleep(0.001)
                built.touch()
                say(f"built {number}")
            inside.unlink()


def main() -> None:
    """Do what the arguments say."""
    mode, directory, key = sys.argv[1:]
    if mode == "build":
        asyncio.run(build(Path(directory), key))
    else:
        lock = FileLock(Path(directory), key, purpose="building train")
        asyncio.run(stay(lock, mode))


if __name__ == "__main__":
    main()
