"""The builder that needs no engine: layers are assembled here and pushed."""

from __future__ import annotations

import asyncio
import os
import time
from typing import TYPE_CHECKING, Final

import uv

from aweigh.backends.assembler.bases.base import Bases
from aweigh.backends.assembler.image import configured
from aweigh.backends.assembler.layers.memo import (
    KEY_ANNOTATION,
    LayerMemo,
)
from aweigh.backends.assembler.layers.writer import LayerWriter, Limits
from aweigh.backends.assembler.needs import needs_engine
from aweigh.backends.assembler.planning import Planner
from aweigh.backends.assembler.uvenv import uv_environment
from aweigh.backends.assembler.wheels.keep import Keep
from aweigh.backends.assembler.wheels.wheelhouse import Wheelhouse
from aweigh.concurrency.together import leaves
from aweigh.errors import AweighError, SpecError
from aweigh.events import silent
from aweigh.events.build import BuildFinished, BuildStarted
from aweigh.image.build import Built
from aweigh.image.pack import choose_codec
from aweigh.image.scratch import scratch
from aweigh.oci import Manifest, describe
from aweigh.oci.manifest import OCI_CONFIG, OCI_MANIFEST

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from aweigh.backends.assembler.bases.base import Base
    from aweigh.backends.assembler.layers.memo import StoredLayer
    from aweigh.backends.assembler.layers.writer import Wanted
    from aweigh.backends.assembler.planning import ImagePlan
    from aweigh.events import Listener
    from aweigh.image.build import BuildRequest
    from aweigh.image.registry import Registry
    from aweigh.image.resolve import Resolver
    from aweigh.memory import Memory
    from aweigh.oci import Descriptor, Reference
    from aweigh.settings import Compression, LayerCache

__all__ = ["AssembleBuilder"]

_DEFAULT_TRANSFERS: Final = 8
_MOST_WORKERS: Final = 4


