"""What is known of wheels, kept on the disk: their bytecode and their RECORDs.

An entry is a directory that appears complete, by renaming, and never changes. Its list
of files carries a digest of itself and of each file, so damage is noticed by whoever
reads the list or packs the files, and the entry is made anew. Reading an entry renews
it; what nobody read for long, or what is too much, goes.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from aweigh.backends.assembler.private import is_private
from aweigh.oci import Digest

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

__all__ = ["Keep", "Kept"]

_LIST: Final = "list"
_MOST_BYTES: Final = 4 << 30
_MOST_SECONDS: Final = 30 * 86_400.0
# Somebody may be packing it.
_IN_USE_SECONDS: Final = 3_600.0
_PRUNE_SECONDS: Final = 86_400.0
_PRUNED: Final = "pruned"


@dataclass(frozen=True, slots=True)
class Kept:
    """A file of an entry.

    Attributes:
        name: What it stands for.
        path: Where it lies.
        size: Its bytes.
        digest: What it has to contain.
    """

    name: str
    path: Path
    size: int
    digest: Digest


class Keep:
    """Entries by key, in one directory; everything here blocks on the disk.

    Several processes may use one directory. A disk that is full or not ours to write
    keeps nothing, nor does a directory that others may write, and that is no error.

    Args:
        directory: Where; made when something is kept.
        most: Bytes to keep; looked at once a day.
    """

    def __init__(self, directory: Path, *, most: int = _MOST_BYTES) -> None:
        self._directory = directory
        self._most = most

    def read(self, key: str) -> list[Kept] | None:
        """Return the files of an entry, or None when there is none that is whole."""
        place = self._place(key)
        if not is_private(self._directory):
            return None
        try:
            head, _, body = (place / _LIST).read_bytes().partition(b"\n")
            if head.decode("ascii") != hashlib.sha256(body).hexdigest():
                raise ValueError  # noqa: TRY301 - damaged, like all below
            rows = json.loads(body)
            kept = [
                Kept(name, place / str(number), size, Digest(digest))
                for number, (name, size, digest) in enumerate(rows)
            ]
            if any(one.path.stat().st_size != one.size for one in kept):
                raise ValueError  # noqa: TRY301
        except FileNotFoundError:
            if place.is_dir():
                self.drop(key)
            return None
        except (OSError, ValueError, TypeError):
            self.drop(key)
            return None
        with contextlib.suppress(OSError):
            os.utime(place)
        return kept

    def add(
        self, key: str, written: Path, files: Iterable[tuple[str, int, Digest]]
    ) -> Path:
        """Make a directory an entry; return where its files are now.

        They stay where they are when another process was faster or the disk is full.

        Args:
            key: The entry.
            written: A directory on the same file system, with files 0, 1, ...
            files: The name, size and digest of each.
        """
        if not is_private(self._directory):
            return written
        rows = [[name, size, digest.hex] for name, size, digest in files]
        body = json.dumps(rows).encode()
        head = hashlib.sha256(body).hexdigest().encode()
        place = self._place(key)
        try:
            (written / _LIST).write_bytes(head + b"\n" + body)
            # A private package is nobody else's business, whatever the umask.
            for one in written.iterdir():
                one.chmod(0o600)
            place.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            written.rename(place)
        except OSError:
            return written
        self._prune_daily()
        return place

    def drop(self, key: str) -> None:
        """Remove an entry that is damaged."""
        shutil.rmtree(self._place(key), ignore_errors=True)

    def _prune_daily(self) -> None:
        """Remove what is old or too much."""
        now = time.time()
        mark = self._directory / _PRUNED
        with contextlib.suppress(OSError):
            if now - _used(mark) > _PRUNE_SECONDS:
                mark.touch(mode=0o600)
                self._prune(now)

    def _prune(self, now: float) -> None:
        held = 0
        entries = sorted(
            ((_used(one), one) for one in self._directory.glob("??/*")), reverse=True
        )
        for used, entry in entries:
            held += sum(one.stat().st_size for one in entry.iterdir())
            idle = now - used
            if idle > _IN_USE_SECONDS and (held > self._most or idle > _MOST_SECONDS):
                shutil.rmtree(entry, ignore_errors=True)

    def _place(self, key: str) -> Path:
        return self._directory / key[:2] / key


def _used(path: Path) -> float:
    """Say when something was last used; never, when it is not there."""
    try:
        return path.stat().st_mtime
    except FileNotFoundError:
        return 0.0
