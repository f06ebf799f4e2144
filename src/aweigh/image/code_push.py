"""Puts code on images of registries: one layer more, without an engine."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from aweigh.concurrency.together import every
from aweigh.errors import ImageGoneError, RegistryError
from aweigh.image.append import append, code_index
from aweigh.image.code import Appended
from aweigh.image.code_base import Belows
from aweigh.image.pack import choose_codec, pack
from aweigh.image.scratch import scratch
from aweigh.oci import describe
from aweigh.oci.manifest import OCI_INDEX, OCI_MANIFEST

if TYPE_CHECKING:
    from pathlib import Path

    from aweigh.image.code import CodeLayer
    from aweigh.image.code_base import Below
    from aweigh.image.image import Image
    from aweigh.image.pack import Packed
    from aweigh.image.registry import Registry
    from aweigh.memory import Memory
    from aweigh.oci import Descriptor, Digest, Reference

__all__ = ["RegistryCoder"]

# What registries say of a manifest whose layers they do not have.
_LAYERS_GONE: Final = frozenset({"MANIFEST_BLOB_UNKNOWN", "BLOB_UNKNOWN"})


class RegistryCoder:
    """Appends layers of code in registries.

    Args:
        registry: The registries.
        memory: Remembers manifests and configs by their digests.
        directory: Where a layer lies until it is pushed.
    """

    def __init__(
        self,
        registry: Registry,
        *,
        memory: Memory,
        directory: Path,
    ) -> None:
        self._registry = registry
        self._belows = Belows(registry, memory)
        self._directory = directory

    async def make(
        self, image: Image, reference: Reference, layer: CodeLayer
    ) -> Appended:
        """Put the code on an image, under a tag beside its own.

        The layer is packed while the registry is asked whether it is there already.
        Cancelling leaves blobs that nothing names, or the whole image.

        Raises:
            ChangedError: A file is not what it was when it was listed.
            ImageGoneError: The registry no longer has the image, or its layers.
            RegistryError: The registry refused, or did not answer as it should.
        """
        belows = await self._belows.of(image)
        codec = choose_codec(belows[0].manifest.as_oci(), layer.compression)
        async with scratch(self._directory) as directory:
            packing = asyncio.create_task(pack(list(layer.members()), directory, codec))
            try:
                found = await self._registry.head_manifest(reference)
                if found is not None:
                    return Appended(found.digest, "found")
                packed = await packing
            finally:
                packing.cancel()
                await asyncio.gather(packing, return_exceptions=True)
            digest = await self._push(belows, reference, layer, packed)
        return Appended(digest, "built")

    async def _push(
        self,
        belows: list[Below],
        reference: Reference,
        layer: CodeLayer,
        packed: Packed,
    ) -> Digest:
        made = [
            append(one.manifest, one.config, layer, packed.descriptor, packed.diff_id)
            for one in belows
        ]
        await every(
            [
                self._registry.push_blob(
                    reference, packed.descriptor, packed.path, name="code"
                ),
                *(
                    self._registry.push_blob(
                        reference, manifest.config, config, name="config"
                    )
                    for manifest, config in made
                ),
            ]
        )
        try:
            entries = await every(
                self._put(reference, below, manifest.to_bytes())
                for below, (manifest, _) in zip(belows, made, strict=True)
            )
        except RegistryError as error:
            if error.code not in _LAYERS_GONE:
                raise
            raise ImageGoneError(
                f"{reference.name} no longer has the layers below the code: {error}",
                hint="somebody deleted them; ensure the image again",
                target=reference.registry,
            ) from error
        index = code_index(entries, layer)
        put = await self._registry.put_manifest(reference, index.to_bytes(), OCI_INDEX)
        return put.digest

    async def _put(
        self, reference: Reference, below: Below, content: bytes
    ) -> Descriptor:
        described = describe(content, OCI_MANIFEST)
        await self._registry.put_manifest(
            reference.with_digest(described.digest), content, OCI_MANIFEST
        )
        return replace(described, platform=below.platform)
