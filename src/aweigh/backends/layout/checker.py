"""Whether an image is in the layout on this machine."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from aweigh.errors import LayoutError
from aweigh.image.checker import Absent, Present, Unknown
from aweigh.oci import Index

if TYPE_CHECKING:
    from aweigh.backends.layout.layout import ImageLayout
    from aweigh.image.checker import Verdict
    from aweigh.oci import Platform, Reference

__all__ = ["LayoutChecker"]


class LayoutChecker:
    """Reads the layout's index, and looks whether everything it leads to is there.

    A damaged index is Unknown. An image that lacks a file is Absent: building it again
    brings the file back.
    """

    name = "layout"

    def __init__(self, layout: ImageLayout) -> None:
        """Answer for this layout."""
        self._layout = layout

    async def check(
        self, reference: Reference, platforms: frozenset[Platform], /
    ) -> Verdict:
        """Say whether the layout has ``reference`` for all of these platforms."""
        root = self._layout.root
        try:
            found = await self._layout.get_manifest(reference)
            index = None if found is None else found[0]
            if found is None or not isinstance(index, Index):
                return Absent(f"the layout {root} has no {reference}")
            if missing := platforms - index.platforms:
                listed = ", ".join(map(str, sorted(missing)))
                return Absent(f"the layout {root} has {reference} without {listed}")
            if await asyncio.to_thread(self._layout.has_gaps, index):
                return Absent(f"the layout {root} has {reference} without all blobs")
        except LayoutError as error:
            return Unknown(str(error), error.hint)
        return Present(found[1], index.platforms)
