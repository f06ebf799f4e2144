"""Reads the files that a spec names, as they are now."""

from __future__ import annotations

from typing import TYPE_CHECKING, assert_never

from aweigh.errors import SpecError
from aweigh.image.context import read_context
from aweigh.image.grammar import is_url
from aweigh.image.local_requirement import read_local
from aweigh.image.project import read_lock, read_project, read_script
from aweigh.image.requirements import read_requirements
from aweigh.image.snapshot import Read, Snapshot, snapshot_of
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
    from pathlib import Path

    from aweigh.archive.member import Member
    from aweigh.image.spec import ImageSpec
    from aweigh.image.steps import OtherStep

__all__ = ["take_snapshot"]

_DISTRIBUTIONS = (".whl", ".tar.gz", ".zip")


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
    return snapshot_of(spec, _read_all(spec, root.absolute()))


def _read_all(spec: ImageSpec, root: Path) -> list[Read]:
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
        Read(wheels[number])
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
) -> Read:
    match step:
        case PackagesStep(_, options):
            return Read((*_locals(step, sources), *_links(options, sources)))
        case RequirementsStep(path, options):
            files = read_requirements(path, sources)
            return Read((*files, *_links(options, sources)))
        case LockStep():
            return Read(read_lock(step, sources))
        case ProjectStep():
            return Read(*read_project(step, sources, wheels))
        case ScriptStep():
            return Read(*read_script(step, sources))
        case FilesStep(source):
            return Read(_files(source, sources))
        case DockerfileStep():
            text, members = read_context(step, sources)
            return Read(members, dockerfile=text)
        case (
            AptStep()
            | EnvStep()
            | WorkdirStep()
            | UserStep()
            | RunStep()
            | LabelsStep()
            | EntrypointStep()
        ):
            return Read()
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
