"""One question, worked out: which image, where, for which platforms."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from aweigh.errors import SpecError
from aweigh.image.build import BuildRequest
from aweigh.image.recall import image_key
from aweigh.oci import Platform, Reference

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from aweigh.image.image import Location
    from aweigh.image.snapshot import Snapshot
    from aweigh.image.spec import ImageSpec

__all__ = ["Destination", "Job"]

BASE_NAME_LABEL = "org.opencontainers.image.base.name"
BASE_DIGEST_LABEL = "org.opencontainers.image.base.digest"
SPEC_LABEL = "aweigh.spec-digest"


@dataclass(frozen=True, slots=True, kw_only=True)
class Destination:
    """Where the images of a session go.

    Attributes:
        registry: The prefix of their names, or None: they stay in the engine.
        engine: Which engine, for the row's key.
    """

    registry: str | None
    engine: str = ""

    def job(
        self,
        spec: ImageSpec,
        *,
        root: Path,
        snapshot: Snapshot,
        platforms: Sequence[str] | None,
        rebuild: bool,
        upgrade: bool,
    ) -> Job:
        """Work out what is asked for.

        Raises:
            SpecError: Several platforms are wanted where only one can be kept.
        """
        repository, location = self._locate(spec)
        wanted = _wanted(spec, platforms)
        if location == "engine" and len(wanted) > 1:
            raise SpecError(
                f"image {spec.name} is wanted for {len(wanted)} platforms, "
                "and an engine's own store holds one",
                hint="name a registry: Settings(registry=...) or AWEIGH_REGISTRY",
            )
        return Job(
            spec=spec,
            root=root,
            snapshot=snapshot,
            reference=repository.with_tag(snapshot.tag),
            location=location,
            scope=self.scope(location),
            platforms=wanted,
            rebuild=rebuild,
            upgrade=upgrade,
        )

    def scope(self, location: Location) -> str:
        """Name the holder, for the key of the row."""
        return "registry" if location == "registry" else f"engine:{self.engine}"

    def _locate(self, spec: ImageSpec) -> tuple[Reference, Location]:
        """Return the repository of a spec, and who holds it.

        A name that begins with a registry's host is complete; others are put below
        the destination's registry.
        """
        first, slash, _ = spec.name.partition("/")
        if slash and ("." in first or ":" in first or first == "localhost"):
            return Reference.parse(spec.name), "registry"
        if self.registry is not None:
            prefix = self.registry.removesuffix("/")
            return Reference.parse(f"{prefix}/{spec.name}"), "registry"
        return Reference.parse(spec.name), "engine"


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One question, worked out: which image, for which platforms.

    Attributes:
        spec: What is wanted.
        root: Where relative paths of the spec start.
        snapshot: The files it names, and its digest.
        reference: Repository and tag.
        location: Who holds it.
        scope: The scope of its row.
        platforms: The platforms that are wanted.
        rebuild: Build although it may exist.
        upgrade: Build without the builder's cache, so that everything is newest.
    """

    spec: ImageSpec
    root: Path
    snapshot: Snapshot
    reference: Reference
    location: Location
    scope: str
    platforms: frozenset[Platform]
    rebuild: bool
    upgrade: bool

    @property
    def forced(self) -> bool:
        """Whether it is built even when it exists."""
        return self.rebuild or self.upgrade

    @property
    def flight_key(self) -> str:
        """Name the work: equal work is done once at a time."""
        wanted = " ".join(sorted(map(str, self.platforms)))
        flags = f"{self.rebuild:d}{self.upgrade:d}"
        return f"{image_key(self.scope, self.reference)} {wanted} {flags}"

    def request(self, platform: Platform, base: Reference | None) -> BuildRequest:
        """Ask a builder for one platform; each gets a tag of its own."""
        labels = {SPEC_LABEL: str(self.snapshot.digest)}
        if base is not None:
            labels[BASE_NAME_LABEL] = str(self.snapshot.base)
            if base.digest is not None:
                labels[BASE_DIGEST_LABEL] = str(base.digest)
        push = self.location == "registry"
        suffix = f"-{platform}".replace("/", "-") if push else ""
        return BuildRequest(
            spec=self.spec,
            snapshot=self.snapshot,
            reference=self.reference.with_tag(f"{self.reference.tag}{suffix}"),
            platform=platform,
            base=base,
            labels=labels,
            refresh=self.upgrade,
            push=push,
        )


def _wanted(spec: ImageSpec, platforms: Sequence[str] | None) -> frozenset[Platform]:
    if platforms is not None:
        return frozenset(map(Platform.parse, platforms))
    return frozenset(spec.platforms) or frozenset({Platform.host()})
