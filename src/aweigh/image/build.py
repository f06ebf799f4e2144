"""What a builder is asked for and what it answers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping

    from aweigh.image.lock import Lock
    from aweigh.image.plan import PythonLayer
    from aweigh.image.segments import Prefix
    from aweigh.image.snapshot import Snapshot
    from aweigh.image.spec import ImageSpec
    from aweigh.oci import Digest, Platform, Reference

__all__ = ["BuildRequest", "Builder", "Built"]


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildRequest:
    """One platform of one image, to be built from a snapshot.

    Attributes:
        spec: What is wanted.
        snapshot: The files the spec names, as they were digested.
        reference: The destination repository and the tag of this platform's image.
        platform: The platform to build for.
        base: The base, pinned by digest where that was possible; None when the
            spec's own Dockerfile names it.
        labels: Labels to put on the image besides the spec's.
        refresh: Ignore the builder's own cache (``upgrade``).
        push: Push to the reference's registry; otherwise the image stays in the engine.
        lock: What the Python steps install, pinned for the platform; None leaves it to
            each step to find out.
        layers: The plan for it (`aweigh.image.schedule.plan_build`).
        prefix: The steps that the base holds already, when it is an image of ours that
            was made of them; None when it is the user's.
    """

    spec: ImageSpec
    snapshot: Snapshot
    reference: Reference
    platform: Platform
    base: Reference | None
    labels: Mapping[str, str]
    refresh: bool = False
    push: bool = True
    lock: Lock | None = None
    layers: tuple[PythonLayer, ...] | None = None
    prefix: Prefix | None = None

    @property
    def done(self) -> frozenset[int]:
        """The numbers of the steps that the base holds."""
        return frozenset() if self.prefix is None else self.prefix.steps


@dataclass(frozen=True, slots=True)
class Built:
    """What a builder made.

    Attributes:
        digest: In a registry: of the manifest it pushed. In the engine: the image id.
        lock: What it installed, if that was pinned.
    """

    digest: Digest
    lock: Lock | None = None


class Builder(Protocol):
    """Builds images and leaves them where they belong."""

    @property
    def name(self) -> str:
        """A word for messages: ``engine``, ``assemble``."""
        ...

    async def build(self, request: BuildRequest, /) -> Built:
        """Build, and push when the reference names a registry.

        Cancelling stops the build; nothing is tagged or remembered then.

        Raises:
            EngineError: The engine is missing, the build or the push failed.
            RegistryError: The registry refused the result.
        """
        ...
