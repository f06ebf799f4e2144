"""What a build would do, found out with the parts that build."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import uv

from aweigh.backends.assembler.bases.base import Bases
from aweigh.backends.assembler.needs import needs_engine
from aweigh.backends.assembler.pinning import Pinner
from aweigh.backends.assembler.planning import Planner
from aweigh.backends.assembler.preview.rows import (
    assembled_rows,
    base_rows,
    engine_rows,
    in_base,
    on_prefix,
    prefix_rows,
    upon,
)
from aweigh.backends.assembler.preview.whereabouts import Whereabouts
from aweigh.backends.assembler.uvenv import uv_environment
from aweigh.backends.assembler.wheels.keep import Keep
from aweigh.backends.assembler.wheels.wheelhouse import Wheelhouse
from aweigh.errors import NeedsEngineError, RegistryError, SpecError
from aweigh.events import Warned
from aweigh.image.pack import choose_codec
from aweigh.image.preview import PlatformPlan, totals
from aweigh.image.request import build_request, part_of
from aweigh.image.scratch import scratch
from aweigh.oci import Index

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from aweigh.events import Event
    from aweigh.image.build import BuildRequest
    from aweigh.image.job import Job
    from aweigh.image.registry import Registry
    from aweigh.image.resolve import Resolver
    from aweigh.image.segments import Prefix
    from aweigh.image.spec import ImageSpec
    from aweigh.memory import Memory
    from aweigh.oci import Platform, Reference
    from aweigh.settings import BuilderName, Compression, LayerCache

__all__ = ["Foresight", "Notes", "platforms_at"]


class Notes:
    """A listener that keeps what people should know."""

    def __init__(self) -> None:
        self._lines: list[str] = []

    def __call__(self, event: Event, /) -> None:
        """Keep what a warning says."""
        if isinstance(event, Warned):
            self.add(event.message)

    def add(self, line: str) -> None:
        """Keep a line."""
        self._lines.append(line)

    @property
    def text(self) -> str:
        """All lines as one."""
        return "; ".join(self._lines)


async def platforms_at(
    registry: Registry, reference: Reference
) -> dict[Platform, Reference]:
    """Return which platforms an image has, and where each is by digest.

    Raises:
        RegistryError: The registry did not answer as it should.
    """
    found = await registry.get_manifest(reference)
    if found is None or not isinstance(found[0], Index):
        return {}
    return {
        entry.platform: reference.with_digest(entry.digest)
        for entry in found[0].manifests
        if entry.platform in found[0].platforms
    }


class Foresight:
    """Plans images as a build does; pushes, mounts and remembers nothing.

    Args:
        registry: The registries of bases and of ours.
        resolver: Pins Python packages; must remember nothing either.
        memory: What this machine remembers; must keep nothing new.
        cache_dir: Where layers of a base lie while they are read.
        environ: The environment uv runs in.
        builder: Who builds.
        cut: Says which steps of a spec are an image of their own, below the rest.
        layer_cache: Where layers are looked for.
        compression: How they are to be compressed.
    """

    def __init__(
        self,
        *,
        registry: Registry,
        resolver: Resolver,
        memory: Memory,
        cache_dir: Path,
        environ: Mapping[str, str],
        builder: BuilderName,
        cut: Callable[[ImageSpec], Prefix | None],
        layer_cache: LayerCache = "registry",
        compression: Compression = "auto",
    ) -> None:
        self._registry = registry
        self._resolver = resolver
        self._memory = memory
        self._cache_dir = cache_dir
        self._environ = environ
        self._builder = builder
        self._cut = cut
        self._layer_cache = layer_cache
        self._compression = compression

    async def plan(
        self, job: Job, platform: Platform, base: Reference | None, notes: Notes
    ) -> PlatformPlan:
        """Tell of a build, and of the images below it that it would begin with.

        Args:
            job: What is wanted.
            platform: The platform.
            base: The base, pinned by digest where that was possible.
            notes: Gets what else there is to say.

        Raises:
            SpecError: It could not be built.
            ResolveError: No set of versions fits.
            RegistryError: A registry did not answer as it should.
        """
        prefix = self._cut(job.spec)
        if prefix is None:
            return await self._built(build_request(job, platform, base), notes)
        part = part_of(job, prefix)
        tag = part.reference.tag
        there = (await platforms_at(self._registry, part.reference)).get(platform)
        if there is not None:
            above = await self._built(
                build_request(job, platform, there, prefix), notes
            )
            return replace(above, layers=on_prefix(above.layers, there, tag))
        below = await self.plan(part, platform, base, notes)
        notes.add(f"the prefix image {tag} would be built first")
        return await self._upon(
            below, build_request(job, platform, base, prefix), notes
        )

    async def _upon(
        self, below: PlatformPlan, request: BuildRequest, notes: Notes
    ) -> PlatformPlan:
        """Tell what would be put on a prefix image that is yet to be built.

        It is planned on the base of that image: what the steps below change of a base
        is no part of any layer's key.
        """
        later = replace(below, layers=prefix_rows(below.layers), totals=None)
        if request.prefix is not None and request.prefix.environments:
            notes.add("the layers on it are known once it exists")
            return later
        try:
            if self._takes_engine(request):
                above = await self._engine(request, notes)
            else:
                above = await self._assembled(request, notes)
        except SpecError as error:
            # What the base lacks, such as Python, the prefix may bring.
            notes.add(f"the layers on it are known once it exists: {error} yet")
            return later
        if below.totals is None:
            notes.add("the sums leave out what the engine makes")
        return replace(above, layers=upon(below.layers, above.layers))

    async def _built(self, request: BuildRequest, notes: Notes) -> PlatformPlan:
        """Tell what the builder would do that is chosen for a request."""
        if self._takes_engine(request):
            return await self._engine(request, notes)
        try:
            return await self._assembled(request, notes)
        except NeedsEngineError as error:
            if self._builder == "assemble":
                raise
            notes.add(f"an engine builds it: {error.reason}")
        except RegistryError as error:
            theirs = error.registry != request.reference.registry
            if self._builder == "assemble" or not theirs:
                raise
            notes.add(f"an engine builds it: its base cannot be read: {error}")
        return await self._engine(request, notes)

    def _takes_engine(self, request: BuildRequest) -> bool:
        """Whether an engine builds it.

        Raises:
            NeedsEngineError: It would have to, and must not.
        """
        if self._builder == "engine":
            return True
        step = needs_engine(request.spec, request.done)
        if step is not None and self._builder == "assemble":
            raise NeedsEngineError(
                f"{step} needs an engine", hint="use builder='engine' or builder='auto'"
            )
        return step is not None

    async def _assembled(self, request: BuildRequest, notes: Notes) -> PlatformPlan:
        """Tell what the assembler would do."""
        if request.base is None:
            raise SpecError("there is no base", hint="name one: ImageSpec(base=...)")
        async with scratch(self._cache_dir / "assemble") as directory:
            planner = Planner(
                registry=self._registry,
                resolver=self._resolver,
                uv=uv.find_uv_bin(),
                environ=uv_environment(self._environ),
                wheelhouse=self._wheelhouse(directory),
                keep=Keep(directory / "keep"),
                listener=notes,
                layer_cache=self._layer_cache == "registry",
            )
            bases = Bases(self._registry, self._memory, directory)
            base = await bases.find(request.base, request.platform)
            codec = choose_codec(base.manifest.as_oci(), self._compression)
            plan = await planner.plan(request, base, bases, codec)
        places = Whereabouts(
            self._registry,
            request.reference,
            memory=None if self._layer_cache == "off" else self._memory,
            codec=codec,
            cached=plan.cached,
        )
        found = await places.base(base.reference, base.manifest.layers)
        below = base_rows(base, found)
        above = assembled_rows(plan, await places.layers(plan.layers))
        rows = (*below, *above)
        return PlatformPlan(
            platform=request.platform,
            exists=False,
            builder="assemble",
            layers=rows,
            totals=totals(rows),
            in_base=in_base(plan),
        )

    def _wheelhouse(self, directory: Path) -> Wheelhouse:
        """Return what builds local projects, and keeps nothing of them.

        What a project needs, and so every layer, is known only from its wheel.
        """
        return Wheelhouse(environ=self._environ, cache_dir=directory)

    async def _engine(self, request: BuildRequest, notes: Notes) -> PlatformPlan:
        """Tell what an engine would do: its own cache knows what it has."""
        async with scratch(self._cache_dir / "assemble") as directory:
            pinner = Pinner(
                registry=self._registry,
                resolver=self._resolver,
                memory=self._memory,
                wheelhouse=self._wheelhouse(directory),
                cache_dir=self._cache_dir,
                listener=notes,
            )
            pinned = await pinner.pin(request)
        notes.add("reuse is decided by the engine's cache")
        return PlatformPlan(
            platform=request.platform,
            exists=False,
            builder="engine",
            layers=tuple(engine_rows(pinned)),
        )
