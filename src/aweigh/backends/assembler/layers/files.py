"""The layers that are no Python packages: copied files and working directories."""

from __future__ import annotations

import posixpath
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from aweigh.archive.member import Member
from aweigh.backends.assembler.layers.members import in_directories
from aweigh.image.digest import copy_destination, members_digest
from aweigh.image.steps import FilesStep, WorkdirStep
from aweigh.memory import digest_parts
from aweigh.oci import Digest

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

    from aweigh.backends.assembler.bases.base import Base
    from aweigh.image.snapshot import Snapshot
    from aweigh.image.spec import ImageSpec

__all__ = ["FilesLayer", "files_layers", "needs_links"]

_FORMAT: Final = "files-1"
# Every base has these, with rights that a layer of ours must not replace.
_EVERYWHERE: Final = frozenset(
    {"/", "/tmp", "/var/tmp", "/root", "/home", "/opt", "/usr", "/var", "/srv", "/mnt"}  # noqa: S108
)


# The directories that distributions replace by links, or put links into.
_LINKED: Final = frozenset({"bin", "lib", "lib32", "lib64", "libx32", "sbin", "var"})


@dataclass(frozen=True, slots=True)
class FilesLayer:
    """Members that are one layer.

    Attributes:
        name: What to call it.
        key: What its content is a function of.
        members: What it holds.
    """

    name: str
    key: Digest
    members: tuple[Member, ...]


def files_layers(
    spec: ImageSpec,
    snapshot: Snapshot,
    base: Base,
    links: Mapping[str, str],
    done: Collection[int] = (),
) -> list[FilesLayer]:
    """Make one layer of each files step, in their order.

    Args:
        spec: What is wanted.
        snapshot: The files it names.
        base: What they are put on.
        links: Links near the base's root: what lies behind is written to their target.
        done: The numbers of the steps that the base holds.
    """
    layers = []
    for number, step in enumerate(spec.steps):
        if number in done:
            continue
        match step:
            case FilesStep():
                found = list(_copied(snapshot, number, step))
            case WorkdirStep(path) if path not in {*_EVERYWHERE, base.config.workdir}:
                found = [Member(path=path.strip("/"), kind="directory")]
            case _:
                continue
        members = in_directories([_behind(one, links) for one in found])
        if members:
            layers.append(FilesLayer(_name(step), _key(members), members))
    return layers


def needs_links(spec: ImageSpec, done: Collection[int] = ()) -> bool:
    """Whether a step writes where bases have links instead of directories."""
    places = (
        step.destination if isinstance(step, FilesStep) else step.path
        for number, step in enumerate(spec.steps)
        if isinstance(step, FilesStep | WorkdirStep) and number not in done
    )
    # The root's own content may go anywhere.
    return any(place.split("/")[1] in {"", *_LINKED} for place in places)


def _name(step: FilesStep | WorkdirStep) -> str:
    if isinstance(step, FilesStep):
        return f"files {step.destination}"
    return f"workdir {step.path}"


def _copied(snapshot: Snapshot, number: int, step: FilesStep) -> Iterator[Member]:
    is_file = "file" in snapshot.names(number)
    destination = copy_destination(step, is_file=is_file).strip("/")
    source = f"steps/{number}/{'file' if is_file else 'tree'}"
    for member in snapshot.members:
        if member.path == source:
            path = destination
        elif member.path.startswith(f"{source}/"):
            below = member.path.removeprefix(f"{source}/")
            path = f"{destination}/{below}".lstrip("/")
        else:
            continue
        if path and path != ".":
            yield replace(member, path=path)


def _behind(member: Member, links: Mapping[str, str]) -> Member:
    """Write behind a link of the base: a directory in its place would replace it."""
    path = f"/{member.path}"
    for link, target in sorted(links.items()):
        if path == link or path.startswith(f"{link}/"):
            place = posixpath.join(posixpath.dirname(link), target)
            path = posixpath.normpath(place + path.removeprefix(link))
    return replace(member, path=path.lstrip("/"))


def _key(members: tuple[Member, ...]) -> Digest:
    return Digest(digest_parts([_FORMAT, members_digest(members).hex]).hex())
