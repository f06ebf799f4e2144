"""The files of a snapshot that uv reads, in a private directory for a while."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable, Mapping

    from aweigh.archive.member import Member

__all__ = ["laid_out", "read_text", "text_of", "write_files"]

# uv takes settings and workspaces from the nearest parent, which must not be a project
# that happens to have the temporary files within.
_BOUNDARY = {
    "uv.toml": "",
    "pyproject.toml": '[project]\nname = "aweigh-boundary"\nversion = "0"\n',
}


@asynccontextmanager
async def laid_out(members: Iterable[Member]) -> AsyncIterator[Path]:
    """Lay files out as they are in the build context, for as long as this lasts.

    Distributions are links to where they are: uv reads little of them, and what they
    must contain is in the lock. The directory is removed however this ends.
    """
    made = asyncio.ensure_future(asyncio.to_thread(_make, list(members)))
    try:
        # A thread cannot be stopped: what it makes must be known to be removed.
        await asyncio.wait([made])
        yield made.result()
    finally:
        await asyncio.shield(asyncio.ensure_future(_remove(made)))


async def _remove(made: asyncio.Future[Path]) -> None:
    await asyncio.wait([made])
    if made.exception() is None:
        await asyncio.to_thread(shutil.rmtree, made.result(), ignore_errors=True)


def _make(members: list[Member]) -> Path:
    # uv shows real paths, and /tmp is a symlink on some systems.
    root = Path(tempfile.mkdtemp(prefix="aweigh-resolve-")).resolve()
    try:
        for name, text in _BOUNDARY.items():
            (root / name).write_text(text, encoding="utf-8")
        for member in members:
            _put(member, root / member.path)
    except BaseException:
        shutil.rmtree(root, ignore_errors=True)
        raise
    return root


def _put(member: Member, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    match member.source:
        case bytes(content):
            path.write_bytes(content)
        case Path() as source:
            path.symlink_to(source)
        case None:
            pass


async def write_files(root: Path, files: Mapping[str, str]) -> None:
    """Write generated texts, by path relative to the directory."""
    await asyncio.to_thread(_write, root, dict(files))


def _write(root: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


async def read_text(path: Path) -> str:
    """Read what uv wrote."""
    return await asyncio.to_thread(path.read_text, encoding="utf-8")


def text_of(member: Member) -> str:
    """Return what a member of a few kilobytes holds; it is kept in memory."""
    if not isinstance(member.source, bytes):
        raise TypeError(member.path)
    return member.source.decode("utf-8-sig")
