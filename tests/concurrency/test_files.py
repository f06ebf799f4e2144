"""Files are opened in a thread, and closed when nobody waits for them any more."""

import asyncio
import os
from pathlib import Path

import pytest

from aweigh.concurrency.files import opened


async def test_a_file_is_read_and_written(tmp_path: Path) -> None:
    """It is a file like any other."""
    path = tmp_path / "file"
    with await opened(path, "wb") as file:
        file.write(b"content")
    with await opened(path, "rb") as file:
        assert file.read() == b"content"


async def test_what_cannot_be_opened_says_so(tmp_path: Path) -> None:
    """The error is the one of opening."""
    with pytest.raises(FileNotFoundError):
        await opened(tmp_path / "missing", "rb")


async def test_cancelled_it_is_closed(tmp_path: Path) -> None:
    """The thread waits for somebody to write; nobody reads when somebody does."""
    path = tmp_path / "fifo"
    os.mkfifo(path)
    opening = asyncio.create_task(opened(path, "rb"))
    await asyncio.sleep(0.05)
    opening.cancel()
    with pytest.raises(asyncio.CancelledError):
        await opening
    writer = await asyncio.to_thread(os.open, path, os.O_WRONLY)
    try:
        with pytest.raises(BrokenPipeError):
            await _write_until_refused(writer)
    finally:
        os.close(writer)


async def _write_until_refused(writer: int) -> None:
    for _ in range(500):
        os.write(writer, b"x")
        await asyncio.sleep(0.01)
