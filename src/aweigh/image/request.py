"""What of a job its builders are asked for: a platform, or the image of first steps."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from aweigh.image.build import BuildRequest
from aweigh.image.segments import take_part

if TYPE_CHECKING:
    from aweigh.image.job import Job
    from aweigh.image.segments import Prefix
    from aweigh.oci import Platform, Reference

__all__ = ["build_request", "part_of"]

BASE_NAME_LABEL = "org.opencontainers.image.base.name"
BASE_DIGEST_LABEL = "org.opencontainers.image.base.digest"
SPEC_LABEL = "aweigh.spec-digest"


def part_of(job: Job, prefix: Prefix) -> Job:
    """Ask for the image of some first steps of a job, in the same repository."""
    spec, snapshot = take_part(job.spec, job.snapshot, prefix.steps)
    return replace(
        job,
        spec=spec,
        snapshot=snapshot,
        reference=job.reference.with_tag(snapshot.tag),
        whole=job.whole or job,
    )


def build_request(
    job: Job,
    platform: Platform,
    base: Reference | None,
    prefix: Prefix | None = None,
) -> BuildRequest:
    """Ask a builder for one platform of a job; each gets a tag of its own.

    Args:
        job: What is wanted.
        platform: The platform.
        base: The user's base; or the image of a prefix, whose labels tell which base
            that is.
        prefix: Which steps the base holds already.
    """
    labels = {SPEC_LABEL: str(job.snapshot.digest)}
    if base is not None:
        labels[BASE_NAME_LABEL] = str(job.snapshot.base)
        if base.digest is not None and prefix is None:
            labels[BASE_DIGEST_LABEL] = str(base.digest)
    push = job.location != "engine"
    suffix = f"-{platform}".replace("/", "-") if push else ""
    return BuildRequest(
        spec=job.spec,
        snapshot=job.snapshot,
        reference=job.reference.with_tag(f"{job.reference.tag}{suffix}"),
        platform=platform,
        base=base,
        labels=labels,
        refresh=job.upgrade,
        push=push,
        prefix=prefix,
    )
