"""What is to run, as people ask for it: a command and what it needs around it."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from aweigh.errors import SpecError
from aweigh.flow.target import Mount, Resources, Task

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Self

    from aweigh.flow.load import Loaded

__all__ = ["BUNDLE_LABEL", "SPEC_LABEL", "Work", "service_name", "task_name"]

# Labels of what a target starts: which code it is, for targets that fetch it
# themselves, and which image without the code.
BUNDLE_LABEL: Final = "aweigh.bundle"
SPEC_LABEL: Final = "aweigh.image"

# Python keeps what it writes into a pipe until there is much of it.
_SAID_AT_ONCE: Final[dict[str, str]] = {"PYTHONUNBUFFERED": "1"}
_VARIABLE: Final = re.compile(r"[^=\0]+")
_FILE_NAME: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,254}")
_SERVICE: Final = re.compile(r"[a-z0-9]([a-z0-9-]{0,46}[a-z0-9])?")
_NOT_IN_NAMES: Final = re.compile(r"[^a-z0-9]+")
_LONGEST: Final = 40


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """A command with its surroundings, before anybody knows which image it runs in.

    Attributes:
        command: Program and arguments.
        env: Environment variables.
        secrets: What is to be found in ``/run/secrets``, by file name.
        resources: What it may use.
        mounts: What it sees of the machine.
    """

    command: tuple[str, ...]
    env: dict[str, str] = field(default_factory=dict, repr=False)
    secrets: Mapping[str, str] = field(default_factory=dict, repr=False)
    resources: Resources = field(default_factory=Resources)
    mounts: tuple[Mount, ...] = ()

    @classmethod
    def of(
        cls,
        command: Sequence[str],
        *,
        env: Mapping[str, str] | None = None,
        secrets: Mapping[str, str] | None = None,
        resources: Resources | None = None,
        mounts: Sequence[Mount | str] = (),
    ) -> Self:
        """Check what somebody asks for.

        Raises:
            SpecError: It cannot be run: there is no program, or a name is impossible.
        """
        if isinstance(command, str) or not command or not command[0]:
            raise SpecError(
                f"{command!r} is no command",
                hint='give program and arguments one by one: ["python", "main.py"]',
            )
        for name in env or ():
            if not _VARIABLE.fullmatch(name):
                raise SpecError(
                    f"{name!r} cannot name an environment variable",
                    hint="names have at least one character, and no '='",
                )
        for name in secrets or ():
            if not _FILE_NAME.fullmatch(name):
                raise SpecError(
                    f"{name!r} cannot name a secret",
                    hint="a secret is a file in /run/secrets: letters, digits, . _ -",
                )
        return cls(
            command=tuple(command),
            env=dict(env or {}),
            secrets=dict(secrets or {}),
            resources=resources or Resources(),
            mounts=tuple(
                Mount.parse(one) if isinstance(one, str) else one for one in mounts
            ),
        )

    def task(self, name: str, loaded: Loaded) -> Task:
        """Say to a target what it is to run, in an image that has the code."""
        image = loaded.image
        return Task(
            name=name,
            image=str(image),
            reference=image.reference if image.location == "registry" else None,
            command=self.command,
            env=_SAID_AT_ONCE | self.env,
            secrets=self.secrets,
            resources=self.resources,
            mounts=self.mounts,
            labels={
                BUNDLE_LABEL: loaded.ready.bundle.uri,
                SPEC_LABEL: str(loaded.ready.image.reference),
            },
        )


def task_name(image: str) -> str:
    """Think of a name that no other task has, after an image's name."""
    last = image.rpartition("/")[2].lower()
    readable = _NOT_IN_NAMES.sub("-", last)[:_LONGEST].strip("-")
    return f"{readable or 'task'}-{os.urandom(4).hex()}"


def service_name(name: str) -> str:
    """Check the name of a service, which has to suit every target.

    Raises:
        SpecError: It is none.
    """
    if not _SERVICE.fullmatch(name):
        raise SpecError(
            f"{name!r} cannot name a service",
            hint="use up to 48 small letters, digits and '-', such as my-api",
        )
    return name
