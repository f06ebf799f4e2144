"""The files a spec names, as they are now, and the digest of it all."""

from __future__ import annotations

import functools
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, assert_never

from aweigh.errors import SpecError
from aweigh.image.context import read_context
from aweigh.image.digest import members_digest, spec_digest
from aweigh.image.grammar import is_url
from aweigh.image.local_requirement import read_local
from aweigh.image.project import read_lock, read_project, read_script
from aweigh.image.requirements import read_requirements
from aweigh.image.sources import Sources
from aweigh.image.steps import (
    AptStep,
    DockerfileStep,
    EntrypointStep,
    EnvStep,
    FilesStep,
    IndexOptions,
    LabelsStep,
    LockStep,
    PackagesStep,
    ProjectStep,
    RequirementsStep,
    RunStep,
    ScriptStep,
    UserStep,
    WheelStep,
    WorkdirStep,
)
from aweigh.image.wheels import distribution, read_wheels

if TYPE_CHECKING:
    from collections.abc import Iterator

    from aweigh.archive.member import Member
    from aweigh.image.spec import ImageSpec
    from aweigh.image.steps import OtherStep, Step
    from aweigh.oci import Digest, Reference

__all__ = ["Snapshot", "names_files", "pure_snapshot", "take_snapshot"]

_TAG_DIGITS = 20
_PURE_STEPS = (
    AptStep,
    EnvStep,
    WorkdirStep,
    UserStep,
    RunStep,
    LabelsStep,
    EntrypointStep,
)
_DISTRIBUTIONS = (".whl", ".tar.gz", ".zip")


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """What a spec named when it was read.

    Attributes:
        members: The build context: ``steps/<n>/...`` (n counts from 0), or a
            Dockerfile's own context at its root.
        digest: The spec digest: of the spec and of these files.
        python: The Python version as ``X.Y``; empty when it is the base's own.
        base: The image to start from; None when a Dockerfile names it.
        dockerfile: The text of the Dockerfile when the spec is one, else empty.
    """

    members: tuple[Member, ...]
    digest: Digest
    python: str
    base: Reference | None
    dockerfile: str = ""

    @property
    def tag(self) -> str:
        """The tag that this digest gives the image."""
        return f"aw-{self.digest.hex[:_TAG_DIGITS]}"

    def names(self, step: int) -> frozenset[str]:
        """Return the context paths of one step, relative to ``steps/<step>/``."""
        prefix = f"steps/{step}/"
        return frozenset(
            member.path.removeprefix(prefix) for member in self._files(step)
        )

    def content(self, step: int) -> Digest:
        """Digest the files of one step, without regard to its number."""
        prefix = f"steps/{step}/"
        return members_digest(
            replace(member, path=member.path.removeprefix(prefix))
            for member in self._files(step)
        )

    def _files(self, step: int) -> Iterator[Member]:
        prefix = f"steps/{step}/"
        return (member for member in self.members if member.path.startswith(prefix))


def names_files(spec: ImageSpec) -> bool:
    """Whether a snapshot of this spec depends on anything but the spec."""
    return any(map(_names_files, spec.steps))


def _names_files(step: Step) -> bool:
    if isinstance(step, PackagesStep):
        return bool(step.local) or not all(map(is_url, step.options.find_links))
    return not isinstance(step, _PURE_STEPS)


@functools.lru_cache(maxsize=1024)
def pure_snapshot(spec: ImageSpec) -> Snapshot:
    """Return the snapshot of a spec that names no files; fast from the second call."""
    return take_snapshot(spec, Path("/"))


