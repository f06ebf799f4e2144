"""The files of a directory, with their digests: what bundles and images are made of."""

from __future__ import annotations

import heapq
import stat
from array import array
from contextlib import closing
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Final

from aweigh.errors import TreeError
from aweigh.tree.clock import settled_before
from aweigh.tree.content import Contents
from aweigh.tree.entries import Entries, early_rows
from aweigh.tree.entry import Entry, Kind, Skipped
from aweigh.tree.kept import Kept
from aweigh.tree.names import parted
from aweigh.tree.pieces import PIECE, Piece, Remembered, Sealer
from aweigh.tree.signature import FIELDS, Section
from aweigh.tree.walk import walk

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from aweigh.tree.look import Folder, Walk
    from aweigh.tree.rows import Rows
    from aweigh.tree.rules import Rules

__all__ = ["Entries", "Entry", "Kind", "Skipped", "Tree", "scan"]

_TOLD: Final = 10
_LARGEST: Final = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Tree:
    """A directory's content at one moment.

    Attributes:
        root: The directory, absolute and without symlinks.
        entries: Files, symlinks and empty directories, by the bytes of their paths.
        skipped: What was left out, and by which rule.
        files: How many entries are regular files.
        read: How many files were read; the others were known.
        size: Bytes of all files.
        unchanged: Whether everything is as it was remembered: equal entries, and
            nothing new to remember.
        reusable: Whether nothing has to be read next time if nothing changes: no
            file is so young that its times prove nothing.
        signature: What to give back as ``remembered`` next time, in pieces of some
            megabytes. Equal signatures mean equal entries, and a piece that holds
            what it held is the very same object.
        kept: Contents of files that were read.
        follow: Whether symlinks stand for what they point to.
    """

    root: Path
    entries: Entries
    skipped: tuple[Skipped, ...]
    files: int
    read: int
    size: int
    unchanged: bool
    reusable: bool
    signature: tuple[Piece, ...]
    kept: Kept
    follow: bool = False

    @property
    def collisions(self) -> tuple[tuple[str, ...], ...]:
        """Paths that are one on some file systems, where they cannot be unpacked.

        They are equal but for case or Unicode's composed forms.
        """
        return self.entries.collisions()

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
    remembered: Sequence[Piece] = (),
    keep: int = 0,
    piece: int = PIECE,
    ahead: Callable[[Iterator[Rows], Kept], None] | None = None,
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
        remembered: `Tree.signature` of an earlier scan. A piece that is anything
            else is ignored.
        keep: Bytes of what is read that may stay in memory, in `Tree.kept`.
        piece: Bytes of a piece of the signature.
        ahead: Is given the entries while they are read, and what is kept of them. They
            are about those of the tree, and nothing is said of them yet; it need not
            take all.

    Raises:
        TreeError: The root is no directory, or ``/``; files or directories cannot be
            read; a symlink leads out; the size limit is exceeded.
        ChangedError: A file kept changing while it was read.
    """
    top, device = _open(root)
    settled = settled_before(device)
    memory = Remembered(remembered, device=device, follow=follow)
    found = walk(top, rules, follow=follow, memory=memory)
    _refuse_unreadable(top, found.unreadable)
    if size_limit is not None:
        _refuse_oversized(top, found, size_limit)
    # A large tree has no room for contents beside what is to be remembered of it.
    kept = Kept(top, max(0, keep - found.drafts.size))
    sealer = Sealer(memory, device=device, follow=follow, limit=piece)
    contents = Contents(found, settled=settled, kept=kept, sealer=sealer)
    with closing(contents.gather()) as gathering:
        if ahead is not None:
            ahead(early_rows(contents.of, gathering), kept)
        for _ in gathering:
            pass
    _refuse_unreadable(top, found.unreadable)
    _refuse_escaping(top, contents.escaping)
    sections = [each for content in contents.of.values() for each in content.sections]
    return Tree(
        root=Path(top),
        entries=Entries(contents.of),
        skipped=tuple(found.skipped),
        files=sum(section.files for section in sections),
        read=contents.read,
        size=sum(section.size for section in sections),
        unchanged=memory.whole and contents.recalled == len(sections) == len(memory),
        reusable=contents.settled,
        signature=sealer.pieces(),
        kept=kept,
        follow=follow,
    )


def _open(root: Path) -> tuple[str, int]:
    """The root without symlinks, and its device."""
    try:
        top = root.resolve(strict=True)
        status = top.stat()
    except (OSError, RuntimeError) as error:
        why = getattr(error, "strerror", None) or error
        raise TreeError(
            f"cannot look at {str(root)!r}: {why}",
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
    total = sum(folder.size for folder in found.folders)
    if total > limit:
        sizes = chain.from_iterable(map(_sizes, found.folders))
        largest = heapq.nlargest(_LARGEST, sizes)
        told = ", ".join(f"{path!r} ({size} bytes)" for size, path in largest)
        raise TreeError(
            f"{top!r} holds {total} bytes, more than bundle_size_limit ({limit});"
            f" the largest files: {told}",
            hint="leave files out with .aweighignore, or raise bundle_size_limit",
            paths=[path for _, path in largest],
        )


def _sizes(folder: Folder) -> Iterator[tuple[int, str]]:
    """The regular files of a directory, with their bytes in front."""
    for part in folder.parts:
        if isinstance(part, Section):
            names, stats = part.names(), array("q", part.stats())
        else:
            facts = part.facts()
            names, stats = facts.names, facts.stats
        rows = zip(parted(names), stats[::FIELDS], stats[1::FIELDS], strict=True)
        for name, mode, size in rows:
            if stat.S_ISREG(mode):
                yield size, folder.path + name
