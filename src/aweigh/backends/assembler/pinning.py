"""Pinning a request's packages before a builder that does not resolve itself."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from aweigh.backends.assembler.bases.base import Bases
from aweigh.backends.assembler.beneath import read_lock, what_is_left
from aweigh.backends.assembler.needs import installs_python
from aweigh.errors import NeedsEngineError, RegistryError, SpecError
from aweigh.events import Warned
from aweigh.image.resolve import ResolveRequest
from aweigh.image.schedule import plan_build
from aweigh.image.scratch import scratch
from aweigh.oci import Platform

if TYPE_CHECKING:
    from pathlib import Path

    from aweigh.backends.assembler.bases.base import BaseFacts
    from aweigh.backends.assembler.wheels.wheelhouse import Wheelhouse
    from aweigh.events import Listener
    from aweigh.image.build import BuildRequest
    from aweigh.image.registry import Registry
    from aweigh.image.resolve import Resolver
    from aweigh.memory import Memory
    from aweigh.oci import Reference

__all__ = ["Pinner"]

_RESOLVED: Final = (Platform("linux", "amd64"), Platform("linux", "arm64"))


class Pinner:
    """Resolves what a spec installs and plans its layers.

    Args:
        registry: The registries of bases.
        resolver: Pins Python packages.
        memory: Remembers facts about bases.
        wheelhouse: Builds local projects.
        cache_dir: Where layers of a base lie while they are read.
        listener: Hears when packages could not be pinned.
    """

    def __init__(
        self,
        *,
        registry: Registry,
        resolver: Resolver,
        memory: Memory,
        wheelhouse: Wheelhouse,
        cache_dir: Path,
        listener: Listener,
    ) -> None:
        self._registry = registry
        self._resolver = resolver
        self._memory = memory
        self._wheelhouse = wheelhouse
        self._directory = cache_dir / "assemble"
        self._listener = listener

    async def pin(self, request: BuildRequest, /) -> BuildRequest:
        """Return the request with a lock and the layers planned from it.

        A base that only the engine has, or whose Python is yet to be installed, says
        nothing here, and a local project may only build where it will run: then the
        request comes back as it is, and the engine resolves.

        Raises:
            ResolveError: No set of versions fits, or an index gave no answer.
            SpecError: A step cannot be resolved for this platform or Python.
        """
        if not installs_python(request.spec) or request.platform not in _RESOLVED:
            return request
        base = request.base
        if base is None:
            return request
        try:
            facts, layers, below = await self._look(request, base)
            snapshot = await self._wheelhouse.furnish(request, facts)
        except (NeedsEngineError, RegistryError, SpecError) as error:
            self._listener(
                Warned(
                    message=f"packages of {request.spec.name} are not pinned before "
                    f"the build: {error}",
                    hint="the engine resolves them; name a base with Python that is "
                    "in a registry to have them in layers of their own",
                )
            )
            return request
        return await self._planned(
            replace(request, snapshot=snapshot), facts, layers, below
        )

    async def _planned(
        self, request: BuildRequest, facts: BaseFacts, layers: int, below: str | None
    ) -> BuildRequest:
        lock = await self._resolver.resolve(
            ResolveRequest(
                spec=request.spec,
                snapshot=request.snapshot,
                platform=request.platform,
                python=facts.python,
                manylinux=facts.libc,
                upgrade=request.refresh,
                beneath=below,
            )
        )
        left = lock
        if request.prefix is not None and below is not None:
            # What is there in another version is replaced: the engine can remove.
            above = what_is_left(lock, request.prefix, below)
            left = replace(lock, wheels=above.wheels)
        planned = plan_build(request.spec, left, base_layers=layers)
        return replace(request, lock=lock, layers=planned)

    async def _look(
        self, request: BuildRequest, reference: Reference
    ) -> tuple[BaseFacts, int, str | None]:
        below = None
        async with scratch(self._directory) as directory:
            bases = Bases(self._registry, self._memory, directory)
            base = await bases.find(reference, request.platform)
            facts = await bases.facts(base, request.snapshot.python)
            if request.prefix is not None and request.prefix.environments:
                below = await read_lock(self._registry, base)
        return facts, len(base.manifest.layers), below
