"""From the options of a flow to what the session's calls take."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from aweigh.errors import SettingsError
from aweigh.flow.target import Mount, Resources
from aweigh.settings import environment

if TYPE_CHECKING:
    import argparse
    from collections.abc import Mapping, Sequence
    from typing import Self

__all__ = ["Around"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Around:
    """What a command is to find around it.

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

    @classmethod
    def of(cls, arguments: argparse.Namespace) -> Self:
        """Read them.

        Raises:
            SettingsError: A value is to come from our environment and is not there.
            SpecError: A mount or a resource means nothing.
        """
        return cls(
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
