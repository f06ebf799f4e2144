"""The order in which steps are carried out: first-party code after its dependencies."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from aweigh.image.steps import (
    LockStep,
    PackagesStep,
    ProjectStep,
    RequirementsStep,
    RunStep,
    ScriptStep,
    Step,
    WheelStep,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["Action", "arrange", "is_python"]

_THIRD_PARTY = (LockStep, PackagesStep, ProjectStep, RequirementsStep, ScriptStep)


@dataclass(frozen=True, slots=True)
class Action:
    """One thing to do for a step.

    Attributes:
        number: The step's place in the spec, which its context paths have too.
        step: The step.
        first_party: Whether it is wheels, or the project of a project step.
    """

    number: int
    step: Step
    first_party: bool = False


def arrange(steps: Sequence[Step]) -> list[Action]:
    """Put wheels and projects after the other Python steps.

    First-party code changes most often, so nothing that is slow to install comes after
    it. It moves no further than needed, and never across a run step. Everything else
    keeps its place.
    """
    arranged: list[Action] = []
    segment: list[Action] = []
    for number, step in enumerate(steps):
        if isinstance(step, RunStep):
            arranged += [*_settle(segment), Action(number, step)]
            segment = []
        else:
            segment += _split(number, step)
    return arranged + _settle(segment)


def is_python(step: Step) -> bool:
    """Whether a step installs Python packages."""
    return isinstance(step, (*_THIRD_PARTY, WheelStep))


def _split(number: int, step: Step) -> list[Action]:
    match step:
        case WheelStep():
            return [Action(number, step, first_party=True)]
        case ProjectStep(install_project=True):
            return [Action(number, step), Action(number, step, first_party=True)]
        case _:
            return [Action(number, step)]


def _settle(segment: list[Action]) -> list[Action]:
    """Move first-party actions behind the last third-party one."""
    last = max(
        (at for at, action in enumerate(segment) if _is_third(action)), default=-1
    )
    early, late = segment[: last + 1], segment[last + 1 :]
    return [
        *(action for action in early if not action.first_party),
        *(action for action in early if action.first_party),
        *late,
    ]


def _is_third(action: Action) -> bool:
    return isinstance(action.step, _THIRD_PARTY) and not action.first_party
