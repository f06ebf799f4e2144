"""What a dev loop watches: the code, and what the image is made of."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from aweigh.image.steps import (
    DockerfileStep,
    FilesStep,
    LockStep,
    PackagesStep,
    ProjectStep,
    RequirementsStep,
    ScriptStep,
    WheelStep,
)
from aweigh.tree.rules import Rules

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from aweigh.image.spec import ImageSpec
    from aweigh.image.steps import Step

__all__ = ["Watched", "watched_by"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Watched:
    """A directory to be watched.

    Attributes:
        root: The directory.
        rules: What of it counts, its directories included; None for the names in the
            directory itself and no others.
    """

    root: Path
    rules: Rules | None

    @classmethod
    def at(cls, path: Path) -> Watched:
        """Watch a file where it lies, or all of a directory; blocks on the disk.

        A file is not watched itself: most editors put another one in its place.
        """
        if path.is_dir():
            return cls(root=path, rules=Rules())
        return cls(root=path.parent, rules=None)


def watched_by(spec: ImageSpec, root: Path) -> list[Watched]:
    """Say where the files are that a spec names; blocks on the disk.

    Args:
        spec: What is wanted.
        root: Where its relative paths start.
    """
    places = [Watched.at(root / path) for step in spec.steps for path in _paths(step)]
    return [place for place in dict.fromkeys(places) if place.root.is_dir()]


def _paths(step: Step) -> Iterator[str]:
    match step:
        case RequirementsStep(path=path) | LockStep(path=path) | ScriptStep(path=path):
            yield path
        case ProjectStep(path=path, install_project=whole):
            yield path if whole or path.endswith(".toml") else f"{path}/pyproject.toml"
        case PackagesStep():
            yield from (local.path for local in step.local.values())
        case WheelStep(globs=globs):
            yield from globs
        case FilesStep(source=source):
            yield source
        case DockerfileStep(path=path, context=context):
            yield path
            yield context
        case _:
            pass
