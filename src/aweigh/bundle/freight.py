"""What is to get into a store, and who brings it there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterable
    from contextlib import AbstractAsyncContextManager
    from pathlib import Path

    from aweigh.bundle.ahead import Ahead
    from aweigh.bundle.bundle import Bundle, BundleUri
    from aweigh.bundle.known import KnownPacks
    from aweigh.bundle.manifest import Manifest
    from aweigh.bundle.store import Store
    from aweigh.events import Listener
    from aweigh.tree.scan import Tree

__all__ = ["Deliver", "Freight"]


@dataclass(frozen=True, slots=True)
class Freight:
    """A bundle that must get into a store.

    Attributes:
        uri: Its name.
        tree: What it holds.
        manifest: How that is divided.
        known: Packs of the store that need no question.
        before: What was put before this moment is put again; see
            `aweigh.bundle.lacking`.
        key: Under which the tree is remembered.
        ahead: Packs that are made already.
    """

    uri: BundleUri
    tree: Tree
    manifest: Manifest
    known: KnownPacks | None
    before: float
    key: str
    ahead: Ahead | None = None


class Deliver(Protocol):
    """Puts what a store lacks of a bundle; `aweigh.bundle.deliver.deliver` does."""

    async def __call__(
        self, store: Store, freight: Freight, listener: Listener, *, locks: Path | None
    ) -> Bundle:
        """Deliver a bundle."""
        ...

    def pack(self, listing: bytes, contents: Iterable[bytes]) -> bytes:
        """Make a small pack."""
        ...

    def turn(
        self,
        locks: Path | None,
        key: str,
        listener: Listener,
        *,
        wait_deadline: float | None = None,
    ) -> AbstractAsyncContextManager[None]:
        """Return what is held while packs of a tree are put ahead.

        Args:
            locks: Directory of lock files; None for no locks.
            key: Under which the tree is remembered.
            listener: Hears that we wait.
            wait_deadline: The moment on ``time.monotonic`` to give up waiting at.
        """
        ...
