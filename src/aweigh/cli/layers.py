"""The layers of a plan as a table for people and as objects for programs."""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING, Any

from aweigh.cli.table import print_table
from aweigh.image.preview import decimal_size

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from aweigh.flow.explain import ImagePlan
    from aweigh.image.preview import (
        PlannedLayer,
        PlannedPackage,
        PlatformPlan,
        Reuse,
        Totals,
    )

__all__ = ["platform_json", "print_platform"]

_HEADER = ("layer", "size", "from", "why")


def platform_json(plan: PlatformPlan) -> dict[str, Any]:
    """Return one platform's layers as an object of plain values."""
    return {
        "platform": str(plan.platform),
        "exists": plan.exists,
        "builder": plan.builder or None,
        "layers": [_layer_json(layer) for layer in plan.layers],
        "totals": None if plan.totals is None else _totals_json(plan.totals),
        "in_base": [_package_json(package) for package in plan.in_base],
        "base": {
            "was": None if plan.base_was is None else str(plan.base_was),
            "is": None if plan.base_is is None else str(plan.base_is),
            "moved": plan.base_moved,
        },
        "note": plan.note or None,
        "failure": plan.failure or None,
        "hint": plan.hint or None,
    }


def print_platform(plan: PlatformPlan, image: ImagePlan) -> None:
    """Print one platform's layers, and what they add up to."""
    print(f"\n{plan.platform}: {_headline(plan)}")
    if plan.layers:
        print_table(_HEADER, list(_rows(plan, image)))
    for name, value in _facts(plan):
        print(f"  {name}: {value}")


def _layer_json(layer: PlannedLayer) -> dict[str, Any]:
    return {
        "name": layer.name,
        "kind": layer.kind,
        "why": layer.why,
        "packages": [_package_json(package) for package in layer.packages],
        "size": layer.size,
        "exact": layer.exact,
        "reuse": None if layer.reuse is None else _reuse_json(layer.reuse),
    }


def _reuse_json(reuse: Reuse) -> dict[str, Any]:
    return {
        "place": reuse.place,
        "source": reuse.source,
        "known_by": reuse.known_by,
    }


def _package_json(package: PlannedPackage) -> dict[str, Any]:
    return {
        "name": package.name,
        "version": package.version,
        "size": package.size,
    }


def _totals_json(totals: Totals) -> dict[str, Any]:
    return {
        "download": totals.download,
        "push": totals.push,
        "reused": totals.reused,
        "base_present": totals.base_present,
        "base_mounted": totals.base_mounted,
        "base_copied": totals.base_copied,
    }


def _headline(plan: PlatformPlan) -> str:
    if plan.failure:
        return "a build would fail"
    if not plan.layers:
        return "layers are not known"
    count = len(plan.layers)
    if plan.exists:
        return f"the image has {count} layers"
    if plan.builder == "engine":
        return f"an engine would carry out {count} step{'s' * (count > 1)}"
    made = sum(layer.reuse is None for layer in plan.layers)
    return f"{count} layers, {made} to be made"


def _rows(plan: PlatformPlan, image: ImagePlan) -> Iterator[Sequence[str]]:
    base = "the base" if image.base is None else str(image.base)
    for kind, found in groupby(plan.layers, lambda layer: layer.kind):
        layers = list(found)
        if kind == "base":
            yield _folded(layers, base)
        elif kind == "prefix" and all(layer.exact for layer in layers):
            yield _folded(layers, layers[0].why)
        else:
            yield from (_row(layer, plan) for layer in layers)


def _folded(layers: Sequence[PlannedLayer], why: str) -> Sequence[str]:
    """Write the layers of the base, or of one prefix image, as one row."""
    places = [_place(layer.reuse) for layer in layers]
    counts = [f"{places.count(place)} {place}" for place in dict.fromkeys(places)]
    size = sum(layer.size or 0 for layer in layers)
    told = counts[0].partition(" ")[2] if len(counts) == 1 else ", ".join(counts)
    return (f"{layers[0].kind} ({len(layers)})", decimal_size(size), told, why)


def _row(layer: PlannedLayer, plan: PlatformPlan) -> Sequence[str]:
    size = "?" if layer.size is None else decimal_size(layer.size)
    if layer.size is not None and not layer.exact:
        size = f"~{size}"
    why = layer.why
    if layer.reuse is not None and layer.reuse.place == "mount":
        why += f" (in {layer.reuse.source})"
    made = "engine" if plan.builder == "engine" else "to be made"
    place = made if layer.reuse is None else _place(layer.reuse)
    return (layer.name, size, place, why)


def _place(reuse: Reuse | None) -> str:
    match reuse:
        case None:
            return "engine"
        case _ if reuse.place == "mount":
            return "mounted"
        case _ if reuse.place == "copy":
            return "copied"
        case _ if reuse.known_by == "memory":
            return "there (remembered)"
        case _:
            return "there"


def _facts(plan: PlatformPlan) -> Iterator[tuple[str, str]]:
    if plan.failure:
        yield "error", plan.failure
    if plan.hint:
        yield "hint", plan.hint
    if plan.note:
        yield "note", plan.note
    if plan.totals is not None:
        pushed = decimal_size(plan.totals.push)
        if any(layer.packages and layer.reuse is None for layer in plan.layers):
            pushed += " by the size of the wheels; bytecode comes on top"
        yield "to push", f"about {pushed}"
        yield "to download", f"at most {decimal_size(plan.totals.download)}"
        yield "reused", decimal_size(plan.totals.reused)
    if plan.in_base:
        names = (f"{one.name} {one.version}" for one in plan.in_base)
        yield "in the base already", ", ".join(names)
    if plan.base_was is not None and plan.base_moved:
        was = plan.base_was.hex[:12]
        yield "base", f"its tag has moved since the image was built from {was}"
        yield "hint", "aweigh ensure --rebuild starts from what it means now"
    elif plan.base_moved is False:
        yield "base", "its tag still means what the image was built from"
