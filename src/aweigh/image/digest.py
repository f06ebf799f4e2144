"""The digest of a spec and the files it names: what the image is a function of."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, assert_never

from aweigh.image.grammar import is_url
from aweigh.image.local_requirement import LocalRequirement
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
    Step,
    UserStep,
    WheelStep,
    WorkdirStep,
)
from aweigh.memory import digest_parts
from aweigh.oci import Digest, Reference

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from aweigh.archive.member import Member

__all__ = ["copy_destination", "members_digest", "spec_digest"]

# Raised when equal specs are to become other images than before.
_FORMAT = "aweigh-image-1"

_Value = str | bool | None | tuple["_Value", ...]


def spec_digest(
    base: Reference | None,
    python: str,
    steps: Sequence[Step],
    members: Sequence[tuple[Member, ...]],
    dockerfile: str,
    *,
    optimize_layers: bool = True,
) -> Digest:
    """Digest a spec whose files were read.

    All parts are length-prefixed and every step is a digest of its own, so nothing can
    run on into its neighbour. Where on this machine a file was found is no part.

    Args:
        base: The base, or None when a Dockerfile names it.
        python: The Python version, ``X.Y`` or empty.
        steps: The steps in order.
        members: The files of each step.
        dockerfile: The text of the Dockerfile, when the spec is one.
        optimize_layers: Whether layers are planned; a part only when they are not.
    """
    parts: list[str | bytes] = [_FORMAT, str(base or ""), python, dockerfile]
    for step, files in zip(steps, members, strict=True):
        kind, arguments = _identity(step, files)
        held = (_member(member) for member in files)
        parts.append(digest_parts([kind, _canonical(arguments), *held]))
    # Shorter than any step's digest, so that it cannot be one.
    parts += [] if optimize_layers else ["one layer per step"]
    return Digest(digest_parts(parts).hex())


def members_digest(members: Iterable[Member]) -> Digest:
    """Digest some files: their paths, kinds, exec bits and content."""
    return Digest(digest_parts(map(_member, members)).hex())


def copy_destination(step: FilesStep, *, is_file: bool) -> str:
    """Return where the files go: for a file its own path, complete."""
    if is_file and step.destination.endswith("/"):
        return step.destination + os.path.basename(step.source)  # noqa: PTH119
    return step.destination


def _identity(step: Step, files: tuple[Member, ...]) -> tuple[str, _Value]:  # noqa: C901, PLR0911, PLR0912 - one line per kind of step
    """Return the kind and the arguments; what was read is in the members."""
    match step:
        case AptStep(packages):
            return "apt", packages
        case PackagesStep(requirements, options):
            wanted = tuple(map(_requirement, requirements))
            return "packages", (wanted, _options(options))
        case RequirementsStep(_, options):
            return "requirements", _options(options)
        case LockStep():
            return "lock", None
        case ProjectStep(_, extras, groups, install_project):
            return "project", (extras, groups, install_project)
        case WheelStep():
            return "wheel", None
        case ScriptStep():
            return "script", None
        case FilesStep():
            is_file = files[0].kind == "file"
            return "files", copy_destination(step, is_file=is_file)
        case EnvStep(variables):
            return "env", variables
        case WorkdirStep(path):
            return "workdir", path
        case UserStep(user):
            return "user", user
        case RunStep(commands):
            return "run", commands
        case LabelsStep(labels):
            return "labels", labels
        case EntrypointStep(argv):
            return "entrypoint", argv
        case DockerfileStep():
            return "dockerfile", None
        case _:
            assert_never(step)


def _requirement(text: str) -> _Value:
    local = LocalRequirement.parse(text)
    return text if local is None else (local.extras, local.marker)


def _options(options: IndexOptions) -> _Value:
    links = tuple(link if is_url(link) else None for link in options.find_links)
    return (options.index_url, options.extra_index_urls, links, options.pre)


def _canonical(value: _Value) -> bytes:
    match value:
        case None:
            return digest_parts(["none"])
        case bool():
            return digest_parts(["bool", "1" if value else "0"])
        case str():
            return digest_parts(["text", value])
        case tuple():
            return digest_parts(["list", *map(_canonical, value)])


def _member(member: Member) -> bytes:
    return digest_parts(
        [
            os.fsencode(member.path),
            member.kind,
            "x" if member.executable else "-",
            os.fsencode(member.target),
            str(member.digest or ""),
        ]
    )
