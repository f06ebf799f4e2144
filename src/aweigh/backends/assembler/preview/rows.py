"""The layers of a plan as rows that say why each is there."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from aweigh.backends.assembler.layers.memo import ENVIRONMENT
from aweigh.image.order import Action
from aweigh.image.plan import HEAVY_BYTES
from aweigh.image.preview import PlannedLayer, PlannedPackage, Reuse, decimal_size
from aweigh.image.schedule import schedule
from aweigh.image.steps import (
    AptStep,
    DockerfileStep,
    EntrypointStep,
    EnvStep,
    FilesStep,
    LabelsStep,
    ProjectStep,
    RunStep,
    UserStep,
    WorkdirStep,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from aweigh.backends.assembler.bases.base import Base
    from aweigh.backends.assembler.layers.files import FilesLayer
    from aweigh.backends.assembler.planning import ImagePlan
    from aweigh.backends.assembler.preview.whereabouts import Known
    from aweigh.image.build import BuildRequest
    from aweigh.image.lock import Lock, LockedWheel
    from aweigh.image.plan import PythonLayer
    from aweigh.image.steps import Step
    from aweigh.oci import Reference

__all__ = [
    "assembled_rows",
    "base_rows",
    "engine_rows",
    "in_base",
    "on_prefix",
    "prefix_rows",
    "python_row",
    "upon",
]

_SHOWN_NAMES: Final = 4
# They are written into the image's config.
_NO_LAYER: Final = (EntrypointStep, EnvStep, LabelsStep, UserStep)


def base_rows(base: Base, found: Sequence[Reuse]) -> Iterator[PlannedLayer]:
    """Tell of the layers of a base."""
    for layer, reuse in zip(base.manifest.layers, found, strict=True):
        yield PlannedLayer(
            name=f"base {layer.digest.hex[:12]}",
            kind="base",
            why=str(base.reference),
            size=layer.size,
            exact=True,
            reuse=reuse,
        )


def on_prefix(
    rows: Sequence[PlannedLayer], reference: Reference, tag: str
) -> tuple[PlannedLayer, ...]:
    """Call what a prefix image has by its name."""
    why = f"prefix image: {tag} exists"
    below = [row for row in rows if row.kind == "base"]
    above = [row for row in rows if row.kind != "base"]
    if not below:
        there = Reuse(place="repository", source=reference.name, known_by="registry")
        return (PlannedLayer(name=tag, kind="prefix", why=why, reuse=there), *above)
    renamed = (
        replace(row, name=f"prefix {row.name[5:]}", kind="prefix", why=why)
        for row in below
    )
    return (*renamed, *above)


def prefix_rows(rows: Iterable[PlannedLayer]) -> tuple[PlannedLayer, ...]:
    """Tell of the layers of a prefix image that would be built."""
    return tuple(
        row
        if row.kind in {"base", "prefix"}
        else replace(row, kind="prefix", why=f"prefix image: {row.why}")
        for row in rows
    )


def upon(
    below: Sequence[PlannedLayer], above: Sequence[PlannedLayer]
) -> tuple[PlannedLayer, ...]:
    """Put a prefix image that would be built under what was planned on its base."""
    prefix = [row for row in prefix_rows(below) if row.kind == "prefix"]
    base = [row for row in above if row.kind == "base"]
    return (*base, *prefix, *(row for row in above if row.kind != "base"))


def assembled_rows(
    plan: ImagePlan, found: Sequence[Known | None]
) -> Iterator[PlannedLayer]:
    """Tell of the layers that the assembler puts on a base."""
    rows = [python_row(layer) for layer in plan.python]
    if plan.lock is not None:
        rows.append(_environment_row(plan.lock))
    rows += map(_files_row, plan.files)
    for row, known in zip(rows, found, strict=True):
        yield row if known is None else _known(row, known)


def engine_rows(request: BuildRequest) -> Iterator[PlannedLayer]:
    """Tell of what an engine would do for a pinned request, in its order."""
    for item in schedule(request.spec, request.layers):
        if not isinstance(item, Action):
            yield python_row(item)
        elif not isinstance(item.step, _NO_LAYER) and item.number not in request.done:
            yield _action_row(item)
    if request.lock is not None and request.layers:
        yield _environment_row(request.lock)


def in_base(plan: ImagePlan) -> tuple[PlannedPackage, ...]:
    """Return what of a plan's lock its base has in the same version."""
    if plan.lock is None or plan.facts is None:
        return ()
    there = set(plan.facts.distributions)
    return tuple(
        _package(wheel)
        for wheel in plan.lock.wheels
        if (wheel.name, wheel.version) in there
    )


