"""Building what is missing of an image and putting it under its tag."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from aweigh.errors import RegistryError
from aweigh.events import ImagePushed, Warned
from aweigh.image.publish import publish
from aweigh.oci import Index

if TYPE_CHECKING:
    from aweigh.events import Listener
    from aweigh.image.build import Builder
    from aweigh.image.checker import Checker
    from aweigh.image.image import Location
    from aweigh.image.job import Job
    from aweigh.image.publish import Manifests
    from aweigh.oci import Digest, Platform, Reference

__all__ = ["ImageTools", "ToolBox", "make_image"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageTools:
    """What builds when nobody has the image.

    Attributes:
        builder: Builds images and leaves them where they belong.
        manifests: The manifests of registries: of bases, and of ours.
    """

    builder: Builder
    manifests: Manifests


class ToolBox(Protocol):
    """Opens tools when they are first needed; a recalled image needs none."""

    async def checker(self, location: Location, /) -> Checker:
        """Return the checker that asks this holder of images."""
        ...

    async def tools(self, location: Location, /) -> ImageTools:
        """Return what a build for this holder needs."""
        ...


async def make_image(
    job: Job, tools: ImageTools, listener: Listener
) -> tuple[Digest, frozenset[Platform]]:
    """Build the missing platforms of an image, and publish them with the others.

    Cancelling stops the build; what was pushed by then has no tag that anybody reads.

    Returns:
        The digest of the image, and all platforms that it has now.

    Raises:
        EngineError: The build or the push failed.
        RegistryError: The registry refused.
        ChangedError: A file changed while the builder read it.
    """
    base = await _pin(job, tools.manifests, listener)
    built: dict[Platform, Digest] = {}
    for platform in sorted(await _missing(job, tools.manifests)):
        request = job.request(platform, base)
        built[platform] = (await tools.builder.build(request)).digest
    if job.location == "engine":
        ((platform, digest),) = built.items()
        return digest, frozenset({platform})
    started = time.perf_counter()
    descriptor, index = await publish(tools.manifests, job.reference, built)
    pinned = job.reference.with_digest(descriptor.digest)
    listener(ImagePushed(reference=pinned, seconds=time.perf_counter() - started))
    return descriptor.digest, index.platforms


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
