"""One question, worked out: which image, where, for which platforms."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from aweigh.errors import SpecError
from aweigh.image.recall import image_key
from aweigh.oci import Platform, Reference
from aweigh.oci.layout import LAYOUT_HOST

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from aweigh.image.image import Location
    from aweigh.image.segments import Prefix
    from aweigh.image.snapshot import Snapshot
    from aweigh.image.spec import ImageSpec
    from aweigh.settings import Settings

__all__ = ["Beneath", "Destination", "Job"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Beneath:
    """The image of a prefix, which exists.

    Attributes:
        image: The image, pinned by digest.
        prefix: The steps it holds.
    """

    image: Reference
    prefix: Prefix


@dataclass(frozen=True, slots=True, kw_only=True)
class Destination:
    """Where the images of a session go.

    Attributes:
        registry: The prefix of their names, or None: they stay on this machine.
        engine: Which engine, for the row's key.
        layout: The directory of the image layout.
        local: Who holds what has no registry; ``layout`` after ``engine`` stands in
            for an engine that does not answer.
    """

    registry: str | None
    engine: str = ""
    layout: Path | None = None
    local: tuple[Location, ...] = ("engine",)

    @classmethod
    def of(cls, settings: Settings) -> Destination:
        """Read from settings where images go."""
        local: tuple[Location, ...] = ("engine", "layout")
        if settings.builder == "assemble":
            local = ("layout",)
        elif settings.builder == "engine" or settings.engine is not None:
            local = ("engine",)
        return cls(
            registry=settings.registry,
            engine=settings.engine or "",
            layout=settings.image_dir,
            local=local,
        )

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
        job = Job(
            spec=spec,
            root=root,
            snapshot=snapshot,
            reference=repository.with_tag(snapshot.tag),
            location=location,
            scope=self.scope(location),
            platforms=wanted,
            rebuild=rebuild,
            upgrade=upgrade,
            layout=self.layout if location == "layout" else None,
        )
        if location != "engine" or len(wanted) == 1:
            return job
        if instead := self.without_engine(job):
            return instead
        raise SpecError(
            f"image {spec.name} is wanted for {len(wanted)} platforms, "
            "and an engine's own store holds one",
            hint="name a registry: Settings(registry=...) or AWEIGH_REGISTRY",
        )

    def without_engine(self, job: Job) -> Job | None:
        """Ask the same of the layout, where that may stand in for an engine."""
        if job.location != "engine" or "layout" not in self.local:
            return None
        return replace(
            job,
            reference=_in_layout(job.spec).with_tag(job.snapshot.tag),
            location="layout",
            scope=self.scope("layout"),
            layout=self.layout,
        )

    def location(self, spec: ImageSpec) -> Location:
        """Say who is to hold an image; a layout may stand in for an engine."""
        return self._locate(spec)[1]

    def scope(self, location: Location) -> str:
        """Name the holder, for the key of the row."""
        match location:
            case "registry":
                return "registry"
            case "engine":
                return f"engine:{self.engine}"
            case "layout":
                return f"layout:{self.layout}"

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
        if self.local[0] == "layout":
            return _in_layout(spec), "layout"
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
        whole: The job that this one is the beginning of; None when it is none's.
        layout: The directory of the layout that holds it, if one does.
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
    whole: Job | None = None
    layout: Path | None = None

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


def _in_layout(spec: ImageSpec) -> Reference:
    """Name a spec's image as podman names what is only on this machine."""
    return Reference.parse(f"{LAYOUT_HOST}/{spec.name}")


def _wanted(spec: ImageSpec, platforms: Sequence[str] | None) -> frozenset[Platform]:
    if platforms is not None:
        return frozenset(map(Platform.parse, platforms))
    return frozenset(spec.platforms) or frozenset({Platform.host()})
