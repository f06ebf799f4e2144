"""Programs are cancelled while they start, and nothing of theirs stays."""

import asyncio
import time
import uuid
from pathlib import Path

import pytest

from aweigh.concurrency.programs import end, started
from aweigh.settings import environment


def start(mark: str) -> "asyncio.Future[asyncio.subprocess.Process]":
    """Start a shell that starts a program that holds its pipes."""
    return asyncio.ensure_future(
        started(
            asyncio.create_subprocess_exec(
                *("sh", "-c", f"sleep 300 # {mark}\ntrue"),
                stdout=asyncio.subprocess.PIPE,
                env=environment() | {"AWEIGH_TEST_MARK": mark},
                start_new_session=True,
            )
        )
    )


def running(mark: str) -> list[str]:
    """List what runs with a mark in its environment."""
    wanted = f"AWEIGH_TEST_MARK={mark}".encode()
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if wanted in (process / "environ").read_bytes().split(b"\0"):
                found.append(process.name)
        except OSError:
            continue
    return found


async def gone(mark: str) -> bool:
    """Wait until nothing runs with a mark."""
    for _ in range(200):
        if not running(mark):
            return True
        await asyncio.sleep(0.02)
    return False


async def test_cancelled_while_it_starts() -> None:
    """It and what it started end at once, whenever that is."""
    mark = uuid.uuid4().hex
    for number in range(20):
        starting = start(mark)
        await asyncio.sleep(number * 0.0003)
        began = time.monotonic()
        if starting.cancel():
            await asyncio.wait([starting])
            assert starting.cancelled()
        else:
            await end(starting.result())
        assert time.monotonic() - began < 60
    assert await gone(mark)


async def test_ended_with_what_it_started() -> None:
    """Ending waits until it is gone, and again does nothing."""
    mark = uuid.uuid4().hex
    process = await start(mark)
    await end(process)
    assert process.returncode == -9
    await end(process)
    assert await gone(mark)


async def test_what_cannot_start_says_so() -> None:
    """A program that is missing is the error it always was."""
    with pytest.raises(FileNotFoundError):
        await started(
            asyncio.create_subprocess_exec("/nowhere", start_new_session=True)
        )
