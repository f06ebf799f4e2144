"""A tree as an archive: one file for other tools."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from aweigh.archive.gzipped import gzip_chunks
from aweigh.archive.tar import known_tar_chunks
from aweigh.archive.zipped import zip_chunks
from aweigh.bundle.form import Form
from aweigh.bundle.members import archive_members

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

    from aweigh.archive.member import Member
    from aweigh.tree.scan import Tree

__all__ = ["TOP", "Archiving"]

# Ray strips the one directory at the top, and needs it; nobody cares for its name.
TOP: Final = "bundle"
# What a member takes besides its content and its names, in headers of any form.
_PER_MEMBER: Final = 4096
_PER_CHARACTER: Final = 16


class Archiving:
    """An archive in the making: iterates over its bytes, and counts what went in.

    Blocking: iterate it in a worker thread. Memory stays constant.

    Attributes:
        packed: Bytes of the contents of files that are done.
    """

    def __init__(self, tree: Tree, form: Form) -> None:
        """Prepare an archive; nothing is opened yet.

        Args:
            tree: What goes in.
            form: `Form.ZIP`, with everything in one directory, or `Form.TAR_GZ`.
        """
        self._tree = tree
        self._form = form
        self.packed = 0

    @property
    def bound(self) -> int:
        """Bytes that the archive cannot exceed, compressed or not."""
        bound = self._tree.size + self._tree.size // 256 + _PER_MEMBER
        for entry in self._tree.entries:
            bound += _PER_MEMBER
            bound += _PER_CHARACTER * (len(entry.path) + len(entry.target))
        return bound

    def __iter__(self) -> Generator[bytes, None, None]:
        """Read each file once and compare it with its entry's size and digest.

        Raises:
            ChangedError: A file is no longer what its entry says.
            TreeError: A file cannot be read, or its name be in such an archive.
        """
        if self._form is Form.ZIP:
            yield from zip_chunks(self._counted(archive_members(self._tree, TOP)))
        else:
            members = self._counted(archive_members(self._tree))
            yield from gzip_chunks(known_tar_chunks(members))

    def _counted(self, members: Iterator[Member]) -> Iterator[Member]:
        for member in members:
            yield member
            self.packed += member.size
