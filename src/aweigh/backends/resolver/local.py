"""Wheels of local projects, which were built before anything is resolved."""

from __future__ import annotations

import posixpath
import re
from typing import TYPE_CHECKING
from urllib.parse import quote

from aweigh.backends.resolver.pylock import read_packages
from aweigh.errors import SpecError
from aweigh.image.local_packages import is_local_package
from aweigh.image.local_requirement import LOCAL, LocalRequirement
from aweigh.image.lock import normalised
from aweigh.image.pylock_text import entry, replace_packages, toml_text
from aweigh.image.wheels import distribution

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from aweigh.archive.member import Member
    from aweigh.backends.resolver.target import Target

__all__ = ["LocalWheels"]

_WHEEL = re.compile(
    rf"steps/(?P<step>[0-9]+)/{LOCAL}/(?P<key>[^/]+)/(?P<name>[^/]+\.whl)"
)
_SOURCES = ("archive", "directory", "sdist")


class LocalWheels:
    """The wheels of a snapshot's local projects.

    Several steps may name one project: its wheel is then that of the first of them.

    Args:
        members: The context by path.
        target: What they must run on.
    """

    def __init__(self, members: Mapping[str, Member], target: Target) -> None:
        self._target = target
        self._paths: dict[tuple[int, str], dict[str, str]] = {}
        first: dict[tuple[str, str], str] = {}
        for path, member in members.items():
            if match := _WHEEL.fullmatch(path):
                content = (match["name"], str(member.digest))
                places = self._paths.setdefault((int(match["step"]), match["key"]), {})
                places[match["name"]] = first.setdefault(content, path)

    def paths(self) -> Iterator[str]:
        """Return the context paths of all that fit the target."""
        for places in self._paths.values():
            if best := self._target.best(places):
                yield places[best]

    def keys(self, step: int) -> frozenset[str]:
        """Return what a step's own projects are called in the context."""
        return frozenset(key for number, key in self._paths if number == step)

    def requirement(self, step: int, key: str, one: LocalRequirement) -> str:
        """Write a requirement of a step for the wheel of its project.

        Raises:
            SpecError: It does not fit the target.
        """
        places = self._paths.get((step, key), {})
        best = self._target.best(places)
        if best is None:
            raise SpecError(
                f"{', '.join(sorted(places)) or one.path} is not for "
                f"{self._target.platform} with Python {self._target.python} and "
                f"{self._target.libc}",
                hint="build the wheel for that platform too",
            )
        return one.named(distribution(best), f"{{root}}/{quote(places[best])}")

    def placed(self, step: int, text: str) -> str:
        """Return a requirements file of a step with wheels for local projects."""
        lines = []
        for line in text.splitlines():
            one = LocalRequirement.parse(line)
            if one is None:
                lines.append(line)
            else:
                key = posixpath.normpath(one.path).split("/")[1]
                lines.append(self.requirement(step, key, one))
        return "".join(f"{line}\n" for line in lines)

    def names(self, step: int) -> frozenset[str]:
        """Return the projects that a step takes from this machine."""
        return frozenset(self._by_name(step))

    def locked(self, step: int, text: str) -> str:
        """Return a ``pylock.toml`` of a step with wheels for local projects.

        Those without one are left out: they are no packages, or another step brings
        a wheel of them.
        """
        wheels = self._by_name(step)
        changes = {
            number: self._entry(step, package, wheels)
            for number, package in enumerate(read_packages(text))
            if is_local_package(package) and any(key in package for key in _SOURCES)
        }
        return replace_packages(text, changes)

    def _entry(
        self, step: int, package: Mapping[str, object], wheels: Mapping[str, str]
    ) -> str:
        path = wheels.get(normalised(str(package.get("name"))))
        if path is None:
            return ""
        place = posixpath.relpath(path, f"steps/{step}")
        version = path.rpartition("/")[2].split("-")[1]
        return entry(
            {**package, "version": version},
            f"wheels = [{{ path = {toml_text(place)}, hashes = {{}} }}]",
        )

    def _by_name(self, step: int) -> dict[str, str]:
        return {
            distribution(best): places[best]
            for (number, _), places in self._paths.items()
            if number == step and (best := self._target.best(places))
        }