class AssembleBuilder:
    """Assembles images from wheels and files, and pushes them; executes nothing.

    Args:
        registry: The registries of bases and of ours.
        resolver: Pins Python packages.
        memory: Remembers layers and facts about bases.
        cache_dir: Where layers lie until they are pushed.
        environ: The environment uv runs in: index credentials, proxies, its cache.
        listener: Hears of each layer.
        concurrency: Blobs that are looked for, copied and pushed side by side.
        layer_cache: Where layers are looked for: in the memory and by a cache tag in
            the destination, in the memory only, or nowhere.
        compression: How layers are compressed; ``auto`` is what every runtime that
            can read the base can read.
    """

    name = "assemble"

    def __init__(
        self,
        *,
        registry: Registry,
        resolver: Resolver,
        memory: Memory,
        cache_dir: Path,
        environ: Mapping[str, str],
        listener: Listener = silent,
        concurrency: int = _DEFAULT_TRANSFERS,
        layer_cache: LayerCache = "registry",
        compression: Compression = "auto",
    ) -> None:
        self._registry = registry
        self._memory = memory
        self._directory = cache_dir / "assemble"
        self._listener = listener
        self._compression = compression
        self._known = None if layer_cache == "off" else memory
        self._limits = Limits.of(work=2 * _workers(), transfers=concurrency)
        self._planner = Planner(
            registry=registry,
            resolver=resolver,
            uv=uv.find_uv_bin(),
            environ=uv_environment(environ),
            wheelhouse=Wheelhouse(environ=environ, cache_dir=cache_dir),
            keep=Keep(cache_dir / "bytecode"),
            listener=listener,
            layer_cache=layer_cache == "registry",
        )

    async def build(self, request: BuildRequest, /) -> Built:
        """Assemble one platform and push it under the request's reference.

        Cancelling stops everything within a moment; blobs that were pushed by then
        stay without a name, and the destination's tags are as they were.

        Raises:
            SpecError: A step needs an engine, or the base cannot carry the packages.
            NeedsEngineError: A package has to be built where it will run.
            ResolveError: No set of versions fits.
            BuildError: A wheel cannot be had or does not fit.
            ChangedError: A file of the snapshot is not what it was.
            RegistryError: A registry refused.
        """
        base_reference = _check(request)
        started = time.perf_counter()
        self._listener(
            BuildStarted(
                reference=request.reference,
                platform=request.platform,
                builder=self.name,
            )
        )
        try:
            async with scratch(self._directory) as directory:
                bases = Bases(self._registry, self._memory, directory)
                base = await bases.find(base_reference, request.platform)
                built = await self._assemble(request, base, bases, directory)
        except BaseExceptionGroup as group:
            raise _first(group) from group
        self._listener(
            BuildFinished(
                reference=request.reference,
                platform=request.platform,
                seconds=time.perf_counter() - started,
            )
        )
        return built

    async def _assemble(
        self, request: BuildRequest, base: Base, bases: Bases, directory: Path
    ) -> Built:
        codec = choose_codec(base.manifest.as_oci(), self._compression)
        plan = await self._planner.plan(request, base, bases, codec)
        memo = LayerMemo(self._known, request.reference, codec, plan.cached)
        writer = self._writer(request, memo, directory)
        async with asyncio.TaskGroup() as group:
            for layer in dict.fromkeys(base.manifest.layers):
                group.create_task(writer.copy(base, layer))
            tasks = {
                at: group.create_task(writer.ensure(plan.layers[at]))
                for at in _largest_first(plan.layers)
            }
        layers = [tasks[at].result() for at in range(len(plan.layers))]
        manifest = await self._push_config(request, base, plan, layers)
        descriptor = await self._registry.put_manifest(
            request.reference, manifest.to_bytes(), OCI_MANIFEST
        )
        if plan.tag is not None:
            await self._registry.put_manifest(
                plan.tag, manifest.to_bytes(), OCI_MANIFEST
            )
        await memo.remember(layers)
        return Built(descriptor.digest, plan.lock)

    def _writer(
        self, request: BuildRequest, memo: LayerMemo, directory: Path
    ) -> LayerWriter:
        return LayerWriter(
            self._registry,
            request.reference,
            memo=memo,
            directory=directory,
            limits=self._limits,
            listener=self._listener,
        )

    async def _push_config(
        self,
        request: BuildRequest,
        base: Base,
        plan: ImagePlan,
        layers: list[StoredLayer],
    ) -> Manifest:
        config = configured(
            base.config, request.spec, request.labels, request.done
        ).with_layers(
            (wanted.name, layer.diff_id)
            for wanted, layer in zip(plan.layers, layers, strict=True)
        )
        content = config.to_bytes()
        described = describe(content, OCI_CONFIG)
        await self._registry.push_blob(
            request.reference, described, content, name="config"
        )
        return Manifest(
            config=described,
            layers=(
                *(_plain(layer) for layer in base.manifest.as_oci().layers),
                *(layer.descriptor for layer in layers),
            ),
        )


def _largest_first(layers: Sequence[Wanted]) -> list[int]:
    """Order the layers by how long they may take; they keep their places."""
    return sorted(range(len(layers)), key=lambda at: -layers[at].size)


def _workers() -> int:
    return max(1, min(_MOST_WORKERS, os.cpu_count() or 1))


def _check(request: BuildRequest) -> Reference:
    """Refuse what cannot be assembled; return the base.

    Raises:
        SpecError: Always for those.
    """
    step = needs_engine(request.spec, request.done)
    if step is not None or request.base is None:
        raise SpecError(
            f"{request.spec.name} cannot be assembled: {step} needs an engine",
            hint="leave it out, or start an engine and use builder='auto' or 'engine'",
        )
    if not request.push:
        raise SpecError(
            f"{request.spec.name} has no registry to be assembled in",
            hint="name one: Settings(registry=...) or AWEIGH_REGISTRY",
        )
    return request.base


def _plain(layer: Descriptor) -> Descriptor:
    """A base layer, without keys that a base made by us may say."""
    if KEY_ANNOTATION not in layer.annotations:
        return layer
    return type(layer)(
        media_type=layer.media_type, digest=layer.digest, size=layer.size
    )


def _first(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """Return the failure that the caller can do something about, else the first."""
    failures = leaves(group)
    ours = (one for one in failures if isinstance(one, AweighError))
    return next(ours, failures[0])
