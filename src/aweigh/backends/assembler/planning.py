"""Which layers an image gets, and under which keys they may be known already."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from aweigh.backends.assembler.bases.fits import refuse_misfits
from aweigh.backends.assembler.beneath import read_lock, what_is_left
from aweigh.backends.assembler.bytecode.bytecode import Compilers
from aweigh.backends.assembler.layers.files import files_layers, needs_links
from aweigh.backends.assembler.layers.memo import CachedImage, cache_tag, read_cached
from aweigh.backends.assembler.layers.recipes import (
    PythonRecipe,
    environment_layer,
    files_layer,
)
from aweigh.backends.assembler.needs import installs_python
from aweigh.backends.assembler.wheels.indexes import Indexes, default_index
from aweigh.backends.assembler.wheels.stage import Stager, uv_platform
from aweigh.errors import NeedsEngineError
from aweigh.image.resolve import ResolveRequest
from aweigh.image.schedule import plan_build

if TYPE_CHECKING:
    from collections.abc import Mapping

    from aweigh.backends.assembler.bases.base import Base, BaseFacts, Bases
    from aweigh.backends.assembler.layers.files import FilesLayer
    from aweigh.backends.assembler.layers.writer import Wanted
    from aweigh.backends.assembler.wheels.keep import Keep
    from aweigh.backends.assembler.wheels.wheelhouse import Wheelhouse
    from aweigh.events import Listener
    from aweigh.image.build import BuildRequest
    from aweigh.image.lock import Lock
    from aweigh.image.pack import Codec
    from aweigh.image.plan import PythonLayer
    from aweigh.image.registry import Registry
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
        lock: What its Python layers install; None without any.
        facts: What its wheels have to fit; None without any.
        python: Its Python layers as they were planned: the first of ``layers``.
        files: Its layers of files: the last of ``layers``.
    """

    layers: tuple[Wanted, ...]
    cached: CachedImage
    tag: Reference | None
    lock: Lock | None = None
    facts: BaseFacts | None = None
    python: tuple[PythonLayer, ...] = ()
    files: tuple[FilesLayer, ...] = ()


class Planner:
    """Plans images.

    Args:
        registry: The registries of bases and of ours.
        resolver: Pins Python packages.
        uv: The path of uv.
        environ: The environment it runs in.
        wheelhouse: Builds local projects.
        keep: What this machine knows of wheels.
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
        wheelhouse: Wheelhouse,
        keep: Keep,
        listener: Listener,
        layer_cache: bool,
    ) -> None:
        self._registry = registry
        self._resolver = resolver
        self._uv = uv
        self._environ = environ
        self._wheelhouse = wheelhouse
        self._keep = keep
        self._listener = listener
        self._layer_cache = layer_cache
        self._compilers = Compilers(uv, environ)
        self._default: str | None = None

    async def plan(
        self, request: BuildRequest, base: Base, bases: Bases, codec: Codec
    ) -> ImagePlan:
        """Decide which layers go on a base; pushes nothing.

        Raises:
            SpecError: The base cannot carry what is wanted.
            NeedsEngineError: A package has to be built where it will run.
            ResolveError: No set of versions fits.
            RegistryError: A registry did not answer as it should.
        """
        links: Mapping[str, str] = {}
        if needs_links(request.spec, request.done):
            links = await bases.links(base)
        copied = tuple(
            files_layers(request.spec, request.snapshot, base, links, request.done)
        )
        if not installs_python(request.spec, request.done):
            return ImagePlan(
                layers=tuple(files_layer(layer, codec) for layer in copied),
                cached=CachedImage(),
                tag=None,
                files=copied,
            )
        return await self._with_python(request, base, bases, codec, copied)

    async def _with_python(
        self,
        request: BuildRequest,
        base: Base,
        bases: Bases,
        codec: Codec,
        copied: tuple[FilesLayer, ...],
    ) -> ImagePlan:
        facts = await bases.facts(base, request.snapshot.python)
        # Refused before anything is built, resolved or pushed.
        uv_platform(request.platform, facts.libc)
        snapshot = await self._wheelhouse.furnish(request, facts)
        request = replace(request, snapshot=snapshot)
        tag = request.reference.with_tag(_cache_tag(request, facts))
        cached = await self._cached(tag)
        below = await self._below(request, base)
        lock = await self._resolve(request, facts, cached, below)
        left = _left(request, lock, below)
        refuse_misfits(left.wheels, facts, request.platform)
        recipe = PythonRecipe(
            stager=await self._stager(request, facts, lock),
            compiler=await self._compilers.find(facts.python),
            codec=codec,
            keep=self._keep,
            listener=self._listener,
            seen=cached.bytecodes,
        )
        planned = plan_build(request.spec, left, base_layers=len(base.manifest.layers))
        python = map(recipe.layer, planned)
        files = (files_layer(layer, codec) for layer in copied)
        return ImagePlan(
            layers=(*python, environment_layer(facts, lock, codec), *files),
            cached=cached,
            tag=tag if self._layer_cache else None,
            lock=lock,
            facts=facts,
            python=planned,
            files=copied,
        )

    async def _cached(self, tag: Reference) -> CachedImage:
        if not self._layer_cache:
            return CachedImage()
        return await read_cached(self._registry, tag, self._listener)

    async def _below(self, request: BuildRequest, base: Base) -> str | None:
        """Read the lock of a prefix that has packages.

        Raises:
            NeedsEngineError: Nobody wrote down what it has.
        """
        if request.prefix is None or not request.prefix.environments:
            return None
        below = await read_lock(self._registry, base)
        if below is None:
            raise NeedsEngineError(
                f"{base.reference} has packages, and no lock that says which",
                hint="use builder='auto', or builder='engine'",
            )
        return below

    async def _resolve(
        self,
        request: BuildRequest,
        facts: BaseFacts,
        cached: CachedImage,
        below: str | None,
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
                beneath=below,
            )
        )

    async def _stager(
        self, request: BuildRequest, facts: BaseFacts, lock: Lock
    ) -> Stager:
        if self._default is None:
            self._default = await default_index(self._uv, self._environ)
        default = self._default
        indexes = Indexes(request.spec, lock, self._environ, default=default)
        return Stager(
            uv=self._uv,
            environ=self._environ,
            python=facts.python,
            platform=uv_platform(request.platform, facts.libc),
            local={member.path: member for member in request.snapshot.members},
            index_of=indexes.of,
        )


def _cache_tag(request: BuildRequest, facts: BaseFacts) -> str:
    below = 0 if request.prefix is None else request.prefix.environments
    return cache_tag(facts.python, request.platform, environments=below)


def _left(request: BuildRequest, lock: Lock, below: str | None) -> Lock:
    """Leave out what the image below has.

    Raises:
        NeedsEngineError: A package would have to be removed there.
    """
    if request.prefix is None or below is None:
        return lock
    above = what_is_left(lock, request.prefix, below)
    if above.replaced:
        names = ", ".join(f"{one.name} {one.version}" for one in above.replaced)
        raise NeedsEngineError(
            f"the steps after a run step want {names}, and before it that was another "
            "version",
            hint="pin it to one version in all steps, or use builder='auto'",
        )
    return replace(lock, wheels=above.wheels)
