"""Which steps an engine carries out, and which images they are parted into."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import groupby
from typing import TYPE_CHECKING

from aweigh.image.digest import spec_digest
from aweigh.image.order import Action, arrange, is_python
from aweigh.image.snapshot import Snapshot
from aweigh.image.steps import (
    AptStep,
    EntrypointStep,
    FilesStep,
    LabelsStep,
    RunStep,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Sequence

    from aweigh.archive.member import Member
    from aweigh.image.spec import ImageSpec
    from aweigh.image.steps import Step

__all__ = ["Prefix", "Segment", "prefix_of", "segments", "take_part"]

# What no command sees that runs in an image.
_LAST = (EntrypointStep, LabelsStep)


@dataclass(frozen=True, slots=True)
class Segment:
    """Steps that one builder carries out.

    Attributes:
        steps: Their numbers in the spec, in the order in which they are carried out.
        engine: Whether that takes an engine.
    """

    steps: tuple[int, ...]
    engine: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Prefix:
    """The steps of a spec that are an image of their own, below the rest.

    Attributes:
        steps: Their numbers.
        environments: How many of its segments install Python packages.
    """

    steps: frozenset[int]
    environments: int = 0


def segments(
    spec: ImageSpec, needs_engine: Callable[[Step], bool]
) -> tuple[Segment, ...]:
    """Part the steps of a spec; segments with and without an engine alternate.

    Between two run steps that is what the system needs, then Python packages, then
    everything else; with ``optimize_layers=False`` it is the user's own order. Labels
    and the entrypoint come last. An engine takes along what other steps come before
    its own, unless there are packages among them: those are worth an image. Files do
    begin an image: that they change is no reason to repeat what was before them.

    Args:
        spec: What is wanted.
        needs_engine: Whether only an engine can carry out a step.
    """
    engine = frozenset(_of_the_engine(spec, needs_engine))
    last = tuple(n for n, step in enumerate(spec.steps) if isinstance(step, _LAST))
    ordered = [number for number in _sequence(spec) if number not in last]
    alternating = [
        Segment(tuple(found), is_engine)
        for is_engine, found in groupby(ordered, engine.__contains__)
    ]
    joined = _joined(alternating, spec.steps)
    if not last:
        return tuple(joined)
    top = joined.pop() if joined else Segment((), engine=False)
    return (*joined, replace(top, steps=top.steps + last))


def prefix_of(
    spec: ImageSpec,
    needs_engine: Callable[[Step], bool],
    *,
    has_engine: bool = True,
) -> Prefix | None:
    """Return what of a spec is to be an image of its own; None: nothing is.

    Args:
        spec: What is wanted.
        needs_engine: Whether only an engine can carry out a step.
        has_engine: Whether there is one: else nothing is made for its sake.
    """
    *below, top = segments(spec, needs_engine) or (Segment((), engine=False),)
    if not below or (top.engine and not has_engine):
        return None
    return Prefix(
        steps=frozenset(number for one in below for number in one.steps),
        environments=sum(_installs(one, spec.steps) for one in below),
    )


def take_part(
    spec: ImageSpec, snapshot: Snapshot, steps: Collection[int]
) -> tuple[ImageSpec, Snapshot]:
    """Return the spec of some steps, and its snapshot out of the whole's.

    It is the spec that somebody would write for these steps alone, in the same order,
    on the same base: so equal parts of different specs are one image.
    """
    numbers = sorted(steps)
    part = spec.replace(
        base=None if snapshot.base is None else str(snapshot.base),
        python=snapshot.python or None,
        steps=tuple(spec.steps[number] for number in numbers),
    )
    members = [tuple(_moved(snapshot, old, new)) for new, old in enumerate(numbers)]
    return part, Snapshot(
        members=tuple(member for files in members for member in files),
        digest=spec_digest(
            snapshot.base,
            snapshot.python,
            part.steps,
            members,
            "",
            optimize_layers=spec.optimize_layers,
        ),
        python=snapshot.python,
        base=snapshot.base,
    )


def _moved(snapshot: Snapshot, old: int, new: int) -> Iterator[Member]:
    before, after = f"steps/{old}/", f"steps/{new}/"
    for member in snapshot.members:
        if member.path.startswith(before):
            yield replace(member, path=after + member.path.removeprefix(before))


def _of_the_engine(
    spec: ImageSpec, needs_engine: Callable[[Step], bool]
) -> Iterator[int]:
    """Name the engine's steps; Python packages between two run steps stay together."""
    for group in _groups(spec):
        wanted = {one.number for one in group if needs_engine(one.step)}
        python = {one.number for one in group if is_python(one.step)}
        yield from wanted | (python if wanted & python else set())


def _sequence(spec: ImageSpec) -> list[int]:
    """Order the numbers of the steps as they are carried out."""
    found = (
        action.number
        for group in _groups(spec)
        for action in (_settled(group) if spec.optimize_layers else group)
    )
    return list(dict.fromkeys(found))


def _groups(spec: ImageSpec) -> list[list[Action]]:
    """Part the actions before each run step."""
    groups: list[list[Action]] = [[]]
    for action in arrange(spec.steps):
        if isinstance(action.step, RunStep):
            groups.append([])
        groups[-1].append(action)
    return groups


def _settled(group: list[Action]) -> list[Action]:
    """Put system packages first, with all that was said before them."""
    apt = (at for at, one in enumerate(group) if isinstance(one.step, AptStep))
    cut = max(apt, default=-1) + 1
    run = [one for one in group if isinstance(one.step, RunStep)]
    ahead = [one for one in group[:cut] if not is_python(one.step)]
    python = [one for one in group if is_python(one.step)]
    ordered = dict.fromkeys([*run, *ahead, *python, *group])
    return list(ordered)


def _joined(alternating: Sequence[Segment], steps: Sequence[Step]) -> list[Segment]:
    """Leave to the engine what is not worth an image of its own."""
    joined: list[Segment] = []
    held: tuple[int, ...] = ()
    for at, segment in enumerate(alternating, 1):
        if segment.engine:
            joined.append(replace(segment, steps=held + segment.steps))
            held = ()
        elif at == len(alternating) or _installs(segment, steps):
            joined.append(segment)
        elif joined and joined[-1].engine and not _copies(segment, steps):
            held = joined.pop().steps + segment.steps
        else:
            held = segment.steps
    return joined


def _installs(segment: Segment, steps: Sequence[Step]) -> bool:
    return any(is_python(steps[number]) for number in segment.steps)


def _copies(segment: Segment, steps: Sequence[Step]) -> bool:
    return any(isinstance(steps[number], FilesStep) for number in segment.steps)
