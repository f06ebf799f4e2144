"""Which layers an image gets, and under which keys they may be known already."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from aweigh.backends.assembler.bytecode import Compilers
from aweigh.backends.assembler.files import files_layers, needs_links
from aweigh.backends.assembler.fits import refuse_misfits
from aweigh.backends.assembler.indexes import Indexes, default_index
from aweigh.backends.assembler.memo import CachedImage, cache_tag, read_cached
from aweigh.backends.assembler.needs import installs_python
from aweigh.backends.assembler.recipes import (
    PythonRecipe,
    environment_layer,
    files_layer,
)
from aweigh.backends.assembler.stage import Stager, uv_platform
from aweigh.image.plan import plan_layers
from aweigh.image.resolve import ResolveRequest

if TYPE_CHECKING:
    from collections.abc import Mapping

    from aweigh.backends.assembler.base import Base, BaseFacts, Bases
    from aweigh.backends.assembler.layers import Wanted
    from aweigh.backends.assembler.pack import Codec
    from aweigh.backends.assembler.ports import Registry
    from aweigh.events import Listener
    from aweigh.image.build import BuildRequest
    from aweigh.image.lock import Lock
    from aweigh.image.resolve import Resolver
    from aweigh.oci import Reference

__all__ = ["ImagePlan", "Planner"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ImagePlan:
    """What one image consists of.

    Attributes:
        layers: What goes on the base, lowest first.
        cached: What the registry remembers.
        tag: The cache tag to move; None when there is nothing to find by it.
    """

    layers: tuple[Wanted, ...]
    cached: CachedImage
    tag: Reference | None


class Planner:
    """Plans images.

    Args:
        registry: The registries of bases and of ours.
        resolver: Pins Python packages.
        uv: The path of uv.
        environ: The environment it runs in.
        listener: Hears of what is odd.
        layer_cache: Whether a cache tag in the destination counts.
    """

    def __init__(
        self,
        *,
        registry: Registry,
        resolver: Resolver,
        uv: str,
        environ: dict[str, str],
        listener: Listener,
        layer_cache: bool,
    ) -> None:
        self._registry = registry
        self._resolver = resolver
        self._uv = uv
        self._environ = environ
        self._listener = listener
        self._layer_cache = layer_cache
        self._compilers = Compilers(uv, environ)

    async def plan(
        self, request: BuildRequest, base: Base, bases: Bases, codec: Codec
    ) -> ImagePlan:
        """Decide which layers go on a base; pushes nothing.

        Raises:
            SpecError: The base cannot carry what is wanted.
            ResolveError: No set of versions fits.
            RegistryError: A registry did not answer as it should.
        """
        links: Mapping[str, str] = {}
        if needs_links(request.spec):
            links = await bases.links(base)
        files = [
            files_layer(layer, codec)
            for layer in files_layers(request.spec, request.snapshot, base, links)
        ]
        if not installs_python(request.spec):
            return ImagePlan(layers=tuple(files), cached=CachedImage(), tag=None)
        facts = await bases.facts(base, request.snapshot.python)
        tag = request.reference.with_tag(cache_tag(facts.python, request.platform))
        cached = await self._cached(tag)
        lock = await self._resolve(request, facts, cached)
        refuse_misfits(lock.wheels, facts, request.platform)
        recipe = PythonRecipe(
            stager=await self._stager(request, facts, lock),
            compiler=await self._compilers.find(facts.python),
            codec=codec,
            listener=self._listener,
            seen=cached.bytecodes,
        )
        planned = plan_layers(
            lock,
            base_layers=len(base.manifest.layers),
            other_layers=len(files) + 1,
        )
        python = map(recipe.layer, planned)
        return ImagePlan(
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

    async def _stager(
        self, request: BuildRequest, facts: BaseFacts, lock: Lock
    ) -> Stager:
        default = await default_index(self._uv, self._environ)
        indexes = Indexes(request.spec, lock, self._environ, default=default)
        return Stager(
            uv=self._uv,
            environ=self._environ,
            python=facts.python,
            platform=uv_platform(request.platform, facts.libc),
            local={member.path: member for member in request.snapshot.members},
            index_of=indexes.of,
        )
