"""The builder that needs no engine: layers are assembled here and pushed."""

from __future__ import annotations

import asyncio
import os
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import uv

from aweigh.backends.assembler.base import Bases
from aweigh.backends.assembler.bytecode import Compilers
from aweigh.backends.assembler.files import files_layers, needs_links
from aweigh.backends.assembler.image import configured
from aweigh.backends.assembler.indexes import Indexes
from aweigh.backends.assembler.layers import LayerWriter, Limits, scratch
from aweigh.backends.assembler.memo import (
    KEY_ANNOTATION,
    CachedImage,
    LayerMemo,
    cache_tag,
    read_cached,
)
from aweigh.backends.assembler.needs import installs_python, needs_engine
from aweigh.backends.assembler.pack import choose_codec
from aweigh.backends.assembler.recipes import (
    PythonRecipe,
    environment_layer,
    files_layer,
)
from aweigh.backends.assembler.stage import Stager, uv_platform
from aweigh.errors import AweighError, SpecError
from aweigh.events import BuildFinished, BuildStarted, silent
from aweigh.image.build import Built
from aweigh.image.plan import plan_layers
from aweigh.image.resolve import ResolveRequest
from aweigh.oci import Manifest, describe
from aweigh.oci.manifest import OCI_CONFIG, OCI_MANIFEST

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from aweigh.backends.assembler.base import Base, BaseFacts
    from aweigh.backends.assembler.layers import Wanted
    from aweigh.backends.assembler.memo import StoredLayer
    from aweigh.backends.assembler.pack import Codec
    from aweigh.backends.assembler.ports import Registry
    from aweigh.events import Listener
    from aweigh.image.build import BuildRequest
    from aweigh.image.lock import Lock
    from aweigh.image.resolve import Resolver
    from aweigh.memory import Memory
    from aweigh.oci import Descriptor, Reference

__all__ = ["AssembleBuilder"]

_DEFAULT_TRANSFERS = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class _Plan:
    """What one image consists of.

    Attributes:
        layers: What goes on the base, lowest first.
        cached: What the registry remembers.
        tag: The cache tag to move; None when there is nothing to find by it.
    """

    layers: tuple[Wanted, ...]
    cached: CachedImage
    tag: Reference | None


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
        layer_cache: Whether a cache tag in the destination is read and written.
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
        layer_cache: bool = True,
    ) -> None:
        self._registry = registry
        self._resolver = resolver
        self._memory = memory
        self._directory = cache_dir / "assemble"
        self._environ = dict(environ)
        self._listener = listener
        self._uv = uv.find_uv_bin()
        self._compilers = Compilers(self._uv, self._environ)
        self._limits = Limits.of(
            work=max(1, min(4, os.cpu_count() or 1)), transfers=concurrency
        )
        self._layer_cache = layer_cache

    async def build(self, request: BuildRequest, /) -> Built:
        """Assemble one platform and push it under the request's reference.

        Cancelling stops everything within a moment; blobs that were pushed by then
        stay without a name, and the destination's tags are as they were.

        Raises:
            SpecError: A step needs an engine, or the base cannot carry the packages.
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
        codec = choose_codec(base.manifest)
        async with asyncio.TaskGroup() as group:
            planning = group.create_task(self._plan(request, base, bases, codec))
            # The base's layers need not wait for a plan.
            nothing_known = LayerMemo(
                self._memory, request.reference, codec, CachedImage()
            )
            copier = self._writer(request, nothing_known, directory)
            for layer in set(base.manifest.layers):
                group.create_task(copier.copy(base, layer))
            plan = await planning
            memo = LayerMemo(self._memory, request.reference, codec, plan.cached)
            writer = self._writer(request, memo, directory)
            tasks = [group.create_task(writer.ensure(one)) for one in plan.layers]
        layers = [task.result() for task in tasks]
        manifest = await self._push_config(request, base, plan, layers)
        descriptor = await self._registry.put_manifest(
            request.reference, manifest.to_bytes(), OCI_MANIFEST
        )
        if plan.tag is not None:
            await self._registry.put_manifest(
                plan.tag, manifest.to_bytes(), OCI_MANIFEST
            )
        await memo.remember(layers)
        return Built(descriptor.digest)

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

    async def _plan(
        self, request: BuildRequest, base: Base, bases: Bases, codec: Codec
    ) -> _Plan:
        links: Mapping[str, str] = {}
        if needs_links(request.spec):
            links = await bases.links(base)
        files = [
            files_layer(layer, codec)
            for layer in files_layers(request.spec, request.snapshot, base, links)
        ]
        if not installs_python(request.spec):
            return _Plan(layers=tuple(files), cached=CachedImage(), tag=None)
        facts = await bases.facts(base, request.snapshot.python)
        tag = request.reference.with_tag(cache_tag(facts.python, request.platform))
        cached = await self._cached(tag)
        lock = await self._resolve(request, facts, cached)
        recipe = PythonRecipe(
            stager=self._stager(request, facts, lock),
            compiler=await self._compilers.find(facts.python),
            codec=codec,
            seen=cached.bytecodes,
        )
        planned = plan_layers(
            lock,
            base_layers=len(base.manifest.layers),
            other_layers=len(files) + 1,
        )
        python = map(recipe.layer, planned)
        return _Plan(
            layers=(*python, environment_layer(facts, lock, codec), *files),
            cached=cached,
            tag=tag if self._layer_cache else None,
        )

    async def _cached(self, tag: Reference) -> CachedImage:
        if not self._layer_cache:
            return CachedImage()
        return await read_cached(self._registry, tag, self._listener)

    async def _resolve(
        self, request: BuildRequest, facts: BaseFacts, cached: CachedImage
    ) -> Lock:
        return await self._resolver.resolve(
            ResolveRequest(
                spec=request.spec,
                snapshot=request.snapshot,
                platform=request.platform,
                python=facts.python,
                manylinux=facts.libc,
                upgrade=request.refresh,
                previous=None if request.refresh else cached.lock,
            )
        )

    def _stager(self, request: BuildRequest, facts: BaseFacts, lock: Lock) -> Stager:
        return Stager(
            uv=self._uv,
            environ=self._environ,
            python=facts.python,
            platform=uv_platform(request.platform, facts.libc),
            local={member.path: member for member in request.snapshot.members},
            index_of=Indexes(request.spec, lock, self._environ).of,
        )

    async def _push_config(
        self,
        request: BuildRequest,
        base: Base,
        plan: _Plan,
        layers: list[StoredLayer],
    ) -> Manifest:
        config = configured(base.config, request.spec, request.labels).with_layers(
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


def _check(request: BuildRequest) -> Reference:
    """Refuse what cannot be assembled; return the base.

    Raises:
        SpecError: Always for those.
    """
    step = needs_engine(request.spec)
    if step is not None or request.base is None:
        raise SpecError(
            f"{request.spec.name} cannot be assembled: {step} needs an engine",
            hint="use builder='engine' or builder='auto'",
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
    leaves = list(_leaves(group))
    ours = (one for one in leaves if isinstance(one, AweighError))
    return next(ours, leaves[0])


def _leaves(group: BaseExceptionGroup[BaseException]) -> list[BaseException]:
    found: list[BaseException] = []
    for one in group.exceptions:
        if isinstance(one, BaseExceptionGroup):
            found += _leaves(one)
        else:
            found.append(one)
    return found