def python_row(layer: PythonLayer) -> PlannedLayer:
    """Tell of a layer of wheels; its size is about that of the wheels."""
    known = all(wheel.size is not None for wheel in layer.wheels)
    return PlannedLayer(
        name=layer.name,
        kind=layer.kind,
        why=_why(layer),
        packages=tuple(map(_package, layer.wheels)),
        size=layer.size if known else None,
    )


def _package(wheel: LockedWheel) -> PlannedPackage:
    return PlannedPackage(name=wheel.name, version=wheel.version, size=wheel.size)


def _why(layer: PythonLayer) -> str:
    names = [wheel.name for wheel in layer.wheels]
    told = ", ".join(names[:_SHOWN_NAMES])
    if len(names) > _SHOWN_NAMES:
        told += f" and {len(names) - _SHOWN_NAMES} more"
    kind, _, number = layer.name.rpartition("-")
    if kind in {"step", "project"}:
        return f"step {number}, in your order: {told}"
    match layer.kind:
        case "heavy":
            return f"{told} {_weight(layer)}: a layer of its own"
        case "light":
            limit = decimal_size(HEAVY_BYTES)
            return f"below {limit}, group {number} by name: {told}"
        case "first-party":
            return f"your own, last because it changes most often: {told}"


def _weight(layer: PythonLayer) -> str:
    size = layer.wheels[0].size
    return "is known to be large" if size is None else f"is {decimal_size(size)}"


def _known(row: PlannedLayer, known: Known) -> PlannedLayer:
    return PlannedLayer(
        name=row.name,
        kind=row.kind,
        why=row.why,
        packages=row.packages,
        size=known.layer.descriptor.size,
        exact=True,
        reuse=known.reuse,
    )


def _environment_row(lock: Lock) -> PlannedLayer:
    return PlannedLayer(
        name=ENVIRONMENT,
        kind="environment",
        why=f"the environment itself and its lock of {len(lock.wheels)} packages",
        size=len(lock.text.encode()),
    )


def _files_row(layer: FilesLayer) -> PlannedLayer:
    entries = f"{len(layer.members)} entries"
    return PlannedLayer(
        name=layer.name,
        kind="files",
        why=f"with_{layer.name}: {entries}",
        size=sum(member.size for member in layer.members),
    )


def _action_row(action: Action) -> PlannedLayer:
    match action.step:
        case FilesStep(_, destination):
            return PlannedLayer(
                name=f"files {destination}", kind="files", why="with_files"
            )
        case WorkdirStep(path):
            return PlannedLayer(
                name=f"workdir {path}", kind="files", why="with_workdir"
            )
        case ProjectStep(path) if action.first_party:
            why = f"your own, built from its directory: {path}"
            name = f"project-{action.number}"
            return PlannedLayer(name=name, kind="first-party", why=why)
        case step:
            name = f"step-{action.number}"
            return PlannedLayer(name=name, kind="engine", why=f"engine: {_call(step)}")


def _call(step: Step) -> str:
    """Say what only an engine can do, as it was written."""
    match step:
        case AptStep(words):
            return f"with_apt({', '.join(map(repr, words))})"
        case RunStep(words):
            return f"with_run({', '.join(map(repr, words))})"
        case DockerfileStep(path):
            return f"{path} says what is in it"
        case _:
            return "it decides the versions of these packages"
