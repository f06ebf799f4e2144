"""Which steps are resolved together: those whose packages come from the same places."""

from __future__ import annotations

import functools
import re
import tomllib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import quote

from aweigh.backends.resolver.inputs import text_of
from aweigh.backends.resolver.local import LocalWheels
from aweigh.errors import SpecError
from aweigh.image.grammar import is_url
from aweigh.image.local_requirement import LocalRequirement
from aweigh.image.steps import (
    IndexOptions,
    LockStep,
    PackagesStep,
    ProjectStep,
    RequirementsStep,
    ScriptStep,
    WheelStep,
)
from aweigh.image.wheels import distribution

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from aweigh.archive.member import Member
    from aweigh.backends.resolver.target import Target
    from aweigh.image.spec import ImageSpec
    from aweigh.image.steps import Step

__all__ = ["Frozen", "Group", "Plan", "arrange"]

_INDEX_LINE = re.compile(
    r"(?m)^(?:-i|--index-url|--extra-index-url|--no-index|-f|--find-links|--pre"
    r"|--no-binary|--only-binary)\b"
)
_TOOL_UV = re.compile(r"(?m)^\s*\[\[?\s*tool\s*\.\s*uv\b")
_PROJECT = "project"


@dataclass(slots=True)
class Group:
    """Steps that are one resolution.

    Attributes:
        options: Where its packages come from.
        directory: Where uv runs: its settings may be in a project's own file.
        steps: The steps, in order.
        sources: The files that uv reads, relative to the directory.
        arguments: Extras and groups of projects.
        has_extras: Whether a project chose extras; uv gives them to all projects.
        files: What is generated for it, by path in the context.
    """

    options: IndexOptions
    directory: str = ""
    steps: list[int] = field(default_factory=list)
    sources: list[str] = field(default_factory=list)
    arguments: list[str] = field(default_factory=list)
    has_extras: bool = False
    files: dict[str, str] = field(default_factory=dict)

    def index_arguments(self) -> list[str]:
        """Return uv's options for where packages come from."""
        options = self.options
        found = ["--default-index", options.index_url] if options.index_url else []
        for url in options.extra_index_urls:
            found += ["--index", url]
        for number, link in enumerate(options.find_links):
            place = link if is_url(link) else f"steps/{self.steps[0]}/links/{number}"
            found += ["--find-links", place]
        return [*found, "--prerelease", "allow"] if options.pre else found


@dataclass(frozen=True, slots=True)
class Frozen:
    """A step that brings its own lock.

    Attributes:
        step: Its number.
        project: The project whose uv.lock it is; None for a ``pylock.toml``.
    """

    step: int
    project: ProjectStep | None


@dataclass(frozen=True, slots=True)
class Plan:
    """What there is to resolve, in order: locks first, for they cannot give way.

    Attributes:
        frozen: Locks to take as they are.
        groups: Resolutions, each bound by what came before.
        wheels: Context paths of the user's own wheels for this target.
        local: Those among them that are built of local projects.
    """

    frozen: tuple[Frozen, ...]
    groups: tuple[Group, ...]
    wheels: tuple[str, ...]
    local: LocalWheels


def arrange(spec: ImageSpec, members: Iterable[Member], target: Target) -> Plan:
    """Sort the Python steps of a spec into locks and resolutions.

    Raises:
        SpecError: No wheel of a step fits the target, or a local project has none.
    """
    arranger = _Arranger({member.path: member for member in members}, target)
    for number, step in enumerate(spec.steps):
        arranger.add(number, step)
    return Plan(
        tuple(arranger.frozen),
        tuple(arranger.groups),
        tuple(arranger.wheels),
        arranger.local,
    )


