"""Fetching and explaining, asked for less often; imported when one is first asked."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from aweigh.bundle.bundle import BundleUri
from aweigh.bundle.fetch import fetch
from aweigh.bundle.form import Form
from aweigh.errors import InvalidValueError
from aweigh.flow.explain import explain

if TYPE_CHECKING:
    from collections.abc import Sequence

    from aweigh.flow.explain import Plan
    from aweigh.image.spec import ImageSpec
    from aweigh.parts import Parts

__all__ = ["Asides"]


class Asides:
    """Explaining and fetching, for one session."""

    def __init__(self, parts: Parts) -> None:
        """Wire them; nothing is opened yet."""
        self._parts = parts

    async def fetch(self, uri: str, destination: Path) -> Path:
        """Put a bundle's files at a destination; see `aweigh.bundle.fetch`."""
        bundle = BundleUri.parse(uri)
        if bundle.form is not Form.PACKS:
            raise InvalidValueError(
                f"{uri} is an archive for other tools, and is not fetched by this one",
                hint="unpack it with tar or unzip; or upload the directory without a"
                " form, and fetch that bundle",
            )
        store = await self._parts.backends.store_at(str(bundle.store))
        return await fetch(
            store, bundle.digest, destination, listener=self._parts.listener
        )

    async def explain(
        self,
        spec: ImageSpec,
        directory: Path | None,
        *,
        platforms: Sequence[str] | None,
        layers: bool,
    ) -> Plan:
        """Say what `prepare` would do; see `aweigh.flow.explain`."""
        parts = self._parts
        asks = layers and not parts.settings.offline
        return await explain(
            parts.images,
            parts.bundles,
            parts.memory,
            spec=spec,
            root=Path.cwd(),
            platforms=platforms,
            directory=directory,
            size_limit=parts.settings.bundle_size_limit,
            layers=parts.backends.explainer if asks else None,
        )
