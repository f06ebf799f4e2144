"""Which step of a spec needs an engine: one that executes something in the image."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from aweigh.image.order import is_python
from aweigh.image.steps import (
    AptStep,
    DockerfileStep,
    FilesStep,
    RunStep,
    Step,
)

if TYPE_CHECKING:
    from collections.abc import Collection

    from aweigh.image.spec import ImageSpec

__all__ = ["installs_python", "needs_engine", "only_engine"]

# Everybody may write there; a layer of ours can only say 0755.
_OPEN_DIRECTORIES: Final = ("/tmp", "/var/tmp", "/dev/shm", "/run/lock")  # noqa: S108


def needs_engine(spec: ImageSpec, done: Collection[int] = ()) -> str | None:
    """Name the first step that only an engine can carry out, or None.

    Args:
        spec: What is wanted.
        done: The numbers of steps that do not count: the base holds them.
    """
    for number, step in enumerate(spec.steps):
        wanted = _wanted(step)
        if wanted and number not in done:
            return f"step {number}, {wanted}"
    return None


def only_engine(step: Step) -> bool:
    """Whether only an engine can carry out a step."""
    return bool(_wanted(step))


def installs_python(spec: ImageSpec, done: Collection[int] = ()) -> bool:
    """Whether any step that is not done brings Python packages."""
    return any(
        is_python(step) for number, step in enumerate(spec.steps) if number not in done
    )


def _wanted(step: Step) -> str:
    match step:
        case AptStep(packages):
            return f"with_apt({packages[0]!r})"
        case RunStep(commands):
            return f"with_run({commands[0]!r})"
        case DockerfileStep(path):
            return f"the Dockerfile {path}"
        case FilesStep(_, destination) if _is_open(destination):
            return f"with_files to {destination}"
        case _:
            return ""


def _is_open(destination: str) -> bool:
    return any(
        destination == place or destination.startswith(f"{place}/")
        for place in _OPEN_DIRECTORIES
    )