class _Arranger:
    def __init__(self, members: Mapping[str, Member], target: Target) -> None:
        self.members = members
        self.target = target
        self.frozen: list[Frozen] = []
        self.groups: list[Group] = []
        self.local = LocalWheels(members, target)
        self.wheels: list[str] = list(dict.fromkeys(self.local.paths()))
        self._open: dict[IndexOptions, Group] = {}

    def add(self, number: int, step: Step) -> None:
        place = f"steps/{number}"
        match step:
            case PackagesStep(_, options):
                found = functools.partial(self.local.requirement, number)
                self._lines(number, step.placed(found), options)
            case RequirementsStep(_, options):
                self._requirements(number, options)
            case LockStep():
                self.frozen.append(Frozen(number, None))
            case ProjectStep() if f"{place}/uv.lock" in self.members:
                self.frozen.append(Frozen(number, step))
            case ProjectStep():
                self._project(number, step)
            case ScriptStep():
                self._script(number)
            case WheelStep():
                self._wheels(number)
            case _:
                pass

    def _requirements(self, number: int, options: IndexOptions) -> None:
        place = f"steps/{number}"
        texts = {
            path: text_of(member)
            for path, member in self.members.items()
            if path.startswith(f"{place}/") and path.endswith(".txt")
        }
        alone = any(map(_INDEX_LINE.search, texts.values()))
        group = self._own(options) if alone else self._shared(options)
        if self.local.keys(number):
            for path, text in texts.items():
                group.files[path] = self.local.placed(number, text)
        _extend(group, number, f"{place}/requirements.txt")

    def _lines(self, number: int, lines: Iterable[str], options: IndexOptions) -> None:
        group = self._shared(options)
        name = f"steps/{number}/wanted.in"
        group.files[name] = "".join(f"{line}\n" for line in lines)
        _extend(group, number, name)

    def _project(self, number: int, step: ProjectStep) -> None:
        path = f"steps/{number}/pyproject.toml"
        if _TOOL_UV.search(text_of(self.members[path])):
            group = self._own(IndexOptions(), f"steps/{number}")
            path = "pyproject.toml"
        else:
            group = self._shared(IndexOptions())
            if group.has_extras and step.extras:
                group = self._open[IndexOptions()] = self._own(IndexOptions())
        _extend(group, number, path)
        group.has_extras = group.has_extras or bool(step.extras)
        for extra in step.extras:
            group.arguments += ["--extra", extra]
        for name in step.groups:
            group.arguments += ["--group", f"{path}:{name}"]
        if _PROJECT in self.local.keys(number):
            itself = LocalRequirement("./project")
            line = self.local.requirement(number, _PROJECT, itself)
            group.files[f"steps/{number}/project.in"] = f"{line}\n"
            group.sources.append(
                "project.in" if group.directory else f"steps/{number}/project.in"
            )

    def _script(self, number: int) -> None:
        if f"steps/{number}/pyproject.toml" in self.members:
            group = self._own(IndexOptions(), f"steps/{number}")
            _extend(group, number, "pyproject.toml")
            return
        lines = text_of(self.members[f"steps/{number}/script.py"]).splitlines()[1:-1]
        block = "\n".join(line[2:] for line in lines)
        # uv does not say which packages a script asked for, but of a file it does.
        wanted = tomllib.loads(block).get("dependencies", [])
        self._lines(number, map(str, wanted), IndexOptions())

    def _wheels(self, number: int) -> None:
        place = f"steps/{number}/wheels/"
        names = [
            path.rpartition("/")[2] for path in self.members if path.startswith(place)
        ]
        by_version: dict[str, list[str]] = {}
        for name in sorted(names):
            by_version.setdefault("-".join(name.split("-")[:2]), []).append(name)
        chosen = list(filter(None, map(self.target.best, by_version.values())))
        if not chosen:
            raise SpecError(
                f"none of {', '.join(sorted(names))} is for {self.target.platform} "
                f"with Python {self.target.python} and {self.target.libc}",
                hint="build the wheel for that platform too",
            )
        self.wheels.extend(f"{place}{name}" for name in chosen)
        # The file gets its lines when it is known where the wheels are.
        self._lines(
            number,
            (f"{distribution(one)} @ {{root}}/{place}{quote(one)}" for one in chosen),
            IndexOptions(),
        )

    def _shared(self, options: IndexOptions) -> Group:
        if options not in self._open:
            self._open[options] = self._own(options)
        return self._open[options]

    def _own(self, options: IndexOptions, directory: str = "") -> Group:
        group = Group(options, directory)
        self.groups.append(group)
        return group


def _extend(group: Group, number: int, source: str) -> None:
    group.steps.append(number)
    group.sources.append(source)
