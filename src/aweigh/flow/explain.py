"""What `prepare` would do and why, found out without changing anything."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Literal, assert_never

from aweigh.errors import AweighError, EngineUnavailableError
from aweigh.image.checker import Absent, Present, Unknown
from aweigh.image.preview import PlatformPlan
from aweigh.memory import ReadOnlyMemory

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence
    from pathlib import Path

    from aweigh.bundle.explain import BundlePlan
    from aweigh.bundle.upload import BundleUploader
    from aweigh.image.checker import Verdict
    from aweigh.image.ensure import ImageEnsurer
    from aweigh.image.image import Location
    from aweigh.image.job import Job
    from aweigh.image.preview import LayerExplainer
    from aweigh.image.spec import ImageSpec
    from aweigh.image.steps import Step
    from aweigh.memory import Memory
    from aweigh.oci import Digest, Platform, Reference

    # Opens what tells of the layers of the images that somebody holds.
    LayerSource = Callable[[Location], Awaitable[LayerExplainer]]

__all__ = ["ImagePlan", "Plan", "Tier", "explain"]

Tier = Literal["cache", "registry", "engine", "layout", "build", "undecided"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ImagePlan:
    """What would happen to an image.

    Attributes:
        reference: Repository and tag.
        spec_digest: What the tag stands for.
        platforms: What is wanted.
        base: What it would be built on; None when a Dockerfile says so.
        steps: What would be added to the base, one line each.
        tier: Who would answer: ``cache``, ``registry``, ``engine`` or ``layout``; or
            ``build`` when it would be built, ``undecided`` when nobody can say.
        reason: Why.
        digest: The existing image, if there is one.
        plans: Which layers it has or would have, for each platform; empty when nobody
            asked.
    """

    reference: Reference
    spec_digest: Digest
    platforms: frozenset[Platform]
    base: Reference | None
    steps: tuple[str, ...]
    tier: Tier
    reason: str
    digest: Digest | None = None
    plans: tuple[PlatformPlan, ...] = ()

    @property
    def exists(self) -> bool:
        """Whether somebody vouches for the image."""
        return self.digest is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What `prepare` would do.

    Attributes:
        image: What would happen to the image.
        bundle: What would happen to the bundle; None when no directory was named.
    """

    image: ImagePlan
    bundle: BundlePlan | None


async def explain(
    images: ImageEnsurer,
    bundles: BundleUploader,
    memory: Memory,
    *,
    spec: ImageSpec,
    root: Path,
    platforms: Sequence[str] | None,
    directory: Path | None,
    size_limit: int,
    layers: LayerSource | None = None,
) -> Plan:
    """Find out what `prepare` would do; builds, pushes, uploads, remembers nothing.

    Args:
        images: Says whether the image exists.
        bundles: Says whether the bundle exists.
        memory: What is remembered.
        spec: What is wanted.
        root: Where relative paths of the spec start.
        platforms: Platforms instead of the spec's own.
        directory: The code, or None.
        size_limit: How many bytes the code may have.
        layers: Opens what tells of layers; None: nobody asked for them.

    Raises:
        SpecError: The spec names a file that is not there.
        TreeError: The directory cannot be a bundle.
    """
    unchanged = ReadOnlyMemory(memory)
    job = await images.plan(spec, root=root, platforms=platforms)
    job = await images.settle(job, unchanged)
    image = await _image_plan(images, job, unchanged)
    if layers is not None:
        image = replace(image, plans=await _plans(image, job, layers))
    if directory is None:
        return Plan(image=image, bundle=None)
    bundle = await bundles.explain(directory, memory=unchanged, size_limit=size_limit)
    return Plan(image=image, bundle=bundle)


async def _plans(
    image: ImagePlan, job: Job, source: LayerSource
) -> tuple[PlatformPlan, ...]:
    """Tell which layers there are; what cannot be told is a note."""
    if image.tier == "undecided" and job.location == "registry":
        # The plan begins with what the registry remembers, and it does not answer.
        note = "nobody can say what is there, so nobody can say what would be built"
    else:
        try:
            explainer = await source(job.location)
            return await explainer.explain(job, image.digest)
        except AweighError as error:
            note = f"layers are not known: {error}"
    return tuple(
        PlatformPlan(platform=platform, exists=image.exists, note=note)
        for platform in sorted(job.platforms)
    )


async def _image_plan(images: ImageEnsurer, job: Job, memory: Memory) -> ImagePlan:
    tier: Tier
    digest = None
    verdict: Verdict
    try:
        verdict = await images.check(job, memory)
    except EngineUnavailableError as error:
        verdict = Unknown(str(error), error.hint)
    match verdict:
        case Present(descriptor, _, verified_at):
            tier = job.location if verified_at is None else "cache"
            reason = "it is there" if verified_at is None else "it is remembered"
            digest = descriptor.digest
        case Absent(reason):
            tier = "build"
        case Unknown(reason):
            tier = "undecided"
        case _:
            assert_never(verdict)
    return ImagePlan(
        reference=job.reference,
        spec_digest=job.snapshot.digest,
        platforms=job.platforms,
        base=job.snapshot.base,
        steps=tuple(map(_line, job.spec.steps)),
        tier=tier,
        reason=reason,
        digest=digest,
    )


def _line(step: Step) -> str:
    kind = type(step).__name__.removesuffix("Step").lower()
    values = (getattr(step, field.name) for field in fields(step))
    return " ".join((kind, *filter(None, map(_words, values))))


def _words(value: object) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, tuple):
        return " ".join(map(_words, value))
    return ""