def take_snapshot(spec: ImageSpec, root: Path) -> Snapshot:
    """Read and digest everything a spec names.

    Synchronous and slow: call it in a worker thread. It writes nothing, so abandoning
    it leaves nothing behind.

    Args:
        spec: The spec.
        root: Where its relative paths start.

    Raises:
        SpecError: Something it names is missing, unreadable or not usable; the message
            names the step and the path.
        TreeError: A directory of ``with_files`` or a project holds something
            unreadable, or that leads out of it.
    """
    read = _read_all(spec, root.absolute())
    demands = [one.requires_python for one in read if one.requires_python]
    python = spec.python_version(demands)
    base = spec.base_reference(demands)
    dockerfile = "".join(one.dockerfile for one in read)
    members = [one.members for one in read]
    return Snapshot(
        members=tuple(member for files in members for member in files),
        digest=spec_digest(
            base,
            python,
            spec.steps,
            members,
            dockerfile,
            optimize_layers=spec.optimize_layers,
        ),
        python=python,
        base=base,
        dockerfile=dockerfile,
    )


@dataclass(frozen=True, slots=True)
class _Read:
    """What one step had to say once its files were read."""

    members: tuple[Member, ...] = ()
    requires_python: str = ""
    dockerfile: str = ""


def _read_all(spec: ImageSpec, root: Path) -> list[_Read]:
    sources = [_sources(spec, number, root) for number in range(len(spec.steps))]
    # A project may depend on what a later wheel step brings.
    wheels = {
        number: read_wheels(step, sources[number])
        for number, step in enumerate(spec.steps)
        if isinstance(step, WheelStep)
    }
    names = {
        distribution(member.path.rpartition("/")[2])
        for members in wheels.values()
        for member in members
    }
    return [
        _Read(wheels[number])
        if isinstance(step, WheelStep)
        else _read(step, sources[number], names)
        for number, step in enumerate(spec.steps)
    ]


def _sources(spec: ImageSpec, number: int, root: Path) -> Sources:
    step = spec.steps[number]
    kind = type(step).__name__.removesuffix("Step").lower()
    return Sources(root, step=f"{kind} step {number}", prefix=f"steps/{number}")


def _read(  # noqa: PLR0911 - one line per kind of step
    step: OtherStep, sources: Sources, wheels: set[str]
) -> _Read:
    match step:
        case PackagesStep(_, options):
            return _Read((*_locals(step, sources), *_links(options, sources)))
        case RequirementsStep(path, options):
            files = read_requirements(path, sources)
            return _Read((*files, *_links(options, sources)))
        case LockStep():
            return _Read(read_lock(step, sources))
        case ProjectStep():
            return _Read(*read_project(step, sources, wheels))
        case ScriptStep():
            return _Read(*read_script(step, sources))
        case FilesStep(source):
            return _Read(_files(source, sources))
        case DockerfileStep():
            text, members = read_context(step, sources)
            return _Read(members, dockerfile=text)
        case (
            AptStep()
            | EnvStep()
            | WorkdirStep()
            | UserStep()
            | RunStep()
            | LabelsStep()
            | EntrypointStep()
        ):
            return _Read()
        case _:
            assert_never(step)


def _files(source: str, sources: Sources) -> tuple[Member, ...]:
    path = sources.locate(source)
    if path.is_dir():
        return sources.tree(path, "tree")
    return (sources.file(path, "file"),)


def _locals(step: PackagesStep, sources: Sources) -> Iterator[Member]:
    for key, one in step.local.items():
        _, members = read_local(sources.locate(one.path), key, sources)
        yield from members


def _links(options: IndexOptions, sources: Sources) -> tuple[Member, ...]:
    """Read the distributions in local ``find_links`` directories."""
    members: list[Member] = []
    for number, link in enumerate(options.find_links):
        if not is_url(link):
            members.extend(_directory(sources.locate(link), number, sources))
    return tuple(members)


def _directory(directory: Path, number: int, sources: Sources) -> list[Member]:
    try:
        found = sorted(directory.iterdir())
    except OSError as exc:
        sources.fail_reading(directory, exc)
    chosen = [path for path in found if path.name.endswith(_DISTRIBUTIONS)]
    if not chosen:
        raise SpecError(
            f"{sources.step}: {directory} holds no distributions",
            hint="put wheels there, or leave it out of find_links",
        )
    return [sources.file(path, f"links/{number}/{path.name}") for path in chosen]
