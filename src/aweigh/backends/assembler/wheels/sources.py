"""Projects of a snapshot that are yet to be built into wheels."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from aweigh.image.digest import members_digest
from aweigh.image.local_requirement import LOCAL
from aweigh.image.order import is_python

if TYPE_CHECKING:
    from collections.abc import Iterator

    from aweigh.archive.member import Member
    from aweigh.image.snapshot import Snapshot
    from aweigh.image.spec import ImageSpec
    from aweigh.oci import Digest

__all__ = ["LocalSource", "local_sources", "with_wheels"]

_PROJECT: Final = "project"


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalSource:
    """A project's directory, or a source distribution.

    Attributes:
        step: The step that wants it.
        place: Where it is in the context.
        wheels: The directory of the context where its wheel goes.
        members: What it consists of, by paths relative to itself.
        is_archive: Whether it is a source distribution: its only member.
    """

    step: int
    place: str
    wheels: str
    members: tuple[Member, ...]
    is_archive: bool

    @property
    def digest(self) -> Digest:
        """Digest what it is built from."""
        return members_digest(self.members)


def local_sources(spec: ImageSpec, snapshot: Snapshot) -> Iterator[LocalSource]:
    """Find what has to be built; wheels are built already."""
    for number, step in enumerate(spec.steps):
        found: dict[str, list[Member]] = {}
        for member in snapshot.members if is_python(step) else ():
            if place := _place(member.path, f"steps/{number}/"):
                found.setdefault(place, []).append(member)
        for place, members in found.items():
            yield _source(number, place, members)


def _place(path: str, prefix: str) -> str:
    """Name the source that a member belongs to; empty when it is of another kind."""
    if not path.startswith(prefix):
        return ""
    parts = path.removeprefix(prefix).split("/")
    if parts[0] == _PROJECT:
        return prefix + _PROJECT
    is_source = parts[0] == LOCAL and not (len(parts) == 3 and path.endswith(".whl"))  # noqa: PLR2004 - local/<key>/<file>
    return prefix + "/".join(parts[:3]) if is_source else ""


def _source(number: int, place: str, members: list[Member]) -> LocalSource:
    parent, _, name = place.rpartition("/")
    if members[0].kind == "file":
        held = [replace(members[0], path=name)]
    else:
        inside = f"{place}/"
        held = [
            replace(one, path=one.path.removeprefix(inside))
            for one in members
            if one.path != place
        ]
    return LocalSource(
        step=number,
        place=place,
        wheels=f"{parent}/{LOCAL}/{_PROJECT}" if name == _PROJECT else parent,
        members=tuple(held),
        is_archive=members[0].kind == "file",
    )


def with_wheels(snapshot: Snapshot, built: dict[str, Member]) -> Snapshot:
    """Return the snapshot with wheels instead of what they were built from.

    Its digest stays: it is that of what the user has.

    Args:
        snapshot: What the user has.
        built: The wheels, by the place of their source.
    """
    kept = (
        member
        for member in snapshot.members
        if not any(
            member.path == place or member.path.startswith(f"{place}/")
            for place in built
        )
    )
    return replace(snapshot, members=(*kept, *built.values()))
