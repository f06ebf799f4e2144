"""Reads the files of a tree: small ones may be kept, large ones go side by side."""

from __future__ import annotations

import hashlib
import os
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, Final, TypeAlias

from aweigh.tree.digests import Identity, digest_file
from aweigh.tree.kept import read_whole

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

    from aweigh.tree.digests import Numbers
    from aweigh.tree.kept import Kept
    from aweigh.tree.look import Walk

__all__ = ["LARGE", "SMALL", "Reader"]

# Up to here a file is read in one go. A pack of its own begins below.
SMALL: Final = 256 << 10
# From here on a file is worth a thread.
LARGE: Final = 4 << 20
_THREADS: Final = 4

_Digested: TypeAlias = "tuple[bytes, Numbers] | None"


class Reader:
    """Digests files that may change while they are read.

    Attributes:
        read: How many it read.
    """

    def __init__(self, found: Walk, kept: Kept) -> None:
        """Read files that a walk found.

        Args:
            found: The walk.
            kept: Gets the contents of small files.
        """
        self.read = 0
        self._found = found
        self._kept = kept
        self._root = os.fsencode(found.root) + b"/"
        self._pool: ThreadPoolExecutor | None = None
        self._begun: dict[bytes, Future[_Digested]] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Wait for what is being read, and drop what is not."""
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)

    def begin(self, path: bytes, seen: Numbers) -> None:
        """Start with a large file, whose digest will be asked for later."""
        if self._pool is None:
            workers = min(_THREADS, os.cpu_count() or 1)
            self._pool = ThreadPoolExecutor(workers, "aweigh-digest")
        self._begun[path] = self._pool.submit(self._careful, path, seen)

    def digest(self, path: bytes, seen: Numbers) -> _Digested:
        """Digest a regular file, and prove that it stood still meanwhile.

        Args:
            path: Below the root.
            seen: What the walk saw.

        Returns:
            The SHA-256 and the numbers that belong to it; None when it is gone.

        Raises:
            ChangedError: It kept changing, or is no regular file any more.
            OSError: It cannot be read.
        """
        self.read += 1
        begun = self._begun.pop(path, None)
        if begun is not None:
            return begun.result()
        if seen[1] <= SMALL and not self._found.follow:
            try:
                content = read_whole(self._root + path, seen)
            except OSError:
                content = None
            if content is not None:
                self._kept.keep(path, content, seen)
                return hashlib.sha256(content).digest(), seen
        return self._careful(path, seen)

    def _careful(self, path: bytes, seen: Numbers) -> _Digested:
        shown, follow = os.fsdecode(path), self._found.follow
        full = f"{self._found.root}/{shown}"
        return digest_file(full, Identity(*seen), follow=follow, shown=shown)
