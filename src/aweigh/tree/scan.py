"""The files of a directory, with their digests: what bundles and images are made of."""

from __future__ import annotations

import heapq
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from aweigh.errors import TreeError
from aweigh.tree.clock import settled_before
from aweigh.tree.content import Contents
from aweigh.tree.entry import Entry, Kind, Skipped
from aweigh.tree.signature import FIELDS, Remembered, pack
from aweigh.tree.walk import in_order, walk

if TYPE_CHECKING:
    from collections.abc import Iterator

    from aweigh.tree.content import Content
    from aweigh.tree.rules import Rules
    from aweigh.tree.walk import Walk

__all__ = ["Entry", "Kind", "Skipped", "Tree", "scan"]

_TOLD: Final = 10
_LARGEST: Final = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Tree:
    """A directory's content at one moment.

    Attributes:
        root: The directory, absolute and without symlinks.
        entries: Files, symlinks and empty directories, by the bytes of their paths.
        skipped: What was left out, and by which rule.
        collisions: Paths that are one on some file systems: equal but for case or
            Unicode's composed forms. They cannot be unpacked there.
        read: How many files were read; the others were known.
        size: Bytes of all files.
        signature: To be given back as ``remembered`` next time. Equal signatures
            mean equal entries.
        reusable: Whether nothing has to be read next time if nothing changes: no
            file is so young that its times prove nothing.
        follow: Whether symlinks stand for what they point to.
    """

    root: Path
    entries: tuple[Entry, ...]
    skipped: tuple[Skipped, ...]
    collisions: tuple[tuple[str, ...], ...]
    read: int
    size: int
    signature: bytes
    reusable: bool
    follow: bool = False

    def source(self, entry: Entry) -> Path:
        """Say where to read an entry; never a symlink, also for followed ones."""
        path = self.root / entry.path
        return path.resolve() if self.follow else path


def scan(
    root: Path,
    rules: Rules,
    *,
    follow: bool = False,
    size_limit: int | None = None,
    remembered: bytes | None = None,
) -> Tree:
    """List a directory and digest its files, reading only what may have changed.

    Blocks on the disk: call it in one worker thread. It changes nothing, so
    abandoning it leaves nothing behind. What a program stores through a shared
    memory map may show in no time stamp: only a scan without ``remembered`` sees it.

    Args:
        root: The directory; it may be a symlink to one.
        rules: What is left out.
        follow: Whether symlinks stand for what they point to. Otherwise they are
            kept, and one that leads out of the directory is an error.
        size_limit: Bytes of all files together that are too much; None for any.
        remembered: `Tree.signature` of an earlier scan. Anything else is ignored.

    Raises:
        TreeError: The root is no directory, or ``/``; files or directories cannot be
            read; a symlink leads out; the size limit is exceeded.
        ChangedError: A file kept changing while it was read.
    """
    top, device = _open(root)
    settled = settled_before(device)
    memory = Remembered(remembered, device=device, follow=follow)
    found = walk(top, rules, follow=follow)
    _refuse_unreadable(top, found.unreadable)
    if size_limit is not None:
        _refuse_oversized(top, found, size_limit)
    contents = Contents(found, memory, settled=settled)
    contents.gather()
    _refuse_unreadable(top, found.unreadable)
    _refuse_escaping(top, contents.escaping)
    entries = tuple(_entries(contents.of))
    sections = [content.packed for content in contents.of.values()]
    return Tree(
        root=Path(top),
        entries=entries,
        skipped=tuple(found.skipped),
        collisions=tuple(found.collisions),
        read=contents.read,
        size=sum(entry.size for entry in entries),
        signature=pack(sections, device=device, follow=follow),
        reusable=contents.settled,
        follow=follow,
    )


def _open(root: Path) -> tuple[str, int]:
    """The root without symlinks, and its device."""
    try:
        top = root.resolve(strict=True)
        status = top.stat()
    except (OSError, RuntimeError) as error:
        raise TreeError(
            f"cannot look at {str(root)!r}: {error}",
            hint="give the directory that holds your code",
        ) from error
    if not stat.S_ISDIR(status.st_mode):
        raise TreeError(
            f"{str(root)!r} is no directory",
            hint="give the directory that holds your code",
        )
    if top == top.parent:
        raise TreeError(
            "the root of the file system is no tree to send away",
            hint="give the directory that holds your code",
        )
    return str(top), status.st_dev


def _entries(contents: dict[str, Content]) -> Iterator[Entry]:
    """All entries by the bytes of their paths; a deep tree needs no deep stack."""
    filled: dict[str, bool] = {}
    for path, content in reversed(contents.items()):
        children = (f"{path}{name}/" for name in content.folder.folders)
        filled[path] = bool(content.folder.names) or any(
            filled[child] or contents[child].folder.kept_empty
            for child in children
            if child in filled
        )
    stack = [iter(_listing("", contents, filled))]
    while stack:
        for item in stack[-1]:
            if isinstance(item, str):
                stack.append(iter(_listing(item, contents, filled)))
                break
            yield item
        else:
            stack.pop()


def _listing(
    path: str, contents: dict[str, Content], filled: dict[str, bool]
) -> list[Entry | str]:
    """A directory's entries and, as paths, the directories to go on with."""
    content = contents.get(path)
    if content is None:
        return []
    entries = content.entries()
    items: dict[str, Entry | str] = dict(
        zip(content.folder.names, entries, strict=True)
    )
    for name in content.folder.folders:
        child = f"{path}{name}/"
        if filled.get(child):
            # A slash sorts the directory where the paths of its content belong.
            items[f"{name}/"] = child
        elif child in filled and contents[child].folder.kept_empty:
            items[name] = Entry(path + name, Kind.DIRECTORY, False, 0, None)
    if len(items) == len(entries):
        return list(items.values())
    return [items[name] for name in in_order(items)]


def _refuse_unreadable(top: str, unreadable: list[tuple[str, OSError]]) -> None:
    if unreadable:
        told = "; ".join(
            f"{path!r}: {error.strerror}" for path, error in unreadable[:_TOLD]
        )
        raise TreeError(
            f"cannot read everything in {top!r} ({told})",
            hint="make them readable, or leave them out with .aweighignore",
            paths=[path for path, _ in unreadable[:_TOLD]],
        )


def _refuse_escaping(top: str, escaping: list[str]) -> None:
    if escaping:
        told = ", ".join(map(repr, escaping[:_TOLD]))
        raise TreeError(
            f"symlinks lead out of {top!r}, or name absolute paths: {told}",
            hint="leave them out with .aweighignore, or follow symlinks to take"
            " what they point to",
            paths=escaping[:_TOLD],
        )


def _refuse_oversized(top: str, found: Walk, limit: int) -> None:
    sizes = (
        (size, folder.path + name)
        for folder in found.folders
        for name, mode, size in zip(
            folder.names, folder.stats[::FIELDS], folder.stats[1::FIELDS], strict=True
        )
        if stat.S_ISREG(mode)
    )
    total = 0
    largest: list[tuple[int, str]] = []
    for each in sizes:
        total += each[0]
        if len(largest) < _LARGEST:
            heapq.heappush(largest, each)
        elif each > largest[0]:
            heapq.heapreplace(largest, each)
    if total > limit:
        largest.sort(reverse=True)
        told = ", ".join(f"{path!r} ({size} bytes)" for size, path in largest)
        raise TreeError(
            f"{top!r} holds {total} bytes, more than bundle_size_limit ({limit});"
            f" the largest files: {told}",
            hint="leave files out with .aweighignore, or raise bundle_size_limit",
            paths=[path for _, path in largest],
        )
