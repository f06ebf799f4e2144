"""What an image consists of or would consist of: layers, why, from where, how large."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterable

    from aweigh.image.job import Job
    from aweigh.oci import Digest, Platform

__all__ = [
    "LayerExplainer",
    "LayerKind",
    "Place",
    "PlannedLayer",
    "PlannedPackage",
    "PlatformPlan",
    "Reuse",
    "Totals",
    "decimal_size",
    "totals",
]

_KILO: Final = 1000
_TEN: Final = 10

LayerKind = Literal[
    "base",
    "prefix",
    "engine",
    "heavy",
    "light",
    "first-party",
    "environment",
    "files",
]
"""What a layer is for: ``prefix`` is an image of its own that an engine made or would
make, ``engine`` a step that only an engine can carry out."""

Place = Literal["repository", "mount", "copy"]
"""Where a layer is: in the destination, beside it, or in another registry."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedPackage:
    """A Python distribution of a layer.

    Attributes:
        name: The project, normalised.
        version: Its version.
        size: Bytes of its wheel; None when nobody said.
    """

    name: str
    version: str
    size: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Reuse:
    """Where a layer would come from instead of being made.

    Attributes:
        place: ``repository``: the destination has it; ``mount``: another repository of
            its registry has it, no bytes move; ``copy``: another registry has it, its
            bytes move through this machine (layers of bases only).
        source: That repository.
        known_by: Who said that this blob is this layer: the ``base``, the image under
            the ``registry``'s cache tag or of this name, or this machine's ``memory``.
    """

    place: Place
    source: str
    known_by: Literal["base", "registry", "memory"]


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedLayer:
    """One layer, or what would become some layers.

    Attributes:
        name: What it is called.
        kind: What it is for.
        why: Why it is there, or why it is one of its own.
        packages: What it holds, when it holds Python packages.
        size: Compressed bytes; None when nobody knows.
        exact: Whether the size is that of a blob, not estimated from what goes in.
        reuse: Where it would come from; None: it would be made, or nobody knows.
    """

    name: str
    kind: LayerKind
    why: str
    packages: tuple[PlannedPackage, ...] = ()
    size: int | None = None
    exact: bool = False
    reuse: Reuse | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Totals:
    """How much would happen.

    Attributes:
        download: Bytes that would come to this machine at most: the wheels of layers
            that are made, unless uv's cache has them, and copied layers of the base.
        push: Bytes that would go to the registry: of new layers those of their
            wheels, which is less than they become with bytecode.
        reused: Bytes of layers that would be reused where they are or mounted.
        base_present: Layers of the base that the destination has.
        base_mounted: Layers of the base that would be mounted.
        base_copied: Layers of the base that would be copied.
    """

    download: int
    push: int
    reused: int
    base_present: int = 0
    base_mounted: int = 0
    base_copied: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class PlatformPlan:
    """What the image of one platform consists of.

    Attributes:
        platform: The platform.
        exists: Whether it is there; otherwise this is what would be built.
        builder: Who would build it: ``assemble`` or ``engine``; empty when it exists.
        layers: Lowest first; empty when they are not known.
        note: What else there is to say, such as why layers or reuse are not known.
        failure: The error that a build would end with; empty when none is foreseen.
        hint: What to do about that.
        totals: How much would happen; None when it exists or that is not known.
        in_base: Locked packages that the base has in the same version. The environment
            gets its own copies all the same.
        base_was: What the base's tag meant when the existing image was built; None
            when that is not known.
        base_is: What it means now; None when it is not known or not a tag.
    """

    platform: Platform
    exists: bool
    builder: str = ""
    layers: tuple[PlannedLayer, ...] = ()
    note: str = ""
    failure: str = ""
    hint: str = ""
    totals: Totals | None = None
    in_base: tuple[PlannedPackage, ...] = ()
    base_was: Digest | None = None
    base_is: Digest | None = None

    @property
    def base_moved(self) -> bool | None:
        """Whether a rebuild would start from another base; None when nobody knows."""
        if self.base_was is None or self.base_is is None:
            return None
        return self.base_was != self.base_is


class LayerExplainer(Protocol):
    """Tells what images consist of."""

    async def explain(
        self, job: Job, digest: Digest | None, /
    ) -> tuple[PlatformPlan, ...]:
        """Tell it for each platform; builds, pushes, mounts and remembers nothing.

        What cannot be found out is left out, and the plan says why.

        Args:
            job: What is wanted.
            digest: The image, if it exists.
        """
        ...


def totals(layers: Iterable[PlannedLayer]) -> Totals:
    """Add up what would happen for layers whose reuse is known."""
    found = list(layers)
    made = [one for one in found if one.reuse is None]
    copied = [one for one in found if _is(one, "copy")]
    moved = sum(one.size or 0 for one in copied)
    wheels = sum(package.size or 0 for one in made for package in one.packages)
    kept = [one for one in found if _is(one, "repository") or _is(one, "mount")]
    base = [one for one in found if one.kind == "base"]
    return Totals(
        download=wheels + moved,
        push=sum(one.size or 0 for one in made) + moved,
        reused=sum(one.size or 0 for one in kept),
        base_present=sum(_is(one, "repository") for one in base),
        base_mounted=sum(_is(one, "mount") for one in base),
        base_copied=len(copied),
    )


def _is(layer: PlannedLayer, place: Place) -> bool:
    return layer.reuse is not None and layer.reuse.place == place


def decimal_size(count: int) -> str:
    """Write bytes as package indexes do, in powers of ten: ``1.2 MB``."""
    size, units = float(count), ["GB", "MB", "kB", "B"]
    while size >= _KILO and len(units) > 1:
        size /= _KILO
        units.pop()
    whole = size >= _TEN or units[-1] == "B"
    return f"{size:.{0 if whole else 1}f} {units[-1]}"
