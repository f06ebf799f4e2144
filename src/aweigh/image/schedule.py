"""What a build does, in order: the steps of a spec and its planned Python layers."""

from __future__ import annotations

from dataclasses import replace
from itertools import groupby
from typing import TYPE_CHECKING

from aweigh.image.order import Action, arrange, is_python
from aweigh.image.plan import (
    MOST_LAYERS,
    MOST_PYTHON_LAYERS,
    Kind,
    PythonLayer,
    plan_layers,
)
from aweigh.image.steps import (
    AptStep,
    EnvStep,
    FilesStep,
    ProjectStep,
    RunStep,
    WheelStep,
    WorkdirStep,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from aweigh.image.lock import Lock, LockedWheel
    from aweigh.image.spec import ImageSpec
    from aweigh.image.steps import Step
    from aweigh.oci import Digest

__all__ = ["plan_build", "schedule"]

# The environment, and the copy of the lock beside it.
_OF_THE_ENVIRONMENT = 2
# What uv reads while it downloads and builds.
_READ_BY_UV = ("uv_", "ssl_", "netrc")


def plan_build(
    spec: ImageSpec, lock: Lock, *, base_layers: int
) -> tuple[PythonLayer, ...]:
    """Decide the Python layers of a whole image.

    Run steps are barriers: what is installed between two of them is planned on its
    own, and never again after the next. With ``optimize_layers=False`` each step is
    one layer instead.

    Args:
        spec: What is wanted.
        lock: What its steps install.
        base_layers: Layers of the base.

    Raises:
        SpecError: The image would have too many layers.
    """
    if not spec.optimize_layers:
        return tuple(_by_step(spec, lock))
    segments = _segments(spec.steps, lock.wheels)
    other = sum(map(_layers_of, spec.steps)) + _OF_THE_ENVIRONMENT
    room = min(MOST_PYTHON_LAYERS, MOST_LAYERS - base_layers - other)
    return tuple(
        layer
        for wheels in segments
        for layer in plan_layers(
            replace(lock, wheels=wheels),
            base_layers=base_layers,
            other_layers=other,
            most=room // len(segments),
        )
    )


def schedule(
    spec: ImageSpec, layers: Sequence[PythonLayer] | None
) -> list[Action | PythonLayer]:
    """Put steps and layers in the order in which they are carried out.

    Between two run steps: what the system needs, the Python layers, everything else.
    The order of what is no Python step stays the user's. A project whose wheel is not
    in the plan stays an action: it is built from its directory.

    Args:
        spec: What is wanted.
        layers: The plan; None leaves the Python steps as they are.
    """
    actions = arrange(spec.steps)
    if layers is None:
        return list(actions)
    if not spec.optimize_layers:
        return [item for action in actions for item in _in_place(action, layers)]
    done: list[Action | PythonLayer] = []
    steps = spec.steps
    for segment, found in groupby(actions, lambda one: _barriers(steps, one.number)):
        held = [one for one in layers if _barriers(steps, one.step) == segment]
        done += _settle(list(found), held)
    return done


def _settle(
    actions: list[Action], layers: list[PythonLayer]
) -> list[Action | PythonLayer]:
    """Replace the Python steps of one segment by its layers."""
    barrier = [action for action in actions if isinstance(action.step, RunStep)]
    others = [action for action in actions if action not in barrier]
    wheels = [wheel for layer in layers for wheel in layer.wheels]
    builds = any(not (wheel.is_wheel or wheel.first_party) for wheel in wheels)
    cut = _cut(others, layers, builds=builds)
    ahead = [action for action in others[:cut] if not is_python(action.step)]
    rest = [
        action
        for action in others
        if action not in ahead and not _planned(action, wheels)
    ]
    return [*barrier, *ahead, *layers, *rest]


def _cut(actions: list[Action], layers: list[PythonLayer], *, builds: bool) -> int:
    """Count the actions that stay ahead of the layers.

    These are system packages with all that was said before them, and what configures
    downloads. Where something is built, everything before it may matter.
    """
    last = max(
        (at for at, one in enumerate(actions) if is_python(one.step)), default=-1
    )
    needed = (
        at
        for at, action in enumerate(actions)
        if isinstance(action.step, AptStep)
        or (layers and at < last and (builds or _configures(action.step)))
    )
    return max(needed, default=-1) + 1


def _configures(step: Step) -> bool:
    """Whether uv may need a step to download: proxies, certificates, its own files."""
    match step:
        case EnvStep(variables):
            names = [name.lower() for name, _ in variables]
            return any(
                name.startswith(_READ_BY_UV) or name.endswith("_proxy")
                for name in names
            )
        case FilesStep(_, destination):
            return destination == "/" or f"{destination}/".startswith("/etc/")
        case _:
            return False


def _planned(action: Action, wheels: Iterable[LockedWheel]) -> bool:
    """Whether layers take an action's place; of a project they may have no wheel."""
    if _is_project(action):
        own = (wheel.step for wheel in wheels if wheel.first_party)
        return action.number in own
    return is_python(action.step)


def _is_project(action: Action) -> bool:
    return action.first_party and not isinstance(action.step, WheelStep)


def _in_place(
    action: Action, layers: Sequence[PythonLayer]
) -> Iterator[Action | PythonLayer]:
    """Put the layer of a step where the step was."""
    if is_python(action.step):
        yield from (layer for layer in layers if layer.name == _name(action))
    if not _planned(action, [one for layer in layers for one in layer.wheels]):
        yield action


def _by_step(spec: ImageSpec, lock: Lock) -> Iterator[PythonLayer]:
    wanted = list(_once(lock.wheels))
    for action in arrange(spec.steps):
        is_split = isinstance(action.step, ProjectStep) and action.step.install_project
        wheels = tuple(
            wheel
            for wheel in wanted
            if wheel.step == action.number
            and (not is_split or wheel.first_party is action.first_party)
        )
        if wheels:
            kind: Kind = "first-party" if action.first_party else "light"
            yield PythonLayer(kind=kind, wheels=wheels, name=_name(action))


def _name(action: Action) -> str:
    return f"{'project' if _is_project(action) else 'step'}-{action.number}"


def _segments(
    steps: Sequence[Step], wheels: Iterable[LockedWheel]
) -> list[tuple[LockedWheel, ...]]:
    """Part the wheels by the run steps before them."""
    ordered = sorted(_once(wheels), key=lambda wheel: wheel.step)
    parts = groupby(ordered, lambda wheel: _barriers(steps, wheel.step))
    return [tuple(found) for _, found in parts]


def _once(wheels: Iterable[LockedWheel]) -> Iterator[LockedWheel]:
    """Drop what an earlier step installed; keep the order."""
    held = list(wheels)
    first: dict[tuple[str, Digest], LockedWheel] = {}
    for wheel in sorted(held, key=lambda one: one.step):
        first.setdefault((wheel.name, wheel.digest), wheel)
    return (one for one in held if first[one.name, one.digest] is one)


def _barriers(steps: Sequence[Step], number: int) -> int:
    """Count the run steps up to a step, itself included."""
    return sum(isinstance(step, RunStep) for step in steps[: number + 1])


def _layers_of(step: Step) -> int:
    match step:
        case RunStep(commands):
            return len(commands)
        case AptStep() | FilesStep() | WorkdirStep():
            return 1
        case ProjectStep(install_project=installed):
            return int(installed)
        case _:
            return 0
