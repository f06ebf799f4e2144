"""Building what is missing of an image and putting it under its tag."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from aweigh.errors import RegistryError
from aweigh.events import Warned
from aweigh.events.image import ImagePushed
from aweigh.image.attach import attach_contents
from aweigh.image.publish import platform_entries, publish_entries
from aweigh.image.request import build_request, part_of
from aweigh.oci import Index

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from aweigh.events import Listener
    from aweigh.image.attach import Referrers
    from aweigh.image.build import Builder, Built
    from aweigh.image.checker import Checker
    from aweigh.image.image import Location
    from aweigh.image.job import Beneath, Job
    from aweigh.image.obtain import ImageObtainer
    from aweigh.image.registry import Manifests
    from aweigh.image.segments import Prefix
    from aweigh.image.snapshot import Snapshot
    from aweigh.image.spec import ImageSpec
    from aweigh.oci import Descriptor, Digest, Platform, Reference

    TakeSnapshot = Callable[[ImageSpec, Path], Snapshot]

__all__ = ["ImageTools", "ToolBox", "uncut"]


def uncut(_spec: ImageSpec, /) -> None:
    """Build every spec in one go."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageTools:
    """What builds when nobody has the image.

    Attributes:
        builder: Builds images and leaves them where they belong.
        manifests: The manifests of registries: of bases, and of ours.
        referrers: Where the list of what is in an image is attached to it; None when
            its holder keeps no such things.
        cut: Says which steps of a spec are to be an image of their own, below the rest.
        part: Asks for that image.
    """

    builder: Builder
    manifests: Manifests
    referrers: Referrers | None = None
    cut: Callable[[ImageSpec], Prefix | None] = uncut
    part = staticmethod(part_of)

    async def make(
        self, job: Job, listener: Listener, beneath: Beneath | None = None
    ) -> tuple[Digest, frozenset[Platform]]:
        """Build the missing platforms of an image, and publish them with the others.

        Cancelling stops the build; what was pushed by then has no tag that anybody
        reads.

        Args:
            job: What is wanted.
            listener: Hears of the push.
            beneath: The image to build on; None starts from the base of the spec.

        Returns:
            The digest of the image, and all platforms that it has now.

        Raises:
            EngineError: The build or the push failed.
            RegistryError: The registry refused.
            ChangedError: A file changed while the builder read it.
        """
        prefix = None if beneath is None else beneath.prefix
        if beneath is None:
            base = await _pin(job, self.manifests, listener)
        else:
            base = beneath.image
        built: dict[Platform, Built] = {}
        for platform in sorted(await _missing(job, self.manifests)):
            request = build_request(job, platform, base, prefix)
            built[platform] = await self.builder.build(request)
        if job.location == "engine":
            ((platform, one),) = built.items()
            return one.digest, frozenset({platform})
        return await _publish(job, self, built, listener)


class ToolBox(Protocol):
    """Opens tools when they are first needed; a recalled image needs none."""

    async def has_engine(self) -> bool:
        """Tell whether a container engine answers."""
        ...

    async def checker(self, location: Location, /) -> Checker:
        """Return the checker that asks this holder of images."""
        ...

    async def reader(self) -> TakeSnapshot:
        """Return what reads the files that a spec names."""
        ...

    async def obtainer(self) -> type[ImageObtainer]:
        """Return what obtains images that memory does not answer for."""
        ...

    async def tools(self, location: Location, /) -> ImageTools:
        """Return what a build for this holder needs."""
        ...


async def _publish(
    job: Job, tools: ImageTools, built: Mapping[Platform, Built], listener: Listener
) -> tuple[Digest, frozenset[Platform]]:
    """Put what was built under the tag, and beside that say what is in it."""
    started = time.perf_counter()
    digests = {platform: one.digest for platform, one in built.items()}
    entries = await platform_entries(tools.manifests, job.reference, digests)
    describing = asyncio.create_task(_describe(job, tools, built, entries, listener))
    try:
        descriptor, index = await publish_entries(
            tools.manifests, job.reference, entries
        )
        pinned = job.reference.with_digest(descriptor.digest)
        listener(ImagePushed(reference=pinned, seconds=time.perf_counter() - started))
        if await describing:
            # Whoever had read the tag before we wrote it may have written since.
            descriptor, index = await publish_entries(
                tools.manifests, job.reference, entries
            )
    finally:
        describing.cancel()
        await asyncio.gather(describing, return_exceptions=True)
    return descriptor.digest, index.platforms


async def _describe(
    job: Job,
    tools: ImageTools,
    built: Mapping[Platform, Built],
    entries: Sequence[Descriptor],
    listener: Listener,
) -> bool:
    """Attach what is known of the contents; tell whether there was anything."""
    locks = [
        (entry, one.lock)
        for entry, one in zip(entries, built.values(), strict=True)
        if one.lock is not None
    ]
    if tools.referrers is None or not locks:
        return False
    await attach_contents(tools.referrers, job.reference, locks, listener)
    return True


async def _missing(job: Job, manifests: Manifests) -> frozenset[Platform]:
    """Return the platforms that have to be built; the others are there already."""
    if job.forced or job.location == "engine":
        return job.platforms
    found = await manifests.get_manifest(job.reference)
    if found is None or not isinstance(found[0], Index):
        return job.platforms
    return job.platforms - found[0].platforms


async def _pin(job: Job, manifests: Manifests, listener: Listener) -> Reference | None:
    """Resolve the base's tag, so that all platforms start from one release."""
    base = job.snapshot.base
    if base is None or base.digest is not None:
        return base
    try:
        found = await manifests.head_manifest(base)
    except RegistryError as error:
        listener(
            Warned(
                message=f"the base {base} could not be resolved: {error}",
                hint="the builder uses its own copy if it has one",
            )
        )
        return base
    return base if found is None else base.with_digest(found.digest)
