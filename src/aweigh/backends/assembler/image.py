"""The config of the image that a spec describes, as a Dockerfile would leave it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aweigh.image.install import VENV
from aweigh.image.order import arrange, is_python
from aweigh.image.steps import (
    EntrypointStep,
    EnvStep,
    LabelsStep,
    UserStep,
    WorkdirStep,
)

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from aweigh.image.spec import ImageSpec
    from aweigh.oci.config import ImageConfig

__all__ = ["configured"]


def configured(
    base: ImageConfig,
    spec: ImageSpec,
    labels: Mapping[str, str],
    done: Collection[int] = (),
) -> ImageConfig:
    """Apply the steps of a spec to the config of its base, in their order.

    Args:
        base: The config of the base.
        spec: What is wanted.
        labels: Labels besides the spec's; they win.
        done: The numbers of the steps that the base holds.
    """
    config = base
    has_environment = any(is_python(spec.steps[number]) for number in done)
    for action in arrange(spec.steps):
        step = action.step
        if action.number in done:
            continue
        if is_python(step) and not has_environment:
            has_environment = True
            path = f"{VENV}/bin:{config.path}"
            config = config.with_environment({"VIRTUAL_ENV": VENV, "PATH": path})
        match step:
            case EnvStep(variables):
                config = config.with_environment(dict(variables))
            case WorkdirStep(path):
                config = config.with_workdir(path)
            case UserStep(user):
                config = config.with_user(user)
            case LabelsStep(found):
                config = config.with_labels(dict(found))
            case EntrypointStep(argv):
                config = config.with_entrypoint(argv)
            case _:
                pass
    return config.with_labels(labels) if labels else config
