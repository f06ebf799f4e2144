"""What `prepare` would do and why, found out without changing anything."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Literal, assert_never

from aweigh.errors import EngineUnavailableError
from aweigh.image.checker import Absent, Present, Unknown
from aweigh.memory import ReadOnlyMemory

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from aweigh.bundle.explain import BundlePlan
    from aweigh.bundle.upload import BundleUploader
    from aweigh.image.checker import Verdict
    from aweigh.image.ensure import ImageEnsurer
    from aweigh.image.job import Job
    from aweigh.image.spec import ImageSpec
    from aweigh.image.steps import Step
    from aweigh.memory import Memory
    from aweigh.oci import Digest, Platform, Reference

__all__ = ["ImagePlan", "Plan", "Tier", "explain"]

Tier = Literal["cache", "registry", "engine", "build", "undecided"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ImagePlan:
    """What would happen to an image.

    Attributes:
        reference: Repository and tag.
        spec_digest: What the tag stands for.
        platforms: What is wanted.
        base: What it would be built on; None when a Dockerfile says so.
        steps: What would be added to the base, one line each.
        tier: Who would answer: ``cache``, ``registry`` or ``engine``; or ``build``
            when it would be built, ``undecided`` when nobody can say.
        reason: Why.
        digest: The existing image, if there is one.
    """

    reference: Reference
    spec_digest: Digest
    platforms: frozenset[Platform]
    base: Reference | None
    steps: tuple[str, ...]
    tier: Tier
    reason: str
    digest: Digest | None = None

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
) -> Plan:
    """Find out what `prepare` would do; builds, pushes, uploads, remembers nothing."""
    unchanged = ReadOnlyMemory(memory)
    job = await images.plan(spec, root=root, platforms=platforms)
    image = await _image_plan(images, job, unchanged)
    if directory is None:
        return Plan(image=image, bundle=None)
    bundle = await bundles.explain(directory, memory=unchanged, size_limit=size_limit)
    return Plan(image=image, bundle=bundle)


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
