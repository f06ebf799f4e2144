"""From the options of a flow to what the session's calls take."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypedDict

from aweigh.errors import SettingsError
from aweigh.flow.target import Mount, Resources
from aweigh.settings import environment

if TYPE_CHECKING:
    import argparse
    from collections.abc import Mapping, Sequence

__all__ = ["Around", "around"]


class Around(TypedDict):
    """What a command is to find around it, as the session's calls take it.

    Attributes:
        env: Environment variables.
        secrets: Files in ``/run/secrets``, by name.
        resources: What it may use.
        mounts: What it sees of the machine.
    """

    env: Mapping[str, str]
    secrets: Mapping[str, str]
    resources: Resources
    mounts: tuple[Mount, ...]


def around(arguments: argparse.Namespace) -> Around:
    """Read what the options of a flow say.

    Raises:
        SettingsError: A value is to come from our environment and is not there.
        SpecError: A mount or a resource means nothing.
    """
    return Around(
        env=_values("--env", arguments.env),
        secrets=_values("--secret", arguments.secret),
        resources=Resources(
            cpus=arguments.cpus, memory=arguments.memory, gpus=arguments.gpus
        ),
        mounts=tuple(map(Mount.parse, arguments.mount)),
    )


def _values(option: str, texts: Sequence[str]) -> dict[str, str]:
    ours = environment()
    values: dict[str, str] = {}
    for text in texts:
        name, given, value = text.partition("=")
        if not given:
            if name not in ours:
                raise SettingsError(
                    f"{option} {name}: there is no variable of this name here",
                    hint=f"set it, or write {option} {name}=VALUE",
                )
            value = ours[name]
        values[name] = value
    return values
