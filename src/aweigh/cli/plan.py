"""A plan as a table for people and as an object for programs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aweigh.cli.layers import platform_json, print_platform
from aweigh.cli.output import readable_entries, readable_size

if TYPE_CHECKING:
    from aweigh.bundle.explain import BundlePlan
    from aweigh.flow.explain import ImagePlan, Plan

__all__ = ["plan_json", "print_plan"]


def plan_json(plan: Plan) -> dict[str, Any]:
    """Return a plan as an object of plain values."""
    image = plan.image
    document: dict[str, Any] = {
        "image": {
            "reference": str(image.reference),
            "spec_digest": str(image.spec_digest),
            "platforms": sorted(map(str, image.platforms)),
            "base": None if image.base is None else str(image.base),
            "steps": list(image.steps),
            "tier": image.tier,
            "reason": image.reason,
            "digest": None if image.digest is None else str(image.digest),
            "plans": [platform_json(one) for one in image.plans],
        }
    }
    if plan.bundle is not None:
        bundle = plan.bundle
        document["bundle"] = {
            "uri": bundle.uri,
            "digest": str(bundle.digest),
            "files": bundle.files,
            "size": bundle.size,
            "tier": bundle.tier,
            "reason": bundle.reason,
        }
    return document


def print_plan(plan: Plan) -> None:
    """Print what would happen, why, and from what."""
    _print_image(plan.image)
    if plan.bundle is not None:
        if plan.image.plans:
            print()
        _print_bundle(plan.bundle)


def _print_image(image: ImagePlan) -> None:
    _row("image", str(image.reference))
    _row("answer", f"{image.tier}: {image.reason}")
    _row("platforms", ", ".join(sorted(map(str, image.platforms))))
    _row("spec digest", str(image.spec_digest))
    if image.digest is not None:
        _row("image digest", str(image.digest))
    if image.base is not None:
        _row("base", str(image.base))
    for step in image.steps:
        _row("step", step)
    for plan in image.plans:
        print_platform(plan, image)


def _print_bundle(bundle: BundlePlan) -> None:
    _row("bundle", bundle.uri)
    _row("answer", f"{bundle.tier}: {bundle.reason}")
    count, size = readable_entries(bundle.files), readable_size(bundle.size)
    _row("content", f"{count}, {size}")


def _row(name: str, value: str) -> None:
    print(f"{name:13} {value}")
