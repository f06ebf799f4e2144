"""Which Python a ``requires-python`` asks for, and which runs: in terms of ``X.Y``."""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass

from aweigh.errors import SpecError

__all__ = ["lowest_python", "running_python"]

_CLAUSE = re.compile(
    r"(?P<operator>~=|===|==|!=|<=|>=|<|>)\s*v?"
    r"(?P<release>[0-9]+(?:\.[0-9]+)*)(?P<wild>\.\*)?(?:[a-z][a-z0-9.]*)?",
    re.ASCII | re.IGNORECASE,
)
_LOWER_BOUNDS = {">=", ">", "==", "===", "~="}
_MINORS = range(100)


def running_python() -> str:
    """Return the ``X.Y`` of the running interpreter."""
    return f"{sys.version_info.major}.{sys.version_info.minor}"


def lowest_python(demands: tuple[str, ...]) -> str:
    """Return the lowest ``X.Y`` that some release of satisfies all demands.

    The lowest, for it depends on nothing but the demands: the same project gives the
    same image on every machine. Empty when no demand bounds the version from below.

    Args:
        demands: Version specifiers such as ``>=3.11,<3.13``.

    Raises:
        SpecError: One is malformed, or nothing satisfies them all.
    """
    clauses = [clause for demand in demands for clause in _parse(demand)]
    bounds = [clause.release for clause in clauses if clause.bounds_from_below]
    if not bounds:
        return ""
    major = max(bounds)[0]
    for minor in _MINORS:
        if all(clause.allows((major, minor)) for clause in clauses):
            return f"{major}.{minor}"
    raise SpecError(
        f"no Python satisfies {' and '.join(demands)}",
        hint="make the requires-python of projects and scripts overlap, or give python",
    )


@dataclass(frozen=True, slots=True)
class _Clause:
    """One clause of a version specifier (PEP 440)."""

    operator: str
    release: tuple[int, ...]
    wild: bool

    @property
    def bounds_from_below(self) -> bool:
        return self.operator in _LOWER_BOUNDS and len(self.release) > 1

    def allows(self, minor: tuple[int, int]) -> bool:
        """Say whether some release of this minor version passes."""
        prefix = self.release[:2]
        within = minor[: len(prefix)] == prefix
        match self.operator:
            case ">=" | ">":
                return minor >= prefix
            case "<":
                return minor < prefix or (within and any(self.release[2:]))
            case "<=":
                return minor <= (*prefix, 0)[:2]
            case "!=":
                return not (within and self.wild and self.release == prefix)
            case "~=" if self.release == prefix:
                return minor[0] == prefix[0] and minor >= prefix
            case _:
                return within


def _parse(demand: str) -> list[_Clause]:
    found: list[_Clause] = []
    for text in filter(None, map(str.strip, demand.split(","))):
        match = _CLAUSE.fullmatch(text)
        if match is None:
            raise SpecError(
                f"requires-python {demand!r} is malformed",
                hint='write version specifiers, such as ">=3.11,<3.14"',
            )
        release = tuple(map(int, match["release"].split(".")))
        found.append(_Clause(match["operator"], release, bool(match["wild"])))
    return found
