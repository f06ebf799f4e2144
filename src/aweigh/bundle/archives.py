"""Puts a bundle as one archive into a store, or into a file, whole or not at all."""

from __future__ import annotations

import asyncio
import secrets
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from aweigh.archive.stream import in_thread
from aweigh.bundle.deliver import Delivering
from aweigh.bundle.forms import Archiving
from aweigh.errors import TreeError
from aweigh.events.bundle import UploadProgressed

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Iterable, Iterator
    from pathlib import Path

    from aweigh.bundle.bundle import BundleUri
    from aweigh.bundle.form import Form
    from aweigh.bundle.freight import Freight
    from aweigh.bundle.lacking import Lacking
    from aweigh.bundle.store import Store
    from aweigh.events import Listener
    from aweigh.tree.scan import Tree

__all__ = ["ArchiveDelivery", "deliver_archive", "write_archive"]


@dataclass(slots=True, kw_only=True)
class ArchiveDelivery:
    """A bundle on its way into a store as one object.

    Attributes:
        store: Where it goes.
        uri: Its name; its form says which archive.
        tree: What it holds.
        listener: Hears how far it is.
        old: Objects that are put although the store has them.
    """

    store: Store
    uri: BundleUri
    tree: Tree
    listener: Listener
    old: frozenset[str] = frozenset()
    _sent: int = field(default=0, init=False)

    async def run(self) -> int:
        """Put the archive; the tree is read, packed and compressed in a thread.

        Returns:
            Bytes that were sent; 0 when others had put it in the meantime.

        Raises:
            ChangedError: A file is no longer what it was when it was scanned.
            TreeError: A file's name cannot be in such an archive.
            StoreError: The store refused or did not answer.

        Cancelling leaves no object, or a whole one.
        """
        archiving = Archiving(self.tree, self.uri.form)
        bound = await asyncio.to_thread(lambda: archiving.bound)
        async with aclosing(self._stream(archiving)) as chunks:
            if self.uri.archive in self.old:
                await self.store.renew(self.uri.archive, chunks, size=bound)
                return self._sent
            created = await self.store.put(self.uri.archive, chunks, size=bound)
        return self._sent if created else 0

    async def _stream(self, archiving: Archiving) -> AsyncGenerator[bytes, None]:
        async with aclosing(in_thread(iter(archiving))) as chunks:
            async for chunk in chunks:
                yield chunk
                self._sent += len(chunk)
                self.listener(
                    UploadProgressed(
                        uri=str(self.uri), done=archiving.packed, total=self.tree.size
                    )
                )


async def _put(
    store: Store, freight: Freight, found: Lacking, listener: Listener
) -> int:
    delivery = ArchiveDelivery(
        store=store,
        uri=freight.uri,
        tree=freight.tree,
        listener=listener,
        old=found.old,
    )
    return await delivery.run()


deliver_archive: Final = Delivering(_put)


async def write_archive(tree: Tree, form: Form, path: Path) -> int:
    """Write a bundle as one file, which is whole when it has its name.

    Args:
        tree: What it holds.
        form: Which archive.
        path: Where to; a file that is there is replaced.

    Returns:
        The file's size in bytes.

    Raises:
        ChangedError: A file is no longer what it was when it was scanned.
        TreeError: A file's name cannot be in such an archive, or it cannot be written.

    Cancelling leaves what was there, or the new file; nothing beside it.
    """
    size = 0
    try:
        async with aclosing(in_thread(_saved(Archiving(tree, form), path))) as saved:
            async for piece in saved:
                size += len(piece)
    except OSError as error:
        raise TreeError(
            f"cannot write {str(path)!r}: {error.strerror or error}",
            hint="make room or make its directory writable, or name another file",
        ) from error
    return size


def _saved(pieces: Iterable[bytes], path: Path) -> Iterator[bytes]:
    """Write pieces to a file as they pass; closing it early leaves no file."""
    part = path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")
    try:
        with part.open("xb") as file:
            for piece in pieces:
                file.write(piece)
                yield piece
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
