"""The steps of an image spec: values that are checked when they are made."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from aweigh.errors import SpecError
from aweigh.image import grammar
from aweigh.image.local_requirement import LocalRequirement

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = [
    "AptStep",
    "DockerfileStep",
    "EntrypointStep",
    "EnvStep",
    "FilesStep",
    "IndexOptions",
    "LabelsStep",
    "LockStep",
    "OtherStep",
    "PackagesStep",
    "ProjectStep",
    "RequirementsStep",
    "RunStep",
    "ScriptStep",
    "Step",
    "UserStep",
    "WheelStep",
    "WorkdirStep",
]

_T = TypeVar("_T")


def _some(what: str, items: tuple[_T, ...]) -> tuple[_T, ...]:
    if not items:
        raise SpecError(f"{what} is empty", hint="name at least one, or leave it out")
    return items


@dataclass(frozen=True, slots=True, kw_only=True)
class IndexOptions:
    """Where packages of one step come from.

    Attributes:
        index_url: The index instead of PyPI.
        extra_index_urls: Indexes that are asked first.
        find_links: URLs of pages, or local directories, that hold distributions.
        pre: Whether pre-releases are allowed.
    """

    index_url: str | None = None
    extra_index_urls: tuple[str, ...] = ()
    find_links: tuple[str, ...] = ()
    pre: bool = False

    def __post_init__(self) -> None:
        if self.index_url is not None:
            grammar.check_index_url("index_url", self.index_url)
        for url in self.extra_index_urls:
            grammar.check_index_url("extra_index_urls", url)
        for link in self.find_links:
            grammar.check_links(link)


@dataclass(frozen=True, slots=True)
class AptStep:
    """Debian packages, as ``name`` or ``name=version``."""

    packages: tuple[str, ...]

    def __post_init__(self) -> None:
        for package in _some("with_apt", self.packages):
            grammar.check_apt(package)


@dataclass(frozen=True, slots=True)
class PackagesStep:
    """Python requirements and where they come from."""

    requirements: tuple[str, ...]
    options: IndexOptions = IndexOptions()

    def __post_init__(self) -> None:
        for requirement in _some("with_packages", self.requirements):
            grammar.check_text("a requirement", requirement)
            if LocalRequirement.parse(requirement) is None:
                grammar.check_requirement(requirement)

    @property
    def local(self) -> dict[str, LocalRequirement]:
        """The requirements that are taken from this machine, by their key."""
        parsed = map(LocalRequirement.parse, self.requirements)
        found = (one for one in parsed if one is not None)
        return {str(number): one for number, one in enumerate(found)}

    def placed(self, place: Callable[[str, LocalRequirement], str]) -> list[str]:
        """Return the requirements, local ones rewritten.

        Args:
            place: Writes a local one, given its key.
        """
        local = iter(self.local.items())
        return [
            text if LocalRequirement.parse(text) is None else place(*next(local))
            for text in self.requirements
        ]


@dataclass(frozen=True, slots=True)
class RequirementsStep:
    """A requirements file, with all it includes."""

    path: str
    options: IndexOptions = IndexOptions()

    def __post_init__(self) -> None:
        grammar.check_path("with_requirements", self.path)


@dataclass(frozen=True, slots=True)
class LockStep:
    """A ``pylock.toml`` (PEP 751)."""

    path: str

    def __post_init__(self) -> None:
        grammar.check_path("with_lock", self.path)


@dataclass(frozen=True, slots=True)
class ProjectStep:
    """The dependencies of a project, and the project itself when it is wanted."""

    path: str
    extras: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    install_project: bool = False

    def __post_init__(self) -> None:
        grammar.check_path("with_project", self.path)
        for name in (*self.extras, *self.groups):
            grammar.check_extra(name)


@dataclass(frozen=True, slots=True)
class WheelStep:
    """First-party wheels, as globs."""

    globs: tuple[str, ...]

    def __post_init__(self) -> None:
        for pattern in _some("with_wheel", self.globs):
            grammar.check_path("with_wheel", pattern)


@dataclass(frozen=True, slots=True)
class ScriptStep:
    """The dependencies in a script's PEP 723 block; not the script."""

    path: str

    def __post_init__(self) -> None:
        grammar.check_path("from_script", self.path)


@dataclass(frozen=True, slots=True)
class FilesStep:
    """A file or a directory's content, copied to an absolute path."""

    source: str
    destination: str

    def __post_init__(self) -> None:
        grammar.check_path("with_files", self.source)
        grammar.check_absolute("the destination", self.destination)


@dataclass(frozen=True, slots=True)
class EnvStep:
    """Environment variables, sorted by name."""

    variables: tuple[tuple[str, str], ...]

    def __post_init__(self) -> None:
        for name, value in _some("with_env", self.variables):
            grammar.check_env_name(name)
            grammar.check_text(f"the value of {name}", value)


@dataclass(frozen=True, slots=True)
class WorkdirStep:
    """The working directory of later steps and of the container."""

    path: str

    def __post_init__(self) -> None:
        grammar.check_absolute("the working directory", self.path)


@dataclass(frozen=True, slots=True)
class UserStep:
    """The user of later run steps and of the container."""

    user: str

    def __post_init__(self) -> None:
        grammar.check_user(self.user)


@dataclass(frozen=True, slots=True)
class RunStep:
    """Shell commands, each a layer; nothing moves across them."""

    commands: tuple[str, ...]

    def __post_init__(self) -> None:
        for command in _some("with_run", self.commands):
            _check_command(command)


@dataclass(frozen=True, slots=True)
class LabelsStep:
    """Labels of the image, sorted by key."""

    labels: tuple[tuple[str, str], ...]

    def __post_init__(self) -> None:
        for key, value in _some("with_labels", self.labels):
            grammar.check_text("a label", key)
            grammar.check_text(f"label {key}", value)
            if not key.strip():
                raise SpecError("a label has no key", hint="name it, such as org.team")


@dataclass(frozen=True, slots=True)
class EntrypointStep:
    """What the container starts, without a shell."""

    argv: tuple[str, ...]

    def __post_init__(self) -> None:
        for argument in _some("with_entrypoint", self.argv):
            grammar.check_command("the entrypoint", argument)


@dataclass(frozen=True, slots=True)
class DockerfileStep:
    """A Dockerfile and its context; the only step of its spec."""

    path: str
    context: str = "."

    def __post_init__(self) -> None:
        grammar.check_path("from_dockerfile", self.path)
        grammar.check_path("the context", self.context)


# Wheels are read before these: a project may depend on what they bring.
OtherStep = (
    AptStep
    | PackagesStep
    | RequirementsStep
    | LockStep
    | ProjectStep
    | ScriptStep
    | FilesStep
    | EnvStep
    | WorkdirStep
    | UserStep
    | RunStep
    | LabelsStep
    | EntrypointStep
    | DockerfileStep
)
Step = OtherStep | WheelStep


def _check_command(command: str) -> None:
    grammar.check_command("a run command", command)
    if not command.strip():
        raise SpecError("a run command is empty", hint="write a shell command")
    if command.lstrip().startswith("--"):
        raise SpecError(
            f"the run command {command.split(maxsplit=1)[0]!r} starts with an option",
            hint="run commands take no mounts or secrets in this version",
        )
