"""What wheels must be made for: uv's word for it, and the order of wheel tags."""

from __future__ import annotations

import functools
import re
from typing import TYPE_CHECKING, NamedTuple

from aweigh.errors import SpecError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from aweigh.oci import Platform

__all__ = ["Target", "is_wheel_name"]

# The binary distribution format: name-version[-build]-python-abi-platform.whl.
_WHEEL = re.compile(
    r"[^\s-]+-[^\s-]+(?:-(?P<build>[0-9]+)(?P<letters>[^\s-]*))?"
    r"-(?P<python>[^\s-]+)-(?P<abi>[^\s-]+)-(?P<platform>[^\s-]+)\.whl"
)
_LIBC = re.compile(r"(manylinux|musllinux)_([0-9]+)_([0-9]+)")
_PYTHON = re.compile(r"3\.([0-9]+)")
_MACHINES = {"amd64": "x86_64", "arm64": "aarch64"}
# The glibc versions that uv can resolve for.
_UV_GLIBC = (17, 28, 31, 32, 33, 34, 35, 36, 37, 38, 39, 40)
_LEGACY = {17: "manylinux2014", 12: "manylinux2010", 5: "manylinux1"}
_OLDEST_GLIBC = {"x86_64": 5, "aarch64": 17}
_OLDEST_ABI3 = 2


class Target(NamedTuple):
    """A platform, its Python and the newest libc that wheels may ask for."""

    platform: Platform
    python: str
    libc: str

    def check(self) -> None:
        """Refuse what nothing can be pinned for.

        Raises:
            SpecError: It is the platform, the Python or the libc.
        """
        self._minor()
        self.triple  # noqa: B018 - it raises

    @property
    def triple(self) -> str:
        """Name the platform as uv does; never a newer libc than the target's.

        Raises:
            SpecError: uv cannot resolve for it.
        """
        kind, minor = self._libc()
        if kind == "musllinux":
            return f"{self._machine()}-unknown-linux-musl"
        usable = [one for one in _UV_GLIBC if one <= minor]
        if not usable:
            raise SpecError(
                f"no wheels are made for {self.libc} any more",
                hint="choose a base with glibc 2.17 or newer",
            )
        return f"{self._machine()}-manylinux_2_{usable[-1]}"

    def best(self, names: Iterable[str]) -> str | None:
        """Choose the wheel that an installer would, or None when none fits."""
        ranked = [
            (rank, name) for name in names if (rank := self.rank(name)) is not None
        ]
        return min(ranked)[1] if ranked else None

    def rank(self, name: str) -> tuple[int, int, str] | None:
        """Order a wheel among those of its version, the best lowest; None: unusable.

        Source: PEP 425, and the order of tags that pip and uv share.
        """
        match = _WHEEL.fullmatch(name)
        if match is None:
            return None
        order = _tags(self._minor(), self._machine(), *self._libc())
        places = [
            order[tag]
            for python in match["python"].split(".")
            for abi in match["abi"].split(".")
            for platform in match["platform"].split(".")
            if (tag := (python, abi, platform)) in order
        ]
        if not places:
            return None
        return min(places), -int(match["build"] or -1), match["letters"] or ""

    def _minor(self) -> int:
        match = _PYTHON.fullmatch(self.python)
        if match is None:
            raise SpecError(
                f"{self.python!r} is no Python version to resolve for",
                hint="name it as X.Y, such as python='3.12'",
            )
        return int(match[1])

    def _machine(self) -> str:
        machine = _MACHINES.get(self.platform.architecture)
        if machine is None or self.platform.os != "linux":
            raise SpecError(
                f"packages cannot be pinned for {self.platform}",
                hint="only linux/amd64 and linux/arm64 can; others need an engine",
            )
        return machine

    def _libc(self) -> tuple[str, int]:
        match = _LIBC.fullmatch(self.libc)
        if match is None or match[2] != ("2" if match[1] == "manylinux" else "1"):
            raise SpecError(
                f"{self.libc!r} is no libc to resolve for",
                hint="name it as wheel tags do, such as manylinux_2_36",
            )
        return match[1], int(match[3])


def is_wheel_name(name: str) -> bool:
    """Whether a file is named like a wheel."""
    return _WHEEL.fullmatch(name) is not None


@functools.lru_cache(maxsize=64)
def _tags(
    minor: int, machine: str, libc: str, libc_minor: int
) -> dict[tuple[str, str, str], int]:
    """Number all tags of a target, the most specific first."""
    platforms = [*_platforms(machine, libc, libc_minor), f"linux_{machine}"]
    ordered = list(_tag_order(minor, platforms))
    return {tag: place for place, tag in reversed(list(enumerate(ordered)))}


def _tag_order(minor: int, platforms: list[str]) -> Iterator[tuple[str, str, str]]:
    own = f"cp3{minor}"
    for abi in (own, "abi3", "none"):
        for platform in platforms:
            yield own, abi, platform
    for older in range(minor - 1, _OLDEST_ABI3 - 1, -1):
        for platform in platforms:
            yield f"cp3{older}", "abi3", platform
    pure = [f"py3{minor}", "py3", *(f"py3{one}" for one in range(minor - 1, -1, -1))]
    for python in pure:
        for platform in platforms:
            yield python, "none", platform
    yield own, "none", "any"
    for python in pure:
        yield python, "none", "any"


def _platforms(machine: str, libc: str, minor: int) -> Iterator[str]:
    if libc == "musllinux":
        for one in range(minor, -1, -1):
            yield f"musllinux_1_{one}_{machine}"
        return
    for one in range(minor, _OLDEST_GLIBC[machine] - 1, -1):
        yield f"manylinux_2_{one}_{machine}"
        if one in _LEGACY:
            yield f"{_LEGACY[one]}_{machine}"
