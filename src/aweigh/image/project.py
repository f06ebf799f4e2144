"""Projects, locks and scripts: what they need of the context, and of Python."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING

from aweigh.errors import SpecError
from aweigh.image.grammar import check_requirement
from aweigh.image.local_packages import local_sources, lock_locals, take_along
from aweigh.image.local_requirement import read_local

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator
    from pathlib import Path

    from aweigh.archive.member import Member
    from aweigh.image.sources import Sources
    from aweigh.image.steps import LockStep, ProjectStep, ScriptStep

__all__ = ["read_lock", "read_project", "read_script"]

_PYLOCK = re.compile(r"pylock(?:\.[^.]+)?\.toml")
# The reference expression of PEP 723.
_BLOCK = re.compile(
    r"(?m)^# /// (?P<type>[a-zA-Z0-9-]+)$\s(?P<content>(^#(| .*)$\s)+)^# ///$"
)
_AS_PROJECT = '[project]\nname = "aweigh-script"\nversion = "0"\n'
_WHEEL_HINT = "build wheels of them and add those with with_wheel"


def read_lock(step: LockStep, sources: Sources) -> tuple[Member, ...]:
    """Read a ``pylock.toml``, with the local projects and files that it locks.

    Raises:
        SpecError: It cannot be read, has another name, or locks something local that
            is no project or not what was locked.
        TreeError: A local project cannot be read.
    """
    path = sources.locate(step.path)
    if not _PYLOCK.fullmatch(path.name):
        raise SpecError(
            f"{sources.step}: {path.name} is no pylock.toml",
            hint="uv.lock goes in with with_project, requirements.txt with "
            "with_requirements; or: uv export --format pylock.toml",
        )
    text = sources.read_text(path)
    text, members = take_along(path, text, sources)
    return (sources.keep("pylock.toml", text.encode()), *members)


def read_project(
    step: ProjectStep, sources: Sources, wheels: Collection[str]
) -> tuple[tuple[Member, ...], str]:
    """Read a project; return its members and its requires-python.

    Args:
        step: The step.
        sources: Where to read.
        wheels: Normalised names of projects that the spec brings as wheels.

    Raises:
        SpecError: A file is missing or malformed, an extra or group is unknown, or it
            depends on local projects and has no lock that says where they are.
        TreeError: Something in a local project cannot be read.
    """
    path = sources.locate(step.path)
    path = path if path.suffix == ".toml" else path / "pyproject.toml"
    text = sources.read_text(path)
    document = sources.parse_toml(path, text)
    _check_choice(step, sources, path, document)
    members = [sources.keep("pyproject.toml", text.encode())]
    lock = path.with_name("uv.lock")
    if lock.is_file():
        locked = sources.read_text(lock)
        members.append(sources.keep("uv.lock", locked.encode()))
        found = lock_locals(sources.parse_toml(lock, locked), step.extras, step.groups)
        members.extend(_local_projects(path.parent, found, sources, wheels))
    else:
        _check_static(sources, path, document)
        if missing := local_sources(document):
            raise SpecError(
                f"{sources.step}: {path} depends on the local "
                f"{', '.join(sorted(missing))}",
                hint="lock it, so that it is known where they are (uv lock); of a "
                "workspace, name the directory that has the uv.lock",
            )
    if step.install_project:
        members.extend(sources.tree(path.parent, "project"))
    return tuple(members), _requires_python(_table(document, "project"))


def _local_projects(
    root: Path, found: Mapping[str, str], sources: Sources, wheels: Collection[str]
) -> Iterator[Member]:
    """Read what a lock takes from this machine and the spec brings no wheel of."""
    places = {name: at for name, at in sorted(found.items()) if name not in wheels}
    for key, place in enumerate(places.values()):
        yield from read_local(root / place, str(key), sources)[1]


def read_script(step: ScriptStep, sources: Sources) -> tuple[tuple[Member, ...], str]:
    """Read a script's PEP 723 block; return it and its requires-python.

    The member is a script with nothing but the block, so that other edits of the
    script are no change. Where the block has settings of uv's, there is a
    ``pyproject.toml`` of the same content too.

    Raises:
        SpecError: There is no block, two of them, or it is malformed.
    """
    path = sources.locate(step.path)
    text = sources.read_text(path).replace("\r\n", "\n")
    blocks = [match for match in _BLOCK.finditer(text) if match["type"] == "script"]
    if len(blocks) != 1:
        raise SpecError(
            f"{sources.step}: {path} has {len(blocks)} script blocks (PEP 723)",
            hint='it needs one: "# /// script", the dependencies, "# ///"',
        )
    lines = blocks[0]["content"].splitlines()
    content = "\n".join(line.removeprefix("#").removeprefix(" ") for line in lines)
    document = sources.parse_toml(path, content)
    dependencies = document.get("dependencies", [])
    if not isinstance(dependencies, list):
        raise SpecError(
            f"{sources.step}: {path}: dependencies is no list", hint="write a list"
        )
    for dependency in dependencies:
        check_requirement(dependency)
    if missing := local_sources(document):
        raise SpecError(
            f"{sources.step}: {path} depends on the local {', '.join(sorted(missing))}",
            hint=_WHEEL_HINT,
        )
    members = [sources.keep("script.py", f"{blocks[0][0]}\n".encode())]
    if _table(_table(document, "tool"), "uv"):
        # uv reads the indexes of a project's file, but not those of a script.
        project = f"{_AS_PROJECT}{content}\n"
        members.append(sources.keep("pyproject.toml", project.encode()))
    return tuple(members), _requires_python(document)


def _requires_python(table: Mapping[str, object]) -> str:
    found = table.get("requires-python", "")
    return found if isinstance(found, str) else ""


def _table(document: Mapping[str, object], key: str) -> Mapping[str, object]:
    found = document.get(key, {})
    return found if isinstance(found, Mapping) else {}


def _check_choice(
    step: ProjectStep, sources: Sources, path: Path, document: Mapping[str, object]
) -> None:
    project = _table(document, "project")
    for what, wanted, known in (
        ("extra", step.extras, _table(project, "optional-dependencies")),
        ("group", step.groups, _table(document, "dependency-groups")),
    ):
        names = {_normalised(name) for name in known}
        for name in wanted:
            if _normalised(name) not in names:
                raise SpecError(
                    f"{sources.step}: {path} has no {what} {name!r}",
                    hint=f"it has: {', '.join(sorted(known)) or 'none'}",
                )


def _normalised(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _check_static(sources: Sources, path: Path, document: Mapping[str, object]) -> None:
    dynamic = _table(document, "project").get("dynamic", [])
    if isinstance(dynamic, list) and "dependencies" in dynamic:
        raise SpecError(
            f"{sources.step}: {path} computes its dependencies when it is built",
            hint="lock them with: uv lock",
        )
