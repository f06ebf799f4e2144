"""One layer of an image: found in the registry, or made and pushed."""

from __future__ import annotations

import asyncio
import time
from contextlib import aclosing
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from aweigh.backends.assembler.layers.memo import (
    BYTECODE_ANNOTATION,
    KEY_ANNOTATION,
    NAME_ANNOTATION,
    StoredLayer,
)
from aweigh.concurrency.files import opened
from aweigh.errors import AuthenticationError
from aweigh.events.build import (
    BlobPushed,
    BuildLogged,
    BuildStepFinished,
    BuildStepStarted,
)
from aweigh.image.scratch import scratch

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    from aweigh.backends.assembler.bases.base import Base
    from aweigh.backends.assembler.layers.memo import LayerMemo
    from aweigh.events import Listener
    from aweigh.image.pack import Packed
    from aweigh.image.registry import Registry
    from aweigh.oci import Descriptor, Digest, Reference

__all__ = ["Candidate", "LayerWriter", "Limits", "Wanted"]


@dataclass(frozen=True, slots=True)
class Candidate:
    """A key that would do for a layer.

    Attributes:
        key: The layer key.
        bytecode: Which interpreter compiled its modules; empty for none.
    """

    key: Digest
    bytecode: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """A layer that an image is to have.

    Attributes:
        name: What to call it.
        candidates: The keys that would do, the best first; that one is made.
        make: Packs it into an empty directory.
        size: About how many bytes of work it is; the largest is begun first.
    """

    name: str
    candidates: tuple[Candidate, ...]
    make: Callable[[Path], Awaitable[Packed]]
    size: int = 0


@dataclass(frozen=True, slots=True)
class Limits:
    """How much happens side by side.

    Attributes:
        work: Layers that are unpacked, compiled and compressed.
        transfers: Blobs that are looked for, copied and pushed.
    """

    work: asyncio.Semaphore
    transfers: asyncio.Semaphore

    @classmethod
    def of(cls, *, work: int, transfers: int) -> Limits:
        """Make them for a number of each."""
        return cls(asyncio.Semaphore(work), asyncio.Semaphore(transfers))


class LayerWriter:
    """Makes a repository hold layers.

    Args:
        registry: The registries.
        reference: The destination.
        memo: Which blobs stand for which keys.
        directory: Where layers lie until they are pushed.
        limits: How much happens side by side.
        listener: Hears of each layer.
    """

    def __init__(
        self,
        registry: Registry,
        reference: Reference,
        *,
        memo: LayerMemo,
        directory: Path,
        limits: Limits,
        listener: Listener,
    ) -> None:
        self._registry = registry
        self._reference = reference
        self._memo = memo
        self._directory = directory
        self._limits = limits
        self._listener = listener

    async def ensure(self, wanted: Wanted) -> StoredLayer:
        """Find a layer in the destination, or make and push it.

        Cancelling stops what it does; nothing is remembered that is not there.

        Raises:
            AweighError: It cannot be made or pushed.
        """
        step = f"layer {wanted.name}"
        started = time.perf_counter()
        self._listener(BuildStepStarted(step=step))
        layer = await self._find(wanted)
        cached = layer is not None
        if layer is None:
            layer = await self._make(wanted)
        self._listener(
            BuildStepFinished(
                step=step, cached=cached, seconds=time.perf_counter() - started
            )
        )
        return layer

    async def copy(self, base: Base, layer: Descriptor) -> None:
        """Make the destination hold a layer of the base: mounted, or streamed.

        Raises:
            RegistryError: One of the registries refused.
        """
        async with self._limits.transfers:
            if await self._is_there(layer) or await self._mount(
                layer, base.reference.registry, base.reference.repository
            ):
                self._reused(_shown(layer), layer)
                return
            async with scratch(self._directory) as directory:
                path = directory / "blob"
                await self._download(base.reference, layer, path)
                await self._registry.push_blob(
                    self._reference, layer, path, name=_shown(layer)
                )

    async def _find(self, wanted: Wanted) -> StoredLayer | None:
        for candidate in wanted.candidates:
            layer = await self._memo.recall(candidate.key)
            if layer is None:
                continue
            async with self._limits.transfers:
                if await self._is_there(layer.descriptor) or await self._mount(
                    layer.descriptor, self._reference.registry, layer.repository
                ):
                    self._tell(wanted, candidate)
                    self._reused(wanted.name, layer.descriptor)
                    return self._annotated(wanted, candidate, layer)
        return None

    def _reused(self, name: str, layer: Descriptor) -> None:
        self._listener(BlobPushed(layer=name, reused=True, size=layer.size))

    def _tell(self, wanted: Wanted, candidate: Candidate) -> None:
        """Say when a layer will do that is not what would be made now."""
        if wanted.candidates[0].bytecode and not candidate.bytecode:
            line = "reused without bytecode: modules are compiled when imported"
            self._listener(BuildLogged(step=f"layer {wanted.name}", line=line))

    async def _make(self, wanted: Wanted) -> StoredLayer:
        async with scratch(self._directory) as directory:
            async with self._limits.work:
                packed = await wanted.make(directory)
            async with self._limits.transfers:
                await self._registry.push_blob(
                    self._reference, packed.descriptor, packed.path, name=wanted.name
                )
        layer = StoredLayer(
            packed.descriptor, packed.diff_id, self._reference.repository
        )
        return self._annotated(wanted, wanted.candidates[0], layer)

    def _annotated(
        self, wanted: Wanted, candidate: Candidate, layer: StoredLayer
    ) -> StoredLayer:
        annotations = {
            KEY_ANNOTATION: str(candidate.key),
            NAME_ANNOTATION: wanted.name,
        }
        if candidate.bytecode:
            annotations[BYTECODE_ANNOTATION] = candidate.bytecode
        descriptor = replace(layer.descriptor, annotations=annotations)
        return replace(layer, descriptor=descriptor)

    async def _is_there(self, layer: Descriptor) -> bool:
        try:
            return await self._registry.has_blob(self._reference, layer.digest)
        except AuthenticationError:
            # Registries hide repositories that do not exist yet; if it is no more than
            # that the push will tell.
            return False

    async def _mount(self, layer: Descriptor, registry: str, repository: str) -> bool:
        ours = self._reference
        if registry != ours.registry or repository == ours.repository:
            return False
        return await self._registry.mount_blob(ours, layer, repository)

    async def _download(
        self, reference: Reference, layer: Descriptor, path: Path
    ) -> None:
        file = await opened(path, "wb")
        with file:
            async with aclosing(self._registry.stream_blob(reference, layer)) as pieces:
                async for piece in pieces:
                    await asyncio.to_thread(file.write, piece)


def _shown(layer: Descriptor) -> str:
    return f"base {layer.digest.hex[:12]}"
