"""Where layers would come from, asked with HEAD requests and nothing else."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

from aweigh.backends.assembler.layers.memo import LayerMemo
from aweigh.concurrency.together import every
from aweigh.errors import AuthenticationError
from aweigh.image.preview import Reuse
from aweigh.oci import Reference

if TYPE_CHECKING:
    from collections.abc import Iterable

    from aweigh.backends.assembler.layers.memo import CachedImage, StoredLayer
    from aweigh.backends.assembler.layers.writer import Wanted
    from aweigh.image.pack import Codec
    from aweigh.image.preview import Place
    from aweigh.image.registry import Registry
    from aweigh.memory import Memory
    from aweigh.oci import Descriptor, Digest

__all__ = ["Known", "Whereabouts"]

_AT_ONCE: Final = 8


@dataclass(frozen=True, slots=True)
class Known:
    """A layer that need not be made.

    Attributes:
        layer: Which blob stands for it.
        reuse: Where that is.
    """

    layer: StoredLayer
    reuse: Reuse


class Whereabouts:
    """Finds layers as a build would, but changes nothing.

    Args:
        registry: The registries.
        reference: The destination.
        memory: What this machine remembers; None: nothing.
        codec: How the layers have to be compressed.
        cached: What the registry remembers.
    """

    def __init__(
        self,
        registry: Registry,
        reference: Reference,
        *,
        memory: Memory | None,
        codec: Codec,
        cached: CachedImage,
    ) -> None:
        self._registry = registry
        self._reference = reference
        self._cached = cached
        self._memo = LayerMemo(memory, reference, codec, cached)
        self._limit = asyncio.Semaphore(_AT_ONCE)

    async def layers(self, wanted: Iterable[Wanted]) -> list[Known | None]:
        """Tell of each layer where it would come from; None: it would be made.

        Raises:
            RegistryError: The registry did not answer as it should.
        """
        return await every(map(self._layer, wanted))

    async def base(self, base: Reference, layers: Iterable[Descriptor]) -> list[Reuse]:
        """Tell how the destination would get each layer of a base.

        Raises:
            RegistryError: The registry did not answer as it should.
        """
        return await every(self._base_layer(base, one) for one in layers)

    async def _layer(self, wanted: Wanted) -> Known | None:
        for candidate in wanted.candidates:
            layer = await self._memo.recall(candidate.key)
            if layer is None:
                continue
            told = self._cached.layers.get(str(candidate.key)) == layer
            reuse = await self._reuse(layer, "registry" if told else "memory")
            if reuse is not None:
                return Known(layer, reuse)
        return None

    async def _reuse(
        self, layer: StoredLayer, known_by: Literal["registry", "memory"]
    ) -> Reuse | None:
        """Tell where a remembered blob still is."""
        ours = self._reference
        if await self._has(ours, layer.descriptor.digest):
            return Reuse(place="repository", source=ours.name, known_by=known_by)
        other = Reference(ours.registry, layer.repository)
        if other.repository == ours.repository:
            return None
        if await self._has(other, layer.descriptor.digest):
            return Reuse(place="mount", source=other.name, known_by=known_by)
        return None

    async def _base_layer(self, base: Reference, layer: Descriptor) -> Reuse:
        ours = self._reference
        if await self._has(ours, layer.digest):
            return Reuse(place="repository", source=ours.name, known_by="base")
        place: Place = "mount" if base.registry == ours.registry else "copy"
        return Reuse(place=place, source=base.name, known_by="base")

    async def _has(self, reference: Reference, digest: Digest) -> bool:
        async with self._limit:
            try:
                return await self._registry.has_blob(reference, digest)
            except AuthenticationError:
                # Registries hide repositories that do not exist yet.
                return False
