"""Walks a directory in one worker thread and digests what it found."""

from __future__ import annotations

import asyncio
import os
import re
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from aweigh.bundle.known_tree import KnownTree, tree_key
from aweigh.bundle.manifest import Manifest
from aweigh.bundle.marker import MARKER
from aweigh.errors import ChangedError, TreeError
from aweigh.events.bundle import FileSkipped, TreeScanned
from aweigh.tree.rules import Rules
from aweigh.tree.scan import scan

if TYPE_CHECKING:
    from collections.abc import Iterable

    from aweigh.bundle.ahead import Ahead
    from aweigh.events import Listener
    from aweigh.oci.digest import Digest
    from aweigh.tree.scan import Tree

__all__ = ["ScannedTree", "Scanner", "bundle_rules"]

# Bytes of small files that are read once, for the digest and for the pack.
_KEEP: Final = 48 << 20
_SPECIAL: Final = frozenset({"fifo", "socket", "device"})
# What means something in a pattern.
_MEANINGFUL: Final = re.compile(r"[\\*?\[\]!# ]")


@dataclass(frozen=True, slots=True, kw_only=True)
class ScannedTree:
    """A tree as it was at one moment.

    Attributes:
        tree: Its entries.
        digest: Of the bundle they make.
        known: What to remember for the next scan.
        manifest: How it is divided; None as long as nobody had to know.
        ahead: Packs that were made meanwhile.
    """

    tree: Tree
    digest: Digest
    known: KnownTree
    manifest: Manifest | None
    ahead: Ahead | None = None

    async def divided(self) -> Manifest:
        """Return the manifest, which an unchanged tree has not needed so far.

        Raises:
            ChangedError: It is not the one that is remembered.
        """
        if self.manifest is not None:
            return self.manifest
        manifest = await asyncio.to_thread(Manifest.of_rows, self.tree.entries.rows())
        if manifest.digest != self.digest:
            raise ChangedError(
                f"what is remembered of {str(self.tree.root)!r} is not what is there",
                hint="clear the cache with 'aweigh cache clean'",
            )
        return manifest


@dataclass(frozen=True, slots=True, kw_only=True)
class Scanner:
    """What to scan, and how.

    Attributes:
        root: The directory.
        rules: What of it to take.
        follow: Whether symlinks are replaced by what they name.
        size_limit: Bytes it may have; None for no limit.
    """

    root: Path
    rules: Rules
    follow: bool
    size_limit: int | None

    def key(self) -> str:
        """Return the key under which this tree is remembered; blocking."""
        return tree_key(self.root, self.rules, follow=self.follow)

    async def run(
        self, known: KnownTree | None, listener: Listener, ahead: Ahead | None = None
    ) -> ScannedTree:
        """Scan, reading only the files that moved since the tree was last known.

        Args:
            known: What it was then.
            listener: Hears what was found.
            ahead: Makes packs while files are read.

        Raises:
            ChangedError: Files changed while they were read.
            TreeError: There is no file, too much, or something that cannot be read.

        A cancelled call's thread ends by itself and leaves nothing behind.
        """
        began = time.perf_counter()
        scanned = await asyncio.to_thread(self._scan, known, ahead)
        for skipped in scanned.tree.skipped:
            if skipped.rule in _SPECIAL:
                listener(FileSkipped(path=skipped.path, kind=skipped.rule))
        listener(
            TreeScanned(
                root=str(self.root),
                files=len(scanned.tree.entries),
                size=scanned.tree.size,
                read=scanned.tree.read,
                seconds=time.perf_counter() - began,
            )
        )
        return scanned

    def _scan(self, known: KnownTree | None, ahead: Ahead | None) -> ScannedTree:
        tree = scan(
            self.root,
            self.rules,
            follow=self.follow,
            size_limit=self.size_limit,
            remembered=known.pieces if known else (),
            keep=_KEEP,
            ahead=ahead.scanned if ahead else None,
        )
        if not tree.files:
            raise self._empty(tree)
        manifest = None
        if known is None or not tree.unchanged:
            manifest = ahead.manifest(len(tree.entries)) if ahead else None
            manifest = manifest or Manifest.of_rows(tree.entries.rows())
            known = KnownTree.of(tree, manifest.digest)
        return ScannedTree(
            tree=tree,
            digest=known.digest,
            known=known,
            manifest=manifest,
            ahead=ahead,
        )

    def _empty(self, tree: Tree) -> TreeError:
        left_out = [f"{skipped.path} ({skipped.rule})" for skipped in tree.skipped[:3]]
        return TreeError(
            f"{str(self.root)!r} has no files to bundle",
            hint=f"ignore rules left out {', '.join(left_out)}: include what you need"
            if left_out
            else "name the directory that holds the code",
        )


def bundle_rules(
    root: Path,
    include: tuple[str, ...],
    exclude: tuple[str, ...],
    ours: Iterable[Path] = (),
) -> Rules:
    """Return the rules for a bundle of a directory.

    All built-in rules count; neither the marker of a fetched bundle nor directories
    and files of our own go in: what an upload writes must not change the next one.
    Paths are compared as they are written; no file system is asked.
    """
    start = Path(os.path.abspath(root))  # noqa: PTH100 - resolve() would ask it
    own = [f"/{MARKER}"]
    for each in ours:
        path = Path(os.path.abspath(each))  # noqa: PTH100
        if path != start and path.is_relative_to(start):
            inside = _MEANINGFUL.sub(r"\\\g<0>", path.relative_to(start).as_posix())
            own.append(f"/{inside}")
    return Rules(include=include, exclude=(*exclude, *own))
