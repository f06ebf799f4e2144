"""Unpacks a tar stream that may be hostile, against a list of what must be in it.

The list comes first and is trusted no further than its digest: it is checked for
paths and links that leave the directory before anything is written. The stream may
then hold exactly those members, each once, and each file is checked while written.
The standard library's extraction filters are not used: they had escapes
(CVE-2025-4517 and its siblings) in interpreters that are still in use.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from typing import TYPE_CHECKING, Final

from aweigh.archive.content import CHUNK
from aweigh.archive.member import Names
from aweigh.archive.reader import Reader
from aweigh.errors import DamagedError, TreeError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from aweigh.archive.member import Member
    from aweigh.archive.reader import Head

__all__ = ["FILE_FLAGS", "FOLDER_FLAGS", "extract", "refuse_escapes"]

FOLDER_FLAGS: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
FILE_FLAGS: Final = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_MAX_LINKS: Final = 40


def extract(
    stream: Iterable[bytes], destination: Path, *, expected: Mapping[str, Member]
) -> None:
    """Unpack a tar stream into a directory that does not exist yet.

    Parents are made as needed; symlinks are made last, so nothing is ever written
    through one. Blocks on the disk: call it in a worker thread. Rename the directory
    to its final name afterwards, so that nobody sees it half full.

    Args:
        stream: The uncompressed tar, in pieces of any size.
        destination: The directory to make; on any failure it is removed again.
        expected: What must be in the stream, by path; `Member.source` is not used.

    Raises:
        DamagedError: The list leaves the directory, or the stream is not exactly
            what the list says. Nothing was written outside, nothing is left.
        TreeError: The directory exists, or the file system does not take a file.
    """
    links = _check(expected)
    try:
        destination.mkdir(mode=0o755)
    except OSError as error:
        raise TreeError(
            f"cannot make {str(destination)!r}: {error.strerror}",
            hint="unpack into a new directory whose parent exists and is writable",
        ) from error
    try:
        _Unpacking(destination).run(stream, expected, links)
    except BaseException:
        shutil.rmtree(destination, ignore_errors=True)
        raise


def _check(expected: Mapping[str, Member]) -> dict[str, str]:
    """Refuse a list that leaves the directory; return its symlinks."""
    names = Names()
    links: dict[str, str] = {}
    for path, member in expected.items():
        wrong = names.add(path, member.kind)
        if wrong:
            raise _damaged(f"{path!r} {wrong}")
        if member.kind == "symlink":
            links[path] = member.target
    refuse_escapes(links)
    return links


def refuse_escapes(links: Mapping[str, str]) -> None:
    """Refuse symlinks that lead out of the directory they are in, also together.

    Args:
        links: Their targets, by path.

    Raises:
        DamagedError: One does.
    """
    for path, target in links.items():
        if not target or "\0" in target or _leaves(path, links):
            raise _damaged(f"symlink {path!r} leaves the directory")


def _leaves(path: str, links: Mapping[str, str]) -> bool:
    """Follow a symlink the way a kernel would, with the root as the outer limit.

    Comparing texts is not enough: with ``a -> .`` the link ``b -> a/..`` looks
    harmless and leads out. A loop leads nowhere and is harmless.
    """
    here: list[str] = path.split("/")[:-1]
    todo = links[path].split("/")[::-1]
    if links[path].startswith("/"):
        return True
    followed = 0
    while todo:
        name = todo.pop()
        if name in {"", "."}:
            continue
        if name == "..":
            if not here:
                return True
            here.pop()
            continue
        here.append(name)
        target = links.get("/".join(here))
        if target is not None:
            followed += 1
            if followed > _MAX_LINKS:
                return False
            if target.startswith("/"):
                return True
            here.pop()
            todo.extend(target.split("/")[::-1])
    return False


class _Unpacking:
    """One extraction: an open directory and the paths still to come."""

    def __init__(self, destination: Path) -> None:
        self._destination = destination
        self._made: set[str] = set()
        self._folder = ""
        self._root = -1
        self._descriptor = -1

    def run(
        self,
        stream: Iterable[bytes],
        expected: Mapping[str, Member],
        links: Mapping[str, str],
    ) -> None:
        reader = Reader(stream)
        missing = set(expected)
        self._root = os.open(self._destination, FOLDER_FLAGS)
        path = ""
        try:
            while (head := reader.head()) is not None:
                path = head.path
                member = expected.get(path)
                if member is None or path not in missing:
                    told = "is there twice" if member else "should not be in it"
                    raise _damaged(f"{path!r} {told}")
                missing.remove(path)
                _compare(head, member)
                self._write(reader, member)
            if missing:
                raise _damaged(f"{min(missing)!r} is missing")
            for path, target in links.items():
                folder, name = self._enter(path)
                os.symlink(target, name, dir_fd=folder)
        except OSError as error:
            raise TreeError(
                f"cannot write {path!r}: {error.strerror}",
                hint="make room, or unpack to a file system that tells apart"
                " upper and lower case and takes such names",
                paths=[path],
            ) from error
        finally:
            self._leave()
            os.close(self._root)

    def _write(self, reader: Reader, member: Member) -> None:
        if member.kind == "symlink":
            return
        folder, name = self._enter(member.path)
        if member.kind == "directory":
            self._make(member.path, name, folder)
            return
        mode = 0o755 if member.executable else 0o644
        descriptor = os.open(name, FILE_FLAGS, mode, dir_fd=folder)
        digest = hashlib.sha256()
        try:
            left = member.size
            while left:
                piece = reader.take(min(left, CHUNK))
                digest.update(piece)
                left -= len(piece)
                while piece:
                    piece = piece[os.write(descriptor, piece) :]
        finally:
            os.close(descriptor)
        if member.digest is None or digest.hexdigest() != member.digest.hex:
            raise _damaged(f"{member.path!r} has other content than its digest")
        reader.skip(member.size)

    def _enter(self, path: str) -> tuple[int, str]:
        """Open a member's parent, made when it is not there, and name the member."""
        folder, _, name = path.rpartition("/")
        if not folder:
            return self._root, name
        if folder != self._folder:
            self._leave()
            self._descriptor = os.dup(self._root)
            whole = ""
            for part in folder.split("/"):
                whole = f"{whole}/{part}" if whole else part
                self._make(whole, part, self._descriptor)
                inner = os.open(part, FOLDER_FLAGS, dir_fd=self._descriptor)
                os.close(self._descriptor)
                self._descriptor = inner
            self._folder = folder
        return self._descriptor, name

    def _make(self, path: str, name: str, parent: int) -> None:
        """Make a directory once; one that is there already is another's namesake."""
        if path not in self._made:
            os.mkdir(name, 0o755, dir_fd=parent)
            self._made.add(path)

    def _leave(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
        self._descriptor, self._folder = -1, ""


def _compare(head: Head, member: Member) -> None:
    if (head.kind, head.size) != (member.kind, member.size):
        raise _damaged(f"{head.path!r} has another kind or size than listed")
    if head.kind == "symlink" and head.target != member.target:
        raise _damaged(f"symlink {head.path!r} has another target than listed")
    if head.kind == "file" and bool(head.mode & 0o111) != member.executable:
        raise _damaged(f"{head.path!r} has another mode than listed")


def _damaged(what: str) -> DamagedError:
    return DamagedError(
        f"the archive was refused: {what}",
        hint="it was damaged or made to harm; upload it anew from a tree you trust",
    )
