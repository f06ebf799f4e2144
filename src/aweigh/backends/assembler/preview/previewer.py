"""Which layers images have or would have, for every platform."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from aweigh.backends.assembler.preview.existing import describe_existing
from aweigh.backends.assembler.preview.foresight import Notes, platforms_at
from aweigh.errors import AweighError, RegistryError, ResolveError, SpecError
from aweigh.image.preview import PlatformPlan

if TYPE_CHECKING:
    from aweigh.backends.assembler.preview.foresight import Foresight
    from aweigh.image.job import Job
    from aweigh.image.registry import Registry
    from aweigh.oci import Digest, Platform, Reference

__all__ = ["LayerPreviewer"]


class LayerPreviewer:
    """Tells what images consist of or would consist of; changes nothing.

    Args:
        registry: The registries of bases and of ours.
        foresight: Tells what a build would do.
    """

    def __init__(self, registry: Registry, foresight: Foresight) -> None:
        self._registry = registry
        self._foresight = foresight

    async def explain(
        self, job: Job, digest: Digest | None, /
    ) -> tuple[PlatformPlan, ...]:
        """Tell what the image of each platform consists of or would consist of.

        What cannot be found out is left out, and the plan says why. Cancelling leaves
        nothing behind.
        """
        platforms = sorted(job.platforms)
        if job.location == "engine" and digest is not None:
            note = "the engine has it; how it was made is not written down there"
            return tuple(
                PlatformPlan(platform=platform, exists=True, note=note)
                for platform in platforms
            )
        try:
            there = await self._existing(job, digest)
        except AweighError as error:
            note = f"layers are not known: {error}"
            return tuple(
                PlatformPlan(platform=platform, exists=digest is not None, note=note)
                for platform in platforms
            )
        return tuple(
            [
                await self._existing_plan(job, platform, there[platform])
                if platform in there
                else await self._foreseen_plan(job, platform)
                for platform in platforms
            ]
        )

    async def _existing(
        self, job: Job, digest: Digest | None
    ) -> dict[Platform, Reference]:
        """Return which platforms need not be built."""
        if job.location == "engine":
            return {}
        reference = job.reference
        if digest is not None:
            reference = reference.with_digest(digest)
        return await platforms_at(self._registry, reference)

    async def _existing_plan(
        self, job: Job, platform: Platform, reference: Reference
    ) -> PlatformPlan:
        try:
            plan = await describe_existing(self._registry, reference, platform)
        except AweighError as error:
            note = f"layers are not known: {error}"
            return PlatformPlan(platform=platform, exists=True, note=note)
        base = job.snapshot.base
        if base is None or base.digest is not None:
            return plan
        try:
            pinned = await self._pinned(base)
        except AweighError as error:
            return replace(plan, note=f"whether the base has moved: {error}")
        return replace(plan, base_is=pinned.digest)

    async def _foreseen_plan(self, job: Job, platform: Platform) -> PlatformPlan:
        notes = Notes()
        failure = hint = ""
        base = job.snapshot.base
        try:
            if base is not None:
                base = await self._pinned_or_not(base, notes)
            plan = await self._foresight.plan(job, platform, base, notes)
            return replace(plan, note=notes.text)
        except (SpecError, ResolveError) as error:
            failure, hint = str(error), error.hint
        except AweighError as error:
            notes.add(f"layers are not known: {error}")
        return PlatformPlan(
            platform=platform,
            exists=False,
            note=notes.text,
            failure=failure,
            hint=hint,
        )

    async def _pinned_or_not(self, base: Reference, notes: Notes) -> Reference:
        """Return the base as a build would take it: an engine may have its own."""
        try:
            return await self._pinned(base)
        except RegistryError as error:
            notes.add(f"the base {base} could not be resolved: {error}")
            return base

    async def _pinned(self, base: Reference) -> Reference:
        """Return the base by the digest that its tag has now, if its registry says."""
        if base.digest is not None:
            return base
        found = await self._registry.head_manifest(base)
        return base if found is None else base.with_digest(found.digest)
